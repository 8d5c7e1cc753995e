"""Exposures of empty sky that went through the whole pipeline, for putting sources on.

python tests/benchmarks/blanks.py --blank DIR [--profiles 2017 2021 2024 shifted] [--seed 1]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from sedmd.products.cube import read_cube
from sedmd.reduce.numeric.containers import Cube
from sedmd.simulate import almanac
from sedmd.simulate.conditions import NightConditions, draw_conditions
from sedmd.simulate.night import write_frame
from sedmd.simulate.observe import plan_night
from sedmd.simulate.plan import NightPlan, PlannedExposure, SimulatedInstrument, exposure_of

Place = tuple[float, float]


class Exposed(NamedTuple):
    """A cube, its primary header and its exposure time."""

    cube: Cube
    header: fits.Header
    exptime_s: float


#: One exposure, or the two of a pair.
Blank = tuple[Exposed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """Where a blank exposure or pair looks: `airmass` at its middle (of a pair: A's), `dec` in degrees.

    `moon` is phase angle, zenith distance and separation in degrees; `nod` is A's RA_OFF and DEC_OFF, B's the opposite.
    """

    exptime_s: float
    airmass: float
    dec: float
    west: bool
    moon: tuple[float, float, float]
    nod: Place | None = None


#: No Moon, half a Moon, a bright one.
DARK, HALF_MOON, BRIGHT = (150.0, 120.0, 90.0), (85.0, 60.0, 75.0), (40.0, 45.0, 60.0)
POINTED = (
    Pointed(exptime_s=600.0, airmass=1.05, dec=22.0, west=False, moon=BRIGHT),
    Pointed(exptime_s=1200.0, airmass=1.4, dec=3.0, west=True, moon=HALF_MOON),
    Pointed(exptime_s=1800.0, airmass=1.9, dec=52.0, west=True, moon=DARK),
    Pointed(exptime_s=900.0, airmass=1.2, dec=40.0, west=False, moon=DARK, nod=(2.2, 2.9)),
    Pointed(exptime_s=1200.0, airmass=1.5, dec=-4.0, west=True, moon=HALF_MOON, nod=(3.0, -4.0)),
)


def blank_cubes(folder: Path, profile: str, seed: int) -> tuple[Blank, ...]:
    """Exposures of empty sky as the pipeline reduces them: three single ones, then two A/B pairs.

    Parameters
    ----------
    folder : of this profile and seed; raw frames and products that are there already are used again
    profile : one of ``sedmd.simulate.profiles.PROFILES``
    seed : of chip, conditions and noise

    Raises
    ------
    RuntimeError
        If `sedmd reduce` did not make all the cubes; its output is in `folder`/reduce.log.
    """
    plan = blank_plan(profile, seed)
    taken = [exposure for exposure in plan.exposures if exposure.kind == "science"]
    if not all(_cubes_of(folder, exposure) for exposure in taken):
        _write(folder, plan)
        _reduce(folder)
    missing = [exposure.file for exposure in taken if not _cubes_of(folder, exposure)]
    if missing:
        raise RuntimeError(f"no cube of {', '.join(missing)}: see {folder / 'reduce.log'}")
    groups: dict[str, list[Exposed]] = {}
    for exposure in taken:
        cube, header = read_cube(_cubes_of(folder, exposure)[0])
        groups.setdefault(exposure.target, []).append(Exposed(cube, header, float(header["EXPTIME"])))
    return tuple(tuple(group) for group in groups.values())


def blank_plan(profile: str, seed: int) -> NightPlan:
    """The calibrations, twilight and standards of a mini night, and after them the blank exposures of `POINTED`."""
    plan = plan_night(seed=seed, size="mini", profile=profile)
    kept = [e for e in plan.exposures if e.kind != "science" and not e.ignore]
    rng = np.random.default_rng(np.random.SeedSequence([seed, 505]))
    midnight = almanac.julian_date(datetime.strptime(plan.night, "%Y%m%d").replace(tzinfo=UTC))
    conditions = draw_conditions(plan.instrument.profile, midnight, rng)
    last = kept[-1]
    clock = last.start + (last.exptime + 300.0) / 86400.0
    blanks: list[PlannedExposure] = []
    for number, pointed in enumerate(POINTED):
        name = f"ZTF19aablan{'klmnopq'[number]}"
        taken = _taken(plan.instrument, pointed, name, clock, conditions, rng)
        blanks += taken
        clock = taken[-1].start + (pointed.exptime_s + 180.0) / 86400.0
    return replace(plan, exposures=(*kept, *blanks))


def _taken(
    instrument: SimulatedInstrument,
    pointed: Pointed,
    name: str,
    clock: float,
    conditions: NightConditions,
    rng: np.random.Generator,
) -> list[PlannedExposure]:
    """One exposure that begins at the Julian date `clock`, or the two of a pair."""
    readout = instrument.profile.detector.speed(instrument.profile.detector.science_speed).readout_s + 2.0
    taken: list[PlannedExposure] = []
    for token in "A" if pointed.nod is None else "AB":
        start = round(clock * 86400.0) / 86400.0 + len(taken) * (pointed.exptime_s + readout) / 86400.0
        middle = start + 0.5 * pointed.exptime_s / 86400.0
        # B looks at the same place of the sky as A, a little later.
        airmass = almanac.place(taken[0].ra, pointed.dec, middle).airmass if taken else pointed.airmass
        exposure = exposure_of(
            instrument, exptime=pointed.exptime_s, airmass=airmass, west=pointed.west, dec=pointed.dec, start=start
        )
        hour_angle = almanac.sidereal_time(middle) - exposure.ra
        sign = 1.0 if token == "A" else -1.0
        exposure = replace(
            exposure,
            object=name if pointed.nod is None else f"{name} [{token}]",
            target=name,
            ra=taken[0].ra if taken else exposure.ra,
            offset=(0.0, 0.0) if pointed.nod is None else (sign * pointed.nod[0], sign * pointed.nod[1]),
            flexure=conditions.flexure(middle, (hour_angle + 180.0) % 360.0 - 180.0, pointed.dec),
            breathing=conditions.breathing(start),
            moon=pointed.moon,
            sky=conditions.airglow(start, rng),
            extinction=conditions.extinction,
            water_mm=conditions.water_mm,
            drift=conditions.drift(start, rng),
            cards={} if pointed.nod is None else {"ABPAIR": True, "IMGSET": token},
        )
        taken.append(exposure)
    return taken


def _cubes_of(folder: Path, exposure: PlannedExposure) -> list[Path]:
    return sorted((folder / "redux").glob(f"2*/e3d_crr_b_{exposure.file.removesuffix('.fits')}_*.fits"))


def _write(folder: Path, plan: NightPlan) -> None:
    for index, exposure in enumerate(plan.exposures):
        if not (folder / "raw" / exposure.folder / exposure.file).exists():
            write_frame(plan, index, folder)


def _reduce(folder: Path) -> None:
    """`sedmd reduce` in a process of its own; not all jobs can end well: nothing is there to be extracted."""
    raws = sorted(str(path) for path in (folder / "raw").iterdir() if path.is_dir())
    command = [sys.executable, "-m", "sedmd", "reduce", *raws, "--redux", str(folder / "redux"), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (folder / "reduce.log").write_text(done.stdout + done.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Make the blank cubes of some profiles, each in a folder of its name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blank", type=Path, required=True, metavar="DIR", help="folder of the profiles' folders")
    parser.add_argument("--profiles", nargs="+", default=["2017", "2021", "2024", "shifted"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    for profile in options.profiles:
        begun = time.monotonic()
        blanks = blank_cubes(options.blank / profile, profile, options.seed)
        exposures = sum(len(blank) for blank in blanks)
        print(f"{profile}: {exposures} blank exposures in {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
