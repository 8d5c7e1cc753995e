"""Nights through one service: memory and open files stay where they were after the first."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from night.helpers import products
from night.raw_night import Raw, raw, whole_night

from sedmd.ledger.ledger import Ledger
from sedmd.run.vitals import own_use

from .audit import faults_of, install, now
from .daemon import configure, running, wait_for

NIGHTS = int(os.environ.get("SOAK_NIGHTS", "7"))
#: How much may stay with each night after the first: rows of the nights in sight, and what an allocator keeps.
MOST_GROWTH = 0.05


def later(frame: Raw, days: int) -> Raw:
    """The same frame some days later: other times in its cards and its name, other bits in its pixels."""
    name = Path(frame.place).name
    start = datetime.strptime(name[3:20], "%Y%m%d_%H_%M_%S")
    then = start + timedelta(days=days)
    content = frame.content
    for style in ("%Y:%j:%H:%M:%S.0", "%Y%m%d"):
        content = content.replace(start.strftime(style).encode(), then.strftime(style).encode())
    end = content.index(b"END" + b" " * 77) // 2880 * 2880 + 2880
    if len(content) > end + 2:
        content = content[:end] + bytes([content[end] ^ days, content[end + 1] ^ days]) + content[end + 2 :]
    return Raw(place=f"{then:%Y%m%d}/{then:ifu%Y%m%d_%H_%M_%S}{name[20:]}", content=content)


def test_a_frame_of_another_night_is_as_long_as_the_first(tell):
    frame = raw(datetime(2019, 6, 12, 4), "x")
    other = later(frame, 3)
    assert len(other.content) == len(frame.content)
    assert other.place == "20190615/ifu20190615_04_00_00.fits"
    assert b"2019:166:04:00:00.0" in other.content
    tell("cards, name and pixels move with the night")


def use(pid: int) -> tuple[int, int]:
    """Resident bytes and open files of a process."""
    resident, files = own_use(Path(f"/proc/{pid}"))
    return resident or 0, files or 0


@pytest.mark.slow
def test_seven_nights_through_one_service(tmp_path, tell):
    settings = configure(tmp_path)
    install(settings)
    night = whole_night()
    used: list[tuple[int, int]] = []
    with running(settings) as daemon:
        wait_for(lambda: daemon.ready, daemon)
        for number in range(NIGHTS):
            frames = [later(frame, number) for frame in night]
            name = (datetime(2019, 6, 12) + timedelta(days=number)).strftime("%Y%m%d")
            for frame in frames:
                frame.write(settings.paths.raw_root)

            def over(name: str = name) -> bool:
                """The night was closed with all its frames read."""
                with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
                    rows = ledger.frames.of_night(name)
                    jobs = ledger.jobs.of_night(name)
                    ended = ledger.marks.of_night(name, "ended")
                return (
                    len(rows) == len(night)
                    and bool(ended)
                    and sum(job.step == "calibrate" and job.state == "done" for job in jobs) >= 6
                    and not any(job.state in ("running", "retry") for job in jobs)
                )

            wait_for(over, daemon, patience_s=120)
            used.append(use(daemon.process.pid))
        assert daemon.stop() == 0
    assert daemon.tracebacks() == []
    wrong = faults_of(settings)
    told = ", ".join(f"{resident / 1e6:.1f} MB {files} files" for resident, files in used)
    tell(f"after each night: {told}; {len(products(settings))} products, {len(wrong)} faults")
    assert wrong == []
    assert max(resident for resident, _ in used[1:]) <= (1 + MOST_GROWTH) * used[1][0]
    assert max(files for _, files in used) <= used[0][1] + 2
