"""A spectrum made ready to be sent: which ones may be, and everything that a receiver wants to know of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sedmd.after.classify.classification import files_of
from sedmd.after.spectra import FinalSpectrum
from sedmd.core.errors import SedmError
from sedmd.products.ascii import CALIBRATED_UNIT, read_ascii
from sedmd.products.fitsio import CardValue
from sedmd.products.spectrum import read_spectrum
from sedmd.raw.rawname import is_frame_stem

#: Keys of the ASCII header that hold a classification begin so; the first must be there, and not "NONE".
CLASSIFIED, CLASSIFIED_AS = "SNID", "SNIDMATCHTYPE"
#: What the qualities mean that are not sent.
NOT_SENT = {0: "not graded", 3: "quality 3 (poor)", 4: "quality 4 (no object visible)", 5: "quality 5 (bogus target)"}
#: Cards that go along as they are, and their names outside.
TOLD = {
    "EXPTIME": "exptime_s",
    "AIRMASS": "airmass",
    "REQ_ID": "req_id",
    "P60PRID": "program",
    "SEEING": "seeing_arcsec",
    "EXTRMETH": "method",
    "CALNIGHT": "calibrations_of",
    "FLXNIGHT": "flux_calibration_of",
}


class Unfit(SedmError):
    """A spectrum that should be sent but cannot be; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A spectrum as it leaves.

    Attributes
    ----------
    night, product, target : str
    observed_at : str
        Start of the exposure, ISO 8601, UTC, with Z.
    wavelength, flux, error : tuple of float
        Angstrom (air), erg / (s cm2 Angstrom), 1 sigma; only bins where all three are finite.
    content : str
        SHA-256 of target, time and the three columns: what makes it another spectrum. A grade or a classification that
        comes later does not.
    classification : mapping
        Keys of the ASCII header with their values; empty if there is none.
    facts : mapping
        Everything else of interest, by name.
    """

    night: str
    product: str
    target: str
    observed_at: str
    wavelength: tuple[float, ...] = field(repr=False)
    flux: tuple[float, ...] = field(repr=False)
    error: tuple[float, ...] = field(repr=False)
    content: str
    quality: int
    reducer: str
    by_observer: bool
    req_id: int
    fits: Path
    ascii: Path
    page: Path
    classification: Mapping[str, CardValue] = field(default_factory=dict)
    facts: Mapping[str, CardValue] = field(default_factory=dict)

    @property
    def beside(self) -> str:
        """Digest of what goes with the spectrum and may come later."""
        text = json.dumps([dict(self.classification), self.page.is_file()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def why_not(spectrum: FinalSpectrum) -> str:
    """Why a spectrum is not sent; empty if it is."""
    if spectrum.standard:
        return "standard star"
    if not spectrum.usable:
        return NOT_SENT[spectrum.quality]
    if is_frame_stem(spectrum.target):
        return f"the target is unknown, its header never arrived: sedmd mend {spectrum.target} OBJECT=NAME"
    return "" if spectrum.calibrated else "not flux-calibrated"


def outgoing(spectrum: FinalSpectrum) -> Outgoing:
    """Make a spectrum ready.

    Raises
    ------
    Unfit
        A file is missing or damaged, or says too little.
    """
    if not spectrum.ascii.is_file():
        raise Unfit(
            f"{spectrum.ascii.name} is missing; expected it beside {spectrum.fits.name}: to make it: sedmd redo"
        )
    try:
        table, _ = read_spectrum(spectrum.fits)
        # the classification stands in copies: the spectrum itself is known by its checksum
        text, copy = files_of(spectrum)
        header = read_ascii(text).header
    except OSError as error:
        raise Unfit(f"{spectrum.fits.name}: cannot be read ({error.strerror or error})") from None
    except SedmError as error:
        raise Unfit(str(error)) from None
    if table.unit != CALIBRATED_UNIT:
        raise Unfit(f"{spectrum.fits.name}: its unit is {table.unit!r}, {CALIBRATED_UNIT!r} expected")
    good = np.isfinite(table.wavelength) & np.isfinite(table.flux) & (table.error > 0) & np.isfinite(table.error)
    if good.sum() < 2:
        raise Unfit(f"{spectrum.fits.name}: {good.sum()} bins have a flux and an error, two or more expected")
    columns = [tuple(float(value) for value in column[good]) for column in (table.wavelength, table.flux, table.error)]
    observed_at = _iso(spectrum)
    content = hashlib.sha256(json.dumps([spectrum.target, observed_at, *columns]).encode()).hexdigest()
    req_id = spectrum.cards.get("REQ_ID")
    return Outgoing(
        night=spectrum.night,
        product=spectrum.product,
        target=spectrum.target,
        observed_at=observed_at,
        wavelength=columns[0],
        flux=columns[1],
        error=columns[2],
        content=content,
        quality=spectrum.quality,
        reducer=spectrum.reducer,
        by_observer=spectrum.by_observer,
        # a logical is an integer to python; a request's number is neither that, nor a text, nor below 1
        req_id=req_id if type(req_id) is int and 0 < req_id < 1 << 63 else 0,
        fits=copy,
        ascii=text,
        page=spectrum.page,
        classification=classification(header),
        facts={name: value for card, name in TOLD.items() if (value := spectrum.cards.get(card)) is not None},
    )


def classification(header: Mapping[str, str]) -> dict[str, CardValue]:
    """The classification in an ASCII header, numbers as numbers; empty if none stands there."""
    if header.get(CLASSIFIED_AS, "NONE").upper() in ("NONE", ""):
        return {}
    return {key: _plain(value) for key, value in header.items() if key.startswith((CLASSIFIED, "CLASS"))}


def _plain(text: str) -> CardValue:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else None  # JSON has no NaN


def _iso(spectrum: FinalSpectrum) -> str:
    text = str(spectrum.cards.get("OBSUTC") or "")
    try:
        start = datetime.fromisoformat(text.strip().replace(" ", "T"))
    except ValueError:
        msg = f"{spectrum.fits.name}: OBSUTC is {text!r}; expected the start like '2019-06-12 04:07:07.0'"
        raise Unfit(msg) from None
    start = start.replace(tzinfo=UTC) if start.tzinfo is None else start.astimezone(UTC)
    return start.isoformat(timespec="milliseconds").replace("+00:00", "Z")
