"""One observation, loaded: its cubes, what their headers tell, and what the spectrum is made with besides them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from astropy.io import fits

from sedmd.core.errors import SedmError
from sedmd.host.foreign_file import each
from sedmd.observation.calibrate import Calibration, read_calibration
from sedmd.observation.exposure import Exposure, airmass_of, frame_of, read_exposure
from sedmd.observation.inputs import FLUXCAL, FluxSource, Inputs, inputs_by_headers
from sedmd.observation.meta import ASSUMED_AIRMASS, figures_of
from sedmd.products.fitsio import CardValue, ProductFault, primary_header
from sedmd.products.guide import GuideRecord, read_guide
from sedmd.products.sky import middle_position
from sedmd.raw.frames import Frame
from sedmd.reduce.guide.brightness import ZeroPoints, together
from sedmd.reduce.numeric.containers import Cube, FloatArray
from sedmd.reduce.target.aperture import difference
from sedmd.reduce.target.target import move_of

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One observation, loaded.

    Attributes
    ----------
    product : str
        Name of its products: ``sp_<product>.fits``.
    exposures : tuple of Exposure
        One, or A and B.
    inputs : Inputs
        Target, star and flux calibration, as the planner chose them or the headers tell.
    field_cube : Cube
        What is looked at: the cube, or A minus B.
    calibration : Calibration or None
        Without one the spectrum stays in electrons.
    frame_notes, notes : tuple of str
        What an observer should know about the raw frames' headers; about these and all other files.
    stamp : tuple
        The state of the files when they were read, see `stamp_of`; empty when not known.
    """

    product: str
    exposures: tuple[Exposure, ...]
    inputs: Inputs
    field_cube: Cube
    calibration: Calibration | None = None
    frame_notes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stamp: Stamp = ()

    @property
    def pair(self) -> bool:
        return len(self.exposures) == 2

    @property
    def cubes(self) -> tuple[Cube, ...]:
        return tuple(one.look.cube for one in self.exposures)

    @property
    def exptimes_s(self) -> tuple[float, ...]:
        return tuple(one.look.exptime_s for one in self.exposures)

    @property
    def exptime_s(self) -> float:
        """Exposure of the cube that is looked at: that of A."""
        return self.exptimes_s[0]

    @property
    def refraction(self) -> tuple[tuple[FloatArray, FloatArray], ...]:
        """Offsets (n_wave,) East and North [arcsec] in each exposure."""
        return tuple((one.look.refraction.east, one.look.refraction.north) for one in self.exposures)

    @property
    def offsets(self) -> tuple[tuple[float, float] | None, ...]:
        """The telescope's offset in each exposure, arcsec East and North; None where the header does not tell."""
        return tuple(one.look.offset for one in self.exposures)

    @property
    def nod(self) -> tuple[float, float] | None:
        """Where an object moves to from A to B, arcsec East and North: against the telescope. None if nothing tells."""
        move = move_of(self.offsets)
        return None if move is None else (-move[0], -move[1])

    @property
    def header(self) -> fits.Header:
        """Of the first cube."""
        return self.exposures[0].header

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(one.path for one in self.exposures)

    @property
    def folder(self) -> Path:
        return self.paths[0].parent

    @property
    def airmass(self) -> float | None:
        """Mean over the exposures; None where no header tells it."""
        return airmass_of(self.exposures)

    @property
    def centre_deg(self) -> tuple[float, float] | None:
        """RA and Dec of the middle of the field in the first exposure, as the cube's header tells; None if not."""
        return middle_position(self.header)

    @property
    def meta(self) -> Mapping[str, CardValue]:
        """Figures of the observation that go into the spectrum's header."""
        facts = [one.facts for one in self.exposures]
        return figures_of(facts, self.inputs.subject, self.field_cube.wavelength)


def load(
    product: str,
    paths: Sequence[Path],
    inputs: Inputs | None = None,
    *,
    otherwise: Callable[[Sequence[Frame], Path], Inputs] = inputs_by_headers,
) -> Observation:
    """Read the cubes of an observation.

    Parameters
    ----------
    product : str
    paths : one cube, or those of A and B
    inputs : Inputs, optional
        As the planner chose them (`sedmd.run.chosen`); by default the headers in the folder have to tell.
    otherwise : callable
        Where `inputs` are not given: (raw frames, folder) -> what the headers tell.

    Raises
    ------
    SedmError, OSError
        A cube cannot be read, or A and B do not fit each other.
    """
    exposures = tuple(read_exposure(path) for path in paths)
    frames = [frame_of(one.path, one.header) for one in exposures]
    if inputs is None:
        inputs = otherwise(frames, paths[0].parent)
    field_cube = exposures[0].look.cube
    if len(exposures) == 2:
        a, b = (one.look for one in exposures)
        try:
            field_cube = difference(a.cube, b.cube, exptime_a_s=a.exptime_s, exptime_b_s=b.exptime_s)
        except ValueError as error:
            raise SedmError(f"{product}: {error}") from error
    bare = Observation(
        product=product,
        exposures=exposures,
        inputs=inputs,
        field_cube=field_cube,
        frame_notes=tuple(note for frame in frames for note in frame.notes),
    )
    return with_inputs(bare, inputs)


def with_inputs(observation: Observation, inputs: Inputs) -> Observation:
    """The same cubes with other inputs: their flux calibration is read. Raises OSError if a cube is gone."""
    points = _zero_points(replace(observation, inputs=inputs))
    calibration, notes = _calibration(inputs.flux, observation.field_cube, observation.airmass, points)
    chosen = ("no ledger: star and flux calibration chosen by the headers in the folder",) if inputs.by_headers else ()
    return replace(
        observation,
        inputs=inputs,
        calibration=calibration,
        notes=(*observation.frame_notes, *chosen, *notes),
        stamp=stamp_of(observation.paths, inputs.flux, inputs.guides),
    )


def stamp_of(paths: Sequence[Path], flux: FluxSource | None = None, guides: Sequence[Path | None] = ()) -> Stamp:
    """Name, time of change [ns] and size of an observation's files; tells whether they are the same.

    Parameters
    ----------
    paths : of the cubes; their night's own flux calibration counts also where it is not used
    flux : the flux calibration that is used
    guides : what guider frames of each exposure tell

    Raises
    ------
    OSError
        A cube is gone.
    """
    used = dict.fromkeys([paths[0].parent / FLUXCAL, *([flux.path] if flux else []), *filter(None, guides)])
    files = [*paths, *(path for path in used if path.exists())]
    return tuple((str(path), (status := path.stat()).st_mtime_ns, status.st_size) for path in files)


def star_header(observation: Observation) -> fits.Header | None:
    """Header of the spectrum of the star that gives PSF width and target position; None if none can be read."""
    path = observation.inputs.star
    if path is None:
        return None
    headers, _ = each([path], primary_header)
    return headers.get(path)


def guide_records(observation: Observation) -> tuple[GuideRecord | None, ...]:
    """What acquisition and guider frames of each exposure tell; None without, or if it cannot be read."""
    paths = observation.inputs.guides
    records, _ = each([path for path in paths if path is not None], read_guide)
    return tuple(None if path is None else records.get(path) for path in paths)


def _zero_points(observation: Observation) -> ZeroPoints:
    """What field stars tell of the air, by filter; none where those of an exposure do not tell."""
    records = guide_records(observation)
    points = [{} if one is None else one.zero_points for one in records]
    return points[0] if len(points) == 1 else together(points, observation.exptimes_s)


def _calibration(
    flux: FluxSource | None, cube: Cube, airmass: float | None, points: ZeroPoints
) -> tuple[Calibration | None, tuple[str, ...]]:
    """The flux calibration if there is one that fits the cube, and what is to be said about it."""
    if flux is None:
        return None, ("no standard star reduced yet: the spectrum is in electrons",)
    try:
        calibration = read_calibration(flux, points)
    except (ProductFault, OSError) as error:
        return None, (f"no flux calibration: {error}",)
    if not calibration.covers(cube.wavelength):
        return None, (f"{flux.path.name} is of other wavelengths: the spectrum is in electrons",)
    used = (f"using {flux.told}",) if flux.fallback else ()
    assumed = f"no airmass in the header: {ASSUMED_AIRMASS} assumed for the extinction"
    return calibration, (*used, *((assumed,) if airmass is None else ()))
