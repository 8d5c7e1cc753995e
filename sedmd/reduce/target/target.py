"""Which object of a field is the target, with which confidence: from where it should be and what else is there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sedmd.reduce.numeric.containers import Cube
from sedmd.reduce.target.find import Source
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Refraction
from sedmd.reduce.target.seeing import Seeing, Shape, normal

#: How an object moves over the field when the telescope is offset: against the offset of the telescope, or with it
#: where the card holds the object's.
SIGNS = (-1.0, 1.0)
#: How far the move from A to B may be off the telescope's offsets [arcsec].
MAX_NOD_ERROR = 2.0
#: A move shorter than this tells nothing [arcsec].
MIN_NOD = 0.5
#: Of the two exposures of a pair, how often the target position is midway between them, at the first, at the
#: second: kpy nods to both sides (recenter_ifu.py: B is moved by -2 times what A was).
MIDWAY, FIRST, SECOND = 0.8, 0.1, 0.1
#: Targets that lie anywhere in the field: wrong coordinates, a poor acquisition, an offset that somebody typed.
MISPOINTED = 0.1
#: The same where stars around the target tell where it is; farther from there than so many sigma it is not, in either
#: axis (the first of 460 targets would be).
MISMEASURED, GATE = 0.002, 3.5
#: Unrelated objects as bright as targets are, per arcsec**2: galaxies and stars to R = 20.5 (Hogg et al. 1997; Bahcall
#: & Soneira 1980, high latitude), which is one in the field of view.
UNRELATED = 1.2e-3
#: What an object of R = 20.5 makes at most [electron / (s Angstrom)], a quarter of its light being counted; brighter
#: ones are rarer by 0.25 dex a magnitude (the same counts, R = 17.5 to 20.5). Beyond so many times the light, 3
#: magnitudes, targets are as rare as they.
FAINT_RATE, RARER, BRIGHTEST = 0.02, 0.625, 16.0
#: Share of a star's light that its image may leave behind, and how far from it, in units of its FWHM.
LEFT_BEHIND, WINGS = 0.04, 2.0
#: How often a target is to be seen at all: some fade, some were never there.
VISIBLE = 0.9
#: How often its host galaxy is to be seen, and how far from the target it lies in each axis [arcsec].
HOST_SEEN, HOST_SPREAD = 0.5, 3.0
#: Width of galaxies in units of the seeing, and its spread [arcsec]; spread of each ellipticity component of their
#: images (Lambas et al. 1992: axis ratios of galaxies; the seeing rounds them by half).
GALAXY_WIDTH, GALAXY_SPREAD, GALAXY_ELLIPTICITY = 1.6, 0.6, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One exposure of a target.

    Attributes
    ----------
    cube : Cube
    refraction : Refraction
    exptime_s : float
    offset : (x, y) or None
        What the header calls the telescope's offset, arcsec East and North; None when it does not tell. It holds the
        step from the acquisition camera to the IFU, so that only the difference of two exposures says something.
    """

    cube: Cube
    refraction: Refraction
    exptime_s: float
    offset: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """A reason for or against: in words, and the probability that all is well as far as it goes.

    `modelled`: it is light beside the target that was fitted with it, so that it says nothing of an aperture.
    """

    why: str
    confidence: float
    modelled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An object that may be the target.

    Attributes
    ----------
    sources : tuple of Source, one for each exposure
    expected : the expected target position that is nearest to it
    off_arcsec : how far it lies from there
    unrelated : density of unrelated objects as bright as it is, 1 / arcsec**2
    odds : that it is the target, against an unrelated object there
    chance : that it is the target, all candidates and the chance that none is considered
    """

    sources: tuple[Source, ...]
    expected: Place
    off_arcsec: float
    unrelated: float
    odds: float
    chance: float = 0.0

    @property
    def significance(self) -> float:
        """Of the detection in all exposures together."""
        return math.sqrt(sum(source.significance**2 for source in self.sources))

    @property
    def place(self) -> tuple[float, float]:
        """In the first exposure, arcsec."""
        return place_of(self.sources[0])


def candidates(
    looks: Sequence[Look], found: Sequence[Sequence[Source]], *, places: Sequence[Place] = (Place(),)
) -> list[Candidate]:
    """The objects that may be the target, the likeliest first.

    Parameters
    ----------
    looks : one exposure, or A and B
    found : sources of each exposure, the brightest first
    places : expected target positions, equally likely; by default unknown

    Returns
    -------
    list of Candidate
        In a pair only what moved by the nod is one.

    Notes
    -----
    Bayes' rule: the density of targets about their expected positions, normal ones with a floor for those that went
    off target, against the density of unrelated objects and against there being nothing to see. Where stars around the
    target tell where it is, what lies elsewhere is no candidate, however bright.
    """
    made = []
    within = all(place.measured for place in places)
    # what shines beyond the rim is not in the field, and what the rim itself makes is no object
    found = [
        [one for one in sources if one.edge_arcsec > 0 and not any(in_the_wings(one, other) for other in sources)]
        for sources in found
    ]
    for sources in _objects(looks, found, places):
        density, place, off = _density(sources, places)
        if within and off > GATE * place.spread_arcsec:
            continue
        others = unrelated(sources[0].brightness / looks[0].exptime_s)
        made.append(Candidate(sources=sources, expected=place, off_arcsec=off, unrelated=others, odds=density / others))
    return weighed(made, [1.0] * len(made))


def weighed(objects: Sequence[Candidate], factors: Sequence[float]) -> list[Candidate]:
    """The candidates with their odds multiplied by what else is known of each, the likeliest first."""
    odds = [one.odds * factor for one, factor in zip(objects, factors, strict=True)]
    total = sum(odds) + (1 - VISIBLE) / VISIBLE
    made = [replace(one, odds=odd, chance=odd / total) for one, odd in zip(objects, odds, strict=True)]
    return sorted(made, key=lambda one: -one.odds)


def in_the_wings(source: Source, other: Source) -> bool:
    """So faint beside so bright a star it is what the star's image left, as a rule."""
    (x, y), (other_x, other_y) = place_of(source), place_of(other)
    near = math.hypot(x - other_x, y - other_y) < WINGS * other.psf.fwhm_arcsec
    return near and source.brightness < LEFT_BEHIND * other.brightness


def unrelated(rate: float) -> float:
    """Density of unrelated objects at least as bright as this [1 / arcsec**2]; rate in electron / (s Angstrom)."""
    found: float = UNRELATED * min(max(rate / FAINT_RATE, 1.0), BRIGHTEST) ** -RARER
    return found


def likeness(
    off_arcsec: float, shape: Shape, *, spread_arcsec: float, seeing: Seeing, others: float = UNRELATED
) -> float:
    """How much likelier an object of this shape is the target than its place alone would say.

    Parameters
    ----------
    off_arcsec : from the expected target position
    shape : of its image
    spread_arcsec : of targets about that place, in each axis
    seeing : of a star here
    others : density of unrelated objects as bright, 1 / arcsec**2

    Notes
    -----
    A target is as wide and as round as a star. What is not the target is an unrelated star or galaxy anywhere, or the
    target's own host, which lies where targets lie, and is as wide and as long as galaxies are.
    """
    star = seeing.density(shape)
    width = normal(shape.fwhm_arcsec - GALAXY_WIDTH * seeing.fwhm_arcsec, math.hypot(GALAXY_SPREAD, shape.fwhm_error))
    galaxy = width * shape.roundness(GALAXY_ELLIPTICITY)
    spread = math.hypot(HOST_SPREAD, spread_arcsec)
    host = HOST_SEEN * math.exp(-0.5 * (off_arcsec / spread) ** 2) / (2 * math.pi * spread**2)
    return others * star / (others * 0.5 * (star + galaxy) + host * galaxy)


def nod_of(looks: Sequence[Look]) -> tuple[float, float] | None:
    """The telescope's move from A to B, arcsec; None when the headers do not tell."""
    return move_of([look.offset for look in looks])


def move_of(offsets: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    """From the first to the last of a telescope's offsets, arcsec; None when one is not known, or they are the same."""
    one, two = offsets[0], offsets[-1]
    if one is None or two is None:
        return None
    nod = two[0] - one[0], two[1] - one[1]
    return nod if math.hypot(*nod) >= MIN_NOD else None


def nod_error(one: Source, two: Source, nod: tuple[float, float] | None) -> float:
    """How far the move of an object is off the telescope's, arcsec; 0 where nothing is known of that."""
    return min(_gap((one, two), nod, sign) for sign in SIGNS)


def _gap(sources: Sequence[Source], nod: tuple[float, float] | None, sign: float) -> float:
    if nod is None or len(sources) < 2:
        return 0.0
    (ax, ay), (bx, by) = place_of(sources[0]), place_of(sources[1])
    return math.hypot(bx - ax - sign * nod[0], by - ay - sign * nod[1])


def place_of(source: Source) -> tuple[float, float]:
    """Where it lies at the reference wavelength, arcsec East and North."""
    return source.psf.x_arcsec, source.psf.y_arcsec


def _objects(
    looks: Sequence[Look], found: Sequence[Sequence[Source]], places: Sequence[Place]
) -> Iterator[tuple[Source, ...]]:
    """Each object with its source in every exposure; none counts as two."""
    if len(looks) == 1:
        yield from ((source,) for source in found[0])
        return
    nod = nod_of(looks)
    # stars around the target have no doubt about the sign, and are asked first
    told = next((place.move for place in places if place.move is not None), None)
    left = list(found[1])
    for one in found[0]:
        # of the sources that moved by the nod, the one that is as bright
        errors = [_gap((one, two), told, 1.0) if told is not None else nod_error(one, two, nod) for two in left]
        fitting = [two for two, error in zip(left, errors, strict=True) if error <= MAX_NOD_ERROR]
        if fitting:
            two = min(fitting, key=lambda two: abs(math.log(max(two.significance, 1e-9) / max(one.significance, 1e-9))))
            left = [other for other in left if other is not two]
            yield one, two


def _density(sources: Sequence[Source], places: Sequence[Place]) -> tuple[float, Place, float]:
    """Density of targets here [1 / arcsec**2], the nearest expected position, and the distance from it [arcsec]."""
    points = [place_of(source) for source in sources]
    readings = [_readings(points, place) for place in places]
    mean = sum(
        share * place.density(*point) for place, own in zip(places, readings, strict=True) for point, share in own
    ) / len(places)
    off, nearest = min(
        ((_off(points, place, own), place) for place, own in zip(places, readings, strict=True)),
        key=lambda pair: pair[0],
    )
    mispointed = Place().density(*readings[0][0][0])
    share = MISMEASURED if all(place.measured for place in places) else MISPOINTED
    return (1 - share) * mean + share * mispointed, nearest, off


def _off(
    points: Sequence[tuple[float, float]], place: Place, readings: Sequence[tuple[tuple[float, float], float]]
) -> float:
    """How far an object is from its expected position [arcsec]: in each exposure whose stars tell that."""
    if place.each:
        return max(math.dist(point, at) for point, at in zip(points, place.each, strict=True) if at is not None)
    return min(place.off(*point) for point, _ in readings)


def _readings(points: Sequence[tuple[float, float]], place: Place) -> list[tuple[tuple[float, float], float]]:
    """Where an object would be without a nod, and how often that is so.

    Where stars around the target tell its place in the exposures: as far off the expected one as it is in the mean.
    """
    if len(points) == 1:
        return [(points[0], 1.0)]
    if place.each:
        off = [(x - at[0], y - at[1]) for (x, y), at in zip(points, place.each, strict=True) if at is not None]
        dx, dy = (sum(axis) / len(off) for axis in zip(*off, strict=True))
        return [((place.x_arcsec + dx, place.y_arcsec + dy), 1.0)]
    (ax, ay), (bx, by) = points
    return [((0.5 * (ax + bx), 0.5 * (ay + by)), MIDWAY), ((ax, ay), FIRST), ((bx, by), SECOND)]
