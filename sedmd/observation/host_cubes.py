"""A cube of a target's field from another epoch, which tells its host: named by whoever put it beside the cutouts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sedmd.core.errors import SedmError
from sedmd.core.target_names import safe_name
from sedmd.host.foreign_file import each
from sedmd.observation.exposure import Exposure, read_exposure
from sedmd.products.sky import target_position
from sedmd.raw.cards import number
from sedmd.reduce.target.host_cube import pictures
from sedmd.reduce.target.host_images import HostImages
from sedmd.reduce.target.seeing import AIRMASS_POWER

#: Names of cubes; every other file of the folder is an image.
CUBES = "e3d*.fits"
#: Nights that lie between two epochs at least: a transient that is in both would be taken off with its host.
LEAST_NIGHTS = 60
#: Farther from the middle of the cube than this the host is not whole in it [arcsec].
FARTHEST_ARCSEC = 8.0
_NIGHT = re.compile(r"(20\d\d)(\d\d)(\d\d)")


class HostCubeFault(SedmError):
    """A cube of another epoch cannot be used; the target is extracted without it."""


def read_host_cube(
    folder: Path | None, name: str, exposure: Exposure, *, seeing_arcsec: float
) -> tuple[HostImages | None, list[str]]:
    """The field of a target as a cube of another epoch shows it, and a sentence for each cube that cannot be used.

    Parameters
    ----------
    folder : Path or None
        Holds a folder for each target, by its name; in it are cubes of epochs when the target was not there:
        ``FOLDER/NAME/e3d_....fits``. Nobody looks for them in the archive: only who put them there knows that.
    name : str
        The target as it was typed.
    exposure : Exposure
        That is extracted.
    seeing_arcsec : float
        What is usual for a star at the zenith: the FWHM in the cube where nothing else tells it.

    Returns
    -------
    HostImages or None
        Of the longest of the exposures.
    """
    place = None if folder is None else folder / safe_name(name)
    position = target_position(exposure.header)
    if place is None or position is None or not place.is_dir():
        return None, []
    files = sorted(place.glob(CUBES))
    read, troubles = each(files, lambda path: _usable(path, exposure, position))
    if not read:
        return None, troubles
    path, (other, at) = max(read.items(), key=lambda item: item[1][0].look.exptime_s)
    airmass = max(other.facts.airmass or 1.0, 1.0)
    night = "".join(_night_of(path).isoformat().split("-"))
    fwhm = seeing_arcsec * airmass**AIRMASS_POWER
    made = pictures(other.look.cube, other.look.refraction, at, fwhm, source=f"cube {night}")
    return made, troubles


def _usable(path: Path, exposure: Exposure, position: tuple[float, float]) -> tuple[Exposure, tuple[float, float]]:
    other = read_exposure(path)
    apart = abs((_night_of(path) - _night_of(exposure.path)).days)
    if apart < LEAST_NIGHTS:
        raise HostCubeFault(
            f"{path.name} is {apart} nights from this exposure, at least {LEAST_NIGHTS} expected: "
            "the target may be in it"
        )
    at = place_in(other.header, position)
    if at is None or math.hypot(*at) > FARTHEST_ARCSEC:
        raise HostCubeFault(f"{path.name}: the target is not within {FARTHEST_ARCSEC:g} arcsec of its middle")
    return other, at


def place_in(header: Mapping[str, Any], position: tuple[float, float]) -> tuple[float, float] | None:
    """Where in a cube a sky position (degrees) falls, arcsec; None where its header does not tell its own target's."""
    own = target_position(header)
    if own is None:
        return None
    east = (position[0] - own[0] + 180.0) % 360.0 - 180.0
    x, y = 3600.0 * east * math.cos(math.radians(own[1])), 3600.0 * (position[1] - own[1])
    return x + (number(header.get("PLACEX")) or 0.0), y + (number(header.get("PLACEY")) or 0.0)


def _night_of(path: Path) -> date:
    """The date in a cube's name. Raises HostCubeFault."""
    found = _NIGHT.search(path.name)
    try:
        return date(*(int(part) for part in found.groups())) if found else _no_night(path)
    except ValueError:
        return _no_night(path)


def _no_night(path: Path) -> date:
    raise HostCubeFault(f"{path.name}: its name tells no night; expected e3d_crr_b_ifuYYYYMMDD_HH_MM_SS_NAME.fits")
