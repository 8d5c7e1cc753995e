"""From electrons to flux: extinction, the response measured on standard stars, and the telluric bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from sedmd.reduce.flux.bands import LEAST_ERROR, less_in_bands, seen_in_bands, unknown_of_bands
from sedmd.reduce.flux.shapes import (
    EarlierShape,
    between,
    covariance,
    error_of,
    normal_of,
    shape_apart,
    shape_of,
)

#: How absorption grows with airmass in saturated bands (Buton et al. 2013: 0.58 for O2 and 0.4-0.6 for water).
TELLURIC_EXPONENT = 0.6
#: A star whose level is further below the best than this lost light to clouds or beside the array, fraction.
CLOUDED = 0.2
#: Clouds are grey: the shape of a star that lost light agrees with the others' within this, rms in `SHAPE_BIN` wide
#: bins; what is more was lost by other means, or it is another star. Tables of one star by different authors differ by
#: 0.4 to 3.6 per cent so measured (Hamuy, Moehler, Oke, HST: LTT3218, LTT7987, EG274, Feige110, GD71).
SHAPE_AGREES, SHAPE_BIN = 0.03, 200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One standard star's answer.

    Attributes
    ----------
    star : str
    ratio : (n_wave,) electron/s/Angstrom per erg/s/cm2/Angstrom, corrected for extinction; NaN outside the table
    error : (n_wave,) 1 sigma
    airmass : float
    """

    star: str
    ratio: NDArray[np.floating]
    error: NDArray[np.floating]
    airmass: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What the instrument makes of one unit of flux above the atmosphere, continuous extinction apart.

    Attributes
    ----------
    wavelength : (n_wave,) Angstrom
    value : (n_wave,) electron/s/Angstrom per erg/s/cm2/Angstrom; NaN where no standard reaches
    error : (n_wave,) 1 sigma of the mean of the standards, fraction of `value`
    telluric : (n_wave,) optical depth of the bands at airmass 1 as the instrument sees them
    stars : names of the standards that were used
    scales : brightness of each star relative to the typical one
    scatter : (n_wave,) rms between the stars after their scales, fraction; NaN for fewer than two stars
    floor : (n_wave,) error of a calibrated sample that no exposure time takes away, fraction: how far the standards
        themselves scatter about the smooth curve beyond their photon noise (that noise in the bands, where they are
        followed), and a tenth of the telluric correction
    rejected : (name, how far its shape is off as a fraction) of stars that were not used
    earlier : earlier nights whose shape was used, and how many nights old each is
    changed : (night, how far its shape is off as a fraction) of earlier nights that were not used
    own_value : (n_wave,) what the night's own stars tell alone; None if it was not kept
    own_error : (n_wave,) 1 sigma of its shape, fraction
    """

    wavelength: NDArray[np.floating]
    value: NDArray[np.floating]
    error: NDArray[np.floating]
    telluric: NDArray[np.floating]
    stars: tuple[str, ...]
    scales: tuple[float, ...]
    scatter: NDArray[np.floating]
    floor: NDArray[np.floating]
    rejected: tuple[tuple[str, float], ...] = ()
    earlier: tuple[tuple[str, int], ...] = ()
    changed: tuple[tuple[str, float], ...] = ()
    own_value: NDArray[np.floating] | None = None
    own_error: NDArray[np.floating] | None = None


def extinction_factor(mag_per_airmass: NDArray[np.floating], airmass: float) -> NDArray[np.floating]:
    """Factor that brings a flux above the atmosphere: 10^(0.4 k X)."""
    return np.asarray(10 ** (0.4 * np.asarray(mag_per_airmass) * airmass))


def blur_to_bins(
    fine_wavelength: NDArray[np.floating],
    fine_flux: NDArray[np.floating],
    wavelength: NDArray[np.floating],
    sigma: NDArray[np.floating],
) -> NDArray[np.floating]:
    """A fine spectrum as the instrument would see it: Gaussian line profile, then averaged over the bins.

    Parameters
    ----------
    fine_wavelength, fine_flux : (m,) Angstrom, increasing, evenly or unevenly spaced
    wavelength : (n,) bin centres, Angstrom
    sigma : (n,) Gaussian sigma of the line profile, Angstrom

    Returns
    -------
    (n,); NaN for bins not fully inside the fine spectrum
    """
    step = np.gradient(fine_wavelength)
    width = np.gradient(wavelength)
    # The bin is part of what blurs: add its variance to the line's.
    total = np.sqrt(np.asarray(sigma) ** 2 + width**2 / 12)
    distance = (fine_wavelength[None, :] - wavelength[:, None]) / total[:, None]
    kernel = np.where(np.abs(distance) < 5, np.exp(-0.5 * distance**2), 0.0) * step[None, :]
    norm = kernel.sum(axis=1)
    result = (kernel @ fine_flux) / np.maximum(norm, 1e-300)
    inside = (wavelength - 2 * total > fine_wavelength[0]) & (wavelength + 2 * total < fine_wavelength[-1])
    return np.where(inside, result, np.nan)


def fit_sensitivity(
    wavelength: NDArray[np.floating],
    responses: Sequence[Response],
    band: NDArray[np.bool_],
    depth_o2: NDArray[np.floating],
    depth_h2o: NDArray[np.floating],
    *,
    knots: int = 18,
    earlier: Sequence[EarlierShape] = (),
) -> Sensitivity:
    """Combine the standards of a night, and what earlier nights tell of the shape of the response.

    Parameters
    ----------
    wavelength : (n,) Angstrom
    responses : one per standard exposure, at least one
    band : (n,) True in telluric bands
    depth_o2, depth_h2o : (n,) optical depth of the bands at airmass 1 as the instrument sees them, of typical air
    knots : spline intervals over the range
    earlier : shapes of earlier nights, the newest first

    Returns
    -------
    Sensitivity

    Raises
    ------
    ValueError
        If no response has data.

    Notes
    -----
    Each star may be too bright or faint by a common factor (thin cloud, light lost around the array); the shape is
    common. Logarithms of the responses are fitted with one cubic spline, the amounts of oxygen and water of each
    star, and each star's scale, by least squares with outliers held down. The scale of the result is the median
    star's among those not more than `CLOUDED` below the best: clouds only ever take light away. A star far off in level
    is used only if its shape agrees with that of the others (`SHAPE_AGREES`).

    An earlier night enters by its shape alone, with its own errors and those of its age; the level is that of the
    night's own stars. One whose shape is not that of these (`SHAPE_AGREES`) is not used: the instrument was changed.
    Where no star of the night reaches, the shape of the earlier nights continues it, and their error is in the floor.

    Bands are not quite the template's: how far off is measured in them, and is the error of their samples, so that they
    do not bend the curve beside them. What the curve and the template leave in them is the bands' own.
    """
    usable = [r for r in responses if np.isfinite(r.ratio).sum() > 20 and (np.nan_to_num(r.ratio) > 0).sum() > 20]
    if not usable:
        raise ValueError("no standard star with a usable spectrum; the flux calibration needs at least one")
    given = (wavelength, band, depth_o2, depth_h2o, knots)
    rejected: list[tuple[str, float]] = []
    while (odd := _odd_one(usable, *given)) is not None:
        number, off = odd
        rejected.append((usable.pop(number).star, off))
    own, shape_error = _fit(usable, *given)
    own_error = np.hypot(shape_error, own.floor)
    used, changed = _agreeing(earlier, own, own_error)
    fitted = _fit(usable, *given, earlier=used)[0] if used else own
    return replace(
        fitted,
        rejected=tuple(rejected),
        earlier=tuple((one.night, one.age_nights) for one in used),
        changed=changed,
        own_value=own.value,
        own_error=own_error,
    )


def _agreeing(
    earlier: Sequence[EarlierShape], own: Sensitivity, own_error: NDArray[Any]
) -> tuple[tuple[EarlierShape, ...], tuple[tuple[str, float], ...]]:
    """The earlier nights that agree in shape with the night's own stars; the others, and how far they are off.

    Stars that do not tell a shape contradict none.
    """
    shape = shape_of(own.wavelength, own.value, own_error)
    if shape is None:
        return tuple(earlier), ()
    off = [shape_apart(one.shape, shape) for one in earlier]
    used = tuple(one for one, apart in zip(earlier, off, strict=True) if apart <= SHAPE_AGREES)
    changed = [(one.night, apart) for one, apart in zip(earlier, off, strict=True) if apart > SHAPE_AGREES]
    return used, tuple(changed)


def _odd_one(
    responses: Sequence[Response],
    wavelength: NDArray[Any],
    band: NDArray[Any],
    depth_o2: NDArray[Any],
    depth_h2o: NDArray[Any],
    knots: int,
) -> tuple[int, float] | None:
    """The star far off in level whose shape is furthest from what the others tell, and how far; None if all agree.

    Of two that disagree the fainter is rejected. Where the brightest stands alone above at least two others it is the
    one that is asked for: no cloud makes a star brighter.
    """
    if len(responses) < 2:
        return None
    scales = np.array(_fit(responses, wavelength, band, depth_o2, depth_h2o, knots)[0].scales)
    asked = scales < (1 - CLOUDED) * scales.max()
    if asked.sum() == len(responses) - 1 >= 2:
        asked[:] = True
    found = []
    for number in map(int, np.flatnonzero(asked)):
        others = [one for other, one in enumerate(responses) if other != number]
        rest, _ = _fit(others, wavelength, band, depth_o2, depth_h2o, knots)
        found.append((_shape_off(responses[number], rest, band), number))
    worst = max(found, default=(0.0, -1))
    return (worst[1], worst[0]) if worst[0] > SHAPE_AGREES else None


def _shape_off(response: Response, rest: Sensitivity, band: NDArray[Any]) -> float:
    """Rms of a star's response over that of other stars, outside the bands, level subtracted: no less than so much.

    What photon noise makes of it, and twice the scatter of that, are subtracted.
    """
    clear = ~(band | (rest.telluric > 0.002)) & np.isfinite(rest.value) & (np.nan_to_num(response.ratio) > 0)
    clear &= np.nan_to_num(response.error, nan=np.inf) < 0.5 * np.nan_to_num(response.ratio)
    if clear.sum() < 3:
        return 0.0
    left = np.log(response.ratio[clear] / rest.value[clear])
    variance = (response.error[clear] / response.ratio[clear]) ** 2
    at = (rest.wavelength[clear] // SHAPE_BIN).astype(int)
    _, member, count = np.unique(at, return_inverse=True, return_counts=True)
    mean = np.bincount(member, left) / count
    noise = float(np.mean(np.bincount(member, variance) / count**2))
    seen = float(np.mean((mean - np.median(mean)) ** 2))
    return float(np.sqrt(max(seen - noise * (1 + 2 * np.sqrt(2 / len(count))), 0.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """Responses as the fit takes them, (n_star, n_wave) but for `amount`, (n_star,).

    Attributes
    ----------
    log_ratio : logarithm of the response; NaN where there is none
    error : of it
    weight : of a sample, 0 where it does not count
    keep : the same, less deep in a telluric band
    amount : of air on the way, in units of that at airmass 1
    """

    log_ratio: NDArray[Any]
    error: NDArray[Any]
    weight: NDArray[Any]
    keep: NDArray[Any]
    amount: NDArray[Any]


def _fit(
    usable: Sequence[Response],
    wavelength: NDArray[Any],
    band: NDArray[Any],
    depth_o2: NDArray[Any],
    depth_h2o: NDArray[Any],
    knots: int,
    earlier: Sequence[EarlierShape] = (),
) -> tuple[Sensitivity, NDArray[np.floating]]:
    """The least-squares fit of `fit_sensitivity` to stars and earlier nights that all count, and its `_shape_error`."""
    data = _data(usable, depth_o2 + depth_h2o)
    seen = (data.weight > 0).any(axis=0)
    told = error_of(earlier, wavelength)
    covered = np.flatnonzero(seen | np.isfinite(told))
    first, last = covered[0], covered[-1]
    basis = _spline_basis(wavelength, wavelength[first], wavelength[last], knots)
    n_star, n_base = len(usable), basis.shape[1]
    design = _design(basis, data.amount, depth_o2, depth_h2o)
    prior = _with_shapes(_prior(n_base, n_star), earlier, wavelength[first], wavelength[last], knots)
    _, left = _solved(data, design, prior)
    depth = depth_o2 + depth_h2o
    off = np.where(data.weight > 0, left.reshape(n_star, -1), np.nan)
    unknown = unknown_of_bands(off, data.error, data.amount, depth)
    data = replace(data, keep=less_in_bands(data.weight, depth, data.amount, unknown))
    solution, left = _solved(data, design, prior)
    scales = np.exp(solution[n_base : n_base + n_star])
    clear = scales[scales > (1 - CLOUDED) * scales.max()]
    level = float(np.median(clear))
    residual = np.where(data.keep > 0, left.reshape(n_star, -1), np.nan)
    template = np.clip(solution[-2], 0, 3) * depth_o2 + np.clip(solution[-1], 0, 3) * depth_h2o
    in_band = band | (template > 0.002)
    seen_deeper, seen_error = seen_in_bands(residual, data.error, data.amount, in_band)
    telluric = template + seen_deeper
    inside = _within_reach(np.log(wavelength), covered, np.log(wavelength[last] / wavelength[first]) / knots)
    # In the bands the stars are followed sample by sample: what is left there is their own noise.
    scatter = np.where(np.isfinite(seen_error), seen_error, _residual_scatter(residual, data.error, ~in_band))
    floor = np.hypot(scatter, 0.1 * np.clip(telluric, 0, 1))
    fitted = Sensitivity(
        wavelength=np.asarray(wavelength),
        value=np.where(inside, np.exp(basis @ solution[:n_base]) * level, np.nan),
        error=_together(_error_of_mean(data), told),
        telluric=telluric,
        stars=tuple(r.star for r in usable),
        scales=tuple(float(s / level) for s in scales),
        scatter=_rms(residual) if n_star > 1 else np.full(len(wavelength), np.nan),
        floor=np.hypot(floor, np.where(~seen & np.isfinite(told), told, 0.0)),
    )
    return fitted, _shape_error(data, design, prior[0], left, basis)


def _within_reach(u: NDArray[Any], covered: NDArray[Any], step: float) -> NDArray[np.bool_]:
    """Which of the places u, increasing, a curve with knots `step` apart is known at.

    Between covered ones (indices), where these are no further apart than two knots: over a wider gap, as of a star that
    is saturated there, the curve would be drawn by nothing.
    """
    at = np.arange(len(u))
    after = np.searchsorted(covered, at)  # the covered one at or behind each
    inside = (at >= covered[0]) & (at <= covered[-1])
    behind, before = covered[np.minimum(after, len(covered) - 1)], covered[np.maximum(after - 1, 0)]
    return np.asarray(inside & ((behind == at) | (u[behind] - u[before] <= 2 * step)))


def _data(usable: Sequence[Response], depth: NDArray[Any]) -> _Data:
    """Logarithms of the responses with their weights; `depth` of the telluric bands, (n_wave,)."""
    log_ratio = np.stack([np.log(np.where(np.nan_to_num(r.ratio) > 0, r.ratio, np.nan)) for r in usable])
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.stack([r.error / r.ratio for r in usable])
    weight = np.where(
        np.isfinite(log_ratio) & np.isfinite(error) & (np.abs(error) < 0.5), 1.0 / (error**2 + 0.01**2), 0.0
    )
    amount = np.array([r.airmass for r in usable]) ** TELLURIC_EXPONENT
    keep = less_in_bands(weight, depth, amount, 1.0)
    return _Data(log_ratio=log_ratio, error=error, weight=weight, keep=keep, amount=amount)


def _design(basis: NDArray[Any], amount: NDArray[Any], depth_o2: NDArray[Any], depth_h2o: NDArray[Any]) -> NDArray[Any]:
    """Terms of the fit, (n_star * n_wave, n_base + n_star + 2): spline, scale of each star, oxygen, water."""
    n_star, n_wave = len(amount), len(basis)
    return np.concatenate(
        [
            np.concatenate(
                [
                    basis,
                    np.broadcast_to(np.eye(n_star)[i], (n_wave, n_star)),
                    -amount[i] * depth_o2[:, None],
                    -amount[i] * depth_h2o[:, None],
                ],
                axis=1,
            )
            for i in range(n_star)
        ]
    )


def _prior(n_base: int, n_star: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """What is known before, as a normal matrix and its right side.

    Splines are tied weakly to straight continuation; scales weakly to zero; amounts of gas loosely to typical air:
    there may be half as much water, or twice as much.
    """
    second = np.diff(np.eye(n_base), 2, axis=0)
    prior = np.zeros((n_base + n_star + 2, n_base + n_star + 2))
    prior[:n_base, :n_base] = second.T @ second * 1.0
    prior[n_base : n_base + n_star, n_base : n_base + n_star] = np.eye(n_star) * 1e-2
    prior[-2:, -2:] = np.eye(2) / 1.0**2
    goal = np.zeros(len(prior))
    goal[-2:] = 1 / 1.0**2
    return prior, goal


def _with_shapes(
    prior: tuple[NDArray[Any], NDArray[Any]],
    earlier: Sequence[EarlierShape],
    low: float,
    high: float,
    knots: int,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What is known before, with the shapes of earlier nights."""
    matrix, goal = prior
    for one in earlier:
        shape = between(one.shape, low, high)
        if not shape.wavelength.size:
            continue
        basis = _spline_basis(shape.wavelength, low, high, knots)
        n_base = basis.shape[1]
        more, right = normal_of(basis, shape.log_value, covariance(shape, one.drift))
        matrix[:n_base, :n_base] += more
        goal[:n_base] += right
    return matrix, goal


def _shape_error(
    data: _Data, design: NDArray[Any], matrix: NDArray[Any], left: NDArray[Any], basis: NDArray[Any]
) -> NDArray[np.floating]:
    """1 sigma of the fitted shape against its mean over the samples, (n_wave,) fraction: the inverse normal matrix."""
    keep = data.keep.ravel()
    weight = keep / (1 + (left**2 * keep) / 9.0)
    normal = (design * weight[:, None]).T @ design + matrix
    n_base = basis.shape[1]
    known = np.linalg.inv(normal)[:n_base, :n_base]
    share = data.keep.sum(axis=0) / data.keep.sum()
    away = basis - share @ basis
    return np.asarray(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", away, known, away), 0.0)))


def _together(error: NDArray[np.floating], told: NDArray[np.floating]) -> NDArray[np.floating]:
    """Error of two that know the same, the stars and earlier nights; of the one that knows where the other does not."""
    both = np.isfinite(error) & np.isfinite(told)
    left, right = np.where(both, error, 1.0), np.where(both, told, 1.0)
    return np.where(both, left * right / np.hypot(left, right), np.where(np.isfinite(told), told, error))


def _solved(
    data: _Data, design: NDArray[Any], prior: tuple[NDArray[Any], NDArray[Any]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least squares with outliers held down: the solution, and what is left of each sample."""
    matrix, goal = prior
    target = np.nan_to_num(data.log_ratio).ravel()
    solution = np.zeros(len(goal))
    left, w = target, data.keep.ravel()
    for _ in range(8):
        normal = (design * w[:, None]).T @ design + matrix
        solution = np.linalg.solve(normal, (design * w[:, None]).T @ target + goal)
        left = target - design @ solution
        pull = np.abs(left) * np.sqrt(data.keep.ravel())
        w = data.keep.ravel() / (1 + (pull / 3.0) ** 2)
    return solution, left


def _error_of_mean(data: _Data) -> NDArray[np.floating]:
    """Photon noise of all stars together, fraction."""
    precision = (1.0 / np.maximum(data.error, LEAST_ERROR) ** 2 * (data.keep > 0)).sum(axis=0)
    return np.asarray(np.clip(np.sqrt(1.0 / np.maximum(precision, 1e-12)), 0, 1))


def _residual_scatter(
    residual: NDArray[Any], error: NDArray[Any], clear: NDArray[Any], window: int = 15
) -> NDArray[np.floating]:
    """Running rms of the stars' residuals outside the bands with their photon noise subtracted, fraction."""
    use = np.isfinite(residual) & clear[None, :] & (np.abs(np.nan_to_num(residual)) < 0.1)
    excess = np.where(use, np.nan_to_num(residual) ** 2 - np.nan_to_num(error) ** 2, 0.0).sum(axis=0)
    kernel = np.ones(window)
    total = np.convolve(excess, kernel, mode="same")
    count = np.convolve(use.sum(axis=0).astype(float), kernel, mode="same")
    return np.asarray(np.sqrt(np.clip(total / np.maximum(count, 1.0), 0.0, 0.1**2)))


def _rms(residual: NDArray[Any]) -> NDArray[np.floating]:
    good = np.isfinite(residual)
    return np.asarray(np.sqrt(np.where(good, residual, 0.0).__pow__(2).sum(axis=0) / np.maximum(good.sum(axis=0), 1)))


def _spline_basis(wavelength: NDArray[Any], low: float, high: float, intervals: int) -> NDArray[np.floating]:
    """Cubic B-splines on evenly spaced knots of log wavelength: (n, intervals + 3); constant beyond the ends."""
    u = np.log(np.clip(wavelength, low, high))
    inner = np.linspace(np.log(low), np.log(high), intervals + 1)
    step = inner[1] - inner[0]
    knots = np.concatenate([inner[0] - step * np.arange(3, 0, -1), inner, inner[-1] + step * np.arange(1, 4)])
    return np.asarray(BSpline.design_matrix(np.clip(u, inner[0], inner[-1]), knots, 3).toarray())


def calibrate(
    flux: NDArray[np.floating],
    error: NDArray[np.floating],
    sensitivity: Sensitivity,
    mag_per_airmass: NDArray[np.floating],
    airmass: float,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Flux above the atmosphere.

    Parameters
    ----------
    flux, error : (n_wave,) electron/s/Angstrom on the sensitivity's grid
    sensitivity : Sensitivity
    mag_per_airmass : (n_wave,) continuous extinction
    airmass : of the exposure, mean

    Returns
    -------
    flux, error : (n_wave,) erg/s/cm2/Angstrom; NaN where the sensitivity is not known. The error holds the photon noise
        and the floor of the calibration
    """
    factor = extinction_factor(mag_per_airmass, airmass) * np.exp(sensitivity.telluric * airmass**TELLURIC_EXPONENT)
    factor = factor / sensitivity.value
    calibrated = np.asarray(flux) * factor
    return calibrated, np.hypot(np.asarray(error) * factor, calibration_error(calibrated, sensitivity))


def calibration_error(flux: NDArray[np.floating], sensitivity: Sensitivity) -> NDArray[np.floating]:
    """Error of a calibrated flux that no exposure time takes away: (n_wave,) in its unit."""
    return np.asarray(sensitivity.floor * np.abs(flux))
