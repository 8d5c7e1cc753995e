"""Gain and read noise come back as they were put in, whatever the lamp does between the exposures."""

import numpy as np
import pytest
from scipy.special import ndtr

from sedmd.reduce.detector.photon_transfer import BLOCK, PhotonTransfer, _contrasts, _moved, photon_transfer
from sedmd.reduce.numeric.containers import Image, Mask

from .reduce_scenes import rng

SHAPE, READ_NOISE = (200, 400), 9.0


def dome(dy=0.0, level=3000.0):
    """Electrons of spectra every eight rows, brighter to one side, moved by dy rows."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    across = sum(np.exp(-0.5 * ((y - dy - centre) / 1.2) ** 2) for centre in range(4, SHAPE[0], 8))
    return level * across * (0.1 + 0.9 * x / SHAPE[1])


def exposures(seed, *, true_over_assumed=1.0, levels=(1.0, 1.0, 1.0), dy=(0.0, 0.0, 0.0), light=dome):
    """Images in electrons by an assumed gain of 1, of a camera whose gain is another."""
    random = rng(seed)
    images = []
    for level, shift in zip(levels, dy, strict=True):
        photons = random.poisson(level * light(shift) * true_over_assumed) / true_over_assumed
        data = (photons + random.normal(0, READ_NOISE, SHAPE)).astype(np.float32)
        images.append(Image(data=data, variance=data, mask=np.zeros(SHAPE, np.uint8), read_noise=READ_NOISE))
    return images, levels


@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0, 1.1, 2.0])
def test_gain_that_was_put_in_comes_out_within_its_error(ratio):
    found = photon_transfer(*exposures(1, true_over_assumed=ratio), every=1)
    assert found.ratio_error < 0.02 * ratio
    assert abs(found.ratio - ratio) < 3.5 * found.ratio_error
    assert found.read_noise == pytest.approx(READ_NOISE, rel=0.02)
    assert found.contradicts == (ratio != 1.0)


def test_errors_are_those_of_many_nights():
    found = [photon_transfer(*exposures(seed), every=1) for seed in range(24)]
    pulls = np.array([(one.ratio - 1.0) / one.ratio_error for one in found])
    # 24 values know their mean to 0.20 and their spread to 0.15
    assert abs(pulls.mean()) < 0.6
    assert 0.6 < pulls.std() < 1.45


@pytest.mark.parametrize("levels", [(1.0, 0.8, 1.3), (1.0, 0.6), (0.7, 1.0, 1.0, 1.2, 1.1)])
def test_a_lamp_that_flickers_is_no_noise(levels):
    images, _ = exposures(3, levels=levels, dy=(0.0,) * len(levels))
    found = photon_transfer(images, levels, every=1)
    assert abs(found.ratio - 1.0) < 3.5 * found.ratio_error


def test_spectra_that_move_between_the_exposures_are_no_noise():
    dy = (0.0, 0.05, -0.04)
    images, levels = exposures(4, dy=dy)
    found = photon_transfer(images, levels, every=1)
    assert abs(found.ratio - 1.0) < 3.5 * found.ratio_error < 0.05
    # half the gain it would seem to be: that the light moved adds as much to the variance as the photons
    moved = np.var((images[1].data - images[0].data)[dome() > 1000]) / np.mean((2 * dome())[dome() > 1000])
    assert moved > 1.5


def narrow(dy=0.0, level=17000.0):
    """Spectra hardly a pixel wide, integrated over the pixels."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    edges = y[..., None] - dy - 0.01 * x[..., None] + np.array([-0.5, 0.5])
    off = (edges - edges.mean(axis=-1, keepdims=True)) + ((edges.mean(axis=-1, keepdims=True) + 4.0) % 8.0 - 4.0)
    across = sum(np.diff(ndtr((off + turn) / 1.05))[..., 0] for turn in (-8.0, 0.0, 8.0))
    return 2.6 * level * across * (0.1 + 0.9 * x / SHAPE[1])


@pytest.mark.parametrize("light", [dome, narrow])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_narrow_and_wide_spectra_that_move_far_are_no_noise_and_take_none_away(light, order):
    dy = np.array([0.008, 0.024, -0.045])[list(order)]
    images, levels = exposures(14, dy=dy, light=lambda shift: light(shift, 17000.0))
    found = photon_transfer(images, levels, every=1)
    assert abs(found.ratio - 1.0) < 3.0 * found.ratio_error < 0.05


def test_a_change_of_focus_and_a_shift_along_the_spectra_are_no_noise():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]

    def lamp(state):
        shift, width = state
        across = sum(np.exp(-0.5 * ((y - centre) / width) ** 2) for centre in range(4, SHAPE[0], 8))
        along = sum(np.exp(-0.5 * ((x - shift - line) / width) ** 2) for line in range(5, SHAPE[1], 20))
        return 20000.0 * across * along

    images, levels = exposures(15, dy=((0.0, 1.2), (0.05, 1.205), (-0.02, 1.198)), light=lamp)
    found = photon_transfer(images, levels, every=1)
    assert abs(found.ratio - 1.0) < 3.0 * found.ratio_error < 0.06


def test_few_bright_pixels_lose_none_of_their_noise_to_the_fit_of_a_change():
    """One line in each block: nine terms fitted to its forty pixels take a fifth of their noise."""
    random = rng(21)
    size = (BLOCK, 64 * BLOCK)
    y, x = np.mgrid[: size[0], : size[1]]
    bright = np.hypot(y - 32, x % BLOCK - 32) < 3.6
    shapes = np.where(bright, random.uniform(500, 3000, (9, *size)), random.uniform(0, 1, (9, *size)))
    noise = np.where(bright, 2000.0, 100.0)
    value = random.normal(0.0, np.sqrt(noise))
    left = _moved(value, shapes, noise, np.ones(size, bool))
    assert np.var(left[bright]) == pytest.approx(2000.0, rel=0.08)
    assert np.var(left[~bright]) == pytest.approx(100.0, rel=0.01)


def test_shapes_share_no_noise_with_the_contrasts():
    """The light of each exposure is another, so that only the right weights keep the noise of the two apart."""
    images, levels = exposures(16, levels=(1.0, 0.3, 1.7))
    found = photon_transfer(images, levels, every=1)
    assert abs(found.ratio - 1.0) < 3.0 * found.ratio_error


def test_cosmic_rays_and_masked_pixels_have_no_say():
    images, levels = exposures(5)
    random = rng(6)
    for image in images:
        hit = random.random(SHAPE) < 0.0005
        image.data[hit] += random.uniform(500.0, 20000.0, hit.sum())
        image.mask[60] = Mask.SATURATED
        image.data[60] = random.uniform(0.0, 1e5, SHAPE[1])
    found = photon_transfer(images, levels, every=1)
    assert abs(found.ratio - 1.0) < 0.03


def test_exposures_that_were_rejected_have_no_say():
    images, _ = exposures(7)
    wild = Image(
        data=images[0].data * 5.0 + rng(1).normal(0, 900.0, SHAPE),
        variance=images[0].variance,
        mask=images[0].mask,
        read_noise=READ_NOISE,
    )
    with_wild = photon_transfer([*images, wild], (1.0, 1.0, 1.0, 0.0), every=1)
    assert with_wild == photon_transfer(images, (1.0, 1.0, 1.0), every=1)


def test_nothing_is_told_without_light_or_with_one_exposure():
    images, levels = exposures(8)
    assert photon_transfer(images[:1], levels[:1]) is None
    assert photon_transfer(images, (1.0, 0.0, 0.0)) is None
    dark, _ = exposures(9, light=lambda shift: np.zeros(SHAPE))
    assert photon_transfer(dark, levels, every=1) is None


@pytest.mark.parametrize(
    "off, error, contradicts",
    [(1.2, 0.01, True), (0.8, 0.01, True), (1.04, 0.001, False), (1.2, 0.05, False), (1.0, 0.0, False)],
)
def test_a_gain_is_contradicted_by_five_errors_and_five_per_cent(off, error, contradicts):
    assert PhotonTransfer(ratio=off, ratio_error=error, read_noise=5.0, n=9).contradicts is contradicts


@pytest.mark.parametrize("n", [2, 3, 5])
def test_contrasts_are_independent_of_each_other_and_of_the_mean(n):
    rows = np.array([*_contrasts(n), np.full(n, n**-0.5)])
    np.testing.assert_allclose(rows @ rows.T, np.eye(n), atol=1e-12)


def test_what_a_change_explains_goes_and_noise_stays():
    random = rng(10)
    shapes = random.normal(0, 1.0, (3, 64, 128)).astype(np.float32)
    noise = random.normal(0, 2.0, (64, 128)).astype(np.float32)
    change = np.float32([0.5, -0.2, 0.1]) @ shapes.reshape(3, -1)
    left = _moved(noise + change.reshape(64, 128), shapes, np.full((64, 128), 4.0), np.ones((64, 128), bool))
    np.testing.assert_allclose(left.std(), 2.0, rtol=0.03)
    np.testing.assert_allclose(np.corrcoef(left.ravel(), change)[0, 1], 0.0, atol=0.03)
