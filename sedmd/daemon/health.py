"""`/healthz` and `/metrics` on this host only: a loopback port or a unix socket, in a thread of its own.

A client can hold one of a few threads for a few seconds, and nothing else. That is why only the handler of requests is
the standard library's and not its `ThreadingHTTPServer`: that starts a thread for each connection without a limit, lets
a client that sends a byte now and then stay for ever (its time limit is one of each read), spins while no file
descriptor is left, knows no unix socket, and at its end neither hangs up on clients nor waits for its threads.
"""

from __future__ import annotations

import errno
import io
import ipaddress
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from sedmd.core.errors import ConfigError
from sedmd.daemon.metrics import CONTENT_TYPE, metrics
from sedmd.run.vitals import Vitals, health_errors, health_warnings

#: A request must be here, and an answer taken, within this; what is longer or larger is cut off.
PATIENCE_S = 2.0
MAX_REQUEST_BYTES = 8192
MAX_THREADS = 8
#: What fits in the kernel's address of a unix socket.
MAX_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: `path` of a unix socket, or else `host` (a loopback address) and `port` (0: any free one)."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def check_listen(text: str) -> Listen:
    """Read an address to listen on.

    Parameters
    ----------
    text : str
        ``127.0.0.1:9189``, ``[::1]:9189`` or ``unix:/run/sedmd/health.sock``.

    Raises
    ------
    ConfigError
        If it is neither, or could be reached from another host.
    """
    expected = "expected 127.0.0.1:9189, [::1]:9189 or unix:/run/sedmd/health.sock"
    if text.startswith("unix:"):
        path = Path(text.removeprefix("unix:"))
        if not path.is_absolute() or "\0" in text or len(os.fsencode(path)) > MAX_SOCKET_PATH:
            msg = f"{text!r} is no absolute path of at most {MAX_SOCKET_PATH} bytes; {expected}"
            raise ConfigError(msg)
        return Listen(path=path)
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        msg = f"{text!r} is no address to listen on (a name is not looked up); {expected}"
        raise ConfigError(msg) from None
    right_brackets = bracketed == (address.version == 6)
    if not colon or not right_brackets or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        msg = f"{text!r} is no address and port; {expected}"
        raise ConfigError(msg)
    if not address.is_loopback:
        msg = f"{text!r} could be reached from other hosts, and nobody is asked for a password here; {expected}"
        raise ConfigError(msg)
    return Listen(host=str(address), port=int(port))


class HealthServer:
    """Answers GET and HEAD of ``/healthz`` and ``/metrics``.

    Parameters
    ----------
    listen : str
        See `check_listen`.
    vitals : callable
        Called from the server's threads for each request; must not wait for the service's loop.

    Raises
    ------
    ConfigError
        If the address is not allowed; by `start`, if it cannot be had.
    """

    def __init__(self, listen: str, vitals: Callable[[], Vitals]) -> None:
        self._listen = check_listen(listen)
        self._vitals = vitals
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where it listens, with the port that was found."""
        return str(self._server.address if self._server is not None else self._listen)

    @property
    def alive(self) -> bool:
        """The thread that accepts requests lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Listen, and answer from now on."""
        if self._server is not None:
            return
        try:
            self._server = _Server(self._listen, self._vitals)
        except OSError as error:
            msg = f"cannot listen on {self._listen} ({error.strerror or error}); choose another address, or none"
            raise ConfigError(msg) from error
        self._thread = threading.Thread(target=self._server.accept_forever, name="health", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the threads and remove the socket; may be called twice."""
        server, thread, self._server, self._thread = self._server, self._thread, None, None
        if server is None or thread is None:
            return
        server.wake()
        thread.join()
        server.close()


class _Server:
    """Accepts connections and gives each one of `MAX_THREADS` threads."""

    def __init__(self, listen: Listen, vitals: Callable[[], Vitals]) -> None:
        self.vitals = vitals
        self.address = listen
        self._slots = threading.BoundedSemaphore(MAX_THREADS)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._closing = False
        self._inode = 0
        self._socket = _bound(listen)
        try:
            if listen.path is None:
                self.address = Listen(host=listen.host, port=self._socket.getsockname()[1])
            else:
                self._inode = listen.path.stat().st_ino
            self._socket.listen(4 * MAX_THREADS)
        except OSError:
            self._socket.close()
            raise

    def accept_forever(self) -> None:
        """Until `wake` is called."""
        while not self._closing:
            try:
                request, client = self._socket.accept()
            except OSError:
                # the client is gone already, or no file is left to be opened: do not spin
                if not self._closing:
                    time.sleep(0.1)
                continue
            if self._closing or not self._slots.acquire(timeout=PATIENCE_S):
                request.close()
                continue
            thread = threading.Thread(target=self._serve, args=(request, client), name="health", daemon=True)
            with self._lock:
                self._open[thread] = request
            try:
                thread.start()
            except RuntimeError:  # the system gives no more threads
                self._done(thread, request)

    def wake(self) -> None:
        """End `accept_forever`."""
        self._closing = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut off who is being served, wait for their threads, remove the socket."""
        self._socket.close()
        with self._lock:
            threads = list(self._open.items())
        for _, request in threads:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
        for thread, _ in threads:
            thread.join(PATIENCE_S)
        if self.address.path is not None:
            # another service may have made its own socket here meanwhile
            with suppress(OSError):
                if self.address.path.stat().st_ino == self._inode:
                    self.address.path.unlink()

    def _serve(self, request: socket.socket, client: Any) -> None:
        try:
            # whatever a client does is its own trouble
            with suppress(OSError, ValueError):
                _Handler(request, client, self)  # type: ignore[arg-type]
        finally:
            self._done(threading.current_thread(), request)

    def _done(self, thread: threading.Thread, request: socket.socket) -> None:
        with suppress(OSError):
            request.close()
        with self._lock:
            self._open.pop(thread, None)
        self._slots.release()


class _Handler(BaseHTTPRequestHandler):
    """One request, then the connection is closed."""

    server: _Server  # type: ignore[assignment]
    server_version, sys_version = "sedmd", ""
    timeout = PATIENCE_S

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(io.BytesIO(_head(self.connection)))

    def do_GET(self) -> None:
        """Answer with figures."""
        path = self.path.partition("?")[0]
        if path not in ("/healthz", "/metrics"):
            self._answer(404, "text/plain; charset=utf-8", "there are /healthz and /metrics\n")
            return
        try:
            vitals = self.server.vitals()
            wrong, look = health_errors(vitals), health_warnings(vitals)
            text = metrics(vitals) if path == "/metrics" else ""
        except Exception as error:
            # the boundary of the thread: whoever asks must learn that the service cannot say how it is
            wrong, look, text = (f"the service cannot say how it is: {type(error).__name__}: {error}",), (), ""
        if path == "/metrics" and text:
            self._answer(200, CONTENT_TYPE, text)
            return
        body = json.dumps({"healthy": not wrong, "troubles": wrong, "cares": look}, ensure_ascii=False) + "\n"
        self._answer(503 if wrong else 200, "application/json", body)

    do_HEAD = do_GET

    def _answer(self, code: int, kind: str, text: str) -> None:
        body = text.encode(errors="replace")
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not news."""


def _head(connection: socket.socket) -> bytes:
    """The request up to its empty line, or as much as came in time; the rest is not read."""
    until = time.monotonic() + PATIENCE_S
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head and len(head) < MAX_REQUEST_BYTES:
        left = until - time.monotonic()
        if left <= 0:
            return b""
        connection.settimeout(left)
        try:
            more = connection.recv(MAX_REQUEST_BYTES - len(head))
        except TimeoutError:
            return b""
        if not more:
            break
        head += more
    connection.settimeout(PATIENCE_S)
    return head


def _bound(listen: Listen) -> socket.socket:
    """A socket at the address, not yet listening.

    Raises
    ------
    OSError
        If somebody else listens there.
    """
    if listen.path is None:
        family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((listen.host, listen.port))
        except OSError:
            made.close()
            raise
        return made
    _remove_stale(listen.path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(listen.path))
        # nobody can connect before listen(), so there is no moment at which others could
        listen.path.chmod(0o660)
    except OSError:
        made.close()
        raise
    return made


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on; anything else at this path is left alone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is a file of this name that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass
    raise OSError(errno.EADDRINUSE, "another process listens there")
