"""What share of the sky's light each spaxel of an exposure shows, away from all objects."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array
from scipy.spatial import cKDTree

from sedmd.reduce.cube.correlation import bin_correlation
from sedmd.reduce.cube.illumination import OVER_ARCSEC, RANGES
from sedmd.reduce.numeric.containers import Cube

#: Fewest spaxels of clean sky, and the largest error of a typical one that is still worth anything (share of the sky).
MIN_CLEAN, MAX_ERROR = 200, 0.05
#: A spaxel has a share if it shows so much of the light of a range of wavelength: the rest is masked or off the chip.
LEAST_LIGHT = 0.8
#: An object stands so many standard deviations above the sky in the mean over so many arcsec about a spaxel: a point,
#: or a galaxy.
ABOVE, SCALES_ARCSEC, MOST_OBJECTS = 4.0, (1.0, 3.0), 30
#: Rejection from the smooth sky, standard deviations, and its terms.
FARTHEST, ROUNDS, TERMS = 3.5, 5, 6
#: The image of an object falls as a Moffat profile at the worst: radius [arcsec] and power. Spaxels where it may have
#: more than this share of their error are none of the sky's, and never those nearer than the least radius, which holds
#: what refraction moves; nothing is known beyond the largest.
WING_ARCSEC, WING_POWER, WING_SHARE = 2.0, 2.5, 0.2
LEAST_ARCSEC, MOST_ARCSEC = 3.0, 12.0
#: Share of an object's light that may lie over the whole field as its halo, in the telescope and on the detector: as
#: much is left of what the background of the spectra takes of it.
HALO_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyShare:
    """Share of the sky's mean light that the spaxels of an exposure show.

    Attributes
    ----------
    share : (n,) 1 in the mean; NaN where an object, or nothing, is
    error : (n,) 1 sigma of single spaxels: photons, read noise, and what the ranges of wavelength disagree by beyond
        that; infinite where the share is not known
    smooth_error : 1 sigma of slope and curvature, rms over the field of each of their five terms: what the ranges
        disagree by, and the halos of the objects
    apart : rms of what the ranges disagree by in single spaxels, beyond their noise: a colour of the illumination
    """

    share: NDArray[np.floating]
    error: NDArray[np.floating]
    smooth_error: float
    apart: float


def sky_share(cube: Cube, *, place: tuple[float, float] | None = None, within_arcsec: float = 0.0) -> SkyShare | None:
    """Share of the sky's light in each spaxel.

    Parameters
    ----------
    cube : Cube, flat-fielded, sky not subtracted
    place : where an object is expected [arcsec], seen or not: what is not seen in one exposure adds up in many
    within_arcsec : what lies so near to that place is none of the sky's

    Returns
    -------
    SkyShare; None where too few spaxels show the sky, or it is too faint

    Notes
    -----
    A share is the light of a range of wavelength over that of the median spaxel: a plain sum, so that a line which is
    wider in one spaxel than in others counts the same. Each range is fitted by itself. The sky is a plane with
    curvature, of which objects stand out; the slope stays in the shares.
    """
    each = [_shares(cube, (cube.wavelength >= low) & (cube.wavelength < high)) for low, high in RANGES]
    values, errors = np.array([one[0] for one in each]), np.array([one[1] for one in each])
    known = np.isfinite(errors).all(axis=0)
    if known.sum() < MIN_CLEAN:
        return None
    photon = np.full(known.size, np.inf)
    photon[known] = 1.0 / np.sqrt((errors[:, known] ** -2.0).sum(axis=0))
    grey = np.full(known.size, np.nan)
    grey[known] = (values[:, known] / errors[:, known] ** 2).sum(axis=0) * photon[known] ** 2
    x, y = cube.spaxels.x_arcsec, cube.spaxels.y_arcsec
    expected = known & (np.hypot(x - place[0], y - place[1]) < within_arcsec) if place else np.zeros(known.size, bool)
    clean = _clean(grey, known & ~expected, x, y)
    if clean.sum() < MIN_CLEAN or not np.median(photon[clean]) < MAX_ERROR:
        return None
    level = float(np.mean(grey[clean]))
    if not level > 0:
        return None
    maps, apart = _by_range(values, errors, clean, x, y)
    halo = HALO_SHARE * max(float((grey - maps.mean(axis=0))[known & ~clean].sum()), 0.0) / known.sum()
    ranges = float(np.sqrt(np.mean(np.var(maps[:, known], axis=0, ddof=1)) / len(RANGES) / (TERMS - 1)))
    return SkyShare(
        share=np.where(clean, grey / level, np.nan),
        error=np.where(clean, np.sqrt(photon**2 + apart**2 / len(RANGES)) / level, np.inf),
        smooth_error=float(np.hypot(halo, ranges)) / level,
        apart=apart / level,
    )


def _shares(cube: Cube, inside: NDArray[np.bool_]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Light of a range over that of the median spaxel, and its error; NaN and infinite where there is too little."""
    flux, variance = cube.flux[inside].astype(float), cube.variance[inside].astype(float)
    good = (cube.mask[inside] == 0) & np.isfinite(flux) & (variance > 0)
    known = good.any(axis=1)
    if not known.any():
        return np.full(flux.shape[1], np.nan), np.full(flux.shape[1], np.inf)
    flux, variance, good = flux[known], variance[known], good[known]
    usual = np.nanmedian(np.where(good, flux, np.nan), axis=1)
    # neighbouring bins share columns: the variance of a sum is more than the sum of the variances
    more = 1.0
    if cube.columns is not None:
        more += 2.0 * float(np.median(bin_correlation(cube.columns[inside][known]).sum(axis=1)))
    light = np.where(good, usual[:, None], 0.0).sum(axis=0)
    enough = light > LEAST_LIGHT * usual.sum() if usual.sum() > 0 else np.zeros(light.size, bool)
    norm = np.where(enough, light, 1.0)
    share = np.where(enough, np.where(good, flux, 0.0).sum(axis=0) / norm, np.nan)
    error = np.sqrt(more * np.where(good, variance, 0.0).sum(axis=0)) / norm
    return share, np.where(enough, error, np.inf)


def _clean(
    grey: NDArray[np.floating], usable: NDArray[np.bool_], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """The usable spaxels without an object: the highest one after the other is taken out."""
    clean = usable.copy()
    tree = cKDTree(np.column_stack([x, y]))
    near = [tree.sparse_distance_matrix(tree, radius, output_type="coo_matrix").tocsr() for radius in SCALES_ARCSEC]
    near = [((one > 0) + eye_array(usable.size)).astype(float) for one in near]
    for _ in range(MOST_OBJECTS):
        if clean.sum() < MIN_CLEAN:
            break
        smooth = _sky(grey, clean, x, y)
        left = np.where(clean, grey - smooth, 0.0)
        # only what is clean is asked: what a fit says of the rest is extrapolated
        sure, at = max(_highest(left, clean, one) for one in near)
        if sure < ABOVE:
            break
        beside = np.hypot(x - x[at], y - y[at])
        peak = float(np.max(left[clean & (beside < SCALES_ARCSEC[-1])]))
        clean &= beside > _reach(peak, _scatter(left[clean]))
    return clean


def _highest(left: NDArray[np.floating], clean: NDArray[np.bool_], near: csr_array) -> tuple[float, int]:
    """How many standard deviations the mean over the neighbours is above zero at the most, and in which spaxel."""
    count, whole = near @ clean.astype(float), near @ np.ones(clean.size)
    asked = clean & (count > 0.5 * np.median(whole))
    if asked.sum() < MIN_CLEAN:
        return 0.0, 0
    # at the edge there are fewer of them
    mean = np.where(asked, near @ left / np.sqrt(np.maximum(count, 1.0)), 0.0)
    at = int(np.argmax(mean))
    return float(mean[at]) / max(_scatter(mean[asked]), 1e-12), at


def smooth_terms(x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.floating]:
    """1, x, y, x**2, x y, y**2 of positions [arcsec] in units of ten arcsec: a plane with curvature. (n, 6)"""
    u, v = x / OVER_ARCSEC, y / OVER_ARCSEC
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)


def _scatter(values: NDArray[np.floating]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _reach(peak: float, error: float) -> float:
    """How far [arcsec] an object of such a peak covers the sky."""
    ratio = max(peak, 0.0) / (WING_SHARE * max(error, 1e-6))
    radius = WING_ARCSEC * np.sqrt(max(ratio ** (1.0 / WING_POWER) - 1.0, 0.0))
    return float(np.clip(radius, LEAST_ARCSEC, MOST_ARCSEC))


def _sky(
    grey: NDArray[np.floating], clean: NDArray[np.bool_], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Plane with curvature through the clean spaxels, what lies off it rejected. (n,)"""
    terms = smooth_terms(x, y)
    used, smooth = clean, np.zeros(clean.size)
    for _ in range(ROUNDS):
        smooth = terms @ np.linalg.lstsq(terms[used], grey[used], rcond=None)[0]
        left = np.where(clean, grey - smooth, np.inf)
        used = clean & (np.abs(left) < FARTHEST * _scatter(left[used]))
    return smooth


def _by_range(
    values: NDArray[np.floating],
    errors: NDArray[np.floating],
    clean: NDArray[np.bool_],
    x: NDArray[np.floating],
    y: NDArray[np.floating],
) -> tuple[NDArray[np.floating], float]:
    """The smooth sky of each range, (n_range, n), and the robust rms of what spaxels disagree by beyond their noise."""
    maps = np.array([_sky(one, clean, x, y) for one in values])
    left = values[:, clean] - maps[:, clean]
    excess = [
        _scatter(left[a] - left[b]) ** 2 - float(np.median(errors[a, clean] ** 2 + errors[b, clean] ** 2))
        for a, b in combinations(range(len(values)), 2)
    ]
    return maps, float(np.sqrt(max(float(np.mean(excess)) / 2.0, 0.0)))
