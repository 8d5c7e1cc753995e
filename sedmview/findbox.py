"""Where part of a name is typed to find a target in the list."""

from __future__ import annotations

from collections.abc import Callable

from sedmview.qt import QtCore, QtWidgets


class FindBox(QtWidgets.QLineEdit):
    """Above the list: what is typed leaves the targets that have it in their name.

    Parameters
    ----------
    beside : QWidget
        The list, above which it is put.
    find : callable
        Told what is typed.
    """

    def __init__(self, beside: QtWidgets.QWidget, find: Callable[[str], None]) -> None:
        super().__init__()
        self.setPlaceholderText("find   /")
        self.setAccessibleName("Part of a target's name to find")
        self.setStyleSheet("padding: 0px; font-size: 9pt;")
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.ClickFocus)
        column = beside.parentWidget().layout()
        column.insertWidget(column.indexOf(beside), self)
        self.textEdited.connect(find)
        self.textChanged.connect(lambda text: None if text else find(""))

    def show_wanted(self, text: str) -> None:
        """What is looked for, unless somebody is typing."""
        if not self.hasFocus() and self.text() != text:
            self.setText(text)
