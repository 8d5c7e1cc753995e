"""The state of a night as JSON, for other programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sedmd.core.memory_figures import UNSEEN
from sedmd.run.states import JobState, NightState, TargetState


def to_json(state: NightState) -> dict[str, Any]:
    """The state as `sedmd status --json` gives it: its keys are read by other programs and stay as they are."""
    return {
        "night": state.night,
        "now": _time(state.now),
        "sunset": _time(state.sunset),
        "sunrise": _time(state.sunrise),
        "closed": state.closed,
        "idle": state.idle,
        "service": {"running": state.process is not None, "pid": state.process},
        "frames": dict(state.frames),
        "last_frame": _time(state.last_frame),
        "calibrations": _jobs(state.calibrations),
        "fallback": asdict(state.fallback) if state.fallback else None,
        "flux_fallback": asdict(state.flux_fallback) if state.flux_fallback else None,
        "offers": list(state.offers),
        "departed": state.geometry_change,
        "place": state.place.describe() if state.place is not None else "",
        "targets": [_target(one) for one in state.targets],
        "running": _jobs(state.running),
        "due": _jobs(state.due),
        "waiting": _jobs(state.waiting),
        "failed": _jobs(state.failed),
        "held": [asdict(one) for one in state.held],
        "requests": [asdict(one) for one in state.requests],
        "quarantined_frames": [asdict(one) for one in state.rejected_frames],
        "unused": [{"kind": one.kind, "frames": one.span, "reason": one.reason} for one in state.unused],
        "sets": list(state.sets),
        "contradictions": [asdict(one) for one in state.contradictions],
        "missing": list(state.missing),
        "lacking": list(state.lacking),
        "disk": dict(state.disk),
    }


def _jobs(jobs: tuple[JobState, ...]) -> list[dict[str, Any]]:
    return [
        {
            "step": one.step,
            "label": one.label,
            "state": str(one.state),
            "reason": one.reason,
            "products": list(one.products),
            "frames": one.frames,
            "ended": one.ended,
            "seconds": one.seconds,
            "figures": {name: value for name, value in one.figures.items() if name not in UNSEEN},
        }
        for one in jobs
    ]


def _target(one: TargetState) -> dict[str, Any]:
    return {
        "name": one.name,
        "target": one.target,
        "standard": one.standard,
        "star": one.star,
        "note": one.note,
        "state": one.stage,
        "reason": one.reason,
        "pair": one.pair,
        "half_of_pair": one.half_of_pair,
        "frames": list(one.frames),
        "exptime_s": one.exptime_s,
        "airmass": one.airmass,
        "calibrations": one.calibrations,
        "figures": dict(one.figures.recorded),
        "decision": asdict(one.decision) if one.decision is not None else None,
    }


def _time(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
