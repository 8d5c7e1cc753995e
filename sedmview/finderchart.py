"""The finder chart: as it is, or where its scale is known with North up and with field and apertures on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sedmd.reduce.target.aperture import Ellipse
from sedmview.apertures import outline
from sedmview.colours import COLOUR_A, COLOUR_B, COLOUR_INK
from sedmview.finder import ChartScale, Finder
from sedmview.paragraph import set_tip
from sedmview.qt import QtCore, QtGui, QtWidgets

#: So far about the target a chart of known scale is shown [arcsec]: four times the field.
HALF_WIDTH = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnChart:
    """What is drawn on a chart: the field's edge and apertures by letter, arcsec from the middle of the field.

    `middle_deg` is the RA and Dec of that middle.
    """

    edge: tuple[tuple[float, float], ...]
    apertures: Sequence[tuple[str, Ellipse]]
    middle_deg: tuple[float, float]


class FinderChart(QtWidgets.QLabel):
    """A chart; emits `clicked` when it is to be larger or small again."""

    clicked = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("finder")
        self.setAccessibleName("Finder chart")
        self.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMinimumSize(120, 120)
        policy = QtWidgets.QSizePolicy.Policy.Ignored
        self.setSizePolicy(policy, policy)
        self._picture: QtGui.QPixmap | None = None
        self._scale: ChartScale | None = None
        self._over: OnChart | None = None

    def show_finder(self, finder: Finder | None, image: QtGui.QImage | None, warning: str = "") -> None:
        """A chart, or in its place words: that there is none, or what is wrong with it."""
        if finder is None or image is None or image.isNull():
            self._picture = self._scale = None
            self.setText(f"no finder chart: {warning}" if warning else "no finder chart")
            set_tip(self, warning)
            return
        self._picture = QtGui.QPixmap.fromImage(image)
        self._scale = None if finder.scale is None else finder.scale.shrunk(image.width())
        set_tip(self, finder.path.name)
        self._fit()

    def show_over(self, over: OnChart | None) -> None:
        """Field and apertures, where they are now."""
        if over != self._over:
            self._over = over
            if self._scale is not None:
                self._fit()

    @property
    def shows_picture(self) -> bool:
        """There is a chart."""
        return self._picture is not None

    @property
    def has_scale(self) -> bool:
        """It is known where on the sky its pixels are."""
        return self._scale is not None

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        self._fit()

    def mousePressEvent(self, event: object) -> None:
        event.accept()  # type: ignore[attr-defined]
        self.clicked.emit()

    def place_of(self, east: float, north: float) -> tuple[float, float]:
        """Where a place [arcsec] from the chart's own position is in this widget, where the scale is known."""
        per_arcsec = min(self.width(), self.height()) / (2 * HALF_WIDTH)
        return self.width() / 2 - east * per_arcsec, self.height() / 2 - north * per_arcsec

    def _fit(self) -> None:
        if self._picture is None or self.width() < 2 or self.height() < 2:
            return
        if self._scale is None:
            keep, smooth = QtCore.Qt.AspectRatioMode.KeepAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
            self.setPixmap(self._picture.scaled(self.size(), keep, smooth))
            return
        drawn = QtGui.QPixmap(self.size())
        drawn.fill(QtGui.QColor("#0b0e12"))
        painter = QtGui.QPainter(drawn)
        painter.setRenderHint(QtGui.QPainter.RenderHint.SmoothPixmapTransform)
        # where three corners of a square on the sky are in the picture, and where they are here
        corners = [(0.0, 0.0), (10.0, 0.0), (0.0, 10.0)]
        source = np.array([[*self._scale.pixel_of(*one), 1.0] for one in corners])
        target = np.array([self.place_of(*one) for one in corners])
        turn = np.linalg.solve(source, target)
        painter.setTransform(QtGui.QTransform(*turn[0], *turn[1], *turn[2]))
        painter.drawPixmap(0, 0, self._picture)
        painter.resetTransform()
        self._draw_over(painter)
        painter.end()
        self.setPixmap(drawn)

    def _draw_over(self, painter: QtGui.QPainter) -> None:
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        if self._over is not None and self._scale is not None:
            over, solid = self._over, QtCore.Qt.PenStyle.SolidLine
            shapes = [(np.asarray(over.edge), COLOUR_INK, solid)]
            for letter, ellipse in over.apertures:
                curve = np.stack(outline(ellipse), axis=1)
                style = QtCore.Qt.PenStyle.DashLine if letter == "B" else solid
                shapes.append((curve, COLOUR_B if letter == "B" else COLOUR_A, style))
            for points, colour, style in shapes:
                places = [self.place_of(*self._scale.apart(over.middle_deg, *point)) for point in points.tolist()]
                polygon = QtGui.QPolygonF([QtCore.QPointF(x, y) for x, y in places])
                for pen in (QtGui.QPen(QtGui.QColor("#0b0e12"), 3), QtGui.QPen(QtGui.QColor(colour), 1.4, style)):
                    painter.setPen(pen)
                    painter.drawPolygon(polygon)
        painter.setPen(QtGui.QPen(QtGui.QColor(COLOUR_INK), 1.5))
        x, y = self.width() - 12, self.height() - 12
        painter.drawLine(x, y, x, y - 22)
        painter.drawLine(x, y, x - 22, y)
        painter.drawText(x - 4, y - 26, "N")
        painter.drawText(x - 34, y + 5, "E")


def finder_words(finder: Finder | None) -> str:
    """What is to be said under a chart."""
    if finder is None:
        return ""
    if finder.picture is not None:
        return "drawn from an image of the field"
    if finder.apart_s is None:
        return finder.path.name
    late = "   NOT of this exposure?" if finder.apart_s > 1800 else ""
    return f"finder {finder.apart_s / 60:.0f} min apart{late}"
