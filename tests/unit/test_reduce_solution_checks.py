"""Wavelength solutions and flats: what a good one shows passes, each lack is told."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sedmd.reduce.wavelength.accuracy import Accuracy
from sedmd.reduce.wavelength.law import EarlierLaw, Law, LawChange
from sedmd.reduce.wavelength.solution_checks import (
    accuracy_notes,
    dark_spaxels,
    flat_reason,
    held_by,
    law_notes,
    lost_share,
    missing_lamps,
    solution_reason,
)
from unit.reduce_scenes import prism_solution

N = 200
COMPLETE = np.arange(N) < 180
GROUPS = tuple(
    (lamp, wavelength, 0.0, 0.02)
    for lamp, wavelengths in {
        "Hg": (4052.0, 4358.0, 5461.0, 5780.0),
        "Cd": (4678.0, 4800.0, 5086.0, 6431.0),
        "Xe": (7120.0, 7630.0, 8270.0, 8944.0),
    }.items()
    for wavelength in wavelengths
)


def solution(**changes):
    good = {"groups": GROUPS, "strain": 0.5, "rms": np.full(N, 0.2), "n_lines": np.full(N, 12)}
    return replace(prism_solution(np.linspace(200.0, 1800.0, N)), **(good | changes))


def some(share, bad, good):
    """Values of which that share of the complete spaxels is bad."""
    return np.where(np.arange(N) < share * COMPLETE.sum(), bad, good)


def without(*lost):
    return tuple(g for g in GROUPS if (g[0], g[1]) not in lost)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rms": some(0.04, 0.9, 0.2)},
        {"n_lines": some(0.04, 3, 12)},
        {"rms": np.where(COMPLETE, 0.2, np.nan)},
        {"strain": 2.9},
        {"groups": without(("Hg", 5461.0))},
    ],
    ids=["as it should be", "few bad spaxels", "few spaxels with few lines", "rim unknown", "strained", "a line less"],
)
def test_solution_that_serves_passes(changes):
    assert solution_reason(solution(**changes), COMPLETE) == ""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"groups": GROUPS[:9]}, r"Hg 4, Cd 4, Xe 1.*at least 2 of each.*look at Xe\.fits$"),
        ({"groups": (*GROUPS[:2], *GROUPS[4:7], *GROUPS[8:10])}, r"Xe 2.*8 in all.*look at Hg\.fits and Cd"),
        ({"groups": GROUPS[4:]}, r"Hg 0, Cd 4, Xe 4.*look at Hg\.fits$"),
        ({"groups": (*without(("Xe", 8270.0), ("Xe", 8944.0)), ("Xe", 7400.0, 0, 0))}, "reach from 4052 to 7630"),
        ({"groups": (*without(("Hg", 4052.0), ("Hg", 4358.0)), ("Hg", 4916.0, 0, 0))}, "reach from 4678 to 8944"),
        ({"strain": 3.1}, "strain 3.1, at most 3"),
        ({"strain": float("nan")}, "strain nan"),
        ({"rms": np.full(N, 0.61)}, "median rms of the lamp lines 0.61 px, at most 0.6"),
        ({"rms": np.full(N, np.nan)}, "median rms of the lamp lines nan"),
        ({"rms": some(0.1, 0.7, 0.2)}, "10 % of the 180 complete spaxels.*at most 5 %"),
        ({"rms": some(0.1, np.nan, 0.2)}, "10 % of the 180 complete spaxels"),
        ({"n_lines": some(0.2, 5, 12)}, "20 % of the 180 complete spaxels"),
    ],
)
def test_solution_that_lacks_something_says_what(changes, text):
    assert re.search(text, solution_reason(solution(**changes), COMPLETE))


def known_to(error, at=9000.0):
    """Accuracy that is a tenth of a column but at one wavelength, and much worse outside what is needed."""
    wavelength = np.arange(3800.0, 9601.0, 100.0)
    each = np.where(wavelength == at, error, np.where(wavelength > 9250, 9.0, 0.1))
    return Accuracy(wavelength=wavelength, error=each, other_law=np.full(wavelength.size, np.nan))


CADMIUM = tuple(g for g in GROUPS if g[0] == "Cd")
OTHERS = (*(g for g in GROUPS if g[0] != "Cd"), ("Hg", 4077.0, 0.0, 0.02))


def test_without_a_lamp_a_solution_serves_as_far_as_its_accuracy_goes():
    assert missing_lamps(solution()) == ()
    assert missing_lamps(solution(groups=OTHERS)) == ("Cd",)
    assert solution_reason(solution(groups=OTHERS, accuracy=known_to(0.4)), COMPLETE, ("Hg", "Xe")) == ""
    text = solution_reason(solution(groups=OTHERS, accuracy=known_to(0.6)), COMPLETE, ("Hg", "Xe"))
    assert text.startswith("without lines of Cd the wavelengths are known to 0.6 px only at 9000 Angstrom")
    assert text.endswith("look at Cd.fits")
    both = solution_reason(solution(groups=CADMIUM, accuracy=known_to(2.0, 4000.0)), COMPLETE, ("Cd",))
    assert re.search("without lines of Hg and Xe.* 2.0 px only at 4000 .*Hg.fits and Xe.fits$", both)


def test_a_lamp_that_was_given_and_shows_no_lines_or_a_single_group_is_not_missing():
    one = (*OTHERS, CADMIUM[0])
    none = solution(groups=OTHERS, accuracy=known_to(0.1))
    assert re.search("Cd 0, Xe 4.*look at Cd.fits", solution_reason(none, COMPLETE))
    assert re.search("Cd 1, Xe 4", solution_reason(solution(groups=one, accuracy=known_to(0.1)), COMPLETE))


def test_accuracy_is_told_where_a_lamp_is_missing_or_a_part_poorly_known():
    assert accuracy_notes(solution()) == ()
    assert accuracy_notes(solution(accuracy=known_to(0.29))) == ()
    assert re.search("0.31 px only at 9000", *accuracy_notes(solution(accuracy=known_to(0.31))))
    (note,) = accuracy_notes(solution(groups=OTHERS, accuracy=known_to(0.12, 6600.0)))
    assert re.search("no lines of Cd: .* 0.12 px, the least at 6600 Angstrom", note)


def test_share_of_lost_spaxels_counts_the_complete_ones_only():
    rms = np.where(COMPLETE, 0.2, 5.0)
    rms[:18] = 0.7
    assert lost_share(solution(rms=rms), COMPLETE) == pytest.approx(0.1)
    assert lost_share(solution(), np.zeros(N, bool)) == 1.0


def flat(dark=(), level=0.1):
    values = np.ones((20, N))
    values[:, list(dark)] = level
    return values


def test_flat_with_a_few_dark_spaxels_passes():
    assert flat_reason(flat(), COMPLETE) == ""
    assert flat_reason(flat(range(9)), COMPLETE) == ""
    assert flat_reason(flat(range(180, N), np.nan), COMPLETE) == "", "the rim does not count"
    assert flat_reason(flat(range(N), 0.21), COMPLETE) == ""


@pytest.mark.parametrize("level", [0.1, np.nan])
def test_flat_with_a_dark_part_is_refused(level):
    assert dark_spaxels(flat(range(18), level)).sum() == 18
    assert "10 % of the 180 complete spaxels" in flat_reason(flat(range(18), level), COMPLETE)
    assert "100 % of the 0" in flat_reason(flat(), np.zeros(N, bool))


def by_law(error, *, evidence=0.0, **changes):
    """A solution by the lines of one lamp and an earlier night's law, known to `error`."""
    law = Law(lamp=(), wavelength=np.zeros(0), place=np.zeros(0), error=np.zeros(0), night="20190611", age=1)
    at = np.arange(3800.0, 9601.0, 100.0)
    known = Accuracy(wavelength=at, error=np.full(at.size, error), other_law=np.zeros(at.size))
    earlier = EarlierLaw(law=law, change=LawChange(likely=0.0, most=0.02, evidence=evidence))
    return solution(
        **({"groups": GROUPS[4:8], "n_lines": np.full(N, 4), "accuracy": known, "earlier": earlier} | changes)
    )


def test_with_an_earlier_law_four_lines_of_one_lamp_serve_where_they_are_known_to_be_enough():
    assert held_by(by_law(0.3)) == "20190611"
    assert solution_reason(by_law(0.3), COMPLETE, ("Cd",)) == ""
    assert lost_share(by_law(0.3), COMPLETE) == 0.0
    reason = solution_reason(by_law(0.6), COMPLETE, ("Cd",))
    assert "known to 0.6 px only" in reason and "also with the law of dispersion of 20190611" in reason
    assert "at least 2 of each lamp and 4 in all" in solution_reason(by_law(0.3, groups=GROUPS[4:7]), COMPLETE, ("Cd",))
    assert "Hg 0" in solution_reason(by_law(0.3), COMPLETE, ("Hg", "Cd")), "a lamp that was given and is not seen"
    few = by_law(0.3, n_lines=some(0.1, 2, 4))
    assert "fewer than 3 groups" in solution_reason(few, COMPLETE, ("Cd",))
    (note,) = accuracy_notes(by_law(0.3))
    assert "by those of the other lamps and the law of dispersion of 20190611 the wavelengths are known to 0.30" in note


def test_a_law_that_tonights_lines_contradict_is_named_and_serves_for_nothing():
    against = by_law(0.3, evidence=5.0)
    assert held_by(against) == ""
    assert "too few groups" in solution_reason(against, COMPLETE, ("Cd",))
    (note,) = law_notes(against)
    assert "do not go with the law of dispersion of 20190611" in note
    assert "law of dispersion" not in accuracy_notes(against)[0]
    assert law_notes(by_law(0.3)) == law_notes(solution()) == ()
