"""A service in the process of the test, its loop turned by hand."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from night.raw_night import Raw

from sedmd.core.config import Settings
from sedmd.daemon.service import Service
from sedmd.ledger.journal import Journal
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.workers.engines import InlineEngine

from .daemon import configure


class Wall:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Case:
    """A service in this process, its loop turned by hand."""

    def __init__(
        self,
        folder: Path,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        before: Callable[[Settings], None] = lambda settings: None,
        **changes: object,
    ) -> None:
        self.settings = configure(folder, scan_s=0.2, settle_s=0.05, **changes)
        before(self.settings)
        self.wall = Wall()
        self.stream = io.StringIO()
        journal = Journal(self.settings.paths.redux_root)
        self.ledger = Ledger.open(self.settings.paths.state / "ledger.sqlite", clock=self.wall, journal=journal)
        self.service = Service(
            settings=self.settings,
            ledger=self.ledger,
            engine=InlineEngine(self.settings.jobs.steps_module, workers=2),
            clock=self.wall,
            report=EventLog(clock=self.wall, redux_root=self.settings.paths.redux_root, stream=self.stream),
            monotonic=monotonic,
            config=folder / "sedmd.toml",
        )
        self.service._scan()
        self.service._start_clock()

    @property
    def raw(self) -> Path:
        return self.settings.paths.raw_root

    def write(self, frames: list[Raw]) -> None:
        for frame in frames:
            frame.write(self.raw)

    def turn_until(self, condition, *, patience_s: float = 20.0) -> float:
        """Turn the loop until something is so; how long that took, seconds."""
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() < begun + patience_s, self.stream.getvalue()[-3000:]
            assert self.service._step()
        return time.monotonic() - begun

    def known(self) -> int:
        return len(self.ledger.frames.known_files())

    def said(self, text: str) -> int:
        return self.stream.getvalue().count(text)

    def close(self) -> None:
        self.service.ticker.stop()
        self.service.watcher.stop()
        self.ledger.close()


@contextmanager
def case(folder: Path, **changes: Any) -> Iterator[Case]:
    made = Case(folder, **changes)
    try:
        yield made
    finally:
        made.close()
