"""The truth of a simulated night, so that each stage of a reduction can be scored.

Everything is written under ``OUT/truth``; ``<stem>`` is the raw file's name without ``.fits``.

``spaxels.fits``
    Table SPAXELS, one row per lenslet that gets light: ``id``; ``q``, ``r`` axial lattice coordinates; ``x_arcsec``
    (East) and ``y_arcsec`` (North) on the sky; ``x_ref``, ``y_ref`` where the reference wavelength falls [px];
    ``complete``: the whole trace from 3800 to 9200 A is on the chip; ``trace_x`` and ``trace_y``: row of the trace
    centre at 25 columns between the ends 3800 and 9200 A, for a frame without flexure [px, integer = pixel centre];
    ``wave_x``: column at each wavelength of table WAVELENGTH, without flexure; ``sigma_trace`` and ``sigma_line``:
    core widths there [px]; ``throughput`` there, relative to the instrument's mean; ``dome`` and ``lamp``:
    illumination by the dome screen and the arc lamps relative to the sky. A flexure (dx, dy) moves a trace to
    y(x) = trace_y(x - dx) + dy and a wavelength to wave_x + dx.
    Table WAVELENGTH: air wavelength [Angstrom] of the wavelength grid.
``frames.fits``
    One row per raw file: index, file (as before it was gzipped, if packed), night directory, kind, OBJECT, NAME, ignore
    (why a reduction must skip it), fault (the failure that spoilt its header), aim (where the target's direction falls,
    arcsec East and North of the field axis), RA_OFF, DEC_OFF,
    start JD, exptime, speed, airmass (mean), parallactic angle at the middle [deg], flexure dx, dy [px], widths'
    factor (breathing), seeing FWHM [arcsec at 5500 A], moon phase angle, zenith distance and separation [deg],
    transparency, number of cosmic rays, names, roles and positions (x_arcsec, y_arcsec at 6500 A, at the middle of the
    exposure) of the sources, blank-separated in order.
``sensitivity.fits``
    Wavelength [A air] and efficiency (electrons per photon above the telescope, mean lenslet) and AREA [cm2] and
    LENSLET [arcsec2] in the header; mean extinction [mag/airmass] of this night; telluric transmission at airmass 1.
``<stem>_spectra.fits`` (on-sky frames with sources)
    Wavelength and flux of each source [erg/s/cm2/A above the atmosphere], columns FLUX1... with their names in TTYPE
    comments ``NAMEn``/``ROLEn`` of the header; column ATMOSPHERE: transmission to the telescope.
``<stem>_sky.fits`` (on-sky frames)
    Table CONTINUUM: wavelength, flux [erg/s/cm2/A/arcsec2] as it reaches the telescope; table LINES: wavelength,
    photon/s/cm2/arcsec2.
``<stem>_scattered.fits`` (every frame with light)
    Scattered light [electron/pixel], means of 16x16 px cells, float32, gzip. The cross-dispersion wings of the profile
    count as profile up to 10 px from the trace centre; what they throw farther is part of the scattered light. DARK in
    the header is the dark current's level [electron/pixel], not included.
``<stem>_cosmics.fits``
    Charge that cosmic rays left in each pixel that sees light [electron, rounded] (int32, tile-compressed).
``rc.fits`` (where the rainbow camera's frames were asked for)
    One row per acquisition and guider frame: file, the spectrograph's exposure, purpose, where the target's direction
    falls (aim_east, aim_north, arcsec of the spectrograph's axis), transparency, fwhm [arcsec at 5500 A]; in the header
    SCALE [arcsec/px], TURN [deg] and AXISX, AXISY, the pixel of that axis.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table

from sedmd.simulate.atmosphere import telluric, transmission
from sedmd.simulate.expose import Rendered, efficiency, sky_brightness
from sedmd.simulate.optics import Optics, lenslet_area
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.spectra import GRID
from sedmd.simulate.tables import columns

TRACE_POINTS = 25
WAVELENGTHS = np.arange(3600.0, 10001.0, 100.0)
Row = dict[str, float | int | str]


def spaxel_table(optics: Optics) -> Table:
    """Truth of every lenslet, as described for ``spaxels.fits``."""
    red, blue = optics.x_of(9200.0), optics.x_of(3800.0)
    share = np.linspace(0.0, 1.0, TRACE_POINTS)
    trace_x = red[:, None] + (blue - red)[:, None] * share
    table = Table()
    table["id"] = np.arange(len(optics), dtype=np.int32)
    table["q"], table["r"] = optics.q.astype(np.int32), optics.r.astype(np.int32)
    table["x_arcsec"], table["y_arcsec"] = optics.sky_x, optics.sky_y
    table["x_ref"], table["y_ref"] = optics.x0, optics.y0
    table["complete"] = optics.complete()
    table["trace_x"], table["trace_y"] = trace_x.astype(np.float32), optics.y_of(trace_x).astype(np.float32)
    table["wave_x"] = optics.x_of(WAVELENGTHS).astype(np.float32)
    table["sigma_trace"] = optics.trace_sigma(WAVELENGTHS).astype(np.float32)
    table["sigma_line"] = optics.line_sigma(WAVELENGTHS).astype(np.float32)
    table["throughput"] = optics.throughput(WAVELENGTHS).astype(np.float32)
    table["dome"], table["lamp"] = optics.dome.astype(np.float32), optics.lamp.astype(np.float32)
    return table


def write_frame_truth(plan: NightPlan, index: int, rendered: Rendered, folder: Path) -> Row:
    """Write the truth files of one frame and return its row of the frame table."""
    exposure = plan.exposures[index]
    folder.mkdir(parents=True, exist_ok=True)
    stem = exposure.file.removesuffix(".fits")
    detector = plan.instrument.profile.detector
    if rendered.expected.scattered.any():
        header = fits.Header()
        header["BLOCK"] = (16, "cell of the map, px")
        header["BUNIT"] = "electron"
        header["DARK"] = (
            detector.dark * (exposure.exptime + 0.5 * detector.speed(exposure.speed).readout_s),
            "electron/pixel, not included",
        )
        _write(
            folder / f"{stem}_scattered.fits.gz",
            fits.HDUList([fits.PrimaryHDU(rendered.expected.scattered.astype(np.float32), header)]),
        )
    charge = np.rint(rendered.cosmic_charge).astype(np.int32)
    hits = fits.CompImageHDU(charge, compression_type="RICE_1", name="COSMICS")
    hits.header["BUNIT"] = "electron"
    _write(folder / f"{stem}_cosmics.fits", fits.HDUList([fits.PrimaryHDU(), hits]))
    if exposure.light in ("sky", "twilight"):
        continuum, wavelength, rate = sky_brightness(exposure)
        pieces = [
            fits.BinTableHDU(Table({"wavelength": GRID[::5], "flux": continuum[::5]}), name="CONTINUUM"),
            fits.BinTableHDU(Table({"wavelength": wavelength, "photons": rate}), name="LINES"),
        ]
        _write(folder / f"{stem}_sky.fits", fits.HDUList([fits.PrimaryHDU(), *pieces]))
    if exposure.sources and exposure.light == "sky":
        air = (
            transmission(GRID, exposure.airmass, water_mm=exposure.water_mm, extinction_scale=exposure.extinction)
            * exposure.transparency
        )
        table = Table({"wavelength": GRID, "atmosphere": air.astype(np.float32)})
        head = fits.Header()
        head["NSOURCE"] = len(exposure.sources)
        for i, source in enumerate(exposure.sources, start=1):
            table[f"flux{i}"] = source.flux
            head[f"NAME{i}"] = source.name
            head[f"ROLE{i}"] = source.role
            head[f"X{i}"] = (source.x, "arcsec East at 6500 A")
            head[f"Y{i}"] = (source.y, "arcsec North at 6500 A")
        _write(
            folder / f"{stem}_spectra.fits",
            fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, header=head, name="SPECTRA")]),
        )
    return _row(plan, index, rendered)


def _row(plan: NightPlan, index: int, rendered: Rendered) -> Row:
    e = plan.exposures[index]
    middle = e.pointings[len(e.pointings) // 2]
    return {
        "index": index,
        "file": e.file,
        "folder": e.folder,
        "kind": e.kind,
        "object": e.object,
        "name": e.target,
        "ignore": e.ignore,
        "light": e.light,
        "jd": e.start,
        "exptime": e.exptime,
        "speed": e.speed,
        "airmass": e.airmass,
        "parallactic": middle.parallactic_deg,
        "flexure_x": e.flexure[0],
        "flexure_y": e.flexure[1],
        "breathing": e.breathing,
        "seeing": e.seeing.fwhm,
        "moon_phase": e.moon[0],
        "moon_zenith": e.moon[1],
        "moon_separation": e.moon[2],
        "transparency": e.transparency,
        "ra_off": e.offset[0],
        "dec_off": e.offset[1],
        "aim_x": e.aim[0],
        "aim_y": e.aim[1],
        "fault": e.fault,
        "packed": e.packed,
        "cosmics": rendered.cosmic_count,
        "n_source": len(e.sources),
        "source_names": " ".join(s.name.replace(" ", "_") for s in e.sources),
        "source_roles": " ".join(s.role for s in e.sources),
        "source_x": " ".join(f"{s.x:.4f}" for s in e.sources),
        "source_y": " ".join(f"{s.y:.4f}" for s in e.sources),
    }


def write_night_truth(plan: NightPlan, rows: list[Row], folder: Path) -> None:
    """Write ``spaxels.fits``, ``frames.fits`` and ``sensitivity.fits``."""
    optics, profile = plan.instrument.optics, plan.instrument.profile
    head = fits.Header()
    head["PROFILE"], head["SEED"], head["NIGHT"], head["SIZE"] = profile.name, plan.seed, plan.night, plan.size
    head["PLACE_X"], head["PLACE_Y"] = profile.night.place[0], profile.night.place[1]
    primary = fits.PrimaryHDU(header=head)
    _write(
        folder / "spaxels.fits",
        fits.HDUList(
            [
                primary,
                fits.BinTableHDU(spaxel_table(optics), name="SPAXELS"),
                fits.BinTableHDU(Table({"wavelength": WAVELENGTHS}), name="WAVELENGTH"),
            ]
        ),
    )
    _write(
        folder / "frames.fits",
        fits.HDUList([fits.PrimaryHDU(header=head), fits.BinTableHDU(Table(rows=rows), name="FRAMES")]),
    )
    extinction = columns("extinction.dat")
    scale = next((e.extinction for e in plan.exposures if e.light == "sky"), 1.0)
    water = next((e.water_mm for e in plan.exposures if e.light == "sky"), profile.night.water_mm)
    table = Table(
        {
            "wavelength": GRID,
            "efficiency": efficiency(plan.instrument),
            "extinction": np.interp(GRID, extinction["wavelength"], extinction["magnitude"]) * scale,
            "telluric": telluric(GRID, 1.0, water_mm=water),
        }
    )
    head = fits.Header()
    head["AREA"] = (profile.throughput.area_cm2, "cm2")
    head["LENSLET"] = (lenslet_area(optics), "arcsec2")
    head["GAIN"] = (profile.detector.gain, "electron/ADU")
    _write(
        folder / "sensitivity.fits",
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU(table, header=head, name="SENSITIVITY")]),
    )


def _write(path: Path, hdus: fits.HDUList) -> None:
    hdus.writeto(path, overwrite=True)
