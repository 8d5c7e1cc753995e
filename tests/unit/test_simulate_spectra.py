"""Spectra of the simulated sky and its objects against magnitudes and closed forms."""

import numpy as np
import pytest

from sedmd.core.errors import SedmError
from sedmd.simulate import load_profile, spectra
from sedmd.simulate.tables import airglow_lines, lamp_lines, standards


@pytest.mark.parametrize(
    ("name", "flux"),
    [("Feige34", 1217.0), ("HZ44", 763.0), ("BD+33d2642", 1752.6), ("BD+28d4211", 2226.9), ("Feige110", 656.6)],
)
def test_standards_have_their_published_flux_at_5500(name: str, flux: float) -> None:
    assert np.interp(5500.0, spectra.GRID, spectra.standard_flux(name)) == pytest.approx(flux * 1e-16, rel=0.01)


def test_standards_are_all_different_and_smooth_where_the_table_ends() -> None:
    values = [np.interp(5500.0, spectra.GRID, spectra.standard_flux(name)) for name in standards()]
    assert len(set(np.round(np.log10(values), 3))) == len(values)
    for name in standards():
        flux = spectra.standard_flux(name)
        assert np.all(flux > 0.0)
        near = (spectra.GRID > 8900) & (spectra.GRID < 9400)
        assert np.max(np.abs(np.diff(np.log(flux[near])))) < 0.1


def test_an_unknown_standard_lists_the_known_ones() -> None:
    with pytest.raises(SedmError, match="Feige34"):
        spectra.standard_flux("Vega")


@pytest.mark.parametrize("kind", ["Ia", "II", "Ic"])
def test_supernova_has_its_magnitude(kind: str) -> None:
    flux = spectra.supernova_flux(kind, 9000.0, 0.03, 17.0)
    window = (spectra.GRID > 6200) & (spectra.GRID < 6800)
    assert flux[window].mean() == pytest.approx(spectra.ab_flux(17.0))
    assert np.all(flux > 0.0)


def test_an_unknown_supernova_lists_the_types() -> None:
    with pytest.raises(SedmError, match="Ia, II, Ic"):
        spectra.supernova_flux("IIz", 9000.0, 0.0, 17.0)


def test_ab_magnitude_zero() -> None:
    assert spectra.ab_flux(0.0, 5500.0) == pytest.approx(3.6e-9, rel=0.01)


def test_silicon_of_a_type_ia_is_where_it_should_be() -> None:
    flux = spectra.supernova_flux("Ia", 10000.0, 0.0, 15.0)
    window = (spectra.GRID > 6000) & (spectra.GRID < 6350)
    assert spectra.GRID[window][np.argmin(flux[window] / spectra.planck(spectra.GRID, 10000.0)[window])] == (
        pytest.approx(6355.0 * (1.0 - 10.8 / 299.8), abs=25.0)
    )


def test_photon_energy() -> None:
    assert spectra.photons(np.array([5000.0]), np.array([1.0]))[0] == pytest.approx(5.0341e7 * 5000.0, rel=1e-4)


def test_moonlight() -> None:
    # Krisciunas & Schaefer (1991): full Moon, 60 degrees away, both at zenith distance 30: V near 18.5 mag/arcsec2
    full = np.interp(5500.0, spectra.GRID, spectra.moon_flux(0.0, 30.0, 30.0, 60.0))
    assert -2.5 * np.log10(full / 3.63e-9) == pytest.approx(18.4, abs=0.5)
    assert not spectra.moon_flux(0.0, 95.0, 30.0, 60.0).any()
    half = np.interp(5500.0, spectra.GRID, spectra.moon_flux(90.0, 30.0, 30.0, 60.0))
    assert 0.05 < half / full < 0.15


def test_airglow_brightens_with_the_slant_path() -> None:
    lam, zenith = spectra.sky_lines({}, 1.0)
    _, low = spectra.sky_lines({}, 2.0)
    assert np.all(low > 1.8 * zenith) and np.all(low < 2.0 * zenith)
    green = np.argmin(np.abs(lam - 5577.338))
    assert zenith[green] == pytest.approx(230.0 * 1.871e-6, rel=1e-3)


def test_components_of_the_airglow_are_scaled_apart() -> None:
    component, _, _ = airglow_lines()
    _, plain = spectra.sky_lines({}, 1.2)
    _, more = spectra.sky_lines({"oh": 2.0}, 1.2)
    assert np.allclose(more[component == "oh"], 2.0 * plain[component == "oh"])
    assert np.allclose(more[component != "oh"], plain[component != "oh"])


def test_lamps_have_the_published_lines_and_an_unknown_lamp_does_not() -> None:
    for lamp, lines in (("Hg", (4358.33, 5460.74)), ("Cd", (4799.91, 5085.82)), ("Xe", (8231.63, 8819.41))):
        lam, strength = lamp_lines(lamp)
        for line in lines:
            assert np.abs(lam - line).min() < 0.05
        assert np.all(strength > 0.0)
    with pytest.raises(SedmError, match="Hg, Cd and Xe"):
        lamp_lines("Th")


def test_lamps_of_2013_have_the_ratios_measured_on_them() -> None:
    # relative to Hg 4358 as detected: 5461 1.7, the pair at 5780 0.53, Hg II 0.016, argon 7635 0.013 and 8115 0.018;
    # relative to Xe 8232 with 8280: 8819 0.49, 9800 with 9923 0.04
    throughput = load_profile("2017").throughput
    detected = {}
    for lamp in ("Hg", "Xe"):
        lam, rate = lamp_lines(lamp, "2013")
        for line, seen in zip(lam, rate * np.interp(lam, throughput.wavelength, throughput.efficiency)):
            detected[round(float(line))] = seen
    hg = {line: detected[line] / detected[4358] for line in (5461, 5770, 5791, 6150, 7635, 8104, 8115)}
    assert hg[5461] == pytest.approx(1.7, rel=0.05)
    assert hg[5770] + hg[5791] == pytest.approx(0.53, rel=0.05)
    assert hg[6150] == pytest.approx(0.016, rel=0.1)
    assert hg[7635] == pytest.approx(0.013, rel=0.1) and hg[8104] + hg[8115] == pytest.approx(0.018, rel=0.1)
    pair = detected[8232] + detected[8280]
    assert detected[8819] / pair == pytest.approx(0.49, rel=0.05)
    assert (detected[9800] + detected[9923]) / pair == pytest.approx(0.04, abs=0.01)
    assert not np.any(np.abs(lamp_lines("Hg")[0] - 6149.5) < 1.0)
    with pytest.raises(SedmError, match="pen or 2013"):
        lamp_lines("Hg", "1990")
