"""Frames of the rainbow camera that belong to an exposure, and the job that measures them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sedmd.core.recipe import RECIPE
from sedmd.plan.job_inputs import Absent, InputFile, correction_option
from sedmd.plan.jobs import JobMaker
from sedmd.plan.plan import State
from sedmd.raw.frames import Frame
from sedmd.raw.visits import Visit

#: So many guider frames of an exposure are measured, evenly spread over it.
MOST_GUIDERS = 5
#: The acquisition frame is among so many that begin before the exposure, at most so long before [s].
BEFORE, BEFORE_S = 2, 900.0


def guide_inputs(maker: JobMaker, visit: Visit) -> dict[str, list[InputFile | Absent]]:
    """The role ``guide`` of an extraction, ``guide_a`` and ``guide_b`` of a pair.

    A role lacks without frames, or where their job came to nothing. Where the settings want nothing of the frames used,
    they are measured, since a finder is made of them, and the extraction is that without such frames.
    """
    roles = ("guide_a", "guide_b") if visit.pair else ("guide",)
    made = {role: _measured(maker, visit, frame) for role, frame in zip(roles, visit.frames, strict=True)}
    if maker.context.options.get("guide", {}).get("use") == []:
        return {}
    return {role: [one] for role, one in made.items() if one is not None}


def _measured(maker: JobMaker, visit: Visit, frame: Frame) -> InputFile | Absent | None:
    """What the frames of one exposure tell, as an input; None without frames or if their job came to nothing."""
    chosen = frames_for(frame, maker.context.rc_frames)
    if not chosen:
        return None
    stars = maker.context.stars
    node = maker.node(
        RECIPE["guide"],
        f"{frame.stem} {frame.name}",
        {
            "raw": [InputFile(path=frame.path, checksum=frame.checksum)],
            # the name of a frame is its second: it stays what it is when its header is completed or it is gzipped
            "rc": [InputFile(path=path, checksum=stem) for stem, path in chosen.items()],
            **({"stars": [InputFile(path=stars[0], checksum=stars[1])]} if stars is not None else {}),
        },
        {"stem": frame.stem},
        when=frame,
        about=(frame.stem, frame.name, visit.product),
        options={"standard": visit.standard} | correction_option([frame]),
    )
    usable = node.state is State.DONE or node.active
    return maker.output(node, "guide") if usable else None


def frames_for(frame: Frame, rc_frames: Mapping[str, Path]) -> dict[str, Path]:
    """Frames of the rainbow camera, by stem, that may belong to an exposure."""
    if not rc_frames or frame.exptime_s is None:
        return {}
    ends = frame.start + timedelta(seconds=frame.exptime_s)
    times = {stem: when for stem in sorted(rc_frames) if (when := time_of(stem)) is not None}
    # names are cut to the second
    during = [stem for stem, when in times.items() if frame.start - timedelta(seconds=2) <= when <= ends]
    earliest = frame.start - timedelta(seconds=BEFORE_S)
    before = [stem for stem, when in times.items() if earliest <= when < frame.start - timedelta(seconds=2)]
    if len(during) > MOST_GUIDERS:
        last = len(during) - 1
        during = [during[round(k * last / (MOST_GUIDERS - 1))] for k in range(MOST_GUIDERS)]
    return {stem: rc_frames[stem] for stem in (*before[-BEFORE:], *during)}


def time_of(stem: str) -> datetime | None:
    """Start of a frame by its name, ``rcYYYYMMDD_HH_MM_SS``; None for any other name."""
    try:
        return datetime.strptime(stem, "rc%Y%m%d_%H_%M_%S").replace(tzinfo=UTC)
    except ValueError:
        return None
