"""A table of steps that is quick and honest: each product tells what went into it, so that nights can be compared.

A product holds the step's name and, for each input role, a digest of its content; two runs agree on every byte if and
only if they did the same work on the same input.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from sedmd.core.errors import CalibrationFault, FrameFault, NeedsObserver
from sedmd.core.job import Job, Result
from sedmd.host.files import write_bytes_atomic


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _make(job: Job) -> Result:
    behave(job)
    lines = [f"{job.step} {job.label}"]
    for role in sorted(job.inputs):
        lines += [f"{role} {path.name} {_digest(path)}" for path in job.inputs[role]]
    lines += [f"corrected {stem} {cards}" for stem, cards in sorted(job.options.get("mends", {}).items())]
    for role, path in job.outputs.items():
        write_bytes_atomic("\n".join([role, *lines, ""]).encode(), path)
    figures = {"inputs": len(lines) - 1, "rms_px": 0.0123}
    if job.step == "traces" and (off := _off_the_dome(job)):
        figures["off the dome"] = off
    return Result(figures=figures)


def _off_the_dome(job: Job) -> str:
    """Lamps on the other side of FAKE_TOUCHED than the dome: a raw frame's name, from which on the geometry is another.

    A figure of the real step, which measures it.
    """
    touched = os.environ.get("FAKE_TOUCHED", "")
    if not touched:
        return ""
    later = {}
    for role, (path,) in job.inputs.items():
        raw = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("raw ")]
        later[role] = min(raw) >= touched
    return ", ".join(f"{role} 6.1 px" for role in sorted(later) if later[role] is not later["dome"])


def behave(job: Job) -> None:
    """Misbehave as the target's name asks: the names of the targets are the test's script."""
    label = job.label
    if job.step == "cube" and "FaultyCube" in label:
        raise FrameFault(f"{label}: no trace is illuminated; expected sky light. Was the shutter open?")
    if job.step == "extract" and "EmptyField" in label:
        raise NeedsObserver("no object stands out")
    if job.step == "extract" and "Crash" in label:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.step == "extract" and "Bug" in label:
        raise ZeroDivisionError("division by zero")
    if job.step == "lamp" and "Cd" in label and os.environ.get("FAKE_BAD_CD"):
        raise CalibrationFault("Cd: 0 lines found, at least 3 expected")
    time.sleep(float(os.environ.get("FAKE_STEP_SECONDS", "0")))


NAMES = ("bias", "lamp", "traces", "wavelength", "flat", "cube", "extract", "skyflat", "fluxcal", "calibrate", "page")
STEPS = dict.fromkeys(NAMES, _make)
STEP_VERSIONS = dict.fromkeys(NAMES, "1")
