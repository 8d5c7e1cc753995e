"""A and B exposures of one target: both used at once, each telling the other what the instrument adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sedmd.reduce.numeric.containers import Cube, Spaxels
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target.psf import (
    MAX_NOISIER,
    PointSpectrum,
    Psf,
    Refraction,
    image,
    saturated,
    sky_terms,
    spread_over,
    variance_law,
)

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
    _check_fit(cube_a, cube_b)
    near = _near(cube_a.spaxels, (psf_a, psf_b), radius_arcsec)
    gain = np.broadcast_to(np.asarray(gain_b, float), cube_a.wavelength.shape)[:, None]
    samples = _samples((cube_a, cube_b), near)
    terms = _terms(cube_a, near, ((psf_a, refraction_a), (psf_b, refraction_b)), gain, others)
    fit = _fit(samples, terms, rounds)
    left = tuple(
        spread_over(flux - np.einsum("wsi,wi->ws", design, fit.solution), near, samples.good)
        for flux, design in zip(samples.flux, terms.design, strict=True)
    )
    burnt = saturated(cube_a, near, terms.shapes[0]) | saturated(cube_b, near, terms.shapes[1])
    return replace(_spectrum(fit, terms, gain, cube_a, burnt), left=left)


@dataclass(frozen=True, slots=True)
class _Samples:
    """What A and B hold near the target, (n_wave, n_near) each: flux, variance as it was observed; good in both."""

    flux: tuple[NDArray[Any], NDArray[Any]]
    observed: tuple[NDArray[Any], NDArray[Any]]
    start: tuple[NDArray[Any], NDArray[Any]]
    good: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is fitted in A and B: the target's images (n_wave, n_near), skies, all terms (n_wave, n_near, n_terms)."""

    shapes: tuple[NDArray[Any], NDArray[Any]]
    skies: tuple[NDArray[Any], NDArray[Any]]
    design: tuple[NDArray[Any], NDArray[Any]]

    @property
    def count(self) -> int:
        return int(self.design[0].shape[-1])


@dataclass(frozen=True, slots=True)
class _Fit:
    """Strengths (n_wave, n_terms) and their covariance, what was used, and the reduced chi-square (n_wave,)."""

    solution: NDArray[Any]
    covariance: NDArray[Any]
    used: NDArray[np.bool_]
    chi2: NDArray[Any]


def _check_fit(cube_a: Cube, cube_b: Cube) -> None:
    """Raise ValueError unless A and B are on the same spaxels and wavelengths."""
    if not (
        np.array_equal(cube_a.spaxels.ident, cube_b.spaxels.ident)
        and np.array_equal(cube_a.wavelength, cube_b.wavelength)
    ):
        raise ValueError("A and B must hold the same spaxels and wavelengths: reduce both with the same calibrations")


def _near(spaxels: Spaxels, psfs: Sequence[Psf], radius_arcsec: float) -> NDArray[np.bool_]:
    """The spaxels near to either place of the target."""
    near = np.zeros(len(spaxels.ident), bool)
    for psf in psfs:
        near |= np.hypot(spaxels.x_arcsec - psf.x_arcsec, spaxels.y_arcsec - psf.y_arcsec) < radius_arcsec
    return near


def _samples(cubes: Sequence[Cube], near: NDArray[np.bool_]) -> _Samples:
    """The samples near the target; a fit starts with the median variance of each wavelength."""
    flux, good, observed, variance = [], [], [], []
    for cube in cubes:
        f, v = cube.flux[:, near].astype(float), cube.variance[:, near].astype(float)
        ok = (cube.mask[:, near] == 0) & np.isfinite(f) & (v > 0)
        f, v = np.nan_to_num(f), np.nan_to_num(v, nan=1.0)
        flux.append(f)
        good.append(ok)
        observed.append(v)
        variance.append(np.where(ok, np.median(v, axis=1)[:, None], 1.0))
    return _Samples(
        flux=(flux[0], flux[1]),
        observed=(observed[0], observed[1]),
        start=(variance[0], variance[1]),
        good=good[0] & good[1],
    )


def _terms(
    cube: Cube,
    near: NDArray[np.bool_],
    images: Sequence[tuple[Psf, Refraction]],
    gain: NDArray[Any],
    others: Sequence[tuple[NDArray[Any], NDArray[Any]]],
) -> _Terms:
    """The target's image, the sky of A, the sky of B, and other light, as A and as B hold them."""
    spaxels, wavelength = cube.spaxels, cube.wavelength
    shapes = [image(psf, spaxels, wavelength, r.east, r.north)[:, near] for psf, r in images]
    part = spaxels.part(near)
    sky_a, sky_b = (sky_terms(part, psf, len(wavelength)) for psf, _ in images)
    none = np.zeros_like(sky_a)
    beside = [np.stack([a[:, near], gain * b[:, near]], axis=-1) for a, b in others]
    return _Terms(
        shapes=(shapes[0], shapes[1]),
        skies=(sky_a, sky_b),
        design=(
            np.concatenate([shapes[0][..., None], sky_a, none, *(one[..., :1] for one in beside)], axis=-1),
            np.concatenate([(gain * shapes[1])[..., None], none, sky_b, *(one[..., 1:] for one in beside)], axis=-1),
        ),
    )


def _fit(samples: _Samples, terms: _Terms, rounds: int) -> _Fit:
    """Least squares with the variance that A and B have in common; what does not fit is rejected, round by round."""
    n_wave = len(samples.good)
    flux, ok = samples.flux, samples.good
    variance: Sequence[NDArray[Any]] = samples.start
    common = np.zeros((n_wave, 1))
    solution = np.zeros((n_wave, terms.count))
    covariance = np.zeros((n_wave, terms.count, terms.count))
    residual = [f.copy() for f in flux]
    light: list[NDArray[Any]] = []
    for _ in range(rounds):
        solution, covariance = _solve(flux, variance, common, ok, terms)
        models = [np.einsum("wsi,wi->ws", d, solution) for d in terms.design]
        residual = [f - m for f, m in zip(flux, models, strict=True)]
        variance = [variance_law(m, o, ok) for m, o in zip(models, samples.observed, strict=True)]
        light = [
            np.abs(m - np.einsum("wsi,wi->ws", sky, solution[:, where]))
            for m, sky, where in zip(models, terms.skies, (SKY_A, SKY_B), strict=True)
        ]
        for r, v, o, s in zip(residual, variance, samples.observed, light, strict=True):
            ok = ok & (np.abs(r) < 5.0 * np.sqrt(v + common) + 0.1 * s) & (o < MAX_NOISIER * v)
        common = _in_common(residual, variance, light, ok)
    chi2 = sum(
        np.where(ok, r**2 / (v + common + (0.03 * s) ** 2), 0.0).sum(axis=1)
        for r, v, s in zip(residual, variance, light, strict=True)
    ) / np.maximum(2 * ok.sum(axis=1) - terms.count, 1)
    return _Fit(solution=solution, covariance=covariance, used=ok, chi2=np.asarray(chi2))


def _solve(
    flux: Sequence[NDArray[Any]],
    variance: Sequence[NDArray[Any]],
    common: NDArray[Any],
    ok: NDArray[np.bool_],
    terms: _Terms,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Strengths (n_wave, n_terms) and their covariance, A and B together."""
    design = terms.design
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
    covariance = np.linalg.inv(normal / scale + 1e-13 * np.eye(terms.count)) / scale
    return np.einsum("wij,wj->wi", covariance, right), covariance


def _in_common(
    residual: Sequence[NDArray[Any]],
    variance: Sequence[NDArray[Any]],
    light: Sequence[NDArray[Any]],
    ok: NDArray[np.bool_],
) -> NDArray[Any]:
    """Variance of the pattern that stays with the spaxels, (n_wave, 1): what the dark ones of A and B share."""
    dark = ok & (light[0] ** 2 < 0.1 * variance[0]) & (light[1] ** 2 < 0.1 * variance[1])
    product = np.where(dark, residual[0] * residual[1], 0.0).sum(axis=1) / np.maximum(dark.sum(axis=1), 1)
    return np.asarray(np.maximum(ndimage.uniform_filter1d(product, 9), 0.0)[:, None])


def _spectrum(fit: _Fit, terms: _Terms, gain: NDArray[Any], cube: Cube, burnt: NDArray[np.bool_]) -> PointSpectrum:
    """Flux, error and sky of the fit; NaN where too little of the target's image was used, or it is `burnt` in."""
    shape = terms.shapes[0] + terms.shapes[1]
    captured = np.where(fit.used, shape, 0.0).sum(axis=1) / np.maximum(shape.sum(axis=1), 1e-12)
    poor = (fit.used.sum(axis=1) < 10) | (captured < 0.5) | burnt
    sky = 0.5 * (fit.solution[:, 1] + fit.solution[:, 4] / gain[:, 0]) / cell_area(cube.spaxels)
    return PointSpectrum(
        flux=np.where(poor, np.nan, fit.solution[:, 0]),
        error=np.where(poor, np.nan, np.sqrt(fit.covariance[:, 0, 0])),
        sky=np.where(poor, np.nan, sky),
        residual_chi2=fit.chi2,
    )
