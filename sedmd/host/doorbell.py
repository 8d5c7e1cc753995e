"""How a command tells the service that it left a request: a socket in the state directory that only its user reaches.

A signal to a number from a file may end somebody else's process. The kernel says who rang: that is the one who asked.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = "bell"
#: pid, uid, gid of `struct ucred`, unix(7).
_CREDENTIALS = struct.Struct("3i")
_LONGEST = 64


class Doorbell:
    """Listens in a thread of its own; only the holder of the lock has one.

    Parameters
    ----------
    state : Path
    rung : callable
        Called from the thread with (number of the request, user number of who rang).
    """

    def __init__(self, state: Path, rung: Callable[[int, int], None]) -> None:
        self._state = state
        self._rung = rung
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> str:
        """Begin to listen; why that cannot be, if so: requests are then found with the next scan."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with _short(self._state) as place:
                with suppress(FileNotFoundError):
                    (place / NAME).unlink()  # of a service that died: the lock is ours
                before = os.umask(0o177)
                try:
                    made.bind(str(place / NAME))
                finally:
                    os.umask(before)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        except OSError as error:
            made.close()
            return f"no socket {self._state / NAME} ({error.strerror or error}); requests wait for the next scan"
        self._socket = made
        self._thread = threading.Thread(target=self._listen, args=(made,), name="bell", daemon=True)
        self._thread.start()
        return ""

    def stop(self) -> None:
        """Listen no more; nothing is left behind."""
        made, self._socket = self._socket, None
        if made is None:
            return
        with suppress(OSError), _short(self._state) as place:
            (place / NAME).unlink()
        with suppress(OSError):
            made.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(5)
        made.close()

    def _listen(self, made: socket.socket) -> None:
        while self._socket is made:
            try:
                content, ancillary, _, _ = made.recvmsg(_LONGEST, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                return
            kind = (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
            entries = [data for *found, data in ancillary if tuple(found) == kind]
            if content.isdigit() and len(content) < 19 and entries and len(entries[0]) >= _CREDENTIALS.size:
                _, user, _ = _CREDENTIALS.unpack(entries[0][: _CREDENTIALS.size])
                self._rung(int(content), user)


def ring(state: Path, number: int) -> bool:
    """Tell whoever holds the lock of this request; False if nobody listens, or this user may not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        try:
            with _short(state) as place:
                made.sendto(str(number).encode(), str(place / NAME))
        except OSError:
            return False
    return True


@contextmanager
def _short(folder: Path) -> Iterator[Path]:
    """A short name of a directory: an address has 108 bytes at most."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
