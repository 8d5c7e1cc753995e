"""The choice and its history: every change goes through here, can be undone, and is kept as a draft."""

from __future__ import annotations

import logging

from sedmd.core.errors import SedmError
from sedmview.desk import Desk
from sedmview.model import Choice, Stage, to_draft
from sedmview.targets import Entry
from sedmview.words import locked_words

log = logging.getLogger(__name__)


class Drafts:
    """What is not saved yet, kept on disk from change to change: one write at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._writing = False
        self._waiting: tuple[Entry, Choice, Stage] | None = None

    def keep(self) -> None:
        """Keep the present choice; what changes while it is written is written after it, once."""
        state = self._desk.state
        if state.entry is None or state.choice is None or state.locked:
            return
        self._waiting = (state.entry, state.choice, state.stage)
        if not self._writing:
            self._write()

    def forget(self, entry: Entry) -> None:
        """It is saved now."""
        if self._waiting is not None and self._waiting[0].product == entry.product:
            self._waiting = None
        self._desk.quietly(lambda: self._desk.files.drop_draft(entry))

    def leave(self) -> None:
        """The window closes: what waits to be kept is kept now."""
        if self._waiting is None:
            return
        (entry, choice, stage), self._waiting = self._waiting, None
        try:
            self._desk.files.keep_draft(entry, to_draft(choice, stage))
        except (OSError, SedmError) as error:
            log.error("%s: what was not saved is lost: %s", entry.product, error)

    def _write(self) -> None:
        if self._waiting is None:
            return
        (entry, choice, stage), self._waiting = self._waiting, None
        self._writing = True
        self._desk.jobs.submit(
            "notes",
            lambda: self._desk.files.keep_draft(entry, to_draft(choice, stage)),
            lambda _: self._written(),
            self._not_written,
        )

    def _written(self) -> None:
        self._writing = False
        self._write()

    def _not_written(self, error: Exception) -> None:
        self._writing = False
        self._desk.no_notes(error)


class History:
    """How the choice changes, and how that is undone."""

    def __init__(self, desk: Desk, drafts: Drafts) -> None:
        self._desk, self._drafts = desk, drafts
        self._undo: list[Choice] = []
        self._redo: list[Choice] = []

    @property
    def empty(self) -> bool:
        """Is there nothing to undo?"""
        return not self._undo

    @property
    def steps(self) -> int:
        """How many steps can be undone."""
        return len(self._undo)

    @property
    def unsaved(self) -> bool:
        """Is there something that only the draft holds?"""
        state = self._desk.state
        return state.choice is not None and not state.locked and not self.empty

    def clear(self) -> None:
        """Another target is open."""
        self._undo.clear()
        self._redo.clear()

    def remember(self, choice: Choice) -> None:
        """A choice that can be gone back to, made by no command."""
        self._undo.append(choice)

    def choose(self, choice: Choice, *, undoable: bool = True, stage: Stage | None = None) -> None:
        """Take another choice; a saved target stays as it is, and says so."""
        state = self._desk.state
        assert state.choice is not None
        if state.locked:
            self._desk.say(locked_words(state))
            return
        if stage is not None:
            state.stage = stage
        if choice == state.choice:
            return
        if undoable:
            self._undo.append(state.choice)
            self._redo.clear()
        self._take(choice)

    def undo(self) -> None:
        """One step back."""
        self._travel(self._undo, self._redo, "Nothing to undo")

    def redo(self) -> None:
        """One step forward again."""
        self._travel(self._redo, self._undo, "Nothing to redo")

    def _travel(self, source: list[Choice], sink: list[Choice], nothing: str) -> None:
        state = self._desk.state
        if state.locked:
            self._desk.say(locked_words(state))
            return
        if not source or state.choice is None:
            self._desk.say(nothing)
            return
        sink.append(state.choice)
        self._take(source.pop())

    def _take(self, choice: Choice) -> None:
        state, view = self._desk.state, self._desk.view
        before, state.choice = state.choice, choice
        state.message, state.warning = "", False
        if before is None or _looks(before) != _looks(choice):
            view.changed("picture")
        if before is None or _rest_of(before) != _rest_of(choice):
            view.changed("spectrum")
        view.changed("choice")
        self._drafts.keep()


def _looks(choice: Choice) -> tuple[object, ...]:
    return (choice.scale, choice.window, choice.colours, choice.inverted)


def _rest_of(choice: Choice) -> tuple[object, ...]:
    apertures = (choice.a, choice.b, choice.active, choice.placed)
    return (*apertures, choice.skysub, choice.point_source, choice.fitted, choice.object_visible)
