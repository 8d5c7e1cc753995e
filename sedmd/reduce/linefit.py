"""Fit groups of lamp lines in all spaxels at once: one shift, one brightness and one straight floor for each.

Lines closer than the resolution are fitted together with their relative intensities, which are common to all spaxels
and determined from all of them; so a blend has no effective wavelength that somebody has to believe in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import lsq_linear

from sedmd.reduce.loops.lines import draw_blends, improve_groups

#: Columns on each side of the outermost line of a group that take part in its fit.
MARGIN = 6
#: How many times brighter a blend may be beside the group's leading one than the table has it: real lamps differ from
#: tables by up to this. Without a limit two lines that straddle a single bright one explain it as well as it does.
RATIO_FREEDOM = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFit:
    """Result of one group in n spaxels.

    Attributes
    ----------
    shift, error : (n,) column: measured minus predicted place of the group, and its 1-sigma error; NaN where unusable
    amplitude : (n,) electron, flux of the whole group
    stretch : (n,) fitted width in units of the predicted width
    intensity : (m,) relative intensities of the lines, unit sum
    column : (n, size) the columns of `spectra` that took part
    model : (n, size) electron, light of the group there without its floor; zero where unusable
    """

    shift: NDArray[np.floating]
    error: NDArray[np.floating]
    amplitude: NDArray[np.floating]
    stretch: NDArray[np.floating]
    intensity: NDArray[np.floating]
    column: NDArray[np.int64]
    model: NDArray[np.floating]


def group_lines(
    place: NDArray[np.floating], intensity: NDArray[np.floating], separation: float, strong: float = 0.05
) -> list[NDArray[np.int64]]:
    """Split lines into groups that have to be fitted together.

    Parameters
    ----------
    place : (m,) column of each line
    intensity : (m,) relative intensities
    separation : strong lines closer than this many columns belong together
    strong : lines above this share of the strongest form the groups; a weaker one joins the nearest strong
        line whose fit it could disturb; but a forest of weak lines ties nothing together

    Returns
    -------
    list of index arrays, each sorted by column; the groups without a strong line hold one weak chain each
    """
    leader = intensity > strong * intensity.max()
    label = np.full(place.size, -1)
    label[leader] = _chain(place[leader], separation)
    strong_place, strong_label = place[leader], label[leader]
    for i in np.flatnonzero(~leader):
        distance = np.abs(strong_place - place[i])
        if distance.min() < MARGIN:
            label[i] = strong_label[np.argmin(distance)]
    rest = label < 0
    label[rest] = label.max() + 1 + _chain(place[rest], separation)
    return [g[np.argsort(place[g])] for g in (np.flatnonzero(label == k) for k in np.unique(label))]


def blends(
    place: NDArray[np.floating], intensity: NDArray[np.floating], resolution: float, strong: float = 0.05
) -> NDArray[np.int64]:
    """Number of the unresolved blend that each line of a group belongs to.

    Strong lines closer than `resolution` columns are one blend; a weak line within that distance of a strong one
    belongs to it; the others form blends of their own, whose brightness the data tell better than any table.
    """
    leader = intensity >= min(strong, intensity.max())
    number = np.full(place.size, -1)
    number[leader] = _chain(place[leader], resolution)
    distance = np.abs(place[:, None] - place[leader][None, :])
    near = ~leader & (distance.min(axis=1) < resolution)
    number[near] = number[leader][np.argmin(distance, axis=1)][near]
    rest = number < 0
    number[rest] = number.max() + 1 + _chain(place[rest], resolution)
    return number


def _chain(place: NDArray[np.floating], separation: float) -> NDArray[np.int64]:
    """Number of the chain of each point, a chain being points with no gap above `separation`."""
    order = np.argsort(place)
    label = np.zeros(place.size, int)
    label[order[1:]] = np.cumsum(np.diff(place[order]) > separation)
    return label


def fit_group(
    spectra: NDArray[np.floating],
    variance: NDArray[np.floating],
    place: NDArray[np.floating],
    width: NDArray[np.floating],
    intensity: NDArray[np.floating],
    *,
    blend: NDArray[np.integer],
    table: NDArray[np.floating] | None = None,
    others: NDArray[np.floating] | None = None,
    rounds: int = 8,
    max_shift: float = 3.0,
) -> GroupFit:
    """Fit one group of lines in every spaxel (Gauss-Newton).

    Parameters
    ----------
    spectra, variance : (n, n_column) electron and electron**2; NaN where there is no data
    place : (n, m) predicted column of each line (fractional index into `spectra`)
    width : (n, m) predicted Gaussian sigma of each line, column
    intensity : (m,) starting relative intensities
    blend : (m,) lines with the same number keep their relative intensities, because in a tight blend these and the
        shift say the same; the intensities of different blends are determined from all spaxels together
    table : (m,) what is known of the relative intensities, to a factor `RATIO_FREEDOM`; default `intensity`
    others : (n, n_column) electron, light of other groups, which is taken off
    rounds : Gauss-Newton rounds; intensities are re-determined after half of them
    max_shift : fits that wander further are marked unusable

    Returns
    -------
    GroupFit
    """
    column, usable = _windows(place, spectra.shape[1])
    data = np.take_along_axis(spectra, column, axis=1).astype(float)
    if others is not None:
        data -= np.take_along_axis(others, column, axis=1)
    var = np.take_along_axis(variance, column, axis=1).astype(float)
    usable &= np.isfinite(data).all(axis=1)
    data, var = np.nan_to_num(data), np.nan_to_num(var, nan=1.0)
    intensity = np.asarray(intensity, float) / np.sum(intensity)
    limit = np.bincount(blend, intensity if table is None else table)
    limit = np.minimum(RATIO_FREEDOM * limit / limit.max(), 1.0)
    # Flux, shift, floor, stretch, and a tilt of the floor: the continuum under the lines may slope, and a level floor
    # would draw them up the slope.
    parameters, errors2 = np.zeros((len(data), 5)), np.full((len(data), 5), np.inf)
    parameters[:, 2] = np.percentile(data, 10, axis=1)
    parameters[:, 0] = np.maximum((data - parameters[:, 2:3]).sum(axis=1), 1.0)
    parameters[:, 3] = 1.0
    first = np.ascontiguousarray(column[:, 0])
    place, width = np.ascontiguousarray(place, float), np.ascontiguousarray(width, float)

    def improve(rounds: int) -> None:
        improve_groups(data, var, first, place, width, intensity, usable, rounds, parameters, errors2)

    if np.ptp(blend) > 0:
        improve(rounds // 2)
        for _ in range(rounds - rounds // 2):
            improve(1)
            intensity = _intensities(data, first, place, width, parameters, usable, intensity, blend, limit)
    else:
        improve(rounds)
    amplitude, shift, _, stretch, _ = parameters.T
    bad = ~usable | (np.abs(shift) > max_shift) | ~(amplitude > 5 * np.sqrt(errors2[:, 0]))
    model = _light(first, place, width, parameters, intensity, np.zeros_like(blend), data.shape[1])[:, 0]
    return GroupFit(
        shift=np.where(bad, np.nan, shift),
        error=np.where(bad, np.nan, np.sqrt(errors2[:, 1])),
        amplitude=amplitude,
        stretch=np.where(bad, np.nan, stretch),
        intensity=intensity,
        column=column,
        model=np.where(bad[:, None], 0.0, amplitude[:, None] * model),
    )


def _windows(place: NDArray, n_column: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Columns (n, size) about the lines of each spaxel, and whether they all exist (n,)."""
    low = np.floor(np.nan_to_num(place.min(axis=1), nan=-1e6)).astype(int) - MARGIN
    size = int(np.ceil(np.nanmax(place.max(axis=1) - place.min(axis=1)))) + 2 * MARGIN + 2
    usable = (low >= 0) & (low + size <= n_column)
    return np.clip(low[:, None] + np.arange(size), 0, n_column - 1), usable


def _light(
    first: NDArray,
    place: NDArray,
    width: NDArray,
    parameters: NDArray,
    share: NDArray,
    blend: NDArray,
    size: int,
) -> NDArray[np.floating]:
    """Light of each blend in each spaxel's window, (n, n_blend, size), where the lines have the given shares."""
    drawn = np.empty((len(first), int(blend.max()) + 1, size))
    shift, stretch = np.ascontiguousarray(parameters[:, 1]), np.ascontiguousarray(parameters[:, 3])
    draw_blends(first, place, width, shift, stretch, share, blend.astype(np.int64), drawn)
    return drawn


def _intensities(
    data: NDArray,
    first: NDArray,
    place: NDArray,
    width: NDArray,
    parameters: NDArray,
    usable: NDArray,
    intensity: NDArray,
    blend: NDArray,
    limit: NDArray,
) -> NDArray[np.floating]:
    """Relative intensities of the blends that fit all bright spaxels best, each between 0 and its limit."""
    amplitude = parameters[:, 0]
    bright = usable & (amplitude > np.median(amplitude[usable]) if usable.any() else usable)
    rows = np.flatnonzero(bright)[:400]
    if rows.size < 5:
        return intensity
    size = data.shape[1]
    along = (np.arange(size) - (size - 1) / 2) / size
    floor = parameters[rows, 2:3] + parameters[rows, 4:5] * along
    target = ((data[rows] - floor) / amplitude[rows, None]).ravel()
    number, blend = np.unique(blend, return_inverse=True)
    share = intensity / np.maximum(np.bincount(blend, intensity), 1e-12)[blend]
    drawn = _light(first[rows], place[rows], width[rows], parameters[rows], share, blend, size)
    design = drawn.transpose(0, 2, 1).reshape(-1, number.size)
    # The triangle of the normal equations has the same least-squares solution as the whole, in a few rows.
    triangle = np.linalg.cholesky(design.T @ design + 1e-12 * np.eye(number.size))
    right = solve_triangular(triangle, design.T @ target, lower=True)
    solution = lsq_linear(triangle.T, right, bounds=(0.0, limit[number])).x
    # A blend that vanished once keeps a trace of light, so that a better place can bring it back.
    solution = np.maximum(solution, 1e-3 * solution.sum())
    return share * (solution / solution.sum())[blend] if solution.sum() > 0 else intensity
