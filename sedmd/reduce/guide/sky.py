"""Directions on the sky and on its tangent plane, and where a star has moved to."""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.containers import FloatArray

ARCSEC = np.pi / 180 / 3600
#: One milliarcsecond [degree].
MAS_DEG = 1 / 3.6e6


def tangent_plane(ra_deg: FloatArray, dec_deg: FloatArray, centre_deg: tuple[float, float]) -> FloatArray:
    """Directions on the tangent plane at a point.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) degrees
        Within 90 degrees of the point.
    centre_deg : right ascension and declination, degrees

    Returns
    -------
    (n, 2) arcsec
        East and North.
    """
    ra, dec = np.deg2rad(np.asarray(ra_deg, float)), np.deg2rad(np.asarray(dec_deg, float))
    ra0, dec0 = np.deg2rad(centre_deg[0]), np.deg2rad(centre_deg[1])
    towards = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra - ra0)
    east = np.cos(dec) * np.sin(ra - ra0) / towards
    north = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra - ra0)) / towards
    found: FloatArray = np.column_stack([east, north]) / ARCSEC
    return found


def separation_deg(ra_deg: FloatArray, dec_deg: FloatArray, centre_deg: tuple[float, float]) -> FloatArray:
    """Angles between directions, (n,) degrees, and a point, as exact for small ones as for large ones."""
    ra, dec = np.deg2rad(np.asarray(ra_deg, float)), np.deg2rad(np.asarray(dec_deg, float))
    ra0, dec0 = np.deg2rad(centre_deg[0]), np.deg2rad(centre_deg[1])
    half = np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * np.cos(dec0) * np.sin((ra - ra0) / 2) ** 2
    found: FloatArray = np.rad2deg(2 * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))
    return found


def moved_by(
    ra_deg: FloatArray, dec_deg: FloatArray, pm_ra_mas: FloatArray, pm_dec_mas: FloatArray, years: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Directions after so many years.

    Parameters
    ----------
    ra_deg, dec_deg : (n,) degrees
    pm_ra_mas, pm_dec_mas : (n,) mas/year
        Proper motion East (that in right ascension times cos Dec, as Gaia gives it) and North.
    years : may be negative

    Returns
    -------
    ra_deg, dec_deg : (n,) degrees
    """
    dec = np.asarray(dec_deg, float)
    across = np.maximum(np.cos(np.deg2rad(dec)), 1e-6)
    ra = (np.asarray(ra_deg, float) + np.asarray(pm_ra_mas, float) * years * MAS_DEG / across) % 360.0
    return ra, np.clip(dec + np.asarray(pm_dec_mas, float) * years * MAS_DEG, -90.0, 90.0)
