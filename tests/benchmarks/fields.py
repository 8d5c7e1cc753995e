"""Simulated fields for measuring automatic extraction: how much is extracted (completeness) and rightly so (purity).

    python tests/benchmarks/fields.py --blank DIR [--profiles kpy pysedm shifted] [--seed 1]   # the blank cubes only

A field is an exposure of empty sky, or an A/B pair, that went through the whole pipeline (`blank_cubes`) and so holds
its real residuals; sources are added to the cubes afterwards (`fields`). The images are the simulator's: its Moffat
and Sersic profiles over hexagons at the places of the cube's spaxels, moved by its refraction. Nothing of the
reduction's own PSF code takes part.

What the cube holds, measured on the standards of the blank nights: `flux` is electron/Angstrom of the whole exposure,
divided by the flat; light of L electron/Angstrom adds ``SHOT * L / w`` to `variance`, w the width of the bin in
Angstrom. Counted electrons would add ``L / w``; SHOT is 0.59 to 0.72 because a bin is about one column wide and
straddles two, which correlates neighbouring bins and takes 1/3 off the variance of each. The noise added here has
that variance, so that the S/N of a bin is that of a real source, but is independent from bin to bin. The sky of the
blank cubes scatters by 1.01 to 1.08 times the square root of `variance`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.optimize import brentq

from sedmd.products.cube import read_cube
from sedmd.reduce.containers import Cube
from sedmd.simulate import almanac
from sedmd.simulate.atmosphere import transmission
from sedmd.simulate.conditions import Conditions, draw_conditions
from sedmd.simulate.night import write_frame
from sedmd.simulate.observe import plan_night
from sedmd.simulate.plan import Exposure, Instrument, NightPlan, exposure_of
from sedmd.simulate.sources import Pointing, Seeing, Source, moffat
from sedmd.simulate.spectra import GRID, galaxy_flux, photons, smooth_flux, supernova_flux

NIGHT = "20190612"
Place = tuple[float, float]

#: Variance that light adds to a sample, in units of light / width of the bin: see the module's docstring.
SHOT = 0.65
#: Wavelengths [Angstrom] at which images are made, closer in the blue, where refraction is fast; a spline joins them.
NODES = 1.0 / np.linspace(1.0 / 10000.0, 1.0 / 3550.0, 16)[::-1]
#: Where S/N and brightness of a source are meant [Angstrom].
LOW, HIGH = 4500.0, 8500.0
#: Spaxels nearer than this to a star are integrated over their hexagon, farther ones by their centre [arcsec].
NEAR_ARCSEC = 7.0
#: Points per side of a hexagon: their square is the number of points.
DIVISIONS = 7
#: Grid on which a galaxy is blurred: step [arcsec] and half its size [steps].
STEP, HALF = 0.25, 96
#: Electrons per photon: a telescope and spectrograph that resemble the instrument but are not the simulator's.
THROUGHPUT = PchipInterpolator(
    [3300.0, 3700.0, 4200.0, 5000.0, 5800.0, 6500.0, 7300.0, 8200.0, 9000.0, 9500.0, 10700.0],
    [0.001, 0.012, 0.055, 0.105, 0.132, 0.140, 0.130, 0.100, 0.060, 0.035, 0.001],
)
AREA_CM2 = 15000.0
#: Sigma of the line-spread function in bins.
LSF_BINS = 1.25
#: A target this near to the rim, or this far from its place, is not clear [arcsec].
CLEAR_RIM, CLEAR_ERROR = 3.0, 3.0
#: A neighbour nearer than this [arcsec] or brighter than this share of the target makes it unclear.
CLEAR_NEIGHBOUR, CLEAR_RATIO = 5.0, 0.3
CLEAR_S_TO_N = 3.0


# blank exposures ------------------------------------------------------------------------------------------------
class Exposed(NamedTuple):
    """A cube, its primary header and its exposure time."""

    cube: Cube
    header: fits.Header
    exptime_s: float


#: One exposure, or the two of a pair.
Blank = tuple[Exposed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """Where a blank exposure or pair looks: `airmass` at its middle (of a pair: A's), `dec` in degrees.

    `moon` is phase angle, zenith distance and separation in degrees; `nod` is A's RA_OFF and DEC_OFF, B's the opposite.
    """

    exptime_s: float
    airmass: float
    dec: float
    west: bool
    moon: tuple[float, float, float]
    nod: Place | None = None


#: No Moon, half a Moon, a bright one.
DARK, HALF_MOON, BRIGHT = (150.0, 120.0, 90.0), (85.0, 60.0, 75.0), (40.0, 45.0, 60.0)
POINTED = (
    Pointed(exptime_s=600.0, airmass=1.05, dec=22.0, west=False, moon=BRIGHT),
    Pointed(exptime_s=1200.0, airmass=1.4, dec=3.0, west=True, moon=HALF_MOON),
    Pointed(exptime_s=1800.0, airmass=1.9, dec=52.0, west=True, moon=DARK),
    Pointed(exptime_s=900.0, airmass=1.2, dec=40.0, west=False, moon=DARK, nod=(2.2, 2.9)),
    Pointed(exptime_s=1200.0, airmass=1.5, dec=-4.0, west=True, moon=HALF_MOON, nod=(3.0, -4.0)),
)


def blank_cubes(folder: Path, profile: str, seed: int) -> tuple[Blank, ...]:
    """Exposures of empty sky as the pipeline reduces them: three single ones, then two A/B pairs.

    Parameters
    ----------
    folder : of this profile and seed; raw frames and products that are there already are used again
    profile : one of ``sedmd.simulate.profiles.PROFILES``
    seed : of chip, conditions and noise

    Raises
    ------
    RuntimeError
        If `sedmd reduce` did not make all the cubes; its output is in `folder`/reduce.log.
    """
    plan = blank_plan(profile, seed)
    taken = [exposure for exposure in plan.exposures if exposure.kind == "science"]
    if not all(_cubes_of(folder, exposure) for exposure in taken):
        _write(folder, plan)
        _reduce(folder)
    missing = [exposure.file for exposure in taken if not _cubes_of(folder, exposure)]
    if missing:
        raise RuntimeError(f"no cube of {', '.join(missing)}: see {folder / 'reduce.log'}")
    groups: dict[str, list[Exposed]] = {}
    for exposure in taken:
        cube, header = read_cube(_cubes_of(folder, exposure)[0])
        groups.setdefault(exposure.target, []).append(Exposed(cube, header, float(header["EXPTIME"])))
    return tuple(tuple(group) for group in groups.values())


def blank_plan(profile: str, seed: int) -> NightPlan:
    """The calibrations, twilight and standards of a mini night, and after them the blank exposures of `POINTED`."""
    plan = plan_night(night=NIGHT, seed=seed, size="mini", profile=profile)
    kept = [e for e in plan.exposures if e.kind != "science" and not e.ignore]
    rng = np.random.default_rng(np.random.SeedSequence([seed, 505]))
    midnight = almanac.julian_date(datetime.strptime(NIGHT, "%Y%m%d").replace(tzinfo=UTC))
    conditions = draw_conditions(plan.instrument.profile, midnight, rng)
    last = kept[-1]
    clock = last.start + (last.exptime + 300.0) / 86400.0
    blanks: list[Exposure] = []
    for number, pointed in enumerate(POINTED):
        name = f"ZTF19aablan{'klmnopq'[number]}"
        taken = _taken(plan.instrument, pointed, name, clock, conditions, rng)
        blanks += taken
        clock = taken[-1].start + (pointed.exptime_s + 180.0) / 86400.0
    return replace(plan, exposures=(*kept, *blanks))


def _taken(
    instrument: Instrument, pointed: Pointed, name: str, clock: float, conditions: Conditions, rng: np.random.Generator
) -> list[Exposure]:
    """One exposure that begins at the Julian date `clock`, or the two of a pair."""
    readout = instrument.profile.detector.speed(instrument.profile.detector.science_speed).readout_s + 2.0
    taken: list[Exposure] = []
    for token in "A" if pointed.nod is None else "AB":
        start = round(clock * 86400.0) / 86400.0 + len(taken) * (pointed.exptime_s + readout) / 86400.0
        middle = start + 0.5 * pointed.exptime_s / 86400.0
        # B looks at the same place of the sky as A, a little later.
        airmass = almanac.place(taken[0].ra, pointed.dec, middle).airmass if taken else pointed.airmass
        exposure = exposure_of(
            instrument, exptime=pointed.exptime_s, airmass=airmass, west=pointed.west, dec=pointed.dec, start=start
        )
        hour_angle = almanac.sidereal_time(middle) - exposure.ra
        sign = 1.0 if token == "A" else -1.0
        exposure = replace(
            exposure,
            object=name if pointed.nod is None else f"{name} [{token}]",
            target=name,
            ra=taken[0].ra if taken else exposure.ra,
            offset=(0.0, 0.0) if pointed.nod is None else (sign * pointed.nod[0], sign * pointed.nod[1]),
            flexure=conditions.flexure(middle, (hour_angle + 180.0) % 360.0 - 180.0, pointed.dec),
            breathing=conditions.breathing(start),
            moon=pointed.moon,
            sky=conditions.airglow(start, rng),
            extinction=conditions.extinction,
            water_mm=conditions.water_mm,
            drift=conditions.drift(start, rng),
            cards={} if pointed.nod is None else {"ABPAIR": True, "IMGSET": token},
        )
        taken.append(exposure)
    return taken


def _cubes_of(folder: Path, exposure: Exposure) -> list[Path]:
    return sorted((folder / "redux").glob(f"2*/e3d_crr_b_{exposure.file.removesuffix('.fits')}_*.fits"))


def _write(folder: Path, plan: NightPlan) -> None:
    for index, exposure in enumerate(plan.exposures):
        if not (folder / "raw" / exposure.folder / exposure.file).exists():
            write_frame(plan, index, folder)


def _reduce(folder: Path) -> None:
    """`sedmd reduce` in a process of its own; not all jobs can end well: nothing is there to be extracted."""
    raws = sorted(str(path) for path in (folder / "raw").iterdir() if path.is_dir())
    command = [sys.executable, "-m", "sedmd", "reduce", *raws, "--redux", str(folder / "redux"), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (folder / "reduce.log").write_text(done.stdout + done.stderr)


# the lens array -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LensArray:
    """Spaxels of a cube on the sky, arcsec.

    Attributes
    ----------
    places : (n, 2) East and North of the spaxels
    cell : (2, 2) steps on the sky of one unit of q and of r
    points : (m, 2) offsets that tile one spaxel evenly
    around : (k, 2) the missing cells around the array; holes within it are none
    """

    places: NDArray[np.floating]
    cell: NDArray[np.floating]
    points: NDArray[np.floating]
    around: NDArray[np.floating]

    @property
    def area(self) -> float:
        """Of a spaxel, arcsec**2."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def middle(self) -> Place:
        """Mean of the spaxels' places."""
        x, y = self.places.mean(axis=0)
        return float(x), float(y)

    def rim_distance(self, place: Place) -> float:
        """How far a place is from the rim of the array, arcsec; negative outside."""
        half = 0.5 * np.sqrt(2.0 / np.sqrt(3.0) * self.area)
        inner = float(np.min(np.hypot(*(self.places - place).T)))
        outer = float(np.min(np.hypot(*(self.around - place).T)))
        # A hole within the array has no outer cell near: it counts as inside.
        return outer - half if inner <= outer else half - inner


def lens_array(cube: Cube) -> LensArray:
    """The lens array that the cube's lattice coordinates and places tell."""
    s = cube.spaxels
    places = np.stack([s.x_arcsec, s.y_arcsec], axis=1).astype(float)
    node = np.stack([s.q, s.r], axis=1).astype(int)
    design = np.column_stack([node, np.ones(len(node))])
    fit = np.linalg.lstsq(design, places, rcond=None)[0]
    first = node.min(axis=0) - 2
    empty = np.ones(node.max(axis=0) - first + 3, bool)
    empty[tuple((node - first).T)] = False
    touching = np.array([[0, 1, 1], [1, 1, 1], [1, 1, 0]])  # the six neighbours of a hexagon in axial coordinates
    labels, _ = ndimage.label(empty, structure=touching)
    outer = np.argwhere(labels == labels[0, 0]) + first
    around = outer @ fit[:2] + fit[2]
    cell = fit[:2]
    return LensArray(places=places, cell=cell, points=hexagon_points(cell, DIVISIONS), around=around)


def hexagon_points(cell: NDArray[np.floating], divisions: int) -> NDArray[np.floating]:
    """Points of a finer lattice within one hexagon, offsets from its centre: (divisions**2, 2) for 5, 7, 11, ...

    Each stands for the same area, and the hexagons of the lattice share none: the nodes nearest to the centre.
    """
    i, j = (axis.ravel() for axis in np.mgrid[-divisions : divisions + 1, -divisions : divisions + 1])
    points = np.stack([i, j], axis=1) @ cell / divisions
    neighbours = np.array([[1, 0], [0, 1], [-1, 1], [-1, 0], [0, -1], [1, -1]]) @ cell
    nearest = np.min(np.sum((points[:, None] - neighbours) ** 2, axis=2), axis=1)
    return points[np.sum(points**2, axis=1) < nearest - 1e-9]


# images ---------------------------------------------------------------------------------------------------------
def star_shares(array: LensArray, place: Place, seeing: Seeing, instants: Sequence[Pointing]) -> NDArray[np.floating]:
    """Share of a star's light in each spaxel at `NODES`, (n_node, n): of 1 on an endless array.

    place : of the image at 6500 Angstrom, mean of the instants, arcsec
    """
    offset = array.places - place
    near = np.hypot(*offset.T) < NEAR_ARCSEC
    inner = offset[near][:, None] + array.points
    shares = np.zeros((len(NODES), len(offset)))
    for k, wavelength in enumerate(NODES):
        for instant in instants:
            dx, dy = _displaced(wavelength, instant)
            shares[k, near] += moffat(inner[..., 0] - dx, inner[..., 1] - dy, seeing, wavelength).mean(axis=1)
            shares[k, ~near] += moffat(offset[~near, 0] - dx, offset[~near, 1] - dy, seeing, wavelength)
    return shares * array.area / len(instants)


def galaxy_shares(
    array: LensArray, galaxy: Source, place: Place, seeing: Seeing, instants: Sequence[Pointing]
) -> NDArray[np.floating]:
    """Share of a galaxy's light in each spaxel at `NODES`, (n_node, n), as `star_shares`.

    Sersic profile, blurred by the simulator's Moffat and by the hexagon of a spaxel, then read at the centres.
    """
    axis = np.arange(-HALF, HALF) * STEP
    light = np.fft.rfft2(sersic_image(galaxy))
    light *= _hexagon_transform(array)
    offset = array.places - place
    shares = np.zeros((len(NODES), len(offset)))
    for k, wavelength in enumerate(NODES):
        blur = moffat(axis[None, :], axis[:, None], seeing, wavelength)
        blurred = np.fft.irfft2(light * np.fft.rfft2(np.fft.ifftshift(blur / blur.sum())), s=blur.shape)
        coefficients = ndimage.spline_filter(blurred)
        for instant in instants:
            dx, dy = _displaced(wavelength, instant)
            where = np.stack([offset[:, 1] - dy, offset[:, 0] - dx]) / STEP + HALF
            shares[k] += ndimage.map_coordinates(coefficients, where, prefilter=False)
    return np.maximum(shares, 0.0) * array.area / STEP**2 / len(instants)


def sersic_image(galaxy: Source) -> NDArray[np.floating]:
    """A galaxy before the seeing, of total 1, on the grid of `STEP`: axes (north, east), (2 HALF, 2 HALF)."""

    def profile(east: NDArray[np.floating], north: NDArray[np.floating]) -> NDArray[np.floating]:
        b = 2.0 * galaxy.sersic - 1.0 / 3.0 + 0.009876 / galaxy.sersic  # Prugniel & Simien 1997
        angle, root = np.deg2rad(galaxy.angle_deg), np.sqrt(galaxy.axis_ratio)
        major = (east * np.sin(angle) + north * np.cos(angle)) * root
        minor = (east * np.cos(angle) - north * np.sin(angle)) / root
        return np.asarray(np.exp(-b * (np.hypot(major, minor) / galaxy.radius) ** (1.0 / galaxy.sersic)))

    axis = np.arange(-HALF, HALF) * STEP
    light = profile(axis[None, :], axis[:, None])
    # The cusp changes within a step: the middle is averaged over a finer grid, which must not meet the cusp itself.
    core, fine = slice(HALF - 8, HALF + 8), 20
    sub = (np.arange(fine) - (fine - 1) / 2) * STEP / fine
    close = (axis[core][:, None] + sub).ravel()
    light[core, core] = profile(close[None, :], close[:, None]).reshape(16, fine, 16, fine).mean(axis=(1, 3))
    return light / light.sum()


def _hexagon_transform(array: LensArray) -> NDArray[np.floating]:
    """Fourier transform of the mean over a spaxel, on the frequencies of the galaxy's grid."""
    north, east = np.fft.fftfreq(2 * HALF, STEP)[:, None], np.fft.rfftfreq(2 * HALF, STEP)[None, :]
    total = np.zeros((north.size, east.size))
    for x, y in array.points:
        total += np.cos(2 * np.pi * (east * x + north * y))  # the points are symmetric about the centre
    return total / len(array.points)


def _displaced(wavelength: float, instant: Pointing) -> Place:
    """Refraction against `POSITION_WAVELENGTH` and guiding error, arcsec East and North."""
    east, north = instant.refraction(wavelength)
    return east + instant.guide_x, north + instant.guide_y


def on_grid(shares: NDArray[np.floating], wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Shares at `NODES` (n_node, n) as shares at other wavelengths, (n_wave, n)."""
    spline = CubicSpline(-1.0 / NODES, np.eye(len(NODES)))(-1.0 / wavelength)
    return np.maximum(spline @ shares, 0.0)


def instants_of(header: fits.Header, count: int = 3) -> tuple[Pointing, ...]:
    """Airmass and parallactic angle at `count` instants of an exposure, by the simulator's almanac, and the weather.

    From RA, DEC, JD and EXPTIME, because AIRMASS and the parallactic angle of older headers are of the start alone and
    the image stands where it stood in the middle. Agrees with the mean of start and end where the header has both.
    """
    ra, dec = almanac.degrees_of(header["RA"], hours=True), almanac.degrees_of(header["DEC"])
    days = header["EXPTIME"] / 86400.0 * (np.arange(count) + 0.5) / count
    places = [almanac.place(ra, dec, header["JD"] + float(day)) for day in days]
    return tuple(
        Pointing(
            airmass=place.airmass,
            parallactic_deg=place.parallactic,
            pressure_mbar=header["BARPRESS"],
            temperature_c=header["OUT_AIR"],
            humidity=header["OUT_HUM"],
        )
        for place in places
    )


# spectra --------------------------------------------------------------------------------------------------------
def electrons(
    flux: NDArray[np.floating], wavelength: NDArray[np.floating], exptime_s: float, airmass: float
) -> NDArray[np.floating]:
    """Light of a whole source in a cube: electron/Angstrom of the exposure, mean of each bin, (n_wave,).

    flux : erg/s/cm2/Angstrom above the atmosphere on the simulator's ``GRID``
    """
    rate = photons(GRID, flux) * THROUGHPUT(GRID) * transmission(GRID, airmass, water_mm=3.0)
    total = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(GRID))])
    edges = bin_edges(wavelength)
    mean = np.diff(np.interp(edges, GRID, total)) / np.diff(edges)
    return AREA_CM2 * exptime_s * ndimage.gaussian_filter1d(mean, LSF_BINS, mode="nearest")


def bin_edges(wavelength: NDArray[np.floating]) -> NDArray[np.floating]:
    """Edges of the bins about their centres, Angstrom: (n_wave + 1,)."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    return np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])


# a ground to put sources on -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """A blank exposure made ready.

    Attributes
    ----------
    exposed : the blank
    array : its lens array
    instants : of its exposure, without guiding errors
    expected : where the header puts the target, arcsec: against the telescope's offset
    good : (n_wave, n) bool, samples to be used
    variance : (n_wave, n) of the sky, smooth: the mean of a wavelength times the level of the spaxel
    shot : (n_wave, n) variance that 1 electron/Angstrom adds, electron/Angstrom
    """

    exposed: Exposed
    array: LensArray
    instants: tuple[Pointing, ...]
    expected: Place
    good: NDArray[np.bool_]
    variance: NDArray[np.floating]
    shot: NDArray[np.floating]

    @property
    def wavelength(self) -> NDArray[np.floating]:
        """(n_wave,) Angstrom."""
        return self.exposed.cube.wavelength

    def light(self, flux: NDArray[np.floating]) -> NDArray[np.floating]:
        """`electrons` of a source in this exposure."""
        airmass = float(np.mean([instant.airmass for instant in self.instants]))
        return electrons(flux, self.wavelength, self.exposed.exptime_s, airmass)


def ground_of(exposed: Exposed) -> Ground:
    """Make a blank exposure ready."""
    cube, header, _ = exposed
    good = (cube.mask == 0) & np.isfinite(cube.flux) & (cube.variance > 0)
    known = np.where(good, cube.variance, np.nan).astype(float)
    # The mean, because that is what the noise of a sum follows, without the rims' and bad pixels' huge values.
    middle = _nanmedian(known, axis=1)[:, None]
    clipped = np.minimum(np.nan_to_num(known), 3.0 * np.nan_to_num(middle))
    typical = clipped.sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    typical = np.where(typical > 0, typical, np.inf)[:, None]
    # Light divided by a flat below 1 has a larger variance: the same factor for sky and source.
    level = np.nan_to_num(_nanmedian(known / middle, axis=0), nan=1.0)
    width = np.diff(bin_edges(cube.wavelength))
    return Ground(
        exposed=exposed,
        array=lens_array(cube),
        instants=instants_of(header),
        expected=(-float(header.get("RA_OFF", 0.0)) + 0.0, -float(header.get("DEC_OFF", 0.0)) + 0.0),
        good=good,
        variance=typical * level,
        shot=SHOT / width[:, None] * level,
    )


def _nanmedian(values: NDArray[np.floating], axis: int) -> NDArray[np.floating]:
    """`numpy.nanmedian` without its warning about a row of nothing."""
    sorted_values = np.sort(values, axis=axis)
    count = np.isfinite(sorted_values).sum(axis=axis, keepdims=True)
    low, high = np.maximum((count - 1) // 2, 0), count // 2
    high = np.minimum(high, values.shape[axis] - 1)
    pair = [np.take_along_axis(sorted_values, index, axis=axis) for index in (low, high)]
    return np.asarray(np.where(count > 0, 0.5 * (pair[0] + pair[1]), np.nan).squeeze(axis))


# fields ---------------------------------------------------------------------------------------------------------
class Other(NamedTuple):
    """What else is in the field: place in exposure A [arcsec], light against the target's, and what it is."""

    x: float
    y: float
    ratio: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """A blank exposure or pair with sources, and the truth about them.

    Attributes
    ----------
    kind : one of `KINDS`
    s_to_n : median S/N per bin, 4500-8500 Angstrom, of an ideal extraction of the target alone, A and B together; of
        the galaxy or star where there is no target; at the rim or beyond it, as if all its light fell on the array
    exposures : of each exposure cube, header, exposure time [s]
    expected : of each exposure where its header puts the target, arcsec East and North
    truth : of each exposure where the target is at 6500 Angstrom; None without a target
    spectrum : (n_wave,) all light of the target in A, electron/Angstrom; None without a target
    seeing : of each exposure
    others : galaxies, stars and cosmic rays; without a target, ratios are against the brightest
    clear : an observer would extract the target without a second look
    """

    kind: str
    s_to_n: float
    exposures: tuple[Exposed, ...]
    expected: tuple[Place, ...]
    truth: tuple[Place, ...] | None
    spectrum: NDArray[np.floating] | None
    seeing: tuple[Seeing, ...]
    others: tuple[Other, ...]
    clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a kind of field is made of: how often a pair, where the target is, what stands beside it."""

    pairs: float = 0.0
    target: str = "expected"
    beside: str = ""


KINDS = {
    "alone": Recipe(),
    "pair": Recipe(pairs=1.0),
    "host": Recipe(pairs=0.5, beside="host"),
    "neighbour": Recipe(pairs=0.5, beside="neighbour"),
    "empty": Recipe(pairs=0.5, target=""),
    "empty-host": Recipe(pairs=0.5, target="", beside="host"),
    "empty-star": Recipe(pairs=0.5, target="", beside="star"),
    "edge": Recipe(target="edge"),
    "outside": Recipe(target="outside"),
    "cosmic": Recipe(beside="cosmic"),
}
#: Distance from the rim [arcsec, positive inside] of a target at the edge and of one outside.
RIM_RANGES = {"edge": (-1.0, 2.5), "outside": (-6.0, -1.0)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """A star or galaxy: place in exposure A, flux above the atmosphere of any unit, light against the first body's.

    `galaxy` gives the shape; None is a star.
    """

    what: str
    place: Place
    flux: NDArray[np.floating]
    ratio: float = 1.0
    galaxy: Source | None = None


def fields(
    blanks: Sequence[Blank],
    kinds: Sequence[str],
    s_to_n: Sequence[float],
    count: int,
    rng: np.random.Generator,
) -> Iterator[Field]:
    """Fields of every kind and S/N.

    Parameters
    ----------
    blanks : from `blank_cubes`; exposures of a pair serve as single ones too
    kinds : of `KINDS`
    s_to_n : see `Field`
    count : fields of each kind and S/N
    rng : every field gets a generator of its own from it

    Raises
    ------
    ValueError
        Unknown kind, or no blank of the sort that a kind needs.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"no field of kind {', '.join(unknown)}; the kinds are {', '.join(KINDS)}")
    grounds = [tuple(ground_of(exposed) for exposed in blank) for blank in blanks]
    singles = [(ground,) for group in grounds for ground in group]
    pairs = [group for group in grounds if len(group) == 2]
    for kind in kinds:
        for value in s_to_n:
            for own in rng.spawn(count):
                choice = pairs if own.random() < KINDS[kind].pairs else singles
                if not choice:
                    raise ValueError(f"a field of kind {kind} needs a blank that is not there: give pairs and singles")
                yield make_field(choice[own.integers(len(choice))], kind, value, own)


def make_field(grounds: Sequence[Ground], kind: str, s_to_n: float, rng: np.random.Generator) -> Field:
    """One field on the blank exposure or pair `grounds`."""
    recipe, first = KINDS[kind], grounds[0]
    seeing = _draw_seeing(len(grounds), rng)
    shifts = _shifts(grounds, rng)
    place = _draw_place(first, recipe.target, rng)
    bodies = _draw_bodies(first, recipe, place, rng)
    instants = [_guided(ground.instants, rng) for ground in grounds]
    ratios = _ratios(first, bodies)
    light = [[ratio * ground.light(body.flux) for body, ratio in zip(bodies, ratios)] for ground in grounds]
    shares = [
        [_shares(ground, body, _moved(body.place, shift), sight, times) for body in bodies]
        for ground, shift, sight, times in zip(grounds, shifts, seeing, instants)
    ]
    scale = 0.0
    if bodies:
        whole = [own[0] for own in shares]
        if recipe.target in RIM_RANGES:  # its brightness does not depend on where the telescope looks
            middle = [_shares(g, bodies[0], g.array.middle, s, t) for g, s, t in zip(grounds, seeing, instants)]
            whole = middle
        scale = scale_for(grounds, whole, [own[0] for own in light], s_to_n)
    exposures = []
    others = [Other(*b.place, b.ratio / bodies[0].ratio, b.what) for b in bodies if b.what != "target"]
    for ground, own_light, own_shares in zip(grounds, light, shares):
        total = np.zeros(ground.good.shape)
        for spectrum, share in zip(own_light, own_shares):
            total += scale * spectrum[:, None] * share
        cube = with_light(ground, total, rng)
        if recipe.beside == "cosmic":
            cube, hits = with_cosmics(ground, cube, place, rng)
            others += hits
        exposures.append(ground.exposed._replace(cube=cube))
    truth = tuple(_moved(place, shift) for shift in shifts) if recipe.target else None
    return Field(
        kind=kind,
        s_to_n=s_to_n,
        exposures=tuple(exposures),
        expected=tuple(ground.expected for ground in grounds),
        truth=truth,
        spectrum=scale * light[0][0] if recipe.target else None,
        seeing=seeing,
        others=tuple(others),
        clear=truth is not None and is_clear(grounds, kind, s_to_n, truth, others),
    )


def is_clear(
    grounds: Sequence[Ground], kind: str, s_to_n: float, truth: Sequence[Place], others: Sequence[Other]
) -> bool:
    """Whether the target can be extracted without a second look."""
    if kind not in ("alone", "pair", "cosmic", "neighbour") or s_to_n < CLEAR_S_TO_N:
        return False
    for ground, place in zip(grounds, truth):
        if ground.array.rim_distance(place) < CLEAR_RIM or _apart(place, ground.expected) > CLEAR_ERROR:
            return False
    stars = [other for other in others if other.what == "neighbour"]
    return all(_apart(truth[0], (o.x, o.y)) > CLEAR_NEIGHBOUR and o.ratio < CLEAR_RATIO for o in stars)


def scale_for(
    grounds: Sequence[Ground],
    shares: Sequence[NDArray[np.floating]],
    light: Sequence[NDArray[np.floating]],
    s_to_n: float,
) -> float:
    """Factor on the light (of each exposure (n_wave,)) that gives the source the S/N asked for.

    The extraction is the best possible: image (shares (n_wave, n)), sky level and variance are known.
    """
    parts = []
    for ground, share, spectrum in zip(grounds, shares, light):
        bins = (ground.wavelength > LOW) & (ground.wavelength < HIGH)
        bright = share[bins].max(axis=0) > 1e-4
        cut = np.ix_(bins, bright)
        parts.append((ground.good[cut] * share[cut], ground.variance[cut], ground.shot[cut], spectrum[bins, None]))

    def excess(log_scale: float) -> float:
        square = sum(
            ((np.exp(log_scale) * f * s) ** 2 / (v + k * np.exp(log_scale) * f * s)).sum(axis=1) for s, v, k, f in parts
        )
        return float(0.5 * np.log(np.median(square)) - np.log(s_to_n))

    low = high = 0.0
    while excess(low) > 0.0:
        low -= 3.0
    while excess(high) < 0.0:
        high += 3.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-3)))


def with_light(ground: Ground, light: NDArray[np.floating], rng: np.random.Generator) -> Cube:
    """The blank cube with light (n_wave, n) [electron/Angstrom] and its shot noise; masked samples stay masked."""
    cube = ground.exposed.cube
    expected = light / ground.shot  # a count whose Poisson variance is the one wanted
    seen = rng.poisson(np.where(ground.good, expected, 0.0)) * ground.shot
    return replace(
        cube,
        flux=(cube.flux + np.where(ground.good, seen, light)).astype(np.float32),
        variance=(cube.variance + ground.shot * light).astype(np.float32),
    )


def with_cosmics(ground: Ground, cube: Cube, place: Place, rng: np.random.Generator) -> tuple[Cube, list[Other]]:
    """The cube with two or three cosmic rays that nothing flags: one within 3 arcsec of the target, others anywhere."""
    flux, variance, hits = cube.flux.copy(), cube.variance.copy(), []
    places = ground.array.places
    whole = ground.good.mean(axis=0) > 0.8
    for number in range(rng.integers(2, 4)):
        near = whole & (np.hypot(*(places - place).T) < 3.0)
        spaxel = int(rng.choice(np.flatnonzero(near if number == 0 and near.any() else whole)))
        beside = np.argsort(np.hypot(*(places - places[spaxel]).T))[1 : 1 + rng.integers(0, 2)]
        length = int(rng.integers(2, 7))
        first = int(rng.integers(*np.searchsorted(cube.wavelength, [4000.0, 9000.0])))
        bins = np.arange(first, first + length)
        height = np.exp(rng.uniform(np.log(5.0), np.log(50.0)))
        for column, share in ((spaxel, 1.0), *((int(n), rng.uniform(0.2, 1.0)) for n in beside)):
            sigma = np.sqrt(np.nan_to_num(cube.variance[bins, column]))
            added = share * height * sigma * rng.uniform(0.6, 1.0, length)
            flux[bins, column] += added
            variance[bins, column] += ground.shot[bins, column] * added
        hits.append(Other(float(places[spaxel, 0]), float(places[spaxel, 1]), 0.0, "cosmic ray"))
    return replace(cube, flux=flux, variance=variance), hits


# draws ----------------------------------------------------------------------------------------------------------
def _draw_seeing(count: int, rng: np.random.Generator) -> tuple[Seeing, ...]:
    first = Seeing(
        fwhm=float(rng.uniform(1.2, 2.8)),
        beta=float(rng.uniform(2.6, 4.0)),
        ellipticity=float(rng.uniform(0.0, 0.12)),
        angle_deg=float(rng.uniform(0.0, 180.0)),
    )
    more = [replace(first, fwhm=first.fwhm * float(rng.uniform(0.9, 1.1))) for _ in range(count - 1)]
    return (first, *more)


def _shifts(grounds: Sequence[Ground], rng: np.random.Generator) -> list[Place]:
    """How far the field has moved over the array since A: by the nod and the error of setting the telescope again."""
    shifts = [(0.0, 0.0)]
    for ground in grounds[1:]:
        again = rng.normal(0.0, 0.15, 2)
        moved = [b - a + e for a, b, e in zip(grounds[0].expected, ground.expected, again)]
        shifts.append((float(moved[0]), float(moved[1])))
    return shifts


def _draw_place(ground: Ground, where: str, rng: np.random.Generator) -> Place:
    """Where the target is in A, or would be if there is none."""
    if where in RIM_RANGES:
        low, high = RIM_RANGES[where]
        return _on_array(ground.array, low, high, rng)
    spread = 2.5 if rng.random() < 0.05 else 0.8
    dx, dy = rng.normal(0.0, spread, 2)
    return ground.expected[0] + float(dx), ground.expected[1] + float(dy)


def _on_array(array: LensArray, low: float, high: float, rng: np.random.Generator) -> Place:
    """A random place whose distance from the rim lies between two limits [arcsec]."""
    reach = array.places.min(axis=0) - 6.0, array.places.max(axis=0) + 6.0
    while True:
        x, y = rng.uniform(*reach)
        if low <= array.rim_distance((x, y)) <= high:
            return float(x), float(y)


def _around(place: Place, low: float, high: float, rng: np.random.Generator) -> Place:
    """A random place between two distances [arcsec] from another."""
    distance, angle = rng.uniform(low, high), rng.uniform(0.0, 2 * np.pi)
    return place[0] + float(distance * np.sin(angle)), place[1] + float(distance * np.cos(angle))


def _draw_bodies(ground: Ground, recipe: Recipe, place: Place, rng: np.random.Generator) -> list[Body]:
    """What is in the field, the target first."""
    redshift = float(rng.uniform(0.005, 0.08))
    bodies = []
    if recipe.target:
        kind = str(rng.choice(["Ia", "II", "Ic"]))
        flux = supernova_flux(kind, float(rng.uniform(6000.0, 12000.0)), redshift, 18.0)
        bodies.append(Body(what="target", place=place, flux=flux))
    if recipe.beside == "host":
        bodies.append(_draw_host(place, redshift, rng))
    elif recipe.beside == "neighbour":
        for _ in range(rng.integers(1, 3)):
            where = _around(place, 2.0, 12.0, rng)
            while ground.array.rim_distance(where) < 0.0:
                where = _around(place, 2.0, 12.0, rng)
            bodies.append(_draw_star("neighbour", where, rng))
    elif recipe.beside == "star":
        where = _on_array(ground.array, 0.0, np.inf, rng)
        # Nothing could tell a star at the place of the target from the target.
        while _apart(where, ground.expected) < 4.0:
            where = _on_array(ground.array, 0.0, np.inf, rng)
        bodies.append(_draw_star("star", where, rng))
    return bodies


def _draw_ratio(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_star(what: str, place: Place, rng: np.random.Generator) -> Body:
    flux = smooth_flux(float(rng.uniform(3500.0, 9000.0)), 18.0)
    return Body(what=what, place=place, flux=flux, ratio=_draw_ratio(rng, 0.05, 5.0))


def _draw_host(place: Place, redshift: float, rng: np.random.Generator) -> Body:
    flux = galaxy_flux(redshift, 18.0, float(rng.uniform(0.0, 1.0)))
    shape = Source(
        name="host",
        x=0.0,
        y=0.0,
        flux=flux,
        radius=float(rng.uniform(1.0, 4.0)),
        sersic=float(rng.uniform(0.8, 4.0)),
        axis_ratio=float(rng.uniform(0.4, 1.0)),
        angle_deg=float(rng.uniform(0.0, 180.0)),
        role="host",
    )
    where = _around(place, 0.3, 5.0, rng)
    return Body(what="host", place=where, flux=flux, ratio=_draw_ratio(rng, 0.1, 5.0), galaxy=shape)


def _guided(instants: Sequence[Pointing], rng: np.random.Generator) -> list[Pointing]:
    """The instants with guiding errors of 0.12 arcsec about their mean."""
    error = rng.normal(0.0, 0.12, (len(instants), 2))
    error -= error.mean(axis=0)
    return [replace(i, guide_x=float(x), guide_y=float(y)) for i, (x, y) in zip(instants, error)]


def _ratios(ground: Ground, bodies: Sequence[Body]) -> list[float]:
    """Factor on each body's flux that gives it the wanted mean light in A, against the first body's; see `Body`."""
    bins = (ground.wavelength > LOW) & (ground.wavelength < HIGH)
    means = [float(ground.light(body.flux)[bins].mean()) for body in bodies]
    return [body.ratio / bodies[0].ratio * means[0] / mean for body, mean in zip(bodies, means)]


def _shares(
    ground: Ground, body: Body, place: Place, seeing: Seeing, instants: Sequence[Pointing]
) -> NDArray[np.floating]:
    """Share of a body's light at a place in each sample, (n_wave, n)."""
    if body.galaxy is None:
        shares = star_shares(ground.array, place, seeing, instants)
    else:
        shares = galaxy_shares(ground.array, body.galaxy, place, seeing, instants)
    return on_grid(shares, ground.wavelength)


def _moved(place: Place, shift: Place) -> Place:
    return place[0] + shift[0], place[1] + shift[1]


def _apart(one: Place, other: Place) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))


def main(argv: Sequence[str] | None = None) -> int:
    """Make the blank cubes of some profiles, each in a folder of its name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blank", type=Path, required=True, metavar="DIR", help="folder of the profiles' folders")
    parser.add_argument("--profiles", nargs="+", default=["kpy", "pysedm", "shifted"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    for profile in options.profiles:
        begun = time.monotonic()
        blanks = blank_cubes(options.blank / profile, profile, options.seed)
        exposures = sum(len(blank) for blank in blanks)
        print(f"{profile}: {exposures} blank exposures in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
