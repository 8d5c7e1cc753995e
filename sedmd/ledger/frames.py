"""Raw files in the ledger, and the raw directories that were seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from sedmd.ledger.records import FrameRow, KnownFile, frame_row, frame_to_json
from sedmd.ledger.sqlite import insert, time_of, transaction
from sedmd.ledger.store import Store
from sedmd.raw.rawname import stem_of


class FrameTable:
    """Raw files of all nights."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, row: FrameRow) -> None:
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
        with transaction(self._store.db) as db:
            insert(db, "frame", values)
            self._store.event(row.night, stem_of(row.path) + name, row.describe())
        self._store.to_journal(row.night, "frame", row=values)

    def of_night(self, night: str) -> list[FrameRow]:
        """All files of a night."""
        rows = self._store.db.execute("SELECT * FROM frame WHERE night = ? ORDER BY path", (night,))
        return [frame_row(row) for row in rows]

    def all(self) -> list[FrameRow]:
        """All files of all nights."""
        return [frame_row(row) for row in self._store.db.execute("SELECT * FROM frame ORDER BY path")]

    def with_checksum(self, checksum: str, *, at_most: int = -1) -> list[FrameRow]:
        """Places at which a frame of this checksum was found: all, or so many."""
        rows = self._store.db.execute("SELECT * FROM frame WHERE checksum = ? LIMIT ?", (checksum, at_most))
        return [frame_row(row) for row in rows]

    def at(self, paths: Iterable[Path]) -> list[FrameRow]:
        """The files at these places."""
        rows = (self._store.db.execute("SELECT * FROM frame WHERE path = ?", (str(path),)).fetchone() for path in paths)
        return [frame_row(row) for row in rows if row is not None]

    def named(self, night: str, stem: str) -> list[FrameRow]:
        """The files of a night whose name without suffixes is `stem`."""
        rows = self._store.db.execute(
            "SELECT * FROM frame WHERE night = ? AND instr(path, ?) > 0 ORDER BY path", (night, f"/{stem}.fits")
        )
        return [row for row in map(frame_row, rows) if stem_of(row.path) == stem]

    def drop(self, row: FrameRow, why: str) -> None:
        """Forget a file that is no longer where it was."""
        with transaction(self._store.db) as db:
            db.execute("DELETE FROM frame WHERE path = ?", (str(row.path),))
            self._store.event(row.night, stem_of(row.path), why)
        self._store.to_journal(row.night, "drop frame", path=str(row.path))

    def set_state(self, row: FrameRow, state: str, reason: str) -> None:
        """Take a frame out ("forgotten") or back ("good"); what was read of it stays."""
        with transaction(self._store.db) as db:
            db.execute("UPDATE frame SET state = ?, reason = ? WHERE path = ?", (state, reason, str(row.path)))
            self._store.event(row.night, stem_of(row.path), f"{state}: {reason}" if reason else state)
        self._store.to_journal(row.night, "frame state", path=str(row.path), state=state, reason=reason)

    def known_files(self, folder: Path | None = None) -> dict[Path, KnownFile]:
        """Every file ever registered, or those directly or deeper in `folder`."""
        where, values = (
            ("WHERE path >= ? AND path < ?", (f"{folder}/", f"{folder}0")) if folder is not None else ("", ())
        )
        rows = self._store.db.execute(f"SELECT path, size, mtime_ns, rules, state FROM frame {where}", values)
        return {
            Path(row["path"]): KnownFile(
                size=row["size"], mtime_ns=row["mtime_ns"], rules=row["rules"], state=row["state"]
            )
            for row in rows
        }

    def nights(self) -> list[str]:
        """Nights that have frames, oldest first."""
        # steps from night to night through the index; DISTINCT would read every frame of ten years
        rows = self._store.db.execute(
            "WITH RECURSIVE step(night) AS (SELECT min(night) FROM frame WHERE night > '' UNION ALL"
            " SELECT (SELECT min(night) FROM frame WHERE frame.night > step.night) FROM step WHERE night IS NOT NULL)"
            " SELECT night FROM step WHERE night IS NOT NULL"
        )
        return [row[0] for row in rows]

    def last_arrival(self, night: str) -> datetime | None:
        """When the newest frame of a night was found whole."""
        (text,) = self._store.db.execute("SELECT max(arrived) FROM frame WHERE night = ?", (night,)).fetchone()
        return time_of(text)

    def folders(self) -> dict[str, int]:
        """Raw night directories that were seen: path -> mtime in ns."""
        return {row["path"]: row["mtime_ns"] for row in self._store.db.execute("SELECT path, mtime_ns FROM folder")}

    def put_folders(self, seen: Mapping[str, int]) -> None:
        """Remember raw night directories."""
        with transaction(self._store.db) as db:
            db.executemany("INSERT OR REPLACE INTO folder (path, mtime_ns) VALUES (?, ?)", list(seen.items()))
