"""Target position in the field, from the ledger's earlier nights: see `sedmd.reduce.target.place`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sedmd.core.config import Settings
from sedmd.ledger.ledger import Ledger
from sedmd.products.target_positions import EXPECTED, field_position_of
from sedmd.reduce.target.place import FieldPosition, Place, learn_place

#: Spread, in each axis, about a place that an operator gives without saying how well he knows it [arcsec].
GIVEN_SPREAD = 1.5
#: Older nights are not asked: the camera stays as it is for months, not for years.
MEMORY_DAYS = 90
#: So many positions tell the mean and whether it jumped; more would only take time.
ENOUGH = 60


def expected_place(
    settings: Settings, ledger: Ledger, night: str, *, refused: Callable[[str], bool], begins: Callable[[str], bool]
) -> Place:
    """Where targets of a night are expected before any of its frames is read.

    Parameters
    ----------
    refused : callable
        A night with a geometry change that was not accepted: not used.
    begins : callable
        A night with which another geometry was accepted: what is older tells of another instrument.

    Notes
    -----
    Earlier nights only, so that a reprocessing does not know the future. An entry of `instrument.field_centres` says
    the target position; nothing is learned then.
    """
    if settings.instrument.field_centre(night) is not None:
        spread = settings.extraction.pointing_arcsec
        return Place(spread_arcsec=GIVEN_SPREAD if spread is None else spread, source="settings")
    if begins(night):
        return Place()
    since = (datetime.strptime(night, "%Y%m%d") - timedelta(days=MEMORY_DAYS)).strftime("%Y%m%d")
    positions: list[FieldPosition] = []
    for other in ledger.jobs.nights_with("extract", since=since, before=night):
        if not refused(other):
            positions = field_positions_of(ledger, other) + positions
        if begins(other) or len(positions) >= ENOUGH:
            break
    return learn_place(positions)


def field_positions_of(ledger: Ledger, night: str) -> list[FieldPosition]:
    """What the extractions of a night tell, in the order of the exposures."""
    found = sorted(ledger.jobs.done(night, ("extract",)), key=lambda job: (str(job.figures.get("frame")), job.label))
    return [one for job in found if (one := field_position_of(job.figures, night)) is not None]


def place_begun_with(ledger: Ledger, night: str) -> Place | None:
    """Where targets were expected when the first of a night's cubes was made; None before that.

    A night keeps the position that it was begun with, also when an earlier night is reduced again meanwhile.
    """
    for job in sorted(ledger.jobs.done(night, ("cube",)), key=lambda job: job.label):
        if isinstance(given := job.figures.get(EXPECTED), str):
            return Place.of(given)
    return None
