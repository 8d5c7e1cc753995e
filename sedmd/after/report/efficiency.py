"""Efficiency of telescope and instrument from the night's sensitivity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sedmd.core.instrument import TELESCOPE_AREA_CM2

#: Planck's constant times the speed of light [erg Angstrom] (CODATA 2018, exact).
HC_ERG_ANGSTROM = 6.62607015e-27 * 2.99792458e18
#: Bands over which efficiency is averaged, first and last wavelength [Angstrom] (kpy EffTrend).
BANDS = ((4000.0, 5000.0), (5000.0, 6000.0), (6000.0, 7000.0), (7000.0, 8000.0), (8000.0, 9000.0))
#: Their middles, as they are called: 450, 550 ... nm.
BAND_NAMES = tuple(f"{(low + high) / 20:.0f}" for low, high in BANDS)


def efficiency(
    wavelength: NDArray[np.floating], sensitivity: NDArray[np.floating], *, area_cm2: float = TELESCOPE_AREA_CM2
) -> NDArray[np.floating]:
    """Share of the photons on the primary mirror that become electrons in a spectrum.

    Parameters
    ----------
    wavelength : (n,) Angstrom
    sensitivity : (n,) electron/s/Angstrom per erg/s/cm2/Angstrom, corrected for extinction and telluric bands
    area_cm2 : float
        Collecting area.

    Returns
    -------
    (n,), 0 to 1; NaN where the sensitivity is.

    Notes
    -----
    A flux density F brings F / (h nu) = F lambda / (h c) photons per second, cm2 and Angstrom, hence F lambda A / (h c)
    on the mirror. The detector answers with S F electrons, so that the efficiency is S h c / (lambda A). Mirrors,
    optics, flat-fielded spaxels and detector are in it, the atmosphere is not. It is the effective area of pysedm's
    ``Eff.py`` (5.0341e7 F lambda photons) over the collecting area of kpy, not divided by the mirrors' reflectance.
    """
    return np.asarray(sensitivity) * HC_ERG_ANGSTROM / (np.asarray(wavelength) * area_cm2)


def in_bands(wavelength: NDArray[np.floating], values: NDArray[np.floating]) -> tuple[float | None, ...]:
    """Mean of `values` over each of `BANDS`, weighted by the width of the bins; None where half a band has none."""
    width = np.gradient(wavelength)
    means: list[float | None] = []
    for low, high in BANDS:
        inside = (wavelength >= low) & (wavelength < high)
        good = inside & np.isfinite(values)
        enough = inside.any() and width[good].sum() >= 0.5 * (high - low)
        means.append(float(np.average(values[good], weights=width[good])) if enough else None)
    return tuple(means)
