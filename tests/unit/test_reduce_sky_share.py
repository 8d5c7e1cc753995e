"""Each spaxel's share of the sky comes back as it was put in, with its error, and no object is in it."""

import numpy as np
import pytest

from sedmd.reduce.cube.sky_share import sky_share
from unit.reduce_scenes import PITCH, rng
from unit.sky_nights import SPAXELS, WAVELENGTH, N, exposure, slope_of

EVEN = np.ones(N)
FROM = np.hypot(SPAXELS.x_arcsec - 1.0, SPAXELS.y_arcsec + 2.0)


def test_shares_are_those_put_in_with_errors_that_cover():
    light = 1.0 + slope_of(SPAXELS, 0.01, -0.02) + rng(5).normal(0.0, 0.01, N)
    found = sky_share(exposure(light))
    assert np.isfinite(found.share).mean() > 0.9
    seen = np.isfinite(found.share)
    pull = ((found.share - light / light.mean()) / found.error)[seen]
    assert abs(pull.mean()) < 0.15
    assert pull.std() == pytest.approx(1.0, abs=0.08)
    assert np.median(found.error) < 0.02
    assert found.apart < 0.004


def test_the_sum_counts_what_bins_share():
    """Two bins side by side share columns: the error of a sum is larger than of independent ones."""
    cube = exposure(EVEN)
    alone = sky_share(cube).error
    beside = sky_share(type(cube)(**{**{name: getattr(cube, name) for name in cube.__slots__}, "columns": np.ones(90)}))
    # a bin of one column shares a quarter with each neighbour: 1 + 2 / 4
    assert np.median(beside.error / alone) == pytest.approx(np.sqrt(1.5), rel=0.03)


def test_a_wider_line_is_no_less_light():
    cube = exposure(EVEN, level=20_000.0)
    around = np.abs(WAVELENGTH - 5577.0) < 400
    row = cube.flux[around, 7].astype(float)
    cube.flux[around, 7] = np.convolve(np.pad(row, 1, mode="edge"), [0.2, 0.6, 0.2], mode="valid")
    assert np.abs(cube.flux[around, 7] / row - 1.0).max() > 0.05
    assert sky_share(cube).share[7] == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("flux", [100.0, 1000.0, 10_000.0])
def test_an_object_and_what_its_image_reaches_are_left_out(flux):
    """Whatever is left of the object in the shares is less than a third of their noise."""
    found = sky_share(exposure(EVEN, objects=[(flux, 1.0, -2.0, 2.0)]))
    seen = np.isfinite(found.share)
    assert not seen[FROM < 2.5].any()
    assert seen.sum() > 200
    assert np.max(moffat_left(flux)[seen] / found.error[seen]) < 0.34
    assert np.isinf(found.error[~seen]).all()


def moffat_left(flux):
    """Share of the sky that the wings of that object are, in each spaxel."""
    sky = exposure(EVEN, seed=None).flux.mean()
    whole = exposure(EVEN, seed=None, objects=[(flux, 1.0, -2.0, 2.0)]).flux.mean(axis=0)
    return whole / sky - 1.0


def test_all_of_several_objects_and_a_galaxy_are_left_out():
    objects = [(5000.0, 1.0, -2.0, 1.5), (400.0, -5.0, 3.0, 1.5), (600.0, 4.0, 4.5, 5.0)]
    found = sky_share(exposure(EVEN, objects=objects))
    for _, x, y, _ in objects:
        near = np.hypot(SPAXELS.x_arcsec - x, SPAXELS.y_arcsec - y) < 2.0
        assert not np.isfinite(found.share[near]).any()


def test_what_is_too_faint_to_be_seen_is_left_out_where_it_is_expected():
    cube = exposure(EVEN, objects=[(3.0, 1.0, -2.0, 2.0)])
    seen = sky_share(cube)
    assert np.isfinite(seen.share[FROM < 2.0]).any()
    told = sky_share(cube, place=(1.0, -2.0), within_arcsec=3.5)
    assert not np.isfinite(told.share[FROM < 3.5]).any()
    assert np.isfinite(told.share[FROM > 3.5 + PITCH]).mean() > 0.95


def test_a_bright_object_makes_slope_and_curvature_uncertain_by_its_halo():
    args = [(flux, 1.0, -2.0, 1.2) for flux in (1e2, 2e4)]
    faint, bright = (sky_share(exposure(EVEN, level=600.0, objects=[one])) for one in args)
    sky = exposure(EVEN, level=600.0, seed=None).flux.mean()
    # a hundredth of its light, in units of the sky's of one spaxel, over all of them
    assert bright.smooth_error > 0.9 * 0.01 * 2e4 / sky / N
    assert bright.smooth_error < 3 * 0.01 * 2e4 / sky / N
    assert faint.smooth_error < 0.6 * bright.smooth_error


def test_ranges_that_slope_otherwise_make_the_slope_uncertain():
    tinted = exposure(EVEN, seed=2)
    blue = WAVELENGTH < 6000
    tinted.flux[blue] *= 1.0 + slope_of(SPAXELS, 0.05, 0.0)
    assert sky_share(tinted).smooth_error > 5 * sky_share(exposure(EVEN, seed=2)).smooth_error


def test_ranges_that_disagree_in_single_spaxels_are_told_and_in_the_error():
    tinted = exposure(EVEN, seed=2)
    blue = WAVELENGTH < 6000
    tinted.flux[blue] *= 1.0 + rng(4).normal(0.0, 0.06, N)
    found, even = sky_share(tinted), sky_share(exposure(EVEN, seed=2))
    # of three ranges one is off by 0.06: half the mean square of the differences of pairs is a third of its square
    assert found.apart == pytest.approx(0.06 / np.sqrt(3), rel=0.25)
    assert np.median(found.error) > 1.5 * np.median(even.error)


def test_nothing_is_said_of_too_faint_a_sky_or_too_few_spaxels():
    assert sky_share(exposure(EVEN, level=0.2)) is None
    few = exposure(EVEN)
    few.mask[:, 150:] = 8
    assert sky_share(few) is None


def test_masked_bins_cost_nothing_and_a_spaxel_with_few_good_ones_is_not_known():
    cube = exposure(EVEN)
    cube.flux[4::20, 3], cube.mask[4::20, 3] = 1e6, 2
    cube.mask[:60, 4] = 8
    found = sky_share(cube)
    assert found.share[3] == pytest.approx(1.0, abs=5 * found.error[3])
    assert np.isnan(found.share[4]) and np.isinf(found.error[4])
