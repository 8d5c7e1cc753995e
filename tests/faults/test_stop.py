"""Stopping a service that has jobs at work: once patiently, twice at once, by whatever pair of signals."""

from __future__ import annotations

import signal
import time

import pytest
from night.helpers import products
from night.raw_night import whole_night

from .audit import booked, faults_of, install
from .daemon import configure, running, wait_for, wait_until_done, workers_of
from .nights import undisturbed

NIGHT = whole_night()


@pytest.fixture
def settings(tmp_path):
    made = configure(tmp_path / "stopped")
    install(made)
    for frame in NIGHT:
        frame.write(made.paths.raw_root)
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_jobs_at_work_may_end(settings, tell, number):
    with running(settings, FAKE_STEP_SECONDS="0.7") as daemon:
        wait_for(lambda: len(workers_of(daemon.process.pid)) == 2, daemon)
        assert daemon.stop(number) == 0
        assert daemon.said("stopping; waiting for 2 jobs") == daemon.said("stopped; 0 jobs restart next time") == 1
    assert booked(settings) == 2
    tell(f"{number.name}: 2 jobs at work, both booked")


# the kernel makes one of two equal signals that are not taken yet: only different ones can come at once
@pytest.mark.parametrize(
    ("first", "second", "pause_s"),
    [("SIGTERM", "SIGINT", 0.0), ("SIGINT", "SIGTERM", 0.4), ("SIGTERM", "SIGTERM", 0.4)],
)
def test_a_second_signal_ends_the_patience(settings, tell, first, second, pause_s):
    """Also one that comes in the same turn of the loop as the first."""
    with running(settings, FAKE_STEP_SECONDS="30") as daemon:
        wait_for(lambda: len(workers_of(daemon.process.pid)) == 2, daemon)
        workers, begun = workers_of(daemon.process.pid), time.monotonic()
        daemon.process.send_signal(signal.Signals[first])
        time.sleep(pause_s)
        assert daemon.stop(signal.Signals[second]) == 0
        took_s = time.monotonic() - begun
        assert took_s < 10
        assert daemon.said("stopped; 2 jobs restart next time") == 1
        assert daemon.tracebacks() == []
        assert not any(alive(pid) for pid in workers)
    assert booked(settings) == 0
    tell(f"{first}, {second} after {pause_s} s: ended in {took_s:.2f} s, 2 jobs start again")


def test_killed_while_it_drains_the_next_service_does_the_rest(settings, tmp_path, tell):
    expected = undisturbed(tmp_path / "undisturbed", NIGHT)
    with running(settings, FAKE_STEP_SECONDS="0.7") as daemon:
        wait_for(lambda: len(workers_of(daemon.process.pid)) == 2, daemon)
        daemon.process.terminate()
        wait_for(lambda: daemon.said("stopping; waiting for 2 jobs") == 1, daemon)
        daemon.kill()
    before = booked(settings)
    with running(settings) as daemon:
        wait_until_done(settings, len(NIGHT), daemon)
        assert daemon.stop() == 0
        assert daemon.said("2 interrupted jobs start again") == 1
    assert faults_of(settings) == []
    assert products(settings) == expected
    tell(f"{before} jobs booked when it was killed; the night is the same")


def alive(pid: int) -> bool:
    """A process of this number works; one that is dead and only not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
