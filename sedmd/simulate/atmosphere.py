"""Air above the telescope: refraction, extinction and telluric bands."""

from __future__ import annotations

import numpy as np

from sedmd.simulate.tables import columns


def refractivity(
    wavelength: np.ndarray | float, *, pressure_mbar: float, temperature_c: float, humidity: float
) -> np.ndarray:
    """Refractive index of moist air minus one (Ciddor 1996, Appl. Opt. 35, 1566; 450 ppm of CO2).

    Parameters
    ----------
    wavelength : array
        Vacuum (or air: the difference is negligible here) wavelength, Angstrom.
    pressure_mbar, temperature_c, humidity : float
        Total pressure in mbar, temperature in degrees Celsius, relative humidity in percent.

    Returns
    -------
    ndarray
        ``n - 1``, shape of `wavelength`.
    """
    s2 = (1e4 / np.asarray(wavelength, dtype=float)) ** 2
    dry = (5792105.0 / (238.0185 - s2) + 167917.0 / (57.362 - s2)) * 1e-8
    wet = 1.022e-8 * (295.235 + 2.6422 * s2 - 0.032380 * s2**2 + 0.004028 * s2**3)
    kelvin = temperature_c + 273.15
    pascal = pressure_mbar * 100.0
    saturation = np.exp(1.2378847e-5 * kelvin**2 - 1.9121316e-2 * kelvin + 33.93711047 - 6.3431645e3 / kelvin)
    enhancement = 1.00062 + 3.14e-8 * pascal + 5.6e-7 * temperature_c**2
    vapour = humidity / 100.0 * enhancement * saturation / pascal

    def density(p: float, t: float, x: float, molar: float) -> float:
        c = t - 273.15
        z = 1.0 - p / t * (
            1.58123e-6
            - 2.9331e-8 * c
            + 1.1043e-10 * c**2
            + (5.707e-6 - 2.051e-8 * c) * x
            + (1.9898e-4 - 2.376e-6 * c) * x**2
        )
        z += (p / t) ** 2 * (1.83e-11 - 0.765e-8 * x**2)
        return p * molar / (z * 8.314510 * t)

    air, water = 28.9641e-3, 18.015e-3
    full_dry = density(101325.0, 288.15, 0.0, air)
    full_wet = density(1333.0, 293.15, 1.0, water)
    mixture = density(pascal, kelvin, vapour, air * (1.0 - vapour) + water * vapour)
    weight = air * (1.0 - vapour) + water * vapour
    found: np.ndarray = (
        dry * (mixture * air * (1.0 - vapour) / weight) / full_dry
        + wet * (mixture * water * vapour / weight) / full_wet
    )
    return found


def refraction(wavelength: np.ndarray | float, zenith_angle: float, **air: float) -> np.ndarray:
    """Angle by which the image is lifted towards the zenith, arcsec.

    Two-term series of the concentric atmosphere (Stone 1996, PASP 108, 1051), scale height 8.0 km.

    Parameters
    ----------
    wavelength : array
        Angstrom.
    zenith_angle : float
        True zenith angle, radians.
    air
        Keywords of `refractivity`.
    """
    gamma = refractivity(wavelength, **air)
    beta = 8.0 / 6371.0
    tan = np.tan(zenith_angle)
    found: np.ndarray = 206264.806 * (gamma * (1.0 - beta) * tan - gamma * (beta - gamma / 2.0) * tan**3)
    return found


def differential_refraction(
    wavelength: np.ndarray | float, reference: float, airmass: float, parallactic_deg: float, **air: float
) -> tuple[np.ndarray, np.ndarray]:
    """Offset of the image at `wavelength` from that at `reference`: (East, North) in arcsec.

    Blue light is lifted more, so its image lies towards the zenith, whose position angle (North through East) is the
    parallactic angle.
    """
    zenith = float(np.arccos(1.0 / max(airmass, 1.0)))
    lift = refraction(wavelength, zenith, **air) - refraction(reference, zenith, **air)
    angle = np.deg2rad(parallactic_deg)
    return lift * np.sin(angle), lift * np.cos(angle)


def transmission(
    wavelength: np.ndarray, airmass: float, *, water_mm: float, extinction_scale: float = 1.0
) -> np.ndarray:
    """Fraction of the light that reaches the telescope: extinction and telluric bands at wavelengths [A]."""
    table = columns("extinction.dat")
    magnitudes = np.interp(wavelength, table["wavelength"], table["magnitude"]) * extinction_scale
    found: np.ndarray = 10.0 ** (-0.4 * magnitudes * airmass) * telluric(wavelength, airmass, water_mm=water_mm)
    return found


def telluric(wavelength: np.ndarray, airmass: float, *, water_mm: float) -> np.ndarray:
    """Transmission of the oxygen and water bands; their saturated lines grow slower than the airmass."""
    table = columns("telluric.dat")
    oxygen = np.interp(wavelength, table["wavelength"], table["tau_o2"], left=0.0, right=0.0)
    water = np.interp(wavelength, table["wavelength"], table["tau_h2o"], left=0.0, right=0.0)
    found: np.ndarray = np.exp(-oxygen * airmass**0.55 - water * (airmass * water_mm / 3.0) ** 0.6)
    return found


def air_to_vacuum(wavelength: np.ndarray) -> np.ndarray:
    """Vacuum wavelength [A] of air wavelengths [A] (standard air, Ciddor 1996)."""
    wavelength = np.asarray(wavelength, dtype=float)
    return wavelength * (1.0 + refractivity(wavelength, pressure_mbar=1013.25, temperature_c=15.0, humidity=0.0))


def vacuum_to_air(wavelength: np.ndarray) -> np.ndarray:
    """Air wavelength [A] of vacuum wavelengths [A]."""
    wavelength = np.asarray(wavelength, dtype=float)
    return wavelength / (1.0 + refractivity(wavelength, pressure_mbar=1013.25, temperature_c=15.0, humidity=0.0))
