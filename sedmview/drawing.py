"""Commands on what is drawn over the pictures: smoothing, contours, line markers by redshift and expansion."""

from __future__ import annotations

import logging

from sedmview.beside import Beside
from sedmview.desk import Desk
from sedmview.lines import SETS, Line, feature_at, possible, redshift_of
from sedmview.looking import Looking
from sedmview.spectra import Spectra
from sedmview.targets import Entry

log = logging.getLogger(__name__)

#: Bins of the running mean, in the order in which a key goes through them.
SMOOTHINGS = (1, 3, 5, 9)
#: The fastest expansion that is taken [km/s].
FASTEST_KM_S = 60000.0


class Drawing:
    """Changes what is drawn; nothing of it is saved with a spectrum."""

    def __init__(self, desk: Desk, spectra: Spectra, looking: Looking) -> None:
        self._desk, self._state, self._spectra, self._looking = desk, desk.state, spectra, looking

    def next_smoothing(self) -> None:
        """The spectrum as it is, or its running mean over more bins."""
        drawn = self._state.drawn
        drawn.smoothing = SMOOTHINGS[(SMOOTHINGS.index(drawn.smoothing) + 1) % len(SMOOTHINGS)]
        self._desk.view.changed("spectrum")
        told = "as it is saved" if drawn.smoothing == 1 else f"mean of {drawn.smoothing} bins, on the screen only"
        self._desk.say(f"Spectrum: {told}")

    def read_beside(self, entry: Entry) -> None:
        """Look for former spectra and the classification of the target that was opened."""
        desk, drawn = self._desk, self._state.drawn
        drawn.beside, drawn.beside_shown = Beside(), 0

        def found(beside: Beside) -> None:
            if self._state.entry is not None and self._state.entry.product == entry.product:
                drawn.beside = beside
                desk.view.changed("beside")

        def failed(error: Exception) -> None:
            log.warning("%s: former spectra and classification: %s", entry.product, error)

        desk.jobs.submit("beside", lambda: desk.files.beside(entry), found, failed)

    def next_beside(self) -> None:
        """Lay the saved spectrum, one saved before, or the best template over the object's; then none."""
        drawn = self._state.drawn
        if not drawn.beside.curves:
            self._desk.say("No spectrum of this target was saved before, and none is classified")
            return
        drawn.beside_shown = (drawn.beside_shown + 1) % (len(drawn.beside.curves) + 1)
        self._desk.view.changed("spectrum")
        over = drawn.over
        self._desk.say("Nothing is laid over" if over is None else f"Laid over: {over.published.name}")

    def toggle_contours(self) -> None:
        """Lines of equal light over the field, or none."""
        self._state.drawn.contours = not self._state.drawn.contours
        self._desk.view.changed("picture")

    def toggle_finder(self) -> None:
        """The finder chart large, over the pictures, or small again."""
        self._state.drawn.finder_large = not self._state.drawn.finder_large
        self._desk.view.changed("finder")

    def whole_range(self) -> None:
        """All of the field, and the usual range of the spectrum; again: all of the spectrum."""
        self._desk.view.changed("range")

    def set_velocity(self, velocity_km_s: float) -> None:
        """How far the lines of what expands are shifted to the blue."""
        state = self._state
        state.drawn.velocity_km_s = min(max(velocity_km_s, 0.0), FASTEST_KM_S)
        if state.line_set == 0 and state.drawn.velocity_km_s:
            state.line_set = next(n for n, (_, lines) in enumerate(SETS) if any(line.moves for line in lines))
        self._desk.view.changed("lines")

    def candidates(self, wavelength: float) -> tuple[float, list[tuple[Line, float]]]:
        """Middle of the feature that was clicked, and which lines it may be, with the redshift of each.

        Lines of the set that is shown, or of all.
        """
        state = self._state
        extraction = self._spectra.extraction
        middle = wavelength if extraction is None else feature_at(extraction.spectrum, wavelength)
        lines = SETS[state.line_set][1] or SETS[-1][1]
        return middle, possible(lines, middle, state.drawn.velocity_km_s)

    def choose_line(self, line: Line, wavelength: float) -> None:
        """A feature is this line: the redshift follows, the expansion stays."""
        redshift = redshift_of(line, wavelength, self._state.drawn.velocity_km_s)
        self._looking.set_redshift(redshift)
        self._desk.say(f"{line.name} at {wavelength:.0f} Å: z = {self._state.redshift:.4f}")
