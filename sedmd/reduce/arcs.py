"""From lamp frames to identified lines: straightened arc spectra, their mutual alignment, and which peak is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares

from sedmd.reduce.traces import Traces

#: Columns on each side of a trace's middle that a straightened arc spectrum covers.
HALF_SPAN = 230


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


def align(spectra: NDArray[np.floating], reference: int, rounds: int = 4) -> tuple[NDArray, NDArray]:
    """Shift and stretch that bring each trace's arc spectra onto those of a reference trace.

    Parameters
    ----------
    spectra : (n_lamp, n_trace, n_column) straightened spectra, NaN where there is no data
    reference : trace that starts as the template
    rounds : the template is then the mean of all aligned spectra, and refined this many times

    Returns
    -------
    shift : (n_trace,) columns: a feature of the template at offset u lies at ``shift + stretch * u``
    stretch : (n_trace,)
    """
    _, n_trace, n_column = spectra.shape
    # The square root evens out strong and weak lines; a running floor takes continuum and scattered light away.
    flat = np.nan_to_num(spectra)
    floor = ndimage.uniform_filter1d(ndimage.minimum_filter1d(flat, 31, axis=-1), 31, axis=-1)
    flat = flat - floor
    flat = np.sqrt(np.maximum(flat, 0.0))
    flat /= np.sqrt((flat**2).mean(axis=(1, 2), keepdims=True)) + 1e-9
    u = np.arange(n_column) - n_column // 2
    template = ndimage.gaussian_filter1d(flat[:, reference], 2.0, axis=-1)
    shift, stretch = np.zeros(n_trace), np.ones(n_trace)
    stretches = np.linspace(0.94, 1.06, 25)
    size = 1024
    spectrum_ft = np.fft.rfft(flat, size, axis=-1)
    for round_ in range(rounds):
        best = np.full(n_trace, -np.inf)
        for a in stretches:
            stretched = np.stack([np.interp(u / a, u, t, left=0, right=0) for t in template])
            norm = np.sqrt((stretched**2).sum())
            product = (spectrum_ft * np.conj(np.fft.rfft(stretched, size, axis=-1))[:, None]).sum(axis=0)
            correlation = np.fft.irfft(product, size, axis=-1) / norm
            peak = np.argmax(correlation, axis=-1)
            rows = np.arange(n_trace)
            value = correlation[rows, peak]
            left, right = correlation[rows, peak - 1], correlation[rows, (peak + 1) % size]
            fine = 0.5 * (left - right) / (left - 2 * value + right - 1e-12)
            lag = np.where(peak > size // 2, peak - size, peak) + fine
            better = value > best
            best[better], shift[better], stretch[better] = value[better], lag[better], a
        if round_ < rounds - 1:
            template = mean_aligned(flat, shift, stretch)
    return shift, stretch


def mean_aligned(spectra: NDArray, shift: NDArray, stretch: NDArray) -> NDArray[np.floating]:
    """Median of the aligned spectra: (n_lamp, n_column)."""
    _, n_trace, n_column = spectra.shape
    u = np.arange(n_column) - n_column // 2
    some = range(0, n_trace, max(1, n_trace // 400))
    aligned = np.stack(
        [
            [np.interp(shift[k] + stretch[k] * u, u, lamp[k], left=np.nan, right=np.nan) for k in some]
            for lamp in spectra
        ]
    )
    return np.nan_to_num(np.nanmedian(aligned, axis=1))


def identify(
    template: Mapping[str, NDArray[np.floating]],
    lines: Mapping[str, Lines],
    wavelength: NDArray[np.floating],
    column: NDArray[np.floating],
) -> tuple[NDArray[np.floating], float]:
    """Stretch and bend a published wavelength scale until its lines fall on the peaks of the mean arc spectra.

    Parameters
    ----------
    template : lamp -> (n_column,) mean arc spectrum on columns relative to the middle
    lines : lamp -> its lines
    wavelength, column : (m,) the published scale, columns relative to 5461 Angstrom

    Returns
    -------
    parameters : (4,) ``column = p0 + p1 c + p2 (c/100)**2 + p3 (c/100)**3`` for the published column c
    score : correlation of the predicted with the observed spectra, 1 is perfect

    Notes
    -----
    Each lamp has its own frame, so a wrong identification would have to fit three combs at once.
    """
    n_column = next(iter(template.values())).size
    u = np.arange(n_column) - n_column // 2
    lamps = [lamp for lamp in template if lamp in lines]
    observed = {lamp: _compressed(template[lamp]) for lamp in lamps}
    published = {lamp: np.interp(lines[lamp].wavelength, wavelength, column) for lamp in lamps}
    power = {lamp: np.sqrt(lines[lamp].intensity / lines[lamp].intensity.max()) for lamp in lamps}
    wide = {lamp: ndimage.gaussian_filter1d(observed[lamp], 2.5) for lamp in lamps}
    best, best_score = np.zeros(3), -np.inf
    for scale in np.arange(0.80, 1.2501, 0.01):
        for bend in np.arange(-8.0, 8.1, 1.0):
            total = np.zeros(2 * n_column - 1)
            for lamp in lamps:
                c = published[lamp]
                comb = _comb(scale * c + bend * (c / 100) ** 2, power[lamp], u, 2.5)
                total += np.correlate(wide[lamp], comb, mode="full") / np.sqrt((comb**2).sum() + 1e-9)
            k = int(np.argmax(total))
            if total[k] > best_score:
                best_score, best = float(total[k]), np.array([k - (n_column - 1), scale, bend])
    start = np.array([best[0], best[1], best[2], 0.0])

    def misfit(p: NDArray, width: float) -> NDArray:
        residuals = []
        for lamp in lamps:
            c = published[lamp]
            place = p[0] + p[1] * c + p[2] * (c / 100) ** 2 + p[3] * (c / 100) ** 3
            smooth = ndimage.gaussian_filter1d(observed[lamp], width)
            residuals.append(power[lamp] * (1.0 - np.interp(place, u, smooth / smooth.max(), left=0, right=0)))
        return np.concatenate(residuals)

    for width in (3.0, 2.0, 1.0):
        fit = least_squares(misfit, start, args=(width,), x_scale=[1.0, 0.01, 1.0, 1.0], loss="soft_l1", f_scale=0.3)
        start = fit.x
    score = 0.0
    for lamp in lamps:
        c = published[lamp]
        place = start[0] + start[1] * c + start[2] * (c / 100) ** 2 + start[3] * (c / 100) ** 3
        comb = _comb(place, power[lamp], u, 1.5)
        seen = ndimage.gaussian_filter1d(observed[lamp], 0.7)
        score += float((comb * seen).sum() / np.sqrt((comb**2).sum() * (seen**2).sum() + 1e-9)) / len(lamps)
    return start, score


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
    """Square root of what stands above the local floor, unit norm."""
    up = np.sqrt(np.maximum(spectrum - ndimage.percentile_filter(spectrum, 30, size=61), 0.0))
    return up / (np.sqrt((up**2).sum()) + 1e-9)


def _comb(place: NDArray, power: NDArray, u: NDArray, width: float) -> NDArray[np.floating]:
    """Gaussians of the given width at the given columns."""
    return (power[:, None] * np.exp(-0.5 * ((u[None, :] - place[:, None]) / width) ** 2)).sum(axis=0)
