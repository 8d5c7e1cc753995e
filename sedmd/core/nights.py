"""Which night an instant belongs to: names of nights, where they begin, their neighbours. Pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: A night begins at 20:00 UT of the day before, so that the afternoon calibrations belong to it.
NIGHT_OFFSET = timedelta(hours=4)


def night_of(start: datetime) -> str:
    """UT night ``YYYYMMDD`` of an exposure that starts at `start`: 20:00 UT of D-1 to 20:00 UT of D is night D."""
    return (start.astimezone(UTC) + NIGHT_OFFSET).strftime("%Y%m%d")


def is_night(text: str) -> bool:
    """True for a date of this century as ``YYYYMMDD``."""
    if not (len(text) == 8 and text.isascii() and text.isdigit() and text.startswith("20")):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def night_begin(night: str) -> datetime:
    """The first instant of `night`, UTC."""
    return datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) - NIGHT_OFFSET


def neighbour(night: str, days: int) -> str:
    """The night so many days later (earlier when negative)."""
    return (datetime.strptime(night, "%Y%m%d") + timedelta(days=days)).strftime("%Y%m%d")
