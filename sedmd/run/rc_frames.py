"""Frames of the rainbow camera on disk, and what earlier nights tell of that camera."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sedmd.core.config import Settings
from sedmd.core.nights import neighbour
from sedmd.ledger.ledger import Ledger
from sedmd.plan.guiding import time_of
from sedmd.products.star_table import TABLE, StarTableFault, open_stars
from sedmd.products.target_positions import guider_pair_of
from sedmd.raw.rawname import stem_of
from sedmd.reduce.guide.camera import SkyScale
from sedmd.reduce.target.place import FieldPosition, Place, learn_place
from sedmd.run.ingest import is_frame_name
from sedmd.run.target_positions import ENOUGH, MEMORY_DAYS

#: Spread in each axis of what was learned, before it is measured, and what nothing is known better than [arcsec].
LINK_SPREAD, LEAST_LINK = 0.5, 0.3
#: Fewer pairs of guider position and field position tell nothing; so many stars of a plate tell scale and turn.
LEAST_PAIRS, GOOD_PLATE = 3, 12
#: A file that was written to so lately may be half there; only frames so young by their name are asked [s].
COPIED_S, RECENT_S = 5.0, 7200.0


def rc_frames_of(settings: Settings, ledger: Ledger, night: str, *, now: datetime) -> dict[str, Path]:
    """Frames of a night by stem: those on disk, and those with which something was made, wherever they went since."""
    if not settings.guide.pattern:
        return {}
    root = settings.paths.raw_root
    found: dict[str, Path] = {}
    for job in ledger.jobs.done(night, ("guide",)):
        for role, stem in job.inputs:
            if role == "rc":
                found[stem] = root / stem[2:10] / f"{stem}.fits"
    for folder in (root / neighbour(night, -1), root / night):
        for name in _names(folder):
            # the name of a folder's entry is enough: there are some thousand of them in a night
            if is_frame_name(name, settings.guide.pattern) and not _is_young(folder / name, now):
                found[stem_of(name)] = folder / name
    return found


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  names are enough, and three times as fast
    except OSError:
        return []


def _is_young(path: Path, now: datetime) -> bool:
    when = time_of(stem_of(path))
    if when is not None and abs((now - when).total_seconds()) > RECENT_S:
        return False
    try:
        return 0.0 <= now.timestamp() - path.stat().st_mtime < COPIED_S
    except OSError:
        return True


def star_input(settings: Settings, ledger: Ledger, night: str) -> tuple[Path, str] | None:
    """The star table as an input of jobs, and its identity; None without one.

    One that is away for the moment is still that with which the night was begun.
    """
    if settings.guide.stars is None:
        return None
    path = settings.guide.stars / TABLE
    try:
        return path, open_stars(settings.guide.stars).ident
    except StarTableFault:
        used = [sum_ for job in ledger.jobs.done(night, ("guide",)) for role, sum_ in job.inputs if role == "stars"]
        return (path, used[0]) if used else None


def given_to(ledger: Ledger, night: str) -> dict[str, str] | None:
    """What the first jobs of a night were given, which stays for the night; None before that."""
    jobs = sorted(ledger.jobs.done(night, ("guide",)), key=lambda job: job.label)
    return {name: str(jobs[0].figures.get(f"given {name}") or "") for name in ("link", "sky")} if jobs else None


def learned_of_guider(
    ledger: Ledger, night: str, *, refused: Callable[[str], bool], begins: Callable[[str], bool]
) -> dict[str, str]:
    """Where in the field the guider's pixel is, and the camera's scale and turn, from earlier nights.

    Parameters
    ----------
    refused, begins : as for `sedmd.run.target_positions.expected_place`

    Returns
    -------
    dict
        ``link`` and ``sky`` as texts, empty where they are not known.
    """
    if begins(night):
        return {"link": "", "sky": ""}
    since = (datetime.strptime(night, "%Y%m%d") - timedelta(days=MEMORY_DAYS)).strftime("%Y%m%d")
    pairs: list[FieldPosition] = []
    skies: list[SkyScale] = []
    for other in ledger.jobs.nights_with("guide", since=since, before=night):
        if not refused(other):
            jobs = sorted(
                ledger.jobs.done(other, ("extract",)), key=lambda job: (str(job.figures.get("frame")), job.label)
            )
            pairs = [one for job in jobs if (one := guider_pair_of(job.figures, other)) is not None] + pairs
            plates = ledger.jobs.done(other, ("guide",)) if len(skies) < GOOD_PLATE else []
            skies += [SkyScale.of(str(job.figures["sky"])) for job in plates if _is_good(job.figures)]
        if begins(other) or len(pairs) >= ENOUGH:
            break
    link = learn_place(pairs, usual=LINK_SPREAD, least=LEAST_LINK)
    sky = ""
    if skies:
        scale, turn = (statistics.median(getattr(one, name) for one in skies) for name in ("scale_arcsec", "turn_deg"))
        sky = str(SkyScale(scale_arcsec=scale, turn_deg=turn))
    return {"link": link_text(link) if link.count >= LEAST_PAIRS else "", "sky": sky}


def _is_good(figures: Mapping[str, Any]) -> bool:
    return "sky" in figures and int(figures.get("stars") or 0) >= GOOD_PLATE


def link_text(link: Place) -> str:
    """The place to a hundredth of an arcsec, as `Place.of` reads it."""
    return f"{link.x_arcsec:+.2f} {link.y_arcsec:+.2f} +-{link.spread_arcsec:.2f}, {link.source}"
