"""A and B exposures of one target: both used at once, each telling the other what the instrument adds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sedmd.reduce.numeric.containers import Cube
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target.psf import MAX_NOISIER, PointSpectrum, Psf, Refraction, image, sky_terms, variance_law

#: Where level and tilt of the skies stand among the terms of the fit, after the target.
SKY_A, SKY_B = slice(1, 4), slice(4, 7)


def extract_pair(
    cube_a: Cube,
    cube_b: Cube,
    psf_a: Psf,
    psf_b: Psf,
    refraction_a: Refraction,
    refraction_b: Refraction,
    *,
    gain_b: NDArray[np.floating] | float = 1.0,
    others: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]] = (),
    radius_arcsec: float = 8.0,
    rounds: int = 3,
) -> PointSpectrum:
    """One spectrum from a nodded pair.

    Parameters
    ----------
    cube_a, cube_b : Cube with the same spaxels and wavelengths
    psf_a, psf_b : the target's image in each
    refraction_a, refraction_b : refraction of each exposure
    gain_b : (n_wave,) or float, counts that one unit of flux makes in B for one count in A (exposure time, extinction)
    others : images of other light, (n_wave, n_spaxel) in A and in B, of any strength at each wavelength
    radius_arcsec : spaxels this near to either place take part
    rounds : rejection rounds

    Returns
    -------
    PointSpectrum in counts of frame A

    Notes
    -----
    Every spaxel holds ``A = F P_A + a + c`` and ``B = g F P_B + b + c``, with skies a, b (level and tilt) and a pattern
    c that stays with the spaxel (errors of flat field and wavelength times the sky); other light adds terms that nod
    with the target. The pattern's variance is what the residuals of A and B have in common. Where there is none, this
    is the weighted mean of two single extractions, each with its own sky; where it is large, it becomes A minus B.
    Subtracting always would double the noise of the sky.

    Raises
    ------
    ValueError
        If the cubes do not hold the same spaxels and wavelengths.
    """
    if not (
        np.array_equal(cube_a.spaxels.ident, cube_b.spaxels.ident)
        and np.array_equal(cube_a.wavelength, cube_b.wavelength)
    ):
        raise ValueError("A and B must hold the same spaxels and wavelengths: reduce both with the same calibrations")
    spaxels = cube_a.spaxels
    near = np.zeros(len(spaxels.ident), bool)
    for psf in (psf_a, psf_b):
        near |= np.hypot(spaxels.x_arcsec - psf.x_arcsec, spaxels.y_arcsec - psf.y_arcsec) < radius_arcsec
    wavelength = cube_a.wavelength
    gain = np.broadcast_to(np.asarray(gain_b, float), wavelength.shape)[:, None]
    shapes = [
        image(psf, spaxels, wavelength, r.east, r.north)[:, near]
        for psf, r in ((psf_a, refraction_a), (psf_b, refraction_b))
    ]
    flux, good, observed, variance = [], [], [], []
    for cube in (cube_a, cube_b):
        f, v = cube.flux[:, near].astype(float), cube.variance[:, near].astype(float)
        ok = (cube.mask[:, near] == 0) & np.isfinite(f) & (v > 0)
        f, v = np.nan_to_num(f), np.nan_to_num(v, nan=1.0)
        flux.append(f)
        good.append(ok)
        observed.append(v)
        variance.append(np.where(ok, np.median(v, axis=1)[:, None], 1.0))
    ok = good[0] & good[1]
    part = spaxels.part(near)
    sky_a, sky_b = (sky_terms(part, psf, len(wavelength)) for psf in (psf_a, psf_b))
    none = np.zeros_like(sky_a)
    beside = [np.stack([a[:, near], gain * b[:, near]], axis=-1) for a, b in others]
    design = [
        np.concatenate([shapes[0][..., None], sky_a, none, *(one[..., :1] for one in beside)], axis=-1),
        np.concatenate([(gain * shapes[1])[..., None], none, sky_b, *(one[..., 1:] for one in beside)], axis=-1),
    ]
    skies = [(sky_a, SKY_A), (sky_b, SKY_B)]
    terms = design[0].shape[-1]
    common = np.zeros((len(wavelength), 1))
    solution = np.zeros((len(wavelength), terms))
    covariance = np.zeros((len(wavelength), terms, terms))
    residual = [f.copy() for f in flux]
    for _ in range(rounds):
        va, vb = (np.maximum(v, 1e-12) + common for v in variance)
        determinant = va * vb - common**2
        waa, wbb, wab = (np.where(ok, w / determinant, 0.0) for w in (vb, va, -common))
        normal = (
            np.einsum("ws,wsi,wsj->wij", waa, design[0], design[0])
            + np.einsum("ws,wsi,wsj->wij", wbb, design[1], design[1])
            + np.einsum("ws,wsi,wsj->wij", wab, design[0], design[1])
            + np.einsum("ws,wsi,wsj->wij", wab, design[1], design[0])
        )
        right = np.einsum("wsi,ws->wi", design[0], waa * flux[0] + wab * flux[1]) + np.einsum(
            "wsi,ws->wi", design[1], wbb * flux[1] + wab * flux[0]
        )
        scale = np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-30
        covariance = np.linalg.inv(normal / scale + 1e-13 * np.eye(terms)) / scale
        solution = np.einsum("wij,wj->wi", covariance, right)
        models = [np.einsum("wsi,wi->ws", d, solution) for d in design]
        residual = [f - m for f, m in zip(flux, models, strict=True)]
        variance = [variance_law(m, o, ok) for m, o in zip(models, observed, strict=True)]
        light = [
            np.abs(m - np.einsum("wsi,wi->ws", sky, solution[:, where]))
            for m, (sky, where) in zip(models, skies, strict=True)
        ]
        for r, v, o, s in zip(residual, variance, observed, light, strict=True):
            ok &= (np.abs(r) < 5.0 * np.sqrt(v + common) + 0.1 * s) & (o < MAX_NOISIER * v)
        dark = ok & (light[0] ** 2 < 0.1 * variance[0]) & (light[1] ** 2 < 0.1 * variance[1])
        product = np.where(dark, residual[0] * residual[1], 0.0).sum(axis=1) / np.maximum(dark.sum(axis=1), 1)
        common = np.maximum(ndimage.uniform_filter1d(product, 9), 0.0)[:, None]
    count = ok.sum(axis=1)
    chi2 = sum(
        np.where(ok, r**2 / (v + common + (0.03 * s) ** 2), 0.0).sum(axis=1)
        for r, v, s in zip(residual, variance, light, strict=True)
    ) / np.maximum(2 * count - terms, 1)
    captured = np.where(ok, shapes[0] + shapes[1], 0.0).sum(axis=1) / np.maximum(
        (shapes[0] + shapes[1]).sum(axis=1), 1e-12
    )
    poor = (count < 10) | (captured < 0.5)
    return PointSpectrum(
        flux=np.where(poor, np.nan, solution[:, 0]),
        error=np.where(poor, np.nan, np.sqrt(covariance[:, 0, 0])),
        sky=np.where(poor, np.nan, 0.5 * (solution[:, 1] + solution[:, 4] / gain[:, 0]) / cell_area(spaxels)),
        residual_chi2=np.asarray(chi2),
    )
