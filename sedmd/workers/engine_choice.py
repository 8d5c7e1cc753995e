"""The engine that the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable

from sedmd.core.config import Jobs
from sedmd.workers.engines import Engine, ProcessEngine


def engine_for(jobs: Jobs, *, tell: Callable[[str], None] = lambda text: None) -> Engine:
    """The engine that the configuration asks for; `tell` hears which workers of a cluster come and go.

    Raises
    ------
    ConfigError
        If the cluster cannot be used: not installed, or not reached.
    """
    if jobs.engine == "local":
        return ProcessEngine(jobs.steps_module, jobs.worker_count, memory_bytes=jobs.memory_limit_bytes)
    from sedmd.workers.cluster import dask_engine  # only who wants a cluster needs Dask

    return dask_engine(jobs, tell=tell)
