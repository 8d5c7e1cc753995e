"""One exposure of a target: its cube, and what the header of it tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits

from sedmd.core.errors import FrameFault
from sedmd.data.extinction import extinction_mag
from sedmd.observation.meta import Facts, airmass_a_less_b, facts_of, mean_airmass
from sedmd.products.conditions import conditions_of, refraction
from sedmd.products.e3d import read_any_cube
from sedmd.products.fitsio import card_value
from sedmd.products.sky import offset_of
from sedmd.raw.frames import Frame, frame_from_header
from sedmd.reduce.flux.sensitivity import extinction_factor
from sedmd.reduce.numeric.containers import Cube, FloatArray
from sedmd.reduce.target.psf import Refraction
from sedmd.reduce.target.target import Look

_STEM = re.compile(r"((?:ifu|rc)?\d{8}_\d\d_\d\d_\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One exposure.

    Attributes
    ----------
    path : Path
    look : Look
        Cube, refraction, exposure time, telescope's offset.
    facts : Facts
    header : Header
        Of the cube.
    """

    path: Path
    look: Look
    facts: Facts
    header: fits.Header


def read_exposure(path: Path) -> Exposure:
    """Read a cube.

    Raises
    ------
    FrameFault
        Its exposure time is not a positive number.
    SedmError, OSError
        It cannot be read.
    """
    cube, header = read_any_cube(path)
    return exposure_of(path, cube, header)


def exposure_of(path: Path, cube: Cube, header: fits.Header) -> Exposure:
    """The exposure of a cube and its header, of this file. Raises FrameFault: no positive exposure time."""
    frame = raw_name(path)
    conditions = conditions_of(header, frame)
    facts = facts_of(header, frame, conditions)
    if not facts.exptime_s > 0:
        raise FrameFault(f"{path.name}: EXPTIME is {header.get('EXPTIME')!r}, a positive number was expected")
    east, north = refraction(conditions, cube.wavelength)
    return Exposure(
        path=path,
        look=Look(
            cube=cube,
            refraction=Refraction(east=east, north=north),
            exptime_s=facts.exptime_s,
            offset=offset_of(header),
        ),
        facts=facts,
        header=header,
    )


def raw_name(path: Path) -> str:
    """Name of the raw frame that a cube was made of: ``e3d_crr_b_ifuYYYYMMDD_HH_MM_SS_NAME.fits`` -> ``ifu...``."""
    found = _STEM.search(path.name)
    return found.group(1) if found else path.stem


def frame_of(path: Path, header: Mapping[str, object] | fits.Header) -> Frame:
    """The raw frame that a cube was made of: its cards travelled with it. Raises HeaderFault."""
    cards = {key: card_value(header, key) if isinstance(header, fits.Header) else header[key] for key in header if key}
    # cubes of other pipelines come without the read-out speed, or without its value; nothing here depends on it
    if cards.get("ADCSPEED") is None:
        cards["ADCSPEED"] = 0.1
    return frame_from_header(cards, path.with_name(f"{raw_name(path)}.fits"))


def airmass_of(exposures: Sequence[Exposure]) -> float | None:
    """Mean airmass of an observation; None where no header tells it."""
    return mean_airmass([one.facts for one in exposures])


def gain_of_b(exposures: Sequence[Exposure]) -> FloatArray | float:
    """Counts in B for one in A, (n_wave,): exposure time, and the little difference in extinction; 1 for a single."""
    if len(exposures) == 1:
        return 1.0
    a, b = (one.look for one in exposures)
    mag = extinction_mag(a.cube.wavelength)
    return b.exptime_s / a.exptime_s * extinction_factor(mag, airmass_a_less_b([one.facts for one in exposures]))


def to_mean_airmass(exposures: Sequence[Exposure]) -> FloatArray | float:
    """Factor, (n_wave,), from a flux in A to one at the mean airmass of the pair; 1 for a single."""
    if len(exposures) == 1:
        return 1.0
    mag = extinction_mag(exposures[0].look.cube.wavelength)
    return extinction_factor(mag, 0.5 * airmass_a_less_b([one.facts for one in exposures]))
