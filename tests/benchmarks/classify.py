"""Print how completely and purely spectra are classified: snid-sage on a bank built here, a grid of S/N and z.

    python tests/benchmarks/classify.py [--s-to-n 5 10 20 50] [--redshifts 0.005 0.05 0.1] [--seeds 1] [--out FILE]

Needs snid-sage, h5py and byost. Spectra as of the instrument (R = 100, bins of 25 Angstrom, 3800-9200): type Ia at
four phases and with host light, II, Ib, galaxies, featureless ones, an object whose like is not in the bank, and the
supernovae of the simulator of raw frames. The Ia of the bank and of the grid come from one spectral energy
distribution: this measures noise, redshift and the rule, not how different real supernovae are. Exit code 0 if nothing
was secure and wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import template_bank as bank

from sedmd.after.classify.matches import Consensus, Rule, judge
from sedmd.after.classify.sage import Sage
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.simulate.spectra import GRID, supernova_flux

#: Supernovae of the simulator and the temperature of each.
SIMULATED = {"Ia": 11000.0, "II": 9000.0, "Ic": 7000.0}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A spectrum of the grid; `truth` is the type that would be right, "" if none may be secure."""

    kind: str
    truth: str
    rest: np.ndarray
    redshift: float
    s_to_n: float
    seed: int


def kinds() -> dict[str, tuple[str, np.ndarray]]:
    """What is put on the grid: the right type, and the rest-frame spectrum."""
    wavelength = bank.FINE
    ia = {f"Ia {age:+.0f} d": ("Ia", bank.supernova_ia(wavelength, age)) for age in (-7.0, 0.0, 15.0, 30.0)}
    host = bank.galaxy(wavelength, 0.3) / np.interp(5500.0, wavelength, bank.galaxy(wavelength, 0.3))
    odd = {5300.0: 0.4, 6050.0: 0.5, 7200.0: 0.4, 4650.0: 0.3, 8100.0: 0.4}
    return {
        **ia,
        "Ia 0 d + 30 % host": ("Ia", 0.7 * bank.supernova_ia(wavelength, 0.0) + 0.3 * host),
        "II 30 d": ("II", bank.supernova_ii(wavelength, 30.0)),
        "Ib 10 d": ("Ib", bank.supernova_ib(wavelength, 10.0)),
        "galaxy, old": ("", bank.galaxy(wavelength, 0.0)),
        "galaxy, young": ("", bank.galaxy(wavelength, 0.6)),
        "black body": ("", bank.black_body(wavelength, 9000)),
        "flat": ("", np.ones_like(wavelength)),
        # of the simulator of raw frames: other lines, other continua, drawn by other hands than the bank
        **{f"simulator's {kind}": (kind, simulated(kind, kelvin)) for kind, kelvin in SIMULATED.items()},
        "not in the bank": ("", bank.black_body(wavelength, 7000) * bank.p_cygni(wavelength, odd, 8000)),
    }


def simulated(kind: str, kelvin: float) -> np.ndarray:
    """A supernova as the simulator of raw frames draws it, at rest."""
    return np.interp(bank.FINE, GRID, supernova_flux(kind, kelvin, 0.0, 17.0))


def grid(options: argparse.Namespace) -> Iterator[Case]:
    """Every case."""
    chosen = {kind: one for kind, one in kinds().items() if options.kinds is None or kind in options.kinds}
    for (kind, (truth, rest)), s_to_n, z, seed in product(
        chosen.items(), options.s_to_n, options.redshifts, options.seeds
    ):
        yield Case(kind=kind, truth=truth, rest=rest, redshift=z, s_to_n=s_to_n, seed=seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the grid; 0 if nothing was secure and wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--s-to-n", type=float, nargs="+", default=[5.0, 10.0, 20.0, 50.0], help="in each bin")
    parser.add_argument("--redshifts", type=float, nargs="+", default=[0.005, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--kinds", nargs="+", choices=list(kinds()), metavar="KIND", help="only these")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="every case as a line of this file")
    options = parser.parse_args(argv)
    cases = list(grid(options))
    with tempfile.TemporaryDirectory() as name:
        engine = Sage(templates=bank.write_bank(Path(name) / "bank"))
        begun = time.monotonic()
        with ThreadPoolExecutor(options.workers) as pool:
            verdicts = list(pool.map(lambda case: classify(engine, case, Path(name)), cases))
        elapsed = time.monotonic() - begun
    found = list(zip(cases, verdicts))
    lines = [line(case, verdict) for case, verdict in found]
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    wrong = [(c, v) for c, v in found if v.secure and (v.group != c.truth or abs(v.z - c.redshift) > 0.02)]
    print(table(found, options.s_to_n))
    good = [(c, v) for c, v in found if v.secure and v.group == c.truth]
    if good:
        apart = np.array([v.z - c.redshift for c, v in good])
        print(f"redshift of the secure: median {np.median(apart):+.4f}, rms {np.sqrt(np.mean(apart**2)):.4f}")
    print(f"{len(found)} spectra in {elapsed:.0f} s, {options.workers} at a time")
    print(f"wrong and secure: {len(wrong)}")
    for case, verdict in wrong:
        print("  " + line(case, verdict))
    return int(bool(wrong))


def classify(engine: Sage, case: Case, folder: Path) -> Consensus:
    """One case through the adapter and the rule."""
    wavelength, flux, error = bank.observed(case.rest, redshift=case.redshift, s_to_n=case.s_to_n, seed=case.seed)
    spectrum = Spectrum(wavelength=wavelength, flux=flux, error=error, sky=0 * flux, unit="", meta={})
    with tempfile.TemporaryDirectory(dir=folder) as work:
        answer = engine.classify(spectrum, Path(work))
        return judge(answer.matches, Rule(), answer.missing)


def line(case: Case, verdict: Consensus) -> str:
    """A case and its verdict."""
    score = f"{verdict.best.score:.1f}" if verdict.best else "-"
    return (
        f"{case.kind:20} S/N {case.s_to_n:<4g} z {case.redshift:<6g} -> {verdict.group or 'none':7} z {verdict.z:.4f} "
        f"score {score:5} {'secure' if verdict.secure else 'not secure'}: {verdict.why}"
    )


def table(found: Sequence[tuple[Case, Consensus]], s_to_n: Sequence[float]) -> str:
    """For each kind and S/N: right type / of these secure / spectra."""
    rows = ["right type / secure / spectra     " + "".join(f"S/N {value:<10g}" for value in s_to_n)]
    for kind in dict.fromkeys(case.kind for case, _ in found):
        cells = []
        for value in s_to_n:
            these = [(c, v) for c, v in found if c.kind == kind and c.s_to_n == value]
            right = sum(v.group == c.truth or (not c.truth and v.group in ("", "NotSN")) for c, v in these)
            cells.append(f"{right:2d} /{sum(v.secure for _, v in these):2d} /{len(these):2d}    ")
        rows.append(f"{kind:34}" + "".join(cells))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
