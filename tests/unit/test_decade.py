"""What ten years cost: the table of the page is the one of the script, and its formula is what it says."""

from dataclasses import replace

import pytest
from benchmarks import decade


def test_the_page_has_the_table_of_the_script():
    page = decade.PAGE.read_text(encoding="utf-8")
    assert decade.with_table(page, decade.table(decade.STEPS)) == page, "run tests/benchmarks/decade.py --write"


def test_work_is_shared_until_the_chain_of_nights_or_planning_limits_it():
    steps = decade.STEPS
    alone = decade.hours(steps, 1)
    assert alone == pytest.approx(decade.NIGHTS * decade.night_s(steps) / 3600)
    assert decade.hours(steps, 2) == pytest.approx(alone / 2)
    assert decade.hours(steps, 10**6) == pytest.approx(decade.NIGHTS * decade.chain_s(steps) / 3600)
    free = {name: replace(step, seconds=0.0) for name, step in steps.items()}
    jobs = sum(step.jobs for step in steps.values())
    assert decade.hours(free, 1) == pytest.approx(decade.NIGHTS * jobs * decade.PLANNER_MS / 3.6e6)
