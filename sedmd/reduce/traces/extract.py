"""Extraction of all spaxels at once: one linear least-squares fit of every trace's profile, neighbours included.

In one column of the detector the light is ``data(y) = sum_k f_k P(y - y_k) + noise``. Neighbouring traces are some
eight rows apart, so their wings overlap; the normal equations of the fit are banded when traces are sorted by row, and
the columns are independent: the whole detector is one banded system. This is the optimal extraction of Horne (1986),
generalised to many objects as in Robertson (1986) and Sharp & Birchall (2010).

Frames lie here with their columns first, ``(n_x, n_y)``, see `sedmd.reduce.loops.light`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.loops.light import draw_columns, fit_columns
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.samples import Samples

#: Rows on each side of a trace that take part in its fit; further out the profile belongs to the scattered light.
HALF_HEIGHT = 10
#: Share of a sample's profile that may fall on masked pixels before its flux is flagged.
MAX_BAD_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """Flux of every sample.

    Attributes
    ----------
    flux, variance : (n,) electron and electron**2; NaN where no pixel was usable
    bad_fraction : (n,) share of the profile that fell on masked pixels
    explained : (n,) flux times what the data say about it, (signal to noise)**2 of lone traces; 0 where flux is NaN
    peak : float, largest share of a sample's light in one pixel
    """

    flux: NDArray[np.floating]
    variance: NDArray[np.floating]
    bad_fraction: NDArray[np.floating]
    explained: NDArray[np.floating]
    peak: float

    def select(self, keep: NDArray[np.bool_]) -> Extracted:
        """Those of some samples."""
        return Extracted(
            flux=self.flux[keep],
            variance=self.variance[keep],
            bad_fraction=self.bad_fraction[keep],
            explained=self.explained[keep],
            peak=self.peak,
        )

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Samples of which too much fell on masked pixels."""
        return self.bad_fraction > MAX_BAD_SHARE


def columns_first(image: NDArray[Any]) -> NDArray[Any]:
    """A frame (n_y, n_x) as (n_x, n_y), or back; float64 becomes float32."""
    kind = np.float32 if image.dtype.kind == "f" else image.dtype
    turned = np.empty(image.shape[::-1], kind)
    # A few rows at a time: what is read and written then stays in the cache.
    for row in range(0, len(image), 32):
        turned[:, row : row + 32] = image[row : row + 32].T
    return turned


def fit_fluxes(
    samples: Samples, profile: Profile, light: NDArray[np.floating], weight: NDArray[np.floating]
) -> Extracted:
    """Least-squares flux of every sample.

    Parameters
    ----------
    samples, profile : where the traces run, and their profile
    light : (n_x, n_y) electron, background already subtracted
    weight : (n_x, n_y) inverse variance, electron**-2; 0 where a pixel is masked

    Returns
    -------
    Extracted; the variance is the diagonal of the inverse normal matrix to second order in the overlaps.

    Raises
    ------
    ValueError
        If frames and samples are not of one detector.
    """
    for name, frame in (("light", light), ("weight", weight)):
        if frame.shape != samples.shape[::-1]:
            raise ValueError(f"{name} must be of {samples.shape[::-1]} pixels as the samples are, not {frame.shape}")
    fitted = np.empty((5, samples.x.size))
    fit_columns(
        *samples.columns(),
        samples.y,
        samples.sigma,
        np.ascontiguousarray(light, np.float32),
        np.ascontiguousarray(weight, np.float32),
        profile.table,
        profile.step,
        HALF_HEIGHT,
        fitted,
    )
    flux, variance, bad_fraction, explained, peak = fitted
    return Extracted(
        flux=flux,
        variance=variance,
        bad_fraction=bad_fraction,
        explained=explained,
        peak=float(peak.max(initial=0.0)),
    )


def model_image(samples: Samples, profile: Profile, flux: NDArray[np.floating]) -> NDArray[np.float32]:
    """The detector image that the fluxes predict: (n_x, n_y) electron; NaN fluxes count as none."""
    image = np.zeros(samples.shape[::-1], np.float32)
    draw_columns(
        *samples.columns(),
        samples.y,
        samples.sigma,
        np.ascontiguousarray(flux, float),
        profile.table,
        profile.step,
        HALF_HEIGHT,
        image,
    )
    return image


def samples_touched(samples: Samples, pixels: NDArray[np.bool_], reach: int = 2) -> NDArray[np.bool_]:
    """Samples that have one of these pixels (n_y, n_x) among those that hold nearly all of their light: (n_samples,).

    Parameters
    ----------
    reach : rows on each side of the middle one; two hold 95 % of the light at a FWHM of three pixels
    """
    row = np.rint(samples.y).astype(int)
    touched = np.zeros(samples.x.size, bool)
    for step in range(-reach, reach + 1):
        at = np.clip(row + step, 0, pixels.shape[0] - 1)
        touched |= pixels[at, samples.x]
    return touched


def scattered_under(samples: Samples, background: NDArray[np.floating]) -> NDArray[np.floating]:
    """How much light between the spectra an extraction subtracts under each sample: (n_samples,) electron.

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


def light_of_others(samples: Samples, profile: Profile, flux: NDArray[np.floating]) -> NDArray[np.floating]:
    """Light of the other spectra that an extraction subtracts from each sample: (n_samples,) electron.

    Parameters
    ----------
    samples, profile : where the spectra run, and their profile
    flux : (n_samples,) electron; NaN counts as none

    Notes
    -----
    It is what a fit of the sample's profile alone would find more. For a Gaussian `d` rows from another that is the
    other's flux times ``exp(-d**2 / (4 sigma**2))``: a fifth of it at two and a half widths, nothing at five.
    """
    flux = np.nan_to_num(flux)
    model = model_image(samples, profile, flux)
    row = np.rint(samples.y).astype(int)
    found, square = np.zeros(flux.size), np.zeros(flux.size)
    for step in range(-HALF_HEIGHT, HALF_HEIGHT + 1):
        at = row + step
        inside = (at >= 0) & (at < samples.shape[0])
        share = np.where(inside, profile(at - samples.y, samples.sigma), 0.0)
        found += share * model[samples.x, np.where(inside, at, 0)]
        square += share**2
    return np.where(square > 0, found / np.maximum(square, 1e-12) - flux, 0.0)
