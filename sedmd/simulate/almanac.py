"""Sky positions seen from Palomar: sidereal time, hour angle, airmass, parallactic angle, Sun and Moon to a few arcmin.

Low-precision series of the Astronomical Almanac: good enough to make honest headers and a Moon that is up when it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np

LATITUDE, LONGITUDE = 33.3563, -116.8648  # degrees North, East; altitude 1712 m (published site figures)


def julian_date(when: datetime) -> float:
    """Julian date of an aware UTC time."""
    return when.timestamp() / 86400.0 + 2440587.5


def from_julian(jd: float) -> datetime:
    """UTC time of a Julian date."""
    return datetime.fromtimestamp((jd - 2440587.5) * 86400.0, tz=UTC)


def sidereal_time(jd: float) -> float:
    """Local mean sidereal time, degrees."""
    return (280.46061837 + 360.98564736629 * (jd - 2451545.0) + LONGITUDE) % 360.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPosition:
    """Where a direction is in the local sky: degrees; `airmass` is Kasten & Young (1989), 40 below the horizon."""

    hour_angle: float
    altitude: float
    azimuth: float
    parallactic: float

    @property
    def airmass(self) -> float:
        if self.altitude <= 0.5:
            return 40.0
        formula = np.sin(np.deg2rad(self.altitude)) + 0.50572 * (self.altitude + 6.07995) ** -1.6364
        return float(1.0 / min(formula, 1.0))


def place(ra: float, dec: float, jd: float) -> SkyPosition:
    """Local place of (ra, dec) [degrees] at a Julian date.

    The parallactic angle is the position angle of the zenith, North through East: positive West of the meridian.
    """
    hour = np.deg2rad((sidereal_time(jd) - ra + 180.0) % 360.0 - 180.0)
    d, phi = np.deg2rad(dec), np.deg2rad(LATITUDE)
    sine = np.sin(phi) * np.sin(d) + np.cos(phi) * np.cos(d) * np.cos(hour)
    azimuth = np.arctan2(-np.cos(d) * np.sin(hour), np.sin(d) * np.cos(phi) - np.cos(d) * np.cos(hour) * np.sin(phi))
    parallactic = np.arctan2(np.sin(hour), np.tan(phi) * np.cos(d) - np.sin(d) * np.cos(hour))
    return SkyPosition(
        hour_angle=float(np.rad2deg(hour)),
        altitude=float(np.rad2deg(np.arcsin(np.clip(sine, -1.0, 1.0)))),
        azimuth=float(np.rad2deg(azimuth) % 360.0),
        parallactic=float(np.rad2deg(parallactic)),
    )


def _equatorial(longitude: float, latitude: float) -> tuple[float, float]:
    eps, lam, beta = np.deg2rad(23.439), np.deg2rad(longitude), np.deg2rad(latitude)
    x, y, z = np.cos(beta) * np.cos(lam), np.cos(beta) * np.sin(lam), np.sin(beta)
    y, z = y * np.cos(eps) - z * np.sin(eps), y * np.sin(eps) + z * np.cos(eps)
    return float(np.rad2deg(np.arctan2(y, x)) % 360.0), float(np.rad2deg(np.arcsin(z)))


def _sun_longitude(jd: float) -> float:
    n = jd - 2451545.0
    g = np.deg2rad(357.529 + 0.98560028 * n)
    return float((280.459 + 0.98564736 * n + 1.915 * np.sin(g) + 0.020 * np.sin(2.0 * g)) % 360.0)


def sun(jd: float) -> tuple[float, float]:
    """Right ascension and declination of the Sun, degrees."""
    return _equatorial(_sun_longitude(jd), 0.0)


def moon(jd: float) -> tuple[float, float, float]:
    """Right ascension, declination and phase angle (0 full, 180 new) of the Moon, degrees."""
    t = (jd - 2451545.0) / 36525.0

    def s(a: float, b: float) -> float:
        return float(np.sin(np.deg2rad(a + b * t)))

    lon = (
        218.32 + 481267.881 * t + 6.29 * s(135.0, 477198.87) - 1.27 * s(259.3, -413335.36) + 0.66 * s(235.7, 890534.22)
    )
    lon += 0.21 * s(269.9, 954397.74) - 0.19 * s(357.5, 35999.05) - 0.11 * s(186.5, 966404.03)
    lat = (
        5.13 * s(93.3, 483202.02) + 0.28 * s(228.2, 960400.89) - 0.28 * s(318.3, 6003.15) - 0.17 * s(217.6, -407332.21)
    )
    ra, dec = _equatorial(lon % 360.0, lat)
    elongation = np.arccos(np.cos(np.deg2rad(lat)) * np.cos(np.deg2rad(lon - _sun_longitude(jd))))
    return ra, dec, float(180.0 - np.rad2deg(elongation))


def separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Angle between two directions, degrees."""
    a1, d1, a2, d2 = np.deg2rad([ra1, dec1, ra2, dec2])
    cosine = np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(a1 - a2)
    return float(np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0))))


@lru_cache(maxsize=64)
def _sun_heights(jd_noon: float) -> tuple[np.ndarray, np.ndarray]:
    """Minutes of the 24 h after a noon (Julian dates) and the Sun's altitude in each; a night asks for several."""
    times = jd_noon + np.arange(0.0, 1.0, 1.0 / 1440.0)
    return times, np.array([place(*sun(t), t).altitude for t in times])


def sun_event(jd_noon: float, altitude: float, *, rising: bool) -> float:
    """Julian date at which the Sun passes an altitude [degrees] in the 24 h after local noon `jd_noon`."""
    times, heights = _sun_heights(jd_noon)
    below = heights < altitude
    change = np.nonzero(below[1:] != below[:-1])[0]
    for i in change:
        if bool(below[i]) is rising:
            return float(times[i + 1])
    return float(jd_noon + 0.5)


def sexagesimal(degrees: float, *, hours: bool = False, digits: int = 2, sign: bool = False) -> str:
    """Degrees as ``dd:mm:ss.s`` (or hours), rounded once so that 60 seconds never appear."""
    value = abs(degrees) / (15.0 if hours else 1.0)
    ticks = round(value * 3600.0 * 10**digits)
    seconds, fraction = divmod(ticks, 10**digits)
    minutes, seconds = divmod(seconds, 60)
    whole, minutes = divmod(minutes, 60)
    mark = "-" if degrees < 0.0 else ("+" if sign else "")
    tail = f".{fraction:0{digits}d}" if digits else ""
    return f"{mark}{whole:02d}:{minutes:02d}:{seconds:02d}{tail}"


def degrees_of(text: str, *, hours: bool = False) -> float:
    """Degrees of a sexagesimal string."""
    body = text.strip()
    negative = body.startswith("-")
    parts = [float(part) for part in body.lstrip("+-").split(":")]
    value = sum(part / 60.0**i for i, part in enumerate(parts)) * (15.0 if hours else 1.0)
    return -value if negative else value
