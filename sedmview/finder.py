"""The finder chart of a target: ``finder_*ACQ-<NAME>_*.png``, the one taken nearest in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TIME = re.compile(r"(\d{8}_\d\d_\d\d_\d\d)")


@dataclass(frozen=True, slots=True)
class Finder:
    """A chart and how far in time from the exposure it was taken [s]; None when the name does not tell."""

    path: Path
    apart_s: float | None


def folders_of(night_folder: Path, given: Path | None = None) -> tuple[Path, ...]:
    """Where charts may lie: the folder that was given, the night's own, and that of the telescope's photometry."""
    night, root = night_folder.name, night_folder.parent
    usual = (
        night_folder / "finders",
        root.parent / "phot" / night / "finders",
        root.parent.parent / "sedm" / "phot" / night / "finders",
    )
    return (given, *usual) if given is not None else usual


def find_finder(folders: Sequence[Path], name: str, start: datetime | None) -> Finder | None:
    """The chart of a target that was taken nearest to an exposure; None if there is none."""
    wanted = _plain(name)
    best: Finder | None = None
    for folder in folders:
        try:
            charts = sorted(folder.glob("finder_*ACQ-*.png"))
        except OSError:
            continue
        for chart in charts:
            if not _plain(chart.stem.partition("ACQ-")[2]).startswith(wanted + "_"):
                continue
            taken = _time_of(chart)
            apart = None if start is None or taken is None else abs((taken - start).total_seconds())
            if best is None or _key(apart) < _key(best.apart_s):
                best = Finder(chart, apart)
        if best is not None:
            return best
    return None


def _key(apart_s: float | None) -> float:
    return float("inf") if apart_s is None else apart_s


def _plain(name: str) -> str:
    """Names as files carry them: what is no letter, digit or sign of a name is an underscore."""
    return re.sub(r"[^a-z0-9+.-]", "_", name.lower())


def _time_of(chart: Path) -> datetime | None:
    found = _TIME.search(chart.name)
    if found is None:
        return None
    try:
        return datetime.strptime(found.group(1), "%Y%m%d_%H_%M_%S").replace(tzinfo=UTC)
    except ValueError:
        return None
