"""The relative throughput of the spaxels as a smooth function of wavelength, from the dome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: Where a CCD may have fringes, and where it has none [Angstrom].
FRINGE_RANGE, FRINGE_FREE = (8000.0, 9200.0), (6000.0, 7000.0)
#: So many complete spaxels around one tell what shape its curve should have.
NEIGHBOURS = 12
#: What is known of the shape's coefficients before anything is: they are small. And the least that spaxels differ by.
LOOSE, LEAST_SPREAD = 0.3, 0.003
#: Scattered light that was subtracted is known to this share of it: as the halo of the spectra, or where no halo was
#: found and their far wings look like it. The error is the same over many bins, as the light is smooth, and they tell
#: no more than one of them: so many at once. With more, nothing would hold the blue end where half-lost spaxels at the
#: chip's edge spoil the red one.
HALO_ERROR, SCATTERED_ERROR, COMMON_BINS = 0.02, 0.1, 10.0
#: The same of the light of the spectra beside that was taken off: two widths from one, a row that is off by 0.03 px or
#: a width that is off by 1 % makes so much. A red end there is a hundred times brighter than the blue end it lies on.
OTHERS_ERROR = 0.02


def spaxel_flat(
    wavelength: NDArray[np.floating],
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    mask: NDArray[np.integer],
    places: NDArray[np.floating],
    *,
    scattered: NDArray[np.floating] | float = 0.0,
    scattered_error: float = SCATTERED_ERROR,
    others: NDArray[np.floating] | float = 0.0,
    order: int = 3,
    rounds: int = 4,
) -> NDArray[np.floating]:
    """Fit each spaxel's dome spectrum as the mean dome spectrum times a smooth curve.

    Parameters
    ----------
    wavelength : (n_wave,) Angstrom
    flux, variance : (n_wave, n_spaxel) dome cube, electron/Angstrom and its square
    mask : (n_wave, n_spaxel) non-zero = not to be used
    places : (n_spaxel, 2) where the spaxels are on the array, any unit
    scattered : (n_wave, n_spaxel) or float, electron/Angstrom, subtracted under each spectrum as scattered light
    scattered_error : share of it that may be wrong
    others : (n_wave, n_spaxel) or float, electron/Angstrom, subtracted from each spectrum as light of those beside it
    order : degree of the curve in the logarithm of the wavelength
    rounds : rejection rounds

    Returns
    -------
    (n_wave, n_spaxel) float32, relative throughput, mean 1 over the complete spaxels at each wavelength; NaN for a
    spaxel without light

    Notes
    -----
    A curve of low degree carries the real differences (coatings, vignetting, the prism's edge) and does not carry the
    noise of the dome's faint blue end into every spectrum. That end is fainter still than the light scattered under it,
    so that an error of this light, and not the photons, says what it is worth; so does the light of another's red end
    where the two run side by side. Where a spaxel's own light does not tell its shape, above all where its trace leaves
    the chip, the shape is that of its neighbours, as far as neighbours are alike (empirical Bayes: Robbins 1956).
    """
    good = (mask == 0) & np.isfinite(flux) & (variance > 0)
    complete = good.mean(axis=0) > 0.9 * np.median(good.mean(axis=0))
    reference = np.median(np.where(good[:, complete], flux[:, complete], 0.0), axis=1)
    u = np.log(wavelength / wavelength[0])
    u = 2 * u / u[-1] - 1
    basis = np.polynomial.legendre.legvander(u, order)
    curve: NDArray[np.floating] = np.ones(flux.shape)
    prior: NDArray[np.floating] = np.zeros((flux.shape[1], order + 1))
    spread: NDArray[np.floating] = np.full(order + 1, LOOSE)
    for _ in range(rounds):
        model = reference[:, None] * curve
        # Photon noise, half a per cent for structure finer than the curve, and the uncertainty of what was taken off.
        taken_off = (scattered_error * scattered) ** 2 + (OTHERS_ERROR * others) ** 2
        uncertain = (0.005 * model) ** 2 + COMMON_BINS * taken_off
        weight = np.where(good, 1.0 / (variance + uncertain + 1e-12), 0.0) * reference[:, None] ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where(good & (reference[:, None] > 0), flux / reference[:, None], 0.0)
        grey = np.maximum(curve.mean(axis=0), 0.05)
        sure = np.r_[0.0, spread[1:] ** -2.0][None, :] / grey[:, None] ** 2
        normal = np.einsum("wi,ws,wj->sij", basis, weight, basis) + sure[:, :, None] * np.eye(order + 1)
        right = np.einsum("wi,ws->si", basis, weight * np.nan_to_num(ratio)) + sure * prior * grey[:, None]
        trace = np.einsum("sii->s", normal)[:, None, None] + 1e-12
        solution = np.linalg.solve(normal + 1e-12 * trace * np.eye(order + 1), right[..., None])[..., 0]
        prior, spread = _alike(solution, complete, places)
        curve = basis @ solution.T
        with np.errstate(invalid="ignore"):
            pull = np.abs(ratio - curve) * np.sqrt(weight)
        good &= pull < 6.0 * max(1.4826 * float(np.median(pull[good])), 1.0)
        reference = reference * np.median(curve[:, complete], axis=1)
    curve = curve / np.mean(curve[:, complete], axis=1, keepdims=True)
    dark = (curve.mean(axis=0) < 0.05) | ~np.isfinite(curve).all(axis=0)
    curve[:, dark] = np.nan
    found: NDArray[np.floating] = np.clip(curve, 0.02, 10.0).astype(np.float32)
    return found


def fine_structure(
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    mask: NDArray[np.integer],
    flat: NDArray[np.floating],
    inside: NDArray[np.bool_],
) -> tuple[float, float]:
    """What single bins of the dome have beyond lamp, flat and photon noise: fringes, or pixels that differ.

    Parameters
    ----------
    flux, variance : (n_wave, n_spaxel) dome cube
    mask : (n_wave, n_spaxel) non-zero = not to be used
    flat : (n_wave, n_spaxel) relative throughput
    inside : (n_wave,) bool, wavelengths that count

    Returns
    -------
    rms, error : share of the light, and 1 sigma of it; 0 where photon noise explains all, NaN without data

    Notes
    -----
    What all spaxels share is the lamp's: the median over them is subtracted. The mean of the squares less the variance
    is what is left; its own error is that of a mean of squares, with bins that share columns counted twice.
    """
    good = (mask == 0) & np.isfinite(flux) & (variance > 0) & np.isfinite(flat) & inside[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.where(good, flux / flat, np.nan)
        lamp = np.full((len(flux), 1), np.nan)
        some = good.any(axis=1)
        lamp[some, 0] = np.nanmedian(level[some], axis=1)
        left = level / lamp - 1.0
        noise = variance / (flat * lamp) ** 2
    good &= np.isfinite(left) & np.isfinite(noise)
    good &= np.abs(left) < 6.0 * np.sqrt(np.where(good, noise, 0.0) + 0.02**2)
    if good.sum() < 2:
        return float("nan"), float("nan")
    excess = left[good] ** 2 - noise[good]
    mean = float(excess.mean())
    error = float(excess.std(ddof=1) * np.sqrt(2.0 / good.sum()))
    rms = float(np.sqrt(max(mean, 0.0)))
    # where nothing is left, the error of the square is the limit
    return rms, error / (2.0 * rms) if rms**2 > error else float(np.sqrt(error))


def fringes(
    flux: NDArray[np.floating],
    variance: NDArray[np.floating],
    mask: NDArray[np.integer],
    flat: NDArray[np.floating],
    wavelength: NDArray[np.floating],
) -> tuple[float, float]:
    """Fringes of the dome, rms as a share of the light, and 1 sigma of it: parameters as of `fine_structure`.

    Silicon becomes transparent beyond 800 nm, and only there its faces interfere; what pixels differ by is the same
    around 650 nm. So the fringes are what the red has more.
    """
    (red, red_error), (middle, middle_error) = (
        fine_structure(flux, variance, mask, flat, (wavelength >= low) & (wavelength < high))
        for low, high in (FRINGE_RANGE, FRINGE_FREE)
    )
    square = red**2 - middle**2
    error = 2.0 * float(np.hypot(red * red_error, middle * middle_error))
    rms = float(np.sqrt(max(square, 0.0)))
    return rms, error / (2.0 * rms) if square > error else float(np.sqrt(max(error, 0.0)))


def _alike(
    solution: NDArray[np.floating], complete: NDArray[np.bool_], places: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Shape of each spaxel's curve as its complete neighbours have it, and how far spaxels differ from that.

    Returns
    -------
    prior : (n_spaxel, n_term) coefficients in units of the first
    spread : (n_term,)
    """
    usable = np.flatnonzero(complete & (solution[:, 0] > 0.05))
    if len(usable) <= NEIGHBOURS:
        return np.zeros(solution.shape), np.full(solution.shape[1], LOOSE)
    shape = solution[usable] / solution[usable, :1]
    near = cKDTree(places[usable]).query(places, k=NEIGHBOURS + 1)[1]
    # A spaxel is not its own neighbour: it goes to the end of its row, and the end is cut off.
    own = usable[near] == np.arange(len(solution))[:, None]
    others = np.take_along_axis(near, np.argsort(own, axis=1, kind="stable")[:, :NEIGHBOURS], axis=1)
    prior = np.median(shape[others], axis=1)
    spread = 1.4826 * np.median(np.abs(shape - prior[usable]), axis=0)
    return prior, np.maximum(spread, LEAST_SPREAD)
