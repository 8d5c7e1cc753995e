"""The raw root goes away and comes back; files, directories and the root that may not be read, mended later."""

from __future__ import annotations

import shutil
import time

import pytest
from night.helpers import night_is_done, products
from night.raw_night import NIGHT, calibrations, on_sky

from sedmd.ledger.ledger import Ledger

from .audit import booked, faults_of, install, now
from .daemon import configure, running, wait_for, wait_until_done
from .mounts import mount, mounted, unmount
from .nights import undisturbed

AFTERNOON = list(calibrations())
EVENING = list(on_sky("STD-Feige34", "x", "y"))
FRAMES = [*AFTERNOON, *EVENING]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), FRAMES)


def states(settings) -> dict[str, str]:
    """State of each raw file in the ledger, by name."""
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
        return {path.name: known.state for path, known in ledger.frames.known_files().items()}


def live_on(seconds: float, daemon) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert daemon.process.poll() is None
        time.sleep(0.05)


def test_the_raw_root_is_unmounted_and_comes_back(tmp_path, expected, tell):
    settings = configure(tmp_path)
    install(settings)
    raw = settings.paths.raw_root
    kept = tmp_path / "kept"
    with mounted(raw), running(settings) as daemon:
        for frame in AFTERNOON:
            frame.write(raw)
        wait_for(lambda: (settings.paths.redux_root / NIGHT / "flat.fits").exists(), daemon)
        wait_for(lambda: night_is_done(settings, len(AFTERNOON)), daemon)
        before, jobs = products(settings), booked(settings)
        shutil.copytree(raw, kept)
        unmount(raw)  # an empty mount point is left
        wait_for(lambda: daemon.said("is empty, but had nights before; is it mounted?") == 1, daemon)
        live_on(2.0, daemon)
        pings = len(daemon.pings())
        wait_for(lambda: len(daemon.pings()) > pings, daemon)
        assert products(settings) == before
        assert booked(settings) == jobs
        assert "superseded" not in daemon.log.read_text()
        mount(raw)
        shutil.copytree(kept, raw, dirs_exist_ok=True)
        for frame in EVENING:
            frame.write(raw)
        back_s = wait_for(lambda: daemon.said("is back") == 1, daemon)
        wait_until_done(settings, len(FRAMES), daemon)
        assert daemon.stop() == 0
        assert daemon.tracebacks() == []
        wrong = faults_of(settings)
        tell(f"told once; noticed again after {back_s:.1f} s; {len(FRAMES)} frames, {len(wrong)} faults")
        assert wrong == []
        assert products(settings) == expected


def test_a_raw_root_that_is_not_mounted_at_the_start_is_waited_for(tmp_path, expected, tell):
    """The ledger knows nights, the directory is empty: an empty mount point, not a summer without nights."""
    settings = configure(tmp_path)
    install(settings)
    raw = settings.paths.raw_root
    with mounted(raw) as place:
        for frame in FRAMES:
            frame.write(place)
        with running(settings) as daemon:
            wait_until_done(settings, len(FRAMES), daemon)
            assert daemon.stop() == 0
        before, jobs = products(settings), booked(settings)
        shutil.copytree(raw, tmp_path / "kept")
    assert list(raw.iterdir()) == []
    with running(settings) as daemon:
        wait_for(lambda: daemon.ready, daemon)
        wait_for(lambda: daemon.said("is it mounted?") == 1, daemon)
        live_on(1.5, daemon)
        with mounted(raw) as place:
            shutil.copytree(tmp_path / "kept", place, dirs_exist_ok=True)
            wait_for(lambda: daemon.said("is back") == 1, daemon)
            live_on(1.5, daemon)
            assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    assert products(settings) == before == expected
    assert booked(settings) == jobs
    tell(f"told once, {booked(settings) - jobs} jobs done again")


@pytest.mark.parametrize("what", ["a file", "a night", "the root"])
def test_what_may_not_be_read_is_told_and_taken_in_once_it_may(tmp_path, expected, tell, what):
    settings = configure(tmp_path)
    raw = settings.paths.raw_root
    for frame in AFTERNOON:
        frame.write(raw)
    with running(settings, module="faults.humble") as daemon:
        wait_for(lambda: night_is_done(settings, len(AFTERNOON)), daemon)
        place = {"a file": raw / EVENING[0].place, "a night": raw / NIGHT, "the root": raw}[what]
        if what == "a file":
            place.parent.mkdir(exist_ok=True)
            hidden = place.with_name(".hidden")
            hidden.write_bytes(EVENING[0].content)
            hidden.chmod(0)
            hidden.rename(place)
            for frame in EVENING[1:]:
                frame.write(raw)
            wait_for(lambda: "sp_x_obs1.fits" in str(products(settings)), daemon)
            wait_for(lambda: states(settings).get(place.name) in ("quarantined", "deferred"), daemon)
        else:
            if what == "a night":
                (raw / NIGHT).mkdir(exist_ok=True)
            place.chmod(0)
            wait_for(lambda: daemon.said("cannot be read") >= 1, daemon)
        live_on(1.5, daemon)
        pings = len(daemon.pings())
        wait_for(lambda: len(daemon.pings()) > pings, daemon)
        told = daemon.said("cannot be read")
        place.chmod(0o755 if place.is_dir() else 0o644)
        for frame in EVENING:
            if not (raw / frame.place).exists():
                frame.write(raw)
        wait_for(lambda: set(states(settings).values()) == {"good"} and len(states(settings)) == len(FRAMES), daemon)
        wait_until_done(settings, len(FRAMES), daemon)
        assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    assert products(settings) == expected
    assert told == 1
    tell(f"{what}: told {told} time; {len(FRAMES)} frames taken in")


def test_two_services_on_one_root(tmp_path, expected, tell):
    settings = configure(tmp_path)
    install(settings)
    for frame in FRAMES:
        frame.write(settings.paths.raw_root)
    refused = 0
    with running(settings) as first:
        wait_for(lambda: first.ready, first)
        for _ in range(2):
            with running(settings) as second:
                assert second.process.wait(60) == 75
                assert second.said(f"another sedmd (process {first.process.pid})") == 1
                refused += 1
        wait_until_done(settings, len(FRAMES), first)
        first.kill()
        with running(settings) as heir:  # the lock died with its holder
            wait_for(lambda: heir.ready, heir)
            assert heir.stop() == 0
    assert faults_of(settings) == []
    assert products(settings) == expected
    tell(f"{refused} refused with the process number of the first; the next after kill -9 was not")
