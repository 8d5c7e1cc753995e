"""Where a target and the field are on the sky, as the header of a frame or a cube tells it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sedmd.products.fitsio import Cards
from sedmd.raw.cards import number, position, text_of, within

#: Cards of the cube that hold the sky position of x = y = 0.
MIDDLE_CARDS = ("FIELDRA", "FIELDDEC")


def target_position(header: Mapping[str, object]) -> tuple[float, float] | None:
    """Right ascension and declination of the target, degrees; None when the header does not tell.

    OBJRA and OBJDEC are the target. RA and DEC are where the telescope's encoder points; on all published headers of
    2018 to 2021 they are RA_OFF / cos Dec and DEC_OFF, minutes of arc, from the target, and are used without these
    where the first are missing.
    """
    given = position(header, ("OBJRA", "OBJDEC"))
    if given is not None:
        return given
    encoder = position(header, ("RA", "DEC"), ("TEL_RA", "TEL_DEC"))
    if encoder is None:
        return None
    east, north = offset_of(header) or (0.0, 0.0)
    return sky_position(encoder, -east, -north)


def target_text(header: Mapping[str, object]) -> tuple[str, str]:
    """Right ascension and declination of the target as text: as the header has it, or from what else it tells."""
    if position(header, ("OBJRA", "OBJDEC")) is not None:
        return text_of(header, "OBJRA"), text_of(header, "OBJDEC")
    found = target_position(header)
    return ("", "") if found is None else sexagesimal_text(*found)


def offset_of(header: Mapping[str, object]) -> tuple[float, float] | None:
    """What the header calls the telescope's offset, arcsec East and North; None when it does not tell.

    It is the step from the acquisition camera to the IFU with all that was added to it: only the difference between
    two exposures of a target says something about the field.
    """
    east, north = (within(header, key, -600, 600) for key in ("RA_OFF", "DEC_OFF"))
    return None if east is None or north is None else (east, north)


def sky_position(centre_deg: tuple[float, float], x_arcsec: float, y_arcsec: float) -> tuple[float, float]:
    """Right ascension and declination, degrees, of an offset East and North from a point (tangent plane)."""
    ra, dec = (math.radians(value) for value in centre_deg)
    x, y = (math.radians(value / 3600) for value in (x_arcsec, y_arcsec))
    across = math.cos(dec) - y * math.sin(dec)
    ra += math.atan2(x, across)
    dec = math.atan2(math.sin(dec) + y * math.cos(dec), math.hypot(x, across))
    return math.degrees(ra) % 360, math.degrees(dec)


def middle_position(header: Mapping[str, object]) -> tuple[float, float] | None:
    """Sky position of the middle of a cube's field (x = y = 0), degrees; that of the target where no card tells."""
    ra, dec = (number(header.get(card)) for card in MIDDLE_CARDS)
    return target_position(header) if ra is None or dec is None else (ra, dec)


def column_coordinates(middle_deg: tuple[float, float], x_column: int, y_column: int) -> Cards:
    """Cards that make two columns of a table, arcsec East and North, celestial coordinates (a FITS pixel list).

    Parameters
    ----------
    middle_deg : right ascension and declination of x = y = 0
    x_column, y_column : numbers of the columns, from 1

    Notes
    -----
    Calabretta & Greisen 2002, table 2, for tangent-plane projection.
    """
    cards: dict[str, tuple[str | float, str]] = {}
    for column, kind, value in zip((x_column, y_column), ("RA---TAN", "DEC--TAN"), middle_deg, strict=True):
        cards |= {
            f"TCTYP{column}": (kind, "celestial coordinate of this column"),
            f"TCUNI{column}": ("deg", ""),
            f"TCRPX{column}": (0.0, "[arcsec] where"),
            f"TCRVL{column}": (value, "[deg] this is the position"),
            f"TCDLT{column}": (1 / 3600, "[deg] of one arcsec; x grows to the East"),
        }
    return cards


def sexagesimal_text(ra_deg: float, dec_deg: float) -> tuple[str, str]:
    """``hh:mm:ss.ss`` and ``+dd:mm:ss.s``."""
    hundredths = round(ra_deg / 15 * 360000) % (24 * 360000)
    tenths = round(abs(dec_deg) * 36000)
    sign = "-" if dec_deg < 0 else "+"
    ra = f"{hundredths // 360000:02d}:{hundredths // 6000 % 60:02d}:{hundredths % 6000 / 100:05.2f}"
    return ra, f"{sign}{tenths // 36000:02d}:{tenths // 600 % 60:02d}:{tenths % 600 / 10:04.1f}"
