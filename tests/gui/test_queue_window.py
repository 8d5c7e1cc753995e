"""The list in a real window: thirty lines, nothing moves, a name typed finds a target."""

from datetime import timedelta

import pytest
from viewer_samples import NOW, Files, make_observation, make_presenter

from sedmview.qt import QtCore
from sedmview.window import Window

MANY = 40


@pytest.fixture
def window(qtbot):
    files = Files(
        {f"ZTF19x{number:02d}": make_observation(product=f"ZTF19x{number:02d}") for number in range(MANY)},
        **{
            f"ZTF19x{number:02d}": {"start": NOW + timedelta(minutes=number), "airmass": 1.23} for number in range(MANY)
        },
    )
    made = Window(make_presenter(files=files))
    qtbot.addWidget(made)
    made.resize(1280, 800 - 32)
    made.show()
    qtbot.waitExposed(made)
    made.draw_now()
    return made


def test_thirty_targets_are_seen_at_once_on_a_small_screen(window):
    listed = window.parts.list
    seen = [listed.visualItemRect(listed.item(row)) for row in range(listed.count())]
    whole = [one for one in seen if one.top() >= 0 and one.bottom() <= listed.viewport().height()]
    assert len(whole) >= 30 and "\n" not in listed.item(0).text()


def test_what_is_new_does_not_move_what_is_under_the_pointer(window):
    listed, presenter = window.parts.list, window.presenter
    listed.verticalScrollBar().setValue(5)
    pointer = listed.visualItemRect(listed.item(12)).center()
    before = listed.itemAt(pointer).data(QtCore.Qt.ItemDataRole.UserRole)
    newest = presenter.state.entries[-1]
    presenter.desk.files.list.append(
        type(newest)(product="SN2019new", name="SN2019new", start=NOW + timedelta(hours=2))
    )
    presenter.listing.refresh()
    window.draw_now()
    assert listed.count() == MANY + 1
    assert listed.itemAt(pointer).data(QtCore.Qt.ItemDataRole.UserRole) == before


def test_a_name_that_is_typed_finds_a_target_and_enter_opens_it(window, qtbot):
    qtbot.keyClick(window.focusWidget() or window, QtCore.Qt.Key.Key_Slash)
    window.draw_now()
    assert window.focusWidget() is window.find
    qtbot.keyClicks(window.find, "x17")
    window.draw_now()
    assert window.parts.list.count() == 1
    qtbot.keyClick(window.find, QtCore.Qt.Key.Key_Return)
    window.draw_now()
    assert window.presenter.state.entry.product == "ZTF19x17"
    assert window.parts.list.count() == MANY and window.find.text() == ""
    # keys are keys again
    assert window.focusWidget() is not window.find
