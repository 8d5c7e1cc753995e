"""The loop: frames come in, jobs go out. One thread owns the ledger; everything else talks to it through a queue."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from sedmd import __version__
from sedmd.core.config import NEEDS_RESTART, Settings, changed, load, show
from sedmd.core.errors import ConfigError, SedmError
from sedmd.core.nights import is_night
from sedmd.daemon.chores import Chores
from sedmd.daemon.clock import Drift, Standstill, Ticker
from sedmd.daemon.disk import DiskGate
from sedmd.daemon.health import HealthServer
from sedmd.daemon.intake import Intake
from sedmd.daemon.keeper import Parts, VitalsKeeper
from sedmd.daemon.messages import Asked, Check, Ended, Hint, Message, Reload, Scan, Stop, Sweep, Trouble, Wake
from sedmd.daemon.nights import Nights
from sedmd.daemon.notify import Notifier
from sedmd.daemon.upkeep import Upkeep
from sedmd.daemon.watch import Watcher
from sedmd.host.claim import Claim
from sedmd.host.doorbell import Doorbell
from sedmd.host.files import DiskFull, write_bytes_atomic
from sedmd.ledger.ledger import FrameRow, Ledger, LedgerFull
from sedmd.observation.noted_decisions import take_decisions
from sedmd.run.dispatch import Dispatcher
from sedmd.run.event_log import ERROR, NOTICE, WARNING, EventLog
from sedmd.run.readers import Readers
from sedmd.run.requests import carry_out, who_asked
from sedmd.run.vitals import Vitals, health_errors
from sedmd.workers.engines import Engine

SWEEP_S = 600.0
#: Longest time in which files are checked before jobs and pings have their turn.
SLICE_S = 0.3
#: So many files found without an event mean that inotify events are missed.
DEAF_AFTER = 3
#: Least time between two pings of systemd's watchdog, seconds.
PING_S = 1.0
#: Seconds between tries to write a ledger that has no room.
STALL_S = 5.0


class Service:
    """The daemon without its process: all parts are handed in.

    Parameters
    ----------
    monotonic, readers
        As for `Intake`.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        engine: Engine,
        clock: Callable[[], datetime],
        report: EventLog,
        monotonic: Callable[[], float] = time.monotonic,
        notifier: Notifier | None = None,
        config: Path | None = None,
        claim: Claim | None = None,
        readers: Readers | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.engine = engine
        self.clock = clock
        self.report = report
        self.monotonic = monotonic
        self.notifier = notifier or Notifier()
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.keeper = VitalsKeeper(clock=clock, monotonic=monotonic)
        self.drift = Drift(clock, monotonic)
        self.standstill = Standstill(monotonic)
        self.disk = DiskGate(settings, report, monotonic=monotonic)
        self.dispatcher = Dispatcher(
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=clock,
            report=report,
            on_done=lambda key, job, future: self.inbox.put(Ended(key, job, future)),
            on_booked=self.keeper.booked,
            patient=True,
        )
        self.intake = Intake(
            settings=settings,
            ledger=ledger,
            report=report,
            on_frame=self._on_frame,
            clock=clock,
            monotonic=monotonic,
            readers=readers,
        )
        self.nights = Nights(
            settings=settings,
            ledger=ledger,
            dispatcher=self.dispatcher,
            report=report,
            clock=clock,
            monotonic=monotonic,
            on_end=self.intake.sleep_night,
        )
        self.upkeep = Upkeep(ledger, report, claim)
        self.chores = Chores(settings=settings, config=config, report=report, monotonic=monotonic)
        self.ticker = Ticker()
        self.watcher = self._watcher(settings)
        self._config = config
        self._again: list[Message] = []
        self._asked_by: dict[int, int] = {}
        self.bell = Doorbell(settings.paths.state, lambda number, user: self.inbox.put(Asked(number, user)))
        self.stalled = ""
        self._missed = 0
        self._folders: set[str] = set()
        # the ledger of ten years is asked once
        self._known_nights = set(ledger.frames.nights())
        self._pinged_s = float("-inf")
        self._leave_settings()

    # life

    def run(self) -> int:
        """Start, work, drain; returns the exit code."""
        paths = self.settings.paths
        self.report.event("", "service", "", f"sedmd {__version__} starts: {paths.raw_root}", level=NOTICE)
        health = HealthServer(self.settings.health.listen, self.keeper.now) if self.settings.health.listen else None
        try:
            self._scan()
            for night in self.dispatcher.recover(self._in_sight(), budget_s=SLICE_S):
                self.inbox.put(Check(night))
            self._start_clock()
            self.vitals()
            if health is not None:
                try:
                    health.start()
                except ConfigError as error:  # somebody else has the port: spectra matter more
                    self.report.event("", "service", "", f"no health and metrics: {error}", level=WARNING)
                else:
                    self.report.event("", "service", "", f"health and metrics at {health.address}", level=NOTICE)
            if silent := self.bell.start():
                self.report.event("", "service", "", silent, level=NOTICE)
            self.notifier.ready(self.status_line())
            self.inbox.put(Wake())  # what the last service left is begun at once, not with the first scan
            self.standstill.passed_s(patience_s=0.0)  # a start may take its time
            while self._step():
                pass
        finally:
            self.bell.stop()
            self.ticker.stop()
            self.watcher.stop()
            self.chores.stop()
            self.intake.close()
            if health is not None:
                health.stop()
        return self.drain()

    def _step(self) -> bool:
        """Handle what is in the inbox, look at some files, start what is due; False when it is time to stop."""
        messages, self._again = [*self._again, *self._receive()], []
        if Stop() in messages:
            messages.remove(Stop())
            for message in messages:  # what ended is booked while the service drains, and a second Stop ends that
                if isinstance(message, Ended | Stop):
                    self.inbox.put(message)
            return False
        self._wake_up()
        full = False
        for message in dict.fromkeys(messages):
            try:
                if not full:
                    with self.ledger.judged():
                        self.handle(message)
            except LedgerFull as error:
                full = True
                self._stall(error)
            if full and isinstance(message, Ended | Asked | Check):  # another try costs the loop another wait
                self._again.append(message)
        try:
            if not full:
                if self.stalled:
                    self.ledger.probe()
                with self.ledger.judged():
                    self.intake.work(SLICE_S)
                    self._pump()
        except LedgerFull as error:
            full = True
            self._stall(error)
        if not full:
            self._unstall()
            self.chores.tick()
        self._measure()
        return True

    def _receive(self) -> list[Message]:
        """Everything in the inbox; waits for something when there is nothing else to do."""
        patience = self._patience_s()
        wait = STALL_S if self.stalled else self.intake.wait_s()  # what is due cannot be recorded before
        timeout = min([patience, *([wait] if wait is not None else [])])
        messages: list[Message] = []
        try:
            messages.append(self.inbox.get(timeout=timeout) if timeout > 0 else self.inbox.get_nowait())
        except queue.Empty:
            if self.monotonic() - self.intake.sight.scanned_s >= patience:
                messages.append(Scan())  # the clock's thread is dead or late: look anyway
        with suppress(queue.Empty):
            while True:
                messages.append(self.inbox.get_nowait())
        return messages

    def _patience_s(self) -> float:
        """Longest wait for a message: the clock's thread sends one at every scan."""
        return 2 * self.settings.watch.scan_interval_s

    def _wake_up(self) -> None:
        """What was timed while the process stood still did not grow older."""
        if seconds := self.standstill.passed_s(patience_s=max(self._patience_s(), STALL_S)):
            self.intake.stood_still(seconds)
            self.keeper.stood_still(seconds)

    def handle(self, message: Message) -> None:
        """Act on one message."""
        match message:
            case Ended(key, job, future):
                if (outcome := self.dispatcher.finished(key, future)).no_room:
                    self.disk.refuse(outcome.free_bytes)
                self.nights.touch(job.night)
                self.chores.changed()
                if job.step in ("flat", "skyflat", "fluxcal"):  # the nights after it may use it
                    self.nights.touch_all()
            case Hint(path):
                if is_night(path.name):
                    if path not in self.intake.sight.folders:  # else it only tells that a file came
                        self._scan()
                else:
                    self.intake.hint(path)
            case Scan():
                self._mend_clock()
                self._scan()
                self._answer()
                self._hear_observers()
                self.upkeep.see_to(mounted=self.disk.mounted())
                self.nights.write_owed()
            case Sweep():
                self.intake.again()
                self.dispatcher.expire()
                for night in self._in_sight() if self.disk.mounted() else ():
                    self.intake.drop_moved(night)
                    self._check(night)
                    self.upkeep.take_up_types(self.settings.paths.redux_root / night)
                    self.nights.touch(night)
            case Check(night):
                self._check(night)
            case Asked(number, user):
                if number:
                    self._asked_by[number] = user
                self._answer()
            case Reload():
                self.reload()
            case Trouble(text):
                self.report.event("", "clock", "", text, level=WARNING)
            case Wake() | Stop():
                pass  # planning follows each message

    def drain(self) -> int:
        """Wait for running jobs, no longer than `drain_timeout_s`; a second signal ends the patience."""
        limit_s = self.settings.jobs.drain_timeout_s
        self.report.event("", "service", "", f"stopping; waiting for {len(self.dispatcher.running)} jobs", level=NOTICE)
        self.notifier.stopping()
        self.notifier.extend_timeout(limit_s + 10)
        until = self.monotonic() + limit_s
        while self.dispatcher.running and (left := until - self.monotonic()) > 0:
            try:
                message = self.inbox.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(message, Stop):
                break
            if isinstance(message, Ended):
                try:
                    self.dispatcher.finished(message.key, message.future)
                except LedgerFull:  # not booked: the job is done again next time
                    del self.dispatcher.running[message.key]
        abandoned = list(self.dispatcher.running)
        self.engine.close(kill=True)
        for key in abandoned:
            with suppress(LedgerFull):
                self.ledger.jobs.release(key)
        self.upkeep.write_journals()
        self.report.event("", "service", "", f"stopped; {len(abandoned)} jobs restart next time", level=NOTICE)
        return 0

    def reload(self) -> None:
        """Read the configuration again; a bad one, or one that needs a restart, changes nothing."""
        self.notifier.reloading()
        try:
            if self._config is None:
                raise ConfigError("there is no configuration file: paths came from the command line")
            new = load(self._config)
            names = changed(self.settings, new)
            if fixed := [name for name in names if name in NEEDS_RESTART]:
                raise ConfigError(f"{', '.join(fixed)} can only change with a restart")
        except SedmError as error:
            self.report.event(
                "", "service", "", f"configuration refused, the old one stays in force: {error}", level=ERROR
            )
        else:
            self._take(new)
            text = ", ".join(names) or "nothing"
            self.report.event("", "service", "", f"configuration reloaded; changed: {text}", level=NOTICE)
        finally:
            self.notifier.ready(self.status_line())

    def _take(self, new: Settings) -> None:
        if new.watch != self.settings.watch:
            self.watcher.stop()
            self.watcher = self._watcher(new)
        self.settings = self.nights.settings = self.dispatcher.settings = new
        self._leave_settings()
        self.disk.configure(new)
        self.intake.configure(new)
        self.chores.settings = new
        self.nights.touch_all()
        self._start_clock()
        self.inbox.put(Scan())

    def _leave_settings(self) -> None:
        """Beside the products: what ``--redux DIR`` of the commands goes by."""
        folder = self.settings.paths.redux_root / ".sedmd"
        with suppress(OSError, DiskFull):
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)  # whoever writes here says what other users run
            write_bytes_atomic(show(self.settings).encode(), folder / "settings.toml")

    # frames

    def _scan(self) -> None:
        """Compare the directories in sight with the ledger, and watch them."""
        self.intake.scan(self._watch)

    def _watch(self, folders: list[Path]) -> bool:
        """Make the nights' directories for products, and watch those of the raw files; True if they were watched."""
        for folder in folders:
            if folder.name not in self._folders:
                with suppress(OSError):
                    (self.settings.paths.redux_root / folder.name).mkdir(exist_ok=True)
        self._folders = {folder.name for folder in folders}
        missed = self.intake.hints_missed - self._missed
        self._missed = self.intake.hints_missed
        deaf = missed >= DEAF_AFTER and not self.watcher.polling
        if deaf:
            self.watcher.renew()
        complaint = self.watcher.watch([self.settings.paths.raw_root, *folders])
        if deaf:
            complaint = f"inotify events missed for {missed} files; the watch of the raw directories is restarted"
        if complaint:
            self.report.event("", "watch", "", complaint, level=WARNING)
        return not complaint and not self.watcher.polling

    def _on_frame(self, row: FrameRow) -> None:
        self.keeper.frame(row.arrived)
        self._known_nights.add(row.night)
        self.nights.touch(row.night, arrived=row.arrived)

    def _in_sight(self) -> list[str]:
        return self.intake.plannable(self._known_nights)

    def _watcher(self, settings: Settings) -> Watcher:
        watch = settings.watch
        return Watcher(lambda path: self.inbox.put(Hint(path)), mode=watch.mode, poll_s=watch.scan_interval_s)

    # jobs

    def _pump(self) -> None:
        """Plan the nights in which something changed and start what is due."""
        nights = self._in_sight()
        self.nights.drop(set(self.nights.plans) - set(nights))
        plans = self.nights.replan(nights, settled=self.intake.settled)
        if self.disk.room(busy=bool(self.dispatcher.running)) and self.intake.sight.there:
            self.dispatcher.launch(plans)
        if (wake := self.nights.next_wake(self.clock())) is not None and self.ticker.alive:
            self.ticker.at(wake, lambda: self.inbox.put(Wake()), name="wake")

    def _answer(self) -> None:
        """Carry out what operators asked for; of a flood the rest after the other work."""
        until = self.monotonic() + SLICE_S
        for asked in self.ledger.requests.open():
            if self.monotonic() >= until:
                self.inbox.put(Asked(0, 0))
                return
            request = replace(asked, who=who_asked(asked.who, self._asked_by.get(asked.number)))
            answer = carry_out(request, self.ledger, self.dispatcher, self.intake)
            self.ledger.requests.answer(request.number, answer)
            text = f"{answer} (asked by {request.who})"
            # the log of a night lies in a directory of its name
            there = is_night(request.night) and (self.settings.paths.redux_root / request.night).is_dir()
            night = request.night if there else ""
            self.report.event(night, request.verb, request.subject, text, level=NOTICE)
            self.nights.touch_all()
        self._asked_by.clear()  # who rang for what there is not is nobody's business

    def _hear_observers(self) -> None:
        """Take in what observers decided since the last look."""
        for night in self._in_sight():
            for text in take_decisions(self.ledger, self.settings.paths.redux_root / night):
                self.report.event(night, "observer", "", text, level=NOTICE)
                self.chores.changed()

    def _check(self, night: str) -> None:
        """Look at the products of a night, at the bytes of those with another time stamp for a while at a time."""
        if self.disk.mounted():
            if not self.dispatcher.check_products(night, budget_s=SLICE_S):
                self.inbox.put(Check(night))
            self.nights.touch(night)

    # clock

    def _start_clock(self) -> None:
        """Begin to tick, or begin again after the wall clock jumped."""
        self.ticker.stop()
        self.ticker = Ticker(lambda text: self.inbox.put(Trouble(text)))
        self.ticker.every(self.settings.watch.scan_interval_s, lambda: self.inbox.put(Scan()), name="scan")
        self.ticker.every(SWEEP_S, lambda: self.inbox.put(Sweep()), name="sweep")
        self.ticker.start()

    def _mend_clock(self) -> None:
        """The scheduler counts by the wall clock: when that jumps, or the thread dies, begin again."""
        jump_s = self.drift.jump_s()
        if jump_s:
            self.report.event("", "clock", "", f"the system clock jumped by {jump_s:+.0f} s", level=WARNING)
        elif not self.ticker.alive:
            self.report.event("", "clock", "", "the clock thread died; restarted", level=WARNING)
        else:
            return
        self._start_clock()
        self.nights.touch_all()

    # health

    def status_line(self) -> str:
        """One line for ``systemctl status``."""
        if self.stalled:
            return self.stalled
        if not self.nights.plans:
            return "watching; no frames yet"
        night = max(self.nights.plans)
        return f"night {night}: {self.nights.plans[night].census()}"

    def vitals(self) -> Vitals:
        """How the service is now."""
        parts = Parts(
            settings=self.settings,
            ledger=self.ledger,
            dispatcher=self.dispatcher,
            intake=self.intake,
            nights=self.nights,
            watcher=self.watcher,
            ticker=self.ticker,
            drift=self.drift,
            disk=self.disk,
            stalled=self.stalled,
        )
        return self.keeper.take(parts)

    def _measure(self) -> None:
        """Take the vitals, and feed systemd's watchdog only while the service really does its work."""
        vitals = self.vitals()
        if self.monotonic() - self._pinged_s >= PING_S and not health_errors(vitals):
            self._pinged_s = self.monotonic()
            self.notifier.watchdog(self.status_line())

    def _stall(self, error: LedgerFull) -> None:
        """The ledger has no room: say so once, begin nothing, try again in a while."""
        if not self.stalled:
            self.stalled = f"paused: {error}"
            self.report.event("", "ledger", "", self.stalled, level=ERROR)

    def _unstall(self) -> None:
        if self.stalled:
            self.stalled = ""
            self.report.event("", "ledger", "", "the ledger can be written again; resuming", level=NOTICE)
