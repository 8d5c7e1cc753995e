"""Two hosts on one redux root: named, refused, taken over by an operator's word only."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from sedmd.host.claim import NAME, OtherHost, TakenOver, claimed
from sedmd.host.lock import single_instance

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path):
    """Claim the root as a host that has a ledger of its own."""
    root = tmp_path / "redux"
    root.mkdir()

    def claim(host, *, remote=True, **more):
        return claimed(root, tmp_path / host, now=NOW, host=host, remote=remote, **more)

    claim.file = root / ".sedmd" / NAME
    return claim


def died(place, host, **more):
    """The name that a host leaves that was killed."""
    with place(host, **more):
        text = place.file.read_bytes()
    place.file.write_bytes(text)


def test_the_name_stands_there_while_the_host_works(place):
    with place("tower"):
        assert json.loads(place.file.read_text())["host"] == "tower"
    assert not place.file.exists()


@pytest.mark.parametrize("remote", [(True, True), (True, False), (False, True)], ids=["both", "first", "second"])
def test_another_host_is_refused_by_name_also_after_a_crash(place, remote):
    """Also where one of the two has the disk, and the other mounts it."""
    refused = r"host tower \(process \d+, since 2026-11-29T12:00:00\+00:00\) works on .*redux.* sedmd run --take-over"
    with place("tower", remote=remote[0]), pytest.raises(OtherHost, match=refused), place("dome", remote=remote[1]):
        pass
    died(place, "tower", remote=remote[0])
    with pytest.raises(OtherHost, match=refused), place("dome", remote=remote[1]):
        pass
    assert json.loads(place.file.read_text())["host"] == "tower"
    with place("tower", remote=remote[0]):  # it comes back
        pass
    with place("dome", remote=remote[1]):  # it ended as it should: nobody's
        pass


def test_an_operators_word_takes_over_and_the_former_stops(place):
    with place("tower") as former:
        former.see()
        with place("dome", take_over=True) as now:
            with pytest.raises(TakenOver, match=r"host dome .* took over the redux root .*: this one stops"):
                former.see()
            now.see()
            assert json.loads(place.file.read_text())["host"] == "dome"


def test_the_former_takes_only_its_own_name_away(place):
    with place("tower") as former, place("dome", take_over=True):
        former.leave()
        assert json.loads(place.file.read_text())["host"] == "dome"


def test_one_machine_under_two_names_is_told_by_its_kernel(place, tmp_path):
    """A container has another name after each start; a disk of the machine is not shared with another one."""
    died(place, "box1", remote=False)
    with place("box2", remote=False):
        pass
    died(place, "box1", remote=False)
    with (
        single_instance(tmp_path / "box1"),
        pytest.raises(OtherHost, match=r"works on the redux root .* with the ledger in .*box1; stop it first"),
        place("box2", remote=False),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\n"])
def test_noise_in_the_file_is_no_name(place, content):
    place.file.parent.mkdir()
    place.file.write_bytes(content)
    with place("dome"):
        assert json.loads(place.file.read_text())["host"] == "dome"


def test_a_name_that_was_removed_is_left_again_and_a_root_that_is_away_is_not_made(place):
    with place("tower") as claim:
        place.file.unlink()
        claim.see()
        assert json.loads(place.file.read_text())["host"] == "tower"
        root = place.file.parents[1]
        root.rename(root.with_name("away"))
        claim.see()
        assert not root.exists()
