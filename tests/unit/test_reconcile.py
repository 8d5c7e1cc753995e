"""The morning's account: every raw file and every product, and whatever does not add up."""

from datetime import UTC, datetime
from pathlib import Path

from sedmd.ledger.records import FrameRow
from sedmd.plan.planner import plan_night
from sedmd.raw.frames import Kind
from sedmd.run.reconcile import reconcile

from .test_night import make
from .test_planner import WHOLE, carry_out, context

WHEN = datetime(2019, 6, 12, 13, tzinfo=UTC)


def row(path: Path, state: str = "good", frame=None) -> FrameRow:
    return FrameRow(path=path, night="20190612", state=state, reason="", size=1, mtime_ns=1, arrived=WHEN, frame=frame)


def account(frames, *, on_disk=None, known=None, more_rows=(), sizes=None, found=None, plan=None):
    rows = [row(frame.path, frame=frame) for frame in frames] + list(more_rows)
    paths = {one.path for one in rows}
    return reconcile(
        plan or carry_out(frames)[0],
        rows,
        on_disk=paths if on_disk is None else on_disk,
        known=paths if known is None else known,
        product_sizes=sizes or {},
        found_sizes=found or {},
    )


def test_a_whole_night_adds_up():
    sizes = {Path("/redux/20190612/a.fits"): 10, Path("/redux/20190612/b.fits"): 20}
    found = account(WHOLE, sizes=sizes, found=sizes)
    assert found.adds_up
    assert found.without_spectrum == ()
    first = found.lines()[0]
    assert first.startswith(f"{len(WHOLE)} raw files: {len(WHOLE)} good, 0 unread; 4 of 4 exposures on the sky")
    assert first.endswith("2 products")
    assert len(found.lines()) == 1


def test_a_file_that_nobody_read_is_named():
    paths = {frame.path for frame in WHOLE} | {Path("/raw/20190612/ifu20190612_09_00_00.fits")}
    found = account(WHOLE, on_disk=paths)
    assert not found.adds_up
    assert "DOES NOT ADD UP" in found.lines()[0]
    assert "unread: 20190612/ifu20190612_09_00_00.fits" in found.lines()


def test_files_of_the_neighbouring_night_are_not_unread():
    other = Path("/raw/20190611/ifu20190611_05_00_00.fits")
    paths = {frame.path for frame in WHOLE}
    assert account(WHOLE, on_disk=paths | {other}, known=paths | {other}).adds_up


def test_lost_and_changed_products_are_named():
    sizes = {Path(f"/redux/20190612/{name}.fits"): 10 for name in "abc"}
    found = account(WHOLE, sizes=sizes, found={Path("/redux/20190612/a.fits"): 10, Path("/redux/20190612/b.fits"): 9})
    assert [path.name for path in found.lost] == ["b.fits", "c.fits"]
    assert found.products == 1
    assert not found.adds_up


def test_exposures_without_a_spectrum_say_why():
    frames = [make(0, "STD-Feige34", kind=Kind.STANDARD), make(60, "y")]
    found = account(frames, plan=plan_night(frames, context(final=True)))
    assert [name.split()[-1] for name, _ in found.without_spectrum] == ["STD-Feige34", "y"]
    assert "0 of 2 exposures" in found.lines()[0]
    assert any(line.startswith("no spectrum: ") and "no frames" in line for line in found.lines())


def test_raw_files_that_were_cleared_away_are_no_fault():
    found = account(WHOLE, on_disk=set())
    assert found.adds_up
    assert f"{len(WHOLE)} raw files are no longer where they were read" in found.lines()
