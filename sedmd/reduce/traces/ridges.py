"""Find the ridges that the spaxels' spectra draw on a dome frame, column by column, and link them into chains.

Nothing is assumed of the lattice, the number of spaxels or the lamp's spectrum; only that the dispersion runs along
the columns, that a ridge is a few pixels high and climbs by much less than a pixel per column, and that the dome's
spectrum has one hump: it fades towards both ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Height of a ridge, in units of the lower of the summits on both sides, below which one spectrum ends and the next
#: begins. At its ends a spectrum has a hundredth of its light; the dome's lamp alone makes no such valley.
VALLEY = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Chains:
    """Ridge points grouped by chain.

    Attributes
    ----------
    x, y, height : (n_points,) column, row (sub-pixel) and filtered height of each ridge point, sorted by chain and x
    chain : (n_points,) int, number of the chain of each point, 0..n-1
    n : int, number of chains
    """

    x: NDArray[np.floating]
    y: NDArray[np.floating]
    height: NDArray[np.floating]
    chain: NDArray[np.int64]
    n: int


def ridge_filter(
    image: NDArray[np.floating], sigma_px: float = 1.4, along_px: int = 9
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Respond to narrow horizontal ridges and to nothing that is flat or sloping over a few rows.

    Parameters
    ----------
    image : (n_y, n_x) electron
    sigma_px : standard deviation of the ridge across the dispersion
    along_px : length of the running mean along the dispersion

    Returns
    -------
    response : (n_y, n_x) minus the second derivative of the Gaussian-smoothed image times sigma**2 (Lindeberg 1998,
        the scale-normalised strength of a straight ridge)
    photon_noise : (n_y, n_x) rms of `response` that the photons of the image alone would cause
    """
    smooth = ndimage.uniform_filter1d(np.asarray(image, np.float32), along_px, axis=1)
    response = -(sigma_px**2) * ndimage.gaussian_filter1d(smooth, sigma_px, axis=0, order=2)
    impulse = np.zeros(41)
    impulse[20] = 1.0
    gain = sigma_px**2 * np.sqrt((ndimage.gaussian_filter1d(impulse, sigma_px, order=2) ** 2).sum() / along_px)
    # A running sum in single precision may end a little below zero.
    level = np.maximum(ndimage.uniform_filter1d(np.maximum(smooth, 0), 9, axis=0), 0)
    return response, (gain * np.sqrt(level)).astype(np.float32)


def find_chains(
    image: NDArray[np.floating],
    *,
    read_noise: float,
    significance: float = 8.0,
    contrast: float = 0.01,
    step_px: int = 3,
    max_jump_px: float = 0.6,
    max_gap_steps: int = 3,
    min_length_px: int = 60,
) -> Chains:
    """Find the ridges of a dome frame.

    Parameters
    ----------
    image : (n_y, n_x) electron, bias-subtracted dome frame
    read_noise : electron rms per pixel of that frame
    significance : height of a ridge point in units of the noise of the filtered image
    contrast : height of a ridge point in units of the 99th percentile of the filtered image; keeps the ripples in the
        wings of bright ridges out
    step_px : columns between two samples
    max_jump_px : largest change of row between linked samples
    max_gap_steps : samples that may be missing in a chain (a dead column, a cosmic ray)
    min_length_px : shorter chains are dropped (cosmic rays, ghosts)

    Returns
    -------
    Chains
    """
    response, noise = ridge_filter(image)
    threshold = np.maximum(significance * np.hypot(noise, 0.35 * read_noise), contrast * np.percentile(response, 99))
    xs: list[NDArray[Any]] = []
    ys: list[NDArray[Any]] = []
    hs: list[NDArray[Any]] = []
    cs: list[NDArray[Any]] = []
    open_y, open_chain, open_age = np.empty(0), np.empty(0, int), np.empty(0, int)
    n_chains = 0
    for x in range(0, image.shape[1], step_px):
        y, height = _column_peaks(response[:, x], threshold[:, x])
        chain = np.full(y.size, -1)
        if open_y.size and y.size:
            order = np.argsort(open_y)
            candidate = order[_nearest(open_y[order], y)]
            distance = np.abs(open_y[candidate] - y)
            # Two points may want the same chain: the nearer one has it.
            best = np.full(open_y.size, np.inf)
            np.minimum.at(best, candidate, distance)
            linked = (distance < max_jump_px) & (distance <= best[candidate])
            chain[linked] = open_chain[candidate[linked]]
        fresh = chain < 0
        chain[fresh] = n_chains + np.arange(fresh.sum())
        n_chains += int(fresh.sum())
        for store, values in zip((xs, ys, hs, cs), (np.full(y.size, float(x)), y, height, chain), strict=True):
            store.append(values)
        # A chain without a point here stays open for a few samples.
        waiting = ~np.isin(open_chain, chain) & (open_age < max_gap_steps)
        open_y = np.concatenate([y, open_y[waiting]])
        open_chain = np.concatenate([chain, open_chain[waiting]])
        open_age = np.concatenate([np.zeros(y.size, int), open_age[waiting] + 1])
    return _collect(xs, ys, hs, cs, min_length_px)


def _column_peaks(
    column: NDArray[np.floating], threshold: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Local maxima above `threshold` with a parabolic sub-pixel row."""
    centre = column[1:-1]
    peak = np.flatnonzero((centre > column[:-2]) & (centre >= column[2:]) & (centre > threshold[1:-1])) + 1
    low, mid, high = column[peak - 1], column[peak], column[peak + 1]
    shift = 0.5 * (low - high) / (low - 2 * mid + high)
    return (peak + shift).astype(float), mid.astype(float)


def _nearest(sorted_values: NDArray[np.floating], wanted: NDArray[np.floating]) -> NDArray[np.int64]:
    """Index of the nearest of `sorted_values` for each of `wanted`."""
    right = np.clip(np.searchsorted(sorted_values, wanted), 1, max(sorted_values.size - 1, 1))
    left = right - 1
    right = np.minimum(right, sorted_values.size - 1)
    return np.where(np.abs(wanted - sorted_values[left]) <= np.abs(sorted_values[right] - wanted), left, right)


def _collect(xs: list[Any], ys: list[Any], hs: list[Any], cs: list[Any], min_length_px: int) -> Chains:
    """Sort the points by chain and column, part the chains at their valleys and drop the short ones."""
    x, y, h, numbers = (np.concatenate(a) if a else np.empty(0) for a in (xs, ys, hs, cs))
    order = np.lexsort((x, numbers))
    x, y, h, c = x[order], y[order], h[order], _parted(numbers[order].astype(np.int64), h[order])
    if c.size:
        first = np.full(c.max() + 1, np.inf)
        last = np.full(c.max() + 1, -np.inf)
        np.minimum.at(first, c, x)
        np.maximum.at(last, c, x)
        keep = (last - first)[c] >= min_length_px
        x, y, h, c = x[keep], y[keep], h[keep], c[keep]
    _, c = np.unique(c, return_inverse=True)
    return Chains(x=x, y=y, height=h, chain=c, n=int(c.max() + 1) if c.size else 0)


def _parted(chain: NDArray[np.int64], height: NDArray[np.floating]) -> NDArray[np.int64]:
    """New numbers of the chains, those parted that run from one spectrum into the next on the same rows.

    Parameters
    ----------
    chain, height : (n_points,) number of the chain, in groups, and filtered height of the points along it

    Returns
    -------
    (n_points,) numbers that rise by one from each chain or part to the next
    """
    if not chain.size:
        return chain
    cut = np.diff(chain, prepend=chain[0] - 1) != 0
    waiting = list(zip(np.flatnonzero(cut), np.r_[np.flatnonzero(cut)[1:], chain.size], strict=True))
    while waiting:
        start, end = waiting.pop()
        own = height[start:end]
        summit = np.minimum(np.maximum.accumulate(own), np.maximum.accumulate(own[::-1])[::-1])
        lowest = int(np.argmin(own / summit))
        if own[lowest] < VALLEY * summit[lowest]:
            cut[start + lowest] = True
            waiting += [(start, start + lowest), (start + lowest, end)]
    return np.cumsum(cut) - 1
