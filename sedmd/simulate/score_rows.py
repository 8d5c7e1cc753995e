"""One line of the comparison with the truth: a figure, where it was taken, and whether it is good enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    """A figure of merit.

    Attributes
    ----------
    what : str
        Name of the figure; the same for every night.
    where : str
        Frame or product it belongs to; empty for the whole night.
    value : float or str
        What was reached; NaN if it could not be measured.
    target : str
        What is required; empty for a figure that is only shown.
    unit : str
    passed : bool
        Whether the requirement is met; a figure that is only shown always passes.
    """

    what: str
    where: str
    value: float | str
    target: str
    unit: str
    passed: bool


def at_most(what: str, where: str, value: float, limit: float, unit: str = "") -> ScoreRow:
    """A figure that must not exceed `limit`; NaN fails."""
    good = bool(value <= limit)
    return ScoreRow(what=what, where=where, value=float(value), target=f"<= {limit:g}", unit=unit, passed=good)


def at_least(what: str, where: str, value: float, limit: float, unit: str = "") -> ScoreRow:
    """A figure that must reach `limit`; NaN fails."""
    good = bool(value >= limit)
    return ScoreRow(what=what, where=where, value=float(value), target=f">= {limit:g}", unit=unit, passed=good)


def between(what: str, where: str, value: float, low: float, high: float, unit: str = "") -> ScoreRow:
    """A figure that must lie in a range; NaN fails."""
    good = bool(low <= value <= high)
    return ScoreRow(what=what, where=where, value=float(value), target=f"{low:g}..{high:g}", unit=unit, passed=good)


def shown(what: str, where: str, value: float | str, unit: str = "") -> ScoreRow:
    """A figure for information, without a limit."""
    return ScoreRow(what=what, where=where, value=value, target="", unit=unit, passed=True)


def lacking(what: str, where: str, why: str) -> ScoreRow:
    """A figure that should be there and is not: never passes."""
    return ScoreRow(what=what, where=where, value=math.nan, target=why, unit="", passed=False)


def worst(rows: Sequence[ScoreRow]) -> ScoreRow:
    """The row of one figure that is farthest from what is required; one that did not pass before any that did.

    Parameters
    ----------
    rows : sequence of ScoreRow
        Rows of the same figure, at least one.
    """

    def badness(row: ScoreRow) -> tuple[bool, float]:
        if isinstance(row.value, str):
            return not row.passed, 0.0
        if math.isnan(row.value):
            return not row.passed, math.inf
        low, _, high = row.target.partition("..")
        if high:
            return not row.passed, abs(row.value - 0.5 * (float(low) + float(high)))
        return not row.passed, -row.value if row.target.startswith(">=") else row.value

    return max(rows, key=badness)
