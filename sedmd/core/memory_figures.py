"""Names of figures that a job leaves for other nights in the ledger; programs read them, no person does."""

from __future__ import annotations

#: Of the flux calibration: the shape of the response by the night's own stars; the shapes that it was given.
OWN_SHAPE, GIVEN_SHAPES = "own shape", "given shapes"
#: No line of a log and no page shows these.
UNSEEN = frozenset({OWN_SHAPE, GIVEN_SHAPES})
