"""Calibration series and sets: what is combined with what, and which set of lamps serves."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedmd.plan.series import lamp_sets, series_of, unused
from sedmd.raw.frames import Kind

from .test_night import AFTERNOON, make, series

UNTIL = 10.0
MIDNIGHT = datetime(2019, 6, 12, 0, tzinfo=UTC)
MORNING = datetime(2019, 6, 12, 13, tzinfo=UTC)
CYCLE = (Kind.DOME, Kind.HG, Kind.XE, Kind.CD)


def biases(frames, *, minimum=5):
    return series_of(frames, Kind.BIAS, minimum=minimum, until_ut_hour=UNTIL)


def sets_of(frames):
    return lamp_sets(frames, minimum=3, until_ut_hour=UNTIL)


def run(kind, first, count=5, *, total=None, base=AFTERNOON, **changes):
    """Frames "1 of N" ... "count of N" of a lamp, a minute apart."""
    return [
        make(first + n, kind=kind, base=base, series_index=n + 1, series_total=total or count, **changes)
        for n in range(count)
    ]


def lamps(first=0.0, *, base=AFTERNOON, count=5, kinds=CYCLE, **changes):
    """Dome and lamps as the robot takes them, ten minutes each."""
    return [frame for n, kind in enumerate(kinds) for frame in run(kind, first + 10 * n, count, base=base, **changes)]


def serves(one, kind):
    return list(one.lamps[kind][0].frames)


# one series


@pytest.mark.parametrize(
    "frames, complete, enough",
    [
        (series(10, 10), True, True),
        (series(5, 5), True, True),
        (series(9, 10), False, True),
        (series(4, 10), False, False),
        (series(4, 4), False, False),
        (series(5, 5) + series(5, 5, first=30), True, True),
        (series(5, 5) + series(2, 5, first=30), False, True),
        # after a restart the robot takes the rest as a series of its own
        (series(6, 10) + series(4, 4, first=30), True, True),
        (series(6, 10) + series(3, 4, first=30), False, True),
        (series(6, 10) + series(3, 3, first=30), False, True),
        (series(2, 10) + series(3, 8, first=30) + series(5, 5, first=60), True, True),
    ],
)
def test_series_is_complete_when_what_was_announced_is_there(frames, complete, enough):
    made = biases(frames)[0][0.1]
    assert (made.complete, made.enough) == (complete, enough)
    assert made.frames == tuple(frames)


@pytest.mark.parametrize("speeds", [(0.1, 2.0), (1.0, 2.0), (1, 2)])
def test_biases_of_each_speed_are_apart(speeds):
    slow, fast = speeds
    made, _ = biases(series(5, 5, adc_speed_mhz=slow) + series(5, 5, first=10, adc_speed_mhz=fast))
    assert list(made) == [slow, fast]


def test_a_speed_is_the_same_in_every_notation():
    frames = series(3, 5, adc_speed_mhz=0.1) + series(2, 2, first=10, adc_speed_mhz=0.10000000149)
    made, _ = biases(frames)
    assert list(made) == [0.1] and made[0.1].complete


def test_late_biases_serve_only_when_the_evening_has_too_few():
    morning = run(Kind.BIAS, 0, base=MORNING)
    made, late = biases(series(5, 5) + morning)
    assert list(made[0.1].frames) == series(5, 5) and [frame for frame, _ in late] == morning
    made, late = biases(series(4, 5) + morning)
    assert len(made[0.1].frames) == 9 and late == []


@pytest.mark.parametrize(("before_s", "used"), [(1e-6, 6), (0.0, 5)])
def test_the_small_hours_begin_with_the_hour_that_the_settings_name(before_s, used):
    begun = MIDNIGHT + timedelta(hours=UNTIL)
    more = run(Kind.BIAS, 0, base=begun - timedelta(seconds=before_s))[:1]
    made, late = biases(series(5, 5) + more)
    assert len(made[0.1].frames) == used
    assert [frame for frame, _ in late] == ([] if used == 6 else more)


# sets of lamps


@pytest.mark.parametrize("base", [AFTERNOON, MIDNIGHT])
def test_the_robots_evening_is_one_whole_set(base):
    (one,), rejected = sets_of(lamps(base=base, adc_speed_mhz=1.0))
    assert rejected == [] and set(one.lamps) == set(CYCLE)
    for choices in one.lamps.values():
        assert len(choices) == 1 and choices[0].complete and len(choices[0].frames) == 5


@pytest.mark.parametrize("order", [CYCLE, (Kind.CD, Kind.DOME, Kind.HG, Kind.XE)])
def test_of_two_whole_sets_the_newer_comes_first_and_nothing_is_mixed(order):
    before, after = lamps(kinds=order), lamps(100, kinds=order)
    sets, _ = sets_of(before + after)
    for one, frames in zip(sets, (after, before), strict=True):
        for kind in CYCLE:
            assert serves(one, kind) == [frame for frame in frames if frame.kind is kind]
    why = {frame.stem: why for frame, why in unused(sets, {kind: sets[0].lamps[kind][0] for kind in CYCLE})}
    assert set(why) == {frame.stem for frame in before}
    assert set(why.values()) == {
        "of another set of calibrations (23:00 to 23:34 UT); that of 00:40 to 01:14 UT is used"
    }


def test_while_the_second_set_is_being_taken_the_first_serves():
    before, after = lamps(), lamps(100)
    for count in range(1, len(after) - 2):
        sets, _ = sets_of(before + after[:count])
        assert len(sets) == 1 and serves(sets[0], Kind.DOME) == before[:5], count
    sets, _ = sets_of(before + after[:-2])
    assert len(sets) == 2 and serves(sets[0], Kind.DOME) == after[:5]


def test_a_set_that_was_broken_off_gives_way_to_the_whole_one():
    """The instrument was touched after two lamps, then all of them were taken."""
    before, after = lamps(kinds=CYCLE[:2]), lamps(100)
    (one,), _ = sets_of(before + after)
    for kind in CYCLE:
        assert serves(one, kind) == [frame for frame in after if frame.kind is kind]


def test_the_rest_after_a_restart_belongs_to_the_same_series():
    frames = lamps(kinds=CYCLE[:1]) + run(Kind.HG, 20, 3, total=5) + run(Kind.HG, 30, 2)
    frames += lamps(40, kinds=CYCLE[2:])
    (one,), _ = sets_of(frames)
    assert len(serves(one, Kind.HG)) == 5 and one.lamps[Kind.HG][0].complete


def test_a_lamp_taken_again_stands_in_for_the_first():
    frames, again = lamps(), run(Kind.XE, 60)
    (one,), _ = sets_of(frames + again)
    first, second = one.lamps[Kind.XE]
    assert list(first.frames) == [frame for frame in frames if frame.kind is Kind.XE]
    assert list(second.frames) == again
    told = unused([one], {kind: one.lamps[kind][0] for kind in CYCLE})
    assert told == [(frame, "Xe was taken more than once; the frames of 23:20 to 23:24 UT are used") for frame in again]


def test_what_is_taken_again_after_two_whole_sets_belongs_to_the_newer():
    before, after, again = lamps(), lamps(100), run(Kind.XE, 200)
    newer, older = sets_of(before + after + again)[0]
    assert [choice.frames[0] for choice in newer.lamps[Kind.XE]] == [after[10], again[0]]
    assert [choice.frames[0] for choice in older.lamps[Kind.XE]] == [before[10]]
    assert set(older.frames) == set(before) and set(newer.frames) == {*after, *again}


def test_exposures_that_were_not_announced_are_no_rest_of_a_series():
    frames = run(Kind.HG, 0, 3, total=5)
    alone = make(10, kind=Kind.HG, series_index=None, series_total=None)
    (one,), _ = sets_of([*frames, alone])
    assert serves(one, Kind.HG) == frames


def test_a_lamp_taken_again_at_once_serves_and_the_first_stands_in():
    frames = lamps(kinds=CYCLE[:3]) + run(Kind.XE, 30) + run(Kind.CD, 40)
    (one,), _ = sets_of(frames)
    assert [choice.frames[0].start.minute for choice in one.lamps[Kind.XE]] == [30, 20]


def test_frames_too_few_for_a_series_are_put_together_only_if_nothing_else_is_there():
    frames = run(Kind.DOME, 0, 2, total=5) + run(Kind.DOME, 10, 2, total=5)
    (one,), _ = sets_of(frames)
    assert serves(one, Kind.DOME) == frames and not one.lamps[Kind.DOME][0].complete
    more = frames + run(Kind.DOME, 20)
    (one,), _ = sets_of(more)
    assert serves(one, Kind.DOME) == more[4:]
    assert [frame for frame, _ in unused([one], {Kind.DOME: one.lamps[Kind.DOME][0]})] == frames


def test_lamps_of_the_speed_with_most_frames_serve():
    frames = run(Kind.HG, 0, 3, adc_speed_mhz=2.0) + run(Kind.HG, 10, 2, total=3)
    (one,), rejected = sets_of(frames)
    assert serves(one, Kind.HG) == frames[:3] and one.lamps[Kind.HG][0].adc_speed_mhz == 2.0
    assert [(frame, "most Hg frames are at 2 MHz" in why) for frame, why in rejected] == [(f, True) for f in frames[3:]]


def test_a_set_of_the_morning_serves_only_where_the_evening_has_no_whole_one():
    evening, morning = lamps(), lamps(base=MORNING)
    sets, _ = sets_of(evening + morning)
    assert [serves(one, Kind.CD)[0].start.hour for one in sets] == [23, 13]
    (one,), _ = sets_of(evening[:-3] + morning)
    for kind in CYCLE:
        assert serves(one, kind) == [frame for frame in morning if frame.kind is kind]


def test_of_two_sets_of_the_morning_the_earlier_serves():
    sets, _ = sets_of(lamps(base=MORNING) + lamps(60, base=MORNING))
    assert [serves(one, Kind.DOME)[0].start.hour for one in sets] == [13, 14]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(53)))
def test_sets_do_not_depend_on_the_order_of_arrival(order):
    frames = [*lamps(), *lamps(100), *lamps(200, kinds=CYCLE[:2]), *run(Kind.CD, 300, 3, total=5)]
    assert sets_of([frames[n] for n in order]) == sets_of(frames)
