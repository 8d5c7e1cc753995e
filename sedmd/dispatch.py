"""Between planner and engine: plan a night, start what is due, book what ended; for `sedmd reduce` and `sedmd run`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sedmd.config import Settings
from sedmd.engines import Engine
from sedmd.errors import ConfigError
from sedmd.job import Job
from sedmd.ledger import FrameRow, Ledger
from sedmd.planner import Context, Fate, Node, Plan, State, plan_night
from sedmd.report import Report
from sedmd.worker import Outcome

#: Where a product goes that the plan no longer wants, below its night's directory.
SUPERSEDED = "superseded"
#: Name of a product that was being written when its process died (see `sedmd.products.files`).
UNFINISHED = re.compile(r"\..+\.\d+-[0-9a-f]{8}(\.\w+)?")


def standard_key(name: str) -> str | None:
    """Key of the tabulated standard star of this name, or None; the table is read when it is first asked."""
    lookup: Callable[[str], str | None] = importlib.import_module("sedmd.data.standards").lookup
    return lookup(name)


def step_versions(steps_module: str) -> Mapping[str, object]:
    """Version of each step: part of every job's identity."""
    try:
        versions: Mapping[str, object] = importlib.import_module(steps_module).STEP_VERSIONS
    except ModuleNotFoundError as error:
        msg = f"[jobs] steps_module {steps_module!r} cannot be loaded ({error}); expected a module with STEPS"
        raise ConfigError(msg) from error
    return versions


def conflicts(job: Job, running: Mapping[str, Job]) -> bool:
    """True if `job` would write what a running job reads or writes, or read what it writes."""
    makes = set(job.outputs.values())
    reads = {path for given in job.inputs.values() for path in given}
    for other in running.values():
        others = set(other.outputs.values())
        if makes & others or reads & others or makes & {path for given in other.inputs.values() for path in given}:
            return True
    return False


@dataclass(slots=True, kw_only=True)
class _Night:
    plan: Plan
    told: dict[str, str]


class Dispatcher:
    """Keeps the workers busy with what the planner says is due.

    Parameters
    ----------
    settings : Settings
    ledger : Ledger
    engine : Engine
    clock : callable
        The time now, UTC.
    report : Report
        Told one event at a time.
    on_done : callable
        Called from any thread with (key, job, future) when a job ends; hands over to the thread that owns the ledger.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        engine: Engine,
        clock: Callable[[], datetime],
        report: Report,
        on_done: Callable[[str, Job, Future[Outcome]], None],
        standard: Callable[[str], str | None] = standard_key,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.engine = engine
        self.clock = clock
        self.report = report
        self.on_done = on_done
        self.running: dict[str, Job] = {}
        self._standard = standard
        self._versions = step_versions(settings.jobs.steps_module)
        ledger.put_versions(self._versions)
        self._nights: dict[str, _Night] = {}

    def recover(self, nights: Iterable[str]) -> None:
        """Mend what a dead process left: its jobs become due, unfinished files go, lost products are noticed."""
        if count := self.ledger.release_running():
            self.report.event("", "service", "", f"{count} interrupted jobs start again")
        for night in filter(None, nights):
            folder = self.settings.paths.redux_root / night
            for leftover in folder.glob(".*") if folder.is_dir() else ():
                if UNFINISHED.fullmatch(leftover.name):
                    with suppress(OSError):
                        leftover.unlink()
            self.check_products(night)

    def check_products(self, night: str) -> None:
        """Forget products that were deleted or changed by somebody else, so that they are made again."""
        for path, (size, mtime_ns, _) in self.ledger.product_files(night).items():
            try:
                status = path.stat()
            except FileNotFoundError:
                self.ledger.forget_product(path, night, "the file is gone")
                continue
            if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
                self.ledger.forget_product(path, night, "the file was changed by another program")

    def context(self, night: str, rows: list[FrameRow], *, final: bool) -> Context:
        """What the planner is told about a night."""
        return planner_context(
            self.settings,
            self.ledger,
            night,
            rows,
            now=self.clock(),
            final=final,
            versions=self._versions,
            standard=self._standard,
        )

    def plan(self, night: str, *, final: bool) -> Plan:
        """Plan a night from the ledger, retire products that are no longer wanted, tell what waits anew."""
        rows = self.ledger.frames(night)
        plan = plan_night([row.frame for row in rows if row.frame is not None], self.context(night, rows, final=final))
        kept = self._nights.setdefault(night, _Night(plan=plan, told={}))
        kept.plan = plan
        self._retire(plan)
        self._tell_waiting(plan, kept.told)
        return plan

    def launch(self, plans: list[Plan]) -> int:
        """Start due jobs while workers are free; how many were started."""
        started = 0
        due = sorted((node for plan in plans for node in plan.due()), key=lambda node: (node.order, node.job.night))
        for node in due:
            if len(self.running) >= self.engine.workers:
                break
            if node.key in self.running or conflicts(node.job, self.running):
                continue
            self._start(node)
            started += 1
        return started

    def finished(self, key: str, future: Future[Outcome]) -> Outcome:
        """Book the end of a job; call in the thread that owns the ledger."""
        job = self.running.pop(key)
        outcome = future.result()
        state, not_before = outcome.state, None
        if state == "transient":
            tries = self.ledger.records(job.night)[key].tries
            waits = self.settings.jobs.retry_after_s
            if tries < len(waits):
                state, not_before = "retry", self.clock() + timedelta(seconds=waits[tries])
            else:
                state = "failed"
                outcome = replace(outcome, reason=f"{outcome.reason} (given up after {tries + 1} tries)")
        self.ledger.finish(key, job, outcome, state=state, not_before=not_before)
        self.report.job(job, outcome, state)
        return outcome

    def _start(self, node: Node) -> None:
        self.ledger.start(node.key, node.job)
        self.running[node.key] = node.job
        self.report.started(node.job)
        future = self.engine.submit(node.job, timeout_s=self.settings.jobs.timeout_s)
        future.add_done_callback(partial(self.on_done, node.key, node.job))

    def _retire(self, plan: Plan) -> None:
        """Move aside what the plan no longer wants, or what a failed remake would leave out of date."""
        wanted = {path.name: node for node in plan.nodes for path in node.job.outputs.values()}
        busy = {path for job in self.running.values() for path in job.outputs.values()}
        folder = self.settings.paths.redux_root / plan.night
        for name, key in self.ledger.products(plan.night).items():
            node = wanted.get(name)
            path = folder / name
            stale = node is None or (
                key != node.key and node.state in (State.FAILED, State.QUARANTINED, State.AWAITING)
            )
            if not stale or path in busy:
                continue
            with suppress(FileNotFoundError):
                (folder / SUPERSEDED).mkdir(exist_ok=True)
                path.replace(folder / SUPERSEDED / name)
            self.ledger.forget_product(path, plan.night, f"superseded; kept in {SUPERSEDED}/")
            self.report.event(plan.night, "plan", name, f"superseded by later frames; kept in {SUPERSEDED}/")

    def _tell_waiting(self, plan: Plan, told: dict[str, str]) -> None:
        """One line when a target or calibration begins to wait for something else than before; never twice."""
        for node in plan.nodes:
            name = f"{node.job.step} {node.job.label}"
            waits = node.reason if node.state is State.WAITING and not node.active else ""
            if waits != told.get(name, ""):
                told[name] = waits
                if waits:
                    self.ledger.note(plan.night, node.job.label, f"{node.job.step} waits: {waits}")
                    self.report.event(plan.night, node.job.step, node.job.label, f"waits for {waits}", minor=True)


def planner_context(
    settings: Settings,
    ledger: Ledger,
    night: str,
    rows: list[FrameRow],
    *,
    now: datetime,
    final: bool,
    versions: Mapping[str, object],
    standard: Callable[[str], str | None] = standard_key,
) -> Context:
    """Everything the planner is told about a night, from the ledger and the settings."""
    options: Mapping[str, Mapping[str, Any]] = {
        "traces": {"field_centre": list(settings.instrument.field_centre(night))},
    }
    return Context(
        night=night,
        folder=settings.paths.redux_root / night,
        now=now,
        final=final,
        arrived={row.frame.checksum: row.arrived for row in rows if row.frame is not None},
        records=ledger.records(night),
        products=ledger.products(night),
        rules=settings.calibrations,
        versions=versions,
        standard_key=standard,
        options=options,
    )


def all_fates(plan: Plan, rows: list[FrameRow]) -> list[tuple[Path, str, Fate | None, str]]:
    """Every raw file of a night: (path, what it is, its fate if it could be read, reason if not), by file name."""
    fates = {fate.frame.path: fate for fate in plan.fates}
    table: list[tuple[Path, str, Fate | None, str]] = []
    for row in sorted(rows, key=lambda row: (row.path.name, str(row.path))):
        fate = fates.get(row.path)
        kind = str(row.frame.kind) if row.frame is not None else "?"
        table.append((row.path, kind, fate, row.reason))
    return table
