"""Arc spectra: aligned over a field of varying dispersion, and identified whichever way the dispersion runs."""

from itertools import permutations

import numpy as np
import pytest
from numpy.polynomial import polynomial

from sedmd.instrument import DISPERSION_GUESSES
from sedmd.reduce.arcs import HALF_SPAN, Lines, align, identify, mean_aligned
from sedmd.reduce.solution import MIN_IDENTIFICATION
from sedmd.steps.reference import lamp_tables
from unit.reduce_scenes import pixel_shares, rng

N = 150
COLUMN = np.arange(-HALF_SPAN, HALF_SPAN + 1)
#: What real lamps show: other ratios than any table, lines that are not there, argon in mercury.
SEEN = {
    "Hg": {4046.6: 14.0, 4077.8: 3.0, 4358.3: 60.0, 5460.75: 100.0, 5769.6: 17.0, 5790.7: 15.0, 7635.1: 0.8},
    "Cd": {4678.15: 15.0, 4799.91: 50.0, 5085.82: 100.0, 6438.47: 50.0},
    "Xe": {8231.6: 100.0, 8280.1: 50.0, 8409.2: 12.0, 8819.4: 50.0, 8952.2: 20.0, 9045.4: 20.0, 9162.6: 10.0},
}


def published(wavelength):
    guess = DISPERSION_GUESSES[0]
    return np.interp(wavelength, guess.wavelength, guess.column)


def field(stretch, seed=1):
    """Places of the traces and their (shift, stretch, bend) of the published columns."""
    random = rng(seed)
    x, y = random.uniform(0, 2048, (2, N))
    u, v = x / 1024 - 1, y / 1024 - 1
    return x, y, random.uniform(-20, 20, N), 1 + stretch * (0.8 * u + 0.2 * v**2), 1.5 * u


def arcs(sense, stretch, continuum, seed=2):
    x, y, shift, scale, bend = field(stretch)
    spectra = []
    for lamp, lines in SEEN.items():
        light = np.full((N, COLUMN.size), 10.0)
        for wavelength, strength in lines.items():
            c = published(wavelength)
            place = sense * (shift + scale * c + bend * (c / 100) ** 2)
            light += 60.0 * strength * pixel_shares(COLUMN - place[:, None], 1.4)
        if lamp == "Xe":
            middle = sense * (shift + scale * published(7400.0))
            light += continuum * np.exp(-0.5 * ((COLUMN - middle[:, None]) / 45.0) ** 2)
        spectra.append(light)
    expected = np.stack(spectra)
    return x, y, rng(seed).normal(expected, np.sqrt(expected + 60.0))


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("stretch", [0.02, 0.25])
@pytest.mark.parametrize("continuum", [0.0, 1200.0])
def test_lines_are_found_in_every_trace(sense, stretch, continuum):
    x, y, spectra = arcs(sense, stretch, continuum)
    _, _, shift, scale, bend = field(stretch)
    found = align(spectra, x, y, int(np.argmin(np.hypot(x - 1024, y - 1024))))
    template = dict(zip(SEEN, mean_aligned(spectra, found), strict=True))
    p, score = identify(template, lamp_tables(), DISPERSION_GUESSES[0].wavelength, DISPERSION_GUESSES[0].column)
    assert score > 1.1 * MIN_IDENTIFICATION
    assert np.sign(p[1]) == sense
    for wavelength in (4358.3, 5085.8, 5790.0, 6438.5, 8250.0):
        c = published(wavelength)
        u = polynomial.polyval(c / 100, [p[0], 100 * p[1], p[2], p[3]])
        place = found.shift + found.stretch * u + found.bend * (u / 100) ** 2
        truth = sense * (shift + scale * c + bend * (c / 100) ** 2)
        assert np.mean(np.abs(place - truth) < 1.5) > 0.97


@pytest.mark.parametrize("labels", list(permutations(SEEN))[1:], ids="-".join)
def test_lamps_with_exchanged_labels_are_not_identified(labels):
    x, y, spectra = arcs(1, 0.1, 0.0)
    found = align(spectra, x, y, 0)
    template = dict(zip(labels, mean_aligned(spectra, found), strict=True))
    for guess in DISPERSION_GUESSES:
        _, score = identify(template, lamp_tables(), guess.wavelength, guess.column)
        assert score < MIN_IDENTIFICATION


def test_a_line_list_without_its_lamp_takes_no_part():
    x, y, spectra = arcs(1, 0.1, 0.0)
    found = align(spectra, x, y, 0)
    template = dict(zip(SEEN, mean_aligned(spectra, found), strict=True))
    tables = {**lamp_tables(), "Ne": Lines(wavelength=np.array([6400.0]), intensity=np.array([1.0]))}
    guess = DISPERSION_GUESSES[0]
    assert identify(template, tables, guess.wavelength, guess.column)[1] > 0.6
