"""Cosmic rays are found on top of spectra whose lines are left alone."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sedmd.reduce.containers import Image, Mask
from sedmd.reduce.cosmic import clean_cosmics
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
    clean = clean_cosmics(
        Image(
            data=image.data + light.astype(np.float32),
            variance=image.variance,
            mask=image.mask,
            read_noise=image.read_noise,
        )
    )
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
