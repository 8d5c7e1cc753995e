"""Rows of all traces from measured offsets: exact without noise; where a trace says little, as its neighbours are."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.numeric.field import terms
from sedmd.reduce.traces.alike import LOOSEST, solve_traces

N, COLUMNS = 400, np.arange(-120, 121, 4) / 100.0


def traces_of(seed=1, spread=(0.05, 0.01)):
    """Rows, slopes and curvatures: a smooth field and what each trace differs from it by."""
    random = np.random.default_rng(seed)
    centre, row = random.uniform(100, 1950, N), random.uniform(20, 2030, N)
    field = terms(centre, row, 3) @ random.normal(0, 0.2, (10, 2))
    return centre, np.column_stack([row, field + random.normal(0, spread, (N, 2))]), field


def offsets(truth, present, error, seed=2):
    """Offsets of samples along each trace, of errors that may differ along it, and their weights."""
    u = np.tile(COLUMNS, N)
    trace = np.repeat(np.arange(N), COLUMNS.size)
    sigma = np.tile(np.broadcast_to(error, COLUMNS.shape), N)
    off = truth - present
    dy = off[trace, 0] + u * (off[trace, 1] + u * off[trace, 2])
    return trace, u, dy + np.random.default_rng(seed).normal(0, sigma), 1.0 / np.maximum(sigma, 1e-4) ** 2


def test_exact_offsets_give_the_rows_drawn():
    centre, truth, _ = traces_of()
    present = truth + np.random.default_rng(3).normal(0, [0.3, 0.1, 0.05], truth.shape)
    assert_allclose(solve_traces(present, centre, *offsets(truth, present, 0.0)), truth, atol=1e-5)


@pytest.mark.parametrize("curvature", [0.0, 0.01, 0.05])
def test_a_faint_end_is_put_where_the_others_say(curvature):
    """The best estimate has the spread as its prior: its error is what the two together allow."""
    centre, truth, field = traces_of(spread=(0.05, curvature))
    error = np.where(COLUMNS < -0.3, 3.0, 0.05)
    present = np.column_stack([truth[:, 0], field])
    found = solve_traces(present, centre, *offsets(truth, present, error))
    weight = 1.0 / error**2
    design = np.vander(COLUMNS, 3, increasing=True)
    normal = design.T @ (design * weight[:, None]) + np.diag([0.0, 0.05**-2, max(curvature, 1e-3) ** -2])
    end = np.array([1.0, -1.2, 1.44])
    possible = np.sqrt(end @ np.linalg.inv(normal) @ end)
    reached = np.std((found - truth) @ end)
    assert reached < 1.25 * possible
    loose = design.T @ (design * weight[:, None]) + np.diag([0.0, LOOSEST**-2, LOOSEST**-2])
    alone = np.linalg.solve(loose, np.eye(3))
    if curvature < 0.05:
        assert reached < 0.8 * np.sqrt(end @ alone @ end), "no better than with a spread that nobody measured"


def test_traces_that_are_wrong_do_not_move_the_others():
    centre, truth, field = traces_of()
    present = np.column_stack([truth[:, 0], field])
    trace, u, dy, weight = offsets(truth, present, 0.05)
    wrong = trace % 20 == 0
    bad = np.where(wrong, dy + 0.5 * u**2, dy)
    before = solve_traces(present, centre, trace, u, dy, weight)
    after = solve_traces(present, centre, trace, u, bad, weight)
    others = np.arange(N) % 20 != 0
    assert np.abs((after - before)[others]).max() < 0.005
    assert np.median((after - before)[~others, 2]) > 0.3, "a trace with light of its own is still believed"


def test_a_trace_without_light_gets_the_shape_of_the_field():
    centre, truth, field = traces_of(spread=(0.02, 0.005))
    present = np.column_stack([truth[:, 0], np.zeros((N, 2))])
    trace, u, dy, weight = offsets(truth, present, 0.02)
    weight = np.where(trace < 3, 0.0, weight)
    found = solve_traces(present, centre, trace, u, dy, weight)
    assert_allclose(found[:3, 1:], field[:3], atol=0.02)
    assert_allclose(found[:3, 0], truth[:3, 0], atol=1e-6)


def test_few_traces_are_solved_as_well():
    centre, truth, _ = traces_of()
    present = truth + np.random.default_rng(3).normal(0, [0.3, 0.05, 0.02], truth.shape)
    trace, u, dy, weight = offsets(truth, present, 0.01)
    few = trace < 4
    found = solve_traces(present[:4], centre[:4], trace[few], u[few], dy[few], weight[few])
    assert_allclose(found, truth[:4], atol=0.02)
