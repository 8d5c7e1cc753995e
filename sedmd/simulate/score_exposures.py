"""Score what is measured on each exposure: flexure and scattered light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from sedmd.products.solution import read_traces, read_wavelength
from sedmd.simulate.render import BLOCK
from sedmd.simulate.score_calibration import dome_flexure, lamp_flexure, match_traces
from sedmd.simulate.score_rows import ScoreRow, at_most, lacking, shown
from sedmd.simulate.score_truth import NightTruth

#: Cells with less scattered light than this [electron/pixel] are not compared: their relative error means nothing.
MIN_LEVEL = 1.0
SKY_KINDS = ("science", "standard")
#: Largest error of the flexure [px]. Along the dispersion it is measured on the lines of the sky, which are faint in
#: exposures shorter than this [s]: there 2.5 times the error that the reduction tells counts where it is larger.
MAX_FLEXURE, SHORT_S = 0.05, 600.0
#: Green oxygen line of the sky [Angstrom].
GREEN = 5577.34


def score_exposures(truth: NightTruth, folder: Path) -> list[ScoreRow]:
    """Rows on every exposure of the sky that a reduction must not skip."""
    rows: list[ScoreRow] = []
    green = green_line(truth, folder)
    for frame in truth.frames:
        if str(frame["kind"]) not in SKY_KINDS or str(frame["ignore"]):
            continue
        stem = str(frame["file"]).removesuffix(".fits")
        where = f"{stem} {frame['exptime']:.0f} s"
        cubes = sorted(folder.glob(f"e3d_crr_b_{stem}_*.fits"))
        if not cubes:
            rows.append(lacking("flexure x, error", where, "no cube"))
            continue
        header = fits.getheader(cubes[0])
        rows += _flexure_rows(truth, folder, header, where, frame)
        rows += _scatter_rows(truth, folder, stem, where)
        if float(frame["exptime"]) >= SHORT_S and green is not None:
            rows += green.rows(float(frame["flexure_x"]) - float(header["FLEXX"]), where)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class GreenLine:
    """Where the green line of the sky truly falls, against where the lamps' solution has it.

    Attributes
    ----------
    column_off : (n,) true less predicted column in the complete spaxels, both without flexure, pixel
    dispersion : (n,) width of a column there, Angstrom; negative where wavelengths fall with the columns
    """

    column_off: NDArray[np.floating]
    dispersion: NDArray[np.floating]

    def rows(self, flexure_error: float, where: str) -> list[ScoreRow]:
        """Rows on an exposure whose true flexure exceeds the measured one by so many columns."""
        off = self.dispersion * (self.column_off + flexure_error)
        return [
            shown("sky line 5577 after flexure, told less true, mean", where, float(np.mean(off)), "A"),
            shown("sky line 5577 after flexure, rms", where, float(np.sqrt(np.mean(off**2))), "A"),
        ]


def green_line(truth: NightTruth, folder: Path) -> GreenLine | None:
    """The green line in the night's solution; None where there is no solution, which other rows tell."""
    if not ((folder / "wavelength.fits").exists() and (folder / "traces.fits").exists()):
        return None
    matches = match_traces(truth, read_traces(folder / "traces.fits"), dome_flexure(truth, folder))
    use = truth.complete[matches.true]
    # The truth's grid is coarse: a straight line between its points would be off by a hundredth of a column.
    true = CubicSpline(truth.wavelength, truth.column("wave_x")[matches.true[use]], axis=1)(GREEN)
    solution, found = read_wavelength(folder / "wavelength.fits"), matches.found[use]
    told, beside = solution.column(np.array([GREEN, GREEN + 1.0]))[found].T
    return GreenLine(column_off=true - told, dispersion=1.0 / (beside - told))


def scatter_maps(truth: NightTruth, folder: Path, stem: str) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Measured and true scattered light [electron/pixel] in cells of `BLOCK` px; None if a file is missing.

    The last column of cells is omitted, part of it being overscan.
    """
    before, after = folder / f"crr_b_{stem}.fits", folder / f"bs_crr_b_{stem}.fits"
    true = truth.scattered(stem)
    if true is None or not before.exists() or not after.exists():
        return None
    background = np.asarray(fits.getdata(before), float) - np.asarray(fits.getdata(after), float)
    cells = background.reshape(background.shape[0] // BLOCK, BLOCK, -1, BLOCK).transpose(0, 2, 1, 3)
    # the median forgives the pixels that a later mask replaced
    measured = np.median(cells.reshape(*cells.shape[:2], -1), axis=2)
    return measured[:, :-1], true[:, :-1]


def _flexure_rows(truth: NightTruth, folder: Path, header: fits.Header, where: str, frame: object) -> list[ScoreRow]:
    # the calibrations have a small flexure of their own, which the solution takes for zero
    dx = float(frame["flexure_x"]) - lamp_flexure(truth, folder)[0]  # type: ignore[index]
    dy = float(frame["flexure_y"]) - dome_flexure(truth, folder)[1]  # type: ignore[index]
    limit, error = MAX_FLEXURE, header.get("FLEXXERR")
    if float(frame["exptime"]) < SHORT_S and isinstance(error, float):  # type: ignore[index]
        limit = max(limit, 2.5 * error)
    return [
        at_most("flexure x, error", where, abs(float(header["FLEXX"]) - dx), limit, "px"),
        at_most("flexure y, error", where, abs(float(header["FLEXY"]) - dy), MAX_FLEXURE, "px"),
    ]


def _scatter_rows(truth: NightTruth, folder: Path, stem: str, where: str) -> list[ScoreRow]:
    maps = scatter_maps(truth, folder, stem)
    if maps is None:
        return [lacking("scattered light, median error", where, "no bs_crr_b frame")]
    difference, stripes = without_rows(maps[0] - maps[1])
    # Even light over the chip looks like an error of the bias level, which no reduction knows better than the scan
    # columns do; a background rightly takes both out.
    unknown = 2.0 * truth.level_error(str(stem))
    difference = difference - np.clip(np.median(difference), -unknown, unknown)
    true = maps[1]
    bright = true > MIN_LEVEL
    rows = [
        shown("scattered light, level", where, float(np.median(true)), "electron"),
        shown("bias rows in the background, rms", where, float(np.std(stripes)), "electron"),
    ]
    if bright.mean() < 0.01:
        return rows
    error = 100.0 * np.abs(difference)[bright] / true[bright]
    return [
        *rows,
        at_most("scattered light, median error", where, float(np.median(error)), 3.0, "%"),
        shown("scattered light, 95th percentile", where, float(np.percentile(error, 95)), "%"),
    ]


def without_rows(difference: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A map without its row pattern, and the pattern.

    What is the same along a whole row of the chip and averages to nothing over the rows is what the overscan left of
    the bias: a background has to take it out, but it is no scattered light. The mean of the map stays.
    """
    stripes = np.median(difference, axis=1)
    stripes = stripes - stripes.mean()
    return np.asarray(difference - stripes[:, None]), np.asarray(stripes)
