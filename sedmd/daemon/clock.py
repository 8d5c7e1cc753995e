"""APScheduler as the clock, and nothing else: it wakes the service, it never works."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.background import BackgroundScheduler


class Ticker:
    """Calls small functions at intervals or once, in a thread of its own; they must only put something in a queue.

    Parameters
    ----------
    on_error : callable
        Called from the scheduler's thread when a call failed or was missed.
    """

    def __init__(self, on_error: Callable[[str], None] = lambda text: None) -> None:
        self._on_error = on_error
        # the defaults would drop a tick that comes one second late, and pile up those that come later
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._scheduler.add_listener(self._complain, EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    def every(self, seconds: float, call: Callable[[], None], *, name: str) -> None:
        """Call at an interval, the first time one interval from now."""
        self._scheduler.add_job(call, "interval", seconds=seconds, id=name, replace_existing=True)

    def at(self, when: datetime, call: Callable[[], None], *, name: str) -> None:
        """Call once at a time; a call of the same name that is still to come is replaced."""
        self._scheduler.add_job(call, "date", run_date=when, id=name, replace_existing=True)

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    def stop(self) -> None:
        """End the thread; nothing is called any more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    @property
    def alive(self) -> bool:
        """The scheduler's thread runs."""
        thread = getattr(self._scheduler, "_thread", None)
        return bool(self._scheduler.running and thread is not None and thread.is_alive())

    def _complain(self, event: JobExecutionEvent) -> None:
        what = "was missed" if event.exception is None else f"failed: {event.exception}"
        self._on_error(f"the tick {event.job_id!r} {what}")


class Standstill:
    """Notices that the process stood still: stopped by a signal, or with its whole machine.

    What is timed by the monotonic clock did not get older meanwhile: neither a file that was growing, nor a job.

    Parameters
    ----------
    monotonic : callable
        Seconds.
    limit_s : float
        A turn that takes less is a slow one.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, *, limit_s: float = 30.0) -> None:
        self._monotonic = monotonic
        self._limit_s = limit_s
        self._turned_s = monotonic()

    def passed_s(self, *, patience_s: float) -> float:
        """Seconds since the last call if so little can have been done in them; 0 in the usual course.

        Parameters
        ----------
        patience_s : float
            So long a turn may wait for something to do.
        """
        now_s = self._monotonic()
        turn_s, self._turned_s = now_s - self._turned_s, now_s
        return turn_s if turn_s >= patience_s + self._limit_s else 0.0


class Drift:
    """Notices when the wall clock jumps: by its difference from the monotonic one.

    Parameters
    ----------
    wall : callable
        The time now, UTC.
    monotonic : callable
        Seconds.
    limit_s : float
        A smaller step is a correction, not a jump.
    """

    def __init__(
        self, wall: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic, *, limit_s: float = 30.0
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._limit_s = limit_s
        self._offset_s = self._now()
        self.jumps = 0

    def jump_s(self) -> float:
        """Seconds by which the wall clock jumped since the last call (positive: forward); 0 if it did not."""
        now = self._now()
        step, self._offset_s = now - self._offset_s, now
        if abs(step) < self._limit_s:
            return 0.0
        self.jumps += 1
        return step

    def _now(self) -> float:
        return self._wall().timestamp() - self._monotonic()
