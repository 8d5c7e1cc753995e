"""All that the observer can do, and the words that tell what comes next: grade, name, save."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from sedmd.core.errors import SedmError
from sedmd.core.quality import QUALITIES
from sedmd.observation.decisions import Decision
from sedmd.observation.observed import Observation
from sedmd.observation.saved import Verdict
from sedmd.observation.suggestion import Suggestion
from sedmview.browsing import Browsing
from sedmview.desk import words_of
from sedmview.looking import Looking
from sedmview.model import Choice, Stage, placement_of
from sedmview.placing import Placing
from sedmview.targets import Entry, TargetStatus

log = logging.getLogger(__name__)


class Presenter(Browsing, Looking, Placing):
    """Commands of the observer on a list of targets; see `Desk` for what they act on."""

    def grade(self, grade: int) -> None:
        """Quality 1 to 5. Where nothing was seen, or the target is bogus, no aperture need be placed."""
        if self.choice is None:
            return
        choice = self.choice
        if grade in (1, 2, 3) and "A" not in choice.placed:
            self._say("Place A first: click on the target, or S takes the suggestion", trouble=True)
            return
        if self.stage is Stage.SCALE:
            self.stage = Stage.PLACE
        # B that was not moved stays where the nod predicts it
        self._rest = None
        self._choose(replace(choice, grade=grade, placed=choice.placed | set(choice.letters)))

    def no_object(self) -> None:
        """Nothing is seen: grade 4, sky on. It can be undone like everything else."""
        if self.choice is not None:
            self._choose(
                replace(self.choice, grade=4, skysub=True, object_visible=False, placed=frozenset(self.choice.letters)),
                stage=Stage.PLACE,
            )

    def use_partial(self) -> None:
        """Take one exposure of a pair without the other: a deliberate choice."""
        if self.choice is None or self.entry is None:
            return
        if not self.entry.partial:
            self._say("This is no half of a pair")
            return
        self._choose(replace(self.choice, partial=not self.choice.partial))

    def set_reducer(self, name: str) -> None:
        """The observer's name, remembered for the next time."""
        name = " ".join(name.split())
        if name == self.reducer:
            return
        self.reducer, self.wants_name = name, False
        self._quietly(lambda: self.files.keep_settings(reducer=name))
        self._say("")

    def redo_target(self) -> None:
        """Open a saved target for another go; the former version is kept."""
        if self.choice is None:
            return
        if not self.locked:
            self._say("This target is open already")
            return
        self.locked = False
        ready = self._ready.get(self.entry.product) if self.entry else None
        if ready is not None:
            self.suggestion = ready[2]
        self._choose(replace(self.choice, grade=None))
        self.view.changed("spectrum")
        self._say("Place it again; what was saved is kept as a former version")

    def confirm(self) -> None:
        """Enter: save, or after saving on to the next target that is ready."""
        if self.locked or (self.entry is not None and self.entry.product in self.saving):
            self.open_next_ready()
        else:
            self.save()

    def save(self) -> None:
        """Write the spectrum as it is shown, with grade and name, away from the window."""
        lack = self._lacks()
        if lack:
            self._say(f"Not saved: {lack}", trouble=True)
            return
        assert self.observation is not None and self.choice is not None and self.entry is not None
        if self.searching:  # the image of a star counts for what is saved
            self.save_wanted = True
            self._say("Saving as soon as the stars of the field are looked at ...")
            return
        entry, observation, choice = self.entry, self.observation, self.choice
        assert choice.grade is not None
        placement = placement_of(choice, self.suggestion)
        verdict = Verdict(
            picture=choice.picture,
            quality=choice.grade,
            reducer=self.reducer,
            object_visible=choice.object_visible,
            partial=choice.partial,
        )
        self.saving.add(entry.product)
        self._say(f"Saving {entry.product} ...")
        self.jobs.submit(
            "save",
            lambda: self.files.save(observation, placement, verdict),
            lambda got: self._saved(entry, choice, *got),
            lambda error: self._not_saved(entry, error),
        )

    def _suggested(self, entry: Entry, observation: Observation, found: Suggestion) -> None:
        super()._suggested(entry, observation, found)
        if self.save_wanted and self.observation is observation:
            self.save_wanted = False
            self.save()

    def _lacks(self) -> str:
        """What is missing before the target can be saved; empty when nothing is."""
        if self.observation is None or self.choice is None or self.entry is None:
            return "no target is open"
        if self.locked:
            return self._locked_words()
        if self.choice.grade is None:
            return "no grade yet: 1 good  2 acceptable  3 poor  4 no object  5 bogus"
        if self.entry.partial and not self.choice.partial:
            return "this is one half of a pair; Shift+P takes it deliberately without the other"
        self.wants_name = not self.reducer
        if self.wants_name:
            return "no name yet: type yours, then Enter"
        if self.extraction is None:
            return self.problem
        return ""

    def _saved(self, entry: Entry, choice: Choice, decision: Decision, paths: tuple[Path, ...]) -> None:
        self.saving.discard(entry.product)
        if self._draft is not None and self._draft[0].product == entry.product:
            self._draft = None
        self._quietly(lambda: self.files.drop_draft(entry))
        done = replace(entry, state=TargetStatus.DONE, quality=decision.quality, reducer=decision.reducer, reason="")
        self.entries = [done if one.product == entry.product else one for one in self.entries]
        if self.entry is not None and self.entry.product == entry.product:
            self.entry = done
            self.locked = self.choice == choice
        self.view.changed("entries")
        written = ", ".join(path.name for path in paths)
        log.info("saved %s quality %d by %s", written, decision.quality, decision.reducer)
        then = "Enter: next target" if self.next_ready() else "No other target is ready"
        self._say(f"Saved {decision.saved_as}, {decision.quality} {QUALITIES[decision.quality]}. {then}")

    def _not_saved(self, entry: Entry, error: Exception) -> None:
        self.saving.discard(entry.product)
        log.error("%s not saved: %s", entry.product, error, exc_info=None if _expected(error) else error)
        self._say(
            f"Not saved: {entry.product}: {words_of(error)}. Your choice is kept; Enter tries again", trouble=True
        )

    # ---- words

    @property
    def unsaved(self) -> bool:
        """Is there something that only the draft holds?"""
        return self.choice is not None and not self.locked and bool(self._undo)

    @property
    def phase(self) -> int:
        """0 scale, 1 place A, 2 place B, 3 grade, 4 save, 5 saved."""
        if self.locked:
            return 5
        if self.choice is None or self.stage is Stage.SCALE:
            return 0
        if self.choice.grade is not None:
            return 4
        missing = [letter for letter in self.choice.letters if letter not in self.choice.placed]
        return 3 if not missing else {"A": 1, "B": 2}[missing[0]]

    @property
    def prompt(self) -> str:
        """One line: what the observer is expected to do now."""
        if self.opening is not None:
            return f"Opening {self.opening.product} ..."
        if self.message:
            return self.message
        if self.choice is None or self.entry is None:
            return "No target is open" if self.entries else "No cube yet; the list fills by itself"
        if self.locked:
            return self._locked_words()
        if self.entry.partial and not self.choice.partial:
            here, other = self.entry.half, "AB".replace(self.entry.half, "")
            waiting = f"{other} has not come yet" if self.entry.state is TargetStatus.PAIR else f"{other} never came"
            return f"Only {here}: {waiting}. Without it the sky is worse; Shift+P takes it alone deliberately"
        if self.stage is Stage.SCALE:
            return "Scale the picture with < >  then X    (Q default scale   N no target visible   A automatic limits)"
        phase = self.phase
        offer = "   S takes the suggestion" if self.suggestion and self.suggestion.a and phase in (1, 2) else ""
        if phase in (1, 2) and self.choice.b is not None:
            which = "red, positive" if phase == 1 else "blue, negative"
            return f"Click the {which} target: {'AB'[phase - 1]}   Z X size   [ ] shape   , . turn{offer}"
        if phase == 1:
            return f"Click the target   Z X size   [ ] shape   , . turn   Y sky{offer}"
        if phase == 3:
            return "Grade the spectrum: 1 good   2 acceptable   3 poor   4 no object   5 bogus"
        if not self.reducer:
            return "Type your name, then Enter"
        return f"{self.choice.grade} {QUALITIES[self.choice.grade or 1]}, by {self.reducer}: Enter saves"


def _expected(error: Exception) -> bool:
    return isinstance(error, SedmError | OSError | ValueError)
