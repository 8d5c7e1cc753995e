"""Rows of all traces from measured offsets: each by its own light, its shape as alike its neighbours as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.field import affordable_order, terms

#: Slope and curvature of a trace differ from those of the field by less than this [pixel per 100 columns, or per their
#: square]; and surely by more than this.
LOOSEST, TIGHTEST = 0.1, 1e-3
#: Degree of the field of slopes and curvatures.
FIELD_ORDER = 3
#: Rounds in which field and spread follow from each other, and standard deviations from which a trace has no say in it.
ROUNDS, OUTLYING = 8, 4.0
#: Share of the usual number of samples from which a trace tells what the field is.
WELL_SAMPLED = 0.6


def solve_traces(
    y_coeff: NDArray[np.floating],
    centre: NDArray[np.floating],
    trace: NDArray[np.integer],
    u: NDArray[np.floating],
    dy: NDArray[np.floating],
    weight: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Improve the rows of all traces by measured offsets.

    Parameters
    ----------
    y_coeff : (n_trace, 3) present row, slope and curvature, in powers of `u`
    centre : (n_trace,) column where u = 0
    trace, u, dy, weight : (n,) trace, abscissa, measured offset [pixel] and its inverse variance

    Returns
    -------
    (n_trace, 3) improved coefficients

    Notes
    -----
    The optics makes slope and curvature a smooth function of the field, the lenslets' own tilts make each trace differ
    from it. How much they differ is measured on the traces themselves, beyond the errors of the offsets, so that a
    faint end which says little is put where the others say (empirical Bayes, Robbins 1956; field and spread by maximum
    likelihood, Fisher's scoring, Harville 1977, J. Am. Stat. Assoc. 72, 320).
    """
    n = len(y_coeff)
    moment = [np.bincount(trace, weight * u**power, n) for power in range(5)]
    normal = np.stack([np.stack([moment[i + j] for j in range(3)], -1) for i in range(3)], -2).astype(float)
    right = np.stack([np.bincount(trace, weight * u**i * dy, n) for i in range(3)], -1)
    count = np.bincount(trace, weight > 0, n)
    well = count > WELL_SAMPLED * np.median(count[count > 0]) if (count > 0).any() else count > 0
    expected, spread, alike = _field(normal, right, y_coeff, centre, well)
    # A trace that is unlike all others is what its own light says.
    spread2 = np.where(alike[:, None], spread**2, LOOSEST**2)
    normal[:, 1:, 1:] = normal[:, 1:, 1:] + np.eye(2) / spread2[:, :, None]
    right[:, 1:] = right[:, 1:] + (expected - y_coeff[:, 1:]) / spread2
    found: NDArray[np.floating] = y_coeff + np.linalg.solve(normal + 1e-9 * np.eye(3), right[..., None])[..., 0]
    return found


def _field(
    normal: NDArray[Any], right: NDArray[Any], y_coeff: NDArray[Any], centre: NDArray[Any], well: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.bool_]]:
    """Slope and curvature of the field at each trace (n_trace, 2), rms of traces about it (2,), and which follow it."""
    # what the offsets tell of slope and curvature whatever the row is: precision, and precision times estimate
    share = normal[:, 1:, 0] / (normal[:, 0, 0] + 1e-9)[:, None]
    precision = normal[:, 1:, 1:] - share[:, :, None] * normal[:, :1, 1:]
    told = right[:, 1:] - share * right[:, :1] + np.einsum("nij,nj->ni", precision, y_coeff[:, 1:])
    order = affordable_order(FIELD_ORDER, int(well.sum()))
    design = terms(np.clip(centre, 0, 2048), np.clip(y_coeff[:, 0], 0, 2048), order)
    n_term = design.shape[1]
    spread2, used, alike = np.full(2, LOOSEST**2), well, np.ones(len(y_coeff), bool)
    field: NDArray[np.floating] = np.zeros((n_term, 2))
    for _ in range(ROUNDS):
        # information on the field of one trace that differs from it by the spread
        differing = np.linalg.inv(np.eye(2) + precision * spread2)
        information = differing @ precision
        answer = np.einsum("nij,nj->ni", differing, told)
        both = np.einsum("na,nij,nb->aibj", design[used], information[used], design[used], optimize=True)
        square = both.reshape(2 * n_term, 2 * n_term)
        square = square + 1e-9 * (np.trace(square) + 1.0) * np.eye(2 * n_term)
        vector = np.einsum("na,ni->ai", design[used], answer[used]).ravel()
        field = np.linalg.solve(square, vector).reshape(n_term, 2)
        off = answer - np.einsum("nij,nj->ni", information, design @ field)
        known = np.maximum(information[:, [0, 1], [0, 1]], 1e-12)
        alike = (np.abs(off) < OUTLYING * np.sqrt(known)).all(axis=1)
        used = well & alike
        if not used.any():
            break
        step = (off[used] ** 2 - known[used]).sum(axis=0) / (known[used] ** 2).sum(axis=0)
        spread2 = np.clip(spread2 + step, TIGHTEST**2, LOOSEST**2)
    return design @ field, np.sqrt(spread2), alike
