"""Nights as the robot takes them, epoch by epoch: all is planned to its end, nothing waits for what never comes."""

from datetime import UTC, datetime, timedelta

import pytest

from sedmd.ledger.records import Record
from sedmd.plan.plan import State
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Kind
from sedmd.run.states import ExtractionFigures, TargetState
from sedmd.run.status import _unused
from sedmd.run.status_text import target_line

from .test_night import make
from .test_planner import carry_out, context, states

LAMPS = (Kind.DOME, Kind.HG, Kind.XE, Kind.CD)
MIDNIGHT = datetime(2021, 10, 18, 0, tzinfo=UTC)
#: First minute of the night, cards of every single, speeds: biases, lamps, science.
EPOCHS = {
    "pairs, no card": (datetime(2016, 1, 20, 0, tzinfo=UTC), None, (2.0, 0.1), 2.0, 0.1),
    "pairs, card": (datetime(2018, 5, 20, 0, tzinfo=UTC), True, (2.0, 0.1), 2.0, 0.1),
    "2018 to 2023": (MIDNIGHT, False, (2.0, 0.1), 2.0, 0.1),
    "since 2023": (datetime(2024, 2, 3, 0, tzinfo=UTC), False, (1.0,), 1.0, 1.0),
    "since 2023, a whole number": (datetime(2024, 2, 3, 0, tzinfo=UTC), False, (1,), 1.0, 1),
}


def taken(base, minute, kind, count, *, total=None, speed, label=""):
    return [
        make(
            minute + n,
            label or f"Calib: {kind} {n + 1} of {total or count}",
            kind=kind,
            base=base,
            adc_speed_mhz=speed,
            series_index=n + 1,
            series_total=total or count,
        )
        for n in range(count)
    ]


def calibrations(base, *, first=0, biases=(2.0, 0.1), lamps=2.0):
    frames = []
    for n, speed in enumerate(biases):
        frames += taken(base, first + 10 * n, Kind.BIAS, 10, speed=speed)
    for n, kind in enumerate(LAMPS):
        frames += taken(base, first + 30 + 10 * n, kind, 5, speed=lamps)
    return frames


def star(base, minute, *, speed=0.1):
    changes = {"kind": Kind.STANDARD, "star": "bd+25d4655", "base": base, "adc_speed_mhz": speed}
    return make(minute, "STD-BD+25d4655", **changes)


def target(base, minute, label, *, pair, speed=0.1):
    return make(minute, label, base=base, pair=pair, adc_speed_mhz=speed)


def outcomes_of(plan):
    return {outcome.frame.stem: outcome for outcome in plan.outcomes}


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_night_of_each_epoch_is_reduced_to_its_end(epoch):
    base, card, biases, lamps, science = EPOCHS[epoch]
    pairs = card is not False
    frames = calibrations(base, biases=biases, lamps=lamps)
    frames += [star(base, 180, speed=science)]
    frames += [target(base, 200, "ZTF1 [A]", pair=card, speed=science)]
    frames += [target(base, 230, "ZTF1 [B]" if pairs else "ZTF2 [A]", pair=card, speed=science)]
    plan, done, products = carry_out(frames)
    assert plan.missing == () and not plan.active
    assert all(node.state is State.DONE for node in plan.nodes)
    assert [name for name in done if name.startswith("bias")] == [f"bias bias {one:.1f} MHz" for one in sorted(biases)]
    assert {"sp_ZTF1.fits"} <= set(products) if pairs else {"sp_ZTF1_obs1.fits", "sp_ZTF2_obs1.fits"} <= set(products)
    assert not any(outcome.why for outcome in plan.outcomes)
    cube = next(node.job for node in plan.nodes if node.job.step == "cube")
    assert [path.name for path in cube.inputs["bias"]] == [f"bias{science:.1f}.fits"]


@pytest.mark.parametrize("epoch", ["2018 to 2023", "since 2023"])
def test_a_single_is_extracted_at_once_while_the_night_is_open(epoch):
    base, card, biases, lamps, science = EPOCHS[epoch]
    frames = [*calibrations(base, biases=biases, lamps=lamps), target(base, 200, "x [A]", pair=card, speed=science)]
    plan, done, _ = carry_out(frames, final=False)
    assert "calibrate x_obs1" in done and plan.wake is None
    (extract,) = [node for node in plan.nodes if node.job.step == "extract"]
    assert extract.job.options["half_of_pair"] == ""
    assert [outcome.why for outcome in plan.outcomes if outcome.frame.kind.on_sky] == [""]


def test_without_the_card_an_a_of_the_years_of_pairs_waits_and_is_a_single_where_no_b_ever_came():
    base, card, *_ = EPOCHS["pairs, no card"]
    frames = [*calibrations(base), target(base, 200, "x [A]", pair=card), target(base, 230, "y [A]", pair=card)]
    plan, _, _ = carry_out(frames, final=False)
    assert states(plan, "extract") == {"x_obs1": State.WAITING, "y_obs1": State.WAITING}
    plan, _, _ = carry_out(frames)
    assert [outcome.why for outcome in plan.outcomes if outcome.frame.kind.on_sky] == ["", ""]
    frames.append(target(base, 260, "y [B]", pair=card))
    plan, _, _ = carry_out(frames)
    whys = [outcome.why for outcome in plan.outcomes if outcome.frame.kind.on_sky]
    assert whys == ["only the [A] exposure of a pair: sky subtraction is inferior", "", ""]


@pytest.mark.parametrize("lost", ["A", "B"])
def test_half_of_a_pair_whose_other_failed_is_told_by_its_letter(lost):
    base, card, *_ = EPOCHS["pairs, card"]
    a, b = target(base, 200, "x [A]", pair=card), target(base, 230, "x [B]", pair=card)
    bad, left = (a, b) if lost == "A" else (b, a)
    plan, done, _ = carry_out([*calibrations(base), a, b], outcomes={f"cube {bad.stem} x": "quarantined"})
    assert "calibrate x_obs1" in done
    assert f"only the [{left.nod}] exposure" in outcomes_of(plan)[left.stem].why
    extract = next(node for node in plan.nodes if node.job.step == "extract" and node.job.label == "x_obs1")
    assert extract.job.options["half_of_pair"] == left.nod


def test_the_same_standard_again_and_again_is_one_visit_each():
    base = MIDNIGHT
    frames = [*calibrations(base), *(star(base, 180 + 10 * n) for n in range(8))]
    frames.append(target(base, 300, "x [A]", pair=False))
    plan, done, _ = carry_out(frames)
    assert [f"extract STD-BD+25d4655_obs{n}" in done for n in range(1, 9)] == [True] * 8
    assert "fluxcal 8 standards" in done and not plan.active


# speeds


def test_science_at_a_speed_without_a_bias_is_missing_a_calibration_and_says_which_there_are():
    base = MIDNIGHT
    frames = [*calibrations(base, biases=(2.0,)), target(base, 200, "x [A]", pair=False)]
    plan, _, _ = carry_out(frames)
    assert plan.missing == ("bias 0.1 MHz: no frames (at least 5 needed; there are biases of 2.0 MHz)",)
    assert states(plan, "cube") == {f"{frames[-1].stem} x": State.WAITING}
    assert states(plan, "flat") == {"flat": State.DONE}, "the lamps need only the bias of their own speed"


# restarts and repeats


def test_after_a_restart_the_rest_of_a_series_is_taken_with_it_and_nothing_waits_for_ever():
    base = MIDNIGHT
    frames = taken(base, 0, Kind.BIAS, 6, total=10, speed=1.0) + taken(base, 20, Kind.BIAS, 4, speed=1.0)
    for n, kind in enumerate(LAMPS):
        frames += taken(base, 40 + 20 * n, kind, 2, total=5, speed=1.0)
        frames += taken(base, 50 + 20 * n, kind, 3, speed=1.0)
    arrived = {frame.checksum: MIDNIGHT for frame in frames}
    plan = plan_night(frames, context(now=MIDNIGHT, arrived=arrived))
    assert states(plan, "bias") == {"bias 1.0 MHz": State.DUE}
    lamps = [node for node in plan.nodes if node.job.step == "lamp"]
    assert [len(node.job.inputs["raw"]) for node in lamps] == [5, 5, 5, 5]
    assert plan.wake is None, "nothing is waited for: what was announced is there"


def test_a_series_that_was_broken_off_for_good_is_used_when_it_has_been_quiet():
    frames = taken(MIDNIGHT, 0, Kind.BIAS, 6, total=10, speed=1.0)
    frames += taken(MIDNIGHT, 20, Kind.BIAS, 2, total=4, speed=1.0)
    arrived = {frame.checksum: MIDNIGHT for frame in frames}
    waits = plan_night(frames, context(now=MIDNIGHT, arrived=arrived))
    assert states(waits, "bias") == {"bias 1.0 MHz": State.WAITING} and waits.wake is not None
    assert states(plan_night(frames, context(now=waits.wake, arrived=arrived)), "bias") == {"bias 1.0 MHz": State.DUE}


def raw_of(plan, label):
    (job,) = [node.job for node in plan.nodes if node.job.step == "lamp" and node.job.label == label]
    return {path.stem for path in job.inputs["raw"]}


def test_of_two_sets_the_newer_serves_and_the_frames_of_the_older_say_so():
    older = calibrations(MIDNIGHT)
    newer = [frame for frame in calibrations(MIDNIGHT, first=80) if frame.kind is not Kind.BIAS]
    plan, done, _ = carry_out([*older, *newer, target(MIDNIGHT, 200, "x [A]", pair=False)])
    for kind in LAMPS:
        assert raw_of(plan, str(kind)) == {frame.stem for frame in newer if frame.kind is kind}
    outcomes = outcomes_of(plan)
    for frame in older:
        if frame.kind is not Kind.BIAS:
            assert outcomes[frame.stem].outcome == "not used" and outcomes[frame.stem].good
            assert outcomes[frame.stem].why == (
                "of another set of calibrations (00:30 to 01:04 UT); that of 01:50 to 02:24 UT is used"
            )
    assert "calibrate x_obs1" in done


def carry_out_without(frames, dark=(), *, useless=None):
    """The plan at the end of the night when the lamp jobs on the frames `dark` cannot be done.

    With `useless` lamp jobs are done, but not the job of that name when it is made of the frames `dark`.
    """
    stems = {frame.stem for frame in dark}
    records, products = {}, {}
    for _ in range(200):
        plan = plan_night(frames, context(final=True, records=records, products=products))
        if not (due := plan.due()):
            return plan
        node = due[0]
        of_dark = useless == node.job.step and all(raw_of(plan, str(kind)) <= stems for kind in LAMPS)
        if of_dark or (useless is None and {path.stem for path in node.job.inputs.get("raw", ())} == stems):
            records[node.key] = Record(state="quarantined", reason="was the lamp on?")
        else:
            records[node.key] = Record(state="done")
            products |= {path.name: node.key for path in node.job.outputs.values()}
    raise AssertionError("the planner does not come to an end")


def test_a_newer_set_that_cannot_be_used_gives_way_to_the_older():
    older = calibrations(MIDNIGHT)
    newer = [frame for frame in calibrations(MIDNIGHT, first=80) if frame.kind is not Kind.BIAS]
    dark = [frame for frame in newer if frame.kind is Kind.HG]
    plan = carry_out_without([*older, *newer], dark)
    for kind in LAMPS:
        assert raw_of(plan, str(kind)) == {frame.stem for frame in older if frame.kind is kind}
    assert states(plan, "flat") == {"flat": State.DONE} and plan.lacking == ()
    outcomes = outcomes_of(plan)
    assert {(outcomes[one.stem].outcome, outcomes[one.stem].why) for one in dark} == {
        ("quarantined", "was the lamp on?")
    }
    others = {(outcomes[frame.stem].outcome, outcomes[frame.stem].why) for frame in newer if frame not in dark}
    assert others == {("not used", "of a set of calibrations that cannot be used: Hg: was the lamp on?")}


@pytest.mark.parametrize("step", ["traces", "wavelength", "flat"])
def test_a_newer_set_of_which_no_geometry_can_be_made_gives_way_to_the_older(step):
    older = calibrations(MIDNIGHT)
    newer = [frame for frame in calibrations(MIDNIGHT, first=80) if frame.kind is not Kind.BIAS]
    plan = carry_out_without([*older, *newer], newer, useless=step)
    for kind in LAMPS:
        assert raw_of(plan, str(kind)) == {frame.stem for frame in older if frame.kind is kind}
    assert states(plan, "flat") == {"flat": State.DONE} and plan.lacking == () and not plan.active
    whys = {outcomes_of(plan)[frame.stem].why for frame in newer}
    assert whys == {f"of a set of calibrations that cannot be used: {step}: was the lamp on?"}


def carry_out_with(frames, figures, geometry_changes=lambda traces, wavelength: ()):
    """The plan at the end of the night; `figures` of traces by the stem of the set's first dome frame."""
    records, products, lamps = {}, {}, {}
    for _ in range(200):
        told = {"records": records, "products": products, "geometry_changes": geometry_changes}
        plan = plan_night(frames, context(final=True, **told))
        if not (due := plan.due()):
            return plan
        node = due[0]
        if node.job.step == "lamp":
            lamps[node.job.label] = min(path.stem for path in node.job.inputs["raw"])
        mine = figures.get(lamps.get("dome"), {}) if node.job.step == "traces" else {}
        records[node.key] = Record(state="done", figures=mine)
        products |= {path.name: node.key for path in node.job.outputs.values()}
    raise AssertionError("the planner does not come to an end")


def two_sets():
    older = calibrations(MIDNIGHT)
    newer = [frame for frame in calibrations(MIDNIGHT, first=80) if frame.kind is not Kind.BIAS]
    first = [next(frame.stem for frame in one if frame.kind is Kind.DOME) for one in (older, newer)]
    return older, newer, *first


@pytest.mark.parametrize("bad", ["mixed", "departs"])
def test_a_newer_set_that_is_mixed_or_departs_does_not_retire_the_good_one(bad):
    older, newer, _, dome = two_sets()
    figures = {dome: {"off the dome": "Xe 6.1 px"} if bad == "mixed" else {"pitch": 47.0}}

    def geometry_changes(traces, wavelength):
        return ["pitch of the spaxels 47 px, before 49 px"] if traces.get("pitch") else []

    plan = carry_out_with([*older, *newer], figures, geometry_changes)
    for kind in LAMPS:
        assert raw_of(plan, str(kind)) == {frame.stem for frame in older if frame.kind is kind}
    assert states(plan, "flat") == {"flat": State.DONE} and (plan.lacking, plan.geometry_change) == ((), "")
    (why,) = {outcomes_of(plan)[frame.stem].why for frame in newer}
    assert ("Xe 6.1 px" if bad == "mixed" else "before 49 px; if the instrument was changed: sedmd accept 2019") in why
    assert [one.has_concern for one in plan.sets] == [True, False]
    accepted = carry_out_with([*older, *newer], figures)
    serving = older if bad == "mixed" else newer
    assert raw_of(accepted, "Hg") == {frame.stem for frame in serving if frame.kind is Kind.HG}


def test_of_two_doubtful_sets_the_one_that_can_be_used_serves():
    older, newer, first, second = two_sets()
    figures = {second: {"pitch": 47.0}, first: {"off the dome": "Cd 3.0 px"}}
    geometry_changes = lambda traces, wavelength: ["it departs"] if traces.get("pitch") else []  # noqa: E731
    plan = carry_out_with([*older, *newer], figures, geometry_changes)
    assert raw_of(plan, "Hg") == {frame.stem for frame in older if frame.kind is Kind.HG}
    assert [one.has_concern for one in plan.sets] == [True, True] and not plan.active
    plan = carry_out_with([*older, *newer], {one: {"pitch": 47.0} for one in (first, second)}, geometry_changes)
    assert raw_of(plan, "Hg") == {frame.stem for frame in newer if frame.kind is Kind.HG}
    assert plan.geometry_change == "it departs"


def test_an_exposure_that_was_left_out_of_a_mean_is_not_part_of_it():
    frames = calibrations(MIDNIGHT)
    mercury = [frame.stem for frame in frames if frame.kind is Kind.HG]
    records, products = {}, {}
    for _ in range(60):
        plan = plan_night(frames, context(final=True, records=records, products=products))
        for node in plan.due():
            out = {"left out": ", ".join(mercury[:2])} if node.job.label == "Hg" else {}
            records[node.key] = Record(state="done", figures=out)
            products |= {path.name: node.key for path in node.job.outputs.values()}
    told = [(outcomes_of(plan)[stem].outcome, outcomes_of(plan)[stem].why) for stem in mercury]
    assert told == [("not used", "rejected from Hg.fits; see the log")] * 2 + [("part of Hg.fits", "")] * 3


def test_where_no_set_can_be_used_the_newest_tells_why():
    older = [frame for frame in calibrations(MIDNIGHT) if frame.kind is not Kind.BIAS]
    newer = calibrations(MIDNIGHT, first=80)
    plan = carry_out_without([*older, *newer], [*older, *newer], useless="traces")
    assert raw_of(plan, "Hg") == {frame.stem for frame in newer if frame.kind is Kind.HG}
    assert plan.lacking == ("traces: was the lamp on?",)


def test_a_lamp_that_was_dark_and_was_taken_again_serves_with_the_rest_of_its_set():
    frames, again = calibrations(MIDNIGHT), taken(MIDNIGHT, 90, Kind.CD, 5, speed=2.0)
    first = [frame for frame in frames if frame.kind is Kind.CD]
    plan, _, _ = carry_out([*frames, *again])
    assert raw_of(plan, "Cd") == {frame.stem for frame in first}
    assert {outcomes_of(plan)[frame.stem].outcome for frame in again} == {"not used"}
    plan = carry_out_without([*frames, *again], first)
    assert raw_of(plan, "Cd") == {frame.stem for frame in again}
    assert raw_of(plan, "Hg") == {frame.stem for frame in frames if frame.kind is Kind.HG}
    assert all(node.state is State.DONE for node in plan.nodes), "one job makes Cd.fits"
    assert {outcomes_of(plan)[frame.stem].outcome for frame in first} == {"quarantined"}


def test_a_lamp_that_stays_dark_is_lacking():
    frames = calibrations(MIDNIGHT)
    plan = carry_out_without(frames, [frame for frame in frames if frame.kind is Kind.CD])
    assert plan.lacking == ("Cd: was the lamp on?",)
    assert states(plan, "lamp")["Cd"] is State.QUARANTINED


def test_every_frame_has_a_fate_whatever_was_taken_twice():
    frames = calibrations(MIDNIGHT) + taken(MIDNIGHT, 75, Kind.DOME, 2, total=5, speed=2.0)
    frames += [frame for frame in calibrations(MIDNIGHT, first=80) if frame.kind is not Kind.BIAS]
    frames += taken(MIDNIGHT, 160, Kind.XE, 1, total=5, speed=2.0) + taken(MIDNIGHT, 165, Kind.XE, 3, speed=0.1)
    frames += [make(900 + n, "Twilight 1 [NA]", kind=Kind.TWILIGHT, base=MIDNIGHT) for n in range(3)]
    frames += [make(910 + n, "Twilight 1 [NA]", kind=Kind.TWILIGHT, base=MIDNIGHT, adc_speed_mhz=2.0) for n in range(2)]
    plan, _, _ = carry_out(frames)
    assert len(plan.outcomes) == len(frames)
    labels = [f"{node.job.step} {node.job.label}" for node in plan.nodes]
    assert len(labels) == len(set(labels)), "no two jobs write the same file"


def test_a_set_of_the_morning_changes_nothing():
    frames = [*calibrations(MIDNIGHT), target(MIDNIGHT, 200, "x [A]", pair=False)]
    before = carry_out(frames)[2]
    morning = [frame for frame in calibrations(MIDNIGHT + timedelta(hours=13)) if frame.kind is not Kind.BIAS]
    after = carry_out([*frames, *morning])[2]
    assert before == after


def test_the_status_names_what_did_not_serve_in_a_line_for_each_reason():
    older = [frame for frame in calibrations(MIDNIGHT) if frame.kind is not Kind.BIAS]
    plan, _, _ = carry_out([*calibrations(MIDNIGHT, first=80), *older])
    found = [(one.kind, one.span, one.reason) for one in _unused(plan)]
    why = "of another set of calibrations (00:30 to 01:04 UT); that of 01:50 to 02:24 UT is used"
    assert found == [
        (str(kind), f"ifu20211018_00_{minute}_00 to ifu20211018_0{(minute + 4) // 60}_{(minute + 4) % 60:02}_00", why)
        for kind, minute in zip(LAMPS[:3], (30, 40, 50), strict=True)
    ] + [("Cd", "ifu20211018_01_00_00 to ifu20211018_01_04_00", why)]


@pytest.mark.parametrize("half", ["", "B"])
def test_the_status_tells_half_of_a_pair_from_a_single(half):
    target = TargetState(
        name="x_obs1",
        target="x",
        exptime_s=900.0,
        airmass=1.2,
        step="calibrate",
        state=State.DONE,
        calibrated=True,
        half_of_pair=half,
        figures=ExtractionFigures.of({"S/N": 12.0, "quality": 2, "confidence": 0.99}),
    )
    line = target_line(target)
    said = "S/N 12.0, 2 acceptable, confidence 99 %"
    assert line.endswith(f"spectrum           only [B] of a pair; {said}" if half else f"spectrum           {said}")
