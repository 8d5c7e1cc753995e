"""What standard stars show of the telluric bands, by closed forms: followed where it is no noise, and no more."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.flux.bands import BAND_SAMPLES, less_in_bands, seen_in_bands, unknown_of_bands
from unit.reduce_scenes import rng


def test_the_unknown_share_of_a_band_is_an_error_of_its_samples():
    weight = np.array([[100.0, 100.0, 0.0], [25.0, 25.0, 25.0]])
    found = less_in_bands(weight, np.array([0.0, 0.2, 0.2]), np.array([1.0, 2.0]), 0.5)
    assert_allclose(found, [[100.0, 1 / (0.01 + 0.01), 0.0], [25.0, 1 / (0.04 + 0.04), 1 / (0.04 + 0.04)]])


def test_what_the_stars_show_in_the_bands_is_depth_at_airmass_1():
    amount = np.array([1.0, 1.5])
    depth = np.array([0.0, 0.05, 0.2, 0.05])
    band = np.array([False, True, True, True])
    residual = -amount[:, None] * depth
    sure = np.full(residual.shape, 1e-4)
    sure[:, 3] = np.nan
    found, error = seen_in_bands(residual, sure, amount, band)
    assert_allclose(found, [0.0, 0.05, 0.2, 0.0], atol=1e-6)
    assert_allclose(error, [np.nan, *[1e-4 / np.sqrt((amount**2).sum())] * 2, np.nan], rtol=1e-3)
    # a star without the sample has no say
    residual[1, 2] = np.nan
    found, error = seen_in_bands(residual, sure, amount, band)
    assert found[2] == pytest.approx(0.2, rel=1e-5)
    assert error[2] == pytest.approx(1e-4, rel=1e-3)
    assert not seen_in_bands(residual, sure, amount, ~band & band)[0].any()


def test_what_is_seen_in_the_bands_is_followed_as_far_as_it_is_no_noise():
    random = rng(4)
    true = random.normal(0, 0.02, 4000)
    error = np.full((1, 4000), 0.02)
    residual = -(true + random.normal(0, 0.02, 4000))[None, :]
    found, told = seen_in_bands(residual, error, np.ones(1), np.ones(4000, bool))
    assert_allclose(found, -0.5 * residual[0], rtol=0.06)
    assert np.std(found - true) == pytest.approx(0.02 / np.sqrt(2), rel=0.05)
    assert_allclose(told, 0.02 / np.sqrt(2), rtol=0.05)
    noise = random.normal(0, 0.02, (1, 4000))
    assert np.std(seen_in_bands(noise, error, np.ones(1), np.ones(4000, bool))[0]) < 0.003


@pytest.mark.parametrize(("off", "wanted"), [(0.0, 0.0), (0.1, 0.1 * np.sqrt(BAND_SAMPLES)), (0.5, 1.0)])
def test_how_far_the_bands_are_off_the_template_is_measured_in_them(off, wanted):
    random = rng(5)
    depth = np.r_[np.zeros(500), random.uniform(0.05, 0.5, 3000)]
    amount, error = np.array([1.2]), np.full((1, 3500), 0.003)
    left = off * amount[:, None] * depth * random.normal(size=3500) + random.normal(0, error)
    left[0, ::50] = np.nan
    assert unknown_of_bands(left, error, amount, depth) == pytest.approx(wanted, rel=0.05, abs=0.02)
    assert unknown_of_bands(left, error, amount, np.zeros(3500)) == 1.0
