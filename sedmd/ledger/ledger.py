"""The only memory: frames, jobs, products and events in one SQLite file, a part of the ledger for each.

Written by one process (the holder of the lock of the redux root), read by any number. Other processes may add a
request, which the holder of the lock carries out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Self

from sedmd.ledger.events import EventTable
from sedmd.ledger.frames import FrameTable
from sedmd.ledger.jobs import JobTable
from sedmd.ledger.journal import Journal
from sedmd.ledger.marks import MarkTable
from sedmd.ledger.products import ProductTable
from sedmd.ledger.records import FrameRow, JobRow, KnownFile, Mark, Request
from sedmd.ledger.requests import RequestTable
from sedmd.ledger.sqlite import (
    PATIENCE_S,
    LedgerError,
    LedgerFull,
    cut_log,
    identities,
    judged,
    open_database,
    see_room,
    see_same,
    transaction,
)
from sedmd.ledger.store import Store


class Ledger:
    """Open with `Ledger.open`; use as a context manager.

    Parameters
    ----------
    connection : sqlite3.Connection
    clock : callable
        Returns the time now, UTC.
    journal : Journal or None
        Where the lines are written from which the ledger can be made again.

    Attributes
    ----------
    frames : FrameTable
        Raw files, and raw directories that were seen.
    jobs : JobTable
        Jobs, and the versions of their steps.
    products : ProductTable
    events : EventTable
        The history of each frame, target and product.
    marks : MarkTable
        Decisions that stay, corrections of header cards among them.
    requests : RequestTable
        What operators asked for.
    """

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], datetime], journal: Journal | None = None
    ) -> None:
        self._db = connection
        self._store = Store(connection, clock, journal)
        self.frames = FrameTable(self._store)
        self.products = ProductTable(self._store)
        self.jobs = JobTable(self._store, self.products)
        self.events = EventTable(self._store)
        self.marks = MarkTable(self._store)
        self.requests = RequestTable(self._store)
        self._files: dict[Path, tuple[int, int]] = {}

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        clock: Callable[[], datetime],
        read_only: bool = False,
        journal: Journal | None = None,
        check: bool = False,
        wait_s: float = PATIENCE_S,
    ) -> Self:
        """Open the ledger, make or migrate it; see `sedmd.ledger.sqlite.open_database`.

        Raises
        ------
        LedgerError
            Also, with `check`, if it holds nothing while the journal tells of work that was done: it was lost.
        """
        ledger = cls(open_database(path, read_only=read_only, check=check, wait_s=wait_s), clock, journal)
        ledger._files = {} if read_only else identities(path)
        if check and journal is not None and ledger._holds_nothing() and (nights := journal.tells()):
            ledger.close()
            msg = (
                f"ledger {path} is empty, but there are journals of {len(nights)} nights (the last: {nights[-1]}): "
                "it was lost. Make it again from them: sedmd doctor --rebuild; or, to start again, remove the journals"
            )
            raise LedgerError(msg)
        return ledger

    @property
    def journal(self) -> Journal | None:
        """Where the lines are written from which the ledger can be made again."""
        return self._store.journal

    @journal.setter
    def journal(self, journal: Journal | None) -> None:
        self._store.journal = journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    def answers(self) -> bool:
        """The file can still be read."""
        try:
            return self._db.execute("SELECT count(*) FROM step").fetchone() is not None
        except sqlite3.Error:
            return False

    def _holds_nothing(self) -> bool:
        """Nothing was ever written here: events are never removed."""
        return self._db.execute("SELECT 1 FROM event LIMIT 1").fetchone() is None

    def probe(self) -> None:
        """See that there is room and that it can be written.

        Raises
        ------
        LedgerFull
            If nothing can be written now.
        """
        see_room(self._db)

    def judged(self) -> AbstractContextManager[None]:
        """Errors of SQLite in this block are raised as `LedgerFull` or `LedgerError`."""
        return judged(self._db)

    def tidy(self) -> str:
        """See that the files are those that were opened, and keep the log short; who keeps it long, or empty.

        Raises
        ------
        LedgerError
            If a file was removed or replaced: what is written goes where nobody finds it.
        """
        see_same(self._files)
        return cut_log(self._db)

    def together(self) -> AbstractContextManager[object]:
        """What is written in this block is written in one transaction."""
        return transaction(self._db)


__all__ = ["FrameRow", "JobRow", "KnownFile", "Ledger", "LedgerError", "LedgerFull", "Mark", "Request"]
