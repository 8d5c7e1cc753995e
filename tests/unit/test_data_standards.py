"""The shipped standard stars: each name finds its own star, each spectrum is its own and has its own magnitude."""

import numpy as np
import pytest

from sedmd.data import standards
from sedmd.raw.standardstar import ENCODER_WITHIN_ARCMIN, separation_arcmin

#: Flux density of a V = 0 star at 5500 A (Bessell, Castelli & Plez 1998), erg / (s cm2 A).
V_ZERO = 3.63e-9


def flux_5500(key):
    wavelength, flux = standards.load(key)
    return np.interp(5500.0, wavelength, flux)


TABULATED = sorted(key for key, star in standards.STANDARDS.items() if star.has_spectrum)

#: Between which the robot chooses at Palomar; and what its copy at Kitt Peak has been seen to use.
PALOMAR = [
    *("Feige110", "BD+25d4655", "G93-48", "BD+28d4211", "BD+33d2642", "HZ44"),
    *("Feige34", "BD+75d325", "HZ2", "LB227", "HZ4", "SA95-42"),
]
KITT_PEAK = ["HR9087", "CD-34d241", "LTT1020", "EG21", "HD49798", "AGK+81d266", "GRW+70d5824"]
#: Of CALSPEC those that are in most observing lists.
CALSPEC = ["GD153", "GD71", "G191B2B", "HD93521", "BD+02d3375", "BD+26d2606"]

#: J2000 positions from SIMBAD, typed by hand: not the lists from which the table was made.
SIMBAD = {
    "Feige110": "23 19 58.40 -05 09 56.2",
    "BD+25d4655": "21 59 41.97 +26 25 57.4",
    "G93-48": "21 52 25.37 +02 23 19.5",
    "BD+28d4211": "21 51 11.02 +28 51 50.4",
    "BD+33d2642": "15 51 59.89 +32 56 54.3",
    "HZ44": "13 23 35.26 +36 07 59.5",
    "Feige34": "10 39 36.74 +43 06 09.2",
    "BD+75d325": "08 10 49.49 +74 57 57.9",
    "HZ2": "04 12 43.55 +11 51 49.0",
    "HZ4": "03 55 21.99 +09 47 18.1",
    "GD153": "12 57 02.33 +22 01 52.5",
    "GD71": "05 52 27.61 +15 53 13.8",
    "G191-B2B": "05 05 30.61 +52 49 51.9",
    "HD93521": "10 48 23.51 +37 34 13.1",
    "HD49798": "06 48 04.70 -44 18 58.4",
    "AGK+81d266": "09 21 19.18 +81 43 27.6",
    "GRW+70d5824": "13 38 50.48 +70 17 07.6",
    "HR9087": "00 01 49.45 -03 01 39.0",
    "EG21": "03 10 31.02 -68 36 03.4",
    "CD-34d241": "00 41 46.92 -33 39 08.5",
    "BD+17d4708": "22 11 31.37 +18 05 34.2",
    "P330E": "16 31 33.82 +30 08 46.5",
}


@pytest.mark.parametrize("name", [*PALOMAR, *KITT_PEAK, *CALSPEC])
def test_there_are_the_stars_of_the_observatories(name):
    assert standards.lookup(f"STD-{name}") in TABULATED


@pytest.mark.parametrize("name", ["BD+17d4708", "P330E", "HZ43"])
def test_stars_without_a_spectrum_are_known_as_stars(name):
    key = standards.lookup(name)
    assert not standards.STANDARDS[key].has_spectrum
    with pytest.raises(KeyError, match="no spectrum"):
        standards.load(key)


@pytest.mark.parametrize("name", sorted(SIMBAD))
def test_a_star_is_where_simbad_has_it(name):
    hours, minutes, seconds, degrees, arcmin, arcsec = SIMBAD[name].split()
    sign = -1 if degrees.startswith("-") else 1
    ra = 15 * (int(hours) + int(minutes) / 60 + float(seconds) / 3600)
    dec = sign * (abs(int(degrees)) + int(arcmin) / 60 + float(arcsec) / 3600)
    star = standards.STANDARDS[standards.lookup(name)]
    assert separation_arcmin((ra, dec), (star.ra_deg, star.dec_deg)) * 60 < 10


def test_no_two_stars_share_a_place():
    # or a frame could be at the place of both
    stars = list(standards.STANDARDS.values())
    nearest = min(
        separation_arcmin((one.ra_deg, one.dec_deg), (other.ra_deg, other.dec_deg))
        for number, one in enumerate(stars)
        for other in stars[:number]
    )
    assert nearest > 2 * ENCODER_WITHIN_ARCMIN


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
        ("STD-CD-34 241", "cd34d241"),
        ("LTT377", "cd34d241"),
        ("AGK+81 266", "agk81d266"),
        ("HD049798", "hd49798"),
        ("BD+21 607", "bd21d0607"),
        ("GD 153", "gd153"),
        ("STDFEIGE34", "feige34"),
        ("std: bd+33 2642", "bd33d2642"),
        ("STD_BD284211", "bd28d4211"),
        ("STD-HZ-44", "hz44"),
        ("WD1254+223", "gd153"),
        ("STD_HILT600", "hiltner600"),
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


@pytest.mark.parametrize("key", TABULATED)
def test_flux_agrees_with_the_magnitude(key):
    magnitude = -2.5 * np.log10(flux_5500(key) / V_ZERO)
    assert magnitude == pytest.approx(standards.STANDARDS[key].v_mag, abs=0.085)


def test_no_two_stars_share_a_spectrum():
    fluxes = sorted(flux_5500(key) for key in TABULATED)
    assert np.min(np.diff(fluxes) / fluxes[:-1]) > 1e-4


@pytest.mark.parametrize("key", TABULATED)
def test_the_range_of_the_instrument_is_covered(key):
    wavelength, flux = standards.load(key)
    assert wavelength[0] <= 3310 and wavelength[-1] >= 9190
    assert np.ptp(np.diff(wavelength)) < 1e-9
    assert np.all(flux > 0)


@pytest.mark.parametrize("key", ["hz4", "grw70d5824", "hz2", "g93_48", "hr8634", "gd153", "ltt3218"])
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


@pytest.mark.parametrize("key", [key for key in TABULATED if standards.STANDARDS[key].source == "Hamuy 1994"])
def test_the_air_above_the_observatory_is_not_in_the_spectrum_of_a_star(key):
    # the published tables hold the oxygen band at 7600 A, a third of the light: it would be taken off twice
    wavelength, flux = standards.load(key)
    away = np.abs(wavelength - 7640)
    assert flux[away < 70].min() > 0.95 * np.median(flux[(away > 120) & (away < 250)])


@pytest.mark.parametrize(("key", "velocity_km_s"), [("gd153", 8), ("bd02d3375", -398), ("bd26d2606", 33)])
def test_wavelengths_are_those_of_air_and_of_the_star(key, velocity_km_s):
    # H beta is at 4861.33 A in air and at 4862.68 A in vacuum; velocities from SIMBAD
    wavelength, flux = standards.load(key)
    line = 4861.33 * (1 + velocity_km_s / 299792)
    near = np.abs(wavelength - line) < 10
    a, b, _ = np.polyfit(wavelength[near] - line, flux[near], 2)
    assert -b / (2 * a) == pytest.approx(0, abs=0.7)


def test_unknown_key_says_how_to_get_one():
    with pytest.raises(KeyError, match="lookup"):
        standards.load("Feige34")


def test_spectra_cannot_be_changed():
    _, flux = standards.load("feige34")
    with pytest.raises(ValueError, match="read-only"):
        flux[0] = 0
