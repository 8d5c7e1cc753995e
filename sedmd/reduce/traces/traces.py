"""Where each spaxel's spectrum runs on the detector, and how wide it is, from the dome (and later the lamps)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.light import profile_columns, pull_columns
from sedmd.reduce.numeric.field import field_value, terms
from sedmd.reduce.numeric.parallel import side_by_side
from sedmd.reduce.traces.alike import solve_traces
from sedmd.reduce.traces.background import gap_weight, profile_variance, smooth_background
from sedmd.reduce.traces.extract import HALF_HEIGHT, fit_fluxes, model_image
from sedmd.reduce.traces.halo import Halo
from sedmd.reduce.traces.profile import Profile, gaussian_profile, measured_profile
from sedmd.reduce.traces.ridges import Chains, find_chains
from sedmd.reduce.traces.samples import Samples, make_samples
from sedmd.reduce.traces.widths import fit_widths

#: Powers of (x - centre)/100 in a trace: row, slope, curvature.
TRACE_TERMS = 3
#: Error of the profile as a share of the light in a trace's brightest pixel. Away from it the error falls as the root
#: of the light does: half-way down by a third, at the feet to a tenth, as what is left of bright traces shows.
DOUBT = 0.02
#: Percentile of the samples' light from which they show the profile: on the dome, and on a lamp, where few have a line.
DOME_BRIGHT, LINE_BRIGHT = 50.0, 97.0


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
    beside : Traces or None, spectra that lie mostly off the chip: no spaxels of the field, but their light is there
    own_width : (n,) factor by which each trace is wider than the width model says; None: none is
    halo : Halo or None, how the instrument scatters their light, where the dome has shown it
    """

    centre: NDArray[np.floating]
    y_coeff: NDArray[np.floating]
    x_first: NDArray[np.int64]
    x_last: NDArray[np.int64]
    width: NDArray[np.floating]
    width_order: int
    profile: Profile
    rms: NDArray[np.floating]
    beside: Traces | None = None
    own_width: NDArray[np.floating] | None = None
    halo: Halo | None = None

    @property
    def n(self) -> int:
        """Number of traces."""
        return self.centre.size

    def samples(self, shape: tuple[int, int], every: int = 1, *, beyond: int = 0) -> Samples:
        """Samples of every trace (of every `every`-th column), those `beside` among them as of trace -1.

        With `beyond`, those columns beyond both ends, too, where faint light of the spectra may still fall.
        """
        own = make_samples(
            x_first=self.x_first - beyond,
            x_last=self.x_last + beyond,
            centre=self.centre,
            y_coeff=self.y_coeff,
            sigma=self.width_at,
            shape=shape,
            every=every,
        )
        return (
            own
            if self.beside is None
            else own.with_unnamed(replace(self.beside, width=self.width).samples(shape, every, beyond=beyond))
        )

    def width_at(self, trace: NDArray[np.integer], x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[Any]:
        """Width of the core at points of the traces: (n_points,) pixel."""
        along = (x - self.centre[trace]) / 100.0
        value = field_value(x, y, self.width_order, self.width[:-2])
        value += (self.width[-2] + self.width[-1] * along) * along
        if self.own_width is not None:
            value *= self.own_width[trace]
        return np.clip(value, 0.5, 6.0, out=value)

    def select(self, keep: NDArray[Any]) -> Traces:
        """The traces of a boolean or index selection."""
        return replace(
            self,
            centre=self.centre[keep],
            y_coeff=self.y_coeff[keep],
            x_first=self.x_first[keep],
            x_last=self.x_last[keep],
            rms=self.rms[keep],
            own_width=None if self.own_width is None else self.own_width[keep],
        )


def joined(traces: Traces, more: Traces | None) -> Traces:
    """The traces of both, numbered on end; the width and profile of the first."""
    if more is None:
        return traces
    return replace(
        traces,
        centre=np.concatenate([traces.centre, more.centre]),
        y_coeff=np.vstack([traces.y_coeff, more.y_coeff]),
        x_first=np.concatenate([traces.x_first, more.x_first]),
        x_last=np.concatenate([traces.x_last, more.x_last]),
        rms=np.concatenate([traces.rms, more.rms]),
        own_width=np.concatenate([_own_width(traces), _own_width(more)]),
        beside=None,
    )


def _own_width(traces: Traces) -> NDArray[np.floating]:
    return np.ones(traces.n) if traces.own_width is None else traces.own_width


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
    y_coeff: NDArray[np.floating] = np.zeros((n, TRACE_TERMS))
    y_coeff[:, 0] = np.bincount(chains.chain, chains.y, n) / np.bincount(chains.chain, minlength=n)
    weight = np.ones(u.size)
    for _ in range(4):
        residual = chains.y - _rows(y_coeff, chains.chain, u)
        y_coeff = solve_traces(y_coeff, centre, chains.chain, u, residual, weight / 0.1**2)
        residual = chains.y - _rows(y_coeff, chains.chain, u)
        weight = 1.0 / (1.0 + (residual / 0.15) ** 2)
    rms = np.sqrt(np.bincount(chains.chain, weight * residual**2, n) / np.bincount(chains.chain, weight, n))
    width = np.zeros(1 + 2)
    width[0] = 1.4
    return Traces(
        centre=centre,
        y_coeff=y_coeff,
        x_first=first.astype(int),
        x_last=last.astype(int),
        width=width,
        width_order=0,
        profile=gaussian_profile(),
        rms=rms,
    )


def _rows(y_coeff: NDArray[Any], trace: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
    found: NDArray[Any] = y_coeff[trace, 0] + u * (y_coeff[trace, 1] + u * y_coeff[trace, 2])
    return found


def _width_terms(traces: Traces, trace: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Design matrix of the width: smooth over the detector plus a parabola along the trace."""
    along = (x - traces.centre[trace]) / 100.0
    return np.concatenate([terms(x, y, traces.width_order), along[:, None], along[:, None] ** 2], axis=1)


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is used of one frame, columns first: (n_columns, n_y) electron, usable pixels, light between the traces.

    `dy` is by how many rows its traces lie above those of the dome: the instrument bends between the two.
    """

    data: NDArray[np.float32]
    good: NDArray[np.bool_]
    background: NDArray[np.floating] | float
    read_noise: float
    dy: float = 0.0


@dataclass(frozen=True, slots=True)
class _Misfit:
    """What one frame says about the traces.

    Attributes
    ----------
    flux : (n,) electron, of each sample
    pulls : (6, n) see `sedmd.reduce.loops.light.pull_columns`
    residual : (n_columns, n_y) electron, neither trace nor background
    variance : (n_columns, n_y) electron**2, of `residual`
    """

    flux: NDArray[np.floating]
    pulls: NDArray[np.floating]
    residual: NDArray[np.float32]
    variance: NDArray[np.float32]


def refine_traces(
    traces: Traces,
    frames: Sequence[tuple[NDArray[np.floating], float]],
    *,
    every: int = 4,
    rounds: int = 4,
    width_order: int = 4,
) -> tuple[Traces, float]:
    """Improve rows, widths and profile together, with neighbours, wings and scattered light modelled.

    Parameters
    ----------
    traces : first guess, good to a pixel
    frames : (data, read_noise) in electron of the dome, first, then of the lamps; unusable pixels are NaN. The lamps'
        lines show where a trace runs beyond the colours in which the dome lamp shines
    every : columns between the samples that are used
    rounds : Gauss-Newton rounds
    width_order : degree of the width model over the field

    Returns
    -------
    traces : Traces
    chi2 : reduced chi-square of the dome
    """
    n = traces.n
    traces = joined(traces, traces.beside)  # all of them shine
    shape = frames[0][0].shape
    used = np.arange(every // 2, shape[1], every)
    views = [_used_columns(data, read_noise, used) for data, read_noise in frames]
    chi2 = float("nan")
    for round_ in range(rounds):
        on_chip = traces.samples(shape, every)
        # The columns that are used are numbered on end, so that the others cost neither time nor memory.
        samples = replace(on_chip, x=on_chip.x // every, shape=(shape[0], used.size))
        gap = gap_weight(samples, traces.profile)
        known = partial(_misfit, samples=samples, profile=traces.profile, gap=gap, used=used, n_x=shape[1])
        pairs = side_by_side(known, views)
        misfits, views = [misfit for misfit, _ in pairs], [view for _, view in pairs]
        chi2 = float(misfits[0].pulls[4].sum() / max(misfits[0].pulls[5].sum(), 1))
        profile = traces.profile
        traces, moved = _shift_traces(traces, on_chip, misfits)
        # Width and profile in turn: both would answer the same residual, and together they overshoot and swing.
        if round_ % 2 == 0:
            traces = _fit_width(traces, on_chip, misfits, width_order if traces.width_order else 1)
        else:
            traces = replace(traces, profile=_fit_profile(profile, samples, misfits, views))
        views = [replace(view, dy=view.dy + step) for view, step in zip(views, moved, strict=True)]
    own = np.arange(traces.n) < n
    return replace(traces.select(own), beside=None if own.all() else traces.select(~own)), chi2


def _used_columns(data: NDArray[Any], read_noise: float, used: NDArray[np.integer]) -> _Frame:
    """The columns that are used of a frame; pixels that are not finite are no good."""
    part = np.ascontiguousarray(data[:, used].T, np.float32)
    good = np.isfinite(part)
    return _Frame(np.where(good, part, np.float32(0.0)), good, float(np.nanpercentile(data[::5, ::5], 5)), read_noise)


def _misfit(
    frame: _Frame, *, samples: Samples, profile: Profile, gap: NDArray[Any], used: NDArray[np.integer], n_x: int
) -> tuple[_Misfit, _Frame]:
    """Fluxes and pulls of one frame under the present traces, and the frame with its background improved."""
    good, noise = frame.good, frame.read_noise**2
    samples = samples.moved(frame.dy)
    light = np.where(good, frame.data - frame.background, 0.0).astype(np.float32)
    # First fluxes with flat weights, then weights from the model: data-driven weights bias bright pixels low.
    fitted = fit_fluxes(samples, profile, light, np.where(good, np.float32(1.0 / noise), np.float32(0.0)))
    flux = np.maximum(np.nan_to_num(fitted.flux), 0.0)
    model = model_image(samples, profile, flux)
    left = light - model
    weight = np.where(good, gap / (np.float32(noise) + model + profile_variance(model)), np.float32(0.0))
    update = smooth_background(left, weight, columns=used, n_x=n_x)
    left -= update
    # Whosever light it is: beside a bright trace, that one's photons and profile say how well a faint one is seen.
    background = frame.background + update
    variance = model_image(samples, profile, DOUBT**2 * fitted.peak * flux**2)
    variance += model + np.maximum(background, np.float32(0.0)) + np.float32(noise)
    pulls = np.empty((6, flux.size))
    tables = (profile.table, profile.slope_table, profile.stretch_table, profile.step, HALF_HEIGHT)
    pull_columns(*samples.columns(), samples.y, samples.sigma, flux, left, variance, good, *tables, pulls)
    return _Misfit(flux, pulls, left, variance), replace(frame, background=background)


def _shift_traces(traces: Traces, samples: Samples, misfits: Sequence[_Misfit]) -> tuple[Traces, list[float]]:
    """One Gauss-Newton step in the rows of the dome's traces, and by how much each frame lies above the first."""
    offsets, infos = [], []
    for m in misfits:
        info, answer = m.pulls[0], m.pulls[1]
        dy = answer / np.maximum(info, 1e-9)
        offsets.append(np.clip(dy, -0.8, 0.8))
        infos.append(np.where((np.abs(dy) < 1.5) & (info > 4.0), info, 0.0))
    mean = [float((dy * info).sum() / max(info.sum(), 1e-9)) for dy, info in zip(offsets, infos, strict=True)]
    moved = [one - mean[0] for one in mean]
    trace = np.tile(samples.trace, len(misfits))
    dy = np.concatenate([dy - step for dy, step in zip(offsets, moved, strict=True)])
    info = np.concatenate(infos)
    u = np.tile((samples.x - traces.centre[samples.trace]) / 100.0, len(misfits))
    y_coeff = solve_traces(traces.y_coeff, traces.centre, trace, u, dy, info)
    left = dy - (_rows(y_coeff, trace, u) - _rows(traces.y_coeff, trace, u))
    total = np.bincount(trace, info, traces.n)
    rms = np.sqrt(np.bincount(trace, info * left**2, traces.n) / np.maximum(total, 1e-9))
    return replace(traces, y_coeff=y_coeff, rms=np.where(total > 0, rms, np.nan)), moved


def _fit_width(traces: Traces, samples: Samples, misfits: Sequence[_Misfit], order: int) -> Traces:
    """One Gauss-Newton step in the widths; traces differ from the field when it has the degree that it should have."""
    design = _width_terms(replace(traces, width_order=order), samples.trace, samples.x, samples.y)
    widths, weights = [], []
    for m in misfits:
        info, answer = m.pulls[2], m.pulls[3]
        ds = answer / np.maximum(info, 1e-9)
        weights.append(np.where((np.abs(ds) < 1.0) & (info > 4.0), info, 0.0))
        widths.append(samples.sigma + np.clip(ds, -0.4, 0.4))
    # every frame has the same samples: their mean and its weight say as much
    weight = np.sum(weights, axis=0)
    width = np.sum([w * v for w, v in zip(weights, widths, strict=True)], axis=0) / np.maximum(weight, 1e-9)
    each = order == traces.width_order
    coefficients, own = fit_widths(design, samples.trace, _own_width(traces), width, weight, each=each)
    return replace(traces, width_order=order, width=coefficients, own_width=own)


def _fit_profile(profile: Profile, samples: Samples, misfits: Sequence[_Misfit], frames: Sequence[_Frame]) -> Profile:
    """The profile that the residuals ask for: its core on the dome, its wings beside the lines of the lamps."""
    core = _observed_shares(profile, samples, misfits[0], frames[0], DOME_BRIGHT)
    lines = [_observed_shares(profile, samples, *one, LINE_BRIGHT) for one in zip(misfits[1:], frames[1:], strict=True)]
    return measured_profile(core, np.sum(lines, axis=0) if lines else None, profile)


def _observed_shares(
    profile: Profile, samples: Samples, misfit: _Misfit, frame: _Frame, percentile: float
) -> NDArray[np.floating]:
    """What was modelled and what is left, in units of the flux, of the samples brighter than the percentile: (2, m)."""
    sums = np.zeros((2, profile.value.size))
    brighter = float(np.percentile(misfit.flux, percentile))
    light = (misfit.flux, misfit.residual, misfit.variance, frame.good)
    samples = samples.moved(frame.dy)
    profile_columns(
        *samples.columns(), samples.y, samples.sigma, *light, profile.table, profile.step, HALF_HEIGHT, brighter, sums
    )
    return sums
