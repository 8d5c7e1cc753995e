"""Evenness of a wavelength solution over the field: what its neighbours let expect of a spaxel."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.wavelength.evenness import AT, MIDDLE, NEIGHBOURS, unevenness, usual_unevenness
from unit.reduce_scenes import prism_column, prism_solution, rng


def lattice(n=20, pitch=50.0):
    """Columns and rows of n x n spaxels; the first n are those of the lowest row."""
    x, y = np.meshgrid(300.0 + pitch * np.arange(n), 300.0 + pitch * np.arange(n))
    return x.ravel(), y.ravel()


def test_what_changes_evenly_over_the_field_is_no_unevenness():
    x, y = lattice()
    solution = prism_solution(x, stretch=1.0 + 1e-4 * (x - 800.0) - 2e-4 * (y - 800.0))
    off = unevenness(solution, y, np.ones(x.size, bool))
    # at the border of the field, too, where all neighbours are on one side
    assert np.abs(off).max() < 0.02
    assert usual_unevenness(off) < 0.02


def test_spaxels_that_differ_by_themselves_scatter_by_that_much():
    x, y = lattice()
    solution = prism_solution(x, stretch=1.0 + rng(3).normal(0, 0.002, x.size))
    off = unevenness(solution, y, np.ones(x.size, bool))
    there = np.abs(prism_column(AT) - prism_column(AT[MIDDLE])) * 0.002
    spread = 1.4826 * np.median(np.abs(off), axis=0)
    # the neighbours' mean scatters as well
    assert_allclose(spread, there * np.sqrt(1 + 1 / NEIGHBOURS), rtol=0.15, atol=1e-6)
    assert usual_unevenness(off) == pytest.approx(spread.max())


@pytest.mark.parametrize("stretch", [-0.03, 0.03])
def test_a_spaxel_of_another_dispersion_is_off_by_it_and_its_neighbours_are_not(stretch):
    x, y = lattice()
    stretches = np.ones(x.size)
    stretches[210] += stretch
    solution = prism_solution(x, stretch=stretches)
    off = unevenness(solution, y, np.ones(x.size, bool))
    assert_allclose(off[210], stretch * (prism_column(AT) - prism_column(AT[MIDDLE])), atol=0.02)
    assert np.abs(np.delete(off, 210, axis=0)).max() < 0.1


def test_what_is_not_to_be_compared_has_no_say_and_no_value():
    x, y = lattice()
    use = np.ones(x.size, bool)
    use[:40] = False
    coeff = prism_solution(x).coeff.copy()
    coeff[:40, 1] *= 1.2
    coeff[50] = np.nan
    off = unevenness(replace(prism_solution(x), coeff=coeff), y, use)
    assert np.isnan(off[:40]).all() and np.isnan(off[50]).all()
    assert np.abs(off[np.isfinite(off)]).max() < 1e-6
    few = unevenness(prism_solution(x), y, np.arange(x.size) < 2 * NEIGHBOURS)
    assert np.isnan(few).all() and np.isnan(usual_unevenness(few))
