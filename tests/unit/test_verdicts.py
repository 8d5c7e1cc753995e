"""Observers' decisions in the ledger: each noted once, the newest counts, what is none is told once."""

import json
from datetime import UTC, datetime

import pytest

from sedmd.ledger.ledger import Ledger
from sedmd.observation import decisions
from sedmd.observation.decisions import Decision, Picture, Placement, to_json, write
from sedmd.observation.noted_decisions import decided, saved_files, take_decisions
from sedmd.reduce.target.aperture import Ellipse

NOW = datetime(2019, 6, 12, 13, tzinfo=UTC)
NIGHT = "20190612"


def decision(saved_as: str, *, quality: int = 1, reducer: str = "ann", time: str = "2019-06-12T12:00:00+00:00"):
    aperture = Ellipse(x_arcsec=0.0, y_arcsec=0.0, semi_major_arcsec=2.0, axis_ratio=1.0, angle_deg=0.0)
    return Decision(
        product="x",
        saved_as=saved_as,
        night=NIGHT,
        target="x",
        placement=Placement(a=aperture),
        picture=Picture(window=(5000.0, 8000.0), low=0.0, high=1.0),
        quality=quality,
        reducer=reducer,
        cubes=(("e3d_x.fits", "0" * 64),),
        time=time,
    )


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / NIGHT
    folder.mkdir()
    return folder


@pytest.fixture
def ledger():
    with Ledger.open(":memory:", clock=lambda: NOW) as made:
        yield made


def test_a_decision_is_noted_once_and_again_when_it_changes(ledger, night):
    assert take_decisions(ledger, night) == []
    write(decision("x"), night)
    assert take_decisions(ledger, night) == ["x: observer: 1 good, by ann"]
    assert take_decisions(ledger, night) == []
    write(decision("x", quality=3, time="2019-06-12T12:30:00+00:00"), night)
    assert take_decisions(ledger, night) == ["x: observer: 3 poor, by ann"]
    assert decided(ledger, NIGHT)["x"].quality == 3
    assert [text for *_, text in ledger.events.story("x")] == [
        "observer: 1 good, by ann; saved as x",
        "observer: 3 poor, by ann; saved as x",
    ]


def test_the_newest_decision_on_an_observation_counts(ledger, night):
    write(decision("x_redo", quality=2, time="2019-06-12T12:30:00+00:00"), night)
    write(decision("x", quality=4), night)
    take_decisions(ledger, night)
    assert decided(ledger, NIGHT)["x"].saved_as == "x_redo"


def test_what_is_no_decision_is_told_once(ledger, night):
    (night / "y.decision.json").write_text("{}")
    (told,) = take_decisions(ledger, night)
    assert told.startswith("y: decision not taken: y.decision.json: ")
    assert take_decisions(ledger, night) == []
    assert decided(ledger, NIGHT) == {}


def test_names_are_those_of_the_viewer(night):
    path = write(decision("x"), night)
    assert decisions.find(night) == [path]
    assert json.loads(path.read_text())["reducer"] == "ann"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "/etc/passwd", "x\0y", "a\nb"])
def test_a_way_to_another_directory_is_no_file_of_an_observer(night, name):
    table = json.loads(to_json(decision("y"))) | {"products": {name: "0" * 64, "sp_y.fits": "1" * 64}}
    (night / "y.decision.json").write_text(json.dumps(table))
    assert saved_files(night) == ({night / "sp_y.fits": "1" * 64}, [])
