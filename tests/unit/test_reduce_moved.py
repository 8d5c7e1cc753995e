"""Exposures of two geometries: a shift that was put in is the one that is found, and nothing of both is averaged."""

import numpy as np
import pytest

from sedmd.reduce.detector.ccd import combine_exposures
from sedmd.reduce.detector.moved_exposures import (
    REACH_PX,
    REACH_ROWS,
    SAME_PX,
    groups_alike,
    rows_between,
    shift_between,
)
from unit.reduce_scenes import draw, expose, lattice_scene

SHAPE = (512, 512)
#: Columns of the lines of a lamp from the middle of each spectrum, and their light [electron].
LINES = ((-70.0, 900.0), (-31.0, 2500.0), (-20.0, 1200.0), (12.0, 4000.0), (55.0, 1500.0))


def lamp(dx=0.0, dy=0.0, *, level=1.0, continuum=False, scene_seed=3):
    """Expected electrons of a lamp (or of the dome) whose spectra lie (dx, dy) pixel off where the seed puts them."""
    scene = lattice_scene(SHAPE, seed=scene_seed)
    samples = scene.samples()
    at = samples.x - scene.centre[samples.trace] - dx
    flux = np.full(at.shape, 800.0)
    if not continuum:
        flux = 20.0 + sum(light * np.exp(-0.5 * ((at - line) / 1.3) ** 2) for line, light in LINES)
    return level * draw(samples, flux, dy=dy)


def exposures(*shifts, continuum=False):
    return [expose(lamp(*shift, continuum=continuum), seed=n) for n, shift in enumerate(shifts)]


@pytest.mark.parametrize("shift", [(0, 0), (0.3, 0), (0, -0.4), (1.0, 0), (-3.0, 2.0), (0, 8.0), (7.0, -5.0)])
def test_the_shift_that_was_put_in_is_found(shift):
    one, other = exposures((0.0, 0.0), shift)
    assert shift_between(one, other, lines=True) == pytest.approx(np.hypot(*shift), abs=0.1)


@pytest.mark.parametrize("dy", [0.0, 0.2, 1.0, -2.5, 4.0])
def test_a_continuum_tells_of_shifts_across_the_spectra_only(dy):
    one, other, along = exposures((0.0, 0.0), (0.0, dy), (6.0, dy), continuum=True)
    assert shift_between(one, other, lines=False) == pytest.approx(abs(dy), abs=0.1)
    assert shift_between(one, along, lines=False) == pytest.approx(abs(dy), abs=0.25)


@pytest.mark.parametrize("light", [0.2, 1.0, 10.0])
def test_flicker_noise_and_cosmic_rays_move_nothing(light):
    one = expose(lamp(), seed=1)
    other = expose(lamp(level=light), seed=2)
    other.data[100:140, 200:203] += 30000.0
    assert shift_between(one, other, lines=True) < 0.1


def test_another_array_is_another_geometry():
    """Places that differ at random by half a pixel are the same array; spectra of another pitch are not."""
    one = expose(lamp(), seed=1)
    wide = expose(lamp()[:, ::-1], seed=2)
    assert shift_between(one, wide, lines=True) > SAME_PX


@pytest.mark.parametrize(
    "shifts, groups",
    [
        ([0, 0, 0, 0, 0], [[0, 1, 2, 3, 4]]),
        ([0, 0, 0, 2, 2], [[3, 4], [0, 1, 2]]),
        ([2, 0, 2, 0], [[1, 3], [0, 2]]),
        ([0, 0, 5], [[2], [0, 1]]),
    ],
)
def test_groups_begin_with_that_of_the_last_exposure(shifts, groups):
    assert groups_alike(exposures(*((shift, 0.0) for shift in shifts)), lines=True) == groups


@pytest.mark.parametrize(
    "shifts, serves",
    [
        ([3, 3, 3, 0, 0], [3, 4]),  # touched within the series: the newer two
        ([0, 0, 0, 0, 3], [0, 1, 2, 3]),  # the last one alone is an accident
        ([0, 3, 6], [2]),  # no two agree: the last
        ([0, 0, 0], [0, 1, 2]),
    ],
)
def test_only_exposures_of_one_geometry_are_combined(shifts, serves):
    images = exposures(*((float(shift), 0.0) for shift in shifts))
    combined, scales, reasons = combine_exposures(images, lines=True)
    assert [n for n, reason in enumerate(reasons) if not reason] == serves
    assert [n for n, scale in enumerate(scales) if scale > 0] == serves
    for n, reason in enumerate(reasons):
        if reason:
            off = abs(shifts[n] - shifts[serves[0]])
            assert f"lie {off:.1f} px off" in reason and "touched" in reason
    truth = lamp(float(shifts[serves[0]]))
    pull = (combined.data - truth) / np.sqrt(combined.variance)
    assert pull.std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("dy", [0.0, 0.4, -1.0, 2.0, 2.7, -2.7])
def test_a_lamp_lies_on_the_spectra_of_the_dome_of_its_geometry(dy):
    dome = expose(lamp(continuum=True), seed=1)
    near = 0.25 if abs(dy) < REACH_ROWS - 0.5 else 0.4  # the farthest row has no neighbour to tell its fraction
    assert rows_between(dome, expose(lamp(0.0, dy), seed=2)) == pytest.approx(abs(dy), abs=near)
    assert rows_between(dome, expose(lamp(30.0, dy), seed=3)) == pytest.approx(abs(dy), abs=0.4)


def test_a_dark_exposure_has_no_say_in_the_geometry():
    images = exposures((0, 0), (0, 0), (4, 0))
    images += [expose(np.zeros(SHAPE), seed=8), expose(np.zeros(SHAPE), seed=9)]
    _, _, reasons = combine_exposures(images, lines=True)
    assert [bool(reason) for reason in reasons] == [False, False, True, True, True]
    assert "was the lamp on" in reasons[3] and REACH_PX > 4
