"""A plan and what it is made from, as plain values: jobs with their state, frames with their outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sedmd.core.config import Calibrations
from sedmd.core.job import Job
from sedmd.ledger.records import Record
from sedmd.plan.calibrations import CalibrationSet, FluxCalibration
from sedmd.raw.frames import Frame

#: Name by which an operator means all cubes that were made with an earlier night's calibrations.
FALLBACK = "fallback"


class State(StrEnum):
    """Where a job stands."""

    DONE = "done"
    DUE = "due"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    AWAITING = "awaiting observer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One job of the plan.

    Attributes
    ----------
    job : Job
    key : str
        Identity of the work, hexadecimal.
    state : State
    inputs : tuple of (role, checksum)
        What the key was made of.
    about : frozenset of str
        Names by which an operator may mean this job: night, step, label, product, target, raw frame.
    reason : str
        Why it waits, failed or was quarantined; for waiting jobs the first cause.
    active : bool
        It is due, running, or waits for something that is.
    missing : bool
        It waits for frames that did not come: a calibration is missing.
    fallback : str
        The earlier night whose calibrations it uses; empty for tonight's own.
    provisional : str
        Why an observer has to confirm the spectrum that it made; empty where nobody has to.
    order : tuple
        Urgency, then time.
    """

    job: Job
    key: str
    state: State
    inputs: tuple[tuple[str, str], ...] = ()
    about: frozenset[str] = frozenset()
    reason: str = ""
    active: bool = False
    missing: bool = False
    fallback: str = ""
    provisional: str = ""
    order: tuple[Any, ...] = ()

    @property
    def expected(self) -> bool:
        """It is done, or will be without anybody's doing."""
        return self.active or self.state is State.DONE

    @property
    def lost(self) -> bool:
        """It ended without its products, and will not be tried again by itself."""
        return self.state in (State.FAILED, State.QUARANTINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameOutcome:
    """Outcome of a raw frame, in words for the summary table."""

    frame: Frame
    outcome: str
    why: str = ""
    good: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """Status of a set of dome and lamps: when it was taken, its frames by name and their outcome.

    Attributes
    ----------
    has_concern : bool
        It was rejected for another, or is used despite a concern.
    """

    span: str
    text: str
    has_concern: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All jobs of a night, as far as its frames are known now.

    Attributes
    ----------
    missing : tuple of str
        Calibrations that cannot be made and for which there is no replacement.
    lacking : tuple of str
        Tonight's calibrations that cannot be made, with or without a replacement of another night.
    fallback : CalibrationSet or None
        The earlier night's calibrations that are used.
    flux_fallback : FluxCalibration or None
        The earlier night's flux calibration that is used.
    offers : tuple of str
        Observations reduced with an earlier night's calibrations although tonight's are available.
    geometry_change : str
        What changed in tonight's geometry; empty when nothing did.
    sets : tuple of SetStatus
        Where dome and lamps were taken more than once, or are of two geometries.
    wake : datetime or None
        When time alone will change the plan.
    """

    night: str
    nodes: tuple[Node, ...]
    outcomes: tuple[FrameOutcome, ...]
    missing: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    fallback: CalibrationSet | None = None
    flux_fallback: FluxCalibration | None = None
    offers: tuple[str, ...] = ()
    geometry_change: str = ""
    sets: tuple[SetStatus, ...] = ()
    wake: datetime | None = None

    def census(self) -> str:
        """How many jobs are in each state, as a phrase."""
        counts = {state: sum(node.state is state for node in self.nodes) for state in State}
        return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no jobs"

    def due(self) -> list[Node]:
        """Jobs to start, the most urgent first."""
        return sorted((node for node in self.nodes if node.state is State.DUE), key=lambda node: node.order)

    @property
    def active(self) -> bool:
        """Something is running, due or will be by itself."""
        return any(node.active for node in self.nodes)

    def concerning(self, subject: str, *, downstream: bool = False) -> list[Node]:
        """Jobs that an operator means by `subject`; with `downstream` also all that is made from what they make."""
        chosen = [node for node in self.nodes if subject in node.about]
        if downstream:
            made = {path for node in chosen for path in node.job.outputs.values()}
            for node in self.nodes:  # a job stands behind those that make its inputs
                if node not in chosen and any(path in made for given in node.job.inputs.values() for path in given):
                    chosen.append(node)
                    made.update(node.job.outputs.values())
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Inputs of the planner besides the frames.

    Attributes
    ----------
    night : str
    folder : Path
        Directory of the night's products.
    now : datetime
    final : bool
        No more frames will come: take minimum sets, give up on partners.
    arrived : mapping of checksum to datetime
        When each frame was found whole.
    records : mapping of job key to Record
    products : mapping of file name to job key
        What lies in `folder` according to the ledger.
    rules : Calibrations
    partner_wait_s : float
        How long an [A] waits for its [B].
    versions : mapping of step name to version
    options : mapping of step name to options
        Settings that change a step's result.
    target_options : mapping
        Settings of the extraction of targets; standard stars do not depend on them.
    fallback_due : bool
        It is late enough to take an earlier night's calibrations where tonight's are not usable.
    fallbacks : sequence of CalibrationSet
        Good sets of earlier nights, newest first.
    flux_fallback : FluxCalibration or None
        The last good night's flux calibration.
    pin_fallbacks : bool
        Keep what was reduced with a fall-back (and offer it) when tonight's calibrations come.
    geometry_changes : callable
        (figures of traces, figures of wavelength) -> sentences on changes since the last good night's geometry.
    holds : mapping of subject to reason
        What an operator holds back.
    graded : mapping of product to name
        Observations whose files are an observer's, and whose: the pipeline must not write over them.
    rc_frames : mapping of stem to path
        Acquisition and guider frames of the night.
    stars : (path, identity) or None
        The site's star table.
    lines : str
        Where the lamp lines of earlier nights lay; empty where no night tells it.
    """

    night: str
    folder: Path
    now: datetime
    final: bool
    arrived: Mapping[str, datetime] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)
    products: Mapping[str, str] = field(default_factory=dict)
    rules: Calibrations = field(default_factory=Calibrations)
    partner_wait_s: float = 7200.0
    versions: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    target_options: Mapping[str, Any] = field(default_factory=dict)
    fallback_due: bool = False
    fallbacks: Sequence[CalibrationSet] = ()
    flux_fallback: FluxCalibration | None = None
    pin_fallbacks: bool = True
    geometry_changes: Callable[[Mapping[str, Any], Mapping[str, Any]], Sequence[str]] = lambda traces, wavelength: ()
    holds: Mapping[str, str] = field(default_factory=dict)
    graded: Mapping[str, str] = field(default_factory=dict)
    rc_frames: Mapping[str, Path] = field(default_factory=dict)
    stars: tuple[Path, str] | None = None
    lines: str = ""


def job_key(
    step: str,
    version: object,
    inputs: Iterable[tuple[str, str]],
    outputs: Mapping[str, str],
    options: Mapping[str, Any],
) -> str:
    """Identity of a piece of work: SHA-256 over what determines its result.

    Parameters
    ----------
    inputs : iterable of (role, checksum)
        In any order.
    outputs : mapping of role to file name
    """
    found = [step, str(version), sorted(inputs), sorted(outputs.items()), options]
    return hashlib.sha256(json.dumps(found, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
