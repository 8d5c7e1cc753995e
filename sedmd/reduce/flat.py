"""The relative throughput of the spaxels as a smooth function of wavelength, from the dome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spaxel_flat(
    wavelength: NDArray[np.floating],
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    mask: NDArray[np.integer],
    *,
    order: int = 5,
    rounds: int = 4,
) -> NDArray[np.floating]:
    """Fit each spaxel's dome spectrum as the mean dome spectrum times a smooth curve.

    Parameters
    ----------
    wavelength : (n_wave,) Angstrom
    flux, variance : (n_wave, n_spaxel) dome cube, electron/Angstrom and its square
    mask : (n_wave, n_spaxel) non-zero = not to be used
    order : degree of the curve in the logarithm of the wavelength
    rounds : rejection rounds

    Returns
    -------
    (n_wave, n_spaxel) float32, relative throughput, mean 1 over the complete spaxels at each wavelength; NaN for a
    spaxel without light

    Notes
    -----
    A curve of low degree carries the real differences (coatings, vignetting, the prism's edge) and does not carry the
    noise of the dome's faint blue end into every spectrum.
    """
    good = (mask == 0) & np.isfinite(flux) & (variance > 0)
    complete = good.mean(axis=0) > 0.9 * np.median(good.mean(axis=0))
    reference = np.median(np.where(good[:, complete], flux[:, complete], 0.0), axis=1)
    u = np.log(wavelength / wavelength[0])
    u = 2 * u / u[-1] - 1
    basis = np.polynomial.legendre.legvander(u, order)
    curve = np.ones(flux.shape)
    for _ in range(rounds):
        model = reference[:, None] * curve
        # Photon noise and half a per cent for structure finer than the curve.
        weight = np.where(good, 1.0 / (variance + (0.005 * model) ** 2 + 1e-12), 0.0) * reference[:, None] ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(good & (reference[:, None] > 0), flux / reference[:, None], 0.0)
        normal = np.einsum("wi,ws,wj->sij", basis, weight, basis)
        right = np.einsum("wi,ws->si", basis, weight * np.nan_to_num(ratio))
        # High terms are held small where there is little light: a tenth of the mean level at most.
        trace = np.einsum("sii->s", normal)
        ridge = np.diag(np.r_[0.0, np.full(order, 1e-4)])
        solution = np.linalg.solve(
            normal + (trace[:, None, None] + 1e-12) * (ridge + 1e-12 * np.eye(order + 1)), right[..., None]
        )
        curve = basis @ solution[..., 0].T
        with np.errstate(invalid="ignore"):
            pull = np.abs(ratio - curve) * np.sqrt(weight)
        good &= pull < 6.0 * max(1.4826 * float(np.median(pull[good])), 1.0)
        reference = reference * np.median(curve[:, complete], axis=1)
    curve = curve / np.mean(curve[:, complete], axis=1, keepdims=True)
    dark = (curve.mean(axis=0) < 0.05) | ~np.isfinite(curve).all(axis=0)
    curve[:, dark] = np.nan
    return np.clip(curve, 0.02, 10.0).astype(np.float32)
