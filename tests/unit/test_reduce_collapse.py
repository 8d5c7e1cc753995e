"""A picture of the field is the mean over a range of wavelength: by the widths of the bins, of what is good."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.numeric.containers import Cube, Mask, Spaxels


def cube(wavelength, flux):
    flux = np.asarray(flux, np.float32)
    n = flux.shape[1]
    numbers, nothing = np.arange(n, dtype=np.int32), np.zeros(n)
    spaxels = Spaxels(ident=numbers, q=numbers, r=numbers, x_arcsec=nothing, y_arcsec=nothing)
    mask = np.zeros(flux.shape, np.uint8)
    return Cube(wavelength=np.array(wavelength), flux=flux, variance=np.ones_like(flux), mask=mask, spaxels=spaxels)


GRID = [5000.0, 5010.0, 5020.0, 5040.0, 5060.0]


def test_bins_count_by_their_width_and_both_ends_belong_to_the_range():
    one = cube(GRID, [[9.0], [1.0], [2.0], [4.0], [7.0]])
    # widths by the places of the neighbours: 10, 10, 15, 20, 20
    assert_allclose(collapse(one, 5010.0, 5040.0), (10 * 1 + 15 * 2 + 20 * 4) / 45)
    assert_allclose(collapse(one, 5010.1, 5039.9), 2.0)
    assert_allclose(collapse(one, 4000.0, 9000.0), (90 + 10 + 30 + 80 + 140) / 75)


def test_what_is_masked_or_no_number_does_not_count_and_without_anything_good_there_is_no_value():
    one = cube(GRID, np.full((5, 4), 3.0))
    one.flux[1:3, 1:] = 1e6
    one.mask[1:3, 1] = Mask.COSMIC
    one.flux[1:3, 2] = np.nan
    one.mask[:, 3] = Mask.NO_DATA
    assert_allclose(collapse(one, 5000.0, 5060.0), [3.0, 3.0, 3.0, np.nan])


def test_a_cube_of_one_bin_is_its_picture():
    assert_allclose(collapse(cube([5000.0], [[3.0, 4.0]]), 4900.0, 5100.0), [3.0, 4.0])


def test_a_range_without_a_bin_is_refused():
    one = cube(GRID, np.ones((5, 1)))
    for low, high in ((5061.0, 6000.0), (5011.0, 5019.0), (4000.0, 4999.0)):
        with pytest.raises(ValueError, match="the cube spans 5000 to 5060"):
            collapse(one, low, high)
    assert_allclose(collapse(replace(one, flux=2 * one.flux), 5000.0, 5000.0), 2.0)


def test_a_spaxel_with_a_part_of_the_range_is_as_bright_as_the_sky_and_its_object_make_it():
    """The rim of the field, which has the red alone, looked brighter than the rest of a red sky."""
    sky = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    one = cube(GRID, np.column_stack([sky, sky, sky, sky, sky + 3.0]))
    one.mask[:3, 3:] = Mask.NO_DATA
    whole = (10 * 1 + 10 * 2 + 15 * 4 + 20 * 8 + 20 * 16) / 75
    assert_allclose(collapse(one, 5000.0, 5060.0), [whole, whole, whole, whole, whole + 3.0])
