"""A ledger that is damaged: noticed at the start, made again from the journals, and nothing is done twice."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from night.helpers import products
from night.raw_night import NIGHT, whole_night

from sedmd.daemon.start import serve
from sedmd.doctor import Environment, render
from sedmd.doctor.data import ledger as doctors_look
from sedmd.ledger.ledger import Ledger, LedgerError
from sedmd.ledger.rebuild import rebuild

from .audit import booked, faults_of, install, now
from .daemon import configure, running, wait_until_done
from .nights import reduced, undisturbed


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("undisturbed"), whole_night())


@pytest.fixture(scope="module")
def night_done(tmp_path_factory):
    """A night that a service has done; then it was killed, so that the write-ahead log is still there."""
    settings = configure(tmp_path_factory.mktemp("done"))
    for frame in whole_night():
        frame.write(settings.paths.raw_root)
    with running(settings) as daemon:
        wait_until_done(settings, len(whole_night()), daemon)
        daemon.kill()
    redux = settings.paths.redux_root
    # the bell is a socket of the service that was killed: no copy of it would ring
    shutil.copytree(redux, redux.with_name("kept"), ignore=shutil.ignore_patterns("bell"))
    return settings


@pytest.fixture
def done(night_done):
    """That night as it was."""
    redux = night_done.paths.redux_root
    shutil.rmtree(redux)
    shutil.copytree(redux.with_name("kept"), redux)
    return night_done


def overwritten_pages(ledger: Path) -> None:
    checkpointed(ledger)
    with ledger.open("r+b") as file:
        for page in range(2, ledger.stat().st_size // 4096, 3):
            file.seek(page * 4096)
            file.write(random.Random(page).randbytes(4096))


def truncated(ledger: Path) -> None:
    checkpointed(ledger)
    os.truncate(ledger, ledger.stat().st_size // 2)


def garbage(ledger: Path) -> None:
    checkpointed(ledger)
    ledger.write_bytes(random.Random(1).randbytes(100_000))


def header_lost(ledger: Path) -> None:
    checkpointed(ledger)
    with ledger.open("r+b") as file:
        file.write(bytes(100))


def text(ledger: Path) -> None:
    checkpointed(ledger)
    ledger.write_text("somebody saved the wrong window\n" * 1000)


def emptied(ledger: Path) -> None:
    checkpointed(ledger)
    ledger.write_bytes(b"")


def deleted(ledger: Path) -> None:
    checkpointed(ledger)
    ledger.unlink()


def torn_log(ledger: Path) -> None:
    """The end of the write-ahead log never reached the disk: the last bookings are lost, the file is sound."""
    log = ledger.with_name(ledger.name + "-wal")
    os.truncate(log, log.stat().st_size * 2 // 3 + 123)


def log_of_another(ledger: Path) -> None:
    """The write-ahead log is full of noise: SQLite passes over it."""
    log = ledger.with_name(ledger.name + "-wal")
    log.write_bytes(random.Random(2).randbytes(log.stat().st_size))


def checkpointed(ledger: Path) -> None:
    """Bring the write-ahead log into the file, so that the damage is what is found."""
    with Ledger.open(ledger, clock=now):
        pass


#: What is done to the file -> whether the next start must refuse it.
DAMAGES = {
    overwritten_pages: True,
    truncated: True,
    garbage: True,
    header_lost: True,
    text: True,
    emptied: True,
    deleted: True,
    torn_log: False,
    log_of_another: False,
}


def refusal(settings) -> str:
    """What a start says to the ledger; empty if it takes it."""
    try:
        serve(settings, clock=now)
    except LedgerError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_ledger_is_made_again_and_nothing_is_done_twice(done, expected, tell, damage):
    settings = done
    assert products(settings) == expected
    times = {path: path.stat().st_mtime_ns for path in settings.paths.redux_root.glob(f"{NIGHT}/*.fits")}
    damage(settings.paths.state / "ledger.sqlite")
    refused = refusal(settings) if DAMAGES[damage] else ""
    if DAMAGES[damage]:
        assert "sedmd doctor --rebuild" in refused and "ledger.sqlite" in refused and "\n" not in refused
    answer = rebuild(settings, clock=now)
    install(settings)
    assert reduced(settings) == expected
    again = booked(settings)
    wrong = faults_of(settings)
    tell(f"{damage.__name__}: {'refused at the start; ' if refused else ''}{answer}; {again} jobs done again")
    assert again == 0
    assert wrong == []
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_service_leaves_a_damaged_ledger_alone_and_goes_on_with_the_new_one(done, expected, tell):
    settings = done
    overwritten_pages(settings.paths.state / "ledger.sqlite")
    with running(settings) as daemon:
        assert daemon.process.wait(60) == 2  # not to be started again by systemd
    assert daemon.tracebacks() == []
    assert daemon.said("sedmd doctor --rebuild") == 1
    rebuild(settings, clock=now)
    install(settings)
    with running(settings) as daemon:
        wait_until_done(settings, len(whole_night()), daemon)
        assert daemon.stop() == 0
    tell(f"{booked(settings)} jobs done again by the service")
    assert booked(settings) == 0
    assert faults_of(settings) == []
    assert products(settings) == expected


def test_a_product_damaged_meanwhile_is_made_again(done, expected, tell):
    settings = done
    garbage(settings.paths.state / "ledger.sqlite")
    folder = settings.paths.redux_root / NIGHT
    broken, lost = folder / "traces.fits", folder / "sp_single_obs1.fits"
    before = broken.stat()
    # as a failing disk would: same size, same time stamp
    broken.write_bytes(broken.read_bytes()[::-1])
    os.utime(broken, ns=(before.st_atime_ns, before.st_mtime_ns))
    lost.unlink()
    answer = rebuild(settings, clock=now)
    assert "2 products were lost or changed" in answer
    install(settings)
    assert reduced(settings) == expected
    assert faults_of(settings) == []
    tell(f"{answer}; {booked(settings)} jobs done again")


def test_bookings_lost_with_the_end_of_the_log_are_made_up_for(done, expected, tell):
    settings = done
    torn_log(settings.paths.state / "ledger.sqlite")
    install(settings)
    assert reduced(settings) == expected
    assert faults_of(settings) == []
    tell(f"not rebuilt: {booked(settings)} jobs done again")
    assert booked(settings) > 0


@pytest.mark.parametrize("quoted", [b"\xff\xb7", b"\x10\x1b[2J", b"@\n@"])
def test_damage_that_is_no_text_is_told_as_damage(tmp_path, quoted):
    settings = configure(tmp_path)
    path = settings.paths.state / "ledger.sqlite"
    with Ledger.open(path, clock=now) as ledger:
        ledger.events.note("20190612", "x", "text")
    content = path.read_bytes()
    schema = b"CREATE TABLE job ("
    assert schema in content
    path.write_bytes(content.replace(schema, schema[: -len(quoted)] + quoted))
    for read_only in (False, True):
        with pytest.raises(LedgerError, match="sedmd doctor --rebuild") as error:
            Ledger.open(path, clock=now, check=True, read_only=read_only)
        assert str(error.value).isprintable()
    (finding,) = doctors_look(settings, Environment())
    assert finding.level == "error" and "--rebuild" in finding.advice
    assert all(line.isprintable() for line in render([finding]).splitlines())
