"""A synthetic night for the viewer, and a Qt that needs no screen."""

import hashlib
import os

import pytest
from viewer_samples import make_cube, make_header

from sedmd.products.cube import write_cube
from sedmview import disk

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    """What the viewer remembers goes to the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SEDM_USER", raising=False)
    monkeypatch.delenv("SEDM_REDUX", raising=False)


_searched = {}


@pytest.fixture(autouse=True)
def each_field_is_searched_once(monkeypatch):
    """The search for objects takes seconds, and the fields of these tests are always the same."""
    search = disk.suggest

    def suggest(observation):
        cubes = hashlib.sha1(b"".join(cube.flux.tobytes() for cube in observation.cubes)).digest()
        key = (cubes, observation.product, observation.offsets, observation.inputs)
        if key not in _searched:
            _searched[key] = search(observation)
        return _searched[key]

    monkeypatch.setattr(disk, "suggest", suggest)


@pytest.fixture
def redux(tmp_path):
    """A night with a standard, an A/B pair, a single target and the A of a pair that has no B yet."""
    directory = tmp_path / "redux" / "20190612"
    star = 300.0
    for stem, name, day, sources, offset in (
        ("ifu20190612_03_45_00", "STD-Feige34", 0.156, [(1.0, 1.0, 2000.0)], (0.0, 0.0)),
        ("ifu20190612_04_07_07", "ZTF19abc [A]", 0.172, [(3.0, -4.0, star)], (-3.0, 4.0)),
        ("ifu20190612_04_28_02", "ZTF19abc [B]", 0.186, [(-3.0, 4.0, star)], (3.0, -4.0)),
        ("ifu20190612_05_10_00", "SN2019xyz", 0.215, [(-2.0, 2.0, star)], (0.0, 0.0)),
        ("ifu20190612_05_40_00", "ZTF19half [A]", 0.236, [(2.0, 2.0, star)], (-3.0, 4.0)),
    ):
        target = name.split()[0]
        cube = make_cube(sources, seed=int(day * 1000))
        header = make_header(name, day, RA_OFF=offset[0], DEC_OFF=offset[1])
        write_cube(directory / f"e3d_crr_b_{stem}_{target}.fits", cube, header=header)
    return directory
