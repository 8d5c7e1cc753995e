"""From a header to a Frame: what a raw file is, decided once, from its cards.

The rules are those of the observatory's labels (`sedmd.raw.labels`), with four decisions of our own:

* a card that is missing is its own case: needed -> `HeaderFault`, optional -> None; never a default that decides;
* where cards contradict each other OBJECT decides, the contradiction is noted, and whether a lamp burnt or light fell
  on a bias is left to the pixels: real lamp cards hold the state of other lamps and of other moments;
* ``bias`` in OBJECT without ``Calib`` is a target only when light fell on the detector: an exposure time, an open dome,
  and no IMGTYPE that says otherwise;
* what differs from camera to camera comes from `sedmd.raw.epochs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from sedmd.core.errors import FrameFault, HeaderFault, HeaderUnfinished
from sedmd.raw.airmass import airmass_at_start
from sedmd.raw.blank_frame import check_pixels
from sedmd.raw.cards import NUMBER_CARDS, is_number_as_text, known, number, position, text_of, truth
from sedmd.raw.clocks import start_of
from sedmd.raw.epochs import CAMERAS, Camera, camera_of, is_kitt_peak
from sedmd.raw.fitsfile import Extent, primary_extent, read_plain
from sedmd.raw.header import Value, header_values, is_printable
from sedmd.raw.identity import Checksums
from sedmd.raw.labels import (
    IMAGE_TYPES,
    LAMPS,
    Kind,
    appended,
    begins_word,
    calibration_kinds,
    dome_closed,
    image_type,
    is_calibration,
    nod_of,
    not_reduced,
    series_number,
    without_token,
)
from sedmd.raw.lost_cards import lost_block
from sedmd.raw.mends import MEND, Cards, notes_of, overlaid
from sedmd.raw.rawname import stem_of
from sedmd.raw.standardstar import TelescopePosition, identify


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a calibration must satisfy to be used; seconds. None: what the camera of the time needs."""

    dome_min_exptime_s: float | None = None
    lamp_min_exptime_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One raw frame.

    Attributes
    ----------
    path : Path
    stem : str
        File name without suffix; the same for the plain, gzipped and fpacked file.
    kind : Kind
        STANDARD for every standard star, also one that is not in the table.
    start : datetime
        UTC, shutter opens.
    exptime_s : float or None
        None only for ignored frames.
    adc_speed_mhz : float or None
        Read-out speed; None only for ignored frames.
    object, name : str
        Label of the frame, and the target without nod tokens.
    image_type : str
        IMGTYPE in lower case; empty where the card says nothing.
    nod : str
        "A", "B" or empty.
    star : str
        Key of the tabulated standard star whose spectrum may calibrate the night; empty for everything else.
    contradiction : str
        What does not fit together between NAME, OBJECT and the position, and what was made of it; also among `notes`.
    name_doubtful : bool
        Nothing tells which of two names is right.
    pair : bool or None
        True: half of an A/B pair by its ABPAIR card; False: the card is there and says anything else, a single
        exposure with any label; None: no card.
    ra_deg, dec_deg : float or None
        Where the telescope's encoder points (RA, DEC); on real frames minutes of arc from the target.
    target_ra_deg, target_dec_deg : float or None
        The target (OBJRA, OBJDEC).
    airmass : float or None
    series_index, series_total : int or None
        From "n of N" in OBJECT.
    reason : str
        Why the frame is ignored; empty otherwise.
    notes : tuple of str
        Oddities that do not keep the frame from being used.
    checksum, data_checksum : str
        SHA-256 of cards and pixels, and of the pixels alone (`sedmd.raw.identity`); empty for a frame made from a
        header.
    n_cards : int
        How many cards tell something of the exposure.
    mends : tuple of (card, value)
        Cards that an operator corrected (`sedmd.raw.mends`); None takes a card out.
    unfinished : bool
        The header has the camera's cards only (`sedmd.raw.unfinished_header`).
    lost : str
        That all of the telescope's cards are missing, and which (`sedmd.raw.lost_cards`); empty otherwise.
    """

    path: Path
    stem: str
    kind: Kind
    start: datetime
    exptime_s: float | None = None
    adc_speed_mhz: float | None = None
    object: str = ""
    name: str = ""
    image_type: str = ""
    nod: str = ""
    star: str = ""
    contradiction: str = ""
    name_doubtful: bool = False
    pair: bool | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    target_ra_deg: float | None = None
    target_dec_deg: float | None = None
    airmass: float | None = None
    series_index: int | None = None
    series_total: int | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    checksum: str = ""
    data_checksum: str = ""
    n_cards: int = 0
    mends: tuple[tuple[str, Value | None], ...] = ()
    unfinished: bool = False
    lost: str = ""


def frame_from_header(header: Mapping[str, object], path: Path, *, limits: Limits | None = None) -> Frame:
    """Say what a frame is.

    Parameters
    ----------
    header : mapping of keyword to value
        Cards of the primary header as plain values.
    path : Path
        Its name is one of the clocks and is quoted in messages.

    Raises
    ------
    HeaderUnfinished
        If only the camera's cards are there.
    HeaderFault
        If a card that the reduction of this kind of frame needs is missing, of the wrong type, NaN or impossible.
    """
    limits = limits or Limits()
    stem = stem_of(path)
    _check_origin(header, stem)
    label, notes = _label(header, stem)
    start = start_of(header, stem)
    if start is None:
        msg = f"{stem}: no start time in UTC, OBSDATE and OBSTIME, JD or MJD_OBS, nor in the file name; {MEND}"
        raise HeaderFault(msg)
    notes += [*start.notes, *_numbers_as_text(header)]
    name = _name(header, label, stem)
    frame = Frame(
        path=path,
        stem=stem,
        kind=Kind.IGNORED,
        start=start.time,
        object=label,
        name=name,
        image_type=image_type(header),
        notes=tuple(notes),
    )
    camera = _camera(header, start.time)
    if reason := not_reduced(label, name, frame.image_type):
        return replace(frame, reason=reason)
    if is_calibration(label):
        return _calibration(header, replace(frame, name=""), limits, camera)
    if reason := _not_on_sky(header, label):
        return replace(frame, reason=reason)
    return _on_sky(header, frame, camera)


def read_frame(
    path: Path,
    *,
    shape: tuple[int, int] | None = None,
    limits: Limits | None = None,
    min_hdus: int = 1,
    mends: Cards | None = None,
    unfinished: Callable[[Mapping[str, object], Path, np.ndarray], Frame] | None = None,
) -> Frame:
    """Read a whole raw file once: cards, checksums and a look at the pixels; plain, gzipped or fpacked.

    Parameters
    ----------
    shape : (n_y, n_x), optional
        Of the array; without it that of any camera of the spectrograph will do. The pixels must be 16-bit integers.
    min_hdus : int
        As in `sedmd.raw.fitsfile.examine`.
    mends : mapping of card to value
        Corrections of the header by an operator.
    unfinished : callable, optional
        (header, path, pixels as stored) -> frame, for one whose header holds the camera's cards only.

    Returns
    -------
    Frame
        Its checksums are the same for any packing.

    Raises
    ------
    FrameFault
        If the file is cut, damaged, not FITS, of another shape, blank, constant or saturated all over.
    HeaderFault
        As `frame_from_header`; HeaderUnfinished only without `unfinished`.
    OSError
        If the file cannot be read.
    """
    content = read_plain(path, min_hdus=min_hdus)
    extent = primary_extent(content)
    written = header_values(content[: extent.header_bytes])
    header = overlaid(written, mends or {})
    data = memoryview(content)[extent.header_bytes : extent.header_bytes + extent.data_bytes]
    shape = _checked_shape(header, path, shape, len(data))
    pixels = np.frombuffer(data, dtype=">i2").reshape(shape)
    if unfinished is not None and is_unfinished(written) and not {"OBJECT", "NAME"} & header.keys():
        frame = unfinished(header, path, pixels)
    else:
        frame = frame_from_header(header, path, limits=limits)
    if not is_printable(content[: extent.header_bytes]):
        frame = replace(frame, notes=(*frame.notes, "the header holds characters that FITS forbids; they read as ?"))
    if frame.kind is not Kind.IGNORED:
        check_pixels(pixels, header, path)
    identity = Checksums.of(written, data)
    return replace(
        frame,
        notes=(*frame.notes, *notes_of(written, mends or {})),
        checksum=identity.whole,
        data_checksum=identity.data,
        n_cards=identity.n_cards,
        mends=tuple((mends or {}).items()),
    )


#: Longest exposure [s] and highest read-out speed [MHz] that can be meant; label and target in characters.
MAX_EXPTIME_S, MAX_SPEED_MHZ, MAX_TEXT = 86400.0, 100.0, 300
#: Longest exposure of a bias [s]: the shortest that a camera has is 1 ms, and some control software writes that.
MAX_BIAS_EXPTIME_S = 1.0
#: Cards by which the robot is known to have written its part of the header: of the target and the telescope. The
#: camera writes none of them, but in some epochs TELESCOP, INSTRUME and CAM_NAME.
ROBOT_CARDS = ("OBJECT", "NAME", "IMGTYPE", "OBJTYPE", "LST", "RA", "DEC", "AIRMASS", "DOMEST", "REQ_ID")


def is_unfinished(header: Mapping[str, object]) -> bool:
    """Whether a header holds the camera's cards and none of the robot's.

    The camera writes a whole file of about 30 cards; the robot adds some 95 seconds later, or never (robot's
    sedmHeader.py, 2022).
    """
    return "EXPTIME" in header and not any(card in header for card in ROBOT_CARDS)


def needed_number(
    header: Mapping[str, object], key: str, stem: str, meaning: str, *, minimum: float, maximum: float = math.inf
) -> float:
    """A finite number from a card that the reduction cannot do without.

    Raises
    ------
    HeaderFault
        If the card is missing or unknown, not a number, below `minimum` or above `maximum`.
    """
    raw, value = header.get(key), number(header.get(key))
    if raw is None:
        fault = "is missing"
    elif value is None:
        unknown = isinstance(raw, int | float) and not isinstance(raw, bool)
        fault = f"is {raw}, which means unknown" if unknown else f"is {_short(raw)}, which is not a number"
    elif value < minimum:
        fault = f"is {value:g}, below {minimum:g}"
    elif value > maximum:
        fault = f"is {value:g}, above {maximum:g}"
    else:
        return value
    msg = f"{stem}: {key} {fault}; expected the {meaning}; {MEND}"
    raise HeaderFault(msg)


def _exptime(header: Mapping[str, object], stem: str) -> float:
    return needed_number(header, "EXPTIME", stem, "exposure time in seconds", minimum=0.0, maximum=MAX_EXPTIME_S)


def _bias_exptime(header: Mapping[str, object], stem: str) -> tuple[float, list[str]]:
    """Exposure time of a frame that is labelled bias; it is 0 s where EXPTIME is lost or -1."""
    value = known(header.get("EXPTIME"))
    if value is None:
        return 0.0, ["EXPTIME is not known: 0 s assumed for a bias"]
    if (seconds := number(value)) is not None and -MAX_BIAS_EXPTIME_S <= seconds < 0:
        return 0.0, [f"EXPTIME is {seconds:g}: 0 s assumed for a bias"]
    exptime = _exptime(header, stem)
    return exptime, [f"a bias of {exptime:g} s"] if 0 < exptime <= MAX_BIAS_EXPTIME_S else []


def _speed(header: Mapping[str, object], stem: str, camera: Camera) -> tuple[float, list[str]]:
    """Read-out speed; of a camera that has only one it need not be given."""
    if number(header.get("ADCSPEED")) is None and len(camera.speeds_mhz) == 1:
        (speed,) = camera.speeds_mhz
        return speed, [f"ADCSPEED is not known: {speed:g} MHz, the only speed of the {camera.name}"]
    speed = needed_number(header, "ADCSPEED", stem, "read-out speed in MHz", minimum=0.01, maximum=MAX_SPEED_MHZ)
    return round(speed, 3), []  # a speed in single precision is the same speed


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _check_origin(header: Mapping[str, object], stem: str) -> None:
    if is_kitt_peak(header):
        msg = f"{stem}: a frame of the SED Machine at Kitt Peak (MODE_NUM, no ADCSPEED), whose format is not read here"
        raise HeaderFault(f"{msg}; expected one of the 60-inch at Palomar. Exclude it")
    if is_unfinished(header):
        msg = f"{stem}: {lost_block(header)}. Only the camera's cards are there; expected the robot's, which come later"
        raise HeaderUnfinished(f"{msg}. If it never does, {MEND}")


def _label(header: Mapping[str, object], stem: str) -> tuple[str, list[str]]:
    """OBJECT or, where that is lost, NAME; and a note then."""
    value = header.get("OBJECT")
    if not isinstance(value, str) and known(value) is not None:
        msg = f"{stem}: OBJECT is {value!r}, which is not text; expected the label that says what the frame is; {MEND}"
        raise HeaderFault(msg)
    label, notes = text_of(header, "OBJECT"), list[str]()
    if not label and (value is None or str(value).strip()):
        label = text_of(header, "NAME")
        if not label:
            fault = lost_block(header) or "OBJECT is missing"
            msg = f"{stem}: {fault}; expected OBJECT, the label that says what the frame is; {MEND}"
            raise HeaderFault(msg)
        notes = ["OBJECT is missing: NAME is used"]
    _check_length("OBJECT", label, stem)
    return label, notes


def _check_length(key: str, text: str, stem: str) -> None:
    if len(text) > MAX_TEXT:
        msg = f"{stem}: {key} has {len(text)} characters; expected a name of at most {MAX_TEXT}; {MEND}"
        raise HeaderFault(msg)


def _name(header: Mapping[str, object], label: str, stem: str) -> str:
    name = text_of(header, "NAME")
    _check_length("NAME", name, stem)
    return without_token(name) or without_token(label)


def _numbers_as_text(header: Mapping[str, object]) -> list[str]:
    odd = [card for card in NUMBER_CARDS if is_number_as_text(header.get(card))]
    return [f"{', '.join(odd)} in the header as text, read as numbers"] if odd else []


def _camera(header: Mapping[str, object], start: datetime) -> Camera:
    """The camera that took the frame; for an array that no camera has, the one in service."""
    rows, columns = number(header.get("NAXIS2")), number(header.get("NAXIS1"))
    found = camera_of(header, (int(rows), int(columns)), start) if rows and columns else None
    return found or min(CAMERAS, key=lambda camera: camera.days_from(start.date()))


def _pair(header: Mapping[str, object]) -> bool | None:
    """Whether ABPAIR says that the frame is half of an A/B pair; None without the card."""
    return None if header.get("ABPAIR") is None else truth(header["ABPAIR"]) is True


def _not_on_sky(header: Mapping[str, object], label: str) -> str:
    closed = dome_closed(header, "DOMEST")
    if begins_word(r"bias\b", label) and (closed or image_type(header) == "bias" or number(header.get("EXPTIME")) == 0):
        return "a bias outside a calibration series (OBJECT lacks 'Calib')"
    return "the dome was closed" if closed else ""


def _on_sky(header: Mapping[str, object], frame: Frame, camera: Camera) -> Frame:
    """A frame of a target; `frame` carries what is known of it so far."""
    exptime = _exptime(header, frame.stem)
    speed, notes = _speed(header, frame.stem, camera)
    if exptime == 0:
        return replace(frame, exptime_s=exptime, adc_speed_mhz=speed, reason="exposure time 0 s: no light")
    if not frame.name:
        cause = f"{lost}; " if (lost := lost_block(header)) else ""
        found = f"{frame.stem}: {cause}neither NAME nor OBJECT names a target (OBJECT is {frame.object!r})"
        raise HeaderFault(f"{found}; expected its name; {MEND}")
    encoder = position(header, ("RA", "DEC"), ("TEL_RA", "TEL_DEC"))
    target = position(header, ("OBJRA", "OBJDEC"))
    who = identify(
        without_token(frame.object),
        without_token(text_of(header, "NAME")),
        TelescopePosition(target=target, encoder=encoder),
        telescope_name=text_of(header, "OBJNAME"),
        typed_standard=frame.image_type == IMAGE_TYPES[Kind.STANDARD],
    )
    notes += [*who.notes, *([who.contradiction] if who.contradiction else [])]
    star = who.star
    if dome_closed(header, "ENDDOME"):
        notes.append("the dome closed during the exposure (ENDDOME)" + (": not used for calibration" if star else ""))
        star = ""
    if frame.image_type and frame.image_type not in (IMAGE_TYPES[Kind.STANDARD], IMAGE_TYPES[Kind.SCIENCE]):
        notes.append(f"IMGTYPE says {frame.image_type!r}, OBJECT {frame.object!r}: treated as a target")
    if text := appended(frame.object):
        notes.append(f"OBJECT has text after its token: {text!r}")
    airmass = airmass_at_start(header, frame.start)
    lost = lost_block(header)
    # where the whole block is lost, that is what is wrong, and not that the airmass is
    notes += [lost] if lost else [airmass.note] if airmass.note else []
    return replace(
        frame,
        lost=lost,
        kind=Kind.STANDARD if who.standard else Kind.SCIENCE,
        name=who.name,
        exptime_s=exptime,
        adc_speed_mhz=speed,
        nod=nod_of(frame.object),
        star=star,
        contradiction=who.contradiction,
        name_doubtful=who.unresolved,
        pair=_pair(header),
        ra_deg=encoder and encoder[0],
        dec_deg=encoder and encoder[1],
        target_ra_deg=target and target[0],
        target_dec_deg=target and target[1],
        airmass=airmass.airmass,
        notes=(*frame.notes, *notes),
    )


def _calibration(header: Mapping[str, object], frame: Frame, limits: Limits, camera: Camera) -> Frame:
    """A frame whose OBJECT is that of a calibration; `frame` carries what is known of it so far."""
    label, stem = frame.object, frame.stem
    kinds = calibration_kinds(label)
    if not kinds:
        return replace(frame, reason=f"OBJECT {label!r} names no known calibration")
    if len(kinds) > 1:
        names = " and ".join(sorted(kinds))
        return replace(frame, reason=f"OBJECT {label!r} names {names}: not one calibration")
    (kind,) = kinds
    series = series_number(label)
    if kind is not Kind.TWILIGHT:
        if series is None:
            return replace(frame, reason="a one-off calibration (OBJECT lacks 'n of N')")
        if not 1 <= series[0] <= series[1]:
            return replace(frame, reason=f"impossible series number {series[0]} of {series[1]}")
    exptime, notes = _bias_exptime(header, stem) if kind is Kind.BIAS else (_exptime(header, stem), [])
    speed, note = _speed(header, stem, camera)
    index, total = series or (None, None)
    frame = replace(frame, exptime_s=exptime, adc_speed_mhz=speed, series_index=index, series_total=total)
    if reason := _too_short_or_long(kind, exptime, limits, camera):
        return replace(frame, reason=reason)
    notes += note
    if frame.image_type and frame.image_type != IMAGE_TYPES[kind]:
        notes.append(f"IMGTYPE says {frame.image_type!r}, OBJECT {label!r}: decided by the pixels")
    if kind is Kind.DOME and number(header.get("LAMPCUR")) == 0:
        notes.append("LAMPCUR says that the dome lamp was off: decided by the pixels")
    return replace(frame, kind=kind, notes=(*frame.notes, *notes))


def _too_short_or_long(kind: Kind, exptime: float, limits: Limits, camera: Camera) -> str:
    if kind is Kind.BIAS:
        return f"labelled bias but exposed {exptime:g} s" if exptime > MAX_BIAS_EXPTIME_S else ""
    if kind is Kind.TWILIGHT:
        minimum = 0.0
    elif kind is Kind.DOME:
        minimum = camera.dome_min_exptime_s if limits.dome_min_exptime_s is None else limits.dome_min_exptime_s
    else:
        minimum = camera.lamp_min_exptime_s if limits.lamp_min_exptime_s is None else limits.lamp_min_exptime_s
    if exptime < minimum or exptime == 0:
        return f"{kind} exposed only {exptime:g} s; {minimum:g} s needed"
    return ""


def _checked_shape(
    header: Mapping[str, object], path: Path, shape: tuple[int, int] | None, data_bytes: int
) -> tuple[int, int]:
    """Shape of the array, if it is `shape` or that of a camera, in 16-bit integers."""
    axes, rows, columns = (header.get(key) for key in ("NAXIS", "NAXIS2", "NAXIS1"))
    got = (rows, columns) if axes == 2 and isinstance(rows, int) and isinstance(columns, int) else None
    if got is None or (got != shape if shape else camera_of(header, got) is None):
        # fpack leaves an empty primary array and hides the image behind it
        hint = " Packed by fpack, it must be named .fits.fz" if axes == 0 else ""
        wanted = [shape] if shape else sorted({camera.shape for camera in CAMERAS})
        want = f"expected {' or '.join(_times(one) for one in wanted)} pixels. Is it of this instrument?{hint}"
        found = _times(got) if got else f"{rows} x {columns}" if axes == 2 else f"{axes} axes"
        msg = f"{path.name}: the array is {found}; {want}"
        raise FrameFault(msg)
    if header.get("BITPIX") != 16:
        msg = f"{path.name}: BITPIX is {header.get('BITPIX')}; expected 16-bit integers. Is it a raw frame?"
        raise FrameFault(msg)
    if data_bytes != 2 * got[0] * got[1]:
        msg = (
            f"{path.name}: PCOUNT or GCOUNT make the array {data_bytes} bytes; expected {2 * got[0] * got[1]}, an "
            "image without groups. Is it a raw frame?"
        )
        raise FrameFault(msg)
    return got


def _times(shape: tuple[object, ...]) -> str:
    return " x ".join(str(length) for length in shape)


__all__ = [
    "LAMPS",
    "Extent",
    "Frame",
    "Kind",
    "Limits",
    "frame_from_header",
    "is_unfinished",
    "needed_number",
    "read_frame",
]
