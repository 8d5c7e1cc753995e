"""Which night a frame belongs to, and in which order its frames count. Pure functions.

Every answer depends on the set of frames only, never on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sedmd.frames import Frame

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


def by_time(frames: Iterable[Frame]) -> list[Frame]:
    """Frames in the order in which they were taken; the file name settles ties."""
    return sorted(frames, key=lambda frame: (frame.start, frame.stem, str(frame.path)))


def split_duplicates(frames: Iterable[Frame]) -> tuple[list[Frame], list[tuple[Frame, str]]]:
    """Frames to use, and those whose pixels or whose name another frame already has, with the reason.

    Of copies the one whose header holds most is used: it may have been completed after the first copy was made.
    """
    kept: list[Frame] = []
    refused: list[tuple[Frame, str]] = []
    pixels: dict[str, Frame] = {}
    stems: dict[str, Frame] = {}
    for frame in sorted(by_time(frames), key=lambda frame: -frame.n_cards):
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
    return by_time(kept), refused
