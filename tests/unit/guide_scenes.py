"""Frames of the rainbow camera with stars put where the test wants them."""

import numpy as np

from sedmd.reduce.guide.camera import SIZE, SkyScale
from sedmd.reduce.guide.stars import FieldStars

GAIN = 1.77
#: Half the side of a star's stamp [px].
HALF = 40


def star_field(places, electrons, *, fwhm_px=4.6, beta=3.0, sky=150.0, seed=1, slope=0.0, hits=0):
    """A frame in adu: Moffat stars of so many electrons at columns and rows (from 0), averaged over the pixels."""
    rng = np.random.default_rng(seed)
    light = sky * (1 + slope * (np.arange(SIZE) / SIZE - 0.5))[None, :] * np.ones((SIZE, 1))
    alpha = np.broadcast_to(np.asarray(fwhm_px, float), len(places)) / (2 * np.sqrt(2 ** (1 / beta) - 1))
    for (x, y), total, width in zip(places, np.broadcast_to(electrons, len(places)), alpha, strict=True):
        i, j = round(float(x)), round(float(y))
        rows = np.arange(max(j - HALF, 0), min(j + HALF + 1, SIZE))
        columns = np.arange(max(i - HALF, 0), min(i + HALF + 1, SIZE))
        sub = (np.arange(3) - 1) / 3
        for dy in sub:
            for dx in sub:
                r2 = (columns[None] + dx - x) ** 2 + (rows[:, None] + dy - y) ** 2
                value = (beta - 1) / (np.pi * width**2) * (1 + r2 / width**2) ** -beta
                light[rows[:, None], columns[None]] += total * value / 9
    counts = rng.poisson(light) + 8.0 * rng.standard_normal(light.shape)
    for x, y in rng.integers(20, SIZE - 20, (hits, 2)):
        counts[y, x : x + 2] += 20000.0
    return np.clip(counts / GAIN + 600, 0, 65535).astype(np.uint16)


def table_of(centre, offsets, *, g=None, colour=0.9):
    """A star table whose stars lie so many arcsec East and North of a point."""
    x, y = np.deg2rad(np.asarray(offsets, float) / 3600).T
    d0 = np.deg2rad(centre[1])
    ra = centre[0] + np.rad2deg(np.arctan2(x, np.cos(d0) - y * np.sin(d0)))
    dec = np.rad2deg(np.arctan2(np.sin(d0) + y * np.cos(d0), np.hypot(x, np.cos(d0) - y * np.sin(d0))))
    g = np.linspace(13.0, 17.0, len(ra)) if g is None else g
    return FieldStars(ra_deg=ra % 360, dec_deg=dec, g_mag=g, bp_rp=np.full(len(ra), colour))


def random_offsets(count, seed=1, reach=380.0):
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 2))


def on_chip(offsets, origin, sky=None):
    """Columns and rows of offsets about a pixel."""
    return (sky or SkyScale()).pixels(offsets) + origin
