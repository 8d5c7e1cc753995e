"""The viewer's model: limits of apertures and scales, first guesses, the spectrum. No Qt here."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from viewer_samples import make_cube, make_target

from sedmd.reduce.aperture import extract_ellipse
from sedmview.model import Aperture, Scale, extract, first_choice, robust_scale, subtract_pair


def test_the_model_and_the_presenter_have_never_heard_of_qt():
    code = "import sedmview.actions, sys; assert not [m for m in sys.modules if 'PyQt' in m or 'PySide' in m]"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.lists(st.tuples(st.sampled_from(["resized", "reshaped", "turned"]), st.floats(-50, 50)), max_size=20))
def test_no_sequence_of_keys_makes_an_impossible_aperture(changes):
    aperture = Aperture(x_arcsec=0, y_arcsec=0)
    for what, step in changes:
        aperture = getattr(aperture, what)(step)
    assert 0.4 <= aperture.semi_major_arcsec <= 10
    assert 0.1 <= aperture.axis_ratio <= 1
    assert 0 <= aperture.angle_deg < 180


@pytest.mark.parametrize(("angle", "end"), [(0, (0, 3)), (90, (3, 0)), (45, (2.121, 2.121)), (135, (2.121, -2.121))])
def test_outline_begins_at_the_end_of_the_major_axis(angle, end):
    x, y = Aperture(x_arcsec=0, y_arcsec=0, semi_major_arcsec=3, axis_ratio=0.5, angle_deg=angle).outline()
    assert (x[0], y[0]) == pytest.approx(end, abs=1e-3)
    assert np.hypot(x, y).min() == pytest.approx(1.5, abs=0.01)


@given(st.lists(st.tuples(st.sampled_from(["widened", "with_high", "with_low"]), st.floats(-3, 3)), max_size=20))
def test_the_ends_of_a_scale_never_meet(changes):
    scale = Scale(low=0.0, high=10.0, step=1.0)
    for what, amount in changes:
        scale = getattr(scale, what)(amount)
    assert scale.high - scale.low >= 0.999


def test_scale_of_a_difference_is_symmetric_about_zero():
    values = np.random.default_rng(0).normal(0.3, 2.0, 1000)
    scale = robust_scale(values, symmetric=True)
    assert scale.low == -scale.high


@pytest.mark.parametrize("values", [np.full(5, np.nan), np.zeros(5), np.full(5, 7.0), np.array([1.0])])
def test_any_picture_has_a_scale(values):
    scale = robust_scale(values, symmetric=False)
    assert scale.high > scale.low


def test_first_guess_lies_on_the_star_and_not_on_a_cosmic_ray():
    cube = make_cube([(3.0, -4.0, 200.0)])
    cube.flux[:, 17] = 1e5
    choice = first_choice(make_target(cube))
    assert (choice.a.x_arcsec, choice.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.5)


def test_first_guess_of_a_pair_finds_both_signs():
    star_a, star_b = make_cube([(3.0, -4.0, 200.0)]), make_cube([(-3.0, 4.0, 200.0)], seed=2)
    choice = first_choice(make_target(subtract_pair(star_a, star_b, 900, 900), pair=True))
    assert (choice.a.x_arcsec, choice.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.5)
    assert (choice.b.x_arcsec, choice.b.y_arcsec) == pytest.approx((-3.0, 4.0), abs=0.5)


def test_the_spectrum_shown_is_the_pipelines_own():
    target = make_target()
    choice = first_choice(target)
    shown = extract(target, choice).spectrum
    a = choice.a
    own = extract_ellipse(
        target.field_cube, x_arcsec=a.x_arcsec, y_arcsec=a.y_arcsec, semi_major_arcsec=2.0, exptime_s=900.0
    )
    assert np.array_equal(shown.flux, own.flux) and np.array_equal(shown.error, own.error)


def test_pair_and_single_give_the_same_flux():
    star_a, star_b = make_cube([(3.0, -4.0, 200.0)]), make_cube([(-3.0, 4.0, 200.0)], seed=2)
    single = extract(make_target(star_a), first_choice(make_target(star_a))).spectrum
    pair_target = make_target(subtract_pair(star_a, star_b, 900, 900), pair=True)
    pair = extract(pair_target, first_choice(pair_target))
    assert np.mean(pair.spectrum.flux) == pytest.approx(np.mean(single.flux), rel=0.02)
    assert np.mean(pair.part_b.flux) > 0
    assert pair.spectrum.meta["exptime_s"] == 1800.0


def test_field_without_any_value_still_opens():
    cube = make_cube()
    cube.mask[:] = 8
    choice = first_choice(make_target(cube))
    assert (choice.a.x_arcsec, choice.a.y_arcsec) == (0.0, 0.0)
