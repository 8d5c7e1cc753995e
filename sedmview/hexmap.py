"""The field as hexagons, fast: the hexagons are painted once as numbers, then colours are looked up by number.

A change of scale costs one look-up per screen pixel, whatever the number of spaxels, and the spaxel under the pointer
is one array element.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from sedmd.reduce.containers import FloatArray, Spaxels
from sedmd.reduce.hexagon import cell_vertices
from sedmview.model import Scale
from sedmview.qt import QtCore, QtGui

#: Outside of any spaxel, and spaxels without a value.
BACKGROUND = (24, 28, 34)
NO_VALUE = (62, 68, 76)

#: For A minus B: dark at zero, kind to eyes at night; the positive target red, the negative one blue.
DIVERGING = pg.ColorMap(
    [0.0, 0.25, 0.47, 0.53, 0.75, 1.0],
    [(178, 220, 255), (38, 110, 214), (24, 32, 46), (40, 28, 30), (206, 52, 40), (255, 206, 180)],
)


def index_map(spaxels: Spaxels, reach: float, pixels: int) -> NDArray[np.int32]:
    """Number of the spaxel at each pixel of a square picture of the field, -1 where there is none.

    Parameters
    ----------
    spaxels : Spaxels
    reach : float
        The picture spans -reach to +reach arcsec in both directions.
    pixels : int
        Pixels along a side.

    Returns
    -------
    (pixels, pixels) ndarray
        Row 0 is the South edge, column 0 the West edge.
    """
    picture = QtGui.QImage(pixels, pixels, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtGui.QColor(0, 0, 0))
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    scale = pixels / (2 * reach)
    # a little fat, so that rounding leaves no gaps between neighbours
    corners = cell_vertices(spaxels) * 1.02 * scale
    centres = (np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1) + reach) * scale
    for number, centre in enumerate(centres, start=1):
        polygon = QtGui.QPolygonF([QtCore.QPointF(float(x), float(y)) for x, y in corners + centre])
        painter.setBrush(QtGui.QColor(number >> 16 & 255, number >> 8 & 255, number & 255))
        painter.drawPolygon(polygon)
    painter.end()
    buffer = picture.constBits()
    if hasattr(buffer, "setsize"):  # PyQt hands out a pointer without a length
        buffer.setsize(picture.sizeInBytes())
    numbers = np.frombuffer(bytes(buffer), dtype=np.uint32).reshape(pixels, pixels)
    return (numbers & 0xFFFFFF).astype(np.int32) - 1


class HexMap(pg.ImageItem):
    """An image item that shows one value per spaxel."""

    def __init__(self) -> None:
        super().__init__(axisOrder="row-major")
        self._spaxels: Spaxels | None = None
        self._index = np.zeros((0, 0), dtype=np.int32)
        self._values: FloatArray = np.zeros(0)
        self._scale = Scale(low=0.0, high=1.0, step=0.1)
        self._table: NDArray[np.uint8] = np.zeros((256, 3), dtype=np.uint8)
        self.reach = 15.0

    def set_field(self, spaxels: Spaxels, pixels: int) -> None:
        """Another field, or another size on the screen."""
        self._spaxels = spaxels
        edge = np.abs(cell_vertices(spaxels)).max()
        self.reach = float(np.abs([spaxels.x_arcsec, spaxels.y_arcsec]).max() + edge + 0.3)
        self._index = index_map(spaxels, self.reach, pixels)

    def set_pixels(self, pixels: int) -> None:
        """The same field for another size on the screen."""
        if self._spaxels is not None and pixels != len(self._index):
            self.set_field(self._spaxels, pixels)
            self._paint()

    def set_values(self, values: FloatArray, scale: Scale, *, colours: pg.ColorMap) -> None:
        """Values, their scale, and the colour map."""
        self._values, self._scale = np.asarray(values, dtype=float), scale
        self._table = colours.getLookupTable(nPts=256)[:, :3]
        self._paint()

    def spaxel_at(self, x: float, y: float) -> int | None:
        """Index of the spaxel at a place of the field, None where there is none."""
        size = len(self._index)
        column, row = (int(np.floor((value + self.reach) / (2 * self.reach) * size)) for value in (x, y))
        if not (0 <= row < size and 0 <= column < size):
            return None
        number = int(self._index[row, column])
        return number if number >= 0 else None

    def colour_of(self, spaxel: int) -> tuple[int, int, int]:
        """Colour a spaxel is shown in."""
        red, green, blue, _ = self._colours()[spaxel]
        return int(red), int(green), int(blue)

    def value_of(self, spaxel: int) -> float:
        return float(self._values[spaxel])

    def _colours(self) -> NDArray[np.uint8]:
        span = self._scale.high - self._scale.low
        with np.errstate(invalid="ignore"):
            level = np.clip((self._values - self._scale.low) / span * 255, 0, 255)
        known = np.isfinite(level)
        colours = np.empty((len(level) + 1, 4), dtype=np.uint8)
        colours[:-1, :3] = np.where(known[:, None], self._table[np.where(known, level, 0).astype(int)], NO_VALUE)
        colours[-1, :3] = BACKGROUND  # index -1: no spaxel
        colours[:, 3] = 255
        return colours

    def _paint(self) -> None:
        if len(self._values) == 0 or self._index.size == 0:
            return
        self.setImage(self._colours()[self._index], autoLevels=False)
        self.setRect(QtCore.QRectF(-self.reach, -self.reach, 2 * self.reach, 2 * self.reach))
