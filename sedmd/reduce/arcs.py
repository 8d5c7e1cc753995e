"""From lamp frames to identified lines: straightened arc spectra, their mutual alignment, and which peak is which."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.optimize import least_squares

from sedmd.reduce.field import fit_field
from sedmd.reduce.traces import Traces

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
#: Length of the Fourier transforms: two spectra side by side and more, so that nothing comes round.
FFT_SIZE = 1280


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
    ny, nx = image.shape
    offset = np.arange(-HALF_SPAN, HALF_SPAN + 1)
    x = traces.centre[:, None].astype(int) + offset
    u = offset / 100.0
    y = traces.y_coeff[:, :1] + u * (traces.y_coeff[:, 1:2] + u * traces.y_coeff[:, 2:3])
    on_chip = (x >= 0) & (x < nx) & (y > half_height) & (y < ny - 1 - half_height)
    xc = np.clip(x, 0, nx - 1)
    total = np.zeros(x.shape, np.float32)
    base = np.rint(y).astype(int)
    for row in range(-half_height - 1, half_height + 2):
        yy = base + row
        part = np.clip(half_height + 0.5 - np.abs(yy - y), 0, 1).astype(np.float32)
        total += part * image[np.clip(yy, 0, ny - 1), xc]
    total[~on_chip] = np.nan
    return total


def align(spectra: NDArray[np.floating], x: NDArray, y: NDArray, reference: int) -> Alignment:
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
    # All lamps of a trace together have unit norm, so that a bright trace does not lead.
    data /= np.sqrt((data**2).sum(axis=(0, 2), keepdims=True) / n_column) + 1e-9
    template = ndimage.gaussian_filter1d(data[:, reference], 2.0, axis=-1)
    transform = fft.rfft(data.astype(np.float32), FFT_SIZE, axis=-1)
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


def lines_of(spectra: NDArray[np.floating]) -> NDArray[np.floating]:
    """What is sharp in arc spectra (..., n_column): continua and scattered light off, the strong lines held down."""
    flat = np.nan_to_num(spectra)
    floor = ndimage.uniform_filter1d(ndimage.minimum_filter1d(flat, FLOOR_COLUMNS, axis=-1), FLOOR_COLUMNS, axis=-1)
    return np.sqrt(np.maximum(flat - floor, 0.0))


def _search(
    transform: NDArray, template: NDArray[np.floating], trials: Sequence[tuple[float, NDArray[np.bool_]]]
) -> Alignment:
    """Best shift and stretch by correlation: each stretch of the template is tried on its own selection of traces.

    `transform` is the Fourier transform of the spectra (n_lamp, n_trace, FFT_SIZE // 2 + 1).
    """
    n_trace, n_column = transform.shape[1], template.shape[1]
    u = np.arange(n_column) - n_column // 2
    shift, stretch, best = np.zeros(n_trace), np.ones(n_trace), np.full(n_trace, -np.inf)
    lag = np.arange(FFT_SIZE)
    lag = np.where(lag > FFT_SIZE // 2, lag - FFT_SIZE, lag)
    allowed = np.abs(lag) <= REACH_COLUMNS
    for a, chosen in trials:
        rows = np.flatnonzero(chosen)
        if not rows.size:
            continue
        stretched = np.stack([np.interp(u / a, u, t, left=0, right=0) for t in template]).astype(np.float32)
        norm = float(np.sqrt((stretched**2).sum() * n_column)) + 1e-9
        turned = np.conj(fft.rfft(stretched, FFT_SIZE, axis=-1))
        product = sum(transform[lamp, rows] * turned[lamp] for lamp in range(len(template)))
        correlation = fft.irfft(product, FFT_SIZE, axis=-1) / norm
        peak = np.argmax(np.where(allowed, correlation, -np.inf), axis=-1)
        line = np.arange(rows.size)
        value = correlation[line, peak]
        left, right = correlation[line, peak - 1], correlation[line, (peak + 1) % FFT_SIZE]
        fine = np.clip(0.5 * (left - right) / (left - 2 * value + right - 1e-12), -0.5, 0.5)
        better = value > best[rows]
        own = rows[better]
        best[own], shift[own], stretch[own] = value[better], (lag[peak] + fine)[better], a
    return Alignment(shift=shift, stretch=stretch, bend=np.zeros(n_trace), likeness=best)


def _sharpen(
    data: NDArray[np.floating], template: NDArray[np.floating], start: Alignment, sigma: float, rounds: int = 6
) -> Alignment:
    """Gauss-Newton in shift, stretch and bend of every trace about a good start, all smoothed by `sigma` columns."""
    n_column = data.shape[2]
    u = (np.arange(n_column) - n_column // 2) / 100.0
    powers = np.column_stack([np.ones_like(u), u, u**2])
    data = ndimage.gaussian_filter1d(data, sigma, axis=-1)
    template = ndimage.gaussian_filter1d(template, sigma, axis=-1)
    # What a line at template place u does when it moves by one column, for each of the three terms.
    design = (np.gradient(template, axis=-1)[:, :, None] * powers).reshape(-1, 3)
    # The bend is held a little: where lines are few it says the same as the stretch.
    held = np.array([0.0, 0.0, 0.01 * float((design[:, 0] ** 2).sum())])
    normal = design.T @ design + np.diag(held) + 1e-9 * np.eye(3)
    flat = template.ravel()
    p = np.column_stack([start.shift, 100.0 * start.stretch, start.bend])
    likeness = start.likeness
    rows = np.arange(len(p))[:, None]
    for _ in range(rounds):
        place = p @ powers.T + n_column // 2
        base = np.clip(np.floor(place).astype(int), 0, n_column - 2)
        part = np.clip(place - base, 0.0, 1.0)
        seen = np.concatenate([(1 - part) * lamp[rows, base] + part * lamp[rows, base + 1] for lamp in data], axis=1)
        scale = np.maximum(seen @ flat / (flat @ flat), 1e-3)
        likeness = seen @ flat / np.sqrt((flat @ flat) * (seen**2).sum(axis=1) + 1e-9)
        residual = seen / scale[:, None] - flat
        stretch = p[:, 1:2] / 100.0
        step = -stretch * np.linalg.solve(normal, (residual @ design + held * p / stretch).T).T
        p = p + np.clip(step, -1.5, 1.5)
        p[:, 1] = np.clip(p[:, 1], 100.0 * STRETCHES[0], 100.0 * STRETCHES[-1])
    return Alignment(shift=p[:, 0], stretch=p[:, 1] / 100.0, bend=p[:, 2], likeness=likeness)


def mean_aligned(
    spectra: NDArray[np.floating], found: Alignment, good: NDArray[np.bool_] | None = None
) -> NDArray[np.floating]:
    """Median of the aligned spectra (of the good traces): (n_lamp, n_column)."""
    n_column = spectra.shape[2]
    u = np.arange(n_column) - n_column // 2
    some = np.arange(spectra.shape[1]) if good is None or not good.any() else np.flatnonzero(good)
    some = some[:: max(1, some.size // 400)]
    place = [found.shift[k] + found.stretch[k] * u + found.bend[k] * (u / 100.0) ** 2 for k in some]
    aligned = np.stack(
        [
            [np.interp(at, u, lamp[k], left=np.nan, right=np.nan) for at, k in zip(place, some, strict=True)]
            for lamp in spectra
        ]
    )
    known = np.isfinite(aligned).sum(axis=1) > 0.2 * some.size
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns that no trace reaches
        return np.where(known, np.nan_to_num(np.nanmedian(aligned, axis=1)), 0.0)


def identify(
    template: Mapping[str, NDArray[np.floating]],
    lines: Mapping[str, Lines],
    wavelength: NDArray[np.floating],
    column: NDArray[np.floating],
) -> tuple[NDArray[np.floating], float]:
    """Stretch, bend and if need be mirror a published wavelength scale until its lines fall on those of the mean arcs.

    Parameters
    ----------
    template : lamp -> (n_column,) mean arc spectrum on columns relative to the middle
    lines : lamp -> its lines
    wavelength, column : (m,) the published scale, columns relative to 5461 Angstrom, blue at high columns

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
    best, best_score = np.array([0.0, 1.0, 0.0, 0.0]), 0.0
    for sense in (1.0, -1.0):
        observed = {lamp: _compressed(template[lamp][:: int(sense)]) for lamp in lamps}
        for start in _scan(observed, published, power):
            p = _polish(start, observed, published, power)
            if not (SCALES[0] <= p[1] <= SCALES[-1] and np.abs(p[2:]).max() <= 1.5 * BENDS[-1]):
                continue  # no longer the instrument's dispersion
            alike = [_correlation(p, observed[k], published[k], power[k]) for k in lamps]
            score = float(np.prod(np.maximum(alike, 0.0)) ** (1.0 / len(lamps)))
            if score > best_score:
                best_score, best = score, sense * p
    return best, best_score


def _expected_power(table: Lines) -> NDArray[np.floating]:
    """Square root of the expected brightness of lines, less for those at the ends, where the efficiency falls."""
    power = np.sqrt(table.intensity / table.intensity.max())
    return np.where((table.wavelength > SURE_RANGE[0]) & (table.wavelength < SURE_RANGE[1]), power, 0.3 * power)


def _scan(
    observed: Mapping[str, NDArray[np.floating]],
    published: Mapping[str, NDArray[np.floating]],
    power: Mapping[str, NDArray[np.floating]],
    *,
    keep: int = 4,
) -> list[NDArray[np.floating]]:
    """Most likely shifts, scales and bends of the published columns, the best of each neighbourhood, best first."""
    n_column = next(iter(observed.values())).size
    width = 2.5
    grid = np.array([(scale, bend) for scale in SCALES for bend in BENDS])
    total = np.zeros((len(grid), FFT_SIZE))
    for lamp, c in published.items():
        place = np.rint(grid[:, :1] * c + grid[:, 1:] * (c / 100) ** 2).astype(int) + FFT_SIZE // 2
        comb = np.zeros((len(grid), FFT_SIZE))
        np.add.at(comb, (np.arange(len(grid))[:, None], np.clip(place, 0, FFT_SIZE - 1)), power[lamp])
        comb = ndimage.gaussian_filter1d(comb, width, axis=-1)
        comb /= np.sqrt((comb**2).sum(axis=1, keepdims=True)) + 1e-9
        wide = ndimage.gaussian_filter1d(observed[lamp], width)
        total += fft.irfft(fft.rfft(wide, FFT_SIZE) * np.conj(fft.rfft(comb, axis=-1)), FFT_SIZE, axis=-1)
    # The comb's origin is in the middle of its array, the spectrum's in the middle of the spectrum.
    lag = (np.arange(FFT_SIZE) + FFT_SIZE // 2) % FFT_SIZE
    lag = lag - n_column // 2
    total[:, np.abs(lag) > REACH_COLUMNS] = -np.inf
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
    return p[0] + p[1] * c + p[2] * (c / 100) ** 2 + p[3] * (c / 100) ** 3


def _polish(
    start: NDArray[np.floating],
    observed: Mapping[str, NDArray[np.floating]],
    published: Mapping[str, NDArray[np.floating]],
    power: Mapping[str, NDArray[np.floating]],
) -> NDArray[np.floating]:
    """Move the lines uphill on ever sharper spectra."""
    n_column = next(iter(observed.values())).size
    u = np.arange(n_column) - n_column // 2
    for width in (3.0, 2.0, 1.0):
        smooth = {lamp: ndimage.gaussian_filter1d(s, width) for lamp, s in observed.items()}

        def misfit(p: NDArray, smooth: dict = smooth) -> NDArray:
            return np.concatenate(
                [
                    power[k] * (1.0 - np.interp(_places(p, c), u, smooth[k] / smooth[k].max(), left=0, right=0))
                    for k, c in published.items()
                ]
            )

        start = least_squares(misfit, start, x_scale=[1.0, 0.01, 1.0, 1.0], loss="soft_l1", f_scale=0.3).x
    return start


def _correlation(p: NDArray, observed: NDArray, published: NDArray, power: NDArray) -> float:
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


def _compressed(spectrum: NDArray) -> NDArray[np.floating]:
    """The lines of a mean arc spectrum, unit norm."""
    up = lines_of(spectrum)
    return up / (np.sqrt((up**2).sum()) + 1e-9)


def _comb(place: NDArray, power: NDArray, u: NDArray, width: float) -> NDArray[np.floating]:
    """Gaussians of the given width at the given columns."""
    return (power[:, None] * np.exp(-0.5 * ((u[None, :] - place[:, None]) / width) ** 2)).sum(axis=0)
