"""Reading raw frames for the steps: pixels, gain, and electrons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.core.errors import FrameFault
from sedmd.core.instrument import Sections
from sedmd.products.image import read_image
from sedmd.products.spectrum import is_ours
from sedmd.raw.cards import NUMBER_CARDS, is_number_as_text, number
from sedmd.raw.epochs import SECTION_CARDS, Camera, camera_of, gain_of, sections_of
from sedmd.raw.fitsfile import primary_extent, read_plain
from sedmd.raw.header import readable_header
from sedmd.raw.mends import Cards, overlay
from sedmd.raw.rawname import stem_of
from sedmd.reduce.detector.bias import MasterBias
from sedmd.reduce.detector.ccd import debias
from sedmd.reduce.numeric.containers import Image

Mends = Mapping[str, Cards]
#: Card of an image in electrons: the gain that made them, from the raw frame's card or, where that is none, the camera.
RAW_GAIN = "RAWGAIN"


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
        Cards that cannot be read are skipped, so that none of them raises when it is asked for, and so are those that
        only the pipeline writes: a raw frame has no quality and no confidence.

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
    for keyword in {one for one in header if is_ours(one)}:
        header.remove(keyword, remove_all=True)
    overlay(header, (mends or {}).get(stem_of(path), {}))
    for card in NUMBER_CARDS:  # what is a number for the reduction is one in its products
        if is_number_as_text(header.get(card)):
            header[card] = number(header[card])
    if header.get("NAXIS") != 2 or header.get("BITPIX") != 16:
        msg = f"{path.name} holds no image of 16-bit integers in its primary array; expected one. Exclude it"
        raise FrameFault(msg)
    shape = header["NAXIS2"], header["NAXIS1"]
    stored = np.frombuffer(content, ">i2", shape[0] * shape[1], extent.header_bytes).reshape(shape)
    # unsigned integers are stored as signed ones, 32768 lower (FITS standard 4.0, table 11)
    data = (stored + np.int32(32768)).astype(np.uint16) if header.get("BZERO") == 32768 else stored.astype(np.int16)
    return data, header


def read_master_bias(path: Path) -> MasterBias:
    """The master bias as the pure functions want it."""
    image, header = read_image(path)
    return MasterBias(
        level=image.data,
        pedestal=float(header["BIASLEV"]),
        read_noise_adu=float(image.read_noise),
        bad=(image.mask != 0),
        n_frames=int(header["NCOMBINE"]),
    )


def camera_and_sections(
    header: fits.Header, shape: tuple[int, int], name: str
) -> tuple[Camera, Sections, tuple[str, ...]]:
    """The camera of a raw frame, where image and scan columns lie in it, and what is wrong with the cards about them.

    Raises
    ------
    FrameFault
        If no camera of the spectrograph reads an array of that shape.
    """
    camera = camera_of(header, shape)
    if camera is None:
        msg = f"{name}: no camera of the spectrograph reads {shape[0]} x {shape[1]} pixels; exclude the frame"
        raise FrameFault(msg)
    sections, note = sections_of(header, shape, camera)
    return camera, sections, (f"{name}: {note}",) if note else ()


def to_electrons(
    path: Path, master: MasterBias, mends: Mends | None = None
) -> tuple[Image, fits.Header, tuple[str, ...]]:
    """The image of a raw frame in electrons, its header and what had to be assumed; `mends` as in `read_raw`.

    Raises
    ------
    FrameFault
        If no camera of the spectrograph has its shape, or it is not that of the master bias.
    """
    data, header = read_raw(path, mends)
    camera, sections, warnings = camera_and_sections(header, data.shape, path.name)
    gain, assumed = gain_of(header, camera)
    try:
        image, origin = debias(data, master, gain=gain, sections=sections, saturation_adu=camera.saturation_adu)
    except ValueError as error:
        raise FrameFault(f"{path.name}: {error}") from error
    for card in SECTION_CARDS:  # of columns that are no longer there
        header.remove(card, ignore_missing=True)
    header[RAW_GAIN] = (gain, "[electron/adu] of the raw frame, as used")
    header["BIASFROM"] = (origin, "where the bias level of the rows is from")
    return image, header, warnings + ((f"{path.name}: {assumed}",) if assumed else ())
