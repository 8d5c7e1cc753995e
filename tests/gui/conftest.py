"""A synthetic night for the viewer, and a Qt that needs no screen."""

import os

import pytest
from viewer_samples import make_cube, make_header

from sedmd.products.cube import write_cube

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def redux(tmp_path):
    """A night with a standard, an A/B pair and a single target."""
    directory = tmp_path / "20190612"
    star = 300.0
    for stem, name, day, sources in (
        ("ifu20190612_03_45_00", "STD-Feige34", 0.156, [(1.0, 1.0, 2000.0)]),
        ("ifu20190612_04_07_07", "ZTF19abc [A]", 0.172, [(3.0, -4.0, star)]),
        ("ifu20190612_04_28_02", "ZTF19abc [B]", 0.186, [(-3.0, 4.0, star)]),
        ("ifu20190612_05_10_00", "SN2019xyz", 0.215, [(-2.0, 2.0, star)]),
    ):
        target = name.split()[0]
        cube = make_cube(sources, seed=int(day * 1000))
        write_cube(directory / f"e3d_crr_b_{stem}_{target}.fits", cube, header=make_header(name, day))
    return directory
