"""Values of header cards, where a card may be absent, empty or of the wrong kind."""

from __future__ import annotations

import math

from astropy.io import fits


def text_of(header: fits.Header, *keys: str) -> str:
    """The first of these cards that says something; empty if none does."""
    return next((str(header[key]).strip() for key in keys if str(header.get(key, "")).strip()), "")


def number_of(value: object, fallback: float) -> float:
    """A finite number, or `fallback`."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return fallback
    return number if math.isfinite(number) else fallback
