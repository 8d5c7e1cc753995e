"""Lines of equal light over the field of hexagons. Numbers only, no window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import FloatArray, Spaxels

#: The faintest line lies so many times the noise of the smoothed picture above the field; each next one is twice that.
FIRST_SIGMA = 4.0
#: So many lines at most, above and below.
MOST_LEVELS = 6
#: A spaxel and its neighbours on the lattice.
_AROUND = ((0, 0), (1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))


def triangles(spaxels: Spaxels) -> NDArray[np.intp]:
    """Numbers (n, 3) of the spaxels whose centres make a triangle of neighbours."""
    number = _numbers(spaxels)
    q, r = spaxels.q - spaxels.q.min() + 1, spaxels.r - spaxels.r.min() + 1
    east, north, both = number[q + 1, r], number[q, r + 1], number[q + 1, r + 1]
    here = np.arange(len(q))
    found = np.concatenate([np.stack([here, east, north], axis=1), np.stack([both, north, east], axis=1)])
    made: NDArray[np.intp] = found[(found >= 0).all(axis=1)]
    return made


def smoothed(values: FloatArray, spaxels: Spaxels) -> FloatArray:
    """Mean of each spaxel and those of its neighbours that have a value; NaN where the spaxel itself has none."""
    number = _numbers(spaxels)
    q, r = spaxels.q - spaxels.q.min() + 1, spaxels.r - spaxels.r.min() + 1
    stack = np.stack([number[q + dq, r + dr] for dq, dr in _AROUND])
    padded = np.append(np.asarray(values, dtype=float), np.nan)
    around = padded[stack]
    known = np.isfinite(around)
    total, count = np.where(known, around, 0.0).sum(axis=0), known.sum(axis=0)
    return np.where(known[0], total / np.maximum(count, 1), np.nan)


def levels_of(values: FloatArray, *, pair: bool) -> tuple[float, ...]:
    """Levels above the median of the field, and for A minus B as far below it; none where nothing stands out."""
    good = values[np.isfinite(values)]
    if len(good) == 0:
        return ()
    middle = float(np.median(good))
    sigma = float(1.4826 * np.median(np.abs(good - middle)))
    if not sigma > 0:
        return ()
    steps = FIRST_SIGMA * sigma * 2.0 ** np.arange(MOST_LEVELS)
    above = [middle + step for step in steps if middle + step < good.max()]
    below = [middle - step for step in steps if pair and middle - step > good.min()]
    return tuple(sorted([*below, *above]))


def segments(
    values: FloatArray, spaxels: Spaxels, corners: NDArray[np.intp], level: float
) -> tuple[FloatArray, FloatArray]:
    """Ends of the pieces of a contour, two by two: East and North [arcsec], each (2 n,).

    Parameters
    ----------
    values : (n_spaxel,)
        Where one of a triangle's corners has no value no line is drawn through it.
    corners : (n, 3)
        See `triangles`. Within each the light is a plane, and the contour a straight piece.
    """
    at = values[corners]
    with np.errstate(invalid="ignore"):
        above = at > level
    count = above.sum(axis=1)
    crossed = np.isfinite(at).all(axis=1) & (count > 0) & (count < 3)
    at, above, corners = at[crossed], above[crossed], corners[crossed]
    # the corner that is alone on its side of the level: both ends of the piece lie on its edges
    alone = np.where(above.sum(axis=1) == 1, above.argmax(axis=1), (~above).argmax(axis=1))
    row = np.arange(len(alone))
    x, y = np.empty((len(alone), 2)), np.empty((len(alone), 2))
    for end in (0, 1):
        other = (alone + 1 + end) % 3
        part = (level - at[row, alone]) / (at[row, other] - at[row, alone])
        one, two = corners[row, alone], corners[row, other]
        x[:, end] = spaxels.x_arcsec[one] + part * (spaxels.x_arcsec[two] - spaxels.x_arcsec[one])
        y[:, end] = spaxels.y_arcsec[one] + part * (spaxels.y_arcsec[two] - spaxels.y_arcsec[one])
    return x.ravel(), y.ravel()


def _numbers(spaxels: Spaxels) -> NDArray[np.intp]:
    """Number of the spaxel at each place of the lattice with a rim of one; -1 where there is none."""
    q, r = spaxels.q - spaxels.q.min() + 1, spaxels.r - spaxels.r.min() + 1
    grid = np.full((int(q.max()) + 2, int(r.max()) + 2), -1, dtype=np.intp)
    grid[q, r] = np.arange(len(q))
    return grid
