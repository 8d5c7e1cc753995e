"""Refraction, extinction and telluric bands of the simulator against published values."""

import numpy as np
import pytest

from sedmd.simulate import atmosphere

AIR = {"pressure_mbar": 1013.25, "temperature_c": 15.0, "humidity": 0.0}
PALOMAR = {"pressure_mbar": 830.0, "temperature_c": 10.0, "humidity": 40.0}


def test_refractivity_of_standard_air() -> None:
    # Ciddor (1996), table 1: dry standard air with 450 ppm of CO2 at 633 nm, 20 C, 100 kPa
    value = atmosphere.refractivity(6330.0, pressure_mbar=1000.0, temperature_c=20.0, humidity=0.0)
    assert value * 1e8 == pytest.approx(26824.4, abs=1.5)


def test_moist_air_refracts_less() -> None:
    dry = atmosphere.refractivity(5500.0, pressure_mbar=1000.0, temperature_c=20.0, humidity=0.0)
    moist = atmosphere.refractivity(5500.0, pressure_mbar=1000.0, temperature_c=20.0, humidity=100.0)
    assert moist < dry


def test_air_and_vacuum_are_inverse_and_right_for_mercury() -> None:
    assert atmosphere.air_to_vacuum(5460.750) == pytest.approx(5462.268, abs=0.003)
    lam = np.linspace(3400.0, 10500.0, 50)
    assert np.allclose(atmosphere.vacuum_to_air(atmosphere.air_to_vacuum(lam)), lam, atol=2e-4)


@pytest.mark.parametrize(("angle", "direction"), [(0.0, (0, 1)), (90.0, (1, 0)), (180.0, (0, -1)), (-90.0, (-1, 0))])
def test_blue_light_is_lifted_towards_the_zenith(angle: float, direction: tuple[int, int]) -> None:
    east, north = atmosphere.differential_refraction(4000.0, 6500.0, 1.5, angle, **PALOMAR)
    size = np.hypot(east, north)
    assert (east / size, north / size) == pytest.approx(direction, abs=1e-9)


def test_size_of_the_refraction_at_palomar() -> None:
    # 3800 A against 6750 A at airmass 1.5: 1.48 arcsec for 800 mbar and 7 C (kpy's use of Filippenko 1982)
    _, north = atmosphere.differential_refraction(
        3800.0, 6750.0, 1.5, 0.0, pressure_mbar=800.0, temperature_c=7.0, humidity=70.0
    )
    assert north == pytest.approx(1.48, abs=0.03)


def test_no_refraction_at_the_zenith() -> None:
    assert np.allclose(atmosphere.differential_refraction(4000.0, 6500.0, 1.0, 30.0, **PALOMAR), 0.0)


def test_extinction_is_the_published_curve() -> None:
    # Hayes & Latham (1975): 0.151 mag at 5556 A, no telluric band there
    value = atmosphere.transmission(np.array([5556.0]), 2.0, water_mm=3.0)
    assert -2.5 * np.log10(value[0]) == pytest.approx(2.0 * 0.151, abs=1e-6)


def test_telluric_bands_are_where_they_belong_and_grow() -> None:
    lam = np.arange(3600.0, 10000.0, 2.0)
    low, high = (atmosphere.telluric(lam, x, water_mm=3.0) for x in (1.0, 2.0))
    assert np.all(low[lam < 5800.0] == 1.0)
    assert 7590.0 < lam[(lam > 7400) & (lam < 7900)][np.argmin(low[(lam > 7400) & (lam < 7900)])] < 7650.0
    assert np.all(high <= low)
    wet = atmosphere.telluric(lam, 1.0, water_mm=9.0)
    water = (lam > 8900.0) & (lam < 9300.0)
    assert wet[water].mean() < low[water].mean()
    assert np.allclose(wet[(lam > 7585) & (lam < 7700)], low[(lam > 7585) & (lam < 7700)])
