"""Whole nights through the one-shot reduction, with quick steps that tell what they were given."""

import dataclasses
import io
import re
import sys
import types
from datetime import timedelta
from pathlib import Path

import pytest

import sedmd.run.ingest
from sedmd import cli
from sedmd.after.report.nightreport import _trouble
from sedmd.core.errors import FrameFault, NeedsObserver
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.run.runner import ALL_GOOD, CALIBRATIONS_MISSING, SOME_LOST, Summary, reduce_nights, table
from sedmd.run.status import snapshot
from sedmd.run.status_text import render
from sedmd.workers.engines import InlineEngine

from . import fake_steps
from .helpers import NOW, configure, products
from .raw_night import EVENING, NIGHT, SHAPE, calibrations, on_sky, raw, shuffled, whole_night

pytestmark = pytest.mark.usefixtures("small_detector")


@pytest.fixture
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def settings(tmp_path):
    return configure(tmp_path)


def reduce(settings, *, raw=None, **changes) -> Summary:
    report = EventLog(clock=lambda: NOW, redux_root=settings.paths.redux_root, stream=io.StringIO())
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        return reduce_nights(
            raw or [settings.paths.raw_root],
            settings=settings,
            ledger=ledger,
            engine=InlineEngine(settings.jobs.steps_module),
            clock=lambda: NOW,
            report=report,
            **changes,
        )


def write(settings, frames):
    for frame in frames:
        frame.write(settings.paths.raw_root)


def test_every_frame_has_its_fate(settings):
    write(settings, whole_night())
    summary = reduce(settings)
    outcome = {row.frame: (row.outcome, row.why) for row in summary.rows}
    assert len(outcome) == len(whole_night())
    assert summary.code == SOME_LOST
    assert summary.missing == ()
    assert outcome["ifu20190612_04_20_00.fits"][0] == outcome["ifu20190612_04_40_00.fits"][0] == "ZTF19aapair_SEDM.txt"
    assert outcome["ifu20190612_05_20_00.fits"] == ("cube; awaiting observer", "no object stands out")
    assert outcome["ifu20190612_06_20_00.fits"] == ("ignored", "a focus frame")
    assert outcome["ifu20190612_06_40_00.fits"][0] == "cube quarantined"
    assert "duplicate" in outcome["ifu20190612_05_00_00_copy.fits"][1]
    assert "is cut" in outcome["ifu20190612_10_00_00.fits"][1]
    assert "ADCSPEED is missing" in outcome["ifu20190612_10_20_00.fits"][1]
    text = table(summary.rows)
    assert re.search(r"ifu20190612_04_20_00.fits +science +ZTF19aapair_SEDM.txt", text)


def test_products_have_the_names_of_the_recipe(settings):
    write(settings, whole_night())
    reduce(settings)
    made = {Path(name).name for name in products(settings)}
    assert made >= {
        "bias0.1.fits",
        "bias2.0.fits",
        "dome.fits",
        "std-correction.fits",
        "e3d_crr_b_ifu20190612_04_20_00_ZTF19aapair.fits",
        "sp_ZTF19aapair.fits",
        "ZTF19aapair_SEDM.txt",
        "ZTF19aapair_SEDM.pdf",
        "STD-BD+33d2642_obs1_SEDM.txt",
        "lonely_obs1_SEDM.txt",
        "M_31__nucleus__x_y_obs1_SEDM.txt",
    }
    assert "ifu20190612_05_00_00_copy" not in " ".join(made)


def test_running_again_does_nothing(settings):
    write(settings, whole_night())
    first = reduce(settings)
    before = {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.rglob("*.fits")}
    labels = []
    again = reduce(settings, progress=lambda done, total, label: labels.append(label))
    assert again == first
    assert before == {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.rglob("*.fits")}
    assert not [label for label in labels if not label.startswith("reading")]


def test_a_lost_product_is_made_again(settings):
    write(settings, whole_night())
    reduce(settings)
    before = products(settings)
    (settings.paths.redux_root / NIGHT / "Hg.fits").unlink()
    (settings.paths.redux_root / NIGHT / "sp_ZTF19aapair.fits").write_text("trampled on")
    reduce(settings)
    assert products(settings) == before


@pytest.mark.parametrize("seed", range(3))
def test_frames_that_come_in_portions_and_any_order_give_the_same_products(settings, tmp_path, seed):
    night = [frame for frame in whole_night() if "_copy" not in frame.place]
    write(settings, night)
    reduce(settings)
    other = configure(tmp_path / "other")
    portion = shuffled(night, seed)
    for number in range(0, len(portion), 9):
        write(other, portion[number : number + 9])
        reduce(other)
    assert products(other) == products(settings)


def test_what_later_frames_make_obsolete_is_set_aside(settings):
    write(settings, [*calibrations(), *on_sky("x [A]")])
    reduce(settings)
    assert f"{NIGHT}/sp_x_obs1.fits" in products(settings)
    write(settings, on_sky("x [A]", "x [B]"))
    summary = reduce(settings)
    made = products(settings)
    assert f"{NIGHT}/sp_x.fits" in made
    assert f"{NIGHT}/sp_x_obs1.fits" not in made
    assert (settings.paths.redux_root / NIGHT / "superseded" / "sp_x_obs1.fits").exists()
    assert summary.code == 0


def with_steps(settings, **changed):
    """The configuration with other versions of some steps, and those that fail."""
    module = types.ModuleType("night.other_steps")
    failing = {name for name, version in changed.items() if version == "fails"}

    def step(job):
        if job.step in failing:
            raise FrameFault("as given")
        return fake_steps.STEPS[job.step](job)

    module.STEPS = dict.fromkeys(fake_steps.NAMES, step)
    module.STEP_VERSIONS = fake_steps.STEP_VERSIONS | changed
    sys.modules["night.other_steps"] = module
    return dataclasses.replace(settings, jobs=dataclasses.replace(settings.jobs, steps_module="night.other_steps"))


def test_a_page_is_never_that_of_another_spectrum(settings):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    folder = settings.paths.redux_root / NIGHT
    page = folder / "x_obs1_SEDM.pdf"
    assert page.exists()
    # made anew, but its page cannot be drawn: the spectrum is good all the same, and has no page
    summary = reduce(with_steps(settings, calibrate="2", page="fails"))
    assert [failed.split(": ")[1] for failed in summary.failed] == ["page x_obs1"] and summary.code == 1
    assert all(row.good for row in summary.rows)
    assert (folder / "sp_x_obs1.fits").exists() and not page.exists()
    assert reduce(with_steps(settings, calibrate="2")).code == 0
    assert page.exists()
    # the spectrum itself is lost: neither it nor its page may pass for good
    reduce(with_steps(settings, calibrate="fails"))
    assert not (folder / "sp_x_obs1.fits").exists() and not page.exists()
    assert not (folder / "superseded" / page.name).exists(), "what is easily drawn again is not kept"


def test_no_spectrum_stays_of_an_extraction_that_awaits_the_observer_now(settings, monkeypatch):
    """It would be sent as that of the present extraction."""
    write(settings, [*calibrations(), *on_sky("x", "y")])
    reduce(settings)
    folder = settings.paths.redux_root / NIGHT
    gone, kept = ({f"ext_{name}_obs1.fits", f"sp_{name}_obs1.fits"} for name in "xy")
    assert gone | kept <= {path.name for path in folder.iterdir()}
    extract = fake_steps.STEPS["extract"]

    def has_concern(job):
        if job.label.startswith("x"):
            raise NeedsObserver("confidence 0.93")
        return extract(job)

    monkeypatch.setitem(fake_steps.STEPS, "extract", has_concern)
    monkeypatch.setitem(fake_steps.STEP_VERSIONS, "extract", "2")
    reduce(settings)
    left = {path.name for path in folder.iterdir()}
    assert not gone & left and kept <= left
    assert gone <= {path.name for path in (folder / "superseded").iterdir()}


def test_a_page_that_somebody_changed_is_kept(settings):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    page = settings.paths.redux_root / NIGHT / "x_obs1_SEDM.pdf"
    page.write_text("with my notes")
    reduce(with_steps(settings, calibrate="2", page="fails"))
    assert (page.parent / "superseded" / page.name).read_text() == "with my notes"


def test_missing_calibrations_are_listed_and_have_a_code_of_their_own(settings):
    frames = [frame for frame in calibrations() if b"Calib:  Cd" not in frame.content]
    write(settings, [*frames, *on_sky("x", "fast one", ADCSPEED=1.0)])
    summary = reduce(settings)
    assert summary.code == CALIBRATIONS_MISSING
    assert summary.missing == (
        "20190612: Cd: no frames (at least 3 needed)",
        "20190612: bias 1.0 MHz: no frames (at least 5 needed; there are biases of 0.1, 2.0 MHz)",
    )
    assert {row.outcome for row in summary.rows if row.what == "science"} == {"cube waiting"}


def test_failed_calibration_is_named_as_the_cause(settings, monkeypatch):
    monkeypatch.setenv("FAKE_BAD_CD", "1")
    write(settings, [*calibrations(), *on_sky("x")])
    summary = reduce(settings)
    assert summary.code == CALIBRATIONS_MISSING
    assert summary.missing == ("20190612: Cd: Cd: 0 lines found, at least 3 expected",)
    monkeypatch.delenv("FAKE_BAD_CD")
    assert reduce(settings).code == CALIBRATIONS_MISSING, "the same frames would fail again: quarantined until asked"
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        assert ledger.jobs.forget(NIGHT, list(ledger.jobs.records(NIGHT)), states=("quarantined",)) == 1
    assert reduce(settings).code == 0


def test_a_fault_of_the_program_costs_that_target_only(settings):
    write(settings, [*calibrations(), *on_sky("Bug", "x")])
    summary = reduce(settings)
    assert summary.code == SOME_LOST
    assert [line for line in summary.failed if "ZeroDivisionError" in line]
    assert f"{NIGHT}/sp_x_obs1.fits" in products(settings)


def test_raw_data_that_moved_are_the_same_frames(settings, tmp_path):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    before = {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.rglob("*.fits")}
    elsewhere = tmp_path / "archive"
    settings.paths.raw_root.rename(elsewhere)
    summary = reduce(settings, raw=[elsewhere])
    assert summary.code == 0
    assert before == {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.rglob("*.fits")}


def test_one_night_of_several(settings):
    write(settings, [*calibrations(), *on_sky("x")])
    assert {row.night for row in reduce(settings, only_night=NIGHT).rows} == {NIGHT}
    assert reduce(settings, only_night="20190613").rows == ()


def test_of_several_nights_the_oldest_comes_first(settings):
    """A later one rests on what it told of the instrument; how many jobs there are is known from the start."""
    for days, speed in ((0, 2.0), (1, 0.1)):
        for number in range(5):
            start = EVENING + timedelta(seconds=50 * number) - timedelta(days=days)
            write(settings, [raw(start, f"Calib:  bias {number + 1} of 5", EXPTIME=0.0, ADCSPEED=speed)])
    told = []
    reduce(settings, progress=lambda done, total, label: told.append((done, total, label)))
    assert [one for one in told if "reading" not in one[2]] == [
        (1, 2, "bias bias 0.1 MHz"),
        (2, 2, "bias bias 2.0 MHz"),
    ]


def test_night_log_tells_each_step(settings):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    log = (settings.paths.redux_root / NIGHT / "sedmd.log").read_text()
    assert re.search(r"2019-06-13 12:00:00 UT  20190612  calibrate +x_obs1 +done in \d+\.\d s", log)


# the command


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def one_process(monkeypatch):
    import sedmd.workers.engine_choice

    monkeypatch.setattr(sedmd.workers.engine_choice, "engine_for", lambda jobs, **_: InlineEngine(jobs.steps_module))


@pytest.mark.usefixtures("one_process")
def test_reduce_command_ends_with_the_table_and_the_code(settings, tmp_path, capsys):
    write(settings, [*calibrations(), *on_sky("x")])
    code = run("reduce", settings.paths.raw_root, "--redux", tmp_path / "out", "--config", tmp_path / "sedmd.toml")
    assert code == 0
    assert re.search(r"ifu20190612_04_00_00.fits +science +x_obs1_SEDM.txt", capsys.readouterr().out)


@pytest.mark.usefixtures("one_process")
def test_reduce_command_names_what_is_missing(settings, tmp_path, capsys):
    write(settings, on_sky("x"))
    code = run(
        "reduce", settings.paths.raw_root / NIGHT, "--redux", tmp_path / "out", "--config", tmp_path / "sedmd.toml"
    )
    out = capsys.readouterr().out
    assert code == CALIBRATIONS_MISSING
    assert "Calibrations missing:\n  20190612: dome: no frames" in out
    assert "Give the directory of the day before too" in out


@pytest.mark.usefixtures("one_process")
def test_status_and_why_without_a_service(settings, tmp_path, capsys):
    write(settings, whole_night())
    reduce(settings)
    assert run("status", "--config", tmp_path / "sedmd.toml") == 0
    out = capsys.readouterr().out
    assert "service not running" in out
    assert re.search(r"ZTF19aapair +1800 s +1.20 +spectrum", out)
    assert run("status", "--config", tmp_path / "sedmd.toml", "--json") == 0
    assert '"night": "20190612"' in capsys.readouterr().out
    assert run("why", "lonely", "--config", tmp_path / "sedmd.toml") == 0
    out = capsys.readouterr().out
    assert "found whole: science" in out
    assert "calibrate done" in out
    assert run("why", "nobody", "--config", tmp_path / "sedmd.toml") == 1


@pytest.mark.usefixtures("one_process")
def test_extract_auto_makes_what_is_missing_and_tells_how_sure_it_is(settings, tmp_path, capsys, monkeypatch):
    import night.fake_steps as steps

    def extract(job):
        made = steps._make(job)
        sure = {"S/N": 31.4, "confidence": 0.97, "quality": 1, "x [arcsec]": 0.2, "y [arcsec]": -0.7}
        return dataclasses.replace(made, figures=sure)

    monkeypatch.setitem(steps.STEPS, "extract", extract)
    where = ("--config", tmp_path / "sedmd.toml")
    write(settings, [*calibrations(), *on_sky("STD-Feige34", "x", "EmptyField", "y")])
    assert reduce(settings).code == 0
    before = products(settings)
    folder = settings.paths.redux_root / NIGHT
    for name in ("ext_x_obs1.fits", "sp_y_obs1.fits", "std-correction.fits"):
        (folder / name).unlink()
    assert run("extract", "--auto", "x", *where) == 0
    out = capsys.readouterr().out
    assert re.search(r"x_obs1 +final +97 % +1 good +31.4 +\(\+0.2, -0.7\)\n", out)
    assert "y_obs1" not in out and out.endswith("1 of 1 targets are final without an observer\n")
    assert not (folder / "sp_y_obs1.fits").exists(), "another target is not touched"
    assert run("extract", "--auto", *where) == 0
    out = capsys.readouterr().out
    assert re.search(r"EmptyField_obs1 +awaiting observer .* no object stands out", out)
    assert re.search(r"STD-Feige34_obs1 +standard star +- ", out)
    assert out.endswith("2 of 3 targets are final without an observer\n")
    assert products(settings) == before
    assert run("extract", "--auto", "z", *where) == 2
    assert "no target z in night 20190612" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [("--auto",), ("--auto", "--redux", "R", "--new-inputs"), ("--decision", "x.decision.json", "--redux", "R")],
)
def test_extract_refuses_what_does_not_go_together(arguments, capsys):
    assert run("extract", *arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_two_writers_are_refused(settings, tmp_path, capsys):
    from sedmd.host.lock import holder, single_instance

    write(settings, on_sky("x"))
    with single_instance(settings.paths.state):
        assert holder(settings.paths.state) is not None
        assert run("reduce", settings.paths.raw_root, "--redux", settings.paths.redux_root) == 75
    assert "another sedmd (process" in capsys.readouterr().err
    assert holder(settings.paths.state) is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["reduce", "/nowhere/at/all", "--redux", "REDUX"], "no such directory"),
        (["status", "--redux", "REDUX"], "no ledger"),
        (["run", "--config", "/nowhere.toml"], "cannot be read"),
        (["config", "check", "--config", "/nowhere.toml"], "cannot be read"),
    ],
)
def test_usage_errors_are_one_line_and_code_2(tmp_path, capsys, arguments, message):
    assert run(*[str(tmp_path / "redux") if word == "REDUX" else word for word in arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("night", ["2019", "20191301", "night"])
def test_nights_are_checked(night, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("reduce", "/tmp", "--redux", "/tmp/x", "--night", night)
    assert stopped.value.code == 2
    assert "is not a night; expected YYYYMMDD" in capsys.readouterr().err


def test_config_show_and_check(settings, tmp_path, capsys):
    assert run("config", "check", "--config", tmp_path / "sedmd.toml") == 0
    assert run("config", "show", "--config", tmp_path / "sedmd.toml") == 0
    out = capsys.readouterr().out
    assert "good" in out
    assert "settle_s = 0.1  # " in out


@pytest.mark.parametrize("verb", ["reduce", "run", "status", "why", "simulate", "demo", "config"])
def test_every_command_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(verb, "--help")
    assert stopped.value.code == 0
    assert "exit codes:" in capsys.readouterr().out


def test_passing_faults_are_tried_again(settings, monkeypatch):
    import night.fake_steps as steps

    failures = iter([OSError(5, "Input/output error")])

    def sometimes(job):
        for error in failures:
            raise error
        return steps._make(job)

    monkeypatch.setitem(steps.STEPS, "flat", sometimes)
    write(settings, [*calibrations(), *on_sky("x")])
    assert reduce(settings).code == 0
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        (flat,) = [job for job in ledger.jobs.of_night(NIGHT) if job.step == "flat"]
    assert (flat.state, flat.tries) == ("done", 2)


def test_faults_that_do_not_pass_are_given_up(settings, monkeypatch):
    import night.fake_steps as steps

    def never(job):
        raise OSError(5, "Input/output error")

    monkeypatch.setitem(steps.STEPS, "flat", never)
    write(settings, [*calibrations(), *on_sky("x")])
    summary = reduce(settings)
    assert any("given up after 2 tries" in line for line in summary.failed)


def test_nothing_is_made_of_a_product_that_another_program_changed(settings, tmp_path, monkeypatch):
    import night.fake_steps as steps

    frames = [*calibrations(), *on_sky("x")]
    whole = configure(tmp_path / "whole")
    write(whole, frames)
    assert reduce(whole).code == 0
    noise = iter([b"noise"])

    def after_it_was_spoilt(job):
        for more in noise:
            dome = job.one("dome")
            dome.write_bytes(dome.read_bytes() + more)
        return steps._make(job)

    monkeypatch.setitem(steps.STEPS, "flat", after_it_was_spoilt)
    write(settings, frames)
    assert reduce(settings).code == 0
    assert products(settings) == products(whole)
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        (flat,) = [job for job in ledger.jobs.of_night(NIGHT) if job.step == "flat"]
    assert (flat.state, flat.tries) == ("done", 2)


def test_what_is_no_target_and_no_calibration_costs_nothing(settings):
    others = on_sky("FOCUS: Focus", "HZ44_IFU_MAPPING [NA]", "ACQ-x r", "Twilight 1 [NA]", "SEDmDefault", EXPTIME=120.0)
    later = [*others, *(raw(EVENING + timedelta(hours=3), "x"),)]
    write(settings, [*calibrations(), *later])
    summary = reduce(settings)
    assert summary.code == ALL_GOOD, summary.rows
    outcome = {row.frame: (row.outcome, row.why) for row in summary.rows}
    assert [why for outcome, why in outcome.values() if outcome == "ignored"] == [
        "a focus frame",
        "a map of the field of view, not of a target",
        "an acquisition frame",
        "no target: the control software writes SEDmDefault without one",
    ]


def test_changed_limits_read_the_frames_again(settings):
    write(settings, [*calibrations(), *on_sky("x")])
    assert reduce(settings).code == 0
    stricter = dataclasses.replace(
        settings, calibrations=dataclasses.replace(settings.calibrations, lamp_min_exptime_s=200.0)
    )
    assert reduce(stricter).code == CALIBRATIONS_MISSING


def lamps(start, *kinds):
    """Three frames of each lamp, five minutes apart."""
    for number, kind in enumerate(kind for kind in kinds for _ in range(3)):
        changes = {"EXPTIME": 120.0, "LAMPCUR": float(kind == "dome"), "DOMEST": "CLOSED"}
        yield raw(start + timedelta(minutes=5 * number), f"Calib:  {kind} {number % 3 + 1} of 3", **changes)


#: A whole set of the evening whose Xe was taken after somebody had touched the instrument.
MIXED = list(lamps(EVENING - timedelta(hours=2), "dome", "Hg", "Cd", "Xe"))
TOUCHED = Path(MIXED[-3].place).name


@pytest.mark.parametrize("order", ["together", "the good set first"])
def test_a_mixed_set_gives_way_to_the_good_one_and_its_frames_are_named(tmp_path, monkeypatch, order):
    monkeypatch.setenv("FAKE_TOUCHED", TOUCHED)
    good = [*calibrations(), *on_sky("STD-Feige34", "single")]
    alone = configure(tmp_path / "alone")
    write(alone, good)
    reduce(alone)
    settings = configure(tmp_path / "both")
    write(settings, good)
    if order != "together":
        reduce(settings)
    write(settings, MIXED)
    summary = reduce(settings)
    assert summary.code == ALL_GOOD
    assert products(settings) == products(alone)
    names = [Path(frame.place).stem for frame in MIXED]
    outcome = {row.frame: (row.outcome, row.why) for row in summary.rows}
    concern = "of two geometries, its lamps are offset from its dome (Xe 6.1 px); was the instrument touched?"
    assert {outcome[f"{name}.fits"] for name in names} == {("not used", f"of a set of calibrations {concern}")}
    of_lamps = zip(("dome", "Hg", "Cd", "Xe"), names[::3], names[2::3], strict=True)
    frames = ", ".join(f"{lamp} {first} to {last}" for lamp, first, last in of_lamps)
    told = f"{frames}: not used, a set {concern}"
    state = snapshot(settings, night=NIGHT, now=NOW)
    assert state.sets[0] == told and len(state.sets) == 2 and state.sets[1].endswith(": used")
    assert told in render(state) and f"calibrations: {told}" in _trouble(state)
    assert (settings.paths.redux_root / NIGHT / "sedmd.log").read_text().count(told) == 1


def test_a_mixed_set_serves_where_there_is_no_other_and_says_so(settings, monkeypatch):
    monkeypatch.setenv("FAKE_TOUCHED", TOUCHED)
    biases = [frame for frame in calibrations() if b"bias" in frame.content]
    write(settings, [*biases, *MIXED, *on_sky("single")])
    assert reduce(settings).code == ALL_GOOD
    (told,) = snapshot(settings, night=NIGHT, now=NOW).sets
    assert told.startswith(f"dome {Path(MIXED[0].place).stem} to ") and f"Xe {Path(MIXED[-3].place).stem} to" in told
    assert told.endswith(
        ": used, although a set of two geometries, its lamps are offset from its dome (Xe 6.1 px); "
        "was the instrument touched?"
    )


def test_two_whole_sets_of_one_geometry_are_named_and_the_newer_serves(settings):
    write(settings, [*calibrations(), *MIXED])
    assert reduce(settings).code == ALL_GOOD
    newer, older = snapshot(settings, night=NIGHT, now=NOW).sets
    assert newer.startswith(f"dome {Path(MIXED[0].place).stem} to ") and newer.endswith(": used")
    assert older.endswith(": not used, a set taken at another time")
