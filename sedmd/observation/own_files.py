"""Which files of a night are ours: those that the ledger booked, and those that an observer's decision names.

Everything else in a night's directory is somebody else's: it is listed, and neither told, sent nor published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.host.foreign_file import ForeignFault, checksum_of
from sedmd.ledger.journal import NAME as JOURNAL
from sedmd.ledger.journal import read
from sedmd.ledger.ledger import Ledger
from sedmd.observation.noted_decisions import saved_files

#: File name -> SHA-256 that it may have: the ledger's, a decision's.
Known = Mapping[str, frozenset[str]]


def known_files(folder: Path, ledger: Ledger | None) -> tuple[Known | None, list[str]]:
    """What is known of the files of a night; None where nobody has kept a book. And a sentence for each false decision.

    Parameters
    ----------
    folder : Path
        ``redux/YYYYMMDD``.
    ledger : Ledger or None
        Without one, or where it has nothing of this night, the night's journal tells.
    """
    booked = {path.name: sha for path, (_, _, sha) in ledger.products.files(folder.name).items()} if ledger else {}
    if not booked and (folder / JOURNAL).is_file():  # of another place, or the ledger was lost
        booked = _journalled(folder / JOURNAL)
    elif ledger is None:
        return None, []
    saved, errors = saved_files(folder)
    known = {name: frozenset([sha]) for name, sha in booked.items()}
    for path, sha in saved.items():
        known[path.name] = known.get(path.name, frozenset()) | {sha}
    return known, errors


def known_in(settings: Settings, night: str, *, clock: Callable[[], datetime]) -> Known | None:
    """As `known_files`, by the ledger of a redux root if there is one."""
    folder = settings.paths.redux_root / night
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        return known_files(folder, None)[0]
    with Ledger.open(path, clock=clock, read_only=True) as ledger:
        return known_files(folder, ledger)[0]


def why_foreign(path: Path, known: Known | None) -> str:
    """Why a file does not count, in a sentence that begins with its name; empty if it does, or is not there."""
    if known is None or not (path.exists() or path.is_symlink()):
        return ""
    if path.name not in known:
        return f"{path.name} is foreign: neither ledger nor decision knows it; it is not used"
    try:
        good = checksum_of(path) in known[path.name]
    except FileNotFoundError:
        return ""
    except ForeignFault as fault:
        return str(fault)
    return "" if good else f"{path.name} was changed by another program; it is not used until it is made again"


def _journalled(path: Path) -> dict[str, str]:
    """The products of a night as its journal tells."""
    booked: dict[str, str] = {}
    for entry in read(path):
        match entry:
            case {"what": "job", "products": list(products)}:
                booked |= {one["name"]: one["sha256"] for one in products if {"name", "sha256"} <= set(one)}
            case {"what": "forget product", "name": str(name)}:
                booked.pop(name, None)
    return booked
