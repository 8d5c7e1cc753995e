"""A picture of the field: the cube averaged over a range of wavelength."""

from __future__ import annotations

import numpy as np

from sedmd.reduce.numeric.containers import Cube, FloatArray


def collapse(cube: Cube, low: float, high: float) -> FloatArray:
    """Mean flux density of each spaxel between two wavelengths.

    Where a spaxel has not all of them (it leaves the chip, a cosmic ray hit it) it has the mean of the field's median
    spectrum, and what it is above that where it is known: else the rim of the field, which has the red or the blue part
    alone, would look brighter or fainter than the rest of the sky.

    Parameters
    ----------
    cube : Cube
    low, high : float
        Angstrom in air; bins whose centre lies between them count, each by its width.

    Returns
    -------
    (n_spaxel,) ndarray
        In the unit of the cube; NaN where no sample is good.

    Raises
    ------
    ValueError
        No bin of the cube lies in the range.
    """
    inside = (cube.wavelength >= low) & (cube.wavelength <= high)
    if not inside.any():
        raise ValueError(
            f"no wavelength between {low:.0f} and {high:.0f} Angstrom; "
            f"the cube spans {cube.wavelength[0]:.0f} to {cube.wavelength[-1]:.0f}"
        )
    width = np.gradient(cube.wavelength)[inside] if len(cube.wavelength) > 1 else np.ones(1)
    good = (cube.mask[inside] == 0) & np.isfinite(cube.flux[inside])
    some = good.any(axis=1)
    flux, good, width = np.where(good, cube.flux[inside], np.nan)[some], good[some], width[some]
    if not some.any():
        return np.full(cube.flux.shape[1], np.nan)
    usual = np.nanmedian(flux, axis=1)
    weight = np.where(good, width[:, None], 0.0)
    total = weight.sum(axis=0)
    above = np.sum(weight * np.where(good, flux - usual[:, None], 0.0), axis=0)
    found: FloatArray = np.divide(above, total, out=np.full(total.shape, np.nan), where=total > 0)
    found += float((width * usual).sum() / width.sum())
    return found
