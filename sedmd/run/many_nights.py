"""Several nights at work at once, with the result of one after the other.

A night depends on those before it: target positions, which calibrations and flux calibration replace its own, the shape
of the response, and whether its geometry is still that of the instrument. What rests on its own frames alone (biases,
lamps, traces and wavelengths by all lamps) is made ahead of its turn; everything else waits until each earlier night
that it may ask is complete. The products therefore do not depend on the number of workers, on who is first, or on how
often the work was interrupted.

Planning costs the same whether there are ten nights or thousands: only the open ones are held, a night is planned again
when jobs of its own ended, and what earlier nights tell is asked once, when its turn has come.
"""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sedmd.core.job import Job, Outcome
from sedmd.ledger.ledger import FrameRow
from sedmd.plan.plan import Node, Plan, State
from sedmd.run.context import EarlierNights, remember
from sedmd.run.dispatch import Dispatcher
from sedmd.run.target_positions import MEMORY_DAYS

#: Steps that know of no other night ...
AHEAD = frozenset({"bias", "lamp", "traces", "wavelength"})
#: ... if they have all lamps: where one is missing, earlier nights tell where its lines would lie.
BY_LAMPS, LAMPS = frozenset({"traces", "wavelength"}), frozenset({"Hg", "Cd", "Xe"})

#: Steps of which later nights learn nothing.
TELLS_NOTHING = frozenset({"calibrate", "page"})

Ended = queue.SimpleQueue[tuple[str, Job, Future[Outcome]]]


@dataclass(slots=True)
class _Open:
    """A night at work; `memory` is None until its turn has come."""

    night: str
    final: bool
    rows: list[FrameRow]
    memory: EarlierNights | None
    plan: Plan


def made_ahead(node: Node) -> bool:
    """The job rests on the night's own frames alone."""
    step = node.job.step
    return step in AHEAD and (step not in BY_LAMPS or set(node.job.inputs) >= LAMPS)


class NightQueue:
    """Works off nights, the oldest first, so many at once.

    Parameters
    ----------
    dispatcher : Dispatcher
    ended : queue
        Where `dispatcher.on_done` puts (key, job, future).
    size : callable
        How many nights may be open now.
    wanted : callable
        Which jobs are done; all by default.
    progress : callable
        Called with (night, its jobs done, its jobs in all, label of the job that ended).
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        ended: Ended,
        *,
        size: Callable[[], int] = lambda: 1,
        wanted: Callable[[Node], bool] = lambda node: True,
        progress: Callable[[str, int, int, str], None] = lambda night, done, total, label: None,
    ) -> None:
        self._dispatcher = dispatcher
        self._ended = ended
        self._size = size
        self._wanted = wanted
        self._progress = progress
        self._open: dict[str, _Open] = {}

    def work(self, nights: Iterable[tuple[str, bool]]) -> Iterator[Plan]:
        """Do what is wanted and due in these nights, given oldest first with "no more frames will come".

        Yields
        ------
        Plan
            The last one of each night, as soon as nothing is left to do in it; in the order given.
        """
        waiting = iter(nights)
        more = True
        ended: list[tuple[str, Job, Future[Outcome]]] = []
        while more or self._open:
            while more and len(self._open) < self._size():
                more = self._take(next(waiting, None))
            # one transaction for what ended and what begins: the disk has to be waited for once
            with self._dispatcher.ledger.together():
                self._book(ended)
                ended = []
                self._give_turns()
                self._dispatcher.launch(map(self._chosen, self._open.values()), oldest_first=True)
            finished = self._finished()
            if finished is not None:
                del self._open[finished.night]
                yield finished.plan
            elif self._dispatcher.running:
                ended = self._hear()
            else:
                self._dispatcher.engine.await_worker()

    def _take(self, given: tuple[str, bool] | None) -> bool:
        if given is None:
            return False
        night, final = given
        rows = self._dispatcher.ledger.frames.of_night(night)
        plan = self._dispatcher.look(night, final=final, rows=rows, memory=EarlierNights())
        self._open[night] = _Open(night, final, rows, None, plan)
        return True

    def _give_turns(self) -> None:
        """Nights that need wait for none before them any more."""
        for one in self._open.values():
            earlier = (other for other in self._open.values() if other.night < one.night)
            before = (other for other in earlier if _asks(one.night, other.night))
            if one.memory is None and not any(_teaches(other) for other in before):
                settings, ledger = self._dispatcher.settings, self._dispatcher.ledger
                pin = self._dispatcher.pin_fallbacks
                one.memory = remember(settings, ledger, one.night, pin_fallbacks=pin)
                self._plan(one)

    def _plan(self, one: _Open) -> None:
        if one.memory is None:  # only what is made ahead is taken from this plan, and nothing else is reported
            one.plan = self._dispatcher.look(one.night, final=one.final, rows=one.rows, memory=EarlierNights())
        else:
            one.plan = self._dispatcher.plan(one.night, final=one.final, rows=one.rows, memory=one.memory)

    def _chosen(self, one: _Open) -> Plan:
        """The plan with only the jobs that may be begun."""
        ahead = one.memory is None
        nodes = (node for node in one.plan.nodes if self._wanted(node) and not (ahead and not made_ahead(node)))
        return dataclasses.replace(one.plan, nodes=tuple(nodes))

    def _finished(self) -> _Open | None:
        """The oldest open night, if nothing of it runs or is due."""
        first = next(iter(self._open.values()), None)
        if first is None or first.memory is None:
            return None
        if any(job.night == first.night for job in self._dispatcher.running.values()):
            return None
        nobody = self._dispatcher.engine.workers == 0
        if (self._dispatcher.running or nobody) and self._chosen(first).due():
            return None  # no room at the moment; what is not begun with all workers free never is
        return first

    def _hear(self) -> list[tuple[str, Job, Future[Outcome]]]:
        """Wait for a job that ends; it and all others that did."""
        ended = [self._ended.get()]
        with suppress(queue.Empty):
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def _book(self, booked: list[tuple[str, Job, Future[Outcome]]]) -> None:
        """Book what ended, and plan its nights once."""
        for key, _, future in booked:
            self._dispatcher.finished(key, future)
        for night in dict.fromkeys(job.night for _, job, _ in booked):
            self._plan(self._open[night])
        for _, job, _ in booked:
            nodes = [node for node in self._open[job.night].plan.nodes if self._wanted(node)]
            done = sum(node.state is State.DONE for node in nodes)
            self._progress(job.night, done, len(nodes), f"{job.step} {job.label}")


def _teaches(one: _Open) -> bool:
    """True while a later night would not hear from this one all that it has to tell in the end."""
    return one.memory is None or any(node.active and node.job.step not in TELLS_NOTHING for node in one.plan.nodes)


def _asks(night: str, other: str) -> bool:
    """True if a night may depend on an earlier one: nothing is remembered for longer than the place of targets."""
    return (datetime.strptime(night, "%Y%m%d") - datetime.strptime(other, "%Y%m%d")).days <= MEMORY_DAYS
