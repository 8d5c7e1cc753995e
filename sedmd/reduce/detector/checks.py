"""Checks of calibration frames by their pixels, not their headers: light where a lamp was on, none in a bias.

All judgements are ratios to a noise that the frame itself must have, so none of them knows a lamp, a camera or a night.
A reason is one sentence, with the figure and the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import Image

#: Rows from a spectrum to the gap beside it: neighbouring spectra are some eight rows apart (a lattice cell of 50 px
#: pitch over spectra of 265 columns).
GAP_ROWS = 4
#: Lowest contrast of a lamp frame. A lamp line of a spaxel covers some ten pixels; it is placed to a tenth of a column
#: when it has twelve times its noise, and so its pixels four times. Noise alone gives 2.6.
MIN_CONTRAST = 5.0
#: Columns from a line to the light beside it along its spectrum: clear of the line itself (FWHM 2 to 5 columns), and so
#: near that a continuum, which changes over tens of columns, is the same.
BESIDE_COLUMNS = 6
#: Peaks that divide lines from continua: how far the sharpest of the bright pixels stand above the light beside them
#: along the dispersion, as a share of their light. Single lines give 1; lines on a continuum of half their height,
#: smeared over blends of xenon, a third; a continuum less than a tenth.
LINES_FROM = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """What a lamp frame shows.

    Attributes
    ----------
    contrast : float, how far the brightest half per cent of the pixels stands above the rows beside it, in units of the
        noise of one pixel without light; 2.6 (99.5th percentile of a Gaussian) without any spectrum
    level : float, the same in electron
    peaks : float, how far the sharpest of the bright pixels stand above the light `BESIDE_COLUMNS` away along the
        dispersion, as a share of their light: about 1 for lines, less for lines on a continuum, near 0 for a continuum
        alone; NaN without spectra
    smooth : float, electron, median of the frame: light that makes no spectra
    """

    contrast: float
    level: float
    peaks: float
    smooth: float


def lamp_light(image: Image) -> Light:
    """Measure the spectra on a lamp, dome or twilight frame.

    Parameters
    ----------
    image : Image, electron

    Returns
    -------
    Light

    Raises
    ------
    ValueError
        If hardly a pixel of the frame is usable.
    """
    data = np.where(image.mask == 0, image.data, np.float32(np.nan))
    middle = data[GAP_ROWS:-GAP_ROWS, 1:-1:3]
    above = middle - 0.5 * (data[: -2 * GAP_ROWS, 1:-1:3] + data[2 * GAP_ROWS :, 1:-1:3])
    known = np.isfinite(above)
    if known.mean() < 0.1:
        raise ValueError(
            f"only {100 * known.mean():.0f} % of the pixels are usable, at least 10 % expected; look at the master bias"
        )
    smooth = float(np.median(middle[known]))
    # The mean of two gap rows adds half a pixel's variance.
    noise = float(np.sqrt(1.5 * (image.read_noise**2 + max(smooth, 0.0))))
    level = float(np.percentile(above[known], 99.5))
    light, excess = _along(_above_gaps(data, 2))
    lit = (light > max(0.3 * level, 4 * noise / np.sqrt(3.0))) & np.isfinite(excess)
    peaks = float("nan")
    if lit.sum() > 100:
        # Three pixels, gap rows, columns beside: what noise alone does in a few pixels of a hundred comes off.
        photon_noise = 2.0 * np.sqrt(0.75 * (image.read_noise**2 + max(smooth, 0.0) + light[lit]))
        # A few in a hundred: so much of a bright continuum a pair of lines covers, and no cosmic rays do.
        peaks = float(np.percentile((excess[lit] - photon_noise) / light[lit], 97))
    return Light(contrast=level / noise, level=level, peaks=peaks, smooth=smooth)


def _above_gaps(data: NDArray[np.floating], every: int) -> NDArray[np.floating]:
    """What stands above the gaps between the spectra in every `every`-th row."""
    return data[GAP_ROWS:-GAP_ROWS:every] - 0.5 * (data[: -2 * GAP_ROWS : every] + data[2 * GAP_ROWS :: every])


def _along(above: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Mean light of three columns, and how far it stands above the brighter side of it; both without the edges.

    The brighter side: where a spectrum begins or ends there is a step, and no line.
    """
    mean = (above[:, :-2] + above[:, 1:-1] + above[:, 2:]) / np.float32(3.0)
    light = mean[:, BESIDE_COLUMNS:-BESIDE_COLUMNS]
    return light, light - np.maximum(mean[:, : -2 * BESIDE_COLUMNS], mean[:, 2 * BESIDE_COLUMNS :])


def lamp_reason(light: Light, *, lines: bool) -> str:
    """Why a frame cannot be an exposure of its lamp; empty if it can.

    Parameters
    ----------
    light : Light
    lines : whether the lamp has lines (Hg, Cd, Xe) or a continuum (dome, twilight)
    """
    if not light.contrast >= MIN_CONTRAST:
        scattered = f" on {light.smooth:.0f} electron of light without spectra" if light.smooth > 10 else ""
        return (
            f"no spectra: the brightest pixels stand {light.contrast:.1f} times the noise above their neighbours"
            f"{scattered}, at least {MIN_CONTRAST:g} expected; was the lamp on?"
        )
    if lines and light.peaks < LINES_FROM:
        return (
            f"a continuum (its peaks are {light.peaks:.2f} of the light) where lines were expected (above "
            f"{LINES_FROM}); another lamp than the label says?"
        )
    if not lines and light.peaks >= LINES_FROM:
        return (
            f"lines (their peaks are {light.peaks:.2f} of the light) where a continuum was expected (below "
            f"{LINES_FROM}); another lamp than the label says?"
        )
    return ""


def likeness(a: Image, b: Image) -> float:
    """How alike the lines of two lamp frames are: correlation of what stands above the gaps and above the light beside.

    Parameters
    ----------
    a, b : Image, electron, of one shape

    Returns
    -------
    float, near 1 for two frames of one lamp; different lamps have their lines on different columns

    Notes
    -----
    Continua say nothing about which lamp shone: xenon has a strong one, and glowing electrodes give one to mercury.
    The square root holds the strongest lines down.
    """
    stands = []
    for image in (a, b):
        data = np.where(image.mask == 0, image.data, np.float32(0.0))
        light, excess = _along(_above_gaps(data, 2))
        stands.append(np.sqrt(np.maximum(np.minimum(light, excess), 0.0)).ravel())
    return float(np.corrcoef(np.stack(stands))[0, 1])
