"""What operators do while the service runs, and when it does not: each verb, with its answer and its effect."""

import json
import re
import signal
from datetime import UTC, datetime

import pytest

import sedmd.run.ingest
from sedmd import cli
from sedmd.ledger.ledger import Ledger

from .helpers import NOW, configure, night_is_done, products, service, stop, wait_for
from .raw_night import NIGHT, SHAPE, Raw, calibrations, nights_of, on_sky, raw, whole_night
from .test_reduce import reduce, write


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def settings(tmp_path):
    return configure(tmp_path)


def ask(capsys, settings, *words: str, code: int = 0) -> str:
    config = settings.paths.raw_root.parent / "sedmd.toml"
    assert cli.main([*words, "--config", str(config)]) == code, capsys.readouterr()
    return capsys.readouterr().out


def story(settings, subject: str) -> list[str]:
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        return [text for *_, text in ledger.events.story(subject)]


def test_hold_release_redo_forget_and_retry_with_a_running_service(settings, capsys):
    night = whole_night()
    redux = settings.paths.redux_root / NIGHT
    with service(settings) as daemon:
        write(settings, night)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        before = products(settings)

        # redo: the same bytes, in a new file
        inode = (redux / "sp_ZTF19aapair.fits").stat().st_ino
        assert "jobs will be redone" in ask(capsys, settings, "redo", "ZTF19aapair")
        wait_for(lambda: (redux / "sp_ZTF19aapair.fits").stat().st_ino != inode, daemon)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        assert products(settings) == before

        # forget: as if the frame had never come; retry takes it back
        answer = ask(capsys, settings, "forget", "ifu20190612_04_40_00.fits")
        assert answer.startswith("1 files are excluded")
        wait_for((redux / "sp_ZTF19aapair_obs1.fits").exists, daemon)
        assert not (redux / "sp_ZTF19aapair.fits").exists()
        assert "1 files will be reread" in ask(capsys, settings, "retry", "ifu20190612_04_40_00")
        wait_for((redux / "sp_ZTF19aapair.fits").exists, daemon)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        assert products(settings) == before

        # hold: nothing of this name begins until it is released
        assert "jobs are held" in ask(capsys, settings, "hold", "single")
        ask(capsys, settings, "redo", "single")
        (redux / "sp_single_obs1.fits").unlink()
        state = json.loads(ask(capsys, settings, "status", "--json"))
        assert [one["subject"] for one in state["held"]] == ["single"]
        assert {one["state"] for one in state["targets"] if one["target"] == "single"} == {"extract waiting"}
        assert "single is released" in ask(capsys, settings, "release", "single")
        wait_for((redux / "sp_single_obs1.fits").exists, daemon)

        assert "refused: nothing is named" in ask(capsys, settings, "redo", "nobody", code=1)
        assert "refused: single is not held" in ask(capsys, settings, "release", "single", code=1)
        code, log = stop(daemon)
    assert code == 0
    assert "Traceback" not in log
    assert any("redo asked by" in text for text in story(settings, "ZTF19aapair"))


def test_requests_without_a_service_are_carried_out_at_once(settings, capsys):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    out = ask(capsys, settings, "redo", "flat")
    assert "6 of 6 jobs will be redone" in out
    assert "done by the next sedmd run or sedmd reduce" in out
    labels = []
    reduce(settings, progress=lambda done, total, label: labels.append(label))
    assert [label for label in labels if not label.startswith("reading")] == [
        "flat flat",
        "cube ifu20190612_04_00_00 x",
        "extract x_obs1",
        "calibrate x_obs1",
        "skyflat 1 exposures",
        "page x_obs1",
    ]


def test_retry_takes_up_what_was_quarantined(settings, capsys, monkeypatch):
    monkeypatch.setenv("FAKE_BAD_CD", "1")
    write(settings, [*calibrations(), *on_sky("x")])
    assert reduce(settings).code != 0
    monkeypatch.delenv("FAKE_BAD_CD")
    assert "1 jobs will be retried" in ask(capsys, settings, "retry", "Cd")
    assert reduce(settings).code == 0


def test_scan_dry_run_tells_and_touches_nothing(settings, capsys):
    write(settings, whole_night())
    out = ask(capsys, settings, "scan", NIGHT, "--dry-run")
    assert re.search(r"ifu20190612_04_20_00.fits +science +cube (due|waiting)", out)
    assert re.search(r"ifu20190612_10_00_00.fits +\? +quarantined", out)
    assert re.search(r"bias +bias 0.1 MHz +due", out)
    assert not settings.paths.redux_root.exists()
    reduce(settings)
    out = ask(capsys, settings, "scan", NIGHT, "--dry-run")
    assert re.search(r"ifu20190612_04_20_00.fits +science +ZTF19aapair_SEDM.txt", out)
    config = settings.paths.raw_root.parent / "sedmd.toml"
    assert cli.main(["scan", "20150101", "--dry-run", "--config", str(config)]) == 2
    assert "has neither 20141231 nor 20150101" in capsys.readouterr().err


def test_hangup_reads_the_configuration_again_and_refuses_a_bad_one(settings):
    config = settings.paths.raw_root.parent / "sedmd.toml"
    good = config.read_text()
    log = settings.paths.redux_root.parent / "log"
    with log.open("w") as file, service(settings, stderr=file) as daemon:
        wait_for((settings.paths.state / "ledger.sqlite").exists, daemon)
        wait_for(lambda: " starts: " in log.read_text(), daemon)
        for text, said in (
            (good.replace("settle_s = 0.1", "settle_s = 0.05"), "changed: watch.settle_s"),
            (good + "\n[watch]\nscan_interval_s = 1\n", "configuration refused, the old one stays in force: "),
            (good.replace("workers = 2", "workers = 3"), "jobs.workers can only change with a restart"),
            (good, "changed: watch.settle_s"),
        ):
            heard = log.read_text().count(said)
            config.write_text(text)
            daemon.send_signal(signal.SIGHUP)
            wait_for(lambda said=said, heard=heard: log.read_text().count(said) > heard, daemon)
        write(settings, [*calibrations(), *on_sky("x")])
        wait_for((settings.paths.redux_root / NIGHT / "sp_x_obs1.fits").exists, daemon)
        daemon.terminate()
        assert daemon.wait(60) == 0


def test_a_night_without_lamps_is_reduced_with_the_last_good_nights_calibrations(settings, capsys):
    first = [*calibrations(), *on_sky("STD-Feige34", "x")]
    write(settings, first)
    assert reduce(settings).code == 0
    dark = nights_of(*on_sky("STD-Feige34", "y"), days=3)
    write(settings, dark)
    summary = reduce(settings)
    assert summary.code == 0
    assert any(line.startswith("20190615: using calibrations from 20190612; its own: ") for line in summary.fallbacks)
    cube = next((settings.paths.redux_root / "20190615").glob("e3d_*_y.fits")).read_text()
    assert "traces traces.fits" in cube
    state = json.loads(ask(capsys, settings, "status", "--json"))
    assert state["fallback"] == {"night": "20190612", "age_nights": 3}
    assert state["lacking"] and not state["missing"]
    assert "calibrations: using those from 20190612 (3 nights old)" in ask(capsys, settings, "status")
    # strict: what is not tonight's is not used
    strict = configure(settings.paths.raw_root.parent / "strict")
    write(strict, [*first, *dark])
    assert reduce(strict, strict=True).code == 3
    # when the night's own calibrations come, reduce takes them
    write(settings, nights_of(*calibrations(), days=3))
    again = reduce(settings)
    assert again.code == 0
    assert not any("calibrations of" in line and "flux" not in line for line in again.fallbacks)


def test_an_old_night_that_changes_is_reduced_and_an_archive_is_left_alone(settings):
    archive = nights_of(*calibrations(), *on_sky("old"), days=-400)
    write(settings, archive)
    write(settings, [*calibrations(), *on_sky("x")])
    for day in ("20190609", "20190610"):
        (settings.paths.raw_root / day).mkdir(exist_ok=True)
    config = settings.paths.raw_root.parent / "sedmd.toml"
    config.write_text(config.read_text().replace("[night]", "archive_interval_s = 0.5\n[night]"))
    old = settings.paths.redux_root / archive[-1].place.split("/")[0]
    with service(settings) as daemon:
        wait_for((settings.paths.redux_root / NIGHT / "sp_x_obs1.fits").exists, daemon)
        assert not old.exists(), "what lay there at the first start is an archive"
        (late,) = nights_of(*on_sky("late"), days=-400)
        late = Raw(place=late.place.replace("_04_00_00", "_04_20_00"), content=late.content)
        late.write(settings.paths.raw_root)
        wait_for((old / "sp_old_obs1.fits").exists, daemon)
        code, log = stop(daemon)
    assert code == 0
    assert log.count("new frames in an old night") == 1


@pytest.mark.parametrize("verb, subject", [("accept", "latest"), ("scan", "20171131"), ("hold", "20179999")])
def test_a_request_that_makes_no_sense_is_refused_and_ends_nobody(settings, verb, subject):
    write(settings, [*calibrations(), *on_sky("x")])
    reduce(settings)
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: datetime.now(UTC)) as ledger:
        number = ledger.requests.ask(verb, "", subject, "ann")
    with service(settings) as daemon:
        wait_for(lambda: answer(settings, number) is not None, daemon)
        code, log = stop(daemon)
    assert code == 0
    assert answer(settings, number).startswith("refused: ")
    assert "Traceback" not in log


def answer(settings, number: int) -> str | None:
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        return ledger.requests.answer_to(number)


def test_a_request_about_an_old_night_is_carried_out_by_the_next_service(settings, capsys):
    old = nights_of(*calibrations(), *on_sky("old"), days=-60)
    night = old[-1].place.split("/")[0]
    write(settings, old)
    assert reduce(settings).code == 0
    write(settings, [*calibrations(), *on_sky("x")])
    for day in ("20190610", "20190613"):
        (settings.paths.raw_root / day).mkdir(exist_ok=True)
    product = settings.paths.redux_root / night / "sp_old_obs1.fits"
    inode = product.stat().st_ino
    assert "jobs will be redone" in ask(capsys, settings, "redo", "old", "--night", night)
    with service(settings) as daemon:
        wait_for(lambda: product.stat().st_ino != inode, daemon)
        assert stop(daemon)[0] == 0
    assert "refused: there are no raw directories" in ask(capsys, settings, "scan", "20100101", code=1)


def test_commands_go_by_the_settings_that_the_service_left(settings, capsys):
    config = settings.paths.raw_root.parent / "sedmd.toml"
    config.write_text(config.read_text() + '[instrument]\nfield_centres = ["20130101 1000 1000"]\n')
    write(settings, [*calibrations(), *on_sky("x")])
    with service(settings) as daemon:
        for name in ("x_obs1_SEDM.pdf", "sky-flat.fits"):
            wait_for((settings.paths.redux_root / NIGHT / name).exists, daemon)
        stop(daemon)
    assert cli.main(["status", "--redux", str(settings.paths.redux_root), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert [target["state"] for target in state["targets"]] == ["spectrum"]
    assert not state["due"]


def test_targets_by_group(settings, capsys):
    write(settings, whole_night())
    reduce(settings)
    everything = ask(capsys, settings, "targets").splitlines()
    assert len(everything) == 8
    science = ask(capsys, settings, "targets", "science").splitlines()
    assert len(science) == 6
    assert [line.split()[0] for line in science if line.split()[1] == "science"] == ["ZTF19aapair"]
    others = ask(capsys, settings, "targets", "other")
    assert "EmptyField_obs1" in others and "awaiting observer" in others
    assert "STD" not in others and "ZTF" not in others
    standards = ask(capsys, settings, "targets", "standard").splitlines()
    assert {line.split()[1] for line in standards} == {"standard"}


def test_a_star_without_a_table_and_a_stale_name_are_told_and_calibrate_nothing(settings, capsys):
    elsewhere = {"RA": "11:58:32.80", "DEC": "+52:00:00.0"}
    night = [
        *calibrations(),
        *on_sky("STD-HZ44", "STD-GD999"),
        raw(datetime(2019, 6, 12, 6, tzinfo=UTC), "ZTF19abc", NAME="STD-FEIGE34", **elsewhere),
    ]
    write(settings, night)
    reduce(settings)
    state = json.loads(ask(capsys, settings, "status", "--json"))
    told = {one["target"]: one for one in state["targets"]}
    assert {name: (one["standard"], one["star"]) for name, one in told.items()} == {
        "STD-HZ44": (True, "hz44"),
        "STD-GD999": (True, ""),
        "ZTF19abc": (False, ""),
    }
    assert {one["state"] for one in told.values()} == {"spectrum"}
    assert "no spectrum" in told["STD-GD999"]["note"]
    (fluxcal,) = (one for one in state["calibrations"] if one["step"] == "fluxcal")
    assert fluxcal["label"] == "1 standards"
    (doubt,) = state["contradictions"]
    assert "it is not Feige34, 15.9 deg away" in doubt["reason"]
    assert "inconsistent names" in ask(capsys, settings, "status")
    assert "15.9 deg away" in ask(capsys, settings, "why", "ifu20190612_06_00_00")
    assert "ZTF19abc" in ask(capsys, settings, "targets", "science")
    assert "GD999" not in ask(capsys, settings, "targets", "science")
