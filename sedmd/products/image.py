"""CCD images in electrons with variance and mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.products.fitsbytes import compressed, pixels
from sedmd.products.fitsio import (
    Cards,
    ProductFault,
    add_cards,
    carried_header,
    read_units,
    write_fits_atomic,
)
from sedmd.products.provenance import Provenance
from sedmd.reduce.numeric.containers import Image, Mask

#: Card of an image without VARIANCE: where it follows from. From the pixels of the image itself, or the file beside it
#: that it names.
VARIANCE_FROM, FROM_PIXELS = "VARFROM", "PRIMARY"
#: Rows of a compressed mask that are packed together; each piece costs its own time.
MASK_TILE_ROWS = 64


def write_image(
    path: Path,
    image: Image,
    *,
    header: fits.Header | None = None,
    cards: Cards | None = None,
    provenance: Provenance | None = None,
    packed: bool = False,
    beside: tuple[str, Image] | None = None,
) -> str:
    """Write an image: PRIMARY (electron, float32), VARIANCE (electron**2, float32), MASK (uint8), PROVENANCE.

    Parameters
    ----------
    path : Path
    image : Image
    header : Header, optional
        Of the raw frame; carried over without its structural cards. GAIN becomes 1.0 and BUNIT electron.
    cards : mapping, optional
        Further cards, such as ``BIASSUB`` or those of `combined_from`.
    provenance : Provenance, optional
    packed : bool
        Omit what `read_image` restores to the last bit: the mask becomes a compressed image, and a VARIANCE that
        follows from the pixels, or is that of the image `beside`, is named by the card VARFROM instead. The pixels
        stay as they are: in their digits there is noise, and compressors take seconds for a seventh of the bytes.
    beside : name and image, optional
        A file of the same folder, whose variance may be that of this image.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    carried = carried_header(header) if header is not None else fits.Header()
    carried.remove(VARIANCE_FROM, ignore_missing=True)
    before = carried.get("GAIN")
    gain_comment = "electrons" if before in (None, 1.0) else f"electrons; the raw frame had {before}"
    add_cards(
        carried,
        {
            "GAIN": (1.0, gain_comment),
            "BUNIT": ("electron", "VARIANCE: electron**2"),
            "RDNOISE": (float(image.read_noise), "[electron] rms of one pixel of this image"),
            **(cards or {}),
        },
    )
    origin = _variance_from(image, carried, beside) if packed else ""
    if origin:
        add_cards(carried, {VARIANCE_FROM: (origin, "PRIMARY: max(0, electron) + RDNOISE**2")})
    primary = fits.PrimaryHDU(np.asarray(image.data, dtype=np.float32), header=carried)
    flags = np.asarray(image.mask, dtype=np.uint8)
    mask = fits.ImageHDU(flags, name="MASK")
    add_cards(mask.header, mask_cards())
    if packed:
        mask = compressed(fits.CompImageHDU(flags, mask.header, "MASK", "RICE_1", (MASK_TILE_ROWS, flags.shape[1])))
    variance = [] if origin else [fits.ImageHDU(np.asarray(image.variance, dtype=np.float32), name="VARIANCE")]
    hdus = [primary, *variance, mask]
    if provenance is not None:
        primary.header.update(provenance.header)
        hdus.append(provenance.table)
    return write_fits_atomic(fits.HDUList(hdus), path)


def read_image(path: Path) -> tuple[Image, fits.Header]:
    """Read an image written by `write_image`, packed or not, and its primary header.

    Raises
    ------
    ProductFault
        Damaged file, or one without variance, mask or read noise; or the variance is that of a file that is not there.
    """
    hdul, content = read_units(path)
    try:
        data, read_noise = pixels(hdul[0], content), float(hdul[0].header["RDNOISE"])
        origin = str(hdul[0].header.get(VARIANCE_FROM, ""))
        if not origin:
            variance = pixels(hdul["VARIANCE"], content)
        elif origin == FROM_PIXELS:
            variance = _variance_of(data, read_noise)
        else:
            variance = _variance_beside(path, origin)
        image = Image(data=data, variance=variance, mask=pixels(hdul["MASK"], content), read_noise=read_noise)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProductFault(f"{path.name}: not an image with variance, mask and read noise ({error})") from error
    return image, hdul[0].header


def _variance_of(data: NDArray[np.floating], read_noise: float) -> NDArray[np.floating]:
    """Photon and read noise of an exposure: (n_y, n_x) float32, electron**2."""
    found: NDArray[np.floating] = np.maximum(data, np.float32(0)) + np.float32(read_noise**2)
    return found


def _variance_from(image: Image, header: fits.Header, beside: tuple[str, Image] | None) -> str:
    """Where the variance of an image can be had from: its own pixels, a file beside it, or nowhere."""
    given = fits.Card.fromstring(header.cards["RDNOISE"].image).value  # as a reader will see it
    if np.array_equal(image.variance, _variance_of(np.asarray(image.data, np.float32), float(given))):
        return FROM_PIXELS
    if beside is not None and np.array_equal(image.variance, beside[1].variance):
        return beside[0]
    return ""


def _variance_beside(path: Path, name: str) -> NDArray[np.floating]:
    """Variance of a file in the same folder."""
    try:
        return read_image(path.with_name(Path(name).name))[0].variance
    except FileNotFoundError as error:
        raise ProductFault(
            f"{path.name}: its variance is that of {name}, expected beside it and not there; remake both"
        ) from error


def combined_from(names: Sequence[str]) -> Cards:
    """Cards that say what a combined image is made of: NCOMBINE, IMCMB001 ..."""
    inputs = {f"IMCMB{number:03d}": (name, "") for number, name in enumerate(names, start=1)}
    return {"NCOMBINE": (len(names), "number of frames combined"), **inputs}


def mask_cards() -> Cards:
    """Cards that explain the bits of a mask extension."""
    return {f"BIT{bit.bit_length() - 1}": (bit.name, f"value {int(bit)}") for bit in Mask}
