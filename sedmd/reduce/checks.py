"""What calibration frames must look like, whatever their headers say: light where a lamp was on, none in a bias.

All judgements are ratios to a noise that the frame itself must have, so none of them knows a lamp, a camera or a night.
A reason is one sentence, with the figure and the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.containers import Image

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
#: Noise of the image columns over that of the overscan columns in a bias, beyond which light or pick-up is in it: a
#: tenth more noise is a fifth of the read noise's variance, 5 electron per pixel at a read noise of 5.
MAX_BIAS_NOISE_RATIO = 1.1
#: Level of a bias above its own overscan, anywhere [ADU]. Cameras have a structure of a few ADU; what is ten times that
#: is light, also where the read noise is so high that its photon noise does not show.
MAX_BIAS_LEVEL = 30.0
#: Read noise of a camera that works [ADU]: digitisation alone gives 0.3; the fast read-out of the noisiest epoch 17.
READ_NOISE_RANGE = (0.5, 50.0)
#: Offset of a bias from the others, in blocks of 64 pixels, and its noise, both relative to the series. Three overscan
#: columns leave a level uncertain by 0.06 of the read noise; half a read noise is eight times that.
MAX_BIAS_OFFSET, MAX_NOISE_CHANGE = 0.5, 1.2
BLOCK = 64


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
        doubt = 2.0 * np.sqrt(0.75 * (image.read_noise**2 + max(smooth, 0.0) + light[lit]))
        # A few in a hundred: so much of a bright continuum a pair of lines covers, and no cosmic rays do.
        peaks = float(np.percentile((excess[lit] - doubt) / light[lit], 97))
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


def bias_reasons(frames: Sequence[NDArray], levels: Sequence[NDArray], first_column: int) -> tuple[str, ...]:
    """Why each frame of a series cannot be a bias, or is not one with the others; empty for a good one.

    Parameters
    ----------
    frames : n arrays (n_y, n_x) ADU
    levels : overscan level of the rows of each, n arrays (n_y,) ADU
    first_column : first overscan column

    Returns
    -------
    tuple of n str
    """
    above = [np.asarray(f, np.float32) - v[:, None] for f, v in zip(frames, levels, strict=True)]
    noise = [_row_noise(a[:, :first_column:4]) for a in above]
    reasons = [
        _bias_reason(a[:, :first_column], n, _row_noise(a[:, first_column:]), a[:, first_column:].size)
        for a, n in zip(above, noise, strict=True)
    ]
    good = [i for i, reason in enumerate(reasons) if not reason]
    if len(good) < 3:
        return tuple(reasons)  # of two that differ, nobody knows which is the odd one
    blocks = np.stack([_blocks(above[i][:, :first_column]) for i in good])
    usual, typical = np.median(blocks, axis=0), float(np.median([noise[i] for i in good]))
    for i, own in zip(good, blocks, strict=True):
        offset = float(np.sqrt(np.mean((own - usual) ** 2)))
        if offset > MAX_BIAS_OFFSET * typical:
            reasons[i] = (
                f"{offset:.1f} ADU (rms of blocks) off the other frames, at most {MAX_BIAS_OFFSET:g} of the read noise "
                f"of {typical:.1f} ADU expected"
            )
        elif not typical / MAX_NOISE_CHANGE < noise[i] < typical * MAX_NOISE_CHANGE:
            reasons[i] = f"noise {noise[i]:.1f} ADU, within a factor {MAX_NOISE_CHANGE:g} of {typical:.1f} ADU expected"
    return tuple(reasons)


def _bias_reason(active: NDArray, noise: float, overscan_noise: float, n_overscan: int) -> str:
    """Why a frame is not a bias by itself."""
    low, high = READ_NOISE_RANGE
    if not low <= overscan_noise <= high:
        return f"read noise {overscan_noise:.2f} ADU in the overscan, {low:g} to {high:g} expected; look at the camera"
    # The overscan is small: four standard errors of its own noise are granted.
    limit = MAX_BIAS_NOISE_RATIO + 4.0 / np.sqrt(2.0 * n_overscan)
    if noise > limit * overscan_noise:
        return (
            f"noise {noise:.2f} ADU in the image and {overscan_noise:.2f} ADU in the overscan, at most {limit:.2f} "
            "times that expected; light or pick-up in the frame?"
        )
    blocks = _blocks(active)
    worst = float(np.percentile(np.abs(blocks), 99))
    if worst > MAX_BIAS_LEVEL:
        return (
            f"{worst:.0f} ADU from its overscan in parts of the image, at most {MAX_BIAS_LEVEL:g} expected; "
            "light in the frame?"
        )
    stand = active[GAP_ROWS:-GAP_ROWS] - 0.5 * (active[: -2 * GAP_ROWS] + active[2 * GAP_ROWS :])
    contrast = float(np.percentile(stand, 99.5)) / (np.sqrt(1.5) * noise)
    if contrast > MIN_CONTRAST:
        return (
            f"spectra in it: the brightest pixels stand {contrast:.1f} times the noise above their neighbours, less "
            f"than {MIN_CONTRAST:g} expected; a lamp was on"
        )
    return ""


def _row_noise(values: NDArray) -> float:
    """Read noise from the differences of neighbouring rows, which column patterns drop out of."""
    difference = np.diff(values, axis=0)
    low, middle, high = np.percentile(difference, [15.865, 50.0, 84.135])
    reach = 4.0 * max((high - low) / 2, 0.6)
    core = difference[np.abs(difference - middle) < reach]
    return float(core.std() / np.sqrt(2.0))


def _blocks(values: NDArray) -> NDArray[np.floating]:
    """Means of blocks of pixels; what does not fill a block at the upper and right edge is left out."""
    size = min(BLOCK, *values.shape)
    ny, nx = values.shape[0] // size, values.shape[1] // size
    return values[: ny * size, : nx * size].reshape(ny, size, nx, size).mean(axis=(1, 3), dtype=float)
