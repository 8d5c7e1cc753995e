"""Concerns about a set of dome and lamps, and the status of the sets of a night. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from sedmd.plan.plan import SetStatus
from sedmd.plan.series import OFF_THE_DOME, LampSet, named
from sedmd.raw.frames import Frame

Figures = Mapping[str, Any]


class SetConcern(IntEnum):
    """A concern about a set of dome and lamps, the least first."""

    NONE = 0
    MIXED = 1
    GEOMETRY_CHANGE = 2
    FAILED = 3


_TEXTS = {
    SetConcern.NONE: "taken at another time",
    SetConcern.MIXED: "of two geometries, its lamps are offset from its dome ({}); was the instrument touched?",
    SetConcern.GEOMETRY_CHANGE: "with a geometry change since the last good night: {}",
    SetConcern.FAILED: "that cannot be used: {}",
}


def describe(concern: SetConcern, why: str) -> str:
    """The concern as it follows the words ``a set``."""
    return _TEXTS[concern].format(why)


def geometry_concern(
    figures: Mapping[str, Figures], geometry_changes: Callable[[Figures, Figures], Sequence[str]], night: str
) -> tuple[SetConcern, str]:
    """The concern about a set that follows from the figures of its traces and wavelengths, as far as made, and why.

    Parameters
    ----------
    figures : mapping of step to figures
    geometry_changes : callable
        As in `sedmd.plan.plan.Context`.
    """
    if {"traces", "wavelength"} <= figures.keys():
        found = geometry_changes(figures["traces"], figures["wavelength"])
        if found:
            return (
                SetConcern.GEOMETRY_CHANGE,
                f"{'; '.join(found)}; if the instrument was changed: sedmd accept {night}",
            )
    if off := figures.get("traces", {}).get(OFF_THE_DOME):
        return SetConcern.MIXED, str(off)
    return SetConcern.NONE, ""


def set_statuses(
    sets: Sequence[LampSet], whys: Sequence[str], serving: Sequence[Frame], concern: SetConcern, concern_text: str
) -> list[SetStatus]:
    """The status of each set; nothing for one set without concerns.

    Parameters
    ----------
    whys : sequence of str
        Of the sets that were tried, in their order: why it was rejected, empty for the one that is used.
    serving : sequence of Frame
        Those that are used.
    concern, concern_text
        The concern about the set that is used.
    """
    if len(sets) < 2 and concern is not SetConcern.MIXED:
        return []
    found = []
    for number, one in enumerate(sets):
        tried = number < len(whys)
        if tried and not whys[number]:
            but = f", although a set {describe(concern, concern_text)}" if concern is SetConcern.MIXED else ""
            found.append(SetStatus(span=one.span, text=f"{named(serving)}: used{but}", has_concern=bool(but)))
        else:
            why = whys[number] if tried else describe(SetConcern.NONE, "")
            found.append(
                SetStatus(span=one.span, text=f"{named(one.frames)}: not used, a set {why}", has_concern=tried)
            )
    return found
