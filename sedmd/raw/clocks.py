"""When an exposure began: the clocks of a frame compared, and the one that most of them agree with.

A frame has up to five clocks that can go wrong one by one: the camera computer's UTC card, its OBSDATE and OBSTIME, the
telescope's JD and MJD_OBS, and the robot's file name. Two cards that were written from one reading are one clock:
MJD_OBS is JD less 2400000.5, also when JD is -999, and since 2020 OBSDATE and OBSTIME repeat UTC to the microsecond.
In 76 published headers of 2018 to 2021 they lie within 10 s of each other. OBSDATE and OBSTIME were in Pacific local
time for a year; where another clock confirms it, they count with the hours added.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sedmd.raw.cards import known, number
from sedmd.raw.epochs import LOCAL_TIME_CARDS

#: Clocks that differ by less than this agree: three times the largest difference between good clocks.
AGREE = timedelta(seconds=30)
#: Pacific standard and daylight saving time, behind UT.
_STANDARD, _DAYLIGHT = timedelta(hours=8), timedelta(hours=7)
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
_FILE_NAME = "the file name"
_MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)
_YEAR_DAY = re.compile(r"(\d{4}):(\d{1,3}):(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d*)?)")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d*)?)")
_ZONE = re.compile(r"(?:Z|\+00:?00)$")


@dataclass(frozen=True, slots=True)
class Start:
    """Start of an exposure (aware, UTC), and what was wrong with the clocks that tell it."""

    time: datetime
    notes: tuple[str, ...] = ()


def mjd_of(when: datetime) -> float:
    """Modified Julian date, UTC."""
    return (when - _MJD_0).total_seconds() / 86400


def in_words(when: datetime) -> str:
    """``YYYY-MM-DD HH:MM:SS.s``, rounded."""
    return f"{when.astimezone(UTC) + timedelta(milliseconds=50):%Y-%m-%d %H:%M:%S.%f}"[:-5]


def start_of(header: Mapping[str, object], stem: str) -> Start | None:
    """Start of the exposure by the majority of the clocks.

    Parameters
    ----------
    header : mapping of keyword to value
    stem : str
        Name of the raw frame; holds ``YYYYMMDD_HH_MM_SS``.

    Returns
    -------
    Start or None
        As the most precise clock of the largest group that agrees has it; of groups of one size that of the UTC card,
        then of OBSDATE, JD, the file name. None when no clock can be read.
    """
    clocks, notes = _clocks(header, stem)
    if not clocks:
        return None
    groups = [_agreeing(clocks, clock.readings[0]) for clock in clocks]
    group = max(groups, key=len)  # the first of the largest
    name, time = _most_precise(group)
    others = [clock for clock in clocks if clock.name not in group]
    for clock in others:
        verb = "says" if len(group) == 1 else "say"
        nearest = min(clock.readings, key=lambda reading: abs(reading - time))
        notes.append(f"{clock.name} rejected ({_text(nearest)}): {_and(group)} {verb} {_text(time)}")
    if "UTC" not in group and "UTC" not in [clock.name for clock in others]:
        notes.append(f"start time from {name}: the UTC card is missing or cannot be read")
    return Start(time, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Clock:
    """A clock that can be read, and the instants that it may mean, the likeliest first."""

    name: str
    readings: tuple[datetime, ...]


def _agreeing(clocks: list[_Clock], when: datetime) -> dict[str, datetime]:
    """The clocks that agree with an instant, each with its reading nearest to it."""
    nearest = {clock.name: min(clock.readings, key=lambda reading: abs(reading - when)) for clock in clocks}
    return {name: reading for name, reading in nearest.items() if abs(reading - when) <= AGREE}


def _most_precise(group: dict[str, datetime]) -> tuple[str, datetime]:
    """The UTC card; else a clock that shows the second of the file name, else that one; else the first there is.

    The file name holds the start cut to its second; OBSTIME was written up to 7 s later in 2018, and JD is up to 10 s
    off.
    """
    named = group.get(_FILE_NAME)
    if "UTC" in group or named is None:
        return next(iter(group.items()))
    second = timedelta(seconds=1)
    return next(((name, time) for name, time in group.items() if named <= time < named + second), (_FILE_NAME, named))


def _clocks(header: Mapping[str, object], stem: str) -> tuple[list[_Clock], list[str]]:
    """The clocks that can be read, in the order of their reliability, and notes on those that cannot."""
    day, time = header.get("OBSDATE"), header.get("OBSTIME")
    values: dict[str, tuple[object, tuple[datetime, ...]]] = {
        "UTC": (header.get("UTC"), _as_tuple(_utc(header.get("UTC")))),
        "OBSDATE and OBSTIME": (f"{day} {time}" if known(day) and known(time) else None, _calendar(day, time)),
        "JD": (header.get("JD"), _as_tuple(_julian(header.get("JD"), 2400000.5))),
        "MJD_OBS": (header.get("MJD_OBS"), _as_tuple(_julian(header.get("MJD_OBS"), 0.0))),
        _FILE_NAME: (None, _as_tuple(_in_name(stem))),
    }
    utc, date = values["UTC"][1], values["OBSDATE and OBSTIME"][1]
    if utc and date and min(abs(utc[0] - reading) for reading in date) <= timedelta(milliseconds=1):
        del values["OBSDATE and OBSTIME"]  # written from the same instant, as since 2020: it has one voice with UTC
    jd, mjd = values["JD"][1], values["MJD_OBS"][1]
    if jd and mjd and abs(jd[0] - mjd[0]) <= timedelta(seconds=1):
        del values["MJD_OBS"]  # the same clock: it has one voice
    clocks = [_Clock(name, readings) for name, (_, readings) in values.items() if readings]
    notes = [
        f"{name} {str(card)[:40]!r} is not a time"
        for name, (card, readings) in values.items()
        if not readings and isinstance(card, str) and known(card) is not None
    ]
    return clocks, notes


def _as_tuple(when: datetime | None) -> tuple[datetime, ...]:
    return () if when is None else (when,)


def _utc(value: object) -> datetime | None:
    """``YYYY:DDD:HH:MM:SS.s`` (until January 2020) or ``YYYY-MM-DDTHH:MM:SS.s``."""
    text = known(value)
    if not isinstance(text, str):
        return None
    if found := _YEAR_DAY.fullmatch(text):
        year, day = int(found.group(1)), int(found.group(2))
        if not (_FIRST_YEAR <= year < _LAST_YEAR and day >= 1):
            return None
        when = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
        # a common year has no day 366
        return _at(when, ":".join(found.groups()[2:])) if when.year == year else None
    day_text, _, time_text = text.replace("T", " ").partition(" ")
    return _at(_day(day_text), _ZONE.sub("", time_text.strip()))


def _calendar(day: object, time: object) -> tuple[datetime, ...]:
    """What OBSDATE and OBSTIME may mean: UT, or Pacific time."""
    day_text, time_text = known(day), known(time)
    if not isinstance(day_text, str) or not isinstance(time_text, str):
        return ()
    when = _at(_day(day_text), time_text)
    if when is None:
        return ()
    first, last = LOCAL_TIME_CARDS
    if not first <= when.date() <= last:
        return when, when + _DAYLIGHT, when + _STANDARD
    behind = _DAYLIGHT if _is_summer(when.date()) else _STANDARD
    return when + behind, when + _DAYLIGHT, when + _STANDARD, when


def _is_summer(day: date) -> bool:
    """Daylight saving time in California since 2007: second Sunday of March to first Sunday of November."""
    march, november = date(day.year, 3, 8), date(day.year, 11, 1)
    begin, end = (edge + timedelta(days=6 - edge.weekday()) for edge in (march, november))
    return begin <= day < end


def _julian(value: object, offset: float) -> datetime | None:
    days = number(value)
    if days is None or not 0 < days - offset < 100000:
        return None
    # a JD in a float64 resolves 40 microseconds: keep the milliseconds that it can carry
    return _plausible(_MJD_0 + timedelta(milliseconds=round((days - offset) * 86_400_000)))


def _in_name(stem: str) -> datetime | None:
    found = re.search(r"(?<!\d)(\d{4})(\d\d)(\d\d)_(\d\d)_(\d\d)_(\d\d)(?!\d)", stem)
    if not found:
        return None
    return _at(_day("-".join(found.groups()[:3])), ":".join(found.groups()[3:]))


def _day(text: str) -> datetime | None:
    found = _DATE.fullmatch(text)
    if not found:
        return None
    try:
        return _plausible(datetime(*(int(part) for part in found.groups()), tzinfo=UTC))  # type: ignore[misc, arg-type]
    except ValueError:
        return None


def _at(day: datetime | None, text: str) -> datetime | None:
    """A time of day ``HH:MM:SS.s`` on a day."""
    found = _TIME.fullmatch(text)
    if day is None or not found:
        return None
    hour, minute, second = int(found.group(1)), int(found.group(2)), float(found.group(3))
    if not (hour < 24 and minute < 60 and second < 61):
        return None
    return day + timedelta(hours=hour, minutes=minute, seconds=second)


def _plausible(when: datetime) -> datetime | None:
    return when if _FIRST_YEAR <= when.year < _LAST_YEAR else None


def _text(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}"


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
