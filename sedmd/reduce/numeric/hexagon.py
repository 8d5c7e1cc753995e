"""The shape of a spaxel on the sky, from the lattice the spaxels sit on."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sedmd.reduce.numeric.containers import FloatArray, Spaxels

_NEIGHBOURS = np.array([(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)], dtype=float)


@lru_cache(maxsize=16)  # a window asks for one field's lattice many times a second
def lattice_vectors(spaxels: Spaxels) -> FloatArray:
    """Steps on the sky of one unit of q and of r, by least squares over the field.

    Parameters
    ----------
    spaxels : Spaxels
        At least three that do not lie on one line.

    Returns
    -------
    (2, 2) ndarray
        Row 0: (x, y) arcsec for q + 1; row 1: for r + 1.

    Raises
    ------
    ValueError
        Too few spaxels to tell.
    """
    q, r, x, y = (np.asarray(axis, float) for axis in (spaxels.q, spaxels.r, spaxels.x_arcsec, spaxels.y_arcsec))
    if len(q) < 3:
        raise ValueError(f"a lattice needs three spaxels that do not lie on one line, got {len(q)}")
    steps = np.stack([q - q.mean(), r - r.mean()])
    normal = steps @ steps.T
    if not np.linalg.det(normal) > 1e-9 * np.trace(normal) ** 2:
        raise ValueError(f"a lattice needs three spaxels that do not lie on one line, got {len(q)} that do")
    vectors = np.asarray(np.linalg.solve(normal, steps @ np.stack([x, y], axis=1)))
    vectors.flags.writeable = False
    return vectors


def cell_vertices(spaxels: Spaxels) -> FloatArray:
    """Corners of one spaxel relative to its centre: the hexagon that tiles the lattice without gap.

    A corner is the centroid of a spaxel and two neighbours that touch each other; a stretched or sheared lattice gives
    the stretched or sheared hexagon.

    Returns
    -------
    (6, 2) ndarray
        (x, y) arcsec, in order around the cell.
    """
    around = _NEIGHBOURS @ lattice_vectors(spaxels)
    return np.asarray((around + np.roll(around, -1, axis=0)) / 3)


def cell_area(spaxels: Spaxels) -> float:
    """Area of one spaxel on the sky, arcsec**2."""
    return float(abs(np.linalg.det(lattice_vectors(spaxels))))
