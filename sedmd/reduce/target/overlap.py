"""Area that cells of the lattice share with an ellipse, exactly."""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.containers import FloatArray


def shares_in_unit_circle(x: FloatArray, y: FloatArray, corners: FloatArray) -> FloatArray:
    """Share of a polygon's area inside the unit circle, for many places of the polygon.

    Parameters
    ----------
    x, y : (...)
        Places of the polygon's centre; the circle is centred on the origin.
    corners : (k, 2)
        Corners about the polygon's centre, in order around it.

    Returns
    -------
    (...) ndarray
        Between 0 and 1.

    Notes
    -----
    The boundary of the common area runs along an edge where that lies in the circle and along the circle where it does
    not; by Green's theorem an edge adds half the cross product of its ends, an arc half its angle.
    """
    area = np.zeros(np.shape(x))
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        px, py = x + ax, y + ay
        dx, dy = bx - ax, by - ay
        length2 = dx * dx + dy * dy
        along = (px * dx + py * dy) / length2
        inside = along * along - (px * px + py * py - 1.0) / length2
        half = np.sqrt(np.maximum(inside, 0.0))
        first, last = np.clip(-along - half, 0.0, 1.0), np.clip(-along + half, 0.0, 1.0)
        sx, sy = px + first * dx, py + first * dy
        tx, ty = px + last * dx, py + last * dy
        area += _angle(px, py, sx, sy) + (sx * ty - sy * tx) + _angle(tx, ty, x + bx, y + by)
    whole = np.sum(corners[:, 0] * np.roll(corners[:, 1], -1) - corners[:, 1] * np.roll(corners[:, 0], -1))
    return np.clip(area / whole, 0.0, 1.0)


def _angle(ax: FloatArray, ay: FloatArray, bx: FloatArray, by: FloatArray) -> FloatArray:
    """Angle from a to b about the origin; 0 where the two coincide."""
    return np.arctan2(ax * by - ay * bx, ax * bx + ay * by)
