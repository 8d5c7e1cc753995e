"""Fit groups of lamp lines in all spaxels at once: one shift, one brightness and one straight floor for each.

Lines closer than the resolution are fitted together with their relative intensities, which are common to all spaxels
and determined from all of them; so a blend has no effective wavelength that somebody has to believe in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

#: Columns on each side of the outermost line of a group that take part in its fit.
MARGIN = 6
#: How many times brighter a blend may be beside the group's leading one than the table has it: real lamps differ from
#: tables by up to this. Without a limit two lines that straddle a single bright one explain it as well as it does.
RATIO_FREEDOM = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFit:
    """Result of one group in n spaxels.

    Attributes
    ----------
    shift, error : (n,) column: measured minus predicted place of the group, and its 1-sigma error; NaN where unusable
    amplitude : (n,) electron, flux of the whole group
    stretch : (n,) fitted width in units of the predicted width
    intensity : (m,) relative intensities of the lines, unit sum
    model : (n, n_column) electron, light of the group without its floor; zero where unusable
    """

    shift: NDArray[np.floating]
    error: NDArray[np.floating]
    amplitude: NDArray[np.floating]
    stretch: NDArray[np.floating]
    intensity: NDArray[np.floating]
    model: NDArray[np.floating]


def group_lines(
    place: NDArray[np.floating], intensity: NDArray[np.floating], separation: float, strong: float = 0.05
) -> list[NDArray[np.int64]]:
    """Split lines into groups that have to be fitted together.

    Parameters
    ----------
    place : (m,) column of each line
    intensity : (m,) relative intensities
    separation : strong lines closer than this many columns belong together
    strong : lines above this share of the strongest form the groups; a weaker one joins the nearest strong
        line whose fit it could disturb; but a forest of weak lines ties nothing together

    Returns
    -------
    list of index arrays, each sorted by column; the groups without a strong line hold one weak chain each
    """
    leader = intensity > strong * intensity.max()
    label = np.full(place.size, -1)
    label[leader] = _chain(place[leader], separation)
    strong_place, strong_label = place[leader], label[leader]
    for i in np.flatnonzero(~leader):
        distance = np.abs(strong_place - place[i])
        if distance.min() < MARGIN:
            label[i] = strong_label[np.argmin(distance)]
    rest = label < 0
    label[rest] = label.max() + 1 + _chain(place[rest], separation)
    return [g[np.argsort(place[g])] for g in (np.flatnonzero(label == k) for k in np.unique(label))]


def blends(
    place: NDArray[np.floating], intensity: NDArray[np.floating], resolution: float, strong: float = 0.05
) -> NDArray[np.int64]:
    """Number of the unresolved blend that each line of a group belongs to.

    Strong lines closer than `resolution` columns are one blend; a weak line within that distance of a strong one
    belongs to it; the others form blends of their own, whose brightness the data tell better than any table.
    """
    leader = intensity >= min(strong, intensity.max())
    number = np.full(place.size, -1)
    number[leader] = _chain(place[leader], resolution)
    distance = np.abs(place[:, None] - place[leader][None, :])
    near = ~leader & (distance.min(axis=1) < resolution)
    number[near] = number[leader][np.argmin(distance, axis=1)][near]
    rest = number < 0
    number[rest] = number.max() + 1 + _chain(place[rest], resolution)
    return number


def _chain(place: NDArray[np.floating], separation: float) -> NDArray[np.int64]:
    """Number of the chain of each point, a chain being points with no gap above `separation`."""
    order = np.argsort(place)
    label = np.zeros(place.size, int)
    label[order[1:]] = np.cumsum(np.diff(place[order]) > separation)
    return label


def fit_group(
    spectra: NDArray[np.floating],
    variance: NDArray[np.floating],
    place: NDArray[np.floating],
    width: NDArray[np.floating],
    intensity: NDArray[np.floating],
    *,
    blend: NDArray[np.integer],
    table: NDArray[np.floating] | None = None,
    rounds: int = 8,
    max_shift: float = 3.0,
) -> GroupFit:
    """Fit one group of lines in every spaxel (batched Gauss-Newton).

    Parameters
    ----------
    spectra, variance : (n, n_column) electron and electron**2; NaN where there is no data
    place : (n, m) predicted column of each line (fractional index into `spectra`)
    width : (n, m) predicted Gaussian sigma of each line, column
    intensity : (m,) starting relative intensities
    blend : (m,) lines with the same number keep their relative intensities, because in a tight blend these and the
        shift say the same; the intensities of different blends are determined from all spaxels together
    table : (m,) what is known of the relative intensities, to a factor `RATIO_FREEDOM`; default `intensity`
    rounds : Gauss-Newton rounds; intensities are re-determined after half of them
    max_shift : fits that wander further are marked unusable

    Returns
    -------
    GroupFit
    """
    n, n_column = spectra.shape
    low = np.floor(np.nan_to_num(place.min(axis=1), nan=-1e6)).astype(int) - MARGIN
    size = int(np.ceil(np.nanmax(place.max(axis=1) - place.min(axis=1)))) + 2 * MARGIN + 2
    column = low[:, None] + np.arange(size)
    usable = (column[:, 0] >= 0) & (column[:, -1] < n_column)
    column = np.clip(column, 0, n_column - 1)
    data = np.take_along_axis(spectra, column, axis=1).astype(float)
    var = np.take_along_axis(variance, column, axis=1).astype(float)
    usable &= np.isfinite(data).all(axis=1)
    data, var = np.nan_to_num(data), np.nan_to_num(var, nan=1.0)
    intensity = np.asarray(intensity, float) / np.sum(intensity)
    limit = np.bincount(blend, intensity if table is None else table)
    limit = np.minimum(RATIO_FREEDOM * limit / limit.max(), 1.0)
    shift, stretch = np.zeros(n), np.ones(n)
    floor = np.percentile(data, 10, axis=1)
    amplitude = np.maximum((data - floor[:, None]).sum(axis=1), 1.0)
    # The continuum under the lines may slope: a level floor would draw them up the slope.
    tilt = np.zeros(n)
    along = (np.arange(size) - (size - 1) / 2) / size
    covariance = np.zeros((n, 5, 5))
    for round_ in range(rounds):
        shape, d_shift, d_stretch = _shapes(column, place, width, shift, stretch, intensity)
        under = floor[:, None] + tilt[:, None] * along
        model = under + amplitude[:, None] * shape
        # Weights from the model, with 3 per cent for the line shape, which is not quite a Gaussian.
        weight = 1.0 / (np.maximum(var, 1.0) + (0.03 * amplitude[:, None] * shape) ** 2)
        design = np.stack(
            [
                shape,
                amplitude[:, None] * d_shift,
                np.ones_like(shape),
                amplitude[:, None] * d_stretch,
                np.broadcast_to(along, shape.shape),
            ],
            axis=-1,
        )
        residual = data - model
        normal = np.einsum("nij,ni,nik->njk", design, weight, design)
        right = np.einsum("nij,ni,ni->nj", design, weight, residual)
        # The width may stray by a few per cent only; that keeps faint and blended fits stable.
        normal[:, 3, 3] += 1 / 0.1**2
        right[:, 3] += (1.0 - stretch) / 0.1**2
        normal += 1e-12 * np.eye(5) * np.trace(normal, axis1=1, axis2=2)[:, None, None]
        covariance = np.linalg.inv(normal)
        step = np.einsum("njk,nk->nj", covariance, right)
        amplitude = np.maximum(amplitude + step[:, 0], 1e-3)
        shift += np.clip(step[:, 1], -1.0, 1.0)
        floor += step[:, 2]
        tilt += step[:, 4]
        stretch = np.clip(stretch + np.clip(step[:, 3], -0.2, 0.2), 0.6, 1.6)
        if round_ >= rounds // 2 and np.ptp(blend) > 0:
            floored = data - floor[:, None] - tilt[:, None] * along
            intensity = _intensities(
                floored, amplitude, column, place, width, shift, stretch, usable, intensity, blend, limit
            )
    error = np.sqrt(covariance[:, 1, 1])
    bad = ~usable | (np.abs(shift) > max_shift) | ~(amplitude > 5 * np.sqrt(covariance[:, 0, 0]))
    shape, _, _ = _shapes(column, place, width, shift, stretch, intensity)
    model = np.zeros(spectra.shape, np.float32)
    np.put_along_axis(model, column, np.where(bad[:, None], 0.0, amplitude[:, None] * shape).astype(np.float32), axis=1)
    return GroupFit(
        shift=np.where(bad, np.nan, shift),
        error=np.where(bad, np.nan, error),
        amplitude=amplitude,
        stretch=np.where(bad, np.nan, stretch),
        intensity=intensity,
        model=model,
    )


def _line_shapes(
    column: NDArray, place: NDArray, width: NDArray, shift: NDArray, stretch: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Unit-flux Gaussians of every line, (n, size, m), with the normalised distance and the width used."""
    sigma = (width * stretch[:, None])[:, None, :]
    t = (column[:, :, None] - place[:, None, :] - shift[:, None, None]) / sigma
    return np.exp(-0.5 * t**2) / (np.sqrt(2 * np.pi) * sigma), t, sigma


def _shapes(
    column: NDArray, place: NDArray, width: NDArray, shift: NDArray, stretch: NDArray, intensity: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Shape of the group and its derivatives with respect to shift and stretch: (n, size) each."""
    gauss, t, sigma = _line_shapes(column, place, width, shift, stretch)
    return (
        gauss @ intensity,
        (gauss * t / sigma) @ intensity,
        (gauss * (t**2 - 1) / stretch[:, None, None]) @ intensity,
    )


def _intensities(
    light: NDArray,
    amplitude: NDArray,
    column: NDArray,
    place: NDArray,
    width: NDArray,
    shift: NDArray,
    stretch: NDArray,
    usable: NDArray,
    intensity: NDArray,
    blend: NDArray,
    limit: NDArray,
) -> NDArray[np.floating]:
    """Relative intensities of the blends that fit all bright spaxels best, each between 0 and its limit."""
    bright = usable & (amplitude > np.median(amplitude[usable]) if usable.any() else usable)
    rows = np.flatnonzero(bright)[:400]
    if rows.size < 5:
        return intensity
    gauss, _, _ = _line_shapes(column[rows], place[rows], width[rows], shift[rows], stretch[rows])
    target = light[rows] / amplitude[rows, None]
    number = np.unique(blend)
    member = (blend[:, None] == number[None, :]) * intensity[:, None]
    member = member / np.maximum(member.sum(axis=0), 1e-12)
    design = (gauss @ member).reshape(-1, member.shape[1])
    solution = lsq_linear(design, target.ravel(), bounds=(0.0, limit[number])).x
    # A blend that vanished once keeps a trace of light, so that a better place can bring it back.
    solution = np.maximum(solution, 1e-3 * solution.sum())
    return member @ solution / solution.sum() if solution.sum() > 0 else intensity
