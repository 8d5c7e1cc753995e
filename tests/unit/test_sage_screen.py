"""The screen of templates: what is moved by a redshift is found at it, and what is no template is no match."""

import numpy as np
import pytest

from sedmd.after.classify.sage_screen import Prepared, agrees, bell, screen

SIZE = 1024
STEP = np.log(4.0) / SIZE
BAND = (1, 4, 85, 102)


def curve(seed):
    """A wavy spectrum without continuum that fills the middle of the grid."""
    rng, x = np.random.default_rng(seed), np.arange(SIZE)
    wave = sum(rng.normal() * np.sin(2 * np.pi * k * x / SIZE + rng.uniform(0, 6)) for k in range(5, 40))
    return np.where((x > 200) & (x < 850), wave, 0.0)


def prepared(flux, **other):
    there = np.flatnonzero(flux)
    edges = {"left": int(there[0]), "right": int(there[-1])}
    return Prepared(flux=flux, step=STEP, band=BAND, zmin=-0.01, zmax=0.3, **(edges | other))


def run(flux, templates, **other):
    return screen(prepared(flux, **other), np.array(templates), np.fft.rfft(templates, axis=1))


@pytest.mark.parametrize("bins", [0, 1, 17, 60])
def test_a_moved_template_is_found_at_its_redshift(bins):
    template = curve(1)
    score, z = run(np.roll(template, bins), [template, curve(2), np.zeros(SIZE)])
    assert z[0] == pytest.approx(np.exp(bins * STEP) - 1, abs=0.02 * STEP)
    assert score[0] > 5 and not score[1] > 0.3 * score[0] and np.isnan(score[2])


def test_a_redshift_outside_the_limits_is_no_match():
    template = curve(1)
    moved = int(np.log(1.31) / STEP) + 1
    score, _ = run(np.roll(template, moved), [template])
    assert not score[0] > 5


def test_noise_lowers_a_score():
    template, rng = curve(1), np.random.default_rng(3)
    noise = np.where(template != 0, rng.normal(0, template.std(), SIZE), 0)
    (clean,), _ = run(template, [template])
    (noisy,), _ = run(template + noise, [template])
    assert 0 < noisy < 0.7 * clean


def test_a_template_with_little_overlap_is_no_match():
    template = curve(1)
    part = np.where(np.arange(SIZE) < 200 + int(0.3 * SIZE) - 2, template, 0.0)
    score, _ = run(template, [part, template])
    assert np.isnan(score[0]) and score[1] > 5


def test_each_template_is_judged_alone():
    templates = [curve(seed) for seed in range(300)]  # more than are worked on together
    data = np.roll(curve(7), 20) + 0.3 * curve(299)
    score, z = run(data, templates)
    for n in (0, 7, 255, 256, 299):
        (one,), (at,) = run(data, [templates[n]])
        assert np.allclose([one, at], [score[n], z[n]], rtol=1e-12, atol=0, equal_nan=True)
    assert int(np.nanargmax(score)) == 7


def test_the_filter_passes_its_band_and_nothing_else():
    found = bell(SIZE, BAND)
    assert found.shape == (513,)
    assert (found[4:86] == 1).all() and found[0] == 0 and (found[103:] == 0).all()
    assert found[2] == pytest.approx(0.25) and found[3] == pytest.approx(0.75)


def test_a_score_that_differs_is_noticed():
    assert agrees(5.0, 5.0 + 1e-7) and not agrees(5.0, 5.001)
    assert agrees(np.inf, 3.0)  # the screen could not tell
