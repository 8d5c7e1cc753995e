"""Light in an ellipse: areas, signs, refraction, lost samples, error bars, pairs."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.containers import Cube, Mask, Spaxels
from sedmd.reduce.numeric.hexagon import cell_area
from sedmd.reduce.target import aperture
from sedmd.reduce.target.aperture import (
    Ellipse,
    coverage,
    difference,
    enclosed_fraction,
    extract_ellipse,
    mean_of_pair,
    negated,
)
from sedmd.reduce.target.psf import Psf, image

EXPTIME = 900.0


def make_spaxels(reach=12.0):
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-40, 41), np.arange(-40, 41)))
    x, y = -0.613 * q - 0.173 * r, -0.174 * q - 0.597 * r
    inside = (np.abs(x) < reach) & (np.abs(y) < reach)
    q, r, x, y = q[inside], r[inside], x[inside], y[inside]
    return Spaxels(ident=np.arange(len(q)), q=q, r=r, x_arcsec=x, y_arcsec=y)


def make_cube(sources=(), *, sky=0.0, shift=(0.0, 0.0), n_wave=30, noise=None, variance=1.0):
    """Gaussian sources (x, y, flux, sigma) on a flat sky; the image of bin k is moved by k/n_wave of `shift`."""
    spaxels = make_spaxels()
    wavelength = np.linspace(4000, 9000, n_wave)
    phase = np.linspace(0, 1, n_wave)[:, None]
    flux = np.full((n_wave, len(spaxels.q)), float(sky))
    for x, y, total, sigma in sources:
        dx = spaxels.x_arcsec[None] - x - phase * shift[0]
        dy = spaxels.y_arcsec[None] - y - phase * shift[1]
        profile = np.exp(-0.5 * (dx**2 + dy**2) / sigma**2) / (2 * np.pi * sigma**2)
        flux += total * cell_area(spaxels) * profile
    if noise is not None:
        flux = noise.normal(flux, np.sqrt(variance))
    return Cube(
        wavelength=wavelength,
        flux=flux,
        variance=np.full(flux.shape, float(variance)),
        mask=np.zeros(flux.shape, np.uint8),
        spaxels=spaxels,
    )


def with_mask(cube, mask, junk=1e6):
    flux = np.where(mask > 0, junk, cube.flux)
    return Cube(wavelength=cube.wavelength, flux=flux, variance=cube.variance, mask=mask, spaxels=cube.spaxels)


def extract(cube, x=0.0, y=0.0, a=3.0, **changes):
    return extract_ellipse(cube, x_arcsec=x, y_arcsec=y, semi_major_arcsec=a, exptime_s=EXPTIME, **changes)


@pytest.mark.parametrize(
    ("a", "ratio", "angle"), [(1.0, 1.0, 0.0), (2.0, 0.5, 30.0), (3.3, 0.8, 110.0), (0.4, 1.0, 0.0)]
)
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (1.27, -2.31)])
def test_flat_light_measures_the_area_of_the_ellipse(a, ratio, angle, x, y):
    cube = make_cube(sky=5.0)
    spectrum = extract(cube, x, y, a, axis_ratio=ratio, angle_deg=angle, sky="none")
    area = np.pi * a * a * ratio
    assert_allclose(spectrum.flux, 5.0 * area / cell_area(cube.spaxels) / EXPTIME, rtol=0.02 if a < 1 else 0.005)
    assert spectrum.meta["aperture_inside"] == pytest.approx(1, abs=0.02)


def test_shares_of_all_spaxels_lie_between_none_and_all():
    spaxels = make_spaxels()
    ellipse = Ellipse(x_arcsec=0.3, y_arcsec=0.2, semi_major_arcsec=2.0)
    members, share = coverage(spaxels, ellipse, np.zeros(1), np.zeros(1))
    distance = np.hypot(spaxels.x_arcsec[members] - 0.3, spaxels.y_arcsec[members] - 0.2)
    assert_allclose(share[0, distance < 1.6], 1.0)
    assert np.all((share >= 0) & (share <= 1 + 1e-12))
    assert distance.max() < 2.4


@pytest.mark.parametrize(("angle", "caught"), [(45.0, True), (135.0, False)])
def test_angle_runs_from_north_through_east(angle, caught):
    # the light lies to the North-East and the South-West
    cube = make_cube([(2.0, 2.0, 1000.0, 0.4), (-2.0, -2.0, 1000.0, 0.4)])
    flux = extract(cube, a=4.0, axis_ratio=0.35, angle_deg=angle, sky="none").flux.mean() * EXPTIME
    assert flux == pytest.approx(2000 if caught else 0, abs=150)


def test_star_on_sky_gives_its_light_and_the_sky_its_level():
    cube = make_cube([(1.0, -2.0, 5000.0, 0.8)], sky=40.0)
    spectrum = extract(cube, 1.0, -2.0, 4.0)
    assert_allclose(spectrum.flux * EXPTIME, 5000.0, rtol=0.003)
    assert_allclose(spectrum.sky * EXPTIME, 40.0 / cell_area(cube.spaxels), rtol=1e-3)
    assert spectrum.meta["skysub"] is True


def test_a_neighbour_in_the_annulus_is_clipped():
    cube = make_cube([(0.0, 0.0, 5000.0, 0.7), (6.0, 0.0, 8000.0, 0.7)], sky=40.0, noise=np.random.default_rng(3))
    assert extract(cube, a=3.0).flux.mean() * EXPTIME == pytest.approx(5000.0, rel=0.02)


@pytest.mark.parametrize("shift", [(1.5, 0.0), (0.0, 1.5), (-1.2, 0.9)])
def test_aperture_follows_the_refraction(shift):
    cube = make_cube([(0.0, 0.0, 1000.0, 0.5)], shift=shift)
    phase = np.linspace(0, 1, 30)
    follow = extract(cube, a=1.5, dx_dispersion=phase * shift[0], dy_dispersion=phase * shift[1])
    against = extract(cube, a=1.5, dx_dispersion=-phase * shift[0], dy_dispersion=-phase * shift[1])
    assert_allclose(follow.flux, follow.flux[0], rtol=0.02)
    assert against.flux[-1] < 0.1 * against.flux[0]


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.15, -0.4)])
def test_masked_samples_are_replaced_by_their_expected_share(centre):
    rng = np.random.default_rng(5)
    cube = make_cube([(*centre, 20000.0, 0.8)], sky=30.0)
    mask = np.where(rng.random(cube.flux.shape) < 0.03, Mask.COSMIC, 0).astype(np.uint8)
    nearest = np.argmin(np.hypot(cube.spaxels.x_arcsec - centre[0] - 0.6, cube.spaxels.y_arcsec - centre[1]))
    mask[:, nearest] = Mask.BAD_PIXEL
    spectrum = extract(with_mask(cube, mask), *centre, 3.0)
    clean = extract(cube, *centre, 3.0)
    assert_allclose(spectrum.flux, clean.flux, rtol=0.03)
    assert np.all(spectrum.error >= 0.99 * clean.error)


def test_a_bin_without_the_object_is_not_invented():
    cube = make_cube([(0.0, 0.0, 20000.0, 0.8)], sky=30.0)
    mask = np.zeros(cube.flux.shape, np.uint8)
    mask[7, np.hypot(cube.spaxels.x_arcsec, cube.spaxels.y_arcsec) < 3.5] = Mask.SATURATED
    spectrum = extract(with_mask(cube, mask))
    assert np.isnan(spectrum.flux[7]) and np.isnan(spectrum.error[7])
    assert np.isfinite(np.delete(spectrum.flux, 7)).all()


@pytest.mark.parametrize("sky", ["annulus", "none"])
def test_error_bars_cover(sky):
    rng = np.random.default_rng(11)
    pulls = []
    for _ in range(40):
        cube = make_cube([(0.0, 0.0, 3000.0, 0.8)], sky=50.0 if sky == "annulus" else 0.0, noise=rng, variance=60.0)
        spectrum = extract(cube, a=2.5, sky=sky)
        pulls.append((spectrum.flux - TRUE_FLUX) / spectrum.error)
    assert np.std(pulls) == pytest.approx(1, abs=0.06)
    assert np.mean(pulls) == pytest.approx(0, abs=0.1)


TRUE_FLUX = float(extract(make_cube([(0.0, 0.0, 3000.0, 0.8)]), a=2.5, sky="none").flux.mean())


@pytest.mark.parametrize("sky", ["annulus", "none"])
@pytest.mark.parametrize(("a", "ratio"), [(1.0, 1.0), (2.0, 1.0), (2.5, 0.6)])
def test_enclosed_fraction_restores_the_whole_flux(a, ratio, sky):
    psf = Psf(x_arcsec=0.4, y_arcsec=-0.7, fwhm_arcsec=1.8, beta=2.8, e1=0.1)
    cube = make_cube(sky=10.0 if sky == "annulus" else 0.0)
    shift = np.linspace(-0.4, 0.6, 30)
    light = 5000.0 * image(psf, cube.spaxels, cube.wavelength, shift, -shift)
    star = Cube(
        wavelength=cube.wavelength,
        flux=cube.flux + light,
        variance=cube.variance,
        mask=cube.mask,
        spaxels=cube.spaxels,
    )
    ellipse = Ellipse(x_arcsec=0.4, y_arcsec=-0.7, semi_major_arcsec=a, axis_ratio=ratio, angle_deg=70.0)
    found = extract(
        star, 0.4, -0.7, a, axis_ratio=ratio, angle_deg=70.0, dx_dispersion=shift, dy_dispersion=-shift, sky=sky
    )
    share = enclosed_fraction(star, psf, ellipse, shift, -shift, sky=sky)
    assert np.all((share > 0.05) & (share < 1))
    # the clipped mean of the sky leaves out the steep inner edge of the wings
    assert_allclose(found.flux * EXPTIME / share, 5000.0, rtol=0.02 if sky == "annulus" else 0.008)


def test_exposure_time_drops_out():
    long = make_cube([(0.0, 0.0, 3000.0, 0.8)])
    short = make_cube([(0.0, 0.0, 1000.0, 0.8)])
    one = extract_ellipse(long, x_arcsec=0, y_arcsec=0, semi_major_arcsec=3, exptime_s=900)
    two = extract_ellipse(short, x_arcsec=0, y_arcsec=0, semi_major_arcsec=3, exptime_s=300)
    assert_allclose(one.flux, two.flux, rtol=1e-12)


def test_pair_gives_the_flux_of_a_single_frame_with_the_error_of_two():
    rng = np.random.default_rng(2)
    star = (3000.0, 0.8)
    cube_a = make_cube([(3.0, -4.0, *star)], sky=80.0, noise=rng, variance=90.0)
    cube_b = make_cube([(-3.0, 4.0, *star)], sky=80.0, noise=rng, variance=90.0)
    minus = difference(cube_a, cube_b, exptime_a_s=EXPTIME, exptime_b_s=EXPTIME)
    a = extract(minus, 3.0, -4.0, 2.5)
    b = extract(negated(minus), -3.0, 4.0, 2.5)
    both = mean_of_pair(a, b)
    assert both.flux.mean() == pytest.approx(TRUE_FLUX, rel=0.02)
    assert_allclose(both.error, np.hypot(a.error, b.error) / 2)
    assert both.meta["exptime_s"] == 2 * EXPTIME and both.meta["is_pair"] is True
    assert (both.meta["x_arcsec"], both.meta["x_b_arcsec"]) == (3.0, -3.0)


def test_pair_of_unequal_exposures_subtracts_the_sky():
    cube_a = make_cube(sky=90.0)
    cube_b = make_cube(sky=30.0)
    assert_allclose(difference(cube_a, cube_b, exptime_a_s=900, exptime_b_s=300).flux, 0, atol=1e-9)


def test_variance_of_unequal_exposures_grows_with_the_square_of_their_ratio():
    cube_a, cube_b = make_cube(variance=90.0), make_cube(variance=30.0)
    minus = difference(cube_a, cube_b, exptime_a_s=900, exptime_b_s=300)
    assert_allclose(minus.variance, 90.0 + 9 * 30.0)


def test_pair_with_one_position_lost_keeps_the_other():
    cube = make_cube([(0.0, 0.0, 3000.0, 0.8)])
    a = extract(cube, sky="none")
    b = extract(cube, sky="none")
    b.flux[3] = np.nan
    both = mean_of_pair(a, b)
    assert both.flux[3] == a.flux[3] and both.error[3] == a.error[3]


def test_cubes_of_different_spaxels_cannot_be_subtracted():
    cube = make_cube(n_wave=30)
    with pytest.raises(ValueError, match="same spaxels"):
        difference(cube, make_cube(n_wave=31), exptime_a_s=1, exptime_b_s=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": 40.0}, "off the field"),
        ({"a": 0.0}, "semi_major_arcsec must be positive"),
        ({"axis_ratio": 1.5}, "axis_ratio must lie"),
        ({"a": 30.0}, "spaxels around the aperture"),
    ],
)
def test_impossible_apertures_say_what_to_do(changes, message):
    with pytest.raises(ValueError, match=message):
        extract(make_cube(), **changes)


def test_part_of_the_aperture_off_the_field_is_told():
    assert extract(make_cube(sky=1.0), 12.0, 0.0, 2.0, sky="none").meta["aperture_inside"] == pytest.approx(
        0.5, abs=0.1
    )


@pytest.mark.parametrize(("semi_major", "ratio"), [(0.4, 1.0), (2.0, 0.4), (3.5, 1.0)])
def test_shares_between_the_places_that_are_worked_out(monkeypatch, semi_major, ratio):
    """Interpolated along the way of refraction: the area is exact, a spaxel on the outline is good to 2 %."""
    spaxels = make_spaxels()
    bend = (6500 / np.linspace(3700, 9300, 238)) ** 2 - 1
    ellipse = Ellipse(x_arcsec=0.3, y_arcsec=-0.1, semi_major_arcsec=semi_major, axis_ratio=ratio, angle_deg=30)
    shares = []
    for step in (aperture._STEP_ARCSEC, 1e-4):
        monkeypatch.setattr(aperture, "_STEP_ARCSEC", step)
        members, share = coverage(spaxels, ellipse, 1.6 * bend, 0.7 * bend)
        whole = np.zeros((238, len(spaxels.q)))
        whole[:, members] = share
        shares.append(whole)
    assert np.abs(shares[0] - shares[1]).max() < 0.02
    area = shares[0].sum(axis=1) * cell_area(spaxels)
    assert area == pytest.approx(np.pi * semi_major**2 * ratio, rel=1e-9)


# ---- the unevenness of the sky


def uneven(amplitude, *, length=1.5, seed=3, slope=0.0, sources=(), n_wave=126):
    """Noise of unit variance on a sky whose level differs from place to place alike at all wavelengths."""
    cube = make_cube(sources, sky=50.0, n_wave=n_wave, noise=np.random.default_rng(seed))
    x, y = cube.spaxels.x_arcsec, cube.spaxels.y_arcsec
    apart = np.hypot(x - x[:, None], y - y[:, None])
    kernel = np.exp(-0.5 * (apart / length) ** 2)
    level = (kernel / np.sqrt((kernel**2).sum(axis=1))[:, None]) @ np.random.default_rng(seed + 1).normal(size=len(x))
    return replace(cube, flux=cube.flux + amplitude * level + slope * x)


def errors_of(cube, a, *, reach=4.0):
    """Flux over error of apertures on a grid of places, all bins: (n,)."""
    places = np.arange(-reach, reach + 0.1, 2.0)
    found = [extract(cube, x, y, a) for x in places for y in places]
    return np.concatenate([one.flux / one.error for one in found])


@pytest.mark.parametrize("a", [1.0, 2.0, 3.0])
def test_where_the_sky_is_even_its_unevenness_adds_next_to_nothing(monkeypatch, a):
    cube = uneven(0.0)
    found = extract(cube, 0.5, 0.5, a).error
    monkeypatch.setattr(aperture, "_unevenness", lambda cube, *_: (np.zeros(len(cube.wavelength)), 1.0))
    assert np.median(found / extract(cube, 0.5, 0.5, a).error) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("a", [1.0, 2.0])
def test_error_bars_cover_where_flat_field_and_scattered_light_leave_structure(monkeypatch, a):
    """Measured on a simulated night: 0.14 of a sample's noise, alike within one to two arcsec."""
    cubes = [uneven(0.15, seed=seed) for seed in (3, 13, 23)]
    with_it = np.sqrt(np.mean(np.concatenate([errors_of(cube, a) for cube in cubes]) ** 2))
    monkeypatch.setattr(aperture, "_unevenness", lambda cube, *_: (np.zeros(len(cube.wavelength)), 1.0))
    without = np.sqrt(np.mean(np.concatenate([errors_of(cube, a) for cube in cubes]) ** 2))
    assert without > 1.05 and 0.9 < with_it < 1.2
    assert with_it**2 - 1 < 0.6 * (without**2 - 1)


def test_a_slope_of_the_sky_is_no_error():
    level, slope = extract(uneven(0.0), 0.0, 0.0, 2.0), extract(uneven(0.0, slope=0.05), 0.0, 0.0, 2.0)
    assert np.median(slope.error / level.error) == pytest.approx(1.0, abs=0.05)
    assert np.median(slope.flux - level.flux) == pytest.approx(0.0, abs=0.1 * np.median(level.error))


def test_a_neighbour_in_the_annulus_is_no_uneven_sky():
    alone, beside = (extract(uneven(0.0, sources=one), 0.0, 0.0, 2.0) for one in ((), ((5.0, 1.0, 400.0, 0.8),)))
    assert 1.0 <= np.median(beside.error / alone.error) < 1.5
