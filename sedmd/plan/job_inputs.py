"""What a planned job would be made from: a file that is there or will be, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sedmd.core.recipe import Step
from sedmd.plan.calibrations import Reference
from sedmd.plan.plan import Node, State
from sedmd.raw.frames import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One input file of a job: a raw frame, or a role of another node."""

    path: Path
    checksum: str
    node: Node | None = None

    @classmethod
    def of(cls, made: Reference) -> Self:
        """A product of another night."""
        return cls(path=made.path, checksum=made.checksum)

    @property
    def ready(self) -> bool:
        return self.node is None or self.node.state is State.DONE

    @property
    def hopeful(self) -> bool:
        """It will be ready without anybody's doing."""
        return self.node is not None and self.node.active


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """An input that nothing can make yet; `active` if that will change without anybody's doing."""

    why: str
    missing: bool = True
    active: bool = False

    @property
    def ready(self) -> bool:
        return False

    @property
    def hopeful(self) -> bool:
        return self.active


def inputs_of(step: Step, roles: Mapping[str, InputFile | Absent]) -> dict[str, list[InputFile | Absent]]:
    """Inputs of a step by role; a role that may be absent, and is, has none."""
    wanted = ((role.rstrip("?"), role.endswith("?")) for role in step.needs)
    return {role: [roles[role]] for role, optional in wanted if role in roles or not optional}


def correction_option(frames: Sequence[Frame]) -> dict[str, Any]:
    """The option of a job that corrects cards of its raw frames: stem -> card -> value; none where none was."""
    mends = {frame.stem: dict(frame.mends) for frame in frames if frame.mends}
    return {"mends": mends} if mends else {}
