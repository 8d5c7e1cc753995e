"""Lamp lines: places and error bars of single lines and blends, and which lines go together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sedmd.reduce.loops.lines import draw_group, improve_groups, solve, strength_equations
from sedmd.reduce.wavelength.line_groups import (
    MEASURED,
    REDDEST_FITTED,
    REDDEST_RELIABLE,
    blends,
    group_lines,
    lamp_groups,
)
from sedmd.reduce.wavelength.linefit import TABLE_SIGMA, fit_group
from unit.reduce_scenes import pixel_shares, rng

N, N_COLUMN = 400, 60


def arc(place, share, flux, *, shift, sigma=1.3, floor=8.0, seed=1, read_noise=5.0):
    """Spectra of N spaxels with lines at `place` + shift; noise of photons and of read-out unless `seed` is None."""
    column = np.arange(N_COLUMN)
    light = np.full((N, N_COLUMN), floor)
    for p, s in zip(place, share):
        light = light + flux * s * pixel_shares(column[None, :] - p - shift[:, None], sigma)
    variance = light + read_noise**2
    spectra = light if seed is None else rng(seed).normal(light, np.sqrt(variance))
    return spectra, variance


def fit(spectra, variance, place, intensity, blend=None, sigma=1.3, **options):
    m = len(place)
    return fit_group(
        spectra,
        variance,
        np.tile(np.asarray(place, float), (N, 1)),
        np.full((N, m), sigma),
        np.asarray(intensity),
        blend=blend,
        **options,
    )


@pytest.mark.parametrize("slope", [-40.0, 40.0])
def test_sloping_continuum_does_not_draw_a_line_up(slope):
    spectra, variance = arc([30.0], [1.0], 1500.0, shift=np.zeros(N))
    spectra = spectra + 1000.0 + slope * (np.arange(spectra.shape[1]) - 30.0)
    found = fit(spectra, variance + 1000.0, [30.0], [1.0])
    assert np.nanmean(found.shift) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("bend", [-1.5, 1.5])
def test_bent_continuum_does_not_draw_the_ends_of_a_long_group_together_or_apart(bend):
    place = [24.0, 30.0, 36.0]
    spectra, variance = arc(place, [0.4, 0.3, 0.3], 3000.0, shift=np.zeros(N))
    spectra = spectra + 800.0 + bend * (np.arange(spectra.shape[1]) - 30.0) ** 2
    found = fit(spectra, variance + 800.0, place, [0.4, 0.3, 0.3], blend=np.arange(3))
    assert_allclose(np.nanmean(found.shift, axis=0), 0, atol=0.02)


def test_blends_of_a_group_are_held_together_as_far_as_is_asked():
    place = [27.0, 33.0]
    spectra, variance = arc([26.8, 33.2], [0.5, 0.5], 3000.0, shift=np.zeros(N))
    apart = [
        np.diff(np.nanmean(fit(spectra, variance, place, [0.5, 0.5], blend=np.arange(2), spread_sigma=s).shift, axis=0))
        for s in (0.5, 0.02)
    ]
    assert apart[0] == pytest.approx(0.4, abs=0.02) and apart[1] < 0.2


def test_a_table_that_is_not_trusted_leaves_the_ratio_to_the_light():
    # Lines of which the table knows the ratio wrong by a factor of twenty.
    spectra, variance = arc([29.0, 32.0], [0.5, 0.5], 400.0, shift=rng(4).uniform(-0.3, 0.3, N))
    table, place = np.array([0.95, 0.05]), [29.0, 32.0]
    trusted, free = (
        fit(spectra, variance, place, table, table=table, table_sigma=np.array([s, s])).intensity[1]
        for s in (0.05, np.log(18.0))
    )
    assert trusted < 0.25 and free == pytest.approx(0.5, abs=0.03)
    # One line of the two that is not known makes their ratio as little known.
    one = fit(spectra, variance, place, table, table=table, table_sigma=np.array([TABLE_SIGMA, np.log(18.0)]))
    assert one.intensity[1] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("flux", [400.0, 1500.0])
def test_single_line_comes_back_with_its_error(flux):
    shift = rng(3).uniform(-0.9, 0.9, N)
    found = fit(*arc([30.0], [1.0], flux, shift=shift), [30.0], [1.0])
    pull = (found.shift[:, 0] - shift) / found.error[:, 0]
    assert np.isfinite(pull).mean() > 0.99
    # The error also holds three per cent for the line's shape, which shows in bright lines.
    assert 1 - (0.12 if flux < 500 else 0.2) < np.nanstd(pull) < 1.08
    assert np.nanmean(pull) == pytest.approx(0, abs=0.2)
    assert np.nanmean(found.amplitude) == pytest.approx(flux, rel=0.02)


@pytest.mark.parametrize("shift", [-1.7, -0.3, 0.0, 0.4, 2.2])
def test_shift_is_measured_minus_predicted(shift):
    found = fit(*arc([30.0], [1.0], 5000.0, shift=np.full(N, shift), seed=None), [30.0], [1.0])
    assert_allclose(found.shift[:, 0], shift, atol=0.005)


@pytest.mark.parametrize("sigma", [1.1, 1.5])
def test_stretch_is_the_width_in_units_of_the_prediction(sigma):
    found = fit(*arc([30.0], [1.0], 20000.0, shift=np.zeros(N), sigma=sigma), [30.0], [1.0], sigma=1.3)
    assert np.median(found.stretch) == pytest.approx(sigma / 1.3, abs=0.02)


def test_resolved_lines_find_their_own_ratio():
    place, share = [26.0, 31.0], np.array([0.7, 0.3])
    shift = rng(4).uniform(-0.8, 0.8, N)
    for blend in ([0, 0], [0, 1]):
        found = fit(*arc(place, share, 4000.0, shift=shift), place, [0.5, 0.5], blend=blend)
        assert_allclose(found.intensity, share, atol=0.03)
        assert found.shift.shape == (N, max(blend) + 1)
        assert np.sqrt(np.nanmean((found.shift - shift[:, None]) ** 2)) < 0.1
        assert_allclose(np.nanmean(found.shift - shift[:, None], axis=0), 0, atol=0.02)


def test_unresolved_blend_with_known_ratio_is_unbiased_and_keeps_the_ratio():
    place, share = [29.5, 31.0], np.array([0.6, 0.4])
    shift = rng(5).uniform(-0.8, 0.8, N)
    found = fit(*arc(place, share, 4000.0, shift=shift), place, share, free=False)
    assert_allclose(found.intensity, share)
    pull = (found.shift[:, 0] - shift) / found.error[:, 0]
    assert np.nanmean(found.shift[:, 0] - shift) == pytest.approx(0, abs=0.005)
    assert 0.6 < np.nanstd(pull) < 1.08


def test_model_holds_the_light_of_the_line_without_its_floor():
    found = fit(*arc([30.0], [1.0], 3000.0, shift=np.zeros(N)), [30.0], [1.0])
    assert_allclose(found.model.sum(axis=1), found.amplitude, rtol=0.01)


def test_what_is_not_there_is_not_measured():
    spectra, variance = arc([30.0], [1.0], 0.0, shift=np.zeros(N))
    assert np.isnan(fit(spectra, variance, [30.0], [1.0]).shift).mean() > 0.98
    spectra, variance = arc([30.0], [1.0], 3000.0, shift=np.zeros(N))
    spectra[7, 30] = np.nan
    far = np.full(N, 30.0)
    far[9] = 58.0
    found = fit_group(spectra, variance, far[:, None], np.full((N, 1), 1.3), np.ones(1))
    assert np.isnan(found.shift[[7, 9]]).all()
    assert np.isfinite(np.delete(found.shift[:, 0], [7, 9])).all()


def test_fit_that_wanders_too_far_is_marked():
    found = fit(*arc([34.5], [1.0], 5000.0, shift=np.zeros(N)), [30.0], [1.0], max_shift=2.0)
    assert np.isnan(found.shift).all()


def test_groups_by_distance_and_weak_lines_to_their_strong_neighbour():
    place = np.array([40.0, 10.0, 12.5, 41.5, 80.0, 44.0, 120.0])
    intensity = np.array([1.0, 0.8, 0.5, 0.9, 0.7, 0.01, 0.01])
    groups = [sorted(g.tolist()) for g in group_lines(place, intensity, separation=4.0)]
    assert sorted(groups) == [[0, 3, 5], [1, 2], [4], [6]]


def test_weak_lines_away_from_strong_ones_are_fitted_with_what_stands_beside_them():
    place = np.array([10.0, 40.0, 44.5, 49.0, 70.0, 72.0])
    intensity = np.array([1.0, MEASURED, 0.004, 0.004, 0.004, 0.003])
    # 40 is measured, and 44.5 is within the window of its fit; of the last two nothing is
    groups = [g.tolist() for g in group_lines(place, intensity, separation=4.0)]
    assert sorted(groups) == [[0], [1, 2], [3], [4, 5]]


def test_far_in_the_red_each_line_may_be_the_bright_one():
    wavelength = np.array([9100.0, REDDEST_RELIABLE + 200, REDDEST_FITTED + 10, 9900.0])
    place, table = np.array([30.0, 25.0, 22.5, 20.0]), np.array([1.0, 0.02, 0.02, 0.9])
    groups = [sorted(g.tolist()) for g in lamp_groups(wavelength, place, table, separation=3.0)]
    # by the table alone the first of the weak ones would be a part of the strong line at 9100
    assert sorted(groups) == [[0], [1], [2, 3]]


def test_blends_hold_what_cannot_be_resolved_and_are_never_long():
    place = np.array([10.0, 11.0, 20.0, 20.5, 21.9, 23.1])
    intensity = np.array([1.0, 0.6, 0.8, 0.01, 0.7, 0.9])
    number = blends(place, intensity, resolution=2.0)
    # 20.0 and 21.9 are close, 21.9 and 23.1 as well, but not all three; the faint one goes with its neighbour
    assert number.tolist() == [0, 0, 1, 1, 1, 2]
    assert blends(np.array([5.0, 9.0]), np.array([0.001, 0.003]), 2.0).tolist() == [0, 0]


lines = st.lists(st.tuples(st.floats(0, 400), st.floats(0.001, 1.0)), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None, database=None)
@given(lines, st.floats(0.5, 8.0))
def test_every_line_is_in_one_group_and_sorted(table, separation):
    place, intensity = (np.array(a) for a in zip(*table))
    groups = group_lines(place, intensity, separation)
    assert sorted(np.concatenate(groups).tolist()) == list(range(place.size))
    for group in groups:
        assert (np.diff(place[group]) >= 0).all()
    number = blends(place, intensity, separation)
    assert set(number) == set(range(number.max() + 1)) and number.size == place.size


def test_weak_neighbour_of_the_table_cannot_take_half_of_a_bright_line():
    # Cadmium: 5086 with 5155, a hundredth as bright in the table, three columns away and not there.
    shift = rng(11).uniform(-0.2, 0.2, N)
    spectra, variance = arc([30.0], [1.0], 3000.0, shift=shift, sigma=1.5)
    table = np.array([1.0, 0.006])
    found = fit(spectra, variance, [31.2, 28.8], table, table=table)
    assert found.intensity[1] < 0.05
    assert np.nanmedian(found.shift[:, 0] - shift + 1.2) == pytest.approx(0, abs=0.1)


def gaussians(column, place, sigma):
    """Gaussian lines of unit flux and their derivatives with respect to place and to the logarithm of sigma."""
    t = (column - np.asarray(place)[:, None]) / np.asarray(sigma)[:, None]
    value = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi) / np.asarray(sigma)[:, None]
    return value, value * t / np.asarray(sigma)[:, None], value * (t**2 - 1)


@settings(max_examples=60, deadline=None, database=None)
@given(st.lists(st.tuples(st.floats(-20, 60), st.floats(0.6, 5.0)), min_size=1, max_size=6), st.floats(-2, 2))
def test_lines_drawn_column_by_column_are_gaussians_on_and_beside_the_window(lines, shift):
    place, sigma = (np.array(a) for a in zip(*lines))
    share, blend = np.linspace(1.0, 2.0, place.size), np.arange(place.size) % 2
    parameters = np.array([50.0, 1.1, 7.0, 3.0, -5.0, shift, shift + 0.5])
    light, derivatives = np.empty(40), np.empty((7, 40))
    draw_group(7, place + 7.0, sigma, share, blend, parameters, light, derivatives)
    value, slope, swell = gaussians(np.arange(40.0), place + shift + 0.5 * blend, 1.1 * sigma)
    assert_allclose(light, 50 * share @ value, atol=1e-10)
    along = (np.arange(40) - 19.5) / 40
    wanted = [share @ value, 50 * share @ swell / 1.1, np.ones(40), along, along**2]
    wanted += [50 * (share * (blend == k)) @ slope for k in (0, 1)]
    assert_allclose(derivatives, wanted, atol=1e-10)


def test_small_systems_are_solved_with_the_variances():
    random = rng(2)
    for k in (1, 3, 5):
        a = random.normal(size=(k + 3, k))
        normal, wanted = a.T @ a, random.normal(size=k)
        right, variance = normal @ wanted, np.empty(k)
        assert solve(normal.copy(), right, variance)
        assert_allclose(right, wanted, rtol=1e-9)
        assert_allclose(variance, np.diag(np.linalg.inv(normal)), rtol=1e-9)
    assert not solve(-np.eye(2), np.ones(2), np.empty(2))


def scene_of_two_blends():
    """Two spaxels with three lines in two blends: what the loops are given, and the numpy model of the first."""
    place, share, sigma = np.array([24.0, 25.5, 31.0]), np.array([0.5, 0.2, 0.3]), np.array([1.3, 1.4, 1.3])
    blend, first = np.array([0, 0, 1]), 10
    data = arc(place - first + 0.3, share, 3000.0, shift=np.zeros(N))[0][:2, :32].copy()
    start = np.array([2500.0, 1.05, 9.0, -2.0, 3.0, 0.1, 0.2])
    given = (data, data + 25.0, np.full(2, first), np.tile(place, (2, 1)), np.tile(sigma, (2, 1)), share, blend)
    lines = gaussians(np.arange(32.0) + first, place + start[5 + blend], sigma * start[1])
    value, _, swell = (share @ v for v in lines)
    along = (np.arange(32) - 15.5) / 32
    residual = data[0] - start[0] * value - start[2] - start[3] * along - start[4] * along**2
    shifts = [start[0] * (share * (blend == k)) @ lines[1] for k in (0, 1)]
    design = np.column_stack([value, start[0] * swell / start[1], np.ones(32), along, along**2, *shifts])
    light = start[0] * value
    weight = 1 / (np.maximum(data[0] + 25.0, 1) + (0.03 * light) ** 2 + (0.003 * start[0]) ** 2)
    prior = np.zeros((7, 7))
    prior[1, 1], prior[4, 4] = 0.1**-2, 20.0**-2
    prior[5:, 5:] = np.array([[0.5, -0.5], [-0.5, 0.5]]) / 0.5**2
    right = design.T @ (weight * residual) + prior @ (np.array([0, 1, 0, 0, 0, 0, 0]) - start)
    own = design.T @ (weight[:, None] * design) + prior
    per_line = (start[0] * share[:, None] * lines[0]).T
    return given, start, own, right, weight, design, per_line, residual


def test_a_round_is_a_weighted_linear_least_squares_step():
    given, start, own, right, *_ = scene_of_two_blends()
    found, errors2 = np.tile(start, (2, 1)), np.full((2, 7), -1.0)
    improve_groups(*given, np.array([True, False]), 1, np.array([0.1, 0.5, 20.0]), found, errors2)
    step = np.linalg.solve(own, right)
    assert np.abs(step[1]) < 0.2 and np.abs(step[5:]).max() < 1.0
    assert_allclose(found[0], start + step, rtol=1e-8)
    assert_allclose(errors2[0], np.diag(np.linalg.inv(own)), rtol=1e-8)
    assert (found[1] == start).all() and (errors2[1] == -1.0).all()


def test_what_spaxels_say_of_strengths_leaves_their_own_parameters_free():
    given, start, own, right, weight, design, per_line, residual = scene_of_two_blends()
    normal, of_strength, pull = np.empty((3, 3)), np.empty(3), np.empty((2, 3))
    parameters = np.tile(start, (2, 1))
    strength_equations(*given, np.array([0]), np.array([0.1, 0.5, 20.0]), parameters, normal, of_strength, pull)
    cross = design.T @ (weight[:, None] * per_line)
    answer = np.linalg.solve(own, cross)
    assert_allclose(pull, -answer[5:], rtol=1e-7, atol=1e-12)
    whole = per_line.T @ (weight[:, None] * per_line)
    assert_allclose(normal, whole - cross.T @ answer, atol=1e-9 * whole.max())
    straight = per_line.T @ (weight * residual)
    assert_allclose(of_strength, straight - answer.T @ right, atol=1e-9 * np.abs(straight).max())


def test_doubt_about_the_ratio_of_a_close_pair_is_told_and_a_single_line_has_none():
    shift = rng(5).uniform(-0.8, 0.8, N)
    place, share = [29.5, 31.0], np.array([0.5, 0.5])
    pair = fit(*arc(place, share, 4000.0, shift=shift), place, share, free=False)
    # A factor of two between the two is a sixth of the light, a quarter of a column: the shape tells a little of it.
    assert 0.05 < pair.uncertainty[0] < 0.25
    assert fit(*arc([30.0], [1.0], 4000.0, shift=shift), [30.0], [1.0]).uncertainty[0] == 0.0


def test_light_of_others_is_taken_off():
    shift = rng(3).uniform(-0.5, 0.5, N)
    spectra, variance = arc([30.0], [1.0], 3000.0, shift=shift, seed=None)
    others, _ = arc([33.0], [1.0], 2500.0, shift=shift, seed=None, floor=0.0)
    alone = fit(spectra, variance, [30.0], [1.0])
    found = fit(spectra + others, variance, [30.0], [1.0], others=others)
    assert_allclose(found.shift, alone.shift, atol=1e-9)
    light = np.zeros(spectra.shape)
    np.put_along_axis(light, found.column, found.model, axis=1)
    assert_allclose(light + 8.0, spectra, atol=0.01 * 3000 / 3)
