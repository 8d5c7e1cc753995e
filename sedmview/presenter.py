"""What happens when the observer does something: commands, undo, and the words that tell what comes next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sedmd.errors import SedmError
from sedmd.reduce.containers import Spectrum
from sedmview.model import (
    GRADES,
    WINDOWS,
    Aperture,
    Choice,
    Extraction,
    Stage,
    Target,
    centred,
    extract,
    first_choice,
    robust_scale,
)
from sedmview.store import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """How the presenter reaches the disk; tests put something else here."""

    load: Callable[[Entry], Target]
    save: Callable[..., tuple[Path, ...]]


class View(Protocol):
    """What a window must do for the presenter."""

    def show_target(self) -> None:
        """Another target, or other colours or another picture of it."""

    def show_choice(self) -> None:
        """Apertures, grade, stage or message changed."""

    def show_spectrum(self) -> None:
        """The extraction changed."""

    def show_entries(self) -> None:
        """The list of targets changed."""

    def show_help(self) -> None:
        """The help is to be shown or hidden."""

    def later(self, work: Callable[[], None]) -> None:
        """Run `work` soon, once, however often it was asked for."""


@dataclass
class Presenter:
    """Commands of the observer on a list of targets.

    Attributes
    ----------
    entries : the list of targets
    files, view : the disk and the window
    reducer : the observer's name
    index : place in `entries`, -1 before the first
    target, choice : what is open, None before the first
    stage : Stage
    extraction, problem : the spectrum of the choice, or why there is none
    message : what happened, or what to do next
    placed : letters of the apertures that the observer has put somewhere
    help_shown : bool
    """

    entries: list[Entry]
    files: Files
    view: View
    reducer: str = ""
    index: int = -1
    target: Target | None = None
    choice: Choice | None = None
    stage: Stage = Stage.SCALE
    extraction: Extraction | None = None
    problem: str = ""
    message: str = ""
    placed: set[str] = field(default_factory=set)
    help_shown: bool = False
    saved: Choice | None = None
    _undo: list[Choice] = field(default_factory=list)
    _redo: list[Choice] = field(default_factory=list)

    # ---- targets

    def open(self, index: int) -> None:
        """Open the target at a place of the list; an unreadable one leaves the present one open and says why."""
        if not 0 <= index < len(self.entries):
            return
        try:
            target = self.files.load(self.entries[index])
        except (SedmError, OSError, ValueError) as error:
            self._say(f"{self.entries[index].product}: {error}")
            return
        self.index, self.target, self.choice = index, target, first_choice(target)
        self.stage, self.placed, self.saved, self.extraction, self.problem = Stage.SCALE, set(), None, None, ""
        self._undo.clear()
        self._redo.clear()
        self.message = ""
        self.view.show_entries()
        self.view.show_target()
        self.view.show_choice()
        self._extract_later()

    def step(self, by: int) -> None:
        """To the next or previous target of the list."""
        if self.unsaved and self.choice is not None and self.choice.grade is not None:
            self._say("The grade is not saved yet: Ctrl+S saves, U takes it back")
            return
        if not 0 <= self.index + by < len(self.entries):
            self._say("That was the last target of the list" if by > 0 else "This is the first target of the list")
            return
        self.open(self.index + by)

    def refresh_entries(self, entries: Sequence[Entry]) -> None:
        """The list as it is now on disk; the open target stays open."""
        current = self.entries[self.index].product if 0 <= self.index < len(self.entries) else None
        self.entries = list(entries)
        self.index = next((n for n, entry in enumerate(self.entries) if entry.product == current), -1)
        self.view.show_entries()

    # ---- scaling

    def rescale(self, what: str, amount: float) -> None:
        """`widen` both ends by a factor (for a single exposure the bright end only), or move the `low` end by steps."""
        if self.choice is None or self.target is None:
            return
        scale = self.choice.scale
        if what == "low":
            # in A minus B the colours stay symmetric about zero, so that neither target is favoured
            scale = scale.widened(1 - 0.1 * amount) if self.target.pair else scale.with_low(amount)
        else:
            scale = scale.widened(amount) if self.target.pair else scale.with_high(amount)
        self._choose(replace(self.choice, scale=scale), picture=True)

    def accept_scale(self) -> None:
        """On to the apertures."""
        self.stage = Stage.PLACE
        self._say("")

    def default_scale(self) -> None:
        """Forget the adjustments and go on to the apertures."""
        if self.choice is None or self.target is None:
            return
        scale = robust_scale(self.target.picture(self.choice.window), symmetric=self.target.pair)
        self._choose(replace(self.choice, scale=scale), picture=True)
        self.accept_scale()

    def back_to_scale(self) -> None:
        self.stage = Stage.SCALE
        self._say("")

    def next_window(self) -> None:
        """Look at the next range of wavelength."""
        if self.choice is None or self.target is None:
            return
        window = (self.choice.window + 1) % len(WINDOWS)
        scale = robust_scale(self.target.picture(window), symmetric=self.target.pair)
        self._choose(replace(self.choice, window=window, scale=scale), picture=True)

    # ---- apertures

    def place(self, x: float, y: float) -> None:
        """The active aperture goes to a clicked position; after A of a pair, B becomes active."""
        if self.choice is None:
            return
        if self.stage is Stage.SCALE:
            self.stage = Stage.PLACE
        letter = self.choice.active
        choice = self.choice.with_aperture(self.choice.aperture.at(x, y))
        first_time = letter not in self.placed
        self.placed.add(letter)
        other = choice.b
        if letter == "A" and other is not None and first_time:
            if "B" not in self.placed:  # B starts with the shape that was found for A
                other = choice.a.at(other.x_arcsec, other.y_arcsec)
            choice = replace(choice, active="B", b=other)
        self._choose(choice)

    def nudge(self, dx: float, dy: float) -> None:
        self._reshape(lambda a: a.at(a.x_arcsec + dx, a.y_arcsec + dy))

    def resize(self, step: float) -> None:
        self._reshape(lambda a: a.resized(step))

    def reshape(self, step: float) -> None:
        self._reshape(lambda a: a.reshaped(step))

    def turn(self, step: float) -> None:
        self._reshape(lambda a: a.turned(step))

    def centre(self) -> None:
        """The active aperture goes to the middle of the light it holds."""
        if self.choice is None or self.target is None:
            return
        aperture = centred(self.target, self.choice)
        if aperture is None:
            self._say("No object stands out in the aperture; place it by hand")
            return
        self.placed.add(self.choice.active)
        self._choose(self.choice.with_aperture(aperture))

    def toggle_sky(self) -> None:
        if self.choice is not None:
            self._choose(replace(self.choice, skysub=not self.choice.skysub))

    def toggle_point_source(self) -> None:
        """Allow for light beyond the aperture, or not (not, for a galaxy)."""
        if self.choice is not None:
            self._choose(replace(self.choice, point_source=not self.choice.point_source))

    def swap(self) -> None:
        """Keys and clicks act on the other aperture of a pair."""
        if self.choice is not None and self.choice.b is not None:
            self._choose(replace(self.choice, active="B" if self.choice.active == "A" else "A"), undoable=False)

    # ---- grade

    def grade(self, grade: int) -> None:
        if self.choice is not None:
            self._choose(replace(self.choice, grade=grade))

    def no_object(self) -> None:
        """Nothing is seen: grade 4, sky on. It can be undone like everything else."""
        if self.choice is not None:
            self.stage = Stage.PLACE
            self._choose(replace(self.choice, grade=4, skysub=True))

    def set_reducer(self, name: str) -> None:
        self.reducer = name.strip()
        self.view.show_choice()

    def save(self) -> None:
        """Write the spectrum as it is shown, with grade and name; then on to the next target."""
        if self.target is None or self.choice is None:
            return
        self.update_extraction()
        if self.extraction is None:
            self._say(f"Not saved: {self.problem}")
            return
        try:
            paths = self.files.save(self.target, self.choice, self.extraction.spectrum, reducer=self.reducer)
        except (SedmError, OSError, ValueError) as error:
            self._say(f"Not saved: {error}")
            return
        self.saved = self.choice
        entry = self.entries[self.index]
        self.entries[self.index] = replace(entry, state=f"{self.choice.grade} {self.reducer}")
        self.view.show_entries()
        more = any(entry.state in ("waiting", "automatic") for entry in self.entries)
        self._say(f"Saved {paths[-1].name}." + (" PgDn: next target" if more else " All targets are graded."))

    # ---- undo

    def undo(self) -> None:
        self._travel(self._undo, self._redo, "Nothing to undo")

    def redo(self) -> None:
        self._travel(self._redo, self._undo, "Nothing to redo")

    # ---- what to show

    @property
    def unsaved(self) -> bool:
        return self.choice is not None and self.choice != self.saved

    @property
    def prompt(self) -> str:
        """One line: what the observer is expected to do now."""
        if self.choice is None:
            return "No target open"
        if self.message:
            return self.message
        if self.stage is Stage.SCALE:
            return "Scale the picture with < >   then x   (q: default scale, n: no object visible)"
        if self.choice.b is not None and not {"A", "B"} <= self.placed and self.choice.grade is None:
            colour = "red (positive)" if self.choice.active == "A" else "blue (negative)"
            return f"Click the {colour} target with aperture {self.choice.active}   z x size   [ ] shape   , . turn"
        if not self.placed and self.choice.grade is None:
            return "Click the target   c centre   z x size   [ ] shape   , . turn   y sky"
        if self.choice.grade is None:
            return "Grade the spectrum: 1 good  2 acceptable  3 poor  4 no object  5 bogus"
        if not self.reducer:
            return "Type your name below, then Ctrl+S"
        return f"Graded {self.choice.grade}, {GRADES[self.choice.grade]}: Ctrl+S saves" if self.unsaved else "Saved"

    def toggle_help(self) -> None:
        self.help_shown = not self.help_shown
        self.view.show_help()

    def update_extraction(self) -> None:
        """Extract with the present choice, now."""
        if self.target is None or self.choice is None:
            return
        try:
            self.extraction, self.problem = extract(self.target, self.choice), ""
        except ValueError as error:
            self.extraction, self.problem = None, str(error)
        self.view.show_spectrum()

    @property
    def spectrum(self) -> Spectrum | None:
        return self.extraction.spectrum if self.extraction is not None else None

    # ---- inside

    def _reshape(self, change: Callable[[Aperture], Aperture]) -> None:
        if self.choice is not None:
            self._choose(self.choice.with_aperture(change(self.choice.aperture)))

    def _choose(self, choice: Choice, *, picture: bool = False, undoable: bool = True) -> None:
        assert self.choice is not None
        if choice == self.choice:
            return
        if undoable:
            self._undo.append(self.choice)
            self._redo.clear()
        self._take(choice, picture=picture)

    def _travel(self, source: list[Choice], sink: list[Choice], nothing: str) -> None:
        if not source or self.choice is None:
            self._say(nothing)
            return
        sink.append(self.choice)
        self._take(source.pop(), picture=True)

    def _take(self, choice: Choice, *, picture: bool) -> None:
        before, self.choice = self.choice, choice
        self.message = ""
        if picture:
            self.view.show_target()
        self.view.show_choice()
        if before is None or _what_counts(before) != _what_counts(choice):
            self._extract_later()

    def _extract_later(self) -> None:
        self.view.later(self.update_extraction)

    def _say(self, message: str) -> None:
        self.message = message
        self.view.show_choice()


def _what_counts(choice: Choice) -> tuple[object, ...]:
    """The part of a choice that the spectrum, or the sky spaxels shown with it, depends on."""
    return (choice.a, choice.b, choice.active, choice.skysub, choice.point_source)
