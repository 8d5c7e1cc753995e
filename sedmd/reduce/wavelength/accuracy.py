"""How well a wavelength solution is known where there are no lines: its own covariance, and what another law says.

Between the lines and beyond the last of them a solution is what the published curve makes of them. How far that may be
off follows from the freedom that the fit has there; how far it is off shows where a curve of other origin, put through
the same lines, goes another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Legendre
from numpy.typing import NDArray

from sedmd.reduce.wavelength.dispersion import CURVE_FREEDOM, CURVE_RANGE, OFFSET_DOUBTS, Group

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
    to_xi: Callable[[NDArray[Any]], NDArray[np.floating]],
    other: Callable[[NDArray[Any]], NDArray[np.floating]] | None = None,
) -> Accuracy:
    """Accuracy of a solution from the groups of lines that it was fitted to.

    Parameters
    ----------
    groups : the measured groups
    coeff : (n, order + 1) column as powers of xi
    to_xi, other : prism coordinate of wavelengths by the solution's curve, and by the other law's

    Returns
    -------
    Accuracy
    """
    typical = np.nanmedian(coeff, axis=0)

    def mean(xi: NDArray[Any]) -> NDArray[np.floating]:
        return np.asarray(np.polynomial.polynomial.polyval(xi, typical))

    xi = np.array([group.xi for group in groups])
    off = np.stack([group.column for group in groups], axis=1) - np.polynomial.polynomial.polyval(xi, coeff.T)
    seen = np.isfinite(off).any(axis=0)
    wavelength = np.array([group.wavelength for group in groups])[seen]
    place = mean(xi[seen]) + np.nanmedian(off[:, seen], axis=0)
    sigma = np.hypot(BEST_GROUP, np.array([group.uncertainty for group in groups])[seen])
    _, error = fit_law(to_xi, wavelength, place, sigma, ACCURACY_GRID)
    said = np.full(ACCURACY_GRID.size, np.nan)
    if other is not None:
        said = fit_law(other, wavelength, place, sigma, ACCURACY_GRID)[0]
    return Accuracy(wavelength=ACCURACY_GRID, error=error, other_law=mean(to_xi(ACCURACY_GRID)) - said)


def fit_law(
    to_xi: Callable[[NDArray[Any]], NDArray[np.floating]],
    wavelength: NDArray[np.floating],
    place: NDArray[np.floating],
    sigma: NDArray[np.floating],
    grid: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Put a law of dispersion through places of lines: shift and stretch free, its bends within `CURVE_FREEDOM`.

    Parameters
    ----------
    to_xi : the law's coordinate of wavelengths [Angstrom], monotonic
    wavelength, place, sigma : (k,) Angstrom, column, and its uncertainty
    grid : (m,) Angstrom

    Returns
    -------
    column, error : (m,) on the grid, and its 1-sigma error

    Notes
    -----
    A line that lies far off counts for less, as in `dispersion.fit_model`.
    """
    ends = np.sort(to_xi(np.array(CURVE_RANGE)))
    terms = [Legendre.basis(j, domain=[float(ends[0]), float(ends[1])]) for j in range(len(CURVE_FREEDOM) + 2)]

    def design(at: NDArray[Any]) -> NDArray[np.floating]:
        return np.stack([term(to_xi(at)) for term in terms], axis=1)

    prior = np.diag(np.r_[1e-8, 1e-8, np.array(CURVE_FREEDOM) ** -2.0])
    rows, weight = design(wavelength), sigma**-2.0
    middle = float(np.median(place))
    for _ in range(8):
        normal = (rows.T * weight) @ rows + prior
        terms_found = np.linalg.solve(normal, rows.T @ (weight * (place - middle)))
        left = place - middle - rows @ terms_found
        weight = 1.0 / (sigma**2 + (left / OFFSET_DOUBTS) ** 2)
    there = design(grid)
    return middle + there @ terms_found, np.sqrt(np.einsum("mi,ij,mj->m", there, np.linalg.inv(normal), there))
