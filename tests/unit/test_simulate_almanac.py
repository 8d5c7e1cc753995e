"""Times and places of the simulator against astropy and closed forms."""

from datetime import UTC, datetime

import numpy as np
import pytest

from sedmd.simulate import almanac


def test_julian_date_round_trip() -> None:
    when = datetime(2017, 6, 12, 4, 7, 7, tzinfo=UTC)
    jd = almanac.julian_date(when)
    assert jd == pytest.approx(2457916.671608796, abs=1e-8)
    assert abs((almanac.from_julian(jd) - when).total_seconds()) < 1e-3


def test_sidereal_time_agrees_with_astropy() -> None:
    from astropy.time import Time

    jd = 2457916.671608796
    expected = Time(jd, format="jd", scale="ut1").sidereal_time("mean", longitude=almanac.LONGITUDE).deg
    assert almanac.sidereal_time(jd) == pytest.approx(expected, abs=0.01)


def test_a_star_on_the_meridian() -> None:
    jd = 2457916.7
    place = almanac.place(almanac.sidereal_time(jd), 10.0, jd)
    assert place.hour_angle == pytest.approx(0.0, abs=1e-9)
    assert place.altitude == pytest.approx(90.0 - almanac.LATITUDE + 10.0, abs=1e-9)
    assert place.azimuth == pytest.approx(180.0, abs=1e-9)
    assert abs(place.parallactic) == pytest.approx(0.0, abs=1e-9)


def test_west_of_the_meridian_the_zenith_lies_east_of_north() -> None:
    jd = 2457916.7
    west = almanac.place(almanac.sidereal_time(jd) - 40.0, 10.0, jd)
    assert west.hour_angle == pytest.approx(40.0)
    assert west.parallactic > 0.0
    assert west.azimuth > 180.0


def test_airmass_is_the_secant_at_small_zenith_distances() -> None:
    place = almanac.SkyPosition(hour_angle=0.0, altitude=45.0, azimuth=0.0, parallactic=0.0)
    assert place.airmass == pytest.approx(np.sqrt(2.0), rel=2e-3)


def test_sunset_and_moon_agree_with_astropy_and_the_calendar() -> None:
    # Palomar, 2017 June 12 (UT): sunset 02:57; full Moon on June 9, 13:10 UT
    noon = almanac.julian_date(datetime(2017, 6, 11, 20, tzinfo=UTC))
    sunset = almanac.from_julian(almanac.sun_event(noon, -0.833, rising=False))
    assert abs((sunset - datetime(2017, 6, 12, 2, 57, tzinfo=UTC)).total_seconds()) < 180.0
    assert almanac.moon(almanac.julian_date(datetime(2017, 6, 9, 13, 10, tzinfo=UTC)))[2] < 6.0
    assert almanac.moon(almanac.julian_date(datetime(2017, 6, 24, 2, 31, tzinfo=UTC)))[2] > 174.0


@pytest.mark.parametrize(
    ("degrees", "hours", "digits", "sign", "text"),
    [
        (15.0, True, 2, False, "01:00:00.00"),
        (-0.5, False, 1, True, "-00:30:00.0"),
        (29.99999999, False, 1, True, "+30:00:00.0"),
        (10.5, False, 0, False, "10:30:00"),
    ],
)
def test_sexagesimal(degrees: float, hours: bool, digits: int, sign: bool, text: str) -> None:
    assert almanac.sexagesimal(degrees, hours=hours, digits=digits, sign=sign) == text
    assert almanac.degrees_of(text, hours=hours) == pytest.approx(degrees, abs=1e-6)
