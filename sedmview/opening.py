"""Opening a target: cubes and suggestion from disk, the choice that goes on from there, the next one read ahead."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sedmd.observation.aperture import Extractor
from sedmd.observation.decisions import Decision
from sedmd.observation.load import Observation
from sedmd.observation.suggestion import Suggestion
from sedmview.desk import Desk
from sedmview.history import History
from sedmview.listing import Listing
from sedmview.model import Stage, accepted, choice_of, first_choice, from_draft, scale_for
from sedmview.placing import Placing
from sedmview.spectra import Spectra
from sedmview.targets import Entry, Filter, TargetStatus

log = logging.getLogger(__name__)

#: So many targets with their suggestion are kept at hand.
MOST_READY = 8


class Opening:
    """Commands that open a target.

    Attributes
    ----------
    searched : callable
        Called with the observation after its suggestion was found.
    """

    def __init__(self, desk: Desk, listing: Listing, history: History, spectra: Spectra, placing: Placing) -> None:
        self._desk, self._state, self._listing = desk, desk.state, listing
        self._history, self._spectra, self._placing = history, spectra, placing
        self._ready: dict[str, tuple[object, Observation, Suggestion]] = {}
        self.searched: Callable[[Observation], None] = lambda _: None

    def found(self, entry: Entry | None) -> Suggestion | None:
        """What the search found for a target that was opened before; None if it is not at hand."""
        ready = self._ready.get(entry.product) if entry else None
        return None if ready is None else ready[2]

    def go_through(self, wanted: Filter) -> None:
        """What ``make science`` and ``make other`` did: the filter, and its first target that is ready."""
        self._listing.set_filter(wanted)
        self.open_next_ready()

    def open_first(self) -> None:
        """The first target that is ready, or the first that can be opened at all."""
        if not self.open_next_ready(quiet=True):
            first = next((entry for entry in self._state.shown_entries if entry.openable), None)
            if first is not None:
                self.open(first)

    def open_next_ready(self, *, quiet: bool = False) -> bool:
        """The next target that waits for the observer, or that has no grade; False if there is none."""
        ready = self._listing.next_ready()
        if ready is None:
            if not quiet:
                self._desk.say("No other target is ready; PgDn and PgUp go through the list")
            return False
        self.open(ready)
        return True

    def step(self, by: int) -> None:
        """To the next or previous target of the list that can be opened."""
        state = self._state
        shown = [entry for entry in state.shown_entries if entry.openable]
        current = state.opening or state.entry
        place = next((n for n, one in enumerate(shown) if current is not None and one.product == current.product), None)
        if place is None:
            if shown:
                self.open(shown[0])
            return
        if not 0 <= place + by < len(shown):
            self._desk.say("That was the last target of the list" if by > 0 else "This is the first target of the list")
            return
        self.open(shown[place + by])

    def open(self, entry: Entry) -> None:
        """Open a target; an unreadable one leaves the present one open and says why."""
        if not entry.openable:
            self._desk.say(f"{entry.product}: {entry.state}; {entry.reason or 'there is no cube yet'}", warning=True)
            return
        self._state.opening = entry
        known = self._ready.get(entry.product)

        def work() -> tuple[Extractor, Suggestion | None, Decision | None, dict[str, Any] | None]:
            decision, draft = self._desk.files.decision(entry), self._desk.files.draft(entry)
            if known is not None and known[0] == self._desk.files.stamp(entry):
                observation, suggestion = known[1], known[2]
            else:
                observation, suggestion = self._desk.files.load(entry), None
            return _extractor(observation, decision), suggestion, decision, draft

        self._desk.jobs.submit(
            "load",
            work,
            lambda got: self._opened(entry, *got),
            lambda error: self._not_opened(entry, error),
        )
        self._desk.view.changed("choice")

    def reopen(self) -> None:
        """Read the open target from disk again."""
        state = self._state
        if state.entry is not None:
            self._ready.pop(state.entry.product, None)
            now = next((one for one in state.entries if one.product == state.entry.product), state.entry)
            self.open(now)

    def _not_opened(self, entry: Entry, error: Exception) -> None:
        state = self._state
        if state.opening is not None and state.opening.product == entry.product:
            state.opening = None
        log.warning("%s cannot be opened: %s", entry.product, error)
        words = " ".join(str(error).split()) or type(error).__name__
        state.entries = [
            replace(one, state=TargetStatus.FAILED, reason=words) if one.product == entry.product else one
            for one in state.entries
        ]
        self._desk.view.changed("entries")
        self._desk.say(f"{entry.product}: {words}", warning=True)

    def _opened(
        self,
        entry: Entry,
        extractor: Extractor,
        suggestion: Suggestion | None,
        decision: Decision | None,
        draft: dict[str, Any] | None,
    ) -> None:
        state = self._state
        if state.opening is None or state.opening.product != entry.product:
            return  # another one was asked for since
        state.opening = None
        observation = extractor.observation
        state.entry, state.observation, state.suggestion = entry, observation, suggestion
        self._spectra.take(extractor, suggestion)
        self._history.clear()
        self._placing.let_go()
        state.message, state.warning = state.greeting, bool(state.greeting)
        state.greeting, state.wants_name, state.save_wanted = "", False, False
        state.stage, state.locked = Stage.SCALE, False
        state.choice = first_choice(observation)
        if decision is not None:
            state.choice, state.stage, state.locked = choice_of(decision, observation), Stage.PLACE, True
            state.suggestion = state.suggestion or _of_decision(decision)
        if draft is not None:
            self._restore(draft)
        for topic in ("entries", "target", "picture", "choice", "spectrum"):
            self._desk.view.changed(topic)
        if suggestion is None:
            state.searching = True
            self._desk.jobs.submit(
                "search",
                lambda: self._desk.files.suggest(observation),
                lambda found: self._suggested(entry, observation, found),
                lambda error: self._not_suggested(observation, error),
            )
        else:
            self._prefetch()

    def _restore(self, draft: dict[str, Any]) -> None:
        state = self._state
        assert state.choice is not None and state.observation is not None
        try:
            choice, stage = from_draft(draft)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("a draft cannot be read: %s", error)
            return
        if (choice.b is not None) != state.observation.pair:
            return  # B has come since
        self._history.remember(state.choice)
        state.choice, state.stage, state.locked = choice, stage, False
        self._desk.say("Restored what was not saved; U takes it back")

    def _suggested(self, entry: Entry, observation: Observation, found: Suggestion) -> None:
        state = self._state
        while len(self._ready) > MOST_READY:
            self._ready.pop(next(iter(self._ready)))
        self._ready[entry.product] = (observation.stamp, observation, found)
        if state.observation is not observation:
            return
        state.searching = False
        self._spectra.keep_fit(found)
        # what is saved was made with the image of a star as it was found then
        if not state.locked:
            state.suggestion = found
            if state.choice is not None and not state.choice.placed and self._history.empty and found.a is not None:
                state.choice = replace(accepted(state.choice, found), placed=frozenset(), fitted=False)
                if state.choice.scale == first_choice(observation).scale:  # limits by the object that was found
                    scale = scale_for(observation, state.choice.window, state.choice.apertures)
                    state.choice = replace(state.choice, scale=scale)
                    self._desk.view.changed("picture")
            self._desk.view.changed("spectrum")
        self._desk.view.changed("choice")
        self.searched(observation)
        self._prefetch()

    def _not_suggested(self, observation: Observation, error: Exception) -> None:
        state = self._state
        log.warning("the search for objects failed: %s", error, exc_info=error)
        if state.observation is observation:
            state.searching = state.save_wanted = False
            self._desk.view.changed("choice")

    def _prefetch(self) -> None:
        """Have the next ready target at hand before it is asked for."""
        state = self._state
        for one in state.shown_entries:
            known = one.product in self._ready or (state.entry is not None and one.product == state.entry.product)
            if one.state is not TargetStatus.READY or known or one.product in state.saving:
                continue

            def work(one: Entry = one) -> tuple[Entry, Observation, Suggestion]:
                observation = self._desk.files.load(one)
                return one, observation, self._desk.files.suggest(observation)

            def keep(got: tuple[Entry, Observation, Suggestion]) -> None:
                self._ready[got[0].product] = (got[1].stamp, got[1], got[2])

            self._desk.jobs.submit("search", work, keep, lambda error: log.info("not read ahead: %s", error))
            return


def _of_decision(decision: Decision) -> Suggestion:
    """The star, and the fit, that a saved spectrum was made with."""
    placement = decision.placement
    star = Suggestion(psf_a=placement.psf_a, psf_b=placement.psf_b, words="as saved")
    return star if placement.fit is None else replace(star, a=placement.a, b=placement.b, told=placement.fit)


def _extractor(observation: Observation, decision: Decision | None) -> Extractor:
    """What extracts; a fit that was saved is made here, away from the window: it takes a second for each cube."""
    extractor = Extractor(observation)
    if decision is not None and decision.placement.fit is not None:
        with contextlib.suppress(ValueError):  # told when it is shown
            extractor.extract(decision.placement)
    return extractor
