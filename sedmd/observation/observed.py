"""One observation and an observer's placement on it: cubes in, the spectrum out.

The viewer shows what `extract` gives and saves what `sedmd.observation.saved` writes; ``sedmd extract --decision``
does the same without a window.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.core.errors import SedmError
from sedmd.data.extinction import extinction_mag
from sedmd.observation.decisions import Placement
from sedmd.products.conditions import Conditions, conditions_of, refraction
from sedmd.products.e3d import read_any_cube
from sedmd.products.fitsio import CardValue, ProductFault, card_value
from sedmd.products.sensitivity import read_sensitivity
from sedmd.products.sky import middle_position, offset_of, target_text
from sedmd.products.spectrum import META_CARDS
from sedmd.raw.cards import whole, within
from sedmd.raw.clocks import in_words
from sedmd.raw.frames import Frame, Kind, frame_from_header
from sedmd.raw.visits import half_by_label
from sedmd.reduce.flux.sensitivity import Sensitivity, calibrate
from sedmd.reduce.numeric.containers import Cube, FloatArray, IntArray, Spectrum
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target.aperture import (
    Ellipse,
    Measured,
    difference,
    enclosed_fraction,
    mean_of_pair,
    measure_ellipse,
    negated,
)
from sedmd.reduce.target.psf import Psf
from sedmd.reduce.target.target import move_of

INSTRUMENTAL, CALIBRATED = "electron / (s Angstrom)", "erg / (s cm2 Angstrom)"
#: Name of the night's flux calibration.
FLUXCAL = "std-correction.fits"

_STEM = re.compile(r"((?:ifu|rc)?\d{8}_\d\d_\d\d_\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The night's flux calibration: its file, the sensitivity, the extinction (n_wave,), the mean airmass."""

    path: Path
    sensitivity: Sensitivity
    mag_per_airmass: FloatArray
    airmass: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One observation, loaded.

    Attributes
    ----------
    product : str
        Name of its products: ``sp_<product>.fits``.
    field_cube : Cube
        What is looked at: the cube, or A minus B.
    cubes : tuple of Cube
        One, or A and B.
    exptimes_s : tuple of float
        One for each cube.
    refraction : tuple of (dx, dy), each (n_wave,) arcsec East and North
        One for each cube.
    meta : mapping
        Figures of the observation that go into the spectrum's header.
    calibration : Calibration or None
        Without one the spectrum stays in electrons.
    offsets : tuple of ((x, y) or None)
        The telescope's offset in each exposure, arcsec East and North; None where the header does not tell.
    centre_deg : (RA, Dec) or None
        Of the middle of the field in the first exposure: the target's position less that of the place where targets
        land, as the cube's header tells.
    notes : tuple of str
        What an observer should know about the files.
    paths : tuple of Path
    stamp : tuple
        The state of the files when they were read, see `stamp_of`; empty when not known.
    header : Header
        Of the first cube.
    """

    product: str
    field_cube: Cube
    cubes: tuple[Cube, ...]
    exptimes_s: tuple[float, ...]
    refraction: tuple[tuple[FloatArray, FloatArray], ...]
    meta: Mapping[str, CardValue] = field(default_factory=dict)
    calibration: Calibration | None = None
    offsets: tuple[tuple[float, float] | None, ...] = (None,)
    centre_deg: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    stamp: tuple[tuple[str, int, int], ...] = ()
    header: fits.Header = field(default_factory=fits.Header)

    @property
    def pair(self) -> bool:
        return len(self.cubes) == 2

    @property
    def nod(self) -> tuple[float, float] | None:
        """Where an object moves to from A to B, arcsec East and North: against the telescope. None if nothing tells."""
        move = move_of(self.offsets)
        return None if move is None else (-move[0], -move[1])

    @property
    def exptime_s(self) -> float:
        """Exposure of the cube that is looked at: that of A."""
        return self.exptimes_s[0]

    @property
    def folder(self) -> Path:
        return self.paths[0].parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one aperture gave: the spectrum, calibrated where that is possible, and the spaxels it was made of."""

    spectrum: Spectrum
    measured: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The spectrum of a placement, and its parts: one, or A and B."""

    spectrum: Spectrum
    parts: tuple[Part, ...]


def load(product: str, paths: Sequence[Path]) -> Observation:
    """Read the cubes of an observation.

    Parameters
    ----------
    product : str
    paths : one cube, or those of A and B

    Raises
    ------
    SedmError, OSError
        A cube cannot be read, or A and B do not fit each other.
    """
    stamp = stamp_of(paths)
    read = [_exposure(path) for path in paths]
    first = read[0]
    airmasses = [one.conditions.airmass for one in read if one.conditions.airmass is not None]
    airmass = sum(airmasses) / len(airmasses) if airmasses else None
    notes = tuple(note for one in read for note in one.frame.notes)
    calibration, note = _calibration(paths[0].parent, first.cube, airmass)
    meta = _meta(first) | {"airmass": airmass}
    field_cube = first.cube
    if len(read) == 2:
        try:
            exposures = {"exptime_a_s": first.exptime_s, "exptime_b_s": read[1].exptime_s}
            field_cube = difference(first.cube, read[1].cube, **exposures)
        except ValueError as error:
            raise SedmError(f"{product}: {error}") from error
        meta |= {"frame_b": read[1].frame.stem, "is_pair": True}
    elif first.frame.pair and half_by_label(first.frame):
        meta |= {"half_of_pair": first.frame.nod}
    return Observation(
        product=product,
        field_cube=field_cube,
        cubes=tuple(one.cube for one in read),
        exptimes_s=tuple(one.exptime_s for one in read),
        refraction=tuple(refraction(one.conditions, one.cube.wavelength) for one in read),
        meta=meta,
        calibration=calibration,
        offsets=tuple(offset_of(one.header) for one in read),
        centre_deg=middle_position(first.header),
        notes=notes + ((note,) if note else ()),
        paths=tuple(paths),
        stamp=stamp,
        header=first.header,
    )


def stamp_of(paths: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """Name, time of change [ns] and size of cubes and of the night's flux calibration; tells whether they are the same.

    Raises
    ------
    OSError
        A cube is gone.
    """
    fluxcal = paths[0].parent / FLUXCAL
    files = [*paths, *([fluxcal] if fluxcal.exists() else [])]
    return tuple((path.name, (status := path.stat()).st_mtime_ns, status.st_size) for path in files)


def frame_of(path: Path, header: Mapping[str, object] | fits.Header) -> Frame:
    """The raw frame that a cube was made of: its cards travelled with it. Raises HeaderFault."""
    found = _STEM.search(path.name)
    stem = found.group(1) if found else path.stem
    cards = {key: card_value(header, key) if isinstance(header, fits.Header) else header[key] for key in header if key}
    # cubes of other pipelines come without the read-out speed, which nothing here depends on
    cards.setdefault("ADCSPEED", 0.1)
    return frame_from_header(cards, path.with_name(f"{stem}.fits"))


def extract(observation: Observation, placement: Placement) -> Extraction:
    """The spectrum that is shown and saved; for a pair the mean of both places in A minus B.

    Parameters
    ----------
    observation : Observation
    placement : Placement
        With an aperture B if, and only if, the observation is a pair.

    Raises
    ------
    ValueError
        No spectrum can be made so; the text says what to do.
    """
    return Extractor(observation).extract(placement)


class Extractor:
    """Extracts again only what changed: while one aperture of a pair is dragged the other one's part is kept."""

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self._negative = negated(observation.field_cube) if observation.pair else observation.field_cube
        self._parts: dict[tuple[object, ...], Part] = {}

    def extract(self, placement: Placement) -> Extraction:
        """As `extract`, bit for bit. Raises ValueError."""
        if self.observation.pair != (placement.b is not None):
            raise ValueError("a pair needs the apertures A and B, a single exposure A only")
        sides = [(0, placement.a, placement.psf_a)]
        if placement.b is not None:
            sides.append((1, placement.b, placement.psf_b or placement.psf_a))
        parts: list[Part] = []
        fresh: dict[tuple[object, ...], Part] = {}
        for side, ellipse, psf in sides:
            key = (side, ellipse, psf, placement.skysub, placement.point_source)
            part = self._parts.get(key)
            if part is None:
                cube = self._negative if side else self.observation.field_cube
                part = _part(self.observation, cube, ellipse, side, psf, placement)
            parts.append(part)
            fresh[key] = part
        self._parts = fresh
        spectra = [part.spectrum for part in parts]
        whole = spectra[0] if len(spectra) == 1 else mean_of_pair(*spectra)
        return Extraction(spectrum=_named(self.observation, whole), parts=tuple(parts))


def with_grade(spectrum: Spectrum, quality: int, reducer: str) -> Spectrum:
    """The spectrum with the observer's verdict in its figures."""
    return replace(spectrum, meta=dict(spectrum.meta) | {"quality": quality, "reducer": reducer})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exposure:
    cube: Cube
    header: fits.Header
    frame: Frame
    conditions: Conditions
    exptime_s: float


def _exposure(path: Path) -> _Exposure:
    cube, header = read_any_cube(path)
    frame = frame_of(path, header)
    if frame.exptime_s is None:
        raise SedmError(f"{frame.stem}: {frame.reason or 'no exposure time'}; there is nothing to extract")
    conditions = conditions_of(header, frame.stem)
    return _Exposure(cube=cube, header=header, frame=frame, conditions=conditions, exptime_s=frame.exptime_s)


def _part(
    observation: Observation, cube: Cube, ellipse: Ellipse, side: int, psf: Psf | None, placement: Placement
) -> Part:
    dx, dy = observation.refraction[side]
    sky = "annulus" if placement.skysub else "none"
    measured = measure_ellipse(cube, ellipse, dx, dy, sky=sky, exptime_s=observation.exptime_s)  # type: ignore[arg-type]
    spectrum = measured.spectrum
    if observation.pair and len(measured.sky):  # in A minus B there is none left to tell of
        spectrum = replace(spectrum, sky=_level(observation.cubes[side], measured.sky) / observation.exptimes_s[side])
    if psf is not None and placement.point_source:
        share = enclosed_fraction(cube, psf, ellipse, dx, dy, sky=sky, found=measured)  # type: ignore[arg-type]
        whole = np.where(share > 0.1, share, np.nan)
        spectrum = replace(
            spectrum,
            flux=spectrum.flux / whole,
            error=spectrum.error / whole,
            meta=dict(spectrum.meta)
            | {"aperture_share": float(np.median(share)), "seeing_arcsec": float(psf.fwhm_arcsec)},
        )
    return Part(spectrum=calibrated(spectrum, observation.calibration), measured=measured)


def _level(cube: Cube, members: IntArray) -> FloatArray:
    """Mean surface brightness of some spaxels, (n_wave,) electron / Angstrom / arcsec**2; NaN where none is good."""
    flux, mask = (np.take(one, members, axis=1, mode="clip") for one in (cube.flux, cube.mask))
    good = mask == 0
    if good.all():
        mean = flux.mean(axis=1, dtype=float)
    else:
        count = good.sum(axis=1)
        total = np.where(good, flux, 0).sum(axis=1, dtype=float)
        mean = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return np.asarray(mean / cell_area(cube.spaxels))


def calibrated(spectrum: Spectrum, calibration: Calibration | None) -> Spectrum:
    """The spectrum in erg / (s cm2 Angstrom), as the pipeline calibrates it; unchanged without a calibration."""
    if calibration is None:
        return spectrum
    sensitivity, mag, airmass = calibration.sensitivity, calibration.mag_per_airmass, calibration.airmass
    flux, error = calibrate(spectrum.flux, spectrum.error, sensitivity, mag, airmass)
    sky, _ = calibrate(spectrum.sky, spectrum.sky, sensitivity, mag, airmass)
    return Spectrum(
        wavelength=spectrum.wavelength,
        flux=flux,
        error=error,
        sky=sky,
        unit=CALIBRATED,
        meta=dict(spectrum.meta) | {"fluxcal": True, "fluxcal_source": calibration.path.name},
    )


def _named(observation: Observation, spectrum: Spectrum) -> Spectrum:
    return replace(spectrum, meta=dict(observation.meta) | dict(spectrum.meta))


def _calibration(folder: Path, cube: Cube, airmass: float | None) -> tuple[Calibration | None, str]:
    """The night's flux calibration if there is one that fits the cube, and what is to be said about it."""
    path = folder / FLUXCAL
    if not path.exists():
        return None, "no standard star reduced yet: the spectrum is in electrons"
    try:
        sensitivity = read_sensitivity(path)
    except ProductFault as error:
        return None, f"no flux calibration: {error}"
    if not np.array_equal(sensitivity.wavelength, cube.wavelength):
        return None, f"{FLUXCAL} is of other wavelengths: the spectrum is in electrons"
    made = Calibration(
        path=path,
        sensitivity=sensitivity,
        mag_per_airmass=extinction_mag(cube.wavelength),
        airmass=1.0 if airmass is None else airmass,
    )
    return made, "" if airmass is not None else "no airmass in the header: 1.0 assumed for the extinction"


def _meta(exposure: _Exposure) -> dict[str, CardValue]:
    """Figures for the spectrum's header: those the cube already carries, and those of the frame."""
    header, frame = exposure.header, exposure.frame
    meta: dict[str, CardValue] = {
        key: value for key, (card, _) in META_CARDS.items() if (value := card_value(header, card)) is not None
    }
    for key in ("quality", "reducer", "skysub", "is_pair", "method"):
        meta.pop(key, None)
    ra, dec = target_text(header)
    at = int(np.argmin(np.abs(exposure.cube.wavelength - 5577)))
    line_px = within(header, "LSFSIGMA", 0.0, 100.0)
    if line_px is not None:
        meta["sky_line_fwhm_nm"] = 2.355 * line_px * float(np.gradient(exposure.cube.wavelength)[at]) / 10
    meta |= {
        "target": frame.name,
        "frame": frame.stem,
        "utc": in_words(frame.start),
        "ra": ra,
        "dec": dec,
        "parallactic_deg": exposure.conditions.parallactic_deg,
        "req_id": max(whole(header.get("REQ_ID")) or 0, 0),
        "is_pair": False,
        "is_standard": frame.kind is Kind.STANDARD,
        "standard": frame.star,
        "fluxcal": False,
    }
    return meta
