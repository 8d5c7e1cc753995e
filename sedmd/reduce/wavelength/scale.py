"""The prism coordinate: a published wavelength scale as a smooth function, and the same bent to an instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from sedmd.reduce.wavelength.dispersion import CURVE_RANGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The prism coordinate: a smooth monotonic function of wavelength.

    Attributes
    ----------
    wavelength : (m,) Angstrom in air, increasing, fine grid
    xi : (m,) coordinate in units of 100 columns, decreasing; its sense on the detector is that of the solution
    """

    wavelength: NDArray[np.floating]
    xi: NDArray[np.floating]

    def to_xi(self, wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
        """Prism coordinate of wavelengths."""
        found: NDArray[np.floating] = np.interp(wavelength, self.wavelength, self.xi)
        return found

    def to_wavelength(self, xi: NDArray[np.floating]) -> NDArray[np.floating]:
        """Wavelength [Angstrom, air] of prism coordinates."""
        found: NDArray[np.floating] = np.interp(-np.asarray(xi), -self.xi, self.wavelength)
        return found


def make_scale(
    wavelength: NDArray[np.floating], column: NDArray[np.floating], low: float = 3300.0, high: float = 10900.0
) -> Scale:
    """Spline a published curve; beyond its ends it goes on with the slope it had.

    Parameters
    ----------
    wavelength, column : (m,) Angstrom increasing, columns decreasing
    low, high : range of the result, Angstrom

    Returns
    -------
    Scale
    """
    spline = CubicSpline(wavelength, column / 100.0)
    grid = np.arange(low, high + 1.0, 2.0)
    xi = spline(np.clip(grid, wavelength[0], wavelength[-1]))
    below, above = grid < wavelength[0], grid > wavelength[-1]
    xi[below] += spline(wavelength[0], 1) * (grid[below] - wavelength[0])
    xi[above] += spline(wavelength[-1], 1) * (grid[above] - wavelength[-1])
    return Scale(wavelength=grid, xi=xi)


def bent_scale(scale: Scale, curve: NDArray[np.floating], between: tuple[float, float] = CURVE_RANGE) -> Scale:
    """The scale of an instrument whose column is a polynomial in that of the published curve.

    Parameters
    ----------
    scale : Scale
    curve : (order + 1,) column as powers of its xi
    between : where the polynomial is known [Angstrom]; beyond, it goes on with the slope it has there

    Returns
    -------
    Scale
        Zero where `scale` is; `scale` itself if two wavelengths would fall on one column.
    """
    ends = np.sort(scale.to_xi(np.array(between)))
    inside = np.clip(scale.xi, ends[0], ends[1])
    slope = np.polynomial.polynomial.polyval(inside, np.polynomial.polynomial.polyder(curve))
    column = np.polynomial.polynomial.polyval(inside, curve) + slope * (scale.xi - inside) - curve[0]
    xi = column / (100.0 * np.sign(curve[1]))
    return Scale(wavelength=scale.wavelength, xi=xi) if (np.diff(xi) < 0).all() else scale
