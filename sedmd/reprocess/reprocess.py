"""`sedmd reprocess`: years of nights, one ledger, one writer, and what changed against the former version of each.

The night is the unit: it is taken in, worked off and closed as a whole, only the open ones are held in memory, and the
same command goes on where it was stopped. Its jobs are what travels to the workers.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.job import Job, Outcome
from sedmd.core.nights import neighbour
from sedmd.host.lock import single_instance
from sedmd.ledger.journal import NAME
from sedmd.ledger.ledger import FrameRow, Ledger
from sedmd.ledger.rebuild import take_up
from sedmd.plan.plan import Plan
from sedmd.reprocess import former_spectra as former
from sedmd.reprocess.changes import Change, changes_of, read_changes, spectra_in, write_changes
from sedmd.run.context import ENDED
from sedmd.run.dispatch import Dispatcher
from sedmd.run.event_log import EventLog
from sedmd.run.ingest import Corrections, raw_files, take_in, unchanged
from sedmd.run.many_nights import Ended, NightQueue
from sedmd.run.nightend import outcome_of
from sedmd.run.runner import ALL_GOOD, CALIBRATIONS_MISSING, SOME_LOST, at_a_terminal, book, summarise
from sedmd.workers.engines import Engine

#: In each night's directory: what its last reprocessing changed.
CHANGES = "changes.json"
#: Nights that are open at once: so many, one more for each few workers, never more than that.
LEAST_OPEN, WORKERS_A_NIGHT, MOST_OPEN = 4, 4, 100
#: Frames that are read at the same time while the nights before them are reduced.
READERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NightDone:
    """A night that was closed, and how far the whole is.

    Attributes
    ----------
    jobs : int
        Done for this night now; none if it was finished before.
    seconds_left : float or None
        None before a night was reduced.
    """

    night: str
    jobs: int
    failed: int
    missing: bool
    done: int
    total: int
    nights_an_hour: float | None
    seconds_left: float | None


@dataclass(slots=True, kw_only=True)
class Years:
    """How a reprocessing ended: the lines of each night that is not as it should be, and the changes of all."""

    nights: int = 0
    jobs: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    lost: int = 0

    @property
    def code(self) -> int:
        """The exit code: as of `sedmd reduce`."""
        if self.missing:
            return CALIBRATIONS_MISSING
        return SOME_LOST if self.failed or self.lost else ALL_GOOD


def reprocess(
    nights: Sequence[str],
    *,
    settings: Settings,
    ledger: Ledger,
    engine: Engine,
    clock: Callable[[], datetime],
    report: EventLog,
    former_root: Path | None = None,
    open_nights: int = 0,
    on_night: Callable[[NightDone], None] = lambda done: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Years:
    """Reduce nights, the oldest first, several at once, and compare each with its former version.

    Parameters
    ----------
    nights : sequence of str
        In the order of their dates.
    former_root : Path, optional
        Another redux root with the former version; by default what this one held before.
    open_nights : int
        Nights at work at once; 0: by the number of workers.

    Raises
    ------
    Locked
        If another sedmd works on one of these nights.
    """
    work = _Reprocess(settings, ledger, engine, clock, report, former_root, open_nights, on_night, monotonic)
    return work.run(nights)


class _Reprocess:
    """Lives for one call."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        engine: Engine,
        clock: Callable[[], datetime],
        report: EventLog,
        former_root: Path | None,
        open_nights: int,
        on_night: Callable[[NightDone], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings = at_a_terminal(settings)
        self._root = settings.paths.redux_root
        self._ledger, self._engine, self._clock, self._report = ledger, engine, clock, report
        self._former_root = former_root if former_root != self._root else None
        self._open_nights = open_nights
        self._on_night, self._monotonic = on_night, monotonic
        self._ended: Ended = queue.SimpleQueue()
        self._jobs: dict[str, int] = {}  # of the open nights
        self._begun_anew: set[str] = set()
        self._locks: dict[str, ExitStack] = {}
        self._years = Years()
        self._dispatcher = Dispatcher(
            settings=self._settings,
            ledger=ledger,
            engine=engine,
            clock=clock,
            report=report,
            on_done=self._on_done,
            pin_fallbacks=False,  # who reduces nights again wants the best that there is by now
        )

    def run(self, nights: Sequence[str]) -> Years:
        begun = self._monotonic()
        worked = 0
        window = NightQueue(self._dispatcher, self._ended, size=self._size)
        try:
            for number, plan in enumerate(window.work(self._opened(nights)), 1):
                jobs = self._jobs.pop(plan.night, 0)
                worked += jobs > 0
                self._close(plan, jobs)
                self._years.seconds = self._monotonic() - begun
                rate = worked / self._years.seconds if worked and self._years.seconds > 0 else None
                left = (len(nights) - number) / rate if rate else None
                hourly = 3600 * rate if rate else None
                self._tell(plan, jobs, number, len(nights), hourly, left)
        finally:
            for lock in self._locks.values():
                lock.close()
        return self._years

    def _size(self) -> int:
        return self._open_nights or min(MOST_OPEN, LEAST_OPEN + self._engine.workers // WORKERS_A_NIGHT)

    def _on_done(self, key: str, job: Job, future: Future[Outcome]) -> None:
        self._jobs[job.night] = self._jobs.get(job.night, 0) + 1
        self._ended.put((key, job, future))

    def _opened(self, nights: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Nights made ready as there is room for them; the frames of the next are read meanwhile."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="frames") as pool:
            reading = self._read(nights[0], pool) if nights else []
            for night, following in zip(nights, [*nights[1:], ""], strict=True):
                lock = self._locks[night] = ExitStack()
                lock.enter_context(night_lock(self._root, night))
                for row in reading:
                    book(row.result(), self._ledger, self._report)
                reading = self._read(following, pool) if following else []
                self._dispatcher.recover([night])
                self._ledger.jobs.forget_failures([night])
                if self._former_root is None and former.keep(self._root / night):
                    self._begun_anew.add(night)
                yield night, True

    def _read(self, night: str, pool: ThreadPoolExecutor) -> list[Future[FrameRow]]:
        """Begin to read the frames of a night that are new or changed, and those of others in its directories."""
        raw = self._settings.paths.raw_root
        folders = [raw / neighbour(night, -1), raw / night]
        known = {path: file for folder in folders for path, file in self._ledger.frames.known_files(folder).items()}
        corrections = Corrections(self._ledger)
        reading = []
        for path in raw_files(folders, self._settings.watch.pattern):
            cards = corrections.of(path)
            if unchanged(path, known, self._settings, cards) or (path in known and known[path].state == "forgotten"):
                continue
            reading.append(pool.submit(take_in, path, self._settings, now=self._clock(), mends=cards))
        return reading

    def _close(self, plan: Plan, jobs: int) -> None:
        """The night is done: its end is marked, its changes are written."""
        folder = self._root / plan.night
        self._ledger.marks.put(ENDED, plan.night, "", outcome_of(plan, self._ledger))
        path = folder / CHANGES
        if self._former_root is not None:
            changes = changes_of(plan.night, spectra_in(self._former_root / plan.night), spectra_in(folder))
        elif jobs == 0 and plan.night in self._begun_anew and path.exists():
            changes = read_changes(path)  # of the time when it was reduced
        else:
            changes = changes_of(plan.night, former.kept_in(folder), spectra_in(folder))
        if folder.is_dir():
            write_changes(changes, path)
        former.let_go(folder)
        self._begun_anew.discard(plan.night)
        self._locks.pop(plan.night).close()
        self._years.changes += changes

    def _tell(self, plan: Plan, jobs: int, done: int, total: int, hourly: float | None, left: float | None) -> None:
        summary = summarise({plan.night: plan}, self._ledger)
        years = self._years
        years.nights += 1
        years.jobs += jobs
        years.failed += summary.failed
        years.missing += summary.missing
        years.fallbacks += summary.fallbacks
        years.lost += sum(not row.good for row in summary.rows)
        given = NightDone(
            night=plan.night,
            jobs=jobs,
            failed=len(summary.failed),
            missing=bool(summary.missing),
            done=done,
            total=total,
            nights_an_hour=hourly,
            seconds_left=left,
        )
        self._on_night(given)


def take_up_nights(ledger: Ledger, redux_root: Path, nights: Iterable[str] | None = None) -> list[str]:
    """Put into the ledger what others did with ledgers of their own in these nights, or in any; those where they did.

    A night rests on those before it: a ledger that has not heard of one would give other products.
    """
    found = sorted(path.parent for path in redux_root.glob(f"20*/{NAME}"))
    chosen = None if nights is None else set(nights)
    return [folder.name for folder in found if chosen is None or folder.name in chosen if take_up(ledger, folder)]


def night_lock(redux_root: Path, night: str) -> ExitStack:
    """Hold a night against others that reprocess with ledgers of their own.

    Raises
    ------
    Locked
        If somebody does.
    """
    text = f"another sedmd (process {{holder}}) reprocesses {night} in {redux_root}; wait for it, or name other nights"
    stack = ExitStack()
    stack.enter_context(single_instance(redux_root / ".sedmd" / "nights", name=f"{night}.lock", message=text))
    return stack
