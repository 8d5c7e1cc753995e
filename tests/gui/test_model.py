"""The viewer's model: apertures, pictures, first guesses, the spectrum. No Qt here."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from viewer_samples import NOD, make_cube, make_observation, make_pair

from sedmd.core.config import AutomaticExtraction
from sedmd.observation.aperture import Extractor, extract
from sedmd.observation.decisions import Placement
from sedmd.observation.inputs import nearest_star
from sedmd.observation.suggestion import suggest
from sedmd.reduce.target.aperture import Ellipse, extract_ellipse
from sedmview import apertures
from sedmview.apertures import Grip
from sedmview.model import Stage, first_choice, from_draft, picture_of, placement_of, predicted_b, scale_for, to_draft
from sedmview.pictures import LIMITS, STRETCHES, ColourScale, automatic_scale, bounded, levels, peak_near

CIRCLE = Ellipse(x_arcsec=0.0, y_arcsec=0.0, semi_major_arcsec=2.0)


def test_model_and_presenter_have_never_heard_of_qt():
    code = (
        "import sedmview.actions, sedmview.disk, sys; assert not {'PyQt5', 'PySide6', 'pyqtgraph'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.lists(st.tuples(st.sampled_from(["resized", "reshaped", "turned"]), st.floats(-50, 50)), max_size=20))
def test_no_sequence_of_keys_makes_an_impossible_aperture(changes):
    ellipse = CIRCLE
    for what, step in changes:
        ellipse = getattr(apertures, what)(ellipse, step)
    assert 0.4 <= ellipse.semi_major_arcsec <= 10
    assert 0.1 <= ellipse.axis_ratio <= 1
    assert 0 <= ellipse.angle_deg < 180


@pytest.mark.parametrize(("angle", "end"), [(0, (0, 3)), (90, (3, 0)), (45, (2.121, 2.121)), (135, (2.121, -2.121))])
def test_the_position_angle_runs_from_north_through_east(angle, end):
    ellipse = Ellipse(x_arcsec=0, y_arcsec=0, semi_major_arcsec=3, axis_ratio=0.5, angle_deg=angle)
    x, y = apertures.outline(ellipse)
    assert (x[0], y[0]) == pytest.approx(end, abs=1e-3)
    assert np.hypot(x, y).min() == pytest.approx(1.5, abs=0.01)
    assert apertures.ends(ellipse)[0] == pytest.approx(end, abs=1e-3)


def test_handles_and_inside_are_gripped():
    ellipse = Ellipse(x_arcsec=1, y_arcsec=2, semi_major_arcsec=3, axis_ratio=0.5, angle_deg=90)
    assert apertures.grip_at(ellipse, 4.1, 2.0, 0.3).grip is Grip.MAJOR
    assert apertures.grip_at(ellipse, 1.0, 0.5, 0.3).grip is Grip.MINOR
    assert apertures.grip_at(ellipse, 1.2, 2.1, 0.3).grip is Grip.MOVE
    assert apertures.grip_at(ellipse, 1.0, 4.5, 0.3) is None
    moved = apertures.grip_at(ellipse, 1.2, 2.1, 0.3).dragged(2.2, 1.1)
    assert (moved.x_arcsec, moved.y_arcsec) == pytest.approx((2.0, 1.0))
    longer = apertures.grip_at(ellipse, 4.0, 2.0, 0.3).dragged(1.0, 6.0)
    assert (longer.semi_major_arcsec, longer.angle_deg) == pytest.approx((4.0, 0.0))
    rounder = apertures.grip_at(ellipse, 1.0, 0.5, 0.3).dragged(1.0, -0.7)
    assert rounder.axis_ratio == pytest.approx(0.9)
    # a handle dragged to the centre leaves an aperture
    assert apertures.grip_at(ellipse, 4.0, 2.0, 0.3).dragged(1.0, 2.0).semi_major_arcsec == 0.4


@given(st.lists(st.tuples(st.sampled_from(["widened", "with_high", "with_low"]), st.floats(-3, 3)), max_size=20))
def test_the_ends_of_a_scale_never_meet(changes):
    scale = ColourScale(low=0.0, high=10.0, step=1.0)
    for what, amount in changes:
        scale = getattr(scale, what)(amount)
    assert scale.high - scale.low >= 0.999


@pytest.mark.parametrize("how", LIMITS)
def test_limits_of_a_difference_are_symmetric_about_the_median_of_the_field(how):
    values = np.random.default_rng(0).normal(0.3, 2.0, 1000)
    scale = automatic_scale(values, symmetric=True, how=how)
    assert 0.5 * (scale.low + scale.high) == pytest.approx(np.median(values)) and scale.how == how


def test_a_sky_that_rose_between_a_and_b_leaves_the_field_of_a_logarithmic_pair_in_the_middle():
    """Without the median taken away a difference of one sigma lies far up one arm of the logarithmic colours."""
    values = np.random.default_rng(0).normal(0.0, 0.02, 1001) + 5.0
    values[:9] += 40.0
    scale = automatic_scale(values, symmetric=True, stretch="log")
    level = levels(np.array([np.median(values)]), scale, symmetric=True)
    assert level == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("pair", [False, True])
def test_limits_follow_the_object_and_not_a_brighter_star_beside_it(pair):
    """A star of 20 times the light at the edge: the object of 200 still reaches the end of the colours."""
    stars = ((3.0, -4.0, 200.0), (-8.0, 8.0, 4000.0))
    cubes = (make_cube(stars), make_cube(((-3.0, 4.0, 200.0),), seed=2))
    observation = make_observation(*cubes[: 1 + pair])
    spaxels = observation.field_cube.spaxels
    object_there = Ellipse(x_arcsec=3.0, y_arcsec=-4.0, semi_major_arcsec=2.0)
    scale = scale_for(observation, (6500.0, 7000.0), (object_there,))
    values = picture_of(observation, (6500.0, 7000.0))
    near = np.hypot(spaxels.x_arcsec - 3.0, spaxels.y_arcsec + 4.0) < 1.5
    peak = np.sort(np.abs(values - np.nanmedian(values))[near])
    assert scale.high - np.nanmedian(values) == pytest.approx(peak[-2])
    assert levels(values[near].max()[None], scale, symmetric=pair) == pytest.approx(1.0)


def test_a_hot_spaxel_in_the_aperture_is_not_the_peak_of_the_object():
    values, x = np.zeros(50), np.linspace(-10, 10, 50)
    values[24:27] = 5.0, 1e6, 6.0
    assert peak_near(values, x, np.zeros(50), [(float(x[25]), 0.0)]) == 6.0
    assert peak_near(values, x, np.zeros(50), [(99.0, 0.0)]) is None
    assert peak_near(values * np.nan, x, np.zeros(50), [(0.0, 0.0)]) is None


@pytest.mark.parametrize("how", LIMITS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    "values", [np.full(5, np.nan), np.zeros(5), np.full(5, 7.0), np.array([1.0]), np.array([1.0, np.nan, 1e9])]
)
def test_any_picture_has_a_scale(values, symmetric, how):
    scale = automatic_scale(values, symmetric=symmetric, how=how)
    assert scale.high > scale.low and np.isfinite([scale.low, scale.high, scale.step]).all()


def test_robust_limits_do_not_see_a_bad_spaxel():
    values = np.random.default_rng(0).normal(10.0, 1.0, 2000)
    clean = automatic_scale(values, symmetric=False)
    values[7] = 1e6
    assert automatic_scale(values, symmetric=False).high == pytest.approx(clean.high, rel=0.02)


@pytest.mark.parametrize("stretch", STRETCHES)
def test_stretches_rise_from_end_to_end_and_keep_zero_in_the_middle(stretch):
    values = np.linspace(-2.0, 2.0, 101)
    scale = ColourScale(low=-1.0, high=1.0, step=0.1, stretch=stretch)
    for symmetric in (True, False):
        level = levels(values, scale, symmetric=symmetric)
        assert (np.diff(level) >= 0).all() and level[0] == 0 and level[-1] == pytest.approx(1)
    assert levels(np.array([0.0]), scale, symmetric=True) == pytest.approx(0.5)
    assert np.isnan(levels(np.array([np.nan]), scale, symmetric=True)).all()


@pytest.mark.parametrize(("low", "high"), [(6500, 7000), (7000, 6500), (0, 99999), (-5, 10), (1e5, 2e5), (6500, 6500)])
def test_a_window_lies_on_the_cube(low, high):
    wavelength = make_cube().wavelength
    low, high = bounded(low, high, wavelength)
    assert wavelength[0] <= low < high <= wavelength[-1]
    assert np.any((wavelength >= low) & (wavelength <= high)) or high - low < 100


def test_first_guess_lies_on_the_star_and_not_on_a_cosmic_ray():
    cube = make_cube([(3.0, -4.0, 200.0)])
    cube.flux[:, 17] = 1e5
    choice = first_choice(make_observation(cube))
    assert (choice.a.x_arcsec, choice.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.5)


@pytest.mark.parametrize("nod", [NOD, (6.0, -8.0), None])
def test_b_lies_where_the_nod_predicts_whatever_the_sign_of_the_offsets(nod):
    pair = make_pair(nod=nod)
    a = apertures.placed(CIRCLE, 3.0, -4.0)
    b = predicted_b(pair, a)
    assert (b.x_arcsec, b.y_arcsec) == pytest.approx((-3.0, 4.0), abs=0.5)


def test_the_nod_is_believed_where_nothing_is_seen():
    empty = make_observation(make_cube(seed=3), make_cube(seed=4), nod=NOD)
    b = predicted_b(empty, apertures.placed(CIRCLE, 3.0, -4.0))
    assert (b.x_arcsec, b.y_arcsec) == (-3.0, 4.0)


def test_the_suggestion_finds_the_object_in_a_and_b():
    found = suggest(make_pair())
    assert (found.a.x_arcsec, found.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.1)
    assert (found.b.x_arcsec, found.b.y_arcsec) == pytest.approx((-3.0, 4.0), abs=0.1)
    assert found.psf_a.fwhm_arcsec == pytest.approx(1.88, abs=0.3)


def test_the_suggestion_follows_the_nod_not_the_brightest_star():
    one = make_cube([(3.0, -4.0, 100.0), (-7.0, -7.0, 300.0)])
    two = make_cube([(-3.0, 4.0, 100.0), (7.0, 7.5, 300.0)], seed=2)
    found = suggest(make_observation(one, two, nod=NOD))
    assert (found.a.x_arcsec, found.b.x_arcsec) == pytest.approx((3.0, -3.0), abs=0.2)


def test_an_empty_field_suggests_nothing_and_says_so():
    found = suggest(make_observation(make_cube()))
    assert found.a is None and "no object" in found.words


def star_spectrum(folder, name, utc, **cards):
    """What a standard star's spectrum says of the night."""
    header = fits.Header({"OBSUTC": utc, "SEEING": 1.8, "AIRMASS": 1.2, "STDSTAR": True} | cards)
    fits.PrimaryHDU(header=header).writeto(folder / f"ext_{name}_obs1.fits")


def with_star(observation, folder):
    """As the headers in a folder tell the star of an observation that was taken at 04:07:07."""
    start = datetime(2019, 6, 12, 4, 7, 7, tzinfo=UTC)
    return replace(observation, inputs=replace(observation.inputs, star=nearest_star(folder, start)))


def test_the_suggestion_takes_the_seeing_from_the_star_nearest_in_time_as_the_pipeline_does(tmp_path):
    observation = make_observation(make_cube([(3.0, -4.0, 400.0)]), folder=tmp_path)
    usual = suggest(with_star(observation, tmp_path)).words
    star_spectrum(tmp_path, "STD-Far", "2019-06-12 09:00:00.0", SEEING=1.9)
    assert "galaxy" not in suggest(with_star(observation, tmp_path)).words
    star_spectrum(tmp_path, "STD-Near", "2019-06-12 03:45:00.0", SEEING=0.9)
    (tmp_path / "ext_STD-Broken_obs1.fits").write_bytes(b"SIMPLE")
    star_spectrum(tmp_path, "ZTF19abc", "2019-06-12 04:07:07.0", SEEING=1.9, STDSTAR=False)
    assert "may be a galaxy" in suggest(with_star(observation, tmp_path)).words != usual


def test_the_suggestion_expects_the_target_where_the_pipeline_does(tmp_path):
    """By the cube's cards, and by the star of the night."""
    two = make_observation(make_cube([(3.0, -4.0, 400.0), (-4.0, 3.0, 900.0)]), folder=tmp_path)
    assert suggest(two).expected == ()
    cards = {"PLACEX": 3.3, "PLACEY": -4.2, "PLACEERR": 0.9, "PLACESRC": "9 exposures since 20190601"}
    known = make_observation(*two.cubes, folder=tmp_path, header=fits.Header(cards))
    found = suggest(known)
    assert found.expected == ((3.3, -4.2),)
    assert (found.a.x_arcsec, found.a.y_arcsec) == pytest.approx((3.0, -4.0), abs=0.3)
    star_spectrum(tmp_path, "STD-HZ44", "2019-06-12 03:45:00.0", XPOS=-4.1, YPOS=3.2)
    assert suggest(with_star(two, tmp_path)).a.x_arcsec == pytest.approx(-4.0, abs=0.3)
    # the star contradicts what was learned: either may be the target
    both = suggest(with_star(known, tmp_path))
    assert len(both.expected) == 2 and "may be the target, or that at" in both.words


def test_an_absurd_width_of_the_pointing_is_not_asked_of_a_place_that_nobody_knows():
    observation = make_observation(make_cube([(3.0, -4.0, 400.0)]))
    narrow = replace(observation.inputs, settings=AutomaticExtraction(pointing_arcsec=0.1))
    assert suggest(replace(observation, inputs=narrow)).words == suggest(observation).words


def test_the_spectrum_shown_is_the_pipelines_own():
    observation = make_observation()
    choice = first_choice(observation)
    shown = extract(observation, placement_of(choice, None)).spectrum
    a = choice.a
    own = extract_ellipse(
        observation.field_cube, x_arcsec=a.x_arcsec, y_arcsec=a.y_arcsec, semi_major_arcsec=2.0, exptime_s=900.0
    )
    assert np.array_equal(shown.flux, own.flux) and np.array_equal(shown.error, own.error)


def test_what_is_kept_while_dragging_changes_no_bit():
    observation = make_pair()
    found = suggest(observation)
    extractor = Extractor(observation)
    placement = Placement(a=found.a, b=found.b, psf_a=found.psf_a, psf_b=found.psf_b)
    for dx in (0.0, 0.3, 0.6, 0.3):
        placement = Placement(
            a=apertures.placed(found.a, found.a.x_arcsec + dx, found.a.y_arcsec),
            b=found.b,
            psf_a=found.psf_a,
            psf_b=found.psf_b,
        )
        kept = extractor.extract(placement).spectrum
        assert np.array_equal(kept.flux, extract(observation, placement).spectrum.flux)


def test_pair_and_single_give_the_same_flux():
    single = make_observation()
    pair = make_pair()
    one = extract(single, placement_of(first_choice(single), None)).spectrum
    both = extract(pair, placement_of(first_choice(pair), None))
    assert np.mean(both.spectrum.flux) == pytest.approx(np.mean(one.flux), rel=0.02)
    assert np.mean(both.parts[1].spectrum.flux) > 0
    assert both.spectrum.meta["exptime_s"] == 1800.0


def test_the_spaxels_used_are_those_that_are_told():
    observation = make_observation()
    part = extract(observation, placement_of(first_choice(observation), None)).parts[0].measured
    spaxels = observation.field_cube.spaxels
    distance = np.hypot(spaxels.x_arcsec - 3.0, spaxels.y_arcsec + 4.0)
    assert distance[part.members].max() < 2.0 + 1.0 and distance[part.sky].min() > 2.5
    assert part.share.sum() / len(part.share) == pytest.approx(part.spectrum.meta["n_spaxels"])


def test_a_field_without_any_value_still_opens():
    cube = make_cube()
    cube.mask[:] = 8
    observation = make_observation(cube)
    choice = first_choice(observation)
    assert (choice.a.x_arcsec, choice.a.y_arcsec) == (0.0, 0.0)
    assert np.isnan(picture_of(observation, choice.window)).all()
    assert not np.isfinite(extract(observation, placement_of(choice, None)).spectrum.flux).any()


def test_a_draft_comes_back_as_it_was():
    import json

    choice = first_choice(make_pair())
    draft = json.loads(json.dumps(to_draft(choice, Stage.PLACE)))
    assert from_draft(draft) == (choice, Stage.PLACE)
    for bad in ({}, {"stage": "x"}, draft | {"grade": 9}, draft | {"new": 1}, draft | {"a": None}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            from_draft(bad)
