"""Print every figure that the reduction has to reach, on simulated nights, and how long it took.

    python tests/benchmarks/score.py [--profiles 2017 2019 2021 2024] [--seeds 1 2 3] [--mini] [--out DIR] [--reuse]

Each night is simulated, reduced by `sedmd reduce` in a process of its own, and compared with its truth. Nothing is
asserted here: the exit code says whether all figures were reached; times are only shown.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sedmd.simulate.score import ScoreRow, score_night
from sedmd.simulate.score_rows import worst

#: Steps of the calibrations, in stages: the jobs of one stage do not wait for each other.
STAGES = (("bias",), ("lamp",), ("traces",), ("wavelength",), ("flat",))
STEPS = ("bias", "lamp", "traces", "wavelength", "flat", "cube", "extract", "skyflat", "fluxcal", "calibrate", "page")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One night: its label, its rows, the seconds of its jobs by step, the seconds of the whole reduction."""

    label: str
    rows: list[ScoreRow]
    seconds: dict[str, list[float]]
    elapsed: float


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if every figure was reached on every night."""
    options = _parser().parse_args(argv)
    size = "mini" if options.mini else "full"
    nights = []
    for profile in options.profiles:
        for seed in options.seeds:
            folder = options.out / f"{profile}_{size}_s{seed}"
            nights.append(_night(folder, profile, seed, size, options))
            print(_figures(nights[-1:]), flush=True)
    print(_figures(nights))
    print(_failures(nights))
    print(_times(nights))
    return 0 if all(row.passed for night in nights for row in night.rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profiles", nargs="+", default=["2017", "2019", "2021", "2024"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--mini", action="store_true", help="small nights instead of whole ones")
    parser.add_argument("--out", type=Path, default=Path("sedmd-benchmark"), help="default ./sedmd-benchmark")
    parser.add_argument("--reuse", action="store_true", help="keep nights and products that are already in DIR")
    parser.add_argument("--workers", type=int, default=2, help="processes of sedmd reduce (default 2)")
    return parser


def _night(folder: Path, profile: str, seed: int, size: str, options: argparse.Namespace) -> Scored:
    """Simulate, reduce and score one night."""
    truth, redux = folder / "truth", folder / "redux"
    if folder.exists() and not options.reuse:
        sys.exit(f"{folder} exists; give --reuse to go on with it, or another --out")
    if not (truth / "sensitivity.fits").exists():  # written last
        _sedmd("simulate", str(folder), f"--{size}", "--seed", str(seed), "--profile", profile)
    begun = time.monotonic()
    raws = sorted(str(path) for path in (folder / "raw").iterdir() if path.is_dir())
    _sedmd("reduce", *raws, "--redux", str(redux), "--workers", str(options.workers), may_fail=True)
    elapsed = time.monotonic() - begun
    night = max(path.name for path in redux.iterdir() if path.name.isdigit())
    return Scored(
        label=f"{profile} s{seed}",
        rows=score_night(truth, redux, night),
        seconds=_job_seconds(redux, night),
        elapsed=elapsed,
    )


def _sedmd(*arguments: str, may_fail: bool = False) -> None:
    print(f"sedmd {' '.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "sedmd", *arguments], capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        sys.exit(f"sedmd {arguments[0]} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-12:])
        print(f"  exit code {done.returncode}:\n{tail}", flush=True)


def _job_seconds(redux: Path, night: str) -> dict[str, list[float]]:
    """Seconds of the finished jobs of a night by step, from the ledger."""
    database = sqlite3.connect(f"file:{redux / '.sedmd' / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        found = database.execute("SELECT step, seconds FROM job WHERE night = ? AND seconds > 0", (night,)).fetchall()
    finally:
        database.close()
    return {step: [seconds for name, seconds in found if name == step] for step in STEPS}


def _figures(nights: Sequence[Scored]) -> str:
    """A line per figure with a limit: target, the worst of each night, the worst of all, verdict."""
    names = list(dict.fromkeys(row.what for night in nights for row in night.rows if row.target))
    lines = [["figure", "target", *(night.label for night in nights), "worst", ""]]
    for name in names:
        own = [[row for row in night.rows if row.what == name and row.target] for night in nights]
        everything = [row for rows in own for row in rows]
        target = next((row.target for row in everything if row.value == row.value), everything[0].target)
        unit = everything[0].unit
        passed = all(row.passed for row in everything)
        if name == "fate":
            cells = [f"{sum(row.passed for row in rows)} of {len(rows)}" for rows in own]
            lines.append([name, "as the field asks", *cells, "", "yes" if passed else "NO"])
            continue
        cells = [_number(worst(rows).value) if rows else "-" for rows in own]
        head = f"{name} [{unit}]" if unit else name
        lines.append([head, target, *cells, _number(worst(everything).value), "yes" if passed else "NO"])
    return _aligned(lines)


def _failures(nights: Sequence[Scored]) -> str:
    """Every row that did not pass."""
    lines = [["not reached", "where", "value", "target"]]
    for night in nights:
        for row in night.rows:
            if not row.passed:
                lines.append([f"{night.label}: {row.what}", row.where, _number(row.value), row.target])
    return _aligned(lines) if len(lines) > 1 else "\nAll figures reached."


def _times(nights: Sequence[Scored]) -> str:
    """Seconds of the steps: of all jobs, of the longest one, and of the calibrations as a whole."""
    lines = [["seconds", *(night.label for night in nights)]]
    for step in STEPS:
        cells = [f"{len(s)} x {max(s, default=0):.1f} max" for s in (night.seconds[step] for night in nights)]
        lines.append([step, *cells])
    lines.append(["calibration, sum of jobs", *(f"{_calibration(night, sum):.0f}" for night in nights)])
    lines.append(["calibration, critical path", *(f"{_calibration(night, _longest):.0f}" for night in nights)])
    lines.append(["sedmd reduce, this call", *(f"{night.elapsed:.0f}" for night in nights)])
    return _aligned(lines)


def _calibration(night: Scored, combine) -> float:  # type: ignore[no-untyped-def]
    return sum(combine([s for step in stage for s in night.seconds[step]]) for stage in STAGES)


def _longest(values: list[float]) -> float:
    return max(values, default=0.0)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n" + "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in lines)


if __name__ == "__main__":
    sys.exit(main())
