"""When a night's sky is measured, which earlier nights tell a flat of theirs, and with which it stays."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sedmd.core.config import Calibrations, Paths, Settings
from sedmd.core.job import Job, Outcome, Product
from sedmd.core.memory_figures import GIVEN_SKY, OWN_SKY
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.records import Record
from sedmd.plan.plan import State
from sedmd.plan.planner import plan_night
from sedmd.run.context import night_context
from sedmd.run.event_log import figures

from .test_planner import WHOLE, carry_out, context, states
from .test_planner_fallback import SKY, earlier_set

NOW = datetime(2021, 10, 20, 12, tzinfo=UTC)
NIGHT = "20211018"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", clock=lambda: NOW) as opened:
        yield opened


def did(ledger, night, step, **told):
    path = Path("/redux") / night / f"{step}.fits"
    job = Job(step=step, night=night, label=step, inputs={}, outputs={step: path})
    product = Product(role=step, path=path, sha256="ab", size=3, mtime_ns=5)
    key = f"{step} {night} {told}"
    ledger.jobs.start(key, job)
    ledger.jobs.finish(key, job, Outcome(state="done", figures=told, products=(product,), seconds=1.0), state="done")


def option(ledger, night=NIGHT, pin=True, **rules):
    settings = Settings(
        paths=Paths(raw_root=Path("/raw"), redux_root=Path("/redux")), calibrations=Calibrations(**rules)
    )
    made = night_context(settings, ledger, night, [], now=NOW, final=False, versions={}, pin_fallbacks=pin)
    return {name: text for name, text in made.options["flat"].items() if name == "sky"}


# --- from the ledger to the flat ---


def test_the_last_five_nights_tell_the_flat_the_newest_first(ledger):
    assert option(ledger) == {"sky": ""}
    for night in ("20211010", "20211011", "20211012", "20211013", "20211014", "20211017", "20211019"):
        did(ledger, night, "skyflat", **{OWN_SKY: f"of:{night}"})
    nights = [part.split(" ")[0] for part in option(ledger)["sky"].split("; ")]
    assert nights == ["20211017", "20211014", "20211013", "20211012", "20211011"]
    assert option(ledger, sky_flat_earlier_nights=1) == {"sky": "20211017 1 of:20211017"}
    assert option(ledger, sky_flat_earlier_nights=0) == {}


def test_a_flat_stays_with_what_its_night_was_begun_with(ledger):
    """The flat is told, the other step tells: the one's figure is the pin of the other's."""
    did(ledger, "20211016", "skyflat", **{OWN_SKY: "first"})
    begun = option(ledger)
    assert begun == {"sky": "20211016 2 first"}
    did(ledger, NIGHT, "flat", **{GIVEN_SKY: begun["sky"]})
    did(ledger, NIGHT, "skyflat", **{OWN_SKY: "tonight"})
    did(ledger, "20211017", "skyflat", **{OWN_SKY: "late"})
    assert option(ledger) == begun
    assert option(ledger, pin=False)["sky"].startswith("20211017 1 late; ")


def test_a_night_before_a_change_of_the_instrument_tells_nothing(ledger):
    did(ledger, "20230406", "skyflat", **{OWN_SKY: "before"})
    assert option(ledger, "20230407") == {"sky": ""}
    assert option(ledger, "20230406") == {"sky": ""}


def test_no_line_of_the_log_shows_them():
    assert figures({"exposures": 3, OWN_SKY: "1:2", GIVEN_SKY: "3:4"}) == "exposures=3"


def test_all_that_follows_from_the_flat_has_it_in_its_key():
    def keys(text):
        records, products = {}, {}
        options = {"flat": {} if text is None else {"sky": text}}
        for _ in range(80):
            plan = plan_night(WHOLE, context(final=True, records=records, products=products, options=options))
            if not plan.due():
                return {f"{node.job.step} {node.job.label}": node.key for node in plan.nodes}
            node = plan.due()[0]
            records[node.key] = Record(state="done")
            products |= {path.name: node.key for path in node.job.outputs.values()}
        raise AssertionError("the planner does not come to an end")

    none, empty, told = keys(None), keys(""), keys("20190611 1 text")
    for name, key in none.items():
        follows = name.split(" ")[0] not in ("bias", "lamp", "traces", "wavelength")
        assert (len({key, empty[name], told[name]}) == 3) == follows, name


# --- when it is due ---


def test_the_sky_is_measured_on_all_targets_at_the_end_of_the_night():
    plan, done, products = carry_out(WHOLE)
    assert states(plan, "skyflat") == {"3 exposures": State.DONE}
    assert products["sky-flat.fits"]
    assert done.index("skyflat 3 exposures") > max(n for n, name in enumerate(done) if name.startswith("cube"))
    (node,) = [node for node in plan.nodes if node.job.step == "skyflat"]
    assert sorted(node.job.inputs) == ["cubes", "flat", "traces"]
    assert not any("STD" in path.name for path in node.job.inputs["cubes"])
    assert [path.name for path in node.job.inputs["flat"]] == ["flat.fits"]


def test_it_waits_for_the_end_of_the_night_and_for_the_last_cube():
    plan, done, _ = carry_out(WHOLE, final=False)
    assert not any(name.startswith("skyflat") for name in done)
    (node,) = [node for node in plan.nodes if node.job.step == "skyflat"]
    assert (node.state, node.active, node.missing, node.reason) == (State.WAITING, False, False, "the end of the night")
    early = plan_night(WHOLE, context(final=True))
    (node,) = [node for node in early.nodes if node.job.step == "skyflat"]
    assert node.state is State.WAITING and node.active


def test_a_cube_that_failed_is_left_out_and_nothing_is_measured_without_any():
    names = [name for name in carry_out(WHOLE)[1] if name.startswith("cube") and "STD" not in name]
    plan, _, _ = carry_out(WHOLE, outcomes={names[0]: "quarantined"})
    assert states(plan, "skyflat") == {"2 exposures": State.DONE}
    plan, done, _ = carry_out(WHOLE, outcomes=dict.fromkeys(names, "quarantined"))
    assert not any(name.startswith("skyflat") for name in done)
    # it stays in the plan: what was measured before is not moved aside
    (node,) = [node for node in plan.nodes if node.job.step == "skyflat"]
    assert node.state is State.WAITING and not node.active
    stars = [frame for frame in WHOLE if frame.name not in ("x", "y")]
    assert not states(carry_out(stars)[0], "skyflat")


def test_cubes_with_another_nights_calibrations_tell_nothing_of_this_nights_flat():
    records, products = {}, {}
    for _ in range(30):
        plan = plan_night(
            SKY, context(final=True, records=records, products=products, fallbacks=[earlier_set()], fallback_due=True)
        )
        if not plan.due():
            break
        node = plan.due()[0]
        records[node.key] = Record(state="done")
        products |= {path.name: node.key for path in node.job.outputs.values()}
    assert {node.fallback for node in plan.nodes if node.job.step == "cube"} == {"20190611"}
    assert not states(plan, "skyflat")
