"""The host of a target from images of its field taken before: their shape in the cube, wavelength by wavelength."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.signal import fftconvolve

from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.numeric.hexagon import cell_vertices
from sedmd.reduce.target.psf import PSF_REFERENCE, SEEING_EXPONENT, Psf

#: Light nearer than this to the target is its host's [arcsec]; an image is normalised by what is within the second.
HOST_ARCSEC, NORM_ARCSEC = 3.0, 8.0
#: Significance of that light from which there is a host.
LEAST_SIGNIFICANCE = 5.0
#: Less than this between two widths changes nothing [arcsec].
LEAST_KERNEL = 0.05
#: A kernel reaches so many FWHM; power below which a frequency is not to be had from an image.
REACH, LEAST_POWER = 6.0, 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HostImage:
    """An image of the field in one band, without the target.

    Attributes
    ----------
    band : str
    wavelength : effective, Angstrom
    values : (n_y, n_x) linear flux in any unit, NaN where there is none
    to_pixel : (2, 3) column and row (from 0) of a place: ``to_pixel @ (x, y, 1)``, arcsec East and North of the target
    fwhm_arcsec : of a star in it
    noise : error of the values over one lenslet; 0 where it does not matter
    cells : the values are means over cells of lenslets, and are not averaged over them once more
    together : pixels that share one draw of the noise, as where they were made of lenslets
    """

    band: str
    wavelength: float
    values: NDArray[Any]
    to_pixel: NDArray[Any]
    fwhm_arcsec: float
    noise: float = 0.0
    cells: bool = False
    together: float = 1.0

    @property
    def scale_arcsec(self) -> float:
        """Side of a pixel."""
        return float(1 / np.sqrt(abs(np.linalg.det(self.to_pixel[:, :2]))))

    def distance(self) -> NDArray[Any]:
        """Of each pixel from the target, arcsec."""
        rows, columns = np.indices(self.values.shape)
        middle = self.to_pixel[:, 2]
        found: NDArray[Any] = np.hypot(columns - middle[0], rows - middle[1]) * self.scale_arcsec
        return found

    def significance(self) -> float:
        """Of the light about the target above what scatters far from it."""
        distance, good = self.distance(), np.isfinite(self.values)
        near, far = good & (distance < HOST_ARCSEC), good & (distance > NORM_ARCSEC)
        if near.sum() < 4 or far.sum() < 20:
            return 0.0
        level = float(np.median(self.values[far]))
        noise = 1.4826 * float(np.median(np.abs(self.values[far] - level)))
        light = float((self.values[near] - level).sum())
        return light / max(noise * float(np.sqrt(near.sum() * self.together)), 1e-300)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HostImages:
    """Images of the field in several bands, by wavelength.

    Attributes
    ----------
    images : tuple of HostImage
    source : what they are, for the header
    reach_arcsec : how far from their middle the target may be; 0: it is there, as their world coordinates say
    """

    images: tuple[HostImage, ...]
    source: str = ""
    reach_arcsec: float = 0.0

    @property
    def visible(self) -> bool:
        """There is a host to be seen in them."""
        return any(one.significance() > LEAST_SIGNIFICANCE for one in self.images)

    @property
    def noisy(self) -> bool:
        """Their noise is not small against that of an exposure."""
        return any(one.noise > 0 for one in self.images)

    def moved(self, x_arcsec: float, y_arcsec: float) -> HostImages:
        """The images with the target so far East and North of what was their middle."""

        def about(to_pixel: NDArray[Any]) -> NDArray[Any]:
            return np.column_stack([to_pixel[:, :2], to_pixel @ (x_arcsec, y_arcsec, 1.0)])

        return replace(self, images=tuple(replace(one, to_pixel=about(one.to_pixel)) for one in self.images))

    def noise(self, wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
        """Error of a shape in one lenslet, (n_wave,)."""
        found: NDArray[np.floating] = np.interp(
            wavelength, [one.wavelength for one in self.images], [one.noise for one in self.images]
        )
        return found

    def seen(self) -> HostImages:
        """Those that show it."""
        return replace(self, images=tuple(one for one in self.images if one.significance() > LEAST_SIGNIFICANCE))


def blurred(images: HostImages, seeing: Psf) -> HostImages:
    """The images as a star of this width would make them: convolved with what their own seeing lacks.

    Parameters
    ----------
    images : HostImages
    seeing : Psf
        FWHM at 6500 Angstrom and exponent count; the width at each band follows the fifth root of the wavelength.

    Returns
    -------
    HostImages
        Each divided by its light near the target, so that only shapes are compared between bands.
    """
    made = []
    for one in images.images:
        width = seeing.fwhm_arcsec * (one.wavelength / PSF_REFERENCE) ** SEEING_EXPONENT
        kernel = _kernel(one.fwhm_arcsec, width, seeing.beta, one.scale_arcsec)
        good = np.isfinite(one.values)
        level = float(np.median(one.values[good])) if good.any() else 0.0
        values = fftconvolve(np.where(good, one.values - level, 0.0), kernel, mode="same")
        known = np.clip(fftconvolve(good.astype(float), kernel, mode="same"), 0.05, None)
        values = values / known
        total = float(np.abs(values[one.distance() < NORM_ARCSEC]).sum()) * one.scale_arcsec**2
        scale = max(total, 1e-300)
        made.append(replace(one, values=values / scale, noise=one.noise / scale))
    return replace(images, images=tuple(sorted(made, key=lambda one: one.wavelength)))


def host_shape(
    images: HostImages,
    star: Psf,
    spaxels: Spaxels,
    wavelength: NDArray[np.floating],
    east: NDArray[np.floating],
    north: NDArray[np.floating],
) -> NDArray[np.floating]:
    """The host's light in each spaxel, of any strength, at each wavelength.

    Parameters
    ----------
    images : HostImages
        As `blurred` made them.
    star : Psf
        Of the target: the images are laid so that their middle is its place, and follow refraction as it does.
    spaxels : Spaxels
    wavelength, east, north : (n_wave,) Angstrom and refraction offsets, arcsec

    Returns
    -------
    (n_wave, n_spaxel) mean surface brightness over each cell; between two bands their mean by wavelength, beyond the
    first and last band that band

    Raises
    ------
    ValueError
        There is no image.
    """
    if not images.images:
        raise ValueError("no image of the host")
    points = np.concatenate([[[0.0, 0.0]], np.sqrt(14) / 5 * cell_vertices(spaxels)])
    weights = np.array([258.0] + [125.0] * 6) / 1008  # as the image of a star is averaged (Stroud 1971)
    x = spaxels.x_arcsec[None, :] - star.x_arcsec - star.dispersion * east[:, None]
    y = spaxels.y_arcsec[None, :] - star.y_arcsec - star.dispersion * north[:, None]
    centres = np.array([one.wavelength for one in images.images])
    place = np.clip(np.interp(wavelength, centres, np.arange(len(centres))), 0, len(centres) - 1)
    found = np.zeros(x.shape)
    for number, one in enumerate(images.images):
        share = np.clip(1 - np.abs(place - number), 0.0, None)
        rows = np.flatnonzero(share > 0)
        for (dx, dy), weight in [((0.0, 0.0), 1.0)] if one.cells else zip(points, weights, strict=True):
            at = np.stack([x[rows] + dx, y[rows] + dy, np.ones_like(x[rows])])
            column, row = np.tensordot(one.to_pixel, at, axes=1)
            light = map_coordinates(one.values, [row, column], order=1, mode="constant")
            found[rows] += weight * share[rows, None] * light
    return found


def _kernel(own_arcsec: float, wanted_arcsec: float, beta: float, scale_arcsec: float) -> NDArray[Any]:
    """What makes a star of one FWHM one of another, both Moffat profiles: the ratio of their transforms. Of unit sum.

    The widths of two Moffat profiles do not add in quadrature: their wings add more. A width that is not larger than
    the own one leaves the image as it is, because nothing sharper can be made of it.
    """
    if wanted_arcsec < own_arcsec + LEAST_KERNEL:
        return np.ones((1, 1))
    reach = int(np.ceil(REACH * wanted_arcsec / scale_arcsec))
    rows, columns = np.indices((2 * reach + 1, 2 * reach + 1)) - reach

    def transform(fwhm_arcsec: float) -> NDArray[Any]:
        alpha = fwhm_arcsec / scale_arcsec / (2 * np.sqrt(2 ** (1 / beta) - 1))
        values = (1 + (rows**2 + columns**2) / alpha**2) ** -beta
        return np.asarray(np.fft.rfft2(np.fft.ifftshift(values / values.sum())))

    own, wanted = transform(own_arcsec), transform(wanted_arcsec)
    ratio = wanted * np.conj(own) / (np.abs(own) ** 2 + LEAST_POWER)
    values: NDArray[Any] = np.fft.fftshift(np.fft.irfft2(ratio, rows.shape))
    values /= values.sum()
    return values
