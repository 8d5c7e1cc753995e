"""The spectrum of a target without an observer: PSF and host fitted together, in electrons; the concerns about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sedmd.core.config import AutomaticExtraction
from sedmd.core.quality import PROVISIONAL
from sedmd.observation.exposure import Exposure, gain_of_b, to_mean_airmass
from sedmd.observation.inputs import Subject
from sedmd.observation.meta import calibrations_of, figures_of, in_order
from sedmd.observation.seeing import TargetPrior
from sedmd.products.fitsio import Cards, CardValue
from sedmd.products.spectrum import Field
from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.cube.correlation import bin_correlation
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.numeric.hexagon import cell_vertices
from sedmd.reduce.target.automatic import Automatic, extract_target
from sedmd.reduce.target.host_images import HostImages
from sedmd.reduce.target.target import Concern

INSTRUMENTAL = "electron / (s Angstrom)"
#: Confidence from which a standard star calibrates the night: its place is not asked for, its image is.
STANDARD_CONFIDENCE = 0.5
#: Of a target whose two names contradict and nothing tells which is right: a spectrum must not go out under either.
NAME_CONFIDENCE = 0.5
#: Of an exposure during which the dome closed: the level is wrong by an unknown factor, the rest may be good.
DOME_CONFIDENCE = 0.9
#: Range in which the signal-to-noise ratio and the quality of the fits are told [Angstrom].
TOLD_RANGE = (4500.0, 8500.0)
#: Range of the picture of the field [Angstrom].
PICTURE_RANGE = (5000.0, 8000.0)


def find_target(
    exposures: Sequence[Exposure], subject: Subject, expected: TargetPrior, field: HostImages | None = None
) -> Automatic:
    """What is found without an observer; for the flux of a pair, in counts of A.

    Parameters
    ----------
    exposures : one, or A and B
    subject : Subject
    expected : what is known before the cubes are looked at
    field : images of the field from before the target was there

    Raises
    ------
    ValueError
        A and B do not hold the same spaxels and wavelengths.
    """
    return extract_target(
        [one.look for one in exposures],
        gain_b=gain_of_b(exposures),
        places=expected.places,
        seeing=expected.seeing,
        standard=subject.standard,
        concerns=concerns_of(exposures, subject),
        field=field,
    )


def concerns_of(exposures: Sequence[Exposure], subject: Subject) -> list[Concern]:
    """Concerns about a spectrum before it is extracted; none of them is asked of a standard star."""
    if subject.standard:
        return []
    concerns = [Concern(why=subject.name_doubt, confidence=NAME_CONFIDENCE)] if subject.name_doubt else []
    if any(one.facts.dome_closed for one in exposures):
        concerns.append(Concern(why="the dome closed during the exposure", confidence=DOME_CONFIDENCE))
    used = calibrations_of([one.facts for one in exposures])
    if used is not None and used.cal_fallback:
        age = used.cal_age_nights
        why = f"using calibrations from {used.cal_night} ({age} {'night' if age == 1 else 'nights'} old)"
        concerns.append(Concern(why=why, confidence=max(0.8, 0.98 - 0.003 * age)))
    return concerns


def is_final(found: Automatic, subject: Subject, settings: AutomaticExtraction) -> bool:
    """Whether the spectrum is final without an observer."""
    least = STANDARD_CONFIDENCE if subject.standard else float(settings.min_confidence)
    return found.point is not None and not found.confidence < least


def quality_of(found: Automatic, subject: Subject) -> int:
    """Grade of a spectrum: 0 for a standard star's.

    One exposure of a pair is acceptable at best, because its sky was meant to be subtracted.
    """
    if subject.standard:
        return 0
    return max(found.quality, 2) if subject.half else found.quality


def fitted_spectrum(
    exposures: Sequence[Exposure], subject: Subject, found: Automatic, *, provisional: bool = False
) -> Spectrum:
    """The spectrum of what was found, in electron / (s Angstrom), for a pair at the mean airmass.

    A provisional one has no grade: an observer has to confirm it.

    Raises
    ------
    ValueError
        Nothing was found.
    """
    point = found.point
    if point is None:
        raise ValueError(f"{found.checks[0].why}; place an aperture by hand")
    look = exposures[0].look
    scale = to_mean_airmass(exposures) / look.exptime_s
    figures = _figures(exposures, subject, found)
    if provisional:
        figures = in_order(figures | {"quality": 0, PROVISIONAL: True})
    return Spectrum(
        wavelength=look.cube.wavelength,
        flux=point.flux * scale,
        error=point.error * scale,
        sky=point.sky / look.exptime_s,
        unit=INSTRUMENTAL,
        meta=figures,
        correlation=None if look.cube.columns is None else bin_correlation(look.cube.columns),
        host=None if found.host_light is None else found.host_light * scale,
    )


def fit_cards(exposures: Sequence[Exposure], found: Automatic) -> Cards:
    """Cards on the fit of a spectrum that was found: image of the target, and what was fitted with it."""
    psf, point = found.sources[0].psf, found.point
    assert point is not None
    wavelength = exposures[0].look.cube.wavelength
    share = found.host[0].share if found.host else None
    good = (wavelength > TOLD_RANGE[0]) & (wavelength < TOLD_RANGE[1])
    return {
        "SNRMED": (found.snr, "median S/N per bin, 4500-8500 Angstrom"),
        "PSFCHI2": (float(np.nanmedian(point.residual_chi2[good])), "median reduced chi-square of the image fits"),
        "PSFBETA": (psf.beta, "Moffat exponent"),
        "PSFE1": (psf.e1, "ellipticity, E-W"),
        "PSFE2": (psf.e2, "ellipticity, NE-SW"),
        "PSFDISP": (psf.dispersion, "refraction seen / predicted"),
        "LEVELERR": (_known(found.level_error), "error common to all bins by the image, fraction"),
        "POSERR": (found.sources[0].position_error, "[arcsec] of the position"),
        "DETSIG": (found.sources[0].significance, "significance of the detection"),
        "LSFSIGMA": (exposures[0].header.get("LSFSIGMA"), "[px] Gaussian sigma of a lamp line"),
        "HOSTFRAC": (share, "host light that was subtracted / target's"),
        **({} if share is None else _host_cards(found, share)),
    }


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _host_cards(found: Automatic, share: float) -> Cards:
    return {
        "CONTRAST": (contrast_of(share), "target's part of the light at its place"),
        "HOSTSRC": (found.host_source, "what told of the host"),
    }


def contrast_of(share: float) -> float:
    """The target's part of the light at its place, 0 to 1, from the host's light in units of the target's."""
    return 1.0 / (1.0 + max(share, 0.0))


def concern_cards(found: Automatic) -> Cards:
    """Cards with the concerns about a spectrum, the gravest first."""
    return {f"DOUBT{number}": why for number, why in enumerate(found.reasons[:9], start=1)}


def unseen_cards(found: Automatic) -> Cards:
    """Of the spectrum of an empty place that no object was seen; none otherwise."""
    return {"OBJSEEN": (False, "an object was seen")} if found.absent else {}


def field_of(exposures: Sequence[Exposure]) -> Field:
    """White-light picture of the field, A minus B for a pair."""
    first = exposures[0].look
    values = collapse(first.cube, *PICTURE_RANGE)
    if len(exposures) == 2:
        second = exposures[1].look
        values = values - first.exptime_s / second.exptime_s * collapse(second.cube, *PICTURE_RANGE)
    return Field(
        x_arcsec=first.cube.spaxels.x_arcsec,
        y_arcsec=first.cube.spaxels.y_arcsec,
        values=values,
        corners=cell_vertices(first.cube.spaxels),
        label="5000-8000 Angstrom",
    )


def median_snr(spectrum: Spectrum) -> float:
    """Median signal-to-noise ratio per bin, 4500-8500 Angstrom; NaN where no bin has data."""
    good = (spectrum.wavelength > TOLD_RANGE[0]) & (spectrum.wavelength < TOLD_RANGE[1])
    return float(np.nanmedian(spectrum.flux[good] / spectrum.error[good]))


def _figures(exposures: Sequence[Exposure], subject: Subject, found: Automatic) -> dict[str, CardValue]:
    psf = found.sources[0].psf
    pair = len(exposures) == 2
    figures = figures_of([one.facts for one in exposures], subject, exposures[0].look.cube.wavelength)
    figures |= {
        "skysub": True,
        "quality": quality_of(found, subject),
        "reducer": "sedmd",
        "method": "psf A/B" if pair else f"psf {subject.half}" if subject.half else "psf",
        "confidence": round(found.confidence, 4),
        "x_arcsec": psf.x_arcsec,
        "y_arcsec": psf.y_arcsec,
        "seeing_arcsec": psf.fwhm_arcsec,
        "radius_arcsec": psf.fwhm_arcsec,
    }
    if pair:
        other = found.sources[1].psf
        figures |= {"x_b_arcsec": other.x_arcsec, "y_b_arcsec": other.y_arcsec}
    return in_order(figures)
