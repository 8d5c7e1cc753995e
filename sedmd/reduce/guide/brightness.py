"""What the air let through: zero points from the field's stars, and the factor between two exposures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sedmd.reduce.guide.stars import FROM_GAIA
from sedmd.reduce.numeric.containers import FloatArray

#: Fewer stars than this tell no factor.
LEAST_STARS = 5
#: Error that no number of stars takes away [mag]: illumination of the filters, which no flat field corrects.
FLOOR_MAG = 0.01
#: Error of one star besides photons and colour [mag].
STAR_MAG = 0.02
CLIP = 3.0
#: How far the weights of A and B in a pair's spectrum may be from those of their exposure times.
UNEVEN = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroPoint:
    """Magnitude (AB, above the air) of what makes one electron a second, its error, and of how many stars."""

    mag: float
    error: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GreyFactor:
    """By how much brighter an exposure would have been under another's sky, and its error."""

    factor: float
    error: float


ZeroPoints = Mapping[str, ZeroPoint]


def zero_point(
    flux: FloatArray, error: FloatArray, magnitudes: FloatArray, band: str, *, extinction_mag: float
) -> ZeroPoint | None:
    """The zero point of a filter.

    Parameters
    ----------
    flux, error : (n,) electron/s of the stars
    magnitudes : (n,) of the same in this filter, NaN where not known
    band : filter
    extinction_mag : of the clear air at this airmass, taken out

    Returns
    -------
    ZeroPoint or None
        None without a star.
    """
    good = (flux > 0) & np.isfinite(magnitudes) & (flux > 5 * error)
    if not good.any():
        return None
    value = magnitudes[good] + 2.5 * np.log10(flux[good]) + extinction_mag
    sigma = np.sqrt((1.0857 * error[good] / flux[good]) ** 2 + FROM_GAIA[band][2] ** 2 + STAR_MAG**2)
    middle = float(np.median(value))
    # a variable star, or two that are one in the table
    kept = np.abs(value - middle) <= CLIP * np.maximum(sigma, 1.4826 * np.median(np.abs(value - middle)))
    weight = 1 / sigma[kept] ** 2
    mean = float((weight * value[kept]).sum() / weight.sum())
    return ZeroPoint(mag=mean, error=math.hypot(1 / math.sqrt(weight.sum()), FLOOR_MAG), count=int(kept.sum()))


def grey_factor(target: ZeroPoints, reference: ZeroPoints) -> GreyFactor | None:
    """The factor that brings an exposure to the sky of another.

    Parameters
    ----------
    target, reference : zero points by filter

    Returns
    -------
    GreyFactor or None
        Greater than 1 where the target had more clouds. None where the filters that both have hold fewer than
        `LEAST_STARS` stars of one of them.
    """
    both = [band for band in target if band in reference]
    enough = all(sum(one[band].count for band in both) >= LEAST_STARS for one in (target, reference))
    if not both or not enough:
        return None
    lower = np.array([reference[band].mag - target[band].mag for band in both])
    errors = np.array([math.hypot(reference[band].error, target[band].error) for band in both])
    weight = 1 / errors**2
    mag = float((weight * lower).sum() / weight.sum())
    factor = 10 ** (0.4 * mag)
    return GreyFactor(factor=factor, error=0.921 * factor / math.sqrt(weight.sum()))


def together(points: Sequence[ZeroPoints], exptimes_s: Sequence[float]) -> dict[str, ZeroPoint]:
    """Zero points of a pair, whose spectrum is the mean of both exposures; of the filters that all of them have.

    Parameters
    ----------
    points : zero points of each exposure, by filter
    exptimes_s : the exposures' weights

    Notes
    -----
    What adds up is light, not magnitudes: 2.5 log of the mean of 10**(0.4 z). The fit weighs the exposures by their
    noise, which differs from their length by `UNEVEN` at most: so much of their difference is uncertain.
    """
    weight = np.array(exptimes_s, float) / sum(exptimes_s)
    made = {}
    for band in (band for band in (points[0] if points else {}) if all(band in one for one in points)):
        own = [one[band] for one in points]
        light = np.array([10 ** (0.4 * (point.mag - own[0].mag)) for point in own])
        mag = own[0].mag + 2.5 * math.log10(float(weight @ light))
        share = weight * light / float(weight @ light)
        spread = max(point.mag for point in own) - min(point.mag for point in own)
        error = math.hypot(float(np.sqrt(np.sum((share * [point.error for point in own]) ** 2))), UNEVEN * spread)
        made[band] = ZeroPoint(mag=mag, error=error, count=min(point.count for point in own))
    return made


def level_of(stars: Mapping[str, ZeroPoints], scales: Mapping[str, float]) -> dict[str, ZeroPoint]:
    """Zero points of the sky to which a flux calibration belongs.

    Parameters
    ----------
    stars : zero points of the exposure of each standard star, by filter
    scales : how much brighter than the adopted level each star came out that is used

    Returns
    -------
    dict of filter to ZeroPoint
        Means over the stars that have `LEAST_STARS` stars around them, in all filters together.

    Notes
    -----
    A standard star that came out brighter by its scale had a clearer sky by it; its zero point less 2.5 log of the
    scale is that of the level.
    """
    told = {name: points for name, points in stars.items() if name in scales and scales[name] > 0}
    told = {name: points for name, points in told.items() if sum(one.count for one in points.values()) >= LEAST_STARS}
    made = {}
    for band in {band: None for points in told.values() for band in points}:
        mine = [(points[band], 2.5 * math.log10(scales[name])) for name, points in told.items() if band in points]
        weight = np.array([1 / point.error**2 for point, _ in mine])
        value = np.array([point.mag - shift for point, shift in mine])
        mean = float((weight * value).sum() / weight.sum())
        # what the stars differ by is an error too: scatter of the scales, illumination
        scatter = float(np.sqrt((weight * (value - mean) ** 2).sum() / weight.sum() / len(mine)))
        error = math.hypot(1 / math.sqrt(weight.sum()), scatter)
        made[band] = ZeroPoint(mag=mean, error=error, count=max(point.count for point, _ in mine))
    return made
