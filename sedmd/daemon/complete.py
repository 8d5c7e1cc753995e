"""When is a landing file whole? Cards say how long it must be, and it must have stopped changing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sedmd.errors import FrameFault
from sedmd.fitsfile import Verdict, examine


class Look(StrEnum):
    """What a look at a file says."""

    READY = "ready"
    SETTLING = "settling"
    INCOMPLETE = "incomplete"


@dataclass(slots=True)
class _Seen:
    size: int
    mtime_ns: int
    since_s: float
    reason: str = ""


class Gate:
    """Lets a file pass once it is whole and has been still for `settle_s`.

    Parameters
    ----------
    settle_s : float
        Size and time stamp must be unchanged for this long, by the monotonic clock.
    timeout_s : float
        A file that is still, but not whole, for this long is reported incomplete; it is looked at again on any change.
    examine : callable
        Path -> Verdict.
    """

    def __init__(self, *, settle_s: float, timeout_s: float, examine: Callable[[Path], Verdict] = examine) -> None:
        self._settle_s = settle_s
        self._timeout_s = timeout_s
        self._examine = examine
        self._seen: dict[Path, _Seen] = {}

    def look(self, path: Path, *, size: int, mtime_ns: int, now_s: float) -> tuple[Look, str]:
        """Judge a file; the second value says what is lacking.

        Parameters
        ----------
        size, mtime_ns : int
            As the file system tells them now.
        now_s : float
            Monotonic clock, seconds.
        """
        seen = self._seen.get(path)
        if seen is None or (seen.size, seen.mtime_ns) != (size, mtime_ns):
            seen = self._seen[path] = _Seen(size=size, mtime_ns=mtime_ns, since_s=now_s, reason="just seen")
        still_s = now_s - seen.since_s
        if still_s < self._settle_s:
            return Look.SETTLING, seen.reason
        try:
            verdict = self._examine(path)
        except FrameFault:
            # it can never become a frame: let the reader say why
            del self._seen[path]
            return Look.READY, ""
        if verdict.whole and verdict.size == size:
            del self._seen[path]
            return Look.READY, ""
        seen.reason = verdict.reason or "still growing"
        if still_s < self._timeout_s:
            return Look.SETTLING, seen.reason
        del self._seen[path]
        return Look.INCOMPLETE, seen.reason

    def forget(self, path: Path) -> None:
        """The file is gone."""
        self._seen.pop(path, None)

    def settling(self) -> list[Path]:
        """Files that must be looked at again."""
        return list(self._seen)
