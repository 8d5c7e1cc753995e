"""Accuracy of a wavelength solution: errors that cover, and another law that goes another way where no lines are."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import Legendre
from numpy.testing import assert_allclose

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.products.solution import read_wavelength, write_wavelength
from sedmd.reduce.wavelength.accuracy import ACCURACY_GRID, Accuracy, accuracy_of, fit_law
from sedmd.reduce.wavelength.dispersion import CURVE_FREEDOM, CURVE_RANGE, Group
from sedmd.reduce.wavelength.scale import make_scale
from sedmd.reduce.wavelength.wavelength import LineGroup
from unit.reduce_scenes import hex_spaxels, prism_solution, rng

KPY, PYSEDM = (make_scale(guess.wavelength, guess.column) for guess in DISPERSION_GUESSES)
LINES = np.array([3651.0, 4047.0, 4358.0, 4678.0, 5086.0, 5461.0, 6438.0, 7346.0, 8232.0, 8819.0, 9163.0])


def drawn(random):
    """A law drawn from what is allowed of the curve: shift, stretch, and bends of the given freedom."""
    ends = np.sort(KPY.to_xi(np.array(CURVE_RANGE)))
    bends = random.normal(0.0, np.r_[0.0, 5.0, CURVE_FREEDOM])
    bend = sum(b * Legendre.basis(j, domain=list(ends)) for j, b in enumerate(bends))
    return lambda at: 500.0 + 100.0 * KPY.to_xi(at) + bend(KPY.to_xi(at))


def groups(lines, coeff, *, moved=0.0, sigma=0.05, lamp="Hg"):
    return [
        Group(
            lamp=lamp,
            wavelength=float(line),
            xi=float(KPY.to_xi(line)),
            uncertainty=sigma,
            clean=True,
            light=1e4,
            column=np.polynomial.polynomial.polyval(float(KPY.to_xi(line)), coeff.T) + shift,
            error=np.full(len(coeff), 0.02),
            stretch=np.ones(len(coeff)),
        )
        for line, shift in zip(lines, np.broadcast_to(moved, len(lines)), strict=True)
    ]


COEFF = np.column_stack([np.linspace(300.0, 900.0, 40), np.full(40, 100.0), np.zeros(40)])


@pytest.mark.parametrize("lines", [LINES, LINES[:7], LINES[4:]], ids=["all", "no red ones", "no blue ones"])
def test_error_is_as_large_as_the_law_is_off(lines):
    random, sigma = rng(3), 0.05
    pulls = []
    for _ in range(150):
        law = drawn(random)
        place = law(lines) + random.normal(0.0, sigma, lines.size)
        column, error = fit_law(KPY.to_xi, lines, place, np.full(lines.size, sigma), ACCURACY_GRID)
        pulls.append((column - law(ACCURACY_GRID)) / error)
    assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.35)


def test_error_grows_beyond_the_last_line():
    known, unknown = (accuracy_of(groups(lines, COEFF), COEFF, KPY.to_xi) for lines in (LINES, LINES[:7]))
    red = ACCURACY_GRID == 9000.0
    assert known.error[red] < 0.15
    assert unknown.error[red] > 0.5
    inside = (ACCURACY_GRID > 4300) & (ACCURACY_GRID < 6000)
    assert (unknown.error[inside] < 0.1).all()
    assert unknown.worst(4000.0, 9200.0)[1] == 9200.0


def test_another_law_agrees_at_the_lines_and_differs_where_there_are_none():
    found = accuracy_of(groups(LINES[:7], COEFF), COEFF, KPY.to_xi, PYSEDM.to_xi)
    inside = (ACCURACY_GRID > 4300) & (ACCURACY_GRID < 6000)
    assert np.abs(found.other_law[inside]).max() < 0.1
    assert np.abs(found.other_law[ACCURACY_GRID == 9200.0]) > 0.5
    assert_allclose(accuracy_of(groups(LINES, COEFF), COEFF, KPY.to_xi, KPY.to_xi).other_law, 0.0, atol=1e-3)
    assert np.isnan(accuracy_of(groups(LINES, COEFF), COEFF, KPY.to_xi).other_law).all()


def test_sign_is_that_of_the_solution_less_the_other_law():
    # all lines lie a column higher than the solution says: through them goes a law that is a column higher
    found = accuracy_of(groups(LINES, COEFF, moved=1.0), COEFF, KPY.to_xi, KPY.to_xi)
    assert_allclose(found.other_law, -1.0, atol=0.01)


def test_a_line_that_is_another_one_has_little_say():
    moved = np.zeros(LINES.size)
    moved[6] = 3.0
    found = accuracy_of(groups(LINES, COEFF, moved=moved), COEFF, KPY.to_xi, KPY.to_xi)
    assert np.abs(found.other_law[(ACCURACY_GRID > 4000) & (ACCURACY_GRID < 9200)]).max() < 0.1


def test_total_is_both_together_and_the_worst_is_its_largest():
    found = Accuracy(
        wavelength=np.array([4000.0, 5000.0, 9300.0]),
        error=np.array([0.3, 0.1, 9.0]),
        other_law=np.array([-0.4, np.nan, 0.0]),
    )
    assert_allclose(found.total, [0.5, 0.1, 9.0])
    assert found.worst(3900.0, 9200.0) == (pytest.approx(0.5), 4000.0)


def test_accuracy_is_kept_in_the_product(tmp_path):
    known = accuracy_of(groups(LINES, COEFF), COEFF, KPY.to_xi, PYSEDM.to_xi)
    solution = replace(prism_solution(COEFF[:, 0]), accuracy=known, groups=(LineGroup("Hg", 4358.0, 0.0, 0.02),))
    spaxels = hex_spaxels(4)
    spaxels = spaxels.part(np.arange(len(spaxels.ident)) < len(COEFF))
    write_wavelength(tmp_path / "wavelength.fits", solution, spaxels, cards={})
    read = read_wavelength(tmp_path / "wavelength.fits").accuracy
    for name in ("wavelength", "error", "other_law"):
        assert_allclose(getattr(read, name), getattr(known, name))
    write_wavelength(tmp_path / "old.fits", replace(solution, accuracy=None), spaxels, cards={})
    assert read_wavelength(tmp_path / "old.fits").accuracy is None
