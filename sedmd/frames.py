"""From a header to a Frame: what a raw file is, decided once, from its cards.

The rules are those of the observatory's labels (OBJECT ``Calib:  dome 2 of 5``, ``STD-Feige34``, ``ZTF19abc [A]``),
with four decisions of our own:

* a card that is missing is its own case: needed -> `HeaderFault`, optional -> None; never a default that decides;
* ``test``, ``dark``, ``Focus:`` and ``STOW`` count where a word begins, so that ZTF19aatestx stays a target;
* ``bias`` in OBJECT without ``Calib`` is a target only when light fell on the detector: an exposure time, an open dome,
  and no IMGTYPE that says otherwise;
* a dome frame is refused when its lamp current is zero, accepted when the header does not know the current.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import numpy as np

from sedmd.cards import position, text_of, truth
from sedmd.errors import FrameFault, HeaderFault
from sedmd.fitsfile import Extent, primary_extent, read_plain
from sedmd.header import Value, header_values, is_printable
from sedmd.identity import Identity
from sedmd.mends import MEND, Cards, notes_of, overlaid
from sedmd.pixels import check_pixels
from sedmd.rawname import stem_of
from sedmd.standardstar import Place, identify


class Kind(StrEnum):
    """What a raw frame is; the values of the lamps are the names of their products."""

    BIAS = "bias"
    DOME = "dome"
    HG = "Hg"
    CD = "Cd"
    XE = "Xe"
    NE = "Ne"
    TWILIGHT = "twilight"
    STANDARD = "standard"
    SCIENCE = "science"
    IGNORED = "ignored"

    @property
    def on_sky(self) -> bool:
        return self in (Kind.STANDARD, Kind.SCIENCE)


LAMPS = (Kind.DOME, Kind.HG, Kind.CD, Kind.XE, Kind.TWILIGHT)
#: Words of OBJECT that name a calibration. "Hal" was the label of the dome lamp until January 2017.
CALIBRATION_WORDS = {
    "bias": Kind.BIAS,
    "dome": Kind.DOME,
    "hal": Kind.DOME,
    "hg": Kind.HG,
    "cd": Kind.CD,
    "xe": Kind.XE,
    "ne": Kind.NE,
    "twilight": Kind.TWILIGHT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a calibration must satisfy to be used; seconds."""

    dome_min_exptime_s: float = 60.0
    lamp_min_exptime_s: float = 25.0


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
        exposure whatever its label; None: no card.
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
        SHA-256 of cards and pixels, and of the pixels alone (`sedmd.identity`); empty for a frame made from a header.
    n_cards : int
        How many cards tell something of the exposure.
    mends : tuple of (card, value)
        Cards that an operator corrected (`sedmd.mends`); None takes a card out.
    """

    path: Path
    stem: str
    kind: Kind
    start: datetime
    exptime_s: float | None = None
    adc_speed_mhz: float | None = None
    object: str = ""
    name: str = ""
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


def frame_from_header(header: Mapping[str, object], path: Path, *, limits: Limits | None = None) -> Frame:
    """Say what a frame is.

    Parameters
    ----------
    header : mapping of keyword to value
        Cards of the primary header as plain values.
    path : Path
        Its name is the last resort for the start time and is quoted in messages.

    Raises
    ------
    HeaderFault
        If a card that the reduction of this kind of frame needs is missing, of the wrong type, NaN or impossible.
    """
    limits = limits or Limits()
    stem = stem_of(path)
    label = _label(header, stem)
    start, notes = _start(header, stem)
    ignored = Frame(path=path, stem=stem, kind=Kind.IGNORED, start=start, object=label)
    name = _name(header, label, stem)

    if reason := _never_reduced(label, name):
        return replace(ignored, name=name, reason=reason)
    if re.search(r"\bcalib", label, re.IGNORECASE):
        return _calibration(header, replace(ignored, notes=tuple(notes)), limits)
    if reason := _not_on_sky(header, label):
        return replace(ignored, name=name, reason=reason)

    exptime, speed = _exptime_and_speed(header, stem)
    if exptime == 0:
        return replace(ignored, name=name, exptime_s=exptime, adc_speed_mhz=speed, reason="exposure time 0 s: no light")
    if not name:
        msg = f"{stem}: neither NAME nor OBJECT names a target (OBJECT is {label!r}); expected its name; {MEND}"
        raise HeaderFault(msg)
    airmass, note = _airmass(header)
    notes += note
    encoder = position(header, ("RA", "DEC"), ("TEL_RA", "TEL_DEC"))
    target = position(header, ("OBJRA", "OBJDEC"))
    who = identify(
        _without_nod(label),
        _without_nod(text_of(header, "NAME")),
        Place(target=target, encoder=encoder),
        telescope_name=text_of(header, "OBJNAME"),
    )
    notes += [*who.notes, *([who.contradiction] if who.contradiction else [])]
    return Frame(
        path=path,
        stem=stem,
        kind=Kind.STANDARD if who.standard else Kind.SCIENCE,
        start=start,
        exptime_s=exptime,
        adc_speed_mhz=speed,
        object=label,
        name=who.name,
        nod=_nod(label),
        star=who.star,
        contradiction=who.contradiction,
        name_doubtful=who.unresolved,
        pair=_pair(header),
        ra_deg=encoder and encoder[0],
        dec_deg=encoder and encoder[1],
        target_ra_deg=target and target[0],
        target_dec_deg=target and target[1],
        airmass=airmass,
        notes=tuple(notes),
    )


def read_frame(
    path: Path,
    *,
    shape: tuple[int, int] = (2048, 2048),
    limits: Limits | None = None,
    min_hdus: int = 1,
    mends: Cards | None = None,
) -> Frame:
    """Read a whole raw file once: cards, checksums and a look at the pixels; plain, gzipped or fpacked.

    Parameters
    ----------
    shape : (n_y, n_x)
        The detector's shape; the array must be 16-bit integers.
    min_hdus : int
        As in `sedmd.fitsfile.examine`.
    mends : mapping of card to value
        Corrections of the header by an operator.

    Returns
    -------
    Frame
        Its checksums are the same whatever the packing.

    Raises
    ------
    FrameFault
        If the file is cut, damaged, not FITS, of another shape, blank, constant or saturated all over.
    HeaderFault
        As `frame_from_header`.
    OSError
        If the file cannot be read.
    """
    content = read_plain(path, min_hdus=min_hdus)
    extent = primary_extent(content)
    written = header_values(content[: extent.header_bytes])
    header = overlaid(written, mends or {})
    data = memoryview(content)[extent.header_bytes : extent.header_bytes + extent.data_bytes]
    _check_shape(header, path, shape, len(data))
    frame = frame_from_header(header, path, limits=limits)
    if not is_printable(content[: extent.header_bytes]):
        frame = replace(frame, notes=(*frame.notes, "the header holds characters that FITS forbids; they read as ?"))
    if frame.kind is not Kind.IGNORED:
        check_pixels(np.frombuffer(data, dtype=">i2").reshape(shape), header, path)
    identity = Identity.of(written, data)
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


def needed_number(
    header: Mapping[str, object], key: str, stem: str, meaning: str, *, minimum: float, maximum: float = math.inf
) -> float:
    """A finite number from a card that the reduction cannot do without.

    Raises
    ------
    HeaderFault
        If the card is missing, not a number, not finite, below `minimum` or above `maximum`.
    """
    value = header.get(key)
    if value is None:
        fault = "is missing"
    elif isinstance(value, bool) or not isinstance(value, int | float):
        fault = f"is {_short(value)}, which is not a number"
    elif not math.isfinite(value):
        fault = f"is {value}"
    elif value < minimum:
        fault = f"is {value:g}, below {minimum:g}"
    elif value > maximum:
        fault = f"is {value:g}, above {maximum:g}"
    else:
        return float(value)
    msg = f"{stem}: {key} {fault}; expected the {meaning}; {MEND}"
    raise HeaderFault(msg)


def _exptime_and_speed(header: Mapping[str, object], stem: str) -> tuple[float, float]:
    exptime = needed_number(header, "EXPTIME", stem, "exposure time in seconds", minimum=0.0, maximum=MAX_EXPTIME_S)
    speed = needed_number(header, "ADCSPEED", stem, "read-out speed in MHz", minimum=0.01, maximum=MAX_SPEED_MHZ)
    return exptime, speed


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _label(header: Mapping[str, object], stem: str) -> str:
    label = header.get("OBJECT")
    if label is None:
        msg = f"{stem}: OBJECT is missing; expected the label that says what the frame is; {MEND}"
        raise HeaderFault(msg)
    if not isinstance(label, str):
        msg = f"{stem}: OBJECT is {label!r}, which is not text; expected the label that says what the frame is; {MEND}"
        raise HeaderFault(msg)
    _check_length("OBJECT", label, stem)
    return label.strip()


def _check_length(key: str, text: str, stem: str) -> None:
    if len(text) > MAX_TEXT:
        msg = f"{stem}: {key} has {len(text)} characters; expected a name of at most {MAX_TEXT}; {MEND}"
        raise HeaderFault(msg)


def _name(header: Mapping[str, object], label: str, stem: str) -> str:
    name = header.get("NAME")
    _check_length("NAME", name if isinstance(name, str) else "", stem)
    return _without_nod(name if isinstance(name, str) and name.strip() else label)


def _without_nod(text: str) -> str:
    return " ".join(re.sub(r"\[\s*[AB]\s*\]", " ", text).split())


def _nod(label: str) -> str:
    found = re.search(r"\[\s*([AB])\s*\]", label)
    return found.group(1) if found else ""


def _pair(header: Mapping[str, object]) -> bool | None:
    """Whether ABPAIR says that the frame is half of an A/B pair; None without the card."""
    return None if header.get("ABPAIR") is None else truth(header["ABPAIR"]) is True


def _begins_word(word: str, text: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9]){word}", text, re.IGNORECASE) is not None


def _never_reduced(label: str, name: str) -> str:
    if not label:
        return "OBJECT is blank"
    if _begins_word("test", label):
        return "a test"
    if _begins_word(r"focus\s*:", label):
        return "a focus frame"
    if _begins_word(r"darks?(?![A-Za-z0-9])", label):
        return "a dark: no step uses darks"
    if _begins_word(r"stow(ed)?(?![a-z0-9])", name) or _begins_word(r"stow(ed)?(?![a-z0-9])", label):
        return "the telescope was stowed"
    return ""


def _not_on_sky(header: Mapping[str, object], label: str) -> str:
    dome = header.get("DOMEST")
    closed = isinstance(dome, str) and "closed" in dome.lower()
    if re.search(r"\bbias\b", label, re.IGNORECASE):
        image_type = header.get("IMGTYPE")
        said = isinstance(image_type, str) and image_type.strip().lower() == "bias"
        if closed or said or header.get("EXPTIME") == 0:
            return "a bias outside a calibration series (OBJECT lacks 'Calib')"
    return "the dome was closed" if closed else ""


def _calibration(header: Mapping[str, object], frame: Frame, limits: Limits) -> Frame:
    """A frame whose OBJECT says Calib; `frame` carries what is known of it so far."""
    label, stem = frame.object, frame.stem
    words = re.findall(r"[a-z]+", label.lower())
    kinds = {CALIBRATION_WORDS[word] for word in words if word in CALIBRATION_WORDS}
    if not kinds:
        return replace(frame, reason=f"OBJECT {label!r} names no known calibration")
    if len(kinds) > 1:
        names = " and ".join(sorted(kinds))
        return replace(frame, reason=f"OBJECT {label!r} names {names}: not one calibration")
    (kind,) = kinds
    series = re.search(r"(?<!\d)(\d{1,6})\s+of\s+(\d{1,6})(?!\d)", label)
    index, total = (int(series.group(1)), int(series.group(2))) if series else (None, None)
    if kind is not Kind.TWILIGHT:
        if index is None or total is None:
            return replace(frame, reason="a one-off calibration (OBJECT lacks 'n of N')")
        if not 1 <= index <= total:
            return replace(frame, reason=f"impossible series number {index} of {total}")
    exptime, speed = _exptime_and_speed(header, stem)
    frame = replace(frame, exptime_s=exptime, adc_speed_mhz=speed, series_index=index, series_total=total)
    if reason := _unusable_calibration(header, kind, exptime, limits):
        return replace(frame, reason=reason)
    return replace(frame, kind=kind)


def _unusable_calibration(header: Mapping[str, object], kind: Kind, exptime: float, limits: Limits) -> str:
    if kind is Kind.BIAS:
        return f"labelled bias but exposed {exptime:g} s" if exptime > 0 else ""
    if kind is Kind.DOME:
        current = header.get("LAMPCUR")
        known = isinstance(current, int | float) and not isinstance(current, bool)
        if known and not current > 0:  # type: ignore[operator]  # also true for NaN, which no lit lamp reports
            return f"the dome lamp was off (LAMPCUR {current})"
        minimum = limits.dome_min_exptime_s
    elif kind is Kind.TWILIGHT:
        minimum = 0.0
    else:
        minimum = limits.lamp_min_exptime_s
    if exptime < minimum or exptime == 0:
        return f"{kind} exposed only {exptime:g} s; {minimum:g} s needed"
    return ""


def _airmass(header: Mapping[str, object]) -> tuple[float | None, list[str]]:
    value = header.get("AIRMASS")
    if value is None:
        return None, ["AIRMASS is missing"]
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0.99 <= value < 40
    ):
        return None, [f"AIRMASS {value!r} is not an airmass; taken as unknown"]
    return float(value), []


def _start(header: Mapping[str, object], stem: str) -> tuple[datetime, list[str]]:
    """Start of the exposure, UTC: UTC card, OBSDATE + OBSTIME, JD, MJD_OBS, file name, in this order."""
    named = _time_in_name(stem)
    for source, value in (
        ("UTC", _day_of_year(header.get("UTC"))),
        ("OBSDATE and OBSTIME", _calendar(header.get("OBSDATE"), header.get("OBSTIME"))),
        ("JD", _julian(header.get("JD"), 2400000.5)),
        ("MJD_OBS", _julian(header.get("MJD_OBS"), 0.0)),
    ):
        if value is None:
            continue
        notes = [] if source == "UTC" else [f"start time taken from {source}: the UTC card is missing or unreadable"]
        if named is not None and abs(value - named) > timedelta(hours=1):
            notes.append(
                f"the header's start {value:%Y-%m-%d %H:%M:%S} UT differs from the file name's by more than an hour"
            )
        return value, notes
    if named is not None:
        return named, ["start time taken from the file name: no time card is readable"]
    msg = f"{stem}: no start time in UTC, OBSDATE and OBSTIME, JD or MJD_OBS, nor in the file name; {MEND}"
    raise HeaderFault(msg)


def _day_of_year(value: object) -> datetime | None:
    """``YYYY:DDD:HH:MM:SS.s``."""
    if not isinstance(value, str):
        return None
    found = re.fullmatch(r"(\d{4}):(\d{1,3}):(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d*)?)", value.strip())
    if not found:
        return None
    year, day, hour, minute = (int(text) for text in found.groups()[:4])
    second = float(found.group(5))
    if not (1990 <= year < 2100 and 1 <= day <= 366 and hour < 24 and minute < 60 and second < 61):
        return None
    return datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)


def _calendar(date: object, time: object) -> datetime | None:
    if not isinstance(date, str) or not isinstance(time, str):
        return None
    try:
        return _plausible(datetime.fromisoformat(f"{date.strip()}T{_iso_time(time)}").replace(tzinfo=UTC))
    except ValueError:
        return None


def _iso_time(text: str) -> str:
    """HH:MM:SS with any number of decimals, as fromisoformat wants it (6 decimals or none)."""
    whole, _, fraction = text.strip().partition(".")
    return f"{whole}.{(fraction + '000000')[:6]}" if fraction else whole


def _julian(value: object, offset: float) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    days = value - offset
    if not 0 < days < 100000:
        return None
    # a JD in a float64 resolves 40 microseconds: keep the milliseconds that it can carry
    return _plausible(datetime(1858, 11, 17, tzinfo=UTC) + timedelta(milliseconds=round(days * 86_400_000)))


def _plausible(when: datetime) -> datetime | None:
    return when if 1990 <= when.year < 2100 else None


def _time_in_name(stem: str) -> datetime | None:
    found = re.search(r"(\d{8}_\d{2}_\d{2}_\d{2})", stem)
    if not found:
        return None
    try:
        return _plausible(datetime.strptime(found.group(1), "%Y%m%d_%H_%M_%S").replace(tzinfo=UTC))
    except ValueError:
        return None


def _check_shape(header: Mapping[str, object], path: Path, shape: tuple[int, int], data_bytes: int) -> None:
    axes = header.get("NAXIS")
    got = tuple(header.get(f"NAXIS{axis}") for axis in (2, 1)) if axes == 2 else (f"{axes} axes",)
    if got != shape:
        # fpack leaves an empty primary array and hides the image behind it
        hint = " Packed by fpack, it must be named .fits.fz" if axes == 0 else ""
        want = f"expected {_times(shape)} pixels. Is it of this instrument?{hint}"
        msg = f"{path.name}: the array is {_times(got)}; {want}"
        raise FrameFault(msg)
    if header.get("BITPIX") != 16:
        msg = f"{path.name}: BITPIX is {header.get('BITPIX')}; expected 16-bit integers. Is it a raw frame?"
        raise FrameFault(msg)
    if data_bytes != 2 * shape[0] * shape[1]:
        msg = (
            f"{path.name}: PCOUNT or GCOUNT make the array {data_bytes} bytes; expected {2 * shape[0] * shape[1]}, an "
            "image without groups. Is it a raw frame?"
        )
        raise FrameFault(msg)


def _times(shape: tuple[object, ...]) -> str:
    return " x ".join(str(length) for length in shape)


__all__ = ["LAMPS", "Extent", "Frame", "Kind", "Limits", "frame_from_header", "needed_number", "read_frame"]
