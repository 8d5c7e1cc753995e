"""What anybody may leave for the service to do: what is malformed is refused in one line, and costs itself only."""

from __future__ import annotations

import array
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from night.raw_night import NIGHT, calibrations, on_sky

from sedmd.daemon.messages import Asked
from sedmd.host.doorbell import NAME, Doorbell, ring

from .malformed_requests import NOISE, anything, leave, row, rows
from .turned import Case

FRAMES = [*calibrations(bias=3, lamp=3), *on_sky("x")]


class Asking:
    """A service that has frames of a night, and strangers who write into its ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.case = Case(folder)
        self.case.write(FRAMES)
        self.case.turn_until(lambda: self.case.known() == len(FRAMES))
        self.path = self.case.settings.paths.state / "ledger.sqlite"
        self.before = self.outside()

    def outside(self) -> set[Path]:
        """Everything in the folder that does not lie in the night, the raw root or the state directory."""
        redux = self.case.settings.paths.redux_root
        inside = (redux / NIGHT, redux / ".sedmd", self.case.settings.paths.raw_root)
        return {path for path in self.folder.rglob("*") if not {path, *path.parents} & set(inside)}

    def ask(self, *requests: dict) -> list[str]:
        """Leave requests, have the service look, and give its answers."""
        with self.case.ledger.together():
            pass
        first = self.case.ledger._db.execute("SELECT coalesce(max(id), 0) FROM request").fetchone()[0]
        leave(self.path, list(requests))
        for _ in range(len(requests) + 1):
            self.case.service.handle(Asked(0, 0))
            answers = [self.case.ledger.requests.answer_to(first + 1 + number) for number in range(len(requests))]
            if None not in answers:
                break
        return answers

    def check(self, answer: str | None) -> None:
        """One line for the operator, that blames nobody else."""
        assert answer is not None, "nobody answered"
        assert answer.isprintable() and 0 < len(answer) < 1500, answer[:300]
        assert "internal error" not in answer, answer

    def unharmed(self) -> None:
        """Nothing was made outside, every line of the log is one, and a right request is carried out."""
        assert self.outside() == self.before
        (answer,) = self.ask(row(verb="release", subject="flat"))
        (answer,) = self.ask(row(verb="hold", subject="flat"))
        assert answer.endswith("jobs are held; running jobs continue"), answer
        for line in (self.case.settings.paths.redux_root / NIGHT / "sedmd.log").read_text().splitlines():
            assert line.isprintable() and line[4] == "-" and " UT  " in line, line[:200]
        assert self.case.ledger._db.execute("PRAGMA quick_check").fetchone()[0] == "ok"
        # what was corrected can be laid over every frame
        for frame in FRAMES:
            (answer,) = self.ask(row(verb="retry", subject=Path(frame.place).name))
            self.check(answer)
        self.case.turn_until(lambda: self.case.known() == len(FRAMES))


@pytest.fixture
def asking(tmp_path) -> Iterator[Asking]:
    made = Asking(tmp_path)
    yield made
    made.case.close()


def test_every_malformed_request_is_answered_and_harms_nothing(asking, tell):
    count = refused = 0
    for what, one in rows():
        (answer,) = asking.ask(one)
        try:
            asking.check(answer)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
        count += 1
        refused += answer.startswith("refused")
    asking.unharmed()
    tell(f"{count} malformed requests answered, {refused} refused")
    assert count > 600


def fuzz_requests(asking: Asking, *, examples: int) -> int:
    """Any rows at all; how many."""
    count = 0

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(anything)
    def run(one: dict) -> None:
        nonlocal count
        (answer,) = asking.ask(one)
        asking.check(answer)
        count += 1

    run()
    return count


def test_no_row_in_the_table_of_requests_stops_the_service(asking):
    assert fuzz_requests(asking, examples=150) >= 100
    asking.unharmed()


@pytest.mark.slow(seconds=60)
def test_a_long_run_of_requests(asking, tell):
    tell(f"{fuzz_requests(asking, examples=3000)} requests of chance answered")
    asking.unharmed()


def test_without_a_service_the_command_carries_out_what_others_left(asking, capsys):
    from sedmd.cli import main

    asking.case.close()
    bad = [one for _, one in rows()]
    leave(asking.path, bad[:: len(bad) // 40])
    words = ["hold", "flat", "--redux", str(asking.case.settings.paths.redux_root)]
    assert main(words) == 0
    assert "jobs are held" in capsys.readouterr().out
    asking.case = Case(asking.folder)
    assert asking.case.ledger.requests.open() == []


def test_a_flood_of_requests_does_not_hold_the_loop(asking, monkeypatch):
    monkeypatch.setattr("sedmd.daemon.service.SLICE_S", 0.05)
    leave(asking.path, [row(verb="hold", subject=f"nobody {number}") for number in range(400)])
    begun = time.monotonic()
    asking.case.service.handle(Asked(0, 0))
    assert time.monotonic() - begun < 2.0
    assert asking.case.ledger.requests.open() != []
    asking.case.turn_until(lambda: asking.case.ledger.requests.open() == [], patience_s=60)


def test_bells_for_requests_that_there_are_not_are_not_remembered(asking):
    for number in range(1000):
        asking.case.service.handle(Asked(10**6 + number, 0))
    assert len(asking.case.service._asked_by) == 0


# the bell


@pytest.fixture
def bell(tmp_path):
    heard: list[tuple[int, int]] = []
    made = Doorbell(tmp_path, lambda number, user: heard.append((number, user)))
    assert made.start() == ""
    yield tmp_path, heard
    made.stop()


def rung(folder: Path, heard: list[tuple[int, int]]) -> None:
    """The bell still tells a number and who rang."""
    assert ring(folder, 4711)
    until = time.monotonic() + 10
    while (4711, os.getuid()) not in heard:
        assert time.monotonic() < until, "the bell is dead"
        time.sleep(0.005)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_noise_and_gifts_at_the_bell_are_not_heard(bell):
    folder, heard = bell
    before = open_files()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        for noise in NOISE:
            made.sendto(noise, str(folder / NAME))
        null = os.open(os.devnull, os.O_RDONLY)
        gift = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null] * 20))]
        for _ in range(20):  # open files that would stay with the service
            made.sendmsg([b"x"], gift, 0, str(folder / NAME))
        os.close(null)
    rung(folder, heard)
    assert heard == [(4711, os.getuid())]
    assert open_files() == before


def test_a_number_with_a_gift_is_heard_and_the_gift_is_not_kept(bell):
    folder, heard = bell
    before = open_files()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made, open(os.devnull, "rb") as null:  # noqa: PTH123
        gift = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()]))]
        made.sendmsg([b"5"], gift, 0, str(folder / NAME))
    rung(folder, heard)
    assert heard[0] == (5, os.getuid())
    assert open_files() == before


def test_a_flood_at_the_bell_blocks_nobody(bell):
    folder, heard = bell
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        sent = 0
        for number in range(5000):
            try:
                made.sendto(str(number % 7).encode(), str(folder / NAME))
                sent += 1
            except BlockingIOError:
                time.sleep(0.0005)
    until = time.monotonic() + 10
    while not ring(folder, 4711):  # the queue is full: who rings is told at once, and not kept waiting
        assert time.monotonic() < until
    rung(folder, heard)
    assert sent > 100


@pytest.mark.parametrize("kind", ["file", "directory", "link", "pipe"])
def test_what_lies_in_the_place_of_the_bell(tmp_path, kind):
    place, other = tmp_path / NAME, tmp_path / "other"
    other.write_text("precious")
    {
        "file": lambda: place.write_text("x"),
        "directory": lambda: place.mkdir(),
        "link": lambda: place.symlink_to(other),
        "pipe": lambda: os.mkfifo(place),
    }[kind]()
    begun = time.monotonic()
    assert not ring(tmp_path, 1)
    made = Doorbell(tmp_path, lambda number, user: None)
    told = made.start()
    assert time.monotonic() - begun < 1.0
    assert ("requests wait for the next scan" in told) is (kind == "directory")
    made.stop()
    assert other.read_text() == "precious"
