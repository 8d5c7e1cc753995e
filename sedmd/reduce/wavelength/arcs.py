"""From lamp frames to identified lines: straightened arc spectra, their mutual alignment, and which peak is which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.optimize import least_squares

from sedmd.reduce.loops.arcs import median_aligned, sharpen_alignment, sum_rows
from sedmd.reduce.numeric.field import fit_field
from sedmd.reduce.numeric.parallel import piece_by_piece, side_by_side
from sedmd.reduce.traces.traces import Traces

#: Columns on each side of a trace's middle that a straightened arc spectrum covers: 3650 to 9900 Angstrom where the
#: spectra are longest, from a middle that lies where the dome is bright.
HALF_SPAN = 260
#: Stretches that are tried about that of the template: the optical design alone has a quarter more and less.
STRETCHES = np.arange(0.64, 1.5601, 0.02)
#: Lags up to which lines are looked for [column]: the middles of traces differ by some tens of columns, and a spectrum
#: further on the same rows is the neighbour's.
REACH_COLUMNS = 110
#: Scales and bends of a published dispersion that are tried: lenslet arrays, cameras and the field change it.
SCALES, BENDS = np.arange(0.75, 1.351, 0.0125), np.arange(-12.0, 12.1, 2.0)
#: Wavelengths between which the detector sees lamp lines for certain [Angstrom].
SURE_RANGE = (3900.0, 9300.0)
#: Columns over which the lowest light is taken for a continuum: wider than a blend of lines, narrower than the
#: continuum's hump.
FLOOR_COLUMNS = 31
#: All of them, (n, 2), and the width of the lines in that scan [column].
SCAN_GRID, SCAN_SIGMA = np.array([(scale, bend) for scale in SCALES for bend in BENDS]), 2.5
#: Columns by which the dispersion of an earlier night may be shifted: another lamp would need twenty and more.
NEAR_COLUMNS = 10
#: Those that are tried about the dispersion of an earlier night, which is not bent: what is taken for the mean spaxel
#: differs by no more. And the deviation of the scale that costs as much as a line that is missed: lines that lie close
#: together, as those of xenon do, hardly tell it.
NEAR_GRID, SCALE_HELD = np.array([(scale, 0.0) for scale in np.arange(0.95, 1.0501, 0.0125)]), 0.1
#: How many times as bright as the middle lamp one may be where spectra are aligned: lamps usually differ by less, and
#: their brightness then says how sure their lines are.
MOST_BRIGHTER = 3.0
#: Length of the Fourier transforms: two spectra side by side and more, so that nothing comes round.
FFT_SIZE = 1280
#: Columns from one lag to the next where spectra are correlated with a template, and so the frequencies that are left:
#: the correlation of two lines of 1.2 columns sigma has less than one per cent in the others.
COARSE = 2
N_FREQUENCIES = FFT_SIZE // 2 // COARSE + 1
#: Traces that are correlated at once: few enough that their transforms stay in the processor's cache.
TRACES_AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines of one lamp.

    Attributes
    ----------
    wavelength : (n,) Angstrom in air, increasing
    intensity : (n,) relative, only a rough guide
    """

    wavelength: NDArray[np.floating]
    intensity: NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPlace:
    """Where the lines of an earlier night's dispersion are expected in a mean arc spectrum.

    Attributes
    ----------
    sense : 1 where blue light falls on high columns, -1 where on low ones
    shift : column of the zero of its scale, relative to the middle, were blue light on high columns
    """

    sense: int
    shift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How the arc spectra of traces lie relative to a template.

    Attributes
    ----------
    shift, stretch, bend : (n,) a line at column u of the template lies at
        ``shift + stretch u + bend (u / 100)**2`` columns from the middle of the trace
    likeness : (n,) correlation with the template, 1 is perfect
    """

    shift: NDArray[np.floating]
    stretch: NDArray[np.floating]
    bend: NDArray[np.floating]
    likeness: NDArray[np.floating]


def straighten(traces: Traces, image: NDArray[np.floating], half_height: int = 2) -> NDArray[np.floating]:
    """Sum each trace over a few rows into a spectrum on columns relative to the trace's middle.

    Parameters
    ----------
    traces : n traces
    image : (n_y, n_x) electron
    half_height : rows on each side; the outermost rows count in part, so that the window follows the trace smoothly

    Returns
    -------
    (n, 2 HALF_SPAN + 1) electron per column; NaN off the chip
    """
    total = np.empty((traces.n, 2 * HALF_SPAN + 1), np.float32)
    pixels = np.ascontiguousarray(image, np.float32)
    y_coeff = np.ascontiguousarray(traces.y_coeff, float)
    sum_rows(pixels, traces.centre.astype(np.int64), y_coeff, HALF_SPAN, half_height, total)
    return total


def align(spectra: NDArray[np.floating], x: NDArray[Any], y: NDArray[Any], reference: int) -> Alignment:
    """Shift, stretch and bend that bring the arc spectra of a reference trace onto those of every trace.

    Parameters
    ----------
    spectra : (n_lamp, n_trace, n_column) straightened spectra, NaN where there is no data
    x, y : (n_trace,) pixel, where the traces are
    reference : trace that starts as the template

    Returns
    -------
    Alignment

    Notes
    -----
    The dispersion differs by a quarter over the field, so the search is wide at first, for each trace by itself. But it
    changes smoothly: the field that most traces agree on then tells where to look again, with the mean of all aligned
    spectra as the template. The sharpest fit comes last.
    """
    _, n_trace, n_column = spectra.shape
    data = lines_of(spectra)
    data *= _evened(data)[:, None, None]
    # All lamps of a trace together have unit norm, so that a bright trace does not lead.
    data /= np.sqrt((data**2).sum(axis=(0, 2), keepdims=True) / n_column) + 1e-9
    template = ndimage.gaussian_filter1d(data[:, reference], 2.0, axis=-1)
    transform = fft.rfft(data.astype(np.float32), FFT_SIZE, axis=-1)[..., :N_FREQUENCIES]
    every = np.ones(n_trace, bool)
    found = _search(transform, template, [(a, every) for a in STRETCHES])
    for width, step in ((0.10, 0.02), (0.04, 0.01)):
        field = fit_field(x, y, found.stretch, order=3, weight=np.maximum(found.likeness, 0.0) ** 4)
        expected = np.clip(field(x, y), STRETCHES[0], STRETCHES[-1])
        near = np.abs(found.stretch - expected) < 2 * width
        template = mean_aligned(data, found, near & (found.likeness > np.median(found.likeness)))
        low, high = np.floor((expected.min() - width) / step), np.ceil((expected.max() + width) / step)
        grid = step * np.arange(low, high + 1)
        found = _search(transform, template, [(a, np.abs(a - expected) <= width) for a in grid])
    for sigma in (2.5, 1.2):
        template = mean_aligned(data, found, found.likeness > np.median(found.likeness))
        found = _sharpen(data, template, found, sigma)
    return found


def _evened(data: NDArray[np.floating]) -> NDArray[np.floating]:
    """Factor for each lamp, (n_lamp,), by which none is more than `MOST_BRIGHTER` times as bright as the middle one.

    A lamp that is much brighter than the others would decide alone, and its lines lie in a part of the range: what
    stretches the rest is then as good as not seen. A faint lamp stays faint: it may be noise.
    """
    size = np.median(np.sqrt((data**2).sum(axis=2)), axis=1)
    most = MOST_BRIGHTER * max(float(np.median(size)), 1e-9)
    factor: NDArray[np.floating] = most / np.maximum(size, most)
    return factor


def lines_of(spectra: NDArray[np.floating]) -> NDArray[np.floating]:
    """What is sharp in arc spectra (..., n_column): continua and scattered light off, the strong lines held down."""
    flat = np.nan_to_num(spectra)
    floor = ndimage.uniform_filter1d(ndimage.minimum_filter1d(flat, FLOOR_COLUMNS, axis=-1), FLOOR_COLUMNS, axis=-1)
    found: NDArray[np.floating] = np.sqrt(np.maximum(flat - floor, 0.0))
    return found


def _search(
    transform: NDArray[Any], template: NDArray[np.floating], trials: Sequence[tuple[float, NDArray[np.bool_]]]
) -> Alignment:
    """Best shift and stretch by correlation: each stretch of the template is tried on its own selection of traces.

    `transform` is the Fourier transform of the spectra (n_lamp, n_trace, N_FREQUENCIES), its high frequencies cut off.
    """
    n_trace, n_column = transform.shape[1], template.shape[1]
    u = np.arange(n_column) - n_column // 2
    stretched = np.stack([[np.interp(u / a, u, t, left=0, right=0) for t in template] for a, _ in trials])
    norm = np.sqrt((stretched**2).sum(axis=(1, 2)) * n_column) + 1e-9
    turned = np.conj(fft.rfft(stretched.astype(np.float32), FFT_SIZE, axis=-1)[..., :N_FREQUENCIES])
    turned /= (norm[:, None, None] * COARSE).astype(np.float32)
    stretches = np.array([a for a, _ in trials])
    chosen = np.stack([selection for _, selection in trials])
    parts = np.array_split(np.arange(n_trace), max(1, n_trace // TRACES_AT_ONCE))
    found = side_by_side(lambda rows: _best_trial(transform[:, rows], turned, stretches, chosen[:, rows]), parts)
    best, shift, stretch = np.concatenate(found, axis=1)
    return Alignment(shift=shift, stretch=stretch, bend=np.zeros(n_trace), likeness=best)


def _best_trial(
    transform: NDArray[Any], turned: NDArray[Any], stretches: NDArray[Any], chosen: NDArray[Any]
) -> NDArray[np.floating]:
    """Highest correlation of each of some traces, with its shift and stretch: (3, n)."""
    n_trace = transform.shape[1]
    best = np.vstack([np.full(n_trace, -np.inf), np.zeros(n_trace), np.ones(n_trace)])
    size = FFT_SIZE // COARSE
    lag = COARSE * ((np.arange(size) + size // 2) % size - size // 2)
    far = np.abs(lag) > REACH_COLUMNS
    for a, template, selection in zip(stretches, turned, chosen, strict=True):
        rows = np.flatnonzero(selection)
        if not rows.size:
            continue
        part = transform if rows.size == n_trace else transform[:, rows]
        product = part[0] * template[0]
        for lamp in range(1, len(template)):
            product += part[lamp] * template[lamp]
        correlation = fft.irfft(product, size, axis=-1)
        peak = np.argmax(np.where(far, -np.inf, correlation), axis=-1)
        line = np.arange(rows.size)
        value = correlation[line, peak]
        left, right = correlation[line, peak - 1], correlation[line, (peak + 1) % size]
        # The summit of the parabola through three points.
        fine = np.clip(0.5 * (left - right) / (left - 2 * value + right - 1e-12), -0.5, 0.5)
        value = value - 0.25 * (left - right) * fine
        better = value > best[0, rows]
        found = np.vstack([value, lag[peak] + COARSE * fine, np.full(rows.size, a)])
        best[:, rows[better]] = found[:, better]
    return best


def _sharpen(
    data: NDArray[np.floating], template: NDArray[np.floating], start: Alignment, sigma: float, rounds: int = 6
) -> Alignment:
    """Gauss-Newton in shift, stretch and bend of every trace about a good start, all smoothed by `sigma` columns."""
    _, n_trace, n_column = data.shape
    u = (np.arange(n_column) - n_column // 2) / 100.0
    data = ndimage.gaussian_filter1d(data, sigma, axis=-1)
    template = ndimage.gaussian_filter1d(template, sigma, axis=-1)
    # What a line at template place u does when it moves by one column, for each of the three terms.
    design = np.gradient(template, axis=-1) * np.stack([np.ones_like(u), u, u**2])[:, None, :]
    flat = design.reshape(3, -1)
    # The bend is held a little: where lines are few it says the same as the stretch.
    held = np.array([0.0, 0.0, 0.01 * float((flat[0] ** 2).sum())])
    inverse = np.linalg.inv(flat @ flat.T + np.diag(held) + 1e-9 * np.eye(3))
    p = np.column_stack([start.shift, 100.0 * start.stretch, start.bend])
    likeness = np.empty(n_trace)
    limits = 100.0 * STRETCHES[0], 100.0 * STRETCHES[-1]

    def improve(rows: slice) -> None:
        part = np.ascontiguousarray(data[:, rows], np.float32)
        sharpen_alignment(part, template, design, inverse, held, *limits, rounds, p[rows], likeness[rows])

    piece_by_piece(improve, n_trace)
    return Alignment(shift=p[:, 0], stretch=p[:, 1] / 100.0, bend=p[:, 2], likeness=likeness)


def mean_aligned(
    spectra: NDArray[np.floating], found: Alignment, good: NDArray[np.bool_] | None = None
) -> NDArray[np.floating]:
    """Median of the aligned spectra (of the good traces): (n_lamp, n_column)."""
    some = np.arange(spectra.shape[1]) if good is None or not good.any() else np.flatnonzero(good)
    some = np.ascontiguousarray(some[:: max(1, some.size // 400)])
    alignment = np.column_stack([found.shift, found.stretch, found.bend / 1e4])
    middle = np.empty((spectra.shape[0], spectra.shape[2]))
    median_aligned(np.ascontiguousarray(spectra, np.float32), some, alignment, 0.2, middle)
    return middle


def identify(
    template: Mapping[str, NDArray[np.floating]],
    lines: Mapping[str, Lines],
    wavelength: NDArray[np.floating],
    column: NDArray[np.floating],
    expected: ExpectedPlace | None = None,
) -> tuple[NDArray[np.floating], float]:
    """Stretch, bend and if need be mirror a published wavelength scale until its lines fall on those of the mean arcs.

    Parameters
    ----------
    template : lamp -> (n_column,) mean arc spectrum on columns relative to the middle
    lines : lamp -> its lines
    wavelength, column : (m,) the published scale, columns relative to 5461 Angstrom, blue at high columns
    expected : where the scale is that of an earlier night and has the right bends: only shift and scale are looked for

    Returns
    -------
    parameters : (4,) ``column = p0 + p1 c + p2 (c/100)**2 + p3 (c/100)**3`` for the published column c; p1 is negative
        where blue light falls on low columns
    score : correlation of the predicted with the observed spectra, geometric mean of the lamps; 1 is perfect, 0 when
        only a dispersion unlike the instrument's would do

    Notes
    -----
    Each lamp has its own frame, so a wrong identification, and so the wrong way of the dispersion, would have to fit
    three combs at once: the mean is geometric, because no lamp can make up for another.
    """
    lamps = [lamp for lamp in template if lamp in lines]
    published = {lamp: np.interp(lines[lamp].wavelength, wavelength, column) for lamp in lamps}
    power = {lamp: _expected_power(lines[lamp]) for lamp in lamps}
    grid = SCAN_GRID if expected is None else NEAR_GRID
    about, reach = (0.0, REACH_COLUMNS) if expected is None else (expected.shift, NEAR_COLUMNS)
    combs = {lamp: _combs(published[lamp], power[lamp], grid) for lamp in lamps}
    best, best_score = np.array([0.0, 1.0, 0.0, 0.0]), 0.0
    for turned in (1, -1) if expected is None else (expected.sense,):
        observed = {lamp: _compressed(template[lamp][::turned]) for lamp in lamps}
        for start in _scan(observed, combs, grid, about, reach):
            p = _polish(start, observed, published, power, free=4 if expected is None else 2)
            if not (grid[0, 0] <= p[1] <= grid[-1, 0] and np.abs(p[2:]).max() <= 1.5 * grid[-1, 1]):
                continue  # no longer the instrument's dispersion
            if expected is not None and abs(p[0] - expected.shift) > NEAR_COLUMNS:
                continue
            alike = [_correlation(p, observed[k], published[k], power[k]) for k in lamps]
            score = float(np.prod(np.maximum(alike, 0.0)) ** (1.0 / len(lamps)))
            if score > best_score:
                best_score, best = score, turned * p
    return best, best_score


def _expected_power(table: Lines) -> NDArray[np.floating]:
    """Square root of the expected brightness of lines, less for those at the ends, where the efficiency falls."""
    power = np.sqrt(table.intensity / table.intensity.max())
    found: NDArray[np.floating] = np.where(
        (table.wavelength > SURE_RANGE[0]) & (table.wavelength < SURE_RANGE[1]), power, 0.3 * power
    )
    return found


def _combs(
    published: NDArray[np.floating], power: NDArray[np.floating], grid: NDArray[np.floating]
) -> NDArray[np.complexfloating]:
    """Conjugate transforms of the lines at every scale and bend of a grid, each of `SCAN_SIGMA` and unit norm."""
    place = grid[:, :1] * published + grid[:, 1:] * (published / 100) ** 2
    column = np.clip(np.rint(place).astype(int) + FFT_SIZE // 2, 0, FFT_SIZE - 1)
    comb = np.zeros((len(grid), FFT_SIZE), np.float32)
    np.add.at(comb, (np.arange(len(grid))[:, None], column), power.astype(np.float32))
    smooth = np.exp(-0.5 * (2 * np.pi * SCAN_SIGMA * fft.rfftfreq(FFT_SIZE)) ** 2).astype(np.float32)
    transform = np.conj(fft.rfft(comb, axis=-1)) * smooth
    # Parseval: the norm of the comb from its transform, of which each frequency but the first counts twice.
    square = 2 * (np.abs(transform) ** 2).sum(axis=1, keepdims=True) - np.abs(transform[:, :1]) ** 2
    return np.asarray(transform / (np.sqrt(square / FFT_SIZE) + 1e-9))


def _scan(
    observed: Mapping[str, NDArray[np.floating]],
    combs: Mapping[str, NDArray[np.complexfloating]],
    grid: NDArray[np.floating],
    about: float,
    reach: float,
    *,
    keep: int = 4,
) -> list[NDArray[np.floating]]:
    """Most likely shifts, scales and bends of the published columns, the best of each neighbourhood, best first.

    Shifts lie within `reach` of `about`.
    """
    n_column = next(iter(observed.values())).size
    product = np.zeros((1, 1), np.complex64)
    for lamp, comb in combs.items():
        wide = ndimage.gaussian_filter1d(observed[lamp], SCAN_SIGMA).astype(np.float32)
        product = product + fft.rfft(wide, FFT_SIZE) * comb
    total = fft.irfft(product, FFT_SIZE, axis=-1)
    # The comb's origin is in the middle of its array, the spectrum's in the middle of the spectrum.
    lag = (np.arange(FFT_SIZE) + FFT_SIZE // 2) % FFT_SIZE
    lag = lag - n_column // 2
    total[:, np.abs(lag - about) > reach] = -np.inf
    top = np.argmax(total, axis=1)
    value = total[np.arange(len(grid)), top]
    starts: list[NDArray[np.floating]] = []
    for i in np.argsort(-value):
        start = np.array([lag[top[i]], grid[i, 0], grid[i, 1], 0.0])
        if all(abs(start[1] - s[1]) > 0.06 or abs(start[0] - s[0]) > 8 for s in starts):
            starts.append(start)
        if len(starts) == keep:
            break
    return starts


def _places(p: NDArray[np.floating], c: NDArray[np.floating]) -> NDArray[np.floating]:
    """Columns of the published columns c."""
    found: NDArray[np.floating] = p[0] + p[1] * c + p[2] * (c / 100) ** 2 + p[3] * (c / 100) ** 3
    return found


def _polish(
    start: NDArray[np.floating],
    observed: Mapping[str, NDArray[np.floating]],
    published: Mapping[str, NDArray[np.floating]],
    power: Mapping[str, NDArray[np.floating]],
    *,
    free: int,
) -> NDArray[np.floating]:
    """Move the lines uphill on ever sharper spectra, by the first `free` parameters; two of them: the scale held."""
    n_column = next(iter(observed.values())).size
    u, kept = np.arange(n_column) - n_column // 2, start[free:]
    for width in (3.0, 2.0, 1.0):
        smooth = {lamp: ndimage.gaussian_filter1d(s, width) for lamp, s in observed.items()}

        smooth = {lamp: s / s.max() for lamp, s in smooth.items()}

        def misfit(q: NDArray[Any], smooth: dict[str, NDArray[Any]] = smooth) -> NDArray[Any]:
            p = np.r_[q, kept]
            lost = [
                power[k] * (1.0 - np.interp(_places(p, c), u, smooth[k], left=0, right=0)) for k, c in published.items()
            ]
            return np.concatenate([*lost, (q[1:2] - 1.0) / SCALE_HELD] if free == 2 else lost)

        def slopes(q: NDArray[Any], smooth: dict[str, NDArray[Any]] = smooth) -> NDArray[Any]:
            p, rows = np.r_[q, kept], []
            for k, c in published.items():
                base = np.floor(_places(p, c)).astype(int) - u[0]
                inside = (base >= 0) & (base < n_column - 1)
                slope = np.where(inside, np.diff(smooth[k])[np.clip(base, 0, n_column - 2)], 0.0)
                powers = np.column_stack([np.ones_like(c), c, (c / 100) ** 2, (c / 100) ** 3])
                rows.append(-(power[k] * slope)[:, None] * powers[:, :free])
            return np.concatenate([*rows, np.eye(1, 2, 1) / SCALE_HELD] if free == 2 else rows)

        scale = [1.0, 0.01, 1.0, 1.0][:free]
        found = least_squares(misfit, start[:free], jac=slopes, x_scale=scale, loss="soft_l1", f_scale=0.3).x
        start = np.r_[found, kept]
    return start


def _correlation(p: NDArray[Any], observed: NDArray[Any], published: NDArray[Any], power: NDArray[Any]) -> float:
    """Correlation of one lamp's spectrum with its lines where the parameters put them."""
    u = np.arange(observed.size) - observed.size // 2
    comb = _comb(_places(p, published), power, u, 1.5)
    seen = ndimage.gaussian_filter1d(observed, 0.7)
    return float((comb * seen).sum() / np.sqrt((comb**2).sum() * (seen**2).sum() + 1e-9))


def peak_sigma(spectrum: NDArray[np.floating]) -> float:
    """Gaussian sigma of the strongest peak of a mean arc spectrum, in columns, from where it falls to one half."""
    up = spectrum - np.percentile(spectrum, 30)
    top = int(np.argmax(up[5:-5])) + 5
    half = 0.5 * up[top]
    reach = np.arange(1, 12)
    widths = []
    for side in (-1, 1):
        values = up[np.clip(top + side * reach, 0, up.size - 1)]
        below = np.flatnonzero(values < half)
        if below.size:
            i = int(below[0])
            before = up[top] if i == 0 else values[i - 1]
            widths.append(i + (before - half) / max(before - values[i], 1e-9))
    return float(np.clip(min(widths) * 2 / 2.3548, 0.7, 3.0)) if widths else 1.3


def _compressed(spectrum: NDArray[Any]) -> NDArray[np.floating]:
    """The lines of a mean arc spectrum, unit norm."""
    up = lines_of(spectrum)
    found: NDArray[np.floating] = up / (np.sqrt((up**2).sum()) + 1e-9)
    return found


def _comb(place: NDArray[Any], power: NDArray[Any], u: NDArray[Any], width: float) -> NDArray[np.floating]:
    """Gaussians of the given width at the given columns."""
    found: NDArray[np.floating] = (power[:, None] * np.exp(-0.5 * ((u[None, :] - place[:, None]) / width) ** 2)).sum(
        axis=0
    )
    return found
