"""What the pipeline extracts by itself, and what a star looks like in this field: offered to the observer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sedmd.observation.aperture import Extraction, fit
from sedmd.observation.load import Observation, guide_records, star_header
from sedmd.observation.seeing import TargetPrior, expected, expected_places, night_seeing, star_images
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.automatic import Automatic
from sedmd.reduce.target.find import Source
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf

#: Semi-major axis offered, in units of the image's FWHM, and its limits [arcsec].
RADIUS_FWHM, MIN_RADIUS, MAX_RADIUS = 1.1, 1.6, 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Apertures on the object, the pipeline's own spectrum of it, and the image of a star in each exposure.

    Attributes
    ----------
    a, b : Ellipse or None
        None where nothing was found (`b` also for a single exposure).
    psf_a, psf_b : Psf or None
        Of both exposures of a pair, or of none.
    words : str
        What was found, in a sentence; of light beside the target nothing, since an aperture holds what of it is there.
    modelled : tuple of str
        Light beside the target that was fitted with it: true of the fitted spectrum only.
    others : tuple of (x, y)
        Further objects in the field, arcsec.
    expected : tuple of (x, y)
        Expected target positions, arcsec; two if the night's star contradicts the nights before, none if not known.
    fitted : Extraction or None
        The spectrum that the pipeline makes, PSF and host fitted together; None where it makes none.
    told : TargetPrior or None
        What the fit was given before; a placement with it stands for that spectrum.
    """

    a: Ellipse | None = None
    b: Ellipse | None = None
    psf_a: Psf | None = None
    psf_b: Psf | None = None
    words: str = ""
    modelled: tuple[str, ...] = ()
    others: tuple[tuple[float, float], ...] = ()
    expected: tuple[tuple[float, float], ...] = ()
    fitted: Extraction | None = None
    told: TargetPrior | None = None


def suggest(observation: Observation) -> Suggestion:
    """What the pipeline extracts by itself of an observation, with its confidence and its concerns."""
    star, inputs = star_header(observation), observation.inputs
    guides = guide_records(observation)
    told = expected(observation.exposures, inputs.subject, star, inputs.settings, guides)
    found, fitted = fit(observation, told)
    stars = star_images(found.found, night_seeing(observation.exposures, star, guides))
    made = Suggestion(
        psf_a=stars[0] if stars else None,
        psf_b=stars[1] if stars and observation.pair else None,
        words=_words(found),
        modelled=tuple(concern.why for concern in found.concerns if concern.modelled),
        expected=tuple((place.x_arcsec, place.y_arcsec) for place in places_of(observation)),
        others=found.others,
        fitted=fitted,
        told=told if fitted is not None else None,
    )
    return made if not found.sources else _with_apertures(made, found, pair=observation.pair)


def places_of(observation: Observation) -> tuple[Place, ...]:
    """Where the target is expected, before anything is looked for; none where nobody knows."""
    inputs, star, guides = observation.inputs, star_header(observation), guide_records(observation)
    places = expected_places(observation.exposures, inputs.subject, star, inputs.settings, guides)
    return tuple(place for place in places if place.known)


def _with_apertures(made: Suggestion, found: Automatic, *, pair: bool) -> Suggestion:
    aperture = _aperture(found.sources[0])
    return replace(made, a=aperture, b=_like(aperture, found.sources[1]) if pair else None)


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


def _words(found: Automatic) -> str:
    """Confidence, FWHM, signal and the gravest concerns about any spectrum; without an object why there is none."""
    if not found.sources or found.absent:
        return found.checks[0].why
    figures = f"confidence {found.confidence:.2f}, FWHM {found.sources[0].psf.fwhm_arcsec:.1f}″, S/N {found.snr:.0f}"
    concerns = [concern.why for concern in found.concerns if not concern.modelled]
    return "; ".join([figures, *concerns[:2]])
