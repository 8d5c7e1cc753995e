"""Loops over pixels and samples, compiled by numba: the one place that says how.

Only what a profile showed to be expensive is compiled; the modules of `sedmd.reduce.loops` hold the loops, and nothing
else is in them, so that they can be read, and tested, as plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable)


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
        options = {"nogil": True, "error_model": "numpy"}
        try:
            made = numba.njit(list(signatures), cache=True, **options)(function)
        except RuntimeError:  # no directory for the cache can be written: compile it in each process
            made = numba.njit(list(signatures), **options)(function)
        return cast(F, made)

    return decorate
