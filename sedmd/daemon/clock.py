"""APScheduler as the clock, and nothing else: it wakes the service, it never works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler


class Ticker:
    """Calls small functions at intervals or once, in a thread of its own; they must only put something in a queue."""

    def __init__(self) -> None:
        # the defaults would drop a tick that comes one second late, and pile up those that come later
        self._scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(self, seconds: float, call: Callable[[], None], *, name: str) -> None:
        """Call at an interval, the first time one interval from now."""
        self._scheduler.add_job(call, "interval", seconds=seconds, id=name, replace_existing=True)

    def once(self, seconds: float, call: Callable[[], None], *, name: str) -> None:
        """Call once, `seconds` from now; a call of the same name that is still to come is replaced."""
        when = datetime.now(UTC) + timedelta(seconds=seconds)
        self._scheduler.add_job(call, "date", run_date=when, id=name, replace_existing=True)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
