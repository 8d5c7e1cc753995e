"""The state of a night as values: what was gathered from the ledger, before it is printed, drawn or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from sedmd.ledger.records import Request
from sedmd.observation.noted_decisions import Decided
from sedmd.plan.plan import State
from sedmd.plan.series import span_of_names
from sedmd.reduce.target.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job of the plan and how it went.

    Attributes
    ----------
    reason : str
        Why it waits, failed or was quarantined.
    products : tuple of str
        File names.
    frames : int
        Raw frames that go into it.
    ended : str or None
        UTC, ISO 8601; None if it never ran.
    seconds : float or None
        How long it took.
    figures : mapping of label to value
        As the step recorded them, the most telling first.
    """

    step: str
    label: str
    state: State
    reason: str = ""
    products: tuple[str, ...] = ()
    frames: int = 0
    ended: str | None = None
    seconds: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Step and label; the step alone where they are the same."""
        return self.step if self.step == self.label else f"{self.step} {self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionFigures:
    """What the extraction found.

    Attributes
    ----------
    snr : float or None
        Median per bin.
    quality : int
        0 while the spectrum is not final.
    confidence : float or None
        0 to 1.
    concerns : str
        What lowers the confidence, in sentences; empty if nothing does.
    x_arcsec, y_arcsec : float or None
        East and North of the middle of the field.
    recorded : mapping of label to value
        All figures as the step recorded them.
    """

    snr: float | None = None
    quality: int = 0
    confidence: float | None = None
    concerns: str = ""
    x_arcsec: float | None = None
    y_arcsec: float | None = None
    recorded: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> Self:
        """From the figures of an "extract" job, by their labels."""
        return cls(
            snr=recorded.get("S/N"),
            quality=int(recorded.get("quality") or 0),
            confidence=recorded.get("confidence"),
            concerns=str(recorded.get("doubts") or ""),
            x_arcsec=recorded.get("x [arcsec]"),
            y_arcsec=recorded.get("y [arcsec]"),
            recorded=dict(recorded),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """An observation, and how far its spectrum is.

    Attributes
    ----------
    name : str
        Of the products.
    target : str
        As the observer named it.
    standard : bool
    star : str
        The standard star of the table that it is; empty if it is none.
    note : str
        Why a standard star calibrates nothing.
    step, state : str, State
        The job that counts: the extraction, or the calibration of its spectrum once that is done.
    calibrated : bool
        The spectrum is there.
    provisional : str
        Why an observer has to confirm the pipeline's spectrum; empty where nobody has to.
    reason : str
        Why the job waits, failed or was quarantined.
    pair : bool
        Two exposures, [A] and [B].
    half_of_pair : str
        "A" or "B" for that exposure of a pair without the other.
    frames : tuple of str
        Names of the raw frames without suffixes.
    exptime_s : float
    airmass : float or None
        Mean of the exposures.
    calibrations : str
        Night of its calibrations.
    figures : ExtractionFigures
    decision : Decided or None
        The observer's.
    """

    name: str
    target: str
    standard: bool = False
    star: str = ""
    note: str = ""
    step: str
    state: State
    calibrated: bool = False
    provisional: str = ""
    reason: str = ""
    pair: bool = False
    half_of_pair: str = ""
    frames: tuple[str, ...] = ()
    exptime_s: float = 0.0
    airmass: float | None = None
    calibrations: str = ""
    figures: ExtractionFigures = field(default_factory=ExtractionFigures)
    decision: Decided | None = None

    @property
    def stage(self) -> str:
        """ "spectrum", "provisional" while an observer has to confirm it, or step and state of the job that counts."""
        if self.calibrated:
            return "provisional" if self.provisional else "spectrum"
        return f"{self.step} {self.state}"

    @property
    def group(self) -> str:
        """ "standard", "science" for targets of the survey (kpy: names that begin with ZTF), else "other"."""
        if self.standard:
            return "standard"
        return "science" if self.target.upper().startswith("ZTF") else "other"

    @property
    def failed(self) -> bool:
        """Its job failed or was quarantined: it does not become a spectrum by itself."""
        return not self.calibrated and self.state in (State.FAILED, State.QUARANTINED)

    @property
    def awaits_observer(self) -> bool:
        """An observer has to place the aperture, or to confirm a provisional spectrum."""
        if self.provisional:
            return self.decision is None
        return not self.calibrated and self.state is State.AWAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierNight:
    """A night whose calibrations are used, and how many nights old they are."""

    night: str
    age_nights: int

    @property
    def text(self) -> str:
        """As in a line of text: ``20190612 (2 nights old)``."""
        return f"{self.night} ({self.age_nights} {'night' if self.age_nights == 1 else 'nights'} old)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Jobs that an operator holds: by which name, and why."""

    subject: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedFrame:
    """A raw frame that is not used: its file name, "quarantined", "deferred" or "forgotten", and why."""

    frame: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedSeries:
    """Good calibration frames of one kind that are not used for one reason; `frames` are names without suffixes."""

    kind: str
    frames: tuple[str, ...]
    reason: str

    @property
    def span(self) -> str:
        """The first and the last of the frames."""
        return span_of_names(self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A raw frame whose names and place do not agree, and in what."""

    frame: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NightState:
    """The state of one night.

    Attributes
    ----------
    now : datetime
        When it was gathered, UTC.
    closed : bool
        No more frames are expected.
    idle : bool
        Nothing is running, due or will be by itself.
    process : int or None
        The process that works on the redux root: -1 if it cannot be named, None if there is none.
    frames : mapping of kind or state to count
    last_frame : datetime
        When the newest frame was found whole.
    calibrations, running, due, waiting, failed : tuple of JobState
    fallback, flux_fallback : EarlierNight or None
        The earlier night whose calibrations, and whose flux calibration, are used.
    offers : tuple of str
        Observations reduced with an earlier night's calibrations, although tonight's are available.
    geometry_change : str
        The geometry change since the last good night; empty without one.
    place : Place or None
        Where in the field targets are expected.
    targets : tuple of TargetState
    held : tuple of Held
    requests : tuple of Request
        Those not carried out yet.
    rejected_frames : tuple of RejectedFrame
    unused : tuple of UnusedSeries
    sets : tuple of str
        Where dome and lamps were taken more than once, or are of two geometries: a sentence for each set.
    contradictions : tuple of Contradiction
    missing : tuple of str
        Calibrations that cannot be made and for which there is nothing else.
    lacking : tuple of str
        Tonight's calibrations that cannot be made, whether another night's are used or not.
    disk : mapping of place to free bytes
    """

    night: str
    now: datetime
    sunset: datetime
    sunrise: datetime
    closed: bool
    idle: bool
    process: int | None = None
    frames: Mapping[str, int]
    last_frame: datetime
    calibrations: tuple[JobState, ...] = ()
    fallback: EarlierNight | None = None
    flux_fallback: EarlierNight | None = None
    offers: tuple[str, ...] = ()
    geometry_change: str = ""
    place: Place | None = None
    targets: tuple[TargetState, ...] = ()
    running: tuple[JobState, ...] = ()
    due: tuple[JobState, ...] = ()
    waiting: tuple[JobState, ...] = ()
    failed: tuple[JobState, ...] = ()
    held: tuple[Held, ...] = ()
    requests: tuple[Request, ...] = ()
    rejected_frames: tuple[RejectedFrame, ...] = ()
    unused: tuple[UnusedSeries, ...] = ()
    sets: tuple[str, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    missing: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    disk: Mapping[str, int] = field(default_factory=dict)
