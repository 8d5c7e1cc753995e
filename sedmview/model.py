"""What is shown, without any window: a target, the observer's choice, the spectrum that follows from both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

import numpy as np

from sedmd.reduce.aperture import (
    Ellipse,
    difference,
    enclosed_fraction,
    extract_ellipse,
    mean_of_pair,
    negated,
    sky_spaxels,
)
from sedmd.reduce.collapse import collapse
from sedmd.reduce.containers import Cube, FloatArray, IntArray, Spectrum
from sedmd.reduce.psf import Psf
from sedmd.reduce.sensitivity import Sensitivity, calibrate

#: What the observer can say about a spectrum; 1 and 2 are classified and uploaded.
GRADES: Mapping[int, str] = {1: "good", 2: "acceptable", 3: "poor", 4: "no object visible", 5: "bogus target"}

#: Pictures of the field: name and wavelength range in Angstrom. The first is the one the legacy windows showed.
WINDOWS: tuple[tuple[str, float, float], ...] = (
    ("red", 6500.0, 7000.0),
    ("white", 5000.0, 8000.0),
    ("blue", 4000.0, 5500.0),
    ("far red", 7700.0, 9000.0),
)

MIN_SEMI_MAJOR, MAX_SEMI_MAJOR = 0.4, 10.0


class Stage(StrEnum):
    """Where the observer is: first the scaling, then apertures and grade."""

    SCALE = "scale"
    PLACE = "place"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aperture:
    """An elliptical aperture, arcsec; the major axis runs from North through East. Every change stays within limits."""

    x_arcsec: float
    y_arcsec: float
    semi_major_arcsec: float = 2.0
    axis_ratio: float = 1.0
    angle_deg: float = 0.0

    def at(self, x: float, y: float) -> Aperture:
        return replace(self, x_arcsec=round(x, 3), y_arcsec=round(y, 3))

    def resized(self, step: float) -> Aperture:
        size = min(max(self.semi_major_arcsec + step, MIN_SEMI_MAJOR), MAX_SEMI_MAJOR)
        return replace(self, semi_major_arcsec=round(size, 3))

    def reshaped(self, step: float) -> Aperture:
        return replace(self, axis_ratio=round(min(max(self.axis_ratio + step, 0.1), 1.0), 3))

    def turned(self, step: float) -> Aperture:
        return replace(self, angle_deg=round(self.angle_deg + step, 3) % 180.0)

    @property
    def ellipse(self) -> Ellipse:
        return Ellipse(
            x_arcsec=self.x_arcsec,
            y_arcsec=self.y_arcsec,
            semi_major_arcsec=self.semi_major_arcsec,
            axis_ratio=self.axis_ratio,
            angle_deg=self.angle_deg,
        )

    def outline(self, points: int = 73) -> tuple[FloatArray, FloatArray]:
        """The ellipse as a closed curve, East and North."""
        phase = np.linspace(0, 2 * np.pi, points)
        along = self.semi_major_arcsec * np.cos(phase)
        across = self.semi_major_arcsec * self.axis_ratio * np.sin(phase)
        angle = np.deg2rad(self.angle_deg)
        x = self.x_arcsec + along * np.sin(angle) + across * np.cos(angle)
        y = self.y_arcsec + along * np.cos(angle) - across * np.sin(angle)
        return x, y


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values at the two ends of the colours, and the noise of the picture that sets the size of a step."""

    low: float
    high: float
    step: float

    def widened(self, factor: float) -> Scale:
        """Both ends apart (factor above 1) or together, about the middle; never closer than a step."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        half = max(half * factor, self.step)
        return replace(self, low=middle - half, high=middle + half)

    def with_high(self, factor: float) -> Scale:
        """The upper end further (factor above 1) from the lower one or nearer to it."""
        return replace(self, high=self.low + max((self.high - self.low) * factor, self.step))

    def with_low(self, steps: float) -> Scale:
        """The lower end moved by steps of the noise, staying below the upper one."""
        return replace(self, low=min(self.low + steps * self.step, self.high - self.step))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Everything the observer decides about one target.

    Attributes
    ----------
    a, b : Aperture, or None for `b` of a single exposure
    active : "A" or "B", the aperture that keys and clicks act on
    skysub : subtract the sky around the aperture
    point_source : allow for the light of a point source that falls beyond the aperture
    scale : Scale of the picture
    window : index in `WINDOWS`
    grade : key of `GRADES`, or None
    """

    a: Aperture
    b: Aperture | None
    scale: Scale
    active: str = "A"
    skysub: bool = True
    point_source: bool = True
    window: int = 0
    grade: int | None = None

    @property
    def aperture(self) -> Aperture:
        """The active aperture."""
        return self.b if self.active == "B" and self.b is not None else self.a

    def with_aperture(self, aperture: Aperture) -> Choice:
        return replace(self, b=aperture) if self.active == "B" and self.b is not None else replace(self, a=aperture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The night's flux calibration: its file name, the sensitivity, the extinction (n_wave,), the mean airmass."""

    source: str
    sensitivity: Sensitivity
    mag_per_airmass: FloatArray
    airmass: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One observation, loaded.

    Attributes
    ----------
    product : str
        Name of the products: ``sp_<product>.fits``.
    field_cube : Cube
        What is looked at: the cube, or A minus B.
    exptime_s : float
        Of one frame.
    refraction_a, refraction_b : (dx, dy), each (n_wave,), arcsec East and North
    meta : mapping
        Figures of the observation that go into the spectrum's header.
    psf : Psf of the brightest star in the field, or None: then light beyond the aperture cannot be allowed for
    calibration : Calibration, or None: the spectrum then stays in electrons
    paths : tuple of Path
        The cube, or the cubes of A and B.
    """

    product: str
    field_cube: Cube
    exptime_s: float
    refraction_a: tuple[FloatArray, FloatArray]
    refraction_b: tuple[FloatArray, FloatArray] | None = None
    meta: Mapping[str, float | int | str | bool | None] = field(default_factory=dict)
    psf: Psf | None = None
    calibration: Calibration | None = None
    paths: tuple[Path, ...] = ()

    @property
    def pair(self) -> bool:
        return self.refraction_b is not None

    def picture(self, window: int) -> FloatArray:
        """Mean flux of each spaxel in one of `WINDOWS`; the whole cube where the window lies outside it."""
        _, low, high = WINDOWS[window]
        wavelength = self.field_cube.wavelength
        if not np.any((wavelength >= low) & (wavelength <= high)):
            low, high = float(wavelength[0]), float(wavelength[-1])
        return collapse(self.field_cube, low, high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The spectrum of a choice and, for a pair, its two parts; the spaxels that made the sky."""

    spectrum: Spectrum
    part_a: Spectrum | None = None
    part_b: Spectrum | None = None
    sky_members: IntArray = field(default_factory=lambda: np.zeros(0, dtype=int))


def subtract_pair(cube_a: Cube, cube_b: Cube, exptime_a_s: float, exptime_b_s: float) -> Cube:
    """A minus B, on the exposure of A."""
    return difference(cube_a, cube_b, exptime_a_s=exptime_a_s, exptime_b_s=exptime_b_s)


def extract(target: Target, choice: Choice) -> Extraction:
    """The spectrum that is shown and saved: the pipeline's own extraction with the observer's apertures.

    Raises
    ------
    ValueError
        No spectrum can be made so; the text says what to do.
    """
    part_a = calibrated(_one(target, target.field_cube, choice.a, target.refraction_a, choice), target.calibration)
    members = sky_spaxels(target.field_cube.spaxels, choice.aperture.ellipse, *target.refraction_a)
    members = members if choice.skysub else members[:0]
    if target.refraction_b is None or choice.b is None:
        return Extraction(spectrum=part_a, sky_members=members)
    turned = negated(target.field_cube)
    part_b = calibrated(_one(target, turned, choice.b, target.refraction_b, choice), target.calibration)
    return Extraction(spectrum=mean_of_pair(part_a, part_b), part_a=part_a, part_b=part_b, sky_members=members)


def calibrated(spectrum: Spectrum, calibration: Calibration | None) -> Spectrum:
    """The spectrum in erg / (s cm2 Angstrom), as the pipeline calibrates it; unchanged without a calibration."""
    if calibration is None:
        return spectrum
    sensitivity, mag, airmass = calibration.sensitivity, calibration.mag_per_airmass, calibration.airmass
    flux, error = calibrate(spectrum.flux, spectrum.error, sensitivity, mag, airmass)
    sky, _ = calibrate(spectrum.sky, spectrum.sky, sensitivity, mag, airmass)
    return Spectrum(
        wavelength=spectrum.wavelength,
        flux=flux,
        error=error,
        sky=sky,
        unit="erg / (s cm2 Angstrom)",
        meta=dict(spectrum.meta) | {"fluxcal": True, "fluxcal_source": calibration.source},
    )


def first_choice(target: Target) -> Choice:
    """Apertures on the brightest (and, in A minus B, the most negative) spot of the field; robust colours."""
    values = target.picture(0)
    x, y = target.field_cube.spaxels.x_arcsec, target.field_cube.spaxels.y_arcsec
    smooth = _neighbour_median(target, values)
    if np.isfinite(smooth).any():
        bright = int(np.nanargmax(smooth))
        a = Aperture(x_arcsec=float(x[bright]), y_arcsec=float(y[bright]))
        dark = int(np.nanargmin(smooth))
        b = Aperture(x_arcsec=float(x[dark]), y_arcsec=float(y[dark])) if target.pair else None
    else:
        a = Aperture(x_arcsec=0.0, y_arcsec=0.0)
        b = a if target.pair else None
    return Choice(a=a, b=b, scale=robust_scale(values, symmetric=target.pair))


def centred(target: Target, choice: Choice) -> Aperture | None:
    """The active aperture, moved to the centre of the light in it; None when nothing stands out of the noise there.

    Flux-weighted mean over the spaxels inside, above the median of the field, repeated from each new place.
    """
    sign = -1.0 if choice.active == "B" and choice.b is not None else 1.0
    values = sign * target.picture(choice.window)
    x, y = target.field_cube.spaxels.x_arcsec, target.field_cube.spaxels.y_arcsec
    known = np.isfinite(values)
    if not known.any():
        return None
    sky = float(np.median(values[known]))
    noise = float(1.4826 * np.median(np.abs(values[known] - sky)))
    aperture = choice.aperture
    for _ in range(10):
        inside = known & (aperture.ellipse.radius2(x - aperture.x_arcsec, y - aperture.y_arcsec) < 1)
        light = np.where(inside, values - sky, 0.0)
        # the middle of mere noise is no object
        if light.sum() <= 5 * noise * np.sqrt(max(inside.sum(), 1)):
            return None
        light = np.maximum(light, 0.0)
        aperture = aperture.at(float(np.sum(light * x) / light.sum()), float(np.sum(light * y) / light.sum()))
    return aperture


def robust_scale(values: FloatArray, *, symmetric: bool) -> Scale:
    """Colours that show noise and object: for A minus B symmetric about zero, else from below the sky upwards."""
    good = values[np.isfinite(values)]
    if len(good) == 0:
        return Scale(low=0.0, high=1.0, step=0.1)
    middle = float(np.median(good))
    sigma = max(float(1.4826 * np.median(np.abs(good - middle))), 1e-6 * max(abs(middle), 1.0))
    if symmetric:
        reach = max(5 * sigma, 0.7 * float(np.percentile(np.abs(good), 99.5)))
        return Scale(low=-reach, high=reach, step=sigma)
    return Scale(low=middle - 2 * sigma, high=max(middle + 6 * sigma, float(np.percentile(good, 99.7))), step=sigma)


def _one(
    target: Target, cube: Cube, aperture: Aperture, refraction: tuple[FloatArray, FloatArray], choice: Choice
) -> Spectrum:
    sky: Literal["annulus", "none"] = "annulus" if choice.skysub else "none"
    spectrum = extract_ellipse(
        cube,
        x_arcsec=aperture.x_arcsec,
        y_arcsec=aperture.y_arcsec,
        semi_major_arcsec=aperture.semi_major_arcsec,
        axis_ratio=aperture.axis_ratio,
        angle_deg=aperture.angle_deg,
        dx_dispersion=refraction[0],
        dy_dispersion=refraction[1],
        sky=sky,
        exptime_s=target.exptime_s,
    )
    if target.psf is None or not choice.point_source:
        return spectrum
    share = enclosed_fraction(cube, target.psf, aperture.ellipse, *refraction, sky=sky)
    whole = np.where(share > 0.1, share, np.nan)
    return Spectrum(
        wavelength=spectrum.wavelength,
        flux=spectrum.flux / whole,
        error=spectrum.error / whole,
        sky=spectrum.sky,
        unit=spectrum.unit,
        meta=dict(spectrum.meta)
        | {"aperture_share": float(np.median(share)), "seeing_arcsec": float(target.psf.fwhm_arcsec)},
    )


def _neighbour_median(target: Target, values: FloatArray) -> FloatArray:
    """Median of each spaxel and its six neighbours: a single hot spaxel is not a star."""
    spaxels = target.field_cube.spaxels
    place = {(int(q), int(r)): index for index, (q, r) in enumerate(zip(spaxels.q, spaxels.r, strict=True))}
    steps = ((0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))
    stack = np.full((len(steps), len(values)), np.nan)
    for row, (dq, dr) in enumerate(steps):
        indices = [place.get((int(q) + dq, int(r) + dr), -1) for q, r in zip(spaxels.q, spaxels.r, strict=True)]
        found = np.array(indices)
        stack[row] = np.where(found >= 0, values[found], np.nan)
    enough = np.isfinite(stack).sum(axis=0) >= 5
    median = np.full(len(values), np.nan)
    median[enough] = np.nanmedian(stack[:, enough], axis=0)
    return median
