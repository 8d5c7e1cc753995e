"""Efficiency: the share of photons that become electrons, against closed forms."""

import numpy as np
import pytest
from astropy import constants, units

from sedmd.after.report.efficiency import BAND_NAMES, efficiency, in_bands


def test_an_instrument_that_counts_every_fifth_photon():
    wavelength = np.linspace(4000, 9000, 501)
    area = 18000.0
    # photons on the mirror for 1 erg/s/cm2/A, by astropy's units
    photons = (
        (1 * units.erg / units.s / units.cm**2 / units.AA)
        * area
        * units.cm**2
        / (constants.h * constants.c / (wavelength * units.AA))
    ).to_value(1 / units.s / units.AA)
    assert efficiency(wavelength, 0.2 * photons, area_cm2=area) == pytest.approx(np.full(501, 0.2), rel=1e-9)


def test_twice_the_mirror_halves_it():
    one, two = (efficiency(np.array([5000.0]), np.array([1e15]), area_cm2=area) for area in (9000.0, 18000.0))
    assert one[0] == pytest.approx(2 * two[0])


def test_where_nothing_is_known_nothing_is_said():
    wavelength = np.linspace(3600, 7400, 381)
    values = np.where(wavelength < 5400, 0.1, np.nan)
    assert in_bands(wavelength, values) == (pytest.approx(0.1), None, None, None, None)


def test_bins_count_by_their_width():
    """A straight line sampled more finely at one end has the mean of its middle all the same."""
    wavelength = np.concatenate([np.arange(3900, 4500, 1.0), np.arange(4500, 5100, 20.0)])
    assert in_bands(wavelength, wavelength)[0] == pytest.approx(4500, rel=3e-3)


def test_bands_are_called_by_their_middle_in_nanometres():
    assert BAND_NAMES == ("450", "550", "650", "750", "850")
