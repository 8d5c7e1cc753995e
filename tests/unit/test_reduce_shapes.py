"""Earlier nights tell the shape of the response, never its level: by closed forms and injected responses."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sedmd.reduce.flux import shapes
from sedmd.reduce.flux.sensitivity import SHAPE_AGREES, Response, fit_sensitivity
from sedmd.reduce.flux.shapes import (
    EarlierShape,
    ResponseShape,
    covariance,
    error_of,
    normal_of,
    shape_apart,
    shape_of,
    shapes_in,
    shapes_text,
)
from unit.reduce_scenes import rng
from unit.test_reduce_sensitivity import BAND, H2O, O2, TRUE, WAVELENGTH, response

X = (WAVELENGTH - WAVELENGTH.mean()) / np.ptp(WAVELENGTH)


def told(value=TRUE, error=0.005, night="20211016", age=1) -> EarlierShape:
    """An earlier night that measured this response."""
    shape = shape_of(WAVELENGTH, value, np.broadcast_to(error, WAVELENGTH.shape))
    assert shape is not None
    return EarlierShape(night=night, age_nights=age, shape=shape)


def fit(responses, *earlier):
    return fit_sensitivity(WAVELENGTH, responses, BAND, O2, H2O, earlier=earlier)


def cut(one, low, high):
    """A star without its light between two wavelengths."""
    gone = (low < WAVELENGTH) & (high > WAVELENGTH)
    return Response(
        star=one.star,
        ratio=np.where(gone, np.nan, one.ratio),
        error=np.where(gone, np.nan, one.error),
        airmass=one.airmass,
    )


def shape_rms(found, truth=TRUE, where=~BAND):
    return float(np.nanstd(np.log(found.value / truth)[where]))


# the shape itself


def test_a_shape_is_sampled_as_densely_as_the_fit_is_free_with_both_ends():
    shape = told().shape
    assert (shape.wavelength[0], shape.wavelength[-1]) == (WAVELENGTH[0], WAVELENGTH[-1])
    assert_allclose(np.diff(np.log(shape.wavelength)), shapes.SPACING, atol=0.01)
    assert shape.log_value.mean() == pytest.approx(0, abs=1e-12)
    assert_allclose(np.diff(shape.log_value), np.diff(np.log(np.interp(shape.wavelength, WAVELENGTH, TRUE))))


def test_the_level_is_no_part_of_a_shape():
    assert str(told(0.3 * TRUE)) == str(told())


def test_what_is_not_known_is_no_sample():
    wide = np.where(WAVELENGTH > 7000, 0.6, 0.01)
    shape = told(np.where(WAVELENGTH > 4500, TRUE, np.nan), wide).shape
    assert 4500 < shape.wavelength[0] < 4600 and 6600 < shape.wavelength[-1] <= 7000
    assert shape_of(WAVELENGTH, TRUE, np.full(220, np.inf)) is None
    assert shape_of(WAVELENGTH, np.where(np.arange(220) < 3, TRUE, np.nan), np.zeros(220)) is None


def test_a_text_keeps_the_shapes():
    given = (told(), told(TRUE * np.exp(0.1 * X), 0.03, "20211010", 7))
    for one, back in zip(given, shapes_in(shapes_text(given)), strict=True):
        assert (one.night, one.age_nights) == (back.night, back.age_nights)
        assert_allclose(back.shape.wavelength, one.shape.wavelength, atol=0.051)
        assert_allclose(back.shape.log_value, one.shape.log_value, atol=5.1e-5)
        assert_allclose(back.shape.error, one.shape.error, atol=5.1e-5)
    assert shapes_text(()) == "" and shapes_in("") == ()


@pytest.mark.parametrize("text", ["4000:nan:0.1", "4000:1", "4000:one:0.1"])
def test_a_text_that_is_no_shape_is_refused(text):
    with pytest.raises(ValueError):
        ResponseShape.of(text)


def test_a_shape_is_worth_less_the_older_it_is():
    assert told(age=0).drift == shapes.SHAPE_NIGHT
    month = told(age=shapes.SHAPE_NIGHTS).drift
    assert month == pytest.approx(np.hypot(shapes.SHAPE_NIGHT, shapes.SHAPE_AGE))
    assert told(age=3 * shapes.SHAPE_NIGHTS).drift > 2 * month / np.sqrt(2)


def test_change_with_age_is_smooth_and_the_own_errors_are_independent():
    matrix = covariance(told().shape, 0.02)
    assert_allclose(np.diag(matrix), 0.005**2 + 0.02**2)
    near, far = matrix[0, 1], matrix[0, -1]
    assert 0.95 * 0.02**2 < near < 0.02**2 and 0 < far < 0.05 * 0.02**2


def test_what_a_shape_adds_is_that_of_a_fit_with_a_level_of_its_own():
    random = rng(3)
    basis, values = random.normal(size=(12, 4)), random.normal(size=12)
    basis[:, 3] = 1.0 - basis[:, :3].sum(axis=1)  # like splines: they add up to one everywhere
    root = random.normal(size=(12, 12))
    cov = root @ root.T + np.eye(12)
    matrix, goal = normal_of(basis, values, cov)
    assert_allclose(matrix @ np.ones(4), 0, atol=1e-10)
    assert goal.sum() == pytest.approx(0, abs=1e-10)
    assert_allclose(normal_of(basis, values + 7.0, cov)[1], goal, atol=1e-9)
    # the same by least squares with the level as a further unknown, tied to one coefficient
    design = np.column_stack([basis, np.ones(12)])
    tie = np.zeros((5, 5))
    tie[0, 0] = 1.0
    whole = np.linalg.lstsq(design.T @ np.linalg.inv(cov) @ design + tie, design.T @ np.linalg.inv(cov) @ values)[0]
    assert_allclose(np.linalg.solve(matrix + tie[:4, :4], goal), whole[:4], atol=1e-8)


def test_two_nights_know_better_than_one_and_none_beyond_its_samples():
    narrow = told(np.where(WAVELENGTH > 5000, TRUE, np.nan))
    one, two = error_of([told()], WAVELENGTH), error_of([told(), narrow], WAVELENGTH)
    assert_allclose(one, np.hypot(0.005, told().drift))
    assert_allclose((two / one)[WAVELENGTH > 5100], 1 / np.sqrt(2))
    assert_allclose((two / one)[WAVELENGTH < 5000], 1.0)
    assert np.isinf(error_of([narrow], WAVELENGTH)[WAVELENGTH < 5000]).all()
    assert np.isinf(error_of([], WAVELENGTH)).all()


def test_how_far_two_shapes_are_apart_is_the_rms_of_a_tilt():
    tilted = told(5 * TRUE * np.exp(0.4 * X), 1e-3).shape
    spread = float(np.std(0.4 * np.interp(tilted.wavelength, WAVELENGTH, X)))
    assert shape_apart(tilted, told(error=1e-3).shape) == pytest.approx(spread, rel=0.02)
    assert shape_apart(told().shape, told(0.5 * TRUE).shape) == 0
    assert shape_apart(told(TRUE * np.exp(0.2 * X), 0.1).shape, told().shape) == 0, "its own errors may do it"
    blue, red = (told(np.where(where, TRUE, np.nan)).shape for where in (WAVELENGTH < 5000, WAVELENGTH > 4800))
    assert shape_apart(told(TRUE * np.exp(9 * X), 1e-3).shape, red) > 0.5
    assert shape_apart(replace(blue, log_value=9 * blue.log_value), red) == 0, "too few samples in common"


# in the fit


def same(one, other):
    for name in ("value", "error", "telluric", "floor", "own_value", "own_error"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_an_earlier_night_that_knows_nothing_changes_nothing():
    star, given = cut(response(1.2), 7900, 1e5), told()
    vague = replace(given, shape=replace(given.shape, error=np.full(given.shape.error.size, 1e9)))
    alone, with_it = fit([star]), fit([star], vague)
    assert with_it.earlier == (("20211016", 1),)
    assert_allclose(with_it.value, alone.value, rtol=1e-9)
    for name in ("error", "floor"):
        assert_allclose(getattr(with_it, name), getattr(alone, name), rtol=1e-6, atol=1e-9)


def test_an_earlier_night_without_error_gives_its_shape(monkeypatch):
    monkeypatch.setattr(shapes, "SHAPE_NIGHT", 1e-6)
    monkeypatch.setattr(shapes, "SHAPE_AGE", 0.0)
    other = TRUE * np.exp(0.06 * X)
    found = fit([response(1.2, noise=0.2)], told(other, 1e-6))
    assert found.earlier == (("20211016", 1),)
    assert shape_rms(found, other) < 2.5e-3 < 10e-3 < shape_rms(found, TRUE)


def test_the_level_is_that_of_the_nights_own_star_whatever_the_earlier_level_was():
    star = response(1.2, noise=0.05, seed=4)
    clear, clouded = fit([star], told()), fit([star], told(0.2 * TRUE))
    assert_allclose(clouded.value, clear.value, rtol=1e-9)
    assert float(np.median((clear.value / TRUE)[~BAND])) == pytest.approx(1, abs=0.015)
    half = fit([response(1.2, noise=0.05, seed=4, cloud=0.5)], told())
    assert_allclose(half.value, 0.5 * clear.value, rtol=1e-6)


def test_a_bright_star_hardly_needs_them():
    bright = response(1.2, noise=0.002, seed=5)
    alone, helped = fit([bright]), fit([bright], *(told(TRUE * np.exp(t * X)) for t in (0.05, 0.02, 0.03)))
    assert len(helped.earlier) == 3
    assert np.abs(helped.value / alone.value - 1)[~BAND].max() < 0.004


def test_a_faint_star_gains_and_more_by_three_nights_than_by_one():
    wrong = []
    for seed in range(12):
        faint, drawn = response(1.2, noise=0.15, seed=60 + seed), rng(90 + seed).normal(0, 0.03, (3, 2))
        seen = [TRUE * np.exp(a * np.cos(3 * X) + b * np.sin(3 * X)) for a, b in drawn]
        nights = [told(one, 0.02, f"2021101{n}", 9 - n) for n, one in enumerate(seen)]
        wrong.append([shape_rms(fit([faint], *nights[:count])) for count in (0, 1, 3)])
    none, one, three = np.mean(wrong, axis=0)
    assert one < 0.6 * none and three < 0.75 * one


def test_where_no_star_reaches_the_earlier_shape_goes_on_and_its_error_is_told():
    short = cut(response(1.2, noise=0.003, seed=6), 7900, 1e5)
    alone, helped = fit([short]), fit([short], told(error=0.02))
    assert np.isnan(alone.value[WAVELENGTH > 7950]).all()
    beyond = (WAVELENGTH > 7950) & ~BAND
    assert_allclose(helped.value[beyond], TRUE[beyond], rtol=0.02)
    known = np.hypot(0.02, told().drift)
    assert (helped.floor[beyond] >= known).all() and (helped.floor[beyond] < 2 * known).all()
    assert_allclose(helped.error[beyond], known)
    within = (WAVELENGTH < 7800) & ~BAND
    assert_allclose(helped.floor[within], alone.floor[within], atol=0.003)
    assert (helped.error[within] <= alone.error[within]).all()
    assert np.isnan(helped.own_value[WAVELENGTH > 7950]).all(), "a later night hears only what this one saw"


def test_a_star_that_tells_no_shape_gives_the_level_and_the_earlier_night_the_shape():
    star = response(1.2, noise=0.01, seed=11)
    only = cut(cut(star, 0, 5600), 6250, 1e5)
    alone, helped = fit([only]), fit([only], told(0.2 * TRUE, 0.004))
    assert shape_of(WAVELENGTH, alone.own_value, alone.own_error) is None
    assert helped.earlier and np.isfinite(helped.value).all()
    assert_allclose(helped.value[~BAND], TRUE[~BAND], rtol=0.02)


def test_a_shape_that_was_rounded_reaches_to_the_same_ends():
    short = cut(response(1.2, seed=12), 7900, 1e5)
    (rounded,) = shapes_in(shapes_text([told()]))
    assert_array_equal(np.isfinite(fit([short], rounded).value), np.isfinite(TRUE))
    assert np.isinf(error_of([rounded], np.array([WAVELENGTH[0] - 5, WAVELENGTH[-1] + 5]))).all()


def test_what_an_earlier_night_saw_beyond_the_ends_of_tonights_bins_does_not_bend_them():
    blue = WAVELENGTH < 7000
    narrow = {"ratio": response(1.2, seed=13).ratio[blue], "error": response(1.2, seed=13).error[blue]}
    star = Response(star="S", airmass=1.2, **narrow)
    fits = [
        fit_sensitivity(WAVELENGTH[blue], [star], BAND[blue], O2[blue], H2O[blue], earlier=earlier)
        for earlier in ((), (told(error=1e-3),))
    ]
    assert fits[1].earlier
    assert_allclose(fits[1].value, fits[0].value, rtol=0.01)


def test_a_hole_in_the_only_star_is_filled_by_the_earlier_shape():
    holed = cut(response(1.2, noise=0.003, seed=7), 5000, 6300)
    hole = (WAVELENGTH > 5050) & (WAVELENGTH < 6250)
    helped = fit([holed], told())
    assert np.abs(helped.value / TRUE - 1)[hole].max() < 0.015
    assert np.isnan(fit([holed]).value[hole]).all()
    assert (helped.own_error[hole].max() > 0.05) and helped.own_error[WAVELENGTH < 4800].max() < 0.02


def test_a_night_whose_shape_is_not_that_of_tonights_stars_is_left_out():
    star, tilt = response(1.2, seed=8), 0.25
    found = fit([star], told(TRUE * np.exp(tilt * X), night="20211001"), told())
    assert found.earlier == (("20211016", 1),)
    ((night, off),) = found.changed
    assert night == "20211001" and off == pytest.approx(tilt / np.sqrt(12), rel=0.15)
    only = fit([star], told(TRUE * np.exp(tilt * X), night="20211001"))
    alone = fit([star])
    assert only.earlier == () and only.changed
    same(only, alone)
    small = fit([star], told(TRUE * np.exp(0.9 * SHAPE_AGREES * np.sqrt(12) * X)))
    assert small.changed == ()


def test_what_a_night_hands_on_is_what_its_own_stars_saw():
    star = response(1.2, noise=0.05, seed=9)
    alone, helped = fit([star]), fit([star], told())
    assert_array_equal(helped.own_value, alone.own_value)
    assert_array_equal(helped.own_error, alone.own_error)
    assert_array_equal(alone.own_value, alone.value)
    assert shape_rms(helped) < shape_rms(alone)


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_the_error_of_a_shape_is_how_far_it_is_off(noise):
    off, said = [], []
    for seed in range(25):
        found = fit([response(1.2, noise=noise, seed=200 + seed)])
        shape = shape_of(WAVELENGTH, found.own_value, found.own_error)
        left = np.interp(shape.wavelength, WAVELENGTH, np.log(TRUE)) - shape.log_value
        clear = ~np.interp(shape.wavelength, WAVELENGTH, BAND.astype(float)).astype(bool)
        off.append(np.mean((left - left[clear].mean())[clear] ** 2))
        said.append(np.mean(shape.error[clear] ** 2))
    assert np.sqrt(np.mean(off)) == pytest.approx(np.sqrt(np.mean(said)), rel=0.35)
