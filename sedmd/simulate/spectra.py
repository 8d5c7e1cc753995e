"""Light sources: standards, supernovae, galaxies, the Sun, the night sky and the calibration lamps, as spectra.

All fluxes are erg/s/cm2/A above the atmosphere on the common grid `GRID` (air Angstrom); surface brightnesses are per
square arcsec.
"""

from __future__ import annotations

import numpy as np

from sedmd.core.errors import SedmError
from sedmd.simulate.optics import BLUE_END, RED_END
from sedmd.simulate.tables import airglow_lines, columns, standards

GRID = np.arange(BLUE_END, RED_END + 1.0, 2.0)
HC = 1.98644586e-8  # erg A (CODATA 2018)
RAYLEIGH = 1.0e6 / (4.0 * np.pi) / 4.254517e10  # photon/s/cm2/arcsec2


def planck(wavelength: np.ndarray, temperature: float) -> np.ndarray:
    """Black body per unit wavelength, normalised to 1 at 6500 A."""

    def b(lam: np.ndarray | float) -> np.ndarray:
        return np.asarray(lam, dtype=float) ** -5 / np.expm1(1.438777e8 / (np.asarray(lam, dtype=float) * temperature))

    found: np.ndarray = b(wavelength) / b(6500.0)
    return found


def _line(wavelength: np.ndarray, centre: float, sigma: float) -> np.ndarray:
    return np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)


def photons(wavelength: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """Photon rate (photon/s/cm2/A) of a flux in erg/s/cm2/A."""
    found: np.ndarray = flux * wavelength / HC
    return found


def ab_flux(magnitude: float, wavelength: float = 6500.0) -> float:
    """Flux [erg/s/cm2/A] of an AB magnitude at a wavelength [A] (Oke & Gunn 1983, zero point 48.60)."""
    found: float = 10.0 ** (-0.4 * (magnitude + 48.60)) * 2.99792458e18 / wavelength**2
    return found


def standard_flux(name: str) -> np.ndarray:
    """Flux of a known standard on `GRID`; beyond its table the Rayleigh-Jeans law takes over.

    Raises
    ------
    SedmError
        If the simulator has no such star.
    """
    known = standards()
    if name not in known:
        raise SedmError(f"the simulator has no standard {name!r}; it has {', '.join(known)}")
    table = columns(known[name].file)
    lam, flux = table["wavelength"], table["flux"] * 1e-16
    red = lam > 8800.0
    tail = np.mean(flux[red] * lam[red] ** 4)
    join = np.clip((GRID - 9000.0) / 150.0, 0.0, 1.0)
    inside = np.interp(GRID, lam, flux)
    found: np.ndarray = inside * (1.0 - join) + tail / GRID**4 * join
    return found


# rest wavelength, depth of the trough, height of the peak, width in 1000 km/s, blueshift in 1000 km/s
_FEATURES = {
    "Ia": [
        (3945.0, 0.60, 0.20, 4.2, 14.0),
        (4130.0, 0.18, 0.05, 2.5, 10.5),
        (4500.0, 0.42, 0.14, 6.0, 11.0),
        (5020.0, 0.40, 0.20, 5.5, 10.5),
        (5454.0, 0.16, 0.02, 2.2, 9.5),
        (5640.0, 0.22, 0.08, 2.2, 9.5),
        (6355.0, 0.45, 0.16, 3.2, 10.8),
        (7774.0, 0.20, 0.05, 4.5, 11.0),
        (8579.0, 0.42, 0.25, 5.0, 12.5),
    ],
    "II": [
        (3945.0, 0.35, 0.10, 3.5, 8.0),
        (4340.5, 0.28, 0.12, 3.2, 7.5),
        (4861.3, 0.34, 0.18, 3.2, 7.5),
        (5018.4, 0.15, 0.03, 2.4, 6.0),
        (5169.0, 0.20, 0.05, 2.4, 6.0),
        (5892.0, 0.22, 0.12, 3.0, 6.5),
        (6562.8, 0.28, 0.85, 3.6, 7.5),
        (8579.0, 0.30, 0.35, 4.2, 7.0),
    ],
    "Ic": [
        (3945.0, 0.40, 0.12, 4.0, 12.0),
        (4570.0, 0.35, 0.15, 5.5, 10.0),
        (5020.0, 0.38, 0.16, 5.5, 10.0),
        (5892.0, 0.30, 0.12, 3.5, 9.5),
        (6355.0, 0.20, 0.08, 3.5, 8.5),
        (7774.0, 0.35, 0.15, 4.5, 9.0),
        (8579.0, 0.45, 0.40, 5.0, 10.5),
    ],
}


def supernova_flux(kind: str, temperature: float, redshift: float, magnitude: float) -> np.ndarray:
    """A supernova-like spectrum: P Cygni profiles of some known ions on a black body.

    Parameters
    ----------
    kind : {"Ia", "II", "Ic"}
        Which list of features.
    temperature : float
        Of the black body, kelvin.
    redshift : float
        Of everything.
    magnitude : float
        AB magnitude of the finished spectrum averaged over 6200-6800 A.
    """
    if kind not in _FEATURES:
        raise SedmError(f"no supernova of type {kind!r}; the types are {', '.join(_FEATURES)}")
    rest = GRID / (1.0 + redshift)
    flux = planck(rest, temperature)
    blanket = 1.0 - 0.55 / (1.0 + np.exp((rest - 3850.0) / 120.0))
    flux = flux * blanket
    for centre, trough, peak, width, speed in _FEATURES[kind]:
        sigma = centre * width / 299.8
        flux = (
            flux
            * (1.0 - trough * _line(rest, centre * (1.0 - speed / 299.8), 0.8 * sigma))
            * (1.0 + peak * _line(rest, centre, 1.2 * sigma))
        )
    return _normalise(flux, magnitude)


def smooth_flux(temperature: float, magnitude: float) -> np.ndarray:
    """A black body of that AB magnitude over 6200-6800 A: a featureless star."""
    return _normalise(planck(GRID, temperature), magnitude)


def galaxy_flux(redshift: float, magnitude: float, star_formation: float = 0.5) -> np.ndarray:
    """A galaxy: old population with break and metal lines, plus nebular lines scaled by `star_formation`."""
    rest = GRID / (1.0 + redshift)
    old = planck(rest, 4700.0) * (1.0 - 0.5 / (1.0 + np.exp((rest - 4000.0) / 25.0)))
    for centre, depth, sigma in (
        (3934.0, 0.35, 14.0),
        (3968.0, 0.33, 14.0),
        (4304.0, 0.18, 20.0),
        (5175.0, 0.16, 35.0),
        (5892.0, 0.10, 12.0),
        (8542.0, 0.10, 14.0),
    ):
        old = old * (1.0 - depth * _line(rest, centre, sigma))
    young = planck(rest, 11000.0) * 0.6
    flux = (1.0 - 0.5 * star_formation) * old + 0.5 * star_formation * young
    for centre, strength in (
        (3727.4, 1.1),
        (4861.3, 0.5),
        (4958.9, 0.25),
        (5006.8, 0.75),
        (6548.0, 0.25),
        (6562.8, 1.9),
        (6583.5, 0.75),
        (6716.4, 0.35),
        (6730.8, 0.28),
    ):
        flux = flux + star_formation * strength * _line(rest, centre, centre * 0.0006)
    return _normalise(flux, magnitude)


def _normalise(flux: np.ndarray, magnitude: float) -> np.ndarray:
    window = (GRID > 6200.0) & (GRID < 6800.0)
    found: np.ndarray = flux * ab_flux(magnitude) / np.mean(flux[window])
    return found


def solar_shape() -> np.ndarray:
    """Sunlight on `GRID`, 1 at 6500 A in its continuum: a 5800 K black body with its strongest absorption features."""
    flux = planck(GRID, 5800.0)
    for centre, depth, sigma in (
        (3581.0, 0.35, 14.0),
        (3735.0, 0.40, 15.0),
        (3820.0, 0.35, 14.0),
        (3933.7, 0.72, 9.0),
        (3968.5, 0.68, 9.0),
        (4045.8, 0.18, 5.0),
        (4101.7, 0.22, 5.0),
        (4226.7, 0.24, 5.0),
        (4307.9, 0.34, 10.0),
        (4340.5, 0.22, 6.0),
        (4383.6, 0.20, 5.0),
        (4861.3, 0.22, 5.0),
        (5172.7, 0.26, 10.0),
        (5270.0, 0.14, 7.0),
        (5893.0, 0.12, 4.5),
        (6562.8, 0.22, 5.0),
        (8498.0, 0.10, 4.0),
        (8542.1, 0.17, 5.0),
        (8662.1, 0.14, 5.0),
    ):
        flux = flux * (1.0 - depth * _line(GRID, centre, sigma))
    return flux


def dome_shape(temperature: float) -> np.ndarray:
    """Photon rate of a quartz lamp on white paint, 1 at 6500 A; ultraviolet dies in the glass."""
    light = planck(GRID, temperature) * GRID / 6500.0
    found: np.ndarray = light / (1.0 + np.exp(-(GRID - 3700.0) / 110.0))
    return found


def moon_flux(
    phase_deg: float,
    moon_zenith_deg: float,
    target_zenith_deg: float,
    separation_deg: float,
    extinction_v: float = 0.15,
) -> np.ndarray:
    """Moonlight scattered by the air: Krisciunas & Schaefer (1991, PASP 103, 1033) in V, sunlight made bluer.

    Parameters
    ----------
    phase_deg : float
        Moon's phase angle: 0 full, 180 new.
    moon_zenith_deg, target_zenith_deg, separation_deg : float
        Angles, degrees; no light when the Moon is below the horizon.

    Returns
    -------
    ndarray
        erg/s/cm2/A/arcsec2 on `GRID`.
    """
    if moon_zenith_deg >= 90.0:
        return np.zeros_like(GRID)
    illuminance = 10.0 ** (-0.4 * (3.84 + 0.026 * abs(phase_deg) + 4.0e-9 * phase_deg**4))
    rho = np.clip(separation_deg, 5.0, 180.0)
    scattering = 10.0**5.36 * (1.06 + np.cos(np.deg2rad(rho)) ** 2) + 10.0 ** (6.15 - rho / 40.0)

    def path(z: float) -> float:
        return float((1.0 - 0.96 * np.sin(np.deg2rad(z)) ** 2) ** -0.5)

    nanolambert = (
        scattering
        * illuminance
        * 10.0 ** (-0.4 * extinction_v * path(moon_zenith_deg))
        * (1.0 - 10.0 ** (-0.4 * extinction_v * path(target_zenith_deg)))
    )
    magnitude = (20.7233 - np.log(nanolambert / 34.08)) / 0.92104
    at_v = 3.63e-9 * 10.0 ** (-0.4 * magnitude)
    shape = solar_shape() * (0.45 + 0.55 * (5500.0 / GRID) ** 3)
    found: np.ndarray = shape / np.interp(5500.0, GRID, shape) * at_v
    return found


def sky_lines(strength: dict[str, float], airmass: float) -> tuple[np.ndarray, np.ndarray]:
    """Night-sky lines: air wavelength [A] and photon rate [photon/s/cm2/arcsec2].

    `strength` multiplies each component (oh, green, red, na, city); the emission grows with the slant path through a
    layer at 90 km (van Rhijn 1921).
    """
    component, wavelength, rayleigh = airglow_lines()
    zenith = np.arccos(1.0 / max(airmass, 1.0))
    slant = 1.0 / np.sqrt(1.0 - (6371.0 / (6371.0 + 90.0) * np.sin(zenith)) ** 2)
    factor = np.array([strength.get(str(c), 1.0) for c in component])
    return wavelength, rayleigh * RAYLEIGH * factor * slant


def sky_continuum() -> np.ndarray:
    """Moonless continuum at zenith on `GRID`, erg/s/cm2/A/arcsec2, before the profile's factor."""
    table = columns("night_sky.dat")
    found: np.ndarray = np.interp(GRID, table["wavelength"], table["flux"]) * 1e-18
    return found
