"""Steps whose products tell what earlier nights taught: a cube holds its place, an extraction tells a landing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from night.fake_steps import NAMES, behave
from night.fake_steps import STEPS as FAKE
from sedmd.core.job import Job, Result
from sedmd.core.memory_figures import GIVEN_PIXELS, GIVEN_SHAPES, GIVEN_SKY, OWN_PIXELS, OWN_SHAPE, OWN_SKY
from sedmd.host.files import write_bytes_atomic
from sedmd.products.spectrum import write_spectrum
from sedmd.products.target_positions import EXPECTED, position_figures
from sedmd.reduce.numeric.containers import Spectrum

WAVELENGTH = np.linspace(4000.0, 9000.0, 250)


def cube(job: Job) -> Result:
    for role, path in job.outputs.items():
        write_bytes_atomic(f"{role} {job.label} {job.options['place']} {_bytes(job)}\n".encode(), path)
    return Result(figures={EXPECTED: job.options["place"]})


def extract(job: Job) -> Result:
    behave(job)
    (path,) = job.outputs.values()
    write_bytes_atomic(f"{job.label} {_bytes(job)}\n".encode(), path)
    # a target lands where the last digits of its night say
    x, y = int(job.night[-2:]) / 10.0, int(job.night[-4:-2]) / 10.0
    standard = bool(job.options.get("standard"))
    told = position_figures(job.label, standard=standard, pair=False)
    return Result(figures={**told, "x [arcsec]": x, "y [arcsec]": y, "quality": 1})


def flat(job: Job) -> Result:
    sky, pixels = job.options["sky"], job.options["pixels"]
    for role, path in job.outputs.items():
        write_bytes_atomic(f"{role} {job.label} {sky!r} {pixels!r} {_bytes(job)}\n".encode(), path)
    # what its own dome saw does not depend on what it was given
    own = {OWN_PIXELS: f"{job.night[-2:]}:1/"}
    return Result(figures={GIVEN_SKY: sky, GIVEN_PIXELS: pixels, **own})


def skyflat(job: Job) -> Result:
    for role, path in job.outputs.items():
        write_bytes_atomic(f"{role} {job.label} {_bytes(job)}\n".encode(), path)
    return Result(figures={OWN_SKY: f"sky:{_bytes(job)}"})


def fluxcal(job: Job) -> Result:
    given = job.options["earlier"]
    for role, path in job.outputs.items():
        write_bytes_atomic(f"{role} {job.label} {given!r} {_bytes(job)}\n".encode(), path)
    # what its own stars saw does not depend on what it was given
    return Result(figures={GIVEN_SHAPES: given, OWN_SHAPE: f"5000.0:{_bytes(job) / 1e9:.4f}:0.0100"})


def calibrate(job: Job) -> Result:
    brightness = float(os.environ.get("FAKE_BRIGHTNESS", "1"))
    flux = brightness * (5.0 + np.sin(WAVELENGTH / 37.0))
    spectrum = Spectrum(
        wavelength=WAVELENGTH,
        flux=flux,
        error=np.full(250, 0.1),
        sky=np.zeros(250),
        unit="erg / (s cm2 Angstrom)",
        meta={"target": job.label, "quality": 1, "sum": _bytes(job)},
    )
    for role, path in job.outputs.items():
        if role == "sp":
            write_spectrum(path, spectrum)
        else:
            write_bytes_atomic(f"{role} {job.label} {_bytes(job)}\n".encode(), path)
    return Result()


def _bytes(job: Job) -> int:
    return sum(sum(Path(path).read_bytes()[:100_000]) for given in job.inputs.values() for path in given)


STEPS = {
    **FAKE,
    "flat": flat,
    "cube": cube,
    "extract": extract,
    "skyflat": skyflat,
    "fluxcal": fluxcal,
    "calibrate": calibrate,
}
VERSION = os.environ.get("FAKE_VERSION", "1")
STEP_VERSIONS = dict.fromkeys([*NAMES, *STEPS], "1") | {"calibrate": VERSION}
