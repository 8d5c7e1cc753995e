"""Print how published spectra of the instrument are classified: as they are, and made worse.

    python tests/benchmarks/classify_real.py SPECTRA BANK [--worse 15] [--out FILE]

SPECTRA is a folder with a README.md that has a table ``| `FILE` | target | type | ...``; BANK was installed by
``sedmd bank``. Needs snid-sage. Made worse: with noise to a S/N of 5 in a bin, and with one and three times the light
of a galaxy of lines and a break (old and star-forming in turn) at the redshift that was found. The spectra are good
ones, chosen by who published them: what is measured here is the best that can be had. Exit code 1: one was secure and
wrong.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import template_bank as bank

from sedmd.after.classify.classify import rule_of
from sedmd.after.classify.matches import Consensus, judge
from sedmd.after.classify.sage import Sage
from sedmd.core.config import Classify
from sedmd.products.published import read_published
from sedmd.reduce.numeric.containers import Spectrum

ROW = re.compile(r"\| `([^`]+)` \| [^|]+ \| (\w+) \|")


def main(argv: Sequence[str] | None = None) -> int:
    """Run them; 1 if one was secure and wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("spectra", type=Path)
    parser.add_argument("bank", type=Path)
    parser.add_argument("--worse", type=int, default=15, help="so many of them are made worse too, rare types first")
    parser.add_argument("--out", type=Path, help="every spectrum as a line of this file")
    options = parser.parse_args(argv)
    types = dict(ROW.findall((options.spectra / "README.md").read_text()))
    rare = sorted(types, key=lambda name: (list(types.values()).count(types[name]), name))
    engine = Sage(templates=options.bank)
    found: list[tuple[str, str, Consensus, float]] = []
    for name in rare:
        spectrum = read_published(options.spectra / name).spectrum
        verdict, seconds = classified(engine, spectrum)
        found.append(("as it is", types[name], verdict, seconds))
        tell(options.out, name, found[-1])
        if name in rare[: options.worse]:
            for how, worse in made_worse(spectrum, verdict.z, seed=rare.index(name)).items():
                found.append((how, types[name], *classified(engine, worse)))
                tell(options.out, name, found[-1])
    print(table(found))
    return int(any(verdict.secure and verdict.group != truth for _, truth, verdict, _ in found))


def classified(engine: Sage, spectrum: Spectrum) -> tuple[Consensus, float]:
    """A verdict as on a spectrum that no observer looked at, and the processor time [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as work:
        answer = engine.classify(spectrum, Path(work))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return judge(answer.matches, rule_of(Classify(), engine.metric), answer.missing, unattended=True), seconds


def made_worse(spectrum: Spectrum, redshift: float, *, seed: int) -> dict[str, Spectrum]:
    """The same spectrum with noise, and with the light of a galaxy."""
    wavelength, flux = spectrum.wavelength, spectrum.flux
    good = np.isfinite(flux)
    level = float(np.median(flux[good]))
    noise = np.random.default_rng(seed).normal(0.0, level / 5.0, flux.size)
    young = 0.6 if seed % 2 else 0.0
    z = redshift if np.isfinite(redshift) else 0.03
    galaxy = np.interp(wavelength, bank.FINE * (1 + z), bank.galaxy(bank.FINE, young))
    galaxy *= float(np.mean(flux[good])) / float(np.mean(galaxy[good]))
    return {
        "S/N 5": replace(spectrum, flux=flux + noise),
        "galaxy x 1": replace(spectrum, flux=flux + galaxy),
        "galaxy x 3": replace(spectrum, flux=flux + 3 * galaxy),
    }


def tell(out: Path | None, name: str, one: tuple[str, str, Consensus, float]) -> None:
    """A line for one spectrum."""
    how, truth, verdict, seconds = one
    score = f"{verdict.best.score:.1f} {verdict.best.template}" if verdict.best else "-"
    secure = "secure" if verdict.secure else "not secure"
    text = f"{how:11} {truth:4} -> {verdict.group or 'none':6} z {verdict.z:.4f} {score:20} {secure}: {verdict.why}"
    text += f"; {seconds:.1f} s; {name}"
    if out is None:
        print(text, flush=True)
    else:
        with out.open("a") as stream:
            stream.write(text + "\n")


def table(found: Sequence[tuple[str, str, Consensus, float]]) -> str:
    """For each way: spectra, right, none, secure and right, secure and wrong, processor time."""
    rows = ["                 spectra   right    none  secure+right  secure+wrong  processor [s], median, most"]
    for how in dict.fromkeys(one[0] for one in found):
        these = [(truth, verdict, seconds) for kind, truth, verdict, seconds in found if kind == how]
        right = [verdict.group == truth for truth, verdict, _ in these]
        counts = [
            len(these),
            sum(right),
            sum(not verdict.group for _, verdict, _ in these),
            sum(r and verdict.secure for r, (_, verdict, _) in zip(right, these)),
            sum(not r and verdict.secure for r, (_, verdict, _) in zip(right, these)),
        ]
        times = [seconds for *_, seconds in these]
        numbers = "{:8d}{:8d}{:8d}{:14d}{:14d}".format(*counts)
        rows.append(f"{how:16}{numbers}      {np.median(times):.1f}  {max(times):.1f}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
