"""What changes slowly through a night: flexure, seeing, temperature, focus, bias level, airglow, extinction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sedmd.simulate import almanac
from sedmd.simulate.profiles import InstrumentProfile
from sedmd.simulate.sources import PointSpread

FLEXURE_LIMIT = 1.5  # px
DAY_LIMIT = 0.045  # px, flexure of a frame taken at the zenith in the afternoon


@dataclass(frozen=True, slots=True, kw_only=True)
class NightConditions:
    """Slow conditions of one night.

    Attributes
    ----------
    profile : InstrumentProfile
        Amplitudes.
    midnight, sunset, sunrise, dusk, dawn : float
        Julian dates: 0 h UT, Sun at -0.833 and at -12 degrees.
    phases : tuple of float
        Random phases of the slow waves.
    extinction : float
        Factor of the mean extinction curve.
    water_mm, seeing, ellipticity : float
        The night's means; seeing in arcsec at the zenith.
    """

    profile: InstrumentProfile
    midnight: float
    sunset: float
    sunrise: float
    dusk: float
    dawn: float
    phases: tuple[float, ...]
    extinction: float
    water_mm: float
    seeing: float
    ellipticity: float

    def flexure(self, jd: float, hour_angle: float, dec: float) -> tuple[float, float]:
        """Shift (dx, dy) [px] of the image: gravity through hour angle and declination, and a slow drift with time."""
        n = self.profile.night
        hours = (jd - self.dusk) * 24.0
        h = np.deg2rad(hour_angle)
        low = (dec - 30.0) / 30.0
        settle = 1.0 - np.exp(-max(hours + 1.0, 0.0) / 1.5)
        x = 0.75 * np.sin(0.9 * h + 0.35) + 0.45 * np.sin(0.35 * hours + self.phases[0]) + 0.15 * low
        y = 0.70 * np.sin(0.8 * h - 0.5) + 0.45 * np.cos(0.30 * hours + self.phases[1]) - 0.20 * low
        limit = FLEXURE_LIMIT
        return (
            float(np.clip(n.flexure_x * settle * x, -limit, limit)),
            float(np.clip(n.flexure_y * settle * y, -limit, limit)),
        )

    def day_flexure(self, rng: np.random.Generator) -> tuple[float, float]:
        """Shift (dx, dy) [px] of an afternoon frame with the telescope at rest."""
        dx, dy = np.clip(self.profile.night.flexure_day * rng.standard_normal(2), -DAY_LIMIT, DAY_LIMIT)
        return float(dx), float(dy)

    def image(self, jd: float, airmass: float, rng: np.random.Generator) -> PointSpread:
        """Seeing of an exposure: the slow wave, a fast part, airmass^0.6."""
        n = self.profile.night
        hours = (jd - self.dusk) * 24.0
        wave = 0.6 * np.sin(0.8 * hours + self.phases[2]) + 0.4 * float(rng.standard_normal())
        fwhm = float(np.clip(self.seeing * (1.0 + n.seeing_rms * wave), 0.9, 3.5)) * airmass**0.6
        angle = float(np.rad2deg(self.phases[3]))
        return PointSpread(fwhm=fwhm, beta=n.moffat_beta, ellipticity=self.ellipticity, angle_deg=angle)

    def temperature(self, jd: float) -> float:
        """Outside air, degrees Celsius: cools through the night."""
        return self.profile.night.temperature_c - 0.45 * (jd - self.dusk) * 24.0

    def drift(self, jd: float, rng: np.random.Generator) -> float:
        """Bias level of a frame against the profile's, ADU."""
        d = self.profile.detector
        slow = np.sin((jd - self.midnight) * 24.0 * 0.6 + self.phases[0])
        return float(d.bias_drift * (slow + 0.4 * rng.standard_normal()))

    def breathing(self, jd: float) -> float:
        """Factor of the line and trace widths: focus follows the temperature."""
        return float(1.0 + self.profile.width.breathing * np.sin((jd - self.midnight) * 24.0 * 0.25 + self.phases[1]))

    def airglow(self, jd: float, rng: np.random.Generator) -> dict[str, float]:
        """Factors of the components of the night sky for one exposure."""
        n = self.profile.night
        names = ("oh", "green", "red", "na", "city", "continuum")
        hours = (jd - self.dusk) * 24.0
        # each component waves on its own within hours; from one frame to the next it changes by some percent only
        waves = [1.2 * np.sin(0.9 * hours + self.phases[0] + 1.3 * i) for i in range(len(names))]
        noise = 0.25 * rng.standard_normal(len(names))
        factors = {name: float(np.exp(n.line_scatter * (w + e))) for name, w, e in zip(names, waves, noise)}
        factors["city"] *= n.city
        factors["na"] *= n.sodium
        factors["oh"] *= float(1.0 - 0.03 * hours)
        factors["continuum"] = n.sky_continuum * factors["continuum"] ** 0.4
        return factors


def draw_conditions(profile: InstrumentProfile, midnight: float, rng: np.random.Generator) -> NightConditions:
    """Conditions of the night whose 0 h UT is the Julian date `midnight`."""
    n = profile.night
    noon = midnight - 4.0 / 24.0  # local noon of the day before, near enough
    return NightConditions(
        profile=profile,
        midnight=midnight,
        sunset=almanac.sun_event(noon, -0.833, rising=False),
        sunrise=almanac.sun_event(noon, -0.833, rising=True),
        dusk=almanac.sun_event(noon, -12.0, rising=False),
        dawn=almanac.sun_event(noon, -12.0, rising=True),
        phases=tuple(float(p) for p in rng.uniform(0.0, 2.0 * np.pi, 4)),
        extinction=1.0 + n.extinction_rms * float(rng.standard_normal()),
        water_mm=n.water_mm * float(rng.uniform(0.7, 1.4)),
        seeing=n.seeing * float(np.exp(0.5 * n.seeing_rms * rng.standard_normal())),
        ellipticity=n.ellipticity * float(rng.uniform(0.5, 1.5)),
    )
