"""Dome and lamps of a made-up instrument, seen from either corner: traces, identification, wavelengths, lattice."""

from functools import cache

import numpy as np
import pytest
from numpy.polynomial import polynomial

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.reduce.wavelength.solution import refine_wavelengths, solve_geometry
from sedmd.reduce.wavelength.solution_checks import solution_reason
from sedmd.reduce.wavelength.wavelength import make_scale
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


@pytest.mark.parametrize("turned", [pytest.param(False, marks=pytest.mark.slow), True], ids=["usual", "turned"])
def test_instrument_is_found(turned):
    dome, lamps = frames(turned)
    found = solve_geometry(dome, lamps, lamp_tables(), DISPERSION_GUESSES)
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
    refined = refine_wavelengths(found.traces, found.solution, lamps, lamp_tables())
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
