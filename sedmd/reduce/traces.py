"""Where each spaxel's spectrum runs on the detector, and how wide it is, from the dome (and later the lamps)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.extract import HALF_HEIGHT, Stamps, fit_fluxes, gather, model_image
from sedmd.reduce.field import FieldModel, fit_field, terms
from sedmd.reduce.profile import Profile, gaussian_profile, measure_profile
from sedmd.reduce.ridges import Chains, find_chains
from sedmd.reduce.samples import Samples, make_samples

#: Powers of (x - centre)/100 in a trace: row, slope, curvature.
TRACE_TERMS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Geometry of all traces.

    Attributes
    ----------
    centre : (n,) float, column about which the trace is expanded
    y_coeff : (n, 3) row of the trace in powers of ``(x - centre) / 100``
    x_first, x_last : (n,) int, columns (inclusive) that belong to the spaxel
    width : (n_terms + 2,) coefficients of the width model, see `trace_width`
    width_order : int, degree of the width model over the field
    profile : Profile across the dispersion
    rms : (n,) float, pixel, scatter of the ridge about the trace
    """

    centre: NDArray[np.float64]
    y_coeff: NDArray[np.float64]
    x_first: NDArray[np.int64]
    x_last: NDArray[np.int64]
    width: NDArray[np.float64]
    width_order: int
    profile: Profile
    rms: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of traces."""
        return self.centre.size

    def samples(self, shape: tuple[int, int], every: int = 1) -> Samples:
        """Samples of every trace (of every `every`-th column)."""
        samples = make_samples(
            x_first=self.x_first, x_last=self.x_last, centre=self.centre, y_coeff=self.y_coeff,
            sigma=self.width_at, shape=shape,
        )
        return samples if every == 1 else samples.select(samples.x % every == every // 2)

    def width_at(self, trace: NDArray[np.integer], x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray:
        """Width of the core at points of the traces: (n_points,) pixel."""
        return np.clip(_width_terms(self, trace, x, y) @ self.width, 0.5, 6.0)

    def select(self, keep: NDArray) -> Traces:
        """The traces of a boolean or index selection."""
        return replace(
            self, centre=self.centre[keep], y_coeff=self.y_coeff[keep], x_first=self.x_first[keep],
            x_last=self.x_last[keep], rms=self.rms[keep],
        )


def find_traces(dome: NDArray[np.floating], *, read_noise: float) -> Traces:
    """Find every trace that a dome frame shows, complete or cut by the edge of the chip.

    Parameters
    ----------
    dome : (n_y, n_x) electron, bias-subtracted, overscan cut off or zero
    read_noise : electron rms per pixel

    Returns
    -------
    Traces, sorted by row then column of their middle, with a Gaussian profile of the typical width

    Raises
    ------
    ValueError
        If fewer than 50 ridges are seen.
    """
    chains = find_chains(dome, read_noise=read_noise)
    if chains.n < 50:
        raise ValueError(
            f"only {chains.n} ridges on the dome frame, at least 50 (usually more than 1000) were expected; "
            "was the dome lamp on?"
        )
    traces = _from_chains(chains)
    return traces.select(np.lexsort((traces.centre, np.rint(traces.y_coeff[:, 0]))))


def _from_chains(chains: Chains) -> Traces:
    """Fit each chain; slope and curvature of short ones are drawn towards their neighbours'."""
    n = chains.n
    first = np.full(n, np.inf)
    last = np.full(n, -np.inf)
    np.minimum.at(first, chains.chain, chains.x)
    np.maximum.at(last, chains.chain, chains.x)
    centre = np.rint((first + last) / 2)
    u = (chains.x - centre[chains.chain]) / 100.0
    y_coeff = np.zeros((n, TRACE_TERMS))
    y_coeff[:, 0] = np.bincount(chains.chain, chains.y, n) / np.bincount(chains.chain, minlength=n)
    weight = np.ones(u.size)
    for _ in range(4):
        residual = chains.y - _rows(y_coeff, chains.chain, u)
        y_coeff = solve_traces(
            y_coeff, centre, chains.chain, u, residual, weight / 0.1**2, prior_sigma=np.array([np.inf, 0.1, 0.1])
        )
        residual = chains.y - _rows(y_coeff, chains.chain, u)
        weight = 1.0 / (1.0 + (residual / 0.15) ** 2)
    rms = np.sqrt(np.bincount(chains.chain, weight * residual**2, n) / np.bincount(chains.chain, weight, n))
    width = np.zeros(1 + 2)
    width[0] = 1.4
    return Traces(
        centre=centre, y_coeff=y_coeff, x_first=first.astype(int), x_last=last.astype(int), width=width,
        width_order=0, profile=gaussian_profile(), rms=rms,
    )


def _rows(y_coeff: NDArray, trace: NDArray, u: NDArray) -> NDArray:
    return y_coeff[trace, 0] + u * (y_coeff[trace, 1] + u * y_coeff[trace, 2])


def solve_traces(
    y_coeff: NDArray[np.float64],
    centre: NDArray[np.float64],
    trace: NDArray[np.integer],
    u: NDArray[np.floating],
    dy: NDArray[np.floating],
    weight: NDArray[np.floating],
    *,
    prior_sigma: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Improve trace polynomials by measured offsets, with slope and curvature tied loosely to a smooth field.

    Parameters
    ----------
    y_coeff : (n_trace, 3) present coefficients
    centre : (n_trace,) reference column
    trace, u, dy, weight : (n,) trace, abscissa, measured offset [pixel] and its inverse variance
    prior_sigma : (3,) how far each coefficient may stray from the smooth field of its neighbours; inf = free

    Returns
    -------
    (n_trace, 3) improved coefficients
    """
    n, k = y_coeff.shape
    powers = [np.ones_like(u), u, u**2, u**3, u**4]
    moment = [np.bincount(trace, weight * p, n) for p in powers]
    normal = np.stack([np.stack([moment[i + j] for j in range(k)], -1) for i in range(k)], -2)
    right = np.stack([np.bincount(trace, weight * powers[i] * dy, n) for i in range(k)], -1)
    count = np.bincount(trace, weight > 0, n)
    for i in np.flatnonzero(np.isfinite(prior_sigma)):
        well = count > 0.6 * np.median(count[count > 0])
        field = fit_field(
            np.where(well, centre, np.nan)[well], y_coeff[well, 0], y_coeff[well, i], order=3
        )
        expected = field(np.clip(centre, 0, 2048), np.clip(y_coeff[:, 0], 0, 2048))
        normal[:, i, i] += 1 / prior_sigma[i] ** 2
        right[:, i] += (expected - y_coeff[:, i]) / prior_sigma[i] ** 2
    normal += 1e-9 * np.eye(k)
    return y_coeff + np.linalg.solve(normal, right[..., None])[..., 0]


def _width_terms(traces: Traces, trace: NDArray, x: NDArray, y: NDArray) -> NDArray:
    """Design matrix of the width: smooth over the detector plus a parabola along the trace."""
    along = (x - traces.centre[trace]) / 100.0
    return np.concatenate([terms(x, y, traces.width_order), along[:, None], along[:, None] ** 2], axis=1)


def refine_traces(
    traces: Traces,
    data: NDArray[np.floating],
    *,
    read_noise: float,
    every: int = 3,
    rounds: int = 4,
    width_order: int = 4,
) -> Traces:
    """Improve rows, widths and profile together from a well-exposed frame, neighbours and wings modelled.

    Parameters
    ----------
    traces : first guess, good to a pixel
    data : (n_y, n_x) electron, dome frame without scattered light
    read_noise : electron rms per pixel
    every : columns between the samples that are used
    rounds : Gauss-Newton rounds
    width_order : degree of the width model over the field

    Returns
    -------
    Traces
    """
    shape = data.shape
    for round_ in range(rounds):
        samples = traces.samples(shape, every)
        stamps = gather(samples, traces.profile)
        # First fluxes with flat weights, then weights from the model: data-driven weights bias bright pixels low.
        flux = fit_fluxes(samples, stamps, data, np.full(shape, 1.0 / read_noise**2, np.float32)).flux
        flux = np.maximum(np.nan_to_num(flux), 0.0)
        residual = (data - model_image(samples, stamps, flux)).ravel()[stamps.pixel]
        # Weight: photon and read noise of the model, and two per cent of it for what the model does not know.
        expected = stamps.share * flux[:, None].astype(np.float32)
        weight = stamps.inside / (expected + read_noise**2 + (0.02 * flux[:, None] * stamps.share.max()) ** 2)
        weight *= np.abs(residual) < 6.0 / np.sqrt(np.maximum(weight, 1e-12)) + 0.3 * flux[:, None] * stamps.share
        traces = _shift_traces(traces, samples, stamps, flux, residual, weight)
        traces = _fit_width(traces, samples, stamps, flux, residual, weight, width_order if round_ else 1)
        if round_ >= 1:
            traces = replace(traces, profile=_fit_profile(traces, samples, stamps, flux, residual, weight))
    return traces


def _shift_traces(
    traces: Traces, samples: Samples, stamps: Stamps, flux: NDArray, residual: NDArray, weight: NDArray
) -> Traces:
    """One Gauss-Newton step in the rows."""
    slope = traces.profile.slope(stamps.dy, samples.sigma[:, None]) * flux[:, None]
    info = np.einsum("ij,ij->i", weight * slope, slope, dtype=float)
    dy = np.einsum("ij,ij->i", weight * slope, residual, dtype=float) / np.maximum(info, 1e-9)
    # No sample is trusted better than 0.1 px: the profile is not known that well.
    info = np.where(np.abs(dy) < 1.5, 1.0 / (1.0 / np.maximum(info, 1e-9) + 0.1**2), 0.0)
    u = (samples.x - traces.centre[samples.trace]) / 100.0
    y_coeff = solve_traces(
        traces.y_coeff, traces.centre, samples.trace, u, np.clip(dy, -0.8, 0.8), info,
        prior_sigma=np.array([np.inf, 0.1, 0.1]),
    )
    left = dy - (_rows(y_coeff, samples.trace, u) - _rows(traces.y_coeff, samples.trace, u))
    total = np.bincount(samples.trace, info, traces.n)
    rms = np.sqrt(np.bincount(samples.trace, info * left**2, traces.n) / np.maximum(total, 1e-9))
    return replace(traces, y_coeff=y_coeff, rms=np.where(total > 0, rms, np.nan))


def _fit_width(
    traces: Traces, samples: Samples, stamps: Stamps, flux: NDArray, residual: NDArray, weight: NDArray, order: int
) -> Traces:
    """One Gauss-Newton step in the width of the core, as one smooth function of field and position along the trace."""
    stretch = traces.profile.stretch(stamps.dy, samples.sigma[:, None]) * flux[:, None]
    info = np.einsum("ij,ij->i", weight * stretch, stretch, dtype=float)
    ds = np.einsum("ij,ij->i", weight * stretch, residual, dtype=float) / np.maximum(info, 1e-9)
    measured = samples.sigma + np.clip(ds, -0.4, 0.4)
    info = np.where(np.abs(ds) < 1.0, 1.0 / (1.0 / np.maximum(info, 1e-9) + 0.1**2), 0.0)
    new = replace(traces, width_order=order)
    design = _width_terms(new, samples.trace, samples.x, samples.y)
    a = design * info[:, None]
    normal = a.T @ design
    normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
    return replace(new, width=np.linalg.solve(normal, a.T @ measured))


def _fit_profile(
    traces: Traces, samples: Samples, stamps: Stamps, flux: NDArray, residual: NDArray, weight: NDArray
) -> Profile:
    """The profile that the residuals ask for: what is left plus what was modelled, in units of the flux."""
    bright = flux > np.percentile(flux, 50)
    sigma = samples.sigma[bright, None]
    f = flux[bright, None]
    share = (residual[bright] + stamps.share[bright] * f) / f * sigma
    w = weight[bright] * (f / sigma) ** 2
    return measure_profile((stamps.dy[bright] / sigma).ravel(), share.ravel(), w.ravel(), traces.profile)


__all__ = ["FieldModel", "HALF_HEIGHT", "Traces", "find_traces", "refine_traces", "solve_traces"]
