"""What runs on a worker of a Dask cluster: each job in a process of its own, watched as on one machine.

Dask knows no time limit, and counts the memory of its own process only. A station therefore hands each job to a
`ProcessEngine`, whose processes are killed when they overrun, want too much memory, or lose their station.
``dask worker --preload sedmd.workers.station`` loads the steps before the first job comes.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sedmd.workers.single_thread  # noqa: F401  before anything that counts processors
from sedmd import __version__
from sedmd.core.job import Job, Outcome
from sedmd.workers.engines import ProcessEngine

#: The steps that `--preload` loads.
STEPS_MODULE = "sedmd.steps"
#: Threads that may wait for a job at once: Dask hands over no more jobs than the worker has threads of its own.
MOST_JOBS = 256
#: Distinguishes this process from another one that took its address.
TOKEN = secrets.token_hex(8)

_lock = threading.Lock()
_engines: dict[str, ProcessEngine] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a station says of itself."""

    version: str
    token: str
    host: str
    pid: int


def greet(owner: str, steps_module: str, memory_limit_mb: int) -> Greeting:
    """Make ready for the jobs of `owner`, and say who this is when the steps are loaded, which may mean compiled."""
    _engine(owner, steps_module, memory_limit_mb)
    first = multiprocessing.get_context("forkserver").Process(target=int, daemon=True)
    first.start()
    first.join()
    return Greeting(version=__version__, token=TOKEN, host=socket.gethostname(), pid=os.getpid())


def work(owner: str, token: str, steps_module: str, memory_limit_mb: int, job: Job, timeout_s: float) -> Outcome | None:
    """Run one job under its limits; None if it was meant for a station that is dead.

    When a worker dies, its scheduler gives its task to whoever has its address now. The ledger, not the scheduler,
    decides whether a job that took its worker with it is tried again.
    """
    if token != TOKEN:
        return None
    return _engine(owner, steps_module, memory_limit_mb).submit(job, timeout_s=timeout_s).result()


def stop(owner: str) -> None:
    """Kill the jobs of `owner` that still run, and forget him."""
    with _lock:
        engine = _engines.pop(owner, None)
    if engine is not None:
        engine.close(kill=True)


def dask_setup(worker: Any) -> None:
    """Called by ``dask worker --preload sedmd.workers.station``: the steps are loaded, and compiled, once."""
    _engine("", STEPS_MODULE, 0)


def _engine(owner: str, steps_module: str, memory_limit_mb: int) -> ProcessEngine:
    with _lock:
        if owner not in _engines:
            # a nanny starts its worker as a daemon, which may have no children: ours die with it by themselves
            multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
            _forget_main()
            memory_bytes = memory_limit_mb * 1_000_000 or _share_bytes()
            _engines[owner] = ProcessEngine(steps_module, MOST_JOBS, memory_bytes=memory_bytes)
        return _engines[owner]


def _forget_main() -> None:
    """The program that starts a worker is not imported once more by each process of a job: that takes a second."""
    main = sys.modules["__main__"]
    name = getattr(main.__spec__, "name", "") or Path(getattr(main, "__file__", None) or "").name
    if name.startswith(("dask", "distributed")):
        main.__spec__ = None
        main.__file__ = None


def _share_bytes() -> int:
    """Memory for one job: a thread's share of nine tenths of what the worker was given, and 2 GB at least."""
    try:
        from distributed import get_worker

        worker = get_worker()
        given, threads = worker.memory_manager.memory_limit, worker.state.nthreads
    except (ImportError, ValueError, AttributeError):  # the preload comes before the worker's first task
        given, threads = None, os.cpu_count() or 1
    whole = given or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(2_000_000_000, int(0.9 * whole / threads))
