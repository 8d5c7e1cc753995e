"""Outcome of a raw frame, from the jobs that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sedmd.plan.plan import FrameOutcome, Node, State
from sedmd.raw.frames import Frame


def calibration_outcome(frame: Frame, node: Node) -> FrameOutcome:
    """Outcome of a frame that is combined with others by the job `node`."""
    if node.state is State.DONE:
        return FrameOutcome(frame=frame, outcome=f"part of {next(iter(node.job.outputs.values())).name}")
    if node.state is State.WAITING and not node.active:
        return FrameOutcome(frame=frame, outcome="not used", why=node.reason)
    return FrameOutcome(frame=frame, outcome=str(node.state), why=node.reason, good=not node.lost)


def with_cause(node: Node, frames: Sequence[Frame]) -> Node:
    """The job `node` with the reason of its end as it is for frames whose telescope's cards are lost: these come first.

    What an extraction says of a target that it cannot know where to look for is a consequence.
    """
    first = next((frame for frame in frames if frame.lost), None)
    if first is None or not (node.lost or node.state is State.AWAITING or node.provisional):
        return node
    why = f"{first.lost}; {node.provisional or node.reason}"
    if first.unfinished:
        why = f"{first.contradiction}. Name it: sedmd mend {first.stem} OBJECT=NAME"
    return replace(node, provisional=why) if node.provisional else replace(node, reason=why)


def on_sky_outcome(frame: Frame, cube: Node, ext: Node, spectrum: Node) -> FrameOutcome:
    """Outcome of an exposure on the sky, from the jobs that reduce it."""
    for node, made in ((cube, ""), (ext, "cube; "), (spectrum, "cube; ")):
        if node.state is State.DONE:
            continue
        if node.state is State.AWAITING:
            return FrameOutcome(frame=frame, outcome="cube; awaiting observer", why=node.reason)
        return FrameOutcome(
            frame=frame, outcome=f"{made}{node.job.step} {node.state}", why=node.reason, good=not node.lost
        )
    ascii_name = spectrum.job.outputs["ascii"].name
    if ext.provisional:
        return FrameOutcome(frame=frame, outcome=f"{ascii_name}; awaiting observer", why=ext.provisional)
    notes = list(frame.notes)
    if cube.fallback:
        notes.insert(0, f"using calibrations from {cube.fallback}")
    if half := ext.job.options.get("half_of_pair"):
        notes.insert(0, f"only the [{half}] exposure of a pair: sky subtraction is inferior")
    return FrameOutcome(frame=frame, outcome=ascii_name, why="; ".join(notes))
