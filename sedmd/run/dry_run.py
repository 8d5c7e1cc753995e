"""`sedmd scan --dry-run`: the expected outcome of a night, without touching anything."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import datetime

from sedmd.core.config import Settings
from sedmd.core.errors import SedmError
from sedmd.core.nights import neighbour
from sedmd.ledger.ledger import FrameRow, KnownFile, Ledger
from sedmd.plan.deadlines import deadlines
from sedmd.plan.plan import Plan, State
from sedmd.plan.planner import plan_night
from sedmd.raw.mends import Cards
from sedmd.run.context import night_context
from sedmd.run.dispatch import step_versions
from sedmd.run.ingest import Corrections, raw_files, take_in, unchanged
from sedmd.run.runner import FrameSummary, table


def preview_night(settings: Settings, night: str, *, now: datetime) -> str:
    """A table of the night's raw files, the jobs that would be done, and what is missing.

    Files that the ledger does not know are read as they are now; the ledger, where there is one, tells what was
    excluded and done already, and which earlier calibrations could be used.

    Raises
    ------
    SedmError
        If there are no raw directories of this night.
    """
    root = settings.paths.raw_root
    folders = [root / name for name in (neighbour(night, -1), night) if (root / name).is_dir()]
    if not folders:
        msg = f"{root} has neither {neighbour(night, -1)} nor {night}; expected directories with raw frames"
        raise SedmError(msg)
    path = settings.paths.state / "ledger.sqlite"
    with ExitStack() as stack:
        there = path.exists()
        ledger = stack.enter_context(Ledger.open(path if there else ":memory:", clock=lambda: now, read_only=there))
        known = {row.path: row for row in ledger.frames.of_night(night)}
        found = raw_files(folders, settings.watch.pattern)
        corrections = Corrections(ledger)
        read = [
            row
            if (row := known.get(path)) is not None and _as_read(row, settings, corrections.of(path))
            else take_in(path, settings, now=now, mends=corrections.of(path))
            for path in found
        ]
        rows = [row for row in read if row.night == night]
        context = night_context(
            settings,
            ledger,
            night,
            rows,
            now=now,
            final=now >= deadlines(night, settings).closes,
            versions=step_versions(settings.jobs.steps_module),
        )
    plan = plan_night([row.frame for row in rows if row.frame is not None], context)
    return "\n".join([table(_rows(plan, rows)), "", *_jobs(plan)])


def _as_read(row: FrameRow, settings: Settings, mends: Cards) -> bool:
    """Whether a run would keep this file as it was read, or excluded."""
    seen = KnownFile(size=row.size, mtime_ns=row.mtime_ns, rules=row.rules, state=row.state)
    return row.state == "forgotten" or unchanged(row.path, {row.path: seen}, settings, mends)


def _rows(plan: Plan, rows: list[FrameRow]) -> list[FrameSummary]:
    outcomes = {outcome.frame.path: outcome for outcome in plan.outcomes}
    answer = []
    for row in sorted(rows, key=lambda row: row.path.name):
        known = outcomes.get(row.path)
        what = str(row.frame.kind) if row.frame is not None else "?"
        outcome, why = (known.outcome, known.why) if known is not None else (row.state, row.reason)
        answer.append(
            FrameSummary(night=plan.night, frame=row.path.name, what=what, outcome=outcome, why=why, good=True)
        )
    return answer


def _jobs(plan: Plan) -> list[str]:
    states = Counter(str(node.state) for node in plan.nodes)
    lines = ["jobs: " + (", ".join(f"{count} {state}" for state, count in states.items()) or "none")]
    lines += [
        f"  {node.job.step:10} {node.job.label:32} {node.state:18} {node.reason}".rstrip()
        for node in sorted(plan.nodes, key=lambda node: node.order)
        if node.state is not State.DONE
    ]
    if plan.fallback is not None:
        lines.append(f"would use calibrations from {plan.fallback.night} ({plan.fallback.age_nights} nights old)")
    lines += [f"missing: {lack}" for lack in plan.missing]
    return lines
