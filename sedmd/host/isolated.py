"""Work on bytes of strangers in a process that may die: a decoder that crashes costs its file, not the service."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from sedmd.core.errors import SedmError

T = TypeVar("T")

#: A decoder that takes longer is stopped, seconds; one that wants more memory is refused it, bytes.
LIMIT_S, MEMORY = 10.0, 4_000_000_000


class Died(SedmError):
    """The process that read a file died, or was stopped; the text says how."""


def apart(function: Callable[..., T], *given: Any, limit_s: float = LIMIT_S, memory_bytes: int = MEMORY) -> T:
    """Call a function in a process of its own.

    Parameters
    ----------
    function : callable
        One that can be named: of a module, or a `functools.partial` of such.
    limit_s : float
        It is killed after so many seconds.
    memory_bytes : int
        Most memory that it may map.

    Raises
    ------
    Died
        It crashed, or took too long.
    Exception
        What the function raises.
    """
    if multiprocessing.current_process().daemon:  # a worker: it may die itself, and may have no children
        return function(*given)
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, function, given, memory_bytes), daemon=True)
    process.start()
    theirs.close()
    try:
        until = time.monotonic() + limit_s
        wait([ours, process.sentinel], timeout=limit_s)
        answer: tuple[bool, Any] | None = None
        with suppress(EOFError, OSError):  # of the pipe: it died while it answered
            answer = ours.recv() if ours.poll() else None
        if answer is not None:
            good, value = answer
            if good:
                return value  # type: ignore[no-any-return]
            raise value
        process.join(max(0.0, min(1.0, until - time.monotonic())))
        if process.is_alive():
            raise Died(f"it took longer than {limit_s:g} s and was stopped")
        raise Died(f"the process that read it died ({ending(process.exitcode)})")
    finally:
        ours.close()
        if process.is_alive():
            process.kill()
        process.join()
        process.close()


def _work(pipe: Connection, function: Callable[..., Any], given: tuple[Any, ...], memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: tuple[bool, Any] = (True, function(*given))
    except Exception as error:
        answer = (False, error)
    with suppress(BrokenPipeError):
        try:
            pipe.send(answer)
        except (TypeError, AttributeError, ValueError):  # of an error that cannot be sent, the text
            pipe.send((False, Died(f"{type(answer[1]).__name__}: {answer[1]}")))
    pipe.close()


def ending(code: int | None) -> str:
    """How a process ended, by its exit code."""
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit status {code}"
