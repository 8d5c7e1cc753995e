"""What the jobs of earlier nights tell a night: texts that they left in the ledger."""

from __future__ import annotations

from collections.abc import Callable

from sedmd.core.memory_figures import Told
from sedmd.ledger.ledger import Ledger
from sedmd.plan.calibrations import age_nights


def begun_with(ledger: Ledger, night: str, what: Told) -> str | None:
    """What the night's job was given, which stays for the night; None before it was done.

    It is the texts themselves that are kept: an earlier night that is reduced again meanwhile changes nothing here.
    """
    for job in ledger.jobs.done(night, (what.step,)):
        if isinstance(given := job.figures.get(what.given), str):
            return given
    return None


def told_by_earlier(
    ledger: Ledger,
    night: str,
    what: Told,
    *,
    since: str,
    most: int,
    refused: Callable[[str], bool],
    begins: Callable[[str], bool],
) -> str:
    """What the last nights from `since` on told: ``NIGHT AGE TEXT; NIGHT AGE TEXT``, the newest first.

    Parameters
    ----------
    since : str
        First night of the instrument as it is, and not too old.
    most : int
        So many nights, the newest that told something.
    refused, begins : as for `sedmd.run.target_positions.expected_place`

    Returns
    -------
    str; empty where no night told anything
    """
    found: list[str] = []
    if begins(night) or most == 0:
        return ""
    for other in ledger.jobs.nights_with(what.step, since=since, before=night):
        told = [job.figures.get(what.own) for job in ledger.jobs.done(other, (what.step,))]
        if told and isinstance(told[0], str) and not refused(other):
            found.append(f"{other} {age_nights(other, night)} {told[0]}")
        if len(found) == most or begins(other):
            break
    return "; ".join(found)
