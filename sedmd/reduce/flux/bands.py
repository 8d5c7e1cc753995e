"""The telluric bands of a night as its standard stars show them: never quite those of the template of typical air."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Bands are deep enough to tell how far they are off the template from this depth on; samples across one of them.
DEEP, BAND_SAMPLES = 0.02, 10
#: No sample of a star is known better than this, fraction.
LEAST_ERROR = 1e-4


def less_in_bands(
    weight: NDArray[np.floating], depth: NDArray[np.floating], amount: NDArray[np.floating], unknown: float
) -> NDArray[np.floating]:
    """Weights of samples where a share of the bands' depth is their error, too.

    Parameters
    ----------
    weight : (n_star, n_wave) inverse variance of the logarithm of the response; 0 for what does not count
    depth : (n_wave,) optical depth at airmass 1
    amount : (n_star,) of air on the way, in units of that at airmass 1
    unknown : the share

    Returns
    -------
    (n_star, n_wave)
    """
    error = (unknown * amount[:, None] * depth) ** 2
    return np.where(weight > 0, 1.0 / (1.0 / np.maximum(weight, 1e-12) + error), 0.0)


def unknown_of_bands(
    residual: NDArray[np.floating],
    error: NDArray[np.floating],
    amount: NDArray[np.floating],
    depth: NDArray[np.floating],
) -> float:
    """What share of their depth is the error of samples in the bands, by what a fit leaves in them.

    Parameters
    ----------
    residual : (n_star, n_wave) what curve and template leave of the logarithm of the response; NaN where nothing is
    error : (n_star, n_wave) noise of the stars
    amount, depth : as in `less_in_bands`

    Returns
    -------
    float, 1 at the most and where no sample tells

    Notes
    -----
    What a band is off by, it is off over all of its samples alike, so that together they are worth no more than one:
    each is given the error of all, the root of their number times what one is off by.
    """
    deep = (depth > DEEP) & np.isfinite(residual)
    if not deep.any():
        return 1.0
    expected = (amount[:, None] * depth)[deep]
    off = (residual[deep] ** 2 - error[deep] ** 2) / expected**2
    # of a normal law the median square is 0.455 of the mean one
    return float(min(np.sqrt(BAND_SAMPLES * max(float(np.median(off)), 0.0) / 0.455), 1.0))


def seen_in_bands(
    residual: NDArray[np.floating],
    error: NDArray[np.floating],
    amount: NDArray[np.floating],
    band: NDArray[np.bool_],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Optical depth at airmass 1 that the stars show beyond the template, shrunk by their noise.

    Parameters
    ----------
    residual, error, amount : as in `unknown_of_bands`
    band : (n_wave,) where the bands are

    Returns
    -------
    depth : (n_wave,) zero outside the bands
    error : (n_wave,) its 1-sigma error; NaN where it was not measured

    Notes
    -----
    How far real air is from the template is the mean square of what is seen less its errors; each sample is followed by
    what is to be expected of it (empirical Bayes: Robbins 1956).
    """
    known = np.isfinite(residual) & np.isfinite(error) & band
    w = np.where(known, (amount[:, None] / np.where(known, np.maximum(error, LEAST_ERROR), 1.0)) ** 2, 0.0)
    total = w.sum(axis=0)
    told = total > 0
    if not told.any():
        return np.zeros(len(band)), np.full(len(band), np.nan)
    seen = -(w * np.nan_to_num(residual) / amount[:, None]).sum(axis=0) / np.maximum(total, 1e-12)
    variance = 1.0 / np.maximum(total, 1e-12)
    unlike = max(float(np.mean(seen[told] ** 2 - variance[told])), 0.0)
    share = unlike / np.maximum(unlike + variance, 1e-300)
    return np.where(told, seen * share, 0.0), np.where(told, np.sqrt(variance * share), np.nan)
