"""Spectra that others made, as text: two or three columns under a header of any kind.

What the third column is has no rule: pysedm and HyperGal write the variance, this pipeline the error. It is found from
the header, else by the scatter of the spectrum itself from bin to bin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from sedmd.host.foreign_file import content_of
from sedmd.products.fitsio import ProductFault
from sedmd.reduce.numeric.containers import FloatArray, Spectrum


class Third(StrEnum):
    """What the third column is."""

    VARIANCE = "variance"
    ERROR = "error"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A spectrum from a file.

    Attributes
    ----------
    name : str
        The target by the header, else the file's name.
    spectrum : Spectrum
        Ascending wavelengths, Angstrom; the error is NaN where the file tells none. Its unit is the file's, unknown
        here.
    third : Third
        As what the third column was taken.
    why : str
        How it was found, in words.
    header : mapping of key to text
    """

    name: str
    spectrum: Spectrum
    third: Third
    why: str
    header: Mapping[str, str]

    @property
    def how_read(self) -> str:
        """How the third column was read, for the observer."""
        if self.third is Third.NONE:
            return f"no errors: {self.why}"
        return f"third column taken as {self.third}: {self.why}"


#: Wavelengths of an optical spectrum in Angstrom have their middle here.
ANGSTROM = (2000.0, 30000.0)
#: A third column that is further than this factor from the scatter, as error and as variance, is neither.
NEITHER = 30.0
#: A file of more bytes than this is no spectrum of an observer.
MOST_BYTES = 20_000_000
#: Cards that only pysedm and HyperGal write (headers of 77 published files, 2018 to 2021).
_WRITES_VARIANCE = ("PYSEDMV", "PYSEDMT", "PYSEDMPI", "HYPERGAL")
_WORDS = {
    Third.VARIANCE: re.compile(r"\bvar(iance)?s?\b", re.IGNORECASE),
    Third.ERROR: re.compile(r"\b(\w+_)?(errors?|err|sigma|uncertainty|stddev|e_flux|eflux)\b", re.IGNORECASE),
}
_TARGET = ("OBJECT", "NAME", "TARGET")


def read_published(path: Path, third: Third | None = None) -> Published:
    """Read a spectrum: comments ``#`` (those of the form ``# KEY: value`` are its header), then columns of numbers.

    Parameters
    ----------
    path : Path
    third : Third, optional
        What the third column is; else it is found out.

    Raises
    ------
    ProductFault
        Fewer than two columns or ten rows of numbers, wavelengths that are not in Angstrom, or no third column where
        one was given.
    OSError
    """
    lines = content_of(path, most_bytes=MOST_BYTES, follow=True).decode("utf-8", "replace").splitlines()
    header = _header(lines)
    wavelength, flux, column = _columns(path, lines)
    if third is not None:
        why = "as given"
    elif column is None:
        third, why = Third.NONE, "the file has two columns"
    else:
        third, why = _by_header(header, lines) or _by_scatter(wavelength, flux, column)
    if third is not Third.NONE and column is None:
        raise ProductFault(f"{path.name} has two columns; expected a third, the {third}")
    name = _name(header, path)
    spectrum = Spectrum(
        wavelength=wavelength,
        flux=flux,
        error=_error(third, column, flux),
        sky=np.zeros(len(wavelength)),
        unit="as in the file",
        meta={"target": name},
    )
    return Published(name=name, spectrum=spectrum, third=third, why=why, header=header)


def _header(lines: list[str]) -> dict[str, str]:
    header: dict[str, str] = {}
    for line in lines:
        if line.startswith("#"):
            key, mark, value = line.lstrip("# ").partition(":")
            if not mark:
                key, mark, value = line.lstrip("# ").partition("=")
            if mark and re.fullmatch(r"[A-Za-z][\w-]{0,30}", key.strip()):
                header.setdefault(key.strip().upper(), value.partition(" / ")[0].strip().strip("'").strip())
    return header


def _columns(path: Path, lines: list[str]) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    rows = []
    for line in lines:
        words = line.replace(",", " ").replace(";", " ").split()
        try:
            rows.append([float(word) for word in words[:3]] if words else [])
        except ValueError:
            continue  # a comment, or the names of the columns
    width = min((len(row) for row in rows if row), default=0)
    table = np.array([row[:width] for row in rows if row], dtype=float).reshape(-1, max(width, 1))
    if width < 2 or len(table) < 10:
        raise ProductFault(f"{path.name}: {len(table)} rows of {width} columns; expected wavelength, flux and error")
    table = table[np.isfinite(table[:, 0]) & np.isfinite(table[:, 1])]
    _, first = np.unique(table[:, 0], return_index=True)
    table = table[first]
    if len(table) < 10:
        raise ProductFault(f"{path.name}: {len(table)} rows with a wavelength and a flux; expected a spectrum")
    middle = float(np.median(table[:, 0]))
    if not ANGSTROM[0] <= middle <= ANGSTROM[1]:
        raise ProductFault(f"{path.name}: wavelengths about {middle:g}; expected Angstrom in the first column")
    return table[:, 0], table[:, 1], table[:, 2] if width > 2 else None


def _by_header(header: Mapping[str, str], lines: list[str]) -> tuple[Third, str] | None:
    if found := next((key for key in _WRITES_VARIANCE if key in header), ""):
        return Third.VARIANCE, f"{found} in the header, whose program writes variances"
    # the names of the columns stand in the last lines above the numbers, or in a line on units
    titles = [line for line in lines if line.strip() and not _starts_with_number(line)]
    for line in (header.get("UNITS", ""), *reversed(titles[-3:])):
        named = [third for third, word in _WORDS.items() if word.search(line)]
        if len(named) == 1:
            return named[0], "so its header calls it"
    return None


def _starts_with_number(line: str) -> bool:
    return re.match(r"\s*[-+.\d]", line) is not None


def _by_scatter(wavelength: FloatArray, flux: FloatArray, column: FloatArray) -> tuple[Third, str]:
    """Error or variance, whichever is nearer to the scatter of each sample about the line through its neighbours."""
    inner = slice(1, -1)
    part = (wavelength[inner] - wavelength[:-2]) / (wavelength[2:] - wavelength[:-2])
    off = flux[inner] - (1 - part) * flux[:-2] - part * flux[2:]
    noise = np.abs(off) / np.sqrt(1 + part**2 + (1 - part) ** 2)
    good = np.isfinite(column[inner]) & (column[inner] > 0) & (noise > 0)
    if good.sum() < 0.5 * len(noise):
        return Third.NONE, "most of its third column is not above zero"
    # medians of logarithms: a few lines, and a few samples with an error of their own, do not count;
    # the median of |x| of a Gaussian is 0.674 sigma
    scatter = float(np.median(np.log(noise[good] / 0.674)))
    error = float(np.median(np.log(column[inner][good])))
    off_error, off_variance = abs(error - scatter), abs(0.5 * error - scatter)
    if min(off_error, off_variance) > np.log(NEITHER):
        return Third.NONE, "its third column is neither the error nor the variance of the scatter"
    third = Third.ERROR if off_error < off_variance else Third.VARIANCE
    return third, "nearest to the scatter from bin to bin"


def _error(third: Third, column: FloatArray | None, flux: FloatArray) -> FloatArray:
    if third is Third.NONE or column is None:
        return np.full(len(flux), np.nan)
    known = np.where(np.isfinite(column) & (column > 0), column, np.nan)
    return np.sqrt(known) if third is Third.VARIANCE else known


def _name(header: Mapping[str, str], path: Path) -> str:
    name = next((header[key] for key in _TARGET if header.get(key)), "")
    return re.sub(r"\s*\[\s*[AB]\s*\]", "", name).strip() or path.stem
