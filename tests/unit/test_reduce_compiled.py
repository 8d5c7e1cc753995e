"""Compiled functions: IEEE numbers, and no cache directory is no fault."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from sedmd.host.unit_file import last, parse_unit
from sedmd.reduce.numeric import machine_code as kept
from sedmd.reduce.numeric.compiled import CodeCache, compiled, places


@compiled("float64(float64[::1], float64)")
def _total_over(values, divisor):
    total = 0.0
    for value in values:
        total += value
    return total / divisor


def test_compiled_function_adds_in_order_and_divides_by_zero_as_numpy_does():
    values = np.array([1e16, 1.0, -1e16])  # added in this order the 1 is lost, in another it is not
    assert _total_over(values, 2.0) == 0.0
    assert _total_over(np.array([1.0]), 0.0) == np.inf


def test_without_a_place_for_the_cache_functions_are_compiled_all_the_same(tmp_path):
    # numba looks beside the source and in the user's cache; here both are below a file, where nobody can write
    (tmp_path / "file").write_text("")
    source = "from sedmd.reduce.numeric.compiled import compiled\n"
    source += "f = compiled('int64(int64)')(eval('lambda n: n + 1'))\nprint(f(41))"
    environment = {**os.environ, "HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file" / "x")}
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout.strip(), done.returncode) == ("42", 0), done.stderr[-500:]


LOOPS = """
from sedmd.reduce.numeric.compiled import compiled
from inner import FACTOR, twice

@compiled("float64(float64)", "int64(int64)")
def outer(x):
    return FACTOR * twice(x)
"""
INNER = """
from sedmd.reduce.numeric.compiled import compiled
FACTOR = 10
@compiled("float64(float64)", "int64(int64)")
def twice(x):
    return x + x
"""
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from outer import outer
from sedmd.reduce.numeric.compiled import places
print(outer(1), outer(1.5), *(f"{place.loaded}:{place.folder}" for place in places().values()))
"""


class Cache:
    """Two loops in a directory, and processes that use them with machine code kept in another."""

    def __init__(self, source, cache):
        self.source, self.cache = source, cache

    def write(self, inner=INNER):
        (self.source / "inner.py").write_text(inner)
        (self.source / "outer.py").write_text(LOOPS)

    def start(self, **environment):
        command = [sys.executable, "-B", "-c", RUN, str(self.source)]
        environment = os.environ | {"NUMBA_CACHE_DIR": str(self.cache)} | environment
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, **environment):
        """Numbers that the loops give, and of each loop whether its code was there."""
        return self.end(self.start(**environment))

    def end(self, process):
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error[-500:]
        one, other, *told = out.split()
        self.folders = {word.partition(":")[2] for word in told}
        return (one, other), [word.partition(":")[0] for word in told]

    def files(self, suffix):
        return sorted(self.cache.rglob(f"*{suffix}"))


RIGHT = ("20", "30.0")
ANEW, LOADED = ["False", "False"], ["True", "True"]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    (folder / "source").mkdir()
    made = Cache(folder / "source", folder / "cache")
    made.write()
    assert made.run() == (RIGHT, ANEW)
    return made


@pytest.fixture
def cache(full, tmp_path):
    """A cache with code in it, of its own."""
    shutil.copytree(full.cache, tmp_path / "cache")
    yield Cache(full.source, tmp_path / "cache")
    full.write()


def test_machine_code_is_kept_where_it_may_be_written(cache):
    assert cache.run() == (RIGHT, LOADED)
    assert len(cache.folders) == 1 and str(cache.cache) in cache.folders.pop()
    assert len(cache.files(".nbc")) == 4, "two loops for two types"


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".nbc", lambda content: content[: len(content) // 3] + bytes(len(content) - len(content) // 3)),
        (".nbi", lambda content: b""),
        (".sha256", lambda content: content[:-40]),
        (".sha256", None),
    ],
    ids=["zeros in the code", "empty index", "checksums cut off", "no checksums"],
)
def test_damaged_machine_code_is_not_used_but_compiled_anew(cache, suffix, damage):
    before = {path.name: path.stat().st_size for path in cache.files(".nbc")}
    for path in cache.files(suffix):
        path.write_bytes(damage(path.read_bytes())) if damage else path.unlink()
    assert cache.run() == (RIGHT, ANEW)
    assert {path.name: path.stat().st_size for path in cache.files(".nbc")} == before
    assert len(cache.files(".sha256")) == 2


def test_a_loop_is_compiled_anew_with_a_loop_or_a_constant_that_it_uses(cache):
    cache.write(INNER.replace("x + x", "x + x + x"))
    assert cache.run() == (("30", "45.0"), ANEW)
    cache.write(INNER.replace("x + x", "x + x + x").replace("10", "100"))
    assert cache.run() == (("300", "450.0"), ANEW)


def test_the_service_keeps_machine_code_in_its_cache_directory(full, tmp_path):
    """As its unit sets it up: where the program lies nothing can be written, and there is no home."""
    unit = parse_unit((Path(__file__).parents[2] / "systemd" / "sedmd.service").read_text(encoding="utf-8"))
    source = tmp_path / "source"
    shutil.copytree(full.source, source)
    (source / "__pycache__").write_text("no directory: numba cannot keep anything beside the source")
    place = tmp_path / "var" / "cache" / "sedmd"
    assert last(unit, "Service", "CacheDirectory") == "sedmd"
    words = [word.split("=") for line in unit["Service"]["Environment"] for word in line.split()]
    environment = {name: value.replace("/var/cache/sedmd", str(place)) for name, value in words}
    assert str(place) in environment["XDG_CACHE_HOME"]
    environment |= {"NUMBA_CACHE_DIR": "", "HOME": "/nonexistent"}
    service = Cache(source, tmp_path)
    assert service.run(**environment) == (RIGHT, ANEW)
    assert service.run(**environment) == (RIGHT, LOADED), "it survives a restart"
    (folder,) = service.folders
    assert Path(folder).is_relative_to(place / "numba")


def test_machine_code_of_another_processor_is_not_used(cache):
    assert cache.run(NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == (RIGHT, ANEW)
    assert cache.run() == (RIGHT, LOADED), "both are kept"


def test_processes_that_start_together_compile_once(cache):
    shutil.rmtree(cache.cache)
    together = [cache.start() for _ in range(2)]
    told = [cache.end(process) for process in together]
    assert [numbers for numbers, _ in told] == [RIGHT] * 2
    assert sorted(word for _, words in told for word in words) == ["False", "False", "True", "True"]


def test_a_loop_that_cannot_be_compiled_says_so(cache):
    cache.write(INNER.replace("x + x", "x.no_such_thing"))
    process = cache.start()
    assert "no_such_thing" in process.communicate(timeout=120)[1] and process.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.setattr(kept.Kept, "seal", lambda self: Path("/dev/full").write_text("x"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    path = tmp_path / "typed.py"
    path.write_text("def g(n):\n    return n + 1\n")
    names = {"__name__": "typed"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    assert compiled("int64(int64)")(names["g"])(1) == 2
    assert places()["typed.g"] == CodeCache(folder=None, loaded=False)
    assert not list(tmp_path.rglob("*.nb?"))
