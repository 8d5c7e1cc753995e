"""The error budget of a spectrum: each term alone, their sum, and what is measured against the truth.

    python tests/benchmarks/budget.py DIR [DIR ...] [--count 100] [--alone 12] [--fainter 4] [--workers 1]

Each DIR is a simulated and reduced least night (as of `realisations.py`). The frame of its standard star, of its
target, and of the same target so many magnitudes fainter goes through the steps of its own jobs with one source of
error at a time, the calibrations being the night's own:

object, sky      noise of their photons alone, the frame's other light in place and without noise
between          noise of the photons of scattered light and dark current
read-out         noise of the read-out
pixels           a frame without noise: what the pixels' own sensitivity, hot and dead ones do
scatter          the same: what is left of the scattered light, against a frame without it
flat             the same: the night's flat against the true throughput of the lenslets
image            the same: what is left then, image, wavelengths and resampling, against what the standard star's frame
                 without noise has of its light
flux             the calibration's curve against that star's frame without noise
                 (flat, image and flux are told with their signs in the last three columns; they can cancel)

`sum` is the noise and the signed total of the others in quadrature; `measured` the rms against the truth over `--count`
whole realisations, cosmic rays and bias too; all in per cent of the flux in a bin of the spectrum. `claimed` is the
error of the product with CALERR in it. The last line is for bins of 200 Angstrom: scatter over realisations against the
claimed noise with bins taken for independent, and with their covariance (CORR).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from astropy.io import fits
from benchmarks.realisations import Chain, chains, draw, moved_to

from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.products.solution import read_flat, read_traces
from sedmd.products.spectrum import read_spectrum
from sedmd.reduce.cube.correlation import band_covariance
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.simulate.expose import lights_of
from sedmd.simulate.observe import plan_night, profile_and_night
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.render import LightComponent, enlarge, expected_electrons
from sedmd.simulate.score import products_of
from sedmd.simulate.score_calibration import dome_flexure, match_traces
from sedmd.simulate.score_truth import NightTruth
from sedmd.simulate.spectra import photons
from sedmd.steps import STEPS, exposure
from sedmd.steps.raw import to_electrons

#: Ends of the ranges of wavelength that are told apart [Angstrom].
EDGES = (3900.0, 4300.0, 5000.0, 5500.0, 6200.0, 7000.0, 8000.0, 9200.0)
NOISES = ("object", "sky", "between", "read-out")
SYSTEMATICS = ("pixels", "scatter", "flat", "image", "flux")
#: Width of the broad bins [Angstrom].
BROAD = 200.0
SEED = 555


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Light:
    """Expected electrons of one frame by origin, (n_y, n_x) each: of the object, of the sky, and what lies between."""

    object: NDArray[np.floating]
    sky: NDArray[np.floating]
    between: NDArray[np.floating]

    @property
    def total(self) -> NDArray[np.floating]:
        return self.object + self.sky + self.between


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """An exposure, its jobs and its truth.

    Attributes
    ----------
    name : what was exposed
    chain : its jobs
    plan, index : the simulated night, and the exposure in it
    light : of the frame
    chip : (n_y, n_x) factor of the pixels on their light
    hot : (n_y, n_x) electron, of hot pixels
    read_noise : electron
    flux, rate : (n_wave,) the truth: calibrated, and electron / (s Angstrom)
    clear : (n_wave,) bool, no telluric band
    flat : (n_wave, n_spaxel) true throughput, NaN for what was not matched
    """

    name: str
    chain: Chain
    plan: NightPlan
    index: int
    light: Light
    chip: NDArray[np.floating]
    hot: NDArray[np.floating]
    read_noise: float
    flux: NDArray[np.floating]
    rate: NDArray[np.floating]
    clear: NDArray[np.bool_]
    flat: NDArray[np.floating]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the budget of each exposure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("nights", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--count", type=int, default=100, help="whole realisations (default 100)")
    parser.add_argument("--alone", type=int, default=12, help="realisations of each noise alone (default 12)")
    parser.add_argument("--fainter", type=float, default=4.0, help="magnitudes (default 4)")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(argv)
    for night in options.nights:
        truth, folder = NightTruth(night / "truth"), products_of(night / "redux", None)
        profile, date = profile_and_night(truth.profile, None)
        plan = plan_night(night=date, seed=truth.seed, size="least", profile=profile)
        stars = {one.product: bool(one.calibrate.options.get("standard")) for one in chains(folder)}
        seen: NDArray[np.floating] | None = None
        for chain in sorted(chains(folder), key=lambda one: not stars[one.product]):
            standard = stars[chain.product]
            for fainter in (0.0,) if standard else (0.0, options.fainter):
                one = bench(chain, plan, truth, folder, fainter)
                if seen is None:  # what traces and image take in of the light, the same for all of a night
                    seen = reduced(one, one.light.total)[1].flux / one.rate
                one = replace(one, rate=one.rate * seen)
                print(f"\n{truth.profile} seed {truth.seed}: {one.name}", flush=True)
                print("\n".join(told(one, options.count, options.alone, options.workers)), flush=True)
    return 0


def bench(chain: Chain, plan: NightPlan, truth: NightTruth, folder: Path, fainter: float) -> Bench:
    """The exposure of a chain, its sources `fainter` magnitudes fainter."""
    index = next(i for i, one in enumerate(plan.exposures) if chain.raw.name.startswith(one.file))
    planned = plan.exposures[index]
    dim = 10 ** (-0.4 * fainter)
    planned = replace(planned, sources=tuple(replace(one, flux=one.flux * dim) for one in planned.sources))
    plan = replace(plan, exposures=[planned if i == index else one for i, one in enumerate(plan.exposures)])
    instrument, profile = plan.instrument, plan.instrument.profile
    lights, columns = lights_of(instrument, planned), profile.frame.columns

    def rendered(parts: list[LightComponent]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        made = expected_electrons(instrument.optics, parts, flexure=planned.flexure, breathing=planned.breathing)
        halo = np.asarray(enlarge(made.scattered, profile.frame.size), float)[:, :columns]
        return np.asarray(made.image, float)[:, :columns] - halo, halo

    own, own_halo = rendered([one for one in lights if one.shares is not None])
    sky, sky_halo = rendered([one for one in lights if one.shares is None])
    speed = profile.detector.speed(planned.speed)
    seconds = planned.exptime + 0.5 * speed.readout_s
    hot = np.zeros(own.shape)
    hot.ravel()[instrument.chip.hot_index] += instrument.chip.hot_rate * seconds
    stem = planned.file.removesuffix(".fits")
    target = next(one for one in truth.sources(stem) if one.role == "target")
    flux = dim * truth.expected(target, WAVELENGTH_GRID, breathing=planned.breathing)
    return Bench(
        name=f"{planned.target or planned.object}, {planned.exptime:.0f} s, {target.magnitude + fainter:.1f} mag",
        chain=chain,
        plan=plan,
        index=index,
        light=Light(object=own, sky=sky, between=own_halo + sky_halo + profile.detector.dark * seconds),
        chip=np.asarray(instrument.chip.sensitivity, float),
        hot=hot,
        read_noise=speed.read_noise,
        flux=flux,
        rate=flux * _response(truth, stem),
        clear=truth.outside_bands(WAVELENGTH_GRID, 0.995),
        flat=_true_flat(truth, folder),
    )


def told(one: Bench, count: int, alone: int, workers: int) -> Iterator[str]:
    """Lines of the tables."""
    total = one.light.total
    still = reduced(one, total)
    terms: dict[str, NDArray[np.floating]] = {}
    for number, name in enumerate(NOISES):
        drawn = [reduced(one, total, noise=name, seed=(SEED, number, i)) for i in range(alone)]
        terms[name] = np.std([each.flux for each, _ in drawn], axis=0, ddof=1) / one.flux
    pixels = reduced(one, total * one.chip + one.hot)
    dark = reduced(one, one.light.object + one.light.sky)
    true_flat = reduced(one, one.light.object + one.light.sky, flat=one.flat)
    base = still[1].flux / one.rate
    terms["pixels"] = (pixels[1].flux - still[1].flux) / one.rate
    terms["scatter"] = base - dark[1].flux / one.rate
    terms["flat"] = (dark[1].flux - true_flat[1].flux) / one.rate
    terms["image"] = true_flat[1].flux / one.rate - 1
    terms["flux"] = still[0].flux / one.flux / base - 1
    whole = draw(one.chain, one.plan, count, workers)
    yield from _table(one, terms, pixels[0].flux / one.flux - 1, whole.flux, whole.error)
    yield from _broad(one, whole.flux, whole.error, pixels[0])


def reduced(
    one: Bench,
    mean: NDArray[np.floating],
    *,
    noise: str = "",
    seed: Sequence[int] = (),
    flat: NDArray[np.floating] | None = None,
) -> tuple[Spectrum, Spectrum]:
    """The spectrum of a frame of that light with one kind of noise or none, calibrated and in electrons."""
    rng = np.random.default_rng(list(seed))
    frame = np.array(mean, float)
    if noise == "read-out":
        frame += one.read_noise * rng.standard_normal(frame.shape)
    elif noise:
        part = np.clip(getattr(one.light, noise), 0, None)
        frame += rng.poisson(part) - part

    def instead(path: Path, master: object, mends: object = None) -> object:
        image, header, warnings = to_electrons(path, master, mends)  # type: ignore[arg-type]
        light = frame.astype(np.float32)
        variance = np.clip(light, 0, None) + np.float32(image.read_noise**2)
        return replace(image, data=light, variance=variance), header, warnings

    patched = {"to_electrons": instead}
    if flat is not None:
        night = read_flat(one.chain.cube.one("flat"))
        scale = np.nanmedian(night, axis=1, keepdims=True) / np.nanmedian(flat, axis=1, keepdims=True)
        true = np.where(np.isfinite(flat), flat * scale, night).astype(np.float32)
        patched["read_flat"] = lambda path: true  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(exposure, **patched):  # type: ignore[arg-type]
        chain = one.chain
        moved: dict[Path, Path] = {}
        jobs = [moved_to(job, moved, Path(folder)) for job in (chain.cube, chain.extract, chain.calibrate)]
        for job in jobs:
            STEPS[job.step](job)
        calibrated, _ = read_spectrum(jobs[2].outputs["sp"])
        counts, _ = read_spectrum(jobs[1].outputs["ext"])
    return calibrated, counts


def _table(
    one: Bench,
    terms: dict[str, NDArray[np.floating]],
    shifted: NDArray[np.floating],
    flux: NDArray[np.floating],
    error: NDArray[np.floating],
) -> Iterator[str]:
    names = (*NOISES, *SYSTEMATICS)
    yield (
        "  range [A]   "
        + "".join(f"{name:>9}" for name in names)
        + ("      sum measured   +-   claimed | mean: flat image  flux measured")
    )
    ratio = flux / one.flux - 1
    for low, high in pairwise(EDGES):
        own = one.clear & (low <= WAVELENGTH_GRID) & (high > WAVELENGTH_GRID) & np.isfinite(ratio).all(axis=0)
        own &= np.isfinite(shifted)
        if own.sum() < 3:
            continue
        sizes = {name: _rms(terms[name][own]) for name in names}
        together = float(np.sqrt(sum(sizes[name] ** 2 for name in NOISES) + _rms(shifted[own]) ** 2))
        measured = _rms(ratio[:, own])
        sure = np.std([_rms(each[own]) for each in ratio], ddof=1) / np.sqrt(len(ratio)) if len(ratio) > 1 else np.nan
        claimed = _rms((error / one.flux)[:, own])
        cells = "".join(f"{100 * sizes[name]:9.2f}" for name in names)
        means = [100 * float(np.mean(terms[name][own])) for name in ("flat", "image", "flux")]
        yield (
            f"  {low:.0f}-{high:.0f}   {cells}{100 * together:9.2f}{100 * measured:9.2f}{100 * sure:6.2f}"
            f"{100 * claimed:9.2f} |     "
            + "".join(f"{mean:+6.2f}" for mean in means)
            + f"{100 * float(ratio[:, own].mean()):+9.2f}"
        )


def _broad(one: Bench, flux: NDArray[np.floating], error: NDArray[np.floating], product: Spectrum) -> Iterator[str]:
    """Broad bins: scatter over the realisations against what the product's errors say with and without covariance."""
    edges = np.arange(EDGES[0], EDGES[-1], BROAD)
    width = np.gradient(WAVELENGTH_GRID)
    correlation = product.correlation
    if correlation is None or len(flux) < 3:
        return
    calibration = product.calibration_error if product.calibration_error is not None else 0.0
    noise = np.sqrt(np.clip(np.median(error, axis=0) ** 2 - np.asarray(calibration) ** 2, 0, None))
    found = []
    for low in edges:
        own = np.flatnonzero((low <= WAVELENGTH_GRID) & (low + BROAD > WAVELENGTH_GRID))
        if not np.isfinite(flux[:, own]).all():
            continue
        weight = width[own]
        scatter = float(np.std(flux[:, own] @ weight, ddof=1))
        apart = float(np.sqrt(((noise[own] * weight) ** 2).sum()))
        matrix = band_covariance(noise[own], correlation[own])
        found.append((scatter / apart, scatter / float(np.sqrt(weight @ matrix @ weight))))
    without, beside = np.median(found, axis=0)
    yield (
        f"  bins of {BROAD:.0f} A, scatter over claimed noise, median of {len(found)}: bins taken for independent "
        f"{without:.2f}, with their covariance {beside:.2f}"
    )


def _rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _response(truth: NightTruth, stem: str) -> NDArray[np.floating]:
    """True electrons per second and Angstrom of a unit of flux above the air, on the grid of the cubes."""
    with fits.open(truth.folder / "sensitivity.fits") as hdus:
        table, head = hdus["SENSITIVITY"].data, hdus["SENSITIVITY"].header
        fine, efficiency = np.array(table["wavelength"], float), np.array(table["efficiency"], float)
        area = float(head["AREA"])
    with fits.open(truth.folder / f"{stem}_spectra.fits") as hdus:
        air = np.interp(fine, hdus["SPECTRA"].data["wavelength"], hdus["SPECTRA"].data["atmosphere"])
    return np.asarray(np.interp(WAVELENGTH_GRID, fine, photons(fine, efficiency) * air * area))


def _true_flat(truth: NightTruth, folder: Path) -> NDArray[np.floating]:
    """(n_wave, n_spaxel) relative throughput of the lenslets that were found for the sky's light."""
    found = read_traces(folder / "traces.fits")
    matches = match_traces(truth, found, dome_flexure(truth, folder))
    flat = np.full((len(WAVELENGTH_GRID), found.traces.n), np.nan)
    at = np.clip(WAVELENGTH_GRID, truth.wavelength[0], truth.wavelength[-1])
    rows = truth.column("throughput")[matches.true]
    flat[:, matches.found] = np.array([np.interp(at, truth.wavelength, row) for row in rows]).T
    return flat


if __name__ == "__main__":
    sys.exit(main())
