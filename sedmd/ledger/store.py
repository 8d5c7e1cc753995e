"""The connection that the parts of a ledger share, with its clock and its journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sedmd.ledger.journal import Journal
from sedmd.ledger.sqlite import stamp


class Store:
    """What every part of a ledger writes to.

    Parameters
    ----------
    connection : sqlite3.Connection
    clock : callable
        Returns the time now, UTC.
    journal : Journal or None
        Where the lines are written from which the ledger can be made again.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], datetime], journal: Journal | None) -> None:
        self.db = connection
        self.journal = journal
        self._clock = clock

    def now(self) -> str:
        """The time now as it stands in the tables: ISO 8601, UTC, milliseconds."""
        return stamp(self._clock)

    def event(self, night: str, subject: str, text: str) -> None:
        """Add a sentence to the history of a subject, as a part of the transaction that is open."""
        self.db.execute(
            "INSERT INTO event (time, night, subject, text) VALUES (?, ?, ?, ?)",
            (self.now(), night, subject, text),
        )

    def to_journal(self, night: str, what: str, **values: Any) -> None:
        """Write a line into the night's journal, if there is one; after the transaction, which is the truth."""
        if self.journal is not None:
            self.journal.write(night, what, **values)
