"""What is seen to at each scan: the ledger's log, lines that wait for the journals, whose the redux root is."""

from __future__ import annotations

import importlib
from pathlib import Path

from sedmd.host.claim import Claim
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import NOTICE, WARNING, EventLog


class Upkeep:
    """Keeps ledger and journals in order; tells once what stands in the way, and once that it is gone."""

    def __init__(self, ledger: Ledger, report: EventLog, claim: Claim | None = None) -> None:
        self._claim = claim
        self._ledger = ledger
        self._report = report
        self._held = ""
        self._unwritten: dict[str, str] = {}

    def see_to(self, *, mounted: bool) -> None:
        """All of it; what is said at the redux root only while that is `mounted`.

        Raises
        ------
        LedgerError
            If a file of the ledger was removed or replaced.
        TakenOver
            If another host took over.
        """
        if self._claim is not None and mounted:
            self._claim.see()
        self.write_journals()
        self._cut_log()

    def write_journals(self) -> None:
        """Try lines of the journals again that could not be written."""
        journal = self._ledger.journal
        if journal is None:
            return
        journal.flush()
        for night in sorted(set(self._unwritten) | set(journal.errors)):
            before, now = self._unwritten.get(night, ""), journal.errors.get(night, "")
            if now and not before:
                text = f"{now}. Its lines are kept in memory; without them the ledger could not be rebuilt"
                self._report.event(night, "journal", "", text, level=WARNING)
            elif before and not now:
                self._report.event(night, "journal", "", "can be written again; nothing is missing", level=NOTICE)
        self._unwritten = dict(journal.errors)

    def take_up_types(self, folder: Path) -> None:
        """Note what `sedmd classify` found in a night's directory while this service held the ledger."""
        if any(folder.glob("*.classification.json")):
            # loaded only when there is something to read
            take_up = importlib.import_module("sedmd.after.classify.classification").take_up
            for text in take_up(self._ledger, folder):
                self._report.event(folder.name, "classify", "", text, level=NOTICE)

    def _cut_log(self) -> None:
        held = self._ledger.tidy()
        if held and not self._held:
            self._report.event("", "ledger", "", held, level=WARNING)
        elif self._held and not held:
            self._report.event("", "ledger", "", "its log is short again", level=NOTICE)
        self._held = held
