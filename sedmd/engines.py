"""Where jobs run: the one interface is ``submit(job, timeout_s) -> Future[Outcome]``.

`ProcessEngine` gives each job a process of its own from a fork server that has the steps already loaded; a job that
crashes, overruns or wants too much memory is killed with its whole process group and costs nobody else.
`ExecutorEngine` hands the jobs to any `concurrent.futures.Executor`, such as that of a Dask cluster. `InlineEngine`
runs the job where it stands, for tests and debuggers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Protocol, Self

from sedmd import __version__, worker
from sedmd.config import Jobs
from sedmd.errors import ConfigError
from sedmd.job import Job
from sedmd.worker import Outcome


class Engine(Protocol):
    """Where jobs run."""

    workers: int

    def submit(self, job: Job, *, timeout_s: float) -> Future[Outcome]: ...

    def close(self, *, kill: bool = False) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Closing(ABC):
    """Leaving the block ends what still runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=True)

    @abstractmethod
    def close(self, *, kill: bool = False) -> None:
        """Wait for what runs, or end it."""


class InlineEngine(_Closing):
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


class ProcessEngine(_Closing):
    """One process per job, `workers` at a time.

    Parameters
    ----------
    steps_module : str
        Dotted name of the module with the table ``STEPS``; loaded once, in the fork server.
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
        # sedmd.cli: each worker imports the program's main module again, which is then free
        self._context.set_forkserver_preload(["sedmd.single_thread", "sedmd.worker", "sedmd.cli", steps_module])
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
            ready = wait([ours, process.sentinel], timeout=timeout_s)
            if not ready:
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


class ExecutorEngine(_Closing):
    """Jobs on somebody else's executor: a pool of threads or processes, or a Dask cluster.

    Time and memory limits are the executor's. All workers must see the raw and the redux root under the same paths.

    Parameters
    ----------
    executor : concurrent.futures.Executor
    steps_module : str
    workers : int
        Jobs handed over at the same time.
    finish : callable, optional
        Called when the engine closes, after the executor was shut down.
    """

    def __init__(
        self, executor: Executor, steps_module: str, workers: int, *, finish: Callable[[], object] = lambda: None
    ) -> None:
        self.workers = workers
        self._executor = executor
        self._steps_module = steps_module
        self._finish = finish
        self._live: set[Future[Outcome]] = set()

    def submit(self, job: Job, *, timeout_s: float) -> Future[Outcome]:
        """Hand a job over."""
        future = self._executor.submit(partial(worker.run_job, self._steps_module, job))
        self._live.add(future)
        future.add_done_callback(self._live.discard)
        return future

    def close(self, *, kill: bool = False) -> None:
        """Wait for what runs, or give it up."""
        if kill:
            for future in list(self._live):
                future.cancel()
        self._executor.shutdown(wait=not kill)
        self._finish()


def engine_for(jobs: Jobs) -> Engine:
    """The engine that the configuration asks for.

    Raises
    ------
    ConfigError
        If the cluster cannot be used: not installed, not reached, or with another version of sedmd.
    """
    if jobs.engine == "local":
        return ProcessEngine(jobs.steps_module, jobs.worker_count, memory_bytes=jobs.memory_limit_bytes)
    try:
        from distributed import Client
    except ImportError as error:
        msg = '[jobs] engine is "dask" but dask is not installed; install sedmd[cluster], or set engine = "local"'
        raise ConfigError(msg) from error
    try:
        client = Client(jobs.dask_scheduler, timeout="30s")
    except (OSError, ValueError) as error:
        msg = f"[jobs] dask_scheduler {jobs.dask_scheduler} does not answer ({error}); start it, or correct the address"
        raise ConfigError(msg) from error
    return dask_engine(client, jobs.steps_module)


def dask_engine(client: Any, steps_module: str) -> ExecutorEngine:
    """Jobs on the workers of a `distributed.Client`, one per thread of the cluster.

    Raises
    ------
    ConfigError
        If a worker runs another version of sedmd: its products would not be those that the keys promise.
    """
    versions = client.run(worker.version)
    wrong = {address: version for address, version in versions.items() if version != __version__}
    if wrong or not versions:
        told = ", ".join(f"{address}: {version}" for address, version in wrong.items()) or "no workers"
        client.close()
        msg = f"the Dask cluster cannot be used ({told}); expected workers with sedmd {__version__}"
        raise ConfigError(msg)
    # one try each: the ledger decides on the next
    executor = client.get_executor(pure=False, retries=0)
    return ExecutorEngine(executor, steps_module, sum(client.nthreads().values()), finish=client.close)


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
