"""`sedmd verify`: every product against its checksum, every raw file against the ledger; nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.quality import DECISION_SUFFIX
from sedmd.host.foreign_file import ForeignFault, checksum_of, sentence
from sedmd.ledger.ledger import FrameRow, Ledger
from sedmd.observation.noted_decisions import saved_files
from sedmd.run.ingest import take_in
from sedmd.run.product_check import SUPERSEDED

GOOD, TOUCHED, CHANGED, MISSING, UNREADABLE, FOREIGN = (
    "good",
    "touched",
    "changed",
    "missing",
    "unreadable",
    "foreign",
)
#: What is no fault: the bytes are right, or nobody vouches for them.
HARMLESS = (GOOD, TOUCHED, FOREIGN)
#: Names in a night's directory that belong to sedmd and have no checksum: records, and what is made from the products.
RECORDS = (
    "journal.jsonl",
    "sedmd.log",
    "night.txt",
    "report.txt",
    "report.json",
    "changes.json",
    "report_ztf.txt",
    "*.classification.json",
)
#: Directories there that belong to sedmd.
FOLDERS = (SUPERSEDED, "former", "classified")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile:
    """One file.

    Attributes
    ----------
    what : str
        "product", "observer" (what an observer saved) or "raw".
    state : str
        "good", "touched" (same bytes, different time stamp), "changed", "missing", "unreadable" or "foreign"
        (neither ledger nor decision knows it).
    """

    night: str
    what: str
    path: Path
    state: str
    text: str = ""

    def line(self) -> str:
        """As the command prints it."""
        return f"{self.night}  {self.what:8} {self.state:10} {self.path.name}" + (f": {self.text}" if self.text else "")


def verify_night(settings: Settings, ledger: Ledger, night: str, *, now: datetime) -> Iterator[VerifiedFile]:
    """Look at every byte of a night: its products, what observers saved, its raw frames, and what else lies there."""
    folder = settings.paths.redux_root / night
    products = ledger.products.files(night)
    for path, (size, mtime_ns, sha256) in sorted(products.items()):
        state, text = _compared(path, sha256)
        if state == GOOD and (status := path.stat()) and (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
            state, text = TOUCHED, "same bytes, different time stamp"
        yield VerifiedFile(night=night, what="product", path=path, state=state, text=text)
    saved, errors = saved_files(folder)
    for path, sha256 in sorted(saved.items()):
        if path not in products:
            state, text = _compared(path, sha256)
            yield VerifiedFile(night=night, what="observer", path=path, state=state, text=text)
    for text in errors:
        path = folder / text.split()[0].rstrip(":")
        yield VerifiedFile(night=night, what="observer", path=path, state=UNREADABLE, text=text)
    for row in ledger.frames.of_night(night):
        yield _raw(row, settings, now=now)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path not in products and path not in saved and not _own(path.name):
            text = "in no ledger and no decision; it is not used"
            yield VerifiedFile(night=night, what="product", path=path, state=FOREIGN, text=text)


def summary(findings: list[VerifiedFile]) -> str:
    """How many files are in each state."""
    counts = Counter(finding.state for finding in findings)
    states = (GOOD, TOUCHED, CHANGED, MISSING, UNREADABLE, FOREIGN)
    return f"{len(findings)} files: " + (
        ", ".join(f"{counts[state]} {state}" for state in states if counts[state]) or "none"
    )


def _compared(path: Path, sha256: str) -> tuple[str, str]:
    try:
        found = checksum_of(path)
    except ForeignFault as fault:
        return CHANGED, str(fault)
    except FileNotFoundError:
        return MISSING, ""
    except OSError as error:
        return UNREADABLE, sentence(path, error)
    return (GOOD, "") if found == sha256 else (CHANGED, f"SHA-256 is {found[:12]}..., expected {sha256[:12]}...")


def _raw(row: FrameRow, settings: Settings, *, now: datetime) -> VerifiedFile:
    """A raw file against what was read of it; one that could not be used then must still be as it was."""
    state, text = GOOD, ""
    try:
        status = row.path.stat()
    except FileNotFoundError:
        state, text = MISSING, "products made from it cannot be remade"
    except OSError as error:
        state, text = UNREADABLE, sentence(row.path, error)
    else:
        same = (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns)
        if row.frame is None:
            state, text = (GOOD, "") if same else (TOUCHED, f"was {row.state}; it will be reread")
        else:
            now_row = take_in(row.path, settings, now=now)
            if now_row.frame is None:
                state, text = CHANGED, now_row.reason
            elif now_row.frame.checksum != row.frame.checksum:
                state, text = CHANGED, "pixels or cards differ from those that were reduced"
            elif not same:
                state, text = TOUCHED, "same frame, different time stamp or packing"
    return VerifiedFile(night=row.night, what="raw", path=row.path, state=state, text=text)


def _own(name: str) -> bool:
    hidden = name.startswith(".")
    return hidden or name in FOLDERS or name.endswith(DECISION_SUFFIX) or any(fnmatchcase(name, one) for one in RECORDS)
