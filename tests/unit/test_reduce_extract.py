"""Extraction of all traces together: exact without noise, honest with it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.traces.extract import (
    HALF_HEIGHT,
    columns_first,
    fit_fluxes,
    light_of_others,
    model_image,
    scattered_under,
)
from sedmd.reduce.traces.profile import gaussian_profile
from sedmd.reduce.traces.samples import Samples
from unit.reduce_scenes import lattice_scene, rng, rows_scene

SIGMA = 4 / 3
PROFILE = gaussian_profile()


def true_image(scene, flux):
    """The image under the profile that the fit uses, so that any difference is the fit's."""
    samples = scene.samples()
    rows = np.arange(scene.shape[0])
    image = np.zeros(scene.shape)
    for k in range(samples.x.size):
        near = np.abs(rows - np.rint(samples.y[k])) <= HALF_HEIGHT
        shares = PROFILE(rows[near] - samples.y[k], np.array(samples.sigma[k]))
        image[near, samples.x[k]] += flux[k] * shares
    return image


def fit(scene, data, weight=None):
    weight = np.ones(scene.shape) if weight is None else weight
    return fit_fluxes(scene.samples(), PROFILE, data.T, weight.T)


@pytest.mark.parametrize("distance", [12.0, 8.3, 5.0, 3.4, 2.6])
@pytest.mark.parametrize("ratio", [1.0, 30.0])
def test_two_overlapping_traces_are_told_apart_exactly(distance, ratio):
    scene = rows_scene([25.3, 25.3 + distance], sigma=SIGMA)
    flux = np.where(scene.samples().trace == 0, 1000.0, 1000.0 * ratio)
    found = fit(scene, true_image(scene, flux))
    assert_allclose(found.flux, flux, rtol=1e-3 * ratio**0.5)
    assert_allclose(found.bad_fraction, 0, atol=1e-6)


def test_a_whole_field_is_told_apart_and_the_model_gives_the_image_back():
    scene = lattice_scene(sigma=SIGMA)
    samples = scene.samples()
    flux = rng(2).uniform(100, 5000, samples.x.size)
    image = true_image(scene, flux)
    assert_allclose(model_image(samples, PROFILE, flux).T, image, atol=0.05)
    well = (samples.y > 3) & (samples.y < scene.shape[0] - 4)
    assert_allclose(fit(scene, image).flux[well], flux[well], rtol=1e-3, atol=0.5)


def test_model_holds_all_the_light():
    scene = rows_scene([20.2, 40.7], sigma=SIGMA)
    samples = scene.samples()
    flux = rng(3).uniform(100, 5000, samples.x.size)
    image = model_image(samples, PROFILE, flux).T
    assert image.sum() == pytest.approx(flux.sum(), rel=1e-3)
    assert_allclose(image.sum(axis=0), np.bincount(samples.x, flux), rtol=1e-3)


@pytest.mark.parametrize("distance", [9.0, 5.0, 3.6])
def test_variance_is_the_scatter_of_the_flux(distance):
    scene = rows_scene([20.0, 20.4 + distance, 20.7 + 2 * distance], sigma=SIGMA, shape=(64, 3000))
    samples = scene.samples()
    truth = np.array([2000.0, 300.0, 900.0])[samples.trace]
    expected = true_image(scene, truth)
    variance = expected + 25.0
    found = fit(scene, rng(4).normal(expected, np.sqrt(variance)), 1 / variance)
    pull = (found.flux - truth) / np.sqrt(found.variance)
    for k in range(3):
        own = pull[samples.trace == k]
        assert own.std() == pytest.approx(1, abs=0.05)
        assert own.mean() == pytest.approx(0, abs=0.06)


def test_masked_pixels_have_no_say():
    scene = rows_scene([25.0, 31.0], sigma=SIGMA)
    samples = scene.samples()
    flux = np.where(samples.trace == 0, 1000.0, 3000.0)
    image = true_image(scene, flux)
    weight = np.ones(scene.shape)
    image[25, 10], weight[25, 10] = 1e5, 0
    image[26:28, 12], weight[26:28, 12] = -1e5, 0
    found = fit(scene, image, weight)
    assert_allclose(found.flux, flux, rtol=2e-3)
    bad = found.bad_fraction
    first = samples.trace == 0
    assert bad[first][10] == pytest.approx(float(PROFILE(np.array([0.0]), np.array(SIGMA))[0]), abs=0.01)
    assert bad[first][11] == pytest.approx(0, abs=1e-6)
    # What is lost is known less well.
    assert found.variance[first][10] > 1.3 * found.variance[first][11]


def test_nothing_is_invented_where_no_pixel_is_left():
    scene = rows_scene([25.0], sigma=SIGMA)
    weight = np.ones(scene.shape)
    weight[:, 5] = 0
    found = fit(scene, true_image(scene, np.full(scene.shape[1], 500.0)), weight)
    assert np.isnan(found.flux[5]) and np.isnan(found.variance[5]) and found.bad_fraction[5] == pytest.approx(1)
    assert_allclose(np.delete(found.flux, 5), 500, rtol=1e-3)


def test_traces_on_top_of_each_other_do_not_end_the_fit_of_the_others():
    scene = rows_scene([12.0, 12.0, 12.05, 40.0], sigma=SIGMA)
    samples = scene.samples()
    found = fit(scene, true_image(scene, np.full(samples.x.size, 800.0)))
    assert np.isfinite(found.flux).all()
    assert_allclose(found.flux[samples.trace == 3], 800, rtol=1e-3)


def test_half_a_trace_at_the_edge_of_the_chip_still_has_its_flux():
    scene = rows_scene([0.2, 62.9], sigma=SIGMA)
    flux = np.full(scene.samples().x.size, 1500.0)
    assert_allclose(fit(scene, true_image(scene, flux)).flux, 1500, rtol=1e-3)


def test_an_even_background_counts_as_its_level_times_the_width_of_the_profile():
    """What the fit takes up of a background that nobody took off is what `scattered_under` says."""
    ny, nx = 21, 30
    samples = Samples(
        trace=np.zeros(nx, int), x=np.arange(nx), y=np.full(nx, 10.3), sigma=np.full(nx, 1.4), shape=(ny, nx)
    )
    background = np.full((ny, nx), 7.0)
    taken = fit_fluxes(samples, PROFILE, background.T, np.ones((nx, ny)))
    assert_allclose(taken.flux, scattered_under(samples, background), rtol=0.02)


@pytest.mark.parametrize("rows", [2.0, 3.5, 6.0])
def test_the_light_of_another_spectrum_is_its_flux_times_what_the_two_profiles_share(rows):
    """``exp(-d**2 / (4 sigma**2))`` of Gaussians; and what a fit finds that knows of no other."""
    ny, nx, sigma = 61, 8, 1.5
    places = np.array([1.0, 20.3, 20.3 + rows, 45.7])  # the first has part of its profile beyond the chip
    samples = Samples(
        trace=np.tile(np.arange(4), nx),
        x=np.repeat(np.arange(nx), 4),
        y=np.tile(places, nx),
        sigma=np.full(4 * nx, sigma),
        shape=(ny, nx),
    )
    flux = np.tile([900.0, 50.0, 4000.0, 700.0], nx)
    flux[3] = np.nan
    found = light_of_others(samples, PROFILE, flux)
    shared = np.exp(-(rows**2) / (4 * sigma**2))
    expected = np.tile([0.0, 4000.0 * shared, 50.0 * shared, 0.0], nx)
    assert_allclose(found, expected, rtol=0.03, atol=1.0)
    everything = model_image(samples, PROFILE, flux)
    one = samples.select(samples.trace == 1)
    alone = fit_fluxes(one, PROFILE, everything, np.ones((nx, ny)))
    assert_allclose(found[samples.trace == 1], alone.flux - 50.0, rtol=1e-5, atol=0.01)


def solved_by_numpy(samples, light, weight):
    """Flux, variance, bad share, explained light and largest share by one dense system for each column."""
    rows = np.arange(samples.shape[0])
    found = np.full((4, samples.x.size), np.nan)
    peak = 0.0
    for x in np.unique(samples.x):
        own = np.flatnonzero(samples.x == x)
        share = PROFILE(rows - samples.y[own, None], samples.sigma[own, None])
        share[np.abs(rows - np.rint(samples.y[own, None])) > HALF_HEIGHT] = 0.0
        peak = max(peak, share.max())
        normal = share * weight[:, x] @ share.T
        scale = np.sqrt(np.diag(normal))
        correlation = normal / np.outer(scale, scale)
        right = share @ (weight[:, x] * light[:, x])
        found[0, own] = np.linalg.solve(correlation, right / scale) / scale
        off = correlation - np.eye(own.size)
        found[1, own] = 1 / (scale**2 * np.maximum(1 - (off**2).sum(axis=1), 0.05))
        found[2, own] = 1 - share @ (weight[:, x] > 0) / share.sum(axis=1)
        found[3, own] = found[0, own] * right
    return *found, peak


@pytest.mark.parametrize("distance", [6.7, 8.9])
def test_the_fit_is_that_of_the_dense_normal_equations(distance):
    random = rng(8)
    samples = rows_scene(6.2 + distance * np.arange(8), sigma=SIGMA, shape=(72, 25)).samples()
    # They climb across the edges of the chip, so that no column is like the one before it.
    samples = replace(samples, y=samples.y - 0.31 * samples.x)
    light, weight = random.uniform(100, 5000, samples.shape), random.uniform(0.01, 0.1, samples.shape)
    weight[random.random(samples.shape) < 0.03] = 0.0
    light, weight = light.astype(np.float32).astype(float), weight.astype(np.float32).astype(float)
    found = fit_fluxes(samples, PROFILE, light.T, weight.T)
    flux, variance, bad, explained, peak = solved_by_numpy(samples, light, weight)
    assert_allclose(found.flux, flux, rtol=1e-9, atol=1e-6)
    assert_allclose(found.variance, variance, rtol=1e-9)
    assert_allclose(found.bad_fraction, bad, atol=1e-12)
    assert_allclose(found.explained, explained, rtol=1e-9, atol=1e-6)
    assert found.peak == pytest.approx(peak, rel=1e-12)


@pytest.mark.parametrize("what", ["y", "sigma"])
def test_samples_without_a_place_are_refused(what):
    samples = rows_scene([20.0, 40.0]).samples()
    lost = replace(samples, **{what: np.where(samples.trace == 0, np.nan, getattr(samples, what))})
    with pytest.raises(ValueError, match="40 of 80 samples have no row or no width"):
        fit_fluxes(lost, PROFILE, np.ones((40, 64)), np.ones((40, 64)))


@pytest.mark.parametrize("x", [[0, 40], [-1, 3], [5, 4]])
def test_samples_off_the_detector_or_out_of_order_are_refused(x):
    samples = Samples(trace=np.arange(2), x=np.array(x), y=np.full(2, 9.0), sigma=np.full(2, 1.4), shape=(64, 40))
    with pytest.raises(ValueError, match="sorted by column and lie in columns 0 to 39"):
        model_image(samples, PROFILE, np.ones(2))


def test_a_sample_without_a_row_on_the_detector_is_bad():
    y = np.array([-30.0, 20.0, 95.0])
    samples = Samples(trace=np.arange(3), x=np.full(3, 5), y=y, sigma=np.full(3, 1.4), shape=(64, 40))
    found = fit_fluxes(samples, PROFILE, np.ones((40, 64)), np.ones((40, 64)))
    assert_allclose(found.bad_fraction, [1.0, 0.0, 1.0], atol=1e-12)
    assert found.bad.tolist() == [True, False, True]


def test_a_frame_of_another_detector_is_refused():
    samples = rows_scene([20.0]).samples()
    with pytest.raises(ValueError, match=r"weight must be of \(40, 64\) pixels"):
        fit_fluxes(samples, PROFILE, np.ones((40, 64)), np.ones((64, 40)))


@pytest.mark.parametrize("shape", [(64, 40), (1, 7), (33, 100)])
def test_columns_first_is_the_frame_turned(shape):
    image = rng().normal(size=shape).astype(np.float32)
    assert (columns_first(image) == image.T).all() and columns_first(image).flags.c_contiguous
    assert (columns_first(columns_first(image)) == image).all()
    assert columns_first(image > 0).dtype == bool and columns_first(image.astype(float)).dtype == np.float32
