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


def index_map(
    spaxels: Spaxels, reach: float, pixels: int, middle: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.int32]:
    """Number of the spaxel at each pixel of a square picture of the field; the number of spaxels where there is none.

    Parameters
    ----------
    spaxels : Spaxels
    reach : float
        The picture spans -reach to +reach arcsec about its middle in both directions.
    pixels : int
        Pixels along a side.
    middle : (x, y)
        Of the picture, arcsec.

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
    centres = (reach + np.array(middle) - np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1)) * scale
    edge = np.abs(corners).max()
    seen = np.flatnonzero(((centres > -edge) & (centres < pixels + edge)).all(axis=1))
    polygons = (corners[None] + centres[seen, None]).tolist()
    for number, polygon in zip((seen + 1).tolist(), polygons, strict=True):
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
        self._seen = ((0.0, 0.0), self.reach)

    def set_field(self, spaxels: Spaxels, pixels: int) -> None:
        """Another field."""
        self._spaxels = spaxels
        edge = np.abs(cell_vertices(spaxels)).max()
        self.reach = float(np.abs([spaxels.x_arcsec, spaxels.y_arcsec]).max() + edge + 0.3)
        self._values = np.full(len(spaxels.q), np.nan)
        self._palette = np.full(len(spaxels.q) + 1, packed(BACKGROUND), dtype=np.uint32)
        self._draw_numbers((0.0, 0.0), self.reach, pixels)

    def look_at(self, middle: tuple[float, float], reach: float, pixels: int) -> None:
        """The same field in another size on the screen, or a part of it [arcsec], sharp again."""
        reach = min(reach, self.reach)
        if reach == self.reach:
            middle = (0.0, 0.0)
        if self._spaxels is not None and ((middle, reach), pixels) != (self._seen, len(self._index)):
            self._draw_numbers(middle, reach, pixels)

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
        size, (middle, reach) = len(self._index), self._seen
        places = (reach + at - value for at, value in zip(middle, (x, y), strict=True))
        column, row = (int(np.floor(place / (2 * reach) * size)) for place in places)
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
        (x, y), reach = self._seen
        return QtCore.QRectF(x - reach, y - reach, 2 * reach, 2 * reach)

    def paint(self, painter: QtGui.QPainter, *_: object) -> None:
        if self._image is None:
            return
        # the view turns East to the left; the picture is drawn that way already
        place = painter.transform().mapRect(self.boundingRect())
        painter.save()
        painter.resetTransform()
        painter.drawImage(place, self._image)
        painter.restore()

    def _draw_numbers(self, middle: tuple[float, float], reach: float, pixels: int) -> None:
        assert self._spaxels is not None
        self.prepareGeometryChange()
        self._seen = (middle, reach)
        self._index = index_map(self._spaxels, reach, pixels, middle)
        self._buffer = np.zeros((pixels, pixels), dtype=np.uint32)
        self._image = QtGui.QImage(self._buffer.data, pixels, pixels, 4 * pixels, QtGui.QImage.Format.Format_RGB32)
        self._fill()

    def _fill(self) -> None:
        if self._index.size:
            np.take(self._palette, self._index, out=self._buffer, mode="clip")
            self.update()
