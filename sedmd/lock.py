"""One writer per redux root, by flock on a file that stays open: it cannot outlive its holder."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sedmd.errors import NotNow

#: Looks at a lock that is taken before it is believed, a twentieth of a second apart.
TRIES = 5


class Locked(NotNow):
    """Another sedmd works on this redux root."""


class NoState(NotNow):
    """The state directory cannot be used at the moment."""


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
    NoState
        If the directory or the lock cannot be made.
    """
    # operators' commands nudge the holder; only the service listens, nobody shall die of it
    if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    path = state / name
    try:
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        msg = f"state directory {state} cannot be used ({error.strerror}); expected a writable directory with room"
        raise NoState(msg) from error
    try:
        try:
            _take(descriptor)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise Locked(told.format(holder=holder, state=state)) from None
        with suppress(OSError):  # no room for the number: the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> None:
    """Take the lock; who only looks at it (`holder`) has it for a moment, and is waited for."""
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.05)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
