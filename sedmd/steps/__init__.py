"""The steps of the recipe: the edge where files are read, pure functions called, and products written.

This module itself is light: who plans, shows or watches a night needs the names and versions of the steps, not their
numerical libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from sedmd.core.job import Job, Result

_FUNCTIONS: Mapping[str, str] = {
    "bias": "calibration.make_bias",
    "lamp": "calibration.make_lamp",
    "traces": "calibration.make_traces",
    "wavelength": "calibration.make_wavelength",
    "flat": "calibration.make_flat",
    "cube": "exposure.make_cube",
    "guide": "guiding.measure_guiding",
    "extract": "extraction.extract_spectrum",
    "skyflat": "sky_flat.make_sky_flat",
    "fluxcal": "spectrum.make_fluxcal",
    "calibrate": "spectrum.calibrate_spectrum",
    "page": "page.draw_page",
}


class _Steps(Mapping[str, Callable[[Job], Result]]):
    """The functions by name; each is imported when it is asked for."""

    def __getitem__(self, name: str) -> Callable[[Job], Result]:
        module, _, function = _FUNCTIONS[name].rpartition(".")
        found: Callable[[Job], Result] = getattr(import_module(f"{__name__}.{module}"), function)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_FUNCTIONS)

    def __len__(self) -> int:
        return len(_FUNCTIONS)


#: Name of a step in the recipe -> the function that does it.
STEPS: Mapping[str, Callable[[Job], Result]] = _Steps()
#: Raised whenever a step would make other numbers of the same inputs: then its products are remade.
STEP_VERSIONS: Mapping[str, int] = {
    "bias": 4,
    "lamp": 6,
    "traces": 14,
    "wavelength": 12,
    "flat": 13,
    "cube": 16,
    "guide": 2,
    "extract": 18,
    "skyflat": 1,
    "fluxcal": 6,
    "calibrate": 5,
    "page": 3,
}
#: What the steps import, also late: loaded once by the process from which each job's process is forked.
PRELOAD = (
    "astropy.table",
    "matplotlib.backends.backend_pdf",
    *(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),  # loaded for any picture
    *sorted({f"{__name__}.{where.partition('.')[0]}" for where in _FUNCTIONS.values()}),
)

__all__ = ["PRELOAD", "STEPS", "STEP_VERSIONS"]
