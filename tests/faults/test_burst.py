"""Twenty thousand files at once: all of them in, in bounded time, and systemd's watchdog is fed meanwhile."""

from __future__ import annotations

import os
import time
from itertools import pairwise

import pytest
from night.helpers import night_is_done
from night.raw_night import NIGHT, calibrations, on_sky

from sedmd.ledger.ledger import Ledger
from sedmd.run.dispatch import Dispatcher
from sedmd.run.event_log import EventLog
from sedmd.run.ingest import register, take_in
from sedmd.workers.engines import InlineEngine

from .audit import now
from .daemon import configure, running, wait_for

FRAMES = [*calibrations(), *on_sky("STD-Feige34", "x")]


def burst(tmp_path, tell, *, count: int, limit_s: float) -> None:
    """`count` hard links of whole frames appear in a directory that is watched."""
    settings = configure(tmp_path, scan_s=10.0)  # the default: each scan looks at every file in sight
    raw = settings.paths.raw_root
    for frame in FRAMES:
        frame.write(raw)
    originals = sorted(raw.glob("*/*.fits"))
    with running(settings) as daemon:
        wait_for(lambda: night_is_done(settings, len(FRAMES)), daemon)
        begun = time.monotonic()
        for number in range(count):
            original = originals[number % len(originals)]
            os.link(original, raw / NIGHT / f"ifu{NIGHT}_link{number:05}.fits")
        dropped_s = time.monotonic() - begun

        def known() -> int:
            with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
                return len(ledger.frames.known_files())

        def all_known() -> bool:
            time.sleep(1.0)
            return known() == len(FRAMES) + count

        wait_for(all_known, daemon, patience_s=limit_s)
        in_s = time.monotonic() - begun
        wait_for(lambda: time.sleep(1.0) or night_is_done(settings, len(FRAMES) + count), daemon, patience_s=limit_s)
        planned_s = time.monotonic() - begun
        pings = [when for when in daemon.pings() if when >= begun - 1]
        gap_s = max(after - before for before, after in pairwise(pings))
        assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    tell(
        f"{count} files dropped in {dropped_s:.1f} s; in the ledger after {in_s:.1f} s "
        f"({count / in_s:.0f} a second), planned after {planned_s:.1f} s; longest gap between pings {gap_s:.2f} s"
    )
    # a quarter of WatchdogSec of the unit file, on a machine that is busy with other things too
    assert gap_s < 30.0


def test_a_thousand_files_at_once(tmp_path, tell):
    burst(tmp_path, tell, count=1000, limit_s=90)


@pytest.mark.slow(seconds=70)
def test_twenty_thousand_files_at_once(tmp_path, tell):
    burst(tmp_path, tell, count=20_000, limit_s=400)


def test_a_plan_that_is_older_than_the_end_of_a_job_does_not_start_it_again(tmp_path):
    """While files pour in, a night is planned seldom: what ended meanwhile is not due, whatever the plan says."""
    settings = configure(tmp_path)
    for frame in calibrations():
        frame.write(settings.paths.raw_root)
    ended = []
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now) as ledger:
        for path in sorted(settings.paths.raw_root.glob("*/*.fits")):
            register(ledger, take_in(path, settings, now=now()))
        dispatcher = Dispatcher(
            settings=settings,
            ledger=ledger,
            engine=InlineEngine(settings.jobs.steps_module, workers=1),
            clock=now,
            report=EventLog(clock=now, stream=None),
            on_done=lambda key, job, future: ended.append((key, future)),
        )
        plan = dispatcher.plan(NIGHT, final=True)
        due = len(plan.due())
        for _ in range(2 * due):
            dispatcher.launch([plan])
            while ended:
                dispatcher.finished(*ended.pop())
        done = [job.key for job in ledger.jobs.of_night(NIGHT)]
        assert len(done) == len(set(done)) == due
        assert dispatcher.launch([plan]) == 0
        assert dispatcher.launch([dispatcher.plan(NIGHT, final=True)]) == 1
