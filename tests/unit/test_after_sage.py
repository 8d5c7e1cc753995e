"""snid-sage's adapter: against a stand-in package, and (slow) against the real one on a bank built here."""

import dataclasses
import importlib.util
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import template_bank as bank

from sedmd.after.classify import sage_runner
from sedmd.after.classify.bank import install
from sedmd.after.classify.engine import EngineFault
from sedmd.after.classify.matches import Rule, group_of, judge
from sedmd.after.classify.sage import Sage, parse
from sedmd.reduce.numeric.containers import Spectrum

#: A package of the same names that answers from a file, or fails.
PACKAGE = {
    "__init__.py": '__version__ = "9.9"\n',
    "shared/__init__.py": "",
    "shared/utils/__init__.py": "",
    "shared/utils/math_utils.py": "def get_best_metric_value(match):\n    return match['score']\n",
    "snid/__init__.py": "",
    "snid/io.py": "def read_spectrum(path):\n    return path\n",
    "snid/core/__init__.py": "",
    "snid/core/integration.py": "def load_templates_unified(folder, profile_id):\n    return [{'name': 'sn0'}]\n",
}
ANSWER = """
class Result:
    all_matches = [
        dict(template=dict(name=f"sn{n}_epoch_{n}", type="Ia", subtype="Ia-norm", age=1.0 * n), score=9.0 - n,
             redshift=0.05, sigma_z=0.004, spectra=dict(flux=dict(wave=range(4000, 9000, 10), flux=[1.0] * 500)))
        for n in range(6)
    ]
    all_matches.append(dict(template=dict(name="nan", type="II", subtype=""), score=float("nan"), redshift=0.1))
    all_matches.append(dict(template=dict(name="gal1", type="Galaxy", subtype="Gal-S", age=None), score=2.0,
                            redshift=0.1, sigma_z=float("nan")))
"""
RUN = """
def preprocess_spectrum(spectrum_path, input_spectrum):
    return {"path": spectrum_path, "grid_params": {}}, {}

def run_snid_analysis(processed, templates, **options):
    path = processed["path"]
"""


#: An index of a bank that names nothing.
EMPTY = {"templates": {}, "by_type": {}}


@pytest.fixture
def stand_in(tmp_path):
    """A python that has the stand-in package, and an index of a bank."""

    def make(body, *, answer=ANSWER, index=None):
        site = tmp_path / "site" / "snid_sage"
        for name, text in {**PACKAGE, "snid/snid.py": answer + RUN + body}.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)
        program = tmp_path / "python"
        start = f"import sys; sys.path.insert(0, {str(site.parent)!r}); import runpy; sys.argv = sys.argv[1:]; "
        start += "runpy.run_path(sys.argv[0], run_name='__main__')"
        # "-I", the first argument, is for a real interpreter
        program.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -I -c "{start}" "$@"\n')
        program.chmod(0o755)
        (tmp_path / "bank").mkdir(exist_ok=True)
        (tmp_path / "bank" / "template_index.json").write_text(json.dumps(index or EMPTY))
        return Sage(templates=tmp_path / "bank", python=str(program), timeout_s=60.0)

    return make


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def spectrum_of(wavelength, flux, error):
    return Spectrum(wavelength=wavelength, flux=flux, error=error, sky=0 * flux, unit="", meta={})


def flat():
    wavelength = np.arange(3800.0, 9200.0, 25.0)
    return spectrum_of(wavelength, np.ones_like(wavelength), 0.1 * np.ones_like(wavelength))


def test_all_types_are_asked_and_windows_are_kept_out(stand_in, work):
    body = """
    import sys, json
    rows = [line.split() for line in open(path)]
    assert options.pop("preloaded_templates") == [{"name": "sn0"}]
    assert float(rows[0][0]) >= 4000 and options == dict(zmin=-0.01, zmax=0.3, show_plots=False), options
    try:
        import PySide6
    except ImportError:
        return Result(), {}
    raise AssertionError("a toolkit for windows can be imported")
"""
    answer = stand_in(body).classify(flat(), work)
    assert [one.template for one in answer.matches] == ["sn0", "sn1", "sn2", "sn3", "sn4", "sn5", "gal1"]
    first, last = answer.matches[0], answer.matches[-1]
    assert (first.label, first.score, first.z, first.z_error, first.age) == ("Ia-norm", 9.0, 0.05, 0.004, 0.0)
    assert last.group == "NotSN" and math.isnan(last.age) and math.isnan(last.z_error)
    assert answer.curve is not None and answer.curve.wavelength.size == 500
    assert answer.fractions["Ia"] == pytest.approx(6 / 7)
    assert answer.missing == ("Ia", "Ib", "Ic", "II")  # the stand-in's index is empty


def test_nothing_found_is_an_answer(stand_in, work):
    empty = "class Result:\n    all_matches = []\n"
    answer = stand_in("    return Result(), {}\n", answer=empty).classify(flat(), work)
    assert answer.matches == () and answer.curve is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    raise ValueError('bad grid')\n", "code 1; its last output: ValueError: bad grid"),
        ("    raise SystemExit(0)\n", "code 0"),
        ("    import os\n    os.abort()\n", "code -6"),
        ("    return None, {}\n", "AttributeError"),
    ],
)
def test_failures_are_told(stand_in, work, body, said):
    with pytest.raises(EngineFault, match=said):
        stand_in(body).classify(flat(), work)


def test_a_hanging_one_is_stopped(stand_in, work):
    engine = dataclasses.replace(stand_in("    import time\n    time.sleep(600)\n"), timeout_s=3.0)
    with pytest.raises(EngineFault, match="did not end within 3 s"):
        engine.classify(flat(), work)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"matches": 5}', '{"matches": [5]}', '{"matches": [], "curve": {}}'])
def test_nonsense_is_refused(text):
    with pytest.raises(EngineFault, match="cannot be read"):
        parse(text)


def test_rows_without_score_redshift_or_name_are_passed_over():
    good = {"template": "a", "type": "TDE", "subtype": "H", "score": 5.0, "z": 0.1}
    bad = ({"score": None}, {"z": None}, {"z": True}, {"template": ""}, {"type": None})
    rows = [good, *(good | one for one in bad)]
    (only,) = parse(json.dumps({"matches": rows})).matches
    assert (only.label, only.group) == ("TDE-H", "TDE")


def test_what_is_missing_is_told(tmp_path):
    assert "sage_templates is not set" in Sage().available()
    assert "has no template_index.json" in Sage(templates=tmp_path).available()
    (tmp_path / "template_index.json").write_text("{}")
    assert "is not the index of a bank" in Sage(templates=tmp_path).available()
    (tmp_path / "template_index.json").write_text(json.dumps(EMPTY))
    assert "there is no /nowhere/python" in Sage(templates=tmp_path, python="/nowhere/python").available()
    named = {"sn1": {"storage_file": "templates_Ia.hdf5"}}
    (tmp_path / "template_index.json").write_text(json.dumps(EMPTY | {"templates": named}))
    assert "lacks templates_Ia.hdf5" in Sage(templates=tmp_path).available()
    with pytest.raises(EngineFault, match=r"lacks templates_Ia\.hdf5"):
        Sage(templates=tmp_path).classify(flat(), tmp_path)


def test_templates_are_part_of_the_identity(tmp_path):
    named = {"sn1": {"storage_file": "templates_Ia.hdf5"}}
    (tmp_path / "template_index.json").write_text(json.dumps(EMPTY | {"templates": named}))
    found = set()
    for content in (b"one", b"two"):
        (tmp_path / "templates_Ia.hdf5").write_bytes(content)
        os.utime(tmp_path / "templates_Ia.hdf5", ns=(len(found), len(found)))
        found.add(Sage(templates=tmp_path).identity())
    assert len(found) == 2


def test_a_bank_that_does_not_load_whole_is_a_fault(stand_in, work):
    index = EMPTY | {"templates": {"sn0": {"storage_file": "a.hdf5", "epochs": 3}}}
    engine = stand_in("    return Result(), {}\n", index=index)
    (engine.templates / "a.hdf5").write_bytes(b"")
    with pytest.raises(EngineFault, match="gives 1 of the 3 spectra that its index names; run sedmd bank again"):
        engine.classify(flat(), work)


def test_iib_is_one_type_whatever_the_bank_files_it_under():
    row = {"template": "sn1993J", "type": "II", "subtype": "IIb", "score": 5.0, "z": 0.01}
    (only,) = parse(json.dumps({"matches": [row]})).matches
    assert (only.label, only.group) == ("IIb", "Ib") == ("IIb", group_of("II-IIb"))


# the real one


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    for module in ("snid_sage", "BYOST", "h5py"):
        assert importlib.util.find_spec(module), f"{module} is missing: tests/run says how it is installed"
    return Sage(templates=bank.write_bank(tmp_path_factory.mktemp("bank")), timeout_s=300.0)


def classified(real, folder, rest, *, redshift, s_to_n):
    work = folder / "work"
    work.mkdir()
    answer = real.classify(spectrum_of(*bank.observed(rest, redshift=redshift, s_to_n=s_to_n)), work)
    return judge(answer.matches, Rule(), answer.missing), answer


@pytest.mark.slow
@pytest.mark.parametrize(("age", "redshift"), [(-7.0, 0.03), (0.0, 0.05), (15.0, 0.08), (30.0, 0.01)])
def test_noisy_supernovae_ia_are_recognised(real, tmp_path, age, redshift):
    verdict, answer = classified(real, tmp_path, bank.supernova_ia(bank.FINE, age), redshift=redshift, s_to_n=20)
    assert verdict.group == "Ia" and verdict.secure, verdict
    assert verdict.z == pytest.approx(redshift, abs=0.01)
    assert verdict.age == pytest.approx(age, abs=5)
    assert answer.curve is not None and answer.curve.flux.shape == answer.curve.wavelength.shape


@pytest.mark.slow
def test_a_supernova_ii_is_one(real, tmp_path):
    verdict, _ = classified(real, tmp_path, bank.supernova_ii(bank.FINE, 30.0), redshift=0.03, s_to_n=20)
    assert verdict.group == "II" and verdict.secure


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["old galaxy", "star-forming galaxy", "featureless", "black body", "noise"])
def test_what_is_no_supernova_is_not_secure(real, tmp_path, kind):
    rest = {
        "old galaxy": bank.galaxy(bank.FINE, 0.0),
        "star-forming galaxy": bank.galaxy(bank.FINE, 0.6),
        "featureless": np.ones_like(bank.FINE),
        "black body": bank.black_body(bank.FINE, 9000),
        "noise": np.ones_like(bank.FINE),
    }[kind]
    verdict, _ = classified(real, tmp_path, rest, redshift=0.05, s_to_n=0.5 if kind == "noise" else 20)
    assert not verdict.secure


@pytest.mark.slow
def test_nothing_is_left_in_a_persons_home(real, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    before = {path.name: path.stat().st_mtime_ns for path in real.templates.iterdir()}
    classified(real, tmp_path, bank.supernova_ia(bank.FINE, 0.0), redshift=0.05, s_to_n=20)
    assert list((tmp_path / "home").iterdir()) == []
    assert {path.name: path.stat().st_mtime_ns for path in real.templates.iterdir()} == before


#: Prints what the screen and what every template one by one give; the screen decides on few templates here.
COMPARE = """
import json, runpy, sys
runner, spectrum, bank, out = sys.argv[1:5]
sys.argv[0] = runner
for asked, quick in ((100000, []), (8, []), (8, ["quick"])):
    module = {"__name__": "runner", "__file__": runner}
    exec(compile(open(runner).read(), runner, "exec"), module)
    module["ASKED"], module["TOLD"] = asked, 5
    assert module["main"]([spectrum, bank, out, "0.3", *quick]) == 0
    print("ANSWER", open(out).read())
"""


@pytest.mark.slow
def test_the_screen_changes_no_score(real, tmp_path):
    installed = install(real.templates, tmp_path / "bank").folder
    wavelength, flux, _ = bank.observed(bank.supernova_ia(bank.FINE, 3.0), redshift=0.04, s_to_n=10)
    (tmp_path / "spectrum.txt").write_text("".join(f"{w:.2f} {f:.6e}\n" for w, f in zip(wavelength, flux)))
    files = [sage_runner.__file__, tmp_path / "spectrum.txt", installed, tmp_path / "answer.json"]
    command = [sys.executable, "-c", COMPARE, *map(str, files)]
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    every, *few = (json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ANSWER "))
    assert every["asked"] == every["bank"] and [one["asked"] for one in few] == [8, 8]
    for one in few:
        for mine, theirs in zip(one["matches"], every["matches"], strict=True):
            assert all(mine[key] == theirs[key] for key in ("template", "type", "age"))
            for key in ("score", "z", "z_error"):
                assert mine[key] == pytest.approx(theirs[key], rel=1e-9)
