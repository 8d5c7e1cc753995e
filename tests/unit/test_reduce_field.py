"""Smooth functions of the place on the detector: sums without a matrix of terms, and fits that outliers miss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.field import field_value, fit_field, terms
from unit.reduce_scenes import rng


@pytest.mark.parametrize("order", range(7))
def test_value_is_the_sum_of_the_terms(order):
    random = rng(order)
    x, y = random.integers(0, 2088, 500), random.uniform(-50, 2100, 500)
    coefficients = random.normal(size=(order + 1) * (order + 2) // 2)
    assert_allclose(field_value(x, y, order, coefficients), terms(x, y, order) @ coefficients, atol=1e-12)


def test_the_first_terms_are_the_legendre_polynomials_of_the_detector():
    x, y = np.array([0.0, 1024.0, 2048.0]), np.array([2048.0, 512.0, 0.0])
    u, v = np.array([-1.0, 0.0, 1.0]), np.array([1.0, -0.5, -1.0])
    assert_allclose(terms(x, y, 2).T, [u**0, v, 1.5 * v**2 - 0.5, u, u * v, 1.5 * u**2 - 0.5])


def places(n=400, seed=1):
    random = rng(seed)
    return random.uniform(0, 2048, n), random.uniform(0, 2048, n)


def cubic(x, y):
    u, v = x / 1024 - 1, y / 1024 - 1
    return 5 + u - 2 * v + 0.5 * u * v + 0.3 * u**2 * v - 0.2 * v**3


def test_a_field_of_the_fits_degree_comes_back_everywhere():
    x, y = places()
    fitted = fit_field(x, y, cubic(x, y))
    there = places(seed=2)
    assert fitted.order == 3
    assert_allclose(fitted(*there), cubic(*there), atol=1e-4)


def test_what_holds_a_fit_does_not_hold_its_mean():
    # a ridge that drew the constant towards zero would make every field a little too small
    x, y = places()
    fitted = fit_field(x, y, np.full(x.size, 1000.0), ridge=1e-2)
    assert_allclose(fitted(x, y), 1000.0, rtol=1e-9)


def test_the_ridge_keeps_a_field_bounded_where_nothing_covers_it():
    # all values on one line: across it, anything would fit
    x = np.linspace(0, 2048, 200)
    fitted = fit_field(x, x, rng(3).normal(size=x.size))
    corner = fitted(np.array([0.0, 2048.0]), np.array([2048.0, 0.0]))
    assert np.abs(corner).max() < 5


@pytest.mark.parametrize(("n", "order"), [(50, 3), (49, 2), (30, 2), (29, 1), (15, 1), (14, 0), (1, 0)])
def test_the_degree_is_lowered_until_there_are_five_values_for_each_term(n, order):
    x, y = places(60)
    value = np.where(np.arange(60) < n, 2.0, np.nan)
    fitted = fit_field(x, y, value)
    assert fitted.order == order
    assert_allclose(fitted(x, y), 2.0, rtol=1e-5)


def test_outliers_unknown_values_and_those_without_weight_have_no_say():
    x, y = places()
    value, weight = cubic(x, y), np.ones(x.size)
    value[::10] += 50.0
    value[5::10] = np.nan
    value[3::10], weight[3::10] = -3.0, 0.0
    fitted = fit_field(x, y, value, weight=weight)
    assert_allclose(fitted(x, y), cubic(x, y), atol=1e-3)


def test_weights_are_those_of_the_mean():
    # two values at one place, again and again: a constant lies at their weighted mean
    x, y = np.full(40, 700.0), np.full(40, 900.0)
    value, weight = np.tile([0.0, 1.0], 20), np.tile([3.0, 1.0], 20)
    assert_allclose(fit_field(x, y, value, weight=weight, order=0).coefficients, [0.25])


def test_scatter_is_the_sigma_of_what_is_not_an_outlier():
    x, y = places(4000)
    value = cubic(x, y) + rng(4).normal(0, 0.3, x.size)
    value[::50] += 20.0
    assert float(fit_field(x, y, value).scatter) == pytest.approx(0.3, rel=0.04)


def test_a_value_beyond_the_limit_is_rejected_and_one_within_is_not():
    x, y = places(300)
    value = rng(5).normal(0, 1.0, x.size)
    value[7] = 30.0
    kept = np.abs(value) < 1e9
    kept[7] = False
    assert_allclose(
        fit_field(x, y, value, clip=10.0).coefficients, fit_field(x[kept], y[kept], value[kept], clip=1e9).coefficients
    )


def test_without_a_value_there_is_no_field():
    with pytest.raises(ValueError, match="at least one is needed"):
        fit_field(np.zeros(3), np.zeros(3), np.full(3, np.nan))
