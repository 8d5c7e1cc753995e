"""The only memory: frames, jobs, products and events in one SQLite file. All SQL is here.

Written by one process (the holder of the lock of the redux root), read by any number. Other processes may add a
request, which the holder of the lock carries out.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from sedmd.core.job import Job, Outcome, Product
from sedmd.ledger.journal import Journal
from sedmd.ledger.records import FrameRow, JobRow, KnownFile, Mark, Record, Request, frame_row, frame_to_json, job_row
from sedmd.ledger.requests_and_decisions import Marks
from sedmd.ledger.sqlite import (
    PATIENCE_S,
    LedgerError,
    LedgerFull,
    cut_log,
    identities,
    insert,
    judged,
    open_database,
    see_room,
    see_same,
    stamp,
    time_of,
    transaction,
)
from sedmd.raw.rawname import stem_of

Inputs = Iterable[tuple[str, str]]


class Ledger(Marks):
    """Open with `Ledger.open`; use as a context manager.

    Parameters
    ----------
    connection : sqlite3.Connection
    clock : callable
        Returns the time now, UTC.
    journal : Journal or None
        Where the lines are written from which the ledger can be made again.
    """

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], datetime], journal: Journal | None = None
    ) -> None:
        self._db = connection
        self._clock = clock
        self.journal = journal
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
                "it was lost. Make it again from them: sedmd doctor --rebuild; or, to do all anew, remove the journals"
            )
            raise LedgerError(msg)
        return ledger

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
        """What SQLite says of the file in this block is told as `LedgerFull` or `LedgerError`."""
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

    # frames

    def put_frame(self, row: FrameRow) -> None:
        """Register a raw file, or replace what is known of it."""
        values = {
            "path": str(row.path),
            "night": row.night,
            "state": row.state,
            "reason": row.reason,
            "size": row.size,
            "mtime_ns": row.mtime_ns,
            "arrived": row.arrived.isoformat(),
            "rules": row.rules,
            "checksum": row.frame.checksum if row.frame is not None else "",
            "body": None if row.frame is None else frame_to_json(row.frame),
        }
        name = f" {row.frame.name}" if row.frame is not None and row.frame.kind.on_sky else ""
        with transaction(self._db) as db:
            insert(db, "frame", values)
            self._event(db, row.night, stem_of(row.path) + name, row.describe())
        self._journal(row.night, "frame", row=values)

    def frames(self, night: str | None = None) -> list[FrameRow]:
        """All files of a night, or of all nights."""
        where, values = ("WHERE night = ?", (night,)) if night is not None else ("", ())
        rows = self._db.execute(f"SELECT * FROM frame {where} ORDER BY path", values)
        return [frame_row(row) for row in rows]

    def places_of(self, checksum: str, *, at_most: int = -1) -> list[FrameRow]:
        """Places at which a frame of this checksum was found: all, or so many."""
        rows = self._db.execute("SELECT * FROM frame WHERE checksum = ? LIMIT ?", (checksum, at_most))
        return [frame_row(row) for row in rows]

    def files_at(self, paths: Iterable[Path]) -> list[FrameRow]:
        """The files at these places."""
        rows = (self._db.execute("SELECT * FROM frame WHERE path = ?", (str(path),)).fetchone() for path in paths)
        return [frame_row(row) for row in rows if row is not None]

    def named(self, night: str, stem: str) -> list[FrameRow]:
        """The files of a night whose name without suffixes is `stem`."""
        rows = self._db.execute(
            "SELECT * FROM frame WHERE night = ? AND instr(path, ?) > 0 ORDER BY path", (night, f"/{stem}.fits")
        )
        return [row for row in map(frame_row, rows) if stem_of(row.path) == stem]

    def drop_frame(self, row: FrameRow, why: str) -> None:
        """Forget a file that is no longer where it was."""
        with transaction(self._db) as db:
            db.execute("DELETE FROM frame WHERE path = ?", (str(row.path),))
            self._event(db, row.night, stem_of(row.path), why)
        self._journal(row.night, "drop frame", path=str(row.path))

    def set_frame_state(self, row: FrameRow, state: str, reason: str) -> None:
        """Take a frame out ("forgotten") or back ("good"); what was read of it stays."""
        with transaction(self._db) as db:
            db.execute("UPDATE frame SET state = ?, reason = ? WHERE path = ?", (state, reason, str(row.path)))
            self._event(db, row.night, stem_of(row.path), f"{state}: {reason}" if reason else state)
        self._journal(row.night, "frame state", path=str(row.path), state=state, reason=reason)

    def known_files(self, folder: Path | None = None) -> dict[Path, KnownFile]:
        """Every file ever registered, or those directly or deeper in `folder`."""
        where, values = (
            ("WHERE path >= ? AND path < ?", (f"{folder}/", f"{folder}0")) if folder is not None else ("", ())
        )
        rows = self._db.execute(f"SELECT path, size, mtime_ns, rules, state FROM frame {where}", values)
        return {
            Path(row["path"]): KnownFile(
                size=row["size"], mtime_ns=row["mtime_ns"], rules=row["rules"], state=row["state"]
            )
            for row in rows
        }

    def nights(self) -> list[str]:
        """Nights that have frames, oldest first."""
        # steps from night to night through the index; DISTINCT would read every frame of ten years
        rows = self._db.execute(
            "WITH RECURSIVE step(night) AS (SELECT min(night) FROM frame WHERE night > '' UNION ALL"
            " SELECT (SELECT min(night) FROM frame WHERE frame.night > step.night) FROM step WHERE night IS NOT NULL)"
            " SELECT night FROM step WHERE night IS NOT NULL"
        )
        return [row[0] for row in rows]

    def last_arrival(self, night: str) -> datetime | None:
        """When the newest frame of a night was found whole."""
        (text,) = self._db.execute("SELECT max(arrived) FROM frame WHERE night = ?", (night,)).fetchone()
        return time_of(text)

    # raw directories

    def folders(self) -> dict[str, int]:
        """Raw night directories that were seen: path -> mtime in ns."""
        return {row["path"]: row["mtime_ns"] for row in self._db.execute("SELECT path, mtime_ns FROM folder")}

    def put_folders(self, seen: Mapping[str, int]) -> None:
        """Remember raw night directories."""
        with transaction(self._db) as db:
            db.executemany("INSERT OR REPLACE INTO folder (path, mtime_ns) VALUES (?, ?)", list(seen.items()))

    # jobs

    def records(self, night: str) -> dict[str, Record]:
        """What the planner needs to know of the night's jobs."""
        rows = self._db.execute(
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

    def jobs(self, night: str) -> list[JobRow]:
        """All jobs of a night that were ever started, the last to end last."""
        rows = self._db.execute("SELECT * FROM job WHERE night = ? ORDER BY ended IS NULL, ended, key", (night,))
        return [job_row(row) for row in rows]

    def nights_with(self, step: str, *, since: str, before: str) -> Iterator[str]:
        """Nights from `since` on and earlier than `before` in which a job of `step` was done, newest first."""
        rows = self._db.execute(
            "SELECT DISTINCT night FROM job WHERE step = ? AND night >= ? AND night < ? AND state = 'done'"
            " ORDER BY night DESC",
            (step, since, before),
        )
        for row in rows:
            yield row["night"]

    def done_jobs(self, night: str, steps: Iterable[str]) -> list[JobRow]:
        """Jobs of these steps that were done in a night and whose products are still the current ones."""
        wanted = tuple(steps)
        rows = self._db.execute(
            f"SELECT * FROM job WHERE night = ? AND state = 'done' AND step IN ({','.join('?' * len(wanted))})"
            " AND key IN (SELECT job FROM product WHERE night = ?)",
            (night, *wanted, night),
        )
        return [job_row(row) for row in rows]

    def start(
        self, key: str, job: Job, *, inputs: Inputs = (), owner: str = "", lease_until: datetime | None = None
    ) -> None:
        """The job is handed to a worker: `owner` has it until `lease_until`."""
        with transaction(self._db) as db:
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
                    stamp(self._clock),
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
            "ended": stamp(self._clock),
            "seconds": outcome.seconds,
            "figures": json.dumps(dict(outcome.figures), default=str),
            "warnings": json.dumps(list(outcome.warnings)),
        }
        with transaction(self._db) as db:
            sets = ", ".join(f"{name} = :{name}" for name in values)
            booked = db.execute(
                f"UPDATE job SET {sets}, tries = tries + :charge, lease_until = NULL"
                " WHERE key = :key AND state = 'running' AND owner = :owner",
                values | {"charge": int(charge), "key": key, "owner": owner},
            ).rowcount
            if not booked:
                return False
            for product in outcome.products:
                self._register(db, key, job.night, product)
            text = f"{job.step} {state}" + (f": {outcome.reason}" if outcome.reason else f" in {outcome.seconds:.1f} s")
            self._event(db, job.night, job.label, text)
            inputs = json.loads(db.execute("SELECT inputs FROM job WHERE key = ?", (key,)).fetchone()[0])
        made = [
            {"role": one.role, "name": one.path.name, "sha256": one.sha256, "size": one.size}
            for one in outcome.products
        ]
        fixed = {"key": key, "step": job.step, "label": job.label, "inputs": inputs, "products": made}
        self._journal(job.night, "job", **fixed, **values)
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
        with transaction(self._db) as db:
            return self._release(db, where, values)

    def release(self, key: str) -> None:
        """A job that was stopped on purpose becomes due again; no try is charged."""
        with transaction(self._db) as db:
            self._release(db, "key = ? AND state = 'running'", [key])

    def forget_jobs(self, night: str, keys: Iterable[str], why: str = "", *, states: Iterable[str] = ()) -> int:
        """Jobs become due again as if they had never run (those in `states`, or in any but running); how many."""
        wanted = tuple(states)
        clause = f"state IN ({','.join('?' * len(wanted))})" if wanted else "state != 'running'"
        gone: list[str] = []
        with transaction(self._db) as db:
            for key in keys:
                row = db.execute(f"SELECT label FROM job WHERE key = ? AND {clause}", (key, *wanted)).fetchone()
                if row is None:
                    continue
                db.execute("DELETE FROM job WHERE key = ?", (key,))
                gone.append(key)
                if why:
                    self._event(db, night, row["label"], why)
        for key in gone:
            self._journal(night, "forget job", key=key)
        return len(gone)

    def forget_failures(self, nights: Iterable[str]) -> int:
        """Failed jobs (not quarantined ones) of these nights become due again; how many."""
        return sum(self.forget_jobs(night, list(self.records(night)), states=("failed", "retry")) for night in nights)

    def forget_failures_with(self, night: str, checksum: str, why: str) -> int:
        """Failed jobs (not quarantined ones) that this frame or product went into become due again; how many."""
        keys = self._db.execute("SELECT key FROM job WHERE night = ? AND instr(inputs, ?) > 0", (night, checksum))
        return self.forget_jobs(night, [row["key"] for row in keys], why, states=("failed", "retry"))

    # versions of the steps

    def put_versions(self, versions: Mapping[str, object]) -> None:
        """Remember the versions of the steps that this program runs."""
        if self.versions() == {name: str(version) for name, version in versions.items()}:
            return
        with transaction(self._db) as db:
            db.execute("DELETE FROM step")
            db.executemany(
                "INSERT INTO step VALUES (?, ?)", [(name, str(version)) for name, version in versions.items()]
            )

    def versions(self) -> dict[str, str]:
        """Versions of the steps of the program that wrote here last."""
        return {row["name"]: row["version"] for row in self._db.execute("SELECT name, version FROM step")}

    # products

    def products(self, night: str) -> dict[str, str]:
        """File name -> key of the job that made it."""
        return {
            row["name"]: row["job"]
            for row in self._db.execute("SELECT name, job FROM product WHERE night = ?", (night,))
        }

    def product_files(self, night: str) -> dict[Path, tuple[int, int, str]]:
        """Path -> (size, mtime_ns, sha256) of each product of a night."""
        rows = self._db.execute("SELECT path, size, mtime_ns, sha256 FROM product WHERE night = ?", (night,))
        return {Path(row["path"]): (row["size"], row["mtime_ns"], row["sha256"]) for row in rows}

    def adopt_stamp(self, path: Path, *, size: int, mtime_ns: int) -> None:
        """A product's time stamp was changed, its bytes were not."""
        with transaction(self._db) as db:
            db.execute("UPDATE product SET size = ?, mtime_ns = ? WHERE path = ?", (size, mtime_ns, str(path)))

    def origins(self, night: str) -> dict[Path, tuple[str, str, tuple[tuple[str, str], ...]]]:
        """Path of each product of a night -> (key of its job, role, what went into that job as (role, checksum))."""
        rows = self._db.execute(
            "SELECT product.path, product.job, product.role, job.inputs FROM product JOIN job ON product.job = job.key"
            " WHERE product.night = ?",
            (night,),
        )
        return {
            Path(row["path"]): (row["job"], row["role"], tuple((role, sha) for role, sha in json.loads(row["inputs"])))
            for row in rows
        }

    def forget_product(self, path: Path, night: str, why: str) -> None:
        """A product is gone or superseded; its job becomes due if the plan still wants it."""
        with transaction(self._db) as db:
            db.execute("DELETE FROM product WHERE path = ?", (str(path),))
            self._event(db, night, path.name, why)
        self._journal(night, "forget product", name=path.name)

    # what a journal tells

    def restore_job(self, key: str, night: str, told: Mapping[str, Any]) -> None:
        """A job as `finish` wrote it into the journal."""
        texts = ("step", "label", "state", "reason", "detail", "ended", "seconds", "figures", "warnings")
        values = {name: told[name] for name in texts}
        with transaction(self._db) as db:
            insert(db, "job", {"key": key, "night": night, "tries": 1, "inputs": json.dumps(told["inputs"]), **values})

    def restore_product(self, path: Path, night: str, key: str, told: Mapping[str, Any]) -> None:
        """A product as `finish` wrote it into the journal; its file must be there."""
        status = path.stat()
        made = {"role": told["role"], "path": path, "sha256": told["sha256"]}
        with transaction(self._db) as db:
            self._register(db, key, night, Product(**made, size=status.st_size, mtime_ns=status.st_mtime_ns))

    # events

    def note(self, night: str, subject: str, text: str) -> None:
        """Add a sentence to the story of a frame, target or product."""
        with transaction(self._db) as db:
            self._event(db, night, subject, text)

    def last_note(self, night: str, subject: str, begins: str) -> str | None:
        """The newest sentence about exactly this subject that begins so."""
        row = self._db.execute(
            "SELECT text FROM event WHERE subject = ? AND night = ? AND substr(text, 1, ?) = ?"
            " ORDER BY id DESC LIMIT 1",
            (subject, night, len(begins), begins),
        ).fetchone()
        return None if row is None else row["text"]

    def story(self, subject: str) -> list[tuple[str, str, str, str]]:
        """Events (time, night, subject, text) in which `subject` is named, oldest first."""
        like = "%" + subject.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._db.execute(
            "SELECT time, night, subject, text FROM event WHERE subject LIKE ? ESCAPE '\\' ORDER BY id", (like,)
        )
        return [(row["time"], row["night"], row["subject"], row["text"]) for row in rows]

    # the inside

    def _release(self, db: sqlite3.Connection, where: str, values: list[Any]) -> int:
        fresh = db.execute(f"DELETE FROM job WHERE {where} AND tries = 0", values).rowcount
        again = db.execute(f"UPDATE job SET state = 'retry', not_before = NULL WHERE {where}", values).rowcount
        return fresh + again

    def _register(self, db: sqlite3.Connection, key: str, night: str, product: Product) -> None:
        values = {
            "path": str(product.path),
            "night": night,
            "name": product.path.name,
            "job": key,
            "role": product.role,
            "sha256": product.sha256,
            "size": product.size,
            "mtime_ns": product.mtime_ns,
            "made": stamp(self._clock),
        }
        insert(db, "product", values)

    def _event(self, db: sqlite3.Connection, night: str, subject: str, text: str) -> None:
        db.execute(
            "INSERT INTO event (time, night, subject, text) VALUES (?, ?, ?, ?)",
            (stamp(self._clock), night, subject, text),
        )

    def _journal(self, night: str, what: str, **values: Any) -> None:
        if self.journal is not None:
            self.journal.write(night, what, **values)


__all__ = ["FrameRow", "JobRow", "KnownFile", "Ledger", "LedgerError", "LedgerFull", "Mark", "Request"]
