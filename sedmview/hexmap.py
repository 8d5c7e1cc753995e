"""The field as hexagons, fast: the hexagons are painted once as numbers, then colours are looked up by number.

A change of scale costs one look-up per screen pixel, for any number of spaxels, and the spaxel under the pointer
is one array element.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from sedmd.reduce.numeric.containers import FloatArray, Spaxels
from sedmd.reduce.numeric.hexagon import cell_vertices
from sedmview.colours import BACKGROUND, NO_VALUE, packed, table
from sedmview.pictures import ColourScale, levels
from sedmview.qt import QtCore, QtGui


def index_map(spaxels: Spaxels, reach: float, pixels: int) -> NDArray[np.int32]:
    """Number of the spaxel at each pixel of a square picture of the field; the number of spaxels where there is none.

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
        As on a chart: row 0 is the North edge, column 0 the East edge.
    """
    picture = QtGui.QImage(pixels, pixels, QtGui.QImage.Format.Format_RGB32)
    picture.fill(QtGui.QColor(0, 0, 0))
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing, False)
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    scale = pixels / (2 * reach)
    # a little fat, so that rounding leaves no gaps between neighbours
    corners = cell_vertices(spaxels) * 1.02 * -scale
    centres = (reach - np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1)) * scale
    polygons = (corners[None] + centres[:, None]).tolist()
    for number, polygon in enumerate(polygons, start=1):
        painter.setBrush(QtGui.QColor(number >> 16 & 255, number >> 8 & 255, number & 255))
        painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(x, y) for x, y in polygon]))
    painter.end()
    buffer = picture.constBits()
    if hasattr(buffer, "setsize"):  # PyQt hands out a pointer without a length
        buffer.setsize(picture.sizeInBytes())
    numbers = np.frombuffer(bytes(buffer), dtype=np.uint32).reshape(pixels, pixels) & 0xFFFFFF
    return np.where(numbers == 0, len(spaxels.q), numbers.astype(np.int32) - 1).astype(np.int32)


class HexMap(pg.GraphicsObject):
    """An item that shows one value per spaxel, pixel for pixel as large as it is on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self._spaxels: Spaxels | None = None
        self._index = np.zeros((0, 0), dtype=np.int32)
        self._values: FloatArray = np.zeros(0)
        self._palette: NDArray[np.uint32] = np.zeros(1, dtype=np.uint32)
        self._buffer: NDArray[np.uint32] = np.zeros((0, 0), dtype=np.uint32)
        self._image: QtGui.QImage | None = None
        self.reach = 15.0

    def set_field(self, spaxels: Spaxels, pixels: int) -> None:
        """Another field, or another size on the screen."""
        self.prepareGeometryChange()
        self._spaxels = spaxels
        edge = np.abs(cell_vertices(spaxels)).max()
        self.reach = float(np.abs([spaxels.x_arcsec, spaxels.y_arcsec]).max() + edge + 0.3)
        self._index = index_map(spaxels, self.reach, pixels)
        self._buffer = np.zeros((pixels, pixels), dtype=np.uint32)
        self._image = QtGui.QImage(self._buffer.data, pixels, pixels, 4 * pixels, QtGui.QImage.Format.Format_RGB32)
        self._values = np.full(len(spaxels.q), np.nan)
        self._palette = np.full(len(spaxels.q) + 1, packed(BACKGROUND), dtype=np.uint32)
        self._fill()

    def set_pixels(self, pixels: int) -> None:
        """The same field for another size on the screen."""
        if self._spaxels is not None and pixels != len(self._index):
            values, palette = self._values, self._palette
            self.set_field(self._spaxels, pixels)
            self._values, self._palette = values, palette
            self._fill()

    def set_values(
        self, values: FloatArray, scale: ColourScale, *, colours: str, inverted: bool, symmetric: bool
    ) -> None:
        """Values, their scale, and the colour map."""
        self._values = np.asarray(values, dtype=float)
        level = levels(self._values, scale, symmetric=symmetric)
        known = np.isfinite(level)
        chosen = table(colours, inverted)[(np.where(known, level, 0.0) * 255 + 0.5).astype(np.intp)]
        self._palette = np.empty(len(level) + 1, dtype=np.uint32)
        self._palette[:-1] = np.where(known, chosen, np.uint32(packed(NO_VALUE)))
        self._palette[-1] = packed(BACKGROUND)
        self._fill()

    def spaxel_at(self, x: float, y: float) -> int | None:
        """Index of the spaxel at a place of the field, None where there is none."""
        size = len(self._index)
        column, row = (int(np.floor((self.reach - value) / (2 * self.reach) * size)) for value in (x, y))
        if self._spaxels is None or not (0 <= row < size and 0 <= column < size):
            return None
        number = int(self._index[row, column])
        return number if number < len(self._spaxels.q) else None

    def colour_of(self, spaxel: int) -> tuple[int, int, int]:
        """Colour a spaxel is shown in."""
        colour = int(self._palette[spaxel])
        return colour >> 16 & 255, colour >> 8 & 255, colour & 255

    def value_of(self, spaxel: int) -> float:
        """Value of a spaxel in the picture."""
        return float(self._values[spaxel])

    def boundingRect(self) -> QtCore.QRectF:
        return QtCore.QRectF(-self.reach, -self.reach, 2 * self.reach, 2 * self.reach)

    def paint(self, painter: QtGui.QPainter, *_: object) -> None:
        if self._image is None:
            return
        # the view turns East to the left; the picture is drawn that way already
        place = painter.transform().mapRect(self.boundingRect())
        painter.save()
        painter.resetTransform()
        painter.drawImage(place, self._image)
        painter.restore()

    def _fill(self) -> None:
        if self._index.size:
            np.take(self._palette, self._index, out=self._buffer, mode="clip")
            self.update()
