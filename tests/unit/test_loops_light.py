"""The compiled loops over samples against slow sums in numpy, on samples without order or sense."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.loops.judge import judge, tally
from sedmd.reduce.loops.light import look_up, profile_columns, pull_columns, shift_columns, solve_bands
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.samples import Samples
from unit.reduce_scenes import rng

HALF, SHAPE = 6, (60, 12)
READ2 = 20.0


@pytest.fixture(scope="module")
def scene():
    """Samples of which some lie near or beyond the edges, a lopsided profile, and frames of noise, columns first."""
    random = rng(12)
    n = 90
    x = np.sort(random.choice([1, 2, 5, 8, 11], n))
    y = random.uniform(-3.0, SHAPE[0] + 2.0, n)
    y = y[np.lexsort((y, x))]
    samples = Samples(trace=np.arange(n), x=x, y=y, sigma=random.uniform(0.9, 2.5, n), shape=SHAPE)
    t = 0.1 * np.arange(-35, 36)
    profile = Profile(step=0.1, value=np.exp(-0.5 * (t - 0.2) ** 2) / 2.5 + 0.003)
    residual = random.normal(0, 8, SHAPE[::-1]).astype(np.float32)
    weight = random.uniform(0.005, 0.05, SHAPE[::-1]).astype(np.float32)
    good = random.random(SHAPE[::-1]) > 0.1
    weight[random.random(SHAPE[::-1]) < 0.05] = 0.0
    return samples, profile, random.uniform(0, 3000, n), residual, weight, good


def pixels_of(samples, k):
    """Rows of the window of a sample that lie on the chip, and their distances from it."""
    row = np.rint(samples.y[k]) + np.arange(-HALF, HALF + 1)
    row = row[(row >= 0) & (row < SHAPE[0])].astype(int)
    return row, row - samples.y[k]


def places(samples):
    return (*samples.columns(), samples.y, samples.sigma)


@pytest.mark.parametrize("y", [20.0, 20.5, 19.5001, 3.2, -8.0])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_look_up_is_linear_interpolation_and_zero_beyond_the_table(y, sigma):
    table = rng(1).uniform(0.5, 1, 31)
    t = 0.2 * (np.arange(31) - 15)
    values = np.full(21, np.nan)
    look_up(y, sigma, np.append(table, 0.0), 0.2, 8, 21, values)
    assert_allclose(values, np.interp((8 + np.arange(21) - y) / sigma, t, table, left=0, right=0), atol=1e-12)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 2, 4, 30])
def test_bands_are_solved_as_by_numpy(bands, size):
    random = rng(bands + size)
    matrix, right = random.uniform(-0.2, 0.2, (size, bands)), random.normal(size=size)
    matrix[:, 0] = random.uniform(1.8, 3, size)
    full = np.diag(matrix[:, 0])
    for m in range(1, min(bands, size)):
        full += np.diag(matrix[: size - m, m], m) + np.diag(matrix[: size - m, m], -m)
    expected = np.linalg.solve(full, right)
    solve_bands(matrix, right, size, bands)
    assert_allclose(right, expected, rtol=1e-10)


def test_common_shift_and_width(scene):
    samples, profile, flux, residual, weight, good = scene
    flux = np.where(samples.trace % 9 == 0, np.nan, flux)
    column, _ = samples.columns()
    sums = np.empty((column.size, 4))
    tables = (profile.table, profile.slope_table, profile.stretch_table, profile.step)
    shift_columns(*places(samples), flux, residual, weight, ~good, *tables, HALF, 0.03, 20.0, sums)
    expected = np.zeros((SHAPE[1], 4))
    for k in np.flatnonzero(np.isfinite(flux)):
        row, dy = pixels_of(samples, k)
        slope, share, stretch = (f(dy, samples.sigma[k]) * flux[k] for f in (profile.slope, profile, profile.stretch))
        w = weight[samples.x[k], row].astype(float) * good[samples.x[k], row]
        w = w / (1 + w * (0.03 * share) ** 2)
        left = residual[samples.x[k], row]
        wider = samples.sigma[k] * stretch * ((w * share**2).sum() > 20.0**2)
        wider = wider - (w * wider * share).sum() / max((w * share**2).sum(), 1e-9) * share
        expected[samples.x[k]] += [(w * f * g).sum() for f, g in ((slope, slope), (slope, left))] + [
            (w * wider * g).sum() for g in (wider, left)
        ]
    assert_allclose(sums, expected[column], rtol=1e-9)


def uncertain(shape):
    """Variance of every pixel, as unlike from one to the next as a bright trace beside a faint one makes it."""
    return np.random.default_rng(9).uniform(READ2, 900.0, shape).astype(np.float32)


def weight_by_numpy(samples, profile, flux, residual, good, k):
    row, dy = pixels_of(samples, k)
    expected = flux[k] * profile(dy, samples.sigma[k])
    left = residual[samples.x[k], row].astype(float)
    weight = 1 / uncertain(residual.shape)[samples.x[k], row].astype(float)
    use = good[samples.x[k], row] & (np.abs(left) < 6 / np.sqrt(weight) + 0.3 * expected)
    return dy, left, expected, np.where(use, weight, 0.0)


def test_pulls_on_row_and_width(scene):
    samples, profile, flux, residual, _, good = scene
    residual = residual.copy()
    residual[5, 10:20] = 900.0  # far off
    pulls = np.empty((6, samples.x.size))
    tables = (profile.table, profile.slope_table, profile.stretch_table, profile.step, HALF)
    pull_columns(*places(samples), flux, residual, uncertain(residual.shape), good, *tables, pulls)
    assert (pulls[5] < [pixels_of(samples, k)[0].size for k in range(samples.x.size)]).any()
    for k in range(samples.x.size):
        dy, left, _, w = weight_by_numpy(samples, profile, flux, residual, good, k)
        row, width = (flux[k] * f(dy, samples.sigma[k]) for f in (profile.slope, profile.stretch))
        expected = [w * row**2, w * row * left, w * width**2, w * width * left, w * left**2, w > 0]
        assert_allclose(pulls[:, k], [each.sum() for each in expected], rtol=1e-9, atol=1e-12)


def test_observed_shares_go_where_they_belong(scene):
    samples, profile, flux, residual, _, good = scene
    sums = np.zeros((2, profile.value.size))
    known = (profile.table, profile.step, HALF, 1000.0)
    profile_columns(*places(samples), flux, residual, uncertain(residual.shape), good, *known, sums)
    expected = np.zeros((2, profile.value.size + 1))
    for k in np.flatnonzero(flux > 1000):
        dy, left, light, w = weight_by_numpy(samples, profile, flux, residual, good, k)
        place = dy / samples.sigma[k] / profile.step + (profile.value.size - 1) / 2
        inside = (place >= 0) & (place <= profile.value.size - 1)
        for i, p in zip(np.flatnonzero(inside), place[inside]):
            each = (
                w[i] * (flux[k] / samples.sigma[k]) ** 2 * np.array([1, samples.sigma[k] * (light + left)[i] / flux[k]])
            )
            expected[:, int(p)] += each * (1 - p % 1)
            expected[:, int(p) + 1] += each * (p % 1)
    assert_allclose(sums, expected[:, :-1], rtol=1e-9, atol=1e-15)


def test_pixels_are_judged_by_the_model_and_counted():
    random = rng(3)
    model, background = (random.uniform(-50, 800, (16, 24)).astype(np.float32) for _ in range(2))
    data = (model + background + random.normal(0, 120, model.shape)).astype(np.float32)
    good, gap = random.random(model.shape) > 0.2, random.uniform(0.9, 1, model.shape).astype(np.float32)
    residual, weight, outliers = np.empty_like(data), np.empty_like(data), np.empty_like(good)
    judge(data, good, model, background, np.float32(30), residual, weight, outliers)
    light = np.maximum(model, 0)
    variance = 30 + light + np.maximum(background, 0)
    far = np.abs(data - model - background) > 6 * np.sqrt(variance) + 0.35 * light
    assert 20 < far.sum() < 300
    assert (outliers == (good & far)).all()
    assert_allclose(residual, data - model - background, atol=1e-3)
    assert_allclose(weight, np.where(good & ~far, 1 / variance, 0), rtol=1e-5)
    sums = np.empty((16, 4))
    tally(data, good, model, background, np.float32(30), weight, gap, outliers, sums)
    near = (weight > 0) & (gap <= 0.95)
    bright = good & (data - background > 6 * np.sqrt(30 + np.maximum(background, 0)))
    expected = [near * weight * residual**2, near, bright, bright & outliers]
    assert_allclose(sums.T, [each.sum(axis=1) for each in expected], rtol=1e-4)
