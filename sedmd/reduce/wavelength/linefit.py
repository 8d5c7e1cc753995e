"""Fit groups of lamp lines in all spaxels at once: one brightness and floor for each, one shift for each blend in it.

Lines closer than the resolution are fitted together with their relative intensities, which are common to all spaxels.
What all spaxels say about them and what the table says are weighed against each other; what remains uncertain is
reported as an uncertainty of the group's position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.lines import (
    FIRST_SHIFT,
    FLUX,
    LEVEL,
    STRETCH,
    draw_groups,
    improve_groups,
    strength_equations,
)
from sedmd.reduce.numeric.parallel import piece_by_piece
from sedmd.reduce.wavelength.line_groups import MARGIN, STRONG

#: Error of the logarithm of a line's strength in a table, relative to its neighbours': a factor of two, as real lamps
#: differ from any table and the efficiency falls from line to line.
TABLE_SIGMA = float(np.log(2.0))
#: Spaxels whose worth in information about the strengths all together are given. The shape of a line, which is not
#: quite the Gaussian that is fitted, is wrong in all of them alike and does not average out.
WORTH = 3.0
#: How far the width of a line may deviate from the prediction: while it is being measured, and when it is known.
WIDTH_SIGMA, KNOWN_WIDTH_SIGMA = 0.1, 0.06
#: How far the blends of a group may deviate from their common shift [column]: while the dispersion is being found, and
#: when it is known, as it is smooth over the few hundred Angstrom of a group.
SPREAD_SIGMA, KNOWN_SPREAD_SIGMA = 0.5, 0.1
#: Columns of a window from which the continuum under the lines is bent, not straight: a straight floor would draw the
#: lines at its ends towards its middle. In a shorter one a bend would say the same as the width of the line.
BENT_COLUMNS = 20
#: How far the floor may be bent in a longer and in a shorter window [electron].
BEND_SIGMAS = (1e9, 1e-3)
#: Spaxels that are asked for the strengths, and how often in one fit.
N_ASKED, STRENGTH_ROUNDS = 400, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFit:
    """Result of one group of m lines in k blends in n spaxels.

    Attributes
    ----------
    shift, error : (n, k) column: measured minus predicted place of each blend, and its 1-sigma error; NaN: unusable
    amplitude : (n,) electron, flux of the whole group
    stretch : (n,) fitted width in units of the predicted width
    intensity : (m,) relative intensities of the lines, unit sum
    uncertainty : (k,) column, error of the shifts, common to all spaxels, from the uncertainty of the intensities
    column : (n, size) the columns of `spectra` that took part
    model : (n, size) electron, light of the group there without its floor; zero where unusable
    """

    shift: NDArray[np.floating]
    error: NDArray[np.floating]
    amplitude: NDArray[np.floating]
    stretch: NDArray[np.floating]
    intensity: NDArray[np.floating]
    uncertainty: NDArray[np.floating]
    column: NDArray[np.int64]
    model: NDArray[np.floating]


def fit_group(
    spectra: NDArray[np.floating],
    variance: NDArray[np.floating],
    place: NDArray[np.floating],
    width: NDArray[np.floating],
    intensity: NDArray[np.floating],
    *,
    blend: NDArray[np.integer] | None = None,
    table: NDArray[np.floating] | None = None,
    free: bool = True,
    table_sigma: float | NDArray[np.floating] = TABLE_SIGMA,
    width_sigma: float = WIDTH_SIGMA,
    spread_sigma: float = SPREAD_SIGMA,
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
    blend : (m,) number of the blend, from 0, that each line belongs to; default: all to one
    table : (m,) what is known of the relative intensities; default `intensity`
    table_sigma : scalar or (m,), how well: error of their logarithms
    free : the intensities are improved; else they stay as they are
    width_sigma : how far the widths may deviate from the predicted ones, relative
    spread_sigma : how far the blends may deviate from their common shift [column]
    others : (n, n_column) electron, light of other groups, which is subtracted
    rounds : Gauss-Newton rounds at most, before and after each improvement of the intensities
    max_shift : fits that wander further are marked unusable

    Returns
    -------
    GroupFit
    """
    # A weak line does not widen the window: beside it may stand a line of another group that is brighter than it.
    known = np.asarray(intensity if table is None else table, float)
    known_to = np.broadcast_to(np.asarray(table_sigma, float), known.shape)
    column, usable = _windows(place[:, known >= min(STRONG, known.max())], spectra.shape[1])
    data = np.take_along_axis(spectra, column, axis=1).astype(float)
    if others is not None:
        data -= np.take_along_axis(others, column, axis=1)
    var = np.take_along_axis(variance, column, axis=1).astype(float)
    usable &= np.isfinite(data).all(axis=1)
    data, var = np.nan_to_num(data), np.nan_to_num(var, nan=1.0)
    intensity = np.asarray(intensity, float) / np.sum(intensity)
    of_blend = np.zeros(intensity.size, np.int64) if blend is None else np.asarray(blend, np.int64)
    # The floor has a tilt: the continuum under the lines may slope, and a level floor would draw them up the slope.
    parameters = np.zeros((len(data), FIRST_SHIFT + int(of_blend.max()) + 1))
    errors2 = np.full(parameters.shape, np.inf)
    parameters[:, LEVEL] = np.percentile(data, 10, axis=1)
    parameters[:, FLUX] = np.maximum((data - parameters[:, LEVEL, None]).sum(axis=1), 1.0)
    parameters[:, STRETCH] = 1.0
    sigmas = np.array([width_sigma, spread_sigma, BEND_SIGMAS[data.shape[1] < BENT_COLUMNS]])
    first = np.ascontiguousarray(column[:, 0])
    place, width = np.ascontiguousarray(place, float), np.ascontiguousarray(width, float)

    lines = (data, var, first, place, width)

    def improve_some(some: slice) -> None:
        own = data[some], var[some], first[some], place[some], width[some]
        improve_groups(*own, intensity, of_blend, usable[some], rounds, sigmas, parameters[some], errors2[some])

    def improve() -> None:
        piece_by_piece(improve_some, len(data))

    improve()
    uncertainty: NDArray[np.floating] = np.zeros(parameters.shape[1] - FIRST_SHIFT)
    if intensity.size > 1:
        for _ in range(STRENGTH_ROUNDS if free else 1):
            step, uncertainty = _strength_step(lines, intensity, of_blend, usable, sigmas, parameters, known, known_to)
            if free:
                intensity = intensity * np.exp(np.clip(step, -1.0, 1.0))
                intensity /= intensity.sum()
                improve()
    amplitude, stretch, shift = parameters[:, FLUX], parameters[:, STRETCH], parameters[:, FIRST_SHIFT:]
    lost = ~usable | ~(amplitude > 5 * np.sqrt(errors2[:, FLUX]))
    bad = lost[:, None] | (np.abs(shift) > max_shift)
    model = np.empty_like(data)
    draw_groups(first, place, width, intensity, of_blend, parameters, model)
    return GroupFit(
        shift=np.where(bad, np.nan, shift),
        error=np.where(bad, np.nan, np.sqrt(errors2[:, FIRST_SHIFT:])),
        amplitude=amplitude,
        stretch=np.where(bad.all(axis=1), np.nan, stretch),
        intensity=intensity,
        uncertainty=uncertainty,
        column=column,
        model=np.where(bad.any(axis=1)[:, None], 0.0, model),
    )


def _windows(place: NDArray[Any], n_column: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Columns (n, size) about the lines of each spaxel, and whether they all exist (n,)."""
    low = np.floor(np.nan_to_num(place.min(axis=1), nan=-1e6)).astype(int) - MARGIN
    size = int(np.ceil(np.nanmax(place.max(axis=1) - place.min(axis=1)))) + 2 * MARGIN + 2
    usable = (low >= 0) & (low + size <= n_column)
    return np.clip(low[:, None] + np.arange(size), 0, n_column - 1), usable


def _strength_step(
    lines: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    intensity: NDArray[Any],
    blend: NDArray[Any],
    usable: NDArray[Any],
    sigmas: NDArray[Any],
    parameters: NDArray[Any],
    table: NDArray[Any],
    table_sigma: NDArray[Any],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Step in the logarithms of the intensities that bright spaxels and the table ask for, and the uncertainty that is
    left.

     The uncertainty is that of each blend's shift [column]: what is not known of the intensities, times how the shift
     answers.
    """
    amplitude = parameters[:, FLUX]
    rows = np.flatnonzero(usable & (amplitude > np.median(amplitude[usable]))) if usable.any() else np.empty(0, int)
    m = intensity.size
    normal, right, pull = np.zeros((m, m)), np.zeros(m), np.zeros((int(blend.max()) + 1, m))
    if rows.size >= 5:
        rows = np.ascontiguousarray(rows[:: max(1, rows.size // N_ASKED)])
        strength_equations(*lines, intensity, blend, rows, sigmas, parameters, normal, right, pull)
    # The table knows ratios: a common factor says nothing, neither there nor, beside the flux, in the data.
    trust = table_sigma**-2.0
    ratios = np.diag(trust) - np.outer(trust, trust) / trust.sum()
    off = np.log(np.maximum(table, 1e-9)) - np.log(intensity)
    worth = min(WORTH, rows.size)
    covariance = np.linalg.inv(worth * normal + ratios + 1e-3 * np.eye(m))
    step = covariance @ (worth * right + ratios @ off)
    return step, np.sqrt(np.einsum("bi,ij,bj->b", pull, covariance, pull))
