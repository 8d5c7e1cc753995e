"""Lamps that a night has no frames of, and without which its wavelengths are solved nevertheless."""

from __future__ import annotations

from collections.abc import Mapping

from sedmd.plan.plan import Context, Node
from sedmd.plan.series import SET
from sedmd.raw.frames import Kind


def lamps_done_without(lamps: Mapping[Kind, Node], context: Context) -> list[Kind]:
    """Lamps that are not to be had, where something tells what they would show.

    Where the lines of an earlier night tell it, any of them, once it is late enough for what is less than the night's
    own calibrations; cadmium also where no earlier night can help. A solution without a lamp says how well it is known,
    and is refused if that is too little.

    Parameters
    ----------
    lamps : the night's lamp frames that are made or will be, by kind
    context : of the night

    Returns
    -------
    list of Kind
    """
    lost = [kind for kind in SET[1:] if not ((made := lamps.get(kind)) is not None and made.expected)]
    if context.lines and context.fallback_due:
        return lost if len(lost) < len(SET) - 1 else []
    return [kind for kind in lost if kind is Kind.CD and not context.fallbacks]
