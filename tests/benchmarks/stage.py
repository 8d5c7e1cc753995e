"""One stage, made ready in a process of its own and done when told to: ``python -m benchmarks.stage NIGHT STAGE SIDE``.

A stage is a piece of the reduction on data of the prepared night. It has two sides, "ours" and, where there is one,
the name of a peer: other software that does the same work, or a floor below which nobody gets.
"""

from __future__ import annotations

import sys

import sedmd.workers.single_thread  # noqa: F401  (before the numerical libraries load)

# isort: split

import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from benchmarks.clockwork import serve
from benchmarks.night import Night

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.core.job import Job
from sedmd.products.image import read_image
from sedmd.products.solution import TraceSet, read_traces
from sedmd.reduce.numeric.containers import Image, Mask

Work = Callable[[], object]
#: What `sedmd.reduce.detector.cosmic` finds is what astroscrappy finds with these.
LACOSMIC = {
    "sigclip": 8.0,
    "sigfrac": 0.3,
    "objlim": 4.8,
    "niter": 4,
    "sepmed": True,
    "cleantype": "meanmask",
    "fsmode": "convolve",
    "psfmodel": "gaussy",
    "psffwhm": 2.0,
}


class Data:
    """What the stages work on, read when it is first asked for."""

    def __init__(self, night: Night) -> None:
        self.jobs = night.jobs()

    @cached_property
    def raw(self) -> Path:
        """A science frame."""
        return self.jobs["cube"].one("raw")

    @cached_property
    def frame(self) -> Image:
        """It, in electrons."""
        from sedmd.steps.raw import read_master_bias, to_electrons

        return to_electrons(self.raw, read_master_bias(self.jobs["cube"].one("bias")))[0]

    @cached_property
    def clean(self) -> Image:
        """It, without cosmic rays."""
        from sedmd.reduce.detector.cosmic import clean_cosmics

        return clean_cosmics(self.frame)

    @cached_property
    def traces(self) -> TraceSet:
        return read_traces(self.jobs["cube"].one("traces"))

    def master(self, role: str) -> Image:
        """A combined lamp or the dome."""
        return read_image(self.jobs["traces"].one(role))[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A piece of work and what it is compared with.

    Attributes
    ----------
    sides : mapping of the side's name to what makes its work ready
    needs : mapping of a side to the package that it needs
    floor : the other side does less than ours, as little as anybody can
    same : whether the results of the two sides are the same, in words; ("", True) where that is not asked
    """

    sides: Mapping[str, Callable[[Data], Work]]
    needs: Mapping[str, str]
    floor: bool = False
    same: Callable[[object, object], tuple[str, bool]] = lambda ours, peer: ("", True)

    @property
    def peer(self) -> str:
        """Name of the other side, "" without one."""
        return next((name for name in self.sides if name != "ours"), "")


def _read(data: Data) -> Work:
    from sedmd.steps.raw import read_raw

    path = data.raw
    return lambda: read_raw(path)


def _plain_read(data: Data) -> Work:
    path = data.raw

    def read() -> object:
        content = np.fromfile(path, dtype=">i2", offset=2880)
        return content.astype(np.uint16)

    return read


def _cosmics(data: Data) -> Work:
    from sedmd.reduce.detector.cosmic import clean_cosmics

    frame = data.frame
    return lambda: clean_cosmics(frame)


def _astroscrappy(data: Data) -> Work:
    import astroscrappy

    frame = data.frame
    bad = (frame.mask & np.uint8(Mask.NO_DATA | Mask.BAD_PIXEL)) != 0
    pixels = np.ascontiguousarray(frame.data, np.float32)
    return lambda: astroscrappy.detect_cosmics(
        pixels,
        inmask=bad,
        gain=1.0,
        readnoise=float(frame.read_noise),
        satlevel=np.inf,
        verbose=False,
        **LACOSMIC,
    )


def _same_cosmics(ours: object, peer: object) -> tuple[str, bool]:
    assert isinstance(ours, Image) and isinstance(peer, tuple)
    hit, clean = peer
    marked = (ours.mask & np.uint8(Mask.COSMIC)) != 0
    masks, pixels = int((marked != hit).sum()), int((ours.data != clean).sum())
    if masks or pixels:
        return f"of {int(hit.sum())} hit pixels {masks} differ, of the cleaned image {pixels}", False
    return f"mask of {int(hit.sum())} pixels and cleaned image identical", True


def _separate(data: Data) -> Work:
    from sedmd.reduce.traces.frame import separate

    image, profile = data.clean, data.traces.traces.profile
    samples = data.traces.traces.samples(image.data.shape)
    return lambda: separate(image, samples, profile)


def _separate_part(share: float) -> Callable[[Data], Work]:
    """The spectra on the lower part of the chip; above it there is nothing."""

    def make(data: Data) -> Work:
        from sedmd.reduce.traces.frame import separate

        image, profile = data.clean, data.traces.traces.profile
        samples = data.traces.traces.samples(image.data.shape)
        edge = int(share * image.data.shape[0])
        mask = image.mask.copy()
        mask[edge:] |= np.uint8(Mask.NO_DATA)
        part, below = replace(image, mask=mask), samples.select(samples.y < edge)
        return lambda: separate(part, below, profile)

    return make


def _kpy_background(data: Data) -> Work:
    """Scattered light by the recipe of kpy (SubtractBackground.py): boxes of 17 pixels over the masked traces, 5 times.

    The convolution is astropy's, as there; then the filled image is smoothed by a Gaussian of 100 pixels.
    """
    from astropy.convolution import Box2DKernel, convolve
    from scipy.ndimage import gaussian_filter

    image = data.clean
    samples = data.traces.traces.samples(image.data.shape)
    pixel, inside = samples.pixels(4)
    masked = np.zeros(image.data.shape, bool)
    masked.ravel()[pixel[inside]] = True
    kernel = Box2DKernel(17)

    def fill() -> object:
        filled = np.where(masked, np.nan, image.data.astype(float))
        for _ in range(5):
            smooth = convolve(filled, kernel, boundary="fill", fill_value=0.0, nan_treatment="interpolate")
            filled = np.where(masked, smooth, image.data)
        return gaussian_filter(np.nan_to_num(filled), 100.0)

    return fill


def _geometry(data: Data) -> Work:
    from sedmd.reduce.wavelength.solution import solve_geometry
    from sedmd.steps.calibration import LAMPS
    from sedmd.steps.reference import lamp_tables

    dome, lamps, tables = data.master("dome"), {name: data.master(name) for name in LAMPS}, lamp_tables()
    return lambda: solve_geometry(dome, lamps, tables, DISPERSION_GUESSES)


def _sep(data: Data) -> Work:
    """SExtractor's objects of the dome, of which kpy makes its traces: ellipses, no profile and no wavelengths."""
    import sep

    pixels = np.ascontiguousarray(data.master("dome").data, np.float32)

    def find() -> object:
        background = sep.Background(pixels)
        sep.set_extract_pixstack(3_000_000)
        return sep.extract(pixels - background.back(), 5.0, err=background.globalrms, minarea=200)

    return find


def _job(kind: str) -> Callable[[Data], Work]:
    """A whole job: its step with its files, the products in a folder of their own."""

    def make(data: Data) -> Work:
        from sedmd.steps import STEPS

        folder = Path(tempfile.mkdtemp(prefix="sedmd-bench-"))
        job: Job = data.jobs[kind]
        job = replace(job, outputs={role: folder / path.name for role, path in job.outputs.items()})
        return lambda: STEPS[job.step](job)

    return make


def _inputs(kind: str) -> Callable[[Data], Work]:
    """The floor of a job: its files read, and bytes of the size of its products written."""

    def make(data: Data) -> Work:
        job = data.jobs[kind]
        paths = sorted({path for given in job.inputs.values() for path in given})
        content = b"".join(path.read_bytes() for path in job.outputs.values() if path.exists())
        target = Path(tempfile.mkdtemp(prefix="sedmd-bench-")) / "written"

        def read_and_write() -> object:
            for path in paths:
                path.read_bytes()
            return target.write_bytes(content)

        return read_and_write

    return make


STAGES: dict[str, Stage] = {
    "read a frame": Stage(sides={"ours": _read, "plain read": _plain_read}, needs={}, floor=True),
    "cosmic rays": Stage(
        sides={"ours": _cosmics, "astroscrappy": _astroscrappy},
        needs={"astroscrappy": "astroscrappy"},
        same=_same_cosmics,
    ),
    "spectra and scattered light": Stage(
        sides={"ours": _separate, "astropy convolve, kpy's background": _kpy_background}, needs={}
    ),
    "traces": Stage(sides={"ours": _geometry, "sep": _sep}, needs={"sep": "sep"}),
}


def stage_of(name: str) -> Stage:
    """The stage of a name; a job's is ``job KIND``."""
    if name.startswith("job "):
        kind = name.removeprefix("job ")
        return Stage(sides={"ours": _job(kind), "read and write": _inputs(kind)}, needs={}, floor=True)
    if name.startswith("part "):
        return Stage(sides={"ours": _separate_part(float(name.split()[1])), "all of them": _separate}, needs={})
    return STAGES[name]


def installed(stage: Stage, side: str) -> bool:
    """Whether the package of a side is there."""
    return side not in stage.needs or importlib.util.find_spec(stage.needs[side]) is not None


if __name__ == "__main__":
    where, what, side = sys.argv[1:]
    data, stage = Data(Night(folder=Path(where))), stage_of(what)
    if side == "same":
        print(json.dumps(stage.same(*(make(data)() for make in stage.sides.values()))))
    else:
        serve(lambda: stage.sides[side](data))
