"""Small line charts as SVG: colours are left to the style sheet, so that they follow the page by day and night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 10, 10, 38


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line, dots, or a band between two lines; `look` is the class in the style sheet, c0 to c5, sky, error.

    Attributes
    ----------
    x, y : (n,); where one is not finite the line is broken
    top : (n,) or None
        The upper edge of a band whose lower one is `y`.
    """

    x: ArrayLike
    y: ArrayLike
    top: ArrayLike | None = None
    look: str = "c0"
    label: str = ""
    dots: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Curves on common axes.

    Attributes
    ----------
    x_range, y_range : (low, high) or None
        None takes what the curves need.
    shaded : sequence of (low, high)
        Ranges of x behind the curves.
    """

    curves: Sequence[Curve]
    x_label: str
    y_label: str
    title: str = ""
    width: int = 460
    height: int = 240
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    shaded: Sequence[tuple[float, float]] = ()
    x_ticks: Sequence[tuple[float, str]] | None = None


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, about `count` of them, in steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [float(n * step) for n in range(first, last + 1)]


def draw_chart(chart: Chart) -> str:
    """The chart as an ``<svg>`` element; the same chart gives the same text."""
    x_low, x_high = chart.x_range or _range([curve.x for curve in chart.curves], margin=0.03)
    y_low, y_high = chart.y_range or _range(
        [part for curve in chart.curves for part in (curve.y, curve.top) if part is not None], margin=0.08
    )
    if chart.y_range is None and any(curve.label for curve in chart.curves):
        y_high += 0.15 * (y_high - y_low)  # the labels stand on a line of their own
    right, bottom = chart.width - _RIGHT, chart.height - _BOTTOM

    def across(x: ArrayLike) -> NDArray[np.floating]:
        return _LEFT + (np.asarray(x, float) - x_low) / (x_high - x_low) * (right - _LEFT)

    def up(y: ArrayLike) -> NDArray[np.floating]:
        found: NDArray[np.floating] = bottom - (np.clip(np.asarray(y, float), y_low, y_high) - y_low) / (
            y_high - y_low
        ) * (bottom - _TOP)
        return found

    out = [
        f'<svg class="chart" viewBox="0 0 {chart.width} {chart.height}" role="img" '
        f'aria-label="{escape(chart.title or chart.y_label)}">'
    ]
    for low, high in chart.shaded:
        a, b = np.clip(across([low, high]), _LEFT, right)
        if b > a:
            out.append(f'<rect class="band" x="{a:.1f}" y="{_TOP}" width="{b - a:.1f}" height="{bottom - _TOP}"/>')
    for value in ticks(y_low, y_high, 5):
        at = float(up(value))
        out.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
        out.append(f'<text x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{_label(value)}</text>')
    given = chart.x_ticks
    for value, label in given if given is not None else [(value, _label(value)) for value in ticks(x_low, x_high, 6)]:
        at = float(across(value))
        out.append(f'<path class="grid" d="M{at:.1f} {bottom}v4"/>')
        out.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(label)}</text>')
    for curve in chart.curves:
        out += _curve(curve, across(curve.x), up(curve.y), None if curve.top is None else up(curve.top))
    out.append(f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"/>')
    out.append(
        f'<text x="{(_LEFT + right) / 2:.0f}" y="{chart.height - 4}" text-anchor="middle">'
        f"{escape(chart.x_label)}</text>"
    )
    middle = (_TOP + bottom) / 2
    out.append(
        f'<text transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(chart.y_label)}</text>'
    )
    at_x = _LEFT + 8.0
    for curve in (one for one in chart.curves if one.label):
        out.append(f'<path class="line {curve.look}" d="M{at_x:.0f} {_TOP + 10}h14"/>')
        out.append(f'<text x="{at_x + 18:.0f}" y="{_TOP + 14}">{escape(curve.label)}</text>')
        at_x += 30 + 6.6 * len(curve.label)
    return "".join([*out, "</svg>"])


def _curve(
    curve: Curve, x: NDArray[np.floating], y: NDArray[np.floating], top: NDArray[np.floating] | None
) -> list[str]:
    good = np.isfinite(x) & np.isfinite(y) & (True if top is None else np.isfinite(top))
    if curve.dots:
        dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[good], y[good]))
        return [f'<path class="dots {curve.look}" d="{dots}"/>'] if dots else []
    out = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(int)))
    for first, last in zip(edges[::2], edges[1::2]):
        path = _path(x[first:last], y[first:last])
        if top is None:
            out.append(f'<path class="line {curve.look}" d="{path}"/>')
        else:
            back = _path(x[first:last][::-1], top[first:last][::-1]).replace("M", "L", 1)
            out.append(f'<path class="fill {curve.look}" d="{path}{back}Z"/>')
    return out


def _path(x: NDArray[np.floating], y: NDArray[np.floating]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y))


def _range(parts: Sequence[ArrayLike], *, margin: float) -> tuple[float, float]:
    values = np.concatenate([np.ravel(np.asarray(part, float)) for part in parts]) if parts else np.empty(0)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) if high > low else max(abs(high) * margin, 1e-3)
    return low - room, high + room


def _label(value: float) -> str:
    text = f"{value:.6g}"
    return "0" if text == "-0" else text.replace("-", "−")
