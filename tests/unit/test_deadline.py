"""A server that drips, babbles, hangs or lies costs its delivery so many seconds, whatever it does."""

import contextlib
import os
import random
import socket
import threading
import time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedmd.after.deliver import deadline
from sedmd.after.deliver.deadline import TooLate, within
from sedmd.after.deliver.http import NoAnswer, ask
from sedmd.after.deliver.smtp import MailAway, MailRefused, deliver
from sedmd.core.config import Mail

EXAMPLES = int(os.environ.get("SEDMD_FUZZ", "60"))
#: Seconds of a delivery in these tests, and what a busy machine may take on top.
LIMIT_S, BUSY_S = 0.3, 8.0


@contextlib.contextmanager
def server(talk):
    """A server on loopback that says to each who comes what `talk` does with the connection; ends by itself."""
    over = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(20)

    def serve():
        with contextlib.suppress(OSError):
            while not over.is_set():
                connection, _ = listening.accept()
                connection.settimeout(1)
                with connection, contextlib.suppress(OSError):
                    talk(connection, over)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(20)
        assert not thread.is_alive()


def drip(what):
    """Byte after byte, each in time, the whole never."""

    def talk(connection, over):
        connection.sendall(what[:1])
        for at in range(1, 1_000_000):
            if over.wait(0.02):
                return
            connection.sendall(what[at % len(what) : at % len(what) + 1])

    return talk


def pour(what):
    """As much as it takes."""

    def talk(connection, over):
        while not over.is_set():
            connection.sendall(what * 100)

    return talk


def silent(connection, over):
    over.wait(20)


HTTP = {
    "drips its status": drip(b"H"),
    "drips its headers": lambda c, over: (c.sendall(b"HTTP/1.1 200 OK\r\nX: "), drip(b"x")(c, over)),
    "drips its body": lambda c, over: (
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        drip(b"x")(c, over),
    ),
    "continues for ever": pour(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "has headers without end": lambda c, over: (c.sendall(b"HTTP/1.1 200 OK\r\n"), pour(b"X: y\r\n")(c, over)),
    "has chunks without end": lambda c, over: (
        c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        pour(b"1\r\nx\r\n")(c, over),
    ),
    "is silent": silent,
    "hangs up": lambda c, over: None,
}


@pytest.mark.parametrize("talk", HTTP.values(), ids=HTTP)
def test_a_request_has_one_deadline(talk):
    with server(talk) as port:
        begun = time.monotonic()
        with pytest.raises(NoAnswer):
            ask("GET", f"http://127.0.0.1:{port}/", headers={}, timeout_s=LIMIT_S)
        assert time.monotonic() - begun < LIMIT_S + deadline.GRACE_S + BUSY_S


def test_a_handshake_that_does_not_end_has_the_same_deadline():
    with server(silent) as port:
        begun = time.monotonic()
        with pytest.raises(NoAnswer):
            ask("GET", f"https://127.0.0.1:{port}/", headers={}, timeout_s=LIMIT_S)
        assert time.monotonic() - begun < LIMIT_S + deadline.GRACE_S + BUSY_S


SMTP = {
    "drips its greeting": drip(b"220-x\r\n"),
    "greets for ever": pour(b"220-welcome\r\n"),
    "has a line without end": pour(b"2" * 100),
    "is silent": silent,
    "hangs up": lambda c, over: None,
    "drips after the greeting": lambda c, over: (c.sendall(b"220 x\r\n"), drip(b"250-x\r\n")(c, over)),
    "says no number": pour(b"\xff\xfe\r\n"),
}


def mail(port, **changes) -> Mail:
    given = {"host": "127.0.0.1", "port": port, "security": "none", "sender": "a@b.c", "recipients": ("d@e.f",)}
    return Mail(**{**given, "timeout_s": LIMIT_S, **changes})


def letter() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@b.c", "d@e.f", "s"
    made.set_content("text")
    return made


@pytest.mark.parametrize("security", ["none", "tls"])
@pytest.mark.parametrize("talk", SMTP.values(), ids=SMTP)
def test_a_mail_has_one_deadline(talk, security):
    with server(talk) as port:
        begun = time.monotonic()
        with pytest.raises((MailAway, MailRefused)):
            deliver(letter(), mail(port, security=security), None)
        assert time.monotonic() - begun < LIMIT_S + deadline.GRACE_S + BUSY_S


def test_who_talks_too_much_is_cut_off_by_length_not_by_time():
    with (
        server(pour(b"220-welcome\r\n")) as port,
        pytest.raises(MailAway, match=r"said more than 200000 bytes|Connection"),
    ):
        deliver(letter(), mail(port, timeout_s=60.0), None)


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(seed=st.integers(0, 2**32), hits=st.integers(0, 12))
def test_an_answer_with_bytes_of_chance_is_an_answer_or_none(seed, hits):
    chance = random.Random(seed)
    whole = bytearray(
        b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRetry-After: 3\r\n\r\n{"status": "success"}'
    )
    for _ in range(hits):
        whole[chance.randrange(len(whole))] = chance.randrange(256)

    def talk(connection, over):
        connection.recv(65536)
        connection.sendall(whole)

    with server(talk) as port, contextlib.suppress(NoAnswer):
        answer = ask("GET", f"http://127.0.0.1:{port}/", headers={}, timeout_s=LIMIT_S)
        answer.json()
        answer.wait_s(deadline_now())


def deadline_now():
    from datetime import UTC, datetime

    return datetime(2019, 6, 12, tzinfo=UTC)


def test_what_is_said_and_what_is_raised_comes_through():
    assert within(5.0, lambda line: 17) == 17
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda line: 1 // 0)


def test_what_cannot_be_interrupted_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(deadline, "GRACE_S", 0.01)
    freed = threading.Event()
    with pytest.raises(TooLate):
        within(0.01, lambda line: freed.wait(20))
    freed.set()


def test_no_socket_is_left_open():
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def talk(connection, over):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with server(talk) as port:
        for _ in range(5):
            assert ask("GET", f"http://127.0.0.1:{port}/", headers={}, timeout_s=10.0).json() == {}
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208


def test_a_socket_is_shut_also_when_tls_has_taken_it_over():
    line = deadline.Connection()
    ours, theirs = socket.socketpair()
    line.take(ours)
    with theirs, socket.socket(fileno=ours.detach()) as moved:
        moved.settimeout(5)
        line.cut()
        assert moved.recv(1) == b""
    line.close()
