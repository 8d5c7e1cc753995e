"""Where the objects of a field are, and what their images look like."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from sedmd.reduce.numeric.containers import Cube, Spaxels
from sedmd.reduce.target.psf import (
    DEFAULT_BETA,
    PSF_REFERENCE,
    Bands,
    Psf,
    Refraction,
    condense,
    fit_psf,
    image,
    sky_terms,
    solve_rows,
)

#: Edges of the bands in which a source is looked for [Angstrom]; between strong sky lines and telluric bands.
BAND_EDGES = np.array([4200.0, 4800.0, 5500.0, 6250.0, 6850.0, 7550.0, 8250.0])

#: Spaxels this near to the rim of the array are searched only if nothing else is found [arcsec].
RIM_ARCSEC = 1.2
#: Light farther than this from a place does not count for it when sources are looked for [arcsec].
KERNEL_ARCSEC = 3.0
#: Over this distance the level of the sky is taken to be the same [arcsec].
BACKGROUND_ARCSEC = 5.5
#: Signal-to-noise ratio from which the shape of the image is fitted, not only its width, and the share of the
#: reduced chi-square that has to be left: below, the shape is noise.
BRIGHT, LEAST_FALL = 150.0, 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A source in the field.

    Attributes
    ----------
    psf : Psf
    significance : detection in units of the noise, all bands together
    chi2 : reduced chi-square of the image fit
    position_error : arcsec
    edge_arcsec : distance of the nearest edge of the array
    amplitude, amplitude_error : (n_band,) flux density and its error, unit of the cube
    """

    psf: Psf
    significance: float
    amplitude: NDArray[np.floating]
    amplitude_error: NDArray[np.floating]
    chi2: float
    position_error: float
    edge_arcsec: float

    @property
    def brightness(self) -> float:
        """Mean flux density over the bands, unit of the cube."""
        return float(np.mean(self.amplitude))


def find_sources(cube: Cube, refraction: Refraction, *, max_sources: int = 5, threshold: float = 6.0) -> list[Source]:
    """Find point sources in a cube: `find_in_bands` of its broad bands."""
    bands = condense(cube, refraction, BAND_EDGES)
    return find_in_bands(bands, cube.spaxels, max_sources=max_sources, threshold=threshold)


def find_in_bands(bands: Bands, spaxels: Spaxels, *, max_sources: int = 5, threshold: float = 6.0) -> list[Source]:
    """Find point sources, the brightest first.

    Parameters
    ----------
    bands : Bands
        Between the edges `BAND_EDGES`.
    spaxels : Spaxels
    max_sources : stop after so many
    threshold : significance below which a peak is noise

    Returns
    -------
    list of Source

    Notes
    -----
    A matched filter: the image of a source of typical seeing is slid over all spaxels in all bands together, with the
    sky level of each band free; the best place is then fitted, subtracted, and the search repeated. Spaxels at the rim
    of the array, which catch part of their light only, are searched last and only if nothing else was found.
    """
    if not np.isfinite(bands.variance).any():
        return []
    flux = bands.flux.copy()
    noise = _sky_noise(flux, bands.variance)
    sources: list[Source] = []
    inner = rim_distance(spaxels) > RIM_ARCSEC
    matched = _Filter.of(replace(bands, variance=noise), spaxels)
    for _ in range(max_sources):
        score = matched.scores(flux, noise)
        index = int(np.argmax(np.where(inner, score, -np.inf)))
        if score[index] < threshold and not sources:
            index = int(np.argmax(score))
        significance = float(score[index])
        if significance < threshold:
            break
        start = Psf(x_arcsec=float(spaxels.x_arcsec[index]), y_arcsec=float(spaxels.y_arcsec[index]), fwhm_arcsec=2.0)
        fit_bands = replace(bands, flux=flux)
        psf, chi2, error = fit_psf(fit_bands, spaxels, start, free_shape=False)
        shape = image(psf, spaxels, bands.wavelength, bands.east, bands.north)
        if _photon_snr(fit_bands, spaxels, psf, shape) > BRIGHT:
            shaped = fit_psf(fit_bands, spaxels, psf, free_shape=True)
            if shaped[1] < LEAST_FALL * chi2:  # else what does not fit is not its shape: a galaxy beside it, say
                psf, chi2, error = shaped
                shape = image(psf, spaxels, bands.wavelength, bands.east, bands.north)
        amplitude, amplitude_error = _light(replace(fit_bands, variance=noise), spaxels, psf, shape)
        sources.append(
            Source(
                psf=psf,
                significance=significance,
                amplitude=amplitude,
                amplitude_error=amplitude_error,
                chi2=chi2,
                position_error=error,
                edge_arcsec=edge_distance(spaxels, psf.x_arcsec, psf.y_arcsec),
            )
        )
        flux, noise = _taken_off(flux, noise, amplitude[:, None] * shape)
    return sources


def _light(bands: Bands, spaxels: Spaxels, psf: Psf, shape: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Flux density of a source in each band and its error, the level of the sky around it free."""
    near = np.hypot(spaxels.x_arcsec - psf.x_arcsec, spaxels.y_arcsec - psf.y_arcsec) < 7.0
    variance = bands.variance
    weight = np.where(np.isfinite(variance) & (variance > 0), 1.0 / np.maximum(variance, 1e-300), 0.0)
    design = np.concatenate([shape[:, near, None], sky_terms(spaxels.part(near), psf, len(variance))], axis=-1)
    strength, covariance = solve_rows(design, bands.flux[:, near], weight[:, near])
    return strength[:, 0], np.sqrt(covariance[:, 0, 0])


def _photon_snr(bands: Bands, spaxels: Spaxels, psf: Psf, shape: NDArray[Any]) -> float:
    """Signal-to-noise ratio of a source, all bands together; a star that lights the whole field scatters its scores."""
    amplitude, error = _light(bands, spaxels, psf, shape)
    return float(np.sqrt(np.sum((amplitude / error) ** 2)))


def without(bands: Bands, spaxels: Spaxels, sources: Iterable[Source]) -> Bands:
    """The bands with the light of some sources subtracted, and what that leaves uncertain added to the variance."""
    flux, variance = bands.flux, bands.variance
    for source in sources:
        shape = image(source.psf, spaxels, bands.wavelength, bands.east, bands.north)
        flux, variance = _taken_off(flux, variance, source.amplitude[:, None] * shape)
    return replace(bands, flux=flux, variance=variance)


def _taken_off(flux: NDArray[Any], variance: NDArray[Any], light: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """What is left under a bright source is the error of its shape, not another source."""
    return flux - light, variance + (0.1 * light) ** 2


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


def rim_distance(spaxels: Spaxels) -> NDArray[np.floating]:
    """Distance of each spaxel from the nearest one at the rim, (n,) arcsec; infinite where there is no rim."""
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


def _sky_noise(flux: NDArray[Any], variance: NDArray[Any]) -> NDArray[np.floating]:
    """Variance of each spaxel in each band, at least what the quiet part of the field really scatters by."""
    noise = variance.copy()
    for band in range(len(flux)):
        ok = np.isfinite(variance[band])
        if not ok.any():  # a band without a good sample has no noise to measure
            continue
        middle = np.median(flux[band][ok])
        low = flux[band][ok] - middle
        real = 1.4826 * np.median(np.abs(low[low < 0])) if (low < 0).any() else 0.0
        expected = np.median(np.sqrt(variance[band][ok]))
        noise[band] *= max(1.0, (real / expected) ** 2 if expected > 0 else 1.0)
    return noise


@dataclass(frozen=True, slots=True)
class _Filter:
    """Weights of the light around each spaxel by which a source of 2 arcsec FWHM stands out: a matrix per band."""

    kernels: tuple[csr_array, ...]
    squares: tuple[csr_array, ...]

    @classmethod
    def of(cls, bands: Bands, spaxels: Spaxels) -> _Filter:
        """The best weights for the noise of these bands, against the level of the sky around each spaxel."""
        weight = np.where(np.isfinite(bands.variance), 1.0 / bands.variance, 0.0)
        x, y = spaxels.x_arcsec, spaxels.y_arcsec
        alpha = 2.0 / (2 * np.sqrt(2 ** (1 / DEFAULT_BETA) - 1))
        reach = BACKGROUND_ARCSEC + float(np.hypot(bands.east, bands.north).max())
        tree = cKDTree(np.column_stack([x, y]))
        near = tree.sparse_distance_matrix(tree, reach, output_type="coo_matrix").tocsr()
        near.sort_indices()
        count, here = len(x), near.indices
        at = np.repeat(np.arange(count), np.diff(near.indptr))
        kernels, squares = [], []
        for b in range(len(bands.wavelength)):
            width = alpha * (bands.wavelength[b] / PSF_REFERENCE) ** -0.2
            dx = x[here] - x[at] - bands.east[b]
            dy = y[here] - y[at] - bands.north[b]
            r2 = dx * dx + dy * dy
            kernel = np.where(r2 > KERNEL_ARCSEC**2, 0.0, (1 + r2 / width**2) ** -DEFAULT_BETA)
            # without its mean it sees no level, and no tilt either where the spaxels lie around it on all sides
            inside = np.where(r2 > BACKGROUND_ARCSEC**2, 0.0, weight[b][here])
            mean = np.bincount(at, kernel * inside, count) / np.maximum(np.bincount(at, inside, count), 1e-300)
            kernel = (kernel - mean[at]) * inside
            kernels.append(csr_array((kernel, here, near.indptr), shape=(count, count)))
            squares.append(csr_array((kernel**2, here, near.indptr), shape=(count, count)))
        return cls(tuple(kernels), tuple(squares))

    def scores(self, flux: NDArray[np.floating], variance: NDArray[np.floating]) -> NDArray[np.floating]:
        """Significance of a source at each spaxel, all bands together, in units of the field's own scatter."""
        good = np.isfinite(variance)
        total = sum(k @ np.where(g, f, 0.0) for k, f, g in zip(self.kernels, flux, good, strict=True))
        noise = sum(k @ np.where(g, v, 0.0) for k, v, g in zip(self.squares, variance, good, strict=True))
        score = np.asarray(total) / np.sqrt(np.maximum(noise, 1e-300))
        # Half an aperture at the edge collects little and says little: it must not win by its small norm.
        usable = noise > 0.3 * np.median(noise)
        return np.where(usable, score / _excess(score[usable]), -np.inf)


def _excess(score: NDArray[Any]) -> float:
    """By how much the scores of a field scatter more than noise of the given variance would make them.

    Errors of flat field and wavelength times the sky are alike in all bands and in neighbouring spaxels; no variance
    tells of them. Most of a field is sky, so that its middle half does not know of the sources.
    """
    return max(1.0, 1.4826 * float(np.median(np.abs(score - np.median(score)))))
