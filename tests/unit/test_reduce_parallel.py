"""Side by side: the results of a plain loop, its exceptions, and no thread where one processor is all there is."""

import os
import threading

import numpy as np
import pytest

from sedmd.reduce.numeric.parallel import piece_by_piece, side_by_side


@pytest.fixture(params=[1, 2, 5])
def processors(request, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(request.param)))
    return request.param


def test_results_are_those_of_a_loop_in_its_order(processors):
    assert side_by_side(lambda k: k * k, range(20)) == [k * k for k in range(20)]
    assert side_by_side(str, iter(())) == []


def test_as_many_run_together_as_there_are_processors_and_items(processors):
    together = min(processors, 3)
    barrier = threading.Barrier(together)

    def meet(k):
        if k < together:  # would break if fewer ran at a time
            barrier.wait(10)
        return threading.current_thread()

    used = side_by_side(meet, range(3))
    assert len(set(used)) == together
    assert (used[0] is threading.current_thread()) == (together == 1)


def test_one_item_needs_no_thread(processors):
    assert side_by_side(lambda _: threading.current_thread(), [0]) == [threading.current_thread()]


def test_of_several_exceptions_the_first_item_s_is_raised(processors):
    late = threading.Event()

    def fail(k):
        if k == 1 and processors > 1:
            late.wait(10)  # its exception comes after that of item 2
        if k == 2:
            late.set()
        if k in (1, 2):
            raise ValueError(f"item {k}")

    with pytest.raises(ValueError, match="item 1"):
        side_by_side(fail, range(4))


def test_numpy_s_settings_hold_in_the_threads_too(processors):
    def divide(k):
        return np.ones(1) / np.zeros(1)

    with np.errstate(divide="ignore"):
        assert np.isinf(side_by_side(divide, range(3))).all()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        side_by_side(divide, range(3))


@pytest.mark.parametrize("n", [0, 1, 63, 130, 1821])
def test_pieces_cover_everything_once(processors, n):
    times, used = np.zeros(n, int), set()

    def count(some):
        times[some] += 1
        used.add((some.start, some.stop))

    piece_by_piece(count, n)
    assert (times == 1).all()
    assert len(used) == max(1, min(processors, n // 64))
