"""What lies before the observer, as plain values: the list, what is open, what was decided, what is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sedmd.observation.load import Observation
from sedmd.observation.suggestion import Suggestion
from sedmd.products.published import Published
from sedmd.reduce.target.place import Place
from sedmview import apertures
from sedmview.concerns import Graded
from sedmview.drawn import Drawn
from sedmview.model import Choice, Stage
from sedmview.targets import Entry, Filter, passes


@dataclass
class ViewerState:
    """The state behind the window; its parts change it, everybody may read it.

    Attributes
    ----------
    reducer : the observer's name
    entries, filter : the list, and which of it is gone through
    listed : the night has been looked at
    entry, observation, choice : what is open, None before the first
    stage : Stage
    suggestion : what the automatic search found; None until it has
    searching : the search goes on
    opening : what is being opened
    locked : the open target is saved; it is shown as it was, and can be opened again
    message, warning : what happened, and whether it is shown as a warning
    greeting : said when the first target is open
    help_shown, redshift, line_set, sky_shown : what is drawn over the pictures
    pointer, pointer_spectrum : where the pointer is [arcsec], and whether the spectrum of that spaxel is shown
    drawn : what is drawn over and beside the pictures
    rest : where A was put, as long as B waits where the nod predicts it
    comparison : a spectrum from a file that is laid over the object's, whichever target is open
    wants_name, save_wanted, saving : the name is asked for; to be saved after the search; products being saved
    suggestion_wanted : the suggestion is to be taken when the search has ended
    graded : what the grade was given to
    acknowledged : concerns about what would be saved that the observer has seen
    residual_shown : the picture is that of the data minus what was fitted
    wanted : part of a name that was typed to find a target
    unreadable : products that could not be opened, and of which cubes
    motions : redshift and expansion velocity [km/s] of each target, so that none leaks to the next
    expected : where the target is expected, with the error; two places if star and former nights contradict
    """

    reducer: str = ""
    entries: list[Entry] = field(default_factory=list)
    filter: Filter = Filter.ALL
    listed: bool = False
    entry: Entry | None = None
    observation: Observation | None = None
    choice: Choice | None = None
    stage: Stage = Stage.SCALE
    suggestion: Suggestion | None = None
    searching: bool = False
    opening: Entry | None = None
    locked: bool = False
    message: str = ""
    warning: bool = False
    greeting: str = ""
    help_shown: bool = False
    redshift: float = 0.0
    line_set: int = 0
    sky_shown: bool = True
    pointer: tuple[float, float] | None = None
    pointer_spectrum: bool = False
    drawn: Drawn = field(default_factory=Drawn)
    rest: tuple[float, float] | None = None
    comparison: Published | None = None
    wants_name: bool = False
    save_wanted: bool = False
    saving: set[str] = field(default_factory=set)
    suggestion_wanted: bool = False
    graded: Graded | None = None
    acknowledged: frozenset[str] = frozenset()
    expected: tuple[Place, ...] = ()
    residual_shown: bool = False
    wanted: str = ""
    unreadable: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    motions: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def floating(self) -> bool:
        """Does the active aperture follow the pointer?"""
        return (
            self.stage is Stage.PLACE
            and self.choice is not None
            and not self.locked
            and self.choice.object_visible
            and self.choice.active not in self.choice.placed
        )

    @property
    def shown(self) -> Choice | None:
        """The choice as it is drawn: with the active aperture at the pointer while it follows it."""
        if self.choice is None or self.pointer is None or not self.floating:
            return self.choice
        if self.rest is not None:
            return self.choice
        return self.choice.with_aperture(apertures.placed(self.choice.aperture, *self.pointer))

    @property
    def shown_entries(self) -> list[Entry]:
        """What the filter lets through, and has in its name what was typed to find it."""
        typed = self.wanted.lower()
        return [
            entry
            for entry in self.entries
            if passes(entry, self.filter) and typed in f"{entry.product} {entry.name}".lower()
        ]

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
