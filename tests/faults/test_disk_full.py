"""A disk that is full while frames come in, while products are written, and under the ledger."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from night.helpers import products
from night.raw_night import Raw, calibrations, on_sky

from sedmd.ledger.ledger import Ledger

from .audit import booked, faults_of, install, now
from .daemon import configure, running, wait_for, wait_until_done
from .mounts import fill, mounted
from .nights import undisturbed

STEPS = "faults.steps"
#: So large is each product.
PADDING = 60_000
NIGHT = [*calibrations(), *on_sky("STD-Feige34", "pair [A]", "pair [B]", "alone", "STD-BD+33d2642", "x1", "x2", "x3")]
AFTERNOON = [frame for frame in NIGHT if b"'Calib:" in frame.content]
EVENING = [frame for frame in NIGHT if frame not in AFTERNOON]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("faults.steps.PADDING", PADDING)
        return undisturbed(tmp_path_factory.mktemp("undisturbed"), NIGHT, steps=STEPS)


def write(root: Path, frames: list[Raw]) -> None:
    for frame in frames:
        frame.write(root)


def known(settings) -> int:
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
        return len(ledger.frames.known_files())


def finish(settings, daemon, expected) -> list[str]:
    """Wait for the end of the night; what is wrong then."""
    wait_until_done(settings, len(NIGHT), daemon)
    assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    wrong = faults_of(settings)
    assert wrong == []
    assert products(settings) == expected
    return wrong


def settle(seconds: float) -> None:
    """Give the service time to do what it must not do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["ingest", "job", "job without a reserve", "ledger"])
def test_the_disk_is_full_and_work_goes_on_when_there_is_room(tmp_path, expected, tell, what):
    small = tmp_path / "small"
    with mounted(small, megabytes=24):
        state = tmp_path / "state"
        place = {"redux": "small/redux", "min_free_mb": 1}
        if what == "ledger":
            place |= {"redux": "redux", "state": f'state_dir = "{small}/state"'}
        if what == "job without a reserve":
            place |= {"state": f'state_dir = "{state}"', "min_free_mb": 0, "retry_after_s": [0.2, 0.2]}
        settings = configure(tmp_path, steps=STEPS, **place)
        install(settings)
        raw = settings.paths.raw_root
        leave = {"job": 1_500_000, "job without a reserve": 400_000}.get(what, 0)
        with running(settings, FAKE_PADDING=str(PADDING)) as daemon:
            wait_for(lambda: daemon.ready, daemon)
            if what == "ledger":
                write(raw, AFTERNOON)
                wait_for(lambda: (settings.paths.redux_root / "20190612" / "flat.fits").exists(), daemon)
            filler = fill(small, leave=leave)
            write(raw, NIGHT)
            if what == "job without a reserve":
                # the disk fills up under the workers: they fail until there is room, and are not charged for it
                wait_for(lambda: daemon.said("disk full: a product did not fit") >= 1, daemon)
                settle(3.0)
            elif what == "job":
                wait_for(lambda: daemon.said("disk low") >= 1, daemon)
                settle(1.0)
            else:
                wait_for(lambda: daemon.said("cannot be written now") >= 1, daemon)
                settle(2.0)
            during = known(settings)
            pings = len(daemon.pings())
            wait_for(lambda: len(daemon.pings()) > pings, daemon)
            told = [daemon.said(text) for text in ("disk low", "disk full", "cannot be written now")]
            assert max(told) == 1, daemon.log.read_text()[-4000:]
            before = booked(settings)
            torn = [path.name for path in small.rglob(".*.fits")]
            filler.unlink()
            begun = time.monotonic()
            wait_for(lambda: booked(settings) > before, daemon)
            resumed_s = time.monotonic() - begun
            wrong = finish(settings, daemon, expected)
        tell(
            f"full in {what}: told once, {during} of {len(NIGHT)} frames and {before} jobs booked when full, "
            f"{len(torn)} unfinished files; first job {resumed_s:.1f} s after room was made; {len(wrong)} faults"
        )
        assert torn == []


def test_a_start_on_a_full_disk_may_be_tried_again_and_blames_the_disk(tmp_path, expected, tell):
    small = tmp_path / "small"
    with mounted(small, megabytes=24):
        settings = configure(tmp_path, steps=STEPS, redux="small/redux")
        write(settings.paths.raw_root, NIGHT)
        small.joinpath("redux").mkdir()
        filler = fill(small)
        with running(settings, FAKE_PADDING=str(PADDING)) as daemon:
            code = daemon.process.wait(60)
            log = daemon.log.read_text()
        # 2 means: do not start me again (see the unit file)
        assert code not in (0, 2), log
        assert "rebuild" not in log and "Traceback" not in log, log
        filler.unlink()
        install(settings)
        with running(settings, FAKE_PADDING=str(PADDING)) as daemon:
            finish(settings, daemon, expected)
        tell(f"full at the start: exit code {code}, the disk is blamed; the next start did the night")
