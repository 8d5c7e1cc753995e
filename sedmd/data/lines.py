"""Emission lines: calibration lamps and the night sky (air wavelengths)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sedmd.data._files import columns_of, frozen, rows_of

#: Lamps with a line list.
LAMPS = ("Hg", "Cd", "Xe", "Ne")


@cache
def lamp_lines(lamp: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lines of a low-pressure lamp between 3600 and 10500 Angstrom.

    Parameters
    ----------
    lamp : {"Hg", "Cd", "Xe", "Ne"}

    Returns
    -------
    wavelength : (n,) ndarray
        Angstrom in air, increasing.
    relative_intensity : (n,) ndarray
        Photons, strongest line of the lamp = 100; good to a factor of two.

    Raises
    ------
    KeyError
        For a lamp without a list.
    """
    rows = [(float(wavelength), float(strength)) for name, wavelength, strength in _lamp_rows() if name == lamp]
    if not rows:
        raise KeyError(f"no line list for lamp {lamp!r}; there are lists for {', '.join(LAMPS)}")
    wavelength, strength = zip(*sorted(rows), strict=True)
    return frozen(wavelength), frozen(strength)


@cache
def _lamp_rows() -> list[list[str]]:
    return rows_of("lamp_lines.txt")


@cache
def airglow_spectrum() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Typical emission-line spectrum of the night sky, continuum removed, without city lines.

    Returns
    -------
    wavelength : (3451,) ndarray
        Angstrom in air, 3600 to 10500 every 2.
    flux : (3451,) ndarray
        Relative flux density (energy) per Angstrom; the integral of [OI] 5577 is 1. Smoothed by sigma = 1.6 Angstrom.
    """
    wavelength, flux = columns_of("airglow_spectrum.txt")
    return wavelength, flux


@cache
def airglow_lines() -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[str, ...]]:
    """Strong lines of the night sky, city lamps included.

    Returns
    -------
    wavelength : (n,) ndarray
        Angstrom in air, increasing.
    relative_intensity : (n,) ndarray
        Energy, [OI] 5577 = 1. Night to night, and within a night, the ratios change by factors.
    kind : tuple of str, length n
        ``airglow`` ([OI], Na D), ``OH`` (blends as seen at 5 Angstrom) or ``city`` (mercury).
    """
    rows = rows_of("airglow_lines.txt")
    return frozen([float(row[0]) for row in rows]), frozen([float(row[1]) for row in rows]), tuple(r[2] for r in rows)
