"""Tell systemd how we are (sd_notify): one datagram, no dependency; silent when nobody asked."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress


class Notifier:
    """Sends sd_notify messages to ``$NOTIFY_SOCKET``; none of them ever raises or blocks.

    Parameters
    ----------
    environment : mapping
        Where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked up.
    monotonic_ns : callable
        CLOCK_MONOTONIC in ns, which systemd compares with its own.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # a leading @ means Linux's abstract name space, which begins with a zero byte
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._monotonic_ns = monotonic_ns
        self._watchdog_s = _watchdog_s(environment)

    @property
    def listening(self) -> bool:
        """A service manager has asked for notifications."""
        return bool(self._address)

    @property
    def watchdog_s(self) -> float | None:
        """Seconds after which the service is killed if `watchdog` is not called; None without a watchdog.

        Ping at half of it at the latest.
        """
        return self._watchdog_s if self.listening else None

    def send(self, **values: str | int) -> bool:
        """Send ``NAME=value`` lines, e.g. ``send(READY=1, STATUS="watching")``; True when they were delivered."""
        if not self._address:
            return False
        # a line break within a value would begin another assignment
        message = "\n".join(f"{name}={' '.join(str(value).splitlines())}" for name, value in values.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # a manager that does not read must not stop the service: what does not fit in its queue is lost
            sender.setblocking(False)
            sender.sendto(message.encode(errors="replace"), self._address)
            return True
        return False

    def status(self, text: str) -> bool:
        """One line for ``systemctl status``."""
        return self.send(STATUS=text)

    def ready(self, status: str = "") -> bool:
        """The service works: at the end of the start, and at the end of each reload."""
        return self.send(READY=1, **_status(status))

    def reloading(self, status: str = "") -> bool:
        """The configuration is being read again; `ready` must follow, whether it was taken or refused."""
        return self.send(RELOADING=1, MONOTONIC_USEC=self._monotonic_ns() // 1000, **_status(status))

    def stopping(self, status: str = "") -> bool:
        """No new work is begun."""
        return self.send(STOPPING=1, **_status(status))

    def watchdog(self, status: str = "") -> bool:
        """The service makes progress; call it only where that has been checked."""
        return self.send(WATCHDOG=1, **_status(status))

    def extend_timeout(self, seconds: float) -> bool:
        """A start, reload or stop takes longer: it may last `seconds` from now, and more if this is sent again."""
        return self.send(EXTEND_TIMEOUT_USEC=max(1, round(seconds * 1e6)))


def _status(text: str) -> dict[str, str | int]:
    return {"STATUS": text} if text else {}


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Interval of the watchdog if it is meant for this process; a child that inherits the variables is not meant."""
    interval, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not (interval.isascii() and interval.isdigit()) or int(interval) == 0:
        return None
    if process and process != str(os.getpid()):
        return None
    return int(interval) / 1e6
