"""A reader of frames that does what the name of the file says; processes import it by its name."""

import os
import signal
import time
from pathlib import Path

from sedmd.raw.frames import read_frame as read_well


def read_frame(path: Path, **options):
    """As `sedmd.raw.frames.read_frame`, after what the second of the frame's time stands for."""
    act(path.name.split(".")[0][-2:])
    return read_well(path, **options)


def act(what: str):
    """Crash, hang, run in circles, eat memory, be ended by somebody, or be slow."""
    if what == "11":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "12":
        time.sleep(600)
    elif what == "13":
        while True:
            pass
    elif what == "14":
        bytearray(8_000_000_000)
    elif what == "15":
        os._exit(3)
    elif what == "16":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "17":
        time.sleep(0.5)
    return what
