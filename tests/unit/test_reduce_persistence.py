"""What is left of the exposure before: an injected share comes back within its error, and none where none was."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sedmd.reduce.detector.cosmic import clean_cosmics
from sedmd.reduce.numeric.containers import Image, Mask
from sedmd.reduce.traces.frame import separate
from sedmd.reduce.traces.persistence import Persistence, persistence
from sedmd.reduce.traces.profile import gaussian_profile

from .reduce_scenes import draw, expose, lattice_scene, quiet, rng

SCENE, PROFILE = lattice_scene(), gaussian_profile()


def hits(seed, *, number=150):
    """Electrons of short tracks at random, 1000 to 10 000 in a pixel."""
    random, charge = rng(seed), np.zeros(SCENE.shape)
    for y, x in random.integers(4, np.array(SCENE.shape) - 6, (number, 2)):
        slope = random.integers(-1, 2)
        for step in range(random.integers(1, 4)):
            charge[y + step, x + slope * step] += random.uniform(1000, 10_000)
    return charge


@cache
def light(star):
    """A field of sky; with the spectra of a star that fills some of them."""
    samples = SCENE.samples()
    bright = np.where(np.isin(samples.trace, range(40, 46)), 20_000.0 if star else 0.0, 0.0)
    line = np.where(samples.x % 37 < 3, 3000.0, 0.0)
    return draw(samples, 300.0 + line + bright) + 4.0


def pair(share, seed, *, former_star=False, star=False):
    """The exposure before, and one in which that share of it is left."""
    before = light(former_star) + hits(seed)
    return expose(before, seed=seed + 50), expose(light(star) + share * before + hits(seed + 500), seed=seed + 90)


def measured(share, seed, **stars) -> Persistence | None:
    before, image = pair(share, seed, **stars)
    return found_in(image, before)


def found_in(image: Image, before: Image) -> Persistence | None:
    separated = separate(clean_cosmics(image), SCENE.samples(), PROFILE, rounds=2)
    return persistence(image, separated, PROFILE, before)


@pytest.mark.parametrize("times", [6.0, 1.0, 0.17])
@pytest.mark.parametrize("share", [0.0, 0.01])
def test_hot_pixels_that_no_bias_shows_are_no_persistence(times, share):
    """The same pixels stand out in both exposures, by the ratio of their times."""
    before, image = pair(share, 11)
    hot = np.where(rng(12).random(SCENE.shape) < 0.012, rng(13).uniform(500.0, 5000.0, SCENE.shape), 0.0)
    found = found_in(
        replace(image, data=image.data + np.float32(times) * hot.astype(np.float32)),
        replace(before, data=before.data + hot.astype(np.float32)),
    )
    assert abs(found.share - share) < 4 * found.error < 0.02


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1])
def test_an_injected_share_comes_back_within_its_error(share):
    found = [measured(share, seed) for seed in (1, 2, 3)]
    pulls = np.array([(one.share - share) / one.error for one in found])
    assert np.abs(pulls).max() < 3.5 and abs(pulls.mean()) < 2
    assert all(one.error < 0.0006 + 0.04 * share for one in found)
    assert all(one.pixels > 200 for one in found)


def test_what_the_fit_of_the_spectra_rejects_is_not_missing_from_the_share():
    pulls = np.array([(one.share - 0.005) / one.error for one in (measured(0.005, seed) for seed in range(30, 40))])
    assert abs(pulls.mean()) < 0.7


def test_none_gives_none_and_the_errors_are_what_it_scatters_by():
    pulls = np.array([one.share / one.error for one in (measured(0.0, seed) for seed in range(10, 18))])
    assert 0.4 < pulls.std() < 1.7 and abs(pulls.mean()) < 1.0


def test_stars_at_one_place_in_both_exposures_are_no_persistence():
    found = measured(0.0, 4, former_star=True, star=True)
    assert abs(found.share) < 3.5 * found.error
    left = measured(0.005, 4, former_star=True, star=True)
    assert abs(left.share - 0.005) < 3.5 * left.error and left.share > 5 * left.error


def test_light_between_the_spectra_that_is_not_known_well_is_no_persistence():
    before, image = pair(0.0, 3)
    separated = separate(clean_cosmics(image), SCENE.samples(), PROFILE, rounds=2)
    wrong = replace(separated, background=separated.background - np.float32(10.0))
    found = persistence(image, wrong, PROFILE, before)
    assert abs(found.share) < 3.5 * found.error < 0.001


def test_hot_pixels_of_both_exposures_are_no_persistence():
    before, image = pair(0.0, 5)
    hot = rng(8).random(SCENE.shape) < 0.0005
    found = found_in(
        *(replace(one, data=one.data + np.where(hot, 2000.0, 0.0).astype(np.float32)) for one in (image, before))
    )
    assert hot.sum() > 40 and abs(found.share) < 3.5 * found.error


def test_what_is_left_of_the_brightest_is_told_in_units_of_the_noise():
    # 20 000 electrons of a star in three rows: some 5700 in the middle one; of the sky 300
    faint, bright = measured(0.01, 6), measured(0.01, 6, former_star=True)
    noise = np.sqrt(0.29 * 300 + 4 + 25 + 57)
    assert bright.worst == pytest.approx(57 / noise, rel=0.35)
    assert faint.worst < 0.3 * bright.worst


def test_few_hits_and_another_camera_tell_nothing():
    image = expose(light(False), seed=7)
    assert found_in(image, expose(light(False), seed=8)) is None
    assert found_in(image, quiet(np.zeros((200, 512)))) is None


def test_pixels_that_are_bad_in_either_exposure_do_not_count():
    before, image = pair(0.01, 9)
    spoilt = np.zeros(SCENE.shape, bool)
    spoilt[:, :300] = True
    worse = replace(image, data=np.where(spoilt, image.data + 500, image.data).astype(np.float32))
    masked = replace(worse, mask=np.where(spoilt, np.uint8(Mask.BAD_PIXEL), np.uint8(0)))
    found, fewer = found_in(image, before), found_in(masked, before)
    assert fewer.pixels < 0.6 * found.pixels
    assert abs(fewer.share - 0.01) < 3.5 * fewer.error
