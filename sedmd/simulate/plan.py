"""The observing log of a simulated night: which exposures, when, of what, under which conditions. No pixel is made here."""

from __future__ import annotations

import string
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

import numpy as np

from ..errors import ConfigError
from . import almanac
from .detector import Chip, build_chip
from .optics import Optics, build_optics
from .profiles import Profile, load_profile
from .sources import Pointing, Seeing, Source
from .spectra import galaxy_flux, smooth_flux, standard_flux, supernova_flux
from .tables import standards

SIZES = ("mini", "full")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposure:
    """One raw frame to be: what the telescope did and what the sky was like.

    Attributes
    ----------
    kind : str
        bias, dome, Hg, Cd, Xe, twilight, standard, science; or what the light really is in an ignored frame.
    start : float
        Julian date at the start.
    object, target : str
        The OBJECT and NAME cards.
    exptime : float
        Seconds.
    speed : float
        Read-out speed, MHz.
    ignore : str
        Why a reduction must leave the frame out; empty when it must not.
    sources : tuple of Source
        Positions at 6500 A of this exposure, pointing errors included.
    ra, dec : float
        Direction of the field axis without offset, degrees.
    offset : (float, float)
        RA_OFF, DEC_OFF: the telescope's offset East and North, arcsec.
    seeing : Seeing
    pointings : tuple of Pointing
        Instants of the exposure, from its start to its end.
    flexure : (float, float)
        dx, dy of the image on the chip, px.
    breathing : float
        Factor of the widths.
    moon : (float, float, float)
        Phase angle, zenith distance, separation, degrees.
    sky : dict
        Factors of the airglow components; "continuum" for the continuum.
    transparency : float
        Grey factor of the air.
    extinction : float
        Factor of the mean extinction curve.
    water_mm : float
        Precipitable water.
    drift : float
        Bias level against the profile's, ADU.
    lamp_current : float
        LAMPCUR card.
    dome_open : bool
    light : str
        What enters: dark, dome, Hg, Cd, Xe, twilight, sky.
    level : float
        Factor of the lamp or twilight.
    cards : dict
        Header cards that override the usual ones.
    """

    kind: str
    start: float
    object: str
    target: str
    exptime: float
    speed: float
    light: str
    ignore: str = ""
    sources: tuple[Source, ...] = ()
    ra: float = 0.0
    dec: float = 33.3563
    offset: tuple[float, float] = (0.0, 0.0)
    seeing: Seeing = Seeing(fwhm=1.8, beta=3.2)
    pointings: tuple[Pointing, ...] = (Pointing(airmass=1.0, parallactic_deg=0.0),)
    flexure: tuple[float, float] = (0.0, 0.0)
    breathing: float = 1.0
    moon: tuple[float, float, float] = (180.0, 120.0, 90.0)
    sky: dict[str, float] = field(default_factory=dict)
    transparency: float = 1.0
    extinction: float = 1.0
    water_mm: float = 3.0
    drift: float = 0.0
    lamp_current: float = 0.0
    dome_open: bool = False
    level: float = 1.0
    cards: dict[str, object] = field(default_factory=dict)

    @property
    def utc(self) -> datetime:
        """Start as an aware UTC time, to the second."""
        return (almanac.from_julian(self.start) + timedelta(seconds=0.5)).replace(microsecond=0)

    @property
    def file(self) -> str:
        """Name of the raw file."""
        return self.utc.strftime("ifu%Y%m%d_%H_%M_%S.fits")

    @property
    def folder(self) -> str:
        """UT date directory of the raw file."""
        return self.utc.strftime("%Y%m%d")

    @property
    def airmass(self) -> float:
        """Airmass at the middle of the exposure."""
        return float(np.mean([p.airmass for p in self.pointings]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Instrument:
    """One realisation of a profile: optics and camera of a seed."""

    profile: Profile
    seed: int
    optics: Optics
    chip: Chip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NightPlan:
    """Everything needed to render any frame of a night, alone and in any order."""

    night: str
    seed: int
    size: str
    instrument: Instrument
    exposures: tuple[Exposure, ...]
    sunset: float
    sunrise: float

    def __len__(self) -> int:
        return len(self.exposures)

    @classmethod
    def build(cls, *, night: str, seed: int = 1, size: str = "full", profile: str | Profile = "kpy") -> NightPlan:
        """Plan a night.

        Parameters
        ----------
        night : str
            YYYYMMDD, the UT date of the morning hours.
        seed : int
            Everything random follows from it.
        size : {"mini", "full"}
        profile : str or Profile
            Name of a profile, path of a TOML file, or a loaded profile.

        Raises
        ------
        ConfigError
            If the date, the size or the profile cannot be used.
        """
        return _Observer(night, seed, size, load_profile(profile)).observe()


def build_instrument(profile: str | Profile, seed: int = 1) -> Instrument:
    """Optics and camera of a profile and seed."""
    loaded = load_profile(profile)
    return Instrument(profile=loaded, seed=seed, optics=build_optics(loaded, seed), chip=build_chip(loaded, seed))


class _Observer:
    """Works through the night in order of time; holds the clock and the slowly changing conditions."""

    def __init__(self, night: str, seed: int, size: str, profile: Profile) -> None:
        try:
            day = datetime.strptime(night, "%Y%m%d").replace(tzinfo=timezone.utc)
        except ValueError as err:
            raise ConfigError(f"night must be a date YYYYMMDD, got {night!r}") from err
        if size not in SIZES:
            raise ConfigError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
        self.night, self.seed, self.size, self.profile = night, seed, size, profile
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 303]))
        self.midnight = almanac.julian_date(day)
        noon = self.midnight - 4.0 / 24.0
        self.sunset = almanac.sun_event(noon, -0.833, rising=False)
        self.sunrise = almanac.sun_event(noon, -0.833, rising=True)
        self.dusk = almanac.sun_event(noon, -13.0, rising=False)
        self.dawn = almanac.sun_event(noon, -13.0, rising=True)
        self.clock = 0.0
        self.out: list[Exposure] = []
        n = profile.night
        self.phase = self.rng.uniform(0.0, 2.0 * np.pi, 4)
        self.extinction = 1.0 + n.extinction_rms * float(self.rng.standard_normal())
        self.water = n.water_mm * float(self.rng.uniform(0.7, 1.4))
        self.seeing = n.seeing * float(np.exp(0.5 * n.seeing_rms * self.rng.standard_normal()))
        self.ellipticity = n.ellipticity * float(self.rng.uniform(0.5, 1.5))
        self.names: set[str] = set()

    # slowly changing conditions -------------------------------------------------------------------------------------
    def _flexure(self, jd: float, hour_angle: float, dec: float) -> tuple[float, float]:
        n = self.profile.night
        t = (jd - self.dusk) * 24.0
        h = np.deg2rad(hour_angle)
        settle = 1.0 - np.exp(-max(t + 1.0, 0.0) / 1.5)
        x = n.flexure_x * settle * (0.75 * np.sin(h * 0.9 + 0.35) + 0.45 * np.sin(0.35 * t + self.phase[0]) + 0.15 * (dec - 30.0) / 30.0)
        y = n.flexure_y * settle * (0.70 * np.sin(h * 0.8 - 0.5) + 0.45 * np.cos(0.30 * t + self.phase[1]) - 0.20 * (dec - 30.0) / 30.0)
        return float(np.clip(x, -1.5, 1.5)), float(np.clip(y, -1.5, 1.5))

    def _seeing(self, jd: float, airmass: float) -> Seeing:
        n = self.profile.night
        t = (jd - self.dusk) * 24.0
        slow = 1.0 + n.seeing_rms * (0.6 * np.sin(0.8 * t + self.phase[2]) + 0.4 * float(self.rng.standard_normal()))
        fwhm = float(np.clip(self.seeing * slow, 0.9, 3.5)) * airmass**0.6
        return Seeing(fwhm=fwhm, beta=n.moffat_beta, ellipticity=self.ellipticity, angle_deg=float(np.rad2deg(self.phase[3])))

    def _temperature(self, jd: float) -> float:
        return self.profile.night.temperature_c - 0.45 * (jd - self.dusk) * 24.0

    def _drift(self, jd: float) -> float:
        slow = self.profile.detector.bias_drift * np.sin((jd - self.midnight) * 24.0 * 0.6 + self.phase[0])
        return float(slow + 0.4 * self.profile.detector.bias_drift * self.rng.standard_normal())

    def _breathing(self, jd: float) -> float:
        return float(1.0 + self.profile.width.breathing * np.sin((jd - self.midnight) * 24.0 * 0.25 + self.phase[1]))

    # one exposure -----------------------------------------------------------------------------------------------------
    def _take(self, exposure: Exposure) -> Exposure:
        readout = self.profile.detector.speed(exposure.speed).readout_s
        whole = round(self.clock * 86400.0) / 86400.0
        exposure = replace(exposure, start=whole, drift=self._drift(whole))
        self.out.append(exposure)
        self.clock = whole + (exposure.exptime + readout + 2.0) / 86400.0
        return exposure

    def _calibration(self, kind: str, label: str, exptime: float, speed: float, *, light: str | None = None, ignore: str = "", level: float = 1.0, current: float = 0.0, cards: dict[str, object] | None = None) -> None:
        day = self.profile.night.flexure_day
        flexure = (float(day * self.rng.standard_normal()), float(day * self.rng.standard_normal()))
        flexure = (float(np.clip(flexure[0], -0.045, 0.045)), float(np.clip(flexure[1], -0.045, 0.045)))
        what = light if light is not None else {"bias": "dark"}.get(kind, kind)
        ra = almanac.sidereal_time(self.clock)
        self._take(
            Exposure(kind=kind, start=0.0, object=label, target=label.split("of")[0].strip() if label.startswith("Calib") else label, exptime=exptime, speed=speed, light=what,
                     ignore=ignore, ra=ra, flexure=flexure, breathing=self._breathing(self.clock), lamp_current=current, level=level, cards=cards or {})
        )  # fmt: skip

    def _sky_exposure(
        self, kind: str, label: str, target: str, exptime: float, ra: float, dec: float, sources: tuple[Source, ...], *,
        offset: tuple[float, float] = (0.0, 0.0), pointing: tuple[float, float] = (0.0, 0.0), ignore: str = "", dome_open: bool = True,
        speed: float | None = None, light: str = "sky", level: float = 1.0, cards: dict[str, object] | None = None,
    ) -> Exposure:  # fmt: skip
        n = self.profile.night
        start = self.clock
        instants = np.linspace(0.1, 0.9, 5 if exptime > 600.0 else (3 if exptime > 120.0 else 1)) if exptime > 120.0 else np.array([0.5])
        places = [almanac.place(ra, dec, start + f * exptime / 86400.0) for f in instants]
        middle = almanac.place(ra, dec, start + 0.5 * exptime / 86400.0)
        guide = n.guiding_rms * self.rng.standard_normal((len(places), 2))
        guide -= guide.mean(axis=0)
        temperature = self._temperature(start)
        pointings = tuple(
            Pointing(airmass=p.airmass, parallactic_deg=p.parallactic, guide_x=float(g[0]), guide_y=float(g[1]),
                     pressure_mbar=n.pressure_mbar, temperature_c=temperature, humidity=n.humidity)
            for p, g in zip(places, guide, strict=True)
        )  # fmt: skip
        moved = tuple(replace(s, x=s.x - offset[0] + pointing[0], y=s.y - offset[1] + pointing[1]) for s in sources)
        moon_ra, moon_dec, phase = almanac.moon(start)
        moon_place = almanac.place(moon_ra, moon_dec, start)
        components = ("oh", "green", "red", "na", "city", "continuum")
        factors = {c: float(np.exp(n.line_scatter * self.rng.standard_normal())) for c in components}
        factors["city"] *= n.city
        factors["na"] *= n.sodium
        factors["oh"] *= float(1.0 - 0.03 * (start - self.dusk) * 24.0)
        factors["continuum"] = n.sky_continuum * factors["continuum"] ** 0.4
        return self._take(
            Exposure(
                kind=kind, start=0.0, object=label, target=target, exptime=exptime, speed=self.profile.detector.science_speed if speed is None else speed,
                light=light, ignore=ignore, sources=moved, ra=ra, dec=dec, offset=offset, seeing=self._seeing(start, middle.airmass), pointings=pointings,
                flexure=self._flexure(start + 0.5 * exptime / 86400.0, middle.hour_angle, dec), breathing=self._breathing(start),
                moon=(phase, 90.0 - moon_place.altitude, almanac.separation(ra, dec, moon_ra, moon_dec)), sky=factors,
                transparency=float(1.0 + n.transparency_rms * self.rng.standard_normal()), extinction=self.extinction, water_mm=self.water,
                dome_open=dome_open, level=level, cards=cards or {},
            )
        )  # fmt: skip

    # building blocks --------------------------------------------------------------------------------------------------
    def _series(self, kind: str, count: int, exptime: float, speed: float, *, current: float = 0.0) -> None:
        for i in range(count):
            level = 1.0 + (0.004 if kind == "dome" else 0.01) * float(self.rng.standard_normal())
            self._calibration(kind, f"Calib:  {kind} {i + 1} of {count}", exptime, speed, level=level, current=current)

    def _afternoon(self, biases: int, lamps: int) -> None:
        d, lights = self.profile.detector, self.profile.lamps
        self._series("bias", biases, 0.0, 0.1)
        self._series("bias", biases, 0.0, 2.0)
        s = d.calibration_speed
        self._series("dome", lamps, lights.dome_exptime, s, current=4.2)
        self._series("Hg", lamps, lights.hg_exptime, s)
        self._series("Cd", lamps, lights.cd_exptime, s)
        self._series("Xe", lamps, lights.xe_exptime, s)

    def _name(self, style: str = "ZTF") -> str:
        while True:
            letters = "".join(self.rng.choice(list(string.ascii_lowercase), 5))
            name = f"ZTF{int(self.night[2:4]):02d}aa{letters}" if style == "ZTF" else f"SN {self.night[:4]}{letters[:3]}"
            if name not in self.names:
                self.names.add(name)
                return name

    def _field(self, hour_angle: float, dec: float) -> tuple[float, float]:
        """A direction that will be at that hour angle [degrees] now."""
        return (almanac.sidereal_time(self.clock) - hour_angle) % 360.0, dec

    def _error(self) -> tuple[float, float]:
        p = self.profile.night.pointing_rms * self.rng.standard_normal(2)
        return float(p[0]), float(p[1])

    def _standard(self, exptime: float, airmass: float, avoid: set[str], *, label: str | None = None) -> str:
        """Observe the standard whose airmass is nearest to the wanted one and which was not used."""
        best, cost = "", np.inf
        for star in standards().values():
            x = almanac.place(almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec), self.clock + 0.5 * exptime / 86400.0).airmass
            penalty = abs(x - airmass) + (0.8 if star.name in avoid else 0.0) + (5.0 if x > 2.3 else 0.0)
            if penalty < cost:
                best, cost = star.name, penalty
        self._one_standard(best, exptime, label=label)
        return best

    def _one_standard(self, name: str, exptime: float, *, label: str | None = None) -> None:
        star = standards()[name]
        ra, dec = almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec)
        source = Source(name=name, x=0.0, y=0.0, flux=standard_flux(name))
        shown = f"STD-{name}" if label is None else label
        self._sky_exposure("standard" if label is None else "science", shown, shown, exptime, ra, dec, (source,), pointing=self._error())

    def _pair(self, name: str, exptime: float, ra: float, dec: float, sources: tuple[Source, ...], nod: tuple[float, float]) -> None:
        error = self._error()
        for token, sign in (("A", 1.0), ("B", -1.0)):
            # the acquisition is repeated for B: its error is its own, only smaller
            wander = (error[0] + 0.15 * float(self.rng.standard_normal()), error[1] + 0.15 * float(self.rng.standard_normal()))
            self._sky_exposure("science", f"{name} [{token}]", name, exptime, ra, dec, sources, offset=(sign * nod[0], sign * nod[1]), pointing=wander,
                               cards={"ABPAIR": True, "IMGSET": token})  # fmt: skip

    def _slew(self, minutes: float) -> None:
        self.clock += minutes / 1440.0

    # nights -----------------------------------------------------------------------------------------------------------
    def observe(self) -> NightPlan:
        (self._mini if self.size == "mini" else self._full)()
        ordered = tuple(sorted(self.out, key=lambda e: e.start))
        return NightPlan(
            night=self.night, seed=self.seed, size=self.size, instrument=build_instrument(self.profile, self.seed),
            exposures=ordered, sunset=self.sunset, sunrise=self.sunrise,
        )  # fmt: skip

    def _twilight(self, count: int) -> None:
        start = self.sunset + 14.0 / 1440.0
        for i in range(count):
            self.clock = max(self.clock, start + i * 2.5 / 1440.0)
            ra, dec = self._field(-15.0, 30.0)
            label = f"Calib:  twilight {i + 1} of {count}"
            self._sky_exposure("twilight", label, "Calib:  twilight", 30.0, ra, dec, (), light="twilight", level=float(np.exp(-0.35 * i)))

    def _mini(self) -> None:
        lamps = self.profile.lamps
        # the series straddles UT midnight: biases and dome before, arcs after
        long = 5.0 * 46.0 + 5.0 * 5.0 + 3.0 * (lamps.dome_exptime + 45.0)
        self.clock = self.midnight - (long + lamps.hg_exptime + 60.0) / 86400.0
        self._afternoon(5, 3)
        self._twilight(1)
        self.clock = max(self.clock, self.dusk)
        ra, dec = self._field(-8.0, 25.0)
        self._sky_exposure("science", "Focus: 16.37", "Focus", 20.0, ra, dec, (Source(name="focus star", x=0.4, y=0.3, flux=smooth_flux(7000.0, 11.0)),),
                           ignore="focus run", speed=2.0)  # fmt: skip
        self._slew(3.0)
        used = {self._standard(180.0, 1.15, set())}
        self._slew(4.0)
        ra, dec = self._field(-20.0, 22.0)
        self._sky_exposure("science", *[self._name()] * 2, 600.0, ra, dec, (self._supernova("Ia", 11000.0, 0.018, 14.9),), pointing=self._error())
        self._slew(4.0)
        ra, dec = self._field(10.0, 38.0)
        self._pair(self._name(), 900.0, ra, dec, (self._supernova("II", 8500.0, 0.025, 15.7),), (2.2, 2.9))
        self._slew(4.0)
        ra, dec = self._field(-25.0, 12.0)
        self._sky_exposure("science", *[self._name()] * 2, 1200.0, ra, dec, (self._supernova("Ia", 9500.0, 0.041, 17.0), self._host(16.9, 3.0, -2.2, 0.041)), pointing=self._error())
        self._slew(4.0)
        self._standard(240.0, 1.6, used)

    def _supernova(self, kind: str, temperature: float, redshift: float, magnitude: float, x: float = 0.0, y: float = 0.0) -> Source:
        return Source(name=f"SN-{kind}", x=x, y=y, flux=supernova_flux(kind, temperature, redshift, magnitude))

    def _host(self, magnitude: float, x: float, y: float, redshift: float, radius: float = 2.4) -> Source:
        return Source(name="host", x=x, y=y, flux=galaxy_flux(redshift, magnitude), radius=radius, sersic=1.4, axis_ratio=0.6,
                      angle_deg=float(self.rng.uniform(0.0, 180.0)), role="host")  # fmt: skip

    def _full(self) -> None:
        d, lamps = self.profile.detector, self.profile.lamps
        readout = d.speed(d.calibration_speed).readout_s
        slow_readout = d.speed(0.1).readout_s
        long = 10.0 * (slow_readout + 2.0) + 10.0 * 5.0 + 5.0 * (lamps.dome_exptime + readout + 2.0) + 5.0 * (lamps.hg_exptime + readout + 2.0)
        self.clock = self.midnight - (long + 400.0) / 86400.0
        # frames that look like calibrations and are not
        self._calibration("bias", "Calib:  bias 1 of 10", 5.0, 0.1, ignore="bias with an exposure time")
        self._calibration("dome", "Calib:  dome 1 of 5", lamps.dome_exptime, d.calibration_speed, light="dark", ignore="dome lamp off", current=0.0)
        self._calibration("Hg", "Calib:  Hg", lamps.hg_exptime, d.calibration_speed, ignore="calibration outside a series")
        self._calibration("science", "test", 10.0, 2.0, light="dark", ignore="test exposure")
        self._afternoon(10, 5)
        self._calibration("science", "dark 300s", 300.0, 0.1, light="dark", ignore="dark")
        self._twilight(2)
        self.clock = max(self.clock, self.dusk)
        ra, dec = self._field(-8.0, 25.0)
        star = Source(name="focus star", x=0.4, y=0.3, flux=smooth_flux(7000.0, 11.0))
        for value in (16.30, 16.37, 16.44):
            self._sky_exposure("science", f"Focus: {value:.2f}", "Focus", 20.0, ra, dec, (star,), ignore="focus run", speed=2.0)
        self._slew(3.0)
        used = {self._standard(120.0, 1.1, set())}
        self._slew(3.0)
        used.add(self._standard(240.0, 1.6, used))
        first = sorted(used)[0]
        self._slew(4.0)
        ra, dec = self._field(-22.0, 22.0)
        bright = (self._supernova("Ia", 11000.0, 0.012, 14.5),)
        name = self._name()
        for exptime in (300.0, 900.0, 1800.0):
            self._sky_exposure("science", name, name, exptime, ra, dec, bright, pointing=self._error())
            self._slew(1.5)
        ra, dec = self._field(12.0, 40.0)
        self._pair(self._name(), 900.0, ra, dec, (self._supernova("II", 8500.0, 0.025, 15.6),), (2.2, 2.9))
        self._slew(3.0)
        # the same star under the name of a target: its spectrum must come out as its table says
        star_now = self._best_up(used, first)
        self._one_standard(star_now, 300.0, label=f"{star_now} check")
        self._slew(3.0)
        ra, dec = self._field(-25.0, 12.0)
        self._sky_exposure("science", *[self._name()] * 2, 1800.0, ra, dec, (self._supernova("Ia", 9500.0, 0.041, 17.2), self._host(16.6, 2.8, -2.0, 0.041)), pointing=self._error())
        self._slew(3.0)
        ra, dec = self._field(5.0, 50.0)
        self._sky_exposure("science", *[self._name()] * 2, 1800.0, ra, dec, (self._supernova("Ic", 7000.0, 0.06, 19.4),), pointing=self._error())
        self._slew(3.0)
        ra, dec = self._field(-5.0, 5.0)
        self._sky_exposure("science", *[self._name()] * 2, 900.0, ra, dec, (), pointing=self._error())
        self._slew(3.0)
        ra, dec = self._field(-15.0, 35.0)
        self._sky_exposure("science", *[self._name()] * 2, 900.0, ra, dec, (self._supernova("Ia", 10000.0, 0.03, 15.8, x=10.4, y=-5.6),), pointing=self._error())
        self._slew(3.0)
        ra, dec = self._field(18.0, 28.0)
        self._pair(self._name("SN"), 1200.0, ra, dec, (self._supernova("Ia", 9000.0, 0.05, 17.6), Source(name="neighbour", x=-6.5, y=4.0, flux=smooth_flux(4500.0, 18.6), role="neighbour")), (-2.6, 2.4))
        self._slew(3.0)
        used.add(self._standard(180.0, 1.3, used))
        ra, dec = self._field(0.0, 30.0)
        self._sky_exposure("science", "STOW", "STOW", 60.0, ra, dec, (), ignore="telescope stowed")
        self._sky_exposure("science", *[self._name()] * 2, 300.0, ra, dec, (), ignore="dome closed", dome_open=False, light="dark")

    def _best_up(self, used: set[str], otherwise: str) -> str:
        def height(name: str) -> float:
            star = standards()[name]
            return almanac.place(almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec), self.clock).altitude

        best = max(standards(), key=height)
        return best if height(best) > 25.0 else otherwise
