"""The job that measures, once a night, how the sky lights the spaxels otherwise than the dome does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sedmd.core.recipe import RECIPE
from sedmd.plan.job_inputs import Absent, InputFile
from sedmd.plan.jobs import JobMaker
from sedmd.plan.plan import Node, State


def plan_sky_flat(maker: JobMaker, targets: Sequence[Node], chain: Mapping[str, InputFile | Absent]) -> None:
    """Add the job when the night is over and no cube is to come; not for cubes with calibrations of another night.

    Parameters
    ----------
    targets : cubes of targets; a standard star is too bright, and its exposure too short for the sky
    chain : the night's traces and flat
    """
    if not maker.context.final or any(node.active for node in targets):
        return
    sources = [maker.output(node, "e3d") for node in targets if node.state is State.DONE and not node.fallback]
    if not sources:
        return
    maker.node(
        RECIPE["skyflat"],
        f"{len(sources)} exposures",
        {"traces": [chain["traces"]], "flat": [chain["flat"]], "cubes": sources},
        {},
    )
