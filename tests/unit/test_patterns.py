"""Names are excluded by rules on the whole name, never because they contain something."""

import pytest

from sedmd.core.config import Classify
from sedmd.core.errors import ConfigError
from sedmd.core.patterns import check_pattern, first_match, matches

SKIP = Classify().skip


@pytest.mark.parametrize(
    "name",
    [
        *("STD-Feige34", "Feige34", "feige 110", "HZ44", "Hiltner 600", "Kopff27", "LTT9491", "BD+28d4211"),
        "BD+33 2642",
        *("NGC5548", "ngc 4151", "PGC 12345", "MCG-01-13-025", "MCG +08-11-011", "2MASX J12345678+1234567"),
        *("TYC 1234-567-1", "Tycho 1-2-3", "SAO 123456", "HD93521", "HD 140283"),
    ],
)
def test_standards_galaxies_and_stars_are_known(name):
    assert first_match(SKIP, name)


@pytest.mark.parametrize(
    "name",
    # most contain what the old pipeline looked for anywhere in a name
    [
        *("ZTF18abdbysy", "ZTF19HDxyz", "ZTF18aBDcdef", "AT2019HZq", "SN2019bd", "ASASSN-18BD", "PTF15HZ1", "HDF130"),
        *("SN2019hd", "ZTF17aamxezs", "NGC5548-SN", "SN in NGC5548", "iPTF16hz", "LTTnova", "Gaia19STD-x"),
    ],
)
def test_transients_are_not(name):
    assert first_match(SKIP, name) is None


def test_three_kinds_of_rule():
    assert matches("exact:Ceres", " ceres ") and not matches("exact:Ceres", "Ceres2")
    assert matches("prefix:STD-", "std-x") and not matches("prefix:STD-", "aSTD-x")
    assert matches("regex:A.C", "abc") and not matches("regex:A.C", "abcd")


@pytest.mark.parametrize("line", ["HD", "part:HD", "exact:", "", "regex:([", ":x"])
def test_a_rule_that_cannot_be_used_says_so(line):
    with pytest.raises(ConfigError):
        check_pattern(line)
