"""Finder charts of a target, as the acquisition camera leaves them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

_TIME = re.compile(r"(\d{8})_(\d{2})_(\d{2})_(\d{2})")


def finder_of(paths: Iterable[Path], names: Iterable[str], start: datetime | None) -> Path | None:
    """The finder ``finder_*ACQ-<NAME>_*.png`` of a target that is nearest in time.

    Parameters
    ----------
    paths : iterable of Path
        What is in the folder.
    names : iterable of str
        The target as it was typed, and as file names carry it. The whole name must agree, and what follows it must be
        a single word: ``ACQ-ZTF19a_NA.png`` is a finder of ZTF19a, ``ACQ-ZTF19a_b_NA.png`` is not.
    start : datetime or None
        Of the exposure, UTC; None takes the newest.

    Returns
    -------
    Path or None
        Its time is the one in the file's name, else that of the file.
    """
    wanted = "|".join(sorted(re.escape(name) for name in set(names) if name))
    if not wanted:
        return None
    form = re.compile(rf"finder_.*ACQ-(?:{wanted})_[^_]*\.png")
    found = sorted((time, path) for path in paths if form.fullmatch(path.name) if (time := _time(path)) is not None)
    if not found:
        return None
    if start is None:
        return found[-1][1]
    return min(found, key=lambda one: (abs((one[0] - start).total_seconds()), one[1]))[1]


def _time(path: Path) -> datetime | None:
    if given := _TIME.search(path.name):
        try:
            return datetime.strptime("".join(given.groups()), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            pass
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
