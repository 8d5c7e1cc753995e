"""Nights and duplicates: pure functions with answers one can write down. Frames for the other tests of the planner."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sedmd.core.nights import night_begin, night_of
from sedmd.raw.frame_order import split_duplicates
from sedmd.raw.frames import Frame, Kind

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
        "pair": True if nod else None,
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
