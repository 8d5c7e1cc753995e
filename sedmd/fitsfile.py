"""How many bytes a FITS file ought to have, read from its cards alone; and its header as plain values.

Completeness is never a fixed size: one more header block makes a whole frame longer, and a fixed limit then lets a
cut frame pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from astropy.io import fits

from sedmd.errors import FrameFault

BLOCK = 2880
CARD = 80
#: A header longer than this (360 000 bytes, 4500 cards) is damage, not a header.
MAX_HEADER_BLOCKS = 125
#: Bytes of data at the end of the primary array that must not all be zero in a file that claims to be whole.
TAIL_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What the cards of a file promise.

    Attributes
    ----------
    header_bytes : int
        Length of the primary header, padding included.
    data_bytes : int
        Length of the primary array without padding.
    expected_bytes : int
        Length of the whole file as far as its headers could be read.
    missing : str
        Empty, or what is still lacking for the walk to reach the end of the file.
    """

    header_bytes: int
    data_bytes: int
    expected_bytes: int
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Is the file whole? `reason` says in a sentence why not; sizes in bytes."""

    whole: bool
    size: int
    expected: int | None
    reason: str = ""


def examine(path: Path) -> Verdict:
    """Judge from sizes, cards and the last bytes whether `path` holds a whole FITS file.

    Raises
    ------
    FrameFault
        If the content can never become a FITS file, however much of it still arrives.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size < BLOCK:
            _refuse_other_formats(path, file.read(min(size, 9)))
            return Verdict(
                whole=False, size=size, expected=None, reason=f"{size} bytes, less than one FITS block of 2880"
            )
        _refuse_other_formats(path, file.read(9))
        file.seek(0)
        extent = _walk(file, size)
        if extent.missing:
            return Verdict(whole=False, size=size, expected=extent.expected_bytes or None, reason=extent.missing)
        if _tail_is_blank(file, extent):
            return Verdict(
                whole=False,
                size=size,
                expected=extent.expected_bytes,
                reason="the size is right but the last rows are zero bytes: space reserved, data not written",
            )
        return Verdict(whole=True, size=size, expected=extent.expected_bytes)


def primary_extent(content: bytes) -> Extent:
    """The primary HDU's `Extent`, for bytes already in memory.

    Raises
    ------
    FrameFault
        If the header does not end or its structural cards cannot be read.
    """
    end, cards = _header(_Bytes(content), 0, len(content))
    if end is None:
        msg = "the primary header has no END card; expected a FITS header. Copy the frame again"
        raise FrameFault(msg)
    data = _data_bytes(cards)
    return Extent(header_bytes=end, data_bytes=data, expected_bytes=end + _padded(data))


def header_values(header_bytes: bytes) -> Mapping[str, object]:
    """The cards of a primary header as plain values; an unreadable value becomes its raw text.

    Returns
    -------
    mapping of keyword to bool, int, float or str
        The first card wins when a keyword is repeated; undefined values are left out.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header = fits.Header.fromstring(header_bytes.decode("latin-1"))
        values: dict[str, object] = {}
        for card in header.cards:
            try:
                # the raw pair: astropy reads OBJECT 'Focus: 16.3' as a record-valued card and would hide OBJECT
                key, value = card.rawkeyword, card.rawvalue
            except (fits.VerifyError, ValueError):
                key, value = card.image[:8].strip(), card.image[10:].split("/")[0].strip(" '")
            if (
                key
                and key not in values
                and key not in ("COMMENT", "HISTORY")
                and not isinstance(value, fits.card.Undefined)
            ):
                values[key] = value
    return values


class _Bytes:
    """Bytes in memory with the two calls of a file that the walk needs."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def seek(self, at: int) -> int:
        self._at = at
        return at

    def read(self, count: int) -> bytes:
        piece = self._content[self._at : self._at + count]
        self._at += len(piece)
        return piece


def _refuse_other_formats(path: Path, start: bytes) -> None:
    # zero bytes may be reserved space that the writer fills later; anything else must begin as FITS does
    if start.strip(b"\0") and not b"SIMPLE  =".startswith(start[:9]):
        msg = f"{path.name} does not begin with a SIMPLE card; expected a FITS file. Copy the frame again"
        raise FrameFault(msg)


def _walk(file: BinaryIO, size: int) -> Extent:
    at = 0
    first: tuple[int, int] | None = None
    while True:
        end, cards = _header(file, at, size)
        if end is None:
            header, data = first or (0, 0)
            if first is not None and not cards:  # trailing bytes that are no header: the file itself is whole
                return Extent(header_bytes=header, data_bytes=data, expected_bytes=at)
            return Extent(
                header_bytes=header,
                data_bytes=data,
                expected_bytes=at,
                missing=f"the header at byte {at} has not ended",
            )
        try:
            data_bytes = _data_bytes(cards)
        except FrameFault as fault:
            return Extent(header_bytes=end, data_bytes=0, expected_bytes=0, missing=str(fault))
        if first is None:
            first = (end, data_bytes)
        at = end + _padded(data_bytes)
        if at > size:
            return Extent(
                header_bytes=first[0],
                data_bytes=first[1],
                expected_bytes=at,
                missing=f"{size} of {at} bytes are there",
            )
        if at == size:
            return Extent(header_bytes=first[0], data_bytes=first[1], expected_bytes=at)


def _header(file: BinaryIO | _Bytes, at: int, size: int) -> tuple[int | None, dict[str, str]]:
    """End of the header that starts at byte `at` (None if it does not end) and its cards as text."""
    cards: dict[str, str] = {}
    file.seek(at)
    for number in range(MAX_HEADER_BLOCKS):
        if at + (number + 1) * BLOCK > size:
            return None, cards
        block = file.read(BLOCK)
        if number == 0 and block[:9] not in (b"SIMPLE  =", b"XTENSION="):
            return None, {}
        for start in range(0, BLOCK, CARD):
            card = block[start : start + CARD]
            key = card[:8].rstrip()
            if key == b"END":
                return at + (number + 1) * BLOCK, cards
            if card[8:10] == b"= ":
                cards.setdefault(key.decode("latin-1"), card[10:].decode("latin-1").split("/")[0].strip())
    return None, cards


def _data_bytes(cards: Mapping[str, str]) -> int:
    """Length of the array in bytes: |BITPIX|/8 x GCOUNT x (PCOUNT + product of NAXISn) (FITS standard 4.0, eq. 2)."""

    def integer(key: str, default: int | None = None) -> int:
        text = cards.get(key)
        if text is None and default is not None:
            return default
        try:
            return int(text or "")
        except ValueError:
            msg = f"the structural card {key} is {text or 'missing'}; expected a whole number. Copy the frame again"
            raise FrameFault(msg) from None

    axes = integer("NAXIS")
    if axes == 0:
        return 0
    pixels = 1
    for axis in range(1, axes + 1):
        pixels *= integer(f"NAXIS{axis}")
    return abs(integer("BITPIX")) // 8 * integer("GCOUNT", 1) * (integer("PCOUNT", 0) + pixels)


def _padded(count: int) -> int:
    return -(-count // BLOCK) * BLOCK


def _tail_is_blank(file: BinaryIO, extent: Extent) -> bool:
    if extent.data_bytes == 0:
        return False
    length = min(TAIL_BYTES, extent.data_bytes)
    file.seek(extent.header_bytes + extent.data_bytes - length)
    return not file.read(length).strip(b"\0")
