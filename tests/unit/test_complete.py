"""The gate: a file passes when it is whole and still, and is deferred when it stops too early."""

from pathlib import Path

import pytest

from sedmd.core.errors import FrameFault
from sedmd.daemon.complete import Completeness, Gate
from sedmd.raw.fitsfile import FileCheck

FRAME = Path("/raw/20190612/ifu.fits")


class Disk:
    """A file that grows as the test says; `examine` and the gate see the same."""

    def __init__(self, *, expected: int = 100) -> None:
        self.size, self.mtime_ns, self.expected, self.reads = 0, 0, expected, 0
        self.error: OSError | None = None

    def examine(self, path: Path) -> FileCheck:
        self.reads += 1
        if self.error:
            raise self.error
        if self.size == 13:
            raise FrameFault("no FITS file")
        whole = self.size >= self.expected
        reason = "" if whole else "cut"
        return FileCheck(whole=whole, size=self.size, expected=self.expected, reason=reason, mtime_ns=self.mtime_ns)


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def gate(disk):
    return Gate(settle_s=2, timeout_s=300, examine=disk.examine)


def look(gate: Gate, disk: Disk, now_s: float) -> Completeness:
    return gate.look(FRAME, size=disk.size, mtime_ns=disk.mtime_ns, now_s=now_s)[0]


def test_a_whole_file_passes_after_it_was_still(gate, disk):
    disk.size = 100
    assert look(gate, disk, 0) is Completeness.SETTLING
    assert look(gate, disk, 1.9) is Completeness.SETTLING
    assert disk.reads == 0
    assert look(gate, disk, 2.0) is Completeness.READY
    assert gate.settling() == []


def test_growth_and_touch_start_the_wait_anew(gate, disk):
    for now, (disk.size, disk.mtime_ns) in enumerate([(10, 1), (50, 2), (100, 3), (100, 4)]):
        assert look(gate, disk, 1.5 * now) is Completeness.SETTLING
    assert look(gate, disk, 6.4) is Completeness.SETTLING
    assert look(gate, disk, 6.5) is Completeness.READY


def test_a_cut_file_is_deferred_after_the_timeout_and_welcome_when_it_grows(gate, disk):
    disk.size = 50
    assert look(gate, disk, 0) is Completeness.SETTLING
    assert look(gate, disk, 299) is Completeness.SETTLING
    assert gate.look(FRAME, size=50, mtime_ns=0, now_s=300) == (Completeness.DEFERRED, "cut")
    disk.size = 100
    assert look(gate, disk, 400) is Completeness.SETTLING
    assert look(gate, disk, 402) is Completeness.READY


def test_what_can_never_be_a_frame_is_passed_on_to_be_refused(gate, disk):
    disk.size = 13
    look(gate, disk, 0)
    assert look(gate, disk, 2) is Completeness.READY


def test_a_file_that_grows_while_it_is_read_waits(gate, disk):
    disk.size = 100
    look(gate, disk, 0)
    assert gate.look(FRAME, size=100, mtime_ns=0, now_s=1)[0] is Completeness.SETTLING
    disk.size = 150  # after the stat, before the examination
    assert gate.look(FRAME, size=100, mtime_ns=0, now_s=2)[0] is Completeness.SETTLING


def test_files_that_vanish_are_forgotten(gate, disk):
    look(gate, disk, 0)
    assert gate.settling() == [FRAME]
    gate.forget(FRAME)
    assert gate.settling() == []


def test_a_deferred_file_is_told_once_and_left_alone_until_something_changes(gate, disk):
    disk.size = 50
    look(gate, disk, 0)
    assert look(gate, disk, 300) is Completeness.DEFERRED
    reads = disk.reads
    for now in (301, 900, 50000):
        assert gate.look(FRAME, size=50, mtime_ns=0, now_s=now) == (Completeness.DEFERRED, "cut")
    assert disk.reads == reads
    assert gate.settling() == []
    assert gate.deferred() == {FRAME: "cut"}
    disk.mtime_ns = 1  # touched
    assert look(gate, disk, 50001) is Completeness.SETTLING
    assert gate.deferred() == {}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size, answer", [(50, Completeness.DEFERRED), (100, Completeness.READY)])
def test_the_morning_sweep_looks_again_without_the_timeout(gate, disk, known, size, answer):
    disk.size = 50
    if known:
        look(gate, disk, 0)
        look(gate, disk, 300)
    # written through a mapping, or a checksum mended: same size, same time stamp, other bytes
    disk.expected = 50 if size == 100 else 100
    assert gate.again([FRAME]) == [FRAME]
    if not known:  # an earlier service deferred it: it has to be still once more
        assert look(gate, disk, 1000) is Completeness.SETTLING
    assert look(gate, disk, 1003) is answer
    assert look(gate, disk, 1004) is (Completeness.SETTLING if answer is Completeness.READY else Completeness.DEFERRED)


def test_again_names_what_was_deferred_and_nothing_else(gate, disk):
    disk.size = 50
    assert gate.again() == []
    look(gate, disk, 0)
    look(gate, disk, 300)
    assert gate.again() == [FRAME]
    assert gate.again() == [FRAME]
    gate.forget(FRAME)
    assert gate.again() == []


def test_growth_after_the_question_counts_as_growth(gate, disk):
    disk.size = 50
    look(gate, disk, 0)
    look(gate, disk, 300)
    gate.again()
    disk.size = 60
    for now in (301, 303, 500):
        assert look(gate, disk, now) is Completeness.SETTLING
    assert look(gate, disk, 601) is Completeness.DEFERRED


def test_attributes_that_lag_behind_the_open_file_do_not_deceive(gate, disk):
    # a cache that tells the first size for ever
    disk.size = 100
    told = {"size": 40, "mtime_ns": 7}
    disk.expected = 200
    assert gate.look(FRAME, **told, now_s=0)[0] is Completeness.SETTLING
    assert gate.look(FRAME, **told, now_s=2) == (Completeness.SETTLING, "still growing")
    disk.size, disk.mtime_ns = 200, 9
    assert gate.look(FRAME, **told, now_s=4) == (Completeness.SETTLING, "still growing")
    assert gate.look(FRAME, **told, now_s=5)[0] is Completeness.SETTLING
    assert gate.look(FRAME, **told, now_s=6)[0] is Completeness.READY


def test_a_file_that_may_not_be_read_waits_and_is_deferred_with_the_cause(gate, disk):
    disk.size, disk.error = 100, PermissionError(13, "Permission denied")
    look(gate, disk, 0)
    assert look(gate, disk, 2) is Completeness.SETTLING
    state, reason = gate.look(FRAME, size=100, mtime_ns=0, now_s=300)
    assert state is Completeness.DEFERRED
    assert "Permission denied" in reason
    assert "permissions" in reason
    disk.error = None
    gate.again()
    assert look(gate, disk, 301) is Completeness.READY


def test_a_still_file_is_not_read_over_and_over(gate, disk):
    disk.size = 50
    for now in range(301):
        look(gate, disk, now)
    assert 5 < disk.reads < 20
