"""The window itself, without a screen: what is drawn, where clicks go, what keys do."""

import io
import json
import logging
import os
import sys
from dataclasses import replace

import numpy as np
import pyqtgraph as pg
import pytest
import viewer_samples
from astropy.io import fits
from PIL import Image
from viewer_samples import NOW, do, entry_of, make_cube, make_header, make_presenter

from sedmd.host import foreign_picture
from sedmd.products.cube import write_cube
from sedmd.products.published import read_published
from sedmview import app, colours
from sedmview.actions import ACTIONS, keys
from sedmview.hexmap import HexMap, index_map
from sedmview.layout import first_size
from sedmview.memory import Memory
from sedmview.model import MAPS, PAIR_MAPS, Stage
from sedmview.panels import set_tip
from sedmview.pictures import ColourScale
from sedmview.qt import QtCore, QtGui, QtWidgets
from sedmview.spectrumplot import exponent_of
from sedmview.targets import TargetStatus
from sedmview.window import Window

Key, Qt = QtCore.Qt.Key, QtCore.Qt
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def open_night(qtbot, redux, tmp_path):
    """A function that opens the window on the night, on one of its targets."""
    opened = []

    def make(product="ZTF19abc", **options):
        plan = app.CommandLine(folder=redux, names=(product,))
        window, close = app.build(plan, Memory(tmp_path / "memory"), clock=lambda: NOW, **options)
        opened.append((window, close))
        qtbot.addWidget(window)
        window.resize(1300, 850)
        window.show()
        qtbot.waitExposed(window)
        settled(qtbot, window)
        return window

    yield make
    for window, close in opened:
        window.close()
        close()
    sys.excepthook = sys.__excepthook__


@pytest.fixture(autouse=True)
def every_move_counts():
    """pyqtgraph drops moves of the pointer that come faster than a hand makes them."""
    limit = pg.getConfigOption("mouseRateLimit")
    pg.setConfigOption("mouseRateLimit", -1)
    yield
    pg.setConfigOption("mouseRateLimit", limit)


def settled(qtbot, window):
    """Wait until nothing is under way."""
    presenter = window.presenter

    def quiet():
        assert presenter.desk.jobs.pending == 0 and not window._timer.isActive() and presenter.state.opening is None

    qtbot.waitUntil(quiet, timeout=180_000)


@pytest.fixture
def window(open_night):
    return open_night()


def press(qtbot, window, key, modifier=Qt.KeyboardModifier.NoModifier):
    """A key as the window system would send it."""
    qtbot.keyClick(window.focusWidget() or window, key, modifier)
    window.draw_now()


def spot(window, x, y):
    """Where a place of the field is in the viewport."""
    scene = window.parts.field.box.mapViewToScene(QtCore.QPointF(x, y))
    return window.parts.field.mapFromScene(scene)


def click(qtbot, window, x, y):
    place = spot(window, x, y)
    qtbot.mouseMove(window.parts.field.viewport(), place)
    qtbot.mouseClick(window.parts.field.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, place)
    window.draw_now()


def drag(qtbot, window, start, end):
    port = window.parts.field.viewport()
    one, two = spot(window, *start), spot(window, *end)
    qtbot.mousePress(port, LEFT, Qt.KeyboardModifier.NoModifier, one)
    for part in np.linspace(0.2, 1.0, 5):
        place = QtCore.QPointF(one.x() + part * (two.x() - one.x()), one.y() + part * (two.y() - one.y()))
        place = QtCore.QPointF(one.x() + part * (two.x() - one.x()), one.y() + part * (two.y() - one.y()))
        move = QtCore.QEvent.Type.MouseMove
        event = QtGui.QMouseEvent(move, place, LEFT, LEFT, Qt.KeyboardModifier.NoModifier)
        QtWidgets.QApplication.sendEvent(port, event)
    qtbot.mouseRelease(port, LEFT, Qt.KeyboardModifier.NoModifier, two)
    window.draw_now()


# ---- the picture


def test_every_spaxel_has_its_pixels_and_each_pixel_its_spaxel(qapp):
    spaxels = make_cube().spaxels
    reach, pixels = 12.0, 600
    index = index_map(spaxels, reach, pixels)
    scale = pixels / (2 * reach)
    rows = ((reach - spaxels.y_arcsec) * scale).astype(int)
    columns = ((reach - spaxels.x_arcsec) * scale).astype(int)
    assert np.array_equal(index[rows, columns], np.arange(len(spaxels.q)))
    assert index[0, 0] == len(spaxels.q)
    # away from the edge every pixel belongs to the nearest spaxel
    place = np.random.default_rng(0).integers(150, 450, (400, 2))
    x, y = reach - (place[:, 1] + 0.5) / scale, reach - (place[:, 0] + 0.5) / scale
    distance = np.hypot(x[:, None] - spaxels.x_arcsec, y[:, None] - spaxels.y_arcsec)
    found = index[place[:, 0], place[:, 1]]
    assert (found < len(spaxels.q)).all()
    excess = distance[np.arange(400), found] - distance.min(axis=1)
    assert np.mean(excess < 0.03) > 0.97


def test_colours_follow_the_scale(qapp):
    hexes, spaxels = HexMap(), make_cube().spaxels
    hexes.set_field(spaxels, 512)
    values = np.linspace(0.0, 10.0, len(spaxels.q))
    values[3] = np.nan
    options = {"colours": "viridis", "inverted": False, "symmetric": False}
    hexes.set_values(values, ColourScale(low=2.0, high=8.0, step=1.0), **options)
    table = [(int(c) >> 16 & 255, int(c) >> 8 & 255, int(c) & 255) for c in colours.table("viridis")]
    assert hexes.colour_of(0) == table[0] and hexes.colour_of(len(values) - 1) == table[-1]
    assert hexes.colour_of(3) == colours.NO_VALUE
    middle = int(np.argmin(np.abs(spaxels.x_arcsec) + np.abs(spaxels.y_arcsec)))
    assert hexes.spaxel_at(float(spaxels.x_arcsec[middle]), float(spaxels.y_arcsec[middle])) == middle
    assert hexes.spaxel_at(50.0, 0.0) is None
    hexes.set_values(values, ColourScale(low=2.0, high=8.0, step=1.0), **options | {"inverted": True})
    assert hexes.colour_of(0) == table[-1]


def _seen(rgb, kind):
    """Linear-light approximation of colour vision without red or green cones (Vienot et al. 1999)."""
    linear = (np.asarray(rgb, float) / 255) ** 2.2
    to_lms = np.array([[17.8824, 43.5161, 4.1194], [3.4557, 27.1554, 3.8671], [0.0300, 0.1843, 1.4671]])
    lms = linear @ to_lms.T
    if kind == "deutan":
        lms[:, 1] = 0.494207 * lms[:, 0] + 1.24827 * lms[:, 2]
    elif kind == "protan":
        lms[:, 0] = 2.02344 * lms[:, 1] - 2.52581 * lms[:, 2]
    return np.clip(lms @ np.linalg.inv(to_lms).T, 0, 1)


@pytest.mark.parametrize("kind", ["normal", "deutan", "protan"])
@pytest.mark.parametrize("name", sorted({*MAPS, *PAIR_MAPS}))
def test_colour_maps_can_be_read_by_everybody(name, kind):
    packed = colours.table(name)
    rgb = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1)
    seen = _seen(rgb, kind)
    light = seen @ [0.2126, 0.7152, 0.0722]
    if name in MAPS:
        assert np.mean(np.diff(light) > -1e-4) > 0.97 and light[-1] - light[0] > 0.3
    else:  # both ends are told from each other and from the middle
        ends, middle = seen[[0, -1]], seen[len(seen) // 2]
        assert np.abs(ends - middle).max(axis=1).min() > 0.15
        quarter = seen[[len(seen) // 4, 3 * len(seen) // 4]]
        assert np.abs(quarter[0] - quarter[1]).max() > 0.1


def test_the_screen_shows_the_colour_of_each_spaxel(window):
    field = window.parts.field
    picture = field.viewport().grab().toImage()
    spaxels = window.presenter.state.observation.field_cube.spaxels
    ratio = picture.devicePixelRatioF()
    checked = 0
    for number in range(0, len(spaxels.q), 37):
        x, y = float(spaxels.x_arcsec[number]), float(spaxels.y_arcsec[number])
        if np.hypot(x - 3, y + 4) < 9 or np.hypot(x + 3, y - 4) < 9 or (x < -6 and y < -6):
            continue  # apertures, sky marks, the compass
        place = spot(window, x, y)
        colour = picture.pixelColor(int(place.x() * ratio), int(place.y() * ratio))
        assert (colour.red(), colour.green(), colour.blue()) == field.hexes.colour_of(number)
        checked += 1
    assert checked > 3


def test_the_window_lies_whole_on_a_small_screen(window):
    """1280 x 800, the frame of the window manager and its title included."""
    least = window.minimumSizeHint()
    assert least.width() <= 1270
    assert least.height() <= 760
    assert first_size(1280, 800) == (1280, 768)
    assert first_size(1920, 1080) == (1920, 1048)
    assert first_size(2560, 1440) == (1920, 1080)


def test_north_is_up_and_east_is_left(window):
    centre, north, east = (spot(window, x, y) for x, y in ((0.0, 0.0), (0.0, 5.0), (5.0, 0.0)))
    assert north.y() < centre.y() and abs(north.x() - centre.x()) <= 1
    assert east.x() < centre.x() and abs(east.y() - centre.y()) <= 1


def test_readout_of_the_pointer(window):
    text = window.parts.field.readout(3.0, -4.0)
    # as long as nobody knows where targets land, the middle of the field has the target's position
    assert text.startswith("14:12:28.72 +27:59:56.0") and "E  +3.00″" in text and "electron" in text


# ---- pointer and keys


def test_a_cross_marks_where_targets_land(window):
    field, presenter = window.parts.field, window.presenter
    shown = {"floating": False, "hidden": False}
    offered = replace(presenter.state.suggestion, expected=((-1.0, 4.4), (2.0, 0.5)))
    field.show_apertures(presenter.state.choice, offered=offered, **shown)
    assert [tuple(place) for place in np.transpose(field._expected.getData())] == [(-1.0, 4.4), (2.0, 0.5)]
    field.show_apertures(presenter.state.choice, offered=None, **shown)
    assert len(field._expected.getData()[0]) == 0


def test_clicks_and_drags_go_where_the_pointer_is(window, qtbot):
    presenter = window.presenter
    press(qtbot, window, Key.Key_X)
    click(qtbot, window, 2.5, -3.5)
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == pytest.approx(
        (2.5, -3.5), abs=0.05
    )
    assert presenter.state.choice.active == "B"
    # exactly on the mark of the suggestion, which must not swallow the click
    click(qtbot, window, presenter.state.suggestion.b.x_arcsec, presenter.state.suggestion.b.y_arcsec)
    assert presenter.state.phase == 3 and presenter.state.choice.b.x_arcsec == pytest.approx(-3.0, abs=0.1)
    drag(qtbot, window, (2.5, -3.5), (3.0, -4.0))
    assert (presenter.state.choice.a.x_arcsec, presenter.state.choice.a.y_arcsec) == pytest.approx(
        (3.0, -4.0), abs=0.06
    )
    press(qtbot, window, Key.Key_U)
    assert presenter.state.choice.a.x_arcsec == pytest.approx(2.5, abs=0.05)


def test_a_click_on_the_colour_bar_or_an_axis_places_nothing(window, qtbot):
    press(qtbot, window, Key.Key_X)
    before = window.presenter.state.choice
    for widget, place in (
        (window.parts.bar, QtCore.QPoint(50, 8)),
        (window.parts.field.viewport(), QtCore.QPoint(8, 200)),
        (window.parts.spectrum.viewport(), QtCore.QPoint(200, 200)),
        (window.parts.field.viewport(), spot(window, 11.9, 11.9)),
    ):
        qtbot.mouseClick(widget, LEFT, Qt.KeyboardModifier.NoModifier, place)
    assert window.presenter.state.choice == before


def test_a_key_pressed_while_the_pointer_is_outside(window, qtbot):
    press(qtbot, window, Key.Key_X)
    qtbot.mouseMove(window.parts.field.viewport(), spot(window, 2.0, 2.0))
    window.parts.field.left.emit()
    place = window.presenter.state.shown.a
    press(qtbot, window, Key.Key_Z)
    now = window.presenter.state.shown.a
    assert (now.x_arcsec, now.y_arcsec) == (place.x_arcsec, place.y_arcsec)
    assert now.semi_major_arcsec < place.semi_major_arcsec


def test_every_key_of_the_table_arrives(window, qtbot, monkeypatch):
    """None is taken by Qt, and none is bound twice, which would make it do nothing."""
    arrived = []
    monkeypatch.setattr(window, "key", arrived.append)
    signs = {"<": Key.Key_Less, ">": Key.Key_Greater, "?": Key.Key_Question}
    for name in keys():
        sequence = QtGui.QKeySequence(name)
        combination = sequence[0]
        code = combination if isinstance(combination, int) else combination.toCombined()
        modifiers = Qt.KeyboardModifier.NoModifier
        shift, control, alt = (getattr(Qt.KeyboardModifier, f"{one}Modifier") for one in ("Shift", "Control", "Alt"))
        for mask in (shift, control, alt):
            if code & (mask.value if hasattr(mask, "value") else int(mask)):
                modifiers |= mask
        key = signs.get(name[-1]) or Key(code & 0x01FFFFFF)
        arrived.clear()
        qtbot.keyClick(window, key, modifiers)
        assert arrived == [name], name


def test_keys_held_down_grade_and_save_once(window, qtbot):
    press(qtbot, window, Key.Key_S)
    steps = len(window.presenter.history._undo)
    for _ in range(5):
        event = QtGui.QKeyEvent(QtCore.QEvent.Type.KeyPress, Key.Key_1, Qt.KeyboardModifier.NoModifier, "1", True)
        QtWidgets.QApplication.sendEvent(window, event)
    assert len(window.presenter.history._undo) == steps and window.presenter.state.choice.grade is None
    press(qtbot, window, Key.Key_1)
    assert window.presenter.state.choice.grade == 1


def test_letters_typed_as_a_name_are_a_name(window, qtbot, redux):
    press(qtbot, window, Key.Key_S)
    press(qtbot, window, Key.Key_2)
    choice = window.presenter.state.choice
    press(qtbot, window, Key.Key_Return)
    assert window.parts.name.hasFocus() or window.focusWidget() is window.parts.name
    qtbot.keyClicks(window.parts.name, "Max. X, 1")
    qtbot.keyClick(window.parts.name, Key.Key_Up)
    assert window.parts.name.text() == "Max. X, 1" and window.presenter.state.choice == choice
    qtbot.keyClick(window.parts.name, Key.Key_Return)
    assert window.presenter.state.reducer == "Max. X, 1" and not window.parts.name.hasFocus()
    assert not (redux / "sp_ZTF19abc.fits").exists()  # the first Enter ends the name, the next one saves
    press(qtbot, window, Key.Key_Return)
    settled(qtbot, window)
    assert (redux / "sp_ZTF19abc.fits").exists() and "Saved" in window.parts.prompt.text()
    rows = [window.parts.list.item(row).text() for row in range(window.parts.list.count())]
    assert any("Max. X, 1" in row for row in rows)


def test_numbers_typed_in_the_fields(window, qtbot):
    press(qtbot, window, Key.Key_S)
    parts, presenter = window.parts, window.presenter

    def enter(box, text):
        box.setFocus()
        box.selectAll()
        qtbot.keyClicks(box, text)
        qtbot.keyClick(box, Key.Key_Return)
        window.leave_text()
        window.draw_now()

    enter(parts.window_low, "520")
    enter(parts.window_high, "560")
    assert presenter.state.choice.window == (5200.0, 5600.0)
    enter(parts.aperture_boxes[2], "3.1")
    assert presenter.state.choice.a.semi_major_arcsec == 3.1
    enter(parts.redshift, "0.05")
    assert presenter.state.redshift == 0.05 and len(parts.spectrum.marks.lines) > 3
    for nonsense in ("abc", "", "nan", "1e999"):
        enter(parts.aperture_boxes[0], nonsense)
    assert np.isfinite(presenter.state.choice.a.x_arcsec)


def test_the_band_on_the_spectrum_is_dragged(window):
    window.parts.spectrum._window.setRegion((5100.0, 5900.0))
    window.draw_now()
    assert window.presenter.state.choice.window == (5100.0, 5900.0)
    assert window.parts.window_low.text() == "510"


def test_curves_show_the_spectrum_that_is_saved(window):
    x, y = window.parts.spectrum._curve.getData()
    spectrum = window.presenter.spectra.extraction.spectrum
    scale = y[30] / spectrum.flux[30]
    assert np.array_equal(x, spectrum.wavelength) and np.allclose(y, spectrum.flux * scale)
    assert np.log10(scale) == pytest.approx(round(np.log10(scale)))


def test_the_spectrum_under_the_pointer(window, qtbot):
    press(qtbot, window, Key.Key_H)
    window.presenter.placing.point(3.0, -4.0)
    window.draw_now()
    assert len(window.parts.spectrum._pointer.getData()[0]) == 60
    press(qtbot, window, Key.Key_H)
    assert window.parts.spectrum._pointer.getData()[0] is None or not len(window.parts.spectrum._pointer.getData()[0])


# ---- the rest of the window


def test_help_is_made_from_the_table(window, qtbot):
    press(qtbot, window, Key.Key_F1)
    assert window.parts.help.isVisible() and "back to scaling" in window.parts.help.text()
    assert window.parts.help.width() <= window.width() and window.parts.help.height() <= window.height()
    press(qtbot, window, Key.Key_F1)
    assert not window.parts.help.isVisible()


def test_menus_are_made_from_the_table(window):
    titles = [entry.text() for menu in window.parts.menus.values() for entry in menu.actions()]
    assert titles == [
        f"{action.title}\t{action.keys[0]}" for menu in window.parts.menus for action in ACTIONS if action.menu == menu
    ]


def test_everything_that_is_used_has_a_name_for_a_screen_reader(window):
    for widget in (
        window.parts.field,
        window.parts.spectrum,
        window.parts.list,
        window.parts.finder,
        window.parts.name,
    ):
        assert widget.accessibleName()


def test_the_finder_chart_nearest_in_time(qtbot, redux, tmp_path, open_night):
    finders = redux / "finders"
    finders.mkdir()
    for name in ("finder_rc20190612_04_05_00_ACQ-ZTF19abc_NA.png", "finder_rc20190612_02_05_00_ACQ-ZTF19abc_NA.png"):
        image = QtGui.QImage(60, 60, QtGui.QImage.Format.Format_RGB32)
        image.fill(QtGui.QColor("#204060"))
        image.save(str(finders / name))
    (finders / "finder_rc20190612_04_07_00_ACQ-ZTF19abcd_NA.png").write_bytes(b"no chart, and of another target")
    window = open_night()
    assert "finder 3 min apart" in window.parts.finder_facts.text()
    assert window.parts.finder.pixmap() is not None


def chart_at(redux, content):
    """A finder chart of ZTF19abc that is `content`; a function makes what is no plain file."""
    path = redux / "finders" / "finder_rc20190612_04_05_00_ACQ-ZTF19abc_NA.png"
    path.parent.mkdir()
    content(path) if callable(content) else path.write_bytes(content)
    return path


def encoded(form):
    buffer = io.BytesIO()
    image = Image.new("RGB", (61, 40), (255, 0, 0))
    image.paste((0, 0, 255), (30, 0, 61, 40))
    image.save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_finder_chart_is_shown_as_it_is(qtbot, redux, open_night, form):
    chart_at(redux, encoded(form))
    shown = open_night().parts.finder._picture.toImage()
    assert (shown.width(), shown.height()) == (61, 40)
    left, right = (QtGui.QColor(shown.pixel(x, 20)) for x in (5, 55))
    assert left.red() > 240 and left.blue() < 15 and right.blue() > 240 and right.red() < 15


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (encoded("GIF"), "cannot identify"),
        (encoded("BMP"), "cannot identify"),
        (encoded("PPM"), "cannot identify"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "cannot identify"),
        (encoded("PNG")[:90], "ZTF19abc_NA.png cannot be read"),
        (os.mkfifo, "a pipe"),
        (lambda path: path.symlink_to(path.parent / "elsewhere.png"), "a link"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 50_000_000), "50000000 bytes"),
    ],
    ids=["gif", "bmp", "ppm", "svg", "cut", "pipe", "link", "long"],
)
def test_a_chart_that_is_no_picture_costs_itself_and_says_so(qtbot, redux, open_night, caplog, content, why):
    path = chart_at(redux, content)
    window = open_night()
    assert window.parts.finder._picture is None
    told = window.parts.finder.text()
    assert told.startswith("no finder chart: ") and path.name in told and why in told
    assert window.presenter.state.choice is not None and why in caplog.text


def test_a_decoder_that_dies_over_a_chart_leaves_the_window(qtbot, redux, open_night, monkeypatch):
    monkeypatch.setattr(foreign_picture, "pixels", viewer_samples.die_of)
    chart_at(redux, encoded("PNG"))
    window = open_night()
    assert "SIGSEGV" in window.parts.finder.text() and window.isVisible()


def test_a_name_that_looks_like_html_is_a_name_in_a_tool_tip(qtbot):
    widget = QtWidgets.QLabel()
    qtbot.addWidget(widget)
    for text in ("<img src=evil.png> & more\nsecond line", "plain"):
        set_tip(widget, text)
        document = QtGui.QTextDocument()
        document.setHtml(widget.toolTip())
        assert "<img" not in document.toHtml().lower() and document.toPlainText() == text
    assert widget.toolTip() == "plain"


def test_a_fault_shows_itself_and_the_window_stays(window, qtbot, monkeypatch, caplog):
    def broken():
        raise RuntimeError("a bug nobody expected")

    monkeypatch.setattr(window, "_draw_picture", broken)
    window.changed("picture")
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError) as caught:
        window.draw_now()
    sys.excepthook(caught.type, caught.value, caught.tb)  # what Qt calls for a slot
    window.draw_now()
    assert "a bug nobody expected" in window.parts.prompt.text() and window.isVisible()
    assert "a bug nobody expected" in caplog.text


def test_closing_at_once_loses_nothing(window, qtbot, redux, open_night):
    press(qtbot, window, Key.Key_S)
    press(qtbot, window, Key.Key_Z)
    choice = window.presenter.state.choice
    window.close()
    window.presenter.desk.jobs.close()
    window.presenter.drafts.leave()
    again = open_night()
    assert again.presenter.state.choice == choice


def test_actions_are_logged_with_who_and_when(window, qtbot, tmp_path):
    press(qtbot, window, Key.Key_S)
    settled(qtbot, window)
    lines = (tmp_path / "memory" / "actions.jsonl").read_text().splitlines()
    event = json.loads(lines[-1])
    assert event["action"] == "aperture.suggestion" and event["target"] == "ZTF19abc" and event["time"]


# ---- what cubes there are


@pytest.mark.parametrize("what", ["cut", "empty", "garbage", "nothing"])
def test_a_bad_cube_is_told_and_costs_itself_only(open_night, redux, qtbot, what):
    path = next(redux.glob("*SN2019xyz*"))
    content = path.read_bytes()
    if what == "empty":
        header = fits.getheader(path)
        path.unlink()
        fits.PrimaryHDU(header=header).writeto(path, output_verify="silentfix")
    else:
        path.write_bytes({"cut": content[:40000], "garbage": b"not FITS at all" * 500, "nothing": b""}[what])
    window = open_night()
    presenter = window.presenter
    bad = [entry for entry in presenter.state.entries if entry.product == "SN2019xyz_obs1"]
    if bad:
        presenter.opening.open(bad[0])
        settled(qtbot, window)
        assert presenter.state.warning and presenter.state.entry.product == "ZTF19abc"
    assert presenter.state.choice is not None


def test_a_field_of_nothing_but_bad_samples(open_night, redux, qtbot):
    cube = make_cube()
    cube.mask[:] = 8
    path = next(redux.glob("*SN2019xyz*"))
    write_cube(path, cube, header=make_header("SN2019xyz", 0.215))
    window = open_night("SN2019xyz_obs1")
    assert window.presenter.state.entry.product == "SN2019xyz_obs1"
    press(qtbot, window, Key.Key_N)
    assert window.presenter.state.choice.grade == 4


def test_a_read_only_disk_keeps_the_choice(window, qtbot, redux, monkeypatch):
    from sedmd.observation import saved

    def readonly(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(saved.tempfile, "mkdtemp", readonly)
    window.presenter.saving.set_reducer("Ada")
    for key in (Key.Key_S, Key.Key_1, Key.Key_Return):
        press(qtbot, window, key)
    settled(qtbot, window)
    assert "Read-only file system" in window.parts.prompt.text()
    assert window.presenter.desk.files.draft(window.presenter.state.entry)["grade"] == 1
    assert sorted(path.name for path in redux.iterdir() if not path.name.startswith("e3d_")) == []
    monkeypatch.undo()
    press(qtbot, window, Key.Key_Return)
    settled(qtbot, window)
    assert window.presenter.state.entry.state is TargetStatus.DONE


def test_a_window_without_any_target(qtbot, tmp_path):
    nothing = {"entries": lambda self: ([], []), "night_page": lambda self: None}
    presenter = make_presenter(files=type("Empty", (), nothing)())
    window = Window(presenter)
    qtbot.addWidget(window)
    window.show()
    for name in keys():
        window.key(name)
    window.draw_now()
    assert "No cube yet" in window.parts.prompt.text() or window.parts.prompt.text()


def test_a_cube_of_pysedm_is_looked_at(qtbot, tmp_path):
    sys.path.append(str(tmp_path.__class__(__file__).parents[1] / "unit"))
    from test_products_e3d import pysedm_cube

    path = tmp_path / "20190612" / "e3d_crr_b_ifu20190612_04_07_07_ZTF19abc.fits"
    path.parent.mkdir()
    pysedm_cube(path)
    plan = app.CommandLine(folder=path.parent, cubes=(path,))
    window, close = app.build(plan, Memory(tmp_path / "memory"), clock=lambda: NOW)
    qtbot.addWidget(window)
    window.show()
    settled(qtbot, window)
    assert window.presenter.state.entry.product == "ZTF19abc_obs1"
    do(window.presenter, "X")
    window.presenter.placing.place(0.5, 0.5)
    window.presenter.placing.set_aperture(2, 1.0)
    window.draw_now()
    assert window.presenter.spectra.extraction is not None
    window.close()
    close()


# ---- the command line


def test_single_cubes_names_and_nights_are_understood(redux, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def plan(*words):
        return app.plan_of(app.parser().parse_args(list(words)), app.Path.cwd())

    root = str(redux.parent)
    assert plan("--redux", root).folder == redux
    assert plan("--redux", root, "--night", "20190612", "ZTF19abc").names == ("ZTF19abc",)
    assert plan(str(redux)).folder == redux
    cube = next(redux.glob("*SN2019xyz*"))
    assert plan(str(cube)).cubes == (cube,)
    monkeypatch.chdir(redux)
    assert plan().folder == redux
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEDM_REDUX", root)
    assert plan().folder == redux


@pytest.mark.parametrize(
    "words", [["nowhere/e3d_x.fits"], ["--redux", "nowhere"], [], ["--night", "20200101"], ["--redux", ".", "X"]]
)
def test_nothing_to_show_is_said_in_a_line(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert app.main(words) == 2
    assert capsys.readouterr().err.startswith("sedmview: ")


def test_a_target_on_the_command_line_is_opened(open_night):
    assert open_night("SN2019xyz").presenter.state.entry.product == "SN2019xyz_obs1"


def test_an_unknown_target_is_told(open_night):
    window = open_night("SN1999zz")
    assert "No target SN1999zz" in window.presenter.state.message
    assert entry_of(window.presenter, "ZTF19abc").openable and window.presenter.state.stage is Stage.SCALE


# ---- a spectrum of somebody else's


def published_file(folder, name="ZTF18abcdefg"):
    path = folder / "published.txt"
    rows = "\n".join(f"{n} {3e-15 * (n / 6000) ** -1} 1e-33" for n in range(3800, 9200, 25))
    path.write_text(f"# OBJECT: {name}  [A]\n# HYPERGAL: 1.5.0\n{rows}\n")
    return path


def test_a_comparison_is_drawn_at_the_level_of_the_object_and_told_in_the_legend(qtbot, open_night, tmp_path):
    window = open_night("SN2019xyz", compare=published_file(tmp_path))
    plot, presenter = window.parts.spectrum, window.presenter
    wavelength, drawn = plot._comparison.getData()
    ours = presenter.spectra.extraction.spectrum
    low, high = 4000, 9000
    inner = (ours.wavelength > low) & (ours.wavelength < high)
    level = np.nanmedian(ours.flux[inner]) / 10.0 ** exponent_of(ours)
    assert np.median(drawn[(wavelength > low) & (wavelength < high)]) == pytest.approx(level, rel=0.02)
    assert "ZTF18abcdefg" in plot._told and "×" in plot._told
    press(qtbot, window, Key.Key_O)
    assert plot._comparison.getData()[0] is None or len(plot._comparison.getData()[0]) == 0
    assert "ZTF18abcdefg" not in plot._told


def test_the_key_asks_for_a_file_without_holding_up_the_window(qtbot, window, tmp_path):
    press(qtbot, window, Key.Key_O)
    dialogue = window._dialogue
    assert dialogue.isVisible() and not dialogue.isModal()
    dialogue.fileSelected.emit(str(published_file(tmp_path)))
    settled(qtbot, window)
    assert window.presenter.state.comparison is not None
    dialogue.close()


def test_a_name_in_a_file_is_text_never_markup(qtbot, open_night, tmp_path):
    window = open_night(compare=published_file(tmp_path, "<b>x</b>"))
    assert "&lt;b&gt;x" in window.parts.spectrum._told


def test_what_lies_elsewhere_in_wavelength_is_said(window, tmp_path):
    path = tmp_path / "infrared.txt"
    path.write_text("\n".join(f"{n} 1e-15" for n in range(10000, 20000, 50)))
    plot = window.parts.spectrum
    extraction = window.presenter.spectra.extraction
    plot.show_extraction(extraction, comparison=read_published(path))
    assert "no wavelength in common" in plot._told
