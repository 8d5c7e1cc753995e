"""Malformed raw frames of every kind that the instrument, its computers and the copying have produced, as a table.

Each entry is whole in itself: a suffix, bytes (or a maker of something that is no file), what must become of it, and a
word that its reason must hold.
"""

from __future__ import annotations

import gzip
import os
import socket
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
from astropy.io import fits
from night.raw_night import SHAPE, cards, frame_bytes, on_sky

BLOCK, CARD = 2880, 80
START = datetime(2019, 6, 12, 4, 28, 2, tzinfo=UTC)
#: One label per kind of frame, with the cards that make it good.
LABELS: dict[str, dict[str, object]] = {
    "ZTF19abc [A]": {},
    "STD-Feige34": {},
    "Calib:  dome 2 of 5": {"EXPTIME": 120.0, "LAMPCUR": 1.0},
    "Calib:  Hg 1 of 5": {"EXPTIME": 30.0},
    "Calib:  bias 1 of 10": {"EXPTIME": 0.0, "DOMEST": "CLOSED"},
}

GOOD, IGNORED, QUARANTINED, DEFERRED = "good", "ignored", "quarantined", "deferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A file to be.

    Attributes
    ----------
    kind : str
    content : bytes
    outcome : str
        good, ignored, quarantined or deferred.
    word : str
        Part of the reason; of a note for a good frame.
    suffix : str
    make : callable or None
        Puts something other than a file of `content` at a path.
    """

    kind: str
    content: bytes
    outcome: str
    word: str
    suffix: str = ".fits"
    make: Callable[[Path], None] | None = None

    def write(self, folder: Path, number: int) -> Path:
        path = folder / f"ifu{START + timedelta(seconds=number):%Y%m%d_%H_%M_%S}{self.suffix}"
        if self.make is None:
            path.write_bytes(self.content)
        else:
            self.make(path)
        return path


def good_frames(count: int) -> dict[str, bytes]:
    """Frames with nothing wrong, by their names."""
    return {Path(raw.place).name: raw.content for raw in on_sky(*(f"good {number}" for number in range(count)))}


def frame(label: str = "ZTF19abc [A]", *, seed: int = 1, **changes: object) -> bytes:
    """A whole frame; a change to None leaves the card out."""
    return frame_bytes(cards(START, label, **(LABELS.get(label, {}) | changes)), seed=seed)


def card(text: str | bytes) -> bytes:
    raw = text.encode("latin-1") if isinstance(text, str) else text
    assert len(raw) <= CARD, raw
    return raw.ljust(CARD)


def header_end(content: bytes, at: int = 0) -> int:
    """Where the END card of the header at byte `at` stands."""
    return next(n for n in range(at, len(content), CARD) if content[n : n + 8] == b"END     ")


def data_start(content: bytes, at: int = 0) -> int:
    return (header_end(content, at) // BLOCK + 1) * BLOCK


def with_header(content: bytes, images: list[bytes]) -> bytes:
    """The same data under another header."""
    header = b"".join(images) + card("END")
    return header.ljust(-(-len(header) // BLOCK) * BLOCK) + content[data_start(content) :]


def images(content: bytes) -> list[bytes]:
    """Cards of the primary header, END apart."""
    return [content[n : n + CARD] for n in range(0, header_end(content), CARD)]


def replaced(content: bytes, key: str, *new: str | bytes) -> bytes:
    """The card `key` (added if there is none) gives way to others."""
    found = images(content)
    at = next((n for n, image in enumerate(found) if image[:8].rstrip() == key.encode()), len(found))
    return with_header(content, [*found[:at], *(card(text) for text in new), *found[at + 1 :]])


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def with_pixels(content: bytes, data: np.ndarray) -> bytes:
    """The same header over other stored integers."""
    stored = data.astype(">i2").tobytes()
    return content[: data_start(content)] + stored.ljust(-(-len(stored) // BLOCK) * BLOCK, b"\0")


def two_hdus() -> bytes:
    """A frame with an extension behind it."""
    extension = fits.ImageHDU(np.arange(3000, dtype=np.int16).reshape(50, 60) + 1)
    content = replaced(frame(), "NEXTEND", "NEXTEND =                    1")
    data = extension.data.astype(">i2").tobytes()
    return content + extension.header.tostring().encode() + data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")


def summed() -> bytes:
    """A frame with DATASUM and CHECKSUM."""
    file = BytesIO()
    with fits.open(BytesIO(frame()), do_not_scale_image_data=True) as hdul:
        hdul.writeto(file, checksum=True)
    return file.getvalue()


def fpacked(*, checksum: bool = True, method: str = "RICE_1") -> bytes:
    """An fpacked frame, with or without the sums of its table."""
    with fits.open(BytesIO(frame()), do_not_scale_image_data=True) as hdul:
        packed = fits.CompImageHDU(hdul[0].data, compression_type=method)
        for key in ("EXPTIME", "ADCSPEED", "JD", "AIRMASS", "DOMEST", "LAMPCUR", "OBJECT", "NAME", "UTC", "GAIN"):
            packed.header[key] = hdul[0].header[key]
    file = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(file)
    content = file.getvalue()
    end = header_end(content, data_start(content))
    scale = card("BZERO   =                32768")
    content = content[:end] + scale + content[end : end + CARD] + content[end + 2 * CARD :]
    if not checksum:
        return content
    file = BytesIO()
    with fits.open(BytesIO(content), disable_image_compression=True) as hdul:
        hdul.writeto(file, checksum=True)
    return file.getvalue()


def table() -> list[Malformed]:
    """All of them."""
    found = [
        *_numbers(), *_labels(), *_clocks(), *_optional(), *_structure(), *_shapes(), *_pixels(), *_scaling(),
        *_cuts(), *_reserved(), *_sums(), *_gzip(), *_fpack(), *_other_formats(), *_no_files(), *_odd_headers(),
    ]  # fmt: skip
    files = Counter((entry.suffix, entry.content) for entry in found if entry.make is None)
    twice = [entry.kind for entry in found if entry.make is None and files[entry.suffix, entry.content] > 1]
    assert twice == [], f"the same file: {twice}"
    return found


def _numbers() -> Iterator[Malformed]:
    """Cards that the reduction cannot do without, in every way in which they can be no number."""
    values = {
        "undefined": ("", "is missing"),
        "NaN": ("NaN", "'NaN', which is not a number"),
        "inf": ("-inf", "'-inf', which is not a number"),
        "overflow": ("1E999", "is inf"),
        "negative": ("-1.0", "below"),
        "minus huge": ("-1E300", "below"),
        "huge": ("1E300", "above"),
        "seventy digits": ("9" * 70, "above"),
        "logical": ("T", "not a number"),
        "text": ("'nine hundred'", "not a number"),
        "blank text": ("''", "not a number"),
        "unclosed": ("'9OO", "not a number"),
        "complex": ("(900, 0)", "not a number"),
        "unit": ("900 s", "not a number"),
        "comma": ("900,0", "not a number"),
        "hex": ("0x384", "not a number"),
        "underscore": ("9_00", "not a number"),
        "bytes": ("\x01\xff\x80", "not a number"),
    }
    for label in LABELS:
        for key in ("EXPTIME", "ADCSPEED"):
            # a bias whose exposure time is lost or -1 is one of 0 s
            lost = ("undefined", "NaN", "overflow", "blank text", "negative") if "bias" in label else ()
            if key == "ADCSPEED":
                lost = ()
            missing = frame(label, **{key: None})
            outcome, word = (GOOD, "0 s assumed") if lost else (QUARANTINED, f"{key} is missing")
            yield Malformed(kind="card missing", content=missing, outcome=outcome, word=word)
            for kind, (text, word) in values.items():
                content = replaced(frame(label), key, f"{key:8}= {text}")
                outcome, word = (GOOD, "0 s assumed") if kind in lost else (QUARANTINED, word)
                yield Malformed(kind=f"number: {kind}", content=content, outcome=outcome, word=word)
    for key, text in (("EXPTIME", "'900'"), ("EXPTIME", "'900"), ("ADCSPEED", "'0.1     '")):
        content = replaced(frame(), key, f"{key:8}= {text}")
        yield Malformed(kind="number as text", content=content, outcome=GOOD, word="as text, read as numbers")


def _labels() -> Iterator[Malformed]:
    missing = frame(OBJECT=None, NAME=None)
    yield Malformed(kind="no label", content=missing, outcome=QUARANTINED, word="OBJECT is missing")
    yield Malformed(kind="label lost", content=frame(OBJECT=None), outcome=GOOD, word="NAME is used")
    for text in ("12", "1.5", "T", "F", "-1E30"):
        content = replaced(frame(), "OBJECT", f"OBJECT  = {text}")
        yield Malformed(kind="label is no text", content=content, outcome=QUARANTINED, word="which is not text")
    content = replaced(frame(NAME=None), "OBJECT", "OBJECT  =")
    yield Malformed(kind="no label", content=content, outcome=QUARANTINED, word="OBJECT is missing")
    for letter in "x1[":
        long = [f"OBJECT  = '{letter * 60}&'", *(f"CONTINUE  '{letter * 60}&'" for _ in range(4000))]
        content = replaced(frame(), "OBJECT", *long)
        yield Malformed(kind="endless label", content=content, outcome=QUARANTINED, word="characters; expected a name")
    content = replaced(frame(), "NAME", f"NAME    = '{'n' * 60}&'", *[f"CONTINUE  '{'n' * 60}&'"] * 9)
    yield Malformed(kind="endless name", content=content, outcome=QUARANTINED, word="NAME has")
    content = frame("[A]", NAME=None)
    yield Malformed(kind="no target", content=content, outcome=QUARANTINED, word="names a target")
    ignored = {
        "": "blank",
        "Focus: 16.32": "focus",
        "focus : 3": "focus",
        "test": "test",
        "Calib: TEST dome 1 of 5": "test",
        "dark 3 of 5": "dark",
        "STOW": "stowed",
        "bias": "bias outside",
        "Calib:  Hg 0 of 5": "impossible series",
        "Calib:  Hg 6 of 5": "impossible series",
        "Calib:  Hg 99999999999999999999 of 5": "one-off",
        "Calib:  Hg": "one-off",
        "Calib:  laser 1 of 5": "no known calibration",
        "Calib:  Hg Cd 1 of 5": "not one calibration",
        "Calib:  \x07 1 of 5": "no known calibration",
    }
    for label, word in ignored.items():
        written = "".join(char if char >= " " else "?" for char in label)
        content = frame("label", NAME="x", EXPTIME=0.0 if label == "bias" else 30.0)
        content = replaced(content, "OBJECT", f"OBJECT  = '{label}'")
        yield Malformed(kind=f"label {written!r}", content=content, outcome=IGNORED, word=word)
    content = frame(DOMEST="CLOSED")
    yield Malformed(kind="dome closed", content=content, outcome=IGNORED, word="dome was closed")
    content = frame("Calib:  dome 2 of 5", LAMPCUR=0.0)
    yield Malformed(kind="lamp off", content=content, outcome=GOOD, word="LAMPCUR")
    content = frame("Calib:  bias 1 of 10", EXPTIME=3.0)
    yield Malformed(kind="bias exposed", content=content, outcome=IGNORED, word="exposed 3 s")


def _clocks() -> Iterator[Malformed]:
    """Absurd clocks cost nothing while another clock, or the name, tells the time."""
    bad = ["2019:999:99:99:99", "2019:163", "", "0000:001:00:00:00.0", "9999:366:23:59:60.9", "2019:163:-4:28:02.0"]
    for text in bad:
        yield Malformed(kind="absurd UTC", content=frame(UTC=text), outcome=GOOD, word="start time from")
        content = frame(UTC=text, JD=-1.0)
        yield Malformed(kind="absurd UTC and JD", content=content, outcome=GOOD, word="from the file name")
    for text in ("NaN", "1E300", "'yesterday'", "T", "9" * 70, "0"):
        content = replaced(frame(UTC=None), "JD", f"JD      = {text}")
        yield Malformed(kind="absurd JD", content=content, outcome=GOOD, word="from the file name")
        content = replaced(frame(UTC=None, JD=None), "MJD_OBS", f"MJD_OBS = {text}")
        yield Malformed(kind="absurd MJD_OBS", content=content, outcome=GOOD, word="from the file name")
    for date, time in (
        ("2019-13-40", "04:28"),
        ("12/06/2019", "4 o'clock"),
        (20190612, 42802),
        ("0001-01-01", "00:00"),
    ):
        content = frame(UTC=None, JD=None, OBSDATE=date, OBSTIME=time)
        yield Malformed(kind="absurd date", content=content, outcome=GOOD, word="from the file name")


def _optional() -> Iterator[Malformed]:
    """Cards that the reduction can do without."""
    for text in ("NaN", "'1.2'", "0.1", "1E300", "-1", "T", "(1, 2)", "'", "99"):
        content = replaced(frame(), "AIRMASS", f"AIRMASS = {text}")
        yield Malformed(kind="absurd AIRMASS", content=content, outcome=GOOD, word="AIRMASS")
        for key in ("GAIN", "LAMPCUR"):
            content = replaced(frame(), key, f"{key:8}= {text}")
            yield Malformed(kind=f"absurd {key}", content=content, outcome=GOOD, word="")
    for key in ("AIRMASS", "GAIN", "LAMPCUR", "DOMEST", "NAME"):
        yield Malformed(kind=f"no {key}", content=frame(**{key: None}), outcome=GOOD, word="")


def _structure() -> Iterator[Malformed]:
    lies = {
        "SIMPLE": [("F", "SIMPLE is F"), ("'T'", "SIMPLE is"), ("1", "SIMPLE is"), ("", "SIMPLE is")],
        "BITPIX": [(v, "BITPIX is") for v in ("0", "15", "17", "-16", "1600", "NaN", "'16'", "16.0", "", "9" * 70)],
        "NAXIS": [(v, "NAXIS is") for v in ("-1", "-2", "1000", "9" * 20, "2.0", "two", "")]
        + [("0", "0 axes"), ("1", "1 axes"), ("3", "NAXIS3 is missing"), ("999", "NAXIS3 is missing")],
        "NAXIS1": [(v, "NAXIS1 is") for v in ("-64", "-1", "9" * 20, "64.0", "6_4", "T", "", "0x40", "١٢".encode())]
        + [("0", "64 x 0"), ("1", "64 x 1"), ("63", "64 x 63"), ("32", "64 x 32"), ("99999999", "promise")],
        "NAXIS2": [(v, "NAXIS2 is") for v in ("-64", "-9999999", "9" * 70, "6.4E1", "")]
        + [("0", "0 x 64"), ("50", "50 x 64"), ("9999999", "promise")],
    }
    for key, wrong in lies.items():
        for text, word in wrong:
            raw = text if isinstance(text, bytes) else text.encode()
            content = replaced(frame(), key, f"{key:8}= ".encode() + raw)
            yield Malformed(kind=f"{key} lies", content=content, outcome=QUARANTINED, word=word)
        without = with_header(frame(), [image for image in images(frame()) if image[:8].rstrip() != key.encode()])
        outcome = (QUARANTINED, "SIMPLE") if key == "SIMPLE" else (QUARANTINED, f"{key} is missing")
        yield Malformed(kind=f"no {key}", content=without, outcome=outcome[0], word=outcome[1])
    # promises that only a longer file could keep: it may still grow
    for key, text in (("NAXIS1", "65"), ("NAXIS2", "4096"), ("BITPIX", "64"), ("BITPIX", "-64"), ("NAXIS2", "2048")):
        content = replaced(frame(), key, f"{key:8}= {text:>20}")
        fits_in = key == "NAXIS1"
        outcome = QUARANTINED if fits_in else DEFERRED
        yield Malformed(
            kind="promises more", content=content, outcome=outcome, word="64 x 65" if fits_in else "bytes are there"
        )
    for extra, word in (
        ("PCOUNT  = 100", "PCOUNT or GCOUNT"), ("PCOUNT  = -100", "PCOUNT is -100"),
        ("GCOUNT  = 0", "PCOUNT or GCOUNT"), ("GCOUNT  = -1", "GCOUNT is -1"),
        ("PCOUNT  = 'x'", "PCOUNT is"), ("GCOUNT  = 99999999", "promise"),
    ):  # fmt: skip
        content = with_header(frame(), [*images(frame()), card(extra)])
        yield Malformed(kind="groups", content=content, outcome=QUARANTINED, word=word)
    end = header_end(frame())
    no_end = frame()[:end] + b" " * CARD + frame()[end + CARD :]
    yield Malformed(kind="no END", content=no_end, outcome=QUARANTINED, word="expected an END card")
    yield Malformed(kind="END is lower case", content=no_end[:end] + card("end") + no_end[end + CARD :],
                    outcome=QUARANTINED, word="expected an END card")  # fmt: skip
    endless = frame()[:end] + card("COMMENT for ever") * 36 * 130
    yield Malformed(kind="endless header", content=endless, outcome=QUARANTINED, word="an END card within 125 blocks")
    for shift in (1, 7, 80):
        content = b" " * shift + frame()[:-shift]
        yield Malformed(kind="shifted", content=content, outcome=QUARANTINED, word="SIMPLE card")


def _shapes() -> Iterator[Malformed]:
    for shape in ((32, 64), (64, 32), (128, 128), (1, 1), (1, 4096), (65, 64), (64, 63)):
        content = frame_bytes(cards(START, "x"), seed=1, shape=shape)
        word = f"the array is {shape[0]} x {shape[1]}; expected 64 x 64"
        yield Malformed(kind="other shape", content=content, outcome=QUARANTINED, word=word)
    for bits in (np.uint8, np.int32, np.int64, np.float32, np.float64):
        data = np.random.default_rng(1).normal(100, 9, SHAPE).astype(bits)
        file = BytesIO()
        hdu = fits.PrimaryHDU(data)
        hdu.header["OBJECT"] = "x"
        hdu.writeto(file)
        yield Malformed(
            kind="other BITPIX", content=file.getvalue(), outcome=QUARANTINED, word="expected 16-bit integers"
        )
    for axes in ((2, 64, 64), (1, 64, 64), (4096,)):
        file = BytesIO()
        fits.PrimaryHDU(np.ones(axes, np.int16)).writeto(file)
        yield Malformed(
            kind="other axes", content=file.getvalue(), outcome=QUARANTINED, word=f"the array is {len(axes)} axes"
        )
    file = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(SHAPE, np.int16))]).writeto(file)
    yield Malformed(kind="image in an extension", content=file.getvalue(), outcome=QUARANTINED, word="0 axes")


def _pixels() -> Iterator[Malformed]:
    for value in (0, 1, 700, 40000, 65535):
        what = "zero" if value == 0 else f"{value} ADU"
        content = with_pixels(frame(), np.full(SHAPE, value - 32768))
        yield Malformed(kind="constant", content=content, outcome=QUARANTINED, word=f"every pixel is {what}")
    saturated = np.full(SHAPE, 32767)
    saturated[0, 0] = 5
    yield Malformed(
        kind="saturated", content=with_pixels(frame(), saturated), outcome=QUARANTINED, word="saturated all over"
    )
    # a constant at the stored zero looks like space that was reserved
    content = with_pixels(frame(), np.zeros(SHAPE))
    yield Malformed(kind="stored zeros", content=content, outcome=DEFERRED, word="zero")


def _scaling() -> Iterator[Malformed]:
    for text in ("1E300", "NaN", "'32768'", "T", "-32768", "32767", "32768.5", "1", "9" * 70, "(1, 2)"):
        content = replaced(frame(), "BZERO", f"BZERO   = {text}")
        yield Malformed(kind="BZERO lies", content=content, outcome=QUARANTINED, word="BZERO is")
    for text in ("0", "2", "-1", "1E300", "NaN", "'1'", "T", "0.5"):
        content = replaced(frame(), "BSCALE", f"BSCALE  = {text}")
        yield Malformed(kind="BSCALE lies", content=content, outcome=QUARANTINED, word="BSCALE is")
    for text in ("BZERO   = 0", "COMMENT   no zero point"):
        content = replaced(frame(), "BZERO", text)
        yield Malformed(kind="BZERO lies", content=content, outcome=QUARANTINED, word="Is BZERO wrong")


def _cuts() -> Iterator[Malformed]:
    whole, double = frame(), two_hdus()
    start = data_start(whole)
    lengths = [0, 1, 8, 9, 79, 80, 81, 100, 1000, 2879, *range(2880, start, 720), start, start + 1]
    lengths += [*range(start + 500, len(whole), 700), len(whole) - BLOCK, len(whole) - 1]
    pixels_end = start + 2 * SHAPE[0] * SHAPE[1]
    for length in sorted({*lengths, pixels_end - 1, pixels_end, pixels_end + 1}):
        # what pads the last block says nothing: some writers leave it out
        outcome, word = (DEFERRED, "deferred") if length < pixels_end else (GOOD, "")
        yield Malformed(kind="cut", content=whole[:length], outcome=outcome, word=word)
    for length in (
        len(whole),
        len(whole) + 1,
        len(whole) + 80,
        len(whole) + BLOCK,
        len(double) - BLOCK,
        len(double) - 1,
    ):
        outcome, word = (GOOD, "") if length == len(double) - 1 else (DEFERRED, "deferred")
        yield Malformed(kind="cut extension", content=double[:length], outcome=outcome, word=word)
    for count in (1, 5, 999999999):
        content = replaced(whole, "NEXTEND", f"NEXTEND = {count}")
        content = content if count > 1 else content + b"\0" * BLOCK
        yield Malformed(kind="extensions missing", content=content, outcome=DEFERRED, word=f"1 of {count + 1} HDUs")


def _reserved() -> Iterator[Malformed]:
    """The right size, and zeros where bytes should be."""
    whole = frame()
    start, size = data_start(whole), len(whole)
    for begin, end in (
        (0, size), (0, 9), (0, BLOCK), (80, 160), (400, 800), (start - BLOCK + 240, start), (start + 10, size),
        (start, start + 4096), (start + 2000, start + 6096), (size - 6000, size), (240, size),
    ):  # fmt: skip
        content = whole[:begin] + b"\0" * (end - begin) + whole[end:]
        yield Malformed(kind="space reserved", content=content, outcome=DEFERRED, word="deferred")


def _sums() -> Iterator[Malformed]:
    whole = summed()
    start = data_start(whole)
    for at in (start, start + 1, start + 4000, len(whole) - 1, len(whole) - 3000):
        yield Malformed(kind="data sum differs", content=flipped(whole, at), outcome=DEFERRED, word="DATASUM")
    corrections = replaced(whole, "AIRMASS", "AIRMASS =                  1.5")
    yield Malformed(kind="header sum differs", content=corrections, outcome=DEFERRED, word="CHECKSUM")
    for text in ("'1'", "1", "'many'", "-5", "1E5", "T", "'4294967296'"):
        content = replaced(frame(), "DATASUM", f"DATASUM = {text}")
        yield Malformed(kind="data sum lies", content=content, outcome=DEFERRED, word="DATASUM")


def _gzip() -> Iterator[Malformed]:
    def entry(kind: str, content: bytes, outcome: str, word: str) -> Malformed:
        return Malformed(kind=f"gzip: {kind}", content=content, outcome=outcome, word=word, suffix=".fits.gz")

    packed = gzip.compress(frame(), mtime=0)
    for length in (0, 1, 2, 3, 9, 10, 18, 100, len(packed) // 2, len(packed) - 9, len(packed) - 8, len(packed) - 1):
        yield entry("cut", packed[:length], DEFERRED, "deferred")
    for at in (-1, -2, -3, -5, -8):
        yield entry("CRC or length", flipped(packed, len(packed) + at), DEFERRED, "CRC or length does not match")
    for at in (300, 1000, 3000, len(packed) - 100):
        yield entry("flipped byte", flipped(packed, at), DEFERRED, "gzip stream")
    for at in (400, 2000):
        yield entry("hole", packed[:at] + b"\0" * 512 + packed[at + 512 :], DEFERRED, "gzip stream")
    yield entry("reserved", b"\0" * len(packed), DEFERRED, "space reserved")
    yield entry("other method", packed[:2] + b"\x07" + packed[3:], QUARANTINED, "does not begin as gzip does")
    yield entry("plain inside the name", frame(seed=2), QUARANTINED, "take .gz off its name")
    yield entry("zip", b"PK\3\4" + packed, QUARANTINED, "does not begin as gzip does")
    yield entry("twice", gzip.compress(packed, mtime=0), QUARANTINED, "its name should end in .fits.gz")
    for length in (0, 100, 2880, 5000, data_start(frame()) + 2 * SHAPE[0] * SHAPE[1] - 1):
        content = gzip.compress(frame()[:length], mtime=0)
        yield entry("frame cut before", content, QUARANTINED, "the frame in it is not")
    yield entry("text inside", gzip.compress(b"<html>" * 999, mtime=0), QUARANTINED, "SIMPLE card")
    content = gzip.compress(frame(EXPTIME=None), mtime=0)
    yield entry("bad card inside", content, QUARANTINED, "EXPTIME is missing")
    bomb = zlib.compressobj(9, wbits=31)
    piece = b"\0" * 10_000_000
    content = b"".join(bomb.compress(piece) for _ in range(11)) + bomb.flush()
    yield entry("bomb", content, QUARANTINED, "inflates to more than 100 MB")
    yield entry("endless members", gzip.compress(b"", mtime=0) * 500, QUARANTINED, "0 bytes")


def _fpack() -> Iterator[Malformed]:
    def entry(kind: str, content: bytes, outcome: str, word: str) -> Malformed:
        return Malformed(kind=f"fpack: {kind}", content=content, outcome=outcome, word=word, suffix=".fits.fz")

    packed, bare = fpacked(), fpacked(checksum=False)
    table_at = data_start(packed)
    for length in (0, 80, 2879, 2880, 2881, table_at + 400, data_start(packed, table_at), len(packed) - 1):
        yield entry("cut", packed[:length], DEFERRED, "deferred")
    for at in (data_start(packed, table_at) + 2, len(packed) - 1, len(packed) - 2000):
        yield entry("sum differs", flipped(packed, at), DEFERRED, "DATASUM")
    wrong: dict[str, list[tuple[str, str, str]]] = {
        "ZCMPTYPE": [(f"'{v}'", QUARANTINED, "is packed by") for v in ("HCOMPRESS_1", "PLIO_1", "NOCOMPRESS", "", "x")],
        "ZIMAGE": [(v, QUARANTINED, "no compressed image") for v in ("F", "1", "'T'", "")],
        "ZBITPIX": [(v, QUARANTINED, "BITPIX") for v in ("-32", "17", "'16'", "64", "")],
        "ZNAXIS": [(v, QUARANTINED, "axes") for v in ("3", "0", "-2", "'2'")],
        "ZNAXIS1": [(v, QUARANTINED, "tiles of") for v in ("-64", "0", "63", "9999999999", "6.4E1")],
        "ZNAXIS2": [(v, QUARANTINED, "tiles") for v in ("-64", "0", "63", "65", "9999999999")],
        "ZTILE1": [(v, QUARANTINED, "tiles") for v in ("0", "-1", "63", "65")],
        "ZTILE2": [(v, QUARANTINED, "tiles") for v in ("0", "2", "9999999999")],
        "TFORM1": [(f"'{v}'", QUARANTINED, "") for v in ("1PZ(9)", "64B", "", "1QB(9)", "99999PB", "\x01")],
        "TTYPE1": [("'NOTHING'", QUARANTINED, "cannot be unpacked"), ("5", QUARANTINED, "cannot be unpacked")],
        "TFIELDS": [("0", QUARANTINED, ""), ("2", QUARANTINED, "column 2"), ("999999", QUARANTINED, "column 2")],
        "PCOUNT": [("0", QUARANTINED, "outside of its heap"), ("9999999", DEFERRED, "bytes are there")],
        "THEAP": [("999999", QUARANTINED, "outside of its heap")],
    }
    for key, cases in wrong.items():
        for text, outcome, word in cases:
            yield entry(f"{key} lies", _with_table_card(bare, key, f"{key:8}= {text}"), outcome, word)
    data = data_start(bare, data_start(bare))
    for what, descriptor in {
        "length": (10**6, 0),
        "negative": (-1, 0),
        "offset": (50, 10**6),
        "minus": (50, -9),
    }.items():
        raw = b"".join(number.to_bytes(4, "big", signed=True) for number in descriptor)
        content = bare[:data] + raw + bare[data + 8 :]
        yield entry(f"tile {what}", content, QUARANTINED, "outside of its heap")
    for at in range(0, 512, 64):  # all tiles at the whole heap
        whole = int(_table_value(bare, "PCOUNT")).to_bytes(4, "big") + b"\0" * 4
        content = bare[:data] + whole * (at // 8 + 8) + bare[data + at + 64 :]
        yield entry("tiles overlap", content, QUARANTINED, "outside of its heap")
    zipped = fpacked(checksum=False, method="GZIP_1")
    start = data_start(zipped, data_start(zipped))
    for at in (0, 30, 60):
        yield entry("gzipped tile broken", flipped(zipped, start + 512 + at), QUARANTINED, "tile")
    yield entry("plain", frame(seed=3), QUARANTINED, "Take .fz off its name")
    yield entry("gzip", gzip.compress(packed, mtime=0), QUARANTINED, "its name should end in .fits.gz")
    yield Malformed(kind="fpack: unnamed", content=packed, outcome=QUARANTINED, word="must be named .fits.fz")
    content = _with_table_card(bare, "EXPTIME", "EXPTIME = NaN")
    yield entry("bad card", content, QUARANTINED, "EXPTIME is 'NaN'")


def _with_table_card(content: bytes, key: str, new: str) -> bytes:
    at = data_start(content)
    return content[:at] + replaced(content[at:], key, new)


def _table_value(content: bytes, key: str) -> str:
    at = data_start(content)
    return next(image[10:30].decode() for image in images(content[at:]) if image[:8].rstrip() == key.encode())


def _other_formats() -> Iterator[Malformed]:
    noise = np.random.default_rng(1).integers(1, 256, 20000).astype(np.uint8).tobytes()
    for content in (
        b"hello", b"hello, this is no frame\n" * 999, b"<html>404</html>" * 999, b"PK\3\4" * 999, b"%PDF-1.5" * 999,
        b"BZh9" * 999, b"\xfd7zXZ\0" * 999, b"II*\0" * 3000, b"\x89HDF\r\n\x1a\n" * 999, b"XTENSION= 'IMAGE   '" * 999,
        b"simple  =                    T".ljust(80) * 999, b"SIMPLE =                     T".ljust(80) * 999,
        b"\xef\xbb\xbf" + frame(), frame()[80:], noise, noise[:100], b"\r\n" + frame(),
        gzip.compress(frame(seed=4), mtime=0),
    ):  # fmt: skip
        yield Malformed(kind="other format", content=content, outcome=QUARANTINED, word="SIMPLE card")


def _no_files() -> Iterator[Malformed]:
    def no_file(kind: str, word: str, make: Callable[[Path], None], outcome: str = QUARANTINED) -> Malformed:
        return Malformed(kind=kind, content=b"", outcome=outcome, word=word, make=make)

    yield no_file("directory", "is a directory", lambda path: path.mkdir())
    yield no_file("pipe", "is a pipe", os.mkfifo)
    yield no_file("socket", "is a socket", _socket)
    yield no_file("device", "is a device", lambda path: path.symlink_to("/dev/zero"))
    yield no_file("link to nowhere", "No such file", lambda path: path.symlink_to("moved away.fits"))
    yield no_file("link to itself", "symbolic links", lambda path: path.symlink_to(path.name))
    yield no_file("link to a directory", "is a directory", lambda path: path.symlink_to(path.parent))
    yield no_file("beyond measure", "has 1099511627776 bytes; expected at most", _enormous)
    yield no_file("hole in the middle", "deferred", _sparse, DEFERRED)


def _socket(path: Path) -> None:
    # an address is 108 bytes at most; a folder that is open has a short name
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _enormous(path: Path) -> None:
    with path.open("wb") as file:
        file.write(frame())
        file.truncate(1 << 40)


def _sparse(path: Path) -> None:
    whole = frame()
    with path.open("wb") as file:
        file.write(whole[:3000])
        file.seek(len(whole) - 3000)
        file.write(whole[-3000:])


def _odd_headers() -> Iterator[Malformed]:
    """Headers that break rules and still say all that is needed."""
    whole = frame()

    def added(*texts: str | bytes, at: int | None = None) -> bytes:
        cards_ = images(whole)
        at = len(cards_) if at is None else at
        return with_header(whole, [*cards_[:at], *(card(text) for text in texts), *cards_[at:]])

    forbidden = "characters that FITS forbids"
    for kind, content, word in (
        ("non-ASCII comment", added("COMMENT Gr\xfcn"), forbidden),
        ("UTF-8 card", added("OBSERVER= 'Zoë'".encode()), forbidden),
        ("control characters", added(b"WEATHER = '\x07\x1b[2J\n'"), forbidden),
        ("non-ASCII label", replaced(whole, "OBJECT", "OBJECT  = 'ZTF\xe9 [A]'"), forbidden),
        ("line feeds in the label", replaced(whole, "OBJECT", b"OBJECT  = 'ZTF\n\r [A]'"), forbidden),
        ("non-ASCII keyword", added(b"\xff\xfe\xfd    = 5"), forbidden),
        ("CONTINUE of nothing", added("CONTINUE  'of nothing'", at=8), ""),
        ("CONTINUE first", added("CONTINUE  'of nothing'", at=6), ""),
        ("long string", added("NOTES   = 'begins&'", "CONTINUE  ' goes on&'", "CONTINUE  ' and ends'"), ""),
        ("long string that never ends", added(*["NOTES   = 'x&'", *["CONTINUE  'x&'"] * 50]), ""),
        ("HIERARCH", added("HIERARCH CCD1 TEMP = -40.5", "HIERARCH broken", "HIERARCH = 5"), ""),
        ("HIERARCH of a card that counts", added("HIERARCH EXPTIME = 'never'"), ""),
        ("record-valued cards", added("DP1     = 'NAXIS: 2'", "DP1     = 'AXIS.1: 1'"), ""),
        ("duplicate cards", added("EXPTIME = 'never'", "OBJECT  = 'test'", "NAXIS1  = 1", "BITPIX  = 8"), ""),
        ("huge header", added(*[f"CARD{n:04} = {n}" for n in range(4000)]), ""),
        ("lower-case keywords", added("exptime = 1", "weather = 'good'"), ""),
        ("no blank after the equals sign", added("FOCUS   =16.2"), ""),
        ("equals signs everywhere", added("========", "A=B=C   = D=E", "=       = 1"), ""),
        ("unclosed string", added("NOTES   = 'never closed", "NOTES2  = ''''''"), ""),
        ("absurd numbers", added("A       = 1E99999", "B       = -1D-999", "D       = 1E"), ""),
        ("seventy digits", added("C       = " + "9" * 70, "D       = -" + "9" * 69), ""),
        ("binary in a comment", added(b"COMMENT " + bytes(range(129, 200))), forbidden),
        ("trailing zeros", whole + b"\0" * BLOCK, ""),
        ("trailing junk", whole + b"junk" * 1000, ""),
        ("trailing newline", whole + b"\n", ""),
        ("no padding cards", added(*["COMMENT"] * 100), ""),
        ("WCS nonsense", added("CTYPE1  = 'RA---XXX'", "CRVAL1  = NaN", "CD1_1   = 'x'", "WCSAXES = 999999"), ""),
        ("table cards", added("TFIELDS = 5", "TFORM1  = '1PB'", "ZIMAGE  = T", "XTENSION= 'BINTABLE'"), ""),
        ("BLANK and friends", added("BLANK   = -32768", "DATAMIN = NaN", "EXTEND  = 'maybe'", "GROUPS  = T"), ""),
    ):  # fmt: skip
        yield Malformed(kind=f"odd header: {kind}", content=content, outcome=GOOD, word=word)
