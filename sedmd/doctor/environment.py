"""What the checks ask the machine: one place, so that a test can answer instead."""

from __future__ import annotations

import ctypes
import grp
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from sedmd.host.mounts import read_mounts

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """``struct timex`` of Linux: as far as it is read, and room for the rest."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    ]


def kernel_clock() -> tuple[bool, float] | None:
    """Whether the kernel holds its clock for synchronised, and the largest error in seconds; None if it does not say.

    Reads through ``adjtimex(2)`` and sets nothing.
    """
    try:
        state = _Timex()
        code = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return None
    if code < 0:
        return None
    return code != _TIME_ERROR and not state.status & _STA_UNSYNC, state.maxerror / 1e6


def requirements() -> Sequence[str]:
    """What the installed sedmd requires, ``Requires-Python`` first as ``python>=...``.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If it runs from a checkout without being installed.
    """
    about = metadata.metadata("sedmd")
    python = about["Requires-Python"]
    return [*([f"python{python}"] if python else []), *(metadata.requires("sedmd") or [])]


def version_of(name: str) -> str:
    """Version of an installed distribution; of the interpreter for "python"."""
    return sys.version.split()[0] if name == "python" else metadata.version(name)


def read(path: Path) -> str:
    """Text of a small file; empty if it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """Outcome of loading the compiled loops.

    Attributes
    ----------
    folders : tuple of Path or None
        Of each loop, where its machine code is kept; None if it cannot be.
    compiled_now : int
        So many were compiled just now.
    seconds : float
    fault : str
        Why they cannot be compiled; empty when they can.
    """

    folders: tuple[Path | None, ...] = ()
    compiled_now: int = 0
    seconds: float = 0.0
    fault: str = ""


_LOAD = """
import json
from sedmd.reduce.numeric.compiled import load_all
print(json.dumps([[place.folder and str(place.folder), place.loaded] for place in load_all().values()]))
"""


def loops() -> Loops:
    """Load all compiled loops, in a process of its own: what is broken there must not end this one."""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _LOAD], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Loops(fault=f"{last} (exit status {done.returncode})")
    found = json.loads(done.stdout)
    return Loops(
        folders=tuple(Path(folder) if folder else None for folder, _ in found),
        compiled_now=sum(not loaded for _, loaded in found),
        seconds=time.monotonic() - begun,
    )


def group_number(name: str) -> int | None:
    """Number of a group; None if there is none of this name."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The machine.

    Attributes
    ----------
    proc : Path
        ``/proc``.
    unit, fstab : Path
        The unit file as installed (drop-ins lie beside it in ``<name>.d``), and the table of file systems.
    free_limit_bytes : int
        With less free space, no new job is begun.
    worker_bytes : int
        What a worker may need; 1.2 GB was the most of any in a simulated night.
    patience_s : float
        Longer than this no check may take; what hangs becomes an error.
    """

    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    user_id: Callable[[], int] = os.geteuid
    group: Callable[[str], int | None] = group_number
    groups: Callable[[], set[int]] = field(default=lambda: {os.getegid(), *os.getgroups()})
    requirements: Callable[[], Sequence[str]] = requirements
    version_of: Callable[[str], str] = version_of
    mounts: Callable[[], str] = read_mounts
    free_bytes: Callable[[Path], int] = field(default=lambda path: shutil.disk_usage(path).free)
    may: Callable[[Path, int], bool] = os.access
    kernel_clock: Callable[[], tuple[bool, float] | None] = kernel_clock
    loops: Callable[[], Loops] = loops
    open_files_limit: Callable[[], int] = field(default=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    proc: Path = Path("/proc")
    unit: Path = Path("/etc/systemd/system/sedmd.service")
    fstab: Path = Path("/etc/fstab")
    free_limit_bytes: int = 5 * 10**9
    worker_bytes: int = 2 * 10**9
    patience_s: float = 15.0
