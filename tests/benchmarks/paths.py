"""Whole paths through the program: calibration, cold night, a job that does nothing, the last byte of an exposure."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.clockwork import clocked, middle
from benchmarks.figures import Figure, figure
from benchmarks.night import WORKERS, Night, environment_of, kind_of, sedmd, settings_for

from sedmd.core.config import load
from sedmd.core.job import Job
from sedmd.raw.rawname import stem_of
from sedmd.workers.engines import ProcessEngine

#: What has to be reached on two idle cores, seconds.
GOALS = {"cube": 5.0, "single": 7.0, "pair": 8.0, "fixed": 0.1, "calibration": 30.0}
PATIENCE_S = 600.0


def reduced(frames: Sequence[Path], folder: Path) -> tuple[float, float]:
    """Reduce frames from nothing with ``sedmd reduce`` and two workers: seconds, and the share that workers worked."""
    shutil.rmtree(folder, ignore_errors=True)
    link(frames, folder / "raw")
    begun = time.perf_counter()
    reduce(folder)
    wall = time.perf_counter() - begun
    database = sqlite3.connect(f"file:{folder / 'redux' / '.sedmd' / 'ledger.sqlite'}?mode=ro", uri=True)
    try:
        (worked,) = database.execute("SELECT sum(seconds) FROM job").fetchone()
    finally:
        database.close()
    return wall, worked / (WORKERS * wall)


def reduce(folder: Path) -> Path:
    """Reduce ``folder/raw`` into ``folder/redux``; the configuration that was used."""
    config = settings_for(folder)
    sedmd("reduce", folder / "raw", "--redux", folder / "redux", "--config", config, may_fail=True)
    return config


def link(frames: Sequence[Path], raw: Path) -> None:
    """The frames once more, in another raw root, without a copy of their bytes."""
    for path in frames:
        place = raw / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, place)


def on_sky(night: Night) -> dict[str, list[Path]]:
    """Raw frames that a job of the night makes cubes of: standard stars, single targets, pairs, by product."""
    found: dict[str, list[Path]] = {}
    jobs = night.every_job()
    stems = {stem_of(job.one("raw")): job.one("raw") for job in jobs if job.step == "cube"}
    for job in jobs:
        if job.step == "extract":
            cubes = [path for role in ("cube", "cube_a", "cube_b") for path in job.inputs.get(role, ())]
            raws = [raw for stem, raw in stems.items() for path in cubes if stem in path.name]
            what = "standard" if job.options.get("standard") else kind_of(job)
            found[f"{what}: {job.label}"] = sorted(set(raws), key=lambda path: path.name)
    return found


def whole_nights(night: Night, scratch: Path, repeats: int) -> Iterator[Figure]:
    """Calibration alone and the whole night, each from nothing on two workers; what a frame on sky adds."""
    sky = {path for frames in on_sky(night).values() for path in frames}
    every = night.raws()
    calibrations = [path for path in every if path not in sky]
    alone, whole = [], []
    for _ in range(repeats):
        alone.append(reduced(calibrations, scratch / "cold"))
        whole.append(reduced(every, scratch / "cold"))
    for name, took, goal in (
        (f"calibration of a night, {len(calibrations)} frames, 2 workers", alone, GOALS["calibration"]),
        (f"cold night, {len(every)} frames, {len(sky)} of them on sky, 2 workers", whole, None),
    ):
        note = f"workers at work {100 * middle([busy for _, busy in took]).value:.0f} % of the time"
        yield figure("paths", name, [wall for wall, _ in took], goal=goal, note=note)
    more = [(after - before) / len(sky) for (before, _), (after, _) in zip(alone, whole, strict=True)]
    yield figure("growth", "with frames: each one on sky, with its spectrum, 2 workers", more)


def fixed_cost(repeats: int) -> Figure:
    """What a job costs that does nothing: a process of its own from the fork server that has the steps loaded.

    Measured in a process without a main module of its own, as each worker would import that again.
    """
    code = f"from benchmarks.paths import jobs_that_do_nothing; jobs_that_do_nothing({repeats})"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment_of(), stdout=subprocess.PIPE, text=True, check=True
    )
    taken, floor = json.loads(done.stdout)
    beside = ("a bare python", floor)
    return figure("paths", "a job that does nothing", taken, goal=GOALS["fixed"], beside=beside, floor=True)


def jobs_that_do_nothing(repeats: int) -> None:
    """Print seconds of as many empty jobs, and of as many bare interpreters in turn with them."""
    with ProcessEngine("benchmarks.nothing", workers=1) as engine:
        job = Job(step="nothing", night="20170612", label="nothing", inputs={}, outputs={})
        engine.submit(job, timeout_s=60).result()  # the fork server starts
        taken, floor = [], []
        for _ in range(repeats):
            taken.append(clocked(lambda: engine.submit(job, timeout_s=60).result()).wall_s)
            floor.append(clocked(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)).wall_s)
    print(json.dumps([taken, floor]))


def last_byte(night: Night, scratch: Path, repeats: int) -> Iterator[Figure]:
    """From the last byte of an exposure to its products on disk, by a running service that has the calibrations."""
    found = on_sky(night)
    single = next((frames for name, frames in found.items() if name.startswith("extract:")), [])
    pair = next((frames for name, frames in found.items() if name.startswith("extract, pair:")), [])
    seconds: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, value in _played(night, scratch / "live", single, pair):
            seconds.setdefault(name, []).append(value)
    told = {
        "cube": "last byte of an exposure to its cube",
        "single": "last byte of an exposure to its spectrum",
        "pair": "last byte of a pair to its spectrum",
    }
    for key, values in seconds.items():
        yield figure("paths", told[key], values, goal=GOALS[key])


def _played(night: Night, folder: Path, single: Sequence[Path], pair: Sequence[Path]) -> Iterator[tuple[str, float]]:
    """One playing of the exposures into a night whose calibrations and standard stars are reduced."""
    late = {*single, *pair}
    shutil.rmtree(folder, ignore_errors=True)
    link([path for path in night.raws() if path not in late], folder / "raw")
    config = reduce(folder)
    settings = load(config)
    redux = max(path for path in settings.paths.redux_root.iterdir() if path.name.isdigit())
    with _service(config, folder / "log"):
        time.sleep(5.0)  # it has looked at the night and has nothing to do
        for name, frames in (("single", single), ("pair", pair)):
            if not frames:
                continue
            before = set(redux.glob("sp_*.fits"))
            *first, last = frames
            for path in first:
                _drop(path, settings.paths.raw_root)
                _wait_for(lambda path=path: list(redux.glob(f"e3d_*{stem_of(path)}*.fits")))
                time.sleep(5.0)
            ended = _drop(last, settings.paths.raw_root)
            (cube,) = _wait_for(lambda last=last: list(redux.glob(f"e3d_*{stem_of(last)}*.fits")))
            _wait_for(lambda before=before: set(redux.glob("sp_*.fits")) - before)
            (spectrum,) = set(redux.glob("sp_*.fits")) - before
            if name == "single":
                yield "cube", cube.stat().st_mtime - ended
            yield name, spectrum.stat().st_mtime - ended
            time.sleep(5.0)


def _drop(path: Path, raw: Path) -> float:
    """Write a frame as a camera does; the time of its last byte."""
    place = raw / path.parent.name / path.name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(path.read_bytes())
    return time.time()


@contextmanager
def _service(config: Path, log: Path) -> Iterator[None]:
    with log.open("w") as file:
        words = [sys.executable, "-m", "sedmd", "run", "--config", str(config)]
        process = subprocess.Popen(words, env=environment_of(), stderr=file)
    try:
        yield
    finally:
        process.terminate()
        process.wait(120)


def _wait_for(condition: Callable[[], list[Path] | set[Path]]) -> list[Path]:
    until = time.monotonic() + PATIENCE_S
    while not (got := condition()):
        if time.monotonic() > until:
            raise TimeoutError("the service did not make what was waited for")
        time.sleep(0.05)
    return list(got)
