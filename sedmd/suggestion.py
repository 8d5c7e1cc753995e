"""Where the pipeline would place the apertures, and what a star looks like in this field: offered to the observer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sedmd.observed import Observation
from sedmd.reduce.aperture import Ellipse
from sedmd.reduce.find import Source, find_sources
from sedmd.reduce.psf import Psf, Refraction

#: Significance of a star whose width is trusted to tell how much light an aperture misses.
CLEAR_STAR = 15.0
#: A star's image is not narrower nor wider than this [arcsec].
STAR_FWHM_ARCSEC = (1.0, 4.0)
#: How far the object of B may lie from where the nod puts that of A [arcsec].
MAX_NOD_ERROR = 2.0
#: Semi-major axis offered, in units of the image's FWHM, and its limits [arcsec].
RADIUS_FWHM, MIN_RADIUS, MAX_RADIUS = 1.1, 1.6, 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Apertures on the object, and the image of a star in each exposure.

    Attributes
    ----------
    a, b : Ellipse or None
        None where nothing was found (`b` also for a single exposure).
    psf_a, psf_b : Psf or None
    words : str
        What was found, in a sentence.
    others : tuple of (x, y)
        Further objects in the field, arcsec.
    """

    a: Ellipse | None = None
    b: Ellipse | None = None
    psf_a: Psf | None = None
    psf_b: Psf | None = None
    words: str = ""
    others: tuple[tuple[float, float], ...] = ()


def suggest(observation: Observation) -> Suggestion:
    """Look for the object as the pipeline does, in each exposure with its own sky."""
    found = [
        find_sources(cube, Refraction(east=np.asarray(dx, float), north=np.asarray(dy, float)))
        for cube, (dx, dy) in zip(observation.cubes, observation.refraction, strict=True)
    ]
    stars = [_star(sources) for sources in found]
    psf_a, psf_b = stars[0], stars[-1] if observation.pair else None
    if not observation.pair:
        if not found[0]:
            return Suggestion(psf_a=psf_a, words="nothing stands out from the sky")
        first, rest = found[0][0], found[0][1:]
        return Suggestion(a=_aperture(first), psf_a=psf_a, words=_words(first, rest), others=tuple(map(_place, rest)))
    match = _match(found[0], found[1], observation.nod)
    if match is None:
        words = "no object that moves with the nod" if observation.nod else "no object in both A and B"
        return Suggestion(psf_a=psf_a, psf_b=psf_b, words=words)
    first, second = match
    rest = [s for s in found[0] if s is not first]
    return Suggestion(
        a=_aperture(first),
        b=_like(_aperture(first), second),
        psf_a=psf_a,
        psf_b=psf_b,
        words=_words(first, rest),
        others=tuple(map(_place, rest)),
    )


def _match(ones: list[Source], twos: list[Source], nod: tuple[float, float] | None) -> tuple[Source, Source] | None:
    """The brightest object that A and B share: it moved by the nod, whichever sign the offsets have."""
    best: tuple[float, Source, Source] | None = None
    for one in ones:
        for two in twos:
            dx, dy = two.psf.x_arcsec - one.psf.x_arcsec, two.psf.y_arcsec - one.psf.y_arcsec
            if nod is not None and min(_gap(dx, dy, nod, 1), _gap(dx, dy, nod, -1)) > MAX_NOD_ERROR:
                continue
            score = min(one.significance, two.significance)
            if best is None or score > best[0]:
                best = (score, one, two)
    return None if best is None else best[1:]


def _gap(dx: float, dy: float, nod: tuple[float, float], sign: int) -> float:
    return math.hypot(dx - sign * nod[0], dy - sign * nod[1])


def _star(sources: list[Source]) -> Psf | None:
    """The image of a star: the sharpest of the clear sources, since nothing is sharper than the seeing.

    What lies in the wings of a brighter source may be no more than the error of that one's shape.
    """
    low, high = STAR_FWHM_ARCSEC
    clear: list[Psf] = []
    for number, source in enumerate(sources):
        psf = source.psf
        apart = [
            math.hypot(psf.x_arcsec - other.psf.x_arcsec, psf.y_arcsec - other.psf.y_arcsec) / other.psf.fwhm_arcsec
            for other in sources[:number]
        ]
        good = source.significance >= CLEAR_STAR and source.edge_arcsec >= psf.fwhm_arcsec
        if good and low <= psf.fwhm_arcsec <= high and min(apart, default=9.0) > 2:
            clear.append(psf)
    return min(clear, key=lambda psf: psf.fwhm_arcsec, default=None)


def _aperture(source: Source) -> Ellipse:
    radius = min(max(RADIUS_FWHM * source.psf.fwhm_arcsec, MIN_RADIUS), MAX_RADIUS)
    return Ellipse(
        x_arcsec=round(source.psf.x_arcsec, 3),
        y_arcsec=round(source.psf.y_arcsec, 3),
        semi_major_arcsec=round(radius, 1),
    )


def _like(ellipse: Ellipse, source: Source) -> Ellipse:
    return Ellipse(
        x_arcsec=round(source.psf.x_arcsec, 3),
        y_arcsec=round(source.psf.y_arcsec, 3),
        semi_major_arcsec=ellipse.semi_major_arcsec,
    )


def _place(source: Source) -> tuple[float, float]:
    return source.psf.x_arcsec, source.psf.y_arcsec


def _words(first: Source, rest: list[Source]) -> str:
    what = "one object" if not rest else f"{1 + len(rest)} objects, the brightest"
    return f"{what}, {first.significance:.0f} sigma, FWHM {first.psf.fwhm_arcsec:.1f}″"
