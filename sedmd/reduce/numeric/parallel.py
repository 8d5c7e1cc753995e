"""Independent pieces of one job side by side in threads: compiled loops and numpy let each other run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def side_by_side(function: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """The function of each item, in their order, on as many processors as this process may use.

    Parameters
    ----------
    function : callable
        Must change nothing that another call reads.
    items : iterable

    Returns
    -------
    list

    Raises
    ------
    Exception
        What the function raises; of several, that of the earliest item, as in a plain loop. Calls that run already
        are waited for, others are not begun.

    Notes
    -----
    Threads, not processes: nothing is copied, and who ends the job's process ends them too. With one processor or one
    item there is no thread at all.
    """
    todo = list(items)
    threads = min(len(todo), processors())
    if threads <= 1:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(threads) as pool:
        # Settings such as numpy's errstate belong to the caller's context, which a new thread does not have.
        return list(pool.map(lambda pair: pair[0].run(function, pair[1]), [(copy_context(), item) for item in todo]))


def piece_by_piece(function: Callable[[slice], object], n: int, *, least: int = 64) -> None:
    """Call the function for slices that together cover ``range(n)``, one a processor.

    Parameters
    ----------
    function : callable
        Writes its results in place, each slice where no other does.
    n : int
    least : int
        Fewest elements worth a thread of their own.
    """
    pieces = max(1, min(processors(), n // least))
    edges = [n * k // pieces for k in range(pieces + 1)]
    side_by_side(function, [slice(first, last) for first, last in pairwise(edges)])


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
