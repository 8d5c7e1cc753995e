"""Where everything stands in the window, and how it looks."""

from __future__ import annotations

import pyqtgraph as pg

from sedmd.core.quality import QUALITIES
from sedmview.field import FieldPlot
from sedmview.finderchart import FinderChart
from sedmview.panels import ColourBar, PhaseBar, TargetList, help_html, label
from sedmview.paragraph import Paragraph
from sedmview.qt import QtCore, QtWidgets
from sedmview.skystrip import SkyStrip
from sedmview.spectrumplot import SpectrumPlot

STYLE = """
QWidget { background: #181c22; color: #e8edf2; font-size: 10.5pt; }
QLabel#title { font-size: 16pt; font-weight: bold; }
QLabel#facts { color: #aab4bf; }
QLabel#reason { color: #c3ccd6; font-size: 9.5pt; }
QLabel#notice { color: #aab4bf; font-size: 14pt; padding: 40px; }
QLabel#notice[warning="true"] { color: #ff9d7a; }
QLabel#found { color: #ffd866; }
QLabel#prompt { background: #26303b; color: #ffe08a; font-size: 12.5pt; padding: 1px 10px; border-radius: 4px; }
QLabel#prompt[long="true"] { font-size: 9pt; }
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
QPushButton { background: #2a333d; border: 1px solid #4a5765; border-radius: 4px; padding: 6px 3px; }
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
#: Size of the window where the screen has room for it, and what its frame takes of the screen's height [px].
LARGE, FRAME_HEIGHT = (1920, 1080), 32
#: A window that was smaller than this is not made again [px].
LEAST = (900, 600)
#: Widths of the list of targets and of the longest name [px].
LIST_WIDTH, TITLE_WIDTH = 220, 430
#: The splitters whose sizes are remembered: list and work, field and spectrum, list and finder chart.
SPLITS = ("columns", "work", "list")


class Layout:
    """The widgets of the window by name."""

    def __init__(self, window: QtWidgets.QMainWindow) -> None:
        pg.setConfigOptions(antialias=False, background="#181c22", foreground="#aab4bf")
        window.setStyleSheet(STYLE)
        self.menus: dict[str, QtWidgets.QMenu] = {}
        self.title, self.facts, self.filter = (
            Paragraph("title", natural=TITLE_WIDTH),
            Paragraph("facts"),
            label("facts"),
        )
        self.prompt, self.phases = Paragraph("prompt", shrinks=True), PhaseBar()
        self.reason = Paragraph("reason", 2)
        self.reason.setAccessibleName("What is known of the target, and why it waits")
        self.prompt.setAccessibleName("What to do next")
        self.field, self.bar = FieldPlot(), ColourBar()
        self.field.setAccessibleName("Picture of the field")
        self.field.setMinimumSize(380, 380)
        self.readout, self.flags = Paragraph("facts", 2), Paragraph("facts")
        self.found, self.finder_facts = Paragraph("found", 2), Paragraph("facts")
        self.spectrum, self.warning = SpectrumPlot(), Paragraph("warning", 2)
        self.spectrum.setAccessibleName("Extracted spectrum")
        self.sky = SkyStrip(self.spectrum)
        self.sky.setAccessibleName("Sky under the object")
        self.list, self.finder = TargetList(), FinderChart()
        self._centre = QtWidgets.QWidget()
        self._inner = QtWidgets.QSplitter()
        for side in (self._middle(), self._right()):
            self._inner.addWidget(side)
        self._inner.setStretchFactor(0, 5)
        self._inner.setStretchFactor(1, 6)
        self._inner.setSizes([480, 560])
        self.notice = label("notice", wrap=True)
        self.notice.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.pages = QtWidgets.QStackedWidget()
        for page in (self.notice, self._inner):
            self.pages.addWidget(page)
        self._outer = split = QtWidgets.QSplitter()
        split.addWidget(self._left())
        split.addWidget(self.pages)
        split.setStretchFactor(0, 0)
        split.setStretchFactor(1, 1)
        split.setSizes([LIST_WIDTH, 1060])
        head = _row(self.title, 18, (self.facts, 1), self.phases)
        whole = QtWidgets.QVBoxLayout()
        whole.setContentsMargins(6, 4, 6, 4)
        whole.setSpacing(4)
        whole.addLayout(head)
        whole.addWidget(self.prompt)
        whole.addWidget(self.reason)
        whole.addWidget(split, 1)
        self._centre.setLayout(whole)
        window.setCentralWidget(self._centre)
        self.enlarged = FinderChart(self._centre)
        self.enlarged.setAccessibleName("Finder chart, large")
        self.enlarged.hide()
        self.help = label("help")
        self.help.setTextFormat(QtCore.Qt.TextFormat.RichText)
        self.help.setParent(self._centre)
        self.help.setText(help_html())
        self.help.hide()
        # with the style's fonts and paddings: else the window is made wider than a small screen before they are known
        for one in window.findChildren(QtWidgets.QWidget):
            one.ensurePolished()
            one.updateGeometry()
        for layout in window.findChildren(QtWidgets.QLayout):
            layout.invalidate()
        self.prompt.keep_height(10)
        screen = QtWidgets.QApplication.primaryScreen()
        area = screen.availableGeometry() if screen is not None else QtCore.QRect(0, 0, *LARGE)
        window.resize(*first_size(area.width(), area.height()))
        self._room = (area.width(), area.height())

    def show_notice(self, text: str) -> None:
        """A sentence in place of pictures: they would be empty, with axes that measure nothing."""
        self.notice.setText(text)
        self.pages.setCurrentWidget(self.notice)
        self.phases.setVisible(False)

    def show_work(self) -> None:
        """Field and spectrum of a target."""
        if self.pages.currentWidget() is not self._inner:
            self.pages.setCurrentWidget(self._inner)
            self.phases.setVisible(True)

    def sizes(self, window: QtWidgets.QMainWindow) -> dict[str, list[int]]:
        """Size of the window and of its columns [px], to be remembered."""
        size = window.normalGeometry().size() if window.isMaximized() else window.size()
        splits = (self._outer, self._inner, self._tall)
        return {"window": [size.width(), size.height()]} | {
            name: [int(one) for one in split.sizes()] for name, split in zip(SPLITS, splits, strict=True)
        }

    def take_sizes(self, window: QtWidgets.QMainWindow, remembered: object) -> None:
        """The sizes of last time, as far as the screen has room for them; what is no such thing is ignored."""
        sizes = remembered_sizes(remembered, *self._room)
        if "window" in sizes:
            window.resize(*sizes["window"])
        for name, split in zip(SPLITS, (self._outer, self._inner, self._tall), strict=True):
            # a window that is not to be seen was never laid out: its columns are no sizes
            if name in sizes and all(sizes[name]):
                split.setSizes(sizes[name])

    def place_help(self) -> None:
        """The help in the middle of the window."""
        self.help.adjustSize()
        area = self._centre.rect()
        self.help.move(
            max((area.width() - self.help.width()) // 2, 0), max((area.height() - self.help.height()) // 2, 0)
        )

    def place_enlarged(self) -> None:
        """The large chart over the pictures, the list left free."""
        area = self.pages.geometry()
        place = self._outer.mapTo(self._centre, area.topLeft())
        self.enlarged.setGeometry(QtCore.QRect(place, area.size()))

    def _left(self) -> QtWidgets.QWidget:
        tall = QtWidgets.QSplitter(QtCore.Qt.Orientation.Vertical)
        upper = _column(self.filter, (self.list, 1))
        lower = _column((self.finder, 1), self.finder_facts)
        tall.addWidget(upper)
        tall.addWidget(lower)
        self.finder.setMinimumHeight(100)  # thirty targets are to be seen beside it on 800 lines
        tall.setSizes([600, 100])
        tall.setMinimumWidth(190)
        self._tall = tall
        return tall

    def _middle(self) -> QtWidgets.QWidget:
        self.window_low, self.window_high = _box("First wavelength [nm]", 48), _box("Last wavelength [nm]", 48)
        self.aperture_name = label("aperture")
        self.aperture_name.setFixedWidth(84)  # "Aperture A": the row does not move
        names = ("E", "N", "a", "b/a", "PA")
        meanings = ("arcsec East", "arcsec North", "semi-major axis, arcsec", "axis ratio", "position angle, degrees")
        widths = (56, 56, 44, 44, 40)  # -12.34, -12.34, 9.00, 1.00, 179
        self.aperture_boxes = tuple(_box(*one) for one in zip(meanings, widths, strict=True))
        shape: list[object] = [self.aperture_name, 4]
        for name, box in zip(names, self.aperture_boxes, strict=True):
            shape += [_word(name), box]
        range_ = (_word("picture"), self.window_low, _word("–"), self.window_high, _word("nm"), 12)
        # No row is longer than the boxes of the aperture: three columns have to stand side by side on 1280 pixels.
        window = _row(*range_, (self.flags, 1))
        return _column((self.field, 1), self.bar, window, _row(*shape, None), self.found, self.readout)

    def _right(self) -> QtWidgets.QWidget:
        self.redshift, self.lines = _box("Redshift of the line markers", 66), Paragraph("facts", natural=110)
        self.velocity = _box("Expansion: lines of a supernova lie so far to the blue, km/s", 62)
        self.spectrum_readout = Paragraph("facts")
        self.spectrum_readout.setAlignment(QtCore.Qt.AlignmentFlag.AlignRight)
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
        plots = QtWidgets.QWidget()
        stack = QtWidgets.QVBoxLayout(plots)
        stack.setContentsMargins(0, 0, 0, 0)
        stack.setSpacing(0)
        stack.addWidget(self.spectrum, 1)
        stack.addWidget(self.sky)
        marks = (_word("z"), self.redshift, 2, _word("v"), self.velocity, _word("km/s"), 6, _word("L:"), self.lines)
        return _column(
            (plots, 1),
            _row(*marks, (self.spectrum_readout, 1)),
            self.warning,
            _row(*self.grades.values()),
            _row(_word("Reduced by"), self.name, self.save, 10, keys),
        )


def first_size(width: int, height: int) -> tuple[int, int]:
    """Width and height [px] of the window on a screen with so much room: what is cut off cannot be clicked."""
    return min(LARGE[0], width), min(LARGE[1], height - FRAME_HEIGHT)


def remembered_sizes(value: object, width: int, height: int) -> dict[str, list[int]]:
    """What of remembered sizes can be used on a screen with so much room [px]; what is no list of numbers cannot."""
    if not isinstance(value, dict):
        return {}
    sizes = {
        name: list(found)
        for name in ("window", *SPLITS)
        if isinstance(found := value.get(name), list)
        and len(found) == 2
        and all(isinstance(one, int) and 0 <= one < 100_000 for one in found)
    }
    if "window" in sizes:
        wide, tall = sizes["window"]
        sizes["window"] = [min(max(wide, LEAST[0]), width), min(max(tall, LEAST[1]), height - FRAME_HEIGHT)]
    return sizes


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
    """Widgets side by side; a number is a gap, None takes the room that is left, as (widget, stretch) does."""
    row = QtWidgets.QHBoxLayout()
    row.setSpacing(6)
    for item in items:
        if isinstance(item, tuple):
            row.addWidget(*item)
        elif item is None:
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
