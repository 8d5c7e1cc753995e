"""A plugin of pytest: coverage notes each line together with the test that runs through it, fixtures included."""

import coverage
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Tell coverage which test begins."""
    coverage.Coverage.current().switch_context(item.nodeid)
    yield
    coverage.Coverage.current().switch_context("")
