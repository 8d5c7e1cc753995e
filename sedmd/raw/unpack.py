"""Raw frames out of their gzip or fpack packing, within bounds: a bomb must not eat the memory."""

from __future__ import annotations

import io
import re
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from astropy.io import fits

from sedmd.core.errors import FrameFault
from sedmd.raw.header import CARD, Value, header_values

BLOCK = 2880
#: Longest raw file, packed or not; a frame of this camera has 8.4 MB.
MAX_BYTES = 100_000_000
#: Members of one gzip file; gzip itself writes one.
MAX_MEMBERS = 100
_PIECE = 1 << 18
_GZIP = 31  # zlib's word for: expect a gzip header and check the CRC
#: Lossless methods of fpack; the others decode through code that does not check its input.
_METHODS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2")
#: What Rice's method may be set to, and how it is without a word (FITS standard 4.0, table 37): pixels in a block; and
#: bytes of a pixel, each with the bits that a block takes at least (White's code of 1999: 3, 4 and 5).
_RICE_BLOCKS, _RICE_BITS = {16, 32}, {1: 3, 2: 4, 4: 5}
_RICE_DEFAULTS = {"BLOCKSIZE": 32, "BYTEPIX": 4}
#: Cards that the decoder acts on. It must read the same in them as the checks did.
_TRUSTED = re.compile(
    r"(Z?BITPIX|Z?NAXIS\d*|ZTILE\d+|ZCMPTYPE|ZNAME\d+|ZVAL\d+|PCOUNT|THEAP|TFIELDS|TFORM\d+|TTYPE\d+)"
)
_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|(TTYPE|TFORM|TUNIT|TDIM|TNULL|TSCAL|TZERO)\d+"
    r"|ZIMAGE|ZTILE\d+|ZCMPTYPE|ZNAME\d+|ZVAL\d+|ZQUANTIZ|ZDITHER0|ZTENSION|ZPCOUNT|ZGCOUNT|CHECKSUM|DATASUM"
)
_ORIGINAL = re.compile(r"Z(SIMPLE|BITPIX|NAXIS\d*|EXTEND|DATASUM)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inflated:
    """What came out of a gzip file: all of it when neither `missing` nor `broken` says what is wrong."""

    content: bytes = b""
    missing: str = ""
    broken: str = ""


def gunzip(file: BinaryIO, name: str) -> Inflated:
    """Inflate a gzip file from where it stands.

    Raises
    ------
    FrameFault
        If it inflates to more than `MAX_BYTES`.
    """
    pieces: list[bytes] = []
    length = 0
    pending = file.read(_PIECE)
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(wbits=_GZIP)
        while not stream.eof:
            try:
                piece = stream.decompress(pending, _PIECE)
            except zlib.error as error:
                return Inflated(broken=f"the gzip stream is broken ({_plain_words(error)})")
            if not piece and not pending and not stream.eof:
                return Inflated(missing=f"the gzip stream has not ended; {length} bytes came out of it")
            length += len(piece)
            if length > MAX_BYTES:
                msg = (
                    f"{name} inflates to more than {MAX_BYTES / 1e6:.0f} MB; expected a raw frame of 8.4 MB. Exclude it"
                )
                raise FrameFault(msg)
            pieces.append(piece)
            pending = stream.unconsumed_tail or (b"" if stream.eof else file.read(_PIECE))
        pending = stream.unused_data
        if len(pending) < 2:
            pending += file.read(_PIECE)
        if not pending.startswith(b"\x1f\x8b"):  # padding and junk behind the stream are no part of it
            break
    return Inflated(content=b"".join(pieces))


def _plain_words(error: zlib.error) -> str:
    text = str(error)
    if "incorrect data check" in text or "incorrect length check" in text:
        return "its CRC or length does not match"
    return text.rsplit(":", 1)[-1].strip()


def is_packed_image(table: Mapping[str, object]) -> bool:
    """True if these cards are those of a compressed image."""
    return table.get("ZIMAGE") is True


def funpack(content: bytes, name: str, *, at: int, header_bytes: int) -> bytes:
    """The plain FITS file that an fpacked one was made from, as far as fpack keeps it.

    Parameters
    ----------
    content : bytes
        The whole fpacked file.
    at, header_bytes : int
        Where the header of the compressed image begins, and its length.

    Raises
    ------
    FrameFault
        If the image is not one of integers, its table is inconsistent or its tiles do not decode.
    """
    images = content[at : at + header_bytes]
    table = header_values(images)
    shape = _check_promises(table, name)
    start = at + header_bytes
    _check_rice(table, name)
    for tile in _gzipped_tiles(content, table, start, name):
        _check_tile(tile, 4 * shape[0] * shape[1], name)
    pixels = _decode(content, table, name)
    kind = f">i{abs(_integer(table, 'ZBITPIX', 0)) // 8}"
    if pixels.shape != shape or pixels.dtype.kind not in "iu":
        got = f"{pixels.dtype} {pixels.shape}"
        msg = f"{name} unpacks to {got}; expected {kind[1:]} {shape} from its cards. Copy it again"
        raise FrameFault(msg)
    data = np.ascontiguousarray(pixels, dtype=kind if kind != ">i1" else "u1").tobytes()
    return _plain_header(images) + data + b"\0" * (-len(data) % BLOCK)


def _integer(table: Mapping[str, Value], key: str, default: int) -> int:
    value = table.get(key, default)
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _check_promises(table: Mapping[str, Value], name: str) -> tuple[int, int]:
    """Shape (n_y, n_x) of the image; refuses what is not a raw frame before anything is decoded."""
    method = table.get("ZCMPTYPE")
    if method not in _METHODS:
        msg = f"{name} is packed by {method}; expected {', '.join(_METHODS[::2])} or GZIP_2. Run funpack on it"
        raise FrameFault(msg)
    bits, axes = table.get("ZBITPIX"), table.get("ZNAXIS")
    if axes != 2 or bits not in (8, 16, 32):
        what = f"an array of {axes} axes and BITPIX {bits}"
        msg = f"{name} packs {what}; expected an image of 16-bit integers. Is it a raw frame?"
        raise FrameFault(msg)
    shape = _integer(table, "ZNAXIS2", 0), _integer(table, "ZNAXIS1", 0)
    tile = _integer(table, "ZTILE2", 1), _integer(table, "ZTILE1", shape[1])
    sane = min(shape) >= 1 and 4 * shape[0] * shape[1] <= MAX_BYTES
    if not sane or not all(1 <= side <= whole for side, whole in zip(tile, shape)):
        msg = (
            f"{name} packs {shape[0]} x {shape[1]} pixels in tiles of {tile[0]} x {tile[1]}; expected a raw frame. "
            "Copy it again"
        )
        raise FrameFault(msg)
    rows, tiles = _integer(table, "NAXIS2", 0), -(-shape[0] // tile[0]) * -(-shape[1] // tile[1])
    if rows != tiles:
        msg = f"{name} holds {rows} tiles; expected {tiles} for its image. Copy it again"
        raise FrameFault(msg)
    return shape


def _rice_setting(table: Mapping[str, Value], key: str) -> object:
    """A setting of Rice's method as the decoder looks it up: in the first pair of cards with its name."""
    for n in range(1, 1000):
        if f"ZNAME{n}" not in table:
            break
        if str(table[f"ZNAME{n}"]).upper() == key:
            return table.get(f"ZVAL{n}")
    return _RICE_DEFAULTS[key]


def _check_rice(table: Mapping[str, Value], name: str) -> None:
    """Refuse settings that Rice's decoder would take for lengths of its arrays without asking."""
    if not str(table.get("ZCMPTYPE")).startswith("RICE"):
        return
    block, size = (_rice_setting(table, key) for key in _RICE_DEFAULTS)
    bits = _integer(table, "ZBITPIX", 0)
    if type(block) is not int or block not in _RICE_BLOCKS:
        msg = f"{name} is packed in blocks of {block!r:.20} pixels; expected 16 or 32. Copy it again"
        raise FrameFault(msg)
    if type(size) is not int or size not in _RICE_BITS or 8 * size < bits:
        msg = f"{name} is packed with {size!r:.20} bytes to a pixel; expected 1, 2 or 4, and {bits} bits. Copy it again"
        raise FrameFault(msg)


def _least_bytes(table: Mapping[str, Value]) -> int:
    """Bytes of a whole tile of Rice's method, at least: its first pixel, and the head of each block."""
    block, size = (_rice_setting(table, key) for key in _RICE_DEFAULTS)
    if not isinstance(block, int) or not isinstance(size, int):
        return 0
    shape = _integer(table, "ZNAXIS2", 0), _integer(table, "ZNAXIS1", 0)
    tile = _integer(table, "ZTILE2", 1), _integer(table, "ZTILE1", shape[1])
    # tiles at the upper and right edge hold what is left of the image
    pixels = [(whole % side) or side for whole, side in zip(shape, tile, strict=True)]
    return size + -(-_RICE_BITS[size] * -(-pixels[0] * pixels[1] // block) // 8)


def _gzipped_tiles(content: bytes, table: Mapping[str, Value], start: int, name: str) -> Iterator[bytes]:
    """Bytes of the tiles that zlib will inflate; checks the place of every tile on the way.

    Raises
    ------
    FrameFault
        If a tile lies outside the heap, or the tiles together are longer than it.
    """
    width, rows = _integer(table, "NAXIS1", 0), _integer(table, "NAXIS2", 0)
    heap = start + _integer(table, "THEAP", width * rows)
    end = start + width * rows + _integer(table, "PCOUNT", 0)
    rice = str(table.get("ZCMPTYPE")).startswith("RICE")
    at, total = 0, 0
    for field in range(1, _integer(table, "TFIELDS", 0) + 1):
        label = str(table.get(f"TTYPE{field}"))
        form = re.fullmatch(r"(\d{0,4})([A-Z])([A-Z]?).*", str(table.get(f"TFORM{field}")).strip(), re.DOTALL)
        if not form or form.group(2) not in "PQLXBIJKAEDCM":
            given = str(table.get(f"TFORM{field}"))[:20]
            msg = f"{name}: column {field} of the table has the form {given}; expected one of FITS. Copy it again"
            raise FrameFault(msg)
        count, kind = int(form.group(1) or 1), form.group(2)
        if kind in "PQ" and count:
            size = _SIZES.get(form.group(3), 1)
            word, bytes_ = (">i4", 8) if kind == "P" else (">i8", 16)
            if at + bytes_ > width:
                msg = f"{name}: a row of the table has {width} bytes; expected {at + bytes_}. Copy it again"
                raise FrameFault(msg)
            block = np.frombuffer(content, np.uint8, width * rows, start).reshape(rows, width)[:, at : at + bytes_]
            places = np.ascontiguousarray(block).view(word)
            least = _least_bytes(table) if rice and label == "COMPRESSED_DATA" else 0
            zipped = "GZIP" in label or (label == "COMPRESSED_DATA" and "GZIP" in str(table.get("ZCMPTYPE")))
            for length, offset in places.tolist():
                total += length * size
                if length < 0 or offset < 0 or heap + offset + length * size > end or total > end - start:
                    msg = f"{name}: a tile lies outside of its heap; expected a whole fpacked frame. Copy it again"
                    raise FrameFault(msg)
                if 0 < length * size < least:
                    msg = f"{name}: a tile has {length * size} bytes; expected {least} or more. Copy it again"
                    raise FrameFault(msg)
                if zipped and length:
                    yield content[heap + offset : heap + offset + length * size]
        at += count * (_WIDTHS[kind]) if kind != "X" else -(-count // 8)


_SIZES = {"B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8}
_WIDTHS = {"P": 8, "Q": 16, "L": 1, "X": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16}


def _check_tile(tile: bytes, limit: int, name: str) -> None:
    stream = zlib.decompressobj(wbits=_GZIP)
    try:
        inflated = stream.decompress(tile, limit + 1)
    except zlib.error as error:
        msg = f"{name}: a tile is broken ({_plain_words(error)}); expected a whole fpacked frame. Copy it again"
        raise FrameFault(msg) from error
    if len(inflated) > limit or not stream.eof:
        msg = f"{name}: a tile is cut or longer than the image; expected a whole fpacked frame. Copy it again"
        raise FrameFault(msg)


def _decode(content: bytes, table: Mapping[str, Value], name: str) -> np.ndarray:
    """The pixels; `table` is what was checked: the decoder must not read other numbers in the same cards."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(content), memmap=False, disable_image_compression=True) as hdul:
                odd = _read_otherwise(hdul[1].header, table)
            if odd:
                raise ValueError(f"its card {odd} can be read in two ways")
            with fits.open(io.BytesIO(content), memmap=False, do_not_scale_image_data=True) as hdul:
                return np.asarray(hdul[1].data)
    except Exception as error:  # a decoder of foreign bytes: if it raises anything, this file is at fault
        text = " ".join(str(error).split())[:200]
        msg = f"{name} cannot be unpacked: {text}; expected a whole fpacked frame. Copy it again"
        raise FrameFault(msg) from error


def _read_otherwise(header: fits.Header, table: Mapping[str, Value]) -> str:
    """The first card of those that the decoder acts on that astropy does not read as we do; empty if there is none."""
    for key in sorted({*header, *table}):
        if not _TRUSTED.fullmatch(key):
            continue
        if key not in header or header.count(key) != 1 or header[key] != table.get(key):
            return str(key)
    return ""


def _plain_header(images: bytes) -> bytes:
    """The primary header of the original from that of the compressed table, padded."""
    structure: dict[bytes, bytes] = {}
    rest: list[bytes] = []
    for start in range(0, len(images) - CARD + 1, CARD):
        image = images[start : start + CARD]
        key = image[:8].rstrip().decode("latin-1")
        if key == "END":
            break
        original = _ORIGINAL.fullmatch(key)
        if original and original.group(1) != "DATASUM":
            structure.setdefault(original.group(1).encode(), original.group(1).ljust(8).encode() + image[8:])
        elif original:
            rest.append(b"DATASUM " + image[8:])
        elif not _TABLE.fullmatch(key) and key not in ("ZHECKSUM", "ZBLANK") and b"COMPRESSED_IMAGE" not in image:
            rest.append(image)
    structure.setdefault(b"SIMPLE", b"SIMPLE  =                    T")
    order = [b"SIMPLE", b"BITPIX", b"NAXIS", b"NAXIS1", b"NAXIS2", b"EXTEND"]
    cards = [structure[key].ljust(CARD) for key in order if key in structure] + rest + [b"END".ljust(CARD)]
    header = b"".join(cards)
    return header + b" " * (-len(header) % BLOCK)
