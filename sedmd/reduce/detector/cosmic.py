"""Cosmic rays on single long exposures, by L.A.Cosmic (van Dokkum 2001)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.cosmic import EDGE, REACH, are_sharp, fill, grow, significance
from sedmd.reduce.numeric.containers import Image, Mask

#: Exposures shorter than this pass uncleaned (kpy CosmicX minexptime).
MIN_EXPTIME_S = 60.0
#: Excess over the surroundings, in units of the noise, from which a pixel stands out; and that of a neighbour of a
#: cosmic ray, as a share of it (kpy's Makefile).
SIGNIFICANT, NEIGHBOUR_SHARE = 8.0, 0.3
#: Excess over fine structure from which what stands out is too sharp for light; raised from kpy's 1.8, which ate real
#: spectral lines.
CONTRAST = 4.8
#: Rounds of search; what a bright ray hides shows when it is gone.
ROUNDS = 4
#: FWHM of the narrowest image across the dispersion [pixel].
IMAGE_FWHM_PX = 2.0
#: Side of the tiles of a frame that are searched again, or not, in the next round [pixel]: more than twice `REACH`.
TILE = 32


def clean_cosmics(image: Image) -> Image:
    """Mark and replace cosmic rays.

    Parameters
    ----------
    image : Image, electron

    Returns
    -------
    Image with COSMIC set in the mask; the cleaned pixels hold the average of their good neighbours, for people who look
    at the frame. No later step uses the value of a masked pixel.
    """
    bad = (image.mask & np.uint8(Mask.NO_DATA | Mask.BAD_PIXEL)) != 0
    hit, clean = find_cosmics(image.data, read_noise=image.read_noise, bad=bad)
    mask = image.mask | np.where(hit, np.uint8(Mask.COSMIC), np.uint8(0))
    variance: NDArray[np.floating] = np.maximum(clean, 0).astype(np.float32) + np.float32(image.read_noise**2)
    return Image(data=clean, variance=variance, mask=mask, read_noise=image.read_noise)


def find_cosmics(
    data: NDArray[np.floating], *, read_noise: float, bad: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    """Cosmic rays of a frame, and the frame without them.

    Parameters
    ----------
    data : (n_y, n_x) electron, finite
    read_noise : float, electron
    bad : (n_y, n_x) bool, pixels that are not judged, nor those that touch them

    Returns
    -------
    hit : (n_y, n_x) bool
    clean : (n_y, n_x) float32, electron

    Notes
    -----
    Mask and frame are those that ``astroscrappy.detect_cosmics`` gives with these parameters, ``sepmed``,
    ``cleantype="meanmask"``, ``fsmode="convolve"`` and ``psfmodel="gaussy"``.
    """
    clean = np.array(data, np.float32, order="C")
    hit = np.zeros(clean.shape, bool)
    if min(clean.shape) <= 2 * EDGE:
        return hit, clean
    near_bad = _with_neighbours(bad)
    square = np.float32(read_noise) * np.float32(read_noise)
    variance = clean + square
    noise, excess, scratch = np.empty_like(clean), np.empty_like(clean), np.empty((2, *clean.shape), np.float32)
    kernel, limit = _kernel(), np.float32(SIGNIFICANT)
    stale = np.ones([-(-size // TILE) for size in clean.shape], bool)
    for _ in range(ROUNDS):
        significance(clean, variance, _boxes(stale, clean.shape), noise, excess, scratch)
        peaks = np.flatnonzero((excess > limit) & ~near_bad)
        peaks = peaks[stale[peaks // clean.shape[1] // TILE, peaks % clean.shape[1] // TILE]]
        sharp = peaks[are_sharp(clean, noise, excess, kernel, np.float32(CONTRAST), peaks)]
        around = grow(excess, near_bad, limit, sharp, np.zeros_like(hit))
        new = grow(excess, near_bad, limit * np.float32(NEIGHBOUR_SHARE), around, hit)
        if not new.size:
            break  # the frame stays as it is, and so would all that follows from it
        stale = _tiles_near(new, clean.shape)
        for values in (clean, variance):
            if fill(values, hit, near_bad, new, np.float32(np.nan)):  # some have no good pixel around them
                usual = _lower_median(np.asarray(data, np.float32)[~near_bad])
                fill(values, hit, near_bad, new, usual if values is clean else usual + square)
    return hit, clean


def _kernel() -> NDArray[np.floating]:
    """Share of a row of 7 pixels in the image of a point: (7,) float32, Gaussian; each column has the same."""
    rows = np.arange(7) - 3
    profile = np.exp(-0.5 * rows**2 * (2.35482 / IMAGE_FWHM_PX) ** 2).astype(np.float32)
    found: NDArray[np.floating] = profile / np.repeat(profile, 7).sum()
    return found


def _with_neighbours(bad: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Bad pixels and the eight around each; the outermost pixels of the frame only if they are bad themselves."""
    rows = bad[1:-1] | bad[:-2] | bad[2:]
    near = bad.copy()
    near[1:-1, 1:-1] = rows[:, 1:-1] | rows[:, :-2] | rows[:, 2:]
    return near


def _lower_median(values: NDArray[np.floating]) -> np.floating:
    """Median; of an even number of values the lower of the two in the middle."""
    middle = (values.size - 1) // 2
    return np.float32(np.partition(values, middle)[middle])


def _boxes(stale: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """The tiles that are stale, those side by side as one: (n, 4) first row, row after the last, and columns."""
    steps = np.diff(np.pad(stale, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(steps == 1)
    stop = np.nonzero(steps == -1)[1]
    ends = np.minimum(TILE * (row + 1), shape[0]), np.minimum(TILE * stop, shape[1])
    return np.stack([TILE * row, ends[0], TILE * first, ends[1]], axis=1)


def _tiles_near(pixels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The tiles in which new cosmic rays change anything."""
    near = np.zeros([-(-size // TILE) for size in shape], bool)
    for reach_y in (-REACH, REACH):
        for reach_x in (-REACH, REACH):
            y = np.clip(pixels // shape[1] + reach_y, 0, shape[0] - 1)
            x = np.clip(pixels % shape[1] + reach_x, 0, shape[1] - 1)
            near[y // TILE, x // TILE] = True
    return near
