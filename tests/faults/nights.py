"""Nights for these tests: how they arrive, and what they become when nothing disturbs them."""

from __future__ import annotations

import io
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from night.helpers import products
from night.raw_night import EVENING, SHAPE, Raw, raw, whole_night

import sedmd.run.ingest
from sedmd.core.config import Settings
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.run.runner import reduce_nights
from sedmd.workers.engines import InlineEngine

from .daemon import configure

LATER = datetime(2019, 6, 14, 12, tzinfo=UTC)


def long_night(extra: int) -> list[Raw]:
    """The night with everything in it, and `extra` targets more between them."""
    return [
        *whole_night(),
        *(raw(EVENING + timedelta(minutes=7 + 5 * number), f"extra{number}") for number in range(extra)),
    ]


def undisturbed(folder: Path, night: list[Raw], **changes: object) -> dict[str, str]:
    """The products of a night, reduced in one shot where nothing goes wrong."""
    settings = configure(folder, **changes)
    for frame in night:
        frame.write(settings.paths.raw_root)
    return reduced(settings)


def reduced(settings: Settings) -> dict[str, str]:
    """Reduce what lies in the raw root in one shot; the products."""
    before, sedmd.run.ingest.ARRAY_SHAPE = sedmd.run.ingest.ARRAY_SHAPE, SHAPE
    report = EventLog(clock=lambda: LATER, redux_root=settings.paths.redux_root, stream=io.StringIO())
    try:
        with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: LATER) as ledger:
            reduce_nights(
                [settings.paths.raw_root],
                settings=settings,
                ledger=ledger,
                engine=InlineEngine(settings.jobs.steps_module),
                clock=lambda: LATER,
                report=report,
            )
    finally:
        sedmd.run.ingest.ARRAY_SHAPE = before
    return products(settings)


class Growing:
    """A night that comes in pieces: each `feed` writes some more bytes of some frames, in a random order.

    Parameters
    ----------
    night : list of Raw
    root : Path
    chance : random.Random
    """

    def __init__(self, night: list[Raw], root: Path, chance: random.Random) -> None:
        self._root = root
        self._chance = chance
        # any order, but most of the afternoon comes before most of the night: there is work from early on
        place = {id(frame): chance.random() + 0.6 * (b"'Calib:" not in frame.content) for frame in night}
        self._waiting = sorted(night, key=lambda frame: place[id(frame)])
        self._open: list[tuple[Raw, int, bool]] = []

    def feed(self, count: int) -> None:
        """Some frames end, `count` begin; a third of them in one go, renamed into place."""
        for frame, written, reserved in self._open:
            path = self._root / frame.place
            with path.open("r+b" if reserved else "ab") as file:
                file.seek(written)
                file.write(frame.content[written:])
        self._open = []
        for frame in self._waiting[:count]:
            path = self._root / frame.place
            path.parent.mkdir(parents=True, exist_ok=True)
            match self._chance.choice(["renamed", "pieces", "reserved"]):
                case "renamed":
                    hidden = path.with_name(f".{path.name}.Xy12Zk")
                    hidden.write_bytes(frame.content)
                    hidden.rename(path)
                case manner:
                    cut = self._chance.randrange(len(frame.content))
                    with path.open("wb") as file:
                        if manner == "reserved":
                            file.truncate(len(frame.content))
                        file.write(frame.content[:cut])
                    self._open.append((frame, cut, manner == "reserved"))
        del self._waiting[:count]

    def finish(self) -> None:
        """The rest, at once."""
        self.feed(len(self._waiting))
        self.feed(0)
