"""Header cards corrected by an operator: with and without a service, kept through a rebuild, and taken back."""

import io
import re
from datetime import timedelta

import pytest

import sedmd.run.ingest
from sedmd.ledger.journal import Journal
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.rebuild import rebuild
from sedmd.run.event_log import EventLog
from sedmd.run.runner import reduce_nights
from sedmd.workers.engines import InlineEngine

from .helpers import NOW, configure, night_is_done, products, service, stop, wait_for
from .raw_night import EVENING, NIGHT, SHAPE, calibrations, on_sky, raw
from .test_operator import ask, story
from .test_reduce import write


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def settings(tmp_path):
    return configure(tmp_path)


def reduce(settings, **changes):
    """Reduce in one shot, with a journal as the command keeps it."""
    report = EventLog(clock=lambda: NOW, redux_root=settings.paths.redux_root, stream=io.StringIO())
    journal = Journal(settings.paths.redux_root)
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, journal=journal) as ledger:
        return reduce_nights(
            [settings.paths.raw_root],
            settings=settings,
            ledger=ledger,
            engine=InlineEngine(settings.jobs.steps_module),
            clock=lambda: NOW,
            report=report,
            **changes,
        )


def digests(settings) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in settings.paths.raw_root.rglob("*.fits")}


def bad_night():
    """A frame without an exposure time, and a good one."""
    return [*calibrations(), *on_sky("good"), raw(EVENING + timedelta(hours=1), "bad", EXPTIME=None)]


def test_a_quarantined_frame_is_corrected_reduced_and_after_undo_quarantined_again(settings, capsys):
    write(settings, bad_night())
    files = digests(settings)
    assert reduce(settings).code == 1
    before = products(settings)
    out = ask(capsys, settings, "mend", "ifu20190612_05_00_00.fits", "EXPTIME=900", "AIRMASS=1.1")
    assert "corrected: EXPTIME=900, AIRMASS=1.1; 1 files will be reread" in out
    assert "done by the next sedmd run or sedmd reduce" in out
    listed = ask(capsys, settings, "mend", "--list", NIGHT)
    assert re.search(r"20190612  ifu20190612_05_00_00 +EXPTIME=900 ", listed)
    assert reduce(settings).code == 0
    after = products(settings)
    assert f"{NIGHT}/sp_bad_obs1.fits" in after
    assert {name: digest for name, digest in after.items() if not re.search("bad|_05_00_00|sky-flat", name)} == {
        name: digest for name, digest in before.items() if "sky-flat" not in name
    }, "of all but the sky, which all targets tell"
    cube = next((settings.paths.redux_root / NIGHT).glob("e3d_*_bad.fits")).read_text()
    assert "corrected ifu20190612_05_00_00 {'AIRMASS': 1.1, 'EXPTIME': 900}" in cube
    told = story(settings, "ifu20190612_05_00_00")
    assert any("corrected by hand: EXPTIME = 900, was absent" in text for text in told)
    told_now = ask(capsys, settings, "why", "ifu20190612_05_00_00.fits")
    assert "in force: EXPTIME=900 (for ifu20190612_05_00_00 by " in told_now
    assert "sedmd mend ifu20190612_05_00_00 --undo AIRMASS takes it back" in told_now
    assert "in force" not in ask(capsys, settings, "why", "ifu20190612_04_00_00")
    assert reduce(settings).code == 0, "nothing is left to do"

    assert "correction removed: EXPTIME=900" in ask(
        capsys, settings, "mend", "ifu20190612_05_00_00", "--undo", "exptime"
    )
    assert reduce(settings).code == 1
    assert products(settings) == before
    assert "correction removed: AIRMASS=1.1" in ask(capsys, settings, "mend", "ifu20190612_05_00_00", "--undo")
    out = ask(capsys, settings, "mend", "ifu20190612_05_00_00", "--undo", code=1)
    assert "refused: no such correction" in out
    assert "no card is corrected" in ask(capsys, settings, "mend", "--list")
    assert digests(settings) == files, "raw files are never written to"


def test_a_correction_of_a_night_makes_all_of_it_anew_and_undo_brings_back_the_former_bytes(settings, capsys):
    write(settings, [*calibrations(), *on_sky("STD-Feige34", "x")])
    reduce(settings)
    before = products(settings)
    out = ask(capsys, settings, "mend", NIGHT, "GAIN=2.0")
    assert "24 files will be reread" in out
    write(settings, [raw(EVENING + timedelta(hours=3), "late")])
    reduce(settings)
    cubes = sorted((settings.paths.redux_root / NIGHT).glob("e3d_*.fits"))
    assert len(cubes) == 3
    assert all("{'GAIN': 2.0}" in path.read_text() for path in cubes), "one that came later too"
    ask(capsys, settings, "mend", NIGHT, "--undo")
    reduce(settings)
    after = products(settings)
    assert {name: digest for name, digest in after.items() if not re.search("late|_07_00_00|sky-flat", name)} == {
        name: digest for name, digest in before.items() if "sky-flat" not in name
    }, "of all but the sky, which all targets tell"


def test_a_range_is_what_lies_between_two_names(settings, capsys):
    write(settings, [*calibrations(), *on_sky("a", "b", "c", "d")])
    reduce(settings)
    out = ask(capsys, settings, "mend", "ifu20190612_04_20_00..ifu20190612_04_40_00", "NAME=same", "OBJECT=same")
    assert "2 files will be reread" in out
    reduce(settings)
    names = {path.name for path in (settings.paths.redux_root / NIGHT).glob("sp_*.fits")}
    assert names == {"sp_a_obs1.fits", "sp_same_obs1.fits", "sp_same_obs2.fits", "sp_d_obs1.fits"}


def test_a_corrected_time_moves_a_frame_to_its_night(settings, capsys):
    write(settings, [*calibrations(), *on_sky("x")])
    wrong = raw(EVENING + timedelta(hours=1), "y", UTC="2019:200:05:00:00.0", JD=None)
    write(settings, [wrong])
    reduce(settings)
    assert not (settings.paths.redux_root / NIGHT / "sp_y_obs1.fits").exists()
    assert "1 files will be reread" in ask(capsys, settings, "mend", "ifu20190612_05_00_00", "UTC=2019:163:05:00:00.0")
    reduce(settings)
    assert (settings.paths.redux_root / NIGHT / "sp_y_obs1.fits").exists()
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        assert ledger.frames.nights() == [NIGHT]
    rebuild(settings, clock=lambda: NOW)
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        assert ledger.frames.nights() == [NIGHT]


def test_a_rebuilt_ledger_keeps_the_corrections_and_does_nothing_again(settings, capsys):
    write(settings, bad_night())
    reduce(settings)
    ask(capsys, settings, "mend", "ifu20190612_05_00_00", "EXPTIME=900")
    reduce(settings)
    before = products(settings)
    rebuild(settings, clock=lambda: NOW)
    labels = []
    assert reduce(settings, progress=lambda done, total, label: labels.append(label)).code == 0
    assert not [label for label in labels if not label.startswith("reading")]
    assert products(settings) == before
    assert "EXPTIME=900" in ask(capsys, settings, "mend", "--list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ifu20190612_09_09_09", "EXPTIME=900"), "refused: nothing is named"),
        (("ifu20190612_04_00_00..ifu20190801_04_00_00", "EXPTIME=900"), "refused: "),
    ],
)
def test_a_correction_of_nothing_is_refused(settings, capsys, words, said):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    assert said in ask(capsys, settings, "mend", *words, code=1)


@pytest.mark.parametrize("words", [("ifu20190612_04_00_00",), ("ifu20190612_04_00_00", "EXPTIME=abc"), ()])
def test_a_command_that_cannot_be_meant_ends_with_the_code_of_usage(settings, capsys, words):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    ask(capsys, settings, "mend", *words, code=2)


def test_with_a_running_service_a_correction_and_its_undo_take_effect_at_once(settings, capsys):
    night = bad_night()
    bad = settings.paths.redux_root / NIGHT / "sp_bad_obs1.fits"
    with service(settings) as daemon:
        write(settings, night)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        before = products(settings)
        assert "1 files will be reread" in ask(capsys, settings, "mend", "ifu20190612_05_00_00", "EXPTIME=900")
        wait_for(bad.exists, daemon)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        assert "correction removed" in ask(capsys, settings, "mend", "ifu20190612_05_00_00", "--undo")
        wait_for(lambda: not bad.exists(), daemon)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        assert products(settings) == before
        assert stop(daemon)[0] == 0
    assert any(re.search("corrected by hand: EXPTIME", text) for text in story(settings, "bad"))


def test_a_correction_of_a_night_does_not_bring_back_a_frame_that_was_left_out(settings, capsys):
    write(settings, [*calibrations(), *on_sky("x", "y")])
    rejected = settings.paths.redux_root / NIGHT / "sp_y_obs1.fits"
    with service(settings) as daemon:
        wait_for(rejected.exists, daemon)
        ask(capsys, settings, "forget", "ifu20190612_04_20_00")
        wait_for(lambda: not rejected.exists(), daemon)
        assert "23 files will be reread" in ask(capsys, settings, "mend", NIGHT, "GAIN=2.0")
        wait_for(lambda: "'GAIN': 2.0" in made(settings, "e3d_*_x.fits"), daemon)
        wait_for(lambda: night_is_done(settings, 24), daemon)
        assert not rejected.exists()
        assert stop(daemon)[0] == 0


def made(settings, pattern: str) -> str:
    return "".join(path.read_text() for path in (settings.paths.redux_root / NIGHT).glob(pattern))
