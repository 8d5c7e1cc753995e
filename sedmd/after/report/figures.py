"""What a night's products say of the instrument: efficiency, flexure, wavelengths, background, seeing, read noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sedmd.after.report.efficiency import BANDS, efficiency, in_bands
from sedmd.host.foreign_file import open_regular
from sedmd.products.fitsio import ProductFault
from sedmd.products.sensitivity import read_sensitivity
from sedmd.raw.cards import truth
from sedmd.raw.header import header_values

_BLOCK, _CARD = 2880, 80
#: A primary header longer than so many blocks is none.
_MAX_BLOCKS = 200
_END = b"END" + 77 * b" "


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureFigures:
    """One exposure on the sky, from its cube.

    Attributes
    ----------
    utc_hour : float or None
        Start.
    flexure_x_px, flexure_y_px : float or None
        Along and across dispersion.
    background_e : float or None
        Median light between the traces, electron per pixel of the exposure.
    exptime_s : float or None
    persistence : (share, 1 sigma) of the light of the exposure before that is left; None where nothing tells
    """

    frame: str
    utc_hour: float | None
    flexure_x_px: float | None
    flexure_y_px: float | None
    background_e: float | None
    exptime_s: float | None
    persistence: tuple[float, float] | None = None

    @property
    def background_e_per_s(self) -> float | None:
        """Light between the traces, electron/s per pixel."""
        return self.background_e / self.exptime_s if self.background_e is not None and self.exptime_s else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NightFigures:
    """A night in figures; None where nothing tells.

    Attributes
    ----------
    efficiency : tuple of float or None
        Telescope and instrument, share of photons, in the bands of `efficiency.BANDS`.
    standards : int
        Standard stars behind it.
    wavelength_rms_px : float or None
        Median rms of the lamp lines over the spaxels.
    read_noise_e : mapping of read-out speed [MHz] to electron
    gain : (measured, its error, used) electron/ADU, from the exposures of the dome; None where they do not tell it
    seeing_arcsec : tuple of float
        FWHM of the object in each spectrum.
    exposures : tuple of ExposureFigures
        By start.
    """

    night: str
    efficiency: tuple[float | None, ...] = (None,) * len(BANDS)
    standards: int = 0
    wavelength_rms_px: float | None = None
    read_noise_e: Mapping[str, float]
    seeing_arcsec: tuple[float, ...] = ()
    gain: tuple[float, float, float] | None = None
    exposures: tuple[ExposureFigures, ...] = ()

    @property
    def empty(self) -> bool:
        """The night has no product that tells anything."""
        return not (
            self.standards or self.wavelength_rms_px or self.read_noise_e or self.seeing_arcsec or self.exposures
        )

    @property
    def flexure_x_px(self) -> float | None:
        """Median along dispersion."""
        return _median(one.flexure_x_px for one in self.exposures)

    @property
    def flexure_y_px(self) -> float | None:
        """Median across dispersion."""
        return _median(one.flexure_y_px for one in self.exposures)

    @property
    def background_e_per_s(self) -> float | None:
        """Median light between the traces, electron/s per pixel."""
        return _median(one.background_e_per_s for one in self.exposures)

    @property
    def persistence(self) -> tuple[float, float] | None:
        """Share of the light of an exposure that the next one finds, mean by weight, and 1 sigma of the mean."""
        known = np.array([one.persistence for one in self.exposures if one.persistence is not None])
        if not known.size:
            return None
        weight = 1.0 / known[:, 1] ** 2
        return float((weight * known[:, 0]).sum() / weight.sum()), float(1.0 / np.sqrt(weight.sum()))

    @property
    def seeing(self) -> float | None:
        """Median FWHM, arcsec."""
        return _median(self.seeing_arcsec)


def night_figures(folder: Path) -> NightFigures:
    """Read what the products of a night say; one that is missing or damaged says nothing.

    Parameters
    ----------
    folder : Path
        ``redux/YYYYMMDD``.
    """
    share: tuple[float | None, ...] = (None,) * len(BANDS)
    standards = 0
    try:
        sensitivity = read_sensitivity(folder / "std-correction.fits")
        share = in_bands(sensitivity.wavelength, efficiency(sensitivity.wavelength, sensitivity.value))
        standards = len(sensitivity.stars)
    except (OSError, ProductFault, KeyError, ValueError):
        pass
    noise = {}
    for path in sorted(folder.glob("bias*.fits")):
        cards = primary_cards(path)
        adu, gain = number(cards, "RDNOISE"), number(cards, "GAIN")
        if adu is not None and gain is not None:
            noise[path.stem.removeprefix("bias")] = adu * gain
    spectra = [primary_cards(path) for path in sorted(folder.glob("sp_*.fits"))]
    # what nobody has confirmed may be a galaxy
    seeing = [number(cards, "SEEING") for cards in spectra if truth(cards.get("PROVIS")) is not True]
    exposures = [_exposure(path) for path in sorted(folder.glob("e3d_*.fits"))]
    return NightFigures(
        night=folder.name,
        efficiency=share,
        standards=standards,
        wavelength_rms_px=number(primary_cards(folder / "wavelength.fits"), "WAVERMS"),
        read_noise_e=noise,
        gain=_gain(primary_cards(folder / "dome.fits")),
        seeing_arcsec=tuple(value for value in seeing if value is not None and value > 0),
        exposures=tuple(exposures),
    )


def primary_cards(path: Path) -> Mapping[str, Any]:
    """Cards of a file's primary header, read without the rest of the file; empty when it has none."""
    content = b""
    try:
        with open_regular(path, follow=True) as stream:
            for _ in range(_MAX_BLOCKS):
                block = stream.read(_BLOCK)
                content += block
                if len(block) < _BLOCK:
                    return {}
                if any(block[at : at + _CARD] == _END for at in range(0, _BLOCK, _CARD)):
                    return header_values(content)
    except (OSError, ValueError):
        pass
    return {}


def number(cards: Mapping[str, Any], keyword: str) -> float | None:
    """A card's value as a finite number; None when it is not one."""
    value = cards.get(keyword)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _gain(dome: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Gain by the exposures of the dome, its error, and the gain that was used."""
    measured, error, used = (number(dome, keyword) for keyword in ("PTGAIN", "PTGAINER", "RAWGAIN"))
    return None if measured is None or error is None or used is None else (measured, error, used)


def _exposure(path: Path) -> ExposureFigures:
    cards = primary_cards(path)
    stem = "_".join(path.stem.removeprefix("e3d_crr_b_").split("_")[:4])
    parts = stem.split("_")[1:]
    hour = None
    if len(parts) == 3 and all(part.isdigit() for part in parts):
        hour = int(parts[0]) + int(parts[1]) / 60 + int(parts[2]) / 3600
    return ExposureFigures(
        frame=stem,
        utc_hour=hour,
        flexure_x_px=number(cards, "FLEXX"),
        flexure_y_px=number(cards, "FLEXY"),
        background_e=number(cards, "SCATTLEV"),
        exptime_s=number(cards, "EXPTIME"),
        persistence=_persistence(cards),
    )


def _persistence(cards: Mapping[str, Any]) -> tuple[float, float] | None:
    share, error = number(cards, "PERSIST"), number(cards, "PERSERR")
    return None if share is None or error is None or error <= 0 else (share, error)


def _median(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
