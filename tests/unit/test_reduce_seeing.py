"""What is known of a star's width before it is looked at."""

import numpy as np
import pytest

from sedmd.reduce.target.seeing import Seeing, Shape, seeing_by_star

#: What an ellipticity that was not measured brings to a density.
FLAT = Shape(fwhm_arcsec=1.0).roundness(0.08)


@pytest.mark.parametrize("known", [Seeing(), seeing_by_star(1.1, 1.3, at_airmass=1.8), Seeing(spread_arcsec=2.0)])
def test_the_density_is_one(known):
    width = np.linspace(-20, 25, 20001)
    density = np.array([known.density(Shape(fwhm_arcsec=one)) for one in width]) / FLAT
    assert np.trapezoid(density, width) == pytest.approx(1, abs=1e-4)
    assert width[density.argmax()] == pytest.approx(known.fwhm_arcsec, abs=0.003)


def test_the_seeing_grows_with_airmass():
    assert seeing_by_star(1.5, 1.2, at_airmass=1.2).fwhm_arcsec == 1.5
    assert seeing_by_star(1.5, 1.0, at_airmass=2.0).fwhm_arcsec == pytest.approx(1.5 * (1 + 1.5157) / 2, rel=1e-4)


@pytest.mark.parametrize("airmass, at_airmass", [(5.0, 1.0), (1.0, 3.0), (1.3, 1.2)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_whatever_the_share_of_the_air_a_star_elsewhere_in_the_sky_is_believed(airmass, at_airmass, share):
    """Air and telescope add in quadrature; the share of the air at the zenith is not known."""
    air, fixed = share * 1.2**2, (1 - share) * 1.2**2
    seen, here = (np.sqrt(air * above**1.2 + fixed) for above in (airmass, at_airmass))
    told = seeing_by_star(seen, airmass, at_airmass=at_airmass)
    assert abs(told.fwhm_arcsec - here) < told.spread_arcsec


def test_a_star_of_the_night_tells_more_than_what_is_usual():
    told = seeing_by_star(1.2, 1.1, at_airmass=1.1)
    assert told.density(Shape(fwhm_arcsec=2.3)) < 0.05 * told.density(Shape(fwhm_arcsec=1.2))
    assert Seeing().density(Shape(fwhm_arcsec=2.3)) > 0.5 * Seeing().density(Shape(fwhm_arcsec=1.8))


NAN = float("nan")


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 1.0), (1.5, 0.9, 1.2), (NAN, 1.0, 1.0), (1.5, 1.0, NAN)])
def test_what_cannot_be_is_refused(wrong):
    fwhm, airmass, here = wrong
    with pytest.raises(ValueError, match="expected a width above 0"):
        seeing_by_star(fwhm, airmass, at_airmass=here)
