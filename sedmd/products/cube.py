"""The cube: our own extensions beside those that the public ``pyifu`` reader looks for.

PRIMARY, VARIANCE, LBDA, MAPPING, SPAX_ID and SPAX_VERT are what pyifu reads; MASK, SPAXELS and COLUMNS are ours. The
wavelength grid lives in LBDA, because it need not be linear. Where the cards tell the sky position of the middle of the
field, the columns X and Y of SPAXELS carry celestial coordinates as FITS has them for lists of pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.products.fitsio import (
    Cards,
    ProductFault,
    add_cards,
    carried_header,
    native,
    read_checked,
    write_fits_atomic,
)
from sedmd.products.image import mask_cards
from sedmd.products.provenance import Provenance
from sedmd.products.sky import MIDDLE_CARDS, column_coordinates
from sedmd.products.tables import Column, table_hdu
from sedmd.raw.cards import number
from sedmd.reduce.numeric.containers import Cube, Spaxels
from sedmd.reduce.numeric.hexagon import cell_vertices


def write_cube(
    path: Path,
    cube: Cube,
    *,
    header: fits.Header | None = None,
    cards: Cards | None = None,
    provenance: Provenance | None = None,
) -> str:
    """Write a cube.

    Parameters
    ----------
    path : Path
    cube : Cube
        `spaxels.ident` must increase: pyifu sorts by it.
    header : Header, optional
        Of the raw frame; carried over without its structural cards.
    cards : mapping, optional
        Further cards for the primary header.
    provenance : Provenance, optional

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ValueError
        Spaxels out of order, or arrays that do not fit each other.
    """
    shape = (len(cube.wavelength), len(cube.spaxels.ident))
    for name, array in (("flux", cube.flux), ("variance", cube.variance), ("mask", cube.mask)):
        if array.shape != shape:
            raise ValueError(f"cube {name}: shape {array.shape}, expected (n_wave, n_spaxel) = {shape}")
    if np.any(np.diff(cube.spaxels.ident) <= 0):
        raise ValueError("cube: spaxels must be in the order of their numbers, each number once")
    carried = carried_header(header, world_coordinates=False) if header is not None else fits.Header()
    add_cards(
        carried,
        {
            "BUNIT": ("electron / Angstrom", "whole exposure; VARIANCE: its square"),
            "CTYPE1": ("SPAXEL", "columns: extension SPAXELS"),
            "CTYPE2": ("AWAV", "rows: air wavelength, extension LBDA"),
            "EXTLBDA": ("LBDA", "extension with the wavelength of each row"),
            **(cards or {}),
        },
    )
    primary = fits.PrimaryHDU(np.asarray(cube.flux, dtype=np.float32), header=carried)
    lbda = fits.ImageHDU(np.asarray(cube.wavelength, dtype=np.float64), name="LBDA")
    lbda.header["BUNIT"] = ("Angstrom", "in air")
    mask = fits.ImageHDU(np.asarray(cube.mask, dtype=np.uint8), name="MASK")
    add_cards(mask.header, mask_cards())
    spaxels = cube.spaxels
    positions = np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1).astype(np.float64)
    mapping = fits.ImageHDU(positions, name="MAPPING")
    mapping.header["BUNIT"] = ("arcsec", "x East, y North of the field centre")
    vertices = fits.ImageHDU(cell_vertices(spaxels), name="SPAX_VERT")
    vertices.header["BUNIT"] = ("arcsec", "corners of a spaxel about its centre")
    hdus = [
        primary,
        fits.ImageHDU(np.asarray(cube.variance, dtype=np.float32), name="VARIANCE"),
        mask,
        lbda,
        _spaxel_table(spaxels, carried),
        mapping,
        fits.ImageHDU(np.asarray(spaxels.ident, dtype=np.int32), name="SPAX_ID"),
        vertices,
    ]
    if cube.columns is not None:
        columns = fits.ImageHDU(np.asarray(cube.columns, dtype=np.float32), name="COLUMNS")
        columns.header["BUNIT"] = ("pix", "width of each bin in columns of the detector")
        hdus.append(columns)
    if provenance is not None:
        primary.header.update(provenance.header)
        hdus.append(provenance.table)
    return write_fits_atomic(fits.HDUList(hdus), path)


def read_cube(path: Path, *, hdul: fits.HDUList | None = None) -> tuple[Cube, fits.Header]:
    """Read a cube written by `write_cube`, and its primary header; from `hdul` if the file was read already.

    Raises
    ------
    ProductFault
        Damaged file, or not one of our cubes.
    """
    hdul = read_checked(path) if hdul is None else hdul
    try:
        table = hdul["SPAXELS"].data
        spaxels = Spaxels(
            ident=native(table["ID"]),
            q=native(table["Q"]),
            r=native(table["R"]),
            x_arcsec=native(table["X"]),
            y_arcsec=native(table["Y"]),
        )
        cube = Cube(
            wavelength=native(hdul["LBDA"].data),
            flux=native(hdul[0].data),
            variance=native(hdul["VARIANCE"].data),
            mask=native(hdul["MASK"].data),
            spaxels=spaxels,
            columns=native(hdul["COLUMNS"].data) if "COLUMNS" in hdul else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ProductFault(f"{path.name}: not a cube with variance, mask, wavelength and spaxels ({error})") from error
    return cube, hdul[0].header


def _spaxel_table(spaxels: Spaxels, header: fits.Header) -> fits.BinTableHDU:
    hdu = table_hdu(
        [
            Column(name="ID", array=np.asarray(spaxels.ident, dtype=np.int32), comment="number in the trace table"),
            Column(name="Q", array=np.asarray(spaxels.q, dtype=np.int32), comment="axial hexagonal coordinate"),
            Column(name="R", array=np.asarray(spaxels.r, dtype=np.int32), comment="axial hexagonal coordinate"),
            Column(name="X", array=np.asarray(spaxels.x_arcsec, float), unit="arcsec", comment="East of centre"),
            Column(name="Y", array=np.asarray(spaxels.y_arcsec, float), unit="arcsec", comment="North of centre"),
        ],
        name="SPAXELS",
    )
    ra, dec = (number(header.get(card)) for card in MIDDLE_CARDS)
    if ra is not None and dec is not None:
        names = hdu.columns.names
        add_cards(hdu.header, column_coordinates((ra, dec), names.index("X") + 1, names.index("Y") + 1))
    return hdu
