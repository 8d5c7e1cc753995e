"""Exposures of a sky whose light falls on the spaxels in a known way, for the tests of the sky flat."""

import numpy as np

from sedmd.reduce.cube.sky_pattern import night_pattern
from sedmd.reduce.cube.sky_share import SkyShare
from sedmd.reduce.numeric.containers import Spaxels
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share, rng

WAVELENGTH = np.linspace(4000.0, 9200.0, 90)
SPAXELS = hex_spaxels(20)
N = SPAXELS.q.size


def slope_of(spaxels: Spaxels, east, north, bowl=0.0):
    """A plane in units of ten arcsec, and a bowl that is even in the mean."""
    x, y = spaxels.x_arcsec / 10.0, spaxels.y_arcsec / 10.0
    r2 = x**2 + y**2
    return east * x + north * y + bowl * (r2 - r2.mean())


def exposure(light, *, level=60.0, seed=1, objects=(), spaxels=SPAXELS):
    """Cube of a sky that lights the spaxels as `light` says, a line in it; objects: electron per bin, x, y, FWHM."""
    sky = level * (1.0 + 0.4 * np.sin(WAVELENGTH / 300.0) + 5.0 * np.exp(-0.5 * ((WAVELENGTH - 5577.0) / 60.0) ** 2))
    expected = sky[:, None] * light
    for flux, x, y, fwhm in objects:
        expected = expected + flux * moffat_share(spaxels, x, y, fwhm)
    return make_cube(spaxels, WAVELENGTH, expected, seed=seed)


def share(light, error, *, seed, smooth_error=1e-4, unseen=None):
    """What one exposure tells of `light` with such an error."""
    noise = rng(seed).normal(0.0, 1.0, light.size) * error
    values, errors = light + noise, np.full(light.size, float(error))
    if unseen is not None:
        values[unseen], errors[unseen] = np.nan, np.inf
    return SkyShare(share=values, error=errors, smooth_error=smooth_error, apart=0.0)


def night(light, error, *, seed, unseen=None, applied=None):
    """What a night of one exposure tells of `light`."""
    once = np.ones(light.size) if applied is None else applied
    told = night_pattern([share(light / once, error, seed=seed, unseen=unseen)], once, SPAXELS)
    assert told is not None
    return told
