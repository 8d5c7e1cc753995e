"""Steps for the tests of the engines, each with one vice."""

import gc
import multiprocessing
import os
import signal
import sys
import time

from sedmd.core.errors import CalibrationFault, FrameFault, NeedsObserver
from sedmd.core.job import Result


def write(job):
    for path in job.outputs.values():
        temporary = path.with_suffix(".part")
        temporary.write_text(f"made by {os.getpid()} in group {os.getpgid(0)} with {os.environ.get('OMP_NUM_THREADS')}")
        temporary.replace(path)
    return Result(figures={"pid": os.getpid(), "frozen": gc.get_freeze_count()}, warnings=("mind the gap",))


def fault(job):
    raise FrameFault("the frame is\nbad")


def gate(job):
    raise CalibrationFault("rms 3.1 px, at most 1.0 allowed")


def observer(job):
    raise NeedsObserver("two objects")


def bug(job):
    return 1 / 0


def disk(job):
    raise OSError(28, "No space left on device")


def wrapped_disk(job):
    from sedmd.core.errors import SedmError

    try:
        raise OSError(28, "No space left on device")
    except OSError as error:
        raise SedmError("4.2 MB do not fit") from error


def crash(job):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(job):
    sys.exit(3)


def hang(job):
    if os.fork() == 0:  # a child of the step must die with it
        time.sleep(60)
    time.sleep(60)


def greedy(job):
    return len(bytearray(64_000_000_000)) and None


def slow(job):
    with open(job.options["begun"], "a") as file:  # noqa: PTH123
        print(os.getpid(), file=file)
    while not os.path.exists(job.options["go"]):  # noqa: PTH110
        time.sleep(0.01)
    return write(job)


def kill_station(job):
    with open(job.options["begun"], "a") as file:  # noqa: PTH123
        print(os.getpid(), file=file)
    os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)
    time.sleep(60)


def forget(job):
    return Result()


def nothing(job):
    return None


ALL = (write, fault, gate, observer, bug, disk, wrapped_disk, crash, leave, hang, forget, nothing)
STEPS = {step.__name__: step for step in (*ALL, greedy, slow, kill_station)}
STEP_VERSIONS = dict.fromkeys(STEPS, 1)
