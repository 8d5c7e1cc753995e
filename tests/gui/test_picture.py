"""What is drawn and how it is handled: field, spectrum, lines, texts, finder, and what is opened outside. No search."""

import json
import os
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from test_window import _seen
from viewer_samples import Files, NullView, do, make_cube, make_header, make_observation, make_pair, make_presenter

from sedmd.core.config import Links, from_table
from sedmd.core.errors import ConfigError
from sedmd.observation.saved import names
from sedmd.observation.suggestion import Suggestion
from sedmd.products.guide import GuideRecord, write_guide
from sedmd.products.published import read_published
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.host_images import HostImage
from sedmview import beside, colours, contours, finder, lines, spectrumplot
from sedmview.elsewhere import link_of
from sedmview.finder import ChartScale, Finder
from sedmview.finderchart import FinderChart, OnChart
from sedmview.finderside import FinderSide
from sedmview.layout import FRAME_HEIGHT, first_size, remembered_sizes
from sedmview.model import MAPS, PAIR_MAPS
from sedmview.paragraph import Paragraph
from sedmview.qt import QtCore, QtGui, QtWidgets
from sedmview.spectra import smoothed
from sedmview.window import Window

Qt = QtCore.Qt
A = Ellipse(x_arcsec=3.0, y_arcsec=-4.0, semi_major_arcsec=2.0)
B = Ellipse(x_arcsec=-3.0, y_arcsec=4.0, semi_major_arcsec=2.0)


class Quick(Files):
    """A disk whose search has found the object at once."""

    def suggest(self, observation):
        return Suggestion(a=A, b=B if observation.pair else None, words="confidence 0.90, FWHM 1.9″, S/N 50")


@pytest.fixture
def opened(qtbot):
    """A function that opens a window of a size on a presenter, by default on a single target."""

    def make(presenter=None, size=(1280, 768), **options):
        presenter = presenter or quick()
        window = Window(presenter, **options)
        qtbot.addWidget(window)
        window.resize(*size)
        window.show()
        qtbot.waitExposed(window)
        for topic in ("entries", "target", "picture", "choice", "spectrum", "lines"):
            window.changed(topic)
        window.draw_now()
        return window

    return make


def quick(*, pair=False, **entries):
    make = make_pair if pair else make_observation
    header = make_header("T0", 0.2)
    return make_presenter(files=Quick({"T0": make(product="T0", header=header)}, **entries))


@pytest.fixture
def window(opened):
    return opened()


def wheel(widget, x, y, notches, modifier=Qt.KeyboardModifier.NoModifier):
    """The wheel turned over a place of a widget."""
    place = QtCore.QPointF(x, y)
    turned = QtCore.QPoint(0, 120 * notches)
    event = QtGui.QWheelEvent(
        place,
        QtCore.QPointF(widget.mapToGlobal(place.toPoint())),
        QtCore.QPoint(),
        turned,
        Qt.MouseButton.NoButton,
        modifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QtWidgets.QApplication.sendEvent(widget, event)


def drag(qtbot, port, one, two, button):
    qtbot.mousePress(port, button, Qt.KeyboardModifier.NoModifier, one)
    for part in (0.3, 0.6, 1.0):
        place = QtCore.QPointF(one.x() + part * (two.x() - one.x()), one.y() + part * (two.y() - one.y()))
        event = QtGui.QMouseEvent(QtCore.QEvent.Type.MouseMove, place, button, button, Qt.KeyboardModifier.NoModifier)
        QtWidgets.QApplication.sendEvent(port, event)
    qtbot.mouseRelease(port, button, Qt.KeyboardModifier.NoModifier, two)


# ---- places that do not move


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (2560, 1440)])
def test_the_window_fits_each_desktop_and_can_be_photographed_there(opened, size, tmp_path):
    room = first_size(*size)
    assert room[0] <= size[0] and room[1] <= size[1] - FRAME_HEIGHT
    window = opened(size=room)
    assert (window.width(), window.height()) == room
    window.presenter.placing.accept_suggestion()
    window.draw_now()
    field, spectrum = window.parts.field, window.parts.spectrum
    assert min(field.width(), field.height()) >= 400 and spectrum.width() >= 480 and spectrum.height() >= 280
    # every part of the window lies within it and shows something
    for part in (field, spectrum, window.parts.sky, window.parts.save, window.parts.list, window.parts.finder):
        corner = part.mapTo(window, QtCore.QPoint(part.width(), part.height()))
        assert part.isVisible() and corner.x() <= window.width() and corner.y() <= window.height()
    folder = Path(os.environ.get("SEDMVIEW_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"view-{size[0]}x{size[1]}.png"
    assert window.grab().save(str(picture)) and picture.stat().st_size > 20_000


def test_nothing_moves_when_a_word_appears(opened):
    """The field and the spectrum stay where they are through a whole target, with texts of any length."""
    window = opened(quick(pair=True))
    parts, presenter = window.parts, window.presenter

    def places():
        QtWidgets.QApplication.processEvents()
        widgets = (parts.field, parts.spectrum, parts.save, parts.list, parts.finder, *parts.aperture_boxes)
        return [(one.mapTo(window, QtCore.QPoint(0, 0)), one.size()) for one in widgets]

    before = places()
    do(presenter, "X S F F Y P 1 L G B H")
    for text in ("", "a word", "so many words that no line of any screen has room for them " * 12):
        presenter.desk.say(text, warning=bool(text))
        for part in (parts.reason, parts.found, parts.warning, parts.flags, parts.facts, parts.readout, parts.title):
            part.setText(text)
        window.draw_now()
        assert places() == before
    presenter.saving.no_object()
    window.draw_now()
    assert places() == before


def test_the_reason_why_a_target_waits_has_lines_of_its_own_and_is_never_lost(opened):
    reason = "confidence 0.41 below 0.70: a neighbour of 38 % of its light at 2.1 arcsec; " * 2
    window = opened(quick(T0={"reason": reason}))
    shown = window.parts.reason
    assert reason in shown.text() and reason.strip() in shown.seen.replace("…", "")
    shown.setText(reason * 5)
    assert shown.seen.endswith("…") and reason * 5 in shown.toolTip()


def test_a_paragraph_shows_what_it_has_room_for_and_says_the_rest_in_its_tip(qtbot):
    paragraph = Paragraph("facts", 2)
    qtbot.addWidget(paragraph)
    paragraph.resize(200, paragraph.sizeHint().height())
    height = paragraph.sizeHint().height()
    paragraph.setText("short")
    assert (paragraph.seen, paragraph.toolTip()) == ("short", "")
    long = "one two three <b>four</b> five six seven eight nine ten " * 5
    paragraph.setText(long)
    assert paragraph.seen.endswith("…") and long.startswith(paragraph.seen[:-1]) and paragraph.text() == long
    assert "&lt;b&gt;" in paragraph.toolTip()
    assert paragraph.sizeHint().height() == height
    wide = Paragraph("title", natural=300)
    qtbot.addWidget(wide)
    wide.setText("ZTF21" * 40)
    assert wide.sizeHint().width() == 300


def test_a_long_message_stands_in_two_small_lines_of_the_same_place(window):
    prompt, height = window.parts.prompt, window.parts.prompt.height()
    long = "e3d_crr_b_ifu20211018_02_33_45_ZTF21aacliou.fits: the table of spaxels has 12 rows, expected 2300; " * 2
    window.presenter.desk.say(long, warning=True)
    window.draw_now()
    assert prompt.seen == long and prompt.height() == height and prompt.property("long") is True
    small = prompt.fontMetrics().lineSpacing()
    assert 2 * small <= prompt.contentsRect().height() + 2
    window.presenter.desk.say("short")
    window.draw_now()
    assert prompt.property("long") is False and prompt.fontMetrics().lineSpacing() > small


def test_the_size_of_the_window_is_remembered(opened):
    kept = []
    window = opened(size=(1300, 790), keep_sizes=kept.append)
    window.close()
    assert kept[0]["window"] == [1300, 790] and sum(kept[0]["columns"]) > 1200
    again = Window(quick(), sizes=kept[0])
    screen = QtWidgets.QApplication.primaryScreen().availableGeometry()
    assert again.width() == min(1300, screen.width()) and again.height() <= 790


@pytest.mark.parametrize(
    "value", [None, 3, [], {"window": "large"}, {"window": [1, 2, 3]}, {"window": [-5, 9]}, {"window": [1e9, True]}]
)
def test_sizes_that_are_none_are_not_taken(value):
    assert "window" not in remembered_sizes(value, 1280, 800)


def test_a_size_of_a_larger_screen_is_cut_to_this_one():
    assert remembered_sizes({"window": [2560, 1400]}, 1280, 800)["window"] == [1280, 800 - FRAME_HEIGHT]
    assert remembered_sizes({"window": [10, 10]}, 1280, 800)["window"] == [900, 600]


def test_a_window_that_waits_shows_a_sentence_and_nothing_else(opened):
    presenter = make_presenter(files=type("Empty", (), {"entries": lambda self: ([], [])})())
    window = opened(presenter)
    parts = window.parts
    assert parts.notice.isVisible() and parts.notice.text() == presenter.prompt
    assert not any(one.isVisible() for one in (parts.field, parts.spectrum, parts.bar, parts.phases, parts.save))
    assert "No cube yet" in parts.notice.text()
    parts.show_work()
    parts.show_notice("again nothing")
    assert parts.notice.isVisible() and not parts.field.isVisible()
    presenter.state.listed = False
    window.changed("choice")
    window.draw_now()
    assert parts.notice.text() == "Reading the night ..."
    presenter.desk.say("e3d_x.fits: cut after 40000 bytes", warning=True)
    window.draw_now()
    assert parts.notice.text() == "e3d_x.fits: cut after 40000 bytes" and parts.notice.property("warning") is True


def test_without_a_spectrum_there_are_no_axes_and_no_letters(opened):
    window = opened()
    plot = window.parts.spectrum
    assert plot.getAxis("left").isVisible()
    plot.show_extraction(None)
    assert not plot.getAxis("left").isVisible() and not plot.getAxis("bottom").isVisible()
    fresh = type(window.parts.field)()
    fresh.setParent(window)  # Qt deletes it with the window; Python would delete its parts while Qt still lays them out
    assert not any(text.isVisible() for text in fresh._letters.values())


@pytest.mark.parametrize("size", [(1280, 768), (1920, 1048)])
def test_the_help_fits_the_window(opened, size):
    window = opened(size=size)
    window.key("?")
    window.draw_now()
    shown = window.parts.help
    assert shown.isVisible() and shown.width() <= window.width() - 12 and shown.height() <= window.height() - 30


# ---- the field


def test_the_wheel_zooms_about_the_pointer_and_home_shows_all(window, qtbot):
    field = window.parts.field
    port = field.viewport()
    place = field.mapFromScene(field.box.mapViewToScene(QtCore.QPointF(3.0, -4.0)))
    whole = field.box.viewRange()
    for _ in range(4):
        wheel(port, place.x(), place.y(), 1)
    close = field.box.viewRange()
    assert np.ptp(close[0]) == pytest.approx(np.ptp(whole[0]) / 1.25**4, rel=1e-6)
    after = field.mapFromScene(field.box.mapViewToScene(QtCore.QPointF(3.0, -4.0)))
    assert abs(after.x() - place.x()) <= 1 and abs(after.y() - place.y()) <= 1
    field._rebuild()  # the timer's
    spaxels = window.presenter.state.observation.field_cube.spaxels
    nearest = int(np.argmin(np.hypot(spaxels.x_arcsec - 3.0, spaxels.y_arcsec + 4.0)))
    at = float(spaxels.x_arcsec[nearest]), float(spaxels.y_arcsec[nearest])
    assert field.hexes.spaxel_at(*at) == nearest
    # the colour on the screen is that of the spaxel, also when it is drawn larger
    ring = [n for n in range(len(spaxels.q)) if 3 < np.hypot(spaxels.x_arcsec[n] - 3, spaxels.y_arcsec[n] + 4) < 4]
    image = port.grab().toImage()
    spot = field.mapFromScene(field.box.mapViewToScene(QtCore.QPointF(*(at + 0.2 for at in _centre(spaxels, ring[0])))))
    colour = image.pixelColor(spot)
    assert (colour.red(), colour.green(), colour.blue()) == field.hexes.colour_of(ring[0])
    window.key("Home")
    window.draw_now()
    assert np.allclose(field.box.viewRange(), whole)
    for _ in range(5):
        wheel(port, place.x(), place.y(), -1)
    assert np.allclose(field.box.viewRange(), whole)  # never smaller than the window


def _centre(spaxels, number):
    return float(spaxels.x_arcsec[number]), float(spaxels.y_arcsec[number])


def test_the_right_button_moves_the_picture_and_places_nothing(window, qtbot):
    field, presenter = window.parts.field, window.presenter
    do(presenter, "X")
    field.zoom(3.0, 0.0, 0.0)
    before, choice = field.box.viewRange(), presenter.state.choice
    middle = field.mapFromScene(field.box.mapViewToScene(QtCore.QPointF(0.0, 0.0)))
    drag(qtbot, field.viewport(), middle, middle + QtCore.QPoint(60, 40), Qt.MouseButton.RightButton)
    after = field.box.viewRange()
    per_px = np.ptp(before[0]) / field.box.width()
    assert after[0][0] - before[0][0] == pytest.approx(60 * per_px, rel=0.05)  # East is left
    assert after[1][0] - before[1][0] == pytest.approx(40 * per_px, rel=0.05)
    assert presenter.state.choice == choice
    for _ in range(30):
        field._move(9.0, 9.0)
    assert max(np.abs(field.box.viewRange()).max(), 0) <= 1.2 * field.hexes.reach  # the field is never lost
    usual = window.parts.spectrum.box.viewRange()
    window.key("Home")
    window.draw_now()
    assert not field.zoomed and not window.parts.spectrum.zoomed
    assert np.allclose(window.parts.spectrum.box.viewRange()[0], usual[0])


def test_contours_enclose_the_object_at_their_level(window):
    """A Gaussian of known width: the radius of each line is that at which the star has the line's level."""
    spaxels = make_cube().spaxels
    sigma, peak = 1.5, 100.0
    noise = np.random.default_rng(0).normal(0, 0.3, len(spaxels.q))
    star = peak * np.exp(-0.5 * ((spaxels.x_arcsec - 1) ** 2 + (spaxels.y_arcsec + 2) ** 2) / sigma**2)
    lattice = contours.triangles(spaxels)
    for level in (10.0, 30.0, 60.0):
        x, y = contours.segments(star + noise, spaxels, lattice, level)
        radius = np.hypot(x - 1, y + 2)
        assert np.median(radius) == pytest.approx(sigma * np.sqrt(2 * np.log(peak / level)), rel=0.05)
        assert np.std(radius) < 0.1  # a sixth of a spaxel: ends lie where the level is crossed, not half way
        # a closed line: each end of a piece is the end of another one
        ends = np.round(np.stack([x, y], axis=1), 6)
        _, count = np.unique(ends, axis=0, return_counts=True)
        assert (count == 2).mean() > 0.95
    assert len(contours.levels_of(noise * np.nan, pair=True)) == 0
    both = contours.levels_of(np.concatenate([noise, [50.0, -50.0]]), pair=True)
    assert min(both) < 0 < max(both) and len(contours.levels_of(noise * 0, pair=False)) == 0


def test_contours_come_and_go_by_key(opened):
    window = opened(quick(pair=True))
    curves = window.parts.field._contours
    assert not any(curve.isVisible() for curve in curves.values())
    window.key("G")
    window.draw_now()
    assert all(curve.isVisible() and len(curve.getData()[0]) > 20 for curve in curves.values())
    x, y = curves[False].getData()
    assert np.hypot(np.mean(x) + 3, np.mean(y) - 4) < 1.0  # B is below the sky
    window.key("G")
    window.draw_now()
    assert not any(curve.isVisible() for curve in curves.values())


def luminance(rgb):
    """Relative luminance of sRGB (WCAG 2.1)."""
    part = np.asarray(rgb) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


@pytest.mark.parametrize("name", sorted({*MAPS, *PAIR_MAPS}))
def test_marks_show_on_every_colour_of_every_map(window, name):
    """Each mark, or the dark line under it, has a contrast of 3 with any colour below (WCAG 1.4.11).

    Red and blue, which are wider and of a colour of their own, have 2.4.
    """
    field = window.parts.field
    outlines = tuple(field._outlines.values())
    drawn = (field._sky, field._members, field._track, *field._contours.values(), *outlines)
    packed = colours.table(name)
    below = luminance(np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1))
    for item in drawn:
        best = np.zeros(len(below))
        for pen in (item.opts["pen"], item.opts["shadowPen"]):
            own = luminance(pen.color().getRgb()[:3])
            best = np.maximum(best, (np.maximum(below, own) + 0.05) / (np.minimum(below, own) + 0.05))
        assert best.min() >= (2.4 if item in outlines else 3.0)
        assert item.opts["shadowPen"].width() >= item.opts["pen"].width() + 2
    assert field._offer_halo.opts["pen"].width() >= 3


def test_a_and_b_are_told_by_the_line_as_well_as_by_colour(window):
    solid, dashed = Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine
    outlines = window.parts.field._outlines
    assert (outlines["A"].opts["pen"].style(), outlines["B"].opts["pen"].style()) == (solid, dashed)


@pytest.mark.parametrize("kind", ["normal", "deutan", "protan"])
def test_no_two_curves_of_the_spectrum_look_alike_to_anybody(kind):
    shades = {
        "A": colours.COLOUR_A,
        "B": colours.COLOUR_B,
        "object": colours.COLOUR_INK,
        "other": colours.COLOUR_OTHER,
        "comparison": colours.COLOUR_COMPARISON,
        "over": colours.COLOUR_OVER,
    }
    seen = {name: _seen([QtGui.QColor(shade).getRgb()[:3]], kind)[0] for name, shade in shades.items()}
    assert set(seen) == set(spectrumplot.DASHED)
    for one, two in combinations(seen, 2):
        apart = np.abs(seen[one] - seen[two]).max()
        assert spectrumplot.DASHED[one] != spectrumplot.DASHED[two] or apart > 0.2, (one, two)


# ---- the spectrum


def test_the_sky_has_a_strip_of_its_own_on_the_same_wavelengths(window):
    parts = window.parts
    assert parts.sky.isVisible()
    x, sky = parts.sky._curve.getData()
    spectrum = window.presenter.spectra.extraction.spectrum
    assert np.array_equal(x, spectrum.wavelength) and np.array_equal(sky, spectrum.sky)
    QtWidgets.QApplication.processEvents()
    assert np.allclose(parts.sky.getViewBox().viewRange()[0], parts.spectrum.box.viewRange()[0], rtol=0.01)
    window.key("K")
    window.draw_now()
    assert not parts.sky.isVisible()


def test_wheel_and_drag_on_the_spectrum_and_the_way_back(window, qtbot):
    plot = window.parts.spectrum
    port = plot.viewport()
    usual = plot.box.viewRange()
    place = plot.mapFromScene(plot.box.mapViewToScene(QtCore.QPointF(5600.0, 0.5 * sum(usual[1]))))
    for _ in range(3):
        wheel(port, place.x(), place.y(), 1)
    zoomed = plot.box.viewRange()
    assert np.ptp(zoomed[0]) == pytest.approx(np.ptp(usual[0]) / 1.25**3, rel=1e-3)
    assert np.allclose(zoomed[1], usual[1])
    wheel(port, place.x(), place.y(), 1, Qt.KeyboardModifier.ShiftModifier)
    assert np.ptp(plot.box.viewRange()[1]) == pytest.approx(np.ptp(usual[1]) / 1.25, rel=1e-3)
    before = plot.box.viewRange()[0]
    # moved by hand: the wavelength under the hand goes with it
    drag(qtbot, port, place, place + QtCore.QPoint(-40, 0), Qt.MouseButton.LeftButton)
    shift = 40 * np.ptp(before) / plot.box.width()
    assert plot.box.viewRange()[0][0] - before[0] == pytest.approx(shift, rel=0.05)
    kept = plot.box.viewRange()
    window.presenter.placing.accept_suggestion()
    window.presenter.placing.resize(0.3)
    window.draw_now()
    assert np.allclose(plot.box.viewRange(), kept)  # an aperture that changes does not take the view away
    window.key("Home")
    window.draw_now()
    assert np.allclose(plot.box.viewRange()[0], usual[0])


def test_what_lies_beyond_the_usual_range_can_be_reached(window):
    plot = window.parts.spectrum
    extraction = window.presenter.spectra.extraction
    flux = extraction.spectrum.flux.copy()
    flux[-1] = 40 * np.nanmax(flux)  # beyond 9000 Angstrom the axis does not follow
    plot.show_extraction(replace(extraction, spectrum=replace(extraction.spectrum, flux=flux)))
    high = float(flux[-1]) / 10.0 ** spectrumplot.exponent_of(extraction.spectrum)
    assert plot.box.viewRange()[1][1] < high and "▲" in plot._told and "Home" in plot._told
    plot.whole_range()
    assert plot.box.viewRange()[1][1] >= high
    plot.whole_range()
    assert plot.box.viewRange()[1][1] < high


def test_another_target_begins_with_its_own_range(window):
    plot = window.parts.spectrum
    plot.box.zoom(0.2, (5000.0, 0.0), flux=False)
    assert np.ptp(plot.box.viewRange()[0]) < 2000
    for topic in ("target", "spectrum"):
        window.changed(topic)
    window.draw_now()
    assert np.ptp(plot.box.viewRange()[0]) > 5000


def test_wavelength_and_flux_under_the_pointer(window, qtbot):
    plot, spectrum = window.parts.spectrum, window.presenter.spectra.extraction.spectrum
    at = 30
    told = plot.readout(float(spectrum.wavelength[at]))
    assert f"{spectrum.wavelength[at]:.0f} Å" in told and f"{spectrum.flux[at]:.3g}" in told
    assert f"S/N {spectrum.flux[at] / spectrum.error[at]:.1f}" in told
    assert plot.readout(20000.0) == "20000 Å"
    place = plot.mapFromScene(plot.box.mapViewToScene(QtCore.QPointF(6000.0, 0.0)))
    plot._moved(plot.mapToScene(place))
    assert "Å" in window.parts.spectrum_readout.text()
    plot.pointed.emit("")
    assert window.parts.spectrum_readout.text() == ""


def test_a_running_mean_is_that_of_the_bins_and_its_error_shrinks():
    rng = np.random.default_rng(0)
    flux = rng.normal(5.0, 1.0, 4000)
    flux[100] = np.nan
    one = Spectrum(wavelength=np.arange(4000.0), flux=flux, error=np.ones(4000), sky=np.zeros(4000), unit="x")
    five = smoothed(one, 5)
    assert five.flux[50] == pytest.approx(flux[48:53].mean()) and np.isnan(five.flux[100])
    assert five.flux[99] == pytest.approx(np.nanmean(flux[97:102])) and five.error[99] == pytest.approx(0.5)
    # its error is the scatter about the truth
    assert np.nanstd(five.flux[::5]) == pytest.approx(five.error[50], rel=0.06)
    assert smoothed(one, 1) is one
    few = replace(one, **{key: getattr(one, key)[:4] for key in ("wavelength", "flux", "error", "sky")})
    assert smoothed(few, 9) is few


def test_the_key_smooths_what_is_drawn_and_never_what_is_saved(window):
    plot, presenter = window.parts.spectrum, window.presenter
    saved = presenter.spectra.extraction.spectrum.flux.copy()
    for bins in (3, 5, 9):
        window.key("B")
        window.draw_now()
        assert f"mean of {bins} bins" in plot._told
        _, drawn = plot._curve.getData()
        scale = 10.0 ** spectrumplot.exponent_of(smoothed(presenter.spectra.extraction.spectrum, bins))
        assert np.allclose(drawn * scale, smoothed(presenter.spectra.extraction.spectrum, bins).flux)
        assert np.array_equal(presenter.spectra.extraction.spectrum.flux, saved)
    window.key("B")
    window.draw_now()
    assert "bins" not in plot._told


def test_dashes_leave_out_bins_and_never_bridge_a_gap():
    flux = np.ones(20)
    flux[7] = np.nan
    piece = spectrumplot.drawn(flux, (5, 3))
    assert piece[:8].tolist() == [1, 1, 1, 1, 1, 0, 0, 0] and piece[-1] == 0
    solid = spectrumplot.drawn(flux, (1, 0))
    assert solid[6] == 0 and solid[7] == 0 and solid[:6].all()


# ---- lines


def test_lines_of_the_ejecta_move_with_the_expansion_and_those_of_the_host_do_not():
    silicon, host = lines.SILICON[0], lines.BALMER[0]
    assert lines.seen_at(silicon, 0.0, 11000.0) == pytest.approx(6355.0 * (1 - 11000 / 299792.458), rel=1e-3)
    assert lines.seen_at(host, 0.1, 11000.0) == pytest.approx(6562.8 * 1.1)
    for line in (silicon, host):
        offered = lines.possible((line, replace(line, moves=True)), 7000.0, 0.0)
        assert len(offered) == 1  # without expansion host and ejecta are one line
        assert len(lines.possible((host, lines.HYDROGEN[0]), 7000.0, 9000.0)) == 2
        for z, velocity in ((0.0, 0.0), (0.07, 9000.0)):
            assert lines.redshift_of(line, lines.seen_at(line, z, velocity), velocity) == pytest.approx(z)


def test_names_of_lines_never_cover_one_another(window):
    plot = window.parts.spectrum
    for count in (3, 12, 60):
        plot.show_lines([(f"line {n}", 4000.0 + 5000.0 * n / count) for n in range(count)])
        marks = plot.marks
        boxes = [one.mapRectToScene(one.boundingRect()) for one in marks.names if one.isVisible()]
        assert len(marks.lines) == count and len(boxes) >= min(count, 12)
        letters = QtGui.QFontMetricsF(marks.names[0].textItem.font()).tightBoundingRect("Hβ]").height()
        for one, two in combinations(boxes, 2):
            beside_it = one.right() <= two.left() + 8 or two.right() <= one.left() + 8
            assert beside_it or abs(one.top() - two.top()) > letters, (one, two)
    assert lines.label_rows([0, 1, 2, 30], [10, 10, 10, 10], 2) == [0, 1, None, 0]


def test_names_go_with_the_view_and_stay_inside(window):
    plot = window.parts.spectrum
    plot.show_lines([("H alpha", 6562.8), ("far", 9100.0)])
    plot.box.zoom(0.1, (6600.0, 0.0), flux=False)
    first, second = plot.marks.names
    assert first.isVisible() and not second.isVisible()
    assert plot.box.viewRange()[1][0] < first.pos().y() < plot.box.viewRange()[1][1]
    plot.whole_range()
    right = second.mapRectToScene(second.boundingRect()).right()
    assert right <= plot.box.sceneBoundingRect().right() + 1


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_click_beside_a_feature_finds_its_middle(sign):
    wave = np.arange(5000.0, 7000.0, 20.0)
    flux = 10 + 0.001 * (wave - 6000) + sign * 4 * np.exp(-0.5 * ((wave - 6123.0) / 40) ** 2)
    one = Spectrum(wavelength=wave, flux=flux, error=np.full(len(wave), 0.1), sky=np.zeros(len(wave)), unit="x")
    for click in (6100.0, 6123.0, 6160.0):
        assert lines.feature_at(one, click) == pytest.approx(6123.0, abs=4.0)
    assert lines.feature_at(one, 5500.0) == 5500.0  # nothing there
    assert lines.feature_at(one, 100.0) == 100.0
    nothing = replace(one, flux=np.full(len(wave), np.nan))
    assert lines.feature_at(nothing, 6123.0) == 6123.0


def test_a_feature_that_is_clicked_and_named_sets_the_redshift(window, qtbot):
    presenter = window.presenter
    presenter.drawing.set_velocity(0.0)
    window._ask_line(6562.8 * 1.05)
    menu = window._menu
    assert menu is not None and menu.isVisible()
    entry = next(one for one in menu.actions() if one.text().startswith("Hα 6563"))
    assert float(entry.text().rpartition("= ")[2]) == pytest.approx(0.05, abs=0.012)
    entry.trigger()
    menu.close()
    window.draw_now()
    assert presenter.state.redshift == pytest.approx(0.05, abs=0.012)
    assert window.parts.redshift.text() == f"{presenter.state.redshift:.4f}" and "Hα" in window.parts.prompt.text()


def test_the_expansion_is_typed_beside_the_redshift(window, qtbot):
    box, presenter = window.parts.velocity, window.presenter
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "11000")
    qtbot.keyClick(box, Qt.Key.Key_Return)
    window.leave_text()
    window.draw_now()
    assert presenter.state.drawn.velocity_km_s == 11000.0 and "SN" in window.parts.lines.text()
    places = [line.value() for line in window.parts.spectrum.marks.lines]
    assert any(place == pytest.approx(lines.seen_at(lines.SILICON[0], 0.0, 11000.0)) for place in places)
    presenter.drawing.set_velocity(1e9)
    assert presenter.state.drawn.velocity_km_s == 60000.0


# ---- beside the spectrum


def spectrum_text(path, level=2.0, name="T0"):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{n} {level} 0.1" for n in range(3800, 9200, 25))
    path.write_text(f"# NAME: {name}\n# wavelength flux error\n{rows}\n")
    return path


def record(folder, **changes):
    table = {
        "kind": "sedmd classification",
        "label": "Ia-norm",
        "z": 0.031,
        "z_error": 0.004,
        "age": -3.0,
        "template": "sn1994D",
        "score": 8.12,
        "metric": "rlap",
        "secure": False,
        "why": "2 of 5 agree",
        "inputs": {},
    }
    (folder / "T0.classification.json").write_text(json.dumps(table | changes))


def test_former_versions_classification_and_template_lie_beside(tmp_path):
    text = names("T0")[0]
    spectrum_text(tmp_path / text)
    for number in (1, 2, 10):
        spectrum_text(tmp_path / "former" / f"T0.v{number}" / text, level=number)
    spectrum_text(tmp_path / "classified" / "T0_template.txt", name="sn1994D Ia-norm")
    record(tmp_path)
    found = beside.beside(tmp_path, "T0")
    assert [one.published.name for one in found.curves] == [
        "saved",
        "before, v10",
        "before, v2",
        "before, v1",
        "sn1994D Ia-norm",
    ]
    assert [one.scaled for one in found.curves] == [False] * 4 + [True]
    for word in ("Ia-norm", "z 0.0310 ± 0.0040", "sn1994D rlap 8.1", "not secure: 2 of 5 agree", "earlier version"):
        assert word in found.words


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"kind": "other"}', '{"kind": "sedmd classification", "z": "NaN"}']
)
def test_a_record_that_is_none_costs_nothing(tmp_path, content):
    (tmp_path / "T0.classification.json").write_text(content)
    (tmp_path / names("T0")[0]).write_text("no spectrum")
    found = beside.beside(tmp_path, "T0")
    assert found.curves == () and "Ia" not in found.words


def test_names_of_the_classifier_are_the_same_on_both_sides():
    from sedmd.after.classify import classification

    assert beside.RECORD == classification.SUFFIX and beside.KIND == classification._KIND
    assert beside.TEMPLATE.format("X") == f"{classification.CLASSIFIED}/X{classification.TEMPLATE}"


def test_the_key_goes_through_what_lies_beside(opened, tmp_path):
    presenter = quick()
    level = float(np.nanmedian(presenter.spectra.extraction.spectrum.flux))
    before = replace(read_published(spectrum_text(tmp_path / "a.txt", level)), name="before, v1")
    template = replace(read_published(spectrum_text(tmp_path / "b.txt", 77.0)), name="sn1994D")
    curves = (beside.BesideCurve(before, scaled=False), beside.BesideCurve(template, scaled=True))
    presenter.desk.files.besides["T0"] = beside.Beside("classified Ia-norm (secure)", curves)
    window = opened(presenter)
    plot = window.parts.spectrum
    assert "classified Ia-norm" in window.parts.reason.text() and not plot._over.isVisible()
    scale = 10.0 ** spectrumplot.exponent_of(presenter.spectra.extraction.spectrum)
    for name in ("before, v1", "sn1994D"):
        window.key("V")
        window.draw_now()
        # that of before at its own flux, the template at the level of the object
        assert plot._over.isVisible() and np.median(plot._over.getData()[1]) == pytest.approx(level / scale, rel=0.05)
        assert name in plot._told
    window.key("V")
    window.draw_now()
    assert not plot._over.isVisible() and "sn1994D" not in plot._told


def test_the_key_says_when_there_is_nothing_beside(window):
    window.key("V")
    window.draw_now()
    assert "saved before" in window.parts.prompt.text()


# ---- the finder


SCALE = ChartScale(ra_deg=213.1, dec_deg=28.0, x_px=150.0, y_px=100.0, scale_arcsec=0.5, width_px=300)


def test_a_chart_of_known_scale_is_turned_with_north_up():
    assert SCALE.pixel_of(0, 0) == (150.0, 100.0)
    assert SCALE.pixel_of(10, 0) == (130.0, 100.0) and SCALE.pixel_of(0, 10) == (150.0, 80.0)
    turned = replace(SCALE, north_deg=90.0)  # North to the left: East is down
    assert turned.pixel_of(0, 10) == pytest.approx((130.0, 100.0)) and turned.pixel_of(10, 0) == pytest.approx(
        (150.0, 120.0)
    )
    mirrored = replace(SCALE, east_left=False)
    assert mirrored.pixel_of(10, 0) == pytest.approx((170.0, 100.0))
    half = SCALE.shrunk(150)
    assert half.pixel_of(10, 0) == pytest.approx((65.0, 50.0))
    assert SCALE.apart((213.1, 28.0), 5.0, -3.0) == pytest.approx((5.0, -3.0), abs=1e-3)


def test_field_and_apertures_are_drawn_on_the_chart_where_they_are(qtbot):
    """A chart with a bright square at a known offset: it and the aperture about it fall together, North up."""
    turned = replace(SCALE, north_deg=37.0, x_px=150.0, y_px=150.0)
    image = QtGui.QImage(300, 300, QtGui.QImage.Format.Format_RGB888)
    image.fill(QtGui.QColor("#101010"))
    px, py = turned.pixel_of(20.0, 30.0)
    painter = QtGui.QPainter(image)
    painter.fillRect(QtCore.QRectF(px - 4, py - 4, 8, 8), QtGui.QColor("#00ff00"))
    painter.end()
    chart = FinderChart()
    qtbot.addWidget(chart)
    chart.resize(400, 400)
    chart.show_finder(Finder(Path("finder.png"), 60.0, turned), image)
    square = ((-14.0, -14.0), (14.0, -14.0), (14.0, 14.0), (-14.0, 14.0))
    at = Ellipse(x_arcsec=20.0, y_arcsec=30.0, semi_major_arcsec=5.0)
    chart.show_over(OnChart(edge=square, apertures=(("A", at),), middle_deg=(213.1, 28.0)))
    shown = chart.pixmap().toImage()
    rgb = np.array([[shown.pixelColor(x, y).getRgb()[:3] for x in range(400)] for y in range(400)], dtype=int)
    green = np.argwhere((rgb[..., 1] > 180) & (rgb[..., 0] < 90))
    red = np.argwhere((rgb[..., 0] > 200) & (rgb[..., 1] < 120))
    per_arcsec = 400 / 120
    wanted = (200 - 30 * per_arcsec, 200 - 20 * per_arcsec)
    assert np.allclose(green.mean(axis=0), wanted, atol=1.5)
    assert np.allclose(red.mean(axis=0), wanted, atol=1.5) and np.ptp(red[:, 0]) == pytest.approx(
        2 * 5 * per_arcsec, abs=4
    )
    assert rgb[151:157, 200].max() > 120  # the edge of the field, 14 arcsec to the North


def test_the_scale_beside_a_chart_is_read_and_nonsense_is_not(tmp_path, caplog):
    chart = tmp_path / "finder_rc20190612_04_05_00_ACQ-T0_NA.png"
    assert finder.read_scale(chart) is None
    good = {"ra_deg": 1.0, "dec_deg": 2.0, "x_px": 3, "y_px": 4, "scale_arcsec": 0.39, "width_px": 900}
    beside_it = chart.with_suffix(".json")
    beside_it.write_text(json.dumps(good | {"more": 1}))
    assert finder.read_scale(chart) == ChartScale(**good)
    for change in ({"scale_arcsec": 0}, {"scale_arcsec": "x"}, {"width_px": 0}, {"ra_deg": None}, {"dec_deg": 95.0}):
        beside_it.write_text(json.dumps(good | change))
        assert finder.read_scale(chart) is None and "not used" in caplog.text
    beside_it.write_text("{")
    assert finder.read_scale(chart) is None


def test_the_outline_of_the_field_holds_every_spaxel():
    spaxels = make_cube().spaxels
    edge = finder.edge_of(spaxels)
    for (x0, y0), (x1, y1) in pairwise(np.vstack([edge, edge[:1]])):
        side = (x1 - x0) * (spaxels.y_arcsec - y0) - (y1 - y0) * (spaxels.x_arcsec - x0)
        assert (side > 0).all()


def test_where_nobody_made_a_chart_one_is_drawn_from_the_acquisition_frame(tmp_path, qtbot):
    cube = tmp_path / "e3d_crr_b_ifu20211018_05_12_31_abc.fits"
    told = {"OBJECT": "abc", "OBJRA": "03:14:26.4", "OBJDEC": "+31:08:52.8", "EXPTIME": 2160.0, "IMGTYPE": "Science"}
    fits.PrimaryHDU(header=fits.Header(told | {"UTC": "2021-10-18T05:12:31.4"})).writeto(cube)
    assert finder.drawn_finder(cube, "abc", None) is None
    values = np.random.default_rng(1).normal(100, 5, (400, 400))
    to_pixel = np.array([[-2.5, 0.1, 200.0], [-0.1, -2.5, 190.0]])
    column, row = np.rint(to_pixel @ [20.0, -12.0, 1.0]).astype(int)
    values[row - 2 : row + 3, column - 2 : column + 3] += 2000.0
    image = HostImage(band="r", wavelength=6190.0, values=values, to_pixel=to_pixel, fwhm_arcsec=2.0)
    write_guide(tmp_path / "guide_ifu20211018_05_12_31.fits", GuideRecord(), None, [], finder=image)
    made = finder.drawn_finder(cube, "abc", None)
    assert (made.scale.ra_deg, made.scale.dec_deg) == pytest.approx((48.61, 31.148), abs=1e-4)
    low, left = np.median(np.argwhere(made.picture < 60), axis=0)
    assert (left, low) == pytest.approx(made.scale.pixel_of(20.0, -12.0), abs=3.0)
    window_of_chart = FinderSide.__new__(FinderSide)
    window_of_chart._find_finder = lambda entry: made
    _, shown, warning = window_of_chart._read(None)
    assert (shown.width(), shown.height(), warning) == (len(made.picture), len(made.picture), "")
    assert QtGui.qGray(shown.pixel(round(left), round(low))) < 60


def test_a_click_enlarges_the_chart_and_another_one_puts_it_away(window, qtbot):
    image = QtGui.QImage(60, 60, QtGui.QImage.Format.Format_RGB888)
    image.fill(QtGui.QColor("#204060"))
    entry, parts = window.presenter.state.entry, window.parts
    parts.finder.clicked.emit()  # there is no chart: nothing comes
    window.draw_now()
    assert not parts.enlarged.isVisible()
    parts.finder.clicked.emit()
    window.chart._show(entry, Finder(Path("finder.png"), 60.0), image, "")
    qtbot.mouseClick(parts.finder, Qt.MouseButton.LeftButton)
    window.draw_now()
    assert parts.enlarged.isVisible() and parts.enlarged.width() > 900 and parts.list.isVisible()
    qtbot.mouseClick(parts.enlarged, Qt.MouseButton.LeftButton)
    window.draw_now()
    assert not parts.enlarged.isVisible()
    window.key("E")
    window.draw_now()
    assert parts.enlarged.isVisible()


# ---- outside of the window


def test_the_position_is_copied_in_degrees_and_in_hours(window):
    board = QtWidgets.QApplication.clipboard()
    window.key("Ctrl+C")
    ra, dec = (float(word) for word in board.text().split())
    assert (ra, dec) == pytest.approx((15 * (14 + 12 / 60 + 28.49 / 3600), 28.0), abs=1e-5)
    window.key("Ctrl+Shift+C")
    assert board.text() == "14:12:28.49 +28:00:00.0"
    window.draw_now()
    assert "14:12:28.49" in window.parts.prompt.text()


def test_a_header_without_a_position_says_so():
    presenter = make_presenter(files=Quick({"T0": make_observation(product="T0")}))
    for key in ("Ctrl+C", "Ctrl+Shift+C", "Ctrl+L"):
        do(presenter, key)
        assert presenter.state.warning and "does not tell" in presenter.state.message
    assert presenter.desk.view.copied == [] and presenter.desk.view.opened == []
    do(presenter, "Ctrl+M")  # needs the name only
    assert presenter.desk.view.opened == ["https://fritz.science/source/T0"]


def test_the_survey_and_the_marshal_are_opened_by_the_given_opener(opened):
    places = []
    window = opened(opener=lambda place: places.append(place) or True)
    window.key("Ctrl+L")
    window.key("Ctrl+M")
    assert "ra=213.118708" in places[0] and "dec=28.000000" in places[0]
    assert places[1] == "https://fritz.science/source/T0"


def test_saved_page_and_night_page_are_opened(tmp_path):
    presenter = quick()
    view, files = presenter.desk.view, presenter.desk.files
    do(presenter, "Ctrl+O")
    assert "no page yet" in presenter.state.message and view.opened == []
    do(presenter, "Ctrl+P")
    assert "sedmd publish" in presenter.state.message
    files.pages |= {"T0": tmp_path / "T 0_SEDM.pdf", "night": tmp_path / "index.html"}
    do(presenter, "Ctrl+O Ctrl+P")
    assert view.opened == [(tmp_path / name).as_uri() for name in ("T 0_SEDM.pdf", "index.html")]
    assert not presenter.state.warning


def test_without_a_program_the_address_is_copied():
    presenter = quick()
    presenter.desk.view = NullView(opens=False)
    do(presenter, "Ctrl+M")
    assert presenter.desk.view.copied == ["https://fritz.science/source/T0"] and presenter.state.warning


def test_pages_on_the_disk(tmp_path):
    from sedmview.disk import NightOnDisk
    from sedmview.memory import Memory
    from sedmview.targets import Entry, NightList

    night, web = tmp_path / "20190612", tmp_path / "web"
    table = {"paths": {"raw_root": "/dev/null", "redux_root": str(tmp_path)}, "web": {"root": str(web)}}
    disk = NightOnDisk(
        NightList(night, settings=from_table(table, origin="test", base=tmp_path)), Memory(tmp_path), None
    )
    entry = Entry(product="T0", name="T0")
    night.mkdir()
    assert disk.page(entry) is None and disk.night_page() is None
    (night / names("T0")[1]).write_bytes(b"%PDF")
    assert disk.page(entry) == night / "T0_SEDM.pdf"
    (night / names("T0_redo")[1]).write_bytes(b"%PDF")
    assert disk.page(entry) == night / "T0_redo_SEDM.pdf"
    (web / "20190612").mkdir(parents=True)
    (web / "20190612" / "index.html").write_text("x")
    assert disk.night_page() == web / "20190612" / "index.html"
    assert NightOnDisk(NightList(night), Memory(tmp_path), None).night_page() is None


def test_a_name_cannot_leave_its_place_in_an_address():
    assert link_of("https://x/{name}", "a/../b?c=d&e #f", None) == "https://x/a%2F..%2Fb%3Fc%3Dd%26e%20%23f"
    assert link_of("https://x/{ra}", "a", None) is None


@pytest.mark.parametrize(
    "template", ["https://x/{colour}", "file:///etc", "javascript:{name}", "{", "https://u:p@x/{name}"]
)
def test_a_template_that_cannot_be_an_address_is_refused_with_the_configuration(template, tmp_path):
    table = {"paths": {"raw_root": "/dev/null", "redux_root": str(tmp_path)}, "links": {"marshal": template}}
    with pytest.raises(ConfigError):
        from_table(table, origin="test", base=tmp_path)


def test_an_empty_template_says_which_setting():
    from sedmview.presenter import Presenter

    presenter = quick()
    other = Presenter(
        files=presenter.desk.files, jobs=presenter.desk.jobs, view=NullView(), links=Links(cutout="", marshal="")
    )
    other.state.entry, other.state.observation = presenter.state.entry, presenter.state.observation
    do(other, "Ctrl+M")
    assert "[links] marshal" in other.state.message
