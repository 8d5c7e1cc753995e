"""What several files of unit tests need."""

import os
import shutil
import subprocess

import pytest


@pytest.fixture(scope="session")
def analyze():
    """A function that runs systemd-analyze; without it a test is skipped, but never on the machine of the checks."""
    program = shutil.which("systemd-analyze")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-analyze is missing: apt-get install systemd")
        pytest.skip("no systemd-analyze on this machine")

    def run(*words):
        return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)

    return run
