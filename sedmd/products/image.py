"""CCD images in electrons with variance and mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.products.fitsbytes import pixels
from sedmd.products.fitsio import (
    Cards,
    ProductFault,
    add_cards,
    carried_header,
    read_units,
    write_fits_atomic,
)
from sedmd.products.provenance import Provenance
from sedmd.reduce.containers import Image, Mask


def write_image(
    path: Path,
    image: Image,
    *,
    header: fits.Header | None = None,
    cards: Cards | None = None,
    provenance: Provenance | None = None,
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

    Returns
    -------
    str
        SHA-256 of the file.
    """
    carried = carried_header(header) if header is not None else fits.Header()
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
    primary = fits.PrimaryHDU(np.asarray(image.data, dtype=np.float32), header=carried)
    mask = fits.ImageHDU(np.asarray(image.mask, dtype=np.uint8), name="MASK")
    add_cards(mask.header, mask_cards())
    hdus = [primary, fits.ImageHDU(np.asarray(image.variance, dtype=np.float32), name="VARIANCE"), mask]
    if provenance is not None:
        primary.header.update(provenance.header)
        hdus.append(provenance.table)
    return write_fits_atomic(fits.HDUList(hdus), path)


def read_image(path: Path) -> tuple[Image, fits.Header]:
    """Read an image written by `write_image`, and its primary header.

    Raises
    ------
    ProductFault
        Damaged file, or one without variance, mask or read noise.
    """
    hdul, content = read_units(path)
    try:
        image = Image(
            data=pixels(hdul[0], content),
            variance=pixels(hdul["VARIANCE"], content),
            mask=pixels(hdul["MASK"], content),
            read_noise=float(hdul[0].header["RDNOISE"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProductFault(f"{path.name}: not an image with variance, mask and read noise ({error})") from error
    return image, hdul[0].header


def combined_from(names: Sequence[str]) -> Cards:
    """Cards that say what a combined image is made of: NCOMBINE, IMCMB001 ..."""
    inputs = {f"IMCMB{number:03d}": (name, "") for number, name in enumerate(names, start=1)}
    return {"NCOMBINE": (len(names), "number of frames combined"), **inputs}


def mask_cards() -> Cards:
    """Cards that explain the bits of a mask extension."""
    return {f"BIT{bit.bit_length() - 1}": (bit.name, f"value {int(bit)}") for bit in Mask}
