"""What is drawn on the field before anybody has put an aperture there: where the target is expected, other objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyqtgraph as pg

from sedmd.reduce.target.place import Place
from sedmview.colours import COLOUR_INK, COLOUR_OFFER
from sedmview.field import FieldPlot
from sedmview.qt import QtCore

#: Points of a circle.
_POINTS = 73


class FieldMarks:
    """Cross and circle where the target is expected, numbers on other objects; clicks go through all of them.

    Parameters
    ----------
    field : FieldPlot
        On which they are drawn.
    """

    def __init__(self, field: FieldPlot) -> None:
        self._field = field
        dashed = pg.mkPen(COLOUR_OFFER, width=1, style=QtCore.Qt.PenStyle.DashLine)
        self._error = pg.PlotCurveItem(pen=dashed, connect="finite")
        self._cross = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_OFFER, width=2), connect="pairs")
        self._numbers: list[pg.TextItem] = []
        self.shown: tuple[object, ...] = ()
        for item in (self._error, self._cross):
            field.addItem(item, ignoreBounds=True)

    def show_marks(self, expected: Sequence[Place], others: Sequence[tuple[float, float]]) -> None:
        """The marks of a target.

        Parameters
        ----------
        expected : sequence of Place
            Where it is expected; the circle is the error, 1 sigma in each axis.
        others : sequence of (x, y)
            Further objects, arcsec, in the order of their numbers.
        """
        wanted = (tuple(expected), tuple(others))
        if wanted == self.shown:
            return
        self.shown = wanted
        phase = np.linspace(0, 2 * np.pi, _POINTS)
        rings = [
            np.array(
                [
                    place.x_arcsec + place.spread_arcsec * np.sin(phase),
                    place.y_arcsec + place.spread_arcsec * np.cos(phase),
                ]
            )
            for place in expected
        ]
        gap = np.full((2, 1), np.nan)
        ring = np.concatenate([part for one in rings for part in (one, gap)], axis=1) if rings else np.zeros((2, 0))
        self._error.setData(*ring)
        arm = 0.4
        ends = [
            (place.x_arcsec + dx, place.y_arcsec + dy)
            for place in expected
            for dx, dy in ((-arm, 0.0), (arm, 0.0), (0.0, -arm), (0.0, arm))
        ]
        self._cross.setData([x for x, _ in ends], [y for _, y in ends])
        for item in self._numbers:
            self._field.removeItem(item)
        self._numbers = []
        for number, (x, y) in enumerate(others, start=1):
            item = pg.TextItem(str(number), color=COLOUR_INK, anchor=(0.5, 0.5), fill=(11, 14, 18, 150))
            item.setPos(x, y)
            self._field.addItem(item, ignoreBounds=True)
            self._numbers.append(item)
