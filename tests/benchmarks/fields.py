"""Simulated fields for measuring automatic extraction: how much is extracted (completeness) and rightly so (purity).

A field is an exposure of empty sky, or an A/B pair, that went through the whole pipeline (`blanks.py`) and so holds
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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from benchmarks.blanks import Blank, Exposed
from benchmarks.images import (
    LensArray,
    Place,
    bin_edges,
    electrons,
    galaxy_shares,
    instants_of,
    lens_array,
    on_grid,
    star_shares,
)
from numpy.typing import NDArray
from scipy.optimize import brentq

from sedmd.reduce.numeric.containers import Cube
from sedmd.simulate.sources import Pointing, PointSpread, SimulatedSource
from sedmd.simulate.spectra import galaxy_flux, smooth_flux, supernova_flux

#: Variance that light adds to a sample, in units of light / width of the bin: see the module's docstring.
SHOT = 0.65
#: Where S/N and brightness of a source are meant [Angstrom].
LOW, HIGH = 4500.0, 8500.0
#: A target this near to the rim, or this far from its place, is not clear [arcsec].
CLEAR_RIM, CLEAR_ERROR = 3.0, 3.0
#: A neighbour nearer than this [arcsec] or brighter than this share of the target makes it unclear.
CLEAR_NEIGHBOUR, CLEAR_RATIO = 5.0, 0.3
CLEAR_S_TO_N = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """A blank exposure made ready.

    Attributes
    ----------
    exposed : the blank
    array : its lens array
    instants : of its exposure, without guiding errors
    expected : where a target lands in it, arcsec: in a pair nodded, against the telescope's offset
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


def ground_of(exposed: Exposed, position: Place = (0.0, 0.0), *, nodded: bool = True) -> Ground:
    """Make a blank exposure ready; targets land at `position`, but for the nod of its header."""
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
    nod = (-float(header.get("RA_OFF", 0.0)), -float(header.get("DEC_OFF", 0.0))) if nodded else (0.0, 0.0)
    return Ground(
        exposed=exposed,
        array=lens_array(cube),
        instants=instants_of(header),
        expected=_moved(position, nod),
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
    expected : of each exposure where a target lands, arcsec East and North
    aimed : of each exposure where the target is at 6500 Angstrom, or would be if there were one
    truth : the same; None without a target
    spectrum : (n_wave,) all light of the target in A, electron/Angstrom; None without a target
    seeing : of each exposure
    others : galaxies, stars and cosmic rays; without a target, ratios are against the brightest
    clear : an observer would extract the target without a second look
    """

    kind: str
    s_to_n: float
    exposures: tuple[Exposed, ...]
    expected: tuple[Place, ...]
    aimed: tuple[Place, ...]
    truth: tuple[Place, ...] | None
    spectrum: NDArray[np.floating] | None
    seeing: tuple[PointSpread, ...]
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
    "bright-star": Recipe(pairs=0.5, beside="bright-star"),
    "bright-galaxy": Recipe(pairs=0.5, beside="bright-galaxy"),
    "empty": Recipe(pairs=0.5, target=""),
    "empty-host": Recipe(pairs=0.5, target="", beside="host"),
    "empty-star": Recipe(pairs=0.5, target="", beside="star"),
    "absent-star": Recipe(pairs=0.5, target="", beside="bright-star"),
    "absent-galaxy": Recipe(pairs=0.5, target="", beside="bright-galaxy"),
    "edge": Recipe(target="edge"),
    "outside": Recipe(target="outside"),
    "cosmic": Recipe(beside="cosmic"),
}
#: Distance from the rim [arcsec, positive inside] of a target at the edge and of one outside.
RIM_RANGES = {"edge": (-1.0, 2.5), "outside": (-6.0, -1.0)}
#: Distance [arcsec] and brightness, in units of the target's, of a brighter neighbour.
BRIGHT_RANGE, BRIGHT_RATIOS = (2.0, 6.0), (1.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Body:
    """A star or galaxy: place in exposure A, flux above the atmosphere of any unit, light against the first body's.

    `galaxy` gives the shape; None is a star.
    """

    what: str
    place: Place
    flux: NDArray[np.floating]
    ratio: float = 1.0
    galaxy: SimulatedSource | None = None


def fields(
    blanks: Sequence[Blank],
    kinds: Sequence[str],
    s_to_n: Sequence[float],
    count: int,
    rng: np.random.Generator,
    position: Place = (0.0, 0.0),
) -> Iterator[Field]:
    """Fields of every kind and S/N.

    Parameters
    ----------
    blanks : from `blank_cubes`; exposures of a pair serve as single ones too
    kinds : of `KINDS`
    s_to_n : see `Field`
    count : fields of each kind and S/N
    rng : every field gets a generator of its own from it
    position : where targets land in the field, arcsec

    Raises
    ------
    ValueError
        Unknown kind, or no blank of the sort that a kind needs.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ValueError(f"no field of kind {', '.join(unknown)}; the kinds are {', '.join(KINDS)}")
    grounds = [tuple(ground_of(exposed, position) for exposed in blank) for blank in blanks]
    singles = [(ground_of(exposed, position, nodded=False),) for blank in blanks for exposed in blank]
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
    aimed = tuple(_moved(place, shift) for shift in shifts)
    truth = aimed if recipe.target else None
    return Field(
        kind=kind,
        s_to_n=s_to_n,
        exposures=tuple(exposures),
        expected=tuple(ground.expected for ground in grounds),
        aimed=aimed,
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


def _draw_seeing(count: int, rng: np.random.Generator) -> tuple[PointSpread, ...]:
    first = PointSpread(
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
    elif recipe.beside in ("bright-star", "bright-galaxy"):
        where = _around(place, *BRIGHT_RANGE, rng)
        made = _draw_star if recipe.beside == "bright-star" else _draw_galaxy
        bodies.append(made("neighbour", where, rng, BRIGHT_RATIOS))
    elif recipe.beside == "star":
        where = _on_array(ground.array, 0.0, np.inf, rng)
        # Nothing could tell a star at the place of the target from the target.
        while _apart(where, ground.expected) < 4.0:
            where = _on_array(ground.array, 0.0, np.inf, rng)
        bodies.append(_draw_star("star", where, rng))
    return bodies


def _draw_ratio(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _draw_star(what: str, place: Place, rng: np.random.Generator, ratios: Place = (0.05, 5.0)) -> Body:
    flux = smooth_flux(float(rng.uniform(3500.0, 9000.0)), 18.0)
    return Body(what=what, place=place, flux=flux, ratio=_draw_ratio(rng, *ratios))


def _draw_galaxy(what: str, place: Place, rng: np.random.Generator, ratios: Place) -> Body:
    """A galaxy that stands for itself, at a redshift of its own."""
    drawn = _draw_host(place, float(rng.uniform(0.005, 0.08)), rng)
    return replace(drawn, what=what, place=place, ratio=_draw_ratio(rng, *ratios))


def _draw_host(place: Place, redshift: float, rng: np.random.Generator) -> Body:
    flux = galaxy_flux(redshift, 18.0, float(rng.uniform(0.0, 1.0)))
    shape = SimulatedSource(
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
    ground: Ground, body: Body, place: Place, seeing: PointSpread, instants: Sequence[Pointing]
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
