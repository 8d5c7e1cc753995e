"""Workers that hang, eat memory, leave children or babble: each costs its own job, and nobody else."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from night.raw_night import NIGHT, calibrations, on_sky

from sedmd.ledger.ledger import Ledger

from .audit import faults_of, install, now
from .daemon import configure, running, wait_for, wait_until_done, workers_of

GOOD = ("STD-Feige34", "x", "y")


def descendants_group(pid: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def groups_of(parent: int) -> dict[int, int]:
    """Process groups led by grandchildren of the service, with the number of their processes."""
    return {worker: len(descendants_group(worker)) for worker in workers_of(parent)}


def misbehaving_night(tmp_path, label: str, tell, *, reason: str, **changes) -> Counter[str]:
    """Play a night in which one target's step misbehaves until it is cured; what was seen meanwhile."""
    settings = configure(tmp_path, steps="faults.steps", retry_after_s=[0.3] * 40, **changes)
    install(settings)
    frames = [*calibrations(), *on_sky(label, *GOOD)]
    for frame in frames:
        frame.write(settings.paths.raw_root)
    seen: Counter[str] = Counter()
    groups: dict[int, int] = {}
    with running(settings) as daemon:

        def one_fell() -> bool:
            for leader, count in groups_of(daemon.process.pid).items():
                groups[leader] = max(count, groups.get(leader, 0))
            return daemon.said(reason) >= 1

        wait_for(one_fell, daemon)
        made = settings.paths.redux_root / NIGHT
        wait_for(lambda: all((made / f"sp_{name}_obs1.fits").exists() for name in GOOD[1:]), daemon)
        seen["times stopped"] = daemon.said(reason)
        with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
            jobs = ledger.jobs.of_night(NIGHT)
            others = [job for job in jobs if label not in job.label]
            seen["other jobs that failed"] = sum(job.state in ("failed", "retry") for job in others)
        pings = len(daemon.pings())
        wait_for(lambda: len(daemon.pings()) > pings, daemon)
        (settings.paths.redux_root / "cured").touch()
        wait_until_done(settings, len(frames), daemon)
        assert daemon.stop() == 0
        seen["log bytes"] = daemon.log.stat().st_size
    assert daemon.tracebacks() == [] or label == "Glutton"
    (settings.paths.redux_root / "cured").unlink()
    seen["processes left"] = sum(len(descendants_group(leader)) for leader in groups)
    seen["largest group"] = max(groups.values(), default=0)
    assert faults_of(settings) == []
    assert (settings.paths.redux_root / NIGHT / f"sp_{label}_obs1.fits").exists()
    tell(", ".join(f"{count} {what}" for what, count in seen.items()))
    assert seen["other jobs that failed"] == 0
    assert seen["processes left"] == 0
    return seen


def test_a_worker_that_hangs_is_stopped_at_its_limit(tmp_path, tell):
    misbehaving_night(tmp_path, "Hang", tell, reason="took longer than 1.5 s and was stopped", timeout_s=1.5)


def test_a_worker_that_eats_memory_is_refused_it(tmp_path, tell):
    misbehaving_night(tmp_path, "Glutton", tell, reason="MemoryError", memory_mb=1500)


def test_children_of_a_worker_die_with_it(tmp_path, tell):
    seen = misbehaving_night(tmp_path, "Family", tell, reason="took longer than 1.5 s", timeout_s=1.5)
    assert seen["largest group"] >= 7


def test_a_worker_that_writes_without_end_is_stopped(tmp_path, tell):
    misbehaving_night(tmp_path, "Babble", tell, reason="took longer than 1.5 s", timeout_s=1.5)


def test_workers_do_not_outlive_a_killed_service(tmp_path, tell):
    """Neither do the children that a step made."""
    settings = configure(tmp_path, steps="faults.steps")
    for frame in [*calibrations(), *on_sky("Hang", "Family", *GOOD)]:
        frame.write(settings.paths.raw_root)
    with running(settings) as daemon:
        wait_for(lambda: (settings.paths.redux_root / NIGHT / "flat.fits").exists(), daemon)
        wait_for(lambda: len(workers_of(daemon.process.pid)) == 2, daemon)
        wait_for(lambda: max(groups_of(daemon.process.pid).values(), default=0) >= 7, daemon)
        orphans = workers_of(daemon.process.pid)
        begun = time.monotonic()
        daemon.kill()
        while any(map(descendants_group, orphans)) and time.monotonic() < begun + 10:
            time.sleep(0.01)
    left = [pid for leader in orphans for pid in descendants_group(leader)]
    tell(f"{len(orphans)} workers, {len(left)} left {time.monotonic() - begun:.2f} s after kill -9 of the service")
    assert left == []
