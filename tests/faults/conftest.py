"""The counts that these tests found, printed at the end of the run whatever its verbosity."""

from __future__ import annotations

import pytest
from night.raw_night import SHAPE

import sedmd.run.ingest

NAME = "counts"


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def tell(record_property):
    """Keep a line with counts for the summary."""
    return lambda line: record_property(NAME, line)


def pytest_terminal_summary(terminalreporter):
    lines = [
        (report.nodeid.rpartition("/")[2], text)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, text in report.user_properties
        if name == NAME
    ]
    if lines:
        terminalreporter.section("faults survived")
        for test, text in sorted(lines):
            terminalreporter.write_line(f"{test}: {text}")
