"""The spaxel flat returns a known, wavelength-dependent throughput."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.cube.flat import LEAST_SPREAD, NEIGHBOURS, _alike, fine_structure, fringes, spaxel_flat
from unit.reduce_scenes import rng

WAVELENGTH = np.linspace(3800.0, 9800.0, 200)
N = 150
PLACES = np.column_stack([np.arange(N) % 15, np.arange(N) // 15]).astype(float)


def throughput(seed=1):
    """Each spaxel's own level, tilt and bend over the wavelength; mean one at every wavelength."""
    random = rng(seed)
    u = np.log(WAVELENGTH / 6000.0)[:, None]
    curve = random.uniform(0.7, 1.2, N) * (1 + random.normal(0, 0.1, N) * u + random.normal(0, 0.1, N) * u**2)
    return curve / curve.mean(axis=1, keepdims=True)


def dome(curve, *, level=3000.0, seed=None):
    """A lamp that is a hundred times fainter in the blue than in the red."""
    lamp = level * np.exp(-0.5 * ((WAVELENGTH - 7500.0) / 1250.0) ** 2)[:, None]
    variance = lamp * curve / 20.0 + 1.0
    flux = lamp * curve
    return (flux if seed is None else rng(seed).normal(flux, np.sqrt(variance))), variance


def test_throughput_is_recovered_exactly_without_noise():
    curve = throughput()
    flux, variance = dome(curve)
    found = spaxel_flat(WAVELENGTH, flux, variance, np.zeros(flux.shape, int), PLACES)
    bright = WAVELENGTH > 4500
    assert_allclose(found[bright], curve[bright], rtol=0.005)


def test_throughput_is_recovered_through_noise():
    curve = throughput()
    flux, variance = dome(curve, seed=2)
    found = spaxel_flat(WAVELENGTH, flux, variance, np.zeros(flux.shape, int), PLACES)
    error = found / curve - 1
    assert np.sqrt(np.mean(error[WAVELENGTH > 5000] ** 2)) < 0.005
    assert np.sqrt(np.mean(error**2)) < 0.03


def test_mean_is_one_and_the_lamp_drops_out():
    curve = throughput()
    flux, variance = dome(curve)
    found = spaxel_flat(WAVELENGTH, flux, variance, np.zeros(flux.shape, int), PLACES)
    assert_allclose(found.mean(axis=1), 1, atol=1e-4)
    again = spaxel_flat(WAVELENGTH, 3 * flux, 3 * variance, np.zeros(flux.shape, int), PLACES)
    assert_allclose(again, found, rtol=0.01)


def test_masked_and_wild_samples_have_no_say():
    curve = throughput()
    flux, variance = dome(curve, seed=3)
    mask = np.zeros(flux.shape, int)
    mask[80:90, 5] = 1
    flux[80:90, 5] = 1e6
    flux[120, 7] *= 4
    flux[130, 9] = np.nan
    found = spaxel_flat(WAVELENGTH, flux, variance, mask, PLACES)
    bright = WAVELENGTH > 5000
    assert_allclose(found[bright][:, [5, 7, 9]], curve[bright][:, [5, 7, 9]], rtol=0.03)


def test_a_trace_that_leaves_the_chip_keeps_the_shape_of_its_neighbours():
    u = np.log(WAVELENGTH / 6000.0)[:, None]
    field = 1 + 0.02 * (PLACES[:, 0] - 7) * u + 0.02 * (PLACES[:, 1] - 5) * u**2  # smooth over the array
    curve = rng(6).uniform(0.8, 1.1, N) * field
    curve /= curve.mean(axis=1, keepdims=True)
    flux, variance = dome(curve, seed=7)
    mask = np.zeros(flux.shape, int)
    cut = np.arange(0, N, 9)
    for spaxel in cut:
        off = 4600.0 + 10.0 * spaxel > WAVELENGTH
        mask[off, spaxel], flux[off, spaxel] = 8, np.nan
    found = spaxel_flat(WAVELENGTH, flux, variance, mask, PLACES)
    error = (found / curve - 1)[:, cut]
    assert np.abs(error[mask[:, cut] == 0]).max() < 0.03
    assert np.abs(error).max() < 0.06


@pytest.mark.parametrize("what", ["dark", "no data"])
def test_spaxel_without_light_has_no_flat(what):
    curve = throughput()
    flux, variance = dome(curve, seed=4)
    mask = np.zeros(flux.shape, int)
    if what == "dark":
        flux[:, 3] = rng(5).normal(0, 1, WAVELENGTH.size)
    else:
        flux[:, 3], variance[:, 3], mask[:, 3] = np.nan, np.nan, 8
    found = spaxel_flat(WAVELENGTH, flux, variance, mask, PLACES)
    assert np.isnan(found[:, 3]).all()
    assert np.isfinite(np.delete(found, 3, axis=1)).all()


def test_light_taken_off_as_scattered_by_a_tenth_too_little_does_not_tilt_the_flat():
    """In the blue it is brighter than the lamp; what is left of it lies smoothly over the field: no photons tell."""
    curve = throughput()
    flux, variance = dome(curve)
    scattered = np.full(flux.shape, 100.0)
    left = 0.1 * scattered * (PLACES[:, 0] - 7.0) / 7.0
    assert np.abs(left / flux)[WAVELENGTH < 4000].max() > 0.15
    found = spaxel_flat(WAVELENGTH, flux + left, variance, np.zeros(flux.shape, int), PLACES, scattered=scattered)
    believed = spaxel_flat(WAVELENGTH, flux + left, variance, np.zeros(flux.shape, int), PLACES)
    blue = WAVELENGTH < 4400
    error, trusting = (np.sqrt(np.mean((one / curve - 1)[blue] ** 2)) for one in (found, believed))
    assert error < 0.06
    assert trusting > 1.3 * error


def test_a_blue_end_on_the_rows_of_a_red_end_that_is_modelled_by_two_per_cent_too_bright_is_not_believed():
    """At one side of the array most of the blue light is lost that way; the flat there is as smooth as elsewhere."""
    curve = throughput()
    flux, variance = dome(curve)
    blue = WAVELENGTH < 4400
    red_end = flux.max(axis=0) * np.clip((4.0 - PLACES[:, 0]) / 4.0, 0.0, 1.0)
    others = np.where(blue[:, None], red_end, 0.0)
    left = -0.02 * others
    lost = PLACES[:, 0] < 3
    assert (left / flux)[WAVELENGTH < 4000][:, lost].max() < -0.15
    given = WAVELENGTH, flux + left, variance, np.zeros(flux.shape, int), PLACES
    found, believed = spaxel_flat(*given, others=others), spaxel_flat(*given)
    error, trusting = (np.sqrt(np.mean((one / curve - 1)[blue][:, lost] ** 2)) for one in (found, believed))
    assert error < 0.06
    assert trusting > 3 * error


def test_the_shape_of_neighbours_is_the_median_of_the_nearest_without_oneself():
    random = rng(8)
    solution = np.column_stack([random.uniform(0.8, 1.2, N), random.normal(0, 0.1, (N, 3))])
    complete, places = random.random(N) > 0.2, PLACES + random.uniform(-0.2, 0.2, (N, 2))
    prior, spread = _alike(solution, complete, places)
    shape = solution / solution[:, :1]
    for k in range(N):
        others = np.flatnonzero(complete & (np.arange(N) != k))
        near = others[np.argsort(np.hypot(*(places[others] - places[k]).T))][:NEIGHBOURS]
        assert_allclose(prior[k], np.median(shape[near], axis=0))
    expected = 1.4826 * np.median(np.abs(shape - prior)[complete], axis=0)
    assert_allclose(spread, np.maximum(expected, LEAST_SPREAD))


def structured(rms, inside, seed=1, level=4000.0):
    """A dome cube with a pattern of that rms at some wavelengths, its variance, a mask and its flat."""
    random = rng(seed)
    flat = 1.0 + 0.1 * random.standard_normal((1, 200)) * np.ones((WAVE.size, 1))
    lamp = level * (1.0 + 0.3 * np.sin(WAVE / 300.0))[:, None]
    pattern = 1.0 + rms * inside[:, None] * random.standard_normal((WAVE.size, 200))
    variance = lamp * flat
    flux = random.normal(lamp * flat * pattern, np.sqrt(variance))
    return flux, variance, np.zeros(flux.shape, np.uint8), flat


WAVE = np.linspace(5500.0, 9500.0, 120)
RED = WAVE > 7900.0
EVERYWHERE = np.ones(WAVE.size, bool)


@pytest.mark.parametrize("rms", [0.01, 0.03])
def test_structure_that_was_put_in_comes_out_and_photon_noise_does_not(rms):
    found, error = fine_structure(*structured(rms, EVERYWHERE), EVERYWHERE)
    assert found == pytest.approx(rms, abs=4 * error)
    assert error < 0.05 * rms
    none, limit = fine_structure(*structured(0.0, EVERYWHERE), EVERYWHERE)
    assert none < 3 * limit < 0.01


@pytest.mark.parametrize("red, told", [(0.0, 0.0), (0.03, 0.03)])
def test_fringes_are_what_the_red_has_more(red, told):
    flux, variance, mask, flat = structured(red, RED)
    found, error = fringes(flux, variance, mask, flat, WAVE)
    assert found == pytest.approx(told, abs=4 * error)
    assert error < 0.006
    alike, limit = fringes(*structured(0.03, EVERYWHERE), WAVE)
    assert alike < 3 * limit < 0.03


def test_wild_and_masked_samples_make_no_fringes():
    flux, variance, mask, flat = structured(0.0, RED)
    hit = (rng(5).random(flux.shape) < 0.01) & RED[:, None]
    flux[hit] *= 3.0
    mask[40] = 1
    flat[:, 3] = np.nan
    assert fringes(flux, variance, mask, flat, WAVE)[0] < 0.01
    mask[:] = 1
    assert np.isnan(fringes(flux, variance, mask, flat, WAVE)).all()
