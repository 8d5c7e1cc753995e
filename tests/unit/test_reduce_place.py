"""Where in the field targets land: what is learned, what is forgotten at a jump, and what a stray does not spoil."""

import math

import numpy as np
import pytest

from sedmd.reduce.target.place import (
    ANYWHERE,
    LEAST_SPREAD,
    USUAL_SPREAD,
    USUAL_WORTH,
    FieldPosition,
    Place,
    _usual_with,
    learn_place,
    with_star,
)


def positions(points, first=0):
    return [FieldPosition(x_arcsec=x, y_arcsec=y, night=f"2021{1001 + first + n}") for n, (x, y) in enumerate(points)]


def around(x, y, count, seed, spread=0.7):
    return np.random.default_rng(seed).normal((x, y), spread, (count, 2))


def test_sixty_landings_in_one_spot_do_not_promise_the_next_to_a_hair():
    assert learn_place(positions([(1.0, 2.0)] * 30)).spread_arcsec == LEAST_SPREAD


def test_without_landings_a_target_may_be_anywhere_in_the_field():
    place = learn_place([])
    assert not place.known and (place.x_arcsec, place.y_arcsec, place.spread_arcsec) == (0.0, 0.0, ANYWHERE)


def test_the_first_landing_tells_the_place_within_the_difference_of_two():
    place = learn_place(positions([(-0.4, 3.5)]))
    assert (place.x_arcsec, place.y_arcsec) == (-0.4, 3.5)
    assert place.spread_arcsec == pytest.approx(USUAL_SPREAD * 2**0.5)
    assert place.source == "1 exposure since 20211001" and place.count == 1


def test_the_first_three_say_more_each():
    points = [(1.0, 2.0), (1.6, 1.4), (0.7, 2.3)]
    spreads = [learn_place(positions(points[:n])).spread_arcsec for n in (1, 2, 3)]
    assert spreads[0] > spreads[1] > spreads[2] > 0.5
    three = learn_place(positions(points))
    assert (three.x_arcsec, three.y_arcsec) == pytest.approx((1.1, 1.9))


@pytest.mark.parametrize("scatter", [0.7, 1.2])
def test_the_spread_is_that_of_the_next_landing(scatter):
    """Whatever the scatter, the place of the next one lies within the spread as a normal law has it."""
    pulls = []
    for seed in range(200):
        points = around(2.0, -1.0, 21, seed, scatter)
        place = learn_place(positions(points[:20]))
        pulls += list((points[20] - (place.x_arcsec, place.y_arcsec)) / place.spread_arcsec)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15) and abs(np.mean(pulls)) < 0.1


def test_nothing_jumps_where_nothing_jumped():
    forgetful = [learn_place(positions(around(1.0, 1.0, 30, seed))).count < 27 for seed in range(100)]
    assert sum(forgetful) <= 2


@pytest.mark.parametrize("seed", range(5))
def test_after_a_jump_only_what_came_after_it_counts(seed):
    points = np.concatenate([around(2.2, -0.7, 25, seed), around(-1.0, 4.4, 4, seed + 50)])
    place = learn_place(positions(points))
    assert place.count == 4 and place.source.endswith("since 20211026")
    assert np.hypot(place.x_arcsec + 1.0, place.y_arcsec - 4.4) < 1.2


def test_there_and_back_again():
    points = np.concatenate([around(0, 0, 10, 1), around(5, 0, 6, 2), around(0, 0, 5, 3)])
    place = learn_place(positions(points))
    assert place.count == 5 and abs(place.x_arcsec) < 0.8


@pytest.mark.parametrize("at", [0, 7, 13, 14])
def test_a_stray_is_no_jump_and_moves_nothing(at):
    points = around(1.0, 3.0, 15, 4)
    clean = learn_place(positions(np.delete(points, at, axis=0)))
    points[at] = (-9.0, -6.0)
    place = learn_place(positions(points))
    assert place.count >= 13
    assert place.x_arcsec == pytest.approx(clean.x_arcsec, abs=0.1)
    assert place.spread_arcsec < 1.4 * clean.spread_arcsec


def test_two_strays_in_a_row_that_disagree_are_no_jump():
    points = np.concatenate([around(1.0, 3.0, 12, 5), [(9.0, -6.0), (-8.0, -5.0)]])
    assert learn_place(positions(points)).count == 12


def test_two_that_disagree_say_nothing():
    assert not learn_place(positions([(-8.0, 6.0), (7.0, -5.0)])).known


def test_a_place_is_its_text_and_back():
    place = learn_place(positions(around(-1.0, 4.4, 12, 6)))
    again = Place.of(str(place))
    assert (again.source, again.count) == ("12 exposures since 20211001", 12)
    assert again.x_arcsec == pytest.approx(place.x_arcsec, abs=0.051)
    assert str(again) == str(place)
    assert Place.of(str(Place())) == Place() and str(Place()) == "+0.0 +0.0 +-4.0, not known"
    with pytest.raises(ValueError, match="is not a position in the field"):
        Place.of("somewhere")


def test_a_place_in_words():
    place = Place(x_arcsec=-1.0, y_arcsec=4.4, spread_arcsec=0.9, source="12 exposures since 20211001")
    assert place.describe() == "expected target position (-1.0, +4.4) arcsec, within 0.9 (12 exposures since 20211001)"
    assert "not known" in Place().describe()


LEARNED = Place(x_arcsec=1.0, y_arcsec=3.0, spread_arcsec=0.9, source="9 exposures since 20211002")


def test_a_star_is_the_place_where_none_was_known():
    (place,) = with_star(Place(), (-3.0, 2.0))
    assert (place.x_arcsec, place.y_arcsec) == (-3.0, 2.0) and place.known
    assert place.spread_arcsec == pytest.approx(USUAL_SPREAD * 2**0.5)


def test_a_star_that_agrees_is_one_landing_more():
    (place,) = with_star(LEARNED, (2.0, 3.0))
    assert (place.x_arcsec, place.y_arcsec) == pytest.approx((1.1, 3.0))
    assert place.count == 9 and place.source.endswith("and the night's star") and place.spread_arcsec < 0.9


def test_a_star_that_contradicts_leaves_both_places():
    before, after = with_star(LEARNED, (-4.0, 3.0))
    assert before is LEARNED and (after.x_arcsec, after.spread_arcsec) == (-4.0, pytest.approx(USUAL_SPREAD * 2**0.5))


def test_what_the_settings_give_no_star_changes():
    given = Place(spread_arcsec=1.5, source="settings")
    assert with_star(given, (-4.0, 3.0)) == (given,)


def test_a_measured_spread_is_pooled_with_what_is_usual():
    # residuals of one size: the median of their sizes is that; of so many degrees of freedom
    residuals = 0.8 * np.tile([[1.0, -1.0], [-1.0, 1.0]], (10, 1))
    measured = 1.4826 * 0.8 * math.sqrt(40 / 38)
    wanted = math.sqrt((USUAL_WORTH * USUAL_SPREAD**2 + 38 * measured**2) / (USUAL_WORTH + 38))
    assert _usual_with(residuals, 38, USUAL_SPREAD) == pytest.approx(wanted)
    assert _usual_with(residuals[:1], 0, USUAL_SPREAD) == USUAL_SPREAD
    # the more is measured the more it counts: nothing of the usual is left in the end
    many = np.tile(residuals, (1000, 1))
    assert _usual_with(many, 2 * len(many), USUAL_SPREAD) == pytest.approx(1.4826 * 0.8, rel=1e-3)
