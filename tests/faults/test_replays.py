"""The same frames once more, in every way that people and programs find: each counts once, and no product changes."""

from __future__ import annotations

import gzip
import os
import shutil

import pytest
from night.helpers import products
from night.raw_night import NIGHT, calibrations, on_sky

from sedmd.ledger.ledger import Ledger

from .audit import booked, install, now
from .daemon import configure, running, wait_for, wait_until_done
from .nights import undisturbed

FRAMES = [*calibrations(), *on_sky("STD-Feige34", "pair [A]", "pair [B]", "x", "y")]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), FRAMES)


def copied_over_itself(raw):
    for path in sorted(raw.glob("*/*.fits")):
        content = path.read_bytes()
        path.write_bytes(content)
    return len(FRAMES)


def replaced_by_rsync(raw):
    for path in sorted(raw.glob("*/*.fits")):
        hidden = path.with_name(f".{path.name}.a1B2c3")
        shutil.copyfile(path, hidden)
        hidden.replace(path)
    return len(FRAMES)


def touched(raw):
    for path in raw.glob("*/*.fits"):
        os.utime(path)
    return len(FRAMES)


def hard_linked(raw):
    for path in sorted(raw.glob("*/*.fits")):
        os.link(path, path.with_name(f"{path.stem}_again.fits"))
    return 2 * len(FRAMES)


def copied_to_the_next_day(raw):
    (raw / "20190613").mkdir()
    for path in sorted(raw.glob("*/*.fits")):
        shutil.copyfile(path, raw / "20190613" / path.name)
    return 2 * len(FRAMES)


def gzipped_in_place(raw):
    for path in sorted(raw.glob("*/*.fits")):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return len(FRAMES)


def moved_away_and_back(raw):
    away = raw.with_name("away")
    away.mkdir()
    for folder in sorted(raw.iterdir()):
        shutil.move(folder, away)
    for folder in sorted(away.iterdir()):
        shutil.move(folder, raw)
    return len(FRAMES)


def renamed(raw):
    """Calibrations under another name: nothing is made of the name."""
    for path in sorted(raw.glob("20190611/*.fits")):
        path.rename(path.with_name(f"{path.stem}_renamed.fits"))
    return len(FRAMES)


QUICK = (copied_over_itself, gzipped_in_place, moved_away_and_back)
MORE = (replaced_by_rsync, touched, hard_linked, copied_to_the_next_day, renamed)


@pytest.mark.parametrize(
    "replay",
    [*QUICK, *(pytest.param(replay, marks=pytest.mark.slow) for replay in MORE)],
    ids=lambda replay: replay.__name__,
)
def test_frames_that_come_again_change_nothing(tmp_path, expected, tell, replay):
    settings = configure(tmp_path)
    install(settings)
    for frame in FRAMES:
        frame.write(settings.paths.raw_root)
    with running(settings) as daemon:
        wait_until_done(settings, len(FRAMES), daemon)
        jobs = booked(settings)
        times = {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.glob("*/*.fits")}
        files = replay(settings.paths.raw_root)

        def taken() -> bool:
            """Every file that is there is in the ledger as it is."""
            with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
                known = ledger.frames.known_files()
            paths = list(settings.paths.raw_root.glob("*/ifu*"))
            return all(path in known and known[path].mtime_ns == path.stat().st_mtime_ns for path in paths)

        wait_for(taken, daemon)
        wait_until_done(settings, files, daemon)
        assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    tell(f"{files} files in the ledger, {booked(settings) - jobs} jobs done again")
    assert booked(settings) == jobs
    assert products(settings) == expected
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_night_copied_into_an_old_directory_is_found(tmp_path, expected, tell):
    """rsync of a forgotten night, long after the service began: its directory is not among the newest."""
    settings = configure(tmp_path, archive_s=1.0)
    install(settings)
    raw = settings.paths.raw_root
    for night in ("20190611", NIGHT, "20190613", "20190614", "20190701", "20190702", "20190703"):
        (raw / night).mkdir()
    with running(settings) as daemon:
        wait_for(lambda: daemon.ready, daemon)
        for frame in FRAMES:
            path = raw / frame.place
            hidden = path.with_name(f".{path.name}.a1B2c3")
            hidden.write_bytes(frame.content)
            hidden.rename(path)
        seconds = wait_for(lambda: products(settings) == expected, daemon)
        assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    tell(f"{len(FRAMES)} frames in an old directory, reduced after {seconds:.1f} s (looked at every 1 s)")
