"""The list of targets, and opening one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sedmd.observation.decisions import Decision
from sedmd.observation.observed import Extractor, Observation
from sedmd.observation.suggestion import Suggestion
from sedmview.desk import Desk
from sedmview.model import Stage, accepted, choice_of, first_choice, from_draft
from sedmview.targets import Entry, Filter, TargetStatus, passes

log = logging.getLogger(__name__)


class Browsing(Desk):
    """Commands on the list."""

    def refresh(self) -> None:
        """Look at the night again, away from the window."""
        if self._listing:
            return
        self._listing = True
        self.jobs.submit("list", self.files.entries, self._listed, self._not_listed)

    def _listed(self, result: tuple[list[Entry], list[str]]) -> None:
        self._listing = False
        entries, troubles = result
        self.take_entries(entries)
        self.view.changed("entries")  # ages go on
        news = [words for words in troubles if words not in self._troubles]
        self._troubles = troubles
        for words in news:
            log.warning("%s", words)
        if news and not self.message:
            self._say(news[0], trouble=True)

    def _not_listed(self, error: Exception) -> None:
        self._listing = False
        self._say(f"The list cannot be read: {error}", trouble=True)

    def take_entries(self, entries: Sequence[Entry]) -> None:
        """The list as it is now; the open target stays open."""
        if list(entries) == self.entries:
            return
        self.entries = list(entries)
        if self.entry is not None:
            now = next((one for one in entries if one.product == self.entry.product), None)
            if now is not None and now.cubes == self.entry.cubes:
                self.entry = now
            elif now is not None and self.observation is not None:
                self._say(f"{now.product} has changed on disk; F5 opens it anew")
        self.view.changed("entries")

    @property
    def shown_entries(self) -> list[Entry]:
        """What the filter lets through."""
        return [entry for entry in self.entries if passes(entry, self.filter)]

    def set_filter(self, wanted: Filter) -> None:
        """Which targets are gone through."""
        self.filter = wanted
        self.view.changed("entries")
        count = len(self.shown_entries)
        self._say(f"{wanted}: {count} target{'s' * (count != 1)}")

    def go_through(self, wanted: Filter) -> None:
        """What ``make science`` and ``make other`` did: the filter, and its first target that is ready."""
        self.set_filter(wanted)
        self.open_next_ready()

    # ---- opening

    def open_first(self) -> None:
        """The first target that is ready, or the first that can be opened at all."""
        if not self.open_next_ready(quiet=True):
            first = next((entry for entry in self.shown_entries if entry.openable), None)
            if first is not None:
                self.open(first)

    def open_next_ready(self, *, quiet: bool = False) -> bool:
        """The next target that waits for the observer, or that has no grade; False if there is none."""
        ready = self.next_ready()
        if ready is None:
            if not quiet:
                self._say("No other target is ready; PgDn and PgUp go through the list")
            return False
        self.open(ready)
        return True

    def next_ready(self) -> Entry | None:
        """What to go on with: ready ones first, then those that the pipeline extracted and did not grade."""
        here = self.entry.product if self.entry is not None else ""
        others = [one for one in self.shown_entries if one.product != here and one.product not in self.saving]
        ready = [one for one in others if one.state is TargetStatus.READY]
        ungraded = [
            one for one in others if one.state is TargetStatus.AUTOMATIC and not one.standard and one.quality is None
        ]
        return next(iter(ready + ungraded), None)

    def step(self, by: int) -> None:
        """To the next or previous target of the list that can be opened."""
        shown = [entry for entry in self.shown_entries if entry.openable]
        current = self.opening or self.entry
        place = next((n for n, one in enumerate(shown) if current is not None and one.product == current.product), None)
        if place is None:
            if shown:
                self.open(shown[0])
            return
        if not 0 <= place + by < len(shown):
            self._say("That was the last target of the list" if by > 0 else "This is the first target of the list")
            return
        self.open(shown[place + by])

    def open(self, entry: Entry) -> None:
        """Open a target; an unreadable one leaves the present one open and says why."""
        if not entry.openable:
            self._say(f"{entry.product}: {entry.state}; {entry.reason or 'there is no cube yet'}", trouble=True)
            return
        self.opening = entry
        known = self._ready.get(entry.product)

        def work() -> tuple[Observation, Suggestion | None, Decision | None, dict[str, Any] | None]:
            notes = self.files.decision(entry), self.files.draft(entry)
            if known is not None and known[0] == self.files.stamp(entry):
                return known[1], known[2], *notes
            return self.files.load(entry), None, *notes

        self.jobs.submit(
            "load",
            work,
            lambda got: self._opened(entry, *got),
            lambda error: self._not_opened(entry, error),
        )
        self.view.changed("choice")

    def reopen(self) -> None:
        """Read the open target from disk again."""
        if self.entry is not None:
            self._ready.pop(self.entry.product, None)
            now = next((one for one in self.entries if one.product == self.entry.product), self.entry)
            self.open(now)

    def _not_opened(self, entry: Entry, error: Exception) -> None:
        if self.opening is not None and self.opening.product == entry.product:
            self.opening = None
        log.warning("%s cannot be opened: %s", entry.product, error)
        words = " ".join(str(error).split()) or type(error).__name__
        self.entries = [
            replace(one, state=TargetStatus.FAILED, reason=words) if one.product == entry.product else one
            for one in self.entries
        ]
        self.view.changed("entries")
        self._say(f"{entry.product}: {words}", trouble=True)

    def _opened(
        self,
        entry: Entry,
        observation: Observation,
        suggestion: Suggestion | None,
        decision: Decision | None,
        draft: dict[str, Any] | None,
    ) -> None:
        if self.opening is None or self.opening.product != entry.product:
            return  # another one was asked for since
        self.opening = None
        self.entry, self.observation, self.suggestion = entry, observation, suggestion
        self._extractor, self._extraction = Extractor(observation), None
        self._undo.clear()
        self._redo.clear()
        self._hold = self._held = self._rest = None
        self.message, self.trouble, self.wants_name = self.greeting, bool(self.greeting), False
        self.greeting, self.save_wanted = "", False
        self.stage, self.locked = Stage.SCALE, False
        self.choice = first_choice(observation)
        if decision is not None:
            self.choice, self.stage, self.locked = choice_of(decision, observation), Stage.PLACE, True
            self.suggestion = self.suggestion or _of_decision(decision)
        if draft is not None:
            self._restore(draft)
        for topic in ("entries", "target", "picture", "choice", "spectrum"):
            self.view.changed(topic)
        if suggestion is None:
            self.searching = True
            self.jobs.submit(
                "search",
                lambda: self.files.suggest(observation),
                lambda found: self._suggested(entry, observation, found),
                lambda error: self._not_suggested(observation, error),
            )
        else:
            self._prefetch()

    def _restore(self, draft: dict[str, Any]) -> None:
        assert self.choice is not None and self.observation is not None
        try:
            choice, stage = from_draft(draft)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("a draft cannot be read: %s", error)
            return
        if (choice.b is not None) != self.observation.pair:
            return  # B has come since
        self._undo.append(self.choice)
        self.choice, self.stage, self.locked = choice, stage, False
        self._say("Restored what was not saved; U takes it back")

    def _suggested(self, entry: Entry, observation: Observation, found: Suggestion) -> None:
        while len(self._ready) > 8:
            self._ready.pop(next(iter(self._ready)))
        self._ready[entry.product] = (observation.stamp, observation, found)
        if self.observation is not observation:
            return
        self.searching = False
        # what is saved was made with the image of a star as it was found then
        if not self.locked:
            self.suggestion = found
            if self.choice is not None and not self.choice.placed and not self._undo and found.a is not None:
                self.choice = replace(accepted(self.choice, found), placed=frozenset())
            self.view.changed("spectrum")
        self.view.changed("choice")
        self._prefetch()

    def _not_suggested(self, observation: Observation, error: Exception) -> None:
        log.warning("the search for objects failed: %s", error, exc_info=error)
        if self.observation is observation:
            self.searching = self.save_wanted = False
            self.view.changed("choice")

    def _prefetch(self) -> None:
        """Have the next ready target at hand before it is asked for."""
        for one in self.shown_entries:
            known = one.product in self._ready or (self.entry is not None and one.product == self.entry.product)
            if one.state is not TargetStatus.READY or known or one.product in self.saving:
                continue

            def work(one: Entry = one) -> tuple[Entry, Observation, Suggestion]:
                observation = self.files.load(one)
                return one, observation, self.files.suggest(observation)

            def keep(got: tuple[Entry, Observation, Suggestion]) -> None:
                self._ready[got[0].product] = (got[1].stamp, got[1], got[2])

            self.jobs.submit("search", work, keep, lambda error: log.info("not read ahead: %s", error))
            return


def _of_decision(decision: Decision) -> Suggestion:
    """The star that a saved spectrum was made with."""
    return Suggestion(psf_a=decision.placement.psf_a, psf_b=decision.placement.psf_b, words="as saved")
