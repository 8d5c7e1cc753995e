"""What happened, in sentences: the history of each frame, target and product."""

from __future__ import annotations

from sedmd.ledger.sqlite import transaction
from sedmd.ledger.store import Store


class EventTable:
    """Events of all nights; none is ever removed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, night: str, subject: str, text: str) -> None:
        """Add a sentence to the story of a frame, target or product."""
        with transaction(self._store.db):
            self._store.event(night, subject, text)

    def last_note(self, night: str, subject: str, begins: str) -> str | None:
        """The newest sentence about exactly this subject that begins so."""
        row = self._store.db.execute(
            "SELECT text FROM event WHERE subject = ? AND night = ? AND substr(text, 1, ?) = ?"
            " ORDER BY id DESC LIMIT 1",
            (subject, night, len(begins), begins),
        ).fetchone()
        return None if row is None else row["text"]

    def story(self, subject: str) -> list[tuple[str, str, str, str]]:
        """Events (time, night, subject, text) in which `subject` is named, oldest first."""
        like = "%" + subject.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._store.db.execute(
            "SELECT time, night, subject, text FROM event WHERE subject LIKE ? ESCAPE '\\' ORDER BY id", (like,)
        )
        return [(row["time"], row["night"], row["subject"], row["text"]) for row in rows]
