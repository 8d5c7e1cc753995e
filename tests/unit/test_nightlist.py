"""Which nights are meant by the words of a command line."""

import pytest

from sedmd.core.errors import ConfigError
from sedmd.plan.nightlist import nights_meant

NIGHTS = ("20181231", "20190101", "20190102", "20190110")


@pytest.fixture
def root(tmp_path):
    for night in (*NIGHTS, "notes"):
        (tmp_path / "raw" / night).mkdir(parents=True)
    return tmp_path / "raw"


@pytest.mark.parametrize(
    "words, nights",
    [
        (["all"], NIGHTS),
        (["20190102"], ["20190102"]),
        (["20190102", "20181231"], ["20181231", "20190102"]),
        (["20190101..20190105"], ["20190101", "20190102"]),
        (["20190101..20190102", "20190102"], ["20190101", "20190102"]),
        (["20300101..20301231"], []),
    ],
)
def test_what_is_meant(root, words, nights):
    assert nights_meant(words, root) == list(nights)


def test_a_file_lists_nights(root, tmp_path):
    listed = tmp_path / "nights.txt"
    listed.write_text("# the first year\n20181231  20190101..20190102 # both\n\n20190110\n")
    assert nights_meant([str(listed)], root) == list(NIGHTS)


@pytest.mark.parametrize("word", ["20190105", "2019", "20190102..20190101", "20190230", "nights.txt", "all.."])
def test_what_is_no_night_is_refused(root, word):
    with pytest.raises(ConfigError, match=r"no directory|is not a night"):
        nights_meant([word], root)


def test_a_file_that_is_named_in_a_list_is_not_read_in_turn(root, tmp_path):
    listed = tmp_path / "nights.txt"
    listed.write_text(f"20190101 {listed}\n")
    with pytest.raises(ConfigError, match="is not a night"):
        nights_meant([str(listed)], root)
