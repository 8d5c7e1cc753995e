"""Marks of spectral lines over a spectrum: a dotted line for each, and names that do not cover one another."""

from __future__ import annotations

from collections.abc import Sequence

import pyqtgraph as pg

from sedmview.lines import label_rows
from sedmview.qt import QtCore, QtGui

COLOUR_LINES = "#8fd18a"
#: Rows for the names, how high each is and where the first begins below the top [px].
ROWS, ROW_PX, TOP_PX = 5, 18, 22
#: Between two names [px].
GAP_PX = 6


class LineMarks:
    """The marks on one plot; call `arrange` when the view of it has changed."""

    def __init__(self, plot: pg.PlotWidget) -> None:
        self._plot = plot
        self.lines: list[pg.InfiniteLine] = []
        self.names: list[pg.TextItem] = []
        self._places: list[float] = []

    def show(self, lines: Sequence[tuple[str, float]]) -> None:
        """Other lines: name and observed wavelength of each."""
        for item in (*self.lines, *self.names):
            self._plot.removeItem(item)
        ordered = sorted(lines, key=lambda one: one[1])
        pen = pg.mkPen(COLOUR_LINES, width=1, style=QtCore.Qt.PenStyle.DotLine)
        self.lines = [pg.InfiniteLine(wavelength, angle=90, pen=pen) for _, wavelength in ordered]
        self.names = [pg.TextItem(name, color=COLOUR_LINES, anchor=(0, 0)) for name, _ in ordered]
        self._places = [wavelength for _, wavelength in ordered]
        for line in self.lines:
            line.setZValue(-5)
        for item in (*self.lines, *self.names):
            self._plot.addItem(item, ignoreBounds=True)
        self.arrange()

    def arrange(self) -> None:
        """Names where there is room for them; a line whose name has none keeps its place."""
        if not self.names:
            return
        box = self._plot.getViewBox()
        (low, high), (_, top) = box.viewRange()
        per_px, flux_per_px = box.viewPixelSize()
        metrics = QtGui.QFontMetricsF(self.names[0].textItem.font())
        within = [number for number, place in enumerate(self._places) if low <= place <= high]
        widths = [metrics.horizontalAdvance(self.names[number].toPlainText()) + 8 + GAP_PX for number in within]
        # a name near the right end stands to the left of its line: it is never cut
        places = [(self._places[number] - low) / per_px for number in within]
        room = (high - low) / per_px
        ends = [min(place, room - width) for place, width in zip(places, widths, strict=True)]
        order = sorted(range(len(within)), key=lambda one: ends[one])
        rows = label_rows([ends[one] for one in order], [widths[one] for one in order], ROWS)
        for name in self.names:
            name.setVisible(False)
        for one, row in zip(order, rows, strict=True):
            name = self.names[within[one]]
            name.setVisible(row is not None)
            if row is not None:
                name.setPos(low + ends[one] * per_px, top - (TOP_PX + row * ROW_PX) * flux_per_px)
