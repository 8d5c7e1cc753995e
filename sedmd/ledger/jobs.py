"""Jobs in the ledger: what was started, how it ended, and the versions of the steps that did it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sedmd.core.job import Job, Outcome
from sedmd.ledger.products import ProductTable
from sedmd.ledger.records import JobRow, Record, job_row
from sedmd.ledger.sqlite import insert, time_of, transaction
from sedmd.ledger.store import Store

Inputs = Iterable[tuple[str, str]]


class JobTable:
    """Jobs of all nights; a job that ends registers its products in the same transaction."""

    def __init__(self, store: Store, products: ProductTable) -> None:
        self._store = store
        self._products = products

    def records(self, night: str) -> dict[str, Record]:
        """What the planner needs to know of the night's jobs."""
        rows = self._store.db.execute(
            "SELECT key, state, reason, tries, not_before,"
            " CASE WHEN step IN ('traces', 'wavelength') THEN figures ELSE '{}' END AS figures"
            " FROM job WHERE night = ?",
            (night,),
        )
        return {
            row["key"]: Record(
                state=row["state"],
                reason=row["reason"],
                tries=row["tries"],
                not_before=time_of(row["not_before"]),
                figures=json.loads(row["figures"]),
            )
            for row in rows
        }

    def of_night(self, night: str) -> list[JobRow]:
        """All jobs of a night that were ever started, the last to end last."""
        rows = self._store.db.execute("SELECT * FROM job WHERE night = ? ORDER BY ended IS NULL, ended, key", (night,))
        return [job_row(row) for row in rows]

    def nights_with(self, step: str, *, since: str, before: str) -> Iterator[str]:
        """Nights from `since` on and earlier than `before` in which a job of `step` was done, newest first."""
        rows = self._store.db.execute(
            "SELECT DISTINCT night FROM job WHERE step = ? AND night >= ? AND night < ? AND state = 'done'"
            " ORDER BY night DESC",
            (step, since, before),
        )
        for row in rows:
            yield row["night"]

    def done(self, night: str, steps: Iterable[str]) -> list[JobRow]:
        """Jobs of these steps that were done in a night and whose products are still the current ones."""
        wanted = tuple(steps)
        rows = self._store.db.execute(
            f"SELECT * FROM job WHERE night = ? AND state = 'done' AND step IN ({','.join('?' * len(wanted))})"
            " AND key IN (SELECT job FROM product WHERE night = ?)",
            (night, *wanted, night),
        )
        return [job_row(row) for row in rows]

    def start(
        self, key: str, job: Job, *, inputs: Inputs = (), owner: str = "", lease_until: datetime | None = None
    ) -> None:
        """The job is handed to a worker: `owner` has it until `lease_until`."""
        with transaction(self._store.db) as db:
            db.execute(
                "INSERT INTO job (key, night, step, label, state, started, inputs, owner, lease_until)"
                " VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET state = 'running', reason = '', detail = '',"
                " started = excluded.started, owner = excluded.owner, lease_until = excluded.lease_until,"
                " ended = NULL, not_before = NULL",
                (
                    key,
                    job.night,
                    job.step,
                    job.label,
                    self._store.now(),
                    json.dumps(sorted(inputs)),
                    owner,
                    lease_until.isoformat() if lease_until else None,
                ),
            )

    def finish(
        self,
        key: str,
        job: Job,
        outcome: Outcome,
        *,
        state: str,
        not_before: datetime | None = None,
        charge: bool = True,
        owner: str = "",
    ) -> bool:
        """The job ended: its row, its products and the event in one transaction.

        Parameters
        ----------
        state : str
            "done", "retry", "failed", "quarantined" or "awaiting observer".
        charge : bool
            Count this as a try.
        owner : str
            Who started it.

        Returns
        -------
        bool
            False, and nothing is booked, if the job is no longer this owner's: its lease ran out and it was given to
            somebody else, or an operator took it back.
        """
        values = {
            "state": state,
            "reason": outcome.reason,
            "detail": outcome.detail,
            "not_before": not_before.isoformat() if not_before else None,
            "ended": self._store.now(),
            "seconds": outcome.seconds,
            "figures": json.dumps(dict(outcome.figures), default=str),
            "warnings": json.dumps(list(outcome.warnings)),
        }
        with transaction(self._store.db) as db:
            sets = ", ".join(f"{name} = :{name}" for name in values)
            booked = db.execute(
                f"UPDATE job SET {sets}, tries = tries + :charge, lease_until = NULL"
                " WHERE key = :key AND state = 'running' AND owner = :owner",
                values | {"charge": int(charge), "key": key, "owner": owner},
            ).rowcount
            if not booked:
                return False
            for product in outcome.products:
                self._products.register(key, job.night, product)
            text = f"{job.step} {state}" + (f": {outcome.reason}" if outcome.reason else f" in {outcome.seconds:.1f} s")
            self._store.event(job.night, job.label, text)
            inputs = json.loads(db.execute("SELECT inputs FROM job WHERE key = ?", (key,)).fetchone()[0])
        made = [
            {"role": one.role, "name": one.path.name, "sha256": one.sha256, "size": one.size}
            for one in outcome.products
        ]
        fixed = {"key": key, "step": job.step, "label": job.label, "inputs": inputs, "products": made}
        self._store.to_journal(job.night, "job", **fixed, **values)
        return True

    def release_running(self, *, owner: str | None = None, expired_at: datetime | None = None) -> int:
        """Running jobs become due again, no try charged; how many.

        Parameters
        ----------
        owner : str, optional
            Only those of others than this one: they died with their process.
        expired_at : datetime, optional
            Only those whose lease ended before this time.
        """
        where, values = "state = 'running'", []
        if owner is not None:
            where, values = f"{where} AND owner != ?", [owner]
        if expired_at is not None:
            where, values = f"{where} AND lease_until < ?", [*values, expired_at.isoformat()]
        with transaction(self._store.db) as db:
            return self._release(db, where, values)

    def release(self, key: str) -> None:
        """A job that was stopped on purpose becomes due again; no try is charged."""
        with transaction(self._store.db) as db:
            self._release(db, "key = ? AND state = 'running'", [key])

    def forget(self, night: str, keys: Iterable[str], why: str = "", *, states: Iterable[str] = ()) -> int:
        """Jobs become due again as if they had never run (those in `states`, or in any but running); how many."""
        wanted = tuple(states)
        clause = f"state IN ({','.join('?' * len(wanted))})" if wanted else "state != 'running'"
        gone: list[str] = []
        with transaction(self._store.db) as db:
            for key in keys:
                row = db.execute(f"SELECT label FROM job WHERE key = ? AND {clause}", (key, *wanted)).fetchone()
                if row is None:
                    continue
                db.execute("DELETE FROM job WHERE key = ?", (key,))
                gone.append(key)
                if why:
                    self._store.event(night, row["label"], why)
        for key in gone:
            self._store.to_journal(night, "forget job", key=key)
        return len(gone)

    def forget_failures(self, nights: Iterable[str]) -> int:
        """Failed jobs (not quarantined ones) of these nights become due again; how many."""
        return sum(self.forget(night, list(self.records(night)), states=("failed", "retry")) for night in nights)

    def forget_failures_with(self, night: str, checksum: str, why: str) -> int:
        """Failed jobs (not quarantined ones) that this frame or product went into become due again; how many."""
        keys = self._store.db.execute("SELECT key FROM job WHERE night = ? AND instr(inputs, ?) > 0", (night, checksum))
        return self.forget(night, [row["key"] for row in keys], why, states=("failed", "retry"))

    def restore(self, key: str, night: str, given: Mapping[str, Any]) -> None:
        """A job as `finish` wrote it into the journal."""
        texts = ("step", "label", "state", "reason", "detail", "ended", "seconds", "figures", "warnings")
        values = {name: given[name] for name in texts}
        with transaction(self._store.db) as db:
            insert(db, "job", {"key": key, "night": night, "tries": 1, "inputs": json.dumps(given["inputs"]), **values})

    def put_versions(self, versions: Mapping[str, object]) -> None:
        """Remember the versions of the steps that this program runs."""
        if self.versions() == {name: str(version) for name, version in versions.items()}:
            return
        with transaction(self._store.db) as db:
            db.execute("DELETE FROM step")
            db.executemany(
                "INSERT INTO step VALUES (?, ?)", [(name, str(version)) for name, version in versions.items()]
            )

    def versions(self) -> dict[str, str]:
        """Versions of the steps of the program that wrote here last."""
        return {row["name"]: row["version"] for row in self._store.db.execute("SELECT name, version FROM step")}

    def _release(self, db: sqlite3.Connection, where: str, values: list[Any]) -> int:
        fresh = db.execute(f"DELETE FROM job WHERE {where} AND tries = 0", values).rowcount
        again = db.execute(f"UPDATE job SET state = 'retry', not_before = NULL WHERE {where}", values).rowcount
        return fresh + again
