"""Samples: every column of every trace once, in order, on the chip."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sedmd.reduce.traces.samples import make_samples, polynomial
from unit.reduce_scenes import lattice_scene, rng


def test_polynomial_is_numpys():
    random = rng()
    coefficients = random.normal(size=(5, 4))
    trace, u = random.integers(0, 5, 100), random.uniform(-2, 2, 100)
    expected = [np.polynomial.polynomial.polyval(v, coefficients[k]) for k, v in zip(trace, u)]
    assert_allclose(polynomial(coefficients, trace, u), expected)


def test_every_column_of_every_trace_is_there_once_and_in_order():
    scene = lattice_scene()
    samples = scene.samples()
    key = samples.x * 10_000.0 + samples.y
    assert (np.diff(key) > 0).all()
    assert_array_equal(np.bincount(samples.trace, minlength=scene.n).sum(), samples.x.size)
    for k in range(scene.n):
        x = np.arange(max(scene.x_first[k], 0), min(scene.x_last[k], scene.shape[1] - 1) + 1)
        y = scene.row(k, x)
        on_chip = (y > -0.5) & (y < scene.shape[0] - 0.5)
        own = samples.trace == k
        assert_array_equal(samples.x[own], x[on_chip])
        assert_allclose(samples.y[own], y[on_chip])


@pytest.mark.parametrize(("first", "last", "count"), [(5, 9, 5), (-10, 3, 4), (95, 300, 5), (120, 200, 0), (9, 5, 0)])
def test_columns_are_inclusive_and_clipped_to_the_chip(first, last, count):
    samples = make_samples(
        x_first=np.array([first]),
        x_last=np.array([last]),
        centre=np.array([50.0]),
        y_coeff=np.array([[20.0, 0.0]]),
        sigma=lambda trace, x, y: np.ones(x.shape),
        shape=(40, 100),
    )
    assert samples.x.size == count


def test_samples_of_spectra_off_the_chip_keep_their_light_and_lose_their_number():
    own = lattice_scene().samples()
    others = own.moved(20.0).select(own.trace < 3)
    both = own.with_unnamed(others)
    assert (np.diff(both.x * 10_000.0 + both.y) > 0).all()
    named = both.select(both.trace >= 0)
    assert_array_equal(named.trace, own.trace)
    assert_array_equal(named.y, own.y)
    unnamed = both.select(both.trace < 0)
    assert (unnamed.trace == -1).all()
    assert_array_equal(np.column_stack([unnamed.x, unnamed.y]), np.column_stack([others.x, others.y]))


def test_moved_is_towards_higher_rows_and_select_keeps_order():
    samples = lattice_scene().samples()
    assert_allclose(samples.moved(1.25).y - samples.y, 1.25)
    some = samples.select(samples.x % 3 == 0)
    assert_array_equal(some.y, samples.y[samples.x % 3 == 0])


def test_pixels_are_the_rows_around_the_centre():
    samples = lattice_scene().samples()
    pixel, inside = samples.pixels(4)
    row, column = np.divmod(pixel, samples.shape[1])
    assert_array_equal(column, np.broadcast_to(samples.x[:, None], column.shape))
    assert_array_equal(row[inside], samples.rows(4)[inside])
    assert np.abs(samples.rows(4)[:, 4] - samples.y).max() <= 0.5
    assert (~inside == ((samples.rows(4) < 0) | (samples.rows(4) >= samples.shape[0]))).all()


@pytest.mark.parametrize("every", [2, 3, 4, 16])
def test_every_few_columns_are_those_of_all(every):
    scene = lattice_scene()
    geometry = {"x_first": scene.x_first, "x_last": scene.x_last, "centre": scene.centre, "y_coeff": scene.y_coeff}

    def width(trace, x, y):
        return 1.0 + x / 1000 + y / 3000 + trace / 50

    every_one = make_samples(**geometry, sigma=width, shape=scene.shape)
    few = make_samples(**geometry, sigma=width, shape=scene.shape, every=every)
    expected = every_one.select(every_one.x % every == every // 2)
    for name in ("trace", "x", "y", "sigma"):
        assert_array_equal(getattr(few, name), getattr(expected, name))


def test_columns_say_which_samples_are_whose():
    samples = lattice_scene().samples()
    samples = samples.select(samples.x % 7 == 3)
    column, start = samples.columns()
    assert_array_equal(column, np.unique(samples.x))
    for x, low, high in zip(column, start, start[1:]):
        assert_array_equal(np.flatnonzero(samples.x == x), np.arange(low, high))
    none = samples.select(np.zeros(samples.x.size, bool))
    assert none.columns()[0].size == 0 and none.columns()[1].tolist() == [0]
