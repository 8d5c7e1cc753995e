"""Cards that an operator corrected with ``sedmd mend``: how they are given, which frames they hold for, and their use.

A raw file is never written to: the corrected cards are laid over its header wherever that is read, when the frame is
taken in (`sedmd.raw.frames.read_frame`) and when it is reduced (`sedmd.steps.raw.read_raw`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from astropy.io import fits

from sedmd.core.errors import SedmError
from sedmd.raw.cards import sexagesimal
from sedmd.raw.clocks import start_of
from sedmd.raw.header import Value
from sedmd.raw.rawname import stem_of

#: What an operator does about a bad header; ends each message on one.
MEND = "correct it: sedmd mend FRAME CARD=VALUE, or exclude the frame: sedmd forget FRAME"
#: Card -> its corrected value; None takes the card out.
Cards = Mapping[str, Value | None]

#: Between the first and the last frame of a range.
RANGE = ".."
#: What takes a card out: ``CARD=-``.
REMOVE = "-"
_KEY = re.compile(r"[A-Z0-9_-]{1,8}")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[EeDd][+-]?[0-9]+)?")
#: Longest text of a card.
MAX_TEXT = 300
#: Numbers of a card are smaller; what is not fits into no card, or into no number of a reader.
MAX_WHOLE, MAX_REAL = 2**63, 1e300
#: Cards that describe the bytes of the file: with others the pixels could not be read.
_BYTES = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|NEXTEND|PCOUNT|GCOUNT|GROUPS|END|CONTINUE|COMMENT|HISTORY|HIERARCH"
    r"|CHECKSUM|DATASUM|ZIMAGE|ZBITPIX|ZNAXIS\d*|ZCMPTYPE"
)
#: Cards that hold a number, with the least and the most that can be meant.
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "EXPTIME": (-1.0, 86400.0),
    "ADCSPEED": (0.01, 100.0),
    "GAIN": (0.1, 20.0),
    "AIRMASS": (1.0, 10.0),
    "ENDAIR": (1.0, 10.0),
    "LAMPCUR": (-1000.0, 1000.0),
    "JD": (2440000.0, 2500000.0),
    "MJD_OBS": (40000.0, 100000.0),
    "TEL_PA": (-360.0, 360.0),
    "END_PA": (-360.0, 360.0),
    "RA_OFF": (-36000.0, 36000.0),
    "DEC_OFF": (-36000.0, 36000.0),
    "BZERO": (0.0, 32768.0),
    "BSCALE": (1.0, 1.0),
}
#: Cards that hold a place on the sky: hours or degrees as ``hh:mm:ss``, or a number.
_PLACES = ("RA", "DEC", "TEL_RA", "TEL_DEC", "OBJRA", "OBJDEC", "TEL_HA")
#: Cards that hold a time as text, each with what completes it, and how it is written.
_TIMES: Mapping[str, Mapping[str, str]] = {
    "UTC": {},
    "OBSDATE": {"OBSTIME": "00:00:00"},
    "OBSTIME": {"OBSDATE": "2021-10-18"},
}
_EXAMPLES = {"UTC": "2021-10-18T04:20:00.5", "OBSDATE": "2021-10-18", "OBSTIME": "04:20:00.5"}
#: Cards that tell when the exposure began.
_CLOCKS = ("UTC", "OBSDATE", "OBSTIME", "JD", "MJD_OBS")
#: Cards that hold text, also where it looks like a number or a logical value.
_TEXTS = ("OBJECT", "NAME", "OBJNAME", "UTC", "OBSDATE", "OBSTIME", "IMGTYPE", "OBJTYPE", "DOMEST", "ENDDOME")


class BadMend(SedmError):
    """A correction that cannot be meant; the text says what is wrong and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """One corrected card.

    Attributes
    ----------
    scope : str
        What it holds for: the stem of a frame, a range ``FIRST..LAST`` of stems, or a night.
    card : str
    value : bool, int, float, str or None
        None takes the card out.
    who : str
    time : str
        ISO 8601, UTC; of several corrections of one card the last one counts.
    """

    scope: str
    card: str
    value: Value | None
    who: str = ""
    time: str = ""

    @property
    def subject(self) -> str:
        """Under what the ledger keeps it."""
        return f"{self.scope} {self.card}"

    def covers(self, stem: str) -> bool:
        """Whether it holds for this frame of its night."""
        first, dots, last = self.scope.partition(RANGE)
        if dots:
            return first <= stem <= last
        return self.scope == stem or self.scope.isdigit()  # a night: it is kept among that night's only

    def describe(self) -> str:
        """As the command line takes it."""
        return f"{self.card}={REMOVE if self.value is None else text_of(self.value)}"

    def to_text(self) -> str:
        """What the ledger keeps beside the subject."""
        return json.dumps({"value": self.value, "who": self.who, "time": self.time})

    @classmethod
    def from_text(cls, subject: str, text: str) -> Mend:
        """The inverse of `subject` and `to_text`."""
        scope, _, card = subject.rpartition(" ")
        return cls(scope=scope, card=card, **json.loads(text))


def scope_of(text: str) -> str:
    """A frame, a range ``FIRST..LAST`` or a night as a correction keeps it: names without directory and suffix.

    Raises
    ------
    BadMend
        If it is a range without an end, or one that runs backwards.
    """
    stems = [stem_of(part.strip()) for part in text.split(RANGE)]
    if not all(stems) or len(stems) > 2 or stems != sorted(stems):
        raise BadMend(f"{text!r} is not a frame, night or range; expected FRAME, NIGHT or FIRST{RANGE}LAST")
    return RANGE.join(stems)


def cards_for(mends: Iterable[Mend], stem: str) -> dict[str, Value | None]:
    """The corrected cards of a frame, by name; of several corrections of a card the last one counts.

    Where a time is corrected the frame's other clocks are taken out: they would outvote it.
    """
    valid = sorted((one for one in mends if one.covers(stem)), key=lambda one: one.time)
    found = {one.card: one.value for one in valid}
    if any(found.get(card) is not None for card in _CLOCKS):
        found = dict.fromkeys(_CLOCKS) | found
    return dict(sorted(found.items()))


def overlaid(header: Mapping[str, Value], cards: Cards) -> Mapping[str, Value]:
    """A header's values with the corrected ones in their place."""
    values = {key: value for key, value in header.items() if key not in cards}
    return values | {key: value for key, value in cards.items() if value is not None}


def overlay(header: fits.Header, cards: Cards) -> None:
    """Correct the cards of a header in memory."""
    for card, value in cards.items():
        if value is None:
            header.remove(card, ignore_missing=True, remove_all=True)
        else:
            header[card] = value


def notes_of(header: Mapping[str, Value], cards: Cards) -> list[str]:
    """What was corrected, in words for the story of the frame."""
    notes = []
    for card, value in cards.items():
        was = f"was {text_of(header[card])}" if card in header else "was absent"
        notes.append(f"corrected by hand: {card} {'removed' if value is None else f'= {text_of(value)}'}, {was}")
    return notes


def text_of(value: Value) -> str:
    """A value as FITS writes it, without padding."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def parse_card(text: str) -> tuple[str, Value | None]:
    """Read ``CARD=VALUE`` as FITS would: T or F, a number, otherwise text, with quotes or without.

    Returns
    -------
    card : str
    value : bool, int, float, str or None
        None for ``CARD=-``.

    Raises
    ------
    BadMend
        If it is no correction, or one that cannot be meant: a card that describes the file's bytes, text where a number
        belongs, a value out of range.
    """
    name, equals, given = text.partition("=")
    card, given = name.strip().upper(), given.strip()
    if not equals or not _KEY.fullmatch(card):
        raise BadMend(f"{text!r} is not a correction of a card; expected CARD=VALUE, such as EXPTIME=900")
    _refuse_bytes(card)
    if not given:
        raise BadMend(f"{card}= has no value; expected CARD=VALUE, or {card}={REMOVE} to remove the card")
    if given == REMOVE:
        return card, None
    value = _typed(card, given)
    _check(card, value)
    return card, value


def checked_card(card: object, value: object) -> tuple[str, Value | None]:
    """A correction that came as two values, from a request that anybody may have left.

    Raises
    ------
    BadMend
        As `parse_card`.
    """
    if not isinstance(card, str) or not _KEY.fullmatch(card):
        raise BadMend(f"{card!r} is not the name of a card; expected one such as EXPTIME")
    _refuse_bytes(card)
    if value is None:
        return card, None
    if not isinstance(value, bool | int | float | str):
        raise BadMend(f"{card}: the value is {type(value).__name__}; expected T or F, a number or text")
    _check(card, value)
    return card, value


def _refuse_bytes(card: str) -> None:
    if _BYTES.fullmatch(card):
        raise BadMend(f"{card} describes the bytes of the file and cannot be corrected; copy the frame again")


def _typed(card: str, given: str) -> Value:
    quoted = len(given) >= 2 and given[0] == given[-1] == "'"
    if quoted:
        return given[1:-1].replace("''", "'").rstrip()
    if card in _TEXTS:
        return given
    if given in ("T", "F"):
        return given == "T"
    if _INTEGER.fullmatch(given):
        return int(given)
    if _REAL.fullmatch(given):
        return float(given.upper().replace("D", "E"))
    return given


def _check(card: str, value: Value) -> None:
    if isinstance(value, str) and not (len(value) <= MAX_TEXT and value.isascii() and value.isprintable()):
        raise BadMend(f"{card}: the text is longer than {MAX_TEXT} characters or holds one that FITS forbids")
    if card in _NUMBERS:
        low, high = _NUMBERS[card]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadMend(f"{card}={text_of(value)} is not a number; expected one from {low:g} to {high:g}")
        if not low <= value <= high or (card == "BZERO" and value not in (0, 32768)):
            raise BadMend(f"{card}={text_of(value)} is impossible; expected a number from {low:g} to {high:g}")
    elif card in _PLACES:
        number = sexagesimal(value)
        if number is None or not abs(number) <= 360:
            raise BadMend(
                f"{card}={text_of(value)} is not a position on the sky; expected hh:mm:ss, dd:mm:ss or degrees"
            )
    elif card in _TIMES:
        if start_of({card: value, **_TIMES[card]}, "") is None:
            raise BadMend(f"{card}={text_of(value)} is not a time; expected one such as {_EXAMPLES[card]}")
    elif isinstance(value, int | float) and not abs(value) < (MAX_WHOLE if isinstance(value, int) else MAX_REAL):
        raise BadMend(f"{card}: the number is too large for a card of FITS")
