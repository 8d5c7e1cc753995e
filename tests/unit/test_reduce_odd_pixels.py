"""Pixels that do not follow the dome are found, whatever the spectrum and the profile; good ones are not."""

import numpy as np
import pytest

from sedmd.products.solution import read_bad_pixels, write_flat
from sedmd.reduce.cube.bad_pixels import ODD_SIGMA, Answers
from sedmd.reduce.cube.odd_pixels import answers
from sedmd.reduce.numeric.containers import Image
from sedmd.reduce.traces.frame import separate
from sedmd.reduce.traces.profile import gaussian_profile

from .reduce_scenes import draw, expose, hex_spaxels, rng, rows_scene

ROWS = np.arange(12.0, 84.0, 9.0)
SCENE = rows_scene(ROWS, shape=(96, 160))
PROFILE = gaussian_profile()


def dome(bad, *, level=4000.0, sigma=None, seed=1, answer=0.0):
    """A frame whose light rises along the dispersion; the pixels of `bad` see `answer` of it."""
    samples = SCENE.samples()
    if sigma is not None:
        samples = type(SCENE)(**(vars(SCENE) | {"sigma": sigma})).samples()
    light = draw(samples, level * (0.3 + 0.7 * samples.x / 160.0))
    return expose(np.where(bad, answer * light, light * rng(7).normal(1.0, 0.01, light.shape)), seed=seed)


def answers_in(image: Image) -> Answers:
    separated = separate(image, SCENE.samples(), PROFILE, dy_px=0.0, rounds=2)
    return answers(image, separated, PROFILE, 1)


def found_in(image: Image) -> np.ndarray:
    return answers_in(image).bad(ODD_SIGMA)


def some(*places):
    bad = np.zeros(SCENE.shape, bool)
    for place in places:
        bad[place] = True
    return bad


@pytest.mark.parametrize("answer", [0.0, 0.4, 2.0])
def test_single_pixels_are_found_and_nothing_else(answer):
    bad = some((30, 50), (12, 100), (40, 77), (57, 21))
    np.testing.assert_array_equal(found_in(dome(bad, answer=answer)), bad & (dome(some()).data > 100))


def test_a_column_behind_a_trap_is_found_although_it_lowers_the_flux_itself():
    bad = some((slice(30, 96), 90))
    found = found_in(dome(bad, answer=0.4))
    bright = dome(some()).data > 300
    assert found[bad & bright].mean() > 0.97
    assert not found[~bad].any()


def test_a_pair_of_dead_columns_is_found():
    bad = some((slice(None), slice(90, 92)))
    bright = dome(some()).data > 300
    assert found_in(dome(bad))[bad & bright].mean() > 0.97


def test_good_pixels_are_not_told_where_the_profile_is_wrong_or_the_light_is_faint():
    assert not found_in(dome(some(), sigma=1.8)).any()  # the model has another width
    assert not found_in(dome(some(), level=400_000.0)).any()  # good pixels differ by a per cent, of whatever light
    faint = dome(some((30, 50)), level=60.0)
    assert found_in(faint).sum() == 0
    assert not answers_in(faint).well().any()  # nor does it say that they are well
    bright = answers_in(dome(some((30, 50)))).well()
    assert bright[dome(some()).data > 1000].mean() > 0.8 and not bright[30, 50]


def test_the_map_comes_back_from_the_file_for_a_frame_of_its_shape(tmp_path):
    spaxels = hex_spaxels(2)
    wave, path = np.array([5000.0, 6000.0]), tmp_path / "flat.fits"
    flat = np.ones((2, spaxels.q.size), np.float32)
    bad = some((30, 50), (95, 159), (0, 3))
    write_flat(path, wave, flat, spaxels, bad_pixels=bad, cards={})
    np.testing.assert_array_equal(read_bad_pixels(path, bad.shape), bad)
    np.testing.assert_array_equal(read_bad_pixels(path, (40, 60)), bad[:40, :60])
    write_flat(path, wave, flat, spaxels, cards={})
    assert not read_bad_pixels(path, bad.shape).any()


@pytest.mark.parametrize("ends", [(30, 140), (0, 120), (25, 160)])
def test_light_that_goes_on_beyond_the_end_of_a_trace_is_no_bad_pixel(ends):
    near = rows_scene(np.arange(12.0, 84.0, 5.0), shape=(96, 160))
    every = type(near)(**(vars(near) | {"sigma": 1.8})).samples()
    cut = (every.trace == 6) & ((every.x < ends[0]) | (every.x >= ends[1]))
    bad = some((12, 80), (22, 20))
    # beside brighter ones, and fading there to a third over eight columns
    fades = np.where(cut, np.exp(-np.where(every.x < ends[0], ends[0] - every.x, every.x - ends[1]) / 8.0), 1.0)
    light = draw(every, np.where(every.trace == 6, 3000.0 * fades, 12_000.0))
    image = expose(np.where(bad, 0.0, light), seed=3)
    separated = separate(image, every.select(~cut), PROFILE, dy_px=0.0, rounds=2)
    found = answers(image, separated, PROFILE, 1, every).bad(ODD_SIGMA)
    np.testing.assert_array_equal(found, bad)
    if ends == (30, 140):  # on both sides of the trace; without knowing of them, pixels there would be called bad
        assert answers(image, separated, PROFILE, 1).bad(ODD_SIGMA).sum() > bad.sum()


def test_what_shines_elsewhere_makes_no_pixel_doubtful():
    """Places beyond the ends of a trace that fades to nothing there leave all others judged."""
    samples = SCENE.samples()
    fades = np.clip((samples.x - 10.0) / 40.0, 0.0, 1.0) * np.clip((150.0 - samples.x) / 40.0, 0.0, 1.0)
    image = expose(draw(samples, 4000.0 * fades), seed=4)
    inside = samples.select((samples.x >= 10) & (samples.x < 150))
    separated = separate(image, inside, PROFILE, dy_px=0.0, rounds=2)
    one, other = (answers(image, separated, PROFILE, 1, lit).error for lit in (None, samples))
    assert (np.isfinite(other) == np.isfinite(one)).mean() > 0.98
