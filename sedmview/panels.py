"""The parts of the window beside field and spectrum: list of targets, phases, colour bar, help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np

from sedmview.actions import help_text
from sedmview.colours import table
from sedmview.lines import Line
from sedmview.model import Choice
from sedmview.paragraph import escape, set_tip
from sedmview.pictures import levels
from sedmview.qt import QtCore, QtGui, QtWidgets
from sedmview.targets import MARKS, Entry, TargetStatus, age

PHASES = ("Scale", "Place A", "Place B", "Grade", "Save")
_STATE_COLOURS = {
    TargetStatus.READY: "#ffffff",
    TargetStatus.PROVISIONAL: "#ffffff",
    TargetStatus.PAIR: "#ffd866",
    TargetStatus.AUTOMATIC: "#b7c4d1",
    TargetStatus.WAITING: "#7d8995",
    TargetStatus.FAILED: "#ff9d7a",
    TargetStatus.DONE: "#7fbf8e",
}


def label(name: str, *, wrap: bool = False) -> QtWidgets.QLabel:
    """A label that the style sheet knows by name, and whose text is what it says, with any signs in it."""
    made = QtWidgets.QLabel()
    made.setObjectName(name)
    made.setWordWrap(wrap)
    made.setTextFormat(QtCore.Qt.TextFormat.PlainText)
    # a long text is cut: were it to widen the window's columns, the field would slip away under the pointer
    made.setMinimumWidth(1)
    return made


class TargetList(QtWidgets.QListWidget):
    """The list; emits `chosen(product)` on a click."""

    chosen = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Targets")
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.NoFocus)
        self.setUniformItemSizes(True)
        # thirty targets are to be seen at once
        self.setStyleSheet("QListWidget { font-size: 8.5pt; } QListWidget::item { padding: 0px; border: none; }")
        self.itemClicked.connect(lambda item: self.chosen.emit(item.data(QtCore.Qt.ItemDataRole.UserRole)))
        self._shown: list[tuple[str, str, str]] = []
        self._current = ""

    def show_entries(self, entries: Sequence[Entry], current: str, now: datetime) -> None:
        """The entries again; only what differs is drawn again."""
        rows = [(entry.product, self._text(entry, now), str(entry.state)) for entry in entries]
        place = self.verticalScrollBar().value()
        if rows != self._shown:
            self._shown = rows
            self.clear()
            for entry, (product, text, _) in zip(entries, rows, strict=True):
                item = QtWidgets.QListWidgetItem(text)
                item.setData(QtCore.Qt.ItemDataRole.UserRole, product)
                item.setForeground(QtGui.QColor(_STATE_COLOURS[entry.state]))
                set_tip(item, self._told(entry))
                self.addItem(item)
        for row, (product, _, _) in enumerate(rows):
            if product == current and self.currentRow() != row:
                self.setCurrentRow(row)
        # Qt scrolls to the present one: right where it has changed, else the lines would slip away under the pointer
        if current == self._current:
            self.verticalScrollBar().setValue(place)
        self._current = current

    @staticmethod
    def _text(entry: Entry, now: datetime) -> str:
        """One line: sign, name, the grade or what is missing, how long ago, airmass; what is cut stands in the tip."""
        grade = "" if entry.quality is None else f"{entry.quality} {entry.reducer}"
        short = grade or ("A only" if entry.state is TargetStatus.PAIR else f"{entry.half} only" if entry.half else "")
        facts = [short, age(entry.start, now), f"X {entry.airmass:.2f}" if entry.airmass and not grade else ""]
        return f"{MARKS[entry.state]} {entry.product}   " + "  ".join(filter(None, facts))

    @staticmethod
    def _told(entry: Entry) -> str:
        """All that is known of an entry, for its tool tip."""
        facts = ["A−B" if entry.pair else "", f"{entry.exptime_s:.0f} s" if entry.exptime_s else ""]
        facts += [f"airmass {entry.airmass:.2f}" if entry.airmass else ""]
        told = f"{entry.product}: {entry.state}. {entry.reason}".strip()
        return "\n".join(filter(None, [told, "   ".join(filter(None, facts))]))


class PhaseBar(QtWidgets.QLabel):
    """Where the observer is on the way from scale to save."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("phases")
        self.setAccessibleName("Phase")

    def show_phase(self, phase: int, *, pair: bool) -> None:
        """Phases done, the present one, and those to come."""
        words = []
        for number, name in enumerate(PHASES):
            if number == 2 and not pair:
                continue
            name = "Place" if number == 1 and not pair else name
            if number == phase:
                words.append(f"<span style='background:#ffe08a; color:#181c22'>&nbsp;<b>{name}</b>&nbsp;</span>")
            elif number < phase:
                words.append(f"<span style='color:#7fbf8e'>✓ {name}</span>")
            else:
                words.append(f"<span style='color:#7d8995'>{name}</span>")
        self.setText(" &nbsp;▸&nbsp; ".join(words) + ("" if phase < 5 else " &nbsp; <b>saved</b>"))


class ColourBar(QtWidgets.QWidget):
    """What the colours mean; it takes no clicks."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(34)
        self._choice: Choice | None = None
        self._symmetric = False

    def show_scale(self, choice: Choice, *, symmetric: bool) -> None:
        """The scale that is in force."""
        self._choice, self._symmetric = choice, symmetric
        set_tip(self, self.words())
        self.update()

    def paintEvent(self, _: object) -> None:
        if self._choice is None:
            return
        painter = QtGui.QPainter(self)
        width, scale = max(self.width() - 2, 16), self._choice.scale
        values = np.linspace(scale.low, scale.high, width)
        place = (levels(values, scale, symmetric=self._symmetric) * 255 + 0.5).astype(int)
        row = np.ascontiguousarray(table(self._choice.colours, self._choice.inverted)[place])
        image = QtGui.QImage(row.data, width, 1, 4 * width, QtGui.QImage.Format.Format_RGB32)
        painter.drawImage(QtCore.QRect(1, 1, width, 12), image)
        painter.setPen(QtGui.QColor("#aab4bf"))
        area = QtCore.QRect(2, 14, width - 2, 20)
        flags = QtCore.Qt.AlignmentFlag
        middle = 0.5 * (scale.low + scale.high)
        words = [(flags.AlignLeft, scale.low, ""), (flags.AlignRight, scale.high, " e/Å")]
        if scale.stretch == "linear" or self._symmetric:
            words.append((flags.AlignHCenter, middle, ""))
        least = 1e-3 * (scale.high - scale.low)
        for flag, value, unit in words:
            painter.drawText(area, int(flag | flags.AlignTop), f"{0.0 if abs(value) < least else value:.3g}{unit}")
        # how the limits came about, between the figures
        left, right = width // 8 + 4, width // 2 - 18 if len(words) == 3 else width - width // 6
        font = painter.font()
        font.setPointSizeF(8.5)
        painter.setFont(font)
        room = QtCore.QRect(left, 15, right - left, 20)
        text = painter.fontMetrics().elidedText(self.words(), QtCore.Qt.TextElideMode.ElideRight, room.width())
        painter.setPen(QtGui.QColor("#8d99a5"))
        painter.drawText(room, int(flags.AlignHCenter | flags.AlignTop), text)
        painter.end()

    def words(self) -> str:
        """Rule of the limits, stretch and colours."""
        if self._choice is None:
            return ""
        scale = self._choice.scale
        return f"{scale.how}, {scale.stretch}, {self._choice.colours}{' inverted' * self._choice.inverted}"


def line_menu(
    parent: QtWidgets.QWidget, wavelength: float, lines: Sequence[tuple[Line, float]], chosen: Callable[[Line], None]
) -> QtWidgets.QMenu:
    """Which lines a feature may be, each with the redshift that it would have."""
    menu = QtWidgets.QMenu(parent)
    menu.addAction(f"{wavelength:.0f} Å is").setEnabled(False)
    for line, redshift in lines:
        entry = menu.addAction(f"{line.name} {line.wavelength:.0f}{' of the ejecta' * line.moves}\tz = {redshift:.4f}")
        entry.triggered.connect(lambda _checked=False, line=line: chosen(line))
    return menu


def help_html() -> str:
    """All keys, from the one table."""
    columns = []
    for name, rows in help_text():
        half = (len(rows) + 1) // 2 if len(rows) > 18 else len(rows)
        for number, part in enumerate((rows[:half], rows[half:])):
            if part:
                lines = "".join(
                    f"<tr><td><b>{escape(key)}</b>&nbsp;&nbsp;</td><td>{escape(title)}</td></tr>" for key, title in part
                )
                head = name if number == 0 else "&nbsp;"
                columns.append(f"<td style='padding-right:20px'><b>{head}</b><table>{lines}</table></td>")
    mouse = (
        "<p>Fine steps: Shift with letters and arrows, Ctrl with signs. &nbsp; Click: the active aperture goes there. "
        "Drag: inside moves it, its squares change size, angle and shape.<br>"
        "A is red, B blue and dashed. Dotted outlines: spaxels of the object. Ticks: sky. Line with two ends: the "
        "way of the object from blue to red. Diamonds: where the automatic search found it.<br>"
        "Wheel: zoom, with Shift over the spectrum in flux. Right button on the field, any on the spectrum: move.<br>"
        "Click on a feature of the spectrum: which line it is sets z; v: lines of a supernova lie so far blue.</p>"
    )
    return f"<table><tr>{''.join(columns)}</tr></table>{mouse}"
