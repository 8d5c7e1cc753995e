"""The bytes of a product are the truth; nothing put aside is overwritten, nothing is given up that cannot be remade."""

import contextlib
import io
import os
import shutil
import socket

import pytest

import sedmd.run.ingest
from sedmd.cli import main
from sedmd.core.job import Outcome
from sedmd.ledger.ledger import Ledger
from sedmd.run.dispatch import Dispatcher
from sedmd.run.event_log import EventLog
from sedmd.run.product_check import SUPERSEDED, Custody
from sedmd.workers.engines import InlineEngine

from .fake_steps import STEP_VERSIONS
from .helpers import NOW, configure, products
from .raw_night import NIGHT, SHAPE, calibrations, on_sky
from .test_reduce import reduce, write


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)
    made = configure(tmp_path)
    write(made, [*calibrations(), *on_sky("x", "y")])
    reduce(made)
    return made


@pytest.fixture
def night(settings):
    return settings.paths.redux_root / NIGHT


def log(night) -> str:
    return (night / "sedmd.log").read_text()


def move_aside(night) -> dict[str, str]:
    folder = night / SUPERSEDED
    return {path.name: path.read_text() for path in sorted(folder.iterdir())} if folder.exists() else {}


def stamps(night) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in night.glob("*.fits")}


def touch_all(night) -> None:
    for number, path in enumerate(sorted(path for path in night.iterdir() if path.is_file())):
        os.utime(path, (1e9 + number, 1e9 + number))


def verify(settings, capsys, *words: str) -> tuple[int, list[str]]:
    capsys.readouterr()
    code = main(["verify", *words, "--redux", str(settings.paths.redux_root)])
    return code, capsys.readouterr().out.splitlines()


def test_other_time_stamps_change_nothing(settings, night):
    before, inodes = products(settings), stamps(night)
    for _ in range(2):
        touch_all(night)
        reduce(settings)
    assert products(settings) == before
    assert stamps(night) == inodes, "not one was made again"
    assert move_aside(night) == {}


def test_the_new_stamp_is_taken_so_that_the_bytes_are_read_once(settings, night, monkeypatch):
    touch_all(night)
    reduce(settings)
    monkeypatch.setattr("sedmd.run.product_check.checksum_of", lambda path: pytest.fail(f"{path.name} is read again"))
    reduce(settings)


def test_a_night_copied_back_by_an_archive_is_the_same_night(settings, night, tmp_path):
    before = products(settings)
    shutil.copytree(night, tmp_path / "archive", copy_function=shutil.copyfile)
    shutil.rmtree(night)
    shutil.copytree(tmp_path / "archive", night, copy_function=shutil.copyfile)
    reduce(settings)
    assert products(settings) == before
    assert move_aside(night) == {}


def test_every_changed_version_is_kept(settings, night):
    before = products(settings)
    for text in ("first", "second", "third"):
        (night / "sp_x_obs1.fits").write_text(text)
        reduce(settings)
        assert products(settings) == before
    assert sorted(move_aside(night).values()) == ["first", "second", "third"]
    assert f"kept as {SUPERSEDED}/sp_x_obs1.fits.v3, to be remade" in log(night)


def test_the_same_length_and_stamp_as_before_with_other_bytes_is_another_file_for_verify(settings, night, capsys):
    path = night / "Hg.fits"
    status = path.stat()
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    code, lines = verify(settings, capsys, NIGHT)
    assert code == 1
    assert [line.split()[2:4] for line in lines[:-1]] == [["changed", "Hg.fits:"]]


def test_missing_products_are_told_before_they_are_made_again(settings, night):
    for name in ("Hg.fits", "Cd.fits", "sp_x_obs1.fits"):
        (night / name).unlink()
    before = len(log(night).splitlines())
    reduce(settings)
    lines = [line for line in log(night).splitlines()[before:] if "missing" in line or "done in" in line]
    assert "3 products are missing, to be remade: Cd.fits, Hg.fits, sp_x_obs1.fits" in lines[0]
    assert any("done in" in line for line in lines[1:])


def test_nothing_is_given_up_when_the_raw_frames_are_gone_too(settings, night):
    for path in settings.paths.raw_root.rglob("ifu*.fits"):
        path.unlink()
    ext = next(night.glob("ext_*x*.fits"))
    ext.write_text("trampled on")
    next(night.glob("e3d_*_x.fits")).unlink()
    for _ in range(2):
        assert custody_of(settings)
    assert ext.read_text() == "trampled on"
    assert move_aside(night) == {}
    assert f"{ext.name}" in log(night) and "was changed by another program, and cannot be remade" in log(night)
    assert "e3d" in log(night) and "is missing, and cannot be remade: the raw frame ifu20190612_04_00_00" in log(night)


def test_what_is_made_from_products_that_are_there_is_made_again_without_raw_frames(settings, night):
    for path in settings.paths.raw_root.rglob("ifu*.fits"):
        path.unlink()
    (night / "sp_x_obs1.fits").write_text("trampled on")
    assert custody_of(settings)
    assert move_aside(night) == {"sp_x_obs1.fits": "trampled on"}


def test_what_a_plan_no_longer_wants_stays_when_its_raw_frames_are_gone(settings, night, monkeypatch):
    """A new version of a step, years later, when the raw frames have gone to tape."""
    before = products(settings)
    for path in settings.paths.raw_root.rglob("ifu*.fits"):
        path.rename(path.with_suffix(".tape"))
    monkeypatch.setattr("night.fake_steps.STEP_VERSIONS", dict.fromkeys(STEP_VERSIONS, "2"))
    with dispatcher_of(settings) as dispatcher:
        for _ in range(2):
            plan = dispatcher.plan(NIGHT, final=True)
            for node in plan.due():
                dispatcher.ledger.jobs.start(node.key, node.job, inputs=node.inputs)
                gone = Outcome(state="failed", reason="FileNotFoundError")
                dispatcher.ledger.jobs.finish(node.key, node.job, gone, state="failed")
            dispatcher.plan(NIGHT, final=True)
    assert products(settings) == before
    assert "no longer in the plan; kept, because its raw frame" in log(night)


def test_only_so_many_seconds_go_into_checksums_at_a_time(settings, night):
    touch_all(night)
    seconds = iter(range(1000))
    own = {"monotonic": lambda: next(seconds)}
    count = len(list(night.glob("*.fits")))
    looks = 1
    while not custody_of(settings, budget_s=2.5, own=own):
        looks += 1
    assert 3 < looks <= count
    assert custody_of(settings, budget_s=0.0)


@pytest.mark.parametrize("kind", ["pipe", "directory", "link to nowhere", "loop", "socket"])
def test_whatever_lies_in_the_place_of_a_product_is_put_aside_or_missed(settings, night, kind):
    before = products(settings)
    path = night / "sp_x_obs1.fits"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(night):
        {
            "pipe": lambda: os.mkfifo(path),
            "directory": path.mkdir,
            "link to nowhere": lambda: path.symlink_to("nowhere"),
            "loop": lambda: path.symlink_to(path.name),
            "socket": lambda: made.bind(path.name),
        }[kind]()
    reduce(settings)
    after = products(settings)
    after.pop(f"{NIGHT}/{SUPERSEDED}/sp_x_obs1.fits", None)
    assert after == before if kind != "loop" else path.is_symlink()


def test_verify_tells_every_kind_of_difference(settings, night, capsys):
    assert verify(settings, capsys) == (0, [f"{len(known_files(settings))} files: {len(known_files(settings))} good"])
    os.utime(night / "Xe.fits", (1e9, 1e9))
    (night / "Hg.fits").unlink()
    (night / "Cd.fits").write_text("another")
    (night / "sp_stray.fits").write_text("of a stranger")
    raw = sorted(settings.paths.raw_root.rglob("ifu20190612_04*.fits"))
    raw[0].write_bytes(raw[0].read_bytes()[:-1000] + b"\7" * 1000)
    os.utime(raw[1], (1e9, 1e9))
    min(settings.paths.raw_root.rglob("ifu20190611*.fits")).unlink()
    code, lines = verify(settings, capsys, NIGHT)
    told = {tuple(line.split()[1:4]) for line in lines[:-1]}
    assert code == 1
    assert told == {
        ("product", "touched", "Xe.fits:"),
        ("product", "missing", "Hg.fits"),
        ("product", "changed", "Cd.fits:"),
        ("product", "foreign", "sp_stray.fits:"),
        ("raw", "changed", f"{raw[0].name}:"),
        ("raw", "touched", f"{raw[1].name}:"),
        ("raw", "missing", "ifu20190611_23_00_00.fits:"),
    }
    assert lines[-1].endswith("2 touched, 2 changed, 2 missing, 1 foreign")


def test_verify_changes_nothing(settings, night, capsys):
    touch_all(night)
    os.utime(settings.paths.state / "ledger.sqlite", (1e9, 1e9))
    before = {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.rglob("*") if path.is_file()}
    assert verify(settings, capsys)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.rglob("*") if path.is_file()} == before


def test_one_shot_tells_a_wrong_date_and_names_that_are_not_read(settings, night, capsys):
    frames = sorted(settings.paths.raw_root.rglob("ifu20190612_04*.fits"))
    frames[0].rename(frames[0].with_name(frames[0].name.replace(".fits", ".FITS")))
    far = settings.paths.raw_root / "20250101"
    far.mkdir()
    frames[1].rename(far / frames[1].name)
    reduce(settings)
    told = "".join(path.read_text() for path in settings.paths.redux_root.glob("2*/sedmd.log"))
    assert "is not read: its name ends in .FITS, expected .fits" in told
    assert "belongs to night 20190612 by its header, but lies in 20250101; is its date right?" in told


def known_files(settings) -> list:
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        return [*ledger.products.files(NIGHT), *ledger.frames.of_night(NIGHT)]


@contextlib.contextmanager
def dispatcher_of(settings):
    report = EventLog(clock=lambda: NOW, redux_root=settings.paths.redux_root, stream=io.StringIO())
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        yield Dispatcher(
            settings=settings,
            ledger=ledger,
            engine=InlineEngine(settings.jobs.steps_module),
            clock=lambda: NOW,
            report=report,
            on_done=lambda key, job, future: None,
        )


def custody_of(settings, **changes) -> bool:
    report = EventLog(clock=lambda: NOW, redux_root=settings.paths.redux_root, stream=io.StringIO())

    def once(where, step, subject, what, text, *, level):
        report.event(where, step, subject, f"{what}: {text}", level=level)

    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        custody = Custody(
            ledger=ledger, redux_root=settings.paths.redux_root, report=report, once=once, **changes.pop("own", {})
        )
        return custody.check(NIGHT, **changes)


@pytest.mark.parametrize("changed", [False, True])
def test_what_is_easily_made_again_is_removed_unless_somebody_changed_it(settings, night, changed):
    page = night / "x_obs1_SEDM.pdf"
    if changed:
        page.write_text("with my notes")
    report = EventLog(clock=lambda: NOW, redux_root=settings.paths.redux_root, stream=io.StringIO())
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        custody = Custody(
            ledger=ledger, redux_root=settings.paths.redux_root, report=report, once=lambda *given, **more: None
        )
        custody.discard(page, NIGHT, "as given")
        assert page.exists() == changed == (page in ledger.products.files(NIGHT))
        custody.discard(night / "nothing.pdf", NIGHT, "as given")
