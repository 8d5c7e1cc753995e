"""Between planner and engine: plan a night, start what is due, book what ended; for `sedmd reduce` and `sedmd run`."""

from __future__ import annotations

import importlib
import math
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError
from sedmd.core.job import Job, Outcome
from sedmd.core.recipe import RECIPE
from sedmd.ledger.ledger import FrameRow, Ledger
from sedmd.plan.plan import FALLBACK, FrameOutcome, Node, Plan, State
from sedmd.plan.planner import plan_night
from sedmd.run.context import REFUSED, EarlierNights, night_context, night_is_final
from sedmd.run.event_log import INFO, NOTICE, WARNING, EventLog
from sedmd.run.folder_rights import RightsGate
from sedmd.run.product_check import Custody
from sedmd.workers.engines import Engine

#: Added to a job's time limit: so late, nobody works on it any more.
LEASE_GRACE_S = 60.0
#: Name of a product that was being written when its process died (see `sedmd.host.files`).
UNFINISHED = re.compile(r"\..+\.\d+-[0-9a-f]{8}(\.\w+)?")


def step_versions(steps_module: str) -> Mapping[str, object]:
    """Version of each step: part of every job's identity."""
    try:
        versions: Mapping[str, object] = importlib.import_module(steps_module).STEP_VERSIONS
    except ModuleNotFoundError as error:
        msg = f"[jobs] steps_module {steps_module!r} cannot be loaded ({error}); expected a module with STEPS"
        raise ConfigError(msg) from error
    return versions


class Dispatcher:
    """Keeps the workers busy with what the planner says is due.

    Parameters
    ----------
    settings : Settings
    ledger : Ledger
    engine : Engine
    clock : callable
        The time now, UTC.
    report : EventLog
        Gets one event at a time.
    on_done : callable
        Called from any thread with (key, job, future) when a job ends; hands over to the thread that owns the ledger.
    on_booked : callable
        Called with (job, state, seconds) when the ledger has it.
    pin_fallbacks : bool
        Leave alone what was reduced with an earlier night's calibrations once tonight's are there.
    patient : bool
        A job that found the disk full is tried again for as long as it takes, and is not charged for it; none is begun
        whose directory may not be written.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        engine: Engine,
        clock: Callable[[], datetime],
        report: EventLog,
        on_done: Callable[[str, Job, Future[Outcome]], None],
        on_booked: Callable[[Job, str, float], None] = lambda job, state, seconds: None,
        pin_fallbacks: bool = True,
        patient: bool = False,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.engine = engine
        self.clock = clock
        self.report = report
        self.on_done = on_done
        self.custody = Custody(ledger=ledger, redux_root=settings.paths.redux_root, report=report, once=self._once)
        self.rights = RightsGate(report)
        self.running: dict[str, Job] = {}
        self._ended: dict[str, set[str]] = {}  # night -> keys of jobs that ended since it was planned
        self._on_booked = on_booked
        self._owner = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.pin_fallbacks = pin_fallbacks
        self._patient = patient
        self._versions = step_versions(settings.jobs.steps_module)
        ledger.jobs.put_versions(self._versions)

    def recover(self, nights: Iterable[str], *, budget_s: float = math.inf) -> list[str]:
        """Mend what a dead process left: its jobs become due, unfinished files go, lost products are noticed.

        Returns
        -------
        list of str
            Nights whose products `check_products` did not get through in `budget_s` seconds each.
        """
        if count := self.ledger.jobs.release_running(owner=self._owner):
            self.report.event("", "service", "", f"{count} interrupted jobs start again")
        unchecked = []
        for night in filter(None, nights):
            folder = self.settings.paths.redux_root / night
            for leftover in folder.glob(".*") if folder.is_dir() else ():
                if UNFINISHED.fullmatch(leftover.name):
                    with suppress(OSError):
                        leftover.unlink()
            if not self.check_products(night, budget_s=budget_s):
                unchecked.append(night)
        return unchecked

    def check_products(self, night: str, *, budget_s: float = math.inf) -> bool:
        """Notice products that were deleted or changed by somebody else; see `Custody.check`."""
        return self.custody.check(night, busy=self._busy(), budget_s=budget_s)

    def plan(
        self, night: str, *, final: bool, rows: Sequence[FrameRow] | None = None, memory: EarlierNights | None = None
    ) -> Plan:
        """Plan a night, retire products that are no longer wanted, tell what is new; `rows`, `memory` as for `look`."""
        plan = self.look(night, final=final, rows=rows, memory=memory)
        self._ended.pop(night, None)
        self._retire(plan)
        self._tell(plan)
        return plan

    def look(
        self,
        night: str,
        *,
        final: bool | None = None,
        rows: Sequence[FrameRow] | None = None,
        memory: EarlierNights | None = None,
    ) -> Plan:
        """Plan a night and change nothing.

        Parameters
        ----------
        final : bool, optional
            No more frames come; by default what the clock says.
        rows, memory : optional
            The night's frames, and results of earlier nights, if the caller knows that they do not change meanwhile; by
            default the ledger is asked.
        """
        rows = self.ledger.frames.of_night(night) if rows is None else rows
        if final is None:
            final = night_is_final(self.settings, self.ledger, night, now=self.clock())
        context = night_context(
            self.settings,
            self.ledger,
            night,
            rows,
            now=self.clock(),
            final=final,
            versions=self._versions,
            pin_fallbacks=self.pin_fallbacks,
            memory=memory,
        )
        return plan_night([row.frame for row in rows if row.frame is not None], context)

    def launch(self, plans: Iterable[Plan], *, oldest_first: bool = False) -> int:
        """Start due jobs while workers are free; how many were started.

        A plan may be older than the jobs that ended since: what it calls due is not begun again.

        Parameters
        ----------
        oldest_first : bool
            The nights in the order in which each rests on those before it; else the newest is the most urgent.
        """
        started = 0
        room = self.engine.workers - len(self.running)
        written = self._busy()
        read = {path for job in self.running.values() for given in job.inputs.values() for path in given}
        for plan in sorted(plans, key=lambda plan: plan.night, reverse=not oldest_first):
            if started >= room:
                return started
            for node in plan.due():
                if started >= room:
                    return started
                if node.key in self.running or node.key in self._ended.get(plan.night, ()):
                    continue
                folders = {path.parent for path in node.job.outputs.values()}
                if self._patient and not all(self.rights.may_write(folder, plan.night) for folder in folders):
                    continue
                makes = set(node.job.outputs.values())
                reads = {path for given in node.job.inputs.values() for path in given}
                if makes & written or makes & read or reads & written:
                    continue  # it would write what a running job reads or writes, or read what one writes
                self._start(node)
                written |= makes
                read |= reads
                started += 1
        return started

    def finished(self, key: str, future: Future[Outcome]) -> Outcome:
        """Book the end of a job; call in the thread that owns the ledger.

        Raises
        ------
        LedgerFull
            Nothing was booked; call again when there is room.
        """
        job = self.running[key]
        outcome = outcome_of(future)
        if outcome.state == "done" and (spoilt := self.custody.spoilt(job)):
            # what was made of it is as wrong as it was, and would keep its name and key when the input is corrected
            reason = f"{spoilt} was changed by another program before it was read; both are made again"
            outcome = replace(outcome, state="transient", reason=reason, products=())
        if outcome.state == "transient":
            self.check_products(job.night)  # an input that somebody removed is made again before the next try
        state, not_before = outcome.state, None
        waits = self.settings.jobs.retry_after_s
        charge = not (outcome.no_room and self._patient and waits)
        if not charge:
            state, not_before = "retry", self.clock() + timedelta(seconds=waits[0])
        elif state == "transient":
            tries = self.ledger.jobs.records(job.night)[key].tries
            if tries < len(waits):
                state, not_before = "retry", self.clock() + timedelta(seconds=waits[tries])
            else:
                state = "failed"
                outcome = replace(outcome, reason=f"{outcome.reason} (given up after {tries + 1} tries)")
        booked = self.ledger.jobs.finish(
            key, job, outcome, state=state, not_before=not_before, charge=charge, owner=self._owner
        )
        del self.running[key]
        self._ended.setdefault(job.night, set()).add(key)
        if booked:
            self._on_booked(job, state, outcome.seconds)
            self.report.job(job, outcome, state)
        else:
            self.report.event(job.night, job.step, job.label, "ended, but was withdrawn meanwhile: not recorded")
        return outcome

    def expire(self) -> int:
        """Jobs whose lease ran out although nobody here works on them become due again; how many."""
        if not self.running:
            return self.ledger.jobs.release_running(expired_at=self.clock())
        return 0

    def _start(self, node: Node) -> None:
        limit_s = self.settings.jobs.timeout_s
        # the engine stops the job at its limit; the lease only matters when this process is not there to do it
        until = self.clock() + timedelta(seconds=limit_s + LEASE_GRACE_S)
        self.ledger.jobs.start(node.key, node.job, inputs=node.inputs, owner=self._owner, lease_until=until)
        self.running[node.key] = node.job
        self.report.started(node.job)
        future = self.engine.submit(node.job, timeout_s=limit_s)
        future.add_done_callback(partial(self.on_done, node.key, node.job))

    def _retire(self, plan: Plan) -> None:
        """Move aside what the plan no longer wants, or what is outdated after a failed remake."""
        wanted = {path.name: node for node in plan.nodes for path in node.job.outputs.values()}
        busy = self._busy()
        folder = self.settings.paths.redux_root / plan.night
        for name, key in self.ledger.products.by_name(plan.night).items():
            node = wanted.get(name)
            path = folder / name
            if node is not None and key != node.key and _shows_another(node, wanted):
                if path not in busy:
                    self.custody.discard(path, plan.night, "shows a product that was remade or lost")
                continue
            stale = node is None or (key != node.key and (_ended_without(node) or _rests_on_none(node, wanted)))
            if not stale or path in busy:
                continue
            if gone := self.custody.source_gone(plan.night, path):
                text = f"no longer in the plan; kept, because its raw frame {gone} is gone"
                self._once(plan.night, "plan", name, "keeps", text, level=WARNING)
            elif where := self.custody.move_aside(path, plan.night, "superseded"):
                self.ledger.products.forget(path, plan.night, f"superseded; kept as {where}")
                self.report.event(plan.night, "plan", name, f"superseded by later frames; kept as {where}")

    def _busy(self) -> set[Path]:
        """Files that are being written."""
        return {path for job in self.running.values() for path in job.outputs.values()}

    def _tell(self, plan: Plan) -> None:
        """What waits, which calibrations are used, what is offered: a line when it changes, never twice."""
        for node in plan.nodes:
            if node.state is State.WAITING and not node.active:
                self._once(plan.night, node.job.step, node.job.label, "waits", node.reason, minor=True)
        if plan.fallback is not None:
            age = "1 night" if plan.fallback.age_nights == 1 else f"{plan.fallback.age_nights} nights"
            why = plan.lacking[0] if plan.lacking else "tonight's were not ready"
            text = f"using calibrations from {plan.fallback.night} ({age} old); tonight: {why}"
            self._once(plan.night, "night", "calibrations", "fall-back", text, level=WARNING)
        if plan.flux_fallback is not None:
            text = f"using the flux calibration from {plan.flux_fallback.night} until a standard star is reduced"
            self._once(plan.night, "night", "flux calibration", "fall-back", text, level=NOTICE)
        if plan.offers:
            how = f"to use them: sedmd redo {FALLBACK} --night {plan.night}"
            text = f"{', '.join(plan.offers)}: tonight's calibrations are available now; {how}"
            self._once(plan.night, "night", "calibrations", "offer", text, level=NOTICE)
        for one in plan.sets:
            level = WARNING if one.has_concern else NOTICE
            self._once(plan.night, "lamp", f"dome and lamps of {one.span}", "set", one.text, level=level)
        refused = bool(self.ledger.marks.of_night(plan.night, REFUSED))
        if plan.geometry_change and not refused:
            self.ledger.marks.put(REFUSED, plan.night, "calibrations", plan.geometry_change)
            self._once(plan.night, "wavelength", "calibrations", "refused", plan.geometry_change, level=WARNING)
        elif refused and not plan.geometry_change:
            self.ledger.marks.remove(REFUSED, plan.night, "calibrations")

    def _once(
        self, night: str, step: str, subject: str, what: str, text: str, *, level: int = INFO, minor: bool = False
    ) -> None:
        """Note and report a sentence, unless it is the last that was said of this."""
        begins = f"{step} {what}: "
        if self.ledger.events.last_note(night, subject, begins) != begins + text:
            self.ledger.events.note(night, subject, begins + text)
            self.report.event(night, step, subject, f"{what}: {text}", level=level, minor=minor)


def _ended_without(node: Node) -> bool:
    """It gave no products, and will give none by itself."""
    return node.lost or node.state is State.AWAITING


def _rests_on_none(node: Node, made_by: Mapping[str, Node]) -> bool:
    """Of an extraction that awaits the observer there is no spectrum: a former one is not of the present extraction."""
    before = [made_by.get(path.name) for paths in node.job.inputs.values() for path in paths]
    return any(one is not None and one.state is State.AWAITING for one in before)


def _shows_another(node: Node, made_by: Mapping[str, Node]) -> bool:
    """A picture that is still to be drawn, of a product that has been remade or is lost."""
    shown = [made_by.get(path.name) for paths in node.job.inputs.values() for path in paths]
    return RECIPE[node.job.step].shows and any(one is None or one.lost or one.state is State.DONE for one in shown)


def outcome_of(future: Future[Outcome]) -> Outcome:
    """How a job ended, also when its engine lost it."""
    try:
        return future.result()
    except CancelledError:
        return Outcome(state="transient", reason="stopped before it began")
    except Exception as error:
        # the border of the engine: a cluster that lost the job's worker raises what it likes
        return Outcome(state="transient", reason=f"the engine lost the job ({type(error).__name__}: {error})")


def all_outcomes(plan: Plan, rows: list[FrameRow]) -> list[tuple[Path, str, FrameOutcome | None, str]]:
    """Every raw file of a night: (path, what it is, its outcome if it could be read, reason if not), by file name."""
    outcomes = {outcome.frame.path: outcome for outcome in plan.outcomes}
    table: list[tuple[Path, str, FrameOutcome | None, str]] = []
    for row in sorted(rows, key=lambda row: (row.path.name, str(row.path))):
        outcome = outcomes.get(row.path)
        kind = str(row.frame.kind) if row.frame is not None else "?"
        table.append((row.path, kind, outcome, row.reason))
    return table
