"""Earlier nights' calibrations: when they serve, all or nothing, and what becomes of it when tonight's come."""

from datetime import timedelta
from pathlib import Path

import pytest

from sedmd.core.config import Calibrations
from sedmd.ledger.records import Record
from sedmd.plan.calibrations import CalibrationSet, FluxCalibration, Reference
from sedmd.plan.plan import State
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Kind

from .test_night import make, series
from .test_planner import NOW, WHOLE, calibration_frames, carry_out, context, states

SKY = [make(0, "STD-Feige34", kind=Kind.STANDARD, star="feige34"), make(60, "y"), make(80, "z")]
EARLIER = Path("/redux/20190611")


def earlier_set(night: str = "20190611", speeds=("0.1", "2.0")) -> CalibrationSet:
    def reference(name: str) -> Reference:
        return Reference(path=Path("/redux") / night / f"{name}.fits", checksum=f"{night}-{name}")

    return CalibrationSet(
        night=night,
        age_nights=20190612 - int(night),
        bias={f"bias {speed} MHz": reference(f"bias{speed}") for speed in speeds},
        traces=reference("traces"),
        wavelength=reference("wavelength"),
        flat=reference("flat"),
    )


def cubes(plan):
    return [node for node in plan.nodes if node.job.step == "cube"]


def done(nodes):
    """The ledger after these jobs: their records and products."""
    records = {node.key: Record(state="done") for node in nodes}
    return records, {path.name: node.key for node in nodes for path in node.job.outputs.values()}


def test_before_the_hour_science_waits_for_tonight():
    plan = plan_night(SKY, context(fallbacks=[earlier_set()], fallback_due=False))
    assert {node.state for node in cubes(plan)} == {State.WAITING}
    assert plan.fallback is None
    assert "dome: no frames (at least 3 needed)" in plan.missing


def test_after_the_hour_one_whole_earlier_set_serves():
    plan = plan_night(SKY, context(fallbacks=[earlier_set()], fallback_due=True))
    for node in cubes(plan):
        assert node.state is State.DUE
        assert node.fallback == "20190611"
        given = {role: path[0].parent for role, path in node.job.inputs.items() if role not in ("raw", "before")}
        assert given == dict.fromkeys(("bias", "traces", "wavelength", "flat"), EARLIER), "nothing of another night"
        assert node.job.options["calibrations"] == {"night": "20190611", "age_nights": 1}
    assert plan.fallback.night == "20190611"
    assert plan.missing == (), "nothing is missing when something serves ..."
    assert any("dome" in lack for lack in plan.lacking), "... but what tonight lacks is told"


def test_tonights_own_bias_does_not_mix_into_an_earlier_set():
    plan = plan_night([*series(5, 5), *SKY], context(fallbacks=[earlier_set()], fallback_due=True))
    assert {node.job.one("bias").parent for node in cubes(plan)} == {EARLIER}


def test_what_tonight_is_about_to_finish_is_waited_for():
    plan = plan_night([*calibration_frames(), *SKY], context(fallbacks=[earlier_set()], fallback_due=True))
    assert {node.state for node in cubes(plan)} == {State.WAITING}
    assert all(node.active for node in cubes(plan))


@pytest.mark.parametrize("broken", ["lamp Cd", "traces traces", "wavelength wavelength", "flat flat"])
def test_a_calibration_that_fails_is_replaced_by_the_earlier_set(broken):
    records: dict[str, Record] = {}
    products: dict[str, str] = {}
    frames = [*calibration_frames(), *SKY]
    for _ in range(60):
        plan = plan_night(
            frames,
            context(records=records, products=products, fallbacks=[earlier_set()], fallback_due=True),
        )
        node = next((node for node in plan.due() if node.job.step != "cube"), None)
        if node is None:
            break
        bad = f"{node.job.step} {node.job.label}" == broken
        records[node.key] = Record(state="quarantined" if bad else "done", reason="as given")
        if not bad:
            products |= {path.name: node.key for path in node.job.outputs.values()}
    assert {node.fallback for node in cubes(plan)} == {"20190611"}
    assert {node.state for node in cubes(plan)} == {State.DUE}


def test_the_newest_set_that_has_the_bias_of_the_speed():
    sets = [earlier_set("20190611", speeds=("2.0",)), earlier_set("20190610")]
    plan = plan_night(SKY, context(fallbacks=sets, fallback_due=True))
    assert {node.fallback for node in cubes(plan)} == {"20190610"}


def test_tonights_calibrations_take_over_and_what_was_done_is_offered():
    early = context(fallbacks=[earlier_set()], fallback_due=True)
    first = [node for node in cubes(plan_night(SKY[:2], early)) if "y" in node.job.label]
    records, products = done(first)
    # then everything of tonight comes, and its calibrations succeed
    frames = [*calibration_frames(), *SKY]
    for _ in range(60):
        plan = plan_night(
            frames,
            context(records=records, products=products, fallbacks=[earlier_set()], fallback_due=True, final=True),
        )
        due = plan.due()
        if not due:
            break
        more_records, more_products = done(due[:1])
        records, products = records | more_records, products | more_products
    used = {node.job.label.split()[-1]: node.fallback for node in cubes(plan)}
    assert used == {"STD-Feige34": "", "y": "20190611", "z": ""}, "new exposures take tonight's, done ones stay"
    assert plan.offers == ("y_obs1",)
    again = plan_night(
        frames,
        context(records=records, products=products, fallbacks=[earlier_set()], fallback_due=True, pin_fallbacks=False),
    )
    assert {node.fallback for node in cubes(again)} == {""}
    assert again.offers == ()
    # `sedmd redo` forgets the job, and the planner takes the best that there is
    forgotten = {key: record for key, record in records.items() if key != first[0].key}
    redone = plan_night(
        frames, context(records=forgotten, products=products, fallbacks=[earlier_set()], fallback_due=True)
    )
    assert {node.fallback for node in cubes(redone)} == {""}


def test_a_pair_is_never_reduced_with_two_sets():
    a, b = make(20, "x [A]"), make(40, "x [B]")
    early = context(fallbacks=[earlier_set()], fallback_due=True)
    records, products = done(cubes(plan_night([a], early)))
    _, _, own = carry_out([*calibration_frames(), make(0, "q")])
    plan = plan_night([*calibration_frames(), make(0, "q")], context(products=own))
    records |= {node.key: Record(state="done") for node in plan.nodes if node.job.step != "cube"}
    plan = plan_night(
        [*calibration_frames(), make(0, "q"), a, b],
        context(records=records, products=products | own, fallbacks=[earlier_set()], fallback_due=True),
    )
    pair = [node for node in cubes(plan) if node.job.label.endswith(" x")]
    assert len(pair) == 2
    assert {node.fallback for node in pair} == {""}


def test_a_geometry_that_departs_is_quarantined_and_the_earlier_set_serves():
    _, _, products = carry_out(calibration_frames())
    plan = plan_night(calibration_frames(), context(products=products))
    records = {node.key: Record(state="done", figures={"pitch": 47.0}) for node in plan.nodes}
    asked = []

    def geometry_changes(traces, wavelength):
        asked.append((traces, wavelength))
        return ["pitch of the spaxels 47 px, before 49 px"]

    frames = [*calibration_frames(), *SKY]
    told = {"records": records, "products": products, "fallbacks": [earlier_set()], "fallback_due": True}
    plan = plan_night(frames, context(geometry_changes=geometry_changes, **told))
    (wavelength,) = [node for node in plan.nodes if node.job.step == "wavelength"]
    assert wavelength.state is State.QUARANTINED
    assert "sedmd accept 20190612" in wavelength.reason
    assert plan.geometry_change == "pitch of the spaxels 47 px, before 49 px"
    assert {node.fallback for node in cubes(plan)} == {"20190611"}
    assert asked == [({"pitch": 47.0}, {"pitch": 47.0})]
    accepted = plan_night(frames, context(**told))
    assert {node.fallback for node in cubes(accepted)} == {""}


def test_last_nights_flux_calibration_serves_until_the_first_standard():
    earlier = FluxCalibration(
        night="20190610",
        age_nights=2,
        fluxcal=Reference(path=Path("/redux/20190610/std-correction.fits"), checksum="old"),
    )
    records: dict[str, Record] = {}
    products: dict[str, str] = {}
    sources = []
    for _ in range(60):
        plan = plan_night(WHOLE, context(records=records, products=products, flux_fallback=earlier))
        due = [node for node in plan.due() if "Feige34" not in node.job.label] or plan.due()
        if not due:
            break
        node = due[0]
        if node.job.label == "y_obs1" and node.job.step == "calibrate":
            sources.append((str(node.job.one("fluxcal").parent), node.job.options.get("fluxcal")))
        records[node.key] = Record(state="done")
        products |= {path.name: node.key for path in node.job.outputs.values()}
    assert sources == [("/redux/20190610", {"night": "20190610", "age_nights": 2}), ("/redux/20190612", None)]
    assert plan.flux_fallback is None


def test_ideal_number_of_frames_ends_the_wait_and_the_minimum_begins_it():
    rules = Calibrations(bias_ideal_frames=8)
    for count, state in ((4, State.WAITING), (5, State.WAITING), (8, State.DUE)):
        frames = series(count, 20)
        arrived = {frame.checksum: NOW for frame in frames}
        plan = plan_night(frames, context(rules=rules, arrived=arrived))
        assert states(plan, "bias") == {"bias 0.1 MHz": state}, count
    assert plan_night(series(5, 20), context(rules=rules, arrived={})).wake == NOW + timedelta(seconds=rules.quiet_s)


def test_held_jobs_wait_and_say_who_holds_them():
    plan = plan_night(WHOLE, context(holds={"y": "held by ann since 2019-06-12 05:00 UT"}))
    held = [node for node in plan.nodes if "held by ann" in node.reason]
    assert held == [], "what waits for calibrations says so first"
    _, _, products = carry_out(calibration_frames())
    plan = plan_night(calibration_frames(), context(products=products))
    records = {node.key: Record(state="done") for node in plan.nodes}
    plan = plan_night(
        WHOLE, context(records=records, products=products, holds={"y": "held by ann since 2019-06-12 05:00 UT"})
    )
    (held,) = [node for node in plan.nodes if "held by ann" in node.reason and node.job.step == "cube"]
    assert held.job.label.endswith(" y")
    assert held.state is State.WAITING
    assert "sedmd release y" in held.reason
    assert {node.state for node in cubes(plan) if node is not held} == {State.DUE}


def test_the_target_being_observed_comes_before_the_backlog_and_standards_before_both():
    _, _, products = carry_out(calibration_frames())
    plan = plan_night(calibration_frames(), context(products=products))
    records = {node.key: Record(state="done") for node in plan.nodes}
    star = make(20, "STD-Feige34", kind=Kind.STANDARD, star="feige34")
    frames = [*calibration_frames(), make(0, "old"), star, make(40, "new")]
    plan = plan_night(frames, context(records=records, products=products))
    assert [node.job.label.split()[-1] for node in plan.due()] == ["STD-Feige34", "new", "old"]


def test_a_partner_that_does_not_come_is_given_up_after_a_while():
    frames = [make(20, "x [A]")]
    arrived = {frames[0].checksum: NOW - timedelta(seconds=100)}
    waits = plan_night(frames, context(arrived=arrived, partner_wait_s=101))
    assert waits.wake == NOW + timedelta(seconds=1)
    assert "the [B] exposure of x" in [node.reason for node in waits.nodes if node.job.step == "extract"]
    alone = plan_night(frames, context(arrived=arrived, partner_wait_s=100))
    assert "the [B] exposure of x" not in [node.reason for node in alone.nodes]
    (extract,) = [node for node in alone.nodes if node.job.step == "extract"]
    assert extract.job.options["half_of_pair"] == "A"


def test_downstream_of_a_subject():
    plan = plan_night(WHOLE, context())
    names = {f"{node.job.step} {node.job.label}" for node in plan.concerning("wavelength", downstream=True)}
    assert "wavelength wavelength" in names and "flat flat" in names and "calibrate y_obs1" in names
    assert not any(name.startswith(("bias", "lamp", "traces")) for name in names)
    assert plan.concerning("20190612") == list(plan.nodes)
    assert plan.concerning("wave") == []
    assert {node.job.step for node in plan.concerning("x")} == {"cube", "extract", "calibrate", "page"}


def test_frames_of_a_replayed_night_have_the_same_keys_whatever_could_fall_back():
    one = plan_night(WHOLE, context())
    other = plan_night(WHOLE, context(fallbacks=[earlier_set()], fallback_due=False))
    assert [node.key for node in one.nodes] == [node.key for node in other.nodes]


def test_a_set_with_which_a_visit_was_begun_stays_when_a_newer_one_turns_up():
    older, newer = earlier_set("20190610"), earlier_set("20190611")
    records, products = done(cubes(plan_night(SKY, context(fallbacks=[older], fallback_due=True))))
    told = {"records": records, "products": products, "fallback_due": True}
    plan = plan_night(SKY, context(fallbacks=[newer, older], **told))
    assert {(node.fallback, node.state) for node in cubes(plan)} == {("20190610", State.DONE)}
    more = plan_night([*SKY, make(100, "late")], context(fallbacks=[newer, older], **told))
    assert {node.fallback for node in cubes(more) if node.job.label.endswith("late")} == {"20190611"}


def test_the_pipeline_does_not_write_over_what_an_observer_graded():
    plan, _, products = carry_out([*calibration_frames(), *SKY])
    spectrum = next(node for node in plan.nodes if (node.job.step, node.job.label) == ("calibrate", "y_obs1"))
    records = {node.key: Record(state="done") for node in plan.nodes if node is not spectrum}
    told = {"records": records, "products": products}
    due = plan_night([*calibration_frames(), *SKY], context(**told))
    assert [node.job.label for node in due.due()] == ["y_obs1"]
    graded = plan_night([*calibration_frames(), *SKY], context(**told, graded={"y_obs1": "ann"}))
    assert graded.due() == []
    (held,) = [node for node in graded.nodes if node.state is State.WAITING]
    assert "graded by ann" in held.reason
    assert not graded.active
