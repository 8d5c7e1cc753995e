"""Compiled functions: IEEE numbers, and no cache directory is no fault."""

import os
import subprocess
import sys

import numpy as np

from sedmd.reduce.compiled import compiled


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
    source = "from sedmd.reduce.compiled import compiled\n"
    source += "f = compiled('int64(int64)')(eval('lambda n: n + 1'))\nprint(f(41))"
    environment = {**os.environ, "HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": str(tmp_path / "file" / "x")}
    done = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout.strip(), done.returncode) == ("42", 0), done.stderr[-500:]
