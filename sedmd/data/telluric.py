"""Telluric absorption bands of oxygen and water."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sedmd.data._files import columns_of

#: Where the bands are strong enough at R ~ 100 to be marked in a plot and left out of a smooth fit [Angstrom, air].
BANDS: tuple[tuple[str, float, float], ...] = (
    ("O2 B", 6850.0, 6960.0),
    ("H2O", 7140.0, 7340.0),
    ("O2 A", 7570.0, 7705.0),
    ("H2O", 8110.0, 8360.0),
    ("H2O", 8930.0, 9880.0),
)


@cache
def telluric_template() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Transmission of the telluric bands at airmass 1 and a typical water column.

    Transmission at airmass X scales as ``t_o2**(c_o2 * X**0.6) * t_h2o**(c_h2o * X**0.6)`` with c near 1; the exponent
    below 1 stands for saturated lines (Buton et al. 2013, A&A 549, A8: 0.58 for O2). Convolve with the
    instrument's line profile afterwards.

    Returns
    -------
    wavelength : (3451,) ndarray
        Angstrom in air, 3600 to 10500 every 2.
    transmission_o2, transmission_h2o : (3451,) ndarray
        Between 0 and 1; 1 where there is no band. Resolution about 400.
    """
    wavelength, oxygen, water = columns_of("telluric.txt")
    return wavelength, oxygen, water
