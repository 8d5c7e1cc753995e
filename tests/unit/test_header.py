"""Header cards as values: FITS as the standard writes it, and whatever else a file may hold."""

import warnings

import pytest
from astropy.io import fits

from sedmd.raw.header import header_values, is_printable, readable_header


def header(*cards: str) -> bytes:
    return b"".join(card.encode("latin-1").ljust(80) for card in (*cards, "END"))


@pytest.mark.parametrize(
    "card, value",
    [
        ("EXPTIME =                900.0 / [s]", 900.0),
        ("EXPTIME = 900", 900),
        ("EXPTIME =900.", 900.0),
        ("EXPTIME = 9.0D2", 900.0),
        ("EXPTIME = +.9E+3", 900.0),
        ("EXPTIME = -0", 0),
        ("EXPTIME =                    T", True),
        ("EXPTIME = F / no", False),
        ("EXPTIME = 'x/y  ' / slash", "x/y"),
        ("EXPTIME = 'Barnard''s star'", "Barnard's star"),
        ("EXPTIME = '  two blanks'", "  two blanks"),
        ("EXPTIME = ''", ""),
        ("exptime = 900", 900),
        ("EXPTIME = NaN", "NaN"),
        ("EXPTIME = 1_000", "1_000"),
        ("EXPTIME = 'never closed", "never closed"),
        ("EXPTIME = 900 s", "900 s"),
        ("EXPTIME = 1E999", float("inf")),
    ],
)
def test_value_of_a_card(card, value):
    got = header_values(header(card))
    assert got == {"EXPTIME": value}
    assert type(got["EXPTIME"]) is type(value)


@pytest.mark.parametrize("card", ["EXPTIME =", "EXPTIME = / nothing", "EXPTIME 900", "COMMENT = 5", "HISTORY x", ""])
def test_cards_without_a_value_are_left_out(card):
    assert header_values(header(card)) == {}


def test_first_card_wins_and_nothing_counts_behind_end():
    assert header_values(header("A       = 1", "A       = 2") + header("B       = 3")) == {"A": 1}


def test_long_strings_are_joined_as_astropy_joins_them():
    original = fits.Header()
    original["OBJECT"] = "a long name " * 20
    original["NAME"] = "short"
    got = header_values(original.tostring().encode())
    assert got == {"OBJECT": ("a long name " * 20).rstrip(), "NAME": "short"}


@pytest.mark.parametrize(
    "cards, value",
    [
        (("OBJECT  = 'a&'", "CONTINUE  'b&'", "CONTINUE  'c'"), "abc"),
        (("OBJECT  = 'a&'", "NAME    = 'b'", "CONTINUE  'c'"), "a&"),
        (("OBJECT  = 'a'", "CONTINUE  'c'"), "a"),
        (("OBJECT  = 'a&'", "CONTINUE  never quoted"), "a&"),
        (("OBJECT  = 'a&'", "CONTINUE  'b'", "CONTINUE  'c'"), "ab"),
    ],
)
def test_continued_strings(cards, value):
    assert header_values(header(*cards))["OBJECT"] == value


def test_hierarch_cards_keep_their_long_names():
    assert header_values(header("HIERARCH CCD TEMP = -40.5 / C", "HIERARCH broken"))["CCD TEMP"] == -40.5


def test_a_record_valued_label_stays_a_label():
    assert header_values(header("OBJECT  = 'Focus: 16.3'")) == {"OBJECT": "Focus: 16.3"}


def test_forbidden_bytes_become_question_marks():
    cards = header("OBJECT  = 'Gr\xfcn\x01\n'")
    assert header_values(cards) == {"OBJECT": "Gr?n??"}
    assert not is_printable(cards)
    assert is_printable(header("OBJECT  = 'green'"))


def test_agrees_with_astropy_on_a_header_that_astropy_wrote():
    original = fits.Header()
    for key, value in {
        "A": 1, "B": -2.5e-300, "C": True, "D": "x", "E": "it's", "F": 10**18, "G": 1.0, "H": "a" * 68, "I": "",
    }.items():  # fmt: skip
        original[key] = (value, "a comment / with a slash and 'quotes'"[: max(0, 45 - len(str(value)))])
    assert header_values(original.tostring().encode()) == dict(original)


@pytest.mark.parametrize(
    "bad",
    [
        "EXPTIME = NaN",
        "EXPTIME = 'never closed",
        "B@D     = 1",
        "exptime = 1",
        "CONTINUE  'of nothing'",
        "HIERARCH broken",
        "EXPTIME = 900 s",
        "=========",
        "EXPTIME =5",
        " EXPTIM = 5",
    ],
)
def test_readable_header_leaves_out_only_what_would_raise(bad):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = readable_header(header("A       = 1", bad, "OBJECT  = 'a&'", "CONTINUE  'b'", "COMMENT kept"))
        assert dict(got.items()) == {"A": 1, "OBJECT": "ab", "COMMENT": got["COMMENT"]}
        assert str(got["COMMENT"]) == "kept"
