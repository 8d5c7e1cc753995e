"""Is a target a standard star, and which: decided once, by what its two names say and by where the telescope was.

OBJECT and NAME are written by hand and by machine, and one of them may still be that of the target before. A star
calibrates the flux of a night only where both names and every known position agree with the table; a star that is
labelled as a standard but is not in the table, or not where the table has it, is a standard star that calibrates
nothing. Where the names speak of two targets, the position decides which one it was, then the telescope's own name.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from sedmd.data import standards
from sedmd.data.standards import Standard

#: A target's catalogue position may differ from the table's by so much: lists of other epochs, proper motion.
TARGET_WITHIN_ARCMIN = 2.0
#: The telescope's encoder is off the target by up to 4.6 arcmin (the step from the acquisition camera to the IFU and
#: the pointing correction: 76 published headers of 2018 to 2021), and by what the catalogue may be off.
ENCODER_WITHIN_ARCMIN = 5.0 + TARGET_WITHIN_ARCMIN
#: Closer to a tabulated star than this is a target worth a note, with any name.
SAME_PLACE_ARCMIN = 1.0

Position = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was observed.

    Attributes
    ----------
    name : str
        The target, as it goes by from here on.
    standard : bool
        A standard star, tabulated or not: no target of science, never uploaded, classified or counted as one.
    star : str
        Key of the tabulated star whose spectrum may calibrate the night; empty for everything else.
    contradiction : str
        What does not fit together, and what was made of it, in a sentence; empty when all agrees.
    unresolved : bool
        Nothing tells which of two names is right.
    notes : tuple of str
        What else is worth knowing.
    """

    name: str
    standard: bool
    star: str = ""
    contradiction: str = ""
    unresolved: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TelescopePosition:
    """Where the telescope was, as the header knows it: (RA, Dec) in degrees, None where it does not tell.

    Attributes
    ----------
    target : the position that was asked for (OBJRA, OBJDEC)
    encoder : where the telescope's encoder points (RA, DEC); minutes of arc from the target
    """

    target: Position | None = None
    encoder: Position | None = None

    def is_at(self, star: Standard) -> bool | None:
        """Whether this is where the table has a star; None when no position is known."""
        known = [(self.target, TARGET_WITHIN_ARCMIN), (self.encoder, ENCODER_WITHIN_ARCMIN)]
        found = [separation_arcmin(at, (star.ra_deg, star.dec_deg)) <= within for at, within in known if at is not None]
        return all(found) if found else None

    def away(self, star: Standard) -> str:
        """How far from a star, in words: the larger of what the two positions say."""
        here = (star.ra_deg, star.dec_deg)
        arcmin = max(separation_arcmin(at, here) for at in (self.target, self.encoder) if at is not None)
        return f"{arcmin / 60:.1f} deg" if arcmin >= 60 else f"{arcmin:.1f} arcmin"

    def star_here(self) -> Standard | None:
        """The tabulated star at the target's position, if there is one."""
        if self.target is None:
            return None
        target = self.target
        near = {separation_arcmin(target, (one.ra_deg, one.dec_deg)): one for one in standards.STANDARDS.values()}
        return near[min(near)] if min(near) <= SAME_PLACE_ARCMIN else None


def separation_arcmin(one: Position, other: Position) -> float:
    """Angle between two directions (RA, Dec) in degrees, arcmin; by haversines, exact for small angles."""
    ra_1, dec_1, ra_2, dec_2 = (math.radians(angle) for angle in (*one, *other))
    half = math.sin((dec_2 - dec_1) / 2) ** 2 + math.cos(dec_1) * math.cos(dec_2) * math.sin((ra_2 - ra_1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half)))) * 60


def identify(
    label: str, name: str, place: TelescopePosition, *, telescope_name: str = "", typed_standard: bool = False
) -> Identity:
    """Say what was observed.

    Parameters
    ----------
    label, name : str
        OBJECT and NAME without [A] and [B]; either may be empty.
    place : TelescopePosition
    telescope_name : str
        What the telescope's own control calls its target (OBJNAME); asked only when the other two contradict.
    typed_standard : bool
        IMGTYPE says a standard star; used where names and position do not contradict it.
    """
    if not label or not name or same_target(label, name):
        # of two spellings the one that says "standard" is kept: OBJECT has the prefix in all years, NAME not
        one = label if not name or (standards.labelled(label) and not standards.labelled(name)) else name
        return _one_name(one, place, typed_standard)
    said = f"NAME says {name!r}, OBJECT says {label!r}"
    stars = [one for one in (name, label) if _is_of_standard(one)]
    if len(stars) == 1:
        (star,) = stars
        return _star_or_target(star, label if star == name else name, place, said, telescope_name)
    decided = _by_telescope(name, label, telescope_name)
    if stars:
        at = [one for one in stars if (key := standards.lookup(one)) and place.is_at(standards.STANDARDS[key])]
        found = at[0] if at else decided or name
        text = f"{said}: a standard star, not used for the flux calibration"
        return Identity(name=found, standard=True, contradiction=text)
    if decided:
        return Identity(name=decided, standard=False, contradiction=f"{said}: taken as {decided!r}, as OBJNAME does")
    text = f"{said}: which is right is unknown; taken as {name!r}. Correct the cards"
    return Identity(name=name, standard=False, contradiction=text, unresolved=True)


def same_target(one: str, other: str) -> bool:
    """Whether two texts name one target: the same letters and digits, the same star, or one with words behind it."""
    key = standards.lookup(one)
    if key is not None and key == standards.lookup(other):
        return True
    short, long = sorted((_words(one), _words(other)), key=len)
    shorter = standards.squeezed("".join(short))
    if not shorter:  # nothing but signs
        return one.strip() == other.strip()
    return any(shorter == standards.squeezed("".join(long[:count])) for count in range(1, len(long) + 1))


def _words(text: str) -> list[str]:
    # STD- goes first: its hyphen is no end of a word
    return re.sub(r"^STD[-_: ]+", "", re.sub(r"\[.*?\]", " ", text).strip(), flags=re.IGNORECASE).split() or [text]


def _is_of_standard(name: str) -> bool:
    return standards.labelled(name) or standards.lookup(name) is not None


def _by_telescope(name: str, label: str, telescope_name: str) -> str:
    """The one of two names that the telescope's control knows its target by; empty if neither."""
    found = [one for one in (name, label) if telescope_name and same_target(one, telescope_name)]
    return found[0] if len(found) == 1 else ""


def _one_name(name: str, place: TelescopePosition, typed_standard: bool) -> Identity:
    key = standards.lookup(name)
    here = place.star_here()
    if key is None:
        if standards.labelled(name):
            text = f"{name} is not in the table of standard stars: not used for calibration"
            if here is not None:
                text += f". It is at the position of {here.name}; if it is that star, correct NAME and OBJECT"
            return Identity(name=name, standard=True, notes=(text,))
        if typed_standard:
            text = "a standard star by IMGTYPE alone: not used for calibration"
            return Identity(name=name, standard=True, notes=(text,))
        text = f"at the position of the standard star {here.name}, but not named so: a science target" if here else ""
        return Identity(name=name, standard=False, notes=(text,) if text else ())
    star = standards.STANDARDS[key]
    at = place.is_at(star)
    if at is False:
        away = f"{name} is {place.away(star)} from the position of {star.name}"
        if not standards.labelled(name):
            return Identity(name=name, standard=False, contradiction=f"{away}: a science target")
        where = f", at that of {here.name}" if here else ""
        text = f"{away}{where}: a standard star not used for calibration. Correct NAME and OBJECT"
        return Identity(name=name, standard=True, contradiction=text)
    notes = [] if at else [f"taken as {star.name} by its name alone: the header has no position"]
    if not star.has_spectrum:
        notes.append(f"the table has no spectrum of {star.name}: not used for calibration")
    return Identity(name=name, standard=True, star=key if star.has_spectrum else "", notes=tuple(notes))


def _star_or_target(star: str, target: str, place: TelescopePosition, said: str, telescope_name: str) -> Identity:
    """One name is that of a standard star, the other is not: its place decides, then the telescope's own name."""
    key = standards.lookup(star)
    at = place.is_at(standards.STANDARDS[key]) if key is not None else None
    if key is not None and at is not None:
        shown = standards.STANDARDS[key]
        if at:
            text = f"{said}: it is {shown.name} by its position, not used for the flux calibration"
            return Identity(name=star, standard=True, contradiction=text)
        text = f"{said}: it is not {shown.name}, {place.away(shown)} away; taken as {target!r}"
        return Identity(name=target, standard=False, contradiction=text)
    decided = _by_telescope(star, target, telescope_name)
    if decided:
        text = f"{said}: taken as {decided!r}, as OBJNAME does"
        return Identity(name=decided, standard=decided == star, contradiction=text)
    # a spectrum of a star under the name of a target would be sent out; a target taken for a star is only not sent
    text = f"{said}: which is right is unknown; taken as a standard star not used for calibration. Correct the cards"
    return Identity(name=star, standard=True, contradiction=text, unresolved=True)
