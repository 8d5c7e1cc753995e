"""All (spaxel, column) samples of the detector as flat arrays, so that no step needs a loop over spaxels.

A sample is one column of one trace: the smallest piece of light the detector resolves. Samples are sorted by column,
then by row, so that samples whose profiles overlap are neighbours in the arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Rows beyond the first and last from which the light of a trace still falls on the chip.
ROWS_BEYOND = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Where each sample sits and how wide it is.

    Attributes
    ----------
    trace : (n,) int, index of the trace (row of the trace table); -1: its light counts, its spectrum does not
    x : (n,) int, column
    y : (n,) float, row of the trace's centre at that column
    sigma : (n,) float, rms half-width of the core across the dispersion, pixel
    shape : (n_y, n_x) of the detector
    """

    trace: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.floating]
    sigma: NDArray[np.floating]
    shape: tuple[int, int]

    def rows(self, half_height: int) -> NDArray[np.int64]:
        """Rows of the (2 half_height + 1) pixels around each sample: (n, 2 half_height + 1) int, may leave the chip."""
        found: NDArray[np.int64] = np.rint(self.y).astype(np.int64)[:, None] + np.arange(-half_height, half_height + 1)
        return found

    def pixels(self, half_height: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Flat pixel index of those rows (clipped to the chip) and whether the pixel is on the chip."""
        rows = self.rows(half_height)
        inside = (rows >= 0) & (rows < self.shape[0])
        return np.clip(rows, 0, self.shape[0] - 1) * self.shape[1] + self.x[:, None], inside

    def columns(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The columns that hold samples, (m,), and where those of each begin, (m + 1,): of column i ``[i] .. [i + 1]``.

        Raises
        ------
        ValueError
            If samples lie nowhere, off the detector or not sorted by column: compiled loops ask no more questions.
        """
        lost = ~np.isfinite(self.y + self.sigma)
        if lost.any():
            raise ValueError(f"{int(lost.sum())} of {lost.size} samples have no row or no width; none expected")
        step = np.diff(self.x, prepend=-1)
        if lost.size and (step.min() < 0 or self.x[0] < 0 or self.x[-1] >= self.shape[1]):
            raise ValueError(f"samples must be sorted by column and lie in columns 0 to {self.shape[1] - 1}")
        start = np.flatnonzero(step)
        return self.x[start], np.append(start, self.x.size)

    @property
    def on_chip(self) -> NDArray[np.bool_]:
        """Whether the centre of each sample is on the chip: (n,)."""
        return (self.y > -0.5) & (self.y < self.shape[0] - 0.5)

    def select(self, keep: NDArray[np.bool_]) -> Samples:
        """The samples where `keep`; the order stays."""
        return Samples(trace=self.trace[keep], x=self.x[keep], y=self.y[keep], sigma=self.sigma[keep], shape=self.shape)

    def apart_from(self, others: Samples, rows: float) -> NDArray[np.bool_]:
        """Which samples lie more than `rows` from each of the others in their column: (n,)."""
        if not others.x.size:
            return np.ones(self.x.size, bool)
        height = float(self.shape[0] + 100)
        # increasing, as samples are sorted by column, then row
        mine, place = self.x * height + self.y, others.x * height + others.y
        after = np.searchsorted(place, mine)
        above = np.abs(place[np.clip(after, 0, place.size - 1)] - mine)
        below = np.abs(place[np.clip(after - 1, 0, place.size - 1)] - mine)
        return np.asarray(np.minimum(above, below) > rows)

    def with_unnamed(self, others: Samples) -> Samples:
        """These samples and others, which are of no trace that has a number."""
        trace = np.concatenate([self.trace, np.full(others.trace.size, -1)])
        x, y, sigma = (
            np.concatenate([a, b]) for a, b in ((self.x, others.x), (self.y, others.y), (self.sigma, others.sigma))
        )
        order = np.lexsort((y, x))
        return Samples(trace=trace[order], x=x[order], y=y[order], sigma=sigma[order], shape=self.shape)

    def moved(self, dy_px: float | NDArray[np.floating], width: float = 1.0) -> Samples:
        """The samples moved by `dy_px` rows (positive: towards higher row numbers), and `width` times as wide."""
        return Samples(trace=self.trace, x=self.x, y=self.y + dy_px, sigma=self.sigma * width, shape=self.shape)


def polynomial(coefficients: NDArray[np.floating], trace: NDArray[np.integer], u: NDArray[np.floating]) -> NDArray[Any]:
    """Evaluate one polynomial per trace at scattered points by Horner's rule.

    Parameters
    ----------
    coefficients : (n_trace, order + 1), lowest power first
    trace, u : (n,) trace index and abscissa of each point

    Returns
    -------
    (n,) float
    """
    value = np.zeros(np.shape(u))
    for power in range(coefficients.shape[1] - 1, -1, -1):
        value = value * u + coefficients[trace, power]
    return value


def make_samples(
    *,
    x_first: NDArray[np.integer],
    x_last: NDArray[np.integer],
    centre: NDArray[np.floating],
    y_coeff: NDArray[np.floating],
    sigma: object,
    shape: tuple[int, int],
    every: int = 1,
) -> Samples:
    """Lay samples over the columns ``x_first .. x_last`` (inclusive) of every trace.

    Parameters
    ----------
    x_first, x_last : (n_trace,) columns, clipped to the chip; an empty range gives no sample
    centre : (n_trace,) column about which `y_coeff` is expanded
    y_coeff : (n_trace, order + 1) row of the trace, powers of ``(x - centre) / 100``
    sigma : callable (trace, x, y) -> (n,) width in pixel
    shape : (n_y, n_x) of the detector
    every : only columns ``every // 2``, ``every // 2 + every``, ... are used

    Returns
    -------
    Samples sorted by column, then row; samples further off the chip than `ROWS_BEYOND` are excluded
    """
    # Counted in columns that are used.
    first = -((every // 2 - np.clip(x_first, 0, shape[1])) // every)
    last = (np.clip(x_last, -1, shape[1] - 1) - every // 2) // every
    count = np.maximum(last - first + 1, 0)
    trace = np.repeat(np.arange(first.size), count)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    x = (np.arange(trace.size) - start[trace] + first[trace]) * every + every // 2
    y = polynomial(y_coeff, trace, (x - centre[trace]) / 100.0)
    keep = (y > -0.5 - ROWS_BEYOND) & (y < shape[0] - 0.5 + ROWS_BEYOND)
    trace, x, y = trace[keep], x[keep], y[keep]
    order = np.argsort(x * (shape[0] + 4 * ROWS_BEYOND) + y, kind="stable")
    trace, x, y = trace[order], x[order], y[order]
    return Samples(trace=trace, x=x, y=y, sigma=sigma(trace, x, y), shape=shape)  # type: ignore[operator]
