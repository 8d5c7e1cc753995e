"""The score of a night: products made from the truth with known errors must be given exactly those errors."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sedmd.core.errors import SedmError
from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.products.cube import write_cube
from sedmd.products.image import write_image
from sedmd.products.solution import TraceSet, write_flat, write_traces, write_wavelength
from sedmd.products.spectrum import write_spectrum
from sedmd.reduce.numeric.containers import Cube, Image, Spaxels, Spectrum
from sedmd.reduce.numeric.field import FieldModel
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.scale import Scale
from sedmd.reduce.wavelength.wavelength import LineGroup, WavelengthSolution
from sedmd.simulate import NightPlan, plan_night
from sedmd.simulate.expose import Rendered, lights_of
from sedmd.simulate.plan import build_instrument, exposure_of
from sedmd.simulate.render import Expected, column_flux
from sedmd.simulate.score import ScoreRow, products_of, score_night
from sedmd.simulate.score_exposures import green_line, score_exposures, without_rows
from sedmd.simulate.score_limit import limit_of
from sedmd.simulate.score_rows import at_least, at_most, between, shown, worst
from sedmd.simulate.score_shape import _shares_between
from sedmd.simulate.score_spectra import BIN_HIGH, BIN_LOW, broad_bins, compare_spectra, pulls
from sedmd.simulate.score_table import compare, decides
from sedmd.simulate.score_truth import NightTruth, TrueSource
from sedmd.simulate.sources import SimulatedSource
from sedmd.simulate.spectra import smooth_flux
from sedmd.simulate.truth import write_frame_truth, write_night_truth

NIGHT, SCATTERED = "20190612", 4.0
GRID = 10.0 * np.polynomial.polynomial.polyval(
    np.arange(250.0, 12.5, -1.0), [1066.963, -5.829229, 0.01825482, -2.33659969e-5, -6.12127e-9]
)  # kpy's fiducial solution: bins as wide as a column
CALIBRATED = "erg / (s cm2 Angstrom)"


@pytest.fixture(scope="module")
def plan() -> NightPlan:
    return plan_night(seed=1, size="mini", profile="2019")


@pytest.fixture(scope="module")
def truth(plan: NightPlan, tmp_path_factory: pytest.TempPathFactory) -> NightTruth:
    """The truth of a mini night whose scattered light is `SCATTERED` electrons everywhere."""
    folder = tmp_path_factory.mktemp("truth")
    light = Expected(image=np.zeros((4, 4), np.float32), scattered=np.full((128, 128), SCATTERED))
    nothing = Rendered(
        data=np.zeros((4, 4), np.uint16),
        header=fits.Header(),
        expected=light,
        cosmic_charge=np.zeros((4, 4)),
        cosmic_count=0,
        collected=np.zeros((4, 4)),
    )
    rows = [write_frame_truth(plan, i, nothing, folder) for i in range(len(plan))]
    write_night_truth(plan, rows, folder)
    return NightTruth(folder)


def stems(truth: NightTruth, kind: str) -> list[str]:
    frames = truth.frames
    return [str(f["file"]).removesuffix(".fits") for f in frames if f["kind"] == kind and not f["ignore"]]


def perfect(plan: NightPlan) -> tuple[TraceSet, WavelengthSolution]:
    """Traces and wavelengths exactly as the optics have them: both are cubics there."""
    o = plan.instrument.optics
    n, ratio = len(o), 100.0 / 130.0
    spaxels = Spaxels(ident=np.arange(n, dtype=np.int32) + 1, q=o.q, r=o.r, x_arcsec=o.sky_x, y_arcsec=o.sky_y)
    scale = Scale(wavelength=o.fiducial_wavelength, xi=o.fiducial_pixel / 100.0)
    a, b, c = o.stretch
    solution = WavelengthSolution(
        scale=scale,
        coeff=np.stack([o.x0, 100.0 + a * ratio, b * ratio**2, c * ratio**3], axis=1),
        rms=np.full(n, 0.01),
        n_lines=np.full(n, 12),
        line_sigma=FieldModel(order=0, coefficients=np.array([1.2]), scatter=np.asarray(0.0)),
        line_sigma_slope=0.0,
        groups=(LineGroup("Hg", 5460.7, 0.0, 0.01),),
    )
    t = np.arange(-5.0, 5.01, 0.1)
    traces = Traces(
        centre=o.x0,
        y_coeff=np.stack([o.y0, 100.0 * o.slope, o.bow * ratio**2, o.curl * ratio**3], axis=1),
        x_first=np.floor(o.x_of(9200.0)).astype(int),
        x_last=np.ceil(o.x_of(3800.0)).astype(int),
        width=np.array([1.4]),
        width_order=0,
        profile=Profile(step=0.1, value=np.exp(-0.5 * t**2)),
        rms=np.full(n, 0.01),
    )
    return TraceSet(traces=traces, spaxels=spaxels, complete=o.complete(), start=solution), solution


def write_calibration(folder: Path, found: TraceSet, solution: WavelengthSolution) -> None:
    write_traces(folder / "traces.fits", found, cards={})
    write_wavelength(folder / "wavelength.fits", solution, found.spaxels, cards={})


def value(rows: list[ScoreRow], what: str, where: str = "") -> float:
    (row,) = [row for row in rows if row.what == what and where in row.where]
    assert isinstance(row.value, float)
    return row.value


def passed(rows: list[ScoreRow], what: str) -> bool:
    return all(row.passed for row in rows if row.what == what)


# rows -------------------------------------------------------------------------------------------------------------
def test_limits_include_their_ends_and_nan_never_passes() -> None:
    assert at_most("a", "", 3.0, 3.0).passed and not at_most("a", "", 3.1, 3.0).passed
    assert at_least("a", "", 97.0, 97.0).passed and not at_least("a", "", 96.0, 97.0).passed
    assert between("a", "", 0.9, 0.9, 1.1).passed and not between("a", "", 1.2, 0.9, 1.1).passed
    nan = float("nan")
    rows = (at_most("a", "", nan, 1.0), at_least("a", "", nan, 1.0), between("a", "", nan, 0.0, 1.0))
    assert not any(row.passed for row in rows)
    assert shown("a", "", nan).passed


def test_the_worst_row_is_the_one_farthest_from_what_is_required() -> None:
    assert worst([at_most("a", "", v, 3.0) for v in (1.0, 4.0, 2.0)]).value == 4.0
    assert worst([at_least("a", "", v, 3.0) for v in (5.0, 4.0, 9.0)]).value == 4.0
    assert worst([between("a", "", v, 0.9, 1.1) for v in (0.7, 1.2, 1.0)]).value == 0.7


# calibrations -----------------------------------------------------------------------------------------------------
def test_perfect_calibrations_have_no_error(plan: NightPlan, truth: NightTruth, tmp_path: Path) -> None:
    write_calibration(tmp_path, *perfect(plan))
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "complete traces found") == 100.0
    assert value(rows, "traces invented") == 0.0
    assert value(rows, "trace position, rms") < 1e-3
    assert value(rows, "wavelength error, 95th percentile") < 2e-3


def test_injected_errors_of_traces_and_wavelengths_come_back(
    plan: NightPlan, truth: NightTruth, tmp_path: Path
) -> None:
    found, solution = perfect(plan)
    y_coeff = found.traces.y_coeff.copy()
    y_coeff[:, 0] += 0.04
    lost = np.flatnonzero(found.complete)[:100]
    y_coeff[lost, 0] += 4.0  # neither found where they should be, nor anywhere else where a trace is
    coeff = solution.coeff.copy()
    coeff[:, 0] -= 0.07
    shifted = replace(found, traces=replace(found.traces, y_coeff=y_coeff))
    write_calibration(tmp_path, shifted, replace(solution, coeff=coeff))
    rows = score_night(truth.folder, tmp_path)
    share = 100.0 * (1.0 - 100.0 / found.complete.sum())
    assert value(rows, "complete traces found") == pytest.approx(share)
    assert value(rows, "traces invented") == 100.0 and not passed(rows, "traces invented")
    assert value(rows, "trace position, rms") == pytest.approx(0.04, abs=1e-3)
    assert value(rows, "wavelength error, median") == pytest.approx(0.07, abs=1e-3)


def test_rows_and_wavelengths_of_one_end_are_shown_by_themselves(
    plan: NightPlan, truth: NightTruth, tmp_path: Path
) -> None:
    found, solution = perfect(plan)
    t, c = found.traces, solution.coeff
    blue = solution.sense  # on which side of its middle a spectrum is blue
    bent = replace(found, traces=replace(t, y_coeff=t.y_coeff + np.array([0.0, blue * 0.05, 0.0, 0.0])))
    xi = float(solution.scale.to_xi(np.array(4200.0)))
    longer = replace(solution, coeff=c + np.array([0.0, 0.1 / xi, 0.0, 0.0]))
    write_calibration(tmp_path, bent, longer)
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "trace position, blue, rms") > 1.5 * value(rows, "trace position, rms")
    assert value(rows, "wavelength, measured less true", "3900-4500") == pytest.approx(0.1, abs=0.01)
    assert value(rows, "wavelength, measured less true", "7800") < -0.05


def test_the_flat_is_held_against_dome_and_sky(plan: NightPlan, truth: NightTruth, tmp_path: Path) -> None:
    found, solution = perfect(plan)
    write_calibration(tmp_path, found, solution)
    optics = plan.instrument.optics
    inside = np.clip(WAVELENGTH_GRID, truth.wavelength[0], truth.wavelength[-1])
    flat = optics.throughput(np.broadcast_to(inside, (len(optics), inside.size))).T * optics.dome
    off = np.where(np.arange(len(optics)) % 2, 1.03, 0.97) - 1.0
    write_flat(tmp_path / "flat.fits", WAVELENGTH_GRID, flat * (1.0 + off), found.spaxels, cards={})
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "flat, rms", "4200-9000") == pytest.approx(3.0, abs=0.15)
    dome = 100.0 * float(np.std(optics.dome[found.complete]))
    assert value(rows, "flat against the sky, rms", "4200-9000") == pytest.approx(np.hypot(3.0, dome), rel=0.2)
    # a correction for the sky makes the one better, and the other is of the dome's flat without it
    factor = 1.0 / optics.dome
    sky = (factor, np.zeros(factor.size))
    write_flat(tmp_path / "flat.fits", WAVELENGTH_GRID, flat * factor * (1.0 + off), found.spaxels, sky=sky, cards={})
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "flat, rms", "4200-9000") == pytest.approx(3.0, abs=0.15)
    assert value(rows, "flat against the sky, rms", "4200-9000") == pytest.approx(3.0, abs=0.15)


def test_a_trace_found_twice_counts_as_invented(plan: NightPlan, truth: NightTruth, tmp_path: Path) -> None:
    found, solution = perfect(plan)
    twice = np.append(np.arange(found.traces.n), 700)
    spaxels = Spaxels(**{name: getattr(found.spaxels, name)[twice] for name in Spaxels.__slots__})
    found = TraceSet(
        traces=found.traces.select(twice),
        spaxels=spaxels,
        complete=found.complete[twice],
        start=replace(solution, coeff=solution.coeff[twice], rms=solution.rms[twice], n_lines=solution.n_lines[twice]),
    )
    write_calibration(tmp_path, found, found.start)
    assert value(score_night(truth.folder, tmp_path), "traces invented") == 1.0


# exposures --------------------------------------------------------------------------------------------------------
def test_flexure_counts_from_the_calibrations_own_flexure(truth: NightTruth, tmp_path: Path) -> None:
    stem = stems(truth, "science")[0]
    lamps = {lamp: stems(truth, lamp) for lamp in ("dome", "Hg", "Cd", "Xe")}
    for lamp, used in lamps.items():
        header = fits.Header({f"IMCMB{i:03d}": f"{name}.fits" for i, name in enumerate(used, start=1)})
        fits.PrimaryHDU(header=header).writeto(tmp_path / f"{lamp}.fits")
    frame = truth.frame(stem)
    dx = frame["flexure_x"] - np.mean([truth.mean_flexure(lamps[lamp])[0] for lamp in ("Hg", "Cd", "Xe")])
    dy = frame["flexure_y"] - truth.mean_flexure(lamps["dome"])[1]
    write_small_cube(tmp_path / f"e3d_crr_b_{stem}_T.fits", flexx=dx + 0.03, flexy=dy - 0.08)
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "flexure x, error", stem) == pytest.approx(0.03)
    assert value(rows, "flexure y, error", stem) == pytest.approx(0.08)
    assert not next(row for row in rows if row.what == "flexure y, error" and stem in row.where).passed


def test_the_green_line_is_where_lamps_and_flexure_put_it(plan: NightPlan, truth: NightTruth, tmp_path: Path) -> None:
    found, solution = perfect(plan)
    moved = replace(solution, coeff=solution.coeff + np.eye(1, 4)[0] * 0.1)
    write_calibration(tmp_path, found, moved)
    stem = stems(truth, "science")[0]
    # the line lies 0.3 px higher than the cube says, the lamps' solution 0.1 px too high
    write_small_cube(tmp_path / f"e3d_crr_b_{stem}_T.fits", flexx=truth.frame(stem)["flexure_x"] - 0.3, flexy=0.0)
    rows = score_exposures(truth, tmp_path)
    ends = solution.column(np.array([5572.34, 5582.34]))[found.complete]
    off = 0.2 * 10.0 / np.diff(ends, axis=1)
    assert value(rows, "sky line 5577 after flexure, told less true, mean", stem) == pytest.approx(off.mean(), abs=0.05)
    assert value(rows, "sky line 5577 after flexure, rms", stem) == pytest.approx(abs(off.mean()), abs=0.1)
    (tmp_path / "wavelength.fits").unlink()
    assert green_line(truth, tmp_path) is None


def write_small_cube(path: Path, *, flexx: float, flexy: float) -> None:
    k, q, r = np.arange(3, dtype=np.int32), np.array([0, 1, 0], np.int32), np.array([0, 0, 1], np.int32)
    spaxels = Spaxels(ident=k, q=q, r=r, x_arcsec=0.6 * q + 0.3 * r, y_arcsec=0.5 * r)
    layer = np.ones((5, 3), np.float32)
    cube = Cube(
        wavelength=np.linspace(5000, 6000, 5), flux=layer, variance=layer, mask=layer.astype(np.uint8), spaxels=spaxels
    )
    write_cube(path, cube, cards={"FLEXX": float(flexx), "FLEXY": float(flexy)})


def test_scattered_light_is_measured_against_its_local_level(truth: NightTruth, tmp_path: Path) -> None:
    stem = stems(truth, "science")[0]
    level = truth.scattered(stem)
    assert level is not None and level.min() > SCATTERED  # the dark current is part of it
    wave = np.where(np.arange(2048) // 16 % 2, 0.5, -0.5)[:, None]
    background = np.kron(1.05 * level, np.ones((16, 16))) + wave
    ones = np.ones((2048, 2048), np.float32)
    before = Image(data=100 * ones, variance=ones, mask=ones.astype(np.uint8), read_noise=5.0)
    write_image(tmp_path / f"crr_b_{stem}.fits", before)
    write_image(tmp_path / f"bs_crr_b_{stem}.fits", replace(before, data=100 * ones - background))
    write_small_cube(tmp_path / f"e3d_crr_b_{stem}_T.fits", flexx=0.0, flexy=0.0)
    rows = score_night(truth.folder, tmp_path)
    # but for what the columns without light leave open of the level of the bias
    assert truth.level_error(stem) == pytest.approx(4.6 / np.sqrt(3 * 2048), rel=0.1)
    unknown = 2.0 * truth.level_error(stem) / np.median(level)
    assert value(rows, "scattered light, median error") == pytest.approx(5.0 - 100.0 * unknown, abs=0.01)
    assert value(rows, "bias rows in the background, rms") == pytest.approx(0.5, abs=1e-3)
    # a camera without dark columns cannot tell even light from its bias level: nor is it asked to
    told = NightTruth(truth.folder)
    told.profile = "2021"
    assert value(score_exposures(told, tmp_path), "scattered light, median error") == pytest.approx(0.0, abs=0.01)


def test_only_the_row_pattern_is_taken_off_not_the_mean() -> None:
    stripes = np.array([1.0, -1.0, 2.0, -2.0])
    rest, pattern = without_rows(3.0 + stripes[:, None] + np.zeros((4, 5)))
    assert np.allclose(rest, 3.0) and np.allclose(pattern, stripes)


# spectra ----------------------------------------------------------------------------------------------------------
def write_target(
    truth: NightTruth,
    folder: Path,
    stem: str,
    *,
    factor: float | np.ndarray = 1.0,
    noise: float = 0.0,
    error: float = 0.005,
    rng: np.random.Generator | None = None,
    dx: float = 0.0,
) -> None:
    """A spectrum that is the truth times `factor`, with noise and error in units of the truth."""
    source = truth.sources(stem)[0]
    expected = truth.expected(source, GRID, breathing=float(truth.frame(stem)["breathing"]))
    flux = expected * factor
    if rng is not None:
        flux = flux + noise * expected * rng.standard_normal(GRID.size)
    meta: dict[str, float | int | str | bool | None] = {
        "frame": stem,
        "fluxcal": True,
        "x_arcsec": source.x_arcsec + dx,
        "y_arcsec": source.y_arcsec,
    }
    spectrum = Spectrum(wavelength=GRID, flux=flux, error=error * expected, sky=0.0 * flux, unit=CALIBRATED, meta=meta)
    write_spectrum(folder / f"sp_{truth.frame(stem)['name']}_obs1.fits", spectrum)


def test_a_flat_spectrum_stays_flat_and_a_narrow_line_keeps_its_light(truth: NightTruth) -> None:
    fine = np.arange(3300.0, 10700.0, 2.0)
    flat = TrueSource(role="target", name="t", x_arcsec=0.0, y_arcsec=0.0, wavelength=fine, flux=np.ones_like(fine))
    assert np.allclose(truth.expected(flat, GRID), 1.0)
    line = replace(flat, flux=np.where(np.abs(fine - 6600.0) < 1.0, 1.0, 0.0))
    seen = truth.expected(line, GRID)
    width = np.gradient(GRID)
    total = (seen * width).sum()
    centre = (seen * GRID * width).sum() / total
    assert total == pytest.approx(2.0, rel=0.02)
    assert centre == pytest.approx(6600.0, abs=2.0)
    sigma_px = np.sqrt((seen * (GRID - centre) ** 2 * width).sum() / total) / np.interp(6600.0, GRID, width)
    assert 1.2 < sigma_px < 2.2  # core 1.22 px, column and bin, and the wings


def test_level_and_shape_of_a_spectrum_come_back_apart(truth: NightTruth, tmp_path: Path) -> None:
    """A level of 1.03 with a sine of 2 % about it: 1.41 % rms; errors of 0.5 % a bin, four and more bins in 10 nm."""
    stem = stems(truth, "science")[0]
    write_target(truth, tmp_path, stem, factor=1.03 * (1.0 + 0.02 * np.sin(GRID / 200.0)))
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "flux, level") == pytest.approx(3.0, abs=0.3)
    assert value(rows, "flux in 10 nm bins about it, rms") == pytest.approx(1.41, abs=0.15)
    assert value(rows, "the noise in them, rms") == pytest.approx(0.5 * np.sqrt(26.0 / 100.0), rel=0.15)
    assert abs(value(rows, "flux in the A band about it")) < 2.1


def test_the_limit_is_the_root_of_the_photons_where_the_source_is_bright_and_grows_with_the_light_where_it_is_faint():
    instrument = build_instrument("2024", 3)
    edges = np.array([6000.0, 6200.0, 6400.0])

    def limit(magnitude: float, background: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        source = SimulatedSource(name="star", x=0.3, y=0.2, flux=smooth_flux(7000.0, magnitude))
        exposure = exposure_of(instrument, (source,), exptime=600.0)
        (light,) = [one for one in lights_of(instrument, exposure) if one.shares is not None]
        columns = column_flux(instrument.optics, [light])
        counts = np.array(
            [
                columns.flux[(columns.wavelength >= low) & (columns.wavelength < high)].sum()
                for low, high in pairwise(edges)
            ]
        )
        return limit_of(instrument, exposure, source, edges, background=background), counts

    bright, photons = limit(7.0)
    assert np.all(bright < np.sqrt(photons)) and np.all(bright > 0.97 * np.sqrt(photons))
    faint, fainter = limit(21.0)[0], limit(23.5)[0]
    assert faint == pytest.approx(10.0 * fainter, rel=0.03)
    assert np.all(faint < 0.5 * np.sqrt(limit(21.0)[1]))  # sky and read noise
    # scattered light as much as the noise of the read-out squared, and more: half the information is lost
    assert np.all(limit(23.5, background=200.0)[0] < 0.75 * fainter)


def test_flux_errors_and_positions_come_back(truth: NightTruth, tmp_path: Path) -> None:
    stem = stems(truth, "science")[0]
    write_target(truth, tmp_path, stem, factor=1.02, dx=0.25)
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "flux in 20 nm bins, largest error") == pytest.approx(2.0, abs=1e-6)
    assert value(rows, "automatic position, error") == pytest.approx(0.25)
    write_target(truth, tmp_path, stem, factor=0.96, dx=0.35)
    rows = score_night(truth.folder, tmp_path)
    assert not passed(rows, "flux in 20 nm bins, largest error") and not passed(rows, "automatic position, error")


def test_positions_are_compared_in_the_array_wherever_its_zero_is(
    plan: NightPlan, truth: NightTruth, tmp_path: Path
) -> None:
    found, solution = perfect(plan)
    moved = replace(found.spaxels, x_arcsec=found.spaxels.x_arcsec + 1.5, y_arcsec=found.spaxels.y_arcsec - 0.7)
    write_calibration(tmp_path, replace(found, spaxels=moved), solution)
    write_target(truth, tmp_path, stems(truth, "science")[0], dx=1.5)
    rows = score_night(truth.folder, tmp_path)
    assert value(rows, "sky position of spaxels, rms") == pytest.approx(0.0, abs=1e-9)
    assert value(rows, "automatic position, error") == pytest.approx(0.7)


def test_pulls_are_noise_over_error_and_forgive_a_smooth_factor_only_when_told(
    truth: NightTruth, tmp_path: Path
) -> None:
    stem = stems(truth, "science")[0]
    smooth = 1.0 + 0.05 * (GRID - 6500.0) / 2500.0
    write_target(truth, tmp_path, stem, factor=smooth, noise=0.01, error=0.005, rng=np.random.default_rng(3))
    (one,) = compare_spectra(truth, tmp_path)
    assert np.std(pulls(one, smooth=True)) == pytest.approx(2.0, abs=0.3)
    assert np.std(pulls(one, smooth=False)) > 4.0


def test_broad_bins_leave_the_telluric_bands_out(truth: NightTruth, tmp_path: Path) -> None:
    stem = stems(truth, "science")[0]
    assert not truth.outside_bands(np.array([6880.0, 7620.0, 9350.0])).any()
    assert truth.outside_bands(np.array([4500.0, 5500.0, 7850.0])).all()
    hidden = np.where(truth.outside_bands(GRID), 1.0, 0.3)
    write_target(truth, tmp_path, stem, factor=hidden)
    (one,) = compare_spectra(truth, tmp_path)
    middle, ratio, noise = broad_bins(one)
    assert np.allclose(ratio, 1.0) and np.all(noise < 0.005)
    assert middle.min() == BIN_LOW + 100.0 and middle.max() < BIN_HIGH and 7700.0 not in middle


def test_what_became_of_a_target_is_held_against_what_stood_there(truth: NightTruth, tmp_path: Path) -> None:
    lone, hosted = stems(truth, "science")[0], stems(truth, "science")[-1]
    rows = {row.where.split()[0]: row for row in score_night(truth.folder, tmp_path) if row.what == "fate"}
    assert not rows[lone].passed and rows[lone].value == "awaiting observer"
    assert rows[hosted].passed and "on a host" in rows[hosted].where
    write_target(truth, tmp_path, lone)
    write_target(truth, tmp_path, hosted, factor=1.2)  # the host's light taken for the target's
    rows = {row.where.split()[0]: row for row in score_night(truth.folder, tmp_path) if row.what == "fate"}
    assert rows[lone].passed and rows[lone].value == "spectrum"
    assert not rows[hosted].passed


def test_the_border_is_where_the_lenslets_end(truth: NightTruth) -> None:
    source = TrueSource(role="target", name="t", x_arcsec=0.0, y_arcsec=0.0, wavelength=GRID, flux=np.ones_like(GRID))
    edge = float(truth.column("x_arcsec").max())
    assert truth.border(source) == "far"
    assert truth.border(replace(source, x_arcsec=edge - 3.5)) == "near"
    assert truth.border(replace(source, x_arcsec=edge)) == "cut"


def test_ab_magnitude_of_a_known_flux() -> None:
    # 3631 Jy at 6500 A is magnitude zero (Oke & Gunn 1983)
    flux = 10 ** (-0.4 * 48.60) * 2.99792458e18 / 6500.0**2
    source = TrueSource(
        role="target", name="t", x_arcsec=0.0, y_arcsec=0.0, wavelength=GRID, flux=np.full(GRID.size, flux)
    )
    assert source.magnitude == pytest.approx(0.0, abs=1e-6)


def test_missing_truth_or_products_are_said_in_words(truth: NightTruth, tmp_path: Path) -> None:
    with pytest.raises(SedmError, match="no truth of a simulated night here"):
        score_night(tmp_path, tmp_path)
    with pytest.raises(SedmError, match="no such directory; expected the products"):
        score_night(truth.folder, tmp_path, NIGHT)
    rows = score_night(truth.folder, tmp_path)
    assert not passed(rows, "traces found") and not passed(rows, "fate")


def test_the_only_night_of_a_root_is_taken_and_of_several_one_has_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "20190612").mkdir()
    assert products_of(tmp_path) == tmp_path / "20190612" == products_of(tmp_path, "20190612")
    (tmp_path / "20190612" / "traces.fits").touch()
    assert products_of(tmp_path / "20190612") == tmp_path / "20190612"
    (tmp_path / "20190613").mkdir()
    with pytest.raises(SedmError, match="20190612, 20190613; say which with --night"):
        products_of(tmp_path)
    with pytest.raises(SedmError, match="no night's products here"):
        products_of(tmp_path / "20190613")


def test_the_score_is_an_aligned_table():
    rows = [at_most("flux", "", 0.012345, 0.02), at_most("flexure", "ifu20190612_04_11_25", 0.2, 0.1, "px")]
    assert compare(rows).splitlines() == [
        "  what     where                 value    target   unit  passed",
        "  flux                           0.01235  <= 0.02        yes",
        "  flexure  ifu20190612_04_11_25  0.2      <= 0.1   px    NO",
    ]
    assert compare([]) == "  (nothing to compare)"


def test_the_result_rests_on_what_one_night_can_tell():
    assert decides(at_most("flux in 20 nm bins, largest error", "", 0.3, 0.1))
    assert decides(shown("fate", "ifu20190612_04_11_25", "final"))
    assert not decides(at_most("scattered light, median error", "", 0.3, 0.1))
    assert decides(shown("", "", 1.0)), "a row that does not say what it is must not pass unseen"


def test_a_range_of_wavelengths_gets_its_share_of_the_bins_at_its_ends():
    wavelength = np.arange(4000.0, 5000.0, 25.0)
    shares = _shares_between(wavelength, np.array([4200.0, 4400.0, 4610.0]))
    assert shares.sum(axis=1) * 25.0 == pytest.approx([200.0, 210.0])
    assert shares[0][wavelength == 4200.0] == 0.5 == shares[0][wavelength == 4400.0]
