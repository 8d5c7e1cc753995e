"""Each check on a machine that is well, and on machines that are not."""

import fcntl
import os
import sqlite3
import stat
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError
from pathlib import Path, PurePosixPath

import pytest

from sedmd.core.config import from_table
from sedmd.doctor import CHECKS, Environment, Finding, data, examine, host, render, unit
from sedmd.doctor.environment import Loops, kernel_clock
from sedmd.doctor.loops import compiled_loops
from sedmd.doctor.unit import cache, command, compare, may_write, seconds
from sedmd.host.unit_file import parse_unit
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.schema import MIGRATIONS

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
VERSIONS = {"python": "3.11.7", "numpy": "1.26.4", "watchdog": "6.0.0"}
NEEDS = ("python>=3.11", "numpy>=1.26", "watchdog<8,>=6", 'PyQt5>=5.15; extra == "view"')


def version_of(name):
    if name not in VERSIONS:
        raise PackageNotFoundError(name)
    return VERSIONS[name]


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "raw" / "20261124").mkdir(parents=True)
    night = tmp_path / "raw" / "20261125"
    night.mkdir()
    frame = night / "ifu20261125_07_00_00.fits"
    frame.write_bytes(b"SIMPLE")
    os.utime(frame, (NOW.timestamp() - 3600,) * 2)
    (tmp_path / "redux").mkdir()
    table = {
        "paths": {"raw_root": str(tmp_path / "raw"), "redux_root": str(tmp_path / "redux")},
        "jobs": {"workers": 2},
    }
    return from_table(table, origin="/etc/sedmd/sedmd.toml", base=tmp_path)


@pytest.fixture
def machine(tmp_path):
    proc = tmp_path / "proc"
    (proc / "sys/fs/inotify").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:       25000000 kB\nMemFree:  1 kB\n")
    (proc / "sys/fs/inotify/max_user_watches").write_text("192536\n")
    (proc / "sys/fs/inotify/max_user_instances").write_text("128\n")
    return Environment(
        now=lambda: NOW,
        user_id=lambda: 1000,
        requirements=lambda: NEEDS,
        version_of=version_of,
        mounts=lambda: "/dev/sda1 / ext4 rw 0 0\n",
        free_bytes=lambda path: 10**12,
        # a raw root that belongs to somebody else, also where the tests run as root
        may=lambda path, mode: mode != os.W_OK and os.access(path, mode),
        kernel_clock=lambda: (True, 0.001),
        loops=lambda: Loops(folders=(Path("/var/cache/sedmd/numba"),) * 3),
        open_files_limit=lambda: 8192,
        proc=proc,
        unit=tmp_path / "etc" / "sedmd.service",
        fstab=tmp_path / "etc" / "fstab",
        patience_s=20.0,
    )


def levels(findings):
    return [finding.level for finding in findings]


def only(findings) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_a_healthy_machine(settings, machine):
    findings = examine(settings, environment=machine)
    assert levels(findings) == ["ok"] * len(CHECKS)
    text = render(findings)
    assert text.endswith(f"{len(CHECKS)} checks: no errors, no warnings")
    assert "->" not in text
    assert "2 nights, newest 20261125" in text


def test_looking_changes_nothing(settings, machine, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    examine(settings, environment=machine)
    assert sorted(tmp_path.rglob("*")) == before


def test_this_very_machine_can_be_examined(settings):
    findings = examine(settings)
    assert {finding.subject for finding in findings} >= {"raw root", "ledger", "clock", "inotify", "memory"}
    assert not any("cannot be checked" in finding.found for finding in findings)


def test_a_check_that_fails_is_a_finding(settings, machine):
    def broken(settings, environment):
        raise KeyError("what?")

    finding = only(examine(settings, environment=machine, checks=[("thing", broken)]))
    assert (finding.level, finding.subject) == ("error", "thing")
    assert "KeyError: 'what?'" in finding.found


def test_a_check_that_hangs_is_left(settings, machine):
    release = threading.Event()

    def hangs(settings, environment):
        release.wait(60)
        return []

    begun = time.monotonic()
    quick = replace(machine, patience_s=0.1)
    findings = examine(settings, environment=quick, checks=[("disk", hangs), ("clock", host.clock)])
    release.set()
    assert time.monotonic() - begun < 30
    assert levels(findings) == ["error", "ok"]
    assert "did not answer in 0.1 s" in findings[0].found


def test_every_question_may_go_unanswered(settings, machine):
    def refuse(*args):
        raise OSError(5, "Input/output error")

    names = ("now", "requirements", "version_of", "mounts", "free_bytes", "may", "kernel_clock", "open_files_limit")
    names += ("loops",)
    for name in names:
        findings = examine(settings, environment=replace(machine, **{name: refuse}))
        assert "error" in levels(findings), name
        assert any("Input/output error" in finding.found for finding in findings), name


# libraries


def test_old_and_missing_libraries(settings, machine):
    old = replace(machine, requirements=lambda: [*NEEDS, "scipy>=1.11", "numpy>=2"])
    findings = host.libraries(settings, old)
    assert levels(findings) == ["error", "error"]
    assert findings[0].found == "scipy is missing; scipy>=1.11 is needed"
    assert findings[1].found == "numpy 1.26.4; >=2 is needed"
    assert findings[1].advice == "pip install 'numpy>=2'"


def test_old_python(settings, machine):
    finding = only(host.libraries(settings, replace(machine, requirements=lambda: ["python>=3.14"])))
    assert (finding.level, finding.found) == ("error", "python 3.11.7; >=3.14 is needed")


def test_extras_are_not_asked_for(settings, machine):
    assert only(host.libraries(settings, machine)).found == "python 3.11.7, numpy 1.26.4, watchdog 6.0.0"


def test_a_checkout_has_no_needs(settings, machine):
    def absent():
        raise PackageNotFoundError("sedmd")

    assert only(host.libraries(settings, replace(machine, requirements=absent))).level == "warning"


# places


def test_absent_raw_root(settings, machine, tmp_path):
    gone = from_table(
        {"paths": {"raw_root": str(tmp_path / "no"), "redux_root": str(tmp_path / "redux")}}, origin="x", base=tmp_path
    )
    finding = only(data.raw_root(gone, machine))
    assert finding.level == "error"
    assert "is not there" in finding.found


def test_raw_root_that_is_planned_but_not_mounted(settings, machine):
    machine.fstab.parent.mkdir()
    machine.fstab.write_text(f"nas:/raw {settings.paths.raw_root} nfs4 ro 0 0\n")
    finding = only(data.raw_root(settings, machine))
    assert finding.level == "error"
    assert finding.found.endswith(f"nas:/raw is not mounted on {settings.paths.raw_root}")
    assert finding.advice == f"mount {settings.paths.raw_root}"
    mounted = replace(machine, mounts=lambda: f"nas:/raw {settings.paths.raw_root} nfs4 ro 0 0\n")
    assert "nfs4, 2 nights" in only(data.raw_root(settings, mounted)).found


def test_raw_root_without_nights(settings, machine):
    for night in settings.paths.raw_root.iterdir():
        night.rename(night.with_name("old" + night.name))
    finding = only(data.raw_root(settings, machine))
    assert finding.level == "warning"
    assert "no night directories" in finding.found


def test_raw_root_that_may_be_written(settings, machine):
    findings = data.raw_root(settings, replace(machine, may=lambda path, mode: True))
    assert levels(findings) == ["ok", "warning"]
    assert "can be written" in findings[1].found
    as_root = replace(machine, may=lambda path, mode: True, user_id=lambda: 0)
    assert levels(data.raw_root(settings, as_root)) == ["ok"]


def test_raw_data_that_cannot_be_read(settings, machine):
    newest = settings.paths.raw_root / "20261125"
    shut = replace(machine, may=lambda path, mode: mode != os.W_OK and path != newest)
    assert only(data.raw_root(settings, shut)).found.endswith("night 20261125 cannot be read")
    assert only(data.raw_root(settings, replace(machine, may=lambda path, mode: False))).level == "error"


def test_little_room(settings, machine):
    finding = only(data.redux_root(settings, replace(machine, free_bytes=lambda path: 4 * 10**9)))
    assert finding.level == "error"
    assert "4.0 GB free; below 5.0 GB no job starts" in finding.found


def test_redux_root_that_cannot_be_written(settings, machine):
    unwritable = replace(settings, paths=replace(settings.paths, redux_root=Path("/proc/sedmd-redux")))
    finding = only(data.redux_root(unwritable, machine))
    assert finding.level == "error"
    assert "/proc cannot be written" in finding.found


def test_redux_root_is_made_at_the_start(settings, machine, tmp_path):
    later = replace(settings, paths=replace(settings.paths, redux_root=tmp_path / "a" / "b"))
    finding = only(data.redux_root(later, machine))
    assert finding.level == "ok"
    assert "is made at the start" in finding.found


@pytest.mark.parametrize(
    "kind, level", [("nfs4", "error"), ("fuse.sshfs", "error"), ("tmpfs", "warning"), ("xfs", "ok")]
)
def test_state_needs_a_local_disk_that_lasts(settings, machine, kind, level):
    mounts = f"x / ext4 rw 0 0\nx {settings.paths.redux_root} {kind} rw 0 0\n"
    findings = data.state_dir(settings, replace(machine, mounts=lambda: mounts))
    assert levels(findings)[-1] == level
    if level != "ok":
        assert kind in findings[-1].found
        assert "state_dir" in findings[-1].advice


def test_lock_names_its_holder(settings, machine):
    assert "none" in only(data.lock(settings, machine)).found
    settings.paths.state.mkdir()
    with (settings.paths.state / "lock").open("w") as file:
        file.write("4711\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        # who wrote what is in the file does not count: the kernel knows who holds the lock
        assert only(data.lock(settings, machine)).found == f"process {os.getpid()} runs on this redux root"


# ledger


@pytest.fixture
def ledger(settings):
    path = settings.paths.state / "ledger.sqlite"
    with Ledger.open(path, clock=lambda: NOW):
        pass
    return path


def test_a_whole_ledger(settings, machine, ledger):
    finding = only(data.ledger(settings, machine))
    assert finding.level == "ok"
    assert finding.found.endswith(f"whole, version {len(MIGRATIONS)}")


def test_a_ledger_in_use(settings, machine, ledger):
    with Ledger.open(ledger, clock=lambda: NOW):
        assert only(data.ledger(settings, machine)).level == "ok"


def test_a_ledger_of_another_version(settings, machine, ledger):
    connection = sqlite3.connect(ledger)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    finding = only(data.ledger(settings, machine))
    assert finding.level == "error"
    assert "has version 99" in finding.found
    connection = sqlite3.connect(ledger)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    assert only(data.ledger(settings, machine)).found.endswith(f"becomes {len(MIGRATIONS)} at the next start")


def filled(ledger, rows: int):
    connection = sqlite3.connect(ledger)
    with connection:
        connection.executemany(
            "INSERT INTO event (time, night, subject, text) VALUES ('t', 'n', ?, ?)",
            ((f"subject {i}", "x" * 200) for i in range(rows)),
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def test_a_damaged_ledger(settings, machine, ledger):
    filled(ledger, 2000)
    body = bytearray(ledger.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 20000] = b"\xa5" * 20000
    ledger.write_bytes(body)
    finding = only(data.ledger(settings, machine))
    assert finding.level == "error"
    assert "is damaged" in finding.found
    assert "sedmd doctor --rebuild" in finding.advice


def test_what_is_no_ledger(settings, machine, ledger):
    ledger.write_bytes(b"no database at all" * 1000)
    assert "is damaged (file is not a database)" in only(data.ledger(settings, machine)).found


def test_a_ledger_too_large_to_check_in_time(settings, machine, ledger):
    filled(ledger, 5000)
    assert data.quick_check(ledger, until=time.monotonic() - 1) == (len(MIGRATIONS), "", False)
    assert data.quick_check(ledger, until=time.monotonic() + 60) == (len(MIGRATIONS), "", True)
    finding = only(data.ledger(settings, replace(machine, patience_s=-1.0)))
    assert finding.level == "warning"


# the machine


@pytest.mark.parametrize("year", [1970, 2025, 2099])
def test_impossible_clock(settings, machine, year):
    finding = only(host.clock(settings, replace(machine, now=lambda: NOW.replace(year=year))))
    assert finding.level == "error"
    assert f"{year}-11-25" in finding.found


def test_a_frame_from_the_future(settings, machine):
    late = replace(machine, now=lambda: NOW - timedelta(hours=2))
    finding = only(host.clock(settings, late))
    assert finding.level == "error"
    assert finding.found == "20261125/ifu20261125_07_00_00.fits was written 3600 s in the future"


def test_unsynchronised_clock(settings, machine):
    assert only(host.clock(settings, replace(machine, kernel_clock=lambda: (False, 16.0)))).level == "warning"
    assert only(host.clock(settings, replace(machine, kernel_clock=lambda: None))).level == "ok"


def test_kernel_clock_answers_or_says_nothing():
    state = kernel_clock()
    assert state is None or (isinstance(state[0], bool) and 0 <= state[1] < 1e4)


def test_few_watches(settings, machine):
    (machine.proc / "sys/fs/inotify/max_user_watches").write_text("10\n")
    finding = only(host.inotify(settings, machine))
    assert finding.level == "warning"
    assert "fs.inotify.max_user_watches is 10; at least 68 are needed" in finding.found
    polled = replace(machine, mounts=lambda: "nas:/ / nfs4 rw 0 0\n")
    assert only(host.inotify(settings, polled)).found.startswith("not needed: nfs4 is polled")


def test_little_memory(settings, machine):
    (machine.proc / "meminfo").write_text("MemTotal: 3000000 kB\n")
    finding = only(host.memory(settings, machine))
    assert (finding.level, finding.advice) == ("warning", "set [jobs] workers = 1")
    (machine.proc / "meminfo").unlink()
    assert only(host.memory(settings, machine)).level == "warning"


def test_few_files(settings, machine):
    assert only(host.open_files(settings, replace(machine, open_files_limit=lambda: 100))).level == "warning"
    assert only(host.open_files(settings, replace(machine, open_files_limit=lambda: -1))).found == "no limit"


# the unit file

GOOD = """
[Unit]
RequiresMountsFor=/d/raw /d/redux
[Service]
ExecStart=/bin/sh run --config /etc/sedmd/sedmd.toml
TimeoutStopSec=3min
ProtectSystem=strict
ReadOnlyPaths=/d/raw
ReadWritePaths=/d/redux
ProtectHome=yes
StateDirectory=sedmd
CacheDirectory=sedmd
Environment=XDG_CACHE_HOME=/var/cache/sedmd
"""
PLACES = {
    "raw": PurePosixPath("/d/raw"),
    "redux": PurePosixPath("/d/redux"),
    "state": PurePosixPath("/d/redux/.sedmd"),
    "drain_timeout_s": 120.0,
}


def compared(text: str = GOOD, **places):
    return [(finding.level, finding.found) for finding in compare(parse_unit(text), **{**PLACES, **places})]


def test_a_unit_file_that_agrees():
    assert compared() == []
    assert compared(state=PurePosixPath("/var/lib/sedmd")) == []


@pytest.mark.parametrize(
    "old, new, level, text",
    [
        ("RequiresMountsFor=/d/raw /d/redux", "RequiresMountsFor=/d/redux", "warning", "raw_root /d/raw is not in Req"),
        ("RequiresMountsFor=/d/raw /d/redux", "RequiresMountsFor=/d", "warning", "raw_root /d/raw is not in Req"),
        ("ReadOnlyPaths=/d/raw", "ReadOnlyPaths=/d/raw\nReadWritePaths=/d/raw/x /d/raw", "error", "raw_root /d/raw is"),
        ("ReadWritePaths=/d/redux", "ReadWritePaths=", "error", "redux_root /d/redux is not in ReadWritePaths"),
        ("TimeoutStopSec=3min", "TimeoutStopSec=90", "warning", "running jobs are cut off"),
        ("TimeoutStopSec=3min", "", "warning", "running jobs are cut off"),
        ("ReadOnlyPaths=/d/raw", "ReadOnlyPaths=/d/raw /data/elsewhere", "warning", "/data/elsewhere in the unit file"),
    ],
)
def test_a_unit_file_that_does_not(old, new, level, text):
    assert old in GOOD
    found = compared(GOOD.replace(old, new))
    assert any(entry[0] == level and text in entry[1] for entry in found), found


def test_data_below_home_are_hidden():
    found = compared(redux=PurePosixPath("/home/sedm/redux"), state=PurePosixPath("/var/lib/sedmd"))
    assert ("error", "/home/sedm/redux is hidden from the service by ProtectHome") in found


def test_the_nearest_rule_decides():
    text = parse_unit("[Service]\nReadOnlyPaths=/d\nReadWritePaths=/d/redux\n")
    assert not may_write(text, PurePosixPath("/d/raw"))
    assert may_write(text, PurePosixPath("/d/redux/2026"))
    assert may_write(text, PurePosixPath("/elsewhere"))
    assert not may_write(parse_unit("[Service]\nProtectSystem=strict\n"), PurePosixPath("/elsewhere"))


@pytest.mark.parametrize(
    "text, value",
    [("90", 90), ("2min 30s", 150), ("1h", 3600), ("500ms", 0.5), ("infinity", None), ("", None), ("x", None)],
)
def test_time_spans(text, value):
    assert seconds(text) == value


def test_command():
    assert command(parse_unit(GOOD)) == ("/bin/sh", "/etc/sedmd/sedmd.toml")
    assert command(parse_unit("[Service]\nExecStart=-/x run --config=/y\n")) == ("/x", "/y")
    assert command({}) == ("", "")


def test_installed_unit_with_a_drop_in(settings, machine):
    machine.unit.parent.mkdir()
    machine.unit.write_text(GOOD)
    findings = unit.systemd(settings, machine)
    assert {finding.level for finding in findings} == {"warning", "error"}
    folder = machine.unit.with_name("sedmd.service.d")
    folder.mkdir()
    raw, redux = settings.paths.raw_root, settings.paths.redux_root
    (folder / "paths.conf").write_text(
        "[Unit]\nRequiresMountsFor=\n"
        f"RequiresMountsFor={raw} {redux}\n"
        f"[Service]\nReadOnlyPaths=\nReadOnlyPaths={raw}\nReadWritePaths=\nReadWritePaths={redux}\n"
    )
    findings = unit.systemd(settings, machine)
    assert levels(findings) == ["ok"], findings
    (folder / "program.conf").write_text("[Service]\nExecStart=\nExecStart=/no/sedmd run --config /etc/other.toml\n")
    texts = [finding.found for finding in unit.systemd(settings, machine)]
    assert "/no/sedmd of ExecStart is not executable" in texts
    assert "the unit file reads /etc/other.toml, this is /etc/sedmd/sedmd.toml" in texts


# rendering


def test_rendering():
    findings = [
        Finding("ok", "clock", "fine"),
        Finding("warning", "memory", "little", "set [jobs] workers = 1"),
        Finding("error", "raw root", "two\nlines", "mount it"),
    ]
    assert render(findings).splitlines() == [
        "ok       clock     fine",
        "warning  memory    little",
        "                   -> set [jobs] workers = 1",
        "error    raw root  two lines",
        "                   -> mount it",
        "3 checks: 1 error, 1 warning",
    ]
    assert render([]) == "0 checks: no errors, no warnings"


def test_the_shipped_permissions_of_a_lock_do_not_matter(settings, machine):
    settings.paths.state.mkdir()
    lock = settings.paths.state / "lock"
    lock.write_text("")
    lock.chmod(stat.S_IRUSR)
    assert "none" in only(data.lock(settings, machine)).found


@pytest.mark.parametrize(
    ("told", "level", "said"),
    [
        (Loops(folders=(Path("/c"), Path("/c"))), "ok", "2, compiled before; for this user cached in /c"),
        (Loops(folders=(Path("/c"),) * 9, compiled_now=4, seconds=31.4), "ok", "9, 4 compiled just now in 31 s"),
        (Loops(folders=(Path("/c"), None)), "warning", "cannot be cached"),
        (Loops(fault="ImportError: no llvmlite (exit status 1)"), "error", "no llvmlite"),
    ],
)
def test_compiled_loops(settings, machine, told, level, said):
    finding = only(compiled_loops(settings, replace(machine, loops=lambda: told)))
    assert (finding.level, bool(finding.advice)) == (level, level != "ok")
    assert said in finding.found


def test_compiling_may_take_longer_than_a_look_at_a_disk(settings, machine):
    slow = replace(machine, patience_s=0.05, loops=lambda: time.sleep(0.5) or Loops(folders=(Path("/c"),)))
    assert levels(examine(settings, environment=slow, checks=[("compiled loops", compiled_loops)])) == ["ok"]


@pytest.mark.parametrize(
    ("lines", "place", "writable"),
    [
        ("CacheDirectory=sedmd\nEnvironment=A=b XDG_CACHE_HOME=/var/cache/sedmd", "/var/cache/sedmd/numba", True),
        ("Environment=XDG_CACHE_HOME=/var/cache/sedmd", "/var/cache/sedmd/numba", False),
        ('ReadWritePaths=/data\nEnvironment="NUMBA_CACHE_DIR=/data/code"', "/data/code", True),
        ("CacheDirectory=sedmd", None, False),
    ],
)
def test_where_the_service_keeps_compiled_loops(lines, place, writable):
    found = parse_unit(f"[Service]\nProtectSystem=strict\n{lines}")
    kept = cache(found)
    assert (kept and str(kept)) == place
    assert bool(kept and may_write(found, kept)) == writable
    everywhere = dict.fromkeys(("raw", "redux", "state"), PurePosixPath("/data"))
    said = [one.found for one in compare(found, **everywhere, drain_timeout_s=0.0)]
    assert any("cache compiled loops" in text for text in said) != writable
