"""The finder chart beside the list: read away from the window, drawn small and large, with field and apertures."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sedmd.host.foreign_file import plain, sentence
from sedmd.host.foreign_picture import picture_bytes, pixels_apart
from sedmview.finder import Finder, edge_of
from sedmview.finderchart import OnChart, finder_words
from sedmview.layout import Layout
from sedmview.presenter import Presenter
from sedmview.qt import QtCore, QtGui
from sedmview.targets import Entry

log = logging.getLogger(__name__)

#: Longest edge of a finder chart in the window [pixel]; a chart has some 900.
FINDER_EDGE = 1600
#: The chart follows an aperture when it has come to rest [ms]: a chart is turned and painted whole.
REST_MS = 250


class FinderSide(QtCore.QObject):
    """What shows the chart of the open target.

    Parameters
    ----------
    presenter : Presenter
    parts : Layout
    find_finder : callable
        The chart of a target; called away from the window.
    """

    def __init__(self, presenter: Presenter, parts: Layout, find_finder: Callable[[Entry], Finder | None]) -> None:
        super().__init__()
        self._presenter, self._parts, self._find_finder = presenter, parts, find_finder
        self._rest = QtCore.QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self.draw)
        self._edge: tuple[object, tuple[tuple[float, float], ...]] | None = None
        for chart in (parts.finder, parts.enlarged):
            chart.clicked.connect(presenter.drawing.toggle_finder)

    def read(self, entry: Entry) -> None:
        """Look for the chart of a target and show it."""
        self._presenter.desk.jobs.submit(
            "finder",
            lambda: self._read(entry),
            lambda got: self._show(entry, *got),
            lambda error: self._show(entry, None, None, plain(f"{type(error).__name__}: {error}")),
        )

    def draw_soon(self) -> None:
        """Apertures may have moved."""
        if self._parts.finder.has_scale:
            self._rest.start()

    def draw(self) -> None:
        """Field and apertures on the chart; large, if that is wanted."""
        state, parts = self._presenter.state, self._parts
        observation, choice, over = state.observation, state.choice, None
        if observation is not None and choice is not None and observation.centre_deg is not None:
            spaxels = observation.field_cube.spaxels
            if self._edge is None or self._edge[0] is not spaxels:
                self._edge = (spaxels, tuple((float(x), float(y)) for x, y in edge_of(spaxels)))
            apertures = tuple(zip(choice.letters, choice.apertures, strict=True))
            over = OnChart(edge=self._edge[1], apertures=apertures, middle_deg=observation.centre_deg)
        for chart in (parts.finder, parts.enlarged):
            chart.show_over(over)
        large = state.drawn.finder_large and parts.enlarged.shows_picture
        parts.enlarged.setVisible(large)
        if large:
            parts.place_enlarged()
            parts.enlarged.raise_()

    def _read(self, entry: Entry) -> tuple[Finder | None, QtGui.QImage | None, str]:
        """The chart of a target, its picture, and why there is none."""
        finder = self._find_finder(entry)
        if finder is None:
            return None, None, ""
        if finder.picture is not None:
            size = len(finder.picture)
            grey = QtGui.QImage(finder.picture.tobytes(), size, size, size, QtGui.QImage.Format.Format_Grayscale8)
            return finder, grey.copy(), ""
        try:
            # none of Qt's readers sees the file: they take any format that somebody installed
            width, height, rows = pixels_apart(picture_bytes(finder.path), edge=FINDER_EDGE)
        except Exception as error:
            # the border: whatever is in a stranger's picture costs that picture only
            return finder, None, plain(sentence(finder.path, error))
        return finder, QtGui.QImage(rows, width, height, 3 * width, QtGui.QImage.Format.Format_RGB888).copy(), ""

    def _show(self, entry: Entry, finder: Finder | None, image: QtGui.QImage | None, warning: str) -> None:
        state, parts = self._presenter.state, self._parts
        if warning:
            log.warning("finder chart of %s: %s", entry.product, warning)
        if state.entry is not None and state.entry.product == entry.product:
            for chart in (parts.finder, parts.enlarged):
                chart.show_finder(finder, image, warning)
            parts.finder_facts.setText(finder_words(finder))
            self.draw()
