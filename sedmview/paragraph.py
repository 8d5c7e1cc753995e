"""Text in a place of fixed size: nothing around it moves when a word appears, and what has no room is in a tool tip."""

from __future__ import annotations

from sedmview.qt import QtCore, QtGui, QtWidgets

_WRAP = int(QtCore.Qt.TextFlag.TextWordWrap)


def escape(text: str) -> str:
    """Text that may stand in HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def set_tip(widget: QtWidgets.QWidget | QtWidgets.QListWidgetItem, text: str) -> None:
    """A tool tip that is what it says: a name of strangers that looks like HTML would have pictures opened."""
    if set(text) & set("<&"):
        text = f"<span>{escape(text)}</span>".replace("\n", "<br>")
    widget.setToolTip(text)


class Paragraph(QtWidgets.QLabel):
    """So many lines of text, wrapped; a longer text ends with an ellipsis, and all of it is in the tool tip.

    Parameters
    ----------
    name : str
        By which the style sheet knows it.
    lines : int
        Its height never changes.
    natural : int, optional
        Most pixels of a text that stands in a row with others: it is as wide as it needs to be up to these. By default
        it takes what is left over.
    shrinks : bool
        A text too long for one line stands in two of a smaller font, for which the style knows the property "long".
    """

    def __init__(self, name: str, lines: int = 1, *, natural: int | None = None, shrinks: bool = False) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setTextFormat(QtCore.Qt.TextFormat.PlainText)
        self.setWordWrap(lines > 1)
        self.setAlignment(QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter)
        self._lines, self._natural, self._whole, self._tip = lines, natural, "", ""
        self._shrinks = shrinks
        policy = QtWidgets.QSizePolicy.Policy
        self.setSizePolicy(policy.Ignored if natural is None else policy.Maximum, policy.Fixed)
        self.setMinimumWidth(1)

    def text(self) -> str:
        """All of it, what is not seen included."""
        return self._whole

    @property
    def seen(self) -> str:
        """What there is room for."""
        return str(super().text())

    def setText(self, text: str) -> None:
        if text != self._whole:
            self._whole = text
            self.updateGeometry()
            self._fit()

    def set_more(self, text: str) -> None:
        """What the tool tip says beside the text itself."""
        self._tip = text
        self._fit()

    def sizeHint(self) -> QtCore.QSize:
        edges = self._edges()
        metrics = self.fontMetrics()
        width = metrics.horizontalAdvance(self._whole) + edges.width() + 2 if self._natural is not None else 1
        return QtCore.QSize(min(width, self._natural or width), self._lines * metrics.lineSpacing() + edges.height())

    def hasHeightForWidth(self) -> bool:
        return False

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(1, self.sizeHint().height())

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fit()

    def _edges(self) -> QtCore.QSize:
        """What frame and padding take."""
        inside = self.contentsRect()
        return QtCore.QSize(max(self.width() - inside.width(), 0), max(self.height() - inside.height(), 0))

    def keep_height(self, more_px: int) -> None:
        """The height of a line of the usual font and so much more, for good; call it when the style is known."""
        self.setFixedHeight(self.sizeHint().height() + more_px)

    def _shrink(self, long: bool) -> None:
        if bool(self.property("long")) != long:
            self.setProperty("long", long)
            self.style().unpolish(self)
            self.style().polish(self)
        self._lines = 2 if long else 1
        self.setWordWrap(long)

    def _fit(self) -> None:
        if self._shrinks:
            self._shrink(False)
            if not self._has_room(self._whole, self.contentsRect().width(), self.fontMetrics()):
                self._shrink(True)
        room, metrics = self.contentsRect(), self.fontMetrics()
        shown = self._whole
        if not self._has_room(shown, room.width(), metrics):
            low, high = 0, len(shown)
            while low < high:  # the longest beginning that has room
                middle = (low + high + 1) // 2
                if self._has_room(shown[:middle].rstrip() + "…", room.width(), metrics):
                    low = middle
                else:
                    high = middle - 1
            shown = shown[:low].rstrip() + "…"
        if shown != self.seen:
            super().setText(shown)
        cut = self._whole if shown != self._whole else ""
        set_tip(self, "\n".join(dict.fromkeys(filter(None, (cut, self._tip)))))

    def _has_room(self, text: str, width: int, metrics: QtGui.QFontMetrics) -> bool:
        if self._lines == 1:
            return bool(metrics.horizontalAdvance(text) <= width)
        needed = metrics.boundingRect(QtCore.QRect(0, 0, max(width, 1), 10000), _WRAP, text)
        return bool(needed.height() < (self._lines + 0.5) * metrics.lineSpacing() and needed.width() <= width)
