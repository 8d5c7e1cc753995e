"""The night's calibrations: master bias, combined lamps, traces, wavelengths, flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.core.errors import CalibrationFault, FrameFault
from sedmd.core.instrument import CCD_TO_SKY, DISPERSION_GUESSES, SPAXEL_PITCH_ARCSEC, WAVELENGTH_GRID
from sedmd.core.job import Job, Result
from sedmd.core.memory_figures import GIVEN_LINES, GIVEN_PIXELS, OWN_LINES, OWN_PIXELS
from sedmd.plan.series import OFF_THE_DOME, REJECTED, span_of_names
from sedmd.products.fitsio import Cards
from sedmd.products.image import combined_from, read_image, write_image
from sedmd.products.provenance import provenance
from sedmd.products.solution import (
    TraceSet,
    read_traces,
    read_wavelength,
    write_flat,
    write_traces,
    write_wavelength,
)
from sedmd.raw.epochs import gain_of
from sedmd.raw.rawname import stem_of
from sedmd.reduce.cube.bad_pixels import MOST_STRETCHES, BadPixels, bad_pixels, findings_in
from sedmd.reduce.cube.cube import rebin
from sedmd.reduce.cube.flat import HALO_ERROR, SCATTERED_ERROR, fringes, spaxel_flat
from sedmd.reduce.cube.odd_pixels import answers
from sedmd.reduce.detector.bias import bias_reasons, combine_bias
from sedmd.reduce.detector.ccd import combine_exposures
from sedmd.reduce.detector.checks import likeness
from sedmd.reduce.detector.moved_exposures import rows_between
from sedmd.reduce.detector.overscan import overscan_level
from sedmd.reduce.detector.photon_transfer import photon_transfer
from sedmd.reduce.numeric.containers import Image, Mask, Spaxels
from sedmd.reduce.traces.background import BEYOND_PX
from sedmd.reduce.traces.extract import light_of_others, scattered_under
from sedmd.reduce.traces.frame import Separated, separate_traces
from sedmd.reduce.wavelength.evenness import unevenness, usual_unevenness
from sedmd.reduce.wavelength.geometry import node_at, sky_positions
from sedmd.reduce.wavelength.law import Law, law_in
from sedmd.reduce.wavelength.solution import refine_wavelengths, solve_geometry
from sedmd.reduce.wavelength.solution_checks import (
    LAMPS,
    NEEDED_RANGE,
    accuracy_notes,
    dark_spaxels,
    flat_reason,
    held_by,
    law_notes,
    lost_share,
    odd_lines,
    solution_reason,
)
from sedmd.reduce.wavelength.wavelength import WavelengthSolution
from sedmd.steps.raw import RAW_GAIN, camera_and_sections, read_master_bias, read_raw, to_electrons
from sedmd.steps.reference import lamp_tables
from sedmd.steps.sky_flat import sky_correction

#: Wavelengths at which the dispersion is reported [Angstrom]: both ends and the middle of what the lamps fix.
DISPERSION_AT = (4500.0, 6500.0, 8500.0)
#: Fewest traces with which a night is worth going on; the array has some 1500.
MIN_SPAXELS = 300
#: Likeness of two lamp frames from which they are of one lamp. Lines of different lamps fall on each other by chance
#: (0.0 to 0.1); two exposures of one lamp differ by their noise only.
SAME_LAMP = 0.6
#: Fringes of the dome that are worth a sentence, rms as a share of the light.
MAX_FRINGES = 0.01
#: Rows between lamp and dome from which the two are of different geometries [pixel]. Each is known to a quarter; a row
#: more than this leaves a third of a lamp's light beside the traces.
SAME_ROWS_PX = 1.0


def make_bias(job: Job) -> Result:
    """Combine the bias frames of one read-out speed; of one camera, the newest, if the camera was changed."""
    raws = [read_raw(path, job.options.get("mends")) for path in job.inputs["raw"]]
    header, shape = raws[-1][1], raws[-1][0].shape
    camera, sections, warnings = camera_and_sections(header, shape, job.inputs["raw"][-1].name)
    other = [_other_shape(data.shape, shape) for data, _ in raws]
    try:
        frames = [data for (data, _), reason in zip(raws, other, strict=True) if not reason]
        judged = iter(bias_reasons(frames, [overscan_level(frame, sections) for frame in frames], sections))
        reasons = [reason or next(judged) for reason in other]
        if sum(not reason for reason in reasons) < min(2, len(raws)):
            first = next(reason for reason in reasons if reason)
            raise ValueError(f"{sum(map(bool, reasons))} of {len(raws)} frames cannot be used; the first: {first}")
        master = combine_bias([data for (data, _), reason in zip(raws, reasons, strict=True) if not reason], sections)
    except ValueError as error:
        raise CalibrationFault(f"bias {job.label}: {error}") from error
    used, rejected = _used(job.inputs["raw"], reasons)
    image = Image(
        data=master.level,
        variance=np.full(master.level.shape, master.read_noise_adu**2 / master.n_frames, np.float32),
        mask=np.where(master.bad, np.uint8(Mask.BAD_PIXEL), np.uint8(0)),
        read_noise=master.read_noise_adu,
    )
    cards: dict[str, Any] = {
        **combined_from(used),
        "NCOMBINE": (master.n_frames, "frames combined"),
        "BUNIT": ("adu", "above the overscan of the same row; VARIANCE: adu**2"),
        "BIASLEV": (master.pedestal, "[adu] level of the scan columns, median"),
        "GAIN": (gain_of(header, camera)[0], "electron/ADU, not applied"),
        "RDNOISE": (master.read_noise_adu, "[adu] rms of one pixel of one frame"),
    }
    figures = {
        "frames": master.n_frames,
        "read noise [adu]": round(master.read_noise_adu, 2),
        "bad pixels": int(master.bad.sum()),
    }
    write_image(job.outputs["bias"], image, header=header, cards=cards, provenance=provenance(job))
    return Result(figures=figures, warnings=warnings + rejected)


def _other_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Why a frame does not go with others of the shape `wanted`; empty if it does."""
    if shape == wanted:
        return ""
    return f"{shape[0]} x {shape[1]} pixels where {wanted[0]} x {wanted[1]} were expected; from another camera"


def _used(paths: tuple[Path, ...], reasons: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Names of the frames that are combined, and a warning for each that is rejected."""
    pairs = list(zip(paths, reasons, strict=True))
    used = [path.name for path, reason in pairs if not reason]
    return used, tuple(f"{path.name} rejected: {reason}" for path, reason in pairs if reason)


def make_lamp(job: Job) -> Result:
    """Combine the exposures of one lamp, of the dome or of the twilight sky."""
    master = read_master_bias(job.one("bias"))
    taken, refused = [], []
    for path in job.inputs["raw"]:
        try:
            image, header, warned = to_electrons(path, master, job.options.get("mends"))
            taken.append((path, _without_variance(image), header, warned))
        except FrameFault as fault:  # one frame of another camera costs only itself
            refused.append(str(fault))
    if not taken:
        raise CalibrationFault(f"{job.label}: none of {len(refused)} exposures can be used; the first: {refused[0]}")
    lamp = job.outputs["lamp"].stem
    images = [image for _, image, _, _ in taken]
    try:
        combined, scales, reasons = combine_exposures(images, lines=lamp in LAMPS)
    except ValueError as error:
        raise CalibrationFault(f"{job.label}: {error}") from error
    used, rejected = _used(tuple(path for path, *_ in taken), reasons)
    warnings = tuple(w for *_, ws in taken for w in ws) + tuple(f"rejected: {reason}" for reason in refused) + rejected
    if len(used) == 1 < len(taken):
        warnings += (f"{job.label}: only {used[0]} could be used; cosmic rays remain",)
    figures: dict[str, float | int | str | None] = {
        "frames": len(used),
        "level [e-]": round(float(np.percentile(combined.data[::4, ::4], 99.5)), 0),
    }
    if without := [stem_of(path) for path in job.inputs["raw"] if path.name not in used]:
        figures[REJECTED] = ", ".join(without)
    transfer = _transfer(images, scales, [float(header[RAW_GAIN]) for _, _, header, _ in taken])
    cards = {**combined_from(used), "NCOMBINE": (len(used), "frames combined"), **_transfer_cards(transfer)}
    if transfer is not None:
        figures["gain [e-/adu]"], figures["gain +-"] = round(transfer.gain, 3), round(transfer.gain_error, 3)
        warnings += _odd_gain(job.label, transfer)
    write_image(job.outputs["lamp"], combined, header=taken[-1][2], cards=cards, provenance=provenance(job))
    return Result(figures=figures, warnings=warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gain:
    """Gain that was used, gain that the exposures show, its error [electron/ADU], and read noise [electron]."""

    used: float
    gain: float
    gain_error: float
    read_noise: float
    contradicts: bool


def _transfer(images: Sequence[Image], scales: Sequence[float], gains: Sequence[float]) -> _Gain | None:
    """Gain of the camera from exposures of one lamp; None where they do not tell it, or were made by several gains."""
    used = {gain for gain, scale in zip(gains, scales, strict=True) if scale > 0}
    found = photon_transfer(images, scales) if len(used) == 1 else None
    if found is None:
        return None
    (gain,) = used
    return _Gain(
        used=gain,
        gain=gain * found.ratio,
        gain_error=gain * found.ratio_error,
        read_noise=found.read_noise * found.ratio,
        contradicts=found.contradicts,
    )


def _transfer_cards(transfer: _Gain | None) -> Cards:
    """Cards of a lamp: what its exposures tell of the camera; none where they tell nothing."""
    if transfer is None:
        return {}
    return {
        "PTGAIN": (transfer.gain, "[electron/adu] by photon transfer; not applied"),
        "PTGAINER": (transfer.gain_error, "[electron/adu] its 1-sigma error"),
        "PTNOISE": (transfer.read_noise, "[electron] read noise by photon transfer"),
    }


def _odd_gain(label: str, transfer: _Gain) -> tuple[str, ...]:
    """A sentence if the exposures contradict the gain that was used."""
    if not transfer.contradicts:
        return ()
    wrong = 100 * (np.sqrt(transfer.used / transfer.gain) - 1)
    sense = "small" if wrong > 0 else "large"
    return (
        f"{label}: gain {transfer.gain:.3f} +- {transfer.gain_error:.3f} electron/ADU by photon transfer, "
        f"{transfer.used:g} expected and used; error bars are {abs(wrong):.0f} % too {sense} "
        "where photons make them. If the camera was set otherwise, correct the frames of the night: sedmd mend NIGHT "
        f"GAIN={transfer.gain:.2f}",
    )


def _without_variance(image: Image) -> Image:
    """An image whose variance follows from its model and is not needed: those of ten exposures would take 170 MB."""
    return replace(image, variance=np.broadcast_to(np.float32(np.nan), image.data.shape))


def _lamps_of(job: Job) -> tuple[str, ...]:
    """Lamps with lines that the night has."""
    return tuple(lamp for lamp in LAMPS if job.inputs.get(lamp))


def _law_of(job: Job) -> Law | None:
    """The law of dispersion by the lamp lines of an earlier night, if the job was given any."""
    return law_in(str(job.options.get("lines") or ""))


def make_traces(job: Job) -> Result:
    """Find the traces on the dome, identify the lamp lines, lay the lattice, and place it on the sky."""
    names = _lamps_of(job)
    read = {lamp: read_image(job.one(lamp)) for lamp in ("dome", *names)}
    images = {lamp: _without_variance(image) for lamp, (image, _) in read.items()}
    dome, lamps = images["dome"], {lamp: images[lamp] for lamp in names}
    for a, b in combinations(names, 2):
        alike = likeness(lamps[a], lamps[b])
        if alike > SAME_LAMP:
            raise CalibrationFault(
                f"traces: {a}.fits and {b}.fits show the same lamp (likeness {alike:.2f}, less than {SAME_LAMP:g} "
                "expected); one of them has the wrong label"
            )
    off = _off_the_dome(dome, lamps)
    moved = _moved(off, {lamp: _made_of(header) for lamp, (_, header) in read.items()})
    try:
        geometry = solve_geometry(dome, lamps, lamp_tables(), DISPERSION_GUESSES, _law_of(job))
    except ValueError as error:
        raise CalibrationFault("; ".join([f"traces: {error}", *moved])) from error
    if geometry.traces.n < MIN_SPAXELS:
        raise CalibrationFault(
            f"traces: only {geometry.traces.n} spaxels found, at least {MIN_SPAXELS} expected; look at dome.fits"
        )
    if reason := solution_reason(geometry.solution, geometry.complete, _lamps_of(job)):
        raise CalibrationFault("; ".join([f"traces: {reason}", *law_notes(geometry.solution), *moved]))
    shape = dome.data.shape
    where = job.options.get("field_centre") or (shape[1] / 2, shape[0] / 2)
    origin = node_at(geometry.lattice, geometry.x_ref, geometry.y_ref, (float(where[0]), float(where[1])))
    # A detector that is read from the opposite corner shows the field and the dispersion turned by 180 degrees.
    sense = geometry.solution.sense
    x, y = sky_positions(
        geometry.lattice, pitch_arcsec=SPAXEL_PITCH_ARCSEC, ccd_to_sky=sense * CCD_TO_SKY, origin_node=origin
    )
    spaxels = Spaxels(
        ident=np.arange(geometry.traces.n, dtype=np.int32) + 1,
        q=geometry.lattice.q,
        r=geometry.lattice.r,
        x_arcsec=x,
        y_arcsec=y,
    )
    found = TraceSet(traces=geometry.traces, spaxels=spaxels, complete=geometry.complete, start=geometry.solution)
    width = float(np.median(geometry.traces.samples(shape, 16).sigma))
    figures = {
        "spaxels": geometry.traces.n,
        "complete": int(geometry.complete.sum()),
        "beside": 0 if geometry.traces.beside is None else geometry.traces.beside.n,
        "rms [px]": round(float(np.nanmedian(geometry.traces.rms)), 3),
        "FWHM [px]": round(2.355 * width, 2),
        "scattered [%]": round(100 * geometry.traces.halo.total, 1) if geometry.traces.halo else None,
        "pitch [px]": round(geometry.lattice.pitch, 3),
        "angle [deg]": round(geometry.lattice.angle_deg, 2),
        "blue at": "high x" if sense > 0 else "low x",
        "x [px]": round(float(np.median(geometry.x_ref[geometry.complete])), 1),
        "y [px]": round(float(np.median(geometry.y_ref[geometry.complete])), 1),
    }
    if "lines" in job.options:
        figures[GIVEN_LINES] = str(job.options["lines"])
    if off:
        figures[OFF_THE_DOME] = ", ".join(f"{lamp} {rows:.1f} px" for lamp, rows in off.items())
    cards: Cards = {
        "NSPAXEL": (geometry.traces.n, "spaxels found"),
        "NBESIDE": (figures["beside"], "spectra mostly off the chip"),
        "NCOMPLET": (int(geometry.complete.sum()), "with 3800-9200 Angstrom on the chip"),
        "PITCHPX": (geometry.lattice.pitch, "[pixel] distance of neighbouring spaxels"),
        "LATANGLE": (geometry.lattice.angle_deg, "[deg] q axis of the lattice from +x"),
        "DISPSIGN": (sense, "1: blue at high columns; -1: at low ones, array turned"),
        "TRFWHM": (2.355 * width, "[pixel] FWHM across the dispersion, median"),
        "FIELDX": (float(where[0]), "[pixel] column of the field centre at 6500 A"),
        "FIELDY": (float(where[1]), "[pixel] row of the field centre at 6500 A"),
        "LAMPCORR": (geometry.score, "correlation of the lamps with the line lists"),
        "DOMECHI2": (geometry.chi2, "reduced chi-square of the dome under the traces"),
    }
    write_traces(job.outputs["traces"], found, cards=cards, provenance=provenance(job))
    return Result(figures=figures, warnings=moved)


def _off_the_dome(dome: Image, lamps: Mapping[str, Image]) -> dict[str, float]:
    """Lamps whose spectra do not lie on those of the dome, and by how many rows: the instrument was touched."""
    off = {lamp: rows_between(dome, image) for lamp, image in lamps.items()}
    return {lamp: rows for lamp, rows in off.items() if rows > SAME_ROWS_PX}


def _moved(off: Mapping[str, float], frames: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each lamp that lies off the dome; `frames` says what each of them is made of."""
    return tuple(
        f"the spectra of {lamp}.fits ({frames[lamp]}) lie {rows:.1f} px off those of dome.fits ({frames['dome']}), at "
        f"most {SAME_ROWS_PX:g} px expected; if the instrument was touched in between, take dome and all lamps again"
        for lamp, rows in off.items()
    )


def _made_of(header: fits.Header) -> str:
    """The raw frames of a combined image, by its header."""
    stems = [stem_of(str(header[card])) for card in sorted(header["IMCMB*"])]
    return span_of_names(stems) if stems else "of unknown frames"


def make_wavelength(job: Job) -> Result:
    """Fit the wavelength solution on the lamps, extracted with the profile."""
    found = read_traces(job.one("traces"))
    lamps = {lamp: _without_variance(read_image(job.one(lamp))[0]) for lamp in _lamps_of(job)}
    try:
        solution = refine_wavelengths(found.traces, found.start, lamps, lamp_tables(), DISPERSION_GUESSES, _law_of(job))
    except ValueError as error:
        raise CalibrationFault(f"wavelength: {error}") from error
    if reason := solution_reason(solution, found.complete, lamps):
        raise CalibrationFault("; ".join([f"wavelength: {reason}", *law_notes(solution)]))
    rms = float(np.nanmedian(solution.rms))
    single = float(np.median([group.scatter for group in solution.groups]))
    left_out = float(np.median([abs(group.left_out) for group in solution.groups]))
    lost = lost_share(solution, found.complete)
    uneven = usual_unevenness(unevenness(solution, found.traces.y_coeff[:, 0], found.complete))
    fwhm = 2.355 * float(np.median(solution.line_sigma(found.traces.centre, found.traces.y_coeff[:, 0])))
    figures = {
        "lines": len(solution.groups),
        "rms [px]": round(rms, 3),
        "scatter [px]": round(single, 3),
        "left out [px]": round(left_out, 3),
        **_accuracy_figures(solution),
        "uneven [px]": round(uneven, 3) if np.isfinite(uneven) else None,
        "line FWHM [px]": round(fwhm, 2),
        "lost [%]": round(100 * lost, 2),
        **{f"A/px {at:.0f}": round(median_dispersion(solution, found.complete, at), 3) for at in DISPERSION_AT},
        **({"law of": held_by(solution)} if held_by(solution) else {}),
        **({OWN_LINES: str(solution.lines)} if solution.lines is not None else {}),
    }
    cards: Cards = {
        "WAVERMS": (rms, "[pixel] median rms of the lamp lines"),
        "LINESCAT": (single, "[pixel] median scatter of a line over the spaxels"),
        "LEFTOUT": (left_out, "[pixel] median offset of a line from the others' fit"),
        "LINEFWHM": (fwhm, "[pixel] FWHM of a lamp line"),
        "WAVELOST": (lost, "share of complete spaxels with bad or too few lines"),
        "UNEVEN": (uneven if np.isfinite(uneven) else None, "[pixel] rms of spaxels about their neighbours, largest"),
        "STRAIN": (solution.strain, "of lamp lines and published curve; 1: as expected"),
        "NGROUPS": (len(solution.groups), "groups of lamp lines used"),
        **_accuracy_cards(solution),
        **_law_cards(solution),
        "AIRORVAC": ("air", "wavelengths are in air"),
    }
    write_wavelength(job.outputs["wavelength"], solution, found.spaxels, cards=cards, provenance=provenance(job))
    notes = (*odd_lines(solution), *accuracy_notes(solution), *law_notes(solution))
    return Result(figures=figures, warnings=notes)


def _accuracy_figures(solution: WavelengthSolution) -> dict[str, float | int | str | None]:
    """Where the solution is known least between the ends of what is used, and how well it is known there."""
    if solution.accuracy is None:
        return {}
    worst, where = solution.accuracy.worst(*NEEDED_RANGE)
    return {"error [px]": round(worst, 3), "error at [A]": round(where)}


def _accuracy_cards(solution: WavelengthSolution) -> Cards:
    if solution.accuracy is None:
        return {}
    known = solution.accuracy
    inside = (known.wavelength >= NEEDED_RANGE[0]) & (known.wavelength <= NEEDED_RANGE[1])
    worst, where = known.worst(*NEEDED_RANGE)
    law = float(np.max(np.abs(np.nan_to_num(known.other_law[inside]))))
    low, high = NEEDED_RANGE
    return {
        "WAVEERR": (worst, f"[pixel] largest error, {low:.0f}-{high:.0f} Angstrom"),
        "WAVEERRL": (where, "[Angstrom] where that is"),
        "LAWDIFF": (law, "[pixel] largest difference from another law there"),
    }


def _law_cards(solution: WavelengthSolution) -> Cards:
    if solution.earlier is None or not held_by(solution):
        return {}
    return {
        "LAWNIGHT": (solution.earlier.law.night, "night whose lamp lines tell the law of dispersion"),
        "LAWAGE": (solution.earlier.law.age, "[nights] age of that"),
        "LAWCHANG": (solution.earlier.change.most, "it may have changed by, of how published ones differ"),
    }


def median_dispersion(solution: WavelengthSolution, complete: NDArray[np.bool_], wavelength: float) -> float:
    """Median dispersion of the complete spaxels that have a solution, at a wavelength [Angstrom per column]."""
    spaxel = np.flatnonzero(complete)
    each = solution.dispersion(spaxel, solution.column(np.array([wavelength]))[spaxel, 0])
    return float(np.median(each[np.isfinite(each)]))


def _per_angstrom(
    separated: Separated, values: NDArray[Any], variance: NDArray[Any], found: TraceSet, solution: WavelengthSolution
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Values of the dome's samples on the grid of wavelengths."""
    bad = separated.extracted.bad
    return rebin(separated.samples, values, variance, bad, solution, found.traces.n, WAVELENGTH_GRID)


def make_flat(job: Job) -> Result:
    """Measure the relative throughput of the spaxels on the dome."""
    image, header = read_image(job.one("dome"))
    dome = _without_variance(image)
    found = read_traces(job.one("traces"))
    solution = read_wavelength(job.one("wavelength"))
    traces = found.traces
    separated = separate_traces(dome, traces, dy_px=0.0, rounds=2)
    extracted = separated.extracted
    flux, variance, mask = _per_angstrom(separated, extracted.flux, extracted.variance, found, solution)
    scattered = scattered_under(separated.samples, separated.background)
    others = light_of_others(separated.samples, traces.profile, extracted.flux)
    under, beside = (
        np.nan_to_num(_per_angstrom(separated, light, np.zeros(light.shape), found, solution)[0])
        for light in (scattered, others)
    )
    places = np.column_stack([found.spaxels.x_arcsec, found.spaxels.y_arcsec])
    known = SCATTERED_ERROR if traces.halo is None else HALO_ERROR
    flat = spaxel_flat(
        WAVELENGTH_GRID, flux, variance, mask, places, scattered=under, scattered_error=known, others=beside
    )
    grey = np.median(flat, axis=0)
    if reason := flat_reason(flat, found.complete):
        raise CalibrationFault(f"flat: {reason}")
    n_frames = int(header.get("NCOMBINE", 1))
    given = str(job.options.get("pixels") or "")
    earlier = findings_in(given, dome.data.shape)
    lit = traces.samples(dome.data.shape, beyond=BEYOND_PX)
    pixels = bad_pixels(answers(dome, separated, traces.profile, n_frames, lit), earlier)
    whole = np.where(found.complete, mask, np.uint8(Mask.NO_DATA))
    # the weights of a mean of exposures were those of one: its photon noise is smaller
    fringe, fringe_error = fringes(flux, variance / n_frames, whole, flat, WAVELENGTH_GRID)
    sky = sky_correction(job, found, job.one("traces"))
    figures = {
        "spread [%]": round(100 * float(np.nanstd(grey)), 1),
        "dark spaxels": int(dark_spaxels(flat).sum()),
        "scattered [e-]": round(float(np.median(separated.background)), 1),
        **_pixel_figures(pixels, job.options.get("pixels")),
        "fringes [%]": round(100 * fringe, 2) if np.isfinite(fringe) else None,
        **sky.figures,
    }
    cards: Cards = {
        "FRINGRMS": (fringe if np.isfinite(fringe) else None, "rms of fringes at 800-920 nm, share of the light"),
        "FRINGERR": (fringe_error if np.isfinite(fringe_error) else None, "its 1-sigma error, or the limit"),
        **_pixel_cards(pixels, len(earlier)),
        "FLATSTD": (float(np.nanstd(grey)), "rms of the grey throughput over the spaxels"),
        "SCATTLEV": (float(np.median(separated.background)), "[electron] light between the traces on the dome"),
        **sky.cards,
    }
    write_flat(
        job.outputs["flat"],
        WAVELENGTH_GRID,
        flat if sky.pattern is None else flat * sky.pattern.factor,
        found.spaxels,
        bad_pixels=pixels.map,
        sky=None if sky.pattern is None else (sky.pattern.factor, sky.pattern.error),
        cards=cards,
        provenance=provenance(job),
    )
    return Result(figures=figures, warnings=(*_fringed(fringe, fringe_error), *_too_many(pixels), *sky.warnings))


def _pixel_figures(pixels: BadPixels, given: object) -> dict[str, float | int | str | None]:
    """How many pixels are bad, known and new, and what later nights are given."""
    figures: dict[str, float | int | str | None] = {"bad pixels": int(pixels.map.sum())}
    if given:
        figures |= {"known": pixels.known, "not seen": pixels.unseen, "new": pixels.new, "healed": pixels.healed}
    if pixels.findings.tells:
        figures[OWN_PIXELS] = str(pixels.findings)
    return figures if given is None else figures | {GIVEN_PIXELS: str(given)}


def _pixel_cards(pixels: BadPixels, nights: int) -> Cards:
    return {
        "NBADPIX": (int(pixels.map.sum()), "pixels that do not follow the light of the dome"),
        "NBADNITE": (nights, "earlier nights that told of such pixels"),
        "NBADKNWN": (pixels.known, "of them known by earlier nights"),
        "NBADSEEN": (pixels.known - pixels.unseen, "and seen tonight, too"),
        "NBADNEW": (pixels.new, "of them not known before"),
        "NBADHEAL": (pixels.healed, "known ones that follow the light again"),
    }


def _too_many(pixels: BadPixels) -> tuple[str, ...]:
    """A sentence if so many pixels are off that it is not they who are wrong."""
    if pixels.findings.tells:
        return ()
    return (
        f"flat: {int(pixels.map.sum())} pixels do not follow the light of the dome, in more than {MOST_STRETCHES} "
        "places; no camera had so many bad ones. Look at dome.fits; later nights do not learn of them",
    )


def _fringed(rms: float, error: float) -> tuple[str, ...]:
    """A sentence if the dome has fringes that a spectrum would show."""
    if not rms > MAX_FRINGES + 5.0 * error:
        return ()
    return (
        f"flat: fringes of {100 * rms:.1f} +- {100 * error:.1f} % (rms) beyond 800 nm, at most {100 * MAX_FRINGES:g} % "
        "expected; they are not corrected, look at the red end of the spectra",
    )
