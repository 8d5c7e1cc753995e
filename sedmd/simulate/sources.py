"""What stands in the field: stars and galaxies, and the share of their light that each lenslet takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sedmd.simulate.atmosphere import differential_refraction
from sedmd.simulate.optics import Optics, lenslet_samples

NODES = np.array(
    [3300.0, 3500, 3700, 3900, 4150, 4400, 4700, 5000, 5400, 5800, 6300, 6800, 7400, 8000, 8700, 9400, 10100, 10700]
)
POSITION_WAVELENGTH = 6500.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedSource:
    """One object of the field.

    Attributes
    ----------
    name : str
        Name in the truth tables.
    x, y : float
        East and North of the field axis at 6500 A, arcsec, in this exposure.
    flux : ndarray
        erg/s/cm2/A above the atmosphere on ``spectra.GRID``.
    radius : float
        Half-light radius of a galaxy, arcsec; 0 for a point source.
    sersic : float
        Sersic index of a galaxy.
    axis_ratio, angle_deg : float
        Shape of a galaxy; position angle North through East.
    role : str
        "target", "host" or "neighbour".
    """

    name: str
    x: float
    y: float
    flux: np.ndarray
    radius: float = 0.0
    sersic: float = 1.0
    axis_ratio: float = 1.0
    angle_deg: float = 0.0
    role: str = "target"


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpread:
    """The point-spread function of one exposure: FWHM [arcsec] at 5500 A, Moffat beta, ellipticity and its angle."""

    fwhm: float
    beta: float
    ellipticity: float = 0.0
    angle_deg: float = 0.0

    def at(self, wavelength: float) -> float:
        """FWHM at a wavelength [A]: Kolmogorov, proportional to wavelength^-0.2."""
        found: float = self.fwhm * (wavelength / 5500.0) ** -0.2
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointing:
    """Direction of the telescope during one instant: airmass, parallactic angle, guiding error (arcsec) and the air."""

    airmass: float
    parallactic_deg: float
    guide_x: float = 0.0
    guide_y: float = 0.0
    pressure_mbar: float = 825.0
    temperature_c: float = 10.0
    humidity: float = 40.0

    def refraction(self, wavelength: float) -> tuple[float, float]:
        """Offset East and North [arcsec] of the image at a wavelength [A] from that at `POSITION_WAVELENGTH`."""
        east, north = differential_refraction(
            wavelength,
            POSITION_WAVELENGTH,
            self.airmass,
            self.parallactic_deg,
            pressure_mbar=self.pressure_mbar,
            temperature_c=self.temperature_c,
            humidity=self.humidity,
        )
        return float(east), float(north)


def moffat(dx: np.ndarray, dy: np.ndarray, seeing: PointSpread, wavelength: float) -> np.ndarray:
    """Moffat (1969) profile per square arcsec, of total 1, at offsets East and North [arcsec]."""
    alpha = seeing.at(wavelength) / (2.0 * np.sqrt(2.0 ** (1.0 / seeing.beta) - 1.0))
    stretch = np.sqrt(1.0 - seeing.ellipticity)
    angle = np.deg2rad(seeing.angle_deg)
    along = (dx * np.sin(angle) + dy * np.cos(angle)) * stretch
    across = (dx * np.cos(angle) - dy * np.sin(angle)) / stretch
    found: np.ndarray = (
        (seeing.beta - 1.0) / (np.pi * alpha**2) * (1.0 + (along**2 + across**2) / alpha**2) ** -seeing.beta
    )
    return found


def _galaxy_image(
    source: SimulatedSource, seeing: PointSpread, wavelength: float, step: float, half: int
) -> np.ndarray:
    """Galaxy convolved with the seeing on a grid centred on the galaxy, per square arcsec, axes (north, east)."""
    axis = np.arange(-half, half) * step
    fine = 5
    sub = (np.arange(fine) - (fine - 1) / 2.0) * step / fine
    b = 2.0 * source.sersic - 1.0 / 3.0 + 0.009876 / source.sersic  # Prugniel & Simien 1997
    angle = np.deg2rad(source.angle_deg)
    root = np.sqrt(source.axis_ratio)
    light = np.zeros((2 * half, 2 * half))
    for sy in sub:
        for sx in sub:
            east, north = axis[None, :] + sx, axis[:, None] + sy
            major = (east * np.sin(angle) + north * np.cos(angle)) * root
            minor = (east * np.cos(angle) - north * np.sin(angle)) / root
            light += np.exp(-b * (np.hypot(major, minor) / source.radius) ** (1.0 / source.sersic))
    light /= light.sum()
    blur = moffat(axis[None, :], axis[:, None], seeing, wavelength)
    blur /= blur.sum()
    product = np.fft.irfft2(np.fft.rfft2(light) * np.fft.rfft2(np.fft.ifftshift(blur)), s=light.shape)
    return product / step**2


def _bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    i = np.clip(np.floor(x).astype(int), 0, image.shape[1] - 2)
    j = np.clip(np.floor(y).astype(int), 0, image.shape[0] - 2)
    inside = (x >= 0) & (y >= 0) & (x <= image.shape[1] - 1) & (y <= image.shape[0] - 1)
    fx, fy = x - i, y - j
    value = (image[j, i] * (1 - fx) + image[j, i + 1] * fx) * (1 - fy) + (
        image[j + 1, i] * (1 - fx) + image[j + 1, i + 1] * fx
    ) * fy
    return np.where(inside, value, 0.0)


def lenslet_shares(
    optics: Optics, source: SimulatedSource, seeing: PointSpread, pointings: tuple[Pointing, ...]
) -> np.ndarray:
    """Share of a source's light that enters each lenslet, averaged over the instants of an exposure.

    Returns
    -------
    ndarray (n, m)
        At the wavelengths `NODES`; integrated over the hexagonal lenslets, refraction relative to 6500 A.
    """
    east, north, area = lenslet_samples(optics)
    px = (optics.sky_x[:, None] + east).ravel()
    py = (optics.sky_y[:, None] + north).ravel()
    shares = np.zeros((len(optics), len(NODES)))
    step, half = 0.25, 96
    for k, wavelength in enumerate(NODES):
        image = _galaxy_image(source, seeing, wavelength, step, half) if source.radius > 0.0 else None
        for p in pointings:
            lift = p.refraction(wavelength)
            dx = px - (source.x + p.guide_x + lift[0])
            dy = py - (source.y + p.guide_y + lift[1])
            value = (
                moffat(dx, dy, seeing, wavelength)
                if image is None
                else _bilinear(image, dx / step + half, dy / step + half)
            )
            shares[:, k] += value.reshape(len(optics), -1).sum(axis=1)
    return shares * area / len(pointings)


def shares_at(shares: np.ndarray, wavelength: np.ndarray) -> np.ndarray:
    """Shares at wavelengths (n, m) between the nodes, linear in wavelength."""
    position = np.interp(wavelength, NODES, np.arange(len(NODES)))
    i = np.minimum(position.astype(int), len(NODES) - 2)
    f = position - i
    row = np.arange(len(shares))[:, None]
    found: np.ndarray = shares[row, i] * (1.0 - f) + shares[row, i + 1] * f
    return found
