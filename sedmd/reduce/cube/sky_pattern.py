"""How the dome lights the spaxels otherwise than the sky does: what several nights agree on, and no more.

A night tells for each spaxel by what the dome's flat has to be multiplied, so that the sky is even. In that are the
illumination, which other nights show too, and the noise and the faults of that night's flat, which they do not. How
much of it is of which kind is measured by how nights agree, and each spaxel is corrected by what is to be expected of
the first kind alone (empirical Bayes: Robbins 1956, Efron & Morris 1973).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.cube.sky_share import SkyShare, smooth_terms
from sedmd.reduce.numeric.containers import Spaxels

#: What one night alone shows is not believed.
LEAST_NIGHTS = 2
#: Fewest spaxels that a night must tell of, and fewest exposures' shares that are held against each other.
MIN_SPAXELS, MIN_HELD = 200, 3
#: Single spaxels beyond so many standard deviations are no illumination: they are counted as if they were as large.
FARTHEST = 5.0
#: What is around a spaxel: weights of a Gaussian of this sigma [arcsec]; the least share of them that must be known.
LOCAL_ARCSEC, LEAST_AROUND = 1.2, 0.25
#: Keeps a division finite where neither noise nor anything else is.
TINY = 1e-20
#: An exposure's share that is so many standard deviations off the median of the others is not used.
ODD = 5.0
#: A correction larger than this is no illumination.
MAX_CORRECTION = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class NightPattern:
    """What a night tells.

    Attributes
    ----------
    value : (n,) the sky's light over what the dome's flat alone makes of it, 1 in the mean; NaN where nothing told
    error : (n,) 1 sigma of each spaxel apart from the others; infinite where nothing told
    smooth_error : 1 sigma of each of the five terms of slope and curvature, rms over the field: from how the exposures
        agree, as far as they do (twilight, moonlight and scattered light slope too)
    exposures : how many
    """

    value: NDArray[np.floating]
    error: NDArray[np.floating]
    smooth_error: float
    exposures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPattern:
    """The correction of a dome flat.

    Attributes
    ----------
    factor : (n,) what the flat is multiplied by, 1 in the mean over the complete spaxels
    error : (n,) 1 sigma that is left of the illumination
    parts : rms of what `factor` is made of: "smooth", slope and curvature; "local", what a spaxel has in common with
        those around it; "single", what it alone has
    nightly : rms of what nights disagree by in each of these beyond their noise
    """

    factor: NDArray[np.floating]
    error: NDArray[np.floating]
    parts: Mapping[str, float]
    nightly: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What several witnesses have in common.

    Attributes
    ----------
    mean : (p,) expected value of what they share; error : (p,) its 1 sigma
    common : variance of what they share, over the p quantities; apart : variance of what each has alone beyond noise
    """

    mean: NDArray[np.floating]
    error: NDArray[np.floating]
    common: float
    apart: float


def shared(values: NDArray[np.floating], variance: NDArray[np.floating]) -> Shared:
    """Split what witnesses tell into what they share and what each tells alone.

    Parameters
    ----------
    values : (k, p) of k witnesses, each quantity scattered about zero
    variance : (k, p) of their noise; infinite where a witness does not know

    Returns
    -------
    Shared; its mean is zero where nothing is seen to be shared, and its error what chance may hide

    Notes
    -----
    The noise of two witnesses is independent: the mean product of their values is the variance A of what they share,
    however good their error bars are. It is taken one standard error lower than measured, so that chance makes
    little. The mean square less A and the noise is the variance B of what each has alone. With the weights
    w = 1/(B + variance) the expected value is sum(w v) / (sum(w) + 1/A), its variance 1/(sum(w) + 1/A), A at the most:
    what is not known is not corrected.
    """
    known = np.isfinite(values) & np.isfinite(variance)
    held, noise = np.where(known, values, 0.0), np.where(known, variance, 1.0)
    total = float(np.mean(held[known] ** 2)) if known.any() else 0.0
    weight = np.where(known, 1.0 / (noise + total), 0.0) if total > 0 else np.zeros(values.shape)
    # sum over pairs of different witnesses: the square of the sum less the squares
    product = 0.5 * ((weight * held).sum(axis=0) ** 2 - ((weight * held) ** 2).sum(axis=0))
    pairs = 0.5 * (weight.sum(axis=0) ** 2 - (weight**2).sum(axis=0))
    if not pairs.sum() > 0:
        return Shared(mean=np.zeros(values.shape[1]), error=np.zeros(values.shape[1]), common=0.0, apart=0.0)
    measured = product.sum() / pairs.sum()
    chance = float(np.sqrt(((product - measured * pairs) ** 2).sum()) / pairs.sum())
    common = max(float(measured) - chance, 0.0)
    square = float((weight * (held**2 - noise)).sum() / weight.sum())
    apart = max(square - max(float(measured), 0.0), 0.0)
    precision = np.where(known, 1.0 / (noise + apart + TINY), 0.0)
    if common == 0.0:  # as much as chance hides may still be there
        mean, error = np.zeros(values.shape[1]), np.full(values.shape[1], np.sqrt(chance))
    else:
        bottom = precision.sum(axis=0) + 1.0 / common
        mean, error = (precision * held).sum(axis=0) / bottom, 1.0 / np.sqrt(bottom)
    return Shared(mean=mean, error=error, common=common, apart=apart)


def night_pattern(shares: Sequence[SkyShare], applied: NDArray[np.floating], spaxels: Spaxels) -> NightPattern | None:
    """What a night's exposures tell of the dome's light against the sky's.

    Parameters
    ----------
    shares : of the night's exposures, made with one flat
    applied : (n,) what that flat was multiplied by already: it is undone, so that a night tells what it saw itself
    spaxels : of n

    Returns
    -------
    NightPattern; None where too few spaxels were seen

    Notes
    -----
    Slope and curvature of each exposure are its own first: their mean is the night's, and how they scatter is its
    error. The rest is averaged spaxel by spaxel.
    """
    if not shares:
        return None
    value = np.array([one.share * applied for one in shares])
    variance = np.array([one.error for one in shares]) ** 2
    known = np.isfinite(value) & np.isfinite(variance)
    basis = smooth_basis(spaxels, np.isfinite(applied))
    fits = [smooth_fit(v, s, basis) for v, s in zip(value, variance, strict=True)]
    coefficients, formal = np.array([one[0] for one in fits]), np.array([one[1] for one in fits])
    coefficients, level = coefficients / coefficients[:, :1], coefficients[:, :1]
    own_errors = np.array([[one.smooth_error**2] for one in shares])
    slopes, slope_error = _night_mean(coefficients[:, 1:], formal[:, 1:] + own_errors)
    left = value / level - coefficients @ basis.T
    if len(shares) >= MIN_HELD:
        enough = known.sum(axis=0) >= MIN_HELD
        middle = np.nanmedian(np.where(known, left, np.nan)[:, enough], axis=0)
        # the median of the others is uncertain too
        known[:, enough] &= ~(np.abs(left[:, enough] - middle) > ODD * np.sqrt(2.0 * variance[:, enough]))
    weight = np.where(known, 1.0 / np.where(known, variance, 1.0), 0.0)
    sure = weight.sum(axis=0)
    seen = sure > 0
    if seen.sum() < MIN_SPAXELS:
        return None
    mean = np.full(sure.size, np.nan)
    mean[seen] = (weight * np.where(known, left, 0.0)).sum(axis=0)[seen] / sure[seen]
    found = 1.0 + mean + basis[:, 1:] @ slopes
    error = np.full(sure.size, np.inf)
    error[seen] = 1.0 / np.sqrt(sure[seen])
    return NightPattern(value=found, error=error, smooth_error=slope_error, exposures=len(shares))


def _night_mean(
    coefficients: NDArray[np.floating], variance: NDArray[np.floating]
) -> tuple[NDArray[np.floating], float]:
    """Mean of the exposures' terms, weighted by their noise and how they scatter (DerSimonian & Laird 1986); its error.

    Of one exposure the scatter is not known, and its error only the noise's: other nights show what it was worth.
    """
    weight = 1.0 / variance
    mean = (weight * coefficients).sum(axis=0) / weight.sum(axis=0)
    chi2 = (weight * (coefficients - mean) ** 2).sum()
    freedom = coefficients.size - coefficients.shape[1]
    spare = (weight.sum(axis=0) - (weight**2).sum(axis=0) / weight.sum(axis=0)).sum()
    scatter = max(float((chi2 - freedom) / spare), 0.0) if spare > 0 else 0.0
    weight = 1.0 / (variance + scatter)
    mean = (weight * coefficients).sum(axis=0) / weight.sum(axis=0)
    return mean, float(np.sqrt(np.mean(1.0 / weight.sum(axis=0))))


def smooth_basis(spaxels: Spaxels, over: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Slope and curvature as terms that are independent over the field and of rms 1, the first being 1. (n, 6)"""
    terms = smooth_terms(spaxels.x_arcsec, spaxels.y_arcsec)
    _, triangle = np.linalg.qr(terms[over])
    basis = np.linalg.solve(triangle.T, terms.T).T * np.sqrt(over.sum())
    return np.asarray(basis * np.sign(basis[over][0, 0]))


def smooth_fit(
    value: NDArray[np.floating], variance: NDArray[np.floating], basis: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Terms of a plane with curvature through what is known, and their variance by the scatter of single spaxels."""
    known = np.isfinite(value) & np.isfinite(variance)
    own, found, extra = basis[known], np.zeros(basis.shape[1]), 0.0
    used = np.ones(int(known.sum()), bool)
    weight = np.ones(used.size)
    for _ in range(4):
        weight = used / (variance[known] + extra)
        found = np.linalg.solve(own.T @ (weight[:, None] * own), own.T @ (weight * value[known]))
        left = value[known] - own @ found
        extra = max(_robust_variance(left[used]) - float(np.median(variance[known])), 0.0)
        used = np.abs(left) < FARTHEST * np.sqrt(variance[known] + extra)
    return found, np.diag(np.linalg.inv(own.T @ (weight[:, None] * own)))


def _robust_variance(values: NDArray[np.floating]) -> float:
    """Of values about zero."""
    return float((1.4826 * np.median(np.abs(values))) ** 2)


def sky_pattern(nights: Sequence[NightPattern], spaxels: Spaxels, complete: NDArray[np.bool_]) -> SkyPattern | None:
    """The correction that several nights agree on.

    Parameters
    ----------
    nights : what each told, laid on these spaxels
    spaxels : of n
    complete : (n,) bool, spaxels over which the factor is 1 in the mean

    Returns
    -------
    SkyPattern; None with fewer nights than `LEAST_NIGHTS`

    Raises
    ------
    ValueError
        The nights agree on more than any illumination can be.
    """
    if len(nights) < LEAST_NIGHTS:
        return None
    basis = smooth_basis(spaxels, complete)
    value = np.array([one.value for one in nights])
    variance = np.array([one.error for one in nights]) ** 2
    fits = [smooth_fit(v, s, basis) for v, s in zip(value, variance, strict=True)]
    level = np.array([one[0][:1] for one in fits])
    coefficients = np.array([one[0] for one in fits]) / level
    noise = np.array([one[1] + night.smooth_error**2 for one, night in zip(fits, nights, strict=True)])
    smooth = shared(coefficients[:, 1:], noise[:, 1:])
    left = value / level - coefficients @ basis.T
    far = FARTHEST * np.sqrt(variance + np.array([[_robust_variance(one[np.isfinite(one)])] for one in left]))
    around, around_variance = _local(np.clip(left, -far, far), variance, spaxels)
    local = shared(around, around_variance)
    single = shared(np.clip(left, -far, far) - around, variance)
    parts = {
        "smooth": (basis[:, 1:] @ smooth.mean, (basis[:, 1:] ** 2) @ smooth.error**2),
        "local": (local.mean, local.error**2),
        "single": (single.mean, single.error**2),
    }
    factor = 1.0 + np.sum([value for value, _ in parts.values()], axis=0)
    factor /= np.mean(factor[complete])
    largest = float(np.max(np.abs(factor[complete] - 1.0)))
    if largest > MAX_CORRECTION:
        raise ValueError(
            f"the sky of {len(nights)} nights differs from the dome's flat by up to {100 * largest:.0f} %, "
            f"at most {100 * MAX_CORRECTION:g} % expected"
        )
    return SkyPattern(
        factor=factor,
        error=np.sqrt(np.sum([variance for _, variance in parts.values()], axis=0)),
        parts={name: float(np.std(value[complete])) for name, (value, _) in parts.items()},
        nightly={
            "smooth": float(np.sqrt(smooth.apart * (basis.shape[1] - 1))),
            "local": float(np.sqrt(local.apart)),
            "single": float(np.sqrt(single.apart)),
        },
    )


def _local(
    values: NDArray[np.floating], variance: NDArray[np.floating], spaxels: Spaxels
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Mean of what is around each spaxel, itself included, and its variance; unknown where hardly anything is."""
    x, y = spaxels.x_arcsec, spaxels.y_arcsec
    near = np.exp(-0.5 * ((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2) / LOCAL_ARCSEC**2)
    known = np.isfinite(values) & np.isfinite(variance)
    weight = np.where(known, 1.0 / (np.where(known, variance, 1.0) + np.nanmedian(variance[known])), 0.0)
    total = weight @ near
    enough = known.astype(float) @ near > LEAST_AROUND * np.median(near.sum(axis=0))
    norm = np.where(enough, total, 1.0)
    mean = (weight * np.where(known, values, 0.0)) @ near / norm
    noise = (weight**2 * np.where(known, variance, 0.0)) @ near**2 / norm**2
    return np.where(enough, mean, np.nan), np.where(enough, noise, np.inf)
