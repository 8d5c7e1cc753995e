"""How many cosmic rays are found, and what else is marked: the mask of the reduction against the true hits.

    python tests/benchmarks/cosmics.py DIR [DIR ...]

Each DIR is a simulated and reduced night (`raw`, `truth` and `redux` as `sedmd simulate` and `sedmd reduce` make them).
The single exposures of that night are rendered again with the charge of each hit kept, and searched as the reduction
does, at other thresholds, and as astroscrappy does when nobody tells it anything.

found        share of the pixels that were hit, by charge in units of the noise of that pixel, that are marked
charge       share of all charge that hits left that lies in marked pixels; `left` is the rest, in electrons
hits         share of the hits of more than 500 electrons of which a pixel is marked
false        marked pixels that no hit touched, two pixels around included, by what shines there: nothing, the spectra,
             the lines of the night sky, a star; broken ones are hot or dead pixels of the camera
after fit    the same with the pixels that the fit of the traces rejects, which is the last word on a frame

Then what is left downstream: the same frame without its hits, noise and all else equal, goes through the same jobs, and
what differs is due to hits. Samples of the cube and bins of the spectrum that moved by more than 3 and 5 sigma are
counted, and those that were given up for hits.

Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label, sum_labels

sys.path.insert(0, str(Path(__file__).parents[1]))

import astroscrappy
from astropy.io import fits
from benchmarks.realisations import Chain, chains, moved_to

from sedmd.core.errors import NeedsObserver
from sedmd.products.cube import read_cube
from sedmd.products.solution import read_traces
from sedmd.products.spectrum import read_spectrum
from sedmd.raw.rawname import stem_of
from sedmd.reduce.detector import cosmic
from sedmd.reduce.detector.cosmic import clean_cosmics, find_cosmics
from sedmd.reduce.numeric.containers import Cube, Mask, Spectrum
from sedmd.reduce.traces.frame import separate_traces
from sedmd.simulate.detector import cosmic_rays, read_out
from sedmd.simulate.expose import lights_of
from sedmd.simulate.observe import plan_night, profile_and_night
from sedmd.simulate.plan import NightPlan
from sedmd.simulate.render import LightComponent, expected_electrons
from sedmd.simulate.score import products_of
from sedmd.simulate.score_truth import NightTruth
from sedmd.steps import STEPS
from sedmd.steps.raw import read_master_bias, to_electrons

#: Charge of a hit pixel in units of its noise: ends of the classes.
CLASSES = (3.0, 5.0, 8.0, 15.0, 50.0, np.inf)
#: A hit of more charge than this is counted as one [electron].
BRIGHT_HIT = 500.0
#: Share of the light of a pixel from which it is a line's or a star's; share of the noise from which light counts.
OWN, LIT = 0.5, 0.3
#: Thresholds beside those of the reduction.
SIGNIFICANT, CONTRAST = (4.0, 6.0, 8.0, 12.0), (2.0, 3.0, 4.8, 7.0)
#: Seed of further hits.
MORE_SEED = 90211
KINDS = ("nothing", "spectra", "sky lines", "star", "broken")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposed:
    """An exposure with its true hits.

    Attributes
    ----------
    stem, name : of the raw frame; what was exposed, how long
    hit, pure : raw frames, with the hits and without them
    header : Header
    charge : (n_y, n_x) electron, left by hits
    noise : (n_y, n_x) electron, of photons and read-out without the hits
    kind : (n_y, n_x) int, number in `KINDS`
    """

    stem: str
    name: str
    hit: NDArray[np.uint16]
    pure: NDArray[np.uint16]
    header: fits.Header
    charge: NDArray[np.floating]
    noise: NDArray[np.floating]
    kind: NDArray[np.integer]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of each night."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("nights", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--short", action="store_true", help="without the other thresholds")
    parser.add_argument("--rate", type=float, default=1.0, help="times as many hits as fall, for better statistics")
    options = parser.parse_args(argv)
    for night in options.nights:
        truth = NightTruth(night / "truth")
        profile, date = profile_and_night(truth.profile, None)
        plan = plan_night(night=date, seed=truth.seed, size="least", profile=profile)
        for chain in chains(products_of(night / "redux", None)):
            exposed = expose(chain, plan, options.rate)
            print(f"\n{truth.profile} seed {truth.seed}: {exposed.name}", flush=True)
            for line in (
                *told(exposed, chain, () if options.short else tuple(product(SIGNIFICANT, CONTRAST))),
                *left(chain, exposed),
            ):
                print(line, flush=True)
    return 0


def expose(chain: Chain, plan: NightPlan, rate: float = 1.0) -> Exposed:
    """The exposure of a chain, rendered once more: its bytes are those of the raw frame, and the hits are known.

    With a `rate` above 1 further hits fall on it, so that it has as many times what falls in its time.

    Raises
    ------
    ValueError
        The raw frame is another one.
    """
    index = next(i for i, one in enumerate(plan.exposures) if chain.raw.name.startswith(one.file))
    exposure, instrument = plan.exposures[index], plan.instrument
    profile, chip = instrument.profile, instrument.chip
    lights = lights_of(instrument, exposure)

    def light(parts: list[LightComponent]) -> NDArray[np.floating]:
        made = expected_electrons(instrument.optics, parts, flexure=exposure.flexure, breathing=exposure.breathing)
        return np.asarray(made.image[:, : profile.frame.columns], float)

    total = expected_electrons(instrument.optics, lights, flexure=exposure.flexure, breathing=exposure.breathing)
    frame = read_out(
        profile,
        chip,
        total.image,
        exptime=exposure.exptime,
        mhz=exposure.speed,
        drift=exposure.drift,
        rng=np.random.default_rng(np.random.SeedSequence([plan.seed, 404, index])),
    )
    with fits.open(chain.raw) as hdus:
        data, header = np.asarray(hdus[0].data), hdus[0].header.copy()
    if not np.array_equal(data, frame.data):
        raise ValueError(f"{chain.raw.name} is not the frame that this plan makes; give the night's own seed")
    seconds = (rate - 1) * (exposure.exptime + 0.5 * profile.detector.speed(exposure.speed).readout_s)
    pixels, electrons, _ = cosmic_rays(profile, seconds, np.random.default_rng(MORE_SEED))
    size, columns = profile.frame.size, profile.frame.columns
    more = np.bincount(pixels, weights=electrons, minlength=size * columns).reshape(size, columns)
    seen_columns = slice(profile.frame.prescan, profile.frame.prescan + columns)
    hit, pure = data.astype(float), data.astype(float)
    hit[:, seen_columns] += np.rint(more / profile.detector.gain)
    pure[:, seen_columns] -= np.rint(frame.cosmic_charge / profile.detector.gain)
    speed = profile.detector.speed(exposure.speed)
    seen = np.asarray(total.image[:, : profile.frame.columns], float)
    kind = np.where(seen > LIT * np.sqrt(seen + speed.read_noise**2), 1, 0)
    kind[light([one for one in lights if one.line_electrons is not None]) > OWN * seen] *= 2
    kind[(kind > 0) & (light([one for one in lights if one.shares is not None]) > OWN * seen)] = 3
    kind.ravel()[chip.hot_index[chip.hot_rate * exposure.exptime > 3.0 * speed.read_noise]] = 4
    kind[chip.sensitivity < 0.6] = 4
    return Exposed(
        stem=stem_of(chain.raw),
        name=f"{exposure.target or exposure.object}, {exposure.exptime:.0f} s",
        hit=np.clip(hit, 0, 65535).astype(np.uint16),
        pure=np.clip(pure, 0, 65535).astype(np.uint16),
        header=header,
        charge=frame.cosmic_charge + more,
        noise=np.sqrt(seen + speed.read_noise**2),
        kind=kind,
    )


def told(exposed: Exposed, chain: Chain, others: Sequence[tuple[float, float]]) -> Iterator[str]:
    """Lines of the tables: the reduction, astroscrappy, other thresholds."""
    with tempfile.TemporaryDirectory() as folder:
        image, _, _ = to_electrons(
            _written(exposed, exposed.hit, Path(folder)), read_master_bias(chain.cube.one("bias"))
        )
    bad = (image.mask & np.uint8(Mask.NO_DATA | Mask.BAD_PIXEL)) != 0
    classes = [f"{low:.0f}-{high:.0f}" if np.isfinite(high) else f">{low:.0f}" for low, high in pairwise(CLASSES)]
    counts = [int(one.sum()) for one in _classes(exposed)]
    yield "  pixels hit, by charge / noise: " + ", ".join(f"{c} {n}" for c, n in zip(classes, counts, strict=True))
    yield (
        "  found [%] of    "
        + "".join(f"{c:>7}" for c in classes)
        + "  charge    left   hits   false: "
        + ", ".join(KINDS)
    )
    clean = clean_cosmics(image)
    marked = (clean.mask & np.uint8(Mask.COSMIC)) != 0
    yield _line("the reduction", exposed, marked)
    separated = separate_traces(clean, read_traces(chain.cube.one("traces")).traces)
    yield _line("after fit", exposed, marked | separated.outliers)
    plain, _ = astroscrappy.detect_cosmics(
        np.asarray(image.data, np.float32), inmask=bad, gain=1.0, readnoise=float(image.read_noise)
    )
    yield _line("astroscrappy", exposed, plain)
    for significant, contrast in others:
        with mock.patch.multiple(cosmic, SIGNIFICANT=significant, CONTRAST=contrast):
            marked, _ = find_cosmics(image.data, read_noise=image.read_noise, bad=bad)
        yield _line(f"{significant:g}, {contrast:g}", exposed, marked)


def left(chain: Chain, exposed: Exposed) -> Iterator[str]:
    """Lines: what hits still do to the cube and to the spectrum."""
    (cube, spectrum), (pure, alone) = (reduced(chain, exposed, hits=hits) for hits in (True, False))
    good, sigma = (cube.mask == 0) & (pure.mask == 0), np.sqrt(pure.variance)
    with np.errstate(invalid="ignore"):
        off = np.where(good, np.abs(cube.flux - pure.flux) / sigma, 0.0)
    lost = (cube.mask != 0) & (pure.mask == 0)
    stray = (cube.mask & np.uint8(Mask.COSMIC)) != 0
    none = (pure.mask & np.uint8(Mask.COSMIC)) != 0
    yield (
        f"  left in the cube: {(off > 3).sum()} samples off by > 3 sigma, {(off > 5).sum()} by > 5, "
        f"worst {off.max():.0f}; spaxels with one > 5: {(off > 5).any(axis=0).sum()}; "
        f"given up {lost.sum()}, by the second pass {stray.sum()}"
        f" ({none.sum()} of the frame without hits)"
    )
    if spectrum is None or alone is None:
        yield "  no spectrum"
        return
    pull = np.abs(spectrum.flux - alone.flux) / alone.error
    yield (
        f"  left in the spectrum: {np.nansum(pull > 0.5)} bins off by > 0.5 of their error, "
        f"{np.nansum(pull > 1)} by > 1, {np.nansum(pull > 5)} by > 5, worst {np.nanmax(pull):.2f}"
    )


def reduced(chain: Chain, exposed: Exposed, *, hits: bool) -> tuple[Cube, Spectrum | None]:
    """Cube and spectrum of an exposure, with its hits or without them and with the same noise."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = _written(exposed, exposed.hit if hits else exposed.pure, folder)
        moved = {chain.raw: raw}
        jobs = [moved_to(job, moved, folder) for job in (chain.cube, chain.extract)]
        STEPS["cube"](jobs[0])
        cube, _ = read_cube(jobs[0].outputs["e3d"])
        try:
            STEPS["extract"](jobs[1])
        except NeedsObserver:
            return cube, None
        return cube, read_spectrum(jobs[1].outputs["ext"])[0]


def _written(exposed: Exposed, data: NDArray[np.uint16], folder: Path) -> Path:
    path = folder / f"{exposed.stem}.fits"
    fits.PrimaryHDU(data, exposed.header).writeto(path)
    return path


def _classes(exposed: Exposed) -> list[NDArray[np.bool_]]:
    ratio = exposed.charge / exposed.noise
    return [(ratio >= low) & (ratio < high) for low, high in pairwise(CLASSES)]


def _line(name: str, exposed: Exposed, marked: NDArray[np.bool_]) -> str:
    charge = exposed.charge
    found = [100 * marked[one].mean() if one.any() else np.nan for one in _classes(exposed)]
    share = 100 * charge[marked].sum() / charge.sum()
    numbers, count = label(charge > 0, structure=np.ones((3, 3)))
    each = np.arange(1, count + 1)
    bright = sum_labels(charge, numbers, each) > BRIGHT_HIT
    hits = 100 * (sum_labels(marked & (charge > 0), numbers, each) > 0)[bright].mean()
    away = marked & ~binary_dilation(charge > 0, np.ones((3, 3)), iterations=2)
    wrong = [int((away & (exposed.kind == kind)).sum()) for kind in range(len(KINDS))]
    cells = "".join(f"{one:7.1f}" for one in found)
    return f"  {name:<16}{cells}  {share:6.2f} {charge[~marked].sum():7.0f}  {hits:5.1f}   " + " ".join(
        f"{one:6d}" for one in wrong
    )


if __name__ == "__main__":
    sys.exit(main())
