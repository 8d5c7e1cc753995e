"""Where everything stands in the window, and how it looks."""

from __future__ import annotations

import pyqtgraph as pg

from sedmd.core.quality import QUALITIES
from sedmview.field import FieldPlot
from sedmview.panels import ColourBar, FinderChart, PhaseBar, TargetList, help_html, label
from sedmview.qt import QtCore, QtWidgets
from sedmview.spectrumplot import SpectrumPlot

STYLE = """
QWidget { background: #181c22; color: #e8edf2; font-size: 10.5pt; }
QLabel#title { font-size: 16pt; font-weight: bold; }
QLabel#facts { color: #aab4bf; }
QLabel#found { color: #ffd866; }
QLabel#prompt { background: #26303b; color: #ffe08a; font-size: 12.5pt; padding: 6px 10px; border-radius: 4px; }
QLabel#prompt[warning="true"] { background: #5a2a22; color: #ffd9cc; }
QLabel#warning[warning="true"] { color: #ff9d7a; }
QLabel#aperture[side="A"] { color: #ff4d4d; }
QLabel#aperture[side="B"] { color: #4da3ff; }
QLabel#phases { font-size: 12pt; }
QLabel#finder { background: #1d2229; border: 1px solid #313a44; color: #7d8995; }
QLabel#help { background: #222a33; border: 1px solid #4a5765; border-radius: 6px; padding: 12px; font-size: 9.5pt; }
QListWidget { background: #1d2229; border: 1px solid #313a44; font-size: 9.5pt; }
QListWidget::item { padding: 3px; border-bottom: 1px solid #262d36; }
QListWidget::item:selected { background: #31506e; }
QLineEdit { background: #222a33; border: 1px solid #4a5765; border-radius: 3px; padding: 3px; }
QLineEdit:focus { border-color: #ffe08a; }
QPushButton { background: #2a333d; border: 1px solid #4a5765; border-radius: 4px; padding: 6px 6px; }
QPushButton:checked { background: #2f7d4f; border-color: #58b883; color: #ffffff; }
QPushButton:hover { border-color: #8aa0b5; }
QPushButton:disabled { color: #6b7682; }
QPushButton:checked:disabled { background: #24483a; color: #cfe8d8; }
QSplitter::handle { background: #242b33; }
QMenuBar { background: #1d2229; color: #aab4bf; font-size: 9.5pt; }
QMenuBar::item { background: transparent; padding: 3px 8px; }
QMenuBar::item:selected, QMenu::item:selected { background: #31506e; }
QMenu { background: #222a33; border: 1px solid #4a5765; }
QToolTip { background: #222a33; color: #e8edf2; border: 1px solid #4a5765; }
"""
#: Two lines of what the search found [px].
FOUND_HEIGHT = 40
#: Size of the window where the screen has room for it, and what its frame takes of the screen's height [px].
LARGE, FRAME_HEIGHT = (1480, 900), 32


class Layout:
    """The widgets of the window by name."""

    def __init__(self, window: QtWidgets.QMainWindow) -> None:
        pg.setConfigOptions(antialias=False, background="#181c22", foreground="#aab4bf")
        window.setStyleSheet(STYLE)
        self.menus: dict[str, QtWidgets.QMenu] = {}
        self.title, self.facts, self.filter = label("title"), label("facts"), label("facts")
        self.title.setMinimumWidth(0)  # the name of the target is never cut
        self.prompt, self.phases = label("prompt", wrap=True), PhaseBar()
        self.prompt.setAccessibleName("What to do next")
        self.field, self.bar = FieldPlot(), ColourBar()
        self.field.setAccessibleName("Picture of the field")
        self.field.setMinimumSize(400, 400)
        self.readout, self.scale_facts, self.flags = label("facts"), label("facts"), label("facts")
        self.found, self.finder_facts = label("found", wrap=True), label("facts")
        self.found.setFixedHeight(FOUND_HEIGHT)  # the picture does not jump when the search has ended
        self.spectrum, self.warning = SpectrumPlot(), label("warning")
        self.spectrum.setAccessibleName("Extracted spectrum")
        self.list, self.finder = TargetList(), FinderChart()
        self._centre = QtWidgets.QWidget()
        split = QtWidgets.QSplitter()
        for side in (self._left(), self._middle(), self._right()):
            split.addWidget(side)
        split.setStretchFactor(0, 0)
        split.setStretchFactor(1, 5)
        split.setStretchFactor(2, 6)
        split.setSizes([250, 610, 620])
        head = _row(self.title, 18, self.facts, None, self.phases)
        whole = QtWidgets.QVBoxLayout()
        whole.setContentsMargins(6, 4, 6, 4)
        whole.setSpacing(4)
        whole.addLayout(head)
        whole.addWidget(self.prompt)
        whole.addWidget(split, 1)
        self._centre.setLayout(whole)
        window.setCentralWidget(self._centre)
        self.help = label("help")
        self.help.setTextFormat(QtCore.Qt.TextFormat.RichText)
        self.help.setParent(self._centre)
        self.help.setText(help_html())
        self.help.hide()
        screen = QtWidgets.QApplication.primaryScreen()
        area = screen.availableGeometry() if screen is not None else QtCore.QRect(0, 0, *LARGE)
        window.resize(*first_size(area.width(), area.height()))

    def place_help(self) -> None:
        """The help in the middle of the window."""
        self.help.adjustSize()
        area = self._centre.rect()
        self.help.move(
            max((area.width() - self.help.width()) // 2, 0), max((area.height() - self.help.height()) // 2, 0)
        )

    def _left(self) -> QtWidgets.QWidget:
        tall = QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical)
        upper = _column(self.filter, (self.list, 1))
        lower = _column((self.finder, 1), self.finder_facts)
        tall.addWidget(upper)
        tall.addWidget(lower)
        tall.setSizes([520, 250])
        tall.setMinimumWidth(190)
        return tall

    def _middle(self) -> QtWidgets.QWidget:
        self.window_low, self.window_high = _box("First wavelength [nm]", 48), _box("Last wavelength [nm]", 48)
        self.aperture_name = label("aperture")
        self.aperture_name.setMinimumWidth(0)
        self.flags.setMinimumWidth(0)
        names = ("E", "N", "a", "b/a", "PA")
        meanings = ("arcsec East", "arcsec North", "semi-major axis, arcsec", "axis ratio", "position angle, degrees")
        widths = (58, 58, 48, 48, 42)  # -12.34, -12.34, 9.00, 1.00, 179
        self.aperture_boxes = tuple(_box(*one) for one in zip(meanings, widths, strict=True))
        shape: list[object] = [self.aperture_name, 4]
        for name, box in zip(names, self.aperture_boxes, strict=True):
            shape += [_word(name), box]
        range_ = (_word("picture"), self.window_low, _word("–"), self.window_high, _word("nm"), 12, self.scale_facts)
        # No row is longer than the boxes of the aperture: three columns have to stand side by side on 1280 pixels.
        window = _row(*range_, None, self.flags)
        return _column((self.field, 1), self.bar, window, _row(*shape, None), self.found, self.readout)

    def _right(self) -> QtWidgets.QWidget:
        self.redshift, self.lines = _box("Redshift of the line markers", 64), label("facts")
        self.grades: dict[int, QtWidgets.QPushButton] = {}
        for grade, meaning in QUALITIES.items():
            button = QtWidgets.QPushButton(f"{grade}  {meaning}")
            button.setCheckable(True)
            button.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
            self.grades[grade] = button
        self.name = QtWidgets.QLineEdit()
        self.name.setPlaceholderText("your name")
        self.name.setAccessibleName("Name of the observer")
        self.name.setFocusPolicy(QtCore.Qt.FocusPolicy.ClickFocus)
        self.save = QtWidgets.QPushButton("Save   Enter")
        self.save.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        keys = label("facts")
        keys.setText("?  all keys")
        return _column(
            (self.spectrum, 1),
            _row(_word("z"), self.redshift, 8, _word("L:"), self.lines, None),
            self.warning,
            _row(*self.grades.values()),
            _row(_word("Reduced by"), self.name, self.save, 10, keys),
        )


def first_size(width: int, height: int) -> tuple[int, int]:
    """Width and height [px] of the window on a screen with so much room: what is cut off cannot be clicked."""
    return min(LARGE[0], width), min(LARGE[1], height - FRAME_HEIGHT)


def _box(meaning: str, width: int) -> QtWidgets.QLineEdit:
    """A field for a number; a click enters it, Enter leaves it."""
    box = QtWidgets.QLineEdit()
    box.setAccessibleName(meaning)
    box.setToolTip(meaning)
    box.setFixedWidth(width)
    box.setFocusPolicy(QtCore.Qt.FocusPolicy.ClickFocus)
    return box


def _word(text: str) -> QtWidgets.QLabel:
    made = label("facts")
    made.setText(text)
    made.setMinimumWidth(0)  # short, never cut
    return made


def _row(*items: object) -> QtWidgets.QHBoxLayout:
    """Widgets side by side; a number is a gap, None takes the room that is left."""
    row = QtWidgets.QHBoxLayout()
    row.setSpacing(6)
    for item in items:
        if item is None:
            row.addStretch()
        elif isinstance(item, int):
            row.addSpacing(item)
        else:
            row.addWidget(item)
    return row


def _column(*items: object) -> QtWidgets.QWidget:
    """Widgets and rows one below the other; (widget, stretch) takes room."""
    column = QtWidgets.QVBoxLayout()
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for item in items:
        if isinstance(item, tuple):
            column.addWidget(*item)
        elif isinstance(item, QtWidgets.QLayout):
            column.addLayout(item)
        else:
            column.addWidget(item)
    made = QtWidgets.QWidget()
    made.setLayout(column)
    return made
