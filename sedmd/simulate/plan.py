"""The observing log of a simulated night: which exposures, when, of what, under which conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from sedmd.core.errors import ConfigError
from sedmd.simulate import almanac
from sedmd.simulate.detector import Chip, build_chip
from sedmd.simulate.optics import Optics, build_optics
from sedmd.simulate.profiles import InstrumentProfile, load_profile
from sedmd.simulate.sources import Pointing, PointSpread, SimulatedSource


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedExposure:
    """One raw frame to be: what the telescope did and what the sky was like.

    Attributes
    ----------
    kind : str
        bias, dome, Hg, Cd, Xe, twilight, standard, science, focus, mapping; what was meant, also in an ignored frame.
    start : float
        Julian date at the start.
    object, target : str
        The OBJECT and NAME cards.
    exptime : float
        Seconds.
    speed : float
        Read-out speed, MHz.
    ignore : str
        Why a reduction must reject the frame; empty when it must not.
    unseen : bool
        No card tells that: only the pixels do, or the end of the exposure.
    sources : tuple of SimulatedSource
        Positions at 6500 A of this exposure, pointing errors included.
    ra, dec : float
        Direction of the target, degrees.
    aim : (float, float)
        Where that direction falls: East and North of the field axis, arcsec.
    offset : (float, float)
        RA_OFF, DEC_OFF: how far the encoder stands from the target, arcsec East and North: the step from the
        acquisition camera to the spectrograph, the correction of the pointing, and the nod of a pair.
    seeing : PointSpread
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
        Header cards that override the usual ones; None takes a card out.
    fault : str
        Name of a failure of ``cards.FAULTS`` that spoils the header; empty for none.
    packed : bool
        The raw file was gzipped in place.
    """

    kind: str
    start: float
    object: str
    target: str
    exptime: float
    speed: float
    light: str
    ignore: str = ""
    unseen: bool = False
    sources: tuple[SimulatedSource, ...] = ()
    ra: float = 0.0
    dec: float = 33.3563
    aim: tuple[float, float] = (0.0, 0.0)
    offset: tuple[float, float] = (0.0, 0.0)
    seeing: PointSpread = field(default_factory=lambda: PointSpread(fwhm=1.8, beta=3.2))
    pointings: tuple[Pointing, ...] = field(default_factory=lambda: (Pointing(airmass=1.0, parallactic_deg=0.0),))
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
    cards: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    packed: bool = False

    @property
    def when(self) -> datetime:
        """Start as a UTC time."""
        return almanac.from_julian(self.start).replace(tzinfo=None)

    @property
    def utc(self) -> datetime:
        """Start as an aware UTC time, cut to the second, as file names have it."""
        # Julian dates know a time to some 40 microseconds
        return (almanac.from_julian(self.start) + timedelta(microseconds=100)).replace(microsecond=0)

    @property
    def file(self) -> str:
        """Name of the raw file before it is gzipped."""
        return self.utc.strftime("ifu%Y%m%d_%H_%M_%S.fits")

    @property
    def folder(self) -> str:
        """UT date directory of the raw file."""
        return self.utc.strftime("%Y%m%d")

    @property
    def airmass(self) -> float:
        """Airmass at the middle of the exposure."""
        return float(np.mean([p.airmass for p in self.pointings]))


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedInstrument:
    """One realisation of a profile: optics and camera of a seed."""

    profile: InstrumentProfile
    seed: int
    optics: Optics

    @cached_property
    def chip(self) -> Chip:
        """The camera, 34 MB; made when the first frame is read out, as who only plans a night needs none."""
        return build_chip(self.profile, self.seed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NightPlan:
    """Everything needed to render any frame of a night, alone and in any order."""

    night: str
    seed: int
    size: str
    instrument: SimulatedInstrument
    exposures: tuple[PlannedExposure, ...]
    sunset: float
    sunrise: float

    def __len__(self) -> int:
        return len(self.exposures)


def build_instrument(profile: str | InstrumentProfile, seed: int = 1) -> SimulatedInstrument:
    """Optics and camera of a profile and seed."""
    return _instrument(load_profile(profile), seed)


@lru_cache(maxsize=2)
def _instrument(loaded: InstrumentProfile, seed: int) -> SimulatedInstrument:
    return SimulatedInstrument(profile=loaded, seed=seed, optics=build_optics(loaded, seed))


def exposure_of(
    instrument: SimulatedInstrument,
    sources: tuple[SimulatedSource, ...] = (),
    *,
    exptime: float = 600.0,
    airmass: float = 1.0,
    west: bool = True,
    dec: float = almanac.LATITUDE,
    flexure: tuple[float, float] = (0.0, 0.0),
    seeing: float = 1.6,
    start: float = 2457916.75,
    label: str = "target",
    speed: float | None = None,
) -> PlannedExposure:
    """One exposure of the sky by hand, for tests and scoring; its header, airmass and parallactic angle agree.

    Parameters
    ----------
    instrument : SimulatedInstrument
        From `build_instrument`.
    sources : tuple of SimulatedSource
        Positions at 6500 A, arcsec East and North of the field axis.
    exptime : float
        Seconds.
    airmass : float
        At the middle of the exposure.
    west : bool
        On which side of the meridian.
    dec : float
        Declination [degrees]; decides the parallactic angle that goes with the airmass.
    flexure : (float, float)
        dx, dy of the image on the chip, px.
    seeing : float
        FWHM at 5500 A, arcsec.
    start : float
        Julian date.
    label : str
        OBJECT and NAME.
    speed : float, optional
        MHz; the profile's science speed when not given.

    Raises
    ------
    ConfigError
        If the field never reaches that airmass.
    """
    profile = instrument.profile
    middle = start + 0.5 * exptime / 86400.0
    lst = almanac.sidereal_time(middle)
    hours = np.linspace(0.0, 120.0, 4801) * (1.0 if west else -1.0)
    reached = np.array([almanac.place((lst - h) % 360.0, dec, middle).airmass for h in hours])
    if not reached[0] - 2e-3 <= airmass <= 10.0:
        raise ConfigError(f"a field at declination {dec:.1f} has airmass {reached[0]:.3f} or more, not {airmass}")
    h = float(hours[int(np.argmin(np.abs(reached - airmass)))])
    ra = (lst - h) % 360.0
    count = 1 if exptime <= 120.0 else 5
    places = [almanac.place(ra, dec, start + f * exptime / 86400.0) for f in np.linspace(0.1, 0.9, count)]
    if count == 1:
        places = [almanac.place(ra, dec, middle)]
    n = profile.night
    return PlannedExposure(
        kind="science",
        start=start,
        object=label,
        target=label,
        exptime=exptime,
        speed=profile.detector.science_speed if speed is None else speed,
        light="sky",
        sources=sources,
        ra=ra,
        dec=dec,
        seeing=PointSpread(fwhm=seeing, beta=n.moffat_beta),
        pointings=tuple(
            Pointing(
                airmass=p.airmass,
                parallactic_deg=p.parallactic,
                pressure_mbar=n.pressure_mbar,
                temperature_c=n.temperature_c,
                humidity=n.humidity,
            )
            for p in places
        ),
        flexure=flexure,
        sky={"continuum": n.sky_continuum, "city": n.city, "na": n.sodium},
        water_mm=n.water_mm,
        dome_open=True,
    )
