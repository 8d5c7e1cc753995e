"""Light around a point source that is not its own: a host galaxy, fitted together with the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, least_squares

from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.target.psf import SHAPE_ERROR, Bands, Psf, image, sky_terms, solve_rows
from sedmd.reduce.target.seeing import STAR_ELLIPTICITY, UNKNOWN, USUAL_BETA, Seeing, Shape

#: A fit that wanders farther from where it begins has lost its source [arcsec].
REACH_ARCSEC = 2.5
#: Spaxels this near to the source take part [arcsec].
RADIUS_ARCSEC = 8.0
#: Parameters of a star's image beside its place and FWHM. What is known of each before the fit (`Seeing`) has a say:
#: wings that bend to the data at will would take the host's place.
STAR = ("beta", "e1", "e2")
#: A host on the star itself is wider than the seeing by this much in quadrature, or it is the star's wings [arcsec].
LEAST_WIDTH_ARCSEC = 1.5
#: Farther from the star than this it may be as sharp as a star [arcsec].
ON_THE_STAR_ARCSEC = 2.0
#: FWHM that no source exceeds [arcsec].
WIDEST_ARCSEC = 6.0
#: Gain in reduced chi-square from which there is a host.
LEAST_GAIN = 40.0
#: A host on the star itself, which could be the star's own shape, must gain this share of the chi-square as well.
LEAST_GAIN_ON_THE_STAR = 0.15
#: Significance of the host beside the star.
LEAST_SIGNIFICANCE = 5.0
#: A host is wider than the seeing by this much in quadrature; else it is another star [arcsec].
EXTENDED_ARCSEC = 1.0
#: When a fit has converged: to a thousandth of what a chi-square of 40 decides.
ENOUGH = {"ftol": 1e-5, "xtol": 1e-4, "gtol": 1e-6}
#: Parameters of a star: place, FWHM, Moffat exponent, ellipticity; and the size of a step of each in the fits.
N_STAR, STEPS = 6, (0.3, 0.3, 0.3, 0.5, 0.1, 0.1)
#: (point source, spaxels) -> shape of the host in each band, (n_bands, n_spaxel).
ShapeOf = Callable[[Psf, Spaxels], NDArray[Any]]
#: Steps in each axis among which a point source is looked for beside a known host [arcsec].
SEARCH_ARCSEC = (-1.6, -0.8, 0.0, 0.8, 1.6)
#: Step of the places at which the target is tried in pictures whose middle is not sure [arcsec].
OFFSET_STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A point source and the extended light around it.

    Attributes
    ----------
    alone : Shape of the image if there is one source only, star or galaxy
    star : Psf of the point source, fitted together with the host
    image : Psf, the host's image: an elliptical Moffat profile represents any galaxy blurred by the seeing
    share : host light that an extraction without it would count as the source's, in units of the source's light
    significance, host_significance : of the point source beside the host, and of the host
    gain : chi-square by which the host improves the fit of the point source alone
    cost : chi-square of both together
    chi2 : the same, reduced
    separation_arcsec : between the two
    """

    alone: Shape
    star: Psf
    image: Psf
    share: float
    significance: float
    host_significance: float
    gain: float
    cost: float
    chi2: float

    @property
    def separation_arcsec(self) -> float:
        return float(np.hypot(self.image.x_arcsec - self.star.x_arcsec, self.image.y_arcsec - self.star.y_arcsec))

    @property
    def extended(self) -> bool:
        """It is wider than a star, so that it is no transient."""
        own = self.image.fwhm_arcsec**2 - self.star.fwhm_arcsec**2
        return bool(own > EXTENDED_ARCSEC**2)

    @property
    def clear(self) -> bool:
        """There is other light than the star's."""
        gain = LEAST_GAIN * max(self.chi2, 1.0)
        if self.separation_arcsec < ON_THE_STAR_ARCSEC:
            gain = max(gain, LEAST_GAIN_ON_THE_STAR * self.cost)
        return self.gain > gain and self.host_significance > LEAST_SIGNIFICANCE


def fit_host(
    bands: Bands,
    spaxels: Spaxels,
    psf: Psf,
    *,
    near: tuple[float, float] | None = None,
    about: tuple[float, float] | None = None,
    seeing: Seeing | None = None,
    reach_arcsec: float = REACH_ARCSEC,
) -> Host:
    """Fit a point source with extended light around it, all bands together, each with strengths of its own.

    Parameters
    ----------
    bands : Bands
    spaxels : Spaxels
    psf : Psf
        The point source as fitted alone.
    near : (x, y), optional
        Where the host may lie, arcsec; the source's own place otherwise.
    about : (x, y), optional
        Middle of the spaxels that take part; the source's own place otherwise. Fits about one place can be compared.
    seeing : Seeing, optional
        What is known of a star's FWHM; by default what is usual.
    reach_arcsec : float
        In each axis the point source is at most so far from where it begins.

    Returns
    -------
    Host
        Also where there is none: then `gain` is small, or `share` is.

    Notes
    -----
    Variable projection (Golub & Pereyra 1973): strengths and sky levels are linear and solved for at every step. The
    host's width is the seeing and its own in quadrature, so that it is never sharper than a star.
    """
    problem = _problem(bands, spaxels, psf, about=about, seeing=seeing or Seeing())
    start = _Start.of(psf, near, reach_arcsec)
    alone, both = _fit_alone(problem, start), _fit_both(problem, start)
    return _host(problem, alone, both)


def fit_beside(
    host: Host,
    bands: Bands,
    spaxels: Spaxels,
    shape_of: ShapeOf,
    *,
    search: bool = False,
    about: tuple[float, float] | None = None,
    seeing: Seeing | None = None,
) -> Host:
    """Fit the point source once more, beside a host whose shape is known from images of the field.

    Parameters
    ----------
    host : Host
        As `fit_host` found it; where the fit begins.
    bands : Bands
    spaxels : Spaxels
    shape_of : callable
        (point source, spaxels) -> the host's shape in each band, (n_bands, n_spaxel), when the source is there.
    search : bool
        Begin where the fit is best among places around, not where `host` has the source.
    about, seeing : as for `fit_host`

    Returns
    -------
    Host
        With the star, its share, both significances and the chi-square of this fit.
    """
    problem = _problem(bands, spaxels, host.star, about=about, seeing=seeing or Seeing())
    begin = _Start.of(host.star, None)
    begin = _Start(star=[*begin.star[:3], *(host.star.beta, host.star.e1, host.star.e2)], host=begin.host)
    low, high = (np.array(one) for one in begin.bounds)

    def terms(p: NDArray[Any]) -> NDArray[Any]:
        star = problem.star_of(p)
        return problem.design(problem.shape(star), shape_of(star, problem.part))

    def misfit(p: NDArray[Any]) -> NDArray[Any]:
        return problem.residuals(p, terms(p))

    starts = [np.clip(begin.star, low, high)]
    if search:
        # a source and its host may have been found as one object between the two
        for dx, dy in product(SEARCH_ARCSEC, repeat=2):
            shape = (problem.prior[0], *problem.prior[1:])
            starts.append(np.array([begin.star[0] + dx, begin.star[1] + dy, *shape]))
    first = min(starts, key=lambda p: float((misfit(p) ** 2).sum())) if search else starts[0]
    fit = least_squares(misfit, first, bounds=(low, high), x_scale=STEPS, max_nfev=30, **ENOUGH)
    star, usable, n_bands = problem.star_of(fit.x), problem.usable, len(problem.flux)
    chi2 = 2 * fit.cost / max(int(usable.sum()) - N_STAR - 5 * n_bands, 1)
    solution, covariance = solve_rows(terms(fit.x), problem.flux, problem.weight)
    return replace(
        host,
        star=star,
        share=_share(problem.shape(star), shape_of(star, problem.part), solution, usable),
        significance=_significance(solution[:, 0], covariance[:, 0, 0] * max(chi2, 1.0)),
        host_significance=_significance(solution[:, 1], covariance[:, 1, 1] * max(chi2, 1.0)),
        gain=float(host.gain + host.cost - 2 * fit.cost),
        cost=float(2 * fit.cost),
        chi2=float(chi2),
    )


def find_offset(
    host: Host,
    bands: Bands,
    spaxels: Spaxels,
    shape_at: Callable[[Psf, Spaxels, float, float], NDArray[Any]],
    *,
    reach_arcsec: float,
    about: tuple[float, float] | None = None,
    seeing: Seeing | None = None,
) -> tuple[float, float]:
    """Where in pictures of its host the target is, by the host's own light in this exposure.

    Parameters
    ----------
    host, bands, spaxels, about, seeing : as for `fit_beside`
    shape_at : callable
        (point source, spaxels, x, y) -> the host's shape in each band when the source is at x, y of the pictures.
    reach_arcsec : how far from their middle it may be

    Returns
    -------
    (x, y) arcsec
    """
    problem = _problem(bands, spaxels, host.star, about=about, seeing=seeing or Seeing())
    begin = _Start.of(host.star, None)
    low, high = begin.bounds
    reach = [reach_arcsec, reach_arcsec]

    def misfit(p: NDArray[Any]) -> NDArray[Any]:
        star = problem.star_of(p[:N_STAR])
        shape = shape_at(star, problem.part, float(p[-2]), float(p[-1]))
        return problem.residuals(p[:N_STAR], problem.design(problem.shape(star), shape))

    star = [*begin.star[:2], problem.prior[0], *problem.prior[1:]]
    steps = np.arange(-reach_arcsec, reach_arcsec + OFFSET_STEP / 2, OFFSET_STEP)
    starts = sorted(
        ([*star, dx, dy] for dx, dy in product(steps, repeat=2)), key=lambda p: float((misfit(np.array(p)) ** 2).sum())
    )
    fits = [
        least_squares(
            misfit,
            np.clip(one, [*low, -reach[0], -reach[1]], [*high, *reach]),
            bounds=([*low, -reach[0], -reach[1]], [*high, *reach]),
            x_scale=[*STEPS, 0.3, 0.3],
            max_nfev=30,
            **ENOUGH,
        )
        for one in starts[:2]
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    return float(best.x[-2]), float(best.x[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """The samples around a source and what is known of a star there.

    Attributes
    ----------
    bands : Bands, for wavelengths and refraction
    part : the spaxels that take part
    psf : the point source as fitted alone
    flux, weight, root : (n_bands, n_part), the weight 0 where a sample is not usable, and its square root
    usable : (n_bands, n_part)
    sky : (n_bands, n_part, 3) terms of the sky
    prior, spread : (4,) FWHM, Moffat exponent and ellipticity of a star, and the spread of each
    """

    bands: Bands
    part: Spaxels
    psf: Psf
    flux: NDArray[Any]
    usable: NDArray[np.bool_]
    weight: NDArray[Any]
    root: NDArray[Any]
    sky: NDArray[Any]
    prior: NDArray[Any]
    spread: NDArray[Any]

    def shape(self, one: Psf) -> NDArray[Any]:
        """Image in each band, (n_bands, n_part)."""
        return image(one, self.part, self.bands.wavelength, self.bands.east, self.bands.north)

    def design(self, *shapes: NDArray[Any]) -> NDArray[Any]:
        """Terms of the linear part: images, then sky."""
        return _design(self.sky, *shapes)

    def star_of(self, p: NDArray[Any]) -> Psf:
        """The point source of a vector of parameters."""
        names = ("x_arcsec", "y_arcsec", "fwhm_arcsec", *STAR)
        return replace(self.psf, **{name: float(value) for name, value in zip(names, p, strict=False)})

    def host_of(self, p: NDArray[Any]) -> Psf:
        """The host of a vector of parameters; its width is the star's and its own in quadrature."""
        x, y, own, e1, e2, wings = (float(v) for v in p[N_STAR:])
        width = float(np.hypot(p[2], own))
        return replace(self.psf, x_arcsec=x, y_arcsec=y, fwhm_arcsec=width, beta=wings, e1=e1, e2=e2)

    def misfit(self, p: NDArray[Any]) -> NDArray[Any]:
        """Residuals of star, or of star and host, in units of the noise, and deviations from the known shape."""
        design = self.design(self.shape(self.star_of(p)), *([self.shape(self.host_of(p))] if len(p) > N_STAR else []))
        return self.residuals(p, design)

    def residuals(self, p: NDArray[Any], design: NDArray[Any]) -> NDArray[Any]:
        """The same for any terms of the linear part."""
        solution, _ = solve_rows(design, self.flux, self.weight)
        residual = (self.flux - np.einsum("bsi,bi->bs", design, solution)) * self.root
        return np.append(np.clip(residual, -8.0, 8.0).ravel(), (p[2:N_STAR] - self.prior) / self.spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """Where the fits begin: the star's parameters, the place of the host; how far the star may go from there."""

    star: list[float]
    host: tuple[float, float]
    reach: float = REACH_ARCSEC

    @classmethod
    def of(cls, psf: Psf, near: tuple[float, float] | None, reach: float = REACH_ARCSEC) -> Self:
        place = psf.x_arcsec, psf.y_arcsec
        width = float(np.clip(psf.fwhm_arcsec, 1.0, 3.2))
        return cls(star=[*place, width, USUAL_BETA, 0.0, 0.0], host=place if near is None else near, reach=reach)

    @property
    def bounds(self) -> tuple[list[float], list[float]]:
        """Of the star's parameters."""
        (x, y), reach = self.star[:2], self.reach
        return [x - reach, y - reach, 0.8, 1.8, -0.5, -0.5], [x + reach, y + reach, 3.6, 6.0, 0.5, 0.5]


def _problem(
    bands: Bands, spaxels: Spaxels, psf: Psf, *, about: tuple[float, float] | None, seeing: Seeing
) -> _Problem:
    """The samples that take part, weighted by noise and by how well a model of an image can be known."""
    middle = (psf.x_arcsec, psf.y_arcsec) if about is None else about
    around = np.hypot(spaxels.x_arcsec - middle[0], spaxels.y_arcsec - middle[1]) < RADIUS_ARCSEC
    part = spaxels.part(around)
    flux, variance = bands.flux[:, around], bands.variance[:, around]
    usable = np.isfinite(variance) & (variance > 0)
    sky = sky_terms(part, psf, len(flux))
    alone = image(psf, part, bands.wavelength, bands.east, bands.north)
    noise = np.where(usable, variance, 1.0)
    strength, _ = solve_rows(_design(sky, alone), flux, np.where(usable, 1.0 / noise, 0.0))
    allowed = noise + (SHAPE_ERROR * strength[:, :1] * alone) ** 2
    prior = np.array([seeing.fwhm_arcsec, seeing.beta, 0.0, 0.0])
    spread = np.array([seeing.spread_arcsec, seeing.beta_spread, STAR_ELLIPTICITY, STAR_ELLIPTICITY])
    weight = np.where(usable, 1.0 / allowed, 0.0)
    return _Problem(
        bands=bands,
        part=part,
        psf=psf,
        flux=flux,
        usable=usable,
        weight=weight,
        root=np.sqrt(weight),
        sky=sky,
        prior=prior,
        spread=spread,
    )


def _design(sky: NDArray[Any], *shapes: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([*(one[..., None] for one in shapes), sky], axis=-1)


def _fit_alone(problem: _Problem, start: _Start) -> OptimizeResult:
    """One source only: it may be a galaxy, and as wide as one."""
    low, high = start.bounds
    bounds = (low, [*high[:2], WIDEST_ARCSEC, *high[3:]])
    return least_squares(problem.misfit, start.star, bounds=bounds, x_scale=STEPS, **ENOUGH)


def _fit_both(problem: _Problem, start: _Start) -> OptimizeResult:
    """Star and host: not from where the star went alone, but from between itself and its host."""
    (low, high), (x, y), (hx, hy) = start.bounds, start.star[:2], start.host
    least = LEAST_WIDTH_ARCSEC if np.hypot(hx - x, hy - y) < ON_THE_STAR_ARCSEC else 0.0
    return least_squares(
        problem.misfit,
        [*start.star, hx + 0.1, hy + 0.1, 2.5, 0.0, 0.0, 2.5],
        bounds=([*low, hx - 4.0, hy - 4.0, least, -0.9, -0.9, 1.4], [*high, hx + 4.0, hy + 4.0, 12.0, 0.9, 0.9, 5.0]),
        x_scale=[*STEPS, 0.5, 0.5, 1.0, 0.2, 0.2, 0.5],
        max_nfev=60,
        **ENOUGH,
    )


def _host(problem: _Problem, alone: OptimizeResult, both: OptimizeResult) -> Host:
    """What the two fits tell of star and host."""
    usable, n_bands = problem.usable, len(problem.flux)
    star, host = problem.star_of(both.x), problem.host_of(both.x)
    star_shape, host_shape = problem.shape(star), problem.shape(host)
    solution, covariance = solve_rows(problem.design(star_shape, host_shape), problem.flux, problem.weight)
    chi2 = 2 * both.cost / max(int(usable.sum()) - 12 - 5 * n_bands, 1)
    freedom = max(int(usable.sum()) - N_STAR - 4 * n_bands, 1)
    return Host(
        alone=_shape(alone, problem.prior, problem.spread, max(2 * alone.cost / freedom, 1.0)),
        star=star,
        image=host,
        share=_share(star_shape, host_shape, solution, usable),
        significance=_significance(solution[:, 0], covariance[:, 0, 0] * max(chi2, 1.0)),
        host_significance=_significance(solution[:, 1], covariance[:, 1, 1] * max(chi2, 1.0)),
        gain=float(2 * (alone.cost - both.cost)),
        cost=float(2 * both.cost),
        chi2=float(chi2),
    )


def _shape(fit: OptimizeResult, prior: NDArray[Any], spread: NDArray[Any], chi2: float) -> Shape:
    """What the data say of the shape: the fit without what was known before it."""
    precision = 1.0 / np.maximum(np.diag(np.linalg.pinv(fit.jac.T @ fit.jac))[2:], 1e-300)
    own = precision - 1.0 / spread**2
    given = own > 1e-3 * precision
    value = np.where(given, (precision * fit.x[2:] - prior / spread**2) / np.where(given, own, 1.0), fit.x[2:])
    error = np.where(given, np.sqrt(chi2 / np.where(given, own, 1.0)), UNKNOWN)
    fwhm, _, e1, e2 = (float(one) for one in value)
    return Shape(fwhm_arcsec=fwhm, fwhm_error=float(error[0]), e1=e1, e2=e2, e_error=float(error[2:].max()))


def _significance(amplitude: NDArray[Any], variance: NDArray[Any]) -> float:
    return together(amplitude, np.sqrt(np.maximum(variance, 1e-300)))


def together(amplitude: NDArray[Any], error: NDArray[Any]) -> float:
    """Significance of all bands together, (n_band,) each; each tells for itself, and what is negative lowers it."""
    snr = amplitude / error
    return float(np.sum(snr * np.abs(snr)) / max(float(np.sqrt(np.sum(snr**2))), 1e-300))


def _share(star: NDArray[Any], host: NDArray[Any], solution: NDArray[Any], usable: NDArray[Any]) -> float:
    """What a fit of star and sky alone would take of the host, in units of the star, mean over the bands."""
    count = np.maximum(usable.sum(axis=1, keepdims=True), 1)

    def without_sky(shape: NDArray[Any]) -> NDArray[Any]:
        level = np.where(usable, shape, 0.0).sum(axis=1, keepdims=True) / count
        return np.where(usable, shape - level, 0.0)

    one, other = without_sky(star), without_sky(host)
    taken = (one * other).sum(axis=1) / np.maximum((one**2).sum(axis=1), 1e-300)
    light = float(np.mean(solution[:, 0]))
    return float(np.mean(taken * solution[:, 1])) / light if light > 0 else np.inf
