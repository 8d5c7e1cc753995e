"""When there is no room for products no job begins; told once, and once when there is room again."""

import io
from datetime import UTC, datetime

import pytest

from sedmd.core.config import from_table
from sedmd.daemon import disk
from sedmd.run.event_log import EventLog

NOW = datetime(2019, 6, 12, 8, tzinfo=UTC)
MB = 1_000_000


class Disks:
    """Free bytes by folder, and the gate that looks at them."""

    def __init__(self, tmp_path, *, min_free_mb):
        self.redux, self.state = tmp_path / "redux", tmp_path / "state"
        self.redux.mkdir()
        table = {
            "paths": {"raw_root": str(tmp_path / "raw"), "redux_root": str(self.redux), "state_dir": str(self.state)},
            "disk": {"min_free_mb": min_free_mb},
        }
        self.left = {self.redux: 100 * MB, self.state: 5000 * MB}
        self.log = io.StringIO()
        report = EventLog(clock=lambda: NOW, stream=self.log, journal=False)
        self.seconds = 0.0
        settings = from_table(table, origin="", base=tmp_path)
        self.gate = disk.DiskGate(settings, report, monotonic=lambda: self.seconds)

    def told(self):
        return self.log.getvalue().splitlines()


@pytest.fixture
def disks(tmp_path, monkeypatch):
    def make(*, min_free_mb):
        found = Disks(tmp_path, min_free_mb=min_free_mb)
        monkeypatch.setattr(disk, "free_bytes", found.left.get)
        return found

    return make


def test_too_little_room_is_told_once_and_its_end_once(disks):
    here = disks(min_free_mb=50)
    assert here.gate.room() and here.told() == []
    here.left[here.redux] = 49 * MB
    assert not here.gate.room() and not here.gate.room()
    assert len(here.told()) == 1 and "redux_root has 49 MB; 50 MB needed" in here.told()[0]
    here.left[here.redux] = 50 * MB  # what one product gives back
    assert not here.gate.room() and len(here.told()) == 1
    here.left[here.redux] = 60 * MB
    assert here.gate.room() and here.gate.room()
    assert len(here.told()) == 2 and "room again" in here.told()[1]


def test_the_ledgers_disk_counts_too(disks):
    here = disks(min_free_mb=50)
    here.left[here.state] = 1 * MB
    assert not here.gate.room()
    assert "state_dir has 1 MB" in here.gate.complaint


def test_after_a_product_that_did_not_fit_only_room_where_products_go_is_room(disks):
    here = disks(min_free_mb=0)
    here.left[here.redux] = 0
    here.gate.refuse()
    assert not here.gate.room()
    here.left[here.state] += 1000 * MB  # somebody else's files, on another disk
    assert not here.gate.room()
    here.left[here.redux] = disk.STEP  # what one unfinished product gives back
    assert not here.gate.room()
    here.left[here.redux] = 20 * MB
    assert not here.gate.room(busy=True)
    assert here.gate.room()
    assert ["disk full: a product did not fit" in line for line in here.told()] == [True, False]


def test_room_that_came_between_the_failure_and_its_booking_is_room(disks):
    """The ledger is on the same disk: the failure is booked only when there is room again."""
    here = disks(min_free_mb=0)
    here.gate.refuse(0)  # by now there are 100 MB
    assert here.gate.room() and here.told() == []


def test_what_free_space_does_not_show_is_tried_again_after_a_while(disks):
    here = disks(min_free_mb=0)
    here.gate.refuse()  # a quota: 100 MB are free, and are not for us
    assert not here.gate.room()
    here.seconds = disk.AGAIN_S - 1
    assert not here.gate.room()
    here.seconds = disk.AGAIN_S
    assert not here.gate.room(busy=True)
    assert here.gate.room()
    here.gate.refuse()
    assert not here.gate.room()


def test_a_disk_that_does_not_answer_is_not_called_full(disks):
    here = disks(min_free_mb=50)
    del here.left[here.redux]
    assert here.gate.room()
    here.gate.refuse()
    assert here.gate.room() and here.told() == []
