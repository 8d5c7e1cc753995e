"""Conditions from headers of every age, and the refraction that follows."""

import numpy as np
import pytest

from sedmd.products.conditions import REFERENCE_WAVELENGTH, conditions_of, refraction


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
