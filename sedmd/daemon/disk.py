"""No new work without room for its products: claims pause, frames still come in, and the operator is informed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.host.mounts import free_bytes
from sedmd.run.event_log import ERROR, NOTICE, EventLog

#: Less than this is freed by a remade product or a log, and not by somebody who made room [bytes].
STEP = 1_000_000
#: So long after a product did not fit another is tried although no room is seen, seconds.
AGAIN_S = 600.0
#: Begins the complaint about a redux root that is away.
AWAY = "redux root"


class DiskGate:
    """Closed while there is less free space than `disk.min_free_mb` where products or the ledger go."""

    def __init__(
        self, settings: Settings, report: EventLog, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic = monotonic
        self._refused_s = 0.0
        self._report = report
        #: What is lacking; empty when there is room.
        self.complaint = ""
        # free bytes under the redux root when a product did not fit
        self._refused: int | None = None
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take new settings."""
        self._least = settings.disk.min_free_mb * 1_000_000
        self._places = {"redux_root": settings.paths.redux_root, "state_dir": settings.paths.state}
        self._root = settings.paths.redux_root
        self._device = _device(self._root)

    def free(self) -> dict[str, int]:
        """Free bytes by the name of the place; one that does not answer is skipped."""
        found = {name: free_bytes(place) for name, place in self._places.items()}
        return {name: free for name, free in found.items() if free is not None}

    def refuse(self, free: int | None = None) -> None:
        """A product did not fit although there should have been room: wait until there is more than there was.

        Products go under the redux root, so what others free on the disk of the ledger is no room for them. What free
        space does not show, a quota perhaps, is found by another try after `AGAIN_S`.

        Parameters
        ----------
        free : int or None
            Bytes that were free at that moment; None takes those of now, which may be later.
        """
        self._refused = free if free is not None else self.free().get("redux_root")
        self._refused_s = self._monotonic()

    def mounted(self) -> bool:
        """True while the redux root is the one of the start; an empty mount point must not be filled."""
        found = _device(self._root)
        if found == self._device:
            return True
        if not self.complaint.startswith(AWAY):
            self.complaint = f"{AWAY} {self._root} is not the same disk as at the start; is it mounted?"
            self._report.event("", "disk", "", f"{self.complaint} No new jobs start until it is back", level=ERROR)
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
        # once closed, a step more is asked for: a gate that swings with every product would tell its story all night
        needed = self._least + (STEP if self.complaint and self._least else 0)
        short = [f"{name} has {left // 1_000_000} MB" for name, left in free.items() if left < needed]
        if self._refused is not None and not busy:
            more = free.get("redux_root", 0) > self._refused + STEP
            if more or self._monotonic() - self._refused_s >= AGAIN_S:
                self._refused = None
        before = self.complaint
        self.complaint = f"disk low: {', '.join(short)}; {needed // 1_000_000} MB needed" if short else ""
        if self._refused is not None and not short:
            self.complaint = f"disk full: a product did not fit; redux_root has {self._refused / 1e6:.1f} MB"
        if self.complaint and not before:
            text = f"{self.complaint}: no new jobs start until there is room. Free some space; work resumes by itself"
            self._report.event("", "disk", "", text, level=ERROR)
        elif before and not self.complaint:
            self._report.event("", "disk", "", "there is room again; work resumes", level=NOTICE)
        return not self.complaint


def _device(folder: Path) -> int | None:
    try:
        return folder.stat().st_dev
    except OSError:
        return None
