"""What the header of a frame or a cube says about the air: airmass, direction of the zenith, weather."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sedmd.instrument import DEFAULT_HUMIDITY, DEFAULT_PRESSURE_MBAR, DEFAULT_TEMPERATURE_C
from sedmd.reduce.containers import FloatArray
from sedmd.reduce.refraction import displacement

#: Wavelength at which a position on the field is meant [Angstrom]: the middle of the pictures in which it is measured.
REFERENCE_WAVELENGTH = 6500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Middle of the exposure. `airmass` or `parallactic_deg` (N through E) is None when the header does not tell."""

    airmass: float | None
    parallactic_deg: float | None
    pressure_mbar: float = DEFAULT_PRESSURE_MBAR
    temperature_c: float = DEFAULT_TEMPERATURE_C
    humidity: float = DEFAULT_HUMIDITY


def conditions_of(header: Mapping[str, object]) -> Conditions:
    """Conditions of an exposure, from the cards of the old control software as well as the new.

    Values that cannot be (an airmass of -999, a pressure of 0) count as absent. Start and end are averaged where both
    are there; the parallactic angle as a direction, so that it does not jump near the zenith.
    """
    airmass = [value for key in ("AIRMASS", "ENDAIR") if (value := _number(header, key, 1.0, 10.0)) is not None]
    start = _number(header, "TEL_PA", -360, 360)
    start = _number(header, "PRLLTC", -360, 360) if start is None else start
    angles = [value for value in (start, _number(header, "END_PA", -360, 360)) if value is not None]
    pressure = _number(header, "BARPRESS", 700, 900)
    temperature = _number(header, "OUT_AIR", -30, 50)
    humidity = _number(header, "OUT_HUM", 0, 100)
    return Conditions(
        airmass=float(np.mean(airmass)) if airmass else None,
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


def offset_of(header: Mapping[str, object]) -> tuple[float, float] | None:
    """What the header calls the telescope's offset, arcsec East and North; None when it does not tell."""
    east, north = (_number(header, key, -600, 600) for key in ("RA_OFF", "DEC_OFF"))
    return None if east is None or north is None else (east, north)


def _number(header: Mapping[str, object], key: str, low: float, high: float) -> float | None:
    try:
        value = float(header[key])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError):
        return None
    return value if math.isfinite(value) and low <= value <= high else None


def _mean_direction(degrees: list[float]) -> float:
    angles = np.deg2rad(degrees)
    return float(np.rad2deg(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())))
