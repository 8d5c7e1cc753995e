"""The field model of the wavelength solution: one line mistaken does not bend it, many are told by the strain."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import Legendre
from numpy.testing import assert_allclose

from sedmd.reduce.wavelength.dispersion import CURVE_FREEDOM, Group, fit_model
from sedmd.reduce.wavelength.solution_checks import MAX_STRAIN
from unit.reduce_scenes import rng

ENDS = (1.2, -1.0)
XI = np.array([1.15, 0.9, 0.7, 0.45, 0.3, 0.1, -0.1, -0.3, -0.5, -0.7, -0.9])
N = 200


def groups(off):
    """Lines of an instrument with a straight curve over a smooth field, measured to 0.01 px, and `off` by so much."""
    random = rng(5)
    centre, row = random.uniform(200, 1800, N), random.uniform(200, 1800, N)
    true = centre[:, None] + (100 + 0.004 * row)[:, None] * XI
    measured = true + random.normal(0, 0.01, true.shape) + off
    made = [
        Group(
            lamp="Xe",
            wavelength=6500.0 - 2500 * xi,
            xi=xi,
            uncertainty=0.05,
            clean=True,
            light=1000.0,
            column=measured[:, i],
            error=np.full(N, 0.01),
            stretch=np.ones(N),
        )
        for i, xi in enumerate(XI)
    ]
    return made, centre, row, true


def solved(off):
    made, centre, row, true = groups(off)
    fitted = fit_model(made, ENDS, centre, row)
    return np.polynomial.polynomial.polyval(XI, fitted.coeff.T) - true, fitted.strain


def test_lines_as_they_are_expected_strain_nothing():
    error, strain = solved(np.zeros(XI.size))
    assert np.abs(error).max() < 0.05
    assert strain < 0.2


@pytest.mark.parametrize("mistaken", [3, 7])
def test_a_line_taken_for_another_neither_bends_the_solution_nor_condemns_it(mistaken):
    off = np.zeros(XI.size)
    off[mistaken] = -1.3
    error, strain = solved(off)
    others = np.setdiff1d(np.arange(XI.size), mistaken)
    assert np.abs(np.median(error[:, others], axis=0)).max() < 0.1
    assert 0.5 < strain < MAX_STRAIN, "it is told, and the night goes on"


def test_lines_of_another_lamp_are_told_by_the_strain():
    _, strain = solved(rng(8).choice([-1, 1], XI.size) * rng(9).uniform(2, 6, XI.size))
    assert strain > MAX_STRAIN


def left_out(off, without=None):
    made, centre, row, _ = groups(off)
    if without is not None:
        made.pop(without)
    return made, fit_model(made, ENDS, centre, row), centre, row


@pytest.mark.parametrize("mistaken", [3, 5, 7])
def test_a_line_out_of_place_lies_that_far_from_where_the_others_put_it(mistaken):
    off = np.zeros(XI.size)
    off[mistaken] = 0.9
    _, fitted, *_ = left_out(off)
    pull = np.abs(fitted.left_out) / fitted.left_out_error
    assert np.argmax(pull) == mistaken and pull[mistaken] > 4
    assert fitted.left_out[mistaken] == pytest.approx(0.9, abs=2 * fitted.left_out_error[mistaken])
    others = np.setdiff1d(np.arange(XI.size), mistaken)
    assert np.all(pull[others] < 4)


def test_the_outermost_lines_are_not_held_by_the_others():
    _, fitted, *_ = left_out(np.zeros(XI.size))
    inner = np.median(fitted.left_out_error[3:8])
    assert fitted.left_out_error[0] > 3 * inner and fitted.left_out_error[-1] > 3 * inner


def test_left_out_is_what_a_fit_without_the_line_gives():
    # an inner line and small offsets: no robust weight changes when it goes
    off = rng(3).normal(0, 0.02, XI.size)
    made, fitted, *_ = left_out(off)
    for number in (3, 5, 7):
        _, rest, *_ = left_out(off, without=number)
        there = np.polynomial.polynomial.polyval(XI[number], rest.coeff.T)
        seen = np.median(made[number].column - there)
        assert fitted.left_out[number] == pytest.approx(seen, abs=0.01)


def test_lines_where_they_belong_scatter_as_the_errors_say():
    pulls = []
    for seed in range(40):
        off = rng(100 + seed).normal(0, 0.05, XI.size)
        _, fitted, *_ = left_out(off)
        pulls.append(fitted.left_out / fitted.left_out_error)
    assert 0.7 < np.std(pulls) < 1.1


def test_a_coordinate_that_is_bent_already_is_held_to_the_published_curve_all_the_same():
    """A bend of the curve costs the same whether xi has it or not, and the fit is the same."""
    made, centre, row, _ = groups(np.zeros(XI.size))
    terms = Legendre.basis(2, domain=[ENDS[1], ENDS[0]])
    bent = [replace(g, column=g.column + 3.0 * terms(g.xi)) for g in made]
    as_it_is, held = fit_model(bent, ENDS, centre, row), fit_model(made, ENDS, centre, row, np.array([3.0]))
    assert as_it_is.bends[0] == pytest.approx(3.0, abs=0.2) == held.bends[0]
    assert held.strain == pytest.approx(as_it_is.strain, rel=0.05)
    assert as_it_is.strain > fit_model(made, ENDS, centre, row).strain + 0.8 * (3.0 / CURVE_FREEDOM[0]) ** 2 / XI.size
    assert_allclose(
        np.polynomial.polynomial.polyval(XI, as_it_is.coeff.T) - 3.0 * terms(XI),
        np.polynomial.polynomial.polyval(XI, held.coeff.T),
        atol=1e-6,
    )


def test_curve_is_that_of_the_middle_of_the_chip():
    made, centre, row, _ = groups(np.zeros(XI.size))
    fitted = fit_model(made, ENDS, centre, row)
    at = np.linspace(-0.9, 1.1, 9)
    curve = np.polynomial.polynomial.polyval(at, fitted.curve)
    assert_allclose(curve - np.interp(0, at, curve), (100 + 0.004 * 1024) * at, atol=0.05)
