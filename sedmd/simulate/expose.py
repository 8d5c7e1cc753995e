"""Render one exposure: the light that enters, the electrons expected, the digitised frame and its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from sedmd.simulate.atmosphere import telluric, transmission
from sedmd.simulate.detector import read_out
from sedmd.simulate.headers import build_header
from sedmd.simulate.optics import Optics, lenslet_area
from sedmd.simulate.plan import NightPlan, PlannedExposure, SimulatedInstrument
from sedmd.simulate.render import Expected, LightComponent, expected_electrons
from sedmd.simulate.sources import POSITION_WAVELENGTH, lenslet_shares
from sedmd.simulate.spectra import GRID, dome_shape, moon_flux, photons, planck, sky_continuum, sky_lines, solar_shape
from sedmd.simulate.tables import lamp_lines

#: The line of each lamp to which its continuum is compared, and the wavelength at which it is [A].
MAIN_LINES = {"Hg": 5460.74, "Cd": 5085.82, "Xe": 8231.63}
CONTINUUM_AT = 7750.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rendered:
    """One raw frame and its truth.

    Attributes
    ----------
    data : ndarray of uint16 (rows, columns of the raw array)
    header : astropy.io.fits.Header
    expected : Expected
        Electrons before noise; scattered part.
    cosmic_charge : ndarray (rows, columns that see light)
        What cosmic rays left [electron].
    cosmic_count : int
    collected : ndarray (rows, columns that see light)
        Electrons before they were read.
    """

    data: np.ndarray
    header: fits.Header
    expected: Expected
    cosmic_charge: np.ndarray
    cosmic_count: int
    collected: np.ndarray


def efficiency(instrument: SimulatedInstrument) -> np.ndarray:
    """Electrons per photon of telescope, spectrograph and camera on ``spectra.GRID``, a lenslet of mean throughput."""
    t = instrument.profile.throughput
    found: np.ndarray = np.interp(GRID, t.wavelength, t.efficiency)
    return found


def sky_brightness(exposure: PlannedExposure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Night sky of an exposure as it reaches the telescope.

    Returns
    -------
    continuum : ndarray
        erg/s/cm2/A/arcsec2 on ``spectra.GRID``: airglow and moonlight.
    wavelength, rate : ndarray
        Lines: air A, photon/s/cm2/arcsec2.
    """
    phase, zenith, distance = exposure.moon
    airmass = exposure.airmass
    continuum = sky_continuum() * exposure.sky.get("continuum", 1.0) * (1.0 + 0.25 * (airmass - 1.0))
    target = float(np.rad2deg(np.arccos(1.0 / max(airmass, 1.0))))
    moonlight = moon_flux(phase, zenith, target, distance) * telluric(GRID, airmass, water_mm=exposure.water_mm)
    wavelength, rate = sky_lines(exposure.sky, airmass)
    return continuum + moonlight, wavelength, rate


def _field_tilt(optics: Optics, size: float, angle: float) -> np.ndarray:
    found: np.ndarray = 1.0 + size * (optics.sky_x * np.cos(angle) + optics.sky_y * np.sin(angle)) / 13.0
    return found


def lights_of(instrument: SimulatedInstrument, exposure: PlannedExposure) -> list[LightComponent]:
    """Everything that enters the lenslets during an exposure."""
    optics, profile = instrument.optics, instrument.profile
    lamps, area = profile.lamps, profile.throughput.area_cm2
    eff = efficiency(instrument)
    seconds = exposure.exptime * exposure.level
    out: list[LightComponent] = []
    if exposure.light == "dark" or seconds <= 0.0:
        return out
    if exposure.light == "dome":
        shape = dome_shape(lamps.dome_temperature) * eff / np.interp(6500.0, GRID, eff)
        return [LightComponent(continuum=lamps.dome_rate * shape * seconds, factor=optics.dome)]
    if exposure.light in ("Hg", "Cd", "Xe"):
        wavelength, strength = lamp_lines(exposure.light, lamps.strengths)
        scale = {"Hg": lamps.hg_rate, "Cd": lamps.cd_rate, "Xe": lamps.xe_rate}[exposure.light] * seconds
        share = {"Hg": lamps.hg_continuum, "Cd": lamps.cd_continuum, "Xe": lamps.xe_continuum}[exposure.light]
        main = float(strength[np.argmin(np.abs(wavelength - MAIN_LINES[exposure.light]))])
        glow = photons(GRID, planck(GRID, lamps.continuum_temperature))
        glow *= share * main * scale / np.interp(CONTINUUM_AT, GRID, glow)
        return [
            LightComponent(
                line_wavelength=wavelength,
                line_electrons=strength * scale * np.interp(wavelength, GRID, eff),
                factor=optics.lamp,
            ),
            LightComponent(continuum=glow * eff, factor=optics.lamp),
        ]
    lenslet = lenslet_area(optics)
    if exposure.light == "twilight":
        sunlight = solar_shape() * (0.5 + 0.5 * (5500.0 / GRID) ** 3) * telluric(GRID, 2.5, water_mm=exposure.water_mm)
        flux = 9.0e-14 * sunlight
        out.append(
            LightComponent(
                continuum=photons(GRID, flux) * eff * area * lenslet * seconds,
                factor=_field_tilt(optics, 0.01, exposure.start),
            )
        )
    continuum, wavelength, rate = sky_brightness(exposure)
    tilt = _field_tilt(optics, profile.night.sky_gradient, exposure.start * 6.0)
    collect = area * exposure.exptime
    out.append(LightComponent(continuum=photons(GRID, continuum) * eff * collect * lenslet, factor=tilt))
    out.append(
        LightComponent(
            line_wavelength=wavelength,
            line_electrons=rate * np.interp(wavelength, GRID, eff) * collect * lenslet,
            factor=tilt,
        )
    )
    air = (
        transmission(GRID, exposure.airmass, water_mm=exposure.water_mm, extinction_scale=exposure.extinction)
        * exposure.transparency
    )
    for source in exposure.sources:
        shares = lenslet_shares(optics, source, exposure.seeing, exposure.pointings)
        out.append(LightComponent(continuum=photons(GRID, source.flux) * air * eff * collect, shares=shares))
    return out


def render_exposure(
    instrument: SimulatedInstrument,
    exposure: PlannedExposure,
    *,
    rng: np.random.Generator | int = 0,
    sunset: float = 0.0,
    sunrise: float = 0.0,
    former: np.ndarray | None = None,
) -> Rendered:
    """Render any exposure with a given instrument.

    Parameters
    ----------
    instrument : SimulatedInstrument
        From `build_instrument`.
    exposure : PlannedExposure
        What to observe; build one by hand for a test, or take it from a `NightPlan`.
    rng : Generator or int
        Noise of this frame.
    former : ndarray (rows, columns that see light), optional
        Electrons that the exposure before collected.
    """
    generator = np.random.default_rng(rng) if isinstance(rng, int) else rng
    expected = expected_electrons(
        instrument.optics, lights_of(instrument, exposure), flexure=exposure.flexure, breathing=exposure.breathing
    )
    frame = read_out(
        instrument.profile,
        instrument.chip,
        expected.image,
        exptime=exposure.exptime,
        mhz=exposure.speed,
        drift=exposure.drift,
        rng=generator,
        former=former,
    )
    header = build_header(instrument.profile, exposure, sunset=sunset, sunrise=sunrise)
    return Rendered(
        data=frame.data,
        header=header,
        expected=expected,
        cosmic_charge=frame.cosmic_charge,
        cosmic_count=frame.cosmic_count,
        collected=frame.collected,
    )


def render_frame(plan: NightPlan, index: int) -> Rendered:
    """Render frame `index` of a plan; the same bytes after any other frame.

    Where the camera holds charge back, the frame before is rendered too, as if none had been before that.
    """
    former = None
    if plan.instrument.profile.detector.persistence > 0.0 and index > 0:
        former = _rendered(plan, index - 1).collected
    return _rendered(plan, index, former)


def _rendered(plan: NightPlan, index: int, former: np.ndarray | None = None) -> Rendered:
    rng = np.random.default_rng(np.random.SeedSequence([plan.seed, 404, index]))
    return render_exposure(
        plan.instrument, plan.exposures[index], rng=rng, sunset=plan.sunset, sunrise=plan.sunrise, former=former
    )


__all__ = [
    "POSITION_WAVELENGTH",
    "Rendered",
    "efficiency",
    "lights_of",
    "render_exposure",
    "render_frame",
    "sky_brightness",
]
