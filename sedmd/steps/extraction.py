"""The step from cubes to a spectrum in electrons: the target found, extracted and judged without an observer."""

from __future__ import annotations

from typing import Any

from astropy.io import fits

from sedmd.core.errors import NeedsObserver
from sedmd.core.job import Job, Result
from sedmd.core.quality import PROVISIONAL
from sedmd.observation.cutouts import cutouts_of
from sedmd.observation.exposure import airmass_of, read_exposure
from sedmd.observation.extract import (
    concern_cards,
    field_of,
    find_target,
    fit_cards,
    fitted_spectrum,
    is_final,
    quality_of,
    unseen_cards,
)
from sedmd.observation.inputs import inputs_of
from sedmd.observation.seeing import expected, prior_cards
from sedmd.products.guide import read_guide
from sedmd.products.provenance import provenance
from sedmd.products.spectrum import write_spectrum
from sedmd.products.target_positions import position_figures
from sedmd.reduce.target.automatic import Automatic


def extract_spectrum(job: Job) -> Result:
    """Extract the target of an exposure or of an A/B pair, in electron/s/Angstrom.

    If the confidence is below the job's `min_confidence`, the spectrum is provisional: it has no grade, and an observer
    confirms or replaces it in the viewer. Where nothing is at a place that is known to be the target's, the spectrum of
    the place is written as a limit, with quality 4.

    Raises
    ------
    NeedsObserver
        If no object was found and it is not sure that none is there, or if a standard star's spectrum is not safe: it
        must not calibrate the night.
    """
    paths = [job.one("cube")] if "cube" in job.inputs else [job.one("cube_a"), job.one("cube_b")]
    exposures = [read_exposure(path) for path in paths]
    inputs = inputs_of(job)
    subject = inputs.subject
    star = None if inputs.star is None else fits.getheader(inputs.star)
    guides = [None if path is None else read_guide(path) for path in inputs.guides]
    prior = expected(exposures, subject, star, inputs.settings, guides)
    field, troubles = (None, []) if subject.standard else cutouts_of(inputs, exposures)
    found = find_target(exposures, subject, prior, field)
    air = airmass_of(exposures)
    where = {} if air is None else {"airmass": round(air, 4)}
    provisional = not is_final(found, subject, inputs.settings)
    if provisional and (subject.standard or found.point is None or found.absent):
        raise NeedsObserver(f"{job.label}: {said(found)}", figures=_figures(found) | where)
    if provisional:
        figures = _figures(found) | {PROVISIONAL: said(found)}
    else:
        figures = _figures(found, quality=quality_of(found, subject))
        frame, pair = exposures[0].facts.frame, len(paths) == 2 or bool(subject.half)
        seen = guides[0].offset if len(guides) == 1 and guides[0] is not None else None
        figures |= position_figures(frame, standard=subject.standard, pair=pair, guider=seen)
    figures |= where
    guided = prior_cards(prior, guides, [one.look.exptime_s for one in exposures])
    write_spectrum(
        job.outputs["ext"],
        fitted_spectrum(exposures, subject, found, provisional=provisional),
        header=exposures[0].header,
        cards={**fit_cards(exposures, found), **guided, **concern_cards(found), **unseen_cards(found)},
        provenance=provenance(job),
        field=field_of(exposures),
    )
    alone = f"{job.label}: the [{subject.half}] exposure of an A/B pair, extracted without the other"
    unused = [f"{job.label}: not used: {trouble}" for trouble in troubles]
    return Result(figures=figures, warnings=(*unused, *((alone,) if subject.half else ())))


def said(found: Automatic) -> str:
    """Why an observer should look, the gravest reason first, in a line."""
    if found.point is None:
        return found.checks[0].why
    reasons = found.reasons[:3] or ("no single reason",)
    return f"confidence {found.confidence:.2f}: {'; '.join(reasons)}"


def _figures(found: Automatic, *, quality: int = 0) -> dict[str, Any]:
    """What a line of the log and the status show; the quality of a final spectrum only."""
    if not found.sources:
        return {"confidence": 0.0}
    psf = found.sources[0].psf
    figures: dict[str, Any] = {
        "x [arcsec]": round(psf.x_arcsec, 2),
        "y [arcsec]": round(psf.y_arcsec, 2),
        "FWHM [arcsec]": round(psf.fwhm_arcsec, 2),
        "S/N": round(found.snr, 1),
        "confidence": round(found.confidence, 3),
    }
    if quality:
        figures["quality"] = quality
    if found.reasons:
        figures["doubts"] = "; ".join(found.reasons)
    return figures
