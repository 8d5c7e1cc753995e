"""The host of a target from a cube of another epoch of the same field: pictures of it in bands, and their noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CloughTocher2DInterpolator

from sedmd.reduce.numeric.containers import Cube
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target.host_images import HostImage, HostImages
from sedmd.reduce.target.psf import PSF_REFERENCE, SEEING_EXPONENT, PointSpectrum, Refraction, condense

#: Ends of the bands of which pictures are made [Angstrom]: narrow enough for the colours of a galaxy's parts.
EDGES = np.linspace(3900.0, 9300.0, 13)
#: Side of a pixel, and half the side of a picture [arcsec].
PIXEL_ARCSEC, HALF_ARCSEC = 0.25, 14.0
#: Where in a cube a target lies is not known better than the telescope points: so far around it is looked for [arcsec].
REACH_ARCSEC = 4.0


def pictures(
    cube: Cube, refraction: Refraction, place: tuple[float, float], fwhm_arcsec: float, source: str = ""
) -> HostImages:
    """A cube without the target as pictures about its place.

    Parameters
    ----------
    cube : Cube, of another epoch
    refraction : Refraction on its grid
    place : (x, y) arcsec, where in that cube the target would be, as far as it is known
    fwhm_arcsec : of a star in that exposure, at the reference wavelength
    source : what it is, for the header

    Returns
    -------
    HostImages
        In electron / Angstrom above the median of the field, means over lenslets. Bands without data are not there.
    """
    bands = condense(cube, refraction, EDGES)
    side = np.arange(-HALF_ARCSEC, HALF_ARCSEC + PIXEL_ARCSEC / 2, PIXEL_ARCSEC)
    to_pixel = np.column_stack([np.eye(2) / PIXEL_ARCSEC, [HALF_ARCSEC / PIXEL_ARCSEC] * 2])
    made = []
    for number, (low, high) in enumerate(pairwise(EDGES)):
        good = np.isfinite(bands.variance[number]) & (bands.variance[number] > 0)
        if good.sum() < 50:
            continue
        x = cube.spaxels.x_arcsec[good] - place[0] - bands.east[number]
        y = cube.spaxels.y_arcsec[good] - place[1] - bands.north[number]
        flux = bands.flux[number, good] - np.median(bands.flux[number, good])
        values = CloughTocher2DInterpolator(np.column_stack([x, y]), flux)(*np.meshgrid(side, side))
        middle = 0.5 * (low + high)
        seeing = fwhm_arcsec * (middle / PSF_REFERENCE) ** SEEING_EXPONENT
        made.append(
            HostImage(
                band=f"{middle:.0f}",
                wavelength=float(bands.wavelength[number]),
                values=values,
                to_pixel=to_pixel,
                fwhm_arcsec=float(seeing),
                cells=True,
                together=cell_area(cube.spaxels) / PIXEL_ARCSEC**2,
                noise=float(np.sqrt(np.median(bands.variance[number, good]))),
            )
        )
    return HostImages(images=tuple(made), source=source, reach_arcsec=REACH_ARCSEC)


def with_host_noise(
    point: PointSpectrum,
    host_light: NDArray[np.floating],
    star: NDArray[np.floating],
    host: NDArray[np.floating],
    noise: NDArray[np.floating],
) -> PointSpectrum:
    """A spectrum with the noise of the host's shape in its error.

    Parameters
    ----------
    point : PointSpectrum
    host_light : (n_wave,) what of the host would count as the target's
    star, host : (n_wave, n_spaxel) shapes of both
    noise : (n_wave,) error of the host's shape in one spaxel

    Notes
    -----
    A shape that is off by independent errors in each spaxel changes the fitted flux by the host's strength times their
    mean weighted with the star's image ``s``: by ``noise / sqrt(sum s**2)``.
    """
    square = (star**2).sum(axis=1)
    overlap = (star * (host - np.median(host, axis=1, keepdims=True))).sum(axis=1) / np.maximum(square, 1e-300)
    strength = np.abs(host_light) / np.maximum(overlap, 1e-3 * np.nanmax(overlap))
    extra = strength * noise / np.sqrt(np.maximum(square, 1e-300))
    return replace(point, error=np.hypot(point.error, np.nan_to_num(extra)))
