"""The job that measures, once a night, how the sky lights the spaxels otherwise than the dome does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sedmd.core.recipe import RECIPE
from sedmd.plan.job_inputs import Absent, InputFile
from sedmd.plan.jobs import JobMaker
from sedmd.plan.plan import Node, State


def plan_sky_flat(maker: JobMaker, targets: Sequence[Node], chain: Mapping[str, InputFile | Absent]) -> None:
    """Add the job, which is due when the night is over and no cube is to come; without cubes on this night's flat none.

    Parameters
    ----------
    targets : cubes of targets; a standard star is too bright, and its exposure too short for the sky
    chain : the night's traces and flat
    """
    own = [node for node in targets if not node.fallback]
    # what came to nothing is not waited for, unless nothing else is there: what was measured once stays in the plan
    chosen = [node for node in own if node.state is State.DONE or node.active] or own
    if not chosen:
        return
    hold = None if maker.context.final else Absent(why="the end of the night", missing=False)
    maker.node(
        RECIPE["skyflat"],
        f"{len(chosen)} exposures",
        {
            "traces": [chain["traces"]],
            "flat": [chain["flat"]],
            "cubes": [maker.output(node, "e3d") for node in chosen],
        },
        {},
        hold=hold,
    )
