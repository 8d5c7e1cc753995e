"""The window: targets, field, spectrum, grade and name; it shows what the presenter holds and passes on keys."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pyqtgraph as pg

from sedmview.actions import action_for, help_text, keys, press
from sedmview.field import FieldPlot
from sedmview.model import GRADES, WINDOWS, Stage
from sedmview.presenter import Presenter
from sedmview.qt import QShortcut, QtCore, QtGui, QtWidgets
from sedmview.spectrumplot import SpectrumPlot, signal_to_noise

log = logging.getLogger(__name__)

#: At most this often is the spectrum extracted while keys repeat [ms]; kind to a VNC line.
REDRAW_MS = 30

STYLE = """
QWidget { background: #181c22; color: #e8edf2; font-size: 11pt; }
QLabel#title { font-size: 16pt; font-weight: bold; }
QLabel#facts { color: #aab4bf; }
QLabel#prompt { background: #26303b; color: #ffe08a; font-size: 13pt; padding: 7px 10px; border-radius: 4px; }
QLabel#help { background: #222a33; border: 1px solid #4a5765; border-radius: 6px; padding: 14px; }
QListWidget { background: #1d2229; border: 1px solid #313a44; }
QListWidget::item { padding: 4px; }
QListWidget::item:selected { background: #31506e; color: #ffffff; }
QLineEdit { background: #222a33; border: 1px solid #4a5765; border-radius: 3px; padding: 4px; }
QPushButton { background: #2a333d; border: 1px solid #4a5765; border-radius: 4px; padding: 6px 10px; }
QPushButton:checked { background: #2f7d4f; border-color: #58b883; color: #ffffff; }
QPushButton:hover { border-color: #8aa0b5; }
QPushButton:disabled { color: #6b7682; }
QSplitter::handle { background: #242b33; }
"""

TROUBLE = "color: #ff9d7a;"


class Window(QtWidgets.QMainWindow):
    """The presenter's view.

    Parameters
    ----------
    presenter : Presenter
        Its `view` becomes this window.
    """

    def __init__(self, presenter: Presenter) -> None:
        super().__init__()
        self.presenter = presenter
        presenter.view = self
        self.setWindowTitle("sedmview")
        self.setStyleSheet(STYLE)
        self._work: Callable[[], None] | None = None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.work_now)
        self._build()
        self._bind_keys()
        self.show_entries()
        self.show_choice()

    # ---- what the presenter asks for

    def show_entries(self) -> None:
        """The list of targets with what became of each."""
        self._list.blockSignals(True)
        self._list.clear()
        for entry in self.presenter.entries:
            mark = {"waiting": "○", "automatic": "◐"}.get(entry.state, "●")
            item = QtWidgets.QListWidgetItem(f"{mark} {entry.product}\n     {entry.state}")
            item.setForeground(QtGui.QColor("#e8edf2" if mark == "○" else "#8fa3b5"))
            self._list.addItem(item)
        self._list.setCurrentRow(self.presenter.index)
        self._list.blockSignals(False)
        self._list.setVisible(len(self.presenter.entries) > 1)

    def show_target(self) -> None:
        """Title and picture."""
        target, choice = self.presenter.target, self.presenter.choice
        if target is None or choice is None:
            return
        meta = target.meta
        self._title.setText(target.product)
        facts = [str(meta.get("utc") or ""), f"{'2 × ' if target.pair else ''}{target.exptime_s:.0f} s"]
        if isinstance(meta.get("airmass"), float):
            facts.append(f"airmass {meta['airmass']:.2f}")
        facts.append("A − B" if target.pair else "single exposure")
        self._facts.setText("     ".join(fact for fact in facts if fact))
        self._field.show_target(target, choice)
        self._spectrum.show_window(choice.window)
        name, low, high = WINDOWS[choice.window]
        self._picture.setText(
            f"{name}, {low:.0f}–{high:.0f} Å     {choice.scale.low:.3g} to {choice.scale.high:.3g} electron/Å"
        )

    def show_choice(self) -> None:
        """Apertures, grade, and what to do next."""
        choice, presenter = self.presenter.choice, self.presenter
        self._prompt.setText(presenter.prompt)
        for grade, button in self._grades.items():
            button.setEnabled(choice is not None)
            button.setChecked(choice is not None and choice.grade == grade)
        self._save.setEnabled(choice is not None and presenter.unsaved)
        if self._name.text().strip() != presenter.reducer:
            self._name.setText(presenter.reducer)
        if choice is None:
            return
        self._field.show_choice(choice, ghost=presenter.stage is Stage.PLACE)
        aperture = choice.aperture
        self._figures.setText(
            f"{'Aperture ' + choice.active if choice.b is not None else 'Aperture'}   "
            f"E {aperture.x_arcsec:+.2f}″  N {aperture.y_arcsec:+.2f}″   "
            f"a {aperture.semi_major_arcsec:.1f}″   b/a {aperture.axis_ratio:.1f}   PA {aperture.angle_deg:.0f}°   "
            f"sky {'on' if choice.skysub else 'OFF'}   {'point source' if choice.point_source else 'extended'}"
        )

    def show_spectrum(self) -> None:
        """The extraction, its signal to noise, or why there is none."""
        extraction = self.presenter.extraction
        self._spectrum.show_extraction(extraction)
        self._field.show_sky(extraction.sky_members if extraction else np.zeros(0, dtype=int))
        if extraction is None:
            self._trouble.setText(self.presenter.problem)
            self._trouble.setStyleSheet(TROUBLE)
            return
        inside = extraction.spectrum.meta.get("aperture_inside")
        text = f"S/N {signal_to_noise(extraction.spectrum):.1f} per bin at 500–800 nm"
        cut = isinstance(inside, float) and inside < 0.97
        self._trouble.setStyleSheet(TROUBLE if cut else "")
        if cut:
            text += f"     only {100 * float(inside or 0):.0f} % of the aperture lies on the field"
        share = extraction.spectrum.meta.get("aperture_share")
        if isinstance(share, float):
            text += f"     {100 * share:.0f} % of a star's light inside, rest allowed for"
        self._trouble.setText(text)

    def show_help(self) -> None:
        """All keys, over the spectrum."""
        self._help.setVisible(self.presenter.help_shown)
        self._place_help()
        self._help.raise_()

    def later(self, work: Callable[[], None]) -> None:
        """Run `work` within `REDRAW_MS`, once."""
        self._work = work
        if not self._timer.isActive():
            self._timer.start()

    def work_now(self) -> None:
        """Run what `later` put off."""
        work, self._work = self._work, None
        if work is not None:
            work()

    # ---- inside

    def _build(self) -> None:
        pg.setConfigOptions(antialias=False, background="#181c22", foreground="#aab4bf")
        self._title, self._facts = _label("title"), _label("facts")
        self._prompt, self._trouble, self._figures, self._picture = (
            _label("prompt"),
            _label("trouble"),
            _label("facts"),
            _label("facts"),
        )
        self._prompt.setWordWrap(True)
        self._trouble.setWordWrap(True)
        self._field, self._spectrum = FieldPlot(), SpectrumPlot()
        self._field.setAccessibleName("Picture of the field")
        self._spectrum.setAccessibleName("Extracted spectrum")
        self._field.setMinimumSize(420, 420)
        self._list = QtWidgets.QListWidget()
        self._list.setAccessibleName("Targets")
        self._list.setMaximumWidth(230)
        self._list.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._list.currentRowChanged.connect(self._row_chosen)

        head = QtWidgets.QHBoxLayout()
        head.addWidget(self._title)
        head.addSpacing(18)
        head.addWidget(self._facts)
        head.addStretch()
        right = QtWidgets.QVBoxLayout()
        right.addWidget(self._spectrum, 1)
        right.addWidget(self._trouble)
        right.addLayout(self._grade_row())
        right.addLayout(self._name_row())
        left = QtWidgets.QVBoxLayout()
        left.addWidget(self._field, 1)
        left.addWidget(self._picture)
        left.addWidget(self._figures)
        split = QtWidgets.QSplitter()
        for layout in (left, right):
            side = QtWidgets.QWidget()
            layout.setContentsMargins(0, 0, 0, 0)
            side.setLayout(layout)
            split.addWidget(side)
        split.setSizes([700, 700])
        middle = QtWidgets.QHBoxLayout()
        middle.addWidget(self._list)
        middle.addWidget(split, 1)
        whole = QtWidgets.QVBoxLayout()
        whole.addLayout(head)
        whole.addWidget(self._prompt)
        whole.addLayout(middle, 1)
        centre = QtWidgets.QWidget()
        centre.setLayout(whole)
        self.setCentralWidget(centre)
        self.statusBar().setSizeGripEnabled(False)
        self.statusBar().addPermanentWidget(QtWidgets.QLabel("?  shows all keys"))
        self._field.picked.connect(self._picked)
        self._field.pointed.connect(self.statusBar().showMessage)
        self._help = _label("help")
        self._help.setParent(centre)
        self._help.setText(_help_html())
        self._help.hide()
        self.resize(1400, 860)

    def _grade_row(self) -> QtWidgets.QHBoxLayout:
        row = QtWidgets.QHBoxLayout()
        self._grades: dict[int, QtWidgets.QPushButton] = {}
        for grade, meaning in GRADES.items():
            button = QtWidgets.QPushButton(f"{grade}  {meaning}")
            button.setCheckable(True)
            button.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _checked=False, grade=grade: self._graded(grade))
            self._grades[grade] = button
            row.addWidget(button)
        return row

    def _name_row(self) -> QtWidgets.QHBoxLayout:
        row = QtWidgets.QHBoxLayout()
        self._name = QtWidgets.QLineEdit(self.presenter.reducer)
        self._name.setPlaceholderText("your name")
        self._name.setAccessibleName("Name of the observer")
        self._name.editingFinished.connect(self._named)
        self._name.returnPressed.connect(self._field.setFocus)
        self._save = QtWidgets.QPushButton("Save   Ctrl+S")
        self._save.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self._save.clicked.connect(lambda _checked=False: self.key("Ctrl+S"))
        row.addWidget(QtWidgets.QLabel("Reduced by"))
        row.addWidget(self._name, 1)
        row.addWidget(self._save)
        return row

    def _bind_keys(self) -> None:
        for name in keys():
            shortcut = QShortcut(QtGui.QKeySequence(name), self)
            shortcut.activated.connect(lambda name=name: self.key(name))
            # no repeat for what must not happen twice while a finger rests on the key
            repeatable = any(
                action is not None and action.ident.startswith(("scale.", "aperture.", "nudge.", "edit."))
                for action in (action_for(name, stage) for stage in Stage)
            )
            shortcut.setAutoRepeat(repeatable and name != "X" and name not in ("Y", "P", "Q", "Tab"))

    def key(self, name: str) -> None:
        """A key of the table was pressed."""
        if name == "Ctrl+S":
            self._named()
        action = press(self.presenter, name)
        if action is not None:
            log.info("%s", action.ident)

    def _picked(self, x: float, y: float) -> None:
        self._field.setFocus()
        self.presenter.place(x, y)

    def _graded(self, grade: int) -> None:
        if self.presenter.stage is Stage.SCALE:
            self.presenter.accept_scale()
        self.presenter.grade(grade)

    def _named(self) -> None:
        if self._name.text().strip() != self.presenter.reducer:
            self.presenter.set_reducer(self._name.text())

    def _row_chosen(self, row: int) -> None:
        if row != self.presenter.index:
            self.presenter.step(row - self.presenter.index)
            self.show_entries()

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._place_help()

    def _place_help(self) -> None:
        self._help.adjustSize()
        area = self.centralWidget().rect()
        self._help.move((area.width() - self._help.width()) // 2, (area.height() - self._help.height()) // 2)


def _label(name: str) -> QtWidgets.QLabel:
    label = QtWidgets.QLabel()
    label.setObjectName(name)
    return label


def _help_html() -> str:
    columns = []
    for name, rows in help_text():
        lines = "".join(
            f"<tr><td><b>{_escape(key)}</b>&nbsp;&nbsp;&nbsp;</td><td>{_escape(title)}</td></tr>" for key, title in rows
        )
        columns.append(f"<td style='padding-right:28px'><h3>{name}</h3><table>{lines}</table></td>")
    mouse = "<p>Left click: the active aperture goes there. A is red, B blue and dashed; dots are the sky spaxels.</p>"
    return f"<table><tr>{''.join(columns)}</tr></table>{mouse}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
