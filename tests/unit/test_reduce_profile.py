"""The cross-dispersion profile: unit light, right width, derivatives that are derivatives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.traces.profile import gaussian_profile, measured_profile
from unit.reduce_scenes import pixel_shares, rng

ROWS = np.arange(-15, 16)
SIGMAS = [1.0, 1.2, 4 / 3, 1.7]
PHASES = np.linspace(-0.5, 0.5, 11)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_shares_sum_to_one_at_every_phase(sigma):
    shares = gaussian_profile()(ROWS[None, :] - PHASES[:, None], np.array(sigma))
    assert_allclose(shares.sum(axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_width_and_centre_are_those_asked_for(sigma):
    shares = gaussian_profile()(ROWS[None, :] - PHASES[:, None], np.array(sigma)).astype(float)
    centre = shares @ ROWS
    assert_allclose(centre, PHASES, atol=2e-3)
    rms = np.sqrt((shares * (ROWS - centre[:, None]) ** 2).sum(axis=1))
    assert_allclose(rms, sigma, rtol=0.01)


def test_gaussian_profile_is_the_integral_over_the_pixel():
    dy = ROWS[None, :] - PHASES[:, None]
    # The table is made for pixels of 0.75 sigma.
    assert_allclose(gaussian_profile()(dy, np.array(4 / 3)), pixel_shares(dy, 4 / 3), atol=3e-4)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_slope_is_the_derivative_with_the_row_of_the_trace(sigma):
    profile = gaussian_profile(step=0.02)
    dy = np.linspace(-6, 6, 241)
    h = 0.02 * sigma
    # A trace moved towards higher rows leaves every pixel at a smaller distance dy.
    numeric = (profile(dy - h, np.array(sigma)) - profile(dy + h, np.array(sigma))) / (2 * h)
    assert_allclose(profile.slope(dy, np.array(sigma)), numeric, atol=2e-3)
    assert profile.slope(np.array([1.0]), np.array(sigma))[0] > 0


@pytest.mark.parametrize("sigma", SIGMAS)
def test_stretch_is_the_derivative_with_the_width(sigma):
    profile = gaussian_profile(step=0.02)
    dy = np.linspace(-6, 6, 241)
    h = 0.02 * sigma
    numeric = (profile(dy, np.array(sigma + h)) - profile(dy, np.array(sigma - h))) / (2 * h)
    assert_allclose(profile.stretch(dy, np.array(sigma)), numeric, atol=3e-3)
    assert profile.stretch(np.array([0.0]), np.array(sigma))[0] < 0


def test_nothing_beyond_the_table():
    profile = gaussian_profile(t_max=4.0)
    assert profile(np.array([4.01, -4.01, 30.0]), np.array(1.0)) == pytest.approx(0)
    assert profile.t_max == pytest.approx(4.0)


def sums_by_numpy(profile, t, value, weight):
    """Sums of weight and weight x value around each entry of the profile's table: a pixel counts in both neighbours."""
    position = t / profile.step + (profile.value.size - 1) / 2
    index = np.floor(position).astype(int)
    sums = np.zeros((2, profile.value.size))
    for entry, share in ((index, 1 - (position - index)), (index + 1, position - index)):
        np.add.at(sums[0], entry, share * weight)
        np.add.at(sums[1], entry, share * weight * value)
    return sums


def truth(distance, sigma):
    return 0.85 * pixel_shares(distance, sigma) + 0.15 * pixel_shares(distance, 3.0 * sigma)


def test_a_profile_with_wings_is_measured_from_noisy_pixels():
    random = rng(7)
    n, sigma, flux = 40_000, 1.3, 5000.0
    dy = np.arange(-9, 10)[None, :] - random.uniform(-0.5, 0.5, n)[:, None]
    light = flux * truth(dy, sigma)
    data = light + random.normal(0, np.sqrt(light + 25))
    weight = (flux / sigma) ** 2 / (light + 25)
    sums = sums_by_numpy(gaussian_profile(), dy / sigma, sigma * data / flux, weight)
    found = measured_profile(sums, None, gaussian_profile())
    shown = np.linspace(-7, 7, 57)
    assert_allclose(found(shown, np.array(sigma)), truth(shown, sigma), atol=2e-3)
    assert found.value.sum() * found.step == pytest.approx(1)


def observed(share, sigma, seed, flux, n=20_000):
    """Sums over samples of an instrument whose share of the light in a pixel is `share`."""
    random = rng(seed)
    dy = np.arange(-12, 13)[None, :] - random.uniform(-0.5, 0.5, n)[:, None]
    light = flux * share(dy)
    data = light + random.normal(0, np.sqrt(light + 25))
    inside = np.abs(dy / sigma) < 8.9
    weight = (flux / sigma) ** 2 / (light + 25)
    return sums_by_numpy(gaussian_profile(), (dy / sigma)[inside], (sigma * data / flux)[inside], weight[inside])


def test_wings_are_those_of_the_lines_and_go_on_smoothly_where_neighbours_stand():
    sigma = 1.3
    wing = 0.06 * 2 / np.pi / 3.5

    def true(dy):
        return 0.94 * pixel_shares(dy, sigma) + wing / (1 + (dy / 3.5) ** 2) ** 2

    def confused(dy):  # neighbours eight rows off took part of the wings, and left more elsewhere
        return true(dy) * np.where(np.abs(dy) > 3.2, 0.2, 1.0) + 0.004 * (np.abs(np.abs(dy) - 9) < 2)

    core = observed(confused, sigma, 1, 4000.0)
    lines = observed(lambda dy: true(dy) * np.where(np.abs(dy) > 6.0, 0.0, 1.0), sigma, 2, 30000.0)
    found = measured_profile(core, lines, gaussian_profile())
    near, far = np.array([3.5, 4.0, 4.5, 5.0]), np.array([6.0, 7.0, 8.0, 9.0, 10.0])
    for sign in (-1, 1):
        assert_allclose(found(sign * near, np.array(sigma)), true(near), rtol=0.15)
        beyond = found(sign * far, np.array(sigma))
        assert (np.diff(beyond) < 0).all()
        assert_allclose(beyond, true(far), rtol=0.7)
    # lines that never shone say nothing
    dark = np.stack([lines[0] * 1e-9, lines[1] * 1e-6])
    without = measured_profile(core, None, gaussian_profile())
    assert_allclose(measured_profile(core, dark, gaussian_profile()).value, without.value)


@pytest.mark.parametrize("off", [-0.06, 0.05])
def test_the_middle_of_the_core_is_called_the_row(off):
    """Else rows and profile could move against each other from round to round, and no residual would show it."""
    start = gaussian_profile()
    moved = np.interp(start.t - off, start.t, start.value)
    sums = np.stack([np.ones(start.t.size), moved])
    assert_allclose(measured_profile(sums, None, start).value, start.value, atol=0.002)
