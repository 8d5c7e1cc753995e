"""From cubes to a spectrum in electrons: the target found, extracted and judged without an observer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from sedmd.core.errors import FrameFault, NeedsObserver
from sedmd.core.job import Job, Result
from sedmd.data.extinction import extinction_mag
from sedmd.products.conditions import Conditions, conditions_of, known_seeing, refraction
from sedmd.products.cube import read_cube
from sedmd.products.fitsio import Cards
from sedmd.products.provenance import provenance
from sedmd.products.sky import offset_of, target_text
from sedmd.products.spectrum import Field, write_spectrum
from sedmd.products.target_positions import places_for, position_figures
from sedmd.raw.cards import number_of, text_of, whole
from sedmd.raw.clocks import in_words, mjd_of, start_of
from sedmd.raw.labels import dome_closed
from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.flux.sensitivity import extinction_factor
from sedmd.reduce.numeric.containers import FloatArray, Spectrum
from sedmd.reduce.numeric.hexagon import cell_vertices
from sedmd.reduce.target.automatic import Automatic, extract_target
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Refraction
from sedmd.reduce.target.seeing import Seeing
from sedmd.reduce.target.target import Concern, Look

INSTRUMENTAL = "electron / (s Angstrom)"
#: Confidence from which a standard star calibrates the night: its place is not asked for, its image is.
STANDARD_CONFIDENCE = 0.5
#: Of a target whose two names contradict and nothing tells which is right: a spectrum must not go out under either.
NAME_CONFIDENCE = 0.5
#: Of an exposure during which the dome closed: the level is wrong by an unknown factor, the rest may be good.
DOME_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Exposure:
    """A cube with what its header says."""

    path: Path
    look: Look
    header: fits.Header
    conditions: Conditions


def extract_spectrum(job: Job) -> Result:
    """Extract the target of an exposure or of an A/B pair, in electron/s/Angstrom, if that is safe.

    Raises
    ------
    NeedsObserver
        If the confidence is below the job's `min_confidence`; the cube then waits in the viewer.
    """
    standard = bool(job.options.get("standard"))
    paths = [job.one("cube")] if "cube" in job.inputs else [job.one("cube_a"), job.one("cube_b")]
    exposures = [read_exposure(path) for path in paths]
    concern = str(job.options.get("name_doubt") or "")
    half = str(job.options.get("half_of_pair") or "")
    star = fits.getheader(job.one("star")) if "star" in job.inputs else None
    if standard:
        found, least = extract(exposures, standard=True), STANDARD_CONFIDENCE
    else:
        pointing = job.options.get("pointing_arcsec")
        found = extract(
            exposures,
            places=places_for(exposures[0].header, star, pointing_arcsec=pointing, half=bool(half)),
            seeing=_seeing(job, exposures, star),
            concerns=[Concern(why=concern, confidence=NAME_CONFIDENCE)] if concern else [],
        )
        least = float(job.options["min_confidence"])
    if found.point is None or found.confidence < least:
        raise NeedsObserver(f"{job.label}: {said(found)}", figures=_figures(found))
    figures = _figures(found) if standard else _figures(found, quality=_quality(job, found))
    figures |= position_figures(_raw_name(paths[0]), standard=standard, pair=len(paths) == 2 or bool(half))
    warnings = (f"{job.label}: the [{half}] exposure of an A/B pair, extracted without the other",) if half else ()
    _write(job, exposures, found, standard=standard)
    return Result(figures=figures, warnings=warnings)


def _quality(job: Job, found: Automatic) -> int:
    """Grade of a spectrum; one exposure of a pair is acceptable at best, because its sky was meant to be subtracted."""
    return max(found.quality, 2) if job.options.get("half_of_pair") else found.quality


def read_exposure(path: Path) -> Exposure:
    """Read a cube for the extraction. Raises FrameFault if its exposure time is not a positive number."""
    cube, header = read_cube(path)
    conditions = conditions_of(header, _raw_name(path))
    east, north = refraction(conditions, cube.wavelength)
    exptime = number_of(header.get("EXPTIME"), math.nan)
    if not exptime > 0:
        raise FrameFault(f"{path.name}: EXPTIME is {header.get('EXPTIME')!r}, a positive number was expected")
    look = Look(cube=cube, refraction=Refraction(east=east, north=north), exptime_s=exptime, offset=offset_of(header))
    return Exposure(path, look, header, conditions)


def extract(
    exposures: list[Exposure],
    *,
    places: Sequence[Place] = (Place(),),
    seeing: Seeing | None = None,
    standard: bool = False,
    concerns: Sequence[Concern] = (),
) -> Automatic:
    """What is found without an observer; for the flux of a pair, in counts of A at the mean airmass."""
    looks = [exposure.look for exposure in exposures]
    concerns = [] if standard else [*concerns, *_about_dome(exposures), *_about_calibrations(exposures)]
    gain: FloatArray | float = 1.0
    if len(exposures) == 2:
        # B's counts for one of A's: exposure time, and the little difference in extinction
        mag = extinction_mag(looks[0].cube.wavelength)
        gain = looks[1].exptime_s / looks[0].exptime_s * extinction_factor(mag, _airmass_a_less_b(exposures))
    return extract_target(
        looks,
        gain_b=gain,
        places=places,
        seeing=seeing,
        standard=standard,
        concerns=concerns,
    )


def said(found: Automatic) -> str:
    """Why an observer should look, the gravest reason first, in a line."""
    if found.point is None:
        return found.concerns[0].why
    reasons = found.reasons[:3] or ("no single reason",)
    return f"confidence {found.confidence:.2f}: {'; '.join(reasons)}"


def _seeing(job: Job, exposures: list[Exposure], star: fits.Header | None) -> Seeing:
    """What is known of a star's width: from the night's standard star nearest in time, or what is usual."""
    usual = Seeing(fwhm_arcsec=float(job.options["seeing_arcsec"]))
    return usual if star is None else known_seeing(star, _mean_airmass(exposures)) or usual


def _mean_airmass(exposures: list[Exposure]) -> float | None:
    told = [e.conditions.airmass for e in exposures if e.conditions.airmass is not None]
    return float(np.mean(told)) if told else None


def _airmass_a_less_b(exposures: list[Exposure]) -> float:
    """Difference in airmass of the halves of a pair; taken as none where one of them is not known."""
    air_a, air_b = (e.conditions.airmass for e in exposures)
    return 0.0 if air_a is None or air_b is None else air_a - air_b


def _about_dome(exposures: list[Exposure]) -> list[Concern]:
    closed = any(dome_closed(e.header, "ENDDOME") for e in exposures)
    return [Concern(why="the dome closed during the exposure", confidence=DOME_CONFIDENCE)] if closed else []


def _about_calibrations(exposures: list[Exposure]) -> list[Concern]:
    told = _calibrations(exposures)
    if not told.get("cal_fallback"):
        return []
    age = int(told["cal_age_nights"])
    why = f"calibrations of {told['cal_night']} ({age} {'night' if age == 1 else 'nights'} old) serve"
    return [Concern(why=why, confidence=max(0.8, 0.98 - 0.003 * age))]


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


def _write(job: Job, exposures: list[Exposure], found: Automatic, *, standard: bool) -> None:
    first, point = exposures[0], found.point
    assert point is not None
    wavelength, exptime = first.look.cube.wavelength, first.look.exptime_s
    scale: FloatArray | float = 1 / exptime
    if len(exposures) == 2:
        scale = extinction_factor(extinction_mag(wavelength), 0.5 * _airmass_a_less_b(exposures)) / exptime
    spectrum = Spectrum(
        wavelength=wavelength,
        flux=point.flux * scale,
        error=point.error * scale,
        sky=point.sky / exptime,
        unit=INSTRUMENTAL,
        meta=_meta(job, exposures, found, standard=standard),
    )
    good = (wavelength > 4500) & (wavelength < 8500)
    psf = found.sources[0].psf
    cards: Cards = {
        "SNRMED": (found.snr, "median S/N per bin, 4500-8500 Angstrom"),
        "PSFCHI2": (float(np.nanmedian(point.residual_chi2[good])), "median reduced chi-square of the image fits"),
        "PSFBETA": (psf.beta, "Moffat exponent"),
        "PSFE1": (psf.e1, "ellipticity, E-W"),
        "PSFE2": (psf.e2, "ellipticity, NE-SW"),
        "PSFDISP": (psf.dispersion, "refraction seen / predicted"),
        "POSERR": (found.sources[0].position_error, "[arcsec] of the position"),
        "DETSIG": (found.sources[0].significance, "significance of the detection"),
        "LSFSIGMA": (first.header.get("LSFSIGMA"), "[px] Gaussian sigma of a lamp line"),
        "HOSTFRAC": (found.host[0].share if found.host else None, "host light that was taken off / target's"),
        **{f"DOUBT{number}": why for number, why in enumerate(found.reasons[:9], start=1)},
    }
    write_spectrum(
        job.outputs["ext"],
        spectrum,
        header=first.header,
        cards=cards,
        provenance=provenance(job),
        field=_picture(exposures),
    )


def _picture(exposures: list[Exposure]) -> Field:
    """White-light picture of the field, A minus B for a pair."""
    cube = exposures[0].look.cube
    values = collapse(cube, 5000.0, 8000.0)
    if len(exposures) == 2:
        scale = exposures[0].look.exptime_s / exposures[1].look.exptime_s
        values = values - scale * collapse(exposures[1].look.cube, 5000.0, 8000.0)
    return Field(
        x_arcsec=cube.spaxels.x_arcsec,
        y_arcsec=cube.spaxels.y_arcsec,
        values=values,
        corners=cell_vertices(cube.spaxels),
        label="5000-8000 Angstrom",
    )


def _meta(job: Job, exposures: list[Exposure], found: Automatic, *, standard: bool) -> dict[str, Any]:
    first, header, psf = exposures[0], exposures[0].header, found.sources[0].psf
    start = start_of(header, _raw_name(first.path))
    ra, dec = target_text(header)
    fwhm_px = 2.355 * (number_of(header.get("LSFSIGMA"), 1.3))
    at = int(np.argmin(np.abs(first.look.cube.wavelength - 5577)))
    half = job.options.get("half_of_pair")
    meta: dict[str, Any] = {
        "target": str(job.options.get("name") or text_of(header, "NAME", "OBJECT")),
        "ra": ra,
        "dec": dec,
        "utc": in_words(start.time) if start else "",
        "mjd": mjd_of(start.time) if start else None,
        "exptime_s": sum(e.look.exptime_s for e in exposures),
        "airmass": _mean_airmass(exposures),
        "parallactic_deg": first.conditions.parallactic_deg,
        "req_id": max(whole(header.get("REQ_ID")) or 0, 0),
        "program": text_of(header, "P60PRID"),
        "is_pair": len(exposures) == 2,
        "is_standard": standard,
        "standard": job.options.get("star") or "",
        "skysub": True,
        "quality": 0 if standard else _quality(job, found),
        "reducer": "sedmd",
        **({"half_of_pair": half} if half else {}),
        "method": "psf A/B" if len(exposures) == 2 else f"psf {half}" if half else "psf",
        "confidence": round(found.confidence, 4),
        "x_arcsec": psf.x_arcsec,
        "y_arcsec": psf.y_arcsec,
        "seeing_arcsec": psf.fwhm_arcsec,
        "radius_arcsec": psf.fwhm_arcsec,
        "sky_line_fwhm_nm": fwhm_px * float(np.gradient(first.look.cube.wavelength)[at]) / 10,
        "trace_fwhm_px": number_of(header.get("TRFWHM"), math.nan),
        "flexure_x_px": number_of(header.get("FLEXX"), 0.0),
        "flexure_y_px": number_of(header.get("FLEXY"), 0.0),
        "frame": _raw_name(first.path),
    }
    meta |= _calibrations(exposures)
    if len(exposures) == 2:
        meta |= {
            "frame_b": _raw_name(exposures[1].path),
            "x_b_arcsec": found.sources[1].psf.x_arcsec,
            "y_b_arcsec": found.sources[1].psf.y_arcsec,
        }
    return {key: (None if isinstance(v, float) and not math.isfinite(v) else v) for key, v in meta.items()}


def _calibrations(exposures: list[Exposure]) -> dict[str, Any]:
    """Night, age and fall-back of the calibrations under a spectrum; of a pair the older ones count."""
    header = max((e.header for e in exposures), key=lambda h: number_of(h.get("CALAGE"), -1.0))
    if "CALNIGHT" not in header:
        return {}
    return {
        "cal_night": str(header["CALNIGHT"]),
        "cal_age_nights": int(header["CALAGE"]),
        "cal_fallback": bool(header["CALFALL"]),
    }


def _raw_name(path: Path) -> str:
    """Name of the raw frame that a cube comes from: ``e3d_crr_b_ifuYYYYMMDD_HH_MM_SS_NAME`` -> ``ifu...``."""
    return "_".join(path.stem.removeprefix("e3d_crr_b_").split("_")[:4])
