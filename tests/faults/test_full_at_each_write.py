"""A disk that is full at one write of a night, whichever it is: with room again the night is complete, and the same.

Every file that is opened to be written and every commit of the ledger counts as a write. Before the chosen one all room
of a small file system is taken, and given back some turns of the loop later.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest
from night.helpers import products
from night.raw_night import NIGHT, calibrations, on_sky

import sedmd.daemon.service
import sedmd.run.nightend
from sedmd.host.files import DiskFull, write_bytes_atomic
from sedmd.ledger.journal import NAME, read
from sedmd.ledger.ledger import Ledger, LedgerFull
from sedmd.run.context import ENDED

from .audit import faults_of, install, now
from .mounts import fill, mounted
from .nights import undisturbed
from .turned import case

FRAMES = [*calibrations(), *on_sky("STD-Feige34", "x")]
#: So long there is no room, seconds.
FULL_S = 0.3


class Writes:
    """Counts what is written below a folder, and takes all room before the write of a number."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.count = 0
        self.fatal = 0
        self.what = ""
        self.filler: Path | None = None
        self._counting = False
        really_open, connect, writes = os.open, sqlite3.connect, self

        def watched(path, flags, *rest, **more):
            if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(folder)):
                writes.one(Path(path).name)
            return really_open(path, flags, *rest, **more)

        class Watched(sqlite3.Connection):
            def execute(self, sql, *given):
                if sql == "COMMIT":
                    writes.one("commit")
                return super().execute(sql, *given)

        patch.setattr(os, "open", watched)
        patch.setattr(sqlite3, "connect", lambda *given, **more: connect(*given, factory=Watched, **more))

    def begin(self, fatal: int) -> None:
        """Count from here; the write of this number finds the disk full."""
        self.count, self.fatal, self._counting = 0, fatal, True

    def one(self, what: str) -> None:
        if not self._counting:
            return
        self.count += 1
        if self.count == self.fatal:
            self._counting = False
            self.what = what
            self.filler = fill(self.folder)
            self.full_at = time.monotonic()

    def give_back(self) -> None:
        assert self.filler is not None
        self.filler.unlink()
        self.filler = None


def untold(settings) -> list[str]:
    """What is in the ledger and not in the journal, from which it would have to be made again."""
    entries = list(read(settings.paths.redux_root / NIGHT / NAME))
    frames = {entry["row"]["path"] for entry in entries if entry["what"] == "frame"}
    done = {entry["key"] for entry in entries if entry["what"] == "job" and entry["state"] == "done"}
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
        missing = [job.label for job in ledger.jobs.of_night(NIGHT) if job.state == "done" and job.key not in done]
        return [*missing, *(str(path) for path in ledger.frames.known_files() if str(path) not in frames)]


def one_night(folder: Path, small: Path, fatal: int, patch: pytest.MonkeyPatch):
    """Play the night with the disk full at a write: (writes counted, what it was, settings)."""
    patch.setattr(sedmd.daemon.service, "STALL_S", 0.1)
    place = {"redux": small / "redux", "min_free_mb": 0, "retry_after_s": [0.1] * 3}
    writes = Writes(small, patch)
    with case(folder, before=install, **place) as one:
        writes.begin(fatal)
        one.write(FRAMES)

        def over() -> bool:
            if writes.filler is not None and time.monotonic() - writes.full_at > FULL_S:
                writes.give_back()
            report = one.settings.paths.redux_root / NIGHT / "night.txt"
            return (
                writes.filler is None
                and one.known() == len(FRAMES)
                and bool(one.ledger.marks.of_night(NIGHT, ENDED))
                and not one.service.nights.plans[NIGHT].active
                and report.exists()
                and not one.ledger.journal.pending
            )

        one.turn_until(over)
        return writes, one.settings


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), FRAMES)


def survives(tmp_path: Path, expected, fatal: int) -> str:
    """What was being written at that number; empty if there are not so many writes."""
    small = tmp_path / f"small{fatal}"
    with mounted(small, megabytes=8), pytest.MonkeyPatch.context() as patch:
        writes, settings = one_night(tmp_path / f"service{fatal}", small, fatal, patch)
        patch.undo()
        where = f"full at write {fatal}, {writes.what}"
        assert faults_of(settings) == [], where
        assert products(settings) == expected, where
        assert untold(settings) == [], where
    return writes.what


@pytest.mark.parametrize("fatal", [1, 60, 120, 180])
def test_a_disk_that_is_full_at_one_write_costs_nothing(tmp_path, expected, fatal):
    assert survives(tmp_path, expected, fatal)


@pytest.mark.slow(seconds=300)
def test_a_disk_that_is_full_at_any_write_costs_nothing(tmp_path, expected, tell):
    """Every seventh by default; `FULL_EVERY=1` takes each."""
    step, found = int(os.environ.get("FULL_EVERY", "7")), []
    for fatal in range(1, 10_000, step):
        what = survives(tmp_path, expected, fatal)
        if not what:
            break
        found.append(what)
    commits = found.count("commit")
    tell(f"full at {len(found)} of about {fatal} writes in turn, {commits} of them commits: always the same night")
    assert len(found) > 100 / step


def test_the_end_of_a_night_that_cannot_be_booked_comes_again(tmp_path, monkeypatch):
    with case(tmp_path) as one:
        put, refused = one.ledger.marks.put, []

        def full_once(kind, *given):
            if kind == ENDED and not refused:
                refused.append(kind)
                raise LedgerFull("the ledger cannot be written now (disk full)")
            put(kind, *given)

        monkeypatch.setattr(sedmd.daemon.service, "STALL_S", 0.1)
        monkeypatch.setattr(one.ledger.marks, "put", full_once)
        one.write(FRAMES)
        one.turn_until(lambda: one.ledger.marks.of_night(NIGHT, ENDED))
        assert refused == [ENDED]
        assert (one.settings.paths.redux_root / NIGHT / "night.txt").exists()
        assert one.said("finished: 2 spectra") == 1


def test_a_report_for_which_there_was_no_room_is_written_later(tmp_path, monkeypatch):
    write, refused = write_bytes_atomic, []

    def full_once(content, path, **more):
        if not refused:
            refused.append(path.name)
            raise DiskFull("night.txt: 0.0 MB do not fit")
        return write(content, path, **more)

    monkeypatch.setattr(sedmd.run.nightend, "write_bytes_atomic", full_once)
    with case(tmp_path) as one:
        one.write(FRAMES)
        one.turn_until(lambda: one.said("the report can be written again") == 1)
        assert refused == ["night.txt"]
        assert one.said("night.txt was not written: night.txt: 0.0 MB do not fit. It will be retried") == 1
        assert "2 of 2 exposures" in (one.settings.paths.redux_root / NIGHT / "night.txt").read_text()
