"""One frame taken apart: scattered light, trace shift and the flux of every sample, each aware of the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.background import free_weight
from sedmd.reduce.loops.judge import judge, tally
from sedmd.reduce.loops.light import shift_columns
from sedmd.reduce.numeric.containers import Image, Mask
from sedmd.reduce.traces.background import (
    BEYOND_PX,
    PROFILE_ERROR,
    gap_weight,
    light_between,
    measure_halo,
)
from sedmd.reduce.traces.extract import HALF_HEIGHT, Extracted, columns_first, fit_fluxes, model_image
from sedmd.reduce.traces.halo import Halo
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.samples import Samples
from sedmd.reduce.traces.traces import Traces

#: Largest shift of the traces that is looked for [pixel]: neighbouring spectra are eight rows apart.
SHIFT_REACH_PX = 4.0
#: Error of the profile beside the photon noise, as a share of the light, when a shift is measured on bright samples.
PROFILE_DOUBT = 0.03
#: How far the width of the traces may differ from the calibrations', relative, one standard error: the camera's focus
#: follows the temperature. And the signal to noise from which a sample tells it.
WIDTH_CHANGE, WIDTH_S_TO_N = 0.05, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Separated:
    """A frame as sum of traces and background.

    Attributes
    ----------
    samples : Samples, moved by the trace shift; only those of numbered traces with their centre on the chip
    extracted : Extracted, flux of every sample
    background : (n_y, n_x) electron, light between the traces
    dy_px, dy_error_px : shift of the traces towards higher rows against `samples` as given, and its 1-sigma error
    width, width_error : width of the traces relative to `samples` as given, and its 1-sigma error
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
    width: float
    width_error: float
    outliers: NDArray[np.bool_]
    chi2: float
    n_bright: int
    unexplained: float


def separate_traces(image: Image, traces: Traces, *, dy_px: float | None = None, rounds: int = 3) -> Separated:
    """Fit all that is known of the traces and the background of a frame together, see `separate`."""
    samples, lit = traces.samples(image.data.shape), traces.samples(image.data.shape, beyond=BEYOND_PX)
    return separate(image, samples, traces.profile, halo=traces.halo, lit=lit, dy_px=dy_px, rounds=rounds)


def separate(
    image: Image,
    samples: Samples,
    profile: Profile,
    *,
    halo: Halo | None = None,
    lit: Samples | None = None,
    dy_px: float | None = None,
    rounds: int = 3,
) -> Separated:
    """Fit traces and background of a frame together.

    Parameters
    ----------
    image : Image, electron
    samples : samples of all traces where the calibration put them
    profile : profile across the dispersion
    halo : how the instrument scatters the light of the traces; None: what lies between them tells it alone
    lit : samples of all places that light of the traces may fall on, those beyond their ends too; None: `samples`
    dy_px : known shift of the traces, whose width is then known too; None = measure both on this frame
    rounds : rounds of background, fluxes, shift and width

    Returns
    -------
    Separated

    Notes
    -----
    Weights come from the model, not from the noisy data: weighting by the data's own Poisson noise draws every flux
    down (e.g. Horne 1986, section III).
    """
    frame = _Frame.of(image)
    between = partial(light_between, halo=halo)
    found = _take_apart(frame, samples, profile, between, lit=lit, dy_px=dy_px, rounds=rounds)
    data, good, noise = frame.data, frame.good, frame.noise
    background, weight, outliers = found.background, found.weight, found.outliers
    moved = samples.moved(found.shift, found.width)
    extracted = fit_fluxes(moved, profile, data - background, weight)
    model = model_image(moved, profile, extracted.flux)
    sums = np.empty((len(data), 4))
    tally(data, good, model, background, noise, weight, found.gap, outliers, sums)
    chi2, n_near, n_bright, n_unexplained = sums.sum(axis=0)
    # Each sample takes one degree of freedom from the pixels it covers.
    freedom = max(n_near - np.isfinite(extracted.flux).sum(), 1)
    own = (moved.trace >= 0) & moved.on_chip
    return Separated(
        samples=moved if own.all() else moved.select(own),
        extracted=extracted if own.all() else extracted.select(own),
        background=columns_first(background),
        dy_px=found.shift,
        dy_error_px=found.shift_error,
        width=found.width,
        width_error=found.width_error,
        outliers=columns_first(outliers),
        chi2=float(chi2 / freedom),
        n_bright=int(n_bright),
        unexplained=float(n_unexplained / max(n_bright, 1)),
    )


def find_halo(
    dome: Image, samples: Samples, profile: Profile, *, lit: Samples | None = None, rounds: int = 2
) -> Halo | None:
    """Measure how the instrument scatters the light of the traces, on a frame where all of them shine.

    Parameters
    ----------
    dome : Image, electron
    samples, profile : of all traces, those beside the field too
    lit : as for `separate`
    rounds : rounds of fluxes and halo, each with the light between the traces of the one before

    Returns
    -------
    Halo, or None where the frame shows none
    """
    halo: Halo | None = None

    def between(left: NDArray[Any], weight: NDArray[Any], model: NDArray[Any]) -> NDArray[np.float32]:
        nonlocal halo
        halo = measure_halo(left, weight, model)
        return light_between(left, weight, model, halo)

    _take_apart(_Frame.of(dome), samples, profile, between, lit=lit, dy_px=0.0, rounds=rounds)
    return halo


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """A frame, columns first: electron (0 where not usable), usable pixels, and the square of the read noise."""

    data: NDArray[np.float32]
    good: NDArray[np.bool_]
    noise: np.float32

    @classmethod
    def of(cls, image: Image) -> _Frame:
        good = columns_first((image.mask == 0) & np.isfinite(image.data))
        data = columns_first(image.data)
        data[~good] = 0.0
        return cls(data=data, good=good, noise=np.float32(image.read_noise**2))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Apart:
    """What the rounds of `_take_apart` found, all frames columns first."""

    shift: float
    shift_error: float
    width: float
    width_error: float
    background: NDArray[np.float32]
    weight: NDArray[np.float32]
    outliers: NDArray[np.bool_]
    gap: NDArray[np.float32]


def _take_apart(
    frame: _Frame,
    samples: Samples,
    profile: Profile,
    between: Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[np.float32]],
    *,
    lit: Samples | None,
    dy_px: float | None,
    rounds: int,
) -> _Apart:
    """Fluxes of the traces, light `between` them, weights, shift and width, each in turn from what the others leave.

    `between` gets what the traces leave of the frame, its weight, and the light of the traces.
    """
    data, good, noise = frame.data, frame.good, frame.noise
    shift = scan_shift(data, good, samples, profile, float(np.sqrt(noise))) if dy_px is None else float(dy_px)
    error, width, width_error = 0.0, 1.0, 0.0
    background = np.zeros(data.shape, np.float32)
    weight = np.where(good, 1.0 / noise, np.float32(0.0))
    residual, next_weight, outliers = np.empty_like(data), np.empty_like(data), np.empty_like(good)
    gap = gap_weight((samples if lit is None else lit).moved(shift), profile)
    for _ in range(rounds):
        moved = samples.moved(shift, width)
        # The flux alone: as a view it would keep all that was fitted.
        flux = fit_fluxes(moved, profile, np.subtract(data, background, out=residual), weight).flux.copy()
        del background
        model = model_image(moved, profile, flux)
        # Both frames are filled again by `judge`: until then they hold what is smoothed, so that none is made for it.
        free_weight(gap, weight, model, np.float32(PROFILE_ERROR), next_weight)
        background = between(np.subtract(data, model, out=residual), next_weight, model)
        # Light that is smooth in the model gives the variance; single noisy samples must not weight themselves.
        judge(data, good, model, background, noise, residual, next_weight, outliers)
        if dy_px is None:
            row2, row1, width2, width1 = _asked(moved, profile, flux, residual, weight, outliers)
            step, error = (row1 / row2, row2**-0.5) if row2 > 0 else (0.0, np.inf)
            shift += float(np.clip(step, -0.5, 0.5))
            # Drawn to the calibrations' width where the frame hardly tells it.
            width2 += WIDTH_CHANGE**-2
            width += float(np.clip((width1 - (width - 1.0) / WIDTH_CHANGE**2) / width2, -0.1, 0.1))
            width_error = float(width2**-0.5)
        weight, next_weight = next_weight, weight
        del model  # the next one is drawn on a frame of its own
    return _Apart(
        shift=shift,
        shift_error=error,
        width=width,
        width_error=width_error,
        background=background,
        weight=weight,
        outliers=outliers,
        gap=gap,
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
    data, good : (n_x, n_y) electron and usable pixels, columns first
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
        # The light that the best fit explains: f . A f = f . b, capped so that one cosmic ray does not decide.
        light = fit_fluxes(few.moved(float(shift)), profile, data, weight).explained
        explained[i] = np.minimum(light, np.percentile(light, 99)).sum()
    best = int(np.clip(np.argmax(explained), 1, shifts.size - 2))
    low, mid, high = explained[best - 1 : best + 2]
    return float(shifts[best] + step_px * 0.5 * (low - high) / (low - 2 * mid + high - 1e-12))


def _asked(
    samples: Samples,
    profile: Profile,
    flux: NDArray[Any],
    residual: NDArray[Any],
    weight: NDArray[Any],
    outliers: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Information and answer of the residuals: of a common shift [pixel], and of a relative change of width."""
    column, start = samples.columns()
    sums = np.empty((column.size, 4))
    seen = samples.y, samples.sigma, flux, residual, weight, outliers
    tables = profile.table, profile.slope_table, profile.stretch_table, profile.step, HALF_HEIGHT
    shift_columns(column, start, *seen, *tables, PROFILE_DOUBT, WIDTH_S_TO_N, sums)
    return np.asarray(sums.sum(axis=0))


def flagged(image: Image, outliers: NDArray[np.bool_]) -> Image:
    """The image with the outliers marked in its mask."""
    mask = image.mask | np.where(outliers, np.uint8(Mask.OUTLIER), np.uint8(0))
    return Image(data=image.data, variance=image.variance, mask=mask, read_noise=image.read_noise)
