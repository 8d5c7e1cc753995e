"""The wavelength solution: one smooth model over the field, refined per spaxel as far as the lines allow.

A spaxel's column is a polynomial in the *prism coordinate* xi: the published column-against-wavelength curve of the
instrument. The curve carries the shape that the prism gives; what is left to the fit is a shift, a stretch and
small, slowly varying higher terms, so that a few lines fix a solution from 3700 to 9300 Angstrom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.field import FieldModel, fit_field
from sedmd.reduce.numeric.parallel import side_by_side
from sedmd.reduce.wavelength.accuracy import BEST_GROUP, Accuracy, accuracy_of, mean_places
from sedmd.reduce.wavelength.arcs import HALF_SPAN, Lines
from sedmd.reduce.wavelength.dispersion import CURVE_RANGE, Fitted, Group, fit_model
from sedmd.reduce.wavelength.law import PUBLISHED, EarlierLaw, Law, LawChange, ToldCurve, change_of
from sedmd.reduce.wavelength.line_groups import (
    MEASURED,
    RED_TABLE_SIGMA,
    REDDEST_FITTED,
    REDDEST_RELIABLE,
    blends,
    lamp_groups,
)
from sedmd.reduce.wavelength.linefit import (
    KNOWN_SPREAD_SIGMA,
    KNOWN_WIDTH_SIGMA,
    SPREAD_SIGMA,
    TABLE_SIGMA,
    WIDTH_SIGMA,
    GroupFit,
    fit_group,
)
from sedmd.reduce.wavelength.scale import Scale, bent_scale

#: Strong lines closer than this many times the width (sigma) of a line are fitted together.
GROUP_SEPARATION = 3.2
#: Strong lines of a group within this many times that width have one shift: closer than two, they are one peak.
BLEND_SEPARATION = 1.7
#: Scatter over the spaxels about the solution [column], and as a multiple of the usual one, beyond which a group of
#: lines measures nothing: weak lines lost in a continuum, or none at all where the table has some.
MAX_GROUP_SCATTER, MAX_GROUP_EXCESS = 0.3, 4.0
#: Rounds in which the lines' strengths are those of the tables: from a bad place another ratio explains a blend as well
#: as a shift does. Then rounds in which they are learned from the night; after these they are held again, so that
#: places and strengths do not go on to answer each other along what neither knows.
ROUNDS_HELD, ROUNDS_LEARNING = 2, 3
#: Rounds in which xi is that of the published curve; then it is that of the middle of the field as it was found. What
#: differs over the field is the image of the focal plane, a smooth function of the place there, and of no published
#: curve. A first solution ends before, so that the wavelength job begins from the published curve.
ROUNDS_OF_THE_CURVE = 3
#: Change of places from round to round [column] below which a solution has arrived; nine in ten move less.
ARRIVED = 0.002
#: Fewest groups of lines: those that shift, stretch and a bend go through and two to contradict them. Where the law of
#: an earlier night tells the bends, shift and stretch, and two.
MIN_GROUPS_FITTED, MIN_GROUPS_BY_LAW = 5, 4
#: Fewest of them in a spaxel whose rms means something: one more than shift, stretch and bend; than shift and stretch.
MIN_SPAXEL_LINES, MIN_SPAXEL_LINES_BY_LAW = 4, 3
#: How far the mean of a group may be off, in units of its scatter over the spaxels.
SCATTER_UNCERTAINTY = 1.0


class LineGroup(NamedTuple):
    """Fit of one group of lamp lines in a solution.

    Attributes
    ----------
    lamp : str
    wavelength : float, mean of the group [Angstrom, air]
    offset, scatter : float, median residual and its robust rms over the spaxels [column]
    left_out, left_out_error : float, how far the group lies from where all others alone put it, and how far that may be
        [column]; NaN where it is not known
    """

    lamp: str
    wavelength: float
    offset: float
    scatter: float
    left_out: float = float("nan")
    left_out_error: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class WavelengthSolution:
    """Column of every wavelength in every spaxel.

    Attributes
    ----------
    scale : Scale
    coeff : (n, order + 1) column as powers of xi, lowest first
    rms : (n,) column, weighted rms of the lines about the solution; NaN where too few lines were seen
    n_lines : (n,) number of line groups used
    line_sigma : FieldModel of the Gaussian sigma of a line, column
    line_sigma_slope : float, relative change of that sigma per unit xi
    groups : tuple of LineGroup
    strain : float, how hard the lines and the published curve had to be bent to agree: the penalty of the group offsets
        in units of their uncertainties and of the higher terms in units of their prior, per group; about 1 when all is
        well
    accuracy : Accuracy or None, how well it is known along the spectrum
    lines : Law or None, where its lines lie in the mean of the field, for later nights
    earlier : EarlierLaw or None, the law of an earlier night that it was fitted with
    """

    scale: Scale
    coeff: NDArray[np.floating]
    rms: NDArray[np.floating]
    n_lines: NDArray[np.int64]
    line_sigma: FieldModel
    line_sigma_slope: float
    groups: tuple[LineGroup, ...]
    strain: float = float("nan")
    accuracy: Accuracy | None = None
    lines: Law | None = None
    earlier: EarlierLaw | None = None

    @property
    def sense(self) -> int:
        """1 where blue light falls on high columns, -1 where on low ones: a detector can be read from any corner."""
        return -1 if np.nanmedian(self.coeff[:, 1]) < 0 else 1

    def column(self, wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
        """Column of each wavelength [Angstrom, air] in each spaxel: (n, n_wave)."""
        xi = self.scale.to_xi(np.atleast_1d(wavelength))
        return np.polynomial.polynomial.polyval(xi, self.coeff.T)

    def wavelength(self, trace: NDArray[np.integer], column: NDArray[np.floating]) -> NDArray[np.floating]:
        """Wavelength [Angstrom, air] at points given by trace and column: (n_points,)."""
        return self.scale.to_wavelength(self._xi(trace, column))

    def dispersion(self, trace: NDArray[np.integer], column: NDArray[np.floating]) -> NDArray[np.floating]:
        """Width of a column in Angstrom at points given by trace and column, positive."""
        xi = self._xi(trace, column)
        step = 0.005
        return np.abs(
            (self.scale.to_wavelength(xi + step) - self.scale.to_wavelength(xi - step))
            / (_horner(self.coeff, trace, xi + step) - _horner(self.coeff, trace, xi - step))
        )

    def _xi(self, trace: NDArray[np.integer], column: NDArray[np.floating]) -> NDArray[np.floating]:
        """Invert the polynomial by Newton's rule; it is monotonic and nearly linear."""
        xi = (column - self.coeff[trace, 0]) / self.coeff[trace, 1]
        for _ in range(6):
            value = _horner(self.coeff, trace, xi) - column
            slope = _horner(self.coeff[:, 1:] * np.arange(1, self.coeff.shape[1]), trace, xi)
            xi = xi - value / np.where(np.abs(slope) > 20.0, slope, 20.0 * np.sign(slope) + (slope == 0))
        found: NDArray[np.floating] = xi
        return found


def _horner(coeff: NDArray[Any], trace: NDArray[Any], xi: NDArray[Any]) -> NDArray[np.floating]:
    value = np.zeros(np.shape(xi))
    for power in range(coeff.shape[1] - 1, -1, -1):
        value = value * xi + coeff[trace, power]
    return value


@dataclass(slots=True)
class _LampState:
    """One lamp, and what one round of fits hands to the next: line intensities and the light of each group."""

    lamp: str
    spectra: NDArray[np.floating]
    variance: NDArray[np.floating]
    lines: Lines
    table: NDArray[np.floating]
    intensity: NDArray[np.floating]
    #: Columns and light of each group as last fitted, by its first line.
    models: dict[int, tuple[NDArray[np.int64], NDArray[np.floating]]]
    groups: list[NDArray[np.int64]]
    #: Which lines of each group share a shift.
    blends: list[NDArray[np.int64]]
    #: Light of the brightest group, electron; 0 before it is known.
    brightest: float = 0.0


def fit_wavelengths(
    spectra: Mapping[str, NDArray[np.floating]],
    variance: Mapping[str, NDArray[np.floating]],
    lines: Mapping[str, Lines],
    scale: Scale,
    centre: NDArray[np.floating],
    row: NDArray[np.floating],
    start: NDArray[np.floating],
    *,
    line_sigma_px: float = 1.3,
    rounds: int = 16,
    other: Scale | None = None,
    told: ToldCurve | None = None,
    other_told: ToldCurve | None = None,
) -> WavelengthSolution:
    """Fit the solution from straightened arc spectra.

    Parameters
    ----------
    spectra, variance : lamp -> (n, 2 HALF_SPAN + 1) electron, electron**2, on columns relative to `centre`
    lines : lamp -> its lines
    scale : the prism coordinate
    centre, row : (n,) reference column and row of the spaxels
    start : (n, order + 1) starting polynomials column(xi); NaN for spaxels without a start
    line_sigma_px : first guess of the Gaussian sigma of a line
    rounds : measure-and-fit rounds at most; fewer where the lines' places have come to rest
    other : another prism coordinate, of which the solution makes no use but to tell its accuracy
    told : the law of an earlier night, to which `scale` is bent: its bends are those, as far as the lines let them
    other_told : the same law on `other`

    Returns
    -------
    WavelengthSolution

    Raises
    ------
    ValueError
        If fewer than five line groups (four with an earlier night's law) are seen in at least half of the spaxels.
    """
    least = MIN_GROUPS_FITTED if told is None else MIN_GROUPS_BY_LAW
    by_law = scale.to_xi
    change: LawChange | None = None
    freedom: NDArray[np.floating] | None = None
    coeff = np.array(start, float)
    n = coeff.shape[0]
    line_sigma = FieldModel(order=0, coefficients=np.array([line_sigma_px]), scatter=np.asarray(0.0))
    slope = 0.0
    states = [_lamp_state(lamp, table, spectra[lamp], variance[lamp]) for lamp, table in lines.items()]
    good: list[Group] = []
    bends: NDArray[np.floating] = np.zeros(0)
    sampled = np.arange(4000.0, 9201.0, 200.0)
    places = np.polynomial.polynomial.polyval(scale.to_xi(sampled), coeff.T)
    for round_ in range(rounds):
        measure = partial(
            _measure,
            scale=scale,
            coeff=coeff,
            centre=centre,
            row=row,
            line_sigma=line_sigma,
            slope=slope,
            max_shift=5.0 if round_ == 0 else 2.0,
            known_width=round_ >= ROUNDS_HELD,
            free_strengths=ROUNDS_HELD <= round_ < ROUNDS_HELD + ROUNDS_LEARNING,
        )
        measured = [group for groups in side_by_side(measure, states) for group in groups]
        good = [g for g in measured if np.isfinite(g.column).sum() >= 0.4 * n and g.wavelength < REDDEST_FITTED]
        if len(good) < least:
            seen = ", ".join(f"{g.lamp} {g.wavelength:.0f}" for g in good) or "none"
            raise ValueError(
                f"only {len(good)} groups of lamp lines seen in most spaxels ({seen}), at least {least} are needed; "
                "were the Hg, Cd and Xe lamps on and the exposures long enough?"
            )
        if told is not None:
            change = change_of(told, by_law, mean_places(good, coeff))
            freedom = told.about(change.most).covariance
        first = fit_model(good, _ends(scale), centre, row, bends, freedom)
        residual, weight = first.residual, first.weight
        scatter = np.array([_scatter(residual[weight[:, i] > 0, i]) for i in range(len(good))])
        tight = scatter <= max(MAX_GROUP_SCATTER, MAX_GROUP_EXCESS * float(np.median(scatter)))
        if tight.sum() < least:
            tight[:] = True
        # What makes a line scatter from spaxel to spaxel, light that no table has, moves their mean as well.
        good = [
            replace(g, uncertainty=float(np.hypot(g.uncertainty, SCATTER_UNCERTAINTY * s)))
            for g, s, kept in zip(good, scatter, tight, strict=True)
            if kept
        ]
        if round_ >= ROUNDS_OF_THE_CURVE and (bent := bent_scale(scale, first.curve)) is not scale:
            scale, bends = bent, first.bends
            good = [replace(g, xi=float(scale.to_xi(np.array(g.wavelength)))) for g in good]
        fitted = fit_model(good, _ends(scale), centre, row, bends, freedom)
        coeff = fitted.coeff
        line_sigma, slope = _fit_line_sigma(good, centre, row, line_sigma, slope)
        before, places = places, np.polynomial.polynomial.polyval(scale.to_xi(sampled), coeff.T)
        if round_ > ROUNDS_HELD + ROUNDS_LEARNING and np.nanpercentile(np.abs(places - before), 90) < ARRIVED:
            break
    residual, weight = fitted.residual, fitted.weight
    used = weight > 0
    n_lines = used.sum(axis=1)
    rms = spaxel_rms(residual, weight, np.array([g.uncertainty for g in good]))
    groups = tuple(
        LineGroup(
            lamp=g.lamp,
            wavelength=g.wavelength,
            offset=float(np.median(residual[used[:, i], i])),
            scatter=_scatter(residual[used[:, i], i]),
            left_out=float(fitted.left_out[i]),
            left_out_error=float(fitted.left_out_error[i]),
        )
        for i, g in enumerate(good)
    )
    return WavelengthSolution(
        scale=scale,
        coeff=coeff,
        rms=np.where(n_lines >= (MIN_SPAXEL_LINES if told is None else MIN_SPAXEL_LINES_BY_LAW), rms, np.nan),
        n_lines=n_lines,
        line_sigma=line_sigma,
        line_sigma_slope=slope,
        groups=groups,
        strain=fitted.strain,
        accuracy=accuracy_of(
            good,
            coeff,
            scale.to_xi,
            None if other is None else other.to_xi,
            bends=PUBLISHED if told is None or change is None else told.about(change.most),
            other_bends=PUBLISHED if other_told is None or change is None else other_told.tonight(change.most),
        ),
        lines=_lines_of(good, fitted),
        earlier=None if told is None or change is None else EarlierLaw(law=told.law, change=change),
    )


def _lines_of(groups: Sequence[Group], fitted: Fitted) -> Law:
    """Where the groups lie in the mean of the field."""
    return Law(
        lamp=tuple(group.lamp for group in groups),
        wavelength=np.array([group.wavelength for group in groups]),
        place=fitted.place,
        error=np.hypot(BEST_GROUP, np.array([group.uncertainty for group in groups])),
    )


def _ends(scale: Scale) -> tuple[float, float]:
    blue, red = scale.to_xi(np.array(CURVE_RANGE))
    return float(blue), float(red)


def spaxel_rms(
    residual: NDArray[np.floating], weight: NDArray[np.floating], uncertainty: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Rms of the groups about the solution in each spaxel, (n,) column.

    A group whose wavelength is not known says little about how well the spaxel's are.

    Parameters
    ----------
    residual, weight : (n, m) column, and inverse squared error of the measurement; 0: not used
    uncertainty : (m,) column, how far each group may be off in all spaxels alike
    """
    sure = weight / (1.0 + weight * uncertainty**2)
    rms: NDArray[np.floating] = np.sqrt((sure * residual**2).sum(axis=1) / np.maximum(sure.sum(axis=1), 1e-12))
    return rms


def _scatter(residual: NDArray[np.floating]) -> float:
    """Robust rms about the median."""
    return float(1.4826 * np.median(np.abs(residual - np.median(residual))))


def _lamp_state(
    lamp: str, table: Lines, spectra: NDArray[Any], variance: NDArray[Any], threshold: float = 0.0015
) -> _LampState:
    """A lamp with the lines that matter at this resolution; the forest of weak ones would tie all into one group."""
    keep = table.intensity > threshold * table.intensity.max()
    lines = Lines(wavelength=table.wavelength[keep], intensity=table.intensity[keep])
    relative = lines.intensity / lines.intensity.max()
    return _LampState(lamp, spectra, variance, lines, relative, relative.copy(), {}, [], [])


def line_width(
    line_sigma: FieldModel, slope: float, centre: NDArray[Any], row: NDArray[Any], xi: NDArray[Any]
) -> NDArray[np.floating]:
    """Gaussian sigma of a line [column] in each spaxel (n,) at each xi, (m,) or the spaxel's own (n, m): (n, m)."""
    base = line_sigma(np.clip(centre, 0, 2048), np.clip(row, 0, 2048))
    return np.clip(base[:, None] * (1 + slope * np.atleast_2d(xi)), 0.6, 5.0)


def _measure(
    state: _LampState,
    *,
    scale: Scale,
    coeff: NDArray[Any],
    centre: NDArray[Any],
    row: NDArray[Any],
    line_sigma: FieldModel,
    slope: float,
    max_shift: float,
    known_width: bool,
    free_strengths: bool,
) -> list[Group]:
    """Fit every group of one lamp in every spaxel, the light of the other groups subtracted.

    Only when the places are good may the strengths of lines be learned, and widths be taken for known: from a bad
    place, another ratio of the lines is as good an explanation as a shift.
    """
    xi = scale.to_xi(state.lines.wavelength)
    place = np.polynomial.polynomial.polyval(xi, coeff.T) - centre[:, None] + HALF_SPAN
    width = line_width(line_sigma, slope, centre, row, xi)
    typical = np.polynomial.polynomial.polyval(xi, np.nanmedian(coeff, axis=0))
    spaxel = np.arange(len(coeff))[:, None]
    others = np.zeros(state.spectra.shape)
    for column, model in state.models.values():
        others[spaxel, column] += model
    models = {}
    groups = []
    line_px = float(np.median(width))
    # The groups stay as they are first made: a group that splits when the lines turn out narrow loses its hold.
    state.groups = state.groups or lamp_groups(state.lines.wavelength, typical, state.table, GROUP_SEPARATION * line_px)
    state.blends = state.blends or [
        blends(typical[group], state.table[group], BLEND_SEPARATION * line_px) for group in state.groups
    ]
    for group, blend in zip(state.groups, state.blends, strict=True):
        strength = state.intensity[group].sum()
        # A chain of weak lines measures nothing; alone it disturbs nobody either.
        if state.table[group].max() < MEASURED:
            continue
        column, own = state.models.get(int(group[0]), (np.zeros((len(coeff), 1), int), 0.0))
        others[spaxel, column] -= own
        fit: GroupFit = fit_group(
            state.spectra,
            state.variance,
            place[:, group],
            width[:, group],
            state.intensity[group],
            blend=blend,
            table=state.table[group],
            free=free_strengths,
            # A line by itself fits its width; a blend gets it, or it would answer a wrong ratio by its width.
            width_sigma=KNOWN_WIDTH_SIGMA if known_width and group.size > 1 else WIDTH_SIGMA,
            spread_sigma=KNOWN_SPREAD_SIGMA if known_width else SPREAD_SIGMA,
            table_sigma=np.where(state.lines.wavelength[group] > REDDEST_RELIABLE, RED_TABLE_SIGMA, TABLE_SIGMA),
            others=others,
            max_shift=max_shift,
        )
        # Neighbours that look at each other's last round swing to and fro for ten rounds; one that looks at what was
        # just fitted comes to rest at once. While strengths are learned, none of them may have the first word.
        if known_width and not free_strengths:
            others[spaxel, fit.column] += fit.model
        else:
            others[spaxel, column] += own
        state.intensity[group] = fit.intensity * strength
        models[int(group[0])] = (fit.column, fit.model)
        for number in range(int(blend.max()) + 1):
            groups.append(_blend(state, fit, group[blend == number], number, xi, coeff, scale, float(strength)))
    state.models = models
    state.brightest = max((g.light for g in groups), default=0.0)
    return groups


def _blend(
    state: _LampState,
    fit: GroupFit,
    own: NDArray[Any],
    number: int,
    xi: NDArray[Any],
    coeff: NDArray[Any],
    scale: Scale,
    strength: float,
) -> Group:
    """What the fit of a group of the given strength says about one of its blends, that of the lines `own`."""
    share, table = state.intensity[own] / state.intensity[own].sum(), state.table[own]
    part = float(state.intensity[own].sum()) / strength
    # The position of a blend is that of its strong lines; any wavelength near by would do, as one shift is fitted.
    mean_xi = float(np.average(xi[own], weights=share**2))
    wavelength = float(scale.to_wavelength(np.array(mean_xi)))
    shift, error = fit.shift[:, number], fit.error[:, number]
    seen = np.isfinite(shift)
    width_seen = float(np.nanmedian(fit.stretch)) if np.isfinite(fit.stretch).any() else 0.0
    light = part * float(np.median(fit.amplitude[seen])) * float(seen.mean()) if seen.any() else 0.0
    # Real lamps differ from any table by factors; a line counts for what it shines here, once that is known.
    share_seen = light / state.brightest if state.brightest > 0 else part * strength
    # A faint group means something only if one line of the right width clearly leads it, in the table and tonight:
    # where another line or a bump of the lamp's continuum outshines it, the group lies at the wrong wavelength.
    strong, sharp, lead = table.max() > 0.03, 0.8 < width_seen < 1.25, table.max() / table.sum()
    leads = share[np.argmax(table)] > 0.5
    known = (strong and (sharp or share_seen > 0.05)) or (share_seen > 0.01 and lead > 0.7 and leads and sharp)
    uncertainty = float(np.hypot(0.02, fit.uncertainty[number])) + (0.02 if known else 0.8)
    # Beyond the reddest line that either pipeline ever fitted, the efficiency falls steeply over every blend.
    uncertainty += 0.4 if wavelength > REDDEST_RELIABLE else 0.0
    return Group(
        lamp=state.lamp,
        wavelength=wavelength,
        xi=mean_xi,
        uncertainty=uncertainty,
        clean=bool(share_seen > 0.15 and share.max() > 0.85),
        light=light,
        column=np.polynomial.polynomial.polyval(mean_xi, coeff.T) + shift,
        error=error,
        stretch=fit.stretch,
    )


def _fit_line_sigma(
    groups: list[Group], centre: NDArray[Any], row: NDArray[Any], old: FieldModel, old_slope: float
) -> tuple[FieldModel, float]:
    """Width of the lines over the field and along the spectrum from the fitted stretches of single, strong lines."""
    clean = [g for g in groups if g.clean] or groups
    xi = np.array([g.xi for g in clean])
    width = line_width(old, old_slope, centre, row, xi) * np.stack([g.stretch for g in clean], axis=1)
    relative = old_slope
    if len(clean) > 2:
        slope, level = np.polyfit(xi, np.nanmedian(width, axis=0), 1)
        relative = float(np.clip(slope / level, -0.3, 0.3))
    seen = np.isfinite(width).any(axis=1)
    per_spaxel = np.full(len(centre), np.nan)
    per_spaxel[seen] = np.nanmedian(width[seen] / (1 + relative * xi), axis=1)
    return fit_field(centre, row, per_spaxel, order=3), relative
