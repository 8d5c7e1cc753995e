"""Combined frames are what numpy makes of the whole stack; medians are those of scipy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import ndimage

from sedmd.reduce.detector.stack import STRIP_ROWS, mean_of_near, sorting_network
from sedmd.reduce.loops.median import median_of_7, median_of_9, medians_of_7_by_7, medians_of_9_along_rows
from unit.reduce_scenes import rng


def mean_by_numpy(stack, good, reach, *, least):
    """The definition, with everything in memory at once."""
    middle = stack.min(axis=0) if least else np.median(stack, axis=0)
    good = good & (np.abs(stack - middle) < reach(middle))
    count = good.sum(axis=0)
    total = np.cumsum(stack * good, axis=0)[-1]  # one after the other; of a single pixel, sum() would add in pairs
    return np.where(count > 0, total / np.maximum(count, 1), middle), count


@given(
    n=st.integers(1, 13),
    n_y=st.integers(1, 2 * STRIP_ROWS + 5),
    n_x=st.integers(1, 90),
    seed=st.integers(0, 2**32 - 1),
    least=st.booleans(),
    whole=st.booleans(),
)
def test_combined_as_numpy_combines(n, n_y, n_x, seed, least, whole):
    random = rng(seed)
    data = random.normal(100, 5, (n, n_y, n_x)) + 1000 * (random.uniform(size=(n, n_y, n_x)) < 0.05)
    frames = [np.rint(f).astype(np.uint16) if whole else f.astype(np.float32) for f in data]
    masks = [(random.uniform(size=(n_y, n_x)) < 0.1).astype(np.uint8) * np.uint8(4) for _ in range(n)]
    offsets = [random.normal(90, 5, n_y).astype(np.float32) for _ in range(n)]
    divisors = random.uniform(0.8, 1.2, n).astype(np.float32)

    def reach(middle):
        return 3 * np.sqrt(np.maximum(middle, 0) + np.float32(25))

    combined = mean_of_near(frames, offsets=offsets, divisors=divisors, masks=masks, reach=reach, least=least)
    stack = np.stack([(f - v[:, None]) / d for f, v, d in zip(frames, offsets, divisors, strict=True)])
    assert stack.dtype == np.float32
    mean, count = mean_by_numpy(stack, np.stack(masks) == 0, reach, least=least)
    assert_array_equal(combined.mean, mean)
    assert_array_equal(combined.count, count)


def test_one_reach_for_all_pixels_and_no_mask():
    frames = [np.full((3, 5), value, np.float32) for value in (1.0, 2.0, 3.0, 90.0)]
    combined = mean_of_near(frames, reach=lambda middle: np.float32(1.0))
    assert_array_equal(combined.mean, 2.5)
    assert_array_equal(combined.count, 2)
    for nowhere in (0.0, 0.5):  # what is as far off as the reach has no say
        alone = mean_of_near(frames, reach=lambda middle, reach=nowhere: np.float32(reach))
        assert_array_equal(alone.mean, 2.5)
        assert not alone.count.any()


@pytest.mark.parametrize("n", range(1, 13))
def test_network_sorts_all_noughts_and_ones_and_so_everything(n):
    values = np.array(list(product((0, 1), repeat=n))).T
    for low, high in sorting_network(n):
        values[[low, high]] = np.minimum(values[low], values[high]), np.maximum(values[low], values[high])
    assert (np.diff(values, axis=0) >= 0).all()


@pytest.mark.parametrize("median", [pytest.param(median_of_7, id="7"), pytest.param(median_of_9, id="9")])
def test_median_of_all_noughts_and_ones_and_so_of_everything(median):
    n = 7 if median is median_of_7 else 9
    assert all(median(*values) == sorted(values)[n // 2] for values in product((0.0, 1.0), repeat=n))


@given(n_y=st.integers(7, 40), n_x=st.integers(7, 60), seed=st.integers(0, 2**32 - 1), box=st.data())
def test_separable_median_as_scipy_in_the_rows_and_columns_that_are_wanted(n_y, n_x, seed, box):
    image = rng(seed).normal(size=(n_y, n_x)).astype(np.float32)
    top, left = box.draw(st.integers(0, n_y - 1)), box.draw(st.integers(0, n_x - 1))
    bottom, right = box.draw(st.integers(top + 1, n_y)), box.draw(st.integers(left + 1, n_x))
    expected = image.copy()
    along = ndimage.median_filter(image, size=(1, 7))
    expected[3:-3, 3:-3] = ndimage.median_filter(along, size=(7, 1))[3:-3, 3:-3]
    out = np.full_like(image, np.nan)
    medians_of_7_by_7(image, top, bottom, left, right, np.empty_like(image), out)
    wanted = np.zeros(image.shape, bool)
    wanted[top:bottom, left:right] = True
    assert_array_equal(out[wanted], expected[wanted])
    assert np.isnan(out[~wanted]).all()


def test_median_along_rows_as_scipy():
    image = rng(3).normal(size=(11, 50)).astype(np.float32)
    out = np.empty_like(image)
    medians_of_9_along_rows(np.pad(image, ((0, 0), (4, 4)), mode="symmetric"), out)
    assert_array_equal(out, ndimage.median_filter(image, size=(1, 9)))
