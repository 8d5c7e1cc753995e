"""Where the apertures go: pointer, clicks, handles and keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import dist

import numpy as np

from sedmd.reduce.target.aperture import Ellipse
from sedmview import apertures
from sedmview.desk import Desk
from sedmview.history import History
from sedmview.model import Choice, Stage, accepted, centred, fit_offered, predicted_b
from sedmview.words import locked_words, search_words

#: The aperture B waits where the nod predicts it until the pointer has gone this far from where A was put [arcsec].
HOLD_ARCSEC = 2.0
#: A click farther than this from every spaxel places nothing [arcsec].
OUTSIDE_ARCSEC = 1.5


class Placing:
    """Commands on the apertures."""

    def __init__(self, desk: Desk, history: History) -> None:
        self._desk, self._state, self._history = desk, desk.state, history
        self._hold: apertures.Hold | None = None
        self._held: tuple[str, Choice] | None = None

    def let_go(self) -> None:
        """Another target is open: nothing is held."""
        self._hold = self._held = self._state.rest = None

    def point(self, x: float | None, y: float | None) -> None:
        """The pointer is over a place of the field, or (None) elsewhere."""
        state = self._state
        pointer = None if x is None or y is None else (x, y)
        if pointer == state.pointer:
            return
        state.pointer = pointer
        if pointer is not None and state.rest is not None and dist(pointer, state.rest) > HOLD_ARCSEC:
            state.rest = None
        if state.floating:
            self._desk.view.changed("choice")
            self._desk.view.changed("spectrum")
        elif state.pointer_spectrum:
            self._desk.view.changed("spectrum")

    def place(self, x: float, y: float) -> None:
        """The active aperture goes to a clicked position; after A of a pair, B becomes active where the nod puts it."""
        state = self._state
        if state.choice is None or state.observation is None:
            return
        if state.locked:
            self._desk.say(locked_words(state))
            return
        spaxels = state.observation.field_cube.spaxels
        if np.hypot(spaxels.x_arcsec - x, spaxels.y_arcsec - y).min() > OUTSIDE_ARCSEC:
            self._desk.say("That is outside the field")
            return
        if state.stage is Stage.SCALE:
            state.stage = Stage.PLACE
        state.suggestion_wanted = False
        letter = state.choice.active
        choice = state.choice.with_aperture(apertures.placed(state.choice.aperture, x, y))
        choice = replace(choice, placed=choice.placed | {letter}, object_visible=True)
        if letter == "A" and choice.b is not None and "B" not in choice.placed:
            # B starts with the shape that was found for A
            choice = replace(choice, active="B", b=apertures.like(choice.a, predicted_b(state.observation, choice.a)))
            state.rest = (x, y)
        self._history.choose(choice)

    def grab(self, x: float, y: float, reach_arcsec: float) -> bool:
        """Hold an aperture that has been put somewhere, the active one first; False if none lies there."""
        state = self._state
        if state.choice is None or state.stage is not Stage.PLACE or state.locked or state.floating:
            return False
        for letter in sorted(state.choice.letters, key=lambda one: one != state.choice.active):  # type: ignore[union-attr]
            hold = apertures.grip_at(state.choice.of(letter), x, y, reach_arcsec)
            if hold is not None and letter in state.choice.placed:
                self._hold, self._held = hold, (letter, state.choice)
                state.choice = replace(state.choice, active=letter)
                return True
        return False

    def drag(self, x: float, y: float) -> None:
        """What is held follows the pointer."""
        state = self._state
        if self._hold is None or self._held is None or state.choice is None:
            return
        state.choice = state.choice.with_aperture(self._hold.dragged(x, y), self._held[0])
        self._desk.view.changed("choice")
        self._desk.view.changed("spectrum")

    def drop(self) -> None:
        """Let go: one step of undo for the whole way."""
        state = self._state
        if self._held is None or state.choice is None:
            return
        before, after = self._held[1], state.choice
        self._hold = self._held = None
        if after != before:
            state.choice = before
            self._history.choose(after)

    def nudge(self, dx: float, dy: float) -> None:
        """Move by a little; an aperture that follows the pointer is put down first."""
        state = self._state

        def move(ellipse: Ellipse) -> Ellipse:
            return apertures.placed(ellipse, ellipse.x_arcsec + dx, ellipse.y_arcsec + dy)

        if state.choice is not None and not state.locked:
            shown = state.shown or state.choice
            moved = shown.with_aperture(move(shown.aperture))
            self._history.choose(replace(moved, placed=moved.placed | {moved.active}))

    def resize(self, step: float) -> None:
        """Semi-major axis by a step, arcsec."""
        self._reshape(lambda one: apertures.resized(one, step))

    def reshape(self, step: float) -> None:
        """Axis ratio by a step."""
        self._reshape(lambda one: apertures.reshaped(one, step))

    def turn(self, step: float) -> None:
        """Position angle by a step, degrees."""
        self._reshape(lambda one: apertures.turned(one, step))

    def centre(self) -> None:
        """The active aperture goes to the middle of the light it holds."""
        state = self._state
        if state.choice is None or state.observation is None or state.locked:
            return
        shown = state.shown or state.choice
        aperture = centred(state.observation, shown)
        if aperture is None:
            self._desk.say("No object stands out in the aperture; place it by hand")
            return
        choice = shown.with_aperture(aperture)
        self._history.choose(replace(choice, placed=choice.placed | {choice.active}))

    def accept_suggestion(self) -> None:
        """The apertures where the automatic search found the object."""
        state = self._state
        if state.choice is None:
            return
        if state.locked:
            self._desk.say(locked_words(state))
            return
        if state.searching:
            state.suggestion_wanted = True
            self._desk.say("Still looking for objects; S is remembered")
            return
        if state.suggestion is None or state.suggestion.a is None:
            self._desk.say(f"No suggestion: {search_words(state)}")
            return
        state.stage = Stage.PLACE
        self._history.choose(accepted(state.choice, state.suggestion))

    def jump(self, number: int) -> None:
        """A goes to the object that carries this number in the field, and B, of a pair, where the nod predicts it."""
        state = self._state
        if state.choice is None:
            return
        others = state.suggestion.others if state.suggestion is not None else ()
        if state.locked:
            self._desk.say(locked_words(state))
        elif number > len(others):
            none = f"No object carries the number {number}"
            self._desk.say("Still looking for objects" if state.searching else none)
        else:
            x, y = others[number - 1]
            state.stage, state.suggestion_wanted = Stage.PLACE, False
            there = replace(state.choice.with_aperture(apertures.placed(state.choice.a, x, y), "A"), active="A")
            there = replace(there, placed=there.placed | {"A"}, object_visible=True)
            if there.b is not None and state.observation is not None:
                b = apertures.like(there.a, predicted_b(state.observation, there.a))
                there = replace(there, b=b, active="B", placed=there.placed - {"B"}, fitted=False)
                state.rest = (x, y)
            self._history.choose(there)

    def set_aperture(self, number: int, value: float) -> None:
        """A typed number for the active aperture: East, North, semi-major axis, axis ratio or angle."""
        state = self._state
        if state.choice is None:
            return
        one = (state.shown or state.choice).aperture
        changed = (
            lambda: apertures.placed(one, value, one.y_arcsec),
            lambda: apertures.placed(one, one.x_arcsec, value),
            lambda: apertures.resized(one, value - one.semi_major_arcsec),
            lambda: apertures.reshaped(one, value - one.axis_ratio),
            lambda: apertures.turned(one, value - one.angle_deg),
        )[number]()
        if any(abs(new - old) > 0.006 for new, old in zip(_numbers(changed), _numbers(one), strict=True)):
            choice = state.choice.with_aperture(changed)
            self._history.choose(replace(choice, placed=choice.placed | {choice.active}))

    def toggle_sky(self) -> None:
        """Subtract the sky, or not."""
        state = self._state
        if state.choice is not None:
            self._history.choose(replace(state.choice, skysub=not state.choice.skysub, fitted=False))

    def toggle_point_source(self) -> None:
        """Correct for light beyond the aperture, or not (not, for a galaxy)."""
        state = self._state
        if state.choice is not None:
            self._history.choose(replace(state.choice, point_source=not state.choice.point_source, fitted=False))

    def toggle_fit(self) -> None:
        """The pipeline's own spectrum, PSF and host fitted together, or that of the apertures."""
        state = self._state
        if state.choice is None:
            return
        if state.suggestion is None or state.suggestion.told is None:
            none = "The pipeline has no spectrum of this target"
            self._desk.say("Still looking for objects" if state.searching else none)
        elif not fit_offered(state.choice, state.suggestion):
            self._desk.say("The apertures were moved: S takes those of the pipeline, and its spectrum")
        else:
            self._history.choose(replace(state.choice, fitted=not state.choice.fitted))

    def swap(self) -> None:
        """Keys and clicks act on the other aperture of a pair."""
        state = self._state
        if state.choice is not None and state.choice.b is not None and not state.locked:
            state.rest = None
            self._history.choose(
                replace(state.choice, active="B" if state.choice.active == "A" else "A"), undoable=False
            )

    def _reshape(self, change: Callable[[Ellipse], Ellipse]) -> None:
        state = self._state
        if state.choice is None:
            return
        changed = state.choice.with_aperture(change(state.choice.aperture))
        if changed.active == "A" and changed.b is not None and "B" not in changed.placed:
            changed = replace(changed, b=apertures.like(changed.a, changed.b))
        self._history.choose(changed)


def _numbers(ellipse: Ellipse) -> tuple[float, ...]:
    return (
        ellipse.x_arcsec,
        ellipse.y_arcsec,
        ellipse.semi_major_arcsec,
        ellipse.axis_ratio,
        ellipse.angle_deg,
    )
