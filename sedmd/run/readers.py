"""Processes that read what strangers put down: one that is kept for all files, and a few for those that take long.

A header, a gzip stream or a packed image may crash its reader, eat the memory or never end. The service hands a file to
the kept process and waits a moment; then it goes on, and asks again. A file that takes seconds keeps that process for
itself, up to a limit, while a new one reads the others. If a process dies, its file gets a sentence.
"""

from __future__ import annotations

import ctypes
import importlib
import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from errno import ETIMEDOUT
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar, cast

from sedmd.host.isolated import Died, ending

T = TypeVar("T")

#: Longest wait for an answer, seconds; a whole frame is read in a tenth of that.
PATIENCE_S = 0.3
#: A file that takes longer keeps its process for itself, and another is started for the others, seconds.
ASIDE_S = 2.0
#: A file that takes longer is given up, seconds in which its reader could work; memory that a reader may map, bytes
#: (0.17 GB before it reads anything).
LIMIT_S, MEMORY = 20.0, 2_000_000_000
#: So many files may take long at the same time; others of their kind wait for one of them to end.
MAX_SLOW = 3
#: Of the time between two looks at most so much counts, seconds: the whole machine may have stood still.
LONGEST_TURN_S = 1.0
_PR_SET_PDEATHSIG = 1
_DIED = "the process that read it died"


class StillReading(Exception):
    """There is no answer yet: ask again, with the same key."""


class _Killed(Exception):
    """Somebody ended the process, who need not have meant the file: the kernel does so when the memory is full."""


class Readers:
    """Calls functions on files in processes that may die.

    Parameters
    ----------
    patience_s, limit_s : float
        As `PATIENCE_S` and `LIMIT_S`.
    memory_bytes : int
    preload : sequence of str
        Modules that each process imports before it takes a file: what the functions of `call` need.
    monotonic : callable
        Seconds.
    """

    def __init__(
        self,
        *,
        patience_s: float = PATIENCE_S,
        limit_s: float = LIMIT_S,
        memory_bytes: int = MEMORY,
        preload: Sequence[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience_s, self._limit_s, self._memory_bytes = patience_s, limit_s, memory_bytes
        self._preload = tuple(preload)
        self._monotonic = monotonic
        self._kept: _Reader | None = None
        self._busy: Hashable | None = None  # what the kept one is at
        self._slow: dict[Hashable, _Reader] = {}
        self._known_slow: set[Hashable] = set()
        self._answers: dict[Hashable, tuple[bool, Any]] = {}
        self._killed: set[Hashable] = set()
        self._leaving: list[_Reader] = []

    def start(self) -> None:
        """Have the kept process ready before the first file comes."""
        if self._kept is None:
            self._kept = _Reader(self._memory_bytes, self._preload)

    def call(self, key: Hashable, function: Callable[[], T]) -> T:
        """What a function returns.

        Parameters
        ----------
        key : hashable
            Of the work: file, what is done with it, and what the answer rests on.
        function : callable
            One that can be sent: of a module, or a `functools.partial` of such.

        Raises
        ------
        StillReading
            Ask again a little later.
        Died
            Its process crashed, was refused memory, or took too long.
        OSError
            Its process waits for a disk that does not answer.
        Exception
            What the function raises.
        """
        self._look()
        if key in self._answers:
            return cast(T, self._result(key, *self._answers.pop(key)))
        waits = key in self._known_slow and len(self._slow) >= MAX_SLOW
        if self._busy is not None or key in self._slow or waits:
            raise StillReading
        self.start()
        kept = self._kept
        if kept is None or not kept.is_ready(self._patience_s):
            if kept is not None and not kept.alive:
                self._renew(kept)  # it died before it began
            raise StillReading
        kept.ask(function)
        kept.took_s, kept.looked_s = 0.0, self._monotonic()
        self._busy = key
        self._look(self._patience_s)
        if key in self._answers:
            return cast(T, self._result(key, *self._answers.pop(key)))
        raise StillReading

    def forget(self, path: Path) -> None:
        """Nobody will ask for this file again; keys are tuples that begin with its path."""
        if self._kept is not None and self._busy is not None and _is_of(self._busy, path):
            self._busy = None
            self._renew(self._kept)
        known = (*self._slow, *self._answers, *self._known_slow, *self._killed)
        for key in [key for key in known if _is_of(key, path)]:
            self._answers.pop(key, None)
            self._known_slow.discard(key)
            self._killed.discard(key)
            if (reader := self._slow.pop(key, None)) is not None:
                self._leave(reader)

    def close(self) -> None:
        """End all processes."""
        for reader in (*self._slow.values(), *([self._kept] if self._kept else []), *self._leaving):
            reader.kill()
        self._slow.clear()
        self._leaving.clear()
        self._kept = self._busy = None

    def _look(self, patience_s: float = 0.0) -> None:
        """Take the answers that came meanwhile, wait for that of the kept process, give up on what takes too long."""
        self._leaving = [reader for reader in self._leaving if not reader.gone()]
        if self._kept is not None and self._busy is not None:
            key, kept = self._busy, self._kept
            answer = self._answer(kept, patience_s)
            if answer is not None:
                self._answers[key] = answer
                self._known_slow.discard(key)
                self._busy = None
                if not kept.alive or isinstance(answer[1], MemoryError):  # who was refused memory may lack it for good
                    self._renew(kept)
            elif kept.took_s >= ASIDE_S:
                self._known_slow.add(key)
                self._busy = None
                if len(self._slow) < MAX_SLOW:
                    self._slow[key] = kept
                    self._kept = None
                    self.start()
                else:
                    self._renew(kept)  # this file starts again when one of the others has ended
        for key, reader in list(self._slow.items()):
            answer = self._answer(reader, 0.0)
            if answer is None and reader.took_s >= self._limit_s:
                answer = False, self._too_long(reader)
            if answer is not None:
                self._answers[key] = answer
                self._known_slow.discard(key)
                del self._slow[key]
                self._leave(reader)

    def _answer(self, reader: _Reader, patience_s: float) -> tuple[bool, Any] | None:
        answer = reader.answer(patience_s)
        now_s = self._monotonic()
        reader.took_s += min(now_s - reader.looked_s, LONGEST_TURN_S)
        reader.looked_s = now_s
        return answer

    def _renew(self, kept: _Reader) -> None:
        self._kept = None
        self._leave(kept)
        self.start()

    def _too_long(self, reader: _Reader) -> Exception:
        if reader.waits_for_disk:
            return OSError(ETIMEDOUT, f"the disk gave nothing for {self._limit_s:g} s")
        return Died(f"it took longer than {self._limit_s:g} s and was stopped")

    def _leave(self, reader: _Reader) -> None:
        """End a process without waiting: one that waits for a disk ends when the disk answers."""
        reader.kill()
        self._leaving.append(reader)

    def _result(self, key: Hashable, good: bool, value: Any) -> Any:
        if isinstance(value, _Killed) and key not in self._killed:
            self._killed.add(key)  # once more: the next file in its place may have been meant
            raise StillReading
        self._killed.discard(key)
        if good:
            return value
        if isinstance(value, _Killed):
            raise Died(f"{_DIED} twice (signal SIGKILL)")
        if isinstance(value, MemoryError):
            raise Died(f"it wanted more than {self._memory_bytes / 1e9:g} GB of memory")
        raise value


class _Reader:
    """One process, its pipe, and how long it has been at work."""

    def __init__(self, memory_bytes: int, preload: tuple[str, ...]) -> None:
        # a new interpreter: it is started without waiting, also while the fork server still loads its modules
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(theirs, memory_bytes, preload), daemon=True)
        self._process.start()
        theirs.close()
        self._ready = False
        self.alive = True
        self.took_s = self.looked_s = 0.0

    def is_ready(self, patience_s: float) -> bool:
        """Whether it has loaded what it needs."""
        if not self._ready and self._receive(patience_s) == (True, None):
            self._ready = True
        return self._ready

    def ask(self, function: Callable[[], Any]) -> None:
        """Have it call a function; whether it lives to do so tells `answer`."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._pipe.send(function)

    def answer(self, patience_s: float) -> tuple[bool, Any] | None:
        """(True, what was returned) or (False, what was raised); None if there is nothing yet."""
        given = self._receive(patience_s)
        if given is None and not self.alive:
            self._process.join(1.0)
            code = self._process.exitcode
            return False, _Killed() if code == -signal.SIGKILL else Died(f"{_DIED} ({ending(code)})")
        return given

    def _receive(self, patience_s: float) -> tuple[bool, Any] | None:
        try:
            return self._pipe.recv() if self._pipe.poll(patience_s) else None
        except (EOFError, OSError):
            self.alive = False
            return None
        except Exception as error:  # it came, and cannot be made anything of
            return False, Died(f"{type(error).__name__}: {error}")

    @property
    def waits_for_disk(self) -> bool:
        """Whether the kernel has it wait for a device or a file server."""
        with suppress(OSError, IndexError):
            state = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii", errors="replace")
            return state.rpartition(")")[2].split()[0] == "D"
        return False

    def kill(self) -> None:
        """End it; it may take a while to go."""
        self._pipe.close()
        self._process.kill()

    def gone(self) -> bool:
        """Whether it has ended by now; what the kernel kept of it is let go."""
        if self._process.exitcode is None:
            return False
        self._process.close()
        return True


def _serve(pipe: Connection, memory_bytes: int, preload: tuple[str, ...]) -> None:
    """Call one function after the other, until the service goes away."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the service says when to end
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for module in preload:
        importlib.import_module(module)

    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with suppress(EOFError, OSError):
        pipe.send((True, None))
        while True:
            answer = _answer(pipe.recv())
            try:
                pipe.send(answer)
            except (TypeError, AttributeError, ValueError):  # of an error that cannot be sent, the text
                pipe.send((False, Died(f"{type(answer[1]).__name__}: {answer[1]}")))


def _answer(function: Callable[[], Any]) -> tuple[bool, Any]:
    try:
        return True, function()
    except Exception as error:
        return False, error


def _is_of(key: Hashable, path: Path) -> bool:
    return isinstance(key, tuple) and bool(key) and key[0] == path
