"""An observer's decision as a file: comes back exactly, and nothing impossible comes in."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.observation import decisions
from sedmd.observation.decisions import Decision, DecisionFault, Picture, Placement
from sedmd.observation.inputs import Subject
from sedmd.observation.seeing import TargetPrior
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf
from sedmd.reduce.target.seeing import Seeing

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


def test_a_decision_of_the_first_version_is_read_with_what_it_could_not_say(tmp_path):
    table = json.loads(decisions.to_json(make_decision())) | {"version": 1}
    for key in ("fluxcal_night", "subject", "object_visible", "partial", "versions"):
        del table[key]
    for key in ("skysub", "point_source", "psf_a", "psf_b", "fit"):
        del table["placement"][key]
    read = decisions.from_json(json.dumps(table), "d.json")
    a, b = make_decision().placement.a, make_decision().placement.b
    assert read == make_decision(placement=Placement(a=a, b=b), versions={})
    assert (read.object_visible, read.partial, read.subject, read.fluxcal_night) == (True, False, None, "")
    assert (read.placement.skysub, read.placement.point_source, read.placement.fit) == (True, True, None)


@pytest.mark.parametrize("version", [0, 3, "2", None])
def test_no_other_version_is_read(version):
    table = json.loads(decisions.to_json(make_decision())) | {"version": version}
    with pytest.raises(DecisionFault, match="decision version"):
        decisions.from_json(json.dumps(table), "d.json")


FIT = TargetPrior(
    places=(Place(x_arcsec=-2.0, y_arcsec=1.5, spread_arcsec=2.0, source="the night's star"),),
    seeing=Seeing(fwhm_arcsec=0.9, spread_arcsec=0.3),
)


def test_a_fit_and_the_subject_come_back_as_they_were():
    a = make_decision().placement.a
    subject = Subject(name="ZTF19abc", standard=True, star="feige34", half="B", name_doubt="?")
    decision = make_decision(
        placement=Placement(a=a, fit=FIT, skysub=False, point_source=False),
        cubes=(("e3d_a.fits", SHA),),
        subject=subject,
        fluxcal_night="20190610",
        object_visible=False,
        partial=True,
    )
    assert decisions.from_json(decisions.to_json(decision), "d.json") == decision


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("subject", "half"), "C", "half is 'C'"),
        (("fluxcal_night",), "2019", "fluxcal_night is '2019'"),
        (("placement", "fit", "places"), [], "places is empty"),
        (("placement", "fit", "seeing", "fwhm_arcsec"), 0.0, "fwhm_arcsec is 0.0"),
        (("placement", "fit", "places", 0, "spread_arcsec"), -1, "spread_arcsec is -1"),
        (("placement", "a", "axis_ratio"), 1.5, "axis_ratio is 1.5"),
        (("placement", "a", "semi_major_arcsec"), 0, "semi_major_arcsec is 0"),
        (("placement", "a", "x_arcsec"), 61, "x_arcsec is 61"),
        (("placement", "a", "y_arcsec"), -61, "y_arcsec is -61"),
        (("picture", "window"), [6500, 70000], "window is 70000"),
        (("cubes", 0), ["e3d_a.fits", SHA, "more"], "its SHA-256"),
        (("cubes", 0), ["e3d_a.fits", 5], "its SHA-256"),
        (("cubes", 0), 5, "its SHA-256"),
    ],
)
def test_what_cannot_be_is_refused_wherever_it_stands(where, value, words):
    a = make_decision().placement.a
    one = make_decision(placement=Placement(a=a, fit=FIT), cubes=(("e3d_a.fits", SHA),), subject=Subject(name="x"))
    table = json.loads(decisions.to_json(one))
    inner = table
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    with pytest.raises(DecisionFault, match=rf"^d\.json: .*{words}"):
        decisions.from_json(json.dumps(table), "d.json")


def test_a_time_without_a_zone_is_utc():
    assert decisions.time_of(make_decision(time="2019-06-12T05:10:00")) == decisions.time_of(make_decision())
    assert decisions.time_of(make_decision(time="2019-06-12T07:10:00+02:00")) == decisions.time_of(make_decision())


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
