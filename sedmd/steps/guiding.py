"""The step that measures acquisition and guider frames of an exposure. Its product always comes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.core.errors import FrameFault
from sedmd.core.job import Job, Result
from sedmd.data.extinction import extinction_mag
from sedmd.observation.meta import airmass_or_assumed
from sedmd.products.conditions import Conditions, conditions_of, refraction
from sedmd.products.guide import ACQUISITION, GUIDER, FrameUse, GuideRecord, write_guide
from sedmd.products.provenance import provenance
from sedmd.products.sky import target_position
from sedmd.products.star_table import StarTableFault, open_stars
from sedmd.raw.cards import number_of, position, text_of, within
from sedmd.raw.clocks import start_of
from sedmd.raw.labels import begins_word, image_type
from sedmd.raw.rawname import stem_of
from sedmd.reduce.guide.camera import (
    ACQUISITION_PIXEL,
    FILTER_WAVELENGTH,
    FILTERS,
    SIZE,
    SkyScale,
    filters_of,
    spectrograph_pixel,
)
from sedmd.reduce.guide.measure import RcImage, RcMeasured, TruePointing, measure_frames
from sedmd.reduce.guide.sky import separation_deg, tangent_plane
from sedmd.reduce.guide.stars import FROM_GAIA, FieldStars
from sedmd.reduce.target.host_images import HostImage
from sedmd.reduce.target.place import Place
from sedmd.steps.raw import read_raw

#: Gain of the rainbow camera [electron/adu] where no card tells.
RC_GAIN = 1.77
#: Stars this far from the target are read from the table [deg]: the corners of an acquisition frame.
FIELD_DEG = 0.24
#: A frame whose target is farther from that of the exposure is of another one [deg].
SAME_TARGET_DEG = 30 / 3600
#: The step from acquisition to the spectrograph is made blindly, and this well [arcsec].
STEP_ERROR = 1.0
#: From the target to the edge of a finder [arcsec], and the seeing where nothing tells it.
FINDER_HALF_ARCSEC, USUAL_SEEING = 60.0, 2.0
#: A star of the table this near to a standard star's coordinates, and this bright, is it: its proper motion counts.
STANDARD_DEG, STANDARD_MAG = 8 / 3600, 16.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _RcFrame:
    """A frame of the rainbow camera as it was read."""

    use: FrameUse
    start: datetime | None = None
    header: Mapping[str, object] | None = None
    data: NDArray[np.integer] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exposed:
    """The spectrograph's exposure: its cards, the target's coordinates, the air, start and length."""

    header: fits.Header
    centre: tuple[float, float] | None
    conditions: Conditions
    start: datetime
    exptime_s: float


def measure_guiding(job: Job) -> Result:
    """Measure the frames that belong to an exposure: guider frames, or where these tell no position its acquisition."""
    path = job.one("raw")
    _, header = read_raw(path, job.options.get("mends"))
    stem = stem_of(path)
    begun = start_of(header, stem)
    if begun is None:
        raise FrameFault(f"{stem}: no start time; the frames of the rainbow camera cannot be assigned")
    exposed = _Exposed(
        header=header,
        centre=target_position(header),
        conditions=conditions_of(header, stem),
        start=begun.time,
        exptime_s=number_of(header.get("EXPTIME"), 0.0),
    )
    frames = [_read(one, exposed) for one in job.inputs.get("rc", ())]
    table, lacking = _stars(job, exposed)
    if job.options.get("standard") and table is not None and exposed.centre is not None:
        exposed = replace(exposed, centre=_standard(table, exposed.centre))
    sky = SkyScale.of(text) if (text := str(job.options.get("sky") or "")) else None
    record, measured, frames, finder = _measured(frames, exposed, table, sky)
    wanted = job.options.get("use", ())
    lacking += () if measured is None else measured.lacking
    record = replace(record, link=Place.of(text) if (text := str(job.options.get("link") or "")) else Place())
    record, unused = _wanted(record, wanted)
    write_guide(
        job.outputs["guide"],
        record,
        measured,
        [one.use for one in frames],
        finder=finder,
        lacking=(*lacking, *unused),
        provenance=provenance(job),
    )
    return Result(figures=_figures(record, measured, job.options))


def _wanted(record: GuideRecord, wanted: Sequence[str]) -> tuple[GuideRecord, tuple[str, ...]]:
    """The record without what the settings do not want used."""
    nothing: dict[str, dict[str, Any]] = {
        "position": {"source": "", "east_arcsec": None, "north_arcsec": None, "error_arcsec": None},
        "seeing": {"seeing_arcsec": None, "seeing_error_arcsec": None},
        "transparency": {"zero_points": {}},
    }
    for use, values in nothing.items():
        if use not in wanted:
            record = replace(record, **values)
    return record, tuple(f"{use}: not used by the settings" for use in nothing if use not in wanted)


def _read(path: Path, exposed: _Exposed) -> _RcFrame:
    """A frame and what it is for; one that cannot be used says why."""
    name = stem_of(path)
    try:
        data, header = read_raw(path)
    except (FrameFault, OSError) as fault:
        return _RcFrame(use=FrameUse(name=name, purpose="", why=f"cannot be read: {type(fault).__name__}"))
    label, kind = text_of(header, "OBJECT"), image_type(header)
    purpose = GUIDER if kind == "guider" or begins_word(r"guider\s*:", label) else ""
    purpose = ACQUISITION if not purpose and (kind == "acquisition" or begins_word("acq-", label)) else purpose
    begun = start_of(header, name)
    use = FrameUse(name=name, purpose=purpose, why=_why_not(header, purpose, data.shape, exposed))
    return _RcFrame(use=use, start=None if begun is None else begun.time, header=header, data=data)


def _why_not(header: Mapping[str, object], purpose: str, shape: tuple[int, ...], exposed: _Exposed) -> str:
    if not purpose:
        return "neither acquisition nor guider frame"
    if shape != (SIZE, SIZE):
        return f"{shape[0]} x {shape[1]} pixels"
    theirs = position(header, ("OBJRA", "OBJDEC"))
    if theirs is not None and exposed.centre is not None:
        apart = separation_deg(np.array([theirs[0]]), np.array([theirs[1]]), exposed.centre)[0]
        if apart > SAME_TARGET_DEG:
            return "of another target"
    return ""


def _stars(job: Job, exposed: _Exposed) -> tuple[FieldStars | None, tuple[str, ...]]:
    """The table's stars about the target; None, and why, without."""
    if not job.inputs.get("stars") or exposed.centre is None:
        return None, ()
    year = 2000.0 + (exposed.start - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / (365.25 * 86400)
    try:
        return open_stars(job.one("stars").parent).field(exposed.centre, FIELD_DEG, year=year), ()
    except StarTableFault as fault:
        return None, (str(fault),)


def _standard(table: FieldStars, centre: tuple[float, float]) -> tuple[float, float]:
    """Coordinates of a standard star, as the table has them at the epoch of the exposure."""
    near = separation_deg(table.ra_deg, table.dec_deg, centre)
    bright = np.flatnonzero((near < STANDARD_DEG) & (table.g_mag < STANDARD_MAG))
    if not len(bright):
        return centre
    first = int(bright[0])  # the table begins with the brightest
    return float(table.ra_deg[first]), float(table.dec_deg[first])


def _measured(
    frames: Sequence[_RcFrame], exposed: _Exposed, table: FieldStars | None, sky: SkyScale | None
) -> tuple[GuideRecord, RcMeasured | None, list[_RcFrame], HostImage | None]:
    """What the frames tell, guider frames first, and a finder of the acquisition frame."""
    frames = [_in_time(one, exposed) for one in frames]
    given = [one for one in frames if not one.use.why]
    guiders = [one for one in given if one.use.purpose == GUIDER]
    acquired = [one for one in given if one.use.purpose == ACQUISITION][-1:]
    measured = _measure(guiders, exposed, table, sky, spectrograph_pixel()) if guiders else None
    record = _record(measured)
    seen = _acquisition_pointing(acquired[0], exposed, table, sky) if acquired else None
    finder = None if seen is None else _finder(acquired[0], seen, record.seeing_arcsec)
    if record.offset is None and seen is not None:
        first = _after_the_step(acquired[0], exposed, seen)
        if first is not None:
            record = replace(
                record,
                source=ACQUISITION,
                east_arcsec=first[0],
                north_arcsec=first[1],
                error_arcsec=math.hypot(first[2], STEP_ERROR),
            )
            acquired = []
    aside = [one.use.name for one in acquired]
    marked = [
        replace(one, use=replace(one.use, why="guider frames tell more")) if one.use.name in aside else one
        for one in frames
    ]
    return record, measured, marked, finder


def _in_time(one: _RcFrame, exposed: _Exposed) -> _RcFrame:
    """A frame that does not belong to this time says so."""
    if one.use.why or one.start is None:
        return one if one.use.why else replace(one, use=replace(one.use, why="no start time"))
    after = (one.start - exposed.start).total_seconds()
    during = -2.0 <= after <= exposed.exptime_s
    good = during if one.use.purpose == GUIDER else after < 0
    return one if good else replace(one, use=replace(one.use, why="not taken with this exposure"))


def _measure(
    frames: Sequence[_RcFrame],
    exposed: _Exposed,
    table: FieldStars | None,
    sky: SkyScale | None,
    expected_px: NDArray[np.floating],
) -> RcMeasured:
    images = []
    for one in frames:
        assert one.header is not None and one.data is not None and one.start is not None
        seconds = within(one.header, "EXPTIME", 0.01, 3600.0) or 30.0
        gain = within(one.header, "GAIN", 0.1, 20.0) or RC_GAIN
        at = (one.start - exposed.start).total_seconds() + seconds / 2
        images.append(RcImage(data=one.data, exptime_s=seconds, gain=gain, at_s=at))
    bands = list(FROM_GAIA)
    wavelength = np.array([FILTER_WAVELENGTH[band] for band in bands])
    east, north = refraction(exposed.conditions, wavelength)
    airmass, _ = airmass_or_assumed(exposed.conditions.airmass)
    air = extinction_mag(wavelength) * airmass
    return measure_frames(
        images,
        table,
        exposed.centre,
        expected_px=expected_px,
        shifts_arcsec={band: (float(e), float(n)) for band, e, n in zip(bands, east, north, strict=True)},
        extinction_mag={band: float(mag) for band, mag in zip(bands, air, strict=True)},
        sky=sky,
    )


def _record(measured: RcMeasured | None) -> GuideRecord:
    if measured is None:
        return GuideRecord()
    where = measured.pointing
    record = GuideRecord(
        seeing_arcsec=measured.seeing_arcsec,
        seeing_error_arcsec=measured.seeing_error_arcsec,
        zero_points=measured.zero_points,
    )
    if where is None:
        return record
    return replace(
        record,
        source=GUIDER,
        east_arcsec=where.east_arcsec,
        north_arcsec=where.north_arcsec,
        error_arcsec=where.error_arcsec,
    )


def _acquisition_pointing(
    frame: _RcFrame, exposed: _Exposed, table: FieldStars | None, sky: SkyScale | None
) -> TruePointing | None:
    """Where the target stands in the acquisition frame; None where its stars do not tell."""
    then = None if frame.header is None else _telescope(frame.header)
    if then is None or exposed.centre is None:
        return None
    at = tangent_plane(np.array([then[0]]), np.array([then[1]]), exposed.centre)
    expected = np.array(ACQUISITION_PIXEL) - 1.0 + SkyScale().pixels(-at)[0]
    return _measure([frame], exposed, table, sky, expected).pointing


def _telescope(header: Mapping[str, object]) -> tuple[float, float] | None:
    return position(header, ("RA", "DEC"), ("TEL_RA", "TEL_DEC"))


def _after_the_step(frame: _RcFrame, exposed: _Exposed, seen: TruePointing) -> tuple[float, float, float] | None:
    """Where the target stands after the step from the acquisition frame, East and North, and the plate's error."""
    assert frame.header is not None and exposed.centre is not None
    then, now = _telescope(frame.header), _telescope(exposed.header)
    if then is None or now is None:
        return None
    at = tangent_plane(np.array([then[0], now[0]]), np.array([then[1], now[1]]), exposed.centre)
    # the telescope moves on, and the target the other way
    moved = at[1] - at[0]
    return seen.east_arcsec - float(moved[0]), seen.north_arcsec - float(moved[1]), seen.error_arcsec


def _finder(frame: _RcFrame, seen: TruePointing, seeing_arcsec: float | None) -> HostImage | None:
    """The acquisition frame about the target; None where that is beside the frame or on the cross of the filters."""
    assert frame.data is not None
    column, row = spectrograph_pixel() + seen.sky.pixels(np.array([[seen.east_arcsec, seen.north_arcsec]]))[0]
    band = str(filters_of(np.array([column]), np.array([row]))[0])
    if not band:
        return None
    rows, columns = FILTERS[band]
    half = round(FINDER_HALF_ARCSEC / seen.sky.scale_arcsec)
    left, low = max(round(column) - half, columns.start), max(round(row) - half, rows.start)
    part = frame.data[low : min(round(row) + half, rows.stop), left : min(round(column) + half, columns.stop)]
    return HostImage(
        band=band,
        wavelength=FILTER_WAVELENGTH[band],
        values=part.astype(np.float32),
        to_pixel=np.column_stack([seen.sky.matrix, [column - left, row - low]]),
        fwhm_arcsec=seeing_arcsec or USUAL_SEEING,
    )


def _figures(record: GuideRecord, measured: RcMeasured | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """For the log; and by which later jobs of the night, and nights, learn."""
    figures: dict[str, Any] = {"frames": 0 if measured is None else measured.frames}
    if record.offset is not None:
        figures |= {"east [arcsec]": round(record.offset[0], 2), "north [arcsec]": round(record.offset[1], 2)}
        figures["from"] = record.source
    if measured is not None and (where := measured.pointing) is not None:
        figures |= {"stars": where.count, "rms [arcsec]": round(where.rms_arcsec, 2), "sky": str(where.sky)}
    if record.seeing_arcsec is not None:
        figures["FWHM [arcsec]"] = round(record.seeing_arcsec, 2)
    return figures | {f"given {name}": str(options[name]) for name in ("link", "sky") if options.get(name)}
