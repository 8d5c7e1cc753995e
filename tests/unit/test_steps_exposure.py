"""From a separated frame to the cube: flexure applied, flux and noise divided by the flat."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose

import sedmd.steps.exposure as exposure
from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.core.job import Job
from sedmd.products.solution import TraceSet, write_flat
from sedmd.reduce.cube import from_frame
from sedmd.reduce.cube.illumination import SkySlope
from sedmd.reduce.numeric.containers import Mask
from sedmd.reduce.traces.extract import Extracted
from sedmd.reduce.traces.frame import Separated
from sedmd.reduce.traces.samples import make_samples
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.accuracy import Accuracy
from sedmd.reduce.wavelength.flexure import FeatureShift, Flexure
from sedmd.steps.exposure import _calibration_cards, _Calibrations, _cube, _slope_cards, _warnings, _without_bad_pixels
from sedmd.steps.former import Former
from unit.reduce_scenes import hex_spaxels, prism_solution, quiet

SPAXELS = hex_spaxels(1)
N = SPAXELS.q.size
SOLUTION = prism_solution(np.linspace(200.3, 420.7, N))
#: Light in the middle of the spectra, a feature to be found again [Angstrom].
LINE, WIDTH = 6500.0, 150.0


def calibrations(flat):
    traces = Traces(
        centre=np.rint(SOLUTION.coeff[:, 0]),
        y_coeff=10.0 + 5 * np.arange(N)[:, None],
        x_first=np.zeros(N, int),
        x_last=np.full(N, 799),
        width=np.array([1.4]),
        width_order=0,
        profile=None,
        rms=np.zeros(N),
    )
    found = TraceSet(traces=traces, spaxels=SPAXELS, complete=np.ones(N, bool), start=SOLUTION)
    return _Calibrations(night="20190612", earlier={}, bias=None, traces=found, solution=SOLUTION, flat=flat)


def separated(dx_px):
    """A line on a continuum that lies `dx_px` columns higher than the solution puts it; variance 9 in each column."""
    samples = make_samples(
        x_first=np.zeros(N, int),
        x_last=np.full(N, 799),
        centre=np.rint(SOLUTION.coeff[:, 0]),
        y_coeff=10.0 + 5 * np.arange(N)[:, None],
        sigma=lambda trace, x, y: np.full(x.shape, 1.4),
        shape=(64, 800),
    )
    wavelength = SOLUTION.wavelength(samples.trace, samples.x - dx_px)
    flux = 100.0 + 1000.0 * np.exp(-0.5 * ((wavelength - LINE) / WIDTH) ** 2)
    none = np.zeros(flux.size)
    return Separated(
        samples=samples,
        extracted=Extracted(flux=flux, variance=none + 9.0, bad_fraction=none, explained=none, peak=0.3),
        background=np.zeros(samples.shape),
        dy_px=0.0,
        dy_error_px=0.01,
        width=1.0,
        width_error=0.002,
        outliers=np.zeros(samples.shape, bool),
        chi2=1.0,
        n_bright=0,
        unexplained=0.0,
    )


def cube_of(dx_px, flat):
    flexure = Flexure(dx_px=dx_px, error_px=0.02, features=())
    return _cube(separated(dx_px), flexure, calibrations(np.asarray(flat, np.float32)))


EVEN = np.ones((WAVELENGTH_GRID.size, N))


@pytest.mark.parametrize("dx_px", [-1.5, 0.4, 1.5])
def test_light_that_flexure_moved_is_put_back_to_its_wavelength(dx_px):
    """A column is 25 Angstrom and more: 1.5 of them, not put back or moved on, are 40 Angstrom and more."""
    still, moved = cube_of(0.0, EVEN), cube_of(dx_px, EVEN)
    near = np.abs(WAVELENGTH_GRID - LINE) < 2 * WIDTH
    assert_allclose(moved.flux[near], still.flux[near], rtol=0.02)


def test_flux_is_divided_by_the_flat_and_variance_by_its_square():
    flat = EVEN * np.linspace(0.5, 2.0, N)
    even, made = cube_of(0.0, EVEN), cube_of(0.0, flat)
    good = np.isfinite(even.flux)
    assert good.any(axis=0).all()
    assert_allclose((made.flux * flat)[good], even.flux[good], rtol=1e-5)
    assert_allclose((made.variance * flat**2)[good], even.variance[good], rtol=1e-5)


def test_a_cube_tells_how_many_columns_of_the_detector_its_bins_hold():
    """What bins share depends on it (`sedmd.reduce.cube.correlation`); closed form: the light of a column, once."""
    made = cube_of(0.0, EVEN)
    wavelength = np.arange(4500.0, 8500.0, 250.0)
    middle = SOLUTION.column(np.concatenate([wavelength - 5.0, wavelength + 5.0]))
    per_angstrom = np.median(np.abs(np.diff(middle.reshape(N, 2, -1), axis=1))[:, 0], axis=0) / 10.0
    step = np.interp(wavelength, WAVELENGTH_GRID, np.gradient(WAVELENGTH_GRID))
    assert_allclose(np.interp(wavelength, WAVELENGTH_GRID, made.columns), per_angstrom * step, rtol=0.01)


def test_a_spaxel_without_a_flat_has_no_data():
    flat = EVEN.copy()
    flat[:, 2] = np.nan
    made = cube_of(0.0, flat)
    assert np.isnan(made.flux[:, 2]).all() and np.isnan(made.variance[:, 2]).all()
    assert (made.mask[:, 2] & Mask.NO_DATA).all()
    assert np.isfinite(made.flux[:, 3]).any()


def test_pixels_that_did_not_follow_the_dome_are_marked(tmp_path):
    spaxels = hex_spaxels(2)
    bad = np.zeros((20, 30), bool)
    bad[4, 25] = True
    flat = np.ones((WAVELENGTH_GRID.size, spaxels.q.size), np.float32)
    write_flat(tmp_path / "flat.fits", WAVELENGTH_GRID, flat, spaxels, bad_pixels=bad, cards={})
    image = quiet(np.zeros(bad.shape))
    image.mask[4, 25], image.mask[7, 8] = Mask.SATURATED, Mask.COSMIC
    marked = _without_bad_pixels(image, tmp_path / "flat.fits").mask
    assert marked[4, 25] == Mask.SATURATED | Mask.BAD_PIXEL
    assert marked[7, 8] == Mask.COSMIC
    assert (marked != 0).sum() == 2


def test_bins_of_saturated_pixels_say_so_and_others_do_not():
    row, column = 10, 230  # of the first spectrum
    pixels = np.zeros((64, 800), bool)
    pixels[row, column] = True
    flexure = Flexure(dx_px=0.0, error_px=0.02, features=())
    given = separated(0.0), flexure, calibrations(np.asarray(EVEN, np.float32))
    cube, plain = _cube(*given, pixels), _cube(*given)
    marked = (cube.mask & Mask.SATURATED) != 0
    wavelength = float(SOLUTION.wavelength(np.array([0]), np.array([float(column)]))[0])
    at = int(np.argmin(np.abs(WAVELENGTH_GRID - wavelength)))
    assert marked[at, 0]
    assert 1 <= marked.sum() <= 3
    assert_allclose(cube.flux[~marked], plain.flux[~marked])
    assert ((plain.mask & Mask.SATURATED) == 0).all()


def test_sky_lines_are_made_alike_where_the_light_of_this_exposure_lies(monkeypatch):
    plain = cube_of(0.0, EVEN)
    seen = {}

    def residue(sky, wavelength, solution, centre, row, *, dx_px):
        seen.update(dx_px=dx_px, sky=sky)
        return np.full((wavelength.size, N), 2.0)

    monkeypatch.setattr(from_frame, "line_residue", residue)
    monkeypatch.setattr("sedmd.reduce.cube.sky_lines.MIN_SKY_SPAXELS", 2)
    made = cube_of(0.0, EVEN * 2.0)
    good = np.isfinite(plain.flux)
    assert_allclose(made.flux[good], plain.flux[good] / 2.0 - 2.0, rtol=1e-5, atol=1e-5)
    near = np.abs(WAVELENGTH_GRID - LINE) < WIDTH
    assert_allclose(seen["sky"][near], plain.flux[near].mean(axis=1) / 2.0, rtol=0.02)
    cube_of(0.4, EVEN)
    assert seen["dx_px"] == 0.4


def test_header_says_how_well_the_lamps_tell_the_wavelengths():
    plain = calibrations(np.ones((1, N), np.float32))
    assert "WAVEERR" not in _calibration_cards(plain)
    known = Accuracy(
        wavelength=np.array([3900.0, 6600.0, 9000.0]), error=np.array([9.0, 0.2, 0.1]), other_law=np.zeros(3)
    )
    cards = _calibration_cards(replace(plain, solution=replace(SOLUTION, accuracy=known)))
    assert (cards["WAVEERR"][0], cards["WAVEERRL"][0]) == (pytest.approx(0.2), 6600.0)


@pytest.mark.parametrize(
    ("shifts", "doubted"),
    [
        ((0.1, 0.1, 0.2, 0.1), False),
        ((0.1, 0.1, 0.2, 2.0), False),
        ((0.1, 0.1, 2.0, -2.0), True),  # two of four
        ((0.1, 0.1, 0.2, 2.0, -2.0, 3.0), True),  # three, but not most of them
        ((0.1, 2.0, -2.0), False),  # too few to say so
    ],
)
def test_sky_lines_that_do_not_agree_bring_the_lamps_into_doubt(shifts, doubted):
    features = tuple(
        FeatureShift(name="OI 5577", shift_px=s, error_px=0.1, significance=9.0, stretch=1.0) for s in shifts
    )
    found = Flexure(dx_px=0.1, error_px=0.05, features=features)
    said = _warnings("ifu.fits", separated(0.0), found, calibrations(np.asarray(EVEN, np.float32)), None)
    assert [("may be wrong" in text) for text in said] == ([True] if doubted else [])
    assert all(f"of {len(shifts)} sky lines agree" in text for text in said)


@pytest.mark.parametrize("north, told", [(0.0, False), (0.019, False), (-0.04, True)])
def test_a_sky_that_slopes_far_is_reported(north, told):
    found = SkySlope(east=0.003, north=north, error=0.001)
    sound = SimpleNamespace(chi2=1.0, n_bright=9999, width=1.01)
    flexure = Flexure(dx_px=0.0, error_px=0.02, features=())
    warnings = _warnings("ifu1.fits", sound, flexure, calibrations(EVEN), found)
    assert ["ifu1.fits: the sky slopes by 4.0 +- 0.1 % over 10 arcsec, at most 2 %" in w for w in warnings] == [
        True
    ] * told
    assert _slope_cards(found)["SKYSLOPY"][0] == north
    assert _warnings("ifu1.fits", sound, flexure, calibrations(EVEN), None) == []
    (said,) = _warnings(
        "ifu1.fits", SimpleNamespace(chi2=1.0, n_bright=9999, width=1.3), flexure, calibrations(EVEN), None
    )
    assert "1.30 times as wide" in said and "focus" in said


def test_what_the_exposure_before_left_is_sought_in_the_frame_as_it_was_read_and_stands_in_header_and_log(
    tmp_path, monkeypatch
):
    read, clean = quiet(np.full((8, 8), 5.0)), quiet(np.zeros((8, 8)))
    separated = SimpleNamespace(dy_px=0.0, background=np.zeros((8, 8)), chi2=1.0)
    flexure = SimpleNamespace(dx_px=0.0, error_px=0.1, features=(), consistent=True)
    traces = SimpleNamespace(traces=SimpleNamespace(profile="profile"))
    calibrations = SimpleNamespace(bias="bias", traces=traces, origin="tonight")
    asked, written = [], {}
    found = Former(cards={"PERSIST": (0.01, "share")}, figures={"persistence [%]": 1.0}, warnings=("much is left",))
    for name, value in {
        "_read_calibrations": calibrations,
        "to_electrons": (read, fits.Header({"EXPTIME": 900.0}), ["assumed"]),
        "_without_bad_pixels": read,
        "clean_cosmics": clean,
        "separate_traces": separated,
        "_check_traces": None,
        "_checked_flexure": flexure,
        "image_shift": 0.25,
        "_cube": "cube",
        "reject_hits": ("cube", 0),
        "sky_slope": None,
        "_cards": {},
        "_calibration_cards": {},
        "place_cards": {},
        "provenance": None,
        "_write_frames": None,
        "_warnings": ["a slope"],
    }.items():
        monkeypatch.setattr(exposure, name, lambda *given, value=value, **options: value)
    monkeypatch.setattr(exposure, "left_by_former", lambda *given: asked.append(given) or found)
    monkeypatch.setattr(exposure, "write_cube", lambda path, cube, **given: written.update(given["cards"]))
    names = {role: (tmp_path / f"{role}.fits",) for role in ("raw", "before", "flat")}
    job = Job(
        step="cube", night="20211018", label="x", inputs=names, outputs={"e3d": tmp_path / "e3d.fits"}, options={}
    )
    result = exposure.make_cube(job)
    assert asked == [(job, read, separated, "profile", "bias")]
    assert written["PERSIST"] == (0.01, "share")
    assert result.figures["persistence [%]"] == 1.0
    assert result.figures["flexure y [px]"] == 0.25
    assert result.warnings == ("assumed", "a slope", "much is left")


def test_the_header_tells_how_far_the_image_moved_though_its_traces_are_tilted():
    traces = SimpleNamespace(centre=np.full(3, 500.0), y_coeff=np.array([[100.0, 2.0, 0.0]] * 3))
    separated = SimpleNamespace(
        dy_px=0.5,
        dy_error_px=0.01,
        width=1.0,
        width_error=0.001,
        background=np.zeros((8, 8)),
        chi2=1.0,
        outliers=np.zeros((8, 8), bool),
        samples=SimpleNamespace(sigma=np.ones(3)),
    )
    flexure = SimpleNamespace(dx_px=-1.5, error_px=0.02, features=())
    calibrations = SimpleNamespace(
        traces=SimpleNamespace(traces=traces), solution=SimpleNamespace(line_sigma=lambda x, y: np.ones(3))
    )
    cards = exposure._cards(separated, flexure, calibrations)
    # two rows in a hundred columns: 1.5 columns back along them lie 0.03 rows higher at any column
    assert cards["FLEXY"][0] == pytest.approx(0.47)
    assert cards["FLEXX"][0] == -1.5
