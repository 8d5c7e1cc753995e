"""What is due, what waits and for what: a pure function of frames, products, clock and settings.

Every job has a key made of what goes into it: the step and its version, the checksums of raw frames, the keys of the
jobs that made its other inputs, its options and the names of its outputs. The same night therefore gives the same keys
for any order of arrival, number of workers or restarts; "done" means that the ledger holds a product with
that key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sedmd.core.quality import PROVISIONAL
from sedmd.core.recipe import RECIPE
from sedmd.core.target_names import product_names
from sedmd.plan.before import exposure_before
from sedmd.plan.calibrations import CalibrationSet, bias_label
from sedmd.plan.frame_outcomes import calibration_outcome, on_sky_outcome, with_cause
from sedmd.plan.guiding import guide_inputs
from sedmd.plan.job_inputs import Absent, InputFile, correction_option, inputs_of
from sedmd.plan.jobs import JobMaker
from sedmd.plan.missing_lamps import lamps_done_without
from sedmd.plan.plan import FALLBACK, Context, FrameOutcome, Node, Plan, SetStatus, State
from sedmd.plan.series import REJECTED, SET, LampSet, Series, lamp_sets, series_of, speed_of, unused
from sedmd.plan.series_concerns import SetConcern, describe, geometry_concern, set_statuses
from sedmd.plan.sky_flat import plan_sky_flat
from sedmd.raw.frame_order import by_time, split_duplicates
from sedmd.raw.frames import Frame, Kind
from sedmd.raw.visits import Visit, observations

#: Steps that make the geometry of a night.
CHAIN = ("traces", "wavelength", "flat")


def plan_night(frames: Sequence[Frame], context: Context) -> Plan:
    """Plan one night.

    Parameters
    ----------
    frames : sequence of Frame
        All readable frames of the night, ignored ones included, in any order.
    """
    return _Planner(context).plan(frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exposure:
    """A frame on the sky, its target as file names carry it, and its priority in the reduction."""

    frame: Frame
    safe: str
    first: int


class _Planner(JobMaker):
    """Builds the plan in the order of the recipe; lives for one call."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.usable: Sequence[Frame] = ()
        self.outcomes: dict[Path, FrameOutcome] = {}
        self.lacking: list[str] = []
        self.fallback_sets: list[CalibrationSet] = []
        self.offers: list[str] = []
        self.geometry_change = ""
        self.sets: list[SetStatus] = []

    def plan(self, frames: Sequence[Frame]) -> Plan:
        usable, refused = split_duplicates(frame for frame in frames if frame.kind is not Kind.IGNORED)
        self.usable, rules = usable, self.context.rules
        biases, late = series_of(usable, Kind.BIAS, minimum=rules.bias_min_frames, until_ut_hour=rules.until_ut_hour)
        sets, aside = lamp_sets(usable, minimum=rules.lamp_min_frames, until_ut_hour=rules.until_ut_hour)
        twilights, dawn = series_of(
            usable, Kind.TWILIGHT, minimum=rules.lamp_min_frames, until_ut_hour=rules.until_ut_hour
        )
        masters = {speed: self._bias(series) for speed, series in biases.items()}
        combined = self._lamps(sets, masters)
        self._twilight(twilights, masters)
        chain = self._chain(combined, anything_on_sky=any(frame.kind.on_sky for frame in usable))
        self._observations(usable, masters, chain)

        for frame in frames:
            if frame.kind is Kind.IGNORED:
                self.outcomes[frame.path] = FrameOutcome(frame=frame, outcome="ignored", why=frame.reason)
            elif frame.kind is Kind.NE:
                self.outcomes[frame.path] = FrameOutcome(
                    frame=frame, outcome="not used", why="no step uses the Ne lamp"
                )
        for frame, why in refused:
            self.outcomes[frame.path] = FrameOutcome(frame=frame, outcome="quarantined", why=why, good=False)
        for frame, why in (*late, *aside, *dawn):
            self.outcomes[frame.path] = FrameOutcome(frame=frame, outcome="not used", why=why)
        lacking = tuple(dict.fromkeys(self.lacking))
        flux = self.context.flux_fallback
        return Plan(
            night=self.context.night,
            nodes=tuple(self.nodes),
            outcomes=tuple(self.outcomes[frame.path] for frame in by_time(frames)),
            missing=() if self.fallback_sets else lacking,
            lacking=lacking,
            fallback=max(self.fallback_sets, key=lambda one: one.night, default=None),
            flux_fallback=flux if flux and any("fluxcal" in node.job.options for node in self.nodes) else None,
            offers=tuple(dict.fromkeys(self.offers)),
            geometry_change=self.geometry_change,
            sets=tuple(self.sets),
            wake=min(self.wake, default=None),
        )

    # calibrations

    def _bias(self, series: Series) -> Node:
        label = bias_label(series.adc_speed_mhz)
        raw = [InputFile(path=frame.path, checksum=frame.checksum) for frame in series.frames]
        hold = self._hold(series, label, ideal=self.context.rules.bias_ideal_frames)
        node = self.node(
            RECIPE["bias"],
            label,
            {"raw": raw},
            {"speed": series.adc_speed_mhz},
            hold=hold,
            options=correction_option(series.frames),
        )
        return self._tell(series, node)

    def _lamps(self, sets: Sequence[LampSet], masters: Mapping[float, Node]) -> dict[Kind, Node]:
        """Combine the lamps of one set: the first without concerns, else that with the least."""
        tried: list[tuple[Series, Node]] = []
        made: list[tuple[dict[Kind, tuple[Series, Node]], SetConcern, str]] = []
        for one in sets:
            lamps = {kind: self._usable(choices, masters, tried) for kind, choices in one.lamps.items()}
            made.append(
                (lamps, *self._concern({kind: node for kind, (_, node) in lamps.items()}, alone=len(sets) == 1))
            )
            if made[-1][1] is SetConcern.NONE:
                break
        if not made:
            return {}
        chosen, concern, concern_text = min(made, key=lambda option: option[1])
        for frame, why in unused(sets, {kind: series for kind, (series, _) in chosen.items()}):
            self.outcomes[frame.path] = FrameOutcome(frame=frame, outcome="not used", why=why)
        whys = ["" if lamps is chosen else describe(against, why) for lamps, against, why in made]
        for (lamps, _, _), why in zip(made, whys, strict=True):
            for series, _ in lamps.values() if why else ():
                for frame in series.frames:
                    self.outcomes[frame.path] = FrameOutcome(
                        frame=frame, outcome="not used", why=f"of a set of calibrations {why}"
                    )
        used = [frame for series, _ in chosen.values() for frame in series.frames]
        self.sets = set_statuses(sets, whys, used, concern, concern_text)
        for series, node in tried:
            if node.lost:  # what cannot be used says so, also where other frames of the lamp are used
                self._tell(series, node)
        self.nodes += [node for _, node in chosen.values()]
        return {kind: self._tell(series, node) for kind, (series, node) in chosen.items()}

    def _concern(self, lamps: Mapping[Kind, Node], *, alone: bool) -> tuple[SetConcern, str]:
        """The concern about these lamps: a job that failed on them, or a geometry change.

        From the ledger, since a rejected set no longer has its products. Whether the geometry of a set that is
        `alone` changed is judged later: nothing could replace it.
        """
        for node in lamps.values():
            if node.lost:
                return SetConcern.FAILED, f"{node.job.label}: {node.reason}"
        if any(kind not in lamps for kind in SET):
            return SetConcern.NONE, ""
        figures: dict[str, Mapping[str, Any]] = {}
        roles = {str(kind): self.output(node, "lamp") for kind, node in lamps.items()}
        for name in CHAIN:
            node = self.make(RECIPE[name], name, inputs_of(RECIPE[name], roles), {})
            record = self.context.records.get(node.key)
            if record is not None and record.state in (State.FAILED, State.QUARANTINED):
                return SetConcern.FAILED, f"{name}: {record.reason}"
            if record is not None and record.state == State.DONE:
                figures[name] = record.figures
            roles[name] = self.output(node, name)
        geometry_changes = (lambda traces, wavelength: ()) if alone else self.context.geometry_changes
        return geometry_concern(figures, geometry_changes, self.context.night)

    def _usable(
        self, choices: Sequence[Series], masters: Mapping[float, Node], tried: list[tuple[Series, Node]]
    ) -> tuple[Series, Node]:
        """The first of several series of a lamp that is not known to be useless, else the first."""
        first = len(tried)
        for series in choices:
            tried.append((series, self._lamp(series, masters)))
            if not tried[-1][1].lost:
                return tried[-1]
        return tried[first]

    def _lamp(self, series: Series, masters: Mapping[float, Node], *, urgency: int | None = None) -> Node:
        """The job that combines the frames of a lamp; not yet part of the plan."""
        raw = [InputFile(path=frame.path, checksum=frame.checksum) for frame in series.frames]
        bias = self._bias_for(series.adc_speed_mhz, masters)
        return self.make(
            RECIPE["lamp"],
            str(series.kind),
            {"raw": raw, "bias": [bias]},
            {"lamp": str(series.kind)},
            hold=self._hold(series, str(series.kind), ideal=self.context.rules.lamp_ideal_frames),
            urgency=urgency,
            options={"kind": str(series.kind), **correction_option(series.frames)},
        )

    def _twilight(self, speeds: Mapping[float, Series], masters: Mapping[float, Node]) -> None:
        """Combine the twilight frames of the read-out speed with most of them; no other step needs them."""
        if not speeds:
            return
        chosen = max(speeds.values(), key=lambda series: (len(series.frames), -series.adc_speed_mhz))
        for series in speeds.values():
            for frame in series.frames:
                why = f"read out at {series.adc_speed_mhz:g} MHz; most twilight frames are not"
                self.outcomes[frame.path] = FrameOutcome(frame=frame, outcome="not used", why=why)
        node = self._lamp(chosen, masters, urgency=8)
        self.nodes.append(self._tell(chosen, node))

    def _tell(self, series: Series, node: Node) -> Node:
        record = self.context.records.get(node.key)
        without = str(record.figures.get(REJECTED, "")).split(", ") if record is not None else []
        for frame in series.frames:
            outcome = calibration_outcome(frame, node)
            if node.state is State.DONE and frame.stem in without:
                product = next(iter(node.job.outputs.values())).name
                outcome = FrameOutcome(frame=frame, outcome="not used", why=f"rejected from {product}; see the log")
            self.outcomes[frame.path] = outcome
        return node

    def _hold(self, series: Series, label: str, *, ideal: int) -> Absent | None:
        """Why this series is not combined yet, or None."""
        have, rules, now = len(series.frames), self.context.rules, self.context.now
        if not series.enough:
            why = f"{label}: {have} of at least {series.minimum} frames"
            return Absent(why=why, active=False)
        if series.complete or self.context.final or have >= ideal:
            return None
        latest = max(self.context.arrived.get(frame.checksum, now) for frame in series.frames)
        until = latest + timedelta(seconds=rules.quiet_s)
        if now >= until:
            return None
        self.wake.append(until)
        announced = max((frame.series_total or 0) for frame in series.frames)
        why = f"{label}: {have} of {announced} frames; used as is at {until:%H:%M:%S} UT unless more arrive"
        return Absent(why=why, missing=False, active=True)

    def _chain(self, lamps: Mapping[Kind, Node], *, anything_on_sky: bool) -> dict[str, InputFile | Absent]:
        """Traces, wavelength and flat of the night."""
        roles: dict[str, InputFile | Absent] = {}
        for kind in SET:
            made: Node | Absent | None = lamps.get(kind)
            if made is None:
                made = Absent(why=f"{kind}: no frames (at least {self.context.rules.lamp_min_frames} needed)")
            if anything_on_sky or lamps:
                self._note_lack(made)
            roles[str(kind)] = self.output(made, "lamp")
        if not lamps and not anything_on_sky:
            return roles
        absent = lamps_done_without(lamps, self.context) if anything_on_sky else []
        given = {role: made for role, made in roles.items() if role not in map(str, absent)}
        options = {"lines": self.context.lines} if absent and self.context.lines else {}
        done: dict[str, Node] = {}
        for name in CHAIN:
            step = RECIPE[name]
            node = self.node(step, name, inputs_of(step, given), {}, options=options if name != "flat" else {})
            if name == "wavelength":
                node = self._trusted(done["traces"], node)
            self._note_failure(node)
            done[name] = node
            roles[name] = given[name] = self.output(node, name)
        return roles

    def _trusted(self, traces: Node, wavelength: Node) -> Node:
        """The wavelength job, quarantined if tonight's geometry is not that of the instrument as it was last known."""
        if traces.state is not State.DONE or wavelength.state is not State.DONE:
            return wavelength
        records = self.context.records
        found = self.context.geometry_changes(records[traces.key].figures, records[wavelength.key].figures)
        if not found:
            return wavelength
        self.geometry_change = "; ".join(found)
        reason = (
            f"geometry change since the last good night: {self.geometry_change}. Check the lamps; "
            f"if the instrument was changed: sedmd accept {self.context.night}"
        )
        return self.replace(wavelength, replace(wavelength, state=State.QUARANTINED, reason=reason))

    def _bias_for(self, speed: float, masters: Mapping[float, Node]) -> InputFile | Absent:
        made: Node | Absent | None = masters.get(speed)
        if made is None:
            others = ", ".join(f"{other:.1f}" for other in masters)
            why = f"{bias_label(speed)}: no frames (at least {self.context.rules.bias_min_frames} needed"
            made = Absent(why=f"{why}; there are biases of {others} MHz)" if others else f"{why})")
        self._note_lack(made)
        return self.output(made, "bias")

    # on-sky frames

    def _observations(
        self,
        frames: Sequence[Frame],
        masters: Mapping[float, Node],
        chain: Mapping[str, InputFile | Absent],
    ) -> None:
        on_sky = [frame for frame in frames if frame.kind.on_sky]
        safe = product_names(frame.name for frame in on_sky)
        visits = observations(on_sky)
        # the target being observed comes before what was observed earlier
        current = by_time(on_sky)[-1].name if on_sky else ""
        cubes: dict[Path, Node] = {}
        for visit in visits:
            first = self._first(visit, current)
            exposures = [_Exposure(frame=frame, safe=safe[frame.name], first=first) for frame in visit.frames]
            for exposure, node in zip(exposures, self._cubes(visit, exposures, masters, chain), strict=True):
                cubes[exposure.frame.path] = node
        visits = [part for visit in visits for part in self._give_up_lost_partner(visit, cubes)]
        firsts = {visit.product: self._first(visit, current) for visit in visits}
        stars = [(visit, self._extract(visit, cubes, {}, firsts)) for visit in visits if visit.standard]
        # what may be no star tells neither the seeing nor the target position
        sure = [(visit, node) for visit, node in stars if not visit.contradiction]
        targets = [(visit, self._star_for(visit, sure)) for visit in visits if not visit.standard]
        extracted = [(visit, self._extract(visit, cubes, star, firsts)) for visit, star in targets]
        plan_sky_flat(self, [cubes[frame.path] for visit, _ in targets for frame in visit.frames], chain)
        fluxcal = self._fluxcal([node for visit, node in stars if visit.star])
        for visit, node in stars + extracted:
            spectrum = self._calibrate(visit, node, fluxcal, firsts)
            self._page(visit, spectrum)
            for frame in visit.frames:
                self.outcomes[frame.path] = on_sky_outcome(frame, cubes[frame.path], node, spectrum)

    @staticmethod
    def _first(visit: Visit, current: str) -> int:
        """Priority of this visit over others, and over what is remade with a new star."""
        return 2 if visit.standard else 1 if visit.name == current else 0

    def _cubes(
        self,
        visit: Visit,
        exposures: Sequence[_Exposure],
        masters: Mapping[float, Node],
        chain: Mapping[str, InputFile | Absent],
    ) -> list[Node]:
        """The cube jobs of a visit: with tonight's calibrations, or all of them with one earlier night's."""
        tonight = {name: chain[name] for name in CHAIN}
        own = [self._cube(one, self._bias_for(speed_of(one.frame), masters), tonight) for one in exposures]
        ready = all(source.ready for node in own for source in node[1])
        hopeful = all(source.ready or source.hopeful for node in own for source in node[1])
        # when tonight's are ready, only who leaves alone what was begun has to know whether it was
        sets = self.context.fallbacks if self.context.pin_fallbacks or not ready else ()
        others = [(one, nodes) for one in sets if (nodes := self._cubes_with(one, exposures))]
        # a set with which the visit was begun stays, also when a newer one turns up
        for one, nodes in others:
            begun = all(node.state in (State.DONE, State.RUNNING) for node in nodes)
            if begun and (self.context.pin_fallbacks or not ready):
                if ready:
                    self.offers.append(visit.product)
                return self._take(nodes, one)
        if others and not ready and not hopeful and self.context.fallback_due:
            one, nodes = others[0]
            return self._take(nodes, one)
        return self._take([node for node, _ in own], None)

    def _cubes_with(self, fallback: CalibrationSet, exposures: Sequence[_Exposure]) -> list[Node]:
        """The cube jobs of a visit with one earlier night's calibrations; none if it lacks the bias of a speed."""
        bias = [fallback.bias.get(bias_label(speed_of(exposure.frame))) for exposure in exposures]
        given = [one for one in bias if one is not None]
        if len(given) < len(bias):
            return []
        chain = {name: InputFile.of(getattr(fallback, name)) for name in CHAIN}
        return [
            self._cube(exposure, InputFile.of(one), chain, fallback=fallback)[0]
            for exposure, one in zip(exposures, given, strict=True)
        ]

    def _take(self, nodes: Sequence[Node], fallback: CalibrationSet | None) -> list[Node]:
        self.nodes += nodes
        if fallback is not None:
            self.fallback_sets.append(fallback)
        return list(nodes)

    def _cube(
        self,
        exposure: _Exposure,
        bias: InputFile | Absent | None,
        chain: Mapping[str, InputFile | Absent | None],
        *,
        fallback: CalibrationSet | None = None,
    ) -> tuple[Node, list[InputFile | Absent]]:
        """A cube job that is not yet part of the plan, and the calibrations it rests on."""
        frame = exposure.frame
        given = {name: source for name, source in {"bias": bias, **chain}.items() if source is not None}
        names = (frame.stem, frame.name, exposure.safe, *((FALLBACK,) if fallback is not None else ()))
        node = self.make(
            RECIPE["cube"],
            f"{frame.stem} {frame.name}",
            {
                "raw": [InputFile(path=frame.path, checksum=frame.checksum)],
                **exposure_before(frame, self.usable),
                **{role: [source] for role, source in given.items()},
            },
            {"stem": frame.stem, "target": exposure.safe},
            urgency=RECIPE["cube"].urgency - exposure.first,
            when=frame,
            about=names,
            options=({"calibrations": fallback.as_option()} if fallback is not None else {})
            | correction_option([frame]),
        )
        return replace(node, fallback=fallback.night if fallback is not None else ""), list(given.values())

    def _give_up_lost_partner(self, visit: Visit, cubes: Mapping[Path, Node]) -> list[Visit]:
        """A pair of which one exposure cannot be reduced becomes single exposures."""
        if not visit.pair or not any(cubes[frame.path].lost for frame in visit.frames):
            return [visit]
        return [
            replace(visit, frames=(frame,), half=letter)
            for letter, frame in zip("AB", visit.frames, strict=True)
            if not cubes[frame.path].lost
        ] + [
            # the lost exposure keeps its place in the table, under a name that its partner cannot share
            replace(visit, frames=(frame,), safe=f"{visit.safe}_{frame.stem}", half=letter)
            for letter, frame in zip("AB", visit.frames, strict=True)
            if cubes[frame.path].lost
        ]

    def _extract(
        self,
        visit: Visit,
        cubes: Mapping[Path, Node],
        star: Mapping[str, list[InputFile | Absent]],
        firsts: Mapping[str, int],
    ) -> Node:
        made = [self.output(cubes[frame.path], "e3d") for frame in visit.frames]
        roles = {"cube_a": [made[0]], "cube_b": [made[1]]} if visit.pair else {"cube": made}
        hold = None
        if visit.awaits_partner and not self.context.final:
            arrived = self.context.arrived.get(visit.frames[0].checksum, self.context.now)
            until = arrived + timedelta(seconds=self.context.partner_wait_s)
            if self.context.now < until:
                self.wake.append(until)
                hold = Absent(why=f"the [B] exposure of {visit.name}", missing=False)
        node = self.node(
            RECIPE["extract"],
            visit.product,
            {**roles, **star, **guide_inputs(self, visit)},
            {"product": visit.product},
            hold=hold,
            urgency=RECIPE["extract"].urgency + 1 - firsts[visit.product],
            when=visit.frames[0],
            about=visit.names,
            options={
                "name": visit.name,
                "observation": visit.number,
                "standard": visit.standard,
                "star": visit.star,
                **({"name_doubt": visit.name_doubt} if visit.name_doubt else {}),
                "half_of_pair": visit.half,
                **({} if visit.standard else self.context.target_options),
            },
        )
        record = self.context.records.get(node.key)
        if node.state is State.DONE and record is not None:
            node = self.replace(node, replace(node, provisional=str(record.figures.get(PROVISIONAL) or "")))
        return self.replace(node, with_cause(node, visit.frames))

    def _star_for(self, visit: Visit, stars: Sequence[tuple[Visit, Node]]) -> dict[str, list[InputFile | Absent]]:
        """The standard star nearest in time, which tells the seeing; none before the night has one."""
        if pending := self._pending([node for _, node in stars]):
            return {"star": [pending]}
        start = visit.frames[0].start
        done = [(abs(star.frames[0].start - start), node) for star, node in stars if node.state is State.DONE]
        return {"star": [self.output(min(done, key=lambda pair: pair[0])[1], "ext")]} if done else {}

    def _pending(self, standards: Sequence[Node]) -> Absent | None:
        """At the end of the night what rests on its standards waits for the last, so that nothing is done twice."""
        pending = sum(node.active for node in standards)
        if not (self.context.final and pending):
            return None
        plural = "standard is" if pending == 1 else "standards are"
        return Absent(why=f"{pending} {plural} still being extracted", missing=False, active=True)

    def _fluxcal(self, standards: Sequence[Node]) -> Node | Absent | None:
        """The flux calibration of the tabulated standards extracted so far; None if the night has none to offer.

        While the night is open it is remade with each standard.
        """
        if pending := self._pending(standards):
            return pending
        done = [node for node in standards if node.state is State.DONE]
        if not done:
            return None
        sources = [self.output(node, "ext") for node in done]
        return self.node(RECIPE["fluxcal"], f"{len(done)} standards", {"standards": sources}, {})

    def _calibrate(self, visit: Visit, ext: Node, fluxcal: Node | Absent | None, firsts: Mapping[str, int]) -> Node:
        roles: dict[str, list[InputFile | Absent]] = {"ext": [self.output(ext, "ext")]}
        options: dict[str, Any] = {"name": visit.name, "standard": visit.standard, "star": visit.star}
        earlier = self.context.flux_fallback
        if isinstance(fluxcal, Absent):
            roles["fluxcal"] = [fluxcal]
        elif fluxcal is not None and not fluxcal.lost:
            roles["fluxcal"] = [self.output(fluxcal, "fluxcal")]
        elif earlier is not None:
            roles["fluxcal"] = [InputFile.of(earlier.fluxcal)]
            options["fluxcal"] = earlier.as_option()
        hold = None
        if (who := self.context.graded.get(visit.product)) is not None:
            hold = Absent(why=f"graded by {who}, whose files have this name", missing=False)
        return self.node(
            RECIPE["calibrate"],
            visit.product,
            roles,
            {"product": visit.product},
            hold=hold,
            urgency=RECIPE["calibrate"].urgency + 1 - firsts[visit.product],
            when=visit.frames[0],
            about=visit.names,
            options=options,
        )

    def _page(self, visit: Visit, spectrum: Node) -> Node:
        """The plot of a spectrum; no frame's outcome depends on it."""
        return self.node(
            RECIPE["page"],
            visit.product,
            {"sp": [self.output(spectrum, "sp")]},
            {"product": visit.product},
            when=visit.frames[0],
            about=visit.names,
        )

    # what is lacking

    def _note_lack(self, made: Node | Absent) -> None:
        """Remember a calibration that something needs and that these frames cannot give."""
        if isinstance(made, Absent):
            self.lacking.append(made.why)
        elif made.missing:
            self.lacking.append(made.reason)
        elif made.lost:
            self.lacking.append(f"{made.job.label}: {made.reason}")

    def _note_failure(self, node: Node) -> None:
        if node.lost:
            self.lacking.append(f"{node.job.label}: {node.reason}")
