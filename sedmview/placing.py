"""Where the apertures go: pointer, clicks, handles and keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import dist

import numpy as np

from sedmd.reduce.target.aperture import Ellipse
from sedmview import apertures
from sedmview.desk import Desk
from sedmview.model import Stage, accepted, centred, fit_offered, predicted_b

#: The aperture B waits where the nod predicts it until the pointer has gone this far from where A was put [arcsec].
HOLD_ARCSEC = 2.0
#: A click farther than this from every spaxel places nothing [arcsec].
OUTSIDE_ARCSEC = 1.5


class Placing(Desk):
    """Commands on the apertures."""

    def point(self, x: float | None, y: float | None) -> None:
        """The pointer is over a place of the field, or (None) elsewhere."""
        pointer = None if x is None or y is None else (x, y)
        if pointer == self.pointer:
            return
        self.pointer = pointer
        if pointer is not None and self._rest is not None and dist(pointer, self._rest) > HOLD_ARCSEC:
            self._rest = None
        if self.floating:
            self.view.changed("choice")
            self.view.changed("spectrum")
        elif self.pointer_spectrum:
            self.view.changed("spectrum")

    def place(self, x: float, y: float) -> None:
        """The active aperture goes to a clicked position; after A of a pair, B becomes active where the nod puts it."""
        if self.choice is None or self.observation is None:
            return
        if self.locked:
            self._say(self._locked_words())
            return
        spaxels = self.observation.field_cube.spaxels
        if np.hypot(spaxels.x_arcsec - x, spaxels.y_arcsec - y).min() > OUTSIDE_ARCSEC:
            self._say("That is outside the field")
            return
        if self.stage is Stage.SCALE:
            self.stage = Stage.PLACE
        letter = self.choice.active
        choice = self.choice.with_aperture(apertures.placed(self.choice.aperture, x, y))
        choice = replace(choice, placed=choice.placed | {letter}, object_visible=True)
        if letter == "A" and choice.b is not None and "B" not in choice.placed:
            # B starts with the shape that was found for A
            choice = replace(choice, active="B", b=apertures.like(choice.a, predicted_b(self.observation, choice.a)))
            self._rest = (x, y)
        self._choose(choice)

    def grab(self, x: float, y: float, reach_arcsec: float) -> bool:
        """Hold an aperture that has been put somewhere, the active one first; False if none lies there."""
        if self.choice is None or self.stage is not Stage.PLACE or self.locked or self.floating:
            return False
        for letter in sorted(self.choice.letters, key=lambda one: one != self.choice.active):  # type: ignore[union-attr]
            hold = apertures.grip_at(self.choice.of(letter), x, y, reach_arcsec)
            if hold is not None and letter in self.choice.placed:
                self._hold, self._held = hold, (letter, self.choice)
                self.choice = replace(self.choice, active=letter)
                return True
        return False

    def drag(self, x: float, y: float) -> None:
        """What is held follows the pointer."""
        if self._hold is None or self._held is None or self.choice is None:
            return
        self.choice = self.choice.with_aperture(self._hold.dragged(x, y), self._held[0])
        self.view.changed("choice")
        self.view.changed("spectrum")

    def drop(self) -> None:
        """Let go: one step of undo for the whole way."""
        if self._held is None or self.choice is None:
            return
        before, after = self._held[1], self.choice
        self._hold = self._held = None
        if after != before:
            self.choice = before
            self._choose(after)

    def nudge(self, dx: float, dy: float) -> None:
        """Move by a little; an aperture that follows the pointer is put down first."""

        def move(ellipse: Ellipse) -> Ellipse:
            return apertures.placed(ellipse, ellipse.x_arcsec + dx, ellipse.y_arcsec + dy)

        if self.choice is not None and not self.locked:
            shown = self.shown or self.choice
            moved = shown.with_aperture(move(shown.aperture))
            self._choose(replace(moved, placed=moved.placed | {moved.active}))

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
        if self.choice is None or self.observation is None or self.locked:
            return
        shown = self.shown or self.choice
        aperture = centred(self.observation, shown)
        if aperture is None:
            self._say("No object stands out in the aperture; place it by hand")
            return
        choice = shown.with_aperture(aperture)
        self._choose(replace(choice, placed=choice.placed | {choice.active}))

    def accept_suggestion(self) -> None:
        """The apertures where the automatic search found the object."""
        if self.choice is None:
            return
        if self.suggestion is None or self.suggestion.a is None:
            self._say("Still looking for objects" if self.searching else f"No suggestion: {self._search_words()}")
            return
        if self.locked:
            self._say(self._locked_words())
            return
        self.stage = Stage.PLACE
        self._choose(accepted(self.choice, self.suggestion))

    def set_aperture(self, number: int, value: float) -> None:
        """A typed number for the active aperture: East, North, semi-major axis, axis ratio or angle."""
        if self.choice is None:
            return
        one = (self.shown or self.choice).aperture
        changed = (
            lambda: apertures.placed(one, value, one.y_arcsec),
            lambda: apertures.placed(one, one.x_arcsec, value),
            lambda: apertures.resized(one, value - one.semi_major_arcsec),
            lambda: apertures.reshaped(one, value - one.axis_ratio),
            lambda: apertures.turned(one, value - one.angle_deg),
        )[number]()
        if any(abs(new - old) > 0.006 for new, old in zip(_numbers(changed), _numbers(one), strict=True)):
            choice = self.choice.with_aperture(changed)
            self._choose(replace(choice, placed=choice.placed | {choice.active}))

    def toggle_sky(self) -> None:
        """Subtract the sky, or not."""
        if self.choice is not None:
            self._choose(replace(self.choice, skysub=not self.choice.skysub, fitted=False))

    def toggle_point_source(self) -> None:
        """Correct for light beyond the aperture, or not (not, for a galaxy)."""
        if self.choice is not None:
            self._choose(replace(self.choice, point_source=not self.choice.point_source, fitted=False))

    def toggle_fit(self) -> None:
        """The pipeline's own spectrum, PSF and host fitted together, or that of the apertures."""
        if self.choice is None:
            return
        if self.suggestion is None or self.suggestion.told is None:
            self._say("Still looking for objects" if self.searching else "The pipeline has no spectrum of this target")
        elif not fit_offered(self.choice, self.suggestion):
            self._say("The apertures were moved: S takes those of the pipeline, and its spectrum")
        else:
            self._choose(replace(self.choice, fitted=not self.choice.fitted))

    def swap(self) -> None:
        """Keys and clicks act on the other aperture of a pair."""
        if self.choice is not None and self.choice.b is not None and not self.locked:
            self._rest = None
            self._choose(replace(self.choice, active="B" if self.choice.active == "A" else "A"), undoable=False)

    def _reshape(self, change: Callable[[Ellipse], Ellipse]) -> None:
        if self.choice is None:
            return
        changed = self.choice.with_aperture(change(self.choice.aperture))
        if changed.active == "A" and changed.b is not None and "B" not in changed.placed:
            changed = replace(changed, b=apertures.like(changed.a, changed.b))
        self._choose(changed)

    def _search_words(self) -> str:
        return self.suggestion.words if self.suggestion is not None else "the search failed"


def _numbers(ellipse: Ellipse) -> tuple[float, ...]:
    return (
        ellipse.x_arcsec,
        ellipse.y_arcsec,
        ellipse.semi_major_arcsec,
        ellipse.axis_ratio,
        ellipse.angle_deg,
    )
