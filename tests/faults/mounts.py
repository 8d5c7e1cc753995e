"""Small file systems in memory, really mounted; where CI runs, that must work."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _run(*command: str) -> str:
    """Run as root; what went wrong."""
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    try:
        done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return done.stderr if done.returncode else ""


def mount(place: Path, *, megabytes: float = 16) -> None:
    """Mount a file system of this size; skips the test where that is not allowed, but fails it in CI."""
    place.mkdir(parents=True, exist_ok=True)
    wrong = _run("mount", "-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k,mode=1777", "tmpfs", str(place))
    if wrong:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(f"no small file system could be mounted: {wrong.strip()}")


def unmount(place: Path) -> None:
    """Unmount; what is open there stays open, as with a network file system that goes away."""
    wrong = _run("umount", "--lazy", str(place))
    assert not wrong, wrong


@contextmanager
def mounted(place: Path, *, megabytes: float = 16) -> Iterator[Path]:
    """A small file system for the length of a block."""
    mount(place, megabytes=megabytes)
    try:
        yield place
    finally:
        while os.path.ismount(place):
            unmount(place)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Take all room of a file system but `leave` bytes; remove the file to give it back."""
    path = folder / "filler"
    status = os.statvfs(folder)
    size = status.f_bavail * status.f_frsize - leave
    with path.open("ab", buffering=0) as file:
        try:
            while size > 0:
                size -= file.write(bytes(min(65536, size)))
        except OSError:
            pass  # full, as was wanted
    return path
