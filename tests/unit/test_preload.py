"""What is loaded when: a job finds its libraries loaded, and who only asks how a night stands loads none of them."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sedmd
from sedmd.commands.common import utc_now
from sedmd.core.config import from_table
from sedmd.core.recipe import RECIPE
from sedmd.ledger.ledger import Ledger
from sedmd.products.spectrum import Field, read_spectrum, write_spectrum
from sedmd.run.ingest import register, take_in
from sedmd.steps import STEP_VERSIONS, STEPS
from sedmd.workers.engines import preloaded
from unit.test_steps_spectrum import job, page_of

HEAVY = {"scipy", "numba", "llvmlite", "astroscrappy", "matplotlib"}
LIBRARIES = HEAVY | {"numpy", "astropy", "sedmd", "fontTools", "PIL"}
#: Loads what the fork server loads, works jobs off, and tells which modules came only then.
WORK = """
import importlib, pickle, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
before = set(sys.modules)
for job in pickle.load(open(sys.argv[1], "rb")):
    importlib.import_module("sedmd.steps").STEPS[job.step](job)
print(*(name for name in sys.modules if name not in before))
"""
ASK = """
import sys
from sedmd.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as left:
    code = left.code
print("MODULES", *sys.modules)
sys.exit(code)
"""
PLAN = """
import sys
from sedmd.run.dispatch import step_versions
assert step_versions("sedmd.steps")
print("MODULES", *sys.modules)
"""


def loaded(code, *args):
    """Modules that a process tells at the end."""
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, args)]
    root = Path(sedmd.__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("MODULES")[2].split()


def prepared(redux):
    """A ledger that knows a night, of one frame that cannot be read."""
    path = redux / "raw" / "20190612" / "ifu20190612_04_00_00.fits"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no frame")
    settings = from_table({"paths": {"raw_root": "raw", "redux_root": "."}}, origin="test", base=redux)
    (redux / ".sedmd").mkdir()
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now) as ledger:
        register(ledger, take_in(path, settings, now=utc_now()))


def of_libraries(modules, names):
    return sorted(name for name in modules if name.partition(".")[0] in names)


def test_every_step_of_the_recipe_has_a_function_and_a_version():
    assert set(STEPS) == set(STEP_VERSIONS) == set(RECIPE)
    assert len(STEPS) == len(RECIPE) and all(callable(STEPS[name]) for name in STEPS)
    with pytest.raises(KeyError):
        STEPS["no such step"]


def test_a_job_loads_no_library(tmp_path):
    spectrum = job(tmp_path)
    x = np.arange(9.0)
    field = Field(x_arcsec=x, y_arcsec=x, values=x, corners=np.eye(6, 2), label="white")
    write_spectrum(spectrum.one("ext"), read_spectrum(spectrum.one("ext"))[0], field=field)
    (tmp_path / "jobs").write_bytes(pickle.dumps([spectrum, page_of(spectrum)]))
    late = loaded(WORK, tmp_path / "jobs", *preloaded("sedmd.steps"))
    # a font's tables are loaded one by one, as the page's letters need them
    assert [name for name in of_libraries(late, LIBRARIES) if "fontTools.ttLib.tables" not in name] == []


def test_modules_that_cannot_be_found_are_left_to_who_uses_them():
    assert preloaded("no.such.module")[-2:] == ["no.such.module", "sedmd.workers.frozen"]


@pytest.mark.parametrize("words", ["--help", "status", "why ifu20190612_04_00_00"])
def test_asking_loads_no_numerical_library(tmp_path, words):
    words, where = words.split(), []
    if words != ["--help"]:
        prepared(tmp_path)
        where = ["--redux", tmp_path]
    assert of_libraries(loaded(ASK, *words, *where), HEAVY) == []


def test_who_shows_a_spectrum_compiles_no_loop():
    shown = "sedmview.model, sedmd.observation.saved, sedmd.after.report.figures"
    code = f"import sys, {shown}; print('MODULES', *sys.modules)"
    assert of_libraries(loaded(code), {"numba"}) == []


def test_planning_loads_no_numerical_library():
    assert of_libraries(loaded(PLAN), HEAVY) == []
