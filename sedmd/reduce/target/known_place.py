"""A target at a place that is known beforehand, which the search took for a part of a brighter object beside it.

The search fits one source after the other, each alone: two that are nearer than twice the seeing come out as one
between them, and what that leaves on either side. Where stars around the target tell where it is, a source is fitted
there together with the object beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.target.find import Source, edge_distance, find_in_bands, without
from sedmd.reduce.target.host import RADIUS_ARCSEC, Host, fit_host, together
from sedmd.reduce.target.psf import SHAPE_ERROR, Bands, Psf, image, sky_terms, solve_rows
from sedmd.reduce.target.seeing import Seeing
from sedmd.reduce.target.target import in_the_wings

#: Middles of objects farther than this from the place do not hide a target there [arcsec].
REACH_ARCSEC = 6.0
#: Significance from which a source beside the object is one: of the search, and a reserve for what no model of a bright
#: object accounts for.
LEAST_SIGNIFICANCE = 8.0
#: Steps in which a place is searched [arcsec].
STEP_ARCSEC = 0.6
#: Light of the object, as a share of it, that is no source of its own: its model is not better than that.
LEAST_SHARE = 0.08


def with_hidden(
    bands: Bands,
    spaxels: Spaxels,
    found: Sequence[Source],
    at: tuple[float, float],
    *,
    reach_arcsec: float,
    seeing: Seeing,
) -> list[Source]:
    """The sources of an exposure, with one at a known place that a brighter object beside it hid.

    Parameters
    ----------
    bands : Bands
    spaxels : Spaxels
    found : sources of the exposure, the brightest first
    at : where the target is [arcsec]
    reach_arcsec : how far it may be from there
    seeing : of a star

    Returns
    -------
    list of Source
        Those that were found, where one lies within reach, where nothing stands beside the place, or where nothing is
        there; else target, the object beside it, and what is found when both are subtracted; the brightest first.
    """
    # what a bright image left there is not what stands there
    real = [one for one in found if not any(in_the_wings(one, other) for other in found)]
    if edge_distance(spaxels, *at) <= 0 or any(_apart(one.psf, at) <= reach_arcsec for one in real):
        return list(found)
    near = [one for one in real if _apart(one.psf, at) < REACH_ARCSEC]
    if not near:
        return list(found)
    beside = max(near, key=lambda one: one.brightness)
    fit = _both(bands, spaxels, found, beside, at, reach_arcsec=reach_arcsec, seeing=seeing)
    target, other = both = _fitted(bands, spaxels, [fit.star, fit.image], at)[:2]
    hidden = fit.significance >= LEAST_SIGNIFICANCE and target.brightness >= LEAST_SHARE * other.brightness
    if not hidden or _apart(fit.star, at) > reach_arcsec:
        return list(found)
    rest = find_in_bands(without(bands, spaxels, both), spaxels)
    return sorted([*both, *rest], key=lambda one: -one.brightness)


def limit_at(
    bands: Bands,
    spaxels: Spaxels,
    found: Sequence[Source],
    at: tuple[float, float],
    *,
    reach_arcsec: float,
    seeing: Seeing,
) -> tuple[Source, float]:
    """What a known place holds where no source was found: a star's image there, and the most significant one near it.

    Parameters
    ----------
    bands, spaxels, found, at, reach_arcsec, seeing : as for `with_hidden`

    Returns
    -------
    Source
        At the place itself; its light may be negative.
    float
        Significance of the brightest point within reach, the light of the sources farther off fitted with it.
    """
    # what was found within reach and is no candidate, in one exposure of a pair only for example, is there all the same
    beside = [one.psf for one in found if reach_arcsec < _apart(one.psf, at) < RADIUS_ARCSEC]
    steps = np.arange(-reach_arcsec, reach_arcsec + 0.1, STEP_ARCSEC)
    inside = [(dx, dy) for dx in steps for dy in steps if 0 < math.hypot(dx, dy) <= reach_arcsec]
    points = [at, *((at[0] + float(dx), at[1] + float(dy)) for dx, dy in inside)]
    tried = [
        _fitted(bands, spaxels, [Psf(x_arcsec=x, y_arcsec=y, fwhm_arcsec=seeing.fwhm_arcsec), *beside], at)[0]
        for x, y in points
    ]
    return tried[0], max(one.significance for one in tried)


def _both(
    bands: Bands,
    spaxels: Spaxels,
    found: Sequence[Source],
    beside: Source,
    at: tuple[float, float],
    *,
    reach_arcsec: float,
    seeing: Seeing,
) -> Host:
    """A source at the place and the object beside it, fitted together."""
    far = [one for one in found if _apart(one.psf, at) >= REACH_ARCSEC]
    star = Psf(x_arcsec=at[0], y_arcsec=at[1], fwhm_arcsec=seeing.fwhm_arcsec)
    near = (beside.psf.x_arcsec, beside.psf.y_arcsec)
    return fit_host(
        without(bands, spaxels, far), spaxels, star, near=near, about=at, seeing=seeing, reach_arcsec=reach_arcsec
    )


def _fitted(bands: Bands, spaxels: Spaxels, psfs: Sequence[Psf], at: tuple[float, float]) -> list[Source]:
    """Images as sources: their light is solved for together, with level and tilt of the sky about a place."""
    near = np.hypot(spaxels.x_arcsec - at[0], spaxels.y_arcsec - at[1]) < RADIUS_ARCSEC
    part = spaxels.part(near)
    shapes = [image(psf, part, bands.wavelength, bands.east, bands.north) for psf in psfs]
    terms = np.concatenate(
        [*(shape[..., None] for shape in shapes), sky_terms(part, psfs[0], len(bands.wavelength))], axis=-1
    )
    flux, variance = bands.flux[:, near], bands.variance[:, near]
    usable = np.isfinite(variance) & (variance > 0)
    weight = np.where(usable, 1.0 / np.where(usable, variance, 1.0), 0.0)
    strength, covariance = solve_rows(terms, flux, weight)
    model = np.einsum("wsi,wi->ws", terms, strength)
    # the model of a bright image is not known better than a share of it
    light = model - np.einsum("wsi,wi->ws", terms[..., len(psfs) :], strength[:, len(psfs) :])
    allowed = np.where(usable, variance, 1.0) + (SHAPE_ERROR * light) ** 2
    freedom = max(int(usable.sum()) - terms.shape[-1] * len(flux), 1)
    chi2 = float(np.sum(np.where(usable, (flux - model) ** 2 / allowed, 0.0)) / freedom)
    made = []
    for term, psf in enumerate(psfs):
        amplitude = strength[:, term]
        error = np.sqrt(covariance[:, term, term] * max(chi2, 1.0))
        significance = together(amplitude, error)
        made.append(
            Source(
                psf=psf,
                significance=significance,
                amplitude=amplitude,
                amplitude_error=error,
                chi2=chi2,
                # of the middle of a Gaussian image, photons only
                position_error=psf.fwhm_arcsec / 2.355 / max(significance, 1.0),
                edge_arcsec=edge_distance(spaxels, psf.x_arcsec, psf.y_arcsec),
            )
        )
    return made


def _apart(psf: Psf, at: tuple[float, float]) -> float:
    return math.hypot(psf.x_arcsec - at[0], psf.y_arcsec - at[1])
