"""The ASCII spectrum ``<NAME>_SEDM.txt``: header keys in the order that classifiers and uploaders have always met."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import text_of
from sedmd.products.fitsio import CardValue, ProductFault
from sedmd.reduce.numeric.containers import FloatArray, Spectrum

CALIBRATED_UNIT = "erg / (s cm2 Angstrom)"


@dataclass(frozen=True, slots=True, kw_only=True)
class AsciiSpectrum:
    """What `read_ascii` gives back: header values as text, by key, and the three columns."""

    header: dict[str, str]
    wavelength: FloatArray
    flux: FloatArray
    error: FloatArray


def write_ascii(path: Path, spectrum: Spectrum) -> str:
    """Write the ASCII spectrum; returns the SHA-256 of the file. See `ascii_text`."""
    return write_bytes_atomic(ascii_text(spectrum, outfile=path.name).encode("ascii"), path)


def ascii_text(spectrum: Spectrum, *, outfile: str) -> str:
    """The ASCII spectrum as text.

    Header lines ``# KEY: value`` in the order of the pipeline this one replaces (kpy Check.check_spec); RAPASEC,
    SKYLFWHMNM and TRACEFWHMPX only where they are known; FLUXCAL and UNITS are ours and come last. Then three columns:
    wavelength in air [Angstrom], flux and its 1-sigma error [`spectrum.unit`], ascending. Only rows whose flux and
    error are finite are written. The rounding (0.005 Angstrom; 5 parts in 10**5 of the flux) is far below any error.

    Parameters
    ----------
    spectrum : Spectrum
        Figures are taken from `meta`, by the keys of `sedmd.products.spectrum.META_CARDS`.
    outfile : str
        Name that goes into the OUTFILE line.
    """
    meta = spectrum.meta
    calibrated = bool(meta.get("fluxcal", spectrum.unit == CALIBRATED_UNIT))
    lines = [
        ("TELESCOPE", "P60"),
        ("INSTRUMENT", "SED-Machine"),
        ("USER", "sedmd"),
        ("REQ_ID", _form(meta.get("req_id"), "%d", "0")),
        ("OBJECT", _form(meta.get("target"), "%s")),
        ("OUTFILE", outfile),
        ("RA", _form(meta.get("ra"), "%s")),
        ("DEC", _form(meta.get("dec"), "%s")),
        ("OBSUTC", _form(meta.get("utc"), "%s")),
        ("EXPTIME", _form(meta.get("exptime_s"), "%i")),
        ("SKYSUB", "On" if meta.get("skysub", True) else "Off"),
        ("QUALITY", _form(meta.get("quality"), "%d", "0")),
        ("REDUCER", _form(meta.get("reducer"), "%s", "auto")),
        ("AIRMASS", _form(meta.get("airmass"), "%1.2f")),
    ]
    optional = (
        ("RAPASEC", "radius_arcsec"),
        ("SKYLFWHMNM", "sky_line_fwhm_nm"),
        ("TRACEFWHMPX", "trace_fwhm_px"),
    )
    lines += [(key, _form(meta[name], "%.1f")) for key, name in optional if meta.get(name) is not None]
    lines += [("FLUXCAL", str(calibrated)), ("UNITS", f"Angstrom (air), {spectrum.unit}, 1-sigma error")]
    head = [f"# {key}: {value}" for key, value in lines]
    good = np.isfinite(spectrum.flux) & np.isfinite(spectrum.error)
    rows = [
        f"{wavelength:9.2f} {flux:11.4e} {error:11.4e}"
        for wavelength, flux, error in zip(
            spectrum.wavelength[good], spectrum.flux[good], spectrum.error[good], strict=True
        )
    ]
    return "\n".join([*head, *rows]) + "\n"


def read_ascii(path: Path) -> AsciiSpectrum:
    """Read an ASCII spectrum of this or of the old pipeline's making (two columns: the error is then NaN).

    Raises
    ------
    ProductFault
        A line is neither a comment nor two or three numbers.
    """
    header: dict[str, str] = {}
    rows: list[tuple[float, float, float]] = []
    for number, line in enumerate(text_of(path, encoding="ascii").splitlines(), start=1):
        if line.startswith("#"):
            key, colon, value = line.lstrip("# ").partition(":")
            if colon:
                header[key.strip()] = value.strip()
        elif line.strip():
            try:
                wavelength, flux, error = (*map(float, line.split()), float("nan"))[:3]
            except ValueError:
                raise ProductFault(f"{path.name} line {number}: {line!r} is not wavelength, flux, error") from None
            rows.append((wavelength, flux, error))
    columns = np.array(rows, dtype=float).reshape(-1, 3).T
    return AsciiSpectrum(header=header, wavelength=columns[0], flux=columns[1], error=columns[2])


def _form(value: CardValue, form: str, absent: str = "") -> str:
    """A value as text on one line of ASCII; `absent` when there is none or it does not fit the form."""
    if value is None:
        return absent
    try:
        text = form % value
    except (TypeError, ValueError, OverflowError):
        return absent
    return "".join(char if " " <= char <= "~" else "?" for char in text)
