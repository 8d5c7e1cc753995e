"""What is in the field? Nothing, one, two, one at the edge."""

import numpy as np
import pytest

from sedmd.reduce.target.find import edge_distance, find_sources
from sedmd.reduce.target.psf import Refraction
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share

WAVELENGTH = np.linspace(4000.0, 9000.0, 150)
SPAXELS = hex_spaxels(18)


def refraction(size=0.0):
    blue = size * (6500.0 / WAVELENGTH - 1)
    return Refraction(east=blue, north=-0.5 * blue)


def field(*stars, sky=60.0, seed=1, size=0.0, beta=3.0):
    """Stars (x, y, flux, fwhm) in a noisy field; `size` is the refraction between 3250 and 6500 Angstrom."""
    shift = refraction(size)
    light = np.full((WAVELENGTH.size, SPAXELS.q.size), sky)
    for x, y, flux, fwhm in stars:
        for i, w in enumerate(WAVELENGTH):
            light[i] += flux * moffat_share(
                SPAXELS, x + shift.east[i], y + shift.north[i], fwhm * (w / 6500.0) ** -0.2, beta=beta, fine=3
            )
    return make_cube(SPAXELS, WAVELENGTH, light, seed=seed)


@pytest.mark.parametrize("seed", range(6))
def test_empty_field_holds_nothing(seed):
    assert find_sources(field(seed=seed), refraction()) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_sky_that_is_not_even_holds_nothing(seed):
    """No flat field is right to a per cent: the same error in all bands and in neighbouring spaxels."""
    x, y = SPAXELS.x_arcsec, SPAXELS.y_arcsec
    cube = field(seed=seed, sky=200.0)
    cube.flux[:] *= 1 + 0.002 * x - 0.003 * y
    assert find_sources(cube, refraction()) == []


@pytest.mark.parametrize(("x", "y", "flux"), [(0.0, 0.0, 20000.0), (2.7, -3.1, 1500.0), (-4.3, 1.9, 150.0)])
def test_one_star_is_found_at_its_place(x, y, flux):
    (source,) = find_sources(field((x, y, flux, 1.8)), refraction())
    assert np.hypot(source.psf.x_arcsec - x, source.psf.y_arcsec - y) < 0.1
    assert source.psf.fwhm_arcsec == pytest.approx(1.8, rel=0.1)
    assert source.brightness == pytest.approx(flux, rel=0.1)
    assert np.abs(source.amplitude / flux - 1).max() < max(0.1, 5 * (source.amplitude_error / flux).max())


def test_the_shape_of_a_star_that_lights_the_whole_field_is_fitted():
    """Its own wings scatter the field's scores: what is a lot of photons must not count as little for that."""
    (source, *_) = find_sources(field((1.0, -2.0, 1e4, 2.2), sky=1.0, beta=2.4), refraction())
    assert source.psf.beta == pytest.approx(2.4, abs=0.05)
    assert source.psf.fwhm_arcsec == pytest.approx(2.2, abs=0.03)
    assert source.brightness == pytest.approx(1e4, rel=0.02)


def test_search_without_refraction_ends():
    # Looked for at the zenith: a strength of refraction that nothing depends on must not keep the fit busy.
    psf = find_sources(field((1.0, 2.0, 20000.0, 1.8)), refraction(0.0), max_sources=1)[0].psf
    assert psf.dispersion == 1.0


def test_place_is_that_at_the_reference_wavelength_whatever_the_refraction():
    sources = find_sources(field((1.0, 2.0, 5000.0, 1.8), size=1.2), refraction(1.2))
    psf = sources[0].psf
    assert (psf.x_arcsec, psf.y_arcsec) == pytest.approx((1.0, 2.0), abs=0.05)
    assert psf.dispersion == pytest.approx(1, abs=0.05)
    assert len(sources) == 1


def test_two_stars_are_two_sources_the_brightest_first():
    sources = find_sources(field((3.0, 2.0, 3000.0, 1.8), (-3.0, -2.0, 1800.0, 1.8)), refraction())
    assert len(sources) == 2
    assert sources[0].brightness > sources[1].brightness
    assert np.hypot(sources[1].psf.x_arcsec + 3.0, sources[1].psf.y_arcsec + 2.0) < 0.15


def test_star_at_the_edge_is_found_there():
    x = SPAXELS.x_arcsec.max() - 0.4
    source = find_sources(field((x, 0.0, 4000.0, 1.8)), refraction())[0]
    assert np.hypot(source.psf.x_arcsec - x, source.psf.y_arcsec) < 0.3
    assert source.edge_arcsec < 0.8


def test_dead_spaxels_are_no_object_and_hide_none():
    cube = field((2.0, 1.0, 3000.0, 1.8))
    dead = [10, 200, 400, 401]
    cube.flux[:, dead], cube.variance[:, dead], cube.mask[:, dead] = np.nan, np.nan, 8
    (source,) = find_sources(cube, refraction())
    assert np.hypot(source.psf.x_arcsec - 2.0, source.psf.y_arcsec - 1.0) < 0.1


def test_distance_of_the_edge():
    # A hexagon with its flat sides at +-y: their rows lie 18 steps of pitch sqrt(3)/2 from the middle.
    rim = 18 * 0.627 * np.sqrt(3) / 2
    assert edge_distance(SPAXELS, 0.0, 0.0) == pytest.approx(rim, abs=0.4)
    assert edge_distance(SPAXELS, 0.0, 5.0) == pytest.approx(rim - 5, abs=0.4)
    assert edge_distance(SPAXELS, 0.0, 14.0) < 0
