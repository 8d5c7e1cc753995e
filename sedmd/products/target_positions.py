"""Expected target position in the field, in the header of a cube; a star's position, in that of its spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sedmd.products.fitsio import Cards
from sedmd.products.sky import MIDDLE_CARDS, sky_position, target_position
from sedmd.raw.cards import number, text_of, truth, within
from sedmd.reduce.target.place import FieldPosition, Place, with_star

#: Half of an A/B pair lies a nod to one side of the target position [arcsec in each axis]: kpy's nods are of 2.8 to 5
#: arcsec (recenter_ifu.py).
HALF_NOD_ARCSEC = 3.5
#: Figure of a cube's job: where targets were expected when it was made.
EXPECTED = "targets land at [arcsec]"
#: Figures of an extraction: where guider frames saw the target.
GUIDER_FIGURES = ("guider x [arcsec]", "guider y [arcsec]")
#: What an extraction tells of the target position: a standard star does, a clear target does, a pair does not.
STANDARD, TARGET, PAIR = "standard", "target", "pair"


def place_cards(header: Mapping[str, object], place: Place) -> Cards:
    """The expected target position, and the sky position of the field centre that follows.

    Parameters
    ----------
    header : of the raw frame
    place : expected target position
    """
    cards: dict[str, tuple[str | float | None, str]] = {
        "PLACEX": (place.x_arcsec, "[arcsec] expected target position, East"),
        "PLACEY": (place.y_arcsec, "[arcsec] and North"),
        "PLACEERR": (place.spread_arcsec, "[arcsec] 1 sigma of a target, in each axis"),
        "PLACESRC": (place.source, "source of the position; empty: unknown"),
    }
    if (target := target_position(header)) is not None:
        middle = sky_position(target, -place.x_arcsec, -place.y_arcsec)
        # the target of half a pair lies to one side, and which is unknown
        error = nodded(place).spread_arcsec if truth(header.get("ABPAIR")) else place.spread_arcsec
        cards |= {
            MIDDLE_CARDS[0]: (middle[0], "[deg] right ascension of x = y = 0"),
            MIDDLE_CARDS[1]: (middle[1], "[deg] declination of x = y = 0"),
            "FIELDERR": (error, "[arcsec] 1 sigma of these, in each axis"),
        }
    return cards


def nodded(place: Place) -> Place:
    """Where the target of one exposure of a pair lies: nobody knows to which side it was nodded."""
    return replace(place, spread_arcsec=math.hypot(place.spread_arcsec, HALF_NOD_ARCSEC))


def place_in(header: Mapping[str, object]) -> Place:
    """Where a cube's header expects a target; not known if it says nothing."""
    x, y = number(header.get("PLACEX")), number(header.get("PLACEY"))
    spread = within(header, "PLACEERR", 0.01, 60.0)
    if x is None or y is None or spread is None:
        return Place()
    return Place(x_arcsec=x, y_arcsec=y, spread_arcsec=spread, source=text_of(header, "PLACESRC"))


def places_for(
    cube: Mapping[str, object],
    star: Mapping[str, object] | None = None,
    *,
    pointing_arcsec: float | None = None,
    half: bool = False,
) -> tuple[Place, ...]:
    """Where a target is to be looked for: one place, or two where the night's star contradicts the nights before.

    Parameters
    ----------
    cube : header of its cube
    star : header of a standard star's spectrum of the same night
    pointing_arcsec : spread about a place that is known, instead of the learned one
    half : it is one exposure of a pair, alone
    """
    places: tuple[Place, ...] = (place_in(cube),)
    if star is not None and (landed := star_position(star)) is not None:
        places = with_star(places[0], landed)
    if pointing_arcsec is not None:
        places = tuple(replace(one, spread_arcsec=pointing_arcsec) if one.known else one for one in places)
    return tuple(map(nodded, places)) if half else places


def star_position(star: Mapping[str, object]) -> tuple[float, float] | None:
    """Where a star's spectrum was taken from, arcsec East and North: of a pair the middle of both; None if unknown."""
    x, y = number(star.get("XPOS")), number(star.get("YPOS"))
    if x is None or y is None:
        return None
    x_b, y_b = number(star.get("XPOSB")), number(star.get("YPOSB"))
    return (x, y) if x_b is None or y_b is None else (0.5 * (x + x_b), 0.5 * (y + y_b))


def position_figures(
    frame: str, *, standard: bool, pair: bool, guider: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Figures of an extraction from which the target position is learned: the first raw frame, and what was in it.

    `guider`: where guider frames saw the target, arcsec East and North of their camera's pixel of the spectrograph.
    """
    figures: dict[str, Any] = {"frame": frame, "role": PAIR if pair else STANDARD if standard else TARGET}
    if guider is not None:
        figures |= {GUIDER_FIGURES[0]: round(guider[0], 2), GUIDER_FIGURES[1]: round(guider[1], 2)}
    return figures


def guider_pair_of(figures: Mapping[str, Any], night: str) -> FieldPosition | None:
    """Where in the field the guider's pixel of the spectrograph is, by an extraction; None if it does not tell.

    The object's place less what the guider frames of its exposure say; of the objects that tell the target position.
    """
    place = field_position_of(figures, night)
    east, north = (number(figures.get(name)) for name in GUIDER_FIGURES)
    if place is None or east is None or north is None:
        return None
    return FieldPosition(x_arcsec=place.x_arcsec - east, y_arcsec=place.y_arcsec - north, night=night)


def field_position_of(figures: Mapping[str, Any], night: str) -> FieldPosition | None:
    """Field position of the object of an extraction; None if it does not tell the target position.

    A standard star does, and a single target without concerns.
    """
    clear = figures.get("role") == TARGET and figures.get("quality") == 1
    x, y = number(figures.get("x [arcsec]")), number(figures.get("y [arcsec]"))
    if not (clear or figures.get("role") == STANDARD) or x is None or y is None:
        return None
    return FieldPosition(x_arcsec=x, y_arcsec=y, night=night)
