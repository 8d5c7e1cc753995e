"""What is known of a target before it is looked at: where it lands, and which star tells the width of the PSF."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sedmd.core.config import AutomaticExtraction
from sedmd.observation.exposure import Exposure, airmass_of
from sedmd.observation.inputs import Subject
from sedmd.products.conditions import known_seeing, known_wings
from sedmd.products.fitsio import Cards
from sedmd.products.guide import GUIDER, GuideRecord, guide_cards, offset_in
from sedmd.products.target_positions import places_for
from sedmd.raw.cards import number
from sedmd.reduce.guide.brightness import together
from sedmd.reduce.target.find import Source
from sedmd.reduce.target.place import Place, with_star
from sedmd.reduce.target.psf import Psf
from sedmd.reduce.target.seeing import Seeing

#: Significance of a star whose width is trusted to tell how much light an aperture misses.
CLEAR_STAR = 15.0
#: The stars around the target tell the FWHM of its image with this spread, in units of it: another camera and focus.
GUIDED_SPREAD = 0.1
#: Known better than this, a place decides which object is the target, however bright another one is [arcsec].
SURE_ARCSEC = 1.0
#: A star's image is not narrower nor wider than this [arcsec].
STAR_FWHM_ARCSEC = (1.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPrior:
    """What the extraction is given before it looks at the cubes.

    Attributes
    ----------
    places : tuple of Place
        Expected target positions: two where the night's star contradicts the nights before.
    seeing : Seeing
        FWHM of a star: by the night's standard star nearest in time, or what is usual.
    """

    places: tuple[Place, ...] = (Place(),)
    seeing: Seeing = field(default_factory=Seeing)


def expected(
    exposures: Sequence[Exposure],
    subject: Subject,
    star: Mapping[str, object] | None,
    settings: AutomaticExtraction,
    guides: Sequence[GuideRecord | None] = (),
) -> TargetPrior:
    """What is known of a target; of a standard star nothing is asked: it is the brightest object.

    Parameters
    ----------
    exposures : one, or A and B
    subject : Subject
    star : header of the spectrum of the night's standard star, None without one
    settings : AutomaticExtraction
    guides : what acquisition and guider frames of each exposure tell; None without such frames
    """
    if subject.standard:
        return TargetPrior()
    return TargetPrior(
        places=expected_places(exposures, subject, star, settings, guides),
        seeing=night_seeing(exposures, star, guides) or Seeing(fwhm_arcsec=float(settings.seeing_arcsec)),
    )


def expected_places(
    exposures: Sequence[Exposure],
    subject: Subject,
    star: Mapping[str, object] | None,
    settings: AutomaticExtraction,
    guides: Sequence[GuideRecord | None] = (),
) -> tuple[Place, ...]:
    """Where the target is looked for: where field stars put it, else as `places_for` says."""
    if places := guided_places(guides, star):
        return places
    header, half = exposures[0].header, bool(subject.half)
    return places_for(header, star, pointing_arcsec=settings.pointing_arcsec, half=half)


def guided_places(guides: Sequence[GuideRecord | None], star: Mapping[str, object] | None) -> tuple[Place, ...]:
    """Where field stars put the target; none where too few told, or where the guider's pixel falls is not known.

    Two places where the night's standard star, whose guider frames told as well, contradicts the nights before.

    Parameters
    ----------
    guides : of each exposure; of a pair one whose frames tell is enough
    star : header of the spectrum of the night's standard star, None without one
    """
    known = [one if _tells(one) else None for one in guides]
    if any(one is not None and one.source == GUIDER for one in known):  # which knows better than an acquisition
        known = [one if one is not None and one.source == GUIDER else None for one in known]
    first = next((one for one in known if one is not None), None)
    if first is None:
        return ()
    links: tuple[Place, ...] = (first.link,)
    if star is not None and (seen := guider_pixel(star)) is not None:
        links = with_star(first.link, seen)
    error = max(one.error_arcsec or 0.0 for one in known if one is not None)
    return tuple(_guided(link, known, error, first.source) for link in links)


def _tells(guide: GuideRecord | None) -> bool:
    return guide is not None and None not in (guide.offset, guide.error_arcsec) and guide.link.known


def _guided(link: Place, known: Sequence[GuideRecord | None], error_arcsec: float, source: str) -> Place:
    """Where a target stands if the guider's pixel falls there."""
    offsets = [None if one is None else one.offset for one in known]
    each = [None if one is None else (link.x_arcsec + one[0], link.y_arcsec + one[1]) for one in offsets]
    x, y = next(one for one in each if one is not None)
    spread = math.hypot(link.spread_arcsec, error_arcsec)
    return Place(
        x_arcsec=x,
        y_arcsec=y,
        spread_arcsec=spread,
        source=f"by the {source} frames; {link.source}",
        measured=spread < SURE_ARCSEC,
        each=tuple(each) if len(each) > 1 else (),
    )


def guider_pixel(star: Mapping[str, object]) -> tuple[float, float] | None:
    """Where in the field the guider's pixel is by the spectrum of a standard star, arcsec; None if it does not say.

    Of a pair by each exposure whose frames told.
    """
    seen = []
    for half in ("", "B"):
        x, y, offset = number(star.get(f"XPOS{half}")), number(star.get(f"YPOS{half}")), offset_in(star, half=half)
        if x is not None and y is not None and offset is not None:
            seen.append((x - offset[0], y - offset[1]))
    if not seen:
        return None
    return sum(x for x, _ in seen) / len(seen), sum(y for _, y in seen) / len(seen)


def prior_cards(
    expected: TargetPrior, guides: Sequence[GuideRecord | None], exptimes_s: Sequence[float] = (1.0,)
) -> Cards:
    """Cards with what an extraction expected, and by what it was known; only where there were frames to ask.

    Parameters
    ----------
    expected : TargetPrior
    guides : of each exposure; None without frames
    exptimes_s : of each exposure
    """
    if not any(guides):
        return {}
    place, seeing = expected.places[0], expected.seeing
    by_guide = any(one is not None and one.seeing_arcsec is not None for one in guides)
    told = [one or GuideRecord() for one in guides]
    points = told[0].zero_points if len(told) == 1 else together([one.zero_points for one in told], exptimes_s)
    second = guide_cards(told[1], half="B") if len(told) > 1 else {}
    return {
        **guide_cards(replace(told[0], zero_points=points)),
        **second,
        "POSSRC": (place.source or "nothing", "source of the expected position"),
        "PRIORX": (place.x_arcsec, "[arcsec] expected position, East"),
        "PRIORY": (place.y_arcsec, "[arcsec] and North"),
        "PRIORERR": (place.spread_arcsec, "[arcsec] 1 sigma, each axis"),
        "SEESRC": ("field stars" if by_guide else "standard star, or usual", "source of the expected FWHM"),
        "SEEPRIOR": (seeing.fwhm_arcsec, "[arcsec] expected FWHM at 6500 A"),
    }


def night_seeing(
    exposures: Sequence[Exposure],
    star: Mapping[str, object] | None,
    guides: Sequence[GuideRecord | None] = (),
) -> Seeing | None:
    """The seeing of an observation: by the stars around it, else at its airmass by the night's standard star.

    None where neither tells.
    """
    told = [
        (one.seeing_arcsec, one.seeing_error_arcsec or 0.0)
        for one in guides
        if one is not None and one.seeing_arcsec is not None
    ]
    if told:
        fwhm, error = (sum(values) / len(told) for values in zip(*told, strict=True))
        around = Seeing(fwhm_arcsec=fwhm, spread_arcsec=math.hypot(GUIDED_SPREAD * fwhm, error))
        return around.with_wings(None if star is None else known_wings(star))
    return None if star is None else known_seeing(star, airmass_of(exposures))


def star_images(found: Sequence[Sequence[Source]], night: Seeing | None) -> tuple[Psf, ...] | None:
    """The image of a star in each exposure, by which the light beyond an aperture is measured: of all, or of none.

    A clear star in each exposure tells of itself. Where one exposure has none, the width is that of the night's
    standard star in all of them; without such a star, that of the exposure which has a clear one.

    Parameters
    ----------
    found : sources of each exposure, the brightest first
    night : as the night's standard star tells it; None without one
    """
    own = [_clear_star(sources) for sources in found]
    clear = [psf for psf in own if psf is not None]
    if clear and len(clear) == len(own):
        return tuple(clear)
    if night is not None:
        return (Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=night.fwhm_arcsec),) * len(own)
    return (clear[0],) * len(own) if clear else None


def _clear_star(sources: Sequence[Source]) -> Psf | None:
    """The image of a star: the sharpest of the clear sources, since nothing is sharper than the seeing.

    What lies in the wings of a brighter source may be no more than the error of that one's shape.
    """
    low, high = STAR_FWHM_ARCSEC
    clear: list[Psf] = []
    for order, source in enumerate(sources):
        psf = source.psf
        apart = [
            math.hypot(psf.x_arcsec - other.psf.x_arcsec, psf.y_arcsec - other.psf.y_arcsec) / other.psf.fwhm_arcsec
            for other in sources[:order]
        ]
        good = source.significance >= CLEAR_STAR and source.edge_arcsec >= psf.fwhm_arcsec
        if good and low <= psf.fwhm_arcsec <= high and min(apart, default=9.0) > 2:
            clear.append(psf)
    return min(clear, key=lambda psf: psf.fwhm_arcsec, default=None)
