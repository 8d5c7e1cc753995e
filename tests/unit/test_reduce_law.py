"""The law of dispersion by an earlier night's lines: told and read, taken over where it holds, left out where not."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.polynomial import Legendre
from numpy.testing import assert_allclose

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.reduce.wavelength.accuracy import ACCURACY_GRID, fit_law
from sedmd.reduce.wavelength.dispersion import CURVE_FREEDOM, CURVE_RANGE, Group, fit_model
from sedmd.reduce.wavelength.law import (
    NIGHTLY,
    PUBLISHED,
    SHARES,
    Bends,
    Law,
    _moved,
    change_of,
    curve_terms,
    fit_curve,
    law_in,
)
from sedmd.reduce.wavelength.law_scale import bent_to
from sedmd.reduce.wavelength.scale import make_scale
from unit.reduce_scenes import rng

KPY, PYSEDM = (make_scale(guess.wavelength, guess.column) for guess in DISPERSION_GUESSES)
LINES = {
    "Hg": (4046.57, 4358.34, 5460.75, 5778.0, 8061.0),
    "Cd": (4678.15, 4799.91, 5085.82, 6438.47, 7346.0),
    "Xe": (7641.0, 8243.0, 8390.0, 8819.0, 8952.0, 9045.0, 9163.0),
}
LAMP = tuple(lamp for lamp, lines in LINES.items() for _ in lines)
AT = np.array([line for lines in LINES.values() for line in lines])
NEEDED = ACCURACY_GRID[(ACCURACY_GRID >= 4000) & (ACCURACY_GRID <= 9200)]
SIGMA = 0.06
#: Bends of an instrument that is like neither published curve.
OWN = (3.0, -1.2, 0.5, 0.4, -0.2, 0.1)


def bend_of(bends, at):
    """Columns by which a law is bent: Legendre terms from the second on, over the published curve's xi."""
    ends = np.sort(KPY.to_xi(np.array(CURVE_RANGE)))
    return Legendre(np.r_[0.0, 0.0, bends], domain=list(ends))(KPY.to_xi(at))


def column(at, bends=OWN, shift=500.0, stretch=1.0):
    return shift + stretch * (100.0 * KPY.to_xi(at) + bend_of(bends, at))


def law(bends=OWN, noise=0.0, lamps=("Hg", "Cd", "Xe"), sense=1, seed=3, **place):
    seen = np.isin(LAMP, lamps)
    off = noise * rng(seed).normal(0.0, 1.0, AT.size)
    lines = sense * (column(AT, bends, **place) + off)[seen]
    names = tuple(lamp for lamp in LAMP if lamp in lamps)
    return Law(lamp=names, wavelength=AT[seen], place=lines, error=np.full(seen.sum(), SIGMA), night="20211017", age=1)


@cache
def told_by(seed):
    """The bent curve of one of many instruments, and what is known of its bends."""
    return bent_to(law(noise=0.03, seed=seed), DISPERSION_GUESSES)


def asked(told, scale, bends, lamps, noise=0.0, seed=5, **place):
    """What the lines of some lamps say to an earlier law tonight, and the lines."""
    tonight = law(bends, noise, lamps, seed=seed, **place)
    lines = (tonight.wavelength, tonight.place, tonight.error)
    return change_of(told, scale.to_xi, tonight), lines


def test_what_a_night_tells_is_read_by_the_next():
    told = law(noise=0.03, sense=-1)
    again = Law.of(str(told), "20211017", 1)
    assert again.lamp == told.lamp and again.night == "20211017" and again.age == 1
    for name in ("wavelength", "place", "error"):
        assert_allclose(getattr(again, name), getattr(told, name), atol=0.005)
    assert again.lamps == ("Hg", "Cd", "Xe") and (again.sense, law().sense) == (-1, 1)
    assert ";" not in str(told) and " " not in str(told)


def test_the_newest_night_with_the_most_lamps_tells_the_law():
    every, two, one = (str(law(lamps=lamps)) for lamps in (("Hg", "Cd", "Xe"), ("Hg", "Cd"), ("Cd",)))
    assert law_in("") is None
    assert law_in(f"20211017 1 {one}") is None, "five lines tell nothing"
    assert law_in(f"20211017 1 {two}").lamps == ("Hg", "Cd")
    found = law_in(f"20211017 1 {two}; 20211015 3 {every}; 20211014 4 {every}")
    assert (found.night, found.age, found.lamps) == ("20211015", 3, ("Hg", "Cd", "Xe"))


@pytest.mark.parametrize("sense", [1, -1])
def test_a_published_curve_is_bent_to_the_lines(sense):
    scale, told = bent_to(law(sense=sense, stretch=1.02), DISPERSION_GUESSES)
    u = 100.0 * scale.to_xi(NEEDED)
    line = np.polynomial.Polynomial.fit(u, column(NEEDED), 1)
    assert np.abs(column(NEEDED) - line(u)).max() < 0.03, "its bends are those of the instrument"
    assert told.law.sense == sense
    assert bent_to(law(), ()) is None


def test_the_curve_that_has_to_be_bent_least_is_taken():
    near_kpy, near_pysedm = law(np.zeros(6)), replace(law(), place=300.0 + 100.0 * PYSEDM.to_xi(AT))
    for one, scale in ((near_kpy, KPY), (near_pysedm, PYSEDM)):
        bent, told = bent_to(one, DISPERSION_GUESSES)
        assert_allclose(told.bends.mean, 0.0, atol=0.02)
        assert np.ptp((bent.xi - scale.xi)[(scale.wavelength > 3700) & (scale.wavelength < 9900)]) < 0.001


def test_a_curve_goes_through_lines_as_far_as_is_known_of_its_bends():
    """Nothing known but the bends: two lines give shift and stretch. Bends known to nothing: they are those told."""
    sure = Bends(mean=np.array(OWN), covariance=np.eye(6) * 1e-10)
    two = np.array([4358.34, 6438.47])
    found = fit_curve(KPY.to_xi, two, column(two), np.full(2, 0.01), sure)
    assert_allclose(curve_terms(KPY.to_xi)(NEEDED) @ found.terms, column(NEEDED), atol=1e-3)
    free = fit_curve(KPY.to_xi, AT, column(AT), np.full(AT.size, 0.01), PUBLISHED)
    assert_allclose(curve_terms(KPY.to_xi)(NEEDED) @ free.terms, column(NEEDED), atol=0.02)


@pytest.mark.parametrize("lamps", [("Hg", "Cd", "Xe"), ("Hg", "Xe"), ("Cd", "Xe"), ("Hg", "Cd"), ("Hg",), ("Cd",)])
def test_the_same_law_on_another_night_is_believed_and_tells_the_rest(lamps):
    scale, told = bent_to(law(noise=0.03), DISPERSION_GUESSES)
    change, lines = asked(told, scale, OWN, lamps, noise=0.03, shift=480.0, stretch=0.997)
    assert not change.contradicts
    assert change.most < 0.06
    place, error = fit_law(scale.to_xi, *lines, NEEDED, told.about(change.most))
    true = column(NEEDED, shift=480.0, stretch=0.997)
    assert np.abs(place - true).max() < 2.0 * error.max() < 1.0
    alone = fit_law(scale.to_xi, *lines, NEEDED, PUBLISHED)[1].max()
    assert error.max() < (alone if len(lamps) == 3 else 0.6 * alone)


@pytest.mark.parametrize("bend", [1.0, -2.0, 3.0])
@pytest.mark.parametrize("lamps", [("Hg", "Cd", "Xe"), ("Hg", "Xe"), ("Cd", "Xe"), ("Hg", "Cd"), ("Hg",)])
def test_a_law_that_was_changed_is_left_out(lamps, bend):
    scale, told = bent_to(law(noise=0.03), DISPERSION_GUESSES)
    change, _ = asked(told, scale, (OWN[0] + bend, *OWN[1:]), lamps, noise=0.03)
    seen = np.array([line for lamp in lamps for line in LINES[lamp]])
    if np.ptp(bend_of([bend, 0, 0, 0, 0, 0], seen)) > 1.0:
        assert change.contradicts
    assert change.most > 0.03


def after_work(lamps, share):
    """Errors in units of those told, of 80 instruments whose law was changed by a share; None where it is left out."""
    random = rng(11)
    for seed in range(80):
        scale, told = told_by(seed)
        changed = np.array(OWN) + random.normal(0.0, NIGHTLY) + share * random.normal(0.0, CURVE_FREEDOM)
        change, lines = asked(told, scale, changed, lamps, noise=0.03, seed=1000 + seed)
        place, error = fit_law(scale.to_xi, *lines, NEEDED, told.about(change.most))
        yield None if change.contradicts else (place - column(NEEDED, changed)) / error


@pytest.mark.parametrize("lamps", [("Hg", "Cd"), ("Cd", "Xe"), ("Hg",), ("Xe",)])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.03])
def test_what_the_lines_cannot_tell_is_in_the_error(lamps, share):
    """Instruments that were changed unknown to anybody: where the law is used, it is off by as much as is told."""
    pulls = [pull for pull in after_work(lamps, share) if pull is not None]
    assert len(pulls) > 40
    assert np.sqrt(np.mean(np.square(pulls), axis=0)).max() < 1.4


@pytest.mark.parametrize("lamps", [("Hg", "Cd"), ("Cd", "Xe"), ("Hg",)])
def test_what_is_changed_by_a_third_of_what_published_curves_differ_by_is_left_out(lamps):
    assert sum(pull is None for pull in after_work(lamps, 0.3)) >= 76


#: Sellmeier's B and C [um2], and D0, D1, D2, E0, E1 and lambda_TK [um] of dn/dT (Schott, data sheets; TIE-19).
GLASSES = {
    "N-BK7": (
        (1.03961212, 0.231792344, 1.01046945, 0.00600069867, 0.0200179144, 103.560653),
        (1.86e-6, 1.31e-8, -1.37e-11, 4.34e-7, 6.27e-10, 0.170),
    ),
    "SF2": (
        (1.40301821, 0.231767504, 0.939056586, 0.0105795466, 0.0493226978, 112.405955),
        (1.10e-6, 1.75e-8, -1.29e-11, 1.08e-6, 1.03e-9, 0.249),
    ),
    "F2": (
        (1.34533359, 0.209073176, 0.937357162, 0.00997743871, 0.0470450767, 111.886764),
        (1.51e-6, 1.56e-8, -2.78e-11, 9.34e-7, 1.04e-9, 0.250),
    ),
    "SF6": (
        (1.72448482, 0.390104889, 1.04572858, 0.0134871947, 0.0569318095, 118.557185),
        (6.69e-6, 1.78e-8, -3.36e-11, 1.77e-6, 1.70e-9, 0.272),
    ),
}
SPECTRUM = np.arange(*CURVE_RANGE, 10.0)


def index(glass):
    square = (SPECTRUM / 1e4) ** 2
    b, c = np.reshape(GLASSES[glass][0], (2, 3))
    return np.sqrt(1.0 + (b * square[:, None] / (square[:, None] - c)).sum(axis=1))


def warmed(glass, kelvin=10.0):
    """Change of the index by so much warming from 20 C."""
    d0, d1, d2, e0, e1, resonance = GLASSES[glass][1]
    n = index(glass)
    late = (e0 * kelvin + e1 * kelvin**2) / ((SPECTRUM / 1e4) ** 2 - resonance**2)
    return (n**2 - 1) / (2 * n) * (d0 * kelvin + d1 * kelvin**2 + d2 * kelvin**3 + late)


def bends_by_warming(law_of_glass, change):
    u = law_of_glass / 100.0
    return Legendre.fit(u, change, 8, domain=[u.min(), u.max()]).coef[2:8]


def test_what_temperature_makes_of_the_glass_is_allowed_for_from_night_to_night():
    """Thin prisms deviate by their index: one glass of the instrument's length, and two that have its law."""
    columns = 100.0 * KPY.to_xi(SPECTRUM)
    for glass in GLASSES:
        length = np.ptp(columns) / np.ptp(index(glass))
        bends = bends_by_warming(length * (index(glass) - index(glass).mean()), length * warmed(glass))
        assert (np.abs(bends) <= np.array(NIGHTLY)).all(), glass
    both = np.column_stack([np.ones(SPECTRUM.size), index("N-BK7"), index("SF2")])
    _, crown, flint = np.linalg.lstsq(both, columns, rcond=None)[0]
    bends = bends_by_warming(columns, crown * warmed("N-BK7") + flint * warmed("SF2"))
    assert (np.abs(bends) <= np.array(NIGHTLY)).all()
    assert np.abs(bends[0]) > 0.5 * NIGHTLY[0], "and for no more than that"


def test_a_change_by_temperature_is_no_contradiction():
    """A change as the temperature makes it is no contradiction, and what is told of tonight is no better than that."""
    scale, told = bent_to(law(), DISPERSION_GUESSES)
    warmer = np.array(OWN) + NIGHTLY
    assert not asked(told, scale, warmer, ("Hg", "Cd", "Xe"))[0].contradicts
    assert (np.diag(told.about(0.0).covariance) >= np.array(NIGHTLY) ** 2).all()
    grown = np.diag(told.about(0.1).covariance - told.about(0.0).covariance)
    assert_allclose(grown, (0.1 * np.array(CURVE_FREEDOM)) ** 2)
    assert SHARES[0] == 0.0


def test_a_line_that_is_mistaken_does_not_speak_against_the_law():
    scale, told = bent_to(law(noise=0.03), DISPERSION_GUESSES)
    tonight = law(noise=0.03, seed=5)
    tonight.place[12] += 1.5
    assert not change_of(told, scale.to_xi, tonight).contradicts


def test_a_blend_whose_lines_have_other_strengths_has_not_moved():
    """Its mean wavelength is another one, and its place goes with it."""
    scale, told = bent_to(law(), DISPERSION_GUESSES)
    tonight = law()
    tonight.wavelength[[3, 8, 15]] += (3.5, -3.0, 2.5)
    tonight.place[:] = column(tonight.wavelength)
    seen, moved, _ = _moved(told.law, scale.to_xi, tonight)
    assert seen.size == AT.size
    assert_allclose(moved, 0.0, atol=0.02)
    tonight.wavelength[3] += 1.0  # another blend: not compared
    seen, moved, _ = _moved(told.law, scale.to_xi, tonight)
    assert seen.size == AT.size - 1
    assert_allclose(moved, 0.0, atol=0.02)


def groups_of(lamps, scale, n=150):
    """Lines of some lamps in a field whose stretch changes over it, measured to 0.02 px."""
    random = rng(8)
    centre, row = random.uniform(200, 1800, n), random.uniform(200, 1800, n)
    stretch = 1.0 + 0.05 * (row - 1024.0) / 1024.0
    seen = [(lamp, line) for lamp in lamps for line in LINES[lamp]]
    made = [
        Group(
            lamp=lamp,
            wavelength=line,
            xi=float(scale.to_xi(line)),
            uncertainty=0.04,
            clean=True,
            light=1e4,
            column=centre + stretch * column(line, shift=0.0) + random.normal(0.0, 0.02, n),
            error=np.full(n, 0.02),
            stretch=np.ones(n),
        )
        for lamp, line in seen
    ]
    true = centre[:, None] + stretch[:, None] * column(NEEDED, shift=0.0)
    return made, centre, row, true


@pytest.mark.parametrize(("lamps", "most"), [(("Hg",), 0.2), (("Cd",), 0.2), (("Xe",), 0.5)])
def test_with_the_law_one_lamp_places_the_whole_spectrum(lamps, most):
    scale, told = bent_to(law(noise=0.02), DISPERSION_GUESSES)
    made, centre, row, true = groups_of(lamps, scale)
    ends = tuple(float(at) for at in scale.to_xi(np.array(CURVE_RANGE)))
    by_law = fit_model(made, ends, centre, row, freedom=told.about(0.01).covariance)
    off = np.polynomial.polynomial.polyval(scale.to_xi(NEEDED), by_law.coeff.T) - true
    assert np.abs(np.median(off, axis=0)).max() < most
    # what few lines cannot tell of single spaxels does not run away either: by 20 columns if all were free
    assert np.percentile(np.abs(off), 95, axis=0).max() < 4.0 * most
    ends = tuple(float(at) for at in KPY.to_xi(np.array(CURVE_RANGE)))
    alone = fit_model([replace(g, xi=float(KPY.to_xi(g.wavelength))) for g in made], ends, centre, row)
    off = np.polynomial.polynomial.polyval(KPY.to_xi(NEEDED), alone.coeff.T) - true
    assert np.abs(np.median(off, axis=0)).max() > 0.4


def test_without_an_earlier_night_the_fit_is_what_it_was():
    """The freedom of published curves, given in words, is no other fit."""
    made, centre, row, _ = groups_of(("Hg", "Cd", "Xe"), KPY)
    ends = tuple(float(at) for at in KPY.to_xi(np.array(CURVE_RANGE)))
    usual, given = (fit_model(made, ends, centre, row, freedom=f) for f in (None, PUBLISHED.covariance))
    places = [np.polynomial.polynomial.polyval(KPY.to_xi(AT), one.coeff.T) for one in (usual, given)]
    assert_allclose(*places, atol=0.01)
    assert_allclose(given.strain, usual.strain, atol=0.01)
