"""What the window is told that the pipeline uses: star and flux calibration of the plan, at every hour of a night."""

from dataclasses import replace
from pathlib import Path

from sedmd.observation.inputs import FluxSource
from sedmd.plan.calibrations import FluxCalibration, Reference
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Kind
from sedmd.run.chosen import inputs_in

from .test_night import make
from .test_planner import FOLDER, WHOLE, calibration_frames, carry_out, context

EARLIER = FluxCalibration(
    night="20190610",
    age_nights=2,
    fluxcal=Reference(path=Path("/redux/20190610/std-correction.fits"), checksum="ab/fluxcal"),
)
FALLBACK = FluxSource(path=EARLIER.fluxcal.path, night="20190610", age_nights=2, fallback=True)
OWN = FluxSource(path=FOLDER / "std-correction.fits", night="20190612")


def test_of_a_finished_night_it_is_what_the_jobs_were_given():
    plan, _, _ = carry_out(WHOLE)
    chosen = inputs_in(plan, EARLIER)
    assert set(chosen) == {"x", "y_obs1", "STD-Feige34_obs1"}
    assert chosen["y_obs1"].flux == chosen["x"].flux == chosen["STD-Feige34_obs1"].flux == OWN
    assert chosen["x"].star == FOLDER / "ext_STD-Feige34_obs1.fits" and not chosen["x"].by_headers
    star = chosen["STD-Feige34_obs1"].subject
    assert (star.name, star.standard, star.star) == ("STD-Feige34", True, "feige34")


def test_before_the_first_standard_it_is_the_earlier_nights_or_none():
    frames = [*calibration_frames(), make(60, "y")]
    for earlier, told in ((EARLIER, FALLBACK), (None, None)):
        plan = plan_night(frames, context(flux_fallback=earlier))
        [inputs] = inputs_in(plan, earlier).values()
        assert (inputs.flux, inputs.star) == (told, None)


def test_as_long_as_the_nights_own_is_not_made_the_earlier_one_stands_in(tmp_path):
    night, _, _ = carry_out(WHOLE)
    waits = [replace(node, state="due") if node.job.step == "fluxcal" else node for node in night.nodes]
    plan = replace(night, nodes=tuple(waits))
    assert inputs_in(plan, EARLIER)["y_obs1"].flux == FALLBACK
    assert inputs_in(plan, None)["y_obs1"].flux is None
    # made anew with another star, the former one is used until then
    there = tmp_path / "std-correction.fits"
    there.touch()

    def given(node):
        if node.job.step != "calibrate":
            return node
        return replace(node, job=replace(node.job, inputs=dict(node.job.inputs) | {"fluxcal": (there,)}))

    plan = replace(plan, nodes=tuple(map(given, plan.nodes)))
    assert inputs_in(plan, EARLIER)["y_obs1"].flux == replace(OWN, path=there)


def test_half_of_a_pair_is_told_as_such():
    plan, _, _ = carry_out([*calibration_frames(), make(0, "S", kind=Kind.STANDARD, star="hz44"), make(20, "x [A]")])
    halves = {product: inputs.subject.half for product, inputs in inputs_in(plan, None).items()}
    assert halves["x_obs1"] == "A" and set(halves.values()) == {"", "A"}
