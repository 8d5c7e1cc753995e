"""What stands where, from the ledger alone: works when the service is dead, and says so."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sedmd.core.config import Settings
from sedmd.core.durations import age
from sedmd.core.errors import SedmError
from sedmd.core.quality import QUALITIES
from sedmd.host.lock import holder
from sedmd.host.mounts import free_bytes
from sedmd.ledger.ledger import JobRow, Ledger
from sedmd.ledger.records import FrameRow
from sedmd.observation.noted_decisions import Decided, decided
from sedmd.plan.deadlines import deadlines
from sedmd.plan.plan import FALLBACK, Node, Plan, State
from sedmd.plan.planner import plan_night
from sedmd.plan.series import span_of_names
from sedmd.raw.frames import Frame
from sedmd.reduce.target.place import Place
from sedmd.run.context import HOLD, night_context, night_is_final
from sedmd.run.event_log import figures

#: Of a calibration's figures so many are shown, the first ones.
FIGURES_SHOWN = 3
CALIBRATIONS = ("bias", "lamp", "traces", "wavelength", "flat", "fluxcal")


def snapshot(settings: Settings, *, night: str | None, now: datetime, ledger: Ledger | None = None) -> dict[str, Any]:
    """The state of one night as plain values (JSON-serialisable).

    Parameters
    ----------
    ledger : Ledger or None
        One that is open already; None opens it for reading.

    Raises
    ------
    SedmError
        If there is no ledger, or it does not know the night.
    """
    with ExitStack() as stack:
        if ledger is None:
            path = settings.paths.state / "ledger.sqlite"
            if not path.exists():
                msg = f"no ledger {path}; nothing was reduced to {settings.paths.redux_root} yet"
                raise SedmError(msg)
            ledger = stack.enter_context(Ledger.open(path, clock=lambda: now, read_only=True))
        nights = ledger.nights()
        if not nights or night not in (None, *nights):
            msg = f"no frames of night {night}; known: {', '.join(nights[-10:]) or 'none'}"
            raise SedmError(msg)
        return _night(settings, ledger, night or nights[-1], now)


def _night(settings: Settings, ledger: Ledger, night: str, now: datetime) -> dict[str, Any]:
    rows = ledger.frames(night)
    final = night_is_final(settings, ledger, night, now=now)
    # the versions of the program that did the work, not of the one that asks
    versions = ledger.versions()
    context = night_context(settings, ledger, night, rows, now=now, final=final, versions=versions)
    plan = plan_night([row.frame for row in rows if row.frame is not None], context)
    jobs = {row.key: row for row in ledger.jobs(night)}
    process = holder(settings.paths.state)
    sun = deadlines(night, settings)
    return {
        "night": night,
        "now": now.isoformat(timespec="seconds"),
        "sunset": sun.sunset.isoformat(timespec="seconds"),
        "sunrise": sun.sunrise.isoformat(timespec="seconds"),
        "closed": final,
        "idle": not plan.active,
        "service": {"running": process is not None, "pid": process},
        "frames": _frames(rows),
        "last_frame": max(row.arrived for row in rows).isoformat(timespec="seconds"),
        "calibrations": [_entry(node, jobs) for node in plan.nodes if node.job.step in CALIBRATIONS],
        "fallback": asdict(plan.fallback, dict_factory=_plain) if plan.fallback else None,
        "flux_fallback": asdict(plan.flux_fallback, dict_factory=_plain) if plan.flux_fallback else None,
        "offers": list(plan.offers),
        "departed": plan.geometry_change,
        "place": Place.of(context.options["cube"]["place"]).describe(),
        "targets": _targets(plan, jobs, decided(ledger, night)),
        "running": [_entry(node, jobs) for node in plan.nodes if node.state is State.RUNNING],
        "due": [_entry(node, jobs) for node in plan.due()],
        "waiting": [_entry(node, jobs) for node in plan.nodes if node.state is State.WAITING],
        "failed": [_entry(node, jobs) for node in plan.nodes if node.lost],
        "held": [{"subject": mark.subject, "reason": mark.text} for mark in ledger.marks(night, HOLD)],
        "requests": [asdict(request) for request in ledger.requests()],
        "quarantined_frames": [
            {"frame": row.path.name, "state": row.state, "reason": row.reason} for row in rows if row.state != "good"
        ]
        + [
            {"frame": outcome.frame.path.name, "state": "quarantined", "reason": outcome.why}
            for outcome in plan.outcomes
            if outcome.outcome == "quarantined"
        ],
        "unused": _unused(plan),
        "sets": [one.text for one in plan.sets],
        "contradictions": [
            {"frame": row.path.name, "reason": row.frame.contradiction}
            for row in rows
            if row.frame is not None and row.frame.contradiction
        ],
        "missing": list(plan.missing),
        "lacking": list(plan.lacking),
        "disk": {
            name: free
            for name, place in (("redux_root", settings.paths.redux_root), ("state_dir", settings.paths.state))
            if (free := free_bytes(place)) is not None
        },
    }


def render(state: dict[str, Any]) -> str:
    """The snapshot as text for a terminal."""
    service = state["service"]
    alive = f"running (process {service['pid']})" if service["running"] else "not running"
    now = datetime.fromisoformat(state["now"])
    since = (now - datetime.fromisoformat(state["last_frame"])).total_seconds()
    lines = [
        f"night {state['night']} ({'closed' if state['closed'] else 'open'}); service {alive}",
        f"sunset {state['sunset'][11:16]}, sunrise {state['sunrise'][11:16]}, now {state['now'][11:16]} UT; "
        f"last frame {age(since)} ago; free: "
        + ", ".join(f"{name} {free / 1e9:.1f} GB" for name, free in state["disk"].items()),
        "frames: " + ", ".join(f"{count} {kind}" for kind, count in state["frames"].items() if count),
        f"queue: {len(state['running'])} running, {len(state['due'])} due, {len(state['waiting'])} waiting"
        + "".join(f"; {_named(entry)} runs" for entry in state["running"]),
        "",
        "calibrations" + _serving(state),
        *(_line(entry) for entry in state["calibrations"]),
        "",
        "targets" + (f": {state['place']}" if state.get("place") else ""),
        *(_target_line(target) for target in state["targets"]),
    ]
    sections = (
        ("not trusted", [state["departed"]] if state["departed"] else []),
        ("dome and lamps were taken as", state.get("sets", [])),
        (f"offered (sedmd redo {FALLBACK} --night {state['night']}), now with tonight's calibrations", state["offers"]),
        ("held", [f"{one['subject']}: {one['reason']}" for one in state["held"]]),
        ("asked, not yet done", [f"{one['verb']} {one['subject']} ({one['who']})" for one in state["requests"]]),
        ("missing", state["missing"]),
        ("failed", [_line(entry).strip() for entry in state["failed"]]),
        ("names in doubt", [f"{one['frame']} {one['reason']}" for one in state["contradictions"]]),
        (
            "not used",
            [
                *(f"{one['frame']} {one['state']}: {one['reason']}" for one in state["quarantined_frames"]),
                *(f"{one['kind']}, {one['frames']}: {one['reason']}" for one in state["unused"]),
            ],
        ),
    )
    for title, entries in sections:
        if entries:
            lines += ["", title, *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def group_of(target: dict[str, Any]) -> str:
    """ "standard", "science" for targets of the survey (kpy: names that begin with ZTF), else "other"."""
    if target["standard"]:
        return "standard"
    return "science" if target["target"].upper().startswith("ZTF") else "other"


def _serving(state: dict[str, Any]) -> str:
    told = []
    for what, key in (("those", "fallback"), ("the flux calibration", "flux_fallback")):
        if (one := state[key]) is not None:
            nights = one["age_nights"]
            told.append(f"{what} of {one['night']} ({nights} {'night' if nights == 1 else 'nights'} old)")
    return f": {', '.join(told)} serve" if told else ""


def _frames(rows: list[FrameRow]) -> dict[str, int]:
    kinds = sorted({str(row.frame.kind) for row in rows if row.frame is not None})
    return {
        **{kind: sum(row.frame is not None and row.frame.kind == kind for row in rows) for kind in kinds},
        **{state: sum(row.state == state for row in rows) for state in ("quarantined", "deferred", "forgotten")},
    }


def _entry(node: Node, jobs: dict[str, JobRow]) -> dict[str, Any]:
    row = jobs.get(node.key)
    return {
        "step": node.job.step,
        "label": node.job.label,
        "state": str(node.state),
        "reason": node.reason,
        "products": [path.name for path in node.job.outputs.values()],
        "frames": len(node.job.inputs.get("raw", ())),
        "ended": row.ended if row is not None else None,
        "seconds": row.seconds if row is not None else None,
        "figures": dict(row.figures) if row is not None else {},
    }


def _unused(plan: Plan) -> list[dict[str, str]]:
    """Good calibration frames that serve nothing, those of one kind with one reason together."""
    together: dict[tuple[str, str], list[str]] = {}
    for outcome in plan.outcomes:
        if outcome.outcome == "not used":
            together.setdefault((str(outcome.frame.kind), outcome.why), []).append(outcome.frame.stem)
    return [
        {"kind": kind, "frames": span_of_names(stems), "reason": reason} for (kind, reason), stems in together.items()
    ]


def _targets(plan: Plan, jobs: dict[str, JobRow], verdicts: dict[str, Decided]) -> list[dict[str, Any]]:
    """One line per observation: what was observed, and where its spectrum stands."""
    extractions = {node.job.label: node for node in plan.nodes if node.job.step == "extract"}
    cubes = {path: node for node in plan.nodes if node.job.step == "cube" for path in node.job.outputs.values()}
    frames = {outcome.frame.path: outcome.frame for outcome in plan.outcomes}
    targets = []
    for node in plan.nodes:
        if node.job.step != "calibrate":
            continue
        ext = extractions[node.job.label]
        at = node if ext.state is State.DONE else ext
        stage = "spectrum" if node.state is State.DONE else f"{at.job.step} {at.state}"
        mine = [cubes[path] for given in ext.job.inputs.values() for path in given if path in cubes]
        taken = [frames[path] for cube in mine for path in cube.job.inputs["raw"]]
        airmasses = [frame.airmass for frame in taken if frame.airmass is not None]
        row = jobs.get(ext.key)
        verdict = verdicts.get(node.job.label)
        targets.append(
            {
                "name": node.job.label,
                "target": node.job.options["name"],
                "standard": node.job.options["standard"],
                "star": node.job.options["star"],
                "note": _note(node, taken),
                "state": stage,
                "reason": at.reason,
                "pair": len(taken) == 2,
                "half_of_pair": str(ext.job.options.get("half_of_pair") or ""),
                "frames": [frame.stem for frame in taken],
                "exptime_s": sum(frame.exptime_s or 0.0 for frame in taken),
                "airmass": sum(airmasses) / len(airmasses) if airmasses else None,
                "calibrations": next((cube.fallback for cube in mine if cube.fallback), plan.night),
                "figures": dict(row.figures) if row is not None else {},
                "decision": asdict(verdict) if verdict is not None else None,
            }
        )
    return targets


def _note(node: Node, taken: list[Frame]) -> str:
    """Why a standard star calibrates nothing; empty for those that do, and for targets."""
    if not node.job.options["standard"] or node.job.options["star"]:
        return ""
    doubted = any(frame.contradiction for frame in taken)
    why = "its names and its place do not agree" if doubted else "the table has no spectrum of it"
    return f"calibrates nothing: {why}"


def _target_line(target: dict[str, Any]) -> str:
    airmass = f"{target['airmass']:.2f}" if target["airmass"] is not None else "-"
    figured = target["figures"]
    told = target["reason"] or "; ".join(filter(None, (_sure(figured), target["note"])))
    if target["half_of_pair"]:
        told = f"only [{target['half_of_pair']}] of a pair" + (f"; {told}" if told else "")
    if (verdict := target["decision"]) is not None:
        told = f"{verdict['quality']} {QUALITIES[verdict['quality']]}, {verdict['reducer']}: {verdict['saved_as']}"
    return f"  {target['name']:32} {target['exptime_s']:6.0f} s  {airmass:>5}  {target['state']:18} {told}".rstrip()


def _sure(figured: dict[str, Any]) -> str:
    """How good a spectrum is, as far as the pipeline knows."""
    told = [f"S/N {figured['S/N']}"] if figured.get("S/N") is not None else []
    if figured.get("quality"):
        told.append(f"{figured['quality']} {QUALITIES[figured['quality']]}, {100 * figured['confidence']:.0f} % sure")
    return ", ".join([*told, *([figured["doubts"]] if figured.get("doubts") else [])])


def _named(entry: dict[str, Any]) -> str:
    return str(entry["step"] if entry["step"] == entry["label"] else f"{entry['step']} {entry['label']}")


def _line(entry: dict[str, Any]) -> str:
    seconds = f"{entry['seconds']:.1f} s" if entry["seconds"] is not None else ""
    frames = f"{entry['frames']:2d} frames" if entry["frames"] else ""
    told = entry["reason"] or f"{seconds:>8}  {figures(dict(list(entry['figures'].items())[:FIGURES_SHOWN]))}"
    return f"  {entry['step']:10} {entry['label']:24} {frames:9} {entry['state']:18} {told}".rstrip()


def _plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Night and age of a set; its files are an inner matter."""
    return {name: value for name, value in items if name in ("night", "age_nights")}
