"""Flux calibration: extinction of the right sign, clouds and gases told apart, an inverse that inverts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.flux.sensitivity import Response, blur_to_bins, calibrate, extinction_factor, fit_sensitivity
from sedmd.reduce.target.psf import Psf, Refraction, extract_point
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share, rng

WAVELENGTH = np.linspace(3800.0, 9400.0, 220)


def bump(centre, width, depth):
    return depth * np.exp(-0.5 * ((WAVELENGTH - centre) / width) ** 2)


O2 = bump(6880, 45, 0.25) + bump(7620, 45, 0.8)
H2O = bump(7250, 70, 0.2) + bump(8230, 80, 0.25) + bump(9300, 150, 0.8)
BAND = (O2 + H2O) > 0.01
EXTINCTION = 0.12 * (WAVELENGTH / 5500.0) ** -2.5
#: Electron/s/Angstrom per erg/s/cm2/Angstrom: a hill, with a ripple that a smooth throughput may have.
TRUE = 3e15 * np.exp(-0.5 * ((WAVELENGTH - 6500) / 1700) ** 2) * (1 + 0.05 * np.sin(WAVELENGTH / 400))


def response(airmass, *, cloud=1.0, o2=1.0, h2o=1.0, noise=0.003, seed=1, star="Feige34"):
    """What a standard tells of a night: the response without continuous extinction, bands still in it."""
    seen = TRUE * cloud * np.exp(-(o2 * O2 + h2o * H2O) * airmass**0.6)
    error = noise * seen
    return Response(star=star, ratio=rng(seed).normal(seen, error), error=error, airmass=airmass)


def fit(responses):
    return fit_sensitivity(WAVELENGTH, responses, BAND, O2, H2O)


def test_extinction_makes_stars_brighter_above_the_atmosphere():
    assert extinction_factor(np.array([0.5]), 2.0)[0] == pytest.approx(10**0.4)
    assert extinction_factor(np.array([0.0]), 2.0)[0] == 1
    assert (np.diff([extinction_factor(np.array([0.3]), x)[0] for x in (1.0, 1.5, 2.0)]) > 0).all()


def test_response_is_recovered_from_one_star():
    found = fit([response(1.3)])
    assert_allclose(found.value, TRUE, rtol=0.02)
    assert np.sqrt(np.mean((found.value / TRUE - 1)[~BAND] ** 2)) < 0.005
    assert np.isnan(found.scatter).all()
    assert found.stars == ("Feige34",)


def test_cloud_over_one_star_is_a_grey_factor_and_the_clear_star_sets_the_level():
    found = fit([response(1.1, seed=1), response(1.6, cloud=0.6, seed=2, star="HZ44")])
    assert_allclose(found.value[~BAND], TRUE[~BAND], rtol=0.02)
    assert found.scales[0] == pytest.approx(1, abs=0.01)
    assert found.scales[1] == pytest.approx(0.6, abs=0.01)
    assert np.median(found.scatter) < 0.01


def test_bands_that_are_not_the_template_s_do_not_bend_the_curve_beside_them():
    # B and A band half as deep again and a third less, and two bands of water: no amounts of gas make that
    air = 1.5 * bump(6880, 45, 0.25) + 0.7 * bump(7620, 45, 0.8) + bump(7250, 70, 0.3) + bump(8230, 80, 0.15)
    air += bump(9300, 150, 0.8)
    seen = TRUE * np.exp(-air * 1.2**0.6)
    error = 0.003 * seen
    found = fit([Response(star="Feige34", ratio=rng(8).normal(seen, error), error=error, airmass=1.2)])
    beside = ~BAND & (WAVELENGTH > 6500) & (WAVELENGTH < 8800)
    assert np.abs(found.value / TRUE - 1)[beside].max() < 0.006
    # what the curve leaves in the bands is theirs, with the noise of the star
    deep = BAND & (WAVELENGTH < 8600)
    assert_allclose(found.telluric[deep], air[deep], atol=0.015)
    assert_allclose(found.floor[deep], np.hypot(0.003 / 1.2**0.6, 0.1 * found.telluric[deep].clip(0)), rtol=0.05)


@pytest.mark.parametrize(("o2", "h2o"), [(1.0, 1.0), (0.9, 0.4), (1.1, 2.0)])
def test_amounts_of_oxygen_and_water_are_recovered(o2, h2o):
    found = fit([response(1.1, o2=o2, h2o=h2o, seed=3), response(1.5, o2=o2, h2o=h2o, seed=4, star="HZ44")])
    wanted = o2 * O2 + h2o * H2O
    deep = BAND & (WAVELENGTH < 8600)
    assert_allclose(found.telluric[deep], wanted[deep], atol=0.03)


def test_error_shrinks_with_more_stars():
    one = fit([response(1.2, noise=0.05)]).error
    four = fit([response(1.2, noise=0.05, seed=s, star=f"S{s}") for s in range(4)]).error
    assert_allclose(np.median(four / one), 0.5, rtol=0.05)


def test_a_line_in_one_star_does_not_bend_the_curve():
    wild = response(1.3)
    ratio = wild.ratio * (1 - 0.5 * np.exp(-0.5 * ((WAVELENGTH - 4861) / 25) ** 2))
    found = fit([Response(star=wild.star, ratio=ratio, error=wild.error, airmass=1.3)])
    near = np.abs(WAVELENGTH - 4861) < 200
    assert_allclose(found.value[near], TRUE[near], rtol=0.04)


def test_outside_the_standards_nothing_is_known():
    short = response(1.3)
    ratio = np.where((WAVELENGTH > 4200) & (WAVELENGTH < 8900), short.ratio, np.nan)
    found = fit([Response(star="short", ratio=ratio, error=short.error, airmass=1.3)])
    assert np.isnan(found.value[WAVELENGTH < 4190]).all() and np.isnan(found.value[WAVELENGTH > 8910]).all()
    assert np.isfinite(found.value[(WAVELENGTH > 4210) & (WAVELENGTH < 8890)]).all()


@pytest.mark.parametrize(
    "responses", [[], [Response(star="dark", ratio=np.full(220, np.nan), error=np.ones(220), airmass=1.0)]]
)
def test_no_standard_is_said(responses):
    with pytest.raises(ValueError, match="at least one"):
        fit(responses)


@pytest.mark.parametrize("airmass", [1.0, 1.4, 2.2])
def test_calibration_inverts_atmosphere_and_instrument(airmass):
    sensitivity = fit([response(1.1, seed=5, noise=1e-4), response(1.7, seed=6, noise=1e-4, star="HZ44")])
    above = 1e-15 * (WAVELENGTH / 5000.0) ** -1.5
    seen = above * TRUE * 10 ** (-0.4 * EXTINCTION * airmass) * np.exp(-(O2 + H2O) * airmass**0.6)
    flux, error = calibrate(seen, 0.1 * seen, sensitivity, EXTINCTION, airmass)
    assert_allclose(flux[~BAND], above[~BAND], rtol=0.01)
    assert_allclose(flux, above, rtol=0.04)
    assert_allclose(error, np.hypot(0.1, sensitivity.floor) * flux)
    clear = ~BAND
    assert np.median(sensitivity.floor[clear]) < 0.01


def test_exposure_time_drops_out_from_cube_to_flux():
    spaxels, psf = hex_spaxels(), Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=2.0)
    still = Refraction(east=np.zeros(220), north=np.zeros(220))
    shares = np.stack([moffat_share(spaxels, 0.0, 0.0, 2.0 * (w / 6500.0) ** -0.2, fine=4) for w in WAVELENGTH[::10]])
    shares = np.stack([np.interp(WAVELENGTH, WAVELENGTH[::10], s) for s in shares.T], axis=1)
    above = 2e-15 * (WAVELENGTH / 5000.0) ** -1.0
    rate = above * TRUE * 10 ** (-0.4 * EXTINCTION * 1.3) * np.exp(-(O2 + H2O) * 1.3**0.6)
    sensitivity = fit([response(1.2, noise=1e-4)])
    results = []
    for exptime in (60.0, 600.0, 1800.0):
        cube = make_cube(spaxels, WAVELENGTH, exptime * (rate[:, None] * shares + 0.05))
        point = extract_point(cube, psf, still)
        results.append(calibrate(point.flux / exptime, point.error / exptime, sensitivity, EXTINCTION, 1.3)[0])
    assert_allclose(results[1], results[0], rtol=1e-3)
    assert_allclose(results[2], results[0], rtol=1e-3)
    good = ~BAND & (WAVELENGTH < 9200)
    assert_allclose(results[0][good], above[good], rtol=0.02)


FINE = np.arange(3000.0, 10500.0, 2.0)


def test_blur_keeps_what_is_flat_or_straight():
    sigma = np.full(220, 20.0)
    assert_allclose(blur_to_bins(FINE, np.full(FINE.size, 3.0), WAVELENGTH, sigma), 3.0)
    assert_allclose(blur_to_bins(FINE, 1.0 + FINE, WAVELENGTH, sigma), 1.0 + WAVELENGTH, rtol=1e-4)


def test_blur_adds_widths_in_quadrature_and_keeps_the_light():
    line = np.exp(-0.5 * ((FINE - 6000) / 30.0) ** 2)
    seen = blur_to_bins(FINE, line, WAVELENGTH, np.full(220, 40.0))
    step = WAVELENGTH[1] - WAVELENGTH[0]
    assert seen.sum() * step == pytest.approx(30 * np.sqrt(2 * np.pi), rel=0.01)
    rms = np.sqrt((seen * (WAVELENGTH - 6000) ** 2).sum() / seen.sum())
    assert rms == pytest.approx(np.sqrt(30**2 + 40**2 + step**2 / 12), rel=0.01)


def test_blur_does_not_invent_what_the_table_does_not_hold():
    short = FINE[(FINE > 4500) & (FINE < 8000)]
    seen = blur_to_bins(short, np.ones(short.size), WAVELENGTH, np.full(220, 20.0))
    assert np.isnan(seen[(WAVELENGTH < 4500) | (WAVELENGTH > 8000)]).all()
    assert np.isfinite(seen[(WAVELENGTH > 4600) & (WAVELENGTH < 7900)]).all()


@pytest.mark.parametrize("sigma", [20.0, 60.0])
def test_a_bin_needs_the_table_to_two_sigma_on_either_side(sigma):
    short = FINE[(FINE > 4500) & (FINE < 8000)]
    reach = 2 * np.hypot(sigma, (WAVELENGTH[1] - WAVELENGTH[0]) / np.sqrt(12))
    known = np.isfinite(blur_to_bins(short, np.ones(short.size), WAVELENGTH, np.full(220, sigma)))
    wanted = (WAVELENGTH - reach > short[0]) & (WAVELENGTH + reach < short[-1])
    assert np.array_equal(known, wanted) and 0 < wanted.sum() < 220


def bent(one, slope):
    """The response of a star whose light was lost more in the blue: by `slope` from end to end."""
    tilt = np.exp(slope * (WAVELENGTH - WAVELENGTH.mean()) / np.ptp(WAVELENGTH))
    return Response(star=one.star, ratio=one.ratio * tilt, error=one.error * tilt, airmass=one.airmass)


def test_a_star_behind_grey_clouds_is_used_for_the_shape():
    # the clear star is noisy: what it lacks the clouded one knows
    clear, clouded = response(1.2, noise=0.08, seed=7), response(1.4, cloud=0.5, noise=0.002, seed=8, star="HZ44")
    found = fit([clear, clouded])
    assert found.rejected == ()
    assert np.std((found.value / TRUE)[~BAND]) < 0.02
    assert found.scales == pytest.approx((1.0, 0.5), abs=0.01)


@pytest.mark.parametrize("slope", [-0.4, 0.25])
def test_a_star_far_off_in_level_and_in_shape_is_not_used(slope):
    clear, lost = response(1.2, seed=9), bent(response(1.3, cloud=0.6, seed=10, star="HZ44"), slope)
    for given in ([clear, lost], [lost, clear], [clear, lost, response(1.5, seed=11, star="BD+28d4211")]):
        found = fit(given)
        assert [star for star, _ in found.rejected] == ["HZ44"]
        assert found.rejected[0][1] == pytest.approx(abs(slope) / np.sqrt(12), rel=0.3)  # rms of a straight line
        assert "HZ44" not in found.stars
        assert_allclose(found.value[~BAND], TRUE[~BAND], rtol=0.02)


def test_a_star_at_the_level_of_the_others_is_used_though_its_shape_is_off():
    found = fit([response(1.2, seed=12), bent(response(1.3, seed=13, star="HZ44"), 0.2)])
    assert found.rejected == ()
    assert found.stars == ("Feige34", "HZ44")


def test_a_star_brighter_than_all_others_and_of_another_shape_is_another_star():
    right = [response(1.1 + 0.2 * n, seed=20 + n, star=f"S{n}") for n in range(3)]
    found = fit([*right, bent(response(1.2, cloud=2.5, seed=30, star="HZ44"), 0.5)])
    assert [star for star, _ in found.rejected] == ["HZ44"]
    assert_allclose(found.value[~BAND], TRUE[~BAND], rtol=0.02)


def test_two_stars_behind_the_same_cloud_do_not_set_the_level():
    clouded = [response(1.1 + 0.2 * n, cloud=0.6, seed=40 + n, star=f"S{n}") for n in range(2)]
    found = fit([*clouded, response(1.3, seed=50)])
    assert found.rejected == ()
    assert_allclose(found.value[~BAND], TRUE[~BAND], rtol=0.02)


def test_noise_alone_is_no_other_shape():
    found = fit([response(1.2, seed=14), response(1.3, cloud=0.3, noise=0.15, seed=15, star="HZ44")])
    assert found.rejected == ()
