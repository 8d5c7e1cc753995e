"""A really running daemon: any order, growing files, kill -9, SIGTERM; the products of an undisturbed reduction."""

import os
import random
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sedmd.run.ingest
from sedmd.ledger.ledger import Ledger

from .helpers import NOW, configure, night_is_done, products, service, stop, wait_for
from .raw_night import NIGHT, SHAPE, Raw, calibrations, on_sky, shuffled, whole_night
from .test_reduce import reduce, write


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The products of the night, reduced in one shot."""
    settings = configure(tmp_path_factory.mktemp("undisturbed"))
    write(settings, whole_night())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)
        reduce(settings)
    return products(settings)


def grow(frame: Raw, root: Path, seed: int) -> None:
    """Write a frame as slowly and clumsily as a camera may: in pieces, reserved in advance, or renamed into place."""
    chance = random.Random(seed)
    path = root / frame.place
    path.parent.mkdir(parents=True, exist_ok=True)
    manner = chance.choice(["pieces", "reserved", "renamed"])
    if manner == "renamed":
        hidden = path.with_name(f".{path.name}.Xy12Zk")
        hidden.write_bytes(frame.content)
        time.sleep(0.02)
        hidden.rename(path)
        return
    cuts = sorted(chance.randrange(len(frame.content)) for _ in range(2))
    with path.open("wb") as file:
        if manner == "reserved":
            file.truncate(len(frame.content))
        for start, end in zip([0, *cuts], [*cuts, len(frame.content)]):
            file.write(frame.content[start:end])
            file.flush()
            time.sleep(0.03)


def play(night: list[Raw], root: Path, seed: int) -> None:
    """Several frames grow at the same time."""
    with ThreadPoolExecutor(max_workers=4) as writers:
        list(writers.map(lambda item: grow(item[1], root, seed + item[0]), enumerate(shuffled(night, seed))))


@pytest.mark.parametrize("mode, seed", [("inotify", 1), ("poll", 2)])
def test_frames_in_any_order_and_growing_give_the_products_of_reduce(tmp_path, undisturbed, mode, seed):
    settings = configure(tmp_path, mode=mode)
    night = whole_night()
    with service(settings) as daemon:
        play(night, settings.paths.raw_root, seed)
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        code, log = stop(daemon)
    assert code == 0, log
    assert products(settings) == undisturbed
    assert log.count("Traceback") == 0


def test_frames_that_were_there_before_the_start(tmp_path, undisturbed):
    settings = configure(tmp_path)
    write(settings, whole_night())
    with service(settings) as daemon:
        wait_for(lambda: night_is_done(settings, len(whole_night())), daemon)
        assert stop(daemon, signal.SIGINT)[0] == 0
    assert products(settings) == undisturbed


def test_killed_again_and_again_the_night_is_the_same(tmp_path, undisturbed):
    settings = configure(tmp_path)
    night = shuffled(whole_night(), 3)
    chance = random.Random(4)
    third = len(night) // 3
    for number in range(3):
        with service(settings, FAKE_STEP_SECONDS="0.05") as daemon:
            for frame in night[number * third : (number + 1) * third]:
                frame.write(settings.paths.raw_root)
            ledger = settings.paths.state / "ledger.sqlite"
            wait_for(ledger.exists, daemon)
            until = time.monotonic() + chance.uniform(0.5, 2.0)
            while time.monotonic() < until:
                time.sleep(0.05)
            daemon.kill()
            daemon.wait()
    write(settings, night)
    with service(settings) as daemon:
        wait_for(lambda: night_is_done(settings, len(night)), daemon)
        assert stop(daemon)[0] == 0
    assert products(settings) == undisturbed
    assert list((settings.paths.redux_root / NIGHT).glob(".*")) == []


def test_sigterm_lets_running_jobs_end_and_starts_no_more(tmp_path):
    settings = configure(tmp_path)
    write(settings, calibrations())
    with service(settings, FAKE_STEP_SECONDS="0.4") as daemon:
        wait_for(lambda: jobs(settings, "running") > 0, daemon)
        code, log = stop(daemon)
    assert code == 0
    assert "stopping; waiting for" in log
    assert "stopped; 0 jobs restart next time" in log
    assert jobs(settings, "running") == 0
    assert jobs(settings, "done") >= 1


def jobs(settings, state: str) -> int:
    path = settings.paths.state / "ledger.sqlite"
    if not path.exists():
        return 0
    try:
        with Ledger.open(path, clock=lambda: NOW, read_only=True) as ledger:
            return sum(record.state == state for record in ledger.jobs.records(NIGHT).values())
    except Exception as error:
        if "to migrate it" in str(error):
            return 0
        raise


def test_a_worker_that_dies_is_tried_again_and_costs_its_job_only(tmp_path):
    settings = configure(tmp_path)
    write(settings, [*calibrations(), *on_sky("Crash", "x")])
    with service(settings) as daemon:
        wait_for(lambda: jobs(settings, "retry") == 1 and f"{NIGHT}/sp_x_obs1.fits" in products(settings), daemon)
        code, log = stop(daemon)
    assert code == 0
    assert "retry: the process of step extract died (signal SIGKILL)" in log


def test_second_service_is_refused(tmp_path):
    settings = configure(tmp_path)
    with service(settings) as first:
        wait_for((settings.paths.state / "lock").exists, first)
        wait_for((settings.paths.state / "ledger.sqlite").exists, first)
        with service(settings) as second:
            _, log = second.communicate(timeout=30)
        assert second.returncode == 75
        assert f"another sedmd (process {first.pid})" in log
        assert stop(first)[0] == 0


def test_systemd_is_told(tmp_path):
    settings = configure(tmp_path)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)
        receiver.settimeout(30)
        with service(settings, NOTIFY_SOCKET=address) as daemon:
            heard = [receiver.recv(4096).decode()]
            while "WATCHDOG=1" not in heard[-1]:
                heard.append(receiver.recv(4096).decode())
            daemon.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in heard[-1]:
                heard.append(receiver.recv(4096).decode())
            assert daemon.wait(30) == 0
    assert heard[0].startswith("READY=1\nSTATUS=")


def test_raw_root_that_vanishes_and_returns(tmp_path):
    settings = configure(tmp_path)
    away = tmp_path / "away"
    with service(settings) as daemon:
        wait_for((settings.paths.state / "ledger.sqlite").exists, daemon)
        write(settings, calibrations())
        wait_for(lambda: (settings.paths.redux_root / NIGHT / "flat.fits").exists(), daemon)
        settings.paths.raw_root.rename(away)
        for frame in on_sky("x"):
            frame.write(away)
        log = settings.paths.redux_root / NIGHT / "sedmd.log"
        time.sleep(0.1)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            time.sleep(0.05)
        away.rename(settings.paths.raw_root)
        wait_for((settings.paths.redux_root / NIGHT / "sp_x_obs1.fits").exists, daemon)
        code, text = stop(daemon)
    assert code == 0
    assert text.count("cannot be read") == 1
    assert text.count("is back") == 1
    assert "superseded" not in log.read_text()


def test_a_service_without_its_raw_root_may_be_started_again_later(tmp_path):
    settings = configure(tmp_path)
    settings.paths.raw_root.rmdir()
    with service(settings) as daemon:
        _, log = daemon.communicate(timeout=30)
    assert daemon.returncode == 75
    assert "does not exist; expected a directory with nights" in log


def test_raw_data_are_never_written(tmp_path):
    settings = configure(tmp_path)
    write(settings, [*calibrations(), *on_sky("x")])
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in settings.paths.raw_root.rglob("*")}
    with service(settings) as daemon:
        wait_for((settings.paths.redux_root / NIGHT / "sp_x_obs1.fits").exists, daemon)
        stop(daemon)
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in settings.paths.raw_root.rglob("*")}
    assert after == before


def test_unit_file_is_valid():
    unit = Path(__file__).parents[2] / "systemd" / "sedmd.service"
    text = unit.read_text()
    assert "Type=notify" in text
    assert "ReadOnlyPaths=" in text
    analyze = next((p for p in map(Path, ("/usr/bin/systemd-analyze", "/bin/systemd-analyze")) if p.exists()), None)
    if analyze is None:
        return
    checked = subprocess.run(
        [str(analyze), "verify", "--man=no", str(unit)], capture_output=True, text=True, env=os.environ, check=False
    )
    # the program itself is not installed where the unit says, on a machine that only tests it
    complaints = [line for line in checked.stderr.splitlines() if "sedmd" in line and "not executable" not in line]
    assert complaints == []
