"""What is said to the observer: what comes next, what is missing, what is locked. Functions of the state."""

from __future__ import annotations

from sedmd.core.errors import SedmError
from sedmd.core.quality import QUALITIES
from sedmd.observation.aperture import Extraction
from sedmview import targets
from sedmview.model import Choice, Stage
from sedmview.state import ViewerState

#: An aperture with less of its area on the field is said to be cut.
WHOLE = 0.97


def words_of(error: Exception) -> str:
    """An error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def is_expected(error: Exception) -> bool:
    """Whether an error is one that files and observers make, and no mistake of the program."""
    return isinstance(error, SedmError | OSError | ValueError)


def locked_words(state: ViewerState) -> str:
    """Of a target that is saved."""
    entry = state.entry
    quality = (entry.quality if entry else None) or 0
    by = f" by {entry.reducer}" if entry is not None and entry.reducer else ""
    return f"Saved{by}: {quality} {QUALITIES.get(quality, '')}.   R redoes it   Enter: next target"


def search_words(state: ViewerState) -> str:
    """Why the search offers nothing."""
    return state.suggestion.words if state.suggestion is not None else "the search failed"


def aperture_words(extraction: Extraction) -> tuple[list[str], bool]:
    """How much of the object each aperture holds; and whether one of them is cut by the edge of the field."""
    metas = [part.spectrum.meta for part in extraction.parts]
    named = list(zip("AB" if len(metas) == 2 else [""], metas, strict=False))
    words, cut = [], False
    for letter, meta in named:
        inside = meta.get("aperture_inside")
        if isinstance(inside, float) and inside < WHOLE:
            of = f" {letter}" if letter else ""
            words.append(f"only {100 * inside:.0f} % of the aperture{of} lies on the field")
            cut = True
    shares = [(letter, share) for letter, meta in named if isinstance(share := meta.get("aperture_share"), float)]
    if shares:
        told = ", ".join(f"{letter} {100 * share:.0f} %".strip() for letter, share in shares)
        words.append(f"{told} of a star's light inside, corrected")
    return words, cut


def prompt(state: ViewerState) -> str:
    """One line: what the observer is expected to do now."""
    if state.opening is not None:
        return f"Opening {state.opening.product} ..."
    if state.message:
        return state.message
    if state.choice is None or state.entry is None:
        if not state.listed:
            return "Reading the night ..."
        return "No target is open" if state.entries else "No cube yet; the list fills by itself"
    if state.locked:
        return locked_words(state)
    if state.entry.partial and not state.choice.partial:
        here, other = state.entry.half, "AB".replace(state.entry.half, "")
        waits = state.entry.state is targets.TargetStatus.PAIR
        waiting = f"{other} has not come yet" if waits else f"{other} never came"
        return f"Only {here}: {waiting}. Without it the sky is worse; Shift+P takes it alone deliberately"
    if state.stage is Stage.SCALE:
        return "Scale the picture with < >  then X    (Q default scale   N no target visible   A automatic limits)"
    return _placing_words(state, state.choice)


def _placing_words(state: ViewerState, choice: Choice) -> str:
    phase = state.phase
    offer = "   S takes the suggestion" if state.suggestion and state.suggestion.a and phase in (1, 2) else ""
    if phase in (1, 2) and choice.b is not None:
        which = "red, positive" if phase == 1 else "blue, negative"
        return f"Click the {which} target: {'AB'[phase - 1]}   Z X size   [ ] shape   , . turn{offer}"
    if phase == 1:
        return f"Click the target   Z X size   [ ] shape   , . turn   Y sky{offer}"
    if phase == 3:
        return "Grade the spectrum: 1 good   2 acceptable   3 poor   4 no object   5 bogus"
    if not state.reducer:
        return "Type your name, then Enter"
    return f"{choice.grade} {QUALITIES[choice.grade or 1]}, by {state.reducer}: Enter saves"
