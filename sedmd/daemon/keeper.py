"""Takes the service's vitals after each turn of its loop, for the watchdog and for those who ask from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sedmd import __version__
from sedmd.core.config import Settings
from sedmd.core.job import Job
from sedmd.daemon.clock import Drift, Ticker
from sedmd.daemon.disk import DiskGate
from sedmd.daemon.intake import Intake
from sedmd.daemon.nights import Nights
from sedmd.daemon.watch import Watcher
from sedmd.ledger.ledger import Ledger
from sedmd.plan.deadlines import deadlines
from sedmd.plan.plan import State
from sedmd.run.dispatch import Dispatcher
from sedmd.run.vitals import Histogram, Vitals, own_use

#: Seconds between two looks at what is slow to ask: own memory, open files, counts of the ledger.
SLOW_S = 15.0
#: Grace over a job's time limit before it counts as overdue, seconds.
OVERDUE_GRACE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the service that the vitals are taken from.

    Attributes
    ----------
    stalled : str
        Why nothing is done at all; empty while the service works.
    """

    settings: Settings
    ledger: Ledger
    dispatcher: Dispatcher
    intake: Intake
    nights: Nights
    watcher: Watcher
    ticker: Ticker
    drift: Drift
    disk: DiskGate
    stalled: str


class VitalsKeeper:
    """Counts what happens and keeps the newest `Vitals`.

    Parameters
    ----------
    clock : callable
        The time now, UTC.
    monotonic : callable
        Seconds.
    """

    def __init__(self, *, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._started = clock()
        self._seconds: dict[str, Histogram] = {}
        self._retries = 0
        self._latest: Vitals | None = None
        self._scanned_s = monotonic()
        self._last_frame: datetime | None = None
        self._begun_s: dict[str, float] = {}
        self._slow_s = float("-inf")
        self._slow: dict[str, object] = {}

    def booked(self, job: Job, state: str, seconds: float) -> None:
        """A job ended."""
        self._seconds = {**self._seconds, job.step: self._seconds.get(job.step, Histogram()).add(seconds)}
        self._retries += state == "retry"

    def frame(self, arrived: datetime) -> None:
        """A frame came into the ledger."""
        self._last_frame = arrived

    def stood_still(self, seconds: float) -> None:
        """The process stood still for so long: no job is older for it."""
        self._begun_s = {key: begun + seconds for key, begun in self._begun_s.items()}

    def now(self) -> Vitals:
        """The vitals with ages as of this moment; may be called from any thread once one was taken."""
        if self._latest is None:
            msg = "no vitals yet"
            raise RuntimeError(msg)
        now = self._clock()
        since = (now - self._last_frame).total_seconds() if self._last_frame is not None else None
        return replace(self._latest, now=now, scan_age_s=self._monotonic() - self._scanned_s, last_frame_age_s=since)

    def take(self, parts: Parts) -> Vitals:
        """Look at every part of the parts."""
        now, monotonic = self._clock(), self._monotonic()
        watch, plans = parts.settings.watch, parts.nights.plans
        self._scanned_s = parts.intake.sight.scanned_s
        nodes = [node for plan in plans.values() for node in plan.nodes]
        night = max(plans, default="")
        jobs: dict[tuple[str, str], int] = {}
        for node in nodes:
            place = (node.job.step, str(node.state))
            jobs[place] = jobs.get(place, 0) + 1
        if monotonic - self._slow_s >= SLOW_S:
            self._slow_s = monotonic
            resident, files = own_use()
            self._slow = {"resident_bytes": resident, "open_files": files, "frames": parts.intake.census()}
        fallback = plans[night].fallback if night else None
        self._latest = Vitals(
            version=__version__,
            started=self._started,
            now=now,
            night=night,
            scan_age_s=monotonic - self._scanned_s,
            scan_limit_s=3 * watch.scan_interval_s + 30,
            raw_root_there=parts.intake.sight.there,
            watch_mode="poll" if parts.watcher.polling else "inotify",
            watch_fallback=parts.watcher.refused,
            watcher_alive=parts.watcher.healthy,
            watcher_restarts=parts.watcher.restarts,
            hints_missed=parts.intake.hints_missed,
            ledger_ok=parts.ledger.answers(),
            clock_alive=parts.ticker.alive,
            clock_jumps=parts.drift.jumps,
            jobs_running=len(parts.dispatcher.running),
            jobs_overdue=self._overdue(parts, monotonic),
            jobs=jobs,
            oldest_waiting_s=self._oldest_waiting(parts, now),
            observing=self._observing(parts, night, now),
            free_bytes=parts.disk.free(),
            claims_paused=self._paused(parts),
            job_seconds=self._seconds,
            retries=self._retries,
            fallback=(fallback.night, fallback.age_nights) if fallback is not None else None,
            **self._slow,  # type: ignore[arg-type]
        )
        return self.now()

    @staticmethod
    def _paused(parts: Parts) -> str:
        """Why no job is begun: in any night, or in one."""
        return parts.stalled or parts.disk.complaint or "; ".join(parts.dispatcher.rights.complaints.values())

    def _overdue(self, parts: Parts, monotonic: float) -> tuple[str, ...]:
        running = parts.dispatcher.running
        self._begun_s = {key: self._begun_s.get(key, monotonic) for key in running}
        limit_s = parts.settings.jobs.timeout_s + OVERDUE_GRACE_S
        late = [running[key] for key, begun in self._begun_s.items() if monotonic - begun > limit_s]
        return tuple(f"{job.step} {job.label}" for job in late)

    @staticmethod
    def _oldest_waiting(parts: Parts, now: datetime) -> float | None:
        """Age of the oldest frame of the newest night that nothing was made of yet although it should be."""
        if not parts.nights.plans:
            return None
        plan = parts.nights.plans[max(parts.nights.plans)]
        waiting = [node.order[1] for node in plan.nodes if node.state is State.WAITING and node.job.step == "cube"]
        return (now - datetime.fromisoformat(min(waiting))).total_seconds() if waiting else None

    @staticmethod
    def _observing(parts: Parts, night: str, now: datetime) -> bool:
        if not night:
            return False
        sun = deadlines(night, parts.settings)
        return sun.sunset + timedelta(hours=1) <= now <= sun.sunrise - timedelta(hours=1)
