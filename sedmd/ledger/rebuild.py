"""From the journals beside the products into a ledger: all of a lost one (`sedmd doctor --rebuild`), or one night."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sedmd.core.config import Settings
from sedmd.core.nights import is_night
from sedmd.host.files import sha256_of
from sedmd.host.lock import single_instance
from sedmd.ledger.journal import NAME, read
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.records import frame_row


def rebuild(settings: Settings, *, clock: Callable[[], datetime]) -> str:
    """Put the ledger aside and make it again; one line on what was found.

    Frames, jobs, products and decisions come back as the journals tell them. A product counts only if its file has the
    checksum that was written down; the others are made again by the next run. The story of each frame (`sedmd why`)
    begins again.

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
        found = Found()
        with Ledger.open(fresh, clock=clock) as ledger:
            root = settings.paths.redux_root
            nights = sorted(folder for folder in root.iterdir() if is_night(folder.name)) if root.is_dir() else []
            for folder in nights:
                if (folder / NAME).exists():
                    with ledger.together():
                        replay(ledger, folder, told_by(folder), found, intact=_same_bytes)
            text = (
                f"ledger made again from {found.nights} journals: {found.frames} frames, {found.jobs} jobs, "
                f"{found.products} products; {found.lost} products were lost or changed and will be made again"
            )
            ledger.events.note("", "ledger", text)
        # the whole new one is there: only now the old one goes
        aside = f".damaged-{clock():%Y%m%dT%H%M%S}"
        for part in _parts(path):
            if part.exists():
                part.rename(part.with_name(part.name + aside))
        fresh.rename(path)
    return text


def _same_bytes(path: Path, made: dict[str, Any]) -> bool:
    return bool(sha256_of(path) == made["sha256"])


def _parts(path: Path) -> list[Path]:
    """A ledger and what SQLite keeps beside it."""
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]


class Found:
    """What was found in journals, counted."""

    nights = frames = jobs = products = lost = 0


@dataclass(slots=True)
class JournalContents:
    """What a journal tells in the end: the last word on each frame, job, product and mark."""

    frames: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    marks: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


def told_by(folder: Path) -> JournalContents:
    """What the journal of a night's directory tells; nothing if there is none."""
    contents = JournalContents()
    if not (folder / NAME).exists():
        return contents
    frames, jobs, made, marks = contents.frames, contents.jobs, contents.made, contents.marks
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
    # a job that waited for its next try is simply due
    contents.jobs = {key: entry for key, entry in jobs.items() if entry["state"] != "retry"}
    return contents


def replay(
    ledger: Ledger,
    folder: Path,
    contents: JournalContents,
    found: Found,
    *,
    intact: Callable[[Path, dict[str, Any]], bool],
) -> None:
    """Put the contents of a journal into a ledger that writes none; `intact` says whether a product is it."""
    found.nights += 1
    for row in contents.frames.values():
        ledger.frames.put(frame_row(row, forgotten=True))
        found.frames += 1
    for key, entry in contents.jobs.items():
        ledger.jobs.restore(key, folder.name, entry)
        found.jobs += 1
    for name, (key, product) in contents.made.items():
        path = folder / name
        if key in contents.jobs and path.exists() and intact(path, product):
            ledger.products.restore(path, folder.name, key, product)
            found.products += 1
        else:
            found.lost += 1
    for (kind, subject), entry in contents.marks.items():
        ledger.marks.put(kind, folder.name, subject, entry["text"])


def take_up(ledger: Ledger, folder: Path) -> bool:
    """Put into a ledger that writes no journal what others did in a night with theirs; False if they did nothing.

    They wrote the night's journal. Products count that have the size which is written there: their checksums were
    taken when they were made, and reading years of cubes again would take days.
    """
    contents = told_by(folder)
    if contents.jobs.keys() <= ledger.jobs.records(folder.name).keys():
        return False
    with ledger.together():
        replay(ledger, folder, contents, Found(), intact=lambda path, made: path.stat().st_size == made["size"])
        for name in ledger.products.by_name(folder.name):
            if name not in contents.made:
                ledger.products.forget(folder / name, folder.name, "superseded by another sedmd")
    return True
