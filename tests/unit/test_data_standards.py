"""The shipped standard stars: each name finds its own star, each spectrum is its own and has its own magnitude."""

import numpy as np
import pytest

from sedmd.data import standards

#: Flux density of a V = 0 star at 5500 A (Bessell, Castelli & Plez 1998), erg / (s cm2 A).
V_ZERO = 3.63e-9


def flux_5500(key):
    wavelength, flux = standards.load(key)
    return np.interp(5500.0, wavelength, flux)


def test_there_are_the_stars_of_the_observatory():
    assert len(standards.STANDARDS) == 31


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("STD-BD+25d4655", "bd25d4655"),
        ("BD+28 4211", "bd28d4211"),
        ("BD+284211", "bd28d4211"),
        ("STD-BD+75 325", "bd75d325"),
        ("FEIGE34", "feige34"),
        ("STD-Feige34_obs2", "feige34"),
        ("  STD-HZ44 [A]", "hz44"),
        ('"STD-HZ4"', "hz4"),
        ("std-hz2", "hz2"),
        ("G191-B2B", "g191b2b"),
        ("g191_b2b", "g191b2b"),
        ("G193-74", "g193_74"),
        ("STD-SA95-42", "sa95_42"),
        ("GRW+70 5824", "grw70d5824"),
        ("HR 8634", "hr8634"),
    ],
)
def test_names_in_use_find_their_star(name, key):
    assert standards.lookup(name) == key


@pytest.mark.parametrize(
    "name", ["", "STD-", "STD-rc_calib", "ZTF18abc", "HZ", "Feige", "BD+25", "Feige344", "STD-Vega"]
)
def test_other_names_find_nothing(name):
    assert standards.lookup(name) is None


@pytest.mark.parametrize("key", sorted(standards.STANDARDS))
def test_every_key_and_name_find_their_star(key):
    assert standards.lookup(key) == key
    assert standards.lookup("STD-" + standards.STANDARDS[key].name) == key


@pytest.mark.parametrize("key", sorted(standards.STANDARDS))
def test_flux_agrees_with_the_magnitude(key):
    magnitude = -2.5 * np.log10(flux_5500(key) / V_ZERO)
    assert magnitude == pytest.approx(standards.STANDARDS[key].v_mag, abs=0.10)


def test_no_two_stars_share_a_spectrum():
    fluxes = sorted(flux_5500(key) for key in standards.STANDARDS)
    assert np.min(np.diff(fluxes) / fluxes[:-1]) > 1e-4


@pytest.mark.parametrize("key", sorted(standards.STANDARDS))
def test_the_range_of_the_instrument_is_covered(key):
    wavelength, flux = standards.load(key)
    assert wavelength[0] <= 3310 and wavelength[-1] >= 9190
    assert np.ptp(np.diff(wavelength)) < 1e-9
    assert np.all(flux > 0)


@pytest.mark.parametrize("key", ["hz4", "grw70d5824", "hz2", "g93_48", "hr8634"])
@pytest.mark.parametrize("line", [4861.33, 4340.47])
def test_balmer_lines_survive_the_rebinning_in_place(key, line):
    # the published tables themselves are off by up to 6 A from line to line (their resolution is 7-14 A)
    wavelength, flux = standards.load(key)
    near = np.abs(wavelength - line) < 30
    depth = 1 - flux[near] / np.median(flux[np.abs(wavelength - line) < 120])
    deep = depth > 0.6 * depth.max()
    assert depth.max() > 0.2
    assert np.sum((wavelength[near] * depth)[deep]) / np.sum(depth[deep]) == pytest.approx(line, abs=6)


@pytest.mark.parametrize("key", ["feige34", "g191b2b"])
def test_the_join_of_two_tables_leaves_no_step(key):
    wavelength, flux = standards.load(key)
    red = (wavelength > 8300) & (wavelength < 9400)
    smooth = np.polynomial.Polynomial.fit(wavelength[red], flux[red], 3)(wavelength[red])
    assert np.median(np.abs(flux[red] / smooth - 1)) < 0.02


def test_unknown_key_says_how_to_get_one():
    with pytest.raises(KeyError, match="lookup"):
        standards.load("Feige34")


def test_spectra_cannot_be_changed():
    _, flux = standards.load("feige34")
    with pytest.raises(ValueError, match="read-only"):
        flux[0] = 0
