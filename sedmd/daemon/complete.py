"""When is an arriving file whole? Cards and sums say what it must hold, and it must have stopped changing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sedmd.core.errors import FrameFault
from sedmd.raw.fitsfile import FileCheck, examine

#: Longest time between two examinations of a file that stands still but is not whole.
MAX_PAUSE_S = 30.0


class Completeness(StrEnum):
    """What a look at a file says."""

    READY = "ready"
    SETTLING = "settling"
    DEFERRED = "deferred"


@dataclass(slots=True)
class _Seen:
    """What is known of a file that is not whole yet.

    `listed` is size and time stamp by the directory, `found` by the open file: a network file system may cache the
    former. `next_s` is how long it must have been still for the next examination, which may read all of it.
    """

    listed: tuple[int, int]
    since_s: float
    found: tuple[int, int] | None = None
    reason: str = "just seen"
    next_s: float = 0.0
    deferred: bool = False


def deferral(path: Path, reason: str, *, timeout_s: float) -> str:
    """The sentence for a deferred file: what it lacks, and what happens next."""
    return (
        f"{path.name} is deferred: {reason}; expected a whole FITS file, but nothing arrived for {timeout_s:g} s. "
        "Copy it again; it is reread when it changes, and in the morning"
    )


class Gate:
    """Lets a file pass once it is whole and has been still for `settle_s`.

    Parameters
    ----------
    settle_s : float
        Size and time stamp must be unchanged for this long, by the monotonic clock. Where attributes are cached (NFS)
        or polled: longer than the cache and the poll.
    timeout_s : float
        A file that is still, but not whole, for this long is deferred: reported once, and checked again on any change
        or when `again` asks.
    examine : callable
        Path -> Verdict, from the open file.
    """

    def __init__(self, *, settle_s: float, timeout_s: float, examine: Callable[[Path], FileCheck] = examine) -> None:
        self._settle_s = settle_s
        self._timeout_s = timeout_s
        self._examine = examine
        self._seen: dict[Path, _Seen] = {}
        self._asked: set[Path] = set()

    def look(self, path: Path, *, size: int, mtime_ns: int, now_s: float) -> tuple[Completeness, str]:
        """Judge a file; the second value says what is lacking.

        Parameters
        ----------
        size, mtime_ns : int
            As the directory tells them now.
        now_s : float
            Monotonic clock, seconds.
        """
        seen = self._seen.get(path)
        if seen is None or seen.listed != (size, mtime_ns):
            if seen is not None:
                self._asked.discard(path)
            seen = self._seen[path] = _Seen(listed=(size, mtime_ns), since_s=now_s, next_s=self._settle_s)
        asked = path in self._asked
        if seen.deferred and not asked:
            return Completeness.DEFERRED, seen.reason
        still_s = now_s - seen.since_s
        pause_s = self._settle_s if asked else min(seen.next_s, max(self._timeout_s, self._settle_s))
        if still_s < pause_s:
            return Completeness.SETTLING, seen.reason
        try:
            verdict = self._examine(path)
        except FrameFault:
            # it can never become a frame: let the reader say why
            self.forget(path)
            return Completeness.READY, ""
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error}; check its permissions and its disk)"
            verdict = FileCheck(whole=False, size=size, expected=None, reason=reason, mtime_ns=mtime_ns)
        found = (verdict.size, verdict.mtime_ns or mtime_ns)
        if found not in (seen.listed, seen.found):
            # the open file is ahead of what the directory says: it has to be still by its own account
            seen.found, seen.since_s, seen.next_s = found, now_s, self._settle_s
            seen.reason, seen.deferred = "still growing", False
            return Completeness.SETTLING, seen.reason
        if verdict.whole:
            self.forget(path)
            return Completeness.READY, ""
        seen.found, seen.reason = found, verdict.reason or "still growing"
        seen.next_s = still_s + min(still_s, MAX_PAUSE_S)
        if still_s < self._timeout_s and not asked:
            return Completeness.SETTLING, seen.reason
        self._asked.discard(path)
        seen.deferred = True
        return Completeness.DEFERRED, seen.reason

    def again(self, paths: Iterable[Path] = ()) -> list[Path]:
        """Ask for another look at the deferred files and at `paths`, which an earlier service may have deferred.

        Returns
        -------
        list of Path
            What to pass to `look` now. Each is examined without waiting for the timeout: ready, or deferred again.
        """
        self._asked.update(paths, self.deferred())
        return sorted(self._asked)

    def stood_still(self, seconds: float) -> None:
        """Nobody looked for so long, and perhaps nobody wrote: no file has been still in that time."""
        for seen in self._seen.values():
            seen.since_s += seconds

    def forget(self, path: Path) -> None:
        """The file is gone."""
        self._seen.pop(path, None)
        self._asked.discard(path)

    def settling(self) -> list[Path]:
        """Files that must be checked again soon."""
        return [path for path, seen in self._seen.items() if not seen.deferred]

    def deferred(self) -> Mapping[Path, str]:
        """Files that stopped before they were whole, with what each lacks."""
        return {path: seen.reason for path, seen in self._seen.items() if seen.deferred}
