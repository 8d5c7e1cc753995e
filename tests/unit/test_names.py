"""Names of products: safe for the file system, no two alike, the same whatever the order."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.core.target_names import MAX_LENGTH, product_name, product_names, safe_name

NAMES = st.text(max_size=90) | st.text(alphabet="SNAT2024abc+-.[]()/:_ '\"é*", max_size=30)


@pytest.mark.parametrize(
    "name, safe",
    [
        ("ZTF19aabvxyz", "ZTF19aabvxyz"),
        ("STD-BD+25d4655", "STD-BD+25d4655"),
        ("SN 2019abc", "SN_2019abc"),
        ('"quoted"', "quoted"),
        ("a/b:c(d)", "a_b_c_d_"),
        ("a[x]", "a_x_"),
        ("2019.05", "2019.05"),
        ("..hidden", "_hidden"),
        ("-rf", "_rf"),
        ("  padded ", "padded"),
        ("Néréide", "Nereide"),
        ("name_with_underscore", "name_with_underscore"),
    ],
)
def test_safe_name(name, safe):
    assert safe_name(name) == safe


@given(NAMES)
def test_every_name_is_safe(name):
    safe = safe_name(name)
    assert re.fullmatch(r"[A-Za-z0-9+_][A-Za-z0-9+._-]*", safe)
    assert len(safe) <= MAX_LENGTH
    assert re.search(r"[A-Za-z0-9]", safe)


@given(st.lists(NAMES, max_size=12))
def test_no_two_targets_share_a_name(names):
    made = product_names(names)
    assert set(made) == set(names)
    assert len(set(made.values())) == len(made)


@given(st.lists(NAMES, max_size=8), st.randoms())
def test_names_do_not_depend_on_the_order(names, random):
    other = list(names)
    random.shuffle(other)
    assert product_names(names) == product_names(other)


def test_of_two_alike_the_clean_one_keeps_its_name():
    made = product_names(["M 31", "M_31"])
    assert made["M_31"] == "M_31"
    assert re.fullmatch(r"M_31-[0-9a-f]{6}", made["M 31"])


@given(NAMES, NAMES, st.integers(1, 30), st.integers(1, 30), st.booleans(), st.booleans())
def test_observations_never_collide(one, two, n, m, pair_one, pair_two):
    made = product_names([one, two])
    first, second = product_name(made[one], n, pair=pair_one), product_name(made[two], m, pair=pair_two)
    if one != two:
        assert first != second


def test_numbers_as_the_observers_know_them():
    assert product_name("X", 1, pair=True) == "X"
    assert product_name("X", 2, pair=True) == "X_obs2"
    assert product_name("X", 1, pair=False) == "X_obs1"
