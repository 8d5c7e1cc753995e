"""Visits to targets: single exposures and A/B pairs. Pure functions of the frames.

A target label always ends in ``[A]`` or ``[B]``: since July 2018 every exposure is a single that carries
``[A]``. What is meant tells the card ABPAIR, and where it is absent (early frames of the years of pairs, files whose
header was lost) the token, for as long as pairs were taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sedmd.core.target_names import product_name, product_names
from sedmd.raw.epochs import PAIRS_UNTIL
from sedmd.raw.frame_order import by_time
from sedmd.raw.frames import Frame, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One visit to a target: a single exposure, an A/B pair, or one exposure of a pair without the other.

    Attributes
    ----------
    name : str
        The target as its header names it.
    safe : str
        The target as file names carry it.
    number : int
        Counts the visits to this target in the night, from 1.
    frames : tuple of one or two Frame
        A before B.
    standard : bool
        A standard star, tabulated or not.
    star : str
        Key of the tabulated standard star that calibrates the night; empty for everything else.
    half : str
        "A" or "B" if this is that exposure of a pair, whose other is not there; empty for a pair and for a single.
    awaits_partner : bool
        An [A] whose [B] may still come.
    """

    name: str
    safe: str
    number: int
    frames: tuple[Frame, ...]
    standard: bool = False
    star: str = ""
    half: str = ""
    awaits_partner: bool = False

    @property
    def pair(self) -> bool:
        return len(self.frames) == 2

    @property
    def names(self) -> tuple[str, ...]:
        """Names by which an operator may mean it."""
        return (self.product, self.name, self.safe, *(frame.stem for frame in self.frames))

    @property
    def contradiction(self) -> str:
        """What does not fit together between its names and its place; empty where all does."""
        return next((frame.contradiction for frame in self.frames if frame.contradiction), "")

    @property
    def name_doubt(self) -> str:
        """What contradicts in its names with nothing to tell which is right; empty where all is well."""
        return next((frame.contradiction for frame in self.frames if frame.name_doubtful), "")

    @property
    def product(self) -> str:
        return product_name(self.safe, self.number, pair=self.pair)


def observations(frames: Iterable[Frame]) -> list[Visit]:
    """The visits of a night, numbered per target in time order.

    An [A] that is half of a pair is joined by the next [B] of the same target; a new [A] gives up the one before it.
    Singles and exposures of standard stars stand alone.

    Notes
    -----
    An [A] of the years of pairs without the card may be a single. It waits like a half, but is called one only in a
    night that has a [B].
    """
    on_sky = [frame for frame in by_time(frames) if frame.kind.on_sky]
    safe = product_names(frame.name for frame in on_sky)
    pairs_taken = any(frame.nod == "B" and half_by_label(frame) for frame in on_sky)
    visits: list[Visit] = []
    for name in dict.fromkeys(frame.name for frame in on_sky):
        mine = [frame for frame in on_sky if frame.name == name]
        for number, (group, awaits) in enumerate(_visits(mine), start=1):
            first = group[0]
            known = len(group) == 1 and half_by_label(first) and (first.pair is not None or pairs_taken)
            visits.append(
                Visit(
                    name=name,
                    safe=safe[name],
                    number=number,
                    frames=tuple(group),
                    standard=first.kind is Kind.STANDARD,
                    star=first.star,
                    half=first.nod if known else "",
                    awaits_partner=awaits,
                )
            )
    return visits


def half_by_label(frame: Frame) -> bool:
    """Whether an exposure was taken as half of an A/B pair, as far as its own cards tell; standard stars never are."""
    if frame.kind is Kind.STANDARD or not frame.nod:
        return False
    return frame.start.date() <= PAIRS_UNTIL if frame.pair is None else frame.pair


def _visits(frames: Sequence[Frame]) -> list[tuple[list[Frame], bool]]:
    """Exposures of one target that belong together, and whether the other half may still come."""
    groups: list[list[Frame]] = []
    open_at: int | None = None
    for frame in frames:
        if frame.kind is not Kind.STANDARD:
            # one card that lost its value does not part a pair: the other exposure's tells
            if frame.nod == "B" and open_at is not None and any(map(half_by_label, (frame, groups[open_at][0]))):
                groups[open_at].append(frame)
                open_at = None
                continue
            if frame.nod == "A":
                open_at = len(groups)
        groups.append([frame])
    return [(group, number == open_at and half_by_label(group[0])) for number, group in enumerate(groups)]
