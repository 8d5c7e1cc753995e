"""Singles and A/B pairs, by what the cards mean."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.raw.frames import Kind, frame_from_header
from sedmd.raw.visits import observations

from .test_night import make

#: Two evenings: of the years of pairs, and after their end.
PAIR_YEARS = datetime(2017, 11, 2, 4, tzinfo=UTC)
LATER = datetime(2018, 7, 1, 4, tzinfo=UTC)


def products(frames):
    return {visit.product: [frame.object for frame in visit.frames] for visit in observations(frames)}


def test_pair():
    assert products([make(0, "x [A]"), make(20, "x [B]")]) == {"x": ["x [A]", "x [B]"]}


def test_pairs_and_singles_of_one_target_are_numbered_in_time_order():
    frames = [make(0, "x [A]"), make(20, "x [B]"), make(40, "x"), make(60, "x [A]"), make(80, "x [B]")]
    assert products(frames) == {"x": ["x [A]", "x [B]"], "x_obs2": ["x"], "x_obs3": ["x [A]", "x [B]"]}


def test_two_singles_are_no_pair():
    assert list(products([make(0, "x"), make(20, "x")])) == ["x_obs1", "x_obs2"]


def test_three_exposures_of_one_name_have_distinct_products():
    assert list(products([make(0, "x"), make(20, "x"), make(40, "x")])) == ["x_obs1", "x_obs2", "x_obs3"]


def test_a_repeated_a_gives_up_the_first():
    frames = [make(0, "x [A]"), make(20, "x [A]"), make(40, "x [B]")]
    visits = observations(frames)
    assert [(visit.product, len(visit.frames), visit.awaits_partner) for visit in visits] == [
        ("x_obs1", 1, False),
        ("x_obs2", 2, False),
    ]


def test_b_before_a_and_a_second_b_stand_alone():
    assert list(products([make(0, "x [B]"), make(20, "x [A]"), make(40, "x [B]"), make(60, "x [B]")])) == [
        "x_obs1",
        "x_obs2",
        "x_obs3",
    ]


def test_pairs_of_two_targets_may_interleave():
    frames = [make(0, "x [A]"), make(20, "y [A]"), make(40, "x [B]"), make(60, "y [B]")]
    assert list(products(frames)) == ["x", "y"]


def test_lonely_a_awaits_its_partner():
    (visit,) = observations([make(0, "x [A]")])
    assert visit.awaits_partner
    assert visit.product == "x_obs1"


@pytest.mark.parametrize("star", ["feige34", ""], ids=["tabulated", "without a table"])
def test_a_standard_star_in_a_pair_gives_two_spectra(star):
    frames = [make(20 * n, f"STD-X [{nod}]", kind=Kind.STANDARD, star=star) for n, nod in enumerate("AB")]
    assert [(one.product, one.standard, one.star, one.awaits_partner) for one in observations(frames)] == [
        ("STD-X_obs1", True, star, False),
        ("STD-X_obs2", True, star, False),
    ]


@given(st.permutations(range(7)))
def test_observations_do_not_depend_on_the_order_of_arrival(order):
    labels = ["x [A]", "x [B]", "x", "y", "x [A]", "y [A]", "M 31"]
    frames = [make(20 * n, label) for n, label in enumerate(labels)]
    assert observations([frames[n] for n in order]) == observations(frames)


# what the cards mean


def story(frames):
    return [(len(visit.frames), visit.half, visit.awaits_partner) for visit in observations(frames)]


@pytest.mark.parametrize("base", [PAIR_YEARS, LATER])
def test_a_single_labelled_a_waits_for_nothing_and_is_no_half(base):
    assert story([make(0, "x [A]", base=base, pair=False)]) == [(1, "", False)]


def test_a_second_single_of_the_same_target_is_another_single():
    frames = [make(0, "x  [A]", base=LATER, pair=False), make(128, "x  [A]", base=LATER, pair=False)]
    assert story(frames) == [(1, "", False), (1, "", False)]
    assert [visit.product for visit in observations(frames)] == ["x_obs1", "x_obs2"]


@pytest.mark.parametrize("base", [PAIR_YEARS, LATER])
def test_half_of_a_pair_by_its_card_waits_and_is_told_from_a_single(base):
    assert story([make(0, "x [A]", base=base, pair=True)]) == [(1, "A", True)]
    assert story([make(0, "x [B]", base=base, pair=True)]) == [(1, "B", False)]


def test_without_the_card_the_labels_tell_while_pairs_were_taken():
    a, b = make(0, "x [A]", base=PAIR_YEARS, pair=None), make(20, "x [B]", base=PAIR_YEARS, pair=None)
    assert story([a, b]) == [(2, "", False)]
    assert story([a, make(20, "y [A]", base=PAIR_YEARS, pair=None), make(40, "y [B]", base=PAIR_YEARS, pair=None)]) == [
        (1, "A", True),
        (2, "", False),
    ]


def test_without_the_card_the_last_night_of_pairs_is_30_june_2018():
    last, after = datetime(2018, 6, 30, 9, tzinfo=UTC), datetime(2018, 7, 1, 0, tzinfo=UTC)
    assert story([make(0, "x [A]", base=last, pair=None), make(20, "x [B]", base=last, pair=None)]) == [(2, "", False)]
    singles = [make(0, "x [A]", base=after, pair=None), make(20, "x [B]", base=after, pair=None)]
    assert story(singles) == [(1, "", False), (1, "", False)]


def test_without_the_card_a_night_that_has_no_b_has_no_halves():
    """The [B] may still come, so an [A] waits; but nothing says that half of anything is missing."""
    frames = [make(20 * n, f"{name} [A]", base=PAIR_YEARS, pair=None) for n, name in enumerate("xyz")]
    assert story(frames) == [(1, "", True)] * 3
    other_card = make(80, "w [B]", base=PAIR_YEARS, pair=False)
    assert story([*frames, other_card])[:3] == [(1, "", True)] * 3, "a single that is labelled [B] tells of no pairs"
    assert story([*frames, make(80, "x [B]", base=PAIR_YEARS, pair=None)]) == [(2, "", False), *[(1, "A", True)] * 2]


@pytest.mark.parametrize("cards", [(True, None), (True, False), (None, True), (False, True)])
def test_a_card_that_one_of_the_two_lost_does_not_part_a_pair(cards):
    a, b = (
        make(20 * n, f"x [{letter}]", base=LATER, pair=card)
        for n, (letter, card) in enumerate(zip("AB", cards, strict=True))
    )
    assert story([a, b]) == [(2, "", False)]


def test_singles_labelled_a_and_b_are_no_pair():
    frames = [make(0, "x [A]", pair=False), make(20, "x [B]", pair=False)]
    assert story(frames) == [(1, "", False), (1, "", False)]


@pytest.mark.parametrize("pair", [True, False, None])
@pytest.mark.parametrize("base", [PAIR_YEARS, LATER])
def test_visits_to_a_standard_are_singles_whatever_its_cards_say(base, pair):
    labels = ["STD-HZ44", "STD-HZ44 [A]", "STD-HZ44 [B]", "STD-HZ44", "STD-HZ44"]
    frames = [make(10 * n, one, kind=Kind.STANDARD, base=base, pair=pair) for n, one in enumerate(labels)]
    assert story(frames) == [(1, "", False)] * 5
    assert list(products(frames)) == [f"STD-HZ44_obs{n}" for n in range(1, 6)]


REAL = {
    "EXPTIME": 2160.0,
    "ADCSPEED": 0.1,
    "UTC": "2021:343:06:14:11.9",
    "AIRMASS": 1.12,
    "OBJECT": "ZTF21abc [A]",
    "NAME": "ZTF21abc",
    "IMGSET": "A",
    "DOMEST": "open",
}


@pytest.mark.parametrize(
    "card, expected",
    [
        (False, (1, "", False)),
        ("F", (1, "", False)),
        ("NA", (1, "", False)),
        ("", (1, "", False)),
        (True, (1, "A", True)),
        ("T", (1, "A", True)),
        ("True", (1, "A", True)),
        (None, (1, "", False)),
    ],
)
def test_from_the_header_on(tmp_path, card, expected):
    header = REAL | ({} if card is None else {"ABPAIR": card})
    frame = frame_from_header(header, tmp_path / "ifu20211209_06_14_11.fits")
    assert story([frame]) == [expected]
