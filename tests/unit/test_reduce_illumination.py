"""The slope of the sky comes back as it was put in, objects or not, and with the error that it has."""

import numpy as np
import pytest

from sedmd.reduce.cube.illumination import OVER_ARCSEC, sky_slope
from sedmd.reduce.numeric.containers import Cube
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share, rng

WAVELENGTH = np.linspace(4000.0, 9200.0, 60)
SPAXELS = hex_spaxels(14)


def sky(east=0.0, north=0.0, *, level=400.0, seed=1, tint=0.0, star=0.0):
    """A sky that slopes by `east` and `north` in ten arcsec; in the blue by `tint` more."""
    x, y = SPAXELS.x_arcsec / OVER_ARCSEC, SPAXELS.y_arcsec / OVER_ARCSEC
    more = tint * (WAVELENGTH[:, None] < 6000)
    shape = 1.0 + (east + more) * x + north * y
    light = level * (1.0 + 0.5 * np.sin(WAVELENGTH / 300.0))[:, None] * shape
    return make_cube(SPAXELS, WAVELENGTH, light + star * moffat_share(SPAXELS, 1.0, -2.0, 2.0), seed=seed)


@pytest.mark.parametrize("east, north", [(0.0, 0.0), (0.01, 0.0), (0.0, -0.02), (-0.03, 0.01)])
@pytest.mark.parametrize("star", [0.0, 5_000.0, 50_000.0])
def test_the_slope_that_was_put_in_comes_out(east, north, star):
    found = sky_slope(sky(east, north, star=star))
    assert found.error < 0.002
    assert found.east == pytest.approx(east, abs=4 * found.error)
    assert found.north == pytest.approx(north, abs=4 * found.error)
    assert found.size == pytest.approx(np.hypot(east, north), abs=5 * found.error)


def test_another_object_than_the_brightest_is_rejected():
    cube = sky(0.01, 0.0, star=20_000.0)
    cube.flux[:] += 3_000.0 * moffat_share(SPAXELS, 6.0, 3.0, 1.2, beta=6.0)
    found = sky_slope(cube)
    assert found.east == pytest.approx(0.01, abs=0.003)
    assert found.north == pytest.approx(0.0, abs=0.003)


def test_errors_are_those_of_many_exposures():
    found = [sky_slope(sky(0.01, 0.0, seed=seed)) for seed in range(20)]
    pulls = np.array([((one.east - 0.01) / one.error, one.north / one.error) for one in found])
    assert abs(pulls.mean()) < 0.5
    assert 0.5 < pulls.std() < 1.4


def test_ranges_that_disagree_make_the_error_larger():
    even, tinted = sky_slope(sky(0.01)), sky_slope(sky(0.01, tint=0.02))
    # one of three ranges is off by 0.02: the mean by a third of it, each axis counted
    assert tinted.error > 3 * even.error
    assert tinted.error == pytest.approx(0.02 / 3 / np.sqrt(2), rel=0.35)


def test_nothing_is_said_of_a_faint_sky_or_of_few_spaxels():
    assert sky_slope(sky(level=0.5)) is None
    whole = sky()
    few = np.arange(SPAXELS.q.size) < 150
    part = Cube(
        wavelength=whole.wavelength,
        flux=whole.flux[:, few],
        variance=whole.variance[:, few],
        mask=whole.mask[:, few],
        spaxels=SPAXELS.part(few),
    )
    assert sky_slope(part) is None


def test_masked_samples_and_dark_spaxels_have_no_say():
    cube = sky(0.02)
    cube.flux[:, 5] = np.nan
    hit = (rng(3).random(cube.flux.shape) < 0.12) & (SPAXELS.x_arcsec > 0)
    cube.flux[hit] = 1e6
    cube.mask[hit] = 1
    cube.mask[20] = 8
    found = sky_slope(cube)
    assert found.east == pytest.approx(0.02, abs=4 * found.error)
