"""Values of header cards, where a card may be absent, empty, out of range or of the wrong kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping


def text_of(header: Mapping[str, object], *keys: str) -> str:
    """The first of these cards that says something; empty if none does."""
    return next((str(header[key]).strip() for key in keys if str(header.get(key, "")).strip()), "")


def number_of(value: object, fallback: float) -> float:
    """A finite number, or `fallback`."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return fallback
    return number if math.isfinite(number) else fallback


def within(header: Mapping[str, object], key: str, low: float, high: float) -> float | None:
    """The number of a card, if it is one from `low` to `high`; control software writes -999 for what it missed."""
    value = number_of(header.get(key), math.nan)
    return value if low <= value <= high else None


def sexagesimal(value: object) -> float | None:
    """``+12:34:56.7`` or a number as a number; None when it is neither."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    found = re.fullmatch(r"\s*([+-]?)(\d{1,3})[: ](\d{1,2})[: ](\d{1,2}(?:\.\d*)?)\s*", str(value))
    if not found:
        return None
    sign, big, middle, small = found.groups()
    return (-1 if sign == "-" else 1) * (int(big) + int(middle) / 60 + float(small) / 3600)
