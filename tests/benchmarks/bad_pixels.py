"""Bad pixels over nights: the map of each night, alone and with the nights before it, against the true sensitivities.

    python tests/benchmarks/bad_pixels.py NIGHT --profile 2017 --seed 1 --levels 1 0.1 0.3 1 0.05 1

NIGHT is the reduced folder of a simulated night of that profile and seed: its traces and biases are used. For each
level three exposures of the dome are drawn, so many times as bright as usual, and judged as one night more of the same
camera.

dead     pixels with less than 85 % of the usual sensitivity that a dome of the usual brightness lights with 100
         electrons, and how many of them are marked: by the night alone, with the five before it
others   marked pixels that are neither dead nor hot (ten electrons per exposure)

Nothing is asserted here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sedmd.products.solution import read_traces
from sedmd.raw.epochs import CAMERAS
from sedmd.reduce.cube.bad_pixels import ODD_SHARE, Findings, bad_pixels
from sedmd.reduce.cube.odd_pixels import LEAST_LIGHT, answers
from sedmd.reduce.detector.ccd import combine_exposures, debias
from sedmd.reduce.traces.frame import separate_traces
from sedmd.simulate.detector import read_out
from sedmd.simulate.expose import lights_of
from sedmd.simulate.plan import PlannedExposure, build_instrument
from sedmd.simulate.render import expected_electrons
from sedmd.steps.raw import read_master_bias

EXPOSURES, SEED, HOT = 3, 77, 10.0
#: Exposure of the dome by the read-out of calibrations [MHz], s.
SECONDS = {1.0: 40.0, 2.0: 180.0}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("night", type=Path)
    options.add_argument("--profile", default="2017")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--levels", type=float, nargs="+", default=[1.0, 0.1, 0.3, 1.0, 0.05, 1.0])
    given = options.parse_args()
    instrument = build_instrument(given.profile, given.seed)
    profile, chip = instrument.profile, instrument.chip
    mhz = profile.detector.calibration_speed
    camera = next(one for one in CAMERAS if one.shape == (profile.frame.size, profile.frame.width))
    bias = read_master_bias(given.night / f"bias{mhz:.1f}.fits")
    traces = read_traces(given.night / "traces.fits").traces
    exposure = PlannedExposure(
        kind="dome", start=2459505.5, object="", target="", exptime=SECONDS[mhz], speed=mhz, light="dome"
    )
    light = expected_electrons(instrument.optics, lights_of(instrument, exposure), flexure=(0.0, 0.0), breathing=1.0)
    dead = chip.sensitivity < 1.0 - ODD_SHARE
    hot = np.zeros(dead.shape, bool)
    hot.ravel()[chip.hot_index] = chip.hot_rate * exposure.exptime > HOT
    lit = dead & (light.image > LEAST_LIGHT)
    told: list[Findings] = []
    print(f"{'level':>6} {'dead alone':>11} {'with earlier':>13} {'others':>7} {'':>7} {'text':>6}")
    for number, level in enumerate(given.levels):
        frames = []
        for k in range(EXPOSURES):
            rng = np.random.default_rng([SEED, number, k])
            image = light.image * np.float32(level)
            raw = read_out(profile, chip, image, exptime=exposure.exptime, mhz=mhz, drift=0.0, rng=rng).data
            frames.append(
                debias(
                    raw,
                    bias,
                    gain=profile.detector.gain,
                    sections=camera.sections,
                    saturation_adu=camera.saturation_adu,
                )[0]
            )
        dome, _, _ = combine_exposures(frames, lines=False)
        separated = separate_traces(dome, traces, dy_px=0.0, rounds=2)
        tonight = answers(dome, separated, traces.profile, EXPOSURES)
        alone, both = bad_pixels(tonight, ()), bad_pixels(tonight, told[:5])
        others = [int((one.map & ~dead & ~hot).sum()) for one in (alone, both)]
        found = [int((one.map & lit).sum()) for one in (alone, both)]
        print(
            f"{level:6g} {found[0]:5d} of {lit.sum():4d} {found[1]:13d} {others[0]:7d} {others[1]:7d} "
            f"{len(str(both.findings)):6d}",
            flush=True,
        )
        told.insert(0, both.findings)


if __name__ == "__main__":
    main()
