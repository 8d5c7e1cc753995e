"""The shape of the response as earlier nights measured it: what it tells a night, at which error, and as a text.

Only the shape counts, never the level: mirrors, clouds and light lost beside the array are grey. Each night tells what
its own stars measured, and nothing of what it was itself told, so that three nights are three independent witnesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

#: Distance of the samples of a shape in ln(wavelength): about that of the knots of the fit, since what lies between
#: two knots is no independent witness.
SPACING = 0.05
#: Error of the shape from one night to another, however near: haze is not grey (aerosol extinction varies by some 0.02
#: mag between photometric nights, falling towards the red; assumed from Hayes & Latham 1975), fraction.
SHAPE_NIGHT = 0.01
#: And what dust and ageing coatings add in `SHAPE_NIGHTS` nights: an assumption, as no series of nights was measured.
SHAPE_AGE, SHAPE_NIGHTS = 0.01, 30
#: What changes, changes smoothly: correlation length of the change in ln(wavelength).
SMOOTH = 0.3
#: A sample with a larger error tells nothing, as in the fit of the stars, fraction; and so do fewer samples.
MAX_ERROR, LEAST_SAMPLES = 0.5, 4
#: No sample is known better: keeps the covariance regular.
LEAST_ERROR = 1e-4
#: How far a text may have moved a sample, Angstrom.
ROUNDED = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseShape:
    """The response of one night at a few wavelengths, of arbitrary level.

    Attributes
    ----------
    wavelength : (m,) Angstrom, increasing
    log_value : (m,) natural logarithm, of mean zero
    error : (m,) 1 sigma
    """

    wavelength: NDArray[np.floating]
    log_value: NDArray[np.floating]
    error: NDArray[np.floating]

    def __str__(self) -> str:
        """``wavelength:log_value:error`` of each sample, to a tenth of an Angstrom and to 0.01 per cent."""
        samples = zip(self.wavelength, self.log_value, self.error, strict=True)
        return " ".join(f"{where:.1f}:{value:.4f}:{error:.4f}" for where, value, error in samples)

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `str` gives; ValueError if it is none."""
        rows = np.array([[float(part) for part in sample.split(":")] for sample in text.split()]).reshape(-1, 3)
        if not np.isfinite(rows).all():
            msg = f"{text[:40]!r} is no shape; expected finite wavelength:value:error"
            raise ValueError(msg)
        return cls(wavelength=rows[:, 0], log_value=rows[:, 1], error=rows[:, 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierShape:
    """The shape of an earlier night, so many nights old."""

    night: str
    age_nights: int
    shape: ResponseShape

    @property
    def drift(self) -> float:
        """1 sigma of the change of the shape since, fraction."""
        return float(np.hypot(SHAPE_NIGHT, SHAPE_AGE * self.age_nights / SHAPE_NIGHTS))


def shape_of(
    wavelength: NDArray[np.floating], value: NDArray[np.floating], error: NDArray[np.floating]
) -> ResponseShape | None:
    """Samples of a smooth response, `SPACING` apart, its ends among them; None if it tells nothing.

    Parameters
    ----------
    wavelength : (n,) Angstrom
    value : (n,) response; NaN where it is not known
    error : (n,) 1 sigma of its shape, fraction
    """
    known = np.flatnonzero(np.isfinite(value) & (np.nan_to_num(value) > 0))
    if known.size < LEAST_SAMPLES:
        return None
    log_wave = np.log(wavelength[known])
    number = max(round(float(np.ptp(log_wave)) / SPACING) + 1, 2)
    wanted = np.linspace(log_wave[0], log_wave[-1], number)
    at = known[np.unique(np.abs(log_wave[None, :] - wanted[:, None]).argmin(axis=1))]
    at = at[np.nan_to_num(error[at], nan=np.inf) < MAX_ERROR]
    if at.size < LEAST_SAMPLES:
        return None
    logs = np.log(value[at])
    return ResponseShape(wavelength=wavelength[at], log_value=logs - logs.mean(), error=error[at])


def shapes_text(earlier: Sequence[EarlierShape]) -> str:
    """Earlier nights as one text: an option of a job; empty without any."""
    return "; ".join(f"{one.night} {one.age_nights} {one.shape}" for one in earlier)


def shapes_in(text: str) -> tuple[EarlierShape, ...]:
    """Read what `shapes_text` gives."""
    found = []
    for part in filter(None, text.split("; ")):
        night, age, shape = part.split(" ", 2)
        found.append(EarlierShape(night=night, age_nights=int(age), shape=ResponseShape.of(shape)))
    return tuple(found)


def between(shape: ResponseShape, low: float, high: float) -> ResponseShape:
    """The samples from `low` to `high` [Angstrom]: a fit cannot follow a shape beyond its own ends."""
    inside = (shape.wavelength >= low - ROUNDED) & (shape.wavelength <= high + ROUNDED)
    return ResponseShape(
        wavelength=shape.wavelength[inside], log_value=shape.log_value[inside], error=shape.error[inside]
    )


def covariance(shape: ResponseShape, drift: float) -> NDArray[np.floating]:
    """(m, m): the samples' own errors, and a smooth change of 1 sigma `drift`."""
    log_wave = np.log(shape.wavelength)
    alike = np.exp(-0.5 * ((log_wave[:, None] - log_wave[None, :]) / SMOOTH) ** 2)
    return np.asarray(np.diag(np.maximum(shape.error, LEAST_ERROR) ** 2) + drift**2 * alike)


def normal_of(
    basis: NDArray[Any], log_value: NDArray[Any], covariance: NDArray[Any]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What a shape adds to the normal matrix of a fit and to its right side, its level being free.

    Parameters
    ----------
    basis : (m, n_base) terms of the fit at the samples
    log_value : (m,)
    covariance : (m, m)

    Returns
    -------
    matrix : (n_base, n_base)
    goal : (n_base,)

    Notes
    -----
    With the precision P and a level common to all samples that is solved for as well, what is left is
    P - P 1 1' P / (1' P 1): blind to any constant.
    """
    precision = np.linalg.inv(covariance)
    ones = precision.sum(axis=1)
    blind = precision - np.outer(ones, ones) / ones.sum()
    return np.asarray(basis.T @ blind @ basis), np.asarray(basis.T @ blind @ log_value)


def error_of(earlier: Sequence[EarlierShape], wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """1 sigma of the shape that all earlier nights tell together, (n,) fraction; infinite where none reaches."""
    precision = np.zeros(len(wavelength))
    for one in earlier:
        known = one.shape.wavelength
        here = np.interp(wavelength, known, np.hypot(one.shape.error, one.drift))
        reaches = (wavelength >= known[0] - ROUNDED) & (wavelength <= known[-1] + ROUNDED) & (here < MAX_ERROR)
        precision += np.where(reaches, 1.0 / here**2, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / np.sqrt(precision))


def _within(wavelength: NDArray[np.floating], samples: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which wavelengths lie between samples, and in no gap of them, as of a star that was saturated there."""
    after = np.clip(np.searchsorted(samples, wavelength), 1, len(samples) - 1)
    gap = np.log(samples[after] / samples[after - 1])
    beside = np.isclose(samples[after], wavelength, rtol=1e-6) | np.isclose(samples[after - 1], wavelength, rtol=1e-6)
    inside = (wavelength >= samples[0]) & (wavelength <= samples[-1])
    return np.asarray(inside & (beside | (gap <= 2 * SPACING)))


def shape_apart(shape: ResponseShape, own: ResponseShape) -> float:
    """How far two shapes are apart, fraction: rms over the samples of the first that both know; level subtracted.

    What their errors make of it, and twice the scatter of that, are subtracted: no less than so much. Zero for fewer
    than `LEAST_SAMPLES`.
    """
    both = _within(shape.wavelength, own.wavelength)
    if both.sum() < LEAST_SAMPLES:
        return 0.0
    where = shape.wavelength[both]
    left = shape.log_value[both] - np.interp(where, own.wavelength, own.log_value)
    variance = shape.error[both] ** 2 + np.interp(where, own.wavelength, own.error) ** 2
    weight = 1.0 / np.maximum(variance, LEAST_ERROR**2)
    # a sample that is hardly known neither shifts the level nor hides how far the others are apart
    level = float((weight * left).sum() / weight.sum())
    seen = float((weight * (left - level) ** 2).sum() / weight.sum())
    noise = len(where) / float(weight.sum())
    return float(np.sqrt(max(seen - noise * (1 + 2 * np.sqrt(2 / len(where))), 0.0)))
