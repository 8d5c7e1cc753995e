"""Smooth functions of the place on the detector: sums without the matrix of their terms."""

import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.field import field_value, terms
from unit.reduce_scenes import rng


@pytest.mark.parametrize("order", range(7))
def test_value_is_the_sum_of_the_terms(order):
    random = rng(order)
    x, y = random.integers(0, 2088, 500), random.uniform(-50, 2100, 500)
    coefficients = random.normal(size=(order + 1) * (order + 2) // 2)
    assert_allclose(field_value(x, y, order, coefficients), terms(x, y, order) @ coefficients, atol=1e-12)
