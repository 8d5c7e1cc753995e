"""Spectrophotometric standard stars: their names and their spectra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sedmd.data._files import frozen, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """One star of the table.

    Attributes
    ----------
    key : str
        Canonical key, as in the names of the ESO tables.
    name : str
        As written in the observing log after ``STD-``.
    ra_deg, dec_deg : float
        ICRS position.
    v_mag : float
        Johnson V.
    source : str
        Table its spectrum comes from; empty for a star of which only the position is known here.
    caveat : str
        Why the spectrum may be wrong by more than a few per cent; empty without a caveat.
    """

    key: str
    name: str
    ra_deg: float
    dec_deg: float
    v_mag: float
    source: str
    caveat: str

    @property
    def has_spectrum(self) -> bool:
        return bool(self.source)


#: Names in use that the rules of `squeezed` do not reach: other catalogues, other spellings (STScI's and IRAF's lists).
_ALIASES = {
    "eggr247": "g191b2b",
    "eg247": "g191b2b",
    "wd0501527": "g191b2b",
    "gr70d5824": "grw70d5824",
    "eg102": "grw70d5824",
    "wd1337705": "grw70d5824",
    "wd2149021": "g93_48",
    "eg71": "feige34",
    "wd1036433": "feige34",
    "eg158": "feige110",
    "wd1211332": "hz21",
    "eg31": "hz2",
    "wd0410117": "hz2",
    "eg26": "hz4",
    "wd0352096": "hz4",
    "eg29": "lb227",
    "wd0406169": "lb227",
    "sa9542": "sa95_42",
    "58aqr": "hr8634",
    "zetapeg": "hr8634",
    "29psc": "hr9087",
    "bd2d3375": "bd02d3375",
    "bd8d2015": "bd08d2015",
    "cd38d10980": "eg274",
    "cpd69d177": "eg21",
    "eg139": "wolf1346",
    "eg184": "gd140",
    "eg20": "feige24",
    "eg39": "hz7",
    "eg42": "hz14",
    "eg50": "he3",
    "gsc0258102323": "p330e",
    "gspcp041c": "p041c",
    "gspcp177d": "p177d",
    "gspcp330e": "p330e",
    "h600": "hiltner600",
    "hilt600": "hiltner600",
    "hz43a": "hz43",
    "ltt377": "cd34d241",  # so called by mistake in Hamuy et al. 1992 and 1994, and after them in many lists
    "wd0232035": "feige24",
    "wd0310688": "eg21",
    "wd0549158": "gd71",
    "wd0839327": "ltt3218",
    "wd1134300": "gd140",
    "wd1254223": "gd153",
    "wd1314293": "hz43",
    "wd1620391": "eg274",
    "wd2007303": "ltt7987",
    "wd2032248": "wolf1346",
    "wd2129000": "lds749b",
}


def lookup(name: str) -> str | None:
    """Canonical key of a standard star, or None when it is not in the table.

    Exact after normalisation, never a fuzzy match: a wrong star would be a silent disaster. Whether the telescope was
    there is not asked; see `sedmd.raw.standardstar`.

    Parameters
    ----------
    name : str
        As in OBJECT, NAME or a file name: ``STD-BD+25d4655``, ``BD+28 4211``, ``FEIGE34``, ``G191-B2B``,
        ``STD-Feige34_obs2``, ``STD-HZ44 [A]``.
    """
    plain = squeezed(name)
    return _names().get(plain) or _names().get(squeezed(plain.removeprefix("std")))


def load(key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spectrum of a standard star.

    Parameters
    ----------
    key : str
        Canonical key, from `lookup`.

    Returns
    -------
    wavelength : (n,) ndarray
        Bin centres, Angstrom in air, evenly spaced (4 Angstrom; 10 for tables in bins of 50, 16 for the HR stars).
    flux : (n,) ndarray
        Mean flux density in each bin, erg / (s cm2 Angstrom).

    Raises
    ------
    KeyError
        For a key that is not in `STANDARDS`, or a star of which the table has the position only.
    """
    try:
        return _spectra()[key]
    except KeyError:
        msg = f"no spectrum of a standard star {key!r}; use sedmd.data.standards.lookup(name) to get a key"
        raise KeyError(msg) from None


def labelled(name: str) -> bool:
    """True for a name with which an observer or the scheduler says "a standard star": ``STD-...``."""
    text = name.strip().strip("\"'").strip()
    prefixed = re.match(r"STD[-_: ]", text, re.IGNORECASE) is not None
    return prefixed or (text[:3].upper() == "STD" and lookup(text) is not None)


def squeezed(name: str) -> str:
    """Letters and digits that tell a target: no prefix ``STD-``, no series suffix, no signs, lower case."""
    text = re.sub(r"\[.*?\]|\(.*?\)", " ", name).strip().strip("\"'").strip()
    text = re.sub(r"^STD[-_: ]+", "", text, flags=re.IGNORECASE)
    text = re.sub(r"_obs\d+$", "", text, flags=re.IGNORECASE)
    plain = re.sub(r"[^a-z0-9]", "", text.lower())
    # BD+28 4211, BD+28d4211 and BD+284211 are one star; so with the other zone catalogues, and HD049798 is HD49798
    zoned = re.sub(r"^(bd|cd|cpd|grw|agk)(\d{2})d?0?(\d{3,5})$", r"\1\2d\3", plain)
    return re.sub(r"^(hd|hr)0+", r"\1", zoned)


@cache
def _spectra() -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    from astropy.io import fits  # here, because most users of this module only want `lookup`

    spectra: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    with (resources.files(__package__) / "standards.fits").open("rb") as stream, fits.open(stream) as hdus:
        for hdu in hdus[1:]:
            header = hdu.header
            pixel = np.arange(int(header["NAXIS1"]))
            key = str(header["EXTNAME"]).lower()
            spectra[key] = (frozen(header["CRVAL1"] + header["CDELT1"] * pixel), frozen(hdu.data))
    return spectra


@cache
def _names() -> dict[str, str]:
    names = {squeezed(key): key for key in STANDARDS} | {squeezed(star.name): star.key for star in STANDARDS.values()}
    return names | _ALIASES


def _stars() -> dict[str, Standard]:
    return {
        key: Standard(
            key=key,
            name=name,
            ra_deg=float(ra),
            dec_deg=float(dec),
            v_mag=float(v_mag),
            source="" if source == "-" else source.replace("_", " "),
            caveat="" if caveat == ["-"] else " ".join(caveat),
        )
        for key, name, ra, dec, v_mag, source, *caveat in rows_of("standards.txt")
    }


#: Every star of the table by its key.
STANDARDS: Mapping[str, Standard] = MappingProxyType(_stars())
