"""Airmass and direction of the zenith, from the cards that tell them or, where those are lost, from the others.

When the telescope does not answer, the robot loses AIRMASS together with a block of other cards (a header of 2018-12-03
lacks it while TEL_PA, ENDAIR and RA are there; the robot of 2022 writes -999). Where the telescope pointed still tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sedmd.core.instrument import LATITUDE_DEG, LONGITUDE_DEG
from sedmd.raw.cards import known, position, within

#: What an airmass can be. Values a little below 1 are rounded ones of the zenith.
LEAST, MOST = 0.99, 10.0
#: Altitude at which the airmass is about `MOST` [degree].
_LOWEST_DEG = 5.5
#: The sky turns so many degrees in a second of time (IERS: 15.041067 arcsec).
_SKY_RATE_DEG = 15.041067 / 3600
#: Cards are rounded, and the exposure ends some seconds after its time [degree].
_SLACK_DEG = 1.0
#: Altitudes that differ by more contradict each other [degree]: published headers agree within one.
CONTRADICTS_DEG = 5.0
_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class AirmassFound:
    """An airmass, and a note where AIRMASS did not tell it, or is contradicted; None where nothing does."""

    airmass: float | None
    note: str = ""


def airmass_at_start(header: Mapping[str, object], start: datetime | None) -> AirmassFound:
    """Airmass at the start of an exposure: AIRMASS, else from TEL_EL, else from position and time.

    An AIRMASS that both others contradict is not believed.

    Parameters
    ----------
    header : mapping of keyword to value
    start : datetime or None
        Aware; None if no clock is known.
    """
    others = list(_from_elsewhere(header, start))
    if (card := _airmass_card(header, "AIRMASS")) is not None:
        return _believed(card, others)
    value = known(header.get("AIRMASS"))
    fault = "AIRMASS is missing" if value is None else f"AIRMASS {str(value)[:40]!r} is not an airmass"
    if others:
        found, digits, source = others[0]
        return AirmassFound(found, f"{fault}; {found:.{digits}f} from {source}")
    return AirmassFound(None, f"{fault}; treated as unknown")


def _from_elsewhere(header: Mapping[str, object], start: datetime | None) -> Iterator[tuple[float, int, str]]:
    """Airmass by other cards than AIRMASS, the best first: airmass, digits that are known, and where it is from."""
    elevation = within(header, "TEL_EL", _LOWEST_DEG, 90.0)
    if elevation is not None:
        yield airmass_of(elevation), 3, "the elevation TEL_EL"
    place = place_in_the_sky(header, start)
    if place is not None and place[0] >= _LOWEST_DEG:
        yield airmass_of(place[0]), 2, "position and time"


def _believed(card: float, others: Sequence[tuple[float, int, str]]) -> AirmassFound:
    """AIRMASS, unless all else that tells says otherwise; of two that contradict each other the card is taken."""
    if not others or any(_apart(card, one) <= CONTRADICTS_DEG for one, *_ in others):
        return AirmassFound(card)
    found, digits, source = others[0]
    told = f"AIRMASS {card:.2f} contradicts {source} ({found:.{digits}f})"
    if len(others) > 1 and _apart(found, others[1][0]) <= CONTRADICTS_DEG:
        return AirmassFound(found, f"{told} and {others[1][2]} ({others[1][0]:.2f}); {found:.{digits}f} is taken")
    return AirmassFound(card, f"{told}; AIRMASS is taken")


def _apart(one: float, other: float) -> float:
    """Degrees of altitude between two airmasses."""
    return abs(_zenith_distance(one) - _zenith_distance(other))


def airmass_at_end(header: Mapping[str, object], at_start: float | None) -> float | None:
    """Airmass at the end of an exposure from ENDAIR; None if the card is lost or cannot be.

    A header that was corrected later may hold 1.5 times AIRMASS (sedmpy HdrFix): the sky does not turn that fast.
    """
    end = _airmass_card(header, "ENDAIR")
    seconds = within(header, "EXPTIME", 0.0, 36000.0)
    if end is None or at_start is None or seconds is None:
        return end
    turned = abs(_zenith_distance(end) - _zenith_distance(at_start))
    return end if turned <= 1.1 * _SKY_RATE_DEG * seconds + _SLACK_DEG else None


def place_in_the_sky(header: Mapping[str, object], when: datetime | None) -> tuple[float, float] | None:
    """Altitude without refraction, and parallactic angle (N through E), both in degrees, from position and time.

    Parameters
    ----------
    when : datetime or None
        Aware.

    Returns
    -------
    altitude, parallactic : float, or None
        None without a position or a time.

    Notes
    -----
    Mean sidereal time of Greenwich: Meeus 1998, Astronomical Algorithms, eq. 12.4; altitude and parallactic angle: eqs.
    13.6 and 14.1. Precession since 2000 is neglected: a third of a degree at most, 0.02 in airmass at airmass 2.
    """
    where = position(header, ("RA", "DEC"), ("TEL_RA", "TEL_DEC"), ("OBJRA", "OBJDEC"))
    if where is None or when is None:
        return None
    days = (when - _J2000).total_seconds() / 86400
    sidereal = 280.46061837 + 360.98564736629 * days + LONGITUDE_DEG
    hour_angle, dec, latitude = (math.radians(a) for a in (sidereal - where[0], where[1], LATITUDE_DEG))
    sine = math.sin(latitude) * math.sin(dec) + math.cos(latitude) * math.cos(dec) * math.cos(hour_angle)
    towards = math.tan(latitude) * math.cos(dec) - math.sin(dec) * math.cos(hour_angle)
    altitude = math.degrees(math.asin(max(-1.0, min(1.0, sine))))
    return altitude, math.degrees(math.atan2(math.sin(hour_angle), towards))


def airmass_of(altitude_deg: float) -> float:
    """Airmass at an altitude.

    Notes
    -----
    Hardie 1962, in Astronomical Techniques, ed. Hiltner, p. 178: it reproduces AIRMASS from TEL_EL in the published
    headers to 0.001.
    """
    beyond = 1 / math.sin(math.radians(altitude_deg)) - 1
    return 1 + beyond - 0.0018167 * beyond - 0.002875 * beyond**2 - 0.0008083 * beyond**3


def _airmass_card(header: Mapping[str, object], key: str) -> float | None:
    value = within(header, key, LEAST, MOST)
    return None if value is None else max(value, 1.0)


def _zenith_distance(airmass: float) -> float:
    return math.degrees(math.acos(1 / airmass))
