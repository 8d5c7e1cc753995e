"""Figures of a run of the benchmark: kept as JSON, printed as a table, two of them compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.clockwork import middle

#: A figure that grew by this much against the kept one is a slowdown ...
SLOWDOWN = 1.25
#: ... if it lies further above it than its scatter and that of the kept one, times this.
SIGMAS = 2.0
#: Units of which less is better, and which depend on how fast the machine is.
TIMES = ("s", "ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number.

    Attributes
    ----------
    group, name : str
    value, scatter : float
        Median of the runs, and their scatter as a sigma; in `unit`.
    unit : str
    runs : int
    cpu_s : float or None
        Processor time of a run.
    peak_mb : float or None
        Most memory held by a process.
    peer : str
        What it was paired with in turn, run by run.
    ratio, ratio_scatter : float or None
        How many times longer (above 1) or shorter the peer took: the median of the pairs.
    floor : bool
        The peer does less than ours, as little as anybody can (files read and written): nothing to be compared by.
    goal : float or None
        What has to be reached, in `unit`.
    note : str
    good : bool
        False where a comparison of results failed.
    """

    group: str
    name: str
    value: float
    scatter: float = 0.0
    unit: str = "s"
    runs: int = 1
    cpu_s: float | None = None
    peak_mb: float | None = None
    peer: str = ""
    ratio: float | None = None
    ratio_scatter: float | None = None
    floor: bool = False
    goal: float | None = None
    note: str = ""
    good: bool = True

    @property
    def key(self) -> str:
        """By what it is found in another run."""
        return f"{self.group}: {self.name}"

    @property
    def reached(self) -> bool:
        """No goal, or one that is reached."""
        return self.goal is None or self.value <= self.goal


def figure(
    group: str,
    name: str,
    values: Sequence[float],
    *,
    beside: tuple[str, Sequence[float]] | None = None,
    **more: Any,
) -> Figure:
    """The median of several runs; `beside` is a peer and what it took, run by run in turn with ours."""
    ours = middle(values)
    if beside is not None:
        peer, others = beside
        ratio = middle([other / own for own, other in zip(values, others, strict=True)])
        more |= {"peer": peer, "ratio": ratio.value, "ratio_scatter": ratio.scatter}
    return Figure(group=group, name=name, value=ours.value, scatter=ours.scatter, runs=ours.count, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """All figures of one run: on which machine, how fast a fixed piece of work ran there, when, of which commit."""

    machine: str
    yardstick_s: float
    when: str
    commit: str
    night: str
    figures: tuple[Figure, ...]

    def write(self, path: Path) -> None:
        """Keep it."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Run:
    """A run that was kept."""
    table = json.loads(path.read_text())
    table["figures"] = tuple(Figure(**one) for one in table["figures"])
    return Run(**table)


def report(run: Run) -> str:
    """The figures of a run as a table."""
    lines = [["", "wall", "+-", "CPU [s]", "peak [MB]", "peer takes", "goal", ""]]
    group = ""
    for one in run.figures:
        if one.group != group:
            group = one.group
            lines.append([group.upper(), "", "", "", "", "", "", ""])
        peer = f"{one.ratio:.2f} x +- {one.ratio_scatter:.2f} ({one.peer})" if one.ratio is not None else ""
        goal = "" if one.goal is None else f"<= {one.goal:g}{'' if one.reached else ' MISSED'}"
        note = one.note if one.good else f"WRONG: {one.note}"
        lines.append(
            [
                f"  {one.name}",
                f"{_number(one.value)} {one.unit}",
                _number(one.scatter) if one.runs > 1 else "",
                "" if one.cpu_s is None else _number(one.cpu_s),
                "" if one.peak_mb is None else f"{one.peak_mb:.0f}",
                peer,
                goal,
                note,
            ]
        )
    head = f"{run.machine}\n{run.when}, commit {run.commit}, {run.night}; medians, +- 1 sigma of a run (MAD)"
    return f"{head}\n\n{aligned(lines)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A figure in two runs, the later one on the scale of the earlier one's machine."""

    key: str
    before: float
    after: float
    unit: str
    slower: bool

    @property
    def factor(self) -> float:
        """Later over earlier."""
        return self.after / self.before if self.before else float("inf")


def compare(old: Run, new: Run) -> list[Change]:
    """Figures of both runs that are more than a quarter apart, or that would be of another machine.

    Times are put on one scale: by the ratio to a peer that ran beside them, where there is one that does the same
    work; else by the yardstick, a fixed piece of work that each run times, on processor time where that is known.
    """
    earlier = {one.key: one for one in old.figures}
    found = []
    for one in new.figures:
        kept = earlier.get(one.key)
        if kept is None or kept.unit != one.unit or not (kept.value and one.value):
            continue
        noise = _relative(kept.value, kept.scatter) + _relative(one.value, one.scatter)
        scale = old.yardstick_s / new.yardstick_s if one.unit in TIMES else 1.0
        before, after, unit = kept.value, one.value * scale, one.unit
        if kept.cpu_s and one.cpu_s:
            # processor time does not know what else the machine had to do
            before, after, unit = kept.cpu_s, one.cpu_s * scale, "s of CPU"
        if kept.ratio and one.ratio and kept.peer == one.peer and not one.floor:
            # ours over the peer's, both of one run: what the machine does to both drops out
            before, after, unit = kept.value, kept.value * kept.ratio / one.ratio, one.unit
            noise = _relative(kept.ratio, kept.ratio_scatter or 0.0) + _relative(one.ratio, one.ratio_scatter or 0.0)
        slower = after > SLOWDOWN * before and after > before * (1 + SIGMAS * noise)
        found.append(Change(key=one.key, before=before, after=after, unit=unit, slower=slower))
        if kept.peak_mb and one.peak_mb:
            slower = one.peak_mb > SLOWDOWN * kept.peak_mb
            found.append(
                Change(key=f"{one.key}, memory", before=kept.peak_mb, after=one.peak_mb, unit="MB", slower=slower)
            )
    return found


def told(changes: Sequence[Change], old: Run, *, everything: bool = False) -> str:
    """What is slower by a quarter, and what is quicker; or every figure."""
    shown = [one for one in changes if everything or one.slower or one.factor < 1 / SLOWDOWN]
    if not shown:
        return f"Nothing is a quarter slower or quicker than on {old.when} (commit {old.commit})."
    lines = [[f"against {old.when}, commit {old.commit}", "then", "now", "", ""]]
    for one in sorted(shown, key=lambda one: -one.factor):
        verdict = "SLOWER" if one.slower else ""
        cells = [_number(one.before), _number(one.after), one.unit]
        lines.append([one.key, *cells, f"x {one.factor:.2f} {verdict}".strip()])
    return aligned(lines)


def _relative(value: float, scatter: float) -> float:
    return scatter / value if value else 0.0


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Cells in columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
