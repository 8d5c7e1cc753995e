"""The same instrument night after night, another one, and one line taken for its neighbour."""

from dataclasses import fields, replace
from itertools import permutations

import pytest

from sedmd.plan.geometry_change import TRACES_FIGURES, WAVELENGTH_FIGURES, NightGeometry, geometry_changes

NAMES = [field.name for field in fields(NightGeometry)]
#: As measured on simulated mini nights: profile and seed -> the fields of `NightGeometry` in their order.
MEASURED = {
    ("kpy", 1): (1923, 1689, 50.411, 17.08, 990.7, 1022.8, 3.48, 3.04, 15.563, 29.186, 43.687, 17),
    ("kpy", 7): (1918, 1689, 50.438, 17.07, 989.9, 1024.9, 3.43, 2.99, 15.591, 29.250, 43.843, 17),
    ("pysedm", 1): (1762, 1627, 50.079, 25.55, 980.9, 997.6, 3.19, 2.72, 16.147, 28.881, 40.403, 18),
    ("shifted", 1): (1767, 1628, 50.461, 8.31, 1000.7, 1017.9, 3.66, 3.61, 16.835, 31.213, 46.712, 16),
}
NIGHTS = {night: NightGeometry(**dict(zip(NAMES, values, strict=True))) for night, values in MEASURED.items()}
KPY = NIGHTS["kpy", 1]
PAIRS = list(permutations(NIGHTS, 2))


@pytest.mark.parametrize(("tonight", "before"), [p for p in PAIRS if p[0][0] == p[1][0]], ids=str)
def test_two_nights_of_one_instrument_do_not_depart(tonight, before):
    assert geometry_changes(NIGHTS[tonight], NIGHTS[before]) == ()


@pytest.mark.parametrize(("tonight", "before"), [p for p in PAIRS if p[0][0] != p[1][0]], ids=str)
def test_another_instrument_departs_in_what_is_its_own(tonight, before):
    found = geometry_changes(NIGHTS[tonight], NIGHTS[before])
    assert len(found) >= 3
    assert any("lens array was turned" in text for text in found)
    assert any("dispersion" in text for text in found)


@pytest.mark.parametrize(
    "change",
    [
        {"x_px": KPY.x_px + 12.0, "y_px": KPY.y_px - 9.0},
        {"spaxels": KPY.spaxels * 0.98, "complete": KPY.complete * 1.02},
        {"trace_fwhm_px": KPY.trace_fwhm_px * 1.1, "line_fwhm_px": KPY.line_fwhm_px * 0.9},
        {"pitch_px": KPY.pitch_px * 1.001, "lattice_angle_deg": KPY.lattice_angle_deg + 0.2},
        {"lines": KPY.lines - 3},
    ],
    ids=["remounted", "rim", "focus", "temperature", "faint lamp"],
)
def test_what_a_routine_night_does_is_no_departure(change):
    assert geometry_changes(replace(KPY, **change), KPY) == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"spaxels": 1700}, r"spaxels found 1700, before \d+; at most 5 % of change expected"),
        ({"complete": 1500}, "complete spaxels 1500"),
        ({"pitch_px": 50.05}, "pitch of the spaxels 50.05 px"),
        ({"lattice_angle_deg": KPY.lattice_angle_deg - 0.6}, "at most 0.5 deg of change expected: the lens array was"),
        ({"x_px": KPY.x_px + 26}, "the field moved by more than half a spaxel"),
        ({"y_px": KPY.y_px - 26}, "the field moved by more than half a spaxel"),
        ({"trace_fwhm_px": 4.2}, "width of the traces 4.2 px"),
        ({"line_fwhm_px": 2.5}, "width of the lamp lines 2.5 px"),
        ({"lines": 10}, "groups of lamp lines 10"),
    ],
)
def test_each_departure_is_told_in_one_sentence(change, text):
    import re

    (found,) = geometry_changes(replace(KPY, **change), KPY)
    assert re.search(text, found)


@pytest.mark.parametrize("baseline", [1422.0, 2540.0], ids=["Hg 4358-5780", "Xe 7120 to Cd 4580"])
@pytest.mark.parametrize("mistaken", [122.0, 319.0], ids=["Cd 4678 for 4800", "Hg 5461 for 5780"])
def test_one_line_taken_for_its_neighbour_departs(mistaken, baseline):
    # the line lies where it lies, but is said to be `mistaken` Angstrom redder: so much more wavelength on the columns
    stretch = 1 + mistaken / baseline
    wrong = {name: getattr(KPY, name) * stretch for name in ("dispersion_4500", "dispersion_6500", "dispersion_8500")}
    found = geometry_changes(replace(KPY, **wrong), KPY)
    assert len(found) == 3 and all("misidentified" in text for text in found)


def test_turn_by_a_sixth_is_the_same_lattice():
    assert geometry_changes(replace(KPY, lattice_angle_deg=29.9), replace(KPY, lattice_angle_deg=-29.9)) == ()
    assert geometry_changes(replace(KPY, lattice_angle_deg=29.9), replace(KPY, lattice_angle_deg=-29.0)) != ()


def test_unknown_figures_are_not_compared():
    assert (
        geometry_changes(NightGeometry(), KPY)
        == geometry_changes(KPY, NightGeometry())
        == geometry_changes(NightGeometry(), NightGeometry())
        == ()
    )


def test_geometry_of_the_figures_of_both_steps():
    traces = {figure: 1.0 + i for i, figure in enumerate(TRACES_FIGURES.values())}
    wavelength = {figure: 10.0 + i for i, figure in enumerate(WAVELENGTH_FIGURES.values())}
    made = NightGeometry.from_figures(traces | {"rms [px]": 0.1}, wavelength)
    assert made.spaxels == 1.0 and made.trace_fwhm_px == 7.0 and made.line_fwhm_px == 10.0 and made.lines == 14.0
    assert None not in {getattr(made, name) for name in NAMES}


@pytest.mark.parametrize("value", [None, "many", float("nan"), float("inf"), True, [1]])
def test_what_is_no_number_is_unknown(value):
    assert NightGeometry.from_figures({"spaxels": value}, {}) == NightGeometry()
