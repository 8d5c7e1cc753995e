"""Types, report and page while the night goes on: after a change, one command at a time, and no harm to the service."""

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sedmd.core.config import from_table
from sedmd.daemon.chores import MOST_S, Chores, wanted
from sedmd.run.event_log import EventLog

NOW = datetime(2019, 6, 12, 8, tzinfo=UTC)
#: Notes its name below the redux root, then does what the name of a file there says.
PROGRAM = """
import pathlib, sys, time
name, root = sys.argv[1], pathlib.Path(sys.argv[3])
with (root / "done").open("a") as file:
    print(name, file=file)
if (root / "hang").exists():
    time.sleep(3600)
if (root / "fail").exists():
    sys.exit("first line\\nno room on the disk")
"""


@pytest.fixture
def clock():
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def told():
    return io.StringIO()


@pytest.fixture
def chores(tmp_path, clock, told):
    table = {"paths": {"raw_root": "raw", "redux_root": str(tmp_path)}, "after": {"every_s": 60}}
    made = Chores(
        settings=from_table(table, origin="test", base=tmp_path),
        config=None,
        report=EventLog(clock=lambda: NOW, stream=told),
        monotonic=clock,
        program=(sys.executable, "-c", PROGRAM),
    )
    yield made
    made.stop()


def done(tmp_path):
    file = tmp_path / "done"
    return file.read_text().split() if file.exists() else []


def until_idle(chores):
    """Tick until nothing runs; each command is waited for, not slept for."""
    for _ in range(10):
        chores.tick()
        if chores._child is None:
            return
        chores._child.wait()


def test_a_change_is_told_after_a_while_and_once(chores, clock, tmp_path, told):
    until_idle(chores)
    chores.changed()
    clock.now += 30
    chores.changed()
    until_idle(chores)
    assert done(tmp_path) == []
    clock.now += 31
    until_idle(chores)
    assert done(tmp_path) == ["report"]
    clock.now += 1000
    until_idle(chores)
    assert done(tmp_path) == ["report"] and told.getvalue() == ""


def test_what_is_made_is_what_the_configuration_asks_for(chores, tmp_path, clock):
    settings = chores.settings
    assert wanted(settings) == ["report"]
    chores.settings = replace(
        settings,
        classify=replace(settings.classify, engine="snid"),
        web=replace(settings.web, root=tmp_path / "site"),
    )
    chores.changed()
    clock.now += 61
    until_idle(chores)
    assert done(tmp_path) == ["classify", "report", "publish"]


def test_none_is_made_where_timers_do_it(chores, clock, tmp_path):
    chores.settings = replace(chores.settings, after=replace(chores.settings.after, every_s=0.0))
    chores.changed()
    clock.now += 1e6
    until_idle(chores)
    assert done(tmp_path) == []


def test_a_command_that_fails_is_told_in_a_line(chores, clock, tmp_path, told):
    (tmp_path / "fail").touch()
    chores.changed()
    clock.now += 61
    until_idle(chores)
    assert told.getvalue().count("\n") == 1
    assert "report" in told.getvalue() and "exit code 1: no room on the disk" in told.getvalue()


def test_a_command_that_hangs_is_stopped_and_the_next_change_is_told(chores, clock, tmp_path, told):
    (tmp_path / "hang").touch()
    chores.changed()
    clock.now += 61
    chores.tick()
    chores.tick()
    assert chores._child is not None and chores._child.poll() is None
    clock.now += MOST_S
    chores.tick()
    assert chores._child is None and "stopped by signal 9" in told.getvalue()
    (tmp_path / "hang").unlink()
    chores.changed()
    clock.now += 61
    until_idle(chores)
    assert done(tmp_path)[-1] == "report"


def test_a_service_that_stops_leaves_no_command_behind(chores, clock, tmp_path):
    (tmp_path / "hang").touch()
    chores.changed()
    clock.now += 61
    chores.tick()
    child = chores._child
    chores.stop()
    assert child.returncode == -9


def test_a_program_that_is_not_there_costs_nothing(chores, clock, told):
    chores._program = ("/nowhere/python",)
    chores.changed()
    clock.now += 61
    chores.tick()
    assert "cannot be run" in told.getvalue()
