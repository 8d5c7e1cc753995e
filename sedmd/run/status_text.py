"""The state of a night as text for a terminal, a log or a mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sedmd.core.durations import age
from sedmd.core.quality import QUALITIES
from sedmd.plan.plan import FALLBACK
from sedmd.run.event_log import figures
from sedmd.run.states import ExtractionFigures, JobState, NightState, TargetState

#: Of a calibration's figures so many are shown, the first ones.
FIGURES_SHOWN = 3


def render(state: NightState) -> str:
    """The state of a night as text."""
    alive = f"running (process {state.process})" if state.process is not None else "not running"
    since = (state.now.replace(microsecond=0) - state.last_frame.replace(microsecond=0)).total_seconds()
    lines = [
        f"night {state.night} ({'closed' if state.closed else 'open'}); service {alive}",
        f"sunset {state.sunset:%H:%M}, sunrise {state.sunrise:%H:%M}, now {state.now:%H:%M} UT; "
        f"last frame {age(since)} ago; free: "
        + ", ".join(f"{name} {free / 1e9:.1f} GB" for name, free in state.disk.items()),
        "frames: " + ", ".join(f"{count} {kind}" for kind, count in state.frames.items() if count),
        f"queue: {len(state.running)} running, {len(state.due)} due, {len(state.waiting)} waiting"
        + "".join(f"; {job.name} runs" for job in state.running),
        "",
        "calibrations" + _earlier_nights(state),
        *(_job_line(job) for job in state.calibrations),
        "",
        "targets" + (f": {state.place.describe()}" if state.place is not None else ""),
        *(target_line(target) for target in state.targets),
    ]
    sections = (
        ("geometry change", [state.geometry_change] if state.geometry_change else []),
        ("sets of dome and lamps", state.sets),
        (f"offered (sedmd redo {FALLBACK} --night {state.night}), now with tonight's calibrations", state.offers),
        ("held", [f"{one.subject}: {one.reason}" for one in state.held]),
        ("requested, not done yet", [f"{one.verb} {one.subject} ({one.who})" for one in state.requests]),
        ("missing", state.missing),
        ("failed", [_job_line(job).strip() for job in state.failed]),
        ("inconsistent names", [f"{one.frame} {one.reason}" for one in state.contradictions]),
        (
            "not used",
            [
                *(f"{one.frame} {one.state}: {one.reason}" for one in state.rejected_frames),
                *(f"{one.kind}, {one.span}: {one.reason}" for one in state.unused),
            ],
        ),
    )
    for title, entries in sections:
        if entries:
            lines += ["", title, *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def target_line(target: TargetState) -> str:
    """One observation: exposure time, airmass, how far its spectrum is, and what there is to say of it."""
    airmass = f"{target.airmass:.2f}" if target.airmass is not None else "-"
    text = target.reason or "; ".join(filter(None, (_spectrum(target.figures), target.note)))
    if target.half_of_pair:
        text = f"only [{target.half_of_pair}] of a pair" + (f"; {text}" if text else "")
    if (decision := target.decision) is not None:
        text = f"{decision.quality} {QUALITIES[decision.quality]}, {decision.reducer}: {decision.saved_as}"
    return f"  {target.name:32} {target.exptime_s:6.0f} s  {airmass:>5}  {target.stage:18} {text}".rstrip()


def _earlier_nights(state: NightState) -> str:
    text = [f"those from {state.fallback.text}"] if state.fallback is not None else []
    text += [f"flux calibration from {state.flux_fallback.text}"] if state.flux_fallback is not None else []
    return f": using {', '.join(text)}" if text else ""


def _spectrum(found: ExtractionFigures) -> str:
    """How good a spectrum is, as far as the pipeline knows."""
    text = [f"S/N {found.snr}"] if found.snr is not None else []
    if found.quality:
        text.append(f"{found.quality} {QUALITIES[found.quality]}, confidence {100 * (found.confidence or 0.0):.0f} %")
    return ", ".join([*text, *([found.concerns] if found.concerns else [])])


def _job_line(job: JobState) -> str:
    seconds = f"{job.seconds:.1f} s" if job.seconds is not None else ""
    frames = f"{job.frames:2d} frames" if job.frames else ""
    text = job.reason or f"{seconds:>8}  {figures(_first(job.figures))}"
    return f"  {job.step:10} {job.label:24} {frames:9} {job.state:18} {text}".rstrip()


def _first(found: Mapping[str, Any]) -> dict[str, Any]:
    return dict(list(found.items())[:FIGURES_SHOWN])
