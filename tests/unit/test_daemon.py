"""Parts of the service: the gate, the clock, the messages to systemd, the table of mounts."""

import queue
import socket
from pathlib import Path

import pytest

from sedmd.daemon.clock import Ticker
from sedmd.daemon.complete import Gate, Look
from sedmd.daemon.notify import Notifier
from sedmd.daemon.watch import Watcher, file_system
from sedmd.errors import FrameFault
from sedmd.fitsfile import Verdict

FRAME = Path("/raw/20190612/ifu.fits")


class Disk:
    """A file that grows as the test says; `examine` and the gate see the same."""

    def __init__(self, *, expected: int = 100) -> None:
        self.size, self.mtime_ns, self.expected, self.reads = 0, 0, expected, 0

    def examine(self, path: Path) -> Verdict:
        self.reads += 1
        if self.size == 13:
            raise FrameFault("no FITS file")
        whole = self.size >= self.expected
        return Verdict(whole=whole, size=self.size, expected=self.expected, reason="" if whole else "cut")


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def gate(disk):
    return Gate(settle_s=2, timeout_s=300, examine=disk.examine)


def look(gate: Gate, disk: Disk, now_s: float) -> Look:
    return gate.look(FRAME, size=disk.size, mtime_ns=disk.mtime_ns, now_s=now_s)[0]


def test_a_whole_file_passes_after_it_was_still(gate, disk):
    disk.size = 100
    assert look(gate, disk, 0) is Look.SETTLING
    assert look(gate, disk, 1.9) is Look.SETTLING
    assert disk.reads == 0
    assert look(gate, disk, 2.0) is Look.READY
    assert gate.settling() == []


def test_growth_and_touch_start_the_wait_anew(gate, disk):
    for now, (disk.size, disk.mtime_ns) in enumerate([(10, 1), (50, 2), (100, 3), (100, 4)]):
        assert look(gate, disk, 1.5 * now) is Look.SETTLING
    assert look(gate, disk, 6.4) is Look.SETTLING
    assert look(gate, disk, 6.5) is Look.READY


def test_a_cut_file_is_incomplete_after_the_timeout_and_welcome_when_it_grows(gate, disk):
    disk.size = 50
    assert look(gate, disk, 0) is Look.SETTLING
    assert look(gate, disk, 299) is Look.SETTLING
    assert gate.look(FRAME, size=50, mtime_ns=0, now_s=300) == (Look.INCOMPLETE, "cut")
    disk.size = 100
    assert look(gate, disk, 400) is Look.SETTLING
    assert look(gate, disk, 402) is Look.READY


def test_what_can_never_be_a_frame_is_passed_on_to_be_refused(gate, disk):
    disk.size = 13
    look(gate, disk, 0)
    assert look(gate, disk, 2) is Look.READY


def test_a_file_that_grows_while_it_is_read_waits(gate, disk):
    disk.size = 100
    look(gate, disk, 0)
    assert gate.look(FRAME, size=100, mtime_ns=0, now_s=1)[0] is Look.SETTLING
    disk.size = 150  # after the stat, before the examination
    assert gate.look(FRAME, size=100, mtime_ns=0, now_s=2)[0] is Look.SETTLING


def test_files_that_vanish_are_forgotten(gate, disk):
    look(gate, disk, 0)
    assert gate.settling() == [FRAME]
    gate.forget(FRAME)
    assert gate.settling() == []


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


def test_ticker_calls_once_and_at_intervals():
    heard: queue.Queue[str] = queue.Queue()
    ticker = Ticker()
    ticker.once(0.01, lambda: heard.put("replaced"), name="one")
    ticker.once(0.01, lambda: heard.put("once"), name="one")
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
        assert "had died" in watcher.watch([tmp_path])
        assert watcher.healthy
        (tmp_path / "ifu2.fits").write_text("x")
        assert hints.get(timeout=5) == tmp_path / "ifu2.fits"
    finally:
        watcher.stop()
