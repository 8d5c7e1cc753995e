"""Second pass of cosmic rays: samples of the cube that are sharper on the sky than the air allows.

What the search in the frame misses lies on a spectrum and is no sharper than its profile. In the cube it is: light
comes through the air, so that a spaxel never has a feature that its neighbours on the sky lack; a hit or a broken pixel
is in one spaxel, because spaxels side by side on the sky have their bins of one wavelength far apart on the detector.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import Cube, Mask, Spaxels
from sedmd.reduce.numeric.hexagon import lattice_vectors

#: Excess from which a sample is looked at, and that of a bin beside one, in units of its error.
SIGNIFICANT, BESIDE = 5.0, 2.5
#: FWHM of the sharpest image of a star [arcsec]: the sharpest of the published ones is 1.56.
SHARPEST_ARCSEC = 1.2
#: A hit has less than this share of the light that the sharpest image puts into the ring around its middle.
RING_SHARE = 0.5
#: Bins on either side that tell a spectrum's level at a bin; the nearest have a part of the same hit.
LEVEL_BINS = (2, 3, 4)
#: Fewest neighbours with data around a sample that is judged, of six.
LEAST_NEIGHBOURS = 4
#: Error beside the noise: of a line of the sky (its place and width differ from spaxel to spaxel), and of a spectrum's
#: own light (its slope and features), as a share of either.
LINE_ERROR, LIGHT_ERROR = 0.15, 0.1
#: Steps in the lattice to the six neighbours.
_AROUND = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))


def reject_hits(cube: Cube) -> tuple[Cube, int]:
    """The cube with COSMIC in the mask of samples that were hit, and their number.

    Parameters
    ----------
    cube : Cube

    Returns
    -------
    Cube, number of samples that are new in its mask
    """
    hit = find_hits(cube)
    return replace(cube, mask=cube.mask | np.where(hit, np.uint8(Mask.COSMIC), np.uint8(0))), int(hit.sum())


def find_hits(cube: Cube) -> NDArray[np.bool_]:
    """Good samples that stand out from their own spectrum and have no counterpart around them on the sky.

    Parameters
    ----------
    cube : Cube

    Returns
    -------
    (n_wave, n_spaxel) bool

    Notes
    -----
    A sample's excess is what it stands above (or below) the level of its own spectrum, the night sky at each wavelength
    taken out first. A true line of any object was blurred by the air: the six neighbours have at least
    ``sum exp(-4 ln 2 d**2 / w**2)`` times the excess of the spaxel in its middle, with d their distance and w the FWHM
    of the sharpest image; a hit's neighbours have none. Where they have less than half of that, and the excess is
    significant, it is a hit. Lines and continuum of stars, hosts and sky pass however bright they are.
    """
    around = neighbours(cube.spaxels)
    good = (cube.mask == 0) & np.isfinite(cube.flux) & np.isfinite(cube.variance) & (cube.variance > 0)
    if len(cube.spaxels.ident) < 3 or not good.any():
        return np.zeros(cube.flux.shape, bool)
    flux = np.where(good, cube.flux, np.nan).astype(np.float32)
    sky = _median(flux.T)[:, None]
    sky_line = np.nan_to_num(sky - _level(sky))
    without = flux - sky
    level = _level(without)
    excess = np.where(np.isfinite(level), without - level, np.nan)
    noise = 1.25 * _own_variance(np.where(good, cube.variance, np.nan).astype(np.float32))
    doubt = (LINE_ERROR * sky_line) ** 2 + (LIGHT_ERROR * np.nan_to_num(level)) ** 2
    known = np.isfinite(excess) & np.isfinite(noise)
    pull = np.where(known, excess, 0.0) / np.sqrt(np.where(known, noise + doubt, 1.0))
    rows, columns = np.nonzero(np.abs(pull) > BESIDE)
    ring = around[columns]
    beside = np.where(ring >= 0, np.where(known, excess, np.nan)[rows[:, None], ring], np.nan)
    seen = np.isfinite(beside).sum(axis=1)
    share = np.nansum(beside, axis=1) / np.maximum(seen, 1) * len(_AROUND) / excess[rows, columns]
    lone = np.zeros(pull.shape, bool)
    lone[rows, columns] = (seen >= LEAST_NEIGHBOURS) & (share < RING_SHARE * ring_of(cube.spaxels))
    sure = lone & (np.abs(pull) > SIGNIFICANT)
    grown = sure.copy()
    for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        same = np.sign(excess[here]) == np.sign(excess[there])
        grown[here] |= lone[here] & sure[there] & same
    return grown


def neighbours(spaxels: Spaxels) -> NDArray[np.intp]:
    """(n_spaxel, 6) index of each spaxel's neighbours on the sky; -1 where there is none."""
    q, r = np.asarray(spaxels.q, np.intp), np.asarray(spaxels.r, np.intp)
    low_q, low_r = q.min() - 1, r.min() - 1
    table = np.full((q.max() - low_q + 2, r.max() - low_r + 2), -1, np.intp)
    table[q - low_q, r - low_r] = np.arange(len(q))
    return np.stack([table[q - low_q + dq, r - low_r + dr] for dq, dr in _AROUND], axis=1)


def ring_of(spaxels: Spaxels) -> float:
    """Light of the six neighbours of a spaxel in whose middle the sharpest image lies, in units of its own."""
    distance = np.hypot(*(np.array(_AROUND) @ lattice_vectors(spaxels)).T)
    return float(np.exp(-4 * np.log(2) * (distance / SHARPEST_ARCSEC) ** 2).sum())


def _level(flux: NDArray[np.floating]) -> NDArray[np.floating]:
    """Level of each spectrum at each bin, from bins on either side: (n_wave, n), NaN where fewer than three tell."""
    padded = np.pad(flux, ((LEVEL_BINS[-1], LEVEL_BINS[-1]), (0, 0)), constant_values=np.nan)
    middle, count = LEVEL_BINS[-1], len(flux)
    shifts = [middle + sign * step for step in LEVEL_BINS for sign in (-1, 1)]
    stack = np.stack([padded[shift : shift + count] for shift in shifts], axis=-1)
    few = np.isfinite(stack).sum(axis=-1) < 3
    return np.where(few, np.nan, _median(np.moveaxis(stack, -1, 0)))


def _own_variance(variance: NDArray[np.floating]) -> NDArray[np.floating]:
    """Variance of each sample without a hit's own noise, which counts as a light's: no more than the bins beside allow.

    Where a bin is noisier in all spaxels, on a line of the sky, it is as much noisier here.
    """
    usual = _median(variance.T)[:, None]
    ratio = np.pad(variance / usual, ((2, 2), (0, 0)), constant_values=np.nan)
    beside = np.fmax(np.fmax(ratio[:-4], ratio[4:]), 1.0)
    found: NDArray[np.floating] = np.fmin(variance, beside * usual)
    return found


def _median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Median along the first axis of what is finite; NaN where nothing is. Many times quicker than numpy's own."""
    ordered = np.sort(np.moveaxis(values, 0, -1), axis=-1)  # what is not a number comes last
    count = np.isfinite(ordered).sum(axis=-1)[..., None]
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)
    middle = np.take_along_axis(ordered, low, axis=-1) + np.take_along_axis(ordered, high, axis=-1)
    return np.where(count > 0, 0.5 * middle, np.nan)[..., 0]
