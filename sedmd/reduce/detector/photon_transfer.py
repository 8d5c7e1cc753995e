"""Gain and read noise from repeated exposures of a lamp: how the variance between them grows with the light."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from sedmd.reduce.numeric.containers import Image

#: Groups of pixels of like light, and the fewest pixels that make one.
GROUPS, MIN_PIXELS = 24, 1000
#: Side of a block in which a change between exposures is one, and the pixels that are needed about it [pixel].
BLOCK, MARGIN = 64, 3
#: Standard deviations from which a difference between exposures is a cosmic ray. A Gaussian loses 2e-5 of its variance
#: there, and a cosmic ray that is missed adds at most that much of it.
REACH, FIRST_REACH = 5.0, 7.0
#: Share of the light of a pixel that a change between the exposures may make.
MAX_CHANGE = 0.1
#: Share of the noise of a pixel that the fit of such a change may take with it and that is put back.
MOST_TAKEN = 0.9
#: From here on a measured gain contradicts the one that was assumed: standard errors, and share of it. What the
#: measurement neglects (cosmic rays under the reach, lamps that flicker over the field) stays below a twentieth.
MAX_SIGMA, MAX_SHARE = 5.0, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotonTransfer:
    """What repeated exposures tell of the camera, in units of the gain that made electrons of them.

    Attributes
    ----------
    ratio, ratio_error : gain over the assumed one, and its standard error
    read_noise : rms of one pixel of one exposure without light, electron as assumed
    n : pixels used, times independent differences
    """

    ratio: float
    ratio_error: float
    read_noise: float
    n: int

    @property
    def contradicts(self) -> bool:
        """Whether the gain is another than the assumed one."""
        off = abs(self.ratio - 1.0)
        return off > MAX_SIGMA * self.ratio_error and off > MAX_SHARE


def photon_transfer(images: Sequence[Image], scales: Sequence[float], *, every: int = 4) -> PhotonTransfer | None:
    """Gain and read noise from exposures of one lamp.

    Parameters
    ----------
    images : n exposures, electron by the assumed gain; their variance is not read
    scales : brightness of each in units of a common one; 0: omitted (`sedmd.reduce.detector.ccd`)
    every : of so many strips of rows one is used

    Returns
    -------
    PhotonTransfer
        None with fewer than two exposures, or too little light to tell a slope.

    Notes
    -----
    Exposures ``x_i``, divided by their scales ``s_i``, make n - 1 independent contrasts ``sum_i c_i x_i`` with ``sum_i
    c_i = 0`` (Helmert): the light drops out. If the gain is ``ratio`` times the assumed one, their variance is

        V = m / ratio * sum_i c_i**2 / s_i  +  R**2 * sum_i (c_i / s_i)**2  +  d * m**2

    with the light m, the read noise R, and d for what changed between the exposures in proportion to the light.
    Janesick (2001, chapter 5) plots V against m. Spectra that move by 0.01 px between two exposures of 5000 electron
    add a sixth to V, so what a shift, a change of focus or an uneven lamp makes of the mean frame is fitted to each
    contrast, block by block, and taken out (`_moved`); d is for what is left of it. The slope of the light is that of
    the six pixels about each: that of the two beside it alone is too gentle where a spectrum is a pixel wide, and what
    it leaves of a shift of 0.07 px makes the gain seem 9 % lower. Pixels are put into groups by
    their neighbours' light, which knows nothing of their own noise, and the means over a group of V and m go into a
    linear fit: had they been sorted by their own light, the noise of it would flatten the slope. A group of N pixels
    knows V to ``V sqrt(2 / N)``, from which the errors follow.
    """
    used = [i for i, scale in enumerate(scales) if scale > 0]
    if len(used) < 2 or min(images[0].data.shape) < BLOCK + 2 * MARGIN:
        return None
    levels = np.array([scales[i] for i in used])
    contrasts = list(_contrasts(len(used)))
    strips = [
        _strip([images[i] for i in used], levels, contrasts, top)
        for top in range(0, images[0].data.shape[0] - BLOCK - 2 * MARGIN + 1, BLOCK * every)
    ]
    light, beside, good = (np.concatenate([strip[k] for strip in strips]) for k in range(3))
    group, n_group = _groups(beside, good)
    if n_group < 4:
        return None
    inside = group >= 0
    rows: list[tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]] = []
    for k, contrast in enumerate(contrasts):
        value = np.concatenate([strip[3][k] for strip in strips])[inside]
        size, height, variance = _of_groups(value, light[inside], group[inside], n_group)
        ones = np.ones(n_group)
        photons, read = np.sum(contrast**2 / levels), np.sum((contrast / levels) ** 2)
        rows.append((np.column_stack([photons * height, read * ones, height**2]), variance, size))
    design, variance, size = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    return _fit(design, variance, size)


_Strip = tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.bool_], list[NDArray[np.floating]]]


def _strip(
    images: Sequence[Image],
    levels: NDArray[np.floating],
    contrasts: Sequence[NDArray[np.floating]],
    top: int,
) -> _Strip:
    """Mean light, light beside, usable pixels and contrasts in some rows; each as one row of pixels.

    The strip's blocks begin `MARGIN` rows below `top`, and as many columns from the left edge.
    """
    n_block = (images[0].data.shape[1] - 2 * MARGIN) // BLOCK
    rows, columns = slice(top, top + BLOCK + 2 * MARGIN), slice(0, n_block * BLOCK + 2 * MARGIN)
    frames: list[NDArray[np.float32]] = [
        image.data[rows, columns] / np.float32(scale) for image, scale in zip(images, levels, strict=True)
    ]
    good = np.logical_and.reduce([(image.mask[rows, columns] == 0) for image in images])
    stack = np.stack(frames)
    middle = np.maximum(np.median(stack, axis=0) if len(stack) > 2 else stack.min(axis=0), 0)
    level = levels[:, None, None].astype(np.float32)
    expected = middle / level + (np.float32(images[0].read_noise) / level) ** 2
    # Weighted by its variance, the mean shares no noise with the contrasts: what shapes had in common with it, the fit
    # of a change would take out of the noise.
    weight = 1.0 / expected
    mean: NDArray[np.floating] = (weight * stack).sum(axis=0) / weight.sum(axis=0)
    good &= ~_hit(stack - middle, FIRST_REACH * np.sqrt(expected) + MAX_CHANGE * middle)
    here = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    line = mean[MARGIN:-MARGIN]
    beside = np.mean([_shifted(line, by, 1) for by in (-2, -1, 1, 2)], axis=0)
    known = np.logical_and.reduce([_shifted(good[MARGIN:-MARGIN], by, 1) for by in (-2, -1, 0, 1, 2)])
    noise = np.maximum(mean[here], 0) + np.float32(images[0].read_noise ** 2)
    shapes = np.stack([mean[here], *_changes(mean[:, MARGIN:-MARGIN], 0), *_changes(line, 1)])
    left = []
    for contrast in contrasts:
        value = np.tensordot(contrast.astype(np.float32), np.stack([frame[here] for frame in frames]), axes=1)
        left.append(_moved(value, shapes, noise, good[here]))
    return mean[here].ravel().astype(float), beside.ravel(), known.ravel(), [value.ravel() for value in left]


def _hit(off: NDArray[np.floating], reach: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Pixels that a cosmic ray hit in one of the exposures, and those to whose slopes it belongs."""
    return np.asarray(binary_dilation((off > reach).any(axis=0), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), bool)))


def _changes(light: NDArray[np.floating], axis: int) -> list[NDArray[np.floating]]:
    """What a shift and a change of width along an axis make of light, without `MARGIN` pixels at both of its ends."""
    steps = [_shifted(light, by, axis) - _shifted(light, -by, axis) for by in range(1, MARGIN + 1)]
    return [*steps, _shifted(light, 1, axis) + _shifted(light, -1, axis)]


def _shifted(values: NDArray[Any], by: int, axis: int) -> NDArray[Any]:
    """Those values that lie so many pixels further along an axis, without `MARGIN` pixels at both of its ends."""
    whole = np.moveaxis(values, axis, 0)
    return np.moveaxis(whole[MARGIN + by : len(whole) - MARGIN + by], 0, axis)


def _moved(
    value: NDArray[np.floating], shapes: NDArray[np.floating], noise: NDArray[np.floating], good: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """A contrast without what a change of the light's place, width and brightness explains, in each block of its own.

    Parameters
    ----------
    value : (BLOCK, n) electron
    shapes : (k, BLOCK, n) what a change looks like, electron
    noise : (BLOCK, n) its variance as expected
    good : (BLOCK, n) bool
    """
    n_block = value.shape[1] // BLOCK

    def blocks(values: NDArray[Any]) -> NDArray[Any]:
        apart = np.moveaxis(values.reshape(*values.shape[:-1], n_block, BLOCK), -2, 0)
        return np.asarray(apart.reshape(*apart.shape[:-2], BLOCK * BLOCK))

    y, x, v, usable = blocks(value), blocks(shapes), blocks(noise), blocks(good)
    change = np.zeros_like(y)
    for share in (MAX_CHANGE, 0.02):  # of the light, that a change may make; what is further off is a cosmic ray
        near = usable & ((y - change) ** 2 < FIRST_REACH**2 * (v + (share * x[:, 0]) ** 2))
        weighted = x * (near / v)[:, None]
        normal = weighted @ np.swapaxes(x, 1, 2)
        right = (weighted @ y[..., None])[..., 0]
        size = np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-12
        normal = normal + 1e-7 * size * np.eye(len(shapes))
        answer = np.linalg.solve(normal, right[..., None])[..., 0]
        change = np.einsum("bk,bkp->bp", answer, x)
    # The fit takes its share of the noise with it, most where few pixels have most of the light: a block of a lamp
    # with few lines would lose a thirtieth of the noise of these.
    taken = np.einsum("bkp,bkp->bp", weighted, np.linalg.solve(normal, x))
    left = (y - change) / np.sqrt(1.0 - np.clip(taken, 0.0, MOST_TAKEN))
    found: NDArray[np.floating] = np.moveaxis(left.reshape(n_block, BLOCK, BLOCK), 0, 1).reshape(value.shape)
    return found


def _groups(beside: NDArray[np.floating], good: NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
    """Number of the group of each pixel by the light beside it, -1 for none; and how many groups there are."""
    group = np.full(beside.shape, -1, np.intp)
    if good.sum() < 4 * MIN_PIXELS:
        return group, 0
    low, high = np.percentile(beside[good], [1.0, 99.9])
    # Even steps of the square root: steps of the noise of light.
    steps = np.linspace(0.0, np.sqrt(max(high - low, 0.0)), GROUPS + 1) ** 2 + low
    number = np.digitize(beside[good], steps) - 1
    number[(number < 0) | (number >= GROUPS)] = -1
    count = np.bincount(number[number >= 0], minlength=GROUPS)
    name = np.full(GROUPS + 1, -1, np.intp)  # the last one is that of no group
    name[:-1][count >= MIN_PIXELS] = np.arange(int((count >= MIN_PIXELS).sum()))
    group[good] = name[number]
    return group, int(name.max()) + 1


def _contrasts(n: int) -> Iterator[NDArray[np.floating]]:
    """The n - 1 contrasts of n values that are independent of each other and of their mean: (n,), of unit length."""
    for k in range(1, n):
        contrast = np.zeros(n)
        contrast[:k], contrast[k] = 1.0, -float(k)
        yield contrast / np.sqrt(k * (k + 1.0))


def _of_groups(
    value: NDArray[np.floating], light: NDArray[np.floating], group: NDArray[np.intp], n_group: int
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Pixels, mean light and variance of a contrast in each group, without what is too far off to be noise."""
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(n_group + 1))
    size, height, variance = np.empty(n_group), np.empty(n_group), np.empty(n_group)
    for k in range(n_group):
        own = order[ends[k] : ends[k + 1]]
        x, m = value[own].astype(float), light[own]
        spread, reach = 1.4826 * float(np.median(np.abs(x - np.median(x)))), FIRST_REACH
        keep = np.ones(x.size, bool)
        for _ in range(3):
            keep = np.abs(x - x[keep].mean()) <= reach * spread
            spread, reach = float(x[keep].std()), REACH
        size[k], height[k], variance[k] = keep.sum(), m[keep].mean(), x[keep].var(ddof=1)
    return size, height, variance


def _fit(
    design: NDArray[np.floating], variance: NDArray[np.floating], size: NDArray[np.floating]
) -> PhotonTransfer | None:
    """The three terms of the variance, each group weighted by what it knows of it."""
    model, solution, covariance = variance, np.zeros(3), np.zeros((3, 3))
    for _ in range(3):  # the error is that of the expected variance, not of the one that came out high or low
        weight = size / (2.0 * np.maximum(model, 1e-6) ** 2)
        norm = np.sqrt((weight[:, None] * design**2).sum(axis=0))
        if not np.all(norm > 0):
            return None
        scaled = design / norm
        covariance = np.linalg.pinv(scaled.T @ (weight[:, None] * scaled)) / np.outer(norm, norm)
        solution = covariance @ (design.T @ (weight * variance))
        model = np.maximum(design @ solution, 0.1 * variance)
    slope, error = float(solution[0]), float(np.sqrt(covariance[0, 0]))
    if not slope > 3.0 * error:
        return None
    return PhotonTransfer(
        ratio=1.0 / slope,
        ratio_error=error / slope**2,
        read_noise=float(np.sqrt(max(solution[1], 0.0))),
        n=int(size.sum()),
    )
