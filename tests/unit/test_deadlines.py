"""What the Sun dictates: when an earlier night's calibrations may serve, and when a night is over."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sedmd.core.config import from_table
from sedmd.plan.deadlines import deadlines

NIGHT = "20190612"
#: Palomar, 2019 June 11/12: sunset 19:57 and sunrise 5:37 local daylight time (UT - 7 h).
SUNSET, SUNRISE = datetime(2019, 6, 12, 2, 57, tzinfo=UTC), datetime(2019, 6, 12, 12, 37, tzinfo=UTC)


def times(**sections):
    table = {"paths": {"raw_root": "/raw", "redux_root": "/redux"}} | sections
    return deadlines(NIGHT, from_table(table, origin="test", base=Path("/")))


def test_the_sun_of_palomar():
    sun = times()
    assert abs(sun.sunset - SUNSET) < timedelta(minutes=1)
    assert abs(sun.sunrise - SUNRISE) < timedelta(minutes=1)


def test_another_site_has_another_sun():
    # half an hour further West everything is half an hour later
    west = times(site={"longitude_deg": -116.8648 - 7.5})
    assert abs(west.sunset - times().sunset - timedelta(minutes=30)) < timedelta(minutes=1)


def test_settings_move_the_deadlines():
    sun = times(calibrations={"fallback_after_sunset_s": 60}, night={"closes_after_sunrise_s": 30})
    assert sun.fallback_from == sun.sunset + timedelta(seconds=60)
    assert sun.closes == sun.sunrise + timedelta(seconds=30)


@pytest.mark.parametrize(
    "minutes_after_sunset, final, due",
    [(59, False, False), (60, False, True), (300, False, True), (24 * 60, False, False), (24 * 60, True, True)],
)
def test_fallback_is_due_an_hour_after_sunset_or_when_an_old_night_is_complete(minutes_after_sunset, final, due):
    sun = times()
    assert sun.fallback_due(sun.sunset + timedelta(minutes=minutes_after_sunset), final=final) is due


@pytest.mark.parametrize("after_closing_s, due", [(-1, True), (0, False)])
def test_from_the_closing_on_an_open_night_takes_no_earlier_calibrations(after_closing_s, due):
    sun = times()
    assert sun.fallback_due(sun.closes + timedelta(seconds=after_closing_s), final=False) is due


@pytest.mark.parametrize("after_closing_s, quiet_for_s, over", [(-1, 9999, False), (0, 899, False), (0, 900, True)])
def test_a_night_is_over_after_sunrise_and_quiet(after_closing_s, quiet_for_s, over):
    sun = times()
    now = sun.closes + timedelta(seconds=after_closing_s)
    assert sun.over(now, last_arrival=now - timedelta(seconds=quiet_for_s), quiet_s=900) is over
