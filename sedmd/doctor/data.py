"""Checks of the places: raw root, redux root, state directory, lock, ledger."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.nights import is_night
from sedmd.doctor.environment import Environment, read
from sedmd.doctor.finding import Finding, error, ok, warning
from sedmd.doctor.host import gigabytes
from sedmd.host.lock import holder
from sedmd.host.mounts import VOLATILE, Mount, mount_of, parse_mounts
from sedmd.ledger.schema import MIGRATIONS


def configuration(settings: Settings, environment: Environment) -> list[Finding]:
    """Where the settings come from."""
    files = sorted({origin for origin in settings.origins.values() if origin != "default"})
    own = sum(origin != "default" for origin in settings.origins.values())
    return [ok("configuration", f"{', '.join(files) or 'defaults'}: {own} settings, the others by default")]


def raw_root(settings: Settings, environment: Environment) -> list[Finding]:
    """The raw root is there, mounted, readable, has nights, and the service cannot write to it."""
    root = settings.paths.raw_root
    if (absent := unmounted(root, environment)) is not None:
        return [error("raw root", f"{root}: {absent.source} is not mounted on {absent.point}", f"mount {absent.point}")]
    if not root.is_dir():
        state = "is no directory" if root.exists() else "is not there"
        return [error("raw root", f"{root} {state}", "mount it, or correct [paths] raw_root")]
    if not environment.may(root, os.R_OK | os.X_OK):
        return [error("raw root", f"{root} cannot be read by this user", "give the service's user r-x on it")]
    mount = mount_of(root, environment.mounts())
    where = f"{root}, {mount.kind if mount is not None else 'unknown file system'}"
    nights = sorted(path for path in root.iterdir() if is_night(path.name))
    if not nights:
        return [
            warning("raw root", f"{where}: no night directories YYYYMMDD", "is it mounted? Is [paths] raw_root right?")
        ]
    shut = [path.name for path in nights[-2:] if not environment.may(path, os.R_OK | os.X_OK)]
    if shut:
        return [error("raw root", f"{root}: night {shut[-1]} cannot be read", "give the service's user r-x on it")]
    findings = [ok("raw root", f"{where}, {len(nights)} nights, newest {nights[-1].name}")]
    # root may write everywhere, which says nothing about the service
    if environment.user_id() != 0 and environment.may(root, os.W_OK):
        advice = "give the raw data to another user, or mount them read-only; the unit file locks them for the service"
        findings.append(warning("raw root", f"{root} can be written by this user", advice))
    return findings


def redux_root(settings: Settings, environment: Environment) -> list[Finding]:
    """Products can be written, and there is room."""
    return _writable("redux root", settings.paths.redux_root, environment)


def state_dir(settings: Settings, environment: Environment) -> list[Finding]:
    """The ledger's directory is writable, on a local disk that lasts."""
    folder = settings.paths.state
    mount = mount_of(_nearest(folder), environment.mounts())
    if mount is not None and mount.remote:
        found = f"{folder} is on {mount.kind}, where the ledger will be damaged sooner or later"
        return [error("state dir", found, 'set [paths] state_dir to a local disk, e.g. "/var/lib/sedmd"')]
    findings = _writable("state dir", folder, environment)
    if mount is not None and mount.kind in VOLATILE:
        found = f"{folder} is on {mount.kind}, which is empty after the next start of the machine"
        findings.append(warning("state dir", found, 'set [paths] state_dir to a disk, e.g. "/var/lib/sedmd"'))
    return findings


def lock(settings: Settings, environment: Environment) -> list[Finding]:
    """Who works on this redux root."""
    process = holder(settings.paths.state)
    if process is None:
        return [ok("service", "none runs on this redux root")]
    return [ok("service", f"process {process} runs on this redux root" if process > 0 else "one is starting")]


def ledger(settings: Settings, environment: Environment) -> list[Finding]:
    """The ledger opens, is whole, and is of a version that this program knows."""
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        return [ok("ledger", f"{path}: none yet; the service makes it")]
    rebuild = "stop the service, and rebuild it from the journals: sedmd doctor --rebuild"
    try:
        version, complaint, whole = quick_check(path, until=time.monotonic() + environment.patience_s / 2)
    except sqlite3.OperationalError as failure:
        advice = "run this as the service's user"
        return [error("ledger", f"{path} cannot be opened ({failure})", advice)]
    except (sqlite3.DatabaseError, UnicodeDecodeError) as failure:  # SQLite quotes what is damaged
        return [error("ledger", f"{path} is damaged ({failure})", rebuild)]
    if complaint:
        return [error("ledger", f"{path} is damaged ({complaint})", rebuild)]
    if version > len(MIGRATIONS):
        found = f"{path} has version {version}, this sedmd knows {len(MIGRATIONS)}"
        return [error("ledger", found, "install the newer sedmd")]
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    change = "" if version == len(MIGRATIONS) else f", becomes {len(MIGRATIONS)} at the next start"
    if not whole:
        found = f"{path}, {size}: not checked to its end in {environment.patience_s / 2:g} s; no damage so far"
        return [warning("ledger", found, f"sqlite3 {path} 'PRAGMA quick_check'")]
    return [ok("ledger", f"{path}, {size}, whole, version {version}{change}")]


def quick_check(path: Path, *, until: float) -> tuple[int, str, bool]:
    """Version of a ledger, the first damage found or "", and whether all was checked before `until` (monotonic).

    Raises
    ------
    sqlite3.DatabaseError
        If the file is no database.
    sqlite3.OperationalError
        If it cannot be opened or read.
    """
    # without a -wal file nobody writes, and a reader without write permission needs no shared memory
    quiet = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{quiet}", uri=True)) as connection:
        connection.execute("PRAGMA busy_timeout = 2000")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.set_progress_handler(lambda: int(time.monotonic() > until), 10000)
        try:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as failure:
            if "interrupted" in str(failure):
                return version, "", False
            raise
    return version, "" if answer == "ok" else " ".join(answer.split()), True


def unmounted(folder: Path, environment: Environment) -> Mount | None:
    """The file system that /etc/fstab has for `folder` but that is not mounted, or None."""
    try:
        planned = mount_of(folder, read(environment.fstab))
    except OSError:
        return None
    mounted = {mount.point for mount in parse_mounts(environment.mounts())}
    return planned if planned is not None and planned.point not in mounted else None


def _writable(subject: str, folder: Path, environment: Environment) -> list[Finding]:
    if (absent := unmounted(folder, environment)) is not None:
        return [error(subject, f"{folder}: {absent.source} is not mounted on {absent.point}", f"mount {absent.point}")]
    existing = _nearest(folder)
    try:
        # permission bits do not tell on a network file system: try
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".sedmd-doctor-") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as failure:
        advice = f"as root: install -d -o sedm {folder}"
        return [error(subject, f"{existing} cannot be written ({failure.strerror})", advice)]
    free = environment.free_bytes(existing)
    mount = mount_of(existing, environment.mounts())
    kind = mount.kind if mount is not None else "unknown file system"
    where = f"{folder}, {kind}, {gigabytes(free)} free" + ("" if existing == folder else ", is made at the start")
    if free < environment.free_limit_bytes:
        found = f"{where}; below {gigabytes(environment.free_limit_bytes)} no job starts"
        return [error(subject, found, "free some space: old nights can go to another disk")]
    return [ok(subject, where)]


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())
