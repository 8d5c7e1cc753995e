"""The ledger: what it is told it tells again, after any restart; a transaction is whole or not at all."""

import errno
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sedmd.core.job import Job, Outcome, Product
from sedmd.ledger.ledger import FrameRow, KnownFile, Ledger, LedgerError, LedgerFull
from sedmd.ledger.schema import MIGRATIONS
from sedmd.raw.frames import Kind

from .test_night import make

NOW = datetime(2019, 6, 12, 12, tzinfo=UTC)
JOB = Job(
    step="bias",
    night="20190612",
    label="bias 0.1 MHz",
    inputs={"raw": (Path("/raw/a.fits"),)},
    outputs={"bias": Path("/redux/20190612/bias0.1.fits")},
)
PRODUCT = Product(role="bias", path=JOB.outputs["bias"], sha256="ab", size=3, mtime_ns=5)
DONE = Outcome(state="done", figures={"rms": 1.5, "n": 5}, warnings=("a warning",), products=(PRODUCT,), seconds=2.0)


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "state" / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def row(**changes) -> FrameRow:
    frame = changes.pop("frame", make(0, "x [A]", airmass=1.2, notes=("n",)))
    values = {
        "path": Path("/raw/20190612/ifu20190612_04_00_00.fits"),
        "night": "20190612",
        "state": "good" if frame else "quarantined",
        "reason": "" if frame else "it is cut",
        "size": 8400960,
        "mtime_ns": 17,
        "arrived": NOW,
        "rules": "r",
        "frame": frame,
    }
    return FrameRow(**(values | changes))


def test_frames_come_back_as_they_went_in(ledger):
    ledger.frames.put(row())
    ledger.frames.put(row(path=Path("/raw/20190612/bad.fits"), frame=None))
    bad, good = ledger.frames.of_night("20190612")
    assert good == row()
    assert (bad.state, bad.reason, bad.frame) == ("quarantined", "it is cut", None)
    assert ledger.frames.of_night("20190613") == []
    assert ledger.frames.nights() == ["20190612"]
    assert ledger.frames.known_files()[good.path] == KnownFile(size=8400960, mtime_ns=17, rules="r", state="good")
    assert set(ledger.frames.known_files(Path("/raw/20190612"))) == {good.path, bad.path}
    assert ledger.frames.known_files(Path("/raw/2019061")) == {}


def test_a_frame_put_twice_is_one_frame(ledger):
    ledger.frames.put(row())
    ledger.frames.put(row(mtime_ns=18))
    (only,) = ledger.frames.all()
    assert only.mtime_ns == 18


def test_life_of_a_job(ledger):
    ledger.jobs.start("k", JOB)
    assert ledger.jobs.records("20190612")["k"].state == "running"
    again = NOW + timedelta(minutes=1)
    ledger.jobs.finish("k", JOB, Outcome(state="transient", reason="disk"), state="retry", not_before=again)
    record = ledger.jobs.records("20190612")["k"]
    assert (record.state, record.reason, record.tries, record.not_before) == ("retry", "disk", 1, again)
    ledger.jobs.start("k", JOB)
    ledger.jobs.finish("k", JOB, DONE, state="done")
    (job,) = ledger.jobs.of_night("20190612")
    assert (job.state, job.tries, job.seconds, job.figures, job.warnings) == (
        "done",
        2,
        2.0,
        {"rms": 1.5, "n": 5},
        ("a warning",),
    )
    assert ledger.products.by_name("20190612") == {"bias0.1.fits": "k"}
    assert ledger.products.files("20190612") == {PRODUCT.path: (3, 5, "ab")}
    assert [text for *_, text in ledger.events.story("bias 0.1")] == ["bias retry: disk", "bias done in 2.0 s"]


def test_interrupted_jobs_become_due(ledger):
    ledger.jobs.start("k", JOB)
    assert ledger.jobs.release_running() == 1
    assert ledger.jobs.records("20190612") == {}
    ledger.jobs.start("k", JOB)
    ledger.jobs.release("k")
    assert ledger.jobs.records("20190612") == {}


def test_a_job_stopped_on_its_second_try_keeps_its_first(ledger):
    ledger.jobs.start("k", JOB)
    ledger.jobs.finish("k", JOB, Outcome(state="transient", reason="disk"), state="retry")
    ledger.jobs.start("k", JOB)
    ledger.jobs.release("k")
    record = ledger.jobs.records("20190612")["k"]
    assert (record.state, record.tries, record.not_before) == ("retry", 1, None)


def test_failures_are_forgotten_on_request_but_quarantine_is_not(ledger):
    for key, state in (("a", "failed"), ("b", "quarantined"), ("c", "retry")):
        ledger.jobs.start(key, JOB)
        ledger.jobs.finish(key, JOB, Outcome(state=state, reason="r"), state=state)
    assert ledger.jobs.forget_failures(["20190612"]) == 2
    assert list(ledger.jobs.records("20190612")) == ["b"]


def test_products_can_be_forgotten(ledger):
    ledger.jobs.start("k", JOB)
    ledger.jobs.finish("k", JOB, DONE, state="done")
    ledger.products.forget(PRODUCT.path, "20190612", "the file is gone")
    assert ledger.products.by_name("20190612") == {}
    assert ledger.events.story("bias0.1.fits")[0][3] == "the file is gone"


def test_a_failed_transaction_leaves_nothing(ledger):
    ledger.jobs.start("k", JOB)
    broken = Outcome(
        state="done", products=(PRODUCT, Product(role="x", path=Path("/y"), sha256=None, size=1, mtime_ns=1))
    )
    with pytest.raises(sqlite3.IntegrityError):
        ledger.jobs.finish("k", JOB, broken, state="done")
    assert ledger.products.by_name("20190612") == {}
    assert ledger.jobs.records("20190612")["k"].state == "running"


def test_what_is_committed_is_on_the_disk(ledger):
    # 2 is FULL: with less, a loss of power takes the last commits of a ledger in WAL mode
    assert ledger.jobs._store.db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert ledger.jobs._store.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_the_ledger_survives_its_process(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path, clock=lambda: NOW) as first:
        first.frames.put(row())
        first.jobs.start("k", JOB)
    with Ledger.open(path, clock=lambda: NOW, read_only=True) as second:
        assert second.frames.all()[0].frame.kind is Kind.SCIENCE
        assert second.jobs.records("20190612")["k"].state == "running"
        with pytest.raises(LedgerFull, match="readonly"):
            second.events.note("n", "s", "t")


def test_a_ledger_that_takes_one_page_but_has_no_room_is_not_called_well(tmp_path, ledger, monkeypatch):
    before = sorted(tmp_path.rglob("*"))
    ledger.probe()
    assert sorted(tmp_path.rglob("*")) == before

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sedmd.ledger.sqlite.os.posix_fallocate", no_room)
    with pytest.raises(LedgerFull, match="No space left"):
        ledger.probe()
    assert sorted(tmp_path.rglob("*")) == before


def test_versions_of_the_steps(ledger):
    ledger.jobs.put_versions({"bias": 1, "flat": "2b"})
    ledger.jobs.put_versions({"bias": 2})
    assert ledger.jobs.versions() == {"bias": "2"}


def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_content(tmp_path):
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(MIGRATIONS[0][1] + "PRAGMA user_version = 1;")
    connection.execute("INSERT INTO event (time, night, subject, text) VALUES ('t', 'n', 's', 'old')")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="start the service to migrate it"):
        Ledger.open(path, clock=lambda: NOW, read_only=True)
    with Ledger.open(path, clock=lambda: NOW) as ledger:
        assert ledger.events.story("s")[0][3] == "old"
        assert ledger.jobs.versions() == {}


def test_no_ledger_newer_or_other_than_ours(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"this is no database, and long enough to be seen as none" * 100)
    with pytest.raises(LedgerError, match="doctor --rebuild"):
        Ledger.open(path, clock=lambda: NOW)
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(LedgerError, match="install the newer sedmd"):
        Ledger.open(newer, clock=lambda: NOW)


def test_story_finds_parts_of_names_and_takes_wildcards_literally(ledger):
    ledger.events.note("20190612", "M_31", "one")
    ledger.events.note("20190612", "Mx31", "two")
    assert [text for *_, text in ledger.events.story("M_31")] == ["one"]
    assert ledger.events.story("%") == []


def test_a_ledger_of_the_second_version_keeps_its_jobs_and_defers_what_was_incomplete(tmp_path):
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(MIGRATIONS[0][1] + MIGRATIONS[1][1] + "PRAGMA user_version = 2;")
    connection.execute(
        "INSERT INTO job (key, night, step, label, state) VALUES ('k', '20190612', 'bias', 'bias 0.1', 'done')"
    )
    connection.execute(
        "INSERT INTO frame VALUES ('/raw/20190612/a.fits', '20190612', 'incomplete', 'half', 1, 2,"
        " '2019-06-12T05:00:00+00:00', 'r', '', NULL)"
    )
    connection.commit()
    connection.close()
    with Ledger.open(path, clock=lambda: NOW) as ledger:
        assert ledger.jobs.records("20190612")["k"].state == "done"
        assert ledger.jobs.of_night("20190612")[0].inputs == ()
        assert ledger.frames.of_night("20190612")[0].state == "deferred"
        assert ledger.requests.open() == []


def test_who_lost_a_job_books_nothing(ledger):
    ledger.jobs.start("k", JOB, owner="first", lease_until=NOW)
    assert not ledger.jobs.finish("k", JOB, DONE, state="done", owner="second")
    assert ledger.jobs.records("20190612")["k"].state == "running"
    assert ledger.products.by_name("20190612") == {}
    assert ledger.jobs.finish("k", JOB, DONE, state="done", owner="first")
    assert not ledger.jobs.finish("k", JOB, DONE, state="failed", owner="first"), "a job ends once"
    assert ledger.jobs.records("20190612")["k"].state == "done"


def test_jobs_of_dead_owners_and_expired_leases_become_due(ledger):
    ledger.jobs.start("mine", JOB, owner="me", lease_until=NOW + timedelta(hours=1))
    ledger.jobs.start("theirs", JOB, owner="dead", lease_until=NOW + timedelta(hours=1))
    assert ledger.jobs.release_running(owner="me") == 1
    assert list(ledger.jobs.records("20190612")) == ["mine"]
    assert ledger.jobs.release_running(expired_at=NOW) == 0
    assert ledger.jobs.release_running(expired_at=NOW + timedelta(hours=2)) == 1
    assert ledger.jobs.records("20190612") == {}


def test_requests_are_answered_once_and_marks_stay_until_taken_back(ledger):
    number = ledger.requests.ask("redo", "20190612", "x", "ann")
    (request,) = ledger.requests.open()
    assert (request.number, request.verb, request.subject, request.who) == (number, "redo", "x", "ann")
    assert ledger.requests.answer_to(number) is None
    ledger.requests.answer(number, "done")
    assert ledger.requests.open() == []
    assert ledger.requests.answer_to(number) == "done"
    ledger.marks.put("hold", "20190612", "x", "by ann")
    ledger.marks.put("hold", "20190612", "x", "by bob")
    (mark,) = ledger.marks.of_night("20190612", "hold")
    assert mark.text == "by bob"
    assert ledger.marks.remove("hold", "20190612", "x")
    assert not ledger.marks.remove("hold", "20190612", "x")


def test_the_nights_of_many_frames(ledger):
    for night in ("20190611", "20190612", "20200101", ""):
        for number in range(3):
            ledger.frames.put(row(path=Path(f"/raw/{night or 'x'}/ifu_{number}.fits"), night=night))
    assert ledger.frames.nights() == ["20190611", "20190612", "20200101"]
    assert ledger.frames.last_arrival("20190612") == NOW
    assert ledger.frames.last_arrival("20190613") is None
