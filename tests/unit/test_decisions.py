"""An observer's decision as a file: comes back exactly, and nothing impossible comes in."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.observation import decisions
from sedmd.observation.decisions import Decision, DecisionFault, Picture, Placement
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.psf import Psf

SHA = "0123456789abcdef" * 4


def make_decision(**changes):
    a = Ellipse(x_arcsec=3.1, y_arcsec=-4.2, semi_major_arcsec=2.2, axis_ratio=0.9, angle_deg=20.0)
    values = {
        "product": "ZTF19abc",
        "saved_as": "ZTF19abc_redo",
        "night": "20190612",
        "target": "ZTF19abc",
        "placement": Placement(
            a=a, b=replace(a, x_arcsec=-3.0), psf_a=Psf(x_arcsec=1 / 3, y_arcsec=0.1, fwhm_arcsec=1.9)
        ),
        "picture": Picture(window=(6500.0, 7000.0), low=-21.6, high=21.6, stretch="asinh", colours="night"),
        "quality": 2,
        "reducer": "Ada L.",
        "cubes": (("e3d_a.fits", SHA), ("e3d_b.fits", SHA)),
        "fluxcal": ("std-correction.fits", SHA),
        "products": {"sp_ZTF19abc_redo.fits": SHA},
        "time": "2019-06-12T05:10:00+00:00",
        "versions": {"sedmd": "0.1.0"},
    }
    return Decision(**values | changes)


def test_it_comes_back_as_it_was(tmp_path):
    decision = make_decision()
    path = decisions.write(decision, tmp_path)
    assert path.name == "ZTF19abc_redo.decision.json"
    assert decisions.read(path) == decision
    assert decisions.find(tmp_path) == [path]
    assert decisions.time_of(decision).hour == 5


@given(st.floats(-50, 50), st.floats(0.1, 30), st.floats(0.02, 1), st.floats(0, 359))
def test_every_number_comes_back_exactly(x, a, ratio, angle):
    ellipse = Ellipse(x_arcsec=x, y_arcsec=-x, semi_major_arcsec=a, axis_ratio=ratio, angle_deg=angle)
    decision = make_decision(placement=Placement(a=ellipse, b=ellipse))
    assert decisions.from_json(decisions.to_json(decision), "d") == decision


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quality": 6}, "quality is 6, expected 1 to 5"),
        ({"quality": True}, "quality is True"),
        ({"reducer": "  "}, "reducer is empty"),
        ({"reducer": "Ada\x1b[31m"}, "reducer is .*expected text on one line"),
        ({"target": "a\nb"}, "target is .*expected text on one line"),
        ({"product": "../../etc/passwd"}, "without any directory"),
        ({"saved_as": "a/b"}, "without any directory"),
        ({"cubes": []}, "0 cubes"),
        ({"cubes": [["e3d_a.fits", SHA]]}, "1 cubes; expected one and no aperture B, or two and one"),
        ({"cubes": [["e3d_a.fits", "abc"], ["e3d_b.fits", SHA]]}, "its SHA-256"),
        ({"fluxcal": ["/std.fits", SHA]}, "fluxcal holds"),
        ({"products": []}, "products is list, expected a table"),
        ({"placement": None}, "placement is NoneType"),
        ({"picture": {"window": [6500], "low": 0, "high": 1}}, "expected two wavelengths"),
        ({"time": "yesterday"}, "expected ISO 8601"),
        ({"kind": "recipe"}, "not a decision of sedmview"),
        ({"version": 7}, "decision version 7; this sedmd reads version 2"),
        ({"partial": "yes"}, "expected true or false"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(change, words):
    table = json.loads(decisions.to_json(make_decision())) | change
    with pytest.raises(DecisionFault, match=f"^d.json: .*{words}"):
        decisions.from_json(json.dumps(table), "d.json")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "42", '{"kind": "sedmd decision"}', '{"quality": NaN}', "\x00" * 40, "[" * 100000]
)
def test_no_text_is_a_surprise(text):
    with pytest.raises(DecisionFault, match=r"^d\.json: "):
        decisions.from_json(text, "d.json")


@given(st.integers(0, 1200))
def test_a_cut_file_is_refused(length):
    text = decisions.to_json(make_decision())
    with pytest.raises(DecisionFault):
        decisions.from_json(text[: min(length, len(text) - 2)], "d.json")


@pytest.mark.parametrize("value", ["1e999", "-1e999", '"2"', "null", "[]", "1" + "0" * 400])
def test_numbers_are_numbers(value):
    text = decisions.to_json(make_decision()).replace('"x_arcsec": 3.1', f'"x_arcsec": {value}')
    with pytest.raises(DecisionFault, match="x_arcsec is"):
        decisions.from_json(text, "d.json")


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    with pytest.raises(DecisionFault):
        decisions.write(make_decision(quality=9), tmp_path)
    assert list(tmp_path.iterdir()) == []
