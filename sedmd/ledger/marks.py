"""Decisions that stay, in the ledger: what is held, accepted, corrected, decided by an observer."""

from __future__ import annotations

from sedmd.ledger.records import Mark
from sedmd.ledger.sqlite import insert, transaction
from sedmd.ledger.store import Store
from sedmd.raw.mends import Mend

#: Kind of the marks that are corrections of header cards.
MEND = "mend"


class MarkTable:
    """Decisions about all nights."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, kind: str, night: str, subject: str, text: str) -> None:
        """Keep a decision until `remove`."""
        now = self._store.now()
        with transaction(self._store.db) as db:
            insert(db, "mark", {"kind": kind, "night": night, "subject": subject, "text": text, "time": now})
        self._store.to_journal(night, "mark", kind=kind, subject=subject, text=text, time=now)

    def remove(self, kind: str, night: str, subject: str) -> bool:
        """Take a decision back; False if there was none."""
        with transaction(self._store.db) as db:
            gone = db.execute(
                "DELETE FROM mark WHERE kind = ? AND night = ? AND subject = ?", (kind, night, subject)
            ).rowcount
        if gone:
            self._store.to_journal(night, "unmark", kind=kind, subject=subject)
        return bool(gone)

    def of_night(self, night: str, kind: str | None = None) -> list[Mark]:
        """Decisions about a night, the oldest first."""
        rows = self._store.db.execute("SELECT * FROM mark WHERE night = ? ORDER BY time, subject", (night,))
        return [Mark(**dict(row)) for row in rows if kind in (None, row["kind"])]

    def nights(self, kind: str) -> set[str]:
        """Nights that have a decision of this kind."""
        rows = self._store.db.execute("SELECT DISTINCT night FROM mark WHERE kind = ?", (kind,))
        return {row["night"] for row in rows}

    def put_mend(self, night: str, mend: Mend) -> None:
        """Keep a corrected card; `night` is that of the frames by the time in their names."""
        self.put(MEND, night, mend.subject, mend.to_text())

    def mends(self, night: str) -> list[Mend]:
        """The corrected cards of a night's frames."""
        return [Mend.from_text(mark.subject, mark.text) for mark in self.of_night(night, MEND)]
