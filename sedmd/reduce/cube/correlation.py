"""How the noise of neighbouring bins hangs together: they share columns of the detector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bin_correlation(columns: NDArray[np.floating], lags: int = 2) -> NDArray[np.floating]:
    """Correlation of each bin's noise with that of the bins after it.

    Parameters
    ----------
    columns : (n,) width of the bins in columns of the detector, positive; NaN where it is not known
    lags : how many neighbours

    Returns
    -------
    (n, lags) correlation with the next bin, the one after it, ...; 0 beyond the last bin and where a width is unknown

    Notes
    -----
    Columns are independent and of equal noise; a bin takes from each the share that it overlaps. With the place of the
    columns under the bins unknown, as it differs from spaxel to spaxel, two points at a distance d lie in the same
    column with the probability max(0, 1 - abs(d)). The covariance of two bins is that, integrated over both; with G its
    second integral, and the bins [a, b] and [c, d], it is G(d - a) - G(d - b) - G(c - a) + G(c - b). A bin of w >= 1
    columns has the variance w - 1/3, and two such bins side by side share 1/6.
    """
    width = np.where(np.isfinite(columns) & (columns > 0), columns, 0.0)
    edge = np.concatenate([[0.0], np.cumsum(width)])
    low, high = edge[:-1], edge[1:]
    variance = 2 * _twice_integrated(width)
    shared = np.zeros((len(width), lags))
    for lag in range(1, min(lags, len(width) - 1) + 1):
        a, b, c, d = low[:-lag], high[:-lag], low[lag:], high[lag:]
        covariance = (
            _twice_integrated(d - a) - _twice_integrated(d - b) - _twice_integrated(c - a) + _twice_integrated(c - b)
        )
        both = variance[:-lag] * variance[lag:]
        shared[:-lag, lag - 1] = np.where(both > 0, covariance / np.sqrt(np.where(both > 0, both, 1.0)), 0.0)
    return shared


def band_covariance(error: NDArray[np.floating], correlation: NDArray[np.floating]) -> NDArray[np.floating]:
    """Covariance matrix of a spectrum from its errors and the correlation of neighbouring bins.

    Parameters
    ----------
    error : (n,) 1 sigma; NaN counts as 0
    correlation : (n, lags) as `bin_correlation` gives it

    Returns
    -------
    (n, n) symmetric, in the square of the error's unit
    """
    known = np.nan_to_num(np.asarray(error, float))
    matrix = np.diag(known**2)
    for lag in range(1, correlation.shape[1] + 1):
        beside = correlation[:-lag, lag - 1] * known[:-lag] * known[lag:]
        matrix += np.diag(beside, lag) + np.diag(beside, -lag)
    return matrix


def _twice_integrated(distance: NDArray[np.floating]) -> NDArray[np.floating]:
    """Second integral of max(0, 1 - abs(d)), zero and level at d = 0."""
    d = np.abs(distance)
    return np.asarray(np.where(d < 1, d**2 / 2 - d**3 / 6, d / 2 - 1 / 6))
