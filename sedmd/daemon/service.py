"""The loop: frames come in, jobs go out. One thread owns the ledger; everything else talks to it through a queue."""

from __future__ import annotations

import queue
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

from sedmd import __version__
from sedmd.config import Settings
from sedmd.daemon.clock import Ticker
from sedmd.daemon.complete import Gate, Look
from sedmd.daemon.notify import Notifier
from sedmd.daemon.watch import Watcher
from sedmd.dispatch import Dispatcher
from sedmd.engines import Engine, ProcessEngine
from sedmd.errors import ConfigError
from sedmd.frames import Kind
from sedmd.ingest import is_frame_name, is_night_name, quarantined, register, rules, take_in
from sedmd.job import Job
from sedmd.ledger import FrameRow, KnownFile, Ledger
from sedmd.lock import single_instance
from sedmd.night import night_is_over
from sedmd.planner import Plan, State
from sedmd.report import NOTICE, WARNING, Report
from sedmd.worker import Outcome


@dataclass(frozen=True, slots=True)
class Scan:
    """Look at everything."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to this path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Settle:
    """Look again at files that were still changing."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Check that the products are still there."""


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """A job ended; each is its own, never merged with another."""

    key: str
    job: Job
    future: Future[Outcome]


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish what runs, then leave."""


Message = Scan | Hint | Settle | Sweep | Ended | Stop

SWEEP_S = 600.0


def serve(settings: Settings, *, clock: Callable[[], datetime], verbose: bool = False) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    Raises
    ------
    ConfigError
        If the raw root does not exist at the start.
    Locked
        If another service works on this redux root.
    """
    paths = settings.paths
    if not paths.raw_root.is_dir():
        msg = f"raw_root {paths.raw_root} is not there; expected a directory with nights YYYYMMDD. Is it mounted?"
        raise ConfigError(msg)
    report = Report(clock=clock, redux_root=paths.redux_root, stream=sys.stderr, verbose=verbose)
    with (
        single_instance(paths.state),
        Ledger.open(paths.state / "ledger.sqlite", clock=clock) as ledger,
        ProcessEngine(settings.jobs.steps_module, settings.jobs.worker_count) as engine,
    ):
        service = Service(settings=settings, ledger=ledger, engine=engine, clock=clock, report=report)

        def stop(number: int, frame: FrameType | None) -> None:
            # SimpleQueue.put may be interrupted by itself; nothing else is safe in a signal handler
            service.inbox.put(Stop())

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        return service.run()


class Service:
    """The daemon without its process: all parts are handed in.

    Parameters
    ----------
    monotonic : callable
        Seconds for settling; never the wall clock, which may jump.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        engine: Engine,
        clock: Callable[[], datetime],
        report: Report,
        monotonic: Callable[[], float] = time.monotonic,
        notifier: Notifier | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.engine = engine
        self.clock = clock
        self.report = report
        self.monotonic = monotonic
        self.notifier = notifier or Notifier()
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.gate = Gate(settle_s=settings.watch.settle_s, timeout_s=settings.watch.settle_timeout_s)
        self.ticker = Ticker()
        self.watcher = Watcher(
            lambda path: self.inbox.put(Hint(path)), mode=settings.watch.mode, poll_s=settings.watch.scan_interval_s
        )
        self.dispatcher = Dispatcher(
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=clock,
            report=report,
            on_done=lambda key, job, future: self.inbox.put(Ended(key, job, future)),
        )
        self._rules = rules(settings)
        self._known: dict[Path, KnownFile] = {}
        self._folders: list[Path] = []
        self._plans: dict[str, Plan] = {}
        self._final: dict[str, bool] = {}
        self._ended: dict[str, str] = {}
        self._last_arrival: dict[str, datetime] = {}
        self._dirty: set[str] = set()
        self._raw_root_there = True
        self._settle_set = False
        self._scanned_s = monotonic()

    # life

    def run(self) -> int:
        """Start, work, drain; returns the exit code."""
        watch = self.settings.watch
        self.report.event(
            "", "service", "", f"sedmd {__version__} begins: {self.settings.paths.raw_root}", level=NOTICE
        )
        self.scan()
        self.dispatcher.recover(self._plannable())
        self._dirty.update(self._plannable())
        self.ticker.every(watch.scan_interval_s, lambda: self.inbox.put(Scan()), name="scan")
        self.ticker.every(SWEEP_S, lambda: self.inbox.put(Sweep()), name="sweep")
        self.ticker.start()
        self.pump()
        self.notifier.send(READY=1, STATUS=self.status_line())
        try:
            while self._step():
                pass
        finally:
            self.ticker.stop()
            self.watcher.stop()
        return self.drain()

    def _step(self) -> bool:
        """Handle what is in the inbox; False when it is time to stop."""
        patience = 2 * self.settings.watch.scan_interval_s
        try:
            messages = [self.inbox.get(timeout=patience)]
        except queue.Empty:
            # the clock's thread is dead or late: look anyway
            messages = [Scan()]
        with suppress(queue.Empty):
            while True:
                messages.append(self.inbox.get_nowait())
        for message in dict.fromkeys(messages):
            if isinstance(message, Stop):
                return False
            self.handle(message)
        self.pump()
        self._ping()
        return True

    def handle(self, message: Message) -> None:
        """Act on one message."""
        if isinstance(message, Ended):
            self.dispatcher.finished(message.key, message.future)
            self._dirty.add(message.job.night)
        elif isinstance(message, Hint):
            if is_night_name(message.path.name):
                self.scan()
            else:
                self.look(message.path)
        elif isinstance(message, Settle):
            self._settle_set = False
            for path in self.gate.settling():
                self.look(path)
        elif isinstance(message, Sweep):
            for night in self._plannable():
                self.dispatcher.check_products(night)
                self._dirty.add(night)
        elif isinstance(message, Scan):
            self.scan()

    def drain(self) -> int:
        """Wait for running jobs, no longer than `drain_timeout_s`; a second signal ends the patience."""
        limit_s = self.settings.jobs.drain_timeout_s
        self.report.event("", "service", "", f"stopping; waiting for {len(self.dispatcher.running)} jobs", level=NOTICE)
        self.notifier.send(STOPPING=1, EXTEND_TIMEOUT_USEC=int((limit_s + 10) * 1e6))
        until = self.monotonic() + limit_s
        while self.dispatcher.running and (left := until - self.monotonic()) > 0:
            try:
                message = self.inbox.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(message, Stop):
                break
            if isinstance(message, Ended):
                self.dispatcher.finished(message.key, message.future)
        abandoned = list(self.dispatcher.running)
        self.engine.close(kill=True)
        for key in abandoned:
            self.ledger.release(key)
        self.report.event("", "service", "", f"stopped; {len(abandoned)} jobs start again next time", level=NOTICE)
        return 0

    # frames

    def scan(self) -> None:
        """Compare the newest night directories with the ledger: the truth about what has landed."""
        root = self.settings.paths.raw_root
        try:
            nights = sorted(path for path in root.iterdir() if is_night_name(path.name))
        except OSError as error:
            self._raw_root(False, f"raw root {root} cannot be read ({error.strerror}); waiting for it to come back")
            return
        self._raw_root(True, f"raw root {root} is back")
        folders = nights[-(self.settings.watch.nights_back + 1) :]
        if folders != self._folders:
            for folder in set(folders) - set(self._folders):
                self._known |= self.ledger.known_files(folder)
            self._folders = folders
        if complaint := self.watcher.watch([root, *folders]):
            self.report.event("", "watch", "", complaint, level=WARNING)
        for folder in folders:
            with suppress(OSError):
                for path in sorted(folder.glob(self.settings.watch.pattern)):
                    self.look(path)
        self._dirty.update(night for night, plan in self._plans.items() if plan.active)
        self._scanned_s = self.monotonic()

    def look(self, path: Path) -> None:
        """Take in a file if it is new or changed, and whole."""
        if path.parent not in self._folders or not path.match(self.settings.watch.pattern) or not is_frame_name(path):
            return
        try:
            status = path.stat()
        except OSError:
            self.gate.forget(path)
            return
        known = self._known.get(path)
        if known is not None and (known.size, known.mtime_ns, known.rules) == (
            status.st_size,
            status.st_mtime_ns,
            self._rules,
        ):
            return
        look, reason = self.gate.look(path, size=status.st_size, mtime_ns=status.st_mtime_ns, now_s=self.monotonic())
        if look is Look.SETTLING:
            self._look_again_later()
            return
        if look is Look.INCOMPLETE:
            text = (
                f"{path.name} is incomplete: {reason}; nothing came for {self.settings.watch.settle_timeout_s:g} s. "
                "Copy it again; it is read when it changes"
            )
            row = quarantined(
                path,
                text,
                self.settings,
                now=self.clock(),
                size=status.st_size,
                mtime_ns=status.st_mtime_ns,
                state="incomplete",
            )
        else:
            row = take_in(path, self.settings, now=self.clock())
        self._register(row)

    def _look_again_later(self) -> None:
        """One timer for all files: when the youngest could be still enough, and again while anything settles."""
        if not self._settle_set:
            self._settle_set = True
            self.ticker.once(max(self.settings.watch.settle_s, 0.05), lambda: self.inbox.put(Settle()), name="settle")

    def _register(self, row: FrameRow) -> None:
        register(self.ledger, row)
        self._known[row.path] = KnownFile(size=row.size, mtime_ns=row.mtime_ns, rules=row.rules, state=row.state)
        self._dirty.add(row.night)
        self._last_arrival[row.night] = row.arrived
        if row.frame is None:
            self.report.event(row.night, "frame", row.path.name, f"{row.state}: {row.reason}", level=WARNING)
        elif row.frame.kind is Kind.IGNORED:
            self.report.event(row.night, "frame", row.path.name, f"ignored: {row.frame.reason}")
        else:
            self.report.event(row.night, "frame", row.path.name, f"{row.frame.kind}: {row.frame.object}")
            for note in row.frame.notes:
                self.report.event(row.night, "frame", row.path.name, f"note: {note}", minor=True)

    def _raw_root(self, there: bool, text: str) -> None:
        """Say once that the raw root vanished, and once that it is back; its absence deletes nothing."""
        if there != self._raw_root_there:
            self._raw_root_there = there
            self.report.event("", "watch", "", text, level=NOTICE if there else WARNING)

    # jobs

    def pump(self) -> None:
        """Plan the nights in which something changed and start what is due."""
        nights = self._plannable()
        for night in nights:
            final = self._is_final(night)
            if final != self._final.get(night, False):
                self._dirty.add(night)
            if night in self._dirty or night not in self._plans:
                self._plans[night] = self.dispatcher.plan(night, final=final)
                self._final[night] = final
                self._tell_end(night)
        self._dirty.clear()
        started = self.dispatcher.launch([self._plans[night] for night in nights])
        if started:
            self.notifier.send(STATUS=self.status_line())

    def _tell_end(self, night: str) -> None:
        """One line when the last job of a closed night has ended, and again if later frames change the result."""
        plan = self._plans[night]
        census = _census(plan) if self._final[night] and not plan.active else ""
        if census and census != self._ended.get(night):
            spectra = sum(node.state is State.DONE for node in plan.nodes if node.job.step == "calibrate")
            text = f"finished: {spectra} spectra; jobs: {census}"
            self.report.event(night, "night", "", text, level=NOTICE)
            for lack in plan.missing:
                self.report.event(night, "night", "", f"missing: {lack}", level=WARNING)
        self._ended[night] = census or self._ended.get(night, "")

    def _plannable(self) -> list[str]:
        """Nights all of whose frames are in sight: those of the newest `nights_back` directories, and the one begun."""
        if not self._folders:
            return []
        oldest = self._folders[-self.settings.watch.nights_back :][0].name
        return [night for night in self.ledger.nights() if night >= oldest]

    def _is_final(self, night: str) -> bool:
        last = self._last_arrival.get(night)
        if last is None:
            last = max(row.arrived for row in self.ledger.frames(night))
            self._last_arrival[night] = last
        return not self.gate.settling() and night_is_over(
            night,
            now=self.clock(),
            last_arrival=last,
            closes_ut_hour=self.settings.night.closes_ut_hour,
            quiet_s=self.settings.night.quiet_s,
        )

    # health

    def status_line(self) -> str:
        """One line for ``systemctl status``."""
        if not self._plans:
            return "watching; no frames yet"
        night = max(self._plans)
        return f"night {night}: {_census(self._plans[night])}"

    def _ping(self) -> None:
        """Feed systemd's watchdog only while frames would really be found."""
        age_s = self.monotonic() - self._scanned_s
        if age_s <= 3 * self.settings.watch.scan_interval_s + 30 or not self._raw_root_there:
            self.notifier.send(WATCHDOG=1, STATUS=self.status_line())


def _census(plan: Plan) -> str:
    counts = {state: sum(node.state is state for node in plan.nodes) for state in State}
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no jobs"
