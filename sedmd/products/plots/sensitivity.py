"""The night's sensitivity: the curve of each standard star, their combination, and how well they agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sedmd.products.plots.style import BAND, CYCLE, ERROR, INK, SOFT, mark_telluric, page, save
from sedmd.reduce.numeric.containers import FloatArray


def plot_sensitivity(
    path: Path,
    wavelength: FloatArray,
    combined: FloatArray,
    *,
    stars: Mapping[str, FloatArray],
    error: FloatArray | None = None,
    title: str = "Sensitivity",
    unit: str = r"erg cm$^{-2}$ electron$^{-1}$",
    note: str = "",
) -> str:
    """Sensitivity of a night; PNG or PDF.

    Parameters
    ----------
    path : Path
    wavelength : (n,) Angstrom in air
    combined : (n,) factor from instrumental to calibrated flux
    stars : mapping of name to (n,) curve of one standard
    error : (n,), optional
        1 sigma of `combined`.
    title, unit, note : str

    Returns
    -------
    str
        SHA-256 of the file.
    """
    with page(9.0, 6.2) as figure:
        grid = figure.add_gridspec(
            2, 1, height_ratios=[2.2, 1], left=0.09, right=0.98, top=0.91, bottom=0.09, hspace=0.08
        )
        above, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
        for axes in (above, below):
            axes.set_xlim(wavelength[0], wavelength[-1])
            mark_telluric(axes, label=axes is above)
        if error is not None:
            above.fill_between(wavelength, combined - error, combined + error, color=ERROR, lw=0, alpha=0.7)
        for colour, (name, curve) in zip(_colours(len(stars)), stars.items(), strict=True):
            above.plot(wavelength, curve, color=colour, lw=0.8, alpha=0.85, label=name)
            below.plot(wavelength, 100 * (np.asarray(curve) / combined - 1), color=colour, lw=0.8)
        above.plot(wavelength, combined, color=INK, lw=1.7, label="combined")
        above.set_yscale("log")
        good = combined[np.isfinite(combined) & (combined > 0)]
        if len(good):
            above.set_ylim(float(good.min()) / 1.5, float(np.percentile(good, 98)) * 2.5)
        above.set_ylabel(unit)
        above.tick_params(labelbottom=False)
        above.legend(frameon=False, fontsize=7.5, loc="upper center", bbox_to_anchor=(0.5, 0.95), ncols=4)
        below.axhspan(-3, 3, color=BAND, zorder=0)
        below.axhline(0, color=SOFT, lw=0.7)
        below.set(ylim=(-16, 16), ylabel="star / combined - 1 [%]", xlabel="Wavelength in air [Å]")
        figure.text(0.09, 0.95, title, fontsize=11, fontweight="bold")
        figure.text(0.98, 0.015, note, ha="right", fontsize=6.5, color=SOFT)
        return save(figure, path)


def _colours(count: int) -> list[str]:
    return [CYCLE[place % len(CYCLE)] for place in range(count)]
