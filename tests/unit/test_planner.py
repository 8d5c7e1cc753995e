"""The planner: what is due, what waits and for what; never dependent on the order of arrival."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sedmd.ledger.records import Record
from sedmd.plan.plan import Context, Plan, State, job_key
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Frame, Kind

from .test_night import AFTERNOON, make, series

NOW = datetime(2019, 6, 12, 12, tzinfo=UTC)
FOLDER = Path("/redux/20190612")


def calibration_frames(*, bias: int = 5, lamp: int = 3) -> list[Frame]:
    frames = series(bias, bias) + series(bias, bias, first=10, adc_speed_mhz=2.0)
    for number, kind in enumerate((Kind.DOME, Kind.HG, Kind.CD, Kind.XE)):
        frames += series(lamp, lamp, kind=kind, first=30 + 10 * number, adc_speed_mhz=2.0)
    return frames


def context(*, final: bool = False, now: datetime = NOW, **changes) -> Context:
    values = {
        "night": "20190612",
        "folder": FOLDER,
        "now": now,
        "final": final,
    }
    return Context(**(values | changes))


def states(plan: Plan, step: str) -> dict[str, State]:
    return {node.job.label: node.state for node in plan.nodes if node.job.step == step}


def carry_out(frames, *, final=True, outcomes=None, rounds=80) -> tuple[Plan, list[str], dict[str, str]]:
    """Do everything that becomes due, in the planner's order; outcomes by "step label" other than done."""
    records: dict[str, Record] = {}
    products: dict[str, str] = {}
    done: list[str] = []
    for _ in range(rounds):
        plan = plan_night(frames, context(final=final, records=records, products=products))
        due = plan.due()
        if not due:
            return plan, done, products
        node = due[0]
        name = f"{node.job.step} {node.job.label}"
        state = (outcomes or {}).get(name, "done")
        records[node.key] = Record(state=state, reason="" if state == "done" else "as given")
        if state == "done":
            products |= {path.name: node.key for path in node.job.outputs.values()}
            done.append(name)
    raise AssertionError("the planner does not come to an end")


WHOLE = [
    *calibration_frames(),
    make(0, "STD-Feige34", kind=Kind.STANDARD, star="feige34"),
    make(20, "x [A]"),
    make(40, "x [B]"),
    make(60, "y"),
]


def test_a_night_is_carried_out_in_order_and_nothing_twice():
    plan, done, products = carry_out(WHOLE)
    assert len(done) == len(set(done))
    assert done[:2] == ["bias bias 0.1 MHz", "bias bias 2.0 MHz"]
    assert done.index("traces traces") < done.index("wavelength wavelength") < done.index("flat flat")
    assert done.index("flat flat") < done.index("fluxcal 1 standards") < done.index("calibrate y_obs1")
    assert set(products) >= {
        "bias0.1.fits",
        "bias2.0.fits",
        "dome.fits",
        "Hg.fits",
        "Cd.fits",
        "Xe.fits",
        "traces.fits",
        "wavelength.fits",
        "flat.fits",
        "std-correction.fits",
        "sp_x.fits",
        "x_SEDM.txt",
        "x_SEDM.pdf",
        "sp_y_obs1.fits",
        "STD-Feige34_obs1_SEDM.txt",
        "e3d_crr_b_ifu20190612_04_20_00_x.fits",
    }
    assert all(node.state is State.DONE for node in plan.nodes)
    assert not plan.active
    assert plan.missing == ()


def test_frames_that_nobody_wants_are_not_expected():
    def made(frames):
        options = {"cube": {"frames": frames}} if frames else {}
        plan = plan_night(WHOLE, context(final=True, options=options))
        return [set(node.job.outputs) for node in plan.nodes if node.job.step == "cube"]

    assert made("none") == [{"e3d"}] * 4
    assert made("packed") == made("plain") == made("") == [{"crr", "bs", "e3d"}] * 4


def test_pages_are_drawn_when_nothing_else_is_due():
    _, done, _ = carry_out(WHOLE)
    pages = ["page STD-Feige34_obs1", "page x", "page y_obs1"]
    assert done[-3:] == pages, "in the order of the exposures"
    assert {name.removeprefix("calibrate ") for name in done if name.startswith("calibrate")} == {
        name.removeprefix("page ") for name in pages
    }


def test_a_page_that_fails_costs_the_page_only():
    whole, _, _ = carry_out(WHOLE)
    plan, done, products = carry_out(WHOLE, outcomes={"page x": "failed"})
    assert "calibrate x" in done and "sp_x.fits" in products and "x_SEDM.pdf" not in products
    assert plan.outcomes == whole.outcomes
    assert {node.job.label for node in plan.nodes if node.lost} == {"x"}


def test_without_a_spectrum_there_is_no_page():
    plan, done, _ = carry_out(WHOLE, outcomes={"extract x": "awaiting observer", "calibrate y_obs1": "failed"})
    assert [name for name in done if name.startswith("page")] == ["page STD-Feige34_obs1"]
    (page,) = [node for node in plan.nodes if (node.job.step, node.job.label) == ("page", "y_obs1")]
    assert page.state is State.WAITING and not page.active and page.reason.startswith("calibrate y_obs1 failed")


def test_cube_takes_the_bias_of_its_own_speed_and_pairs_go_in_as_a_and_b():
    plan, _, _ = carry_out(WHOLE)
    cube = next(node.job for node in plan.nodes if node.job.step == "cube")
    assert [path.name for path in cube.inputs["bias"]] == ["bias0.1.fits"]
    lamp = next(node.job for node in plan.nodes if node.job.step == "lamp")
    assert [path.name for path in lamp.inputs["bias"]] == ["bias2.0.fits"]
    pair = next(node.job for node in plan.nodes if node.job.label == "x" and node.job.step == "extract")
    assert pair.one("cube_a").name == "e3d_crr_b_ifu20190612_04_20_00_x.fits"
    assert pair.one("cube_b").name == "e3d_crr_b_ifu20190612_04_40_00_x.fits"


def star_of(plan: Plan, label: str) -> list[str]:
    """The standard star that tells a target's extraction the seeing."""
    (job,) = [node.job for node in plan.nodes if node.job.step == "extract" and node.job.label == label]
    return [path.name for path in job.inputs.get("star", ())]


def test_the_standard_star_nearest_in_time_tells_a_target_the_seeing():
    night = [*WHOLE, make(100, "STD-Feige34", kind=Kind.STANDARD, star="feige34")]
    plan, done, _ = carry_out(night)
    assert star_of(plan, "x") == ["ext_STD-Feige34_obs1.fits"]
    assert star_of(plan, "y_obs1") == ["ext_STD-Feige34_obs2.fits"]
    assert star_of(plan, "STD-Feige34_obs1") == []
    # at the end of the night every target waits for the last star, so that none is extracted twice
    extracted = [name for name in done if name.startswith("extract")]
    assert len(extracted) == len(set(extracted)) == 4
    assert all("STD" in name for name in extracted[:2])


def test_what_the_settings_ask_of_a_target_is_asked_of_no_standard():
    wanted = {"min_confidence": 0.3, "seeing_arcsec": 1.7}
    plan = plan_night(WHOLE, context(target_options=wanted))
    options = {node.job.label: node.job.options for node in plan.nodes if node.job.step == "extract"}
    assert {label: wanted.keys() & told.keys() for label, told in options.items()} == {
        "STD-Feige34_obs1": set(),
        "x": wanted.keys(),
        "y_obs1": wanted.keys(),
    }
    # a setting that changes makes targets again, and no standard
    again = plan_night(WHOLE, context(target_options=wanted | {"seeing_arcsec": 2.0}))
    keys = [{node.job.label: node.key for node in one.nodes if node.job.step == "extract"} for one in (plan, again)]
    assert {label for label in options if keys[0][label] != keys[1][label]} == {"x", "y_obs1"}


def test_while_the_night_is_open_targets_do_not_wait_for_a_star():
    without, done, _ = carry_out([frame for frame in WHOLE if frame.kind is not Kind.STANDARD], final=False)
    assert "extract x" in done and star_of(without, "x") == []
    plan, _, _ = carry_out(WHOLE, final=False, outcomes={"extract STD-Feige34_obs1": "failed"})
    assert star_of(plan, "x") == [] and states(plan, "extract")["x"] is State.DONE


def test_what_is_made_anew_with_a_new_star_comes_after_the_target_being_observed():
    night = [*WHOLE, make(80, "z")]
    _, done, _ = carry_out(night, final=False)
    for step in ("extract", "calibrate"):
        assert done.index(f"{step} STD-Feige34_obs1") < done.index(f"{step} z_obs1") < done.index(f"{step} y_obs1")
    assert done.index("calibrate z_obs1") < min(done.index("extract y_obs1"), done.index("extract x"))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(len(WHOLE))))
def test_order_of_frames_changes_no_key(order):
    plan = plan_night([WHOLE[n] for n in order], context())
    assert {node.key for node in plan.nodes} == {node.key for node in plan_night(WHOLE, context()).nodes}


FINAL_KEYS = carry_out(WHOLE)[2]


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(len(WHOLE))), st.integers(1, len(WHOLE)))
def test_order_of_arrival_changes_no_product(order, patience):
    """Frames arrive one by one while jobs are done in between; at the end each product has the same key."""
    records: dict[str, Record] = {}
    products: dict[str, str] = {}

    def work(frames, *, final, jobs):
        for _ in range(jobs):
            due = plan_night(frames, context(final=final, records=records, products=products)).due()
            if not due:
                return
            records[due[0].key] = Record(state="done")
            products.update({path.name: due[0].key for path in due[0].job.outputs.values()})

    arrived: list[Frame] = []
    for number, index in enumerate(order):
        arrived.append(WHOLE[index])
        if number % patience == 0:
            work(arrived, final=False, jobs=3)
    work(arrived, final=True, jobs=200)
    assert {name: products[name] for name in FINAL_KEYS} == FINAL_KEYS


def test_keys_depend_on_everything_that_determines_the_result():
    told = {
        "step": "cube",
        "version": 1,
        "inputs": [("raw", "a"), ("bias", "b")],
        "outputs": {"e3d": "x"},
        "options": {},
    }
    base = job_key(**told)
    assert job_key(**(told | {"inputs": [("bias", "b"), ("raw", "a")]})) == base
    for changes in (
        {"step": "lamp"},
        {"version": 2},
        {"inputs": [("raw", "b"), ("bias", "a")]},
        {"outputs": {"e3d": "y"}},
        {"options": {"k": 1}},
    ):
        assert job_key(**(told | changes)) != base


def test_step_version_reaches_everything_downstream_and_nothing_else():
    old = {f"{n.job.step} {n.job.label}": n.key for n in plan_night(WHOLE, context(versions={"flat": 1})).nodes}
    new = {f"{n.job.step} {n.job.label}": n.key for n in plan_night(WHOLE, context(versions={"flat": 2})).nodes}
    changed = {name.split()[0] for name in old if name in new and old[name] != new[name]}
    assert changed == {"flat", "cube", "extract", "calibrate", "page", "skyflat"}


# waiting


def test_incomplete_series_waits_for_quiet_then_goes():
    frames = [replace(frame, series_total=10) for frame in series(5, 5)]
    arrived = {frame.checksum: NOW for frame in frames}
    early = plan_night(frames, context(arrived=arrived, now=NOW + timedelta(seconds=119)))
    assert states(early, "bias") == {"bias 0.1 MHz": State.WAITING}
    assert early.active
    assert "5 of 10 frames" in early.nodes[0].reason
    late = plan_night(frames, context(arrived=arrived, now=NOW + timedelta(seconds=120)))
    assert states(late, "bias") == {"bias 0.1 MHz": State.DUE}
    final = plan_night(frames, context(arrived=arrived, final=True))
    assert states(final, "bias") == {"bias 0.1 MHz": State.DUE}


@pytest.mark.parametrize(
    "bias, lamp, missing", [(4, 3, "bias 2.0 MHz: 4 of at least 5"), (5, 2, "dome: 2 of at least 3")]
)
def test_fewer_than_the_minimum_is_missing_and_said_so(bias, lamp, missing):
    plan, _, _ = carry_out([*calibration_frames(bias=bias, lamp=lamp), make(0, "y")])
    assert any(missing in lack for lack in plan.missing)
    assert not plan.active
    assert states(plan, "cube") == {"ifu20190612_04_00_00 y": State.WAITING}


@pytest.mark.parametrize("kind", [Kind.HG, Kind.XE, Kind.DOME])
def test_missing_lamp_is_named_once(kind):
    frames = [frame for frame in WHOLE if frame.kind is not kind]
    plan, _, _ = carry_out(frames)
    assert plan.missing == (f"{kind}: no frames (at least 3 needed)",)
    outcomes = {outcome.frame.object: outcome for outcome in plan.outcomes if outcome.frame.kind.on_sky}
    assert outcomes["y"].outcome == "cube waiting"
    assert f"{kind}: no frames" in outcomes["y"].why


@pytest.mark.parametrize("lost", ["absent", "too few", "dark"])
def test_without_cadmium_a_night_with_nothing_to_fall_back_on_is_carried_out(lost):
    cadmium = [frame for frame in WHOLE if frame.kind is Kind.CD]
    kept = {"absent": [], "too few": cadmium[:1], "dark": cadmium}[lost]
    frames = [*(frame for frame in WHOLE if frame.kind is not Kind.CD), *kept]
    plan, _, _ = carry_out(frames, outcomes={"lamp Cd": "failed"})
    assert any(lack.startswith("Cd: ") for lack in plan.missing + plan.lacking), "what is lacking is said"
    used = {node.job.step: node.job.inputs for node in plan.nodes if node.job.step in ("traces", "wavelength")}
    assert all("Cd" not in inputs and set(inputs) >= {"Hg", "Xe"} for inputs in used.values())
    assert set(states(plan, "cube").values()) == {State.DONE}


def test_cadmium_is_waited_for_as_long_as_it_may_come():
    # nothing is observed yet
    frames = [frame for frame in calibration_frames() if frame.kind is not Kind.CD]
    plan, done, _ = carry_out(frames)
    assert "traces traces" not in done
    assert states(plan, "traces") == {"traces": State.WAITING}
    # its frames are there and not yet combined
    plan = plan_night(WHOLE, context())
    (traces,) = [node for node in plan.nodes if node.job.step == "traces"]
    assert "Cd" in traces.job.inputs


def test_one_twilight_is_not_a_missing_calibration():
    plan, _, _ = carry_out([*WHOLE, *series(1, 1, kind=Kind.TWILIGHT, first=200)])
    assert plan.missing == ()
    (outcome,) = [outcome for outcome in plan.outcomes if outcome.frame.kind is Kind.TWILIGHT]
    assert (outcome.outcome, outcome.good) == ("not used", True)


def test_partial_pair_waits_while_the_night_is_open_and_goes_alone_at_its_end():
    frames = [*calibration_frames(), make(0, "x [A]")]
    plan, _, _ = carry_out(frames, final=False)
    assert states(plan, "extract") == {"x_obs1": State.WAITING}
    assert "[B] exposure of x" in next(node.reason for node in plan.nodes if node.job.step == "extract")
    plan, done, _ = carry_out(frames, final=True)
    assert "calibrate x_obs1" in done
    assert "only the [A] exposure" in next(outcome.why for outcome in plan.outcomes if outcome.frame.kind.on_sky)


def test_pair_with_a_lost_exposure_gives_its_partner_alone():
    plan, done, products = carry_out(WHOLE, outcomes={"cube ifu20190612_04_40_00 x": "quarantined"})
    assert "calibrate x_obs1" in done
    assert "sp_x.fits" not in products
    outcomes = {outcome.frame.object: outcome for outcome in plan.outcomes}
    assert outcomes["x [A]"].outcome == "x_obs1_SEDM.txt"
    assert (outcomes["x [B]"].outcome, outcomes["x [B]"].good) == ("cube quarantined", False)


# flux calibration


def test_without_a_standard_spectra_are_made_uncalibrated():
    plan, done, _ = carry_out([frame for frame in WHOLE if frame.kind is not Kind.STANDARD])
    assert "calibrate y_obs1" in done
    job = next(node.job for node in plan.nodes if node.job.label == "y_obs1" and node.job.step == "calibrate")
    assert "fluxcal" not in job.inputs


def test_what_may_be_no_star_does_not_tell_the_seeing():
    concern_text = make(10, "STD-HZ44", kind=Kind.STANDARD, contradiction="elsewhere")
    plan, _, _ = carry_out([*WHOLE, concern_text])
    assert star_of(plan, "x") == ["ext_STD-Feige34_obs1.fits"]  # though the other is nearer in time


def test_a_standard_without_a_table_is_calibrated_by_the_others():
    plan, _, _ = carry_out([*WHOLE, make(10, "STD-GD999", kind=Kind.STANDARD)])
    jobs = {(node.job.step, node.job.label): node.job for node in plan.nodes}
    assert "fluxcal" in jobs["calibrate", "STD-GD999_obs1"].inputs
    assert [path.name for path in jobs["fluxcal", "1 standards"].inputs["standards"]] == ["ext_STD-Feige34_obs1.fits"]
    assert jobs["extract", "STD-GD999_obs1"].options["standard"] is True


def test_unknown_standard_does_not_calibrate_others():
    frames = [*calibration_frames(), make(0, "STD-Unknown", kind=Kind.STANDARD), make(60, "y")]
    plan, done, _ = carry_out(frames)
    assert not states(plan, "fluxcal")
    assert "calibrate STD-Unknown_obs1" in done


def test_a_second_standard_calibrates_everything_again():
    _, _, before = carry_out(WHOLE)
    more = [*WHOLE, make(100, "STD-Feige34", kind=Kind.STANDARD, star="feige34")]
    _, done, after = carry_out(more)
    assert "fluxcal 2 standards" in done
    assert before["sp_x.fits"] != after["sp_x.fits"]
    assert before["ext_x.fits"] == after["ext_x.fits"]


@pytest.mark.parametrize(
    "step, state",
    [
        ("cube ifu20190612_04_00_00 STD-Feige34", "quarantined"),
        ("extract STD-Feige34_obs1", "failed"),
        ("extract STD-Feige34_obs1", "awaiting observer"),
        ("fluxcal 1 standards", "failed"),
    ],
)
def test_a_lost_standard_does_not_hold_up_the_rest(step, state):
    _, done, _ = carry_out(WHOLE, outcomes={step: state})
    assert "calibrate y_obs1" in done


# job states


def due_cube(records, *, now=NOW, products=None):
    _, _, made = carry_out(WHOLE)
    full, _, _ = carry_out(WHOLE)
    cube = next(node for node in full.nodes if node.job.step == "cube" and node.job.label.endswith(" y"))
    kept = {name: key for name, key in made.items() if key != cube.key}
    old = {node.key: Record(state="done") for node in full.nodes if node.key != cube.key}
    plan = plan_night(
        WHOLE,
        context(
            final=True, now=now, records=old | {cube.key: records} if records else old, products=kept | (products or {})
        ),
    )
    return next(node for node in plan.nodes if node.key == cube.key)


@pytest.mark.parametrize(
    "record, state, active",
    [
        (None, State.DUE, True),
        (Record(state="running"), State.RUNNING, True),
        (Record(state="retry", not_before=NOW), State.DUE, True),
        (Record(state="retry", not_before=NOW + timedelta(seconds=1)), State.WAITING, True),
        (Record(state="failed", reason="r"), State.FAILED, False),
        (Record(state="quarantined", reason="r"), State.QUARANTINED, False),
        (Record(state="awaiting observer", reason="r"), State.AWAITING, False),
        (Record(state="done"), State.DUE, True),
    ],
)
def test_what_the_ledger_says_of_a_job(record, state, active):
    node = due_cube(record)
    assert (node.state, node.active) == (state, active)


LOST = "the telescope's cards are missing: RA, DEC, AIRMASS, DOMEST"


@pytest.mark.parametrize("state", ["awaiting observer", "quarantined"])
def test_a_lost_block_of_cards_is_the_reason_of_what_follows_from_it(state):
    x, y = (make(100 + 20 * n, name, name=name) for n, name in enumerate("xy"))
    frames = [*calibration_frames(), replace(x, lost=LOST), y]
    plan, _, _ = carry_out(frames, outcomes={"extract x_obs1": state, "extract y_obs1": state})
    reasons = {node.job.label: node.reason for node in plan.nodes if node.job.step == "extract"}
    assert reasons == {"x_obs1": f"{LOST}; as given", "y_obs1": "as given"}
    outcomes = {outcome.frame.name: outcome.why for outcome in plan.outcomes if outcome.frame.kind is Kind.SCIENCE}
    assert outcomes == {"x": f"{LOST}; as given", "y": "as given"}
    nameless = replace(x, lost=LOST, unfinished=True, contradiction=f"{LOST}: neither target nor position is known")
    plan, _, _ = carry_out([*calibration_frames(), nameless], outcomes={"extract x_obs1": state})
    (why,) = [outcome.why for outcome in plan.outcomes if outcome.frame.kind is Kind.SCIENCE]
    assert why == f"{LOST}: neither target nor position is known. Name it: sedmd mend {x.stem} OBJECT=NAME"


def test_a_provisional_spectrum_is_calibrated_and_its_frame_awaits_the_observer():
    whole, _, _ = carry_out(WHOLE)
    records = {node.key: Record(state="done") for node in whole.nodes}
    (x,) = [node for node in whole.nodes if (node.job.step, node.job.label) == ("extract", "x")]
    records[x.key] = Record(state="done", figures={"provisional": "confidence 0.40: two objects"})
    products = {path.name: node.key for node in whole.nodes for path in node.job.outputs.values()}
    plan = plan_night(WHOLE, context(final=True, records=records, products=products))
    assert states(plan, "calibrate")["x"] is State.DONE
    told = {outcome.frame.name: (outcome.outcome, outcome.why, outcome.good) for outcome in plan.outcomes}
    assert told["x"] == ("x_SEDM.txt; awaiting observer", "confidence 0.40: two objects", True)
    assert told["y"][0] == "y_obs1_SEDM.txt"
    assert [node.job.label for node in plan.nodes if node.provisional] == ["x"]


def test_ignored_and_late_frames_have_a_fate():
    focus = make(5, "Focus: 3", kind=Kind.IGNORED, reason="a focus frame")
    neon = make(0, "Ne", kind=Kind.NE, base=AFTERNOON + timedelta(hours=3))
    copy = make(300, "y", data_checksum=make(60, "y").data_checksum)
    plan, _, _ = carry_out([*WHOLE, focus, neon, copy])
    outcomes = {outcome.frame.stem: (outcome.outcome, outcome.good) for outcome in plan.outcomes}
    assert len(plan.outcomes) == len(WHOLE) + 3
    assert outcomes[focus.stem] == ("ignored", True)
    assert outcomes[neon.stem] == ("not used", True)
    assert outcomes[copy.stem] == ("quarantined", False)


def test_calibrations_alone_are_not_a_fault():
    plan, done, _ = carry_out(calibration_frames())
    assert "flat flat" in done
    assert plan.missing == ()
    plan, done, _ = carry_out(series(5, 5))
    assert done == ["bias bias 0.1 MHz"]
    assert plan.missing == ()


def test_nothing_gives_nothing():
    plan = plan_night([], context())
    assert (plan.nodes, plan.outcomes, plan.missing, plan.active) == ((), (), (), False)
