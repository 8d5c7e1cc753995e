"""The image of a point source: all its light, its place and width, and a spectrum whose errors cover."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.containers import Cube
from sedmd.reduce.target.psf import Bands, Psf, Refraction, condense, extract_point, fit_psf, image, variance_law
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share, rng

WAVELENGTH = np.linspace(4000.0, 9000.0, 40)
NONE = np.zeros(WAVELENGTH.size)
STILL = Refraction(east=NONE, north=NONE)
AT_REFERENCE = np.array([6500.0])


def one(psf, spaxels, east=0.0, north=0.0):
    return image(psf, spaxels, AT_REFERENCE, np.array([east]), np.array([north]))[0]


@pytest.mark.parametrize("beta", [2.5, 3.0, 5.0])
@pytest.mark.parametrize(("fwhm", "e1", "e2"), [(1.2, 0.0, 0.0), (2.0, 0.0, 0.0), (2.0, 0.2, -0.1), (3.0, -0.3, 0.2)])
def test_image_holds_all_the_light(fwhm, e1, e2, beta):
    spaxels = hex_spaxels(60)
    share = one(Psf(x_arcsec=0.2, y_arcsec=-0.3, fwhm_arcsec=fwhm, beta=beta, e1=e1, e2=e2), spaxels)
    # What lies beyond 30 arcsec, in closed form for the round image.
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    inside = np.hypot(spaxels.x_arcsec, spaxels.y_arcsec) < 30
    assert share[inside].sum() == pytest.approx(1 - (1 + 900 / alpha**2) ** (1 - beta), abs=1.5e-3)


@pytest.mark.parametrize("fwhm", [1.0, 1.6, 2.5])
def test_share_of_a_spaxel_is_the_integral_over_its_cell(fwhm):
    spaxels = hex_spaxels(8)
    share = one(Psf(x_arcsec=0.25, y_arcsec=0.1, fwhm_arcsec=fwhm), spaxels)
    truth = moffat_share(spaxels, 0.25, 0.1, fwhm)
    assert_allclose(share, truth, atol=0.01 * truth.max())


def test_image_follows_place_and_refraction():
    spaxels = hex_spaxels(25)
    psf = Psf(x_arcsec=1.0, y_arcsec=-2.0, fwhm_arcsec=1.5, beta=5.0, dispersion=1.2)
    share = one(psf, spaxels, east=0.5, north=-0.8)
    assert (share * spaxels.x_arcsec).sum() / share.sum() == pytest.approx(1.0 + 1.2 * 0.5, abs=0.02)
    assert (share * spaxels.y_arcsec).sum() / share.sum() == pytest.approx(-2.0 - 1.2 * 0.8, abs=0.02)


@pytest.mark.parametrize(
    ("e1", "e2", "angle"), [(0.3, 0.0, 0.0), (-0.3, 0.0, 90.0), (0.0, 0.3, 45.0), (0.0, -0.3, 135.0)]
)
def test_ellipticity_stretches_along_its_own_direction(e1, e2, angle):
    spaxels = hex_spaxels(25)
    share = one(Psf(x_arcsec=0, y_arcsec=0, fwhm_arcsec=2.0, beta=5.0, e1=e1, e2=e2), spaxels)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    x, y = spaxels.x_arcsec, spaxels.y_arcsec
    along, across = (share * (c * x + s * y) ** 2).sum(), (share * (-s * x + c * y) ** 2).sum()
    # Axes stretched by exp(+-e/2): variances differ by exp(2 e).
    assert along / across == pytest.approx(np.exp(2 * 0.3), rel=0.05)


def test_image_is_wider_in_the_blue():
    spaxels = hex_spaxels(25)
    psf = Psf(x_arcsec=0, y_arcsec=0, fwhm_arcsec=2.0, beta=6.0)
    share = image(psf, spaxels, np.array([4000.0, 9000.0]), np.zeros(2), np.zeros(2))
    spread = np.sqrt((share * (spaxels.x_arcsec**2 + spaxels.y_arcsec**2)).sum(axis=1))
    assert spread[0] / spread[1] == pytest.approx((4000 / 9000) ** -0.2, rel=0.03)


def star_cube(x, y, fwhm, *, flux=2000.0, sky=60.0, seed=None, spaxels=None, **options):
    """A round Moffat star whose width follows the seeing law, on a flat sky."""
    spaxels = hex_spaxels() if spaxels is None else spaxels
    shares = np.stack([moffat_share(spaxels, x, y, fwhm * (w / 6500.0) ** -0.2, fine=5) for w in WAVELENGTH])
    spectrum = flux * (1 + 0.3 * np.sin(WAVELENGTH / 700.0))
    cube = make_cube(spaxels, WAVELENGTH, spectrum[:, None] * shares + sky, seed=seed, **options)
    return cube, spectrum


EDGES = np.array([4000.0, 5000.0, 6000.0, 7000.0, 8000.0, 9001.0])


@pytest.mark.parametrize(("x", "y", "fwhm"), [(0.0, 0.0, 1.5), (2.31, -1.77, 2.0), (-3.0, 1.0, 2.8)])
def test_fit_recovers_place_and_width(x, y, fwhm):
    cube, _ = star_cube(x, y, fwhm, seed=3)
    start = Psf(x_arcsec=x + 0.4, y_arcsec=y - 0.3, fwhm_arcsec=2.0)
    psf, chi2, error = fit_psf(condense(cube, STILL, EDGES), cube.spaxels, start, free_shape=False)
    assert np.hypot(psf.x_arcsec - x, psf.y_arcsec - y) < max(0.03, 4 * error)
    assert psf.fwhm_arcsec == pytest.approx(fwhm, rel=0.03)
    assert chi2 == pytest.approx(1, abs=0.25)
    assert error < 0.05


def test_fit_of_the_shape_finds_wings_and_refraction():
    spaxels = hex_spaxels()
    east, north = np.linspace(0.6, -0.5, WAVELENGTH.size), np.linspace(-0.4, 0.3, WAVELENGTH.size)
    truth = Psf(x_arcsec=0.5, y_arcsec=0.8, fwhm_arcsec=1.9, beta=4.0, e1=0.15, e2=-0.1, dispersion=1.1)
    light = 20000.0 * image(truth, spaxels, WAVELENGTH, east, north) + 60.0
    cube = make_cube(spaxels, WAVELENGTH, light, seed=2)
    bands = condense(cube, Refraction(east=east, north=north), EDGES)
    psf, _, _ = fit_psf(bands, spaxels, Psf(x_arcsec=0.7, y_arcsec=0.6, fwhm_arcsec=2.2), free_shape=True)
    for name, tolerance in [
        ("x_arcsec", 0.02),
        ("y_arcsec", 0.02),
        ("fwhm_arcsec", 0.03),
        ("beta", 0.3),
        ("e1", 0.02),
        ("e2", 0.02),
        ("dispersion", 0.05),
    ]:
        assert getattr(psf, name) == pytest.approx(getattr(truth, name), abs=tolerance), name


def test_bands_are_means_with_their_variance():
    spaxels = hex_spaxels(4)
    cube = make_cube(spaxels, WAVELENGTH, np.full((40, spaxels.q.size), 90.0), read_noise=0.0)
    bands = condense(cube, Refraction(east=WAVELENGTH / 1e3, north=-WAVELENGTH / 1e3), EDGES)
    assert isinstance(bands, Bands)
    count = np.array([((a <= WAVELENGTH) & (b > WAVELENGTH)).sum() for a, b in itertools.pairwise(EDGES)])
    assert_allclose(bands.flux, 90.0)
    assert_allclose(bands.variance, 90.0 / count[:, None] * np.ones(spaxels.q.size), rtol=1e-5)
    assert_allclose(bands.east, bands.wavelength / 1e3)


def test_masked_and_wild_samples_do_not_enter_a_band():
    spaxels = hex_spaxels(4)
    cube = make_cube(spaxels, WAVELENGTH, np.full((40, spaxels.q.size), 90.0), seed=1)
    cube.flux[3, 5], cube.mask[3, 5] = 1e6, 2
    cube.flux[12, 6] = 1e5
    bands = condense(cube, STILL, EDGES)
    assert np.abs(bands.flux - 90).max() < 6 * np.sqrt(bands.variance.max())


def test_variance_law_is_a_straight_line():
    flux = rng(1).uniform(0, 500, (3, 80))
    variance = 40.0 + 1.7 * flux
    assert_allclose(variance_law(flux, variance, np.ones(flux.shape, bool)), variance, rtol=1e-6)


def test_variance_law_is_that_of_the_many_and_never_vanishes():
    flux = np.full((3, 80), 100.0)
    flux[:, 0] = 5000.0
    variance = 0.5 + 0.001 * flux
    wild = variance.copy()
    wild[:, 40:48] = 1500.0
    law = variance_law(flux, wild, np.ones(flux.shape, bool))
    assert_allclose(law, variance, rtol=0.02)


@pytest.mark.parametrize("own_noise", [False, True])
@pytest.mark.parametrize(("flux", "sky"), [(300.0, 100.0), (3000.0, 30.0)])
def test_spectrum_is_unbiased_and_its_errors_cover(flux, sky, own_noise):
    psf = Psf(x_arcsec=0.3, y_arcsec=-0.5, fwhm_arcsec=1.9)
    pulls = []
    for seed in range(30):
        cube, truth = star_cube(0.3, -0.5, 1.9, flux=flux, sky=sky, seed=seed)
        if own_noise:
            noisy = np.maximum(cube.flux, 0) + 36.0
            cube = Cube(wavelength=WAVELENGTH, flux=cube.flux, variance=noisy, mask=cube.mask, spaxels=cube.spaxels)
        found = extract_point(cube, psf, STILL)
        pulls.append((found.flux - truth) / found.error)
    pulls = np.array(pulls)
    assert 0.95 < np.std(pulls) < 1.05
    assert np.mean(pulls) == pytest.approx(0, abs=0.12)


def test_variance_that_knows_its_own_noise_does_not_draw_the_flux_down():
    psf = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=1.9)
    ratios = []
    for seed in range(15):
        cube, truth = star_cube(0.0, 0.0, 1.9, flux=2000.0, sky=20.0, seed=seed, read_noise=3.0)
        noisy = np.maximum(cube.flux, 0) + 9.0
        cube = Cube(wavelength=cube.wavelength, flux=cube.flux, variance=noisy, mask=cube.mask, spaxels=cube.spaxels)
        ratios.append(extract_point(cube, psf, STILL).flux / truth)
    assert np.mean(ratios) == pytest.approx(1, abs=0.01)


def test_masked_samples_cost_precision_and_not_flux():
    psf = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=2.0)
    cube, truth = star_cube(0.0, 0.0, 2.0)
    clean = extract_point(cube, psf, STILL)
    mask = (rng(4).random(cube.flux.shape) < 0.05).astype(np.uint8)
    hit = Cube(
        wavelength=cube.wavelength,
        flux=np.where(mask, 1e6, cube.flux),
        variance=cube.variance,
        mask=mask,
        spaxels=cube.spaxels,
    )
    found = extract_point(hit, psf, STILL)
    assert_allclose(found.flux, truth, rtol=0.02)
    assert np.all(found.error >= 0.999 * clean.error)
    mask[7] = 1
    assert np.isnan(extract_point(hit, psf, STILL).flux[7])


def test_sky_is_told_per_square_arcsec():
    cube, _ = star_cube(0.0, 0.0, 2.0, sky=60.0)
    found = extract_point(cube, Psf(x_arcsec=0, y_arcsec=0, fwhm_arcsec=2.0), STILL)
    area = 0.627**2 * np.sqrt(3) / 2
    assert_allclose(found.sky, 60.0 / area, rtol=0.03)
