"""Shared by the tests of whole nights: a configuration, a look at the products, a running service."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import sedmd
from sedmd.core.config import Settings, load
from sedmd.run.status import snapshot

#: What tells of the work, with its times, and is no product.
RECORDS = ("sedmd.log", "journal.jsonl", "night.txt", "report.txt", "report.json", "changes.json")
NOW = datetime(2019, 6, 13, 12, tzinfo=UTC)
TESTS = Path(__file__).parents[1]

CONFIG = """
[paths]
raw_root = "raw"
redux_root = "redux"
[watch]
scan_interval_s = 0.5
settle_s = 0.1
settle_timeout_s = 0.5
mode = "{mode}"
[night]
quiet_s = 0.4
[calibrations]
quiet_s = 0.2
[disk]
min_free_mb = 1
[jobs]
workers = 2
steps_module = "night.fake_steps"
[after]
every_s = 0
"""


def is_record(path: Path) -> bool:
    """A file that tells of the work, or the report being written."""
    return path.name in RECORDS or path.name.startswith((".night.", ".report."))


def configure(folder: Path, *, mode: str = "auto") -> Settings:
    """A raw root, a redux root and a configuration below `folder`."""
    (folder / "raw").mkdir(parents=True)
    (folder / "sedmd.toml").write_text(CONFIG.format(mode=mode))
    return load(folder / "sedmd.toml")


def products(settings: Settings) -> dict[str, str]:
    """Every product below the redux root with the digest of its content; records of the work apart."""
    root = settings.paths.redux_root
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not is_record(path) and not {".sedmd", "superseded"} & set(path.parts):
            with suppress(FileNotFoundError):  # what a service was just writing has its own name by now
                found[str(path.relative_to(root))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@contextmanager
def service(
    settings: Settings, *, module: str = "night.small", stderr: int | IO[str] = subprocess.PIPE, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A real daemon in a process of its own; for the small detector unless `module` is sedmd itself."""
    config = settings.paths.raw_root.parent / "sedmd.toml"
    path = os.pathsep.join([str(Path(sedmd.__file__).parents[1]), str(TESTS), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", module, "run", "--config", str(config)],
        env=os.environ | {"PYTHONPATH": path} | environment,
        stderr=stderr,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Send a signal and wait; the exit code and what was logged."""
    process.send_signal(number)
    _, log = process.communicate(timeout=60)
    return process.returncode, log


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], *, patience_s: float = 60) -> None:
    """Look every few hundredths of a second until `condition` holds."""
    until = time.monotonic() + patience_s
    while not condition():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            _, log = process.communicate()
            raise AssertionError(f"exit code {process.returncode}; the service said:\n{log}")
        time.sleep(0.05)


def night_is_done(settings: Settings, frames: int) -> bool:
    """All `frames` files are in the ledger, the night is closed and nothing is left to do."""
    if not (settings.paths.state / "ledger.sqlite").exists():
        return False
    try:
        state = snapshot(settings, night=None, now=datetime.now(UTC))
    except Exception as error:
        if "no frames" in str(error) or "to migrate it" in str(error):
            return False
        raise
    seen = sum(state.frames.values())
    return seen == frames and state.closed and state.idle
