"""What speaks against a set of dome and lamps, and what is told of the sets of a night. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

from sedmd.plan.plan import SetTold
from sedmd.plan.series import OFF_THE_DOME, LampSet, named
from sedmd.raw.frames import Frame

Figures = Mapping[str, Any]


class Doubt(IntEnum):
    """What is known against a set of dome and lamps, the least first."""

    NONE = 0
    MIXED = 1
    DEPARTS = 2
    FAILED = 3


_WORDS = {
    Doubt.NONE: "taken at another time",
    Doubt.MIXED: "of two geometries, its lamps are offset from its dome ({}); was the instrument touched?",
    Doubt.DEPARTS: "with a geometry change since the last good night: {}",
    Doubt.FAILED: "that cannot be used: {}",
}


def words(doubt: Doubt, why: str) -> str:
    """The doubt as it follows the words ``a set``."""
    return _WORDS[doubt].format(why)


def doubt_of_geometry(
    figures: Mapping[str, Figures], departures: Callable[[Figures, Figures], Sequence[str]], night: str
) -> tuple[Doubt, str]:
    """What the figures of a set's traces and wavelengths, as far as these were made, say against it, and why.

    Parameters
    ----------
    figures : mapping of step to figures
    departures : callable
        As in `sedmd.plan.plan.Context`.
    """
    if {"traces", "wavelength"} <= figures.keys():
        found = departures(figures["traces"], figures["wavelength"])
        if found:
            return Doubt.DEPARTS, f"{'; '.join(found)}; if the instrument was changed: sedmd accept {night}"
    if off := figures.get("traces", {}).get(OFF_THE_DOME):
        return Doubt.MIXED, str(off)
    return Doubt.NONE, ""


def sets_told(
    sets: Sequence[LampSet], whys: Sequence[str], serving: Sequence[Frame], doubt: Doubt, doubted: str
) -> list[SetTold]:
    """What is told of each set; nothing for one set against which nothing is known.

    Parameters
    ----------
    whys : sequence of str
        Of the sets that were tried, in their order: why it gave way, empty for the one that serves.
    serving : sequence of Frame
        Those that serve.
    doubt, doubted
        What is known against the set that serves.
    """
    if len(sets) < 2 and doubt is not Doubt.MIXED:
        return []
    told = []
    for number, one in enumerate(sets):
        tried = number < len(whys)
        if tried and not whys[number]:
            but = f", although a set {words(doubt, doubted)}" if doubt is Doubt.MIXED else ""
            told.append(SetTold(span=one.span, text=f"{named(serving)}: used{but}", doubtful=bool(but)))
        else:
            why = whys[number] if tried else words(Doubt.NONE, "")
            told.append(SetTold(span=one.span, text=f"{named(one.frames)}: not used, a set {why}", doubtful=tried))
    return told
