"""The level of a frame from the columns that the amplifier reads without light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sedmd.core.instrument import Sections

#: Rows that a spectrum lights in one column.
LIT_ROWS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanLevel:
    """What scan columns tell of the level of a frame.

    Attributes
    ----------
    level : (n_y,) float32, ADU, of each row
    lit : float, share of the rows that stand out, as where spectra run into the columns
    """

    level: NDArray[np.floating]
    lit: float


def scan_columns(raw: NDArray[Any], sections: Sections) -> NDArray[np.floating]:
    """The columns without light of all blocks side by side, (n_y, n_scan) float32."""
    return np.concatenate([np.asarray(raw[:, first:stop], np.float32) for first, stop in sections.scans], axis=1)


def image_columns(sections: Sections) -> NDArray[np.intp]:
    """Columns of the image that are not scan columns, counted in the array as it is read."""
    kept = np.ones(sections.image[1] - sections.image[0], bool)
    for first, stop in sections.no_data():
        kept[first:stop] = False
    return np.flatnonzero(kept) + sections.image[0]


def image_part(raw: NDArray[Any], sections: Sections, *, every: int = 1) -> NDArray[Any]:
    """Every so manieth of these columns: (n_y, n); a view where none lies between them that is not wanted."""
    columns = image_columns(sections)[::every]
    first, last = int(columns[0]), int(columns[-1])
    if len(columns) > 1 and last - first == every * (len(columns) - 1):
        return raw[:, first : last + 1 : every]
    return raw[:, columns]


def overscan_level(raw: NDArray[Any], sections: Sections, *, sigma_rows: float = 25.0) -> NDArray[np.floating]:
    """Level of each row of a frame from its scan columns, smoothed along the rows.

    Parameters
    ----------
    raw : (n_y, n_x) ADU
    sections : Sections
    sigma_rows : Gaussian sigma of the smoothing

    Returns
    -------
    (n_y,) float32, ADU

    Notes
    -----
    kpy (Debias.py) took the median of the columns and a running median over 50 rows, which leaves a tenth of the read
    noise in every pixel of a row; sedmpy takes one number for the whole frame of the Andor. The mean of what is not an
    outlier, with a Gaussian window, leaves half of kpy's; faster drifts go into the background between the traces.
    """
    return scan_level(scan_columns(raw, sections), sigma_rows=sigma_rows).level


def scan_level(columns: NDArray[np.floating], *, noise: float | None = None, sigma_rows: float = 25.0) -> ScanLevel:
    """Level of the rows from those that no spectrum falls on.

    Parameters
    ----------
    columns : (n_y, n) ADU
    noise : read noise [ADU]; by default that of the columns themselves
    sigma_rows : Gaussian sigma of the smoothing

    Notes
    -----
    A spectrum that ends in the columns lights some five rows. Their mean is compared with the lowest rows of the
    hundred around, which are dark as long as a third of them is.
    """
    own = np.median(columns, axis=0)
    flat = columns - (own - own.mean())  # every column has a level of its own; they agree on the mean
    if noise is None:
        noise = max(row_noise(flat), 0.3)
    near = ndimage.median_filter(np.median(flat, axis=1), size=101, mode="nearest")
    held = np.clip(flat, near[:, None] - 4 * noise, near[:, None] + 40 * noise)  # one cosmic ray is not a spectrum
    mean = ndimage.uniform_filter1d(held.mean(axis=1), LIT_ROWS, mode="nearest")
    # about the running median, which follows a slope
    middle = ndimage.median_filter(mean, size=101, mode="nearest")
    lower = middle + ndimage.percentile_filter(mean - middle, 15, size=101, mode="nearest")
    # the rows jitter, too; what is lower still tells how much, light or not (quantiles of a Gaussian)
    jitter = float(np.percentile(np.minimum(mean - lower, 0.0), 2)) / -1.02
    error = max(noise / np.sqrt(LIT_ROWS * flat.shape[1]), min(jitter, 0.5 * noise))
    lower = lower + 1.04 * error
    lit = mean > lower + 4 * error
    good = (np.abs(flat - lower[:, None]) < 4 * noise + 0.5) & ~lit[:, None]
    level = _local_line((flat * good).sum(axis=1), good.sum(axis=1).astype(float), lower, sigma_rows)
    return ScanLevel(level=level, lit=float(lit.mean()))


def _local_line(
    total: NDArray[np.floating], count: NDArray[np.floating], fallback: NDArray[np.floating], sigma: float
) -> NDArray[np.floating]:
    """Straight line through the neighbourhood of each row, Gaussian weights: follows a slope right up to the edges."""
    x = (np.arange(count.size) - count.size / 2) / count.size

    def smooth(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(ndimage.gaussian_filter1d(values, sigma, mode="constant"))

    s0, s1, s2 = smooth(count), smooth(count * x), smooth(count * x * x)
    t0, t1 = smooth(np.asarray(total, float)), smooth(total * x)
    mean_x = s1 / np.maximum(s0, 1e-9)
    spread = s2 / np.maximum(s0, 1e-9) - mean_x**2
    slope = (t1 - mean_x * t0) / np.maximum(s0 * spread, 1e-12)
    line = t0 / np.maximum(s0, 1e-9) + slope * (x - mean_x)
    return np.where(s0 > 1e-3, line, fallback).astype(np.float32)


def row_noise(values: NDArray[Any]) -> float:
    """Read noise from the differences of neighbouring rows, which column patterns drop out of."""
    difference = np.diff(values, axis=0)
    low, middle, high = np.percentile(difference, [15.865, 50.0, 84.135])
    reach = 4.0 * max((high - low) / 2, 0.6)
    core = difference[np.abs(difference - middle) < reach]
    return float(core.std() / np.sqrt(2.0))
