"""Geometry of the simulated spectrograph: inverses, published figures, tiling of the sky."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sedmd.simulate import PROFILES, load_profile
from sedmd.simulate.optics import Optics, build_optics, lenslet_area, lenslet_samples


@cache
def optics(name: str = "2017", seed: int = 3) -> Optics:
    return build_optics(load_profile(name), seed)


@pytest.mark.parametrize("name", PROFILES)
def test_column_and_wavelength_are_inverse(name: str) -> None:
    lam = np.linspace(3500.0, 10400.0, 40)
    assert np.allclose(optics(name).wavelength_of(optics(name).x_of(lam)), lam, atol=0.05)


@pytest.mark.parametrize("name", PROFILES)
def test_wavelength_falls_with_x_or_rises_where_the_array_is_turned(name: str) -> None:
    x = optics(name).x_of(np.linspace(3400.0, 10500.0, 60))
    rising = load_profile(name).frame.turned
    assert np.all(np.diff(x, axis=1) > 0.0) if rising else np.all(np.diff(x, axis=1) < 0.0)


def test_an_array_read_out_turned_shows_every_point_turned_by_180_degrees() -> None:
    turned = load_profile("2024")
    straight = build_optics(replace(turned, frame=replace(turned.frame, turned=False)), 3)
    lam = np.array([4000.0, 6500.0, 9000.0])
    x = straight.x_of(lam)
    o = optics("2024")
    assert np.allclose(o.x_of(lam), 2047.0 - x)
    assert np.allclose(o.y_of(2047.0 - x), 2047.0 - straight.y_of(x))
    assert np.array_equal(o.sky_x, straight.sky_x) and np.array_equal(o.sky_y, straight.sky_y)


def steps_along_x(o: Optics, low: float, high: float) -> np.ndarray:
    """Distance in x from each lenslet of a range of columns to its neighbour along q."""
    place = {(int(q), int(r)): x for q, r, x in zip(o.q, o.r, o.x0)}
    pairs = [(x, place.get((q + 1, r))) for (q, r), x in place.items()]
    return np.array([b - a for a, b in pairs if b is not None and low < 0.5 * (a + b) < high])


def test_geometry_of_2017_is_that_of_the_frame_of_2013() -> None:
    # 1904 spectra of a dome frame: steps 43.5, 50 and 57 px over the chip; slopes 0.016 low to 0.027 high on the chip
    o = optics("2017")
    steps = [np.median(steps_along_x(o, x - 128.0, x + 128.0)) for x in (256.0, 1024.0, 1792.0)]
    assert steps == pytest.approx([44.0, 50.5, 57.0], abs=1.5)
    inside = o.complete()
    low, high = (np.median(o.slope[inside & (np.abs(o.y0 - y) < 128.0)]) for y in (256.0, 1792.0))
    assert low == pytest.approx(0.0168, abs=0.002) and high == pytest.approx(0.0260, abs=0.002)
    corner = (o.x0 < 150.0) & (o.y0 > 1900.0)
    assert not corner.any() and ((o.x0 > 1900.0) & (o.y0 > 1900.0)).any()


def test_the_design_has_the_figures_of_its_ray_trace() -> None:
    o = optics("design")
    steps = [np.median(steps_along_x(o, x - 128.0, x + 128.0)) for x in (128.0, 1024.0, 1920.0)]
    assert steps == pytest.approx([46.0, 51.0, 57.5], abs=1.5)
    inside = o.complete()
    assert -0.010 < o.slope[inside].min() < -0.006 and 0.006 < o.slope[inside].max() < 0.010
    assert 1.5 < np.abs(o.bow[inside]).max() < 2.4
    length = -np.diff(o.x_of(np.array([3700.0, 9200.0])), axis=1)[inside]
    assert length.min() == pytest.approx(173.0, abs=12.0) and length.max() == pytest.approx(276.0, abs=12.0)


@pytest.mark.parametrize("name", PROFILES)
def test_dispersion_varies_smoothly_and_by_no_more_than_a_quarter(name: str) -> None:
    o = optics(name)
    inside = o.complete()
    length = np.abs(np.diff(o.x_of(np.array([4000.0, 9000.0])), axis=1))[inside, 0]
    relative = length / np.median(length)
    assert relative.min() > 0.72 and relative.max() < 1.28
    # neighbours differ by little: a quadratic in the place on the chip leaves a fraction of a percent
    u, v = (o.x0[inside] - 1024.0) / 1024.0, (o.y0[inside] - 1024.0) / 1024.0
    terms = np.stack([u**i * v**j for i in range(4) for j in range(4 - i)], axis=1)
    left = relative - terms @ np.linalg.lstsq(terms, relative, rcond=None)[0]
    assert left.std() < 0.004


def test_two_prisms_disperse_like_the_published_curve() -> None:
    # offsets from 546.1 nm in px: 578 -13.9, 435.8 +61.0, 764 -74.6 (pipeline of 2016-2018)
    x = unstretched("2024").x_of(np.array([5460.7, 5780.0, 4358.3, 7640.0])).mean(axis=0)
    assert x[1:] - x[0] == pytest.approx([-13.9, 61.0, -74.6], abs=3.0)


def test_lines_lie_where_the_published_polynomials_put_them() -> None:
    # offsets from 546.1 nm in px: 578 -13.9, 435.8 +61.0, 764 -74.6 (pipeline of 2016-2018); pixel from the blue end:
    # 58 at 4359.56 and 118 at 5462.27 A in vacuum (pipeline since 2018). The mean over the field is stretched a little.
    x = unstretched("2017").x_of(np.array([5460.7, 5780.0, 4358.3, 7640.0])).mean(axis=0)
    assert x[1:] - x[0] == pytest.approx([-13.9, 61.0, -74.6], abs=0.5)
    x = unstretched("2019").x_of(np.array([4358.33, 5460.75])).mean(axis=0)
    assert x[0] - x[1] == pytest.approx(60.0, abs=1.0)


def unstretched(name: str) -> Optics:
    """The instrument with one dispersion all over the field, not turned."""
    profile = load_profile(name)
    plain = replace(profile.dispersion, stretch=(0.0,) * 5, bend=(0.0,) * 5, twist=(0.0,) * 5)
    return build_optics(replace(profile, dispersion=plain, frame=replace(profile.frame, turned=False)), 3)


@pytest.mark.parametrize("name", PROFILES)
def test_many_complete_traces_that_do_not_run_into_each_other(name: str) -> None:
    # on real frames the next spectrum begins where one ends, a few rows beside it
    o = optics(name)
    assert 1100 < o.complete().sum() < 1800
    column = np.full((len(o), 1), 1024.0)
    ends = np.sort(o.x_of(np.array([3800.0, 9200.0])), axis=1)
    crossing = (ends[:, 0] < 1024.0) & (ends[:, 1] > 1024.0)
    rows = np.sort(o.y_of(column)[crossing, 0])
    assert np.percentile(np.diff(rows), 1) > 2.0


def test_trace_is_a_gently_bent_line() -> None:
    o = optics()
    d = np.array([-130.0, 0.0, 130.0])
    y = o.y_of(o.x0[:, None] + d)
    assert np.allclose(y[:, 1], o.y0)
    assert np.allclose(0.5 * (y[:, 0] + y[:, 2]) - y[:, 1], o.bow)
    slope = np.rad2deg(np.arctan((y[:, 2] - y[:, 0]) / 260.0))
    assert np.all(np.abs(slope) < 1.8) and slope.std() > 0.02


def test_sky_of_2017_is_the_chip_turned_by_180_degrees() -> None:
    # +X_as = East = -x, +Y_as = North = -y, 0.012 arcsec per px (pipeline of 2016-2018)
    profile = load_profile("2017")
    o = build_optics(replace(profile, lattice=replace(profile.lattice, pitch_gradient=0.0)), 3)
    fit = np.linalg.lstsq(np.stack([o.x0, o.y0, np.ones(len(o))], 1), np.stack([o.sky_x, o.sky_y], 1), rcond=None)[0]
    assert fit[0, 0] == pytest.approx(-0.0119, abs=0.0003) and fit[1, 1] == pytest.approx(-0.0119, abs=0.0004)
    assert abs(fit[0, 1]) < 0.001 and abs(fit[1, 0]) < 0.001


@pytest.mark.parametrize("name", PROFILES)
def test_pitch_of_the_lens_array(name: str) -> None:
    # 0.62 and 0.635 arcsec in the two pipelines
    first, second = optics(name).cell
    assert np.hypot(*first) == pytest.approx(0.628, abs=0.02)
    # the array is a regular hexagon on the sky, whatever the spectrograph makes of it
    assert np.hypot(*second) == pytest.approx(np.hypot(*first)) and np.hypot(*(first - second)) == pytest.approx(
        np.hypot(*first)
    )


@pytest.mark.parametrize("name", PROFILES)
def test_samples_tile_the_lens_array(name: str) -> None:
    o = optics(name)
    east, north, each = lenslet_samples(o, 5)
    assert len(east) == 2 * 25
    assert each * len(east) == pytest.approx(lenslet_area(o))
    assert abs(east.mean()) < 1e-9 and abs(north.mean()) < 1e-9
    # neighbouring lenslets share no point
    shifted = {(round(e, 6), round(n, 6)) for e, n in zip(east + o.cell[0, 0], north + o.cell[0, 1])}
    assert not shifted & {(round(e, 6), round(n, 6)) for e, n in zip(east, north)}


def test_the_seed_disturbs_the_instrument_and_nothing_else_does() -> None:
    same, other = build_optics(load_profile("2017"), 3), optics("2017", 4)
    assert np.array_equal(optics("2017", 3).x0, same.x0) and np.array_equal(optics("2017", 3).gain, same.gain)
    n = min(len(other), len(same))
    assert not np.array_equal(other.x0[:n], same.x0[:n])


def test_widths_and_throughput_vary_over_the_field() -> None:
    o = optics()
    for values in (o.sigma_trace, o.sigma_line, o.gain):
        assert values.min() > 0.0
        assert 0.02 < values.std() / values.mean() < 0.15
