"""Differential atmospheric refraction: where the image of an object lies at each wavelength."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sedmd.core.instrument import DEFAULT_HUMIDITY, DEFAULT_PRESSURE_MBAR, DEFAULT_TEMPERATURE_C
from sedmd.reduce.numeric.containers import FloatArray

_ARCSEC = 206264.806
_MBAR_TO_MMHG = 0.750062
#: Rotation of the sky [radian per second of time] (IERS: 15.041067 arcsec).
_SKY_RATE = 15.041067 / _ARCSEC


def refractivity(
    wavelength: ArrayLike,
    *,
    pressure_mbar: float = DEFAULT_PRESSURE_MBAR,
    temperature_c: float = DEFAULT_TEMPERATURE_C,
    humidity: float = DEFAULT_HUMIDITY,
) -> FloatArray:
    """Index of refraction of moist air minus 1.

    Parameters
    ----------
    wavelength : array_like
        Angstrom (air or vacuum: the difference does not matter here).
    pressure_mbar, temperature_c : float
    humidity : float
        Relative, 0 to 1.

    Returns
    -------
    ndarray, shape of `wavelength`

    Notes
    -----
    Edlen 1953 and Barrell 1951 in the form of Filippenko 1982, PASP 94, 715, eqs. 1-3; saturation pressure of water by
    Magnus' formula (WMO 2008).
    """
    inverse2 = (1e4 / np.asarray(wavelength, dtype=float)) ** 2
    standard = 64.328 + 29498.1 / (146 - inverse2) + 255.4 / (41 - inverse2)
    pressure = pressure_mbar * _MBAR_TO_MMHG
    thermal = 1 + 0.003661 * temperature_c
    dry = standard * pressure * (1 + (1.049 - 0.0157 * temperature_c) * 1e-6 * pressure) / (720.883 * thermal)
    vapour = humidity * 6.112 * np.exp(17.62 * temperature_c / (243.12 + temperature_c)) * _MBAR_TO_MMHG
    wet = (0.0624 - 0.000680 * inverse2) / thermal * vapour
    return np.asarray((dry - wet) * 1e-6)


def _check_airmass(airmass: float) -> None:
    if not airmass >= 1:
        raise ValueError(f"airmass must be at least 1, got {airmass}")


def displacement(
    wavelength: ArrayLike,
    *,
    reference: float,
    airmass: float,
    parallactic_deg: float,
    pressure_mbar: float = DEFAULT_PRESSURE_MBAR,
    temperature_c: float = DEFAULT_TEMPERATURE_C,
    humidity: float = DEFAULT_HUMIDITY,
) -> tuple[FloatArray, FloatArray]:
    """Offset of the image at each wavelength from where it lies at the reference wavelength.

    Parameters
    ----------
    wavelength : array_like
        Angstrom.
    reference : float
        Angstrom.
    airmass : float
        1 or more.
    parallactic_deg : float
        Direction from the object to the zenith, N through E.

    Returns
    -------
    dx, dy : ndarrays, shape of `wavelength`
        Arcsec East and North. Bluer light lies nearer to the zenith.

    Raises
    ------
    ValueError
        Airmass below 1.

    Notes
    -----
    Plane-parallel atmosphere: R = (n - 1) tan z, sec z = airmass (Filippenko 1982, eq. 4).
    """
    _check_airmass(airmass)
    air = {"pressure_mbar": pressure_mbar, "temperature_c": temperature_c, "humidity": humidity}
    tangent = np.sqrt(airmass**2 - 1)
    towards_zenith = _ARCSEC * tangent * (refractivity(wavelength, **air) - refractivity(reference, **air))
    angle = np.deg2rad(parallactic_deg)
    return towards_zenith * np.sin(angle), towards_zenith * np.cos(angle)


def moved(
    airmass: float, parallactic_deg: float, *, declination_deg: float, seconds: float
) -> tuple[float, float, float]:
    """Where an object stands some time later, from where it stands now.

    Parameters
    ----------
    airmass : float
        1 or more.
    parallactic_deg : float
        Direction from the object to the zenith, N through E: positive in the West.
    declination_deg : float
    seconds : float
        Of time; negative for earlier.

    Returns
    -------
    airmass, parallactic_deg : float
        At that time.
    latitude_deg : float
        Of the observer, as it follows from the three angles: a check on what they mean.

    Raises
    ------
    ValueError
        Airmass below 1.

    Notes
    -----
    The triangle of pole, zenith and object (Meeus 1998, Astronomical Algorithms, chapters 13 and 14) solved for
    latitude and hour angle, and again for zenith distance and parallactic angle; sec z = airmass.
    """
    _check_airmass(airmass)
    zenith, parallactic, declination = np.arccos(1 / airmass), np.deg2rad(parallactic_deg), np.deg2rad(declination_deg)
    # the zenith along axes to the pole (sine of the latitude), to the meridian's equator and to the West
    outward, north, west = np.cos(zenith), np.sin(zenith) * np.cos(parallactic), np.sin(zenith) * np.sin(parallactic)
    sine = outward * np.sin(declination) + north * np.cos(declination)
    towards = outward * np.cos(declination) - north * np.sin(declination)
    hour_angle = np.arctan2(west, towards) + _SKY_RATE * seconds
    cosine = np.hypot(west, towards)
    outward = sine * np.sin(declination) + cosine * np.cos(declination) * np.cos(hour_angle)
    north = sine * np.cos(declination) - cosine * np.sin(declination) * np.cos(hour_angle)
    angle = np.rad2deg(np.arctan2(cosine * np.sin(hour_angle), north))
    return float(1 / max(outward, 0.1)), float(angle), float(np.rad2deg(np.arcsin(np.clip(sine, -1, 1))))
