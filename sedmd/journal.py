"""What the ledger holds, once more as lines of text beside the products: from it a lost ledger is made again.

``redux/NIGHT/journal.jsonl`` has one JSON object a line, in the order of what happened. The ledger is the truth; the
journal is written after it and may lack its last line after a power cut, which costs a job done again.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sedmd.foreign import open_regular, open_to_append, table_in

NAME = "journal.jsonl"
#: More lines than this do not wait for a disk.
MAX_PENDING = 100_000


class Journal:
    """Appends lines to the journals of nights.

    Parameters
    ----------
    redux_root : Path
    """

    def __init__(self, redux_root: Path) -> None:
        self._redux_root = redux_root
        #: Lines that could not be written yet (full disk, missing rights); they are, before the next ones.
        self.pending: deque[tuple[str, bytes]] = deque()
        #: Lines that were given up because too many waited.
        self.lost = 0

    def tells(self) -> list[str]:
        """Nights of which work is told."""
        found = sorted(self._redux_root.glob(f"20*/{NAME}"))
        return [path.parent.name for path in found if any(entry["what"] == "job" for entry in read(path))]

    def write(self, night: str, what: str, **values: Any) -> None:
        """Append one line to the journal of `night`; where it cannot be written it waits, and never stops the work."""
        if not night:
            return
        line = json.dumps({"what": what, **values}, default=str, separators=(",", ":"))
        self.pending.append((night, line.encode()))
        if len(self.pending) > MAX_PENDING:
            self.pending.popleft()
            self.lost += 1
        try:
            while self.pending:
                self._append(*self.pending[0])
                self.pending.popleft()
        except OSError:
            return

    def _append(self, night: str, line: bytes) -> None:
        folder = self._redux_root / night
        folder.mkdir(exist_ok=True)  # not its parents: a redux root that is away must not be made anew
        with open_to_append(folder / NAME) as file:
            # after a torn line a new one must not be glued to it
            torn = file.tell() > 0 and not _ends_line(file)
            file.write(b"\n" * torn + line + b"\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; torn ones are passed over."""
    with open_regular(path, follow=True) as file:
        for line in file:
            try:
                entry = table_in(line.decode("utf-8", "replace"))
            except ValueError:
                continue
            if isinstance(entry.get("what"), str):
                yield entry


def _ends_line(file: Any) -> bool:
    file.seek(-1, 2)
    return bool(file.read(1) == b"\n")
