"""A/B pairs: the flux of single frames, the pattern of the instrument gone, the sign that of the star in A."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.containers import Cube, Spaxels
from sedmd.reduce.target.pair import extract_pair
from sedmd.reduce.target.psf import Psf, Refraction, extract_point
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share, rng

WAVELENGTH = np.linspace(4000.0, 9000.0, 40)
STILL = Refraction(east=np.zeros(40), north=np.zeros(40))
SPAXELS = hex_spaxels()
PLACE_A, PLACE_B = (2.5, 2.0), (-3.0, -2.5)
SPECTRUM = 1500.0 * (1 + 0.3 * np.sin(WAVELENGTH / 700.0))


def psf(place):
    return Psf(x_arcsec=place[0], y_arcsec=place[1], fwhm_arcsec=1.9)


def shares(place):
    return np.stack([moffat_share(SPAXELS, *place, 1.9 * (w / 6500.0) ** -0.2, fine=5) for w in WAVELENGTH])


SHARES = {PLACE_A: shares(PLACE_A), PLACE_B: shares(PLACE_B)}


def exposure(place, *, sky, seed=None, factor=1.0, pattern=0.0, factor_sky=1.0):
    light = factor * SPECTRUM[:, None] * SHARES[place] + factor_sky * sky
    return make_cube(SPAXELS, WAVELENGTH, light, seed=seed, pattern=pattern)


def pair(a, b, **options):
    return extract_pair(a, b, psf(PLACE_A), psf(PLACE_B), STILL, STILL, **options)


def test_pair_has_the_flux_of_each_single_frame():
    a, b = exposure(PLACE_A, sky=80.0), exposure(PLACE_B, sky=120.0)
    found = pair(a, b)
    assert_allclose(found.flux, SPECTRUM, rtol=0.01)
    assert_allclose(extract_point(a, psf(PLACE_A), STILL).flux, found.flux, rtol=0.01)
    assert_allclose(extract_point(b, psf(PLACE_B), STILL).flux, found.flux, rtol=0.01)
    # Two sightings of the star, no noise from a subtraction.
    single = extract_point(exposure(PLACE_A, sky=100.0), psf(PLACE_A), STILL).error
    assert_allclose(found.error, single / np.sqrt(2), rtol=0.08)


def test_errors_cover():
    pulls = np.array(
        [
            (found.flux - SPECTRUM) / found.error
            for found in (
                pair(exposure(PLACE_A, sky=80.0, seed=2 * s), exposure(PLACE_B, sky=90.0, seed=2 * s + 1))
                for s in range(20)
            )
        ]
    )
    assert 0.93 < np.std(pulls) < 1.07
    assert np.mean(pulls) == pytest.approx(0, abs=0.12)


def test_pattern_that_stays_with_the_spaxels_is_removed():
    truth, single_pulls, pair_pulls = SPECTRUM, [], []
    for seed in range(10):
        pattern = rng(100 + seed).normal(0, 60.0, SPAXELS.q.size)[None, :] * np.ones((40, 1))
        a = exposure(PLACE_A, sky=300.0, seed=2 * seed, pattern=pattern)
        b = exposure(PLACE_B, sky=300.0, seed=2 * seed + 1, pattern=pattern)
        found, alone = pair(a, b), extract_point(a, psf(PLACE_A), STILL)
        pair_pulls.append((found.flux - truth) / found.error)
        single_pulls.append((alone.flux - truth) / alone.error)
    assert np.sqrt(np.mean(np.square(pair_pulls))) < 1.25
    assert np.sqrt(np.mean(np.square(single_pulls))) > 1.5, "the pattern of this test is too weak to tell"


def test_star_is_positive_in_a_and_in_b():
    # The star of B alone would be negative in A - B; here it counts as light.
    found = pair(exposure(PLACE_A, sky=80.0), exposure(PLACE_B, sky=80.0))
    assert (found.flux > 0).all()
    dark = make_cube(SPAXELS, WAVELENGTH, np.full((40, SPAXELS.q.size), 80.0))
    half = pair(exposure(PLACE_A, sky=80.0), dark)
    assert (half.flux > 0).all() and (half.flux < SPECTRUM).all()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_exposures_of_different_length(factor):
    a = exposure(PLACE_A, sky=80.0)
    b = exposure(PLACE_B, sky=80.0, factor=factor, factor_sky=factor)
    assert_allclose(pair(a, b, gain_b=factor).flux, SPECTRUM, rtol=0.01)
    assert_allclose(pair(a, b, gain_b=np.full(40, factor)).flux, SPECTRUM, rtol=0.01)


def test_masked_samples_do_not_matter():
    a, b = exposure(PLACE_A, sky=80.0), exposure(PLACE_B, sky=80.0)
    hit = rng(3).random(a.flux.shape) < 0.05
    a.flux[hit], a.mask[hit] = 1e6, 2
    assert_allclose(pair(a, b).flux, SPECTRUM, rtol=0.02)


def test_sky_is_the_mean_of_both():
    found = pair(exposure(PLACE_A, sky=80.0), exposure(PLACE_B, sky=120.0))
    assert_allclose(found.sky, 100.0 / (0.627**2 * np.sqrt(3) / 2), rtol=0.03)


def test_sky_of_b_counts_as_in_the_exposure_of_a():
    a, b = exposure(PLACE_A, sky=80.0), exposure(PLACE_B, sky=120.0, factor=2.0, factor_sky=2.0)
    found = pair(a, b, gain_b=2.0)
    assert_allclose(found.sky, 100.0 / (0.627**2 * np.sqrt(3) / 2), rtol=0.03)


def test_cubes_of_different_arrays_are_refused():
    a, b = exposure(PLACE_A, sky=80.0), exposure(PLACE_B, sky=80.0)
    other = Spaxels(
        ident=SPAXELS.ident + 1, q=SPAXELS.q, r=SPAXELS.r, x_arcsec=SPAXELS.x_arcsec, y_arcsec=SPAXELS.y_arcsec
    )
    with pytest.raises(ValueError, match="same calibrations"):
        pair(a, Cube(wavelength=b.wavelength, flux=b.flux, variance=b.variance, mask=b.mask, spaxels=other))
