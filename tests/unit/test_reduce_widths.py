"""Widths of traces: the field and each trace's own, as drawn; what is not known stays as the field is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.field import terms
from sedmd.reduce.traces.widths import fit_widths

N, EACH = 300, 40


def scene(spread, error, seed=1):
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, 2048, N * EACH), np.repeat(random.uniform(0, 2048, N), EACH)
    trace = np.repeat(np.arange(N), EACH)
    design = terms(x, y, 2)
    own = 1.0 + random.normal(0, spread, N)
    width = (design @ np.array([1.4, 0.05, 0.02, -0.03, 0.01, 0.04])) * own[trace]
    return design, trace, own, width + random.normal(0, error, width.size), np.full(width.size, error**-2.0)


@pytest.mark.parametrize("spread", [0.0, 0.008])
def test_each_trace_has_the_width_drawn(spread):
    design, trace, own, width, weight = scene(spread, 0.01)
    found = np.ones(N)
    for _ in range(4):
        coefficients, found = fit_widths(design, trace, found, width, weight, each=True)
    assert np.std(found - own) < 1.3 * 0.01 / 1.4 / np.sqrt(EACH)
    assert_allclose(coefficients[0], 1.4, rtol=0.002)
    if spread == 0.0:
        assert np.std(found) < 0.5 * 0.01 / 1.4 / np.sqrt(EACH), "noise is no width of its own"


def test_without_each_the_factors_stay():
    design, trace, own, width, weight = scene(0.01, 0.01)
    coefficients, kept = fit_widths(design, trace, own, width, weight, each=False)
    assert kept is own
    assert_allclose(coefficients, [1.4, 0.05, 0.02, -0.03, 0.01, 0.04], atol=0.001)


def test_a_trace_without_light_is_as_wide_as_the_field():
    design, trace, _, width, weight = scene(0.01, 0.01)
    weight = np.where(trace == 7, 0.0, weight)
    _, found = fit_widths(design, trace, np.ones(N), width, weight, each=True)
    assert found[7] == 1.0
    _, none = fit_widths(design, trace, np.ones(N), width, 0.0 * weight + 1e-12, each=True)
    assert_allclose(none, 1.0, atol=1e-3)
