"""What was sent to whom, and what still has to be: a table of the ledger, written by the process that holds the
sender's lock.

It lives beside the service's own tables, so it may be written while the service runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from sedmd.core.errors import ConfigError
from sedmd.host.lock import NoState, single_instance
from sedmd.ledger.sqlite import insert, open_database, stamp, time_of, transaction

#: queued: to be sent; sending: an attempt is under way, or was cut off; waiting: not before a time; refused: would be
#: again; sent: the receiver has confirmed it; dropped: the spectrum changed, or may no longer go, before it was sent;
#: withdrawn: the receiver was asked to delete it, and did.
QUEUED, SENDING, WAITING, REFUSED, SENT, DROPPED = "queued", "sending", "waiting", "refused", "sent", "dropped"
WITHDRAWN = "withdrawn"
OPEN = (QUEUED, SENDING, WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One content for one receiver.

    Attributes
    ----------
    beside : str
        Digest of what went along with it.
    tries : int
        Attempts so far.
    """

    service: str
    night: str
    product: str
    content: str
    state: str
    receipt: str
    reason: str
    beside: str
    tries: int
    not_before: datetime | None
    changed: datetime


@contextmanager
def sender(state: Path, kind: str) -> Iterator[None]:
    """Be the only one who sends this kind ("upload", "mail") from this redux root.

    Raises
    ------
    Locked
        Another process does.
    ConfigError
        This user may not.
    """
    text = f"another sedmd (process {{holder}}) is sending ({kind}); wait until it ends and try again"
    name = f"{kind}.lock"
    with ExitStack() as stack:
        try:
            stack.enter_context(single_instance(state, name=name, message=text))
        except NoState as error:
            raise ConfigError(f"{error}; run this as the service's user") from None
        yield


class Deliveries:
    """Open with `Deliveries.open`; use as a context manager."""

    def __init__(self, connection: sqlite3.Connection | None, clock: Callable[[], datetime]) -> None:
        self._db = connection
        self._clock = clock

    @classmethod
    def open(cls, state: Path, *, clock: Callable[[], datetime], read_only: bool = False) -> Self:
        """The deliveries of a state directory; read-only, a ledger that is not there is an empty one."""
        path = state / "ledger.sqlite"
        if read_only and not path.exists():
            return cls(None, clock)
        return cls(open_database(path, read_only=read_only, check=False), clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._db is not None:
            self._db.close()

    def find(self, service: str, night: str, product: str, content: str) -> Delivery | None:
        """What is known of exactly this content."""
        found = [one for one in self.of_night(service, night) if (one.product, one.content) == (product, content)]
        return found[0] if found else None

    def of_night(self, service: str, night: str) -> list[Delivery]:
        """Everything of a night for a receiver, by product, the oldest change first."""
        return self._rows("service = ? AND night = ?", service, night)

    def open_nights(self, service: str) -> list[str]:
        """Nights of which something still has to be sent."""
        marks = ", ".join("?" * len(OPEN))
        return sorted({one.night for one in self._rows(f"service = ? AND state IN ({marks})", service, *OPEN)})

    def put(
        self,
        service: str,
        night: str,
        product: str,
        content: str,
        state: str,
        *,
        text: str,
        receipt: str = "",
        reason: str = "",
        beside: str = "",
        tries: int = 0,
        not_before: datetime | None = None,
    ) -> None:
        """Set where a content stands; `text` goes into the story of the product."""
        assert self._db is not None, "opened for reading"
        now = stamp(self._clock)
        values = {
            "service": service,
            "night": night,
            "product": product,
            "content": content,
            "state": state,
            "receipt": receipt,
            "reason": reason,
            "beside": beside,
            "tries": tries,
            "not_before": not_before.isoformat() if not_before is not None else None,
            "changed": now,
        }
        with transaction(self._db) as db:
            insert(db, "delivery", values)
            event = (now, night, product, text)
            db.execute("INSERT INTO event (time, night, subject, text) VALUES (?, ?, ?, ?)", event)

    def _rows(self, where: str, *values: str) -> list[Delivery]:
        if self._db is None:
            return []
        rows = self._db.execute(f"SELECT * FROM delivery WHERE {where} ORDER BY product, changed", values)
        return [
            Delivery(
                **{key: row[key] for key in row.keys() if key not in ("not_before", "changed")},  # noqa: SIM118
                not_before=time_of(row["not_before"]),
                changed=datetime.fromisoformat(row["changed"]),
            )
            for row in rows
        ]
