"""The spectrum that will be saved and its error, for a pair its two parts; bands, lines, the picture's range."""

from __future__ import annotations

from html import escape as html_text

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

from sedmd.data.telluric import BANDS
from sedmd.observation.aperture import Extraction
from sedmd.observation.calibrate import CALIBRATED
from sedmd.products.published import Published
from sedmd.reduce.numeric.containers import FloatArray, Spectrum
from sedmview.beside import BesideCurve
from sedmview.colours import COLOUR_A, COLOUR_B, COLOUR_COMPARISON, COLOUR_INK, COLOUR_OFFER, COLOUR_OTHER, COLOUR_OVER
from sedmview.linemarks import LineMarks
from sedmview.qt import QtCore, QtWidgets
from sedmview.skystrip import AXIS_WIDTH
from sedmview.spectra import smoothed

#: Bins drawn and bins left out, again and again: Qt takes longer for a dashed pen on a curve of so many pieces than for
#: all else together.
SOLID, DASHES, DOTS, LONG_DASHES, SHORT_DASHES = (1, 0), (5, 3), (1, 1), (12, 3), (2, 2)
#: How each curve is drawn, so that none is told by its colour alone.
DASHED = {"A": SOLID, "B": DASHES, "object": SOLID, "other": DOTS, "comparison": LONG_DASHES, "over": SHORT_DASHES}
_SIGNS = {SOLID: "━", DASHES: "╍", DOTS: "┉", LONG_DASHES: "╾", SHORT_DASHES: "┅"}
#: A notch of the wheel makes the range so much narrower.
ZOOM_STEP = 1.25
#: The narrowest range [Angstrom], and so much of the flux axis as of the usual one.
LEAST_RANGE, LEAST_FLUX = 60.0, 0.01
#: Letters of a comparison's name that the legend has room for.
NAME_LETTERS = 24
_SOFT = (150, 160, 170)


class SpectrumBox(pg.ViewBox):
    """The wheel zooms in wavelength, with Shift or Ctrl in flux; a drag moves the picture; a click asks for a line.

    Emits `asked(x)` with a wavelength, `changed()` after the observer changed the ranges.
    """

    asked = QtCore.Signal(float)
    changed = QtCore.Signal()

    def __init__(self) -> None:
        super().__init__(enableMenu=False, enableMouse=False)

    def wheelEvent(self, event: object, axis: int | None = None) -> None:
        event.accept()  # type: ignore[attr-defined]
        place = self.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        factor = ZOOM_STEP ** (-event.delta() / 120)  # type: ignore[attr-defined]
        modifiers = QtCore.Qt.KeyboardModifier
        held = event.modifiers() & (modifiers.ShiftModifier | modifiers.ControlModifier)  # type: ignore[attr-defined]
        self.zoom(factor, (place.x(), place.y()), flux=axis == 1 or bool(held))

    def zoom(self, factor: float, place: tuple[float, float], *, flux: bool) -> None:
        """Narrower (factor below 1) or wider about a place, which stays where it is on the screen."""
        low, high = self.viewRange()[1 if flux else 0]
        at = place[1 if flux else 0]
        ends = (at + factor * (low - at), at + factor * (high - at))
        self.setRange(**{"yRange" if flux else "xRange": ends}, padding=0.0)
        self.changed.emit()

    def mouseClickEvent(self, event: object) -> None:
        event.accept()  # type: ignore[attr-defined]
        if event.button() == QtCore.Qt.MouseButton.LeftButton and not event.double():  # type: ignore[attr-defined]
            self.asked.emit(self.mapSceneToView(event.scenePos()).x())  # type: ignore[attr-defined]

    def mouseDragEvent(self, event: object, axis: object = None) -> None:
        event.accept()  # type: ignore[attr-defined]
        now, before = (self.mapSceneToView(at) for at in (event.scenePos(), event.lastScenePos()))  # type: ignore[attr-defined]
        self.translateBy(x=before.x() - now.x(), y=before.y() - now.y())
        self.changed.emit()


class SpectrumPlot(pg.PlotWidget):
    """Flux against wavelength.

    Emits `window_chosen(low, high)` [Angstrom] when the band of the picture was dragged, `asked(x)` when a wavelength
    was clicked, `pointed(text)` with what is under the pointer, empty when it goes.
    """

    window_chosen = QtCore.Signal(float, float)
    asked = QtCore.Signal(float)
    pointed = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        self.box = SpectrumBox()
        super().__init__(parent, viewBox=self.box)
        self.hideButtons()
        self.setMenuEnabled(False)
        self.setMouseEnabled(False, False)
        self.setLabel("bottom", "Wavelength in air [Å]")
        self.setLabel("left", "flux density")
        self.getAxis("left").enableAutoSIPrefix(False)
        self.getAxis("bottom").enableAutoSIPrefix(False)
        self.getAxis("left").setWidth(AXIS_WIDTH)
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
        self._comparison = _curve(COLOUR_COMPARISON)
        self._other = _curve(COLOUR_OTHER)
        self._over = _curve(COLOUR_OVER)
        self._pointer = _curve(COLOUR_OFFER, style=QtCore.Qt.PenStyle.DotLine)
        self._part_a = _curve(COLOUR_A)
        self._part_b = _curve(COLOUR_B)
        self._curve = _curve(COLOUR_INK, width=1)
        self._zero = pg.InfiniteLine(0.0, angle=0, pen=pg.mkPen(_SOFT, width=1))
        curves = (self._comparison, self._over, self._other, self._part_a, self._part_b, self._pointer, self._curve)
        # the edges of the band are not drawn themselves: it needs their paths only
        for item in (self._band, self._zero, *curves):
            self.addItem(item, ignoreBounds=True)
        self._legend = pg.TextItem("", anchor=(1, 0))
        self.addItem(self._legend, ignoreBounds=True)
        self.marks = LineMarks(self)
        self._shown: Spectrum | None = None
        self._zoomed = False
        self.box.asked.connect(self.asked)
        self.box.changed.connect(self._taken)
        self.box.sigRangeChanged.connect(self._arrange)
        self.box.sigResized.connect(self._arrange)
        self.scene().sigMouseMoved.connect(self._moved)
        self.getAxis("bottom").hide()
        self.getAxis("left").hide()

    def show_window(self, low: float, high: float) -> None:
        """Where the picture of the field looks."""
        if tuple(self._window.getRegion()) == (low, high):
            return
        self._window.blockSignals(True)
        self._window.setRegion((low, high))
        self._window.blockSignals(False)

    def show_lines(self, lines: list[tuple[str, float]]) -> None:
        """Markers of spectral lines: name and observed wavelength."""
        self.marks.show(lines)

    def whole_range(self) -> None:
        """The usual ranges; where they are in force already all that there is, however far out."""
        if self._limits is None or self._fits is None:
            return
        first, last, low, high = self._limits
        if not self._zoomed and self._shown is not None:
            self._zoomed = True
            scale = 10.0 ** exponent_of(self._shown)
            values = self._shown.flux[np.isfinite(self._shown.flux)] / scale
            if len(values):
                low, high = min(low, float(values.min())), max(high, float(values.max()))
            room = 0.04 * (high - low)
            low, high = low - room, high + room
        else:
            self._zoomed = False
        self.setXRange(first, last, padding=0.01)
        self.setYRange(low, high, padding=0.0)

    @property
    def zoomed(self) -> bool:
        """The ranges are not the usual ones."""
        return self._zoomed

    def new_target(self) -> None:
        """Another target: the ranges are its own."""
        self._zoomed, self._fits, self._limits = False, None, None

    def readout(self, x: float) -> str:
        """Wavelength, flux, error and signal to noise of the bin at a wavelength [Angstrom]."""
        text = f"{x:.0f} Å"
        if self._shown is None or not self._shown.wavelength[0] <= x <= self._shown.wavelength[-1]:
            return text
        at = int(np.argmin(np.abs(self._shown.wavelength - x)))
        flux, error = float(self._shown.flux[at]), float(self._shown.error[at])
        if not np.isfinite(flux):
            return f"{text}   no value"
        text += f"   {flux:.3g} ± {error:.2g}"
        return text + (f"   S/N {flux / error:.1f}" if error > 0 else "")

    def show_extraction(
        self,
        extraction: Extraction | None,
        *,
        pointer: Spectrum | None = None,
        comparison: Published | None = None,
        over: BesideCurve | None = None,
        other: Spectrum | None = None,
        bins: int = 1,
    ) -> None:
        """Draw a spectrum, or none.

        `pointer` is that of one spaxel, `comparison` one of somebody else's, scaled; `over` is what was saved before
        or a template; `other` is the one that is not chosen of aperture and fit. With `bins` above 1 running means are
        drawn.
        """
        spectrum = self._shown = smoothed(extraction.spectrum, bins) if extraction else None
        exponent = exponent_of(spectrum) if spectrum else 0
        scale = 10.0**exponent
        parts = [part.spectrum for part in extraction.parts] if extraction and len(extraction.parts) == 2 else []
        parts = [smoothed(part, bins) for part in parts]
        _draw(self._part_a, parts[0] if parts else None, scale, DASHED["A"])
        _draw(self._part_b, parts[1] if parts else None, scale, DASHED["B"])
        _draw(self._curve, spectrum, scale)
        for axis in ("left", "bottom"):  # without a spectrum there is nothing that they would measure
            self.getAxis(axis).setVisible(spectrum is not None)
        if extraction is None or spectrum is None:
            for edge in (self._low, self._high):
                edge.setData([], [])
            for curve in (self._pointer, self._comparison, self._over, self._other):
                _draw(curve, None, scale)
            self._told = ""
            self._legend.setHtml("")
            return
        self._axes(spectrum, parts, exponent)
        bottom, top = self._limits[2:] if self._limits else (0.0, 1.0)
        flux, error = np.nan_to_num(spectrum.flux) / scale, np.nan_to_num(spectrum.error) / scale
        self._low.setData(spectrum.wavelength, flux - error)
        self._high.setData(spectrum.wavelength, flux + error)
        pointer_scale = _fit(pointer.flux, 0.6 * (top - max(bottom, 0.0)) * scale) if pointer is not None else 0.0
        _draw(self._pointer, pointer if pointer_scale else None, scale / (pointer_scale or 1.0))
        factor = 0.0 if comparison is None else scale_to(spectrum, comparison.spectrum)
        shown = comparison.spectrum if comparison is not None and factor else None
        _draw(self._comparison, shown, scale / (factor or 1.0), DASHED["comparison"])
        name = "" if comparison is None else comparison.name[:NAME_LETTERS]
        over_factor = 0.0 if over is None else scale_to(spectrum, over.published.spectrum) if over.scaled else 1.0
        _draw(
            self._over,
            over.published.spectrum if over is not None and over_factor else None,
            scale / (over_factor or 1.0),
            DASHED["over"],
        )
        _draw(self._other, None if other is None else smoothed(other, bins), scale, DASHED["other"])
        words = _object_words(pair=bool(parts), fitted=extraction.fitted, other=other is not None)
        if bins > 1:
            words.append((f"mean of {bins} bins", COLOUR_INK))
        if over is not None:
            words.append((f"{_SIGNS[DASHED['over']]} {html_text(over.published.name[:NAME_LETTERS])}", COLOUR_OVER))
        highest = float(np.nanmax(spectrum.flux)) / scale if np.isfinite(spectrum.flux).any() else top
        if highest > top:
            words.append((f"▲ up to {highest:.2g}, Home", COLOUR_INK))
        self._tell(words, pointer_scale, (name, factor))

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
        # who looks at a part of the spectrum keeps it while an aperture is moved, but not in another unit
        kept = self._zoomed and self._fits is not None and self._fits[2] == label
        self._limits, self._fits = (first, last, low, high), (first, last, label)
        if not kept:
            self._zoomed = False
            self.setXRange(first, last, padding=0.01)
            self.setYRange(low, high, padding=0.0)

    def _taken(self) -> None:
        """The observer has chosen ranges; what lies beyond all data, or is too narrow to be one, is no range."""
        self._zoomed = True
        if self._limits is None:
            return
        first, last, bottom, top = self._limits
        (low, high), (under, over) = self.box.viewRange()
        wide = min(max(high - low, LEAST_RANGE), 1.3 * (last - first))
        middle = min(max(0.5 * (low + high), first), last)
        tall = min(max(over - under, LEAST_FLUX * (top - bottom)), 1e4 * (top - bottom))
        at = 0.5 * (under + over)
        if (wide, middle) != (high - low, 0.5 * (low + high)):
            self.setXRange(middle - 0.5 * wide, middle + 0.5 * wide, padding=0.0)
        if tall != over - under:
            self.setYRange(at - 0.5 * tall, at + 0.5 * tall, padding=0.0)

    def _arrange(self, *_: object) -> None:
        """What stands at an edge of the view stays there: legend, names of bands and of lines."""
        (low, high), (bottom, top) = self.box.viewRange()
        self._legend.setPos(high, top)
        for text, start, row in self._bands:
            text.setVisible(self._limits is not None and low <= start <= high)
            text.setPos(start, bottom + (0.005 + 0.035 * row) * (top - bottom))
        self.marks.arrange()

    def _moved(self, scene_place: object) -> None:
        inside = self._shown is not None and self.box.sceneBoundingRect().contains(scene_place)
        self.pointed.emit(self.readout(self.box.mapSceneToView(scene_place).x()) if inside else "")

    def leaveEvent(self, event: object) -> None:
        super().leaveEvent(event)
        self.pointed.emit("")

    def _tell(self, words: list[tuple[str, str]], pointer_scale: float, comparison: tuple[str, float]) -> None:
        if pointer_scale:
            words.append((f"spaxel × {pointer_scale:g}", COLOUR_OFFER))
        name, factor = comparison
        if name:
            sign = _SIGNS[DASHED["comparison"]]
            told = (
                f"{sign} {html_text(name)} × {factor:.3g}" if factor else f"{html_text(name)}: no wavelength in common"
            )
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
        sides = [(f"{_SIGNS[DASHED[side]]} {side}", colour) for side, colour in (("A", COLOUR_A), ("B", COLOUR_B))]
        words = [*sides, ("mean ± 1σ", COLOUR_INK)]
    name = f"{_SIGNS[DASHED['other']]} {'aperture' if fitted else 'PSF and host fit'}"
    return words + ([(name, COLOUR_OTHER)] if other else [])


def _curve(colour: str, *, width: int = 1, style: object = None) -> pg.PlotCurveItem:
    pen = pg.mkPen(colour, width=width) if style is None else pg.mkPen(colour, width=width, style=style)
    return pg.PlotCurveItem(pen=pen, connect="finite")


def _draw(curve: pg.PlotCurveItem, spectrum: Spectrum | None, scale: float, dashes: tuple[int, int] = SOLID) -> None:
    # an empty curve is asked for its outline again and again while others are painted; one that is hidden is not
    curve.setVisible(spectrum is not None)
    if spectrum is not None:
        flux, connect = spectrum.flux / scale, "finite" if dashes == SOLID else drawn(spectrum.flux, dashes)
        curve.setData(spectrum.wavelength, flux if dashes == SOLID else np.nan_to_num(flux), connect=connect)
    elif curve.xData is not None and len(curve.xData):
        curve.setData([], [])


def drawn(flux: FloatArray, dashes: tuple[int, int]) -> NDArray[np.int32]:
    """Whether the piece from each bin (n,) to the next is drawn: dashes of so many bins, where both have values."""
    on, off = dashes
    known = np.isfinite(flux)
    pattern = np.arange(len(flux)) % (on + off) < on
    return np.asarray(pattern & known & np.append(known[1:], False), dtype=np.int32)


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
