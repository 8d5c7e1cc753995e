"""FITS header cards as plain values, from any bytes: nothing here raises.

astropy parses cards lazily and raises when a damaged one is asked for; a raw header is foreign and must cost no more
than the cards that are damaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from astropy.io import fits

CARD = 80
#: What the standard forbids in a header: all but printable ASCII.
_UNPRINTABLE = re.compile(r"[^ -~]")
_COMMENTARY = ("COMMENT", "HISTORY", "")
_KEY = re.compile(r"[A-Z0-9_-]{1,8}")
_HIERARCH = re.compile(r"HIERARCH +([!-<>-~](?:[ -<>-~]*[!-<>-~])?) *= ")
_TEXT = re.compile(r" *'((?:[^']|'')*)' *(?:/.*)?")
_LOGICAL = re.compile(r" *([TF]) *(?:/.*)?")
_INTEGER = re.compile(r" *([+-]?[0-9]+) *(?:/.*)?")
_REAL = re.compile(r" *([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[EeDd][+-]?[0-9]+)?) *(?:/.*)?")
_NOTHING = re.compile(r" *(?:/.*)?")

Value = bool | int | float | str


def printable(header_bytes: bytes) -> str:
    """The header as text, with a question mark for every byte that FITS forbids."""
    return _UNPRINTABLE.sub("?", header_bytes.decode("latin-1"))


def is_printable(header_bytes: bytes) -> bool:
    """True if the header holds nothing but what FITS allows."""
    return not _UNPRINTABLE.search(header_bytes.decode("latin-1"))


def header_values(header_bytes: bytes) -> Mapping[str, Value]:
    """The cards of a header as plain values; an unreadable value becomes its raw text.

    Returns
    -------
    mapping of keyword to bool, int, float or str
        The first card wins when a keyword is repeated; undefined values are skipped. Long strings are joined.
    """
    values: dict[str, Value] = {}
    open_key = ""  # of the string that the next card may continue
    for image in _images(printable(header_bytes)):
        key, field = _split(image)
        if key == "CONTINUE":
            more = _TEXT.fullmatch(image[8:])
            if open_key and more:
                values[open_key] = str(values[open_key])[:-1] + _unquoted(more)
            open_key = open_key if open_key and str(values[open_key]).endswith("&") else ""
            continue
        open_key = ""
        if field is None or key in values:
            continue
        value = _value(field)
        if value is None:
            continue
        values[key] = value
        if isinstance(value, str) and value.endswith("&") and _TEXT.fullmatch(field):
            open_key = key
    return values


def readable_header(header_bytes: bytes) -> fits.Header:
    """The header with every card in it that can be read; astropy can be asked for any of them.

    Returns
    -------
    Header
        Unprintable characters are question marks; cards that break the grammar of FITS are skipped, and those that
        repeat a keyword: the first card wins.
    """
    kept: list[str] = []
    seen: set[str] = set()
    text_before = False
    for image in _images(printable(header_bytes)):
        key, field = _split(image)
        if key == "CONTINUE":
            good = text_before and _TEXT.fullmatch(image[8:]) is not None
        elif key in _COMMENTARY:
            good, text_before = image[:8].rstrip() == key, False
        else:
            good = field is not None and (_KEY.fullmatch(key) is not None or image.startswith("HIERARCH "))
            good = good and image[:8].rstrip() in (key, "HIERARCH") and _well_formed(field or "") and key not in seen
            seen.add(key)
            text_before = good and _TEXT.fullmatch(field or "") is not None
        if good:
            kept.append(image)
    return fits.Header.fromstring("".join(kept))


def _images(text: str) -> Iterator[str]:
    """Cards of 80 characters up to END."""
    for start in range(0, len(text) - CARD + 1, CARD):
        image = text[start : start + CARD]
        if image[:8].rstrip() == "END":
            return
        yield image


def _split(image: str) -> tuple[str, str | None]:
    """Keyword and value field of a card; None for a card that has no value."""
    if image.startswith("HIERARCH "):
        long = _HIERARCH.match(image)
        return (long.group(1).upper(), image[long.end() :]) if long else ("HIERARCH", None)
    key = image[:8].strip().upper()
    if key in _COMMENTARY or key == "CONTINUE" or image[8] != "=":
        return key, None
    return key, image[9:]


def _value(field: str) -> Value | None:
    if found := _TEXT.fullmatch(field):
        return _unquoted(found)
    if found := _LOGICAL.fullmatch(field):
        return found.group(1) == "T"
    if found := _INTEGER.fullmatch(field):
        return int(found.group(1))
    if found := _REAL.fullmatch(field):
        return float(found.group(1).upper().replace("D", "E"))
    return field.split("/")[0].strip(" '") or None


def _well_formed(field: str) -> bool:
    return field.startswith(" ") and any(form.fullmatch(field) for form in (_TEXT, _LOGICAL, _INTEGER, _REAL, _NOTHING))


def _unquoted(found: re.Match[str]) -> str:
    return found.group(1).replace("''", "'").rstrip()
