"""Ten years of nights, calculated from what one job of each step costs: python tests/benchmarks/decade.py [--write]

The one place of the figures behind the table in docs/many-nights.md. `--ledger FILE` takes the seconds of the steps
from a ledger, such as that of a night that was just reduced; `--write` puts the table into the page.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "many-nights.md"
BEGIN, END = "<!-- decade: made by tests/benchmarks/decade.py --write -->", "<!-- end of decade -->"
#: Of the archive: nights, raw frames, and how many of a night's frames are on sky.
NIGHTS, FRAMES, ON_SKY = 3000, 300_000, 40
#: Megabytes of one raw frame, not packed.
RAW_MB = 8.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: jobs of it a night, seconds of one processor for a job, megabytes that a job leaves on disk."""

    jobs: int
    seconds: float
    mb: float


#: Seconds: of a simulated night of 68 frames, two workers on two cores, light other work beside them (2026-11-29);
#: take them anew with `--ledger`. Megabytes: of that night's files, frames packed.
STEPS = {
    "bias": Step(jobs=2, seconds=1.97, mb=37.8),
    "lamp": Step(jobs=4, seconds=1.71, mb=37.8),
    "traces": Step(jobs=1, seconds=14.52, mb=0.4),
    "wavelength": Step(jobs=1, seconds=8.16, mb=1.2),
    "flat": Step(jobs=1, seconds=1.55, mb=1.8),
    "cube": Step(jobs=ON_SKY, seconds=2.78, mb=37.7),
    "extract": Step(jobs=ON_SKY, seconds=0.86, mb=0.08),
    "skyflat": Step(jobs=1, seconds=1.7, mb=0.09),
    "fluxcal": Step(jobs=1, seconds=0.27, mb=0.03),
    "calibrate": Step(jobs=ON_SKY, seconds=0.09, mb=0.09),
    "page": Step(jobs=ON_SKY, seconds=0.49, mb=0.1),
}
#: Of a cube's files those that serve nothing but a look back: without cosmic rays, and without background.
ASIDE_MB = 33.8
#: Megabytes: a worker at its peak, the process that plans, and an open night in it; milliseconds it takes for a job.
WORKER_MB, PLANNER_MB, OPEN_NIGHT_MB, PLANNER_MS = 640, 120, 3, 20.0
#: For what a night waits in the one before it, with all workers that it could use: one of each after the other.
CHAIN = ("flat", "cube", "extract", "extract")


def night_s(steps: dict[str, Step]) -> float:
    """Seconds of one processor for a night."""
    return sum(step.jobs * step.seconds for step in steps.values())


def chain_s(steps: dict[str, Step]) -> float:
    """Seconds for which a night holds up the next one, however many workers there are."""
    return sum(steps[name].seconds for name in CHAIN)


def hours(steps: dict[str, Step], workers: int, nights: int = NIGHTS) -> float:
    """How long it takes: the work shared by the workers, the chain of nights, or the one process that plans."""
    jobs = sum(step.jobs for step in steps.values())
    longest = max(night_s(steps) / workers, chain_s(steps), jobs * PLANNER_MS / 1e3)
    return nights * longest / 3600


def table(steps: dict[str, Step]) -> str:
    """The page's part, as Markdown."""
    a_night = sum(step.jobs * step.mb for step in steps.values())
    lean = a_night - ON_SKY * ASIDE_MB
    jobs = sum(step.jobs for step in steps.values())
    lines = [
        "| step | jobs a night | s a job | s a night | MB a night |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {one.jobs} | {one.seconds:.2g} | {one.jobs * one.seconds:.0f} | {one.jobs * one.mb:.0f} |"
            for name, one in steps.items()
        ),
        f"| **a night** | {jobs} | | **{night_s(steps):.0f}** | **{a_night:.0f}** |",
        "",
        f"{NIGHTS} nights of {FRAMES // NIGHTS} frames, {ON_SKY} of them on sky:",
        "",
        "| workers | hours | what limits | memory, GB |",
        "| ---: | ---: | --- | ---: |",
    ]
    for workers in (1, 2, 8, 32, 128):
        shares = {
            "the work": night_s(steps) / workers,
            "each night waits for the one before": chain_s(steps),
            "planning": jobs * PLANNER_MS / 1e3,
        }
        limit = max(shares, key=lambda name: shares[name])
        opened = min(100, 4 + workers // 4)
        memory = (workers * WORKER_MB + PLANNER_MB + opened * OPEN_NIGHT_MB) / 1e3
        lines.append(f"| {workers} | {hours(steps, workers):.0f} | {limit} | {memory:.1f} |")
    lines += [
        "",
        f"Storage: raw {FRAMES * RAW_MB / 1e6:.1f} TB, products {NIGHTS * a_night / 1e6:.1f} TB, of which "
        f"{NIGHTS * ON_SKY * ASIDE_MB / 1e6:.1f} TB are `crr_*` and `bs_*`; without them {NIGHTS * lean / 1e6:.2f} TB.",
    ]
    return "\n".join(lines)


def from_ledger(path: Path, steps: dict[str, Step]) -> dict[str, Step]:
    """The steps with the median seconds of a ledger's jobs that were done."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found: dict[str, list[float]] = {}
    for name, seconds in connection.execute("SELECT step, seconds FROM job WHERE state = 'done'"):
        found.setdefault(name, []).append(seconds)
    return {
        name: replace(step, seconds=round(statistics.median(found[name]), 2)) if name in found else step
        for name, step in steps.items()
    }


def with_table(page: str, text: str) -> str:
    """The page with another table."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ledger", type=Path)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    steps = STEPS if given.ledger is None else from_ledger(given.ledger, STEPS)
    print(table(steps))
    if given.ledger is not None:
        print("\n" + "\n".join(f'    "{name}": {one},' for name, one in steps.items()))
    if given.write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table(steps)), encoding="utf-8")


if __name__ == "__main__":
    main()
