"""Light between the spectra, estimated together with their wings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sedmd.reduce.loops.background import spread_blocks, sum_blocks
from sedmd.reduce.traces.extract import model_image
from sedmd.reduce.traces.halo import BLOCK_ERROR, FOOT_ERROR, Halo, fit_halo, unlike_halo
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.samples import Samples

#: Pixels are averaged in blocks of this size before they are smoothed; the sides of a frame are multiples of it.
BLOCK_PX = 8
#: Columns beyond both ends of a spectrum that are no gap either: at its blue end the dome is too faint to be seen where
#: the sky still shines, at its red end the light fades slowly. Of more columns there is little light, and the gaps
#: between spectra that lie end to end, which tell scattered light from the feet of the profile, would be lost.
BEYOND_PX = 16
#: Share of a pixel's trace light that the profile does not know.
PROFILE_ERROR = 0.05
#: Sigma of the Gaussian window over which the light between the traces is smoothed [pixel].
SCALE_PX = 40.0
#: The same for what is unlike the known halo of the traces, first the wide parts; it counts from so many sigma on.
REST_SCALES_PX, SIGNIFICANT = (100.0, SCALE_PX), 2.0


def gap_weight(samples: Samples, profile: Profile, *, share: float = 0.03) -> NDArray[np.float32]:
    """How free of traces each pixel is, by geometry alone: near 1 far from all traces, small on their cores.

    Parameters
    ----------
    samples, profile : all traces, best with `BEYOND_PX` columns beyond their ends
    share : share of a trace's light per pixel at which the weight falls to one half

    Returns
    -------
    (n_x, n_y) float32

    Notes
    -----
    On the core of a trace the flux of the trace would take up any background, so such pixels tell nothing about it.
    """
    light = model_image(samples, profile, np.ones(samples.x.size))
    light /= np.float32(share)
    light *= light
    light *= light
    light += 1.0
    return np.reciprocal(light, out=light)


def profile_variance(model: NDArray[np.floating]) -> NDArray[np.floating]:
    """Variance of a pixel's trace light that the profile does not know: (5 per cent of it)**2, electron**2."""
    return (np.float32(PROFILE_ERROR) * model) ** 2


def smooth_background(
    residual: NDArray[np.floating],
    weight: NDArray[np.floating],
    *,
    columns: NDArray[np.integer] | None = None,
    n_x: int | None = None,
    scale_px: float = SCALE_PX,
) -> NDArray[np.float32]:
    """Smooth what the trace model leaves over the frame, weighted pixel by pixel.

    Parameters
    ----------
    residual : (n_columns, n_y) electron, frame minus trace model, columns first
    weight : (n_columns, n_y) statistical weight; 0 for masked pixels
    columns, n_x : which columns of how many these are; default all of them
    scale_px : sigma of the Gaussian window

    Returns
    -------
    (n_columns, n_y) float32, electron

    Raises
    ------
    ValueError
        If the frame cannot be divided into blocks.
    """
    here = np.arange(len(residual)) if columns is None else np.ascontiguousarray(columns, np.int64)
    value, w = _blocks(residual, weight, here, len(residual) if n_x is None else n_x)
    return _spread_blocks(_smooth_blocks(value, w, scale_px / BLOCK_PX), here, residual.shape)


def light_between(
    residual: NDArray[np.floating], weight: NDArray[np.floating], model: NDArray[np.floating], halo: Halo | None
) -> NDArray[np.float32]:
    """Light between the traces: their halo, what is even or the same along a row, and the smooth rest.

    Parameters
    ----------
    residual : (n_x, n_y) electron, frame minus trace model, columns first
    weight : (n_x, n_y) statistical weight; 0 for masked pixels
    model : (n_x, n_y) electron, light of the traces
    halo : Halo of this instrument; None: all that is smooth is smoothed

    Returns
    -------
    (n_x, n_y) float32, electron

    Raises
    ------
    ValueError
        If the frame cannot be divided into blocks.
    """
    if halo is None:
        smooth = smooth_background(residual, weight)
        return smooth + _single_rows(residual, smooth, weight)
    here = np.arange(len(residual))
    value, w = _blocks(residual, weight, here, len(residual))
    spectra = _block_means(model)
    known = halo.light(spectra, BLOCK_PX)
    even, feet = unlike_halo(spectra, known, value, w)
    # The halo's error; what is even or the same along a row, mostly the bias, is as sure as its noise is small.
    error = BLOCK_ERROR * known, FOOT_ERROR * spectra
    w = np.where(w > 0, 1.0 / (1.0 / np.maximum(w, 1e-12) + error[0] ** 2), 0.0)
    known += even
    for scale in REST_SCALES_PX:
        known += _significant(np.where(w > 0, value - known - feet, 0.0), w, scale / BLOCK_PX, *error)
    rows = _single_rows(residual, _spread_blocks(known + feet, here, residual.shape), weight)
    light = _spread_blocks(known, here, residual.shape)
    light += rows
    return light


def _single_rows(
    residual: NDArray[np.floating], smooth: NDArray[np.floating], weight: NDArray[np.floating]
) -> NDArray[np.float32]:
    """What single rows are off the smooth light by, (n_y,), drawn to zero by how much they differ beyond noise."""
    total = np.maximum(weight.sum(axis=0, dtype=np.float64), 1e-12)
    # Two sums instead of one of the difference, which would need a frame of its own.
    left, known = (np.einsum("xy,xy->y", weight, image, dtype=np.float64) for image in (residual, smooth))
    mean, seen = (left - known) / total, total > 0.1 * np.median(total)
    signal = max(float(np.mean(mean[seen] ** 2 - 1.0 / total[seen])), 0.0)
    return np.where(seen, mean * signal / (signal + 1.0 / total), 0.0).astype(np.float32)


def _significant(
    rest: NDArray[np.floating],
    w: NDArray[np.floating],
    sigma: float,
    halo_error: NDArray[np.floating],
    foot_error: NDArray[np.floating],
) -> NDArray[np.floating]:
    """The smooth of the rest as far as it stands above what noise, halo and feet of the profile would leave.

    Drawn to zero by the positive part of 1 - (2 error / value)**2 (James & Stein 1961): a ghost stays, noise does not.
    """
    smooth = _smooth_blocks(rest, w, sigma)
    noise = 1.0 / np.maximum(4.0 * np.pi * sigma**2 * gaussian_filter(w, sigma, truncate=3.0), 1e-9)
    error = noise + halo_error**2 + gaussian_filter(foot_error, sigma, truncate=3.0) ** 2
    found: NDArray[np.floating] = smooth * np.clip(
        1.0 - SIGNIFICANT**2 * error / np.maximum(smooth**2, 1e-12), 0.0, 1.0
    )
    return found


def measure_halo(
    residual: NDArray[np.floating], weight: NDArray[np.floating], model: NDArray[np.floating]
) -> Halo | None:
    """The halo of the traces as a bright frame shows it: see `fit_halo`, and `light_between` for the frames."""
    value, w = _blocks(residual, weight, np.arange(len(residual)), len(residual))
    return fit_halo(_block_means(model), value, w, BLOCK_PX)


def _blocks(
    residual: NDArray[np.floating], weight: NDArray[np.floating], columns: NDArray[np.int64], n_x: int
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Weighted mean and sum of the weights of each block of pixels."""
    sides = (n_x, residual.shape[1])
    if any(side % BLOCK_PX or side < 2 * BLOCK_PX for side in sides):
        raise ValueError(f"sides of {sides} pixels cannot be divided into blocks of {BLOCK_PX}; multiples are expected")
    w = np.zeros((sides[0] // BLOCK_PX, sides[1] // BLOCK_PX))
    moment = np.zeros(w.shape)
    sum_blocks(_single(residual), _single(weight), columns, BLOCK_PX, w, moment)
    return moment / np.maximum(w, 1e-12), w


def _block_means(image: NDArray[np.floating]) -> NDArray[np.floating]:
    n, m = (side // BLOCK_PX for side in image.shape)
    means: NDArray[np.floating] = image.reshape(n, BLOCK_PX, m, BLOCK_PX).mean(axis=(1, 3), dtype=np.float64)
    return means


def _spread_blocks(
    blocks: NDArray[np.floating], columns: NDArray[np.int64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    smooth = np.empty(shape, np.float32)
    spread_blocks(np.ascontiguousarray(blocks), columns, BLOCK_PX, smooth)
    return smooth


def _single(image: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image, np.float32)


def _smooth_blocks(value: NDArray[np.floating], w: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """The blocks' values smoothed twice: those far off the first smooth have no say in the second."""
    if not (w > 0).any():
        return np.zeros(value.shape)
    first = _planes(value, w, sigma)
    # A cosmic ray or a bright wing must not make a hill: blocks far off the first smooth, by noise and by a quarter of
    # the level, have no say in the final one.
    off = np.abs(value - first)
    pull = off * np.sqrt(w)
    wild = (pull > 6.0 * 1.4826 * np.median(pull[w > 0])) & (off > 0.25 * np.abs(first))
    return _planes(value, np.where(wild, 0.0, w), sigma) if wild.any() else first


def _planes(value: NDArray[np.floating], weight: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Plane through the neighbourhood of each block with Gaussian weights: follows slopes right up to the edges."""
    u, v = ((np.arange(n) - n / 2) / sigma for n in value.shape)
    w = weight / weight.max()
    # The moments of the neighbourhood, axis by axis: the powers of v commute with the mean along u.
    w0, w1, w2, m0, m1 = _mean_along_u(
        np.stack([w, u[:, None] * w, u[:, None] ** 2 * w, value * w, u[:, None] * value * w]), sigma
    )
    moments = np.stack([w0, w1, w2, v * w0, v * w1, v**2 * w0, m0, m1, v * m0])
    n00, nu0, nuu, n0v, nuv, nvv, r0, ru, rv = _mean_along_u(moments.swapaxes(1, 2), sigma).swapaxes(1, 2)
    # Where hardly anything is known the plane turns into a constant.
    n00 = n00 + 1e-9
    nuu = nuu + 1e-9 + 1e-3 * n00
    nvv = nvv + 1e-9 + 1e-3 * n00
    # Elimination of the three unknowns: slope along v, slope along u, level.
    fu, fv = nu0 / n00, n0v / n00
    nuu, nuv, nvv = nuu - fu * nu0, nuv - fu * n0v, nvv - fv * n0v
    ru, rv = ru - fu * r0, rv - fv * r0
    slope_v = (rv - nuv / nuu * ru) / (nvv - nuv / nuu * nuv)
    slope_u = (ru - nuv * slope_v) / nuu
    return np.ascontiguousarray(r0 / n00 + (u[:, None] - fu) * slope_u + (v - fv) * slope_v)


def _mean_along_u(images: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Means with Gaussian weights, cut off at three sigma, along the second axis; nothing outside: (m, n_u, n_v)."""
    n = images.shape[1]
    reach = int(3.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    distance = np.abs(np.arange(n)[:, None] - np.arange(n))
    window = np.where(distance <= reach, np.exp(-0.5 * (distance / sigma) ** 2) / kernel.sum(), 0.0)
    means = np.empty(images.shape)
    # As a product of matrices, of those parts of the window that are not zero.
    for low in range(0, n, 64):
        here, near = slice(low, low + 64), slice(max(low - reach, 0), low + 64 + reach)
        means[:, here] = window[here, near] @ images[:, near]
    return means
