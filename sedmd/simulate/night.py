"""Write a simulated night: raw frames into ``raw/YYYYMMDD`` directories and the truth beside them."""

from __future__ import annotations

import gzip
import pickle
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from sedmd.core.errors import SedmError
from sedmd.simulate import truth
from sedmd.simulate.expose import render_frame
from sedmd.simulate.headers import build_header, to_hdu
from sedmd.simulate.observe import plan_night, profile_and_night
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.profiles import InstrumentProfile
from sedmd.simulate.rainbow_night import write_catalogue, write_rainbow_frames, write_rainbow_truth

Progress = Callable[[int, int, str], None]


def write_frame(plan: NightPlan, index: int, out: Path) -> dict[str, float | int | str]:
    """Render frame `index` and write its raw file and truth files under `out`; returns its row of the frame table."""
    exposure = plan.exposures[index]
    rendered = render_frame(plan, index)
    folder = out / "raw" / exposure.folder
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{exposure.file}.part"
    to_hdu(rendered.data, rendered.header).writeto(partial, overwrite=True, output_verify="exception")
    name = exposure.file
    if exposure.packed:
        name += ".gz"
        # without name and time in it, the same frame gives the same bytes
        partial.write_bytes(gzip.compress(partial.read_bytes(), compresslevel=1, mtime=0))
    partial.replace(folder / name)
    if exposure.fault == "short header":
        # what the robot could not write into the frame it leaves beside it
        lost = dict(build_header(plan.instrument.profile, replace(exposure, fault="")))
        (folder / exposure.utc.strftime("header_dict_%Y%m%d_%H_%M_%S")).write_bytes(pickle.dumps(lost, protocol=4))
    return truth.write_frame_truth(plan, index, rendered, out / "truth")


_Night = tuple[str, int, int, str, InstrumentProfile]
_PLANS: dict[_Night, NightPlan] = {}


def _work(task: tuple[_Night, int, str]) -> tuple[int, dict[str, float | int | str]]:
    key, index, out = task
    if key not in _PLANS:
        night, seed, instrument, size, profile = key
        _PLANS[key] = plan_night(night=night, seed=seed, size=size, profile=profile, instrument=instrument)
    return index, write_frame(_PLANS[key], index, Path(out))


def simulate_night(
    out: str | Path,
    *,
    night: str | None = None,
    seed: int = 1,
    instrument: int | None = None,
    size: str = "full",
    profile: str | Path | InstrumentProfile | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    rc: int = 0,
) -> Path:
    """Simulate a whole night.

    Parameters
    ----------
    out : path
        Directory that receives ``raw/`` and ``truth/``; frames already there under the same names are replaced.
    night : str, optional
        YYYYMMDD, UT date of the morning hours; without it the profile's example.
    seed : int
        The same seed gives the same bytes, on any machine order and number of workers.
    instrument : int, optional
        Seed of the instrument, where it is not to follow from `seed`: several nights of one instrument.
    size : {"full", "mini", "least"}
    profile : str, Path or InstrumentProfile, optional
        One of ``PROFILES``, or the path of a TOML file; without it that of the night's epoch.
    progress : callable, optional
        Called as ``progress(done, total, file name)`` after each frame, in order of completion.
    workers : int
        Processes that render; 1 renders here.
    rc : int
        Also acquisition and guider frames of the rainbow camera, at most so many of these with each exposure (the robot
        takes one every 40 s), and ``stars/gaia_YYYYMMDD.csv``, a catalogue of the stars in them. 0: none.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ConfigError
        If night, size or profile cannot be used.
    SedmError
        If the number of workers is not positive, or that of guider frames negative.
    """
    if workers < 1:
        raise SedmError(f"workers must be at least 1, got {workers}")
    if rc < 0:
        raise SedmError(f"guider frames must be 0 or more, got {rc}")
    out = Path(out)
    loaded, night = profile_and_night(profile, night)
    plan = plan_night(night=night, seed=seed, size=size, profile=loaded, instrument=instrument)
    (out / "raw").mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "truth", ignore_errors=True)
    (out / "truth").mkdir()
    rows: dict[int, dict[str, float | int | str]] = {}
    for index, row in _rendered(plan, out, loaded, workers):
        rows[index] = row
        if progress is not None:
            progress(len(rows), len(plan), plan.exposures[index].file)
    truth.write_night_truth(plan, [rows[i] for i in range(len(plan))], out / "truth")
    if rc:
        beside = [row for index in range(len(plan)) for row in write_rainbow_frames(plan, index, out, most=rc)]
        write_catalogue(plan, out / "stars")
        write_rainbow_truth(plan, beside, out / "truth")
    return out


def _rendered(
    plan: NightPlan, out: Path, profile: InstrumentProfile, workers: int
) -> Iterator[tuple[int, dict[str, float | int | str]]]:
    if workers == 1:
        for index in range(len(plan)):
            yield index, write_frame(plan, index, out)
        return
    key = (plan.night, plan.seed, plan.instrument.seed, plan.size, profile)
    tasks = [(key, index, str(out)) for index in range(len(plan))]
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_work, tasks)
