"""Print how completely and how purely targets are extracted without an observer, by S/N and kind of field.

    python tests/benchmarks/automatic.py [--blanks DIR] [--profiles 2017 2021 2024 shifted] [--s-to-n 2 3 5 10 30 100]
                                         [--kinds alone pair ...] [--count 10] [--seed 1] [--without-star]
                                         [--without-place] [--guided] [--workers 2] [--out FILE]

The fields are those of `fields.py`: exposures of empty sky that went through the whole pipeline, with sources of known
place and spectrum added to their cubes. Blank exposures are made where `--blanks` has none (five minutes a profile).
Targets land off the middle of the field, by as much as they did in the published epochs; the place is known as it is
after a dozen landings, or not at all, and (`--guided`) by acquisition and guider frames of each exposure, as far as
those tell (`guided.py`). What is known is handed to the code of the step `extract` in the cards and records of a night,
and `sedmd.observation` makes of it what it does in a night.

completeness   share of targets that are final without an observer, at the confidence of the default configuration
wrong          final, but not the target: farther than 1 arcsec from it, or there was none
bad            final and the target, but its level is off by more than 15 %, or its shape by 15 % rms in bins of
               250 Angstrom, beyond three times the error that the spectrum itself tells
clear          what an observer would extract without a second look: completeness of those alone

Nothing is asserted but that no more than 0.3 % of the final ones are wrong, in the exit code.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.blanks import blank_cubes
from benchmarks.fields import CLEAR_S_TO_N, KINDS, Field, fields
from benchmarks.guided import camera_of, records_of

from sedmd.core.config import AutomaticExtraction
from sedmd.observation.exposure import Exposure, airmass_of, exposure_of
from sedmd.observation.extract import find_target
from sedmd.observation.inputs import Subject
from sedmd.observation.seeing import expected
from sedmd.products.fitsio import add_cards
from sedmd.products.guide import GuideRecord
from sedmd.products.target_positions import place_cards
from sedmd.reduce.target.automatic import Automatic
from sedmd.reduce.target.place import USUAL_SPREAD, FieldPosition, Place, learn_place

PROFILES = ("2017", "2021", "2024", "shifted")
#: Final and farther than this from the target: another object [arcsec].
WRONG_ARCSEC = 1.0
#: Bins of which one figure of the spectrum's shape is made.
GROUP = 10
BAD = 0.15
#: Spread of the seeing between a standard star and a target of the same night (logarithm).
STAR_SPREAD = 0.15
#: Spread, in each axis, of the places where targets landed in the published epochs [arcsec]; landings that tell it.
LANDING_SPREAD, LANDINGS = 2.1, 12
#: Step from the acquisition camera to the IFU [arcsec] that real offset cards hold (published headers of 2019).
STEP = (-98.5, -111.1)
#: Largest share of wrong ones among the final.
LIMIT = 0.003


@dataclass(frozen=True, kw_only=True)
class Line:
    """One field: what it was, and what became of it."""

    profile: str
    kind: str
    pair: bool
    s_to_n: float
    clear: bool
    target: bool
    confidence: float
    quality: int
    off_arcsec: float
    level: float
    shape: float
    noise: float
    snr: float
    significance: float
    fwhm: float
    beta: float
    chi2: float
    seeing: float
    seconds: float
    frames: str
    absent: bool
    concerns: str
    others: str

    def final(self, least: float) -> bool:
        """A spectrum of an object, final without an observer."""
        return self.confidence >= least and not self.absent

    def told_absent(self, least: float) -> bool:
        """The pipeline says that nothing is visible there."""
        return self.confidence >= least and self.absent

    @property
    def wrong(self) -> bool:
        return not self.target or not self.off_arcsec <= WRONG_ARCSEC

    @property
    def right(self) -> bool:
        """The target, and sound; or rightly said not to be visible."""
        if self.absent:
            return not self.target or self.s_to_n < CLEAR_S_TO_N
        return not self.wrong and not self.bad

    @property
    def bad(self) -> bool:
        limit = np.hypot(BAD, 3 * self.noise)
        return not self.wrong and (abs(self.level - 1) > limit or self.shape > limit)


def star_of(field: Field, exposures: Sequence[Exposure], number: int) -> dict[str, float]:
    """Cards of a standard star of the night that tells the seeing: within `STAR_SPREAD`, being of another time."""
    told = field.seeing[0].at(6500.0) * float(np.exp(np.random.default_rng(number).normal(0.0, STAR_SPREAD)))
    return {"SEEING": told, "AIRMASS": airmass_of(exposures) or 1.0}


def known_place(position: tuple[float, float], rng: np.random.Generator) -> Place:
    """Where targets land as `LANDINGS` of them told it."""
    told = rng.normal(position, USUAL_SPREAD, (LANDINGS, 2))
    return learn_place([FieldPosition(x_arcsec=float(x), y_arcsec=float(y)) for x, y in told])


def exposures_of(field: Field, place: Place) -> list[Exposure]:
    """The exposures of a field as a night's products have them, the expected target position among their cards."""
    made = []
    for number, (cube, header, _) in enumerate(field.exposures):
        own = header.copy()
        for card, step in zip(("RA_OFF", "DEC_OFF"), STEP, strict=True):
            own[card] = float(own.get(card, 0.0)) + step
        add_cards(own, place_cards(own, place))
        made.append(exposure_of(Path(f"e3d_crr_b_ifu20211018_0{number}_00_00_ZTF.fits"), cube, own))
    return made


def measure(
    field: Field,
    profile: str,
    exposures: Sequence[Exposure],
    star: Mapping[str, object] | None,
    guides: Sequence[GuideRecord | None],
) -> Line:
    """Extract as the pipeline does, and compare with the truth."""
    looks, subject = field.exposures, Subject(name="ZTF")
    began = time.perf_counter()
    found = find_target(exposures, subject, expected(exposures, subject, star, AutomaticExtraction(), guides))
    seconds = time.perf_counter() - began
    off = level = shape = noise = float("nan")
    if field.truth is not None and found.sources and not found.absent:
        off = max(
            float(np.hypot(source.psf.x_arcsec - x, source.psf.y_arcsec - y))
            for source, (x, y) in zip(found.sources, field.truth, strict=True)
        )
        level, shape, noise = against(field, found)
    return Line(
        profile=profile,
        kind=field.kind,
        pair=len(looks) == 2,
        s_to_n=field.s_to_n,
        clear=field.clear,
        target=field.truth is not None,
        confidence=found.confidence,
        quality=found.quality,
        off_arcsec=off,
        level=level,
        shape=shape,
        noise=noise,
        snr=found.snr,
        significance=max((source.significance for source in found.sources), default=0.0),
        fwhm=found.sources[0].psf.fwhm_arcsec if found.sources else float("nan"),
        beta=found.sources[0].psf.beta if found.sources else float("nan"),
        chi2=found.sources[0].chi2 if found.sources else float("nan"),
        seeing=field.seeing[0].at(6500.0),
        seconds=seconds,
        frames=" ".join(one.source or "none" for one in guides if one is not None),
        absent=found.absent,
        concerns="; ".join(
            f"{concern.confidence:.2f} {concern.why}" for concern in found.concerns if concern.confidence < 0.985
        ),
        others="; ".join(f"{one.what} {one.ratio:.2f} at ({one.x:.1f}, {one.y:.1f})" for one in field.others),
    )


def against(field: Field, found: Automatic) -> tuple[float, float, float]:
    """Level of the spectrum against the truth, rms of its shape in broad bins, and the error that it tells of those."""
    point, truth = found.point, field.spectrum
    assert point is not None and truth is not None
    wavelength = field.exposures[0].cube.wavelength
    use = np.flatnonzero((wavelength > 4200) & (wavelength < 8800) & np.isfinite(point.flux))
    use = use[: len(use) // GROUP * GROUP].reshape(-1, GROUP)
    if not len(use):
        return float("nan"), float("nan"), float("nan")
    ratio = point.flux[use].mean(axis=1) / truth[use].mean(axis=1)
    error = np.sqrt((point.error[use] ** 2).mean(axis=1) / GROUP) / truth[use].mean(axis=1)
    level = float(np.sum(ratio / error**2) / np.sum(1 / error**2))
    return level, float(np.sqrt(np.mean((ratio / level - 1) ** 2))), float(np.sqrt(np.mean(error**2)))


def run(profile: str, blanks: Path, options: argparse.Namespace) -> list[Line]:
    """All fields of one profile."""
    rng = np.random.default_rng([options.seed, PROFILES.index(profile)])
    cubes = blank_cubes(blanks / profile, profile, 1)
    position = (float(rng.normal(0.0, LANDING_SPREAD)), float(rng.normal(0.0, LANDING_SPREAD)))
    place = Place() if options.without_place else known_place(position, rng)
    drawn = fields(cubes, options.kinds, options.s_to_n, options.count, rng, position)
    errors = np.random.default_rng([options.seed, PROFILES.index(profile), 1])
    camera = camera_of(errors)
    lines = []
    for number, field in enumerate(drawn):
        exposures = exposures_of(field, place)
        star = None if options.without_star else star_of(field, exposures, number)
        guides: Sequence[GuideRecord | None] = ()
        if options.guided:
            fwhm = [seeing.at(6500.0) for seeing in field.seeing]
            guides = records_of(camera, field.aimed, fwhm, errors.spawn(1)[0])
        lines.append(measure(field, profile, exposures, star, guides))
    return lines


def table(lines: Sequence[Line], least: float) -> str:
    """Completeness and what is wrong, by kind and S/N."""
    levels = sorted({line.s_to_n for line in lines})
    rows = ["share final at confidence >= " + f"{least:.2f} (wrong, bad), by S/N per bin", ""]
    rows.append(f"{'':12}" + "".join(f"{value:>16g}" for value in levels))
    for kind in dict.fromkeys(line.kind for line in lines):
        cells = [cell([one for one in lines if one.kind == kind and one.s_to_n == value], least) for value in levels]
        rows.append(f"{kind:12}" + "".join(f"{text:>16}" for text in cells))
    return "\n".join(rows)


def cell(lines: Sequence[Line], least: float) -> str:
    final = [line for line in lines if line.final(least)]
    if not lines:
        return "-"
    wrong, bad = sum(line.wrong for line in final), sum(line.bad for line in final)
    return f"{100 * len(final) / len(lines):.0f} %" + (f" ({wrong}, {bad})" if wrong or bad else "")


def reliability(lines: Sequence[Line]) -> str:
    """What a confidence is worth: of those that say so, how many are right."""
    edges = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0001]
    rows = ["confidence     fields   right and sound"]
    for low, high in pairwise(edges):
        inside = [line for line in lines if low <= line.confidence < high]
        good = sum(line.right for line in inside)
        share = f"{100 * good / len(inside):.0f} %" if inside else "-"
        rows.append(f"{low:.2f} - {min(high, 1):.2f}   {len(inside):6d}   {share}")
    return "\n".join(rows)


def accuracy(lines: Iterable[Line]) -> str:
    """Position and flux of those that are final and right."""
    rows = ["S/N     position [arcsec]   level off [%]   shape off [%]   (medians, of the last the noise taken off)"]
    right = [line for line in lines if not line.wrong]
    for value in sorted({line.s_to_n for line in right}):
        own = [line for line in right if line.s_to_n == value]
        off = np.median([line.off_arcsec for line in own])
        level = 100 * np.median([abs(line.level - 1) for line in own])
        shape = 100 * np.median([np.sqrt(max(line.shape**2 - line.noise**2, 0.0)) for line in own])
        rows.append(f"{value:<6g}  {off:17.3f}   {level:13.1f}   {shape:13.1f}")
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if no more than `LIMIT` of the final ones are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blanks", type=Path, help="blank exposures are here, or go there")
    parser.add_argument("--profiles", nargs="+", choices=PROFILES, default=list(PROFILES))
    parser.add_argument("--s-to-n", nargs="+", type=float, default=[2.0, 3.0, 5.0, 10.0, 30.0, 100.0])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--count", type=int, default=10, help="fields of each kind, S/N and profile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-star", action="store_true", help="the night has no standard star to tell the seeing")
    parser.add_argument("--without-place", action="store_true", help="nobody knows yet where targets land")
    parser.add_argument("--guided", action="store_true", help="there are acquisition and guider frames")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a line for each field, as CSV")
    options = parser.parse_args(argv)
    least = AutomaticExtraction().min_confidence
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(options.workers) as pool:
        blanks = options.blanks or Path(scratch)
        parts = [pool.submit(run, profile, blanks, options) for profile in options.profiles]
        lines = [line for part in parts for line in part.result()]
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(asdict(lines[0])))
            writer.writeheader()
            writer.writerows(asdict(line) for line in lines)
    final = [line for line in lines if line.final(least)]
    wrong, bad = sum(line.wrong for line in final), sum(line.bad for line in final)
    clear = [line for line in lines if line.clear]
    print(table(lines, least))
    print(f"\n{reliability(lines)}\n\n{accuracy(final)}\n")
    beside = [line for line in lines if line.kind.startswith("bright-")]
    print(f"clear targets: {sum(line.final(least) for line in clear)} of {len(clear)} final")
    print(f"beside a brighter object: {sum(line.final(least) for line in beside)} of {len(beside)} final")
    told = [line for line in lines if line.told_absent(least)]
    seen = sum(line.target and line.s_to_n >= CLEAR_S_TO_N for line in told)
    print(
        f"no object visible, with quality 4: {len(told)}, of which {seen} have a target of S/N {CLEAR_S_TO_N:g} or more"
    )
    print(f"final: {len(final)} of {len(lines)}; wrong {wrong}, bad {bad}")
    seconds = [line.seconds for line in lines]
    print(f"seconds for one: median {np.median(seconds):.1f}, most {max(seconds):.1f}")
    return int(wrong > LIMIT * max(len(final), 1))


if __name__ == "__main__":
    sys.exit(main())
