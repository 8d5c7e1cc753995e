"""From the columns of spectra to bins of wavelength, by the share of each column that a bin covers."""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.compiled import compiled


@compiled(
    "void(float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], boolean[:, ::1], float64[:, ::1],"
    " float64[:, ::1], float64[:, ::1])"
)
def sum_columns(low, high, flux, variance, usable, total, total_variance, covered):  # type: ignore[no-untyped-def]
    """What lies in each bin, column by column.

    Parameters
    ----------
    low, high : (n_spectrum, n_bin) edges of the bins in columns; column i reaches from i to i + 1
    flux, variance, usable : (n_spectrum, n_column)
    total, total_variance, covered : (n_spectrum, n_bin) are filled: sum of overlap x flux, of overlap**2 x variance,
        and of the overlaps, over the usable columns
    """
    n_column = flux.shape[1]
    for k in range(low.shape[0]):
        for b in range(low.shape[1]):
            light, noise, width = 0.0, 0.0, 0.0
            # Bins without a place have edges far off the columns.
            if high[k, b] > 0.0 and low[k, b] < n_column:
                first = max(np.int64(np.floor(low[k, b])), 0)
                last = min(np.int64(np.ceil(high[k, b])), n_column)
                for i in range(first, last):  # type: ignore[call-overload]
                    if usable[k, i]:
                        overlap = min(high[k, b], i + 1.0) - max(low[k, b], np.float64(i))
                        light += overlap * flux[k, i]
                        noise += overlap * overlap * variance[k, i]
                        width += overlap
            total[k, b], total_variance[k, b], covered[k, b] = light, noise, width
