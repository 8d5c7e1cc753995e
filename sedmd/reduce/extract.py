"""Extraction of all spaxels at once: one linear least-squares fit of every trace's profile, neighbours included.

In one column of the detector the light is ``data(y) = sum_k f_k P(y - y_k) + noise``. Neighbouring traces are some
eight rows apart, so their wings overlap; the normal equations of the fit are banded when traces are sorted by row, and
the columns are independent: the whole detector is one banded system. This is the optimal extraction of Horne (1986),
generalised to many objects as in Robertson (1986) and Sharp & Birchall (2010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from sedmd.reduce.profile import Profile
from sedmd.reduce.samples import Samples

#: Rows on each side of a trace that take part in its fit; further out the profile belongs to the scattered light.
HALF_HEIGHT = 10
#: Share of a sample's profile that may fall on masked pixels before its flux is no longer trusted.
MAX_BAD_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """Flux of every sample.

    Attributes
    ----------
    flux, variance : (n,) electron and electron**2; NaN where no pixel was usable
    bad_fraction : (n,) share of the profile that fell on masked pixels
    """

    flux: NDArray[np.floating]
    variance: NDArray[np.floating]
    bad_fraction: NDArray[np.floating]

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Samples of which too much fell on masked pixels to be trusted."""
        return self.bad_fraction > MAX_BAD_SHARE


@dataclass(frozen=True, slots=True)
class Stamps:
    """The pixels and profile around every sample, gathered once and used by several fits."""

    pixel: NDArray[np.int64]
    inside: NDArray[np.bool_]
    dy: NDArray[np.floating]
    share: NDArray[np.floating]


def gather(samples: Samples, profile: Profile, half_height: int = HALF_HEIGHT) -> Stamps:
    """Pixel indices, distances and profile shares of the ``2 half_height + 1`` pixels around each sample."""
    pixel, inside = samples.pixels(half_height)
    dy = (samples.rows(half_height) - samples.y[:, None]).astype(np.float32)
    share = profile(dy, samples.sigma[:, None])
    share[~inside] = 0.0
    return Stamps(pixel, inside, dy, share)


def fit_fluxes(samples: Samples, stamps: Stamps, data: NDArray[np.floating], weight: NDArray[np.floating]) -> Extracted:
    """Least-squares flux of every sample.

    Parameters
    ----------
    samples, stamps : from `gather`
    data : (n_y, n_x) electron, background already subtracted
    weight : (n_y, n_x) inverse variance, electron**-2; 0 where a pixel is masked

    Returns
    -------
    Extracted; the variance is the diagonal of the inverse normal matrix to second order in the overlaps.
    """
    weight_stamp = weight.ravel()[stamps.pixel]
    data_stamp = data.ravel()[stamps.pixel]
    weighted = stamps.share * weight_stamp
    diagonal = np.einsum("ij,ij->i", weighted, stamps.share, dtype=np.float64)
    right = np.einsum("ij,ij->i", weighted, data_stamp, dtype=np.float64)
    bands = _overlaps(samples, weighted, stamps.share)
    usable = diagonal > 0
    scale = np.where(usable, np.sqrt(np.where(usable, diagonal, 1.0)), 1.0)
    matrix = np.zeros((len(bands) + 1, diagonal.size))
    matrix[0] = 1.0
    schur = np.zeros(diagonal.size)
    correlation = [band / (scale[:-m] * scale[m:]) for m, band in enumerate(bands, start=1)]
    # Two traces on top of each other cannot be told apart: their correlation is held below one so that both keep a
    # finite, very uncertain flux instead of ending the fit for everybody.
    load = np.zeros(diagonal.size)
    for m, scaled in enumerate(correlation, start=1):
        load[:-m] += np.abs(scaled)
        load[m:] += np.abs(scaled)
    ease = np.minimum(1.0, 0.95 / np.maximum(load, 1e-9))
    for m, scaled in enumerate(correlation, start=1):
        scaled = scaled * np.minimum(ease[:-m], ease[m:])
        matrix[m, :-m] = scaled
        schur[:-m] += scaled**2
        schur[m:] += scaled**2
    solution = solveh_banded(matrix, right / scale, lower=True, check_finite=False) / scale
    total = stamps.share.sum(axis=1)
    good = np.einsum("ij,ij->i", stamps.share, (weight_stamp > 0).astype(np.float32))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = 1.0 / (diagonal * np.maximum(1.0 - schur, 0.05))
        bad = 1.0 - good / total
    return Extracted(
        flux=np.where(usable, solution, np.nan),
        variance=np.where(usable, variance, np.nan),
        bad_fraction=np.where(total > 0, bad, 1.0),
    )


def model_image(samples: Samples, stamps: Stamps, flux: NDArray[np.floating]) -> NDArray[np.floating]:
    """The detector image that the fluxes predict: (n_y, n_x) electron; NaN fluxes count as none."""
    light = stamps.share * np.nan_to_num(flux, nan=0.0)[:, None].astype(np.float32)
    size = samples.shape[0] * samples.shape[1]
    image = np.bincount(stamps.pixel.ravel(), light.ravel(), size)
    return image.reshape(samples.shape).astype(np.float32)


def scattered_under(samples: Samples, background: NDArray[np.floating]) -> NDArray[np.floating]:
    """How much light between the spectra an extraction takes off under each sample: (n_samples,) electron.

    Parameters
    ----------
    samples : where the spectra lie
    background : (n_y, n_x) electron

    Notes
    -----
    An even background counts in a fit of a profile as its level times one over the sum of the squared shares (Horne
    1986), which is ``2 sqrt(pi) sigma`` for a Gaussian.
    """
    row = np.clip(np.rint(samples.y).astype(int), 0, background.shape[0] - 1)
    return np.asarray(2.0 * np.sqrt(np.pi) * samples.sigma * background[row, samples.x])


def _overlaps(
    samples: Samples, weighted: NDArray[np.floating], share: NDArray[np.floating], max_neighbours: int = 4
) -> list[NDArray[np.floating]]:
    """Weighted overlap of each sample's profile with that of the m-th next sample of the same column, m = 1, 2, ..."""
    n, width = share.shape
    row = np.rint(samples.y).astype(np.int64)
    bands = []
    for m in range(1, max_neighbours + 1):
        if n <= m:
            break
        offset = row[m:] - row[:-m]
        near = (samples.x[m:] == samples.x[:-m]) & (offset < width)
        if not near.any():
            break
        band = np.zeros(n - m)
        for d in np.unique(offset[near]):
            s = np.flatnonzero(near & (offset == d))
            # Pixel j of sample s is pixel j - d of its neighbour.
            band[s] = np.einsum("ij,ij->i", weighted[s, d:], share[s + m, : width - d], dtype=np.float64)
        bands.append(band)
    return bands
