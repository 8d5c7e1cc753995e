"""The other shipped tables: extinction, lamp lines, night sky, telluric bands."""

from importlib import resources

import numpy as np
import pytest

from sedmd.data.extinction import extinction_mag
from sedmd.data.lines import airglow_lines, airglow_spectrum, lamp_lines
from sedmd.data.telluric import BANDS, telluric_template


def test_extinction_passes_through_the_published_points():
    assert extinction_mag([3200.0, 5000.0, 5556.0, 8708.0]) == pytest.approx([1.058, 0.183, 0.151, 0.044])


def test_extinction_falls_all_the_way_and_holds_at_the_ends():
    assert np.all(np.diff(extinction_mag(np.arange(3200.0, 10870.0, 5.0))) <= 0)
    assert extinction_mag([3000.0, 12000.0]) == pytest.approx([1.058, 0.031])


# NIST Atomic Spectra Database, air
@pytest.mark.parametrize(
    ("lamp", "line"),
    [
        ("Hg", 4046.565),
        ("Hg", 4358.335),
        ("Hg", 5460.750),
        ("Cd", 4678.149),
        ("Cd", 4799.912),
        ("Cd", 5085.822),
        ("Cd", 6438.470),
        ("Xe", 7642.024),
        ("Xe", 8231.634),
        ("Xe", 8819.411),
        ("Ne", 6402.248),
        ("Ne", 7032.413),
    ],
)
def test_lamp_lines_are_in_air(lamp, line):
    wavelength, _ = lamp_lines(lamp)
    assert np.min(np.abs(wavelength - line)) < 0.02


@pytest.mark.parametrize("lamp", ["Hg", "Cd", "Xe", "Ne"])
def test_lamp_lines_are_ordered_and_scaled(lamp):
    wavelength, strength = lamp_lines(lamp)
    assert np.all(np.diff(wavelength) > 0)
    assert wavelength[0] >= 3600 and wavelength[-1] <= 10500
    assert strength.max() == 100 and strength.min() > 0


def test_unknown_lamp_lists_the_known_ones():
    with pytest.raises(KeyError, match="Hg, Cd, Xe, Ne"):
        lamp_lines("He")


@pytest.mark.parametrize(("line", "half_width"), [(5577.34, 8), (6300.30, 8), (6363.78, 8), (5889.95, 3)])
def test_airglow_spectrum_has_its_lines_at_air_wavelengths(line, half_width):
    wavelength, flux = airglow_spectrum()
    near = np.abs(wavelength - line) < half_width
    assert np.sum(flux[near] * wavelength[near]) / np.sum(flux[near]) == pytest.approx(line, abs=0.5)


def test_oxygen_line_sets_the_scale_of_the_airglow():
    wavelength, flux = airglow_spectrum()
    near = np.abs(wavelength - 5577.34) < 10
    assert np.sum(flux[near]) * 2 == pytest.approx(1, abs=0.03)


def test_airglow_lines_are_those_of_the_spectrum():
    lines, strength, kind = airglow_lines()
    assert np.all(np.diff(lines) > 0)
    assert {"airglow", "OH", "city"} == set(kind)
    wavelength, flux = airglow_spectrum()
    oh = np.array(kind) == "OH"
    peak = [flux[np.abs(wavelength - line) < 4].max() for line in lines[oh]]
    assert np.corrcoef(np.log(peak), np.log(strength[oh]))[0, 1] > 0.95


def test_telluric_bands_are_where_they_belong_and_nowhere_else():
    wavelength, oxygen, water = telluric_template()
    assert wavelength[np.argmin(oxygen)] == pytest.approx(7606, abs=6)
    inside = np.zeros(wavelength.size, dtype=bool)
    for _, low, high in BANDS:
        inside |= (wavelength >= low - 30) & (wavelength <= high + 30)
    inside |= (wavelength > 6270) & (wavelength < 6330)
    assert np.all((oxygen * water)[~inside] > 0.98)
    assert np.all((oxygen >= 0) & (oxygen <= 1) & (water >= 0) & (water <= 1))
    assert not np.any((oxygen < 1) & (water < 1))


def test_tables_are_small_and_say_where_they_come_from():
    files = [f for f in resources.files("sedmd.data").iterdir() if f.name.endswith((".txt", ".fits"))]
    assert sum(len(f.read_bytes()) for f in files) < 2e6
    for file in files:
        if file.name.endswith(".txt"):
            assert file.read_text().startswith("#"), file.name
