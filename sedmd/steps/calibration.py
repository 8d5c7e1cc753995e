"""The night's calibrations: master bias, combined lamps, traces, wavelengths, flat."""

from __future__ import annotations

import numpy as np

from sedmd.errors import CalibrationFault, FrameFault
from sedmd.instrument import (
    CCD_TO_SKY,
    DISPERSION_GUESSES,
    OVERSCAN_FIRST_COLUMN,
    SPAXEL_PITCH_ARCSEC,
    WAVELENGTH_GRID,
)
from sedmd.job import Job, Result
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
from sedmd.reduce.containers import Image, Mask, Spaxels
from sedmd.reduce.cube import rebin
from sedmd.reduce.detector import combine_bias, combine_exposures
from sedmd.reduce.flat import spaxel_flat
from sedmd.reduce.frame import separate
from sedmd.reduce.geometry import node_at, sky_positions
from sedmd.reduce.solution import refine_wavelengths, solve_geometry
from sedmd.steps.raw import read_master_bias, read_raw, to_electrons
from sedmd.steps.reference import lamp_tables

LAMPS = ("Hg", "Cd", "Xe")
#: Fewest traces with which a night is worth going on; the array has some 1500.
MIN_SPAXELS = 300
#: Largest median scatter of the lamp lines about the solution [column] that passes.
MAX_WAVELENGTH_RMS = 0.6


def make_bias(job: Job) -> Result:
    """Combine the bias frames of one read-out speed."""
    raws = [read_raw(path) for path in job.inputs["raw"]]
    try:
        master = combine_bias([data for data, _ in raws], OVERSCAN_FIRST_COLUMN)
    except ValueError as error:
        raise CalibrationFault(f"bias {job.label}: {error}") from error
    header = raws[-1][1]
    image = Image(
        data=master.level,
        variance=np.full(master.level.shape, master.read_noise_adu**2 / master.n_frames, np.float32),
        mask=np.where(master.bad, np.uint8(Mask.BAD_PIXEL), np.uint8(0)),
        read_noise=master.read_noise_adu,
    )
    cards: dict = {
        **combined_from([path.name for path in job.inputs["raw"]]),
        "NCOMBINE": (master.n_frames, "frames combined"),
        "BUNIT": ("adu", "above the overscan of the same row; VARIANCE: adu**2"),
        "GAIN": (header.get("GAIN"), "electron/ADU, not applied"),
        "RDNOISE": (master.read_noise_adu, "[adu] rms of one pixel of one frame"),
    }
    figures = {
        "frames": master.n_frames,
        "read noise [adu]": round(master.read_noise_adu, 2),
        "bad pixels": int(master.bad.sum()),
    }
    write_image(job.outputs["bias"], image, header=header, cards=cards, provenance=provenance(job))
    return Result(figures=figures)


def make_lamp(job: Job) -> Result:
    """Combine the exposures of one lamp, of the dome or of the twilight sky."""
    master = read_master_bias(job.one("bias"))
    taken = [to_electrons(path, master) for path in job.inputs["raw"]]
    try:
        combined, scales = combine_exposures([image for image, _, _ in taken])
    except ValueError as error:
        raise CalibrationFault(f"{job.label}: {error}") from error
    used = [path.name for path, scale in zip(job.inputs["raw"], scales, strict=True) if scale > 0]
    warnings = [w for _, _, ws in taken for w in ws]
    warnings += [
        f"{path.name} left out: far from the brightness of the others"
        for path, scale in zip(job.inputs["raw"], scales, strict=True)
        if scale == 0
    ]
    figures = {"frames": len(used), "level [e-]": round(float(np.percentile(combined.data[::4, ::4], 99.5)), 0)}
    cards = {**combined_from(used), "NCOMBINE": (len(used), "frames combined")}
    write_image(job.outputs["lamp"], combined, header=taken[-1][1], cards=cards, provenance=provenance(job))
    return Result(figures=figures, warnings=tuple(warnings))


def make_traces(job: Job) -> Result:
    """Find the traces on the dome, identify the lamp lines, lay the lattice, and place it on the sky."""
    dome = read_image(job.one("dome"))[0]
    lamps = {lamp: read_image(job.one(lamp))[0] for lamp in LAMPS}
    try:
        geometry = solve_geometry(dome, lamps, lamp_tables(), DISPERSION_GUESSES)
    except ValueError as error:
        raise CalibrationFault(f"traces: {error}") from error
    if geometry.traces.n < MIN_SPAXELS:
        raise CalibrationFault(
            f"traces: only {geometry.traces.n} spaxels found, at least {MIN_SPAXELS} expected; look at dome.fits"
        )
    shape = dome.data.shape
    where = job.options.get("field_centre") or (shape[1] / 2, shape[0] / 2)
    origin = node_at(geometry.lattice, geometry.x_ref, geometry.y_ref, (float(where[0]), float(where[1])))
    x, y = sky_positions(geometry.lattice, pitch_arcsec=SPAXEL_PITCH_ARCSEC, ccd_to_sky=CCD_TO_SKY, origin_node=origin)
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
        "rms [px]": round(float(np.nanmedian(geometry.traces.rms)), 3),
        "FWHM [px]": round(2.355 * width, 2),
        "pitch [px]": round(geometry.lattice.pitch, 2),
        "dome chi2": round(geometry.chi2, 2),
    }
    cards: Cards = {
        "NSPAXEL": (geometry.traces.n, "spaxels found"),
        "NCOMPLET": (int(geometry.complete.sum()), "with 3800-9200 Angstrom on the chip"),
        "PITCHPX": (geometry.lattice.pitch, "[pixel] distance of neighbouring spaxels"),
        "LATANGLE": (geometry.lattice.angle_deg, "[deg] q axis of the lattice from +x"),
        "TRFWHM": (2.355 * width, "[pixel] FWHM across the dispersion, median"),
        "FIELDX": (float(where[0]), "[pixel] column of the field centre at 6500 A"),
        "FIELDY": (float(where[1]), "[pixel] row of the field centre at 6500 A"),
        "LAMPCORR": (geometry.score, "correlation of the lamps with the line lists"),
        "DOMECHI2": (geometry.chi2, "reduced chi-square of the dome under the traces"),
    }
    write_traces(job.outputs["traces"], found, cards=cards, provenance=provenance(job))
    return Result(figures=figures)


def make_wavelength(job: Job) -> Result:
    """Fit the wavelength solution on the lamps, extracted with the profile."""
    found = read_traces(job.one("traces"))
    lamps = {lamp: read_image(job.one(lamp))[0] for lamp in LAMPS}
    try:
        solution = refine_wavelengths(found.traces, found.start, lamps, lamp_tables())
    except ValueError as error:
        raise CalibrationFault(f"wavelength: {error}") from error
    rms = float(np.nanmedian(solution.rms))
    single = float(np.median([scatter for *_, scatter in solution.groups]))
    if not rms < MAX_WAVELENGTH_RMS:
        raise CalibrationFault(
            f"wavelength: median rms of the lamp lines {rms:.2f} px, at most {MAX_WAVELENGTH_RMS} expected; "
            "look at Hg.fits, Cd.fits and Xe.fits"
        )
    fwhm = 2.355 * float(np.median(solution.line_sigma(found.traces.centre, found.traces.y_coeff[:, 0])))
    figures = {
        "lines": len(solution.groups),
        "rms [px]": round(rms, 3),
        "scatter [px]": round(single, 3),
        "line FWHM [px]": round(fwhm, 2),
    }
    cards: Cards = {
        "WAVERMS": (rms, "[pixel] median rms of the lamp lines"),
        "LINESCAT": (single, "[pixel] median scatter of a line over the spaxels"),
        "LINEFWHM": (fwhm, "[pixel] FWHM of a lamp line"),
        "NGROUPS": (len(solution.groups), "groups of lamp lines used"),
        "AIRORVAC": ("air", "wavelengths are in air"),
    }
    write_wavelength(job.outputs["wavelength"], solution, found.spaxels, cards=cards, provenance=provenance(job))
    return Result(figures=figures)


def make_flat(job: Job) -> Result:
    """Measure the relative throughput of the spaxels on the dome."""
    dome = read_image(job.one("dome"))[0]
    found = read_traces(job.one("traces"))
    solution = read_wavelength(job.one("wavelength"))
    separated = separate(dome, found.traces.samples(dome.data.shape), found.traces.profile, dy_px=0.0, rounds=2)
    flux, variance, mask = rebin(
        separated.samples,
        separated.extracted.flux,
        separated.extracted.variance,
        separated.extracted.bad,
        solution,
        found.traces.n,
        WAVELENGTH_GRID,
    )
    flat = spaxel_flat(WAVELENGTH_GRID, flux, variance, mask)
    grey = np.median(flat, axis=0)
    if not np.isfinite(grey).any():
        raise FrameFault("flat: the dome shows no light in any spaxel")
    figures = {
        "spread [%]": round(100 * float(np.nanstd(grey)), 1),
        "dark spaxels": int((~np.isfinite(grey)).sum()),
        "scattered [e-]": round(float(np.median(separated.background)), 1),
    }
    cards: Cards = {
        "FLATSTD": (float(np.nanstd(grey)), "rms of the grey throughput over the spaxels"),
        "SCATTLEV": (float(np.median(separated.background)), "[electron] light between the traces on the dome"),
    }
    write_flat(job.outputs["flat"], WAVELENGTH_GRID, flat, found.spaxels, cards=cards, provenance=provenance(job))
    return Result(figures=figures)
