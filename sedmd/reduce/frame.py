"""One frame taken apart: scattered light, trace shift and the flux of every sample, each aware of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.background import doubtful_light, gap_weight, smooth_background
from sedmd.reduce.containers import Image, Mask
from sedmd.reduce.extract import Extracted, Stamps, fit_fluxes, gather, model_image
from sedmd.reduce.profile import Profile
from sedmd.reduce.samples import Samples

#: Largest shift of the traces that is looked for [pixel]: neighbouring spectra are eight rows apart.
SHIFT_REACH_PX = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Separated:
    """A frame as sum of traces and background.

    Attributes
    ----------
    samples : Samples, moved by the trace shift
    extracted : Extracted, flux of every sample
    background : (n_y, n_x) electron, light between the traces
    dy_px, dy_error_px : shift of the traces towards higher rows against `samples` as given, and its 1-sigma error
    outliers : (n_y, n_x) bool, pixels that neither traces nor background explain
    chi2 : float, reduced chi-square of the pixels near traces
    n_bright : int, pixels that stand more than six sigma above the background
    unexplained : float, share of these that are outliers; 0 if there are none
    """

    samples: Samples
    extracted: Extracted
    background: NDArray[np.floating]
    dy_px: float
    dy_error_px: float
    outliers: NDArray[np.bool_]
    chi2: float
    n_bright: int
    unexplained: float


def separate(
    image: Image,
    samples: Samples,
    profile: Profile,
    *,
    dy_px: float | None = None,
    rounds: int = 3,
) -> Separated:
    """Fit traces and background of a frame together.

    Parameters
    ----------
    image : Image, electron
    samples : samples of all traces where the calibration put them
    profile : profile across the dispersion
    dy_px : known shift of the traces; None = measure it on this frame
    rounds : rounds of background, fluxes and shift

    Returns
    -------
    Separated

    Notes
    -----
    Weights come from the model, not from the noisy data: weighting by the data's own Poisson noise draws every flux
    down (e.g. Horne 1986, section III).
    """
    good = (image.mask == 0) & np.isfinite(image.data)
    data = np.where(good, image.data, 0.0).astype(np.float32)
    noise = np.float32(image.read_noise**2)
    measure = dy_px is None
    shift = 0.0 if dy_px is None else float(dy_px)
    background = np.zeros(data.shape, np.float32)
    if measure:
        shift = scan_shift(data, good, samples, profile, image.read_noise)
    model_variance = np.full(data.shape, noise, np.float32)
    outliers = np.zeros(data.shape, bool)
    gap = np.ones(data.shape, np.float32)
    error = 0.0
    for round_ in range(rounds):
        moved = samples.moved(shift)
        stamps = gather(moved, profile)
        weight = np.where(good & ~outliers, 1.0 / model_variance, 0.0).astype(np.float32)
        extracted = fit_fluxes(moved, stamps, data - background, weight)
        model = model_image(moved, stamps, extracted.flux)
        residual = data - model
        if round_ == 0:
            gap = gap_weight(moved, stamps)
        background = smooth_background(residual, gap * weight / (1.0 + weight * doubtful_light(model)))
        # Light that is smooth in the model gives the variance; single noisy samples must not weight themselves.
        model_variance = noise + np.maximum(model, 0.0) + np.maximum(background, 0.0)
        residual -= background
        outliers = good & (np.abs(residual) > 6.0 * np.sqrt(model_variance) + 0.35 * np.maximum(model, 0.0))
        if measure:
            step, error = _shift_step(moved, stamps, profile, extracted.flux, residual, weight * ~outliers)
            shift += float(np.clip(step, -0.5, 0.5))
    moved = samples.moved(shift)
    stamps = gather(moved, profile)
    weight = np.where(good & ~outliers, 1.0 / model_variance, 0.0).astype(np.float32)
    extracted = fit_fluxes(moved, stamps, data - background, weight)
    residual = data - background - model_image(moved, stamps, extracted.flux)
    bright = good & (data - background > 6.0 * np.sqrt(noise + np.maximum(background, 0.0)))
    n_bright = int(bright.sum())
    near = weight.copy()
    near[gap > 0.95] = 0.0
    # Each sample takes one degree of freedom from the pixels it covers.
    freedom = max(int((near > 0).sum()) - int(np.isfinite(extracted.flux).sum()), 1)
    return Separated(
        samples=moved,
        extracted=extracted,
        background=background,
        dy_px=shift,
        dy_error_px=error,
        outliers=outliers,
        chi2=float((near * residual**2).sum() / freedom),
        n_bright=n_bright,
        unexplained=float((bright & outliers).sum() / max(n_bright, 1)),
    )


def scan_shift(
    data: NDArray[np.floating],
    good: NDArray[np.bool_],
    samples: Samples,
    profile: Profile,
    read_noise: float,
    *,
    reach_px: float = SHIFT_REACH_PX,
    step_px: float = 0.5,
    every: int = 16,
) -> float:
    """Coarse shift of the traces towards higher rows: the one that explains most of the light.

    Parameters
    ----------
    data, good : (n_y, n_x) electron and usable pixels
    samples, profile : traces where the calibration put them
    read_noise : electron
    reach_px, step_px : range and spacing of the scan
    every : columns between those used

    Returns
    -------
    float, pixel
    """
    few = samples.select(samples.x % every == every // 2)
    weight = np.where(good, 1.0 / read_noise**2, 0.0).astype(np.float32)
    shifts = np.arange(-reach_px, reach_px + step_px / 2, step_px)
    explained = np.empty(shifts.size)
    for i, shift in enumerate(shifts):
        moved = few.moved(float(shift))
        stamps = gather(moved, profile)
        flux = np.nan_to_num(fit_fluxes(moved, stamps, data, weight).flux)
        # The light that the best fit explains: f . A f = f . b, capped so that one cosmic ray does not decide.
        light = (stamps.share * weight.ravel()[stamps.pixel] * data.ravel()[stamps.pixel]).sum(axis=1) * flux
        explained[i] = np.minimum(light, np.percentile(light, 99)).sum()
    best = int(np.clip(np.argmax(explained), 1, shifts.size - 2))
    low, mid, high = explained[best - 1 : best + 2]
    return float(shifts[best] + step_px * 0.5 * (low - high) / (low - 2 * mid + high - 1e-12))


def _shift_step(
    samples: Samples, stamps: Stamps, profile: Profile, flux: NDArray, residual: NDArray, weight: NDArray
) -> tuple[float, float]:
    """Common shift that the residuals ask for, and its error, by the slope of the profile."""
    f = np.nan_to_num(flux)[:, None]
    slope = profile.slope(stamps.dy, samples.sigma[:, None]) * f
    w = weight.ravel()[stamps.pixel]
    # Bright samples carry a profile error besides their photon noise.
    w = w / (1.0 + w * (0.03 * f * stamps.share) ** 2)
    information = float((w * slope**2).sum(dtype=float))
    if information <= 0:
        return 0.0, np.inf
    step = float((w * slope * residual.ravel()[stamps.pixel]).sum(dtype=float)) / information
    return step, information**-0.5


def flagged(image: Image, outliers: NDArray[np.bool_]) -> Image:
    """The image with the outliers marked in its mask."""
    mask = image.mask | np.where(outliers, np.uint8(Mask.OUTLIER), np.uint8(0))
    return Image(data=image.data, variance=image.variance, mask=mask, read_noise=image.read_noise)
