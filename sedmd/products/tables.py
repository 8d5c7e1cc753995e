"""Tables of plain columns as FITS: traces, wavelength solutions, flats, sensitivities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.products.fitsio import ProductFault, native, read_checked, write_fits_atomic
from sedmd.products.provenance import Provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: `array` has a row per entry, scalar or an array of any fixed shape per row.

    Integers, floats, booleans and text; `unit` and `comment` become TUNIT and TCOMM.
    """

    name: str
    array: NDArray  # type: ignore[type-arg]
    unit: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What `read_table` gives back.

    Attributes
    ----------
    columns : mapping of name to array, native byte order
    units : mapping of name to unit; columns without unit are omitted
    header : cards of the primary header
    extra : mapping of extension name to HDU, everything but the table itself
    """

    columns: Mapping[str, NDArray]  # type: ignore[type-arg]
    units: Mapping[str, str]
    header: fits.Header
    extra: Mapping[str, fits.ImageHDU | fits.BinTableHDU] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray:  # type: ignore[type-arg]
        return self.columns[name]


def write_table(
    path: Path,
    columns: Sequence[Column],
    header: fits.Header | None = None,
    extra_hdus: Sequence[fits.ImageHDU | fits.BinTableHDU] = (),
    *,
    name: str = "TABLE",
    provenance: Provenance | None = None,
) -> str:
    """Write a table as the first extension of a FITS file.

    Parameters
    ----------
    path : Path
    columns : sequence of Column
        All with the same number of rows.
    header : Header, optional
        Cards for the primary header.
    extra_hdus : sequence of HDU
        Further extensions, each with its name.
    name : str
        Name of the table's extension.
    provenance : Provenance, optional

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    ValueError
        Columns of different length, or two of one name.
    """
    primary = fits.PrimaryHDU(header=header)
    hdus = [primary, table_hdu(columns, name=name), *extra_hdus]
    if provenance is not None:
        primary.header.update(provenance.header)
        hdus.append(provenance.table)
    return write_fits_atomic(fits.HDUList(hdus), path)


def read_table(path: Path, *, name: str = "TABLE") -> Table:
    """Read a table written by `write_table`.

    Raises
    ------
    ProductFault
        Damaged file, or no such table in it.
    """
    hdul = read_checked(path)
    names = [hdu.name for hdu in hdul[1:]]
    if name.upper() not in names:
        raise ProductFault(f"{path.name}: no table {name!r} in it, only {names}; is this the right product?")
    hdu = hdul[name]
    columns = {column.name: _plain_array(hdu.data[column.name]) for column in hdu.columns}
    units = {column.name: column.unit for column in hdu.columns if column.unit}
    extra = {other.name: other for other in hdul[1:] if other is not hdu}
    return Table(columns=columns, units=units, header=hdul[0].header, extra=extra)


def table_hdu(columns: Sequence[Column], *, name: str) -> fits.BinTableHDU:
    """A binary table extension of the given columns."""
    if len({column.name.upper() for column in columns}) != len(columns):
        raise ValueError(f"table {name}: two columns of one name in {[column.name for column in columns]}")
    arrays = [np.asarray(column.array) for column in columns]
    lengths = {column.name: len(array) for column, array in zip(columns, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"table {name}: columns must have the same number of rows, got {lengths}")
    hdu = fits.BinTableHDU.from_columns(
        [_column(column, array) for column, array in zip(columns, arrays, strict=True)], name=name
    )
    for number, column in enumerate(columns, start=1):
        if column.comment:
            hdu.header.set(f"TCOMM{number}", column.comment, after=f"TFORM{number}")
    return hdu


_CODES = {"b": "L", "u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D", "c8": "C", "c16": "M"}


def _column(column: Column, array: NDArray) -> fits.Column:  # type: ignore[type-arg]
    cells = int(np.prod(array.shape[1:]))
    kind = array.dtype.kind
    if kind == "U":
        form = f"{max(array.dtype.itemsize // 4, 1)}A"
        if array.ndim > 1:
            raise ValueError(f"column {column.name}: text columns hold one word a row, got shape {array.shape}")
    else:
        code = _CODES.get("b" if kind == "b" else f"{kind}{array.dtype.itemsize}")
        if code is None:
            raise ValueError(f"column {column.name}: dtype {array.dtype} has no place in a FITS table")
        form = f"{cells}{code}"
    dim = "(" + ",".join(str(n) for n in reversed(array.shape[1:])) + ")" if array.ndim > 2 else None
    return fits.Column(name=column.name, format=form, unit=column.unit or None, dim=dim, array=array)


def _plain_array(array: NDArray) -> NDArray:  # type: ignore[type-arg]
    if array.dtype.kind in "SU":
        return np.array(array, dtype=str)
    return native(np.asarray(array))
