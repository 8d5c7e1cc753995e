"""The instrument over the nights: efficiency, flexure, wavelengths, background, seeing and read noise, as a table."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sedmd.after.report.efficiency import BAND_NAMES
from sedmd.after.report.figures import NightFigures, night_figures

_HEAD = (
    "night    " + "".join(f"{f'{name} nm':>8}" for name in BAND_NAMES) + "  stars  flex x  flex y  wave rms"
    "  background  seeing  read noise"
)
_UNITS = "         " + 5 * "       %" + "             px      px        px     e/s/pix  arcsec  e at MHz"


def nights_of(redux_root: Path) -> list[str]:
    """Nights that have a folder below a redux root, oldest first."""
    if not redux_root.is_dir():
        return []
    return sorted(path.name for path in redux_root.iterdir() if re.fullmatch(r"\d{8}", path.name) and path.is_dir())


def trend(redux_root: Path, *, nights: int, until: str | None = None) -> list[NightFigures]:
    """Figures of the newest nights that have any, oldest first.

    Parameters
    ----------
    nights : int
        At most so many.
    until : str or None
        The last night that counts; None is the newest.
    """
    found: list[NightFigures] = []
    for night in reversed(nights_of(redux_root)):
        if until is not None and night > until:
            continue
        if len(found) == nights:
            break
        if not (figures := night_figures(redux_root / night)).empty:
            found.append(figures)
    return found[::-1]


def trend_values(nights: Sequence[NightFigures]) -> list[dict[str, Any]]:
    """The trend as plain values: of each night its medians, and the exposures they come from."""
    return [
        asdict(one)
        | {
            "efficiency": dict(zip(BAND_NAMES, one.efficiency, strict=True)),
            "flexure_x_px": one.flexure_x_px,
            "flexure_y_px": one.flexure_y_px,
            "background_e_per_s": one.background_e_per_s,
            "seeing_median_arcsec": one.seeing,
        }
        for one in nights
    ]


def trend_json(nights: Sequence[NightFigures]) -> str:
    """The trend as JSON; the same products give the same text."""
    return json.dumps(trend_values(nights), indent=1, allow_nan=False) + "\n"


def trend_text(nights: Sequence[NightFigures]) -> str:
    """The trend as a table, a line for each night."""
    if not nights:
        return "no night with products yet\n"
    return "\n".join([_HEAD, _UNITS, *(_row(one).rstrip() for one in nights)]) + "\n"


def _row(one: NightFigures) -> str:
    shares = "".join(_number(None if share is None else 100 * share, 8, ".1f") for share in one.efficiency)
    noise = ", ".join(f"{value:.1f} at {speed}" for speed, value in one.read_noise_e.items()) or "-"
    return (
        f"{one.night:9}{shares}{one.standards or '-':>7}{_number(one.flexure_x_px, 8, '+.2f')}"
        f"{_number(one.flexure_y_px, 8, '+.2f')}{_number(one.wavelength_rms_px, 10, '.3f')}"
        f"{_number(one.background_e_per_s, 12, '.4f')}{_number(one.seeing, 8, '.2f')}  {noise}"
    )


def _number(value: float | None, width: int, form: str) -> str:
    return ("-" if value is None else format(value, form)).rjust(width)
