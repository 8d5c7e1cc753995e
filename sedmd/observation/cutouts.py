"""Images of a target's field from before it was there, read from the folder into which its requester put them."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from sedmd.core.errors import SedmError
from sedmd.core.target_names import safe_name
from sedmd.host.foreign_file import each, open_regular
from sedmd.observation.exposure import Exposure
from sedmd.observation.host_cubes import read_host_cube
from sedmd.observation.inputs import Inputs
from sedmd.products.sky import sky_position, target_position
from sedmd.reduce.target.host_images import HostImage, HostImages

#: Effective wavelength [Angstrom] (Tonry et al. 2012) and FWHM of a star [arcsec] (Chambers et al. 2016, the median of
#: the stacks of Pan-STARRS; those of the Legacy Surveys are like them).
BANDS: Mapping[str, tuple[float, float]] = {
    "g": (4810.0, 1.31),
    "r": (6170.0, 1.19),
    "i": (7520.0, 1.11),
    "z": (8660.0, 1.07),
    "y": (9620.0, 1.02),
}
#: Most bytes of a cutout: four arcmin of all bands in pixels of 0.25 arcsec have 20 MB.
MOST_BYTES = 100_000_000
#: A cutout reaches at least so far from the target [arcsec].
LEAST_REACH = 12.0
#: Magnitudes to natural logarithms, in which the stacks of Pan-STARRS hold their flux.
_MAGNITUDES = 0.4 * math.log(10.0)
_NAME = re.compile(r"(?:.*[._-])?([grizy])", re.IGNORECASE)


class CutoutFault(SedmError):
    """A cutout cannot be used; the target is extracted without it."""


def read_cutouts(folder: Path | None, name: str, header: Mapping[str, Any]) -> tuple[HostImages | None, list[str]]:
    """The images of a target's field, and a sentence for each file that cannot be used.

    Parameters
    ----------
    folder : Path or None
        Holds a folder for each target, by its name: ``FOLDER/NAME/g.fits`` (``ps1_g.fits``, ``stack.i.fits``), one band
        in each, or any name with a card BANDS and a plane for each band.
    name : str
        The target as it was typed.
    header : mapping
        Tells where the target is.

    Returns
    -------
    HostImages or None
        None where there is no usable image.
    """
    place = None if folder is None else folder / safe_name(name)
    position = target_position(header)
    if place is None or position is None or not place.is_dir():
        return None, []
    files = sorted(path for path in place.glob("*.fits") if not path.name.startswith((".", "e3d")))
    read, troubles = each(files, lambda path: images_in(path, position))
    found = {one.band: one for images in read.values() for one in images}
    if not found:
        return None, troubles
    bands = "".join(band for band in BANDS if band in found)
    return HostImages(images=tuple(found[band] for band in bands), source=f"images {bands}"), troubles


def cutouts_of(inputs: Inputs, exposures: Sequence[Exposure]) -> tuple[HostImages | None, list[str]]:
    """The field of an observation by a cube of another epoch, else by images, in the folder of its settings."""
    folder, name = inputs.settings.cutouts, inputs.subject.name
    cube, troubles = read_host_cube(folder, name, exposures[0], seeing_arcsec=inputs.settings.seeing_arcsec)
    if cube is not None and cube.visible:
        return cube, troubles
    images, more = read_cutouts(folder, name, exposures[0].header)
    return images, [*troubles, *more]


def images_in(path: Path, position: tuple[float, float]) -> list[HostImage]:
    """The images in a file, about a position (right ascension and declination, degrees).

    Raises
    ------
    CutoutFault
        No image, of no known band, without a position on the sky, or the target is not in it.
    OSError
        It cannot be read.
    """
    with open_regular(path, most_bytes=MOST_BYTES, follow=True) as stream, fits.open(stream, memmap=False) as hdul:
        hdu = next((one for one in hdul if getattr(one, "shape", ()) and one.is_image), None)
        if hdu is None:
            raise CutoutFault(f"{path.name} holds no image; expected a cutout of one band or a plane for each")
        header, values = hdu.header, np.asarray(hdu.data, float)
    planes = values if values.ndim == 3 else values[None]
    bands = _bands(path, header, len(planes))
    to_pixel = _to_pixel(path, header, position)
    made = []
    for band, plane in zip(bands, planes, strict=True):
        if band not in BANDS:
            continue
        wavelength, fwhm = BANDS[band]
        linear = _linear(plane, header)
        one = HostImage(band=band, wavelength=wavelength, values=linear, to_pixel=to_pixel, fwhm_arcsec=fwhm)
        _check_reach(path, one)
        made.append(one)
    if not made:
        raise CutoutFault(f"{path.name} is of no band that is known; expected one of {', '.join(BANDS)}")
    return made


def _bands(path: Path, header: fits.Header, planes: int) -> str:
    """A letter for each plane: of the card BANDS, else of the name of the file."""
    told = str(header.get("BANDS", "")).strip().casefold()
    if told and len(told) == planes:
        return told
    found = _NAME.fullmatch(path.stem)
    if planes == 1 and found is not None:
        return found.group(1).casefold()
    msg = f"{path.name}: of which band? expected a name that ends in g, r, i, z or y, or BANDS with {planes} letters"
    raise CutoutFault(msg)


def _to_pixel(path: Path, header: fits.Header, position: tuple[float, float]) -> NDArray[Any]:
    """Column and row of a place, from the world coordinates: see `HostImage`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            sky = WCS(header).celestial
        except Exception as error:  # astropy raises many kinds over a header that does not hold together
            raise CutoutFault(f"{path.name}: its world coordinates cannot be read ({error})") from error
    if sky.naxis != 2 or not sky.has_celestial:
        raise CutoutFault(f"{path.name} has no world coordinates; expected a cutout with CRVAL1, CRPIX1, CD1_1 ...")
    step = 10.0
    corners = [sky_position(position, *off) for off in ((0.0, 0.0), (step, 0.0), (0.0, step))]
    middle, east, north = (np.array(sky.all_world2pix([corner], 0)[0], float) for corner in corners)
    found = np.column_stack([(east - middle) / step, (north - middle) / step, middle])
    if not np.isfinite(found).all() or abs(float(np.linalg.det(found[:, :2]))) < 1e-6:
        raise CutoutFault(f"{path.name}: its world coordinates give no place for the target")
    return found


def _linear(values: NDArray[Any], header: fits.Header) -> NDArray[Any]:
    """Linear flux: the stacks of Pan-STARRS are kept as inverse hyperbolic sines (BOFFSET, BSOFTEN)."""
    soft = header.get("BSOFTEN")
    if not isinstance(soft, float | int) or soft <= 0:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        found: NDArray[Any] = float(header.get("BOFFSET", 0.0)) + 2 * float(soft) * np.sinh(_MAGNITUDES * values)
    return np.where(np.isfinite(found), found, np.nan)


def _check_reach(path: Path, one: HostImage) -> None:
    rows, columns = one.values.shape
    column, row = one.to_pixel[:, 2]
    reach = min(column, row, columns - 1 - column, rows - 1 - row) * one.scale_arcsec
    if reach < LEAST_REACH:
        where = "the target is not in it" if reach < 0 else f"it reaches {reach:.0f} arcsec from the target"
        raise CutoutFault(f"{path.name}: {where}, at least {LEAST_REACH:g} expected; get one about the target")
