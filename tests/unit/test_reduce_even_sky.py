"""How the sky of an exposure bends: found as it was put in, taken out of the sky alone, nothing where none is seen."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.cube.even_sky import MOST_BEND, curvature, with_even_sky
from sedmd.reduce.target.automatic import extract_target
from sedmd.reduce.target.psf import Psf, Refraction, extract_point
from sedmd.reduce.target.target import Look
from unit.sky_nights import SPAXELS, WAVELENGTH, N, exposure, share, slope_of

BOWL = slope_of(SPAXELS, 0.0, 0.0, bowl=0.01)
SLOPE = slope_of(SPAXELS, 0.02, -0.01)
STILL = Refraction(east=np.zeros(WAVELENGTH.size), north=np.zeros(WAVELENGTH.size))


def plane_off(values):
    """What a level and a slope leave of a map."""
    terms = np.stack([np.ones(N), SPAXELS.x_arcsec, SPAXELS.y_arcsec], axis=1)
    return values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]


def test_a_bowl_is_found_and_a_slope_is_none():
    found = curvature(share(1.0 + BOWL + SLOPE, 0.005, seed=1), SPAXELS)
    assert np.std(found - plane_off(BOWL)) < 3 * 0.005 / np.sqrt(N)
    assert_allclose(curvature(share(1.0 + BOWL, 1e-6, seed=2, smooth_error=0.0), SPAXELS), plane_off(BOWL), atol=1e-6)


def test_what_is_no_more_than_its_error_is_not_taken_out():
    level = [curvature(share(np.ones(N), 0.01, seed=seed), SPAXELS) for seed in range(40)]
    assert np.mean([np.std(one) < 1e-9 for one in level]) > 0.4  # a half of all, in the middle of a chi-square of three
    assert np.std(level) < np.sqrt(3) * 0.01 / np.sqrt(N)
    # the halo of an object, or ranges that disagree, may be as much
    assert not curvature(share(1.0 + BOWL, 0.005, seed=1, smooth_error=0.01), SPAXELS).any()
    # half of the square is error: half is taken
    size = np.std(plane_off(BOWL))
    half = curvature(share(1.0 + BOWL, 1e-6, seed=3, smooth_error=size / np.sqrt(6)), SPAXELS)
    assert_allclose(half, 0.5 * plane_off(BOWL), atol=1e-5)


def test_what_bends_more_than_any_sky_is_an_object():
    bend = plane_off(BOWL) / np.std(plane_off(BOWL))
    assert curvature(share(1.0 + 0.95 * MOST_BEND * bend, 1e-5, seed=1), SPAXELS).any()
    assert not curvature(share(1.0 + 1.05 * MOST_BEND * bend, 1e-5, seed=1), SPAXELS).any()


@pytest.mark.parametrize("objects", [(), [(20_000.0, 1.0, -2.0, 1.8)]])
def test_the_sky_of_a_cube_is_even_then_and_an_object_is_as_it_was(objects):
    bent = exposure(1.0 + BOWL + SLOPE, level=2000.0, objects=objects)
    made = with_even_sky(bent)
    assert made.flux.dtype == bent.flux.dtype
    assert made.variance is bent.variance
    # the same share at all wavelengths: that of the sky, with its line and without the object
    sky = exposure(np.ones(N), level=2000.0, seed=None).flux[:, 0]
    taken = (bent.flux - made.flux).astype(float) / sky[:, None]
    assert_allclose(taken, np.broadcast_to(plane_off(BOWL), taken.shape), atol=0.1 * np.ptp(BOWL))


def test_a_faint_target_is_not_brightened_by_what_the_sky_bends():
    light, at = 1.0 - 3 * BOWL, Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=1.8, beta=3.0)
    faint = [(300.0, 0.0, 0.0, 1.8)]
    level = {}
    for name, even in (("bent", False), ("even", True)):
        drawn = [exposure(light, objects=faint, seed=seed) for seed in range(8)]
        drawn = [with_even_sky(one) if even else one for one in drawn]
        level[name] = np.mean([extract_point(one, at, STILL).flux.mean() for one in drawn])
    assert level["bent"] > 1.07 * 300.0
    assert level["even"] == pytest.approx(300.0, rel=0.03)


def test_a_target_is_extracted_from_an_even_sky_and_a_standard_star_from_its_own():
    cube = exposure(1.0 - 3 * BOWL, objects=[(300.0, 0.0, 0.0, 1.8)], seed=4)
    found = {
        (even, standard): extract_target(
            [Look(cube=one, refraction=STILL, exptime_s=1440.0)], standard=standard
        ).point.flux.mean()
        for even, one in ((True, with_even_sky(cube)), (False, cube))
        for standard in (True, False)
    }
    # what is even stays so
    assert found[False, False] == pytest.approx(found[True, False], rel=0.01)
    assert found[False, True] > 1.05 * found[True, True]


def test_where_the_sky_does_not_tell_the_cube_is_as_it_is():
    faint = exposure(1.0 + BOWL, level=0.05)
    assert with_even_sky(faint) is faint
