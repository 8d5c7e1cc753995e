"""The steps of the recipe: the edge where files are read, pure functions called, and products written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sedmd.job import Job, Result
from sedmd.steps.calibration import make_bias, make_flat, make_lamp, make_traces, make_wavelength
from sedmd.steps.exposure import make_cube
from sedmd.steps.extraction import extract_spectrum
from sedmd.steps.spectrum import calibrate_spectrum, make_fluxcal

#: Name of a step in the recipe -> the function that does it.
STEPS: Mapping[str, Callable[[Job], Result]] = {
    "bias": make_bias,
    "lamp": make_lamp,
    "traces": make_traces,
    "wavelength": make_wavelength,
    "flat": make_flat,
    "cube": make_cube,
    "extract": extract_spectrum,
    "fluxcal": make_fluxcal,
    "calibrate": calibrate_spectrum,
}
#: Raised whenever a step would make other numbers of the same inputs: then its products are made anew.
STEP_VERSIONS: Mapping[str, int] = {
    "bias": 3,
    "lamp": 3,
    "traces": 3,
    "wavelength": 3,
    "flat": 4,
    "cube": 4,
    "extract": 10,
    "fluxcal": 2,
    "calibrate": 3,
}

__all__ = ["STEPS", "STEP_VERSIONS"]
