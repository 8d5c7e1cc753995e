"""What the planner chose for each observation of a night, for who shows it: star, flux calibration, subject."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sedmd.core.config import Settings
from sedmd.ledger.ledger import Ledger
from sedmd.observation.inputs import FluxSource, Inputs, inputs_of
from sedmd.plan.calibrations import FluxCalibration
from sedmd.plan.plan import Plan, State
from sedmd.plan.planner import plan_night
from sedmd.run.context import night_context, night_is_final


def chosen_inputs(settings: Settings, night: str, *, now: datetime) -> dict[str, Inputs]:
    """Product -> the inputs that the pipeline uses for it now, by the ledger; empty without a ledger.

    Where the night's own flux calibration is planned and not made yet, it is the earlier night's that stands in, as
    long as there is one.

    Raises
    ------
    SedmError, sqlite3.Error, OSError
        The ledger cannot be read.
    """
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        return {}
    with Ledger.open(path, clock=lambda: now, read_only=True) as ledger:
        rows = ledger.frames.of_night(night)
        final = night_is_final(settings, ledger, night, now=now)
        # the versions of the program that did the work, not of the one that asks
        versions = ledger.jobs.versions()
        context = night_context(settings, ledger, night, rows, now=now, final=final, versions=versions)
    plan = plan_night([row.frame for row in rows if row.frame is not None], context)
    chosen = inputs_in(plan, context.flux_fallback)
    return {product: replace(inputs, settings=settings.extraction) for product, inputs in chosen.items()}


def inputs_in(plan: Plan, earlier: FluxCalibration | None) -> dict[str, Inputs]:
    """Product -> its inputs in a plan.

    Parameters
    ----------
    plan : Plan
    earlier : FluxCalibration or None
        Stands in as long as the night's own is planned and not made.
    """
    calibrate = {node.job.label: node.job for node in plan.nodes if node.job.step == "calibrate"}
    unmade = any(node.job.step == "fluxcal" and node.state is not State.DONE for node in plan.nodes)
    chosen = {}
    for node in plan.nodes:
        if node.job.step != "extract":
            continue
        inputs = inputs_of(node.job, calibrate.get(node.job.label))
        own = inputs.flux is not None and not inputs.flux.fallback
        # one that is made anew with another star is there already
        if inputs.flux is None or (own and unmade and not inputs.flux.path.exists()):
            inputs = replace(inputs, flux=None if earlier is None else _flux_of(earlier))
        chosen[node.job.label] = inputs
    return chosen


def _flux_of(earlier: FluxCalibration) -> FluxSource:
    """An earlier night's flux calibration as an input."""
    path, night, age = earlier.fluxcal.path, earlier.night, earlier.age_nights
    return FluxSource(path=path, night=night, age_nights=age, fallback=True)
