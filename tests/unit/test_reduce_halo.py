"""Scattered light as the light of the spectra spread widely: shares, what is told apart from it, and whole frames."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.traces import frame
from sedmd.reduce.traces.background import BEYOND_PX, light_between
from sedmd.reduce.traces.frame import find_halo, separate
from sedmd.reduce.traces.halo import Halo, fit_halo, unlike_halo
from sedmd.reduce.traces.profile import gaussian_profile
from unit.reduce_scenes import draw, expose, lattice_scene, rng, taper

BLOCK = 8
TRUE = Halo(scale=np.array([24.0, 96.0]), share=np.array([0.008, 0.015]), even=0.004)
PROFILE = gaussian_profile()
SHAPE = (320, 512)


def halo(share=0.02, scale=40.0, even=0.0):
    return Halo(scale=np.array([scale]), share=np.array([share]), even=even)


def test_a_point_of_light_becomes_the_gaussian_that_the_halo_states():
    spectra = np.zeros((64, 64))
    spectra[32, 32] = 1000.0
    light = halo().light(spectra, BLOCK)
    assert light.sum() == pytest.approx(0.02 * 1000.0, rel=1e-6)
    place = np.arange(64) - 32.0
    sigma2 = (light.sum(axis=1) * place**2).sum() / light.sum() * BLOCK**2
    assert sigma2 == pytest.approx(40.0**2, rel=1e-3)
    at = np.exp(-0.5 * (place[:, None] ** 2 + place**2) * (BLOCK / 40.0) ** 2)
    assert_allclose(light, 0.02 * 1000 / (2 * np.pi * 25.0) * at, atol=1e-4)


def test_light_that_leaves_the_detector_does_not_come_back_on_the_other_side():
    spectra = np.zeros((64, 64))
    spectra[0, 0] = 1000.0
    light = halo().light(spectra, BLOCK)
    assert light[-1, -1] == pytest.approx(0, abs=1e-9)
    assert light.sum() == pytest.approx(0.02 * 1000 / 4 * (1 + 0.4 / np.sqrt(2 * np.pi) * 0.5) ** 2, rel=0.05)


def test_the_even_part_falls_on_every_pixel_alike():
    spectra = rng(1).uniform(0, 100, (32, 48))
    assert_allclose(halo(share=0.0, even=0.01).light(spectra, BLOCK), 0.01 * spectra.mean(), rtol=1e-9)


def field(seed=2):
    """Blocks of an array that is lit within a circle, brighter on one side, with lines of light and dark in it."""
    y, x = np.mgrid[:256, :256] / 256 - 0.5
    lit = (np.hypot(x, y + 0.05) < 0.42) * (1200 + 600 * x) * (1 + 0.2 * np.sin(x * 40))
    return lit * rng(seed).uniform(0.95, 1.05, lit.shape), x, y


def test_the_halo_is_found_beside_an_error_of_the_feet_of_the_profile():
    spectra, x, y = field()
    light = TRUE.light(spectra, BLOCK)
    feet = spectra * (0.004 + 0.008 * x - 0.006 * y * x)
    noise = 0.3
    between = light + feet + rng(3).normal(0, noise, spectra.shape)
    found = fit_halo(spectra, between, np.full(spectra.shape, noise**-2), BLOCK)
    bright = light > 1
    error = found.light(spectra, BLOCK)[bright] / light[bright] - 1
    # the feet alone, taken for scattered light, would be off by a tenth
    assert np.percentile(np.abs(feet[bright] / light[bright]), 80) > 0.1
    assert np.median(np.abs(error)) < 0.01
    assert np.percentile(np.abs(error), 95) < 0.03
    assert found.total == pytest.approx(TRUE.total, rel=0.1)
    # the same halo serves a frame of other light
    other = spectra * (0.5 + (x > 0))
    assert np.median(np.abs(found.light(other, BLOCK)[bright] / TRUE.light(other, BLOCK)[bright] - 1)) < 0.01


@pytest.mark.parametrize("between", [0.0, 0.4])
def test_without_light_or_with_more_than_spectra_scatter_there_is_no_halo(between):
    spectra, *_ = field()
    weight = np.ones(spectra.shape)
    spread = Halo(scale=np.array([200.0]), share=np.array([between]), even=0.0).light(spectra, BLOCK)
    assert fit_halo(spectra, spread, weight, BLOCK) is None
    assert fit_halo(np.zeros(spectra.shape), spread, weight, BLOCK) is None
    assert fit_halo(spectra, spread, 0 * weight, BLOCK) is None


def test_a_level_is_told_from_feet_and_halo():
    spectra, x, _ = field()
    spectra = spectra / 40
    known = TRUE.light(spectra, BLOCK)
    between = 1.01 * known + 2.5 + spectra * (0.003 + 0.005 * x) + rng(4).normal(0, 0.1, spectra.shape)
    even, feet = unlike_halo(spectra, known, between, np.full(spectra.shape, 100.0))
    assert_allclose(even, 2.5 + 0.01 * known, atol=0.02)
    assert_allclose(feet, spectra * (0.003 + 0.005 * x), atol=0.03)
    assert not unlike_halo(spectra, known, between, np.zeros(spectra.shape))[0].any()


def pixels(blocks):
    return np.repeat(np.repeat(blocks, BLOCK, axis=0), BLOCK, axis=1).astype(np.float32)


def rows_of_a_bias(n, seed=8):
    """A bias that wanders over the rows by some electrons and jitters from row to row."""
    random = rng(seed)
    slow = np.interp(np.arange(n), np.arange(0, n + 32, 32), random.normal(0, 3.0, n // 32 + 1))
    return slow + random.normal(0, 0.6, n)


def test_rows_of_the_bias_are_neither_halo_nor_feet():
    spectra, *_ = field()
    light, noise = TRUE.light(spectra, BLOCK), 0.3
    rows = rows_of_a_bias(256)
    rows -= rows.mean()  # an even level is not told from light that is spread evenly
    between = light + rows + rng(3).normal(0, noise, spectra.shape)
    weight = np.full(spectra.shape, noise**-2)
    found = fit_halo(spectra, between, weight, BLOCK)
    bright = light > 1
    assert np.median(np.abs(found.light(spectra, BLOCK)[bright] / light[bright] - 1)) < 0.02
    faint = spectra / 40
    even, feet = unlike_halo(faint, light / 40, between - light * 39 / 40, weight)
    assert np.std(even - rows) < 0.04  # of 3 electrons; 0.3 / sqrt(256) = 0.02 by noise
    assert np.abs(feet).max() < 0.05


def test_slow_and_quick_rows_of_the_bias_are_in_the_light_between_the_spectra():
    spectra, *_ = field()
    spectra = spectra[::2] / 40
    known, model = pixels(TRUE.light(spectra, BLOCK)), pixels(spectra)
    rows = rows_of_a_bias(model.shape[1]).astype(np.float32)
    left = known + rows + rng(5).normal(0, 5, model.shape).astype(np.float32)
    weight = np.full(model.shape, 1 / 25, np.float32)
    off = light_between(left, weight, model, TRUE) - known - rows
    assert off.mean(axis=0).std() < 0.25  # 5 / sqrt(1024) = 0.16 by noise; the rows alone: 2.6
    assert (off - off.mean(axis=0)).std() < 0.1
    # where the dome told no halo, all is smoothed, and rows are rows
    alone = light_between(left, weight, model, None) - known - rows
    assert alone.mean(axis=0)[50:-50].std() < 0.25
    # a row without a good pixel is as its neighbours
    weight[:, 1000] = 0.0
    gap = light_between(left, weight, model, TRUE) - known - rows
    assert np.abs(gap[:, 1000]).max() < 4.0


def test_a_ghost_is_followed_and_noise_is_not():
    model = np.full((512, 512), 50.0, np.float32)
    known = TRUE.light(model[::BLOCK, ::BLOCK].astype(float), BLOCK)
    x = np.arange(512)
    ghost = 20.0 * np.exp(-0.5 * ((x[:, None] - 250) ** 2 + (x - 300) ** 2) / 150.0**2).astype(np.float32)
    noise = rng(5).normal(0, 5, model.shape).astype(np.float32)
    weight = np.full(model.shape, 1 / 25, np.float32)
    found = light_between(pixels(known) + ghost + noise, weight, model, TRUE)
    assert np.abs(found - pixels(known) - ghost).max() < 4.0
    assert found[250, 300] > 15
    calm = light_between(pixels(known) + noise, weight, model, TRUE) - pixels(known)
    assert calm.std() < 0.03  # smoothed alone it would be 5 / sqrt(4 pi 100**2) = 0.014, and more at the edges


def test_errors_of_the_feet_of_the_profile_are_not_taken_for_light_between_the_spectra():
    spectra, x, _ = field()
    known = TRUE.light(spectra, BLOCK)
    feet = pixels(spectra * (0.006 + 0.008 * x))
    weight = np.full(feet.shape, 1 / 25, np.float32)
    noise = rng(6).normal(0, 5, feet.shape).astype(np.float32)
    found = light_between(pixels(known) + feet + noise, weight, pixels(spectra), TRUE)
    bright = pixels(known) > 20
    assert np.median(feet[bright] / pixels(known)[bright]) > 0.15
    assert np.median(np.abs(found / pixels(known) - 1)[bright]) < 0.01


def test_what_separates_the_traces_of_a_file_uses_their_halo(monkeypatch):
    asked = {}
    monkeypatch.setattr(frame, "separate", lambda *given, **options: asked.update(options))
    traces = SimpleNamespace(samples=lambda shape, beyond=0: beyond, profile=PROFILE, halo=TRUE)
    frame.separate_traces(expose(np.full(SHAPE, 40.0)), traces, dy_px=0.0, rounds=2)
    assert asked == {"halo": TRUE, "lit": BEYOND_PX, "dy_px": 0.0, "rounds": 2}


def scene(factor):
    """A lattice of spectra, and the light that they scatter, in electron."""
    lattice = lattice_scene(SHAPE, sigma=4 / 3)
    samples = lattice.samples()
    level = rng(11).uniform(800, 1200, lattice.n)
    flux = factor * level[samples.trace] * taper(lattice, samples)
    light = draw(samples, flux)
    blocks = light.T.reshape(SHAPE[1] // BLOCK, BLOCK, SHAPE[0] // BLOCK, BLOCK).mean(axis=(1, 3))
    return samples, light, pixels(TRUE.light(blocks, BLOCK)).T


def error(found, scattered):
    return float(np.sqrt(np.mean((found.background - scattered) ** 2)) / scattered.mean())


def test_the_dome_s_halo_makes_the_light_between_the_spectra_of_a_faint_frame_known():
    samples, light, scattered = scene(20.0)
    found = find_halo(expose(light + scattered, 1), samples, PROFILE)
    dome = separate(expose(light + scattered, 1), samples, PROFILE, halo=found, dy_px=0.0)
    assert error(dome, scattered) < 0.02
    samples, light, scattered = scene(0.5)
    faint = expose(light + scattered + 3.0, 2)
    alone = separate(faint, samples, PROFILE, dy_px=0.0)
    known = separate(faint, samples, PROFILE, halo=found, dy_px=0.0)
    assert error(known, scattered + 3.0) < 0.5 * error(alone, scattered + 3.0)


def test_spectra_beside_the_field_scatter_too():
    samples, light, scattered = scene(20.0)
    half = replace(samples, trace=np.where(samples.y > SHAPE[0] / 2, -1, samples.trace))
    dome = expose(light + scattered, 1)
    whole, named = find_halo(dome, samples, PROFILE), find_halo(dome, half, PROFILE)
    assert_allclose(named.share, whole.share)
