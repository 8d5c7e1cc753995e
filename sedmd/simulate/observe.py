"""The observer of a simulated night: decides what is exposed when. No pixel is made here."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from sedmd.core.errors import ConfigError
from sedmd.simulate import almanac
from sedmd.simulate.cards import FAULTS
from sedmd.simulate.conditions import draw_conditions
from sedmd.simulate.plan import NightPlan, PlannedExposure, build_instrument
from sedmd.simulate.profiles import NEWEST, InstrumentProfile, load_profile, profile_of
from sedmd.simulate.sources import Pointing, SimulatedSource
from sedmd.simulate.spectra import galaxy_flux, smooth_flux, standard_flux, supernova_flux
from sedmd.simulate.tables import standards

SIZES = ("least", "mini", "full")
#: Exposure times of the robot's table of standard stars [s] (2024).
STANDARD_SECONDS = {"Feige34": 240.0, "HZ44": 240.0}
USUAL_STANDARD_SECONDS = 300.0
#: Seconds a lamp warms up before its first frame.
WARM_UP = {"Cd": 420.0}
USUAL_WARM_UP = 120.0


def plan_night(
    *,
    night: str | None = None,
    seed: int = 1,
    size: str = "full",
    profile: str | Path | InstrumentProfile | None = None,
    instrument: int | None = None,
) -> NightPlan:
    """Plan a night; no pixel is made.

    Parameters
    ----------
    night : str, optional
        YYYYMMDD, the UT date of the morning hours; without it the profile's example.
    seed : int
        Everything random follows from it.
    size : {"least", "mini", "full"}
        Calibrations, a standard star and one target; a complete night of some 30 frames; or one of some 70 with every
        kind of target and every frame to be ignored.
    profile : str, Path or InstrumentProfile, optional
        Name of a profile, path of a TOML file, or a loaded profile; without it that of the night's epoch, without a
        night too the newest.
    instrument : int, optional
        Seed of optics and camera, so that nights of one instrument can have other skies and another noise; without it
        they follow from `seed` too.

    Raises
    ------
    ConfigError
        If the date, the size or the profile cannot be used, or do not go together.
    """
    if size not in SIZES:
        raise ConfigError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
    loaded, night = profile_and_night(profile, night)
    day = _day(night)
    observer = _Observer(day, seed, loaded)
    getattr(observer, size)()
    return NightPlan(
        night=night,
        seed=seed,
        size=size,
        instrument=build_instrument(loaded, seed if instrument is None else instrument),
        exposures=_spoiled(sorted(observer.taken, key=lambda e: e.start), loaded, seed, short=size == "full"),
        sunset=observer.conditions.sunset,
        sunrise=observer.conditions.sunrise,
    )


def profile_and_night(
    profile: str | Path | InstrumentProfile | None, night: str | None
) -> tuple[InstrumentProfile, str]:
    """The profile and the night where one of them, or both, may be left open.

    Raises
    ------
    ConfigError
        As `plan_night`.
    """
    if night is not None:
        _day(night)
    if profile is None:
        profile = NEWEST if night is None else profile_of(night)
    loaded = load_profile(profile)
    night = loaded.example if night is None else night
    first, last = loaded.nights
    if not first <= night <= last:
        raise ConfigError(f"profile {loaded.name} is of nights {first} to {last}, not of {night}")
    return loaded, night


def _day(night: str) -> datetime:
    try:
        return datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as err:
        raise ConfigError(f"night must be a date YYYYMMDD, got {night!r}") from err


def _spoiled(
    exposures: list[PlannedExposure], profile: InstrumentProfile, seed: int, *, short: bool
) -> tuple[PlannedExposure, ...]:
    """The night's frames with the failures of the telescope's software among them, and some of them gzipped.

    `short` headers come once in a calibration series, as the robot goes on after one, and only where the series is long
    enough to do without that frame. A frame that must be rejected keeps the cards that say so.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 505]))
    lost: set[tuple[str, float]] = set()
    out = []
    for exposure in exposures:
        fails, packed, which = rng.random(3)
        fault = ""
        if fails < profile.night.faults and not exposure.ignore:
            series = (exposure.kind, exposure.speed)
            can_be_short = short and exposure.kind in ("bias", "dome", "Hg", "Cd", "Xe") and series not in lost
            names = [
                name
                for name, (styles, what) in FAULTS.items()
                if profile.header.style in styles and (can_be_short or not what.short)
            ]
            fault = names[int(which * len(names))]
            if FAULTS[fault][1].short:
                lost.add(series)
        out.append(replace(exposure, fault=fault, packed=bool(packed < profile.night.packed)))
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Target:
    """What the telescope points at: OBJECT and NAME, direction [degrees], objects of the field (before any offset),
    and RA_OFF, DEC_OFF [arcsec] that bring it into the spectrograph."""

    label: str
    name: str
    ra: float
    dec: float
    sources: tuple[SimulatedSource, ...] = ()
    offset: tuple[float, float] = (0.0, 0.0)


class _Observer:
    """Works through the night in order of time; `clock` is the Julian date at which the telescope is free."""

    def __init__(self, day: datetime, seed: int, profile: InstrumentProfile) -> None:
        self.profile = profile
        self.rng = np.random.default_rng(np.random.SeedSequence([seed, 303]))
        self.conditions = draw_conditions(profile, almanac.julian_date(day), self.rng)
        self.day = day
        self.clock = self.conditions.midnight
        self.taken: list[PlannedExposure] = []
        self.names: set[str] = set()
        self.style = profile.header.style
        # in the years of pairs ABPAIR was first absent, later text
        self.has_pair_card = self.style != "2017" or bool(self.rng.random() < 0.5)

    # exposures --------------------------------------------------------------------------------------------------
    def _take(self, exposure: PlannedExposure) -> None:
        start = (round(self.clock * 86400.0) + float(self.rng.uniform(0.05, 0.95))) / 86400.0
        self.taken.append(replace(exposure, start=start, drift=self.conditions.drift(start, self.rng)))
        readout = self.profile.detector.speed(exposure.speed).readout_s
        self.clock = start + (exposure.exptime + readout + 2.0) / 86400.0

    def _pair_cards(self, half: str = "") -> dict[str, object]:
        """ABPAIR and IMGSET as the epoch writes them; `half` is A or B of a pair."""
        if self.style == "2017":
            return {"ABPAIR": str(bool(half)) if self.has_pair_card else None}
        if self.style == "2018":
            return {"ABPAIR": "False" if self.rng.random() < 0.3 else False}
        return {}

    def _indoors(
        self,
        kind: str,
        label: str,
        exptime: float,
        speed: float,
        *,
        light: str,
        ignore: str = "",
        unseen: bool = False,
        level: float = 1.0,
        current: float = 0.0,
    ) -> None:
        """A frame with the dome closed; the telescope stands 3.6 h West of the meridian at declination +50."""
        self._take(
            PlannedExposure(
                kind=kind,
                start=0.0,
                object=label,
                target=label,
                exptime=exptime,
                speed=speed,
                light=light,
                ignore=ignore,
                unseen=unseen,
                ra=(almanac.sidereal_time(self.clock) - 54.0) % 360.0,
                dec=50.0,
                flexure=self.conditions.day_flexure(self.rng),
                breathing=self.conditions.breathing(self.clock),
                lamp_current=current,
                level=level,
                cards=self._pair_cards(),
            )
        )

    def _outdoors(
        self,
        target: _Target,
        exptime: float,
        *,
        kind: str = "science",
        nod: tuple[float, float] = (0.0, 0.0),
        wander: tuple[float, float] | None = None,
        ignore: str = "",
        unseen: bool = False,
        speed: float | None = None,
        light: str = "sky",
        level: float = 1.0,
        dome_open: bool = True,
        transparency: float = 1.0,
        cards: dict[str, object] | None = None,
    ) -> None:
        """A frame of the sky; `wander` is the pointing error [arcsec], drawn when not given.

        The target falls where the epoch's targets do (`night.place`), but for that error and the nod.
        """
        n, conditions, start = self.profile.night, self.conditions, self.clock
        wander = self._error() if wander is None else wander
        aim = (n.place[0] + wander[0] - nod[0], n.place[1] + wander[1] - nod[1])
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
        self._take(
            PlannedExposure(
                kind=kind,
                start=0.0,
                object=target.label,
                target=target.name,
                exptime=exptime,
                speed=self.profile.detector.science_speed if speed is None else speed,
                light=light,
                ignore=ignore,
                unseen=unseen,
                sources=tuple(replace(s, x=s.x + aim[0], y=s.y + aim[1]) for s in target.sources),
                ra=target.ra,
                dec=target.dec,
                aim=aim,
                offset=(target.offset[0] + nod[0], target.offset[1] + nod[1]),
                seeing=conditions.image(start, middle.airmass, self.rng),
                pointings=pointings,
                flexure=conditions.flexure(start + 0.5 * exptime / 86400.0, middle.hour_angle, target.dec),
                breathing=conditions.breathing(start),
                moon=(phase, moon_zenith, almanac.separation(target.ra, target.dec, moon_ra, moon_dec)),
                sky=conditions.airglow(start, self.rng),
                transparency=transparency * float(1.0 + n.transparency_rms * self.rng.standard_normal()),
                extinction=conditions.extinction,
                water_mm=conditions.water_mm,
                dome_open=dome_open,
                level=level,
                cards={**self._pair_cards(), **(cards or {})},
            )
        )

    def _error(self) -> tuple[float, float]:
        east, north = self.profile.night.pointing_rms * self.rng.standard_normal(2)
        return float(east), float(north)

    def _slew(self, minutes: float = 3.0) -> None:
        self.clock += minutes / 1440.0

    # calibrations -----------------------------------------------------------------------------------------------
    def _label(self, kind: str, number: int, count: int) -> str:
        old = self.style in ("2017", "2018")
        what = "dome lamp" if kind == "dome" and not old else kind
        return f"Calib:{'  ' if old else ' '}{what} {number} of {count}"

    def _series(self, kind: str, count: int, exptime: float, speed: float, *, taken: int | None = None) -> None:
        """`taken` frames of a series of `count`, all of them if not given."""
        light = "dark" if kind == "bias" else kind
        for i in range(count if taken is None else taken):
            level = 1.0 + (0.004 if kind == "dome" else 0.01) * float(self.rng.standard_normal())
            current = 4.2 if kind == "dome" else 0.0
            label = self._label(kind, i + 1, count)
            self._indoors(kind, label, exptime, speed, light=light, level=level, current=current)

    def _lamp(self, kind: str, count: int) -> None:
        times = self.profile.lamps
        exptime = {"dome": times.dome_exptime, "Hg": times.hg_exptime, "Cd": times.cd_exptime, "Xe": times.xe_exptime}
        self.clock += WARM_UP.get(kind, USUAL_WARM_UP) / 86400.0
        self._series(kind, count, exptime[kind], self.profile.detector.calibration_speed)

    def _calibrations(self, biases: int, lamps: int, *, crash: bool = False) -> None:
        """Everything that is taken with the dome closed; after a `crash` the robot takes the biases still lacking."""
        speeds = sorted(self.profile.detector.speeds, key=lambda speed: -speed.mhz)
        for speed in speeds:
            if crash and speed is speeds[-1]:
                self._series("bias", biases, 0.0, speed.mhz, taken=biases - 4)
                self.clock += 90.0 / 86400.0
                self._series("bias", 4, 0.0, speed.mhz)
            else:
                self._series("bias", biases, 0.0, speed.mhz)
        for kind in ("dome", "Hg", "Xe", "Cd") if self.style in ("2021", "2024") else ("Cd", "dome", "Hg", "Xe"):
            self._lamp(kind, lamps)

    def _open_up(self, biases: int, lamps: int, spare_s: float = 0.0) -> None:
        """Set the clock to the first calibration: the robot wakes at 0 h UT since 2019; before, they lie around it."""
        if self.style not in ("2017", "2018"):
            self.clock = self.conditions.midnight + (9.0 * 60.0 + float(self.rng.uniform(0.0, 60.0))) / 86400.0
            return
        d, times = self.profile.detector, self.profile.lamps
        readout = d.speed(d.calibration_speed).readout_s + 2.0
        need = biases * sum(speed.readout_s + 2.0 for speed in d.speeds) + WARM_UP["Cd"] + USUAL_WARM_UP
        need += lamps * (times.cd_exptime + times.dome_exptime + 2.0 * readout)
        self.clock = self.conditions.midnight - (need + spare_s) / 86400.0

    def _twilight(self, count: int) -> None:
        self.clock = max(self.clock, self.conditions.sunset + 14.0 / 1440.0)
        for i in range(count):
            ra, dec = self._direction(-15.0, 30.0)
            label = f"Calib:  twilight {i + 1} of {count}"
            target = _Target(label=label, name=label, ra=ra, dec=dec)
            self._outdoors(target, 30.0, kind="twilight", light="twilight", level=float(np.exp(-0.35 * i)))
            self._slew(1.5)

    def _focus(self, count: int) -> None:
        """The rainbow camera's focus run; with it a few of the spectrograph."""
        self.clock = max(self.clock, self.conditions.dusk)
        ra, dec = self._direction(-8.0, 25.0)
        star = SimulatedSource(name="focus_star", x=0.4, y=0.3, flux=smooth_flux(7000.0, 11.0))
        for _ in range(count):
            target = _Target(label="FOCUS: Focus", name="FOCUS: Focus", ra=ra, dec=dec, sources=(star,))
            speed = self.profile.detector.calibration_speed
            self._outdoors(target, 20.0, kind="focus", ignore="focus run", speed=speed)
        self._slew(10.0)

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

    def _new(self, hour_angle: float, dec: float, *sources: SimulatedSource, style: str = "ZTF") -> _Target:
        """A transient nobody has named yet; its sources with role "target" take its name."""
        name = self._name(style)
        ra, dec = self._direction(hour_angle, dec)
        own = tuple(replace(s, name=name) if s.role == "target" else s for s in sources)
        return _Target(label=name, name=name, ra=ra, dec=dec, sources=own, offset=self._step())

    def _step(self) -> tuple[float, float]:
        """RA_OFF, DEC_OFF of a pointing: from the acquisition camera to the spectrograph, and a correction."""
        n = self.profile.night
        east, north = np.array(n.step) + n.correction_rms * self.rng.standard_normal(2)
        return float(east), float(north)

    def _visit(self, target: _Target, exptime: float, **how: Any) -> None:
        """A single exposure of a target; since the pairs ended it carries [A] nevertheless."""
        tail = {"2017": "", "2018": "  [A]"}.get(self.style, " [A]")
        self._outdoors(replace(target, label=target.name + tail), exptime, **how)
        self._slew()

    def _nod(self, target: _Target, exptime: float, nod: tuple[float, float]) -> None:
        """An A/B pair: the telescope moves by 2 `nod`, the acquisition of B is repeated with a smaller error."""
        error = self._error()
        for token, sign in (("A", 1.0), ("B", -1.0)):
            again = 0.15 * self.rng.standard_normal(2)
            self._outdoors(
                replace(target, label=f"{target.name} [{token}]"),
                exptime,
                nod=(sign * nod[0], sign * nod[1]),
                wander=(error[0] + float(again[0]), error[1] + float(again[1])),
                cards=self._pair_cards(token),
            )
        self._slew()

    def _pair_or_single(self, target: _Target, exptime: float, nod: tuple[float, float]) -> None:
        """A pair in the years of pairs, later one exposure of twice the time."""
        if self.style == "2017":
            self._nod(target, exptime, nod)
        else:
            self._visit(target, min(2.0 * exptime, 2700.0))

    def _star_airmass(self, name: str, exptime: float) -> float:
        star = standards()[name]
        ra, dec = almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec)
        return almanac.place(ra, dec, self.clock + 0.5 * exptime / 86400.0).airmass

    def _highest(self) -> str:
        return min(standards(), key=lambda name: self._star_airmass(name, USUAL_STANDARD_SECONDS))

    def _standard(self) -> None:
        """The standard star nearest to the zenith, whether or not it was observed before."""
        name = self._highest()
        self._star(name, f"STD-{name}", f"STD-{name}", kind="standard")

    def _star(self, name: str, label: str, target: str, *, kind: str) -> None:
        star = standards()[name]
        ra, dec = almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec)
        source = SimulatedSource(name=name, x=0.0, y=0.0, flux=standard_flux(name))
        pointing = _Target(label=label, name=target, ra=ra, dec=dec, sources=(source,), offset=self._step())
        self._outdoors(pointing, STANDARD_SECONDS.get(name, USUAL_STANDARD_SECONDS), kind=kind)
        self._slew()

    # nights -----------------------------------------------------------------------------------------------------
    def least(self) -> None:
        """The smallest night from which a calibrated spectrum comes."""
        self._open_up(5, 3)
        self._calibrations(5, 3)
        self.clock = max(self.clock, self.conditions.dusk) + 20.0 / 1440.0
        self._standard()
        self._visit(self._new(-20.0, 22.0, _supernova("Ia", 11000.0, 0.018, 15.6)), 1440.0)

    def mini(self) -> None:
        """The smallest complete night."""
        self._open_up(5, 3, 60.0)
        self._calibrations(5, 3)
        self._focus(1)
        self._standard()
        self._visit(self._new(-20.0, 22.0, _supernova("Ia", 11000.0, 0.018, 15.5)), 1440.0)
        self._pair_or_single(self._new(10.0, 38.0, _supernova("II", 8500.0, 0.025, 16.3)), 1200.0, (2.2, 2.9))
        on_host = (_supernova("Ia", 9500.0, 0.041, 17.2), self._host(17.1, 3.0, -2.2, 0.041))
        self._visit(self._new(-25.0, 12.0, *on_host), 2160.0)
        self._standard()

    def full(self) -> None:
        """A long night: every kind of target, several exposure times, and every frame that must be rejected."""
        d = self.profile.detector
        fast, slow = d.calibration_speed, d.science_speed
        self._open_up(10, 5, 420.0)
        self._indoors("bias", self._label("bias", 1, 10), 5.0, slow, light="dark", ignore="bias with an exposure time")
        dome = self._label("dome", 1, 5)
        seconds = self.profile.lamps.dome_exptime
        self._indoors("dome", dome, seconds, fast, light="dark", ignore="dome lamp off", unseen=True)
        self._indoors("science", "test", 10.0, fast, light="dark", ignore="test exposure")
        self._calibrations(10, 5, crash=self.style in ("2021", "2024"))
        self._indoors("science", "dark 300s", 300.0, slow, light="dark", ignore="dark")
        if self.style == "2017":
            self._twilight(2)
        self._focus(3)
        self._standard()
        bright = self._new(-22.0, 22.0, _supernova("Ia", 11000.0, 0.012, 15.0))
        for exptime in (1200.0, 2160.0):
            self._visit(bright, exptime)
        self._pair_or_single(self._new(12.0, 40.0, _supernova("II", 8500.0, 0.025, 16.2)), 1200.0, (2.2, 2.9))
        # a kind of standard star under the name of a target: its spectrum must come out as its table says
        high = self._highest()
        self._star(high, f"{high} check", f"{high} check", kind="science")
        self._standard()
        on_host = (_supernova("Ia", 9500.0, 0.041, 17.2), self._host(16.6, 2.8, -2.0, 0.041))
        self._visit(self._new(-25.0, 12.0, *on_host), 2250.0)
        self._mapping(high)
        self._visit(self._new(5.0, 50.0, _supernova("Ic", 7000.0, 0.06, 19.4)), 2160.0)
        self._visit(self._new(-5.0, 5.0), 1440.0)
        # acquisition failed: nobody told the telescope, and no card says so
        for far in ((31.0, -22.0), (8.2, -5.6)):
            self._visit(self._new(-15.0, 35.0, _supernova("Ia", 10000.0, 0.03, 16.5)), 1440.0, wander=far)
        neighbour = SimulatedSource(name="neighbour", x=-6.5, y=4.0, flux=smooth_flux(4500.0, 18.6), role="neighbour")
        crowded = self._new(18.0, 28.0, _supernova("Ia", 9000.0, 0.05, 17.6), neighbour, style="SN")
        self._pair_or_single(crowded, 1200.0, (-2.6, 2.4))
        if self.style != "2017":
            shut = self._new(-10.0, 45.0, _supernova("Ia", 9000.0, 0.03, 16.8))
            ended = {"ENDDOME": "closed"} if self.style != "2018" else {}
            self._visit(
                shut, 1440.0, transparency=0.55, ignore="dome closed during the exposure", unseen=True, cards=ended
            )
        self._standard()
        ra, dec = self._direction(0.0, 30.0)
        self._outdoors(_Target(label="STOW", name="STOW", ra=ra, dec=dec), 60.0, ignore="telescope stowed")
        self._outdoors(self._new(0.0, 30.0), 300.0, ignore="dome closed", dome_open=False, light="dark")

    def _mapping(self, name: str) -> None:
        """Five short exposures of a star around the middle of the field, to find where that is."""
        star = standards()[name]
        ra, dec = almanac.degrees_of(star.ra, hours=True), almanac.degrees_of(star.dec)
        source = SimulatedSource(name=name, x=0.0, y=0.0, flux=standard_flux(name))
        target = f"{name}_IFU_MAPPING"
        for nod in ((0.0, 0.0), (5.0, 0.0), (-5.0, 0.0), (0.0, 5.0), (0.0, -5.0)):
            pointing = _Target(
                label=f"{target} [NA]", name=target, ra=ra, dec=dec, sources=(source,), offset=self._step()
            )
            self._outdoors(pointing, 120.0, kind="mapping", nod=nod, ignore="map of the field")

    def _host(self, magnitude: float, x: float, y: float, redshift: float) -> SimulatedSource:
        return SimulatedSource(
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
) -> SimulatedSource:
    flux = supernova_flux(kind, temperature, redshift, magnitude)
    return SimulatedSource(name="transient", x=x, y=y, flux=flux)
