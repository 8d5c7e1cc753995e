"""Score level, shape, A band and signal to noise of a calibrated spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sedmd.simulate.score_limit import limit_of
from sedmd.simulate.score_rows import ScoreRow, shown
from sedmd.simulate.score_truth import NightTruth

#: Bins in which the shape is compared [Angstrom], and the band of oxygen that is told apart.
SHAPE_EDGES = np.arange(3900.0, 9201.0, 100.0)
A_BAND = np.array([7590.0, 7700.0])
#: Ranges in which signal to noise is held against its limit [Angstrom].
LIMIT_EDGES = np.arange(4200.0, 8801.0, 200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A spectrum and its truth at all wavelengths: (n,) each; `noise` is the error without the flux calibration's.

    `together` is by how much neighbouring bins move together: the variance of a sum over that of independent bins.
    """

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    noise: NDArray[np.float64]
    truth: NDArray[np.float64]
    together: NDArray[np.float64]

    def binned(
        self, edges: NDArray[np.floating], use: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Flux over truth in bins, and its noise; NaN for a bin of which less than half is of `use`."""
        width = np.gradient(self.wavelength)
        good = np.isfinite(self.flux) & np.isfinite(self.noise)
        good &= True if use is None else use
        ratio, noise = np.full(len(edges) - 1, np.nan), np.full(len(edges) - 1, np.nan)
        for i, (low, high) in enumerate(pairwise(edges)):
            own = good & (self.wavelength >= low) & (self.wavelength < high)
            if width[own].sum() < 0.5 * (high - low):
                continue
            total = float((self.truth[own] * width[own]).sum())
            ratio[i] = float((self.flux[own] * width[own]).sum()) / total
            variance = ((self.noise[own] * width[own]) ** 2 * self.together[own]).sum()
            noise[i] = float(np.sqrt(variance)) / total
        return ratio, noise


def score_shape(whole: Whole, truth: NightTruth, frames: tuple[str, ...], where: str) -> list[ScoreRow]:
    """Rows on one spectrum, and on how near it comes to what its photons allow."""
    ratio, noise = whole.binned(SHAPE_EDGES, truth.outside_bands(whole.wavelength))
    known = np.isfinite(ratio)
    if known.sum() < 10:
        return []
    level = float(np.average(ratio[known], weights=noise[known] ** -2.0))
    spread = float(np.sqrt(np.mean((ratio[known] / level - 1.0) ** 2)))
    band, band_noise = whole.binned(A_BAND)
    rows = [
        shown("flux, level", where, 100.0 * (level - 1.0), "%"),
        shown("flux in 10 nm bins about it, rms", where, 100.0 * spread, "%"),
        shown("the noise in them, rms", where, 100.0 * float(np.sqrt(np.mean(noise[known] ** 2))), "%"),
    ]
    if np.isfinite(band[0]):
        told = f"{where} +- {100.0 * band_noise[0]:.1f} %"
        rows.append(shown("flux in the A band about it", told, 100.0 * float(band[0] / level - 1.0), "%"))
    reached = _reached(whole, truth, frames)
    if np.isfinite(reached):
        rows.append(shown("S/N told, of what the photons allow", where, 100.0 * reached, "%"))
    return rows


def _reached(whole: Whole, truth: NightTruth, frames: tuple[str, ...]) -> float:
    """Median of signal to noise, as the errors tell it, over the largest possible; NaN where that is not known."""
    plan = truth.plan
    limit = np.zeros(len(LIMIT_EDGES) - 1)
    for stem in frames:
        exposure = next((e for e in plan.exposures if e.file == f"{stem}.fits"), None) if plan else None
        scattered = truth.scattered(stem)
        target = next((s for s in exposure.sources if s.role == "target"), None) if exposure else None
        if plan is None or exposure is None or target is None or scattered is None:
            return float("nan")
        background = float(np.median(scattered))
        limit += limit_of(plan.instrument, exposure, target, LIMIT_EDGES, background) ** 2
    squared = np.nan_to_num((whole.truth / whole.noise) ** 2 / whole.together)
    told = np.sqrt(_shares_between(whole.wavelength, LIMIT_EDGES) @ squared)
    return float(np.median(told / np.sqrt(limit)))


def _shares_between(wavelength: NDArray[np.floating], edges: NDArray[np.floating]) -> NDArray[np.float64]:
    """What share of each bin lies between two edges: (n_range, n). A range holds some eight bins, seldom whole ones."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    ends = np.r_[1.5 * wavelength[0] - 0.5 * wavelength[1], middle, 1.5 * wavelength[-1] - 0.5 * wavelength[-2]]
    both = np.minimum(ends[None, 1:], edges[1:, None]) - np.maximum(ends[None, :-1], edges[:-1, None])
    return np.asarray(np.clip(both / np.diff(ends), 0.0, 1.0))
