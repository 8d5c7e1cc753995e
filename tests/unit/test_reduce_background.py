"""Light between the traces: kpy's recipe in closed form, and the smooth estimate of our own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.background import gap_weight, kpy_background, smooth_background, upsample
from sedmd.reduce.extract import gather
from sedmd.reduce.profile import gaussian_profile
from unit.reduce_scenes import SHAPE, lattice_scene, pixel_shares, rng, rows_scene

NO_TRACES = rows_scene([], shape=SHAPE).samples()


def masked_pixels(samples, half_height=4):
    mask = np.zeros(samples.shape, bool)
    pixel, inside = samples.pixels(half_height)
    mask.ravel()[pixel[inside]] = True
    return mask


def test_kpy_constant_image_gives_the_constant_away_from_the_edges():
    samples = lattice_scene().samples()
    background = kpy_background(np.full(SHAPE, 37.0), samples, gauss_sigma_px=6.0)
    # Outside the frame counts as zero: each of five boxes of 17 carries that 8 pixels inwards, the Gaussian 4 sigma.
    edge = 5 * 8 + 4 * 6
    assert_allclose(background[edge:-edge, edge:-edge], 37.0, rtol=1e-9)
    assert background.max() <= 37.0 + 1e-9


def test_kpy_value_of_masked_pixels_does_not_matter():
    samples = lattice_scene().samples()
    image = rng().normal(50, 5, SHAPE)
    wild = np.where(masked_pixels(samples), 1e6, image)
    assert_allclose(kpy_background(wild, samples), kpy_background(image, samples), rtol=1e-9)


@pytest.mark.parametrize(("mode", "sigma"), [(2, 20.0), (5, 20.0), (1, 100.0)])
def test_kpy_smoothing_is_a_gaussian(mode, sigma):
    # A cosine that fits the frame is an eigenfunction of the smoothing: only its amplitude falls.
    wave = np.cos(np.pi * mode * (np.arange(SHAPE[1]) + 0.5) / SHAPE[1])[None, :] * np.ones((SHAPE[0], 1))
    background = kpy_background(100.0 + 10 * wave, NO_TRACES, gauss_sigma_px=sigma)
    fall = np.exp(-0.5 * (np.pi * mode / SHAPE[1] * sigma) ** 2)
    assert_allclose(background, 100.0 + 10 * fall * wave, atol=0.01)


def test_kpy_filling_is_a_box_average_of_what_is_not_masked():
    scene = rows_scene([20.0], shape=(41, 41))
    image = rng(5).uniform(10, 90, scene.shape)
    filled = kpy_background(image, scene.samples(), box_px=17, iterations=1, gauss_sigma_px=1e-3)
    free = ~masked_pixels(scene.samples())
    for y, x in [(20, 20), (17, 20), (24, 9), (20, 30)]:
        box = np.s_[y - 8 : y + 9, x - 8 : x + 9]
        assert filled[y, x] == pytest.approx(image[box][free[box]].mean())
    assert_allclose(filled[free], image[free])


def plane():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 120.0 + 0.10 * x - 0.15 * y


@pytest.mark.parametrize("noise", [0.0, 12.0])
def test_tilted_plane_comes_back_through_the_gaps(noise):
    samples = lattice_scene().samples()
    weight = gap_weight(samples, gather(samples, gaussian_profile()))
    found = smooth_background((plane() + rng().normal(0, 1, SHAPE) * noise).astype(np.float32), weight)
    error = found / plane() - 1
    assert np.abs(error).max() < 0.03
    assert np.sqrt((error**2).mean()) < 0.01


def test_masked_light_and_a_cosmic_ray_make_no_hill():
    random = rng(3)
    image = (plane() + random.normal(0, 12, SHAPE)).astype(np.float32)
    weight = np.full(SHAPE, 1 / 144.0, np.float32)
    calm = smooth_background(image, weight)
    image[100:103, 200:203] += 30000
    image[50:60, 50:60] += 1e6
    weight[50:60, 50:60] = 0
    assert np.abs(smooth_background(image, weight) - calm).max() < 1.0


def test_gap_weight_falls_to_one_half_at_the_given_share():
    scene = rows_scene([30.0], sigma=4 / 3)
    samples = scene.samples()
    weight = gap_weight(samples, gather(samples, gaussian_profile()), share=0.02)
    dy = np.arange(scene.shape[0]) - 30.0
    assert_allclose(weight[:, 15], 1 / (1 + (pixel_shares(dy, 4 / 3) / 0.02) ** 4), atol=0.05)
    assert weight[30, 15] < 0.01
    assert_allclose(weight[[10, 50], :], 1)


def test_upsample_is_exact_on_a_plane_of_blocks():
    y, x = np.mgrid[:256, :512] + 0.0
    plane_of_pixels = 3 + 0.5 * x - 0.25 * y
    blocks = plane_of_pixels.reshape(64, 4, 128, 4).mean(axis=(1, 3))
    fine = upsample(blocks, 4, (256, 512))
    assert_allclose(fine[2:-2, 2:-2], plane_of_pixels[2:-2, 2:-2], rtol=1e-5, atol=1e-3)
