"""The nights in work: their plans, when to plan again, and the end of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from sedmd.core.config import Settings
from sedmd.ledger.ledger import Ledger
from sedmd.plan.deadlines import deadlines
from sedmd.plan.plan import Plan, State
from sedmd.run.context import ENDED
from sedmd.run.dispatch import Dispatcher
from sedmd.run.event_log import NOTICE, WARNING, EventLog
from sedmd.run.nightend import account, outcome_of, write_report

#: While files pour in, at most this share of the time goes into planning.
PLANNING_SHARE = 0.2


class Nights:
    """Keeps a plan of each night in sight, and no more work than what changed.

    Parameters
    ----------
    clock : callable
        The time now, UTC.
    monotonic : callable
        Seconds.
    on_end : callable
        Called with a night whose work is done.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        dispatcher: Dispatcher,
        report: EventLog,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        on_end: Callable[[str], None] = lambda night: None,
    ) -> None:
        self._on_end = on_end
        self.settings = settings
        self.ledger = ledger
        self.dispatcher = dispatcher
        self.report = report
        self.clock = clock
        self.monotonic = monotonic
        self.plans: dict[str, Plan] = {}
        self._dirty: set[str] = set()
        self._owed: set[str] = set()
        self._phases: dict[str, tuple[bool, bool]] = {}
        self._last_arrival: dict[str, datetime] = {}
        self._rest_until_s: dict[str, float] = {}

    def touch(self, night: str, *, arrived: datetime | None = None) -> None:
        """Something changed in a night: a frame arrived, or a job ended."""
        self._dirty.add(night)
        if arrived is not None:
            self._last_arrival[night] = arrived

    def touch_all(self) -> None:
        """Plan every night again."""
        self._dirty.update(self.plans)

    def replan(self, nights: Iterable[str], *, settled: Callable[[str], bool]) -> list[Plan]:
        """Plan the nights in which something changed.

        Parameters
        ----------
        nights : iterable of str
            Those in sight.
        settled : callable
            Night -> no file of it is being written or waits to be read.

        Returns
        -------
        list of Plan
            Of all `nights`.
        """
        now = self.clock()
        plans = []
        for night in nights:
            still = settled(night)
            phase = self.phase(night, now, settled=still)
            wake = self.plans[night].wake if night in self.plans else now
            if phase != self._phases.get(night) or (wake is not None and now >= wake):
                self._dirty.add(night)
            if night in self._dirty and (still or self._may_plan(night)):
                begun = self.monotonic()
                self.plans[night] = self.dispatcher.plan(night, final=phase[0])
                self._phases[night] = phase
                took = self.monotonic() - begun
                self._rest_until_s[night] = self.monotonic() + took * (1 / PLANNING_SHARE - 1)
                if phase[0] and not self.plans[night].active:
                    self._end(night)
                self._dirty.discard(night)  # only now: an end that could not be booked comes again
            if night in self.plans:
                plans.append(self.plans[night])
        return plans

    def phase(self, night: str, now: datetime, *, settled: bool) -> tuple[bool, bool]:
        """(no more frames are expected, an earlier night's calibrations may be used)."""
        last = self._last_arrival.get(night) or self.ledger.frames.last_arrival(night)
        if last is None:
            return False, False
        self._last_arrival[night] = last
        times = deadlines(night, self.settings)
        # an arrival in the future was booked while the clock was wrong
        over = settled and times.over(now, last_arrival=min(last, now), quiet_s=self.settings.night.quiet_s)
        return over, times.fallback_due(now, final=over)

    def next_wake(self, now: datetime) -> datetime | None:
        """The next time at which a plan changes although nothing happens."""
        times: list[datetime] = []
        for night, plan in self.plans.items():
            if night not in self._last_arrival:
                continue  # its last frame was taken out
            sun = deadlines(night, self.settings)
            quiet_until = self._last_arrival[night] + timedelta(seconds=self.settings.night.quiet_s)
            times += [sun.fallback_from, max(sun.closes, quiet_until), *([plan.wake] if plan.wake else [])]
        return min((when for when in times if when > now), default=None)

    def drop(self, nights: Iterable[str]) -> None:
        """Forget the plans of nights that are no longer in sight."""
        for night in nights:
            for kept in (self.plans, self._phases, self._last_arrival, self._rest_until_s):
                kept.pop(night, None)
            self._dirty.discard(night)

    def _may_plan(self, night: str) -> bool:
        return self.monotonic() >= self._rest_until_s.get(night, float("-inf"))

    def _end(self, night: str) -> None:
        """When the last job of a closed night has ended: its report; again if later work changes the result."""
        plan = self.plans[night]
        self._on_end(night)
        outcome = outcome_of(plan, self.ledger)
        if any(mark.text == outcome for mark in self.ledger.marks.of_night(night, ENDED)):
            return
        self.ledger.marks.put(ENDED, night, "", outcome)
        spectra = sum(node.state is State.DONE for node in plan.nodes if node.job.step == "calibrate")
        self.report.event(night, "night", "", f"finished: {spectra} spectra; jobs: {plan.census()}", level=NOTICE)
        for lack in plan.missing:
            self.report.event(night, "night", "", f"missing: {lack}", level=WARNING)
        for line in account(self.settings, self.ledger, plan).lines():
            self.report.event(night, "night", "", line, level=NOTICE)
        if trouble := write_report(self.settings, self.ledger, plan, now=self.clock()):
            self._owed.add(night)
            self.report.event(night, "night", "", f"{trouble}. It will be retried", level=WARNING)
        else:
            self._owed.discard(night)

    def write_owed(self) -> None:
        """Try again to write reports that could not be written when their nights ended."""
        for night in self._owed & set(self.plans):
            if not write_report(self.settings, self.ledger, self.plans[night], now=self.clock()):
                self._owed.discard(night)
                self.report.event(night, "night", "", "the report can be written again", level=NOTICE)
