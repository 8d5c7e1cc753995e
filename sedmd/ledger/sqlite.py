"""SQLite as the ledger uses it: how a file is opened, brought to the newest tables, and written in one transaction."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sedmd.core.errors import NotNow, SedmError
from sedmd.host.foreign_file import plain
from sedmd.host.lock_holders import Holder, holders_of
from sedmd.host.mounts import free_bytes
from sedmd.ledger.schema import MIGRATIONS

#: Primary error codes of a file that cannot be written at the moment, and of one that is broken.
NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY)
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
#: With so much free space the lack of it is not the trouble of a ledger that cannot be opened or written.
ENOUGH_BYTES = 1_000_000


#: A write-ahead log longer than this is brought into the file and cut [bytes]; by itself it stays below a quarter.
LONG_LOG_BYTES = 16_000_000
#: Bytes of the ``-shm`` file that SQLite locks for those that read (its ``WAL_READ_LOCK``).
READ_LOCKS = (123, 127)
#: So long a process waits for another that writes, seconds.
PATIENCE_S = 10.0


class LedgerError(SedmError):
    """The ledger cannot be used; the text names the file and what to do."""


class LedgerFull(LedgerError, NotNow):
    """The ledger cannot be written now (disk full, quota, I/O error); nothing of the transaction was kept."""


def open_database(path: Path | str, *, read_only: bool, check: bool, wait_s: float = PATIENCE_S) -> sqlite3.Connection:
    """Open the file, make it or bring its tables to the newest version; ``":memory:"`` gives one that is forgotten.

    Parameters
    ----------
    check : bool
        Look through the whole file for damage first.
    wait_s : float
        Longest wait for another process that writes.

    Raises
    ------
    LedgerFull
        If there is no room for it.
    LedgerError
        If the file is no ledger, is damaged, is newer than this program, or cannot be written.
    """
    try:
        connection = _connect(path, read_only=read_only)
    except (sqlite3.Error, OSError) as error:
        raise _unusable(path, error) from error
    try:
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * wait_s)}")
        if check and (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise _unusable(path, found)
        _migrate(connection, path, read_only=read_only)
    except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite quotes what is damaged, which may be no text
        connection.close()
        raise _unusable(path, error) from error
    except LedgerError:
        connection.close()
        raise
    return connection


def see_same(known: Mapping[Path, tuple[int, int]]) -> None:
    """See that the files are still those that `identities` found.

    Raises
    ------
    LedgerError
        If one was removed or replaced: what is written goes where nobody finds it.
    """
    for path, identity in known.items():
        try:
            status = path.stat()
            same = (status.st_dev, status.st_ino) == identity
        except FileNotFoundError:
            same = False
        except OSError:
            continue  # the disk does not say
        if not same:
            msg = (
                f"ledger file {path} was removed or replaced while it was in use; nothing that is written reaches it. "
                "All of it is in the journals: sedmd doctor --rebuild"
            )
            raise LedgerError(msg)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing.

    Raises
    ------
    LedgerFull
        If it cannot be written now.
    LedgerError
        If the file is damaged.
    """
    if connection.in_transaction:  # a part of a larger one
        yield connection
        return
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:  # a full disk rolls back by itself
            connection.execute("ROLLBACK")
        with judged(connection):
            raise error


@contextmanager
def judged(connection: sqlite3.Connection) -> Iterator[None]:
    """What SQLite says of the file, also to who only reads, in a sentence for an operator.

    Raises
    ------
    LedgerFull
        If it cannot be used now.
    LedgerError
        If the file is damaged.
    """
    try:
        yield
    except sqlite3.Error as error:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # faults of the program have no code
        if kind in NO_ROOM:
            raise _full(error, connection) from error
        if kind in DAMAGED:
            msg = f"the ledger is damaged ({plain(str(error))}); stop the service and run: sedmd doctor --rebuild"
            raise LedgerError(msg) from error
        raise
    except UnicodeDecodeError as error:  # SQLite quotes what is damaged, which may be no text
        msg = "the ledger is damaged (what is no text stands in it); stop the service and run: sedmd doctor --rebuild"
        raise LedgerError(msg) from error


def cut_log(connection: sqlite3.Connection) -> str:
    """Bring a long write-ahead log into the file and cut it; who keeps that from being done, empty if nobody does."""
    path = _place(connection)
    log = Path(f"{path}-wal")
    try:
        size = log.stat().st_size if path else 0
    except OSError:
        return ""
    if size <= LONG_LOG_BYTES:
        return ""
    (wait_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        held, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    if not held:
        return ""
    found = [one for one in holders_of(Path(f"{path}-shm"), between=READ_LOCKS) if one.pid not in (0, os.getpid())]
    named = ", ".join(dict.fromkeys(one.describe() for one in found)) or "another process"
    return f"{log.name} has grown to {size / 1e6:.0f} MB: {named} reads the ledger and does not end. End it"


def identities(path: Path | str) -> dict[Path, tuple[int, int]]:
    """Device and inode of a ledger's files, by which one that was removed or replaced is noticed."""
    found = {}
    for one in (Path(path), Path(f"{path}-wal")):
        with suppress(OSError):
            status = one.stat()
            found[one] = (status.st_dev, status.st_ino)
    return found


def see_room(connection: sqlite3.Connection) -> None:
    """Write what is there already once more, and see that there is room for more than that one page.

    Raises
    ------
    LedgerFull
        If there is less, by free space or by quota.
    """
    with transaction(connection):
        connection.execute("UPDATE step SET version = version")
    path = _place(connection)
    if not path:  # it is in memory
        return
    try:
        with tempfile.TemporaryFile(dir=Path(path).parent) as file:
            os.posix_fallocate(file.fileno(), 0, ENOUGH_BYTES)
    except OSError as error:
        raise _full(error) from error


def insert(connection: sqlite3.Connection, table: str, values: Mapping[str, Any]) -> None:
    """Add a row, or replace the one with the same primary key."""
    names = ", ".join(values)
    connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES (:{', :'.join(values)})", values)


def stamp(clock: Callable[[], datetime]) -> str:
    """The time now as it stands in the tables: ISO 8601, UTC, milliseconds."""
    return clock().astimezone(UTC).isoformat(timespec="milliseconds")


def time_of(text: str | None) -> datetime | None:
    """The time of a cell, if there is one."""
    return datetime.fromisoformat(text) if text else None


def _place(connection: sqlite3.Connection) -> str:
    """Where the file is; empty for one in memory."""
    (_, _, path) = connection.execute("PRAGMA database_list").fetchone()
    return str(path)


def _migrate(connection: sqlite3.Connection, path: Path | str, *, read_only: bool) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        msg = f"ledger {path} has version {version}, this sedmd knows {len(MIGRATIONS)}; install the newer sedmd"
        raise LedgerError(msg)
    if read_only:
        if version < len(MIGRATIONS):
            msg = f"ledger {path} has version {version}, {len(MIGRATIONS)} expected; start the service to migrate it"
            raise LedgerError(msg)
        return
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN; {MIGRATIONS[number][1]} PRAGMA user_version = {number + 1}; COMMIT;")


def _connect(path: Path | str, *, read_only: bool) -> sqlite3.Connection:
    if read_only:
        # without a -wal file nobody writes, and a reader without write permission needs no shared memory
        quiet = "" if Path(f"{path}-wal").exists() else "&immutable=1"
        connection = sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro{quiet}", uri=True, isolation_level=None)
    else:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _full(error: BaseException, connection: sqlite3.Connection | None = None) -> LedgerFull:
    code = error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.Error) else None
    if code == sqlite3.SQLITE_BUSY:
        found = _others(connection) if connection is not None else []
        named = ", ".join(one.describe() for one in found) or "another process"
        return LedgerFull(f"the ledger cannot be written now: {named} holds it; expected it for a moment only. End it")
    return LedgerFull(f"the ledger cannot be written now ({error}); expected free space and a disk that works")


def _others(connection: sqlite3.Connection) -> list[Holder]:
    """Other processes with a lock on the file; those that only read are named where nobody writes."""
    path = _place(connection)
    found = holders_of(Path(path), Path(f"{path}-shm")) if path else []
    found = [one for one in found if one.pid not in (0, os.getpid())]
    return [one for one in found if one.writes] or found


def _unusable(path: Path | str, error: object) -> LedgerError:
    """What is wrong with a ledger that cannot be opened: a full disk is not a damaged file."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.Error) else None
    no_room = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if no_room or (code is not None and code & 0xFF in NO_ROOM and not _no_more_room_needed(path)):
        return LedgerFull(f"ledger {path} cannot be opened now ({error}); make room on its disk, then start again")
    if code is not None and code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return LedgerError(f"ledger {path} cannot be opened ({error}); run this as the user of the service")
    return LedgerError(
        f"ledger {path}: {plain(' '.join(str(error).split()))}; expected a SQLite file on a local disk. "
        "Stop the service and make it again from the journals: sedmd doctor --rebuild"
    )


def _no_more_room_needed(path: Path | str) -> bool:
    """True where there is so much room that its lack cannot be the trouble."""
    free = free_bytes(Path(path).absolute().parent)
    return free is not None and free > ENOUGH_BYTES
