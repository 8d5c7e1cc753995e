"""Reading the tables of this package."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray


def rows_of(name: str) -> list[list[str]]:
    """Words of each line of a text table, without comments and blank lines."""
    text = (resources.files(__package__) / name).read_text(encoding="ascii")
    return [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def columns_of(name: str) -> tuple[NDArray[np.float64], ...]:
    """Columns of a text table of numbers, read-only."""
    return tuple(frozen(column) for column in zip(*rows_of(name), strict=True))


def frozen(values: object) -> NDArray[np.float64]:
    """A float64 array that nobody can change: the tables are cached and shared."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array
