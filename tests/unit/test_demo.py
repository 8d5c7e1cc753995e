"""The demonstration's parts that need no night: the growing copy, the directory it may clear."""

from pathlib import Path

import pytest
from tell_samples import observed, state

from sedmd.core.config import from_table
from sedmd.core.errors import SedmError
from sedmd.simulate.demo import MARK, PATIENCE_S, _prepare, _wait_until_closed, drop


def test_a_dropped_frame_is_the_frame(tmp_path):
    source, target = tmp_path / "a.fits", tmp_path / "20190612" / "a.fits"
    source.write_bytes(bytes(range(256)) * 3 + b"x")
    drop(source, target, pieces=3, pause_s=0)
    assert target.read_bytes() == source.read_bytes()


def test_only_an_earlier_demo_is_cleared(tmp_path):
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x")
    with pytest.raises(SedmError, match="no earlier demo made it"):
        _prepare(foreign)
    settings = _prepare(tmp_path / "demo")
    (settings.paths.raw_root / "old.fits").write_text("x")
    _prepare(tmp_path / "demo")
    assert list(settings.paths.raw_root.iterdir()) == []
    assert (tmp_path / "demo" / MARK).exists()


def waiting(monkeypatch, states):
    """Wait for a night whose snapshots these are; seconds of the clock that went by."""
    told, seconds = iter(states), [0.0]

    def look(*_, **__):
        found = next(told)
        if isinstance(found, SedmError):
            raise found
        return found

    monkeypatch.setattr("sedmd.simulate.demo.snapshot", look)

    def sleep(_):
        seconds[0] += PATIENCE_S / 2

    class Service:
        poll = staticmethod(lambda: None)

    settings = from_table({"paths": {"raw_root": "/r", "redux_root": "/x"}}, origin="test", base=Path("/"))
    night = "20190612"
    _wait_until_closed(settings, night, Service(), lambda: None, monotonic=lambda: seconds[0], sleep=sleep)
    return seconds[0]


def snapshots(*done, closed=False):
    return [state(observed("x", f"{step} waiting"), closed=closed, idle=closed) for step in done]


def test_a_slow_machine_is_waited_for_while_something_comes_of_it(monkeypatch):
    assert waiting(monkeypatch, [*snapshots(*"abcdefghij"), *snapshots("j", closed=True)]) == 5 * PATIENCE_S
    with pytest.raises(SedmError, match="nothing came of the night for 1500 s"):
        waiting(monkeypatch, snapshots(*"abbbbbb"))


def test_a_service_that_has_taken_no_frame_in_yet_is_waited_for(monkeypatch):
    nothing = SedmError("no frames of night 20190612; known: none")
    assert waiting(monkeypatch, [nothing, *snapshots("a"), *snapshots("a", closed=True)]) == PATIENCE_S
    with pytest.raises(SedmError, match=r"nothing came of the night for 1500 s \(no frames of night 20190612; known"):
        waiting(monkeypatch, [nothing] * 5)
