"""One TOML file, typed: every key known, every unit in its name, every value with its origin."""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from sedmd.core.errors import ConfigError
from sedmd.core.instrument import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG
from sedmd.core.patterns import check_pattern

#: [upload] group_ids = "all": everybody may see what is uploaded.
ALL_GROUPS = ("all",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where things are. `state_dir` is the ledger's directory (local disk); empty: redux_root/.sedmd.

    `state_mode` are its rights: with 0750 its group may ask (`sedmd status`), with 0700 nobody but its owner.
    Members of `group` save into the nights with accounts of their own.
    """

    raw_root: Path
    redux_root: Path
    state_dir: Path | None = None
    state_mode: str = "0750"
    group: str = ""

    @property
    def state(self) -> Path:
        return self.state_dir or self.redux_root / ".sedmd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How new frames are found."""

    pattern: str = "ifu*.fits"
    mode: str = "auto"
    scan_interval_s: float = 10.0
    archive_interval_s: float = 600.0
    settle_s: float = 0.5
    settle_timeout_s: float = 300.0
    header_wait_s: float = 300.0
    nights_back: int = 2
    min_hdus: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrations:
    """When a calibration series may be used, and what serves when it cannot.

    Without `dome_min_exptime_s` and `lamp_min_exptime_s` the camera of the time decides (`sedmd.raw.epochs`).
    """

    bias_min_frames: int = 5
    bias_ideal_frames: int = 10
    lamp_min_frames: int = 3
    lamp_ideal_frames: int = 5
    quiet_s: float = 120.0
    dome_min_exptime_s: float | None = None
    lamp_min_exptime_s: float | None = None
    until_ut_hour: float = 10.0
    fallback_after_sunset_s: float = 3600.0
    fallback_max_age_nights: int = 30
    fallback_redo: str = "offer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """When a night is over, and how long one exposure of a pair waits for the other."""

    closes_after_sunrise_s: float = 1800.0
    quiet_s: float = 900.0
    partner_wait_s: float = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the telescope stands, for sunset and sunrise; East is positive."""

    latitude_deg: float = LATITUDE_DEG
    longitude_deg: float = LONGITUDE_DEG
    height_m: float = HEIGHT_M


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """How the work is done."""

    workers: int = 0
    timeout_s: float = 900.0
    memory_limit_mb: int = 0
    retry_after_s: tuple[float, ...] = (60.0, 300.0, 1500.0)
    drain_timeout_s: float = 120.0
    engine: str = "local"
    dask_scheduler: str = ""
    dask_wait_s: float = 600.0
    steps_module: str = "sedmd.steps"

    @property
    def worker_count(self) -> int:
        return self.workers or max(1, os.cpu_count() or 1)

    @property
    def memory_limit_bytes(self) -> int:
        """What one worker may take; by default its share of nine tenths of the machine, and 2 GB at least."""
        if self.memory_limit_mb:
            return self.memory_limit_mb * 1_000_000
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return max(2_000_000_000, int(0.9 * whole / self.worker_count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Below this much free space no new work is begun."""

    min_free_mb: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Where health and metrics are served: a loopback address and port, or unix:PATH; empty serves nothing."""

    listen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """How events are written to standard error: text for people, json for programs."""

    format: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What an operator knows of the instrument and no frame tells.

    `field_centres` holds lines ``YYYYMMDD x y``: from that night on, light of 6500 Angstrom from a target falls on this
    column and row as a rule. Without one (the default) positions count from the middle of the detector, and where
    targets land is learned from standard stars and clear targets.
    """

    field_centres: tuple[str, ...] = ()

    def field_centre(self, night: str) -> tuple[float, float] | None:
        """Column and row where targets fall in a night, of the last entry that is not later; None: to be learned."""
        entries = sorted(field_centre_of(line) for line in self.field_centres)
        past = [entry for entry in entries if entry[0] <= night]
        return past[-1][1:] if past else None


def field_centre_of(line: str) -> tuple[str, float, float]:
    """One line of ``instrument.field_centres`` as night, column, row.

    Raises
    ------
    ConfigError
        If it is not of the form ``YYYYMMDD x y``.
    """
    parts = line.split()
    try:
        night, x, y = parts[0], float(parts[1]), float(parts[2])
    except (IndexError, ValueError):
        parts = []
    if len(parts) != 3 or len(night) != 8 or not night.isdigit():
        raise ConfigError(
            f"instrument.field_centres: {line!r} is not a night, a column and a row; write it like '20130101 1024 1024'"
        )
    return night, x, y


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticExtraction:
    """When a spectrum is final without an observer.

    `pointing_arcsec` is how far, in each axis, a target lies from where targets land, as a rule (1 sigma); by default
    it is learned with that place. `seeing_arcsec` is the usual FWHM of a star at 6500 Angstrom, which serves until the
    night has a standard star: what is half as wide again may be a galaxy.
    """

    min_confidence: float = 0.97
    pointing_arcsec: float | None = None
    seeing_arcsec: float = 1.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """`frames`: how an exposure's whole frames, which are for people, are kept: plain, packed without loss, or none."""

    frames: str = "packed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Where good and acceptable spectra are sent; an empty backend sends nothing.

    `request_from` says how the follow-up request is found: by the source's name on the server, from REQ_ID in the
    header, or not at all.
    """

    backend: str = ""
    url: str = ""
    token_file: Path | None = None
    token_env: str = ""
    instrument_id: int = 0
    group_ids: tuple[int | str, ...] = ()
    observed_by: tuple[int, ...] = ()
    reduced_by: tuple[int, ...] = ()
    request_from: str = "source"
    directory: Path | None = None
    timeout_s: float = 30.0
    retry_after_s: tuple[float, ...] = (2.0, 8.0, 60.0, 600.0, 3600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """To whom and through which server the final report and alerts go; an empty host sends nothing.

    `alert_command` is a program of the site that is told alerts instead: it gets their kind and their sentence.
    """

    host: str = ""
    port: int = 587
    security: str = "starttls"
    ca_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    password_env: str = ""
    alert_command: tuple[str, ...] = ()
    sender: str = ""
    recipients: tuple[str, ...] = ()
    max_attachment_mb: float = 10.0
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """How long after a change the service makes types, report and web page anew; 0: it does not, the timers do."""

    every_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The nights' web page: its folder, its title, and the folder of finder charts, ``{night}`` in it replaced."""

    root: Path | None = None
    title: str = "SED Machine"
    finders: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classify:
    """Which spectra are classified, by what, and when a type is secure."""

    engine: str = "auto"
    snid_program: str = "snid"
    snid_parameters: tuple[str, ...] = (
        "wmin=4000",
        "wmax=9500",
        "skyclip=1",
        "medlen=20",
        "aband=1",
        "rlapmin=4",
        "inter=0",
        "plot=2",
    )
    sage_templates: Path | None = None
    sage_python: str = ""
    sage_redshift_max: float = 0.3
    timeout_s: float = 300.0
    skip: tuple[str, ...] = (
        "prefix:STD-",
        r"regex:BD[ _]?[+-]\d{1,2}[ _d]?\d{3,4}",
        r"regex:(Feige|HZ|Hiltner|Kopff|LTT)[ _-]?\d+",
        r"regex:(NGC|PGC)[ _-]?\d+[A-Z]?",
        r"regex:MCG[ _]?[+-]\d{2}-\d{2}-\d{3}[A-Z]?",
        r"regex:2MASX[ _]?J\d{8}[+-]\d{7}",
        r"regex:(TYC|Tycho)[ _-]?\d+-\d+-\d+",
        r"regex:SAO[ _]?\d+",
        r"regex:HD[ _]?\d+[A-Z]?",
    )
    secure_best: int = 5
    secure_least: int = 3
    secure_weight: float = 0.8
    secure_score: float = 5.0
    secure_redshift_apart: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings; `origins` maps ``section.key`` to where the value comes from."""

    paths: Paths
    watch: Watch = field(default_factory=Watch)
    calibrations: Calibrations = field(default_factory=Calibrations)
    night: Night = field(default_factory=Night)
    jobs: Jobs = field(default_factory=Jobs)
    disk: Disk = field(default_factory=Disk)
    health: Health = field(default_factory=Health)
    log: Log = field(default_factory=Log)
    site: Site = field(default_factory=Site)
    instrument: Instrument = field(default_factory=Instrument)
    extraction: AutomaticExtraction = field(default_factory=AutomaticExtraction)
    products: Products = field(default_factory=Products)
    upload: Upload = field(default_factory=Upload)
    mail: Mail = field(default_factory=Mail)
    after: After = field(default_factory=After)
    web: Web = field(default_factory=Web)
    classify: Classify = field(default_factory=Classify)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)


SECTIONS: Mapping[str, type] = {name: kind for name, kind in get_type_hints(Settings).items() if name != "origins"}
#: Settings that only a restart can change: what is open already would not follow.
NEEDS_RESTART = (
    "paths.raw_root",
    "paths.redux_root",
    "paths.state_dir",
    "paths.state_mode",
    "paths.group",
    "jobs.workers",
    "jobs.memory_limit_mb",
    "jobs.engine",
    "jobs.dask_scheduler",
    "jobs.dask_wait_s",
    "jobs.steps_module",
    "health.listen",
    "log.format",
)
#: Settings between two bounds, whatever their sign.
RANGES = {
    "site.latitude_deg": (-90.0, 90.0),
    "site.longitude_deg": (-180.0, 360.0),
    "classify.secure_weight": (0.0, 1.0),
    "extraction.min_confidence": (0.0, 1.0),
}
#: Legal values of the settings that are a choice.
CHOICES = {
    "paths.state_mode": ("0700", "0750"),
    "watch.mode": ("auto", "inotify", "poll"),
    "calibrations.fallback_redo": ("offer", "auto"),
    "jobs.engine": ("local", "dask"),
    "products.frames": ("plain", "packed", "none"),
    "log.format": ("text", "json"),
    "upload.backend": ("", "skyportal", "drop"),
    "upload.request_from": ("source", "header", "none"),
    "mail.security": ("starttls", "tls", "none"),
    "classify.engine": ("auto", "snid", "snid-sage", "none"),
}
#: Settings that may be zero; every other number must be above it.
MAY_BE_ZERO = {
    "after.every_s",
    "watch.settle_s",
    "calibrations.quiet_s",
    "calibrations.dome_min_exptime_s",
    "calibrations.lamp_min_exptime_s",
    "calibrations.fallback_after_sunset_s",
    "calibrations.fallback_max_age_nights",
    "night.quiet_s",
    "night.closes_after_sunrise_s",
    "jobs.workers",
    "jobs.memory_limit_mb",
    "disk.min_free_mb",
    "site.height_m",
    "jobs.drain_timeout_s",
    "upload.instrument_id",
    "mail.max_attachment_mb",
}


def load(path: Path) -> Settings:
    """Read and check a configuration file.

    Relative paths are relative to the file's directory.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, has an unknown key, or a value of the wrong type or range.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror}); expected a TOML file with [paths] raw_root and redux_root"
        raise ConfigError(msg) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{path}: not valid TOML: {error}. Mend the line and run: sedmd config check --config {path}"
        raise ConfigError(msg) from None
    return from_table(table, origin=str(path), base=path.absolute().parent)


def from_table(table: Mapping[str, Any], *, origin: str, base: Path) -> Settings:
    """Settings from a parsed TOML table; `origin` names it in messages, `base` resolves relative paths.

    Raises
    ------
    ConfigError
        As `load`.
    """
    _refuse_unknown(table, SECTIONS, origin, "section")
    origins: dict[str, str] = {}
    parts: dict[str, Any] = {}
    for section, cls in SECTIONS.items():
        given = table.get(section, {})
        if not isinstance(given, Mapping):
            msg = f"{origin}: [{section}] must be a table of settings, got {given!r}"
            raise ConfigError(msg)
        fields = {entry.name: entry for entry in dataclasses.fields(cls)}
        _refuse_unknown(given, fields, origin, "key", section)
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = {}
        for key, entry in fields.items():
            name = f"{section}.{key}"
            if key in given:
                values[key] = _checked(given[key], hints[key], name, origin, base)
                origins[name] = origin
            elif entry.default is dataclasses.MISSING:
                msg = f"{origin}: [{section}] {key} is missing; expected at least [paths] with raw_root and redux_root"
                raise ConfigError(msg)
            else:
                origins[name] = "default"
        parts[section] = cls(**values)
    if parts["jobs"].engine == "dask" and not parts["jobs"].dask_scheduler:
        msg = (
            f'{origin}: [jobs] engine is "dask" but dask_scheduler is empty; expected an address like "tcp://host:8786"'
        )
        raise ConfigError(msg)
    paths: Paths = parts["paths"]
    if paths.raw_root == paths.redux_root or paths.raw_root in paths.redux_root.parents:
        msg = f"{origin}: redux_root {paths.redux_root} lies in raw_root; raw data stay untouched: choose another place"
        raise ConfigError(msg)
    return Settings(**parts, origins=origins)


def show(settings: Settings) -> str:
    """The effective settings as TOML, each with its origin as a comment."""
    lines: list[str] = []
    for section in SECTIONS:
        lines.append(f"[{section}]")
        part = getattr(settings, section)
        for entry in dataclasses.fields(part):
            value = getattr(part, entry.name)
            if value is None:
                continue
            origin = settings.origins.get(f"{section}.{entry.name}", "default")
            lines.append(f"{entry.name} = {_toml(value)}  # {origin}")
        lines.append("")
    return "\n".join(lines)


def changed(old: Settings, new: Settings) -> tuple[str, ...]:
    """Names ``section.key`` of the settings that differ."""
    return tuple(
        f"{section}.{entry.name}"
        for section, cls in SECTIONS.items()
        for entry in dataclasses.fields(cls)
        if getattr(getattr(old, section), entry.name) != getattr(getattr(new, section), entry.name)
    )


def _refuse_unknown(
    given: Mapping[str, Any], known: Mapping[str, Any], origin: str, what: str, section: str = ""
) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            where = f"[{section}] has no {what}" if section else f"there is no {what}"
            msg = f"{origin}: {where} {key!r}; {hint}"
            raise ConfigError(msg)


def _checked(value: Any, hint: Any, name: str, origin: str, base: Path) -> Any:
    kind = _plain(hint)
    if kind is Path and isinstance(value, str) and value:
        path = Path(value).expanduser()
        return Path(os.path.normpath(path if path.is_absolute() else base / path))
    if kind is str and isinstance(value, str):
        if name.endswith(".url") and "@" in value.partition("://")[2].partition("/")[0]:
            # never repeated: what is before the @ is a password
            msg = f"{origin}: [{name.partition('.')[0]}] url holds a user or a password; expected an address without"
            raise ConfigError(f"{msg} them, and the secret in a file of its own")
        if name in CHOICES and value not in CHOICES[name]:
            _refuse(name, origin, value, f"one of {', '.join(CHOICES[name])}")
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return _in_range(value, name, origin)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return _in_range(float(value), name, origin)
    if name == "upload.group_ids" and kind is not int and value in ("all", list(ALL_GROUPS)):
        return ALL_GROUPS
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        item_kind = int if name == "upload.group_ids" else typing.get_args(kind)[0]
        items = tuple(_checked(item, item_kind, name, origin, base) for item in value)
        if name == "instrument.field_centres":
            for line in items:
                field_centre_of(line)
        if name == "classify.skip":
            for line in items:
                check_pattern(line)
        return items
    words = {Path: "a path in quotes", str: "text in quotes", int: "a whole number", float: "a number"}
    return _refuse(name, origin, value, words.get(kind, "a list of numbers"))


def _in_range(value: float, name: str, origin: str) -> float:
    if name in RANGES:
        low, high = RANGES[name]
        if not low <= value <= high:
            _refuse(name, origin, value, f"{low:g} to {high:g}")
        return value
    if not (value > 0 or (value == 0 and name in MAY_BE_ZERO)) or value == float("inf"):
        _refuse(name, origin, value, "zero or more" if name in MAY_BE_ZERO else "more than zero")
    if name.endswith("_ut_hour") and value > 24:
        _refuse(name, origin, value, "an hour, 0 to 24")
    return value


def _refuse(name: str, origin: str, value: Any, expected: str) -> typing.NoReturn:
    section, _, key = name.partition(".")
    msg = f"{origin}: [{section}] {key} is {value!r}; expected {expected}"
    raise ConfigError(msg)


def _plain(hint: Any) -> Any:
    """The type without ``| None``."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def _toml(value: Any) -> str:
    if isinstance(value, str | Path):
        text = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return repr(value)
