"""One look for all plots, and how a figure becomes a file."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import sedmd
from sedmd.data.telluric import BANDS
from sedmd.host.files import write_bytes_atomic

# matplotlib has it cut the fonts for a PDF; it tells every glyph of it at level INFO
logging.getLogger("fontTools").setLevel(logging.WARNING)

INK, SOFT, FAINT, BAND = "#1b2a3a", "#5d6b7a", "#d7dde4", "#eef1f4"
SPECTRUM, ERROR, SKY = "#14507f", "#9cc3e0", "#c98a1b"
APERTURE_A, APERTURE_B = "#d1232a", "#1f57c3"
CYCLE = ("#14507f", "#c0562b", "#3c8044", "#7a4b9c", "#a8891c", "#2b8c93", "#a83f6f", "#6b6b6b")

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.formatter.use_mathtext": True,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "text.color": INK,
    "pdf.fonttype": 3,  # outlines of the letters in use: text can be searched, and takes 0.3 s less than fonts (42)
    "pdf.compression": 6,
    "path.simplify": True,
    "mathtext.default": "regular",
}


@contextmanager
def page(width_in: float, height_in: float) -> Iterator[Figure]:
    """A figure of the given size in the common style."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(width_in, height_in))
        FigureCanvasAgg(figure)
        yield figure


def save(figure: Figure, path: Path) -> str:
    """Write a figure as PDF or PNG, by the suffix of `path`; returns its SHA-256.

    No date goes into the file: it would change with every run.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in ("pdf", "png"):
        raise ValueError(f"{path.name}: plots are written as .pdf or .png, not .{kind}")
    maker = f"sedmd {sedmd.__version__}"
    metadata = {"Creator": maker, "CreationDate": None} if kind == "pdf" else {"Software": maker}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=110 if kind == "png" else 200, metadata=metadata)
    return write_bytes_atomic(buffer.getvalue(), path)


def plain_numbers(*axes: Axes) -> None:
    """Write the ticks' numbers as they are: each number as a formula takes 5 ms, and none here has a power of ten."""
    for one in axes:
        one.ticklabel_format(useMathText=False, useOffset=False, style="plain")


def mark_telluric(axes: Axes, *, label: bool = True) -> None:
    """Shade the telluric bands behind the curves; names at the upper edge."""
    low, high = sorted(axes.get_xlim())
    for name, start, stop in BANDS:
        if start < high and stop > low:
            axes.axvspan(start, stop, color=BAND, lw=0, zorder=0)
            if label:
                axes.text(
                    (max(start, low) + min(stop, high)) / 2,
                    0.985,
                    name.replace("O2", r"O$_2$").replace("H2", r"H$_2$"),
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="top",
                    fontsize=6.5,
                    color=SOFT,
                )
