"""What runs inside a worker process: one job, and an answer made of plain values."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import hashlib
import importlib
import multiprocessing
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from sedmd import __version__
from sedmd.core.errors import CalibrationFault, FrameFault, NeedsObserver, SedmError
from sedmd.core.job import Job, Outcome, Product, Result
from sedmd.host.mounts import free_bytes
from sedmd.host.sharing import make_folder, not_ours

PR_SET_PDEATHSIG = 1


def run_job(steps_module: str, job: Job) -> Outcome:
    """Run one step here and judge how it ended; never raises."""
    begun = time.monotonic()
    try:
        before = {role: _identity(path) for role, path in job.outputs.items()}
        for path in job.outputs.values():
            make_folder(path.parent)
        result = importlib.import_module(steps_module).STEPS[job.step](job)
        if not isinstance(result, Result):
            outcome = Outcome(state="failed", reason=f"step {job.step} returned no Result: an internal error")
        else:
            outcome = _verified(job, result, before)
    except NeedsObserver as fault:
        outcome = Outcome(state="awaiting observer", reason=_line(fault), figures=fault.figures)
    except (FrameFault, CalibrationFault) as fault:
        outcome = Outcome(state="quarantined", reason=_line(fault))
    except SedmError as fault:
        full = _no_room(fault.__cause__)
        outcome = Outcome(state="transient" if full else "failed", reason=_line(fault), no_room=full)
    except (OSError, MemoryError) as error:
        reason = f"{type(error).__name__}: {_line(error)}"
        if isinstance(error, PermissionError) and error.filename:
            reason = not_ours(Path(os.fsdecode(error.filename))) or reason
        outcome = Outcome(state="transient", reason=reason, detail=traceback.format_exc(), no_room=_no_room(error))
    except Exception as error:
        # the boundary of the worker: an error of a step costs that job only
        reason = f"step {job.step} stopped with {type(error).__name__}: {_line(error)}"
        outcome = Outcome(state="failed", reason=reason, detail=traceback.format_exc())
    if outcome.no_room:  # checked now: when it is recorded there may be room again
        folder = next((path.parent for path in job.outputs.values()), Path())
        outcome = replace(outcome, free_bytes=free_bytes(folder))
    return replace(outcome, seconds=time.monotonic() - begun)


def version() -> str:
    """Version of sedmd on this machine."""
    return __version__


def serve(pipe: Connection, steps_module: str, job: Job, memory_bytes: int = 0) -> None:
    """Entry point of a worker process: a group of its own, dead when its parent dies, one job, one answer.

    Parameters
    ----------
    memory_bytes : int
        Most memory that the process may map; 0 sets no limit.
    """
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if (parent := multiprocessing.parent_process()) is not None:
        # the kernel minds the fork server, which lives as long as a worker has its end of a pipe
        threading.Thread(target=_die_with, args=(parent.sentinel,), name="parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    faulthandler.enable()
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with suppress(BrokenPipeError):  # who asked died in the meantime
        pipe.send(run_job(steps_module, job))
    pipe.close()


def _die_with(sentinel: int) -> None:
    """End this process and its children when the service is gone."""
    wait([sentinel])
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _no_room(error: BaseException | None) -> bool:
    """A full disk is nobody's data: it is tried again when there may be room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _verified(job: Job, result: Result, before: Mapping[str, tuple[int, int] | None]) -> Outcome:
    products = []
    for role, path in job.outputs.items():
        now = _identity(path)
        if now is None or now == before[role]:
            reason = f"step {job.step} ended well but did not write {path.name}: an internal error"
            return Outcome(state="failed", reason=reason)
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        products.append(Product(role=role, path=path, sha256=digest, size=status.st_size, mtime_ns=status.st_mtime_ns))
    return Outcome(state="done", figures=dict(result.figures), warnings=result.warnings, products=tuple(products))


def _identity(path: Path) -> tuple[int, int] | None:
    """Inode and time stamp: an atomic write changes the inode even within one clock tick."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
