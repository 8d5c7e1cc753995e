"""The state of a night, gathered from the ledger alone: works when the service is dead, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime

from sedmd.core.config import Settings
from sedmd.core.errors import SedmError
from sedmd.host.lock import holder
from sedmd.host.mounts import free_bytes
from sedmd.ledger.ledger import JobRow, Ledger
from sedmd.ledger.records import FrameRow
from sedmd.observation.noted_decisions import Decided, decided
from sedmd.plan.calibrations import CalibrationSet, FluxCalibration
from sedmd.plan.deadlines import deadlines
from sedmd.plan.plan import Node, Plan, State
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Frame
from sedmd.reduce.target.place import Place
from sedmd.run.context import HOLD, night_context, night_is_final
from sedmd.run.states import (
    Contradiction,
    EarlierNight,
    ExtractionFigures,
    Held,
    JobState,
    NightState,
    RejectedFrame,
    TargetState,
    UnusedSeries,
)

#: Steps that make calibrations.
CALIBRATIONS = ("bias", "lamp", "traces", "wavelength", "flat", "skyflat", "fluxcal")


def snapshot(settings: Settings, *, night: str | None, now: datetime, ledger: Ledger | None = None) -> NightState:
    """The state of one night.

    Parameters
    ----------
    night : str or None
        None is the newest that the ledger knows.
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
        nights = ledger.frames.nights()
        if not nights or night not in (None, *nights):
            msg = f"no frames of night {night}; known: {', '.join(nights[-10:]) or 'none'}"
            raise SedmError(msg)
        return _night(settings, ledger, night or nights[-1], now)


def _night(settings: Settings, ledger: Ledger, night: str, now: datetime) -> NightState:
    rows = ledger.frames.of_night(night)
    final = night_is_final(settings, ledger, night, now=now)
    # the versions of the program that did the work, not of the one that asks
    versions = ledger.jobs.versions()
    context = night_context(settings, ledger, night, rows, now=now, final=final, versions=versions)
    plan = plan_night([row.frame for row in rows if row.frame is not None], context)
    jobs = {row.key: row for row in ledger.jobs.of_night(night)}
    sun = deadlines(night, settings)
    places = (("redux_root", settings.paths.redux_root), ("state_dir", settings.paths.state))

    def of(nodes: Iterable[Node]) -> tuple[JobState, ...]:
        return tuple(_job(node, jobs.get(node.key)) for node in nodes)

    return NightState(
        night=night,
        now=now,
        sunset=sun.sunset,
        sunrise=sun.sunrise,
        closed=final,
        idle=not plan.active,
        process=holder(settings.paths.state),
        frames=_frames(rows),
        last_frame=max(row.arrived for row in rows),
        calibrations=of(node for node in plan.nodes if node.job.step in CALIBRATIONS),
        fallback=_earlier(plan.fallback),
        flux_fallback=_earlier(plan.flux_fallback),
        offers=plan.offers,
        geometry_change=plan.geometry_change,
        place=Place.of(context.options["cube"]["place"]),
        targets=_targets(plan, jobs, decided(ledger, night)),
        running=of(node for node in plan.nodes if node.state is State.RUNNING),
        due=of(plan.due()),
        waiting=of(node for node in plan.nodes if node.state is State.WAITING),
        failed=of(node for node in plan.nodes if node.lost),
        held=tuple(Held(subject=mark.subject, reason=mark.text) for mark in ledger.marks.of_night(night, HOLD)),
        requests=tuple(ledger.requests.open()),
        rejected_frames=_rejected(rows, plan),
        unused=_unused(plan),
        sets=tuple(one.text for one in plan.sets),
        contradictions=tuple(
            Contradiction(frame=row.path.name, reason=row.frame.contradiction)
            for row in rows
            if row.frame is not None and row.frame.contradiction
        ),
        missing=plan.missing,
        lacking=plan.lacking,
        disk={name: free for name, place in places if (free := free_bytes(place)) is not None},
    )


def _frames(rows: list[FrameRow]) -> dict[str, int]:
    kinds = sorted({str(row.frame.kind) for row in rows if row.frame is not None})
    return {
        **{kind: sum(row.frame is not None and row.frame.kind == kind for row in rows) for kind in kinds},
        **{state: sum(row.state == state for row in rows) for state in ("quarantined", "deferred", "forgotten")},
    }


def _job(node: Node, row: JobRow | None) -> JobState:
    return JobState(
        step=node.job.step,
        label=node.job.label,
        state=node.state,
        reason=node.reason,
        products=tuple(path.name for path in node.job.outputs.values()),
        frames=len(node.job.inputs.get("raw", ())),
        ended=row.ended if row is not None else None,
        seconds=row.seconds if row is not None else None,
        figures=dict(row.figures) if row is not None else {},
    )


def _earlier(one: CalibrationSet | FluxCalibration | None) -> EarlierNight | None:
    return None if one is None else EarlierNight(night=one.night, age_nights=one.age_nights)


def _rejected(rows: list[FrameRow], plan: Plan) -> tuple[RejectedFrame, ...]:
    """Frames that could not be read or were taken out, then those that the plan cannot use."""
    found = [
        RejectedFrame(frame=row.path.name, state=row.state, reason=row.reason) for row in rows if row.state != "good"
    ]
    found += [
        RejectedFrame(frame=outcome.frame.path.name, state="quarantined", reason=outcome.why)
        for outcome in plan.outcomes
        if outcome.outcome == "quarantined"
    ]
    return tuple(found)


def _unused(plan: Plan) -> tuple[UnusedSeries, ...]:
    """Good calibration frames that are not used, those of one kind with one reason together."""
    together: dict[tuple[str, str], list[str]] = {}
    for outcome in plan.outcomes:
        if outcome.outcome == "not used":
            together.setdefault((str(outcome.frame.kind), outcome.why), []).append(outcome.frame.stem)
    return tuple(
        UnusedSeries(kind=kind, frames=tuple(stems), reason=reason) for (kind, reason), stems in together.items()
    )


def _targets(plan: Plan, jobs: dict[str, JobRow], verdicts: dict[str, Decided]) -> tuple[TargetState, ...]:
    """Each observation: what was observed, and how far its spectrum is."""
    extractions = {node.job.label: node for node in plan.nodes if node.job.step == "extract"}
    cubes = {path: node for node in plan.nodes if node.job.step == "cube" for path in node.job.outputs.values()}
    frames = {outcome.frame.path: outcome.frame for outcome in plan.outcomes}
    targets = []
    for node in plan.nodes:
        if node.job.step != "calibrate":
            continue
        ext = extractions[node.job.label]
        at = node if ext.state is State.DONE else ext
        mine = [cubes[path] for given in ext.job.inputs.values() for path in given if path in cubes]
        taken = [frames[path] for cube in mine for path in cube.job.inputs["raw"]]
        airmasses = [frame.airmass for frame in taken if frame.airmass is not None]
        row = jobs.get(ext.key)
        figures = row.figures if row is not None else {}
        # in the middle of the exposure, as the spectrum's header has it; at its start while there is no spectrum
        airmass = figures.get("airmass") or (sum(airmasses) / len(airmasses) if airmasses else None)
        targets.append(
            TargetState(
                name=node.job.label,
                target=node.job.options["name"],
                standard=node.job.options["standard"],
                star=node.job.options["star"],
                note=_note(node, taken),
                step=at.job.step,
                state=at.state,
                calibrated=node.state is State.DONE,
                provisional=ext.provisional,
                reason=at.reason or (ext.provisional if node.state is State.DONE else ""),
                pair=len(taken) == 2,
                half_of_pair=str(ext.job.options.get("half_of_pair") or ""),
                frames=tuple(frame.stem for frame in taken),
                exptime_s=sum(frame.exptime_s or 0.0 for frame in taken),
                airmass=airmass,
                calibrations=next((cube.fallback for cube in mine if cube.fallback), plan.night),
                figures=ExtractionFigures.of(figures),
                decision=verdicts.get(node.job.label),
            )
        )
    return tuple(targets)


def _note(node: Node, taken: list[Frame]) -> str:
    """Why a standard star calibrates nothing; empty for those that do, and for targets."""
    if not node.job.options["standard"] or node.job.options["star"]:
        return ""
    contradicted = any(frame.contradiction for frame in taken)
    why = "its names and its place do not agree" if contradicted else "the table has no spectrum of it"
    return f"calibrates nothing: {why}"
