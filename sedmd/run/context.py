"""The planner's inputs for a night, gathered from the ledger, the settings and the Sun."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sedmd.core.config import AutomaticExtraction, Calibrations, Settings
from sedmd.core.memory_figures import LINES, PIXELS, SHAPES, SKY, Told
from sedmd.ledger.ledger import FrameRow, Ledger
from sedmd.ledger.records import Record
from sedmd.observation.noted_decisions import decided
from sedmd.plan.calibrations import SET_STEPS, CalibrationSet, FluxCalibration, calibration_set, flux_calibration
from sedmd.plan.deadlines import deadlines
from sedmd.plan.geometry_change import NightGeometry, geometry_changes
from sedmd.plan.plan import Context
from sedmd.raw.epochs import changed_by
from sedmd.reduce.target.place import Place
from sedmd.run.earlier_nights import begun_with, told_by_earlier
from sedmd.run.rc_frames import given_to, learned_of_guider, rc_frames_of, star_input
from sedmd.run.target_positions import expected_place, place_begun_with

#: Marks of the ledger: held back by an operator; a geometry change; one that was accepted.
HOLD, REFUSED, ACCEPTED = "hold", "refused", "accept"
#: Marks of nights: an old one that is scanned again; the end of one as it was reported.
AWAKE, ENDED = "awake", "ended"
#: As many earlier sets are offered to the planner: one of them should have the bias of every read-out speed.
MAX_SETS = 5
#: Among so many nights with a flat there is a good one, or the geometry has nothing to be held against.
MAX_LOOKED = 30

Figures = Mapping[str, Any]


def night_context(
    settings: Settings,
    ledger: Ledger,
    night: str,
    rows: Sequence[FrameRow],
    *,
    now: datetime,
    final: bool,
    versions: Mapping[str, object],
    pin_fallbacks: bool = True,
    memory: EarlierNights | None = None,
) -> Context:
    """All inputs of the planner for a night.

    Parameters
    ----------
    rows : sequence of FrameRow
        The night's frames.
    final : bool
        No more frames will come.
    versions : mapping of step name to version
        Of the program that does the work, not of the one that asks.
    pin_fallbacks : bool
        See `sedmd.plan.plan.Context`; the same holds of the place where targets are expected, of the shape of the
        response, and of bad pixels.
    memory : EarlierNights, optional
        Results of earlier nights, if the caller knows that they do not change meanwhile; by default from the ledger.
    """
    marks = ledger.marks.of_night(night)
    if memory is None:
        memory = remember(settings, ledger, night, pin_fallbacks=pin_fallbacks)
    reference = memory.figures if all(mark.kind != ACCEPTED for mark in marks) else None
    return Context(
        night=night,
        folder=settings.paths.redux_root / night,
        now=now,
        final=final,
        # an arrival in the future was booked while the clock was wrong; nobody waits for it
        arrived={row.frame.checksum: min(row.arrived, now) for row in rows if row.frame is not None},
        records=_records(
            ledger.jobs.records(night), latest=now + timedelta(seconds=max(settings.jobs.retry_after_s, default=0))
        ),
        products=ledger.products.by_name(night),
        rules=settings.calibrations,
        partner_wait_s=settings.night.partner_wait_s,
        versions=versions,
        options={
            "traces": {"field_centre": settings.instrument.field_centre(night)},
            "cube": {"place": str(memory.place), "frames": settings.products.frames},
            "guide": {"use": sorted(settings.guide.use), **memory.guider},
            "flat": _flat_options(settings.calibrations, memory),
            "fluxcal": {"earlier": memory.shapes} if settings.calibrations.flux_earlier_nights else {},
        },
        target_options=_target_options(settings.extraction),
        fallback_due=deadlines(night, settings).fallback_due(now, final=final),
        fallbacks=memory.sets,
        flux_fallback=memory.flux,
        pin_fallbacks=pin_fallbacks and settings.calibrations.fallback_redo == "offer",
        geometry_changes=_geometry_judge(reference),
        holds={mark.subject: mark.text for mark in marks if mark.kind == HOLD},
        rc_frames=rc_frames_of(settings, ledger, night, now=now),
        stars=star_input(settings, ledger, night),
        graded={product: one.reducer for product, one in decided(ledger, night).items() if one.saved_as == product},
        lines=memory.lines,
    )


def _flat_options(rules: Calibrations, memory: EarlierNights) -> dict[str, str]:
    """What earlier nights tell the flat; what is switched off by a setting is omitted."""
    pixels = {"pixels": memory.pixels} if rules.pixel_earlier_nights else {}
    return pixels | ({"sky": memory.sky} if rules.sky_flat_earlier_nights else {})


def _target_options(settings: AutomaticExtraction) -> dict[str, Any]:
    """What of the settings a target's spectrum depends on, as plain values; a folder that is not set is omitted."""
    options = asdict(settings)
    folder = options.pop("cutouts")
    return options if folder is None else options | {"cutouts": str(folder)}


def _records(records: Mapping[str, Record], *, latest: datetime) -> dict[str, Record]:
    """What the ledger knows of jobs; a next try later than any wait was booked while the clock was wrong."""
    return {
        key: replace(record, not_before=None) if record.not_before and record.not_before > latest else record
        for key, record in records.items()
    }


def night_is_final(settings: Settings, ledger: Ledger, night: str, *, now: datetime) -> bool:
    """True when no more frames of a night are expected."""
    last = ledger.frames.last_arrival(night)
    return last is not None and deadlines(night, settings).over(
        now, last_arrival=min(last, now), quiet_s=settings.night.quiet_s
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierNights:
    """What earlier nights tell a night.

    Attributes
    ----------
    sets, flux
        Possible replacements of the night's own calibrations.
    figures
        Of traces and wavelengths of the newest good geometry.
    place
        Where targets are expected.
    guider
        ``link`` and ``sky`` of the rainbow camera, as texts: options of the step ``guide``.
    shapes
        Of the response, as a text: an option of the step ``fluxcal``.
    pixels
        That are bad, as a text: an option of the step ``flat``.
    sky
        The sky's light against the dome's, as a text: an option of the step ``flat``.
    lines
        Where lamp lines lay, as a text: an option of the steps ``traces`` and ``wavelength`` where a lamp is missing.
    """

    sets: tuple[CalibrationSet, ...] = ()
    flux: FluxCalibration | None = None
    figures: tuple[Figures, Figures] | None = None
    place: Place = field(default_factory=Place)
    guider: Mapping[str, str] = field(default_factory=lambda: {"link": "", "sky": ""})
    shapes: str = ""
    pixels: str = ""
    sky: str = ""
    lines: str = ""


def remember(settings: Settings, ledger: Ledger, night: str, *, pin_fallbacks: bool = True) -> EarlierNights:
    """What the ledger knows of the nights before; `pin_fallbacks` as for `night_context`."""
    oldest = datetime.strptime(night, "%Y%m%d") - timedelta(days=settings.calibrations.fallback_max_age_nights)
    changed = changed_by(night)
    since = max(oldest.strftime("%Y%m%d"), changed)
    sets: list[CalibrationSet] = []
    figures = None
    # the geometry is compared with the last good one of the instrument as it is; to be used, a set must be young enough
    for number, other in enumerate(ledger.jobs.nights_with("flat", since=changed, before=night)):
        if other < since and (figures is not None or number > MAX_LOOKED):
            break
        if ledger.marks.of_night(other, REFUSED):
            continue
        jobs = ledger.jobs.done(other, SET_STEPS)
        found = calibration_set(other, jobs, folder=settings.paths.redux_root / other, for_night=night)
        if found is None:
            continue
        by_step = {job.step: job.figures for job in jobs}
        figures = figures or (by_step["traces"], by_step["wavelength"])
        if other >= since:
            sets.append(found)
        if len(sets) == MAX_SETS:
            break
    flux = None
    for other in ledger.jobs.nights_with("fluxcal", since=since, before=night):
        jobs = ledger.jobs.done(other, ("fluxcal",))
        flux = flux_calibration(other, jobs, folder=settings.paths.redux_root / other, for_night=night)
        if flux is not None:
            break
    place = _place(settings, ledger, night, pin=pin_fallbacks)
    guider = _guider(ledger, night, pin=pin_fallbacks)
    rules = settings.calibrations
    shapes, pixels, sky, lines = (
        _told(ledger, night, what, most=most, since=since, pin=pin_fallbacks)
        for what, most in (
            (SHAPES, rules.flux_earlier_nights),
            (PIXELS, rules.pixel_earlier_nights),
            (SKY, rules.sky_flat_earlier_nights),
            (LINES, rules.line_earlier_nights),
        )
    )
    return EarlierNights(
        sets=tuple(sets),
        flux=flux,
        figures=figures,
        place=place,
        guider=guider,
        shapes=shapes,
        pixels=pixels,
        sky=sky,
        lines=lines,
    )


def _place(settings: Settings, ledger: Ledger, night: str, *, pin: bool) -> Place:
    """Where targets of a night are expected."""
    if pin and (begun := place_begun_with(ledger, night)) is not None:
        return begun

    marked = _marked(ledger)
    return expected_place(settings, ledger, night, refused=marked(REFUSED), begins=marked(ACCEPTED))


def _guider(ledger: Ledger, night: str, *, pin: bool) -> Mapping[str, str]:
    """What is known of the rainbow camera before a night."""
    if pin and (given := given_to(ledger, night)) is not None:
        return given
    marked = _marked(ledger)
    return learned_of_guider(ledger, night, refused=marked(REFUSED), begins=marked(ACCEPTED))


def _told(ledger: Ledger, night: str, what: Told, *, most: int, since: str, pin: bool) -> str:
    """What up to `most` earlier nights tell a night, or what it was begun with."""
    if pin and (begun := begun_with(ledger, night, what)) is not None:
        return begun
    marked = _marked(ledger)

    def refused(other: str) -> bool:
        # a night whose geometry changed has no flat, and what its lamps showed is not believed
        return marked(REFUSED)(other) or (what is LINES and not ledger.jobs.done(other, ("flat",)))

    return told_by_earlier(ledger, night, what, since=since, most=most, refused=refused, begins=marked(ACCEPTED))


def _marked(ledger: Ledger) -> Callable[[str], Callable[[str], bool]]:
    """Kind of a mark -> whether a night has one."""
    return lambda kind: lambda other: bool(ledger.marks.of_night(other, kind))


def _geometry_judge(reference: tuple[Figures, Figures] | None) -> Callable[[Figures, Figures], Sequence[str]]:
    if reference is None:
        return lambda traces, wavelength: ()
    before = NightGeometry.from_figures(*reference)
    return lambda traces, wavelength: geometry_changes(NightGeometry.from_figures(traces, wavelength), before)


__all__ = [
    "ACCEPTED",
    "AWAKE",
    "ENDED",
    "HOLD",
    "REFUSED",
    "EarlierNights",
    "night_context",
    "night_is_final",
    "remember",
]
