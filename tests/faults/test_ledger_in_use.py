"""What may happen to the ledger while a service writes it: readers that never end, files that go, lost pages."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time

import pytest
from night.helpers import products
from night.raw_night import whole_night

import sedmd.ledger.sqlite
from sedmd.daemon.messages import Scan, Sweep
from sedmd.ledger.ledger import LedgerError
from sedmd.ledger.rebuild import rebuild
from sedmd.run.context import ENDED

from .audit import booked, faults_of, install, now
from .daemon import configure, running, wait_for, wait_until_done
from .nights import undisturbed
from .test_watch import FRAMES, NIGHT
from .turned import case

READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT * FROM event").fetchall()
print("reads", flush=True)
sys.stdin.read()
"""


def test_a_reader_that_never_ends_is_named_and_the_log_is_short_again_after_it(tmp_path, monkeypatch, tell):
    """An hour of it by the growth of the log: the limit is put where a small night gets."""
    monkeypatch.setattr(sedmd.ledger.sqlite, "LONG_LOG_BYTES", 300_000)
    with case(tmp_path) as one:
        path = one.settings.paths.state / "ledger.sqlite"
        log = path.with_name("ledger.sqlite-wal")
        idle = sqlite3.connect(path)  # a window that is open reads only now and then
        idle.execute("SELECT count(*) FROM frame").fetchone()
        command = [sys.executable, "-c", READER, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            reader.stdout.readline()
            one.write(FRAMES)
            one.turn_until(lambda: one.ledger.marks.of_night(NIGHT, ENDED))
            one.turn_until(lambda: one.said(f"MB: process {reader.pid} (python") == 1)
            longest = log.stat().st_size
            for _ in range(3):
                scanned_s = one.service.intake.sight.scanned_s
                one.turn_until(lambda before=scanned_s: one.service.intake.sight.scanned_s > before)
            assert one.said("reads the ledger and does not end. End it") == 1
        one.turn_until(lambda: one.said("its log is short again") == 1)
        assert log.stat().st_size < 300_000 < longest
        idle.close()
        tell(f"the log grew to {longest / 1e6:.1f} MB under a reader, who was named; then {log.stat().st_size} bytes")


def test_pages_that_are_lost_under_who_only_reads_are_told_in_a_sentence(tmp_path):
    with case(tmp_path) as one:
        one.write(FRAMES)
        one.turn_until(lambda: one.ledger.marks.of_night(NIGHT, ENDED))
        path = one.settings.paths.state / "ledger.sqlite"
        one.ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        with path.open("r+b") as file:
            for page in range(1, path.stat().st_size // 4096):
                file.seek(page * 4096)
                file.write(random.Random(page).randbytes(4096))
        one.ledger._db.execute("PRAGMA shrink_memory")
        one.service.inbox.put(Sweep())
        with pytest.raises(LedgerError, match=r"the ledger is damaged \(.*\); stop the service and run: sedmd doctor"):
            one.service._step()


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_of_the_ledger_that_goes_is_noticed_by_the_next_scan(tmp_path, suffix, how):
    with case(tmp_path) as one:
        one.write(FRAMES[:3])
        one.turn_until(lambda: one.known() == 3)
        path = one.settings.paths.state / f"ledger.sqlite{suffix}"
        content = path.read_bytes()
        path.rename(tmp_path / "away")
        if how == "replaced":
            path.write_bytes(content)
        one.service.inbox.put(Scan())
        with pytest.raises(LedgerError, match=rf"ledger\.sqlite{suffix} was removed or replaced .* doctor --rebuild"):
            one.service._step()


@pytest.mark.slow(seconds=30)
def test_a_ledger_deleted_under_a_service_costs_no_job(tmp_path, tell):
    night = whole_night()
    expected = undisturbed(tmp_path / "undisturbed", night)
    settings = configure(tmp_path / "service")
    install(settings)
    for frame in night:
        frame.write(settings.paths.raw_root)
    folder = settings.paths.redux_root / NIGHT
    with running(settings, FAKE_STEP_SECONDS="0.1") as daemon:
        wait_for(lambda: booked(settings) > 8, daemon)
        begun = time.monotonic()
        for path in settings.paths.state.glob("ledger.sqlite*"):
            path.unlink()
        assert daemon.process.wait(30) == 2  # not to be started again by systemd
        noticed_s = time.monotonic() - begun
        assert daemon.said("was removed or replaced") == 1
        assert daemon.tracebacks() == []
    answer = rebuild(settings, clock=now)
    made = {path: path.stat().st_mtime_ns for path in folder.glob("*.fits")}
    install(settings)
    with running(settings) as daemon:
        wait_until_done(settings, len(night), daemon)
        assert daemon.stop() == 0
    assert faults_of(settings) == []
    assert products(settings) == expected
    kept = sum(path.stat().st_mtime_ns == stamp for path, stamp in made.items() if path.exists())
    tell(f"noticed after {noticed_s:.1f} s; {answer}; {kept} of {len(made)} products were not made again")
    assert kept >= 8
