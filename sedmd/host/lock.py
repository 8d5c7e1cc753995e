"""One writer per redux root, by flock on a file that stays open: it cannot outlive its holder.

The file is its owner's alone (0600): who may read the directory can neither hold the lock nor stop the next start.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sedmd.core.errors import NotNow
from sedmd.host.lock_holders import holders_of, name_of

#: Checks of a taken lock before it counts as taken, a twentieth of a second apart.
TRIES = 5
#: Rights of the state directory: its group may look.
STATE_MODE = 0o750


class Locked(NotNow):
    """Another sedmd works on this redux root."""


class NoState(NotNow):
    """The state directory cannot be used at the moment."""


@contextmanager
def single_instance(
    state: Path,
    *,
    name: str = "lock",
    mode: int = STATE_MODE,
    message: str = "another sedmd (process {holder}) works on {state}; stop it first, or choose another redux root",
) -> Iterator[None]:
    """Hold the lock of a state directory, or another one in it by its name; `message` says so who comes second.

    Parameters
    ----------
    mode : int
        Rights of the state directory; others than these are taken away from what is there.

    Raises
    ------
    Locked
        If another process holds it; the text names the process.
    NoState
        If the directory or the lock cannot be made.
    """
    path = state / name
    try:
        state.mkdir(parents=True, exist_ok=True, mode=mode)
        _close_to_others(state, mode)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise _unusable(state, path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoState(f"{path} is not a file. Remove it")
        with suppress(OSError):  # another user's: it was opened, which is enough
            os.fchmod(descriptor, 0o600)
        try:
            _take(descriptor)
        except BlockingIOError:
            found = holder(state, name=name)
            named = str(found) if found is not None and found > 0 else "unknown"
            raise Locked(message.format(holder=named, state=state)) from None
        with suppress(OSError):  # no room for the number: the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(state: Path, *, name: str = "lock") -> int | None:
    """Process number of the sedmd that works on this state directory; -1 if one does that cannot be named; or None.

    The kernel's table tells, to any user; where it does not, the lock is tried for a moment.
    """
    path = state / name
    if found := [one.pid for one in holders_of(path) if one.kind == "FLOCK" and one.writes]:
        return next((pid for pid in found if pid > 0), -1)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).decode(errors="replace").strip()
        # a number that is left from before is somebody else's by now
        return int(text) if text.isdigit() and _may_be_ours(int(text)) else -1
    else:
        return None
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


def _close_to_others(state: Path, mode: int) -> None:
    """Take away the rights that others have on a state directory of ours."""
    status = state.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~mode & 0o777:
        wanted = stat.S_IMODE(status.st_mode) & (mode | 0o7000)
        try:
            state.chmod(wanted)
        except PermissionError:
            # under the unit nobody may set setgid, not even where it is set: the ledger needs no group to be handed on
            state.chmod(wanted & 0o777)


def _may_be_ours(pid: int) -> bool:
    return pid > 0 and bool({"python", "sedmd"} & {name_of(pid).rstrip("0123456789."), name_of(pid)})


def _unusable(state: Path, path: Path, error: OSError) -> NoState:
    what = "expected a writable directory with room"
    if isinstance(error, PermissionError):
        for place in (path, state):
            with suppress(OSError, KeyError):
                owner = place.stat().st_uid
                if owner != os.geteuid():
                    name = pwd.getpwuid(owner).pw_name
                    what = f"{place} belongs to {name}: run this as {name}, or give it back (chown -R)"
                    break
    return NoState(f"state directory {state} cannot be used ({error.strerror}); {what}")
