"""The trend as one page of plots, PDF or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

import sedmd
from sedmd.after.report.efficiency import BAND_NAMES
from sedmd.after.report.figures import NightFigures
from sedmd.products.plots.style import CYCLE, FAINT, INK, SOFT, page, save


def plot_trend(path: Path, nights: Sequence[NightFigures], *, title: str = "SED Machine") -> str:
    """Efficiency, flexure, wavelengths, background, seeing and read noise over the nights.

    Parameters
    ----------
    path : Path
        ``.pdf`` or ``.png``.
    nights : sequence of NightFigures
        At least one.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    if not nights:
        raise ValueError(f"{path.name}: no night to plot")
    dates = [float(date2num(datetime.strptime(one.night, "%Y%m%d"))) for one in nights]
    with page(10.5, 8.6) as figure:
        grid = figure.add_gridspec(4, 2, left=0.075, right=0.975, top=0.92, bottom=0.06, hspace=0.28, wspace=0.2)
        all_axes = []

        def panel(place: tuple[int, int], label: str, *, wide: bool = False) -> Axes:
            axes = figure.add_subplot(grid[place[0], :] if wide else grid[place])
            axes.set_ylabel(label)
            axes.grid(color=FAINT, lw=0.5)
            all_axes.append(axes)
            return axes

        axes = panel((0, 0), "Efficiency [%]", wide=True)
        for at, (name, colour) in enumerate(zip(BAND_NAMES, CYCLE)):
            shares = [None if one.efficiency[at] is None else 100 * (one.efficiency[at] or 0.0) for one in nights]
            _line(axes, dates, shares, colour, f"{name} nm")
        axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
        axes.legend(frameon=False, ncols=5, fontsize=7.5, loc="lower left")
        _spread(panel((1, 0), "Flexure x [px]"), dates, [[e.flexure_x_px for e in one.exposures] for one in nights])
        _spread(panel((1, 1), "Flexure y [px]"), dates, [[e.flexure_y_px for e in one.exposures] for one in nights])
        _line(panel((2, 0), "Wavelength rms [px]"), dates, [one.wavelength_rms_px for one in nights], CYCLE[0])
        light = [[e.background_e_per_s for e in one.exposures] for one in nights]
        _spread(panel((2, 1), "Between traces [e/s/px]"), dates, light)
        _spread(panel((3, 0), 'Seeing ["]'), dates, [list(one.seeing_arcsec) for one in nights])
        axes = panel((3, 1), "Read noise [electron]")
        for colour, speed in zip(CYCLE, sorted({speed for one in nights for speed in one.read_noise_e})):
            _line(axes, dates, [one.read_noise_e.get(speed) for one in nights], colour, f"{speed} MHz")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=7.5)
        margin = max((dates[-1] - dates[0]) * 0.03, 1.0)
        for axes in all_axes:
            axes.set_xlim(dates[0] - margin, dates[-1] + margin)
            locator = AutoDateLocator(minticks=2, maxticks=8)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        figure.text(0.075, 0.955, f"{title}, {nights[0].night} to {nights[-1].night}", fontsize=12, fontweight="bold")
        figure.text(
            0.975,
            0.957,
            f"nights: {len(nights)}; dots: exposures, line: median; efficiency: telescope and instrument, no atmosphere"
            f"     sedmd {sedmd.__version__}",
            ha="right",
            fontsize=6.5,
            color=SOFT,
        )
        return save(figure, path)


def _line(
    axes: Axes, dates: Sequence[float], values: Sequence[float | None], colour: str, label: str | None = None
) -> None:
    known = [(date, value) for date, value in zip(dates, values, strict=True) if value is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "o-", color=colour, ms=3, lw=1, label=label)


def _spread(axes: Axes, dates: Sequence[float], values: Sequence[Sequence[float | None]]) -> None:
    """Every value as a dot, the medians as a line."""
    middles: list[float | None] = []
    for date, night in zip(dates, values, strict=True):
        known = sorted(value for value in night if value is not None)
        axes.plot([date] * len(known), known, ".", color=SOFT, ms=3, alpha=0.6)
        half = len(known) // 2
        middles.append((known[half] + known[-half - 1]) / 2 if known else None)
    _line(axes, dates, middles, INK)
