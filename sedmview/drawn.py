"""What the observer has drawn over and beside the pictures, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Drawn:
    """How the pictures are looked at; no product depends on it.

    Attributes
    ----------
    smoothing : int
        Bins of the running mean of the spectrum; 1 for none.
    velocity_km_s : float
        Expansion of what the lines of a supernova form in.
    contours : bool
        Lines of equal light over the field.
    """

    smoothing: int = 1
    velocity_km_s: float = 0.0
    contours: bool = False
