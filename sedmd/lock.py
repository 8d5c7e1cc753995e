"""One writer per redux root, by flock on a file that stays open: it cannot outlive its holder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sedmd.errors import NotNow


class Locked(NotNow):
    """Another sedmd works on this redux root."""


@contextmanager
def single_instance(
    state: Path,
    *,
    name: str = "lock",
    told: str = "another sedmd (process {holder}) works on {state}; stop it first, or choose another redux root",
) -> Iterator[None]:
    """Hold the lock of a state directory, or another one in it by its name; `told` says so who comes second.

    Raises
    ------
    Locked
        If another process holds it; the text names the process.
    """
    state.mkdir(parents=True, exist_ok=True)
    path = state / name
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Locked(told.format(holder=holder, state=state)) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(state: Path) -> int | None:
    """Process number of the sedmd that works on this state directory, or None."""
    try:
        descriptor = os.open(state / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else -1
    else:
        return None
    finally:
        os.close(descriptor)
