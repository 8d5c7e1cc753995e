"""What belongs to a night: calibration series, observations, A/B pairs. Pure functions of the frames.

Every answer depends on the set of frames only, never on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sedmd.frames import LAMPS, Frame, Kind
from sedmd.names import product_name, product_names

#: A night begins at 20:00 UT of the day before, so that the afternoon calibrations belong to it.
NIGHT_OFFSET = timedelta(hours=4)


def night_of(start: datetime) -> str:
    """UT night ``YYYYMMDD`` of an exposure that starts at `start`: 20:00 UT of D-1 to 20:00 UT of D is night D."""
    return (start.astimezone(UTC) + NIGHT_OFFSET).strftime("%Y%m%d")


def is_night(text: str) -> bool:
    """True for a date of this century as ``YYYYMMDD``."""
    if not (len(text) == 8 and text.isascii() and text.isdigit() and text.startswith("20")):
        return False
    try:
        datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return True


def night_begin(night: str) -> datetime:
    """The first instant of `night`, UTC."""
    return datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) - NIGHT_OFFSET


def neighbour(night: str, days: int) -> str:
    """The night so many days later (earlier when negative)."""
    return (datetime.strptime(night, "%Y%m%d") + timedelta(days=days)).strftime("%Y%m%d")


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
    left_out : tuple of (Frame, str)
        Frames of this kind that are not used, and why.
    """

    kind: Kind
    adc_speed_mhz: float
    frames: tuple[Frame, ...]
    complete: bool
    minimum: int
    left_out: tuple[tuple[Frame, str], ...] = ()

    @property
    def enough(self) -> bool:
        return len(self.frames) >= self.minimum


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One visit to a target: a single exposure, or an A/B pair.

    Attributes
    ----------
    name : str
        The target as its header names it.
    safe : str
        The target as file names carry it.
    number : int
        Counts the visits to this target in the night, from 1.
    frames : tuple of one or two Frame
        A before B.
    standard : bool
        A standard star, tabulated or not.
    star : str
        Key of the tabulated standard star that calibrates the night; empty for everything else.
    awaits_partner : bool
        An [A] whose [B] may still come.
    """

    name: str
    safe: str
    number: int
    frames: tuple[Frame, ...]
    standard: bool = False
    star: str = ""
    awaits_partner: bool = False

    @property
    def pair(self) -> bool:
        return len(self.frames) == 2

    @property
    def name_doubt(self) -> str:
        """What contradicts in its names with nothing to tell which is right; empty where all is well."""
        return next((frame.contradiction for frame in self.frames if frame.name_doubtful), "")

    @property
    def product(self) -> str:
        return product_name(self.safe, self.number, pair=self.pair)


def by_time(frames: Iterable[Frame]) -> list[Frame]:
    """Frames in the order in which they were taken; the file name settles ties."""
    return sorted(frames, key=lambda frame: (frame.start, frame.stem, str(frame.path)))


def split_duplicates(frames: Iterable[Frame]) -> tuple[list[Frame], list[tuple[Frame, str]]]:
    """Frames to use, and those whose pixels or whose name another frame already has, with the reason."""
    kept: list[Frame] = []
    refused: list[tuple[Frame, str]] = []
    pixels: dict[str, Frame] = {}
    stems: dict[str, Frame] = {}
    for frame in by_time(frames):
        if frame.data_checksum and frame.data_checksum in pixels:
            first = pixels[frame.data_checksum]
            refused.append((frame, f"a duplicate: the same pixels as {first.path.parent.name}/{first.path.name}"))
        elif frame.stem in stems:
            refused.append(
                (frame, f"another frame of this name is in {stems[frame.stem].path.parent.name}; that one is used")
            )
        else:
            kept.append(frame)
            stems[frame.stem] = frame
            if frame.data_checksum:
                pixels[frame.data_checksum] = frame
    return kept, refused


def bias_series(frames: Iterable[Frame], *, minimum: int, until_ut_hour: float) -> dict[float, Series]:
    """One series per read-out speed (MHz)."""
    speeds: dict[float, list[Frame]] = {}
    for frame in frames:
        if frame.kind is Kind.BIAS:
            speeds.setdefault(speed_of(frame), []).append(frame)
    return {
        speed: _series(Kind.BIAS, speed, speeds[speed], minimum=minimum, until_ut_hour=until_ut_hour)
        for speed in sorted(speeds)
    }


def lamp_series(frames: Iterable[Frame], *, minimum: int, until_ut_hour: float) -> dict[Kind, Series]:
    """One series per lamp, of the read-out speed with most frames (the slower speed settles a tie)."""
    answer: dict[Kind, Series] = {}
    frames = list(frames)
    for kind in LAMPS:
        speeds: dict[float, list[Frame]] = {}
        for frame in frames:
            if frame.kind is kind:
                speeds.setdefault(speed_of(frame), []).append(frame)
        if not speeds:
            continue
        groups = [
            _series(kind, speed, speeds[speed], minimum=minimum, until_ut_hour=until_ut_hour)
            for speed in sorted(speeds)
        ]
        best = max(groups, key=lambda group: (len(group.frames), -group.adc_speed_mhz))
        others = [
            (frame, f"read out at {group.adc_speed_mhz:g} MHz; most {kind} frames are at {best.adc_speed_mhz:g} MHz")
            for group in groups
            if group is not best
            for frame in (*group.frames, *(frame for frame, _ in group.left_out))
        ]
        answer[kind] = _with_left_out(best, others)
    return answer


def observations(frames: Iterable[Frame]) -> list[Observation]:
    """The visits of a night, numbered per target in time order.

    An [A] is joined by the next [B] of the same target; a new [A] gives up the one before it. Frames without a token,
    and every frame of a standard star, stand alone.
    """
    on_sky = [frame for frame in by_time(frames) if frame.kind.on_sky]
    safe = product_names(frame.name for frame in on_sky)
    visits: list[Observation] = []
    for name in dict.fromkeys(frame.name for frame in on_sky):
        mine = [frame for frame in on_sky if frame.name == name]
        for number, (group, awaits) in enumerate(_visits(mine), start=1):
            visits.append(
                Observation(
                    name=name,
                    safe=safe[name],
                    number=number,
                    frames=tuple(group),
                    standard=group[0].kind is Kind.STANDARD,
                    star=group[0].star,
                    awaits_partner=awaits,
                )
            )
    return visits


def speed_of(frame: Frame) -> float:
    """Read-out speed of a frame that is reduced, MHz."""
    if frame.adc_speed_mhz is None:
        msg = f"{frame.stem}: an ignored frame has no read-out speed to go by"
        raise ValueError(msg)
    return frame.adc_speed_mhz


def _visits(frames: Sequence[Frame]) -> list[tuple[list[Frame], bool]]:
    groups: list[tuple[list[Frame], bool]] = []
    open_at: int | None = None
    for frame in frames:
        alone = frame.kind is Kind.STANDARD
        if frame.nod == "B" and open_at is not None and not alone:
            groups[open_at] = ([*groups[open_at][0], frame], False)
            open_at = None
            continue
        if frame.nod == "A" and not alone:
            if open_at is not None:
                groups[open_at] = (groups[open_at][0], False)
            open_at = len(groups)
        groups.append(([frame], frame.nod == "A" and not alone))
    return groups


def _series(kind: Kind, speed: float, frames: Sequence[Frame], *, minimum: int, until_ut_hour: float) -> Series:
    """Use the evening's frames; those of the small hours serve only when the evening's are too few.

    A series taken after the observing would otherwise change the calibration of every spectrum of the night at dawn.
    """
    ordered = by_time(frames)
    evening = [frame for frame in ordered if _is_evening(frame, until_ut_hour)]
    used = evening if len(evening) >= minimum else ordered
    late = [
        (frame, "a late calibration: the evening's frames serve the night") for frame in ordered if frame not in used
    ]
    return Series(
        kind=kind,
        adc_speed_mhz=speed,
        frames=tuple(used),
        complete=_complete(used) and len(used) >= minimum,
        minimum=minimum,
        left_out=tuple(late),
    )


def _is_evening(frame: Frame, until_ut_hour: float) -> bool:
    begin = night_begin(night_of(frame.start))
    return frame.start < begin + NIGHT_OFFSET + timedelta(hours=until_ut_hour)


def _complete(frames: Sequence[Frame]) -> bool:
    """Every announced run "1 of N" ... "N of N" is whole; a falling number starts a new run."""
    run: list[Frame] = []
    runs = [run]
    for frame in frames:
        if run and (frame.series_index or 0) <= (run[-1].series_index or 0):
            run = []
            runs.append(run)
        run.append(frame)
    return all(run and run[0].series_total is not None and len(run) == run[0].series_total for run in runs)


def _with_left_out(series: Series, more: Sequence[tuple[Frame, str]]) -> Series:
    return Series(
        kind=series.kind,
        adc_speed_mhz=series.adc_speed_mhz,
        frames=series.frames,
        complete=series.complete,
        minimum=series.minimum,
        left_out=(*series.left_out, *more),
    )
