"""Score the night's calibrations: traces and wavelengths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.products.solution import TraceSet, read_flat, read_sky_factor, read_traces, read_wavelength
from sedmd.raw.rawname import stem_of
from sedmd.simulate.score_rows import ScoreRow, at_least, at_most, lacking, shown
from sedmd.simulate.score_truth import NightTruth

#: A trace is found if it runs within this many pixels of the truth (rows lie more than ten apart) ...
MATCH_Y_PX = 2.0
#: ... and begins and ends near the true one: largest distance of the middles [px].
MATCH_X_PX = 60.0
#: The blue end, where the dome is faint and few lines are, the red one, and all that a spectrum is used for [Angstrom].
BLUE, RED, WHOLE = (3900.0, 4500.0), (7800.0, 9500.0), (3900.0, 9500.0)
#: Wavelengths between which the flat is compared, apart [Angstrom].
FLAT_BANDS = ((3900.0, 4200.0), (4200.0, 9000.0))
LAMPS = ("Hg", "Cd", "Xe")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Which measured trace is which lenslet: rows `found` of the product belong to rows `true` of the truth."""

    found: NDArray[np.int64]
    true: NDArray[np.int64]
    invented: int


def score_calibration(truth: NightTruth, folder: Path) -> list[ScoreRow]:
    """Rows on ``traces.fits`` and ``wavelength.fits``."""
    if not (folder / "traces.fits").exists():
        return [lacking("traces found", "traces.fits", "no traces.fits")]
    traces = read_traces(folder / "traces.fits")
    matches = match_traces(truth, traces, dome_flexure(truth, folder))
    rows = _trace_rows(truth, traces, matches, dome_flexure(truth, folder))
    if not (folder / "wavelength.fits").exists():
        return [*rows, lacking("wavelength error, median", "wavelength.fits", "no wavelength.fits")]
    rows += _wavelength_rows(truth, folder, matches)
    if not (folder / "flat.fits").exists():
        return [*rows, lacking("flat, rms", "flat.fits", "no flat.fits")]
    return rows + _flat_rows(truth, folder, matches)


def dome_flexure(truth: NightTruth, folder: Path) -> tuple[float, float]:
    """Mean flexure (dx, dy) [px] of the dome frames that were combined."""
    return truth.mean_flexure(_combined(folder / "dome.fits"))


def lamp_flexure(truth: NightTruth, folder: Path) -> tuple[float, float]:
    """Mean flexure (dx, dy) [px] of the lamp frames, each lamp with equal weight."""
    each = [truth.mean_flexure(_combined(folder / f"{lamp}.fits")) for lamp in LAMPS]
    return float(np.mean([dx for dx, _ in each])), float(np.mean([dy for _, dy in each]))


def match_traces(truth: NightTruth, found: TraceSet, flexure: tuple[float, float]) -> Matches:
    """Pair measured traces with lenslets; every lenslet and every trace at most once.

    A measured trace that runs along no lenslet's trace, or along one that a better trace already has, is invented.
    """
    dx, dy = flexure
    x = truth.column("trace_x")[:, ::6] + dx
    y = truth.column("trace_y")[:, ::6] + dy
    t = found.traces
    middle = 0.5 * (t.x_first + t.x_last)
    pairs = []
    for i in range(t.n):
        near = np.flatnonzero(np.abs(x.mean(axis=1) - middle[i]) < MATCH_X_PX + 200.0)
        at = np.clip(x[near], t.x_first[i], t.x_last[i])
        # beyond the ends of a cut-off trace both are compared where the measured one ends
        off = np.abs(rows_of(found, np.array([i]), at)[...] - np.where(at == x[near], y[near], np.nan))
        with np.errstate(invalid="ignore"):
            distance = np.where(np.isfinite(off).sum(axis=1) >= 2, _nanmedian(off), np.inf)
        shift = np.abs(np.clip(x[near], 0, 2047).mean(axis=1) - np.clip(middle[i], 0, 2047))
        for k in np.flatnonzero((distance < MATCH_Y_PX) & (shift < MATCH_X_PX)):
            pairs.append((float(distance[k]) + 0.02 * float(shift[k]), i, int(near[k])))
    taken_found: dict[int, int] = {}
    taken_true: set[int] = set()
    for _, i, j in sorted(pairs):
        if i not in taken_found and j not in taken_true:
            taken_found[i] = j
            taken_true.add(j)
    measured = np.array(sorted(taken_found), np.int64)
    return Matches(
        found=measured, true=np.array([taken_found[i] for i in measured], np.int64), invented=t.n - len(measured)
    )


def rows_of(found: TraceSet, which: NDArray[np.integer], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Row of some measured traces at columns `x`, shape (n, m)."""
    u = (x - found.traces.centre[which][:, None]) / 100.0
    c = found.traces.y_coeff[which]
    return np.asarray(sum(c[:, k : k + 1] * u**k for k in range(c.shape[1])))


def trace_errors(
    truth: NightTruth, found: TraceSet, matches: Matches, flexure: tuple[float, float]
) -> NDArray[np.float64]:
    """Measured minus true row [px] of the matched complete traces at the truth's 25 columns: (n, 25)."""
    use = truth.complete[matches.true]
    x = truth.column("trace_x")[matches.true[use]] + flexure[0]
    return rows_of(found, matches.found[use], x) - truth.column("trace_y")[matches.true[use]] - flexure[1]


def wavelength_errors(truth: NightTruth, folder: Path, matches: Matches, grid: NDArray[Any]) -> NDArray[np.float64]:
    """Measured minus true column [px] of wavelengths `grid` [A] in the matched complete spaxels: (n, m)."""
    use = truth.complete[matches.true]
    solution = read_wavelength(folder / "wavelength.fits")
    position = np.interp(grid, truth.wavelength, np.arange(truth.wavelength.size))
    at = np.rint(position).astype(int)
    true = truth.column("wave_x")[matches.true[use]][:, at] + lamp_flexure(truth, folder)[0]
    return np.asarray(solution.column(truth.wavelength[at])[matches.found[use]] - true)


def _trace_rows(truth: NightTruth, found: TraceSet, matches: Matches, flexure: tuple[float, float]) -> list[ScoreRow]:
    share = float(truth.complete[matches.true].sum()) / max(int(truth.complete.sum()), 1)
    errors = trace_errors(truth, found, matches, flexure)
    spaxels = found.spaxels
    dx = spaxels.x_arcsec[matches.found] - truth.column("x_arcsec")[matches.true]
    dy = spaxels.y_arcsec[matches.found] - truth.column("y_arcsec")[matches.true]
    lattice = np.hypot(dx - np.median(dx), dy - np.median(dy))
    return [
        at_least("complete traces found", "", 100.0 * share, 97.0, "%"),
        at_most("traces invented", "", float(matches.invented), 0.0),
        at_most("trace position, rms", "", float(np.sqrt(np.mean(errors**2))), 0.05, "px"),
        shown("trace position, 99th percentile", "", float(np.percentile(np.abs(errors), 99)), "px"),
        shown("trace position, blue, rms", _span(BLUE), _blue_rms(truth, matches, errors), "px"),
        at_most("sky position of spaxels, rms", "", float(np.sqrt(np.mean(lattice**2))), 0.3, "arcsec"),
        shown("zero of the sky positions", "", f"({np.median(dx):+.2f}, {np.median(dy):+.2f})", "arcsec"),
    ]


def _wavelength_rows(truth: NightTruth, folder: Path, matches: Matches) -> list[ScoreRow]:
    grid = truth.wavelength[(truth.wavelength >= WHOLE[0]) & (truth.wavelength <= WHOLE[1])]
    each = wavelength_errors(truth, folder, matches, grid)
    errors = np.abs(each[:, (grid >= 4000.0) & (grid <= 9200.0)])
    lost = float((~np.isfinite(errors)).any(axis=1).mean())
    errors = errors[np.isfinite(errors)]
    if errors.size == 0:
        return [lacking("wavelength error, median", "", "no solution")]
    return [
        at_most("wavelength error, median", "4000-9200 A", float(np.median(errors)), 0.10, "px"),
        at_most("wavelength error, 95th percentile", "4000-9200 A", float(np.percentile(errors, 95)), 0.25, "px"),
        at_most("spaxels without wavelengths", "", 100.0 * lost, 3.0, "%"),
        *_whole_range_rows(grid, each[np.isfinite(each).all(axis=1)]),
    ]


def _whole_range_rows(grid: NDArray[np.floating], errors: NDArray[np.floating]) -> list[ScoreRow]:
    """Wavelengths from end to end, and whether an end is off as a whole."""
    blue, red = grid <= BLUE[1], grid >= RED[0]
    middle, most = np.percentile(np.abs(errors), [50, 95])
    return [
        shown("wavelength error end to end, median", _span(WHOLE), float(middle), "px"),
        shown("wavelength error end to end, 95th percentile", _span(WHOLE), float(most), "px"),
        shown("wavelength, measured less true", _span(BLUE), float(np.median(errors[:, blue])), "px"),
        shown("wavelength, measured less true", _span(RED), float(np.median(errors[:, red])), "px"),
    ]


def _flat_rows(truth: NightTruth, folder: Path, matches: Matches) -> list[ScoreRow]:
    """The flat against the throughput of the lenslets, as the dome lights them and as the sky does."""
    use = truth.complete[matches.true]
    flat = read_flat(folder / "flat.fits")[:, matches.found[use]]
    # the dome's flat is what it was before the sky of earlier nights corrected it
    corrected = read_sky_factor(folder / "flat.fits")[matches.found[use]]
    at = np.clip(WAVELENGTH_GRID, truth.wavelength[0], truth.wavelength[-1])
    each = truth.column("throughput")[matches.true[use]]
    sky = np.array([np.interp(at, truth.wavelength, row) for row in each]).T
    rows = []
    dome = truth.column("dome")[matches.true[use]]
    for name, made, true in (("flat, rms", flat / corrected, sky * dome), ("flat against the sky, rms", flat, sky)):
        with np.errstate(invalid="ignore"):
            ratio = made / np.nanmedian(made, axis=1, keepdims=True) / (true / np.median(true, axis=1, keepdims=True))
        for low, high in FLAT_BANDS:
            # the median over a band: what one bin of a spaxel is off by is its noise on the dome
            some = (low <= WAVELENGTH_GRID) & (high >= WAVELENGTH_GRID)
            seen = ratio[some][:, np.isfinite(ratio[some]).any(axis=0)]
            off = np.nanmedian(seen, axis=0) - 1.0
            rows.append(shown(name, _span((low, high)), 100.0 * float(np.sqrt(np.mean(off**2))), "%"))
    return rows


def _span(range_: tuple[float, float]) -> str:
    return f"{range_[0]:.0f}-{range_[1]:.0f} A"


def _blue_rms(truth: NightTruth, matches: Matches, errors: NDArray[np.floating]) -> float:
    """Rms of the rows where the blue end of each trace falls: the truth's columns go from one end to the other."""
    use = matches.true[truth.complete[matches.true]]
    x, wave_x = truth.column("trace_x")[use], truth.column("wave_x")[use]
    ends = np.sort([[np.interp(end, truth.wavelength, row) for end in BLUE] for row in wave_x], axis=1)
    inside = (x >= ends[:, :1]) & (x <= ends[:, 1:])
    return float(np.sqrt(np.mean(errors[inside] ** 2)))


def _combined(path: Path) -> list[str]:
    """Raw frames that a combined frame says it is made of."""
    if not path.exists():
        return []
    header = fits.getheader(path)
    return [stem_of(str(header[key])) for key in header if key.startswith("IMCMB")]


def _nanmedian(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Median along the second axis; infinite where a row has no number."""
    filled = np.where(np.isfinite(values).any(axis=1)[:, None], values, np.inf)
    return np.asarray(np.nanmedian(filled, axis=1))
