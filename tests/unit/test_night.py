"""Nights, series, A/B pairs: pure functions with answers one can write down."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.frames import Frame, Kind
from sedmd.night import (
    bias_series,
    lamp_series,
    night_begin,
    night_of,
    observations,
    split_duplicates,
)

EVENING = datetime(2019, 6, 12, 4, tzinfo=UTC)
AFTERNOON = datetime(2019, 6, 11, 23, tzinfo=UTC)


def make(
    minute: float = 0, label: str = "x", *, kind: Kind = Kind.SCIENCE, base: datetime = EVENING, **changes
) -> Frame:
    start = base + timedelta(minutes=minute)
    stem = start.strftime("ifu%Y%m%d_%H_%M_%S")
    nod = "A" if "[A]" in label else "B" if "[B]" in label else ""
    values = {
        "path": Path(f"/raw/{start:%Y%m%d}/{stem}.fits"),
        "stem": stem,
        "kind": kind,
        "start": start,
        "exptime_s": 900.0,
        "adc_speed_mhz": 0.1,
        "object": label,
        "name": label.split(" [")[0],
        "nod": nod,
        "checksum": f"sum-{stem}",
        "data_checksum": f"data-{stem}",
    }
    return Frame(**(values | changes))


def series(count: int, total: int, *, kind: Kind = Kind.BIAS, first: float = 0, **changes) -> list[Frame]:
    return [
        make(first + n, kind=kind, base=AFTERNOON, series_index=n + 1, series_total=total, **changes)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    "start, night",
    [
        ("2019-06-11T19:59:59", "20190611"),
        ("2019-06-11T20:00:00", "20190612"),
        ("2019-06-12T00:00:00", "20190612"),
        ("2019-06-12T19:59:59", "20190612"),
        ("2019-12-31T23:00:00", "20200101"),
    ],
)
def test_night_begins_at_20_ut_of_the_day_before(start, night):
    when = datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert night_of(when) == night
    assert night_begin(night) <= when < night_begin(night) + timedelta(days=1)


def products(frames):
    return {visit.product: [frame.object for frame in visit.frames] for visit in observations(frames)}


def test_pair():
    assert products([make(0, "x [A]"), make(20, "x [B]")]) == {"x": ["x [A]", "x [B]"]}


def test_pairs_and_singles_of_one_target_are_numbered_in_time_order():
    frames = [make(0, "x [A]"), make(20, "x [B]"), make(40, "x"), make(60, "x [A]"), make(80, "x [B]")]
    assert products(frames) == {"x": ["x [A]", "x [B]"], "x_obs2": ["x"], "x_obs3": ["x [A]", "x [B]"]}


def test_two_singles_are_no_pair():
    assert list(products([make(0, "x"), make(20, "x")])) == ["x_obs1", "x_obs2"]


def test_three_exposures_of_one_name_have_distinct_products():
    assert list(products([make(0, "x"), make(20, "x"), make(40, "x")])) == ["x_obs1", "x_obs2", "x_obs3"]


def test_a_repeated_a_gives_up_the_first():
    frames = [make(0, "x [A]"), make(20, "x [A]"), make(40, "x [B]")]
    visits = observations(frames)
    assert [(visit.product, len(visit.frames), visit.awaits_partner) for visit in visits] == [
        ("x_obs1", 1, False),
        ("x_obs2", 2, False),
    ]


def test_b_before_a_and_a_second_b_stand_alone():
    assert list(products([make(0, "x [B]"), make(20, "x [A]"), make(40, "x [B]"), make(60, "x [B]")])) == [
        "x_obs1",
        "x_obs2",
        "x_obs3",
    ]


def test_pairs_of_two_targets_may_interleave():
    frames = [make(0, "x [A]"), make(20, "y [A]"), make(40, "x [B]"), make(60, "y [B]")]
    assert list(products(frames)) == ["x", "y"]


def test_lonely_a_awaits_its_partner():
    (visit,) = observations([make(0, "x [A]")])
    assert visit.awaits_partner
    assert visit.product == "x_obs1"


@pytest.mark.parametrize("star", ["feige34", ""], ids=["tabulated", "without a table"])
def test_a_standard_star_in_a_pair_gives_two_spectra(star):
    frames = [make(20 * n, f"STD-X [{nod}]", kind=Kind.STANDARD, star=star) for n, nod in enumerate("AB")]
    assert [(one.product, one.standard, one.star, one.awaits_partner) for one in observations(frames)] == [
        ("STD-X_obs1", True, star, False),
        ("STD-X_obs2", True, star, False),
    ]


@given(st.permutations(range(7)))
def test_observations_do_not_depend_on_the_order_of_arrival(order):
    labels = ["x [A]", "x [B]", "x", "y", "x [A]", "y [A]", "M 31"]
    frames = [make(20 * n, label) for n, label in enumerate(labels)]
    assert observations([frames[n] for n in order]) == observations(frames)


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
    ],
)
def test_series_is_complete_when_what_was_announced_is_there(frames, complete, enough):
    made = bias_series(frames, minimum=5, until_ut_hour=10)[0.1]
    assert (made.complete, made.enough) == (complete, enough)
    assert made.frames == tuple(frames)


def test_biases_of_each_speed_are_apart():
    made = bias_series(series(5, 5) + series(5, 5, first=10, adc_speed_mhz=2.0), minimum=5, until_ut_hour=10)
    assert list(made) == [0.1, 2.0]


def test_lamps_of_the_speed_with_most_frames_win():
    frames = series(3, 3, kind=Kind.HG, adc_speed_mhz=2.0) + series(2, 3, kind=Kind.HG, first=10)
    made = lamp_series(frames, minimum=3, until_ut_hour=10)[Kind.HG]
    assert (made.adc_speed_mhz, len(made.frames), len(made.left_out)) == (2.0, 3, 2)
    assert "most Hg frames are at 2 MHz" in made.left_out[0][1]


def test_morning_calibrations_serve_only_when_the_evening_has_too_few():
    morning = [
        make(n, kind=Kind.DOME, base=datetime(2019, 6, 12, 13, tzinfo=UTC), series_index=n + 1, series_total=3)
        for n in range(3)
    ]
    made = lamp_series(series(3, 3, kind=Kind.DOME) + morning, minimum=3, until_ut_hour=10)[Kind.DOME]
    assert len(made.frames) == 3
    assert [frame for frame, _ in made.left_out] == morning
    made = lamp_series(series(2, 3, kind=Kind.DOME) + morning, minimum=3, until_ut_hour=10)[Kind.DOME]
    assert len(made.frames) == 5


def test_the_same_pixels_under_two_names_count_once():
    first, second = make(0), make(20, data_checksum=make(0).data_checksum)
    for order in ([first, second], [second, first]):
        kept, refused = split_duplicates(order)
        assert kept == [first]
        assert [(frame, "duplicate" in why) for frame, why in refused] == [(second, True)]


def test_one_name_in_two_directories_is_used_once():
    first = make(0)
    second = make(0, path=Path("/raw/20190613/") / first.path.name, data_checksum="other")
    kept, refused = split_duplicates([second, first])
    assert kept == [first]
    assert "another frame of this name" in refused[0][1]
