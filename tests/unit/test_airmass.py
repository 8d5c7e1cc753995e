"""The airmass of an exposure whatever cards are lost, and never 1.0 for want of one."""

from datetime import UTC, datetime

import pytest

from sedmd.raw.airmass import airmass_at_end, airmass_at_start, airmass_of, place_in_the_sky

#: AIRMASS and TEL_EL of five published headers, 2018 to 2021.
PUBLISHED = [(1.129, 62.28), (1.102, 65.11), (1.189, 57.21), (1.019, 78.8), (1.634, 37.67)]
#: Three of them: start, RA, DEC, TEL_EL, TEL_PA.
POINTED = [
    (datetime(2019, 10, 27, 4, 31, 52, tzinfo=UTC), "00:20:07.61", "+15:02:56.8", 65.11, 320.0),
    (datetime(2020, 10, 11, 7, 27, 41, tzinfo=UTC), "01:52:44.21", "+36:35:17.0", 78.8, 256.0),
    (datetime(2021, 12, 12, 6, 14, 11, tzinfo=UTC), "00:58:50.29", "-00:15:08.1", 37.67, 46.0),
]


@pytest.mark.parametrize(("airmass", "elevation"), PUBLISHED)
def test_formula_is_that_of_the_telescope(airmass, elevation):
    assert airmass_of(elevation) == pytest.approx(airmass, abs=0.0011)


@pytest.mark.parametrize(("start", "ra", "dec", "elevation", "angle"), POINTED)
def test_position_and_time_tell_where_the_telescope_pointed(start, ra, dec, elevation, angle):
    altitude, parallactic = place_in_the_sky({"RA": ra, "DEC": dec}, start)
    assert altitude == pytest.approx(elevation, abs=0.4)
    assert (parallactic - angle + 180) % 360 - 180 == pytest.approx(0.0, abs=2.0)


def test_the_card_comes_first_then_elevation_then_position():
    start, ra, dec, _, _ = POINTED[2]
    header = {"AIRMASS": "1.7", "TEL_EL": 40.0, "RA": ra, "DEC": dec}
    assert airmass_at_start(header, start).airmass == 1.7
    assert airmass_at_start(header, start).note == ""
    lost = airmass_at_start(header | {"AIRMASS": -999.0}, start)
    assert lost.airmass == pytest.approx(airmass_of(40.0)) and "TEL_EL" in lost.note
    lost = airmass_at_start(header | {"AIRMASS": None, "TEL_EL": "NA"}, start)
    assert lost.airmass == pytest.approx(1.634, abs=0.02) and "position and time" in lost.note
    lost = airmass_at_start(header | {"AIRMASS": None, "TEL_EL": "NA"}, None)
    assert lost.airmass is None and "unknown" in lost.note


@pytest.mark.parametrize(
    ("card", "elevation", "airmass", "told"),
    [
        (1.634, 37.67, 1.634, ()),
        (1.634, 62.0, 1.634, ()),  # an elevation that stands still, as the telescope's poll failed
        (1.02, 37.67, 1.634, ("AIRMASS 1.02 contradicts", "TEL_EL", "position and time", "is taken")),
        (5.0, None, 5.0, ("AIRMASS 5.00 contradicts position and time", "AIRMASS is taken")),
    ],
)
def test_an_airmass_that_all_else_contradicts_is_not_believed_and_one_against_one_is_told(
    card, elevation, airmass, told
):
    start, ra, dec, _, _ = POINTED[2]
    found = airmass_at_start({"AIRMASS": card, "TEL_EL": elevation, "RA": ra, "DEC": dec}, start)
    assert found.airmass == pytest.approx(airmass, abs=0.002)
    assert all(part in found.note for part in told) and bool(found.note) is bool(told)


def test_below_the_horizon_there_is_no_airmass():
    header = {"RA": "12:00:00", "DEC": "-70:00:00"}
    assert airmass_at_start(header, POINTED[0][0]).airmass is None


@pytest.mark.parametrize(
    ("card", "exptime", "airmass"),
    [
        (1.939, 2160.0, 1.939),
        ("1.939", 2160.0, 1.939),
        (1.5 * 1.634, 2160.0, None),
        (-1, 2160.0, None),
        (1.8, 60.0, None),
    ],
)
def test_the_end_is_no_farther_than_the_sky_turns(card, exptime, airmass):
    assert airmass_at_end({"ENDAIR": card, "EXPTIME": exptime}, 1.634) == airmass
