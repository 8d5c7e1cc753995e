"""Sunset and sunrise against an almanac, a closed form and astropy's full machinery, and at the ends of the Earth."""

import itertools
import math
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from sedmd.core import instrument
from sedmd.core.sun import HORIZON_DEG, Observatory, SunError, sun_altitude, sun_times

PALOMAR = Observatory(instrument.LATITUDE_DEG, instrument.LONGITUDE_DEG, instrument.HEIGHT_M)

# U.S. Naval Observatory, Astronomical Applications Department, "Rise and Set for the Sun for 2023",
# Fredonia AZ, W 112 31, N 36 57, zone 7 h West of Greenwich, rounded to the minute (aa.usno.navy.mil/data/RS_OneYear).
# Day of the month, then rise and set of January to December.
USNO_SITE, USNO_ZONE = Observatory(36.95, -112.52), timedelta(hours=7)
USNO = """
01  0743 1724  0733 1755  0701 1824  0616 1852  0536 1919  0512 1944
11  0743 1733  0723 1806  0647 1834  0602 1901  0526 1928  0510 1950
21  0740 1743  0711 1816  0632 1843  0548 1910  0518 1936  0511 1953
01  0514 1954  0535 1937  0601 1859  0625 1814  0654 1733  0724 1714
11  0520 1951  0544 1926  0609 1844  0634 1759  0704 1724  0733 1714
21  0527 1946  0552 1914  0617 1829  0643 1746  0715 1717  0739 1717
"""


def usno():
    """(published, computed) of each entry."""
    for number, line in enumerate(USNO.strip().splitlines()):
        day, *clocks = line.split()
        for column, text in enumerate(clocks):
            month = column // 2 + 1 + (6 if number >= 3 else 0)
            local = datetime(2023, month, int(day), int(text[:2]), int(text[2:]), tzinfo=UTC)
            if column % 2:  # the sunset of a local day begins the UT night of the next date
                yield local + USNO_ZONE, sun_times(f"{local + timedelta(days=1):%Y%m%d}", USNO_SITE).sunset
            else:
                yield local + USNO_ZONE, sun_times(f"{local:%Y%m%d}", USNO_SITE).sunrise


def test_agrees_with_the_naval_observatory():
    differences = np.array([(computed - published).total_seconds() for published, computed in usno()])
    assert len(differences) == 72
    # half a minute is the rounding of the table; its mean must vanish
    assert np.abs(differences).max() <= 30 + 3
    assert abs(differences.mean()) < 5


def closed_form(night: str, site: Observatory, *, rising: bool) -> datetime:
    """Equation of time and declination as series in the mean anomaly (Meeus 1991, ch. 24 and 27), iterated."""
    when = datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) + timedelta(hours=12 if rising else 0)
    noon = datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) - timedelta(hours=12)
    noon += timedelta(days=1) if rising else timedelta()
    noon -= timedelta(hours=site.longitude_deg / 15)
    for _ in range(6):
        t = (when - datetime(2000, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=69.2)).total_seconds() / 86400 / 36525
        mean = math.radians(280.46646 + 36000.76983 * t + 0.0003032 * t * t)
        m = math.radians(357.52911 + 35999.05029 * t - 0.0001537 * t * t)
        centre = (1.914602 - 0.004817 * t) * math.sin(m) + 0.019993 * math.sin(2 * m) + 0.000289 * math.sin(3 * m)
        node = math.radians(125.04 - 1934.136 * t)
        longitude = mean + math.radians(centre - 0.00569 - 0.00478 * math.sin(node))
        eps = math.radians(23.4392911 - 0.0130042 * t + 0.00256 * math.cos(node))
        declination = math.asin(math.sin(eps) * math.sin(longitude))
        ra = math.atan2(math.cos(eps) * math.sin(longitude), math.cos(longitude))
        nutation = -0.00478 * math.cos(eps) * math.sin(node)
        equation = math.degrees((mean - math.radians(0.0057183 - nutation) - ra + math.pi) % (2 * math.pi) - math.pi)
        phi = math.radians(site.latitude_deg)
        cosine = math.sin(math.radians(HORIZON_DEG)) - math.sin(phi) * math.sin(declination)
        hour = math.degrees(math.acos(cosine / math.cos(phi) / math.cos(declination)))
        when = noon + timedelta(hours=(-hour if rising else hour) / 15 - equation / 15)
    return when


@pytest.mark.parametrize(
    "site",
    [PALOMAR, Observatory(-30.24, -70.74), Observatory(0, -100), Observatory(57, -60), Observatory(20.7, -156.3)],
)
def test_agrees_with_a_closed_form(site):
    nights = [
        f"{date(year, 1, 1) + timedelta(days=day):%Y%m%d}" for year in (2014, 2026, 2049) for day in range(0, 366, 23)
    ]
    differences = [
        (computed - closed_form(night, site, rising=rising)).total_seconds()
        for night in nights
        for rising, computed in [(False, sun_times(night, site).sunset), (True, sun_times(night, site).sunrise)]
    ]
    assert len(differences) == 96
    assert max(map(abs, differences)) < 30


def test_agrees_with_astropy_in_full():
    # polar motion, UT1, parallax: all that the short way leaves out
    from astropy import units
    from astropy.coordinates import AltAz, EarthLocation, get_sun
    from astropy.time import Time
    from astropy.utils import iers

    times = sun_times("20190612", PALOMAR)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        when = Time([times.sunset, times.sunrise])
        frame = AltAz(
            obstime=when,
            location=EarthLocation.from_geodetic(
                PALOMAR.longitude_deg * units.deg, PALOMAR.latitude_deg * units.deg, PALOMAR.height_m * units.m
            ),
        )
        altitude = get_sun(when).transform_to(frame).alt.deg
    # 0.004 degrees are one second of time at the equator
    np.testing.assert_allclose(altitude, HORIZON_DEG, atol=0.006)
    seconds = np.array([times.sunset.timestamp(), times.sunrise.timestamp()])
    np.testing.assert_allclose(sun_altitude(seconds, PALOMAR), HORIZON_DEG, atol=1e-5)


@pytest.mark.parametrize("longitude", range(-180, 181, 15))
def test_sunrise_follows_sunset_at_every_longitude(longitude):
    for night in ("20230101", "20230321", "20230621", "20230923"):
        times = sun_times(night, Observatory(30.0, longitude))
        assert timedelta(hours=9) < times.sunrise - times.sunset < timedelta(hours=15)
        middle = times.sunset + (times.sunrise - times.sunset) / 2
        begin = datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) - timedelta(hours=4)
        assert abs(middle - begin - timedelta(hours=12)) < timedelta(hours=12, minutes=20)


def test_nights_follow_each_other():
    nights = [f"{date(2024, 1, 1) + timedelta(days=day):%Y%m%d}" for day in range(120)]
    sunsets = [sun_times(night, PALOMAR).sunset for night in nights]
    gaps = [(b - a).total_seconds() - 86400 for a, b in itertools.pairwise(sunsets)]
    # no evening jumps: at Palomar sunset moves by at most a minute and a half a day, and smoothly
    assert max(map(abs, gaps)) < 90
    assert max(abs(b - a) for a, b in itertools.pairwise(gaps)) < 3


@pytest.mark.parametrize("latitude, night, state", [(70, "20230621", "polar day"), (-70, "20230621", "polar night")])
def test_polar_day_and_night_are_named(latitude, night, state):
    with pytest.raises(SunError, match=state):
        sun_times(night, Observatory(latitude, 20))


def test_no_year_at_the_polar_circle_ends_in_anything_but_times_or_a_named_error():
    named = 0
    for day in range(0, 366, 5):
        night = f"{date(2023, 1, 1) + timedelta(days=day):%Y%m%d}"
        try:
            times = sun_times(night, Observatory(67.0, 25.0))
        except SunError as error:
            assert "polar" in str(error)
            named += 1
        else:
            assert timedelta() < times.sunrise - times.sunset < timedelta(days=1)
    # six weeks of midnight sun; no polar night, because refraction lifts the Sun
    assert 6 <= named <= 10


@pytest.mark.parametrize("bad", ["2023", "20230231", "night"])
def test_no_date_is_refused(bad):
    with pytest.raises(ValueError):
        sun_times(bad, PALOMAR)


@pytest.mark.parametrize("latitude, longitude", [(91, 0), (math.nan, 0), (0, math.inf), (0, 400)])
def test_no_place_is_refused(latitude, longitude):
    with pytest.raises(SunError, match="not a position on Earth"):
        Observatory(latitude, longitude)


def test_far_dates_raise_no_warning():
    # warnings are errors here
    for night in ("18500615", "19100615", "22500615"):
        times = sun_times(night, PALOMAR)
        assert timedelta(hours=9) < times.sunrise - times.sunset < timedelta(hours=10.5)


def test_a_night_costs_little_and_is_kept():
    sun_times("20311104", PALOMAR)
    begun = time.perf_counter()
    first = sun_times("20311105", PALOMAR)
    assert time.perf_counter() - begun < 0.5
    assert sun_times("20311105", Observatory(*PALOMAR_VALUES)) is first


PALOMAR_VALUES = (PALOMAR.latitude_deg, PALOMAR.longitude_deg, PALOMAR.height_m)

OFFLINE = """
import socket, sys, warnings
warnings.simplefilter("error")
def refuse(*args, **kwargs):
    sys.exit(f"asked the network: {args[1:]}")
socket.socket.connect = socket.getaddrinfo = refuse
import sedmd.core.sun
assert "astropy.coordinates" not in sys.modules, "loaded before it is needed"
import astropy.utils.iers as iers
class Forbidden:
    def __getattr__(self, name):
        sys.exit(f"asked the IERS tables for {name}")
iers.earth_orientation_table.get = lambda: Forbidden()
iers.LeapSeconds.auto_open = lambda *args: sys.exit("asked for leap seconds")
filters = list(warnings.filters)
print(sedmd.core.sun.sun_times("20991231", sedmd.core.sun.Observatory(33.3563, -116.8648, 1712.0)).sunset.isoformat())
assert warnings.filters == filters
"""


def test_neither_network_nor_tables_are_asked():
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2099-12-31T00:4")
