"""Bad pixels over nights: what one night told another decides where tonight's dome tells less."""

import numpy as np
import pytest

from sedmd.reduce.cube.bad_pixels import (
    MOST_STRETCHES,
    ODD_SHARE,
    ODD_SIGMA,
    SEEN_SIGMA,
    WELL_SIGMA,
    Answers,
    Findings,
    bad_pixels,
    findings_in,
)

from .reduce_scenes import rng

SHAPE = (3, 5)
NONE = np.zeros(SHAPE, bool)
AT = (1, 2)


def at(*places):
    found = NONE.copy()
    for place in places:
        found[place] = True
    return found


def told(*, bad=False, well=False):
    return Findings(bad=at(AT) if bad else NONE, well=at(AT) if well else NONE)


def answer(off, error):
    """All pixels follow the light but one."""
    return Answers(off=np.where(at(AT), off, 0.0), error=np.where(at(AT), error, 0.01))


BLIND = answer(0.0, np.inf)


def is_bad(tonight, *earlier):
    found = bad_pixels(tonight, earlier)
    assert not (found.map & ~at(AT)).any()
    return bool(found.map[AT])


def test_alone_a_night_marks_what_is_off_by_six_errors_and_by_the_least_share():
    assert is_bad(answer(0.6, 0.09)) and not is_bad(answer(0.6, 0.11))
    assert is_bad(answer(ODD_SHARE + 0.01, 0.001)) and not is_bad(answer(ODD_SHARE - 0.01, 0.001))
    assert not is_bad(BLIND)


def test_what_was_seen_before_needs_three_errors_and_what_was_not_six():
    weak = answer(0.4, 0.1)
    assert SEEN_SIGMA < 4 < ODD_SIGMA
    assert is_bad(weak, told(bad=True)) and not is_bad(weak, told())
    assert is_bad(weak, told(well=True), told(bad=True))  # it comes and goes
    assert not is_bad(answer(ODD_SHARE - 0.01, 0.001), told(bad=True))


def test_where_tonight_tells_nothing_the_last_that_could_tell_decides():
    assert is_bad(BLIND, told(bad=True))
    assert is_bad(BLIND, told(), told(), told(bad=True))
    assert not is_bad(BLIND, told(well=True), told(bad=True), told(bad=True))
    assert is_bad(BLIND, told(bad=True), told(well=True), told(bad=True))
    assert not is_bad(BLIND, told(), told())


def test_a_pixel_is_well_again_only_where_tonight_can_tell():
    assert is_bad(answer(0.0, ODD_SHARE / WELL_SIGMA * 1.01), told(bad=True))
    assert not is_bad(answer(0.0, ODD_SHARE / WELL_SIGMA * 0.99), told(bad=True))
    healed = bad_pixels(answer(0.01, 0.01), [told(bad=True)])
    assert (healed.known, healed.unseen, healed.new, healed.healed) == (0, 0, 0, 1)
    np.testing.assert_array_equal(healed.findings.well, at(AT))


def test_the_counts_tell_known_unseen_and_new():
    off = np.where(at((0, 0), (0, 1)), 1.0, 0.0)
    error = np.where(at((2, 4)), np.inf, 0.01)
    earlier = Findings(bad=at((0, 0), (2, 4), (1, 1)), well=NONE)
    found = bad_pixels(Answers(off=off, error=error), [earlier])
    np.testing.assert_array_equal(found.map, at((0, 0), (0, 1), (2, 4)))
    assert (found.known, found.unseen, found.new, found.healed) == (2, 1, 1, 1)


def test_a_night_hands_on_nothing_that_it_did_not_see():
    found = bad_pixels(BLIND, [told(bad=True)])
    assert found.map[AT] and not found.findings.bad.any() and not found.findings.well.any()


def nights_on(sensitivity, errors, *, most=5, seed=3):
    """Maps of nights one after the other, each given the findings of up to `most` before it."""
    random, left, maps = rng(seed), [], []
    for error in errors:
        own = np.broadcast_to(np.float64(error), sensitivity.shape)
        off = np.abs(random.normal(sensitivity - 1.0, own))
        found = bad_pixels(Answers(off=off, error=own), left[:most])
        left.insert(0, found.findings)
        maps.append(found.map)
    return maps


def test_over_nights_the_weak_ones_stay_and_no_good_one_is_taken():
    good, weak = (100, 1000), (40, 50)
    kept, alone = [], []
    for most in (5, 0):
        # a good dome once, then poor ones: 30 % off is ten errors, then four
        share = [one.mean() for one in nights_on(np.full(weak, 0.7), [0.03, *[0.075] * 4], most=most)]
        (kept if most else alone).extend(share)
    assert kept[0] == alone[0] > 0.99
    assert max(alone[1:]) < 0.05  # 4 errors, 6 wanted: 2 per cent
    assert min(kept[1:]) > 0.95  # lost only where noise makes it well: 30 less 15 is two errors, and two more wanted
    assert sum(one.sum() for one in nights_on(np.ones(good), [0.03] * 5)) == 0


def test_healed_ones_are_off_the_list_the_first_night_that_can_tell():
    random = rng(5)
    error = np.full((40, 50), 0.03)
    broken = bad_pixels(Answers(off=np.abs(random.normal(-0.6, error)), error=error), [])
    blind = bad_pixels(Answers(off=np.abs(random.normal(0.0, error * 10)), error=error * 10), [broken.findings])
    healed = bad_pixels(Answers(off=np.abs(random.normal(0.0, error)), error=error), [blind.findings, broken.findings])
    after = bad_pixels(Answers(off=0 * error, error=error * 10), [healed.findings, blind.findings, broken.findings])
    assert broken.map.all() and blind.map.mean() > 0.99
    assert healed.map.mean() < 0.005 and healed.healed > 0.99 * error.size
    assert after.map.mean() < 0.01


def test_a_list_comes_back_from_its_text():
    bad, well = rng(2).random((2, 30, 40)) < 0.2
    bad[3:27, 7] = True
    bad[-1, -1] = bad[0, 0] = True
    one = Findings(bad=bad, well=well)
    (again,) = findings_in(f"20211017 1 {one}", bad.shape)
    np.testing.assert_array_equal(again.bad, bad)
    np.testing.assert_array_equal(again.well, well)
    assert ";" not in str(one)
    np.testing.assert_array_equal(Findings.of(str(one), (20, 20)).bad, bad[:20, :20])


def test_lists_of_several_nights_keep_their_order_and_nothing_is_a_list_too():
    assert findings_in("", SHAPE) == ()
    first, second = findings_in(f"20211017 1 {told(bad=True)}; 20211015 3 {told()}", SHAPE)
    assert first.bad.any() and not second.bad.any()
    assert str(told()) == "/" and str(told(bad=True)) == "2:1/"


def test_a_hundred_pixels_and_a_dead_column_are_a_kilobyte():
    bad = np.zeros((2048, 2048), bool)
    bad[rng(4).integers(0, 2048, 100), rng(5).integers(0, 2048, 100)] = True
    bad[700:, 1000] = True
    assert len(str(Findings(bad=bad, well=np.zeros_like(bad)))) < 1100


@pytest.mark.parametrize("text", ["", "2:1", "2:1-/", "2;1/", "/x"])
def test_another_text_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        Findings.of(text, SHAPE)


def test_a_night_with_thousands_tells_no_other():
    many = np.zeros((100, 100), bool)
    many[::2, ::2] = True
    assert many.sum() > MOST_STRETCHES
    assert not Findings(bad=many, well=~many).tells
    assert Findings(bad=np.ones_like(many), well=~many).tells  # a hundred stretches
