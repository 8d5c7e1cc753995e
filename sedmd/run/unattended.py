"""How the targets of a night stand without an observer: final, or waiting for one, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sedmd.core.quality import QUALITIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
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


def rows_of(state: dict[str, Any], subjects: Collection[str] = ()) -> list[Row]:
    """The targets of a snapshot (see `sedmd.run.status`); only those named in `subjects` if there are any."""
    return [
        _row(target)
        for target in state["targets"]
        if not subjects or target["name"] in subjects or target["target"] in subjects
    ]


def _row(target: dict[str, Any]) -> Row:
    figures = target["figures"]
    quality, outcome = int(figures.get("quality", 0)), target["state"]
    if target["state"] == "spectrum":
        outcome = "standard star" if target["standard"] else "final"
    elif target["state"].endswith("awaiting observer"):
        outcome, quality = "awaiting observer", 0
    if (verdict := target["decision"]) is not None:
        outcome, quality = f"graded by {verdict['reducer']}", verdict["quality"]
    x, y = figures.get("x [arcsec]"), figures.get("y [arcsec]")
    return Row(
        product=target["name"],
        outcome=outcome,
        confidence=None if target["standard"] else figures.get("confidence"),
        quality=quality,
        snr=figures.get("S/N"),
        place=None if x is None or y is None else (x, y),
        why=target["reason"] or figures.get("doubts", "") or target["note"],
        failed=target["state"].endswith(("failed", "quarantined")),
    )


def table(rows: Sequence[Row]) -> str:
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
