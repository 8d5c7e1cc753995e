"""Lamp lines from night to night: from the ledger to the jobs of a night that lacks a lamp, and to no other."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.core.config import Calibrations, Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.core.memory_figures import GIVEN_LINES, OWN_LINES
from sedmd.ledger.ledger import Ledger
from sedmd.plan.plan import State
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Kind
from sedmd.run.context import ACCEPTED, REFUSED, night_context
from sedmd.run.event_log import figures
from sedmd.run.many_nights import made_ahead

from .test_planner import WHOLE, context
from .test_planner_fallback import cubes, earlier_set

NOW = datetime(2021, 10, 20, 12, tzinfo=UTC)
NIGHT = "20211018"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def did(ledger, night, told, steps=("wavelength", "flat")):
    for step in steps:
        path = Path("/redux") / night / f"{step}.fits"
        job = Job(step=step, night=night, label=step, inputs={}, outputs={step: path})
        product = Product(role=step, path=path, sha256="ab", size=3, mtime_ns=5)
        outcome = Outcome(state="done", figures=told, products=(product,), seconds=1.0)
        ledger.jobs.start(f"{step} {night}", job)
        ledger.jobs.finish(f"{step} {night}", job, outcome, state="done")


def given(ledger, night=NIGHT, pin=True, **rules):
    settings = Settings(
        paths=Paths(raw_root=Path("/raw"), redux_root=Path("/redux")), calibrations=Calibrations(**rules)
    )
    return night_context(settings, ledger, night, [], now=NOW, final=False, versions={}, pin_fallbacks=pin).lines


def test_five_nights_of_the_same_instrument_tell_their_lines(ledger):
    assert given(ledger) == ""
    for day in range(10, 18):
        did(ledger, f"202110{day}", {OWN_LINES: f"Hg:{day}"})
    assert given(ledger) == "; ".join(f"202110{day} {18 - day} Hg:{day}" for day in (17, 16, 15, 14, 13))
    assert given(ledger, line_earlier_nights=1) == "20211017 1 Hg:17"
    assert given(ledger, line_earlier_nights=0) == ""
    did(ledger, "20230406", {OWN_LINES: "Hg:1"})
    assert given(ledger, "20230407") == "", "another camera"
    assert given(ledger, "20211120") == "", "too long ago"


def test_a_night_that_is_not_believed_tells_nothing(ledger):
    for day in (14, 15, 16, 17):
        did(ledger, f"202110{day}", {OWN_LINES: f"Hg:{day}"}, ("wavelength",) if day == 17 else ("wavelength", "flat"))
    assert given(ledger).startswith("20211016 "), "a night whose geometry changed has no flat"
    ledger.marks.put(REFUSED, "20211016", "20211016", "")
    assert given(ledger).startswith("20211015 ")
    ledger.marks.put(ACCEPTED, "20211015", "20211015", "")
    assert given(ledger) == "20211015 3 Hg:15", "nor one of before the instrument was changed"


def test_a_night_goes_on_with_the_lines_that_its_traces_were_given(ledger):
    did(ledger, NIGHT, {GIVEN_LINES: "20211016 2 Hg:2"}, ("traces",))
    did(ledger, "20211017", {OWN_LINES: "Hg:3"})
    assert given(ledger) == "20211016 2 Hg:2"
    assert given(ledger, pin=False) == "20211017 1 Hg:3"


def chain(frames, **changes):
    plan = plan_night(frames, context(final=True, **({"lines": "20190611 1 Hg:1", "fallback_due": True} | changes)))
    nodes = {node.job.step: node for node in plan.nodes if node.job.step in ("traces", "wavelength", "flat")}
    return plan, nodes


def lacking(*kinds):
    return [frame for frame in WHOLE if frame.kind not in kinds]


@pytest.mark.parametrize("lost", [(Kind.HG,), (Kind.CD,), (Kind.XE,), (Kind.HG, Kind.XE), (Kind.CD, Kind.XE)])
def test_what_a_missing_lamp_would_show_is_told_to_traces_and_wavelengths(lost):
    _, nodes = chain(lacking(*lost), fallbacks=[earlier_set()])
    for step in ("traces", "wavelength"):
        assert nodes[step].job.options["lines"] == "20190611 1 Hg:1"
        assert not set(map(str, lost)) & set(nodes[step].job.inputs)
        assert nodes[step].active
    assert "lines" not in nodes["flat"].job.options


def test_a_whole_night_does_not_depend_on_it():
    keys = [{step: node.key for step, node in chain(WHOLE, lines=text)[1].items()} for text in ("", "20190611 1 Hg:1")]
    assert keys[0] == keys[1]


def test_until_the_hour_the_lamp_itself_is_waited_for():
    _, nodes = chain(lacking(Kind.HG), fallback_due=False)
    assert nodes["traces"].state is State.WAITING and not nodes["traces"].active
    assert "lines" not in nodes["traces"].job.options


def test_without_any_lamp_or_without_the_dome_nothing_is_solved():
    for lost in ((Kind.HG, Kind.CD, Kind.XE), (Kind.DOME,)):
        plan, nodes = chain(lacking(*lost), fallbacks=[earlier_set()])
        assert not nodes["traces"].active
        assert {node.fallback for node in cubes(plan)} == {"20190611"}


def test_of_many_nights_what_asks_others_waits_for_its_turn():
    whole, lacks = chain(WHOLE)[1], chain(lacking(Kind.CD), lines="")[1]
    assert made_ahead(whole["traces"]) and made_ahead(whole["wavelength"]) and not made_ahead(whole["flat"])
    assert not any(made_ahead(node) for node in lacks.values())


def test_the_log_shows_none_of_it():
    assert figures({"lines": 20, OWN_LINES: "Hg:1:2:3", GIVEN_LINES: ""}) == "lines=20"
