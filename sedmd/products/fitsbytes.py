"""Bytes of FITS units: what a large image needs is copied once, summed once, and nothing else.

astropy makes several copies of each array on the way to a file and back; for images of 17 MB they take longer than the
disk does.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.raw.fitssum import checksum_text, ones_complement_sum, sum_with

_BLOCK = 2880
#: Numbers as FITS stores them, by BITPIX.
_STORED = {8: ">u1", 16: ">i2", 32: ">i4", -32: ">f4", -64: ">f8"}
#: Comment of both sums; astropy would put the time of day there, and with it into the sum itself.
_ABOUT_SUMS = "this extension, see FITS standard 4.4.2.7"


def in_pieces(hdul: fits.HDUList) -> list[bytes | memoryview]:
    """The file that astropy would write, with CHECKSUM and DATASUM in every unit; its pieces in their order.

    Parameters
    ----------
    hdul : HDUList
        Gets its checksum cards as a side effect.
    """
    hdul.update_extend()
    hdul.verify("exception")
    return [piece for hdu in hdul for piece in (_plain_unit(hdu) if _is_plain(hdu) else [_other_unit(hdu)])]


def pixels(hdu: Any, content: bytes) -> NDArray:  # type: ignore[type-arg]
    """Pixels of an image that was opened from `content`: in the machine's byte order, writable, copied once.

    Parameters
    ----------
    hdu : ImageHDU, PrimaryHDU or CompImageHDU
    content : the whole file
    """
    header = hdu.header
    if type(hdu) not in (fits.PrimaryHDU, fits.ImageHDU) or {"BZERO", "BSCALE"} & set(header):
        return np.array(hdu.data, dtype=hdu.data.dtype.newbyteorder("="), order="C")
    shape = tuple(header[f"NAXIS{axis}"] for axis in range(header["NAXIS"], 0, -1))
    stored = np.dtype(_STORED[header["BITPIX"]])
    first = hdu.fileinfo()["datLoc"]
    return np.frombuffer(content, stored, math.prod(shape), first).reshape(shape).astype(stored.newbyteorder("="))


def compressed(image: fits.CompImageHDU) -> fits.BinTableHDU:
    """A compressed image as the table that holds it, so that its sums can be taken."""
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(buffer)
    buffer.seek(0)
    table = fits.open(buffer, disable_image_compression=True, memmap=False)[1]
    _ = table.data
    return table


def _is_plain(hdu: Any) -> bool:
    """Whether a unit is an image whose numbers are stored as they are."""
    if type(hdu) not in (fits.PrimaryHDU, fits.ImageHDU):
        return False
    return hdu.data is None or hdu.data.dtype.kind == "f" or hdu.data.dtype.name in ("uint8", "int16", "int32")


def _plain_unit(hdu: Any) -> list[bytes | memoryview]:
    """Header and pixels of an image, and what fills up the last block."""
    stored = np.zeros(0, np.uint8)
    if hdu.data is not None:
        stored = np.ascontiguousarray(hdu.data, hdu.data.dtype.newbyteorder(">")).reshape(-1).view(np.uint8)
    total = ones_complement_sum(stored)
    header = hdu.header
    header["DATASUM"] = (str(total), _ABOUT_SUMS)
    header.set("CHECKSUM", "0" * 16, _ABOUT_SUMS, before="DATASUM")
    header["CHECKSUM"] = checksum_text(sum_with(total, ones_complement_sum(header.tostring().encode("ascii"))))
    return [header.tostring().encode("ascii"), stored.data, bytes(-len(stored) % _BLOCK)]


def _other_unit(hdu: Any) -> bytes:
    """A table or a compressed image, by astropy."""
    hdu.add_checksum(when=_ABOUT_SUMS, override_datasum=False)
    buffer = io.BytesIO()
    fits.HDUList([hdu] if isinstance(hdu, fits.PrimaryHDU) else [fits.PrimaryHDU(), hdu]).writeto(buffer)
    content = buffer.getvalue()
    return content if isinstance(hdu, fits.PrimaryHDU) else content[_BLOCK:]
