"""Takes the service's vitals after each turn of its loop, for the watchdog and for those who ask from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sedmd import __version__
from sedmd.daemon.vitals import Histogram, Vitals, own_use
from sedmd.deadlines import deadlines
from sedmd.job import Job
from sedmd.plan import State

if TYPE_CHECKING:
    from sedmd.daemon.service import Service

#: Seconds between two looks at what is slow to ask: own memory, open files, counts of the ledger.
SLOW_S = 15.0
#: Grace over a job's time limit before it counts as overdue, seconds.
OVERDUE_GRACE_S = 60.0


class VitalsKeeper:
    """Counts what happens and keeps the newest `Vitals`.

    Parameters
    ----------
    clock : callable
        The time now, UTC.
    monotonic : callable
        Seconds.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
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
            msg = "no vitals were taken yet"
            raise RuntimeError(msg)
        now = self._clock()
        since = (now - self._last_frame).total_seconds() if self._last_frame is not None else None
        return replace(
            self._latest, now=now, scan_age_s=self._monotonic() - self._scanned_s, last_frame_age_s=since
        )

    def take(self, service: Service) -> Vitals:
        """Look at every part of the service."""
        now, monotonic = self._clock(), self._monotonic()
        watch, plans = service.settings.watch, service.nights.plans
        self._scanned_s = service.intake.sight.scanned_s
        nodes = [node for plan in plans.values() for node in plan.nodes]
        night = max(plans, default="")
        jobs: dict[tuple[str, str], int] = {}
        for node in nodes:
            place = (node.job.step, str(node.state))
            jobs[place] = jobs.get(place, 0) + 1
        if monotonic - self._slow_s >= SLOW_S:
            self._slow_s = monotonic
            resident, files = own_use()
            self._slow = {"resident_bytes": resident, "open_files": files, "frames": service.intake.census()}
        fallback = plans[night].fallback if night else None
        self._latest = Vitals(
            version=__version__,
            started=self._started,
            now=now,
            night=night,
            scan_age_s=monotonic - self._scanned_s,
            scan_limit_s=3 * watch.scan_interval_s + 30,
            raw_root_there=service.intake.sight.there,
            watch_mode="poll" if service.watcher.polling else "inotify",
            watch_fallback=service.watcher.refused,
            watcher_alive=service.watcher.healthy,
            watcher_restarts=service.watcher.restarts,
            hints_missed=service.intake.hints_missed,
            ledger_ok=service.ledger.answers(),
            clock_alive=service.ticker.alive,
            clock_jumps=service.drift.jumps,
            jobs_running=len(service.dispatcher.running),
            jobs_overdue=self._overdue(service, monotonic),
            jobs=jobs,
            oldest_waiting_s=self._oldest_waiting(service, now),
            observing=self._observing(service, night, now),
            free_bytes=service.disk.free(),
            claims_paused=self._paused(service),
            job_seconds=self._seconds,
            retries=self._retries,
            fallback=(fallback.night, fallback.age_nights) if fallback is not None else None,
            **self._slow,  # type: ignore[arg-type]
        )
        return self.now()

    @staticmethod
    def _paused(service: Service) -> str:
        """Why no job is begun: in any night, or in one."""
        return service.stalled or service.disk.complaint or "; ".join(service.dispatcher.rights.complaints.values())

    def _overdue(self, service: Service, monotonic: float) -> tuple[str, ...]:
        running = service.dispatcher.running
        self._begun_s = {key: self._begun_s.get(key, monotonic) for key in running}
        limit_s = service.settings.jobs.timeout_s + OVERDUE_GRACE_S
        late = [running[key] for key, begun in self._begun_s.items() if monotonic - begun > limit_s]
        return tuple(f"{job.step} {job.label}" for job in late)

    @staticmethod
    def _oldest_waiting(service: Service, now: datetime) -> float | None:
        """Age of the oldest frame of the newest night that nothing was made of yet although it should be."""
        if not service.nights.plans:
            return None
        plan = service.nights.plans[max(service.nights.plans)]
        waiting = [
            node.order[1] for node in plan.nodes if node.state is State.WAITING and node.job.step == "cube"
        ]
        return (now - datetime.fromisoformat(min(waiting))).total_seconds() if waiting else None

    @staticmethod
    def _observing(service: Service, night: str, now: datetime) -> bool:
        if not night:
            return False
        sun = deadlines(night, service.settings)
        return sun.sunset + timedelta(hours=1) <= now <= sun.sunrise - timedelta(hours=1)
