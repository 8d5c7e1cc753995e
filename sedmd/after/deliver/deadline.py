"""One deadline for the whole of a conversation: looking up the name, the handshake, each line, the last byte.

A time limit of a socket is one of each byte: a server that sends a byte a minute is never late.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

#: After the deadline the conversation has so long to notice that its sockets are shut, seconds.
GRACE_S = 1.0


class TooLate(Exception):
    """The conversation was not over at its deadline."""


class Connection:
    """The sockets of a conversation, to be shut from outside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False

    def take(self, one: socket.socket) -> socket.socket:
        """Remember a socket; one that comes after the deadline is shut at once."""
        with self._lock:
            # a second handle: TLS takes the first away
            self._sockets.append(one.dup())
            if self._over:
                _shut(one)
        return one

    def cut(self) -> None:
        """Shut them all: whoever reads there finds the end."""
        with self._lock:
            self._over = True
            for one in self._sockets:
                _shut(one)

    def close(self) -> None:
        """The conversation is over."""
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()


def within(limit_s: float, talk: Callable[[Connection], T]) -> T:
    """Carry on a conversation in a thread of its own, which nobody waits for beyond the deadline.

    Parameters
    ----------
    talk : callable
        Gets the `Connection` to which it gives its sockets; what it raises is raised here.

    Raises
    ------
    TooLate
        It was not over after `limit_s` seconds; its sockets are shut.
    """
    line = Connection()
    ended = threading.Event()
    found: list[T] = []
    raised: list[BaseException] = []

    def carry_on() -> None:
        try:
            found.append(talk(line))
        except BaseException as error:
            raised.append(error)
        finally:
            line.close()
            ended.set()

    # daemon: a name server that never answers cannot be interrupted, and must not hold the program at its end
    thread = threading.Thread(target=carry_on, name="conversation", daemon=True)
    thread.start()
    if not ended.wait(limit_s):
        line.cut()
        ended.wait(GRACE_S)
        raise TooLate  # also where something was read by now: it ends where the socket was shut
    if raised:
        raise raised[0]
    return found[0]


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
