"""The exact area that a cell shares with the unit circle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.reduce.target.overlap import shares_in_unit_circle

SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
HEXAGON = np.array([(np.cos(a), np.sin(a)) for a in np.arange(6) * np.pi / 3])


@pytest.mark.parametrize(
    ("corners", "share"),
    [
        (0.1 * SQUARE, 1.0),  # a small cell lies inside
        (SQUARE, np.pi / 4),  # the circle inscribed in a square
        (10 * SQUARE, np.pi / 400),  # an aperture smaller than a spaxel
        (HEXAGON, 1.0),  # inscribed in the circle
        (2 / np.sqrt(3) * HEXAGON, np.pi / (2 * np.sqrt(3))),  # about it
    ],
)
def test_known_areas(corners, share):
    assert shares_in_unit_circle(np.zeros(1), np.zeros(1), corners) == pytest.approx(share, abs=1e-12)
    # the sense in which the corners run does not count
    assert shares_in_unit_circle(np.zeros(1), np.zeros(1), corners[::-1]) == pytest.approx(share, abs=1e-12)


def test_half_a_cell_beyond_the_middle():
    x = np.array([0.0, 3.0, 1.0])
    assert shares_in_unit_circle(x, np.zeros(3), 1e-4 * SQUARE) == pytest.approx([1.0, 0.0, 0.5], abs=1e-4)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.05, 2.5))
def test_as_counted_by_points(x, y, size):
    corners = size * HEXAGON
    u, v = (axis.ravel() for axis in np.meshgrid(*[(np.arange(400) + 0.5) / 200 - 1] * 2))
    inside = (np.abs(v) < np.sqrt(3) / 2) & (np.abs(v) + np.sqrt(3) * np.abs(u) < np.sqrt(3))
    u, v = size * u[inside] + x, size * v[inside] + y
    counted = np.mean(u * u + v * v < 1)
    assert shares_in_unit_circle(np.array([x]), np.array([y]), corners)[0] == pytest.approx(counted, abs=0.01)
