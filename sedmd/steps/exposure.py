"""One exposure on the sky: cosmic rays, scattered light, flexure, cube."""

from __future__ import annotations

import numpy as np

from sedmd.instrument import WAVELENGTH_GRID
from sedmd.job import Job, Result
from sedmd.products.cube import write_cube
from sedmd.products.fitsio import Cards
from sedmd.products.image import write_image
from sedmd.products.provenance import provenance
from sedmd.products.solution import read_flat, read_traces, read_wavelength
from sedmd.reduce.containers import Cube, Image, Mask
from sedmd.reduce.cosmic import MIN_EXPTIME_S, clean_cosmics
from sedmd.reduce.cube import rebin
from sedmd.reduce.flexure import Flexure, measure_flexure
from sedmd.reduce.frame import Separated, flagged, separate
from sedmd.steps.raw import read_master_bias, to_electrons
from sedmd.steps.reference import sky_features

#: Share of the spaxels, the faintest, that are taken for sky when flexure is measured.
SKY_SHARE = 0.6


def make_cube(job: Job) -> Result:
    """Reduce one raw exposure to a cube; keeps the cleaned and the background-subtracted frame too."""
    raw = job.one("raw")
    master = read_master_bias(job.one("bias"))
    found = read_traces(job.one("traces"))
    solution = read_wavelength(job.one("wavelength"))
    flat = read_flat(job.one("flat"))
    image, header, warnings = to_electrons(raw, master)
    exptime = float(header.get("EXPTIME", 0.0))
    if exptime >= MIN_EXPTIME_S:
        image = clean_cosmics(image)
    n_cosmic = int(((image.mask & np.uint8(Mask.COSMIC)) != 0).sum())
    separated = separate(image, found.traces.samples(image.data.shape), found.traces.profile)
    traces = found.traces
    sky = _faint_spaxels(separated, traces.n)
    flexure = measure_flexure(
        separated.samples,
        separated.extracted.flux,
        separated.extracted.variance,
        solution,
        traces.centre,
        traces.y_coeff[:, 0],
        sky,
        sky_features(),
    )
    flux, variance, mask = rebin(
        separated.samples,
        separated.extracted.flux,
        separated.extracted.variance,
        separated.extracted.bad,
        solution,
        traces.n,
        WAVELENGTH_GRID,
        dx_px=flexure.dx_px,
    )
    dead = ~np.isfinite(flat)
    mask[dead] |= np.uint8(Mask.NO_DATA)
    cube = Cube(
        wavelength=WAVELENGTH_GRID,
        flux=np.where(dead, np.nan, flux / flat).astype(np.float32),
        variance=np.where(dead, np.nan, variance / flat**2).astype(np.float32),
        mask=mask,
        spaxels=found.spaxels,
    )
    cards = _cards(separated, flexure, solution.line_sigma, found, n_cosmic)
    made = provenance(job)
    if not np.isfinite(flexure.error_px):
        warnings += (f"{raw.name}: no sky line could be measured, flexure along the dispersion taken as 0",)
    crr = {"CRCLEAN": (exptime >= MIN_EXPTIME_S, "cosmic rays searched"), "NCOSMIC": (n_cosmic, "pixels masked")}
    write_image(job.outputs["crr"], image, header=header, cards=crr, provenance=made)
    clean = flagged(image, separated.outliers)
    without = Image(
        data=clean.data - separated.background, variance=clean.variance, mask=clean.mask, read_noise=clean.read_noise
    )
    write_image(job.outputs["bs"], without, header=header, cards={**crr, **cards}, provenance=made)
    write_cube(job.outputs["e3d"], cube, header=header, cards={**crr, **cards}, provenance=made)
    return Result(
        figures={
            "flexure x [px]": round(flexure.dx_px, 3),
            "+-": round(flexure.error_px, 3),
            "flexure y [px]": round(separated.dy_px, 3),
            "cosmic [px]": n_cosmic,
            "scattered [e-]": round(float(np.median(separated.background)), 1),
            "chi2": round(separated.chi2, 2),
        },
        warnings=warnings,
    )


def _faint_spaxels(separated: Separated, n: int) -> np.ndarray:
    """The spaxels with the least light: sky, whatever else is in the field."""
    samples, flux = separated.samples, np.nan_to_num(separated.extracted.flux)
    count = np.bincount(samples.trace, minlength=n)
    level = np.bincount(samples.trace, flux, n) / np.maximum(count, 1)
    whole = count > 0.9 * np.median(count[count > 0])
    limit = np.quantile(level[whole], SKY_SHARE)
    return whole & (level <= limit)


def _cards(separated: Separated, flexure: Flexure, line_sigma, found, n_cosmic: int) -> Cards:  # type: ignore[no-untyped-def]
    traces = found.traces
    sigma = float(np.median(line_sigma(traces.centre, traces.y_coeff[:, 0])))
    known = np.isfinite(flexure.error_px)
    cards: dict = {
        "FLEXX": (flexure.dx_px, "[px] shift along dispersion (+ to blue), applied"),
        "FLEXXERR": (flexure.error_px if known else None, "[px] its error; empty: not measured"),
        "FLEXXN": (len(flexure.features), "sky features measured"),
        "FLEXY": (separated.dy_px, "[px] shift across dispersion, applied"),
        "FLEXYERR": (separated.dy_error_px, "[px] its error"),
        "SCATTLEV": (float(np.median(separated.background)), "[electron] median light between the traces"),
        "FRAMCHI2": (separated.chi2, "reduced chi-square of traces and background"),
        "NOUTLIER": (int(separated.outliers.sum()), "pixels that neither explains"),
        "LSFSIGMA": (sigma, "[px] Gaussian sigma of a lamp line"),
        "TRFWHM": (2.355 * float(np.median(separated.samples.sigma)), "[px] FWHM across the dispersion"),
    }
    for i, f in enumerate(flexure.features[:9], start=1):
        cards[f"FLEXF{i}"] = (f"{f.name} {f.shift_px:+.3f} +- {f.error_px:.3f}", "sky feature, shift [px]")
    return cards
