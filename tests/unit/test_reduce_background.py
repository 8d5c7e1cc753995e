"""Light between the traces: the weights of the gaps, sums over blocks, and the smooth estimate."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.loops.background import free_weight, spread_blocks, sum_blocks
from sedmd.reduce.traces.background import _planes, _smooth_blocks, gap_weight, smooth_background
from sedmd.reduce.traces.profile import gaussian_profile
from unit.reduce_scenes import SHAPE, lattice_scene, pixel_shares, rng, rows_scene


def plane():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 120.0 + 0.10 * x - 0.15 * y


@pytest.mark.parametrize("noise", [0.0, 12.0])
def test_tilted_plane_comes_back_through_the_gaps(noise):
    samples = lattice_scene().samples()
    weight = gap_weight(samples, gaussian_profile()).T
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


def test_a_pixel_is_worth_what_its_noise_its_place_and_the_light_on_it_leave():
    random = rng(5)
    gap, weight, model, free = (random.uniform(0.1, 1.0, (8, 16)).astype(np.float32) for _ in range(4))
    free_weight(gap, weight, 100.0 * model, np.float32(0.05), free)
    assert_allclose(free, gap / (1.0 / weight + (5.0 * model) ** 2), rtol=1e-5)


def test_gap_weight_falls_to_one_half_at_the_given_share():
    scene = rows_scene([30.0], sigma=4 / 3)
    samples = scene.samples()
    weight = gap_weight(samples, gaussian_profile(), share=0.02).T
    dy = np.arange(scene.shape[0]) - 30.0
    assert_allclose(weight[:, 15], 1 / (1 + (pixel_shares(dy, 4 / 3) / 0.02) ** 4), atol=0.05)
    assert weight[30, 15] < 0.01
    assert_allclose(weight[[10, 50], :], 1)


def test_blocks_are_spread_exactly_on_a_plane():
    y, x = np.mgrid[:256, :512] + 0.0
    plane_of_pixels = 3 + 0.5 * y - 0.25 * x
    blocks = plane_of_pixels.reshape(64, 4, 128, 4).mean(axis=(1, 3))
    columns = np.array([0, 1, 2, 3, 100, 101, 253, 254, 255])
    fine = np.empty((columns.size, 512), np.float32)
    spread_blocks(blocks, columns, 4, fine)
    assert_allclose(fine[2:-2, 2:-2], plane_of_pixels[columns][2:-2, 2:-2], rtol=1e-6)
    # Beyond the centres of the outer blocks their value stands.
    outer = (plane_of_pixels[1] + plane_of_pixels[2])[2:-2] / 2
    assert_allclose(fine[:2, 2:-2], np.stack([outer, outer]), rtol=1e-6)


def test_blocks_hold_the_sums_of_their_pixels():
    residual, weight = rng(1).normal(size=(2, 32, 48)).astype(np.float32)
    total, moment = np.ones((4, 6)), np.zeros((4, 6))
    sum_blocks(residual, weight, np.arange(32), 8, total, moment)
    assert_allclose(total - 1, weight.astype(float).reshape(4, 8, 6, 8).sum(axis=(1, 3)))
    assert_allclose(moment, (weight.astype(float) * residual).reshape(4, 8, 6, 8).sum(axis=(1, 3)))


def plane_by_hand(value, weight, sigma, y, x):
    """Level at one block of the plane fitted to its neighbourhood, by least squares over all blocks in reach."""
    v, u = np.mgrid[: value.shape[0], : value.shape[1]]
    reach = int(3.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * ((v - y) ** 2 + (u - x) ** 2) / sigma**2)
    kernel *= (np.abs(v - y) <= reach) & (np.abs(u - x) <= reach) & (weight > 0)
    w = np.sqrt(kernel * weight).ravel()
    design = np.stack([np.ones(v.size), (v - y).ravel(), (u - x).ravel()], axis=1)
    return np.linalg.lstsq(design * w[:, None], value.ravel() * w, rcond=None)[0][0]


def test_the_smooth_is_a_plane_through_each_neighbourhood():
    random = rng(9)
    value = 50 + 5 * np.sin(np.arange(40) / 9.0) + np.arange(32)[:, None] / 4.0
    weight = random.uniform(0.5, 1.5, value.shape)
    weight[10:14, 20:26] = 0.0
    pixels = [np.repeat(np.repeat(a, 8, axis=0), 8, axis=1).astype(np.float32) for a in (value, weight)]
    found = smooth_background(*pixels)
    # The mean of the four pixels about a block's centre is its value, by the symmetry of the interpolation between it
    # and its neighbours up to their curvature.
    centre = found.reshape(32, 8, 40, 8)[:, 3:5, :, 3:5].mean(axis=(1, 3))
    for y, x in [(16, 20), (0, 0), (31, 39), (12, 23), (5, 39)]:
        # Slopes are held a little (a thousandth of the level's weight).
        assert centre[y, x] == pytest.approx(plane_by_hand(value, weight, 5.0, y, x), abs=0.2)


@pytest.mark.parametrize(
    ("level", "off", "has_a_say"),
    [
        (100.0, 10.0, True),  # ten sigma, but a tenth of the level: the light may be so
        (4.0, 4.5, True),  # far from the level, but not from the noise
        (4.0, 9.0, False),
        (100.0, 40.0, False),
        (100.0, -40.0, False),
    ],
)
def test_a_block_has_no_say_that_is_off_by_noise_and_by_a_quarter_of_the_level(level, off, has_a_say):
    value = level + rng(6).normal(0, 1.0, (32, 40))
    value[16, 20] = level + off
    weight = np.ones(value.shape)
    kept = weight.copy()
    kept[16, 20] = 1.0 if has_a_say else 0.0
    assert_allclose(_smooth_blocks(value, weight, 5.0), _planes(value, kept, 5.0))


def test_some_columns_alone_are_smoothed_like_all_with_the_others_masked():
    random = rng(4)
    image = (plane().T + random.normal(0, 12, SHAPE[::-1])).astype(np.float32)
    weight = np.zeros(image.shape, np.float32)
    columns = np.arange(2, SHAPE[1], 4)
    weight[columns] = random.uniform(0.5, 1, (columns.size, SHAPE[0]))
    some = smooth_background(image[columns], weight[columns], columns=columns, n_x=SHAPE[1])
    assert_allclose(some, smooth_background(image, weight)[columns], rtol=1e-6)


def test_a_frame_that_is_no_whole_number_of_blocks_is_refused():
    with pytest.raises(ValueError, match="cannot be divided into blocks of 8"):
        smooth_background(np.ones((64, 61)), np.ones((64, 61)))


def test_without_any_weight_there_is_no_background():
    assert (smooth_background(np.ones(SHAPE), np.zeros(SHAPE)) == 0).all()
