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

from sedmd.host.foreign_file import open_regular, open_to_append, table_in
from sedmd.host.sharing import not_ours

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
        self._waiting: dict[str, deque[bytes]] = {}
        #: Lines that were given up because too many waited.
        self.lost = 0
        #: Why lines wait, by night; empty when none does.
        self.errors: dict[str, str] = {}

    @property
    def pending(self) -> list[tuple[str, bytes]]:
        """Lines that could not be written yet (full disk, missing rights); they are, before a night's next ones."""
        return [(night, line) for night, lines in self._waiting.items() for line in lines]

    def tells(self) -> list[str]:
        """Nights whose journals have jobs."""
        found = sorted(self._redux_root.glob(f"20*/{NAME}"))
        return [path.parent.name for path in found if any(entry["what"] == "job" for entry in read(path))]

    def write(self, night: str, what: str, **values: Any) -> None:
        """Append one line to the journal of `night`; where it cannot be written it waits, and never stops the work."""
        if not night:
            return
        line = json.dumps({"what": what, **values}, default=str, separators=(",", ":"))
        lines = self._waiting.setdefault(night, deque())
        lines.append(line.encode())
        if len(lines) > MAX_PENDING:
            lines.popleft()
            self.lost += 1
        self._write_waiting(night)

    def flush(self) -> None:
        """Try again to write what waits."""
        for night in list(self._waiting):
            self._write_waiting(night)

    def _write_waiting(self, night: str) -> None:
        lines = self._waiting[night]
        try:
            while lines:
                self._append(night, lines[0])
                lines.popleft()
        except OSError as error:
            path = self._redux_root / night / NAME
            foreign = not_ours(path) if isinstance(error, PermissionError) else ""
            self.errors[night] = foreign or f"{path} cannot be written ({error.strerror or error})"
        else:
            del self._waiting[night]
            self.errors.pop(night, None)

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
