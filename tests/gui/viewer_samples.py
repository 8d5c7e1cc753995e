"""Synthetic cubes and targets for the tests of the viewer."""

import numpy as np
from astropy.io import fits

from sedmd.reduce.containers import Cube, Spaxels
from sedmview.model import Target


def make_cube(sources=(), *, sky=20.0, seed=1, reach=11.0):
    """Gaussian stars (x, y, light) of 0.8 arcsec sigma on a flat sky, with noise."""
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-40, 41), np.arange(-40, 41)))
    x, y = -0.613 * q - 0.173 * r, -0.174 * q - 0.597 * r
    inside = (np.abs(x) < reach) & (np.abs(y) < reach)
    q, r, x, y = q[inside], r[inside], x[inside], y[inside]
    wavelength = np.linspace(3800, 9200, 60)
    light = np.full(len(q), sky)
    for at_x, at_y, total in sources:
        light = light + total * np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / 0.8**2)
    flux = np.random.default_rng(seed).normal(light, 1.0, (60, len(q)))
    return Cube(
        wavelength=wavelength,
        flux=flux.astype(np.float32),
        variance=np.ones(flux.shape, np.float32),
        mask=np.zeros(flux.shape, np.uint8),
        spaxels=Spaxels(ident=np.arange(len(q)), q=q, r=r, x_arcsec=x, y_arcsec=y),
    )


def make_target(cube=None, *, pair=False, product="ZTF19abc"):
    still = (np.zeros(60), np.zeros(60))
    return Target(
        product=product,
        field_cube=make_cube([(3.0, -4.0, 200.0)]) if cube is None else cube,
        exptime_s=900.0,
        refraction_a=still,
        refraction_b=still if pair else None,
        meta={"utc": "2019-06-12 04:07:07.0", "airmass": 1.2},
    )


def make_header(name, day, **cards):
    header = fits.Header({"OBJECT": name, "NAME": name.split()[0], "EXPTIME": 900.0, "ADCSPEED": 0.1, "GAIN": 1.0})
    header.update({"JD": 2458646.5 + day, "AIRMASS": 1.3, "TEL_PA": 30.0, "DOMEST": "OPEN", "REQ_ID": 7})
    header.update({"RA": "14:12:28.49", "DEC": "+28:00:00.0"} | cards)
    return header
