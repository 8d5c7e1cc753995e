"""The window itself, without a screen: what is drawn, where clicks go, what keys do."""

import numpy as np
import pytest
from viewer_samples import make_cube, make_target

pytest.importorskip("pyqtgraph", exc_type=ImportError)

from sedmview import app, store
from sedmview.hexmap import HexMap, index_map
from sedmview.model import Scale, Stage
from sedmview.presenter import Files, Presenter
from sedmview.qt import QtCore, QtGui, QtWidgets
from sedmview.window import Window


@pytest.fixture(scope="session")
def application():
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication([])


@pytest.fixture
def window(application, redux):
    entries, _ = store.entries_of(redux)
    presenter = Presenter(entries=entries, files=Files(load=store.load, save=store.save), view=None, reducer="")
    window = Window(presenter)
    window.resize(1200, 800)
    window.show()
    application.processEvents()
    presenter.open(1)
    window.work_now()
    application.processEvents()
    yield window
    window.close()


def press(window, key, modifier=QtCore.Qt.KeyboardModifier.NoModifier, text=""):
    """A key as the window system would send it."""
    application = QtWidgets.QApplication.instance()
    for kind in (QtCore.QEvent.Type.KeyPress, QtCore.QEvent.Type.KeyRelease):
        application.sendEvent(window.focusWidget() or window, QtGui.QKeyEvent(kind, key, modifier, text))
    application.processEvents()


def test_every_spaxel_has_its_pixels_and_each_pixel_its_spaxel(application):
    spaxels = make_cube().spaxels
    reach, pixels = 12.0, 600
    index = index_map(spaxels, reach, pixels)
    scale = pixels / (2 * reach)
    rows = ((spaxels.y_arcsec + reach) * scale).astype(int)
    columns = ((spaxels.x_arcsec + reach) * scale).astype(int)
    assert np.array_equal(index[rows, columns], np.arange(len(spaxels.q)))
    assert index[0, 0] == -1
    # away from the edge every pixel belongs to the nearest spaxel
    place = np.random.default_rng(0).integers(150, 450, (400, 2))
    x, y = (place[:, 1] + 0.5) / scale - reach, (place[:, 0] + 0.5) / scale - reach
    distance = np.hypot(x[:, None] - spaxels.x_arcsec, y[:, None] - spaxels.y_arcsec)
    found = index[place[:, 0], place[:, 1]]
    assert (found >= 0).all()
    excess = distance[np.arange(400), found] - distance.min(axis=1)
    assert np.mean(excess < 0.03) > 0.97


def test_colours_follow_the_scale(application):
    import pyqtgraph as pg

    hexes = HexMap()
    spaxels = make_cube().spaxels
    hexes.set_field(spaxels, 512)
    values = np.linspace(0.0, 10.0, len(spaxels.q))
    values[3] = np.nan
    hexes.set_values(values, Scale(low=2.0, high=8.0, step=1.0), colours=pg.colormap.get("viridis"))
    table = pg.colormap.get("viridis").getLookupTable(nPts=256)
    assert hexes.colour_of(0) == tuple(table[0][:3])
    assert hexes.colour_of(len(values) - 1) == tuple(table[-1][:3])
    assert hexes.colour_of(3) == (62, 68, 76)
    middle = int(np.argmin(np.abs(spaxels.x_arcsec) + np.abs(spaxels.y_arcsec)))
    assert hexes.spaxel_at(float(spaxels.x_arcsec[middle]), float(spaxels.y_arcsec[middle])) == middle
    assert hexes.spaxel_at(50.0, 0.0) is None


def test_north_is_up_and_east_is_left(window):
    box = window._field.box
    centre, north, east = (box.mapViewToScene(QtCore.QPointF(x, y)) for x, y in ((0.0, 0.0), (0.0, 5.0), (5.0, 0.0)))
    assert north.y() < centre.y() and abs(north.x() - centre.x()) < 1
    assert east.x() < centre.x() and abs(east.y() - centre.y()) < 1


def test_a_click_goes_where_the_pointer_is(window, application):
    window._field.picked.emit(2.5, -3.5)
    window.work_now()
    presenter = window.presenter
    assert presenter.stage is Stage.PLACE
    assert (presenter.choice.a.x_arcsec, presenter.choice.a.y_arcsec) == (2.5, -3.5)
    assert "Aperture B" in window._figures.text()


def test_keys_reach_the_presenter_through_the_table(window):
    presenter = window.presenter
    for name in ("X", "X", "[", "1"):
        window.key(name)
    assert presenter.choice.a.semi_major_arcsec == 2.2
    assert presenter.choice.a.axis_ratio == 0.9
    assert window._grades[1].isChecked() and not window._grades[2].isChecked()


def test_letters_typed_as_a_name_are_a_name(window, application):
    window.key("X")
    size = window.presenter.choice.a.semi_major_arcsec
    window.activateWindow()
    window._name.setFocus()
    application.processEvents()
    for letter in "Max":
        key = getattr(QtCore.Qt.Key, f"Key_{letter.upper()}")
        application.sendEvent(
            window._name,
            QtGui.QKeyEvent(QtCore.QEvent.Type.KeyPress, key, QtCore.Qt.KeyboardModifier.NoModifier, letter),
        )
    assert window._name.text() == "Max"
    assert window.presenter.choice.a.semi_major_arcsec == size


def test_name_grade_and_save_write_the_spectrum(window, redux):
    window.key("X")
    window.key("1")
    window._name.setText("Ada")
    window.key("Ctrl+S")
    assert (redux / "sp_ZTF19abc.fits").exists()
    assert "Saved" in window._prompt.text()
    assert "1 Ada" in window._list.item(1).text()


def test_curves_show_the_spectrum_that_is_saved(window):
    x, y = window._spectrum._curve.getData()
    spectrum = window.presenter.spectrum
    assert np.array_equal(x, spectrum.wavelength) and np.array_equal(y, spectrum.flux)


def test_help_is_shown_and_hidden(window):
    window.key("?")
    assert window._help.isVisible() and "back to scaling" in window._help.text()
    window.key("?")
    assert not window._help.isVisible()


def test_a_problem_is_written_where_the_spectrum_was(window):
    window._field.picked.emit(60.0, 0.0)
    window.work_now()
    assert "off the field" in window._trouble.text()
    assert window._spectrum._curve.getData()[0] is None or len(window._spectrum._curve.getData()[0]) == 0


def test_window_survives_every_key_without_a_target(application):
    presenter = Presenter(entries=[], files=Files(load=store.load, save=store.save), view=None, reducer="")
    window = Window(presenter)
    for name in ("X", ">", "<", "Q", "N", "Z", "Tab", "1", "Ctrl+S", "U", "W", "PgDown", "PgUp", "Esc", "?"):
        window.key(name)
    window.work_now()
    window.close()


def test_single_target_opens_and_shows_no_list(application):
    entry = store.Entry(product="T", cubes=())
    presenter = Presenter(
        entries=[entry], files=Files(load=lambda _: make_target(), save=store.save), view=None, reducer=""
    )
    window = Window(presenter)
    window.show()
    presenter.open(0)
    window.work_now()
    assert not window._list.isVisible()
    assert "single exposure" in window._facts.text()
    window.close()


@pytest.mark.parametrize("paths", [["nowhere/e3d_x.fits"], ["."]])
def test_nothing_to_show_is_said_in_a_line(tmp_path, monkeypatch, capsys, paths):
    monkeypatch.chdir(tmp_path)
    assert app.main(paths) == 2
    assert capsys.readouterr().err.startswith("sedmview: ")
