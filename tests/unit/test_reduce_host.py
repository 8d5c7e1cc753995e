"""A host: when there is one, when it is no transient, and which samples take part in the fit."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.target.host import (
    EXTENDED_ARCSEC,
    LEAST_GAIN,
    LEAST_GAIN_ON_THE_STAR,
    LEAST_SIGNIFICANCE,
    ON_THE_STAR_ARCSEC,
    RADIUS_ARCSEC,
    SHAPE_ERROR,
    Host,
    _problem,
)
from sedmd.reduce.target.psf import Bands, Psf, image
from sedmd.reduce.target.seeing import Seeing
from unit.reduce_scenes import hex_spaxels

STAR = Psf(x_arcsec=0.5, y_arcsec=-0.3, fwhm_arcsec=1.8)


def host(**changes):
    far = replace(STAR, x_arcsec=0.5 + 3.0, y_arcsec=-0.3 + 4.0)
    told = {"alone": None, "star": STAR, "image": far, "share": 0.2, "significance": 9.0, "host_significance": 9.0}
    return Host(**told | {"gain": 100.0, "cost": 200.0, "chi2": 1.0} | changes)


def test_separation():
    assert host().separation_arcsec == pytest.approx(5.0)


@pytest.mark.parametrize(("own", "extended"), [(EXTENDED_ARCSEC - 0.01, False), (EXTENDED_ARCSEC + 0.01, True)])
def test_a_host_is_wider_than_the_star_in_quadrature(own, extended):
    assert host(image=replace(STAR, fwhm_arcsec=np.hypot(1.8, own))).extended is extended


@pytest.mark.parametrize(
    ("changes", "clear"),
    [
        ({}, True),
        ({"gain": LEAST_GAIN}, False),
        ({"gain": LEAST_GAIN + 0.1}, True),
        # where the model fits poorly more is asked, where it fits well no less
        ({"chi2": 2.0, "gain": 2 * LEAST_GAIN}, False),
        ({"chi2": 2.0, "gain": 2 * LEAST_GAIN + 0.1}, True),
        ({"chi2": 0.5, "gain": LEAST_GAIN}, False),
        ({"host_significance": LEAST_SIGNIFICANCE}, False),
        # far from the star its share of the chi-square is not asked for
        ({"cost": 1e6}, True),
    ],
)
def test_when_there_is_a_host(changes, clear):
    assert host(**changes).clear is clear


@pytest.mark.parametrize(("gain", "clear"), [(LEAST_GAIN_ON_THE_STAR * 1000, False), (151.0, True)])
def test_what_could_be_the_stars_own_shape_must_gain_a_share(gain, clear):
    near = replace(STAR, x_arcsec=0.5 + ON_THE_STAR_ARCSEC - 0.01)
    assert host(image=near, cost=1000.0, gain=gain).clear is clear


def test_samples_count_by_noise_and_by_what_is_known_of_the_image():
    spaxels, wavelength = hex_spaxels(), np.array([5000.0, 7000.0])
    still = np.zeros(2)
    shape = image(STAR, spaxels, wavelength, still, still)
    flux, variance = 500.0 * shape + 10.0, np.full(shape.shape, 4.0)
    variance[0, 100], variance[1, 200] = np.inf, np.nan
    bands = Bands(wavelength=wavelength, flux=flux, variance=variance, east=still, north=still)
    for about in (None, (3.0, 2.0)):
        made = _problem(bands, spaxels, STAR, about=about, seeing=Seeing(fwhm_arcsec=2.2, spread_arcsec=0.3))
        x, y = about or (STAR.x_arcsec, STAR.y_arcsec)
        around = np.hypot(spaxels.x_arcsec - x, spaxels.y_arcsec - y) < RADIUS_ARCSEC
        assert made.part.q.size == around.sum() < spaxels.q.size
        known = np.isfinite(variance[:, around])
        wanted = 1 / (4.0 + (SHAPE_ERROR * 500.0 * shape[:, around]) ** 2)
        assert_allclose(made.weight, np.where(known, wanted, 0.0), rtol=1e-3)
        assert_allclose(made.root**2, made.weight)
        assert (made.usable == known).all()
        assert (made.prior[0], made.spread[0]) == (2.2, 0.3)
