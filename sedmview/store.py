"""Cubes from disk, spectra to disk: all the viewer's dealings with files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.data import standards
from sedmd.data.extinction import extinction_mag
from sedmd.errors import SedmError
from sedmd.frames import Frame, frame_from_header
from sedmd.job import Job
from sedmd.night import observations
from sedmd.products.ascii import write_ascii
from sedmd.products.conditions import Conditions, conditions_of, refraction
from sedmd.products.cube import read_cube
from sedmd.products.fitsio import CardValue, card_value
from sedmd.products.plots import ApertureMark, MapImage, plot_spectrum
from sedmd.products.provenance import provenance
from sedmd.products.solution import read_sensitivity
from sedmd.products.spectrum import META_CARDS, write_spectrum
from sedmd.reduce.containers import Cube, FloatArray, Spectrum
from sedmd.reduce.find import find_sources
from sedmd.reduce.hexagon import cell_vertices
from sedmd.reduce.psf import Psf, Refraction
from sedmview.model import WINDOWS, Calibration, Choice, Target, subtract_pair

#: Added to the name of a product that an observer made of a target which the pipeline had extracted too.
REDONE = "_redo"

#: Significance of a star whose width is trusted to tell how much light an aperture misses.
CLEAR_STAR = 15.0

#: Step that the header of an observer's spectrum names.
STEP = "observer"

_STEM = re.compile(r"e3d_(?:crr_b_)?(ifu\d{8}_\d\d_\d\d_\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One observation that can be opened: its product name, its cube or cubes, and what became of it so far."""

    product: str
    cubes: tuple[Path, ...]
    state: str = "waiting"


def entries_of(directory: Path) -> tuple[list[Entry], list[str]]:
    """The observations in a redux directory, in time order, and what could not be read.

    A and B of a pair are joined, and products named, by the rules of the pipeline.
    """
    cubes: dict[str, Path] = {}
    frames: list[Frame] = []
    troubles: list[str] = []
    for path in sorted(directory.glob("e3d_*.fits")):
        try:
            frame = _frame_of(path, fits.getheader(path))
        except (SedmError, OSError) as error:
            troubles.append(f"{path.name}: {error}")
            continue
        cubes[frame.stem] = path
        frames.append(frame)
    visits = sorted(observations(frames, standards.lookup), key=lambda visit: visit.frames[0].start)
    entries = [
        Entry(
            product=visit.product,
            cubes=tuple(cubes[frame.stem] for frame in visit.frames),
            state=state_of(directory, visit.product),
        )
        for visit in visits
    ]
    return entries, troubles


def entry_of(cubes: Sequence[Path]) -> Entry:
    """A single cube, or the cubes of A and B, named as they would be in a directory of their own."""
    frames = [_frame_of(path, fits.getheader(path)) for path in cubes]
    visit = observations(frames[:1], standards.lookup)
    safe = visit[0].safe if visit else frames[0].stem
    product = safe if len(cubes) == 2 else f"{safe}_obs1"
    return Entry(product=product, cubes=tuple(cubes), state=state_of(cubes[0].parent, product))


def state_of(directory: Path, product: str) -> str:
    """What became of an observation: waiting, automatic, or graded by whom."""
    state = "waiting"
    for name in (product, product + REDONE):
        try:
            header = fits.getheader(directory / f"sp_{name}.fits")
        except OSError:
            continue
        grade, reducer = card_value(header, "QUALITY"), card_value(header, "REDUCER")
        state = f"{grade} {reducer}" if isinstance(grade, int) and grade > 0 else "automatic"
    return state


def load(entry: Entry) -> Target:
    """Read the cubes of an observation.

    Raises
    ------
    SedmError, OSError, ValueError
        A cube cannot be read, or A and B do not fit each other.
    """
    cube_a, header_a = read_cube(entry.cubes[0])
    frame_a = _frame_of(entry.cubes[0], header_a)
    exptime = _exposure(frame_a)
    conditions = conditions_of(header_a)
    shift = refraction(conditions, cube_a.wavelength)
    target = Target(
        product=entry.product,
        field_cube=cube_a,
        exptime_s=exptime,
        refraction_a=shift,
        meta=_meta(header_a, frame_a, conditions),
        psf=_psf(cube_a, shift),
        calibration=_calibration(entry.cubes[0].parent, cube_a, conditions.airmass),
        paths=entry.cubes,
    )
    if len(entry.cubes) == 1:
        return target
    cube_b, header_b = read_cube(entry.cubes[1])
    frame_b = _frame_of(entry.cubes[1], header_b)
    conditions_b = conditions_of(header_b)
    airmasses = [value for value in (conditions.airmass, conditions_b.airmass) if value is not None]
    airmass = sum(airmasses) / len(airmasses) if airmasses else None
    return Target(
        product=entry.product,
        field_cube=subtract_pair(cube_a, cube_b, exptime, _exposure(frame_b)),
        exptime_s=exptime,
        refraction_a=target.refraction_a,
        refraction_b=refraction(conditions_b, cube_b.wavelength),
        meta=dict(target.meta) | {"frame_b": frame_b.stem, "airmass": airmass, "is_pair": True},
        psf=target.psf,
        calibration=_calibration(entry.cubes[0].parent, cube_a, airmass),
        paths=entry.cubes,
    )


def save(target: Target, choice: Choice, spectrum: Spectrum, *, reducer: str) -> tuple[Path, ...]:
    """Write ``sp_<product>.fits``, ``<product>_SEDM.txt`` and ``<product>_SEDM.pdf`` beside the cube, the FITS last.

    Where the pipeline has extracted the target itself, its files stay, since it would make them anew; the observer's
    carry `REDONE` in their names.

    Parameters
    ----------
    target, choice, spectrum
        As shown; `choice.grade` must be set.
    reducer : str
        The observer's name.

    Returns
    -------
    tuple of Path
        The files that were written.

    Raises
    ------
    SedmError, OSError
        The disk is full or not writable.
    ValueError
        No grade or no name.
    """
    if choice.grade is None:
        raise ValueError("no grade yet: press 1 to 5")
    if not reducer.strip():
        raise ValueError("no name yet: type yours in the field below the spectrum")
    named = Spectrum(
        wavelength=spectrum.wavelength,
        flux=spectrum.flux,
        error=spectrum.error,
        sky=spectrum.sky,
        unit=spectrum.unit,
        meta=dict(target.meta) | dict(spectrum.meta) | {"quality": choice.grade, "reducer": reducer.strip()},
    )
    directory = target.paths[0].parent
    product = target.product + (REDONE if _is_automatic(directory / f"sp_{target.product}.fits") else "")
    paths = tuple(directory / name for name in (f"{product}_SEDM.txt", f"{product}_SEDM.pdf", f"sp_{product}.fits"))
    write_ascii(paths[0], named)
    plot_spectrum(paths[1], named, name=product, image=_picture(target, choice), apertures=_marks(target, choice))
    job = Job(
        step=STEP,
        night=directory.name,
        label=product,
        inputs={"cube": target.paths},
        outputs={},
        options={"window": WINDOWS[choice.window][0]},
    )
    write_spectrum(paths[2], named, header=fits.getheader(target.paths[0]), provenance=provenance(job))
    return paths


def _is_automatic(path: Path) -> bool:
    """Is this a spectrum of the pipeline, not one of an observer?"""
    try:
        return card_value(fits.getheader(path), "STEP") != STEP
    except FileNotFoundError:
        return False


def _psf(cube: Cube, shift: tuple[FloatArray, FloatArray]) -> Psf | None:
    """Image of a point source, from the brightest star of the field; None when none is clear enough to tell."""
    sources = find_sources(
        cube,
        Refraction(east=np.asarray(shift[0], float), north=np.asarray(shift[1], float)),
        max_sources=1,
        threshold=CLEAR_STAR,
    )
    return sources[0].psf if sources else None


def _calibration(directory: Path, cube: Cube, airmass: float | None) -> Calibration | None:
    """The night's flux calibration, if there is one that fits the cube; without an airmass 1 is taken."""
    path = directory / "std-correction.fits"
    if not path.exists():
        return None
    sensitivity = read_sensitivity(path)
    if not np.array_equal(sensitivity.wavelength, cube.wavelength):
        return None
    return Calibration(
        source=path.name,
        sensitivity=sensitivity,
        mag_per_airmass=extinction_mag(cube.wavelength),
        airmass=1.0 if airmass is None else airmass,
    )


def _picture(target: Target, choice: Choice) -> MapImage:
    spaxels = target.field_cube.spaxels
    _, low, high = WINDOWS[choice.window]
    return MapImage(
        x_arcsec=spaxels.x_arcsec,
        y_arcsec=spaxels.y_arcsec,
        values=target.picture(choice.window),
        corners=cell_vertices(spaxels),
        label=f"{low:.0f}-{high:.0f} Å",
    )


def _marks(target: Target, choice: Choice) -> list[ApertureMark]:
    marks = []
    for letter, aperture in (("A", choice.a), ("B", choice.b)):
        if aperture is not None:
            marks.append(
                ApertureMark(
                    x_arcsec=aperture.x_arcsec,
                    y_arcsec=aperture.y_arcsec,
                    semi_major_arcsec=aperture.semi_major_arcsec,
                    axis_ratio=aperture.axis_ratio,
                    angle_deg=aperture.angle_deg,
                    label=letter if target.pair else "",
                    negative=letter == "B",
                )
            )
    return marks


def _frame_of(path: Path, header: fits.Header) -> Frame:
    """The raw frame a cube was made of: its cards travelled with it."""
    found = _STEM.search(path.name)
    stem = found.group(1) if found else path.stem
    cards: Mapping[str, object] = {key: card_value(header, key) for key in header if key}
    return frame_from_header(cards, path.with_name(f"{stem}.fits"))


def _exposure(frame: Frame) -> float:
    if frame.exptime_s is None:
        raise SedmError(f"{frame.stem}: {frame.reason or 'no exposure time'}; there is nothing to extract")
    return frame.exptime_s


def _meta(header: fits.Header, frame: Frame, conditions: Conditions) -> dict[str, CardValue]:
    """Figures for the spectrum's header: those the cube already carries, and those of the frame."""
    meta: dict[str, CardValue] = {
        key: value for key, (card, _) in META_CARDS.items() if (value := card_value(header, card)) is not None
    }
    for key in ("quality", "reducer", "skysub", "is_pair"):
        meta.pop(key, None)
    request = card_value(header, "REQ_ID")
    star = standards.lookup(frame.name)
    meta |= {
        "target": frame.name,
        "frame": frame.stem,
        "utc": frame.start.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-5],
        "ra": meta.get("ra") or card_value(header, "RA") or card_value(header, "TEL_RA"),
        "dec": meta.get("dec") or card_value(header, "DEC") or card_value(header, "TEL_DEC"),
        "airmass": conditions.airmass,
        "parallactic_deg": conditions.parallactic_deg,
        "req_id": request if isinstance(request, int) else 0,
        "is_pair": False,
        "is_standard": star is not None,
        "standard": star,
        "fluxcal": False,
    }
    return meta
