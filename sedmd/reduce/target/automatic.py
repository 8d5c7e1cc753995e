"""The spectrum of a target without an observer, and the confidence in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.reduce.cube.even_sky import with_even_sky
from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.target.concerns import (
    about_agreement,
    about_detection,
    about_edge,
    about_hosts,
    about_neighbours,
    about_nod,
    about_noise,
    about_picture,
    about_place,
    about_sharpness,
    about_sky,
    apart,
    matters,
    nothing,
    nothing_there,
    snr_of,
)
from sedmd.reduce.target.find import BAND_EDGES, RIM_ARCSEC, Source, edge_distance, find_in_bands, without
from sedmd.reduce.target.host import Host, find_offset, fit_beside, fit_host
from sedmd.reduce.target.host_cube import with_host_noise
from sedmd.reduce.target.host_images import HostImages, blurred, host_shape
from sedmd.reduce.target.known_place import limit_at, with_hidden
from sedmd.reduce.target.level import level_error
from sedmd.reduce.target.pair import extract_pair
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import DEFAULT_BETA, Bands, PointSpectrum, Psf, condense, extract_point, fit_psf, image
from sedmd.reduce.target.seeing import Seeing, Shape
from sedmd.reduce.target.target import (
    GATE,
    MISMEASURED,
    VISIBLE,
    Candidate,
    Concern,
    Look,
    candidates,
    likeness,
    place_of,
    weighed,
)

#: A galaxy whose middle is farther off is a neighbour [arcsec].
HOST_ARCSEC = 6.0
#: Candidates with a chance above this are examined more closely, at most so many.
CONTENDER, MOST_CONTENDERS = 0.02, 3
#: A point of a smaller share of a source's light makes no host of it.
LEAST_RIVAL = 0.05
#: Wider than this, in units of the seeing, a source is no star; fainter than this share of its host, a part of it.
EXTENDED, PART_OF_HOST = 1.4, 0.3
#: Nearer than this, star and host cannot be separated [arcsec]; error of a width that was fitted in passing.
SAME_PLACE_ARCSEC, ROUGH_ARCSEC = 1.0, 0.3
#: A fit with known wings that ends farther off than this is another object's [arcsec].
STAYS_ARCSEC = 0.5
#: What tells of a host where there are no images of the field: a profile that is fitted together with the target.
MODEL = "model"
#: Where nothing is more significant than this, nothing is visible; the place, and a star's light, must be in the field
#: [arcsec from its edge].
FAINTEST, WHOLE_ARCSEC = 5.0, 1.5
#: The grade of a place where nothing is, of a good spectrum, and of an acceptable one.
NO_OBJECT, GOOD, ACCEPTABLE = 4, 1, 2
#: Confidence from which a concern is not worth mentioning.
NO_CONCERN = 0.985
#: Signal-to-noise ratio per bin from which a spectrum without concerns is good; acceptable below.
GOOD_SNR = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Automatic:
    """What was found without an observer.

    Attributes
    ----------
    point : PointSpectrum or None
        In counts of the first exposure; None when nothing was found.
    sources : the target in each exposure; its `psf` is the one that was extracted with
    host : the light around the target in each exposure, where there is any
    host_light : (n_wave,) what of it would count as the target's without a model of it; None without a host
    host_source : what told of the host: "model", or the images; empty without a host
    found : everything that was found in each exposure, the brightest first
    others : further objects, places in the first exposure [arcsec]
    checks : everything that was checked, with its confidence, the gravest first
    snr : median signal-to-noise ratio per bin
    absent : nothing is where stars around the target put it; the spectrum is that of the place, and tells a limit
    level_error : error that all of the spectrum has in common by its image, fraction; NaN with a host, or for a limit
    """

    point: PointSpectrum | None
    sources: tuple[Source, ...] = ()
    host: tuple[Host, ...] = ()
    host_light: NDArray[np.floating] | None = None
    host_source: str = ""
    found: tuple[tuple[Source, ...], ...] = ()
    others: tuple[tuple[float, float], ...] = ()
    checks: tuple[Concern, ...] = ()
    snr: float = 0.0
    absent: bool = False
    level_error: float = math.nan

    @property
    def confidence(self) -> float:
        """Probability that this is the target's spectrum and sound, as far as the reasons go; each taken for itself."""
        return math.prod(check.confidence for check in self.checks) if self.point is not None else 0.0

    @property
    def concerns(self) -> tuple[Concern, ...]:
        """The checks whose confidence is worth mentioning, the gravest first."""
        return tuple(check for check in self.checks if check.confidence < NO_CONCERN)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The concerns in words, the gravest first."""
        return tuple(concern.why for concern in self.concerns)

    @property
    def quality(self) -> int:
        """The grade of a confident spectrum: 1 good, 2 acceptable, 4 no object visible."""
        if self.absent:
            return NO_OBJECT
        return GOOD if self.snr >= GOOD_SNR and not self.reasons else ACCEPTABLE


def extract_target(
    looks: Sequence[Look],
    *,
    gain_b: NDArray[np.floating] | float = 1.0,
    places: Sequence[Place] = (Place(),),
    seeing: Seeing | None = None,
    standard: bool = False,
    concerns: Sequence[Concern] = (),
    field: HostImages | None = None,
) -> Automatic:
    """Find the target in one exposure or in A and B, and extract it, with all other light in the field modelled.

    Parameters
    ----------
    looks : one exposure, or A and B
    gain_b : (n_wave,) or float, counts in B for one in A (see `extract_pair`)
    places : expected target positions, equally likely; by default unknown
    seeing : what is known of a star's FWHM; by default what is usual
    standard : the target is a standard star: the brightest object
    concerns : further concerns: its calibrations, say
    field : images of the field from before the target was there; its host is modelled by them where they show one

    Raises
    ------
    ValueError
        A and B do not hold the same spaxels and wavelengths.
    """
    if not standard:
        looks = [replace(look, cube=with_even_sky(look.cube)) for look in looks]
    bands = [condense(look.cube, look.refraction, BAND_EDGES) for look in looks]
    found = [find_in_bands(one, look.cube.spaxels) for one, look in zip(bands, looks, strict=True)]
    seeing = seeing or Seeing()
    found = [
        _with_target(one, look.cube.spaxels, sources, number, places, seeing)
        for number, (one, look, sources) in enumerate(zip(bands, looks, found, strict=True))
    ]
    ranked = candidates(looks, found, places=places)
    if not ranked:
        if not all(place.measured for place in places):
            return Automatic(point=None, found=tuple(map(tuple, found)), checks=(nothing(looks, found),))
        return _without_target(looks, bands, found, places, seeing, gain_b=gain_b, concerns=concerns)
    pictures: list[Host] = []
    hosts: list[Host] = []
    if standard:
        chosen = max(ranked, key=lambda one: one.sources[0].brightness)
    else:
        ranked, pictures = _by_shape(looks, bands, found, ranked, seeing)
        chosen = ranked[0]
        hosts = pictures if any(picture.clear for picture in pictures) else []
    shapes: list[NDArray[Any]] = []
    if field is not None and not standard and field.visible:
        hosts, shapes = _by_images(looks, bands, chosen, pictures, field.seen(), seeing)
    images = _images(looks, bands, found, chosen.sources, hosts, None if standard else seeing)
    sources = tuple(replace(one, psf=psf) for one, psf in zip(chosen.sources, images, strict=True))
    beside = [] if standard else _beside(looks, found, chosen, hosts, shapes)
    point = _extracted(looks, sources, beside, gain_b)
    # the host's image is the last of what lies beside the target
    plain = _extracted(looks, sources, beside[:-1], gain_b) if hosts else None
    if plain is not None and shapes and field is not None and field.noisy:
        noise = blurred(field.seen(), images[0]).noise(looks[0].cube.wavelength)
        own = image(
            images[0],
            looks[0].cube.spaxels,
            looks[0].cube.wavelength,
            looks[0].refraction.east,
            looks[0].refraction.north,
        )
        point = with_host_noise(point, plain.flux - point.flux, own, shapes[0], noise)
    snr = snr_of(looks[0].cube.wavelength, point)
    reasons = [
        about_detection(chosen, hosts),
        *(about_sharpness(source) for source in sources),
        *(about_edge(look, source.psf) for look, source in zip(looks, sources, strict=True)),
    ]
    if not standard:
        reasons += [
            about_place(chosen, ranked, sources, seeing),
            *about_hosts(hosts),
            about_picture(pictures),
            *about_neighbours(chosen, found[0], hosts),
            *about_nod(looks, chosen),
            *about_agreement(looks, sources, gain_b),
            about_noise(snr),
            about_sky(looks[0].cube.wavelength, point),
            *concerns,
        ]
    others = [one for one in found[0] if one is not chosen.sources[0] and one.edge_arcsec > RIM_ARCSEC]
    return Automatic(
        point=point,
        sources=sources,
        host=tuple(hosts),
        host_light=None if plain is None else plain.flux - point.flux,
        host_source="" if not hosts else field.source if shapes and field is not None else MODEL,
        found=tuple(map(tuple, found)),
        others=tuple(place_of(one) for one in others),
        checks=tuple(sorted(reasons, key=lambda concern: concern.confidence)),
        snr=snr,
        level_error=math.nan if hosts else _level_error(looks, bands, found, chosen.sources, images, seeing, standard),
    )


def _level_error(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    sources: Sequence[Source],
    images: Sequence[Psf],
    seeing: Seeing,
    standard: bool,
) -> float:
    """Of a spectrum by its image in each exposure: wings are off alike in both."""
    spread = math.inf if standard else seeing.beta_spread
    errors = []
    for look, one, others, source, psf in zip(looks, bands, found, sources, images, strict=True):
        cleared = without(one, look.cube.spaxels, (other for other in others if other is not source))
        errors.append(level_error(cleared, look.cube.spaxels, psf, beta_spread=spread))
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


def _without_target(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    places: Sequence[Place],
    seeing: Seeing,
    *,
    gain_b: NDArray[np.floating] | float,
    concerns: Sequence[Concern],
) -> Automatic:
    """Nothing was found where stars around the target put it: is the place empty, or only unclear?"""
    why = nothing_there(looks, found, places)
    bare = Automatic(point=None, found=tuple(map(tuple, found)), checks=(why,))
    at = [places[0].in_exposure(number) for number in range(len(looks))]
    known = [point for point in at if point is not None]
    inside = all(
        edge_distance(look.cube.spaxels, *point) > WHOLE_ARCSEC for look, point in zip(looks, known, strict=False)
    )
    if len(places) > 1 or len(known) < len(looks) or not inside:
        return bare
    reach = GATE * places[0].spread_arcsec
    limits = [
        limit_at(one, look.cube.spaxels, sources, point, reach_arcsec=reach, seeing=seeing)
        for one, look, sources, point in zip(bands, looks, found, known, strict=True)
    ]
    most = math.sqrt(sum(max(significance, 0.0) ** 2 for _, significance in limits))
    if most > FAINTEST:
        unclear = replace(why, why=f"{why.why}; something of {most:.0f} sigma may be there")
        return replace(bare, checks=(unclear,))
    sources = tuple(source for source, _ in limits)
    chosen = Candidate(sources=sources, expected=places[0], off_arcsec=0.0, unrelated=0.0, odds=0.0)
    point = _extracted(looks, sources, _beside(looks, found, chosen, ()), gain_b)
    checks = (replace(why, confidence=(1 - VISIBLE) / (1 - VISIBLE + MISMEASURED)), *concerns)
    return replace(
        bare,
        point=point,
        sources=sources,
        others=tuple(place_of(one) for one in found[0] if one.edge_arcsec > RIM_ARCSEC),
        checks=tuple(sorted(checks, key=lambda concern: concern.confidence)),
        snr=snr_of(looks[0].cube.wavelength, point),
        absent=True,
    )


def _with_target(
    bands: Bands, spaxels: Spaxels, found: list[Source], number: int, places: Sequence[Place], seeing: Seeing
) -> list[Source]:
    """The sources of an exposure, and what a brighter one hides where stars around the target put it."""
    for place in places:
        at = place.in_exposure(number)
        if place.measured and at is not None:
            reach = GATE * place.spread_arcsec
            found = with_hidden(bands, spaxels, found, at, reach_arcsec=reach, seeing=seeing)
    return found


def _by_shape(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    ranked: Sequence[Candidate],
    seeing: Seeing,
) -> tuple[list[Candidate], list[Host]]:
    """The candidates once more, those that are points first; and the picture of the first in each exposure."""
    first = ranked[0]
    close = [first, *(one for one in ranked[1:MOST_CONTENDERS] if one.chance > CONTENDER)]
    fits = [_hosts(looks, bands, found, candidate, first, seeing) for candidate in close]
    factors = []
    for number, candidate in enumerate(ranked):
        shape = _shape(candidate, fits[number] if number < len(fits) else [])
        known = {"spread_arcsec": candidate.expected.spread_arcsec, "others": candidate.unrelated}
        factors.append(likeness(candidate.off_arcsec, shape, seeing=seeing, **known))
    for number, candidate in enumerate(close):
        for rival, fit in zip(close, fits, strict=True):
            if rival is candidate:
                continue
            factors[number] *= math.prod(
                _is_no_host(source, point, own, other) ** (1 / len(looks))
                for source, point, own, other in zip(candidate.sources, rival.sources, fits[number], fit, strict=True)
            )
    again = weighed(ranked, factors)
    chosen = next(number for number, one in enumerate(ranked) if one.sources is again[0].sources)
    light = fits[chosen] if chosen < len(fits) else _hosts(looks, bands, found, again[0], again[0], seeing)
    return again, light


def _shape(candidate: Candidate, fits: Sequence[Host]) -> Shape:
    """Of a candidate's image, mean over the exposures.

    Beside its host it is that of the star. A host in the same place is no other object: then it is that of both
    together, since any galaxy with a bright middle is as well fitted by a star and something wider.
    """
    if not fits:
        widths = [source.psf.fwhm_arcsec for source in candidate.sources]
        return Shape(fwhm_arcsec=float(np.mean(widths)), fwhm_error=ROUGH_ARCSEC)
    if any(host.clear and host.separation_arcsec > SAME_PLACE_ARCSEC for host in fits):
        return Shape(fwhm_arcsec=float(np.mean([host.star.fwhm_arcsec for host in fits])))
    one = [host.alone for host in fits]
    root = math.sqrt(len(one))
    return Shape(
        fwhm_arcsec=float(np.mean([shape.fwhm_arcsec for shape in one])),
        fwhm_error=float(np.mean([shape.fwhm_error for shape in one])) / root,
        e1=float(np.mean([shape.e1 for shape in one])),
        e2=float(np.mean([shape.e2 for shape in one])),
        e_error=float(np.mean([shape.e_error for shape in one])) / root,
    )


def _images(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    sources: Sequence[Source],
    hosts: Sequence[Host],
    seeing: Seeing | None,
) -> list[Psf]:
    """The target's image in each exposure: as it was fitted beside its host, if it has one.

    Alone it is fitted once more with what `seeing` tells of its wings, and of a faint one, which does not show them, as
    they are there: standard star and target then miss the same share of their light. A standard star tells for itself.
    """
    if hosts:
        return [host.star for host in hosts]
    if seeing is None:
        return [source.psf for source in sources]
    images = []
    for look, one, others, source in zip(looks, bands, found, sources, strict=True):
        spaxels = look.cube.spaxels
        cleared = without(one, spaxels, (other for other in others if other is not source))
        start = replace(source.psf, beta=seeing.beta)
        shown = source.psf.beta != DEFAULT_BETA  # `find_in_bands` leaves it where the source is too faint
        fitted = fit_psf(cleared, spaxels, start, free_shape=shown, beta_spread=seeing.beta_spread)[0]
        # one that leaves for what a neighbour's model left over is not the target's
        images.append(fitted if apart(fitted, source.psf) < STAYS_ARCSEC else source.psf)
    return images


def _is_no_host(source: Source, rival: Source, own: Host, other: Host) -> float:
    """How much less likely a source is to be the target because it may be the host of a rival.

    Where the rival is a point beside extended light in the source's place, that picture is weighed against the one in
    which the source is the point.
    """
    if not (other.clear and other.extended) or apart(source.psf, other.image) > 0.7 * other.image.fwhm_arcsec:
        return 1.0
    if rival.brightness < LEAST_RIVAL * source.brightness:
        return 1.0  # what is left in the wings of a bright star, and no point
    return math.exp(-0.5 * min(max((own.cost - other.cost) / max(other.chi2, 1.0), 0.0), 20.0))


def _hosts(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    found: Sequence[Sequence[Source]],
    candidate: Candidate,
    first: Candidate,
    seeing: Seeing,
) -> list[Host]:
    """A candidate's surroundings in each exposure, from the spaxels around the first."""
    fits = []
    for number, (one, look) in enumerate(zip(bands, looks, strict=True)):
        source = candidate.sources[number]
        # a galaxy beside it was found as a source of its own
        rest = [other for other in found[number] if other is not source]
        beside = [other for other in rest if apart(other.psf, source.psf) < HOST_ARCSEC]
        nearest = max(beside, key=lambda other: other.brightness, default=source)
        spaxels, near = look.cube.spaxels, place_of(nearest)
        cleared = without(one, spaxels, (other for other in rest if not _same_light(other, nearest, seeing)))
        inside = apart(source.psf, first.sources[number].psf) < HOST_ARCSEC
        about = place_of(first.sources[number] if inside else source)
        fits.append(fit_host(cleared, spaxels, source.psf, near=near, about=about, seeing=seeing))
    return fits


def _by_images(
    looks: Sequence[Look],
    bands: Sequence[Bands],
    chosen: Candidate,
    pictures: Sequence[Host],
    field: HostImages,
    seeing: Seeing,
) -> tuple[list[Host], list[NDArray[Any]]]:
    """The target beside its host as the images of the field show it, and the host's shape in each exposure."""
    hosts, shapes = [], []
    for look, one, source, picture in zip(looks, bands, chosen.sources, pictures, strict=True):
        begin = picture if picture.clear else replace(picture, star=source.psf)
        usual = replace(begin.star, fwhm_arcsec=seeing.fwhm_arcsec)
        if field.reach_arcsec > 0:
            field = _registered(field, begin, look, one, place_of(source), seeing)
        for search in (True, False, False):  # at the seeing that is expected, then at the one that was found
            sharp = blurred(field, usual if search else begin.star)

            def shape_of(star: Psf, part: Spaxels, sharp: HostImages = sharp, one: Bands = one) -> NDArray[np.floating]:
                return host_shape(sharp, star, part, one.wavelength, one.east, one.north)

            about = place_of(source)
            spaxels = look.cube.spaxels
            begin = fit_beside(begin, one, spaxels, shape_of, search=search, about=about, seeing=seeing)
        hosts.append(begin)
        refraction, wavelength = look.refraction, look.cube.wavelength
        sharp = blurred(field, begin.star)
        shapes.append(host_shape(sharp, begin.star, look.cube.spaxels, wavelength, refraction.east, refraction.north))
    return hosts, shapes


def _registered(
    field: HostImages, begin: Host, look: Look, bands: Bands, about: tuple[float, float], seeing: Seeing
) -> HostImages:
    """Pictures whose middle is not sure, moved so that the target is in it."""
    sharp = blurred(field, replace(begin.star, fwhm_arcsec=seeing.fwhm_arcsec))

    def shape_at(star: Psf, part: Spaxels, x: float, y: float) -> NDArray[np.floating]:
        return host_shape(sharp.moved(x, y), star, part, bands.wavelength, bands.east, bands.north)

    x, y = find_offset(
        begin, bands, look.cube.spaxels, shape_at, reach_arcsec=field.reach_arcsec, about=about, seeing=seeing
    )
    return replace(field.moved(x, y), reach_arcsec=0.0)


def _same_light(other: Source, host: Source, seeing: Seeing) -> bool:
    """A wide, faint source beside a host is what the host's own shape left behind in the search."""
    wide = other.psf.fwhm_arcsec > EXTENDED * seeing.fwhm_arcsec
    faint = other.brightness < PART_OF_HOST * host.brightness
    return other is host or (wide and faint and apart(other.psf, host.psf) < 2 * host.psf.fwhm_arcsec)


def _beside(
    looks: Sequence[Look],
    found: Sequence[Sequence[Source]],
    chosen: Candidate,
    hosts: Sequence[Host],
    shapes: Sequence[NDArray[Any]] = (),
) -> list[tuple[NDArray[Any], ...]]:
    """Images, in each exposure, of the light beside the target that is not its own."""
    places = [place_of(source) for source in chosen.sources]
    # an object seen in one exposure lies in the other where the target's move puts it
    psfs: list[tuple[Psf, ...]] = []
    for number, sources in enumerate(found):
        for one in sources:
            if one is chosen.sources[number] or not matters(one, chosen.sources[number]):
                continue
            moved = tuple(
                replace(
                    one.psf,
                    x_arcsec=one.psf.x_arcsec + place[0] - places[number][0],
                    y_arcsec=one.psf.y_arcsec + place[1] - places[number][1],
                )
                for place in places
            )
            if all(apart(moved[0], known[0]) > 1.0 for known in psfs):
                psfs.append(moved)
    if shapes:
        # the images have all that stands near the target
        psfs = [one for one in psfs if apart(one[0], chosen.sources[0].psf) > HOST_ARCSEC]
    elif hosts:
        # what the search took for neighbours is the host's light as a rule
        near = [host.image for host in hosts]
        psfs = [one for one in psfs if apart(one[0], near[0]) > near[0].fwhm_arcsec]
        psfs.append(tuple(near))
    images = [
        tuple(
            image(psf, look.cube.spaxels, look.cube.wavelength, look.refraction.east, look.refraction.north)
            for psf, look in zip(group, looks, strict=True)
        )
        for group in psfs
    ]
    return [*images, tuple(shapes)] if shapes else images


def _extracted(
    looks: Sequence[Look],
    sources: Sequence[Source],
    beside: Sequence[tuple[NDArray[Any], ...]],
    gain_b: NDArray[np.floating] | float,
) -> PointSpectrum:
    if len(looks) == 1:
        return extract_point(looks[0].cube, sources[0].psf, looks[0].refraction, others=[one[0] for one in beside])
    a, b = looks
    return extract_pair(
        a.cube,
        b.cube,
        sources[0].psf,
        sources[1].psf,
        a.refraction,
        b.refraction,
        gain_b=gain_b,
        others=[(one[0], one[1]) for one in beside],
    )
