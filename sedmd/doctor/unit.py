"""Check of the installed unit file against the configuration."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from sedmd.core.config import Settings
from sedmd.doctor.environment import Environment, read
from sedmd.doctor.finding import Finding, error, ok, warning
from sedmd.host.unit_file import Unit, covers, last, parse_unit, paths, words_of, yes

_HIDDEN = {
    "ProtectHome": (PurePosixPath("/home"), PurePosixPath("/root"), PurePosixPath("/run/user")),
    "PrivateTmp": (PurePosixPath("/tmp"), PurePosixPath("/var/tmp")),
}


def systemd(settings: Settings, environment: Environment) -> list[Finding]:
    """The unit file and its drop-ins agree with the configuration; where none is installed nothing is wrong."""
    unit = installed(environment.unit)
    if unit is None:
        return [ok("systemd", f"{environment.unit} is not installed")]
    place = settings.paths
    findings = compare(
        unit,
        raw=PurePosixPath(place.raw_root),
        redux=PurePosixPath(place.redux_root),
        state=PurePosixPath(place.state),
        drain_timeout_s=settings.jobs.drain_timeout_s,
    )
    program, config = command(unit)
    if program and not environment.may(Path(program), os.X_OK):
        findings.append(error("systemd", f"{program} of ExecStart is not executable", "install sedmd there"))
    files = {origin for origin in settings.origins.values() if origin.startswith("/")}
    if config and files and config not in files:
        text = f"the unit file reads {config}, this is {', '.join(sorted(files))}"
        findings.append(warning("systemd", text, f"sedmd doctor --config {config}"))
    return findings or [ok("systemd", f"{environment.unit} agrees with the configuration")]


def installed(path: Path) -> Unit | None:
    """A unit file with its drop-ins; None where there is none."""
    text = read(path)
    if not text:
        return None
    folder = path.with_name(path.name + ".d")
    drop_ins = sorted(folder.glob("*.conf")) if folder.is_dir() else []
    return parse_unit("\n".join([text, *map(read, drop_ins)]))


def handed_on(unit: Unit, credential: str) -> Path | None:
    """The file that a unit hands on under this name (``LoadCredential=``); None if it hands on none. Pure."""
    for value in reversed(unit.get("Service", {}).get("LoadCredential", ())):
        name, _, place = value.partition(":")
        if name == credential and place:
            return Path(place)
    return None


def compare(
    unit: Unit, *, raw: PurePosixPath, redux: PurePosixPath, state: PurePosixPath, drain_timeout_s: float
) -> list[Finding]:
    """What in a unit file does not go with the configuration. Pure.

    Parameters
    ----------
    raw, redux, state : path
        The places of the configuration, absolute.
    drain_timeout_s : float
        How long a stop may take, seconds.
    """
    findings: list[Finding] = []
    needed = paths(unit, "Unit", "RequiresMountsFor")
    for name, place in (("raw_root", raw), ("redux_root", redux)):
        # a path means all mounts above it, not those below
        if not any(covers([place], path) for path in needed):
            text = f"{name} {place} is not in RequiresMountsFor: the service may start before it is mounted"
            findings.append(warning("systemd", text, f"RequiresMountsFor={place}"))
    if may_write(unit, raw):
        text = f"raw_root {raw} is not in ReadOnlyPaths: nothing keeps the service from writing there"
        findings.append(error("systemd", text, f"ReadOnlyPaths={raw}"))
    for name, place in (("redux_root", redux), ("state_dir", state)):
        if not may_write(unit, place):
            text = f"{name} {place} is not in ReadWritePaths: the service cannot write there"
            findings.append(error("systemd", text, f"ReadWritePaths={place}"))
    for key, hidden in _HIDDEN.items():
        if yes(unit, "Service", key) or last(unit, "Service", key) == "tmpfs":
            for place in dict.fromkeys((raw, redux, state)):
                if covers(hidden, place):
                    text = f"{place} is hidden from the service by {key}"
                    findings.append(error("systemd", text, f"{key}=no, or other [paths]"))
    own = (raw, redux, state)
    for path in dict.fromkeys((*needed, *_read_only(unit), *paths(unit, "Service", "ReadWritePaths"))):
        if not covers(own, path) and not any(covers([path], place) for place in own):
            text = f"{path} in the unit file is not a path of the configuration"
            findings.append(warning("systemd", text, "adapt RequiresMountsFor, ReadOnlyPaths and ReadWritePaths"))
    kept = cache(unit)
    homeless = last(unit, "Service", "ProtectSystem") == "strict" or yes(unit, "Service", "ProtectHome")
    if homeless if kept is None else not may_write(unit, kept):
        text = (
            f"the service cannot cache compiled loops {f'in {kept}' if kept else 'anywhere'}: each start takes a minute"
        )
        findings.append(warning("systemd", text, "CacheDirectory=sedmd, Environment=XDG_CACHE_HOME=/var/cache/sedmd"))
    stop = seconds(last(unit, "Service", "TimeoutStopSec", "90"))
    if stop is not None and stop <= drain_timeout_s:
        text = f"TimeoutStopSec is {stop:g} s, drain_timeout_s is {drain_timeout_s:g} s: running jobs are cut off"
        findings.append(warning("systemd", text, f"TimeoutStopSec={drain_timeout_s + 60:g}"))
    return findings


def may_write(unit: Unit, place: PurePosixPath) -> bool:
    """Whether the unit file lets the service write to a place: the nearest path above it decides."""
    own = [
        PurePosixPath(root) / word.partition(":")[0]
        for root, key in (("/var/lib", "StateDirectory"), ("/var/cache", "CacheDirectory"))
        for word in _words(unit, key)
    ]
    rules = [(len(path.parts), True, path) for path in (*paths(unit, "Service", "ReadWritePaths"), *own)]
    rules += [(len(path.parts), False, path) for path in _read_only(unit)]
    above = [rule[:2] for rule in rules if covers([rule[2]], place)]
    return max(above)[1] if above else last(unit, "Service", "ProtectSystem") != "strict"


def cache(unit: Unit) -> PurePosixPath | None:
    """Where the service keeps the machine code of its compiled loops; None if its home must do, which is hidden."""
    given = dict(
        word.partition("=")[::2] for line in unit.get("Service", {}).get("Environment", ()) for word in words_of(line)
    )
    for name, below in (("NUMBA_CACHE_DIR", "."), ("XDG_CACHE_HOME", "numba")):
        if place := given.get(name):
            return PurePosixPath(place) / below
    return None


def command(unit: Unit) -> tuple[str, str]:
    """Program and configuration file of ExecStart; empty where it does not tell."""
    words = last(unit, "Service", "ExecStart").split()
    program = words[0].lstrip("-@:+!") if words else ""
    config = ""
    for word, after in zip(words, [*words[1:], ""]):
        if word == "--config":
            config = after
        elif word.startswith("--config="):
            config = word.removeprefix("--config=")
    return program, config


def seconds(text: str) -> float | None:
    """A time span of systemd ("180", "2min 30s") in seconds; None for "infinity" and what is not understood."""
    units = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 1e-3, "min": 60.0, "m": 60.0, "h": 3600.0, "hr": 3600.0}
    total = 0.0
    for word in text.replace(",", " ").split():
        number = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = word[len(number) :]
        try:
            total += float(number) * units[unit]
        except (ValueError, KeyError):
            return None
    return total if text.split() else None


def _read_only(unit: Unit) -> tuple[PurePosixPath, ...]:
    return paths(unit, "Service", "ReadOnlyPaths")


def _words(unit: Unit, key: str) -> list[str]:
    return [word for value in unit.get("Service", {}).get(key, ()) for word in value.split()]
