"""Conditions from headers of every age, and the refraction that follows."""

import numpy as np
import pytest

from sedmd.products.conditions import REFERENCE_WAVELENGTH, Conditions, conditions_of, refraction


def test_start_and_end_are_averaged():
    found = conditions_of({"AIRMASS": 1.2, "ENDAIR": 1.4, "TEL_PA": -50.0, "END_PA": -30.0, "BARPRESS": 824.0})
    assert found.airmass == pytest.approx(1.3)
    assert found.parallactic_deg == pytest.approx(-40.0)
    assert found.pressure_mbar == 824.0


def test_direction_does_not_jump_across_south():
    assert abs(conditions_of({"TEL_PA": 170.0, "END_PA": -170.0}).parallactic_deg) == pytest.approx(180.0)


def test_old_name_of_the_angle_serves():
    assert conditions_of({"PRLLTC": 12.5}).parallactic_deg == pytest.approx(12.5)


@pytest.mark.parametrize(
    "header", [{}, {"AIRMASS": -999, "TEL_PA": -999.0}, {"AIRMASS": "n/a", "TEL_PA": None}, {"AIRMASS": float("nan")}]
)
def test_what_cannot_be_counts_as_absent(header):
    found = conditions_of(header)
    assert found.airmass is None and found.parallactic_deg is None
    dx, dy = refraction(found, np.linspace(4000, 9000, 5))
    assert not dx.any() and not dy.any()


def test_position_holds_at_the_reference_wavelength():
    found = conditions_of({"AIRMASS": 1.5, "TEL_PA": 90.0})
    dx, dy = refraction(found, np.array([4000.0, REFERENCE_WAVELENGTH, 9000.0]))
    assert dx[0] > 0.5 and dx[1] == 0 and dx[2] < -0.1
    assert dy == pytest.approx(0, abs=1e-12)


#: 1800 s of an object at declination +10 that sets in the West of Palomar.
SETTING = {"DEC": "+10:00:00", "EXPTIME": 1800.0}


def setting(seconds):
    """By the formulas of the altitude and of the parallactic angle, from the hour angle: the other way round."""
    latitude, declination = np.deg2rad([33.3563, 10.0])
    hour_angle = np.deg2rad(45 + 15.041067 / 3600 * seconds)
    towards = np.tan(latitude) * np.cos(declination) - np.sin(declination) * np.cos(hour_angle)
    sine = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour_angle)
    return 1 / sine, np.rad2deg(np.arctan2(np.sin(hour_angle), towards))


@pytest.mark.parametrize("name", ["TEL_PA", "PRLLTC"])
def test_where_only_the_start_is_told_the_middle_follows(name):
    airmass, angle = setting(0)
    found = conditions_of(SETTING | {"AIRMASS": airmass, name: angle})
    assert (found.airmass, found.parallactic_deg) == pytest.approx(setting(900), rel=1e-6)
    assert found.airmass - airmass > 0.05


@pytest.mark.parametrize("odd", [{"DEC": "n/a"}, {"EXPTIME": None}, {"DEC": -70.0}, {"TEL_PA": 170.0}, {"EXPTIME": -1}])
def test_where_the_cards_do_not_belong_together_the_start_stays(odd):
    airmass, angle = setting(0)
    header = SETTING | {"AIRMASS": airmass, "TEL_PA": angle} | odd
    found = conditions_of(header)
    assert found.parallactic_deg == pytest.approx(header["TEL_PA"])
    assert found.airmass == pytest.approx(airmass)


def test_a_lost_direction_at_the_end_follows_from_the_start():
    airmass, angle = setting(0)
    found = conditions_of(SETTING | {"AIRMASS": airmass, "TEL_PA": angle, "ENDAIR": setting(1800)[0], "END_PA": -999})
    assert found.parallactic_deg == pytest.approx(setting(900)[1])
    assert found.airmass == pytest.approx(0.5 * (airmass + setting(1800)[0]))


@pytest.mark.parametrize("filled", [{"ENDAIR": 1.5 * 1.41, "END_PA": 53.0}, {"ENDAIR": -1, "END_PA": -999}])
def test_cards_of_the_end_that_were_filled_in_later_do_not_count(filled):
    airmass, angle = setting(0)
    found = conditions_of(SETTING | {"AIRMASS": airmass, "TEL_PA": angle} | filled)
    assert (found.airmass, found.parallactic_deg) == pytest.approx(setting(900), rel=1e-6)


def test_numbers_as_text_count_as_numbers():
    found = conditions_of({"AIRMASS": "1.2", "ENDAIR": "1.060", "TEL_PA": "52", "END_PA": "24", "OUT_DEW": "NaN"})
    assert found.airmass == pytest.approx(1.13)
    assert found.parallactic_deg == pytest.approx(38.0)


def test_a_lost_airmass_follows_from_the_elevation():
    found = conditions_of({"AIRMASS": -999.0, "TEL_EL": 37.67, "TEL_PA": 46.0})
    assert found.airmass == pytest.approx(1.634, abs=0.001)


def test_a_lost_airmass_and_angle_follow_from_position_and_time():
    # cards of an exposure of 2021-12-12: AIRMASS 1.634, TEL_PA 46 at its start, 1.939 and 50 at its end
    lost = {"RA": "00:58:50.29", "DEC": "-00:15:08.1", "UTC": "2021-12-12T06:14:11.940353", "EXPTIME": 2160.0}
    found = conditions_of(lost)
    assert found.airmass == pytest.approx(1.77, abs=0.03)
    assert found.parallactic_deg == pytest.approx(48.0, abs=1.0)


@pytest.mark.parametrize("card", [1011.7, 1015.0, "1018.5"])
def test_pressure_is_that_of_the_station(card):
    assert conditions_of({"BARPRESS": card}).pressure_mbar == pytest.approx(826.0, abs=5.0)


def test_pressure_is_reduced_in_the_standard_atmosphere():
    # hydrostatic balance of an ideal gas, integrated in steps from sea level to the telescope
    pressure, step = 1013.25, 1.0
    for height in np.arange(0.0, 1712.0, step) + step / 2:
        pressure *= np.exp(-9.80665 * 0.0289644 / 8.31446 / (288.15 - 0.0065 * height) * step)
    assert conditions_of({"BARPRESS": 1013.25}).pressure_mbar == pytest.approx(pressure, abs=0.1)


@pytest.mark.parametrize("card", [-999.0, 51.0, "NA", None, 930.0])
def test_a_pressure_that_cannot_be_is_the_usual_one(card):
    assert conditions_of({"BARPRESS": card}).pressure_mbar == 824.0


@pytest.mark.parametrize(("card", "share"), [(45.0, 0.45), (100.0, 1.0), (0.5, 0.005), (0.0, 0.0)])
def test_humidity_is_per_cent_in_the_card_and_a_share_in_the_conditions(card, share):
    assert conditions_of({"OUT_HUM": card}).humidity == pytest.approx(share)


@pytest.mark.parametrize("card", [{}, {"OUT_HUM": 200.0}, {"OUT_HUM": -999.0}])
def test_a_humidity_that_cannot_be_is_the_usual_one(card):
    assert conditions_of(card).humidity == Conditions(airmass=None, parallactic_deg=None).humidity
