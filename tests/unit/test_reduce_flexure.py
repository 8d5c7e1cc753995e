"""Flexure along the dispersion: sign and size from sky lines, infinite error without them."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.traces.samples import make_samples
from sedmd.reduce.wavelength.flexure import (
    FeatureShift,
    Flexure,
    SkyFeature,
    find_far_shift,
    image_shift,
    measure_flexure,
)
from unit.reduce_scenes import pixel_shares, prism_solution, rng

N = 250
LINES = {
    "OI 5577": [(5577.34, 1.0)],
    "Na D": [(5889.95, 0.6), (5895.92, 0.4)],
    "OI 6300": [(6300.3, 0.75), (6363.8, 0.25)],
}
WINDOWS = {"OI 5577": (5420.0, 5730.0), "Na D": (5760.0, 6030.0), "OI 6300": (6180.0, 6470.0)}


def feature(name, lines=None):
    wavelength, intensity = (np.array(a) for a in zip(*(lines or LINES[name])))
    low, high = WINDOWS[name]
    return SkyFeature(name=name, wavelength=wavelength, intensity=intensity, low=low, high=high, uncertainty_px=0.02)


FEATURES = tuple(feature(name) for name in LINES)


def sky(dx, *, strength=900.0, seed=1, continuum=40.0, slope=0.1, sigma=1.2, moved=None, sense=1, spread=0.02):
    """Extracted samples of N spaxels under a sky whose lines lie `dx` columns higher than the lamps say."""
    random = rng(seed)
    centre = random.uniform(150, 900, N)
    stretch = sense * random.uniform(1 - spread, 1 + spread, N)
    solution = prism_solution(centre, stretch=stretch, sigma_px=sigma)
    ends = np.sort(solution.column(np.array([9000.0, 4200.0])), axis=1)
    first, last = np.floor(ends[:, 0]).astype(int), np.ceil(ends[:, 1]).astype(int)
    samples = make_samples(
        x_first=first,
        x_last=last,
        centre=np.rint(centre),
        y_coeff=random.uniform(10, 1990, (N, 1)),
        sigma=lambda trace, x, y: np.full(x.shape, 1.4),
        shape=(2000, 1200),
    )
    light = continuum + slope * (samples.x - centre[samples.trace])
    for name, lines in LINES.items():
        for wavelength, share in lines:
            place = solution.column(np.array([wavelength]))[:, 0] + dx + (moved or {}).get(name, 0.0)
            light = light + strength * share * pixel_shares(samples.x - place[samples.trace], sigma)
    variance = light + 60.0
    flux = random.normal(light, np.sqrt(variance))
    return samples, flux, variance, solution, centre, np.full(N, 1000.0)


def measure(scene, sky_spaxels=None, features=FEATURES):
    samples, flux, variance, solution, centre, row = scene
    chosen = np.ones(N, bool) if sky_spaxels is None else sky_spaxels
    return measure_flexure(samples, flux, variance, solution, centre, row, chosen, features)


@pytest.mark.parametrize("dx", [-1.7, -0.3, 0.0, 0.4, 2.2])
def test_shift_returns_what_was_injected(dx):
    found = measure(sky(dx))
    assert found.dx_px == pytest.approx(dx, abs=0.03)
    assert found.error_px < 0.05
    assert {f.name for f in found.features} == set(LINES)


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("name", ["OI 5577", "OI 6300"])
def test_a_line_is_symmetric_in_columns_not_in_wavelength(name, sense):
    # drawn in wavelengths, a line has its longer side where the dispersion is higher: a hundredth of a column
    found = measure(sky(0.4, strength=1e6, continuum=1e5, slope=0.0, sense=sense), features=(feature(name),))
    assert found.dx_px == pytest.approx(0.4, abs=0.004)


def test_error_covers():
    pulls = [
        (found.dx_px - 0.4) / found.error_px for found in (measure(sky(0.4, seed=s, strength=250.0)) for s in range(12))
    ]
    assert np.sqrt(np.mean(np.square(pulls))) < 1.5
    assert np.abs(np.mean(pulls)) < 1.0


def test_spaxels_of_unequal_throughput_make_no_noise():
    # neighbouring bins of the mean spectrum hold other spaxels: in a bright sky a tenth of it, once more or less
    def off(uneven, seed):
        samples, flux, variance, *rest = sky(0.4, strength=900.0, continuum=2000.0, slope=0.0, seed=seed)
        share = rng(100 + seed).uniform(1.0 - uneven, 1.0 + uneven, N)[samples.trace]
        found = measure((samples, share * flux, share**2 * variance, *rest), features=(feature("OI 5577"),))
        return found.dx_px - 0.4, found.error_px

    even, unequal = (np.array([off(uneven, seed) for seed in range(10)]) for uneven in (0.0, 0.3))
    assert np.std(unequal[:, 0]) < 1.4 * np.std(even[:, 0])
    assert np.median(unequal[:, 1]) < 1.2 * np.median(even[:, 1])


@pytest.mark.parametrize("sigma", [1.0, 1.6])
def test_lines_wider_or_narrower_than_the_lamps_do_not_matter(sigma):
    scene = list(sky(-0.6, sigma=sigma))
    scene[3] = prism_solution(scene[4], stretch=scene[3].coeff[:, 1] / 100, sigma_px=1.2)
    assert measure(tuple(scene)).dx_px == pytest.approx(-0.6, abs=0.05)


def test_without_lines_the_error_is_infinite():
    found = measure(sky(0.0, strength=0.0))
    assert found == Flexure(dx_px=0.0, error_px=float("inf"), features=())


def test_without_sky_spaxels_the_error_is_infinite():
    assert np.isinf(measure(sky(0.4), np.zeros(N, bool)).error_px)


def test_one_feature_at_the_wrong_place_has_no_say():
    found = measure(sky(0.4, moved={"Na D": 1.5}))
    assert found.dx_px == pytest.approx(0.4, abs=0.05)


def test_an_object_with_its_own_spectrum_is_left_out_by_the_choice_of_sky():
    samples, flux, variance, solution, centre, row = sky(0.4)
    bright = np.zeros(N, bool)
    bright[:40] = True
    emission = 5000.0 * pixel_shares(samples.x - solution.column(np.array([5600.0]))[samples.trace, 0], 1.5)
    flux = flux + np.where(bright[samples.trace], emission, 0.0)
    found = measure((samples, flux, variance, solution, centre, row), ~bright)
    assert found.dx_px == pytest.approx(0.4, abs=0.03)


def test_nan_samples_do_not_matter():
    samples, flux, variance, solution, centre, row = sky(-0.3)
    flux[rng(5).random(flux.size) < 0.05] = np.nan
    assert measure((samples, flux, variance, solution, centre, row)).dx_px == pytest.approx(-0.3, abs=0.03)
    assert_allclose(samples.x, np.rint(samples.x))


@pytest.mark.parametrize("dx", [-15.0, -6.5, 5.2, 11.0])
def test_lines_beyond_the_reach_are_found_where_they_are(dx):
    scene = sky(dx)
    assert not measure(scene).consistent
    samples, flux, variance, solution, centre, row = scene
    far = find_far_shift(samples, flux, variance, solution, centre, row, np.ones(N, bool), FEATURES)
    assert far == pytest.approx(dx, abs=0.05)


def test_without_lines_nothing_is_found_far_away_either():
    samples, flux, variance, solution, centre, row = sky(0.0, strength=0.0)
    assert find_far_shift(samples, flux, variance, solution, centre, row, np.ones(N, bool), FEATURES) is None


def flexure(*shifts, dx=0.0, error=0.1):
    found = tuple(FeatureShift(name="", shift_px=s, error_px=error, significance=9.0, stretch=1.0) for s in shifts)
    return Flexure(dx_px=dx, error_px=error, features=found)


def test_lines_are_consistent_if_three_and_most_of_them_agree():
    assert measure(sky(0.4)).consistent
    assert flexure(0.0, 0.1, -0.2).consistent
    assert flexure(0.0, 0.1, -0.2, 2.0, 3.0).consistent
    assert not flexure(0.0, 0.1, -0.2, 2.0, 3.0, -2.0).consistent
    assert not flexure(0.0, 0.1).consistent
    assert not flexure().consistent


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("spread", [0.02, 0.22])
def test_shift_is_towards_high_columns_whichever_way_the_dispersion_runs_and_varies(sense, spread):
    flexure = measure(sky(0.8, sense=sense, spread=spread))
    assert flexure.dx_px == pytest.approx(0.8, abs=0.06)
    assert flexure.consistent


@pytest.mark.parametrize("dx, dy", [(0.0, 0.3), (1.5, 0.0), (-2.8, 2.6)])
@pytest.mark.parametrize("slope", [0.018, -0.02])
def test_the_image_of_tilted_traces_moves_as_a_whole(dx, dy, slope):
    centre = np.array([300.0, 900.0, 1500.0])
    rows = np.array([100.0, 200.0, 300.0])
    traces = SimpleNamespace(y_coeff=np.column_stack([rows, np.full(3, 100 * slope), np.zeros(3)]))

    def row(x):
        return rows + slope * (x - centre)

    # where the moved image lies at the columns of the calibration, above where it lay
    higher = row(centre - dx) + dy - row(centre)
    assert image_shift(float(higher.mean()), dx, traces) == pytest.approx(dy, abs=1e-12)
