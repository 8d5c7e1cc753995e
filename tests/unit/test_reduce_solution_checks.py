"""Wavelength solutions and flats: what a good one shows passes, each lack is told."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sedmd.reduce.wavelength.solution_checks import dark_spaxels, flat_reason, lost_share, solution_reason
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
