"""Intake: what is looked at, in which order, in slices, and how often."""

import gzip
import io
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from night.raw_night import SHAPE, on_sky, raw

import sedmd.daemon.intake
import sedmd.run.ingest
from sedmd.core.config import from_table
from sedmd.core.job import Job, Outcome
from sedmd.daemon.intake import Intake
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog

NOW = datetime(2019, 6, 12, 8, tzinfo=UTC)


class Watch:
    """A monotonic clock in the hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def told():
    return io.StringIO()


@pytest.fixture
def intake(tmp_path, watch, told, monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)
    (tmp_path / "raw").mkdir()
    table = {
        "paths": {"raw_root": "raw", "redux_root": "redux"},
        "watch": {"settle_s": 2, "settle_timeout_s": 20, "archive_interval_s": 100, "nights_back": 1},
    }
    settings = from_table(table, origin="test", base=tmp_path)
    rows = []
    with Ledger.open(":memory:", clock=lambda: NOW) as ledger:
        made = Intake(
            settings=settings,
            ledger=ledger,
            report=EventLog(clock=lambda: NOW, stream=told),
            on_frame=rows.append,
            clock=lambda: NOW,
            monotonic=watch,
        )
        made.rows = rows
        yield made


def put(intake, place: str, content: bytes | None = None) -> Path:
    (frame,) = on_sky("x")
    path = intake.settings.paths.raw_root / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(frame.content if content is None else content)
    return path


def turn(intake, watch, seconds: float = 3.0):
    watch.now += seconds
    intake.scan(lambda folders: True)
    return intake.work(10.0)


def test_a_file_is_read_once_it_has_been_still(intake, watch):
    put(intake, "20190612/ifu20190612_04_00_00.fits")
    assert turn(intake, watch, 0) == 0
    assert intake.wait_s() == 2.0
    assert not intake.settled("20190612")
    assert turn(intake, watch, 1.9) == 0
    assert turn(intake, watch, 0.2) == 1
    assert intake.settled("20190612")
    assert intake.wait_s() is None
    assert [turn(intake, watch) for _ in range(3)] == [0, 0, 0]
    assert len(intake.rows) == 1


def test_a_file_that_stops_is_deferred_once_and_taken_when_it_grows(intake, watch, told):
    (frame,) = on_sky("x")
    path = put(intake, "20190612/ifu20190612_04_00_00.fits", frame.content[:5000])
    for _ in range(20):
        turn(intake, watch)
    assert [row.state for row in intake.rows] == ["deferred"]
    assert told.getvalue().count("\n") == 1
    path.write_bytes(frame.content)
    for _ in range(3):
        turn(intake, watch)
    assert [row.state for row in intake.rows] == ["deferred", "good"]


def test_a_deferred_file_is_looked_at_again_when_asked(intake, watch):
    (frame,) = on_sky("x")
    path = put(intake, "20190612/ifu20190612_04_00_00.fits", frame.content[:5000])
    for _ in range(20):
        turn(intake, watch)
    times = path.stat()
    path.write_bytes(frame.content[:5000])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    intake.again()
    for _ in range(3):
        turn(intake, watch)
    assert [row.state for row in intake.rows] == ["deferred"], "nothing new is not told again"


def test_the_newest_night_is_read_first_and_slices_end(intake, watch, monkeypatch):
    order = []
    take_in = sedmd.daemon.intake.take_in

    def slow(path, settings, now, mends):
        watch.now += 1.0
        order.append(path.name)
        return take_in(path, settings, now=now)

    monkeypatch.setattr(sedmd.daemon.intake, "take_in", slow)
    for night, hour in (("20190611", 4), ("20190611", 5), ("20190612", 4), ("20190612", 5)):
        put(intake, f"{night}/ifu{night}_{hour:02d}_00_00.fits")
    turn(intake, watch, 0)
    watch.now += 5
    assert intake.work(1.5) == 2
    assert order == ["ifu20190612_04_00_00.fits", "ifu20190612_05_00_00.fits"]
    assert intake.wait_s() == 0.0, "there is more to do at once"
    assert intake.work(10) == 2


def test_a_job_that_gave_up_on_a_frame_that_moved_is_tried_again(intake, watch):
    path = put(intake, "20190612/ifu20190612_04_00_00.fits")
    turn(intake, watch)
    turn(intake, watch)
    (row,) = intake.ledger.frames.of_night("20190612")
    other = [("raw", "0" * 64)]
    for key, state, inputs in (
        ("gave up", "failed", [("raw", row.frame.checksum)]),
        ("waits", "retry", [("raw", row.frame.checksum)]),
        ("is at fault", "quarantined", [("raw", row.frame.checksum)]),
        ("of another", "failed", other),
    ):
        job = Job(step="cube", night="20190612", label=key, inputs={}, outputs={})
        intake.ledger.jobs.start(key, job, inputs=inputs)
        intake.ledger.jobs.finish(key, job, Outcome(state="transient", reason="no such file"), state=state)
    path.rename(path.with_name("ifu20190612_04_00_00_b.fits"))
    turn(intake, watch)
    turn(intake, watch)
    assert [row.path.name for row in intake.ledger.frames.of_night("20190612")] == ["ifu20190612_04_00_00_b.fits"]
    assert set(intake.ledger.jobs.records("20190612")) == {"is at fault", "of another"}


def test_an_empty_root_where_nights_were_is_an_unmounted_one(intake, watch, told):
    put(intake, "20190612/ifu20190612_04_00_00.fits")
    turn(intake, watch)
    root = intake.settings.paths.raw_root
    (root / "20190612").rename(root.parent / "away")
    assert intake.scan() is False
    assert intake.scan() is False
    assert told.getvalue().count("is it mounted?") == 1
    assert [folder.name for folder in intake.sight.folders] == ["20190612"]
    (root.parent / "away").rename(root / "20190612")
    assert intake.scan() is True
    assert "is back" in told.getvalue()


def test_old_directories_sleep_until_something_changes_in_them(intake, watch):
    for night in ("20150101", "20150102", "20190611", "20190612"):
        put(intake, f"{night}/ifu{night}_04_00_00.fits")
    turn(intake, watch)
    assert [folder.name for folder in intake.sight.folders] == ["20190611", "20190612"]
    put(intake, "20150102/ifu20150102_05_00_00.fits")
    turn(intake, watch)
    assert len(intake.sight.folders) == 2, "the archive is looked at now and then only"
    turn(intake, watch, 101)
    assert [folder.name for folder in intake.sight.folders] == ["20150101", "20150102", "20190611", "20190612"]


def test_nights_are_planned_when_their_afternoon_is_in_sight_too(intake, watch):
    for night in ("20190610", "20190611", "20190612"):
        put(intake, f"{night}/ifu{night}_04_00_00.fits")
    turn(intake, watch)
    nights = ["20150101", "20190610", "20190611", "20190612", "20190613"]
    assert intake.plannable(nights) == ["20190612", "20190613"]


def test_files_without_an_event_are_counted_when_their_directory_was_watched(intake, watch):
    put(intake, "20190612/ifu20190612_04_00_00.fits")
    turn(intake, watch)
    assert intake.hints_missed == 0, "the first scan of a directory has no events to miss"
    path = put(intake, "20190612/ifu20190612_05_00_00.fits")
    intake.hint(path)
    turn(intake, watch)
    assert intake.hints_missed == 0
    put(intake, "20190612/ifu20190612_06_00_00.fits")
    turn(intake, watch)
    assert intake.hints_missed == 0, "its event may still wait to be handled"
    turn(intake, watch)
    assert intake.hints_missed == 1


def test_whatever_a_file_does_to_its_reader_costs_that_file_only(intake, watch, monkeypatch, told):
    take_in = sedmd.daemon.intake.take_in

    def explode(path, settings, now, mends):
        if "_04_" in path.name:
            raise RuntimeError("boom")
        return take_in(path, settings, now=now)

    monkeypatch.setattr(sedmd.daemon.intake, "take_in", explode)
    put(intake, "20190612/ifu20190612_04_00_00.fits")
    put(intake, "20190612/ifu20190612_05_00_00.fits")
    turn(intake, watch)
    turn(intake, watch)
    assert {row.path.name: row.state for row in intake.rows} == {
        "ifu20190612_04_00_00.fits": "quarantined",
        "ifu20190612_05_00_00.fits": "good",
    }
    assert "an internal error, please report it" in told.getvalue()


def test_an_old_night_that_woke_is_awake_after_a_restart_too(intake, watch, told, tmp_path):
    for night in ("20150101", "20150102", "20190611", "20190612"):
        put(intake, f"{night}/ifu{night}_04_00_00.fits")
    turn(intake, watch)
    put(intake, "20150102/ifu20150102_05_00_00.fits")
    turn(intake, watch, 101)
    again = Intake(
        settings=intake.settings,
        ledger=intake.ledger,
        report=EventLog(clock=lambda: NOW, stream=told),
        on_frame=lambda row: None,
        clock=lambda: NOW,
        monotonic=watch,
    )
    again.scan()
    assert [folder.name for folder in again.sight.folders] == ["20150101", "20150102", "20190611", "20190612"]
    again.sleep_night("20150102")
    again.scan()
    assert [folder.name for folder in again.sight.folders] == ["20190611", "20190612"]
    assert intake.ledger.marks.nights("awake") == set()


def test_a_night_that_the_last_service_did_not_finish_is_taken_up_again(intake, watch, told):
    early = raw(datetime(2019, 6, 5, 4, tzinfo=UTC), "x")
    put(intake, early.place, early.content)
    turn(intake, watch)
    turn(intake, watch)
    assert intake.ledger.frames.nights() == ["20190605"]
    for night in ("20190610", "20190611", "20190612"):
        put(intake, f"{night}/ifu{night}_04_00_00.fits")
    again = Intake(
        settings=intake.settings,
        ledger=intake.ledger,
        report=EventLog(clock=lambda: NOW, stream=told),
        on_frame=lambda row: None,
        clock=lambda: NOW,
        monotonic=watch,
    )
    again.scan()
    assert "20190605" in [folder.name for folder in again.sight.folders]


@pytest.mark.parametrize("name", ["20190230", "20199999", "2019061", "20190612x"])
def test_directories_that_are_no_nights_are_left_alone(intake, watch, name):
    put(intake, f"{name}/ifu20190612_04_00_00.fits")
    put(intake, "20190612/ifu20190612_05_00_00.fits")
    turn(intake, watch)
    turn(intake, watch)
    assert [row.path.parent.name for row in intake.rows] == ["20190612"]


def test_a_disk_that_does_not_give_a_frame_defers_it(intake, watch, monkeypatch):
    real = sedmd.run.ingest.read_frame
    faults = [OSError(5, "Input/output error")]

    def read(path, **options):
        if faults:
            raise faults.pop()
        return real(path, **options)

    monkeypatch.setattr(sedmd.run.ingest, "read_frame", read)
    put(intake, "20190612/ifu20190612_04_00_00.fits")
    for _ in range(3):
        turn(intake, watch)
    assert [row.state for row in intake.rows] == ["deferred"]
    intake.again()
    for _ in range(3):
        turn(intake, watch)
    assert [row.state for row in intake.rows] == ["deferred", "good"]


def test_a_frame_that_was_left_out_stays_out_whatever_becomes_of_it(intake, watch):
    (frame,) = on_sky("x")
    path = put(intake, "20190612/ifu20190612_04_00_00.fits", frame.content[:5000])
    for _ in range(20):
        turn(intake, watch)
    intake.exclude(path)
    path.write_bytes(frame.content)
    intake.again()
    for _ in range(3):
        turn(intake, watch)
    assert [row.state for row in intake.rows] == ["deferred"]


def test_a_frame_of_another_night_than_its_directory_is_told(intake, watch, told):
    put(intake, "20190605/ifu20190612_04_00_00.fits")
    put(intake, "20190612/ifu20190612_04_00_00.fits")
    turn(intake, watch)
    turn(intake, watch)
    assert told.getvalue().count("belongs to night 20190612 by its header, but lies in 20190605") == 1


def take_all(intake, watch):
    for _ in range(3):
        turn(intake, watch)


def in_ledger(intake):
    return {
        row.path.name: (row.state, row.frame and row.frame.checksum)
        for row in intake.ledger.frames.of_night("20190612")
    }


def test_a_frame_that_is_gzipped_in_place_is_the_same_frame(intake, watch):
    path = put(intake, "20190612/ifu20190612_04_00_00.fits")
    take_all(intake, watch)
    (checksum,) = [checksum for _, checksum in in_ledger(intake).values()]
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    take_all(intake, watch)
    path.unlink()
    take_all(intake, watch)
    intake.drop_moved("20190612")
    assert in_ledger(intake) == {packed.name: ("good", checksum)}


@pytest.mark.parametrize("together", [True, False])
def test_a_copy_with_a_completed_header_takes_the_place_of_the_first(intake, watch, together):
    """Gzipped in place in the morning: for a while both are there, or the first is gone when the second is seen."""
    short = raw(datetime(2019, 6, 12, 4, tzinfo=UTC), "x", EXPTIME=None)
    full = raw(datetime(2019, 6, 12, 4, tzinfo=UTC), "x")
    path = put(intake, "20190612/ifu20190612_04_00_00.fits", short.content)
    take_all(intake, watch)
    assert [state for state, _ in in_ledger(intake).values()] == ["quarantined"]
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(full.content))
    if together:
        take_all(intake, watch)
    path.unlink()
    take_all(intake, watch)
    intake.drop_moved("20190612")
    assert [(name, state) for name, (state, _) in in_ledger(intake).items()] == [(packed.name, "good")]


@pytest.mark.parametrize("together", [True, False])
def test_a_frame_that_was_left_out_stays_out_when_it_is_gzipped(intake, watch, together):
    path = put(intake, "20190612/ifu20190612_04_00_00.fits")
    take_all(intake, watch)
    (row,) = intake.ledger.frames.of_night("20190612")
    intake.ledger.frames.set_state(row, "forgotten", "left out by ann")
    intake.exclude(path)
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    if together:
        take_all(intake, watch)
    path.unlink()
    take_all(intake, watch)
    intake.drop_moved("20190612")
    assert in_ledger(intake) == {packed.name: ("forgotten", None)}
    intake.ledger.frames.drop(*intake.ledger.frames.of_night("20190612"), "read again")
    intake.forget_known(packed)
    take_all(intake, watch)
    assert [state for state, _ in in_ledger(intake).values()] == ["good"], "retry takes it back"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    take_all(intake, watch)
    intake.drop_moved("20190612")
    assert [(name, state) for name, (state, _) in in_ledger(intake).items()] == [(path.name, "good")]


def test_a_header_that_is_completed_in_place_is_read_again(intake, watch):
    start = datetime(2019, 6, 12, 4, tzinfo=UTC)
    path = put(intake, "20190612/ifu20190612_04_00_00.fits", raw(start, "x", AIRMASS=None).content)
    take_all(intake, watch)
    path.write_bytes(raw(start, "x", AIRMASS=1.1).content)
    os.utime(path, ns=(10**18, 10**18))
    take_all(intake, watch)
    assert [row.frame.airmass for row in intake.rows] == [None, 1.1]
    assert len(intake.ledger.frames.of_night("20190612")) == 1


UNFINISHED = dict.fromkeys(("OBJECT", "NAME", "AIRMASS", "DOMEST", "LAMPCUR", "JD", "ABPAIR"))
START = datetime(2019, 6, 12, 4, tzinfo=UTC)


def put_unfinished(intake, *, age_s: float = 0.0) -> Path:
    """A whole frame as the camera computer leaves it."""
    path = put(intake, "20190612/ifu20190612_04_00_00.fits", raw(START, "x", **UNFINISHED).content)
    written = NOW.timestamp() - age_s
    os.utime(path, (written, written))
    return path


def test_a_frame_in_the_making_waits_for_its_header(intake, watch, told):
    path = put_unfinished(intake)
    for _ in range(10):
        turn(intake, watch, 10)
    assert not intake.rows
    assert not intake.settled("20190612"), "the night must not end before"
    assert intake.wait_s() <= 10.0, "without events the change is found by looking"
    path.write_bytes(raw(START, "x").content)
    for _ in range(4):
        turn(intake, watch, 10)
    assert [(row.state, row.frame.kind, row.frame.name) for row in intake.rows] == [("good", "science", "x")]
    assert intake.settled("20190612")


def test_a_frame_whose_header_never_comes_is_taken_as_it_is_and_read_again_when_it_does(intake, watch):
    path = put_unfinished(intake)
    for _ in range(29):
        turn(intake, watch, 10)
    assert not intake.rows
    for _ in range(4):
        turn(intake, watch, 10)
    (row,) = intake.rows
    assert row.frame.unfinished
    assert "the telescope's cards are missing: OBJECT" in row.frame.reason
    turn(intake, watch, 20000)
    full = path.with_name(path.name + ".gz")
    full.write_bytes(gzip.compress(raw(START, "x").content))
    path.unlink()
    take_all(intake, watch)
    assert [row.frame.name for row in intake.rows[1:]] == ["x"]
    assert [path.name for path in intake.ledger.frames.known_files()] == [full.name]


def test_a_header_that_was_never_finished_long_ago_is_not_waited_for(intake, watch):
    put_unfinished(intake, age_s=301)
    take_all(intake, watch)
    assert [row.frame.unfinished for row in intake.rows] == [True]


def test_a_time_stamp_in_the_future_keeps_nobody_waiting_for_ever(intake, watch):
    put_unfinished(intake, age_s=-1e6)
    for _ in range(34):
        turn(intake, watch, 10)
    assert len(intake.rows) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ifu20190612_04_00_00.FITS", "its name ends in .FITS, expected .fits"),
        ("IFU20190612_04_00_00.fits", "its name is not one of ifu*.fits"),
        ("ifu20190612_04_00_00.Fits.GZ", "its name ends in .Fits.GZ, expected .fits.gz"),
        ("ifu20190612_04_00_00_ä.fits", "characters that no camera writes"),
        ("ifu20190612\n04_00_00.fits", "characters that no camera writes"),
        ("ifu20190612\udcff.fits", "characters that no camera writes"),
    ],
)
def test_what_looks_like_a_frame_and_is_not_read_is_counted_and_told_once(intake, told, name, why):
    path = put(intake, "20190612/ifu20190612_04_00_00x.fits")
    path.rename(path.with_name(name))
    intake.scan()
    intake.scan()
    assert told.getvalue().count("is not read: ") == 1
    assert why in told.getvalue()
    assert len(told.getvalue().splitlines()) == 1
    assert intake.census() == {"misnamed": 1}


@pytest.mark.parametrize("name", ["ifu.fits.tmp", "ifu2019.tmp.fits", ".ifu2019.fits.12", "rc20190612.fits", "x.FITS"])
def test_what_is_no_frame_is_not_told(intake, told, name):
    path = put(intake, "20190612/ifu20190612_04_00_00x.fits")
    path.rename(path.with_name(name))
    intake.scan()
    assert "is not read" not in told.getvalue()


def test_a_link_to_nowhere_is_told_once_and_read_when_it_leads_somewhere(intake, told, watch, tmp_path):
    there = put(intake, "20190612/ifu20190612_04_00_00.fits")
    away = tmp_path / "away"
    there.rename(away)
    there.symlink_to(away)
    away.rename(tmp_path / "elsewhere")
    for _ in range(3):
        intake.scan()
        intake.work(1.0)
    assert told.getvalue().count("is a link to") == 1
    assert [row.state for row in intake.rows] == ["quarantined"]
    (tmp_path / "elsewhere").rename(away)
    for _ in range(3):
        intake.scan()
        intake.work(1.0)
        watch.now += 3
    assert [row.state for row in intake.rows] == ["quarantined", "good"]
