"""From ADU to electrons: overscan, master bias, read noise, and the combination of repeated exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sedmd.reduce.checks import lamp_light, lamp_reason
from sedmd.reduce.containers import Image, Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterBias:
    """What the camera adds at a read-out speed, and how noisily.

    Attributes
    ----------
    level : (n_y, n_x) float32, ADU above the overscan of the same row
    read_noise_adu : float, rms of one pixel of one frame
    bad : (n_y, n_x) bool, pixels that scatter or stand out far more than the others
    n_frames : int
    """

    level: NDArray[np.floating]
    read_noise_adu: float
    bad: NDArray[np.bool_]
    n_frames: int


def overscan_level(raw: NDArray, first_column: int, *, sigma_rows: float = 25.0) -> NDArray[np.floating]:
    """Level of each row from its overscan columns, smoothed along the rows.

    Parameters
    ----------
    raw : (n_y, n_x) ADU
    first_column : first column of the overscan at the right edge
    sigma_rows : Gaussian sigma of the smoothing

    Returns
    -------
    (n_y,) float32, ADU

    Notes
    -----
    kpy (Debias.py) took the median of the columns and a running median over 50 rows, which leaves a tenth of the read
    noise in every pixel of a row. The mean of what is not an outlier, with a Gaussian window, leaves half of that;
    faster drifts go into the background between the traces.
    """
    columns = np.asarray(raw[:, first_column:], np.float32)
    middle = ndimage.median_filter(np.median(columns, axis=1), size=101, mode="nearest")[:, None]
    spread = 1.4826 * np.median(np.abs(columns - middle)) + 0.5
    good = np.abs(columns - middle) < 4 * spread
    return _local_line((columns * good).sum(axis=1), good.sum(axis=1).astype(float), middle[:, 0], sigma_rows)


def _local_line(
    total: NDArray[np.floating], count: NDArray[np.floating], fallback: NDArray[np.floating], sigma: float
) -> NDArray[np.floating]:
    """Straight line through the neighbourhood of each row, Gaussian weights: follows a slope right up to the edges."""
    x = (np.arange(count.size) - count.size / 2) / count.size

    def smooth(values: NDArray) -> NDArray:
        return np.asarray(ndimage.gaussian_filter1d(values, sigma, mode="constant"))

    s0, s1, s2 = smooth(count), smooth(count * x), smooth(count * x * x)
    t0, t1 = smooth(np.asarray(total, float)), smooth(total * x)
    mean_x = s1 / np.maximum(s0, 1e-9)
    spread = s2 / np.maximum(s0, 1e-9) - mean_x**2
    slope = (t1 - mean_x * t0) / np.maximum(s0 * spread, 1e-12)
    line = t0 / np.maximum(s0, 1e-9) + slope * (x - mean_x)
    return np.where(s0 > 1e-3, line, fallback).astype(np.float32)


def combine_bias(frames: Sequence[NDArray[np.integer]], first_column: int) -> MasterBias:
    """Robust mean of bias frames above their own overscan, and the read noise from their differences.

    Parameters
    ----------
    frames : n arrays (n_y, n_x) ADU, n >= 2
    first_column : first overscan column

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
    stack = np.stack([np.asarray(f, np.float32) - overscan_level(f, first_column)[:, None] for f in frames])
    active = stack[:, :, :first_column]
    differences = active[1:, ::4, ::4] - active[:-1, ::4, ::4]
    sigma = [robust_sigma(d) / np.sqrt(2) for d in differences]
    read_noise = float(np.median(sigma))
    middle = np.median(stack, axis=0)
    # Cosmic rays hit biases too: what lies more than five sigma off the median has no say.
    keep = np.abs(stack - middle) < 5 * read_noise
    count = keep.sum(axis=0)
    level = np.where(count > 0, (stack * keep).sum(axis=0) / np.maximum(count, 1), middle)
    smooth = ndimage.median_filter(level, size=(1, 9))
    bad = (np.abs(level - smooth) > 10 * read_noise) | (count < len(frames) / 2)
    return MasterBias(level=level.astype(np.float32), read_noise_adu=read_noise, bad=bad, n_frames=len(frames))


def robust_sigma(values: NDArray[np.floating]) -> float:
    """Standard deviation of the core of a distribution, outliers beyond four sigma left out.

    Percentiles alone jump by whole steps where the values are whole numbers; the rms of the core does not.
    """
    flat = np.asarray(values, float).ravel()
    low, middle, high = np.percentile(flat, [15.865, 50.0, 84.135])
    reach = 4.0 * max((high - low) / 2, 0.6)
    core = flat[np.abs(flat - middle) < reach]
    return float(core.std())


def debias(
    raw: NDArray[np.integer], master: MasterBias, *, gain: float, first_column: int, saturation_adu: float
) -> Image:
    """Turn a raw frame into electrons with variance and mask.

    Parameters
    ----------
    raw : (n_y, n_x) ADU
    master : bias of the same read-out speed
    gain : electron per ADU
    first_column : first overscan column
    saturation_adu : raw value from which a pixel is marked saturated

    Returns
    -------
    Image; overscan columns are marked NO_DATA

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if raw.shape != master.level.shape:
        raise ValueError(f"frame of shape {raw.shape} and master bias of shape {master.level.shape} do not go together")
    counts = np.asarray(raw, np.float32)
    data = (counts - overscan_level(counts, first_column)[:, None] - master.level) * np.float32(gain)
    read_noise = master.read_noise_adu * gain
    # The master's own noise stays in every frame that it is taken from.
    floor = read_noise**2 * (1 + 1 / master.n_frames)
    mask = np.zeros(raw.shape, np.uint8)
    saturated = ndimage.binary_dilation(raw >= saturation_adu, iterations=1) if (raw >= saturation_adu).any() else None
    if saturated is not None:
        mask[saturated] |= np.uint8(Mask.SATURATED)
    mask[master.bad] |= np.uint8(Mask.BAD_PIXEL)
    mask[:, first_column:] |= np.uint8(Mask.NO_DATA)
    variance = np.maximum(data, 0) + np.float32(floor)
    return Image(data=data, variance=variance, mask=mask, read_noise=float(np.sqrt(floor)))


def combine_exposures(images: Sequence[Image], *, lines: bool) -> tuple[Image, tuple[float, ...], tuple[str, ...]]:
    """Mean of repeated exposures that one cosmic ray or one bad frame does not spoil.

    Parameters
    ----------
    images : n exposures of the same lamp, electron
    lines : whether the lamp has lines (Hg, Cd, Xe) or a continuum (dome, twilight)

    Returns
    -------
    combined : Image of the mean exposure
    scales : n floats, brightness of each exposure in units of the typical one; 0 for an exposure that was left out
    reasons : n str, why an exposure was left out; empty where it was not

    Raises
    ------
    ValueError
        If no exposure shows the lamp; the text is the first one's reason.

    Notes
    -----
    A lamp flickers, so the exposures are brought to a common level first. An exposure without the lamp's light, or with
    less than half or more than twice that of the typical one, is left out. Brightness is that of the spectra above the
    gaps beside them: light that makes no spectra does not count. Pixels far above the others' level are cosmic rays.
    """
    if not images:
        raise ValueError("no exposure to combine")
    lights = [lamp_light(i) for i in images]
    reasons = [lamp_reason(light, lines=lines) for light in lights]
    if all(reasons):
        raise ValueError(f"none of {len(images)} exposures can be used; the first shows {reasons[0]}")
    read_noise = images[0].read_noise
    bright = [light.level for light in lights]
    typical = float(np.median([b for b, reason in zip(bright, reasons, strict=True) if not reason]))
    for i, own in enumerate(bright):
        if not reasons[i] and not 0.5 * typical < own < 2.0 * typical:
            reasons[i] = f"{own / typical:.2f} times as bright as the others, 0.5 to 2 expected"
    used = [i for i, reason in enumerate(reasons) if not reason]
    reference = images[used[int(np.argsort([bright[i] for i in used])[len(used) // 2])]]
    lit = reference.data > 0.3 * typical
    scales = [0.0] * len(images)
    for i in used:
        ratio = images[i].data[lit] / reference.data[lit]
        scales[i] = float(np.median(ratio))
    stack = np.stack([images[i].data / np.float32(scales[i]) for i in used])
    masks = np.stack([images[i].mask for i in used])
    good = (masks & ~np.uint8(0)) == 0
    level = np.median(stack, axis=0) if len(used) > 2 else stack.min(axis=0)
    sigma = np.sqrt(np.maximum(level, 0) + read_noise**2)
    good &= np.abs(stack - level) < 6 * sigma + 0.1 * np.maximum(level, 0)
    count = good.sum(axis=0)
    data = np.where(count > 0, (stack * good).sum(axis=0) / np.maximum(count, 1), level)
    variance = (np.maximum(data, 0) + read_noise**2) / np.maximum(count, 1)
    common = np.bitwise_and.reduce(masks, axis=0)
    mask = np.where(count == 0, common | np.uint8(Mask.OUTLIER), np.uint8(0)).astype(np.uint8)
    combined = Image(
        data=data.astype(np.float32),
        variance=variance.astype(np.float32),
        mask=mask,
        read_noise=float(read_noise / np.sqrt(len(used))),
    )
    return combined, tuple(scales), tuple(reasons)
