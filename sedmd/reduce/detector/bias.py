"""Bias frames: which of a series can be used, their mean, and the read noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.core.instrument import Sections
from sedmd.reduce.detector.checks import GAP_ROWS, MIN_CONTRAST
from sedmd.reduce.detector.overscan import image_part, overscan_level, row_noise, scan_columns
from sedmd.reduce.detector.stack import mean_of_near
from sedmd.reduce.loops.median import medians_of_9_along_rows

#: Noise of the image columns over that of the overscan columns in a bias, beyond which light is in it, if the level is
#: higher by what makes so much photon noise: a tenth more noise is a fifth of the read noise's variance, 5 electron per
#: pixel at a read noise of 5. Noise alone is the camera's, and measured with the read noise.
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
#: A bad pixel of a master: off the level around it by so many errors of the master, its column's own level taken out,
#: or by so many read noises of one frame. Of four million good pixels none is six errors off; a hot one of half an
#: electron per second is, by what it collects while the frames of the slow read-out wait to be read.
HOT_SIGMA, STANDS_OUT = 6.0, 10.0
#: Level that light adds for each ADU**2 of its photon noise, at least: the gain, 0.9 to 1.8 electron/ADU for the
#: cameras there were.
LEAST_GAIN = 0.4
#: Least growth of the variance with the level [ADU], that distinguishes light from other changes of the level: photon
#: noise makes it one over the gain, 0.5 to 1.1 for the cameras there were.
PHOTON_NOISE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterBias:
    """What the camera adds at a read-out speed, and how noisily.

    Attributes
    ----------
    level : (n_y, n_x) float32, ADU above the scan columns' level of the same row; the array as it is read
    pedestal : float, ADU, typical level of the scan columns
    read_noise_adu : float, rms of one pixel of one frame
    bad : (n_y, n_x) bool, pixels that scatter far more than the others, or lie off those around them: hot ones
    n_frames : int
    """

    level: NDArray[np.floating]
    pedestal: float
    read_noise_adu: float
    bad: NDArray[np.bool_]
    n_frames: int


def combine_bias(frames: Sequence[NDArray[np.integer]], sections: Sections) -> MasterBias:
    """Robust mean of bias frames above their own scan columns, and the read noise from their differences.

    Parameters
    ----------
    frames : n arrays (n_y, n_x) ADU, n >= 2
    sections : Sections

    Returns
    -------
    MasterBias

    Raises
    ------
    ValueError
        With fewer than two frames, because the read noise cannot be measured then.
    """
    if len(frames) < 2:
        raise ValueError(f"{len(frames)} bias frame given; at least 2 are needed to measure the read noise")
    levels = [overscan_level(f, sections) for f in frames]
    active = [
        image_part(f[::4], sections, every=4).astype(np.float32) - v[::4, None]
        for f, v in zip(frames, levels, strict=True)
    ]
    sigma = [robust_sigma(later - earlier) / np.sqrt(2) for earlier, later in pairwise(active)]
    read_noise = float(np.median(sigma))
    # Cosmic rays hit biases too: what lies more than five sigma off the median has no say.
    combined = mean_of_near(frames, offsets=levels, reach=lambda middle: np.float32(5 * read_noise))
    level = combined.mean.astype(np.float32)
    smooth = np.empty_like(level)
    medians_of_9_along_rows(np.pad(level, ((0, 0), (4, 4)), mode="symmetric"), smooth)
    bad = _off_their_surroundings(level - smooth, read_noise) | (combined.count < len(frames) / 2)
    return MasterBias(
        level=level,
        pedestal=float(np.median(levels)),
        read_noise_adu=read_noise,
        bad=bad,
        n_frames=len(frames),
    )


def _off_their_surroundings(left: NDArray[np.floating], read_noise: float) -> NDArray[np.bool_]:
    """Pixels of a master bias that are dark or bright by themselves: hot ones, those behind a trap, whole columns.

    Parameters
    ----------
    left : (n_y, n_x) ADU, the master less its own smooth level
    read_noise : ADU, of one frame

    Notes
    -----
    What the pixels scatter by is measured on the master: the camera's fixed pattern is in it, beside the noise of the
    read-out. The level of a column is the camera's and subtracted from every exposure; it makes no pixel bad.
    """
    own = left - np.median(left, axis=0)
    return np.asarray((np.abs(own) > HOT_SIGMA * robust_sigma(own[::4])) | (np.abs(left) > STANDS_OUT * read_noise))


def robust_sigma(values: NDArray[np.floating]) -> float:
    """Standard deviation of the core of a distribution, outliers beyond four sigma rejected.

    Percentiles alone jump by whole steps where the values are whole numbers; the rms of the core does not.
    """
    flat = np.asarray(values, float).ravel()
    low, middle, high = np.percentile(flat, [15.865, 50.0, 84.135])
    reach = 4.0 * max((high - low) / 2, 0.6)
    core = flat[np.abs(flat - middle) < reach]
    return float(core.std())


def bias_reasons(frames: Sequence[NDArray[Any]], levels: Sequence[NDArray[Any]], sections: Sections) -> tuple[str, ...]:
    """Why each frame of a series cannot be a bias, or is not one with the others; empty for a good one.

    Parameters
    ----------
    frames : n arrays (n_y, n_x) ADU
    levels : overscan level of the rows of each, n arrays (n_y,) ADU
    sections : Sections

    Returns
    -------
    tuple of n str
    """
    reasons, noise, means = [], [], []
    for frame, level in zip(frames, levels, strict=True):
        above = frame - level[:, None]
        active, scan = image_part(above, sections), scan_columns(above, sections)
        noise.append(row_noise(image_part(above, sections, every=4)))
        means.append(_blocks(active))
        reasons.append(_bias_reason(active, means[-1], noise[-1], row_noise(scan), scan.size))
    good = [i for i, reason in enumerate(reasons) if not reason]
    if len(good) < 3:
        return tuple(reasons)  # of two that differ, nobody knows which is the odd one
    blocks = np.stack([means[i] for i in good])
    own_noise = np.array([noise[i] for i in good])
    dark = _without_light(blocks, own_noise)
    usual, typical = np.median(blocks[dark], axis=0), float(np.median(own_noise[dark]))
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


def _without_light(blocks: NDArray[np.floating], noise: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which frames of a series the others are held against: all, or the lowest where the others are lit.

    Parameters
    ----------
    blocks : (n, ...) ADU, means of blocks
    noise : (n,) ADU

    Notes
    -----
    Light only adds, so the lowest frames that agree with each other are the dark ones, however few. That the others lie
    higher because of light, and not for a reason of the camera's, their photon noise tells: the variance grows by one
    over the gain with each ADU of light.
    """
    everyone = np.ones(len(blocks), bool)
    height = blocks.reshape(len(blocks), -1).mean(axis=1)
    for i in np.argsort(height):
        off = np.sqrt(np.mean((blocks - blocks[i]) ** 2, axis=tuple(range(1, blocks.ndim))))
        alike = off <= MAX_BIAS_OFFSET * noise[i]
        if alike.sum() >= 2:
            break
    else:
        return everyone
    if alike.all():
        return everyone
    light = float(np.median(height[~alike]) - np.median(height[alike]))
    added = float(np.median(noise[~alike] ** 2) - np.median(noise[alike] ** 2))
    return alike if added > PHOTON_NOISE * light > 0 else everyone


def _bias_reason(
    active: NDArray[Any], blocks: NDArray[Any], noise: float, overscan_noise: float, n_overscan: int
) -> str:
    """Why a frame is not a bias by itself."""
    low, high = READ_NOISE_RANGE
    if not low <= overscan_noise <= high:
        return f"read noise {overscan_noise:.2f} ADU in the overscan, {low:g} to {high:g} expected; look at the camera"
    # The overscan is small: four standard errors of its own noise are granted.
    limit = MAX_BIAS_NOISE_RATIO + 4.0 / np.sqrt(2.0 * n_overscan)
    added = noise**2 - overscan_noise**2
    if noise > limit * overscan_noise and float(np.median(active[::4])) > LEAST_GAIN * added:
        return (
            f"noise {noise:.2f} ADU in the image and {overscan_noise:.2f} ADU in the overscan, at most {limit:.2f} "
            "times that expected where the level is higher, too; light in the frame?"
        )
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


def _blocks(values: NDArray[Any]) -> NDArray[np.floating]:
    """Means of blocks of pixels; what does not fill a block at the upper and right edge is ignored."""
    size = min(BLOCK, *values.shape)
    ny, nx = values.shape[0] // size, values.shape[1] // size
    found: NDArray[np.floating] = (
        values[: ny * size, : nx * size].reshape(ny, size, nx, size).mean(axis=(1, 3), dtype=float)
    )
    return found
