"""A process that may die: what it says and raises comes back, how it dies is told, and nothing is left of it."""

import errno
import os
import signal
import time
from datetime import UTC, datetime
from functools import partial

import pytest

from sedmd.core.config import from_table
from sedmd.core.errors import FrameFault
from sedmd.host.isolated import Died, apart
from sedmd.run.ingest import take_in


def add(one, other=1):
    return one + other


def crash(number):
    os.kill(os.getpid(), number)


def fault(text):
    raise FrameFault(text)


def leave(code):
    os._exit(code)


def hog(size):
    return len(bytearray(size))


class Odd(Exception):
    """One that cannot be sent."""

    def __reduce__(self):
        raise TypeError("not to be sent")


def odd():
    raise Odd("told all the same")


def no_disk():
    raise OSError(errno.EIO, "Input/output error")


def who():
    return os.getpid()


def test_what_is_returned_and_raised_comes_back():
    assert apart(add, 2) == 3
    assert apart(partial(add, other=5), 2) == 7
    assert apart(who) != os.getpid()
    with pytest.raises(FrameFault, match="it is cut"):
        apart(fault, "it is cut")
    with pytest.raises(OSError, match="Input/output error"):
        apart(no_disk)
    with pytest.raises(Died, match="told all the same"):
        apart(odd)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGBUS])
def test_a_crash_is_told_and_survived(number):
    with pytest.raises(Died, match=rf"the process that read it died \(signal {number.name}\)"):
        apart(crash, number)
    with pytest.raises(Died, match="exit status 3"):
        apart(leave, 3)


def test_who_takes_too_long_or_too_much_is_stopped():
    with pytest.raises(Died, match=r"longer than 0.2 s"):
        apart(time.sleep, 60, limit_s=0.2)
    with pytest.raises(MemoryError):
        apart(hog, 20_000_000_000)


def test_a_packed_frame_that_crashes_its_decoder_is_quarantined(tmp_path, monkeypatch):
    settings = from_table({"paths": {"raw_root": "raw", "redux_root": "redux"}}, origin="test", base=tmp_path)
    monkeypatch.setattr("sedmd.run.ingest.read_frame", lambda *given, **more: os.kill(os.getpid(), signal.SIGSEGV))
    monkeypatch.setattr("sedmd.run.ingest.apart", lambda read: apart(crash, signal.SIGSEGV))
    path = tmp_path / "ifu20190612_04_00_00.fits.fz"
    path.write_bytes(b"x")
    row = take_in(path, settings, now=datetime(2019, 6, 12, tzinfo=UTC))
    assert row.state == "quarantined"
    assert row.reason == f"{path.name} cannot be unpacked: the process that read it died (signal SIGSEGV). Exclude it"
