"""Values of header cards by one rule, for every reader: what is known, and as what.

The control software writes -999 (or -999.0) for a number and ``NA`` or ``UNKNOWN`` for a text that it did not get
(robot's header.json, 2022), ``NaN`` as text for a dew point (since 2022-10), numbers as text (ENDAIR '1.060' in 2019),
and values with their quotes (OBJNAME '"ztf18abktmfz"', HG_LAMP '"OFF"') or with leading blanks (INSTRUME
' SEDm IFU Cam') (published headers of 2018 to 2021). All of them, an absent card and a card without a value mean the
same to every caller: not known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

Known = bool | int | float | str

#: Cards whose numbers decide something, and which some headers hold as text; ENDAIR and END_PA did in all of 2019.
NUMBER_CARDS = ("EXPTIME", "ADCSPEED", "AIRMASS", "LAMPCUR", "JD", "MJD_OBS", "TEL_EL", "TEL_PA", "GAIN")
#: The number, and the texts in lower case, by which the control software says that it does not know.
_UNKNOWN_NUMBER = -999
_UNKNOWN_TEXTS = frozenset({"", "na", "n/a", "nan", "unknown", "none", "null"})
_QUOTED = re.compile(r"""(["'])(.*)\1""", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_REAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[EeDd][+-]?[0-9]{1,4})?")
_SEXAGESIMAL = re.compile(r"([+-]?)\s*(\d{1,3})[: ](\d{1,2})[: ](\d{1,2}(?:\.\d*)?)")
_TRUTHS = {"t": True, "true": True, "f": False, "false": False}
#: Of a number on a card, in characters.
_LONGEST = 70
#: Above this a double no longer tells every integer from the next.
_EXACT = 2**53


def known(value: object) -> Known | None:
    """The value of a card without quotes and blanks about it; None when it says nothing.

    Parameters
    ----------
    value : object
        As a header gives it; None for an absent card.

    Returns
    -------
    bool, int, float or str, or None
        Text stays text, also when it is a number; see `number`, `whole` and `truth`.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return None if value == _UNKNOWN_NUMBER else value
    if isinstance(value, float):
        return value if math.isfinite(value) and value != _UNKNOWN_NUMBER else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if quoted := _QUOTED.fullmatch(text):
        text = quoted.group(2).strip()
    if text.lower() in _UNKNOWN_TEXTS or _parsed(text) == _UNKNOWN_NUMBER:
        return None
    return text


def number(value: object) -> float | None:
    """A value that is a finite number, or a text that is one, whole and alone; None for anything else."""
    given = known(value)
    if isinstance(given, bool) or given is None:
        return None
    try:
        found = _parsed(given) if isinstance(given, str) else float(given)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return found if found is not None and math.isfinite(found) else None


def whole(value: object) -> int | None:
    """An integer, exactly, of any length (REQ_ID has 17 digits, more than a double tells apart); None if it is none."""
    given = known(value)
    if isinstance(given, bool) or given is None:
        return None
    if isinstance(given, int):
        return given
    if isinstance(given, str):
        if _INTEGER.fullmatch(given):
            return int(given)
        given = _parsed(given)
    return int(given) if given is not None and abs(given) < _EXACT and given == int(given) else None


def truth(value: object) -> bool | None:
    """A logical value, or a text that is one (T, F, True, false); None for anything else."""
    given = known(value)
    if isinstance(given, bool):
        return given
    return _TRUTHS.get(given.lower()) if isinstance(given, str) else None


def is_number_as_text(value: object) -> bool:
    """True for a text that `number` reads."""
    return isinstance(value, str) and number(value) is not None


def text_of(header: Mapping[str, object], *keys: str) -> str:
    """The first of these cards that says something; empty if none does."""
    given = (known(header.get(key)) for key in keys)
    return next((str(value) for value in given if value is not None), "")


def number_of(value: object, fallback: float) -> float:
    """The number of a card, or `fallback`."""
    found = number(value)
    return fallback if found is None else found


def within(header: Mapping[str, object], key: str, low: float, high: float) -> float | None:
    """The number of a card, if it is one from `low` to `high`."""
    value = number(header.get(key))
    return value if value is not None and low <= value <= high else None


def sexagesimal(value: object) -> float | None:
    """``+12:34:56.7`` or a number as a number; None when it is neither."""
    given = known(value)
    if (plain := number(given)) is not None:
        return plain
    found = _SEXAGESIMAL.fullmatch(given) if isinstance(given, str) else None
    if not found:
        return None
    sign, big, middle, small = found.groups()
    if int(middle) > 60 or float(small) > 60:
        return None
    return (-1 if sign == "-" else 1) * (int(big) + int(middle) / 60 + float(small) / 3600)


def position(header: Mapping[str, object], *pairs: tuple[str, str]) -> tuple[float, float] | None:
    """Right ascension and declination [degree] from the first pair of cards of which both can be read.

    Sexagesimal right ascensions are hours; a plain number is degrees, as the FITS standard has it.
    """
    for ra_key, dec_key in pairs:
        ra, dec = sexagesimal(header.get(ra_key)), sexagesimal(header.get(dec_key))
        if ra is None or dec is None:
            continue
        if number(header.get(ra_key)) is None:
            ra *= 15.0
        if 0.0 <= ra <= 360.0 and abs(dec) <= 90.0:
            return ra % 360.0, dec
    return None


def _parsed(text: str) -> float | None:
    """The number that a text is, whole and alone."""
    return float(text.upper().replace("D", "E")) if len(text) <= _LONGEST and _REAL.fullmatch(text) else None
