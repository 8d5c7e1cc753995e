"""What the header of a frame or a cube says about the air: airmass, direction of the zenith, weather."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sedmd.cards import sexagesimal, within
from sedmd.instrument import DEFAULT_HUMIDITY, DEFAULT_PRESSURE_MBAR, DEFAULT_TEMPERATURE_C, LATITUDE_DEG
from sedmd.reduce.containers import FloatArray
from sedmd.reduce.refraction import displacement, moved
from sedmd.reduce.seeing import Seeing, seeing_by_star

#: Wavelength at which a position on the field is meant [Angstrom]: the middle of the pictures in which it is measured.
REFERENCE_WAVELENGTH = 6500.0
#: Cards that put the observer farther than this from the site [degree] do not mean what they are taken for.
LATITUDE_DOUBT_DEG = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Middle of the exposure. `airmass` or `parallactic_deg` (N through E) is None when the header does not tell."""

    airmass: float | None
    parallactic_deg: float | None
    pressure_mbar: float = DEFAULT_PRESSURE_MBAR
    temperature_c: float = DEFAULT_TEMPERATURE_C
    humidity: float = DEFAULT_HUMIDITY


def conditions_of(header: Mapping[str, object]) -> Conditions:
    """Conditions in the middle of an exposure, from the cards of the old control software as well as the new.

    Values that cannot be (an airmass of -999, a pressure of 0) count as absent. Start and end are averaged where both
    are there; the parallactic angle as a direction, so that it does not jump near the zenith. Where only the start is
    told, the middle follows from the declination and the exposure time.
    """
    airmass, end_airmass = within(header, "AIRMASS", 1.0, 10.0), within(header, "ENDAIR", 1.0, 10.0)
    angle, end_angle = within(header, "TEL_PA", -360, 360), within(header, "END_PA", -360, 360)
    angle = within(header, "PRLLTC", -360, 360) if angle is None else angle
    if end_airmass is None and end_angle is None and airmass is not None and angle is not None:
        airmass, angle = _middle(header, airmass, angle)
    pressure = within(header, "BARPRESS", 700, 900)
    temperature = within(header, "OUT_AIR", -30, 50)
    humidity = within(header, "OUT_HUM", 0, 100)
    airmasses = [value for value in (airmass, end_airmass) if value is not None]
    angles = [value for value in (angle, end_angle) if value is not None]
    return Conditions(
        airmass=float(np.mean(airmasses)) if airmasses else None,
        parallactic_deg=_mean_direction(angles) if angles else None,
        pressure_mbar=DEFAULT_PRESSURE_MBAR if pressure is None else pressure,
        temperature_c=DEFAULT_TEMPERATURE_C if temperature is None else temperature,
        humidity=DEFAULT_HUMIDITY if humidity is None else humidity / 100,
    )


def refraction(conditions: Conditions, wavelength: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where the image lies at each wavelength relative to `REFERENCE_WAVELENGTH`, arcsec East and North.

    Zero throughout when the header did not tell the airmass or the direction of the zenith.
    """
    if conditions.airmass is None or conditions.parallactic_deg is None:
        return np.zeros(len(wavelength)), np.zeros(len(wavelength))
    return displacement(
        wavelength,
        reference=REFERENCE_WAVELENGTH,
        airmass=conditions.airmass,
        parallactic_deg=conditions.parallactic_deg,
        pressure_mbar=conditions.pressure_mbar,
        temperature_c=conditions.temperature_c,
        humidity=conditions.humidity,
    )


def seeing_told(star: Mapping[str, object], airmass: float | None) -> Seeing | None:
    """The seeing of an exposure at this airmass, from the header of a standard star's spectrum; None if it lacks it."""
    fwhm, above = within(star, "SEEING", 0.3, 20.0), within(star, "AIRMASS", 1.0, 10.0)
    if fwhm is None or above is None or airmass is None:
        return None
    return seeing_by_star(fwhm, above, at_airmass=airmass)


def _middle(header: Mapping[str, object], airmass: float, angle: float) -> tuple[float, float]:
    """Airmass and parallactic angle half an exposure after the start, or those of the start if the cards disagree."""
    told = (sexagesimal(header.get(key)) for key in ("DEC", "OBJDEC", "TEL_DEC"))
    declination = next((value for value in told if value is not None and abs(value) <= 90), None)
    seconds = within(header, "EXPTIME", 0.0, 36000.0)
    if declination is None or seconds is None:
        return airmass, angle
    later, turned, latitude = moved(airmass, angle, declination_deg=declination, seconds=seconds / 2)
    there = abs(latitude - LATITUDE_DEG) < LATITUDE_DOUBT_DEG
    return (later, turned) if there else (airmass, angle)


def _mean_direction(degrees: list[float]) -> float:
    angles = np.deg2rad(degrees)
    return float(np.rad2deg(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())))
