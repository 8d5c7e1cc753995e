"""Jobs on a Dask cluster, with the limits and the honesty of one machine.

Dask carries jobs and answers; who gets which job is decided here. Each job is bound to one worker that was asked for
its version before, so that a worker may come, go, hang or be replaced at any time: what it had comes back as a passing
fault, once, and the ledger decides on the next try. Dask would give a job that kills its workers to three more.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sedmd import __version__
from sedmd.core.config import Jobs
from sedmd.core.errors import ConfigError, NotNow
from sedmd.core.job import Job, Outcome
from sedmd.workers import station
from sedmd.workers.engines import Closing
from sedmd.workers.station import Greeting

#: Beyond a job's time limit a worker that does not answer is taken for hung: the limit is its own affair before.
LATE_S = 60.0
#: Between two looks at who is there.
LOOK_S = 2.0
#: A scheduler that does not answer in this time does not answer.
ANSWER_S = 10.0


@dataclass(slots=True)
class _Station:
    """A worker that may be given jobs: the token of its process, and how many at once."""

    token: str
    slots: int


@dataclass(slots=True, eq=False)
class _Given:
    """A job on its way: the answer promised, and with whom it is until when (seconds of the monotonic clock)."""

    job: Job
    timeout_s: float
    promise: Future[Outcome] = field(default_factory=Future)
    address: str = ""
    until_s: float = float("inf")
    remote: Any = None


class DaskEngine(Closing):
    """Jobs on the workers of a `distributed.Client`, as many as the cluster has threads at the moment.

    All workers must see the raw and the redux root under the same paths.

    Parameters
    ----------
    client : distributed.Client
        Closed with the engine.
    steps_module : str
    memory_limit_mb : int
        As ``[jobs] memory_limit_mb``; 0 leaves it to each worker.
    tell : callable
        Called with a sentence when a worker comes, goes or is refused.
    wait_s : float
        So long `await_worker` waits.
    late_s, look_s : float
        Of hung workers, and between two looks at who is there.
    """

    def __init__(
        self,
        client: Any,
        steps_module: str,
        *,
        memory_limit_mb: int = 0,
        tell: Callable[[str], None] = lambda text: None,
        wait_s: float = 600.0,
        late_s: float = LATE_S,
        look_s: float = LOOK_S,
    ) -> None:
        self._client = client
        self._steps_module = steps_module
        self._memory_limit_mb = memory_limit_mb
        self._tell = tell
        self._wait_s, self._late_s, self._look_s = wait_s, late_s, look_s
        self._owner = secrets.token_hex(8)
        self._changed = threading.Condition()
        self._stations: dict[str, _Station] = {}
        self._greeted: dict[str, Any] = {}  # address -> the answer we wait for
        self.refused: dict[str, str] = {}  # address -> version, or why it cannot work
        self._given: set[_Given] = set()
        self._queue: deque[_Given] = deque()
        self._resolved: deque[tuple[_Given, Outcome]] = deque()
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._keep_watch, name="cluster", daemon=True)
        self._watch.start()

    @property
    def workers(self) -> int:
        """Jobs that the cluster can take at the same time, now."""
        with self._changed:
            return sum(one.slots for one in self._stations.values())

    def await_worker(self) -> None:
        """Return when there is somebody to work.

        Raises
        ------
        ConfigError
            If all who are there run another version of sedmd: their products would not be those that the keys promise.
        NotNow
            If nobody came within `wait_s`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stations or self._only_refused(), timeout=self._wait_s)
            if self._stations:
                return
            if self._only_refused():
                text = ", ".join(f"{address}: {version}" for address, version in sorted(self.refused.items()))
                msg = f"the Dask cluster cannot be used ({text}); expected workers with sedmd {__version__}"
                raise ConfigError(msg)
        command = "dask worker --preload sedmd.workers.station"
        msg = f"no worker of the Dask cluster for {self._wait_s:g} s; start some: {command}"
        raise NotNow(msg)

    def submit(self, job: Job, *, timeout_s: float) -> Future[Outcome]:
        """Give a job to a worker that is free, or to the next that will be."""
        given = _Given(job, timeout_s)
        with self._settling():
            self._queue.append(given)
            self._place()
        return given.promise

    def close(self, *, kill: bool = False) -> None:
        """Wait for what runs, or end it; the cluster goes on without us."""
        with self._changed:
            if not kill:
                self._changed.wait_for(lambda: not self._given and not self._queue)
        self._stopped.set()
        self._watch.join(ANSWER_S + self._look_s)
        with self._settling():
            addresses = list(self._stations)
            for given in [*self._given, *self._queue]:
                self._resolve(given, "stopped before it ended")
        goodbye = threading.Thread(target=self._say_goodbye, args=(addresses,), daemon=True)
        goodbye.start()
        goodbye.join(ANSWER_S)  # no longer: one of them may hang
        with suppress(Exception):
            self._client.close(timeout=ANSWER_S)

    def _say_goodbye(self, addresses: list[str]) -> None:
        with suppress(Exception):
            self._client.run(station.stop, self._owner, workers=addresses, on_error="ignore")

    # the inside; everything below holds the lock

    @contextmanager
    def _settling(self) -> Iterator[None]:
        """Change what is known; promises are kept after the lock was given back, since who hears of one may ask us."""
        with self._changed:
            yield
            resolved = list(self._resolved)
            self._resolved.clear()
            self._changed.notify_all()
        for given, outcome in resolved:
            with suppress(Exception):  # cancelled by the caller that waited
                given.promise.set_result(outcome)

    def _place(self) -> None:
        """Give waiting jobs to free workers."""
        while self._queue and not self._stopped.is_set():
            busy = [given.address for given in self._given]
            free = {address: one.slots - busy.count(address) for address, one in self._stations.items()}
            address = max(free, key=lambda one: free[one], default="")
            if free.get(address, 0) < 1:
                return
            given = self._queue.popleft()
            given.address = address
            given.until_s = time.monotonic() + given.timeout_s + self._late_s
            token = self._stations[address].token
            given.remote = self._ask(address, station.work, token, self._limits, given.job, given.timeout_s)
            self._given.add(given)
            given.remote.add_done_callback(partial(self._ended, given))

    @property
    def _limits(self) -> tuple[str, int]:
        return self._steps_module, self._memory_limit_mb

    def _ask(self, address: str, what: Callable[..., Any], *args: Any) -> Any:
        flat = [self._owner]
        for one in args:
            flat += one if isinstance(one, tuple) else [one]
        return self._client.submit(what, *flat, workers=[address], allow_other_workers=False, pure=False, retries=0)

    def _ended(self, given: _Given, remote: Any) -> None:
        """A worker answered, or was lost with the job; called by the client's threads."""
        try:
            outcome: Outcome | None = remote.result(timeout=ANSWER_S)
            reason = "its worker died and was replaced"
        except Exception as error:  # the border of the cluster: it raises what it likes
            outcome, reason = None, f"the cluster lost the job ({type(error).__name__}: {error})"
        with self._settling():
            if given not in self._given:
                return  # given up before
            if outcome is None:
                self._resolve(given, reason)
                if given.address in self._stations:
                    self._drop(given.address, "was replaced")
            else:
                self._given.discard(given)
                self._resolved.append((given, outcome))
            self._place()

    def _resolve(self, given: _Given, reason: str) -> None:
        """End a job as a passing fault; what the worker may still answer is not waited for."""
        if given.remote is not None:
            given.remote.release()
        self._given.discard(given)
        with suppress(ValueError):
            self._queue.remove(given)
        place = f" (worker {given.address})" if given.address else ""
        self._resolved.append((given, Outcome(state="transient", reason=f"{reason}{place}")))

    def _drop(self, address: str, why: str) -> None:
        """A worker is not given anything until it greets again."""
        del self._stations[address]
        self._tell(f"worker {address} {why}")

    def _keep_watch(self) -> None:
        there: dict[str, int] = {}
        heard_s = time.monotonic()
        while not self._stopped.is_set():
            try:
                there = dict(self._client.nthreads(callback_timeout=ANSWER_S))
                heard_s = time.monotonic()
            except Exception:  # the scheduler is busy, or gone: then nobody can be given anything
                if time.monotonic() - heard_s > ANSWER_S + self._late_s:
                    there = {}
            with self._settling():
                self._look(there)
                self._place()
            self._stopped.wait(self._look_s)

    def _look(self, there: dict[str, int]) -> None:
        """Who came, who went, who hangs."""
        now = time.monotonic()
        for address in [one for one in self._stations if one not in there]:
            self._drop(address, "is gone")
        for given in list(self._given):
            if given.address not in there:
                self._resolve(given, "its worker is gone")
            elif now > given.until_s:
                self._resolve(given, f"its worker did not answer within {given.timeout_s + self._late_s:g} s")
                if given.address in self._stations:
                    self._drop(given.address, "hangs")
        for known in (self._greeted, self.refused):
            for address in [one for one in known if one not in there]:
                del known[address]
        for address in there:
            if address not in self._stations and address not in self.refused and address not in self._greeted:
                self._greeted[address] = self._ask(address, station.greet, self._limits)
        for address, answer in list(self._greeted.items()):
            if answer.done():
                del self._greeted[address]
                self._hear(address, answer, there[address])

    def _hear(self, address: str, answer: Any, slots: int) -> None:
        """A worker greeted: it may work if it would make what we would."""
        try:
            greeting: Greeting = answer.result(timeout=ANSWER_S)
            wrong = "" if greeting.version == __version__ else greeting.version
        except Exception as error:  # no sedmd there, or one without these steps
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            self.refused[address] = wrong
            self._tell(f"worker {address} is refused ({wrong}); expected sedmd {__version__}")
            return
        self._stations[address] = _Station(greeting.token, slots)
        self._tell(f"worker {address} on {greeting.host} works, {slots} jobs at once")

    def _only_refused(self) -> bool:
        return bool(self.refused) and not self._greeted


def dask_engine(jobs: Jobs, *, tell: Callable[[str], None] = lambda text: None) -> DaskEngine:
    """The cluster that the configuration names.

    Raises
    ------
    ConfigError
        If Dask is not installed, its scheduler not reached, or all workers run another version.
    """
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
    return DaskEngine(
        client, jobs.steps_module, memory_limit_mb=jobs.memory_limit_mb, tell=tell, wait_s=jobs.dask_wait_s
    )
