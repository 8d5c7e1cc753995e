"""The picture of the field: spaxels, apertures, what is used as object and sky, the compass, the pointer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from sedmd.observation.aperture import Extraction
from sedmd.observation.load import Observation
from sedmd.observation.suggestion import Suggestion
from sedmd.products.sky import sexagesimal_text, sky_position
from sedmd.reduce.numeric.containers import FloatArray, Spaxels
from sedmd.reduce.numeric.hexagon import cell_vertices
from sedmd.reduce.target.aperture import Ellipse
from sedmview import apertures, contours
from sedmview.apertures import ends, outline
from sedmview.colours import COLOUR_A, COLOUR_B, COLOUR_INK, COLOUR_OFFER, COLOUR_SKY
from sedmview.hexmap import HexMap
from sedmview.model import Choice
from sedmview.qt import QtCore, QtWidgets

#: Dark line under the outlines, so that they stand out on every colour of the map.
HALO = pg.mkPen("#0b0e12", width=5)
#: The same under thin lines.
THIN_HALO = pg.mkPen((11, 14, 18, 200), width=3)
HALO_OF_TICKS = pg.mkPen((11, 14, 18, 200), width=4)
#: Contours of what is negative in A minus B.
COLOUR_BELOW = "#9cc7ff"
#: How near to a handle a press must be to hold it, pixels.
GRIP_PX = 9
#: The refraction track is marked from here to there [Angstrom].
TRACK = (4000.0, 9000.0)
#: A notch of the wheel makes the picture so much larger; at most so many times the whole field.
ZOOM_STEP, MOST_ZOOM = 1.25, 12.0
#: Half the length of the tick on a sky spaxel [arcsec].
_TICK = 0.03


class _Marks(pg.ScatterPlotItem):
    """Marks that a click goes through: pyqtgraph's own would swallow the click on the very object they mark."""

    def mouseClickEvent(self, event: object) -> None:
        event.ignore()  # type: ignore[attr-defined]


class FieldBox(pg.ViewBox):
    """Clicks and drags of the left button are positions on the sky; the wheel zooms, another button moves the picture.

    Emits `zoomed(factor, x, y)` about a place of the field, `moved(dx, dy)` [arcsec].
    """

    zoomed = QtCore.Signal(float, float, float)
    moved = QtCore.Signal(float, float)
    clicked = QtCore.Signal(float, float)
    dragged = QtCore.Signal(float, float)
    dropped = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(lockAspect=True, invertX=True, enableMenu=False, enableMouse=False, defaultPadding=0.0)
        self.grab: Callable[[float, float, float], bool] = lambda x, y, reach: False
        self._holding = False

    def mouseClickEvent(self, event: object) -> None:
        if event.button() != QtCore.Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            return
        event.accept()  # type: ignore[attr-defined]
        place = self.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        self.clicked.emit(place.x(), place.y())

    def wheelEvent(self, event: object, axis: object = None) -> None:
        event.accept()  # type: ignore[attr-defined]
        place = self.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        self.zoomed.emit(ZOOM_STEP ** (event.delta() / 120), place.x(), place.y())  # type: ignore[attr-defined]

    def mouseDragEvent(self, event: object, axis: object = None) -> None:
        event.accept()  # type: ignore[attr-defined]
        if event.button() != QtCore.Qt.MouseButton.LeftButton:  # type: ignore[attr-defined]
            now, before = (self.mapSceneToView(at) for at in (event.scenePos(), event.lastScenePos()))  # type: ignore[attr-defined]
            self.moved.emit(before.x() - now.x(), before.y() - now.y())
            return
        if event.isStart():  # type: ignore[attr-defined]
            start = self.mapSceneToView(event.buttonDownScenePos())  # type: ignore[attr-defined]
            reach = GRIP_PX * self.viewPixelSize()[0]
            self._holding = self.grab(start.x(), start.y(), reach)
        place = self.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        if self._holding:
            self.dragged.emit(place.x(), place.y())
            if event.isFinish():  # type: ignore[attr-defined]
                self._holding = False
                self.dropped.emit()
        elif event.isFinish() and self.sceneBoundingRect().contains(event.scenePos()):  # type: ignore[attr-defined]
            self.clicked.emit(place.x(), place.y())


class FieldPlot(pg.PlotWidget):
    """Map with apertures.

    Emits `pointed(x, y)` in arcsec East and North while the pointer is over the field, `left()` when it goes. Clicks
    and drags are reported by `box`.
    """

    pointed = QtCore.Signal(float, float)
    left = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self.box = FieldBox()
        super().__init__(parent, viewBox=self.box)
        self.hexes = HexMap()
        self.addItem(self.hexes)
        for axis, text in (("bottom", "East offset [arcsec]"), ("left", "North offset [arcsec]")):
            self.setLabel(axis, text)
        self.getAxis("left").setWidth(46)
        self.hideButtons()
        dotted, dashed = QtCore.Qt.PenStyle.DotLine, QtCore.Qt.PenStyle.DashLine
        # a dark line under each: light colours of a map would swallow it
        under = {"connect": "pairs", "shadowPen": THIN_HALO}
        self._sky = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_SKY, width=2), connect="pairs", shadowPen=HALO_OF_TICKS)
        self._members = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_INK, width=1, style=dotted), **under)
        self._contours = {
            True: pg.PlotCurveItem(pen=pg.mkPen(COLOUR_INK, width=1), **under),
            False: pg.PlotCurveItem(pen=pg.mkPen(COLOUR_BELOW, width=1), **under),
        }
        self._track = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_INK, width=1), shadowPen=THIN_HALO)
        self._track_ends = _Marks(size=6, pen=pg.mkPen("#0b0e12"), pxMode=True)
        self._outlines = {
            "A": pg.PlotCurveItem(pen=pg.mkPen(COLOUR_A, width=2), shadowPen=HALO),
            "B": pg.PlotCurveItem(pen=pg.mkPen(COLOUR_B, width=2, style=dashed), shadowPen=HALO),
        }
        self._letters = {
            letter: pg.TextItem(letter, color=colour, anchor=(0.5, 1.0), fill=(11, 14, 18, 150))
            for letter, colour in (("A", COLOUR_A), ("B", COLOUR_B))
        }
        self._handles = _Marks(size=8, symbol="s", pen=pg.mkPen("#0b0e12"), brush=COLOUR_INK)
        self._offer_halo = _Marks(size=13, symbol="d", pen=pg.mkPen("#0b0e12", width=4), brush=None)
        self._offer = _Marks(size=13, symbol="d", pen=pg.mkPen(COLOUR_OFFER, width=1.5), brush=None)
        self._expected = _Marks(size=15, symbol="+", pen=pg.mkPen("#0b0e12"), brush=COLOUR_OFFER)
        for item in (
            *self._contours.values(),
            self._expected,
            self._sky,
            self._members,
            self._track,
            self._track_ends,
            self._offer_halo,
            self._offer,
            *self._outlines.values(),
            *self._letters.values(),
            self._handles,
        ):
            self.addItem(item, ignoreBounds=True)
        for letter in self._letters.values():
            letter.setVisible(False)
        self._compass()
        self._observation: Observation | None = None
        self._shapes: dict[str, Ellipse] = {}
        self._centres: dict[str, tuple[float, float]] = {}
        self._shown_members = np.zeros(0, dtype=int)
        self._tracked: object = None
        self._marks: dict[object, object] = {}
        self._corners: FloatArray = np.zeros((6, 2))
        self.scene().sigMouseMoved.connect(self._moved)
        self._resized = QtCore.QTimer(self)
        self._resized.setSingleShot(True)
        self._resized.setInterval(100)
        self._resized.timeout.connect(self._rebuild)
        self.box.sigResized.connect(lambda *_: self._resized.start())
        self.box.zoomed.connect(self.zoom)
        self.box.moved.connect(self._move)
        self._zoom, self._middle = 1.0, (0.0, 0.0)
        self._lattice: tuple[object, NDArray[np.intp]] | None = None

    def show_field(self, observation: Observation) -> None:
        """Another target."""
        self._observation = observation
        spaxels = observation.field_cube.spaxels
        self._corners = cell_vertices(spaxels)
        self.hexes.set_field(spaxels, self._pixels())
        self.whole_field()

    def whole_field(self) -> None:
        """All of the field again."""
        self._zoom, self._middle = 1.0, (0.0, 0.0)
        self._look()

    @property
    def zoomed(self) -> bool:
        """Only a part of the field is shown."""
        return self._zoom > 1.0

    def zoom(self, factor: float, x: float, y: float) -> None:
        """Larger (factor above 1) or smaller about a place of the field, which stays where it is on the screen."""
        zoom = min(max(self._zoom * factor, 1.0), MOST_ZOOM)
        kept = 1 - self._zoom / zoom
        self._middle = tuple(at + kept * (place - at) for at, place in zip(self._middle, (x, y), strict=True))  # type: ignore[assignment]
        self._zoom = zoom
        self._look()

    def show_contours(self, values: FloatArray | None) -> None:
        """Lines of equal light of a picture, or none."""
        if values is None or self._observation is None:
            for curve in self._contours.values():
                curve.setVisible(False)
            return
        spaxels = self._observation.field_cube.spaxels
        if self._lattice is None or self._lattice[0] is not spaxels:
            self._lattice = (spaxels, contours.triangles(spaxels))
        smooth = contours.smoothed(values, spaxels)
        levels, middle = contours.levels_of(smooth, pair=self._observation.pair), float(np.nanmedian(smooth))
        for above, curve in self._contours.items():
            found = [
                contours.segments(smooth, spaxels, self._lattice[1], level)
                for level in levels
                if (level > middle) == above
            ]
            curve.setVisible(bool(found))
            if found:
                curve.setData(*(np.concatenate([one[axis] for one in found]) for axis in (0, 1)))

    def show_picture(self, values: FloatArray, choice: Choice) -> None:
        """Other values or other colours."""
        if self._observation is not None:
            self.hexes.set_values(
                values,
                choice.scale,
                colours=choice.colours,
                inverted=choice.inverted,
                symmetric=self._observation.pair,
            )

    def show_apertures(self, choice: Choice, *, floating: bool, offered: Suggestion | None, hidden: bool) -> None:
        """Apertures where they are now; the active one is drawn stronger, with its handles unless it floats.

        Diamonds are what the pipeline would take, crosses the expected target positions.
        """
        for letter in ("A", "B"):
            shown = letter in choice.letters and not hidden
            drawn, text = self._outlines[letter], self._letters[letter]
            drawn.setVisible(shown)
            text.setVisible(shown and choice.b is not None)
            if not shown:
                continue
            ellipse = choice.of(letter)
            width = 3 if letter == choice.active and (floating or letter in choice.placed) else 2
            if drawn.opts["pen"].width() != width:
                pen = drawn.opts["pen"]
                pen.setWidth(width)
                drawn.setPen(pen)
            # a shape is drawn anew only when it is another; else it is moved
            shape = apertures.placed(ellipse, 0.0, 0.0)
            if self._shapes.get(letter) != shape:
                self._shapes[letter] = shape
                drawn.setData(*outline(shape))
            if self._centres.get(letter) != (centre := (ellipse.x_arcsec, ellipse.y_arcsec)):
                self._centres[letter] = centre
                drawn.setPos(*centre)
            text.setPos(ellipse.x_arcsec, ellipse.y_arcsec + float(outline(shape)[1].max()))
        held = floating or hidden or choice.active not in choice.placed
        handles = [] if held else ends(apertures.placed(choice.aperture, 0.0, 0.0))
        self._handles.setPos(choice.aperture.x_arcsec, choice.aperture.y_arcsec)
        offers = [one for one in (offered.a, offered.b) if one is not None] if offered is not None else []
        marks = (
            (self._handles, handles),
            (self._offer_halo, [(one.x_arcsec, one.y_arcsec) for one in offers]),
            (self._offer, [(one.x_arcsec, one.y_arcsec) for one in offers]),
            (self._expected, list(offered.expected) if offered is not None else []),
        )
        for item, places in marks:
            if self._marks.get(item) != places:
                self._marks[item] = places
                item.setData([x for x, _ in places], [y for _, y in places])

    def show_used(self, extraction: Extraction | None, choice: Choice | None, *, hidden: bool) -> None:
        """The spaxels that are used as object and as sky, and the way of the aperture with wavelength."""
        if extraction is None or choice is None or self._observation is None or hidden:
            for item in (self._sky, self._members, self._track, self._track_ends):
                item.setData([], [])
            self._tracked, self._shown_members = None, np.zeros(0, dtype=int)
            return
        spaxels = self._observation.field_cube.spaxels
        side = 1 if choice.active == "B" and choice.b is not None else 0
        # a fit takes all spaxels around
        used = [part.measured.members[part.measured.share.max(axis=0) > 0.5] for part in extraction.parts]
        members = np.unique(np.concatenate(used)) if used else np.zeros(0, dtype=int)
        if not np.array_equal(members, self._shown_members):
            self._shown_members = members
            self._members.setData(*self._edges(spaxels, members))
        sky = extraction.parts[side].measured.sky if extraction.parts else np.zeros(0, dtype=int)
        x = spaxels.x_arcsec[sky]
        self._sky.setData(np.stack([x - _TICK, x + _TICK], axis=1).ravel(), np.repeat(spaxels.y_arcsec[sky], 2))
        if self._tracked != (track := (id(self._observation), side)):
            self._tracked = track
            wavelength = self._observation.field_cube.wavelength
            seen = (wavelength >= TRACK[0]) & (wavelength <= TRACK[1])
            dx, dy = (shift[seen] for shift in self._observation.refraction[side])
            self._track.setData(dx, dy)
            if len(dx):
                self._track_ends.setData([dx[0], dx[-1]], [dy[0], dy[-1]], brush=["#5aa2ff", "#ff6b5a"])
        for item in (self._track, self._track_ends):
            item.setPos(choice.aperture.x_arcsec, choice.aperture.y_arcsec)

    def readout(self, x: float, y: float) -> str:
        """Position, spaxel and value at a place of the field."""
        text = f"E {x:+6.2f}″   N {y:+6.2f}″"
        if self._observation is None:
            return text
        if self._observation.centre_deg is not None:
            ra, dec = sexagesimal_text(*sky_position(self._observation.centre_deg, x, y))
            text = f"{ra} {dec}   {text}"
        spaxel = self.hexes.spaxel_at(x, y)
        if spaxel is not None:
            ident = int(self._observation.field_cube.spaxels.ident[spaxel])
            text += f"   spaxel {ident}   {self.hexes.value_of(spaxel):.4g} electron/Å"
        return text

    def leaveEvent(self, event: object) -> None:
        super().leaveEvent(event)
        self.left.emit()

    def _pixels(self) -> int:
        """Pixels of the picture: as large as it is on the screen, so that it is drawn pixel for pixel."""
        side = min(self.box.width(), self.box.height()) * self.devicePixelRatioF()
        return int(min(max(round(side), 384), 1600))

    def _rebuild(self) -> None:
        """The hexagons as sharp as the screen: only what is seen of them is drawn."""
        if self._zoom == 1.0:
            self.hexes.look_at((0.0, 0.0), self.hexes.reach, self._pixels())
            return
        (x0, x1), (y0, y1) = self.box.viewRange()
        side = max(self.box.width(), self.box.height()) * self.devicePixelRatioF()
        reach = 0.5 * max(abs(x1 - x0), abs(y1 - y0))
        self.hexes.look_at((0.5 * (x0 + x1), 0.5 * (y0 + y1)), reach, int(min(max(round(side), 384), 1600)))

    def _look(self) -> None:
        """The part of the field that is looked at; it never leaves the field."""
        reach = self.hexes.reach / self._zoom
        free = self.hexes.reach - reach
        self._middle = tuple(min(max(at, -free), free) for at in self._middle)  # type: ignore[assignment]
        x, y = self._middle
        self.setRange(xRange=(x - reach, x + reach), yRange=(y - reach, y + reach), padding=0.0)
        self._resized.start()

    def _move(self, dx: float, dy: float) -> None:
        if self._zoom > 1.0:
            self._middle = (self._middle[0] + dx, self._middle[1] + dy)
            self._look()

    def _edges(self, spaxels: Spaxels, members: FloatArray) -> tuple[FloatArray, FloatArray]:
        centres = np.stack([spaxels.x_arcsec[members], spaxels.y_arcsec[members]], axis=1)
        starts = centres[:, None] + self._corners[None]
        both = np.stack([starts, np.roll(starts, -1, axis=1)], axis=2).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    def _moved(self, scene_place: object) -> None:
        if self._observation is None or not self.box.sceneBoundingRect().contains(scene_place):
            self.left.emit()
            return
        place = self.box.mapSceneToView(scene_place)
        self.pointed.emit(place.x(), place.y())

    def _compass(self) -> None:
        """North and East, held in the lower right corner of the view for any field."""
        pen = pg.mkPen(COLOUR_INK, width=2)
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
