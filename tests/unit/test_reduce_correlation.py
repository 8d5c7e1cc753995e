"""The correlation of neighbouring bins: closed forms, and columns that are really shared out."""

import numpy as np
import pytest

from sedmd.reduce.cube.correlation import band_covariance, bin_correlation


@pytest.mark.parametrize(("width", "first", "second"), [(1.0, 0.25, 0.0), (2.0, 0.1, 0.0), (4.0, 1 / 22, 0.0)])
def test_wide_bins_share_a_sixth_of_a_column_with_their_neighbour(width, first, second):
    found = bin_correlation(np.full(9, width))
    assert found[:-1, 0] == pytest.approx(np.full(8, first), abs=1e-12)
    assert found[:-2, 1] == pytest.approx(np.full(7, second), abs=1e-12)
    assert np.all(found[-1] == 0) and found[-2, 1] == 0


def test_bins_much_narrower_than_a_column_say_the_same():
    assert bin_correlation(np.full(5, 0.01))[:3] == pytest.approx(np.ones((3, 2)), abs=0.02)


def test_it_is_what_rebinned_noise_shows():
    # columns of unit noise under bins of changing width, at every phase
    width = np.array([0.7, 0.9, 1.3, 1.6, 0.8, 0.6, 1.1, 2.2])
    edges = np.concatenate([[0.0], np.cumsum(width)])
    seen = np.zeros((len(width), len(width)))
    count = 2000
    for phase in np.arange(count) / count:
        column = np.arange(-1, int(edges[-1]) + 3) + phase
        overlap = np.minimum(edges[1:, None], column[1:]) - np.maximum(edges[:-1, None], column[:-1])
        share = np.clip(overlap, 0, None)
        seen += share @ share.T / count
    sigma = np.sqrt(np.diag(seen))
    true = seen / sigma[:, None] / sigma
    found = bin_correlation(width)
    assert found[:-1, 0] == pytest.approx(np.diag(true, 1), abs=0.01)
    assert found[:-2, 1] == pytest.approx(np.diag(true, 2), abs=0.01)


@pytest.mark.parametrize("lags", [1, 2, 7])
def test_a_short_spectrum_has_as_many_neighbours_as_it_has(lags):
    # half columns: the middles of two bins with one between them are a column apart
    whole = bin_correlation(np.full(9, 0.5), 2)[0]
    found = bin_correlation(np.full(3, 0.5), lags)
    assert found.shape == (3, lags)
    assert found[:2, 0] == pytest.approx([whole[0], whole[0]])
    assert found[0, 1:2] == pytest.approx(whole[1:lags])
    assert not found[0, 2:].any() and not found[1, 1:].any() and not found[2].any()
    assert not bin_correlation(np.full(1, 0.5), lags).any()


def test_unknown_widths_are_correlated_with_nothing():
    width = np.array([1.0, 1.0, np.nan, 1.0, 1.0])
    assert bin_correlation(width)[:, 0] == pytest.approx([0.25, 0, 0, 0.25, 0])


def test_the_covariance_gives_the_error_of_a_sum():
    error = np.array([1.0, 2.0, 3.0, np.nan])
    correlation = np.array([[0.25, 0.1], [0.25, 0.0], [0.3, 0.0], [0.0, 0.0]])
    matrix = band_covariance(error, correlation)
    assert np.array_equal(matrix, matrix.T)
    assert matrix[:3, :3] == pytest.approx(np.array([[1, 0.5, 0.3], [0.5, 4, 1.5], [0.3, 1.5, 9]]))
    assert np.all(matrix[3] == 0)
