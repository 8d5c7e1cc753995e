"""What the observer has drawn over and beside the pictures, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field

from sedmview.beside import Beside, BesideCurve


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
    beside : Beside
        What lies in the night's folder on the open target.
    beside_shown : int
        Which of its curves is laid over the spectrum, from 1; 0 for none.
    finder_large : bool
        The finder chart lies over the pictures.
    """

    smoothing: int = 1
    velocity_km_s: float = 0.0
    contours: bool = False
    beside: Beside = field(default_factory=Beside)
    beside_shown: int = 0
    finder_large: bool = False

    @property
    def over(self) -> BesideCurve | None:
        """The curve that is laid over the spectrum."""
        return self.beside.curves[self.beside_shown - 1] if 0 < self.beside_shown <= len(self.beside.curves) else None
