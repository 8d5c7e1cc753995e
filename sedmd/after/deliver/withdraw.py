"""What was sent taken back: the receiver is asked to delete it, and it is not sent again by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sedmd.after.deliver.backend import Backend
from sedmd.after.deliver.deliveries import SENT, WITHDRAWN, Deliveries, Delivery, sender
from sedmd.after.deliver.upload import newest_nights
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError

#: So many nights are searched for a name, the newest first, when none is given.
NIGHTS_SEARCHED = 30


def withdraw(
    settings: Settings, backend: Backend, name: str, *, night: str | None, clock: Callable[[], datetime]
) -> list[str]:
    """Take back the uploads of a spectrum; a sentence for each.

    Parameters
    ----------
    name : str
        Of the observation (``NAME``, ``NAME_obsN``), or of a target of which one observation was sent.

    Raises
    ------
    ConfigError
        Nothing of this name was sent, or several were.
    TryLater, Refused, Closed
        The receiver did not delete it; nothing is changed then.
    Locked
        Another process is uploading.
    """
    with sender(settings.paths.state, "upload"), Deliveries.open(settings.paths.state, clock=clock) as queue:
        nights = [night] if night else sorted(newest_nights(settings), reverse=True)[:NIGHTS_SEARCHED]
        found = [one for where in nights for one in queue.of_night(backend.name, where) if one.state == SENT]
        entries = []
        for one in _meant(found, name, backend.name):
            receipt = backend.withdraw(one.content, one.receipt)
            queue.put(
                one.service,
                one.night,
                one.product,
                one.content,
                WITHDRAWN,
                text=f"withdrawn from {backend.name}: {receipt}",
                receipt=one.receipt,
                reason=f"withdrawn ({receipt})",
            )
            entries.append(f"{one.night} {one.product}: withdrawn from {backend.name}: {receipt}")
    return entries


def _meant(found: list[Delivery], name: str, service: str) -> list[Delivery]:
    """The deliveries of the one observation that a name means, the newest night first."""
    exact = [one for one in found if one.product == name]
    alike = exact or [one for one in found if one.product.rpartition("_obs")[0] == name]
    if not alike:
        msg = f"nothing of the name {name!r} was sent to {service}; report_ztf.txt of a night lists what was"
        raise ConfigError(msg)
    several = sorted({(one.night, one.product) for one in alike})
    if len(several) > 1:
        listed = ", ".join(f"{product} of {night}" for night, product in several)
        raise ConfigError(f"{name!r} may mean {listed}; give the observation's name and --night")
    return alike
