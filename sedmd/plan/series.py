"""Calibration series of a night: which frames are combined, and which set of lamps is used. Pure functions of frames.

The robot announces a series as "n of N" and takes it without a pause. After a restart it counts what is there and takes
the rest as a series of its own: "1 of 4" to "4 of 4" after six of ten. A lamp, or all of them, may be taken again, and
the instrument may have been touched in between: then frames of both must never be averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sedmd.core.nights import NIGHT_OFFSET, night_begin, night_of
from sedmd.raw.frame_order import by_time
from sedmd.raw.frames import Frame, Kind

#: Lamps that together make the geometry of a night.
SET = (Kind.DOME, Kind.HG, Kind.CD, Kind.XE)
#: Figure of a lamp's job: stems of the exposures that are not in the mean.
REJECTED = "left out"
#: Figure of the traces' job: lamps whose spectra do not lie on those of the dome, and how far off.
OFF_THE_DOME = "off the dome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Frames that are combined into one calibration.

    Attributes
    ----------
    kind : Kind
    adc_speed_mhz : float
    frames : tuple of Frame
        By start time.
    complete : bool
        Every "n of N" that the observing script announced is there.
    minimum : int
        Fewer frames than this make no calibration.
    """

    kind: Kind
    adc_speed_mhz: float
    frames: tuple[Frame, ...]
    complete: bool
    minimum: int

    @property
    def enough(self) -> bool:
        return len(self.frames) >= self.minimum


def speed_of(frame: Frame) -> float:
    """Read-out speed of a frame that is reduced, MHz; to a hundredth, so that 0.1 is the same in every notation."""
    if frame.adc_speed_mhz is None:
        msg = f"{frame.stem}: an ignored frame has no read-out speed"
        raise ValueError(msg)
    return round(frame.adc_speed_mhz, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class LampSet:
    """Dome and lamps that were taken together, so that one geometry can be made of them.

    Attributes
    ----------
    lamps : mapping of Kind to series
        Of each lamp what is used; after it, in this order, what replaces it if it cannot be used.
    frames : tuple of Frame
        All that was taken with them, series too small to be used included.
    """

    lamps: Mapping[Kind, tuple[Series, ...]]
    frames: tuple[Frame, ...]

    @property
    def span(self) -> str:
        """When its first frames were taken, as ``00:12 to 00:41 UT``."""
        return _span([frame for choices in self.lamps.values() for frame in choices[0].frames])


def series_of(
    frames: Iterable[Frame], kind: Kind, *, minimum: int, until_ut_hour: float
) -> tuple[dict[float, Series], list[tuple[Frame, str]]]:
    """One series per read-out speed (MHz) of frames that know no geometry (biases), and the excluded frames, with why.

    Frames of the small hours are used only when the evening's are too few; otherwise they would change the calibration
    of every spectrum of the night at dawn.
    """
    answer: dict[float, Series] = {}
    rejected: list[tuple[Frame, str]] = []
    for speed, mine in _by_speed(frames, kind).items():
        evening = [frame for frame in mine if not _is_late(frame, until_ut_hour)]
        used = evening if len(evening) >= minimum else mine
        rejected += [(frame, f"a late {kind}: the evening's are used") for frame in mine if frame not in used]
        answer[speed] = _series(used, minimum)
    return answer, rejected


def lamp_sets(
    frames: Iterable[Frame], *, minimum: int, until_ut_hour: float
) -> tuple[list[LampSet], list[tuple[Frame, str]]]:
    """The sets of dome and lamps that the night can use, the best first; and the excluded frames, with why.

    Parameters
    ----------
    minimum : int
        Fewest frames of a lamp.
    until_ut_hour : float
        A set that began later is used only if there is none before.

    Notes
    -----
    Of each lamp the read-out speed with most frames counts (the slower settles a tie). A set ends where it is whole and
    one of its lamps is taken again. The newest whole set of the evening comes first, earlier ones after it, then those
    of the morning, the earliest first. What was taken again without making a whole set replaces what it repeats.
    """
    takes: list[tuple[Frame, ...]] = []
    rejected: list[tuple[Frame, str]] = []
    frames = list(frames)
    for kind in SET:
        speeds = _by_speed(frames, kind)
        if not speeds:
            continue
        best = max(speeds, key=lambda speed: (len(speeds[speed]), -speed))
        takes += _takes(speeds.pop(best))
        rejected += [
            (frame, f"read out at {speed:g} MHz; most {kind} frames are at {best:g} MHz")
            for speed, mine in speeds.items()
            for frame in mine
        ]
    sets: list[dict[Kind, list[tuple[Frame, ...]]]] = []
    for take in sorted(takes, key=lambda take: (take[0].start, take[0].stem)):
        kind = take[0].kind
        if not sets or (kind in sets[-1] and _is_whole(sets[-1], minimum)):
            sets.append({})
        sets[-1].setdefault(kind, []).append(take)
    again: Mapping[Kind, list[tuple[Frame, ...]]] = {}
    if len(sets) > 1 and not _is_whole(sets[-1], minimum):
        again = sets.pop()
    made = [_lamp_set(one, again if one is sets[-1] else {}, minimum) for one in sets]
    late = [one for one in made if all(_is_late(choices[0].frames[0], until_ut_hour) for choices in one.lamps.values())]
    return [*(one for one in reversed(made) if one not in late), *late], rejected


def unused(sets: Sequence[LampSet], used: Mapping[Kind, Series]) -> list[tuple[Frame, str]]:
    """Frames of these sets that are in none of the series used, and why."""
    serving = [frame for series in used.values() for frame in series.frames]
    found = []
    for one in sets:
        ours = any(frame in one.frames for frame in serving)
        for frame in (frame for frame in one.frames if frame not in serving):
            why = f"of another set of calibrations ({one.span}); that of {_span(serving)} is used"
            if ours:
                mine = used[frame.kind].frames if frame.kind in used else ()
                why = f"{frame.kind} was taken more than once; the frames of {_span(mine)} are used"
            found.append((frame, why))
    return found


def named(frames: Iterable[Frame]) -> str:
    """Frames by kind, as ``dome ifu20190612_00_10_00 to ifu20190612_00_34_00, Hg ...``."""
    frames = by_time(frames)
    kinds = {kind: [frame.stem for frame in frames if frame.kind is kind] for kind in SET}
    return ", ".join(f"{kind} {span_of_names(stems)}" for kind, stems in kinds.items() if stems)


def span_of_names(stems: Sequence[str]) -> str:
    """The first and the last of some names."""
    return stems[0] if len(stems) == 1 else f"{stems[0]} to {stems[-1]}"


def _lamp_set(
    one: Mapping[Kind, list[tuple[Frame, ...]]], again: Mapping[Kind, list[tuple[Frame, ...]]], minimum: int
) -> LampSet:
    lamps = {kind: (*_choices(mine, minimum), *_choices(again.get(kind, ()), minimum)) for kind, mine in one.items()}
    return LampSet(
        lamps=lamps,
        frames=tuple(frame for takes in (*one.values(), *again.values()) for take in takes for frame in take),
    )


def _by_speed(frames: Iterable[Frame], kind: Kind) -> dict[float, list[Frame]]:
    speeds: dict[float, list[Frame]] = {}
    for frame in by_time(frame for frame in frames if frame.kind is kind):
        speeds.setdefault(speed_of(frame), []).append(frame)
    return dict(sorted(speeds.items()))


def _runs(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames that were announced together: a number that does not rise begins a new run."""
    runs: list[list[Frame]] = []
    for frame in frames:
        if not runs or (frame.series_index or 0) <= (runs[-1][-1].series_index or 0):
            runs.append([])
        runs[-1].append(frame)
    return runs


def _takes(frames: Sequence[Frame]) -> list[tuple[Frame, ...]]:
    """The times that a lamp was taken. A run that is no longer than what the one before it lacked is the rest of it."""
    takes: list[tuple[Frame, ...]] = []
    for run in _runs(frames):
        before = takes[-1] if takes else ()
        lacking = (before[0].series_total or 0) - len(before) if before else 0
        if 0 < (run[0].series_total or 0) <= lacking:
            takes[-1] = (*before, *run)
        else:
            takes.append(tuple(run))
    return takes


def _is_whole(one: Mapping[Kind, Sequence[Sequence[Frame]]], minimum: int) -> bool:
    return all(sum(map(len, one.get(kind, ()))) >= minimum for kind in SET)


def _choices(takes: Sequence[Sequence[Frame]], minimum: int) -> list[Series]:
    """Usable takes of a lamp: those that are large enough, the newest first; takes too small put together."""
    large = [take for take in takes if len(take) >= minimum]
    if not large and takes:
        large = [[frame for take in takes for frame in take]]
    return [_series(take, minimum) for take in reversed(large)]


def _series(frames: Sequence[Frame], minimum: int) -> Series:
    return Series(
        kind=frames[0].kind,
        adc_speed_mhz=speed_of(frames[0]),
        frames=tuple(frames),
        complete=len(frames) >= minimum and _complete(frames),
        minimum=minimum,
    )


def _complete(frames: Sequence[Frame]) -> bool:
    """The last run "1 of N" ... "N of N" is whole, and with those before it there are as many as ever announced."""
    announced = [frame.series_total for frame in frames]
    last = _runs(frames)[-1]
    known = [total for total in announced if total is not None]
    return len(known) == len(frames) and len(last) == last[0].series_total and len(frames) >= max(known)


def _is_late(frame: Frame, until_ut_hour: float) -> bool:
    midnight = night_begin(night_of(frame.start)) + NIGHT_OFFSET
    return frame.start >= midnight + timedelta(hours=until_ut_hour)


def _span(frames: Sequence[Frame]) -> str:
    ordered = by_time(frames)
    return f"{ordered[0].start:%H:%M} to {ordered[-1].start:%H:%M} UT" if ordered else "none"
