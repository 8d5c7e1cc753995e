"""Many small nights: the same bytes whoever works, however often it is stopped, and what changed is told."""

import io
import json
import random
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import sedmd.run.ingest
from sedmd import cli
from sedmd.ledger.frames import FrameTable
from sedmd.ledger.journal import Journal
from sedmd.ledger.ledger import Ledger
from sedmd.reprocess.reprocess import CHANGES, Years, reprocess
from sedmd.run.event_log import EventLog
from sedmd.run.runner import reduce_nights
from sedmd.workers.engines import Closing, InlineEngine
from sedmd.workers.worker import run_job

from .helpers import configure, products
from .raw_night import SHAPE, Raw, raw

MODULE = "night.learning_steps"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = datetime(2019, 6, 12, tzinfo=UTC)


def small_night(day: datetime, *, lamps: bool = True, number: int = 0) -> list[Raw]:
    """Three exposures; without lamps an earlier night's must serve."""
    clock, frames = day - timedelta(hours=1), []
    for k in range(2):
        frames.append(raw(clock, f"Calib:  bias {k + 1} of 2", EXPTIME=0.0, ADCSPEED=0.1, DOMEST="CLOSED"))
        clock += timedelta(seconds=50)
    for kind, current in (("dome", 1.0), ("Xe", 0.0), ("Hg", 0.0), ("Cd", 0.0)) if lamps else ():
        frames.append(raw(clock, f"Calib:  {kind} 1 of 1", EXPTIME=120.0, LAMPCUR=current, DOMEST="CLOSED"))
        clock += timedelta(seconds=200)
    for k, label in enumerate(("STD-Feige34", f"target{number}", "another")):
        frames.append(raw(day + timedelta(hours=4, minutes=20 * k), label))
    return frames


def years(folder: Path, days: list[int], *, without_lamps: tuple[int, ...] = ()):
    """Settings of a raw root with such nights."""
    settings = configure(folder)
    text = (folder / "sedmd.toml").read_text().replace("night.fake_steps", MODULE)
    text = text.replace("[calibrations]", "[calibrations]\nbias_min_frames = 1\nlamp_min_frames = 1")
    (folder / "sedmd.toml").write_text(text)
    for day in days:
        for frame in small_night(FIRST + timedelta(days=day), lamps=day not in without_lamps, number=day):
            frame.write(settings.paths.raw_root)
    return sedmd.core.config.load(folder / "sedmd.toml")


class Shuffling(Closing):
    """Holds as many jobs as it has workers, and ends them in an order of its own."""

    def __init__(self, workers: int, seed: int) -> None:
        self.workers = workers
        self._random = random.Random(seed)
        self._held: list[tuple[Future, object]] = []

    def submit(self, job, *, timeout_s):
        future: Future = Future()
        self._held.append((future, job))
        return future

    def end_one(self) -> None:
        if not self._held:  # another engine's turn
            return
        future, job = self._held.pop(self._random.randrange(len(self._held)))
        future.set_result(run_job(MODULE, job))

    def close(self, *, kill: bool = False) -> None:
        self._held.clear()


def run(settings, engine, nights=None, *, told=lambda night: None, **options) -> Years:
    nights = nights or sorted(path.name for path in settings.paths.raw_root.iterdir() if _has_evening(path))
    root = settings.paths.redux_root
    root.mkdir(exist_ok=True)
    journal = Journal(root)
    with engine, Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, journal=journal) as ledger:
        return reprocess(
            nights,
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=lambda: NOW,
            report=EventLog(clock=lambda: NOW, redux_root=root, stream=None),
            on_night=told,
            **options,
        )


def _has_evening(folder: Path) -> bool:
    return any("_04_00_00" in path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def shuffled(monkeypatch):
    """Jobs of an engine that shuffles end when the program waits for one."""
    from sedmd.run import many_nights as window

    def patch(engine: Shuffling) -> Shuffling:
        heard = window.NightQueue._hear

        def hear(self):
            engine.end_one()
            return heard(self)

        monkeypatch.setattr(window.NightQueue, "_hear", hear)
        return engine

    return patch


DAYS = [0, 1, 2, 3, 40, 200]
WITHOUT_LAMPS = (2, 40)


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory) -> dict[str, str]:
    """The products of one night after the other, each reduced by itself."""
    folder = tmp_path_factory.mktemp("turn") / "nights"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)
        return _in_turn(folder)


def _in_turn(folder: Path) -> dict[str, str]:
    settings = years(folder, DAYS, without_lamps=WITHOUT_LAMPS)
    for day in DAYS:
        night = f"{FIRST + timedelta(days=day):%Y%m%d}"
        before = f"{FIRST + timedelta(days=day - 1):%Y%m%d}"
        with (
            InlineEngine(MODULE) as engine,
            Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger,
        ):
            reduce_nights(
                [folder / "raw" / before, folder / "raw" / night],
                settings=settings,
                ledger=ledger,
                engine=engine,
                clock=lambda: NOW,
                only_night=night,
                report=EventLog(clock=lambda: NOW, stream=io.StringIO()),
            )
    return products(settings)


@pytest.mark.parametrize("workers, open_nights, seed", [(1, 1, 0), (3, 7, 1), (40, 4, 2)])
def test_the_products_are_those_of_one_night_after_the_other(tmp_path, in_turn, shuffled, workers, open_nights, seed):
    settings = years(tmp_path / "years", DAYS, without_lamps=WITHOUT_LAMPS)
    summary = run(settings, shuffled(Shuffling(workers, seed)), open_nights=open_nights)
    assert products(settings) == in_turn
    assert summary.nights == len(DAYS)
    journals = "".join(path.read_text() for path in settings.paths.redux_root.glob("*/journal.jsonl"))
    assert journals.count('"step":"cube"') == len(list(settings.paths.redux_root.glob("*/e3d_*"))), "made twice"
    assert any("20190614: using calibrations from 20190613" in line for line in summary.fallbacks)
    # 32 nights later nothing may stand in any more
    assert summary.missing and all(line.startswith("20190722") for line in summary.missing)
    cubes = {path.parent.name: path.read_text() for path in settings.paths.redux_root.glob("*/e3d_*_another.fits")}
    assert "exposures" in cubes["20190615"], "nothing was learned from earlier nights: the test would not see an order"
    assert "exposures" not in cubes["20190612"] + cubes["20191229"]
    given = {path.parent.name: path.read_text() for path in settings.paths.redux_root.glob("*/std-correction.fits")}
    assert "'20190614 1 5000.0:" in given["20190615"] and "; 20190612 3 5000.0:" in given["20190615"]
    assert "5000.0:" not in given["20190612"] + given["20191229"]


def test_an_interrupted_run_goes_on_and_does_nothing_twice(tmp_path, in_turn, shuffled):
    settings = years(tmp_path / "years", DAYS, without_lamps=WITHOUT_LAMPS)

    class Stopped(Exception):
        pass

    stopped = shuffled(Shuffling(3, 5))
    end_one, ends = stopped.end_one, []

    def stop():
        ends.append(1)
        if len(ends) == 30:
            raise Stopped
        end_one()

    stopped.end_one = stop
    with pytest.raises(Stopped):
        run(settings, stopped)
    told: list = []
    first = run(settings, InlineEngine(MODULE), told=told.append)
    assert products(settings) == in_turn
    assert 0 < first.jobs == sum(one.jobs for one in told)
    assert [one.done for one in told] == list(range(1, len(DAYS) + 1))
    assert told[-1].seconds_left == 0.0 and told[-1].nights_an_hour > 0
    again = run(settings, InlineEngine(MODULE))
    assert again.jobs == 0
    assert products(settings) == in_turn


def test_only_the_open_nights_are_held(tmp_path, monkeypatch):
    from sedmd.run.many_nights import NightQueue

    settings = years(tmp_path, list(range(6)))
    held: list[int] = []
    heard = NightQueue._hear
    monkeypatch.setattr(NightQueue, "_hear", lambda self: (held.append(len(self._open)), heard(self))[1])
    run(settings, InlineEngine(MODULE), open_nights=3)
    assert max(held) == 3


def test_a_night_is_read_and_asked_about_once_however_many_jobs_it_has(tmp_path, monkeypatch):
    from sedmd.run import many_nights as window

    settings = years(tmp_path, [0, 1, 2])
    asked: list[str] = []
    remember, of_night = window.remember, FrameTable.of_night

    def counted(settings, ledger, night, **options):
        asked.append(f"before {night}")
        return remember(settings, ledger, night, **options)

    begun: list[str] = []
    opened = Ledger.open

    def traced(*args, **options):
        ledger = opened(*args, **options)
        ledger._db.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
        return ledger

    monkeypatch.setattr(Ledger, "open", traced)
    monkeypatch.setattr(window, "remember", counted)
    monkeypatch.setattr(FrameTable, "of_night", lambda self, night: asked.append(night) or of_night(self, night))
    summary = run(settings, InlineEngine(MODULE))
    assert summary.jobs > 50
    nights = ("20190612", "20190613", "20190614")
    assert {night: asked.count(f"before {night}") for night in nights} == dict.fromkeys(nights, 1)
    # a disk is waited for once when a job ends and the next begins, and for the frames and the end of a night
    assert len(begun) < summary.jobs + 20 * len(nights)
    # once to plan, twice for the table at the end
    assert max(asked.count(night) for night in nights) <= 3


def test_what_changed_is_told_also_when_it_was_interrupted(tmp_path, monkeypatch):
    import night.learning_steps as steps

    settings = years(tmp_path, [0, 1])
    first = run(settings, InlineEngine(MODULE))
    assert {one.state for one in first.changes} == {"appeared"}
    monkeypatch.setenv("FAKE_BRIGHTNESS", "1.1")
    monkeypatch.setitem(steps.STEP_VERSIONS, "calibrate", "2")
    (lost,) = (settings.paths.redux_root / "20190612").glob("sp_STD*.fits")
    lost.unlink()  # before the new version is made: it appears

    class Stopped(Exception):
        pass

    class Breaking(InlineEngine):
        def submit(self, job, *, timeout_s):
            if job.night == "20190613" and job.step == "calibrate" and "target" in job.label:
                raise Stopped
            return super().submit(job, timeout_s=timeout_s)

    with pytest.raises(Stopped):
        run(settings, Breaking(MODULE))
    second = run(settings, InlineEngine(MODULE))
    assert {one.state for one in second.changes} == {"appeared", "changed"}
    by_name = {(one.night, one.product): one for one in second.changes}
    assert by_name["20190612", "STD-Feige34_obs1"].state == "appeared"
    changed = by_name["20190613", "another_obs1"]
    assert (changed.state, round(changed.ratio, 6), changed.quality) == ("changed", 1.1, (1, 1))
    assert changed.scatter < 1e-6 and abs(changed.shift_a) < 0.2
    assert not list(settings.paths.redux_root.rglob(".former*"))
    again = run(settings, InlineEngine(MODULE))
    assert again.jobs == 0
    assert again.changes == second.changes, "what was done before the interruption is told as well"


def test_a_new_root_is_compared_with_the_former_one(tmp_path, monkeypatch, capsys):
    settings = years(tmp_path, [0])
    run(settings, InlineEngine(MODULE))
    before = products(settings)
    monkeypatch.setattr("sedmd.workers.engine_choice.engine_for", lambda jobs, **_: InlineEngine(MODULE))
    monkeypatch.setenv("FAKE_BRIGHTNESS", "2")
    told = tmp_path / "told.json"
    code = cli.main(
        [
            "reprocess",
            "all",
            "--config",
            str(tmp_path / "sedmd.toml"),
            "--redux",
            str(tmp_path / "new"),
            "--json",
            str(told),
        ]
    )
    out, err = capsys.readouterr()
    assert code == 0
    assert "2 nights" in out and "3 changed" in out and "median 2.0000" in out
    assert "20190612" in err and "2 of 2 nights" in err  # the directory of the afternoon before is one, too
    assert products(settings) == before
    assert {one["state"] for one in json.loads(told.read_text())["changes"]} == {"changed"}
    assert json.loads((tmp_path / "new" / "20190612" / CHANGES).read_text())


def test_alone_each_makes_its_nights_and_one_run_over_all_makes_it_whole(tmp_path, in_turn, monkeypatch, capsys):
    """A job array: lines of nights at the same time, each with a ledger of its own; then one command over all."""
    settings = years(tmp_path / "years", DAYS, without_lamps=WITHOUT_LAMPS)
    monkeypatch.setattr("sedmd.workers.engine_choice.engine_for", lambda jobs, **_: InlineEngine(MODULE))
    config = ["--config", str(tmp_path / "years" / "sedmd.toml")]
    for nights in ("20190615..20191231", "20190612..20190613", "20190614"):  # in any order
        cli.main(["reprocess", nights, *config, "--alone"])
    assert not (settings.paths.state / "ledger.sqlite").exists()
    made = products(settings)
    assert made.keys() < in_turn.keys(), "a night without lamps found an earlier one's: the line is not alone"
    capsys.readouterr()
    cli.main(["reprocess", "20190613..20191231", *config])  # what rests on a night that is not named knows it
    assert products(settings) == in_turn
    done = {line[:8]: line for line in capsys.readouterr().err.splitlines()}
    assert "6 nights taken up from their journals" in done.values()
    assert "nothing to do" in done["20190613"]


def test_two_do_not_work_on_one_night(tmp_path, monkeypatch):
    from sedmd.host.lock import Locked
    from sedmd.reprocess.reprocess import night_lock

    settings = years(tmp_path, [0])
    with night_lock(settings.paths.redux_root, "20190612"), pytest.raises(Locked, match="reprocesses 20190612"):
        run(replace(settings), InlineEngine(MODULE))
