"""One exposure on the sky: cosmic rays, scattered light, flexure, cube."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sedmd.core.errors import FrameFault
from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.core.job import Job, Result
from sedmd.products.cube import write_cube
from sedmd.products.fitsio import Cards
from sedmd.products.image import write_image
from sedmd.products.provenance import provenance
from sedmd.products.solution import TraceSet, read_bad_pixels, read_flat, read_traces, read_wavelength
from sedmd.products.target_positions import EXPECTED, place_cards
from sedmd.raw.cards import number_of
from sedmd.reduce.cube.from_frame import cube_of, faint_spaxels
from sedmd.reduce.cube.hits import reject_hits
from sedmd.reduce.cube.illumination import OVER_ARCSEC, SkySlope, sky_slope
from sedmd.reduce.detector.bias import MasterBias
from sedmd.reduce.detector.cosmic import MIN_EXPTIME_S, clean_cosmics
from sedmd.reduce.numeric.containers import Cube, Image, Mask
from sedmd.reduce.target.place import Place
from sedmd.reduce.traces.frame import SHIFT_REACH_PX, Separated, flagged, separate_traces
from sedmd.reduce.wavelength.flexure import Flexure, find_far_shift, image_shift, measure_flexure
from sedmd.reduce.wavelength.solution_checks import NEEDED_RANGE
from sedmd.reduce.wavelength.wavelength import WavelengthSolution
from sedmd.steps.former import left_by_former
from sedmd.steps.raw import read_master_bias, to_electrons
from sedmd.steps.reference import sky_features

#: Largest share of the bright pixels that traces and background may leave unexplained. What does not fit the model of a
#: right geometry is a cosmic ray or a pixel here and there; on wrong traces most of the light falls between them.
MAX_UNEXPLAINED = 0.1
#: Fewest bright pixels that can tell a right geometry from a wrong one: a standard star gives five times as many in
#: five seconds. With less light there is nothing that a wrong geometry could spoil either.
MIN_BRIGHT_PIXELS = 2000
#: Reduced chi-square beyond which traces are a fraction of a pixel off: a profile moved by a third of its width leaves
#: a tenth of the light over, which shows in bright samples. On its own night it is 1.0.
FITTING_CHI2 = 1.3
#: Sky features from which on it says something about the lamps' wavelengths that they do not agree with each other.
MANY_FEATURES = 4
#: Slope of the sky over ten arcsec that a dome flat may leave: two per cent (1 to 2 % over the field is usual).
MAX_SLOPE = 0.02
#: Change of the width of the spectra since the calibrations that no temperature of a night makes.
ODD_WIDTH = 0.15
#: Median signal to noise of a sky sample from which the lines of the night sky, many times brighter than the
#: continuum, are worth a search beyond the reach of flexure, and from which they cannot be missed.
SKY_IS_SEEN, SKY_IS_BRIGHT = 0.5, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibrations:
    """What an exposure is reduced with, read; and the night that it is from.

    `earlier` are night and age of an earlier night's, empty for the night's own.
    """

    night: str
    earlier: Mapping[str, Any]
    bias: MasterBias
    traces: TraceSet
    solution: WavelengthSolution
    flat: NDArray[np.float32]

    @property
    def fallback(self) -> bool:
        return bool(self.earlier)

    @property
    def age_nights(self) -> int:
        return int(self.earlier["age_nights"]) if self.earlier else 0

    @property
    def origin(self) -> str:
        """In a sentence on what was expected."""
        return f"the calibrations of {self.night}" if self.fallback else "the night's calibrations"

    @property
    def used(self) -> str:
        """``using calibrations from 20190612 (2 nights old)``."""
        return f"using calibrations from {self.night} ({nights(self.age_nights)} old)"


def make_cube(job: Job) -> Result:
    """Reduce one raw exposure to a cube; keeps the cleaned and the background-subtracted frame, if asked to.

    Raises
    ------
    FrameFault
        If the frame cannot be read, or its spectra do not lie where the calibrations say.
    """
    raw = job.one("raw")
    calibrations = _read_calibrations(job)
    image, header, warnings = to_electrons(raw, calibrations.bias, job.options.get("mends"))
    image = as_read = _without_bad_pixels(image, job.one("flat"))
    searched = number_of(header.get("EXPTIME"), 0.0) >= MIN_EXPTIME_S
    if searched:
        image = clean_cosmics(image)
    n_cosmic = int(((image.mask & np.uint8(Mask.COSMIC)) != 0).sum())
    traces = calibrations.traces.traces
    separated = separate_traces(image, traces)
    _check_traces(raw.name, separated, calibrations.origin)
    flexure = _checked_flexure(raw.name, separated, calibrations)
    saturated = (image.mask & np.uint8(Mask.SATURATED)) != 0
    cube, n_stray = reject_hits(_cube(separated, flexure, calibrations, saturated))
    slope = sky_slope(cube)
    former = left_by_former(job, as_read, separated, traces.profile, calibrations.bias)
    place = Place.of(job.options["place"]) if "place" in job.options else Place()
    crr: Cards = {"CRCLEAN": (searched, "cosmic rays searched"), "NCOSMIC": (n_cosmic, "pixels masked")}
    cards = {
        "NSATUR": (int(saturated.sum()), "pixels saturated, or filled by such"),
        **_cards(separated, flexure, calibrations),
        **_slope_cards(slope),
        **former.cards,
        **_calibration_cards(calibrations),
        **place_cards(header, place),
    }
    made = provenance(job)
    frame = partial(write_image, header=header, provenance=made, packed=job.options.get("frames") == "packed")
    _write_frames(job.outputs, frame, image, separated, crr, cards)
    stray: Cards = {"NSTRAY": (n_stray, "samples without a counterpart on the sky")}
    write_cube(job.outputs["e3d"], cube, header=header, cards={**crr, **cards, **stray}, provenance=made)
    return Result(
        figures={
            "flexure x [px]": round(flexure.dx_px, 3),
            "+-": round(flexure.error_px, 3),
            "flexure y [px]": round(image_shift(separated.dy_px, flexure.dx_px, traces), 3),
            "cosmic [px]": n_cosmic,
            "in the cube": n_stray,
            "scattered [e-]": round(float(np.median(separated.background)), 1),
            "chi2": round(separated.chi2, 2),
            **former.figures,
            EXPECTED: str(place),
        },
        warnings=(*warnings, *_warnings(raw.name, separated, flexure, calibrations, slope), *former.warnings),
    )


def nights(age: int) -> str:
    """``1 night``, ``2 nights``."""
    return f"{age} night{'' if age == 1 else 's'}"


def _read_calibrations(job: Job) -> _Calibrations:
    earlier = job.options.get("calibrations") or {}
    return _Calibrations(
        night=str(earlier["night"]) if earlier else job.night,
        earlier=earlier,
        bias=read_master_bias(job.one("bias")),
        traces=read_traces(job.one("traces")),
        solution=read_wavelength(job.one("wavelength")),
        flat=read_flat(job.one("flat")),
    )


def _checked_flexure(name: str, separated: Separated, calibrations: _Calibrations) -> Flexure:
    """Shift along the dispersion by the lines of the night sky.

    Raises
    ------
    FrameFault
        The sky lines are seen, and lie elsewhere than the calibrations put them.
    """
    traces = calibrations.traces.traces
    sky = faint_spaxels(separated, traces.n)
    lines = (
        separated.samples,
        separated.extracted.flux,
        separated.extracted.variance,
        calibrations.solution,
        traces.centre,
        traces.y_coeff[:, 0],
        sky,
        sky_features(),
    )
    flexure = measure_flexure(*lines)
    if flexure.consistent:
        return flexure
    signal = _sky_signal(separated, sky)
    far = find_far_shift(*lines) if signal > SKY_IS_SEEN else None
    if far is not None:
        raise FrameFault(
            f"{name}: the sky lines lie {far:+.1f} px along the dispersion from where {calibrations.origin} put them, "
            f"at most {SHIFT_REACH_PX:g} expected; take new lamp exposures"
        )
    if calibrations.fallback and signal > SKY_IS_BRIGHT:
        raise FrameFault(
            f"{name}: {flexure.agreeing} of {len(flexure.features)} sky lines agree with {calibrations.origin} "
            "although the sky is bright, at least 3 expected; take new lamp exposures"
        )
    return flexure


def _without_bad_pixels(image: Image, flat: Path) -> Image:
    """The image with those pixels marked that did not follow the light of the dome."""
    bad = read_bad_pixels(flat, image.mask.shape)
    return replace(image, mask=image.mask | np.where(bad, np.uint8(Mask.BAD_PIXEL), np.uint8(0)))


def _cube(
    separated: Separated, flexure: Flexure, calibrations: _Calibrations, saturated: NDArray[np.bool_] | None = None
) -> Cube:
    return cube_of(
        separated,
        calibrations.traces.traces,
        calibrations.traces.spaxels,
        calibrations.solution,
        calibrations.flat,
        WAVELENGTH_GRID,
        dx_px=flexure.dx_px,
        saturated=saturated,
    )


def _write_frames(
    outputs: Mapping[str, Path],
    write: Callable[..., object],
    image: Image,
    separated: Separated,
    crr: Cards,
    cards: Cards,
) -> None:
    """The cleaned frame, and that without the light between the traces, where the job asks for them."""
    if "crr" in outputs:
        write(outputs["crr"], image, cards=crr)
    if "bs" in outputs:
        clean = flagged(image, separated.outliers)
        without = replace(clean, data=clean.data - separated.background)
        beside = (outputs["crr"].name, image) if "crr" in outputs else None
        write(outputs["bs"], without, cards={**crr, **cards}, beside=beside)


def _slope_cards(slope: SkySlope | None) -> Cards:
    """Cards on how the sky slopes over the field: what the dome's light leaves of the illumination. Not applied."""
    east, north, error = (None, None, None) if slope is None else (slope.east, slope.north, slope.error)
    over = f"[1/{OVER_ARCSEC:g} arcsec]"
    return {
        "SKYSLOPX": (east, f"{over} relative slope of the sky, East"),
        "SKYSLOPY": (north, f"{over} and North"),
        "SKYSLOPE": (error, f"{over} 1-sigma error of either; empty: not seen"),
    }


def _warnings(
    name: str,
    separated: Separated,
    flexure: Flexure,
    calibrations: _Calibrations,
    slope: SkySlope | None,
) -> list[str]:
    """What is worth a sentence in the log of an exposure that was reduced."""
    warnings = []
    if slope is not None and slope.size > MAX_SLOPE + 5.0 * slope.error:
        warnings.append(
            f"{name}: the sky slopes by {100 * slope.size:.1f} +- {100 * slope.error:.1f} % over {OVER_ARCSEC:g} "
            f"arcsec, at most {100 * MAX_SLOPE:g} % expected: the dome lamp does not light the field as the sky does, "
            "or twilight or moonlight is in it"
        )
    if calibrations.fallback:
        warnings.append(f"{name}: {calibrations.used}")
        if separated.chi2 > FITTING_CHI2:
            warnings.append(
                f"{name}: the traces of {calibrations.origin} fit with chi2 {separated.chi2:.1f}, at most "
                f"{FITTING_CHI2:g} expected; the instrument was remounted or refocused since, flux and wavelengths "
                "suffer"
            )
        if separated.n_bright < MIN_BRIGHT_PIXELS:
            warnings.append(
                f"{name}: too little light to check that the spectra lie where {calibrations.origin} put them"
            )
    if len(flexure.features) >= MANY_FEATURES and not flexure.consistent:
        each = ", ".join(f"{f.name} {f.shift_px:+.2f}" for f in flexure.features)
        warnings.append(
            f"{name}: {flexure.agreeing} of {len(flexure.features)} sky lines agree on where {calibrations.origin} put "
            f"them ({each} px), 3 and most of them expected; the wavelengths of the lamps may be wrong"
        )
    if abs(separated.width - 1.0) > ODD_WIDTH:
        warnings.append(
            f"{name}: the spectra are {separated.width:.2f} times as wide across as {calibrations.origin} have them, "
            f"{1 - ODD_WIDTH:g} to {1 + ODD_WIDTH:g} expected; look at the focus of the spectrograph"
        )
    if not np.isfinite(flexure.error_px):
        warnings.append(f"{name}: no sky line could be measured, flexure along the dispersion taken as 0")
    return warnings


def _calibration_cards(calibrations: _Calibrations) -> Cards:
    return {
        "CALNIGHT": (calibrations.night, "night of bias, traces, wavelength, flat"),
        "CALAGE": (calibrations.age_nights, "[nights] from the calibrations to this frame"),
        "CALFALL": (calibrations.fallback, "calibrations of an earlier night used"),
        **_wavelength_cards(calibrations.solution),
    }


def _wavelength_cards(solution: WavelengthSolution) -> Cards:
    """How well the lamps tell the wavelengths where they do least; nothing of solutions of before that was known."""
    if solution.accuracy is None:
        return {}
    worst, where = solution.accuracy.worst(*NEEDED_RANGE)
    return {
        "WAVEERR": (worst, "[pixel] largest error of the lamps' wavelengths"),
        "WAVEERRL": (where, "[Angstrom] where that is"),
    }


def _check_traces(name: str, separated: Separated, origin: str) -> None:
    """Raise FrameFault if the light of the frame does not lie on the traces."""
    if separated.n_bright < MIN_BRIGHT_PIXELS:
        return
    if separated.unexplained > MAX_UNEXPLAINED:
        raise FrameFault(
            f"{name}: {100 * separated.unexplained:.0f} % of the bright pixels lie off the traces of {origin}, at most "
            f"{100 * MAX_UNEXPLAINED:g} % expected; the instrument has changed or moved. Take new dome and lamp "
            "exposures"
        )
    if abs(separated.dy_px) > SHIFT_REACH_PX - 0.3:
        raise FrameFault(
            f"{name}: the traces of {origin} are {separated.dy_px:+.1f} px off across the dispersion, less than "
            f"{SHIFT_REACH_PX:g} expected; take new dome and lamp exposures"
        )


def _sky_signal(separated: Separated, sky: np.ndarray) -> float:
    """Median signal to noise of a sample of the sky spaxels."""
    own = sky[separated.samples.trace]
    flux, variance = separated.extracted.flux[own], separated.extracted.variance[own]
    known = np.isfinite(flux) & (variance > 0)
    return float(np.median(flux[known] / np.sqrt(variance[known]))) if known.any() else 0.0


def _cards(separated: Separated, flexure: Flexure, calibrations: _Calibrations) -> Cards:
    traces = calibrations.traces.traces
    sigma = float(np.median(calibrations.solution.line_sigma(traces.centre, traces.y_coeff[:, 0])))
    known = np.isfinite(flexure.error_px)
    cards: dict[str, Any] = {
        "FLEXX": (flexure.dx_px, "[px] shift along dispersion (+ to higher x), applied"),
        "FLEXXERR": (flexure.error_px if known else None, "[px] its error; empty: not measured"),
        "FLEXXN": (len(flexure.features), "sky features measured"),
        "FLEXY": (image_shift(separated.dy_px, flexure.dx_px, traces), "[px] shift across dispersion, applied"),
        "FLEXYERR": (separated.dy_error_px, "[px] its error"),
        "TRWIDTH": (separated.width, "width of the spectra across, of that on the dome"),
        "TRWIDERR": (separated.width_error, "its error"),
        "SCATTLEV": (float(np.median(separated.background)), "[electron] median scattered light between the traces"),
        "FRAMCHI2": (separated.chi2, "reduced chi-square of traces and background"),
        "NOUTLIER": (int(separated.outliers.sum()), "pixels explained by neither"),
        "LSFSIGMA": (sigma, "[px] Gaussian sigma of a lamp line"),
        "TRFWHM": (2.355 * float(np.median(separated.samples.sigma)), "[px] FWHM across the dispersion"),
    }
    for i, f in enumerate(flexure.features[:9], start=1):
        cards[f"FLEXF{i}"] = (f"{f.name} {f.shift_px:+.3f} +- {f.error_px:.3f}", "sky feature, shift [px]")
    return cards
