"""A frame taken apart: the shift has the right sign, the scattered light its level, the fluxes their errors."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sedmd.reduce.numeric.containers import Image, Mask
from sedmd.reduce.traces.frame import flagged, scan_shift, separate
from sedmd.reduce.traces.profile import gaussian_profile
from unit.reduce_scenes import draw, expose, lattice_scene, rng, taper

SHAPE = (320, 512)
PROFILE = gaussian_profile()


@cache
def scene():
    return lattice_scene(SHAPE, sigma=4 / 3)


@cache
def lights():
    """Samples, true flux of each, and scattered light: a broad hill on a level, falling to one side."""
    samples = scene().samples()
    samples = samples.select((samples.y > 3) & (samples.y < SHAPE[0] - 4))  # on the chip also when they are shifted
    level = rng(11).uniform(150, 900, scene().n)
    colour = 1 + 0.4 * np.sin((samples.x - scene().centre[samples.trace]) / 25.0)
    flux = level[samples.trace] * colour * taper(scene(), samples)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    scattered = 40.0 + 25.0 * np.exp(-0.5 * (((x - 200) / 180) ** 2 + ((y - 150) / 160) ** 2)) + 0.01 * x
    return samples, flux, scattered


def frame(dy=0.0, seed=1, factor=1.0):
    samples, flux, scattered = lights()
    return expose(factor * draw(samples, flux, dy=dy) + scattered, seed)


@pytest.mark.parametrize("dy", [-1.7, -0.3, 0.0, 0.4, 2.2])
def test_shift_of_the_traces_returns_what_was_injected(dy):
    found = separate(frame(dy), lights()[0], PROFILE)
    assert found.dy_px == pytest.approx(dy, abs=0.02)
    assert 0 < found.dy_error_px < 0.02
    # The samples come back where the light is.
    assert np.allclose(found.samples.y - lights()[0].y, found.dy_px)


@pytest.mark.parametrize("width", [0.94, 1.0, 1.08])
def test_a_change_of_focus_is_found_and_takes_no_light(width):
    samples, flux, scattered = lights()
    wider = samples.moved(0.3, width)
    found = separate(expose(draw(wider, flux) + scattered, 3), samples, PROFILE)
    assert found.width == pytest.approx(width, abs=0.004)
    assert 0 < found.width_error < 0.001
    assert np.allclose(found.samples.sigma, samples.sigma * found.width)
    # in photons of the spectra and of what lies between them; half of the change where it is not known
    as_known = separate(expose(draw(wider, flux) + scattered, 3), samples.moved(0.3, width), PROFILE, dy_px=0.0)
    assert np.nanmedian(found.extracted.flux / as_known.extracted.flux) == pytest.approx(1.0, abs=0.003)


def test_without_light_the_width_is_that_of_the_calibrations():
    found = separate(expose(np.full(SHAPE, 5.0), 4), lights()[0], PROFILE)
    assert found.width == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("dy", [-1.75, -0.3, 0.0, 0.25, 2.2])
def test_the_scan_alone_finds_the_shift_between_its_steps(dy):
    image = frame(dy)
    columns = (np.ascontiguousarray(one.T) for one in (image.data, image.mask == 0))
    assert scan_shift(*columns, lights()[0], PROFILE, image.read_noise) == pytest.approx(dy, abs=0.03)


def test_known_shift_is_used_and_not_measured():
    found = separate(frame(0.4), lights()[0], PROFILE, dy_px=0.4)
    assert found.dy_px == 0.4 and found.dy_error_px == 0
    assert found.width == 1.0 and found.width_error == 0


def test_light_of_the_spectra_beyond_their_ends_is_no_light_between_them():
    samples, _, scattered = lights()
    light = draw(samples, np.full(samples.x.size, 40.0))
    at = samples.x - scene().centre[samples.trace]
    inner = samples.select((at > np.quantile(at, 0.25)) & (at < np.quantile(at, 0.85)))
    image = expose(light + scattered, 3)
    cut = separate(image, inner, PROFILE, dy_px=0.0)
    whole = separate(image, inner, PROFILE, lit=samples, dy_px=0.0)
    level = np.median(scattered)
    assert np.median(cut.background - scattered) > 0.02 * level  # what is to be avoided does happen
    assert abs(np.median(whole.background - scattered)) < 0.01 * level
    assert whole.samples.x.size == inner.x.size


@pytest.mark.parametrize("dy", [0.0, -1.7])
def test_scattered_light_is_within_three_per_cent(dy):
    found = separate(frame(dy), lights()[0], PROFILE)
    error = found.background / lights()[2] - 1
    assert np.abs(np.median(error)) < 0.01
    assert np.percentile(np.abs(error), 95) < 0.03


def test_fluxes_have_the_errors_they_say():
    samples, flux, _ = lights()
    found = separate(frame(0.4), samples, PROFILE)
    whole = (samples.y > 8) & (samples.y < SHAPE[0] - 8) & (samples.x < SHAPE[1] - 3) & (flux > 50)
    pull = ((found.extracted.flux - flux) / np.sqrt(found.extracted.variance))[whole]
    assert np.std(pull) == pytest.approx(1, abs=0.05)
    assert np.mean(pull) == pytest.approx(0, abs=0.1)
    assert found.chi2 == pytest.approx(1, abs=0.08)
    assert found.outliers.mean() < 1e-3


def test_a_trace_without_a_number_is_fitted_and_gives_no_sample():
    samples, image = lights()[0], frame()
    named = samples.trace % 5 != 0
    every = separate(image, samples, PROFILE)
    found = separate(image, replace(samples, trace=np.where(named, samples.trace, -1)), PROFILE)
    assert np.array_equal(found.samples.trace, samples.trace[named])
    assert np.array_equal(found.extracted.flux, every.extracted.flux[named])
    assert np.array_equal(found.background, every.background)


def test_a_cosmic_ray_is_an_outlier_and_costs_nothing_else():
    samples, flux, _ = lights()
    image = frame()
    image.data[140:170, 200] += 3000
    found = separate(image, samples, PROFILE)
    beside = np.abs(np.arange(140, 170)[:, None] - samples.y[samples.x == 200]).min(axis=1) > 2.5
    assert found.outliers[140:170, 200][beside].all()
    # On a trace a track may pass for light of the trace; then its sides tell.
    hit = (samples.x == 200) & (samples.y > 142) & (samples.y < 167)
    assert found.extracted.bad_fraction[hit].min() > 0.2
    assert found.outliers.sum() < 35
    away = (np.abs(samples.x - 200) > 1) & (samples.y > 8) & (samples.y < SHAPE[0] - 8) & (samples.x < SHAPE[1] - 3)
    pull = ((found.extracted.flux - flux) / np.sqrt(found.extracted.variance))[away]
    assert np.std(pull) == pytest.approx(1, abs=0.06)


def test_masked_pixels_have_no_say():
    samples, _, _ = lights()
    image = frame()
    image.data[40:44, :] = 1e6
    image.mask[40:44, :] = Mask.SATURATED
    found = separate(image, samples, PROFILE)
    assert found.dy_px == pytest.approx(0, abs=0.02)
    assert np.percentile(np.abs(found.background / lights()[2] - 1), 95) < 0.04
    lost = np.abs(samples.y - 41.5) < 2.0
    assert lost.sum() > 20
    assert found.extracted.bad_fraction[lost].min() > 0.5


def test_a_frame_without_light_has_none():
    found = separate(expose(np.full(SHAPE, 40.0)), lights()[0], PROFILE, dy_px=0.0)
    pull = found.extracted.flux / np.sqrt(found.extracted.variance)
    assert np.nanmean(pull) == pytest.approx(0, abs=0.1)
    assert np.nanstd(pull) == pytest.approx(1, abs=0.07)


def test_flagged_adds_a_mark_and_keeps_the_others():
    image = frame()
    image.mask[5, 5] = Mask.COSMIC
    outliers = np.zeros(SHAPE, bool)
    outliers[5, 5] = outliers[6, 6] = True
    marked = flagged(image, outliers)
    assert isinstance(marked, Image)
    assert marked.mask[5, 5] == Mask.COSMIC | Mask.OUTLIER
    assert marked.mask[6, 6] == Mask.OUTLIER
    assert image.mask[6, 6] == 0


def test_light_on_the_traces_is_explained_and_light_beside_them_is_not():
    right = separate(frame(0.4), lights()[0], PROFILE)
    assert right.n_bright > 10_000
    assert right.unexplained < 0.01
    samples, flux, scattered = lights()
    elsewhere = replace(samples, y=SHAPE[0] - 1 - samples.y)
    wrong = separate(expose(draw(elsewhere, flux) + scattered), samples, PROFILE)
    assert wrong.unexplained > 0.15


def test_without_light_nothing_is_bright():
    found = separate(expose(np.full(SHAPE, 40.0)), lights()[0], PROFILE)
    assert found.n_bright < 20 and found.unexplained <= 1.0
