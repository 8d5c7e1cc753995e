"""The exposure that was read out before one on the sky: what it left on the chip, if anything, is still there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sedmd.plan.job_inputs import Absent, InputFile
from sedmd.raw.frames import Frame, Kind

#: So long after the end of an exposure what it left is looked for [s]; a read-out takes 5 to 42 s.
REMEMBERED_S = 1800.0


def exposure_before(frame: Frame, frames: Sequence[Frame]) -> dict[str, list[InputFile | Absent]]:
    """The role ``before`` of a cube: the last frame with light that began before `frame` and ended at most
    `REMEMBERED_S` before it; empty without.

    It is an input by its name, which is its second: the job stays what it is when the header of the other is completed,
    corrected, or its file gzipped. It has been read out when `frame` begins, so no job waits for it.
    """
    earlier = [
        one for one in frames if one.start < frame.start and one.kind is not Kind.BIAS and one.exptime_s is not None
    ]
    if not earlier:
        return {}
    last = max(earlier, key=lambda one: (one.start, one.stem))
    ended = last.start + timedelta(seconds=last.exptime_s or 0.0)
    if frame.start - ended > timedelta(seconds=REMEMBERED_S):
        return {}
    return {"before": [InputFile(path=last.path, checksum=last.stem)]}
