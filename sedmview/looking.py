"""How the field is looked at: limits, stretch, colours, wavelengths; and what is drawn over the pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sedmd.reduce.numeric.containers import FloatArray
from sedmview.desk import Desk
from sedmview.history import Drafts, History
from sedmview.lines import SETS
from sedmview.model import MAPS, PAIR_MAPS, Stage, picture_of, residual_of, scale_for
from sedmview.pictures import STRETCHES, bounded, next_limits, windows_at


class Looking:
    """Commands on the pictures."""

    def __init__(self, desk: Desk, history: History, drafts: Drafts) -> None:
        self._desk, self._state, self._history = desk, desk.state, history
        self._drafts = drafts

    def rescale(self, what: str, amount: float) -> None:
        """`widen` both ends by a factor (for a single exposure the bright end only), or move the `low` end by steps."""
        state = self._state
        if state.choice is None or state.observation is None:
            return
        scale = state.choice.scale
        if what == "low":
            # in A minus B the colours stay symmetric about zero, so that neither target is favoured
            scale = scale.widened(1 - 0.1 * amount) if state.observation.pair else scale.with_low(amount)
        else:
            scale = scale.widened(amount) if state.observation.pair else scale.with_high(amount)
        self._look(scale=scale)

    def accept_scale(self) -> None:
        """On to the apertures."""
        state = self._state
        if state.choice is None:
            return
        state.stage = Stage.PLACE
        self._desk.say("")
        self._drafts.keep()

    def default_scale(self) -> None:
        """Forget the adjustments and go on to the apertures."""
        state = self._state
        if state.choice is None or state.observation is None:
            return
        self._look(scale=scale_for(state.observation, state.choice.window, state.choice.apertures))
        self.accept_scale()

    def back_to_scale(self) -> None:
        """From the apertures to the scale."""
        state = self._state
        state.stage = Stage.SCALE
        state.pointer = None
        self._desk.say("")

    def next_limits(self) -> None:
        """The next rule for automatic limits."""
        state = self._state
        if state.choice is None or state.observation is None:
            return
        choice, how = state.choice, next_limits(state.choice.scale.how)
        scale = scale_for(state.observation, choice.window, choice.apertures, how=how, stretch=choice.scale.stretch)
        self._look(scale=scale)
        self._desk.say(f"Limits: {how}")

    def next_stretch(self) -> None:
        """The next stretch."""
        state = self._state
        if state.choice is not None:
            stretch = _after(tuple(STRETCHES), state.choice.scale.stretch)
            self._look(scale=replace(state.choice.scale, stretch=stretch))
            self._desk.say(f"Stretch: {stretch}")

    def next_colours(self) -> None:
        """The next colour map."""
        state = self._state
        if state.choice is not None and state.observation is not None:
            colours = _after(PAIR_MAPS if state.observation.pair else MAPS, state.choice.colours)
            self._look(colours=colours)
            self._desk.say(f"Colours: {colours}")

    def invert(self) -> None:
        """Colours the other way round."""
        state = self._state
        if state.choice is not None:
            self._look(inverted=not state.choice.inverted)

    def next_window(self) -> None:
        """Look at the next preset of wavelength."""
        state = self._state
        if state.choice is None or state.observation is None:
            return
        wavelength = state.observation.field_cube.wavelength
        presets = [bounded(one.low, one.high, wavelength) for one in windows_at(state.redshift)]
        self.set_window(*_after(tuple(presets), state.choice.window))

    def shift_window(self, widths: float) -> None:
        """The range of wavelength up or down by parts of its width."""
        state = self._state
        if state.choice is not None:
            low, high = state.choice.window
            by = widths * (high - low)
            self.set_window(low + by, high + by)

    def set_window(self, low: float, high: float) -> None:
        """Look at a range of wavelength [Angstrom]; limits follow by the rule that is in force."""
        state = self._state
        if state.choice is None or state.observation is None:
            return
        window = bounded(low, high, state.observation.field_cube.wavelength)
        if window == state.choice.window:
            self._desk.view.changed("picture")  # what was typed or dragged goes back to what is
            return
        choice = state.choice
        how = "" if choice.scale.how == "by hand" else choice.scale.how
        scale = scale_for(state.observation, window, choice.apertures, how=how, stretch=choice.scale.stretch)
        self._look(window=window, scale=scale)

    def picture(self) -> FloatArray:
        """Values of the spaxels in the range of wavelength that is looked at."""
        state = self._state
        assert state.observation is not None and state.choice is not None
        left = self._left()
        if state.residual_shown and left is not None:
            return residual_of(state.observation, state.choice.window, left)
        return picture_of(state.observation, state.choice.window)

    def toggle_residual(self) -> None:
        """The picture of the data, or of the data minus the fit of PSF and host: what is left was not modelled."""
        state = self._state
        if self._left() is None:
            self._desk.say(
                "The search goes on" if state.searching else "Nothing was fitted: there is no model to subtract"
            )
            return
        state.residual_shown = not state.residual_shown
        self._desk.view.changed("picture")
        self._desk.say("Picture: data minus the fit of PSF and host" if state.residual_shown else "Picture: the data")

    def _left(self) -> FloatArray | None:
        found = self._state.suggestion
        return None if found is None or found.fitted is None else found.fitted.left

    def next_lines(self) -> None:
        """The next set of line markers."""
        state = self._state
        state.line_set = (state.line_set + 1) % len(SETS)
        self._desk.view.changed("lines")
        self._desk.say(f"Lines: {SETS[state.line_set][0]}")

    def set_redshift(self, redshift: float) -> None:
        """Where the line markers stand."""
        state = self._state
        state.redshift = round(min(max(redshift, -0.01), 2.0), 4)
        if state.line_set == 0 and state.redshift:
            state.line_set = 1
        self._desk.view.changed("lines")

    def toggle_sky_curve(self) -> None:
        """Show the level of the sky under the spectrum, or not."""
        state = self._state
        state.sky_shown = not state.sky_shown
        self._desk.view.changed("spectrum")

    def toggle_pointer_spectrum(self) -> None:
        """Show the spectrum of the spaxel under the pointer too, or not."""
        state = self._state
        state.pointer_spectrum = not state.pointer_spectrum
        self._desk.view.changed("spectrum")

    def toggle_help(self) -> None:
        """Show all keys, or not."""
        state = self._state
        state.help_shown = not state.help_shown
        self._desk.view.changed("help")

    def _look(self, **changes: Any) -> None:
        """Another look at the field; possible on a saved target too, where it is not kept."""
        state = self._state
        assert state.choice is not None
        choice = replace(state.choice, **changes)
        if state.locked:
            state.choice = choice
            self._desk.view.changed("picture")
        else:
            self._history.choose(choice)


def _after(names: tuple[Any, ...], current: object) -> Any:
    return names[(names.index(current) + 1) % len(names)] if current in names else names[0]
