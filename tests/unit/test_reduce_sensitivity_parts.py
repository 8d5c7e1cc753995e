"""The parts of the fit of the sensitivity, by closed forms: weights, errors, what the bands show, the spline."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.flux.sensitivity import (
    Response,
    _Data,
    _data,
    _error_of_mean,
    _residual_scatter,
    _rms,
    _solved,
    _spline_basis,
)
from unit.reduce_scenes import rng

N = 60


def samples(values, error):
    """Samples of one constant: as the fit takes them."""
    one = np.asarray(values, float)[None, :]
    precision = np.full(one.shape, 1.0 / error**2)
    return _Data(log_ratio=one, error=np.full(one.shape, error), weight=precision, keep=precision, amount=np.ones(1))


def constant(values, error=0.01):
    solution, left = _solved(samples(values, error), np.ones((len(values), 1)), (np.zeros((1, 1)), np.zeros(1)))
    assert_allclose(left, np.asarray(values) - solution[0])
    return float(solution[0])


def test_gaussian_noise_costs_hardly_more_than_with_the_plain_mean():
    drawn = rng(1).normal(0, 0.01, (400, N))
    robust, plain = np.array([constant(one) for one in drawn]), drawn.mean(axis=1)
    assert np.std(robust - plain) < 0.25 * np.std(plain)


def test_outliers_are_held_down():
    values = rng(2).normal(0, 0.01, N)
    values[::10] += 0.3  # thirty sigma: the plain mean is off by three
    assert abs(constant(values)) < 0.5 * 0.01


def test_a_sample_of_less_weight_says_less():
    data = samples([0.0, 0.03], 0.01)
    data.keep[0, 1] /= 3
    solution, _ = _solved(data, np.ones((2, 1)), (np.zeros((1, 1)), np.zeros(1)))
    # a quarter of the way without any holding down; that of the farther, lighter one makes it a little less
    assert 0.004 < solution[0] < 0.0075 + 1e-9


@pytest.mark.parametrize("airmass", [1.0, 2.0])
def test_data_of_a_response(airmass):
    ratio, error = np.array([2.0, 2.0, 2.0, np.nan, -1.0, 2.0]), np.array([0.02, 0.06, 0.9, 0.1, 0.1, 1.2])
    depth = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    made = _data([Response(star="x", ratio=ratio, error=error, airmass=airmass)], depth)
    assert_allclose(made.log_ratio[0, :3], np.log(2.0))
    assert_allclose(made.error[0, :3], [0.01, 0.03, 0.45])
    # a per cent is added to each error; what is known to less than a half, or is no light, does not count
    assert_allclose(made.weight[0], [1 / 0.0002, 1 / 0.001, 1 / (0.45**2 + 0.0001), 0, 0, 0])
    # deep in a band the depth itself is the error
    assert_allclose(made.keep[0, :3], [1 / 0.0002, 1 / (0.001 + airmass**1.2), made.weight[0, 2]])
    assert_allclose(made.amount, airmass**0.6)


def test_the_error_of_several_stars_is_that_of_their_weighted_mean():
    error = np.array([[0.03, 0.03, 0.03], [0.03, 0.04, 0.03]])
    keep = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    data = _Data(log_ratio=error, error=error, weight=keep, keep=keep, amount=np.ones(2))
    assert_allclose(_error_of_mean(data), [0.03 / np.sqrt(2), 0.03 * 0.04 / 0.05, 0.03])
    nothing = _Data(log_ratio=error, error=error, weight=0 * keep, keep=0 * keep, amount=np.ones(2))
    assert_allclose(_error_of_mean(nothing), 1.0)


def test_rms_is_over_the_stars_that_are_there():
    residual = np.array([[0.3, 0.1, np.nan], [-0.4, np.nan, np.nan]])
    assert_allclose(_rms(residual), [np.sqrt(0.125), 0.1, 0.0])


def test_the_scatter_of_the_residuals_is_without_their_photon_noise():
    random = rng(3)
    error = np.full((3, 2000), 0.02)
    residual = random.normal(0, 0.03, error.shape) + random.normal(0, 0.02, error.shape)
    clear = np.ones(2000, bool)
    found = _residual_scatter(residual, error, clear, window=1001)[500:1500]
    assert_allclose(found, 0.03, rtol=0.1)
    assert_allclose(_residual_scatter(0.5 * error, error, clear), 0.0)
    # what is far off is no scatter but a fault, and the bands have their own
    residual[:, ::7], residual[0, ::5] = 0.5, np.nan
    assert_allclose(_residual_scatter(residual, error, clear, window=1001)[500:1500], 0.03, rtol=0.15)
    assert_allclose(_residual_scatter(residual, error, ~clear), 0.0)


def test_splines_add_up_to_one_follow_a_line_and_stay_level_beyond_the_ends():
    wavelength = np.linspace(4000.0, 9000.0, 300)
    basis = _spline_basis(wavelength, 4500.0, 8500.0, 10)
    assert basis.shape == (300, 13)
    assert_allclose(basis.sum(axis=1), 1.0)
    inside = (wavelength >= 4500) & (wavelength <= 8500)
    assert_allclose(basis[wavelength < 4500] - basis[inside][:1], 0, atol=0.02)
    u = np.log(wavelength)
    step = np.log(8500 / 4500) / 10
    # coefficients of a straight line are the line at the middles of the splines
    line = np.log(4500) + step * (np.arange(13) - 1)
    assert_allclose((basis @ line)[inside], u[inside])
    assert_allclose((basis @ line)[wavelength < 4500], np.log(4500))
    assert_allclose((basis @ line)[wavelength > 8500], np.log(8500))


def test_the_floor_is_that_of_the_wavelengths_around_and_not_of_one_bin():
    """Every other bin is off by two per cent within sixty: 1.4 per cent there, and nothing thirty bins on."""
    residual = np.zeros((1, 240))
    residual[0, 60:120:2] = 0.02
    floor = _residual_scatter(residual, np.zeros((1, 240)), np.ones(240, bool))
    assert_allclose(floor[70:110], 0.02 / np.sqrt(2), rtol=0.05)
    assert_allclose(floor[150:], 0.0)
