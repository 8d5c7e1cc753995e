"""What is left of an exposure in the next one: charge that the silicon gives up minutes after it was read.

The spectra of two exposures lie on the same pixels, where a free flux of every sample hides what is left of the former
ones. Cosmic rays do not: they hit at random, sharper than any spectrum, and a chip that holds back charge holds back
theirs. So the share that is left is measured where the former exposure was hit, against pixels beside these, on the
same spectra, that were not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sedmd.reduce.detector.cosmic import find_cosmics
from sedmd.reduce.numeric.containers import Image, Mask
from sedmd.reduce.traces.extract import columns_first, fit_fluxes, model_image
from sedmd.reduce.traces.frame import Separated
from sedmd.reduce.traces.profile import Profile

#: Least that a pixel was hit by, above what spectra explain, to count [electron]; fewest of them that tell anything.
LEAST_CHARGE, LEAST_PIXELS = 300.0, 50
#: Distances of the like pixels that were not hit, along the spectra [pixel]: beyond a hit's own reach, and so near that
#: light and its model are the same.
BESIDE = (-14, -12, -10, -8, 8, 10, 12, 14)
#: Standard errors from which a pixel has something of its own: a hit of this exposure, a hot pixel.
REJECT, ROUNDS = 5.0, 4
#: Error of the light of a hit: the smooth light under it is not known pixel by pixel, share of it.
CHARGE_ERROR = 0.02
#: Light of which a pixel's errors are not photon noise alone: what the model of the spectra misses, as a share of it.
MODEL_ERROR = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence:
    """What is left of a former exposure.

    Attributes
    ----------
    share, error : electrons here for each electron there, and 1 sigma of it
    pixels : number of pixels that tell it
    worst : what is left of the former exposure's light in its brightest spectra, in units of this exposure's noise in
        one pixel; in a thousandth of the pixels it is more
    """

    share: float
    error: float
    pixels: int
    worst: float


def persistence(image: Image, separated: Separated, profile: Profile, former: Image) -> Persistence | None:
    """Measure how much of a former exposure is left in a later one.

    Parameters
    ----------
    image : Image, electron; its cosmic rays not replaced
    separated : the same frame as sum of traces and light between them
    profile : of the traces
    former : Image of the exposure before, electron, as it was read

    Returns
    -------
    Persistence; None where too few pixels were hit, or the two are of different cameras

    Notes
    -----
    A sample's flux takes up a part of what is left in its pixels, so the former exposure is fitted as this one is, with
    the same traces and weights, and what the fluxes leave of the one is compared with what they leave of the other: the
    share is that of a fit of all fluxes and of the share together (Frisch & Waugh 1933), in the pixels that were hit.
    What the same comparison gives for pixels beside these is subtracted, as there is nothing of the hits in them; if it
    scatters by more than the noise, that is the error. The noise counts as much larger as the frame's own chi-square
    says that its model misses. A pixel that was hit alone says nothing: a hot one looks the same in both exposures,
    which no fit tells from charge that was held back.
    """
    if former.data.shape != image.data.shape:
        return None
    useless = np.uint8(Mask.NO_DATA | Mask.BAD_PIXEL | Mask.SATURATED)
    bad = ((image.mask | former.mask) & useless) != 0
    hit, clean = find_cosmics(former.data, read_noise=former.read_noise, bad=(former.mask & useless) != 0)
    hit &= ~bad
    samples, between = separated.samples, columns_first(separated.background)
    light = columns_first(image.data) - between
    model = np.maximum(model_image(samples, profile, separated.extracted.flux), 0.0)
    variance = np.maximum(model + between, 0.0) + np.float32(image.read_noise**2) + (MODEL_ERROR * model) ** 2
    # what the frame itself rejects stays rejected, but where the former one was hit: it may be what is looked for
    spoilt = columns_first(bad | (separated.outliers & ~hit))
    weight = np.where(spoilt, np.float32(0.0), 1.0 / variance).astype(np.float32)
    left, moved = (
        frame - model_image(samples, profile, fit_fluxes(samples, profile, frame, weight).flux)
        for frame in (light, columns_first(former.data) - np.median(former.data[::4, ::4]))
    )
    x, y = np.nonzero(_tracks(columns_first(hit) & (moved > LEAST_CHARGE)))
    inside = (x >= -BESIDE[0]) & (x < len(moved) - BESIDE[-1])
    x, y = x[inside], y[inside]
    if x.size < LEAST_PIXELS:
        return None
    shares = [_share(left[x + step, y], weight[x + step, y], moved[x, y]) for step in (0, *BESIDE)]
    known = np.array([one for one in shares if np.isfinite(one[0])])
    if len(known) < len(shares):
        return None
    beside = known[1:, 0]
    scatter = float(np.std(beside, ddof=1))
    misfit = float(np.sqrt(max(separated.chi2, 1.0)))
    error = max(float(known[0, 1]) * misfit, scatter) * float(np.sqrt(1.0 + 1.0 / len(beside)))
    share = float(known[0, 0] - beside.mean())
    error = float(np.hypot(error, CHARGE_ERROR * share))
    usual = np.maximum(share, 0.0) * columns_first(clean)[::2, ::2] / np.sqrt(variance[::2, ::2])
    return Persistence(share=share, error=error, pixels=x.size, worst=float(np.percentile(usual, 99.9)))


def _tracks(hit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those pixels that were hit with one of the eight around them: what a particle does, and a hot pixel does not."""
    beside = ndimage.convolve(hit.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant") > 1
    return np.asarray(hit & beside)


def _share(
    left: NDArray[np.floating], weight: NDArray[np.floating], charge: NDArray[np.floating]
) -> tuple[float, float]:
    """Share of the charge in what is left, and its error; NaN where nothing tells.

    Outliers are rejected about the share of the round before, at first about the median of the single pixels'.
    """
    known = weight > 0
    if not known.any():
        return float("nan"), float("nan")
    share, precision = float(np.median(left[known] / charge[known])), 0.0
    for _ in range(ROUNDS):
        # a share that is not the same everywhere is no outlier
        limit = REJECT / np.sqrt(np.maximum(weight, 1e-12)) + 2.0 * np.abs(share * charge)
        good = known & (np.abs(left - share * charge) < limit)
        precision = float((weight * charge**2)[good].sum())
        if precision <= 0:
            return float("nan"), float("nan")
        share = float((weight * charge * left)[good].sum()) / precision
    return share, float(1.0 / np.sqrt(precision))
