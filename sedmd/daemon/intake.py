"""Raw files in: which directories are scanned, which files are whole, and what they are. The scan is the truth.

Events only shorten the wait. The files that they name, and those of a scan, go into one queue and are checked in
small slices, so that thousands of files at once neither stop the jobs nor the pings.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sedmd.core.config import Settings
from sedmd.core.durations import age
from sedmd.core.nights import is_night, neighbour
from sedmd.daemon.complete import Completeness, Gate, deferral
from sedmd.host.isolated import Died
from sedmd.host.mounts import is_remote
from sedmd.ledger.ledger import FrameRow, KnownFile, Ledger, LedgerFull
from sedmd.raw.fitsfile import FileCheck, examine, unreadable
from sedmd.raw.frames import Kind
from sedmd.run.context import AWAKE, ENDED
from sedmd.run.event_log import INFO, NOTICE, WARNING, EventLog
from sedmd.run.ingest import (
    Corrections,
    drop_moved,
    fault_of_program,
    is_frame_name,
    misnamed,
    quarantined,
    register,
    rules,
    take_in,
    unread,
    wrong_night,
)
from sedmd.run.readers import Readers, StillReading

#: So many nights back an unfinished one is taken up again at the start.
UNFINISHED_NIGHTS = 30
#: Seconds until a file that its reader is still at is asked for again.
STILL_READING_S = 0.1


@dataclass(slots=True)
class Sight:
    """What the last scan saw."""

    folders: list[Path] = field(default_factory=list)
    there: bool = True
    scanned_s: float = 0.0


class Intake:
    """From directories to rows of the ledger.

    Parameters
    ----------
    on_frame : callable
        Called with each row that was registered.
    clock : callable
        The time now, UTC.
    monotonic : callable
        Seconds for settling; never the wall clock, which may jump.
    readers : Readers, optional
        Processes that look at the files and may die, started here; without them this one does.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        report: EventLog,
        on_frame: Callable[[FrameRow], None],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        readers: Readers | None = None,
    ) -> None:
        self._readers = readers
        self.ledger = ledger
        self.report = report
        self.clock = clock
        self.monotonic = monotonic
        self.sight = Sight(scanned_s=monotonic())
        #: Files that a scan found although an event should have named them long before.
        self.hints_missed = 0
        self._on_frame = on_frame
        self._known: dict[Path, KnownFile] = {}
        self._forgotten: set[Path] = set()
        self._queue: list[tuple[int, str, Path]] = []
        self._queued: set[Path] = set()
        self._due_s: dict[Path, float] = {}
        self._hinted: set[Path] = set()
        self._once_more: set[Path] = set()
        self._unannounced: set[Path] = set()
        self._awake = ledger.marks.nights(AWAKE)
        self._unfinished: dict[Path, float] = {}  # whole frames that wait for their header, since when
        self._closed: set[Path] = set()
        self._misnamed: set[Path] = set()
        self._closed_files: set[Path] = set()
        self._archive_s = float("-inf")
        self._corrections = Corrections(ledger)
        self.configure(settings)
        if readers is not None:
            readers.start()

    def close(self) -> None:
        """No file is read any more."""
        if self._readers is not None:
            self._readers.close()

    def configure(self, settings: Settings) -> None:
        """Take new settings; the check that runs goes on."""
        watch = settings.watch
        self.settings = settings
        self._rules = rules(settings)
        settle_s = watch.settle_s
        if is_remote(settings.paths.raw_root):
            # attributes of a network file system are cached: two looks of the scan must agree
            settle_s = max(settle_s, 2 * watch.scan_interval_s)
        self._settle_s = settle_s
        self.gate = Gate(
            settle_s=settle_s,
            timeout_s=watch.settle_timeout_s,
            examine=self._examine,
        )

    def _examine(self, path: Path) -> FileCheck:
        look = partial(examine, path, min_hdus=self.settings.watch.min_hdus)
        return look() if self._readers is None else self._readers.call((path, "examine"), look)

    def _take_in(self, path: Path) -> FrameRow:
        mends = self._corrections.of(path)
        through = {} if self._readers is None else {"readers": self._readers}
        return take_in(path, self.settings, now=self.clock(), mends=mends, **through)

    # directories

    def scan(self, watch: Callable[[list[Path]], bool] = lambda folders: False) -> bool:
        """Look at every file of the directories in sight; False if the raw root cannot be read.

        Parameters
        ----------
        watch : callable
            Called with the directories before their files are listed: what comes after the list makes an event. True if
            events were to be had since the last scan.
        """
        root = self.settings.paths.raw_root
        try:
            nights = sorted(path for path in root.iterdir() if is_night(path.name))
        except OSError as error:
            return self._away(f"raw root {root} cannot be read ({error.strerror}); waiting for it to come back")
        if not nights and (self.sight.folders or self.ledger.frames.folders()):
            return self._away(f"raw root {root} is empty, but had nights before; is it mounted? Waiting for it")
        if not self.sight.there:
            self.sight.there = True
            self.report.event("", "watch", "", f"raw root {root} is back", level=NOTICE)
        watched = set(self.sight.folders)
        self._look_at(nights)
        events = watch(self.sight.folders)
        # an event may still wait to be handled: only the next scan knows that there was none
        self.hints_missed += len(self._unannounced)
        self._unannounced.clear()
        for folder in self.sight.folders:
            for path in self._files(folder):
                if path not in self._due_s and path not in self._queued and self._is_new(path):
                    # one that is known is read again for another reason than an event
                    if events and folder in watched and path not in self._hinted and path not in self._known:
                        self._unannounced.add(path)
                    self._push(path)
        self._hinted.clear()
        self._try_closed_files()
        self.sight.scanned_s = self.monotonic()
        return True

    def wake_night(self, night: str) -> bool:
        """Look at an old night's directories from now on, also after a restart, until it ends; False if it has none."""
        if not self._directories(night):
            return False
        if night not in self._awake:
            self._awake.add(night)
            self.ledger.marks.put(AWAKE, night, "", "its raw directories are scanned")
        return True

    def sleep_night(self, night: str) -> None:
        """An old night is done: its directories are an archive again."""
        if night in self._awake:
            self._awake.discard(night)
            self.ledger.marks.remove(AWAKE, night, "")

    def _directories(self, night: str) -> list[Path]:
        """Where the frames of a night lie: its own directory, and that of the day before for the afternoon."""
        root = self.settings.paths.raw_root
        return [root / name for name in (neighbour(night, -1), night) if _is_directory(root / name)]

    def plannable(self, nights: Iterable[str]) -> list[str]:
        """Of the ledger's nights those all of whose frames are in sight, and the night begun."""
        names = {folder.name for folder in self.sight.folders}
        if not names:
            return []
        newest = max(names)
        root = self.settings.paths.raw_root
        chosen = sorted(night for night in nights if night in names or night > newest)
        # an afternoon lies in the directory of the day before: a night is whole with it only
        return [
            night
            for night in chosen
            if (before := neighbour(night, -1)) in names or not _is_directory(root / before, unknown=True)
        ]

    def _look_at(self, nights: list[Path]) -> None:
        """Newest directories always; older ones from the day on which something changes in them."""
        newest = nights[-(self.settings.watch.nights_back + 1) :]
        if self._archive_s == float("-inf") and newest:
            self._wake_unfinished(newest[0].name)
        if self.monotonic() - self._archive_s >= self.settings.watch.archive_interval_s:
            self._archive_s = self.monotonic()
            for night in self._awake - set(self.ledger.frames.nights()):
                if self.settled(night) and all(folder in self.sight.folders for folder in self._directories(night)):
                    self.sleep_night(night)  # it had no frames after all
            self._wake_changed(nights, {path.name for path in newest})
        folders = sorted({*newest, *(folder for night in self._awake for folder in self._directories(night))})
        gone = set(self.sight.folders) - set(folders)
        for path in [path for path in self._known if path.parent in gone]:
            del self._known[path]
            self._forgotten.discard(path)
        for folder in set(folders) - set(self.sight.folders):
            for path, known in self.ledger.frames.known_files(folder).items():
                self._known[path] = known
                if known.state == "forgotten":
                    self._forgotten.add(path)
        self.sight.folders = folders

    def _wake_changed(self, nights: list[Path], newest: set[str]) -> None:
        seen = self.ledger.frames.folders()
        now: dict[str, int] = {}
        for folder in nights:
            with suppress(OSError):
                now[str(folder)] = folder.stat().st_mtime_ns
        changed = {path: mtime for path, mtime in now.items() if seen.get(path) != mtime}
        # on the first start ever, what lies here already is an archive
        for path in changed if seen else ():
            night = Path(path).name
            if night not in newest and self.wake_night(night):
                if _is_directory(self.settings.paths.raw_root / neighbour(night, 1)):
                    self.wake_night(neighbour(night, 1))  # to which its afternoon belongs
                self.report.event(night, "watch", "", "new frames in an old night; it is scanned again")
        if changed:
            self.ledger.frames.put_folders(changed)

    def _wake_unfinished(self, oldest: str) -> None:
        """Nights that the last service did not bring to their end, and that newer ones have pushed out of sight."""
        since = neighbour(oldest, -UNFINISHED_NIGHTS)
        for night in set(self.ledger.frames.nights()) - self.ledger.marks.nights(ENDED):
            if since <= night <= oldest:
                self.wake_night(night)

    def _away(self, text: str) -> bool:
        """Say once that the raw root vanished; its absence deletes nothing."""
        if self.sight.there:
            self.sight.there = False
            self.report.event("", "watch", "", text, level=WARNING)
        return False

    def _files(self, folder: Path) -> list[Path]:
        try:
            # not `glob`, to which a directory that may not be read is an empty one
            found = sorted(path for path in folder.iterdir() if is_frame_name(path, self.settings.watch.pattern))
        except FileNotFoundError:
            return []  # it went away: the next scan sees
        except OSError as error:
            if folder not in self._closed:
                self._closed.add(folder)
                text = f"raw directory {folder} cannot be read ({error.strerror}); check its permissions and its disk"
                self.report.event(folder.name, "watch", "", f"{text}. Retried at every scan", level=WARNING)
            return []
        for path, text in misnamed(folder, self.settings.watch.pattern).items():
            if path not in self._misnamed:
                self._misnamed.add(path)
                self.report.event(folder.name, "watch", path.name, text, level=WARNING)
        if folder in self._closed:
            self._closed.discard(folder)
            self.report.event(folder.name, "watch", "", f"raw directory {folder} can be read again", level=NOTICE)
        return found

    # files

    def hint(self, path: Path) -> None:
        """Something happened to this path."""
        if path.parent in self.sight.folders and is_frame_name(path, self.settings.watch.pattern):
            self._hinted.add(path)
            self._unannounced.discard(path)
            self._push(path)

    def again(self) -> None:
        """Look once more at files that stopped before they were whole."""
        deferred = [path for path, known in self._known.items() if known.state == "deferred"]
        for path in self.gate.again(deferred):
            self._once_more.add(path)
            self._push(path)

    def _try_closed_files(self) -> None:
        """Files that may be read by now; a change of permissions changes neither size nor time stamp."""
        for path in [path for path in self._closed_files if os.access(path, os.R_OK) or not path.exists()]:
            self._closed_files.discard(path)
            if path not in self._forgotten:
                self.gate.again([path])
                self.forget_known(path)

    def drop_moved(self, night: str) -> None:
        """Drop what the ledger knows of files that are gone where another file has the same frame."""
        self._drop(drop_moved(self.ledger, night))

    def forget_known(self, path: Path) -> None:
        """Read this file again, with the cards that are corrected by now."""
        self._corrections.clear()
        self._known.pop(path, None)
        self._forgotten.discard(path)
        self._push(path)

    def stood_still(self, seconds: float) -> None:
        """The process suspended for so long: no file has been still in that time."""
        text = f"suspended for {age(seconds)} (stopped by a signal, the whole machine, or a disk); resuming"
        self.report.event("", "service", "", text, level=WARNING)
        self.gate.stood_still(seconds)

    def exclude(self, path: Path) -> None:
        """Never read this file again."""
        self._forgotten.add(path)

    def work(self, budget_s: float) -> int:
        """Look at queued files for at most about `budget_s` seconds; how many were registered."""
        now = self.monotonic()
        for path in [path for path, due in self._due_s.items() if due <= now]:
            del self._due_s[path]
            self._push(path)
        taken = 0
        until = now + budget_s
        while self._queue:
            *_, path = heapq.heappop(self._queue)
            self._queued.discard(path)
            try:
                taken += self._look(path)
            except LedgerFull:
                self._push(path)  # it is not in the ledger: look again when there is room
                raise
            if self.monotonic() >= until:
                break
        return taken

    def census(self) -> dict[str, int]:
        """How many files in sight are in each state."""
        there = {"misnamed": len(self._misnamed)} if self._misnamed else {}
        return dict(Counter(known.state for known in self._known.values())) | there

    def settled(self, night: str) -> bool:
        """No file of a night is being written or waits for a look."""
        if not self._queue and not self._due_s:
            return True
        names = {night, neighbour(night, -1)}
        return not any(path.parent.name in names for paths in (self._queued, self._due_s) for path in paths)

    def wait_s(self) -> float | None:
        """Seconds until a file must be checked again; None if none must."""
        if self._queue:
            return 0.0
        return max(0.0, min(self._due_s.values()) - self.monotonic()) if self._due_s else None

    def _push(self, path: Path) -> None:
        if path not in self._queued:
            self._queued.add(path)
            # the newest night first: somebody may be waiting for it
            night = int(path.parent.name) if is_night(path.parent.name) else 0
            heapq.heappush(self._queue, (-night, path.name, path))

    def _drop(self, paths: Iterable[Path]) -> None:
        """The ledger knows these files no longer: one that comes back is new."""
        for path in paths:
            self._known.pop(path, None)
            self._forgotten.discard(path)

    def _is_new(self, path: Path) -> bool:
        known = self._known.get(path)
        if path in self._forgotten:
            return False
        if known is None:
            return True
        try:
            status = path.stat()
        except OSError:
            return False
        mends = self._corrections.of(path)
        now = (status.st_size, status.st_mtime_ns, rules(self.settings, mends) if mends else self._rules)
        return (known.size, known.mtime_ns, known.rules) != now

    def _look(self, path: Path) -> bool:
        """Take in a file if it is new or changed, and whole."""
        try:
            status = path.stat()
        except FileNotFoundError:
            if path.is_symlink():  # it is there, and leads nowhere
                return self._register(self._take_in(path))
            self.gate.forget(path)
            self._due_s.pop(path, None)
            self._unfinished.pop(path, None)
            self._once_more.discard(path)
            if self._readers is not None:
                self._readers.forget(path)
            return False
        except OSError as error:
            return self._register(self._quarantined(path, unreadable(path, error)))
        if path in self._forgotten or (not self._is_new(path) and path not in self._once_more):
            return False
        size, mtime_ns = status.st_size, status.st_mtime_ns
        try:
            row = self._judge(path, size, mtime_ns)
        except StillReading:
            self._due_s[path] = self.monotonic() + STILL_READING_S
            return False
        except Died as fault:
            self.gate.forget(path)
            self._once_more.discard(path)
            row = self._quarantined(path, unread(path, fault), size=size, mtime_ns=mtime_ns)
        except MemoryError:
            raise
        except Exception as error:
            # the boundary of intake: a fault of a file costs that file only
            row = self._quarantined(path, fault_of_program(path, error), size=size, mtime_ns=mtime_ns)
        return row is not None and self._register(row)

    def _judge(self, path: Path, size: int, mtime_ns: int) -> FrameRow | None:
        """Look at a file that is new or changed; its row, or None while it settles."""
        look, reason = self.gate.look(path, size=size, mtime_ns=mtime_ns, now_s=self.monotonic())
        if look is not Completeness.SETTLING:
            self._once_more.discard(path)
        if look is Completeness.SETTLING:
            self._due_s[path] = self.monotonic() + max(self._settle_s, 0.05)
            return None
        if look is Completeness.DEFERRED:
            if not os.access(path, os.R_OK):
                self._closed_files.add(path)
            text = deferral(path, reason, timeout_s=self.settings.watch.settle_timeout_s)
            return self._quarantined(path, text, size=size, mtime_ns=mtime_ns, state="deferred")
        row = self._take_in(path)
        if row.frame is not None and row.frame.unfinished and self._waits_for_header(path, row):
            return None
        return row

    def _waits_for_header(self, path: Path, row: FrameRow) -> bool:
        """Whether the robot may still finish the header of a whole frame; it is checked again then.

        The file's age counts, so that an old night does not wait; by the monotonic clock where the wall clock is wrong.
        """
        if path not in self._unfinished:
            self._unfinished[path] = self.monotonic()
            text = f"complete, but its header is not; waiting up to {self.settings.watch.header_wait_s:g} s for it"
            self.report.event(row.night, "frame", path.name, text, minor=True)
        age_s = max(self.clock().timestamp() - row.mtime_ns / 1e9, self.monotonic() - self._unfinished[path])
        left_s = self.settings.watch.header_wait_s - age_s
        if left_s <= 0:
            return False
        # where no events are to be had the change is found by looking
        self._due_s[path] = self.monotonic() + min(left_s, max(self.settings.watch.scan_interval_s, self._settle_s))
        return True

    def _quarantined(self, path: Path, reason: str, **found: Any) -> FrameRow:
        return quarantined(path, reason, self.settings, now=self.clock(), mends=self._corrections.of(path), **found)

    def _register(self, row: FrameRow) -> bool:
        known = KnownFile(size=row.size, mtime_ns=row.mtime_ns, rules=row.rules, state=row.state)
        if self._known.get(row.path) == known:
            return False  # an unreadable file is reported once, not at every scan
        if self._readers is not None:
            self._readers.forget(row.path)  # what was asked of the file as it was before
        before = self.ledger.frames.at([row.path])
        self._unfinished.pop(row.path, None)
        self._drop(register(self.ledger, row))
        (now,) = self.ledger.frames.at([row.path])
        self._known[row.path] = replace(known, state=now.state)
        if now.state == "forgotten":
            self._forgotten.add(row.path)
        name = row.path.name
        if row.frame is None:
            self.report.event(row.night, "frame", name, f"{row.state}: {row.reason}", level=WARNING)
        else:
            kind = row.frame.kind
            text = f"ignored: {row.frame.reason}" if kind is Kind.IGNORED else f"{kind}: {row.frame.object}"
            self.report.event(row.night, "frame", name, text, level=INFO)
            if text := wrong_night(row):
                self.report.event(row.night, "frame", name, text, level=WARNING)
            for note in row.frame.notes:
                self.report.event(row.night, "frame", name, f"note: {note}", minor=True)
        for other in before:
            if other.night != row.night:
                self._on_frame(other)  # that night has lost it
        self._on_frame(row)
        return True


def _is_directory(path: Path, *, unknown: bool = False) -> bool:
    """Whether there is such a directory; `unknown` where the disk does not say."""
    try:
        return path.is_dir()
    except OSError:
        return unknown
