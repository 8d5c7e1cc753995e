"""Requests of operators to the process that holds the lock, in the ledger."""

from __future__ import annotations

from sedmd.ledger.records import Request, request_row
from sedmd.ledger.sqlite import transaction
from sedmd.ledger.store import Store


class RequestTable:
    """Requests and their answers. Any process may ask; the holder of the lock answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, verb: str, night: str, subject: str, who: str, cards: str = "") -> int:
        """Leave a request for the holder of the lock; its number. Any process may.

        Parameters
        ----------
        cards : str
            For "mend" what is to be corrected, as JSON.
        """
        with transaction(self._store.db) as db:
            row = db.execute(
                "INSERT INTO request (time, verb, night, subject, who, cards) VALUES (?, ?, ?, ?, ?, ?)",
                (self._store.now(), verb, night, subject, who, cards),
            )
            return int(row.lastrowid or 0)

    def open(self) -> list[Request]:
        """Requests that nobody has answered yet, the oldest first.

        Any process may have written them: each value is taken as bytes, and becomes text that can be kept and printed.
        """
        names = ("time", "verb", "night", "subject", "who", "cards")
        columns = ", ".join(f"CAST({name} AS BLOB) AS {name}" for name in names)
        rows = self._store.db.execute(f"SELECT id, {columns} FROM request WHERE answer IS NULL ORDER BY id")
        return [request_row(row, now=self._store.now()) for row in rows]

    def answer(self, number: int, text: str) -> None:
        """A request was carried out, or refused."""
        with transaction(self._store.db) as db:
            db.execute("UPDATE request SET answer = ? WHERE id = ?", (text, number))

    def answer_to(self, number: int) -> str | None:
        """The answer to a request; None while it is open."""
        row = self._store.db.execute("SELECT answer FROM request WHERE id = ?", (number,)).fetchone()
        return None if row is None else row["answer"]
