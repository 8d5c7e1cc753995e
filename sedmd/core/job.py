"""The unit of work that travels from the planner to a worker process and back: plain values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One step on one set of files.

    Attributes
    ----------
    step : str
        Name of the recipe step, a key of `sedmd.steps.STEPS`.
    night : str
        UT night, ``YYYYMMDD``.
    label : str
        What an operator reads in the log: a file stem or a target name.
    inputs : mapping of role to files
        Roles as in the recipe; a role that may be absent is then missing from the mapping.
    outputs : mapping of role to file
        Final paths; the step writes each of them atomically or not at all.
    options : mapping
        Settings of the step, JSON-serialisable; part of the job's identity.
    """

    step: str
    night: str
    label: str
    inputs: Mapping[str, tuple[Path, ...]]
    outputs: Mapping[str, Path]
    options: Mapping[str, Any] = field(default_factory=dict)

    def one(self, role: str) -> Path:
        """The single input file of `role`; KeyError or ValueError if there is none or several."""
        (path,) = self.inputs[role]
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a step tells its caller: the figures worth a log line, and warnings in full sentences."""

    figures: Mapping[str, float | int | str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A file that a job made: name in the night's directory, SHA-256 of its bytes, size in bytes, mtime in ns."""

    role: str
    path: Path
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended.

    Attributes
    ----------
    state : str
        "done", "quarantined", "awaiting observer", "failed", or "transient": trying again may help.
    reason : str
        One line for an operator; empty when done.
    detail : str
        Traceback of an unexpected error.
    no_room : bool
        The disk was full.
    free_bytes : int or None
        Room where the products go at that moment.
    """

    state: str
    reason: str = ""
    detail: str = ""
    figures: Mapping[str, float | int | str | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    products: tuple[Product, ...] = ()
    seconds: float = 0.0
    no_room: bool = False
    free_bytes: int | None = None
