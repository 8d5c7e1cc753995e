"""Which object is the target: by the place where targets land, by the nod, and by what else is there."""

import numpy as np
import pytest

from sedmd.reduce.target.find import Source
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf, Refraction
from sedmd.reduce.target.seeing import Seeing, Shape
from sedmd.reduce.target.target import VISIBLE, Look, candidates, likeness, nod_error, nod_of, unrelated, weighed
from unit.reduce_scenes import hex_spaxels, make_cube

CUBE = make_cube(hex_spaxels(4), np.linspace(4000.0, 9000.0, 5), np.zeros((5, hex_spaxels(4).q.size)))
HERE = Place(spread_arcsec=1.5, source="settings")
STILL = Refraction(east=np.zeros(5), north=np.zeros(5))


def look(offset=(0.0, 0.0)):
    return Look(cube=CUBE, refraction=STILL, exptime_s=900.0, offset=offset)


def source(x, y, *, significance=50.0, edge=5.0, brightness=1.0):
    return Source(
        psf=Psf(x_arcsec=x, y_arcsec=y, fwhm_arcsec=1.8),
        significance=significance,
        amplitude=np.full(6, brightness),
        amplitude_error=np.full(6, 0.02),
        chi2=1.0,
        position_error=0.05,
        edge_arcsec=edge,
    )


def test_the_object_where_targets_land_is_the_target():
    (one,) = candidates([look()], [[source(0.3, -0.4)]], places=[HERE])
    assert one.chance > 0.99
    assert one.off_arcsec == pytest.approx(0.5)


def test_the_chance_falls_with_the_distance_and_never_to_nothing():
    chances = [candidates([look()], [[source(x, 0.0)]], places=[HERE])[0].chance for x in range(0, 13, 2)]
    assert (np.diff(chances) < 1e-9).all()
    assert chances[1] > 0.95 and chances[-1] < 0.5 and chances[-1] > 0.05


def test_a_field_without_prior_knowledge_is_judged_by_the_chance_to_see_anything():
    far = candidates([look()], [[source(12.0, 0.0)]], places=[Place(spread_arcsec=0.1, source="settings")])[0]
    assert far.chance == pytest.approx(far.odds / (far.odds + (1 - VISIBLE) / VISIBLE))


@pytest.mark.parametrize("offset", [None, (0.0, 0.0), (-102.0, -112.84), (7.0, -3.0)])
def test_the_offset_of_one_exposure_says_nothing_about_the_field(offset):
    """On real frames it is the step from the acquisition camera to the IFU and differs from target to target."""
    ranked = candidates([look(offset)], [[source(0.4, 0.3), source(-7.0, 3.0)]], places=[HERE])
    assert ranked[0].sources[0].psf.x_arcsec == 0.4
    assert ranked[0].chance > 0.98 and ranked[0].off_arcsec == pytest.approx(0.5)


def test_the_target_is_where_targets_land_not_in_the_middle():
    there = Place(x_arcsec=-1.0, y_arcsec=3.4, spread_arcsec=0.9, source="12 exposures since 20211002")
    middle, right = source(0.0, 0.0), source(-0.6, 3.1)
    ranked = candidates([look()], [[middle, right]], places=[there])
    assert ranked[0].sources == (right,) and ranked[0].chance > 0.98 and ranked[0].expected is there


def test_where_nothing_is_known_one_object_is_the_target_and_two_are_none():
    alone = candidates([look()], [[source(-2.0, 4.0)]])
    assert alone[0].chance > 0.97 and not alone[0].expected.known
    two = candidates([look()], [[source(-2.0, 4.0), source(3.0, -1.0, significance=500.0)]])
    assert all(one.chance < 0.7 for one in two)


def test_two_places_where_a_target_may_be_share_the_chance():
    before = Place(x_arcsec=0.0, y_arcsec=0.0, spread_arcsec=0.9, source="12 exposures since 20211002")
    star = Place(x_arcsec=5.0, y_arcsec=0.0, spread_arcsec=1.3, source="1 exposure")
    for x in (0.3, 4.8):
        (one,) = candidates([look()], [[source(x, 0.0)]], places=[before, star])
        assert one.chance > 0.97 and one.off_arcsec < 0.31
        (sure,) = candidates([look()], [[source(x, 0.0)]], places=[before if x < 2 else star])
        assert one.odds == pytest.approx(0.5 * sure.odds, rel=0.05)
    two = candidates([look()], [[source(0.3, 0.0), source(4.8, 0.0)]], places=[before, star])
    assert max(one.chance for one in two) < 0.8


def test_two_objects_as_near_share_the_chance():
    ranked = candidates([look()], [[source(1.0, 0.0), source(-1.0, 0.0, significance=900.0)]], places=[HERE])
    assert [one.chance for one in ranked] == pytest.approx([0.5, 0.5], abs=0.01)


def test_brightness_does_not_make_a_target():
    near, bright = source(0.2, 0.1, significance=20.0), source(7.0, -6.0, significance=5000.0)
    ranked = candidates([look()], [[bright, near]], places=[HERE])
    assert ranked[0].sources == (near,) and ranked[0].chance > 0.99


def test_only_what_moves_with_the_telescope_is_an_object_of_a_pair():
    looks = [look((3.0, -4.0)), look((-3.0, 4.0))]
    star, again, hot = source(-3.0, 4.0), source(3.1, -3.9), source(6.0, 6.0, significance=500.0)
    ranked = candidates(looks, [[hot, star], [hot, again]], places=[HERE])
    assert [one.sources for one in ranked] == [(star, again)]
    assert nod_of(looks) == (-6.0, 8.0)
    assert nod_error(star, again, nod_of(looks)) == pytest.approx(0.14, abs=0.01)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("step", [(0.0, 0.0), (-98.5, -111.1)])
def test_a_pair_is_expected_midway_whatever_step_and_sign_its_offsets_have(sign, step):
    looks = [look((step[0] + 3.0, step[1] - 4.0)), look((step[0] - 3.0, step[1] + 4.0))]
    there = Place(x_arcsec=1.0, y_arcsec=2.0, spread_arcsec=0.9, source="12 exposures since 20170910")
    found = [[source(1.0 + sign * 3.0, 2.0 - sign * 4.0)], [source(1.0 - sign * 3.0, 2.0 + sign * 4.0)]]
    (one,) = candidates(looks, found, places=[there])
    assert one.chance > 0.99 and one.off_arcsec < 0.1


@pytest.mark.parametrize("nodded", [0, 1])
def test_a_pair_of_which_one_exposure_is_not_nodded_is_found_as_well(nodded):
    places = [(0.0, 0.0), (-6.0, 8.0)] if nodded else [(6.0, -8.0), (0.0, 0.0)]
    looks = [look((0.0, 0.0)), look((6.0, -8.0))]
    (one,) = candidates(looks, [[source(*places[0])], [source(*places[1])]], places=[HERE])
    assert one.chance > 0.9 and one.off_arcsec < 0.1


def test_a_pair_without_offsets_is_matched_by_light():
    looks = [look(None), look(None)]
    one, two, other = source(1.0, 0.0), source(-2.0, 5.0), source(5.0, 5.0, significance=800.0)
    ranked = candidates(looks, [[one], [other, two]], places=[HERE])
    assert ranked[0].sources == (one, two)


def test_what_a_bright_star_leaves_in_its_wings_is_no_candidate():
    bright, left = source(0.5, 0.0, brightness=100.0), source(2.0, 1.0, brightness=2.0)
    assert [one.sources for one in candidates([look()], [[bright, left]], places=[HERE])] == [(bright,)]
    apart = source(5.0, 1.0, brightness=2.0)
    assert len(candidates([look()], [[bright, apart]], places=[HERE])) == 2


@pytest.mark.parametrize("off", [0.0, 2.0, 4.0])
def test_a_sharp_image_is_likelier_the_target_than_a_wide_one(off):
    at = {"spread_arcsec": 1.5, "seeing": Seeing()}
    like = [likeness(off, Shape(fwhm_arcsec=width), **at) for width in (1.5, 2.0, 2.5, 3.0, 3.5)]
    assert (np.diff(like) < 0).all()
    assert like[0] > 1 > like[-1]


def test_a_round_image_is_likelier_the_target_than_a_long_one():
    at = {"spread_arcsec": 1.5, "seeing": Seeing()}
    rounds = [likeness(1.0, Shape(fwhm_arcsec=2.3, e1=e, e_error=0.03), **at) for e in (0.0, 0.1, 0.2, 0.3, -0.4)]
    assert (np.diff(rounds) < 0).all() and rounds[0] > 20 * rounds[3]
    # what was not measured says nothing
    assert likeness(1.0, Shape(fwhm_arcsec=2.3, e1=0.4), **at) == pytest.approx(
        likeness(1.0, Shape(fwhm_arcsec=2.3), **at), rel=0.01
    )


def test_a_width_that_is_hardly_known_decides_nothing():
    at = {"spread_arcsec": 1.5, "seeing": Seeing()}
    sure, vague = (likeness(1.0, Shape(fwhm_arcsec=3.2, fwhm_error=error), **at) for error in (0.0, 1.5))
    assert sure < 0.5 * vague


def test_what_lies_beyond_the_rim_is_no_candidate():
    assert candidates([look()], [[source(0.0, 0.0, edge=-0.5)]], places=[HERE]) == []


def test_what_else_is_known_weighs_the_chances_anew():
    ranked = candidates([look()], [[source(0.5, 0.0), source(-1.0, 0.0)]], places=[HERE])
    again = weighed(ranked, [0.01, 1.0])
    assert again[0].sources is ranked[1].sources
    assert sum(one.chance for one in again) < 1.0


def test_the_brighter_an_object_is_the_less_likely_another_lies_there_by_chance():
    at = {"edge": 5.0}
    faint, bright = (candidates([look()], [[source(4.0, 2.0, brightness=light, **at)]])[0] for light in (9.0, 1800.0))
    assert faint.unrelated == unrelated(0.0) > 5 * bright.unrelated > 0
    assert bright.chance > faint.chance
    # 2.5 magnitudes are a factor 10 of light and 0.625 dex of density
    assert unrelated(0.2) / unrelated(0.02) == pytest.approx(10**-0.625)
    assert unrelated(20.0) == unrelated(0.4)  # targets as bright are rare too
