"""What a ledger booked in which order, by its own triggers; and whether files and rows agree in the end."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from night.helpers import RECORDS

from sedmd.core.config import Settings
from sedmd.core.nights import is_night
from sedmd.ledger.ledger import Ledger
from sedmd.run.dispatch import UNFINISHED
from sedmd.run.ingest import raw_files

TRIGGERS = """
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY, what TEXT, key TEXT, name TEXT);
CREATE TRIGGER IF NOT EXISTS audit_done AFTER UPDATE OF state ON job WHEN NEW.state = 'done'
    BEGIN INSERT INTO audit (what, key, name) VALUES ('done', NEW.key, NEW.label); END;
CREATE TRIGGER IF NOT EXISTS audit_again AFTER DELETE ON job
    BEGIN INSERT INTO audit (what, key, name) VALUES ('job gone', OLD.key, OLD.label); END;
CREATE TRIGGER IF NOT EXISTS audit_made AFTER INSERT ON product
    BEGIN INSERT INTO audit (what, key, name) VALUES ('made', NEW.job, NEW.path); END;
CREATE TRIGGER IF NOT EXISTS audit_lost AFTER DELETE ON product
    BEGIN INSERT INTO audit (what, key, name) VALUES ('lost', OLD.job, OLD.path); END;
"""


def now() -> datetime:
    return datetime.now(UTC)


def install(settings: Settings) -> None:
    """Make the ledger, if it is not there, and have it keep an account of what is booked."""
    path = settings.paths.state / "ledger.sqlite"
    with Ledger.open(path, clock=now):
        pass
    connection = sqlite3.connect(path)
    connection.executescript(TRIGGERS)
    connection.close()


def entries(settings: Settings) -> list[tuple[str, str, str]]:
    """(what, key, name), in the order of booking."""
    connection = sqlite3.connect(settings.paths.state / "ledger.sqlite")
    rows = connection.execute("SELECT what, key, name FROM audit ORDER BY id").fetchall()
    connection.close()
    return rows


def booked(settings: Settings) -> int:
    """How many jobs were booked done."""
    return sum(what == "done" for what, *_ in entries(settings))


def twice_without_reason(story: list[tuple[str, str, str]]) -> list[str]:
    """Keys that were booked done although all that they had made was still there, as they had made it."""
    holds: dict[str, str] = {}  # product -> key that made what is there now
    made: dict[str, set[str]] = {}  # key -> its products
    done: set[str] = set()
    wrong = []
    for what, key, name in story:
        match what:
            case "made":
                holds[name] = key
                made.setdefault(key, set()).add(name)
            case "lost":
                holds.pop(name, None)
            case "job gone":
                done.discard(key)
            case "done":
                if key in done and made.get(key) and all(holds.get(one) == key for one in made[key]):
                    wrong.append(name)
                done.add(key)
    return wrong


def faults_of(settings: Settings) -> list[str]:
    """Everything that is wrong between raw files, ledger and products once the work is done; empty when all is well."""
    wrong = []
    redux = settings.paths.redux_root
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, check=True) as ledger:
        raw = set(raw_files(settings.paths.raw_root.iterdir(), settings.watch.pattern))
        known = ledger.frames.known_files()
        wrong += [f"not in the ledger: {path.name}" for path in sorted(raw - set(known))]
        wrong += [f"in the ledger but gone: {path.name}" for path in sorted(set(known) - raw)]
        rows: dict[Path, str] = {}
        for night in ledger.frames.nights():
            rows |= {path: sha for path, (_, _, sha) in ledger.products.files(night).items()}
            states = Counter(job.state for job in ledger.jobs.of_night(night))
            if states["running"]:
                wrong.append(f"{night}: {states['running']} jobs are said to be running")
            done = {job.key for job in ledger.jobs.of_night(night) if job.state == "done"}
            for name, key in ledger.products.by_name(night).items():
                if key not in done:
                    wrong.append(f"product of a job that is not done: {name}")
    files = set()
    for folder in sorted(path for path in redux.iterdir() if is_night(path.name)):
        for path in folder.rglob("*"):
            if UNFINISHED.fullmatch(path.name):
                wrong.append(f"unfinished file left: {path.name}")
            elif path.is_file() and path.name not in RECORDS and "superseded" not in path.parts:
                files.add(path)
    wrong += [f"product without its row: {path.name}" for path in sorted(files - set(rows))]
    wrong += [f"row without its product: {path.name}" for path in sorted(set(rows) - files)]
    for path in sorted(files & set(rows)):
        if hashlib.sha256(path.read_bytes()).hexdigest() != rows[path]:
            wrong.append(f"product is not what its row says: {path.name}")
    wrong += [f"done twice without a reason: {label}" for label in twice_without_reason(entries(settings))]
    return wrong
