"""No new work without room for its products: claims pause, frames still come in, and the operator is told."""

from __future__ import annotations

from pathlib import Path

from sedmd.config import Settings
from sedmd.mounts import free_bytes
from sedmd.report import ERROR, NOTICE, Report

#: Less than this is what a product made anew or a log gives back, and not room that somebody made [bytes].
STEP = 1_000_000
#: Begins the complaint about a redux root that is away.
AWAY = "redux root"


class DiskGate:
    """Closed while there is less free space than `disk.min_free_mb` where products or the ledger go."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._report = report
        #: What is lacking; empty when there is room.
        self.complaint = ""
        self._refused: dict[str, int] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings."""
        self._least = settings.disk.min_free_mb * 1_000_000
        self._least_mb = settings.disk.min_free_mb
        self._places = {"redux_root": settings.paths.redux_root, "state_dir": settings.paths.state}
        self._root = settings.paths.redux_root
        self._device = _device(self._root)

    def free(self) -> dict[str, int]:
        """Free bytes by the name of the place; one that does not answer is left out."""
        found = {name: free_bytes(place) for name, place in self._places.items()}
        return {name: free for name, free in found.items() if free is not None}

    def refuse(self) -> None:
        """A job found no room although there should have been some: wait until there is more than now."""
        self._refused = self.free()

    def mounted(self) -> bool:
        """True while the redux root is the one of the start; an empty mount point must not be filled."""
        found = _device(self._root)
        if found == self._device:
            return True
        if not self.complaint.startswith(AWAY):
            self.complaint = f"{AWAY} {self._root} is not the disk it was at the start; is it mounted?"
            self._report.event("", "disk", "", f"{self.complaint} No new jobs begin until it is back", level=ERROR)
        return False

    def room(self, *, busy: bool = False) -> bool:
        """True if work may begin; tells once when the room runs out, and once when there is some again.

        Parameters
        ----------
        busy : bool
            Jobs are at work: what their unfinished files take and give back is no room that somebody made.
        """
        if not self.mounted():
            return False
        free = self.free()
        short = [f"{name} has {left // 1_000_000} MB" for name, left in free.items() if left < self._least]
        more = [name for name, left in free.items() if left > self._refused.get(name, left) + STEP]
        if self._refused and not busy and more:
            self._refused = {}
        before = self.complaint
        self.complaint = f"disk low: {', '.join(short)}; {self._least_mb} MB needed" if short else ""
        if self._refused and not short:
            left = ", ".join(f"{name} has {left / 1e6:.1f} MB" for name, left in self._refused.items())
            self.complaint = f"disk full: a product did not fit; {left}"
        if self.complaint and not before:
            text = f"{self.complaint}: no new jobs begin until there is room. Make some; work goes on by itself"
            self._report.event("", "disk", "", text, level=ERROR)
        elif before and not self.complaint:
            self._report.event("", "disk", "", "room again; work goes on", level=NOTICE)
        return not self.complaint


def _device(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:
        return None
