"""`sedmd reduce` and `sedmd extract --auto`: in one shot, with the parts of the daemon and none of its waiting."""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError
from sedmd.core.job import Job, Outcome
from sedmd.core.nights import is_night
from sedmd.ledger.ledger import FrameRow, Ledger
from sedmd.plan.plan import Node, Plan, State
from sedmd.raw.frames import Kind
from sedmd.run.context import ENDED, EarlierNights, night_is_final
from sedmd.run.dispatch import Dispatcher, all_outcomes
from sedmd.run.event_log import WARNING, EventLog
from sedmd.run.ingest import Corrections, misnamed, raw_files, register, take_in, unchanged, wrong_night
from sedmd.run.many_nights import NightQueue
from sedmd.run.nightend import outcome_of
from sedmd.workers.engines import Engine

#: Steps of the recipe that need no frame, only cubes and what was made of them.
AFTER_THE_CUBE = frozenset({"extract", "skyflat", "fluxcal", "calibrate", "page"})
#: Nights at work at once: while the exposures of one keep few workers busy, the next are calibrated.
OPEN_NIGHTS = 4
#: Exit codes of `sedmd reduce`.
ALL_GOOD, SOME_LOST, USAGE, CALIBRATIONS_MISSING = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSummary:
    """A line of the table at the end: a raw file, what it is, its outcome, and why."""

    night: str
    frame: str
    what: str
    outcome: str
    why: str
    good: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a reduction ended: the exit code, the table, and the calibrations that were missing or from another night."""

    code: int
    rows: tuple[FrameSummary, ...]
    missing: tuple[str, ...]
    failed: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()


def raw_directories(given: Sequence[Path]) -> list[Path]:
    """The night directories meant by the user: each directory itself, or the nights inside a raw root.

    Raises
    ------
    ConfigError
        If a directory does not exist.
    """
    found: list[Path] = []
    for folder in given:
        if not folder.is_dir():
            msg = f"{folder}: no such directory; expected a night directory YYYYMMDD with raw frames"
            raise ConfigError(msg)
        nights = sorted(path for path in folder.iterdir() if path.is_dir() and is_night(path.name))
        found += nights if nights and not raw_files([folder], "*.fits") else [folder]
    return list(dict.fromkeys(path.absolute() for path in found))


def reduce_nights(
    raw: Sequence[Path],
    *,
    settings: Settings,
    ledger: Ledger,
    engine: Engine,
    clock: Callable[[], datetime],
    report: EventLog,
    only_night: str | None = None,
    strict: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, total, label: None,
) -> Summary:
    """Reduce every night that has frames in the directories `raw`, the oldest first.

    Parameters
    ----------
    only_night : str or None
        Reduce this UT night only.
    strict : bool
        Never take an earlier night's calibrations.
    progress : callable
        Called with (jobs done, jobs in all, label of the last).

    Returns
    -------
    Summary
        Exit code 0 all good, 1 some frames or jobs lost, 3 calibrations missing.
    """
    ended: queue.SimpleQueue[tuple[str, Job, Future[Outcome]]] = queue.SimpleQueue()
    settings = at_a_terminal(settings)
    if strict:
        calibrations = dataclasses.replace(settings.calibrations, fallback_max_age_nights=0)
        settings = dataclasses.replace(settings, calibrations=calibrations)
    dispatcher = Dispatcher(
        settings=settings,
        ledger=ledger,
        engine=engine,
        clock=clock,
        report=report,
        on_done=lambda key, job, future: ended.put((key, job, future)),
        pin_fallbacks=False,  # who reduces a night again wants the best that there is by now
    )
    paths = raw_files(raw_directories(raw), settings.watch.pattern)
    for folder in raw_directories(raw):
        for path, text in misnamed(folder, settings.watch.pattern).items():
            report.event(folder.name, "watch", path.name, text, level=WARNING)
    nights = _take_in_all(paths, settings, ledger, clock, report, progress)
    nights = [night for night in nights if only_night in (None, night)]
    dispatcher.recover(nights)
    ledger.jobs.forget_failures(nights)
    sizes = {night: (0, len(dispatcher.look(night, final=True, memory=EarlierNights()).nodes)) for night in nights}

    def on_job(night: str, done: int, total: int, label: str) -> None:
        sizes[night] = (done, total)
        progress(sum(done for done, _ in sizes.values()), sum(total for _, total in sizes.values()), label)

    window = NightQueue(dispatcher, ended, size=lambda: OPEN_NIGHTS, progress=on_job)
    plans: dict[str, Plan] = {}
    for plan in window.work((night, True) for night in nights):
        plans[plan.night] = plan
        ledger.marks.put(ENDED, plan.night, "", outcome_of(plan, ledger))
    return summarise(plans, ledger)


def extract_night(
    night: str,
    *,
    settings: Settings,
    ledger: Ledger,
    engine: Engine,
    clock: Callable[[], datetime],
    report: EventLog,
    subjects: Sequence[str] = (),
    progress: Callable[[int, int, str], None] = lambda done, total, label: None,
) -> Plan:
    """Extract what can be extracted of a night's cubes without an observer, and calibrate it.

    Parameters
    ----------
    subjects : sequence of str
        Targets or products; all of the night when empty. Standard stars that they rest on come along.

    Returns
    -------
    Plan
        How the night stands then.
    """
    ended: queue.SimpleQueue[tuple[str, Job, Future[Outcome]]] = queue.SimpleQueue()
    dispatcher = Dispatcher(
        settings=at_a_terminal(settings),
        ledger=ledger,
        engine=engine,
        clock=clock,
        report=report,
        on_done=lambda key, job, future: ended.put((key, job, future)),
    )
    dispatcher.recover([night])
    final = night_is_final(settings, ledger, night, now=clock())

    def wanted(node: Node) -> bool:
        if node.job.step not in AFTER_THE_CUBE:
            return False
        chosen = not subjects or bool(node.about & set(subjects))
        return chosen or node.job.step == "fluxcal" or bool(node.job.options.get("standard"))

    window = NightQueue(dispatcher, ended, wanted=wanted, progress=lambda night, *given: progress(*given))
    (plan,) = window.work([(night, final)])
    return plan


def at_a_terminal(settings: Settings) -> Settings:
    """A passing fault is tried once more, at once: nobody waits half an hour at a terminal."""
    return dataclasses.replace(settings, jobs=dataclasses.replace(settings.jobs, retry_after_s=(0.0,)))


def summarise(plans: dict[str, Plan], ledger: Ledger) -> Summary:
    """The table, the missing calibrations and the exit code of finished nights."""
    rows: list[FrameSummary] = []
    missing: list[str] = []
    failed: list[str] = []
    fallbacks: list[str] = []
    for night, plan in plans.items():
        for path, what, outcome, reason in all_outcomes(plan, ledger.frames.of_night(night)):
            if outcome is None:
                rows.append(
                    FrameSummary(night=night, frame=path.name, what=what, outcome="quarantined", why=reason, good=False)
                )
            else:
                rows.append(
                    FrameSummary(
                        night=night,
                        frame=path.name,
                        what=what,
                        outcome=outcome.outcome,
                        why=outcome.why,
                        good=outcome.good,
                    )
                )
        missing += [f"{night}: {lack}" for lack in plan.missing]
        if plan.fallback is not None:
            fallbacks.append(
                f"{night}: using calibrations from {plan.fallback.night}; its own: {'; '.join(plan.lacking)}"
            )
        if plan.flux_fallback is not None:
            fallbacks.append(f"{night}: using the flux calibration from {plan.flux_fallback.night}")
        failed += [
            f"{night}: {node.job.step} {node.job.label}: {node.reason}"
            for node in plan.nodes
            if node.state in (State.FAILED, State.QUARANTINED)
        ]
    if missing:
        code = CALIBRATIONS_MISSING
    elif failed or not all(row.good for row in rows):
        code = SOME_LOST
    else:
        code = ALL_GOOD
    return Summary(
        code=code, rows=tuple(rows), missing=tuple(missing), failed=tuple(failed), fallbacks=tuple(fallbacks)
    )


def table(rows: Sequence[FrameSummary]) -> str:
    """The rows as aligned text, ignored frames last within each night."""
    head = ("frame", "kind", "outcome", "reason")
    cells = [(row.frame, row.what, row.outcome, row.why) for row in rows]
    widths = [max(len(line[column]) for line in [head, *cells]) for column in range(3)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, [*widths, 0])).rstrip() for line in [head, *cells]
    ]
    return "\n".join([lines[0], "-" * min(110, max(map(len, lines))), *lines[1:]])


def book(row: FrameRow, ledger: Ledger, report: EventLog) -> None:
    """Register a frame that was read, and tell what is not reduced."""
    register(ledger, row)
    if row.frame is None:
        report.event(row.night, "frame", row.path.name, f"quarantined: {row.reason}", level=4)
    elif row.frame.kind is Kind.IGNORED:
        report.event(row.night, "frame", row.path.name, f"ignored: {row.frame.reason}", minor=True)
    if text := wrong_night(row):
        report.event(row.night, "frame", row.path.name, text, level=WARNING)


def _take_in_all(
    paths: Sequence[Path],
    settings: Settings,
    ledger: Ledger,
    clock: Callable[[], datetime],
    report: EventLog,
    progress: Callable[[int, int, str], None],
) -> list[str]:
    """Register the files that are new or changed; the nights that all of them belong to."""
    known, corrections = ledger.frames.known_files(), Corrections(ledger)
    for number, path in enumerate(paths):
        progress(number, len(paths), f"reading {path.name}")
        cards = corrections.of(path)
        if unchanged(path, known, settings, cards) or (path in known and known[path].state == "forgotten"):
            continue
        book(take_in(path, settings, now=clock(), mends=cards), ledger, report)
    wanted = set(paths)
    return sorted({row.night for row in ledger.frames.all() if row.path in wanted})
