"""What earlier nights tell a night of the shape of the response: see `sedmd.reduce.flux.shapes`."""

from __future__ import annotations

from collections.abc import Callable

from sedmd.core.memory_figures import GIVEN_SHAPES, OWN_SHAPE
from sedmd.ledger.ledger import Ledger
from sedmd.plan.calibrations import age_nights


def shapes_begun_with(ledger: Ledger, night: str) -> str | None:
    """What the night's flux calibration was made with, which stays for the night; None before that.

    It is the shapes themselves that are kept: an earlier night that is reduced again meanwhile changes nothing here.
    """
    for job in ledger.jobs.done(night, ("fluxcal",)):
        if isinstance(given := job.figures.get(GIVEN_SHAPES), str):
            return given
    return None


def earlier_shapes(
    ledger: Ledger, night: str, *, since: str, most: int, refused: Callable[[str], bool], begins: Callable[[str], bool]
) -> str:
    """Shapes of the last nights from `since` on, as `sedmd.reduce.flux.shapes.shapes_in` reads them; empty without any.

    Parameters
    ----------
    since : str
        First night of the instrument as it is, and not too old.
    most : int
        So many nights, the newest.
    refused, begins : as for `sedmd.run.target_positions.expected_place`
    """
    found: list[str] = []
    if begins(night) or most == 0:
        return ""
    for other in ledger.jobs.nights_with("fluxcal", since=since, before=night):
        told = [job.figures.get(OWN_SHAPE) for job in ledger.jobs.done(other, ("fluxcal",))]
        if told and isinstance(told[0], str) and not refused(other):
            found.append(f"{other} {age_nights(other, night)} {told[0]}")
        if len(found) == most or begins(other):
            break
    return "; ".join(found)
