"""From samples on the detector to spectra on one wavelength grid, keeping flux and variance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.rebin import sum_columns
from sedmd.reduce.numeric.containers import Mask
from sedmd.reduce.traces.samples import Samples
from sedmd.reduce.wavelength.wavelength import WavelengthSolution


def bin_edges(wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Edges of the bins around given centres: half way between, the outer ones by extrapolation. (n + 1,)"""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    return np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])


def columns_of_bins(solution: WavelengthSolution, wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Width of each bin in columns of the detector, median of the spaxels. (n_wave,), NaN where no spaxel has it."""
    width = np.abs(np.diff(solution.column(bin_edges(wavelength)), axis=1))
    known = np.isfinite(width).any(axis=0)
    median = np.full(width.shape[1], np.nan)
    median[known] = np.nanmedian(width[:, known], axis=0)
    return median


def to_matrices(samples: Samples, n_trace: int, *values: NDArray[Any]) -> tuple[NDArray[np.int64], list[NDArray[Any]]]:
    """Each trace's first column, (n_trace,), and its samples' values from there on, (n_trace, n_column); else 0."""
    first = np.full(n_trace, samples.shape[1], int)
    last = np.full(n_trace, -1, int)
    np.minimum.at(first, samples.trace, samples.x)
    np.maximum.at(last, samples.trace, samples.x)
    matrices = []
    for each in values:
        matrix = np.zeros((n_trace, int(max((last - first).max(initial=0), 0)) + 1), each.dtype)
        matrix[samples.trace, samples.x - first[samples.trace]] = each
        matrices.append(matrix)
    return first, matrices


def rebin(
    samples: Samples,
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    bad: NDArray[np.bool_],
    solution: WavelengthSolution,
    n_trace: int,
    wavelength: NDArray[np.floating],
    *,
    dx_px: float = 0.0,
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.uint8]]:
    """Spectra of all spaxels on a common grid, as flux per Angstrom.

    Parameters
    ----------
    samples, flux, variance, bad : samples, electron, electron**2, not usable
    solution : wavelength solution
    n_trace : number of spaxels
    wavelength : (n_wave,) Angstrom, bin centres, increasing
    dx_px : flexure along the dispersion: the light lies at columns this much higher than the solution says

    Returns
    -------
    flux, variance : (n_wave, n_trace) float32, electron/Angstrom and its square
    mask : (n_wave, n_trace) uint8; NO_DATA off the chip, OUTLIER where more than a fifth of a bin is bad

    Notes
    -----
    A bin receives from each column the share that overlaps it, so the sum over bins is the sum over columns. The
    variance of a bin is exact; neighbouring bins share columns and are therefore correlated (about 0.25 where a bin
    is as wide as a column).
    """
    edges = solution.column(bin_edges(wavelength)) + dx_px
    # A column covers its number minus to plus one half; which edge of a bin is the higher is the dispersion's affair.
    low = np.minimum(edges[:, 1:], edges[:, :-1]) + 0.5
    high = np.maximum(edges[:, 1:], edges[:, :-1]) + 0.5
    # Only good columns count; the gap they leave is filled by scaling below.
    usable = ~bad & np.isfinite(flux)
    first, columns = to_matrices(samples, n_trace, np.nan_to_num(flux), np.nan_to_num(variance), usable)
    low = np.nan_to_num(low - first[:, None], nan=-1e6)
    high = np.nan_to_num(high - first[:, None], nan=-1e6)
    total, total_var, covered = (np.empty(low.shape) for _ in range(3))
    flux_columns, variance_columns, usable_columns = columns
    sum_columns(low, high, flux_columns, variance_columns, usable_columns, total, total_var, covered)
    size = np.maximum(high - low, 1e-9)
    share = covered / size
    scale = 1.0 / np.maximum(share, 0.2)
    step = np.diff(bin_edges(wavelength))
    mask = np.where(share < 0.8, np.uint8(Mask.OUTLIER), np.uint8(0))
    mask = np.where(share < 0.05, np.uint8(Mask.NO_DATA), mask).astype(np.uint8)
    out = (total * scale / step).T.astype(np.float32)
    out_var = (total_var * scale**2 / step**2).T.astype(np.float32)
    out[mask.T == Mask.NO_DATA] = np.nan
    out_var[mask.T == Mask.NO_DATA] = np.nan
    return out, out_var, np.ascontiguousarray(mask.T)
