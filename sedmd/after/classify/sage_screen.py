"""Which templates of a bank are worth asking: the scores of snid-sage for all of them at once. Pure, and without sedmd.

snid-sage correlates one template after the other, which takes most of a minute for a full bank. Here the same sums are
done for many templates together. The scores that are reported are snid-sage's own: it is asked about the best templates
of this screen, and each of its answers is compared with the screen's (`agrees`); where they differ, as another version
of it might, the whole bank goes through snid-sage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

Array = NDArray[Any]

#: Templates that are worked on together: what fits into the cache of a processor, and bounds the memory.
CHUNK = 256
#: A score of the screen and of snid-sage are the same when they differ by less than this share.
TOLERANCE = 1e-6
#: Peaks of the correlation (Blondin & Tonry 2007): least height and distance, bins around zero lag the second time.
LEAST_HEIGHT, LEAST_DISTANCE, WINDOW = 0.3, 3, 10
#: Ends of the overlap that are tapered, per cent; samples below these are no part of a template, of an overlap.
TAPER, NO_FLUX, NO_OVERLAP, NO_SAMPLE = 10.0, 1e-8, 1e-3, 1e-12
#: Half-width of the search for half the height of the peak: at most, at least, part of the grid [bins].
WIDTH_MOST, WIDTH_LEAST, WIDTH_PART = 200, 40, 6
#: Full width at half maximum of a peak that has none [bins].
USUAL_WIDTH = 4.7
#: Part of the samples that count for concordance and noise.
KEPT = 0.99


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A spectrum on the logarithmic grid, without continuum, tapered.

    Attributes
    ----------
    flux : (n,)
    left, right : first and last bin with data
    step : of ln(wavelength)
    band : the four corners of the filter, in cycles over the grid
    zmin, zmax : of the matches
    least_overlap : part of the grid
    """

    flux: Array
    left: int
    right: int
    step: float
    band: tuple[int, int, int, int]
    zmin: float
    zmax: float
    least_overlap: float = 0.3


def screen(spectrum: Prepared, flux: Array, transform: Array) -> tuple[Array, Array]:
    """Score and redshift of each template.

    Parameters
    ----------
    spectrum : Prepared
    flux : (n_templates, n)
        Templates on the same grid.
    transform : (n_templates, n // 2 + 1) complex
        Their Fourier transforms, `numpy.fft.rfft`.

    Returns
    -------
    score, redshift : (n_templates,)
        HsLAP-CCC: height times overlap times concordance over the root of the redshift's error. NaN where the template
        does not match; infinite where this screen cannot tell (a peak at the end of the grid).
    """
    score, redshift = np.full(len(flux), np.nan), np.full(len(flux), np.nan)
    for begin in range(0, len(flux), CHUNK):
        part = slice(begin, begin + CHUNK)
        score[part], redshift[part] = _chunk(spectrum, flux[part], transform[part])
    return score, redshift


def agrees(mine: float, theirs: float) -> bool:
    """Whether a score of the screen is that of snid-sage."""
    return not np.isfinite(mine) or abs(mine - theirs) <= TOLERANCE * max(abs(theirs), 1.0)


def bell(size: int, band: tuple[int, int, int, int]) -> Array:
    """The filter at each non-negative frequency of a transform of `size` samples: cosine bells at both ends."""
    k1, k2, k3, k4 = band
    k = np.arange(size // 2 + 1, dtype=float)
    rise = 0.5 * (1 - np.cos(np.pi * (k - k1) / (k2 - k1))) if k2 > k1 else np.ones_like(k)
    fall = 0.5 * (1 + np.cos(np.pi * (k - k3) / (k4 - k3))) if k4 > k3 else np.ones_like(k)
    found: Array = np.where((k < k1) | (k > k4), 0.0, np.where(k < k2, rise, np.where(k > k3, fall, 1.0)))
    return found


def _rms(transform: Array, filtered: Array, size: int) -> Array:
    """Of the filtered signal, by Parseval's theorem."""
    weight = filtered * 2.0
    weight[0], weight[size // 2] = filtered[0], filtered[size // 2]
    found: Array = np.sqrt((transform.real**2 + transform.imag**2) @ weight) / size
    return found


def _chunk(spectrum: Prepared, flux: Array, transform: Array) -> tuple[Array, Array]:
    size = flux.shape[1]
    filtered = bell(size, spectrum.band)
    score, redshift = np.full(len(flux), np.nan), np.full(len(flux), np.nan)
    lag, untold = _first_lags(spectrum, transform, filtered, size)
    score[untold] = np.inf
    has_flux = np.abs(flux) > NO_FLUX
    rows = np.flatnonzero(np.isfinite(lag) & has_flux.any(axis=1))
    if not rows.size:
        return score, redshift
    shifted = _shifted(flux[rows], transform[rows], has_flux[rows], lag[rows])
    start, end, overlap = _overlap(shifted, spectrum.flux)
    good = (overlap > 0) & (overlap >= spectrum.least_overlap) & (end > start)
    rows, shifted, start, end, overlap = (one[good] for one in (rows, shifted, start, end, overlap))
    if not rows.size:
        return score, redshift
    height, more, width_bins = _second_peaks(spectrum, shifted, start, end, filtered)
    z = np.exp((lag[rows] + more) * spectrum.step) - 1.0
    width = width_bins * spectrum.step * (1.0 + z)
    inside = np.isfinite(z) & (z >= spectrum.zmin) & (z <= spectrum.zmax) & np.isfinite(height)
    data = spectrum.flux[spectrum.left : spectrum.right + 1]
    concordance, noise = _likeness(data, shifted[:, spectrum.left : spectrum.right + 1])
    height_lap, sigma = height * overlap, width * noise
    with np.errstate(invalid="ignore", divide="ignore"):
        full = height_lap * np.clip(concordance, 0.0, 1.0) / np.sqrt(sigma)
    usable = (height_lap > 0) & np.isfinite(sigma) & (sigma > 0)
    score[rows] = np.where(inside, np.where(usable, full, height_lap), np.nan)
    redshift[rows] = np.where(inside, z, np.nan)
    return score, redshift


def _first_lags(spectrum: Prepared, transform: Array, filtered: Array, size: int) -> tuple[Array, Array]:
    """Lag of the highest peak within the redshifts, NaN for none; and which rows have it at the end of the grid."""
    middle = size // 2
    data = np.fft.rfft(spectrum.flux)
    rms = _rms(data[None], filtered, size)[0] * _rms(transform, filtered, size)
    lag, untold = np.full(len(transform), np.nan), np.zeros(len(transform), bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        curves = np.fft.irfft(data * np.conj(transform) * filtered, size, axis=1) / (size * rms[:, None])
    curves = np.roll(curves, middle, axis=1)
    low = max(round(float(np.log(1 + min(spectrum.zmin, -0.05))) / spectrum.step) + middle, 0)
    high = min(round(float(np.log(1 + spectrum.zmax)) / spectrum.step) + middle, size - 1)
    for row in np.flatnonzero((rms > 0) & (curves[:, low : high + 1].max(axis=1) >= LEAST_HEIGHT)):
        curve = curves[row]
        peaks, _ = find_peaks(curve, distance=LEAST_DISTANCE, height=LEAST_HEIGHT)
        peaks = peaks[(peaks >= low) & (peaks <= high)]
        if not peaks.size:
            continue
        best = int(peaks[np.lexsort((np.abs(peaks - middle), -curve[peaks]))[0]])
        if not 2 <= best < size - 2:
            untold[row] = True
            continue
        bend, slope, _ = _parabola(curve[None, best - 2 : best + 3])
        lag[row] = best - middle - (0.0 if abs(bend[0]) < 1e-12 else slope[0] / (2 * bend[0]))
    return lag, untold


def _parabola(values: Array) -> tuple[Array, Array, Array]:
    """Least squares through five neighbours at -2 ... 2: coefficients of x squared, x, 1."""
    y = np.moveaxis(values, -1, 0)
    bend = (2 * y[0] - y[1] - 2 * y[2] - y[3] + 2 * y[4]) / 14
    slope = (-2 * y[0] - y[1] + y[3] + 2 * y[4]) / 10
    level = (-3 * y[0] + 12 * y[1] + 17 * y[2] + 12 * y[3] - 3 * y[4]) / 35
    return bend, slope, level


def _shifted(flux: Array, transform: Array, has_flux: Array, lag: Array) -> Array:
    """Templates moved by a part of a bin, zero outside of where they had flux."""
    size = flux.shape[1]
    phase = np.exp(-2j * np.pi / size * np.arange(size // 2 + 1) * lag[:, None])
    moved: Array = np.fft.irfft(transform * phase, size, axis=1)
    first = np.floor(has_flux.argmax(axis=1) + lag)
    last = np.ceil(size - 1 - has_flux[:, ::-1].argmax(axis=1) + lag)
    bins = np.arange(size)
    moved[(bins < first[:, None]) | (bins > last[:, None]) | (np.abs(moved) < NO_FLUX)] = 0.0
    return moved


def _overlap(shifted: Array, data: Array) -> tuple[Array, Array, Array]:
    """First and last bin that both have, and the part of the grid between."""
    size = shifted.shape[1]

    def ends(rows: Array) -> tuple[Array, Array]:
        there = np.abs(rows) > NO_OVERLAP
        return there.argmax(axis=1), size - 1 - there[:, ::-1].argmax(axis=1)

    (first, last), (begin, finish) = ends(shifted), ends(data[None])
    start, end = np.maximum(first, begin), np.minimum(last, finish)
    return start, end, np.where(end >= start, (end - start + 1) / size, 0.0)


def _taper(size: int, start: Array, end: Array) -> Array:
    """A window from start to end, both included, with raised cosines over `TAPER` per cent at its ends."""
    length = end - start + 1
    ramp = np.minimum(np.rint(length * TAPER / 100.0), length // 2)[:, None]
    bins = np.arange(size)
    inside = np.minimum(bins - start[:, None], end[:, None] - bins).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        rise = np.where(ramp > 1, 0.5 * (1 - np.cos(np.pi * inside / (ramp - 1.0))), 0.0)
    found: Array = np.where(inside < 0, 0.0, np.where(inside < ramp, rise, 1.0))
    return found


def _second_peaks(
    spectrum: Prepared, shifted: Array, start: Array, end: Array, filtered: Array
) -> tuple[Array, Array, Array]:
    """Correlation of the overlaps alone, tapered: height of its peak, its lag, its width at half height [bins]."""
    size = shifted.shape[1]
    middle = size // 2
    window = _taper(size, start, end)
    data, other = np.fft.rfft(spectrum.flux * window, axis=1), np.fft.rfft(shifted * window, axis=1)
    rms = _rms(data, filtered, size) * _rms(other, filtered, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        curves = np.fft.irfft(data * np.conj(other) * filtered, size, axis=1) / (size * rms[:, None])
    curves = np.roll(curves, middle, axis=1)
    curves[~(rms > 0)] = np.nan
    near = np.nan_to_num(curves[:, middle - WINDOW : middle + WINDOW + 1], nan=-np.inf)
    top = middle - WINDOW + near.argmax(axis=1)
    rows = np.arange(len(curves))[:, None]
    bend, slope, level = _parabola(curves[rows, top[:, None] + np.arange(-2, 3)])
    peak = curves[rows[:, 0], top]
    with np.errstate(invalid="ignore", divide="ignore"):
        off = -slope / (2 * bend)
        height = level - slope**2 / (4 * bend)
    straight = (np.abs(bend) < 1e-12) | (np.abs(off) > WINDOW)
    off, height = np.where(straight, 0.0, off), np.where(straight, peak, height)
    wild = height > 10 * peak
    off, height = np.where(wild, 0.0, off), np.where(wild, peak, height)
    return height, top + off - middle, _width(curves, top, peak)


def _width(curves: Array, top: Array, peak: Array) -> Array:
    """Full width at half the height of each peak, between straight lines through the samples [bins]."""
    size = curves.shape[1]
    reach = min(WIDTH_MOST, max(WIDTH_LEAST, size // WIDTH_PART))
    rows = np.arange(len(curves))
    half = 0.5 * peak

    def crossing(side: int) -> Array:
        bins = top[:, None] + side * np.arange(reach + 1)
        values = curves[rows[:, None], np.clip(bins, 0, size - 1)]
        below = (values < half[:, None]) & (bins >= 0) & (bins < size)
        out = below.argmax(axis=1)
        inner = values[rows, np.maximum(out - 1, 0)]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (half - inner) / (values[rows, out] - inner)
        return np.where(below.any(axis=1) & (out > 0), out - 1 + part, np.nan)

    found = crossing(-1) + crossing(1)
    return np.where((peak > 0) & (found > 0), found, USUAL_WIDTH)


def _likeness(data: Array, templates: Array) -> tuple[Array, Array]:
    """Concordance (Lin 1989) and scatter of the differences, without the most extreme hundredth of the samples."""
    size = data.size
    both = (np.abs(data) > NO_SAMPLE) & (np.abs(templates) > NO_SAMPLE)
    start, end = both.argmax(axis=1), size - 1 - both[:, ::-1].argmax(axis=1)
    window = _taper(size, start, end)
    a, b = data * window, templates * window
    counts = (np.abs(a) > NO_SAMPLE) & (np.abs(b) > NO_SAMPLE)
    a_apart, b_apart = a - _mean(a, counts)[:, None], b - _mean(b, counts)[:, None]
    product = np.abs(a_apart * b_apart)
    limit = _quantile(product, counts)
    kept = counts & (product < limit[:, None])
    kept = np.where((kept.sum(axis=1) < 2)[:, None], counts, kept)
    mean_a, mean_b, number = _mean(a, kept), _mean(b, kept), np.maximum(kept.sum(axis=1), 2)
    da, db = np.where(kept, a - mean_a[:, None], 0.0), np.where(kept, b - mean_b[:, None], 0.0)
    spread = ((da**2).sum(axis=1) + (db**2).sum(axis=1)) / (number - 1) + (mean_a - mean_b) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        concordance = np.where(spread > 0, 2 * (da * db).sum(axis=1) / (number - 1) / spread, 0.0)
    apart = a - b
    near = counts & (np.abs(apart) <= _quantile(np.abs(apart), counts)[:, None])
    noise = np.sqrt(_mean((apart - _mean(apart, near)[:, None]) ** 2, near))
    return concordance, np.where(near.any(axis=1), noise, np.nan)


def _mean(values: Array, where: Array) -> Array:
    found: Array = np.where(where, values, 0.0).sum(axis=1) / np.maximum(where.sum(axis=1), 1)
    return found


def _quantile(values: Array, where: Array) -> Array:
    """The quantile `KEPT` of each row's samples, between neighbours as numpy does it."""
    number = where.sum(axis=1)
    ordered = np.sort(np.where(where, values, np.inf), axis=1)
    place = np.maximum(number - 1, 0) * KEPT
    low = np.floor(place).astype(int)
    rows = np.arange(len(values))
    below = ordered[rows, low]
    above = ordered[rows, np.minimum(low + 1, np.maximum(number - 1, 0))]
    part = place - low
    step = above - below
    found: Array = np.where(part < 0.5, below + step * part, above - step * (1 - part))
    return found
