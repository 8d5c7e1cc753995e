"""Parts of the service: the clock, the messages to systemd, the table of mounts."""

import queue
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sedmd.daemon.clock import Ticker
from sedmd.daemon.notify import Notifier
from sedmd.daemon.watch import Watcher
from sedmd.host.mounts import file_system


@pytest.mark.parametrize("abstract", [False, True])
def test_notify_reaches_the_socket(tmp_path, abstract):
    address = f"@sedmd-test-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + address[1:] if abstract else address)
        receiver.settimeout(5)
        Notifier({"NOTIFY_SOCKET": address}).send(READY=1, STATUS="watching")
        assert receiver.recv(1000) == b"READY=1\nSTATUS=watching"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_notify_without_a_listener_is_silent(environment):
    Notifier(environment).send(READY=1)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_ticker_calls_once_and_at_intervals():
    heard: queue.Queue[str] = queue.Queue()
    ticker = Ticker()
    ticker.at(soon(0.01), lambda: heard.put("replaced"), name="one")
    ticker.at(soon(0.01), lambda: heard.put("once"), name="one")
    ticker.every(0.02, lambda: heard.put("every"), name="two")
    ticker.start()
    try:
        got = [heard.get(timeout=5) for _ in range(4)]
    finally:
        ticker.stop()
    assert got.count("once") == 1
    assert got.count("every") == 3


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
nas:/raw /data/sedm/raw nfs4 rw 0 0
/dev/sdb1 /data ext4 rw 0 0
//pc/share /data/my\\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    "folder, kind",
    [
        ("/data/sedm/raw/20190612", "nfs4"),
        ("/data/sedm/raw", "nfs4"),
        ("/data/sedm/rawer", "ext4"),
        ("/data/my share/x", "cifs"),
        ("/home", "ext4"),
    ],
)
def test_file_system_of_a_folder(folder, kind):
    assert file_system(Path(folder), MOUNTS) == kind


@pytest.mark.parametrize("mode", ["inotify", "poll"])
def test_watcher_hints_at_frames_only(tmp_path, mode):
    hints: queue.Queue[Path] = queue.Queue()
    watcher = Watcher(hints.put, mode=mode, poll_s=0.02)
    try:
        assert watcher.watch([tmp_path, tmp_path / "missing"]) == ""
        assert watcher.healthy
        (tmp_path / ".ifu1.fits.Ab12").write_text("x")
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / "ifu1.fits").write_text("x")
        assert hints.get(timeout=5) == tmp_path / "ifu1.fits"
    finally:
        watcher.stop()
    assert not watcher.healthy


def test_watcher_is_mended_when_an_emitter_dies(tmp_path):
    hints: queue.Queue[Path] = queue.Queue()
    watcher = Watcher(hints.put, mode="inotify", poll_s=0.02)
    try:
        watcher.watch([tmp_path])
        for emitter in watcher._observer.emitters:
            emitter.stop()
            emitter.join(5)
        assert not watcher.healthy
        assert "died; restarted" in watcher.watch([tmp_path])
        assert watcher.healthy
        (tmp_path / "ifu2.fits").write_text("x")
        assert hints.get(timeout=5) == tmp_path / "ifu2.fits"
    finally:
        watcher.stop()
