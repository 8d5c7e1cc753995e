"""Deadlines set by the Sun: from when on an earlier night's calibrations may be used, and when a night is over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sedmd.core.config import Settings
from sedmd.core.sun import Observatory, sun_times


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Times of a night, UTC.

    Attributes
    ----------
    sunset, sunrise : datetime
    fallback_from : datetime
        From then on calibrations of an earlier night are used where tonight's are not usable.
    closes : datetime
        From then on the night is over once no frame has come for a while.
    """

    sunset: datetime
    sunrise: datetime
    fallback_from: datetime
    closes: datetime

    def fallback_due(self, now: datetime, *, final: bool) -> bool:
        """Whether it is late enough to take an earlier night's calibrations.

        A night that is played after its end waits until all its frames have come: its calibrations may be the last.
        """
        return final or self.fallback_from <= now < self.closes

    def over(self, now: datetime, *, last_arrival: datetime, quiet_s: float) -> bool:
        """Whether no more frames are expected."""
        return now >= self.closes and now - last_arrival >= timedelta(seconds=quiet_s)


def deadlines(night: str, settings: Settings) -> Deadlines:
    """The deadlines of a UT night at the configured site.

    Raises
    ------
    SunError
        If the Sun does not set there in that night.
    """
    site = settings.site
    sun = sun_times(night, Observatory(site.latitude_deg, site.longitude_deg, site.height_m))
    return Deadlines(
        sunset=sun.sunset,
        sunrise=sun.sunrise,
        fallback_from=sun.sunset + timedelta(seconds=settings.calibrations.fallback_after_sunset_s),
        closes=sun.sunrise + timedelta(seconds=settings.night.closes_after_sunrise_s),
    )
