"""The part of the ledger that people write: decisions that stay, and requests to whoever holds the lock."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sedmd.ledger.records import Mark, Request, request_row
from sedmd.ledger.sqlite import insert, stamp, transaction
from sedmd.raw.mends import Mend

#: Kind of the marks that are corrections of header cards.
MEND = "mend"


class Marks:
    """Decisions and requests of an open ledger."""

    _db: sqlite3.Connection
    _clock: Callable[[], datetime]

    def _journal(self, night: str, what: str, **values: Any) -> None:
        raise NotImplementedError

    def mark(self, kind: str, night: str, subject: str, text: str) -> None:
        """Keep a decision until `unmark`."""
        now = stamp(self._clock)
        with transaction(self._db) as db:
            insert(db, "mark", {"kind": kind, "night": night, "subject": subject, "text": text, "time": now})
        self._journal(night, "mark", kind=kind, subject=subject, text=text, time=now)

    def unmark(self, kind: str, night: str, subject: str) -> bool:
        """Take a decision back; False if there was none."""
        with transaction(self._db) as db:
            gone = db.execute(
                "DELETE FROM mark WHERE kind = ? AND night = ? AND subject = ?", (kind, night, subject)
            ).rowcount
        if gone:
            self._journal(night, "unmark", kind=kind, subject=subject)
        return bool(gone)

    def marks(self, night: str, kind: str | None = None) -> list[Mark]:
        """Decisions about a night, the oldest first."""
        rows = self._db.execute("SELECT * FROM mark WHERE night = ? ORDER BY time, subject", (night,))
        return [Mark(**dict(row)) for row in rows if kind in (None, row["kind"])]

    def nights_marked(self, kind: str) -> set[str]:
        """Nights that have a decision of this kind."""
        return {row["night"] for row in self._db.execute("SELECT DISTINCT night FROM mark WHERE kind = ?", (kind,))}

    def ask(self, verb: str, night: str, subject: str, who: str, cards: str = "") -> int:
        """Leave a request for the holder of the lock; its number. Any process may.

        Parameters
        ----------
        cards : str
            For "mend" what is to be corrected, as JSON.
        """
        with transaction(self._db) as db:
            row = db.execute(
                "INSERT INTO request (time, verb, night, subject, who, cards) VALUES (?, ?, ?, ?, ?, ?)",
                (stamp(self._clock), verb, night, subject, who, cards),
            )
            return int(row.lastrowid or 0)

    def requests(self) -> list[Request]:
        """Requests that nobody has answered yet, the oldest first.

        Any process may have written them: each value is taken as bytes, and becomes text that can be kept and printed.
        """
        names = ("time", "verb", "night", "subject", "who", "cards")
        columns = ", ".join(f"CAST({name} AS BLOB) AS {name}" for name in names)
        rows = self._db.execute(f"SELECT id, {columns} FROM request WHERE answer IS NULL ORDER BY id")
        return [request_row(row, now=stamp(self._clock)) for row in rows]

    def answer(self, number: int, text: str) -> None:
        """A request was carried out, or refused."""
        with transaction(self._db) as db:
            db.execute("UPDATE request SET answer = ? WHERE id = ?", (text, number))

    def answer_to(self, number: int) -> str | None:
        """The answer to a request; None while it is open."""
        row = self._db.execute("SELECT answer FROM request WHERE id = ?", (number,)).fetchone()
        return None if row is None else row["answer"]

    # corrections of header cards

    def mend(self, night: str, mend: Mend) -> None:
        """Keep a corrected card; `night` is that of the frames by the time in their names."""
        self.mark(MEND, night, mend.subject, mend.to_text())

    def mends(self, night: str) -> list[Mend]:
        """The corrected cards of a night's frames."""
        return [Mend.from_text(mark.subject, mark.text) for mark in self.marks(night, MEND)]
