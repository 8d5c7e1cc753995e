"""What the planner chose for each observation of a night, for who shows it: star, flux calibration, subject."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.job import Job
from sedmd.ledger.ledger import Ledger
from sedmd.observation.inputs import FluxSource, Inputs, inputs_of
from sedmd.plan.calibrations import FluxCalibration
from sedmd.plan.plan import Node, State
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
        rows = ledger.frames(night)
        final = night_is_final(settings, ledger, night, now=now)
        # the versions of the program that did the work, not of the one that asks
        versions = ledger.versions()
        context = night_context(settings, ledger, night, rows, now=now, final=final, versions=versions)
    plan = plan_night([row.frame for row in rows if row.frame is not None], context)
    calibrate = {node.job.label: node.job for node in plan.nodes if node.job.step == "calibrate"}
    fluxcal = next((node for node in plan.nodes if node.job.step == "fluxcal"), None)
    return {
        node.job.label: _inputs(settings, node.job, calibrate.get(node.job.label), fluxcal, context.flux_fallback)
        for node in plan.nodes
        if node.job.step == "extract"
    }


def _inputs(
    settings: Settings, extract: Job, calibrate: Job | None, fluxcal: Node | None, earlier: FluxCalibration | None
) -> Inputs:
    inputs = replace(inputs_of(extract, calibrate), settings=settings.extraction)
    waits = fluxcal is not None and fluxcal.state is not State.DONE and not _is_there(inputs.flux)
    if (inputs.flux is None or waits) and earlier is not None:
        age = earlier.age_nights
        inputs = replace(
            inputs, flux=FluxSource(path=earlier.fluxcal.path, night=earlier.night, age_nights=age, fallback=True)
        )
    elif waits:
        inputs = replace(inputs, flux=None)
    return inputs


def _is_there(flux: FluxSource | None) -> bool:
    path: Path | None = None if flux is None else flux.path
    return path is not None and path.exists()
