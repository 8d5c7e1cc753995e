"""A spectrum against the template that is most like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sedmd.products.plots.style import BAND, CYCLE, ERROR, SOFT, SPECTRUM, mark_telluric, page, save
from sedmd.reduce.numeric.containers import FloatArray, Spectrum


def plot_comparison(
    path: Path, spectrum: Spectrum, wavelength: FloatArray, flux: FloatArray, *, title: str, label: str
) -> str:
    """Draw both; the template is scaled to the spectrum, with a slope of its own for reddening and calibration.

    Parameters
    ----------
    path : Path
        ``.png`` or ``.pdf``.
    spectrum : Spectrum
    wavelength, flux : (n,)
        The template at the redshift of the match, Angstrom as observed; in any unit.
    title, label : str
        Above the figure; what the template is.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    good = np.isfinite(spectrum.flux)
    x, y = spectrum.wavelength[good], spectrum.flux[good]
    scaled = _scaled(x, y, wavelength, flux)
    with page(7.2, 3.4) as figure:
        axes = figure.subplots()
        axes.set_xlim(max(3600.0, float(x.min()) - 50), float(x.max()) + 50)
        errors = np.where(np.isfinite(spectrum.error[good]), spectrum.error[good], 0.0)
        axes.fill_between(x, y - errors, y + errors, step="mid", color=ERROR, alpha=0.5, lw=0)
        axes.step(x, y, where="mid", color=SPECTRUM, lw=0.9, label="spectrum")
        axes.plot(wavelength, scaled, color=CYCLE[1], lw=1.2, label=label)
        drawn = np.concatenate([y, scaled[(wavelength >= x.min()) & (wavelength <= x.max())]])
        low, high = np.nanpercentile(drawn, [0.5, 99.5])
        room = max(high - low, 1e-300)
        axes.set_ylim(low - 0.12 * room, high + 0.25 * room)
        axes.axhline(0, color=BAND, lw=0.8, zorder=0)
        mark_telluric(axes)
        axes.set_xlabel(r"wavelength in air [$\AA$]")
        axes.set_ylabel(f"flux [{spectrum.unit}]" if spectrum.unit else "flux")
        axes.set_title(title, loc="left")
        axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.95), frameon=False, fontsize=7.5, labelcolor=SOFT)
        figure.subplots_adjust(left=0.11, right=0.985, bottom=0.14, top=0.86)
        return save(figure, path)


def _scaled(x: FloatArray, y: FloatArray, wavelength: FloatArray, flux: FloatArray) -> FloatArray:
    """The template times the straight line that brings it closest to the spectrum."""
    inside = (x >= wavelength.min()) & (x <= wavelength.max())
    if int(inside.sum()) < 3:
        found: FloatArray = flux * (np.nanmedian(np.abs(y)) / max(float(np.nanmedian(np.abs(flux))), 1e-300))
        return found
    template = np.interp(x[inside], wavelength, flux)
    slope = (x[inside] - 6500.0) / 1000.0
    matrix = np.column_stack([template, template * slope])
    (a, b), *_ = np.linalg.lstsq(matrix, y[inside], rcond=None)
    return np.asarray(flux * (a + b * (wavelength - 6500.0) / 1000.0))
