"""Many realisations of the noise of one exposure: is what a spectrum says of its errors true, and is it biased?

    python tests/benchmarks/realisations.py --profile 2021 --seed 31 --count 100 --out DIR [--workers 2]

A least night is simulated and reduced once. Then the noise of one exposure (photons, read-out, cosmic rays) is drawn
anew `--count` times, and each frame goes through the steps of its own jobs: cube, extraction, flux calibration, all
with the night's own calibrations. Printed for each product are, by wavelength: the mean against the truth; the scatter
over the realisations against the error that the spectrum claims, and the pulls against the truth; and how far
neighbouring bins move together.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sedmd.core.config import from_table
from sedmd.core.job import Job
from sedmd.ledger.ledger import Ledger
from sedmd.plan.plan import Plan
from sedmd.plan.planner import plan_night
from sedmd.products.spectrum import read_spectrum
from sedmd.run.context import night_context
from sedmd.run.dispatch import step_versions
from sedmd.simulate.detector import read_out
from sedmd.simulate.expose import lights_of
from sedmd.simulate.headers import build_header, to_hdu
from sedmd.simulate.observe import plan_night as plan_exposures
from sedmd.simulate.observe import profile_and_night
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.render import expected_electrons
from sedmd.simulate.score import products_of
from sedmd.simulate.score_spectra import compare_spectra
from sedmd.simulate.score_truth import NightTruth
from sedmd.steps import STEPS

#: Ends of the ranges of wavelength that are told apart [Angstrom].
EDGES = (3900.0, 4200.0, 4600.0, 5200.0, 5500.0, 5700.0, 6200.0, 6800.0, 7500.0, 8200.0, 9200.0)
#: Neighbours whose correlation is told.
LAGS = (1, 2, 3, 5, 10)
#: Seed of the noise, beside the number of the realisation; apart from the simulator's own.
SEED = 90210


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The jobs that make the spectrum of one exposure, in their order."""

    product: str
    raw: Path
    cube: Job
    extract: Job
    calibrate: Job


#: What the processes work on, set before they are forked.
_WORK: tuple[Chain, NightPlan, int, NDArray[np.float32]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Spectra of all realisations: (n_realisation, n_wave) each, and what the night itself got."""

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate and reduce the night where it is not there yet, draw, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="2021")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("sedmd-realisations"), help="default ./sedmd-realisations")
    options = parser.parse_args(argv)
    if not (options.out / "truth" / "sensitivity.fits").exists():
        size = ("--least", "--seed", str(options.seed), "--profile", options.profile)
        _sedmd("simulate", str(options.out), *size)
        _sedmd("reduce", *map(str, sorted((options.out / "raw").iterdir())), "--redux", str(options.out / "redux"))
    folder = products_of(options.out / "redux", None)
    profile, night = profile_and_night(options.profile, None)
    exposures = plan_exposures(night=night, seed=options.seed, size="least", profile=profile)
    truth = NightTruth(options.out / "truth")
    known = {one.product: one for one in compare_spectra(truth, folder)}
    for chain in chains(folder):
        if chain.product in known:
            drawn = draw(chain, exposures, options.count, options.workers)
            one = known[chain.product]
            meta = read_spectrum(folder / f"sp_{chain.product}.fits")[0].meta
            breathing = float(truth.frame(str(meta["frame"]))["breathing"])
            expected = truth.expected(one.source, drawn.wavelength, breathing=breathing)
            clear = np.isin(drawn.wavelength, one.wavelength[one.clean])
            print(f"\n{chain.product} {one.exptime:.0f} s, {len(drawn.flux)} realisations", flush=True)
            print("\n".join(told(drawn, expected, clear)), flush=True)
    return 0


def chains(folder: Path) -> list[Chain]:
    """The single exposures of a reduced night with a flux-calibrated spectrum, by the jobs that made them."""
    nodes = {(node.job.step, node.job.label): node.job for node in _plan(folder).nodes}
    made_by = {path: job for job in nodes.values() for path in job.outputs.values()}
    found = []
    for job in nodes.values():
        if job.step != "calibrate" or "fluxcal" not in job.inputs:
            continue
        extract = made_by[job.one("ext")]
        if "cube" in extract.inputs:
            cube = made_by[extract.one("cube")]
            product = job.outputs["sp"].stem.removeprefix("sp_")
            found.append(Chain(product=product, raw=cube.one("raw"), cube=cube, extract=extract, calibrate=job))
    return found


def draw(chain: Chain, exposures: NightPlan, count: int, workers: int) -> Drawn:
    """The spectra of `count` realisations of the noise of an exposure."""
    index = next(i for i, one in enumerate(exposures.exposures) if chain.raw.name.startswith(one.file))
    global _WORK
    _WORK = chain, exposures, index, _expected(exposures, index)  # the processes are forked and so share the frame
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("fork")) as pool:
        spectra = [one for one in pool.map(_one, range(count)) if one is not None]
    wavelength = spectra[0][0]
    return Drawn(
        wavelength=wavelength, flux=np.array([one[1] for one in spectra]), error=np.array([one[2] for one in spectra])
    )


def told(drawn: Drawn, truth: NDArray[np.float64], clear: NDArray[np.bool_]) -> Iterator[str]:
    """Lines: bias, scatter over claimed error, pulls and correlation, by range of wavelength."""
    yield "  range [A]       bias [%]   +-   scatter/error  pull(mean)  pull(std)  S/N   correlation at " + " ".join(
        f"{lag:>5}" for lag in LAGS
    )
    for low, high in pairwise(EDGES):
        own = clear & (drawn.wavelength >= low) & (drawn.wavelength < high) & np.isfinite(drawn.flux).all(axis=0)
        if own.sum() < 5:
            continue
        yield f"  {low:.0f}-{high:.0f}" + _range(drawn.flux[:, own], drawn.error[:, own], truth[own])
    own = clear & np.isfinite(drawn.flux).all(axis=0)
    own &= (drawn.wavelength >= EDGES[0]) & (drawn.wavelength < EDGES[-1])
    yield "  all      " + _range(drawn.flux[:, own], drawn.error[:, own], truth[own])


def _range(flux: NDArray, error: NDArray, truth: NDArray) -> str:
    mean = flux.mean(axis=0)
    each = flux / truth - 1
    bias, sure = each.mean(), each.mean(axis=1).std(ddof=1) / np.sqrt(len(flux))
    # without what all bins of a realisation share, as a wrong level is no noise of a bin
    apart = flux - mean
    scatter = np.sqrt((apart**2).mean(axis=0) * len(flux) / (len(flux) - 1))
    pull = (flux - truth) / error
    claimed = np.sqrt((error**2).mean(axis=0))
    unit = apart / scatter
    shared = [float((unit[:, lag:] * unit[:, :-lag]).mean()) if unit.shape[1] > lag else np.nan for lag in LAGS]
    return (
        f"  {100 * bias:+9.2f} {100 * sure:5.2f}   {np.median(scatter / claimed):8.3f}    {pull.mean():+8.2f}   "
        f"{pull.std():8.2f}  {np.median(truth / claimed):6.1f}                " + " ".join(f"{s:+.2f}" for s in shared)
    )


def _plan(folder: Path) -> Plan:
    paths = {"raw_root": str(folder.parent.parent / "raw"), "redux_root": str(folder.parent)}
    settings = from_table({"paths": paths}, origin=__file__, base=Path.cwd())
    night = folder.name
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=_never, read_only=True) as ledger:
        rows = [row for row in ledger.frames.of_night(night) if row.frame is not None]
        now = max(row.frame.start for row in rows if row.frame is not None)
        versions = step_versions(settings.jobs.steps_module)
        context = night_context(settings, ledger, night, rows, now=now, final=True, versions=versions)
    return plan_night([row.frame for row in rows if row.frame is not None], context)


def _never() -> None:
    raise RuntimeError("a ledger that is only read writes no time")


def _expected(plan: NightPlan, index: int) -> NDArray[np.float32]:
    exposure, instrument = plan.exposures[index], plan.instrument
    lights = lights_of(instrument, exposure)
    return expected_electrons(instrument.optics, lights, flexure=exposure.flexure, breathing=exposure.breathing).image


def _one(number: int) -> tuple[NDArray, NDArray, NDArray] | None:
    """Draw the noise, reduce; None if the steps left it to an observer."""
    assert _WORK is not None
    chain, plan, index, expected = _WORK
    exposure, instrument = plan.exposures[index], plan.instrument
    frame = read_out(
        instrument.profile,
        instrument.chip,
        expected,
        exptime=exposure.exptime,
        mhz=exposure.speed,
        drift=exposure.drift,
        rng=np.random.default_rng([SEED, number]),
    )
    header = build_header(instrument.profile, exposure, sunset=plan.sunset, sunrise=plan.sunrise)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / chain.raw.name.removesuffix(".gz")
        to_hdu(frame.data, header).writeto(raw)
        moved = {chain.raw: raw}  # what a job makes anew, the next one takes
        jobs = [moved_to(job, moved, Path(folder)) for job in (chain.cube, chain.extract, chain.calibrate)]
        for job in jobs:
            try:
                STEPS[job.step](job)
            except Exception as error:  # how many were lost is part of the answer
                print(f"  realisation {number}: {type(error).__name__}: {error}", file=sys.stderr)
                return None
        spectrum, _ = read_spectrum(jobs[-1].outputs["sp"])
    return (
        np.asarray(spectrum.wavelength, float),
        np.asarray(spectrum.flux, float),
        np.asarray(spectrum.error, float),
    )


def moved_to(job: Job, moved: dict[Path, Path], folder: Path) -> Job:
    """The job with its outputs, and those inputs that were made anew, in another folder; its outputs join `moved`."""
    outputs = {role: folder / path.name for role, path in job.outputs.items() if role not in ("crr", "bs")}
    inputs = {role: tuple(moved.get(path, path) for path in paths) for role, paths in job.inputs.items()}
    moved |= {path: folder / path.name for path in job.outputs.values()}
    return replace(job, inputs=inputs, outputs=outputs)


def _sedmd(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "sedmd", *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
