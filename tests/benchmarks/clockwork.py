"""Pieces of work, each in a process of its own: wall time, processor time, peak memory, and pairs of two in turn."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
#: From a median absolute deviation to the sigma of a normal distribution.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What one run cost: seconds by the clock, seconds of processors (children that ended too)."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """The median of several values and their scatter about it (as a sigma, from the median absolute deviation)."""

    value: float
    scatter: float
    count: int


def middle(values: Sequence[float]) -> Middle:
    """Median and scatter; of one value the scatter is not known and 0."""
    median = statistics.median(values)
    deviation = statistics.median(abs(value - median) for value in values)
    return Middle(value=median, scatter=MAD_TO_SIGMA * deviation, count=len(values))


def clocked(work: Callable[[], object]) -> Spent:
    """What one call costs."""
    cpu, wall = processor_s(), time.perf_counter()
    work()
    return Spent(wall_s=time.perf_counter() - wall, cpu_s=processor_s() - cpu)


def processor_s() -> float:
    """Processor time of this process, its threads, and its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb() -> float:
    """Most memory that this process, or one of its children that have ended, held at a time [MB]."""
    used = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return max(used) * 1024 / 1e6


class Worker:
    """A process that has made one piece of work ready (`benchmarks.stage`) and does it whenever it is told to."""

    def __init__(self, *words: str) -> None:
        path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.stage", *words],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told = self._answer()

    def once(self) -> Spent:
        """Do it once."""
        self._send("once")
        return Spent(**self._answer())

    def end(self) -> float:
        """Let it go; the most memory that it held [MB]."""
        self._send("end")
        most = float(self._answer()["peak_mb"])
        self._process.communicate()
        return most

    def _send(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _answer(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with exit code {self._process.wait()}")
        return dict(json.loads(line))


def serve(make: Callable[[], Callable[[], object]]) -> None:
    """The other end of a `Worker`: make the work ready, do it once so that nothing is new any more, then on demand."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the work prints is no answer

    def answer(**values: object) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    work = make()
    ready_mb = peak_mb()
    work()
    answer(ready_mb=ready_mb)
    for line in sys.stdin:
        if line.strip() == "end":
            answer(peak_mb=peak_mb())
            return
        spent = clocked(work)
        answer(wall_s=spent.wall_s, cpu_s=spent.cpu_s)
