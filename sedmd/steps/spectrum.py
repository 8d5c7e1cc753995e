"""From electrons to flux: the night's sensitivity from its standard stars, and calibrated products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.core.errors import FrameFault
from sedmd.core.job import Job, Result
from sedmd.core.memory_figures import GIVEN_SHAPES, OWN_SHAPE
from sedmd.data import standards
from sedmd.data.extinction import extinction_mag
from sedmd.data.telluric import BANDS, telluric_template
from sedmd.observation.calibrate import calibrated, read_calibration
from sedmd.observation.extract import median_snr
from sedmd.observation.inputs import flux_of
from sedmd.observation.meta import airmass_or_assumed
from sedmd.products.ascii import write_ascii
from sedmd.products.fitsio import Cards
from sedmd.products.guide import LEVEL, zero_point_cards, zero_points_in
from sedmd.products.provenance import provenance
from sedmd.products.sensitivity import write_sensitivity
from sedmd.products.spectrum import read_field, read_spectrum, write_spectrum
from sedmd.raw.cards import number_of
from sedmd.reduce.flux.sensitivity import (
    CLOUDED,
    Response,
    Sensitivity,
    blur_to_bins,
    extinction_factor,
    fit_sensitivity,
)
from sedmd.reduce.flux.shapes import shape_of, shapes_in
from sedmd.reduce.guide.brightness import ZeroPoint, level_of

#: Fewest bins without flux that are a saturated star's: one or two are of a cosmic ray on its crest.
MIN_BURNT = 3


def make_fluxcal(job: Job) -> Result:
    """Fit the night's sensitivity to all its standard stars, with the shape that earlier nights tell (`earlier`)."""
    responses = []
    unknown: tuple[str, ...] = ()
    wavelength: NDArray[Any] | None = None
    points: dict[str, dict[str, ZeroPoint]] = {}
    sigma: NDArray[Any] = np.empty(0)
    for path in sorted(job.inputs["standards"], key=lambda p: p.name):
        spectrum, header = read_spectrum(path)
        key = str(spectrum.meta.get("standard") or "")
        if key not in standards.STANDARDS or not standards.STANDARDS[key].has_spectrum:
            raise FrameFault(f"{path.name}: the table has no spectrum of the standard star {key!r} (STDKEY)")
        wavelength = spectrum.wavelength
        sigma = float(header.get("LSFSIGMA") or 1.3) * np.gradient(wavelength)
        airmass, assumed = airmass_or_assumed(spectrum.meta.get("airmass"))
        if assumed:
            unknown += (f"{path.name}: no airmass in the header, {airmass} assumed for the extinction",)
        reference = blur_to_bins(*standards.load(key), wavelength, sigma)
        factor = extinction_factor(extinction_mag(wavelength), airmass) / reference
        points[path.stem.removeprefix("ext_")] = zero_points_in(header)
        unknown += _burnt(path.stem.removeprefix("ext_"), spectrum.flux, wavelength, header)
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
    earlier = shapes_in(str(job.options.get("earlier") or ""))
    try:
        sensitivity = fit_sensitivity(wavelength, responses, band, depth_o2, depth_h2o, earlier=earlier)
    except ValueError as error:
        raise FrameFault(f"flux calibration: {error}") from error
    ends = wavelength[np.isfinite(sensitivity.value)][[0, -1]]
    scatter = float(np.nanmedian(sensitivity.scatter)) if len(sensitivity.stars) > 1 else None
    cards: Cards = {
        "NSTARS": (len(sensitivity.stars), "standard star exposures used"),
        "WAVEMIN": (float(ends[0]), "[Angstrom] first wavelength calibrated"),
        "WAVEMAX": (float(ends[1]), "[Angstrom] last wavelength calibrated"),
        "STDSCAT": (scatter, "median fractional rms between the stars"),
        **{
            f"STDOUT{number}": (star, f"not used: its shape is {100 * off:.0f} % off")
            for number, (star, off) in enumerate(sensitivity.rejected[:9], start=1)
        },
        **_earlier_cards(sensitivity),
    }
    level = level_of(points, dict(zip(sensitivity.stars, sensitivity.scales, strict=True)))
    cards = {**cards, **zero_point_cards(level, begin=LEVEL)}
    write_sensitivity(job.outputs["fluxcal"], sensitivity, cards=cards, provenance=provenance(job))
    figures: dict[str, Any] = {"standards": len(sensitivity.stars), "to [A]": round(float(ends[1]))}
    if scatter is not None:
        figures["scatter [%]"] = round(100 * scatter, 1)
    if sensitivity.rejected:
        figures["left out"] = ", ".join(star for star, _ in sensitivity.rejected)
    if sensitivity.earlier:
        figures["earlier nights"] = len(sensitivity.earlier)
    figures |= _told_to_later(job, sensitivity)
    warnings = tuple(
        f"{star} is {100 * (1 - scale):.0f} % fainter than the other standards: clouds?"
        for star, scale in zip(sensitivity.stars, sensitivity.scales, strict=True)
        if scale < 1 - CLOUDED
    ) + tuple(
        f"{star} is not used: its level is far off, and its shape by {100 * off:.0f} %; look at its spectrum"
        for star, off in sensitivity.rejected
    )
    changed = tuple(
        f"the response has changed since {night} by {100 * off:.0f} %; that night is not used"
        for night, off in sensitivity.changed
    )
    return Result(figures=figures, warnings=unknown + warnings + changed)


def _earlier_cards(sensitivity: Sensitivity) -> Cards:
    """Earlier nights whose shape went into it."""
    nights = list(enumerate(sensitivity.earlier, start=1))
    return {
        **{f"FLXNITE{number}": (night, "earlier night whose shape was used") for number, (night, _) in nights},
        **{f"FLXAGE{number}": (age, "[night] how old it is") for number, (_, age) in nights},
    }


def _told_to_later(job: Job, sensitivity: Sensitivity) -> dict[str, str]:
    """Figures for the ledger: the shape by the night's own stars, and what the night was begun with."""
    assert sensitivity.own_value is not None and sensitivity.own_error is not None
    shape = shape_of(sensitivity.wavelength, sensitivity.own_value, sensitivity.own_error)
    told = {} if shape is None else {OWN_SHAPE: str(shape)}
    return told | ({GIVEN_SHAPES: str(job.options["earlier"])} if "earlier" in job.options else {})


def _burnt(star: str, flux: NDArray[Any], wavelength: NDArray[Any], header: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence if a star has no flux inside its spectrum, on a frame that is saturated in places."""
    known = np.flatnonzero(np.isfinite(flux))
    if not known.size or not number_of(header.get("NSATUR"), 0.0) > 0:
        return ()
    lost = np.setdiff1d(np.arange(known[0], known[-1] + 1), known)
    if lost.size < MIN_BURNT:
        return ()
    span = f"{wavelength[lost[0]]:.0f} to {wavelength[lost[-1]]:.0f} Angstrom"
    return (
        f"{star}: {lost.size} bins from {span} are not used, expected none: the star is saturated there; take it "
        "shorter, or another",
    )


def calibrate_spectrum(job: Job) -> Result:
    """Calibrate an extracted spectrum in flux and write it: FITS, and text."""
    ext, header = read_spectrum(job.one("ext"))
    source = flux_of(job)
    warnings: tuple[str, ...] = ()
    airmass, assumed = airmass_or_assumed(ext.meta.get("airmass"))
    if source is None:
        warnings += (f"{job.label}: no standard star reduced yet, the spectrum is in electron/s/Angstrom",)
    else:
        if source.fallback:
            warnings += (f"{job.label}: using {source.told}",)
        if assumed:
            warnings += (f"{job.label}: no airmass in the header, {airmass} assumed for the extinction",)
    calibration = None if source is None else read_calibration(source, zero_points_in(header))
    spectrum = calibrated(ext, calibration, airmass)
    snr = median_snr(spectrum)
    cards: Cards = {"SNRMED": (snr, "median S/N per bin, 4500-8500 Angstrom")}
    field = read_field(job.one("ext"))
    write_spectrum(job.outputs["sp"], spectrum, header=header, cards=cards, provenance=provenance(job), field=field)
    write_ascii(job.outputs["ascii"], spectrum)
    at = int(np.argmin(np.abs(spectrum.wavelength - 5500)))
    figures: dict[str, Any] = {"S/N": round(snr, 1), "F(5500)": f"{spectrum.flux[at]:.2e}"}
    if calibration is not None and (grey := calibration.grey) is not None:
        figures["grey factor"] = f"{grey.factor:.3f} +-{grey.error:.3f}"
    return Result(figures=figures, warnings=warnings)


def _telluric_depths(wavelength: NDArray[Any], sigma: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    fine, oxygen, water = telluric_template()
    depths = []
    for transmission in (oxygen, water):
        seen = np.nan_to_num(blur_to_bins(fine, transmission, wavelength, sigma), nan=1.0)
        depth = -np.log(np.clip(seen, 0.02, 1.0))
        depths.append(np.where(depth < 0.002, 0.0, depth))
    return depths[0], depths[1]
