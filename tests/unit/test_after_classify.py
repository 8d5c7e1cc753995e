"""A night is classified: which spectra, what is written where, and that nobody believes a file was damaged."""

import dataclasses
import json
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sedmd.after.classify import classification, classify
from sedmd.after.classify.classification import CLASSIFIED, files_of, plot_of, take_up
from sedmd.after.classify.classify import classify_night, engines
from sedmd.after.classify.engine import Answer, BestTemplate, EngineFault
from sedmd.after.classify.matches import Match
from sedmd.after.spectra import final_spectra
from sedmd.cli import main
from sedmd.core.config import Classify
from sedmd.host.files import sha256_of
from sedmd.host.lock import single_instance
from sedmd.ledger.ledger import Ledger
from sedmd.products.ascii import CALIBRATED_UNIT, read_ascii, write_ascii
from sedmd.products.fitsio import card_value
from sedmd.products.spectrum import read_spectrum, write_spectrum
from sedmd.reduce.numeric.containers import Spectrum
from unit.sending import book
from unit.snid_stand_in import write_stand_in

NIGHT = "20190612"
NOW = datetime(2019, 6, 13, 4, tzinfo=UTC)
WAVELENGTH = np.arange(3800.0, 9200.0, 25.0)


class FakeEngine:
    """Answers what it was told, and counts."""

    name, metric = "snid", "rlap"

    def __init__(self, answer, *, parameters=("wmin=4000",), why=""):
        self.answer, self.parameters, self.why, self.asked = answer, parameters, why, []

    def available(self):
        return self.why

    def identity(self):
        return ("fake 1", *self.parameters)

    def classify(self, spectrum, folder):
        assert folder.is_dir() and not list(folder.iterdir())
        self.asked.append(spectrum.meta["target"])
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def ia(z=0.05):
    matches = tuple(Match(template=f"sn{n}", label="Ia-norm", score=12.0 - n, z=z, age=float(n)) for n in range(5))
    curve = BestTemplate(wavelength=np.arange(4000.0, 9000.0, 10.0), flux=2 + np.sin(np.arange(500) / 30))
    return Answer(matches=matches, z=z, z_error=0.003, age=1.5, age_error=3.0, fractions={"Ia": 0.9}, curve=curve)


def put(folder, name, *, target=None, quality=1, reducer="ann", fluxcal=True, step="observer", level=1.0, **meta):
    folder.mkdir(parents=True, exist_ok=True)
    flux = level * 1e-16 * (2 + np.sin(WAVELENGTH / 300))
    spectrum = Spectrum(
        wavelength=WAVELENGTH,
        flux=flux,
        error=0.05 * flux,
        sky=0 * flux,
        unit=CALIBRATED_UNIT if fluxcal else "electron",
        meta={"target": target or name, "quality": quality, "reducer": reducer, "fluxcal": fluxcal, "req_id": 7} | meta,
    )
    write_ascii(folder / f"{name}_SEDM.txt", spectrum)
    write_spectrum(folder / f"sp_{name}.fits", spectrum, cards={"STEP": step})
    book(folder, name)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "redux" / NIGHT
    put(made, "ZTF19a")
    return made


def states(done):
    return {one.product: one.state for one in done}


def of(folder, product="ZTF19a"):
    (spectrum,) = (one for one in final_spectra(folder)[0] if one.product == product)
    return spectrum


def run(folder, engine, **other):
    return classify_night(folder, Classify(), use=[engine], clock=lambda: NOW, **other)


def test_quality_one_and_two_calibrated_and_by_name(folder):
    put(folder, "two", quality=2)
    put(folder, "poor", quality=3)
    put(folder, "unseen", quality=4)
    put(folder, "bogus", quality=5)
    put(folder, "new", quality=0, step="calibrate")
    put(folder, "automatic", quality=1, step="calibrate", reducer="sedmd")
    put(folder, "electrons", fluxcal=False)
    put(folder, "STD-HZ44", is_standard=True)
    put(folder, "gd999", target="STD-GD999")
    put(folder, "NGC5548")
    put(folder, "ZTF18HDabc")
    engine = FakeEngine(ia())
    done = run(folder, engine)
    assert {name for name, state in states(done).items() if state == "classified"} == {
        "ZTF19a",
        "two",
        "automatic",
        "ZTF18HDabc",
    }
    why = {one.product: one.text for one in done if one.state == "skipped"}
    assert why["poor"] == "quality 3" and why["new"] == "not graded yet" and why["electrons"] == "not flux-calibrated"
    assert why["STD-HZ44"] == why["gd999"] == "a standard star"
    assert "NGC|PGC" in why["NGC5548"]
    assert sorted(engine.asked) == ["ZTF18HDabc", "ZTF19a", "automatic", "two"]


def test_the_observers_spectrum_counts_before_the_pipelines(folder):
    put(folder, "x", quality=1, step="calibrate", level=1)
    put(folder, "x_redo", target="x", quality=2, level=2)
    run(folder, FakeEngine(ia()))
    assert classification.path_of(folder, "x_redo").exists() and not classification.path_of(folder, "x").exists()
    assert (folder / CLASSIFIED / "x_redo_SEDM.txt").exists()


def test_the_spectrums_own_files_stay_as_they_are(folder):
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    run(folder, FakeEngine(ia()))
    run(folder, FakeEngine(ia(0.06)), overwrite=True)
    assert {name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) for name in before} == before
    assert [one.product for one in final_spectra(folder)[0]] == ["ZTF19a"]


def test_the_copies_carry_the_classification(folder):
    run(folder, FakeEngine(ia()))
    own = read_ascii(folder / "ZTF19a_SEDM.txt")
    text, table = files_of(of(folder))
    assert (text.parent.name, text.name, table.name) == (CLASSIFIED, "ZTF19a_SEDM.txt", "sp_ZTF19a.fits")
    copy = read_ascii(text)
    assert np.array_equal(copy.flux, own.flux) and np.array_equal(copy.wavelength, own.wavelength)
    keys = list(copy.header)
    # the old keys stay as they are; SNID's follow the last of them in the order of the old pipeline
    assert keys[: len(own.header)] == list(own.header)
    assert keys[len(own.header) :][:13] == [
        *("SNIDMATCHTYPE", "SNIDMATCHSUBTYPE", "SNIDMATCHRLAP", "SNIDMATCHREDSHIFT", "SNIDZMED", "SNIDZMEDERR"),
        *("SNIDAGEM", "SNIDAGEMERR", "SNIDFRAC_IA", "SNIDFRAC_IB", "SNIDFRAC_IC", "SNIDFRAC_II", "SNIDFRAC_NOTSN"),
    ]
    header = copy.header
    assert (header["SNIDMATCHTYPE"], header["SNIDMATCHSUBTYPE"], header["SNIDMATCHRLAP"]) == ("Ia", "norm", "12.00")
    assert (header["SNIDZMED"], header["SNIDAGEM"], header["CLASSSECURE"]) == ("0.0500", "1.50", "True")
    lines = text.read_text().splitlines()
    first_row = next(n for n, line in enumerate(lines) if not line.startswith("#"))
    assert all(not line.startswith("#") for line in lines[first_row:])
    spectrum, cards = read_spectrum(table)
    assert (cards["SNIDTYPE"], cards["SNIDRLAP"], cards["CLSECURE"], cards["STEP"]) == ("Ia", 12.0, True, "observer")
    assert spectrum.meta["quality"] == 1
    with fits.open(table, checksum=True) as hdul:  # a wrong checksum would be a warning, and so an error
        assert hdul[0].header["SNIDZERR"] == 0.003


def test_no_match_is_none_in_the_header_and_in_the_record(folder):
    run(folder, FakeEngine(Answer()))
    made = classification.of(of(folder))
    assert (made.type, made.secure, made.z) == ("", False, None)
    header = read_ascii(files_of(of(folder))[0]).header
    assert header["SNIDMATCHTYPE"] == "NONE" and "SNIDMATCHRLAP" not in header
    assert plot_of(of(folder)) is None and not list((folder / CLASSIFIED).glob("*.png"))


def test_another_engines_score_does_not_pass_for_rlap(folder):
    engine = FakeEngine(ia())
    engine.name, engine.metric = "snid-sage", "HsLAP-CCC"
    run(folder, engine)
    text, table = files_of(of(folder))
    header = read_ascii(text).header
    assert (header["SNIDMATCHRLAP"], header["CLASSSCORE"]) == ("nan", "12.00 HsLAP-CCC")
    _, cards = read_spectrum(table)
    assert "SNIDRLAP" in cards and card_value(cards, "SNIDRLAP") is None and cards["CLSCORE"] == 12.0


def test_again_does_nothing_and_what_changed_is_done_again(folder):
    engine = FakeEngine(ia())
    assert states(run(folder, engine)) == {"ZTF19a": "classified"}
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert states(run(folder, engine)) == {"ZTF19a": "kept"}
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == files
    assert states(run(folder, engine, overwrite=True)) == {"ZTF19a": "classified"}
    other = FakeEngine(ia(), parameters=("wmin=4500",))
    assert states(run(folder, other)) == {"ZTF19a": "classified"}
    put(folder, "ZTF19a", level=3.0)
    assert classification.of(of(folder)) is None  # nobody takes the old one for one of the new spectrum
    assert files_of(of(folder))[0] == folder / "ZTF19a_SEDM.txt"
    assert states(run(folder, other)) == {"ZTF19a": "classified"}
    assert len(engine.asked) == 2 and len(other.asked) == 2


def test_copies_that_were_damaged_are_made_again(folder):
    engine = FakeEngine(ia())
    run(folder, engine)
    (folder / CLASSIFIED / "ZTF19a_SEDM.txt").write_text("# cut")
    assert files_of(of(folder)) == (folder / "ZTF19a_SEDM.txt", folder / "sp_ZTF19a.fits")
    assert states(run(folder, engine)) == {"ZTF19a": "classified"}
    classification.path_of(folder, "ZTF19a").write_text('{"kind": "sedmd cla')
    assert states(run(folder, engine)) == {"ZTF19a": "classified"}


def test_a_spectrum_that_no_longer_counts_loses_its_classification(folder):
    engine = FakeEngine(ia())
    run(folder, engine)
    put(folder, "ZTF19a", quality=3)
    done = run(folder, engine)
    assert [(one.product, one.state) for one in done] == [("ZTF19a", "skipped"), ("ZTF19a", "removed")]
    assert list((folder / CLASSIFIED).iterdir()) == [] and classification.find(folder) == []


def test_a_new_type_takes_the_old_plot_away(folder):
    run(folder, FakeEngine(ia()))
    assert plot_of(of(folder)).name == "ZTF19a_Ia.png"
    matches = tuple(Match(template=f"x{n}", label="IIP", score=9.0, z=0.01) for n in range(5))
    run(folder, FakeEngine(Answer(matches=matches, curve=ia().curve)), overwrite=True)
    assert [path.name for path in (folder / CLASSIFIED).glob("*.png")] == ["ZTF19a_II.png"]
    assert plot_of(of(folder)).read_bytes().startswith(b"\x89PNG")


def test_a_fault_costs_one_spectrum_only(folder):
    put(folder, "b")
    (folder / "sp_c.fits").write_bytes(b"no FITS")
    content = bytearray((folder / "sp_b.fits").read_bytes())
    content[-3000] ^= 0xFF
    (folder / "sp_b.fits").write_bytes(bytes(content))
    done = run(folder, FakeEngine(ia()))
    assert states(done) == {"sp_c.fits": "failed", "ZTF19a": "classified", "b": "failed"}
    done = run(folder, FakeEngine(EngineFault("snid ended with signal 11")), overwrite=True)
    assert {one.product: one.text for one in done}["ZTF19a"] == "snid ended with signal 11"
    assert classification.of(of(folder)).type == "Ia"  # what was known before stays


def test_without_an_engine_it_says_so_and_keeps_what_there_is(folder):
    run(folder, FakeEngine(ia()))
    put(folder, "b")
    done = classify_night(folder, Classify(), use=[FakeEngine(None, why="not installed")], clock=lambda: NOW)
    assert states(done) == {"ZTF19a": "kept", "b": "waiting"}
    assert {one.product: one.text for one in done}["b"] == "no engine to classify with. snid: not installed"
    assert classification.of(of(folder)) is not None


def test_engines_by_configuration():
    assert [one.name for one in engines(Classify())] == ["snid", "snid-sage"]
    assert [one.name for one in engines(Classify(engine="snid-sage"))] == ["snid-sage"]
    assert engines(Classify(engine="none")) == []
    none, why = classify.choose([], "none")
    assert none is None and "nothing is classified" in why


@pytest.mark.parametrize(("reducer", "step", "secure"), [("ann", "observer", True), ("sedmd", "calibrate", False)])
def test_an_ia_that_no_observer_took_needs_an_rlap_of_15(folder, reducer, step, secure):
    put(folder, "b", reducer=reducer, step=step)
    run(folder, FakeEngine(ia()))  # the best reaches 12
    made = classification.of(of(folder, "b"))
    assert (made.type, made.secure) == ("Ia", secure)
    assert secure or "not 15 that a type Ia needs" in made.why
    assert "secure: 3 of 5, weight 0.8, score 8 (15 for an unattended Ia), z 0.02, contrast 0.2" in made.identity


def on_host(folder, name, *, share):
    """A spectrum with as much host light in it as `share` of its own; the engine sees it by the level."""
    put(folder, name, CONTRAST=1 / (1 + share))
    spectrum, _ = read_spectrum(folder / f"sp_{name}.fits")
    put_away = dataclasses.replace(spectrum, host=share * spectrum.flux)
    cards = {"STEP": "observer", "CONTRAST": 1 / (1 + share)}
    write_spectrum(folder / f"sp_{name}.fits", put_away, cards=cards)
    book(folder, name)
    return spectrum


class TwoAnswers(FakeEngine):
    """Answers another thing where the host's light is in the spectrum."""

    def __init__(self, alone, together, flux):
        super().__init__(alone)
        self.together, self.flux, self.levels = together, flux, []

    def classify(self, spectrum, folder):
        alone = super().classify(spectrum, folder)
        self.levels.append(float(np.median(spectrum.flux / self.flux)))
        assert spectrum.host is None or self.levels[-1] == pytest.approx(1)
        return self.together if self.levels[-1] > 1.001 else alone


def as_ic(answer):
    return dataclasses.replace(answer, matches=tuple(dataclasses.replace(one, label="Ic") for one in answer.matches))


@pytest.mark.parametrize(
    ("share", "together", "secure", "said"),
    [
        (1.0, ia(), True, "5 of the best 5 objects agree"),
        (3.9, ia(), True, "5 of the best 5 objects agree"),
        (4.1, ia(), False, "20% of the light at its place is the target's, not 20%"),
        (1.0, as_ic(ia()), False, "with its host's light it is Ic"),
        (1.0, Answer(), False, "with its host's light it is without a match"),
    ],
)
def test_on_a_host_both_spectra_must_agree(folder, share, together, secure, said):
    flux = on_host(folder, "h", share=share).flux
    engine = TwoAnswers(ia(), together, flux)
    run(folder, engine)
    made = classification.of(of(folder, "h"))
    assert (made.type, made.secure, made.why) == ("Ia", secure, said)
    assert made.contrast == pytest.approx(1 / (1 + share)) and made.type_with_host == (
        "Ic" if "Ic" in said else "" if "without" in said else "Ia"
    )
    assert sorted(engine.levels) == pytest.approx([1, 1, 1 + share])  # the other is ZTF19a, without a host
    text = (folder / CLASSIFIED / "h_SEDM.txt").read_text()
    assert f"# CLASSCONTRAST: {1 / (1 + share):.2f}" in text
    copy, _ = read_spectrum(folder / CLASSIFIED / "sp_h.fits")
    assert np.allclose(copy.host, share * flux)
    assert classification.of(of(folder)).contrast is None


def test_each_engine_has_a_score_of_its_own():
    settings = Classify()
    assert (classify.rule_of(settings, "rlap").score, classify.rule_of(settings, "rlap").unattended_ia) == (8.0, 15.0)
    other = classify.rule_of(settings, "HsLAP-CCC")
    assert (other.score, other.unattended_ia) == (5.0, 0.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("score", "high"), ("inputs", ["x"]), ("secure", 1), ("identity", 5), ("z", float("nan"))),
        *(("kind", "other"), ("version", 2)),
    ],
)
def test_a_record_that_does_not_hold_together_is_refused(folder, key, value):
    run(folder, FakeEngine(ia()))
    path = classification.path_of(folder, "ZTF19a")
    table = json.loads(path.read_text())
    assert table["kind"] == "sedmd classification"
    path.write_text(json.dumps(table | {key: value}))
    with pytest.raises(classification.ClassificationFault, match="run sedmd classify"):
        classification.read(path)


def test_a_record_comes_back_as_it_was(folder):
    run(folder, FakeEngine(ia()))
    made = classification.read(classification.path_of(folder, "ZTF19a"))
    assert made.inputs == {name: sha256_of(folder / name) for name in ("sp_ZTF19a.fits", "ZTF19a_SEDM.txt")}
    assert made.time == "2019-06-13T04:00:00+00:00"
    assert (made.type, made.label, made.agreeing, made.asked, made.rlap) == ("Ia", "Ia-norm", 5, 5, 12.0)
    assert "z=0.0500+-0.0030" in made.line() and "secure: 5 of the best 5 objects agree" in made.line()
    classification.write(made, folder)
    assert classification.read(classification.path_of(folder, "ZTF19a")) == made


def test_the_ledger_takes_records_up_once_and_gives_them_back(folder, tmp_path):
    run(folder, FakeEngine(ia()))
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as ledger:
        assert len(take_up(ledger, folder)) == 1
        assert take_up(ledger, folder) == []
        assert take_up(ledger, tmp_path / "away" / NIGHT) == []
        (mark,) = ledger.marks.of_night(NIGHT, "classified")
        assert mark.subject == "ZTF19a" and mark.text.startswith("Ia-norm z=0.0500")
        assert any("classified: Ia-norm" in text for *_, text in ledger.events.story("ZTF19a"))
        put(folder, "ZTF19a", level=2.0)
        assert "is obsolete" in take_up(ledger, folder)[0]
        assert ledger.marks.of_night(NIGHT, "classified") == []


@pytest.fixture
def configured(tmp_path, folder):
    """A configuration whose snid is the stand-in, and a ledger."""
    program = write_stand_in(tmp_path / "bin", "answers")
    path = tmp_path / "sedmd.toml"
    (tmp_path / "raw").mkdir()
    paths = f'[paths]\nraw_root = "{tmp_path / "raw"}"\nredux_root = "{tmp_path / "redux"}"\n'
    path.write_text(f'{paths}[classify]\nsnid_program = "{program}"\n')
    (tmp_path / "redux" / ".sedmd").mkdir(parents=True)
    Ledger.open(tmp_path / "redux" / ".sedmd" / "ledger.sqlite", clock=lambda: NOW).close()
    return path


def marks(tmp_path):
    with Ledger.open(tmp_path / "redux" / ".sedmd" / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        return {mark.subject: mark.text for mark in ledger.marks.of_night(NIGHT, "classified")}


def test_the_command_from_spectrum_to_ledger(configured, tmp_path, folder, capsys):
    assert main(["classify", "--config", str(configured), "--dry-run"]) == 0
    assert "would classify" in capsys.readouterr().out and classification.find(folder) == []
    assert main(["classify", "--config", str(configured)]) == 0
    out = capsys.readouterr().out
    assert "Ia-norm z=0.0512+-0.0031 age=+2 d rlap=14.3 sn2003cg (snid; secure: 4 of the best 5 objects agree)" in out
    assert "20190612: 1 classified" in out
    assert marks(tmp_path)["ZTF19a"].startswith("Ia-norm")
    assert main(["classify", NIGHT, "--config", str(configured)]) == 0
    assert "1 kept" in capsys.readouterr().out
    assert plot_of(of(folder)).name == "ZTF19a_Ia.png"


def test_with_a_service_at_work_the_ledger_is_left_to_it(configured, tmp_path, folder, capsys):
    with single_instance(tmp_path / "redux" / ".sedmd"):
        assert main(["classify", "--config", str(configured)]) == 0
    assert "a service is at work" in capsys.readouterr().out
    assert marks(tmp_path) == {} and len(classification.find(folder)) == 1
    assert main(["classify", "--config", str(configured)]) == 0
    assert list(marks(tmp_path)) == ["ZTF19a"]


def test_an_engine_does_not_outlive_a_command_that_is_killed(configured, tmp_path):
    write_stand_in(tmp_path / "bin", "hangs")
    command = [sys.executable, "-m", "sedmd", "classify", "--config", str(configured)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        engine = wait_for(lambda: int((tmp_path / "bin" / "pid").read_text() or 0))
        process.kill()
    wait_for(lambda: not running(engine))


def running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(found, patience_s=30.0):
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        with suppress(OSError):
            if value := found():
                return value
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_the_command_says_what_is_missing(configured, tmp_path, folder, capsys):
    assert main(["classify", "--config", str(configured), "--engine", "snid-sage"]) == 1
    assert "sage_templates is not set" in capsys.readouterr().out
    assert main(["classify", "20190101", "--config", str(configured)]) == 2
    assert "there is no night" in capsys.readouterr().err
    write_stand_in(tmp_path / "bin", "crashes")
    assert main(["classify", "--config", str(configured)]) == 1
    assert "PGPLOT: no device" in capsys.readouterr().out
    configured.write_text(configured.read_text() + 'engine = "none"\n')
    assert main(["classify", "--config", str(configured)]) == 0
    assert main(["classify", "--redux", str(tmp_path / "nothing")]) == 2
    configured.write_text(configured.read_text() + 'skip = ["HD"]\n')
    assert main(["classify", "--config", str(configured)]) == 2
    assert "'HD' is not a rule on names" in capsys.readouterr().err
