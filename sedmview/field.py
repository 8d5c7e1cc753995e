"""The left half of the window: the picture of the field, the apertures, the compass, the pointer."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from sedmd.reduce.containers import FloatArray
from sedmview.hexmap import DIVERGING, HexMap
from sedmview.model import Aperture, Choice, Target
from sedmview.qt import QtCore, QtWidgets

COLOUR_A, COLOUR_B, COLOUR_SKY, COLOUR_INK = "#ff4d4d", "#4da3ff", "#7fe0d0", "#e8edf2"

#: Dark line under the outlines, so that they stand out on every colour of the map.
HALO = pg.mkPen("#0b0e12", width=4.5)


class FieldBox(pg.ViewBox):
    """Clicks and drags of the left button are positions on the sky; nothing else moves the picture."""

    picked = QtCore.Signal(float, float)

    def __init__(self) -> None:
        super().__init__(lockAspect=True, invertX=True, enableMenu=False, enableMouse=False, defaultPadding=0.0)

    def mouseClickEvent(self, event: object) -> None:
        self._pick(event)

    def mouseDragEvent(self, event: object, axis: object = None) -> None:
        if event.isFinish():  # type: ignore[attr-defined]
            self._pick(event)
        else:
            event.accept()  # type: ignore[attr-defined]

    def _pick(self, event: object) -> None:
        if event.button() != QtCore.Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            return
        event.accept()  # type: ignore[attr-defined]
        place = self.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        self.picked.emit(place.x(), place.y())


class FieldPlot(pg.PlotWidget):
    """Map with apertures. Emits `picked(x, y)` in arcsec East and North, and `pointed(text)` for the status line."""

    pointed = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self.box = FieldBox()
        super().__init__(parent, viewBox=self.box)
        self.picked = self.box.picked
        self.hexes = HexMap()
        self.addItem(self.hexes)
        for axis, text in (("bottom", "East offset [arcsec]"), ("left", "North offset [arcsec]")):
            self.setLabel(axis, text)
        self.hideButtons()
        self._sky = pg.ScatterPlotItem(size=2, pen=None, brush=COLOUR_SKY, pxMode=True)
        self._outlines = {
            "A": pg.PlotCurveItem(pen=pg.mkPen(COLOUR_A, width=2.5), shadowPen=HALO),
            "B": pg.PlotCurveItem(pen=pg.mkPen(COLOUR_B, width=2.5, style=QtCore.Qt.PenStyle.DashLine), shadowPen=HALO),
        }
        self._centres = {
            letter: pg.ScatterPlotItem(size=11, symbol="+", pen=pg.mkPen(colour, width=2))
            for letter, colour in (("A", COLOUR_A), ("B", COLOUR_B))
        }
        self._letters = {
            letter: pg.TextItem(letter, color=colour, anchor=(0.5, 1.0))
            for letter, colour in (("A", COLOUR_A), ("B", COLOUR_B))
        }
        self._ghost = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_INK, width=1, style=QtCore.Qt.PenStyle.DotLine))
        for item in (
            self._sky,
            self._ghost,
            *self._outlines.values(),
            *self._centres.values(),
            *self._letters.values(),
        ):
            self.addItem(item, ignoreBounds=True)
        self._compass()
        self._target: Target | None = None
        self._aperture: Aperture | None = None
        self.scene().sigMouseMoved.connect(self._moved)
        self._resized = QtCore.QTimer(self)
        self._resized.setSingleShot(True)
        self._resized.setInterval(100)
        self._resized.timeout.connect(self._rebuild)

    def show_target(self, target: Target, choice: Choice) -> None:
        """Another target, or other colours."""
        if target is not self._target:
            self._target = target
            self.hexes.set_field(target.field_cube.spaxels, self._pixels())
            reach = self.hexes.reach
            self.setRange(xRange=(-reach, reach), yRange=(-reach, reach), padding=0.0)
        colours = DIVERGING if target.pair else pg.colormap.get("viridis")
        self.hexes.set_values(target.picture(choice.window), choice.scale, colours=colours)

    def show_choice(self, choice: Choice, *, ghost: bool) -> None:
        """Apertures where they are now; the active one is drawn full, the other thinner."""
        for letter, aperture in (("A", choice.a), ("B", choice.b)):
            outline, centre, text = self._outlines[letter], self._centres[letter], self._letters[letter]
            shown = aperture is not None
            for item in (outline, centre, text):
                item.setVisible(shown)
            if aperture is None:
                continue
            pen = outline.opts["pen"]
            pen.setWidthF(2.8 if letter == choice.active else 1.4)
            outline.setPen(pen)
            x, y = aperture.outline()
            outline.setData(x, y)
            centre.setData([aperture.x_arcsec], [aperture.y_arcsec])
            text.setPos(aperture.x_arcsec, float(y.max()))
            text.setVisible(choice.b is not None)
        self._aperture = choice.aperture
        active = COLOUR_B if choice.active == "B" else COLOUR_A
        self._ghost.setPen(pg.mkPen(active, width=1.2, style=QtCore.Qt.PenStyle.DotLine))
        self._ghost.setVisible(ghost and self._ghost.isVisible())
        self._ghost_allowed = ghost

    def show_sky(self, members: np.ndarray) -> None:
        """Small dots on the spaxels that make the sky."""
        if self._target is not None:
            spaxels = self._target.field_cube.spaxels
            self._sky.setData(spaxels.x_arcsec[members], spaxels.y_arcsec[members])

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)
        if hasattr(self, "_resized"):
            self._resized.start()

    def leaveEvent(self, event: object) -> None:
        super().leaveEvent(event)
        self._ghost.hide()
        self.pointed.emit("")

    _ghost_allowed = False

    def _pixels(self) -> int:
        """Pixels of the picture, as large as it is on the screen, in steps of 64."""
        side = min(self.box.width(), self.box.height()) * self.devicePixelRatioF()
        return int(min(max(round(side / 64) * 64, 384), 1536))

    def _rebuild(self) -> None:
        self.hexes.set_pixels(self._pixels())

    def _moved(self, scene_place: object) -> None:
        if self._target is None or not self.box.sceneBoundingRect().contains(scene_place):
            self._ghost.hide()
            self.pointed.emit("")
            return
        place = self.box.mapSceneToView(scene_place)
        x, y = place.x(), place.y()
        if self._ghost_allowed and self._aperture is not None:
            self._ghost.setData(*self._aperture.at(x, y).outline())
            self._ghost.show()
        spaxel = self.hexes.spaxel_at(x, y)
        text = f"East {x:+6.2f}″   North {y:+6.2f}″"
        if spaxel is not None:
            ident = int(self._target.field_cube.spaxels.ident[spaxel])
            text += f"   spaxel {ident}   {self.hexes.value_of(spaxel):.4g} electron/Å"
        self.pointed.emit(text)

    def _compass(self) -> None:
        """North and East, held in the lower right corner of the view whatever the field."""
        pen = pg.mkPen(COLOUR_INK, width=1.5)
        self._arms = [pg.PlotCurveItem(pen=pen), pg.PlotCurveItem(pen=pen)]
        self._names = [pg.TextItem(name, color=COLOUR_INK, anchor=(0.5, 0.5)) for name in ("N", "E")]
        for item in (*self._arms, *self._names):
            self.addItem(item, ignoreBounds=True)
        self.box.sigRangeChanged.connect(self._place_compass)

    def _place_compass(self) -> None:
        (west, east), (south, north) = self.box.viewRange()
        west, east = min(west, east), max(west, east)
        size = 0.075 * (north - south)
        x, y = west + 0.035 * (east - west), south + 0.035 * (north - south)
        self._arms[0].setData(np.array([x, x]), np.array([y, y + size]))
        self._arms[1].setData(np.array([x, x + size]), np.array([y, y]))
        self._names[0].setPos(x, y + 1.3 * size)
        self._names[1].setPos(x + 1.3 * size, y)


def steps_of(wavelength: FloatArray) -> FloatArray:
    """Edges of the bins, for a curve drawn in steps."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    return np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])
