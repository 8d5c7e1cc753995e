"""The list of targets: read again and again, filtered, and what of it comes next."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

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
        entries = [self._as_found(one) for one in entries]
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
        state.filter, state.wanted = wanted, ""
        self._desk.view.changed("entries")
        count = len(state.shown_entries)
        self._desk.say(f"{wanted}: {count} target{'s' * (count != 1)}")

    def find(self, text: str) -> None:
        """Show the targets that have this in their name; all again when it is empty."""
        self._state.wanted = text.strip()
        self._desk.view.changed("entries")

    def waiting(self) -> list[Entry]:
        """What needs a person, in the order of the list from the open target on and then from its beginning.

        Ready and provisional ones, what the pipeline extracted without a grade, and what failed after its cube was
        made; not what waits for the other exposure of its pair, nor what could not be opened.
        """
        state = self._state
        shown = state.shown_entries
        here = state.entry.product if state.entry is not None else ""
        at = next((number for number, one in enumerate(shown) if one.product == here), -1)
        others = [one for one in [*shown[at + 1 :], *shown[: max(at, 0)]] if one.product not in state.saving]
        return [one for one in others if needs_a_person(one) and state.unreadable.get(one.product) != one.cubes]

    def next_ready(self) -> Entry | None:
        """What to go on with; None where nothing of what is shown needs a person."""
        return next(iter(self.waiting()), None)

    def none_ready(self) -> str:
        """That no other target needs a person, or that only what is not shown does."""
        state = self._state
        hidden = [one for one in state.entries if one not in state.shown_entries and needs_a_person(one)]
        hidden = [one for one in hidden if one.product not in state.saving and one is not state.entry]
        if not hidden:
            return "No other target is ready"
        filtered = f"matches {state.wanted!r}" if state.wanted else f"of the filter {state.filter!s} is ready"
        return f"No other target {filtered}; {len(hidden)} more with all of them (F2)"

    def _as_found(self, entry: Entry) -> Entry:
        """The entry; where its cubes could not be opened, they cannot as long as they are the same."""
        if self._state.unreadable.get(entry.product) != entry.cubes or not entry.cubes:
            return entry
        known = next((one for one in self._state.entries if one.product == entry.product), entry)
        return replace(entry, state=TargetStatus.FAILED, reason=known.reason)


def needs_a_person(entry: Entry) -> bool:
    """Whether only a person can bring it on."""
    if entry.state in (TargetStatus.READY, TargetStatus.PROVISIONAL):
        return True
    undecided = entry.state is TargetStatus.AUTOMATIC and entry.quality is None
    failed = entry.state is TargetStatus.FAILED and entry.openable
    return not entry.standard and (undecided or failed)
