"""A galaxy with a core, a bar and a clump, a star on it, and images of it taken before: drawn on a fine grid.

The blurring is done here by hand, on pixels of 0.2 arcsec, and summed over the cells of the lattice by counting.
"""

from functools import cache

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree

from sedmd.reduce.numeric.hexagon import cell_area, cell_vertices
from sedmd.reduce.target.host_images import HostImage, HostImages
from sedmd.reduce.target.psf import Refraction
from sedmd.reduce.target.target import Look
from unit.reduce_scenes import hex_spaxels, make_cube

PIXEL, HALF = 0.2, 24.0
#: A pixel is divided into so many parts on each side where a cell's border runs through it.
PARTS = 4
X = np.arange(-HALF, HALF + PIXEL / 2, PIXEL)
WAVELENGTH = np.linspace(3900.0, 9100.0, 60)
SPAXELS = hex_spaxels(19)
#: Bands of the images: effective wavelength [Angstrom], FWHM of a star [arcsec] (Chambers et al. 2016).
BANDS = {"g": (4810.0, 1.31), "r": (6170.0, 1.19), "i": (7520.0, 1.11), "z": (8660.0, 1.07)}
#: Spectrum of the star: rises to the red with a broad feature; of the galaxy's old and young parts.
STAR = 1 + 0.4 * (WAVELENGTH - 6500.0) / 2500.0 - 0.3 * np.exp(-0.5 * ((WAVELENGTH - 6150.0) / 80.0) ** 2)
OLD, YOUNG = 1 + 0.6 * (WAVELENGTH - 6500.0) / 2500.0, 1 - 0.5 * (WAVELENGTH - 6500.0) / 2500.0


def moffat(fwhm, beta=3.0):
    """A Moffat profile on the fine grid, of unit sum."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    profile = (1 + (X[:, None] ** 2 + X[None, :] ** 2) / alpha**2) ** -beta
    return profile / profile.sum()


def galaxy(x, y):
    """Old and young light of a galaxy whose core is at x, y: row is y, column is x; each of unit sum."""
    dx, dy = X[None, :] - x, X[:, None] - y
    core = np.exp(-np.sqrt(dx**2 + (dy / 0.6) ** 2 + 0.05) / 0.7)
    u, v = 0.8 * dx + 0.6 * dy, -0.6 * dx + 0.8 * dy
    bar = np.exp(-((u / 3.0) ** 2) - (v / 0.6) ** 2)
    clump = np.exp(-((u + 3.2) ** 2 + (v - 0.8) ** 2) / 0.4) + 0.7 * np.exp(-((u - 3.0) ** 2 + (v + 1.2) ** 2) / 0.5)
    old, young = core / core.sum() + 0.4 * bar / bar.sum(), clump / clump.sum() + 0.5 * bar / bar.sum()
    return old / old.sum(), young / young.sum()


@cache
def blurred_galaxy(x, y, fwhm):
    return tuple(fftconvolve(one, moffat(fwhm), mode="same") for one in galaxy(x, y))


@cache
def cells():
    """Number of the cell that each part of a fine pixel lies in; -1 beyond the lattice."""
    fine = (X[:, None] + PIXEL * ((np.arange(PARTS) + 0.5) / PARTS - 0.5)).ravel()
    pixels = np.stack([a.ravel() for a in np.meshgrid(fine, fine)], axis=-1)
    reach = float(np.hypot(*cell_vertices(SPAXELS).T).max())
    places = np.column_stack([SPAXELS.x_arcsec, SPAXELS.y_arcsec])
    off, nearest = cKDTree(places).query(pixels)
    return np.where(off < reach, nearest, -1)


def in_cells(picture, dx=0.0, dy=0.0):
    """Sum of a picture over the cells; dx, dy move it, in whole pixels."""
    moved = np.roll(picture / PARTS**2, (round(dy / PIXEL), round(dx / PIXEL)), axis=(0, 1))
    inside = cells() >= 0
    parts = np.repeat(np.repeat(moved, PARTS, axis=0), PARTS, axis=1)
    n = SPAXELS.x_arcsec.size
    light = np.bincount(cells()[inside], weights=parts.ravel()[inside], minlength=n)
    # how many parts fall into a cell differs by some per cent; their mean is the brightness, and all cells are alike
    count = np.bincount(cells()[inside], minlength=n)
    return light / count * cell_area(SPAXELS) / (PIXEL / PARTS) ** 2


def images(x=0.0, y=0.0, *, turn=0.0, bands="griz", seed=5, noise=0.002, flux=1.0):
    """Cutouts of the galaxy about the place of the target, 0.25 arcsec pixels, rotated by `turn` degrees."""
    rng, made = np.random.default_rng(seed), []
    scale, size = 0.25, 160
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    forward = np.array([[-c, s], [s, c]]) / scale  # East is left in them
    to_pixel = np.column_stack([forward, [size / 2 + 0.3, size / 2 - 0.7]])
    rows, columns = np.indices((size, size))
    place = np.linalg.inv(forward) @ (np.stack([columns.ravel(), rows.ravel()]) - to_pixel[:, 2:])
    for band in bands:
        wavelength, fwhm = BANDS[band]
        old, young = blurred_galaxy(x, y, fwhm)
        share = float(np.interp(wavelength, WAVELENGTH, OLD)), float(np.interp(wavelength, WAVELENGTH, YOUNG))
        picture = flux * (share[0] * old + share[1] * young) * (scale / PIXEL) ** 2
        at = (place[1] + HALF) / PIXEL, (place[0] + HALF) / PIXEL
        values = map_coordinates(picture, at, order=1).reshape(size, size)
        values = 100.0 * (values + rng.normal(0, noise * float(picture.max()), values.shape)) + 7.0
        made.append(HostImage(band=band, wavelength=wavelength, values=values, to_pixel=to_pixel, fwhm_arcsec=fwhm))
    return HostImages(images=tuple(made), source=f"images {bands}")


def look(star, host, *, place=(0.4, -0.2), core=(1.6, -1.0), fwhm=1.8, refraction=None, seed=1, sky=60.0):
    """An exposure of a star with so much light, and a galaxy with so much, whose core lies at `core` from the star."""
    east, north = refraction or (np.zeros(WAVELENGTH.size), np.zeros(WAVELENGTH.size))
    field = np.full((WAVELENGTH.size, SPAXELS.x_arcsec.size), sky)
    for n, wavelength in enumerate(WAVELENGTH):
        width = round(fwhm * (wavelength / 6500.0) ** -0.2, 2)
        old, young = blurred_galaxy(*core, width)
        dx, dy = place[0] + east[n], place[1] + north[n]
        light = star * STAR[n] * moffat(width) + host * (OLD[n] * old + YOUNG[n] * young) / 2
        field[n] += in_cells(light, dx, dy)
    cube = make_cube(SPAXELS, WAVELENGTH, field, seed=seed)
    return Look(cube=cube, refraction=Refraction(east=east, north=north), exptime_s=900.0, offset=(0.0, 0.0))
