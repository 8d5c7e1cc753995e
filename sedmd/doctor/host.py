"""Checks of the machine: python, libraries, clock, memory, limits."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError

from packaging.requirements import Requirement

from sedmd.core.config import Settings
from sedmd.core.nights import is_night
from sedmd.doctor.environment import Environment, read
from sedmd.doctor.finding import Finding, error, ok, warning
from sedmd.host.mounts import mount_of
from sedmd.run.ingest import is_frame_name

#: Before this the program did not exist; a clock that says so has lost its battery.
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
#: The clock of the host that writes the frames may differ by as much.
_FUTURE_S = 60.0
#: Watches of the service itself, and room for what else the user runs.
_SPARE_WATCHES, _SPARE_INSTANCES = 64, 8
_FILES_OF_SERVICE, _FILES_PER_WORKER = 128, 16


def libraries(settings: Settings, environment: Environment) -> list[Finding]:
    """Python and each library against what sedmd says it needs; extras are not checked."""
    try:
        needed = [Requirement(text) for text in environment.requirements()]
    except PackageNotFoundError:
        return [
            warning("libraries", "sedmd is not installed as a package, so its needs are unknown", "pip install sedmd")
        ]
    findings = []
    good = []
    for need in needed:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            have = environment.version_of(need.name)
        except PackageNotFoundError:
            text = f"{need.name} is missing; {need.name}{need.specifier} is needed"
            findings.append(error("libraries", text, f"pip install '{need.name}{need.specifier}'"))
            continue
        if need.specifier.contains(have, prereleases=True):
            good.append(f"{need.name} {have}")
            continue
        advice = "install a newer Python and sedmd for it"
        if need.name != "python":
            advice = f"pip install '{need.name}{need.specifier}'"
        findings.append(error("libraries", f"{need.name} {have}; {need.specifier} is needed", advice))
    return findings or [ok("libraries", ", ".join(good))]


def clock(settings: Settings, environment: Environment) -> list[Finding]:
    """The clock is plausible, kept by somebody, and not behind the newest raw frame."""
    now = environment.now()
    advice = "set the clock, and let chrony or systemd-timesyncd keep it"
    if not _EPOCH <= now < _EPOCH.replace(year=_EPOCH.year + 50):
        return [error("clock", f"it says {now:%Y-%m-%d %H:%M} UT", advice)]
    findings = []
    newest = _newest_raw(settings)
    if newest is not None:
        ahead = newest[0] - now.timestamp()
        if ahead > _FUTURE_S:
            text = f"{newest[1]} was written {ahead:.0f} s in the future"
            findings.append(
                error("clock", text, "compare the clocks of this host and of the one that writes the raw data")
            )
    kept = environment.kernel_clock()
    if kept is not None and not kept[0]:
        findings.append(warning("clock", f"{now:%Y-%m-%d %H:%M:%S} UT, but the kernel calls it unsynchronised", advice))
    state = "" if kept is None else f", synchronised to {kept[1]:.2g} s"
    return findings or [ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UT{state}")]


def inotify(settings: Settings, environment: Environment) -> list[Finding]:
    """The kernel gives as many watches as are needed."""
    mode, root = settings.watch.mode, settings.paths.raw_root
    if mode == "poll":
        return [ok("inotify", "not needed: [watch] mode is poll")]
    mount = mount_of(root, environment.mounts())
    if mode == "auto" and mount is not None and mount.remote:
        return [ok("inotify", f"not needed: {mount.kind} is polled every {settings.watch.scan_interval_s:g} s")]
    needs = {
        "max_user_watches": settings.watch.nights_back + 2 + _SPARE_WATCHES,
        "max_user_instances": _SPARE_INSTANCES,
    }
    findings = []
    have = {}
    for name, needed in needs.items():
        text = read(environment.proc / "sys/fs/inotify" / name).strip()
        if not text.isdigit():
            findings.append(warning("inotify", f"the kernel does not tell fs.inotify.{name}", "is /proc mounted?"))
            continue
        have[name] = int(text)
        if have[name] < needed:
            found = f"fs.inotify.{name} is {have[name]}; at least {needed} are needed"
            advice = f"echo fs.inotify.{name}={8 * needed} > /etc/sysctl.d/60-sedmd.conf; sysctl --system"
            findings.append(warning("inotify", found, advice))
    return findings or [ok("inotify", ", ".join(f"{name} {number}" for name, number in have.items()))]


def memory(settings: Settings, environment: Environment) -> list[Finding]:
    """There is memory for all workers at once."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", read(environment.proc / "meminfo"), re.MULTILINE)
    if match is None:
        return [warning("memory", "the kernel does not tell how much there is", "is /proc mounted?")]
    total, workers = int(match[1]) * 1024, settings.jobs.worker_count
    need = workers * environment.worker_bytes
    found = f"{gigabytes(total)} for {workers} workers, which may need {gigabytes(need)}"
    if need > total:
        fitting = max(1, total // environment.worker_bytes)
        return [warning("memory", found, f"set [jobs] workers = {fitting}")]
    return [ok("memory", found)]


def open_files(settings: Settings, environment: Environment) -> list[Finding]:
    """The limit of open files is enough for the workers' pipes."""
    needed = _FILES_OF_SERVICE + _FILES_PER_WORKER * settings.jobs.worker_count
    limit = environment.open_files_limit()
    if 0 <= limit < needed:
        found = f"at most {limit}; {needed} may be needed"
        return [warning("open files", found, "raise LimitNOFILE in the unit file, or ulimit -n")]
    return [ok("open files", f"at most {limit}" if limit >= 0 else "no limit")]


def gigabytes(size: float) -> str:
    """Bytes as "1.5 GB"."""
    return f"{size / 1e9:.1f} GB"


def _newest_raw(settings: Settings) -> tuple[float, str] | None:
    """Time and name of the youngest raw frame of the newest night."""
    try:
        nights = [path for path in settings.paths.raw_root.iterdir() if is_night(path.name)]
        frames = [
            (path.stat().st_mtime, f"{path.parent.name}/{path.name}")
            for path in max(nights, key=lambda path: path.name).glob(settings.watch.pattern)
            if is_frame_name(path)
        ]
    except (OSError, ValueError):
        return None  # the check of the raw root tells
    return max(frames, default=None)
