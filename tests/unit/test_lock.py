"""The lock of a redux root: its owner's alone, its holder told by the kernel; the bell tells who asked."""

import errno
import fcntl
import os
import queue
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.host.doorbell import NAME, Doorbell, ring
from sedmd.host.lock import Locked, NoState, holder, single_instance
from sedmd.host.lock_holders import Holder, holders_of
from sedmd.ledger.ledger import Ledger, LedgerFull
from sedmd.run.requests import who_asked

NOW = datetime(2019, 6, 12, 13, tzinfo=UTC)
TAKE = "import fcntl, os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600); fcntl.flock(f, {how}); "
TAKE += "print('held', flush=True); sys.stdin.read()"
WRITE = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE'); "
WRITE += "print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def other():
    """Starts a program that holds something until the test ends."""
    begun = []

    def start(program, path):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        begun.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in begun:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def test_directory_and_lock_are_closed_to_others(tmp_path):
    with single_instance(tmp_path / "state"):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) & 0o027 == 0
        assert stat.S_IMODE((tmp_path / "state" / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("before", "mode", "after"), [(0o755, 0o750, 0o750), (0o2775, 0o750, 0o2750), (0o700, 0o750, 0o700)]
)
def test_rights_that_were_given_before_are_taken_away(tmp_path, before, mode, after):
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(before)
    (state / "lock").write_text("4711\n")
    (state / "lock").chmod(0o644)
    with single_instance(state, mode=mode):
        assert stat.S_IMODE(state.stat().st_mode) == after
        assert stat.S_IMODE((state / "lock").stat().st_mode) == 0o600


def test_the_second_is_told_who_is_the_first(tmp_path, other):
    process = other(TAKE.format(how=fcntl.LOCK_EX), tmp_path / "lock")
    assert holder(tmp_path) == process.pid
    with pytest.raises(Locked, match=rf"process {process.pid}\)"), single_instance(tmp_path):
        pass


def test_rights_are_taken_away_where_setgid_may_not_be_set(tmp_path, monkeypatch):
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o2775)
    chmod = Path.chmod

    def as_under_the_unit(self, mode):
        if mode & stat.S_ISGID:
            raise PermissionError(1, "Operation not permitted")
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", as_under_the_unit)
    with single_instance(state):
        assert stat.S_IMODE(state.stat().st_mode) == 0o750


def test_a_number_in_the_file_is_not_believed(tmp_path, other):
    """It may be of a process that died, and somebody else's by now."""
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")
    assert holder(tmp_path) is None
    process = other(TAKE.format(how=fcntl.LOCK_EX), tmp_path / "lock")
    assert holder(tmp_path) == process.pid


@pytest.mark.parametrize("table", ["", "garbage\n1: FLOCK\n", None])
def test_without_the_kernels_table_the_lock_itself_tells(tmp_path, other, monkeypatch, table):
    place = tmp_path / "table"
    if table is not None:
        place.write_text(table)
    monkeypatch.setattr("sedmd.host.lock_holders.TABLE", place)
    assert holder(tmp_path) is None
    process = other(TAKE.format(how=fcntl.LOCK_EX), tmp_path / "lock")
    (tmp_path / "lock").write_text("1\n")
    assert holder(tmp_path) == -1, "process 1 is no sedmd"
    (tmp_path / "lock").write_text(f"{process.pid}\n")
    assert holder(tmp_path) == process.pid


def test_locks_of_other_files_and_those_that_wait_are_not_of_this_one(tmp_path):
    path = tmp_path / "x"
    path.touch()
    place = f"{os.major(path.stat().st_dev):02x}:{os.minor(path.stat().st_dev):02x}"
    table = (
        f"1: POSIX  ADVISORY  READ  11 {place}:{path.stat().st_ino} 128 128\n"
        f"1: -> POSIX  ADVISORY  WRITE 12 {place}:{path.stat().st_ino} 128 128\n"
        f"2: POSIX  ADVISORY  WRITE 13 {place}:1 0 EOF\n"
        f"3: FLOCK  ADVISORY  WRITE 14 {place}:{path.stat().st_ino} 0 EOF\n"
    )
    assert holders_of(path, table=table) == [
        Holder(pid=11, kind="POSIX", writes=False),
        Holder(pid=14, kind="FLOCK", writes=True),
    ]
    assert holders_of(tmp_path / "none", table=table) == []


@pytest.mark.parametrize("kind", ["pipe", "directory", "link"])
def test_what_is_no_file_is_no_lock(tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    lock = tmp_path / "lock"
    {"pipe": lambda: os.mkfifo(lock), "directory": lock.mkdir, "link": lambda: lock.symlink_to(victim)}[kind]()
    with pytest.raises(NoState), single_instance(tmp_path):
        pass
    assert holder(tmp_path) is None
    assert victim.read_text() == "mine"


def test_who_may_not_is_told_whose_it_is(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "lock").touch()
    monkeypatch.setattr("sedmd.host.lock.os.open", refused)
    monkeypatch.setattr("sedmd.host.lock.os.geteuid", lambda: os.getuid() + 4711)
    with (
        pytest.raises(NoState, match=r"lock belongs to \w+: run this as \w+, or give it back"),
        single_instance(tmp_path),
    ):
        pass


# the ledger


def test_who_holds_the_ledger_is_named_and_waited_for_a_moment_only(tmp_path, other):
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path, clock=lambda: NOW, wait_s=0.05) as ledger:
        process = other(WRITE, path)
        with pytest.raises(LedgerFull, match=rf"process {process.pid} \(python.*\) holds it; expected it for a moment"):
            ledger.events.note("20190612", "x", "text")
        process.stdin.close()
        process.wait(30)
        ledger.events.note("20190612", "x", "text")


def test_who_only_reads_stops_nobody(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path, clock=lambda: NOW, wait_s=0.0) as ledger:
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM event").fetchall()
        ledger.events.note("20190612", "x", "text")
        reader.close()


# the bell


@pytest.fixture
def heard(tmp_path):
    told = queue.SimpleQueue()
    bell = Doorbell(tmp_path, lambda number, user: told.put((number, user)))
    assert bell.start() == ""
    yield told
    bell.stop()
    assert not (tmp_path / NAME).exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "bell"]


def test_the_bell_tells_number_and_user(tmp_path, heard):
    assert ring(tmp_path, 17)
    assert heard.get(timeout=10) == (17, os.getuid())
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_noise_at_the_bell_is_not_heard(tmp_path, heard):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        for noise in (b"", b"x", b"-1", b"1" * 60, b"\xff" * 1000, "²".encode(), b"1\n"):
            made.sendto(noise, str(tmp_path / NAME))
    assert ring(tmp_path, 3)
    assert heard.get(timeout=10)[0] == 3
    assert heard.empty()


def test_nobody_at_home_and_a_bell_that_a_dead_service_left(tmp_path):
    assert not ring(tmp_path, 1)
    assert not ring(tmp_path / "none", 1) if (tmp_path / "none").exists() else True
    (tmp_path / NAME).write_text("left")
    assert not ring(tmp_path, 1)
    bell = Doorbell(tmp_path, lambda number, user: None)
    assert bell.start() == ""
    bell.stop()


def test_a_directory_of_a_long_name_has_a_bell_too(tmp_path):
    state = tmp_path / ("d" * 120)
    state.mkdir()
    told = queue.SimpleQueue()
    bell = Doorbell(state, lambda number, user: told.put(number))
    assert bell.start() == ""
    assert ring(state, 5) and told.get(timeout=10) == 5
    bell.stop()


def test_where_there_can_be_no_socket_it_says_so(tmp_path):
    (tmp_path / NAME).mkdir()
    assert "requests wait for the next scan" in Doorbell(tmp_path, lambda number, user: None).start()


def test_who_asked_is_whom_the_kernel_saw():
    import pwd

    me = pwd.getpwuid(os.getuid()).pw_name
    assert who_asked(me, os.getuid()) == me
    assert who_asked("boss", os.getuid()) == f"{me}, as boss"
    assert who_asked("boss", None) == "boss, by name only"
    assert who_asked("boss", 4_000_000_000).startswith("user 4000000000")
