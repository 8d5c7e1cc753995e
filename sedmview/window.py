"""The window: it shows what the presenter holds and passes on keys, clicks and what is typed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from sedmd.reduce.numeric.containers import Spectrum
from sedmview.actions import ACTIONS, Action, keys, press, repeats
from sedmview.field import FieldPlot
from sedmview.findbox import FindBox
from sedmview.finder import Finder
from sedmview.finderside import FinderSide
from sedmview.layout import Layout
from sedmview.lines import SETS, shifted
from sedmview.marks import FieldMarks
from sedmview.panels import line_menu
from sedmview.presenter import Presenter
from sedmview.qt import QAction, QShortcut, QtCore, QtGui, QtWidgets
from sedmview.spectrumplot import signal_to_noise
from sedmview.targets import Entry
from sedmview.words import aperture_words

log = logging.getLogger(__name__)

#: The window is drawn at most this often [ms]; kind to a VNC line.
REDRAW_MS, SLOW_REDRAW_MS = 33, 100
#: How often the night's folder is looked at [ms].
POLL_MS = 3000

#: What a spectrum from elsewhere is called.
COMPARISON_FILES = "Spectra as text (*.txt *.dat *.ascii *.asci *.csv *.spec *.flm);;All files (*)"

#: Keys that leave a field for text; every other shortcut is off while one is typed in.
_LEAVE = ("Return", "Enter", "Esc", "Tab")


def open_outside(place: str) -> bool:
    """Open a web address or a file in the desktop's own program; False if there is none."""
    return bool(QtGui.QDesktopServices.openUrl(QtCore.QUrl(place)))


class Window(QtWidgets.QMainWindow):
    """The presenter's view.

    Parameters
    ----------
    presenter : Presenter
        Its `view` becomes this window.
    find_finder : callable
        The chart of a target and its picture; called away from the window.
    note : callable
        Told every action: ident and target.
    redraw_ms : int
    opener : callable
        Opens a web address or a file outside; False if nothing does.
    sizes : as they were kept last time, if at all
    keep_sizes : callable
        Told the sizes of the window and its columns when it is closed.
    """

    def __init__(
        self,
        presenter: Presenter,
        *,
        find_finder: Callable[[Entry], Finder | None] = lambda entry: None,
        note: Callable[[str, str], None] = lambda action, target: None,
        redraw_ms: int = REDRAW_MS,
        opener: Callable[[str], bool] = open_outside,
        sizes: object = None,
        keep_sizes: Callable[[dict[str, list[int]]], None] = lambda sizes: None,
    ) -> None:
        super().__init__()
        self.presenter = presenter
        presenter.desk.view = self
        self._note = note
        self.setWindowTitle("sedmview")
        self._topics: set[str] = set()
        self._last = 0.0
        self._dialogue: QtWidgets.QFileDialog | None = None
        self._menu: QtWidgets.QMenu | None = None
        self._redraw_ms = redraw_ms
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.draw_now)
        self.parts = Layout(self)
        self.marks = FieldMarks(self.parts.field)
        self.find = FindBox(self.parts.list, presenter.listing.find)
        self.parts.take_sizes(self, sizes)
        self._keep_sizes, self._opener = keep_sizes, opener
        self.chart = FinderSide(presenter, self.parts, find_finder)
        self._connect()
        self._bind_keys()
        self._menus()
        self._poll = QtCore.QTimer(self)
        self._poll.setInterval(POLL_MS)
        self._poll.timeout.connect(presenter.listing.refresh)
        for topic in ("entries", "choice", "lines"):
            self.changed(topic)

    def follow(self) -> None:
        """Look at the night's folder again and again."""
        self._poll.start()

    # ---- what the presenter asks for

    def changed(self, topic: str) -> None:
        """Draw a topic soon, together with all else that changes until then."""
        self._topics.add(topic)
        if not self._timer.isActive():
            past = (time.monotonic() - self._last) * 1000
            self._timer.start(int(min(max(self._redraw_ms - past, 0), self._redraw_ms)))

    def draw_now(self) -> None:
        """Draw what has changed."""
        self._timer.stop()
        topics, self._topics = self._topics, set()
        drawers = {
            "entries": self._draw_entries,
            "target": self._draw_target,
            "picture": self._draw_picture,
            "choice": self._draw_choice,
            "spectrum": self._draw_spectrum,
            "lines": self._draw_lines,
            "range": self._draw_range,
            "finder": self.chart.draw,
            "beside": self._draw_reason,
            "help": self._draw_help,
            "comparison": self._ask_comparison,
            "find": self.focus_find,
        }
        for topic, draw in drawers.items():
            if topic in topics:
                draw()
        self._last = time.monotonic()

    def copy(self, text: str) -> None:
        """Put a text on the clipboard, and where a middle click pastes from."""
        board = QtWidgets.QApplication.clipboard()
        board.setText(text)
        if board.supportsSelection():
            board.setText(text, QtGui.QClipboard.Mode.Selection)

    def show_outside(self, place: str) -> bool:
        """Open an address in the desktop's own program; False if there is none."""
        return self._opener(place)

    def show_fault(self, words: str) -> None:
        """Something went wrong that nobody expected: say so, go on."""
        state = self.presenter.state
        state.message, state.warning = f"Internal fault: {words}. Your choice is kept", True
        self.changed("choice")

    # ---- drawing

    def _draw_entries(self) -> None:
        presenter, state, parts = self.presenter, self.presenter.state, self.parts
        current = state.entry.product if state.entry is not None else ""
        self.find.show_wanted(state.wanted)
        parts.list.show_entries(state.shown_entries, current, presenter.desk.clock())
        done = sum(entry.quality is not None for entry in state.shown_entries)
        parts.filter.setText(f"{state.filter}   {done} of {len(state.shown_entries)} graded")

    def _draw_target(self) -> None:
        presenter, parts = self.presenter, self.parts
        observation, entry = presenter.state.observation, presenter.state.entry
        if observation is None or entry is None:
            return
        parts.title.setText(entry.product)
        parts.readout.setText("")  # that was the target before
        self.setWindowTitle(f"sedmview {observation.folder.name} {entry.product}")
        facts = [
            str(observation.meta.get("utc") or ""),
            f"{'2 × ' if observation.pair else ''}{observation.exptime_s:.0f} s",
        ]
        airmass = observation.meta.get("airmass")
        facts.append(f"airmass {airmass:.2f}" if isinstance(airmass, float) else "airmass unknown")
        alone = f"only {entry.half} of a pair" if entry.half else "single exposure"
        facts.append("A − B" if observation.pair else alone)
        parts.facts.setText("    ".join(filter(None, facts)))
        parts.spectrum.new_target()
        parts.field.show_field(observation)
        presenter.drawing.read_beside(entry)
        self._draw_reason()
        self.chart.read(entry)

    def _draw_reason(self) -> None:
        """What is known of the target, and why it waits."""
        state = self.presenter.state
        if state.entry is not None and state.observation is not None:
            known = (state.entry.reason, state.drawn.beside.words, *state.observation.notes)
            self.parts.reason.setText("   •   ".join(filter(None, known)))

    def _draw_picture(self) -> None:
        presenter, state, parts = self.presenter, self.presenter.state, self.parts
        choice = state.choice
        if choice is None or state.observation is None:
            return
        values = presenter.looking.picture()
        parts.field.show_picture(values, choice)
        parts.field.show_contours(values if state.drawn.contours else None)
        parts.bar.show_scale(choice, symmetric=state.observation.pair)
        parts.spectrum.show_window(*choice.window)
        low, high = (f"{edge / 10:.0f}" for edge in choice.window)
        for box, text in ((parts.window_low, low), (parts.window_high, high)):
            if not box.hasFocus():
                box.setText(text)

    def _draw_choice(self) -> None:
        presenter, state, parts = self.presenter, self.presenter.state, self.parts
        choice = state.shown
        parts.prompt.setText(presenter.prompt)
        _restyle(parts.prompt, "warning", state.warning and bool(state.message))
        parts.phases.show_phase(state.phase, pair=choice is None or choice.b is not None)
        for grade, button in parts.grades.items():
            button.setEnabled(choice is not None and not state.locked)
            button.setChecked(choice is not None and choice.grade == grade)
        parts.save.setEnabled(choice is not None and not state.locked)
        if parts.name.text().strip() != state.reducer and not parts.name.hasFocus():
            parts.name.setText(state.reducer)
        if state.wants_name:
            state.wants_name = False
            parts.name.setFocus()
        if choice is None:
            parts.show_notice(presenter.prompt)
            _restyle(parts.notice, "warning", state.warning and bool(state.message))
            return
        parts.show_work()
        self.chart.draw_soon()
        offered = state.suggestion if not state.locked and choice.object_visible else None
        others = state.suggestion.others if state.suggestion is not None and not state.locked else ()
        self.marks.show_marks(() if state.locked else state.expected, others)
        parts.field.show_apertures(choice, floating=state.floating, offered=offered, hidden=not choice.object_visible)
        aperture = choice.aperture
        values = (
            f"{aperture.x_arcsec:+.2f}",
            f"{aperture.y_arcsec:+.2f}",
            f"{aperture.semi_major_arcsec:.2f}",
            f"{aperture.axis_ratio:.2f}",
            f"{aperture.angle_deg:.0f}",
        )
        for box, text in zip(parts.aperture_boxes, values, strict=True):
            if not box.hasFocus():
                box.setText(text)
        parts.aperture_name.setText(f"Aperture {choice.active}" if choice.b is not None else "Aperture")
        _restyle(parts.aperture_name, "side", choice.active)
        words = ["sky on" if choice.skysub else "sky OFF", "point source" if choice.point_source else "extended"]
        if presenter.spectra.extraction is not None and presenter.spectra.extraction.fitted:
            words = ["PSF and host fit"]
        if not choice.object_visible:
            words = ["NO TARGET VISIBLE"]
        if choice.partial:
            words.append("A alone")
        parts.flags.setText("   ".join(words))
        found = state.suggestion.words if state.suggestion else "looking for objects ..." * state.searching
        parts.found.setText(f"found: {found}" if found and not state.searching else found)

    def _draw_spectrum(self) -> None:
        presenter, state, parts = self.presenter, self.presenter.state, self.parts
        extraction, shown = presenter.spectra.extraction, state.shown
        parts.spectrum.show_extraction(
            extraction,
            bins=state.drawn.smoothing,
            pointer=self._pointer_spectrum(),
            comparison=state.comparison,
            over=state.drawn.over,
            other=presenter.spectra.other,
        )
        parts.sky.setVisible(state.sky_shown)
        parts.sky.show_sky(extraction.spectrum if extraction is not None and state.sky_shown else None)
        hidden = shown is not None and not shown.object_visible
        parts.field.show_used(extraction, shown, hidden=hidden)
        if extraction is None:
            parts.warning.setText(presenter.spectra.problem)
            _restyle(parts.warning, "warning", True)
            return
        text = f"S/N {signal_to_noise(extraction.spectrum):.1f} per bin at 500–800 nm"
        told, cut = aperture_words(extraction)
        text += "".join(f"     {one}" for one in told)
        modelled = state.suggestion.modelled if state.suggestion and not hidden else ()
        if modelled:
            unfitted = "host or neighbour not subtracted (F fits it)"
            text += f"     {'; '.join(modelled) if extraction.fitted else unfitted}"
        parts.warning.setText(text)
        _restyle(parts.warning, "warning", cut)

    def _pointer_spectrum(self) -> Spectrum | None:
        """Spectrum of the spaxel under the pointer, if it is asked for."""
        presenter, state = self.presenter, self.presenter.state
        if not state.pointer_spectrum or state.pointer is None:
            return None
        spaxel = self.parts.field.hexes.spaxel_at(*state.pointer)
        return None if spaxel is None else presenter.spectra.of_spaxel(spaxel)

    def _draw_lines(self) -> None:
        state = self.presenter.state
        name, lines = SETS[state.line_set]
        velocity = state.drawn.velocity_km_s
        self.parts.spectrum.show_lines(shifted(lines, state.redshift, velocity))
        self.parts.lines.setText(name)
        for box, text in ((self.parts.redshift, f"{state.redshift:.4f}"), (self.parts.velocity, f"{velocity:.0f}")):
            if not box.hasFocus():
                box.setText(text)

    def _draw_range(self) -> None:
        field, spectrum = self.parts.field, self.parts.spectrum
        # who wants the whole field again does not ask for all of the spectrum
        if spectrum.zoomed or not field.zoomed:
            spectrum.whole_range()
        field.whole_field()

    def _ask_line(self, wavelength: float) -> None:
        """Which line is it that was clicked? The menu does not hold up the window."""
        drawing = self.presenter.drawing
        middle, lines = drawing.candidates(wavelength)
        if self.presenter.spectra.extraction is not None and lines:
            self._menu = line_menu(self, middle, lines, lambda line: drawing.choose_line(line, middle))
            self._menu.popup(QtGui.QCursor.pos())

    def _ask_comparison(self) -> None:
        """A dialogue that does not hold up the window; asked for again it comes to the front."""
        if self._dialogue is None:
            observation = self.presenter.state.observation
            folder = "" if observation is None else str(observation.folder)
            self._dialogue = QtWidgets.QFileDialog(self, "Spectrum to compare with", folder, COMPARISON_FILES)
            self._dialogue.setFileMode(QtWidgets.QFileDialog.FileMode.ExistingFile)
            # the desktop's own dialogue needs an event loop of its own on some
            self._dialogue.setOption(QtWidgets.QFileDialog.Option.DontUseNativeDialog)
            self._dialogue.fileSelected.connect(lambda name: self.presenter.spectra.compare(Path(name)))
        self._dialogue.show()
        self._dialogue.raise_()

    def _draw_help(self) -> None:
        self.parts.help.setVisible(self.presenter.state.help_shown)
        self.parts.place_help()
        self.parts.help.raise_()

    # ---- what the observer does

    def key(self, name: str) -> None:
        """A key of the table was pressed."""
        focus = self.focusWidget()
        if isinstance(focus, QtWidgets.QLineEdit):
            if name in _LEAVE:
                self.leave_text()
                if focus is self.find:
                    self._found(opens=name in ("Return", "Enter"))
            return
        action = press(self.presenter, name)
        if action is not None:
            self._noted(action)

    def focus_find(self) -> None:
        """The next letters are part of a name."""
        self.find.setFocus()
        self.find.selectAll()

    def leave_text(self) -> None:
        """What was typed counts, and keys are keys again."""
        focus = self.focusWidget()
        self.parts.field.setFocus()
        if focus is not None and focus is self.parts.name:
            self._named()

    def _found(self, *, opens: bool) -> None:
        """Enter opens the first target that was found; the list is whole again."""
        first = next((one for one in self.presenter.state.shown_entries if one.openable), None)
        typed = self.find.text()
        self.presenter.listing.find("")
        if opens and typed and first is not None:
            self.presenter.opening.open(first)

    def _noted(self, action: Action) -> None:
        state = self.presenter.state
        product = state.entry.product if state.entry is not None else ""
        self._note(action.ident, product)

    def _bind_keys(self) -> None:
        for name in keys():
            shortcut = QShortcut(QtGui.QKeySequence(name), self)
            shortcut.activated.connect(lambda name=name: self.key(name))
            # what must not happen twice while a finger rests on the key does not repeat
            shortcut.setAutoRepeat(repeats(name))

    def _menus(self) -> None:
        for action in ACTIONS:
            menu = self.parts.menus.get(action.menu)
            if menu is None:
                menu = self.parts.menus[action.menu] = self.menuBar().addMenu(action.menu)
            # the key stands in the text only: bound twice it would do nothing
            entry = QAction(f"{action.title}\t{action.keys[0]}", self)
            entry.triggered.connect(lambda _checked=False, action=action: self._menu_chosen(action))
            menu.addAction(entry)

    def _menu_chosen(self, action: Action) -> None:
        if self.presenter.state.stage in action.stages:
            action.run(self.presenter)
            self._noted(action)

    def _connect(self) -> None:
        presenter, parts = self.presenter, self.parts
        field: FieldPlot = parts.field
        field.box.grab = presenter.placing.grab
        field.box.clicked.connect(self._clicked)
        field.box.dragged.connect(presenter.placing.drag)
        field.box.dropped.connect(self._dropped)
        field.pointed.connect(self._pointed)
        field.left.connect(self._left)
        parts.spectrum.window_chosen.connect(presenter.looking.set_window)
        parts.spectrum.asked.connect(self._ask_line)
        parts.spectrum.pointed.connect(parts.spectrum_readout.setText)
        parts.list.chosen.connect(self._listed)
        parts.name.editingFinished.connect(self._named)
        parts.save.clicked.connect(lambda _checked=False: self._save_clicked())
        for grade, button in parts.grades.items():
            button.clicked.connect(lambda _checked=False, grade=grade: self._graded(grade))
        for box in (parts.window_low, parts.window_high):
            box.editingFinished.connect(self._window_typed)
        parts.redshift.editingFinished.connect(self._redshift_typed)
        parts.velocity.editingFinished.connect(self._velocity_typed)
        for number, box in enumerate(parts.aperture_boxes):
            box.editingFinished.connect(lambda number=number: self._aperture_typed(number))

    def _clicked(self, x: float, y: float) -> None:
        state = self.presenter.state
        self.leave_text()
        self.presenter.placing.place(x, y)
        self._note("aperture.click", state.entry.product if state.entry else "")

    def _dropped(self) -> None:
        state = self.presenter.state
        self.presenter.placing.drop()
        self._note("aperture.drag", state.entry.product if state.entry else "")

    def _pointed(self, x: float, y: float) -> None:
        self.parts.readout.setText(self.parts.field.readout(x, y))
        on_field = self.parts.field.hexes.spaxel_at(x, y) is not None
        self.presenter.placing.point(*((x, y) if on_field else (None, None)))

    def _left(self) -> None:
        self.parts.readout.setText("")
        self.presenter.placing.point(None, None)

    def _listed(self, product: str) -> None:
        self.leave_text()
        entry = next((one for one in self.presenter.state.entries if one.product == product), None)
        if entry is not None:
            self.presenter.opening.open(entry)

    def _graded(self, grade: int) -> None:
        self.leave_text()
        self.presenter.saving.grade(grade)
        self.changed("choice")  # a button that was not accepted must not stay pressed

    def _save_clicked(self) -> None:
        self.leave_text()
        self.presenter.saving.save()

    def _named(self) -> None:
        self.presenter.saving.set_reducer(self.parts.name.text())

    def _window_typed(self) -> None:
        low, high = (_number(box) for box in (self.parts.window_low, self.parts.window_high))
        if low is not None and high is not None:
            self.presenter.looking.set_window(10 * low, 10 * high)
        self.changed("picture")

    def _redshift_typed(self) -> None:
        redshift = _number(self.parts.redshift)
        if redshift is not None:
            self.presenter.looking.set_redshift(redshift)
        self.changed("lines")

    def _velocity_typed(self) -> None:
        velocity = _number(self.parts.velocity)
        if velocity is not None:
            self.presenter.drawing.set_velocity(velocity)
        self.changed("lines")

    def _aperture_typed(self, number: int) -> None:
        value = _number(self.parts.aperture_boxes[number])
        if value is not None:
            self.presenter.placing.set_aperture(number, value)
        self.changed("choice")

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self.parts.place_help()
        self.parts.place_enlarged()

    def closeEvent(self, event: object) -> None:
        self._poll.stop()
        self._keep_sizes(self.parts.sizes(self))
        super().closeEvent(event)


def _number(box: QtWidgets.QLineEdit) -> float | None:
    try:
        value = float(box.text().replace(",", "."))
    except ValueError:
        return None
    return value if abs(value) < 1e6 else None  # also refuses NaN


def _restyle(widget: QtWidgets.QWidget, name: str, value: bool | str) -> None:
    """A property that the style sheet looks at; costs nothing when it stays."""
    if widget.property(name) != value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
