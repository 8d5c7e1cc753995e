"""The demonstration's parts that need no night: the growing copy, the table, the directory it may clear."""

from dataclasses import dataclass

import pytest

from sedmd.demo import MARK, _prepare, compare, decides, drop, passed
from sedmd.errors import SedmError


@dataclass(frozen=True)
class Row:
    quantity: str
    value: float
    passed: bool


def test_a_dropped_frame_is_the_frame(tmp_path):
    source, target = tmp_path / "a.fits", tmp_path / "20190612" / "a.fits"
    source.write_bytes(bytes(range(256)) * 3 + b"x")
    drop(source, target, pieces=3, pause_s=0)
    assert target.read_bytes() == source.read_bytes()


def test_rows_of_the_score_may_be_dataclasses_or_mappings():
    rows = [Row("flux", 0.012345, True), {"quantity": "flexure", "value": 0.2, "passed": False}]
    assert compare(rows).splitlines() == [
        "  quantity  value    passed",
        "  flux      0.01235  yes",
        "  flexure   0.2      NO",
    ]
    assert [passed(row) for row in rows] == [True, False]
    assert compare([]) == "  (nothing to compare)"


def test_only_an_earlier_demo_is_cleared(tmp_path):
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x")
    with pytest.raises(SedmError, match="no earlier demo made it"):
        _prepare(foreign)
    settings = _prepare(tmp_path / "demo")
    (settings.paths.raw_root / "old.fits").write_text("x")
    _prepare(tmp_path / "demo")
    assert list(settings.paths.raw_root.iterdir()) == []
    assert (tmp_path / "demo" / MARK).exists()


def test_the_verdict_rests_on_what_one_night_can_tell():
    assert decides({"what": "flux in 20 nm bins, largest error", "passed": False})
    assert decides({"what": "fate", "where": "ifu20190612_04_11_25"})
    assert not decides({"what": "scattered light, median error", "passed": False})
    assert decides({"passed": False}), "a row that does not say what it is must not pass unseen"
