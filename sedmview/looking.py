"""How the field is looked at: limits, stretch, colours, wavelengths; and what is drawn over the spectrum."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sedmd.observation.observed import INSTRUMENTAL, calibrated
from sedmd.products.published import Published
from sedmd.reduce.numeric.containers import FloatArray, Spectrum
from sedmview.desk import Desk, words_of
from sedmview.lines import SETS
from sedmview.model import MAPS, PAIR_MAPS, Stage, picture_of
from sedmview.pictures import STRETCHES, automatic_scale, bounded, next_limits, windows_at

log = logging.getLogger(__name__)


class Looking(Desk):
    """Commands on the pictures."""

    def rescale(self, what: str, amount: float) -> None:
        """`widen` both ends by a factor (for a single exposure the bright end only), or move the `low` end by steps."""
        if self.choice is None or self.observation is None:
            return
        scale = self.choice.scale
        if what == "low":
            # in A minus B the colours stay symmetric about zero, so that neither target is favoured
            scale = scale.widened(1 - 0.1 * amount) if self.observation.pair else scale.with_low(amount)
        else:
            scale = scale.widened(amount) if self.observation.pair else scale.with_high(amount)
        self._look(scale=scale)

    def accept_scale(self) -> None:
        """On to the apertures."""
        if self.choice is None:
            return
        self.stage = Stage.PLACE
        self._say("")
        self._keep_draft()

    def default_scale(self) -> None:
        """Forget the adjustments and go on to the apertures."""
        if self.choice is None or self.observation is None:
            return
        values = picture_of(self.observation, self.choice.window)
        self._look(scale=automatic_scale(values, symmetric=self.observation.pair))
        self.accept_scale()

    def back_to_scale(self) -> None:
        """From the apertures to the scale."""
        self.stage = Stage.SCALE
        self.pointer = None
        self._say("")

    def next_limits(self) -> None:
        """The next rule for automatic limits."""
        if self.choice is None or self.observation is None:
            return
        values, how = picture_of(self.observation, self.choice.window), next_limits(self.choice.scale.how)
        scale = automatic_scale(values, symmetric=self.observation.pair, how=how, stretch=self.choice.scale.stretch)
        self._look(scale=scale)
        self._say(f"Limits: {how}")

    def next_stretch(self) -> None:
        """The next stretch."""
        if self.choice is not None:
            stretch = _after(tuple(STRETCHES), self.choice.scale.stretch)
            self._look(scale=replace(self.choice.scale, stretch=stretch))
            self._say(f"Stretch: {stretch}")

    def next_colours(self) -> None:
        """The next colour map."""
        if self.choice is not None and self.observation is not None:
            colours = _after(PAIR_MAPS if self.observation.pair else MAPS, self.choice.colours)
            self._look(colours=colours)
            self._say(f"Colours: {colours}")

    def invert(self) -> None:
        """Colours the other way round."""
        if self.choice is not None:
            self._look(inverted=not self.choice.inverted)

    def next_window(self) -> None:
        """Look at the next preset of wavelength."""
        if self.choice is None or self.observation is None:
            return
        wavelength = self.observation.field_cube.wavelength
        presets = [bounded(one.low, one.high, wavelength) for one in windows_at(self.redshift)]
        self.set_window(*_after(tuple(presets), self.choice.window))

    def shift_window(self, widths: float) -> None:
        """The range of wavelength up or down by parts of its width."""
        if self.choice is not None:
            low, high = self.choice.window
            by = widths * (high - low)
            self.set_window(low + by, high + by)

    def set_window(self, low: float, high: float) -> None:
        """Look at a range of wavelength [Angstrom]; limits follow by the rule that is in force."""
        if self.choice is None or self.observation is None:
            return
        window = bounded(low, high, self.observation.field_cube.wavelength)
        if window == self.choice.window:
            self.view.changed("picture")  # what was typed or dragged goes back to what is
            return
        scale = self.choice.scale
        how = "" if scale.how == "by hand" else scale.how
        values = picture_of(self.observation, window)
        self._look(
            window=window,
            scale=automatic_scale(values, symmetric=self.observation.pair, how=how, stretch=scale.stretch),
        )

    def picture(self) -> FloatArray:
        """Values of the spaxels in the range of wavelength that is looked at."""
        assert self.observation is not None and self.choice is not None
        return picture_of(self.observation, self.choice.window)

    def spaxel_spectrum(self, spaxel: int) -> Spectrum:
        """What one spaxel holds, calibrated where that is possible; sky and all."""
        assert self.observation is not None
        cube, observation = self.observation.field_cube, self.observation
        good = cube.mask[:, spaxel] == 0
        one = Spectrum(
            wavelength=np.asarray(cube.wavelength, dtype=float),
            flux=np.where(good, cube.flux[:, spaxel], np.nan) / observation.exptime_s,
            error=np.sqrt(np.where(good, cube.variance[:, spaxel], np.nan)) / observation.exptime_s,
            sky=np.zeros(len(cube.wavelength)),
            unit=INSTRUMENTAL,
        )
        return calibrated(one, observation.calibration)

    def next_lines(self) -> None:
        """The next set of line markers."""
        self.line_set = (self.line_set + 1) % len(SETS)
        self.view.changed("lines")
        self._say(f"Lines: {SETS[self.line_set][0]}")

    def set_redshift(self, redshift: float) -> None:
        """Where the line markers stand."""
        self.redshift = round(min(max(redshift, -0.01), 2.0), 4)
        if self.line_set == 0 and self.redshift:
            self.line_set = 1
        self.view.changed("lines")

    def toggle_sky_curve(self) -> None:
        """Show the level of the sky under the spectrum, or not."""
        self.sky_shown = not self.sky_shown
        self.view.changed("spectrum")

    def toggle_pointer_spectrum(self) -> None:
        """Show the spectrum of the spaxel under the pointer too, or not."""
        self.pointer_spectrum = not self.pointer_spectrum
        self.view.changed("spectrum")

    def toggle_comparison(self) -> None:
        """Take the comparison away, or ask for the file of one."""
        if self.comparison is None:
            self.view.changed("comparison")
            return
        self.comparison = None
        self.view.changed("spectrum")
        self._say("The comparison is taken away")

    def compare(self, path: Path) -> None:
        """Lay the spectrum of a file over the object's; it stays when another target is opened."""
        self.jobs.submit("compare", lambda: self.files.published(path), self._compared, self._not_compared)

    def _compared(self, found: Published) -> None:
        self.comparison = found
        self.view.changed("spectrum")
        self._say(f"{found.name}: {found.how_read}. O takes it away")

    def _not_compared(self, error: Exception) -> None:
        log.warning("no comparison: %s", error)
        self._say(f"No comparison: {words_of(error)}", trouble=True)

    def toggle_help(self) -> None:
        """Show all keys, or not."""
        self.help_shown = not self.help_shown
        self.view.changed("help")

    def _look(self, **changes: Any) -> None:
        """Another look at the field; possible on a saved target too, where it is not kept."""
        assert self.choice is not None
        choice = replace(self.choice, **changes)
        if self.locked:
            self.choice = choice
            self.view.changed("picture")
        else:
            self._choose(choice)


def _after(names: tuple[Any, ...], current: object) -> Any:
    return names[(names.index(current) + 1) % len(names)] if current in names else names[0]
