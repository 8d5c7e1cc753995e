"""The night that is measured on: simulated and reduced once, with every job of it noted down."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clockwork import TESTS

from sedmd.core.job import Job
from sedmd.core.recipe import RECIPE

#: Nights that can be measured on: the size that `sedmd simulate` makes, and the profile. Only that of 2017 has pairs.
SIZES = ("least", "mini", "full")
PROFILE = "2017"
WORKERS = 2
#: Written last, with the size.
READY = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """A folder with ``raw/``, ``redux/`` and ``jobs/``."""

    folder: Path

    @property
    def size(self) -> str:
        """As it was simulated."""
        return (self.folder / READY).read_text()

    @property
    def raw(self) -> Path:
        return self.folder / "raw"

    def raws(self) -> list[Path]:
        """All raw frames in the order of their exposures."""
        return sorted(self.raw.glob("*/ifu*.fits*"), key=lambda path: path.name)

    def every_job(self) -> list[Job]:
        """All jobs that were done for it."""
        return [pickle.loads(note.read_bytes()) for note in sorted((self.folder / "jobs").glob("*.pickle"))]

    def jobs(self) -> dict[str, Job]:
        """One job of each kind: the step, or ``extract, pair`` and the like; of exposures the longest."""
        found: dict[str, Job] = {}
        for job in self.every_job():
            kind = kind_of(job)
            if kind not in found or _rank(job) > _rank(found[kind]):
                found[kind] = job
        steps = list(RECIPE)
        return dict(sorted(found.items(), key=lambda item: (steps.index(item[1].step), item[0])))


def kind_of(job: Job) -> str:
    """What a job is called among the figures."""
    if job.step == "lamp":
        return "lamp, dome" if job.label == "dome" else "lamp"
    return f"{job.step}, pair" if "cube_b" in job.inputs else job.step


def _rank(job: Job) -> tuple[bool, int, str]:
    """Science before standard stars, many inputs before few."""
    return not job.options.get("standard"), sum(map(len, job.inputs.values())), job.label


def prepare(folder: Path, size: str, *, seed: int = 1) -> Night:
    """The night of a folder, made where it is not there yet."""
    night = Night(folder=folder)
    if not (folder / READY).exists():
        (folder / "jobs").mkdir(parents=True, exist_ok=True)
        if not (folder / "truth" / "sensitivity.fits").exists():  # written last
            words = ["simulate", folder, f"--{size}", "--profile", PROFILE, "--seed", seed, "--workers", WORKERS]
            sedmd(*words)
        config = settings_for(folder, steps_module="benchmarks.recording")
        words = ["reduce", night.raw, "--redux", folder / "redux", "--config", config]
        sedmd(*words, may_fail=True, SEDMD_BENCH_JOBS=str(folder / "jobs"))
        (folder / READY).write_text(size)
    return night


def settings_for(folder: Path, *, raw: Path | None = None, steps_module: str = "sedmd.steps", more: str = "") -> Path:
    """A configuration with every default, for a raw and a redux root in `folder`."""
    config = folder / "sedmd.toml"
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'[paths]\nraw_root = "{raw or folder / "raw"}"\nredux_root = "{folder / "redux"}"\n'
        f'[jobs]\nworkers = {WORKERS}\nsteps_module = "{steps_module}"\n{more}'
    )
    return config


def sedmd(*words: object, may_fail: bool = False, **environment: str) -> None:
    """Run a command of sedmd in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "sedmd", *map(str, words)],
        env=environment_of() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in ((0, 1) if may_fail else (0,)):
        told = f"sedmd {words[0]} ended with exit code {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        raise RuntimeError(told)


def environment_of() -> dict[str, str]:
    """This tree's sedmd and its tests, also for a process that runs elsewhere."""
    given: Sequence[str] = (str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", ""))
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, given))}
