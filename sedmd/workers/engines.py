"""Where jobs run: the one interface is ``submit(job, timeout_s) -> Future[Outcome]``.

`ProcessEngine` gives each job a process of its own from a fork server that has the steps already loaded; a job that
crashes, overruns or wants too much memory is killed with its whole process group and costs nobody else.
`sedmd.workers.cluster.DaskEngine` has them done so on other machines. `InlineEngine` runs the job where it stands,
for tests and debuggers.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Protocol, Self

from sedmd.core.job import Job, Outcome
from sedmd.workers import worker

#: A job's time is counted in so many slices of at most so many seconds: while the whole machine stands still, or its
#: processes are stopped, one of them goes by at most.
SLICES, SLICE_S = 20, 5.0


class Engine(Protocol):
    """Where jobs run."""

    @property
    def workers(self) -> int: ...

    def await_worker(self) -> None: ...

    def submit(self, job: Job, *, timeout_s: float) -> Future[Outcome]: ...

    def close(self, *, kill: bool = False) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing(ABC):
    """An engine as a context manager: leaving the block ends what still runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=True)

    def await_worker(self) -> None:
        """Return when a job can be taken."""
        return  # on this machine that is always

    @abstractmethod
    def close(self, *, kill: bool = False) -> None:
        """Wait for what runs, or end it."""


class InlineEngine(Closing):
    """Runs each job at once in the calling thread."""

    def __init__(self, steps_module: str, workers: int = 1) -> None:
        self.workers = workers
        self._steps_module = steps_module

    def submit(self, job: Job, *, timeout_s: float) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_result(worker.run_job(self._steps_module, job))
        return future

    def close(self, *, kill: bool = False) -> None:
        pass


def preloaded(steps_module: str) -> list[str]:
    """Modules that the fork server loads, in this order: the last one expects all others."""
    try:
        late: Sequence[str] = getattr(importlib.import_module(steps_module), "PRELOAD", ())
    except ModuleNotFoundError:  # who plans with these steps says what is wrong
        late = ()
    # sedmd.cli: each worker imports the program's main module again, which is then free
    first = ["sedmd.workers.single_thread", "sedmd.workers.worker", "sedmd.cli", steps_module]
    return [*first, *late, "sedmd.workers.frozen"]


class ProcessEngine(Closing):
    """One process per job, `workers` at a time.

    Parameters
    ----------
    steps_module : str
        Dotted name of the module with the table ``STEPS``; loaded once, in the fork server, with what it names in
        ``PRELOAD``. The fork server starts at once, so that it has them when the first job comes.
    workers : int
        Jobs at work at the same time; more are queued.
    memory_bytes : int
        A job that wants more is refused the memory, and ends; 0 sets no limit.
    """

    def __init__(self, steps_module: str, workers: int, *, memory_bytes: int = 0) -> None:
        self.workers = workers
        self._memory_bytes = memory_bytes
        self._steps_module = steps_module
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(preloaded(steps_module))
        forkserver.ensure_running()
        self._threads = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="job")
        self._lock = threading.Lock()
        self._alive: set[int] = set()
        self._killed = False

    def submit(self, job: Job, *, timeout_s: float) -> Future[Outcome]:
        """Queue a job; its future ends with an `Outcome`, never with an exception of the step."""
        return self._threads.submit(self._supervise, job, timeout_s)

    def close(self, *, kill: bool = False) -> None:
        """Wait for what runs, or kill it."""
        if kill:
            with self._lock:
                self._killed = True
                for pid in self._alive:
                    _kill_group(pid)
        self._threads.shutdown(wait=True, cancel_futures=kill)

    def _supervise(self, job: Job, timeout_s: float) -> Outcome:
        begun = time.monotonic()
        ours, theirs = self._context.Pipe(duplex=False)
        args = (theirs, self._steps_module, job, self._memory_bytes)
        process = self._context.Process(target=worker.serve, args=args, daemon=True)
        with self._lock:
            if self._killed:
                return Outcome(state="transient", reason="stopped before it began")
            process.start()
            pid = process.pid or 0
            self._alive.add(pid)
        theirs.close()
        try:
            if not _ends_within(timeout_s, [ours, process.sentinel]):
                _kill_group(pid)
                reason = f"step {job.step} took longer than {timeout_s:g} s and was stopped"
                return Outcome(state="transient", reason=reason, seconds=time.monotonic() - begun)
            with suppress(EOFError, OSError):
                if ours.poll():
                    outcome: Outcome = ours.recv()
                    return outcome
            process.join(5)
            reason = f"the process of step {job.step} died ({_exit_text(process.exitcode)})"
            return Outcome(state="transient", reason=reason, seconds=time.monotonic() - begun)
        finally:
            ours.close()
            process.join(5)
            if process.is_alive():
                _kill_group(pid)
                process.join()
            with self._lock:
                self._alive.discard(pid)
            process.close()


def _ends_within(limit_s: float, signs: Sequence[Connection | int]) -> bool:
    """Wait for a job to end, no longer than its limit of time in which it could work."""
    count = max(SLICES, math.ceil(limit_s / SLICE_S))
    return any(wait(signs, timeout=limit_s / count) for _ in range(count))


def _kill_group(pid: int) -> None:
    # the worker makes itself the leader of a group; before it has, only its own number can be signalled
    for send in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)
            return


def _exit_text(code: int | None) -> str:
    if code is None:
        return "no exit status"
    if code < 0:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    return f"exit status {code}"
