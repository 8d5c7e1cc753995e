"""Grade, name, save: what an observer says of a spectrum, and how it gets on disk."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from sedmd.core.quality import QUALITIES
from sedmd.observation.decisions import Decision
from sedmd.observation.load import Observation
from sedmd.observation.saved import Verdict
from sedmview.concerns import Graded, concerns_of, has_signal
from sedmview.desk import Desk
from sedmview.history import Drafts, History
from sedmview.listing import Listing
from sedmview.model import Choice, Stage, placement_of, without_object
from sedmview.opening import Opening
from sedmview.spectra import Spectra
from sedmview.targets import Entry, TargetStatus
from sedmview.words import is_expected, locked_words, words_of

log = logging.getLogger(__name__)


class Saving:
    """Commands that judge and save."""

    def __init__(
        self, desk: Desk, listing: Listing, opening: Opening, history: History, drafts: Drafts, spectra: Spectra
    ) -> None:
        self._desk, self._state, self._listing, self._opening = desk, desk.state, listing, opening
        self._history, self._drafts, self._spectra = history, drafts, spectra
        opening.searched = self._searched

    def grade(self, grade: int) -> None:
        """Quality 1 to 5. Where nothing was seen, or the target is bogus, no aperture need be placed."""
        state = self._state
        if state.choice is None:
            return
        choice = state.choice
        if state.suggestion_wanted:
            self._desk.say("S is remembered; grade the spectrum when the search has ended and it is there")
            return
        if grade in (1, 2, 3) and "A" not in choice.placed:
            self._desk.say("Place A first: click on the target, or S takes the suggestion", warning=True)
            return
        if grade in (1, 2) and (lack := self._no_signal()):
            self._desk.say(lack, warning=True)
            return
        if state.stage is Stage.SCALE:
            state.stage = Stage.PLACE
        # B that was not moved stays where the nod predicts it
        state.rest = None
        self._history.choose(replace(choice, grade=grade, placed=choice.placed | set(choice.letters)))
        shown = self._spectra.extraction
        state.graded = None if shown is None else Graded.of(state.choice, shown.spectrum)

    def no_object(self) -> None:
        """Nothing is seen: grade 4, sky on. It can be undone like everything else."""
        state = self._state
        if state.choice is not None and state.observation is not None:
            nothing = without_object(state.choice, state.observation, state.expected)
            state.graded, state.suggestion_wanted = None, False
            self._history.choose(nothing, stage=Stage.PLACE)

    def use_partial(self) -> None:
        """Take one exposure of a pair without the other: a deliberate choice."""
        state = self._state
        if state.choice is None or state.entry is None:
            return
        if not state.entry.partial:
            self._desk.say("This is no half of a pair")
            return
        self._history.choose(replace(state.choice, partial=not state.choice.partial))

    def set_reducer(self, name: str) -> None:
        """The observer's name, remembered for the next time."""
        state = self._state
        name = " ".join(name.split())
        if name == state.reducer:
            return
        state.reducer, state.wants_name = name, False
        self._desk.quietly(lambda: self._desk.files.keep_settings(reducer=name))
        self._desk.say("")

    def redo_target(self) -> None:
        """Open a saved target for another go; the former version is kept."""
        state = self._state
        if state.choice is None:
            return
        if not state.locked:
            self._desk.say("This target is open already")
            return
        state.locked = False
        state.suggestion = self._opening.found(state.entry) or state.suggestion
        self._history.choose(replace(state.choice, grade=None))
        self._desk.view.changed("spectrum")
        self._desk.say("Place it again; what was saved is kept as a former version")

    def confirm(self) -> None:
        """Enter: save, or after saving on to the next target that is ready."""
        state = self._state
        if state.locked or (state.entry is not None and state.entry.product in state.saving):
            self._opening.open_next_ready()
        else:
            self.save()

    def save(self) -> None:
        """Write the spectrum as it is shown, with grade and name, away from the window."""
        state = self._state
        lack = self._lacks()
        if lack:
            self._desk.say(f"Not saved: {lack}", warning=True)
            return
        assert state.observation is not None and state.choice is not None and state.entry is not None
        if state.searching:  # the image of a star counts for what is saved
            state.save_wanted = True
            self._desk.say("Saving as soon as the stars of the field are looked at ...")
            return
        entry, observation, choice = state.entry, state.observation, state.choice
        assert choice.grade is not None and self._spectra.extraction is not None
        concerns = concerns_of(self._spectra.extraction, choice, state.graded)
        if not state.acknowledged.issuperset(concerns):
            state.acknowledged = frozenset(concerns)
            self._desk.say(f"Not saved yet: {'; '.join(concerns)}. Enter again saves it nevertheless", warning=True)
            return
        placement = placement_of(choice, state.suggestion)
        verdict = Verdict(
            picture=choice.picture,
            quality=choice.grade,
            reducer=state.reducer,
            object_visible=choice.object_visible,
            partial=choice.partial,
        )
        state.saving.add(entry.product)
        self._desk.say(f"Saving {entry.product} ...")
        self._desk.jobs.submit(
            "save",
            lambda: self._desk.files.save(observation, placement, verdict),
            lambda got: self._saved(entry, choice, *got),
            lambda error: self._not_saved(entry, error),
        )

    def _searched(self, observation: Observation) -> None:
        """What was to be saved after the search is saved now."""
        state = self._state
        if state.save_wanted and state.observation is observation:
            state.save_wanted = False
            self.save()

    def _lacks(self) -> str:
        """What is missing before the target can be saved; empty when nothing is."""
        state = self._state
        if state.observation is None or state.choice is None or state.entry is None:
            return "no target is open"
        if state.locked:
            return locked_words(state)
        if state.choice.grade is None:
            return "no grade yet: 1 good  2 acceptable  3 poor  4 no object  5 bogus"
        if state.entry.partial and not state.choice.partial:
            return "this is one half of a pair; Shift+P takes it deliberately without the other"
        state.wants_name = not state.reducer
        if state.wants_name:
            return "no name yet: type yours, then Enter"
        if self._spectra.extraction is None:
            return self._spectra.problem
        return self._no_signal() if state.choice.grade in (1, 2) else ""

    def _no_signal(self) -> str:
        """Why what is shown cannot be good or acceptable; empty when it can."""
        shown = self._spectra.extraction
        if shown is None:
            return self._spectra.problem or "There is no spectrum yet"
        if not has_signal(shown.spectrum):
            return "The spectrum has no data at 450-850 nm: it is 3 poor at best; 4 no object, 5 bogus"
        return ""

    def _saved(self, entry: Entry, choice: Choice, decision: Decision, paths: tuple[Path, ...]) -> None:
        state = self._state
        state.saving.discard(entry.product)
        self._drafts.forget(entry)
        done = replace(entry, state=TargetStatus.DONE, quality=decision.quality, reducer=decision.reducer, reason="")
        state.entries = [done if one.product == entry.product else one for one in state.entries]
        if state.entry is not None and state.entry.product == entry.product:
            state.entry = done
            state.locked = state.choice == choice
        self._desk.view.changed("entries")
        written = ", ".join(path.name for path in paths)
        log.info("saved %s quality %d by %s", written, decision.quality, decision.reducer)
        then = "Enter: next target" if self._listing.next_ready() else self._listing.none_ready()
        self._desk.say(f"Saved {decision.saved_as}, {decision.quality} {QUALITIES[decision.quality]}. {then}")

    def _not_saved(self, entry: Entry, error: Exception) -> None:
        self._state.saving.discard(entry.product)
        log.error("%s not saved: %s", entry.product, error, exc_info=None if is_expected(error) else error)
        self._desk.say(
            f"Not saved: {entry.product}: {words_of(error)}. Your choice is kept; Enter tries again", warning=True
        )
