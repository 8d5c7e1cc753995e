"""What acquisition and guider frames of an exposure tell, as a product: ``guide_<FRAME>.fits``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.products.fitsio import Cards, CardValue, add_cards, card_value, native, read_checked
from sedmd.products.provenance import Provenance
from sedmd.products.tables import Column, write_table
from sedmd.raw.cards import number, text_of, whole
from sedmd.reduce.guide.brightness import ZeroPoint, ZeroPoints
from sedmd.reduce.guide.camera import FILTERS
from sedmd.reduce.guide.measure import RcMeasured
from sedmd.reduce.target.host_images import HostImage
from sedmd.reduce.target.place import Place

#: What the names of the cards begin with that hold the zero points at the level of a flux calibration.
LEVEL = "STDZP"
#: Which frames told the position.
GUIDER, ACQUISITION = "guider", "acquisition"
#: Extension with the acquisition frame about the target.
FINDER = "FINDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameUse:
    """A frame of the rainbow camera: its name, what it is for, and why it was not used; empty if it was."""

    name: str
    purpose: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideRecord:
    """What is known of an exposure from frames of the rainbow camera; None where it is not.

    Attributes
    ----------
    source : str
        `GUIDER` or `ACQUISITION`; empty without a position.
    east_arcsec, north_arcsec : float or None
        Where the target stands, of the pixel where the published step puts the spectrograph's field.
    error_arcsec : float or None
    link : Place
        Where in the field that pixel is: learned from targets and standard stars of earlier nights.
    seeing_arcsec, seeing_error_arcsec : float or None
        FWHM at 6500 Angstrom.
    zero_points : by filter
    """

    source: str = ""
    east_arcsec: float | None = None
    north_arcsec: float | None = None
    error_arcsec: float | None = None
    link: Place = field(default_factory=Place)
    seeing_arcsec: float | None = None
    seeing_error_arcsec: float | None = None
    zero_points: ZeroPoints = field(default_factory=dict)

    @property
    def offset(self) -> tuple[float, float] | None:
        """East and North of the target from that pixel; None where they are not known."""
        return None if self.east_arcsec is None or self.north_arcsec is None else (self.east_arcsec, self.north_arcsec)


def write_guide(
    path: Path,
    record: GuideRecord,
    measured: RcMeasured | None,
    frames: Sequence[FrameUse],
    *,
    finder: HostImage | None = None,
    lacking: Sequence[str] = (),
    provenance: Provenance | None = None,
) -> str:
    """Write the product; returns its SHA-256.

    Parameters
    ----------
    path : Path
    record : GuideRecord
    measured : RcMeasured or None
    frames : sequence of FrameUse
    finder : HostImage, optional
        The acquisition frame about the target.
    lacking : sequence of str
        Why something is not known.
    provenance : Provenance, optional
    """
    header = fits.Header()
    where = None if measured is None else measured.pointing
    cards: dict[str, CardValue | tuple[CardValue, str]] = {
        "RCFRAMES": (0 if measured is None else measured.frames, "frames that were measured"),
        "RCSTARS": (0 if measured is None else measured.stars, "stars in a frame, median"),
        **guide_cards(record),
        "LINKX": (record.link.x_arcsec, "[arcsec] field position of GUIDEX = 0, East"),
        "LINKY": (record.link.y_arcsec, "[arcsec] and North"),
        "LINKERR": (record.link.spread_arcsec, "[arcsec] 1 sigma of a target, in each axis"),
        "LINKSRC": (record.link.source, "source of these; empty: unknown"),
    }
    if where is not None:
        cards |= {
            "GUIDRMS": (where.rms_arcsec, "[arcsec] scatter of the stars, each axis"),
            "GUIDNST": (where.count, "stars of the table"),
            "RCSCALE": (where.sky.scale_arcsec, "[arcsec/px] scale of the rainbow camera"),
            "RCTURN": (where.sky.turn_deg, "[deg] its turn on the sky"),
            "DRIFTX": (where.drift_arcsec and where.drift_arcsec[0], "[arcsec] first frame to last, East"),
            "DRIFTY": (where.drift_arcsec and where.drift_arcsec[1], "[arcsec] and North"),
            "WANDER": (where.wander_arcsec, "[arcsec] scatter of the frames about it"),
        }
    cards |= {f"LACK{number}": why for number, why in enumerate(lacking[:9], start=1)}
    add_cards(header, cards)
    columns = [
        Column(name="FRAME", array=np.array([one.name for one in frames] or [""]), comment="of the rainbow camera"),
        Column(
            name="PURPOSE", array=np.array([one.purpose for one in frames] or [""]), comment="by OBJECT and IMGTYPE"
        ),
        Column(
            name="WHY", array=np.array([one.why for one in frames] or [""]), comment="it was not used; empty: it was"
        ),
    ]
    charts = [] if finder is None else [_finder_hdu(finder)]
    return write_table(path, columns, header, charts, name="FRAMES", provenance=provenance)


def _finder_hdu(finder: HostImage) -> fits.ImageHDU:
    header = fits.Header()
    header["BAND"] = (finder.band, "filter")
    header["WAVE"] = (finder.wavelength, "[Angstrom] mean wavelength")
    header["FWHM"] = (finder.fwhm_arcsec, "[arcsec] of a star")
    for axis, name in enumerate(("COL", "ROW")):
        for term, of in enumerate(("E", "N", "0")):
            header[f"{name}{of}"] = (float(finder.to_pixel[axis, term]), "from 0: E x East + N x North [arcsec] + 0")
    return fits.ImageHDU(np.asarray(finder.values, np.float32), header, name=FINDER)


def read_finder(path: Path) -> HostImage | None:
    """The acquisition frame about the target; None where there is none. Raises ProductFault, OSError."""
    hdul = read_checked(path)
    if FINDER not in hdul:
        return None
    header = hdul[FINDER].header
    to_pixel = [[float(header[f"{name}{of}"]) for of in ("E", "N", "0")] for name in ("COL", "ROW")]
    return HostImage(
        band=str(header["BAND"]),
        wavelength=float(header["WAVE"]),
        values=native(hdul[FINDER].data),
        to_pixel=np.array(to_pixel),
        fwhm_arcsec=float(header["FWHM"]),
    )


def guide_cards(record: GuideRecord, *, half: str = "") -> Cards:
    """The cards of a record that travel with what is made with it; none of what is not known.

    `half`: "B" for the second exposure of a pair, whose cards end in it.
    """
    cards: dict[str, CardValue | tuple[CardValue, str]] = {}
    if record.offset is not None:
        cards |= {
            f"GUIDSRC{half}": (record.source, "frames that told where the target is"),
            f"GUIDEX{half}": (record.offset[0], "[arcsec] target from the guider's pixel, East"),
            f"GUIDEY{half}": (record.offset[1], "[arcsec] and North"),
            f"GUIDERR{half}": (record.error_arcsec, "[arcsec] 1 sigma in each axis"),
        }
    if record.seeing_arcsec is not None:
        cards |= {
            f"RCFWHM{half}": (record.seeing_arcsec, "[arcsec] FWHM of field stars at 6500 A"),
            f"RCFWHME{half}": (record.seeing_error_arcsec, "[arcsec] 1 sigma"),
        }
    return {**cards, **({} if half else zero_point_cards(record.zero_points))}


def zero_point_cards(points: ZeroPoints, *, begin: str = "RCZP") -> Cards:
    """Cards of zero points: ``RCZPG``, ``RCZPGE``, ``RCZPGN`` and so on for each filter."""
    cards: dict[str, CardValue | tuple[CardValue, str]] = {}
    for band, point in points.items():
        name = f"{begin}{band.upper()}"
        cards |= {
            name: (point.mag, f"[mag] zero point in {band}, AB, above the air"),
            f"{name}E": (point.error, "[mag] 1 sigma"),
            f"{name}N": (point.count, "stars"),
        }
    return cards


def zero_points_in(header: Mapping[str, object], *, begin: str = "RCZP") -> dict[str, ZeroPoint]:
    """The zero points in a header, by filter; those that it has."""
    found = {}
    for band in FILTERS:
        name = f"{begin}{band.upper()}"
        mag, error = number(header.get(name)), number(header.get(f"{name}E"))
        count = whole(header.get(f"{name}N"))
        if mag is not None and error is not None and error > 0 and count is not None:
            found[band] = ZeroPoint(mag=mag, error=error, count=count)
    return found


def offset_in(header: Mapping[str, object], *, half: str = "") -> tuple[float, float] | None:
    """Where the target of a spectrum stands of the guider's pixel, arcsec East and North; None if it does not say.

    `half`: "B" for the second exposure of a pair.
    """
    east, north = number(header.get(f"GUIDEX{half}")), number(header.get(f"GUIDEY{half}"))
    return None if east is None or north is None else (east, north)


def read_guide(path: Path) -> GuideRecord:
    """Read the product. Raises ProductFault, OSError."""
    given = read_checked(path)[0].header
    header = {key: card_value(given, key) for key in given if key}
    x, y, spread = (number(header.get(card)) for card in ("LINKX", "LINKY", "LINKERR"))
    source = text_of(header, "LINKSRC")
    link = Place()
    if source and x is not None and y is not None and spread is not None:
        link = Place(x_arcsec=x, y_arcsec=y, spread_arcsec=spread, source=source)
    offset = offset_in(header)
    return GuideRecord(
        source=text_of(header, "GUIDSRC"),
        east_arcsec=None if offset is None else offset[0],
        north_arcsec=None if offset is None else offset[1],
        error_arcsec=number(header.get("GUIDERR")),
        link=link,
        seeing_arcsec=number(header.get("RCFWHM")),
        seeing_error_arcsec=number(header.get("RCFWHME")),
        zero_points=zero_points_in(header),
    )
