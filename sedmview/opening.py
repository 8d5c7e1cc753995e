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
from sedmd.observation.suggestion import Suggestion, places_of
from sedmd.reduce.target.place import Place
from sedmview.desk import Desk
from sedmview.history import History
from sedmview.listing import Listing
from sedmview.model import Stage, accepted, choice_of, first_choice, from_draft, scale_for, started
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
        self._ready: dict[str, tuple[object, Observation | None, Suggestion]] = {}
        self._ahead = ""
        self._not_ahead: set[str] = set()
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
                self._desk.say(f"{self._listing.none_ready()}; PgDn and PgUp go through the list")
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

        def work() -> tuple[Extractor, Suggestion | None, tuple[Place, ...], Decision | None, dict[str, Any] | None]:
            decision, draft = self._desk.files.decision(entry), self._desk.files.draft(entry)
            fresh = known is not None and known[0] == self._desk.files.stamp(entry)
            suggestion = known[2] if known is not None and fresh else None
            kept = known[1] if known is not None and fresh else None
            observation = self._desk.files.load(entry) if kept is None else kept
            return _extractor(observation, decision), suggestion, places_of(observation), decision, draft

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
        state.unreadable[entry.product] = entry.cubes
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
        expected: tuple[Place, ...],
        decision: Decision | None,
        draft: dict[str, Any] | None,
    ) -> None:
        state = self._state
        if state.opening is None or state.opening.product != entry.product:
            return  # another one was asked for since
        state.opening = None
        state.unreadable.pop(entry.product, None)
        if state.entry is not None:
            state.motions[state.entry.product] = (state.redshift, state.drawn.velocity_km_s)
        if state.entry is None or state.entry.product != entry.product:
            # what was read at the pointer, redshift and expansion are the other target's
            state.pointer = None
            state.redshift, state.drawn.velocity_km_s = state.motions.get(entry.product, (0.0, 0.0))
            self._desk.view.changed("lines")
        observation = extractor.observation
        state.entry, state.observation, state.suggestion = entry, observation, suggestion
        self._spectra.take(extractor, suggestion)
        self._history.clear()
        self._placing.let_go()
        state.message, state.warning = state.greeting, bool(state.greeting)
        state.greeting, state.wants_name, state.save_wanted = "", False, False
        state.residual_shown = False
        state.suggestion_wanted, state.graded, state.acknowledged = False, None, frozenset()
        state.stage, state.locked, state.expected = Stage.SCALE, False, expected
        state.choice = first_choice(observation, expected)
        if decision is not None:
            state.choice, state.stage, state.locked = choice_of(decision, observation), Stage.PLACE, True
            state.suggestion = state.suggestion or _of_decision(decision)
        if draft is not None:
            self._restore(draft)
        self._confirm_provisional()
        for topic in ("entries", "target", "picture", "choice", "spectrum"):
            self._desk.view.changed(topic)
        state.searching = suggestion is None
        if suggestion is None:
            self._desk.jobs.submit(
                "search",
                lambda: self._desk.files.suggest(observation),
                lambda found: self._suggested(entry, observation, found),
                lambda error: self._not_suggested(observation, error),
            )
        else:
            self._prefetch()

    def _confirm_provisional(self) -> None:
        """Of a provisional spectrum the pipeline's apertures and fit are the start: one grade confirms it."""
        state, found = self._state, self._state.suggestion
        if state.entry is None or state.entry.state is not TargetStatus.PROVISIONAL or state.locked:
            return
        if found is None or found.told is None or state.choice is None or state.choice.placed:
            return
        if self._history.empty and state.choice.grade is None:
            state.choice, state.stage = accepted(state.choice, found), Stage.PLACE

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
        self._keep(entry, observation, found)
        if state.observation is not observation:
            self._prefetch()
            return
        state.searching = False
        self._spectra.keep_fit(found)
        # what is saved was made with the image of a star as it was found then
        if not state.locked:
            state.suggestion = found
            if state.choice is not None and not state.choice.placed and found.a is not None:
                state.choice = started(state.choice, found, reshaped=not self._history.empty)
                if self._history.empty and state.choice.scale == first_choice(observation, state.expected).scale:
                    # limits by the object that was found
                    scale = scale_for(observation, state.choice.window, state.choice.apertures)
                    state.choice = replace(state.choice, scale=scale)
                    self._desk.view.changed("picture")
            if state.suggestion_wanted:
                state.suggestion_wanted = False
                self._placing.accept_suggestion()
            self._confirm_provisional()
            self._desk.view.changed("spectrum")
        self._desk.view.changed("choice")
        self.searched(observation)
        self._prefetch()

    def _not_suggested(self, observation: Observation, error: Exception) -> None:
        state = self._state
        log.warning("the search for objects failed: %s", error, exc_info=error)
        if state.observation is observation:
            state.searching = state.save_wanted = state.suggestion_wanted = False
            self._desk.view.changed("choice")
        self._prefetch()

    def _keep(self, entry: Entry, observation: Observation, found: Suggestion) -> None:
        """What was found stays at hand for every target; the cubes of so many only, those that were needed last."""
        self._ready.pop(entry.product, None)
        self._ready[entry.product] = (observation.stamp, observation, found)
        large = [product for product, (_, cubes, _) in self._ready.items() if cubes is not None]
        for product in large[:-MOST_READY]:
            stamp, _, suggestion = self._ready[product]
            self._ready[product] = (stamp, None, suggestion)

    def _prefetch(self) -> None:
        """Search ahead for every target that waits, one at a time, the next one first."""
        if self._ahead or self._state.searching:
            return
        todo = [one for one in self._listing.waiting() if one.product not in self._ready and one.openable]
        todo = [one for one in todo if one.product not in self._not_ahead]
        if not todo:
            return
        one = todo[0]
        self._ahead = one.product

        def work() -> tuple[Observation, Suggestion]:
            observation = self._desk.files.load(one)
            return observation, self._desk.files.suggest(observation)

        def done(got: tuple[Observation, Suggestion]) -> None:
            self._ahead = ""
            self._keep(one, *got)
            self._prefetch()

        def failed(error: Exception) -> None:
            log.info("not read ahead: %s", error)
            self._ahead = ""
            self._not_ahead.add(one.product)
            self._prefetch()

        self._desk.jobs.submit("search", work, done, failed)


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
