"""The spectrum that will be saved, its error and sky, for a pair its two parts; bands, lines, the picture's range."""

from __future__ import annotations

from html import escape as html_text

import numpy as np
import pyqtgraph as pg

from sedmd.data.telluric import BANDS
from sedmd.observation.aperture import Extraction
from sedmd.observation.calibrate import CALIBRATED
from sedmd.products.published import Published
from sedmd.reduce.numeric.containers import FloatArray, Spectrum
from sedmview.colours import COLOUR_A, COLOUR_B, COLOUR_INK, COLOUR_OFFER
from sedmview.qt import QtCore, QtWidgets

COLOUR_SKY_CURVE = "#c9a24a"
COLOUR_COMPARISON = "#d58fd8"
COLOUR_OTHER = "#7fb0b8"
#: Letters of a comparison's name that the legend has room for.
NAME_LETTERS = 24
_SOFT = (150, 160, 170)


class SpectrumPlot(pg.PlotWidget):
    """Flux against wavelength. Emits `window_chosen(low, high)` [Angstrom] when the band of the picture was dragged."""

    window_chosen = QtCore.Signal(float, float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.hideButtons()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.setLabel("bottom", "Wavelength in air [Å]")
        self.setLabel("left", "flux density")
        self.getAxis("left").enableAutoSIPrefix(False)
        self.getAxis("bottom").enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(62)
        self.getViewBox().disableAutoRange()
        self._limits: tuple[float, float, float, float] | None = None
        self._label, self._told = "", ""
        self._fits: tuple[float, float, str] | None = None
        self._bands: list[tuple[pg.TextItem, float, int]] = []
        for number, (name, low, high) in enumerate(BANDS):
            band = QtWidgets.QGraphicsRectItem(low, -1e5, high - low, 2e5)
            band.setPen(pg.mkPen(None))
            band.setBrush(pg.mkBrush(150, 160, 170, 26))
            band.setZValue(-20)
            self.addItem(band, ignoreBounds=True)
            text = pg.TextItem(name, color=_SOFT, anchor=(0, 1))
            self.addItem(text, ignoreBounds=True)
            self._bands.append((text, low, number % 2))
        self._window = pg.LinearRegionItem(
            (6500, 7000),
            brush=(240, 220, 120, 26),
            hoverBrush=(240, 220, 120, 48),
            pen=pg.mkPen((240, 220, 120, 120)),
            hoverPen=pg.mkPen((255, 235, 140), width=2),
        )
        self._window.setZValue(-15)
        self._window.sigRegionChangeFinished.connect(self._window_dragged)
        self.addItem(self._window, ignoreBounds=True)
        self._low, self._high = pg.PlotCurveItem(pen=None), pg.PlotCurveItem(pen=None)
        self._band = pg.FillBetweenItem(self._low, self._high, brush=(120, 170, 220, 90))
        self._sky = _curve(COLOUR_SKY_CURVE)
        self._comparison = _curve(COLOUR_COMPARISON)
        self._other = _curve(COLOUR_OTHER)
        self._pointer = _curve(COLOUR_OFFER, style=QtCore.Qt.PenStyle.DotLine)
        self._part_a = _curve(COLOUR_A)
        self._part_b = _curve(COLOUR_B)  # a dashed line of so many pieces takes Qt longer than all else together
        self._curve = _curve(COLOUR_INK, width=1)
        self._zero = pg.InfiniteLine(0.0, angle=0, pen=pg.mkPen(_SOFT, width=1))
        curves = (self._sky, self._comparison, self._other, self._part_a, self._part_b, self._pointer, self._curve)
        # the edges of the band are not drawn themselves: it needs their paths only
        for item in (self._band, self._zero, *curves):
            self.addItem(item, ignoreBounds=True)
        self._legend = pg.TextItem("", anchor=(1, 0))
        self.addItem(self._legend, ignoreBounds=True)
        self._lines: list[pg.InfiniteLine] = []

    def show_window(self, low: float, high: float) -> None:
        """Where the picture of the field looks."""
        if tuple(self._window.getRegion()) == (low, high):
            return
        self._window.blockSignals(True)
        self._window.setRegion((low, high))
        self._window.blockSignals(False)

    def show_lines(self, lines: list[tuple[str, float]]) -> None:
        """Markers of spectral lines: name and observed wavelength."""
        for line in self._lines:
            self.removeItem(line)
        self._lines = []
        for number, (name, wavelength) in enumerate(sorted(lines, key=lambda one: one[1])):
            pen = pg.mkPen("#8fd18a", width=1, style=QtCore.Qt.PenStyle.DotLine)
            options = {"position": 0.97 - 0.05 * (number % 4), "color": "#8fd18a", "anchors": [(0, 0.5), (1, 0.5)]}
            line = pg.InfiniteLine(wavelength, angle=90, pen=pen, label=name, labelOpts=options)
            line.setZValue(-5)
            self.addItem(line, ignoreBounds=True)
            self._lines.append(line)

    def show_extraction(
        self,
        extraction: Extraction | None,
        *,
        sky: bool,
        pointer: Spectrum | None = None,
        comparison: Published | None = None,
        other: Spectrum | None = None,
    ) -> None:
        """Draw a spectrum, or none.

        `pointer` is that of one spaxel, `comparison` one of somebody else's, scaled; `other` is the one that is not
        chosen of aperture and fit.
        """
        spectrum = extraction.spectrum if extraction else None
        exponent = exponent_of(spectrum) if spectrum else 0
        scale = 10.0**exponent
        parts = [part.spectrum for part in extraction.parts] if extraction and len(extraction.parts) == 2 else []
        _draw(self._part_a, parts[0] if parts else None, scale)
        _draw(self._part_b, parts[1] if parts else None, scale)
        _draw(self._curve, spectrum, scale)
        if extraction is None or spectrum is None:
            for edge in (self._low, self._high):
                edge.setData([], [])
            for curve in (self._sky, self._pointer, self._comparison, self._other):
                _draw(curve, None, scale)
            self._legend.setHtml("")
            return
        self._axes(spectrum, parts, exponent)
        bottom, top = self._limits[2:] if self._limits else (0.0, 1.0)
        flux, error = np.nan_to_num(spectrum.flux) / scale, np.nan_to_num(spectrum.error) / scale
        self._low.setData(spectrum.wavelength, flux - error)
        self._high.setData(spectrum.wavelength, flux + error)
        sky_scale = _fit(spectrum.sky, 0.3 * (top - max(bottom, 0.0)) * scale) if sky else 0.0
        _draw(self._sky, spectrum if sky_scale else None, scale / (sky_scale or 1.0), column="sky")
        pointer_scale = _fit(pointer.flux, 0.6 * (top - max(bottom, 0.0)) * scale) if pointer is not None else 0.0
        _draw(self._pointer, pointer if pointer_scale else None, scale / (pointer_scale or 1.0))
        factor = 0.0 if comparison is None else scale_to(spectrum, comparison.spectrum)
        shown = comparison.spectrum if comparison is not None and factor else None
        _draw(self._comparison, shown, scale / (factor or 1.0))
        name = "" if comparison is None else comparison.name[:NAME_LETTERS]
        _draw(self._other, other, scale)
        words = _object_words(pair=bool(parts), fitted=extraction.fitted, other=other is not None)
        self._tell(words, sky_scale, pointer_scale, (name, factor))

    def _axes(self, spectrum: Spectrum, parts: list[Spectrum], exponent: int) -> None:
        """Axes change only when they must: each change paints the whole plot again."""
        unit = "erg / s / cm² / Å" if spectrum.unit == CALIBRATED else "electron / s / Å   (no flux calibration)"
        label, scale = f"{_power(exponent)}{unit}", 10.0**exponent
        if label != self._label:
            self._label = label
            self.setLabel("left", label)
        ranges = [flux_range(one) for one in (spectrum, *parts)]
        low, high = min(low for low, _ in ranges) / scale, max(high for _, high in ranges) / scale
        first, last = float(spectrum.wavelength[0]), float(spectrum.wavelength[-1])
        old = self._limits
        if old is not None and self._fits == (first, last, label):
            room, old_room = high - low, old[3] - old[2]
            fits = low >= old[2] - 0.02 * old_room and high <= old[3] + 0.02 * old_room
            if fits and room > 0.7 * old_room:
                return
        self._limits, self._fits = (first, last, low, high), (first, last, label)
        self.setXRange(first, last, padding=0.01)
        self.setYRange(low, high, padding=0.0)
        self._legend.setPos(last, high)
        for text, start, row in self._bands:
            text.setPos(start, low + (0.005 + 0.035 * row) * (high - low))

    def _tell(
        self, words: list[tuple[str, str]], sky_scale: float, pointer_scale: float, comparison: tuple[str, float]
    ) -> None:
        if sky_scale:
            words.append((f"sky × {sky_scale:g}", COLOUR_SKY_CURVE))
        if pointer_scale:
            words.append((f"spaxel × {pointer_scale:g}", COLOUR_OFFER))
        name, factor = comparison
        if name:
            told = f"{html_text(name)} × {factor:.3g}" if factor else f"{html_text(name)}: no wavelength in common"
            words.append((told, COLOUR_COMPARISON))
        html = "&nbsp;&nbsp; ".join(f"<span style='color:{colour}'>{word}</span>" for word, colour in words)
        if html != self._told:
            self._told = html
            self._legend.setHtml(html)

    def _window_dragged(self) -> None:
        low, high = self._window.getRegion()
        self.window_chosen.emit(float(low), float(high))


def _object_words(*, pair: bool, fitted: bool, other: bool) -> list[tuple[str, str]]:
    """What the legend says of the object's curves, and the colour of each."""
    words = [("PSF and host fit ± 1σ" if fitted else "object ± 1σ", COLOUR_INK)]
    if pair:
        words = [("A", COLOUR_A), ("B", COLOUR_B), ("mean ± 1σ", COLOUR_INK)]
    return words + ([("aperture" if fitted else "PSF and host fit", COLOUR_OTHER)] if other else [])


def _curve(colour: str, *, width: int = 1, style: object = None) -> pg.PlotCurveItem:
    pen = pg.mkPen(colour, width=width) if style is None else pg.mkPen(colour, width=width, style=style)
    return pg.PlotCurveItem(pen=pen, connect="finite")


def _draw(curve: pg.PlotCurveItem, spectrum: Spectrum | None, scale: float, column: str = "flux") -> None:
    # an empty curve is asked for its outline again and again while others are painted; one that is hidden is not
    curve.setVisible(spectrum is not None)
    if spectrum is not None:
        curve.setData(spectrum.wavelength, getattr(spectrum, column) / scale)
    elif curve.xData is not None and len(curve.xData):
        curve.setData([], [])


def _fit(values: FloatArray, room: float) -> float:
    """Factor, 1, 2 or 5 times a power of ten, that brings values to a height; 0 where there is nothing to show."""
    good = values[np.isfinite(values)]
    peak = _quantile(good, 0.97) if len(good) else 0.0
    if not peak > 0 or not room > 0:
        return 0.0
    wanted = room / peak
    decade = 10.0 ** np.floor(np.log10(wanted))
    return float(decade * max(step for step in (1, 2, 5) if step * decade <= wanted * (1 + 1e-9)))


def scale_to(spectrum: Spectrum, other: Spectrum) -> float:
    """Factor that brings another spectrum to the level of this one where both are; 0 where they have nothing in common.

    The ratio of the medians: a line in one of them, or noise about zero, does not count.
    """
    low = max(spectrum.wavelength[0], other.wavelength[0], 4000.0)
    high = min(spectrum.wavelength[-1], other.wavelength[-1], 9000.0)
    levels = []
    for one in (spectrum, other):
        inner = (one.wavelength >= low) & (one.wavelength <= high) & np.isfinite(one.flux)
        levels.append(float(np.median(one.flux[inner])) if inner.sum() >= 5 else 0.0)
    return levels[0] / levels[1] if levels[0] > 0 and levels[1] > 0 else 0.0


def _quantile(values: FloatArray, part: float) -> float:
    """The value nearest to a quantile: a tenth of the time of np.percentile, and good enough for an axis."""
    return float(np.sort(values)[round(part * (len(values) - 1))])


def exponent_of(spectrum: Spectrum) -> int:
    """Power of ten that brings the flux to the order of 1; 0 where it is already near it."""
    good = np.abs(spectrum.flux[np.isfinite(spectrum.flux)])
    level = _quantile(good, 0.9) if len(good) else 0.0
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
    low, high = min(0.0, _quantile(flux, 0.01)), max(0.0, _quantile(flux, 0.995))
    room = max(high - low, 1e-30)
    return low - 0.06 * room, high + 0.15 * room


def signal_to_noise(spectrum: Spectrum) -> float:
    """Median signal to noise of a bin between 5000 and 8000 Angstrom; NaN without data."""
    inner = (spectrum.wavelength > 5000) & (spectrum.wavelength < 8000)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = spectrum.flux[inner] / spectrum.error[inner]
    ratio = ratio[np.isfinite(ratio)]
    return float(np.median(ratio)) if len(ratio) else float("nan")
