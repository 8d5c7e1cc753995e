"""What a cube's cards, log and warnings say of the exposure before."""

from types import SimpleNamespace

import numpy as np
import pytest

import sedmd.steps.former as step
from sedmd.core.errors import FrameFault
from sedmd.core.job import Job
from sedmd.reduce.traces.persistence import Persistence
from sedmd.steps.former import Former, left_by_former, told

from .reduce_scenes import quiet


def found(share, error, worst=0.1):
    return Persistence(share=share, error=error, pixels=500, worst=worst)


def job(folder, **inputs):
    paths = {role: (folder / f"{stem}.fits",) for role, stem in inputs.items()}
    return Job(step="cube", night="20211018", label="x", inputs=paths, outputs={})


def test_what_is_measured_stands_in_the_cards_and_only_what_is_significant_in_the_log():
    faint = told(found(0.001, 0.0005), "now.fits", "then")
    assert {card: value for card, (value, _) in faint.cards.items()} == {
        "PERSIST": 0.001,
        "PERSERR": 0.0005,
        "PERSFROM": "then",
    }
    assert faint.figures == {} and faint.warnings == ()
    assert told(found(-0.01, 0.0005), "now.fits", "then").figures == {}
    assert told(found(0.0021, 0.0005), "now.fits", "then").figures == {"persistence [%]": 0.21}


@pytest.mark.parametrize("share, worst, warned", [(0.01, 5.2, True), (0.01, 0.15, False), (0.001, 5.2, False)])
def test_a_warning_comes_where_it_is_significant_and_more_than_the_noise(share, worst, warned):
    warnings = told(found(share, 0.0005, worst), "now.fits", "then").warnings
    assert bool(warnings) == warned
    assert all(
        "1.00 +- 0.05 % of the light of then is left in it, up to 5.20 times the noise" in one for one in warnings
    )


def test_no_exposure_before_one_that_cannot_be_read_and_one_that_tells_nothing_cost_nothing(tmp_path, monkeypatch):
    image = quiet(np.zeros((8, 8)))
    parts = (image, SimpleNamespace(), SimpleNamespace(), SimpleNamespace())
    assert left_by_former(job(tmp_path, raw="now"), *parts) == Former()
    both = job(tmp_path, raw="now", before="then")

    def refuse(path, bias):
        raise FrameFault(f"{path.name}: another camera")

    monkeypatch.setattr(step, "to_electrons", refuse)
    assert left_by_former(both, *parts) == Former()
    monkeypatch.setattr(step, "to_electrons", lambda path, bias: (image, {}, ()))
    monkeypatch.setattr(step, "persistence", lambda *given: None)
    assert left_by_former(both, *parts) == Former()
    monkeypatch.setattr(step, "persistence", lambda *given: found(0.002, 0.0001))
    assert left_by_former(both, *parts).cards["PERSFROM"][0] == "then"
