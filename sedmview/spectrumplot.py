"""The spectrum that will be saved, its error, and for a pair its two parts."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg

from sedmd.data.telluric import BANDS
from sedmd.reduce.containers import FloatArray, Spectrum
from sedmview.field import COLOUR_A, COLOUR_B, COLOUR_INK
from sedmview.model import WINDOWS, Extraction
from sedmview.qt import QtCore, QtWidgets


class SpectrumPlot(pg.PlotWidget):
    """Flux against wavelength; the picture's range of wavelength is marked."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.hideButtons()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.setLabel("bottom", "Wavelength in air [Å]")
        self.setLabel("left", "flux density")
        self.getAxis("left").enableAutoSIPrefix(False)
        self.showGrid(x=True, y=True, alpha=0.12)
        for row, (name, low, high) in enumerate(BANDS):
            band = pg.LinearRegionItem((low, high), movable=False, brush=(150, 160, 170, 26), pen=pg.mkPen(None))
            band.setZValue(-20)
            self.addItem(band, ignoreBounds=True)
            pg.InfLineLabel(
                band.lines[0],
                name,
                movable=False,
                position=0.97 - 0.035 * (row % 2),
                color=(150, 160, 170),
                anchors=[(0, 0), (0, 0)],
            )
        self._window = pg.LinearRegionItem((6500, 7000), movable=False, brush=(240, 220, 120, 22), pen=pg.mkPen(None))
        self._window.setZValue(-15)
        self.addItem(self._window, ignoreBounds=True)
        self._low, self._high = pg.PlotCurveItem(pen=None), pg.PlotCurveItem(pen=None)
        self._band = pg.FillBetweenItem(self._low, self._high, brush=(120, 170, 220, 90))
        self._part_a = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_A, width=1), connect="finite")
        self._part_b = pg.PlotCurveItem(
            pen=pg.mkPen(COLOUR_B, width=1, style=QtCore.Qt.PenStyle.DashLine), connect="finite"
        )
        self._curve = pg.PlotCurveItem(pen=pg.mkPen(COLOUR_INK, width=1.6), connect="finite")
        self._zero = pg.InfiniteLine(0.0, angle=0, pen=pg.mkPen((150, 160, 170), width=1))
        for item in (self._low, self._high, self._band, self._zero, self._part_a, self._part_b, self._curve):
            self.addItem(item, ignoreBounds=True)

    def show_window(self, window: int) -> None:
        _, low, high = WINDOWS[window]
        self._window.setRegion((low, high))

    def show_extraction(self, extraction: Extraction | None) -> None:
        """Draw a spectrum, or none."""
        exponent = exponent_of(extraction.spectrum) if extraction else 0
        scale = 10.0**exponent
        for curve, spectrum in (
            (self._part_a, extraction.part_a if extraction else None),
            (self._part_b, extraction.part_b if extraction else None),
            (self._curve, extraction.spectrum if extraction else None),
        ):
            if spectrum is None:
                curve.setData([], [])
            else:
                curve.setData(spectrum.wavelength, spectrum.flux / scale)
        spectrum = extraction.spectrum if extraction else None
        if spectrum is None:
            self._low.setData([], [])
            self._high.setData([], [])
            return
        calibrated = spectrum.unit != "electron / (s Angstrom)"
        unit = "erg / s / cm² / Å" if calibrated else "electron / s / Å   (no flux calibration)"
        self.setLabel("left", f"{_power(exponent)}{unit}")
        flux, error = np.nan_to_num(spectrum.flux) / scale, np.nan_to_num(spectrum.error) / scale
        self._low.setData(spectrum.wavelength, flux - error)
        self._high.setData(spectrum.wavelength, flux + error)
        self.setXRange(spectrum.wavelength[0], spectrum.wavelength[-1], padding=0.01)
        low, high = flux_range(spectrum)
        self.setYRange(low / scale, high / scale, padding=0.0)


def exponent_of(spectrum: Spectrum) -> int:
    """Power of ten that brings the flux to the order of 1; 0 where it is already near it."""
    good = np.abs(spectrum.flux[np.isfinite(spectrum.flux)])
    level = float(np.percentile(good, 90)) if len(good) else 0.0
    return int(np.floor(np.log10(level))) if level > 0 and not 0.01 <= level < 1e4 else 0


def _power(exponent: int) -> str:
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised} " if exponent else ""


def flux_range(spectrum: Spectrum) -> tuple[float, float]:
    """Limits of the flux axis from what lies between 4000 and 9000 Angstrom; zero is always in."""
    inner = (spectrum.wavelength > 4000) & (spectrum.wavelength < 9000) & np.isfinite(spectrum.flux)
    flux: FloatArray = spectrum.flux[inner] if inner.any() else spectrum.flux[np.isfinite(spectrum.flux)]
    if len(flux) == 0:
        return -1.0, 1.0
    low, high = min(0.0, float(np.percentile(flux, 1))), max(0.0, float(np.percentile(flux, 99.5)))
    room = max(high - low, 1e-30)
    return low - 0.06 * room, high + 0.12 * room


def signal_to_noise(spectrum: Spectrum) -> float:
    """Median signal to noise of a bin between 5000 and 8000 Angstrom; NaN without data."""
    inner = (spectrum.wavelength > 5000) & (spectrum.wavelength < 8000)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = spectrum.flux[inner] / spectrum.error[inner]
    ratio = ratio[np.isfinite(ratio)]
    return float(np.median(ratio)) if len(ratio) else float("nan")
