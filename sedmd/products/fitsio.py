"""FITS files: written atomically with checksums, read back only when the checksums hold."""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.utils.exceptions import AstropyUserWarning
from numpy.typing import NDArray

from sedmd.core.errors import SedmError
from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import beginning, product_bytes
from sedmd.products.fitsbytes import in_pieces
from sedmd.raw.fitsfile import damage_of

#: Cards of our products that hold a time of writing and may differ between two runs on the same inputs: none.
TIME_STAMP_CARDS: tuple[str, ...] = ()

#: Value of a header card in our own terms; None is a card without value.
CardValue = float | int | str | bool | None
#: Cards to add: keyword to value, or to (value, comment).
Cards = Mapping[str, CardValue | tuple[CardValue, str]]

#: A longer primary header is none of ours, bytes.
MAX_HEADER_BYTES = 400_000
_STRUCTURAL = frozenset(
    {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS", "TFIELDS", "THEAP"}
    | {"BZERO", "BSCALE", "BLANK", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM"}
    | {"EXTNAME", "EXTVER", "EXTLEVEL", "LONGSTRN"}
)
_WORLD = re.compile(r"(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA)\d|(CD|PC)\d_\d|WCSAXES|LONPOLE|LATPOLE|RADESYSA?")
_NUMBERED = ("NAXIS", "TTYPE", "TFORM", "TUNIT", "TDIM", "TCOMM", "TNULL", "TSCAL", "TZERO", "TDISP")


class ProductFault(SedmError):
    """A product on disk is damaged or not what its name says; it has to be made again."""


def write_fits_atomic(hdul: fits.HDUList, path: Path) -> str:
    """Write a FITS file whole or not at all, with CHECKSUM and DATASUM in every extension.

    Parameters
    ----------
    hdul : HDUList
        Gets its checksum cards as a side effect.
    path : Path
        Final name; an existing file is replaced.

    Returns
    -------
    str
        SHA-256 of the file, hexadecimal.

    Raises
    ------
    DiskFull
        No room; nothing is left behind.
    """
    return write_bytes_atomic(in_pieces(hdul), path)


def read_checked(path: Path) -> fits.HDUList:
    """Read a whole product into memory.

    Raises
    ------
    ProductFault
        The file is cut, is not FITS, or a checksum does not match. A missing file raises FileNotFoundError.
    """
    hdul, _ = read_units(path)
    with _as_fault(path):
        for hdu in hdul:
            _ = hdu.data
    return hdul


def read_units(path: Path) -> tuple[fits.HDUList, bytes]:
    """A whole product, its headers read and its sums checked, and its bytes, which hold the data; as `read_checked`."""
    content = product_bytes(path)
    if damage := damage_of(content, path.name):
        raise _fault(path, damage)
    with _as_fault(path):
        return fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False), content


@contextlib.contextmanager
def _as_fault(path: Path) -> Iterator[None]:
    """What astropy finds wrong with a file, as a ProductFault."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*truncated", category=AstropyUserWarning)
        try:
            yield
        except Exception as error:
            # the border of astropy: what a damaged file raises there is not to be foreseen
            raise _fault(path, str(error)) from error


def _fault(path: Path, why: str) -> ProductFault:
    return ProductFault(
        f"{path.name}: {' '.join(why.split())}; a whole FITS file with matching checksums was expected. "
        "Remove it and remake it"
    )


def primary_header(path: Path) -> fits.Header:
    """The primary header of a file, read no further than that; cards that cannot be parsed raise when they are asked.

    Raises
    ------
    OSError
        There is no file, or no whole header in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyUserWarning)  # a faulty card is reported when it is read
        return fits.Header.fromfile(beginning(path, most_bytes=MAX_HEADER_BYTES, follow=True))


def carried_header(header: fits.Header, *, world_coordinates: bool = True) -> fits.Header:
    """Copy of a header without the cards that describe the layout of the file it came from.

    A raw frame's world coordinates mean nothing in a cube or a spectrum: leave them behind there.
    """
    kept = fits.Header()
    for card in header.cards:
        name = card.keyword
        numbered = any(name.startswith(stem) and name[len(stem) :].isdigit() for stem in _NUMBERED)
        coordinates = not world_coordinates and _WORLD.fullmatch(name)
        if name and name not in _STRUCTURAL and not numbered and not coordinates:
            kept.append(card, end=True)
    return kept


def add_cards(header: fits.Header, cards: Cards) -> None:
    """Set cards, with the values FITS cannot hold made harmless.

    NaN and infinity become a card without value; text keeps printable ASCII only. A name longer than 8 characters goes
    under ``HIERARCH SEDM``.
    """
    for name, given in cards.items():
        value, comment = given if isinstance(given, tuple) else (given, "")
        plain = _plain(value)
        keyword = name.upper()
        if len(keyword) > 8:
            keyword = keyword if keyword.startswith("HIERARCH ") else f"HIERARCH SEDM {keyword}"
            if isinstance(plain, str):  # such a card cannot be continued on the next
                plain = plain[: max(0, 80 - len(keyword) - 6)]
            comment = ""
        # a comment that does not fit is cut here, quietly; astropy would warn each time
        room = 67 - max(20, len(plain) + 2 + plain.count("'") if isinstance(plain, str) else len(repr(plain)))
        header[keyword] = (plain, comment[: max(room, 0)].rstrip())


def card_value(header: fits.Header, keyword: str) -> CardValue:
    """Value of a card; None when it is absent or has no value."""
    value = header.get(keyword)
    return None if isinstance(value, Undefined) else value


def native(array: NDArray) -> NDArray:  # type: ignore[type-arg]
    """The array in the machine's byte order, contiguous and writable, cut loose from the file."""
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def _plain(value: CardValue) -> CardValue:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return "".join(char if " " <= char <= "~" else "?" for char in value)
    return value
