"""The error of a spectrum's level by its image: as much as levels scatter when the image is fitted anew."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sedmd.observation.extract import fit_cards
from sedmd.reduce.target.automatic import extract_target
from sedmd.reduce.target.find import BAND_EDGES
from sedmd.reduce.target.level import level_error
from sedmd.reduce.target.psf import Bands, Psf, Refraction, condense, fit_psf, image, sky_terms, solve_rows
from sedmd.reduce.target.seeing import USUAL_BETA_SPREAD
from sedmd.reduce.target.target import Look
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share, rng

SPAXELS = hex_spaxels(16)
WAVELENGTH = np.array([4500.0, 5200.0, 5900.0, 6550.0, 7200.0, 7900.0])
EAST, NORTH = 0.2 * (6500.0 - WAVELENGTH) / 2000.0, np.zeros(6)
TRUE = Psf(x_arcsec=0.2, y_arcsec=-0.1, fwhm_arcsec=1.9, beta=3.2, e1=0.02, e2=-0.03)


def shape(psf):
    return image(psf, SPAXELS, WAVELENGTH, EAST, NORTH)


def bands(light, *, sky=400.0, seed=None):
    """Mean flux of bands of so many electrons of light each, as many electrons of sky in a spaxel."""
    expected = light * shape(TRUE) + sky
    variance = expected + 100.0
    flux = expected if seed is None else rng(seed).normal(expected, np.sqrt(variance))
    return Bands(wavelength=WAVELENGTH, flux=flux, variance=variance, east=EAST, north=NORTH)


def level(one, psf):
    """Light of the source if that is its image, mean of the bands by their weights."""
    near = np.hypot(SPAXELS.x_arcsec - psf.x_arcsec, SPAXELS.y_arcsec - psf.y_arcsec) < 7.0
    design = np.concatenate([shape(psf)[:, near, None], sky_terms(SPAXELS.part(near), psf, 6)], axis=-1)
    strength, covariance = solve_rows(design, one.flux[:, near], 1.0 / one.variance[:, near])
    weight = 1.0 / covariance[:, 0, 0]
    return float((strength[:, 0] * weight).sum() / weight.sum())


@pytest.mark.parametrize("light", [20_000.0, 100_000.0])
def test_levels_scatter_as_told_when_the_image_is_fitted(light):
    drawn, told = [], []
    for seed in range(25):
        one = bands(light, seed=seed)
        psf, _, _ = fit_psf(one, SPAXELS, TRUE, free_shape=True, beta_spread=0.6)
        drawn.append(level(one, psf) / level(one, TRUE))
        told.append(level_error(one, SPAXELS, psf, beta_spread=0.6))
    # what the fit grants for the shape itself, two per cent of the light in a spaxel, is in what is told
    assert np.std(drawn) == pytest.approx(np.median(told), rel=0.35)
    assert np.std(told) < 0.2 * np.median(told)


def test_wings_that_do_not_show_are_as_uncertain_as_they_were_before():
    faint = bands(300.0)
    for spread in (0.05, 0.15):
        wide = level_error(faint, SPAXELS, TRUE, beta_spread=spread)
        narrow = level_error(faint, SPAXELS, TRUE, beta_spread=1e-6)
        up, down = (level(bands(1e6), replace(TRUE, beta=TRUE.beta + sign * spread)) for sign in (1, -1))
        assert np.sqrt(wide**2 - narrow**2) == pytest.approx((down - up) / 2e6, rel=0.6)
    assert level_error(faint, SPAXELS, TRUE, beta_spread=0.05) < level_error(faint, SPAXELS, TRUE, beta_spread=0.6)


def test_a_brighter_source_is_less_uncertain_and_one_without_light_has_none():
    errors = [level_error(bands(light), SPAXELS, TRUE, beta_spread=0.6) for light in (2e3, 2e4, 2e5)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0
    nothing = bands(0.0)
    assert np.isnan(level_error(replace(nothing, flux=nothing.flux * 0.0 - 1.0), SPAXELS, TRUE, beta_spread=0.6))


def test_an_image_that_does_not_fit_makes_the_level_less_certain():
    one = bands(100_000.0, seed=3)
    scattered = replace(one, flux=one.flux + 3 * np.sqrt(one.variance) * rng(4).normal(size=one.flux.shape))
    fits, fits_not = (level_error(it, SPAXELS, TRUE, beta_spread=np.inf) for it in (one, scattered))
    assert fits_not / fits == pytest.approx(3.0, rel=0.2)


def test_the_level_s_error_of_a_target_is_that_of_its_image_and_stands_in_the_header():
    wavelength = np.linspace(4000.0, 9000.0, 60)
    light = 3000.0 * moffat_share(SPAXELS, 0.2, -0.1, 1.8) + 50.0
    cube = make_cube(SPAXELS, wavelength, np.broadcast_to(light, (60, light.size)), seed=2)
    still = Refraction(east=np.zeros(60), north=np.zeros(60))
    look = Look(cube=cube, refraction=still, exptime_s=1440.0)
    found = extract_target([look])
    told = level_error(condense(cube, still, BAND_EDGES), SPAXELS, found.sources[0].psf, beta_spread=USUAL_BETA_SPREAD)
    assert found.level_error == pytest.approx(told, rel=1e-6)
    cards = fit_cards([SimpleNamespace(look=look, header={})], found)
    assert cards["LEVELERR"][0] == found.level_error
    assert fit_cards([SimpleNamespace(look=look, header={})], replace(found, level_error=np.nan))["LEVELERR"][0] is None
    # a standard star's wings are known by itself alone
    assert extract_target([look], standard=True).level_error > 0
