"""Every figure of speed in one command, beside its peer in the same run on the same data, and against the kept one.

    python tests/benchmarks/run                      # 15-20 minutes; the machine should have nothing else to do
    python tests/benchmarks/run --quick --night DIR  # stages, jobs, window: two minutes, once the night is in DIR
    python tests/benchmarks/run --only cosmic window # what has one of these words in its name
    python tests/benchmarks/run --keep               # this run becomes the kept one (tests/benchmarks/kept.json)
    python tests/benchmarks/run --compare A.json [B.json]

Stages are timed in processes of their own, ours and the peer's in turn; a figure is the median of its runs. The night
is simulated and reduced first, or taken from --night, where an earlier run left it. Exit code 1 if something is slower
by a quarter than in the kept run, beyond the noise of both, or if a result is not its peer's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from benchmarks import growth, paths, stage, viewer
from benchmarks.clockwork import TESTS, Middle, Worker, clocked, middle
from benchmarks.figures import Figure, Run, compare, figure, read, report, told
from benchmarks.night import PROFILE, SIZES, Night, environment_of, prepare

KEPT = Path(__file__).parent / "kept.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; 0 if nothing is slower or wrong."""
    options = _parser().parse_args(argv)
    if options.compare:
        old = read(options.compare[0])
        new = read(options.compare[1] if len(options.compare) > 1 else KEPT)
        changes = compare(old, new)
        print(told(changes, old, everything=True))
        return int(any(one.slower for one in changes))
    with tempfile.TemporaryDirectory(prefix="sedmd-bench-") as scratch:
        folder = options.night or Path(scratch) / "night"
        night = prepare(folder.absolute(), options.size or ("least" if options.quick else "mini"))
        run = _measured(night, options, Path(scratch))
    print(f"\n{report(run)}\n")
    if options.json:
        run.write(options.json)
    slower = False
    if KEPT.exists():
        old = read(KEPT)
        changes = compare(old, run)
        slower = any(one.slower for one in changes)
        print(told(changes, old))
    if options.keep:
        run.write(KEPT)
    return int(slower or not all(one.good for one in run.figures))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/benchmarks/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="stages and window only, on a least night")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="figures with one of these words in their name")
    parser.add_argument("--night", type=Path, metavar="DIR", help="the night, made here if it is not there yet")
    parser.add_argument("--size", choices=SIZES, help="of the night (default mini, with --quick least)")
    parser.add_argument("--repeats", type=int, help="pairs of runs of a stage (default 5, with --quick 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--keep", action="store_true", help="the kept figures become those of this run")
    parser.add_argument("--compare", nargs="+", type=Path, metavar="FILE", help="two kept runs; measure nothing")
    return parser


def _measured(night: Night, options: argparse.Namespace, scratch: Path) -> Run:
    repeats = options.repeats or (1 if options.quick else 5)
    found: list[Figure] = []
    parts: dict[str, Callable[[], Iterator[Figure]]] = {
        **{f"stages: {name}": lambda name=name: _stage(night, name, repeats) for name in stage.STAGES},
        **{f"jobs: {name}": lambda name=name: _stage(night, f"job {name}", repeats) for name in night.jobs()},
        "paths: a job that does nothing": lambda: iter([paths.fixed_cost(10 * repeats)]),
        "window": lambda: _window(repeats),
    }
    if not options.quick:
        parts |= {
            **{f"growth: {part:.2f} of the spaxels": lambda part=part: _part(night, part, 3) for part in (0.25, 0.5)},
            "growth: nights": lambda: growth.nights((3, 30), 3),
            "paths: last byte": lambda: paths.last_byte(night, scratch, 3),
            "paths: calibration, cold night, growth with frames": lambda: paths.whole_nights(night, scratch, 3),
        }
    for name, measure in parts.items():
        if options.only and not any(word in name for word in options.only):
            continue
        begun = time.monotonic()
        try:
            found += measure()
        except (RuntimeError, TimeoutError, subprocess.CalledProcessError) as error:
            group, _, what = name.partition(": ")
            found.append(Figure(group=group, name=what, value=0.0, good=False, note=f"did not run: {error}"))
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return Run(
        machine=_machine(),
        yardstick_s=_yardstick().value,
        when=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UT",
        commit=_commit(),
        night=f"{night.size} night, profile {PROFILE}",
        figures=tuple(found),
    )


def _stage(night: Night, name: str, repeats: int) -> Iterator[Figure]:
    """A stage and its peer in turn: ours, peer, peer, ours ..., so that a drift of the machine does not count."""
    one = stage.stage_of(name)
    group, _, kind = name.partition(" ") if name.startswith("job ") else ("stages", "", name)
    missing = one.peer and not stage.installed(one, one.peer)
    sides = ["ours"] if missing or not one.peer else ["ours", one.peer]
    workers = {side: Worker(str(night.folder), name, side) for side in sides}
    spent = {side: [] for side in sides}  # type: dict[str, list]
    for number in range(repeats):
        for side in sides if number % 2 == 0 else reversed(sides):
            spent[side].append(workers[side].once())
    peaks = {side: worker.end() for side, worker in workers.items()}
    note, good = _same(night, name) if one.same is not stage.Stage.same and not missing else ("", True)
    yield figure(
        "jobs" if group == "job" else group,
        kind,
        [run.wall_s for run in spent["ours"]],
        beside=None if len(sides) < 2 else (one.peer, [run.wall_s for run in spent[one.peer]]),
        cpu_s=middle([run.cpu_s for run in spent["ours"]]).value,
        peak_mb=peaks["ours"],
        floor=one.floor,
        note=f"{one.peer} is not installed" if missing else note,
        good=good,
    )


def _same(night: Night, name: str) -> tuple[str, bool]:
    """Whether a stage and its peer have the same result."""
    words = [sys.executable, "-m", "benchmarks.stage", str(night.folder), name, "same"]
    done = subprocess.run(words, env=environment_of(), stdout=subprocess.PIPE, text=True, check=True)
    note, good = json.loads(done.stdout)
    return str(note), bool(good)


def _part(night: Night, part: float, repeats: int) -> Iterator[Figure]:
    """The spectra on a part of the chip."""
    (one,) = _stage(night, f"part {part}", repeats)
    name = f"with spaxels: spectra and scattered light of {100 * part:.0f} % of them"
    yield figure("growth", name, [one.value], cpu_s=one.cpu_s, peak_mb=one.peak_mb, note=f"all: {one.ratio:.2f} times")


def _window(repeats: int) -> Iterator[Figure]:
    """The steps of the observer's window, in a process of its own; the peer is a scatter plot of matplotlib."""
    runs = []
    for _ in range(repeats if repeats < 5 else 3):
        words = [sys.executable, str(TESTS / "benchmarks" / "viewer.py"), "--json"]
        done = subprocess.run(words, env=environment_of(), stdout=subprocess.PIPE, text=True, check=False)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    for what in ("one exposure", "a pair"):
        for step, goal in viewer.LIMITS.items():
            values = [run[what][step] for run in runs]
            beside = (viewer.LEGACY, [run[viewer.LEGACY] for run in runs]) if step == "levels" else None
            yield figure("window", f"{step}, {what}", values, unit="ms", goal=goal, beside=beside, note="CPU")


def _yardstick() -> Middle:
    """Processor seconds of a fixed piece of work: transforms, sorting, a loop of Python, as a reduction has them."""
    values = np.random.default_rng(1).normal(size=(1024, 1024))

    def work() -> None:
        np.fft.irfft2(np.fft.rfft2(values))
        np.sort(values, axis=1)
        sum(number * number for number in range(200_000))

    return middle([clocked(work).cpu_s for _ in range(7)])


def _machine() -> str:
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return (
        f"{cores} cores of {names[0] if names else platform.machine()}, {int(memory) / 1e6:.0f} GB, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _commit() -> str:
    words = ["git", "-C", str(TESTS), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
