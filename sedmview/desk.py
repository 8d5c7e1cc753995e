"""The state behind the window, how it changes and is undone, and what it needs from outside."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sedmd.core.errors import SedmError
from sedmd.core.quality import QUALITIES
from sedmd.observation.decisions import Decision, Placement
from sedmd.observation.observed import Extraction, Extractor, Observation
from sedmd.observation.saved import Verdict
from sedmd.observation.suggestion import Suggestion
from sedmd.products.published import Published
from sedmview import apertures
from sedmview.model import Choice, Stage, placement_of, to_draft
from sedmview.targets import Entry, Filter

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


class BackgroundWork(Protocol):
    """Work away from the window: `done` or `failed` is called back where the presenter lives."""

    def submit(
        self, lane: str, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None: ...


class View(Protocol):
    """What a window must do for the presenter: show a topic anew, soon, once however often it was asked for.

    Topics: entries, target, picture, choice, spectrum, lines, help; and comparison: ask for the file of a spectrum, and
    pass it to `Looking.compare`.
    """

    def changed(self, topic: str) -> None: ...


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
    """What lies before the observer, and how it changes; the commands are in the classes made of this one.

    Attributes
    ----------
    files, jobs, view : the disk, work away from the window, the window
    reducer : the observer's name
    entries, filter : the list, and which of it is gone through
    entry, observation, choice : what is open, None before the first
    stage : Stage
    suggestion : what the automatic search found; None until it has
    locked : the open target is saved; it is shown as it was, `redo_target` opens it again
    comparison : a spectrum from a file that is laid over the object's, whichever target is open
    message, trouble : what happened, and whether it is bad
    """

    files: Files
    jobs: BackgroundWork
    view: View
    reducer: str = ""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    entries: list[Entry] = field(default_factory=list)
    filter: Filter = Filter.ALL
    entry: Entry | None = None
    observation: Observation | None = None
    choice: Choice | None = None
    stage: Stage = Stage.SCALE
    suggestion: Suggestion | None = None
    searching: bool = False
    opening: Entry | None = None
    locked: bool = False
    message: str = ""
    trouble: bool = False
    greeting: str = ""
    help_shown: bool = False
    redshift: float = 0.0
    line_set: int = 0
    sky_shown: bool = True
    pointer: tuple[float, float] | None = None
    pointer_spectrum: bool = False
    comparison: Published | None = None
    wants_name: bool = False
    save_wanted: bool = False
    saving: set[str] = field(default_factory=set)
    _undo: list[Choice] = field(default_factory=list)
    _redo: list[Choice] = field(default_factory=list)
    _extractor: Extractor | None = None
    _extraction: tuple[Placement, Extraction | None, str] | None = None
    _hold: apertures.Hold | None = None
    _held: tuple[str, Choice] | None = None
    _rest: tuple[float, float] | None = None
    _listing: bool = False
    _troubles: list[str] = field(default_factory=list)
    _drafting: bool = False
    _draft: tuple[Entry, Choice, Stage] | None = None
    _ready: dict[str, tuple[object, Observation, Suggestion]] = field(default_factory=dict)

    # ---- what is shown

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
        if self._rest is not None:
            return self.choice
        return self.choice.with_aperture(apertures.placed(self.choice.aperture, *self.pointer))

    @property
    def extraction(self) -> Extraction | None:
        """The spectrum of what is shown; None when there can be none, see `problem`."""
        return self._extracted()[0]

    @property
    def problem(self) -> str:
        """Why there is no spectrum; empty when there is one."""
        return self._extracted()[1]

    def _extracted(self) -> tuple[Extraction | None, str]:
        shown = self.shown
        if self._extractor is None or shown is None:
            return None, ""
        placement = placement_of(shown, self.suggestion)
        if self._extraction is None or self._extraction[0] != placement:
            try:
                self._extraction = (placement, self._extractor.extract(placement), "")
            except ValueError as error:
                self._extraction = (placement, None, str(error))
        return self._extraction[1], self._extraction[2]

    # ---- undo

    def undo(self) -> None:
        """One step back."""
        self._travel(self._undo, self._redo, "Nothing to undo")

    def redo(self) -> None:
        """One step forward again."""
        self._travel(self._redo, self._undo, "Nothing to redo")

    # ---- changes

    def _choose(self, choice: Choice, *, undoable: bool = True, stage: Stage | None = None) -> None:
        assert self.choice is not None
        if self.locked:
            self._say(self._locked_words())
            return
        if stage is not None:
            self.stage = stage
        if choice == self.choice:
            return
        if undoable:
            self._undo.append(self.choice)
            self._redo.clear()
        self._take(choice)

    def _travel(self, source: list[Choice], sink: list[Choice], nothing: str) -> None:
        if self.locked:
            self._say(self._locked_words())
            return
        if not source or self.choice is None:
            self._say(nothing)
            return
        sink.append(self.choice)
        self._take(source.pop())

    def _take(self, choice: Choice) -> None:
        before, self.choice = self.choice, choice
        self.message, self.trouble = "", False
        if before is None or _looks(before) != _looks(choice):
            self.view.changed("picture")
        if before is None or _rest_of(before) != _rest_of(choice):
            self.view.changed("spectrum")
        self.view.changed("choice")
        self._keep_draft()

    def _keep_draft(self) -> None:
        if self.entry is None or self.choice is None or self.locked:
            return
        self._draft = (self.entry, self.choice, self.stage)
        if not self._drafting:
            self._write_draft()

    def _write_draft(self) -> None:
        """One write at a time; what changes meanwhile is written after it, once."""
        if self._draft is None:
            return
        (entry, choice, stage), self._draft = self._draft, None
        self._drafting = True
        self.jobs.submit(
            "notes",
            lambda: self.files.keep_draft(entry, to_draft(choice, stage)),
            lambda _: self._draft_written(),
            self._no_draft,
        )

    def leave(self) -> None:
        """The window closes: what waits to be kept is kept now."""
        if self._draft is None:
            return
        (entry, choice, stage), self._draft = self._draft, None
        try:
            self.files.keep_draft(entry, to_draft(choice, stage))
        except (OSError, SedmError) as error:
            log.error("%s: what was not saved is lost: %s", entry.product, error)

    def _draft_written(self) -> None:
        self._drafting = False
        self._write_draft()

    def _no_draft(self, error: Exception) -> None:
        self._drafting = False
        self._no_notes(error)

    def _quietly(self, work: Callable[[], Any]) -> None:
        """Small writes away from the window; trouble with them is told, and stops nothing."""
        self.jobs.submit("notes", work, lambda _: None, self._no_notes)

    def _locked_words(self) -> str:
        quality = (self.entry.quality if self.entry else None) or 0
        by = f" by {self.entry.reducer}" if self.entry is not None and self.entry.reducer else ""
        return f"Saved{by}: {quality} {QUALITIES.get(quality, '')}.   R redoes it   Enter: next target"

    def _no_notes(self, error: Exception) -> None:
        log.warning("what is not saved cannot be kept: %s", error)
        self._say(f"What is not saved cannot be kept on disk: {words_of(error)}", trouble=True)

    def _say(self, message: str, *, trouble: bool = False) -> None:
        self.message, self.trouble = message, trouble
        self.view.changed("choice")


def words_of(error: Exception) -> str:
    """An error on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _looks(choice: Choice) -> tuple[object, ...]:
    return (choice.scale, choice.window, choice.colours, choice.inverted)


def _rest_of(choice: Choice) -> tuple[object, ...]:
    return (choice.a, choice.b, choice.active, choice.skysub, choice.point_source, choice.placed, choice.object_visible)
