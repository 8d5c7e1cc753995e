"""Products in the ledger: which file was made by which job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sedmd.core.job import Product
from sedmd.ledger.sqlite import insert, transaction
from sedmd.ledger.store import Store


class ProductTable:
    """Products of all nights."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def by_name(self, night: str) -> dict[str, str]:
        """File name -> key of the job that made it."""
        return {
            row["name"]: row["job"]
            for row in self._store.db.execute("SELECT name, job FROM product WHERE night = ?", (night,))
        }

    def files(self, night: str) -> dict[Path, tuple[int, int, str]]:
        """Path -> (size, mtime_ns, sha256) of each product of a night."""
        rows = self._store.db.execute("SELECT path, size, mtime_ns, sha256 FROM product WHERE night = ?", (night,))
        return {Path(row["path"]): (row["size"], row["mtime_ns"], row["sha256"]) for row in rows}

    def adopt_stamp(self, path: Path, *, size: int, mtime_ns: int) -> None:
        """A product's time stamp was changed, its bytes were not."""
        with transaction(self._store.db) as db:
            db.execute("UPDATE product SET size = ?, mtime_ns = ? WHERE path = ?", (size, mtime_ns, str(path)))

    def origins(self, night: str) -> dict[Path, tuple[str, str, tuple[tuple[str, str], ...]]]:
        """Path of each product of a night -> (key of its job, role, what went into that job as (role, checksum))."""
        rows = self._store.db.execute(
            "SELECT product.path, product.job, product.role, job.inputs FROM product JOIN job ON product.job = job.key"
            " WHERE product.night = ?",
            (night,),
        )
        return {
            Path(row["path"]): (row["job"], row["role"], tuple((role, sha) for role, sha in json.loads(row["inputs"])))
            for row in rows
        }

    def forget(self, path: Path, night: str, why: str) -> None:
        """A product is gone or superseded; its job becomes due if the plan still wants it."""
        with transaction(self._store.db) as db:
            db.execute("DELETE FROM product WHERE path = ?", (str(path),))
            self._store.event(night, path.name, why)
        self._store.to_journal(night, "forget product", name=path.name)

    def restore(self, path: Path, night: str, key: str, given: Mapping[str, Any]) -> None:
        """A product as `JobTable.finish` wrote it into the journal; its file must be there."""
        status = path.stat()
        made = {"role": given["role"], "path": path, "sha256": given["sha256"]}
        with transaction(self._store.db):
            self.register(key, night, Product(**made, size=status.st_size, mtime_ns=status.st_mtime_ns))

    def register(self, key: str, night: str, product: Product) -> None:
        """A product of a job that ended, as a part of the transaction that is open."""
        values = {
            "path": str(product.path),
            "night": night,
            "name": product.path.name,
            "job": key,
            "role": product.role,
            "sha256": product.sha256,
            "size": product.size,
            "mtime_ns": product.mtime_ns,
            "made": self._store.now(),
        }
        insert(self._store.db, "product", values)
