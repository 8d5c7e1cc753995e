"""The image of a point source on the lenslet array, and the spectrum that fits it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from sedmd.reduce.numeric.containers import Cube, Mask, Spaxels
from sedmd.reduce.numeric.hexagon import cell_area, cell_vertices

#: Seeing falls with the fifth root of the wavelength (Kolmogorov turbulence; Fried 1966).
SEEING_EXPONENT = -0.2
#: Wavelength at which the width of the image is quoted [Angstrom].
PSF_REFERENCE = 6500.0
#: Shape of a seeing-limited image's wings when the source is too faint to show them (Trujillo et al. 2001: 2.5-4.8).
DEFAULT_BETA = 3.0
#: Where level and tilt of the sky stand among the terms of a fit, after the source.
SKY = slice(1, 4)
#: Share of the source's light that may fall on saturated samples: what remains tells its flux only as well as the wings
#: of the image are known, which is to some per cent of them.
MAX_SATURATED = 0.1
#: The image's own shape is not known better than this share of it: bright cores must not decide alone.
SHAPE_ERROR = 0.02
#: A sample with more than so many times the variance of its like is not used.
MAX_NOISIER = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Psf:
    """A Moffat profile, elliptical, that widens to the blue and follows refraction.

    Attributes
    ----------
    x_arcsec, y_arcsec : place at the reference wavelength
    fwhm_arcsec : geometric mean FWHM at the reference wavelength
    beta : Moffat exponent
    e1, e2 : ellipticity components: the axes are stretched by exp(+-sqrt(e1^2 + e2^2) / 2)
    dispersion : factor on the predicted refraction, 1 when it is as predicted
    """

    x_arcsec: float
    y_arcsec: float
    fwhm_arcsec: float
    beta: float = DEFAULT_BETA
    e1: float = 0.0
    e2: float = 0.0
    dispersion: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refraction:
    """Offsets (n_wave,) East and North [arcsec] of a source on the cube's wavelength grid."""

    east: NDArray[np.floating]
    north: NDArray[np.floating]


def image(
    psf: Psf,
    spaxels: Spaxels,
    wavelength: NDArray[np.floating],
    east: NDArray[np.floating],
    north: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Share of the source's light that falls into each spaxel.

    Parameters
    ----------
    psf : Psf
    spaxels : Spaxels of the whole lattice or a part of it
    wavelength, east, north : (n_wave,) Angstrom and refraction offsets, arcsec

    Returns
    -------
    (n_wave, n_spaxel); the sum over an endless lattice is 1

    Notes
    -----
    The Moffat surface brightness is averaged over the hexagonal cell with the seven-point rule of degree five
    (Stroud 1971, H2: 5-1).
    """
    return _image(psf, spaxels, cell_vertices(spaxels), cell_area(spaxels), wavelength, east, north)


def _image(
    psf: Psf,
    spaxels: Spaxels,
    corners: NDArray[Any],
    area: float,
    wavelength: NDArray[Any],
    east: NDArray[Any],
    north: NDArray[Any],
) -> NDArray[np.floating]:
    points = np.concatenate([[[0.0, 0.0]], np.sqrt(14) / 5 * corners])
    weights = np.array([258.0] + [125.0] * 6) / 1008
    scale = (wavelength / PSF_REFERENCE) ** SEEING_EXPONENT
    alpha = psf.fwhm_arcsec * scale / (2 * np.sqrt(2 ** (1 / psf.beta) - 1))
    dx = spaxels.x_arcsec[None, :] - psf.x_arcsec - psf.dispersion * east[:, None]
    dy = spaxels.y_arcsec[None, :] - psf.y_arcsec - psf.dispersion * north[:, None]
    stretch = np.hypot(psf.e1, psf.e2)
    # Squared distance in the frame of the ellipse: (1 + e1) dx^2 + (1 - e1) dy^2 + 2 e2 dx dy for small ellipticity.
    c, s = np.cosh(stretch), np.sinh(stretch)
    u1, u2 = (psf.e1 / stretch, psf.e2 / stretch) if stretch > 0 else (1.0, 0.0)
    total = np.zeros(dx.shape)
    for (px, py), w in zip(points, weights, strict=True):
        x, y = dx + px, dy + py
        r2 = (c - s * u1) * x * x + (c + s * u1) * y * y - 2 * s * u2 * x * y
        total += w * (1 + r2 / alpha[:, None] ** 2) ** -psf.beta
    found: NDArray[np.floating] = total * (area * (psf.beta - 1) / np.pi / alpha[:, None] ** 2)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """A cube condensed to a few broad bands, for finding and shaping a source.

    Attributes
    ----------
    wavelength : (n_band,) Angstrom
    flux, variance : (n_band, n_spaxel) mean flux density and its variance; NaN variance-infinite where unusable
    east, north : (n_band,) refraction offsets
    """

    wavelength: NDArray[np.floating]
    flux: NDArray[np.floating]
    variance: NDArray[np.floating]
    east: NDArray[np.floating]
    north: NDArray[np.floating]


def condense(cube: Cube, refraction: Refraction, edges: NDArray[np.floating]) -> Bands:
    """Average a cube over bands; samples that stand out among their neighbours in wavelength do not count."""
    width = np.gradient(cube.wavelength)[:, None]
    good = (cube.mask == 0) & np.isfinite(cube.flux) & (cube.variance > 0)
    rows = []
    for low, high in pairwise(edges):
        inside = (cube.wavelength >= low) & (cube.wavelength < high)
        flux, var = cube.flux[inside].astype(float), cube.variance[inside].astype(float)
        ok, w = good[inside], np.broadcast_to(width[inside], flux.shape)
        middle = masked_median(flux, ok, axis=0)
        level = masked_median(flux - middle, ok, axis=1)[:, None]
        spread = np.sqrt(var) + 0.3 * np.abs(middle)
        ok = ok & (np.abs(flux - middle - level) < 6 * spread)
        weight = np.where(ok, w, 0.0)
        total = weight.sum(axis=0)
        enough = ok.sum(axis=0) > 0.6 * inside.sum()
        norm = np.where(enough, total, 1.0)
        rows.append(
            (
                float(cube.wavelength[inside].mean()),
                np.where(enough, (weight * np.nan_to_num(flux)).sum(axis=0) / norm, 0.0),
                np.where(enough, (weight**2 * np.nan_to_num(var)).sum(axis=0) / norm**2, np.inf),
                float(refraction.east[inside].mean()),
                float(refraction.north[inside].mean()),
            )
        )
    columns = [np.array(c) for c in zip(*rows, strict=True)]
    return Bands(wavelength=columns[0], flux=columns[1], variance=columns[2], east=columns[3], north=columns[4])


def masked_median(values: NDArray[Any], good: NDArray[Any], axis: int) -> NDArray[np.floating]:
    """Median of the good values along an axis; 0 where there is none."""
    found: NDArray[np.floating] = np.ma.median(np.ma.masked_array(values, ~good), axis=axis).filled(0.0)
    return found


def fit_psf(
    bands: Bands,
    spaxels: Spaxels,
    start: Psf,
    *,
    free_shape: bool,
    beta_spread: float = np.inf,
    radius_arcsec: float = 7.0,
) -> tuple[Psf, float, float]:
    """Fit place, width and, for a bright source, shape of the image, all bands together.

    Parameters
    ----------
    bands : Bands
    spaxels : Spaxels
    start : first guess
    free_shape : fit beta, ellipticity and the strength of refraction too
    beta_spread : how well the beta of `start` is known; by default not at all
    radius_arcsec : spaxels farther from the start do not take part

    Returns
    -------
    psf : Psf
    chi2 : reduced chi-square, two per cent of the model granted as error of the shape
    position_error : arcsec, 1 sigma of the place (mean of the two axes)
    """
    near = np.hypot(spaxels.x_arcsec - start.x_arcsec, spaxels.y_arcsec - start.y_arcsec) < radius_arcsec
    part = spaxels.part(near)
    corners, area = cell_vertices(spaxels), cell_area(spaxels)
    flux, variance = bands.flux[:, near], bands.variance[:, near]
    weight0 = np.where(np.isfinite(variance) & (variance > 0), 1.0 / np.where(variance > 0, variance, 1.0), 0.0)
    names = ["x_arcsec", "y_arcsec", "fwhm_arcsec"] + (["beta", "e1", "e2"] if free_shape else [])
    # Near the zenith there is no refraction to scale, and a parameter without effect keeps the fit from ending.
    if free_shape and max(np.ptp(bands.east), np.ptp(bands.north)) > 0.1:
        names.append("dispersion")
    # A fit that wanders off has lost its source: it may move by a few spaxels only.
    x0, y0 = start.x_arcsec, start.y_arcsec
    low = {
        "x_arcsec": x0 - 2.5,
        "y_arcsec": y0 - 2.5,
        "fwhm_arcsec": 0.7,
        "beta": 1.6,
        "e1": -0.6,
        "e2": -0.6,
        "dispersion": 0.5,
    }
    high = {
        "x_arcsec": x0 + 2.5,
        "y_arcsec": y0 + 2.5,
        "fwhm_arcsec": 6.0,
        "beta": 8.0,
        "e1": 0.6,
        "e2": 0.6,
        "dispersion": 1.5,
    }

    sky = sky_terms(part, start, len(flux))

    def fitted(p: NDArray[Any], weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The source's light, and what is left when sky and source are subtracted."""
        psf = replace(start, **dict(zip(names, (float(v) for v in p), strict=True)))
        shape = _image(psf, part, corners, area, bands.wavelength, bands.east, bands.north)
        design = np.concatenate([shape[..., None], sky], axis=-1)
        strength, _ = solve_rows(design, flux, weight)
        return strength[:, :1] * shape, flux - np.einsum("wsi,wi->ws", design, strength)

    def misfit(p: NDArray[Any]) -> NDArray[Any]:
        known = [(p[names.index("beta")] - start.beta) / beta_spread] if free_shape else []
        return np.append((fitted(p, weight)[1] * np.sqrt(weight)).ravel(), known)

    p = np.array([getattr(start, n) for n in names])
    weight = weight0
    fit = None
    for _ in range(3):
        light, left = fitted(p, weight)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(weight0 > 0, 1.0 / (1.0 / weight0 + (SHAPE_ERROR * light) ** 2), 0.0)
        pull = np.abs(left) * np.sqrt(weight)
        if fit is not None:
            weight = np.where(pull > 8.0, 0.0, weight)
        fit = least_squares(
            misfit,
            p,
            bounds=([low[n] for n in names], [high[n] for n in names]),
            x_scale=[0.3, 0.3, 0.3, 1, 0.1, 0.1, 0.1][: len(p)],
        )
        p = fit.x
    assert fit is not None
    freedom = max(int((weight > 0).sum()) - len(p) - 4 * len(bands.wavelength), 1)
    chi2 = float(2 * fit.cost / freedom)
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac)
    error = float(np.sqrt(max(chi2, 1.0) * 0.5 * (covariance[0, 0] + covariance[1, 1])))
    return replace(start, **dict(zip(names, (float(v) for v in p), strict=True))), chi2, error


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpectrum:
    """Spectrum of a point source.

    Attributes
    ----------
    flux, error : (n_wave,) total flux density of the source, unit of the cube; NaN where nothing could be measured
    sky : (n_wave,) level of the sky per arcsec**2
    residual_chi2 : (n_wave,) reduced chi-square of the fit
    left : (n_wave, n_spaxel) for each exposure, data minus all that was fitted; NaN where nothing was, or not for that
    """

    flux: NDArray[np.floating]
    error: NDArray[np.floating]
    sky: NDArray[np.floating]
    residual_chi2: NDArray[np.floating]
    left: tuple[NDArray[np.floating], ...] = ()


def extract_point(
    cube: Cube,
    psf: Psf,
    refraction: Refraction,
    *,
    others: Sequence[NDArray[np.floating]] = (),
    radius_arcsec: float = 8.0,
    rounds: int = 3,
) -> PointSpectrum:
    """Fit amplitude and local sky, a level and a tilt, at every wavelength with the image held fixed.

    Parameters
    ----------
    cube : Cube
    psf : Psf
    refraction : Refraction on the cube's grid
    others : (n_wave, n_spaxel) each, images of other light in the field, of any strength at each wavelength
    radius_arcsec : spaxels within this distance take part
    rounds : outliers are rejected and weights renewed this many times

    Returns
    -------
    PointSpectrum

    Notes
    -----
    The weights use the variance expected from the model (a straight line variance = a + b flux fitted to all spaxels
    at a wavelength), because a variance that contains the noise of its own pixel draws the flux down (Horne 1986).
    The error is the propagated one: what other light takes from the certainty of the source's is in it.
    """
    spaxels = cube.spaxels
    near = np.hypot(spaxels.x_arcsec - psf.x_arcsec, spaxels.y_arcsec - psf.y_arcsec) < radius_arcsec
    shape = _image(
        psf,
        spaxels.part(near),
        cell_vertices(spaxels),
        cell_area(spaxels),
        cube.wavelength,
        refraction.east,
        refraction.north,
    )
    sky = sky_terms(spaxels.part(near), psf, len(cube.wavelength))
    design = np.concatenate([shape[..., None], sky, *(other[:, near, None] for other in others)], axis=-1)
    flux = cube.flux[:, near].astype(float)
    observed = cube.variance[:, near].astype(float)
    good = (cube.mask[:, near] == 0) & np.isfinite(flux) & (observed > 0)
    flux, observed = np.nan_to_num(flux), np.nan_to_num(observed, nan=1.0)
    variance = np.where(good, np.median(np.where(good, observed, np.nan_to_num(observed)), axis=1)[:, None], 1.0)
    strength = np.zeros((len(flux), design.shape[-1]))
    for _ in range(rounds):
        weight = np.where(good, 1.0 / np.maximum(variance, 1e-12), 0.0)
        strength, _ = solve_rows(design, flux, weight)
        model = np.einsum("wsi,wi->ws", design, strength)
        variance = variance_law(model, observed, good)
        bright = np.abs(model - np.einsum("wsi,wi->ws", sky, strength[:, SKY]))
        good &= np.abs(flux - model) < 5.0 * np.sqrt(variance) + 0.1 * bright
        good &= observed < MAX_NOISIER * variance
    model = np.einsum("wsi,wi->ws", design, strength)
    residual = flux - model
    bright = np.abs(model - np.einsum("wsi,wi->ws", sky, strength[:, SKY]))
    count = good.sum(axis=1)
    weight = np.where(good, 1.0 / variance, 0.0)
    _, covariance = solve_rows(design, flux, weight)
    # The shape's own error shows in the residuals of a bright source but averages out over its spaxels: not counted.
    pattern = np.where(good, weight * residual**2 / (1 + weight * (0.03 * bright) ** 2), 0.0)
    chi2 = pattern.sum(axis=1) / np.maximum(count - design.shape[-1], 1)
    captured = np.where(good, shape, 0.0).sum(axis=1) / np.maximum(shape.sum(axis=1), 1e-12)
    poor = (count < 10) | (captured < 0.5) | saturated(cube, near, shape)
    return PointSpectrum(
        flux=np.where(poor, np.nan, strength[:, 0]),
        error=np.where(poor, np.nan, np.sqrt(covariance[:, 0, 0])),
        sky=np.where(poor, np.nan, strength[:, 1] / cell_area(spaxels)),
        residual_chi2=chi2,
        left=(spread_over(residual, near, good),),
    )


def saturated(cube: Cube, near: NDArray[np.bool_], shape: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Wavelengths at which too much of a source's image, (n_wave, n_near), falls on saturated samples: (n_wave,)."""
    lost = np.where((cube.mask[:, near] & np.uint8(Mask.SATURATED)) != 0, shape, 0.0).sum(axis=1)
    return np.asarray(lost > MAX_SATURATED * np.maximum(shape.sum(axis=1), 1e-12))


def spread_over(values: NDArray[np.floating], near: NDArray[np.bool_], good: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Values (n_wave, n_near) of some spaxels as (n_wave, n_spaxel); NaN in the others and where they are not good."""
    made = np.full((len(values), len(near)), np.nan, np.float32)
    made[:, near] = np.where(good, values, np.nan)
    return made


def sky_terms(spaxels: Spaxels, psf: Psf, n_wave: int) -> NDArray[np.floating]:
    """(n_wave, n_spaxel, 3) level of the sky at the source, and its tilt: no flat field is even over ten arcsec."""
    ones = np.ones(len(spaxels.ident))
    dx, dy = ((spaxels.x_arcsec - psf.x_arcsec) / 10.0, (spaxels.y_arcsec - psf.y_arcsec) / 10.0)
    return np.broadcast_to(np.stack([ones, dx, dy], axis=-1), (n_wave, len(ones), 3))


def solve_rows(design: NDArray[Any], flux: NDArray[Any], weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weighted linear least squares, row by row.

    Parameters
    ----------
    design : (n_row, n_sample, n_term)
    flux, weight : (n_row, n_sample)

    Returns
    -------
    solution : (n_row, n_term)
    covariance : (n_row, n_term, n_term)
    """
    weighted = design * weight[..., None]
    normal = np.swapaxes(weighted, 1, 2) @ design
    diagonal = np.sqrt(np.maximum(np.einsum("wii->wi", normal), 1e-40))
    # terms of like size, and a trace of ridge: a row without data gives zeros with an endless error, not an exception
    scale = diagonal[:, :, None] * diagonal[:, None, :]
    inverse = np.linalg.inv(normal / scale + 1e-12 * np.eye(design.shape[-1])) / scale
    return np.einsum("wij,wj->wi", inverse, np.einsum("wsi,ws->wi", weighted, flux)), inverse


def variance_law(flux: NDArray[Any], variance: NDArray[Any], good: NDArray[Any]) -> NDArray[np.floating]:
    """Variance that the light of a model should have: a straight line against flux over the spaxels of each wavelength.

    Parameters
    ----------
    flux : (n_wave, n_spaxel), of a model: noise in it would flatten the line
    variance : (n_wave, n_spaxel)
    good : (n_wave, n_spaxel) bool

    Returns
    -------
    (n_wave, n_spaxel), on the line, at least a twentieth of what is typical of the wavelength

    Notes
    -----
    The weights come from the line itself, not from the single variances: those scatter with the phase of a bin against
    the columns, and weighting by them would favour the small ones. Spaxels at the rim of the array, whose traces are
    cut, may be a thousand times noisier than the rest; they stand `MAX_NOISIER` above the line and do not bend it.
    """
    typical = np.maximum(masked_median(variance, good, axis=1), 1e-12)[:, None]
    expected = np.broadcast_to(typical, flux.shape)
    for _ in range(4):
        w = (good & (variance < MAX_NOISIER * expected)) / expected**2
        s0, s1, s2 = w.sum(axis=1), (w * flux).sum(axis=1), (w * flux**2).sum(axis=1)
        t0, t1 = (w * variance).sum(axis=1), (w * flux * variance).sum(axis=1)
        determinant = s0 * s2 - s1**2
        sure = determinant > 1e-9 * np.maximum(s0 * s2, 1e-300)
        slope = np.where(sure, (s0 * t1 - s1 * t0) / np.where(sure, determinant, 1.0), 0.0)
        slope = np.maximum(slope, 0.0)
        intercept = np.where(s0 > 0, (t0 - slope * s1) / np.where(s0 > 0, s0, 1.0), typical[:, 0])
        line = intercept[:, None] + slope[:, None] * np.maximum(flux, 0.0)
        expected = np.maximum(line, 0.05 * typical)
    return expected
