"""When the best matches agree: a pure rule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sedmd.after.classify.matches import Match, Rule, best_by_object, fractions, group_of, judge, object_of

RULE = Rule()


def match(template, label="Ia-norm", score=8.0, z=0.05, age=0.0):
    return Match(template=template, label=label, score=score, z=z, age=age)


def five(**other):
    return [match(f"sn{n}", **({"score": 10.0 - n, "z": 0.050 + 0.001 * n, "age": float(n)} | other)) for n in range(5)]


def test_five_objects_that_agree_are_secure():
    verdict = judge(five(), RULE)
    assert (verdict.group, verdict.secure, verdict.asked, len(verdict.agreeing)) == ("Ia", True, 5, 5)
    weights = [10.0, 9.0, 8.0, 7.0, 6.0]
    mean = sum(w * (0.05 + 0.001 * n) for n, w in enumerate(weights)) / sum(weights)
    assert verdict.z == pytest.approx(mean)
    assert verdict.z_error == pytest.approx(
        math.sqrt(sum(w * (0.05 + 0.001 * n - mean) ** 2 for n, w in enumerate(weights)) / sum(weights))
    )
    assert verdict.age == pytest.approx(sum(w * n for n, w in enumerate(weights)) / sum(weights))


def test_ten_epochs_of_one_supernova_are_one_witness():
    verdict = judge([match("sn1", score=12.0 - 0.1 * n, age=n) for n in range(10)], RULE)
    assert verdict.asked == 1 and not verdict.secure
    assert "1 of 1 objects agree, not 3" in verdict.why
    assert [one.age for one in best_by_object([match("a", age=1, score=4), match("a", age=2, score=5)])] == [2]


def test_two_other_types_among_five_are_too_many():
    matches = five()
    matches[2] = match("x", label="Ic-norm", score=8.0)
    matches[3] = match("y", label="II", score=7.0)
    verdict = judge(matches, RULE)
    assert verdict.group == "Ia" and not verdict.secure
    assert "they carry 62% of the weight, not 80%" in verdict.why


def test_a_weak_fifth_of_another_type_is_not():
    matches = five()
    matches[4] = match("x", label="Ic-norm", score=5.0)
    verdict = judge(matches, RULE)
    assert verdict.secure and len(verdict.agreeing) == 4


def test_the_best_match_must_be_of_the_type():
    matches = [match("x", label="Ic-norm", score=9.0)] + [match(f"sn{n}", score=8.9) for n in range(4)]
    verdict = judge(matches, Rule(weight=0.7))
    assert verdict.group == "Ia" and not verdict.secure
    assert verdict.best.template == "sn0"
    assert "the best match is Ic-norm" in verdict.why


def test_matches_at_other_redshifts_do_not_agree():
    matches = [match("a", z=0.02), match("b", z=0.05), match("c", z=0.11), match("d", z=0.20), match("e", z=0.27)]
    verdict = judge(matches, RULE)
    assert not verdict.secure and len(verdict.agreeing) == 1
    assert "of this type at another redshift" in verdict.why


def test_a_weak_best_match_is_not_secure():
    verdict = judge(five(score=4.9), RULE)
    assert not verdict.secure and "reaches 4.9, not 5" in verdict.why


def test_a_galaxy_is_never_secure():
    verdict = judge(five(label="Gal", score=20.0), RULE)
    assert verdict.group == "NotSN" and not verdict.secure and "no supernova" in verdict.why


def test_a_bank_without_a_rival_cannot_make_a_type_secure():
    verdict = judge(five(), RULE, ("Ic",))
    assert verdict.group == "Ia" and not verdict.secure and "the bank has no Ic, which might fit better" in verdict.why


def test_nothing_is_nothing():
    for matches in ([], [match("a", score=math.nan)], [match("a", score=0.0)], [match("a", z=math.inf)]):
        verdict = judge(matches, RULE)
        assert (verdict.group, verdict.secure, verdict.best, verdict.why) == ("", False, None, "nothing matches")


@pytest.mark.parametrize(
    ("label", "group"),
    [
        *(("Ia", "Ia"), ("Ia-91bg", "Ia"), ("IIb", "Ib"), ("Ib-norm", "Ib"), ("Ibn", "Ib"), ("Ic-broad", "Ic")),
        *(("IIP", "II"), ("II", "II"), ("IIn", "II"), ("Gal", "NotSN"), ("M-star", "NotSN"), ("AGN", "NotSN")),
        *(("Gal-S", "NotSN"), ("SLSN-I", "SLSN"), ("TDE", "TDE"), (" LBV ", "NotSN")),
    ],
)
def test_groups(label, group):
    assert group_of(label) == group


def test_fractions_are_parts_of_all():
    found = fractions([match("a"), match("b", label="IIP"), match("c"), match("d", label="SLSN")])
    assert found == {"Ia": 0.5, "Ib": 0.0, "Ic": 0.0, "II": 0.25, "NotSN": 0.0}


numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)
any_match = st.builds(
    Match,
    template=st.sampled_from("abcdef"),
    label=st.sampled_from(["Ia", "Ia-norm", "IIP", "Gal", "?"]),
    score=numbers,
    z=numbers,
    age=numbers,
)


@given(st.lists(any_match, max_size=12), st.randoms())
def test_whatever_comes_there_is_one_verdict_in_any_order(matches, random):
    verdict = judge(matches, RULE)
    shuffled = list(matches)
    random.shuffle(shuffled)
    again = judge(shuffled, RULE)
    assert (again.group, again.secure, again.why) == (verdict.group, verdict.secure, verdict.why)
    if verdict.secure:
        objects = {one.template for one in verdict.agreeing}
        assert len(objects) >= RULE.least and verdict.group != "NotSN"
        assert {one.group for one in verdict.agreeing} == {verdict.group}


@pytest.mark.parametrize(
    "names",
    [
        ("sn94D", "sn1994D", "sn94D_bsnip", "SN 1994D", "1994D"),
        ("sn02bo", "sn2002bo", "sn02bo_bsnip", "sn2002bo-early"),
        ("sn2011fe", "SN2011fe", "11fe", "at2011fe"),
        ("ASASSN-14lp", "asassn-14lp"),
    ],
)
def test_the_names_of_a_supernova_are_one_witness(names):
    assert len({object_of(name) for name in names}) == 1
    assert len(best_by_object([match(name) for name in names])) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sn1994D", "sn1994I"),
        ("sn1994ae", "sn1994a"),
        ("sn2049a", "sn1949a"),
        ("PTF10hmv", "PTF10hmw"),
        ("kcE", "kcS0"),
        ("sn50a", "sn49a"),
    ],
)
def test_two_objects_stay_two(one, other):
    assert object_of(one) != object_of(other)


def test_doubles_do_not_make_a_type_secure():
    matches = [match(name, score=20.0) for name in ("sn94D", "sn1994D", "sn94D_bsnip", "sn94D_x", "SN1994D")]
    verdict = judge(matches, RULE)
    assert verdict.asked == 1 and not verdict.secure


def test_an_unattended_ia_needs_more():
    rule = Rule(score=8.0, unattended_ia=15.0)
    for score, attended, unattended in ((7.9, 0, 0), (8.0, 1, 0), (14.9, 1, 0), (15.0, 1, 1)):
        assert judge(five(score=score), rule).secure == bool(attended)
        assert judge(five(score=score), rule, unattended=True).secure == bool(unattended)
    assert judge(five(score=8.0, label="IIP"), rule, unattended=True).secure
    assert "not 15 that a type Ia needs" in judge(five(score=9.0), rule, unattended=True).why


def test_iib_counts_with_ib_in_every_spelling():
    assert group_of("IIb") == group_of("II-IIb") == group_of("Ib-IIb") == group_of("Ib") == "Ib"
    assert group_of("II") == group_of("II-norm") == group_of("IIn") == "II"
