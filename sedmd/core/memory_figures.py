"""Names of figures that a job leaves for other nights in the ledger; programs read them, no person does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Told:
    """What the once-per-night job of a step tells later nights, as a text without ``;``.

    Attributes
    ----------
    step : whose job tells it
    own : name of the figure that holds what the night itself measured
    given : name of the figure that holds what earlier nights told it, so that it goes on with that
    """

    step: str
    own: str
    given: str


#: Of the flux calibration: the shape of the response by the night's own stars; the shapes that it was given.
OWN_SHAPE, GIVEN_SHAPES = "own shape", "given shapes"
SHAPES = Told("fluxcal", OWN_SHAPE, GIVEN_SHAPES)

#: No line of a log and no page shows these.
UNSEEN = frozenset({OWN_SHAPE, GIVEN_SHAPES})
