"""Machine code that numba keeps on disk: whole, of one writer at a time, or not used at all.

numba writes each of its files in one piece, but does not check what it finds: of eight files in which a block was
zeroed, as a crash leaves it, one aborted the process and four ended it by a segmentation fault. And it looks at the
source file of a function alone, not at those of the loops and constants that were compiled into it. So a file of
checksums lies beside those of each function, and what does not agree with it is removed and compiled again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np


class Kept:
    """The files of one function in numba's directory.

    Parameters
    ----------
    folder : Path
        Where numba keeps the code of the function's module.
    function : callable
        As it is written, not compiled; what it takes from other modules must be there already.
    """

    def __init__(self, folder: Path, function: Callable[..., Any]) -> None:
        code = function.__code__
        name = function.__qualname__.replace("<", "").replace(">", "")
        self._folder = folder
        self._stem = f"{Path(code.co_filename).stem}.{name}-{code.co_firstlineno}."
        self._made_of = sorted(_made_of(function, {}).values())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process compiles in this directory: then its code need only be read.

        Where the file system knows no locks, two may write at once; what they mix up is found by its checksums.
        """
        with ExitStack() as stack:
            with suppress(OSError):
                lock = stack.enter_context((self._folder / "sedmd.host.lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def whole(self) -> bool:
        """Nothing is kept, or all of it as it was written."""
        try:
            found: bool = self._sums() == json.loads(self._seal.read_text(encoding="utf-8"))
            return found
        except FileNotFoundError:
            return not self._files()
        except (OSError, ValueError):
            return False

    def seal(self) -> None:
        """Note what is kept now.

        Raises
        ------
        OSError
            The disk is full.
        """
        part = self._folder / f".{self._stem}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            part.write_text(json.dumps(self._sums()), encoding="utf-8")
            part.replace(self._seal)
        finally:
            part.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove what is kept.

        Raises
        ------
        OSError
            Somebody else's files.
        """
        for path in [*self._files(), self._seal]:
            path.unlink(missing_ok=True)

    @property
    def _seal(self) -> Path:
        return self._folder / f"{self._stem}sha256"

    def _files(self) -> list[Path]:
        # no pattern: a name may hold its signs
        return sorted(
            path
            for path in self._folder.iterdir()
            if path.name.startswith(self._stem) and path.suffix in (".nbi", ".nbc")
        )

    def _sums(self) -> dict[str, object]:
        return {path.name: _digest(path.read_bytes()) for path in self._files()} | {"made of": self._made_of}


def _made_of(function: Callable[..., Any], found: dict[str, str]) -> dict[str, str]:
    """All that machine code is made of: the sources of the function and of the loops it calls, and their constants."""
    file, own = function.__code__.co_filename, function.__globals__
    name = f"{file}:{function.__qualname__}"
    if name in found:
        return found
    found[name] = ""
    used = {one: own[one] for one in function.__code__.co_names if one in own}
    constants = {one: value for one, value in used.items() if isinstance(value, bool | int | float | str | tuple)}
    arrays = {one: value.tobytes() for one, value in used.items() if isinstance(value, np.ndarray)}
    try:
        source = Path(file).read_bytes()
    except OSError:  # typed in, not read from a file
        source = function.__code__.co_code
    found[name] = _digest(source + repr((sorted(constants.items()), sorted(arrays.items()))).encode())
    for value in used.values():
        if (called := getattr(value, "py_func", None)) is not None:
            _made_of(called, found)
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
