"""Light between the spectra: the recipe of kpy as a reference, and a joint estimate with the spectra's own wings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sedmd.reduce.extract import Stamps, model_image
from sedmd.reduce.samples import Samples


def kpy_background(
    image: NDArray[np.floating],
    samples: Samples,
    *,
    half_height: int = 4,
    box_px: int = 17,
    iterations: int = 5,
    gauss_sigma_px: float = 100.0,
) -> NDArray[np.floating]:
    """Scattered light as kpy estimated it (SubtractBackground.py:estimate_background).

    Parameters
    ----------
    image : (n_y, n_x) electron
    samples : columns and rows of all traces; ``round(y) - half_height .. round(y) + half_height`` is masked
    half_height, box_px, iterations, gauss_sigma_px : the recipe's numbers

    Returns
    -------
    (n_y, n_x) electron

    Notes
    -----
    Masked pixels are filled by repeated box averages of what is not masked (outside the frame counts as zero, as in
    a convolution with zero fill), what is still empty gets the median, and the filled image is smoothed.
    """
    masked = np.zeros(image.shape, bool)
    pixel, inside = samples.pixels(half_height)
    masked.ravel()[pixel[inside]] = True
    filled = np.where(masked, np.nan, np.asarray(image, float))
    for _ in range(iterations):
        valid = np.isfinite(filled)
        total = ndimage.uniform_filter(np.where(valid, filled, 0.0), box_px, mode="constant", cval=0.0)
        weight = ndimage.uniform_filter(valid.astype(float), box_px, mode="constant", cval=1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            smooth = np.where(weight > 0.5 / box_px**2, total / weight, np.nan)
        filled = np.where(masked, smooth, image)
    filled = np.where(np.isfinite(filled), filled, np.median(image[~masked]) if (~masked).any() else 0.0)
    return ndimage.gaussian_filter(filled, gauss_sigma_px)


def gap_weight(samples: Samples, stamps: Stamps, *, share: float = 0.03) -> NDArray[np.floating]:
    """How free of traces each pixel is, by geometry alone: near 1 far from all traces, small on their cores.

    Parameters
    ----------
    samples, stamps : all traces
    share : share of a trace's light per pixel at which the weight falls to one half

    Returns
    -------
    (n_y, n_x) float32

    Notes
    -----
    On the core of a trace the flux of the trace would take up any background, so such pixels tell nothing about it.
    """
    light = model_image(samples, stamps, np.ones(samples.x.size))
    return 1.0 / (1.0 + (light / np.float32(share)) ** 4)


def doubtful_light(model: NDArray[np.floating], share: float = 0.05) -> NDArray[np.floating]:
    """Variance of a pixel's trace light that the profile does not know: (5 per cent of it)**2, electron**2."""
    return (np.float32(share) * model) ** 2


def smooth_background(
    residual: NDArray[np.floating],
    weight: NDArray[np.floating],
    *,
    scale_px: float = 40.0,
    bin_px: int = 8,
) -> NDArray[np.floating]:
    """Smooth what the trace model leaves over the frame, weighted pixel by pixel.

    Parameters
    ----------
    residual : (n_y, n_x) electron, frame minus trace model
    weight : (n_y, n_x) statistical weight; 0 for masked pixels
    scale_px : sigma of the Gaussian window
    bin_px : pixels are averaged in blocks of this size first; the frame's sides must be multiples of it

    Returns
    -------
    (n_y, n_x) float32, electron
    """
    ny, nx = residual.shape
    blocks = (ny // bin_px, bin_px, nx // bin_px, bin_px)
    w = weight.reshape(blocks).sum(axis=(1, 3))
    value = (weight * residual).reshape(blocks).sum(axis=(1, 3)) / np.maximum(w, 1e-12)
    sigma = scale_px / bin_px
    if not (w > 0).any():
        return np.zeros(residual.shape, np.float32)
    first = _smooth(value, w, sigma)
    # A cosmic ray or a bright wing must not make a hill: blocks far off the first smooth, by noise and by a quarter of
    # the level, have no say in the final one.
    off = np.abs(value - first)
    pull = off * np.sqrt(w)
    wild = (pull > 6.0 * 1.4826 * np.median(pull[w > 0])) & (off > 0.25 * np.abs(first))
    smooth = _smooth(value, np.where(wild, 0.0, w), sigma)
    return upsample(smooth, bin_px, residual.shape)


def _smooth(value: NDArray, weight: NDArray, sigma: float) -> NDArray[np.floating]:
    """Plane through the neighbourhood of each block with Gaussian weights: follows slopes right up to the edges."""
    scaled = weight / weight.max()
    y, x = np.meshgrid(
        (np.arange(value.shape[0]) - value.shape[0] / 2) / sigma,
        (np.arange(value.shape[1]) - value.shape[1] / 2) / sigma,
        indexing="ij",
    )
    basis = (np.ones_like(x), x, y)

    def mean(values: NDArray) -> NDArray:
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0))

    normal = np.empty((*value.shape, 3, 3))
    right = np.empty((*value.shape, 3))
    for i in range(3):
        right[..., i] = mean(scaled * value * basis[i])
        for j in range(i, 3):
            normal[..., i, j] = normal[..., j, i] = mean(scaled * basis[i] * basis[j])
    # Where hardly anything is known the plane turns into a constant.
    normal += 1e-9 * np.eye(3)
    normal[..., 1, 1] += 1e-3 * normal[..., 0, 0]
    normal[..., 2, 2] += 1e-3 * normal[..., 0, 0]
    solution = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(sum(solution[..., i] * basis[i] for i in range(3)))


def upsample(blocks: NDArray[np.floating], bin_px: int, shape: tuple[int, int]) -> NDArray[np.floating]:
    """Bilinear interpolation of block centres to pixels: (n_y, n_x) float32."""

    # Two separable interpolations by matrices are much faster than a general map.
    def matrix(n: int, m: int) -> NDArray[np.floating]:
        position = np.clip((np.arange(n) + 0.5) / bin_px - 0.5, 0, m - 1)
        low = np.minimum(position.astype(int), m - 2)
        result = np.zeros((n, m), np.float32)
        result[np.arange(n), low] = 1 - (position - low)
        result[np.arange(n), low + 1] = position - low
        return result

    return matrix(shape[0], blocks.shape[0]) @ blocks.astype(np.float32) @ matrix(shape[1], blocks.shape[1]).T
