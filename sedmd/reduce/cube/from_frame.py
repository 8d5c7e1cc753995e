"""From the spectra of one frame, on the detector, to a cube on the common wavelengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.cube.cube import columns_of_bins, rebin
from sedmd.reduce.cube.sky_lines import line_residue, mean_sky
from sedmd.reduce.numeric.containers import Cube, Mask, Spaxels
from sedmd.reduce.traces.extract import samples_touched
from sedmd.reduce.traces.frame import Separated
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.wavelength import WavelengthSolution

#: Share of the spaxels, the faintest, that are taken for sky.
SKY_SHARE = 0.6


def cube_of(
    separated: Separated,
    traces: Traces,
    spaxels: Spaxels,
    solution: WavelengthSolution,
    flat: NDArray[np.floating],
    wavelength: NDArray[np.floating],
    *,
    dx_px: float,
    saturated: NDArray[np.bool_] | None = None,
) -> Cube:
    """The spectra of a frame on the common wavelengths, flat-fielded, sky lines alike in all spaxels.

    Parameters
    ----------
    separated : the frame as sum of traces and background
    traces, spaxels, solution : of n spaxels
    flat : (n_wave, n) relative response; NaN: the spaxel has no data there
    wavelength : (n_wave,) Angstrom, bin centres, increasing
    dx_px : flexure along the dispersion
    saturated : (n_y, n_x) pixels whose light is not known; bins that have some of them say so

    Returns
    -------
    Cube, electron/Angstrom
    """

    def binned(flux: NDArray[Any], variance: NDArray[Any], bad: NDArray[np.bool_]) -> tuple[NDArray[Any], ...]:
        return rebin(separated.samples, flux, variance, bad, solution, traces.n, wavelength, dx_px=dx_px)

    extracted = separated.extracted
    touched = np.zeros(extracted.flux.shape, bool)
    if saturated is not None and saturated.any():
        touched = samples_touched(separated.samples, saturated)
    flux, variance, mask = binned(extracted.flux, extracted.variance, extracted.bad | touched)
    if touched.any():
        share = binned(touched.astype(float), np.zeros(touched.shape), np.zeros(touched.shape, bool))[0]
        mask[np.nan_to_num(share) > 0] |= np.uint8(Mask.SATURATED)
    dead = ~np.isfinite(flat)
    mask[dead] |= np.uint8(Mask.NO_DATA)
    even = np.where(dead, np.nan, flux / flat)
    sky = faint_spaxels(separated, traces.n)
    residue = line_residue(
        mean_sky(even[:, sky], mask[:, sky] == 0),
        wavelength,
        solution,
        traces.centre,
        traces.y_coeff[:, 0],
        dx_px=dx_px,
    )
    return Cube(
        wavelength=wavelength,
        flux=(even - residue).astype(np.float32),
        variance=np.where(dead, np.nan, variance / flat**2).astype(np.float32),
        mask=mask,
        spaxels=spaxels,
        columns=columns_of_bins(solution, wavelength),
    )


def faint_spaxels(separated: Separated, n: int) -> NDArray[np.bool_]:
    """The spaxels with the least light, (n,) bool: sky, with any object in the field."""
    samples, flux = separated.samples, np.nan_to_num(separated.extracted.flux)
    count = np.bincount(samples.trace, minlength=n)
    level = np.bincount(samples.trace, flux, n) / np.maximum(count, 1)
    whole = count > 0.9 * np.median(count[count > 0])
    limit = np.quantile(level[whole], SKY_SHARE)
    return np.asarray(whole & (level <= limit))
