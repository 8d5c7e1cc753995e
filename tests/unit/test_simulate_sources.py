"""Point-spread function, shares of the lenslets, refraction on the lens array."""

from functools import cache

import numpy as np
import pytest

from sedmd.simulate import Pointing, PointSpread, SimulatedSource, load_profile
from sedmd.simulate.atmosphere import differential_refraction
from sedmd.simulate.optics import Optics, build_optics
from sedmd.simulate.sources import NODES, lenslet_shares, moffat, shares_at
from sedmd.simulate.spectra import GRID

FLAT = np.ones_like(GRID)
SHARP = PointSpread(fwhm=1.5, beta=3.5)


@cache
def optics() -> Optics:
    return build_optics(load_profile("2017"), 2)


def centroid(shares: np.ndarray, node: int) -> tuple[float, float]:
    # weight with the share squared: the far wings reach the border of the field
    weight = shares[:, node] ** 2
    return float(np.average(optics().sky_x, weights=weight)), float(np.average(optics().sky_y, weights=weight))


def test_moffat_has_unit_integral_and_its_width() -> None:
    axis = np.arange(-60.0, 60.0, 0.1)
    image = moffat(
        axis[None, :], axis[:, None], PointSpread(fwhm=1.6, beta=3.2, ellipticity=0.1, angle_deg=20.0), 5500.0
    )
    assert image.sum() * 0.01 == pytest.approx(1.0, abs=1e-3)
    assert moffat(np.array(0.8), np.array(0.0), PointSpread(fwhm=1.6, beta=3.2), 5500.0) == pytest.approx(
        0.5 * moffat(np.array(0.0), np.array(0.0), PointSpread(fwhm=1.6, beta=3.2), 5500.0)
    )


def test_seeing_gets_better_in_the_red() -> None:
    assert SHARP.at(8000.0) / SHARP.at(4000.0) == pytest.approx(2.0**-0.2)


def test_a_star_in_the_field_is_caught_whole() -> None:
    star = SimulatedSource(name="s", x=0.3, y=-0.2, flux=FLAT)
    shares = lenslet_shares(optics(), star, SHARP, (Pointing(airmass=1.0, parallactic_deg=0.0),))
    total = shares.sum(axis=0)
    # Moffat beta 3.5 within 13 arcsec: all but (1 + r^2/alpha^2)^(1-beta)
    assert np.all(total > 0.999) and np.all(total < 1.0005)


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0, 270.0, 37.0])
def test_refraction_moves_the_image_as_the_atmosphere_says(angle: float) -> None:
    star = SimulatedSource(name="s", x=0.0, y=0.0, flux=FLAT)
    pointing = Pointing(airmass=1.8, parallactic_deg=angle)
    shares = lenslet_shares(optics(), star, SHARP, (pointing,))
    air = {"pressure_mbar": pointing.pressure_mbar, "temperature_c": pointing.temperature_c, "humidity": 40.0}
    for node in (3, 16):
        expected = differential_refraction(NODES[node], 6500.0, 1.8, angle, **air)
        assert centroid(shares, node) == pytest.approx(expected, abs=0.03)


def test_a_galaxy_is_caught_and_is_wider_than_a_star() -> None:
    galaxy = SimulatedSource(name="g", x=0.0, y=0.0, flux=FLAT, radius=2.0, sersic=1.0, axis_ratio=0.6, angle_deg=90.0)
    where = (Pointing(airmass=1.0, parallactic_deg=0.0),)
    wide = lenslet_shares(optics(), galaxy, SHARP, where)
    star = lenslet_shares(optics(), SimulatedSource(name="s", x=0.0, y=0.0, flux=FLAT), SHARP, where)
    assert wide[:, 10].sum() == pytest.approx(1.0, abs=0.02)
    assert wide[:, 10].max() < 0.5 * star[:, 10].max()
    # position angle 90 degrees: the long axis lies East-West
    x, y, w = optics().sky_x, optics().sky_y, wide[:, 10]
    assert np.average(x**2, weights=w) > 1.5 * np.average(y**2, weights=w)


def test_guiding_errors_average() -> None:
    star = SimulatedSource(name="s", x=0.0, y=0.0, flux=FLAT)
    two = tuple(Pointing(airmass=1.0, parallactic_deg=0.0, guide_x=g) for g in (-1.0, 1.0))
    one = [lenslet_shares(optics(), star, SHARP, (p,)) for p in two]
    assert np.allclose(lenslet_shares(optics(), star, SHARP, two), 0.5 * (one[0] + one[1]))


def test_shares_between_nodes_are_linear() -> None:
    shares = np.stack([np.arange(len(NODES)) * 1.0, np.ones(len(NODES))])
    lam = np.array([[0.5 * (NODES[3] + NODES[4]), NODES[7]], [5000.0, 3000.0]])
    assert np.allclose(shares_at(shares, lam), [[3.5, 7.0], [1.0, 1.0]])
