"""What is due, what waits and for what: a pure function of frames, products, clock and settings.

Every job has a key made of what goes into it: the step and its version, the checksums of raw frames, the keys of the
jobs that made its other inputs, its options and the names of its outputs. The same night therefore gives the same keys
whatever the order of arrival, the number of workers or the restarts; "done" means that the ledger holds a product with
that key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sedmd.config import Calibrations
from sedmd.frames import Frame, Kind
from sedmd.job import Job
from sedmd.names import product_names
from sedmd.night import (
    Observation,
    Series,
    bias_series,
    by_time,
    lamp_series,
    observations,
    speed_of,
    split_duplicates,
)
from sedmd.recipe import RECIPE, Step


class State(StrEnum):
    """Where a job stands."""

    DONE = "done"
    DUE = "due"
    RUNNING = "running"
    WAITING = "waiting"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    AWAITING = "awaiting observer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the ledger knows of a job that was started: running, done, retry, failed, quarantined, awaiting observer."""

    state: str
    reason: str = ""
    tries: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One job of the plan.

    Attributes
    ----------
    job : Job
    key : str
        Identity of the work, hexadecimal.
    state : State
    reason : str
        Why it waits, failed or was quarantined; for waiting jobs the first cause.
    active : bool
        It is due, running, or waits for something that is.
    missing : bool
        It waits for frames that did not come: a calibration is missing.
    order : tuple
        Urgency, then time.
    """

    job: Job
    key: str
    state: State
    reason: str = ""
    active: bool = False
    missing: bool = False
    order: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of a raw frame, in words for the table at the end."""

    frame: Frame
    became: str
    why: str = ""
    good: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a night should become, as far as its frames tell today."""

    night: str
    nodes: tuple[Node, ...]
    fates: tuple[Fate, ...]
    missing: tuple[str, ...] = ()

    def due(self) -> list[Node]:
        """Jobs to start, the most urgent first."""
        return sorted((node for node in self.nodes if node.state is State.DUE), key=lambda node: node.order)

    @property
    def active(self) -> bool:
        """Something is running, due or will be by itself."""
        return any(node.active for node in self.nodes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the planner is told besides the frames.

    Attributes
    ----------
    night : str
    folder : Path
        Directory of the night's products.
    now : datetime
    final : bool
        No more frames will come: take minimum sets, give up on partners.
    arrived : mapping of checksum to datetime
        When each frame was found whole.
    records : mapping of job key to Record
    products : mapping of file name to job key
        What lies in `folder` according to the ledger.
    rules : Calibrations
    versions : mapping of step name to version
    standard_key : callable
        Target name -> key of the tabulated standard star, or None.
    options : mapping of step name to options
        Settings that change a step's result.
    """

    night: str
    folder: Path
    now: datetime
    final: bool
    arrived: Mapping[str, datetime] = field(default_factory=dict)
    records: Mapping[str, Record] = field(default_factory=dict)
    products: Mapping[str, str] = field(default_factory=dict)
    rules: Calibrations = field(default_factory=Calibrations)
    versions: Mapping[str, object] = field(default_factory=dict)
    standard_key: Callable[[str], str | None] = lambda name: None
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def job_key(
    step: str,
    version: object,
    inputs: Iterable[tuple[str, str]],
    outputs: Mapping[str, str],
    options: Mapping[str, Any],
) -> str:
    """Identity of a piece of work: SHA-256 over what determines its result.

    Parameters
    ----------
    inputs : iterable of (role, checksum)
        In any order.
    outputs : mapping of role to file name
    """
    told = [step, str(version), sorted(inputs), sorted(outputs.items()), options]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_night(frames: Sequence[Frame], context: Context) -> Plan:
    """Plan one night.

    Parameters
    ----------
    frames : sequence of Frame
        All readable frames of the night, ignored ones included, in any order.
    """
    return _Planner(context).plan(frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One input file of a job: a raw frame, or a role of another node."""

    path: Path
    checksum: str
    node: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Absent:
    """An input that nothing can make yet."""

    why: str
    missing: bool = True
    active: bool = False


class _Planner:
    """Builds the plan in the order of the recipe; lives for one call."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.nodes: list[Node] = []
        self.fates: dict[Path, Fate] = {}
        self.lacking: list[str] = []

    def plan(self, frames: Sequence[Frame]) -> Plan:
        usable, refused = split_duplicates(frame for frame in frames if frame.kind is not Kind.IGNORED)
        rules = self.context.rules
        biases = bias_series(usable, minimum=rules.bias_min_frames, until_ut_hour=rules.until_ut_hour)
        lamps = lamp_series(usable, minimum=rules.lamp_min_frames, until_ut_hour=rules.until_ut_hour)
        masters = {speed: self._bias(series) for speed, series in biases.items()}
        combined = {kind: self._lamp(series, masters) for kind, series in lamps.items()}
        chain = self._chain(combined, anything_on_sky=any(frame.kind.on_sky for frame in usable))
        self._observations(usable, masters, chain)

        for frame in frames:
            if frame.kind is Kind.IGNORED:
                self.fates[frame.path] = Fate(frame=frame, became="ignored", why=frame.reason)
            elif frame.kind is Kind.NE:
                self.fates[frame.path] = Fate(frame=frame, became="not used", why="no step uses the Ne lamp")
        for frame, why in refused:
            self.fates[frame.path] = Fate(frame=frame, became="quarantined", why=why, good=False)
        for series in (*biases.values(), *lamps.values()):
            for frame, why in series.left_out:
                self.fates[frame.path] = Fate(frame=frame, became="not used", why=why)
        return Plan(
            night=self.context.night,
            nodes=tuple(self.nodes),
            fates=tuple(self.fates[frame.path] for frame in by_time(frames)),
            missing=tuple(dict.fromkeys(self.lacking)),
        )

    # calibrations

    def _bias(self, series: Series) -> Node:
        label = f"bias {series.adc_speed_mhz:.1f} MHz"
        raw = [_Source(path=frame.path, checksum=frame.checksum) for frame in series.frames]
        node = self._node(
            RECIPE["bias"], label, {"raw": raw}, {"speed": series.adc_speed_mhz}, hold=self._hold(series, label)
        )
        return self._tell(series, node)

    def _lamp(self, series: Series, masters: Mapping[float, Node]) -> Node:
        raw = [_Source(path=frame.path, checksum=frame.checksum) for frame in series.frames]
        bias = self._bias_for(series.adc_speed_mhz, masters)
        node = self._node(
            RECIPE["lamp"],
            str(series.kind),
            {"raw": raw, "bias": [bias]},
            {"lamp": str(series.kind)},
            hold=self._hold(series, str(series.kind)),
            urgency=8 if series.kind is Kind.TWILIGHT else None,
            options={"kind": str(series.kind)},
        )
        return self._tell(series, node)

    def _tell(self, series: Series, node: Node) -> Node:
        for frame in series.frames:
            self.fates[frame.path] = _calibration_fate(frame, node)
        return node

    def _hold(self, series: Series, label: str) -> _Absent | None:
        """Why this series is not combined yet, or None."""
        have, rules, now = len(series.frames), self.context.rules, self.context.now
        if not series.enough:
            why = f"{label}: {have} of at least {series.minimum} frames"
            return _Absent(why=why, active=False)
        if series.complete or self.context.final:
            return None
        latest = max(self.context.arrived.get(frame.checksum, now) for frame in series.frames)
        until = latest + timedelta(seconds=rules.quiet_s)
        if now >= until:
            return None
        announced = max((frame.series_total or 0) for frame in series.frames)
        why = f"{label}: {have} of {announced} frames; used as it is at {until:%H:%M:%S} UT if no more come"
        return _Absent(why=why, missing=False, active=True)

    def _chain(self, lamps: Mapping[Kind, Node], *, anything_on_sky: bool) -> dict[str, _Source | _Absent]:
        """Traces, wavelength and flat of the night."""
        roles: dict[str, _Source | _Absent] = {}
        for kind in (Kind.DOME, Kind.HG, Kind.CD, Kind.XE):
            made: Node | _Absent | None = lamps.get(kind)
            if made is None:
                made = _Absent(why=f"{kind}: no frames (at least {self.context.rules.lamp_min_frames} needed)")
            if anything_on_sky or lamps:
                self._note_lack(made)
            roles[str(kind)] = self._output(made, "lamp")
        if not lamps and not anything_on_sky:
            return roles
        for name in ("traces", "wavelength", "flat"):
            step = RECIPE[name]
            node = self._node(step, name, {role: [roles[role]] for role in step.needs}, {})
            roles[name] = self._output(node, name)
        return roles

    def _bias_for(self, speed: float, masters: Mapping[float, Node]) -> _Source | _Absent:
        made: Node | _Absent | None = masters.get(speed)
        if made is None:
            made = _Absent(
                why=f"bias {speed:.1f} MHz: no frames (at least {self.context.rules.bias_min_frames} needed)"
            )
        self._note_lack(made)
        return self._output(made, "bias")

    # on-sky frames

    def _observations(
        self,
        frames: Sequence[Frame],
        masters: Mapping[float, Node],
        chain: Mapping[str, _Source | _Absent],
    ) -> None:
        on_sky = [frame for frame in frames if frame.kind.on_sky]
        safe = product_names(frame.name for frame in on_sky)
        visits = observations(on_sky, self.context.standard_key)
        of_standard = {frame.path for visit in visits if visit.standard for frame in visit.frames}
        cubes = {
            frame.path: self._node(
                RECIPE["cube"],
                f"{frame.stem} {frame.name}",
                {
                    "raw": [_Source(path=frame.path, checksum=frame.checksum)],
                    "bias": [self._bias_for(speed_of(frame), masters)],
                    **{role: [chain[role]] for role in ("traces", "wavelength", "flat")},
                },
                {"stem": frame.stem, "target": safe[frame.name]},
                urgency=RECIPE["cube"].urgency - (2 if frame.path in of_standard else 0),
                when=frame,
            )
            for frame in by_time(on_sky)
        }
        visits = [part for visit in visits for part in self._give_up_lost_partner(visit, cubes)]
        extracted = [(visit, self._extract(visit, cubes)) for visit in visits]
        fluxcal = self._fluxcal([node for visit, node in extracted if visit.standard])
        for visit, node in extracted:
            spectrum = self._calibrate(visit, node, fluxcal)
            for frame in visit.frames:
                self.fates[frame.path] = _on_sky_fate(frame, cubes[frame.path], node, spectrum)

    def _give_up_lost_partner(self, visit: Observation, cubes: Mapping[Path, Node]) -> list[Observation]:
        """A pair of which one exposure cannot be reduced becomes single exposures."""
        if not visit.pair or not any(_lost(cubes[frame.path]) for frame in visit.frames):
            return [visit]
        return [
            replace(visit, frames=(frame,), awaits_partner=False)
            for frame in visit.frames
            if not _lost(cubes[frame.path])
        ] + [
            # the lost exposure keeps its place in the table, under a name that its partner cannot share
            replace(visit, frames=(frame,), safe=f"{visit.safe}_{frame.stem}", awaits_partner=False)
            for frame in visit.frames
            if _lost(cubes[frame.path])
        ]

    def _extract(self, visit: Observation, cubes: Mapping[Path, Node]) -> Node:
        made = [self._output(cubes[frame.path], "e3d") for frame in visit.frames]
        roles = {"cube_a": [made[0]], "cube_b": [made[1]]} if visit.pair else {"cube": made}
        hold = None
        if visit.awaits_partner and not self.context.final:
            hold = _Absent(why=f"the [B] exposure of {visit.name}", missing=False)
        return self._node(
            RECIPE["extract"],
            visit.product,
            roles,
            {"product": visit.product},
            hold=hold,
            urgency=RECIPE["extract"].urgency - (1 if visit.standard else 0),
            when=visit.frames[0],
            options={
                "name": visit.name,
                "observation": visit.number,
                "standard": visit.standard,
                "partial_pair": not visit.pair and bool(visit.frames[0].nod) and visit.standard is None,
            },
        )

    def _fluxcal(self, standards: Sequence[Node]) -> Node | _Absent | None:
        """The flux calibration of the standards extracted so far; None if the night has none to offer.

        While the night is open it is made anew with each standard; at its end it waits for the last, so that nothing is
        calibrated twice.
        """
        done = [node for node in standards if node.state is State.DONE]
        pending = sum(node.active for node in standards)
        if self.context.final and pending:
            plural = "standard is" if pending == 1 else "standards are"
            return _Absent(why=f"{pending} {plural} still being extracted", missing=False, active=True)
        if not done:
            return None
        sources = [self._output(node, "ext") for node in done]
        return self._node(RECIPE["fluxcal"], f"{len(done)} standards", {"standards": sources}, {})

    def _calibrate(self, visit: Observation, ext: Node, fluxcal: Node | _Absent | None) -> Node:
        roles: dict[str, list[_Source | _Absent]] = {"ext": [self._output(ext, "ext")]}
        if isinstance(fluxcal, _Absent):
            roles["fluxcal"] = [fluxcal]
        elif fluxcal is not None and not _lost(fluxcal):
            roles["fluxcal"] = [self._output(fluxcal, "fluxcal")]
        return self._node(
            RECIPE["calibrate"],
            visit.product,
            roles,
            {"product": visit.product},
            urgency=RECIPE["calibrate"].urgency,
            when=visit.frames[0],
            options={"name": visit.name, "standard": visit.standard},
        )

    # jobs

    def _note_lack(self, made: Node | _Absent) -> None:
        """Remember a calibration that something needs and that these frames cannot give."""
        if isinstance(made, _Absent):
            self.lacking.append(made.why)
        elif made.missing:
            self.lacking.append(made.reason)
        elif _lost(made):
            self.lacking.append(f"{made.job.label}: {made.reason}")

    def _output(self, made: Node | _Absent, role: str) -> _Source | _Absent:
        if isinstance(made, _Absent):
            return made
        return _Source(path=made.job.outputs[role], checksum=f"{made.key}/{role}", node=made)

    def _node(
        self,
        step: Step,
        label: str,
        inputs: Mapping[str, Sequence[_Source | _Absent]],
        fill: Mapping[str, Any],
        *,
        hold: _Absent | None = None,
        urgency: int | None = None,
        when: Frame | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Node:
        """Add a job to the plan and say where it stands."""
        names = {role: template.format(**fill) for role, template in step.makes.items()}
        everything = dict(self.context.options.get(step.name, {})) | dict(options or {})
        sources = {
            role: sorted(
                (one for one in given if isinstance(one, _Source)), key=lambda one: (one.path.name, one.checksum)
            )
            for role, given in inputs.items()
        }
        absent = [one for given in inputs.values() for one in given if isinstance(one, _Absent)]
        job = Job(
            step=step.name,
            night=self.context.night,
            label=label,
            inputs={role: tuple(one.path for one in given) for role, given in sources.items()},
            outputs={role: self.context.folder / name for role, name in names.items()},
            options=everything,
        )
        checksums = [(role, one.checksum) for role, given in sources.items() for one in given]
        checksums += [(role, "absent") for role, given in inputs.items() if any(isinstance(g, _Absent) for g in given)]
        key = job_key(step.name, self.context.versions.get(step.name, ""), checksums, names, everything)
        node = Node(
            job=job,
            key=key,
            state=State.WAITING,
            order=(step.urgency if urgency is None else urgency, when.start.isoformat() if when else "", label),
        )
        node = self._judge(node, names.values(), hold, absent, [one for given in sources.values() for one in given])
        self.nodes.append(node)
        return node

    def _judge(
        self,
        node: Node,
        names: Iterable[str],
        hold: _Absent | None,
        absent: Sequence[_Absent],
        sources: Sequence[_Source],
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
        if record is None:
            return replace(node, state=State.DUE, active=True)
        if record.state == "running":
            return replace(node, state=State.RUNNING, active=True)
        if record.state == "retry":
            if record.not_before is None or self.context.now >= record.not_before:
                return replace(node, state=State.DUE, active=True)
            again = f"tries again at {record.not_before:%H:%M:%S} UT after: {record.reason}"
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


def _lost(node: Node) -> bool:
    return node.state in (State.FAILED, State.QUARANTINED)


def _calibration_fate(frame: Frame, node: Node) -> Fate:
    if node.state is State.DONE:
        return Fate(frame=frame, became=f"part of {next(iter(node.job.outputs.values())).name}")
    if node.state is State.WAITING and not node.active:
        return Fate(frame=frame, became="not used", why=node.reason)
    return Fate(frame=frame, became=str(node.state), why=node.reason, good=not _lost(node))


def _on_sky_fate(frame: Frame, cube: Node, ext: Node, spectrum: Node) -> Fate:
    for node, made in ((cube, ""), (ext, "cube; "), (spectrum, "cube; ")):
        if node.state is State.DONE:
            continue
        if node.state is State.AWAITING:
            return Fate(frame=frame, became="cube; awaiting observer", why=node.reason)
        return Fate(frame=frame, became=f"{made}{node.job.step} {node.state}", why=node.reason, good=not _lost(node))
    notes = list(frame.notes)
    if ext.job.options.get("partial_pair"):
        notes.insert(0, f"only the [{frame.nod}] exposure of a pair: sky subtraction is inferior")
    return Fate(frame=frame, became=spectrum.job.outputs["ascii"].name, why="; ".join(notes))
