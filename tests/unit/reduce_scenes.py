"""Small synthetic detectors, lattices and cubes for the tests of the reduction, each with its truth beside it.

Everything is drawn from closed forms with numpy alone: neither the simulator nor the reduction's own models take part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import erf

from sedmd.reduce.numeric.containers import Cube, Image, Spaxels
from sedmd.reduce.numeric.field import FieldModel
from sedmd.reduce.traces.samples import Samples, make_samples
from sedmd.reduce.wavelength.scale import Scale, make_scale
from sedmd.reduce.wavelength.wavelength import WavelengthSolution

SHAPE = (256, 512)
READ_NOISE = 5.0


def rng(seed=1):
    return np.random.default_rng(seed)


def pixel_shares(dy, sigma):
    """Share of a Gaussian's light in a pixel `dy` rows off its centre; `sigma` is its rms, the pixel's own included."""
    core = np.sqrt(np.asarray(sigma) ** 2 - 1 / 12)
    return 0.5 * (erf((dy + 0.5) / core / np.sqrt(2)) - erf((dy - 0.5) / core / np.sqrt(2)))


@dataclass
class Scene:
    """Traces on a small detector: ``y = y_coeff . (1, u, u**2)``, ``u = (x - centre) / 100``."""

    centre: np.ndarray
    y_coeff: np.ndarray
    x_first: np.ndarray
    x_last: np.ndarray
    sigma: float = 1.4
    shape: tuple[int, int] = SHAPE
    extra: dict = field(default_factory=dict)

    @property
    def n(self):
        return self.centre.size

    def row(self, trace, x):
        u = (x - self.centre[trace]) / 100.0
        return self.y_coeff[trace, 0] + u * (self.y_coeff[trace, 1] + u * self.y_coeff[trace, 2])

    def samples(self) -> Samples:
        return make_samples(
            x_first=self.x_first,
            x_last=self.x_last,
            centre=self.centre,
            y_coeff=self.y_coeff,
            sigma=lambda trace, x, y: np.full(x.shape, self.sigma),
            shape=self.shape,
        )

    def columns_on_chip(self):
        """Number of columns in which each trace's centre is on the chip."""
        count = np.zeros(self.n, int)
        for k in range(self.n):
            x = np.arange(max(self.x_first[k], 0), min(self.x_last[k], self.shape[1] - 1) + 1)
            y = self.row(k, x)
            count[k] = ((y > 0) & (y < self.shape[0] - 1)).sum()
        return count


def lattice_scene(shape=SHAPE, *, length=180, sigma=1.4, curvature=0.35, seed=3) -> Scene:
    """Traces of a hexagonal array of spaxels; slopes vary over the field, curvature is common."""
    step_q, step_r = np.array([46.0, 8.6]), np.array([15.5, -44.2])
    reach = int(max(shape) / 30)
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1)))
    place = np.array(shape[::-1]) / 2 + q[:, None] * step_q + r[:, None] * step_r + [0.3, 0.2]
    place += rng(seed).uniform(-0.4, 0.4, place.shape)
    x, y = place.T
    keep = (x > -length / 2) & (x < shape[1] + length / 2) & (y > -2) & (y < shape[0] + 2)
    x, y = x[keep], y[keep]
    centre = np.rint(x)
    y_coeff = np.column_stack([y, 1.5 + 0.8 * x / shape[1] - 0.5 * y / shape[0], np.full(x.size, curvature)])
    half = length // 2
    return Scene(centre, y_coeff, centre.astype(int) - half, centre.astype(int) + half, sigma, shape)


def rows_scene(rows, *, sigma=1.4, shape=(64, 40)) -> Scene:
    """Straight traces along the whole detector at the given rows."""
    rows = np.asarray(rows, float)
    n = rows.size
    y_coeff = np.column_stack([rows, np.zeros(n), np.zeros(n)])
    centre = np.full(n, float(shape[1] // 2))
    return Scene(centre, y_coeff, np.zeros(n, int), np.full(n, shape[1] - 1), sigma, shape)


def draw(samples: Samples, flux, *, dy=0.0, reach=12) -> np.ndarray:
    """Image of Gaussian traces: `flux` electron in every sample, every centre moved by `dy` rows."""
    image = np.zeros(samples.shape)
    base = np.rint(samples.y + dy).astype(int)
    flux = np.broadcast_to(flux, samples.x.shape)
    for k in range(-reach, reach + 1):
        row = base + k
        inside = (row >= 0) & (row < samples.shape[0])
        light = flux * pixel_shares(row - samples.y - dy, samples.sigma)
        np.add.at(image, (row[inside], samples.x[inside]), light[inside])
    return image


def expose(electrons, seed=1, read_noise=READ_NOISE) -> Image:
    """Photon and read noise on an image of expected electrons."""
    random = rng(seed)
    data = random.poisson(np.maximum(electrons, 0)) + random.normal(0, read_noise, np.shape(electrons))
    return quiet(data, read_noise)


def quiet(electrons, read_noise=READ_NOISE) -> Image:
    """The image without noise, with the variance it would have."""
    data = np.asarray(electrons, np.float32)
    variance = np.maximum(data, 0) + np.float32(read_noise**2)
    return Image(data=data, variance=variance, mask=np.zeros(data.shape, np.uint8), read_noise=read_noise)


def taper(scene: Scene, samples: Samples, edge_px=12.0):
    """Brightness along a trace that rises and falls smoothly at its ends, 1 in the middle."""
    inner = np.minimum(samples.x - scene.x_first[samples.trace], scene.x_last[samples.trace] - samples.x)
    return np.clip((inner + 1) / edge_px, 0, 1)


# --- wavelengths ---------------------------------------------------------------------------------------------------


def prism_column(wavelength):
    """Column, relative to 5460 Angstrom, of a made-up prism: 15 Angstrom a column in the blue, which is at high
    columns, 24 there, 55 in the far red."""

    def bend(w):
        return 1.0 / (w / 1000.0 + 2.26)

    return 2515.0 * (bend(np.asarray(wavelength, float)) - bend(5460.0))


def prism_scale() -> Scale:
    wavelength = np.arange(3500.0, 10501.0, 25.0)
    return make_scale(wavelength, prism_column(wavelength))


def prism_solution(centre, *, stretch=None, sigma_px=1.2) -> WavelengthSolution:
    """Exact solution in which spaxel k has 5460 Angstrom at column ``centre[k]``."""
    n = len(centre)
    stretch = np.ones(n) if stretch is None else np.asarray(stretch)
    coeff = np.column_stack([centre, 100.0 * stretch, np.zeros(n)])
    return WavelengthSolution(
        scale=prism_scale(),
        coeff=coeff,
        rms=np.zeros(n),
        n_lines=np.full(n, 9),
        line_sigma=FieldModel(order=0, coefficients=np.array([sigma_px]), scatter=np.asarray(0.0)),
        line_sigma_slope=0.0,
        groups=(),
    )


# --- cubes ---------------------------------------------------------------------------------------------------------

PITCH = 0.627


def hex_spaxels(radius=14, pitch=PITCH) -> Spaxels:
    """A hexagon of spaxels, `radius` steps from the centre to a corner."""
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1)))
    keep = np.abs(q + r) <= radius
    q, r = q[keep], r[keep]
    return Spaxels(
        ident=np.arange(q.size, dtype=np.int32),
        q=q.astype(np.int32),
        r=r.astype(np.int32),
        x_arcsec=pitch * (q + 0.5 * r),
        y_arcsec=pitch * r * np.sqrt(3) / 2,
    )


def moffat_share(spaxels, x, y, fwhm, beta=3.0, pitch=PITCH, fine=13):
    """Share of a round Moffat's light in each hexagonal cell, by brute force over many points of the cell."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    half = pitch / np.sqrt(3)
    px, py = (a.ravel() for a in np.meshgrid(*[np.linspace(-half, half, 2 * fine + 1)] * 2))
    # Inside the hexagon whose neighbours lie at 0, 60, 120, ... degrees.
    angle = np.deg2rad([0, 60, 120])
    inside = (np.abs(px[:, None] * np.cos(angle) + py[:, None] * np.sin(angle)) < pitch / 2).all(axis=1)
    dx = spaxels.x_arcsec[:, None] - x + px[inside]
    dy = spaxels.y_arcsec[:, None] - y + py[inside]
    mean = ((1 + (dx**2 + dy**2) / alpha**2) ** -beta).mean(axis=1)
    return mean * (beta - 1) / np.pi / alpha**2 * pitch**2 * np.sqrt(3) / 2


def make_cube(spaxels, wavelength, expected, *, seed=None, read_noise=6.0, pattern=0.0) -> Cube:
    """Cube of the expected electron per Angstrom; with a seed, noise of photons and read-out is on it.

    The variance is the true one of each sample, as a smooth model of the light would give it.
    """
    expected = np.asarray(expected, float) + pattern
    variance = np.maximum(expected, 0) + read_noise**2
    flux = expected if seed is None else rng(seed).normal(expected, np.sqrt(variance))
    return Cube(
        wavelength=wavelength,
        flux=flux.astype(np.float32),
        variance=variance.astype(np.float32),
        mask=np.zeros(expected.shape, np.uint8),
        spaxels=spaxels,
    )
