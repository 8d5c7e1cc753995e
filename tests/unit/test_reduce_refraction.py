"""Differential refraction: its size against published figures, its direction against the zenith."""

import numpy as np
import pytest

from sedmd.reduce.target.refraction import displacement, refractivity

#: The conditions of Filippenko 1982: 600 mm Hg, 7 C, 8 mm Hg of water vapour (more than 7 C can hold, as published).
FILIPPENKO = {"pressure_mbar": 600 / 0.750062, "temperature_c": 7.0, "humidity": 8 / (10.014 * 0.750062)}


def test_sea_level_air_has_the_textbook_index():
    # Edlen 1953, dry air at 15 C and 760 mm Hg, 5893 A: 1.0002771
    dry = refractivity(5893.0, pressure_mbar=1013.25, temperature_c=15.0, humidity=0.0)
    assert dry == pytest.approx(2.771e-4, rel=2e-3)


@pytest.mark.parametrize(("airmass", "blue", "red"), [(1.2, 0.88, -0.19), (1.5, 1.48, -0.32), (2.0, 2.30, -0.50)])
def test_size_between_3800_and_9500(airmass, blue, red):
    # what the pipeline this one replaces gets for these conditions, relative to 6750 A
    _, dy = displacement([3800.0, 9500.0], reference=6750.0, airmass=airmass, parallactic_deg=0.0, **FILIPPENKO)
    assert dy == pytest.approx([blue, red], abs=0.02)


@pytest.mark.parametrize(
    ("angle", "direction"), [(0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (270, (-1, 0)), (-45, (-0.7071, 0.7071))]
)
def test_blue_light_lies_towards_the_zenith(angle, direction):
    dx, dy = displacement(4000.0, reference=6000.0, airmass=1.6, parallactic_deg=angle)
    assert np.array([dx, dy]) / np.hypot(dx, dy) == pytest.approx(direction, abs=1e-4)


def test_no_displacement_at_the_reference_nor_at_the_zenith():
    assert np.hypot(*displacement(6000.0, reference=6000.0, airmass=1.9, parallactic_deg=33)) == 0
    assert np.hypot(*displacement(4000.0, reference=6000.0, airmass=1.0, parallactic_deg=33)) == 0


def test_airmass_below_one_is_refused():
    with pytest.raises(ValueError, match=r"airmass must be at least 1, got 0\.9"):
        displacement(4000.0, reference=6000.0, airmass=0.9, parallactic_deg=0)
