"""The night's geometry from its dome and lamp frames: which traces there are, where they run, what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.core.instrument import FULL_RANGE, DispersionGuess
from sedmd.reduce.numeric.containers import Image
from sedmd.reduce.numeric.parallel import side_by_side
from sedmd.reduce.traces.background import BEYOND_PX
from sedmd.reduce.traces.frame import find_halo, separate_traces
from sedmd.reduce.traces.traces import Traces, find_traces, refine_traces
from sedmd.reduce.wavelength.arcs import (
    HALF_SPAN,
    Alignment,
    ExpectedPlace,
    Lines,
    align,
    identify,
    mean_aligned,
    peak_sigma,
    straighten,
)
from sedmd.reduce.wavelength.geometry import Lattice, find_lattice
from sedmd.reduce.wavelength.half_lost import with_half_lost
from sedmd.reduce.wavelength.law import EarlierLaw, Law, ToldCurve, told_curve
from sedmd.reduce.wavelength.law_scale import bent_to
from sedmd.reduce.wavelength.scale import Scale, make_scale
from sedmd.reduce.wavelength.shared_rows import blue_ends_apart
from sedmd.reduce.wavelength.wavelength import WavelengthSolution, fit_wavelengths

#: Wavelengths between which a trace is extracted [Angstrom]: all that silicon still sees. Light beyond the end of its
#: trace would be taken for the light between the spectra, or for that of a spectrum that begins beside it.
EXTRACTION_RANGE = (3550.0, 10700.0)
#: So many columns beyond that a spectrum on the dome may go on: 500 Angstrom.
MORE_COLUMNS = 12.0
#: Wavelength at which a spaxel's place on the detector is quoted.
REFERENCE_WAVELENGTH = 6500.0
#: Fewest groups of lamp lines that place a spaxel, the smooth field model giving the rest.
MIN_LINE_GROUPS = 2
#: Lowest correlation of the lamp spectra with the line lists that counts as identified: 0.8 to 0.9 with the right
#: lamps, for any ratios of their lines; less than 0.5 with exchanged ones.
MIN_IDENTIFICATION = 0.6
#: Lowest likeness of a trace's lamp spectra with the mean of all, in units of the usual one, that places its lines.
MIN_LIKENESS = 0.5
#: Rounds of the first solution, of every trace and of the few on which the published curves are tried: the strengths
#: of the tables, then learned once. It is then 0.01 px from where six rounds take it, a hundredth of what the lattice
#: and the windows of the traces need; the wavelength job begins its own rounds from there.
FIRST_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Traces of the spaxels with their place in the array.

    Attributes
    ----------
    traces : Traces, sorted by spaxel number
    solution : first wavelength solution, rows as in `traces`
    lattice : Lattice, rows as in `traces`
    x_ref, y_ref : (n,) detector position of the reference wavelength
    complete : (n,) bool, the whole range 3800-9200 Angstrom is on the chip
    score : correlation of the lamps with their line lists
    chi2 : reduced chi-square of the dome under the trace model
    """

    traces: Traces
    solution: WavelengthSolution
    lattice: Lattice
    x_ref: NDArray[np.floating]
    y_ref: NDArray[np.floating]
    complete: NDArray[np.bool_]
    score: float
    chi2: float


def solve_geometry(
    dome: Image,
    lamps: Mapping[str, Image],
    lines: Mapping[str, Lines],
    guesses: Sequence[DispersionGuess],
    law: Law | None = None,
) -> Geometry:
    """Find the traces on the dome, identify the lamps' lines, and lay the hexagonal lattice through the spaxels.

    Parameters
    ----------
    dome : Image, combined dome exposures
    lamps : lamp -> Image, combined lamp exposures
    lines : lamp -> its lines
    guesses : published wavelength scales to start from
    law : of an earlier night, to start from and to be held to where the lines agree

    Returns
    -------
    Geometry

    Raises
    ------
    ValueError
        If traces, lines or the lattice are not found; the text says which and what to look at.
    """
    traces = find_traces(np.where(dome.mask == 0, dome.data, 0.0).astype(np.float32), read_noise=dome.read_noise)
    frames = [(np.where(i.mask == 0, i.data, np.nan), i.read_noise) for i in (dome, *lamps.values())]
    traces, _ = refine_traces(traces, frames[:1], rounds=2, width_order=2)
    solution, score = _first_solution(traces, lamps, lines, guesses, law)
    x_ref, y_ref = reference_positions(traces, solution)
    # A spaxel half off the chip shows few lines, but its light has to be modelled: the lattice gives its place.
    known = solution.n_lines >= MIN_LINE_GROUPS
    lattice = find_lattice(np.where(known, x_ref, np.nan), np.where(known, y_ref, np.nan))
    keep = np.flatnonzero(lattice.on_lattice)
    keep = keep[np.lexsort((lattice.q[keep], lattice.r[keep]))]
    node = np.column_stack([lattice.q, lattice.r])[keep]
    solution = select_spaxels(solution, keep)
    traces = with_windows(traces.select(keep), solution.coeff, solution)
    traces = with_half_lost(
        traces, solution, node, x_ref[keep], y_ref[keep], dome, REFERENCE_WAVELENGTH, EXTRACTION_RANGE
    )
    traces = blue_ends_apart(traces, solution, EXTRACTION_RANGE, dome.data.shape)
    traces, chi2 = refine_traces(traces, frames)
    samples, lit = traces.samples(dome.data.shape), traces.samples(dome.data.shape, beyond=BEYOND_PX)
    traces = replace(traces, halo=find_halo(dome, samples, traces.profile, lit=lit))
    x_ref, y_ref = reference_positions(traces, solution)
    lattice = find_lattice(x_ref, y_ref)
    return Geometry(
        traces=traces,
        solution=solution,
        lattice=lattice,
        x_ref=x_ref,
        y_ref=y_ref,
        complete=complete_spaxels(traces, solution, dome.data.shape),
        score=score,
        chi2=chi2,
    )


def refine_wavelengths(
    traces: Traces,
    start: WavelengthSolution,
    lamps: Mapping[str, Image],
    lines: Mapping[str, Lines],
    guesses: Sequence[DispersionGuess] = (),
    law: Law | None = None,
) -> WavelengthSolution:
    """Wavelength solution from arc spectra extracted with the profile, neighbours taken apart.

    Parameters
    ----------
    traces : refined traces
    start : first solution, rows as in `traces`
    lamps : lamp -> Image
    lines : lamp -> its lines
    guesses : published curves; that which is least like the solution's own tells how far another law is off
    law : of an earlier night; rejected if tonight's lines contradict it, which `WavelengthSolution.earlier` then says

    Returns
    -------
    WavelengthSolution
    """
    arcs = dict(zip(lamps, side_by_side(lambda image: _arc_spectra(traces, image), lamps.values()), strict=True))

    def fit(scale: Scale, coeff: NDArray[Any], told: tuple[ToldCurve, ToldCurve] | None) -> WavelengthSolution:
        return fit_wavelengths(
            {lamp: flux for lamp, (flux, _) in arcs.items()},
            {lamp: variance for lamp, (_, variance) in arcs.items()},
            {lamp: lines[lamp] for lamp in lamps},
            scale,
            np.rint(traces.centre),
            traces.y_coeff[:, 0],
            coeff,
            line_sigma_px=typical_sigma(start, traces),
            rounds=16,
            other=_other_law(scale, guesses),
            told=None if told is None else told[0],
            other_told=None if told is None else told[1],
        )

    against: EarlierLaw | None = None
    if law is not None and (bent := bent_to(law, guesses)) is not None:
        scale, told = bent
        other = _other_law(scale, guesses)
        with_law = fit(scale, coeff_on(scale, start), (told, told if other is None else told_curve(law, other.to_xi)))
        if with_law.earlier is None or not with_law.earlier.change.contradicts:
            return with_law
        against = with_law.earlier
    return replace(fit(start.scale, start.coeff, None), earlier=against)


def coeff_on(scale: Scale, solution: WavelengthSolution, order: int = 4) -> NDArray[np.floating]:
    """The columns of a solution as polynomials in another prism coordinate: (n, order + 1), NaN where it has none.

    Parameters
    ----------
    scale : the other prism coordinate
    solution : WavelengthSolution
    order : degree of the polynomials
    """
    wavelength = np.arange(EXTRACTION_RANGE[0], EXTRACTION_RANGE[1], 100.0)
    column = solution.column(wavelength)
    known = np.isfinite(column).all(axis=1)
    coeff = np.full((len(column), order + 1), np.nan)
    coeff[known] = np.polynomial.polynomial.polyfit(scale.to_xi(wavelength), column[known].T, order).T
    return coeff


def _other_law(own: Scale, guesses: Sequence[DispersionGuess]) -> Scale | None:
    """Of the published curves, that which is least like the one that the solution uses."""
    curves = [make_scale(guess.wavelength, guess.column) for guess in guesses]
    return max(curves, key=lambda curve: float(np.ptp(curve.xi - own.to_xi(curve.wavelength))), default=None)


def _arc_spectra(traces: Traces, image: Image) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Flux and variance of a lamp on columns relative to the middle of each trace: (n, 2 HALF_SPAN + 1), NaN: none."""
    separated = separate_traces(image, traces, dy_px=0.0, rounds=2)
    samples = separated.samples
    shape = (traces.n, 2 * HALF_SPAN + 1)
    flux, variance = np.full(shape, np.nan), np.full(shape, np.nan)
    column = samples.x - np.rint(traces.centre[samples.trace]).astype(int) + HALF_SPAN
    good = (column >= 0) & (column < shape[1]) & (~separated.extracted.bad)
    flux[samples.trace[good], column[good]] = separated.extracted.flux[good]
    variance[samples.trace[good], column[good]] = separated.extracted.variance[good]
    return flux, variance


def reference_positions(traces: Traces, solution: WavelengthSolution) -> tuple[NDArray[Any], NDArray[Any]]:
    """Column and row of the reference wavelength in every trace: (n,), (n,)."""
    x = solution.column(np.array([REFERENCE_WAVELENGTH]))[:, 0]
    u = (x - traces.centre) / 100.0
    return x, traces.y_coeff[:, 0] + u * (traces.y_coeff[:, 1] + u * traces.y_coeff[:, 2])


def with_windows(traces: Traces, coeff: NDArray[np.floating], solution: WavelengthSolution) -> Traces:
    """The traces with their column ranges set by wavelength instead of by where the dome was bright.

    Beyond the last lamp line the wavelengths of the red end are extrapolated: there a trace goes on as far as the dome
    shines, or its light would be taken for that of the spectrum that begins there.
    """
    xi = solution.scale.to_xi(np.array(EXTRACTION_RANGE))
    edges = np.polynomial.polynomial.polyval(xi, coeff.T)
    known = np.isfinite(edges).all(axis=1)
    blue, red = np.nan_to_num(edges).T
    lowest = np.where(red < blue, np.clip(traces.x_first, red - MORE_COLUMNS, red), blue)
    highest = np.where(red < blue, blue, np.clip(traces.x_last, red, red + MORE_COLUMNS))
    first = np.where(known, np.floor(lowest), traces.x_first).astype(int)
    last = np.where(known, np.ceil(highest), traces.x_last).astype(int)
    return replace(traces, x_first=first, x_last=last)


def complete_spaxels(traces: Traces, solution: WavelengthSolution, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which spaxels have their whole spectrum, with its profile, on the chip: (n,) bool."""
    ends = np.sort(solution.column(np.array(FULL_RANGE)), axis=1)
    u = (ends - traces.centre[:, None]) / 100.0
    y = traces.y_coeff[:, :1] + u * (traces.y_coeff[:, 1:2] + u * traces.y_coeff[:, 2:3])
    inside = (ends[:, 0] >= 0) & (ends[:, 1] <= shape[1] - 4)
    found: NDArray[np.bool_] = inside & (y.min(axis=1) >= 0) & (y.max(axis=1) <= shape[0] - 1)
    return found


def _first_solution(
    traces: Traces,
    lamps: Mapping[str, Image],
    lines: Mapping[str, Lines],
    guesses: Sequence[DispersionGuess],
    law: Law | None,
) -> tuple[WavelengthSolution, float]:
    """Identify the lines in simple row sums and fit a solution to them."""
    names = [lamp for lamp in lamps if lamp in lines]
    spectra = np.stack([straighten(traces, lamps[lamp].data) for lamp in names])
    length = traces.x_last - traces.x_first
    distance = np.hypot(traces.centre - 1024, traces.y_coeff[:, 0] - 1024)
    reference = int(np.argmin(distance + 1e4 * (length < 0.8 * np.percentile(length, 80))))
    found = align(spectra, traces.centre, traces.y_coeff[:, 0], reference)
    template = dict(zip(names, mean_aligned(np.nan_to_num(spectra), found), strict=True))
    sigma = float(np.median([peak_sigma(t) for t in template.values()]))
    against: EarlierLaw | None = None
    if law is not None and (bent := bent_to(law, guesses)) is not None:
        scale, told = bent
        # the law is that of the mean spaxel, the template that of the trace it began with
        alike = found.likeness > MIN_LIKENESS * np.median(found.likeness)
        typical = float(found.stretch[alike].mean())
        shift = (told.zero - law.sense * float(np.median(found.shift[alike]))) / typical
        expected = ExpectedPlace(sense=law.sense, shift=shift)
        p, score = identify(template, lines, scale.wavelength, 100.0 * scale.xi / typical, expected)
        p /= np.array([1.0, typical, 1.0, 1.0])
        if score >= MIN_IDENTIFICATION:
            start = _start(traces.centre, found, p, scale)
            solution = _fit(traces, lamps, lines, scale, start, sigma, rounds=FIRST_ROUNDS, told=told)
            if solution.earlier is None or not solution.earlier.change.contradicts:
                return solution, score
            against = solution.earlier
    scales = [make_scale(guess.wavelength, guess.column) for guess in guesses]
    identified = side_by_side(lambda guess: identify(template, lines, guess.wavelength, guess.column), guesses)
    starts = [_start(traces.centre, found, p, scale) for (p, _), scale in zip(identified, scales, strict=True)]
    scores = [score for _, score in identified]
    if max(scores) < MIN_IDENTIFICATION:
        raise ValueError(
            f"the lamp lines could not be identified: correlation {max(scores):.2f} with the line lists, at least "
            f"{MIN_IDENTIFICATION} expected; look at the combined {', '.join(names)} frames"
        )
    # Every published curve is tried on a part of the spaxels; the one that has to be bent least is taken.
    few = np.arange(0, traces.n, max(1, traces.n // 150))

    def strain(scale_and_start: tuple[Scale, NDArray[Any]]) -> float:
        scale, start = scale_and_start
        try:
            return _fit(traces.select(few), lamps, lines, scale, start[few], sigma, rounds=FIRST_ROUNDS).strain
        except ValueError:
            return np.inf

    strains = side_by_side(strain, zip(scales, starts, strict=True))
    best = int(np.argmin(strains)) if np.isfinite(strains).any() else int(np.argmax(scores))
    solution = _fit(traces, lamps, lines, scales[best], starts[best], sigma, rounds=FIRST_ROUNDS)
    return replace(solution, earlier=against), scores[best]


def _start(
    centre: NDArray[np.floating], found: Alignment, p: NDArray[np.floating], scale: Scale
) -> NDArray[np.floating]:
    """Polynomials column(xi) of every trace from its alignment with the identified template: (n, 5)."""
    blue, red = scale.to_xi(np.array(EXTRACTION_RANGE))
    xi = np.linspace(float(blue), float(red), 40)
    u = np.polynomial.polynomial.polyval(xi, [p[0], 100.0 * p[1], p[2], p[3]])
    place = found.shift[:, None] + found.stretch[:, None] * u + found.bend[:, None] * (u / 100.0) ** 2
    start = np.polynomial.polynomial.polyfit(xi, place.T, 4).T
    start[:, 0] += centre
    start[found.likeness < MIN_LIKENESS * np.median(found.likeness)] = np.nan
    return start


def _fit(
    traces: Traces,
    lamps: Mapping[str, Image],
    lines: Mapping[str, Lines],
    scale: Scale,
    start: NDArray[Any],
    line_sigma_px: float,
    *,
    rounds: int,
    told: ToldCurve | None = None,
) -> WavelengthSolution:
    """Solution from simple row sums."""
    names = [lamp for lamp in lamps if lamp in lines]
    spectra = {lamp: straighten(traces, lamps[lamp].data) for lamp in names}
    variance = {lamp: np.maximum(s, 0) + 5 * lamps[lamp].read_noise ** 2 for lamp, s in spectra.items()}
    return fit_wavelengths(
        spectra,
        variance,
        {lamp: lines[lamp] for lamp in names},
        scale,
        traces.centre,
        traces.y_coeff[:, 0],
        start,
        line_sigma_px=line_sigma_px,
        rounds=rounds,
        told=told,
    )


def typical_sigma(solution: WavelengthSolution, traces: Traces) -> float:
    """Median Gaussian sigma of a lamp line over the field, columns."""
    rows, columns = np.clip(traces.y_coeff[:, 0], 0, 2048), np.clip(traces.centre, 0, 2048)
    return float(np.median(solution.line_sigma(columns, rows)))


def select_spaxels(solution: WavelengthSolution, keep: NDArray[Any]) -> WavelengthSolution:
    """The rows of a solution that belong to a selection of spaxels."""
    return replace(solution, coeff=solution.coeff[keep], rms=solution.rms[keep], n_lines=solution.n_lines[keep])
