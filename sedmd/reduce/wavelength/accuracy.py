"""How well a wavelength solution is known where there are no lines: its own covariance, and what another law says.

Between the lines and beyond the last of them a solution is what the published curve makes of them. How far that may be
off follows from the freedom that the fit has there; how far it is off shows where a curve of other origin, put through
the same lines, goes another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.wavelength.dispersion import Group
from sedmd.reduce.wavelength.law import PUBLISHED, Bends, Law, ToXi, curve_terms, fit_curve

#: Wavelengths at which the accuracy is worked out [Angstrom].
ACCURACY_GRID = np.arange(3800.0, 9601.0, 100.0)
#: How far a group's mean over the field is off at best [column].
BEST_GROUP = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Accuracy of the mean spaxel's solution along the spectrum.

    Attributes
    ----------
    wavelength : (m,) Angstrom in air
    error : (m,) column, 1 sigma, from the uncertainty of the lines and the freedom of the curve
    other_law : (m,) column, the solution less what the other law says; NaN where none was tried
    """

    wavelength: NDArray[np.floating]
    error: NDArray[np.floating]
    other_law: NDArray[np.floating]

    @property
    def total(self) -> NDArray[np.floating]:
        """Both together, (m,) column: one law's error does not know that it may be the wrong law."""
        return np.asarray(np.hypot(self.error, np.nan_to_num(self.other_law)))

    def worst(self, low: float, high: float) -> tuple[float, float]:
        """Largest total error between two wavelengths [column], and where it is [Angstrom]."""
        inside = np.flatnonzero((self.wavelength >= low) & (self.wavelength <= high))
        at = inside[int(np.argmax(self.total[inside]))]
        return float(self.total[at]), float(self.wavelength[at])


def accuracy_of(
    groups: Sequence[Group],
    coeff: NDArray[np.floating],
    to_xi: ToXi,
    other: ToXi | None = None,
    *,
    bends: Bends = PUBLISHED,
    other_bends: Bends = PUBLISHED,
) -> Accuracy:
    """Accuracy of a solution from the groups of lines that it was fitted to.

    Parameters
    ----------
    groups : the measured groups
    coeff : (n, order + 1) column as powers of xi
    to_xi, other : prism coordinate of wavelengths by the solution's curve, and by the other law's
    bends, other_bends : what was known of the bends of each before

    Returns
    -------
    Accuracy
    """
    typical = np.nanmedian(coeff, axis=0)

    def mean(xi: NDArray[Any]) -> NDArray[np.floating]:
        return np.asarray(np.polynomial.polynomial.polyval(xi, typical))

    lines = mean_places(groups, coeff)
    sense = 1.0 if typical[1] > 0 else -1.0
    measured = lines.wavelength, sense * lines.place, lines.error
    _, error = fit_law(to_xi, *measured, ACCURACY_GRID, bends)
    said = np.full(ACCURACY_GRID.size, np.nan)
    if other is not None:
        said = sense * fit_law(other, *measured, ACCURACY_GRID, other_bends)[0]
    return Accuracy(wavelength=ACCURACY_GRID, error=error, other_law=mean(to_xi(ACCURACY_GRID)) - said)


def mean_places(groups: Sequence[Group], coeff: NDArray[np.floating]) -> Law:
    """Where those groups that are seen lie in the mean spaxel.

    Parameters
    ----------
    groups : the measured groups
    coeff : (n, order + 1) column as powers of xi
    """
    xi = np.array([group.xi for group in groups])
    off = np.stack([group.column for group in groups], axis=1) - np.polynomial.polynomial.polyval(xi, coeff.T)
    seen = np.isfinite(off).any(axis=0)
    return Law(
        lamp=tuple(group.lamp for group, one in zip(groups, seen, strict=True) if one),
        wavelength=np.array([group.wavelength for group in groups])[seen],
        place=np.polynomial.polynomial.polyval(xi[seen], np.nanmedian(coeff, axis=0))
        + np.nanmedian(off[:, seen], axis=0),
        error=np.hypot(BEST_GROUP, np.array([group.uncertainty for group in groups])[seen]),
    )


def fit_law(
    to_xi: ToXi,
    wavelength: NDArray[np.floating],
    place: NDArray[np.floating],
    sigma: NDArray[np.floating],
    grid: NDArray[np.floating],
    bends: Bends = PUBLISHED,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Put a law of dispersion through places of lines: shift and stretch free, its bends within what is known of them.

    Parameters
    ----------
    to_xi : the law's coordinate of wavelengths [Angstrom], monotonic
    wavelength, place, sigma : (k,) Angstrom, column, and its uncertainty
    grid : (m,) Angstrom
    bends : what is known of the bends

    Returns
    -------
    column, error : (m,) on the grid, and its 1-sigma error
    """
    curve, there = fit_curve(to_xi, wavelength, place, sigma, bends), curve_terms(to_xi)(grid)
    return there @ curve.terms, np.sqrt(np.einsum("mi,ij,mj->m", there, curve.covariance, there))
