"""Spaxels whose spectra lie mostly off the chip: the lattice says where they are, the dome whether they shine.

What such a spectrum leaves on the chip is too short to be followed or to show lines. Without it, its light would be
taken for scattered light and subtracted from its neighbours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sedmd.reduce.numeric.containers import Image
from sedmd.reduce.numeric.field import fit_field
from sedmd.reduce.traces.frame import separate_traces
from sedmd.reduce.traces.traces import Traces, joined
from sedmd.reduce.wavelength.geometry import lattice_terms
from sedmd.reduce.wavelength.wavelength import WavelengthSolution

#: The steps from a node of the lattice to its six neighbours, in (q, r).
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1))
#: So many steps beyond the spaxels that were found others are looked for.
RINGS = 5
#: Rows between two traces from which their light can be separated.
MIN_DISTANCE = 2.5
#: Fewest columns on the chip that are worth a trace.
MIN_COLUMNS = 4
#: Light on the dome that makes a spaxel real: in units of its error, and of the typical light of a column.
MIN_SIGNAL, MIN_SHARE = 10.0, 0.02
#: So many spaxels nearest to a node say how far the lattice is off there.
NEAR = 6


def with_half_lost(
    traces: Traces,
    solution: WavelengthSolution,
    node: NDArray[np.int64],
    x_ref: NDArray[np.floating],
    y_ref: NDArray[np.floating],
    dome: Image,
    reference: float,
    window: tuple[float, float],
) -> Traces:
    """The traces, with those beside them that lie mostly off the chip and shine on the dome.

    Parameters
    ----------
    traces, solution : of the n spaxels that were found
    node : (n, 2) int, their (q, r) on the lattice
    x_ref, y_ref : (n,) where their light of the wavelength `reference` falls
    dome : Image
    reference : Angstrom
    window : wavelengths between which a trace is extracted [Angstrom]

    Returns
    -------
    Traces, `beside` set if there are any
    """
    added = _empty_nodes(node)
    x, y = _predicted(node, x_ref, y_ref, added)
    xi = solution.scale.to_xi(np.array([reference, *window]))
    coeff = _coefficients(solution, float(xi[0]), x_ref, y_ref, x, y)
    ends = np.polynomial.polynomial.polyval(xi[1:], coeff.T)
    beside = _drawn(traces, x_ref, y_ref, x, y, ends, dome.data.shape)
    beside = beside.select(_free_columns(beside, traces, dome.data.shape) >= MIN_COLUMNS)
    lit = _shines(joined(traces, beside), traces.n, dome)
    return replace(traces, beside=beside.select(lit)) if lit.any() else traces


def _empty_nodes(node: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nodes of the lattice that no spaxel has, within `RINGS` steps of one that has: (m, 2)."""
    taken = {(int(q), int(r)) for q, r in node}
    edge, empty = set(taken), set[tuple[int, int]]()
    for _ in range(RINGS):
        edge = {(q + dq, r + dr) for q, r in edge for dq, dr in NEIGHBOURS} - taken - empty
        empty |= edge
    return np.array(sorted(empty), np.int64).reshape(-1, 2)


def _predicted(
    node: NDArray[Any], x_ref: NDArray[Any], y_ref: NDArray[Any], added: NDArray[Any]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Where the reference wavelength of other nodes falls: the smooth lattice, and what its nearest spaxels are off."""
    design, points = lattice_terms(node, 3), np.column_stack([x_ref, y_ref])
    model, *_ = np.linalg.lstsq(design, points, rcond=None)
    off = points - design @ model
    near = cKDTree(design[:, 1:3]).query(added, k=NEAR)[1]
    place = lattice_terms(added, 3) @ model + np.median(off[near], axis=1)
    return place[:, 0], place[:, 1]


def _coefficients(
    solution: WavelengthSolution,
    xi_ref: float,
    x_ref: NDArray[Any],
    y_ref: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
) -> NDArray[np.floating]:
    """Column as powers of xi: the dispersion of the field, and the shift that puts the reference wavelength at `x`."""
    higher = np.column_stack([fit_field(x_ref, y_ref, c, order=3)(x, y) for c in solution.coeff[:, 1:].T])
    return np.column_stack([x - higher @ xi_ref ** np.arange(1, higher.shape[1] + 1), higher])


def _drawn(
    traces: Traces,
    x_ref: NDArray[Any],
    y_ref: NDArray[Any],
    x: NDArray[Any],
    y: NDArray[Any],
    ends: NDArray[Any],
    shape: tuple[int, int],
) -> Traces:
    """Traces through (x, y) with the slope and curvature of the field, between `ends` (m, 2) as far as on the chip."""
    from_centre = (x_ref - traces.centre) / 100.0
    bend_seen = traces.y_coeff[:, 2]
    slope = fit_field(x_ref, y_ref, traces.y_coeff[:, 1] + 2 * bend_seen * from_centre, order=3)(x, y)
    bend = fit_field(x_ref, y_ref, bend_seen, order=3)(x, y)
    first = np.clip(np.floor(ends.min(axis=1)), 0, shape[1]).astype(int)
    last = np.clip(np.ceil(ends.max(axis=1)), -1, shape[1] - 1).astype(int)
    centre = np.rint((first + last) / 2)
    u = (centre - x) / 100.0
    y_coeff = np.column_stack([y + u * (slope + u * bend), slope + 2 * bend * u, bend])
    return replace(
        traces,
        centre=centre,
        y_coeff=y_coeff,
        x_first=first,
        x_last=last,
        rms=np.full(centre.size, np.nan),
        own_width=None,
    )


def _free_columns(beside: Traces, traces: Traces, shape: tuple[int, int]) -> NDArray[np.int64]:
    """Columns on the chip in which each of the traces beside is separated from all others; 0 where half of them cannot.

    Beyond the edge of the array a node of the lattice is often one from whose place another spectrum begins.
    """
    own = beside.samples(shape)
    count = np.bincount(own.trace, minlength=beside.n)
    free = np.bincount(own.trace[own.apart_from(traces.samples(shape), MIN_DISTANCE)], minlength=beside.n)
    return np.where(2 * free > count, free, 0)


def _shines(both: Traces, n_found: int, dome: Image) -> NDArray[np.bool_]:
    """Which of the traces after the first `n_found` shine on the dome: (m,) bool.

    Only where they are apart from the first ones: of two traces on the same rows a fit gives each half of the light.
    """
    separated = separate_traces(dome, both, dy_px=0.0, rounds=2)
    samples, extracted = separated.samples, separated.extracted
    known = np.isfinite(extracted.flux) & ~extracted.bad
    typical = float(np.median(_means(samples.trace, extracted.flux, known, both.n)[:n_found]))
    first = samples.trace < n_found
    known &= first | samples.apart_from(samples.select(first), MIN_DISTANCE)
    trace = samples.trace[known]
    total = np.bincount(trace, extracted.flux[known], both.n)
    error = np.sqrt(np.bincount(trace, extracted.variance[known], both.n))
    mean = _means(samples.trace, extracted.flux, known, both.n)
    lit = (total > MIN_SIGNAL * error) & (mean > MIN_SHARE * typical)
    return np.asarray(lit[n_found:], bool)


def _means(trace: NDArray[Any], flux: NDArray[Any], known: NDArray[np.bool_], n: int) -> NDArray[np.floating]:
    """Mean of the known fluxes of each of `n` traces; 0 of one that has none."""
    total, count = np.bincount(trace[known], flux[known], n), np.bincount(trace[known], minlength=n)
    found: NDArray[np.floating] = total / np.maximum(count, 1)
    return found
