"""The observer of a simulated night: decides what is exposed when. No pixel is made here."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from ..errors import ConfigError
from . import almanac
from .conditions import draw_conditions
from .plan import Exposure, NightPlan, build_instrument
from .profiles import Profile, load_profile
from .sources import Pointing, Source
from .spectra import galaxy_flux, smooth_flux, standard_flux, supernova_flux
from .tables import standards

SIZES = ("mini", "full")


def plan_night(*, night: str, seed: int = 1, size: str = "full", profile: str | Profile = "kpy") -> NightPlan:
    """Plan a night; no pixel is made.

    Parameters
    ----------
    night : str
        YYYYMMDD, the UT date of the morning hours.
    seed : int
        Everything random follows from it.
    size : {"mini", "full"}
        A complete night of some 30 frames, or one of some 70 with every kind of target and every frame to be ignored.
    profile : str or Profile
        Name of a profile, path of a TOML file, or a loaded profile.

    Raises
    ------
    ConfigError
        If the date, the size or the profile cannot be used.
    """
    try:
        day = datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as err:
        raise ConfigError(f"night must be a date YYYYMMDD, got {night!r}") from err
    if size not in SIZES:
        raise ConfigError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    loaded = load_profile(profile)
    observer = _Observer(day, seed, loaded)
    (observer.mini if size == "mini" else observer.full)()
    return NightPlan(
        night=night,
        seed=seed,
        size=size,
        instrument=build_instrument(loaded, seed),
        exposures=tuple(sorted(observer.taken, key=lambda e: e.start)),
        sunset=observer.conditions.sunset,
        sunrise=observer.conditions.sunrise,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Target:
    """What the telescope points at: OBJECT and NAME, direction [degrees], objects of the field (before any offset)."""

    label: str
    name: str
    ra: float
    dec: float
    sources: tuple[Source, ...] = ()


class _Observer:
    """Works through the night in order of time; `clock` is the Julian date at which the telescope is free."""

    def __init__(self, day: datetime, seed: int, profile: Profile) -> None:
        self.profile = profile
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 303]))
        self.conditions = draw_conditions(profile, almanac.julian_date(day), self.rng)
        self.day = day
        self.clock = self.conditions.midnight
        self.taken: list[Exposure] = []
        self.names: set[str] = set()
        self.used: set[str] = set()

    # exposures --------------------------------------------------------------------------------------------------
    def _take(self, exposure: Exposure) -> None:
        start = round(self.clock * 86400.0) / 86400.0
        self.taken.append(replace(exposure, start=start, drift=self.conditions.drift(start, self.rng)))
        readout = self.profile.detector.speed(exposure.speed).readout_s
        self.clock = start + (exposure.exptime + readout + 2.0) / 86400.0

    def _indoors(
        self,
        kind: str,
        label: str,
        exptime: float,
        speed: float,
        *,
        light: str,
        ignore: str = "",
        level: float = 1.0,
        current: float = 0.0,
    ) -> None:
        """A frame with the dome closed."""
        name = label.split(" of ")[0].rstrip("0123456789 ") if label.startswith("Calib") else label
        self._take(
            Exposure(
                kind=kind,
                start=0.0,
                object=label,
                target=name,
                exptime=exptime,
                speed=speed,
                light=light,
                ignore=ignore,
                ra=almanac.sidereal_time(self.clock),
                flexure=self.conditions.day_flexure(self.rng),
                breathing=self.conditions.breathing(self.clock),
                lamp_current=current,
                level=level,
            )
        )

    def _outdoors(
        self,
        target: _Target,
        exptime: float,
        *,
        kind: str = "science",
        offset: tuple[float, float] = (0.0, 0.0),
        wander: tuple[float, float] | None = None,
        ignore: str = "",
        speed: float | None = None,
        light: str = "sky",
        level: float = 1.0,
        dome_open: bool = True,
        cards: dict[str, object] | None = None,
    ) -> None:
        """A frame of the sky; `wander` is the pointing error, drawn when not given."""
        n, conditions, start = self.profile.night, self.conditions, self.clock
        wander = self._error() if wander is None else wander
        instants = np.array([0.5]) if exptime <= 120.0 else np.linspace(0.1, 0.9, 5 if exptime > 600.0 else 3)
        places = [almanac.place(target.ra, target.dec, start + f * exptime / 86400.0) for f in instants]
        guiding = n.guiding_rms * self.rng.standard_normal((len(places), 2))
        guiding -= guiding.mean(axis=0)
        pointings = tuple(
            Pointing(
                airmass=p.airmass,
                parallactic_deg=p.parallactic,
                guide_x=float(g[0]),
                guide_y=float(g[1]),
                pressure_mbar=n.pressure_mbar,
                temperature_c=conditions.temperature(start),
                humidity=n.humidity,
            )
            for p, g in zip(places, guiding, strict=True)
        )
        middle = places[len(places) // 2]
        moon_ra, moon_dec, phase = almanac.moon(start)
        moon_zenith = 90.0 - almanac.place(moon_ra, moon_dec, start).altitude
        moved = tuple(replace(s, x=s.x - offset[0] + wander[0], y=s.y - offset[1] + wander[1]) for s in target.sources)
        self._take(
            Exposure(
                kind=kind,
                start=0.0,
                object=target.label,
                target=target.name,
                exptime=exptime,
                speed=self.profile.detector.science_speed if speed is None else speed,
                light=light,
                ignore=ignore,
                sources=moved,
                ra=target.ra,
                dec=target.dec,
                offset=offset,
                seeing=conditions.image(start, middle.airmass, self.rng),
                pointings=pointings,
                flexure=conditions.flexure(start + 0.5 * exptime / 86400.0, middle.hour_angle, target.dec),
                breathing=conditions.breathing(start),
                moon=(phase, moon_zenith, almanac.separation(target.ra, target.dec, moon_ra, moon_dec)),
                sky=conditions.airglow(start, self.rng),
                transparency=float(1.0 + n.transparency_rms * self.rng.standard_normal()),
                extinction=conditions.extinction,
                water_mm=conditions.water_mm,
                dome_open=dome_open,
                level=level,
                cards=cards or {},
            )
        )

    def _error(self) -> tuple[float, float]:
        east, north = self.profile.night.pointing_rms * self.rng.standard_normal(2)
        return float(east), float(north)

    def _slew(self, minutes: float = 3.0) -> None:
        self.clock += minutes / 1440.0

    # calibrations -----------------------------------------------------------------------------------------------
    def _series(self, kind: str, count: int, exptime: float, speed: float, *, current: float = 0.0) -> None:
        light = "dark" if kind == "bias" else kind
        for i in range(count):
            level = 1.0 + (0.004 if kind == "dome" else 0.01) * float(self.rng.standard_normal())
            label = f"Calib:  {kind} {i + 1} of {count}"
            self._indoors(kind, label, exptime, speed, light=light, level=level, current=current)

    def _afternoon(self, biases: int, lamps: int) -> None:
        d, times = self.profile.detector, self.profile.lamps
        for speed in d.speeds:
            self._series("bias", biases, 0.0, speed.mhz)
        self._series("dome", lamps, times.dome_exptime, d.calibration_speed, current=4.2)
        self._series("Hg", lamps, times.hg_exptime, d.calibration_speed)
        self._series("Cd", lamps, times.cd_exptime, d.calibration_speed)
        self._series("Xe", lamps, times.xe_exptime, d.calibration_speed)

    def _before_midnight(self, biases: int, domes: int, spare_s: float) -> None:
        """Set the clock so that biases, domes and the first arcs are over at 0 h UT and the rest follow."""
        d, times = self.profile.detector, self.profile.lamps
        readout = d.speed(d.calibration_speed).readout_s + 2.0
        need = biases * sum(speed.readout_s + 2.0 for speed in d.speeds)
        need += domes * (times.dome_exptime + readout + times.hg_exptime + readout)
        self.clock = self.conditions.midnight - (need + spare_s) / 86400.0

    def _twilight(self, count: int) -> None:
        self.clock = max(self.clock, self.conditions.sunset + 14.0 / 1440.0)
        for i in range(count):
            ra, dec = self._direction(-15.0, 30.0)
            target = _Target(label=f"Calib:  twilight {i + 1} of {count}", name="Calib:  twilight", ra=ra, dec=dec)
            self._outdoors(target, 30.0, kind="twilight", light="twilight", level=float(np.exp(-0.35 * i)))
            self._slew(1.5)
        self.clock = max(self.clock, self.conditions.dusk)

    def _focus(self, positions: tuple[float, ...]) -> None:
        ra, dec = self._direction(-8.0, 25.0)
        star = Source(name="focus_star", x=0.4, y=0.3, flux=smooth_flux(7000.0, 11.0))
        for value in positions:
            target = _Target(label=f"Focus: {value:.2f}", name="Focus", ra=ra, dec=dec, sources=(star,))
            self._outdoors(target, 20.0, ignore="focus run", speed=self.profile.detector.calibration_speed)
        self._slew()

    # targets ----------------------------------------------------------------------------------------------------
    def _direction(self, hour_angle: float, dec: float) -> tuple[float, float]:
        """The direction that has this hour angle [degrees] now."""
        return (almanac.sidereal_time(self.clock) - hour_angle) % 360.0, dec

    def _name(self, style: str) -> str:
        while True:
            letters = "".join(self.rng.choice(list(string.ascii_lowercase), 5))
            name = f"ZTF{self.day:%y}aa{letters}" if style == "ZTF" else f"SN {self.day:%Y}{letters[:3]}"
            if name not in self.names:
                self.names.add(name)
                return name

    def _new(self, hour_angle: float, dec: float, *sources: Source, style: str = "ZTF") -> _Target:
        """A transient nobody has named yet; its sources with role "target" take its name."""
        name = self._name(style)
        ra, dec = self._direction(hour_angle, dec)
        own = tuple(replace(s, name=name) if s.role == "target" else s for s in sources)
        return _Target(label=name, name=name, ra=ra, dec=dec, sources=own)

    def _nod(self, target: _Target, exptime: float, nod: tuple[float, float]) -> None:
        """An A/B pair: the telescope moves by 2 `nod`, the acquisition of B is repeated with a smaller error."""
        error = self._error()
        for token, sign in (("A", 1.0), ("B", -1.0)):
            again = 0.15 * self.rng.standard_normal(2)
            self._outdoors(
                replace(target, label=f"{target.name} [{token}]"),
                exptime,
                offset=(sign * nod[0], sign * nod[1]),
                wander=(error[0] + float(again[0]), error[1] + float(again[1])),
                cards={"ABPAIR": True, "IMGSET": token},
            )
        self._slew()

    def _standard(self, exptime: float, airmass: float) -> None:
        """The standard nearest to the wanted airmass that was not used yet."""

        def cost(name: str) -> float:
            x = self._star_airmass(name, exptime)
            return abs(x - airmass) + (0.8 if name in self.used else 0.0) + (5.0 if x > 2.3 else 0.0)

        name = min(standards(), key=cost)
        self.used.add(name)
        self._star(name, f"STD-{name}", exptime, kind="standard")

    def _star_airmass(self, name: str, exptime: float) -> float:
        star = standards()[name]
        ra, dec = almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec)
        return almanac.place(ra, dec, self.clock + 0.5 * exptime / 86400.0).airmass

    def _star(self, name: str, label: str, exptime: float, *, kind: str) -> None:
        star = standards()[name]
        ra, dec = almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec)
        source = Source(name=name, x=0.0, y=0.0, flux=standard_flux(name))
        self._outdoors(_Target(label=label, name=label, ra=ra, dec=dec, sources=(source,)), exptime, kind=kind)
        self._slew()

    # nights -----------------------------------------------------------------------------------------------------
    def mini(self) -> None:
        """The smallest complete night."""
        self._before_midnight(5, 3, 60.0)
        self._afternoon(5, 3)
        self._twilight(1)
        self._focus((16.37,))
        self._standard(180.0, 1.15)
        self._outdoors(self._new(-20.0, 22.0, _supernova("Ia", 11000.0, 0.018, 14.9)), 600.0)
        self._slew()
        self._nod(self._new(10.0, 38.0, _supernova("II", 8500.0, 0.025, 15.7)), 900.0, (2.2, 2.9))
        on_host = (_supernova("Ia", 9500.0, 0.041, 17.0), self._host(16.9, 3.0, -2.2, 0.041))
        self._outdoors(self._new(-25.0, 12.0, *on_host), 1200.0)
        self._slew()
        self._standard(240.0, 1.6)

    def full(self) -> None:
        """A long night: every kind of target, three exposure times, and every frame that must be left out."""
        d, times = self.profile.detector, self.profile.lamps
        fast, slow = d.calibration_speed, d.science_speed
        self._before_midnight(10, 5, 420.0)
        self._indoors("bias", "Calib:  bias 1 of 10", 5.0, slow, light="dark", ignore="bias with an exposure time")
        self._indoors("dome", "Calib:  dome 1 of 5", times.dome_exptime, fast, light="dark", ignore="dome lamp off")
        self._indoors("Hg", "Calib:  Hg", times.hg_exptime, fast, light="Hg", ignore="calibration outside a series")
        self._indoors("science", "test", 10.0, fast, light="dark", ignore="test exposure")
        self._afternoon(10, 5)
        self._indoors("science", "dark 300s", 300.0, slow, light="dark", ignore="dark")
        self._twilight(2)
        self._focus((16.30, 16.37, 16.44))
        self._standard(120.0, 1.1)
        self._standard(240.0, 1.6)
        bright = self._new(-22.0, 22.0, _supernova("Ia", 11000.0, 0.012, 14.5))
        for exptime in (300.0, 900.0, 1800.0):
            self._outdoors(bright, exptime)
            self._slew(1.5)
        self._nod(self._new(12.0, 40.0, _supernova("II", 8500.0, 0.025, 15.6)), 900.0, (2.2, 2.9))
        # the same kind of star under the name of a target: its spectrum must come out as its table says
        high = min(standards(), key=lambda name: self._star_airmass(name, 300.0))
        self._star(high, f"{high} check", 300.0, kind="science")
        on_host = (_supernova("Ia", 9500.0, 0.041, 17.2), self._host(16.6, 2.8, -2.0, 0.041))
        self._outdoors(self._new(-25.0, 12.0, *on_host), 1800.0)
        self._slew()
        self._outdoors(self._new(5.0, 50.0, _supernova("Ic", 7000.0, 0.06, 19.4)), 1800.0)
        self._slew()
        self._outdoors(self._new(-5.0, 5.0), 900.0)
        self._slew()
        self._outdoors(self._new(-15.0, 35.0, _supernova("Ia", 10000.0, 0.03, 15.8, x=10.4, y=-5.6)), 900.0)
        self._slew()
        neighbour = Source(name="neighbour", x=-6.5, y=4.0, flux=smooth_flux(4500.0, 18.6), role="neighbour")
        crowded = self._new(18.0, 28.0, _supernova("Ia", 9000.0, 0.05, 17.6), neighbour, style="SN")
        self._nod(crowded, 1200.0, (-2.6, 2.4))
        self._standard(180.0, 1.3)
        ra, dec = self._direction(0.0, 30.0)
        self._outdoors(_Target(label="STOW", name="STOW", ra=ra, dec=dec), 60.0, ignore="telescope stowed")
        self._outdoors(self._new(0.0, 30.0), 300.0, ignore="dome closed", dome_open=False, light="dark")

    def _host(self, magnitude: float, x: float, y: float, redshift: float) -> Source:
        return Source(
            name="host",
            x=x,
            y=y,
            flux=galaxy_flux(redshift, magnitude),
            radius=2.4,
            sersic=1.4,
            axis_ratio=0.6,
            angle_deg=float(self.rng.uniform(0.0, 180.0)),
            role="host",
        )


def _supernova(
    kind: str, temperature: float, redshift: float, magnitude: float, x: float = 0.0, y: float = 0.0
) -> Source:
    flux = supernova_flux(kind, temperature, redshift, magnitude)
    return Source(name="transient", x=x, y=y, flux=flux)
