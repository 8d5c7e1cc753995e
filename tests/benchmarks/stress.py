"""Nights that differ from a usual one in one property, each as far as a real or another simulated night could go.

    python tests/benchmarks/stress.py --like 2021 --seed 31 --out DIR [--only ghost lamps-faint] [--reuse]

Each property is a least night: an epoch's instrument and weather with that one thing changed, simulated, reduced and
scored. Printed are the figures as of `instruments.py`, and every warning of the log; the exit code says whether the
deciding ones were met. `--list` tells the properties.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.instruments import SHOWN, figures, scored, toml

from sedmd.simulate import observe, truth
from sedmd.simulate.night import write_frame
from sedmd.simulate.plan import NightPlan, PlannedExposure
from sedmd.simulate.profiles import InstrumentProfile, load_profile
from sedmd.simulate.score_rows import ScoreRow
from sedmd.simulate.score_table import decides
from sedmd.simulate.sources import SimulatedSource
from sedmd.simulate.spectra import smooth_flux

Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """What is changed: keys of the profile, exposures of the sky, the airmass of the standard star."""

    sections: Callable[[InstrumentProfile], Sections] = lambda like: {}
    exposure: Callable[[PlannedExposure], PlannedExposure] = lambda exposure: exposure
    star_airmass: float | None = None


def _keys(**sections: Mapping[str, Any]) -> Callable[[InstrumentProfile], Sections]:
    return lambda like: sections


def _times(section: str, **factors: float) -> Callable[[InstrumentProfile], Sections]:
    """Numbers of one section, multiplied."""
    return lambda like: {section: {key: getattr(getattr(like, section), key) * by for key, by in factors.items()}}


def _noise(like: InstrumentProfile) -> Sections:
    speeds = "".join(
        f"{{ mhz = {s.mhz}, read_noise = {2.0 * s.read_noise}, bias = {s.bias}, readout_s = {s.readout_s} }}, "
        for s in like.detector.speeds
    )
    return {"detector": {"speeds": Raw(f"[ {speeds}]")}}


class Raw(str):
    """A value that is TOML already."""


def _turned(angle: float) -> Callable[[InstrumentProfile], Sections]:
    return lambda like: {"lattice": {"rotation_deg": like.lattice.rotation_deg + angle}}


def _packed(rows: float) -> Callable[[InstrumentProfile], Sections]:
    """The array turned and pressed so that a spectrum has its nearest one so many rows away, over the whole length."""

    def sections(like: InstrumentProfile) -> Sections:
        q, r = np.array(like.lattice.step_q), np.array(like.lattice.step_r)
        # the rows of the lattice repeat after 2 q - r, which runs along the spectra: its rise is what keeps them apart
        rise = 2.0 * q[1] - r[1]
        q[1] += 0.5 * (np.sign(rise) * rows - rise)
        return {"lattice": {"step_q": q, "step_r": r}}

    return sections


def _mirrored(like: InstrumentProfile) -> Sections:
    """Spectra tilted the other way, and the array so that they lie as far from each other as they did."""
    steps = {key: np.array(getattr(like.lattice, key)) * [1.0, -1.0] for key in ("step_q", "step_r")}
    return {"trace": {"tilt_deg": -like.trace.tilt_deg}, "lattice": steps}


def _flexure(x: float, y: float) -> Callable[[PlannedExposure], PlannedExposure]:
    return lambda exposure: replace(exposure, flexure=(x, y))


def _on(
    kind: str, change: Callable[[PlannedExposure], PlannedExposure]
) -> Callable[[PlannedExposure], PlannedExposure]:
    return lambda exposure: change(exposure) if exposure.kind == kind else exposure


def _moved(x: float, y: float) -> Callable[[PlannedExposure], PlannedExposure]:
    """The target elsewhere in the field, the telescope's aim with it."""

    def change(exposure: PlannedExposure) -> PlannedExposure:
        off = x - exposure.sources[0].x, y - exposure.sources[0].y
        sources = tuple(replace(s, x=s.x + off[0], y=s.y + off[1]) for s in exposure.sources)
        return replace(exposure, sources=sources, aim=(exposure.aim[0] + off[0], exposure.aim[1] + off[1]))

    return change


def _with_star(x: float, y: float, magnitude: float) -> Callable[[PlannedExposure], PlannedExposure]:
    """Another star that far from the target."""

    def change(exposure: PlannedExposure) -> PlannedExposure:
        own = exposure.sources[0]
        star = SimulatedSource(
            name="neighbour", x=own.x + x, y=own.y + y, flux=smooth_flux(4800.0, magnitude), role="neighbour"
        )
        return replace(exposure, sources=(own, star))

    return change


PROPERTIES: dict[str, Property] = {
    "usual": Property(),
    "beyond": Property(sections=_keys(scatter={"beyond": 400})),
    "scatter-twice": Property(sections=_times("scatter", fraction=2.0, ghost=2.0)),
    "scatter-much": Property(sections=_times("scatter", fraction=4.0, ghost=4.0)),
    "ghost": Property(sections=_keys(scatter={"image": [310.0, -170.0, 0.003, 0.0]})),
    "ghost-blurred": Property(sections=_keys(scatter={"image": [-240.0, 205.0, 0.005, 12.0]})),
    "noise-twice": Property(sections=_noise),
    "bias-rows": Property(sections=_times("detector", bias_rows=8.0, bias_drift=6.0)),
    "lamps-faint": Property(sections=_times("lamps", hg_rate=0.1, cd_rate=0.1, xe_rate=0.1)),
    "xe-bright": Property(sections=_times("lamps", xe_rate=10.0)),
    "hg-bright": Property(sections=_times("lamps", hg_rate=10.0)),
    "cd-bright": Property(sections=_times("lamps", cd_rate=10.0)),
    "lamps-continuum": Property(
        sections=_keys(lamps={"hg_continuum": 0.005, "cd_continuum": 0.005, "xe_continuum": 0.01})
    ),
    "lamps-bare": Property(sections=_keys(lamps={"hg_continuum": 0.0, "cd_continuum": 0.0, "xe_continuum": 0.0})),
    "dome-red": Property(sections=_keys(lamps={"dome_temperature": 2200.0})),
    "dome-blue": Property(sections=_keys(lamps={"dome_temperature": 4500.0})),
    "dome-faint": Property(sections=_times("lamps", dome_rate=0.15)),
    "dome-steep": Property(sections=_keys(lamps={"dome_gradient": 0.05})),
    "flexure": Property(exposure=_flexure(1.5, -1.5)),
    "flexure-more": Property(exposure=_flexure(-2.8, 2.6)),
    "seeing-bad": Property(exposure=lambda e: replace(e, seeing=replace(e.seeing, fwhm=3.5))),
    "seeing-good": Property(exposure=lambda e: replace(e, seeing=replace(e.seeing, fwhm=1.0))),
    "moffat-2": Property(exposure=lambda e: replace(e, seeing=replace(e.seeing, beta=2.0))),
    "moffat-6": Property(exposure=lambda e: replace(e, seeing=replace(e.seeing, beta=6.0))),
    "elliptical": Property(exposure=lambda e: replace(e, seeing=replace(e.seeing, ellipticity=0.2))),
    "low-star": Property(star_airmass=2.2),
    "moon": Property(exposure=lambda e: replace(e, moon=(4.0, 35.0, 40.0))),
    "edge": Property(exposure=_on("science", _moved(9.5, -2.0))),
    "neighbour": Property(exposure=_on("science", _with_star(-5.5, 4.0, 17.0))),
    "neighbour-bright": Property(exposure=_on("science", _with_star(6.0, 5.0, 14.6))),
    "clouds": Property(exposure=_on("standard", lambda e: replace(e, transparency=0.33))),
    "tilt-other": Property(sections=_mirrored),
    "wide": Property(sections=_keys(width={"trace": 1.7})),
    "narrow": Property(sections=_keys(width={"trace": 0.9})),
    "lines-wide": Property(sections=_keys(width={"line": 1.8})),
    "lines-narrow": Property(sections=_keys(width={"line": 0.85})),
    "three-rows": Property(sections=_packed(3.0)),
    "wings": Property(sections=_keys(width={"wing_fraction": 0.12, "wing_scale": 5.0})),
    "short": Property(sections=_keys(dispersion={"scale": 0.8})),
    "long": Property(sections=_keys(dispersion={"scale": 1.12})),
    "small-pitch": Property(
        sections=lambda like: {
            "lattice": {key: 0.93 * np.array(getattr(like.lattice, key)) for key in ("step_q", "step_r")}
        }
    ),
    "shape-wild": Property(sections=_keys(trace={"sag": 0.8, "tilt_x": 0.5, "tilt_y": -0.5})),
    "hot": Property(sections=_keys(detector={"hot_pixels": 6000, "dead_pixels": 900, "dead_columns": 8})),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, reduce and score a night of each property; 0 if all deciding figures were met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--like", default="2021", help="epoch whose instrument is changed; default 2021")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--out", type=Path, default=Path("sedmd-stress"), help="default ./sedmd-stress")
    parser.add_argument("--only", nargs="+", choices=sorted(PROPERTIES), default=list(PROPERTIES))
    parser.add_argument("--together", action="store_true", help="all of them in one night")
    parser.add_argument("--list", action="store_true", help="print the properties and do nothing")
    parser.add_argument("--reuse", action="store_true", help="keep nights that are there; products are made anew")
    options = parser.parse_args(argv)
    if options.list:
        print("\n".join(PROPERTIES))
        return 0
    good = True
    for names in [options.only] if options.together else [[name] for name in options.only]:
        name = "+".join(names)
        folder = options.out / f"{options.like}-{options.seed}-{name}"
        rows = _night(folder, all_of(names, options.like), options.like, options.seed, options.reuse)
        print(f"\n{name}, {options.like}, seed {options.seed}")
        print("\n".join([*figures(rows, SHOWN), *_said(folder / "reduce.log")]))
        good &= all(row.passed for row in rows if decides(row))
        sys.stdout.flush()
    return 0 if good else 1


def all_of(names: Sequence[str], like: str) -> Property:
    """Several properties in one."""
    sections: dict[str, dict[str, Any]] = {}
    for name in names:
        for section, values in PROPERTIES[name].sections(load_profile(like)).items():
            sections.setdefault(section, {}).update(values)

    def exposure(one: PlannedExposure) -> PlannedExposure:
        for name in names:
            one = PROPERTIES[name].exposure(one)
        return one

    airmass = next((PROPERTIES[name].star_airmass for name in names if PROPERTIES[name].star_airmass), None)
    return Property(sections=lambda _: sections, exposure=exposure, star_airmass=airmass)


def _night(folder: Path, what: Property, like: str, seed: int, reuse: bool) -> list[ScoreRow]:
    if not (folder / "truth" / "sensitivity.fits").exists():
        folder.mkdir(parents=True, exist_ok=reuse)
        _simulate(folder, what, like, seed)
    plan = planned(what, folder / "instrument.toml", seed)
    redux = folder / "redux"
    shutil.rmtree(redux, ignore_errors=True)
    raws = sorted(str(path) for path in (folder / "raw").iterdir())
    with (folder / "reduce.log").open("w") as log:
        command = [sys.executable, "-m", "sedmd", "reduce", *raws, "--redux", str(redux), "--workers", "1"]
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    if code:
        print(f"  sedmd reduce ended with exit code {code}; see {folder / 'reduce.log'}")
    return scored(folder, plan)


def _simulate(folder: Path, what: Property, like: str, seed: int) -> None:
    profile = folder / "instrument.toml"
    profile.write_text(profile_of(what, like))
    plan = planned(what, profile, seed)
    (folder / "truth").mkdir(exist_ok=True)
    rows = [write_frame(plan, index, folder) for index in range(len(plan))]
    truth.write_night_truth(plan, rows, folder / "truth")


def profile_of(what: Property, like: str) -> str:
    """The instrument of a property as the text of a profile."""
    lines = [f'like = "{like}"', "epoch = false"]
    for section, values in what.sections(load_profile(like)).items():
        lines += ["", f"[{section}]"]
        lines += [f"{key} = {value if isinstance(value, Raw) else toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"


def planned(what: Property, profile: Path, seed: int) -> NightPlan:
    """The night of a property by the instrument of a profile's file."""

    def nearest(observer: Any) -> str:
        """The standard star that is nearest to the airmass asked for."""
        wanted = what.star_airmass or 1.0
        stars = observe.standards()
        return min(stars, key=lambda star: abs(observer._star_airmass(star, 300.0) - wanted))

    with patch.object(observe._Observer, "_highest", nearest):
        plan = observe.plan_night(seed=seed, size="least", profile=profile)
    of_sky = ("science", "standard")
    return replace(plan, exposures=tuple(what.exposure(e) if e.kind in of_sky else e for e in plan.exposures))


def _said(log: Path) -> list[str]:
    """Warnings and failures of a log."""
    words = ("WARNING", "ERROR", "warning", "failed", "quarantine", "Traceback")
    return [f"    | {line[:220]}" for line in log.read_text().splitlines() if any(word in line for word in words)]


if __name__ == "__main__":
    sys.exit(main())
