"""What stands where, from the ledger alone: works when the service is dead, and says so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sedmd.config import Settings
from sedmd.dispatch import planner_context
from sedmd.errors import SedmError
from sedmd.ledger import Ledger
from sedmd.lock import holder
from sedmd.night import night_is_over
from sedmd.planner import Plan, State, plan_night

CALIBRATIONS = ("bias", "lamp", "traces", "wavelength", "flat", "fluxcal")


def snapshot(settings: Settings, *, night: str | None, now: datetime) -> dict[str, Any]:
    """The state of one night as plain values (JSON-serialisable).

    Raises
    ------
    SedmError
        If there is no ledger, or it does not know the night.
    """
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        msg = f"no ledger {path}; nothing was reduced to {settings.paths.redux_root} yet"
        raise SedmError(msg)
    with Ledger.open(path, clock=lambda: now, read_only=True) as ledger:
        nights = ledger.nights()
        if not nights or night not in (None, *nights):
            msg = f"no frames of night {night}; known: {', '.join(nights) or 'none'}"
            raise SedmError(msg)
        chosen = night or nights[-1]
        rows = ledger.frames(chosen)
        final = night_is_over(
            chosen,
            now=now,
            last_arrival=max(row.arrived for row in rows),
            closes_ut_hour=settings.night.closes_ut_hour,
            quiet_s=settings.night.quiet_s,
        )
        # the versions of the program that did the work, not of the one that asks
        context = planner_context(settings, ledger, chosen, rows, now=now, final=final, versions=ledger.versions())
        plan = plan_night([row.frame for row in rows if row.frame is not None], context)
        jobs = {row.key: row for row in ledger.jobs(chosen)}
    process = holder(settings.paths.state)
    kinds = sorted({str(row.frame.kind) for row in rows if row.frame is not None})
    return {
        "night": chosen,
        "closed": final,
        "idle": not plan.active,
        "service": {"running": process is not None, "pid": process},
        "frames": {
            **{kind: sum(row.frame is not None and row.frame.kind == kind for row in rows) for kind in kinds},
            **{state: sum(row.state == state for row in rows) for state in ("quarantined", "incomplete")},
        },
        "calibrations": [_entry(plan, index, jobs) for index in _of(plan, CALIBRATIONS)],
        "targets": _targets(plan),
        "waiting": [_entry(plan, index, jobs) for index, node in enumerate(plan.nodes) if node.state is State.WAITING],
        "failed": [
            _entry(plan, index, jobs)
            for index, node in enumerate(plan.nodes)
            if node.state in (State.FAILED, State.QUARANTINED)
        ],
        "quarantined_frames": [{"frame": row.path.name, "reason": row.reason} for row in rows if row.state != "good"]
        + [{"frame": fate.frame.path.name, "reason": fate.why} for fate in plan.fates if fate.became == "quarantined"],
        "missing": list(plan.missing),
    }


def render(state: dict[str, Any]) -> str:
    """The snapshot as text for a terminal."""
    service = state["service"]
    alive = f"running (process {service['pid']})" if service["running"] else "not running"
    lines = [
        f"night {state['night']} ({'closed' if state['closed'] else 'open'}); service {alive}",
        "frames: " + ", ".join(f"{count} {kind}" for kind, count in state["frames"].items() if count),
        "",
        "calibrations",
        *(_line(entry) for entry in state["calibrations"]),
        "",
        "targets",
        *(f"  {target['name']:32} {target['state']:18} {target['reason']}".rstrip() for target in state["targets"]),
    ]
    if state["missing"]:
        lines += ["", "missing", *(f"  {lack}" for lack in state["missing"])]
    if state["failed"]:
        lines += ["", "failed", *(_line(entry) for entry in state["failed"])]
    if state["quarantined_frames"]:
        lines += ["", "quarantined", *(f"  {one['frame']}: {one['reason']}" for one in state["quarantined_frames"])]
    return "\n".join(lines)


def _of(plan: Plan, steps: tuple[str, ...]) -> list[int]:
    return [index for index, node in enumerate(plan.nodes) if node.job.step in steps]


def _entry(plan: Plan, index: int, jobs: dict[str, Any]) -> dict[str, Any]:
    node = plan.nodes[index]
    row = jobs.get(node.key)
    return {
        "step": node.job.step,
        "label": node.job.label,
        "state": str(node.state),
        "reason": node.reason,
        "products": [path.name for path in node.job.outputs.values()],
        "ended": row.ended if row is not None else None,
        "seconds": row.seconds if row is not None else None,
        "figures": dict(row.figures) if row is not None else {},
    }


def _targets(plan: Plan) -> list[dict[str, str]]:
    """One line per observation: where its spectrum stands."""
    extractions = {node.job.label: node for node in plan.nodes if node.job.step == "extract"}
    targets = []
    for node in plan.nodes:
        if node.job.step == "calibrate":
            ext = extractions[node.job.label]
            at = node if ext.state is State.DONE else ext
            stage = "spectrum" if node.state is State.DONE else f"{at.job.step} {at.state}"
            targets.append({"name": node.job.label, "state": stage, "reason": at.reason})
    return targets


def _line(entry: dict[str, Any]) -> str:
    seconds = f"{entry['seconds']:.1f} s" if entry["seconds"] is not None else ""
    return f"  {entry['step']:10} {entry['label']:32} {entry['state']:18} {entry['reason'] or seconds}".rstrip()
