"""Loops over pixels and samples, compiled by numba: the one place that says how.

Only what a profile showed to be expensive is compiled; the modules of `sedmd.reduce.loops` hold the loops, and nothing
else is in them, so that they can be read, and tested, as plain Python.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

from sedmd.reduce.numeric.machine_code import Kept

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = {"nogil": True, "error_model": "numpy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCache:
    """Where the machine code of a loop is kept; None if it is compiled in each process. `loaded`: it was there."""

    folder: Path | None
    loaded: bool


_places: dict[str, CodeCache] = {}


def compiled(*signatures: str) -> Callable[[F], F]:
    """Decorator: compile a function for the given types when its module is imported.

    Parameters
    ----------
    signatures : str
        Types as numba writes them, e.g. ``"float32[:,:](float32[:,::1], int64)"``.

    Notes
    -----
    The machine code is kept in numba's cache: the first import on a machine costs seconds, each later one
    milliseconds, and a process forked afterwards nothing. Numbers are those of IEEE 754: no reordering of sums
    (``fastmath``), and a division by zero gives inf or nan as in numpy. The interpreter's lock is released, so that
    loops of two threads run side by side.
    """

    def decorate(function: F) -> F:
        made = _kept(function, signatures)
        if made is None:
            made = _for_types(numba.njit(**_OPTIONS)(function), signatures)
        return cast(F, made)

    return decorate


def places() -> Mapping[str, CodeCache]:
    """Of each loop imported so far, by module and name: where its code is kept, and whether it was there."""
    return dict(_places)


def load_all() -> Mapping[str, CodeCache]:
    """Import all loops there are, which compiles those that are not compiled yet; as `places`."""
    package = importlib.import_module("sedmd.reduce.loops")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return places()


def _kept(function: Callable[..., Any], signatures: Sequence[str]) -> Any:
    """The function with machine code that is kept; None if none can be kept, or used."""
    name = f"{function.__module__}.{function.__qualname__}"
    _places[name] = CodeCache(folder=None, loaded=False)
    try:
        made = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no directory that it may write
        return None
    folder = Path(made.stats.cache_path)
    kept = Kept(folder, function)
    with kept.alone():
        try:
            if not kept.whole():
                kept.remove()
            _for_types(made, signatures)
            if compiled_anew := bool(made.stats.cache_misses):
                kept.seal()
        except Exception:
            # A full disk, somebody else's files, code that is whole and yet of no use: the loop is compiled without
            # them. A fault of the loop itself is found by that, too.
            with suppress(OSError):
                kept.remove()
            return None
    _places[name] = CodeCache(folder=folder, loaded=not compiled_anew)
    return made


def _for_types(function: Any, signatures: Sequence[str]) -> Any:
    """Compile, or load, for these types and no others."""
    for signature in signatures:
        function.compile(signature)
    function.disable_compile()
    return function
