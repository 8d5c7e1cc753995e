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
    heard_by : whose job is given it, and keeps `given`; the same step's where empty
    """

    step: str
    own: str
    given: str
    heard_by: str = ""

    @property
    def listener(self) -> str:
        """The step that is given what earlier nights know."""
        return self.heard_by or self.step


#: Of the flux calibration: the shape of the response by the night's own stars; the shapes that it was given.
OWN_SHAPE, GIVEN_SHAPES = "own shape", "given shapes"
SHAPES = Told("fluxcal", OWN_SHAPE, GIVEN_SHAPES)
#: Of the sky's light against the dome's: what the night saw; what earlier ones told its flat.
OWN_SKY, GIVEN_SKY = "own sky", "given sky"
SKY = Told("skyflat", OWN_SKY, GIVEN_SKY, heard_by="flat")

#: Of the flat: the bad pixels that the night's own dome showed; those that it was given.
OWN_PIXELS, GIVEN_PIXELS = "own bad pixels", "given bad pixels"
PIXELS = Told("flat", OWN_PIXELS, GIVEN_PIXELS)

#: Of the wavelengths: where the lines of the night's lamps lay; where those of earlier nights did, as its
#: traces were given them.
OWN_LINES, GIVEN_LINES = "own lines", "given lines"
LINES = Told("wavelength", OWN_LINES, GIVEN_LINES, heard_by="traces")

#: No line of a log and no page shows these.
UNSEEN = frozenset(
    {OWN_SHAPE, GIVEN_SHAPES, OWN_SKY, GIVEN_SKY, OWN_PIXELS, GIVEN_PIXELS, OWN_LINES, GIVEN_LINES},
)
