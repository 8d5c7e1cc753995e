"""How uncertain the level of a spectrum is by the image of its point source: alike at all wavelengths, and no noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.target.psf import SHAPE_ERROR, Bands, Psf, image, sky_terms, solve_rows
from sedmd.reduce.target.seeing import STAR_ELLIPTICITY

#: What is varied of an image, and by what step.
STEPS = {
    "x_arcsec": 0.01,
    "y_arcsec": 0.01,
    "fwhm_arcsec": 0.01,
    "beta": 0.03,
    "e1": 0.01,
    "e2": 0.01,
    "dispersion": 0.02,
}
#: How far the refraction seen differs from what is predicted of it.
DISPERSION_SPREAD = 0.05
#: Spaxels this near to the source take part [arcsec], as in the fit of its image.
RADIUS_ARCSEC = 7.0


def level_error(bands: Bands, spaxels: Spaxels, psf: Psf, *, beta_spread: float) -> float:
    """Error that all of a spectrum has in common because its image is not known better.

    Parameters
    ----------
    bands : Bands, other objects subtracted
    spaxels : Spaxels
    psf : Psf, as it was fitted, or is held to be
    beta_spread : how well the exponent of the wings is known before the fit; infinite if not at all

    Returns
    -------
    float, 1 sigma, fraction of the flux; NaN where there is no light

    Notes
    -----
    The covariance of place, width, wings, ellipticity and refraction is the inverse of what the spaxels and what is
    known before tell of them, the strengths and the sky free (variable projection, Golub & Pereyra 1973), times the
    reduced chi-square where that is above one. The error is its projection on the derivatives of the strengths'
    logarithms, mean over the bands by their weights. Wings that do not show are as uncertain as they were before.
    """
    near = np.hypot(spaxels.x_arcsec - psf.x_arcsec, spaxels.y_arcsec - psf.y_arcsec) < RADIUS_ARCSEC
    flux, variance = bands.flux[:, near], bands.variance[:, near]
    known = np.isfinite(variance) & (variance > 0)
    photons = np.where(known, 1.0 / np.where(known, variance, 1.0), 0.0)
    part = spaxels.part(near)
    sky = sky_terms(part, psf, len(flux))

    def fitted(one: Psf, weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        shape = image(one, part, bands.wavelength, bands.east, bands.north)
        design = np.concatenate([shape[..., None], sky], axis=-1)
        strength, covariance = solve_rows(design, flux, weight)
        left = flux - np.einsum("wsi,wi->ws", design, strength)
        return strength[:, 0], covariance[:, 0, 0], strength[:, :1] * shape, left

    strength, noise, light, left = fitted(psf, photons)
    if not (strength > 0).any():
        return float("nan")
    weight = np.where(known, 1.0 / (np.where(known, variance, 1.0) + (SHAPE_ERROR * light) ** 2), 0.0)
    spread = {"beta": beta_spread, "e1": STAR_ELLIPTICITY, "e2": STAR_ELLIPTICITY, "dispersion": DISPERSION_SPREAD}
    share = np.where(strength > 0, strength**2 / noise, 0.0)
    slopes, changes = [], []
    for name, step in STEPS.items():
        low, high = (replace(psf, **{name: getattr(psf, name) + sign * step}) for sign in (-1, 1))
        slopes.append(((fitted(high, weight)[3] - fitted(low, weight)[3]) * np.sqrt(weight)).ravel() / (2 * step))
        ratio = (
            (fitted(high, photons)[0] - fitted(low, photons)[0]) / np.where(strength > 0, strength, 1.0) / (2 * step)
        )
        changes.append(float((share * ratio).sum() / share.sum()))
    jacobian, change = np.array(slopes), np.array(changes)
    prior = np.diag([spread.get(name, np.inf) ** -2.0 for name in STEPS])
    freedom = max(int((weight > 0).sum()) - len(STEPS) - 4 * len(flux), 1)
    chi2 = float((weight * left**2).sum()) / freedom
    covariance = np.linalg.pinv(jacobian @ jacobian.T / max(chi2, 1.0) + prior)
    return float(np.sqrt(change @ covariance @ change))
