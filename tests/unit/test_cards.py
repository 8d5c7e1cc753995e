"""Header cards of every age by one rule: numbers, texts, truths and angles, or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.raw.cards import known, number, number_of, position, sexagesimal, text_of, truth, whole, within

UNKNOWN = [
    None,
    -999,
    -999.0,
    "-999",
    "-999.0",
    "NA",
    "N/A",
    "UNKNOWN",
    "Unknown ",
    "NaN",
    "nan",
    "",
    "   ",
    '""',
    '"NA"',
]


@pytest.mark.parametrize("value", [*UNKNOWN, float("nan"), float("inf"), [1]])
def test_what_the_control_software_writes_for_not_known_is_not_known(value):
    assert known(value) is None
    assert number(value) is whole(value) is truth(value) is sexagesimal(value) is None
    assert text_of({"X": value, "Y": "y"}, "X", "Y") == "y"


@pytest.mark.parametrize(
    ("value", "told"),
    [('"ztf18abktmfz"', "ztf18abktmfz"), ("'OFF'", "OFF"), (" SEDm IFU Cam", "SEDm IFU Cam"), ("d'Arrest", "d'Arrest")],
)
def test_quotes_and_blanks_about_a_value_are_no_part_of_it(value, told):
    assert known(value) == told


@pytest.mark.parametrize(
    ("value", "is_number"),
    [
        (900, 900.0),
        ("900.0   ", 900.0),
        ("1.060", 1.06),
        ('"-2.5D3"', -2500.0),
        (".5", 0.5),
        ("900 s", None),
        ("1_000", None),
        ("0x10", None),
        ("inf", None),
        ("1e999", None),
        ("12:00", None),
        (True, None),
        ("T", None),
        (10**400, None),
    ],
)
def test_a_text_that_is_a_number_whole_and_alone_is_that_number(value, is_number):
    assert number(value) == is_number
    assert number_of(value, -1.0) == (-1.0 if is_number is None else is_number)


@pytest.mark.parametrize(
    ("value", "integer"),
    [
        (20211206070648457, 20211206070648457),
        ("20211206070648457", 20211206070648457),
        (7.0, 7),
        ("7.0", 7),
        (7.5, None),
        (2.0**60, None),
        (True, None),
        ("none", None),
    ],
)
def test_an_integer_is_exact_or_nothing(value, integer):
    assert whole(value) == integer
    assert whole(value) is None or isinstance(whole(value), int)


@pytest.mark.parametrize(
    ("value", "logical"),
    [
        (True, True),
        ("T", True),
        ("True ", True),
        (False, False),
        ("F", False),
        ("false", False),
        (1, None),
        ("A", None),
    ],
)
def test_truths_are_logical_or_text(value, logical):
    assert truth(value) is logical


def test_the_first_text_that_says_something():
    header = {"RA": " ", "OBJRA": " 12:00:00 ", "TEL_RA": "1"}
    assert text_of(header, "RA", "OBJRA", "TEL_RA") == "12:00:00"
    assert text_of(header, "RA", "DEC") == ""


def test_a_number_out_of_range_is_none():
    assert within({"AIRMASS": "1.2"}, "AIRMASS", 1, 10) == 1.2
    assert within({"AIRMASS": -1}, "AIRMASS", 1, 10) is None
    assert within({}, "AIRMASS", 1, 10) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("+12:30:36.0", 12.51),
        ("-00:30:00", -0.5),
        (" 12 30 36 ", 12.51),
        (41.5, 41.5),
        ("41.5", 41.5),
        ("12h30m", None),
        ("12:75:00", None),
        ("", None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_angles_in_sixties(text, value):
    assert sexagesimal(text) == (value if value is None else pytest.approx(value))


def test_right_ascension_is_in_hours_as_text_and_in_degrees_as_a_number():
    assert position({"RA": "01:30:00", "DEC": "-00:30:00"}, ("RA", "DEC")) == (22.5, -0.5)
    assert position({"RA": 22.5, "DEC": "-0.5"}, ("RA", "DEC")) == (22.5, -0.5)
    assert position({"RA": "24:00:01", "DEC": "10:00:00"}, ("RA", "DEC")) is None


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none()))
def test_no_value_raises(value):
    for read in (known, number, whole, truth, sexagesimal):
        read(value)
