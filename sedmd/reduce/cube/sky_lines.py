"""What the columns of each spaxel make of a sky line that is the same everywhere, and a cube without that.

A bin takes from a column the share that it overlaps, as if light were even within a column. It is not under a line, so
that the same line comes out a few per cent higher or lower as the bins fall on the columns of a spaxel, and as wide as
the spaxel's own line-spread function. Neither is a level or a tilt over the field, which is all that a local sky can
follow. Both follow from the mean spectrum of the sky, where the columns of each spaxel lie, and how wide its lines are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from sedmd.reduce.cube.cube import bin_edges
from sedmd.reduce.loops.rebin import sum_columns
from sedmd.reduce.wavelength.wavelength import WavelengthSolution, line_width

#: Fewest sky spaxels of whose mean the lines are taken: its noise is then a tenth of that of one spaxel, and of that
#: noise only what differs between the places of the columns goes into the cube.
MIN_SKY_SPAXELS = 100
#: How far the sample of a sky spaxel may be off the mean, in units of the scatter over the spaxels.
CLIP_SIGMA = 4.0
#: A mean that is spread over columns and bins once more has blunter lines than the sky's: what is lost is added so many
#: times.
ROUNDS = 2


def mean_sky(flux: NDArray[np.floating], good: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Clipped mean spectrum of sky spaxels, (n_wave,); NaN where a wavelength has fewer than `MIN_SKY_SPAXELS`.

    Parameters
    ----------
    flux, good : (n_wave, n_spaxel) flux density, and which samples may be used
    """
    keep = good & np.isfinite(flux)
    values = np.where(keep, flux, 0.0).astype(float)
    mean = np.zeros(len(flux))
    for _ in range(4):
        count = np.maximum(keep.sum(axis=1), 1)
        mean = np.where(keep, values, 0.0).sum(axis=1) / count
        off = values - mean[:, None]
        scatter = np.sqrt(np.where(keep, off**2, 0.0).sum(axis=1) / count)
        keep &= np.abs(off) <= CLIP_SIGMA * scatter[:, None]
    return np.where(keep.sum(axis=1) >= MIN_SKY_SPAXELS, mean, np.nan)


def line_residue(
    sky: NDArray[np.floating],
    wavelength: NDArray[np.floating],
    solution: WavelengthSolution,
    centre: NDArray[np.floating],
    row: NDArray[np.floating],
    *,
    dx_px: float = 0.0,
) -> NDArray[np.floating]:
    """How the sky in each spaxel differs from the mean sky because of its columns and of its line-spread function.

    Parameters
    ----------
    sky : (n_wave,) mean spectrum of the sky in bins, flux per Angstrom; NaN where it is not known
    wavelength : (n_wave,) Angstrom, bin centres, increasing
    solution : wavelength solution of n spaxels
    centre, row : (n,) reference column and row of the spaxels, for the width of the lines
    dx_px : flexure along the dispersion

    Returns
    -------
    (n_wave, n) to be subtracted; zero mean over the spaxels at each wavelength, 0 in spaxels without a solution
        and where the sky is not known

    Notes
    -----
    The sky is integrated over the columns of a spaxel, and these are binned as `cube.rebin` bins them. A Gaussian that
    is wider by the variance d than that of the mean spaxel adds d / 2 times the second derivative (the first term of
    the heat equation); widths are compared in Angstrom, in which the mean is taken.
    """
    edges = solution.column(bin_edges(wavelength)) + dx_px
    known = np.flatnonzero(np.isfinite(edges).all(axis=1))
    residue = np.zeros((len(wavelength), len(edges)))
    measured = np.isfinite(sky)
    if known.size == 0 or measured.sum() < 2:
        return residue
    sky = np.interp(wavelength, wavelength[measured], sky[measured])
    low = np.minimum(edges[known, 1:], edges[known, :-1]) + 0.5
    high = np.maximum(edges[known, 1:], edges[known, :-1]) + 0.5
    first = np.floor(low.min(axis=1)).astype(int) - 1
    border = first[:, None] + np.arange(int((high - first[:, None]).max()) + 3) - 0.5
    at = solution.wavelength(np.repeat(known, border.shape[1]), (border - dx_px).ravel()).reshape(border.shape)
    wider = _wider(wavelength, at, high - low, solution, centre[known], row[known])
    places = np.ascontiguousarray(low - first[:, None]), np.ascontiguousarray(high - first[:, None])
    step = np.diff(bin_edges(wavelength))
    assumed = sky
    for _ in range(ROUNDS):
        seen = _seen(wavelength, assumed, at, wider, *places) / step
        mean = seen.mean(axis=0)
        residue[:, known] = (seen - mean).T
        assumed = assumed + (sky - mean)
    residue[~measured] = 0.0
    return residue


def _wider(
    wavelength: NDArray[Any],
    at: NDArray[Any],
    columns: NDArray[Any],
    solution: WavelengthSolution,
    centre: NDArray[Any],
    row: NDArray[Any],
) -> NDArray[np.floating]:
    """How much larger the variance of a line is than in the mean spaxel, in each column: (n, n_column) column**2.

    `at` (n, n_column + 1) is the wavelength at the borders of the columns, `columns` (n, n_wave) the width of each bin.
    """
    shape = solution.line_sigma, solution.line_sigma_slope, centre, row
    angstrom = line_width(*shape, solution.scale.to_xi(wavelength)) * np.diff(bin_edges(wavelength)) / columns
    middle, dispersion = 0.5 * (at[:, 1:] + at[:, :-1]), np.abs(np.diff(at, axis=1))
    own = line_width(*shape, solution.scale.to_xi(middle))
    usual = np.interp(middle, wavelength, np.median(angstrom, axis=0)) / np.maximum(dispersion, 1e-3)
    found: NDArray[np.floating] = own**2 - usual**2
    return found


def _seen(
    wavelength: NDArray[Any],
    sky: NDArray[Any],
    at: NDArray[Any],
    wider: NDArray[Any],
    low: NDArray[Any],
    high: NDArray[Any],
) -> NDArray[np.floating]:
    """Light of the sky in the bins of each spaxel, by way of its columns: (n, n_wave)."""
    whole = CubicSpline(wavelength, sky).antiderivative()
    inside = np.clip(at, wavelength[0], wavelength[-1])
    # beyond the outer bins' centres the sky goes on as it was
    beyond = np.where(at < wavelength[0], sky[0], sky[-1]) * (at - inside)
    light = np.abs(np.diff(whole(inside) + beyond, axis=1))
    light[:, 1:-1] += 0.5 * wider[:, 1:-1] * (light[:, 2:] - 2.0 * light[:, 1:-1] + light[:, :-2])
    light = np.ascontiguousarray(light)
    total, unused, covered = (np.empty(low.shape) for _ in range(3))
    sum_columns(low, high, light, np.zeros(light.shape), np.ones(light.shape, bool), total, unused, covered)
    return total
