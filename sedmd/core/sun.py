"""When the Sun sets and rises at the observatory; offline, for any date, for any longitude."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from sedmd.core.errors import SedmError
from sedmd.core.nights import night_begin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Altitude of the Sun's centre at sunset and sunrise, degrees: 34' of refraction and 16' of radius, the convention of
#: the almanacs. The depression of a mountain's horizon is neglected, as there.
HORIZON_DEG = -50.0 / 60.0

#: Steps in which the day is searched; a day or a night that is shorter counts as none.
_COARSE_S, _FINE_S = 300.0, 5.0
_DAY_S = 86400.0
#: Of the Sun against the mean Sun, the most that it amounts to.
_EQUATION_OF_TIME_S = 1020.0
_UNIX_JD = 2440587.5
#: TT - UTC since 2017. A minute more or less moves the Sun by 2.5 arcsec only, so no list of leap seconds is needed.
_TT_UTC_S = 69.184


class SunError(SedmError):
    """The Sun neither sets nor rises in this night, or the site is impossible."""


@dataclass(frozen=True, slots=True)
class Observatory:
    """A place on Earth: geodetic latitude (North) and longitude (East) in degrees, height in m.

    The height names the site; by the convention of the almanacs it does not enter.

    Raises
    ------
    SunError
        If the latitude is not within +-90 degrees or a value is not finite.
    """

    latitude_deg: float
    longitude_deg: float
    height_m: float = 0.0

    def __post_init__(self) -> None:
        if not (abs(self.latitude_deg) <= 90.0 and abs(self.longitude_deg) <= 360.0 and abs(self.height_m) < 1e5):
            msg = f"{self} is not a position on Earth; expected degrees North (+-90), degrees East (+-360), metres"
            raise SunError(msg)


@dataclass(frozen=True, slots=True)
class SunTimes:
    """Sunset and the sunrise after it, aware, UTC."""

    sunset: datetime
    sunrise: datetime


@lru_cache(maxsize=4096)
def sun_times(night: str, site: Observatory) -> SunTimes:
    """Sunset and sunrise of a UT night.

    The search runs from the local noon that is nearest to the beginning of the night (20:00 UT of the day before; at
    Palomar noon is at 19:47 UT) to the next, so that the sunrise follows the sunset at every longitude.

    Parameters
    ----------
    night : str
        ``YYYYMMDD``.
    site : Observatory

    Raises
    ------
    ValueError
        If `night` is no date.
    SunError
        On polar day and polar night.

    Notes
    -----
    The Sun is astropy's (VSOP2000 as in ERFA, with aberration), the Earth's rotation IAU 2006; UT1 - UTC, at most
    0.9 s, and the Sun's parallax, at most half a second of time, are neglected. Nothing of astropy's that depends on
    the network or on the age of its tables is called.
    """
    import numpy as np

    begin = night_begin(night).timestamp()
    noon = begin - _wrapped(begin % _DAY_S + 240.0 * site.longitude_deg - _DAY_S / 2)
    # the true noon may be a quarter of an hour away; beyond it the Sun of summer's pole may not yet have set
    coarse = np.arange(noon - _EQUATION_OF_TIME_S, noon + _DAY_S + _EQUATION_OF_TIME_S, _COARSE_S)
    altitude = sun_altitude(coarse, site) - HORIZON_DEG
    noons = _highest(coarse, altitude, noon), _highest(coarse, altitude, noon + _DAY_S)
    inside = (coarse >= noons[0]) & (coarse <= noons[1])
    coarse, altitude = coarse[inside], altitude[inside]
    if altitude.min() >= 0.0 or altitude.max() < 0.0:
        state = "polar day: the Sun does not set" if altitude.min() >= 0.0 else "polar night: the Sun does not rise"
        msg = (
            f"night {night} at latitude {site.latitude_deg:g}, longitude {site.longitude_deg:g}: {state}; "
            "expected a site with sunset and sunrise. Check latitude and longitude (East is positive)"
        )
        raise SunError(msg)

    def height(times: NDArray[np.float64]) -> NDArray[np.float64]:
        return sun_altitude(times, site) - HORIZON_DEG

    falls = np.flatnonzero((altitude[:-1] >= 0.0) & (altitude[1:] < 0.0))
    rises = np.flatnonzero((altitude[:-1] < 0.0) & (altitude[1:] >= 0.0))
    if not len(falls) or not len(rises):
        # within a day of the polar night's edge the Sun may touch the horizon at one noon and not at the other
        missing = "set" if not len(falls) else "rise"
        msg = f"night {night} at latitude {site.latitude_deg:g}: polar night begins or ends; the Sun does not {missing}"
        raise SunError(msg)
    return SunTimes(
        sunset=_utc(_crossing(height, coarse[falls[0]])),
        sunrise=_utc(_crossing(height, coarse[rises[-1]])),
    )


def sun_altitude(unix_s: NDArray[np.float64], site: Observatory) -> NDArray[np.float64]:
    """Altitude of the Sun's centre without refraction, degrees.

    Parameters
    ----------
    unix_s : array of float, shape (n,)
        Seconds since 1970, UTC.
    site : Observatory

    Returns
    -------
    array of float, shape (n,)
    """
    import erfa  # type: ignore[import-untyped]
    import numpy as np
    from astropy.coordinates import get_sun
    from astropy.time import Time

    days = _UNIX_JD + np.asarray(unix_s, dtype=float) / _DAY_S
    # in TDB from the start: a time in UTC would make astropy look for leap seconds, be it on the network
    when = Time(days, _TT_UTC_S / _DAY_S, format="jd", scale="tdb")
    with _without_erfa_warnings(days):
        direction = get_sun(when).cartesian.xyz.value.T
    direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    matrix = erfa.c2i06a(when.jd1, when.jd2)
    x, y, z = np.einsum("nij,nj->in", matrix, direction)
    rotation = erfa.era00(days, 0.0) + np.deg2rad(site.longitude_deg)
    latitude = np.deg2rad(site.latitude_deg)
    sine = np.sin(latitude) * z + np.cos(latitude) * (x * np.cos(rotation) + y * np.sin(rotation))
    found: NDArray[np.float64] = np.rad2deg(np.arcsin(np.clip(sine, -1.0, 1.0)))
    return found


def _without_erfa_warnings(days: NDArray[np.float64]) -> AbstractContextManager[object]:
    """ERFA warns outside of 1900-2100, where its Sun is still good; the filter is the process's, so only there."""
    if days.min() > 2415021.0 and days.max() < 2488069.0:
        return nullcontext()
    return warnings.catch_warnings(action="ignore")


def _highest(times: NDArray[np.float64], altitude: NDArray[np.float64], noon: float) -> float:
    import numpy as np

    near = np.abs(times - noon) <= _EQUATION_OF_TIME_S
    return float(times[near][np.argmax(altitude[near])])


def _crossing(height: Callable[[NDArray[np.float64]], NDArray[np.float64]], begin: float) -> float:
    """Where `height` changes its sign within one coarse step after `begin`; linear within a fine one."""
    import numpy as np

    times = begin + np.arange(0.0, _COARSE_S + _FINE_S, _FINE_S)
    values = height(times)
    change = np.flatnonzero((values[:-1] >= 0.0) != (values[1:] >= 0.0))
    first = int(change[0]) if len(change) else 0
    share = values[first] / (values[first] - values[first + 1])
    return float(times[first] + _FINE_S * share)


def _wrapped(seconds: float) -> float:
    """The same time of day within +-12 h."""
    return (seconds + _DAY_S / 2) % _DAY_S - _DAY_S / 2


def _utc(unix_s: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=unix_s)
