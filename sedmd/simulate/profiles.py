"""Instrument profiles: every number of the simulated spectrograph, read from ``profiles/*.toml``.

A profile is data. ``load_profile`` accepts the name of a profile of the package or the path of a TOML file with the
same keys; an unknown, missing or ill-typed key is an error that names it. A profile that is ``like`` another one of the
package states only what differs.
"""

from __future__ import annotations

import tomllib
import types
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sedmd.core.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArray:
    """Raw array: `size` rows; in x `prescan` columns, those that see light, `overscan` columns, `width` in all."""

    size: int
    width: int
    prescan: int
    overscan: int
    turned: bool

    @property
    def columns(self) -> int:
        """Number of columns that see light."""
        return self.width - self.prescan - self.overscan


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """One read-out speed: read noise in electrons, bias level in ADU."""

    mhz: float
    read_noise: float
    bias: float
    readout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    gain: float
    full_well: float
    dark: float
    pixel_rms: float
    hot_pixels: int
    dead_pixels: int
    dead_columns: int
    cosmic_rate: float
    pixel_um: float
    thickness_um: float
    calibration_speed: float
    science_speed: float
    bias_structure: float
    bias_rows: float
    bias_drift: float
    speeds: tuple[Speed, ...]
    #: Share of the charge of each pixel that the next exposure finds there.
    persistence: float = 0.0

    def speed(self, mhz: float) -> Speed:
        """The read-out speed of that many MHz; ConfigError when the camera does not have it."""
        for speed in self.speeds:
            if abs(speed.mhz - mhz) < 1e-6:
                return speed
        have = ", ".join(str(speed.mhz) for speed in self.speeds)
        raise ConfigError(f"no read-out speed of {mhz} MHz in this profile; it has {have}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LensletArray:
    step_q: tuple[float, ...]
    step_r: tuple[float, ...]
    origin: tuple[float, ...]
    reference: float
    rotation_deg: float
    field_centre: tuple[float, ...]
    field_radius: float
    field_half_width: float
    distortion: tuple[float, ...]
    pitch_gradient: float
    jitter: float
    dark_corner: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    arcsec_per_pixel: float
    rotation_deg: float
    parity: int
    axis_offset: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    tilt_deg: float
    tilt_x: float
    tilt_y: float
    tilt_rms: float
    sag: float
    sag_x: float
    sag_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispersion:
    kind: str
    medium: str
    coefficients: tuple[float, ...]
    scale: float
    stretch: tuple[float, ...]
    bend: tuple[float, ...]
    twist: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Width:
    trace: float
    trace_field: tuple[float, ...]
    trace_chroma: float
    line: float
    line_field: tuple[float, ...]
    line_chroma: float
    rms: float
    wing_fraction: float
    wing_scale: float
    breathing: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    fraction: float
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    ghost: float
    #: A second, faint image of the spectra: px along x and y from them, their share in it, sigma of its blur [px].
    image: tuple[float, ...] = ()
    #: Width of the border [px] about the chip from which light that misses it is scattered onto it.
    beyond: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    area_cm2: float
    wavelength: tuple[float, ...]
    efficiency: tuple[float, ...]
    spaxel_rms: float
    colour_rms: float
    colour_field: float
    vignetting: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamps:
    dome_rate: float
    dome_temperature: float
    dome_gradient: float
    hg_rate: float
    cd_rate: float
    xe_rate: float
    lamp_gradient: float
    strengths: str
    hg_continuum: float
    cd_continuum: float
    xe_continuum: float
    continuum_temperature: float
    dome_exptime: float
    hg_exptime: float
    cd_exptime: float
    xe_exptime: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalNight:
    sky_continuum: float
    line_scatter: float
    sky_gradient: float
    city: float
    sodium: float
    seeing: float
    seeing_rms: float
    moffat_beta: float
    ellipticity: float
    place: tuple[float, ...]
    pointing_rms: float
    step: tuple[float, ...]
    correction_rms: float
    faults: float
    packed: float
    guiding_rms: float
    transparency_rms: float
    extinction_rms: float
    water_mm: float
    flexure_x: float
    flexure_y: float
    flexure_day: float
    temperature_c: float
    pressure_mbar: float
    humidity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """`style`: key of ``cards.STYLES``; `serial`: of the camera."""

    style: str
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentProfile:
    """One epoch of the instrument: `nights` first and last, `example` a night of it; `epoch` is false for instruments
    that never stood at the telescope. Sections and units as commented in ``profiles/2017.toml``."""

    description: str
    nights: tuple[str, ...]
    example: str
    epoch: bool
    frame: RawArray
    detector: Detector
    lattice: LensletArray
    sky: Sky
    trace: Trace
    dispersion: Dispersion
    width: Width
    scatter: Scatter
    throughput: Throughput
    lamps: Lamps
    night: TypicalNight
    header: Header
    name: str = ""


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list, got {value!r}")
        item = typing.get_args(kind)[0]
        return tuple(_convert(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{where} must be a table, got {value!r}")
        return _build(typing.cast(type, kind), value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, types.GenericAlias) or not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be {kind.__name__}, got {value!r}")
    return value


def _build(cls: type, mapping: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(cls)}
    label = f"{where}." if where else ""
    for key in mapping:
        if key not in known:
            raise ConfigError(f"unknown key {label}{key}; the keys here are {', '.join(known)}")
    values = {}
    for name, field in known.items():
        if name in mapping:
            values[name] = _convert(hints[name], mapping[name], f"{label}{name}")
        elif field.default is MISSING:
            raise ConfigError(f"key {label}{name} is missing from the simulator profile")
    return cls(**values)


def _shipped() -> tuple[str, ...]:
    folder = files(__package__) / "profiles"
    return tuple(sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")))


PROFILES: tuple[str, ...] = _shipped()
#: The present instrument.
NEWEST = "2024"


def profile_of(night: str) -> str:
    """Name of the profile of the epoch of a night, ``YYYYMMDD``.

    Raises
    ------
    ConfigError
        If the instrument did not observe then.
    """
    for name in PROFILES:
        profile = load_profile(name)
        if profile.epoch and profile.nights[0] <= night <= profile.nights[1]:
            return name
    raise ConfigError(f"no profile of the simulator is of the night {night}; name one of {', '.join(PROFILES)}")


def load_profile(profile: str | Path | InstrumentProfile) -> InstrumentProfile:
    """Read a profile by name (one of ``PROFILES``) or from the path of a TOML file.

    Raises
    ------
    ConfigError
        If there is no such profile, or a key is unknown, missing or of the wrong type.
    """
    if isinstance(profile, InstrumentProfile):
        return profile
    return _by_name(str(profile)) if str(profile) in PROFILES else _read(profile, Path(profile).stem)


@cache
def _by_name(name: str) -> InstrumentProfile:
    return _read(name, name)


def _read(profile: str | Path, name: str) -> InstrumentProfile:
    return typing.cast(InstrumentProfile, _build(InstrumentProfile, {**_mapping(profile), "name": name}, ""))


def _mapping(profile: str | Path) -> dict[str, Any]:
    """Content of a profile's file, merged into that of the one that it is like."""
    if str(profile) in PROFILES:
        text = (files(__package__) / "profiles" / f"{profile}.toml").read_text()
    else:
        path = Path(profile)
        if not path.is_file():
            raise ConfigError(
                f"no simulator profile {str(profile)!r}; take one of {', '.join(PROFILES)} or the path of a TOML file"
            )
        text = path.read_text()
    try:
        mapping = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise ConfigError(f"simulator profile {profile} is not valid TOML: {err}") from err
    if "like" not in mapping:
        return mapping
    base = str(mapping.pop("like"))
    if base not in PROFILES or base == str(profile):
        raise ConfigError(f"simulator profile {profile} is like {base!r}; it must be like one of {', '.join(PROFILES)}")
    whole = _mapping(base)
    for key, value in mapping.items():
        inner = whole.get(key)
        whole[key] = {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
    return whole
