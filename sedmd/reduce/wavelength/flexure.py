"""Flexure along the dispersion: where the night-sky lines fall against where the lamps say they should."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.traces.samples import Samples
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.wavelength import WavelengthSolution, line_width

#: Samples further off the mean spectrum than so many times their scatter are no sky.
CLIP_SIGMA = 4.0
#: Largest ratio of a spaxel's throughput to the median that is believed, either way: a fainter one holds noise.
MOST_UNEVEN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyFeature:
    """A stretch of the night-sky spectrum with emission of known shape.

    Attributes
    ----------
    name : str
    wavelength : (m,) Angstrom in air, increasing: fine grid or single lines
    intensity : (m,) relative photon rate at those wavelengths
    low, high : Angstrom, window of the fit (continuum included)
    uncertainty_px : how far the centroid of the shape may be off, in columns
    """

    name: str
    wavelength: NDArray[np.floating]
    intensity: NDArray[np.floating]
    low: float
    high: float
    uncertainty_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureShift:
    """Shift of one feature: columns towards higher numbers, its error, significance and fitted width (relative)."""

    name: str
    shift_px: float
    error_px: float
    significance: float
    stretch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Flexure:
    """Common shift along the dispersion.

    Attributes
    ----------
    dx_px : float, towards higher columns; 0 if nothing could be measured
    error_px : float, 1 sigma; infinite if nothing could be measured
    features : the single measurements
    """

    dx_px: float
    error_px: float
    features: tuple[FeatureShift, ...]

    @property
    def agreeing(self) -> int:
        """Number of features within three of their errors of the common shift."""
        return sum(abs(f.shift_px - self.dx_px) < 3.0 * f.error_px for f in self.features)

    @property
    def consistent(self) -> bool:
        """Three features or more agree, and they are most of those measured: one spectrum, seen as a whole.

        On a wrong wavelength scale single lines fall on other lines, each with a shift of its own.
        """
        return self.agreeing >= 3 and 2 * self.agreeing > len(self.features)


def image_shift(rows_px: float, dx_px: float, traces: Traces) -> float:
    """How far the image moved towards higher rows [pixel].

    Parameters
    ----------
    rows_px : by how many rows the traces lie higher at one and the same column [pixel]
    dx_px : how far the image moved towards higher columns [pixel]
    traces : where the calibration put them

    Notes
    -----
    Traces are tilted by a degree: an image that moves along them by 1.5 columns alone lies 0.03 rows lower at every
    column where they rise.
    """
    slope = traces.y_coeff[:, 1] / 100.0
    return float(rows_px + dx_px * (np.median(slope) if slope.size else 0.0))


def measure_flexure(
    samples: Samples,
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    solution: WavelengthSolution,
    centre: NDArray[np.floating],
    row: NDArray[np.floating],
    sky: NDArray[np.bool_],
    features: tuple[SkyFeature, ...],
    *,
    reach_px: float = 4.0,
) -> Flexure:
    """Measure the shift of the spectra along the dispersion from several sky lines.

    Parameters
    ----------
    samples, flux, variance : extracted samples, electron and electron**2
    solution : wavelength solution of the lamps
    centre, row : (n_trace,) reference position of the traces, for the line width
    sky : (n_trace,) traces that hold sky only
    features : what to look for
    reach_px : largest shift looked for

    Returns
    -------
    Flexure; positive means that the lines lie at higher columns than the lamps predict
    """
    fits = []
    usable = sky[samples.trace] & np.isfinite(flux) & (variance > 0)
    trace, x, flux = samples.trace[usable], samples.x[usable], flux[usable]
    for feature in features:
        mid = 0.5 * (feature.low + feature.high)
        ends = np.sort(solution.column(np.array([feature.low, feature.high])), axis=1)
        inside = np.flatnonzero((x > ends[trace, 0]) & (x < ends[trace, 1]))
        if inside.size < 200:
            continue
        wavelength = solution.wavelength(trace[inside], x[inside])
        # In columns of the mean spaxel, to which the shifts and the widths of the others average. Distances go by the
        # prism coordinate: in wavelengths a line is lopsided, as the dispersion changes from one of its sides to the
        # other, and the symmetric shape that is fitted would be drawn to the longer side.
        xi = solution.scale.to_xi(np.array([mid]))
        to_column = _columns_per_xi(solution, trace[inside], float(xi[0]))
        u = (solution.scale.to_xi(wavelength) - xi) * to_column
        width = float(np.median(line_width(solution.line_sigma, solution.line_sigma_slope, centre, row, xi)))
        profile = _binned(u, flux[inside], trace[inside], step=0.25)
        lines_u = (solution.scale.to_xi(feature.wavelength) - xi) * to_column
        fit = _fit_feature(feature, profile, lines_u, width, reach_px)
        if fit is not None:
            fits.append(fit)
    return _combine(tuple(fits))


def _columns_per_xi(solution: WavelengthSolution, trace: NDArray[Any], xi: float) -> float:
    """Columns of a unit of the prism coordinate at `xi`, with their sign: median of the traces of some samples."""
    powers = np.arange(1, solution.coeff.shape[1])
    slope = (solution.coeff[:, 1:] * powers * xi ** (powers - 1)).sum(axis=1)
    return float(np.median(slope[trace]))


def find_far_shift(
    samples: Samples,
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    solution: WavelengthSolution,
    centre: NDArray[np.floating],
    row: NDArray[np.floating],
    sky: NDArray[np.bool_],
    features: tuple[SkyFeature, ...],
    *,
    step_px: float = 6.0,
    steps: int = 3,
) -> float | None:
    """Look for the sky lines beyond the reach of `measure_flexure`: where they all are, some columns off.

    Parameters
    ----------
    samples, flux, variance, solution, centre, row, sky, features : as in `measure_flexure`
    step_px, steps : the solution is tried at this many multiples of the step on each side

    Returns
    -------
    float or None
        Shift towards higher columns at which the lines agree with each other, pixel; None if there is none.
    """
    best, found = 2, None
    for k in range(-steps, steps + 1):
        if k == 0:
            continue
        moved = replace(solution, coeff=solution.coeff + np.eye(1, solution.coeff.shape[1])[0] * (k * step_px))
        flexure = measure_flexure(samples, flux, variance, moved, centre, row, sky, features)
        if flexure.consistent and flexure.agreeing > best:
            best, found = flexure.agreeing, k * step_px + flexure.dx_px
    return found


def _binned(
    u: NDArray[Any], flux: NDArray[Any], trace: NDArray[Any], step: float
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Clipped mean of all spaxels' samples in fine bins of the distance from the feature: place, mean, error.

    Neighbouring bins hold the samples of other spaxels, which differ in throughput by much more than the mean's noise.
    So a sample is taken as the product of its spaxel's throughput and of the mean spectrum; of counts, both are most
    likely where each is the sum of its samples over the sum of the other.
    """
    low = np.floor(u.min() / step)
    index = (np.floor(u / step) - low).astype(int)
    n = index.max() + 1
    keep = np.ones(u.size, bool)
    mean = np.ones(n)
    for _ in range(4):
        # Throughput by the mean so far, then the mean by it; the first is that of an even spectrum.
        light = np.bincount(trace[keep], mean[index[keep]], trace.max() + 1)
        throughput = (np.bincount(trace[keep], flux[keep], light.size) / np.maximum(light, 1e-9))[trace]
        throughput = np.clip(throughput / np.median(throughput), 1.0 / MOST_UNEVEN, MOST_UNEVEN)
        share = np.maximum(np.bincount(index[keep], throughput[keep], n), 1e-9)
        mean = np.bincount(index[keep], flux[keep], n) / share
        off = flux - throughput * mean[index]
        squares = np.bincount(index[keep], off[keep] ** 2, n)
        error = np.sqrt(squares) / share
        spread = np.sqrt(squares / np.maximum(np.bincount(index[keep], minlength=n), 1))
        keep = np.abs(off) < CLIP_SIGMA * spread[index] + 1e-9
    count = np.bincount(index[keep], minlength=n)
    place = np.bincount(index[keep], u[keep], n) / np.maximum(count, 1)
    ok = count > 10
    return place[ok], mean[ok], np.maximum(error, 1e-6)[ok]


def _fit_feature(
    feature: SkyFeature,
    profile: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    lines_u: NDArray[Any],
    width: float,
    reach_px: float,
) -> FeatureShift | None:
    """Scan the shift of the feature's shape over the binned spectrum, amplitude and a sloping continuum free."""
    u, mean, error = profile
    if u.size < 20:
        return None
    error = np.hypot(error, 0.002 * np.abs(mean))
    intensity = feature.intensity / feature.intensity.sum()
    grid = np.arange(u.min() - reach_px - 8, u.max() + reach_px + 8, 0.1)
    centred = (u - u.mean()) / (np.ptp(u) / 2)

    def shape_of(stretch: float) -> NDArray[np.floating]:
        """The feature as it would be seen, on the grid."""
        distance = (grid[:, None] - lines_u[None, :]) / (width * stretch)
        return np.asarray((intensity[None, :] * np.exp(-0.5 * distance**2) / (width * stretch)).sum(axis=1))

    def solve(shift: float, seen: NDArray[np.floating]) -> tuple[float, float, NDArray[np.floating]]:
        """Chi-square and amplitude of the feature at a shift, and the normal matrix."""
        shape = np.interp(u - shift, grid, seen)
        design = np.column_stack([shape, np.ones_like(u), centred]) / error[:, None]
        normal = design.T @ design
        solution = np.linalg.solve(normal + 1e-12 * np.eye(3) * np.trace(normal), design.T @ (mean / error))
        return float((((mean / error) - design @ solution) ** 2).sum()), float(solution[0]), normal

    shifts = np.arange(-reach_px, reach_px + 0.01, 0.25)
    stretches = (0.9, 1.0, 1.15, 1.35)
    # What the lines look like does not depend on the shift: it is worked out once for each width.
    shapes = [shape_of(w) for w in stretches]
    table = np.array([[solve(s, seen)[:2] for s in shifts] for seen in shapes])
    # A line is positive: shapes that fit only upside down do not count.
    table = np.where(table[..., 1] > 0, table[..., 0], np.inf)
    if not np.isfinite(table).any():
        return None
    w_index, s_index = np.unravel_index(int(np.argmin(table)), table.shape)
    shift, stretch, seen = float(shifts[s_index]), float(stretches[w_index]), shapes[w_index]
    step = 0.1
    for _ in range(3):
        trial = shift + step * np.arange(-2, 3)
        chi2 = np.array([solve(float(s), seen)[0] for s in trial])
        a, b, _ = np.polyfit(trial - shift, chi2, 2)
        if a <= 0:
            return None
        shift += float(np.clip(-b / (2 * a), -2 * step, 2 * step))
        step /= 2
    chi2_best, amplitude_best, normal = solve(shift, seen)
    amplitude_error = float(np.sqrt(np.linalg.inv(normal)[0, 0]))
    reduced = max(chi2_best / max(u.size - 5, 1), 1.0)
    curvature = a
    error_px = float(np.sqrt(reduced / max(curvature, 1e-12)))
    significance = amplitude_best / (amplitude_error * np.sqrt(reduced))
    if significance < 5 or abs(shift) > reach_px - 0.3:
        return None
    return FeatureShift(
        name=feature.name,
        shift_px=shift,
        error_px=float(np.hypot(error_px, feature.uncertainty_px)),
        significance=float(significance),
        stretch=stretch,
    )


def _combine(features: tuple[FeatureShift, ...]) -> Flexure:
    """Weighted mean of the features; one that is far off the weighted median has no say."""
    if not features:
        return Flexure(dx_px=0.0, error_px=float("inf"), features=())
    shift = np.array([f.shift_px for f in features])
    error = np.array([f.error_px for f in features])
    order = np.argsort(shift)
    half = np.searchsorted(np.cumsum((error**-2)[order]), 0.5 * (error**-2).sum())
    median = shift[order][min(int(half), shift.size - 1)]
    weight = np.where(np.abs(shift - median) < np.maximum(4 * error, 0.3), error**-2, 0.0)
    dx = float((weight * shift).sum() / weight.sum())
    # Features that disagree make the result less certain than their own errors say.
    used = weight > 0
    chi2 = float((weight * (shift - dx) ** 2).sum()) / max(int(used.sum()) - 1, 1)
    return Flexure(dx_px=dx, error_px=float(np.sqrt(max(chi2, 1.0) / weight.sum())), features=features)
