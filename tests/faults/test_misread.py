"""Frames that crash, hang or starve whoever reads them, before a real service."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from night.raw_night import on_sky, raw

from sedmd.ledger.ledger import Ledger

from .daemon import configure, running, wait_for

START = datetime(2019, 6, 12, 5, tzinfo=UTC)
EVIL = {
    "11": "the process that read it died (signal SIGSEGV)",
    "12": "it took longer than 3 s and was stopped",
    "13": "it took longer than 3 s and was stopped",
    "14": "it wanted more than 2 GB of memory",
    "15": "the process that read it died (exit status 3)",
    "16": "the process that read it died twice (signal SIGKILL)",
}


@pytest.mark.slow(seconds=15)
def test_frames_that_are_the_death_of_their_reader_cost_themselves(tmp_path, tell):
    settings = configure(tmp_path)
    good = list(on_sky(*(f"y{number}" for number in range(12))))
    path = settings.paths.state / "ledger.sqlite"

    def states():
        with Ledger.open(path, clock=lambda: START, read_only=True) as ledger:
            return {row.path.name: (row.state, row.reason) for row in ledger.frames.of_night("20190612")}

    with running(settings, module="faults.misread") as daemon:
        wait_for(lambda: daemon.ready and path.exists(), daemon)
        begun = time.monotonic()
        latencies = []
        evil = [raw(START + timedelta(seconds=int(second)), f"x{second}") for second in EVIL]
        for frame in good:
            if evil:
                evil.pop().write(settings.paths.raw_root)
            place = frame.write(settings.paths.raw_root)
            latencies.append(wait_for(lambda place=place: place.name in states(), daemon))
        wait_for(lambda: len(states()) == len(good) + len(EVIL), daemon)
        found = states()
        pings = [when for when in daemon.pings() if when > begun]
        assert daemon.stop() == 0 and daemon.tracebacks() == []
    for second, why in EVIL.items():
        state, reason = found[f"ifu20190612_05_00_{second}.fits"]
        assert state == "quarantined" and why in reason
    assert sum(state == "good" for state, _ in found.values()) == len(good)
    gap = max(later - earlier for earlier, later in pairwise(pings))
    assert gap < 3.0, "the loop turned all the time"
    latencies.sort()
    tell(
        f"{len(EVIL)} frames ended their readers; {len(good)} good ones beside them in the ledger after "
        f"{latencies[len(good) // 2]:.2f} s, at most {latencies[-1]:.2f} s; pings at most {gap:.1f} s apart"
    )
