"""Which processes hold a lock on a file, by the kernel's own table: no number in a file is used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/locks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process with a lock on a file: its number, "FLOCK" or "POSIX", and whether others may not write."""

    pid: int
    kind: str
    writes: bool

    def describe(self) -> str:
        """Number and name of the process, as an operator knows it."""
        return f"process {self.pid} ({name_of(self.pid) or 'of another user'})"


def holders_of(*paths: Path, table: str | None = None, between: tuple[int, int] = (0, 1 << 63)) -> list[Holder]:
    """Who holds a lock on these files, by number; empty where there is none, or no table.

    Parameters
    ----------
    between : (int, int)
        Only locks that begin at one of these bytes, the last included.
    table : str or None
        Content of ``/proc/locks``; None reads it.
    """
    wanted = set()
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        wanted.add(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}")
    if table is None:
        try:
            table = TABLE.read_text(encoding="ascii", errors="replace")
        except OSError:
            return []
    first, last = between
    found = {one for place, begins, one in _lines(table) if place in wanted and first <= begins <= last}
    return sorted(found, key=lambda one: (one.pid, one.kind))


def name_of(pid: int) -> str:
    """The name of a process; empty when there is none that may be seen."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _lines(table: str) -> Iterator[tuple[str, int, Holder]]:
    for line in table.splitlines():
        # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF; one that waits has -> before its kind
        words = line.split()
        if len(words) < 8 or words[1] == "->" or not (words[4].lstrip("-").isdigit() and words[6].isdigit()):
            continue
        yield words[5], int(words[6]), Holder(pid=int(words[4]), kind=words[1], writes=words[3] == "WRITE")
