"""What is saturated is marked from the pixel to the sensitivity, and what is only bright is not."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sedmd.reduce.detector.saturation import saturated_pixels
from sedmd.reduce.flux.sensitivity import _within_reach
from sedmd.reduce.numeric.containers import Cube, Mask
from sedmd.reduce.target.pair import extract_pair
from sedmd.reduce.target.psf import Psf, Refraction, extract_point, image
from sedmd.reduce.traces.extract import samples_touched
from sedmd.simulate.detector import bleed
from unit.reduce_scenes import hex_spaxels, make_cube, rng, rows_scene

LEVEL = 50_000.0
WAVELENGTH = np.linspace(4000.0, 9000.0, 6)
STILL = Refraction(east=np.zeros(6), north=np.zeros(6))
STAR = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=2.0)


def crest(peak, sigma, centre=40.0, shape=(80, 30)):
    """A bright spectrum along the rows, ADU."""
    y = np.arange(shape[0])[:, None]
    return np.broadcast_to(1000.0 + peak * np.exp(-0.5 * ((y - centre) / sigma) ** 2), shape).copy()


@pytest.mark.parametrize("sigma", [0.9, 1.3, 1.8, 2.5])
@pytest.mark.parametrize("centre", [40.0, 40.25, 40.5])
def test_a_bright_spectrum_below_the_level_is_not_saturated(sigma, centre):
    light = rng(1).poisson(1.8 * crest(48_000.0, sigma, centre)) / 1.8
    assert not saturated_pixels(np.minimum(light, LEVEL - 1), LEVEL).any()


@pytest.mark.parametrize("well", [30_000.0, 45_000.0, 60_000.0])
def test_every_pixel_that_lost_or_got_charge_is_marked_whatever_the_well_holds(well):
    truth = crest(200_000.0, 1.3)
    truth[:, ::3] = 1000.0
    raw = truth.copy()
    bleed(raw, well)
    found = saturated_pixels(np.minimum(raw + rng(2).normal(0, 60.0, raw.shape), 65535.0), LEVEL)
    changed = np.abs(raw - truth) > 1.0
    assert changed.sum() > 100
    assert found[changed].all()
    # no more than the next pixels
    rows = np.flatnonzero(changed.any(axis=1))
    assert not found[: rows[0] - 3].any() and not found[rows[-1] + 4 :].any()


def test_charge_goes_along_the_columns():
    raw = np.full((40, 40), 1000.0)
    raw[20, 10] = LEVEL
    expected = np.zeros(raw.shape, bool)
    expected[17:24, 10] = True
    expected[20, 9:12] = True
    assert_array_equal(saturated_pixels(raw, LEVEL), expected)
    raw[20, 10] = LEVEL - 1
    assert not saturated_pixels(raw, LEVEL).any()


def test_samples_that_have_a_pixel_within_two_rows_are_touched():
    samples = rows_scene([20.3], shape=(40, 30)).samples()
    for row, touched in ((17, False), (18, True), (20, True), (22, True), (23, False)):
        pixels = np.zeros((40, 30), bool)
        pixels[row, 7] = True
        assert_array_equal(samples_touched(samples, pixels), touched & (samples.x == 7))


def star_cube(lost, at=3):
    """A star of which the brightest spaxels, which hold at least `lost` of its light, are saturated at a wavelength."""
    spaxels = hex_spaxels(10)
    share = image(STAR, spaxels, WAVELENGTH, STILL.east, STILL.north)
    cube = make_cube(spaxels, WAVELENGTH, 5000.0 * share + 20.0)
    order = np.argsort(-share[at])
    held = np.cumsum(share[at][order]) / share[at].sum()
    burnt = order[: int(np.searchsorted(held, lost)) + 1] if lost else order[:0]
    mask = np.zeros(cube.flux.shape, np.uint8)
    mask[at, burnt] = Mask.SATURATED
    return Cube(wavelength=WAVELENGTH, flux=cube.flux, variance=cube.variance, mask=mask, spaxels=spaxels)


@pytest.mark.parametrize("lost, known", [(0.0, True), (0.12, False), (0.3, False)])
def test_a_bin_whose_crest_is_saturated_has_no_flux(lost, known):
    # of so many of the brightest spaxels that they hold this share of the light
    for found in (
        extract_point(star_cube(lost), STAR, STILL),
        extract_pair(star_cube(0.0), star_cube(lost), STAR, STAR, STILL, STILL),
        extract_pair(star_cube(lost), star_cube(0.0), STAR, STAR, STILL, STILL),
    ):
        assert_array_equal(np.isfinite(found.flux), [True, True, True, known, True, True])


def test_a_saturated_spaxel_in_the_wings_costs_nothing():
    cube = star_cube(0.0)
    far = np.argmax(np.hypot(cube.spaxels.x_arcsec, cube.spaxels.y_arcsec) > 3.0)
    cube.mask[:, far] = Mask.SATURATED
    assert np.isfinite(extract_point(cube, STAR, STILL).flux).all()


@pytest.mark.parametrize("gap, bridged", [(1, True), (5, True), (15, True), (25, False), (60, False)])
def test_the_sensitivity_is_not_drawn_over_a_wide_gap(gap, bridged):
    u = np.linspace(0.0, 1.0, 101)
    covered = np.r_[10:30, 30 + gap : 95]
    inside = _within_reach(u, covered, step=0.1)
    expected = np.zeros(101, bool)
    expected[10:95] = True
    expected[30 : 30 + gap] = bridged
    assert_array_equal(inside, expected)
