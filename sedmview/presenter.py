"""The presenter: the observer's commands by what they are about, on one state; no window in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sedmd.core.config import Links
from sedmview.desk import BackgroundWork, Desk, Files, View
from sedmview.drawing import Drawing
from sedmview.elsewhere import Elsewhere
from sedmview.history import Drafts, History
from sedmview.listing import Listing
from sedmview.looking import Looking
from sedmview.opening import Opening
from sedmview.placing import Placing
from sedmview.saving import Saving
from sedmview.spectra import Spectra
from sedmview.state import ViewerState
from sedmview.words import prompt


class Presenter:
    """What the observer can do, in parts.

    Parameters
    ----------
    files, jobs, view : the disk, work away from the window, the window
    reducer : str
        The observer's name.
    links : Links
        Web pages on a target; by default the usual ones.
    clock : callable
        The time now, UTC.

    Attributes
    ----------
    desk : Desk
        ViewerState and outside, which the parts share.
    state : ViewerState
        What all of them act on.
    listing, opening : the list of targets; opening one of it
    history, drafts : changes of the choice and undo; what is kept of it
    spectra : the spectra of what is shown
    looking, placing, saving : commands on pictures, on apertures, on grade and files
    drawing, elsewhere : commands on what is drawn over the pictures; on what is looked at outside
    """

    def __init__(
        self,
        *,
        files: Files,
        jobs: BackgroundWork,
        view: View,
        reducer: str = "",
        links: Links | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.desk = desk = Desk(files=files, jobs=jobs, view=view, clock=clock, state=ViewerState(reducer=reducer))
        self.state = desk.state
        self.drafts = Drafts(desk)
        self.history = History(desk, self.drafts)
        self.spectra = Spectra(desk)
        self.listing = Listing(desk)
        self.looking = Looking(desk, self.history, self.drafts)
        self.drawing = Drawing(desk, self.spectra, self.looking)
        self.elsewhere = Elsewhere(desk, links or Links())
        self.placing = Placing(desk, self.history)
        self.opening = Opening(desk, self.listing, self.history, self.spectra, self.placing)
        self.saving = Saving(desk, self.listing, self.opening, self.history, self.drafts, self.spectra)

    @property
    def prompt(self) -> str:
        """One line: what the observer is expected to do now."""
        return prompt(self.state)
