"""Attacks by whoever is at the other end of a socket: SkyPortal, mail servers, the bell, clients of `/healthz`."""

from __future__ import annotations

import array
import contextlib
import http.client
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.attacks import Attack, Try
from faults.malformed_answers import BODIES, LINES, ORDERLY, RAW, WAITS, body, data_of, raw, success
from faults.malformed_requests import NOISE
from faults.test_answers import NAME, STAGES, judge_mail, portal
from unit.test_vitals import WELL

from sedmd.daemon.health import HealthServer
from sedmd.host.doorbell import NAME as BELL
from sedmd.host.doorbell import Doorbell, ring

#: Clients of the health server: what they send.
CALLS = {
    "nothing": b"",
    "a line feed": b"\n",
    "noise": bytes(range(256)) * 8,
    "no method": b" / HTTP/1.1\r\n\r\n",
    "another method": b"DELETE / HTTP/1.1\r\n\r\n",
    "another HTTP": b"GET /healthz HTTP/9.9\r\n\r\n",
    "a path of 100 kB": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
    "a way out": b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
    "a path of nulls": b"GET /\0\0 HTTP/1.1\r\n\r\n",
    "a path of bytes": b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    "a header of 100 kB": b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "a thousand headers": b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "a body that does not come": b"POST /healthz HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
    "a length of words": b"GET /healthz HTTP/1.1\r\nContent-Length: two\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a proxy's request": b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


def attacks() -> list[Attack]:
    """All of them."""
    found = []
    for stage in STAGES:
        for kind, answers in (("bytes that are no HTTP", _raw), ("bodies that are no JSON", _bodies), ("data", _data)):
            found.append(Attack(f"SkyPortal, {stage}: {kind}", partial(_portal, stage, answers)))
    found.append(Attack("SkyPortal: waits that are none", partial(_portal, "spectra", _waits)))
    for where in ORDERLY:
        after = {"": "the greeting", ".": "the end of the mail"}.get(where, where)
        found.append(Attack(f"mail: instead of the answer to {after}", partial(_mail, where)))
    for auth in ("CRAM-MD5", "LOGIN", "PLAIN"):
        found.append(Attack(f"mail: challenges of {auth}", partial(_challenges, auth)))
    return [
        *found,
        Attack("bell: noise", _noise),
        Attack("bell: open files as a gift", _gifts),
        Attack("health: calls that are none, TCP", partial(_calls, "127.0.0.1:0")),
        Attack("health: calls that are none, socket", partial(_calls, "unix")),
    ]


def _portal(
    stage: str, answers: Callable[..., Iterator[tuple[str, object]]], folder: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Try]]:
    one = stack.enter_context(portal(folder))
    for what, how in answers(stage, one.spectrum.content):
        yield what, partial(one.judge, stage, how)


def _raw(stage: str, content: str) -> Iterator[tuple[str, object]]:
    yield from ((what, raw(said)) for what, said in RAW.items())


def _bodies(stage: str, content: str) -> Iterator[tuple[str, object]]:
    for what, said in BODIES.items():
        for status in (200, 400, 500):
            yield f"{status}, {what}", body(said, status)


def _data(stage: str, content: str) -> Iterator[tuple[str, object]]:
    yield from ((what, body(success(data))) for what, data in data_of(stage, NAME, content))


def _waits(stage: str, content: str) -> Iterator[tuple[str, object]]:
    for status in (429, 503):
        yield from ((f"{status}, {wait[:40]!r}", body(b"{}", status, Retry_After=wait)) for wait in WAITS)


def _mail(where: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for what, said in LINES.items():
        yield what, partial(judge_mail, where, said)


def _challenges(auth: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for what, said in LINES.items():
        yield what, partial(judge_mail, "AUTH", said, auth=auth)


def _bell(folder: Path, stack: contextlib.ExitStack) -> Callable[[Callable[[socket.socket], None]], str]:
    """A bell; what is done to it must not be heard, must leave no file open, and the next ring is."""
    import threading

    heard: list[int] = []
    came = threading.Event()

    def rung(number: int, user: int) -> None:
        heard.append(number)
        came.set()

    bell = Doorbell(folder, rung)
    assert bell.start() == ""
    stack.callback(bell.stop)

    def attack(do: Callable[[socket.socket], None]) -> str:
        heard.clear()
        came.clear()
        before = len(list(Path("/proc/self/fd").iterdir()))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
            do(made)
        assert ring(folder, 4711) and came.wait(5), "the bell is dead"
        assert heard == [4711], f"heard {heard}"
        assert len(list(Path("/proc/self/fd").iterdir())) == before, "files stay open"
        return "not heard; the next ring is"

    return attack


def _noise(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    attack = _bell(folder, stack)
    for noise in NOISE:
        yield f"{noise[:20]!r}", partial(attack, lambda made, noise=noise: made.sendto(noise, str(folder / BELL)))


def _gifts(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    attack = _bell(folder, stack)

    def give(count: int, made: socket.socket) -> None:
        null = os.open(os.devnull, os.O_RDONLY)
        try:
            gift = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * count))]
            made.sendmsg([b"x"], gift, 0, str(folder / BELL))
        finally:
            os.close(null)

    for count in (1, 2, 5, 20, 100, 250):
        yield f"{count} files", partial(attack, partial(give, count))


def _calls(listen: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    server = HealthServer(f"unix:{folder}/health.sock" if listen == "unix" else listen, lambda: WELL)
    server.start()
    stack.callback(server.stop)

    def connect() -> socket.socket:
        if listen == "unix":
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(folder / "health.sock"))
        else:
            client = socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])))
        client.settimeout(5)
        return client

    def call(said: bytes) -> str:
        with connect() as client, contextlib.suppress(OSError):
            client.sendall(said)
            client.shutdown(socket.SHUT_WR)
            client.recv(1000)
        with connect() as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.status == 200, answer.status
        assert server.alive
        return "the next caller is answered"

    for what, said in CALLS.items():
        yield what, partial(call, said)
