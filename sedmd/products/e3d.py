"""Cubes of any origin: ours, and those that the public pysedm pipeline writes through pyifu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.products.cube import read_cube
from sedmd.products.fitsio import ProductFault, native, read_checked
from sedmd.reduce.numeric.containers import Cube, FloatArray, Mask, Spaxels

#: Arcsec of one unit of pysedm's positions (pysedm astrometry: SEDM_SPAXEL_ARCSEC); its x runs West, its y North.
PYSEDM_UNIT_ARCSEC = 0.55

_NAMES = {
    "variance": ("VARIANCE", "VARIANCES", "VAR"),
    "error": ("ERROR", "ERRORS", "ERR"),
    "wavelength": ("LBDA", "LAMBDA", "WAVE", "WAVELENGTH", "WAVELENGTHS"),
    "positions": ("MAPPING", "POS"),
    "numbers": ("SPAX_ID", "INDEXES"),
    "corners": ("SPAX_VERT",),
}


def read_any_cube(path: Path) -> tuple[Cube, fits.Header]:
    """Read a cube of ours or a pysedm / pyifu ``e3d`` file, and its primary header.

    Raises
    ------
    ProductFault
        Damaged, empty, or no cube; the text says what is missing.
    """
    hdul = read_checked(path)
    if "SPAXELS" in hdul and "MASK" in hdul:
        cube, header = read_cube(path, hdul=hdul)
    else:
        cube, header = _foreign(hdul, path.name), hdul[0].header
    if cube.flux.size == 0 or len(cube.spaxels.q) < 3:
        raise ProductFault(f"{path.name}: an empty cube ({len(cube.spaxels.q)} spaxels); reduce the frame again")
    return cube, header


def _foreign(hdul: fits.HDUList, name: str) -> Cube:
    flux = hdul[0].data
    if flux is None or np.ndim(flux) != 2:
        raise ProductFault(f"{name}: the first extension is no table of (wavelength, spaxel); expected an e3d cube")
    flux = native(flux).astype(np.float32)
    wavelength = _wavelength(hdul, name, len(flux))
    variance = _find(hdul, "variance")
    error = _find(hdul, "error")
    if variance is None and error is not None:
        variance = error.astype(float) ** 2
    if variance is None:
        raise ProductFault(f"{name}: no VARIANCE; without errors there is no spectrum to grade")
    positions, corners = _find(hdul, "positions"), _find(hdul, "corners")
    if positions is None or corners is None:
        raise ProductFault(f"{name}: no MAPPING or no SPAX_VERT; the places of the spaxels are not known")
    count = flux.shape[1]
    if variance.shape != flux.shape or positions.shape != (count, 2) or np.shape(corners) != (6, 2):
        raise ProductFault(
            f"{name}: {flux.shape} samples, variance {variance.shape}, places {positions.shape}, corners "
            f"{np.shape(corners)}; they do not fit each other"
        )
    numbers = _find(hdul, "numbers")
    ident = np.arange(count) if numbers is None else native(numbers).astype(np.int32)
    order = np.argsort(ident, kind="stable")
    flux, variance = flux[:, order], native(variance).astype(np.float32)[:, order]
    bad = ~np.isfinite(flux) | ~np.isfinite(variance) | (variance <= 0)
    mask = np.where(bad, np.uint8(Mask.NO_DATA), np.uint8(0))
    q, r = _lattice(native(positions).astype(float)[order], native(corners).astype(float), name)
    return Cube(
        wavelength=wavelength,
        flux=np.where(bad, 0, flux).astype(np.float32),
        variance=np.where(bad, 0, variance).astype(np.float32),
        mask=mask,
        spaxels=Spaxels(
            ident=ident[order],
            q=q,
            r=r,
            x_arcsec=-PYSEDM_UNIT_ARCSEC * native(positions).astype(float)[order, 0],
            y_arcsec=PYSEDM_UNIT_ARCSEC * native(positions).astype(float)[order, 1],
        ),
    )


def _find(hdul: fits.HDUList, what: str) -> NDArray | None:  # type: ignore[type-arg]
    for hdu in hdul:
        if hdu.name.upper() in _NAMES[what] and hdu.data is not None:
            return np.asarray(hdu.data)
    return None


def _wavelength(hdul: fits.HDUList, name: str, length: int) -> FloatArray:
    """From an extension, or from the axis cards of the primary header."""
    given = _find(hdul, "wavelength")
    header = hdul[0].header
    if given is None and "CRVAL2" in header and "CDELT2" in header:
        given = header["CRVAL2"] + header["CDELT2"] * np.arange(length)
    if given is None or len(given) != length or not np.all(np.diff(given) > 0):
        raise ProductFault(f"{name}: no increasing wavelength for each of {length} rows in LBDA or CRVAL2 and CDELT2")
    return np.asarray(native(np.asarray(given)), dtype=float)


def _lattice(positions: FloatArray, corners: FloatArray, name: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Axial coordinates: the neighbour beyond an edge lies at the sum of the edge's two corners."""
    steps = np.stack([corners[0] + corners[1], corners[1] + corners[2]])
    middle = positions[np.argmin(np.sum((positions - np.median(positions, axis=0)) ** 2, axis=1))]
    place = np.linalg.solve(steps.T, (positions - middle).T).T
    node = np.rint(place).astype(np.int32)
    if len(np.unique(node, axis=0)) < len(node):
        raise ProductFault(f"{name}: two spaxels on one place of the lattice; MAPPING and SPAX_VERT do not agree")
    return node[:, 0].copy(), node[:, 1].copy()
