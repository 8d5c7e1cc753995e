"""Hints of new files. The scan is the truth; watchdog only shortens the wait, and is restarted when it dies."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.polling import PollingObserver

from sedmd.core.nights import is_night
from sedmd.host.mounts import is_remote
from sedmd.run.ingest import is_frame_name

#: Seconds after which events are tried again where the kernel refused them.
TRY_AGAIN_S = 600.0
#: What the kernel says when it has no watches, descriptors or instances left.
EXHAUSTED = (errno.ENOSPC, errno.EMFILE, errno.ENFILE)

Identity = tuple[int, int]


class Watcher:
    """Watches a few directories, non-recursively, and passes on paths.

    Parameters
    ----------
    hint : callable
        Called from the observer's thread with each path on which something happened.
    mode : str
        "inotify", "poll" or "auto".
    poll_s : float
        Interval of polling, seconds.
    """

    def __init__(
        self,
        hint: Callable[[Path], None],
        *,
        mode: str,
        poll_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handler = _Handler(hint)
        self._mode = mode
        self._poll_s = poll_s
        self._monotonic = monotonic
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, tuple[Identity, ObservedWatch]] = {}
        self._refused_s = float("-inf")
        self.polling = False
        #: Why events are not to be had; empty when they are, or were not wanted.
        self.refused = ""
        self.restarts = 0

    def watch(self, folders: Iterable[Path]) -> str:
        """Watch exactly these directories; returns a complaint when something had to be restarted, else nothing."""
        wanted = {folder: identity for folder in sorted(folders) if (identity := _identity(folder)) is not None}
        complaint = ""
        if self._observer is not None and not self.healthy:
            self._begin_anew()
            complaint = "the watcher of the raw directories died; restarted"
        if faults := self._handler.take_faults():
            complaint = f"{faults} events could not be handled; the scan finds their files"
        polling = self._polls(wanted)
        if polling != self.polling:
            self.stop()
            self.polling = polling
        try:
            self._adjust(wanted)
        except OSError:
            self.stop()
            told, self._refused_s = self.refused, self._monotonic()
            self.refused = "no inotify watches left (fs.inotify.max_user_watches, max_user_instances)"
            self.polling = True
            self._adjust(wanted)
            # tried again in vain: nothing new, and it stands in the health of the service
            return complaint if told else f"{self.refused}; polling instead"
        if not self.polling:
            self.refused = ""
        return complaint

    def renew(self) -> None:
        """Start over: files were found that no event had named."""
        if self._observer is not None:
            self._begin_anew()

    @property
    def healthy(self) -> bool:
        """The observer and each of its emitters live; `is_alive` of the observer alone does not tell."""
        return (
            self._observer is not None
            and self._observer.is_alive()
            and all(emitter.is_alive() for emitter in self._observer.emitters)
        )

    def stop(self) -> None:
        """End the observer's threads."""
        observer, self._observer, self._watched = self._observer, None, {}
        if observer is not None:
            observer.stop()
            observer.join(5)

    def _begin_anew(self) -> None:
        self.stop()
        self.restarts += 1

    def _adjust(self, wanted: dict[Path, Identity]) -> None:
        """Start if need be, then add and drop single directories: the others go on undisturbed."""
        # the same name may be another directory by now (renamed, remounted): the old watch would stay silent
        gone = {folder for folder, (identity, _) in self._watched.items() if wanted.get(folder) != identity}
        if self._observer is None:
            self._observer = PollingObserver(timeout=self._poll_s) if self.polling else Observer()
            self._observer.start()
        for folder in gone:
            self._observer.unschedule(self._watched.pop(folder)[1])
        for folder, identity in wanted.items():
            if folder not in self._watched:
                try:
                    watch = self._observer.schedule(self._handler, str(folder), recursive=False)
                except OSError as error:
                    if error.errno in EXHAUSTED:
                        raise
                    continue  # it went away, or may not be read: the scan tells, and the next call tries again
                self._watched[folder] = (identity, watch)

    def _polls(self, folders: Iterable[Path]) -> bool:
        if self._mode == "auto" and any(is_remote(folder) for folder in folders):
            return True
        return self._mode == "poll" or self._monotonic() - self._refused_s < TRY_AGAIN_S


def _identity(folder: Path) -> Identity | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Handler(FileSystemEventHandler):
    """Passes on every path that an event names; an exception here would kill watchdog's thread."""

    def __init__(self, hint: Callable[[Path], None]) -> None:
        self._hint = hint
        self._faults = 0

    def take_faults(self) -> int:
        """Events that could not be handled since the last call."""
        faults, self._faults = self._faults, 0
        return faults

    def on_any_event(self, event: FileSystemEvent) -> None:
        try:
            self._pass_on(event)
        except Exception:
            # the border of watchdog's thread: it would die in silence
            self._faults += 1

    def _pass_on(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write", "deleted"):
            return
        for name in (event.src_path, event.dest_path):
            path = Path(name.decode(errors="surrogateescape") if isinstance(name, bytes) else str(name))
            if name and (is_frame_name(path) or is_night(path.name)):
                self._hint(path)
