"""The targets of a night without an observer: final, or waiting for one, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sedmd.core.quality import QUALITIES
from sedmd.run.states import NightState, TargetState


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOutcome:
    """A target and its spectrum.

    Attributes
    ----------
    product : str
    outcome : str
        "final", "awaiting observer", whose grade it has, or where it stands in the queue.
    confidence : float or None
        None before the extraction, and for standard stars.
    quality : int
        0 when it has none.
    snr : float or None
        Median per bin.
    place : (x, y) or None
        Arcsec East and North of the field centre.
    why : str
        Concerns, or why it is not there.
    failed : bool
    """

    product: str
    outcome: str
    confidence: float | None
    quality: int
    snr: float | None
    place: tuple[float, float] | None
    why: str
    failed: bool


def rows_of(state: NightState, subjects: Collection[str] = ()) -> list[TargetOutcome]:
    """The targets of a night; only those named in `subjects` if there are any."""
    return [
        _outcome(target)
        for target in state.targets
        if not subjects or target.name in subjects or target.target in subjects
    ]


def _outcome(target: TargetState) -> TargetOutcome:
    found, outcome = target.figures, target.stage
    quality = found.quality
    if target.calibrated and not target.provisional:
        outcome = "standard star" if target.standard else "final"
    elif target.awaits_observer:
        outcome, quality = "awaiting observer", 0
    if (decision := target.decision) is not None:
        outcome, quality = f"graded by {decision.reducer}", decision.quality
    return TargetOutcome(
        product=target.name,
        outcome=outcome,
        confidence=None if target.standard else found.confidence,
        quality=quality,
        snr=found.snr,
        place=None if found.x_arcsec is None or found.y_arcsec is None else (found.x_arcsec, found.y_arcsec),
        why=target.reason or found.concerns or target.note,
        failed=target.failed,
    )


def table(rows: Sequence[TargetOutcome]) -> str:
    """The rows as aligned text, and how many targets need nobody."""
    head = ("target", "outcome", "confidence", "quality", "S/N", "position [arcsec]", "concerns")
    cells = [
        (
            row.product,
            row.outcome,
            "-" if row.confidence is None else f"{100 * row.confidence:.0f} %",
            f"{row.quality} {QUALITIES[row.quality]}" if row.quality else "-",
            "-" if row.snr is None else f"{row.snr:.1f}",
            "-" if row.place is None else f"({row.place[0]:+.1f}, {row.place[1]:+.1f})",
            row.why,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head) - 1)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, [*widths, 0], strict=True)) for line in (head, *cells)
    ]
    targets = [row for row in rows if row.outcome != "standard star"]
    final = sum(row.outcome == "final" for row in targets)
    sentence = f"{final} of {len(targets)} targets are final without an observer"
    return "\n".join([*(line.rstrip() for line in lines), "", sentence])
