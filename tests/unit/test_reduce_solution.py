"""Dome and lamps of a made-up instrument, seen from either corner: traces, identification, wavelengths, lattice."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.polynomial import polynomial

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.reduce.wavelength.scale import make_scale
from sedmd.reduce.wavelength.solution import coeff_on, refine_wavelengths, solve_geometry
from sedmd.reduce.wavelength.solution_checks import NEEDED_RANGE, held_by, law_notes, solution_reason
from sedmd.steps.reference import lamp_tables
from unit.reduce_scenes import expose, pixel_shares, rng

SHAPE = (640, 1400)
#: What shines in the lamps: other ratios than the tables', argon in mercury, nothing of xenon beyond 9200 Angstrom.
LAMPS = {
    "Hg": {4046.57: 12.0, 4077.84: 2.0, 4358.34: 60.0, 5460.75: 100.0, 5769.61: 17.0, 5790.67: 15.0, 7635.11: 1.0},
    "Cd": {4678.15: 20.0, 4799.91: 55.0, 5085.82: 100.0, 6438.47: 45.0},
    "Xe": {8231.63: 100.0, 8280.12: 60.0, 8346.82: 12.0, 8409.19: 12.0, 8819.41: 50.0, 8952.25: 22.0, 9045.45: 20.0},
}
CONTINUUM = {"dome": (1500.0, 8000.0, 2300.0), "Xe": (250.0, 8300.0, 1500.0), "Hg": (15.0, 7600.0, 800.0)}
WAVELENGTH = np.arange(3600.0, 10200.0, 10.0)
TELL = np.array([4358.0, 5086.0, 5461.0, 6438.0, 7600.0, 8250.0, 9000.0])


def xi_of(wavelength):
    """A curve half way between the two published ones."""
    kpy, pysedm = (make_scale(g.wavelength, g.column) for g in DISPERSION_GUESSES)
    return 0.5 * (kpy.to_xi(wavelength) + pysedm.to_xi(wavelength))


@cache
def instrument():
    """Column polynomials in xi, row polynomials in (x - x0)/100, and hexagonal coordinates of the spaxels.

    Steps along x grow by a quarter over the chip and so does the stretch of the dispersion; slopes and bends change.
    """
    random = rng(7)
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-24, 25), np.arange(-24, 25)))
    angle = np.radians(16.5)
    x = 51.0 * (q * np.cos(angle) + r * np.cos(angle + np.pi / 3))
    y = 50.0 * (q * np.sin(angle) + r * np.sin(angle + np.pi / 3))
    x = SHAPE[1] / 2 + x + 0.12 * x**2 / SHAPE[1] + random.normal(0, 0.2, q.size)
    y = SHAPE[0] / 2 + y + random.normal(0, 0.2, q.size)
    u, v = 2 * x / SHAPE[1] - 1, 2 * y / SHAPE[0] - 1
    near = (np.abs(u) < 1.4) & (np.abs(v) < 1.1)
    columns = np.column_stack([x, 100 * (1 + 0.15 * u + 0.03 * v), 1.5 * u])[near]
    rows = np.column_stack([y, 1.4 + 0.8 * v, 0.8 * v - 0.4 * u])[near]
    return columns, rows, q[near], r[near]


@cache
def frames(turned):
    columns, rows, *_ = instrument()
    every = np.arange(SHAPE[1])
    made = {}
    for seed, lamp in enumerate(("dome", *LAMPS)):
        image = np.full(SHAPE, 15.0)
        for column, row in zip(columns, rows, strict=True):
            place = polynomial.polyval(xi_of(WAVELENGTH), column)
            first, last = max(int(place.min()), 0), min(int(place.max()), SHAPE[1] - 1)
            if last <= first:
                continue
            x = every[first : last + 1]
            wavelength = np.interp(x, place[::-1], WAVELENGTH[::-1])
            sensitive = np.exp(-0.5 * ((wavelength - 6500) / 1700) ** 2)
            level, middle, width = CONTINUUM.get(lamp, (0.0, 6000.0, 1000.0))
            light = level * sensitive * np.exp(-0.5 * ((wavelength - middle) / width) ** 2)
            for line, strength in LAMPS.get(lamp, {}).items():
                at = polynomial.polyval(xi_of(line), column)
                light += 150.0 * strength * np.exp(-0.5 * ((line - 6500) / 1700) ** 2) * pixel_shares(x - at, 1.35)
            y = polynomial.polyval((x - column[0]) / 100, row)
            for k in range(-6, 7):
                at = np.rint(y).astype(int) + k
                inside = (at >= 0) & (at < SHAPE[0])
                image[at[inside], x[inside]] += (light * 6.0 * pixel_shares(at - y, 1.4))[inside]
        seen = expose(image[::-1, ::-1] if turned else image, seed=20 + seed)
        made[lamp] = seen
    return made.pop("dome"), made


@cache
def solved(turned):
    """Geometry and wavelengths by all lamps."""
    dome, lamps = frames(turned)
    found = solve_geometry(dome, lamps, lamp_tables(), DISPERSION_GUESSES)
    return found, refine_wavelengths(found.traces, found.solution, lamps, lamp_tables())


@pytest.mark.parametrize("turned", [pytest.param(False, marks=pytest.mark.slow), True], ids=["usual", "turned"])
def test_instrument_is_found(turned):
    found, refined = solved(turned)
    assert found.solution.sense == (-1 if turned else 1)
    columns, rows, q, r = instrument()
    place = polynomial.polyval(xi_of(TELL), columns.T)
    reference = polynomial.polyval(xi_of(6500.0), columns.T)
    height = polynomial.polyval((reference - columns[:, 0]) / 100, rows.T, tensor=False)
    if turned:
        place, reference, height = SHAPE[1] - 1 - place, SHAPE[1] - 1 - reference, SHAPE[0] - 1 - height
    distance = np.hypot(found.x_ref[:, None] - reference, found.y_ref[:, None] - height)
    own = np.argmin(distance, axis=1)
    complete = found.complete & (distance.min(axis=1) < 3)
    # Every spaxel once, none invented; those whose spectra lie well inside are all there.
    assert np.unique(own[complete]).size == complete.sum()
    assert (distance.min(axis=1) < 3)[found.complete].all()
    ends = polynomial.polyval(xi_of(np.array([3700.0, 9300.0])), columns.T)
    inside = (ends.min(axis=1) > 5) & (ends.max(axis=1) < SHAPE[1] - 8) & (np.abs(rows[:, 0] - SHAPE[0] / 2) < 310)
    assert np.isin(np.flatnonzero(inside), own[complete]).mean() > 0.99
    # Wavelengths: the first solution places traces and lattice, to a column; the second is the one that is used.
    assert np.percentile(np.abs(found.solution.column(TELL)[complete] - place[own[complete]]), 98) < 1.0
    error = np.abs(refined.column(TELL)[complete] - place[own[complete]])
    assert np.median(error) < 0.05
    assert np.median(error[:, :4]) < 0.02
    # The strengths within xenon's blends are not known: a third of a column.
    assert np.percentile(error, 98) < 0.33
    assert solution_reason(found.solution, found.complete) == solution_reason(refined, found.complete) == ""
    # Neighbours in the array are neighbours here: hexagonal coordinates but for half a turn.
    sign = -1 if turned else 1
    for mine, true in ((found.lattice.q, q), (found.lattice.r, r)):
        assert np.unique(mine[complete] - sign * true[own[complete]]).size == 1


def off_in_the_mean(solution, found, full):
    """Columns between a solution and that by all lamps, and what it tells of its error: both at most, mean spaxel."""
    at = np.arange(*NEEDED_RANGE, 100.0)
    _, of_one, of_other = np.intersect1d(
        np.rint(found.x_ref) + 1e4 * np.rint(found.y_ref / 4),
        np.rint(full[0].x_ref) + 1e4 * np.rint(full[0].y_ref / 4),
        return_indices=True,
    )
    assert of_one.size > 100
    off = solution.column(at)[of_one] - full[1].column(at)[of_other]
    return float(np.abs(np.nanmedian(off, axis=0)).max()), solution.accuracy.worst(*NEEDED_RANGE)[0]


@pytest.mark.parametrize(
    ("given", "reason"), [(("Hg", "Cd"), ""), (("Cd",), "also with the law of dispersion of 2019")]
)
def test_by_the_law_of_an_earlier_night_some_lamps_place_the_spectra(given, reason):
    """Cadmium lies at 4678 to 6438 Angstrom, mercury from 4047 on: all of 4000 to 9200 is as well known as is told."""
    full = solved(True)
    law = replace(full[1].lines, night="20190611", age=1)
    dome, lamps = frames(True)
    given = {lamp: lamps[lamp] for lamp in given}
    found = solve_geometry(dome, given, lamp_tables(), DISPERSION_GUESSES, law)
    some = refine_wavelengths(found.traces, found.solution, given, lamp_tables(), DISPERSION_GUESSES, law)
    assert held_by(found.solution) == held_by(some) == "20190611"
    off, told = off_in_the_mean(some, found, full)
    assert off < 0.2
    assert off < told
    for one in (found.solution, some):
        assert reason in solution_reason(one, found.complete, given)
    assert bool(solution_reason(some, found.complete, given)) == bool(reason)


def test_the_law_of_another_instrument_is_left_out():
    """Bent by four columns; without xenon the lines that are left say so, and the solution is what they say alone.

    Bent by two, they cannot be sure: how far the law may have changed is in the error, and the night is refused.
    """
    found, full = solved(True)
    law = replace(full.lines, night="20190611", age=1)
    bend = ((law.wavelength - 6500.0) / 2500.0) ** 2
    lamps = {lamp: image for lamp, image in frames(True)[1].items() if lamp != "Xe"}
    given = (found.traces, found.solution, lamps, lamp_tables(), DISPERSION_GUESSES)
    wrong, alone = refine_wavelengths(*given, replace(law, place=law.place + 4.0 * bend)), refine_wavelengths(*given)
    assert held_by(wrong) == "" and wrong.earlier.change.contradicts
    assert wrong.accuracy.worst(*NEEDED_RANGE) == alone.accuracy.worst(*NEEDED_RANGE)
    assert np.array_equal(wrong.coeff, alone.coeff, equal_nan=True)
    assert "20190611" in law_notes(wrong)[0] and law_notes(alone) == ()
    doubtful = refine_wavelengths(*given, replace(law, place=law.place + 2.0 * bend))
    off, told = off_in_the_mean(doubtful, found, (found, full))
    assert off < told
    assert "the wavelengths are known to" in solution_reason(doubtful, found.complete, lamps)


def test_a_solution_in_another_coordinate_is_the_same():
    _, full = solved(True)
    scale = make_scale(DISPERSION_GUESSES[1].wavelength, DISPERSION_GUESSES[1].column)
    again = replace(full, scale=scale, coeff=coeff_on(scale, full, order=7))
    at = np.arange(*NEEDED_RANGE, 100.0)
    assert np.nanmax(np.abs(again.column(at) - full.column(at))) < 0.1
