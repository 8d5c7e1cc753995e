"""Acquisition and guider frames of a simulated night, the star catalogue that belongs to them, and their truth."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from sedmd.simulate import almanac
from sedmd.simulate.headers import build_header, to_hdu
from sedmd.simulate.plan import NightPlan, PlannedExposure
from sedmd.simulate.rainbow import (
    ACQUISITION_PIXEL,
    GAIN,
    RainbowFrame,
    build_rainbow_camera,
    frames_of,
    render_rainbow,
)
from sedmd.simulate.rainbow_sky import EPOCH, field_sky
from sedmd.simulate.tables import standards

#: Read-out speed of its acquisition and guider frames [MHz].
SPEED = 2.0
CATALOGUE_COLUMNS = ("ra", "dec", "pmra", "pmdec", "phot_g_mean_mag", "bp_rp", "ref_epoch")


def guided(exposure: PlannedExposure) -> bool:
    """Whether the robot takes acquisition and guider frames with an exposure."""
    return exposure.kind in ("science", "standard") and exposure.light == "sky" and exposure.dome_open


def julian_year(jd: float) -> float:
    """Julian year of a Julian date."""
    return 2000.0 + (jd - 2451545.0) / 365.25


def frame_name(frame: RainbowFrame) -> str:
    """Name of the raw file."""
    return (almanac.from_julian(frame.start)).strftime("rc%Y%m%d_%H_%M_%S.fits")


def rainbow_header(plan: NightPlan, exposure: PlannedExposure, frame: RainbowFrame) -> fits.Header:
    """Header of a frame of the rainbow camera: the robot's cards, and those of its own camera."""
    guider = frame.purpose == "guider"
    kind = "Guider" if guider else "Acquisition"
    cards = {
        "IMGTYPE": kind,
        "OBJTYPE": kind,
        "FILTER": "ifu" if guider else "r",
        "GAIN": GAIN,
        "CAM_NAME": "RC Cam",
        "INSTRUME": "SEDM-P60",
        "SER_NO": "04001312",
        "CRPIX1": ACQUISITION_PIXEL[0],
        "CRPIX2": ACQUISITION_PIXEL[1],
        "CDELT1": -0.00010944,
        "CDELT2": -0.00010944,
    }
    shown = replace(
        exposure,
        start=frame.start,
        exptime=frame.exptime,
        speed=SPEED,
        object=f"Guider: {exposure.target}" if guider else f"ACQ-{exposure.target} r",
        offset=frame.encoder,
        cards=cards,
        fault="",
        packed=False,
    )
    header = build_header(plan.instrument.profile, shown, sunset=plan.sunset, sunrise=plan.sunrise)
    for card in ("VSSPEED", "PAGAIN", "SHUTMODE", "PSCANX0", "PSCANX1", "OSCANX0", "OSCANX1"):
        header.remove(card, ignore_missing=True)
    return header


def write_rainbow_frames(plan: NightPlan, index: int, out: Path, *, most: int) -> list[dict[str, float | str]]:
    """Write the frames of the rainbow camera that belong to exposure `index`, at most so many guider frames.

    Returns
    -------
    list of dict
        Their rows of the table of truth.
    """
    exposure = plan.exposures[index]
    if not guided(exposure):
        return []
    camera = build_rainbow_camera(plan.seed)
    rows: list[dict[str, float | str]] = []
    for frame in frames_of(camera, exposure, seed=plan.seed, most=most):
        data = render_rainbow(camera, exposure, frame, seed=plan.seed, year=julian_year(frame.start))
        name = frame_name(frame)
        folder = out / "raw" / name[2:10]
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{name}.part"
        to_hdu(data, rainbow_header(plan, exposure, frame)).writeto(partial, overwrite=True)
        partial.replace(folder / name)
        rows.append(
            {
                "file": name,
                "exposure": exposure.file,
                "purpose": frame.purpose,
                "aim_east": frame.aim[0],
                "aim_north": frame.aim[1],
                "transparency": frame.transparency,
                "fwhm": frame.seeing.fwhm,
            }
        )
    return rows


def write_catalogue(plan: NightPlan, folder: Path) -> Path:
    """The stars of all fields of a night as a file of the Gaia archive, ``gaia_YYYYMMDD.csv``; its path."""
    fields = {(one.ra, one.dec) for one in plan.exposures if guided(one)}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CATALOGUE_COLUMNS)
    for ra, dec in sorted(fields):
        for row in field_sky(ra, dec, seed=plan.seed).catalogue():
            writer.writerow([f"{value:.9f}" if k < 2 else f"{value:.4f}" for k, value in enumerate(row)])
    for one in plan.exposures:
        if guided(one) and one.kind == "standard":  # the target itself is in the catalogue too
            bright = standards()[one.target.removeprefix("STD-")].v
            writer.writerow([f"{one.ra:.9f}", f"{one.dec:.9f}", "0.0", "0.0", f"{bright:.4f}", "-0.3", f"{EPOCH}"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gaia_{plan.night}.csv"
    path.write_text(stream.getvalue())
    return path


def write_rainbow_truth(plan: NightPlan, rows: list[dict[str, float | str]], folder: Path) -> None:
    """``rc.fits``: a row for each frame, and in its header the camera of this seed."""
    camera = build_rainbow_camera(plan.seed)
    table = Table(rows=rows) if rows else Table()
    table.meta |= {
        "SCALE": camera.scale,
        "TURN": camera.turn_deg,
        "AXISX": camera.spectrograph[0],
        "AXISY": camera.spectrograph[1],
    }
    table.write(folder / "rc.fits", overwrite=True)


def frame_count(plan: NightPlan, *, most: int) -> int:
    """How many frames of the rainbow camera a night has."""
    camera = build_rainbow_camera(plan.seed)
    return int(np.sum([len(frames_of(camera, e, seed=plan.seed, most=most)) for e in plan.exposures if guided(e)]))
