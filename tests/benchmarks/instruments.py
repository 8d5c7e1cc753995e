"""Instruments that never were: each night has a geometry, dispersion, camera, lamps and weather drawn at random.

    python tests/benchmarks/instruments.py --seeds 101 102 103 --out DIR [--reuse]

What is drawn stays within what this spectrograph could be after a camera, grating, array or lamp was touched; the
epochs that the simulator knows are where the draws begin. A new seed is an instrument that nobody has looked at.
Printed is every figure of `sedmd validate` by instrument; the exit code says whether the deciding ones were met.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from sedmd.simulate.observe import plan_night
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.profiles import load_profile
from sedmd.simulate.score import products_of, score_night
from sedmd.simulate.score_rows import ScoreRow, worst
from sedmd.simulate.score_table import decides
from sedmd.simulate.score_truth import NightTruth

EPOCHS = ("2017", "2018", "2019", "2021", "2024")
#: What is shown of each night, by the beginning of a figure's name.
SHOWN = (
    "complete traces",
    "traces invented",
    "trace position, rms",
    "trace position, blue",
    "wavelength",
    "flat",
    "flexure",
    "sky line",
    "scattered light, median",
    "spectrum pulls, std",
    "S/N told",
    "flux, level",
    "flux in 10 nm bins",
    "flux in 20 nm bins, largest",
    "faint",
    "automatic position",
    "fate",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, reduce and score a least night of each instrument; 0 if all deciding figures were met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[101, 102, 103])
    parser.add_argument("--out", type=Path, default=Path("sedmd-instruments"), help="default ./sedmd-instruments")
    parser.add_argument("--size", choices=("least", "mini", "full"), default="least")
    parser.add_argument("--reuse", action="store_true", help="keep nights that are there; products are made anew")
    options = parser.parse_args(argv)
    good = True
    for seed in options.seeds:
        folder = options.out / str(seed)
        rows = _night(folder, seed, options.size, options.reuse)
        print(f"\n{seed}: {(folder / 'instrument.toml').read_text().splitlines()[0]}")
        print("\n".join(figures(rows, SHOWN)))
        good &= all(row.passed for row in rows if decides(row))
        sys.stdout.flush()
    return 0 if good else 1


def figures(rows: Sequence[ScoreRow], shown: tuple[str, ...]) -> list[str]:
    """A line for each figure whose name begins with one of `shown`, with its worst value."""
    names = dict.fromkeys(_name(row) for row in rows if row.what.startswith(shown))
    return [_told(name, [row for row in rows if _name(row) == name]) for name in names]


def _name(row: ScoreRow) -> tuple[str, str]:
    """A figure's name, with its wavelengths if it has some: the worst of its frames and products is shown."""
    return row.what, row.where if row.where.endswith(" A") else ""


def _told(name: tuple[str, str], rows: Sequence[ScoreRow]) -> str:
    one = worst(rows)
    value = one.value if isinstance(one.value, str) else f"{one.value:.3f}"
    missed = "" if all(row.passed for row in rows) else f"   NOT {one.target}"
    return f"  {' '.join(name):62} {value} {one.unit}{missed}"


def _night(folder: Path, seed: int, size: str, reuse: bool) -> list[ScoreRow]:
    profile = folder / "instrument.toml"
    if not (folder / "truth" / "sensitivity.fits").exists():
        folder.mkdir(parents=True, exist_ok=reuse)
        profile.write_text(drawn(seed))
        _sedmd("simulate", str(folder), f"--{size}", "--seed", str(seed), "--profile", str(profile))
    redux = folder / "redux"
    if redux.exists():
        redux.rename(folder / f"redux-{len(list(folder.glob('redux-*')))}")
    raws = sorted(str(path) for path in (folder / "raw").iterdir())
    code = _sedmd("reduce", *raws, "--redux", str(redux), "--workers", "2")
    if code:
        print(f"  sedmd reduce ended with exit code {code}; see {folder / 'reduce.log'}")
    return scored(folder, plan_night(seed=seed, size=size, profile=profile))


def scored(folder: Path, plan: NightPlan) -> list[ScoreRow]:
    """The figures of a reduced night in a folder; what its photons allowed is asked of the plan it was made by."""
    with patch.object(NightTruth, "plan", plan):
        return score_night(folder / "truth", products_of(folder / "redux"))


def _sedmd(*words: str) -> int:
    folder = Path(words[1]) if words[0] == "simulate" else Path(words[words.index("--redux") + 1]).parent
    log = folder / f"{words[0]}.log"
    with log.open("w") as file:
        done = subprocess.run([sys.executable, "-m", "sedmd", *words], stdout=file, stderr=file, check=False)
    if words[0] == "simulate" and done.returncode:
        sys.exit(log.read_text()[-2000:])
    return done.returncode


def drawn(seed: int) -> str:
    """An instrument as a profile: an epoch, and what was changed in it."""
    random = np.random.default_rng(seed)
    epoch = str(random.choice(EPOCHS))
    like = load_profile(epoch)
    # turned further, spectra would lie on each other, which no array of lenslets is mounted to do
    turn = np.radians(random.uniform(-1.2, 1.2))
    grow = random.uniform(0.98, 1.06, 2)
    matrix = np.diag(grow) @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    step_q, step_r = (matrix @ np.array(step) for step in (like.lattice.step_q, like.lattice.step_r))
    shift = random.uniform(-45.0, 45.0, 2)
    bends = random.uniform(-1.0, 1.0, 3)

    def about(value: float, share: float) -> float:
        return float(value * random.uniform(1 - share, 1 + share))

    stretch = list(like.dispersion.stretch)
    stretch[0] += random.uniform(-3.0, 3.0)
    stretch[1] += random.uniform(-4.0, 4.0)
    stretch[2] += random.uniform(-4.0, 4.0)
    sections = {
        "lattice": {
            "step_q": step_q,
            "step_r": step_r,
            "origin": np.array(like.lattice.origin) + shift,
            "field_centre": np.array(like.lattice.field_centre) + shift,
            "field_radius": about(like.lattice.field_radius, 0.08),
            "pitch_gradient": about(like.lattice.pitch_gradient, 0.5),
            "distortion": np.array(like.lattice.distortion) + 2.0 * bends,
            "jitter": about(like.lattice.jitter, 0.5),
        },
        "trace": {
            "tilt_deg": like.trace.tilt_deg + random.uniform(-0.15, 0.15),
            "sag": like.trace.sag + random.uniform(-0.1, 0.1),
        },
        "dispersion": {"stretch": stretch, "scale": about(like.dispersion.scale, 0.05)},
        "width": {
            "trace": about(like.width.trace, 0.15),
            "line": about(like.width.line, 0.15),
            "wing_fraction": about(like.width.wing_fraction, 0.5),
            "wing_scale": about(like.width.wing_scale, 0.2),
        },
        "scatter": {"fraction": about(like.scatter.fraction, 0.6), "ghost": about(like.scatter.ghost, 0.8)},
        "lamps": {
            "dome_rate": about(like.lamps.dome_rate, 0.4),
            "dome_temperature": about(like.lamps.dome_temperature, 0.1),
            "hg_rate": about(like.lamps.hg_rate, 0.5),
            "cd_rate": about(like.lamps.cd_rate, 0.5),
            "xe_rate": about(like.lamps.xe_rate, 0.5),
            "strengths": str(random.choice(["2013", "pen"])),
        },
        "detector": {
            "hot_pixels": int(random.integers(50, 1200)),
            "dead_columns": int(random.integers(0, 5)),
            "cosmic_rate": about(like.detector.cosmic_rate, 0.5),
            "bias_rows": about(like.detector.bias_rows, 0.8),
        },
        "night": {
            "seeing": random.uniform(1.1, 2.8),
            "flexure_x": random.uniform(0.2, 2.2),
            "flexure_y": random.uniform(0.2, 2.2),
            "sky_continuum": random.uniform(1.0, 6.0),
            "ellipticity": random.uniform(0.0, 0.12),
            "place": random.uniform(-3.5, 3.5, 2),
        },
    }
    lines = [f'like = "{epoch}"', f'description = "drawn with seed {seed}"', "epoch = false"]
    lines += [f'example = "{like.example}"']
    for section, values in sections.items():
        lines += ["", f"[{section}]", *(f"{key} = {toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def toml(value: object) -> str:
    """A value as a profile's file writes it."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int):
        return str(value)
    return str([round(float(one), 6) for one in value]) if np.ndim(value) else str(round(float(value), 6))


if __name__ == "__main__":
    sys.exit(main())
