"""The sky under the object, in a strip of its own below the spectrum, on the same wavelengths."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from sedmd.reduce.numeric.containers import Spectrum
from sedmview.colours import COLOUR_SKY
from sedmview.qt import QtWidgets

#: Height of the strip [px].
HEIGHT = 60
#: Width of the flux axis [px]: the wavelengths of spectrum and sky stand one below the other.
AXIS_WIDTH = 62


class SkyStrip(pg.PlotWidget):
    """Sky per bin against wavelength, zero to its largest value between 4000 and 9200 Angstrom."""

    def __init__(self, above: pg.PlotWidget, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(HEIGHT)
        self.hideButtons()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.setXLink(above)
        self.hideAxis("bottom")
        self.setLabel("left", "sky")
        self.getAxis("left").enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(AXIS_WIDTH)
        self.getAxis("left").setStyle(showValues=False)
        self.getViewBox().disableAutoRange()
        self._curve = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_SKY, width=1), connect="finite")
        self.addItem(self._curve, ignoreBounds=True)
        self._top = 0.0

    def show_sky(self, spectrum: Spectrum | None) -> None:
        """The sky of a spectrum, or none."""
        values = None if spectrum is None else spectrum.sky
        shown = values is not None and np.isfinite(values).any() and float(np.nanmax(values)) > 0
        self._curve.setVisible(bool(shown))
        if not shown or spectrum is None:
            return
        self._curve.setData(spectrum.wavelength, spectrum.sky)
        inner = spectrum.sky[(spectrum.wavelength > 4000) & (spectrum.wavelength < 9200)]
        inner = inner[np.isfinite(inner)]
        top = 1.08 * float((inner if len(inner) else spectrum.sky[np.isfinite(spectrum.sky)]).max())
        # an axis that is nearly right stays: each change paints the strip again
        if top > 0 and not 0.8 * self._top < top <= self._top:
            self._top = top
            self.setYRange(0.0, top, padding=0.0)
