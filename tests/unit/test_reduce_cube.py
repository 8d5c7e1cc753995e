"""Rebinning: light is conserved, the variance exact, the shift of the right sign."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sedmd.reduce.cube.cube import bin_edges, rebin, to_matrices
from sedmd.reduce.numeric.containers import Mask
from sedmd.reduce.traces.samples import make_samples
from unit.reduce_scenes import pixel_shares, prism_solution, rng

GRID = np.linspace(4000.0, 9000.0, 150)


def scene(n=5, low=3700.0, high=9500.0):
    solution = prism_solution(np.linspace(200.3, 520.7, n), stretch=np.linspace(0.98, 1.02, n))
    first = np.floor(solution.column(np.array([high]))[:, 0]).astype(int)
    last = np.ceil(solution.column(np.array([low]))[:, 0]).astype(int)
    samples = make_samples(
        x_first=first,
        x_last=last,
        centre=np.rint(solution.coeff[:, 0]),
        y_coeff=10.0 + 5 * np.arange(n)[:, None],
        sigma=lambda trace, x, y: np.full(x.shape, 1.4),
        shape=(64, 800),
    )
    return samples, solution, n


def run(flux, variance=None, bad=None, wavelength=GRID, dx=0.0, which=None):
    samples, solution, n = which or scene()
    variance = np.ones(flux.size) if variance is None else variance
    bad = np.zeros(flux.size, bool) if bad is None else bad
    return rebin(samples, flux, variance, bad, solution, n, wavelength, dx_px=dx)


def test_edges_lie_half_way():
    assert_allclose(bin_edges(np.array([1.0, 2.0, 4.0])), [0.5, 1.5, 3.0, 5.0])


def test_matrices_hold_every_sample_at_its_column():
    samples, _, n = scene()
    first, (columns, even) = to_matrices(samples, n + 1, samples.x * 1.0, samples.x % 2 == 0)
    for k in range(n):
        own = np.sort(samples.x[samples.trace == k])
        assert first[k] == own[0]
        assert_array_equal(columns[k, : own.size], own)
        assert_array_equal(even[k, : own.size], own % 2 == 0)
        assert not columns[k, own.size :].any() and not even[k, own.size :].any()
    assert not columns[n].any()  # a trace without samples


def test_light_is_conserved():
    samples, solution, n = scene()
    # Light well inside the grid: what leaves the columns must arrive in the bins.
    wavelength = solution.wavelength(samples.trace, samples.x.astype(float))
    flux = np.where((wavelength > 4300) & (wavelength < 8700), rng(2).uniform(0, 1000, samples.x.size), 0.0)
    out, _, mask = run(flux)
    assert (mask == 0).all()
    total = (out * np.diff(bin_edges(GRID))[:, None]).sum(axis=0)
    assert_allclose(total, np.bincount(samples.trace, flux, n), rtol=1e-5)


def test_flat_light_per_angstrom_stays_flat():
    samples, solution, _ = scene()
    x = samples.x.astype(float)
    edges = solution.wavelength(samples.trace, x - 0.5) - solution.wavelength(samples.trace, x + 0.5)
    out, _, _ = run(7.0 * edges)
    # Inside one column the light is taken as even, though the dispersion changes a little across it.
    assert_allclose(out, 7.0, rtol=0.01)


@pytest.mark.parametrize("n_wave", [60, 150, 400])
def test_variance_is_exact(n_wave):
    wavelength = np.linspace(4000.0, 9000.0, n_wave)
    n = 150
    solution = prism_solution(np.full(n, 300.4))
    which = (
        make_samples(
            x_first=np.full(n, 210),
            x_last=np.full(n, 359),
            centre=np.full(n, 300.0),
            y_coeff=np.arange(n)[:, None] + 1.0,
            sigma=lambda trace, x, y: np.full(x.shape, 1.4),
            shape=(n + 2, 500),
        ),
        solution,
        n,
    )
    # Spaxel k holds one electron in its k-th column: the result is the matrix that rebinning applies.
    unit = (which[0].x - 210 == which[0].trace).astype(float)
    matrix, _, _ = run(unit, wavelength=wavelength, which=which)
    variance = rng(3).uniform(1, 50, 150)
    _, out, mask = run(unit, variance[which[0].x - 210], wavelength=wavelength, which=which)
    good = (mask == 0).all(axis=1)
    assert good.sum() > 0.5 * n_wave
    assert_allclose(out[good][:, 0], (matrix.astype(float) ** 2 @ variance)[good], rtol=1e-4)


@pytest.mark.parametrize("dx", [-1.7, -0.3, 0.0, 0.4, 2.2])
def test_light_at_higher_columns_than_the_solution_says_is_brought_back(dx):
    samples, solution, _n = scene()
    place = solution.column(np.array([6000.0]))[:, 0] + dx
    flux = 1000.0 * pixel_shares(samples.x - place[samples.trace], 1.3)
    out, _, _ = run(flux, dx=dx)
    step = np.diff(bin_edges(GRID))[:, None]
    centroid = (out * step * GRID[:, None]).sum(axis=0) / (out * step).sum(axis=0)
    column = np.array([solution.column(np.array([c]))[k, 0] for k, c in enumerate(centroid)])
    assert_allclose(column, place - dx, atol=0.05)
    if dx:
        wrong, _, _ = run(flux, dx=-dx)
        moved = (wrong * step * GRID[:, None]).sum(axis=0) / (wrong * step).sum(axis=0)
        assert (np.sign(moved - 6000.0) == -np.sign(dx)).all()


def test_a_bad_column_is_bridged_and_told():
    samples, solution, _n = scene()
    x = samples.x.astype(float)
    flux = 7.0 * (solution.wavelength(samples.trace, x - 0.5) - solution.wavelength(samples.trace, x + 0.5))
    middle = np.rint(solution.column(np.array([6000.0]))[:, 0]).astype(int)
    bad = samples.x == middle[samples.trace]
    flux[bad] = 1e6
    coarse = np.linspace(4200.0, 8800.0, 30)
    out, _, mask = run(flux, bad=bad, wavelength=coarse)
    assert_allclose(out, 7.0, rtol=0.02)
    out, _, mask = run(flux, bad=bad)
    assert ((mask & Mask.OUTLIER) != 0).any(axis=0).all()
    assert_allclose(out[mask == 0], 7.0, rtol=0.02)


def test_off_the_samples_there_is_no_data():
    samples, _, _ = scene()
    out, variance, mask = run(np.ones(samples.x.size), wavelength=np.linspace(3300.0, 10300.0, 140))
    off = np.linspace(3300.0, 10300.0, 140) < 3600
    assert (mask[off] == Mask.NO_DATA).all() and np.isnan(out[off]).all() and np.isnan(variance[off]).all()
    assert (mask[(~off) & (np.linspace(3300.0, 10300.0, 140) < 9300)][5:] == 0).all()


def test_spaxel_without_solution_has_no_data():
    samples, solution, n = scene()
    solution.coeff[2] = np.nan
    _, _, mask = rebin(
        samples, np.ones(samples.x.size), np.ones(samples.x.size), np.zeros(samples.x.size, bool), solution, n, GRID
    )
    assert (mask[:, 2] == Mask.NO_DATA).all()
    assert (mask[:, [0, 1, 3, 4]] == 0).all()


def test_detector_read_from_the_opposite_corner_gives_the_same_cube():
    samples, solution, n = scene()
    flux = rng(6).uniform(50, 150, samples.x.size)
    there = run(flux, variance=flux, dx=0.3)
    coeff = solution.coeff * [-1.0, -1.0, -1.0]
    coeff[:, 0] += samples.shape[1] - 1
    turned = replace(solution, coeff=coeff)
    assert (solution.sense, turned.sense) == (1, -1)
    mirrored = replace(samples, x=samples.shape[1] - 1 - samples.x)
    back = run(flux, variance=flux, dx=-0.3, which=(mirrored, turned, n))
    for one, other in zip(there, back, strict=True):
        assert_allclose(one, other, rtol=1e-5)
