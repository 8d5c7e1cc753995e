"""What the fit of a group of lamp lines says of one of its blends: which groups are trusted, and for what."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.wavelength.line_groups import REDDEST_RELIABLE
from sedmd.reduce.wavelength.scale import Scale
from sedmd.reduce.wavelength.wavelength import _blend, spaxel_rms

SCALE = Scale(wavelength=np.array([4000.0, 10000.0]), xi=np.array([1.0, -1.0]))
KNOWN, GUESSED = 0.02, 0.8


def blend(
    *, table=(1.0,), intensity=None, xi=None, light=1000.0, brightest=1000.0, width=1.0, uncertainty=0.0, missing=0
):
    """One group of one blend, all of its lines, in four spaxels."""
    table = np.array(table)
    intensity = table if intensity is None else np.array(intensity)
    shift = np.full((4, 1), 0.25)
    shift[:missing] = np.nan
    fit = SimpleNamespace(
        shift=shift,
        error=np.full((4, 1), 0.01),
        amplitude=np.full(4, light),
        stretch=np.full(4, width),
        uncertainty=np.array([uncertainty]),
    )
    state = SimpleNamespace(lamp="Hg", table=table, intensity=intensity, brightest=brightest)
    places = np.zeros(len(table)) if xi is None else np.array(xi)
    coeff = np.array([[100.0, 50.0]] * 4)
    return _blend(state, fit, np.arange(len(table)), 0, places, coeff, SCALE, float(intensity.sum()))


def doubt(group, uncertainty=0.0):
    """What is added to the errors of the fit, common to all spaxels, for the group's sake."""
    return group.uncertainty - np.hypot(0.02, uncertainty)


@pytest.mark.parametrize(
    ("group", "added"),
    [
        ({}, KNOWN),
        ({"width": 0.79}, KNOWN),  # of another width, but bright
        ({"width": 0.79, "light": 49.0}, GUESSED),
        ({"width": 0.79, "light": 51.0}, KNOWN),
        ({"light": 1.0}, KNOWN),  # strong by the table, and of the right width
        ({"light": 1.0, "width": 1.24}, KNOWN),
        ({"light": 1.0, "width": 1.26}, GUESSED),
        # a faint group counts where one line of the right width clearly leads it
        ({"table": (0.029, 0.01), "light": 11.0}, KNOWN),
        ({"table": (0.029, 0.01), "light": 9.0}, GUESSED),
        ({"table": (0.029, 0.01), "light": 11.0, "width": 1.3}, GUESSED),
        ({"table": (0.029, 0.013), "light": 11.0}, GUESSED),
        ({"table": (0.031, 0.031), "light": 1.0}, KNOWN),
        # ... and tonight: where another outshines it, the group is at the wrong wavelength
        ({"table": (0.029, 0.01), "intensity": (0.02, 0.018), "light": 11.0}, KNOWN),
        ({"table": (0.029, 0.01), "intensity": (0.018, 0.02), "light": 11.0}, GUESSED),
        ({"table": (1.0, 0.3), "intensity": (0.5, 0.8)}, KNOWN),  # strong ones are fitted with their ratio
    ],
)
def test_which_groups_are_known(group, added):
    assert doubt(blend(**group)) == pytest.approx(added)


def test_errors_of_the_lines_strengths_come_in_square():
    assert doubt(blend(uncertainty=0.3), uncertainty=0.3) == pytest.approx(KNOWN)


def test_far_in_the_red_no_group_is_trusted():
    edge = 1.0 - 2.0 * (REDDEST_RELIABLE - 4000.0) / 6000.0
    assert doubt(blend(xi=[edge + 0.001])) == pytest.approx(KNOWN)
    assert doubt(blend(xi=[edge - 0.001])) == pytest.approx(KNOWN + 0.4)


def test_the_place_of_a_blend_is_that_of_its_strong_lines():
    group = blend(table=(3.0, 1.0), xi=(0.0, 0.1))
    assert group.xi == pytest.approx(0.1 * 1 / 10)  # weights 9 and 1
    assert group.wavelength == pytest.approx(7000.0 - 3000.0 * 0.01)
    # where it was predicted, and the shift that was seen
    assert_allclose(group.column, 100.0 + 50.0 * 0.01 + 0.25)


def test_light_is_the_median_of_the_spaxels_that_see_it_times_their_share():
    assert blend(light=800.0).light == 800.0
    assert blend(light=800.0, missing=1).light == 600.0
    assert blend(light=800.0, missing=4).light == 0.0


@pytest.mark.parametrize(
    ("group", "clean"),
    [
        ({"light": 151.0}, True),
        ({"light": 149.0}, False),
        ({"table": (0.86, 0.14)}, True),
        ({"table": (0.84, 0.16)}, False),
    ],
)
def test_single_bright_lines_tell_the_width(group, clean):
    assert blend(**group).clean is clean


def test_before_the_brightest_is_known_the_table_tells_the_light():
    assert doubt(blend(table=(0.04,), brightest=0.0, width=0.5)) == pytest.approx(GUESSED)
    assert doubt(blend(table=(0.06,), brightest=0.0, width=0.5)) == pytest.approx(KNOWN)


def test_rms_of_a_spaxel_is_that_of_the_lines_whose_wavelengths_are_known():
    residual = np.array([[0.05, -0.05, 0.05, -1.2]])
    weight = np.full((1, 4), 0.02**-2)
    assert spaxel_rms(residual, weight, np.array([0.0, 0.0, 0.0, 0.8])) == pytest.approx(0.05, rel=0.1)
    assert spaxel_rms(residual, weight, np.zeros(4)) == pytest.approx(0.6, rel=0.01)
    unused = np.where(np.arange(4) < 3, weight, 0.0)
    assert spaxel_rms(residual, unused, np.zeros(4)) == pytest.approx(0.05)
