"""Hints of new files. The scan is the truth; watchdog only shortens the wait, and is mended when it dies."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.polling import PollingObserver

from sedmd.ingest import is_frame_name, is_night_name
from sedmd.mounts import REMOTE, file_system


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

    def __init__(self, hint: Callable[[Path], None], *, mode: str, poll_s: float) -> None:
        self._hint = hint
        self._mode = mode
        self._poll_s = poll_s
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, ObservedWatch] = {}
        self.restarts = 0

    def watch(self, folders: Iterable[Path]) -> str:
        """Watch exactly these directories; returns a complaint when the kernel refuses, empty when all is well."""
        wanted = sorted(folder for folder in folders if folder.is_dir())
        complaint = ""
        if self._observer is not None and not self.healthy:
            self.stop()
            self.restarts += 1
            complaint = "the observer of the raw directories had died; it is started anew"
        try:
            self._adjust(wanted, polling=self._polls(wanted))
        except OSError as error:
            self.stop()
            if error.errno not in (errno.ENOSPC, errno.EMFILE, errno.ENFILE):
                return f"cannot watch ({error.strerror}); frames are found by the scan"
            self._adjust(wanted, polling=True)
            return "no inotify watches left (fs.inotify.max_user_watches); polling instead"
        return complaint

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

    def _adjust(self, wanted: Iterable[Path], *, polling: bool) -> None:
        """Start if need be, then add and drop single directories: the others go on undisturbed."""
        if self._observer is None:
            self._observer = PollingObserver(timeout=self._poll_s) if polling else Observer()
            self._observer.start()
        handler = _Handler(self._hint)
        for folder in wanted:
            if folder not in self._watched:
                self._watched[folder] = self._observer.schedule(handler, str(folder), recursive=False)
        for folder in set(self._watched) - set(wanted):
            self._observer.unschedule(self._watched.pop(folder))

    def _polls(self, folders: Iterable[Path]) -> bool:
        if self._mode == "auto":
            return any(file_system(folder).startswith(REMOTE) for folder in folders)
        return self._mode == "poll"


class _Handler(FileSystemEventHandler):
    """Passes on every path that an event names; an exception here would kill watchdog's thread."""

    def __init__(self, hint: Callable[[Path], None]) -> None:
        self._hint = hint

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write", "deleted"):
            return
        for name in (event.src_path, event.dest_path):
            path = Path(name.decode(errors="surrogateescape") if isinstance(name, bytes) else str(name))
            if name and ((is_frame_name(path) and path.suffix == ".fits") or is_night_name(path.name)):
                self._hint(path)
