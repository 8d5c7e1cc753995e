"""A lost block of cards: what the robot asks the telescope for is missing, or says that it is not known, all together.

One answer that does not come costs the cards of one question (`sedmd.raw.airmass` makes up for some); when the
telescope's control is away all of them are lost, and everything else that a frame then lacks is a consequence.
"""

from __future__ import annotations

from collections.abc import Mapping

from sedmd.raw.cards import known

#: What the robot's plan tells of the target, and what its telescope tells of itself.
LABELS = ("OBJECT", "NAME", "IMGTYPE", "OBJTYPE", "OBJNAME")
TELESCOPE = ("RA", "DEC", "TEL_RA", "TEL_DEC", "OBJRA", "OBJDEC", "TEL_EL", "AIRMASS", "LST", "DOMEST")
#: Of these the ones that are named.
_NAMED = ("OBJECT", "NAME", "RA", "DEC", "AIRMASS", "DOMEST")


def lost_block(header: Mapping[str, object]) -> str:
    """Say that the telescope's cards are lost, and which; empty if one of them tells something.

    Parameters
    ----------
    header : mapping of keyword to value
        An absent card and one that says unknown (-999, ``NA``) are the same.
    """
    if any(known(header.get(card)) is not None for card in TELESCOPE):
        return ""
    labelled = any(known(header.get(card)) is not None for card in LABELS)
    return f"the telescope's cards are missing: {', '.join(_NAMED[2:] if labelled else _NAMED)}"
