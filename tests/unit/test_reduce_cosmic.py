"""Cosmic rays are found on top of spectra whose lines are left alone, and are those that astroscrappy finds."""

from dataclasses import replace

import astroscrappy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from sedmd.reduce.detector import cosmic
from sedmd.reduce.detector.cosmic import clean_cosmics, find_cosmics
from sedmd.reduce.loops.cosmic import EDGE, significance
from sedmd.reduce.numeric.containers import Mask
from unit.reduce_scenes import draw, expose, lattice_scene, rng, taper


@pytest.fixture(scope="module")
def sky():
    """Traces with a sky line that stands 20 times above the continuum, on a little scattered light."""
    scene = lattice_scene()
    samples = scene.samples()
    line = np.exp(-0.5 * ((samples.x - scene.centre[samples.trace] - 20) / 1.5) ** 2)
    return draw(samples, taper(scene, samples) * (300.0 + 6000.0 * line)) + 40.0


def tracks(shape, n=25, seed=5):
    """Straight tracks one pixel thin: 300 to 3000 electrons per pixel, 1 to 12 pixels long."""
    random = rng(seed)
    light = np.zeros(shape)
    for _ in range(n):
        y, x = random.uniform(15, shape[0] - 15), random.uniform(15, shape[1] - 15)
        angle, length = random.uniform(0, np.pi), random.integers(1, 13)
        for step in range(length):
            row, column = int(y + step * np.sin(angle)), int(x + step * np.cos(angle))
            light[np.clip(row, 0, shape[0] - 1), np.clip(column, 0, shape[1] - 1)] = random.uniform(300, 3000)
    return light


def hit_of(image):
    return (image.mask & Mask.COSMIC) != 0


def test_tracks_are_found(sky):
    light = tracks(sky.shape)
    image = expose(sky)
    clean = clean_cosmics(replace(image, data=image.data + light.astype(np.float32)))
    bright = light > 10 * np.sqrt(sky + 25)
    assert hit_of(clean)[bright].mean() > 0.9
    # What is masked is replaced by something near the light that should be there.
    found = bright & hit_of(clean)
    assert np.median(np.abs(clean.data - sky)[found]) < 0.2 * np.median(light[found])


def test_lines_are_kept(sky):
    clean = clean_cosmics(expose(sky))
    # Within a few pixels of the edge L.A.Cosmic sees half a line and may take it for a track.
    inner = np.zeros(sky.shape, bool)
    inner[12:-12, 12:-12] = True
    assert hit_of(clean)[inner].sum() <= 2
    assert not hit_of(clean)[inner & (sky > 800)].any()


def test_earlier_marks_stay_and_bad_pixels_are_not_called_cosmic(sky):
    image = expose(sky)
    image.mask[50, 60], image.mask[70, 80] = Mask.SATURATED, Mask.BAD_PIXEL
    image.data[70, 80] = 30000
    clean = clean_cosmics(image)
    assert clean.mask[50, 60] & Mask.SATURATED
    assert clean.mask[70, 80] == Mask.BAD_PIXEL
    untouched = ~hit_of(clean)
    untouched[70, 80] = False
    assert_array_equal(clean.data[untouched], image.data[untouched])


def agree_with_astroscrappy(data, read_noise, bad):
    """Hold mask and cleaned frame against the reference, bit for bit; returns the mask."""
    hit, clean = find_cosmics(data, read_noise=read_noise, bad=bad)
    marked, cleaned = astroscrappy.detect_cosmics(
        np.ascontiguousarray(data, np.float32),
        inmask=bad,
        gain=1.0,
        readnoise=read_noise,
        satlevel=np.inf,
        sigclip=cosmic.SIGNIFICANT,
        sigfrac=cosmic.NEIGHBOUR_SHARE,
        objlim=cosmic.CONTRAST,
        niter=cosmic.ROUNDS,
        sepmed=True,
        cleantype="meanmask",
        fsmode="convolve",
        psfmodel="gaussy",
        psffwhm=cosmic.IMAGE_FWHM_PX,
    )
    assert_array_equal(hit, marked)
    assert_array_equal(clean, cleaned)
    return hit


def no_bad(data):
    return np.zeros(data.shape, bool)


@pytest.mark.parametrize("seed", range(3))
def test_spectra_with_tracks_up_to_the_edges_as_astroscrappy(sky, seed):
    image = expose(sky, seed=seed)
    light = np.roll(tracks(sky.shape, n=80, seed=seed), (20 * seed, -17 * seed), axis=(0, 1))
    bad = rng(seed).uniform(size=sky.shape) < 0.003
    bad[:, 30], bad[40] = True, True  # a hot column that is known, and a row
    assert agree_with_astroscrappy(image.data + light, image.read_noise, bad).sum() > 200


def test_saturated_star_and_hot_column_that_nobody_knows_as_astroscrappy(sky):
    image = expose(sky)
    y, x = np.mgrid[: sky.shape[0], : sky.shape[1]]
    star = 65535 * np.exp(-0.5 * ((y - 60) ** 2 + (x - 40) ** 2) / 1.5**2) * 20
    data = np.minimum(image.data + star, 65535.0)
    data[:, 90] += 4000
    agree_with_astroscrappy(data, image.read_noise, no_bad(data))


@pytest.mark.parametrize("shape", [(300, 70), (64, 2088), (33, 97)], ids=str)
def test_noise_with_single_hot_pixels_as_astroscrappy(shape):
    random = rng(1)
    data = random.normal(3.0, 5.0, shape) + 800 * (random.uniform(size=shape) < 0.01)
    assert agree_with_astroscrappy(data, 5.0, no_bad(data)).sum() > 10
    agree_with_astroscrappy(random.normal(3.0, 5.0, shape), 5.0, no_bad(data))


@pytest.mark.parametrize("seed", [3, 4, 5, 6])
def test_cluster_wider_than_its_surroundings_gets_the_usual_level_as_astroscrappy(seed):
    random = rng(seed)
    data = random.normal(100.0, 5.0, (40, 40 + seed % 2))
    bad = no_bad(data)
    bad[10:30, 10:30] = True
    bad[17:22, 17:22] = False  # an island of three good pixels across, once those that touch bad ones are taken off
    data[17:22, 17:22] += 5000 * (1 + random.uniform(size=(5, 5)))
    data[19, 19] = 90000.0
    assert agree_with_astroscrappy(data, 5.0, bad)[18:21, 18:21].any()


@pytest.mark.parametrize("seed", [17, 31, 34])
def test_patches_that_take_several_rounds_as_astroscrappy(seed):
    """What one round takes off in a tile shows more in the tiles beside it."""
    random = rng(seed)
    patches = ndimage.gaussian_filter(random.normal(size=(200, 200)), 1.5) > 0.3
    data = random.normal(0, 5.0, patches.shape) + 100.0 + patches * random.exponential(2000.0, patches.shape)
    agree_with_astroscrappy(data, 5.0, no_bad(data))


@pytest.mark.parametrize("turned", [False, True])
def test_sharp_trace_that_runs_off_both_sides_as_astroscrappy(turned):
    profile = 20000 * np.exp(-0.5 * ((np.arange(60) - 30) / 0.85) ** 2)
    data = rng(5).normal(profile[:, None], 5.0, (60, 60))
    data = np.ascontiguousarray(data.T) if turned else data
    agree_with_astroscrappy(data, 5.0, no_bad(data))


@pytest.mark.parametrize("shape", [(5, 40), (40, 6), (7, 7), (8, 9), (9, 7), (10, 33)], ids=str)
def test_small_frames_as_astroscrappy(shape):
    for seed in range(20):
        random = rng(seed)
        data = random.normal(10.0, 3.0, shape) + 3000 * (random.uniform(size=shape) < 0.1)
        agree_with_astroscrappy(data, 3.0, no_bad(data))


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(7, 80), st.integers(7, 80)),
    level=st.floats(-20, 5000),
    read_noise=st.floats(0.5, 30),
    share=st.floats(0, 0.2),
    bad_share=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_random_frames_as_astroscrappy(seed, shape, level, read_noise, share, bad_share):
    random = rng(seed)
    data = level + random.normal(0, np.hypot(read_noise, np.sqrt(max(level, 0.0))), shape)
    data += random.exponential(3000.0, shape) * (random.uniform(size=shape) < share)
    agree_with_astroscrappy(data, read_noise, random.uniform(size=shape) < bad_share)


def test_the_laplacian_of_a_frame_that_ends_in_darkness():
    """Each pixel's quarters (van Dokkum 2001), on a frame of which one end is bright and the other is not."""
    y, x = np.mgrid[:24, :31]
    data = (100.0 + rng(2).uniform(0, 50, y.shape) + 700.0 * (y == 23) + 500.0 * (x == 0)).astype(np.float32)
    variance = np.full(data.shape, 25.0, np.float32)
    noise, excess = np.empty_like(data), np.empty_like(data)
    whole = np.array([[0, data.shape[0], 0, data.shape[1]]])
    significance(data, variance, whole, noise, excess, np.empty((2, *data.shape), np.float32))
    quarters = np.repeat(np.repeat(data.astype(float), 2, axis=0), 2, axis=1)
    dark = np.pad(quarters, 1)
    around = dark[:-2, 1:-1] + dark[2:, 1:-1] + dark[1:-1, :-2] + dark[1:-1, 2:]
    stand = np.maximum(4 * quarters - around, 0).reshape(24, 2, 31, 2).mean(axis=(1, 3)) / (2 * 5.0)
    assert_allclose(noise, 5.0)
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    usual = ndimage.median_filter(ndimage.median_filter(stand, (1, 7)), (7, 1))
    assert_allclose(excess[inner], (stand - usual)[inner], rtol=1e-4, atol=1e-4)
