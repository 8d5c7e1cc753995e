"""No job begins whose directory may not be written: a command that root gave may have left it as root's own."""

from __future__ import annotations

import os
from pathlib import Path

from sedmd.host.sharing import not_ours
from sedmd.run.event_log import NOTICE, WARNING, EventLog


class RightsGate:
    """Closed for a directory while this user may not write there; other nights go on."""

    def __init__(self, report: EventLog) -> None:
        self._report = report
        #: What is not ours, by directory.
        self.complaints: dict[Path, str] = {}

    def may_write(self, folder: Path, night: str) -> bool:
        """True if jobs may make products there; tells once that they may not, and once that they may again."""
        there = folder if folder.exists() else folder.parent
        if os.access(there, os.W_OK | os.X_OK):
            if self.complaints.pop(folder, ""):
                self._report.event(night, "rights", "", f"{folder} can be written again; work resumes", level=NOTICE)
            return True
        if folder not in self.complaints:
            self.complaints[folder] = not_ours(there) or f"{there} may not be written"
            text = f"{self.complaints[folder]}. No job starts there until then; work resumes by itself"
            self._report.event(night, "rights", "", text, level=WARNING)
        return False
