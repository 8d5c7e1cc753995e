"""What stars and galaxies look like in a cube: the simulator's profiles over the cube's spaxels, and their electrons.

Nothing of the reduction's own PSF code takes part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline, PchipInterpolator

from sedmd.reduce.numeric.containers import Cube
from sedmd.simulate import almanac
from sedmd.simulate.atmosphere import transmission
from sedmd.simulate.sources import Pointing, PointSpread, SimulatedSource, moffat
from sedmd.simulate.spectra import GRID, photons

Place = tuple[float, float]
#: Wavelengths [Angstrom] at which images are made, closer in the blue, where refraction is fast; a spline joins them.
NODES = 1.0 / np.linspace(1.0 / 10000.0, 1.0 / 3550.0, 16)[::-1]
#: Spaxels nearer than this to a star are integrated over their hexagon, farther ones by their centre [arcsec].
NEAR_ARCSEC = 7.0
#: Points per side of a hexagon: their square is the number of points.
DIVISIONS = 7
#: Grid on which a galaxy is blurred: step [arcsec] and half its size [steps].
STEP, HALF = 0.25, 96
#: Electrons per photon: a telescope and spectrograph that resemble the instrument but are not the simulator's.
THROUGHPUT = PchipInterpolator(
    [3300.0, 3700.0, 4200.0, 5000.0, 5800.0, 6500.0, 7300.0, 8200.0, 9000.0, 9500.0, 10700.0],
    [0.001, 0.012, 0.055, 0.105, 0.132, 0.140, 0.130, 0.100, 0.060, 0.035, 0.001],
)
AREA_CM2 = 15000.0
#: Sigma of the line-spread function in bins.
LSF_BINS = 1.25


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LensArray:
    """Spaxels of a cube on the sky, arcsec.

    Attributes
    ----------
    places : (n, 2) East and North of the spaxels
    cell : (2, 2) steps on the sky of one unit of q and of r
    points : (m, 2) offsets that tile one spaxel evenly
    around : (k, 2) the missing cells around the array; holes within it are none
    """

    places: NDArray[np.floating]
    cell: NDArray[np.floating]
    points: NDArray[np.floating]
    around: NDArray[np.floating]

    @property
    def area(self) -> float:
        """Of a spaxel, arcsec**2."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def middle(self) -> Place:
        """Mean of the spaxels' places."""
        x, y = self.places.mean(axis=0)
        return float(x), float(y)

    def rim_distance(self, place: Place) -> float:
        """How far a place is from the rim of the array, arcsec; negative outside."""
        half = 0.5 * np.sqrt(2.0 / np.sqrt(3.0) * self.area)
        inner = float(np.min(np.hypot(*(self.places - place).T)))
        outer = float(np.min(np.hypot(*(self.around - place).T)))
        # A hole within the array has no outer cell near: it counts as inside.
        return outer - half if inner <= outer else half - inner


def lens_array(cube: Cube) -> LensArray:
    """The lens array that the cube's lattice coordinates and places tell."""
    s = cube.spaxels
    places = np.stack([s.x_arcsec, s.y_arcsec], axis=1).astype(float)
    node = np.stack([s.q, s.r], axis=1).astype(int)
    design = np.column_stack([node, np.ones(len(node))])
    fit = np.linalg.lstsq(design, places, rcond=None)[0]
    first = node.min(axis=0) - 2
    empty = np.ones(node.max(axis=0) - first + 3, bool)
    empty[tuple((node - first).T)] = False
    touching = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]])  # the six neighbours of a hexagon in axial coordinates
    labels, _ = ndimage.label(empty, structure=touching)
    outer = np.argwhere(labels == labels[0, 0]) + first
    around = outer @ fit[:2] + fit[2]
    cell = fit[:2]
    return LensArray(places=places, cell=cell, points=hexagon_points(cell, DIVISIONS), around=around)


def hexagon_points(cell: NDArray[np.floating], divisions: int) -> NDArray[np.floating]:
    """Points of a finer lattice within one hexagon, offsets from its centre: (divisions**2, 2) for 5, 7, 11, ...

    Each stands for the same area, and the hexagons of the lattice share none: the nodes nearest to the centre.
    """
    i, j = (axis.ravel() for axis in np.mgrid[-divisions : divisions + 1, -divisions : divisions + 1])
    points = np.stack([i, j], axis=1) @ cell / divisions
    neighbours = np.array([[1, 0], [0, 1], [-1, 1], [-1, 0], [0, -1], [1, -1]]) @ cell
    nearest = np.min(np.sum((points[:, None] - neighbours) ** 2, axis=2), axis=1)
    return points[np.sum(points**2, axis=1) < nearest - 1e-9]


def star_shares(
    array: LensArray, place: Place, seeing: PointSpread, instants: Sequence[Pointing]
) -> NDArray[np.floating]:
    """Share of a star's light in each spaxel at `NODES`, (n_node, n): of 1 on an endless array.

    place : of the image at 6500 Angstrom, mean of the instants, arcsec
    """
    offset = array.places - place
    near = np.hypot(*offset.T) < NEAR_ARCSEC
    inner = offset[near][:, None] + array.points
    shares = np.zeros((len(NODES), len(offset)))
    for k, wavelength in enumerate(NODES):
        for instant in instants:
            dx, dy = _displaced(wavelength, instant)
            shares[k, near] += moffat(inner[..., 0] - dx, inner[..., 1] - dy, seeing, wavelength).mean(axis=1)
            shares[k, ~near] += moffat(offset[~near, 0] - dx, offset[~near, 1] - dy, seeing, wavelength)
    return shares * array.area / len(instants)


def galaxy_shares(
    array: LensArray, galaxy: SimulatedSource, place: Place, seeing: PointSpread, instants: Sequence[Pointing]
) -> NDArray[np.floating]:
    """Share of a galaxy's light in each spaxel at `NODES`, (n_node, n), as `star_shares`.

    Sersic profile, blurred by the simulator's Moffat and by the hexagon of a spaxel, then read at the centres.
    """
    axis = np.arange(-HALF, HALF) * STEP
    light = np.fft.rfft2(sersic_image(galaxy))
    light *= _hexagon_transform(array)
    offset = array.places - place
    shares = np.zeros((len(NODES), len(offset)))
    for k, wavelength in enumerate(NODES):
        blur = moffat(axis[None, :], axis[:, None], seeing, wavelength)
        blurred = np.fft.irfft2(light * np.fft.rfft2(np.fft.ifftshift(blur / blur.sum())), s=blur.shape)
        coefficients = ndimage.spline_filter(blurred)
        for instant in instants:
            dx, dy = _displaced(wavelength, instant)
            where = np.stack([offset[:, 1] - dy, offset[:, 0] - dx]) / STEP + HALF
            shares[k] += ndimage.map_coordinates(coefficients, where, prefilter=False)
    return np.maximum(shares, 0.0) * array.area / STEP**2 / len(instants)


def sersic_image(galaxy: SimulatedSource) -> NDArray[np.floating]:
    """A galaxy before the seeing, of total 1, on the grid of `STEP`: axes (north, east), (2 HALF, 2 HALF)."""

    def profile(east: NDArray[np.floating], north: NDArray[np.floating]) -> NDArray[np.floating]:
        b = 2.0 * galaxy.sersic - 1.0 / 3.0 + 0.009876 / galaxy.sersic  # Prugniel & Simien 1997
        angle, root = np.deg2rad(galaxy.angle_deg), np.sqrt(galaxy.axis_ratio)
        major = (east * np.sin(angle) + north * np.cos(angle)) * root
        minor = (east * np.cos(angle) - north * np.sin(angle)) / root
        return np.asarray(np.exp(-b * (np.hypot(major, minor) / galaxy.radius) ** (1.0 / galaxy.sersic)))

    axis = np.arange(-HALF, HALF) * STEP
    light = profile(axis[None, :], axis[:, None])
    # The cusp changes within a step: the middle is averaged over a finer grid, which must not meet the cusp itself.
    core, fine = slice(HALF - 8, HALF + 8), 20
    sub = (np.arange(fine) - (fine - 1) / 2) * STEP / fine
    close = (axis[core][:, None] + sub).ravel()
    light[core, core] = profile(close[None, :], close[:, None]).reshape(16, fine, 16, fine).mean(axis=(1, 3))
    return light / light.sum()


def _hexagon_transform(array: LensArray) -> NDArray[np.floating]:
    """Fourier transform of the mean over a spaxel, on the frequencies of the galaxy's grid."""
    north, east = np.fft.fftfreq(2 * HALF, STEP)[:, None], np.fft.rfftfreq(2 * HALF, STEP)[None, :]
    total = np.zeros((north.size, east.size))
    for x, y in array.points:
        total += np.cos(2 * np.pi * (east * x + north * y))  # the points are symmetric about the centre
    return total / len(array.points)


def _displaced(wavelength: float, instant: Pointing) -> Place:
    """Refraction against `POSITION_WAVELENGTH` and guiding error, arcsec East and North."""
    east, north = instant.refraction(wavelength)
    return east + instant.guide_x, north + instant.guide_y


def on_grid(shares: NDArray[np.floating], wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Shares at `NODES` (n_node, n) as shares at other wavelengths, (n_wave, n)."""
    spline = CubicSpline(-1.0 / NODES, np.eye(len(NODES)))(-1.0 / wavelength)
    return np.maximum(spline @ shares, 0.0)


def instants_of(header: fits.Header, count: int = 3) -> tuple[Pointing, ...]:
    """Airmass and parallactic angle at `count` instants of an exposure, by the simulator's almanac, and the weather.

    From RA, DEC, JD and EXPTIME, because AIRMASS and the parallactic angle of older headers are of the start alone and
    the image stands where it stood in the middle. Agrees with the mean of start and end where the header has both.
    """
    ra, dec = almanac.degrees_of(header["RA"], hours=True), almanac.degrees_of(header["DEC"])
    days = header["EXPTIME"] / 86400.0 * (np.arange(count) + 0.5) / count
    places = [almanac.place(ra, dec, header["JD"] + float(day)) for day in days]
    return tuple(
        Pointing(
            airmass=place.airmass,
            parallactic_deg=place.parallactic,
            pressure_mbar=header["BARPRESS"],
            temperature_c=header["OUT_AIR"],
            humidity=header["OUT_HUM"],
        )
        for place in places
    )


def electrons(
    flux: NDArray[np.floating], wavelength: NDArray[np.floating], exptime_s: float, airmass: float
) -> NDArray[np.floating]:
    """Light of a whole source in a cube: electron/Angstrom of the exposure, mean of each bin, (n_wave,).

    flux : erg/s/cm2/Angstrom above the atmosphere on the simulator's ``GRID``
    """
    rate = photons(GRID, flux) * THROUGHPUT(GRID) * transmission(GRID, airmass, water_mm=3.0)
    total = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(GRID))])
    edges = bin_edges(wavelength)
    mean = np.diff(np.interp(edges, GRID, total)) / np.diff(edges)
    return AREA_CM2 * exptime_s * ndimage.gaussian_filter1d(mean, LSF_BINS, mode="nearest")


def bin_edges(wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Edges of the bins about their centres, Angstrom: (n_wave + 1,)."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    return np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])
