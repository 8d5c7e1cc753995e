"""What the parts of the presenter share: the state, and how they reach disk, workers and window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sedmd.observation.decisions import Decision, Placement
from sedmd.observation.load import Observation
from sedmd.observation.saved import Verdict
from sedmd.observation.suggestion import Suggestion
from sedmd.products.published import Published
from sedmview.beside import Beside
from sedmview.state import ViewerState
from sedmview.targets import Entry
from sedmview.words import words_of

log = logging.getLogger(__name__)


class Files(Protocol):
    """How the presenter reaches the disk; tests put something else here."""

    def load(self, entry: Entry) -> Observation: ...
    def stamp(self, entry: Entry) -> object: ...
    def suggest(self, observation: Observation) -> Suggestion: ...
    def decision(self, entry: Entry) -> Decision | None: ...
    def save(
        self, observation: Observation, placement: Placement, verdict: Verdict
    ) -> tuple[Decision, tuple[Path, ...]]: ...
    def entries(self) -> tuple[list[Entry], list[str]]: ...
    def draft(self, entry: Entry) -> dict[str, Any] | None: ...
    def keep_draft(self, entry: Entry, draft: Mapping[str, Any]) -> None: ...
    def drop_draft(self, entry: Entry) -> None: ...
    def keep_settings(self, **changes: object) -> None: ...
    def published(self, path: Path) -> Published: ...
    def page(self, entry: Entry) -> Path | None: ...
    def beside(self, entry: Entry) -> Beside: ...
    def night_page(self) -> Path | None: ...


class BackgroundWork(Protocol):
    """Work away from the window: `done` or `failed` is called back where the presenter lives."""

    def submit(
        self, lane: str, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None: ...


class View(Protocol):
    """What a window must do for the presenter: show a topic again, soon, once however often it was asked for.

    Topics: entries, target, picture, choice, spectrum, lines, help; beside, finder: what lies beside the spectrum, the
    chart; range: all of field and spectrum again; comparison: ask for the file of a spectrum, and pass it to
    `Spectra.compare`; find: ask for part of a name, and pass it to `Listing.find`.
    """

    def changed(self, topic: str) -> None: ...

    def copy(self, text: str) -> None:
        """Put a text on the clipboard."""

    def show_outside(self, place: str) -> bool:
        """Open an address (``https:`` or ``file:``) in the desktop's own program; False if there is none."""
        ...


class Inline:
    """Jobs done at once, where they are asked for."""

    def submit(
        self, lane: str, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """Do it now."""
        try:
            result = work()
        except Exception as error:
            failed(error)
        else:
            done(result)


@dataclass
class Desk:
    """The state, and what is outside.

    Attributes
    ----------
    files, jobs, view : the disk, work away from the window, the window
    clock : callable
        The time now, UTC.
    state : ViewerState
    """

    files: Files
    jobs: BackgroundWork
    view: View
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    state: ViewerState = field(default_factory=ViewerState)

    def say(self, message: str, *, warning: bool = False) -> None:
        """Tell the observer what happened; an empty message takes the last one away."""
        self.state.message, self.state.warning = message, warning
        self.view.changed("choice")

    def quietly(self, work: Callable[[], Any]) -> None:
        """Small writes away from the window; an error there is shown, and stops nothing."""
        self.jobs.submit("notes", work, lambda _: None, self.no_notes)

    def no_notes(self, error: Exception) -> None:
        """Something could not be kept on disk."""
        log.warning("what is not saved cannot be kept: %s", error)
        self.say(f"What is not saved cannot be kept on disk: {words_of(error)}", warning=True)
