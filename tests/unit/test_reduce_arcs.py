"""Arc spectra: aligned over a field of varying dispersion, and identified whichever way the dispersion runs."""

from functools import cache
from itertools import permutations

import numpy as np
import pytest
from numpy.polynomial import polynomial

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.reduce.loops.arcs import sharpen_alignment, sum_rows
from sedmd.reduce.wavelength.arcs import (
    HALF_SPAN,
    Alignment,
    ExpectedPlace,
    Lines,
    _sharpen,
    align,
    identify,
    mean_aligned,
)
from sedmd.reduce.wavelength.solution import MIN_IDENTIFICATION
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


def arcs(sense, stretch, continuum, seed=2, *, bright=("", 1.0)):
    """`bright`: a lamp and how much brighter it is; a full well ends its strongest lines."""
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
        spectra.append(np.minimum(light * bright[1], 2e6) if lamp == bright[0] else light)
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


@pytest.mark.parametrize("lamp", SEEN)
@pytest.mark.parametrize("times", [0.1, 1000.0])
def test_a_lamp_that_outshines_the_others_or_is_faint_leaves_them_their_say(lamp, times):
    x, y, spectra = arcs(1, 0.25, 0.0, bright=(lamp, times))
    _, _, shift, scale, bend = field(0.25)
    found = align(spectra, x, y, int(np.argmin(np.hypot(x - 1024, y - 1024))))
    template = dict(zip(SEEN, mean_aligned(spectra, found), strict=True))
    guess = DISPERSION_GUESSES[0]
    p, _ = identify(template, lamp_tables(), guess.wavelength, guess.column)
    for wavelength in (4358.3, 5085.8, 6438.5, 8250.0):
        c = published(wavelength)
        u = polynomial.polyval(c / 100, [p[0], 100 * p[1], p[2], p[3]])
        place = found.shift + found.stretch * u + found.bend * (u / 100) ** 2
        assert np.mean(np.abs(place - (shift + scale * c + bend * (c / 100) ** 2)) < 3.0) > 0.97


@pytest.mark.parametrize("labels", list(permutations(SEEN))[1:], ids="-".join)
def test_lamps_with_exchanged_labels_are_not_identified(labels):
    x, y, spectra = arcs(1, 0.1, 0.0)
    found = align(spectra, x, y, 0)
    template = dict(zip(labels, mean_aligned(spectra, found), strict=True))
    for guess in DISPERSION_GUESSES:
        _, score = identify(template, lamp_tables(), guess.wavelength, guess.column)
        assert score < MIN_IDENTIFICATION


@cache
def one_lamp(lamp, sense=1):
    """Mean arc spectrum of one lamp, aligned by itself; stretch of the traces relative to it, and its expected shift.

    The field's traces are shifted by nothing on the average.
    """
    x, y, spectra = arcs(sense, 0.02, 0.0)
    own = spectra[[list(SEEN).index(lamp)]]
    found = align(own, x, y, int(np.argmin(np.hypot(x - 1024, y - 1024))))
    return mean_aligned(own, found)[0], float(found.stretch.mean()), sense * -float(np.median(found.shift))


@pytest.mark.parametrize("sense", [1, -1])
@pytest.mark.parametrize("lamp", SEEN)
def test_by_the_dispersion_of_an_earlier_night_one_lamp_is_identified(lamp, sense):
    """Shift and scale alone are looked for, and xenon, whose lines lie close together, does not bend the scale."""
    spectrum, typical, shift = one_lamp(lamp, sense)
    guess = DISPERSION_GUESSES[0]
    expected = ExpectedPlace(sense=sense, shift=shift / typical)
    p, score = identify({lamp: spectrum}, lamp_tables(), guess.wavelength, guess.column / typical, expected)
    assert score > MIN_IDENTIFICATION
    assert p[1] == pytest.approx(sense, abs=0.02)
    assert p[2] == p[3] == 0.0


@pytest.mark.parametrize(("lamp", "label"), list(permutations(SEEN, 2)))
def test_one_lamp_with_the_label_of_another_is_not_identified_by_it_either(lamp, label):
    guess = DISPERSION_GUESSES[0]
    spectrum, typical, shift = one_lamp(lamp)
    expected = ExpectedPlace(sense=1, shift=shift / typical)
    _, score = identify({label: spectrum}, lamp_tables(), guess.wavelength, guess.column / typical, expected)
    assert score < MIN_IDENTIFICATION


def test_a_line_list_without_its_lamp_takes_no_part():
    x, y, spectra = arcs(1, 0.1, 0.0)
    found = align(spectra, x, y, 0)
    template = dict(zip(SEEN, mean_aligned(spectra, found), strict=True))
    tables = {**lamp_tables(), "Ne": Lines(wavelength=np.array([6400.0]), intensity=np.array([1.0]))}
    guess = DISPERSION_GUESSES[0]
    assert identify(template, tables, guess.wavelength, guess.column)[1] > 0.6


def test_rows_about_a_trace_are_summed_the_outermost_in_part():
    random = rng(6)
    image = random.uniform(50, 100, (120, 700)).astype(np.float32)
    centre = np.array([300, 10, 690])
    y_coeff = np.array([[40.3, 1.2, 0.4], [60.0, -0.5, 0.1], [117.2, 0.0, 0.0]])
    total = np.empty((3, 81), np.float32)
    sum_rows(image, centre, y_coeff, 40, 2, total)
    for i, j in [(0, 0), (0, 40), (0, 80), (1, 35), (1, 80)]:
        u = (j - 40) / 100
        y = y_coeff[i] @ [1, u, u * u]
        share = np.clip(2.5 - np.abs(np.arange(120) - y), 0, 1)
        assert share.sum() == pytest.approx(4.0)
        assert total[i, j] == pytest.approx(share @ image[:, centre[i] + j - 40], rel=1e-5)
    # off the image: left of it, right of it, and with the window over its upper border
    assert np.isnan(total[1, :30]).all() and np.isfinite(total[1, 30:]).all()
    assert np.isnan(total[2]).all()


def test_mean_of_aligned_spectra_is_their_median_on_the_template():
    random = rng(7)
    spectra = random.normal(size=(2, 9, 41)).astype(np.float32)
    found = Alignment(
        shift=random.uniform(-6, 6, 9), stretch=random.uniform(0.8, 1.2, 9), bend=random.uniform(-3, 3, 9),
        likeness=np.ones(9),
    )  # fmt: skip
    good = np.arange(9) != 4
    u = np.arange(41) - 20
    for lamp, mean in enumerate(mean_aligned(spectra, found, good)):
        values = np.array([
            np.interp(found.shift[i] + found.stretch[i] * u + found.bend[i] * (u / 100) ** 2, u, spectra[lamp, i],
                      left=np.nan, right=np.nan)
            for i in np.flatnonzero(good)
        ])  # fmt: skip
        enough = np.isfinite(values).sum(axis=0) > 0.2 * good.sum()
        assert enough.sum() > 30
        np.testing.assert_allclose(mean[enough], np.nanmedian(values[:, enough], axis=0), atol=1e-5)
        assert (mean[~enough] == 0).all()


def test_sharpening_finds_shift_stretch_and_bend_from_nearby():
    u = (np.arange(201) - 100) / 100
    lines = np.array([-80.0, -35.0, 0.0, 42.0, 85.0])

    def drawn(p):
        place = p[0] + p[1] * lines / 100 + p[2] * (lines / 100) ** 2
        return np.exp(-0.5 * ((100 * u[:, None] - place) / 3.0) ** 2).sum(axis=1)

    true = np.array([[1.0, 101.5, 0.5], [-0.8, 99.0, -0.4]])
    template = drawn([0.0, 100.0, 0.0])[None]
    spectra = np.array([[drawn(p) for p in true]], np.float32)
    design = np.gradient(template, axis=-1) * np.stack([np.ones_like(u), u, u**2])[:, None]
    flat = design.reshape(3, -1)
    found, likeness = np.tile([0.0, 100.0, 0.0], (2, 1)), np.empty(2)
    inverse = np.linalg.inv(flat @ flat.T)
    sharpen_alignment(3.0 * spectra, template, design, inverse, np.zeros(3), 64.0, 156.0, 12, found, likeness)
    np.testing.assert_allclose(found, true, atol=0.03)
    assert (likeness > 0.999).all()
    # limits hold, and what is held at zero stays nearer to it
    sharpen_alignment(spectra, template, design, inverse, np.zeros(3), 100.0, 101.0, 12, found, likeness)
    assert (found[:, 1] <= 101.0).all() and (found[:, 1] >= 100.0).all()


@pytest.mark.parametrize("bright", [1.0, 30.0])
def test_where_lines_are_too_few_to_tell_a_bend_there_is_hardly_one_however_bright_they_are(bright):
    # two lines as far to either side: a bend would move both as a shift does
    u, n = np.arange(201) - 100, 40

    def drawn(*places):
        return sum(np.exp(-0.5 * ((u - place) / 3.0) ** 2) for place in places)

    noise = rng(1).normal(0, 0.05, (n, u.size))
    start = Alignment(shift=np.zeros(n), stretch=np.ones(n), bend=np.zeros(n), likeness=np.ones(n))
    spectra, template = bright * (drawn(-59.6, 61.6) + noise), bright * drawn(-60.0, 60.0)
    found = _sharpen(spectra[None], template[None], start, 1.2, rounds=12)
    assert found.shift == pytest.approx(np.full(n, 1.0), abs=0.5)
    assert found.stretch == pytest.approx(np.full(n, 1 + 0.6 / 60), abs=0.004)
    assert 0.1 < np.std(found.bend) < 0.5
