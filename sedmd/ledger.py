"""The only memory: frames, jobs, products and events in one SQLite file. All SQL is here.

Written by one process (the holder of the lock of the redux root), read by any number.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from sedmd.errors import SedmError
from sedmd.frames import Frame, Kind
from sedmd.job import Job
from sedmd.planner import Record
from sedmd.worker import Outcome, Product

MIGRATIONS = (
    (
        "1: frames, jobs, products, events",
        """
        CREATE TABLE frame (
            path TEXT PRIMARY KEY, night TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
            size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, arrived TEXT NOT NULL,
            rules TEXT NOT NULL, checksum TEXT NOT NULL, body TEXT
        );
        CREATE INDEX frame_checksum ON frame (checksum);
        CREATE INDEX frame_night ON frame (night);
        CREATE TABLE job (
            key TEXT PRIMARY KEY, night TEXT NOT NULL, step TEXT NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '', tries INTEGER NOT NULL DEFAULT 0,
            not_before TEXT, started TEXT, ended TEXT, seconds REAL, figures TEXT NOT NULL DEFAULT '{}',
            warnings TEXT NOT NULL DEFAULT '[]'
        );
        CREATE INDEX job_night ON job (night);
        CREATE TABLE product (
            path TEXT PRIMARY KEY, night TEXT NOT NULL, name TEXT NOT NULL, job TEXT NOT NULL, role TEXT NOT NULL,
            sha256 TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, made TEXT NOT NULL
        );
        CREATE INDEX product_night ON product (night);
        CREATE TABLE event (
            id INTEGER PRIMARY KEY, time TEXT NOT NULL, night TEXT NOT NULL, subject TEXT NOT NULL, text TEXT NOT NULL
        );
        CREATE INDEX event_subject ON event (subject);
        """,
    ),
    (
        "2: the versions of the steps, so that status need not load them",
        "CREATE TABLE step (name TEXT PRIMARY KEY, version TEXT NOT NULL);",
    ),
)


class LedgerError(SedmError):
    """The ledger cannot be used; the text names the file and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRow:
    """A raw file as the ledger knows it.

    Attributes
    ----------
    state : str
        "good" (`frame` is set), "quarantined" or "incomplete".
    """

    path: Path
    night: str
    state: str
    reason: str
    size: int
    mtime_ns: int
    arrived: datetime
    rules: str = ""
    frame: Frame | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """By which a file is recognised as read already: size in bytes, mtime in ns, rules of reading; and its state."""

    size: int
    mtime_ns: int
    rules: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job that was started at least once."""

    key: str
    night: str
    step: str
    label: str
    state: str
    reason: str
    detail: str
    tries: int
    seconds: float | None
    ended: str | None
    figures: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Ledger:
    """Open with `Ledger.open`; use as a context manager.

    Parameters
    ----------
    connection : sqlite3.Connection
    clock : callable
        Returns the time now, UTC.
    """

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._db = connection
        self._clock = clock

    @classmethod
    def open(cls, path: Path | str, *, clock: Callable[[], datetime], read_only: bool = False) -> Self:
        """Open the ledger, make or migrate it; ``":memory:"`` gives one that is forgotten.

        Raises
        ------
        LedgerError
            If the file is no ledger, is newer than this program, or cannot be written.
        """
        try:
            connection = _connect(path, read_only=read_only)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(_unusable(path, error)) from error
        try:
            if not read_only:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA busy_timeout = 10000")
            ledger = cls(connection, clock)
            ledger._migrate(path, read_only=read_only)
        except sqlite3.Error as error:
            connection.close()
            raise LedgerError(_unusable(path, error)) from error
        except LedgerError:
            connection.close()
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    # frames

    def put_frame(self, row: FrameRow) -> None:
        """Register a raw file, or replace what is known of it."""
        body = None if row.frame is None else _frame_to_json(row.frame)
        with self._write() as db:
            db.execute(
                "INSERT OR REPLACE INTO frame"
                " (path, night, state, reason, size, mtime_ns, arrived, rules, checksum, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    str(row.path),
                    row.night,
                    row.state,
                    row.reason,
                    row.size,
                    row.mtime_ns,
                    row.arrived.isoformat(),
                    row.rules,
                    row.frame.checksum if row.frame is not None else "",
                    body,
                ),
            )
            name = f" {row.frame.name}" if row.frame is not None and row.frame.kind.on_sky else ""
            self._event(db, row.night, row.path.name.removesuffix(".fits") + name, _frame_text(row))

    def frames(self, night: str | None = None) -> list[FrameRow]:
        """All files of a night, or of all nights."""
        where, values = ("WHERE night = ?", (night,)) if night is not None else ("", ())
        rows = self._db.execute(f"SELECT * FROM frame {where} ORDER BY path", values)
        return [_frame_row(row) for row in rows]

    def places_of(self, checksum: str) -> list[FrameRow]:
        """Every place at which a frame of this checksum was found."""
        return [_frame_row(row) for row in self._db.execute("SELECT * FROM frame WHERE checksum = ?", (checksum,))]

    def drop_frame(self, row: FrameRow, why: str) -> None:
        """Forget a file that is no longer where it was."""
        with self._write() as db:
            db.execute("DELETE FROM frame WHERE path = ?", (str(row.path),))
            self._event(db, row.night, row.path.name.removesuffix(".fits"), why)

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
        return [row[0] for row in self._db.execute("SELECT DISTINCT night FROM frame WHERE night != '' ORDER BY night")]

    # jobs

    def records(self, night: str) -> dict[str, Record]:
        """What the planner needs to know of the night's jobs."""
        rows = self._db.execute("SELECT key, state, reason, tries, not_before FROM job WHERE night = ?", (night,))
        return {
            row["key"]: Record(
                state=row["state"], reason=row["reason"], tries=row["tries"], not_before=_time(row["not_before"])
            )
            for row in rows
        }

    def jobs(self, night: str) -> list[JobRow]:
        """All jobs of a night that were ever started, the last to end last."""
        rows = self._db.execute("SELECT * FROM job WHERE night = ? ORDER BY ended IS NULL, ended, key", (night,))
        return [
            JobRow(
                **{name: row[name] for name in ("key", "night", "step", "label", "state", "reason", "detail", "tries")},
                seconds=row["seconds"],
                ended=row["ended"],
                figures=json.loads(row["figures"]),
                warnings=tuple(json.loads(row["warnings"])),
            )
            for row in rows
        ]

    def start(self, key: str, job: Job) -> None:
        """The job is handed to a worker."""
        now = self._now()
        with self._write() as db:
            db.execute(
                "INSERT INTO job (key, night, step, label, state, started) VALUES (?, ?, ?, ?, 'running', ?)"
                " ON CONFLICT (key) DO UPDATE SET state = 'running', reason = '', detail = '',"
                " started = excluded.started, ended = NULL, not_before = NULL",
                (key, job.night, job.step, job.label, now),
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
    ) -> None:
        """The job ended: its row, its products and the event in one transaction.

        Parameters
        ----------
        state : str
            "done", "retry", "failed", "quarantined" or "awaiting observer".
        charge : bool
            Count this as a try.
        """
        with self._write() as db:
            db.execute(
                "UPDATE job SET state = ?, reason = ?, detail = ?, tries = tries + ?, not_before = ?, ended = ?,"
                " seconds = ?, figures = ?, warnings = ? WHERE key = ?",
                (
                    state,
                    outcome.reason,
                    outcome.detail,
                    int(charge),
                    not_before.isoformat() if not_before else None,
                    self._now(),
                    outcome.seconds,
                    json.dumps(dict(outcome.figures), default=str),
                    json.dumps(list(outcome.warnings)),
                    key,
                ),
            )
            for product in outcome.products:
                self._register(db, key, job.night, product)
            text = f"{job.step} {state}" + (f": {outcome.reason}" if outcome.reason else f" in {outcome.seconds:.1f} s")
            self._event(db, job.night, job.label, text)

    def release_running(self) -> int:
        """Jobs that were running when the last process died are forgotten, so that they become due; how many."""
        with self._write() as db:
            return db.execute("DELETE FROM job WHERE state = 'running'").rowcount

    def release(self, key: str) -> None:
        """A job that was stopped on purpose becomes due again; no try is charged."""
        with self._write() as db:
            db.execute("DELETE FROM job WHERE key = ? AND state = 'running' AND tries = 0", (key,))
            db.execute("UPDATE job SET state = 'retry', not_before = NULL WHERE key = ? AND state = 'running'", (key,))

    def forget_failures(self, nights: Iterable[str]) -> int:
        """Failed jobs (not quarantined ones) of these nights become due again; how many."""
        count = 0
        with self._write() as db:
            for night in nights:
                count += db.execute(
                    "DELETE FROM job WHERE night = ? AND state IN ('failed', 'retry')", (night,)
                ).rowcount
        return count

    # versions of the steps

    def put_versions(self, versions: Mapping[str, object]) -> None:
        """Remember the versions of the steps that this program runs."""
        with self._write() as db:
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

    def forget_product(self, path: Path, night: str, why: str) -> None:
        """A product is gone or superseded; its job becomes due if the plan still wants it."""
        with self._write() as db:
            db.execute("DELETE FROM product WHERE path = ?", (str(path),))
            self._event(db, night, path.name, why)

    # events

    def note(self, night: str, subject: str, text: str) -> None:
        """Add a sentence to the story of a frame, target or product."""
        with self._write() as db:
            self._event(db, night, subject, text)

    def story(self, subject: str) -> list[tuple[str, str, str, str]]:
        """Events (time, night, subject, text) in which `subject` is named, oldest first."""
        like = "%" + subject.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._db.execute(
            "SELECT time, night, subject, text FROM event WHERE subject LIKE ? ESCAPE '\\' ORDER BY id", (like,)
        )
        return [(row["time"], row["night"], row["subject"], row["text"]) for row in rows]

    # the inside

    def _register(self, db: sqlite3.Connection, key: str, night: str, product: Product) -> None:
        db.execute(
            "INSERT OR REPLACE INTO product (path, night, name, job, role, sha256, size, mtime_ns, made)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                str(product.path),
                night,
                product.path.name,
                key,
                product.role,
                product.sha256,
                product.size,
                product.mtime_ns,
                self._now(),
            ),
        )

    def _event(self, db: sqlite3.Connection, night: str, subject: str, text: str) -> None:
        db.execute(
            "INSERT INTO event (time, night, subject, text) VALUES (?, ?, ?, ?)", (self._now(), night, subject, text)
        )

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _migrate(self, path: Path | str, *, read_only: bool) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            msg = f"ledger {path} has version {version}, this sedmd knows {len(MIGRATIONS)}; install the newer sedmd"
            raise LedgerError(msg)
        if read_only:
            if version < len(MIGRATIONS):
                msg = (
                    f"ledger {path} has version {version}, {len(MIGRATIONS)} expected; start the service to migrate it"
                )
                raise LedgerError(msg)
            return
        for number in range(version, len(MIGRATIONS)):
            self._db.executescript(f"BEGIN; {MIGRATIONS[number][1]} PRAGMA user_version = {number + 1}; COMMIT;")


def _connect(path: Path | str, *, read_only: bool) -> sqlite3.Connection:
    if read_only:
        # without a -wal file nobody writes, and a reader without write permission needs no shared memory
        quiet = "" if Path(f"{path}-wal").exists() else "&immutable=1"
        connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro{quiet}", uri=True, isolation_level=None)
    else:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _unusable(path: Path | str, error: Exception) -> str:
    return f"ledger {path}: {error}; expected a SQLite file on a local disk. Move it away to start anew"


def _frame_to_json(frame: Frame) -> str:
    body = asdict(frame)
    body["path"] = str(frame.path)
    body["start"] = frame.start.isoformat()
    return json.dumps(body)


def _frame_from_json(text: str) -> Frame:
    body = json.loads(text)
    known = {entry.name for entry in fields(Frame)}
    body = {name: value for name, value in body.items() if name in known}
    body |= {
        "path": Path(body["path"]),
        "kind": Kind(body["kind"]),
        "start": datetime.fromisoformat(body["start"]),
        "notes": tuple(body["notes"]),
    }
    return Frame(**body)


def _frame_row(row: sqlite3.Row) -> FrameRow:
    return FrameRow(
        path=Path(row["path"]),
        night=row["night"],
        state=row["state"],
        reason=row["reason"],
        size=row["size"],
        mtime_ns=row["mtime_ns"],
        arrived=datetime.fromisoformat(row["arrived"]),
        rules=row["rules"],
        frame=_frame_from_json(row["body"]) if row["body"] else None,
    )


def _frame_text(row: FrameRow) -> str:
    if row.frame is None:
        return f"{row.state}: {row.reason}"
    frame = row.frame
    what = f"ignored: {frame.reason}" if frame.kind is Kind.IGNORED else f"{frame.kind}, {frame.object!r}"
    return f"found whole: {what}" + (f" ({'; '.join(frame.notes)})" if frame.notes else "")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
