"""Sky lines are alike in all spaxels once what columns and line-spread functions make of them is taken away."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.cube.cube import rebin
from sedmd.reduce.cube.sky_lines import MIN_SKY_SPAXELS, line_residue, mean_sky
from sedmd.reduce.numeric.field import FieldModel
from sedmd.reduce.traces.samples import make_samples
from unit.reduce_scenes import pixel_shares, prism_solution, rng

N = 150
WAVE = np.arange(4500.0, 7001.0, 25.0)
LINE = 5577.0


def scene(*, sigma=1.2, across=0.0, strength=1000.0, spread=0.05, dx=0.0):
    """Cube, solution, centre and row of N spaxels under a line and a level of 10 per column; no noise.

    `across` is the relative change of the line's width from the middle of the detector to its side.
    """
    random = rng(4)
    centre = random.uniform(150.0, 900.0, N)
    row = random.uniform(50.0, 1950.0, N)
    solution = prism_solution(centre, stretch=random.uniform(1 - spread, 1 + spread, N), sigma_px=sigma)
    width = FieldModel(order=1, coefficients=np.array([sigma, sigma * across, 0.0]), scatter=np.asarray(0.0))
    solution = replace(solution, line_sigma=width)
    ends = np.sort(solution.column(np.array([7300.0, 4200.0])), axis=1)
    samples = make_samples(
        x_first=np.floor(ends[:, 0]).astype(int),
        x_last=np.ceil(ends[:, 1]).astype(int),
        centre=np.rint(centre),
        y_coeff=row[:, None],
        sigma=lambda trace, x, y: np.full(x.shape, 1.4),
        shape=(2048, 1200),
    )
    t = samples.trace
    place = solution.column(np.array([LINE]))[t, 0] + dx
    light = strength * pixel_shares(samples.x - place, width(centre, row)[t])
    light = light + 10.0 * solution.dispersion(t, samples.x - dx) / 20.0
    flux, _, mask = rebin(samples, light, light, np.zeros(light.size, bool), solution, N, WAVE, dx_px=dx)
    assert (mask == 0).all()
    return flux.astype(float), solution, centre, row


def unevenness(flux):
    """Largest rms over the spaxels at any wavelength."""
    return flux.std(axis=1).max()


@pytest.mark.parametrize("dx", [0.0, 1.3])
@pytest.mark.parametrize("across", [0.0, 0.06])
def test_a_line_is_alike_in_all_spaxels(across, dx):
    flux, solution, centre, row = scene(across=across, dx=dx)
    residue = line_residue(flux.mean(axis=1), WAVE, solution, centre, row, dx_px=dx)
    assert unevenness(flux - residue) < unevenness(flux) / 3


def test_wider_lines_count_where_they_are_wider():
    flux, solution, centre, row = scene(across=0.06)
    alike = replace(solution, line_sigma=FieldModel(order=0, coefficients=np.array([1.2]), scatter=np.asarray(0.0)))
    known, unknown = (
        unevenness(flux - line_residue(flux.mean(axis=1), WAVE, s, centre, row)) for s in (solution, alike)
    )
    assert known < 0.5 * unknown


def test_flexure_says_where_the_columns_lie():
    flux, solution, centre, row = scene(dx=0.5)
    right, wrong = (
        unevenness(flux - line_residue(flux.mean(axis=1), WAVE, solution, centre, row, dx_px=dx)) for dx in (0.5, 0.0)
    )
    assert right < 0.5 * wrong


def test_nothing_is_taken_from_the_mean_or_from_a_sky_without_lines():
    flux, solution, centre, row = scene()
    residue = line_residue(flux.mean(axis=1), WAVE, solution, centre, row)
    assert_allclose(residue.mean(axis=1), 0.0, atol=1e-9)
    level = np.linspace(8.0, 12.0, WAVE.size)
    # what is left is the change of the dispersion within a column
    assert np.abs(line_residue(level, WAVE, solution, centre, row)).max() < 3e-3 * 10.0


def test_spaxels_without_a_solution_and_unknown_sky_are_left_alone():
    flux, solution, centre, row = scene()
    sky = flux.mean(axis=1)
    lost = replace(solution, coeff=np.where(np.arange(N)[:, None] == 7, np.nan, solution.coeff))
    sky[:4] = np.nan
    residue = line_residue(sky, WAVE, lost, centre, row)
    assert np.isfinite(residue).all()
    assert not residue[:, 7].any() and not residue[:4].any()
    assert residue[:, 8].any()
    assert not line_residue(np.full(WAVE.size, np.nan), WAVE, solution, centre, row).any()


def test_mean_sky_is_that_of_the_sky():
    flux = rng(2).normal(50.0, 1.0, (5, 2 * MIN_SKY_SPAXELS))
    good = np.ones(flux.shape, bool)
    flux[:, :6] = 5000.0  # a star
    flux[1, 10] = np.nan
    good[3, MIN_SKY_SPAXELS - 1 :] = False
    mean = mean_sky(flux, good)
    assert_allclose(np.delete(mean, 3), 50.0, atol=0.3)
    assert np.isnan(mean[3])
