"""The data that travel between the steps; variance and mask never leave the data's side."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]


class Mask(IntFlag):
    """Why a pixel or sample is not usable (bits of a uint8 mask; 0 is good)."""

    SATURATED = 1
    COSMIC = 2
    BAD_PIXEL = 4
    NO_DATA = 8
    OUTLIER = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A CCD frame in electrons.

    Attributes
    ----------
    data, variance : (n_y, n_x) float32, electron and electron**2
    mask : (n_y, n_x) uint8, bits of `Mask`
    read_noise : float, electron rms of one pixel of this image
    """

    data: FloatArray
    variance: FloatArray
    mask: NDArray[np.uint8]
    read_noise: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spaxels:
    """Where each spaxel sits: lattice and sky.

    Attributes
    ----------
    ident : (n,) int32, number of the spaxel in the trace table
    q, r : (n,) int32, axial hexagonal coordinates (neighbours differ by (1,0), (0,1), (1,-1))
    x_arcsec, y_arcsec : (n,) offset from the field centre, East and North positive
    """

    ident: IntArray
    q: IntArray
    r: IntArray
    x_arcsec: FloatArray
    y_arcsec: FloatArray

    def part(self, keep: NDArray[np.bool_] | IntArray) -> Spaxels:
        """Some of them: a mask (n,) or indices."""
        return Spaxels(
            ident=self.ident[keep],
            q=self.q[keep],
            r=self.r[keep],
            x_arcsec=self.x_arcsec[keep],
            y_arcsec=self.y_arcsec[keep],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube:
    """Spaxel spectra of one exposure on a common wavelength grid.

    Attributes
    ----------
    wavelength : (n_wave,) Angstrom in air, increasing, bin centres (the grid need not be linear)
    flux, variance : (n_wave, n_spaxel) float32, electron/Angstrom of the whole exposure and its square; flat-fielded
    mask : (n_wave, n_spaxel) uint8, bits of `Mask`; flux there is not to be used
    spaxels : Spaxels
    columns : (n_wave,) width of the bins in columns of the detector, median of the spaxels; None where nothing tells.
        Bins share columns, so that the noise of neighbours is correlated (see `sedmd.reduce.cube.correlation`)
    """

    wavelength: FloatArray
    flux: FloatArray
    variance: FloatArray
    mask: NDArray[np.uint8]
    spaxels: Spaxels
    columns: FloatArray | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """One extracted spectrum.

    Attributes
    ----------
    wavelength : (n,) Angstrom in air, increasing
    flux, error : (n,) in `unit`; NaN where there is no data
    sky : (n,) sky level per arcsec**2 in `unit` / arcsec**2
    unit : str, ``"electron / (s Angstrom)"`` or ``"erg / (s cm2 Angstrom)"``
    meta : dict of plain values: figures that end in the header (see products.spectrum.META_CARDS)
    correlation : (n, lags) of each bin's noise with that of the bins after it, see `sedmd.reduce.cube.correlation`;
        None where nothing tells
    calibration_error : (n,) in `unit`, the part of `error` that is the flux calibration's and no noise; None before it
    host : (n,) in `unit`, or None: what of a host's light an extraction without a model of it would count as the
        target's; where there is one, it was subtracted
    """

    wavelength: FloatArray
    flux: FloatArray
    error: FloatArray
    sky: FloatArray
    unit: str
    meta: dict[str, float | int | str | bool | None] = field(default_factory=dict)
    correlation: FloatArray | None = None
    calibration_error: FloatArray | None = None
    host: FloatArray | None = None
