"""Header cards of every age: numbers, texts and angles, or nothing."""

import pytest

from sedmd.products.cards import number_of, sexagesimal, text_of, within


def test_the_first_text_that_says_something():
    header = {"RA": " ", "OBJRA": " 12:00:00 ", "TEL_RA": "1"}
    assert text_of(header, "RA", "OBJRA", "TEL_RA") == "12:00:00"
    assert text_of(header, "RA", "DEC") == ""


@pytest.mark.parametrize("value", ["n/a", None, float("nan"), float("inf"), [1]])
def test_what_is_no_number_falls_back(value):
    assert number_of(value, -1.0) == -1.0


def test_a_number_out_of_range_is_none():
    assert within({"AIRMASS": "1.2"}, "AIRMASS", 1, 10) == 1.2
    assert within({"AIRMASS": -999}, "AIRMASS", 1, 10) is None
    assert within({}, "AIRMASS", 1, 10) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+12:30:36.0", 12.51),
        ("-00:30:00", -0.5),
        (" 12 30 36 ", 12.51),
        (41.5, 41.5),
        ("12h30m", None),
        ("", None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_angles_in_sixties(text, value):
    assert sexagesimal(text) == (value if value is None else pytest.approx(value))
