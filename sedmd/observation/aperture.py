"""An observer's placement on an observation, and the spectrum that it gives: what is shown is what is saved.

The spectrum is that of the apertures, or the pipeline's own: PSF and host fitted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sedmd.observation.calibrate import calibrated
from sedmd.observation.cutouts import cutouts_of
from sedmd.observation.decisions import Placement
from sedmd.observation.extract import find_target, fit_cards, fitted_spectrum, median_snr
from sedmd.observation.load import Observation
from sedmd.observation.meta import in_order
from sedmd.observation.seeing import TargetPrior
from sedmd.products.fitsio import Cards
from sedmd.reduce.numeric.containers import Cube, FloatArray, IntArray, Spectrum
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target.aperture import (
    Ellipse,
    Measured,
    enclosed_fraction,
    mean_of_pair,
    measure_ellipse,
    negated,
)
from sedmd.reduce.target.automatic import Automatic
from sedmd.reduce.target.psf import Psf

#: Of a bin in which the aperture holds less of a star's light than this nothing can be said.
LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one aperture gave: the spectrum, calibrated where that is possible, and the spaxels it was made of."""

    spectrum: Spectrum
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The spectrum of a placement.

    Attributes
    ----------
    spectrum : Spectrum
    parts : tuple of Part
        Those of the apertures: one, or A and B; none where PSF and host were fitted.
    cards : mapping
        Further cards, on the fit.
    left : (n_wave, n_spaxel) or None
        Data minus all that was fitted, in the unit of the field's cube; NaN where nothing was. None for apertures.
    """

    spectrum: Spectrum
    parts: tuple[Part, ...] = ()
    cards: Cards = field(default_factory=dict)
    left: FloatArray | None = None

    @property
    def fitted(self) -> bool:
        """It is the fit of PSF and host, and no aperture's."""
        return not self.parts


def extract(observation: Observation, placement: Placement) -> Extraction:
    """The spectrum that is shown and saved.

    Of a pair the mean of both places in A minus B, or the fit of both exposures together.

    Parameters
    ----------
    observation : Observation
    placement : Placement
        With an aperture B if, and only if, the observation is a pair.

    Raises
    ------
    ValueError
        No spectrum can be made so; the text says what to do.
    """
    return Extractor(observation).extract(placement)


def fit(observation: Observation, expected: TargetPrior) -> tuple[Automatic, Extraction | None]:
    """The pipeline's own extraction: what was found, and its calibrated spectrum; None where nothing was found."""
    exposures, subject = observation.exposures, observation.inputs.subject
    field, _ = (None, []) if subject.standard else cutouts_of(observation.inputs, exposures)
    found = find_target(exposures, subject, expected, field)
    if found.point is None:
        return found, None
    electrons = fitted_spectrum(exposures, subject, found)
    spectrum = calibrated(electrons, observation.calibration, observation.airmass)
    snr = (median_snr(spectrum), "median S/N per bin, 4500-8500 Angstrom")
    cards: Cards = {**fit_cards(exposures, found), "SNRMED": snr}
    left = found.point.left[0]
    if observation.pair:
        a_s, b_s = observation.exptimes_s
        left = left - a_s / b_s * found.point.left[1]
    return found, Extraction(spectrum=spectrum, cards=cards, left=left)


class Extractor:
    """Extracts again only what changed: while one aperture of a pair is dragged the other one's part is kept.

    Parameters
    ----------
    observation : Observation
    """

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self._negative = negated(observation.field_cube) if observation.pair else observation.field_cube
        self._parts: dict[tuple[object, ...], Part] = {}
        self._fits: dict[TargetPrior, Extraction] = {}

    def keep(self, expected: TargetPrior, fitted: Extraction) -> None:
        """A fit that was made already: a second for each cube."""
        self._fits[expected] = fitted

    def extract(self, placement: Placement) -> Extraction:
        """As `extract`, bit for bit. Raises ValueError."""
        if self.observation.pair != (placement.b is not None):
            raise ValueError("a pair needs the apertures A and B, a single exposure A only")
        return self._aperture(placement) if placement.fit is None else self._fit(placement.fit)

    def _fit(self, expected: TargetPrior) -> Extraction:
        if expected not in self._fits:
            found, fitted = fit(self.observation, expected)
            if fitted is None:
                raise ValueError(f"{found.checks[0].why}; place an aperture by hand")
            self._fits[expected] = fitted
        return self._fits[expected]

    def _aperture(self, placement: Placement) -> Extraction:
        parts: list[Part] = []
        fresh: dict[tuple[object, ...], Part] = {}
        for side, (ellipse, psf) in enumerate(_sides(placement)):
            key = (side, ellipse, psf, placement.skysub)
            part = self._parts.get(key)
            if part is None:
                cube = self._negative if side else self.observation.field_cube
                part = _part(self.observation, cube, ellipse, side, psf, skysub=placement.skysub)
            parts.append(part)
            fresh[key] = part
        self._parts = fresh
        return Extraction(spectrum=_whole(self.observation, [part.spectrum for part in parts]), parts=tuple(parts))


def with_grade(spectrum: Spectrum, quality: int, reducer: str) -> Spectrum:
    """The spectrum with the observer's verdict in its figures; what the pipeline thought of it is not part of that."""
    meta = {key: value for key, value in spectrum.meta.items() if key != "confidence"}
    return replace(spectrum, meta=meta | {"quality": quality, "reducer": reducer})


def _sides(placement: Placement) -> list[tuple[Ellipse, Psf | None]]:
    """Aperture and image of a star in each exposure: light beyond the aperture is corrected in all, or in none."""
    ellipses = [one for one in (placement.a, placement.b) if one is not None]
    if not placement.point_source:
        return [(one, None) for one in ellipses]
    psfs = (placement.psf_a or placement.psf_b, placement.psf_b or placement.psf_a)
    return list(zip(ellipses, psfs, strict=False))


def _part(observation: Observation, cube: Cube, ellipse: Ellipse, side: int, psf: Psf | None, *, skysub: bool) -> Part:
    dx, dy = observation.refraction[side]
    sky = "annulus" if skysub else "none"
    measured = measure_ellipse(cube, ellipse, dx, dy, sky=sky, exptime_s=observation.exptime_s)  # type: ignore[arg-type]
    spectrum = measured.spectrum
    if observation.pair and len(measured.sky):  # in A minus B there is none left to tell of
        spectrum = replace(spectrum, sky=_level(observation.cubes[side], measured.sky) / observation.exptimes_s[side])
    if psf is not None:
        share = enclosed_fraction(cube, psf, ellipse, dx, dy, sky=sky, found=measured)  # type: ignore[arg-type]
        whole = np.where(share > LEAST_SHARE, share, np.nan)
        spectrum = replace(
            spectrum,
            flux=spectrum.flux / whole,
            error=spectrum.error / whole,
            meta=dict(spectrum.meta)
            | {"aperture_share": float(np.median(share)), "seeing_arcsec": float(psf.fwhm_arcsec)},
        )
    return Part(spectrum=calibrated(spectrum, observation.calibration, observation.airmass), measured=measured)


def _level(cube: Cube, members: IntArray) -> FloatArray:
    """Mean surface brightness of some spaxels, (n_wave,) electron / Angstrom / arcsec**2; NaN where none is good."""
    flux, mask = (np.take(one, members, axis=1, mode="clip") for one in (cube.flux, cube.mask))
    good = mask == 0
    if good.all():
        mean = flux.mean(axis=1, dtype=float)
    else:
        count = good.sum(axis=1)
        total = np.where(good, flux, 0).sum(axis=1, dtype=float)
        mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return np.asarray(mean / cell_area(cube.spaxels))


def _whole(observation: Observation, spectra: Sequence[Spectrum]) -> Spectrum:
    """One spectrum of the parts, with the figures of the observation."""
    whole = spectra[0] if len(spectra) == 1 else mean_of_pair(*spectra)
    figures = observation.meta
    both = {"exptime_s": figures["exptime_s"]}  # of both exposures as they were, not of the scaled ones
    if len(spectra) == 2:
        other = spectra[1].meta
        both |= {f"{key}_b": other[key] for key in ("aperture_inside", "aperture_share") if key in other}
    return replace(whole, meta=in_order(dict(figures) | dict(whole.meta) | both))
