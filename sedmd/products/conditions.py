"""What the header of a frame or a cube says about the air: airmass, direction of the zenith, weather."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sedmd.core.instrument import DEFAULT_HUMIDITY, DEFAULT_PRESSURE_MBAR, DEFAULT_TEMPERATURE_C, HEIGHT_M, LATITUDE_DEG
from sedmd.raw.airmass import airmass_at_end, airmass_at_start, place_in_the_sky
from sedmd.raw.cards import number, sexagesimal, within
from sedmd.raw.clocks import start_of
from sedmd.reduce.numeric.containers import FloatArray
from sedmd.reduce.target.refraction import displacement, moved
from sedmd.reduce.target.seeing import Seeing, seeing_by_star

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


def conditions_of(header: Mapping[str, object], stem: str = "") -> Conditions:
    """Conditions in the middle of an exposure, from the cards of the old control software as well as the new.

    Values that cannot be (an airmass of -999, a humidity of 200 %) count as absent. Start and end are averaged where
    both are there; the parallactic angle as a direction, so that it does not jump near the zenith. Where only the start
    is given, the middle follows from the declination and the exposure time; where not even that, the start follows from
    the elevation, or from position and time.

    Parameters
    ----------
    header : mapping of keyword to value
    stem : str
        Name of the raw frame, one of the clocks; needed only where airmass or angle are lost.
    """
    start = start_of(header, stem)
    when = None if start is None else start.time
    airmass = airmass_at_start(header, when).airmass
    end_airmass = airmass_at_end(header, airmass)
    angle, end_angle = within(header, "TEL_PA", -360, 360), within(header, "END_PA", -360, 360)
    angle = within(header, "PRLLTC", -360, 360) if angle is None else angle
    if angle is None and (place := place_in_the_sky(header, when)) is not None:
        angle = place[1]
    if end_airmass is None:
        # a card of the end that cannot be says that all of them were filled in later
        end_angle = end_angle if number(header.get("ENDAIR")) is None else None
    middle = _middle(header, airmass, angle)
    if airmass is not None and end_airmass is not None:
        airmass = 0.5 * (airmass + end_airmass)
    elif middle is not None:
        airmass = middle[0]
    elif airmass is None:
        airmass = end_airmass
    if angle is not None and end_angle is not None:
        angle = _mean_direction([angle, end_angle])
    elif middle is not None:
        angle = middle[1]
    elif angle is None:
        angle = end_angle
    temperature = within(header, "OUT_AIR", -30, 50)
    humidity = within(header, "OUT_HUM", 0, 100)
    temperature = DEFAULT_TEMPERATURE_C if temperature is None else temperature
    return Conditions(
        airmass=airmass,
        parallactic_deg=angle,
        pressure_mbar=_pressure(header),
        temperature_c=temperature,
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


def known_seeing(star: Mapping[str, object], airmass: float | None) -> Seeing | None:
    """The seeing of an exposure at this airmass, from the header of a standard star's spectrum; None if it lacks it."""
    fwhm, above = within(star, "SEEING", 0.3, 20.0), within(star, "AIRMASS", 1.0, 10.0)
    if fwhm is None or above is None or airmass is None:
        return None
    return seeing_by_star(fwhm, above, at_airmass=airmass).with_wings(known_wings(star))


def known_wings(star: Mapping[str, object]) -> float | None:
    """Moffat exponent of a standard star's image, from the header of its spectrum; None if it lacks it."""
    return within(star, "PSFBETA", 1.6, 8.0)


def _pressure(header: Mapping[str, object]) -> float:
    """Pressure at the telescope [mbar].

    BARPRESS is reduced to sea level (1011.7 to 1018.5 mbar in published headers of 2019 to 2021); the station has about
    824. A value that only a place of this height can have is taken as it stands.

    Notes
    -----
    Reduced in the standard atmosphere (ICAO 1993: 288.15 K at sea level, 6.5 K/km), as altimeter settings are. With the
    temperature of the night instead it would be 1 % more at most.
    """
    if (station := within(header, "BARPRESS", 700, 900)) is not None:
        return station
    sea_level = within(header, "BARPRESS", 950, 1070)
    return DEFAULT_PRESSURE_MBAR if sea_level is None else sea_level * (1 - 0.0065 * HEIGHT_M / 288.15) ** 5.2559


def _middle(header: Mapping[str, object], airmass: float | None, angle: float | None) -> tuple[float, float] | None:
    """Airmass and parallactic angle half an exposure after the start; None where the cards disagree or do not tell."""
    given = (sexagesimal(header.get(key)) for key in ("DEC", "OBJDEC", "TEL_DEC"))
    declination = next((value for value in given if value is not None and abs(value) <= 90), None)
    seconds = within(header, "EXPTIME", 0.0, 36000.0)
    if declination is None or seconds is None or airmass is None or angle is None:
        return None
    later, turned, latitude = moved(airmass, angle, declination_deg=declination, seconds=seconds / 2)
    there = abs(latitude - LATITUDE_DEG) < LATITUDE_DOUBT_DEG
    return (later, turned) if there else None


def _mean_direction(degrees: list[float]) -> float:
    angles = np.deg2rad(degrees)
    return float(np.rad2deg(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())))
