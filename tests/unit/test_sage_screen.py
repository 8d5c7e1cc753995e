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


def tapered(values, percent=10):
    ends = round(len(values) * percent / 100)
    ramp = 0.5 * (1 - np.cos(np.pi * np.arange(ends) / (ends - 1)))
    out = values.copy()
    out[:ends] *= ramp
    out[-ends:] *= ramp[::-1]
    return out


def correlation(data, template):
    """Filtered, of unit height for the same spectrum, zero lag in the middle; by the full transforms."""
    k = np.abs(np.fft.fftfreq(SIZE, 1 / SIZE))
    band = np.interp(k, [BAND[0], BAND[1], BAND[2], BAND[3]], [0, 1, 1, 0], left=0, right=0)
    band = 0.5 * (1 - np.cos(np.pi * band))
    d, t = np.fft.fft(data), np.fft.fft(template)
    rms = [np.sqrt((band * np.abs(one) ** 2).sum()) for one in (d, t)]
    return np.roll(np.fft.ifft(d * np.conj(t) * band).real, SIZE // 2) * SIZE / (rms[0] * rms[1])


def peak_of(curve, low, high):
    at = low + int(np.argmax(curve[low:high]))
    a, b, c = np.polyfit(np.arange(-2, 3), curve[at - 2 : at + 3], 2)
    return at, at - b / (2 * a), c - b * b / (4 * a)


def by_hand(data, template):
    """The score of one template, step by step, without a thought for time."""
    middle = SIZE // 2
    first = correlation(data, template)
    _, place, _ = peak_of(first, middle - 38, middle + 195)
    lag = place - middle
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    there = np.flatnonzero(np.abs(template) > 1e-8)
    moved = np.fft.ifft(np.fft.fft(template) * np.exp(-2j * np.pi * k * lag / SIZE)).real
    moved[: int(np.floor(there[0] + lag))] = 0
    moved[int(np.ceil(there[-1] + lag)) + 1 :] = 0
    both = [np.flatnonzero(np.abs(one) > 1e-3) for one in (moved, data)]
    start, end = max(both[0][0], both[1][0]), min(both[0][-1], both[1][-1])
    overlap = (end - start + 1) / SIZE
    cut = [np.pad(tapered(one[start : end + 1]), (0, SIZE - (end - start + 1))) for one in (data, moved)]
    second = correlation(*cut)
    top, place, height = peak_of(second, middle - 10, middle + 11)
    z = np.exp((lag + place - middle) * STEP) - 1
    half = second[top] / 2
    left = next(n for n in range(top, 0, -1) if second[n - 1] < half)
    right = next(n for n in range(top, SIZE) if second[n + 1] < half)
    left -= (second[left] - half) / (second[left] - second[left - 1])
    right += (second[right] - half) / (second[right] - second[right + 1])
    edges = np.flatnonzero(data)
    a, b = (one[edges[0] : edges[-1] + 1] for one in (data, moved))
    shared = np.flatnonzero((np.abs(a) > 1e-12) & (np.abs(b) > 1e-12))
    a, b = (tapered(one[shared[0] : shared[-1] + 1]) for one in (a, b))
    good = (np.abs(a) > 1e-12) & (np.abs(b) > 1e-12)
    a, b = a[good], b[good]
    product = np.abs((a - a.mean()) * (b - b.mean()))
    kept = product < np.quantile(product, 0.99)
    x, y = a[kept], b[kept]
    concordance = 2 * np.cov(x, y)[0, 1] / (x.var(ddof=1) + y.var(ddof=1) + (x.mean() - y.mean()) ** 2)
    apart = np.abs(a - b)
    noise = (a - b)[apart <= np.quantile(apart, 0.99)].std()
    sigma = (right - left) * STEP * (1 + z) * noise
    return height * overlap * max(concordance, 0) / np.sqrt(sigma), z


@pytest.mark.parametrize("bins", [0.0, 12.3, 40.6])
def test_the_score_is_the_one_that_is_reckoned_step_by_step(bins):
    rng, k = np.random.default_rng(11), np.fft.fftfreq(SIZE, 1 / SIZE)
    template = curve(5)
    moved = np.fft.ifft(np.fft.fft(template) * np.exp(-2j * np.pi * k * bins / SIZE)).real
    inside = (np.arange(SIZE) > 290) & (np.arange(SIZE) < 800)
    data = np.where(inside, moved + rng.normal(0, 0.5 * template.std(), SIZE), 0.0)
    short = np.where(np.arange(SIZE) < 700, template, 0.0)
    (whole, part), z = run(data, [template, short])
    for mine, at, one in ((whole, z[0], template), (part, z[1], short)):
        score, redshift = by_hand(data, one)
        assert (mine, at) == pytest.approx((score, redshift), rel=1e-9, abs=1e-12)
