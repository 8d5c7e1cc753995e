"""kill -9 of the service and of its workers, at random moments of a night that is being played."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from night.helpers import products

from .audit import booked, faults_of, install
from .daemon import Daemon, configure, running, wait_for, wait_until_done, workers_of
from .nights import Growing, long_night, undisturbed

#: When the service dies: while it starts, while it works, in the ledger's or journal's writing, while it drains.
PHASES = ("start", "work", "before commit", "after commit", "within journal", "drain")


def pause(seconds: float, daemon: Daemon) -> None:
    """Let the service live for a while; it may end by itself."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and daemon.process.poll() is None:
        time.sleep(0.005)


def one_life(settings, phase: str, chance: random.Random, start_s: float) -> tuple[bool, int]:
    """Start the service and kill it in a phase: (it was killed, workers that were killed before)."""
    shot = 0
    mortal = {"MORTAL": f"{phase}:{chance.randint(1, 16)}"} if phase in PHASES[2:5] else {}
    before = booked(settings)
    with running(settings, module="faults.mortal", FAKE_STEP_SECONDS="0.08", **mortal) as daemon:
        if phase == "start":
            pause(chance.uniform(0.0, 1.2) * start_s, daemon)
        else:
            enough, shoot = chance.randint(0, 4), chance.random() < 0.5
            while booked(settings) - before < enough or mortal:
                if daemon.process.poll() is not None or time.monotonic() - daemon.begun > 4 * start_s + 2:
                    break
                if shoot and (workers := workers_of(daemon.process.pid)):
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(workers), signal.SIGKILL)
                        shot += 1
                    shoot = False
                time.sleep(0.005)
            pause(chance.uniform(0.0, 0.1), daemon)
            if phase == "drain":
                with suppress(ProcessLookupError):
                    daemon.process.terminate()
                pause(chance.uniform(0.0, 0.2), daemon)
        daemon.kill()
        assert daemon.tracebacks() == []
        ended = daemon.process.returncode == -signal.SIGKILL
        # a drain may be over before the blow; an early SIGTERM finds no handler yet
        assert ended or (phase == "drain" and daemon.process.returncode in (0, -signal.SIGTERM))
    return ended, shot


def killed_night(folder: Path, lives: int, seed: int, tell, *, extra: int) -> None:
    night = long_night(extra)
    expected = undisturbed(folder / "undisturbed", night)
    settings = configure(folder / "killed")
    install(settings)
    chance = random.Random(seed)
    with running(settings, module="faults.mortal") as daemon:
        start_s = wait_for(lambda: daemon.ready, daemon)
    play = Growing(night, settings.paths.raw_root, chance)
    killed: Counter[str] = Counter()
    shots = 0
    booked_before_end = []
    for number in range(2 * lives):
        if killed.total() == lives:
            break
        until_now, play_for = number + 1, 0.8 * lives
        share = round(len(night) * min(1.0, until_now / play_for)) - round(len(night) * min(1.0, number / play_for))
        play.feed(share)
        phase = PHASES[number % len(PHASES)]
        died, shot = one_life(settings, phase, chance, start_s)
        killed[phase] += died
        shots += shot
        booked_before_end.append(booked(settings))
    play.finish()
    with running(settings, module="faults.mortal") as daemon:
        wait_until_done(settings, len(night), daemon)
        assert daemon.stop() == 0
        assert daemon.tracebacks() == []
    wrong = faults_of(settings)
    told = ", ".join(f"{count} in {phase!r}" for phase, count in killed.items())
    tell(
        f"seed {seed}: service killed {killed.total()} times ({told}) and {shots} workers; {len(night)} raw files, "
        f"{booked(settings)} jobs booked done ({booked_before_end[-1]} before the last start), "
        f"{len(products(settings))} products; {len(wrong)} faults"
    )
    assert wrong == []
    assert products(settings) == expected
    assert booked_before_end[-1] > 0
    assert killed.total() == lives  # a drain may end by itself before the blow


def test_the_service_is_killed_12_times_and_the_night_is_the_same(tmp_path, tell):
    killed_night(tmp_path, 12, 20190612, tell, extra=0)


@pytest.mark.slow(seconds=170)
def test_the_service_is_killed_100_times_and_the_night_is_the_same(tmp_path, tell):
    lives = int(os.environ.get("FAULT_KILLS", "100"))
    killed_night(tmp_path, lives, int(os.environ.get("FAULT_SEED", "1")), tell, extra=60 * lives // 100)
