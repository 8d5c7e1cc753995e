"""How the service is, in plain values, and what follows: what is wrong, and what an operator should see to."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sedmd.core.durations import age

#: Upper edges of the histogram of job times, seconds; the last bin is open.
BOUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times in bins; immutable, so that another thread may read what it was given.

    Attributes
    ----------
    count : int
    total_s : float
        Sum of all times.
    bins : tuple of int
        Number of times up to each of `BOUNDS_S` and beyond the last, not cumulative.
    """

    count: int = 0
    total_s: float = 0.0
    bins: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)

    def add(self, seconds: float) -> Histogram:
        """This histogram with one more time; a time equal to a bound belongs below it."""
        place = bisect_left(BOUNDS_S, seconds)
        bins = tuple(n + (i == place) for i, n in enumerate(self.bins))
        return Histogram(self.count + 1, self.total_s + seconds, bins)

    def cumulative(self) -> list[tuple[float, int]]:
        """Pairs of bound in seconds and number of times up to it; the last bound is infinite."""
        answer, below = [], 0
        for bound, number in zip((*BOUNDS_S, float("inf")), self.bins):
            below += number
            answer.append((bound, below))
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """A moment of the service; ages are in seconds at the moment of asking, not of the last turn of the loop.

    Attributes
    ----------
    scan_age_s, scan_limit_s : float
        Since the last reconciliation scan, and when that is too long ago.
    watch_mode : str
        "inotify" or "poll".
    watch_fallback : str
        Why polling is used although inotify was wanted; empty otherwise.
    watcher_alive : bool
        The observer and each of its emitters.
    jobs_overdue : tuple of str
        Jobs past their time limit and grace.
    jobs : mapping (step, state) -> int
    frames : mapping state -> int
    oldest_waiting_s, last_frame_age_s : float or None
        None if nothing waits, or no frame has come yet.
    observing : bool
        It is night: frames are expected.
    quiet_limit_s : float
        Without a frame for so long at night, somebody should look.
    free_bytes : mapping root name -> int
    claims_paused : str
        Why no new job is begun; empty when they are.
    retries : int
        Jobs tried again since the start.
    fallback : (str, int) or None
        Night of the calibrations used instead of tonight's, and how many nights old they are.
    resident_bytes, open_files : int or None
        Of this process; see `own_use`.
    """

    version: str
    started: datetime
    now: datetime
    night: str
    scan_age_s: float
    scan_limit_s: float
    raw_root_there: bool
    watch_mode: str
    watcher_alive: bool
    ledger_ok: bool
    clock_alive: bool
    watch_fallback: str = ""
    watcher_restarts: int = 0
    hints_missed: int = 0
    clock_jumps: int = 0
    jobs_running: int = 0
    jobs_overdue: tuple[str, ...] = ()
    jobs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    frames: Mapping[str, int] = field(default_factory=dict)
    oldest_waiting_s: float | None = None
    last_frame_age_s: float | None = None
    observing: bool = False
    quiet_limit_s: float = 1800.0
    free_bytes: Mapping[str, int] = field(default_factory=dict)
    claims_paused: str = ""
    job_seconds: Mapping[str, Histogram] = field(default_factory=dict)
    retries: int = 0
    fallback: tuple[str, int] | None = None
    resident_bytes: int | None = None
    open_files: int | None = None


def health_errors(vitals: Vitals) -> tuple[str, ...]:
    """Why the service is not healthy, one line each; empty when it is.

    Only what a restart can mend is in here: systemd's watchdog is fed while this is empty.
    """
    found = []
    if vitals.raw_root_there and vitals.scan_age_s > vitals.scan_limit_s:
        found.append(f"the last scan was {age(vitals.scan_age_s)} ago; the limit is {age(vitals.scan_limit_s)}")
    if vitals.raw_root_there and not vitals.watcher_alive:
        found.append(f"the watcher of the raw directories ({vitals.watch_mode}) is dead")
    if not vitals.ledger_ok:
        found.append("the ledger does not answer")
    if not vitals.clock_alive:
        found.append("the thread of the clock is dead")
    found += [f"job {name} is past its time limit and still running" for name in vitals.jobs_overdue]
    return tuple(found)


def health_warnings(vitals: Vitals) -> tuple[str, ...]:
    """What an operator should see to and no restart would mend, one line each."""
    found = []
    if not vitals.raw_root_there:
        found.append("the raw root is missing; is it mounted?")
    if vitals.claims_paused:
        found.append(f"no new jobs start: {vitals.claims_paused}")
    if vitals.watch_fallback:
        found.append(f"polling instead of inotify: {vitals.watch_fallback}")
    if spoilt := vitals.frames.get("quarantined", 0):
        found.append(f"{spoilt} {'frame' if spoilt == 1 else 'frames'} in quarantine; see: sedmd status")
    if vitals.fallback is not None:
        night, nights = vitals.fallback
        found.append(f"using calibrations from {night} ({nights} {'night' if nights == 1 else 'nights'} old)")
    if vitals.observing and vitals.raw_root_there:
        since = vitals.last_frame_age_s
        if since is None:
            since = (vitals.now - vitals.started).total_seconds()
        if since > vitals.quiet_limit_s:
            found.append(f"no frame for {age(since)}, and it is night")
    return tuple(found)


def own_use(process: Path = Path("/proc/self")) -> tuple[int | None, int | None]:
    """Resident memory in bytes and number of open files of this process; None where /proc does not tell."""
    try:
        resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        resident = None
    try:
        # the listing itself holds one
        files = len(os.listdir(process / "fd")) - 1  # noqa: PTH208
    except OSError:
        files = None
    return resident, files
