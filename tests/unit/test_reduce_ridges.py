"""Ridges of a dome frame: found, linked, none invented."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.traces.ridges import find_chains, ridge_filter
from unit.reduce_scenes import READ_NOISE, draw, expose, lattice_scene, rng, taper


@pytest.mark.parametrize("width", [1.0, 1.4, 2.2])
def test_filter_answers_a_gaussian_ridge_in_closed_form(width):
    y = np.arange(61) - 30.0
    image = 100.0 * np.exp(-0.5 * (y[:, None] / width) ** 2) * np.ones((1, 40))
    response, _ = ridge_filter(image, sigma_px=1.4)
    # Minus the second derivative of a Gaussian of variance w^2 + f^2, times f^2.
    both = width**2 + 1.4**2
    assert_allclose(response[30, 5:-5], 100.0 * width * 1.4**2 / both**1.5, rtol=0.02)


def test_filter_does_not_answer_flat_or_sloping_light():
    y, x = np.mgrid[:60, :80]
    response, _ = ridge_filter(500.0 + 3.0 * y + 2.0 * x)
    # Single precision of numbers near a thousand is what remains.
    assert_allclose(response[8:-8], 0, atol=0.1)


def test_noise_of_the_filter_is_what_it_says():
    image = rng(2).poisson(1000.0, (300, 400)).astype(float)
    response, noise = ridge_filter(image)
    inner = np.s_[20:-20, 20:-20]
    assert np.std(response[inner]) == pytest.approx(float(noise[inner].mean()), rel=0.05)


def test_every_ridge_is_one_chain_and_noise_makes_none():
    scene = lattice_scene()
    samples = scene.samples()
    image = expose(draw(samples, 4000.0 * taper(scene, samples)) + 30.0, seed=2).data
    chains = find_chains(image, read_noise=READ_NOISE)
    assert (np.diff(chains.chain) >= 0).all() and chains.n == chains.chain.max() + 1
    seen = set()
    for k in range(chains.n):
        own = chains.chain == k
        x, y = chains.x[own], chains.y[own]
        assert (np.diff(x) > 0).all()
        distance = [np.median(np.abs(scene.row(t, x) - y)) for t in range(scene.n)]
        nearest = int(np.argmin(distance))
        # A ridge cut lengthwise by the edge of the chip leans inwards.
        assert distance[nearest] < (0.1 if y.min() > 5 and y.max() < scene.shape[0] - 6 else 0.3)
        assert nearest not in seen, "one trace became two chains"
        seen.add(nearest)
    assert set(np.flatnonzero(scene.columns_on_chip() >= 100)) <= seen
    assert find_chains(expose(np.full((200, 300), 30.0)).data, read_noise=READ_NOISE).n == 0


def test_a_dead_column_and_a_cosmic_ray_do_not_cut_a_chain():
    scene = lattice_scene()
    samples = scene.samples()
    image = expose(draw(samples, 4000.0 * taper(scene, samples)) + 30.0, seed=3).data
    whole = find_chains(image, read_noise=READ_NOISE).n
    image[:, 255] = 0.0
    image[100:140, 301] = 30000.0
    assert find_chains(image, read_noise=READ_NOISE).n == whole


@pytest.mark.parametrize("faint", [0.01, 0.1])
def test_spectra_that_touch_end_to_end_are_two(faint):
    # Each fades to its ends by a hundredth or a tenth; the second lies half a row higher, which a chain would follow.
    x = np.arange(400)
    light = faint + np.exp(-0.5 * ((x - 100) / 35) ** 2) + 0.4 * np.exp(-0.5 * ((x - 300) / 35) ** 2)
    row = 30.0 + 0.02 * x + 0.4 * (x > 200)
    y = np.arange(60)[:, None]
    image = 4000.0 * light * np.exp(-0.5 * ((y - row) / 1.4) ** 2)
    chains = find_chains(expose(image + 20.0, seed=4).data, read_noise=READ_NOISE)
    assert chains.n == 2
    assert [np.median(chains.x[chains.chain == k]) // 200 for k in range(2)] == [0, 1]
    assert abs(chains.x[chains.chain == 0].max() - 200) < 20


def test_a_chain_with_a_shallow_valley_stays_one():
    x = np.arange(300)
    light = 1.0 - 0.5 * np.exp(-0.5 * ((x - 150) / 20) ** 2)
    y = np.arange(60)[:, None]
    image = 4000.0 * light * np.exp(-0.5 * ((y - 30.0) / 1.4) ** 2)
    assert find_chains(expose(image + 20.0, seed=5).data, read_noise=READ_NOISE).n == 1
