"""Pixels that hold no more charge, and where the charge went that they did not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: A plateau: so many pixels of a column, side by side, within this share of each other, brighter than this share of the
#: level from which pixels are not linear. A spectrum's image falls by a tenth and more within two rows of its crest,
#: also out of focus; what is flat there is a well that is full. Photon noise is a third of this share or less.
PLATEAU_PIXELS, PLATEAU_SHARE, PLATEAU_FROM = 3, 0.02, 0.4
#: Pixels beyond a full one that have some of its charge: along the columns, where it spills and through which it is
#: read, and to the sides.
ALONG_COLUMNS, ASIDE = 3, 1


def saturated_pixels(raw: NDArray[Any], level_adu: float) -> NDArray[np.bool_]:
    """Pixels whose value does not tell the light that fell on them.

    Parameters
    ----------
    raw : (n_y, n_x) ADU; charge moves along the columns when it spills and when it is read
    level_adu : from here on no pixel is linear

    Returns
    -------
    (n_y, n_x) bool: full pixels, those of a plateau below the level, where the well is smaller than was thought, and
    the pixels that hold what spilled
    """
    found = np.zeros(raw.shape, bool)
    columns = np.flatnonzero(raw.max(axis=0) > PLATEAU_FROM * level_adu)
    if not columns.size:
        return found
    values = raw[:, columns].astype(np.float32)
    full = values >= level_adu
    full |= _plateaus(values, PLATEAU_FROM * level_adu)
    if not full.any():
        return found
    found[:, columns] = full
    spilled = ndimage.binary_dilation(found, np.ones((2 * ALONG_COLUMNS + 1, 1), bool))
    return np.asarray(spilled | ndimage.binary_dilation(found, np.ones((1, 2 * ASIDE + 1), bool)))


def _plateaus(values: NDArray[np.floating], least: float) -> NDArray[np.bool_]:
    """Pixels that lie in a run of `PLATEAU_PIXELS` alike in their column, all of them above `least`."""
    n = PLATEAU_PIXELS
    if len(values) < n:
        return np.zeros(values.shape, bool)
    windows = np.lib.stride_tricks.sliding_window_view(values, n, axis=0)
    high, low = windows.max(axis=-1), windows.min(axis=-1)
    begins = (low > least) & (high - low < PLATEAU_SHARE * high)
    flat = np.zeros(values.shape, bool)
    for k in range(n):
        flat[k : len(values) - n + 1 + k] |= begins
    return flat
