"""Reading raw frames for the steps: pixels, gain, and electrons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.errors import FrameFault
from sedmd.fitsfile import primary_extent, read_plain
from sedmd.header import readable_header
from sedmd.instrument import DEFAULT_GAIN, OVERSCAN_FIRST_COLUMN, SATURATION_ADU
from sedmd.mends import Cards, overlay
from sedmd.products.image import read_image
from sedmd.rawname import stem_of
from sedmd.reduce.containers import Image
from sedmd.reduce.detector import MasterBias, debias

Mends = Mapping[str, Cards]


def read_raw(path: Path, mends: Mends | None = None) -> tuple[NDArray[np.integer], fits.Header]:
    """Pixels [ADU] and header of a raw frame: plain, gzipped or fpacked.

    Parameters
    ----------
    mends : mapping of stem to corrected cards
        As the planner gives them, the job's option ``mends``.

    Returns
    -------
    data : (n_y, n_x) integers
    header : Header
        Cards that cannot be read are left out, so that none of them raises when it is asked for.

    Raises
    ------
    FrameFault
        If the file cannot be read as FITS or holds no image of 16-bit integers.
    OSError
        If the disk does not give it; that may pass.
    """
    content = read_plain(path)
    extent = primary_extent(content)
    header = readable_header(content[: extent.header_bytes])
    overlay(header, (mends or {}).get(stem_of(path), {}))
    if header.get("NAXIS") != 2 or header.get("BITPIX") != 16:
        msg = f"{path.name} holds no image of 16-bit integers in its primary array; expected 2048 x 2048. Leave it out"
        raise FrameFault(msg)
    shape = header["NAXIS2"], header["NAXIS1"]
    stored = np.frombuffer(content, ">i2", shape[0] * shape[1], extent.header_bytes).reshape(shape)
    # unsigned integers are stored as signed ones, 32768 lower (FITS standard 4.0, table 11)
    data = (stored + np.int32(32768)).astype(np.uint16) if header.get("BZERO") == 32768 else stored.astype(np.int16)
    return data, header


def gain_of(header: fits.Header) -> tuple[float, bool]:
    """Gain [electron/ADU] and whether it had to be assumed because the header has none that can be."""
    value = header.get("GAIN")
    try:
        gain = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return DEFAULT_GAIN, True
    return (gain, False) if math.isfinite(gain) and 0.1 < gain < 20 else (DEFAULT_GAIN, True)


def read_master_bias(path: Path) -> MasterBias:
    """The master bias as the pure functions want it."""
    image, header = read_image(path)
    return MasterBias(
        level=image.data,
        read_noise_adu=float(image.read_noise),
        bad=(image.mask != 0),
        n_frames=int(header["NCOMBINE"]),
    )


def to_electrons(
    path: Path, master: MasterBias, mends: Mends | None = None
) -> tuple[Image, fits.Header, tuple[str, ...]]:
    """A raw frame in electrons, with its header and what had to be assumed; `mends` as in `read_raw`.

    Raises
    ------
    FrameFault
        If its shape is not that of the master bias.
    """
    data, header = read_raw(path, mends)
    gain, assumed = gain_of(header)
    try:
        image = debias(data, master, gain=gain, first_column=OVERSCAN_FIRST_COLUMN, saturation_adu=SATURATION_ADU)
    except ValueError as error:
        raise FrameFault(f"{path.name}: {error}") from error
    warnings = (f"{path.name} has no usable GAIN card; {DEFAULT_GAIN} electron/ADU assumed",) if assumed else ()
    return image, header, warnings
