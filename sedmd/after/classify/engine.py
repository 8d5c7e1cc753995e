"""What every classifier promises, and how a foreign program is run: aside, in its own group, for a limited time."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sedmd.after.classify.matches import Match
from sedmd.core.errors import SedmError
from sedmd.reduce.numeric.containers import FloatArray, Spectrum

#: No file that a classifier writes may be larger, bytes: one that runs wild must not fill the disk.
MOST_BYTES = 200_000_000
_LOOK_S = 0.02
#: What a foreign program sees of our environment; there may be tokens in it that are none of its business.
_PASSED = frozenset({"PATH", "LANG", "TZ", "LD_LIBRARY_PATH"})
_PASSED_STEMS = ("LC_", "PGPLOT", "SNID", "OPENBLAS_")


class EngineFault(SedmError):
    """A classifier crashed, hung or wrote nonsense; costs that spectrum only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestTemplate:
    """The best template at the redshift of the match: wavelength as observed [Angstrom], flux in any unit."""

    wavelength: FloatArray
    flux: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an engine says about one spectrum.

    Attributes
    ----------
    matches : tuple of Match
        Over all types, best first; empty when nothing matches.
    z, z_error, age, age_error : float or None
        The engine's own medians over all its matches, where it has them.
    fractions : mapping of type to part of the matches, where the engine has them.
    curve : BestTemplate or None
        For the comparison plot.
    missing : tuple of str
        Types of supernovae of which the bank has no template, where that is known.
    """

    matches: tuple[Match, ...] = ()
    z: float | None = None
    z_error: float | None = None
    age: float | None = None
    age_error: float | None = None
    fractions: Mapping[str, float] = field(default_factory=dict)
    curve: BestTemplate | None = None
    missing: tuple[str, ...] = ()


class Classifier(Protocol):
    """A classifier.

    Attributes
    ----------
    name : str
        As in the configuration.
    metric : str
        What its scores are.
    """

    @property
    def name(self) -> str: ...

    @property
    def metric(self) -> str: ...

    def available(self) -> str:
        """Why it cannot be used, as a sentence with what to do; empty when it can."""

    def identity(self) -> tuple[str, ...]:
        """Version, templates and parameters: what its answer depends on besides the spectrum."""

    def classify(self, spectrum: Spectrum, folder: Path) -> Answer:
        """Classify; the engine may use the empty `folder` as it likes. Raises EngineFault."""


def write_table(path: Path, spectrum: Spectrum, low: float = 0.0, high: float = float("inf")) -> int:
    """Two columns for a classifier, without bins that are not finite; returns how many bins there are."""
    rows = [
        f"{wavelength:.2f} {flux:.6e}"
        for wavelength, flux in zip(spectrum.wavelength.tolist(), spectrum.flux.tolist(), strict=True)
        if low <= wavelength <= high and abs(flux) < float("inf")
    ]
    path.write_text("\n".join(rows) + "\n", encoding="ascii")
    return len(rows)


def run_limited(command: Sequence[str], folder: Path, *, timeout_s: float, log: Path) -> int:
    """Run a program in `folder`; all its child processes are ended with it. Returns its exit code.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Working directory, and its home: it finds no settings of a person there, and leaves none.
    timeout_s : float
    log : Path
        Gets what it prints.

    Raises
    ------
    EngineFault
        It cannot be started, or took too long.
    """
    home = str(folder)
    environment = {
        **{name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_STEMS)},
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "XDG_CACHE_HOME": home,
        "XDG_DATA_HOME": home,
        "TMPDIR": home,
        "MPLCONFIGDIR": home,
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with log.open("wb") as stream:
        try:
            process = subprocess.Popen(
                [*_leash(), *command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineFault(f"{command[0]} cannot be started: {error.strerror or error}") from error
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    until = time.monotonic() + timeout_s
    ended = False
    try:
        # observed without being reaped: while the leader is there, its group's number belongs to nobody else
        while not ended and time.monotonic() < until:
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            if not ended:
                time.sleep(_LOOK_S)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    if not ended:
        raise EngineFault(f"{Path(command[0]).name} did not end within {timeout_s:g} s and was stopped")
    return code


def _leash() -> list[str]:
    """What ends the program when we are killed outright and can no longer do so ourselves."""
    found = shutil.which("setpriv")
    return [found, "--pdeathsig", "KILL", "--"] if found else []


def last_words(log: Path, most: int = 160) -> str:
    """The last line that a program printed, printable and not too long; empty if none."""
    with contextlib.suppress(OSError):
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 4096))
            text = stream.read().decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines:
            return "".join(char if char.isprintable() else "?" for char in lines[-1])[:most]
    return ""
