"""A folder of a static site: what did not change is not written again, what is no longer wanted goes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import product_bytes, read_table

#: Summary of a folder and list of what is in it; the index of the site is made from these.
ABOUT = "night.json"


class WebFolder:
    """Writes a folder's files, the page last.

    Parameters
    ----------
    folder : Path
        Made when the first file is written.
    dry_run : bool
        Tell what would be written, and write nothing.
    """

    def __init__(self, folder: Path, *, dry_run: bool = False) -> None:
        self.folder, self.dry_run = folder, dry_run
        self.written: list[str] = []
        self.removed: list[str] = []
        self.unchanged = 0
        self._before = _files(about(folder))
        self._now: dict[str, list[str]] = {}

    def add(self, name: str, source: str, make: Callable[[], bytes]) -> None:
        """Have a file in the folder; `make` is called only if it is missing, damaged, or of another `source`."""
        path = self.folder / name
        before = self._before.get(name)
        if before is not None and before[0] == source and _digest_of(path) == before[1]:
            self.unchanged += 1
            self._now[name] = before
            return
        content = make()
        self._now[name] = [source, digest(content)]
        # a hundred waits for the disk would be most of the time; a file that a power cut took is seen by its digest
        self._put(name, content, durable=False)

    def finish(self, page: str, summary: Mapping[str, Any]) -> None:
        """Write the page, remove what an earlier run made and nobody wants any more, and write the list."""
        self._put("index.html", page.encode())
        for name in sorted(set(self._before) - set(self._now)):
            # only names that an earlier run wrote into its own list, and never out of the folder
            if Path(name).name == name and (self.folder / name).is_file():
                self.removed.append(name)
                if not self.dry_run:
                    with suppress(OSError):
                        (self.folder / name).unlink()
        text = json.dumps({**summary, "files": dict(sorted(self._now.items()))}, indent=1, allow_nan=False)
        self._put(ABOUT, f"{text}\n".encode())

    def _put(self, name: str, content: bytes, *, durable: bool = True) -> None:
        path = self.folder / name
        if _digest_of(path) == digest(content):
            self.unchanged += 1
            return
        self.written.append(name)
        if not self.dry_run:
            write_bytes_atomic(content, path, durable=durable)


def about(folder: Path) -> Mapping[str, Any]:
    """What `WebFolder.finish` wrote last; empty when there is nothing, or nothing that can be read."""
    with suppress(OSError, ValueError):
        return read_table(folder / ABOUT)
    return {}


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _files(record: Mapping[str, Any]) -> dict[str, list[str]]:
    files = record.get("files")
    if not isinstance(files, dict):
        return {}
    return {
        name: entry
        for name, entry in files.items()
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(part, str) for part in entry)
    }


def _digest_of(path: Path) -> str:
    try:
        return digest(product_bytes(path))
    except OSError:
        return ""
