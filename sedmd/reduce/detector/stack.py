"""Repeated exposures as one: a median that outliers do not move, and the mean of what lies near it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.median import means_near, medians_of_stack

#: Rows that are combined at a time: the frames' share of them stays in the processor's memory.
STRIP_ROWS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """Mean of a stack of frames.

    Attributes
    ----------
    mean : (n_y, n_x) float64, of what lies near the middle; the middle itself where nothing does
    count : (n_y, n_x) int64, frames that the mean is of
    """

    mean: NDArray[np.float64]
    count: NDArray[np.int64]


def mean_of_near(
    frames: Sequence[NDArray[Any]],
    *,
    offsets: Sequence[NDArray[np.floating] | np.floating] | None = None,
    divisors: Sequence[np.floating] | None = None,
    masks: Sequence[NDArray[np.uint8]] | None = None,
    reach: Callable[[NDArray[np.floating]], NDArray[np.floating] | np.floating],
    least: bool = False,
) -> Combined:
    """Combine frames in strips, so that the memory for it does not grow with their number.

    Parameters
    ----------
    frames : n arrays (n_y, n_x), real or whole numbers
    offsets : n arrays (n_y,) to subtract from the rows of each frame
    divisors : n numbers to divide each frame by
    masks : n arrays (n_y, n_x); what is not 0 has no say in the mean
    reach : function of the middle (m,), how far off it a value still counts (m,) or one for all
    least : whether the least of the values is the middle, in place of their median

    Returns
    -------
    Combined
    """
    n, (n_y, n_x) = len(frames), frames[0].shape
    mean, count = np.empty((n_y, n_x)), np.empty((n_y, n_x), np.int64)
    stack, usable = np.empty((n, STRIP_ROWS, n_x), np.float32), np.ones((n, STRIP_ROWS, n_x), bool)
    network = sorting_network(n)
    for top in range(0, n_y, STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, n_y))
        used = rows.stop - top
        for i, frame in enumerate(frames):
            stack[i, :used] = frame[rows]
            if offsets is not None:
                stack[i, :used] -= np.asarray(offsets[i])[rows, None]
            if divisors is not None:
                stack[i, :used] /= np.float32(divisors[i])
            if masks is not None:
                np.equal(masks[i][rows], 0, out=usable[i, :used])
        values, good = (np.ascontiguousarray(array[:, :used]).reshape(n, used * n_x) for array in (stack, usable))
        middle = np.empty(used * n_x, np.float32)
        if least:
            values.min(axis=0, out=middle)
        else:
            medians_of_stack(values, network, middle)
        near = np.empty_like(middle)
        near[:] = reach(middle)
        means_near(values, good, middle, near, mean[rows].reshape(-1), count[rows].reshape(-1))
    return Combined(mean=mean, count=count)


@cache
def sorting_network(n: int) -> NDArray[np.int64]:
    """Exchanges that sort any n values: pairs of places, the lesser value goes to the first.

    Merge exchange (Batcher 1968; Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M).

    Returns
    -------
    (k, 2) int64
    """
    pairs = []
    top = 1 << max((n - 1).bit_length() - 1, 0)
    step = top
    while step > 0:
        q, r, d = top, 0, step
        while d > 0:
            pairs += [(i, i + d) for i in range(n - d) if i & step == r]
            d, q, r = q - step, q >> 1, step
        step >>= 1
    return np.array(pairs, np.int64).reshape(-1, 2)
