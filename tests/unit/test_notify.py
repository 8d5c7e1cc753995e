"""The sd_notify protocol against a real datagram socket, by path and abstract."""

import os
import socket
import subprocess
import sys
import time

import pytest

from sedmd.daemon.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd's, and the address that the service is given."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@sedmd-test-{os.getpid()}-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + address[1:] if address.startswith("@") else address)
        receiver.settimeout(10)
        yield receiver, address


def heard(receiver) -> list[str]:
    return receiver.recv(4096).decode().split("\n")


def test_a_life_in_messages(manager):
    receiver, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address}, monotonic_ns=lambda: 1_234_567_890)
    calls = [
        (lambda: notifier.ready("night 20261125: watching"), ["READY=1", "STATUS=night 20261125: watching"]),
        (notifier.watchdog, ["WATCHDOG=1"]),
        (lambda: notifier.watchdog("3 done"), ["WATCHDOG=1", "STATUS=3 done"]),
        (lambda: notifier.reloading("reading"), ["RELOADING=1", "MONOTONIC_USEC=1234567", "STATUS=reading"]),
        (notifier.ready, ["READY=1"]),
        (lambda: notifier.status("idle"), ["STATUS=idle"]),
        (notifier.stopping, ["STOPPING=1"]),
        (lambda: notifier.extend_timeout(12.5), ["EXTEND_TIMEOUT_USEC=12500000"]),
    ]
    for call, expected in calls:
        assert call() is True
        assert heard(receiver) == expected


def test_monotonic_time_is_the_kernels():
    # systemd refuses a reload whose time stamp is older than its own signal
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        address = f"@sedmd-test-clock-{os.getpid()}"
        receiver.bind("\0" + address[1:])
        receiver.settimeout(10)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        Notifier({"NOTIFY_SOCKET": address}).reloading()
        stamp = int(heard(receiver)[1].removeprefix("MONOTONIC_USEC="))
        assert before <= stamp <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_line_break_begins_no_other_assignment(manager):
    receiver, address = manager
    Notifier({"NOTIFY_SOCKET": address}).status("target\nWATCHDOG=trigger\r\nMAINPID=1")
    assert heard(receiver) == ["STATUS=target WATCHDOG=trigger MAINPID=1"]


def test_odd_text_is_delivered(manager):
    receiver, address = manager
    assert Notifier({"NOTIFY_SOCKET": address}).status("α Lyr \udcff")
    assert heard(receiver) == ["STATUS=α Lyr ?"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}])
def test_nobody_asked(environment):
    notifier = Notifier({**environment, "WATCHDOG_USEC": "1000000"})
    assert not notifier.listening
    assert notifier.watchdog_s is None
    assert notifier.ready() is False


def test_a_dead_manager_is_no_error(tmp_path):
    assert Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).watchdog() is False
    assert Notifier({"NOTIFY_SOCKET": "/" + "x" * 200}).watchdog() is False


def test_a_manager_that_does_not_read_never_blocks(manager):
    _, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    delivered = [notifier.status("x" * 500) for _ in range(5000)]
    assert delivered[0] is True
    assert delivered[-1] is False


@pytest.mark.parametrize(
    "interval, process, seconds",
    [
        ("120000000", "", 120.0),
        ("500000", "mine", 0.5),
        ("120000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
        ("-5", "", None),
        ("²", "", None),
    ],
)
def test_watchdog_interval(interval, process, seconds):
    process = str(os.getpid()) if process == "mine" else process
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": interval, "WATCHDOG_PID": process}
    assert Notifier(environment).watchdog_s == seconds


def test_a_child_is_not_the_one_who_is_watched(manager):
    _, address = manager
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier(environment).watchdog_s == 1.0
    ask = "from sedmd.daemon.notify import Notifier; print(Notifier().watchdog_s)"
    done = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"
