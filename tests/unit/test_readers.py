"""Processes that read what strangers put down: they die, hang and eat memory, and nobody waits for them."""

import io
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from night.raw_night import SHAPE, raw

import sedmd.run.ingest
from sedmd.core.config import from_table
from sedmd.core.errors import FrameFault
from sedmd.daemon.intake import Intake
from sedmd.host.isolated import Died
from sedmd.ledger.ledger import Ledger
from sedmd.run import readers as module
from sedmd.run.event_log import EventLog
from sedmd.run.readers import Readers, StillReading

from . import misreaders
from .misreaders import act

#: What the functions here import, so that no test measures that.
PRELOAD = ("sedmd.run.ingest",)


class Odd(Exception):
    """One that cannot be sent."""

    def __reduce__(self):
        raise TypeError("not to be sent")


def raises(error):
    raise error


def odd():
    raise Odd("told all the same")


@pytest.fixture(scope="module")
def quick():
    """Readers of little patience; one process serves all tests that leave it alive."""
    made = Readers(patience_s=0.05, limit_s=2.0, preload=PRELOAD)
    yield made
    made.close()


@pytest.fixture(scope="module")
def steady():
    """Readers whose clock stands still: however busy the machine is, nothing takes them too long."""
    made = Readers(patience_s=0.05, preload=PRELOAD, monotonic=lambda: 0.0)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def aside(monkeypatch):
    monkeypatch.setattr(module, "ASIDE_S", 0.2)


def get(readers, key, function, *, within_s=120.0):
    """Ask until there is an answer; no question may wait for it. The limits are those of a machine ten times slower."""
    until = time.monotonic() + within_s
    while True:
        asked = time.monotonic()
        try:
            return readers.call(key, function)
        except StillReading:
            assert time.monotonic() - asked < 5.0
            assert time.monotonic() < until
            time.sleep(0.02)


def test_one_process_is_kept_for_all_files(steady):
    pids = {get(steady, ("x", number), os.getpid) for number in range(5)}
    assert len(pids) == 1 and os.getpid() not in pids
    assert get(steady, "x", partial(act, "17")) == "17"


def test_what_is_raised_comes_back_and_the_process_stays(steady):
    before = get(steady, "pid", os.getpid)
    for error in (FrameFault("it is cut"), OSError(5, "Input/output error")):
        with pytest.raises(type(error), match=r"it is cut|Input/output error"):
            get(steady, "x", partial(raises, error))
    with pytest.raises(Died, match="told all the same"):
        get(steady, "x", odd)
    assert get(steady, "pid", os.getpid) == before


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("11", r"died \(signal SIGSEGV\)"),
        ("12", r"longer than 2 s and was stopped"),
        ("13", r"longer than 2 s and was stopped"),
        ("14", r"more than 2 GB of memory"),
        ("15", r"died \(exit status 3\)"),
        ("16", r"died twice \(signal SIGKILL\)"),
    ],
    ids=["crash", "sleep", "circle", "memory", "exit", "killed"],
)
def test_a_reader_that_dies_or_hangs_is_told_and_another_serves(quick, what, why):
    with pytest.raises(Died, match=why):
        get(quick, what, partial(act, what))
    assert get(quick, "next", partial(act, "0")) == "0"


@pytest.mark.slow(seconds=8)
def test_others_are_served_while_some_hang_and_no_more_hang_at_once_than_may(monkeypatch):
    monkeypatch.setattr(module, "MAX_SLOW", 1)
    readers = Readers(patience_s=0.05, limit_s=3.0, preload=PRELOAD)
    hanging, ended, served, most, begun = ["one", "two"], {}, [], 0, time.monotonic()
    try:
        while len(ended) < len(hanging):
            assert time.monotonic() - begun < 300
            for key in (key for key in hanging if key not in ended):
                try:
                    readers.call(key, partial(act, "12"))
                except StillReading:
                    most = max(most, len(readers._slow))
                except Died:
                    ended[key] = time.monotonic()
            try:
                readers.call("good", partial(act, "0"))
                served.append(time.monotonic())
            except StillReading:
                time.sleep(0.01)
    finally:
        readers.close()
    assert most == 1 and sorted(ended) == ["one", "two"]
    first, last = sorted(ended.values())
    assert last - first >= 2.5, "the second began anew when the first had ended"
    assert sum(at < first for at in served) > 3 and sum(at > first for at in served) > 3


def test_the_machine_standing_still_counts_for_nothing():
    now = [0.0]
    readers = Readers(patience_s=0.05, limit_s=5.0, preload=PRELOAD, monotonic=lambda: now[0])
    try:
        get(readers, "begin", partial(act, "0"))
        with pytest.raises(StillReading):
            readers.call("x", partial(act, "17"))
        now[0] += 3600.0
        assert get(readers, "x", partial(act, "17")) == "17"
    finally:
        readers.close()


def test_no_process_outlives_a_service_that_is_killed():
    program = (
        "import os, sys, time\nfrom sedmd.run.readers import Readers\n"
        "if __name__ == '__main__':\n"
        "    readers = Readers()\n    readers.start()\n    assert readers._kept.is_ready(60)\n"
        "    print(readers._kept._process.pid, flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        reader = int(parent.stdout.readline())
        parent.kill()
    until = time.monotonic() + 10
    while Path(f"/proc/{reader}").exists() and "Z" not in Path(f"/proc/{reader}/stat").read_text().split()[2]:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_disk_that_does_not_answer_is_no_fault_of_the_file(monkeypatch):
    monkeypatch.setattr(module._Reader, "waits_for_disk", property(lambda self: True))
    readers = Readers(patience_s=0.05, limit_s=0.3, preload=PRELOAD)
    try:
        with pytest.raises(OSError, match=r"the disk gave nothing for 0\.3 s"):
            get(readers, "x", partial(act, "12"))
    finally:
        readers.close()


# in the service's intake

NOW = datetime(2019, 6, 12, 8, tzinfo=UTC)
EVIL = {"11": "signal SIGSEGV", "12": "longer than 3 s", "14": "GB of memory"}


def test_frames_that_kill_their_reader_are_quarantined_and_the_good_ones_beside_them_taken_in(tmp_path, monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)
    monkeypatch.setattr(sedmd.run.ingest, "read_frame", misreaders.read_frame)
    folder = tmp_path / "raw" / "20190612"
    folder.mkdir(parents=True)
    table = {"paths": {"raw_root": "raw", "redux_root": "redux"}, "watch": {"settle_s": 0.05}}
    settings = from_table(table, origin="test", base=tmp_path)
    start = datetime(2019, 6, 12, 4, tzinfo=UTC)
    for second in [*EVIL, "00", "17", "40", "41"]:
        raw(start.replace(second=int(second)), f"x{second}").write(tmp_path / "raw")
    late = [raw(start.replace(minute=minute), f"y{minute}") for minute in range(1, 8)]
    readers = Readers(limit_s=3.0, preload=PRELOAD)
    rows, longest = [], 0.0
    with Ledger.open(":memory:", clock=lambda: NOW) as ledger:
        intake = Intake(
            settings=settings,
            ledger=ledger,
            report=EventLog(clock=lambda: NOW, stream=io.StringIO()),
            on_frame=rows.append,
            clock=lambda: NOW,
            readers=readers,
        )
        try:
            for _ in range(20_000):
                if len(rows) == len(EVIL) + 4 + 7:
                    break
                if late and rows:  # they land one by one while others are in trouble
                    late.pop().write(tmp_path / "raw")
                asked = time.monotonic()
                intake.scan()
                intake.work(0.0)
                longest = max(longest, time.monotonic() - asked)
                time.sleep(0.005)
            states = {row.path.stem[-8:]: (row.state, row.reason) for row in rows}
        finally:
            intake.close()
    assert longest < 5.0
    for second, why in EVIL.items():
        state, reason = states[f"04_00_{second}"]
        assert state == "quarantined" and why in reason and f"ifu20190612_04_00_{second}.fits cannot be read" in reason
    assert {name for name, (state, _) in states.items() if state == "good"} == {
        *(f"04_00_{second}" for second in ("00", "17", "40", "41")),
        *(f"04_0{minute}_00" for minute in range(1, 8)),
    }
