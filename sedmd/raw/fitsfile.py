"""Is a raw file whole? Read from its cards, sums and bytes alone, for plain, gzipped and fpacked frames.

Completeness is never a fixed size: one more header block makes a whole frame longer, and a fixed limit then lets a
cut frame pass. A size that fits is not enough either: space may be reserved and not yet written, and a file cut
between two extensions is valid FITS.
"""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sedmd.core.errors import FrameFault
from sedmd.host import foreign_file as foreign
from sedmd.host.foreign_file import ForeignFault
from sedmd.raw.fitssum import ones_complement_sum
from sedmd.raw.header import CARD, header_values
from sedmd.raw.rawname import Packing, packing_of
from sedmd.raw.unpack import BLOCK, MAX_BYTES, funpack, gunzip, is_packed_image

#: A header longer than this (360 000 bytes, 4500 cards) is damage, not a header.
MAX_HEADER_BLOCKS = 125
#: Bytes of data at the end of an array that must not all be zero in a file that claims to be whole.
TAIL_BYTES = 4096
#: An aligned run of zero bytes this long is no exposure where unsigned integers are stored with BZERO (it would be 1024
#: pixels of exactly 32768 ADU) or packed.
ZERO_RUN_BYTES = 2048

_NOT_WRITTEN = "space reserved, data not written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What the cards of the primary array promise.

    Attributes
    ----------
    header_bytes : int
        Length of the primary header, padding included.
    data_bytes : int
        Length of the primary array without padding.
    expected_bytes : int
        Length of both, padding included.
    """

    header_bytes: int
    data_bytes: int
    expected_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """Is the file whole?

    Attributes
    ----------
    whole : bool
    size, mtime_ns : int
        Of the open file: what was judged, not what a cache of attributes says.
    expected : int or None
        Bytes that the headers promise; None while they cannot be read, and for gzip, which does not say.
    reason : str
        In a sentence why it is not whole; empty otherwise.
    damaged : bool
        All bytes seem to be there, but they are not the right ones.
    """

    whole: bool
    size: int
    expected: int | None
    reason: str = ""
    mtime_ns: int = 0
    damaged: bool = False


def examine(path: Path, *, min_hdus: int = 1) -> FileCheck:
    """Judge whether `path` holds a whole raw frame, by the packing that its name tells.

    Parameters
    ----------
    min_hdus : int
        Headers with data that a frame of this camera has; a NEXTEND card may ask for more. The empty primary of an
        fpacked file is not counted.

    Raises
    ------
    FrameFault
        If the content can never become a raw frame, however much of it still arrives; also for what is no file.
    OSError
        If the file cannot be read.
    """
    return _judge(path, min_hdus)[0]


def read_plain(path: Path, *, min_hdus: int = 1) -> bytes:
    """Content of a whole raw frame as a plain FITS file, from any packing.

    Raises
    ------
    FrameFault
        If the file is not whole, or as `examine`.
    OSError
        If the file cannot be read.
    """
    verdict, content, hdus = _judge(path, min_hdus)
    if not verdict.whole:
        state = "damaged" if verdict.damaged else "cut"
        msg = f"{path.name} is {state}: {verdict.reason}; expected a whole FITS file. Copy it again"
        raise FrameFault(msg)
    if packing_of(path) is not Packing.FPACK:
        return content
    plain = funpack(content, path.name, at=hdus[1].at, header_bytes=hdus[1].header_bytes)
    if lack := _sum_that_differs(plain, _walk(io.BytesIO(plain), len(plain), path.name).hdus[:1]):
        msg = f"{path.name} is damaged: unpacked, {lack}; expected a whole frame. Copy it again"
        raise FrameFault(msg)
    return plain


def damage_of(content: bytes, name: str) -> str:
    """What is wrong with a FITS file of ours in memory: it is cut, not FITS, or sums differ; empty if nothing is."""
    if len(content) < BLOCK:
        return f"{len(content)} bytes, less than one FITS block of {BLOCK}"
    try:
        walk = _walk(io.BytesIO(content), len(content), name)
    except FrameFault as fault:
        return str(fault)
    return walk.missing or _sum_that_differs(content, walk.hdus)


def primary_extent(content: bytes) -> Extent:
    """The primary HDU's `Extent`, for bytes already in memory.

    Raises
    ------
    FrameFault
        If the header does not end or its structural cards cannot be read.
    """
    end, cards = _header(io.BytesIO(content), 0, len(content), "the frame")
    if end is None:
        msg = "the primary header has no END card; expected a FITS header. Copy the frame again"
        raise FrameFault(msg)
    data = _data_bytes(cards, "the frame")
    return Extent(header_bytes=end, data_bytes=data, expected_bytes=end + _padded(data))


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, behind a link or not; never waits for the writer of a pipe.

    Raises
    ------
    FrameFault
        If it is a directory, pipe, socket or device.
    OSError
        If it cannot be opened; also for a link to nowhere.
    """
    try:
        return foreign.open_regular(path, follow=True)
    except ForeignFault as fault:
        raise FrameFault(str(fault)) from fault


def unreadable(path: Path, error: OSError) -> str:
    """The sentence for a file that the system would not let us read."""
    return (
        f"{path.name} cannot be read: {error.strerror or error}; expected a readable file. "
        "Check the file, its permissions and its disk; it is reread when it changes"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hdu:
    """A header and its data: where they are, and the structural cards as text."""

    at: int
    header_bytes: int
    data_bytes: int
    cards: Mapping[str, str]

    @property
    def data_at(self) -> int:
        return self.at + self.header_bytes

    @property
    def end(self) -> int:
        return self.data_at + _padded(self.data_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    hdus: list[_Hdu] = field(default_factory=list)
    end: int
    missing: str = ""


def _judge(path: Path, min_hdus: int) -> tuple[FileCheck, bytes, list[_Hdu]]:
    """The verdict, and for a whole file its content (inflated, not funpacked) and layout."""
    packing = packing_of(path) or Packing.PLAIN
    with open_regular(path) as file:
        status = os.fstat(file.fileno())
        size = status.st_size
        if size > MAX_BYTES:
            msg = f"{path.name} has {size} bytes; expected a raw frame of 8.4 MB. Exclude it"
            raise FrameFault(msg)
        start = file.read(9)
        _refuse_other_formats(path.name, start, packing)
        file.seek(0)
        if packing is Packing.GZIP:
            content, walk, damage = _judge_gzip(file, start, path.name, min_hdus)
        else:
            content, walk, damage = _judge_fits(file, size, path.name, min_hdus, packing)
    verdict = FileCheck(
        whole=not (walk.missing or damage),
        size=size,
        expected=walk.end or None,
        reason=walk.missing or damage,
        mtime_ns=status.st_mtime_ns,
        damaged=bool(damage),
    )
    return verdict, content, walk.hdus


def _refuse_other_formats(name: str, start: bytes, packing: Packing) -> None:
    # zero bytes may be reserved space that the writer fills later; anything else must begin as its format does
    gzipped = start.startswith(b"\x1f\x8b")
    if not start.strip(b"\0"):
        return
    if packing is Packing.GZIP:
        if not b"\x1f\x8b\x08".startswith(start[:3]):
            is_plain = " (it is plain FITS: take .gz off its name)" if start == b"SIMPLE  =" else ""
            msg = f"{name} does not begin as gzip does; expected a gzipped FITS file{is_plain}. Copy the frame again"
            raise FrameFault(msg)
    elif not b"SIMPLE  =".startswith(start):
        is_gzip = " (it is gzip: its name should end in .fits.gz)" if gzipped else ""
        msg = f"{name} does not begin with a SIMPLE card; expected a FITS file{is_gzip}. Copy the frame again"
        raise FrameFault(msg)


def _judge_gzip(file: BinaryIO, start: bytes, name: str, min_hdus: int) -> tuple[bytes, _Walk, str]:
    if not start.strip(b"\0"):
        return b"", _Walk(end=0, missing="no bytes yet, or only zeros: space reserved, data not written"), ""
    inflated = gunzip(file, name)
    if inflated.missing or inflated.broken:
        return b"", _Walk(end=0, missing=inflated.missing), inflated.broken
    content = inflated.content
    _refuse_other_formats(name, content[:9], Packing.PLAIN)
    content, walk, damage = _judge_fits(io.BytesIO(content), len(content), name, min_hdus, Packing.PLAIN)
    if lack := walk.missing or damage:
        lack = f"the gzip file is whole but the frame in it is not: {lack}"
        msg = f"{name}: {lack}; expected a whole FITS file. Copy it again"
        raise FrameFault(msg)
    return content, _Walk(hdus=walk.hdus, end=0), ""


def _judge_fits(file: BinaryIO, size: int, name: str, min_hdus: int, packing: Packing) -> tuple[bytes, _Walk, str]:
    """Content, layout, and what is wrong with bytes that are all there."""
    if size < BLOCK:
        return b"", _Walk(end=0, missing=f"{size} bytes, less than one FITS block of {BLOCK}"), ""
    walk = _walk(file, size, name)
    if packing is Packing.FPACK and walk.hdus and walk.hdus[0].data_bytes:
        msg = (
            f"{name} holds a plain array; expected an image packed by fpack. Take .fz off its name if it is plain FITS"
        )
        raise FrameFault(msg)
    if walk.missing:
        return b"", walk, ""
    extra = 1 if packing is Packing.FPACK else 0
    wanted = _expected_hdus(walk.hdus, max(min_hdus, 1), extra)
    if len(walk.hdus) < wanted:
        lack = f"{len(walk.hdus) - extra} of {wanted - extra} HDUs are there"
        return b"", _Walk(hdus=walk.hdus, end=walk.end, missing=lack), ""
    file.seek(0)
    content = file.read(size)
    if packing is Packing.FPACK:
        second = walk.hdus[1]
        if not is_packed_image(header_values(content[second.at : second.data_at])):
            msg = f"{name} holds no compressed image; expected one packed by fpack. Copy the frame again"
            raise FrameFault(msg)
        judged = walk.hdus
        damage = _hole(file, walk.end) or _blank_tail(content, second) or _gap(content, second)
    else:
        judged, first = walk.hdus, walk.hdus[0]
        damage = _hole(file, first.data_at + first.data_bytes) or _blank_tail(content, first)
        # without BZERO a zero may be a level
        if re.fullmatch(r"\+?32768(\.0*)?", first.cards.get("BZERO", "")):
            damage = damage or _gap(content, first)
    return content, walk, damage or _sum_that_differs(content, judged)


def _expected_hdus(hdus: list[_Hdu], min_hdus: int, extra: int) -> int:
    """How many there must be: by the configuration, by NEXTEND of the (packed) primary, and fpack's own empty one."""
    text = hdus[extra].cards.get("NEXTEND", "") if len(hdus) > extra else ""
    given = int(text) + 1 if re.fullmatch(r"[0-9]{1,9}", text) else 1
    return max(min_hdus, given) + extra


def _walk(file: BinaryIO, size: int, name: str) -> _Walk:
    """Step from header to header as far as the file reaches."""
    hdus: list[_Hdu] = []
    at = 0
    while at < size or not hdus:
        end, cards = _header(file, at, size, name)
        if end is None:
            if hdus and not cards:  # trailing bytes that are no header: the file itself is whole
                break
            return _Walk(hdus=hdus, end=at, missing=f"the header at byte {at} has not ended")
        if _unwritten(cards):
            return _Walk(hdus=hdus, end=end, missing=f"the header at byte {at} holds zero bytes: {_NOT_WRITTEN}")
        hdu = _Hdu(at=at, header_bytes=end - at, data_bytes=_data_bytes(cards, name), cards=cards)
        hdus.append(hdu)
        at = hdu.end
        # what pads the last block says nothing: some writers leave it out
        if hdu.data_at + hdu.data_bytes > size:
            return _Walk(hdus=hdus, end=at, missing=f"{size} of {at} bytes are there")
    return _Walk(hdus=hdus, end=at)


def _header(file: BinaryIO, at: int, size: int, name: str) -> tuple[int | None, dict[str, str]]:
    """End of the header that begins at byte `at` and its cards as text.

    None if it does not end, with no cards if it does not even begin as a header.
    """
    cards: dict[str, str] = {}
    file.seek(at)
    for number in range(MAX_HEADER_BLOCKS):
        block = file.read(min(BLOCK, size - at - number * BLOCK))
        if number == 0 and not _begins_header(block[:9]):
            return None, {}
        if len(block) < BLOCK:
            return None, cards or {"": ""}
        found: dict[str, str] = {}
        for start in range(0, BLOCK, CARD):
            card = block[start : start + CARD]
            key = card[:8].rstrip()
            if key == b"END":
                return at + (number + 1) * BLOCK, found | cards
            if card[8:10] == b"= " or b"\0" in card:
                found.setdefault(key.decode("latin-1"), card[10:].decode("latin-1").split("/")[0].strip(" "))
        if _is_binary(block):
            if _unwritten(cards):
                return None, cards
            what = f"the header at byte {at} runs into binary data"
            msg = f"{name}: {what}; expected an END card before. Copy the frame again"
            raise FrameFault(msg)
        cards = found | cards
    limit = f"{MAX_HEADER_BLOCKS} blocks"
    msg = f"{name}: the header at byte {at} does not end; expected an END card within {limit}. Copy the frame again"
    raise FrameFault(msg)


def _unwritten(cards: Mapping[str, str]) -> bool:
    return any("\0" in key or "\0" in text for key, text in cards.items())


def _begins_header(start: bytes) -> bool:
    return bool(start) and any(word.startswith(start) for word in (b"SIMPLE  =", b"XTENSION="))


def _is_binary(block: bytes) -> bool:
    """True if more than a quarter of a block is neither text nor zero."""
    values = np.frombuffer(block, np.uint8)
    return 4 * int(np.count_nonzero(((values < 32) & (values > 0)) | (values > 126))) > values.size


def _data_bytes(cards: Mapping[str, str], name: str) -> int:
    """Length of the array in bytes: |BITPIX|/8 x GCOUNT x (PCOUNT + product of NAXISn) (FITS standard 4.0, eq. 2)."""

    def integer(key: str, default: int | None = None, *, least: int = 0, most: int = MAX_BYTES) -> int:
        text = cards.get(key)
        if text is None and default is not None:
            return default
        if text is not None and re.fullmatch(r"[+-]?[0-9]{1,20}", text) and least <= int(text) <= most:
            return int(text)
        sentence = "missing" if text is None else ascii(text)[1:-1] or "blank"
        msg = (
            f"{name}: the structural card {key} is {sentence}; expected a whole number from {least} to {most}. "
            "Copy the frame again"
        )
        raise FrameFault(msg)

    if "SIMPLE" in cards and cards["SIMPLE"] != "T":
        sentence = ascii(cards["SIMPLE"])[1:-1]
        msg = f"{name}: SIMPLE is {sentence}; expected T, a standard FITS file. Copy the frame again"
        raise FrameFault(msg)
    bits = integer("BITPIX", least=-64, most=64)
    if bits not in (8, 16, 32, 64, -32, -64):
        msg = f"{name}: the structural card BITPIX is {bits}; expected 8, 16, 32, 64, -32 or -64. Copy the frame again"
        raise FrameFault(msg)
    axes = integer("NAXIS", most=999)
    if axes == 0:
        return 0
    sizes = [integer(f"NAXIS{axis}") for axis in range(1, axes + 1)]
    pixels = math.prod(sizes)
    length = abs(bits) // 8 * integer("GCOUNT", 1) * (integer("PCOUNT", 0) + pixels)
    if length > MAX_BYTES:
        promised = f"{length:.3g}" if length < 1e300 else "over 1e300"  # 999 sizes make what is no float
        msg = f"{name}: the cards promise {promised} bytes; expected a raw frame of 8.4 MB. Copy the frame again"
        raise FrameFault(msg)
    return length


def _padded(count: int) -> int:
    return -(-count // BLOCK) * BLOCK


def _hole(file: BinaryIO, end: int) -> str:
    """Space that the file system knows was never written, before byte `end`."""
    try:
        at = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
    except OSError:  # bytes in memory, or a file system that cannot tell
        return ""
    return f"the size is right but there is a hole at byte {at}: {_NOT_WRITTEN}" if at < end else ""


def _blank_tail(content: bytes, hdu: _Hdu) -> str:
    data = content[hdu.data_at : hdu.data_at + hdu.data_bytes]
    if data and not data[-TAIL_BYTES:].strip(b"\0"):
        return f"the size is right but the last rows are zero bytes: {_NOT_WRITTEN}"
    return ""


def _gap(content: bytes, hdu: _Hdu) -> str:
    """Zero bytes amid data that leave none: unsigned or packed integers."""
    blocks = hdu.data_bytes // ZERO_RUN_BYTES
    words = np.frombuffer(content, np.uint64, blocks * ZERO_RUN_BYTES // 8, hdu.data_at)
    empty = np.flatnonzero(~words.reshape(blocks, ZERO_RUN_BYTES // 8).any(axis=1))
    if not empty.size:
        return ""
    at = hdu.data_at + int(empty[0]) * ZERO_RUN_BYTES
    return f"the size is right but {empty.size * ZERO_RUN_BYTES} bytes from byte {at} are zero: {_NOT_WRITTEN}"


def _sum_that_differs(content: bytes, hdus: list[_Hdu]) -> str:
    """The first DATASUM or CHECKSUM that the bytes contradict (FITS standard 4.0, 4.4.2.7); empty if none."""
    view = memoryview(content)
    for hdu in hdus:
        text = hdu.cards.get("DATASUM", "").strip("' ")
        if text:
            found = ones_complement_sum(view[hdu.data_at : hdu.end])
            if not text.isdecimal() or int(text) != found:
                return f"DATASUM of the HDU at byte {hdu.at} is {ascii(text)[1:-1]} but its data sum to {found}"
        text = hdu.cards.get("CHECKSUM", "").strip("'0 ")
        if text and ones_complement_sum(view[hdu.at : hdu.end]) not in (0, 0xFFFFFFFF):
            return (
                f"CHECKSUM of the HDU at byte {hdu.at} does not match its bytes (after correcting a card, "
                "update CHECKSUM or remove it)"
            )
    return ""
