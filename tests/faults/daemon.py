"""A real service in a process of its own, under the eyes of a test: what it logs, and what it tells systemd."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from night.helpers import TESTS, night_is_done

import sedmd
from sedmd.core.config import Settings, load

CONFIG = """
[paths]
raw_root = "{raw}"
redux_root = "{redux}"
{state}
[watch]
scan_interval_s = {scan_s}
archive_interval_s = {archive_s}
settle_s = {settle_s}
settle_timeout_s = {settle_timeout_s}
mode = "{mode}"
[night]
quiet_s = {quiet_s}
[calibrations]
quiet_s = 0.2
[disk]
min_free_mb = {min_free_mb}
[jobs]
workers = 2
steps_module = "{steps}"
timeout_s = {timeout_s}
memory_limit_mb = {memory_mb}
retry_after_s = {retry_after_s}
drain_timeout_s = 20
[after]
every_s = {after_s}
"""
DEFAULTS = {
    "raw": "raw",
    "redux": "redux",
    "state": "",
    "scan_s": 0.5,
    "archive_s": 600.0,
    "settle_s": 0.1,
    "settle_timeout_s": 0.5,
    "mode": "auto",
    "quiet_s": 0.4,
    "after_s": 0,
    "min_free_mb": 1,
    "steps": "night.fake_steps",
    "timeout_s": 60.0,
    "memory_mb": 0,
    "retry_after_s": [0.2] * 12,
}


def configure(folder: Path, **changes: object) -> Settings:
    """A raw root, a redux root and a configuration below `folder`."""
    values = DEFAULTS | changes
    (folder / str(values["raw"])).mkdir(parents=True, exist_ok=True)
    (folder / "sedmd.toml").write_text(CONFIG.format(**values))
    return load(folder / "sedmd.toml")


class Daemon:
    """A running service.

    Attributes
    ----------
    process : subprocess.Popen
    log : Path
        What it writes to standard error.
    heard : list of (float, str)
        Messages to systemd, with the monotonic time at which they came.
    """

    def __init__(self, folder: Path, *, module: str, environment: dict[str, str]) -> None:
        self.log = folder / f"daemon-{secrets.token_hex(4)}.log"
        self.heard: list[tuple[float, str]] = []
        address = f"sedmd-test-{secrets.token_hex(8)}"
        self._receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.bind("\0" + address)
        self._receiver.settimeout(0.2)
        self._open = True
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        path = os.pathsep.join([str(Path(sedmd.__file__).parents[1]), str(TESTS)])
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "run", "--config", str(folder / "sedmd.toml")],
                env=os.environ | {"PYTHONPATH": path, "NOTIFY_SOCKET": f"@{address}"} | environment,
                stderr=stream,
                cwd=folder,
            )
        self.begun = time.monotonic()

    def _listen(self) -> None:
        while self._open:
            try:
                text = self._receiver.recv(8192).decode()
            except TimeoutError:
                continue
            except OSError:
                return
            self.heard.append((time.monotonic(), text))

    @property
    def ready(self) -> bool:
        return any("READY=1" in text for _, text in list(self.heard))

    def said(self, text: str) -> int:
        """How often a text stands in the log."""
        return self.log.read_text(errors="replace").count(text)

    def tracebacks(self) -> list[str]:
        """Faults of the program in the log; what the fork server says when its master was killed is none."""
        found = self.log.read_text(errors="replace").split("Traceback (most recent call last):")[1:]
        return [text[:3000] for text in found if "multiprocessing/forkserver.py" not in text]

    def pings(self) -> list[float]:
        """When it pinged systemd's watchdog, monotonic seconds."""
        return [when for when, text in list(self.heard) if "WATCHDOG=1" in text]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(120)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._open = False
        self._receiver.close()
        self._listener.join()


@contextmanager
def running(settings: Settings, *, module: str = "night.small", **environment: str) -> Iterator[Daemon]:
    """A daemon that is killed, if it still lives, at the end of the block."""
    folder = Path(settings.origins["paths.raw_root"]).parent
    daemon = Daemon(folder, module=module, environment=environment)
    try:
        yield daemon
    finally:
        daemon.close()


def wait_for(condition: Callable[[], bool], daemon: Daemon, *, patience_s: float = 90) -> float:
    """Look every few hundredths of a second until `condition` holds; how long that took, seconds."""
    begun = time.monotonic()
    while not condition():
        code = daemon.process.poll()
        if code is not None or time.monotonic() > begun + patience_s:
            text = daemon.log.read_text(errors="replace")
            raise AssertionError(f"exit code {code} after {time.monotonic() - begun:.0f} s; it said:\n{text[-6000:]}")
        time.sleep(0.02)
    return time.monotonic() - begun


def wait_until_done(settings: Settings, files: int, daemon: Daemon, *, patience_s: float = 180) -> float:
    """Until the newest night is closed, nothing is left to do and `files` raw files are in the ledger."""
    return wait_for(lambda: night_is_done(settings, files), daemon, patience_s=patience_s)


def workers_of(pid: int) -> list[int]:
    """Processes of the jobs that a service has at work: grandchildren, which its fork server made."""
    return [worker for server in _children(pid) for worker in _children(server)]


def family_of(pid: int) -> list[int]:
    """A service and every process below it."""
    return [pid, *(one for child in _children(pid) for one in family_of(child))]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found
