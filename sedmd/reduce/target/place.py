"""Expected target position in the field: learned from the positions of standard stars and clear targets.

The telescope is sent from the acquisition camera to the IFU by a fixed step; no card tells where in the field that
puts a target. It is several spaxels from the middle, the same for months within one or two spaxels, and another after
the camera or the step was touched (published positions of 2019 to 2021: 1.3 to 4.4 arcsec from the middle).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

#: Spread, in each axis, of target positions while nothing is touched, before it is measured: one to two spaxels
#: (published positions of 2019 to 2021), so two [arcsec]; and how many measured coordinates that is worth.
USUAL_SPREAD, USUAL_WORTH = 1.1, 6
#: Nothing is known better than to a spaxel [arcsec]: now and then a guide star was a poor one.
LEAST_SPREAD = 0.6
#: Spread, in each axis, about the middle of the field while nothing is known [arcsec]: twice that of the published
#: positions, which is the field but for its rim.
ANYWHERE = 4.0
#: Farther from the others than this, in units of their spread, a position is an outlier.
OUTLIER = 3.5
#: So many positions after a jump are needed to see it, and so much chi-square (two degrees of freedom, dozens of places
#: at which a jump is looked for).
MIN_AFTER_JUMP, JUMP_CHI2 = 3, 20.0
#: Variance of a median in units of that of a mean.
MEDIAN_VARIANCE = math.pi / 2

_TEXT = re.compile(r"([+-]?[\d.]+) ([+-]?[\d.]+) \+-([\d.]+), (.+)")
_COUNT = re.compile(r"(\d+) exposures?\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPosition:
    """A target or a standard star that was found: its place in the field [arcsec East and North], and the night."""

    x_arcsec: float
    y_arcsec: float
    night: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a target is expected.

    Attributes
    ----------
    x_arcsec, y_arcsec : float
        East and North of the middle of the field.
    spread_arcsec : float
        1 sigma in each axis: scatter of targets about it, the error of the position itself included.
    source : str
        How it is known: ``12 exposures since 20211002``, ``settings``; empty when it is not.
    measured : bool
        In this exposure, by stars around the target: it is nowhere else.
    each : tuple of (x, y) or None
        Of an A/B pair, where such stars put it in either exposure; None in one where they do not tell. Empty: the
        position is that without a nod.
    """

    x_arcsec: float = 0.0
    y_arcsec: float = 0.0
    spread_arcsec: float = ANYWHERE
    source: str = ""
    measured: bool = False
    each: tuple[tuple[float, float] | None, ...] = ()

    def describe(self) -> str:
        """As a sentence says it."""
        if not self.known:
            return "expected target position not known yet: anywhere in the field"
        x, y = self.x_arcsec, self.y_arcsec
        return f"expected target position ({x:+.1f}, {y:+.1f}) arcsec, within {self.spread_arcsec:.1f} ({self.source})"

    @property
    def known(self) -> bool:
        """False: anywhere in the field."""
        return bool(self.source)

    @property
    def count(self) -> int:
        """Positions that it was learned from; 0 where it was not learned."""
        found = _COUNT.match(self.source)
        return int(found.group(1)) if found else 0

    def __str__(self) -> str:
        """``+1.2 -0.4 +-0.9, 12 exposures since 20211002``: as options and figures of a job carry it."""
        known = self.source or "not known"
        return f"{self.x_arcsec:+.1f} {self.y_arcsec:+.1f} +-{self.spread_arcsec:.1f}, {known}"

    @classmethod
    def of(cls, text: str) -> Self:
        """The place of its text. Raises ValueError."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is not a position in the field; expected, for example, '+1.2 -0.4 +-0.9, settings'"
            )
        x, y, spread, source = found.groups()
        source = "" if source == "not known" else source
        return cls(x_arcsec=float(x), y_arcsec=float(y), spread_arcsec=float(spread), source=source)

    def in_exposure(self, number: int) -> tuple[float, float] | None:
        """Where it is in the first or second exposure; None where nobody knows to which side that was nodded."""
        return self.each[number] if self.each else (self.x_arcsec, self.y_arcsec)

    @property
    def move(self) -> tuple[float, float] | None:
        """From A to B, East and North, where stars in both exposures tell it [arcsec]."""
        if len(self.each) != 2 or self.each[0] is None or self.each[1] is None:
            return None
        return self.each[1][0] - self.each[0][0], self.each[1][1] - self.each[0][1]

    def off(self, x_arcsec: float, y_arcsec: float) -> float:
        """Distance of a point from it [arcsec]."""
        return math.hypot(x_arcsec - self.x_arcsec, y_arcsec - self.y_arcsec)

    def density(self, x_arcsec: float, y_arcsec: float) -> float:
        """Of targets at a point, 1 / arcsec**2."""
        variance = self.spread_arcsec**2
        return math.exp(-0.5 * self.off(x_arcsec, y_arcsec) ** 2 / variance) / (2 * math.pi * variance)


def learn_place(
    positions: Sequence[FieldPosition], *, usual: float = USUAL_SPREAD, least: float = LEAST_SPREAD
) -> Place:
    """The target position since the last jump.

    Parameters
    ----------
    positions : in the order of time
    usual : spread in each axis before it is measured [arcsec]
    least : nothing is known better [arcsec]

    Returns
    -------
    Place
        Not known if there are no positions, or if they do not agree.

    Notes
    -----
    A jump is where the positions fall into two groups, each about its own median, that differ by far more than the
    errors of these; what is before it is forgotten, and the rest is examined again. Three positions that agree must
    tell of a jump; one or two elsewhere are outliers. The spread counts one or two spaxels as three positions'
    worth of what is known beforehand, so that two that agree by chance do not claim to know better.
    """
    if not positions:
        return Place()
    points = np.array([(one.x_arcsec, one.y_arcsec) for one in positions], float)
    first = _after_last_jump(points, usual)
    points, since = points[first:], positions[first].night
    off = np.hypot(*(points - np.median(points, axis=0)).T)
    kept = points[off <= OUTLIER * _spread(points, usual)]
    if not len(kept):
        return Place()
    x, y = kept.mean(axis=0)
    return _learned(float(x), float(y), _spread(kept, usual), len(kept), since, least)


def with_star(place: Place, star: tuple[float, float], *, night: str = "") -> tuple[Place, ...]:
    """Where a target of the same night as a standard star may be expected: one place, or two if they contradict.

    Parameters
    ----------
    place : learned before the night
    star : place of the star, arcsec East and North
    night : of the star

    Notes
    -----
    A star at the target position of before is one position more. One that lies elsewhere tells of a jump, or was
    badly pointed: a target may be at either place.
    """
    x, y = star
    alone = _learned(x, y, _spread(np.array([star])), 1, night)
    if not place.known:
        return (alone,)
    count = place.count
    if not count:  # given by the settings
        return (place,)
    if place.off(x, y) > OUTLIER * place.spread_arcsec:
        return (place, alone)
    spread = place.spread_arcsec / math.sqrt(1 + 1 / count)
    more = _learned(
        (count * place.x_arcsec + x) / (count + 1), (count * place.y_arcsec + y) / (count + 1), spread, count + 1, ""
    )
    return (replace(more, source=f"{place.source} and the night's star"),)


def _learned(x: float, y: float, spread: float, count: int, since: str, least: float = LEAST_SPREAD) -> Place:
    """The place of a mean, for the next target: its own spread and the error of the mean."""
    wide = spread * math.sqrt(1 + 1 / count)
    if wide > ANYWHERE:
        return Place()
    wide = max(wide, least)
    source = f"{count} exposure{'' if count == 1 else 's'}" + (f" since {since}" if since else "")
    return Place(x_arcsec=x, y_arcsec=y, spread_arcsec=wide, source=source)


def _spread(points: NDArray[np.floating], usual: float = USUAL_SPREAD) -> float:
    """Spread in each axis of points (n, 2), robust, with what is usual counted in."""
    return _usual_with(points - np.median(points, axis=0), 2 * (len(points) - 1), usual)


def _usual_with(residuals: NDArray[np.floating], freedom: int, usual: float = USUAL_SPREAD) -> float:
    """Spread of residuals (n, 2) of so many degrees of freedom, with what is usual counted in."""
    if freedom < 1:
        return usual
    measured = 1.4826 * float(np.median(np.abs(residuals))) * math.sqrt(residuals.size / freedom)
    return math.sqrt((USUAL_WORTH * usual**2 + freedom * measured**2) / (USUAL_WORTH + freedom))


def _after_last_jump(points: NDArray[np.floating], usual: float = USUAL_SPREAD) -> int:
    """Index of the first of the points (n, 2) after the last jump."""
    first = 0
    while len(points) - first > MIN_AFTER_JUMP:
        rest = points[first:]
        parts = [(rest[:at], rest[at:]) for at in range(1, len(rest) - MIN_AFTER_JUMP + 1)]
        before, after = min(parts, key=lambda two: _unlike(two[0]) + _unlike(two[1]))
        if not _jumped(before, after, usual):
            break
        first += len(before)
    return first


def _unlike(points: NDArray[np.floating]) -> float:
    """By how much points (n, 2) lie off their median, all together."""
    return float(np.abs(points - np.median(points, axis=0)).sum())


def _jumped(before: NDArray[np.floating], after: NDArray[np.floating], usual: float) -> bool:
    """The medians differ by far more than their errors, and enough of what came after agrees with itself."""
    middles = np.median(before, axis=0), np.median(after, axis=0)
    residuals = np.concatenate([before - middles[0], after - middles[1]])
    spread = _usual_with(residuals, 2 * (len(residuals) - 2), usual)
    agreeing = int((np.hypot(*(after - middles[1]).T) <= OUTLIER * spread).sum())
    error2 = MEDIAN_VARIANCE * spread**2 * (1 / len(before) + 1 / len(after))
    return agreeing >= MIN_AFTER_JUMP and float(np.sum((middles[1] - middles[0]) ** 2)) > JUMP_CHI2 * error2
