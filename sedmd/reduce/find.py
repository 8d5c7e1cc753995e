"""Is there one clear object in the field, and where?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sedmd.reduce.containers import Cube, Spaxels
from sedmd.reduce.psf import (
    DEFAULT_BETA,
    PSF_REFERENCE,
    Bands,
    Psf,
    Refraction,
    amplitude_and_level,
    condense,
    fit_psf,
    image,
)

#: Edges of the bands in which a source is looked for [Angstrom]; between strong sky lines and telluric bands.
BAND_EDGES = np.array([4200.0, 4800.0, 5500.0, 6250.0, 6850.0, 7550.0, 8250.0])

#: Spaxels this near to the rim of the array are searched only if nothing else is found [arcsec].
RIM_ARCSEC = 1.2
#: Light farther than this from a place does not count for it when sources are looked for [arcsec].
KERNEL_ARCSEC = 3.0
#: Significance from which the shape of the image is fitted, not only its width: below, the shape is noise.
BRIGHT = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source in the field.

    Attributes
    ----------
    psf : Psf
    significance : detection in units of the noise, all bands together
    chi2 : reduced chi-square of the image fit
    position_error : arcsec
    edge_arcsec : distance of the nearest edge of the array
    brightness : mean flux density over the bands, unit of the cube
    """

    psf: Psf
    significance: float
    brightness: float
    chi2: float
    position_error: float
    edge_arcsec: float


def find_sources(cube: Cube, refraction: Refraction, *, max_sources: int = 3, threshold: float = 6.0) -> list[Source]:
    """Find point sources, the brightest first.

    Parameters
    ----------
    cube : Cube
    refraction : Refraction of the exposure on the cube's grid
    max_sources : stop after so many
    threshold : significance below which a peak is noise

    Returns
    -------
    list of Source

    Notes
    -----
    A matched filter: the image of a source of typical seeing is slid over all spaxels in all bands together, with the
    sky level of each band free; the best place is then fitted, taken off, and the search repeated. Spaxels at the rim
    of the array, which catch part of their light only, are searched last and only if nothing else was found.
    """
    bands = condense(cube, refraction, BAND_EDGES)
    spaxels = cube.spaxels
    flux = bands.flux.copy()
    noise = _sky_noise(flux, bands.variance)
    sources: list[Source] = []
    inner = _rim_distance(spaxels) > RIM_ARCSEC
    for _ in range(max_sources):
        score = _scores(replace(bands, flux=flux, variance=noise), spaxels)
        index = int(np.argmax(np.where(inner, score, -np.inf)))
        if score[index] < threshold and not sources:
            index = int(np.argmax(score))
        significance = float(score[index])
        if significance < threshold:
            break
        start = Psf(x_arcsec=float(spaxels.x_arcsec[index]), y_arcsec=float(spaxels.y_arcsec[index]), fwhm_arcsec=2.0)
        fit_bands = replace(bands, flux=flux)
        psf, chi2, error = fit_psf(fit_bands, spaxels, start, free_shape=False)
        if significance > BRIGHT:
            psf, chi2, error = fit_psf(fit_bands, spaxels, psf, free_shape=True)
        shape = image(psf, spaxels, bands.wavelength, bands.east, bands.north)
        near = np.hypot(spaxels.x_arcsec - psf.x_arcsec, spaxels.y_arcsec - psf.y_arcsec) < 7.0
        weight = np.where(np.isfinite(noise) & (noise > 0), 1.0 / np.maximum(noise, 1e-300), 0.0)
        amplitude, _ = amplitude_and_level(shape[:, near], flux[:, near], weight[:, near])
        sources.append(
            Source(
                psf=psf,
                significance=significance,
                brightness=float(np.mean(amplitude)),
                chi2=chi2,
                position_error=error,
                edge_arcsec=edge_distance(spaxels, psf.x_arcsec, psf.y_arcsec),
            )
        )
        flux = flux - amplitude[:, None] * shape
        # What is left under a bright source is the error of its shape, not another source.
        noise = noise + (0.1 * amplitude[:, None] * shape) ** 2
    return sources


def clear_object(sources: list[Source], *, standard: bool = False) -> tuple[Source | None, str]:
    """The one object that may be extracted without asking, or the reason to ask an observer.

    Parameters
    ----------
    sources : from `find_sources`, brightest first
    standard : a standard star is always the brightest source, and may have neighbours

    Returns
    -------
    source : Source, or None
    reason : empty, or what an observer should look at
    """
    if not sources:
        return None, "no object stands out from the sky"
    first = sources[0]
    where = f"at ({first.psf.x_arcsec:+.1f}, {first.psf.y_arcsec:+.1f}) arcsec"
    if first.edge_arcsec < 1.0 * first.psf.fwhm_arcsec:
        return None, f"the brightest object, {where}, is cut by the edge of the field"
    if first.significance < 12.0 and not standard:
        return None, f"the brightest object, {where}, is faint ({first.significance:.0f} sigma in the broad bands)"
    if standard:
        return first, ""
    # A companion inside the wings is the error of the image's shape as often as it is real: judge it by its share. What
    # glows beyond the rim is no object of this field.
    others = [
        s
        for s in sources[1:]
        if s.brightness > 0.2 * first.brightness and s.significance > 8.0 and s.edge_arcsec > RIM_ARCSEC
    ]
    if others:
        places = ", ".join(f"({s.psf.x_arcsec:+.1f}, {s.psf.y_arcsec:+.1f})" for s in others)
        return None, f"more than one object: {where} and at {places} arcsec"
    if first.psf.fwhm_arcsec > 4.0 or first.chi2 > 6.0:
        return None, (
            f"the object {where} is not a point source (FWHM {first.psf.fwhm_arcsec:.1f} arcsec, chi2 "
            f"{first.chi2:.1f}): a host galaxy, or a blend?"
        )
    return first, ""


def _rim(spaxels: Spaxels) -> NDArray[np.bool_]:
    """Spaxels with fewer than five neighbours."""
    nodes = {(int(q), int(r)) for q, r in zip(spaxels.q, spaxels.r, strict=True)}
    steps = ((1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1))
    return np.array(
        [
            sum((int(q) + a, int(r) + b) in nodes for a, b in steps) < 5
            for q, r in zip(spaxels.q, spaxels.r, strict=True)
        ]
    )


def _rim_distance(spaxels: Spaxels) -> NDArray[np.floating]:
    """Distance of each spaxel from the nearest one at the rim, arcsec."""
    rim = _rim(spaxels)
    places = np.column_stack([spaxels.x_arcsec, spaxels.y_arcsec])
    return np.asarray(cKDTree(places[rim]).query(places)[0]) if rim.any() else np.full(len(places), np.inf)


def edge_distance(spaxels: Spaxels, x_arcsec: float, y_arcsec: float) -> float:
    """Distance from a place to the nearest missing neighbour of the array, arcsec; negative outside the array."""
    rim = _rim(spaxels)
    distance = np.hypot(spaxels.x_arcsec - x_arcsec, spaxels.y_arcsec - y_arcsec)
    inside = distance.min() < 0.7
    gap = float(distance[rim].min()) if rim.any() else float("inf")
    return gap if inside else -gap


def _sky_noise(flux: NDArray, variance: NDArray) -> NDArray[np.floating]:
    """Variance of each spaxel in each band, at least what the quiet part of the field really scatters by."""
    noise = variance.copy()
    for band in range(len(flux)):
        ok = np.isfinite(variance[band])
        middle = np.median(flux[band][ok])
        low = flux[band][ok] - middle
        real = 1.4826 * np.median(np.abs(low[low < 0])) if (low < 0).any() else 0.0
        expected = np.median(np.sqrt(variance[band][ok]))
        noise[band] *= max(1.0, (real / expected) ** 2 if expected > 0 else 1.0)
    return noise


def _scores(bands: Bands, spaxels: Spaxels) -> NDArray[np.floating]:
    """Significance of a source of 2 arcsec FWHM at each spaxel."""
    level = np.array(
        [np.median(f[np.isfinite(v)]) if np.isfinite(v).any() else 0.0 for f, v in zip(bands.flux, bands.variance)]
    )
    signal = np.where(np.isfinite(bands.variance), bands.flux - level[:, None], 0.0)
    weight = np.where(np.isfinite(bands.variance), 1.0 / bands.variance, 0.0)
    x, y = spaxels.x_arcsec, spaxels.y_arcsec
    alpha = 2.0 / (2 * np.sqrt(2 ** (1 / DEFAULT_BETA) - 1))
    reach = KERNEL_ARCSEC + float(np.hypot(bands.east, bands.north).max())
    places = np.column_stack([x, y])
    near = cKDTree(places).sparse_distance_matrix(cKDTree(places), reach, output_type="coo_matrix").tocsr()
    near.sort_indices()
    at = np.repeat(np.arange(len(x)), np.diff(near.indptr))
    total, norm = np.zeros(x.size), np.zeros(x.size)
    for b in range(len(bands.wavelength)):
        width = alpha * (bands.wavelength[b] / PSF_REFERENCE) ** -0.2
        dx = x[near.indices] - x[at] - bands.east[b]
        dy = y[near.indices] - y[at] - bands.north[b]
        r2 = dx * dx + dy * dy
        kernel = np.where(r2 > KERNEL_ARCSEC**2, 0.0, (1 + r2 / width**2) ** -DEFAULT_BETA)
        total += np.bincount(at, kernel * (weight[b] * signal[b])[near.indices], len(x))
        norm += np.bincount(at, kernel**2 * weight[b][near.indices], len(x))
    # Half an aperture at the edge collects little and says little: it must not win by its small norm.
    return np.where(norm > 0.3 * np.median(norm), total / np.sqrt(np.maximum(norm, 1e-300)), -np.inf)
