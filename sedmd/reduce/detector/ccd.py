"""From ADU to electrons, and the combination of repeated exposures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from sedmd.core.instrument import Sections
from sedmd.reduce.detector.bias import MasterBias
from sedmd.reduce.detector.checks import lamp_light, lamp_reason
from sedmd.reduce.detector.moved_exposures import SAME_PX, groups_alike, shift_between
from sedmd.reduce.detector.overscan import scan_level
from sedmd.reduce.detector.saturation import saturated_pixels
from sedmd.reduce.detector.stack import mean_of_near
from sedmd.reduce.numeric.containers import Image, Mask

#: Share of the rows that must be lit before scan columns are taken for part of the image, where scattered light, too,
#: may lie under the spectra (on a dome frame of 2013 spectra run off the last column in 76 of some 250 places); and how
#: far the camera's level may drift after its biases, ADU. (It does not drift more because the amplifier is noisier: two
#: read noises of the fast read-out, 20 ADU, would let the scattered light of a dome frame pass for a level.)
IMAGE_FROM, MAX_DRIFT_ADU = 0.05, 3.0
#: Read noises by which the level of one block of scan columns may exceed that of the other, before what the spectra
#: left in it is taken for the cause: charge that is read late adds light, and light only adds.
MAX_TRAIL = 0.5


def debias(
    raw: NDArray[np.integer], master: MasterBias, *, gain: float, sections: Sections, saturation_adu: float
) -> tuple[Image, str]:
    """Turn a raw frame into electrons with variance and mask.

    Parameters
    ----------
    raw : (n_y, n_x) ADU
    master : bias of the same read-out speed
    gain : electron per ADU
    sections : Sections
    saturation_adu : raw value from which a pixel is marked saturated

    Returns
    -------
    image : Image
        Image columns only; scan columns among them are marked NO_DATA.
    origin : str
        Where the level of the rows is from: "over-scan" or "master bias".

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if raw.shape != master.level.shape:
        raise ValueError(f"frame of shape {raw.shape} and master bias of shape {master.level.shape} do not go together")
    above = raw.astype(np.float32)
    above -= master.level
    level, origin = _level_under_light(above, master, sections)
    first, stop = sections.image
    data = above[:, first:stop] - level[:, None]
    data *= np.float32(gain)
    read_noise = master.read_noise_adu * gain
    # The master's own noise stays in every frame that it is taken from.
    floor = read_noise**2 * (1 + 1 / master.n_frames)
    mask = np.where(master.bad[:, first:stop], np.uint8(Mask.BAD_PIXEL), np.uint8(0))
    mask[saturated_pixels(raw[:, first:stop], saturation_adu)] |= np.uint8(Mask.SATURATED)
    for begin, end in sections.no_data():
        mask[:, begin:end] |= np.uint8(Mask.NO_DATA)
    variance = np.maximum(data, 0)
    variance += np.float32(floor)
    return Image(data=data, variance=variance, mask=mask, read_noise=float(np.sqrt(floor))), origin


def _level_under_light(
    above: NDArray[np.floating], master: MasterBias, sections: Sections
) -> tuple[NDArray[np.floating], str]:
    """Level of the rows of an exposed frame, its master bias subtracted, and its origin.

    From scan columns that are dark; where light falls into all of them, the level that the biases had. It may have
    drifted since by some ADU, which go into the background between the traces.

    Returns
    -------
    level : (n_y,) ADU
    origin : str
    """
    noise = max(master.read_noise_adu, 0.3) * float(np.sqrt(1 + 1 / master.n_frames))
    dark, heights = [], []
    for first, stop in sections.scans:
        found = scan_level(above[:, first:stop], noise=noise)
        height = float(np.median(found.level))
        if found.lit > IMAGE_FROM and height > master.pedestal + MAX_DRIFT_ADU:
            continue
        dark.append(above[:, first:stop])
        heights.append(height)
    if not dark:
        return np.full(above.shape[0], master.pedestal, np.float32), "master bias"
    used = [block for block, h in zip(dark, heights, strict=True) if h <= min(heights) + MAX_TRAIL * noise]
    return scan_level(np.concatenate(used, axis=1), noise=noise).level, "over-scan"


def combine_exposures(images: Sequence[Image], *, lines: bool) -> tuple[Image, tuple[float, ...], tuple[str, ...]]:
    """Mean of repeated exposures that one cosmic ray or one bad frame does not spoil.

    Parameters
    ----------
    images : n exposures of the same lamp, electron, in the order in which they were taken; their variance is not read
    lines : whether the lamp has lines (Hg, Cd, Xe) or a continuum (dome, twilight)

    Returns
    -------
    combined : Image of the mean exposure
    scales : n floats, brightness of each exposure in units of the typical one; 0 for a rejected exposure
    reasons : n str, why an exposure was rejected; empty where it was not

    Raises
    ------
    ValueError
        If no exposure shows the lamp; the text is the first one's reason.

    Notes
    -----
    A lamp flickers, so the exposures are brought to a common level first. An exposure without the lamp's light, or with
    less than half or more than twice that of the typical one, is rejected. Brightness is that of the spectra above the
    gaps beside them: light that makes no spectra does not count. Pixels far above the others' level are cosmic rays.
    Exposures whose spectra lie on other pixels were taken before or after the instrument was touched: the newest that
    agree with one another are combined.
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
    _reject_moved(images, reasons, lines=lines)
    used = [i for i, reason in enumerate(reasons) if not reason]
    reference = images[used[int(np.argsort([bright[i] for i in used])[len(used) // 2])]]
    lit = reference.data > 0.3 * typical
    scales = [0.0] * len(images)
    for i in used:
        ratio = images[i].data[lit] / reference.data[lit]
        scales[i] = float(np.median(ratio))
    stack = mean_of_near(
        [images[i].data for i in used],
        divisors=[np.float32(scales[i]) for i in used],
        masks=[images[i].mask for i in used],
        reach=lambda level: 6 * np.sqrt(np.maximum(level, 0) + read_noise**2) + 0.1 * np.maximum(level, 0),
        least=len(used) <= 2,
    )
    variance = (np.maximum(stack.mean, 0) + read_noise**2) / np.maximum(stack.count, 1)
    common = reduce(np.bitwise_and, (images[i].mask for i in used))
    mask = np.where(stack.count == 0, common | np.uint8(Mask.OUTLIER), np.uint8(0)).astype(np.uint8)
    combined = Image(
        data=stack.mean.astype(np.float32),
        variance=variance.astype(np.float32),
        mask=mask,
        read_noise=float(read_noise / np.sqrt(len(used))),
    )
    return combined, tuple(scales), tuple(reasons)


def _reject_moved(images: Sequence[Image], reasons: list[str], *, lines: bool) -> None:
    """Give a reason to each exposure that is not of the newest geometry that two exposures agree on."""
    used = [i for i, reason in enumerate(reasons) if not reason]
    groups = [[used[n] for n in group] for group in groups_alike([images[i] for i in used], lines=lines)]
    serves = next((group for group in groups if len(group) > 1), groups[0])
    for i in (i for group in groups if group is not serves for i in group):
        off = shift_between(images[serves[0]], images[i], lines=lines)
        reasons[i] = (
            f"its spectra lie {off:.1f} px off those of the other exposures, at most {SAME_PX:g} px expected; the "
            "instrument was touched in between"
        )
