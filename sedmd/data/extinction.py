"""Atmospheric extinction at Palomar (Hayes & Latham 1975, ApJ 197, 593)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import PchipInterpolator

from sedmd.data._files import columns_of


def extinction_mag(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Extinction per unit airmass.

    Flux above the atmosphere = observed flux * 10**(0.4 * extinction_mag(wavelength) * airmass).

    Parameters
    ----------
    wavelength : array_like
        Angstrom in air.

    Returns
    -------
    ndarray
        Magnitude per airmass, shape of `wavelength`. The table spans 3200-10870 Angstrom; outside, the value at its
        end holds. The curve is smooth: telluric bands are not in it (see `telluric_template`).

    Notes
    -----
    Interpolated by a monotone cubic (Fritsch & Carlson 1980): a plain cubic spline overshoots between the
    unevenly spaced points beyond 8700 Angstrom.
    """
    table_wavelength, _ = _table()
    clipped = np.clip(np.asarray(wavelength, dtype=np.float64), table_wavelength[0], table_wavelength[-1])
    return np.asarray(_curve()(clipped))


@cache
def _table() -> tuple[NDArray[np.float64], ...]:
    return columns_of("palomar_extinction.txt")


@cache
def _curve() -> PchipInterpolator:
    return PchipInterpolator(*_table())
