"""What the viewer remembers of its own: choices not saved yet, the observer's name and tastes, a log of actions.

In ``$XDG_STATE_HOME/sedmview`` (by default ``~/.local/state/sedmview``), so that a read-only or full redux disk does
not cost what was decided. An error here is shown once and never stops the work.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import content_of, open_to_append

#: Larger than this a log of actions is set aside.
LOG_BYTES = 2_000_000


def state_home() -> Path:
    """Folder of the viewer's own files."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "sedmview"


class Memory:
    """Files of one observer.

    Parameters
    ----------
    home : Path
        Folder; made when first written to.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    def draft(self, folder: Path, product: str) -> dict[str, Any] | None:
        """What was decided and not saved; None if there is nothing, or nothing readable."""
        return self._read(self._draft_path(folder, product))

    def keep_draft(self, folder: Path, product: str, draft: Mapping[str, Any]) -> None:
        """Keep a choice until it is saved. Raises OSError, SedmError."""
        self._write(self._draft_path(folder, product), draft)

    def drop_draft(self, folder: Path, product: str) -> None:
        """It is saved now."""
        with contextlib.suppress(OSError):
            self._draft_path(folder, product).unlink()

    def settings(self) -> dict[str, Any]:
        """Name and tastes; empty at first."""
        return self._read(self.home / "settings.json") or {}

    def keep_settings(self, **changes: object) -> None:
        """Change some settings. Raises OSError, SedmError."""
        self._write(self.home / "settings.json", self.settings() | changes)

    def log(self, **event: object) -> None:
        """One line of JSON for an action: time, user, target, what was done. Raises OSError."""
        path = self.home / "actions.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".old.jsonl"))
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **event})
        with open_to_append(path) as file:
            file.write(line.encode() + b"\n")

    def _draft_path(self, folder: Path, product: str) -> Path:
        # nights of the same date under different roots are different nights
        place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
        return self.home / "drafts" / f"{folder.name}-{place}" / f"{product}.json"

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            # a draft may hold numbers that are none: it is no table of strangers, but may be a file of theirs
            value = json.loads(content_of(path, follow=True))
        except (OSError, ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def _write(self, path: Path, value: Mapping[str, Any]) -> None:
        write_bytes_atomic(json.dumps(value).encode(), path)
