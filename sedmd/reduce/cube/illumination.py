"""How the sky of an exposure slopes over the field: what is left of the dome's illumination after the flat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import Cube

#: Ranges of wavelength that are measured apart [Angstrom]: an error of the illumination is the same in all of them, one
#: of the scattered light or the wavelengths is not.
RANGES = ((4500.0, 6000.0), (6000.0, 7600.0), (7600.0, 9000.0))
#: Distance over which a slope is given [arcsec].
OVER_ARCSEC = 10.0
#: Fewest spaxels that show the sky, and the largest error that is still worth a word (share of the sky).
MIN_SPAXELS, MAX_ERROR = 200, 0.01
#: Objects are above the sky: what is so many standard deviations above it, or below, is none of it.
ABOVE, BELOW, ROUNDS = 2.5, 3.5, 8
#: An object's place is that of its brightest spaxels, this many at least. Its wings fall with these powers of the
#: squared distance, in units of `WING` times `OVER_ARCSEC`: as those of seeing-limited images do, and those of a halo.
OBJECT_SPAXELS, WING, WING_POWERS = 3, 0.2, (1.5, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SkySlope:
    """Slope of the sky, share of its level in `OVER_ARCSEC`.

    Attributes
    ----------
    east, north : towards East and North
    error : 1 sigma of either: photon noise, or how far the ranges of wavelength disagree, whichever is more
    """

    east: float
    north: float
    error: float

    @property
    def size(self) -> float:
        """Steepest slope."""
        return float(np.hypot(self.east, self.north))


def sky_slope(cube: Cube) -> SkySlope | None:
    """Slope of the sky over the field.

    Parameters
    ----------
    cube : Cube, flat-fielded, sky not subtracted

    Returns
    -------
    SkySlope; None where the sky is too faint, or too few spaxels show it

    Notes
    -----
    Each spaxel's spectrum is a multiple of the median one; over the spaxels the multiples are fitted with a plane and
    curvature, and the wings of the brightest object; other objects are rejected. Airglow and moonlight change by less
    than 1e-4 in ten arcsec, so the slope is that of the flat, the dome's light against the sky's, unless twilight, or
    scattered light that was subtracted wrongly, are in it: a single exposure does not tell these apart, several in
    other parts of the sky do.
    """
    slopes, photon = [], []
    for low, high in RANGES:
        multiple, noise = _multiples(cube, (cube.wavelength >= low) & (cube.wavelength < high))
        fitted = _plane(multiple, noise, cube.spaxels.x_arcsec / OVER_ARCSEC, cube.spaxels.y_arcsec / OVER_ARCSEC)
        if fitted is None:
            return None
        slopes.append(fitted[0])
        photon.append(fitted[1])
    mean = np.mean(slopes, axis=0)
    apart = float(np.sqrt(np.mean(np.var(slopes, axis=0, ddof=1)) / len(slopes)))
    error = max(apart, float(np.sqrt(np.sum(np.square(photon))) / len(photon)))
    if not error < MAX_ERROR:
        return None
    return SkySlope(east=float(mean[0]), north=float(mean[1]), error=error)


def _multiples(cube: Cube, inside: NDArray[np.bool_]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """What multiple of the median spectrum each spaxel has, and its error; NaN and endless where it has too little."""
    flux, variance = cube.flux[inside].astype(float), cube.variance[inside].astype(float)
    good = (cube.mask[inside] == 0) & np.isfinite(flux) & (variance > 0)
    known = good.any(axis=1)
    if not known.any():
        return np.full(flux.shape[1], np.nan), np.full(flux.shape[1], np.inf)
    flux, variance, good = flux[known], variance[known], good[known]
    usual = np.nanmedian(np.where(good, flux, np.nan), axis=1)[:, None]
    # of one variance at each wavelength: a single one holds the noise of its own flux
    typical = np.nanmedian(np.where(good, variance, np.nan), axis=1)[:, None]
    weight = np.where(good, usual / typical, 0.0)
    strength = (weight * usual).sum(axis=0)
    enough = strength > 0.8 * np.median(strength)
    norm = np.where(enough, strength, 1.0)
    multiple = np.where(enough, (weight * np.where(good, flux, 0.0)).sum(axis=0) / norm, np.nan)
    return multiple, np.where(enough, 1.0 / np.sqrt(norm), np.inf)


def _plane(
    multiple: NDArray[np.floating], error: NDArray[np.floating], x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.floating], float] | None:
    """Slopes of the multiples along x and y, share of their mean, and the error; None where too few are left."""
    good = np.isfinite(multiple) & np.isfinite(error)
    if good.sum() < MIN_SPAXELS:
        return None
    ones = np.ones_like(x)
    terms = np.stack([ones, x, y, x * x, x * y, y * y, *_wings(multiple, good, x, y)], axis=1)
    used, solution, scatter = good, np.zeros(terms.shape[1]), 0.0
    for _ in range(ROUNDS):
        if used.sum() < MIN_SPAXELS:
            return None
        solution = np.linalg.lstsq(terms[used], multiple[used], rcond=None)[0]
        left = np.where(good, multiple - terms @ solution, np.inf)
        scatter = 1.4826 * float(np.median(np.abs(left[used])))
        used = good & (left < ABOVE * scatter) & (left > -BELOW * scatter)
    if used.sum() < MIN_SPAXELS or not solution[0] > 0:
        return None
    covariance = np.linalg.pinv(terms[used].T @ terms[used]) * scatter**2
    slope_error = float(np.sqrt(0.5 * (covariance[1, 1] + covariance[2, 2])) / solution[0])
    return solution[1:3] / solution[0], slope_error


def _wings(
    multiple: NDArray[np.floating], good: NDArray[np.bool_], x: NDArray[np.floating], y: NDArray[np.floating]
) -> list[NDArray[np.floating]]:
    """What the wings of the brightest object may look like: steep and flat ones, of any mixture."""
    above = np.where(good, multiple - np.median(multiple[good]), 0.0)
    top = int(np.argmax(above))
    core = np.where(above >= 0.5 * np.partition(above, -OBJECT_SPAXELS)[-OBJECT_SPAXELS], above, 0.0)
    core[np.hypot(x - x[top], y - y[top]) > WING] = 0.0
    if not core.sum() > 0:
        return []
    r2 = (x - (core * x).sum() / core.sum()) ** 2 + (y - (core * y).sum() / core.sum()) ** 2
    return [(1.0 + r2 / WING**2) ** -power for power in WING_POWERS]
