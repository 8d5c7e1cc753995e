"""Geometry of the simulated spectrograph: inverses, published figures, tiling of the sky."""

from functools import cache

import numpy as np
import pytest

from sedmd.simulate import PROFILES, load_profile
from sedmd.simulate.optics import Optics, build_optics, lenslet_area, lenslet_samples


@cache
def optics(name: str = "kpy", seed: int = 3) -> Optics:
    return build_optics(load_profile(name), seed)


@pytest.mark.parametrize("name", PROFILES)
def test_column_and_wavelength_are_inverse(name: str) -> None:
    lam = np.linspace(3500.0, 10400.0, 40)
    assert np.allclose(optics(name).wavelength_of(optics(name).x_of(lam)), lam, atol=0.01)


@pytest.mark.parametrize("name", PROFILES)
def test_wavelength_falls_with_x(name: str) -> None:
    x = optics(name).x_of(np.linspace(3400.0, 10500.0, 60))
    assert np.all(np.diff(x, axis=1) < 0.0)


def test_kpy_lines_lie_where_the_published_polynomial_puts_them() -> None:
    # offsets from 546.1 nm in px: 578 -13.9, 435.8 +61.0, 764 -74.6 (kpy facts 2.2)
    x = optics().x_of(np.array([5460.7, 5780.0, 4358.3, 7640.0])).mean(axis=0)
    assert x[1:] - x[0] == pytest.approx([-13.9, 61.0, -74.6], abs=1.5)


def test_pysedm_dispersion_is_the_published_polynomial() -> None:
    # pixel from the blue end: 58 at 4359.56 and 118 at 5462.27 A in vacuum (pysedm facts b.1)
    x = optics("pysedm").x_of(np.array([4358.33, 5460.75])).mean(axis=0)
    assert x[0] - x[1] == pytest.approx(60.0, abs=1.5)


@pytest.mark.parametrize("name", PROFILES)
def test_many_complete_traces_that_do_not_touch(name: str) -> None:
    o = optics(name)
    assert 1100 < o.complete().sum() < 1800
    column = np.full((len(o), 1), 1024.0)
    crossing = (o.x_of(3800.0) > 1024.0) & (o.x_of(9200.0) < 1024.0)
    rows = np.sort(o.y_of(column)[crossing, 0])
    assert np.percentile(np.diff(rows), 1) > 4.0


def test_trace_is_a_gently_bent_line() -> None:
    o = optics()
    d = np.array([-130.0, 0.0, 130.0])
    y = o.y_of(o.x0[:, None] + d)
    assert np.allclose(y[:, 1], o.y0)
    assert np.allclose(0.5 * (y[:, 0] + y[:, 2]) - y[:, 1], o.bow)
    slope = np.rad2deg(np.arctan((y[:, 2] - y[:, 0]) / 260.0))
    assert np.all(np.abs(slope) < 1.2) and slope.std() > 0.02


def test_kpy_sky_is_the_chip_turned_by_180_degrees() -> None:
    # +X_as = East = -x, +Y_as = North = -y, 0.0124 arcsec per px (kpy facts 2.3)
    o = optics()
    fit = np.linalg.lstsq(np.stack([o.x0, o.y0, np.ones(len(o))], 1), np.stack([o.sky_x, o.sky_y], 1), rcond=None)[0]
    assert fit[0, 0] == pytest.approx(-0.0124, abs=0.0003) and fit[1, 1] == pytest.approx(-0.0124, abs=0.0003)
    assert abs(fit[0, 1]) < 0.001 and abs(fit[1, 0]) < 0.001


def test_pitch_of_the_lens_array() -> None:
    assert np.hypot(*optics("kpy").cell[0]) == pytest.approx(0.62, abs=0.01)
    assert np.hypot(*optics("pysedm").cell[0]) == pytest.approx(0.635, abs=0.01)


@pytest.mark.parametrize("name", PROFILES)
def test_samples_tile_the_lens_array(name: str) -> None:
    o = optics(name)
    east, north, each = lenslet_samples(o, 7)
    assert len(east) == 49
    assert each * len(east) == pytest.approx(lenslet_area(o))
    assert abs(east.mean()) < 1e-9 and abs(north.mean()) < 1e-9
    # neighbouring lenslets share no point
    shifted = {(round(e, 6), round(n, 6)) for e, n in zip(east + o.cell[0, 0], north + o.cell[0, 1])}
    assert not shifted & {(round(e, 6), round(n, 6)) for e, n in zip(east, north)}


def test_the_seed_disturbs_the_instrument_and_nothing_else_does() -> None:
    same, other = build_optics(load_profile("kpy"), 3), optics("kpy", 4)
    assert np.array_equal(optics("kpy", 3).x0, same.x0) and np.array_equal(optics("kpy", 3).gain, same.gain)
    n = min(len(other), len(same))
    assert not np.array_equal(other.x0[:n], same.x0[:n])


def test_widths_and_throughput_vary_over_the_field() -> None:
    o = optics()
    for values in (o.sigma_trace, o.sigma_line, o.gain):
        assert values.min() > 0.0
        assert 0.02 < values.std() / values.mean() < 0.15
