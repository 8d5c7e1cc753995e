"""From cubes to spectra: finding the object, extracting it, the night's sensitivity, calibrated products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.data import standards
from sedmd.data.extinction import extinction_mag
from sedmd.data.telluric import BANDS, telluric_template
from sedmd.errors import FrameFault, NeedsObserver
from sedmd.job import Job, Result
from sedmd.products.ascii import write_ascii
from sedmd.products.conditions import Conditions, conditions_of, refraction
from sedmd.products.cube import read_cube
from sedmd.products.fitsio import Cards
from sedmd.products.plots import ApertureMark, MapImage, plot_spectrum
from sedmd.products.provenance import provenance
from sedmd.products.solution import read_sensitivity, write_sensitivity
from sedmd.products.spectrum import Field, read_field, read_spectrum, write_spectrum
from sedmd.reduce.collapse import collapse
from sedmd.reduce.containers import Cube, Spectrum
from sedmd.reduce.find import Source, clear_object, find_sources
from sedmd.reduce.hexagon import cell_vertices
from sedmd.reduce.pair import extract_pair
from sedmd.reduce.psf import PointSpectrum, Refraction, extract_point
from sedmd.reduce.sensitivity import (
    Response,
    blur_to_bins,
    calibrate,
    extinction_factor,
    fit_sensitivity,
)
from sedmd.steps.exposure import another_night

INSTRUMENTAL = "electron / (s Angstrom)"
CALIBRATED = "erg / (s cm2 Angstrom)"
#: Largest disagreement of the measured nod with the telescope's offsets that is believed [arcsec].
MAX_NOD_ERROR = 2.0


@dataclass(frozen=True, slots=True)
class _Exposure:
    """A cube with what its header says."""

    path: Path
    cube: Cube
    header: fits.Header
    conditions: Conditions
    refraction: Refraction
    exptime_s: float


def extract_spectrum(job: Job) -> Result:
    """Extract the one clear object of an exposure or of an A/B pair, in electron/s/Angstrom.

    Raises
    ------
    NeedsObserver
        If there is no such object; the cube then waits in the viewer.
    """
    standard = bool(job.options.get("standard"))
    if "cube" in job.inputs:
        exposures = [_read(job.one("cube"))]
    else:
        exposures = [_read(job.one("cube_a")), _read(job.one("cube_b"))]
    warnings: tuple[str, ...] = ()
    if job.options.get("partial_pair"):
        warnings = (f"{job.label}: one exposure of an A/B pair without its partner, extracted alone",)
    sources = [_clear(job.label, e, standard=standard) for e in exposures]
    if len(exposures) == 1:
        point, exptime = _single(exposures[0], sources[0]), exposures[0].exptime_s
        method = "psf"
    else:
        _check_nod(job.label, exposures, sources)
        point, exptime = _pair(exposures, sources)
        method = "psf A/B"
    wavelength = exposures[0].cube.wavelength
    meta = _meta(job, exposures, sources) | {"method": method}
    spectrum = Spectrum(
        wavelength=wavelength,
        flux=point.flux / exptime,
        error=point.error / exptime,
        sky=point.sky / exptime,
        unit=INSTRUMENTAL,
        meta=meta,
    )
    good = (wavelength > 4500) & (wavelength < 8500)
    snr = float(np.nanmedian(spectrum.flux[good] / spectrum.error[good]))
    chi2 = float(np.nanmedian(point.residual_chi2[good]))
    cards: Cards = {
        "SNRMED": (snr, "median S/N per bin, 4500-8500 Angstrom"),
        "PSFCHI2": (chi2, "median reduced chi-square of the image fits"),
        "PSFBETA": (sources[0].psf.beta, "Moffat exponent"),
        "PSFE1": (sources[0].psf.e1, "ellipticity, E-W"),
        "PSFE2": (sources[0].psf.e2, "ellipticity, NE-SW"),
        "PSFDISP": (sources[0].psf.dispersion, "refraction seen / predicted"),
        "POSERR": (sources[0].position_error, "[arcsec] of the position"),
        "DETSIG": (sources[0].significance, "significance of the detection"),
        "LSFSIGMA": (exposures[0].header.get("LSFSIGMA"), "[px] Gaussian sigma of a lamp line"),
    }
    write_spectrum(
        job.outputs["ext"],
        spectrum,
        header=exposures[0].header,
        cards=cards,
        provenance=provenance(job),
        field=_picture(exposures),
    )
    psf = sources[0].psf
    return Result(
        figures={
            "x [arcsec]": round(psf.x_arcsec, 2),
            "y [arcsec]": round(psf.y_arcsec, 2),
            "FWHM [arcsec]": round(psf.fwhm_arcsec, 2),
            "S/N": round(snr, 1),
            "chi2": round(chi2, 2),
        },
        warnings=warnings,
    )


def make_fluxcal(job: Job) -> Result:
    """Fit the night's sensitivity to all its standard stars."""
    responses = []
    wavelength: NDArray | None = None
    sigma: NDArray = np.empty(0)
    for path in sorted(job.inputs["standards"], key=lambda p: p.name):
        spectrum, header = read_spectrum(path)
        key = standards.lookup(str(spectrum.meta.get("standard") or spectrum.meta.get("target")))
        if key is None:
            raise FrameFault(f"{path.name}: no table for this standard star")
        wavelength = spectrum.wavelength
        sigma = float(header.get("LSFSIGMA") or 1.3) * np.gradient(wavelength)
        airmass = _number(spectrum.meta.get("airmass"), 1.0)
        reference = blur_to_bins(*standards.load(key), wavelength, sigma)
        factor = extinction_factor(extinction_mag(wavelength), airmass) / reference
        responses.append(
            Response(
                star=path.stem.removeprefix("ext_"),
                ratio=spectrum.flux * factor,
                error=spectrum.error * np.abs(factor),
                airmass=airmass,
            )
        )
    if wavelength is None:
        raise FrameFault("no standard star given; at least one is needed")
    depth_o2, depth_h2o = _telluric_depths(wavelength, sigma)
    band = np.zeros(wavelength.size, bool)
    for _, low, high in BANDS:
        band |= (wavelength > low - 50) & (wavelength < high + 50)
    try:
        sensitivity = fit_sensitivity(wavelength, responses, band, depth_o2, depth_h2o)
    except ValueError as error:
        raise FrameFault(f"flux calibration: {error}") from error
    ends = wavelength[np.isfinite(sensitivity.value)][[0, -1]]
    scatter = float(np.nanmedian(sensitivity.scatter)) if len(responses) > 1 else None
    cards: Cards = {
        "NSTARS": (len(sensitivity.stars), "standard star exposures used"),
        "WAVEMIN": (float(ends[0]), "[Angstrom] first wavelength calibrated"),
        "WAVEMAX": (float(ends[1]), "[Angstrom] last wavelength calibrated"),
        "STDSCAT": (scatter, "median fractional rms between the stars"),
    }
    write_sensitivity(job.outputs["fluxcal"], sensitivity, cards=cards, provenance=provenance(job))
    figures: dict[str, Any] = {"standards": len(sensitivity.stars), "to [A]": round(float(ends[1]))}
    if scatter is not None:
        figures["scatter [%]"] = round(100 * scatter, 1)
    warnings = tuple(
        f"{star} is {100 * (1 - scale):.0f} % fainter than the other standards: clouds?"
        for star, scale in zip(sensitivity.stars, sensitivity.scales, strict=True)
        if scale < 0.8
    )
    return Result(figures=figures, warnings=warnings)


def calibrate_spectrum(job: Job) -> Result:
    """Calibrate an extracted spectrum in flux and write it for people: FITS, text, page."""
    ext, header = read_spectrum(job.one("ext"))
    warnings: tuple[str, ...] = ()
    meta = dict(ext.meta)
    if "fluxcal" in job.inputs:
        served = job.options.get("fluxcal")
        meta |= {
            "fluxcal_night": str(served["night"]) if served else job.night,
            "fluxcal_age_nights": int(served["age_nights"]) if served else 0,
            "fluxcal_fallback": bool(served),
        }
        if served:
            warnings += (another_night(job.label, "flux calibration", served),)
        sensitivity = read_sensitivity(job.one("fluxcal"))
        airmass = _number(meta.get("airmass"), math.nan)
        if not math.isfinite(airmass):
            warnings += (f"{job.label}: no airmass in the header, 1.0 assumed for the extinction",)
            airmass = 1.0
        mag = extinction_mag(ext.wavelength)
        flux, error = calibrate(ext.flux, ext.error, sensitivity, mag, airmass)
        sky, _ = calibrate(ext.sky, ext.sky, sensitivity, mag, airmass)
        meta |= {"fluxcal": True, "fluxcal_source": job.one("fluxcal").name}
        spectrum = Spectrum(wavelength=ext.wavelength, flux=flux, error=error, sky=sky, unit=CALIBRATED, meta=meta)
    else:
        warnings += (f"{job.label}: no standard star reduced yet, the spectrum is in electron/s/Angstrom",)
        spectrum = Spectrum(
            wavelength=ext.wavelength,
            flux=ext.flux,
            error=ext.error,
            sky=ext.sky,
            unit=ext.unit,
            meta=meta | {"fluxcal": False},
        )
    good = (spectrum.wavelength > 4500) & (spectrum.wavelength < 8500)
    snr = float(np.nanmedian(spectrum.flux[good] / spectrum.error[good]))
    cards: Cards = {"SNRMED": (snr, "median S/N per bin, 4500-8500 Angstrom")}
    field = read_field(job.one("ext"))
    write_spectrum(job.outputs["sp"], spectrum, header=header, cards=cards, provenance=provenance(job), field=field)
    write_ascii(job.outputs["ascii"], spectrum)
    key = standards.lookup(str(meta.get("standard") or "")) if spectrum.unit == CALIBRATED else None
    plot_spectrum(
        job.outputs["pdf"],
        spectrum,
        name=job.label,
        image=_map(field),
        apertures=_marks(spectrum),
        reference=standards.load(key) if key else None,
    )
    at = int(np.argmin(np.abs(spectrum.wavelength - 5500)))
    return Result(figures={"S/N": round(snr, 1), "F(5500)": f"{spectrum.flux[at]:.2e}"}, warnings=warnings)


def _picture(exposures: list[_Exposure]) -> Field:
    """White-light picture of the field, A minus B for a pair."""
    cube = exposures[0].cube
    values = collapse(cube, 5000.0, 8000.0)
    if len(exposures) == 2:
        scale = exposures[0].exptime_s / exposures[1].exptime_s
        values = values - scale * collapse(exposures[1].cube, 5000.0, 8000.0)
    return Field(
        x_arcsec=cube.spaxels.x_arcsec,
        y_arcsec=cube.spaxels.y_arcsec,
        values=values,
        corners=cell_vertices(cube.spaxels),
        label="5000-8000 Angstrom",
    )


def _map(field: Field | None) -> MapImage | None:
    if field is None:
        return None
    return MapImage(
        x_arcsec=field.x_arcsec, y_arcsec=field.y_arcsec, values=field.values, corners=field.corners, label=field.label
    )


def _marks(spectrum: Spectrum) -> list[ApertureMark]:
    """Circles of one FWHM about the places where the object was found."""
    meta = spectrum.meta
    marks = []
    for label, x_key, y_key in (("A", "x_arcsec", "y_arcsec"), ("B", "x_b_arcsec", "y_b_arcsec")):
        x, y = meta.get(x_key), meta.get(y_key)
        if isinstance(x, float) and isinstance(y, float):
            size = _number(meta.get("seeing_arcsec"), 2.0)
            shown = label if meta.get("is_pair") else ""
            marks.append(
                ApertureMark(x_arcsec=x, y_arcsec=y, semi_major_arcsec=size, label=shown, negative=label == "B")
            )
    return marks


def _read(path: Path) -> _Exposure:
    cube, header = read_cube(path)
    conditions = conditions_of(header)
    east, north = refraction(conditions, cube.wavelength)
    exptime = _number(header.get("EXPTIME"), math.nan)
    if not exptime > 0:
        raise FrameFault(f"{path.name}: EXPTIME is {header.get('EXPTIME')!r}, a positive number was expected")
    return _Exposure(path, cube, header, conditions, Refraction(east=east, north=north), exptime)


def _clear(label: str, exposure: _Exposure, *, standard: bool) -> Source:
    source, reason = clear_object(find_sources(exposure.cube, exposure.refraction), standard=standard)
    if source is None:
        raise NeedsObserver(f"{label}: {reason}")
    return source


def _single(exposure: _Exposure, source: Source) -> PointSpectrum:
    return extract_point(exposure.cube, source.psf, exposure.refraction)


def _pair(exposures: list[_Exposure], sources: list[Source]) -> tuple[PointSpectrum, float]:
    a, b = exposures
    mag = extinction_mag(a.cube.wavelength)
    air_a, air_b = ((e.conditions.airmass or 1.0) for e in exposures)
    mean = 0.5 * (air_a + air_b)
    # B's counts for one of A's: exposure time, and the little difference in extinction.
    gain = b.exptime_s / a.exptime_s * extinction_factor(mag, air_a - air_b)
    point = extract_pair(a.cube, b.cube, sources[0].psf, sources[1].psf, a.refraction, b.refraction, gain_b=gain)
    to_mean = extinction_factor(mag, air_a - mean)
    return PointSpectrum(
        flux=point.flux * to_mean, error=point.error * to_mean, sky=point.sky, residual_chi2=point.residual_chi2
    ), a.exptime_s


def _check_nod(label: str, exposures: list[_Exposure], sources: list[Source]) -> None:
    """The object must have moved by what the telescope says it moved; else A and B hold different objects."""
    offsets = [
        (_number(e.header.get("RA_OFF"), math.nan), _number(e.header.get("DEC_OFF"), math.nan)) for e in exposures
    ]
    told = np.array(offsets[1]) - np.array(offsets[0])
    seen = np.array(
        [sources[1].psf.x_arcsec - sources[0].psf.x_arcsec, sources[1].psf.y_arcsec - sources[0].psf.y_arcsec]
    )
    if not np.isfinite(told).all() or np.hypot(*told) < 0.5:
        return
    # The telescope moves towards +offset, so the object moves the other way over the field, or with it where the
    # offset is the object's: the control software has had both conventions.
    wrong = min(float(np.hypot(*(seen - told))), float(np.hypot(*(seen + told))))
    if wrong > MAX_NOD_ERROR:
        raise NeedsObserver(
            f"{label}: the brightest object moved by ({seen[0]:+.1f}, {seen[1]:+.1f}) arcsec from A to B, "
            f"the telescope by ({told[0]:+.1f}, {told[1]:+.1f}): different objects?"
        )


def _telluric_depths(wavelength: NDArray, sigma: NDArray) -> tuple[NDArray, NDArray]:
    fine, oxygen, water = telluric_template()
    depths = []
    for transmission in (oxygen, water):
        seen = np.nan_to_num(blur_to_bins(fine, transmission, wavelength, sigma), nan=1.0)
        depth = -np.log(np.clip(seen, 0.02, 1.0))
        depths.append(np.where(depth < 0.002, 0.0, depth))
    return depths[0], depths[1]


def _meta(job: Job, exposures: list[_Exposure], sources: list[Source]) -> dict[str, Any]:
    first, header, psf = exposures[0], exposures[0].header, sources[0].psf
    airmasses = [e.conditions.airmass for e in exposures if e.conditions.airmass is not None]
    fwhm_px = 2.355 * (_number(header.get("LSFSIGMA"), 1.3))
    at = int(np.argmin(np.abs(first.cube.wavelength - 5577)))
    meta: dict[str, Any] = {
        "target": str(job.options.get("name") or header.get("NAME") or header.get("OBJECT")),
        "ra": _text(header, "RA", "OBJRA", "TEL_RA"),
        "dec": _text(header, "DEC", "OBJDEC", "TEL_DEC"),
        "utc": utc_of(header),
        "mjd": _number(header.get("MJD_OBS"), math.nan),
        "exptime_s": sum(e.exptime_s for e in exposures),
        "airmass": float(np.mean(airmasses)) if airmasses else None,
        "parallactic_deg": first.conditions.parallactic_deg,
        "req_id": header.get("REQ_ID") if isinstance(header.get("REQ_ID"), int) else 0,
        "program": _text(header, "P60PRID"),
        "is_pair": len(exposures) == 2,
        "is_standard": bool(job.options.get("standard")),
        "standard": job.options.get("standard") or "",
        "skysub": True,
        "quality": 0,
        "reducer": "sedmd",
        "x_arcsec": psf.x_arcsec,
        "y_arcsec": psf.y_arcsec,
        "seeing_arcsec": psf.fwhm_arcsec,
        "radius_arcsec": psf.fwhm_arcsec,
        "sky_line_fwhm_nm": fwhm_px * float(np.gradient(first.cube.wavelength)[at]) / 10,
        "trace_fwhm_px": _number(header.get("TRFWHM"), math.nan),
        "flexure_x_px": _number(header.get("FLEXX"), 0.0),
        "flexure_y_px": _number(header.get("FLEXY"), 0.0),
        "frame": _raw_name(first.path),
    }
    meta |= _calibrations(exposures)
    if not math.isfinite(meta["mjd"]):
        meta["mjd"] = _number(header.get("JD"), math.nan) - 2400000.5
    if len(exposures) == 2:
        meta |= {
            "frame_b": _raw_name(exposures[1].path),
            "x_b_arcsec": sources[1].psf.x_arcsec,
            "y_b_arcsec": sources[1].psf.y_arcsec,
        }
    return {key: (None if isinstance(v, float) and not math.isfinite(v) else v) for key, v in meta.items()}


def _calibrations(exposures: list[_Exposure]) -> dict[str, Any]:
    """Night, age and fall-back of the calibrations under a spectrum; of a pair the older ones count."""
    header = max((e.header for e in exposures), key=lambda h: _number(h.get("CALAGE"), -1.0))
    if "CALNIGHT" not in header:
        return {}
    return {
        "cal_night": str(header["CALNIGHT"]),
        "cal_age_nights": int(header["CALAGE"]),
        "cal_fallback": bool(header["CALFALL"]),
    }


def utc_of(header: fits.Header) -> str:
    """Start of the exposure as YYYY-MM-DD HH:MM:SS.s from the day-of-year or the calendar cards, or the JD."""
    from astropy.time import Time

    text = str(header.get("UTC", "")).strip()
    for value, form in ((text, "yday"), (f"{header.get('OBSDATE')}T{header.get('OBSTIME')}", "isot")):
        try:
            return str(Time(value, format=form, scale="utc", precision=1).iso)
        except ValueError:
            continue
    jd = _number(header.get("JD"), math.nan)
    return str(Time(jd, format="jd", scale="utc", precision=1).iso) if math.isfinite(jd) else ""


def _raw_name(path: Path) -> str:
    """Name of the raw frame that a cube comes from: ``e3d_crr_b_ifuYYYYMMDD_HH_MM_SS_NAME`` -> ``ifu...``."""
    return "_".join(path.stem.removeprefix("e3d_crr_b_").split("_")[:4])


def _text(header: fits.Header, *keys: str) -> str:
    return next((str(header[key]).strip() for key in keys if str(header.get(key, "")).strip()), "")


def _number(value: object, fallback: float) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return fallback
    return number if math.isfinite(number) else fallback
