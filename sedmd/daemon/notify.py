"""Tell systemd how we are: one datagram, no dependency; silent when nobody asked."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends sd_notify messages to ``$NOTIFY_SOCKET``.

    Parameters
    ----------
    environment : mapping
        Where NOTIFY_SOCKET is looked up.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # a leading @ means Linux's abstract name space, which begins with a zero byte
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, **values: str | int) -> None:
        """Send ``NAME=value`` lines, e.g. ``send(READY=1, STATUS="watching")``."""
        if not self._address:
            return
        message = "\n".join(f"{name}={value}" for name, value in values.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(message.encode(), self._address)
