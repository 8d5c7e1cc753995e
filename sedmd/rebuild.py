"""`sedmd doctor --rebuild`: a damaged ledger made again from the journals beside the products."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from sedmd.config import Settings
from sedmd.journal import NAME, read
from sedmd.ledger import Ledger
from sedmd.lock import single_instance
from sedmd.night import is_night
from sedmd.products.files import sha256_of
from sedmd.rows import frame_row


def rebuild(settings: Settings, *, clock: Callable[[], datetime]) -> str:
    """Put the ledger aside and make it again; one line on what was found.

    Frames, jobs, products and decisions come back as the journals tell them. A product counts only if its file has the
    checksum that was written down; the others are made again by the next run. The story of each frame (`sedmd why`)
    begins anew.

    Raises
    ------
    Locked
        If a service works on this redux root.
    """
    state = settings.paths.state
    with single_instance(state):
        path, fresh = state / "ledger.sqlite", state / "ledger.sqlite.new"
        for part in _parts(fresh):  # of a rebuild that was interrupted
            part.unlink(missing_ok=True)
        found = _Found()
        with Ledger.open(fresh, clock=clock) as ledger:
            root = settings.paths.redux_root
            nights = sorted(folder for folder in root.iterdir() if is_night(folder.name)) if root.is_dir() else []
            for folder in nights:
                if (folder / NAME).exists():
                    with ledger.together():
                        _night(ledger, folder, found)
            told = (
                f"ledger made again from {found.nights} journals: {found.frames} frames, {found.jobs} jobs, "
                f"{found.products} products; {found.lost} products were lost or changed and will be made again"
            )
            ledger.note("", "ledger", told)
        # the whole new one is there: only now the old one goes
        aside = f".damaged-{clock():%Y%m%dT%H%M%S}"
        for part in _parts(path):
            if part.exists():
                part.rename(part.with_name(part.name + aside))
        fresh.rename(path)
    return told


def _parts(path: Path) -> list[Path]:
    """A ledger and what SQLite keeps beside it."""
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]


class _Found:
    nights = frames = jobs = products = lost = 0


def _night(ledger: Ledger, folder: Path, found: _Found) -> None:
    """Replay one journal: the last word on each thing counts."""
    frames: dict[str, dict[str, Any]] = {}
    jobs: dict[str, dict[str, Any]] = {}
    made: dict[str, tuple[str, dict[str, Any]]] = {}
    marks: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in read(folder / NAME):
        match entry["what"]:
            case "frame":
                frames[entry["row"]["path"]] = entry["row"]
            case "frame state" if entry["path"] in frames:
                frames[entry["path"]] |= {"state": entry["state"], "reason": entry["reason"]}
            case "drop frame":
                frames.pop(entry["path"], None)
            case "job":
                jobs[entry["key"]] = entry
                made |= {product["name"]: (entry["key"], product) for product in entry["products"]}
            case "forget job":
                jobs.pop(entry["key"], None)
            case "forget product":
                made.pop(entry["name"], None)
            case "mark":
                marks[entry["kind"], entry["subject"]] = entry
            case "unmark":
                marks.pop((entry["kind"], entry["subject"]), None)
    found.nights += 1
    for row in frames.values():
        ledger.put_frame(frame_row(row, forgotten=True))
        found.frames += 1
    for key, entry in jobs.items():
        # a job that waited for its next try is simply due
        if entry["state"] != "retry":
            ledger.restore_job(key, folder.name, entry)
            found.jobs += 1
    for name, (key, product) in made.items():
        path = folder / name
        if key in jobs and path.exists() and sha256_of(path) == product["sha256"]:
            ledger.restore_product(path, folder.name, key, product)
            found.products += 1
        else:
            found.lost += 1
    for (kind, subject), entry in marks.items():
        ledger.mark(kind, folder.name, subject, entry["text"])
