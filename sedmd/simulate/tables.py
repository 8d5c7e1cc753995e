"""Read the simulator's own small tables (``tables/*.dat``, comma-separated); each states its source in its head."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from sedmd.core.errors import SedmError


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxStandard:
    """A flux standard: its name as after ``STD-``, its table, J2000 position and V magnitude."""

    name: str
    file: str
    ra: str
    dec: str
    v: float


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of ``tables/<name>`` as dictionaries; lines that begin with ``#`` are its source statement."""
    path = files(__package__) / "tables" / name
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines))


@cache
def columns(name: str) -> dict[str, np.ndarray]:
    """Numeric columns of ``tables/<name>`` as read-only float arrays."""
    rows = read_table(name)
    out: dict[str, np.ndarray] = {}
    for key in rows[0]:
        try:
            values = np.array([float(row[key]) for row in rows])
        except ValueError:
            continue
        values.setflags(write=False)
        out[key] = values
    return out


@cache
def lamp_lines(lamp: str, strengths: str = "pen") -> tuple[np.ndarray, np.ndarray]:
    """Air wavelengths [A] and relative photon rates of the lines of one lamp (``Hg``, ``Cd`` or ``Xe``).

    `strengths` is "pen", a pen-ray lamp as its maker and other instruments have it, or "2013", the lamps of the SED
    Machine itself as measured then.
    """
    rows = [row for row in read_table("lamps.dat") if row["lamp"] == lamp]
    if not rows:
        raise SedmError(f"unknown lamp {lamp!r}; the simulator has Hg, Cd and Xe")
    if strengths not in ("pen", "2013"):
        raise SedmError(f"strengths of lamp lines are pen or 2013, got {strengths!r}")
    column = "in_2013" if strengths == "2013" else "photons"
    rate = np.array([float(row[column] or row["photons"]) for row in rows])
    return np.array([float(row["wavelength"]) for row in rows])[rate > 0.0], rate[rate > 0.0]


@cache
def airglow_lines() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Component name, air wavelength [A] and zenith brightness [rayleigh] of every night-sky line."""
    rows = read_table("airglow.dat")
    return (
        np.array([row["component"] for row in rows]),
        np.array([float(row["wavelength"]) for row in rows]),
        np.array([float(row["rayleigh"]) for row in rows]),
    )


@cache
def standards() -> dict[str, FluxStandard]:
    """Every flux standard the simulator knows, by name."""

    def one(row: dict[str, Any]) -> FluxStandard:
        return FluxStandard(name=row["name"], file=row["file"], ra=row["ra"], dec=row["dec"], v=float(row["v"]))

    return {row["name"]: one(row) for row in read_table("standards.dat")}
