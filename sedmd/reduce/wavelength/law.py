"""The law of dispersion by an earlier night: where its lamp lines lay, and how far tonight's own lines contradict it.

Prism, camera and geometry make the law. From night to night it keeps its shape but for what the temperature does to
the glass; shift and scale are each night's own. So the lines of an earlier night say where those of a lamp that is
missing tonight would lie.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.polynomial import Legendre
from numpy.typing import NDArray

from sedmd.reduce.wavelength.dispersion import CURVE_FREEDOM, CURVE_RANGE, OFFSET_DOUBTS

ToXi = Callable[[NDArray[Any]], NDArray[np.floating]]

#: How far the second, third ... Legendre term of a law may go from one night to the next, columns: what 10 K make of
#: prisms of N-BK7, SF2, F2, SF6 and of two of them that together have the published law, by the makers' formula and
#: figures of dn/dT (Schott, Technical Information 19): at most 0.045, 0.045, 0.024, 0.010, 0.005, 0.002.
NIGHTLY = (0.05, 0.05, 0.03, 0.01, 0.005, 0.003)
#: How far a law may have been changed by work on the instrument that nobody told of, as a share of `CURVE_FREEDOM`.
SHARES = np.concatenate([[0.0], np.geomspace(0.002, 2.0, 40)])
#: How far apart the mean wavelengths of a group of lines may be on two nights [Angstrom]: a sixth of a column.
SAME_LINE = 4.0
#: How far the place of a line repeats, columns: flexure between the exposures of the lamps; and how much of its
#: uncertainty is not the same on both nights. What makes that is the table, and which lines are in a blend.
REPEATED, REPEATED_SHARE = 0.03, 0.1
#: Logarithm of the likelihood ratio from which a law is left out: three standard errors.
CONTRADICTED = 4.5
#: What the likelihood loses to one standard error.
ONE_SIGMA = 0.5
#: Shift and stretch of a night, columns: anything.
FREE = 1e4
#: Fewest lines that tell a law.
MIN_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """Lines of a night's lamps in the mean of the field.

    Attributes
    ----------
    night, age : the night that tells them, ``YYYYMMDD``, and how many nights ago it was; empty and 0 for tonight
    lamp : of each line
    wavelength : (k,) Angstrom in air
    place : (k,) column from the middle of the trace; rising with the wavelength where blue light falls on low columns
    error : (k,) column
    """

    lamp: tuple[str, ...]
    wavelength: NDArray[np.floating]
    place: NDArray[np.floating]
    error: NDArray[np.floating]
    night: str = ""
    age: int = 0

    def __str__(self) -> str:
        """``LAMP:WAVELENGTH:PLACE:ERROR/...``, of the lines only."""
        each = zip(self.lamp, self.wavelength, self.place, self.error, strict=True)
        return "/".join(f"{lamp}:{line:.2f}:{place:.3f}:{error:.3f}" for lamp, line, place, error in each)

    @classmethod
    def of(cls, text: str, night: str = "", age: int = 0) -> Self:
        """The lines of such a text."""
        lamp, *figures = zip(*(line.split(":") for line in text.split("/")), strict=True)
        wavelength, place, error = (np.array(column, float) for column in figures)
        return cls(lamp=tuple(lamp), wavelength=wavelength, place=place, error=error, night=night, age=age)

    @property
    def lamps(self) -> tuple[str, ...]:
        """Lamps with lines, in the order of the first of each."""
        return tuple(dict.fromkeys(self.lamp))

    @property
    def sense(self) -> int:
        """1 where blue light falls on high columns, -1 where on low ones."""
        return -1 if np.polyfit(self.wavelength, self.place, 1)[0] > 0 else 1


def law_in(text: str) -> Law | None:
    """The best law of ``NIGHT AGE LINES; NIGHT AGE LINES``, the newest first: the newest by as many lamps as possible.

    None where no night tells one.
    """
    told = [part.split(" ", 2) for part in filter(None, text.split("; "))]
    laws = [Law.of(lines, night, int(age)) for night, age, lines in told]
    laws = [law for law in laws if law.wavelength.size >= MIN_LINES]
    return max(laws, key=lambda law: len(law.lamps), default=None)


def curve_terms(to_xi: ToXi) -> Callable[[NDArray[Any]], NDArray[np.floating]]:
    """Shift, stretch and bends of a curve at wavelengths [Angstrom], (m, 8): Legendre terms over `CURVE_RANGE`."""
    ends = np.sort(to_xi(np.array(CURVE_RANGE)))
    terms = [Legendre.basis(j, domain=[float(ends[0]), float(ends[1])]) for j in range(len(CURVE_FREEDOM) + 2)]
    return lambda wavelength: np.stack([term(to_xi(wavelength)) for term in terms], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bends:
    """What is known of the bends of a curve before its lines are asked.

    Attributes
    ----------
    mean : (6,) column, from the second Legendre term on
    covariance : (6, 6) column**2
    """

    mean: NDArray[np.floating]
    covariance: NDArray[np.floating]


#: Of a published curve.
PUBLISHED = Bends(mean=np.zeros(len(CURVE_FREEDOM)), covariance=np.diag(np.array(CURVE_FREEDOM) ** 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCurve:
    """A curve through lines.

    Attributes
    ----------
    terms : (8,) column, shift, stretch and bends
    covariance : (8, 8) column**2
    sigma : (k,) column, the errors of the lines; larger where one lies far off
    """

    terms: NDArray[np.floating]
    covariance: NDArray[np.floating]
    sigma: NDArray[np.floating]


def fit_curve(
    to_xi: ToXi,
    wavelength: NDArray[np.floating],
    place: NDArray[np.floating],
    sigma: NDArray[np.floating],
    bends: Bends = PUBLISHED,
) -> FittedCurve:
    """Put a curve through places of lines: shift and stretch free, its bends as far as is known.

    Parameters
    ----------
    to_xi : the curve's coordinate of wavelengths [Angstrom], monotonic
    wavelength, place, sigma : (k,) Angstrom, column, and its uncertainty
    bends : what is known of the bends

    Notes
    -----
    A line that lies far off counts for less, as in `dispersion.fit_model`.
    """
    rows = curve_terms(to_xi)(wavelength)
    prior = np.zeros((rows.shape[1],) * 2)
    prior[:2, :2] = np.eye(2) / FREE**2
    prior[2:, 2:] = np.linalg.inv(bends.covariance)
    middle = float(np.median(place))
    expected = prior @ np.r_[0.0, 0.0, bends.mean]
    effective = sigma
    for _ in range(8):
        weight = effective**-2.0
        normal = (rows.T * weight) @ rows + prior
        terms = np.linalg.solve(normal, rows.T @ (weight * (place - middle)) + expected)
        left = place - middle - rows @ terms
        effective = np.hypot(sigma, left / OFFSET_DOUBTS)
    terms[0] += middle
    return FittedCurve(terms=terms, covariance=np.linalg.inv(normal), sigma=effective)


@dataclass(frozen=True, slots=True, kw_only=True)
class LawChange:
    """How far tonight's lines let the law be changed since the night that told it.

    Attributes
    ----------
    likely, most : as a share of `CURVE_FREEDOM`: what explains the lines best, and what they just allow (one standard
        error more)
    evidence : logarithm of the likelihood of `likely` over that of no change
    """

    likely: float
    most: float
    evidence: float

    @property
    def contradicts(self) -> bool:
        """Tonight's lines rule out that the law is still the same."""
        return self.evidence > CONTRADICTED


def change_covariance(share: float) -> NDArray[np.floating]:
    """Covariance of how the bends changed since an earlier night, (6, 6) column**2: by temperature, and by work."""
    return np.diag(np.array(NIGHTLY) ** 2 + (share * np.array(CURVE_FREEDOM)) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldCurve:
    """A published curve, bent to the law of an earlier night.

    Attributes
    ----------
    law : Law
    curve : FittedCurve through its lines, on the published curve's xi
    strain : what the lines and the bends cost, squared and in units of their errors
    zero : column of its xi = 0 from the middle of the trace, were blue light on high columns
    """

    law: Law
    curve: FittedCurve
    strain: float
    zero: float = 0.0

    @property
    def bends(self) -> Bends:
        """The bends by that night's lines, on the published curve's xi."""
        return Bends(mean=self.curve.terms[2:], covariance=self.curve.covariance[2:, 2:])

    def tonight(self, share: float) -> Bends:
        """What they tell of tonight if the law may have changed by `share` of what published curves differ by."""
        return Bends(mean=self.bends.mean, covariance=self.bends.covariance + change_covariance(share))

    def about(self, share: float) -> Bends:
        """The same on the xi of the curve as it is bent: no bends are expected."""
        return Bends(mean=np.zeros(len(CURVE_FREEDOM)), covariance=self.tonight(share).covariance)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLaw:
    """The law of an earlier night, as a solution was given it.

    Attributes
    ----------
    law : Law
    change : LawChange, what the solution's own lines said to it
    """

    law: Law
    change: LawChange


def told_curve(law: Law, to_xi: ToXi) -> ToldCurve:
    """Bend a published curve to an earlier night's lines.

    Parameters
    ----------
    law : Law
    to_xi : coordinate of wavelengths by the published curve
    """
    place = law.place * law.sense  # published columns fall with the wavelength
    curve = fit_curve(to_xi, law.wavelength, place, law.error)
    left = (place - curve_terms(to_xi)(law.wavelength) @ curve.terms) / curve.sigma
    bent = curve.terms[2:] / np.array(CURVE_FREEDOM)
    return ToldCurve(law=law, curve=curve, strain=float((left**2).sum() + (bent**2).sum()))


def change_of(told: ToldCurve, to_xi: ToXi, tonight: Law) -> LawChange:
    """How far tonight's lines let a law be changed.

    Parameters
    ----------
    told : ToldCurve
    to_xi : coordinate of wavelengths [Angstrom] by the curve as it was bent
    tonight : Law, tonight's lines

    Notes
    -----
    Each line is compared with itself: what is wrong with a line's wavelength is so on both nights. A change by work on
    the instrument is taken for one as published curves differ, only smaller, by a share s. Given s, the differences
    are Gaussian with a known covariance, but for any shift and stretch. Their likelihood is asked for the best s, and
    for the largest that is one standard error below: what the lines that are left cannot exclude elsewhere in the
    spectrum either.
    """
    wavelength, moved, sigma = _moved(told.law, to_xi, tonight)
    if wavelength.size < 3:
        return LawChange(likely=0.0, most=float(SHARES[-1]), evidence=0.0)
    # what is wrong with single lines is judged by a free curve, or a changed law would be taken for wrong lines
    sigma = fit_curve(to_xi, wavelength, moved, sigma).sigma
    rows = curve_terms(to_xi)(wavelength)
    # what is left of the lines when any shift and stretch is taken out
    apart = np.linalg.qr(rows[:, :2], mode="complete")[0][:, 2:]
    off, bent, noise = apart.T @ moved, apart.T @ rows[:, 2:], (apart.T * sigma**2) @ apart
    logs = []
    for share in SHARES:
        covariance = noise + bent @ change_covariance(float(share)) @ bent.T
        logs.append(-0.5 * (np.linalg.slogdet(covariance)[1] + off @ np.linalg.solve(covariance, off)))
    likelihood = np.array(logs)
    best = int(np.argmax(likelihood))
    allowed = np.flatnonzero(likelihood >= likelihood[best] - ONE_SIGMA)
    return LawChange(
        likely=float(SHARES[best]),
        most=float(SHARES[allowed[-1]]),
        evidence=float(likelihood[best] - likelihood[0]),
    )


def _moved(
    law: Law, to_xi: ToXi, tonight: Law
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Wavelength of the lines of both nights, how far each moved, and the error of that [Angstrom, column, column]."""
    pairs = [
        (i, j)
        for i, (lamp, line) in enumerate(zip(tonight.lamp, tonight.wavelength, strict=True))
        for j, (other, its) in enumerate(zip(law.lamp, law.wavelength, strict=True))
        if lamp == other and abs(line - its) < SAME_LINE
    ]
    mine, theirs = np.array(pairs, int).reshape(-1, 2).T
    # the mean wavelength of a blend is that of its strengths, which may differ; its place goes with it
    along = 100.0 * (to_xi(tonight.wavelength[mine]) - to_xi(law.wavelength[theirs]))
    moved = tonight.sense * tonight.place[mine] - law.sense * law.place[theirs] - along
    sigma = np.hypot(REPEATED, REPEATED_SHARE * np.hypot(tonight.error[mine], law.error[theirs]))
    return tonight.wavelength[mine], moved, sigma


def least_strained(curves: Sequence[ToldCurve]) -> int:
    """Which of some published curves has to be bent least to an earlier night's lines."""
    return int(np.argmin([curve.strain for curve in curves]))
