"""In which order the frames of a night count, and which of two copies is used. Pure functions.

Every answer depends on the set of frames only, never on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Iterable

from sedmd.raw.frames import Frame


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
