"""The wavelength solution: the scale, its inversion, and the fit against drawn arc spectra."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.core.instrument import DISPERSION_GUESSES
from sedmd.reduce.numeric.field import FieldModel
from sedmd.reduce.wavelength import wavelength as wavelength_module
from sedmd.reduce.wavelength.arcs import HALF_SPAN, Lines
from sedmd.reduce.wavelength.dispersion import CURVE_RANGE, _normal_equations
from sedmd.reduce.wavelength.line_groups import RED_TABLE_SIGMA
from sedmd.reduce.wavelength.linefit import KNOWN_SPREAD_SIGMA, SPREAD_SIGMA, TABLE_SIGMA, fit_group
from sedmd.reduce.wavelength.scale import bent_scale, make_scale
from sedmd.reduce.wavelength.wavelength import fit_wavelengths
from sedmd.steps.calibration import median_dispersion
from unit.reduce_scenes import pixel_shares, prism_column, prism_scale, prism_solution, rng

WAVELENGTH = np.linspace(3800.0, 9200.0, 109)
#: Three lamps of made-up lines, one with a blend of two.
LAMPS = {
    "one": Lines(
        wavelength=np.array([4046.6, 4358.3, 5460.7, 5780.0, 8650.0]), intensity=np.array([0.4, 1, 1, 0.3, 0.2])
    ),
    "two": Lines(wavelength=np.array([4680.0, 4800.0, 5085.8, 6438.5]), intensity=np.array([0.5, 0.7, 1.0, 0.6])),
    "three": Lines(
        wavelength=np.array([7119.6, 7400.0, 7642.0, 8231.6, 8280.1, 8819.4, 9045.4]),
        intensity=np.array([0.3, 0.2, 0.4, 1.0, 0.9, 0.8, 0.3]),
    ),
}


@pytest.mark.parametrize("guess", DISPERSION_GUESSES, ids=lambda g: g.name)
def test_scale_of_a_published_curve_is_monotonic_and_runs_through_it(guess):
    scale = make_scale(guess.wavelength, guess.column)
    assert (np.diff(scale.wavelength) > 0).all()
    assert (np.diff(scale.xi) < 0).all(), "two wavelengths on one column"
    inside = guess.wavelength < scale.wavelength[-1]
    assert_allclose(scale.to_xi(guess.wavelength[inside]), guess.column[inside] / 100, atol=1e-3)
    assert_allclose(scale.to_wavelength(scale.to_xi(WAVELENGTH)), WAVELENGTH, atol=1e-6)


def test_inversion_comes_back_to_the_column():
    random = rng(2)
    solution = prism_solution(np.linspace(100, 1900, 40), stretch=random.uniform(0.97, 1.03, 40))
    solution.coeff[:, 2] = random.normal(0, 1.0, 40)
    trace = random.integers(0, 40, 5000)
    wavelength = random.uniform(3700, 9800, 5000)
    column = solution.column(wavelength)[trace, np.arange(5000)]
    assert_allclose(solution.wavelength(trace, column), wavelength, atol=0.01)


def test_dispersion_is_the_derivative_and_blue_is_at_high_columns():
    solution = prism_solution(np.array([500.0, 900.0]))
    trace = np.zeros(50, int)
    column = solution.column(np.linspace(4000, 9000, 50))[0]
    h = 0.5
    numeric = (solution.wavelength(trace, column + h) - solution.wavelength(trace, column - h)) / (2 * h)
    assert (numeric < 0).all()
    assert_allclose(solution.dispersion(trace, column), -numeric, rtol=0.02)


def test_bent_scale_has_the_columns_of_the_curve_and_goes_on_straight():
    scale = prism_scale()
    curve = np.array([3.0, -95.0, 1.5, -0.5])
    bent = bent_scale(scale, curve)
    inside = np.linspace(CURVE_RANGE[0] + 10, CURVE_RANGE[1] - 10, 50)
    column = np.polynomial.polynomial.polyval(scale.to_xi(inside), curve)
    assert_allclose(-100 * bent.to_xi(inside) + 3.0, column, atol=1e-3)
    assert bent.to_xi(scale.to_wavelength(np.array(0.0))) == pytest.approx(0.0, abs=1e-6)
    # beyond the end the change of the one goes with that of the other as it does there
    edge, far = scale.to_xi(np.array(CURVE_RANGE[1])), scale.to_xi(np.array([CURVE_RANGE[1] + 100, 10800.0]))
    slope = np.polynomial.polynomial.polyval(edge, np.polynomial.polynomial.polyder(curve)) / -100
    assert np.diff(bent.to_xi(scale.to_wavelength(far))) / np.diff(far) == pytest.approx(slope, rel=1e-3)
    assert bent_scale(scale, np.array([0.0, 100.0, 200.0])) is scale, "two wavelengths on one column"


N = 220


@cache
def scene(noise_seed=1, *, varies=1.0, sense=1, continuum=0.0, law=prism_column):
    """Arc spectra of N spaxels all over the chip; the truth is a stretch that varies over it, plus a bend."""
    random = rng(8)
    centre = np.rint(random.uniform(150, 1900, N))
    row = random.uniform(20, 2030, N)
    u, v = centre / 1024 - 1, row / 1024 - 1
    coeff = np.column_stack(
        [
            centre + random.uniform(-2, 2, N) + 3 * u,
            sense * 100 * (1 + varies * (0.02 * u - 0.015 * v + 0.01 * u * v)),
            sense * (0.8 + 0.5 * v),
        ]
    )
    xi = {lamp: law(table.wavelength) / 100 for lamp, table in LAMPS.items()}
    sigma = 1.25 * (1 + 0.08 * u * v)
    column = np.arange(-HALF_SPAN, HALF_SPAN + 1)
    spectra, variance = {}, {}
    noise = rng(noise_seed)
    for lamp, table in LAMPS.items():
        light = np.tile(15.0 + continuum * np.exp(-0.5 * ((column + 60.0) / 45.0) ** 2), (N, 1))
        place = np.polynomial.polynomial.polyval(xi[lamp], coeff.T) - centre[:, None]
        for i, strength in enumerate(table.intensity):
            light += 6000 * strength * pixel_shares(column[None, :] - place[:, i, None], sigma[:, None])
        variance[lamp] = light + 60.0
        spectra[lamp] = noise.normal(light, np.sqrt(variance[lamp]))
    return centre, row, coeff, spectra, variance, sigma


def start_of(coeff, seed=4):
    random = rng(seed)
    start = coeff.copy()
    start[:, 0] += random.uniform(-1.5, 1.5, N)
    start[:, 1] *= 1 + random.uniform(-0.008, 0.008, N)
    start[:, 2] = 0.0
    return start


@pytest.fixture(scope="module", params=[{}, {"rounds": 8}], ids=["as called", "eight rounds"])
def fitted(request):
    centre, row, coeff, spectra, variance, _ = scene()
    # The tables know the brightness of lines only roughly.
    rough = {
        lamp: Lines(wavelength=t.wavelength, intensity=t.intensity * rng(3).uniform(0.7, 1.4, t.intensity.size))
        for lamp, t in LAMPS.items()
    }
    return fit_wavelengths(spectra, variance, rough, prism_scale(), centre, row, start_of(coeff), **request.param)


def test_fit_recovers_the_columns(fitted):
    _, _, coeff, *_ = scene()
    truth = np.polynomial.polynomial.polyval(prism_column(WAVELENGTH) / 100, coeff.T)
    error = fitted.column(WAVELENGTH) - truth
    inner = (WAVELENGTH > 4040) & (WAVELENGTH < 9050)
    assert np.sqrt(np.mean(error[:, inner] ** 2)) < 0.03
    assert np.median(np.abs(error)) < 0.02
    assert abs(error[:, inner].mean()) < 0.01
    # Beyond the outermost lines the published curve carries on.
    assert np.percentile(np.abs(error), 95) < 0.15


@pytest.mark.parametrize(("varies", "sense"), [(6.0, 1), (6.0, -1), (1.0, -1)])
def test_fit_follows_a_dispersion_that_varies_by_a_quarter_and_runs_either_way(varies, sense):
    centre, row, coeff, spectra, variance, _ = scene(varies=varies, sense=sense, continuum=400.0)
    fitted = fit_wavelengths(spectra, variance, LAMPS, prism_scale(), centre, row, start_of(coeff))
    assert fitted.sense == sense
    truth = np.polynomial.polynomial.polyval(prism_column(WAVELENGTH) / 100, coeff.T)
    error = (fitted.column(WAVELENGTH) - truth)[:, (WAVELENGTH > 4040) & (WAVELENGTH < 9050)]
    known = np.isfinite(error).all(axis=1)
    assert known.mean() > 0.98
    assert np.median(np.abs(error[known])) < 0.03
    assert np.percentile(np.abs(error[known]), 95) < 0.12


def other_law(wavelength):
    """A law that bends otherwise than the prism by some columns."""
    u = prism_column(np.asarray(wavelength, float)) / 100.0
    return 100.0 * (u - 0.03 * u**3 - 0.03 * u**4 + 0.03 * u**5)


def test_what_varies_over_the_field_varies_along_the_law_of_the_instrument_not_along_a_published_one(monkeypatch):
    centre, row, coeff, spectra, variance, _ = scene(varies=10.0, law=other_law)
    there = np.arange(4050.0, 9450.0, 100.0)
    truth = np.polynomial.polynomial.polyval(other_law(there) / 100, coeff.T)

    def fitted():
        start = start_of(np.column_stack([coeff, np.tile([-3.0, -3.0, 3.0], (N, 1))]))
        fitted = fit_wavelengths(spectra, variance, LAMPS, prism_scale(), centre, row, start)
        error = fitted.column(there) - truth
        return 1.4826 * np.nanmedian(np.abs(error - np.nanmedian(error, axis=0)), axis=0).max(), fitted.strain

    scatter, strain = fitted()
    monkeypatch.setattr(wavelength_module, "ROUNDS_OF_THE_CURVE", 99)
    of_the_curve, strain_of_the_curve = fitted()
    assert scatter < 0.02 < of_the_curve
    # That the coordinate has been bent does not make a bent instrument as good as a straight one.
    assert strain == pytest.approx(strain_of_the_curve, rel=0.3)


@pytest.mark.parametrize("known", [False, True])
def test_what_is_known_of_groups_of_lines_goes_into_their_fit(monkeypatch, known):
    seen = []

    def fit(*args, **options):
        seen.append(options)
        return fit_group(*args, **options)

    monkeypatch.setattr(wavelength_module, "fit_group", fit)
    centre, row, coeff, spectra, variance, _ = scene()
    table = LAMPS["three"]
    lines = Lines(wavelength=np.r_[table.wavelength, 9500.0], intensity=np.r_[table.intensity, 0.5])
    wavelength_module._measure(
        wavelength_module._lamp_state("three", lines, spectra["three"], variance["three"]),
        scale=prism_scale(),
        coeff=coeff,
        centre=centre,
        row=row,
        line_sigma=FieldModel(order=0, coefficients=np.array([1.25]), scatter=np.asarray(0.0)),
        slope=0.0,
        max_shift=2.0,
        known_width=known,
        free_strengths=False,
    )
    assert {options["spread_sigma"] for options in seen} == {KNOWN_SPREAD_SIGMA if known else SPREAD_SIGMA}
    assert sorted(np.concatenate([options["table_sigma"] for options in seen])) == [TABLE_SIGMA] * 7 + [RED_TABLE_SIGMA]


def test_lines_that_the_table_has_and_the_lamp_has_not_do_no_harm():
    centre, row, coeff, spectra, variance, _ = scene()
    tables = {
        lamp: Lines(
            wavelength=np.r_[t.wavelength, 6750.0 + 50.0 * k], intensity=np.r_[t.intensity, 0.5 * t.intensity.max()]
        )
        for k, (lamp, t) in enumerate(LAMPS.items())
    }
    fitted = fit_wavelengths(spectra, variance, tables, prism_scale(), centre, row, start_of(coeff))
    assert not [wavelength for _, wavelength, *_ in fitted.groups if 6700 < wavelength < 6900]
    truth = np.polynomial.polynomial.polyval(prism_column(WAVELENGTH) / 100, coeff.T)
    error = (fitted.column(WAVELENGTH) - truth)[:, (WAVELENGTH > 4040) & (WAVELENGTH < 9050)]
    assert np.sqrt(np.mean(error**2)) < 0.03
    assert fitted.strain < 3


def test_fit_says_how_good_it_is(fitted):
    *_, sigma = scene()
    assert (fitted.n_lines >= 8).mean() > 0.98
    assert np.nanmedian(fitted.rms) < 0.05
    centre, row = scene()[:2]
    assert_allclose(np.median(fitted.line_sigma(centre, row) / sigma), 1, atol=0.03)
    assert fitted.strain < 3


def test_spaxel_without_a_start_is_not_given_a_solution():
    centre, row, coeff, spectra, variance, _ = scene()
    start = start_of(coeff)
    start[[3, 50]] = np.nan
    solution = fit_wavelengths(spectra, variance, LAMPS, prism_scale(), centre, row, start, rounds=2)
    assert np.isnan(solution.coeff[[3, 50]]).any(axis=1).all() or (solution.n_lines[[3, 50]] == 0).all()
    assert np.isfinite(np.delete(solution.coeff, [3, 50], axis=0)).all()


def test_too_few_lines_are_said():
    centre, row, coeff, spectra, variance, _ = scene()
    with pytest.raises(ValueError, match="at least 5 are needed"):
        fit_wavelengths(
            {"two": spectra["two"]},
            {"two": variance["two"]},
            {"two": LAMPS["two"]},
            prism_scale(),
            centre,
            row,
            start_of(coeff),
            rounds=2,
        )


def test_a_spaxel_without_a_solution_does_not_spoil_the_dispersion_that_nights_are_compared_by():
    solution = prism_solution(np.linspace(300.0, 900.0, 7))
    complete = np.ones(7, bool)
    whole = median_dispersion(solution, complete, 6500.0)
    coeff = solution.coeff.copy()
    coeff[2] = np.nan
    assert np.isfinite(whole)
    assert median_dispersion(replace(solution, coeff=coeff), complete, 6500.0) == pytest.approx(whole, rel=1e-3)


def test_equations_of_the_field_model_are_those_of_its_whole_design():
    random = rng(5)
    n, m = 30, 6
    basis, bend = [random.normal(size=(n, p)) for p in (4, 3, 1)], random.normal(size=(3, m))
    weight = random.uniform(0.5, 2, (n, m)) * (random.uniform(size=(n, m)) > 0.2)
    target = random.normal(size=(n, m))
    blocks = [b[:, None, :] * c[None, :, None] for b, c in zip(basis, bend)]
    blocks += [np.tile(np.eye(m), (n, 1, 1)), np.repeat(np.eye(n)[:, None, :], m, axis=1)]
    design = np.concatenate(blocks, axis=2).reshape(n * m, -1)
    right_hand = design.T @ (weight * target).ravel()
    whole = design.T @ (weight.ravel()[:, None] * design)
    # the free shifts, the last n unknowns, are eliminated
    k = whole.shape[0] - n
    back = whole[:k, k:] @ np.linalg.inv(whole[k:, k:])
    normal, right = _normal_equations(weight, target, basis, bend)
    assert_allclose(normal, whole[:k, :k] - back @ whole[k:, :k], atol=1e-9)
    assert_allclose(right, right_hand[:k] - back @ right_hand[k:], atol=1e-9)
