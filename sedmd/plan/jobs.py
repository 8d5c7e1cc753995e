"""Jobs of a plan: their keys, and where each of them stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sedmd.core.job import Job
from sedmd.core.recipe import Step
from sedmd.plan.calibrations import output_checksum
from sedmd.plan.job_inputs import Absent, InputFile
from sedmd.plan.plan import Context, Node, State, job_key
from sedmd.raw.frames import Frame


class JobMaker:
    """Makes jobs, each from those before it.

    Attributes
    ----------
    context : Context
    nodes : list of Node
        The plan so far.
    wake : list of datetime
        When time alone will change where a job stands.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.nodes: list[Node] = []
        self.wake: list[datetime] = []

    def output(self, made: Node | Absent, role: str) -> InputFile | Absent:
        """What a job makes under `role`, as an input of the next."""
        if isinstance(made, Absent):
            return made
        return InputFile(path=made.job.outputs[role], checksum=output_checksum(made.key, role), node=made)

    def node(self, *given: Any, **more: Any) -> Node:
        """Make a job and add it to the plan; see `make`."""
        node = self.make(*given, **more)
        self.nodes.append(node)
        return node

    def replace(self, old: Node, new: Node) -> Node:
        """Put a job in another's place in the plan."""
        self.nodes[self.nodes.index(old)] = new
        return new

    def make(
        self,
        step: Step,
        label: str,
        inputs: Mapping[str, Sequence[InputFile | Absent]],
        fill: Mapping[str, Any],
        *,
        hold: Absent | None = None,
        urgency: int | None = None,
        when: Frame | None = None,
        about: Iterable[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """A job, and where it stands."""
        everything = dict(self.context.options.get(step.name, {})) | dict(options or {})
        left_out = step.frames if everything.get("frames") == "none" else ()
        names = {role: template.format(**fill) for role, template in step.makes.items() if role not in left_out}
        sources = {
            role: sorted(
                (one for one in given if isinstance(one, InputFile)), key=lambda one: (one.path.name, one.checksum)
            )
            for role, given in inputs.items()
        }
        absent = [one for given in inputs.values() for one in given if isinstance(one, Absent)]
        job = Job(
            step=step.name,
            night=self.context.night,
            label=label,
            inputs={role: tuple(one.path for one in given) for role, given in sources.items()},
            outputs={role: self.context.folder / name for role, name in names.items()},
            options=everything,
        )
        checksums = [(role, one.checksum) for role, given in sources.items() for one in given]
        checksums += [(role, "absent") for role, given in inputs.items() if any(isinstance(g, Absent) for g in given)]
        key = job_key(step.name, self.context.versions.get(step.name, ""), checksums, names, everything)
        node = Node(
            job=job,
            key=key,
            state=State.WAITING,
            inputs=tuple(sorted(checksums)),
            about=frozenset({self.context.night, step.name, label, *names.values(), *about}),
            order=(step.urgency if urgency is None else urgency, when.start.isoformat() if when else "", label),
        )
        return self._judge(node, names.values(), hold, absent, [one for given in sources.values() for one in given])

    def _judge(
        self,
        node: Node,
        names: Iterable[str],
        hold: Absent | None,
        absent: Sequence[Absent],
        sources: Sequence[InputFile],
    ) -> Node:
        record = self.context.records.get(node.key)
        if record is not None and record.state == "done":
            if all(self.context.products.get(name) == node.key for name in names):
                return replace(node, state=State.DONE)
            record = None  # a product was overwritten or lost since: make it again
        for lack in (*absent, *([hold] if hold else [])):
            return replace(node, reason=lack.why, missing=lack.missing, active=lack.active)
        upstream = [one.node for one in sources if one.node is not None and one.node.state is not State.DONE]
        if upstream:
            return _blocked(node, upstream)
        if record is not None and record.state == "running":
            return replace(node, state=State.RUNNING, active=True)
        held = sorted(node.about & self.context.holds.keys())
        if held:
            return replace(node, reason=f"{self.context.holds[held[0]]}; to release: sedmd release {held[0]}")
        if record is None:
            return replace(node, state=State.DUE, active=True)
        if record.state == "retry":
            if record.not_before is None or self.context.now >= record.not_before:
                return replace(node, state=State.DUE, active=True)
            self.wake.append(record.not_before)
            again = f"retry at {record.not_before:%H:%M:%S} UT after: {record.reason}"
            return replace(node, reason=again, active=True)
        return replace(node, state=State(record.state), reason=record.reason)


def _blocked(node: Node, upstream: Sequence[Node]) -> Node:
    """Waiting for other jobs: hopeless ones give the reason, otherwise the first that is under way."""
    stuck = [other for other in upstream if not other.active]
    first = (stuck or list(upstream))[0]
    if first.state is State.WAITING:
        reason = first.reason
    elif first.state in (State.FAILED, State.QUARANTINED):
        reason = f"{first.job.step} {first.job.label} {first.state}: {first.reason}"
    else:
        reason = f"{first.job.step} {first.job.label} ({first.state})"
    return replace(node, reason=reason, missing=any(other.missing for other in stuck), active=not stuck)
