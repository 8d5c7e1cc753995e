"""The list of targets: read again and again, filtered, and what of it comes next."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sedmview.desk import Desk
from sedmview.targets import Entry, Filter, TargetStatus

log = logging.getLogger(__name__)


class Listing:
    """Commands on the list."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._state = desk, desk.state
        self._listing = False
        self._warnings: list[str] = []

    def refresh(self) -> None:
        """Look at the night again, away from the window."""
        if self._listing:
            return
        self._listing = True
        self._desk.jobs.submit("list", self._desk.files.entries, self._listed, self._not_listed)

    def _listed(self, result: tuple[list[Entry], list[str]]) -> None:
        self._listing = False
        entries, warnings = result
        self.take_entries(entries)
        self._desk.view.changed("entries")  # ages go on
        news = [words for words in warnings if words not in self._warnings]
        self._warnings = warnings
        for words in news:
            log.warning("%s", words)
        if news and not self._state.message:
            self._desk.say(news[0], warning=True)

    def _not_listed(self, error: Exception) -> None:
        self._listing = False
        self._desk.say(f"The list cannot be read: {error}", warning=True)

    def take_entries(self, entries: Sequence[Entry]) -> None:
        """The list as it is now; the open target stays open."""
        state = self._state
        if not state.listed:
            state.listed = True
            self._desk.view.changed("choice")
        if list(entries) == state.entries:
            return
        state.entries = list(entries)
        if state.entry is not None:
            now = next((one for one in entries if one.product == state.entry.product), None)
            if now is not None and now.cubes == state.entry.cubes:
                state.entry = now
            elif now is not None and state.observation is not None:
                self._desk.say(f"{now.product} has changed on disk; F5 opens it again")
        self._desk.view.changed("entries")

    def set_filter(self, wanted: Filter) -> None:
        """Which targets are gone through."""
        state = self._state
        state.filter = wanted
        self._desk.view.changed("entries")
        count = len(state.shown_entries)
        self._desk.say(f"{wanted}: {count} target{'s' * (count != 1)}")

    def next_ready(self) -> Entry | None:
        """What to go on with: ready ones first, then those that the pipeline extracted and did not grade."""
        state = self._state
        here = state.entry.product if state.entry is not None else ""
        others = [one for one in state.shown_entries if one.product != here and one.product not in state.saving]
        ready = [one for one in others if one.state is TargetStatus.READY]
        ungraded = [
            one for one in others if one.state is TargetStatus.AUTOMATIC and not one.standard and one.quality is None
        ]
        return next(iter(ready + ungraded), None)
