"""SNID's adapter, against a stand-in that speaks its output format and fails in its ways."""

import dataclasses
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest

from sedmd.after.classify.engine import EngineFault
from sedmd.after.classify.snid import Snid, parse
from sedmd.core.config import Classify
from sedmd.reduce.numeric.containers import Spectrum
from unit.snid_stand_in import HEAD, IA, row, write_stand_in


@pytest.fixture
def spectrum():
    wavelength = np.arange(3800.0, 9200.0, 25.0)
    flux = np.ones_like(wavelength)
    flux[3] = np.nan
    return Spectrum(
        wavelength=wavelength, flux=flux, error=0.1 * np.ones_like(flux), sky=0 * wavelength, unit="", meta={}
    )


def engine(program, **other):
    usual = {"parameters": Classify().snid_parameters, "timeout_s": 60.0}
    return Snid(program=str(program), **(usual | other))


def run(program, spectrum, folder, **other):
    work = folder / "work"
    work.mkdir()
    return engine(program, **other).classify(spectrum, work)


def test_it_is_run_with_the_parameters_of_the_old_pipeline_in_a_home_of_its_own(tmp_path, spectrum, monkeypatch):
    monkeypatch.setenv("MARSHAL_TOKEN", "secret")
    program = write_stand_in(tmp_path / "bin", "answers")
    answer = run(program, spectrum, tmp_path)
    given = (tmp_path / "bin" / "arguments").read_text().split("\n")
    assert " ".join(given[:8]) == "wmin=4000 wmax=9500 skyclip=1 medlen=20 aband=1 rlapmin=4 inter=0 plot=2"
    assert given[8:] == ["fluxout=1", "spectrum.dat"]
    assert (tmp_path / "bin" / "home").read_text() == str(tmp_path / "work")
    assert "MARSHAL_TOKEN" not in (tmp_path / "bin" / "environment").read_text()
    first = answer.matches[0]
    assert (first.template, first.label, first.group) == ("sn2003cg", "Ia-norm", "Ia")
    assert (first.score, first.z, first.z_error, first.age) == (14.3, 0.0509, 0.004, -2.3)
    assert [one.template for one in answer.matches] == ["sn2003cg", "sn2002er", "sn1999aa", "sn1994D", "sn2004aw"]
    assert (answer.z, answer.z_error, answer.age, answer.age_error) == (0.0512, 0.0031, 2.10, 4.25)
    assert answer.fractions == {"Ia": 0.9, "Ib": 0.0, "Ic": 0.1, "II": 0.0, "NotSN": 0.0}
    assert answer.curve is not None and answer.curve.wavelength.shape == (500,)


def test_no_output_is_no_match(tmp_path, spectrum):
    answer = run(write_stand_in(tmp_path / "bin", "nothing"), spectrum, tmp_path)
    assert answer.matches == () and answer.z is None and answer.curve is None


@pytest.mark.parametrize(
    ("does", "said"),
    [
        *(("crashes", "exit code 3; its last output: PGPLOT: no device"), ("dies", "signal 11")),
        *(("garbage", "no list of templates"), ("cut", "no list of templates")),
    ],
)
def test_failures_are_told(tmp_path, spectrum, does, said):
    with pytest.raises(EngineFault, match=said):
        run(write_stand_in(tmp_path / "bin", does), spectrum, tmp_path)


def test_one_that_hangs_is_stopped_with_all_that_it_started(tmp_path, spectrum):
    program = write_stand_in(tmp_path / "bin", "hangs")
    begun = time.monotonic()
    with pytest.raises(EngineFault, match="did not end within 3 s"):
        run(program, spectrum, tmp_path, timeout_s=3.0)
    assert time.monotonic() - begun < 30
    child = Path(f"/proc/{(tmp_path / 'bin' / 'child').read_text()}/stat")
    until = time.monotonic() + 10
    while (state := _state(child)) not in (None, "Z") and time.monotonic() < until:
        time.sleep(0.05)
    assert state in (None, "Z")


def _state(stat):
    """State of a process; None if it is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def test_a_program_that_is_not_there_is_told_plainly(tmp_path, spectrum):
    absent = engine(tmp_path / "snid")
    assert "install SNID" in absent.available()
    with pytest.raises(EngineFault, match="there is no program"):
        absent.classify(spectrum, tmp_path)
    broken = tmp_path / "bin" / "snid"
    broken.parent.mkdir()
    broken.write_text("#!/nowhere/python\n")
    broken.chmod(0o755)
    with pytest.raises(EngineFault, match=r"cannot be started|failed to execute"):
        run(broken, spectrum, tmp_path)


def test_too_little_light_is_not_given_to_it(tmp_path, spectrum):
    spectrum.flux[20:] = np.inf
    with pytest.raises(EngineFault, match="fewer than 30 bins"):
        run(write_stand_in(tmp_path / "bin", "answers"), spectrum, tmp_path)


def test_identity_changes_with_program_and_parameters(tmp_path):
    one, other = write_stand_in(tmp_path / "a", "answers"), write_stand_in(tmp_path / "b", "nothing")
    assert engine(one).identity() == engine(one).identity() != engine(other).identity()
    assert Snid(program=str(one), parameters=("wmin=4500",)).identity() != engine(one).identity()


def test_lines_that_cannot_be_read_cost_themselves_only():
    rows = [
        row(1, "sn2003cg", "Ia-norm", 14.3, 0.0509).replace("  14.30", "*******"),
        row(2, "sn2002er", "Ia-norm", math.nan, 0.0521),
        row(3, "sn2005cf", "Ia-norm", math.inf, 0.0521),
        row(4, "sn1994D", "Ia-norm", 12.0, 0.05, zerr=math.nan),
        row(5, "sn19\x07bad", "Ia-norm", 12.0, 0.05),
        row(6, "spiral gal", "Gal", 11.0, 0.05, age=-99.9),
        row(7, "no type", "", 10.0, 0.05),
        "   8  something else",
        row(9, "sn1990N", "Ia-norm", 9.0, 0.05)[:60],
    ]
    answer = parse(HEAD + "\n".join(rows))
    assert [(one.template, one.label) for one in answer.matches] == [
        ("sn1994D", "Ia-norm"),
        ("spiral gal", "Gal"),
        ("no type", "?"),
    ]
    assert math.isnan(answer.matches[0].z_error)
    assert math.isnan(answer.matches[1].age)


def test_medians_that_are_no_numbers_are_not_there():
    text = HEAD.replace("0.0512    0.0031\nagem          2.10      4.25", "   NaN  Infinity\nagem  ********** 4.25")
    answer = parse(text + "\n".join(IA))
    assert (answer.z, answer.z_error, answer.age, answer.age_error) == (None, None, None, 4.25)


def test_other_widths_of_columns_are_read_too():
    text = HEAD + "1 sn2003cg Ia-norm 0.62 14.3 0.0509 0.004 -2.3 0 good\n"
    assert parse(text).matches[0].template == "sn2003cg"


def test_other_templates_make_another_identity(tmp_path):
    one = engine(write_stand_in(tmp_path / "bin", "answers"), parameters=())
    own, named = tmp_path / "templates", tmp_path / "mine"
    found = [one.identity()]
    assert "templates unknown" in found[0]
    own.mkdir()
    for content in ("one", "two"):
        (own / "sn1994D.lnw").write_text(content)
        os.utime(own / "sn1994D.lnw", ns=(len(found), len(found)))
        found.append(one.identity())
    named.mkdir()
    (named / "sn1994D.lnw").write_text("three")
    found.append(dataclasses.replace(one, parameters=(f"tempdir={named}",)).identity())
    assert len({identity[1] for identity in found}) == 4
    (own / "README").write_text("no template")
    assert one.identity() == found[2]
