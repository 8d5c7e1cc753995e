"""Where the pipeline would place the apertures, and what a star looks like in this field: offered to the observer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.core.config import AutomaticExtraction
from sedmd.host.foreign_file import each
from sedmd.observation.observed import Observation
from sedmd.products.conditions import known_seeing
from sedmd.products.fitsio import primary_header
from sedmd.products.target_positions import places_for
from sedmd.raw.cards import truth
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.automatic import Automatic, extract_target
from sedmd.reduce.target.find import Source
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf, Refraction
from sedmd.reduce.target.seeing import Seeing
from sedmd.reduce.target.target import Look

#: Significance of a star whose width is trusted to tell how much light an aperture misses.
CLEAR_STAR = 15.0
#: A star's image is not narrower nor wider than this [arcsec].
STAR_FWHM_ARCSEC = (1.0, 4.0)
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
    expected : tuple of (x, y)
        Where targets land, arcsec; two places if the night's star contradicts the nights before, none if not known.
    """

    a: Ellipse | None = None
    b: Ellipse | None = None
    psf_a: Psf | None = None
    psf_b: Psf | None = None
    words: str = ""
    others: tuple[tuple[float, float], ...] = ()
    expected: tuple[tuple[float, float], ...] = ()


def suggest(observation: Observation, extraction: AutomaticExtraction | None = None) -> Suggestion:
    """What the pipeline would extract by itself with these settings, how sure it is, and why not surer."""
    extraction = extraction or AutomaticExtraction()
    looks = [
        Look(cube=cube, refraction=Refraction(east=np.asarray(dx), north=np.asarray(dy)), exptime_s=time, offset=offset)
        for cube, (dx, dy), time, offset in zip(
            observation.cubes, observation.refraction, observation.exptimes_s, observation.offsets, strict=True
        )
    ]
    star = night_star(observation)
    places = expected_places(observation, extraction, star)
    expected = tuple((place.x_arcsec, place.y_arcsec) for place in places if place.known)
    found = extract_target(
        looks,
        gain_b=looks[-1].exptime_s / looks[0].exptime_s,
        places=places,
        seeing=_seeing(observation, star) or Seeing(fwhm_arcsec=extraction.seeing_arcsec),
    )
    stars = [_star(sources) for sources in found.found]
    psf_a, psf_b = stars[0], stars[-1] if observation.pair else None
    if not found.sources:
        return Suggestion(psf_a=psf_a, psf_b=psf_b, words=found.concerns[0].why, expected=expected)
    first = found.sources[0]
    aperture = _aperture(first)
    return Suggestion(
        a=aperture,
        b=_like(aperture, found.sources[1]) if observation.pair else None,
        psf_a=psf_a,
        psf_b=psf_b,
        words=_words(found),
        others=found.others,
        expected=expected,
    )


def expected_places(
    observation: Observation, extraction: AutomaticExtraction, star: fits.Header | None
) -> tuple[Place, ...]:
    """Where the pipeline looks for the target: see `sedmd.products.target_positions.places_for`."""
    half = not observation.pair and truth(observation.header.get("ABPAIR")) is True
    return places_for(observation.header, star, pointing_arcsec=extraction.pointing_arcsec, half=half)


def night_star(observation: Observation) -> fits.Header | None:
    """Header of the spectrum of the night's standard star that is nearest in time; None where there is none."""
    start = _time(observation.meta.get("utc"))
    if not observation.paths or start is None:
        return None

    def told(path: Path) -> tuple[float, fits.Header] | None:
        header = primary_header(path)
        when = _time(header.get("OBSUTC")) if truth(header.get("STDSTAR")) else None
        return None if when is None else (abs((when - start).total_seconds()), header)

    # one that is being made anew, or broken, tells nothing: another serves
    stars, _ = each(sorted(observation.folder.glob("ext_*.fits")), told)
    return min((star for star in stars.values() if star is not None), key=lambda star: star[0], default=(0.0, None))[1]


def _time(text: object) -> datetime | None:
    """``YYYY-MM-DD HH:MM:SS.s`` as our spectra have it; None for anything else."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _seeing(observation: Observation, star: fits.Header | None) -> Seeing | None:
    """As the night's standard star tells it."""
    airmass = observation.meta.get("airmass")
    return known_seeing(star, airmass) if star is not None and isinstance(airmass, float) else None


def _star(sources: Sequence[Source]) -> Psf | None:
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


def _words(found: Automatic) -> str:
    sure = f"{100 * found.confidence:.0f} % sure, FWHM {found.sources[0].psf.fwhm_arcsec:.1f}″, S/N {found.snr:.0f}"
    return "; ".join([sure, *found.reasons[:2]])
