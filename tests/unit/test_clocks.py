"""When an exposure began, by the majority of its clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.raw.clocks import start_of

START = datetime(2019, 4, 18, 3, 50, 2, tzinfo=UTC)
STEM = "ifu20190418_03_50_02"


def clocks(start=START, **changes):
    """All cards of a moment, in the spellings of 2018."""
    jd = start.timestamp() / 86400 + 2440587.5
    header = {
        "UTC": start.strftime("%Y:%j:%H:%M:%S.0"),
        "OBSDATE": start.strftime("%Y-%m-%d"),
        "OBSTIME": start.strftime("%H:%M:%S.0"),
        "JD": jd,
        "MJD_OBS": jd - 2400000.5,
    } | changes
    return {key: value for key, value in header.items() if value is not None}


def test_clocks_that_agree_need_no_note():
    assert start_of(clocks(), STEM).notes == ()
    assert start_of(clocks(), STEM).time == START


@pytest.mark.parametrize(
    "spelling", ["2021-12-12T06:14:11.940353", "2021-12-12T06:14:11.940353Z", "2021:346:06:14:11.940353"]
)
def test_utc_in_each_spelling(spelling):
    found = start_of({"UTC": spelling}, "")
    assert found.time == datetime(2021, 12, 12, 6, 14, 11, 940353, tzinfo=UTC)
    assert found.notes == ()


@pytest.mark.parametrize(
    "utc",
    ["2019:366:03:50:02.0", "2019:000:03:50:02.0", "2019-02-30T03:50:02", "2019:108:24:00:00", "2019:108", "noon"],
)
def test_a_day_or_an_hour_that_does_not_exist_is_unreadable(utc):
    found = start_of(clocks(UTC=utc), STEM)
    assert found.time == START
    assert any(utc in note for note in found.notes)


def test_day_366_of_a_leap_year_is_new_years_eve():
    assert start_of({"UTC": "2020:366:03:50:02.0"}, "").time == datetime(2020, 12, 31, 3, 50, 2, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["UTC", "OBSDATE", "JD", "the file name"])
def test_one_clock_against_the_others_is_not_believed_and_named(wrong):
    stale = clocks(START - timedelta(minutes=5))
    changes = {
        "UTC": {"UTC": stale["UTC"]},
        "OBSDATE": {"OBSTIME": stale["OBSTIME"]},
        "JD": {"JD": stale["JD"], "MJD_OBS": stale["MJD_OBS"]},
        "the file name": {},
    }[wrong]
    stem = "ifu20190418_03_45_00" if wrong == "the file name" else STEM
    found = start_of(clocks(**changes), stem)
    assert found.time == START
    (note,) = found.notes
    assert note.startswith(wrong) and "rejected" in note and "2019-04-18 03:45:0" in note


def test_jd_and_mjd_have_one_voice():
    # both come from the telescope: UTC and the file name outvote them only together with another, or as the card first
    wrong = clocks(START - timedelta(hours=2))
    found = start_of({"UTC": clocks()["UTC"], "JD": wrong["JD"], "MJD_OBS": wrong["MJD_OBS"]}, "frame")
    assert found.time == START
    assert [note.split(" rejected")[0] for note in found.notes] == ["JD"]


def test_obsdate_that_repeats_utc_has_no_voice_of_its_own():
    # a header of the exposure before, sent once more: the telescope and the robot's file name know better
    stale = clocks(START - timedelta(minutes=20))
    found = start_of(clocks(UTC=stale["UTC"], OBSTIME=stale["OBSTIME"]), STEM)
    assert found.time == START
    assert [note.split(" rejected")[0] for note in found.notes if "rejected" in note] == ["UTC"]


def test_mjd_that_contradicts_jd_is_a_clock_of_its_own():
    found = start_of(clocks(MJD_OBS=58000.0), STEM)
    assert found.time == START
    assert [note.split(" rejected")[0] for note in found.notes] == ["MJD_OBS"]


def test_a_lost_jd_takes_mjd_with_it_and_says_nothing():
    found = start_of(clocks(JD=-999.0, MJD_OBS=-2400999.5), STEM)
    assert (found.time, found.notes) == (START, ())


def test_a_name_given_by_hand_does_not_move_the_start():
    found = start_of(clocks(), "ifu20190501_03_50_02")
    assert found.time == START
    assert "the file name rejected" in found.notes[0]


@pytest.mark.parametrize(
    ("start", "hours"),
    [(datetime(2019, 10, 27, 4, 31, 52, tzinfo=UTC), 7), (datetime(2019, 12, 1, 4, 31, 52, tzinfo=UTC), 8)],
)
def test_local_time_agrees_with_the_other_clocks(start, hours):
    local = start - timedelta(hours=hours)
    header = clocks(start, OBSDATE=f"{local:%Y-%m-%d}", OBSTIME=f"{local:%H:%M:%S}.9")
    found = start_of(header, f"{start:ifu%Y%m%d_%H_%M_%S}")
    assert (found.time, found.notes) == (start, ())
    # a voice like any other: without UTC it settles that a wrong JD is wrong
    found = start_of(header | {"UTC": "NA", "JD": 2458000.0, "MJD_OBS": None}, f"{start:ifu%Y%m%d_%H_%M_%S}")
    assert abs(found.time - start) < timedelta(seconds=1)
    # and by itself it is read as the time of California in those months
    alone = start_of({"OBSDATE": header["OBSDATE"], "OBSTIME": header["OBSTIME"]}, "")
    assert abs(alone.time - start) < timedelta(seconds=1)


def test_clocks_of_real_frames_agree_within_their_spread():
    # UTC 3 s, OBSTIME 7 s, JD 10 s off the file name
    header = clocks(
        UTC=clocks(START + timedelta(seconds=3))["UTC"],
        OBSTIME=clocks(START + timedelta(seconds=7))["OBSTIME"],
        JD=clocks(START + timedelta(seconds=10))["JD"],
        MJD_OBS=clocks(START + timedelta(seconds=10))["MJD_OBS"],
    )
    assert start_of(header, STEM).notes == ()
    assert start_of(header, STEM).time == START + timedelta(seconds=3)
    # without UTC the file name is nearer to the truth than the clocks that were read later
    assert start_of(header | {"UTC": None}, STEM).time == START
    # and OBSTIME, where it shows the second of the file name, is more precise than that
    assert start_of({"OBSDATE": "2019-04-18", "OBSTIME": "03:50:02.93"}, STEM).time.microsecond == 930000


def test_no_clock_is_no_time():
    assert start_of({"UTC": "NA", "JD": -999.0, "OBSDATE": "2019-04-18"}, "frame") is None


@given(
    st.fixed_dictionaries(
        {key: st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.booleans()) for key in clocks()}
    ),
    st.text(max_size=30),
)
def test_no_card_raises(header, stem):
    start_of(header, stem)
