"""A service that stands still for minutes, alone or with its whole machine, and goes on as if nothing had been."""

from __future__ import annotations

import os
import signal
import time

import pytest
from night.helpers import products
from night.raw_night import NIGHT, calibrations, on_sky, whole_night

from sedmd.run.vitals import health_errors

from .audit import faults_of, install
from .daemon import configure, family_of, running, wait_for, wait_until_done, workers_of
from .nights import undisturbed
from .turned import case

FRAMES = [*calibrations(), *on_sky("STD-Feige34", "x")]


class Seconds:
    """A monotonic clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def test_no_file_and_no_job_grows_older_while_the_service_stands_still(tmp_path, tell):
    seconds = Seconds()
    with case(tmp_path, monotonic=seconds, settle_timeout_s=120.0) as one:
        service = one.service
        one.write(FRAMES)
        one.turn_until(lambda: one.known() == len(FRAMES))
        path = one.raw / NIGHT / f"ifu{NIGHT}_09_00_00.fits"
        path.write_bytes(FRAMES[-1].content[:3000])
        one.turn_until(lambda: path in service.intake.gate.settling())
        since_s = service.intake.gate._seen[path].since_s
        key, node = next((node.key, node) for node in service.nights.plans[NIGHT].nodes)
        service.dispatcher.running[key] = node.job
        service.vitals()
        before = service.keeper._begun_s[key]
        seconds.ahead = 600.0
        one.turn_until(lambda: one.said("suspended for 10 min") == 1)
        assert not service.intake.gate.deferred()
        assert 0.0 <= service.intake.gate._seen[path].since_s - since_s - 600.0 < 5.0
        assert 0.0 <= service.keeper._begun_s[key] - before - 600.0 < 5.0
        one.turn_until(lambda: health_errors(service.vitals()) == ())  # systemd's watchdog is fed again
        del service.dispatcher.running[key]
        assert one.said("suspended for") == 1
        tell("10 minutes: told once; the file that was growing is not deferred, the job not overdue")


@pytest.mark.slow(seconds=20)
def test_jobs_that_stood_still_with_the_machine_are_not_charged_for_it(tmp_path, tell):
    """SIGSTOP for twice the time limit, to the service, its fork server and its workers, in the midst of jobs."""
    night = whole_night()
    expected = undisturbed(tmp_path / "undisturbed", night)
    settings = configure(tmp_path / "stopped", timeout_s=3.0, retry_after_s=[])
    install(settings)
    for frame in night:
        frame.write(settings.paths.raw_root)
    with running(settings, FAKE_STEP_SECONDS="0.4") as daemon:
        wait_for(lambda: len(workers_of(daemon.process.pid)) == 2, daemon)
        stopped = family_of(daemon.process.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(6.0)
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
        resumed = time.monotonic()
        wait_for(lambda: daemon.pings() and daemon.pings()[-1] > resumed, daemon)
        pinged_s = daemon.pings()[-1] - resumed
        wait_until_done(settings, len(night), daemon)
        assert daemon.stop() == 0
        assert daemon.said("took longer than") == 0
        assert daemon.tracebacks() == []
    assert faults_of(settings) == []
    assert products(settings) == expected
    tell(f"6 s with a time limit of 3 s: none was stopped; {len(stopped)} processes; a ping {pinged_s:.2f} s later")
