"""`sedmd demo`: a night simulated, played into a raw directory under a running service, and compared with its truth."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from sedmd.core.config import Settings, load
from sedmd.core.errors import SedmError
from sedmd.raw.fitsfile import examine
from sedmd.run.states import NightState
from sedmd.run.status import snapshot
from sedmd.run.status_text import render
from sedmd.simulate.score_table import compare, decides

#: Present in a directory that a demo made, so that the next one may clear it.
MARK = ".sedmd-demo"
#: So long nothing may come of a demo before it is called a failure, seconds; a slow machine is none.
PATIENCE_S = 1500.0

CONFIG = """\
# Written by `sedmd demo`: a night in minutes instead of hours.
[paths]
raw_root = "raw"
redux_root = "redux"

[watch]
scan_interval_s = 2.0
settle_s = 0.5
settle_timeout_s = 15.0

[calibrations]
quiet_s = 30.0

[night]
quiet_s = 30.0
"""


def play(out: Path, *, seed: int, profile: str, clock: Callable[[], datetime]) -> int:
    """Run the demonstration in `out`; returns the exit code, 0 only if everything expected came out.

    Raises
    ------
    SedmError
        If `out` holds anything but an earlier demo, or if one of the two programs fails.
    """
    from sedmd.simulate.score import score_night

    begun = time.monotonic()
    settings = _prepare(out)
    simulated = out / "simulated"
    night = example_night(profile)
    print(f"Simulating a night of profile {profile!r}, seed {seed}, and playing it under a running service in {out}")
    simulate = ["simulate", str(simulated), "--mini", "--night", night, "--seed", str(seed), "--profile", profile]
    with _sedmd("run", "--config", str(out / "sedmd.toml"), forward=True) as service:
        with _sedmd(*simulate, forward=False) as simulator:
            played = _play_frames(simulated / "raw", settings.paths.raw_root, simulator, service)
        print(f"{played} frames played in {time.monotonic() - begun:.0f} s; waiting for the last spectra")
        state = _wait_until_closed(settings, night, service, clock)
        service.send_signal(signal.SIGTERM)
        code = service.wait(timeout=settings.jobs.drain_timeout_s + 30)
    print(f"\n{render(state)}\n")
    rows = score_night(simulated / "truth", settings.paths.redux_root / night)
    print("Comparison with the truth")
    print(compare(rows))
    spectra = [target for target in state.targets if target.calibrated]
    good = (
        code == 0
        and bool(spectra)
        and not state.failed
        and not state.missing
        and all(row.passed for row in rows if decides(row))
    )
    print(
        f"\n{len(spectra)} spectra in {settings.paths.redux_root / night}, {time.monotonic() - begun:.0f} s in all: ",
        end="",
    )
    print("everything as expected" if good else "NOT everything as expected, see above")
    return 0 if good else 1


def drop(source: Path, target: Path, *, pieces: int = 3, pause_s: float = 0.1) -> None:
    """Copy a frame as a camera writes it: under its final name, growing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    length = -(-len(content) // pieces)
    with target.open("wb") as file:
        for number in range(pieces):
            if number:
                time.sleep(pause_s)
            file.write(content[number * length : (number + 1) * length])
            file.flush()


def example_night(profile: str) -> str:
    """The night that is simulated for a profile."""
    from sedmd.simulate import load_profile

    return load_profile(profile).example


def _prepare(out: Path) -> Settings:
    """An empty demo directory; an earlier demo is cleared, anything else is left alone."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARK).exists():
            msg = f"{out} is not empty and no earlier demo made it; choose another directory with --out"
            raise SedmError(msg)
        for name in ("raw", "redux", "simulated"):
            shutil.rmtree(out / name, ignore_errors=True)
    for name in ("raw", "redux"):
        (out / name).mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()
    (out / "sedmd.toml").write_text(CONFIG, encoding="utf-8")
    return load(out / "sedmd.toml")


@contextmanager
def _sedmd(*arguments: str, forward: bool) -> Iterator[subprocess.Popen[str]]:
    """A sedmd in a process of its own; its lines are passed on, and it never outlives us."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sedmd", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=_pass_on, args=(process.stderr, forward, told), daemon=True)
    reader.start()
    try:
        yield process
        if process.wait(timeout=60) != 0:
            reader.join(5)
            msg = f"sedmd {arguments[0]} ended with exit code {process.returncode}: {' / '.join(told[-3:])}"
            raise SedmError(msg)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _pass_on(lines: IO[str], forward: bool, told: list[str]) -> None:
    for line in lines:
        told.append(line.strip())
        del told[:-10]
        if forward:
            print(line.rstrip(), flush=True)


def _play_frames(source: Path, raw_root: Path, simulator: subprocess.Popen[str], service: subprocess.Popen[str]) -> int:
    """Drop each frame as soon as it is simulated; how many."""
    played: set[Path] = set()
    while True:
        finished = simulator.poll() is not None
        if service.poll() is not None:
            msg = f"the service ended early with exit code {service.returncode}; its lines are above"
            raise SedmError(msg)
        for path in sorted(set(source.glob("*/ifu*.fits*")) - played):
            if examine(path).whole or finished:
                drop(path, raw_root / path.parent.name / path.name)
                played.add(path)
        if finished:
            return len(played)
        time.sleep(0.2)


def _wait_until_closed(
    settings: Settings,
    night: str,
    service: subprocess.Popen[str],
    clock: Callable[[], datetime],
    *,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> NightState:
    """Wait until the night is closed and nothing is left to do, as long as something comes of it; the last snapshot."""
    until, before, lacking = monotonic() + PATIENCE_S, None, ""
    while monotonic() < until:
        if service.poll() is not None:
            msg = f"the service ended early with exit code {service.returncode}; its lines are above"
            raise SedmError(msg)
        try:
            state = snapshot(settings, night=night, now=clock())
        except SedmError as error:  # a slow service has taken no frame in yet; one that cannot go on ends
            lacking = f" ({error})"
            sleep(1)
            continue
        if state.closed and state.idle:
            return state
        now = _progress(state)
        if now != before:
            until, before, lacking = monotonic() + PATIENCE_S, now, ""
        sleep(1)
    log = settings.paths.redux_root / night / "sedmd.log"
    msg = f"nothing came of the night for {PATIENCE_S:g} s{lacking}; see {log}"
    raise SedmError(msg)


def _progress(state: NightState) -> object:
    """What changes while the work goes on."""
    jobs = (state.calibrations, state.running, state.due, state.waiting)
    return (
        state.frames,
        state.closed,
        [one.stage for one in state.targets],
        [[job.state for job in each] for each in jobs],
    )
