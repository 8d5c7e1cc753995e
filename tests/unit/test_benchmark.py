"""The figures of the benchmark: what is kept, what counts as a slowdown, what a pair of runs says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.clockwork import MAD_TO_SIGMA, clocked, middle
from benchmarks.figures import Figure, Run, aligned, compare, figure, read, report, told

KEPT = Path(__file__).parents[1] / "benchmarks" / "kept.json"


def run(*figures, yardstick_s=0.1):
    return Run(
        machine="a machine", yardstick_s=yardstick_s, when="now", commit="abc", night="none", figures=tuple(figures)
    )


def slower(before, after, **yardsticks):
    old = run(before, yardstick_s=yardsticks.get("old", 0.1))
    new = run(after, yardstick_s=yardsticks.get("new", 0.1))
    return [one.key for one in compare(old, new) if one.slower]


def test_the_median_and_the_scatter_of_runs():
    one = middle([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (one.value, one.scatter, one.count) == (3.0, MAD_TO_SIGMA * 1.0, 5)
    assert middle([7.0]).scatter == 0.0


def test_the_cost_of_a_call_is_processor_time_and_wall_time():
    spent = clocked(lambda: sum(range(300_000)))
    assert spent.wall_s > 0 and 0 < spent.cpu_s <= 2 * spent.wall_s + 0.02


def test_a_pair_is_the_median_of_the_ratios_run_by_run():
    # a machine that becomes twice as slow half way does not count
    one = figure("stages", "x", [1.0, 1.0, 2.0, 2.0], beside=("peer", [3.0, 3.0, 6.0, 6.0]))
    assert (one.ratio, one.ratio_scatter, one.peer, one.value) == (3.0, 0.0, "peer", 1.5)


@pytest.mark.parametrize(("factor", "expected"), [(1.0, []), (1.2, []), (1.3, ["paths: x"]), (0.5, [])])
def test_a_quarter_more_is_a_slowdown(factor, expected):
    before = Figure(group="paths", name="x", value=2.0)
    assert slower(before, replace(before, value=2.0 * factor)) == expected


def test_what_lies_within_the_noise_is_none():
    before = Figure(group="paths", name="x", value=2.0, scatter=0.2, runs=3)
    assert slower(before, replace(before, value=2.6)) == []
    assert slower(replace(before, scatter=0.01), replace(before, value=2.7, scatter=0.01)) == ["paths: x"]


def test_another_machine_is_put_on_the_same_scale():
    before = Figure(group="paths", name="x", value=2.0)
    assert slower(before, replace(before, value=4.0), old=0.1, new=0.2) == []
    assert slower(before, replace(before, value=2.0), old=0.2, new=0.1) == ["paths: x"]


def test_a_peer_in_the_same_run_counts_more_than_the_yardstick():
    before = Figure(group="stages", name="x", value=1.0, peer="peer", ratio=4.0, ratio_scatter=0.0)
    busy = replace(before, value=3.0, ratio=4.0)
    assert slower(before, busy) == []
    assert slower(before, replace(before, value=1.0, ratio=2.0)) == ["stages: x"]
    # another peer says nothing
    assert slower(before, replace(busy, peer="another")) == ["stages: x"]


def test_processor_time_counts_where_there_is_no_peer_but_a_floor():
    before = Figure(group="jobs", name="cube", value=1.0, cpu_s=1.0, peer="read", ratio=0.1, floor=True)
    assert slower(before, replace(before, value=9.0, ratio=0.01)) == []
    assert slower(before, replace(before, cpu_s=1.3, ratio=0.1)) == ["jobs: cube"]


def test_memory_counts_too():
    before = Figure(group="jobs", name="cube", value=1.0, peak_mb=400.0)
    assert slower(before, replace(before, peak_mb=600.0)) == ["jobs: cube, memory"]


def test_figures_of_one_run_only_and_of_another_unit_are_left_alone():
    one = Figure(group="jobs", name="cube", value=1.0)
    assert compare(run(one), run(replace(one, name="other"))) == []
    assert compare(run(one), run(replace(one, unit="ms", value=1000.0))) == []


def test_a_run_is_kept_and_read_again(tmp_path):
    kept = run(figure("stages", "x", [1.2, 1.2], beside=("peer", [2.4, 2.4]), cpu_s=1.0, note="a word", goal=1.1))
    kept.write(tmp_path / "kept.json")
    assert read(tmp_path / "kept.json") == kept
    text = report(kept)
    assert "MISSED" in text and "(peer)" in text and "STAGES" in text
    assert "SLOWER" in told(compare(kept, run(replace(kept.figures[0], ratio=0.5))), kept)
    assert told(compare(kept, kept), kept).startswith("Nothing is a quarter slower")


def test_a_result_that_is_not_the_peers_is_seen():
    assert "WRONG: of 7 hit pixels 2 differ" in report(
        run(Figure(group="stages", name="x", value=1.0, good=False, note="of 7 hit pixels 2 differ"))
    )


def test_columns_are_aligned():
    assert aligned([["a", "b"], ["long", "c"]]) == "a     b\nlong  c"


def test_the_kept_run_can_be_read():
    if KEPT.exists():
        kept = read(KEPT)
        assert kept.figures and kept.yardstick_s > 0
        assert len({one.key for one in kept.figures}) == len(kept.figures)
        assert json.loads(KEPT.read_text())["machine"] == kept.machine
